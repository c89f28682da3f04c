"""Room: the negotiated sale: a buyer's offer, counter-offers by either side, and acceptance by the other, which settles.

Only the two parties and a regulator read what is offered. An offer expires by the market's clock; the clock's hand only tells
the two that it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sqlalchemy import and_, or_, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Caller, Record, Scope, Signed, Transaction, plain, refusal
from exchange.contracting import standing
from exchange.controls import check_order
from exchange.errors import Conflict, Forbidden, NotFound, Unprocessable
from exchange.listings import (
    Offer,
    check_purpose,
    create_listing,
    free,
    refused_terms,
    require_fit,
    require_format,
    require_open,
    require_price,
)
from exchange.parties import require_active
from exchange.rulebook import Rulebook
from exchange.rulebook.days import DAY_US
from exchange.settlement import settle
from exchange.tables import Asset, Listing, Negotiation, NegotiationOffer, Party
from pricing.errors import PricingError
from pricing.money import MAX_AMOUNT, MICRO_PER_FEN
from pricing.negotiation import Move, Objection, Side, Standing, objection, put

REASON_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class OfferNegotiated(Act):
    """Put licences of a registered asset up for negotiation, with a reference price or none (0)."""

    scope: ClassVar[Scope] = "trade"
    asset: str
    offer: Offer


async def offer_negotiated(tx: Transaction, act: OfferNegotiated) -> Record:
    """List an asset for negotiation under the market's rulebook; Unprocessable where the rules know no negotiated sale."""
    rules = await rulebook.in_force(tx)
    require_format("negotiation", rules)
    listing, _ = await create_listing(tx, act.asset, act.offer, "negotiated", rules)
    return Record(
        "listed",
        {
            "asset": listing.asset,
            "contract": standing(listing),
            "id": listing.id,
            "mode": "negotiated",
            "offer": plain(act.offer),
            "rulebook": rules.reference(),
            "seller": listing.seller,
            "state": "open",
        },
    )


@dataclass(frozen=True, slots=True)
class MakeOffer(Act):
    """A buyer's first offer on a listing: a price for each licence, how many, for what, and until when it stands."""

    scope: ClassVar[Scope] = "trade"
    listing: str
    price_fen: int
    licences: int
    expires_us: int
    purpose: str = ""
    signed: Signed | None = field(default=None, compare=False)


async def make_offer(tx: Transaction, act: MakeOffer) -> Record:
    """Open a negotiation with the seller; Conflict while the buyer has an offer on this listing on the table.

    Who may not buy is refused at once, unrecorded; money is looked at when an offer is accepted.
    """
    tx.caller.require("buyer")
    tx.keep_signature(act.signed)
    buyer = await tx.find(Party, tx.caller.party, "party")
    require_active(buyer)
    listing = await tx.find(Listing, act.listing, "listing")
    if listing.mode != "negotiated":
        raise NotFound("listing.unknown", f"no listing {act.listing!r} to negotiate", field="listing")
    rules = await rulebook.in_force(tx)
    check_purpose(act.purpose, rules)
    await require_open(tx, listing)
    open_now = select(Negotiation.id).where(
        col(Negotiation.listing) == listing.id,
        col(Negotiation.buyer) == buyer.id,
        col(Negotiation.state) == "open",
        col(Negotiation.expires_us) > tx.now_us,
    )
    stands = (await tx.session.execute(open_now)).scalar()
    if stands is not None:
        raise Conflict(
            "offer.stands",
            f"you negotiate on this listing already: {stands}",
            field="listing",
            rule="one negotiation on a listing at a time",
            remedy="go on with it, or withdraw it first",
        )
    asset = await tx.find(Asset, listing.asset, "asset")
    await require_fit(tx, asset, (buyer, tx.caller.person), act.purpose, rules)
    check_free(act.price_fen, act.purpose, rules)
    await require_price(tx, asset.id, act.price_fen * MICRO_PER_FEN, rules)
    terms = _put(Side.BUYER, act.price_fen, act.licences, act.expires_us, listing, rules, tx.now_us)
    check_order(buyer, min(act.price_fen * act.licences, MAX_AMOUNT), signed=act.signed is not None)
    row = Negotiation(
        id=tx.identifier("neg"),
        listing=listing.id,
        seller=listing.seller,
        buyer=buyer.id,
        person=tx.caller.person,
        purpose=act.purpose,
        state="open",
        side=Side.BUYER.value,
        price_fen=terms.unit_price_fen,
        licences=terms.licences,
        expires_us=terms.expires_us,
        signed=act.signed is not None,
        round=1,
        offer_index=tx.index,
        log_index=tx.index,
    )
    await tx.insert(row, _kept(row, tx.now_us))
    return Record(
        "offer_made", {**_said(row), "purpose": row.purpose, "state": "open"}, readers=(row.seller,)
    )


@dataclass(frozen=True, slots=True)
class CounterOffer(Act):
    """Another offer in the place of the one on the table, by the side that did not make that one.

    `seen` is the entry of the offer that is answered, so that nobody answers what it has not read.
    """

    scope: ClassVar[Scope] = "trade"
    negotiation: str
    seen: int
    price_fen: int
    licences: int
    expires_us: int
    signed: Signed | None = field(default=None, compare=False)


async def counter_offer(tx: Transaction, act: CounterOffer) -> Record:
    """Answer an offer with another; Conflict where it is one's own, not the one on the table any more, or has expired."""
    tx.keep_signature(act.signed)
    row, side = await _own(tx, act.negotiation)
    me = await tx.find(Party, tx.caller.party, "party")
    require_active(me)
    _require(row, side, Move.COUNTER, act.seen, tx.now_us)
    listing = await tx.find(Listing, row.listing, "listing")
    await require_open(tx, listing)
    rules = await rulebook.in_force(tx)
    check_free(act.price_fen, row.purpose, rules)
    await require_price(tx, listing.asset, act.price_fen * MICRO_PER_FEN, rules)
    terms = _put(side, act.price_fen, act.licences, act.expires_us, listing, rules, tx.now_us)
    if side is Side.BUYER:
        check_order(me, min(act.price_fen * act.licences, MAX_AMOUNT), signed=act.signed is not None)
    row.side, row.price_fen, row.licences = side.value, terms.unit_price_fen, terms.licences
    row.expires_us, row.round, row.offer_index = terms.expires_us, row.round + 1, tx.index
    row.signed = side is Side.BUYER and act.signed is not None
    await tx.insert(_kept(row, tx.now_us))
    return Record(
        "offer_countered",
        {**_said(row), "seen": str(act.seen), "state": "open"},
        readers=(row.buyer, row.seller),
    )


@dataclass(frozen=True, slots=True)
class AcceptOffer(Act):
    """Accept the offer on the table, which the entry `seen` made: it is settled at once."""

    scope: ClassVar[Scope] = "trade"
    negotiation: str
    seen: int
    signed: Signed | None = field(default=None, compare=False)


async def accept_offer(tx: Transaction, act: AcceptOffer) -> Record:
    """Pay, license and confirm in one act what the other side offered.

    Refused on the record, and the offer stays on the table: more licences than are left, money that does not cover price
    and fee, a ceiling, a limit of the buyer's own, who may not buy (any more). Conflict, unrecorded, for an offer that is
    one's own, is not on the table any more, or has expired.
    """
    tx.keep_signature(act.signed)
    row, side = await _own(tx, act.negotiation)
    require_active(await tx.find(Party, tx.caller.party, "party"))
    _require(row, side, Move.ACCEPT, act.seen, tx.now_us)
    listing = await tx.find(Listing, row.listing, "listing")
    rules = await rulebook.in_force(tx)
    buyer = await tx.find(Party, row.buyer, "party")
    asset = await tx.find(Asset, listing.asset, "asset")
    said = {**_said(row), "by": side.value, "purpose": row.purpose, "seen": str(act.seen)}
    signed = row.signed if side is Side.SELLER else act.signed is not None
    person = tx.caller.person if side is Side.BUYER else row.person
    try:
        await require_open(tx, listing)
        require_active(buyer)
        if row.licences > listing.remaining:
            raise Conflict(
                "sale.too_few_left",
                f"{listing.remaining} of {listing.licences} licences are left",
                field="licences",
                rule="never more licences than are offered",
                remedy="counter with as many as are left",
            )
        _require_ceiling(row.price_fen, listing, rules)
        check_free(row.price_fen, row.purpose, rules)
        await require_price(tx, asset.id, row.price_fen * MICRO_PER_FEN, rules)
        related = await require_fit(tx, asset, (buyer, person), row.purpose, rules)
        price_fen = row.price_fen * row.licences
        check_order(buyer, price_fen, signed=signed)
        async with tx.session.begin_nested():
            confirmation = await settle(
                tx,
                listing=listing,
                buyer=buyer,
                licences=row.licences,
                price_fen=price_fen,
                rules=rules,
                purpose=row.purpose,
            )
    except (Conflict, Forbidden, Unprocessable) as problem:
        refused = refusal("offer_accepted", said, problem)
        return Record(refused.kind, refused.act, readers=(row.buyer, row.seller))
    if related is not None:  # allowed where it is disclosed: here
        said["related"] = related.way()
    row.state, row.trade = "accepted", confirmation["voucher"]["trade"]
    return Record("offer_accepted", {**said, **confirmation}, readers=(row.buyer, row.seller))


@dataclass(frozen=True, slots=True)
class RejectOffer(Act):
    """Say no to the other side's offer, which ends the negotiation; the reason stays sealed."""

    scope: ClassVar[Scope] = "trade"
    negotiation: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WithdrawOffer(Act):
    """Take one's own offer off the table, which ends the negotiation."""

    scope: ClassVar[Scope] = "trade"
    negotiation: str


@dataclass(frozen=True, slots=True)
class CloseOffer(Act):
    """The clock's hand: tell the two that an offer has expired, or lapsed with its listing or a party's stop."""

    negotiation: str


async def reject_offer(tx: Transaction, act: RejectOffer) -> Record:
    """End a negotiation whose offer on the table is the other side's."""
    if len(act.reason) > REASON_CHARACTERS:
        raise Unprocessable(
            "offer.reason",
            f"{len(act.reason)} characters",
            field="reason",
            rule=f"at most {REASON_CHARACTERS} characters",
            remedy="say it shorter",
        )
    row, side = await _own(tx, act.negotiation)
    _require(row, side, Move.REJECT, row.offer_index, tx.now_us)
    row.state = "rejected"
    reason = tx.seal(act.reason) if act.reason else None
    return _closed(row, {"by": side.value, "reason_given": reason})


async def withdraw_offer(tx: Transaction, act: WithdrawOffer) -> Record:
    """End a negotiation whose offer on the table is one's own."""
    row, side = await _own(tx, act.negotiation)
    _require(row, side, Move.WITHDRAW, row.offer_index, tx.now_us)
    row.state = "withdrawn"
    return _closed(row, {"by": side.value})


async def close_offer(tx: Transaction, act: CloseOffer) -> Record:
    """Record that an offer expired or lapsed, once; Conflict where it did not."""
    tx.caller.require("clock")
    row = await tx.find(Negotiation, act.negotiation, "negotiation")
    listing = await tx.find(Listing, row.listing, "listing")
    if row.state == "open" and tx.now_us >= row.expires_us:
        row.state = "expired"
    elif row.state == "open" and listing.state != "open":
        row.state, row.why = "lapsed", listing.state
    elif row.state == "lapsed" and not row.told:
        row.told = True
    else:
        raise Conflict("offer.not_over", f"this negotiation is {row.state}", field="negotiation")
    return _closed(row, {"why": row.why})


def _closed(row: Negotiation, more: dict[str, Any]) -> Record:
    said = {"listing": row.listing, "negotiation": row.id, "state": row.state}
    return Record("offer_closed", {**said, **more}, readers=(row.buyer, row.seller))


async def due(session: AsyncSession, now_us: int) -> list[str]:
    """The negotiations whose two parties have to be told that an offer expired or lapsed."""
    rows = await session.execute(
        select(Negotiation.id)
        .join(Listing, col(Listing.id) == col(Negotiation.listing))
        .where(
            or_(
                and_(
                    col(Negotiation.state) == "open",
                    or_(col(Negotiation.expires_us) <= now_us, col(Listing.state) != "open"),
                ),
                and_(col(Negotiation.state) == "lapsed", col(Negotiation.told).is_(False)),
            )
        )
        .order_by(col(Negotiation.log_index))
        .limit(1000)
    )
    return list(rows.scalars())


async def negotiations(
    session: AsyncSession, caller: Caller, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """The caller's negotiations (all, for a regulator), newest first, older than entry `before`, each with its offers."""
    mine = or_(col(Negotiation.buyer) == caller.party, col(Negotiation.seller) == caller.party)
    query = select(Negotiation).where(true() if "regulator" in caller.roles else mine)
    if before is not None:
        query = query.where(col(Negotiation.log_index) < before)
    query = query.order_by(col(Negotiation.log_index).desc()).limit(limit)
    return await _shown(session, list((await session.execute(query)).scalars()))


async def negotiation(session: AsyncSession, caller: Caller, identifier: str) -> dict[str, Any]:
    """One of them; NotFound alike where there is none and where it is not the caller's to see."""
    row = await session.get(Negotiation, identifier)
    if row is None or not ("regulator" in caller.roles or caller.party in (row.buyer, row.seller)):
        raise _unknown(identifier)
    return (await _shown(session, [row]))[0]


async def _shown(session: AsyncSession, rows: Sequence[Negotiation]) -> list[dict[str, Any]]:
    made = await session.execute(
        select(NegotiationOffer)
        .where(col(NegotiationOffer.negotiation).in_([row.id for row in rows]))
        .order_by(col(NegotiationOffer.log_index))
    )
    offers: dict[str, list[dict[str, Any]]] = {row.id: [] for row in rows}
    for one in made.scalars():
        offers[one.negotiation].append(
            plain(one.model_dump(exclude={"negotiation", "log_index"})) | {"index": str(one.log_index)}
        )
    return [
        {
            **plain(row.model_dump(exclude={"told", "signed", "person", "log_index", "offer_index"})),
            "index": str(row.log_index),
            "offer_index": str(row.offer_index),
            "offers": offers[row.id],
        }
        for row in rows
    ]


def standing_of(row: Negotiation) -> Standing:
    """The offer on the table as pricing knows it."""
    return Standing(Side(row.side), row.price_fen, row.licences, row.expires_us)


async def _own(tx: Transaction, identifier: str) -> tuple[Negotiation, Side]:
    """A negotiation of the caller's, and on which side the caller stands: anybody else's is as one that does not exist."""
    row = await tx.session.get(Negotiation, identifier)
    if row is None or tx.caller.party not in (row.buyer, row.seller):
        raise _unknown(identifier)
    return row, Side.BUYER if row.buyer == tx.caller.party else Side.SELLER


def _unknown(identifier: str) -> NotFound:
    return NotFound(
        "negotiation.unknown",
        f"no negotiation {identifier!r}",
        field="negotiation",
        remedy="check the identifier",
    )


def _require(row: Negotiation, side: Side, move: Move, seen: int, now_us: int) -> None:
    """Conflict where a move is not this side's to make now."""
    if row.state != "open":
        raise Conflict(
            "offer.closed",
            f"this negotiation is {row.state}",
            field="negotiation",
            rule="what was accepted, rejected, withdrawn, or is over by time is not opened again",
            remedy="make an offer of its own on the listing",
        )
    why = objection(standing_of(row), side, move, now_us)
    if why is not None:
        raise _OBJECTIONS[why]()
    if seen != row.offer_index:
        raise Conflict(
            "offer.superseded",
            f"the offer of entry {seen} is not on the table; that of entry {row.offer_index} is",
            field="seen",
            rule="an answer is to the offer that it names",
            remedy="read the negotiation again, and answer what is on the table",
        )


def _put(
    side: Side, price_fen: int, licences: int, expires_us: int, listing: Listing, rules: Rulebook, now_us: int
) -> Standing:
    _require_ceiling(price_fen, listing, rules)
    try:
        return put(
            side,
            price_fen,
            licences,
            expires_us,
            offered=listing.remaining,
            ceiling_fen=None,
            now_us=now_us,
            open_at_most_us=rules.value("negotiation.open_at_most_days") * DAY_US,
        )
    except PricingError as refused:
        raise refused_terms(refused) from refused


def check_free(price_fen: int, purpose: str, rules: Rulebook) -> None:
    """Refuse to pay for a use that is free. Pure."""
    if price_fen and free(purpose, rules):
        raise Unprocessable(
            "offer.free",
            f"{price_fen} fen for {purpose}",
            field="price_fen",
            rule=f"use for public governance and welfare pays nothing ({rules.cite('offer.free')})",
            remedy="offer 0, or negotiate for another purpose",
        )


def _require_ceiling(price_fen: int, listing: Listing, rules: Rulebook) -> None:
    """Refuse a price above the listing's ceiling, whoever offers it."""
    above = listing.ceiling_fen is not None and price_fen > listing.ceiling_fen
    if above and not rules.allows("price.above_ceiling_allowed"):
        raise Unprocessable(
            "offer.ceiling",
            f"{price_fen} fen is above the ceiling of {listing.ceiling_fen}",
            field="price_fen",
            rule=f"no price passes the ceiling, whoever offers it ({rules.cite('offer.ceiling')})",
            remedy="offer no more than the ceiling",
        )


_OBJECTIONS = {
    Objection.OWN: lambda: Conflict(
        "offer.own",
        "the offer on the table is your own",
        field="negotiation",
        rule="an offer is answered by the other side",
        remedy="wait for the answer, or withdraw it",
    ),
    Objection.NOT_OWN: lambda: Conflict(
        "offer.not_own",
        "the offer on the table is the other side's",
        field="negotiation",
        rule="an offer is withdrawn by who made it",
        remedy="reject it, counter it or accept it",
    ),
    Objection.EXPIRED: lambda: Conflict(
        "offer.expired",
        "the offer has expired",
        field="negotiation",
        rule="an offer stands until its moment, by the market's clock",
        remedy="make an offer of its own on the listing",
    ),
}


def _said(row: Negotiation) -> dict[str, Any]:
    """The offer on the table as an entry states it."""
    return {
        "expires_us": str(row.expires_us),
        "licences": str(row.licences),
        "listing": row.listing,
        "negotiation": row.id,
        "price_fen": str(row.price_fen),
        "round": str(row.round),
        "side": row.side,
    }


def _kept(row: Negotiation, now_us: int) -> NegotiationOffer:
    return NegotiationOffer(
        log_index=row.offer_index,
        negotiation=row.id,
        side=row.side,
        price_fen=row.price_fen,
        licences=row.licences,
        expires_us=row.expires_us,
        time_us=now_us,
    )
