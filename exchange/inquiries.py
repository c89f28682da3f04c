"""Room: a person asks whether a record about them is inside, and the department answers; the exchange sees neither.

Question and answer pass through here sealed (`exchange.desensitization.inquiry`): the question to the department's key, which this
log holds so that nobody changes it unseen, the answer to a key that the person made. What is recorded is that somebody asked of an
asset, when, and that it was answered in time. No account is needed; a tracking number leads to the answer.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from sqlalchemy import func, true
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Scope, Transaction, plain
from exchange.catalogue import visible_asset
from exchange.errors import Conflict, NotFound, TooMany, Unprocessable
from exchange.rulebook import Rulebook, in_force
from exchange.tables import Inquiry, InquiryKey

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

SEALED_CHARACTERS: Final = 8192

INQUIRER: Final = Caller("inquirer", "inquirer", frozenset())
"""Somebody without a key, who asks."""


@dataclass(frozen=True, slots=True)
class SetInquiryKey(Act):
    """A department names the public key (X25519, hex) that questions to it are sealed to from now on."""

    scope: ClassVar[Scope] = "register"
    public: str


async def set_inquiry_key(tx: Transaction, act: SetInquiryKey) -> Record:
    """Put a key in the place of the one before; what was sealed to that one is still to be answered with it."""
    tx.caller.require("supplier")
    if re.fullmatch("[0-9a-f]{64}", act.public) is None:
        raise Unprocessable(
            "inquiry.key",
            "this is no key",
            field="public",
            rule="32 bytes in hex (X25519)",
            remedy="make one: exchange inquiries key",
        )
    row = await tx.session.get(InquiryKey, tx.caller.party)
    if row is None:
        await tx.insert(InquiryKey(party=tx.caller.party, public=act.public, log_index=tx.index))
    else:
        row.public, row.log_index = act.public, tx.index
    return Record("inquiry_key_set", {"department": tx.caller.party, "public": act.public, "state": "set"})


@dataclass(frozen=True, slots=True)
class Inquire(Act):
    """A question sealed to the department of an asset, with the public key that it is sealed to."""

    scope: ClassVar[Scope] = "read"
    asset: str
    public: str
    question: str


async def inquire(tx: Transaction, act: Inquire) -> Record:
    """Put a sealed question before the department, which answers until `due_us`.

    Conflict where the department has no key, or another one by now; TooMany where more wait than the rules allow.
    """
    asset = await visible_asset(tx.session, act.asset, None)
    check_sealed("question", act.question)
    rules = await in_force(tx)
    key = await tx.session.get(InquiryKey, asset.supplier)
    if key is None or key.public != act.public:
        raise Conflict(
            "inquiry.key_unknown",
            "the department answers under another key, or under none",
            field="public",
            rule="a question is sealed to the key that the department has now",
            remedy="seal it again to the key of now, or ask at the department's counter",
        )
    waiting = select(func.count()).select_from(Inquiry).where(col(Inquiry.state) == "open")
    if (await tx.session.execute(waiting)).scalar_one() >= rules.value("inquiry.open_at_most"):
        raise TooMany(
            "inquiry.many",
            "too many questions wait for their answers",
            retry_after_s=3600,
            rule=f"at most {rules.value('inquiry.open_at_most')} wait at a time ({rules.cite('inquiry.many')})",
        )
    row = Inquiry(
        id=tx.identifier("inq"),
        asset=asset.id,
        department=asset.supplier,
        public=act.public,
        question=act.question,
        state="open",
        asked_us=tx.now_us,
        due_us=due_us(tx.now_us, rules),
        log_index=tx.index,
    )
    await tx.insert(row)
    return Record(
        "inquiry_asked",
        plain(
            {
                "asset": asset.id,
                "department": asset.supplier,
                "due_us": row.due_us,
                "inquiry": row.id,
                "public": act.public,
                "question": tx.seal(act.question),
                "state": "open",
            }
        ),
        readers=(asset.supplier,),
    )


def due_us(since_us: int, rules: Rulebook) -> int:
    """Until when a question is answered. Pure."""
    return rules.calendar.ends(since_us, rules.value("inquiry.answered_within_days")).ends_us


@dataclass(frozen=True, slots=True)
class AnswerInquiry(Act):
    """The department's answer, sealed to whoever asked."""

    scope: ClassVar[Scope] = "register"
    inquiry: str
    answer: str


async def answer_inquiry(tx: Transaction, act: AnswerInquiry) -> Record:
    """Answer a question to one's own department, once. Late is still answered, and shows."""
    row = await tx.session.get(Inquiry, act.inquiry)
    if row is None or row.department != tx.caller.party:
        raise NotFound(
            "inquiry.unknown",
            f"no inquiry {act.inquiry!r} to you",
            field="inquiry",
            remedy="check the identifier",
        )
    check_sealed("answer", act.answer)
    if row.state != "open":
        raise Conflict(
            "inquiry.answered",
            "it was answered",
            field="inquiry",
            rule="a question has one answer",
            remedy="none: who asked may ask again",
        )
    row.state, row.answer, row.answered_us = "answered", act.answer, tx.now_us
    return Record(
        "inquiry_answered",
        {
            "answer": tx.seal(act.answer),
            "asset": row.asset,
            "inquiry": row.id,
            "late": tx.now_us >= row.due_us,
            "state": "answered",
        },
    )


def check_sealed(field: str, sealed: str) -> None:
    """Refuse what nobody could have sealed: this end cannot look inside. Pure."""
    if not 1 <= len(sealed) <= SEALED_CHARACTERS:
        raise Unprocessable(
            "inquiry.sealed",
            f"{len(sealed)} characters",
            field=field,
            rule=f"1 to {SEALED_CHARACTERS} characters of base64",
            remedy="ask, or answer, in fewer words",
        )


async def key_of(session: AsyncSession, asset: str) -> dict[str, Any]:
    """The key to which a question of an asset is sealed, and its fingerprint, which the department shows elsewhere too."""
    row = await visible_asset(session, asset, None)
    key = await session.get(InquiryKey, row.supplier)
    if key is None:
        raise NotFound(
            "inquiry.no_key",
            "the department of this asset takes no sealed questions",
            field="asset",
            remedy="ask at the department's counter",
        )
    return {
        "asset": row.id,
        "department": key.party,
        "public": key.public,
        "fingerprint": hashlib.sha256(bytes.fromhex(key.public)).hexdigest(),
        "log_index": str(key.log_index),
    }


async def inquiries_of(
    session: AsyncSession, caller: Caller, now_us: int, *, after: int = -1, limit: int = 100
) -> list[dict[str, Any]]:
    """Questions from behind entry `after`, oldest first: those to the caller's department with what was sealed; all of them for a
    regulator, without. An open one is `overdue` from `due_us` on.
    """
    regulator = "regulator" in caller.roles
    query = (
        select(Inquiry)
        .where(
            true() if regulator else col(Inquiry.department) == caller.party,
            col(Inquiry.log_index) > after,
        )
        .order_by(col(Inquiry.log_index))
        .limit(limit)
    )
    return [
        {
            **_shown(row, now_us),
            "log_index": str(row.log_index),
            "public": row.public,
            "question": None if regulator else row.question,
        }
        for row in await session.scalars(query)
    ]


async def followed(session: AsyncSession, inquiry: str, now_us: int) -> dict[str, Any]:
    """What whoever has the tracking number is told: where it stands, and the sealed answer."""
    row = await session.get(Inquiry, inquiry)
    if row is None:
        raise NotFound("inquiry.unknown", "no inquiry under this number", field="tracking")
    return {**_shown(row, now_us), "answer": row.answer}


def _shown(row: Inquiry, now_us: int) -> dict[str, Any]:
    shown: dict[str, Any] = plain(
        {
            "answered_us": row.answered_us,
            "asked_us": row.asked_us,
            "asset": row.asset,
            "department": row.department,
            "due_us": row.due_us,
            "inquiry": row.id,
            "overdue": row.state == "open" and now_us >= row.due_us,
            "state": row.state,
        }
    )
    return shown
