"""Money in and out: what the bank received is credited, what a party has free is paid out; and the venue's own accounts."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.acts import Act, Record, Transaction
from exchange.errors import Conflict
from exchange.parties import require_active
from exchange.tables import Party
from ledger.postings import Transfer

MONEY = "CNY"
"""The ledger of money; its unit is the fen."""
BANK = "bank:escrow"
DEPOSITS = "venue:deposits"
FEES = "venue:fees"
TAX = "tax:vat"
"""The venue's own accounts, which everyone may know by name: money at the bank, deposits held, fees, tax due."""


@dataclass(frozen=True, slots=True)
class CreditTopUp(Act):
    """The bank says that money of a party has arrived on the escrow account."""

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
            "state": "credited",
        },
    )


@dataclass(frozen=True, slots=True)
class Withdraw(Act):
    """Pay out what a party has free; the bank pays against the receipt of this entry."""

    amount_fen: int


async def withdraw(tx: Transaction, act: Withdraw) -> Record:
    """Debit the caller's account; held deposits cannot be withdrawn, nor the money of a suspended party."""
    party = await tx.find(Party, tx.caller.party, "party")
    require_active(party)
    if party.account is None:
        raise Conflict("party.no_account", "this party holds no money here", field="party")
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
