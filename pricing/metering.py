"""Metered products: charged by the call, the day, the row or the megabyte, at six decimals, within a quota. Pure.

A unit price is micro-yuan (0.0028 yuan a call is 2,800), so a single call may cost less than a fen. What is charged is
therefore rounded once for a statement, never for a call, and always down: against the seller, so that what a buyer pays is at
most the unit price times what it used, and no rounding carries a price past its ceiling.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pricing.errors import SaleError
from pricing.money import MICRO_PER_FEN, Rounding, quotient, require_whole

ROUNDING = Rounding.DOWN
"""Of a statement's charge, once."""


class Unit(StrEnum):
    """What one unit price buys; closed."""

    CALL = "call"
    DAY = "day"
    ROW = "row"
    MEGABYTE = "megabyte"

    @property
    def counted(self) -> int:
        """How many of what is counted make one unit: megabytes are counted in bytes, a million of them each."""
        return 1_000_000 if self is Unit.MEGABYTE else 1


@dataclass(frozen=True, slots=True)
class Meter:
    """So much for each unit; `ceiling_micro` bounds it (发改价格〔2025〕65号). SaleError above it."""

    unit: Unit
    unit_price_micro: int
    ceiling_micro: int | None = None

    def __post_init__(self) -> None:
        require_whole(self.unit_price_micro, "unit_price_micro", error=SaleError)
        if self.ceiling_micro is not None:
            require_whole(self.ceiling_micro, "ceiling_micro", error=SaleError)
            if self.unit_price_micro > self.ceiling_micro:
                raise SaleError(
                    field="unit_price_micro",
                    rule=f"must not exceed the ceiling {self.ceiling_micro}, not {self.unit_price_micro}",
                    remedy="ask less for a unit",
                )

    def charge_fen(self, quantity: int) -> int:
        """What so many calls, days, rows or bytes cost together, rounded down once; at most 2**63 - 1."""
        require_whole(quantity, "quantity", error=SaleError)
        return require_whole(
            quotient(self.unit_price_micro * quantity, MICRO_PER_FEN * self.unit.counted, ROUNDING),
            "charge",
            error=SaleError,
        )


@dataclass(frozen=True, slots=True)
class OverQuota:
    """A use that is refused; `left` can still be used."""

    left: int


def use(quota: int, used: int, quantity: int) -> int | OverQuota:
    """What is used in all once `quantity` more is, or OverQuota: all of it or nothing."""
    require_whole(quota, "quota", least=1, error=SaleError)
    require_whole(used, "used", most=quota, error=SaleError)
    require_whole(quantity, "quantity", least=1, error=SaleError)
    return used + quantity if used + quantity <= quota else OverQuota(quota - used)
