"""What the market's time brings of its lots: facts of the rows, which a worker only nudges."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange.auctions.defaults import forfeits_due
from exchange.tables import Lot


@dataclass(frozen=True, slots=True)
class Due:
    """What the clock has to do: lots to close, to settle, to find in default where that fails, to call off, and forfeited
    deposits to divide."""

    closing: list[str]
    settling: list[str]
    defaulting: list[str]
    cancelling: list[str]
    dividing: list[str]


async def due(session: AsyncSession, now_us: int) -> Due:
    """What is due at `now_us`, a fact of the rows alone."""
    closing = await session.execute(
        select(Lot.id)
        .where(col(Lot.state) == "open", col(Lot.closes_us) <= now_us)
        .order_by(col(Lot.closes_us))
    )
    sold = (
        await session.execute(
            select(Lot.id, Lot.pay_by_us)
            .where(col(Lot.state) == "sold", col(Lot.settled).is_(False))
            .order_by(col(Lot.id))
        )
    ).all()
    halted = await session.execute(
        select(Lot.id).where(col(Lot.state) == "halted", col(Lot.resume_by_us) < now_us).order_by(col(Lot.id))
    )
    return Due(
        list(closing.scalars()),
        [lot for lot, _ in sold],
        [lot for lot, pay_by_us in sold if pay_by_us is not None and pay_by_us <= now_us],
        list(halted.scalars()),
        await forfeits_due(session, now_us),
    )
