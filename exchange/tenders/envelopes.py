"""Who bids, and its envelope: a deposit held and a code first, then one sealed bid, replaced or withdrawn until the deadline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import func
from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Record, Scope, Transaction, refusal
from exchange.errors import Conflict, ExchangeError, Forbidden, NotFound, Unprocessable
from exchange.listings import check_purpose, require_condition_met
from exchange.money import DEPOSITS, MONEY
from exchange.parties import require_active
from exchange.parties.documents import kinds_shown
from exchange.parties.relations import REMEDY, conflict
from exchange.rulebook import Rulebook
from exchange.tables import Asset, Envelope, Listing, Party, Tender, Tenderer
from exchange.tenders.terms import before_deadline, check_words, committee_of, earlier_rounds, holders_of
from ledger.postings import Transfer
from pricing.errors import SealError
from pricing.sealed_bids import Committee, Context, SealedBid, check

FACTS = ("drafter", "agent", "manager", "account")
"""What a bidder says of who made its bid: who drafted it, who hands it in for it, who would run the work, and from which bank
account the deposit comes (招标投标法实施条例 §40 looks for the same ones behind several bids)."""

TENDERERS_LIMIT = 300
"""Bidders of one tender: their envelopes are opened together, in about a millisecond each."""


@dataclass(frozen=True, slots=True)
class JoinTender(Act):
    """Ask to bid, with the deposit, for the purpose that is stated, and say who makes the bid."""

    scope: ClassVar[Scope] = "trade"
    tender: str
    drafter: str
    agent: str
    manager: str
    account: str
    purpose: str = ""


async def join_tender(tx: Transaction, act: JoinTender) -> Record:
    """Hold the deposit and give the bidder a random code for this tender.

    Refused on the record, by code: after the deadline; who sells or runs the data, or is related to who does; who holds a key of
    the tender; who defaulted on an earlier round; who has not shown what the tender asks for; and whose account does not cover the deposit.
    """
    tx.caller.require("buyer")
    rules = await rulebook.in_force(tx)
    check_purpose(act.purpose, rules)
    for name in FACTS:
        check_words(name, getattr(act, name))
    party = await tx.find(Party, tx.caller.party, "party")
    tender = await tx.find(Tender, act.tender, "tender")
    if await tx.session.get(Tenderer, (tender.id, party.id)) is not None:
        raise Conflict(
            "tenderer.admitted",
            "you are admitted to this tender",
            field="tender",
            remedy="hand in your envelope under the code you have",
        )
    count = select(func.count()).select_from(Tenderer).where(col(Tenderer.tender) == tender.id)
    if (await tx.session.execute(count)).scalar_one() >= TENDERERS_LIMIT:
        raise Conflict(
            "tender.full",
            f"{TENDERERS_LIMIT} bidders have joined",
            field="tender",
            rule="so many envelopes are opened in one act, and no more",
            remedy="look for another tender",
        )
    code, hold = "B" + tx.chance(5).hex().upper(), tx.identifier("hold")
    facts = {name: tx.seal(getattr(act, name)) for name in FACTS}
    said: dict[str, Any] = {
        "bidder": tx.seal(party.id),
        "code": code,
        "committee": committee_of(tender.committee).digest.hex(),
        "deposit_fen": str(tender.deposit_fen),
        "facts": facts,
        "hold": hold,
        "purpose": act.purpose,
        "tender": tender.id,
    }
    try:
        require_active(party)
        if tender.state == "halted":
            raise Conflict(
                "tender.halted",
                "this tender is halted",
                field="tender",
                rule="nobody joins a tender that stands still",
                remedy="join once it goes on",
            )
        if tender.state != "published" or tender.deadline_us <= tx.now_us:
            raise Conflict(
                "tender.closed", "this tender is closed", field="tender", remedy="look for an open tender"
            )
        await _require_free(tx, tender, party, code, rules)
        await _require_shown(tx, tender, party, rules)
        listing = await tx.find(Listing, tender.listing, "listing")
        asset = await tx.find(Asset, listing.asset, "asset")
        await require_condition_met(tx, asset, party, act.purpose, rules)
        if party.account is None:
            raise Conflict("party.no_account", "this party holds no money here", field="party")
        await tx.post(
            Transfer(hold, "pending", party.account, DEPOSITS, tender.deposit_fen, MONEY, "deposit")
        )
    except ExchangeError as problem:
        return refusal("tenderer", said, problem, code=code)
    await tx.insert(
        Tenderer(
            tender=tender.id,
            party=party.id,
            code=code,
            hold=hold,
            state="admitted",
            purpose=act.purpose,
            facts=facts,
            log_index=tx.index,
        )
    )
    return Record("tenderer", {**said, "state": "admitted"}, code)


async def _require_free(tx: Transaction, tender: Tender, party: Party, code: str, rules: Rulebook) -> None:
    """Refuse who is related to the seller's side, who holds a key, and who won an earlier round and did not pay."""
    listing = await tx.find(Listing, tender.listing, "listing")
    asset = await tx.find(Asset, listing.asset, "asset")
    related = await conflict(tx, asset, [party.id], bids=True)
    if related is not None and not rules.allows("tender.related_may_bid"):
        alias = {party.id: code}  # who bids is not told in the log
        raise Forbidden(
            "tenderer.related",
            related.why("bid", alias),
            field="tender",
            rule=f"venue, seller, operator, appraiser and their affiliates may not bid ({rules.cite('tenderer.related')})",
            remedy=REMEDY,
            path=related.way(alias),
        )
    if party.id in holders_of(tender):
        raise Forbidden(
            "tenderer.holder",
            f"{code} holds a key of this tender",
            field="tender",
            rule="who opens the bids does not bid",
            remedy="none on this tender",
        )
    for one in await earlier_rounds(tx.session, tender):
        defaulted = one.state == "defaulted" and one.winner == party.id
        if defaulted and not rules.allows("tender.defaulter_may_bid_again"):
            raise Forbidden(
                "tenderer.defaulted",
                f"you won tender {one.id} and did not pay",
                field="tender",
                rule=f"who defaulted is barred when it is tendered again ({rules.cite('tenderer.defaulted')})",
                remedy="none on this tender; others of this market are open to you",
            )


async def _require_shown(tx: Transaction, tender: Tender, party: Party, rules: Rulebook) -> None:
    """Refuse who has not shown the documents that the tender asks for, accepted and in force now."""
    if not tender.qualification:
        return
    missing = set(tender.qualification) - await kinds_shown(tx.session, party.id, tx.now_us)
    if missing:
        raise Forbidden(
            "tenderer.unqualified",
            f"no {min(missing)} of yours is accepted and in force",
            field="tender",
            rule=f"who bids has shown the documents that the tender names ({rules.cite('tenderer.unqualified')})",
            remedy="file the document, have it accepted, and join again",
        )


@dataclass(frozen=True, slots=True)
class HandIn(Act):
    """Hand in an envelope, in the place of the one before where there is one.

    `sealed` is the bid as `pricing.sealed_bids.seal` made it on the bidder's machine; `proposal` the SHA-256 of the document
    that the assessors mark, which the bidder keeps until the opening.
    """

    scope: ClassVar[Scope] = "trade"
    tender: str
    sealed: dict[str, Any]
    proposal: str | None = None


async def hand_in(tx: Transaction, act: HandIn) -> Record:
    """Keep a sealed bid until the opening. Refused on the record: one that is late, and one that is no bid of this bidder here.

    The deposit is held by then: whoever has not joined has no code, and is told so.
    """
    tender = await tx.find(Tender, act.tender, "tender")
    tenderer = await own_place(tx, tender)
    rules = await rulebook.in_force(tx)
    sealed = _read(act.sealed)
    said: dict[str, Any] = {
        "bid_id": sealed.context.bid_id,
        "code": tenderer.code,
        "digest": sealed.digest,
        "proposal": act.proposal,
        "sealed": act.sealed,
        "tender": tender.id,
    }
    try:
        require_active(await tx.find(Party, tx.caller.party, "party"))
        if tender.state == "halted":
            raise halted()
        check_envelope(
            sealed,
            tender.id,
            tenderer.code,
            committee_of(tender.committee),
            tender.deadline_us,
            tx.now_us,
            rules,
        )
        if tender.state != "published":
            raise late(tender.deadline_us, tx.now_us, rules)
        criteria = bool(tender.rules["criteria"])
        if (act.proposal is not None) is not criteria:
            raise Unprocessable(
                "envelope.proposal",
                "a proposal is missing" if criteria else "nobody marks a proposal here",
                field="proposal",
                rule="where assessors mark more than the price, an envelope names the digest of what they mark",
                remedy="give the SHA-256 of your proposal" if criteria else "leave it out",
            )
        known = select(Envelope.log_index).where(
            col(Envelope.tender) == tender.id,
            col(Envelope.code) == tenderer.code,
            col(Envelope.bid_id) == sealed.context.bid_id,
        )
        if (await tx.session.execute(known)).first() is not None:
            raise Conflict(
                "envelope.known",
                f"bid {sealed.context.bid_id} was handed in before",
                field="bid_id",
                rule="each envelope is a bid of its own",
                remedy="seal the new price under a fresh identifier",
            )
    except ExchangeError as problem:
        foreign = sealed.context.code
        if problem.code == "envelope.code" and foreign not in tenderer.mixed:
            tenderer.mixed = [*tenderer.mixed, foreign]
        return refusal("tender_envelope", said, problem, code=tenderer.code)
    before = await _standing(tx, tender, tenderer)
    if before is not None:
        before.state = "replaced"
        said["replaces"] = before.bid_id
    await tx.insert(
        Envelope(
            log_index=tx.index,
            tender=tender.id,
            party=tenderer.party,
            code=tenderer.code,
            bid_id=sealed.context.bid_id,
            digest=sealed.digest,
            sealed=act.sealed,
            proposal=act.proposal,
            state="standing",
            time_us=tx.now_us,
        )
    )
    return Record("tender_envelope", {**said, "state": "sealed"}, tenderer.code)


def check_envelope(
    sealed: SealedBid,
    tender: str,
    code: str,
    committee: Committee,
    deadline_us: int,
    now_us: int,
    rules: Rulebook,
) -> None:
    """Refuse an envelope that comes at the deadline or later, or is no bid of this code for this tender and committee. Pure."""
    if now_us >= deadline_us:
        raise late(deadline_us, now_us, rules)
    if sealed.context.code != code:
        raise Unprocessable(
            "envelope.code",
            f"it was sealed for {sealed.context.code}",
            field="sealed.code",
            rule="a bidder hands in its own bid; that it had another's is on the record",
            remedy="seal a bid of your own, under your code",
        )
    try:
        check(sealed, Context(tender, code, sealed.context.bid_id), committee)
    except SealError as refused:
        raise Unprocessable(
            "envelope.seal",
            str(refused),
            field=f"sealed.{refused.field}",
            rule=refused.rule,
            remedy=refused.remedy,
        ) from refused


def late(deadline_us: int, now_us: int, rules: Rulebook) -> Forbidden:
    """The problem of an envelope after the deadline."""
    return Forbidden(
        "envelope.late",
        f"the deadline was {deadline_us}, it came at {now_us}",
        field="tender",
        rule=f"what comes at the deadline or later is not taken in ({rules.cite('envelope.late')})",
        remedy="none on this tender",
    )


def halted() -> Conflict:
    """The problem of an envelope for a tender that stands still."""
    return Conflict(
        "envelope.halted",
        "this tender is halted",
        field="tender",
        rule="a tender that stands still takes nothing in; its deadline moves by the time that it stood",
        remedy="hand it in once the tender goes on",
    )


def _read(sealed: dict[str, Any]) -> SealedBid:
    """The bid as it came; Unprocessable, unrecorded, where it has not even the form of one."""
    try:
        return SealedBid.from_json(sealed)
    except SealError as refused:
        raise Unprocessable(
            "envelope.form",
            str(refused),
            field=f"sealed.{refused.field}",
            rule=refused.rule,
            remedy="seal it with the SDK, or with `exchange tender bid`",
        ) from refused


async def own_place(tx: Transaction, tender: Tender) -> Tenderer:
    """The calling party's place on a tender; NotFound where it did not join."""
    row = await tx.session.get(Tenderer, (tender.id, tx.caller.party))
    if row is None:
        raise NotFound(
            "tenderer.unknown",
            "your party has not joined this tender",
            field="tender",
            rule="whoever bids joins first, and has the deposit held",
            remedy="POST /v1/tenders/{tender}/tenderers",
        )
    return row


async def _standing(tx: Transaction, tender: Tender, tenderer: Tenderer) -> Envelope | None:
    query = select(Envelope).where(
        col(Envelope.tender) == tender.id,
        col(Envelope.code) == tenderer.code,
        col(Envelope.state) == "standing",
    )
    return (await tx.session.execute(query)).scalar_one_or_none()


@dataclass(frozen=True, slots=True)
class Withdraw(Act):
    """Take the own envelope back."""

    scope: ClassVar[Scope] = "trade"
    tender: str


async def withdraw(tx: Transaction, act: Withdraw) -> Record:
    """Take an envelope back before the deadline; the deposit goes back at the close. Refused on the record after it."""
    tender = await tx.find(Tender, act.tender, "tender")
    tenderer = await own_place(tx, tender)
    rules = await rulebook.in_force(tx)
    envelope = await _standing(tx, tender, tenderer)
    if envelope is None:
        raise Conflict(
            "envelope.none",
            "no envelope of yours is there",
            field="tender",
            remedy="none needed: nothing of yours will be opened",
        )
    said = {
        "bid_id": envelope.bid_id,
        "code": tenderer.code,
        "digest": envelope.digest,
        "tender": tender.id,
    }
    if not before_deadline(tender, tx.now_us):
        return refusal(
            "tender_withdrawn", said, late(tender.deadline_us, tx.now_us, rules), code=tenderer.code
        )
    envelope.state = "withdrawn"
    return Record("tender_withdrawn", {**said, "state": "withdrawn"}, tenderer.code)
