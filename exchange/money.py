"""Money in and out: what the bank received is credited, what a party has free is paid out, a hold whose time is
over is released; and the venue's own accounts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from exchange.acts import Act, Record, Scope, Signed, Transaction
from exchange.controls import check_order
from exchange.database import driver
from exchange.errors import Conflict
from exchange.parties import require_active
from exchange.tables import Party
from ledger.book import due_holds
from ledger.postings import Transfer

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

MONEY = "CNY"
"""The ledger of money; its unit is the fen."""
BANK = "bank:escrow"
DEPOSITS = "venue:deposits"
FEES = "venue:fees"
TAX = "tax:vat"
"""The venue's own accounts, which everyone may know by name: money at the bank, deposits held, fees, tax due."""


EXPIRIES_LIMIT = 100
"""Holds that one act releases: their transfers fit into one entry, and the rest is due the next moment."""


@dataclass(frozen=True, slots=True)
class CreditTopUp(Act):
    """The bank says that money of a party has arrived on the escrow account."""

    scope: ClassVar[Scope] = "money"
    party: str
    amount_fen: int
    bank_reference: str


async def credit_top_up(tx: Transaction, act: CreditTopUp) -> Record:
    """Credit a party's account with what the bank received."""
    tx.caller.require("bank")
    party = await tx.find(Party, act.party, "party")
    if party.account is None:
        raise Conflict("party.no_account", "this party holds no money here", field="party")
    await tx.post(
        Transfer(tx.identifier("topup"), "post", BANK, party.account, act.amount_fen, MONEY, "top_up")
    )
    return Record(
        "topped_up",
        {
            "account": party.account,
            "amount_fen": str(act.amount_fen),
            "bank_reference": act.bank_reference,
            "party": party.id,
            "state": "credited",
        },
        readers=(party.id,),
    )


@dataclass(frozen=True, slots=True)
class Withdraw(Act):
    """Pay out what a party has free; the bank pays against the receipt of this entry."""

    scope: ClassVar[Scope] = "money"
    amount_fen: int
    signed: Signed | None = field(default=None, compare=False)


async def withdraw(tx: Transaction, act: Withdraw) -> Record:
    """Debit the caller's account; held deposits cannot be withdrawn, nor the money of a suspended party."""
    tx.keep_signature(act.signed)
    party = await tx.find(Party, tx.caller.party, "party")
    require_active(party)
    if party.account is None:
        raise Conflict("party.no_account", "this party holds no money here", field="party")
    check_order(party, act.amount_fen, act.signed)
    payout = tx.identifier("payout")
    await tx.post(Transfer(payout, "post", party.account, BANK, act.amount_fen, MONEY, "withdrawal"))
    return Record(
        "withdrawn",
        {
            "account": party.account,
            "amount_fen": str(act.amount_fen),
            "payout": payout,
            "state": "ordered",
        },
    )


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
