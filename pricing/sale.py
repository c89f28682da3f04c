"""The fixed-price sale: the same price for every buyer, a counted number of licences, no price above the ceiling."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pricing.errors import SaleError
from pricing.money import MAX_AMOUNT, require_whole


@dataclass(frozen=True, slots=True)
class FixedPrice:
    """An offer of `licences` licences at `unit_price_fen` each; an exclusive use is an offer of one.

    `ceiling_fen` bounds the price of one licence (发改价格〔2025〕65号): an offer above it cannot be made.
    A unit price of zero is the free use for public governance and welfare.
    """

    unit_price_fen: int
    licences: int
    ceiling_fen: int | None = None

    def __post_init__(self) -> None:
        require_whole(self.unit_price_fen, "unit_price_fen", error=SaleError)
        require_whole(self.licences, "licences", least=1, error=SaleError)
        require_whole(self.unit_price_fen * self.licences, "unit_price_fen x licences", error=SaleError)
        if self.ceiling_fen is not None:
            require_whole(self.ceiling_fen, "ceiling_fen", error=SaleError)
            if self.unit_price_fen > self.ceiling_fen:
                raise SaleError(
                    field="unit_price_fen",
                    rule=f"must not exceed the ceiling {self.ceiling_fen}, not {self.unit_price_fen}",
                    remedy="reappraise, or ask less",
                )


class Shortage(StrEnum):
    """Why a purchase was refused; closed."""

    NO_QUANTITY = "no_quantity"
    SOLD_OUT = "sold_out"
    TOO_FEW_LEFT = "too_few_left"


@dataclass(frozen=True, slots=True)
class Sold:
    quantity: int
    amount_fen: int
    left: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal that the market records; `left` licences can still be bought."""

    reason: Shortage
    left: int


def purchase(offer: FixedPrice, sold: int, quantity: int) -> Sold | Refused:
    """Judge one purchase of `quantity` licences when `sold` of them are gone. All or nothing, to the fen."""
    require_whole(sold, "sold", most=offer.licences, error=SaleError)
    require_whole(quantity, "quantity", least=-MAX_AMOUNT, error=SaleError)
    left = offer.licences - sold
    if quantity < 1:
        return Refused(Shortage.NO_QUANTITY, left)
    if not left:
        return Refused(Shortage.SOLD_OUT, left)
    if quantity > left:
        return Refused(Shortage.TOO_FEW_LEFT, left)
    return Sold(quantity, offer.unit_price_fen * quantity, left - quantity)
