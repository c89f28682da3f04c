"""What a generalization costs: the quality models of ARX, each with a lower bound that rises with the levels.

ARX (Prasser, Eicher, Spengler, Bild, Kuhn, Flexible data anonymization using ARX, 2020) is the field's
reference; definitions and names follow it, so that losses compare number by number. A loss is a tuple of
floats, compared from the left: one number, or with the aggregate `rank` each attribute's, the largest first.
`weights` say how much each attribute counts, the heaviest as 1; none given, all count alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, assert_never

import numpy as np

from exchange.desensitization.search.classes import Classes, Codes, Floats, Mask, Tuples

Aggregate = Literal["arithmetic_mean", "geometric_mean", "sum", "maximum", "rank"]
Value = tuple[float, ...]
Levels = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    """A quasi-identifier: `maps[level][code]` is the code that a value of its domain has at that level, from 0 on.

    The domain may be larger than what the table shows.
    """

    name: str
    maps: tuple[Codes, ...]

    @property
    def top(self) -> int:
        """The level at which the attribute is `*`, or as coarse as it gets."""
        return len(self.maps) - 1


class Measure(Protocol):
    """A loss bound to a table. `floor` rows, one a level vector, are at most `of`; None where no level alone tells."""

    def floors(self, nodes: Codes) -> Floats | None: ...

    def of(self, levels: Levels, classes: Classes, dropped: Mask) -> Value: ...

    def bound(self, classes: Classes) -> Value: ...


def factors(gs: float) -> tuple[float, float]:
    """ARX's factors of generalization and suppression: 0 forgives suppression, 0.5 treats both alike, 1 forgives generalization."""
    return (1.0 if gs <= 0.5 else 2 - 2 * gs), (2 * gs if gs < 0.5 else 1.0)


def aggregate(values: Floats, weights: Floats, how: Aggregate) -> Floats:
    """Losses by attribute in the last axis, put together; every way keeps a smaller vector smaller."""
    weighted: Floats = values * weights
    found: Floats
    match how:
        case "arithmetic_mean":
            found = weighted.mean(axis=-1, keepdims=True)
        case "geometric_mean":
            found = np.prod(weighted + 1, axis=-1, keepdims=True) ** (1 / values.shape[-1]) - 1
        case "sum":
            found = weighted.sum(axis=-1, keepdims=True)
        case "maximum":
            found = weighted.max(axis=-1, keepdims=True)
        case "rank":
            # Cut to ten decimals, as in ARX: noise in a larger loss must not decide before a smaller one is asked.
            found = -np.sort(-np.floor(values * 1e10 + 1e-4) / 1e10 * weights, axis=-1)
        case _:
            assert_never(how)
    return found


@dataclass(frozen=True, slots=True)
class Loss:
    """The share of the domain that a cell can no longer be told from, after Iyengar (2002): 0 untouched, 1 dropped."""

    gs: float = 0.5
    how: Aggregate = "arithmetic_mean"
    weights: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class NonUniformEntropy:
    """Bits lost by replacing values with their generalizations (Gionis and Tassa, 2009; De Waal and Willenborg, 1999).

    The monotonic form counts generalization alone, the other adds the bits of what is dropped.
    """

    monotonic: bool = False
    gs: float = 0.5
    how: Aggregate = "sum"
    weights: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Precision:
    """Levels climbed, each attribute's in its height (Sweeney, 2002)."""

    monotonic: bool = False
    gs: float = 0.5
    how: Aggregate = "arithmetic_mean"
    weights: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Height:
    """Levels climbed in all."""


@dataclass(frozen=True, slots=True)
class Discernibility:
    """The sum of squared class sizes; a dropped row counts with all rows, if the form is not monotonic (Bayardo and Agrawal, 2005)."""

    monotonic: bool = False


@dataclass(frozen=True, slots=True)
class AverageClassSize:
    """Rows to classes, all dropped rows being one class (LeFevre et al., 2006)."""

    gs: float = 0.5


Quality = Loss | NonUniformEntropy | Precision | Height | Discernibility | AverageClassSize


def measure(quality: Quality, attributes: Sequence[Attribute], table: Tuples) -> Measure:
    """The quality model bound to a table's distinct tuples."""
    match quality:
        case Loss():
            return _Loss(quality, attributes, table)
        case NonUniformEntropy():
            return _Entropy(quality, attributes, table)
        case Precision():
            return _Precision(quality, attributes, table)
        case Height():
            return _Height()
        case Discernibility():
            return _Discernibility(quality, table)
        case AverageClassSize():
            return _AverageClassSize(quality, table)
        case _:
            assert_never(quality)


def cell_loss(mapping: Codes) -> Floats:
    """Loss of each distinct value under a mapping: the share of the other values that it can no longer be told from.

    0 where it stays alone, 1 where all values became one.
    """
    if len(mapping) <= 1:
        return np.zeros(len(mapping))
    together = np.bincount(mapping)[mapping]
    return (together - 1) / (len(mapping) - 1)


class _ByAttribute:
    """A loss that each attribute has on its own, from tables of its levels."""

    def __init__(
        self,
        quality: Loss | NonUniformEntropy | Precision,
        attributes: Sequence[Attribute],
        table: Tuples,
        parts: list[Floats],
    ) -> None:
        weights = np.array(quality.weights or [1.0] * len(attributes))
        self.weights = weights / weights.max(initial=1e-300)
        self.attributes = attributes
        self.table = table
        self.how: Aggregate = quality.how
        self.parts = parts

    def floors(self, nodes: Codes) -> Floats | None:
        """What generalization alone costs, at each node."""
        found = np.stack([part[nodes[:, place]] for place, part in enumerate(self.parts)], axis=1)
        return aggregate(found, self.weights, self.how)

    def bound(self, classes: Classes) -> Value:
        """Nothing more than the floors tell."""
        return (0.0,)

    def together(self, values: Floats) -> Value:
        return tuple(float(value) for value in aggregate(values, self.weights, self.how))


class _Loss(_ByAttribute):
    def __init__(self, quality: Loss, attributes: Sequence[Attribute], table: Tuples) -> None:
        self.generalized, self.suppressed = factors(quality.gs)
        counts = table.finest.sizes.astype(np.float64)
        self.shares = [
            [np.bincount(mapping)[mapping] / len(mapping) for mapping in attribute.maps]
            for attribute in attributes
        ]
        self.sizes = [len(attribute.maps[0]) for attribute in attributes]
        # What each level costs where no row is dropped; a node's loss is told from it and from what is dropped.
        parts = []
        for codes, shares, size in zip(table.codes, self.shares, self.sizes, strict=True):
            rows = np.bincount(codes, weights=counts, minlength=size)
            wholes = [float(np.dot(share, rows)) * self.generalized for share in shares]
            parts.append(np.array([self._normal(whole, size, table.rows) for whole in wholes]))
        super().__init__(quality, attributes, table, parts)

    def of(self, levels: Levels, classes: Classes, dropped: Mask) -> Value:
        values = np.array([part[level] for part, level in zip(self.parts, levels, strict=True)])
        gone = classes.sizes[dropped].astype(np.float64)
        if not len(gone):
            return self.together(values)
        tuples, rows = classes.tuples[dropped], self.table.rows
        for place, (level, codes, size) in enumerate(zip(levels, self.table.codes, self.sizes, strict=True)):
            least = self.generalized * rows / size
            if rows > least:
                # A dropped row costs all, and no longer what its generalization does.
                share = self.shares[place][level][codes[tuples]]
                extra = self.suppressed + (1 - self.suppressed - self.generalized) * share
                values[place] += float(np.dot(extra, gone)) / (rows - least)
        return self.together(values)

    def _normal(self, whole: float, size: int, rows: int) -> float:
        """0 where every value stands for itself, 1 where every row is dropped."""
        least = self.generalized * rows / size
        return max(0.0, (whole - least) / (rows - least)) if rows > least else 0.0


class _Entropy(_ByAttribute):
    def __init__(self, quality: NonUniformEntropy, attributes: Sequence[Attribute], table: Tuples) -> None:
        self.generalized, self.suppressed = factors(quality.gs)
        self.monotonic = quality.monotonic
        counts = table.finest.sizes
        parts = []
        for attribute, codes in zip(attributes, table.codes, strict=True):
            values = np.bincount(codes, weights=counts, minlength=len(attribute.maps[0]))
            seen = values > 0
            costs = []
            for mapping in attribute.maps:
                together = np.bincount(mapping, weights=values)[mapping]
                costs.append(float(-(values[seen] * np.log2(values[seen] / together[seen])).sum()))
            parts.append(np.array(costs) * self.generalized)
        super().__init__(quality, attributes, table, parts)

    def of(self, levels: Levels, classes: Classes, dropped: Mask) -> Value:
        values = np.array([part[level] for part, level in zip(self.parts, levels, strict=True)])
        if not self.monotonic and dropped.any():
            sizes = classes.sizes[dropped]
            gone = sizes.sum()
            for place, (attribute, codes) in enumerate(zip(self.attributes, self.table.codes, strict=True)):
                shown = attribute.maps[levels[place]][codes[classes.tuples[dropped]]]
                together = np.bincount(shown, weights=sizes)
                together = together[together > 0]
                values[place] += float(-(together * np.log2(together / gone)).sum()) * self.suppressed
        return self.together(values)


class _Precision(_ByAttribute):
    def __init__(self, quality: Precision, attributes: Sequence[Attribute], table: Tuples) -> None:
        self.generalized, self.suppressed = factors(quality.gs)
        self.monotonic = quality.monotonic
        parts = [
            np.arange(attribute.top + 1) / max(1, attribute.top) * self.generalized
            for attribute in attributes
        ]
        super().__init__(quality, attributes, table, parts)

    def floors(self, nodes: Codes) -> Floats | None:
        """What generalization alone costs, or less where dropping is cheaper than climbing."""
        least = np.inf if self.monotonic else self.suppressed
        found = [np.minimum(part[nodes[:, place]], least) for place, part in enumerate(self.parts)]
        return aggregate(np.stack(found, axis=1), self.weights, self.how)

    def of(self, levels: Levels, classes: Classes, dropped: Mask) -> Value:
        values = np.array([part[level] for part, level in zip(self.parts, levels, strict=True)])
        if not self.monotonic:
            gone = float(classes.sizes[dropped].sum()) / self.table.rows
            values = values * (1 - gone) + gone * self.suppressed
        return self.together(values)


class _Height:
    def floors(self, nodes: Codes) -> Floats | None:
        return np.asarray(nodes.sum(axis=1, keepdims=True), np.float64)

    def of(self, levels: Levels, classes: Classes, dropped: Mask) -> Value:
        return (float(sum(levels)),)

    def bound(self, classes: Classes) -> Value:
        return (0.0,)


class _Discernibility:
    def __init__(self, quality: Discernibility, table: Tuples) -> None:
        self.monotonic = quality.monotonic
        self.rows = table.rows

    def floors(self, nodes: Codes) -> Floats | None:
        return None

    def of(self, levels: Levels, classes: Classes, dropped: Mask) -> Value:
        if self.monotonic:
            return self.bound(classes)
        sizes = classes.sizes.astype(np.float64)
        return (float(np.where(dropped, sizes * self.rows, sizes**2).sum()),)

    def bound(self, classes: Classes) -> Value:
        return (float((classes.sizes.astype(np.float64) ** 2).sum()),)


class _AverageClassSize:
    def __init__(self, quality: AverageClassSize, table: Tuples) -> None:
        # ARX exchanges the two factors: it is classes that are counted, and they divide.
        self.suppressed, self.generalized = factors(quality.gs)
        self.rows = table.rows

    def floors(self, nodes: Codes) -> Floats | None:
        return None

    def of(self, levels: Levels, classes: Classes, dropped: Mask) -> Value:
        gone = np.count_nonzero(dropped)
        number = (len(classes) - gone) * self.generalized + (self.suppressed if gone else 0)
        return (self.rows / float(number) if number else float("inf"),)

    def bound(self, classes: Classes) -> Value:
        """Dropping every class but one cannot leave more classes than there are."""
        number = len(classes) * max(self.generalized, self.suppressed)
        return (self.rows / float(number) if number else float("inf"),)
