"""The hierarchy of a column for which none is declared, built from its data by rules that anyone can check.

- Dates: month, quarter, year; birth dates also decades.
- Ages: intervals of 5, 10 and 20 years. Coordinates: of 0.01, 0.1 and 1 degree.
- Divisions whose every value GB/T 2260 knows, by code or by name: county (of longer codes), prefecture, province.
  Postal codes and other divisions of one length: their first four and two digits, or three and one of short ones.
- Numbers of more than ten values: equal intervals, a fortieth of the span wide (to the next 1, 2 or 5 times a power of
  ten), then twice, four and eight times that. Where half of the rows or more fall into one of the widest, the column
  is too skewed for that: cuts at its sixteenths, eighths, quarters and its median, with two significant digits.
  Equal intervals are open beyond the first and the last five percent or so: few people live there.
- Codes of one length (letters and digits): their beginnings, at the longest lengths at which a half and an eighth as
  many are left.
- Other texts of more than three values: the frequent ones stay, first those of 1 % of the rows and more, then those of
  5 %; none of fewer than 20 rows, for a policy names them and is read by others.
- Everything else: the value or `*`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exchange.desensitization import hierarchies
from exchange.desensitization.detection.detect import Column
from exchange.desensitization.hierarchies import divisions
from exchange.desensitization.policy import (
    Cuts,
    Dates,
    Division,
    Frequent,
    Hierarchy,
    Interval,
    Prefix,
    Region,
    Whole,
)
from exchange.desensitization.search.classes import Codes, Floats

_FREQUENT_PPM = (10_000, 50_000)
_FREQUENT_ROWS = 20


def default_hierarchy(column: Column, kind: str) -> Hierarchy:
    """The hierarchy that the column's kind and values call for."""
    values = column.distinct
    if kind in ("date", "birth_date") and hierarchies.is_dated(values):
        return Dates(
            ("month", "quarter", "year", "decade") if kind == "birth_date" else ("month", "quarter", "year")
        )
    if kind == "coordinates" and pa.types.is_floating(column.type):
        return Interval(Decimal(0), (Decimal("0.01"), Decimal("0.1"), Decimal(1)))
    if kind == "age" and _is_number(column.type):
        return _intervals(values, (Decimal(5), Decimal(10), Decimal(20)))
    texts = column.texts
    if kind == "region" and len(texts) and (levels := _divisions(texts)):
        return Region(levels)
    if kind in ("postal_code", "region") and len(texts):
        lengths = pc.unique(pc.utf8_length(texts)).to_pylist()
        digits = pc.all(pc.match_substring_regex(texts, "^[0-9]+$")).as_py()
        if digits and len(lengths) == 1 and 4 <= lengths[0] <= 12:
            return Prefix((4, 2) if lengths[0] >= 6 else (3, 1))
    if _is_number(column.type):
        return _of_numbers(column) if len(values) > 10 else Whole()
    if not len(texts):
        return Whole()
    return _of_codes(texts) or _of_texts(column)


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _divisions(texts: Any) -> tuple[Division, ...]:
    """The levels above divisions that are all known; none where one is not."""
    longer = False
    for value in texts.to_pylist():
        try:
            divisions.code_of(value)
        except ValueError:
            return ()
        longer |= value.isdigit() and len(value) > 6
    return ("county", "prefecture", "province") if longer else ("prefecture", "province")


def _of_numbers(column: Column) -> Hierarchy:
    values = column.distinct
    span = Decimal(repr(float(pc.max(values).as_py()) - float(pc.min(values).as_py())))
    base = _round_step(span / 40)
    equal = _intervals(values, (base, base * 2, base * 4, base * 8))
    numbers, rows = _with_rows(column)
    widest = np.floor(numbers / float(equal.widths[-1]))
    held = np.bincount(np.unique(widest, return_inverse=True)[1], weights=rows)
    if 2 * held.max() < rows.sum():
        return equal
    return _quantiles(numbers, rows) or equal


def _with_rows(column: Column) -> tuple[Floats, Codes]:
    """The distinct numbers, rising, and how many rows have each."""
    values = column.coded.values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    rows = np.bincount(column.coded.codes, minlength=len(values)).astype(np.int64)
    order = np.argsort(values, kind="stable")
    order = order[np.isfinite(values[order])]
    return values[order], rows[order]


def _quantiles(numbers: Floats, rows: Codes) -> Cuts | None:
    """Cuts at the sixteenths of the rows, then at every second of them; none where the values are too few for it."""
    reached = np.cumsum(rows) / rows.sum()
    at = numbers[np.searchsorted(reached, np.arange(1, 16) / 16)]
    levels: list[tuple[Decimal, ...]] = []
    for step in (1, 2, 4, 8):
        short = {_two_digits(value) for value in at[step - 1 :: step].tolist()}
        cuts = tuple(sorted(short if not levels else short & set(levels[-1])))
        if cuts and (not levels or len(cuts) < len(levels[-1])):
            levels.append(cuts)
    return Cuts(tuple(levels)) if levels else None


def _two_digits(value: float) -> Decimal:
    number = Decimal(repr(value))
    return number if not number else round(number, 1 - number.adjusted()).normalize()


def _intervals(values: Any, widths: tuple[Decimal, ...]) -> Interval:
    """Nested intervals from 0, with open ones beyond the outermost percents, as long as these take few values in."""
    numbers = np.sort(values.cast(pa.float64()).to_numpy(zero_copy_only=False))
    widest = widths[-1]

    def bound(place: float, first: str, then: str, most: float, side: str) -> Decimal | None:
        """Where the widest interval that a value lies in ends towards the middle, or else away from it."""
        value = Decimal(repr(float(numbers[int((len(numbers) - 1) * place)])))
        for rounding in (first, then):
            edge = (value / widest).to_integral_value(rounding) * widest
            below = int(np.searchsorted(numbers, float(edge), "left"))
            taken = below if side == "below" else len(numbers) - below
            if 0 < taken <= most * len(numbers):
                return edge
        return None

    below = bound(0.01, "ROUND_CEILING", "ROUND_FLOOR", 0.05, "below")
    from_ = bound(0.95, "ROUND_FLOOR", "ROUND_CEILING", 0.15, "from")
    if below is not None and from_ is not None and below >= from_:
        return Interval(Decimal(0), widths)
    return Interval(Decimal(0), widths, below, from_)


def _round_step(step: Decimal) -> Decimal:
    """The next 1, 2 or 5 times a power of ten."""
    if step <= 0:
        return Decimal(1)
    power = Decimal(1).scaleb(step.adjusted())
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= step)


def _of_codes(texts: Any) -> Prefix | None:
    """Beginnings of codes of one length; none where they are no such codes, or all begin differently."""
    lengths = pc.unique(pc.utf8_length(texts)).to_pylist()
    if len(lengths) != 1 or not 4 <= lengths[0] <= 40:
        return None
    if not pc.all(pc.match_substring_regex(texts, "^[0-9A-Za-z]*[0-9][0-9A-Za-z]*$")).as_py():
        return None
    keep = []
    enough = len(texts) / 2
    for length in range(lengths[0] - 1, 0, -1):
        left = len(pc.unique(pc.utf8_slice_codeunits(texts, 0, length)))
        if left == 1:
            break
        if left <= enough:
            keep.append(length)
            enough /= 4
        if len(keep) == 2:
            break
    return Prefix(tuple(keep)) if keep else None


def _of_texts(column: Column) -> Hierarchy:
    values = column.coded.values.to_pylist()
    rows = np.bincount(column.coded.codes, minlength=len(values)).tolist()
    known = [
        (count, hierarchies.text(value))
        for count, value in zip(rows, values, strict=True)
        if value is not None
    ]
    if len(known) <= 3:
        return Whole()
    levels: list[tuple[str, ...]] = []
    for share in _FREQUENT_PPM:
        least = max(_FREQUENT_ROWS, share * column.rows / 1_000_000)
        kept = tuple(sorted(value for count, value in known if count >= least))
        if kept and len(kept) < (len(levels[-1]) if levels else len(known)):
            levels.append(kept)
    return Frequent(tuple(levels)) if levels else Whole()
