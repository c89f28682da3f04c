"""Published discounts: who meets a criterion pays less, whoever it is. Pure.

What a buyer pays is a function of what is published and of what was asked for, for which purpose, after which history and with
which qualification; who the buyer is, is no argument (深圳经济特区数据条例 §69: like buyers get like prices).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from pricing.errors import SaleError
from pricing.money import PPM, Rounding, require_whole, scale


class Criterion(StrEnum):
    """By what a buyer qualifies; closed."""

    QUANTITY = "quantity"
    """So many licences at once, or so large a quota."""
    HISTORY = "history"
    """So many purchases from the same seller before."""
    PURPOSE = "purpose"
    QUALIFICATION = "qualification"
    """A document of one of these kinds, accepted and in force."""


@dataclass(frozen=True, slots=True)
class Buyer:
    """All of a buyer that a price may depend on."""

    quantity: int
    purchases: int = 0
    purpose: str = ""
    qualifications: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Discount:
    """A part of the price, in ppm, for whoever meets the criterion, from one moment until another (microseconds).

    `at_least` is for quantity and history, `words` for purposes and kinds of documents. SaleError where one is not as its
    criterion asks.
    """

    name: str
    criterion: Criterion
    off_ppm: int
    starts_us: int
    ends_us: int
    at_least: int = 0
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_whole(self.off_ppm, "off_ppm", least=1, most=PPM, error=SaleError)
        require_whole(self.at_least, "at_least", error=SaleError)
        counted = self.criterion in (Criterion.QUANTITY, Criterion.HISTORY)
        if counted != (self.at_least > 0) or counted == bool(self.words):
            raise SaleError(
                field="at_least" if counted else "words",
                rule="quantity and history count from at_least on, purpose and qualification name words",
                remedy="state from how many on, or which, and leave the other out",
            )
        if self.ends_us <= self.starts_us:
            raise SaleError(field="ends_us", rule="must lie after starts_us", remedy="name a later moment")

    def met(self, buyer: Buyer, now_us: int) -> bool:
        """Whether it is in force, and this is a buyer who meets it."""
        if not self.starts_us <= now_us < self.ends_us:
            return False
        match self.criterion:
            case Criterion.QUANTITY:
                return buyer.quantity >= self.at_least
            case Criterion.HISTORY:
                return buyer.purchases >= self.at_least
            case Criterion.PURPOSE:
                return buyer.purpose in self.words
            case Criterion.QUALIFICATION:
                return not buyer.qualifications.isdisjoint(self.words)
            case _:  # pragma: no cover
                assert_never(self.criterion)


def best(
    unit_price: int, discounts: Iterable[Discount], buyer: Buyer, now_us: int
) -> tuple[int, Discount | None]:
    """What a unit costs this buyer, rounded down, and by which discount: the one that takes most off, the oldest of equals.

    Discounts do not add up: one applies, the best, whether its buyer asked for it or not.
    """
    met = [one for one in discounts if one.met(buyer, now_us)]
    if not met:
        return unit_price, None
    chosen = max(met, key=lambda one: one.off_ppm)  # the first of equals
    return scale(unit_price, PPM - chosen.off_ppm, Rounding.DOWN), chosen
