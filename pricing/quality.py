"""Data quality after GB/T 36344-2018: six dimensions counted from the data itself, each with its evidence.

A dimension is a fraction A / B of judged things that hold, as in the standard's own formulas, and is pooled
over the rules declared for it. Nothing is assumed: what no declared rule and no value speaks to is *not
measured*, with the reason, and never counts as perfect.

======================  ==========================================================================
conformity 规范性        described columns, declared kinds, patterns, allowed values
completeness 完整性      required cells that hold a value
accuracy 准确性          declared ranges; keys that must be unique
consistency 一致性       comparisons between columns; columns that determine another
timeliness 时效性        age of the latest record against the promised update cycle; no future records
accessibility 可访问性   attempts to reach the data that succeeded, from a record of attempts
======================  ==========================================================================

Scores are integers in parts per million, rounded down: one bad cell in ten million shows. A missing cell is
null, NaN, or text that is blank or a declared placeholder; it lowers completeness and is judged by nothing
else. The order of the rows and their chunks changes no bit of the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, assert_never

from pricing.canonical import Json, canonical, digest
from pricing.errors import QualityError
from pricing.money import MAX_AMOUNT, PPM, Language, ppm_in_words, require_whole

if TYPE_CHECKING:
    import pyarrow as pa

Kind: TypeAlias = Literal["integer", "number", "text", "boolean", "date", "time"]
"""What the values of a column are.

`integer` 64-bit signed (integral floats up to 2**53 count: a null turns whole columns of integers into
floats); `number` finite, compared as an IEEE 754 double; `date` an Arrow date; `time` an Arrow timestamp.
A date that is kept as text is `text`.
"""

Bound: TypeAlias = int | str
"""`int` for integer and for time (microseconds since the epoch); decimal text for number; ISO text for date."""

Relation: TypeAlias = Literal["<", "<=", "==", "!="]

_DAY_US = 86_400_000_000


class Dimension(StrEnum):
    """The six dimensions, in the order of the standard."""

    CONFORMITY = "conformity"
    COMPLETENESS = "completeness"
    ACCURACY = "accuracy"
    CONSISTENCY = "consistency"
    TIMELINESS = "timeliness"
    ACCESSIBILITY = "accessibility"

    def words(self, language: Language) -> str:
        return _DIMENSION_ZH[self] if language == "zh" else self.value


_DIMENSION_ZH = {
    Dimension.CONFORMITY: "规范性",
    Dimension.COMPLETENESS: "完整性",
    Dimension.ACCURACY: "准确性",
    Dimension.CONSISTENCY: "一致性",
    Dimension.TIMELINESS: "时效性",
    Dimension.ACCESSIBILITY: "可访问性",
}


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
                _require_bound(bound, self.kind, f"{self.name}.{field}")
        if self.pattern is not None and self.kind != "text":
            raise _undeclarable(
                f"{self.name}.pattern", f"a pattern fits text, not {self.kind}", "declare a range"
            )
        if self.allowed and self.kind not in {"text", "integer"}:
            raise _undeclarable(
                f"{self.name}.allowed",
                f"allowed values are for text and integer, not {self.kind}",
                "declare a range",
            )
        expected = str if self.kind == "text" else int
        for value in self.allowed:
            if type(value) is not expected:
                raise _undeclarable(
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
            self.utc_offset_us, "freshness.utc_offset_us", least=-_DAY_US, most=_DAY_US, error=QualityError
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
            raise _undeclarable("columns", "a column is declared twice", "declare each column once")

        def require(field: str, name: str, *refused: Kind) -> Kind:
            if name not in kinds:
                raise _undeclarable(field, f"column {name!r} is not declared", "declare it under columns")
            if kinds[name] in refused:
                raise _undeclarable(
                    field, f"column {name!r} may not be of kind {kinds[name]}", "name another column"
                )
            return kinds[name]

        for i, key in enumerate(self.unique):
            if not key:
                raise _undeclarable(f"unique[{i}]", "a key has at least one column", "name its columns")
            for name in key:
                require(f"unique[{i}]", name, "number")
        for i, compare in enumerate(self.comparisons):
            left = require(f"comparisons[{i}]", compare.left)
            right = require(f"comparisons[{i}]", compare.right)
            if left != right and {left, right} != {"integer", "number"}:
                raise _undeclarable(
                    f"comparisons[{i}]",
                    f"{left} and {right} cannot be compared",
                    "compare columns of one kind",
                )
        for i, dependency in enumerate(self.dependencies):
            if not dependency.columns:
                raise _undeclarable(
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
class Evidence:
    """One rule on one column (or several, joined by commas): `passed` of `judged` hold."""

    column: str
    rule: str
    passed: int
    judged: int


class Because(StrEnum):
    """Why a dimension is not measured; closed."""

    NO_ROWS = "no_rows"
    NOT_DECLARED = "not_declared"
    NO_VALUES = "no_values"


@dataclass(frozen=True, slots=True)
class Measured:
    dimension: Dimension
    score_ppm: int
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class NotMeasured:
    dimension: Dimension
    because: Because

    def words(self, language: Language) -> str:
        """The reason and what would let it be measured."""
        match self.because:
            case Because.NO_ROWS:
                return "表中没有记录" if language == "zh" else "the table has no rows"
            case Because.NO_VALUES:
                return "没有可供判定的值" if language == "zh" else "no value could be judged"
            case Because.NOT_DECLARED:
                zh, en = _WANTED[self.dimension]
                return f"未声明{zh}" if language == "zh" else f"not declared: {en}"
            case _:  # pragma: no cover
                assert_never(self.because)


_WANTED = {
    Dimension.CONFORMITY: ("任何列", "any column"),
    Dimension.COMPLETENESS: ("必填列", "a required column"),
    Dimension.ACCURACY: ("取值范围或唯一键", "a range or a unique key"),
    Dimension.CONSISTENCY: ("列间规则", "a rule between columns"),
    Dimension.TIMELINESS: ("时间列与更新周期", "the time column and the update cycle"),
    Dimension.ACCESSIBILITY: ("访问记录", "a record of attempts to reach the data"),
}


@dataclass(frozen=True, slots=True)
class Quality:
    """The measured quality of one table under one declaration at one time; six dimensions, always all."""

    rows: int
    as_of_us: int
    declaration_digest: str
    dimensions: tuple[Measured | NotMeasured, ...]

    def score_ppm(self, dimension: Dimension) -> int | None:
        """The score of one dimension; None where it is not measured."""
        found = next(each for each in self.dimensions if each.dimension == dimension)
        return found.score_ppm if isinstance(found, Measured) else None

    def to_json(self) -> dict[str, Json]:
        members: list[Json] = []
        for each in self.dimensions:
            match each:
                case Measured():
                    members.append(
                        {
                            "dimension": each.dimension.value,
                            "evidence": [[e.column, e.rule, e.passed, e.judged] for e in each.evidence],
                            "score_ppm": each.score_ppm,
                        }
                    )
                case NotMeasured():
                    members.append({"because": each.because.value, "dimension": each.dimension.value})
                case _:  # pragma: no cover
                    assert_never(each)
        return {
            "as_of_us": self.as_of_us,
            "declaration_digest": self.declaration_digest,
            "dimensions": members,
            "rows": self.rows,
            "standard": "GB/T 36344-2018",
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Quality:
        """Read back what `to_json` wrote (integers as text or not); scores are counted again from the evidence.

        QualityError when it does not read, or when a stated score does not follow from its counts.
        """
        try:
            rows = int(members["rows"])
            dimensions = tuple(
                _read(dimension, rows, member)
                for dimension, member in zip(Dimension, members["dimensions"], strict=True)
            )
            quality = cls(rows, int(members["as_of_us"]), str(members["declaration_digest"]), dimensions)
        except (KeyError, TypeError, ValueError) as unreadable:
            raise _undeclarable(
                "quality", f"cannot be read: {unreadable!r}", "give it as it was written"
            ) from None
        if canonical(quality.to_json()) != canonical(members):
            raise _undeclarable("quality", "a score does not follow from its counts", "measure again")
        return quality

    @property
    def canonical(self) -> bytes:
        return canonical(self.to_json())

    @property
    def digest(self) -> str:
        return sha256(self.canonical).hexdigest()

    def words(self, language: Language) -> str:
        """A line for each dimension, and below it a line for each rule that did not hold everywhere."""
        lines = []
        for each in self.dimensions:
            name = each.dimension.words(language)
            match each:
                case Measured():
                    lines.append(f"{name}  {ppm_in_words(each.score_ppm)}")
                    lines += [
                        f"    {e.column}: {e.rule}  {e.passed:,} / {e.judged:,}"
                        for e in each.evidence
                        if e.passed < e.judged
                    ]
                case NotMeasured():
                    no = "未计算" if language == "zh" else "not measured"
                    lines.append(f"{name}  {no}: {each.words(language)}")
                case _:  # pragma: no cover
                    assert_never(each)
        return "\n".join(lines)


def measure(
    table: pa.Table, declaration: Declaration, *, as_of_us: int, access: Access | None = None
) -> Quality:
    """Count the six dimensions of `table` as of `as_of_us` (microseconds since the epoch).

    The digest binds the declaration, the time and every count. QualityError when two columns share a name or
    when a pattern cannot be read.
    """
    require_whole(as_of_us, "as_of_us", error=QualityError)
    names: list[str] = table.column_names
    if len(set(names)) != len(names):
        raise _undeclarable("table", "two columns share a name", "rename one of them")
    offset_us = declaration.freshness.utc_offset_us if declaration.freshness else 0
    columns = {
        column.name: _Judged(table.column(column.name), column, declaration.placeholders, offset_us)
        for column in declaration.columns
        if column.name in names
    }
    rows: int = table.num_rows
    found = {
        Dimension.CONFORMITY: _conformity(rows, names, declaration, columns),
        Dimension.COMPLETENESS: [
            Evidence(
                column.name, "required", columns[column.name].filled if column.name in columns else 0, rows
            )
            for column in declaration.columns
            if column.required
        ],
        Dimension.ACCURACY: _accuracy(declaration, columns),
        Dimension.CONSISTENCY: _consistency(declaration, columns),
        Dimension.TIMELINESS: _timeliness(declaration.freshness, columns, as_of_us),
        Dimension.ACCESSIBILITY: []
        if access is None
        else [Evidence("*", f"reached, {access.source}", access.successes, access.attempts)],
    }
    return Quality(
        rows,
        as_of_us,
        declaration.digest,
        tuple(_score(dimension, rows, found[dimension]) for dimension in Dimension),
    )


def _score(dimension: Dimension, rows: int, evidence: Sequence[Evidence]) -> Measured | NotMeasured:
    judged = sum(each.judged for each in evidence)
    if not rows:
        return NotMeasured(dimension, Because.NO_ROWS)
    if not evidence:
        return NotMeasured(dimension, Because.NOT_DECLARED)
    if not judged:
        return NotMeasured(dimension, Because.NO_VALUES)
    if dimension is Dimension.TIMELINESS:
        # Old data is not made fresh by many records that are merely not in the future: the worse of the two.
        score_ppm = min(each.passed * PPM // each.judged for each in evidence)
    else:
        score_ppm = sum(each.passed for each in evidence) * PPM // judged
    return Measured(dimension, score_ppm, tuple(evidence))


def _read(dimension: Dimension, rows: int, member: Mapping[str, Any]) -> Measured | NotMeasured:
    if "because" in member:
        return NotMeasured(dimension, Because(member["because"]))
    counts = []
    for column, rule, passed, judged in member["evidence"]:
        require_whole(int(judged), f"{column}, {rule}: judged", error=QualityError)
        require_whole(int(passed), f"{column}, {rule}: passed", most=int(judged), error=QualityError)
        counts.append(Evidence(str(column), str(rule), int(passed), int(judged)))
    return _score(dimension, rows, counts)


def _conformity(
    rows: int, names: Sequence[str], declaration: Declaration, columns: dict[str, _Judged]
) -> list[Evidence]:
    evidence = []
    for column in declaration.columns:
        judged = columns.get(column.name)
        if judged is None:
            evidence.append(Evidence(column.name, "present", 0, rows))
            continue
        evidence.append(Evidence(column.name, f"is {column.kind}", judged.conforming, judged.filled))
        if column.pattern is not None:
            evidence.append(Evidence(column.name, f"fits {column.pattern}", judged.fitting(), judged.filled))
        if column.allowed:
            evidence.append(
                Evidence(
                    column.name, f"is one of {len(column.allowed)}", judged.within_allowed(), judged.filled
                )
            )
    described = {column.name for column in declaration.columns}
    return evidence + [Evidence(name, "described", 0, rows) for name in sorted(set(names) - described)]


def _accuracy(declaration: Declaration, columns: dict[str, _Judged]) -> list[Evidence]:
    evidence = []
    for column in declaration.columns:
        if column.minimum is None and column.maximum is None:
            continue
        rule = f"from {'…' if column.minimum is None else column.minimum} to "
        rule += f"{'…' if column.maximum is None else column.maximum}"
        judged = columns.get(column.name)
        evidence.append(
            Evidence(
                column.name, rule, judged.within_range() if judged else 0, judged.filled if judged else 0
            )
        )
    for key in declaration.unique:
        distinct, judged_rows = _distinct([columns.get(name) for name in key])
        evidence.append(Evidence(", ".join(key), "unique", distinct, judged_rows))
    return evidence


def _consistency(declaration: Declaration, columns: dict[str, _Judged]) -> list[Evidence]:
    evidence = []
    for rule in declaration.comparisons:
        left, right = columns.get(rule.left), columns.get(rule.right)
        passed, judged = _compare(left, rule.relation, right) if left and right else (0, 0)
        evidence.append(Evidence(f"{rule.left}, {rule.right}", f"left {rule.relation} right", passed, judged))
    for dependency in declaration.dependencies:
        passed, judged = _determined(
            [columns.get(name) for name in dependency.columns], columns.get(dependency.column)
        )
        name = f"{', '.join(dependency.columns)} → {dependency.column}"
        evidence.append(Evidence(name, "determines", passed, judged))
    return evidence


def _timeliness(freshness: Freshness | None, columns: dict[str, _Judged], as_of_us: int) -> list[Evidence]:
    if freshness is None:
        return []
    judged = columns.get(freshness.column)
    if judged is None or not judged.conforming:
        return [Evidence(freshness.column, "dated", 0, 0)]
    past, latest_us = judged.until(as_of_us, freshness.utc_offset_us)
    evidence = [Evidence(freshness.column, "not in the future", past, judged.conforming)]
    if latest_us is not None:
        # cycle / age, and one while the age is within the cycle: twice too old is half as good.
        within_us = max(as_of_us - latest_us, freshness.cycle_us)
        evidence.append(Evidence(freshness.column, "cycle / age in µs", freshness.cycle_us, within_us))
    return evidence


class _Judged:
    """One column in the normal form of its declared kind: whatever is missing or of another kind is null."""

    __slots__ = ("column", "conforming", "filled", "values")

    def __init__(self, cells: Any, column: Column, placeholders: Sequence[str], offset_us: int) -> None:
        cells = _present(cells, placeholders)
        self.column = column
        self.filled: int = len(cells) - cells.null_count
        self.values: Any = _normal(cells, column.kind, offset_us)
        self.conforming: int = len(self.values) - self.values.null_count

    def fitting(self) -> int:
        import pyarrow as pa
        import pyarrow.compute as pc

        try:
            # Alone first: a stray parenthesis would otherwise close our group and escape the anchors.
            pc.match_substring_regex(pa.array([""]), pattern=self.column.pattern)
            return _true(pc.match_substring_regex(self.values, pattern=f"^(?:{self.column.pattern})$"))
        except pa.ArrowInvalid as unreadable:
            raise _undeclarable(
                f"{self.column.name}.pattern", str(unreadable), "write it in RE2 syntax"
            ) from None

    def within_allowed(self) -> int:
        import pyarrow as pa
        import pyarrow.compute as pc

        allowed = pa.array(self.column.allowed, self.values.type)
        return _true(pc.is_in(self.values, value_set=allowed))

    def within_range(self) -> int:
        import pyarrow.compute as pc

        inside: Any = None
        for bound, test in ((self.column.minimum, pc.greater_equal), (self.column.maximum, pc.less_equal)):
            if bound is not None:
                holds = test(self.values, _limit(bound, self.column.kind))
                inside = holds if inside is None else pc.and_(inside, holds)
        return _true(inside)

    def until(self, as_of_us: int, offset_us: int) -> tuple[int, int | None]:
        """How many records are not dated after `as_of_us`, and the latest time among them (a day: its start)."""
        import pyarrow.compute as pc

        times = self.values
        if self.column.kind == "date":
            times = pc.subtract(pc.multiply(times, _DAY_US), offset_us)
        past = times.filter(pc.less_equal(times, as_of_us))
        return len(past), pc.max(past).as_py()


def _present(cells: Any, placeholders: Sequence[str]) -> Any:
    """The column without its encoding, with every missing cell null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    if pa.types.is_floating(cells.type):
        return pc.if_else(pc.is_nan(cells), None, cells)
    if _is_text(cells.type):
        cells = cells.cast(pa.large_string())
        missing = pa.array(["", *(text.strip() for text in placeholders)], pa.large_string())
        return pc.if_else(pc.is_in(pc.utf8_trim_whitespace(cells), value_set=missing), None, cells)
    return cells


def _normal(cells: Any, kind: Kind, offset_us: int) -> Any:
    """Values of `kind` in one Arrow type: int64 (time in microseconds, date in days), double, text, bool."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = cells.type
    is_number = pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_decimal(found)
    match kind:
        case "integer" if pa.types.is_uint64(found):
            return _keep(cells, pc.less_equal(cells, pa.scalar(MAX_AMOUNT, found))).cast(pa.int64())
        case "integer" if pa.types.is_integer(found):
            return cells.cast(pa.int64())
        case "integer" if pa.types.is_floating(found):
            cells = cells.cast(pa.float64())
            exact = pc.and_(pc.equal(pc.floor(cells), cells), pc.less_equal(pc.abs(cells), float(2**53)))
            return _keep(cells, exact).cast(pa.int64())
        case "number" if is_number:
            cells = cells.cast(pa.float64(), safe=False)
            return _keep(cells, pc.is_finite(cells))
        case "text" if _is_text(found):
            return cells
        case "boolean" if pa.types.is_boolean(found):
            return cells
        case "date" if pa.types.is_date(found):
            return cells.cast(pa.date32()).cast(pa.int32()).cast(pa.int64())
        case "time" if pa.types.is_timestamp(found):
            ticks = cells.cast(pa.int64())
            shift_us = offset_us if found.tz is None else 0
            if found.unit == "ns":
                return pc.subtract(pc.divide(ticks, 1_000), shift_us)
            factor = {"s": 1_000_000, "ms": 1_000, "us": 1}[found.unit]
            # Times outside some 290,000 years do not fit into microseconds and are no times of a record.
            ticks = _keep(ticks, pc.less_equal(pc.abs(ticks), 2**62 // factor))
            return pc.subtract(pc.multiply(ticks, factor), shift_us)
        case _:
            return pa.chunked_array([pa.nulls(len(cells), _normal_type(kind))])


def _normal_type(kind: Kind) -> Any:
    import pyarrow as pa

    return {"number": pa.float64(), "text": pa.large_string(), "boolean": pa.bool_()}.get(kind, pa.int64())


def _keep(cells: Any, mask: Any) -> Any:
    import pyarrow.compute as pc

    return pc.if_else(mask, cells, None)


def _is_text(found: Any) -> bool:
    import pyarrow as pa

    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_text(found) for is_text in text)


def _true(mask: Any) -> int:
    import pyarrow.compute as pc

    return pc.sum(mask).as_py() or 0


def _distinct(columns: Sequence[_Judged | None]) -> tuple[int, int]:
    """How many different keys there are, and how many rows hold a whole key."""
    import pyarrow.compute as pc

    if len(columns) == 1 and columns[0] is not None:
        return pc.count_distinct(columns[0].values).as_py(), columns[0].conforming
    whole = _whole_rows(columns)
    if whole is None:
        return 0, 0
    return whole.group_by(whole.column_names).aggregate([]).num_rows, whole.num_rows


def _determined(columns: Sequence[_Judged | None], determined: _Judged | None) -> tuple[int, int]:
    """How many rows lie in groups of `columns` that agree on the determined column, of how many whole rows."""
    import pyarrow.compute as pc

    whole = _whole_rows([*columns, determined])
    if whole is None:
        return 0, 0
    *keys, value = whole.column_names
    groups = whole.group_by(keys).aggregate([(value, "count_distinct"), (value, "count")])
    agreeing = pc.equal(groups.column(f"{value}_count_distinct"), 1)
    return pc.sum(groups.column(f"{value}_count").filter(agreeing)).as_py() or 0, whole.num_rows


def _whole_rows(columns: Sequence[_Judged | None]) -> Any:
    """The rows in which every one of the columns holds a value; None when a column is absent altogether."""
    import pyarrow as pa

    values = [column.values for column in columns if column is not None]
    if len(values) != len(columns):
        return None
    return pa.table(dict(zip(map(str, range(len(values))), values, strict=True))).drop_null()


def _compare(left: _Judged, relation: Relation, right: _Judged) -> tuple[int, int]:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = [left.values, right.values]
    if left.column.kind != right.column.kind:
        values = [each.cast(pa.float64(), safe=False) for each in values]
    tests = {"<": pc.less, "<=": pc.less_equal, "==": pc.equal, "!=": pc.not_equal}
    holds = tests[relation](*values)
    return _true(holds), len(holds) - holds.null_count


def _require_bound(bound: Bound, kind: Kind, field: str) -> None:
    match kind:
        case "integer" | "time":
            require_whole(bound, field, least=-MAX_AMOUNT, error=QualityError)
        case "number" | "date":
            try:
                _limit(bound, kind)
            except (ValueError, TypeError, ArithmeticError):
                wanted = "a decimal number, as text" if kind == "number" else "a date as in 2026-01-31"
                raise _undeclarable(field, f"must be {wanted}, not {bound!r}", "correct it") from None
        case "text" | "boolean":
            raise _undeclarable(field, f"{kind} has no range", "declare allowed values or a pattern")
        case _:  # pragma: no cover
            assert_never(kind)


def _limit(bound: Bound, kind: Kind) -> int | float:
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


def _undeclarable(field: str, rule: str, remedy: str) -> QualityError:
    return QualityError(field=field, rule=rule, remedy=remedy)
