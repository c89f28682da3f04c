"""The close, and the opening in public view: holders hand their shares in, each is verified, so many of them open every envelope.

Pure below the acts: what the log says is enough to open a tender again, offline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from sqlalchemy import and_, exists, or_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange.acts import Act, Record, Transaction, plain, refusal
from exchange.errors import Conflict, Forbidden, Unprocessable
from exchange.money import DEPOSITS, MONEY
from exchange.tables import Envelope, Listing, OpeningShare, Party, Tender, Tenderer
from exchange.tenders.terms import committee_of, holders_of, not_now, rules_of
from ledger.postings import Transfer
from pricing.auctions import ScoringRules
from pricing.errors import SealError
from pricing.sealed_bids import (
    Committee,
    Dispute,
    Fault,
    Opened,
    SealedBid,
    Share,
    Unopened,
    Void,
    open_bid,
    submission_from_json,
    verify_dispute,
    verify_share,
)

Submissions = Mapping[str, Share | Dispute]
"""What one holder hands in: for each envelope, by its digest, the share or the dispute."""


@dataclass(frozen=True, slots=True)
class CloseTender(Act):
    """Close a tender whose deadline has come."""

    tender: str


async def close_tender(tx: Transaction, act: CloseTender) -> Record:
    """Name the envelopes that will be opened; fewer bidders than the law asks for, and it has failed.

    Closing is a fact of the log's time (`deadline_us <= now`); whoever calls only nudges it. Nothing is opened of one that
    failed: what was bid stays sealed, the deposits go back, and it may be tendered again.
    """
    tender = await tx.find(Tender, act.tender, "tender")
    if tender.state != "published" or tender.deadline_us > tx.now_us:
        raise Conflict("tender.not_due", "this tender is not due", field="tender", rule="deadline_us <= now")
    standing = await standing_of(tx.session, tender.id)
    await _go_on(tx, tender, "opening", _too_few(len(standing), tender))
    tender.screened = tender.failure is not None
    return Record(
        "tender_closed",
        {
            "deadline_us": str(tender.deadline_us),
            "envelopes": [
                {
                    "bid_id": one.bid_id,
                    "code": one.code,
                    "digest": one.digest,
                    "index": str(one.log_index),
                    "proposal": one.proposal,
                }
                for one in standing
            ],
            "failure": tender.failure,
            "state": tender.state,
            "tender": tender.id,
        },
        readers=await concerned(tx.session, tender),
    )


def _too_few(count: int, tender: Tender) -> str | None:
    return "too_few_bidders" if count < int(tender.rules["least_bidders"]) else None


async def _go_on(tx: Transaction, tender: Tender, state: str, failure: str | None) -> None:
    """Go on to the next state, or fail; of what failed nothing is on offer any more."""
    tender.state, tender.failure = ("failed", failure) if failure is not None else (state, None)
    if failure is not None:
        (await tx.find(Listing, tender.listing, "listing")).state = "ended"


async def fail(tx: Transaction, tender: Tender, failure: str) -> None:
    """End a tender without an award."""
    await _go_on(tx, tender, "failed", failure)


async def standing_of(session: AsyncSession, tender: str) -> list[Envelope]:
    """The envelopes that stand, in log order."""
    rows = await session.execute(
        select(Envelope)
        .where(col(Envelope.tender) == tender, col(Envelope.state) == "standing")
        .order_by(col(Envelope.log_index))
    )
    return list(rows.scalars())


async def concerned(session: AsyncSession, tender: Tender) -> list[str]:
    """Whom it concerns what becomes of a tender: its supplier, its holders and its bidders."""
    listing = await session.get(Listing, tender.listing)
    assert listing is not None
    bidders = await session.execute(select(Tenderer.party).where(col(Tenderer.tender) == tender.id))
    return sorted({listing.seller, *holders_of(tender), *bidders.scalars()})


@dataclass(frozen=True, slots=True)
class HandShares(Act):
    """Hand in what the calling holder was sent, for every envelope by its digest; each as `open_share` made it."""

    tender: str
    submissions: dict[str, dict[str, Any]]


async def hand_shares(tx: Transaction, act: HandShares) -> Record:
    """Verify a holder's shares and keep them for the opening; one that is forged is refused on the record, and named.

    Forbidden to who is no holder; Conflict outside the time of the opening, and where the holder's shares are in.
    """
    tender = await tx.find(Tender, act.tender, "tender")
    committee, holders = committee_of(tender.committee), holders_of(tender)
    if tx.caller.party not in holders:
        raise Forbidden(
            "share.no_holder",
            "your party holds no key of this tender",
            field="tender",
            rule="the holders that the publication names open it, and nobody else",
            remedy="none on this tender",
        )
    if tender.state != "opening" or not tender.opens_us <= tx.now_us < tender.ends_us:
        raise not_now(
            tender, "opening", "shares are handed in from the opening's time until its end", tx.now_us
        )
    shared = await shares_of(tx.session, tender.id)
    if tx.caller.party in shared:
        raise Conflict(
            "share.handed", "your shares are in", field="tender", remedy="none needed: they are verified"
        )
    bids = [SealedBid.from_json(one.sealed) for one in await standing_of(tx.session, tender.id)]
    submissions = _submissions(act.submissions, bids)
    number = holders.index(tx.caller.party) + 1
    faults = faults_of(bids, committee, number, submissions)
    said: dict[str, Any] = {
        "holder": tx.caller.party,
        "submissions": plain({digest: one.to_json() for digest, one in submissions.items()}),
        "tender": tender.id,
    }
    await tx.insert(
        OpeningShare(
            log_index=tx.index,
            tender=tender.id,
            holder=tx.caller.party,
            submissions=said["submissions"],
            faults=faults,
            time_us=tx.now_us,
        )
    )
    if faults:
        named = ", ".join(f"{one['code']} ({one['fault']})" for one in faults)
        problem = Unprocessable(
            "share.forged",
            f"holder {tx.caller.party}, number {number}: {named}",
            field="submissions",
            rule="a share is the one that the bidder dealt and committed to, or the proof that it dealt none",
            remedy="hand in what `exchange holder open` wrote, made with the key that you published",
        )
        refused = refusal("tender_shares", {**said, "faults": faults}, problem)
        return Record(refused.kind, refused.act, readers=await concerned(tx.session, tender))
    return Record(
        "tender_shares",
        {**said, "good": str(len(shared) + 1), "needed": str(committee.threshold), "state": "verified"},
        readers=await concerned(tx.session, tender),
    )


def _submissions(given: Mapping[str, Mapping[str, Any]], bids: Sequence[SealedBid]) -> Submissions:
    """What a holder handed in, for every envelope and no other; Unprocessable, unrecorded, where it cannot be read so."""
    wanted = {bid.digest for bid in bids}
    if set(given) != wanted:
        raise Unprocessable(
            "share.incomplete",
            f"{len(set(given) & wanted)} of {len(wanted)} envelopes, and {len(set(given) - wanted)} others",
            field="submissions",
            rule="one share or dispute for each envelope of the tender",
            remedy="fetch the sealed tender again, and hand in what `exchange holder open` writes",
        )
    try:
        return submissions_of(given)
    except SealError as refused:
        raise Unprocessable(
            "share.form",
            str(refused),
            field=f"submissions.{refused.field}",
            rule=refused.rule,
            remedy=refused.remedy,
        ) from refused


def submissions_of(given: Mapping[str, Mapping[str, Any]]) -> Submissions:
    """Read what a holder handed in, from a request or from a body. Pure; SealError where it is nothing of the kind."""
    return {digest: submission_from_json(one) for digest, one in given.items()}


def faults_of(
    bids: Sequence[SealedBid], committee: Committee, number: int, submissions: Submissions
) -> list[dict[str, str]]:
    """Which of a holder's submissions are not what it was sent, envelope by envelope. Pure."""
    found = []
    for bid in bids:
        one = submissions[bid.digest]
        good = one.holder == number and (
            verify_share(bid, committee, one)
            if isinstance(one, Share)
            else verify_dispute(bid, committee, one)
        )
        if not good:
            fault = Fault.FORGED_SHARE if isinstance(one, Share) else Fault.FALSE_DISPUTE
            found.append({"code": bid.context.code, "digest": bid.digest, "fault": fault.value})
    return found


async def shares_of(session: AsyncSession, tender: str) -> dict[str, dict[str, Any]]:
    """What each holder handed in that was good, in log order."""
    rows = await session.execute(
        select(OpeningShare).where(col(OpeningShare.tender) == tender).order_by(col(OpeningShare.log_index))
    )
    return {row.holder: row.submissions for row in rows.scalars() if not row.faults}


@dataclass(frozen=True, slots=True)
class OpenTender(Act):
    """Open all envelopes of a tender."""

    tender: str


async def open_tender(tx: Transaction, act: OpenTender) -> Record:
    """Open every envelope in one act, once so many holders handed in good shares, or fail when the time for it is over.

    The result follows from the sealed bids and the shares alone: `opened_of` recomputes it. What does not open, or is no valid
    bid, is recorded as that; with fewer valid bids than the law asks for the tender has failed.
    """
    tender = await tx.find(Tender, act.tender, "tender")
    committee = committee_of(tender.committee)
    shared = await shares_of(tx.session, tender.id)
    if tender.state != "opening" or (len(shared) < committee.threshold and tx.now_us < tender.ends_us):
        raise Conflict(
            "tender.not_due",
            f"{len(shared)} of {committee.threshold} holders have handed in their shares",
            field="tender",
            rule="so many holders together open a tender",
            remedy="wait for them, until the opening ends",
        )
    bids = [SealedBid.from_json(one.sealed) for one in await standing_of(tx.session, tender.id)]
    rows = opened_of(
        bids,
        committee,
        rules_of(tender.rules, placeholder(tender.rules)),
        [submissions_of(one) for one in shared.values()],
    )
    failure = "not_opened" if len(shared) < committee.threshold else _too_few(valid(rows), tender)
    tender.opened = rows
    await _go_on(tx, tender, "opened", failure)
    return Record(
        "tender_opened",
        {
            "envelopes": rows,
            "failure": failure,
            "holders": list(shared),
            "state": tender.state,
            "tender": tender.id,
        },
        readers=await concerned(tx.session, tender),
    )


def placeholder(rules: Mapping[str, Any]) -> tuple[str, ...]:
    """Names in the place of assessors who are not named yet, as many as any rule asks for."""
    return tuple(f"assessor {n}" for n in range(4)) if rules["criteria"] else ()


def opened_of(
    bids: Sequence[SealedBid],
    committee: Committee,
    rules: ScoringRules,
    shared: Sequence[Submissions],
) -> list[dict[str, Any]]:
    """What every envelope says, from the sealed bids and the holders' good shares alone. Pure.

    A row is "valid"; "void" with a reason, by its bidder's doing (misdealt, unreadable, more than one unit, or a price past
    floor or ceiling); or "unopened" where too few shares came.
    """
    rows = []
    for bid in bids:
        opening = open_bid(bid, committee, [one[bid.digest] for one in shared])
        row: dict[str, Any] = {
            "bid_id": bid.context.bid_id,
            "code": bid.context.code,
            "digest": bid.digest,
            "price_fen": None,
            "reason": None,
        }
        match opening:
            case Opened(price):
                row["price_fen"] = str(price.price_fen)
                above = rules.ceiling_fen is not None and price.price_fen > rules.ceiling_fen
                if price.quantity != 1:
                    row["reason"] = "quantity"
                elif price.price_fen < rules.floor_fen:
                    row["reason"] = "below_floor"
                elif above:
                    row["reason"] = "above_ceiling"
                row["state"] = "valid" if row["reason"] is None else "void"
            case Void(reason):
                row |= {"reason": reason.value, "state": "void"}
            case Unopened():
                row["state"] = "unopened"
            case _:
                assert_never(opening)
        rows.append(row)
    return rows


def valid(rows: Sequence[Mapping[str, Any]]) -> int:
    """How many of the opened envelopes are valid bids."""
    return sum(row["state"] == "valid" for row in rows)


@dataclass(frozen=True, slots=True)
class ReleaseTenderDeposit(Act):
    """Give a bidder's deposit back, by its code on the tender."""

    tender: str
    code: str


async def release_deposit(tx: Transaction, act: ReleaseTenderDeposit) -> Record:
    """Release the hold of a bidder who has nothing more to answer for; Conflict where nothing of it is held any more."""
    tender = await tx.find(Tender, act.tender, "tender")
    named = (
        select(Tenderer)
        .join(Tender)
        .where(col(Tenderer.tender) == tender.id, col(Tenderer.code) == act.code, OWED)
    )
    bidder = (await tx.session.execute(named)).scalar_one_or_none()
    if bidder is None:
        raise Conflict("tender.nothing_to_release", "there is no such deposit to release", field="code")
    party = await tx.find(Party, bidder.party, "party")
    assert party.account is not None
    await tx.post(
        Transfer(
            tx.identifier("void"),
            "void_pending",
            party.account,
            DEPOSITS,
            tender.deposit_fen,
            MONEY,
            "deposit",
            bidder.hold,
        )
    )
    bidder.state = "released"
    return Record(
        "tender_deposit_released",
        {"code": act.code, "state": "released", "tender": tender.id},
        readers=(bidder.party,),
    )


OWED = and_(
    col(Tenderer.state) == "admitted",
    or_(
        col(Tender.state).in_(("failed", "cancelled", "annulled")),
        and_(
            col(Tender.state).in_(("settled", "defaulted")),
            col(Tenderer.party).is_distinct_from(col(Tender.winner)),
        ),
        and_(
            col(Tender.state).in_(("opening", "opened", "awarded")),
            ~exists().where(
                col(Envelope.tender) == col(Tenderer.tender),
                col(Envelope.code) == col(Tenderer.code),
                col(Envelope.state) == "standing",
            ),
        ),
    ),
)
"""Whose deposit has to go back: of a tender that came to nothing everybody's, of one that is over the losers', and from the
close on theirs who handed no envelope in or took it back."""


async def deposits_due(session: AsyncSession, limit: int) -> list[tuple[str, str]]:
    """Tender and code of the bidders whose deposits have to go back, at most `limit`."""
    rows = await session.execute(
        select(Tenderer.tender, Tenderer.code)
        .join(Tender)
        .where(OWED)
        .order_by(col(Tenderer.tender), col(Tenderer.code))
        .limit(limit)
    )
    return [(tender, code) for tender, code in rows]
