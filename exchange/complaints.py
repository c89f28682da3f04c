"""Room: complaints of the public, without an account: filed, routed, answered in time or escalated to the regulator.

    open ─ answer ─> upheld, dismissed
      └─ its time is over ─> escalated: the regulator answers too

A complaint is followed by its tracking number, which the door makes of the complaint's identifier with a key of the vault, so that
it stands in no log and nobody guesses it. What is written, and how to reach who wrote it, stands in the log as salted commitments
alone: an order erases either.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from sqlalchemy import func, true
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Scope, Transaction, plain
from exchange.catalogue import may_see
from exchange.errors import Conflict, Forbidden, NotFound, TooMany, Unprocessable
from exchange.rulebook import Rulebook, in_force
from exchange.tables import Asset, Complaint, Party

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

TEXT_CHARACTERS: Final = 2000
CONTACT_CHARACTERS: Final = 200
ESCALATED_AT_ONCE: Final = 64

COMPLAINANT: Final = Caller("complainant", "complainant", frozenset())
"""Somebody without a key, who complains."""

DECISIONS: Final = {"uphold": "upheld", "dismiss": "dismissed"}


def tracking_number(key: bytes, name: str, identifier: str) -> str:
    """The number under which whoever filed something follows it: its identifier and 96 bits of HMAC-SHA256 over it."""
    mark = hmac.digest(key, f"tracking@1\n{name}\n{identifier}\n".encode(), hashlib.sha256).hex()[:24]
    return f"{identifier}-{mark}"


def tracked(key: bytes, name: str, number: str) -> str:
    """The identifier behind a tracking number; NotFound where it is none of ours, whatever is wrong with it."""
    identifier = number.rpartition("-")[0]
    if not hmac.compare_digest(tracking_number(key, name, identifier).encode(), number.encode()):
        raise NotFound(
            f"{name}.unknown",
            f"no {name} under this number",
            field="tracking",
            remedy="type the tracking number as it was given",
        )
    return identifier


@dataclass(frozen=True, slots=True)
class FileComplaint(Act):
    """What somebody complains of: about an asset, a party, or (neither) the venue; `contact` is how to reach them."""

    scope: ClassVar[Scope] = "read"
    topic: str
    text: str
    asset: str | None = None
    party: str | None = None
    contact: str = ""


async def file_complaint(tx: Transaction, act: FileComplaint) -> Record:
    """Take a complaint and route it: to the department of the asset, to the party, or to the venue.

    TooMany where more wait than the rules allow.
    """
    rules = await in_force(tx)
    topics = rules.words("complaint.topics")
    if act.topic not in topics:
        raise Unprocessable(
            "complaint.topic",
            act.topic,
            field="topic",
            rule=f"one of {', '.join(topics)} ({rules.cite('complaint.topic')})",
            remedy="name the one that is nearest",
        )
    _check("text", act.text, 1, TEXT_CHARACTERS)
    _check("contact", act.contact, 0, CONTACT_CHARACTERS)
    handler = await _handler(tx, act)
    waiting = select(func.count()).select_from(Complaint).where(col(Complaint.state) == "open")
    if (await tx.session.execute(waiting)).scalar_one() >= rules.value("complaint.open_at_most"):
        raise TooMany(
            "complaint.many",
            "too many complaints wait for their answers",
            retry_after_s=3600,
            rule=f"at most {rules.value('complaint.open_at_most')} wait at a time ({rules.cite('complaint.many')})",
        )
    row = Complaint(
        id=tx.identifier("cpl"),
        topic=act.topic,
        asset=act.asset,
        party=act.party,
        filed_by=None if tx.caller == COMPLAINANT else tx.caller.party,
        handler=handler,
        text=act.text,
        contact=act.contact,
        state="open",
        filed_us=tx.now_us,
        due_us=due_us(tx.now_us, rules),
        log_index=tx.index,
    )
    await tx.insert(row)
    return Record(
        "complaint_filed",
        plain(
            {
                "asset": row.asset,
                "complaint": row.id,
                "contact": tx.seal(act.contact) if act.contact else None,
                "due_us": row.due_us,
                "handler": handler,
                "party": row.party,
                "state": "open",
                "text": tx.seal(act.text),
                "topic": row.topic,
            }
        ),
        readers=(handler,),
    )


def due_us(since_us: int, rules: Rulebook) -> int:
    """Until when a complaint is answered before it comes to the regulator. Pure."""
    return rules.calendar.deadline(since_us, rules.value("complaint.answered_within_working_days")).ends_us


async def _handler(tx: Transaction, act: FileComplaint) -> str:
    """Who has to answer."""
    if act.asset is not None and act.party is not None:
        raise Unprocessable(
            "complaint.about",
            "an asset and a party",
            field="party",
            rule="a complaint is about an asset, a party, or the venue",
            remedy="file two",
        )
    if act.asset is not None:
        asset = await tx.session.get(Asset, act.asset)
        if asset is None or not may_see(asset, None):
            raise NotFound(
                "asset.unknown", f"no asset {act.asset!r}", field="asset", remedy="check the identifier"
            )
        return asset.supplier
    if act.party is not None:
        return (await tx.find(Party, act.party, "party")).id
    venues = select(Party.id).where(col(Party.roles).contains(["administrator"])).order_by(col(Party.id))
    return (await tx.session.execute(venues.limit(1))).scalar_one()


@dataclass(frozen=True, slots=True)
class RouteComplaint(Act):
    """Give a complaint to the party whose it is to answer."""

    complaint: str
    to: str


async def route_complaint(tx: Transaction, act: RouteComplaint) -> Record:
    """Route a complaint anew while it waits; its clock goes on (administrator, regulator)."""
    tx.caller.require("administrator", "regulator")
    row = await tx.find(Complaint, act.complaint, "complaint")
    party = await tx.find(Party, act.to, "party")
    _require_open(row)
    row.handler = party.id
    return Record(
        "complaint_routed",
        {"complaint": row.id, "handler": party.id, "state": "routed"},
        readers=(party.id,),
    )


@dataclass(frozen=True, slots=True)
class EscalateComplaint(Act):
    """Bring a complaint before the regulator whose time for an answer is over."""

    complaint: str


async def escalate_complaint(tx: Transaction, act: EscalateComplaint) -> Record:
    """Write down that a complaint was not answered in time; Conflict where it was, or the time is not over."""
    tx.caller.require("clock")
    row = await tx.find(Complaint, act.complaint, "complaint")
    _require_open(row)
    if tx.now_us < row.due_us or row.escalated_us is not None:
        raise Conflict(
            "complaint.running",
            f"it is to be answered before {row.due_us}",
            field="complaint",
            rule="a complaint is escalated once, when its time is over",
        )
    row.escalated_us = row.due_us
    return Record(
        "complaint_escalated",
        plain({"complaint": row.id, "due_us": row.due_us, "handler": row.handler, "state": "escalated"}),
        readers=(row.handler,),
    )


@dataclass(frozen=True, slots=True)
class AnswerComplaint(Act):
    """Uphold or dismiss a complaint, with the answer."""

    complaint: str
    decision: Literal["uphold", "dismiss"]
    answer: str


async def answer_complaint(tx: Transaction, act: AnswerComplaint) -> Record:
    """Answer as whose it is, or as the regulator once its time is over. An answer ends it; a late one shows."""
    row = await tx.session.get(Complaint, act.complaint)
    regulator = "regulator" in tx.caller.roles
    if row is None or not (regulator or row.handler == tx.caller.party):
        raise NotFound(
            "complaint.unknown",
            f"no complaint {act.complaint!r} for you",
            field="complaint",
            remedy="check the identifier",
        )
    late = tx.now_us >= row.due_us
    if row.handler != tx.caller.party and not late:
        raise Forbidden(
            "complaint.handler",
            f"it is {row.handler}'s to answer until {row.due_us}",
            field="complaint",
            rule="the regulator answers what was not answered in time",
            remedy="route it to whose it is, or wait",
        )
    _require_open(row)
    _check("answer", act.answer, 1, TEXT_CHARACTERS)
    row.state, row.answer, row.answered_us, row.answered_by = (
        DECISIONS[act.decision],
        act.answer,
        tx.now_us,
        tx.caller.party,
    )
    return Record(
        "complaint_answered",
        {
            "answer": tx.seal(act.answer),
            "complaint": row.id,
            "late": late,
            "state": row.state,
        },
        readers=(row.handler,),
    )


def _require_open(row: Complaint) -> None:
    if row.state != "open":
        raise Conflict(
            "complaint.answered",
            f"it was {row.state}",
            field="complaint",
            rule="a complaint ends with one answer",
            remedy="read the answer that was given",
        )


def _check(field: str, text: str, least: int, most: int) -> None:
    if len(text.strip()) < least or len(text) > most:
        raise Unprocessable(
            "complaint.text",
            f"{field} has {len(text)} characters",
            field=field,
            rule=f"{least} to {most} characters",
            remedy="say it in a few sentences",
        )


async def escalating(session: AsyncSession, now_us: int) -> list[str]:
    """Complaints whose time for an answer is over and that nobody brought before the regulator, the oldest first."""
    query = (
        select(Complaint.id)
        .where(
            col(Complaint.state) == "open",
            col(Complaint.escalated_us).is_(None),
            col(Complaint.due_us) <= now_us,
        )
        .order_by(col(Complaint.due_us), col(Complaint.id))
        .limit(ESCALATED_AT_ONCE)
    )
    return list((await session.execute(query)).scalars())


async def complaints_of(
    session: AsyncSession, caller: Caller, now_us: int, *, after: int = -1, limit: int = 100
) -> list[dict[str, Any]]:
    """Complaints from behind entry `after`, oldest first: those that are the caller's to answer; all for a regulator and the
    venue. An open one is `overdue` from `due_us` on, and the regulator's.
    """
    mine = (
        true()
        if caller.roles & {"regulator", "administrator"}
        else (col(Complaint.handler) == caller.party) | (col(Complaint.filed_by) == caller.party)
    )
    query = (
        select(Complaint)
        .where(mine, col(Complaint.log_index) > after)
        .order_by(col(Complaint.log_index))
        .limit(limit)
    )
    rows = await session.scalars(query)
    return [
        {
            **_shown(row, now_us),
            "contact": row.contact,
            "filed_by": row.filed_by,
            "handler": row.handler,
            "log_index": str(row.log_index),
            "text": row.text,
        }
        for row in rows
    ]


async def followed(session: AsyncSession, complaint: str, now_us: int) -> dict[str, Any]:
    """What whoever has the tracking number is told: where it stands, and the answer; not what they wrote."""
    row = await session.get(Complaint, complaint)
    if row is None:
        raise NotFound("complaint.unknown", "no complaint under this number", field="tracking")
    return _shown(row, now_us)


def _shown(row: Complaint, now_us: int) -> dict[str, Any]:
    shown: dict[str, Any] = plain(
        {
            "answer": row.answer,
            "answered_us": row.answered_us,
            "asset": row.asset,
            "complaint": row.id,
            "due_us": row.due_us,
            "filed_us": row.filed_us,
            "overdue": row.state == "open" and now_us >= row.due_us,
            "party": row.party,
            "state": row.state,
            "topic": row.topic,
        }
    )
    return shown
