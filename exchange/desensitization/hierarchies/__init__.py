"""Generalize distinct values: what each becomes at each level, and whether a value can have come from a level.

Level 0 is the value itself, the last level is `*`. Levels nest: two values that agree at one level agree at
every level above, so that raising a level can only merge classes.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, assert_never

import pyarrow as pa

from exchange.desensitization.errors import PolicyRefused
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
    Step,
    Tree,
    Whole,
)
from exchange.desensitization.policy.members import plain

ALL = "*"

Labels = list[str | None]


def labels(column: str, hierarchy: Hierarchy, level: int, values: Any) -> Labels:
    """The label of each of the Arrow array's values at a level above 0. NULL stays NULL below `*` and is `*` there.

    Raises PolicyRefused where a value does not fit the hierarchy, naming the column and never the value.
    """
    if level == hierarchy.height:
        return [ALL] * len(values)
    label = labeller(hierarchy, level)
    made: Labels = []
    for value in values.to_pylist():
        if value is None:
            made.append(None)
            continue
        try:
            made.append(label(value))
        except (KeyError, ValueError, InvalidOperation, TypeError) as error:
            raise PolicyRefused(
                f"a value of column {column!r} does not fit its hierarchy ({type(hierarchy).__name__.lower()})",
                field=column,
                rule="every value of the column has a place in its hierarchy",
                remedy="choose another hierarchy, add the missing values to the tree, or suppress the column",
            ) from error
    return made


def labeller(hierarchy: Hierarchy, level: int) -> Callable[[Any], str]:
    """The function from a value to its label at a level between 0 and the top, both excluded."""
    match hierarchy:
        case Interval():
            return _interval_labeller(hierarchy, hierarchy.widths[level - 1])
        case Dates(steps):
            step = steps[level - 1]
            return lambda value: date_label(step, _date(value))
        case Prefix(keep):
            length = keep[level - 1]
            return lambda value: _cut(str(value), length)
        case Tree(paths):
            return lambda value: paths[text(value)][level - 1]
        case Cuts(cuts):
            return lambda value: _between(cuts[level - 1], _number(value))
        case Region(levels):
            digits = _DIGITS[levels[level - 1]]
            return lambda value: _division(divisions.code_of(text(value)), digits)
        case Frequent(kept):
            named, rest = frozenset(kept[level - 1]), _other(kept[level - 1])
            return lambda value: text(value) if text(value) in named else rest
        case Whole():
            raise ValueError("a whole hierarchy has no level between the value and *")
        case _:
            assert_never(hierarchy)


def fits(hierarchy: Hierarchy, level: int, label: str) -> bool:
    """Whether a text can be a label of that level: what the exchange checks on a column declared as generalized."""
    if label == ALL:
        return True
    if level == hierarchy.height:
        return False
    if level == 0:
        return True
    match hierarchy:
        case Interval():
            return _is_interval(hierarchy, hierarchy.widths[level - 1], label)
        case Dates(steps):
            return re.fullmatch(_DATE_LABELS[steps[level - 1]], label) is not None
        case Prefix(keep):
            length = keep[level - 1]
            return len(label) <= length or set(label[length:]) <= {ALL}
        case Tree(paths):
            return any(path[level - 1] == label for path in paths.values())
        case Cuts(cuts):
            return label in {
                _between(cuts[level - 1], cut) for cut in (cuts[level - 1][0] - 1, *cuts[level - 1])
            }
        case Region(levels):
            digits = _DIGITS[levels[level - 1]]
            return (
                label[:digits].isascii()
                and label[:digits].isdigit()
                and label == _division(label[:6], digits)
            )
        case Frequent(kept):
            return label in kept[level - 1] or label == _other(kept[level - 1])
        case Whole():
            return False
        case _:
            assert_never(hierarchy)


def fits_some(hierarchy: Hierarchy, label: str) -> bool:
    """Whether a text can be a value of the hierarchy or a label of any level: what a recoded column may show."""
    if any(fits(hierarchy, level, label) for level in range(1, hierarchy.height + 1)):
        return True
    if hierarchy.height == 1:
        return True
    try:
        labeller(hierarchy, 1)(label)
    except (KeyError, ValueError, InvalidOperation):
        return False
    return True


_DATE_LABELS: dict[Step, str] = {
    "month": r"[0-9]{4}-(0[1-9]|1[0-2])",
    "quarter": r"[0-9]{4}-Q[1-4]",
    "year": r"[0-9]{4}",
    "decade": r"[0-9]{3}0s",
}


def date_label(step: Step, day: date) -> str:
    """`2025-03`, `2025-Q1`, `2025`, `2020s`."""
    match step:
        case "month":
            return f"{day.year:04d}-{day.month:02d}"
        case "quarter":
            return f"{day.year:04d}-Q{(day.month + 2) // 3}"
        case "year":
            return f"{day.year:04d}"
        case "decade":
            return f"{day.year // 10 * 10:04d}s"
        case _:
            assert_never(step)


def text(value: Any) -> str:
    """A value as the policy's trees name it."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _interval_labeller(hierarchy: Interval, width: Decimal) -> Callable[[Any], str]:
    def label(value: Any) -> str:
        number = _number(value)
        if hierarchy.below is not None and number < hierarchy.below:
            return f"< {plain(hierarchy.below)}"
        if hierarchy.from_ is not None and number >= hierarchy.from_:
            return f">= {plain(hierarchy.from_)}"
        low = (number - hierarchy.origin) // width * width + hierarchy.origin
        # Decimal's // truncates towards zero; intervals need the floor.
        if low > number:
            low -= width
        return f"[{plain(low)}, {plain(low + width)})"

    return label


_INTERVAL = re.compile(r"\[(-?[0-9]+(?:\.[0-9]+)?), (-?[0-9]+(?:\.[0-9]+)?)\)")


def _is_interval(hierarchy: Interval, width: Decimal, label: str) -> bool:
    if hierarchy.below is not None and label == f"< {plain(hierarchy.below)}":
        return True
    if hierarchy.from_ is not None and label == f">= {plain(hierarchy.from_)}":
        return True
    found = _INTERVAL.fullmatch(label)
    if found is None or len(label) > 64:
        return False
    low, high = Decimal(found[1]), Decimal(found[2])
    return high - low == width and (low - hierarchy.origin) % width == 0


def _between(cuts: tuple[Decimal, ...], number: Decimal) -> str:
    place = bisect_right(cuts, number)
    if place == 0:
        return f"< {plain(cuts[0])}"
    if place == len(cuts):
        return f">= {plain(cuts[-1])}"
    return f"[{plain(cuts[place - 1])}, {plain(cuts[place])})"


_DIGITS: dict[Division, int] = {"county": 6, "prefecture": 4, "province": 2}


def _division(code: str, digits: int) -> str:
    """`4403** 广东省深圳市`: the code cut to its level, and the names that it has."""
    return f"{code[:digits]}{ALL * (6 - digits)} {divisions.name_of(code[:digits])}".rstrip()


def _other(kept: tuple[str, ...]) -> str:
    """The rest beside the values that stay; fewer stay from level to level, so no two levels share the label."""
    return f"other than {len(kept)}"


def _number(value: Any) -> Decimal:
    if isinstance(value, bool):
        raise ValueError("a truth value is no number")
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite() or abs(number) >= 10**15:
        raise ValueError("out of range")
    return number


def _date(value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    found = _WRITTEN.match(str(value))
    if found is None:
        raise ValueError("no date")
    year, month, day = (part for part in found.groups() if part is not None)
    return date(int(year), int(month), int(day))


# Whole dates only: the month of 2025-11 must not be read as the first of January.
_WRITTEN = re.compile(
    r"(?:(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})|(\d{4})年(\d{1,2})月(\d{1,2})日?|(\d{4})(\d{2})(\d{2}))(?!\d)"
)


def _cut(code: str, length: int) -> str:
    return code[:length] + ALL * max(0, len(code) - length)


def dates(values: Any) -> list[date | None]:
    """The dates of an Arrow array whose values all read as such; times lose their hours."""
    return [None if value is None else _date(value) for value in values.to_pylist()]


def is_dated(values: Any) -> bool:
    """Whether every value of an Arrow array reads as a date."""
    if pa.types.is_date(values.type) or pa.types.is_timestamp(values.type):
        return True
    try:
        for value in values.to_pylist():
            if value is not None:
                _date(value)
    except ValueError:
        return False
    return True
