"""The venue itself: opens its market once, moves a sandbox's clock, says what market this is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from exchange.acts import Act, Record, Transaction
from exchange.errors import Conflict, Forbidden, NotFound, Unprocessable
from exchange.money import BANK, DEPOSITS, FEES, TAX
from exchange.parties import admit, check_name, check_uscc, invite
from exchange.tables import Market


@dataclass(frozen=True, slots=True)
class OpenMarket(Act):
    """The first entry of a log: what market this is, under which rules, and who administers it."""

    origin: str
    vkey: str
    sandbox: bool
    profile: str
    rulebook_version: str
    rulebook_digest: str
    uscc: str
    name: str
    person: str
    token_digest: bytes


async def open_market(tx: Transaction, act: OpenMarket) -> Record:
    """Open the venue's accounts and admit the first administrator, who gets a one-time link."""
    if tx.index:
        raise Conflict(
            "market.open",
            "this market is open already",
            remedy="use the data directory that it was opened in",
        )
    check_uscc(act.uscc)
    check_name("name", act.name)
    check_name("person", act.person)
    await tx.open_named_account(BANK, "bank", overdraft="credits_must_not_exceed_debits")
    await tx.open_named_account(DEPOSITS, "deposits", overdraft="none")
    await tx.open_named_account(FEES, "fees", overdraft="debits_must_not_exceed_credits")
    await tx.open_named_account(TAX, "tax", overdraft="debits_must_not_exceed_credits")
    party = await admit(tx, act.uscc, act.name, ("administrator",), None)
    person = await invite(tx, party.id, act.person, act.token_digest)
    return Record(
        "market_opened",
        {
            "administrator": party.id,
            "name": tx.seal(act.name),
            "origin": act.origin,
            "person": person.id,
            "person_name": tx.seal(act.person),
            "profile": act.profile,
            "rulebook": {"digest": act.rulebook_digest, "version": act.rulebook_version},
            "sandbox": act.sandbox,
            "state": "open",
            "token": act.token_digest.hex(),
            "uscc": tx.seal(act.uscc),
            "vkey": act.vkey,
        },
        readers=(party.id,),
    )


@dataclass(frozen=True, slots=True)
class MoveClock(Act):
    """Let a sandbox's time pass."""

    by_us: int


async def move_clock(tx: Transaction, act: MoveClock) -> Record:
    """Move the sandbox's clock forward; a production market has no such act."""
    market = await tx.find(Market, 1, "market")
    if not market.sandbox:
        raise Forbidden(
            "clock.production",
            "only a sandbox's clock can be moved",
            rule="one clock per market, which nobody sets",
            remedy="use a sandbox",
        )
    tx.caller.require("administrator")
    if act.by_us <= 0 or act.by_us > 366 * 86_400_000_000:
        raise Unprocessable(
            "clock.step",
            f"{act.by_us} µs",
            field="by_us",
            rule="forward, at most 366 days",
            remedy="move in smaller steps",
        )
    market.offset_us += act.by_us
    return Record("clock_moved", {"by_us": str(act.by_us), "state": "moved"})


async def about(session: AsyncSession) -> dict[str, Any]:
    """The market's profile and whether it is a sandbox."""
    row = await session.get(Market, 1)
    if row is None:
        raise NotFound("market.missing", "the database holds no market", remedy="run `exchange init`")
    return {"profile": row.profile, "sandbox": row.sandbox}
