"""What an approach to a value is: figures with reasons, and one formula that counts in exact and in drawn numbers.

A formula is written once, with + - x ÷ and √ alone. Given fractions it is exact, and the value is rounded once, at
its end (half up, to the fen). Given arrays of drawn numbers it gives a value for each draw. So the range that is
drawn around a value cannot come from another formula than the value.

`figures()` names every number that may be uncertain, by a path below the approach: `discount_rate_ppm`,
`amounts_fen[3]`, `items[0].amount_fen`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from math import floor, isqrt
from typing import Any, ClassVar, Final, Protocol, TypeAlias

from pricing.canonical import Json
from pricing.errors import AppraisalError
from pricing.money import MAX_AMOUNT, PPM, Language, Rounding, require_whole
from pricing.quality import Quality

Number: TypeAlias = Any
"""A Fraction, or a double or an array of doubles: nothing here asks which, but `root`."""

YEARS_LIMIT: Final = 100
ITEMS_LIMIT: Final = 1_000
_ROOT_DIGITS: Final = 10**12


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one approach by their paths, all exact or all drawn; `number` makes a constant one of them."""

    numbers: Mapping[str, Number]
    number: Callable[[int], Number]

    def __getitem__(self, path: str) -> Number:
        return self.numbers[path]

    def series(self, name: str, length: int) -> list[Number]:
        """The figures of a series, year by year."""
        return [self.numbers[f"{name}[{i}]"] for i in range(length)]


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a computation, in both languages. `unit` is fen or ppm.

    `result` is the exact number rounded for the reader (half up), where `rounding` is not "exact"; the next step
    takes the number as it was.
    """

    zh: str
    en: str
    formula_zh: str
    formula_en: str
    result: int
    unit: str
    rounding: Rounding


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a figure is what it is, in both languages."""

    zh: str
    en: str


Formula: TypeAlias = str | tuple[str, str]
"""In signs alone, or in zh and en."""


class Tell(Protocol):
    """Takes the steps of a computation in their order; nothing listens while numbers are drawn."""

    def __call__(self, zh: str, en: str, formula: Formula, number: Number, unit: str = "fen") -> None: ...


def silence(zh: str, en: str, formula: Formula, number: Number, unit: str = "fen") -> None:
    """A `Tell` to whom nobody listens."""


def nearest(number: Fraction) -> int:
    """The nearest integer, halves up (towards the greater also below nothing)."""
    return floor(number + Fraction(1, 2))


def root(number: Number) -> Number:
    """The square root: of a fraction rounded down to 12 decimals, of doubles as IEEE 754 rounds it."""
    if isinstance(number, Fraction):
        return Fraction(isqrt(number.numerator * _ROOT_DIGITS**2 // number.denominator), _ROOT_DIGITS)
    import numpy

    return numpy.sqrt(number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approach(ABC):
    """One way to a value, why it fits this asset, and what its value weighs in the conclusion."""

    approach: ClassVar[str]
    formula: ClassVar[str]
    names: ClassVar[tuple[str, str]]
    """In zh and en."""

    reason: str
    weight_ppm: int = PPM

    def name(self, language: Language) -> str:
        """What it is called."""
        return self.names[language == "en"]

    def check(self, quality: Quality | None) -> None:
        """Refuse, by AppraisalError, what is not stated or cannot be."""
        require_figure(self.weight_ppm, "weight_ppm", most=PPM)

    def said(self) -> Iterator[tuple[str, str]]:
        """Every text that must be written, by its path."""
        yield "reason", self.reason

    @abstractmethod
    def figures(self) -> dict[str, int]:
        """The numbers that the value hangs on and that may be uncertain, by their paths."""

    @abstractmethod
    def value(self, at: Figures, quality: Quality | None, tell: Tell) -> Number:
        """The value in fen with these figures."""

    def reasons(self, quality: Quality | None) -> tuple[Reason, ...]:
        """What a reader should know beside the steps."""
        return ()

    def most(self, path: str) -> int:
        """What a figure may at most be: a million for what is a part of a whole."""
        return MAX_AMOUNT

    def to_json(self) -> dict[str, Json]:
        return {"approach": self.approach, **asdict(self)}


def require_figure(value: object, field: str, *, least: int = 0, most: int = MAX_AMOUNT) -> int:
    """A true integer in its bounds, or AppraisalError naming `field`."""
    return require_whole(value, field, least=least, most=most, error=AppraisalError)


def require_some(records: tuple[object, ...], field: str, *, most: int = ITEMS_LIMIT) -> None:
    """At least one record, and no more than anybody could check."""
    if not 1 <= len(records) <= most:
        raise AppraisalError(
            field=field,
            rule=f"must hold 1 to {most} entries, not {len(records)}",
            remedy="itemise what the value rests on",
        )


def texts(record: Any, path: str) -> Iterator[tuple[str, str]]:
    """The texts of a record, each by its path."""
    for field in fields(record):
        member = getattr(record, field.name)
        if type(member) is str:
            yield f"{path}.{field.name}", member
