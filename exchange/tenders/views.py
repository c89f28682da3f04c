"""Tenders as the public sees them: nothing of who bids before the deadline, bidders by code alone after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import or_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange.acts import Caller, plain
from exchange.errors import Conflict, Forbidden, NotFound
from exchange.rulebook import Rulebook
from exchange.tables import (
    Asset,
    Envelope,
    HolderKey,
    Listing,
    Opening,
    OpeningShare,
    Party,
    Person,
    Protest,
    Tender,
    Tenderer,
    TenderMark,
    TenderQuestion,
)
from exchange.tenders.opening import standing_of
from exchange.tenders.scoring import book_of, marks_of, related
from exchange.tenders.terms import committee_of
from pricing.auctions import award, explain
from pricing.sealed_bids import Ceremony, SealedBid, SealedLot

COLUMNS = (
    "id", "listing", "state", "failure", "estimate_fen", "deposit_fen", "rules", "committee", "qualification", "again_of",
    "deadline_us", "opens_us", "ends_us", "round", "assessors", "opened", "scores", "outcome", "price_fen",
    "protest_until_us", "pay_by_us", "halted_us", "resume_by_us", "log_index",
)  # fmt: skip


async def tenders(
    session: AsyncSession, after: int | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """All tenders, newest first; or a page, older than entry `after`."""
    query = _ROWS.order_by(col(Tender.log_index).desc()).limit(limit)
    rows = await session.execute(query if after is None else query.where(col(Tender.log_index) < after))
    return [_view(*row) for row in rows.all()]


async def tender(session: AsyncSession, identifier: str) -> dict[str, Any]:
    """One tender with its clarifications, the course of its opening, its marks and its protests."""
    found = (await session.execute(_ROWS.where(col(Tender.id) == identifier))).first()
    if found is None:
        raise NotFound(
            "tender.unknown", f"no tender {identifier!r}", field="tender", remedy="check the identifier"
        )
    row = found[0]
    view = _view(*found)
    view["questions"] = await _questions(session, row)
    view["shares"] = await shares(session, identifier)
    view["envelopes"] = (
        []
        if row.state in ("published", "halted", "cancelled")
        else [
            {
                "bid_id": one.bid_id,
                "code": one.code,
                "digest": one.digest,
                "index": str(one.log_index),
                "filed_index": plain(one.filed_index),
                "proposal": one.proposal,
            }
            for one in await standing_of(session, row.id)
        ]
    )
    # Marks are shown once all are in: an assessor marks without knowing how the others did.
    view["marks"] = await _marks(session, row) if row.outcome is not None else []
    view["protests"] = await _protests(session, row)
    return view


_ROWS = (
    select(Tender, Listing, Asset, Opening.value)
    .join(Listing, col(Listing.id) == col(Tender.listing))
    .join(Asset, col(Asset.id) == col(Listing.asset))
    .join(Opening, col(Opening.commitment) == col(Tender.terms), isouter=True)
)


def _view(row: Tender, listing: Listing, asset: Asset, terms: str | None) -> dict[str, Any]:
    winner = None if row.outcome is None else row.outcome["result"]["allocation"]
    return {
        **{name: plain(getattr(row, name)) for name in COLUMNS},
        "asset": asset.id,
        "asset_code": asset.code,
        "asset_title": asset.title,
        "grant": listing.grant,
        "reason": listing.reason,
        "seller": listing.seller,
        "term_days": str(listing.term_days),
        "terms": terms,
        "winner_code": winner[0]["code"] if winner else None,
    }


async def _text(session: AsyncSession, commitment: str | None) -> str | None:
    """What a commitment hides; None where there is none, or where it was erased."""
    opening = None if commitment is None else await session.get(Opening, commitment)
    return None if opening is None else opening.value


async def _questions(session: AsyncSession, row: Tender) -> list[dict[str, Any]]:
    rows = await session.execute(
        select(TenderQuestion)
        .where(col(TenderQuestion.tender) == row.id)
        .order_by(col(TenderQuestion.log_index))
    )
    return [
        {
            "answer": await _text(session, one.answer),
            "due_us": str(one.due_us),
            "id": one.id,
            "late": one.late,
            "question": await _text(session, one.question),
            "time_us": str(one.time_us),
        }
        for one in rows.scalars().all()
    ]


async def _marks(session: AsyncSession, row: Tender) -> list[dict[str, Any]]:
    rows = await session.execute(
        select(TenderMark)
        .where(col(TenderMark.tender) == row.id, col(TenderMark.round) == row.round)
        .order_by(col(TenderMark.log_index))
    )
    return [
        {"assessor": one.assessor, "index": str(one.log_index), "marks": one.marks} for one in rows.scalars()
    ]


async def _protests(session: AsyncSession, row: Tender) -> list[dict[str, Any]]:
    rows = await session.execute(
        select(Protest).where(col(Protest.tender) == row.id).order_by(col(Protest.log_index))
    )
    return [
        {
            "answer": await _text(session, one.answer),
            "code": one.code,
            "due_us": str(one.due_us),
            "id": one.id,
            "late": one.late,
            "remedy": one.remedy,
            "round": str(one.round),
            "state": one.state,
            "time_us": str(one.time_us),
        }
        for one in rows.scalars().all()
    ]


async def named(session: AsyncSession, parties: Iterable[str]) -> dict[str, str]:
    """What they are called who act in public on tenders: suppliers and holders."""
    rows = await session.execute(select(Party.id, Party.name).where(col(Party.id).in_(list(parties))))
    return {row.id: row.name for row in rows}


async def sealed(session: AsyncSession, identifier: str) -> dict[str, Any]:
    """All that holders and strangers need to open a tender, for everybody once its deadline is over; Conflict before."""
    row = (await session.execute(select(Tender).where(col(Tender.id) == identifier))).scalar_one_or_none()
    if row is None:
        raise NotFound(
            "tender.unknown", f"no tender {identifier!r}", field="tender", remedy="check the identifier"
        )
    if row.state in ("published", "halted", "cancelled"):
        raise Conflict(
            "tender.sealed",
            f"tender {row.id} is {row.state}",
            field="tender",
            rule="who has bid, and how many, is told nobody before the deadline",
            remedy="come back after the deadline",
        )
    bids = tuple(SealedBid.from_json(one.sealed) for one in await standing_of(session, row.id))
    return SealedLot(row.id, committee_of(row.committee), Ceremony(row.opens_us, row.ends_us), bids).to_json()


async def shares(session: AsyncSession, identifier: str) -> list[dict[str, Any]]:
    """What each holder handed in at an opening, in log order, good and refused, with who was named for what."""
    rows = await session.execute(
        select(OpeningShare)
        .where(col(OpeningShare.tender) == identifier)
        .order_by(col(OpeningShare.log_index))
    )
    return [
        {
            "faults": one.faults,
            "holder": one.holder,
            "index": str(one.log_index),
            "state": "refused" if one.faults else "verified",
            "submissions": one.submissions,
            "time_us": str(one.time_us),
        }
        for one in rows.scalars()
    ]


async def holder_keys(session: AsyncSession) -> list[dict[str, Any]]:
    """The keys that holders have published, by party."""
    rows = await session.execute(select(HolderKey).order_by(col(HolderKey.party)))
    return [{"index": str(row.log_index), "party": row.party, "public": row.public} for row in rows.scalars()]


async def tenderer(session: AsyncSession, caller: Caller, identifier: str) -> dict[str, Any]:
    """The caller's own place on a tender, by its code, and its envelopes; NotFound where the party did not join."""
    view = await tender(session, identifier)
    row = await session.get(Tenderer, (identifier, caller.party))
    if row is None:
        raise NotFound(
            "tenderer.unknown",
            "your party has not joined this tender",
            field="tender",
            rule="whoever bids joins first, and has the deposit held",
            remedy="POST /v1/tenders/{tender}/tenderers",
        )
    rows = await session.execute(
        select(Envelope)
        .where(col(Envelope.tender) == identifier, col(Envelope.party) == caller.party)
        .order_by(col(Envelope.log_index))
    )
    return {
        "code": row.code,
        "deposit_fen": view["deposit_fen"],
        "envelopes": [
            {
                "bid_id": one.bid_id,
                "digest": one.digest,
                "filed_index": plain(one.filed_index),
                "index": str(one.log_index),
                "proposal": one.proposal,
                "state": one.state,
                "time_us": str(one.time_us),
            }
            for one in rows.scalars()
        ],
        "hold": row.hold,
        "index": str(row.log_index),
        "state": row.state,
        "tender": row.tender,
    }


async def explanation(session: AsyncSession, caller: Caller, identifier: str) -> dict[str, Any]:
    """Why the caller's party won or lost, from the opened bids and the logged marks alone; Conflict while there is no award."""
    await tenderer(session, caller, identifier)
    row = await session.get(Tender, identifier)
    place = await session.get(Tenderer, (identifier, caller.party))
    assert row is not None
    assert place is not None
    if row.outcome is None:
        raise Conflict(
            "tender.not_awarded",
            f"tender {row.id} is {row.state}",
            field="tender",
            rule="an award is explained once there is one",
            remedy="come back after it",
        )
    marks = {one["assessor"]: marks_of(one["marks"]) for one in await _marks(session, row)}
    sequence = {one.digest: one.log_index for one in await standing_of(session, row.id)}
    scoring, book = book_of(row.rules, row.assessors, row.opened or [], sequence, marks)
    found = explain(award(scoring, book), scoring, book, place.code)
    return {
        "code": place.code,
        "en": found.en,
        "result": found.result,
        "tender": row.id,
        "zh": found.zh,
    }


async def signs(session: AsyncSession, caller: Caller, identifier: str) -> dict[str, Any]:
    """What the screens found at the opening, for the regulator; None while it is not open."""
    caller.require("regulator")
    view = await tender(session, identifier)
    row = await session.get(Tender, identifier)
    assert row is not None
    return {"signs": row.signs, "state": view["state"], "tender": row.id}


async def protested(session: AsyncSession, caller: Caller, identifier: str) -> list[dict[str, Any]]:
    """The protests against a tender with their reasons, for the regulator who decides them."""
    caller.require("regulator")
    rows = await session.execute(
        select(Protest).where(col(Protest.tender) == identifier).order_by(col(Protest.log_index))
    )
    return [
        {
            "code": one.code,
            "due_us": str(one.due_us),
            "id": one.id,
            "index": str(one.log_index),
            "reason": await _text(session, one.reason),
            "state": one.state,
        }
        for one in rows.scalars().all()
    ]


async def duties(session: AsyncSession, caller: Caller) -> list[dict[str, Any]]:
    """The tenders that the caller helps to decide, the newest first: whose key the party holds, or whose bids the person marks.

    Of those that the person marks, `proposals` are the bidders whose proposal is in.
    """
    holds = col(Tender.committee).contains({"holders": [{"name": caller.party}]})
    marks = col(Tender.assessors).contains([caller.person])
    rows = await session.execute(_ROWS.where(or_(holds, marks)).order_by(col(Tender.log_index).desc()))
    found = [_view(*row) for row in rows.all()]
    marked = [view["id"] for view in found if caller.person in view["assessors"]]
    filed = await session.execute(
        select(Envelope.tender, Envelope.code)
        .where(col(Envelope.tender).in_(marked), col(Envelope.filed_index).is_not(None))
        .order_by(col(Envelope.code))
    )
    proposals: defaultdict[str, list[str]] = defaultdict(list)
    for tender, code in filed:
        proposals[tender].append(code)
    return [{**view, "proposals": proposals[view["id"]]} for view in found]


async def has_marked(session: AsyncSession, caller: Caller, identifier: str) -> bool:
    """Whether the caller's marks of this round are in."""
    row = await session.get(Tender, identifier)
    return (
        row is not None and await session.get(TenderMark, (identifier, row.round, caller.person)) is not None
    )


async def independence(
    session: AsyncSession,
    caller: Caller,
    identifier: str,
    people: Sequence[str],
    now_us: int,
    rules: Rulebook,
) -> list[dict[str, Any]]:
    """What the conflict check finds of each person who might assess a tender, for its supplier: None for nothing, and for a
    stranger to this market; a bidder stands there by its code.
    """
    view = await tender(session, identifier)
    if view["seller"] != caller.party:
        raise Forbidden(
            "tender.not_yours",
            f"tender {identifier} is another department's",
            field="tender",
            rule="who tenders names the assessors",
            remedy="none on this tender",
        )
    row, asset = await session.get(Tender, identifier), await session.get(Asset, view["asset"])
    assert row is not None
    assert asset is not None
    found = []
    for name in people:
        person = await session.get(Person, name)
        why = None
        if person is not None:
            part, codes = await related(session, now_us, row, asset, person, rules)
            why = None if part is None else part.why("assess", codes)
        found.append(
            {
                "known": person is not None and person.state == "active",
                "party": None if person is None else person.party,
                "person": name,
                "why": why,
            }
        )
    return found
