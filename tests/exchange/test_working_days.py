"""The working-day clock against the State Council's own words, and against a slow count of days."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.errors import Misconfigured, Unprocessable
from exchange.rulebook import load
from exchange.rulebook.days import Calendar, day_of, first_us

CALENDAR = load("cn-venue").calendar
PLAIN = load("generic").calendar

days = st.dates(date(2024, 1, 1), date(2026, 12, 31))


def us(text: str, hour: int = 12) -> int:
    return first_us(date.fromisoformat(text)) + hour * 3_600_000_000


def test_the_year_2026_is_as_the_notice_of_november_2025_orders_it() -> None:
    off = {
        "01-01",
        "01-02",
        "02-16",
        "02-23",
        "04-06",
        "05-01",
        "05-04",
        "05-05",
        "06-19",
        "09-25",
        "10-01",
        "10-07",
    }
    worked = {"01-04", "02-14", "02-28", "05-09", "09-20", "10-10"}
    for each in off:
        assert not CALENDAR.works(date.fromisoformat(f"2026-{each}"))
    for each in worked:
        assert CALENDAR.works(date.fromisoformat(f"2026-{each}"))
    assert [
        sum(CALENDAR.works(date(year, 1, 1) + timedelta(n)) for n in range(365 + (year == 2024)))
        for year in (2024, 2025, 2026)
    ] == [251, 248, 248]
    assert CALENDAR.years[2026].verified
    assert "2025-11-04" in CALENDAR.years[2026].source


@pytest.mark.parametrize(
    ("since", "count", "last"),
    [
        ("2026-09-24", 1, "2026-09-28"),  # the mid-autumn holiday lies between
        ("2026-09-30", 3, "2026-10-10"),  # 8, 9, and the Saturday that is worked
        ("2026-02-13", 2, "2026-02-24"),  # the Saturday before the spring festival, and the Tuesday after it
        ("2026-03-06", 0, "2026-03-06"),
        ("2026-03-06", 5, "2026-03-13"),
    ],
)
def test_a_period_ends_with_its_last_working_day(since: str, count: int, last: str) -> None:
    found = CALENDAR.deadline(us(since), count)
    assert found.last.isoformat() == last
    assert found.ends_us == first_us(found.last + timedelta(days=1))
    assert (found.over(found.ends_us - 1), found.over(found.ends_us)) == (False, True)


def test_the_day_is_that_of_china() -> None:
    assert day_of(us("2026-03-06", 0) - 1).isoformat() == "2026-03-05"
    assert day_of(us("2026-03-06", 0)).isoformat() == "2026-03-06"
    # 16:30 UTC on the 5th is the 6th in China.
    assert CALENDAR.deadline(1_772_728_200_000_000, 1).last.isoformat() == "2026-03-09"


def test_a_period_of_calendar_days_that_ends_on_a_day_off_ends_with_the_next_working_day() -> None:
    assert CALENDAR.ends(us("2026-09-01"), 30).last.isoformat() == "2026-10-08"
    assert CALENDAR.ends(us("2026-08-31"), 30).last.isoformat() == "2026-09-30"
    assert CALENDAR.ends(us("2026-09-05"), 15).last.isoformat() == "2026-09-20"  # a Sunday that is worked


def test_reminders_are_due_before_the_end_and_never_before_the_beginning() -> None:
    found = CALENDAR.deadline(us("2026-09-14"), 10, reminders=(5, 1, 30))
    assert found.last.isoformat() == "2026-09-28"
    assert [day.isoformat() for day in found.reminders] == ["2026-09-20", "2026-09-24"]
    assert [found.due(us(day)) for day in ("2026-09-19", "2026-09-20", "2026-09-24")] == [0, 1, 2]


def test_a_year_that_nobody_has_ordered_yet_is_said_to_be_provisional() -> None:
    assert not CALENDAR.deadline(us("2026-12-01"), 10).provisional
    assert CALENDAR.deadline(us("2026-12-28"), 10).provisional
    assert not PLAIN.deadline(us("2030-12-28"), 10).provisional
    assert PLAIN.works(date(2026, 10, 1))


@given(days, st.integers(-300, 300))
def test_adding_and_counting_agree_with_a_slow_count(day: date, count: int) -> None:
    found = CALENDAR.add(day, count)
    low, high = min(day, found), max(day, found)
    span = [low + timedelta(n) for n in range((high - low).days + 1)]
    assert sum(CALENDAR.works(each) for each in span if each != day) == abs(count)
    assert count == 0 or CALENDAR.works(found)
    assert CALENDAR.between(low, high) == sum(CALENDAR.works(each) for each in span[1:])


@given(days, st.integers(0, 200), st.integers(0, 200))
def test_two_periods_one_after_the_other_are_one(day: date, first: int, second: int) -> None:
    assert CALENDAR.add(CALENDAR.add(day, first), second) == CALENDAR.add(day, first + second)


@pytest.mark.parametrize("count", [-1, 36_601])
def test_no_period_is_negative_or_longer_than_a_century(count: int) -> None:
    for ask in (CALENDAR.deadline, CALENDAR.ends):
        with pytest.raises(Unprocessable) as wrong:
            ask(us("2026-03-06"), count)
        assert wrong.value.code == "period.days"


@pytest.mark.parametrize(
    "year",
    [
        {"off": ["2026-02-30"]},
        {"off": ["2025-10-01"]},
        {"worked": ["2026-10-05"]},
        {"off": ["2026-10-10"], "worked": ["2026-10-10"]},
    ],
)
def test_a_calendar_that_cannot_be_is_refused(year: dict[str, Any]) -> None:
    said = {
        "version": "x",
        "years": {"2026": {"off": [], "worked": [], "source": "s", "verified": True, **year}},
    }
    with pytest.raises(Misconfigured) as wrong:
        Calendar.from_json(said)
    assert (wrong.value.code, wrong.value.field) == ("rulebook.calendar", "calendar.2026")


def test_a_calendar_comes_back_from_its_document() -> None:
    assert Calendar.from_json(CALENDAR.to_json()) == CALENDAR
