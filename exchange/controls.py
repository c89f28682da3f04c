"""What a party forbids itself: limits, orders that it has to sign, a kill switch, and a heartbeat that pulls it.

Stopping ends what may still be ended: listings, what is offered in negotiations, and envelopes of tenders whose deadline has not
come. A bid that was admitted stands, like everybody's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, ClassVar, Literal

from sqlalchemy import ColumnElement, and_, or_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Scope, Transaction, plain
from exchange.database import Database, driver
from exchange.errors import Conflict, ExchangeError, Forbidden, PreconditionFailed, Unprocessable
from exchange.tables import Envelope, Heartbeat, Listing, Negotiation, Party, Tender

HEARTBEAT_AT_LEAST_US = 5_000_000
"""Shorter would stop a party for a slow network."""

HEARTBEAT_AT_MOST_US = 86_400_000_000

WHY = Literal["order", "heartbeat"]


@dataclass(frozen=True, slots=True)
class SetControls(Act):
    """What the calling party forbids itself from now on; None lifts a limit. `heartbeat_us` of silence stop it."""

    sign_above_fen: int | None
    order_limit_fen: int | None
    heartbeat_us: int | None
    seen: str | None = field(default=None, compare=False)
    """The version of the limits that the caller goes by; None where it replaces whatever there is."""


def version(sign_above_fen: int | None, order_limit_fen: int | None, heartbeat_us: int | None) -> str:
    """Tells one set of limits from another."""
    return sha256(repr((sign_above_fen, order_limit_fen, heartbeat_us)).encode()).hexdigest()[:32]


async def set_controls(tx: Transaction, act: SetControls) -> Record:
    """Replace all of the party's limits; a heartbeat counts from this entry on."""
    if act.heartbeat_us is not None and not HEARTBEAT_AT_LEAST_US <= act.heartbeat_us <= HEARTBEAT_AT_MOST_US:
        raise Unprocessable(
            "controls.heartbeat",
            f"{act.heartbeat_us} microseconds",
            field="heartbeat_us",
            rule=f"{HEARTBEAT_AT_LEAST_US} to {HEARTBEAT_AT_MOST_US}: five seconds to a day",
            remedy="choose a time between, or none",
        )
    party = await tx.find(Party, tx.caller.party, "party")
    if act.seen not in (None, version(party.sign_above_fen, party.order_limit_fen, party.heartbeat_us)):
        raise PreconditionFailed(
            "controls.changed",
            "the limits are not what they were when you read them",
            field="If-Match",
            rule="RFC 9110 §13.1.1: nothing is changed under a version that is no more",
            remedy="read the limits again, and set them under the new ETag",
        )
    party.sign_above_fen, party.order_limit_fen = act.sign_above_fen, act.order_limit_fen
    party.heartbeat_us = act.heartbeat_us
    await tx.session.flush()
    if act.heartbeat_us is not None:
        await (await driver(tx.session)).execute(_HEARD, (party.id, tx.now_us))
    return Record(
        "controls_set",
        {
            "heartbeat_us": plain(act.heartbeat_us),
            "order_limit_fen": plain(act.order_limit_fen),
            "party": party.id,
            "sign_above_fen": plain(act.sign_above_fen),
            "state": "set",
        },
    )


@dataclass(frozen=True, slots=True)
class StopTrading(Act):
    """The kill switch: `party` does nothing more until it resumes. The clock pulls it for a missed heartbeat."""

    scope: ClassVar[Scope] = "trade"
    party: str


async def stop_trading(tx: Transaction, act: StopTrading) -> Record:
    """Stop a party: its listings end, what it offers or is offered in negotiations lapses, its envelopes are taken back before
    their deadline; its lots and bids stand.

    Conflict where it is stopped already, and for the clock where it was heard in time.
    """
    party = await tx.find(Party, act.party if "clock" in tx.caller.roles else tx.caller.party, "party")
    if party.stopped:
        raise Conflict("party.stopped", "this party has stopped", field="party", remedy="none: it is stopped")
    why: WHY = "order"
    if "clock" in tx.caller.roles:
        why = "heartbeat"
        heard = await tx.session.get(Heartbeat, party.id)
        if party.heartbeat_us is None or heard is None or heard.heard_us + party.heartbeat_us > tx.now_us:
            raise Conflict("party.heard", "this party was heard in time", field="party")
    party.stopped = True
    offers = (
        await tx.session.execute(
            select(Listing)
            .where(
                col(Listing.seller) == party.id,
                col(Listing.mode).not_in(("auction", "tender")),
                col(Listing.state) == "open",
            )
            .order_by(col(Listing.log_index))
        )
    ).scalars()
    ended = []
    for offer in offers:
        offer.state = "ended"
        ended.append(offer.id)
    said: dict[str, Any] = {"ended": ended, "party": party.id, "state": "stopped", "why": why}
    mine = or_(col(Negotiation.buyer) == party.id, col(Negotiation.seller) == party.id)
    if lapsed := await lapse(tx, mine, "stopped"):
        said["lapsed"] = lapsed
    sealed = await tx.session.execute(
        select(Envelope)
        .join(Tender)
        .where(
            col(Envelope.party) == party.id,
            col(Envelope.state) == "standing",
            or_(
                col(Tender.state) == "halted",
                and_(col(Tender.state) == "published", col(Tender.deadline_us) > tx.now_us),
            ),
        )
        .order_by(col(Envelope.log_index))
    )
    cancelled = []
    for envelope in sealed.scalars():
        envelope.state = "cancelled"
        cancelled.append({"code": envelope.code, "digest": envelope.digest, "tender": envelope.tender})
    if cancelled:
        said["envelopes"] = cancelled
    return Record(
        "trading_stopped",
        said,
        readers=(party.id,),
    )


async def lapse(tx: Transaction, which: ColumnElement[bool], why: str) -> list[str]:
    """Let the open negotiations among these lapse with this act, and give them; the clock tells each two parties alone."""
    rows = await tx.session.execute(
        select(Negotiation)
        .where(which, col(Negotiation.state) == "open", col(Negotiation.expires_us) > tx.now_us)
        .order_by(col(Negotiation.log_index))
    )
    lapsed = []
    for row in rows.scalars():
        row.state, row.why, row.told = "lapsed", why, False
        lapsed.append(row.id)
    return lapsed


@dataclass(frozen=True, slots=True)
class ResumeTrading(Act):
    """Let the calling party act again; what stopping has ended stays ended."""


async def resume_trading(tx: Transaction, act: ResumeTrading) -> Record:
    """Conflict where it is not stopped. A heartbeat counts from this entry on."""
    party = await tx.find(Party, tx.caller.party, "party")
    if not party.stopped:
        raise Conflict("party.not_stopped", "this party is not stopped", field="party", remedy="none needed")
    party.stopped = False
    await tx.session.flush()
    if party.heartbeat_us is not None:
        await (await driver(tx.session)).execute(_HEARD, (party.id, tx.now_us))
    return Record("trading_resumed", {"party": party.id, "state": "active"})


_HEARD = (
    "INSERT INTO heartbeat (party, heard_us) VALUES (%s, %s)"
    " ON CONFLICT (party) DO UPDATE SET heard_us = greatest(heartbeat.heard_us, excluded.heard_us)"
)


async def hear(database: Database, party: str, now_us: int) -> None:
    """A party says that it is there. That is no act: a log of heartbeats would tell nobody anything."""
    connection = await database.connect(application_name="exchange heartbeat")
    try:
        await connection.execute(_HEARD, (party, now_us))
        await connection.commit()
    finally:
        await connection.close()


async def silent(session: AsyncSession, now_us: int) -> list[str]:
    """The parties whose heartbeat is overdue and that are not stopped yet."""
    rows = await session.execute(
        select(Party.id)
        .join(Heartbeat, col(Heartbeat.party) == col(Party.id))
        .where(col(Party.stopped).is_(False), col(Heartbeat.heard_us) + col(Party.heartbeat_us) <= now_us)
        .order_by(col(Party.id))
    )
    return list(rows.scalars())


async def controls(session: AsyncSession, caller: Caller) -> dict[str, Any]:
    """What the caller's party forbids itself, whether it is stopped, and when it was last heard."""
    party = await session.get(Party, caller.party)
    assert party is not None  # a caller has a party
    heard = await session.get(Heartbeat, party.id)
    return {
        "heard_us": None if heard is None or party.heartbeat_us is None else str(heard.heard_us),
        "heartbeat_us": plain(party.heartbeat_us),
        "order_limit_fen": plain(party.order_limit_fen),
        "sign_above_fen": plain(party.sign_above_fen),
        "stopped": party.stopped,
    }


def beyond(
    amount_fen: int, sign_above_fen: int | None, order_limit_fen: int | None, *, signed: bool
) -> Literal["above_limit", "unsigned"] | None:
    """Why an order of `amount_fen` is beyond what a party allows itself; None where it is not. Pure."""
    if order_limit_fen is not None and amount_fen > order_limit_fen:
        return "above_limit"
    if sign_above_fen is not None and amount_fen > sign_above_fen and not signed:
        return "unsigned"
    return None


def check_order(party: Party, amount_fen: int, *, signed: bool) -> None:
    """Refuse a purchase or payout that its party forbids itself."""
    why = beyond(amount_fen, party.sign_above_fen, party.order_limit_fen, signed=signed)
    if why is not None:
        raise refused_order(f"order.{why}", amount_fen, why)


def refused_order(code: str, amount_fen: int, why: Literal["above_limit", "unsigned"]) -> ExchangeError:
    """The problem of an order that its own party forbids."""
    match why:
        case "above_limit":
            return Forbidden(
                code,
                f"{amount_fen} fen is above the limit that this party set itself",
                field="price_fen",
                rule="a party's own limit holds for each of its orders",
                remedy="order less, or raise the limit with a key that may manage",
            )
        case "unsigned":
            return Forbidden(
                code,
                f"an order of {amount_fen} fen has to be signed",
                field="signature",
                rule="RFC 9421: above an amount of its own choice a party signs its orders",
                remedy="sign the request with a signing key of your party",
            )
