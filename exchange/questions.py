"""Room: questions to the seller of a listing, answered to all: who asked is told to nobody else, question and answer to everybody.

Sample and dictionary of an asset stand in the catalogue; what they leave open is asked here, so that no buyer knows more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import func
from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Caller, Record, Scope, Transaction, plain
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.listings import require_open
from exchange.parties import require_active
from exchange.tables import Listing, ListingQuestion, Party

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

TEXT_CHARACTERS = 2000
OPEN_LIMIT = 20
"""Questions of one party to a listing that wait for their answer."""


@dataclass(frozen=True, slots=True)
class AskQuestion(Act):
    """A buyer asks the seller of a listing; others read what was asked, and not by whom."""

    scope: ClassVar[Scope] = "trade"
    listing: str
    text: str


async def ask_question(tx: Transaction, act: AskQuestion) -> Record:
    """Put a question before the seller, who answers until `due_us` (working days)."""
    tx.caller.require("buyer")
    require_active(await tx.find(Party, tx.caller.party, "party"))
    _check("text", act.text)
    listing = await tx.find(Listing, act.listing, "listing")
    await require_open(tx, listing)
    waiting = select(func.count()).where(
        col(ListingQuestion.listing) == listing.id,
        col(ListingQuestion.asker) == tx.caller.party,
        col(ListingQuestion.state) == "open",
    )
    if (await tx.session.execute(waiting)).scalar_one() >= OPEN_LIMIT:
        raise Conflict(
            "question.many",
            f"{OPEN_LIMIT} questions of yours wait for their answer",
            field="listing",
            rule=f"at most {OPEN_LIMIT} at a time",
            remedy="wait for the answers",
        )
    rules = await rulebook.in_force(tx)
    days = rules.value("listing.question_answered_within_working_days")
    row = ListingQuestion(
        id=tx.identifier("qst"),
        listing=listing.id,
        asker=tx.caller.party,
        seller=listing.seller,
        text=act.text,
        state="open",
        asked_us=tx.now_us,
        due_us=rules.calendar.deadline(tx.now_us, days).ends_us,
        log_index=tx.index,
    )
    await tx.insert(row)
    # The seller reads the text in the room: the entry, which names who asked, is for the asker and a regulator.
    return Record(
        "question_asked",
        {
            "due_us": str(row.due_us),
            "id": row.id,
            "listing": listing.id,
            "state": "open",
            "text": tx.seal(act.text),
        },
    )


@dataclass(frozen=True, slots=True)
class AnswerQuestion(Act):
    """The seller answers, to all."""

    scope: ClassVar[Scope] = "trade"
    question: str
    answer: str


async def answer_question(tx: Transaction, act: AnswerQuestion) -> Record:
    """Publish the answer to a question on a listing of one's own, once. Late is still answered, and shows."""
    row = await tx.session.get(ListingQuestion, act.question)
    if row is None or row.seller != tx.caller.party:
        raise NotFound(
            "question.unknown",
            f"no question {act.question!r} to you",
            field="question",
            remedy="check the identifier",
        )
    _check("answer", act.answer)
    if row.state != "open":
        raise Conflict(
            "question.answered",
            "this question is answered",
            field="question",
            rule="an answer is published once",
            remedy="read the answer that was given",
        )
    row.state, row.answer, row.answered_us = "answered", act.answer, tx.now_us
    return Record(
        "question_answered",
        {
            "answer": tx.seal(act.answer),
            "late": tx.now_us >= row.due_us,
            "listing": row.listing,
            "question": row.id,
            "state": "answered",
        },
        readers=(row.asker,),
    )


async def waiting(session: AsyncSession, caller: Caller, now_us: int) -> list[dict[str, Any]]:
    """What waits for the caller's answer, the first due in front; at most a thousand."""
    rows = await session.execute(
        select(ListingQuestion)
        .where(col(ListingQuestion.seller) == caller.party, col(ListingQuestion.state) == "open")
        .order_by(col(ListingQuestion.due_us), col(ListingQuestion.log_index))
        .limit(1000)
    )
    return [_shown(row, caller.party, now_us) for row in rows.scalars()]


async def questions(
    session: AsyncSession, listing: str, caller: Caller | None, now_us: int
) -> list[dict[str, Any]]:
    """What was asked of a listing, the oldest first: answered questions for everybody, open ones also for the seller, who
    asked, and a regulator. Nobody reads who asked; `mine` says it of one's own.
    """
    if await session.get(Listing, listing) is None:
        raise NotFound("listing.unknown", f"no listing {listing!r}", field="listing")
    rows = await session.execute(
        select(ListingQuestion)
        .where(col(ListingQuestion.listing) == listing)
        .order_by(col(ListingQuestion.log_index))
    )
    party = "" if caller is None else caller.party
    oversees = caller is not None and "regulator" in caller.roles
    return [
        _shown(row, party, now_us)
        for row in rows.scalars()
        if row.state == "answered" or party in (row.seller, row.asker) or oversees
    ]


def _shown(row: ListingQuestion, party: str, now_us: int) -> dict[str, Any]:
    shown: dict[str, Any] = plain(
        {
            "answer": row.answer,
            "answered_us": row.answered_us,
            "asked_us": row.asked_us,
            "due_us": row.due_us,
            "id": row.id,
            "listing": row.listing,
            "mine": row.asker == party,
            "overdue": row.state == "open" and now_us >= row.due_us,
            "state": row.state,
            "text": row.text,
        }
    )
    return shown


def _check(field: str, text: str) -> None:
    if not text.strip() or len(text) > TEXT_CHARACTERS:
        raise Unprocessable(
            "question.text",
            f"{field} has {len(text)} characters",
            field=field,
            rule=f"1 to {TEXT_CHARACTERS} characters",
            remedy="say it in a few sentences",
        )
