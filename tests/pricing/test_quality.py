"""Quality: every count equals a slow reading of the rows, and nothing unmeasured passes for perfect."""

import math
import os
import re
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from operator import eq, le, lt, ne
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pricing.errors import QualityError
from pricing.money import PPM
from pricing.quality import (
    Access,
    Because,
    Column,
    Compare,
    Declaration,
    Determines,
    Dimension,
    Freshness,
    Kind,
    Measured,
    NotMeasured,
    Quality,
    Relation,
    measure,
)

HOUR = 3_600_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def us(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


FLIGHTS = pa.table(
    {
        "flight": pa.array([1, 2, 3, 3, None], pa.int32()),
        "origin": ["JFK", "LGA", "EWR", "ewr", "  "],
        "name": ["Kennedy", "LaGuardia", "Newark", "Newark", None],
        "departs": pa.array([10, 20, 30, 40, 50], pa.int16()),
        "arrives": pa.array([11.5, 19.0, float("nan"), 44.0, 55.0]),
        "day": pa.array([date(2013, 1, n) for n in range(1, 6)]),
        "hour": pa.array([datetime(2013, 1, 1, n, tzinfo=UTC) for n in range(5)], pa.timestamp("us", "UTC")),
    }
)
DECLARED = Declaration(
    columns=(
        Column("flight", "integer", minimum=1, maximum=2),
        Column("origin", "text", pattern="[A-Z]{3}", allowed=("JFK", "LGA")),
        Column("name", "text", required=False),
        Column("departs", "integer"),
        Column("arrives", "number", maximum="50.5"),
        Column("day", "date", minimum="2013-01-02"),
        Column("hour", "time"),
    ),
    unique=(("flight",), ("flight", "origin")),
    comparisons=(Compare("departs", "<", "arrives"),),
    dependencies=(Determines(("origin",), "name"), Determines(("name",), "origin")),
    freshness=Freshness("hour", 24 * HOUR),
)
NOON = us(datetime(2013, 1, 1, 12, tzinfo=UTC))


def evidence(quality: Quality, dimension: Dimension) -> dict[tuple[str, str], tuple[int, int]]:
    found = next(each for each in quality.dimensions if each.dimension == dimension)
    assert isinstance(found, Measured)
    return {(each.column, each.rule): (each.passed, each.judged) for each in found.evidence}


def because(quality: Quality, dimension: Dimension) -> Because:
    found = next(each for each in quality.dimensions if each.dimension == dimension)
    assert isinstance(found, NotMeasured)
    return found.because


def test_every_dimension_is_counted_with_its_evidence() -> None:
    quality = measure(FLIGHTS, DECLARED, as_of_us=NOON, access=Access(200, 199, "nightly download"))
    assert evidence(quality, Dimension.COMPLETENESS) == {
        ("flight", "required"): (4, 5),
        ("origin", "required"): (4, 5),
        ("departs", "required"): (5, 5),
        ("arrives", "required"): (4, 5),
        ("day", "required"): (5, 5),
        ("hour", "required"): (5, 5),
    }
    assert evidence(quality, Dimension.CONFORMITY) == {
        ("flight", "is integer"): (4, 4),
        ("origin", "is text"): (4, 4),
        ("origin", "fits [A-Z]{3}"): (3, 4),
        ("origin", "is one of 2"): (2, 4),
        ("name", "is text"): (4, 4),
        ("departs", "is integer"): (5, 5),
        ("arrives", "is number"): (4, 4),
        ("day", "is date"): (5, 5),
        ("hour", "is time"): (5, 5),
    }
    assert evidence(quality, Dimension.ACCURACY) == {
        ("flight", "from 1 to 2"): (2, 4),
        ("arrives", "from … to 50.5"): (3, 4),
        ("day", "from 2013-01-02 to …"): (4, 5),
        ("flight", "unique"): (3, 4),
        ("flight, origin", "unique"): (4, 4),
    }
    assert evidence(quality, Dimension.CONSISTENCY) == {
        ("departs, arrives", "left < right"): (3, 4),
        ("origin → name", "determines"): (4, 4),
        ("name → origin", "determines"): (2, 4),
    }
    assert evidence(quality, Dimension.TIMELINESS) == {
        ("hour", "not in the future"): (5, 5),
        ("hour", "cycle / age in µs"): (24 * HOUR, 24 * HOUR),
    }
    assert quality.score_ppm(Dimension.COMPLETENESS) == 27 * PPM // 30
    assert quality.score_ppm(Dimension.CONSISTENCY) == 9 * PPM // 12
    assert quality.score_ppm(Dimension.TIMELINESS) == PPM
    assert quality.score_ppm(Dimension.ACCESSIBILITY) == 995_000


def test_what_is_not_declared_is_not_measured_and_says_what_is_wanted() -> None:
    bare = Declaration((Column("flight", "integer", required=False),))
    quality = measure(FLIGHTS.select(["flight"]), bare, as_of_us=NOON)
    assert quality.score_ppm(Dimension.CONFORMITY) == PPM
    for dimension in Dimension:
        if dimension is not Dimension.CONFORMITY:
            assert quality.score_ppm(dimension) is None
            assert because(quality, dimension) is Because.NOT_DECLARED
    words = quality.words("en")
    assert "timeliness  not measured: not declared: the time column and the update cycle" in words
    assert "时效性  未计算: 未声明时间列与更新周期" in quality.words("zh")


def test_an_empty_table_measures_nothing() -> None:
    quality = measure(FLIGHTS.slice(0, 0), DECLARED, as_of_us=NOON)
    assert {because(quality, dimension) for dimension in Dimension} == {Because.NO_ROWS}
    assert "the table has no rows" in quality.words("en")
    assert "表中没有记录" in quality.words("zh")


def test_rules_without_a_value_to_judge_measure_nothing() -> None:
    nothing = pa.table({"a": pa.nulls(3), "t": pa.nulls(3)})
    declared = Declaration(
        (Column("a", "integer", minimum=1), Column("t", "time"), Column("gone", "integer", minimum=1)),
        unique=(("a", "gone"), ("gone",), ("a",)),
        comparisons=(Compare("a", "<", "gone"),),
        dependencies=(Determines(("a",), "gone"),),
        freshness=Freshness("t", 1),
    )
    quality = measure(nothing, declared, as_of_us=NOON, access=Access(0, 0, "never tried"))
    for dimension in (
        Dimension.ACCURACY,
        Dimension.CONSISTENCY,
        Dimension.TIMELINESS,
        Dimension.ACCESSIBILITY,
    ):
        assert because(quality, dimension) is Because.NO_VALUES
    assert quality.score_ppm(Dimension.COMPLETENESS) == 0
    assert evidence(quality, Dimension.CONFORMITY)["gone", "present"] == (0, 3)
    assert "没有可供判定的值" in quality.words("zh")
    assert "no value could be judged" in quality.words("en")
    absent = replace(
        declared,
        freshness=Freshness("gone_time", 1),
        columns=(*declared.columns, Column("gone_time", "time")),
    )
    assert because(measure(nothing, absent, as_of_us=NOON), Dimension.TIMELINESS) is Because.NO_VALUES


def test_columns_that_nobody_described_count_against_conformity() -> None:
    declared = Declaration((Column("flight", "integer"),))
    found = evidence(
        measure(FLIGHTS.select(["flight", "day"]), declared, as_of_us=NOON), Dimension.CONFORMITY
    )
    assert found == {("flight", "is integer"): (4, 4), ("day", "described"): (0, 5)}


@pytest.mark.parametrize(
    ("hours_old", "score"),
    [(0, PPM), (24, PPM), (25, 24 * PPM // 25), (48, PPM // 2), (240, PPM // 10)],
)
def test_data_twice_older_than_its_cycle_is_half_as_fresh(hours_old: int, score: int) -> None:
    latest = us(datetime(2013, 1, 1, 4, tzinfo=UTC))
    quality = measure(FLIGHTS, DECLARED, as_of_us=latest + hours_old * HOUR)
    assert quality.score_ppm(Dimension.TIMELINESS) == score


def test_records_from_the_future_are_not_timely() -> None:
    two = measure(FLIGHTS, DECLARED, as_of_us=us(datetime(2013, 1, 1, 1, 30, tzinfo=UTC)))
    assert evidence(two, Dimension.TIMELINESS)["hour", "not in the future"] == (2, 5)
    assert two.score_ppm(Dimension.TIMELINESS) == 400_000
    none = measure(FLIGHTS, DECLARED, as_of_us=us(datetime(2012, 1, 1, tzinfo=UTC)))
    assert none.score_ppm(Dimension.TIMELINESS) == 0


def test_times_without_a_zone_and_days_are_read_at_the_declared_offset() -> None:
    local = pa.table(
        {"t": pa.array([datetime(2013, 1, 1, 8)], pa.timestamp("s")), "d": pa.array([date(2013, 1, 1)])}
    )
    columns = (Column("t", "time"), Column("d", "date"))
    for column, midnight_at in (("t", "2013-01-01T00:00"), ("d", "2012-12-31T16:00")):
        declared = Declaration(columns, freshness=Freshness(column, HOUR, utc_offset_us=8 * HOUR))
        start = us(datetime.fromisoformat(midnight_at).replace(tzinfo=UTC))
        assert measure(local, declared, as_of_us=start).score_ppm(Dimension.TIMELINESS) == PPM
        assert measure(local, declared, as_of_us=start - 1).score_ppm(Dimension.TIMELINESS) == 0


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Asia/Shanghai"])
def test_timestamps_of_every_unit_and_zone_mean_the_same_moment(unit: str, zone: str | None) -> None:
    moment = datetime(2013, 1, 1, 4, tzinfo=UTC)
    cells = pa.array([us(moment)]).cast(pa.timestamp("us")).cast(pa.timestamp(unit))
    cells = cells.cast(pa.int64()).cast(pa.timestamp(unit, zone))
    # The offset is for times without a zone; those with one are placed already.
    declared = Declaration((Column("t", "time"),), freshness=Freshness("t", 1, 8 * HOUR if zone else 0))
    table = pa.table({"t": cells})
    assert measure(table, declared, as_of_us=us(moment)).score_ppm(Dimension.TIMELINESS) == PPM
    assert measure(table, declared, as_of_us=us(moment) - 1).score_ppm(Dimension.TIMELINESS) == 0


def conforming(cells: pa.Array | pa.ChunkedArray, kind: Kind) -> tuple[int, int]:
    quality = measure(pa.table({"a": cells}), Declaration((Column("a", kind),)), as_of_us=0)
    return evidence(quality, Dimension.CONFORMITY)["a", f"is {kind}"]


@pytest.mark.parametrize(
    ("cells", "kind", "expected"),
    [
        (pa.array([1, 2**64 - 1], pa.uint64()), "integer", (1, 2)),
        (pa.array([1.0, 1.5, math.inf, 2.0**53, 2.0**54, math.nan, -0.0]), "integer", (3, 6)),
        (pa.array([1.0, 1.5], pa.float16()), "integer", (1, 2)),
        (pa.array(["1"]), "integer", (0, 1)),
        (pa.array([True]), "integer", (0, 1)),
        (pa.array([Decimal("1.50")]), "integer", (0, 1)),
        (pa.array([1, 2], pa.uint8()), "number", (2, 2)),
        (pa.array([1.0, -math.inf, math.nan, None]), "number", (1, 2)),
        (pa.array([Decimal("1.50"), None]), "number", (1, 1)),
        (pa.array(["1.5"]), "number", (0, 1)),
        (pa.array(["a", "", " \t", None, "　"]), "text", (1, 1)),
        (pa.array(["a", "b"], pa.large_string()), "text", (2, 2)),
        (pa.array(["a", "b"], pa.string_view()), "text", (2, 2)),
        (pa.array(["a", "b", None, "a"]).dictionary_encode(), "text", (3, 3)),
        (pa.chunked_array([["a"], ["b"]]).dictionary_encode(), "text", (2, 2)),
        (pa.array([1]), "text", (0, 1)),
        (pa.array([[1], None]), "text", (0, 1)),
        (pa.array([True, None]), "boolean", (1, 1)),
        (pa.array([1]), "boolean", (0, 1)),
        (pa.array([date(2013, 1, 1)]), "date", (1, 1)),
        (pa.array([date(2013, 1, 1)], pa.date64()), "date", (1, 1)),
        (pa.array(["2013-01-01"]), "date", (0, 1)),
        (pa.array([datetime(2013, 1, 1)]), "date", (0, 1)),
        (pa.array([datetime(2013, 1, 1)]), "time", (1, 1)),
        (pa.array([0, 2**62, -(2**62)], pa.timestamp("s")), "time", (1, 3)),
        (pa.array([date(2013, 1, 1)]), "time", (0, 1)),
    ],
)
def test_the_declared_kind_is_judged_cell_by_cell(cells: Any, kind: Kind, expected: tuple[int, int]) -> None:
    assert conforming(cells, kind) == expected


def test_declared_placeholders_are_missing_values() -> None:
    table = pa.table({"a": ["JFK", "N/A", " N/A ", "n/a"]})
    declared = Declaration((Column("a", "text"),), placeholders=("N/A",))
    assert evidence(measure(table, declared, as_of_us=0), Dimension.COMPLETENESS)["a", "required"] == (2, 4)


def test_a_pattern_fits_the_whole_text() -> None:
    table = pa.table({"a": ["ab", "abc", "xab", "ab\n"]})
    declared = Declaration((Column("a", "text", pattern="a|ab"),))
    assert evidence(measure(table, declared, as_of_us=0), Dimension.CONFORMITY)["a", "fits a|ab"] == (1, 4)


@pytest.mark.parametrize("pattern", ["(", "a)|(?:b", "(?<=a)b"])
def test_a_pattern_that_cannot_be_read_is_refused_by_name(pattern: str) -> None:
    with pytest.raises(QualityError) as refused:
        measure(pa.table({"a": ["b"]}), Declaration((Column("a", "text", pattern=pattern),)), as_of_us=0)
    assert refused.value.field == "a.pattern"


def test_numbers_are_compared_as_doubles_whatever_they_are_stored_as() -> None:
    table = pa.table(
        {
            "i": [2**53 + 1, 2, 3],
            "f": pa.array([2.0**53, 2.5, None], pa.float64()),
            "d": [Decimal("0.10"), Decimal("0.20"), Decimal("0.30")],
        }
    )
    declared = Declaration(
        (Column("i", "integer"), Column("f", "number"), Column("d", "number", minimum="0.2", maximum=1)),
        comparisons=(
            Compare("i", "==", "f"),
            Compare("i", "<=", "f"),
            Compare("i", "!=", "f"),
            Compare("i", "<", "f"),
        ),
    )
    quality = measure(table, declared, as_of_us=0)
    assert list(evidence(quality, Dimension.CONSISTENCY).values()) == [(1, 2), (2, 2), (1, 2), (1, 2)]
    assert evidence(quality, Dimension.ACCURACY)["d", "from 0.2 to 1"] == (2, 3)


# The slow twin: the same six dimensions, read row by row in plain Python.


def twin(table: pa.Table, declared: Declaration, as_of_us: int) -> dict[Dimension, list[tuple[int, int]]]:
    rows = table.to_pylist()
    named = {column.name: column for column in declared.columns}

    def cell(row: dict[str, Any], name: str) -> Any:
        value = row.get(name)
        if isinstance(value, float) and math.isnan(value):
            return None
        return None if isinstance(value, str) and value.strip() in {"", *declared.placeholders} else value

    def good(row: dict[str, Any], name: str) -> Any:
        """The cell if it is of its declared kind, as something that Python compares."""
        value = cell(row, name)
        match named[name].kind, value:
            case (("integer" | "number" | "time"), bool()):
                return None
            case "integer", int():
                return value
            case "integer", float() if math.isfinite(value) and value == int(value) and abs(value) <= 2**53:
                return int(value)
            case "number", int() | float() | Decimal() if math.isfinite(value):
                return float(value)
            case ("text", str()) | ("boolean", bool()):
                return value
            case "time", datetime():
                return us(value if value.tzinfo else value.replace(tzinfo=UTC))
            case "date", date() if not isinstance(value, datetime):
                return value
        return None

    def limit(bound: Any, kind: Kind) -> Any:
        readers: dict[Kind, Any] = {"number": float, "date": date.fromisoformat}
        return readers.get(kind, int)(bound)

    found: dict[Dimension, list[tuple[int, int]]] = {dimension: [] for dimension in Dimension}
    for column in declared.columns:
        filled = [row for row in rows if cell(row, column.name) is not None]
        values = [value for row in filled if (value := good(row, column.name)) is not None]
        if column.required:
            found[Dimension.COMPLETENESS].append((len(filled), len(rows)))
        if column.name not in table.column_names:
            found[Dimension.CONFORMITY].append((0, len(rows)))
        else:
            found[Dimension.CONFORMITY].append((len(values), len(filled)))
            if column.pattern is not None:
                fits = [value for value in values if re.fullmatch(column.pattern, value, re.ASCII)]
                found[Dimension.CONFORMITY].append((len(fits), len(filled)))
            if column.allowed:
                found[Dimension.CONFORMITY].append(
                    (sum(value in column.allowed for value in values), len(filled))
                )
        if column.minimum is not None or column.maximum is not None:
            inside = [
                value
                for value in values
                if (column.minimum is None or value >= limit(column.minimum, column.kind))
                and (column.maximum is None or value <= limit(column.maximum, column.kind))
            ]
            found[Dimension.ACCURACY].append((len(inside), len(filled)))
    found[Dimension.CONFORMITY] += [(0, len(rows)) for name in table.column_names if name not in named]
    for key in declared.unique:
        whole = [key_ for row in rows if None not in (key_ := tuple(good(row, name) for name in key))]
        found[Dimension.ACCURACY].append((len(set(whole)), len(whole)))
    for rule in declared.comparisons:
        pairs = [(good(row, rule.left), good(row, rule.right)) for row in rows]
        pairs = [pair for pair in pairs if None not in pair]
        if named[rule.left].kind != named[rule.right].kind:
            pairs = [(float(left), float(right)) for left, right in pairs]
        holds: dict[Relation, Any] = {"<": lt, "<=": le, "==": eq, "!=": ne}
        found[Dimension.CONSISTENCY].append((sum(holds[rule.relation](*pair) for pair in pairs), len(pairs)))
    for dependency in declared.dependencies:
        groups = defaultdict(list)
        for row in rows:
            whole_row = tuple(good(row, name) for name in (*dependency.columns, dependency.column))
            if None not in whole_row:
                groups[whole_row[:-1]].append(whole_row[-1])
        agreeing = sum(len(group) for group in groups.values() if len(set(group)) == 1)
        found[Dimension.CONSISTENCY].append((agreeing, sum(map(len, groups.values()))))
    if declared.freshness:
        times = [t for row in rows if (t := good(row, declared.freshness.column)) is not None]
        past = [t for t in times if t <= as_of_us]
        found[Dimension.TIMELINESS].append((len(past), len(times)))
        if past:
            cycle = declared.freshness.cycle_us
            found[Dimension.TIMELINESS].append((cycle, max(cycle, as_of_us - max(past))))
    return found


texts = st.sampled_from(["A", "B", "AB", "", " ", "-", "b1", "号", None])
TABLES = (
    st.integers(0, 8)
    .flatmap(
        lambda n: st.fixed_dictionaries(
            {
                "i": st.lists(st.none() | st.integers(-3, 3), min_size=n, max_size=n).map(
                    lambda cells: pa.array(cells, pa.int8())
                ),
                "f": st.lists(
                    st.none() | st.sampled_from([0.0, -0.0, 1.0, 1.5, -2.0, math.nan, math.inf, 2.0**60]),
                    min_size=n,
                    max_size=n,
                ).map(lambda cells: pa.array(cells, pa.float64())),
                "s": st.lists(texts, min_size=n, max_size=n).map(lambda cells: pa.array(cells, pa.string())),
                "t": st.lists(
                    st.none() | st.datetimes(datetime(2013, 1, 1), datetime(2013, 1, 9)),
                    min_size=n,
                    max_size=n,
                ).map(lambda cells: pa.array(cells, pa.timestamp("us"))),
                "d": st.lists(
                    st.none() | st.dates(date(2013, 1, 1), date(2013, 1, 9)), min_size=n, max_size=n
                ).map(lambda cells: pa.array(cells, pa.date32())),
                "b": st.lists(st.none() | st.booleans(), min_size=n, max_size=n).map(
                    lambda cells: pa.array(cells, pa.bool_())
                ),
            }
        )
    )
    .map(pa.table)
)

REQUIRED = st.booleans()
RELATIONS: list[Relation] = ["<", "<=", "==", "!="]
KINDS: list[Kind] = ["integer", "number", "text", "boolean", "date", "time"]


@st.composite
def declarations(draw: st.DrawFn) -> Declaration:
    """Rules of every sort over the columns of TABLES and one that is absent, kinds right and wrong."""
    columns = []
    usual: list[Kind] = ["integer", "number", "text", "time", "date", "boolean", "text"]
    for name, kind in zip("ifstdbx", usual, strict=True):
        declared = draw(st.sampled_from([kind, kind, *KINDS]))
        bounds: dict[str, Any] = {}
        pools: dict[Kind, list[Any]] = {
            "integer": [-1, 0, 2],
            "number": ["-1", "0.5", 1],
            "date": ["2013-01-03", "2013-01-07"],
            "time": [us(datetime(2013, 1, 4, tzinfo=UTC))],
        }
        pool = pools.get(declared, [])
        if draw(st.booleans()) and pool:
            bounds = {
                "minimum": draw(st.sampled_from([None, *pool])),
                "maximum": draw(st.sampled_from([None, *pool])),
            }
        allowed: dict[Kind, list[Any]] = {"text": [(), ("A", "号")], "integer": [(), (1, 2)]}
        bounds["allowed"] = draw(st.sampled_from(allowed.get(declared, [()])))
        if declared == "text":
            bounds["pattern"] = draw(st.sampled_from([None, "[A-Z]+", r"\w\d", "A|B", ""]))
        if draw(st.integers(0, 5)):
            columns.append(Column(name, declared, required=draw(REQUIRED), **bounds))
    keyable = [column.name for column in columns if column.kind != "number"]
    pairs = [
        (a.name, b.name)
        for a in columns
        for b in columns
        if a.kind == b.kind or {a.kind, b.kind} == {"integer", "number"}
    ]
    dated = [column.name for column in columns if column.kind == "time"]
    keys = [
        draw(st.lists(st.sampled_from(keyable), min_size=1, max_size=3, unique=True))
        for _ in range(draw(st.integers(0, 3)) if keyable else 0)
    ]
    compared = draw(st.lists(st.sampled_from(pairs), max_size=2)) if pairs else []
    return Declaration(
        tuple(columns),
        unique=tuple(tuple(key) for key in keys[:2]),
        comparisons=tuple(Compare(left, draw(st.sampled_from(RELATIONS)), right) for left, right in compared),
        dependencies=tuple(Determines(tuple(key), draw(st.sampled_from(keyable))) for key in keys[1:]),
        freshness=Freshness(dated[0], draw(st.sampled_from([1, 24 * HOUR, 72 * HOUR]))) if dated else None,
        placeholders=draw(st.sampled_from([(), ("-",)])),
    )


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TABLES, declarations(), st.datetimes(datetime(2013, 1, 1), datetime(2013, 1, 20)))
def test_every_count_equals_the_slow_reading_of_the_rows(
    table: pa.Table, declared: Declaration, as_of: datetime
) -> None:
    as_of_us = us(as_of.replace(tzinfo=UTC))
    quality, expected = measure(table, declared, as_of_us=as_of_us), twin(table, declared, as_of_us)
    for each in quality.dimensions:
        assert isinstance(each.dimension, Dimension)
        counts = expected[each.dimension]
        match each:
            case Measured():
                got = [(one.passed, one.judged) for one in each.evidence]
                assert sorted(pair for pair in got if pair[1]) == sorted(pair for pair in counts if pair[1])
                assert 0 <= each.score_ppm <= PPM
                assert (each.score_ppm == PPM) == all(passed == judged for passed, judged in counts)
            case NotMeasured(because=Because.NO_ROWS):
                assert not table.num_rows
            case NotMeasured(because=Because.NOT_DECLARED):
                assert not counts
            case NotMeasured():
                assert not sum(judged for _, judged in counts)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TABLES, declarations(), st.randoms(use_true_random=False), st.integers(1, 3))
def test_the_order_of_rows_and_columns_and_their_chunks_change_no_digest(
    table: pa.Table, declared: Declaration, random: Any, chunk: int
) -> None:
    order = random.sample(range(table.num_rows), table.num_rows)
    columns = random.sample(table.column_names, table.num_columns)
    pieces = [table.take(order[i : i + chunk]) for i in range(0, len(order), chunk)] or [table]
    other = pa.concat_tables(pieces).select(columns)
    assert measure(other, declared, as_of_us=NOON).digest == measure(table, declared, as_of_us=NOON).digest


@given(st.integers(0, 40), st.integers(0, 40))
def test_filling_a_cell_never_lowers_completeness(empty: int, filled: int) -> None:
    declared = Declaration((Column("a", "integer"),))
    before = measure(pa.table({"a": [None] * (empty + 1) + [1] * filled}), declared, as_of_us=0)
    after = measure(pa.table({"a": [None] * empty + [1] * (filled + 1)}), declared, as_of_us=0)
    assert (before.score_ppm(Dimension.COMPLETENESS) or 0) <= (after.score_ppm(Dimension.COMPLETENESS) or 0)


def test_a_single_bad_cell_keeps_a_score_below_one() -> None:
    table = pa.table({"a": pa.concat_arrays([pa.nulls(1, pa.int8()), pa.array([1] * 3_000_000, pa.int8())])})
    quality = measure(table, Declaration((Column("a", "integer"),)), as_of_us=0)
    assert quality.score_ppm(Dimension.COMPLETENESS) == PPM - 1


def test_the_digest_binds_declaration_time_and_counts() -> None:
    quality = measure(FLIGHTS, DECLARED, as_of_us=NOON)
    assert measure(FLIGHTS, DECLARED, as_of_us=NOON + 1).digest != quality.digest
    assert measure(FLIGHTS, replace(DECLARED, placeholders=("x",)), as_of_us=NOON).digest != quality.digest
    assert measure(FLIGHTS.slice(1), DECLARED, as_of_us=NOON).digest != quality.digest
    assert quality.digest == "a62db124ee1060d5fa20f619203b38a364092f7a6f22db73b04d794ee5e52258"


def test_other_processes_with_other_hash_seeds_come_to_the_same_digest() -> None:
    program = """
import pyarrow as pa
from pricing.quality import Column, Declaration, Determines, measure
table = pa.table({"a": ["x", "y", "x", "z", "y"], "b": [1, 2, 1, 3, 4], "c": [True, None, False, True, True]})
declared = Declaration((Column("a", "text", allowed=("x", "y")), Column("b", "integer")),
                       unique=(("a", "b"),), dependencies=(Determines(("a",), "b"),))
print(measure(table, declared, as_of_us=0).digest)
"""
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "99")
    }
    assert len(digests) == 1


def test_the_words_show_what_failed_and_where() -> None:
    quality = measure(FLIGHTS, DECLARED, as_of_us=NOON)
    assert "completeness  90.0000 %\n    flight: required  4 / 5" in quality.words("en")
    assert "完整性  90.0000 %" in quality.words("zh")
    assert "departs: required" not in quality.words("en")


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(QualityError, match="share a name"):
        measure(pa.table([[1], [2]], names=["a", "a"]), Declaration((Column("a", "integer"),)), as_of_us=0)


@pytest.mark.parametrize(
    ("column", "field"),
    [
        (("a", "integer", True, "1"), "a.minimum"),
        (("a", "integer", True, 2**63), "a.minimum"),
        (("a", "time", True, None, 1.0), "a.maximum"),
        (("a", "number", True, "NaN"), "a.minimum"),
        (("a", "number", True, "1e999"), "a.minimum"),
        (("a", "number", True, "ten"), "a.minimum"),
        (("a", "number", True, 0.1), "a.minimum"),
        (("a", "date", True, "20130101"), "a.minimum"),
        (("a", "date", True, "2013-02-30"), "a.minimum"),
        (("a", "text", True, "a"), "a.minimum"),
        (("a", "boolean", True, None, 1), "a.maximum"),
        (("a", "integer", True, None, None, "[0-9]"), "a.pattern"),
        (("a", "number", True, None, None, None, (1,)), "a.allowed"),
        (("a", "integer", True, None, None, None, ("1",)), "a.allowed"),
        (("a", "text", True, None, None, None, (1,)), "a.allowed"),
    ],
)
def test_a_column_that_cannot_be_judged_is_refused_by_name(column: Any, field: str) -> None:
    with pytest.raises(QualityError) as refused:
        Column(*column)
    assert refused.value.field == field


A, B, N, S, T = (
    Column("a", "integer"),
    Column("b", "integer"),
    Column("n", "number"),
    Column("s", "text"),
    Column("t", "time"),
)


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({"columns": (A, A)}, "columns"),
        ({"unique": (("x",),)}, "unique[0]"),
        ({"unique": (("a",), ())}, "unique[1]"),
        ({"unique": (("a", "n"),)}, "unique[0]"),
        ({"comparisons": (Compare("a", "<", "x"),)}, "comparisons[0]"),
        ({"comparisons": (Compare("a", "<", "s"),)}, "comparisons[0]"),
        ({"dependencies": (Determines((), "a"),)}, "dependencies[0]"),
        ({"dependencies": (Determines(("n",), "a"),)}, "dependencies[0]"),
        ({"freshness": Freshness("x", 1)}, "freshness.column"),
        ({"freshness": Freshness("s", 1)}, "freshness.column"),
    ],
)
def test_rules_that_cannot_be_judged_are_refused_by_name(rules: dict[str, Any], field: str) -> None:
    with pytest.raises(QualityError) as refused:
        Declaration(**{"columns": (A, B, N, S, T), **rules})
    assert refused.value.field == field
    assert Declaration((A, N), comparisons=(Compare("a", "<", "n"),)).digest


def test_promises_and_records_of_access_that_cannot_be_are_refused_by_name() -> None:
    for act, field in (
        (lambda: Freshness("t", 0), "freshness.cycle_us"),
        (lambda: Freshness("t", 1, 25 * HOUR), "freshness.utc_offset_us"),
        (lambda: Access(1, 2, ""), "access.successes"),
        (lambda: Access(-1, 0, ""), "access.attempts"),
        (lambda: measure(FLIGHTS, DECLARED, as_of_us=-1), "as_of_us"),
    ):
        with pytest.raises(QualityError) as refused:
            act()
        assert refused.value.field == field
