"""The six value indicators: counted against a yardstick, each equal to a slow reading of the rows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing.canonical import canonical
from pricing.errors import QualityError
from pricing.money import PPM
from pricing.quality import (
    Column,
    Declaration,
    Dimension,
    Freshness,
    Indicator,
    Measured,
    NotMeasured,
    Quality,
    ValueIndicators,
    Yardstick,
    measure,
    measure_value,
)

HOUR = timedelta(hours=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
VISITS = pa.table(
    {
        "hospital": ["A", "A", "B", "B", None],
        "ward": ["surgery", "ICU", "surgery", "surgery", "ICU"],
        "at": pa.array([START + n * HOUR for n in (0, 6, 12, 18, 24)], pa.timestamp("us", "UTC")),
        "stay": [1, None, 3, 4, 5],
    }
)
DECLARED = Declaration(
    (
        Column("hospital", "text", required=False),
        Column("ward", "text"),
        Column("at", "time"),
        Column("stay", "integer"),
    ),
    freshness=Freshness("at", 12 * 3_600_000_000),
)
WANTED = Yardstick(
    source="the statistical yearbook",
    subject=("hospital",),
    population=8,
    records=4,
    category="ward",
    categories=4,
    span_us=48 * 3_600_000_000,
)


def us(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def test_each_indicator_is_a_fraction_of_what_is_wanted() -> None:
    found = measure_value(VISITS, DECLARED, WANTED, as_of_us=us(START + 48 * HOUR))
    assert {each.dimension: found.score_ppm(each.dimension) for each in found.dimensions} == {
        Indicator.TIMELINESS: PPM // 2,  # a day old, promised twice a day
        Indicator.COVERAGE: PPM * 2 // 8,
        Indicator.COMPLETENESS: PPM * 14 // 15,
        Indicator.VARIETY: PPM * 2 // 4,
        Indicator.TIME_SPAN: PPM * 24 // 48,
        Indicator.DEPTH: PPM * 4 // 8,
    }
    zh, en = found.words("zh"), found.words("en")
    for name in ("实时性", "样本覆盖面", "完整性", "数据种类级别", "时间跨度", "数据挖掘潜能"):
        assert name in zh
    assert "time span  50.0000 %" in en
    assert "hospital: different, of the population  2 / 8" in en


def test_more_than_is_wanted_is_no_more_than_full() -> None:
    little = Yardstick("a guess", ("hospital",), 1, 1, "ward", 1, 1)
    found = measure_value(VISITS, DECLARED, little, as_of_us=us(START + 24 * HOUR))
    for indicator in (Indicator.COVERAGE, Indicator.VARIETY, Indicator.TIME_SPAN, Indicator.DEPTH):
        assert found.score_ppm(indicator) == PPM


def test_without_a_yardstick_only_what_the_declaration_says_is_measured() -> None:
    found = measure_value(VISITS, DECLARED, Yardstick("none"), as_of_us=us(START + 24 * HOUR))
    measured = {each.dimension for each in found.dimensions if isinstance(each, Measured)}
    assert measured == {Indicator.TIMELINESS, Indicator.COMPLETENESS}
    assert "not declared: a column of kinds and their number" in found.words("en")
    bare = Declaration((Column("ward", "text", required=False),))
    nothing = measure_value(VISITS, bare, WANTED_WARDS, as_of_us=0)
    assert nothing.score_ppm(Indicator.VARIETY) == PPM // 2
    assert nothing.score_ppm(Indicator.TIME_SPAN) is None
    empty = measure_value(VISITS.slice(0, 0), DECLARED, WANTED, as_of_us=0)
    assert all(isinstance(each, NotMeasured) for each in empty.dimensions)


WANTED_WARDS = Yardstick("the plan", category="ward", categories=4, span_us=5)


def test_records_from_the_future_span_no_time_and_absent_columns_count_nothing() -> None:
    before = measure_value(VISITS, DECLARED, WANTED, as_of_us=us(START - HOUR))
    assert before.score_ppm(Indicator.TIME_SPAN) == 0
    without = measure_value(
        VISITS.drop_columns(["at", "hospital"]), DECLARED, WANTED, as_of_us=us(START + 48 * HOUR)
    )
    assert without.score_ppm(Indicator.TIME_SPAN) is None
    assert without.score_ppm(Indicator.COVERAGE) == 0
    assert without.score_ppm(Indicator.DEPTH) is None


def test_indicators_are_read_back_and_are_no_quality() -> None:
    found = measure_value(VISITS, DECLARED, WANTED, as_of_us=us(START + 48 * HOUR))
    assert ValueIndicators.from_json(found.to_json()) == found
    with pytest.raises(QualityError):
        Quality.from_json(found.to_json())
    quality = measure(VISITS, DECLARED, as_of_us=us(START + 48 * HOUR))
    with pytest.raises(QualityError):
        ValueIndicators.from_json(quality.to_json())
    with pytest.raises(QualityError, match="must hold"):
        Quality(0, 0, "", found.dimensions)
    forged = found.to_json()
    forged["rows"] = 6
    assert canonical(forged) != found.canonical
    assert quality.score_ppm(Dimension.TIMELINESS) == found.score_ppm(Indicator.TIMELINESS)


def test_the_digest_binds_the_yardstick() -> None:
    at = us(START + 48 * HOUR)
    other = Yardstick("another source", ("hospital",), 8, 4, "ward", 4, WANTED.span_us)
    assert (
        measure_value(VISITS, DECLARED, WANTED, as_of_us=at).digest
        != measure_value(VISITS, DECLARED, other, as_of_us=at).digest
    )


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"source": " "}, "yardstick.source"),
        ({"population": 5}, "yardstick.subject"),
        ({"records": 5}, "yardstick.subject"),
        ({"population": 0, "subject": ("hospital",)}, "yardstick.population"),
        ({"span_us": -1}, "yardstick.span_us"),
        ({"span_us": float("nan")}, "yardstick.span_us"),
        ({"category": "ward"}, "yardstick.categories"),
        ({"categories": 3}, "yardstick.categories"),
        ({"subject": ("nobody",)}, "yardstick"),
        ({"category": "nothing", "categories": 3}, "yardstick"),
    ],
)
def test_a_yardstick_that_cannot_be_is_refused_by_name(wanted: dict[str, Any], field: str) -> None:
    with pytest.raises(QualityError) as refused:
        measure_value(VISITS, DECLARED, Yardstick(**{"source": "s", **wanted}), as_of_us=0)
    assert refused.value.field == field


ROWS = st.lists(
    st.tuples(st.sampled_from(["A", "B", "C", None]), st.sampled_from(["x", "y"]), st.integers(0, 99)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60)
@given(ROWS, st.integers(1, 5), st.integers(1, 5), st.integers(0, 120), st.randoms())
def test_every_count_equals_a_slow_one_and_the_order_of_rows_changes_no_bit(
    rows: list[tuple[str | None, str, int]], population: int, records: int, as_of: int, chance: Any
) -> None:
    def table(rows: list[tuple[str | None, str, int]]) -> pa.Table:
        hospital, ward, at = zip(*rows, strict=True)
        return pa.table(
            {
                "hospital": pa.array(hospital, pa.string()),
                "ward": ward,
                "at": pa.array([second * 1_000_000 for second in at], pa.timestamp("us", "UTC")),
                "stay": [1] * len(rows),
            }
        )

    wanted = Yardstick("s", ("hospital",), population, records, "ward", 2, 50_000_000)
    found = measure_value(table(rows), DECLARED, wanted, as_of_us=as_of * 1_000_000)
    subjects = [hospital for hospital, _, _ in rows if hospital is not None]
    past = [at for _, _, at in rows if at <= as_of]
    assert found.score_ppm(Indicator.COVERAGE) == min(len(set(subjects)), population) * PPM // population
    assert found.score_ppm(Indicator.VARIETY) == len({ward for _, ward, _ in rows}) * PPM // 2
    spanned = max(past) - min(past) if past else 0
    assert found.score_ppm(Indicator.TIME_SPAN) == min(spanned, 50) * PPM // 50
    wanted_records = records * len(set(subjects))
    assert found.score_ppm(Indicator.DEPTH) == (
        min(len(subjects), wanted_records) * PPM // wanted_records if subjects else None
    )
    shuffled = list(rows)
    chance.shuffle(shuffled)
    assert measure_value(table(shuffled), DECLARED, wanted, as_of_us=as_of * 1_000_000) == found
