"""What a desensitization cost and how far it can be turned back: the loss that the policy chose, and four indices a column.

The four dimensions are those of T/CSAC 007-2024 (clauses 6.2 to 6.5: 可逆性, 信息偏差性, 信息损失性, 复杂性). Of that
standard the table of contents is public and was read: it names inverse mapping, dictionary and statistical attacks
for the first (annex C), the mean absolute error and the Kullback-Leibler divergence among others for the second
(annex D). Its full text was **not** read, so how each index is computed here is ours and is said at `Index`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exchange.desensitization.detection.detect import Column
from exchange.desensitization.enforcement import quality_of
from exchange.desensitization.policy import (
    KEYED,
    Generalize,
    Keep,
    Microaggregate,
    Noise,
    Recode,
    ShiftDates,
    Suppress,
    Technique,
)
from exchange.desensitization.policy.requirements import LossModel
from exchange.desensitization.search import losses
from exchange.desensitization.search.classes import Codes, Floats, Mask, Tuples, encode, numbered, tuples
from exchange.desensitization.search.local import cells, mixed_loss
from exchange.desensitization.search.losses import Attribute
from exchange.desensitization.techniques import Changed

SOURCE = "T/CSAC 007-2024"
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Index:
    """The four indices of one column, each in parts per million of the worst.

    `reversibility_ppm`: the cells of the product whose raw value is guessed by who knows the policy and the raw
    table's values with their frequencies, and no key. He turns the technique back and takes the most frequent raw
    value behind what he sees (inverse mapping, dictionary); behind keyed pseudonyms and tokens he matches the
    frequencies, guessing among equal ones; behind noise and moved dates he takes the nearest raw value; of a removed
    column he names the most frequent value.

    `deviation_ppm`: where numbers or dates stay such, the mean absolute error in the raw range; else the
    Kullback-Leibler divergence, in that of a single value of so many, from the raw shares to those that a reader of
    the product would assume: each label's rows spread evenly over the values behind it, and dropped rows, removed
    columns and keyed values over all.

    `loss_ppm`: the raw column's entropy that is left when the product is known, dropped rows being one label.

    `complexity_ppm`: how often the technique is computed, in rows: once a distinct value where the value alone
    decides, once a row where it does not, never for a column that is kept or removed. The rest, handing the values
    to their rows and sorting them, is the same for all.
    """

    reversibility_ppm: int
    deviation_ppm: int
    loss_ppm: int
    complexity_ppm: int

    def to_json(self) -> dict[str, str]:
        """Numbers as strings."""
        return {
            "reversibility_ppm": str(self.reversibility_ppm),
            "deviation_ppm": str(self.deviation_ppm),
            "loss_ppm": str(self.loss_ppm),
            "complexity_ppm": str(self.complexity_ppm),
        }


def overall(found: Mapping[str, Index], sensitive: Sequence[str]) -> Index:
    """The mean over the columns that can harm a person (identifiers and sensitive ones), or over all where there is none."""
    counted = [index for name, index in found.items() if name in sensitive] or list(found.values())

    def mean(values: Sequence[int]) -> int:
        return -(-sum(values) // len(values))

    return Index(
        mean([index.reversibility_ppm for index in counted]),
        mean([index.deviation_ppm for index in counted]),
        mean([index.loss_ppm for index in counted]),
        mean([index.complexity_ppm for index in counted]),
    )


def index_of(raw: Column, technique: Technique, shown: Changed | None, kept: Mask) -> Index:
    """The indices of one column, of whose rows `kept` cross."""
    pairs = _Pairs.of(raw, shown, kept)
    return Index(
        reversibility_ppm=_ppm(_reversibility(raw, technique, shown, kept, pairs)),
        deviation_ppm=_ppm(_deviation(raw, technique, shown, kept, pairs)),
        loss_ppm=MILLION if shown is None else _ppm(pairs.unknown()),
        complexity_ppm=_ppm(_evaluations(raw, technique) / raw.rows),
    )


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Kept rows counted by raw value and label, and raw values counted in all rows."""

    raw: Codes
    label: Codes
    count: Codes
    total: Codes

    @classmethod
    def of(cls, raw: Column, shown: Changed | None, kept: Mask) -> _Pairs:
        codes, number = raw.coded.codes, raw.coded.cardinality
        total = np.bincount(codes, minlength=number).astype(np.int64)
        if shown is None or shown.codes is codes:
            # The value alone decides: every raw value has one label.
            left = np.bincount(codes[kept], minlength=number).astype(np.int64)
            seen = np.flatnonzero(left)
            labels = np.zeros(number, np.int64) if shown is None else encode(shown.values).codes
            return cls(seen, labels[seen], left[seen], total)
        labels = encode(shown.values).codes[shown.codes[kept]]
        place, pairs = numbered([codes[kept], labels], len(labels))
        first = np.zeros(pairs, dtype=np.int64)
        first[place[::-1]] = np.arange(len(place) - 1, -1, -1)
        count = np.bincount(place, minlength=pairs).astype(np.int64)
        return cls(codes[kept][first], labels[first], count, total)

    def unknown(self) -> float:
        """The share of the raw column's entropy that the labels leave."""
        rows = self.total.sum()
        whole = _entropy(self.total) * rows
        if whole <= 0:
            return 0.0
        kept = np.bincount(self.raw, weights=self.count, minlength=len(self.total)).astype(np.int64)
        by_label = np.bincount(self.label, weights=self.count)
        inside = float(-(self.count * np.log2(self.count / by_label[self.label])).sum())
        dropped = self.total - kept
        return float((inside + _entropy(dropped) * dropped.sum()) / whole)

    def assumed(self, *, blind: bool) -> Floats:
        """The share of each raw value that a reader assumes; a `blind` one cannot tell one label from another."""
        number, rows = len(self.total), self.total.sum()
        label = np.zeros_like(self.label) if blind else self.label
        behind = np.full(len(label), number) if blind else np.bincount(label)[label]
        by_label = np.bincount(label, weights=self.count)
        spread = np.full(number, (rows - self.count.sum()) / number)
        if blind:
            spread += by_label.sum() / number
        else:
            spread += np.bincount(self.raw, weights=by_label[label] / behind, minlength=number)
        return np.asarray(spread / rows, np.float64)


def _reversibility(
    raw: Column, technique: Technique, shown: Changed | None, kept: Mask, pairs: _Pairs
) -> float:
    rows = int(np.count_nonzero(kept))
    counts = np.bincount(pairs.raw, weights=pairs.count, minlength=1)
    if shown is None:
        return float(counts.max()) / rows
    if isinstance(technique, KEYED):
        null = pairs.count[
            [value is None for value in raw.coded.values.take(pa.array(pairs.raw)).to_pylist()]
        ]
        # Of the values that come equally often one is guessed right on the average.
        frequencies = np.unique(counts[counts > 0])
        return float(min(rows, frequencies.sum() + null.sum())) / rows
    if isinstance(technique, Noise | ShiftDates):
        line = _line(raw.coded.values)
        known = np.unique(line[~np.isnan(line)])
        seen, true = _line(shown.values)[shown.codes[kept]], line[raw.coded.codes[kept]]
        after = np.clip(np.searchsorted(known, seen), 0, len(known) - 1)
        before = np.clip(after - 1, 0, len(known) - 1)
        nearest = np.where(
            np.abs(known[before] - seen) <= np.abs(known[after] - seen), known[before], known[after]
        )
        return float(((nearest == true) | (np.isnan(true) & np.isnan(seen))).sum()) / rows
    most = np.zeros(int(pairs.label.max()) + 1, dtype=np.int64)
    np.maximum.at(most, pairs.label, pairs.count)
    return float(most.sum()) / rows


def _deviation(raw: Column, technique: Technique, shown: Changed | None, kept: Mask, pairs: _Pairs) -> float:
    if shown is not None and _is_line(raw.coded.values.type) and _is_line(shown.values.type):
        line, made = _line(raw.coded.values), _line(shown.values)
        span = float(np.nanmax(line) - np.nanmin(line)) if np.isfinite(line).any() else 0.0
        if span <= 0:
            return 0.0
        error = np.abs(made[shown.codes[kept]] - line[raw.coded.codes[kept]]) / span
        return min(1.0, float(np.nanmean(error))) if np.isfinite(error).any() else 0.0
    if len(pairs.total) <= 1:
        return 0.0
    share = pairs.total / pairs.total.sum()
    assumed = pairs.assumed(blind=shown is None or isinstance(technique, KEYED))
    seen = share > 0
    apart = float((share[seen] * np.log2(share[seen] / assumed[seen])).sum())
    return max(0.0, apart) / float(np.log2(len(pairs.total)))


def _evaluations(raw: Column, technique: Technique) -> int:
    match technique:
        case Keep() | Suppress():
            return 0
        case Noise() | ShiftDates() | Recode():
            return raw.rows
        case Microaggregate(_, _, together) if together is not None:
            return raw.rows
        case _:
            return raw.coded.cardinality


def _entropy(counts: Codes) -> float:
    """In bits."""
    share = counts[counts > 0] / max(1, counts.sum())
    return float(-(share * np.log2(share)).sum())


def _is_line(kind: Any) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_date(kind)
        or pa.types.is_timestamp(kind)
    )


def _line(values: Any) -> Floats:
    """Numbers or moments as floats, NULL as NaN."""
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("s"))
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    made: Floats = pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False)
    return made


def _ppm(share: float) -> int:
    return round(share * MILLION)


def utility(
    quasi: Mapping[str, tuple[Column, Technique, Changed | None]], loss: LossModel, kept: Mask
) -> tuple[float, ...]:
    """The loss that the policy chose, over the quasi-identifiers, as the search counts it.

    A removed column stands at the top of a hierarchy of one level. Rows of a recoded column count at levels of their
    own (`local.mixed_loss`); a technique that looks at rows in another way counts as what it makes of them.
    """
    if not quasi:
        return (0.0,)
    rows = len(kept)
    if loss.name == "loss":
        return _cells(quasi, loss, kept)
    attributes, codes, levels = [], [], []
    for name, (column, technique, shown) in quasi.items():
        maps, code, level = _stands(column, technique, shown)
        attributes.append(Attribute(name, maps))
        codes.append(code)
        levels.append(level)
    table, place = tuples([*codes, *levels, kept.astype(np.int64)], {}, np.ones(rows, np.int64))
    first = np.zeros(len(table.finest), dtype=np.int64)
    first[place[::-1]] = np.arange(rows - 1, -1, -1)
    standing = np.stack([level[first] for level in levels], axis=1)
    shown_cells = [
        cells(attribute)[level[first], code[first]]
        for attribute, level, code in zip(attributes, levels, codes, strict=True)
    ]
    classes, _ = numbered(shown_cells, len(first))
    of_columns = Tuples(table.codes[: len(attributes)], table.finest, rows)
    return mixed_loss(quality_of(loss, list(quasi)), attributes, of_columns, standing, classes, ~kept[first])


def _stands(
    column: Column, technique: Technique, shown: Changed | None
) -> tuple[tuple[Codes, ...], Codes, Codes]:
    """A column's levels, its rows' values, and the level at which each row stands."""
    code, number, rows = column.coded.codes, column.coded.cardinality, column.rows
    same = np.arange(number, dtype=np.int64)
    if shown is None:
        return (same, np.zeros_like(same)), code, np.ones(rows, np.int64)
    match technique:
        case Keep():
            return (same, np.zeros_like(same)), code, np.zeros(rows, np.int64)
        case Recode():
            labels = encode(shown.values).codes.reshape(-1, number)
            return tuple(encode(pa.array(level)).codes for level in labels), code, shown.codes // number
        case Generalize(hierarchy, level):
            made = encode(shown.values).codes
            maps = (same,) * level + (made,) * (hierarchy.height - level + 1)
            return maps, code, np.full(rows, level, np.int64)
        case _ if shown.codes is code:
            return (same, encode(shown.values).codes), code, np.ones(rows, np.int64)
        case _:
            made = encode(shown.values).codes[shown.codes]
            return (np.arange(len(shown.values), dtype=np.int64),), made, np.zeros(rows, np.int64)


def _cells(
    quasi: Mapping[str, tuple[Column, Technique, Changed | None]], loss: LossModel, kept: Mask
) -> tuple[float, ...]:
    generalized, suppressed = losses.factors(float(loss.gs))
    values = []
    for column, _, shown in quasi.values():
        rows, size = column.rows, column.coded.cardinality
        # What a cell lost, as the share of the domain that it stands for.
        lost = np.ones(rows) if shown is None else shown.loss
        share = (lost * (size - 1) + 1) / size
        gone = share[~kept] + suppressed * (1 - share[~kept])
        whole = float(share[kept].sum()) * generalized + float(gone.sum())
        least = generalized * rows / size
        values.append(max(0.0, (whole - least) / (rows - least)) if rows > least else 0.0)
    named = dict(loss.weights)
    weights = np.array([float(named.get(name, 1)) for name in quasi])
    made = losses.aggregate(np.array(values), weights / weights.max(), loss.aggregate)
    return tuple(float(value) for value in np.atleast_1d(made))
