"""Lots as the public sees them: bidders by code alone until the confirmation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import func, literal, tuple_, union_all
from sqlalchemy import select as sql_select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select
from sqlmodel.sql.expression import Select as SelectOf

from exchange.acts import Caller, plain
from exchange.auctions.terms import rules_of
from exchange.database import driver
from exchange.errors import Conflict, NotFound
from exchange.tables import Asset, Bid, Bidder, Listing, Lot
from pricing.auctions import Bid as PricedBid
from pricing.auctions import Explanation, award, explain

LOT_COLUMNS = (
    "id", "listing", "state", "start_price_fen", "increment_fen", "ceiling_fen", "deposit_fen", "opens_us",
    "first_closes_us", "closes_us", "soft_close_window_us", "soft_close_extension_us", "standing_price_fen",
    "standing_code", "bids", "price_fen", "outcome", "settled", "again_of", "qualification", "priority", "draw", "at_ceiling",
    "halted_us", "resume_by_us", "ended_us", "refund_by_us", "pay_by_us", "defaulted_us", "forfeit_fen",
)  # fmt: skip


LotCursor = tuple[bool, int, str]
"""Where a page of lots ended: whether its last lot had ended, when that closes, its identifier. A lot whose close is moved
meanwhile may be seen twice, never missed."""


_LOTS = (
    select(Lot, Listing, Asset)
    .join(Listing, col(Listing.id) == col(Lot.listing))
    .join(Asset, col(Asset.id) == col(Listing.asset))
)
_NEXT_FIRST = (col(Lot.state) != "open", col(Lot.closes_us), col(Lot.id))


async def lots(
    session: AsyncSession, after: LotCursor | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """All lots as the public sees them, the ones that close next first, or a page; bidders only by code."""
    query = _LOTS.order_by(*_NEXT_FIRST).limit(limit)
    return await _views(
        session, query if after is None else query.where(tuple_(*_NEXT_FIRST) > tuple_(*after))
    )


async def lot(session: AsyncSession, identifier: str) -> dict[str, Any]:
    """One lot as the public sees it."""
    views = await lots_named(session, [identifier])
    if not views:
        raise NotFound("lot.unknown", f"no lot {identifier!r}", field="lot", remedy="check the identifier")
    return views[0]


async def lots_named(session: AsyncSession, identifiers: Sequence[str]) -> list[dict[str, Any]]:
    """The lots of these identifiers, the ones that close next first."""
    return await _views(session, _LOTS.where(col(Lot.id).in_(identifiers)).order_by(*_NEXT_FIRST))


async def lots_of(session: AsyncSession, seller: str, limit: int) -> list[dict[str, Any]]:
    """The lots of a seller, the ones that close next first, at most `limit`."""
    return await _views(
        session, _LOTS.where(col(Listing.seller) == seller).order_by(*_NEXT_FIRST).limit(limit)
    )


async def open_lots(session: AsyncSession, limit: int) -> list[dict[str, Any]]:
    """The lots that close next, at most `limit`."""
    return await _views(
        session,
        _LOTS.where(col(Lot.state) == "open").order_by(col(Lot.closes_us), col(Lot.id)).limit(limit),
    )


async def ended_lots(session: AsyncSession, limit: int) -> list[dict[str, Any]]:
    """The lots that are open no more, the one that closed last first, at most `limit`."""
    return await _views(
        session,
        _LOTS.where(col(Lot.state) != "open").order_by(col(Lot.closes_us).desc(), col(Lot.id)).limit(limit),
    )


async def totals(session: AsyncSession) -> dict[str, int]:
    """How many lots are open and were sold, how many bids all had, and for how many fen they were sold."""
    row = (
        await session.execute(
            sql_select(
                func.count().filter(col(Lot.state) == "open"),
                func.count().filter(col(Lot.state) == "sold"),
                func.sum(col(Lot.bids)),
                func.sum(col(Lot.price_fen)).filter(col(Lot.state) == "sold"),
            )
        )
    ).one()
    return {
        name: int(found or 0) for name, found in zip(("open", "sold", "bids", "volume_fen"), row, strict=True)
    }


async def _views(session: AsyncSession, query: SelectOf[Lot, Listing, Asset]) -> list[dict[str, Any]]:
    views = []
    for row, listing, asset in await session.execute(query):
        view = {name: plain(getattr(row, name)) for name in LOT_COLUMNS}
        view |= {
            "asset": asset.id,
            "asset_code": asset.code,
            "asset_title": asset.title,
            "grant": listing.grant,
            "term_days": str(listing.term_days),
            "winner_code": winner_code(row),
        }
        views.append(view)
    return views


def winner_code(lot: Lot) -> str | None:
    """Under which code a lot was won; who that is stands in the confirmation alone."""
    if lot.outcome is None or lot.winner is None:
        return None
    code: str = lot.outcome["result"]["allocation"][0]["code"]
    return code


async def bids(
    session: AsyncSession, identifier: str, after: int = -1, limit: int = 500
) -> list[dict[str, Any]]:
    """The bids of a lot in log order, admitted and refused, from behind index `after`."""
    await lot(session, identifier)
    rows = await session.execute(
        select(Bid)
        .where(col(Bid.lot) == identifier, col(Bid.log_index) > after)
        .order_by(col(Bid.log_index))
        .limit(limit)
    )
    return [
        {
            "index": str(b.log_index),
            "code": b.code,
            "price_fen": str(b.price_fen),
            "time_us": str(b.time_us),
            "reason": b.reason,
        }
        for b in rows.scalars()
    ]


async def book_of(session: AsyncSession, lot: str) -> list[PricedBid]:
    """The admitted bids of a lot, in log order."""
    # By the driver: of a hundred thousand rows, objects of the mapper would cost twelve times as much as the query.
    rows = await (await driver(session)).execute(
        "SELECT code, key, price_fen, log_index, time_us FROM bid WHERE lot = %s AND reason IS NULL ORDER BY log_index",
        (lot,),
    )
    return [PricedBid(*row) for row in await rows.fetchall()]


async def explanation(session: AsyncSession, caller: Caller, identifier: str) -> dict[str, Any]:
    """Why the caller's party won or lost a lot, from the public book alone, in Chinese and English.

    The award is made again from rules, bids and seed first, so that nothing is explained that does not hold. NotFound where
    the party did not join, Conflict before the award.
    """
    await lot(session, identifier)
    row = await session.get(Lot, identifier)
    place = await session.get(Bidder, (identifier, caller.party))
    assert row is not None
    if place is None:
        raise NotFound(
            "bidder.unknown",
            "your party has not joined this lot",
            field="lot",
            remedy="GET /v1/lots/{lot} shows everybody how it ended",
        )
    if row.outcome is None:
        raise Conflict(
            "lot.not_awarded",
            f"lot {identifier} is {row.state}: nobody has won or lost it",
            field="lot",
            remedy="ask once it is awarded",
        )
    said = row.outcome["result"]["seed"]
    book, rules = await book_of(session, identifier), rules_of(row)
    seed = None if said is None else bytes.fromhex(said)

    def explained() -> Explanation:
        outcome = award(rules, book, seed=seed)
        if outcome.digest != (row.outcome or {})["digest"]:
            raise RuntimeError(f"lot {identifier}: the book does not make the award that was published")
        return explain(outcome, rules, book, place.code)

    found = await asyncio.to_thread(explained)
    return {
        "code": place.code,
        "en": found.words("en"),
        "lot": identifier,
        "result": found.result,
        "zh": found.words("zh"),
    }


Happening = Literal["opens", "closes", "resume_by", "pay_by", "refund_by"]


HappeningCursor = tuple[int, str, str]
"""Where a page of the calendar ended: moment, lot, and what happens then."""


async def calendar(
    session: AsyncSession, from_us: int, until_us: int, limit: int, after: HappeningCursor | None = None
) -> list[dict[str, Any]]:
    """What the lots of this market have before them between two moments, in the order of time: everybody's to know."""
    moments: tuple[tuple[Happening, Any, tuple[str, ...]], ...] = (
        ("opens", col(Lot.opens_us), ("open",)),
        ("closes", col(Lot.closes_us), ("open",)),
        ("resume_by", col(Lot.resume_by_us), ("halted",)),
        ("pay_by", col(Lot.pay_by_us), ("sold",)),
        ("refund_by", col(Lot.refund_by_us), ("drawing", "sold", "failed", "cancelled", "annulled")),
    )
    found = union_all(
        *(
            sql_select(
                literal(what).label("what"),
                at.label("at_us"),
                col(Lot.id).label("lot"),
                col(Lot.state).label("state"),
                col(Asset.title).label("asset_title"),
            )
            .join(Listing, col(Listing.id) == col(Lot.listing))
            .join(Asset, col(Asset.id) == col(Listing.asset))
            .where(
                at >= from_us,
                at < until_us,
                col(Lot.state).in_(states),
                *((col(Lot.settled).is_(False),) if what == "pay_by" else ()),
            )
            for what, at, states in moments
        )
    ).subquery()
    order = (found.c.at_us, found.c.lot, found.c.what)
    query = sql_select(found).order_by(*order).limit(limit)
    rows = await session.execute(query if after is None else query.where(tuple_(*order) > tuple_(*after)))
    return [{**row._mapping, "at_us": str(row.at_us)} for row in rows]
