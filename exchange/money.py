"""Money in and out: what the bank received is credited, what a party has free is paid out and may come back, a hold
whose time is over is released; and the venue's own accounts.

Each movement on the escrow account is kept under the bank's own reference, once, until a statement of the bank shows it
too (`exchange.reconciliation`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from sqlalchemy import case
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Scope, Signed, Transaction, refusal
from exchange.controls import check_order
from exchange.database import driver
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.parties import check_name, require_active
from exchange.tables import Acceptance, BankMovement, Party, Shareholding
from ledger.book import balance, due_holds
from ledger.postings import Transfer

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

MONEY = "CNY"
"""The ledger of money; its unit is the fen."""
BANK = "bank:escrow"
DEPOSITS = "venue:deposits"
FEES = "venue:fees"
TAX = "tax:vat"
SUSPENSE = "venue:suspense"
"""The venue's own accounts, which everyone may know by name: money at the bank, deposits held, fees, tax due, and money
that is nobody's yet. The last is opened by the first such money."""


def treasury(party: str) -> str:
    """The account of a department's treasury; opened by the first money for it."""
    return f"treasury:{party}"


ReturnReason = Literal["account_closed", "account_unknown", "account_blocked", "payee_refused", "other"]
"""Why a bank sends a payout back (ISO 20022 external codes AC04, AC01, AC06, MS02, NARR)."""

EXPIRIES_LIMIT = 100
"""Holds that one act releases: their transfers fit into one entry, and the rest is due the next moment."""


@dataclass(frozen=True, slots=True)
class CreditTopUp(Act):
    """The bank says that money for `party`, as the payer named it, has arrived on the escrow account."""

    scope: ClassVar[Scope] = "money"
    party: str
    amount_fen: int
    bank_reference: str


async def credit_top_up(tx: Transaction, act: CreditTopUp) -> Record:
    """Credit a party's account with what the bank received; a payee who is nobody here, or holds no money, leaves it in
    suspense until somebody assigns it.

    One reference is booked once: told again the same, Conflict, and nothing happens; told otherwise, it is refused on
    the record.
    """
    tx.caller.require("bank")
    check_name("party", act.party)
    found = await tx.session.get(Party, act.party)
    party = None if found is None or found.account is None else found
    account = SUSPENSE if party is None or party.account is None else party.account
    said: dict[str, Any] = {
        "account": account,
        "amount_fen": str(act.amount_fen),
        "bank_reference": act.bank_reference,
        "party": None if party is None else party.id,
    }
    if party is None:
        said["payee"] = tx.seal(act.party)
    known = await tx.session.get(BankMovement, act.bank_reference)
    if known is not None:
        if (known.kind, known.payee, known.first_fen) == ("pay_in", act.party, act.amount_fen):
            raise _booked(known)
        return refusal("topped_up", said, _booked_otherwise(known))
    await post(tx, "topup", BANK, account, act.amount_fen, "top_up")
    await tx.insert(
        BankMovement(
            reference=act.bank_reference,
            kind="pay_in",
            party=said["party"],
            payee=act.party,
            account=account,
            first_fen=act.amount_fen,
            amount_fen=act.amount_fen,
            state="open",
            time_us=tx.now_us,
            log_index=tx.index,
        )
    )
    return Record(
        "topped_up",
        {**said, "state": "credited" if party else "suspense"},
        readers=() if party is None else (party.id,),
    )


@dataclass(frozen=True, slots=True)
class AssignSuspense(Act):
    """Say whose money it is that waits in suspense under a reference."""

    scope: ClassVar[Scope] = "money"
    bank_reference: str
    party: str
    reason: str


async def assign_suspense(tx: Transaction, act: AssignSuspense) -> Record:
    """Give money in suspense to the party that it was meant for; the reason stays sealed (administrator)."""
    tx.caller.require("administrator", duties=("business",))
    check_name("reason", act.reason)
    movement = await tx.find(BankMovement, act.bank_reference, "bank_reference")
    party = await tx.find(Party, act.party, "party")
    if party.account is None:
        raise Conflict("party.no_account", "this party holds no money here", field="party")
    if movement.account != SUSPENSE or movement.amount_fen <= 0:
        raise Conflict(
            "suspense.not_waiting",
            "no money waits under this reference",
            field="bank_reference",
            rule="what is in suspense is assigned once",
            remedy="GET /v1/bank/suspense lists what waits",
        )
    await post(tx, "assign", SUSPENSE, party.account, movement.amount_fen, "suspense_assigned")
    movement.account, movement.party = party.account, party.id
    return Record(
        "suspense_assigned",
        {
            "account": party.account,
            "amount_fen": str(movement.amount_fen),
            "bank_reference": movement.reference,
            "party": party.id,
            "reason": tx.seal(act.reason),
            "state": "credited",
        },
        readers=(party.id,),
    )


@dataclass(frozen=True, slots=True)
class Withdraw(Act):
    """Pay out what a party has free, on its money account or one of its dividends' (`account`); the bank pays against the
    receipt of this entry.
    """

    scope: ClassVar[Scope] = "money"
    amount_fen: int
    signed: Signed | None = field(default=None, compare=False)
    account: str | None = None


async def withdraw(tx: Transaction, act: Withdraw) -> Record:
    """Debit the caller's account; held deposits cannot be withdrawn, nor the money of a suspended party.

    A holder of an operator's shares has the account of its dividends. What is a treasury's leaves under two persons
    (`exchange.treasury`), and no other account is the caller's.
    """
    tx.keep_signature(act.signed)
    party = await tx.find(Party, tx.caller.party, "party")
    require_active(party)
    if act.account is not None:
        held = select(Shareholding.party).where(
            col(Shareholding.account) == act.account, col(Shareholding.holder_party) == party.id
        )
        of = (await tx.session.execute(held.limit(1))).scalar()
        if of is None:
            raise NotFound(
                "account.unknown",
                f"no account {act.account!r} of your dividends",
                field="account",
                rule="a holder withdraws its own dividends; your money account is meant where none is named",
                remedy="GET /v1/accounts lists yours",
            )
        check_order(party, act.amount_fen, signed=act.signed is not None)
        return await pay_out(tx, party, act.account, act.amount_fen, dividends_of=of)
    if party.account is None:
        raise Conflict("party.no_account", "this party holds no money here", field="party")
    check_order(party, act.amount_fen, signed=act.signed is not None)
    return await pay_out(tx, party, party.account, act.amount_fen)


async def pay_out(tx: Transaction, party: Party, account: str, amount_fen: int, **more: str) -> Record:
    """Order a payout from an account of `party`'s; its entry says `more`, and is what the bank pays against."""
    owed = select(Acceptance.licence).where(
        col(Acceptance.refund_state) == "owed", col(Acceptance.seller) == party.id
    )
    if (licence := (await tx.session.execute(owed.limit(1))).scalar()) is not None:
        raise Conflict(
            "withdrawal.refund_owed",
            f"a refund is owed for licence {licence}",
            field="amount_fen",
            rule="what a buyer was awarded is paid before its seller takes money out",
            remedy="let money for the whole refund come in: it is paid at once",
        )
    payout = tx.identifier("payout")
    await tx.post(Transfer(payout, "post", account, BANK, amount_fen, MONEY, "withdrawal"))
    await tx.insert(
        BankMovement(
            reference=payout,
            kind="payout",
            party=party.id,
            payee=party.id,
            account=account,
            first_fen=-amount_fen,
            amount_fen=-amount_fen,
            state="open",
            time_us=tx.now_us,
            log_index=tx.index,
        )
    )
    return Record(
        "withdrawn",
        {"account": account, "amount_fen": str(amount_fen), "payout": payout, "state": "ordered", **more},
        readers=await parties_with(tx, "bank"),
    )


@dataclass(frozen=True, slots=True)
class ReturnPayout(Act):
    """The bank sends a payout back: what it paid came in again under `bank_reference`, or (None) never left."""

    scope: ClassVar[Scope] = "money"
    payout: str
    reason: ReturnReason
    bank_reference: str | None = None


async def return_payout(tx: Transaction, act: ReturnPayout) -> Record:
    """Give a payout back to its party by a transfer the other way: nothing that was posted is changed (bank).

    Once for each payout: told again the same, Conflict; told otherwise, refused on the record.
    """
    tx.caller.require("bank")
    payout = await tx.find(BankMovement, act.payout, "payout")
    if payout.kind != "payout" or payout.party is None:
        raise NotFound("payout.unknown", f"no payout {act.payout!r}", field="payout")
    said = {
        "account": payout.account,
        "amount_fen": str(-payout.first_fen),
        "bank_reference": act.bank_reference,
        "party": payout.party,
        "payout": payout.reference,
        "return_reason": act.reason,
    }
    if payout.return_reason is not None:
        if (payout.return_reason, payout.return_reference) == (act.reason, act.bank_reference):
            raise _booked(payout)
        return refusal("payout_returned", said, _booked_otherwise(payout))
    if act.bank_reference is None and payout.state != "open":
        raise Unprocessable(
            "payout.left",
            "a statement of the bank shows this payout",
            field="bank_reference",
            rule="what left the escrow account comes back under a reference of the bank's",
            remedy="name the reference under which it came back",
        )
    if act.bank_reference is not None:
        known = await tx.session.get(BankMovement, act.bank_reference)
        if known is not None:
            return refusal("payout_returned", said, _booked_otherwise(known))
        await tx.insert(
            BankMovement(
                reference=act.bank_reference,
                kind="return",
                party=payout.party,
                payee=payout.party,
                account=payout.account,
                first_fen=-payout.first_fen,
                amount_fen=-payout.first_fen,
                state="open",
                time_us=tx.now_us,
                log_index=tx.index,
            )
        )
    else:
        payout.state = "cancelled"
    await post(tx, "return", BANK, payout.account, -payout.first_fen, "payout_return")
    payout.return_reason, payout.return_reference = act.reason, act.bank_reference
    payout.returned_index = tx.index
    return Record("payout_returned", {**said, "state": "returned"}, readers=(payout.party,))


async def post(tx: Transaction, what: str, debit: str, credit: str, amount_fen: int, code: str) -> None:
    """Move money on a venue's account; the suspense account is opened where this is its first money."""
    if SUSPENSE in (debit, credit) and await balance(await driver(tx.session), SUSPENSE) is None:
        await tx.open_named_account(SUSPENSE, "suspense", overdraft="debits_must_not_exceed_credits")
    await tx.post(Transfer(tx.identifier(what), "post", debit, credit, amount_fen, MONEY, code))


def _booked(known: BankMovement) -> Conflict:
    return Conflict(
        "bank.booked",
        f"{known.reference} is booked: nothing was booked twice",
        field="bank_reference",
        rule="one reference of the bank's is booked once",
        remedy="none needed; the entry that booked it stands",
    )


def _booked_otherwise(known: BankMovement) -> Conflict:
    return Conflict(
        "bank.reference_differs",
        f"{known.reference} was booked as something else",
        field="bank_reference",
        rule="one reference of the bank's means one payment",
        remedy="look at the bank's own record, and send what it says under a reference of its own",
    )


async def parties_with(tx: Transaction, *roles: str) -> list[str]:
    """The parties that have one of the roles, as readers of what concerns their office."""
    found = await tx.session.execute(select(Party.id).where(col(Party.roles).bool_op("&&")(list(roles))))
    return sorted(found.scalars())


async def withdrawals(
    session: AsyncSession, caller: Caller, state: str | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Payouts and what became of them, newest first: a party's own; all for bank, regulator and administrator."""
    became = case(
        (col(BankMovement.return_reason).is_not(None), "returned"),
        (col(BankMovement.state) == "open", "ordered"),
        else_="paid",
    )
    asked = select(BankMovement, became).where(col(BankMovement.kind) == "payout")
    if not caller.roles.intersection(("bank", "regulator", "administrator")):
        asked = asked.where(col(BankMovement.party) == caller.party)
    if state is not None:
        asked = asked.where(became == state)
    if before is not None:
        asked = asked.where(col(BankMovement.log_index) < before)
    rows = await session.execute(asked.order_by(col(BankMovement.log_index).desc()).limit(limit))
    return [
        {
            "account": row.account,
            "amount_fen": str(-row.first_fen),
            "index": str(row.log_index),
            "party": row.party,
            "payout": row.reference,
            "return_reason": row.return_reason,
            "returned_index": None if row.returned_index is None else str(row.returned_index),
            "state": became,
            "time_us": str(row.time_us),
        }
        for row, became in rows
    ]


async def suspense(
    session: AsyncSession, caller: Caller, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Money that waits for somebody to say whose it is, newest first (bank, regulator, administrator)."""
    caller.require("bank", "regulator", "administrator")
    asked = select(BankMovement).where(
        col(BankMovement.account) == SUSPENSE, col(BankMovement.amount_fen) > 0
    )
    if before is not None:
        asked = asked.where(col(BankMovement.log_index) < before)
    rows = await session.execute(asked.order_by(col(BankMovement.log_index).desc()).limit(limit))
    return [
        {
            "amount_fen": str(row.amount_fen),
            "bank_reference": row.reference,
            "index": str(row.log_index),
            "payee": row.payee,
            "time_us": str(row.time_us),
        }
        for row in rows.scalars()
    ]


@dataclass(frozen=True, slots=True)
class ExpireHolds(Act):
    """Release the holds whose time is over; `first` is the oldest of them, as whoever nudges has seen it."""

    first: str


async def expire_holds(tx: Transaction, act: ExpireHolds) -> Record:
    """Post the expiry of every hold that is due at this entry's time, at most 100, the oldest first.

    Conflict where none is due: another nudge was faster.
    """
    tx.caller.require("clock")
    holds = await due_holds(await driver(tx.session), tx.now_us, EXPIRIES_LIMIT)
    if not holds:
        raise Conflict("holds.none_due", "no hold is due", field="first", rule="expires_us <= now")
    await tx.post(
        *(
            Transfer(
                tx.identifier("expiry"), "expire_pending", h.debit, h.credit, h.amount, h.ledger, h.code, h.id
            )
            for h in holds
        )
    )
    return Record("holds_expired", {"first": act.first, "holds": [h.id for h in holds], "state": "expired"})


async def first_due(session: AsyncSession, now_us: int) -> str | None:
    """The hold that has been due longest, None where none is."""
    holds = await due_holds(await driver(session), now_us, 1)
    return holds[0].id if holds else None
