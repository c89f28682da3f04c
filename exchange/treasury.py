"""Room: what a department's treasury account here has is paid out to the treasury's own bank account, under two persons.

The account gets what a forfeited deposit leaves (法释〔2016〕18号 第二十四条), and nothing but a payout leaves it. One person of
the department proposes, another decides; the decision is the order that the bank pays against, as with any payout.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Scope, Signed, Transaction
from exchange.controls import check_order
from exchange.database import driver
from exchange.errors import Conflict, Forbidden, NotFound
from exchange.money import pay_out, treasury
from exchange.parties import require_active
from exchange.tables import Party, TreasuryPayout
from ledger.book import balance

Decision = Literal["approve", "reject"]


@dataclass(frozen=True, slots=True)
class ProposeTreasuryPayout(Act):
    """Ask another person of the department to pay out what its treasury account has."""

    scope: ClassVar[Scope] = "money"
    amount_fen: int


async def propose_treasury_payout(tx: Transaction, act: ProposeTreasuryPayout) -> Record:
    """Keep a proposal; nothing moves before another person decides. Conflict where the account does not have so much."""
    tx.caller.require("supplier")
    party = await tx.find(Party, tx.caller.party, "party")
    require_active(party)
    account = await balance(await driver(tx.session), treasury(party.id))
    free_fen = 0 if account is None else account.credits_posted - account.debits_posted
    if not 0 < act.amount_fen <= free_fen:
        raise Conflict(
            "treasury.amount",
            f"{act.amount_fen} of {free_fen} fen",
            field="amount_fen",
            rule="1 fen to what the treasury account has",
            remedy="GET /v1/accounts tells what it has",
        )
    row = TreasuryPayout(
        id=tx.identifier("trp"),
        party=party.id,
        amount_fen=act.amount_fen,
        proposer=tx.caller.person,
        state="proposed",
        time_us=tx.now_us,
        log_index=tx.index,
    )
    await tx.insert(row)
    return Record(
        "treasury_payout_proposed",
        {"amount_fen": str(row.amount_fen), "party": row.party, "proposal": row.id, "state": "proposed"},
    )


@dataclass(frozen=True, slots=True)
class DecideTreasuryPayout(Act):
    """Decide what another person proposed."""

    scope: ClassVar[Scope] = "money"
    proposal: str
    decision: Decision
    signed: Signed | None = field(default=None, compare=False)


async def decide_treasury_payout(tx: Transaction, act: DecideTreasuryPayout) -> Record:
    """Order the payout, or reject it; Forbidden for who proposed it, Conflict where it is decided or the money is gone."""
    tx.keep_signature(act.signed)
    row = await tx.session.get(TreasuryPayout, act.proposal)
    if row is None or row.party != tx.caller.party:
        raise NotFound(
            "treasury.unknown",
            f"no proposal {act.proposal!r}",
            field="proposal",
            remedy="check the identifier",
        )
    if row.proposer == tx.caller.person:
        raise Forbidden(
            "treasury.own_proposal",
            "you proposed this payout",
            field="proposal",
            rule="treasury money leaves under two persons",
            remedy="have another person of your department decide",
        )
    if row.state != "proposed":
        raise Conflict(
            "treasury.decided",
            f"this proposal is {row.state}",
            field="proposal",
            remedy="none: it is decided once",
        )
    party = await tx.find(Party, row.party, "party")
    said = {"proposal": row.id, "proposer": row.proposer}
    if act.decision == "reject":
        row.state = "rejected"
        return Record("treasury_payout_rejected", {**said, "state": "rejected"})
    require_active(party)
    check_order(party, row.amount_fen, signed=act.signed is not None)
    row.state = "approved"
    return await pay_out(tx, party, treasury(party.id), row.amount_fen, **said)


async def proposals(
    session: AsyncSession, caller: Caller, after: int | None, limit: int
) -> list[dict[str, Any]]:
    """What was proposed in the caller's department and what became of it, newest first; all for a regulator."""
    query = select(TreasuryPayout).order_by(col(TreasuryPayout.log_index).desc()).limit(limit)
    if "regulator" not in caller.roles:
        query = query.where(col(TreasuryPayout.party) == caller.party)
    if after is not None:
        query = query.where(col(TreasuryPayout.log_index) < after)
    return [
        {
            "proposal": row.id,
            "party": row.party,
            "amount_fen": str(row.amount_fen),
            "proposer": row.proposer,
            "state": row.state,
            "index": str(row.log_index),
            "time_us": str(row.time_us),
        }
        for row in (await session.execute(query)).scalars()
    ]
