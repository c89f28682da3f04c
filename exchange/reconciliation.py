"""The bank's statements against the book, line by line: what both have, what one lacks, and an alarm until somebody answers.

A movement and a line are one where they have the same reference and amount. What a party was paid, or the bank told of, may
be a day on its way; whatever else differs is an alarm, on the record, until a second person resolves it with a reason. What
is wrong in the book is put right by a transfer that brings it to what the bank's statements say, never by an edit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from sqlalchemy import update
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Scope, Transaction, plain, refusal
from exchange.database import driver
from exchange.errors import Conflict, Forbidden, Unprocessable
from exchange.money import BANK, FEES, SUSPENSE, parties_with, post
from exchange.parties import check_name
from exchange.tables import BankLine, BankMovement, BankStatement
from ledger.book import balance

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

ON_ITS_WAY_US = 86_400_000_000
"""How long a movement of the book may be missing at the bank."""

FINDINGS_SHOWN = 500
"""Findings that one entry names; their number and the difference count all."""

What = Literal["missing_here", "missing_there", "amount_differs", "opening_differs"]


@dataclass(frozen=True, slots=True)
class Line:
    """One booking of the bank's: in above nothing, out below it."""

    reference: str
    amount_fen: int
    booked_us: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What does not agree: what the bank has under a reference, and what the book has."""

    what: What
    reference: str
    bank_fen: int
    book_fen: int


@dataclass(frozen=True, slots=True)
class Reconciled:
    """How a statement agrees with the book. `difference_fen` is the bank's balance less the book's, without what is on its way."""

    matched: frozenset[str]
    findings: tuple[Finding, ...]
    in_transit_fen: int
    difference_fen: int

    @property
    def agrees(self) -> bool:
        """Whether nothing is left to explain."""
        return not self.findings and not self.difference_fen


def reconcile(
    movements: Iterable[Line],
    lines: Iterable[Line],
    *,
    expected_opening_fen: int,
    opening_fen: int,
    closing_fen: int,
    book_fen: int,
    ends_us: int,
) -> Reconciled:
    """Compare what is open on both sides. Pure; `movements` have each reference once, `lines` any number of times."""
    there: dict[str, int] = {}
    for line in lines:
        there[line.reference] = there.get(line.reference, 0) + line.amount_fen
    matched, findings, in_transit_fen = set(), [], 0
    for movement in sorted(movements, key=lambda one: one.reference):
        bank_fen = there.pop(movement.reference, None)
        if bank_fen == movement.amount_fen:
            matched.add(movement.reference)
        elif bank_fen is not None:
            findings.append(Finding("amount_differs", movement.reference, bank_fen, movement.amount_fen))
        elif movement.booked_us >= ends_us - ON_ITS_WAY_US:
            in_transit_fen += movement.amount_fen
        else:
            findings.append(Finding("missing_there", movement.reference, 0, movement.amount_fen))
    findings += [Finding("missing_here", reference, fen, 0) for reference, fen in sorted(there.items())]
    if opening_fen != expected_opening_fen:
        findings.append(Finding("opening_differs", "", opening_fen, expected_opening_fen))
    return Reconciled(
        frozenset(matched), tuple(findings), in_transit_fen, closing_fen - (book_fen - in_transit_fen)
    )


@dataclass(frozen=True, slots=True)
class ImportStatement(Act):
    """A statement of the escrow account: all that the bank booked from `begins_us` to before `ends_us`."""

    scope: ClassVar[Scope] = "money"
    statement: str
    begins_us: int
    ends_us: int
    opening_fen: int
    closing_fen: int
    lines: tuple[Line, ...]


async def import_statement(tx: Transaction, act: ImportStatement) -> Record:
    """Compare a statement with the book and keep what came of it: "agreed", or "alarm" (bank, administrator).

    Unprocessable for one that does not add up or is not over yet, Conflict for one that was imported, or goes back behind
    the one before.
    """
    tx.caller.require("bank", "administrator", duties=("business",))
    _check(act, tx.now_us)
    last = await _last(tx.session)
    if await tx.session.get(BankStatement, act.statement) is not None:
        raise Conflict(
            "statement.imported",
            f"statement {act.statement} was imported before",
            field="statement",
            rule="one statement is imported once",
            remedy="GET /v1/bank/statements tells what came of it",
        )
    if last is not None and act.begins_us < last.ends_us:
        raise Conflict(
            "statement.overlaps",
            f"it begins at {act.begins_us}, {last.id} ended at {last.ends_us}",
            field="begins_us",
            rule="each statement begins where the one before ended, or later",
            remedy="import the statements in their order, each once",
        )
    open_movements = await _open_movements(tx.session)
    earlier = (await tx.session.execute(select(BankLine).where(col(BankLine.state) == "open"))).scalars()
    escrow = await balance(await driver(tx.session), BANK)
    assert escrow is not None
    found = reconcile(
        open_movements,
        [*(Line(one.reference, one.amount_fen, one.booked_us) for one in earlier), *act.lines],
        expected_opening_fen=last.closing_fen if last is not None else 0,
        opening_fen=act.opening_fen,
        closing_fen=act.closing_fen,
        book_fen=escrow.debits_posted - escrow.credits_posted,
        ends_us=act.ends_us,
    )
    state = "agreed" if found.agrees else "alarm"
    findings = [plain(one) for one in found.findings[:FINDINGS_SHOWN]]
    await tx.insert(
        BankStatement(
            id=act.statement,
            begins_us=act.begins_us,
            ends_us=act.ends_us,
            opening_fen=act.opening_fen,
            closing_fen=act.closing_fen,
            lines=len(act.lines),
            matched=len(found.matched),
            in_transit_fen=found.in_transit_fen,
            difference_fen=found.difference_fen,
            findings=findings,
            state=state,
            importer=tx.caller.person,
            log_index=tx.index,
        )
    )
    tx.session.add_all(
        BankLine(
            statement=act.statement,
            position=position,
            reference=line.reference,
            amount_fen=line.amount_fen,
            booked_us=line.booked_us,
            state="open",
        )
        for position, line in enumerate(act.lines)
    )
    await tx.session.flush()
    for table in (BankLine, BankMovement):
        await tx.session.execute(
            update(table)
            .where(col(table.reference).in_(found.matched), col(table.state) == "open")
            .values(state="matched")
        )
    return Record(
        "statement_reconciled",
        {
            "begins_us": str(act.begins_us),
            "book_fen": str(escrow.debits_posted - escrow.credits_posted),
            "closing_fen": str(act.closing_fen),
            "difference_fen": str(found.difference_fen),
            "ends_us": str(act.ends_us),
            "findings": findings,
            "findings_found": str(len(found.findings)),
            "in_transit_fen": str(found.in_transit_fen),
            "lines": [plain(line) for line in act.lines],
            "matched": str(len(found.matched)),
            "opening_fen": str(act.opening_fen),
            "state": state,
            "statement": act.statement,
        },
        readers=await parties_with(tx, "administrator", "bank"),
    )


def _check(act: ImportStatement, now_us: int) -> None:
    """Refuse what is no statement of a period that is over."""
    booked_fen = sum(line.amount_fen for line in act.lines)
    if act.opening_fen + booked_fen != act.closing_fen:
        raise Unprocessable(
            "statement.sum",
            f"it opens with {act.opening_fen} fen, books {booked_fen} and closes with {act.closing_fen}",
            field="closing_fen",
            rule="opening balance and bookings make the closing balance",
            remedy="fetch the statement whole from the bank",
        )
    outside = [one for one in act.lines if not act.begins_us <= one.booked_us < act.ends_us]
    if act.begins_us >= act.ends_us or act.ends_us > now_us or outside:
        raise Unprocessable(
            "statement.period",
            f"from {act.begins_us} to {act.ends_us} at {now_us}, {len(outside)} bookings outside",
            field="ends_us",
            rule="a statement tells of a period that is over, and of nothing outside it",
            remedy="import it after it ended, with the bank's own times",
        )
    nothing = [position for position, one in enumerate(act.lines) if not one.amount_fen]
    if nothing:
        raise Unprocessable(
            "statement.nothing",
            "a booking of nothing",
            field=f"lines[{nothing[0]}].amount_fen",
            rule="each booking moves money",
            remedy="fetch the statement whole from the bank",
        )


@dataclass(frozen=True, slots=True)
class AdjustBook(Act):
    """Bring the book to what the bank's statements say of one reference."""

    scope: ClassVar[Scope] = "money"
    bank_reference: str
    reason: str


async def adjust_book(tx: Transaction, act: AdjustBook) -> Record:
    """Post what the bank has more or less under a reference; the reason stays sealed (administrator).

    On the account that the movement was on. What the book never heard of is charged to the venue's fees where it is less,
    and waits in suspense where it is more. A payout that never left is not adjusted but returned.
    """
    tx.caller.require("administrator", duties=("business",))
    check_name("reason", act.reason)
    lines = list(
        (
            await tx.session.execute(
                select(BankLine).where(
                    col(BankLine.reference) == act.bank_reference, col(BankLine.state) == "open"
                )
            )
        ).scalars()
    )
    movement = await tx.session.get(BankMovement, act.bank_reference)
    bank_fen = sum(line.amount_fen for line in lines)
    # What was matched before stands: further lines of the same reference come on top.
    book_fen = movement.amount_fen if movement is not None and movement.state == "open" else 0
    never_came = (
        not lines
        and movement is not None
        and movement.kind != "payout"
        and movement.state == "open"
        and await _overdue(tx.session, movement)
    )
    if bank_fen == book_fen or not (lines or never_came):
        raise Conflict(
            "adjustment.nothing",
            "no statement says otherwise than the book",
            field="bank_reference",
            rule="the book is adjusted to what the bank's statements say, where they say something else",
            remedy="import the bank's statement first; a payout that never left is returned",
        )
    account = movement.account if movement is not None else SUSPENSE if bank_fen > 0 else FEES
    change_fen = bank_fen - book_fen
    if change_fen > 0:
        await post(tx, "adjust", BANK, account, change_fen, "bank_adjustment")
    else:
        await post(tx, "adjust", account, BANK, -change_fen, "bank_adjustment")
    if movement is None:
        movement = BankMovement(
            reference=act.bank_reference,
            kind="adjustment",
            payee="",
            account=account,
            first_fen=change_fen,
            amount_fen=0,
            state="open",
            time_us=tx.now_us,
            log_index=tx.index,
        )
        tx.session.add(movement)
    movement.amount_fen += change_fen
    movement.state, movement.adjuster = "matched" if lines else "cancelled", tx.caller.person
    for line in lines:
        line.state = "matched"
    return Record(
        "book_adjusted",
        {
            "account": account,
            "amount_fen": str(change_fen),
            "bank_reference": act.bank_reference,
            "party": movement.party,
            "reason": tx.seal(act.reason),
            "state": "adjusted",
        },
        readers=[*await parties_with(tx, "bank"), *([movement.party] if movement.party else [])],
    )


async def _overdue(session: AsyncSession, movement: BankMovement) -> bool:
    """Whether the bank's statements go far enough to say that it has no such booking."""
    last = await _last(session)
    return last is not None and movement.time_us < last.ends_us - ON_ITS_WAY_US


@dataclass(frozen=True, slots=True)
class ResolveAlarm(Act):
    """Answer for what a statement did not agree in."""

    scope: ClassVar[Scope] = "money"
    statement: str
    reason: str


async def resolve_alarm(tx: Transaction, act: ResolveAlarm) -> Record:
    """End an alarm by name and reason, as another person than who imported the statement or adjusted the book for it.

    What still differs then raises the alarm of the next statement (administrator, regulator).
    """
    tx.caller.require("administrator", "regulator", duties=("business",))
    check_name("reason", act.reason)
    statement = await tx.find(BankStatement, act.statement, "statement")
    if statement.state != "alarm":
        raise Conflict(
            "alarm.none",
            f"statement {statement.id} is {statement.state}",
            field="statement",
            rule="an alarm is resolved once",
            remedy="GET /v1/bank/statements?state=alarm lists the alarms that stand",
        )
    adjusters = await tx.session.execute(
        select(BankMovement.adjuster).where(
            col(BankMovement.reference).in_([one["reference"] for one in statement.findings]),
            col(BankMovement.adjuster).is_not(None),
        )
    )
    if tx.caller.person in {statement.importer, *adjusters.scalars()}:
        return refusal(
            "alarm_resolved",
            {"person": tx.caller.person, "why": tx.seal(act.reason), "statement": statement.id},
            Forbidden(
                "alarm.four_eyes",
                "the person who imported the statement, or adjusted the book, does not judge that",
                field="statement",
                rule="an alarm is resolved by a second person",
                remedy="let a colleague, or the regulator, resolve it",
            ),
        )
    statement.state, statement.resolver, statement.resolved_index = "resolved", tx.caller.person, tx.index
    statement.resolution = act.reason
    return Record(
        "alarm_resolved",
        {
            "difference_fen": str(statement.difference_fen),
            "person": tx.caller.person,
            "state": "resolved",
            "statement": statement.id,
            "why": tx.seal(act.reason),
        },
        readers=await parties_with(tx, "administrator", "bank"),
    )


async def statements(
    session: AsyncSession, caller: Caller, state: str | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """The statements and how they agreed, newest first (bank, administrator, regulator)."""
    caller.require("bank", "administrator", "regulator")
    asked = select(BankStatement).order_by(col(BankStatement.log_index).desc()).limit(limit)
    if state is not None:
        asked = asked.where(col(BankStatement.state) == state)
    if before is not None:
        asked = asked.where(col(BankStatement.log_index) < before)
    return [
        {
            **plain({name: getattr(one, name) for name in _SHOWN}),
            "findings": one.findings,
            "index": str(one.log_index),
            "statement": one.id,
        }
        for one in (await session.execute(asked)).scalars()
    ]


_SHOWN = (
    "begins_us", "ends_us", "opening_fen", "closing_fen", "lines", "matched", "in_transit_fen", "difference_fen", "state",
    "importer", "resolver", "resolved_index", "resolution",
)  # fmt: skip


def lines_of(act: Mapping[str, Any]) -> tuple[Line, ...]:
    """The lines of a statement as its entry says them."""
    return tuple(
        Line(one["reference"], int(one["amount_fen"]), int(one["booked_us"])) for one in act["lines"]
    )


async def _last(session: AsyncSession) -> BankStatement | None:
    found = await session.execute(select(BankStatement).order_by(col(BankStatement.ends_us).desc()).limit(1))
    return found.scalars().first()


async def _open_movements(session: AsyncSession) -> list[Line]:
    found = await session.execute(select(BankMovement).where(col(BankMovement.state) == "open"))
    return [Line(one.reference, one.amount_fen, one.time_us) for one in found.scalars()]
