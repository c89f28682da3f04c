"""The working-day clock: which days are worked, when a period of working days ends, and when to remind of it. Pure.

Days are those of China (UTC+8), in which the law counts. A period of n working days begins on the day after the one on
which it was set off and ends with the n-th working day; where a period of calendar days ends on a day off, it ends with
the next working day (民法典 §§201, 203).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

from exchange.errors import Misconfigured, Unprocessable

CHINA = timezone(timedelta(hours=8))
DAY_US = 86_400_000_000

PERIOD_DAYS_AT_MOST = 36_600
"""A hundred years: longer periods are slips."""


@dataclass(frozen=True, slots=True)
class Year:
    """One year's order: days off beside the weekends, and weekend days that are worked."""

    source: str
    verified: bool
    off: frozenset[date]
    worked: frozenset[date]


@dataclass(frozen=True, slots=True)
class Calendar:
    """Public holidays of one version. A year that it does not know has weekends alone."""

    version: str
    years: Mapping[int, Year]

    def works(self, day: date) -> bool:
        """Whether a day is worked."""
        year = self.years.get(day.year)
        if year is not None and (day in year.off or day in year.worked):
            return day in year.worked
        return day.weekday() < 5

    def knows(self, first: date, last: date) -> bool:
        """Whether the holidays of every year of a span are known; always, where there are none."""
        return not self.years or all(year in self.years for year in range(first.year, last.year + 1))

    def add(self, day: date, working_days: int) -> date:
        """The `working_days`-th working day after `day`, before it where they are below nothing; `day` itself for 0."""
        if abs(working_days) > PERIOD_DAYS_AT_MOST:
            raise _too_long(working_days)
        step = timedelta(days=1 if working_days > 0 else -1)
        left = abs(working_days)
        while left:
            day += step
            left -= self.works(day)
        return day

    def between(self, after: date, until: date) -> int:
        """How many working days lie after one day, up to and with another."""
        span = (until - after).days
        return sum(self.works(after + timedelta(days=n)) for n in range(1, span + 1))

    def deadline(self, since_us: int, working_days: int, reminders: Sequence[int] = ()) -> Deadline:
        """When a period of working days that `since_us` set off ends, with a reminder so many working days before each."""
        if working_days < 0:
            raise _too_long(working_days)
        begun = day_of(since_us)
        last = self.add(begun, working_days)
        return self._ending(begun, last, reminders)

    def ends(self, since_us: int, days: int, reminders: Sequence[int] = ()) -> Deadline:
        """The same for a period of calendar days: one that would end on a day off ends with the next working day."""
        if not 0 <= days <= PERIOD_DAYS_AT_MOST:
            raise _too_long(days)
        begun = day_of(since_us)
        last = begun + timedelta(days=days)
        while not self.works(last):
            last += timedelta(days=1)
        return self._ending(begun, last, reminders)

    def _ending(self, begun: date, last: date, reminders: Sequence[int]) -> Deadline:
        due = sorted({self.add(last, -before) for before in reminders if before > 0})
        return Deadline(
            last=last,
            ends_us=first_us(last + timedelta(days=1)),
            reminders=tuple(day for day in due if day > begun),
            provisional=not self.knows(begun, last),
        )

    def to_json(self) -> dict[str, Any]:
        """As a rulebook's document holds it."""
        return {
            "version": self.version,
            "years": {
                str(number): {
                    "off": [day.isoformat() for day in sorted(year.off)],
                    "source": year.source,
                    "verified": year.verified,
                    "worked": [day.isoformat() for day in sorted(year.worked)],
                }
                for number, year in sorted(self.years.items())
            },
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Calendar:
        """The calendar of a document; Misconfigured where a day is none, is of another year, or is off and worked."""
        years = {}
        for number, year in said["years"].items():
            try:
                off, worked = (
                    frozenset(date.fromisoformat(day) for day in year[kind]) for kind in ("off", "worked")
                )
            except ValueError as error:
                raise _no_calendar(number, str(error)) from error
            if any(day.year != int(number) for day in off | worked) or off & worked:
                raise _no_calendar(number, "a day of another year, or one that is off and worked")
            if any(day.weekday() < 5 for day in worked):
                raise _no_calendar(number, "a weekday is worked anyway")
            years[int(number)] = Year(year["source"], year["verified"], off, worked)
        return cls(said["version"], years)


@dataclass(frozen=True, slots=True)
class Deadline:
    """The last day of a period, the first moment after it, and the days on which to remind of it.

    `provisional` where the holidays of a year of it are not ordered yet: it can only end later than this.
    """

    last: date
    ends_us: int
    reminders: tuple[date, ...]
    provisional: bool

    def due(self, now_us: int) -> int:
        """How many of the reminders are due."""
        today = day_of(now_us)
        return sum(day <= today for day in self.reminders)

    def over(self, now_us: int) -> bool:
        """Whether the period has ended."""
        return now_us >= self.ends_us


def read(document: Mapping[str, Any]) -> Calendar:
    """A calendar as its TOML file writes it: spans of month and day within each year."""
    years: dict[str, Any] = {}
    for number, year in document["years"].items():
        off: list[str] = []
        for first, last in year["off"]:
            day, end = (date.fromisoformat(f"{number}-{part}") for part in (first, last))
            while day <= end:
                off.append(day.isoformat())
                day += timedelta(days=1)
        worked = [f"{number}-{day}" for day in year["worked"]]
        years[number] = {**year, "off": off, "worked": worked}
    return Calendar.from_json({"version": document["version"], "years": years})


def day_of(now_us: int) -> date:
    """The day in China of a moment in microseconds."""
    return datetime.fromtimestamp(now_us // 1_000_000, CHINA).date()


def first_us(day: date) -> int:
    """The first moment of a day in China, in microseconds."""
    return int(datetime.combine(day, time(), CHINA).timestamp()) * 1_000_000


def _too_long(days: int) -> Unprocessable:
    return Unprocessable(
        "period.days",
        f"{days} days",
        field="days",
        rule=f"a period has 0 to {PERIOD_DAYS_AT_MOST} days",
        remedy="shorten it",
    )


def _no_calendar(year: str, detail: str) -> Misconfigured:
    return Misconfigured(
        "rulebook.calendar",
        f"{year}: {detail}",
        field=f"calendar.{year}",
        rule="days off and worked weekend days of that year, each once",
        remedy="copy them from the State Council's notice",
    )
