"""What is done to each column, as data: parsed with named errors, written canonically, bound by a digest.

A policy is a JSON object (numbers are strings, so that it can stand in a log body):

    {"format": "data-asset-exchange-desensitization-policy@1",
     "requirements": {"k": "5", "l": "2", "suppression_limit_ppm": "40000"},
     "exempt_from_k": false,
     "columns": [
       {"name": "patient_id", "role": "direct_identifier", "technique": {"name": "pseudonymize"}},
       {"name": "name", "role": "direct_identifier", "technique": {"name": "suppress"}},
       {"name": "age", "role": "quasi_identifier", "technique": {"name": "generalize", "level": "2",
          "hierarchy": {"kind": "interval", "origin": "0", "widths": ["5", "10", "20"], "below": null, "from": "90"}}},
       {"name": "day", "role": "quasi_identifier", "technique": {"name": "generalize", "level": "1",
          "hierarchy": {"kind": "date", "steps": ["month", "quarter", "year"]}}},
       {"name": "postcode", "role": "quasi_identifier", "technique": {"name": "generalize", "level": "1",
          "hierarchy": {"kind": "prefix", "keep": ["4", "2"]}}},
       {"name": "trade", "role": "quasi_identifier", "technique": {"name": "generalize", "level": "1",
          "hierarchy": {"kind": "tree", "paths": {"welder": ["technical"], "clerk": ["office"]}}}},
       {"name": "note", "role": "sensitive", "technique": {"name": "mask", "keep_first": "1", "keep_last": "0"}},
       {"name": "charge", "role": "sensitive", "technique": {"name": "round", "step": "0.5"}},
       {"name": "service", "role": "sensitive", "technique": {"name": "keep"}}]}

Level 0 of a hierarchy is the value itself and its last level is `*` for every row.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Any, Literal, assert_never, cast, get_args

import rfc8785

from exchange.desensitization.errors import PolicyRefused
from exchange.desensitization.findings import ROLES, Role

FORMAT = "data-asset-exchange-desensitization-policy@1"
MAX_COLUMNS = 512
MAX_TREE_VALUES = 100_000

Step = Literal["month", "quarter", "year", "decade"]
STEPS: tuple[Step, ...] = get_args(Step)
"""From fine to coarse; each nests in the next. Weeks do not nest in months and are left out."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Numbers into half-open intervals; everything below `below` or from `from_` on is one open interval."""

    origin: Decimal
    widths: tuple[Decimal, ...]
    below: Decimal | None = None
    from_: Decimal | None = None

    @property
    def height(self) -> int:
        """The level at which everything is `*`."""
        return len(self.widths) + 1


@dataclass(frozen=True, slots=True)
class Dates:
    """Dates and times into months, quarters, years, decades."""

    steps: tuple[Step, ...]

    @property
    def height(self) -> int:
        """The level at which everything is `*`."""
        return len(self.steps) + 1


@dataclass(frozen=True, slots=True)
class Prefix:
    """Codes cut to their first characters: postal codes, divisions (GB/T 2260: 6, 4, 2 digits)."""

    keep: tuple[int, ...]

    @property
    def height(self) -> int:
        """The level at which everything is `*`."""
        return len(self.keep) + 1


@dataclass(frozen=True, slots=True)
class Tree:
    """Categories under named parents, one path a value (the rows of ARX's hierarchy files without the last `*`)."""

    paths: Mapping[str, tuple[str, ...]]

    @property
    def height(self) -> int:
        """The level at which everything is `*`."""
        return len(next(iter(self.paths.values()))) + 1


@dataclass(frozen=True, slots=True)
class Whole:
    """The value or `*`, nothing between."""

    @property
    def height(self) -> int:
        """The level at which everything is `*`."""
        return 1


Hierarchy = Interval | Dates | Prefix | Tree | Whole


@dataclass(frozen=True, slots=True)
class Keep:
    """The column crosses as it is."""


@dataclass(frozen=True, slots=True)
class Suppress:
    """The column does not cross."""


@dataclass(frozen=True, slots=True)
class Mask:
    """All but the first and last characters become `*`."""

    keep_first: int
    keep_last: int


@dataclass(frozen=True, slots=True)
class Round:
    """Numbers to the nearest multiple of `step`, half to even."""

    step: Decimal


@dataclass(frozen=True, slots=True)
class Generalize:
    """Values to their ancestors at `level` of the hierarchy."""

    hierarchy: Hierarchy
    level: int


@dataclass(frozen=True, slots=True)
class Pseudonymize:
    """Values to keyed pseudonyms under the product's own key, so that two products do not join."""


Technique = Keep | Suppress | Mask | Round | Generalize | Pseudonymize


@dataclass(frozen=True, slots=True)
class ColumnPolicy:
    """One column of the raw table: what it is, and what is done to it."""

    name: str
    role: Role
    technique: Technique


@dataclass(frozen=True, slots=True)
class Policy:
    """What is done to a table and what must hold afterwards.

    `k` and `l` (distinct) must hold over the quasi-identifiers of the product; rows that break them are
    dropped, at most `suppression_limit_ppm` of all. `exempt_from_k` claims that no person is in the table.
    """

    columns: tuple[ColumnPolicy, ...]
    k: int
    l: int  # noqa: E741  # the field's own letter: l-diversity
    suppression_limit_ppm: int
    exempt_from_k: bool = False

    def column(self, name: str) -> ColumnPolicy | None:
        """The column of that name, or none."""
        return next((column for column in self.columns if column.name == name), None)

    def with_role(self, role: Role) -> tuple[str, ...]:
        """Names of the columns declared in that role, suppressed ones included."""
        return tuple(column.name for column in self.columns if column.role == role)

    @property
    def for_persons(self) -> bool:
        """Whether the department itself says that the raw table was about persons."""
        return any(column.role in ("direct_identifier", "quasi_identifier") for column in self.columns)

    def to_json(self) -> dict[str, Any]:
        """The policy as a JSON object; `parse` reads it back."""
        return {
            "format": FORMAT,
            "requirements": {
                "k": str(self.k),
                "l": str(self.l),
                "suppression_limit_ppm": str(self.suppression_limit_ppm),
            },
            "exempt_from_k": self.exempt_from_k,
            "columns": [
                {"name": column.name, "role": column.role, "technique": technique_to_json(column.technique)}
                for column in self.columns
            ],
        }

    def canonical(self) -> bytes:
        """RFC 8785 bytes: one policy, one spelling, whatever file it came from."""
        return rfc8785.dumps(self.to_json())

    def digest(self) -> str:
        """SHA-256 of the canonical bytes, in hexadecimal: what an authorization is bound to."""
        return hashlib.sha256(self.canonical()).hexdigest()


def technique_to_json(technique: Technique) -> dict[str, Any]:
    """One technique as a JSON object."""
    match technique:
        case Keep():
            return {"name": "keep"}
        case Suppress():
            return {"name": "suppress"}
        case Mask(keep_first, keep_last):
            return {"name": "mask", "keep_first": str(keep_first), "keep_last": str(keep_last)}
        case Round(step):
            return {"name": "round", "step": plain(step)}
        case Pseudonymize():
            return {"name": "pseudonymize"}
        case Generalize(hierarchy, level):
            return {"name": "generalize", "hierarchy": hierarchy_to_json(hierarchy), "level": str(level)}
        case _:
            assert_never(technique)


def hierarchy_to_json(hierarchy: Hierarchy) -> dict[str, Any]:
    """One hierarchy as a JSON object."""
    match hierarchy:
        case Interval(origin, widths, below, from_):
            return {
                "kind": "interval",
                "origin": plain(origin),
                "widths": [plain(width) for width in widths],
                "below": None if below is None else plain(below),
                "from": None if from_ is None else plain(from_),
            }
        case Dates(steps):
            return {"kind": "date", "steps": list(steps)}
        case Prefix(keep):
            return {"kind": "prefix", "keep": [str(length) for length in keep]}
        case Tree(paths):
            return {"kind": "tree", "paths": {value: list(path) for value, path in paths.items()}}
        case Whole():
            return {"kind": "whole"}
        case _:
            assert_never(hierarchy)


def plain(number: Decimal) -> str:
    """A decimal without exponent or trailing zeros: one number, one spelling."""
    text = format(number.normalize(), "f")
    return "0" if text in ("-0", "0") else text


def parse(data: object) -> Policy:
    """The policy that a JSON object states. Raises PolicyRefused, naming the field, the rule and the remedy."""
    top = _object(data, "policy", {"format", "requirements", "exempt_from_k", "columns"})
    if top["format"] != FORMAT:
        raise _refused(
            "format", f"{top['format']!r} is not {FORMAT!r}", "write the format that this engine reads"
        )
    requirements = _object(top["requirements"], "requirements", {"k", "l", "suppression_limit_ppm"})
    columns = _list(top["columns"], "columns")
    if not 1 <= len(columns) <= MAX_COLUMNS:
        raise _refused(
            "columns", f"1 to {MAX_COLUMNS} columns, found {len(columns)}", "name every column once"
        )
    policy = Policy(
        columns=tuple(_column(item, f"columns[{place}]") for place, item in enumerate(columns)),
        k=whole(requirements["k"], "requirements.k", 1, 1_000_000),
        l=whole(requirements["l"], "requirements.l", 1, 1_000_000),
        suppression_limit_ppm=whole(
            requirements["suppression_limit_ppm"], "requirements.suppression_limit_ppm", 0, 1_000_000
        ),
        exempt_from_k=_flag(top["exempt_from_k"], "exempt_from_k"),
    )
    check(policy)
    return policy


def check(policy: Policy) -> None:
    """What no policy may say, whoever authorizes it. Raises PolicyRefused."""
    seen: set[str] = set()
    for place, column in enumerate(policy.columns):
        field = f"columns[{place}]"
        if column.name in seen:
            raise _refused(f"{field}.name", f"{column.name!r} stands twice", "name every column once")
        seen.add(column.name)
        if column.role == "direct_identifier" and _crosses_as_it_is(column.technique):
            raise _refused(
                f"{field}.technique",
                f"the direct identifier {column.name!r} may not cross as it is (GB/T 37964-2019)",
                "suppress it, or pseudonymize it",
            )
    if all(isinstance(column.technique, Suppress) for column in policy.columns):
        raise _refused("columns", "nothing is left of the table", "keep at least one column")
    if policy.exempt_from_k and policy.for_persons:
        raise _refused(
            "exempt_from_k",
            "only a table without persons is exempt from k, and this policy names identifiers of persons",
            "set exempt_from_k to false, or the roles of the columns to other",
        )


def _crosses_as_it_is(technique: Technique) -> bool:
    return isinstance(technique, Keep | Round) or (isinstance(technique, Generalize) and technique.level == 0)


def hierarchy_from_json(data: object, field: str) -> Hierarchy:
    """One hierarchy. Raises PolicyRefused."""
    if not isinstance(data, Mapping) or "kind" not in data:
        raise _refused(
            field, "a hierarchy is an object with a kind", 'write {"kind": "whole"} or another kind'
        )
    match data["kind"]:
        case "interval":
            return _interval(data, field)
        case "date":
            members = _object(data, field, {"kind", "steps"})
            steps = tuple(_list(members["steps"], f"{field}.steps"))
            places = [STEPS.index(step) if step in STEPS else -1 for step in steps]
            if not steps or -1 in places or places != sorted(set(places)):
                raise _refused(
                    f"{field}.steps",
                    f"steps rise among {', '.join(STEPS)}",
                    'write ["month", "quarter", "year"]',
                )
            return Dates(cast(tuple[Step, ...], steps))
        case "prefix":
            members = _object(data, field, {"kind", "keep"})
            keep = tuple(
                whole(length, f"{field}.keep", 1, 1_000) for length in _list(members["keep"], f"{field}.keep")
            )
            if not keep or list(keep) != sorted(set(keep), reverse=True):
                raise _refused(f"{field}.keep", "lengths fall from level to level", 'write ["4", "2"]')
            return Prefix(keep)
        case "tree":
            return _tree(data, field)
        case "whole":
            _object(data, field, {"kind"})
            return Whole()
        case other:
            raise _refused(
                f"{field}.kind",
                f"{other!r} is no kind of hierarchy",
                "use interval, date, prefix, tree or whole",
            )


def technique_from_json(data: object, field: str) -> Technique:
    """One technique. Raises PolicyRefused."""
    if not isinstance(data, Mapping) or "name" not in data:
        raise _refused(
            field, "a technique is an object with a name", 'write {"name": "keep"} or another technique'
        )
    match data["name"]:
        case "keep":
            _object(data, field, {"name"})
            return Keep()
        case "suppress":
            _object(data, field, {"name"})
            return Suppress()
        case "pseudonymize":
            _object(data, field, {"name"})
            return Pseudonymize()
        case "mask":
            members = _object(data, field, {"name", "keep_first", "keep_last"})
            return Mask(
                whole(members["keep_first"], f"{field}.keep_first", 0, 1_000),
                whole(members["keep_last"], f"{field}.keep_last", 0, 1_000),
            )
        case "round":
            members = _object(data, field, {"name", "step"})
            return Round(_positive(members["step"], f"{field}.step"))
        case "generalize":
            members = _object(data, field, {"name", "hierarchy", "level"})
            hierarchy = hierarchy_from_json(members["hierarchy"], f"{field}.hierarchy")
            return Generalize(hierarchy, whole(members["level"], f"{field}.level", 0, hierarchy.height))
        case other:
            raise _refused(
                f"{field}.name",
                f"{other!r} is no technique",
                "use keep, suppress, mask, round, generalize or pseudonymize",
            )


def role_from_json(data: object, field: str) -> Role:
    """One role. Raises PolicyRefused."""
    if data not in ROLES:
        raise _refused(field, f"{data!r} is no role", f"use one of {', '.join(ROLES)}")
    return data


def whole(data: object, field: str, low: int, high: int) -> int:
    """A whole number, as a string or an integer. Raises PolicyRefused."""
    if isinstance(data, str) and data.isascii() and data.isdigit() and len(data) <= 9:
        data = int(data)
    if isinstance(data, bool) or not isinstance(data, int) or not low <= data <= high:
        raise _refused(
            field, f"a whole number from {low} to {high}, found {data!r}", f"write {str(low)!r} or more"
        )
    return data


def _column(data: object, field: str) -> ColumnPolicy:
    members = _object(data, field, {"name", "role", "technique"})
    name = members["name"]
    if not isinstance(name, str) or not name or name != unicodedata.normalize("NFC", name):
        raise _refused(
            f"{field}.name", "a column's name is a non-empty NFC string", "copy it from the table's header"
        )
    return ColumnPolicy(
        name,
        role_from_json(members["role"], f"{field}.role"),
        technique_from_json(members["technique"], f"{field}.technique"),
    )


def _interval(data: Mapping[str, object], field: str) -> Interval:
    members = _object(data, field, {"kind", "origin", "widths"}, {"below", "from"})
    widths = tuple(
        _positive(width, f"{field}.widths[{place}]")
        for place, width in enumerate(_list(members["widths"], f"{field}.widths"))
    )
    if not widths:
        raise _refused(f"{field}.widths", "at least one width", 'write ["5", "10"]')
    for finer, coarser in pairwise(widths):
        if coarser <= finer or coarser % finer != 0:
            raise _refused(
                f"{field}.widths",
                f"each width is a multiple of the one before, and {plain(coarser)} is none of {plain(finer)}",
                "make the intervals nest, for example 5, 10, 20",
            )
    origin = _number(members["origin"], f"{field}.origin")
    tails: list[Decimal | None] = []
    for name in ("below", "from"):
        tail = None if members.get(name) is None else _number(members[name], f"{field}.{name}")
        if tail is not None and (tail - origin) % widths[-1] != 0:
            raise _refused(
                f"{field}.{name}",
                "an open interval begins where an interval of the widest kind does",
                f"use the origin plus a multiple of {plain(widths[-1])}",
            )
        tails.append(tail)
    below, from_ = tails
    if below is not None and from_ is not None and below >= from_:
        raise _refused(
            f"{field}.below", "the lower open interval ends before the upper one begins", "lower it"
        )
    return Interval(origin, widths, below, from_)


def _tree(data: Mapping[str, object], field: str) -> Tree:
    members = _object(data, field, {"kind", "paths"})
    paths = members["paths"]
    if not isinstance(paths, Mapping) or not 1 <= len(paths) <= MAX_TREE_VALUES:
        raise _refused(
            f"{field}.paths", f"1 to {MAX_TREE_VALUES} values, each with its path", "name the parents"
        )
    read: dict[str, tuple[str, ...]] = {}
    parents: dict[tuple[int, str], str] = {}
    for value, path in paths.items():
        steps = tuple(_list(path, f"{field}.paths[{value!r}]"))
        if any(not isinstance(step, str) or not step for step in steps):
            raise _refused(f"{field}.paths[{value!r}]", "parents are non-empty strings", "name each parent")
        read[str(value)] = steps
        for level, (child, parent) in enumerate(pairwise(steps)):
            if parents.setdefault((level, child), parent) != parent:
                raise _refused(
                    f"{field}.paths[{value!r}]",
                    f"{child!r} has two parents, {parent!r} and {parents[level, child]!r}",
                    "give every group one parent",
                )
    if len({len(path) for path in read.values()}) != 1:
        raise _refused(
            f"{field}.paths", "all paths are equally long", "repeat a parent where a level is missing"
        )
    return Tree(read)


def _object(
    data: object, field: str, required: set[str], optional: set[str] | None = None
) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise _refused(field, f"an object, found {type(data).__name__}", "write it in braces")
    for name in sorted(required - set(data)):
        raise _refused(f"{field}.{name}", "required and missing", "add it")
    for name in sorted(str(key) for key in set(data) - required - (optional or set())):
        raise _refused(f"{field}.{name}", "unknown", f"remove it; known are {', '.join(sorted(required))}")
    return cast(Mapping[str, Any], data)


def _list(data: object, field: str) -> Sequence[Any]:
    if not isinstance(data, list | tuple):
        raise _refused(field, f"a list, found {type(data).__name__}", "write it in brackets")
    return data


def _flag(data: object, field: str) -> bool:
    if not isinstance(data, bool):
        raise _refused(field, f"true or false, found {data!r}", "write true or false")
    return data


def _number(data: object, field: str) -> Decimal:
    try:
        number = Decimal(data) if isinstance(data, str) and len(data) <= 24 else None
    except InvalidOperation:
        number = None
    if isinstance(data, int) and not isinstance(data, bool):
        number = Decimal(data)
    # Thirteen digits either side of the point keep every quotient within decimal's 28 digits.
    if number is None or not number.is_finite() or abs(number.adjusted()) > 12:
        raise _refused(field, f"a decimal number as a string, found {data!r}", 'write for example "0.5"')
    return number


def _positive(data: object, field: str) -> Decimal:
    number = _number(data, field)
    if number <= 0:
        raise _refused(field, f"a number above zero, found {plain(number)}", "write a positive step")
    return number


def _refused(field: str, rule: str, remedy: str) -> PolicyRefused:
    return PolicyRefused(f"{field}: {rule}", field=field, rule=rule, remedy=remedy)
