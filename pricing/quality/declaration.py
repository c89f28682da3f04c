"""What a supplier declares of a table, so that its quality can be counted: columns, rules between them, promises."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from math import isfinite
from typing import Final, Literal, TypeAlias, assert_never

from pricing.canonical import Json, digest
from pricing.errors import QualityError
from pricing.money import MAX_AMOUNT, require_whole

Kind: TypeAlias = Literal["integer", "number", "text", "boolean", "date", "time"]
"""What the values of a column are.

`integer` 64-bit signed (integral floats up to 2**53 count: a null turns whole columns of integers into
floats); `number` finite, compared as an IEEE 754 double; `date` an Arrow date; `time` an Arrow timestamp.
A date that is kept as text is `text`.
"""

Bound: TypeAlias = int | str
"""`int` for integer and for time (microseconds since the epoch); decimal text for number; ISO text for date."""

Relation: TypeAlias = Literal["<", "<=", "==", "!="]

DAY_US: Final = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Column:
    """What the supplier declares of one column; a declaration that cannot be judged is refused by name.

    `minimum` and `maximum` are included. `pattern` is an RE2 expression that must fit the whole text.
    """

    name: str
    kind: Kind
    required: bool = True
    minimum: Bound | None = None
    maximum: Bound | None = None
    pattern: str | None = None
    allowed: tuple[str, ...] | tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for field, bound in (("minimum", self.minimum), ("maximum", self.maximum)):
            if bound is not None:
                require_bound(bound, self.kind, f"{self.name}.{field}")
        if self.pattern is not None and self.kind != "text":
            raise undeclarable(
                f"{self.name}.pattern", f"a pattern fits text, not {self.kind}", "declare a range"
            )
        if self.allowed and self.kind not in {"text", "integer"}:
            raise undeclarable(
                f"{self.name}.allowed",
                f"allowed values are for text and integer, not {self.kind}",
                "declare a range",
            )
        expected = str if self.kind == "text" else int
        for value in self.allowed:
            if type(value) is not expected:
                raise undeclarable(
                    f"{self.name}.allowed", f"{value!r} is no {self.kind}", "list values of the column"
                )


@dataclass(frozen=True, slots=True)
class Compare:
    """In each row where both hold a value, `left` stands in `relation` to `right`."""

    left: str
    relation: Relation
    right: str


@dataclass(frozen=True, slots=True)
class Determines:
    """Rows that agree in `columns` agree in `column`: one airport code, one airport name."""

    columns: tuple[str, ...]
    column: str


@dataclass(frozen=True, slots=True)
class Freshness:
    """The supplier's promise: `column` dates each record, and a new one comes every `cycle_us` or sooner.

    `utc_offset_us` places timestamps that carry no zone, and dates (28,800,000,000 for China, 0 for UTC).
    """

    column: str
    cycle_us: int
    utc_offset_us: int = 0

    def __post_init__(self) -> None:
        require_whole(self.cycle_us, "freshness.cycle_us", least=1, error=QualityError)
        require_whole(
            self.utc_offset_us, "freshness.utc_offset_us", least=-DAY_US, most=DAY_US, error=QualityError
        )


@dataclass(frozen=True, slots=True)
class Access:
    """A record of attempts to reach the data, and where it was taken."""

    attempts: int
    successes: int
    source: str

    def __post_init__(self) -> None:
        require_whole(self.attempts, "access.attempts", error=QualityError)
        require_whole(self.successes, "access.successes", most=self.attempts, error=QualityError)


@dataclass(frozen=True, slots=True)
class Declaration:
    """All that is declared of a table. Columns it does not describe count against conformity."""

    columns: tuple[Column, ...]
    unique: tuple[tuple[str, ...], ...] = ()
    comparisons: tuple[Compare, ...] = ()
    dependencies: tuple[Determines, ...] = ()
    freshness: Freshness | None = None
    placeholders: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        kinds = {column.name: column.kind for column in self.columns}
        if len(kinds) != len(self.columns):
            raise undeclarable("columns", "a column is declared twice", "declare each column once")

        def require(field: str, name: str, *refused: Kind) -> Kind:
            if name not in kinds:
                raise undeclarable(field, f"column {name!r} is not declared", "declare it under columns")
            if kinds[name] in refused:
                raise undeclarable(
                    field, f"column {name!r} may not be of kind {kinds[name]}", "name another column"
                )
            return kinds[name]

        for i, key in enumerate(self.unique):
            if not key:
                raise undeclarable(f"unique[{i}]", "a key has at least one column", "name its columns")
            for name in key:
                require(f"unique[{i}]", name, "number")
        for i, compare in enumerate(self.comparisons):
            left = require(f"comparisons[{i}]", compare.left)
            right = require(f"comparisons[{i}]", compare.right)
            if left != right and {left, right} != {"integer", "number"}:
                raise undeclarable(
                    f"comparisons[{i}]",
                    f"{left} and {right} cannot be compared",
                    "compare columns of one kind",
                )
        for i, dependency in enumerate(self.dependencies):
            if not dependency.columns:
                raise undeclarable(
                    f"dependencies[{i}]", "something must determine the column", "name columns"
                )
            for name in (*dependency.columns, dependency.column):
                require(f"dependencies[{i}]", name, "number")
        if self.freshness is not None:
            require("freshness.column", self.freshness.column, "integer", "number", "text", "boolean")

    def to_json(self) -> dict[str, Json]:
        return {
            "columns": [
                {
                    "allowed": list(column.allowed),
                    "kind": column.kind,
                    "maximum": column.maximum,
                    "minimum": column.minimum,
                    "name": column.name,
                    "pattern": column.pattern,
                    "required": column.required,
                }
                for column in self.columns
            ],
            "comparisons": [[rule.left, rule.relation, rule.right] for rule in self.comparisons],
            "dependencies": [[list(rule.columns), rule.column] for rule in self.dependencies],
            "freshness": None
            if self.freshness is None
            else {
                "column": self.freshness.column,
                "cycle_us": self.freshness.cycle_us,
                "utc_offset_us": self.freshness.utc_offset_us,
            },
            "placeholders": list(self.placeholders),
            "unique": [list(key) for key in self.unique],
        }

    @property
    def digest(self) -> str:
        return digest(self.to_json())


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What the data would have to hold to be worth most, by the declaration's columns; what is left out is not measured.

    `subject` says whom or what each record is about, `population` how many of them there are in the world and
    `records` how many records of one of them make its history; `category` is a column of kinds, of which
    `categories` exist; `span_us` is how long a series users ask for. `source` says where these figures come from.
    """

    source: str
    subject: tuple[str, ...] = ()
    population: int | None = None
    records: int | None = None
    category: str | None = None
    categories: int | None = None
    span_us: int | None = None

    def __post_init__(self) -> None:
        for field in ("population", "records", "categories", "span_us"):
            if (figure := getattr(self, field)) is not None:
                require_whole(figure, f"yardstick.{field}", least=1, error=QualityError)
        if not self.source.strip():
            raise undeclarable(
                "yardstick.source",
                "must be stated",
                "say where the population and the other figures come from",
            )
        wanted = self.population is not None or self.records is not None
        if wanted and not self.subject:
            raise undeclarable("yardstick.subject", "whose records are counted", "name the columns that tell")
        if (self.category is None) != (self.categories is None):
            raise undeclarable(
                "yardstick.categories", "a column of kinds and their number go together", "give both or none"
            )

    def to_json(self) -> dict[str, Json]:
        return {
            "categories": self.categories,
            "category": self.category,
            "population": self.population,
            "records": self.records,
            "source": self.source,
            "span_us": self.span_us,
            "subject": list(self.subject),
        }


def require_bound(bound: Bound, kind: Kind, field: str) -> None:
    """Refuse a bound that a column of this kind cannot have."""
    match kind:
        case "integer" | "time":
            require_whole(bound, field, least=-MAX_AMOUNT, error=QualityError)
        case "number" | "date":
            try:
                limit(bound, kind)
            except (ValueError, TypeError, ArithmeticError):
                wanted = "a decimal number, as text" if kind == "number" else "a date as in 2026-01-31"
                raise undeclarable(field, f"must be {wanted}, not {bound!r}", "correct it") from None
        case "text" | "boolean":
            raise undeclarable(field, f"{kind} has no range", "declare allowed values or a pattern")
        case _:  # pragma: no cover
            assert_never(kind)


def limit(bound: Bound, kind: Kind) -> int | float:
    """A bound in the normal form of its kind."""
    match kind:
        case "number":
            # Decimal text, so that a declaration has one canonical form; rounded to the double it is compared as.
            limit = float(Decimal(str(bound)))
            if not isfinite(limit) or isinstance(bound, float):
                raise ValueError(bound)
            return limit
        case "date":
            day = date.fromisoformat(str(bound))
            if day.isoformat() != bound:
                raise ValueError(bound)
            return day.toordinal() - date(1970, 1, 1).toordinal()
        case _:
            return int(bound)


def undeclarable(field: str, rule: str, remedy: str) -> QualityError:
    """A declaration that cannot be judged, by name."""
    return QualityError(field=field, rule=rule, remedy=remedy)
