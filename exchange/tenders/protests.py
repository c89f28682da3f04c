"""The protest against an award: filed by a bidder while its time runs, decided by the regulator; it holds the settlement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Record, Scope, Transaction
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.rulebook.days import DAY_US
from exchange.tables import Listing, Protest, Tender
from exchange.tenders.envelopes import own_place
from exchange.tenders.opening import concerned
from exchange.tenders.terms import check_words, not_now

Decision = Literal["uphold", "dismiss"]
Remedy = Literal["rescore", "annul"]


@dataclass(frozen=True, slots=True)
class FileProtest(Act):
    """Protest against an award; the reason stays sealed, for the regulator."""

    scope: ClassVar[Scope] = "trade"
    tender: str
    reason: str


async def file_protest(tx: Transaction, act: FileProtest) -> Record:
    """Put a protest before the regulator, by the bidder's code. Conflict when the time for it is over, and where one waits."""
    rules = await rulebook.in_force(tx)
    tender = await tx.find(Tender, act.tender, "tender")
    tenderer = await own_place(tx, tender)
    check_words("reason", act.reason)
    if tender.state != "awarded" or tender.protest_until_us is None:
        raise not_now(tender, "awarded", "a protest is against an award", tx.now_us)
    if tx.now_us >= tender.protest_until_us:
        raise Conflict(
            "protest.late",
            f"protests were taken until {tender.protest_until_us}",
            field="tender",
            rule=f"within {rules.value('tender.protest_within_days')} days of the award ({rules.cite('protest.late')})",
            remedy="complain to the regulator outside the tender",
        )
    if any(one.code == tenderer.code for one in await pending(tx.session, tender.id)):
        raise Conflict(
            "protest.filed",
            "a protest of yours waits",
            field="tender",
            rule="one protest of a bidder at a time",
            remedy="wait for its decision",
        )
    row = Protest(
        id=tx.identifier("prt"),
        tender=tender.id,
        code=tenderer.code,
        round=tender.round,
        reason=tx.seal(act.reason),
        state="filed",
        due_us=tx.now_us + rules.value("tender.protest_decided_within_days") * DAY_US,
        late=False,
        time_us=tx.now_us,
        log_index=tx.index,
    )
    await tx.insert(row)
    return Record(
        "tender_protested",
        {
            "code": tenderer.code,
            "due_us": str(row.due_us),
            "protest": row.id,
            "reason": row.reason,
            "round": str(row.round),
            "state": "filed",
            "tender": tender.id,
        },
        tenderer.code,
    )


async def pending(session: AsyncSession, tender: str) -> list[Protest]:
    """The protests that wait for a decision, the oldest first."""
    rows = await session.execute(
        select(Protest)
        .where(col(Protest.tender) == tender, col(Protest.state) == "filed")
        .order_by(col(Protest.log_index))
    )
    return list(rows.scalars())


@dataclass(frozen=True, slots=True)
class DecideProtest(Act):
    """Uphold or dismiss a protest, with an answer for everybody; one that is upheld names what follows."""

    tender: str
    protest: str
    decision: str
    answer: str
    remedy: str | None = None


async def decide_protest(tx: Transaction, act: DecideProtest) -> Record:
    """Decide (regulator). Upheld, the bids are marked anew by assessors who are named anew ("rescore"), or the tender is undone
    and every deposit goes back ("annul"); other protests against the same award have then nothing left to be against.

    Where only the price counts nothing can be marked anew. The state says what was decided, `late` whether it was in time.
    """
    tx.caller.require("regulator")
    tender = await tx.session.get(Tender, act.tender)
    row = await tx.session.get(Protest, act.protest)
    if tender is None or row is None or row.tender != tender.id:
        raise NotFound(
            "protest.unknown",
            f"no protest {act.protest!r} on this tender",
            field="protest",
            remedy="check the identifier",
        )
    check_words("answer", act.answer)
    remedies = ("rescore", "annul") if tender.rules["criteria"] else ("annul",)
    upheld = act.decision == "uphold"
    if (
        act.decision not in ("uphold", "dismiss")
        or (upheld and act.remedy not in remedies)
        or (not upheld and act.remedy is not None)
    ):
        raise Unprocessable(
            "protest.remedy",
            f"{act.decision}, {act.remedy}",
            field="remedy",
            rule=f"uphold with {' or '.join(remedies)}, or dismiss with none",
            remedy="name what follows from it",
        )
    if row.state != "filed" or tender.state != "awarded":
        raise Conflict(
            "protest.decided",
            f"protest {row.id} is {row.state}",
            field="protest",
            rule="a protest is decided once",
            remedy="none needed",
        )
    rules = await rulebook.in_force(tx)
    row.state = "upheld" if upheld else "dismissed"
    row.remedy, row.answer, row.late = act.remedy, tx.seal(act.answer), tx.now_us > row.due_us
    moot: list[str] = []
    if upheld:
        for other in await pending(tx.session, tender.id):
            if other.id != row.id:
                other.state = "moot"
                moot.append(other.id)
        readers = await concerned(tx.session, tender)
        await _undo(tx, tender, act.remedy == "annul")
    else:
        readers = await concerned(tx.session, tender)
        tender.pay_by_us = pay_by_us(tender.pay_by_us or 0, tx.now_us, rules.value("tender.paid_within_days"))
    return Record(
        "tender_protest_decided",
        {
            "answer": row.answer,
            "decision": act.decision,
            "late": row.late,
            "moot": moot,
            "pay_by_us": None if tender.pay_by_us is None else str(tender.pay_by_us),
            "protest": row.id,
            "remedy": act.remedy,
            "round": str(tender.round),
            "state": row.state,
            "tender": tender.id,
            "tender_state": tender.state,
        },
        readers=readers,
    )


def pay_by_us(before_us: int, now_us: int, days: int) -> int:
    """By when a winner pays after a protest was dismissed: never sooner than it would have, from the decision on. Pure."""
    return max(before_us, now_us + days * DAY_US)


async def _undo(tx: Transaction, tender: Tender, annul: bool) -> None:
    """Take an award back: to be marked anew, or for good."""
    tender.winner = tender.price_fen = tender.outcome = tender.scores = None
    tender.protest_until_us = tender.pay_by_us = None
    if annul:
        tender.state = "annulled"
        (await tx.find(Listing, tender.listing, "listing")).state = "ended"
    else:
        tender.state, tender.round, tender.assessors = "opened", tender.round + 1, []
