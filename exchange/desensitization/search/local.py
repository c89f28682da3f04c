"""Local recoding: each row generalized only as far as its own class needs, so rows of one column stand at different levels.

The distinct tuples climb the lattice together (the greedy idea of Xu et al., Utility-based anonymization using local
recoding, 2006, over levels instead of values): nodes are taken by what generalizing the tuples that are left to
them costs, and every class of a node that holds the criteria stays there. A class that costs more than the node
waits until that price is due, so dear classes do not take rows that cheaper ones can still use. Before a node is
looked at closely, one sort over many nodes at once says whether any class there is large enough; mostly none is.

The result is never worse than the optimal full-domain node: that is what is left where nothing better is found.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import numpy.typing as npt

from exchange.desensitization.search.classes import Classes, Codes, Floats, Mask, Tuples, numbered
from exchange.desensitization.search.criteria import (
    AverageRisk,
    BetaLikeness,
    Criterion,
    DeltaDisclosure,
    DistinctLDiversity,
    EntropyLDiversity,
    KAnonymity,
    PopulationUniqueness,
    RecursiveCLDiversity,
    SampleUniqueness,
    TCloseness,
)
from exchange.desensitization.search.lattice import Lattice, Solution, search
from exchange.desensitization.search.losses import (
    Attribute,
    AverageClassSize,
    Discernibility,
    Height,
    Levels,
    Loss,
    NonUniformEntropy,
    Precision,
    Quality,
    Value,
    aggregate,
    factors,
)

MAX_NODES = 1 << 16
"""Above this many nodes only some levels of each attribute are tried."""

_CELLS = 1 << 16
"""Keys that are sorted at once: what a core's cache holds."""
_STALE = 0.75
"""The order of the nodes is found anew when this share of the tuples is left."""
_SLACK = 1.05
"""A class that costs so much of the price that is due need not wait: half the looks for a four-hundredth of the loss."""

_FEW = 1000
"""So many tuples at most are put to classes one by one."""

_Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Recoded:
    """Where each of a table's distinct tuples stands: `levels[tuple, attribute]`, its class, and whether it is dropped.

    Classes are of what the tuples show: two that show the same are one. `full_domain` is the best single node,
    for comparison.
    """

    levels: Codes
    classes: Codes
    dropped: Mask
    dropped_rows: int
    loss: Value
    full_domain: Solution


def recode(lattice: Lattice, progress: Callable[[int, int], None] | None = None) -> Recoded:
    """A local recoding that holds all criteria with no more rows dropped than allowed; the same for the same lattice.

    Its loss is at most that of the best full-domain node. Raises PolicyRefused where not even such a node is found.
    """
    node = search(lattice, progress)
    table = lattice.nodes.table
    everywhere = np.tile(np.array(node.levels, dtype=np.int64), (len(table.finest), 1))
    gone = lattice.judge(node.levels).dropped[lattice.nodes.places(node.levels)]
    best = _judged(lattice, everywhere, gone, node)
    assert best is not None  # the node holds
    if not node.levels:
        return best
    for least in _sizes(lattice):
        climb = _Climb(lattice, node.levels, least, progress)
        ways = [climb.freely()]
        if not all(criterion.steady for criterion in lattice.class_wise):
            # What is left at the top may not hold; what is left of a class that holds is seen to.
            ways.append(climb.within(node.levels, gone))
        found = [
            _judged(lattice, *_thinned(lattice, levels, dropped), node)
            for levels, dropped in ways
            if int(table.finest.sizes[dropped].sum()) <= lattice.droppable_rows
        ]
        held = [one for one in found if one is not None]
        if held:
            return min(best, *held, key=lambda one: one.loss)
    return best


def mixed_loss(
    quality: Quality,
    attributes: Sequence[Attribute],
    table: Tuples,
    levels: Codes,
    classes: Codes,
    dropped: Mask,
) -> Value:
    """The loss of tuples that stand at levels of their own; of one level for all it is what `losses` says of the node.

    A level that tells no more than a lower one counts as it stands. Heights are those of the mean row.
    """
    counts = table.finest.sizes
    rows = table.rows
    gone = float(counts[dropped].sum())
    by_attribute: list[float] = []
    match quality:
        case Height():
            return (float(np.dot(levels.sum(axis=1), counts)) / rows,)
        case Discernibility(monotonic):
            sizes = np.bincount(classes[~dropped], weights=counts[~dropped])
            lost = np.bincount(classes[dropped], weights=counts[dropped])
            return (float((sizes**2).sum() + ((lost**2).sum() if monotonic else gone * rows)),)
        case AverageClassSize(gs):
            # As in `losses`: classes are counted, and they divide.
            suppressed, generalized = factors(gs)
            number = len(np.unique(classes[~dropped])) * generalized + (suppressed if gone else 0)
            return (rows / float(number) if number else float("inf"),)
        case Loss(gs):
            generalized, suppressed = factors(gs)
            for attribute, codes, level in zip(attributes, table.codes, levels.T, strict=True):
                shares = np.stack([np.bincount(m)[m] / len(m) for m in attribute.maps])[level, codes]
                costs = np.where(dropped, shares + suppressed * (1 - shares), shares * generalized)
                least = generalized * rows / len(attribute.maps[0])
                whole = float(np.dot(costs, counts))
                by_attribute.append(max(0.0, (whole - least) / (rows - least)) if rows > least else 0.0)
        case NonUniformEntropy(monotonic, gs):
            generalized, suppressed = factors(gs)
            for attribute, codes, level in zip(attributes, table.codes, levels.T, strict=True):
                bits = float(np.dot(_bits(attribute, codes, counts)[level, codes], counts)) * generalized
                if gone and not monotonic:
                    shown = cells(attribute)[level[dropped], codes[dropped]]
                    together = np.bincount(np.unique(shown, return_inverse=True)[1], weights=counts[dropped])
                    bits += float(-(together * np.log2(together / gone)).sum()) * suppressed
                by_attribute.append(bits)
        case Precision(monotonic, gs):
            generalized, suppressed = factors(gs)
            stays = np.ones(len(counts), dtype=bool) if monotonic else ~dropped
            for attribute, level in zip(attributes, levels.T, strict=True):
                climbed = float(np.dot(level[stays], counts[stays])) / max(1, attribute.top) / rows
                by_attribute.append(climbed * generalized + (0.0 if monotonic else gone / rows * suppressed))
        case _:
            assert_never(quality)
    weights = np.array(quality.weights or [1.0] * len(attributes))
    found = aggregate(np.array(by_attribute), weights / weights.max(initial=1e-300), quality.how)
    return tuple(float(value) for value in found)


def _bits(attribute: Attribute, codes: Codes, counts: Codes) -> Floats:
    """Bits that a cell of each code loses at each level, by the frequencies of the table."""
    values = np.bincount(codes, weights=counts, minlength=len(attribute.maps[0]))
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = np.stack([-np.log2(values / np.bincount(m, weights=values)[m]) for m in attribute.maps])
    finite: Floats = np.nan_to_num(bits, nan=0.0, posinf=0.0)
    return finite


def cells(attribute: Attribute) -> Codes:
    """What each code shows at each level, by a number that two cells share exactly if they stand for the same values."""
    made = [attribute.maps[0]]
    number = len(attribute.maps[0])
    for finer, mapping in zip(attribute.maps, attribute.maps[1:], strict=False):
        grown = np.bincount(mapping)[mapping] > np.bincount(finer)[finer]
        made.append(np.where(grown, mapping + number, made[-1]))
        number += len(mapping)
    return np.stack(made)


def _lowered(attributes: Sequence[Attribute], levels: Codes, table: Tuples) -> Codes:
    """The lowest levels at which the tuples show the same."""
    lowered = levels.copy()
    for place, (attribute, codes) in enumerate(zip(attributes, table.codes, strict=True)):
        found = cells(attribute)
        for level in range(attribute.top, 0, -1):
            same = (found[level] == found[level - 1])[codes] & (lowered[:, place] == level)
            lowered[same, place] = level - 1
    return lowered


def _judged(lattice: Lattice, levels: Codes, dropped: Mask, node: Solution) -> Recoded | None:
    """The recoding as whoever has the product finds it, or none where it does not hold."""
    attributes, table = lattice.nodes.attributes, lattice.nodes.table
    shown = [
        cells(attribute)[level, codes]
        for attribute, level, codes in zip(attributes, levels.T, table.codes, strict=True)
    ]
    classes, _ = numbered(shown, len(table.finest))
    dropped_rows = int(table.finest.sizes[dropped].sum())
    if dropped_rows > lattice.droppable_rows:
        return None
    kept = table.finest.only(~dropped)
    place, number = numbered([classes[~dropped]], len(kept))
    made = kept.merged(place, number)
    if len(made):
        if not all(criterion.holds(made).all() for criterion in lattice.class_wise):
            return None
        sizes = np.sort(made.sizes)
        if any(criterion.least(sizes, table.rows) for criterion in lattice.sample_wise):
            return None
    loss = node.loss
    if node.levels:
        loss = mixed_loss(lattice.quality, attributes, table, levels, classes, dropped)
    return Recoded(_lowered(attributes, levels, table), classes, dropped, dropped_rows, loss, node)


def _sizes(lattice: Lattice) -> list[int]:
    """How large classes are asked to be, one after the other, until the criteria on all classes together hold too."""
    enough = 1
    for criterion in lattice.sample_wise:
        match criterion:
            case AverageRisk(threshold):
                enough = max(
                    enough, int(np.ceil(1 / threshold - 1e-9)) if threshold > 0 else lattice.nodes.table.rows
                )
            case SampleUniqueness() | PopulationUniqueness():
                enough = max(enough, 2)
            case _:
                assert_never(criterion)
    sizes = {1, enough, *(max(1, enough * eighths // 8) for eighths in range(1, 8))}
    return sorted(sizes) if lattice.sample_wise else [1]


def _rows_needed(criteria: Sequence[Criterion]) -> int:
    """No class of fewer rows can hold the criteria."""
    needed = 1
    for criterion in criteria:
        match criterion:
            case KAnonymity(k):
                needed = max(needed, k)
            case DistinctLDiversity(_, least) | RecursiveCLDiversity(_, _, least):
                needed = max(needed, least)
            case EntropyLDiversity(_, least):
                needed = max(needed, int(np.ceil(least - 1e-9)))
            case (
                TCloseness()
                | BetaLikeness()
                | DeltaDisclosure()
                | AverageRisk()
                | SampleUniqueness()
                | PopulationUniqueness()
            ):
                pass
            case _:
                assert_never(criterion)
    return needed


def _prices(quality: Quality, attribute: Attribute, codes: Codes, counts: Codes) -> Floats:
    """What a cell of each code costs at each level, from 0 to about 1: what the climb goes by."""
    match quality:
        case Precision() | Height():
            climbed = np.arange(attribute.top + 1) / max(1, attribute.top)
            return np.tile(climbed[:, None], (1, len(attribute.maps[0])))
        case NonUniformEntropy():
            bits = _bits(attribute, codes, counts)
            return bits / max(float(np.dot(bits[-1][codes], counts)) / float(counts.sum()), 1e-300)
        case Loss() | Discernibility() | AverageClassSize():
            shares = np.stack([np.bincount(m)[m] / len(m) for m in attribute.maps])
            least = 1 / len(attribute.maps[0])
            prices: Floats = (shares - least) / (1 - least) if least < 1 else shares * 0
            return prices
        case _:
            assert_never(quality)


def _thinned(lattice: Lattice, levels: Codes, dropped: Mask) -> tuple[Codes, Mask]:
    """Where the loss forgives dropping, the dearest classes are dropped too, as long as that pays and is allowed."""
    quality = lattice.quality
    if not isinstance(quality, Loss | Precision) or quality.gs >= 0.5:
        return levels, dropped
    table = lattice.nodes.table
    counts = table.finest.sizes
    _, suppressed = factors(quality.gs)
    cost = np.full(len(counts), -suppressed * len(lattice.nodes.attributes))
    for attribute, codes, level in zip(lattice.nodes.attributes, table.codes, levels.T, strict=True):
        cost += _prices(quality, attribute, codes, counts)[level, codes]
    place, number = numbered([*levels.T, *_shown(lattice, levels)], len(counts))
    sizes = np.bincount(place, weights=np.where(dropped, 0, counts), minlength=number)
    paid = np.bincount(place, weights=np.where(dropped, 0, cost * counts), minlength=number)
    left = lattice.droppable_rows - int(counts[dropped].sum())
    gone = np.zeros(number, dtype=bool)
    for dearest in np.argsort(-paid / np.maximum(sizes, 1), kind="stable").tolist():
        if paid[dearest] <= 0:
            break
        if sizes[dearest] <= left:
            gone[dearest] = True
            left -= int(sizes[dearest])
    thinner = dropped | gone[place]
    return np.where(thinner[:, None], 0, levels), thinner


def _shown(lattice: Lattice, levels: Codes) -> list[Codes]:
    return [
        np.stack(attribute.maps)[level, codes]
        for attribute, level, codes in zip(
            lattice.nodes.attributes, levels.T, lattice.nodes.table.codes, strict=True
        )
    ]


class _Climb:
    """The way of the tuples up the lattice; `least` rows are asked of every class beside the criteria."""

    def __init__(
        self, lattice: Lattice, through: Levels, least: int, progress: Callable[[int, int], None] | None
    ) -> None:
        self.lattice = lattice
        self.attributes = lattice.nodes.attributes
        self.table = lattice.nodes.table
        self.progress = progress
        self.criteria: list[KAnonymity | Criterion] = [KAnonymity(least), *lattice.class_wise]
        self.needed = _rows_needed(self.criteria)
        counts = self.table.finest.sizes
        self.prices = [
            _prices(lattice.quality, attribute, codes, counts) / len(self.attributes)
            for attribute, codes in zip(self.attributes, self.table.codes, strict=True)
        ]
        # Equal cells have equal hashes, and a tuple's is their sum: enough to say that a node has no class.
        chance = np.random.Generator(np.random.PCG64(0))
        self.hashes = [
            np.stack([chance.integers(0, 1 << 64, len(m), np.uint64)[m] for m in attribute.maps])
            for attribute in self.attributes
        ]
        self.nodes = _nodes(self.attributes, through, self.prices, self.table)

    def freely(self) -> tuple[Codes, Mask]:
        """Levels for all tuples, and which are left over."""
        self._begin(self.table.finest)
        self._climb(self.nodes, None)
        left = np.zeros(len(self.table.finest), dtype=bool)
        left[self.left.tuples] = True
        if int(self.left.sizes.sum()) > self.lattice.droppable_rows and len(self.left) < _FEW:
            self._attach(left)
        return self.levels, left

    def within(self, node: Levels, gone: Mask) -> tuple[Codes, Mask]:
        """The classes of a node that holds, each split only so that what is left of it still holds."""
        place = self.lattice.nodes.places(node)
        below = self.nodes[(self.nodes <= np.array(node)).all(axis=1)]
        self._begin(self.table.finest.only(~gone))
        self._climb(below, place)
        self.levels[self.left.tuples] = node
        levels = self.levels.copy()
        # What the node drops may still find its like on its own.
        self._begin(self.table.finest.only(gone))
        self._climb(self.nodes, None)
        levels[gone] = self.levels[gone]
        dropped = np.zeros(len(gone), dtype=bool)
        dropped[self.left.tuples] = True
        return levels, dropped

    def _begin(self, classes: Classes) -> None:
        self._leave(classes)
        self.levels = np.zeros((len(self.table.finest), len(self.attributes)), dtype=np.int64)

    def _leave(self, classes: Classes) -> None:
        self.left = classes
        self.codes = [codes[classes.tuples] for codes in self.table.codes]

    def _climb(self, nodes: Codes, parents: Codes | None) -> None:
        """Release class after class; with `parents`, none whose going would leave a parent that does not hold."""
        late: list[tuple[float, int, Levels]] = []
        done = 0
        while len(nodes) and len(self.left):
            prices = self._floors(nodes)
            order = np.argsort(prices, kind="stable")
            nodes, prices = nodes[order], prices[order]
            stale = len(self.left) * _STALE
            seen = 0
            while seen < len(nodes) and len(self.left) and (len(self.left) > stale or not seen):
                rows = int(np.minimum(self.left.sizes, self.needed).sum())
                step = max(1, _CELLS // max(1, rows))
                batch = nodes[seen : seen + step]
                for place in np.flatnonzero(self._promising(batch)).tolist():
                    price = float(prices[seen + place])
                    self._wait(late, price, parents)
                    self._release(batch[place], price, late, parents)
                seen += step
                if self.progress is not None:
                    self.progress(done + min(seen, len(nodes)), done + len(nodes))
            done += min(seen, len(nodes))
            nodes = nodes[seen:]
        self._wait(late, np.inf, parents)

    def _wait(self, late: list[tuple[float, int, Levels]], price: float, parents: Codes | None) -> None:
        """Look again at the nodes whose classes were too dear, up to a price."""
        while late and late[0][0] <= price and len(self.left):
            due, _, node = heapq.heappop(late)
            self._release(np.array(node), due, late, parents)

    def _floors(self, nodes: Codes) -> Floats:
        """What each node costs the mean row of the tuples that are left."""
        total = np.zeros(len(nodes))
        for place, (codes, prices) in enumerate(zip(self.table.codes, self.prices, strict=True)):
            held = np.bincount(codes[self.left.tuples], weights=self.left.sizes, minlength=prices.shape[1])
            total += (prices @ held)[nodes[:, place]]
        found: Floats = total / self.left.sizes.sum()
        return found

    def _promising(self, nodes: Codes) -> Mask:
        """Which nodes may have a class of as many rows as are needed."""
        rows = np.repeat(np.arange(len(self.left)), np.minimum(self.left.sizes, self.needed))
        if len(rows) < self.needed:
            return np.zeros(len(nodes), dtype=bool)
        keys = np.zeros((len(nodes), len(rows)), dtype=np.uint64)
        for place, (codes, hashes) in enumerate(zip(self.codes, self.hashes, strict=True)):
            keys += hashes[:, codes[rows]][nodes[:, place]]
        keys.sort(axis=1)
        same = keys[:, self.needed - 1 :] == keys[:, : len(rows) - self.needed + 1]
        found: Mask = same.any(axis=1)
        return found

    def _release(
        self, node: Codes, price: float, late: list[tuple[float, int, Levels]], parents: Codes | None
    ) -> None:
        """Let the classes of a node stay that hold the criteria at that price, and note when the dearer ones are due."""
        left = self.left
        place, number = numbered(
            [
                attribute.maps[level][codes]
                for attribute, level, codes in zip(self.attributes, node, self.codes, strict=True)
            ],
            len(left),
        )
        sizes = np.bincount(place, weights=left.sizes, minlength=number)
        large = sizes >= self.needed
        if not large.any():
            return
        inside = large[place]
        renamed = np.cumsum(large) - 1
        classes = left.only(inside).merged(renamed[place[inside]], int(large.sum()))
        good = np.ones(len(classes), dtype=bool)
        for criterion in self.criteria:
            if not isinstance(criterion, AverageRisk | SampleUniqueness | PopulationUniqueness):
                good &= criterion.holds(classes)
        cost = sum(
            prices[level][codes] for prices, level, codes in zip(self.prices, node, self.codes, strict=True)
        )
        mean = np.bincount(place, weights=cost * left.sizes, minlength=number)[large] / classes.sizes
        dear = good & (mean > _SLACK * price)
        if dear.any():
            heapq.heappush(late, (float(mean[dear].min()), len(late), tuple(node.tolist())))
        good &= ~dear
        going = np.zeros(len(left), dtype=bool)
        going[inside] = good[renamed[place[inside]]]
        if parents is not None and going.any():
            going &= self._spared(going, parents[left.tuples])
        if going.any():
            self.levels[left.tuples[going]] = node
            self._leave(left.only(~going))

    def _spared(self, going: Mask, parents: Codes) -> Mask:
        """Which tuples have a parent that still holds, or is empty, without those that go."""
        rest = self.left.only(~going)
        place, number = numbered([parents[~going]], len(rest))
        holds = np.ones(number, dtype=bool)
        made = rest.merged(place, number)
        for criterion in self.criteria:
            if len(made) and not isinstance(criterion, AverageRisk | SampleUniqueness | PopulationUniqueness):
                holds &= criterion.holds(made)
        broken = np.unique(parents[~going][~holds[place]])
        return ~np.isin(parents, broken)

    def _attach(self, left: Mask) -> None:
        """Put what is left over to classes that stand, raising each as little as it takes."""
        for tuple_ in np.flatnonzero(left).tolist():
            standing = np.flatnonzero(~left)
            if not len(standing):
                return
            joined = np.empty((len(standing), len(self.attributes)), dtype=np.int64)
            cost = np.zeros(len(standing))
            for place, (attribute, codes, prices) in enumerate(
                zip(self.attributes, self.table.codes, self.prices, strict=True)
            ):
                level = self.levels[standing, place]
                meet = np.full(len(standing), attribute.top)
                for lower in range(attribute.top - 1, -1, -1):
                    mapping = attribute.maps[lower]
                    meet[(mapping[codes[standing]] == mapping[codes[tuple_]]) & (lower >= level)] = lower
                joined[:, place] = meet
                cost += prices[meet, codes[standing]] - prices[level, codes[standing]]
            of_class, number = numbered([*self.levels[standing].T, *self._at(standing)], len(standing))
            counts = self.table.finest.sizes[standing]
            best = of_class == np.argmin(np.bincount(of_class, weights=cost * counts, minlength=number))
            # All of a class agree at its levels, so they meet the newcomer at the same ones.
            self.levels[standing[best]] = self.levels[tuple_] = joined[best][0]
            left[tuple_] = False

    def _at(self, tuples: Codes) -> list[Codes]:
        return [
            np.stack(attribute.maps)[self.levels[tuples, place], codes[tuples]]
            for place, (attribute, codes) in enumerate(zip(self.attributes, self.table.codes, strict=True))
        ]


def _nodes(
    attributes: Sequence[Attribute], through: Levels, prices: Sequence[Floats], table: Tuples
) -> Codes:
    """The nodes to climb: all of them, or where they are too many those of fewer levels, the given node's among them."""
    tried = [list(range(attribute.top + 1)) for attribute in attributes]
    counts = table.finest.sizes
    costs = [
        price @ np.bincount(codes, weights=counts, minlength=price.shape[1])
        for price, codes in zip(prices, table.codes, strict=True)
    ]

    def gained(place: int, level: int) -> float:
        """What leaving a level out may cost: how far the next higher one that is tried is above it."""
        above = tried[place][tried[place].index(level) + 1]
        return float(costs[place][above] - costs[place][level])

    while np.prod([float(len(levels)) for levels in tried]) > MAX_NODES:
        choices = [
            (gained(place, level), place, level)
            for place, levels in enumerate(tried)
            for level in levels[:-1]
            if level != through[place]
        ]
        tops = [
            (np.inf, place, levels[-1])
            for place, levels in enumerate(tried)
            if len(levels) > 1 and levels[-1] != through[place]
        ]
        _, place, level = min(choices or tops)
        tried[place].remove(level)
    return np.stack(np.meshgrid(*tried, indexing="ij"), axis=-1).reshape(-1, len(tried)).astype(np.int64)
