"""The negotiated sale: offers go to and fro until one side accepts what the other has put on the table. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from pricing.errors import SaleError
from pricing.money import require_whole
from pricing.sale import FixedPrice


class Side(StrEnum):
    """Who negotiates; closed."""

    BUYER = "buyer"
    SELLER = "seller"

    @property
    def other(self) -> Side:
        return Side.SELLER if self is Side.BUYER else Side.BUYER


class Move(StrEnum):
    """What may be done about a standing offer; closed."""

    COUNTER = "counter"
    ACCEPT = "accept"
    REJECT = "reject"
    WITHDRAW = "withdraw"


class Objection(StrEnum):
    """Why a move is not one's own to make, or comes too late; closed."""

    OWN = "own"
    NOT_OWN = "not_own"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Standing:
    """The offer on the table: so many licences at a price for each, by one side, until a moment (microseconds)."""

    side: Side
    unit_price_fen: int
    licences: int
    expires_us: int


def objection(standing: Standing, side: Side, move: Move, now_us: int) -> Objection | None:
    """Why `side` may not make a move about the offer on the table now; None where it may.

    An offer is answered by the other side and withdrawn by its own; from `expires_us` on it is neither.
    """
    match move:
        case Move.COUNTER | Move.ACCEPT | Move.REJECT:
            if side is standing.side:
                return Objection.OWN
        case Move.WITHDRAW:
            if side is not standing.side:
                return Objection.NOT_OWN
        case _:  # pragma: no cover
            assert_never(move)
    return Objection.EXPIRED if now_us >= standing.expires_us else None


def put(
    side: Side,
    unit_price_fen: int,
    licences: int,
    expires_us: int,
    *,
    offered: int,
    ceiling_fen: int | None,
    now_us: int,
    open_at_most_us: int,
) -> Standing:
    """An offer as it comes on the table. SaleError names the field: no price passes the ceiling whoever offers it, no more
    is asked for than is `offered`, and it stands from now on for `open_at_most_us` at the most.
    """
    FixedPrice(unit_price_fen, licences, ceiling_fen)  # the price of one, and of all, as at a fixed price
    require_whole(licences, "licences", least=1, most=offered, error=SaleError)
    if not now_us < expires_us <= now_us + open_at_most_us:
        raise SaleError(
            field="expires_us",
            rule=f"must lie after now, {now_us}, and at most {open_at_most_us} us from it, not at {expires_us}",
            remedy="name a moment between",
        )
    return Standing(side, unit_price_fen, licences, expires_us)
