"""What the market's time brings of its tenders: facts of the rows, which a worker only nudges."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Integer, cast, exists, func, or_
from sqlalchemy import select as sql_select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange.tables import OpeningShare, Protest, Tender, TenderMark
from exchange.tenders.screening import unscreened


@dataclass(frozen=True, slots=True)
class Due:
    """What the clock has to do: tenders to close, to open, to screen, to award, to settle, to find in default where that
    fails, and to call off.
    """

    closing: list[str]
    opening: list[str]
    screening: list[str]
    awarding: list[tuple[str, int]]  # with the round of the scoring
    settling: list[str]
    defaulting: list[str]
    cancelling: list[str]


async def due(session: AsyncSession, now_us: int) -> Due:
    """What is due at `now_us`, a fact of the rows alone; most of the time nothing is under way, and one look tells it."""
    going = select(Tender.id).where(
        or_(
            col(Tender.state).in_(("published", "halted", "opening", "opened", "awarded")),
            col(Tender.screened).is_(False),
        )
    )
    if (await session.execute(going.limit(1))).first() is None:
        return Due([], [], [], [], [], [], [])
    closing = await session.execute(
        select(Tender.id)
        .where(col(Tender.state) == "published", col(Tender.deadline_us) <= now_us)
        .order_by(col(Tender.deadline_us))
    )
    good = (
        sql_select(func.count())
        .where(
            col(OpeningShare.tender) == col(Tender.id),
            func.jsonb_array_length(col(OpeningShare.faults)) == 0,
        )
        .scalar_subquery()
    )
    opening = await session.execute(
        select(Tender.id)
        .where(
            col(Tender.state) == "opening",
            or_(
                col(Tender.ends_us) <= now_us,
                good >= cast(col(Tender.committee)["threshold"].astext, Integer),
            ),
        )
        .order_by(col(Tender.opens_us))
    )
    marked = (
        sql_select(func.count())
        .where(col(TenderMark.tender) == col(Tender.id), col(TenderMark.round) == col(Tender.round))
        .scalar_subquery()
    )
    awarding = await session.execute(
        select(Tender.id, Tender.round)
        .where(
            col(Tender.state) == "opened",
            marked == func.cardinality(col(Tender.assessors)),
            or_(
                func.cardinality(col(Tender.assessors)) > 0,
                func.jsonb_array_length(col(Tender.rules)["criteria"]) == 0,
            ),
        )
        .order_by(col(Tender.log_index))
    )
    final = (
        await session.execute(
            select(Tender.id, Tender.pay_by_us)
            .where(
                col(Tender.state) == "awarded",
                col(Tender.protest_until_us) <= now_us,
                ~exists().where(col(Protest.tender) == col(Tender.id), col(Protest.state) == "filed"),
            )
            .order_by(col(Tender.id))
        )
    ).all()
    halted = await session.execute(
        select(Tender.id)
        .where(col(Tender.state) == "halted", col(Tender.resume_by_us) < now_us)
        .order_by(col(Tender.id))
    )
    return Due(
        list(closing.scalars()),
        list(opening.scalars()),
        await unscreened(session),
        [(tender, number) for tender, number in awarding],
        [tender for tender, _ in final],
        [tender for tender, pay_by_us in final if pay_by_us is not None and pay_by_us <= now_us],
        list(halted.scalars()),
    )
