"""Read the members of what people write (policies, declarations): whatever is wrong is refused by field, rule and remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Any, TypeVar, cast

from exchange.desensitization.errors import PolicyRefused

MAX_TREE_VALUES = 100_000

Word = TypeVar("Word", bound=str)


def members_of(
    data: object, field: str, required: set[str], optional: set[str] | None = None
) -> Mapping[str, Any]:
    """An object that has the required members and no unknown one."""
    if not isinstance(data, Mapping):
        raise refused(field, f"an object, found {type(data).__name__}", "write it in braces")
    for name in sorted(required - set(data)):
        raise refused(f"{field}.{name}", "required and missing", "add it")
    known = required | (optional or set())
    for name in sorted(str(key) for key in set(data) - known):
        raise refused(f"{field}.{name}", "unknown", f"remove it; known are {', '.join(sorted(known))}")
    return cast(Mapping[str, Any], data)


def items_of(data: object, field: str) -> Sequence[Any]:
    """A list."""
    if not isinstance(data, list | tuple):
        raise refused(field, f"a list, found {type(data).__name__}", "write it in brackets")
    return data


def flag_of(data: object, field: str) -> bool:
    """True or false."""
    if not isinstance(data, bool):
        raise refused(field, f"true or false, found {data!r}", "write true or false")
    return data


def one_of(data: object, field: str, known: Sequence[Word]) -> Word:
    """One of the words that are known here."""
    for word in known:
        if data == word:
            return word
    raise refused(field, f"one of {', '.join(known)}, found {data!r}", f"write {known[0]!r}")


def whole(data: object, field: str, low: int, high: int) -> int:
    """A whole number, as a string or an integer."""
    if isinstance(data, str) and data.isascii() and data.isdigit() and len(data) <= 15:
        data = int(data)
    if isinstance(data, bool) or not isinstance(data, int) or not low <= data <= high:
        raise refused(
            field, f"a whole number from {low} to {high}, found {data!r}", f"write {str(low)!r} or more"
        )
    return data


def number_of(data: object, field: str) -> Decimal:
    """A decimal number: a string, an integer, or a decimal fraction that TOML or JSON was read as, never a binary one."""
    number: Decimal | None = None
    try:
        if isinstance(data, Decimal):
            number = data
        elif (isinstance(data, str) and len(data) <= 24) or (
            isinstance(data, int) and not isinstance(data, bool)
        ):
            number = Decimal(data)
    except InvalidOperation:
        number = None
    # Thirteen digits either side of the point keep every quotient within decimal's 28 digits.
    if number is None or not number.is_finite() or abs(number.adjusted()) > 12:
        raise refused(field, f"a decimal number as a string, found {data!r}", 'write for example "0.5"')
    return number


def positive_of(data: object, field: str) -> Decimal:
    """A decimal number above zero."""
    number = number_of(data, field)
    if number <= 0:
        raise refused(field, f"a number above zero, found {plain(number)}", "write a positive number")
    return number


def paths_of(data: object, field: str) -> dict[str, tuple[str, ...]]:
    """The leaves of a tree, each with the names of its parents, all equally many."""
    if not isinstance(data, Mapping) or not 1 <= len(data) <= MAX_TREE_VALUES:
        raise refused(field, f"1 to {MAX_TREE_VALUES} values, each with its path", "name the parents")
    read: dict[str, tuple[str, ...]] = {}
    parents: dict[tuple[int, str], str] = {}
    for value, path in data.items():
        steps = tuple(items_of(path, f"{field}[{value!r}]"))
        if any(not isinstance(step, str) or not step for step in steps):
            raise refused(f"{field}[{value!r}]", "parents are non-empty strings", "name each parent")
        read[str(value)] = steps
        for level, (child, parent) in enumerate(pairwise(steps)):
            if parents.setdefault((level, child), parent) != parent:
                raise refused(
                    f"{field}[{value!r}]",
                    f"{child!r} has two parents, {parent!r} and {parents[level, child]!r}",
                    "give every group one parent",
                )
    if len({len(path) for path in read.values()}) != 1:
        raise refused(field, "all paths are equally long", "repeat a parent where a level is missing")
    return read


def plain(number: Decimal) -> str:
    """A decimal without exponent or trailing zeros: one number, one spelling."""
    text = format(number.normalize(), "f")
    return "0" if text in ("-0", "0") else text


def refused(field: str, rule: str, remedy: str) -> PolicyRefused:
    """The refusal of one member."""
    return PolicyRefused(f"{field}: {rule}", field=field, rule=rule, remedy=remedy)
