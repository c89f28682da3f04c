"""Room: what accounts hold and held, their statements, and the trial balance; reads only.

A party sees its own accounts (its money, its dividends, a department its treasury's), the regulator all; an account of others looks like one that does not exist.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from exchange.acts import Caller
from exchange.database import driver
from exchange.errors import NotFound
from ledger import log, statements
from ledger.book import account_rows, balance, last_sequence_before
from ledger.postings import Account
from ledger.statements import Balances, Line, Standing

HOLDS = 100
"""The most holds that are shown with an account, the newest."""

_UNITS = {"CNY": "fen"}

_OWN = """
    SELECT id FROM account WHERE id IN (SELECT account FROM party WHERE id = %(party)s
    UNION SELECT account FROM shareholding WHERE holder_party = %(party)s UNION SELECT 'treasury:' || %(party)s) ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Period:
    """Which entries: indices [start, stop) and times [since_us, until_us), both where both are given."""

    start: int = 0
    stop: int | None = None
    since_us: int = 0
    until_us: int | None = None


async def accounts_of(session: AsyncSession, caller: Caller, after: str, limit: int) -> list[dict[str, Any]]:
    """The accounts that the caller may see, by identifier from behind `after`, as they stand."""
    connection = await driver(session)
    if "regulator" in caller.roles:
        found = await statements.accounts(connection, after, limit)
    else:
        own = [name for name in await own_accounts(session, caller) if name > after]
        found = [each async for each in account_rows(connection, own[:limit])]
    return [_account(each, _now(each), closed=each.closed) for each in found]


async def account_at(
    session: AsyncSession, caller: Caller, identifier: str, at: int | None
) -> dict[str, Any]:
    """An account right after entry `at` (None: the newest), with the newest 100 holds that stood then."""
    account = await _require(session, caller, identifier)
    connection = await driver(session)
    index = await _entry(session, at)
    sequence = await last_sequence_before(connection, index + 1)
    balances = await statements.balances_after(connection, account.id, sequence)
    # The walk for holds is long where there are few of them: it is saved where the row says that none stands.
    free = at is None and not (account.closed or account.debits_pending or account.credits_pending)
    holds = [
        _hold(account.id, each)
        for each in ([] if free else await statements.standing_holds(connection, account.id, sequence, HOLDS))
    ]
    # A closed account takes no further hold: what closes it is the newest.
    closed = bool(holds) and holds[0]["closes"] == holds[0]["side"]
    return {**_account(account, balances, closed=closed), "index": index, "holds": holds}


async def statement(
    session: AsyncSession,
    caller: Caller,
    identifier: str,
    period: Period,
    after: int,
    limit: int,
    opening: Balances | None = None,
) -> dict[str, Any]:
    """At most `limit` lines of the period, behind the line with number `after`; what was read stays as it is.

    Whoever reads on hands in the last page's closing balances as `opening`, so that nothing is summed again.
    """
    account = await _require(session, caller, identifier)
    low, high = await _bounds(session, period)
    low = max(low, after)
    part = await statements.statement(await driver(session), account.id, low, max(low, high), limit, opening)
    return {
        "account": account.id,
        "ledger": account.ledger,
        "unit": unit(account.ledger),
        "code": account.code,
        "opening": asdict(part.opening),
        "lines": [_line(line) for line in part.lines],
        "closing": asdict(part.closing),
        "after": part.last if part.more else None,
    }


async def journal(
    session: AsyncSession, caller: Caller, period: Period, after: int, limit: int
) -> dict[str, Any]:
    """At most `limit` postings of the period on the caller's accounts, oldest first, behind the one with number `after`; for a
    regulator all of them.
    """
    connection = await driver(session)
    own = None if "regulator" in caller.roles else await own_accounts(session, caller)
    low, high = await _bounds(session, period)
    rows = await statements.journal(connection, own, max(low, after), high, limit + 1)
    shown = rows[:limit]
    named = sorted({name for *_, posted in shown for name in (posted.debit, posted.credit)})
    sides = {
        account.id: {"id": account.id, "code": account.code, "own": own is None or account.id in own}
        async for account in account_rows(connection, named)
    }
    return {
        "postings": [
            {
                "sequence": sequence,
                "index": index,
                "time_us": time_us,
                "transfer": posted.id,
                "code": posted.code,
                "debit": sides[posted.debit],
                "credit": sides[posted.credit],
                "amount": posted.amount,
                "ledger": posted.ledger,
            }
            for sequence, index, time_us, posted in shown
        ],
        "after": shown[-1][0] if len(rows) > limit else None,
    }


async def trial_balance(session: AsyncSession, caller: Caller, at: int | None) -> dict[str, Any]:
    """The sums of all accounts by ledger and code, right after entry `at` (None: the newest)."""
    caller.require("regulator", "administrator")
    index = await _entry(session, at)
    found = await statements.trial_balance(await driver(session), None if at is None else index)
    return {
        "index": index,
        "lines": [
            {
                "ledger": ledger,
                "unit": unit(ledger),
                "code": code,
                "balances": asdict(sums),
                "balance": sums.balance,
            }
            for ledger, code, sums in found.lines
        ],
        "totals": [
            {
                "ledger": ledger,
                "unit": unit(ledger),
                "balances": asdict(total),
                "difference": total.balance,
                "held_difference": total.held_difference,
            }
            for ledger, total in found.totals.items()
        ],
    }


def unit(ledger: str) -> str:
    """What the amounts of a ledger count: the minor unit where it is money, otherwise the ledger's own name."""
    return _UNITS.get(ledger, ledger)


async def own_accounts(session: AsyncSession, caller: Caller) -> list[str]:
    """The accounts of the caller's party: its money, its dividends, and a department's treasury."""
    found = await (await driver(session)).execute(_OWN, {"party": caller.party})
    return [account for (account,) in await found.fetchall()]


async def _require(session: AsyncSession, caller: Caller, identifier: str) -> Account:
    """The account, where the caller may see it; others' and none are one answer."""
    if "regulator" in caller.roles or identifier in await own_accounts(session, caller):
        found = await balance(await driver(session), identifier)
        if found is not None:
            return found
    raise NotFound(
        "account.unknown",
        f"no account {identifier!r} of yours",
        field="account",
        rule="a party sees its own accounts, the regulator all",
        remedy="GET /v1/accounts lists yours",
    )


async def _entry(session: AsyncSession, at: int | None) -> int:
    """The index of an entry that there is; the newest for None."""
    size = (await log.read_head(await driver(session))).edge.size
    if at is None:
        return size - 1
    if at >= size:
        raise NotFound(
            "entry.unknown",
            f"no entry {at}, the newest is {size - 1}",
            field="at",
            rule="an index below the size of the log",
            remedy="leave `at` out for the newest",
        )
    return at


async def _bounds(session: AsyncSession, period: Period) -> tuple[int, int]:
    """The numbers (low, high] of the period's transfers."""
    connection = await driver(session)
    low = max(
        await last_sequence_before(connection, period.start),
        await last_sequence_before(connection, period.since_us, "time_us"),
    )
    high = await statements.newest_sequence(connection)
    if period.stop is not None:
        high = min(high, await last_sequence_before(connection, period.stop))
    if period.until_us is not None:
        high = min(high, await last_sequence_before(connection, period.until_us, "time_us"))
    return low, high


def _account(account: Account, balances: Balances, *, closed: bool) -> dict[str, Any]:
    return {
        "id": account.id,
        "ledger": account.ledger,
        "unit": unit(account.ledger),
        "code": account.code,
        "limit": account.limit,
        "closed": closed,
        "balances": asdict(balances),
        "balance": balances.balance,
        "available": balances.available,
    }


def _now(account: Account) -> Balances:
    return Balances(
        account.debits_pending, account.debits_posted, account.credits_pending, account.credits_posted
    )


def _hold(account: str, hold: Standing) -> dict[str, Any]:
    held = hold.transfer
    debit = held.debit == account
    return {
        "transfer": held.id,
        "code": held.code,
        "side": "debit" if debit else "credit",
        "other": held.credit if debit else held.debit,
        "amount": held.amount,
        "index": hold.index,
        "time_us": hold.time_us,
        "expires_us": hold.expires_us,
        "closes": held.closes,
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "sequence": line.sequence,
        "index": line.index,
        "time_us": line.time_us,
        "transfer": line.transfer.id,
        "kind": line.transfer.kind,
        "code": line.transfer.code,
        "side": line.side,
        "other": line.other,
        "amount": line.transfer.amount,
        "hold": line.transfer.pending,
        "change": asdict(line.change),
        "balances": asdict(line.balances),
        "balance": line.balances.balance,
    }
