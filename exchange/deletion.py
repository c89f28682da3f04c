"""Room: at the end of a licence its buyer deletes the data, and says so: a certificate of deletion with person and method.

    running ─ the term ends ─> due ─ declared by the buyer ─> declared

Due, a reminder before the time for it is over, and what is overdue are facts of the market's clock; the worker writes the first two
down, and the regulator sees the third. The receipt of the declaration is the certificate: it verifies offline and for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, cast

from sqlalchemy import true
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Scope, Transaction, plain
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.rulebook import Rulebook, in_force
from exchange.rulebook.days import DAY_US, first_us
from exchange.tables import Contract, Deletion

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

WITHIN: Final = "deletion.declared_within_working_days"
PERSON_CHARACTERS: Final = 200
TEXT_CHARACTERS: Final = 2000
AT_ONCE: Final = 64

State = Literal["running", "due", "declared"]


@dataclass(frozen=True, slots=True)
class Duty:
    """Where the duty to delete stands: the same for the room and for a replay of the log.

    The contract gives `days` after the end of the licence to delete; the market's rules give the time after these to say so.
    """

    ends_us: int
    due_us: int
    remind_us: int
    state: State = "running"
    reminded: bool = False
    days: int = 0

    @classmethod
    def of(cls, ends_us: int, days: int, rules: Rulebook) -> Duty:
        """The duty of a licence that ends then, under a contract that gives so many days to delete. Pure."""
        before = rules.value("deletion.reminded_working_days_before")
        time = rules.calendar.deadline(ends_us + days * DAY_US, rules.value(WITHIN), [before])
        remind_us = first_us(time.reminders[0]) if time.reminders else time.ends_us
        return cls(ends_us, time.ends_us, remind_us, days=days)

    def stands(self, now_us: int) -> State:
        """Its state at a moment: due when the term is over, whether or not that was written down."""
        return "due" if self.state == "running" and now_us >= self.ends_us else self.state

    def follow(self, kind: str, act: Mapping[str, Any], now_us: int) -> Duty:
        """After an entry of the log; Conflict where it may not have come, ValueError where it says what is not so."""
        match kind:
            case "deletion_due":
                if self.state != "running" or now_us < self.ends_us:
                    raise _early(self)
                if int(act["due_us"]) != self.due_us:
                    raise ValueError(f"due {act['due_us']}, by the rules {self.due_us}")
                return replace(self, state="due")
            case "deletion_reminded":
                if self.state != "due" or self.reminded or now_us < self.remind_us:
                    raise _early(self)
                return replace(self, reminded=True)
            case "deletion_declared":
                if self.stands(now_us) != "due":
                    raise _early(self)
                if act["late"] is not (now_us >= self.due_us):
                    raise ValueError(f"late: {act['late']}, due {self.due_us}")
                return replace(self, state="declared")
            case _:
                raise ValueError(f"{kind} is no step of a deletion")


def _early(duty: Duty) -> Conflict:
    return Conflict(
        "deletion.state",
        f"the deletion is {duty.state}, the term ends at {duty.ends_us}",
        field="licence",
        rule="a deletion is declared once, when the term of the licence is over",
        remedy="wait for the end of the term" if duty.state == "running" else "read what was declared",
    )


def _duty(row: Deletion) -> Duty:
    return Duty(row.ends_us, row.due_us, row.remind_us, cast(State, row.state), row.reminded)


async def oblige(
    tx: Transaction,
    *,
    licence: str,
    asset: str,
    buyer: str,
    seller: str,
    days: int,
    ends_us: int,
    rules: Rulebook,
) -> None:
    """Put the duty to delete on a buyer, with the licence; rules from before there was one put none."""
    if WITHIN in rules.rules:
        duty = Duty.of(ends_us, days, rules)
        await tx.insert(
            Deletion(
                licence=licence,
                asset=asset,
                buyer=buyer,
                seller=seller,
                state="running",
                ends_us=duty.ends_us,
                due_us=duty.due_us,
                remind_us=duty.remind_us,
                reminded=False,
                log_index=tx.index,
            )
        )


async def end_early(tx: Transaction, licence: str) -> None:
    """A licence ends in this act, before its term: the duty to delete begins with it."""
    row = await tx.session.get(Deletion, licence)
    if row is not None and _duty(row).stands(tx.now_us) == "running":
        agreed = select(Contract.values).where(col(Contract.licence) == licence)
        values = (await tx.session.execute(agreed)).scalar_one()
        duty = Duty.of(tx.now_us, int(values["deletion_days"]), await in_force(tx))
        row.ends_us, row.due_us, row.remind_us = duty.ends_us, duty.due_us, duty.remind_us


@dataclass(frozen=True, slots=True)
class CallForDeletion(Act):
    """Write down that the term of a licence is over, or (where that was done) remind of what it brought."""

    licence: str


async def call_for_deletion(tx: Transaction, act: CallForDeletion) -> Record:
    """Tell the buyer that it has to delete, and once more before the time for it is over; Conflict where neither is due."""
    tx.caller.require("clock")
    row = await tx.find(Deletion, act.licence, "licence")
    said = plain({"asset": row.asset, "due_us": row.due_us, "licence": row.licence, "state": "due"})
    record = Record("deletion_due", said, readers=(row.buyer, row.seller))
    if row.state != "running":
        record = Record("deletion_reminded", said, readers=(row.buyer, row.seller))
    duty = _duty(row).follow(record.kind, said, tx.now_us)
    row.state, row.reminded = duty.state, duty.reminded
    return record


@dataclass(frozen=True, slots=True)
class DeclareDeletion(Act):
    """The buyer declares that the data and every copy of it are deleted: who did it, by which method."""

    scope: ClassVar[Scope] = "trade"
    licence: str
    person: str
    method: str
    statement: str = ""


async def declare_deletion(tx: Transaction, act: DeclareDeletion) -> Record:
    """Declare the deletion of what was licensed, once, after the term; late is still declared, and shows."""
    row = await tx.session.get(Deletion, act.licence)
    if row is None or row.buyer != tx.caller.party:
        raise NotFound(
            "licence.unknown",
            f"no licence {act.licence!r} of yours whose data is to be deleted",
            field="licence",
            remedy="check the identifier",
        )
    rules = await in_force(tx)
    methods = rules.words("deletion.methods")
    if act.method not in methods:
        raise Unprocessable(
            "deletion.method",
            act.method,
            field="method",
            rule=f"one of {', '.join(methods)} ({rules.cite('deletion.method')})",
            remedy="name the method that was used",
        )
    for field, text, least, most in (
        ("person", act.person, 1, PERSON_CHARACTERS),
        ("statement", act.statement, 0, TEXT_CHARACTERS),
    ):
        if len(text.strip()) < least or len(text) > most:
            raise Unprocessable(
                "deletion.text",
                f"{field} has {len(text)} characters",
                field=field,
                rule=f"{least} to {most} characters",
                remedy="name the person who deleted it, and say what needs to be said in a few sentences",
            )
    late = tx.now_us >= row.due_us
    duty = _duty(row).follow("deletion_declared", {"late": late}, tx.now_us)
    row.state, row.person, row.method, row.statement = duty.state, act.person, act.method, act.statement
    row.declared_us = tx.now_us
    return Record(
        "deletion_declared",
        {
            "asset": row.asset,
            "late": late,
            "licence": row.licence,
            "method": act.method,
            "person": tx.seal(act.person),
            "state": "declared",
            "statement": tx.seal(act.statement),
        },
        readers=(row.seller,),
    )


async def calling(session: AsyncSession, now_us: int) -> list[tuple[str, str]]:
    """Licences whose term is over, and those whose deletion is to be reminded of, with which of the two it is."""
    ended = (
        select(Deletion.licence)
        .where(col(Deletion.state) == "running", col(Deletion.ends_us) <= now_us)
        .order_by(col(Deletion.ends_us), col(Deletion.licence))
        .limit(AT_ONCE)
    )
    silent = (
        select(Deletion.licence)
        .where(
            col(Deletion.state) == "due", col(Deletion.reminded).is_(False), col(Deletion.remind_us) <= now_us
        )
        .order_by(col(Deletion.remind_us), col(Deletion.licence))
        .limit(AT_ONCE)
    )
    return [
        (licence, kind)
        for kind, query in (("due", ended), ("reminded", silent))
        for licence in (await session.execute(query)).scalars()
    ]


async def deletions_of(
    session: AsyncSession, caller: Caller, now_us: int, *, after: int = -1, limit: int = 100
) -> list[dict[str, Any]]:
    """Duties to delete from behind entry `after`, oldest first: the caller's as buyer or seller, all for a regulator.
    One that is not declared is `overdue` from `due_us` on.
    """
    mine = (
        true()
        if "regulator" in caller.roles
        else (col(Deletion.buyer) == caller.party) | (col(Deletion.seller) == caller.party)
    )
    query = (
        select(Deletion)
        .where(mine, col(Deletion.log_index) > after)
        .order_by(col(Deletion.log_index))
        .limit(limit)
    )
    return [
        plain(
            {
                **row.model_dump(exclude={"remind_us", "reminded"}),
                "overdue": row.state != "declared" and now_us >= row.due_us,
                "state": _duty(row).stands(now_us),
            }
        )
        for row in await session.scalars(query)
    ]
