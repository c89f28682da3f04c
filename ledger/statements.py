"""What the book was at any time: balances after an entry, statements line by line, trial balances.

Reads only, and from transfers alone, which are never changed and hold every change of a balance. What the rows say
is shown as they say it; the seals are judged where money moves, and all of it by audit.
"""

# ruff: noqa: S608  # the only text put into statements is column names and frames of this file

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledger.book import last_sequence_before
from ledger.call import ACCOUNT, TRANSFER
from ledger.postings import Account, Side, Transfer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import AsyncConnection


@dataclass(frozen=True, slots=True)
class Balances:
    """The four balances of an account, or of several, in minor units; in a change of them each may be negative."""

    debits_pending: int = 0
    debits_posted: int = 0
    credits_pending: int = 0
    credits_posted: int = 0

    def __add__(self, other: Balances) -> Balances:
        return Balances(
            self.debits_pending + other.debits_pending,
            self.debits_posted + other.debits_posted,
            self.credits_pending + other.credits_pending,
            self.credits_posted + other.credits_posted,
        )

    @property
    def balance(self) -> int:
        """Posted credits less posted debits."""
        return self.credits_posted - self.debits_posted

    @property
    def available(self) -> int:
        """The balance less what is held of it."""
        return self.balance - self.debits_pending

    @property
    def held_difference(self) -> int:
        """Debits less credits of what is pending: 0 over all accounts of a ledger."""
        return self.debits_pending - self.credits_pending


@dataclass(frozen=True, slots=True)
class Line:
    """One transfer on an account: what it changed, and the balances after it.

    `sequence` is its number in the book, `index` its entry in the log, `time_us` that entry's time.
    """

    sequence: int
    index: int
    time_us: int
    transfer: Transfer
    side: Side
    change: Balances
    balances: Balances

    @property
    def other(self) -> str:
        """The account on the other side."""
        return self.transfer.credit if self.side == "debit" else self.transfer.debit


@dataclass(frozen=True, slots=True)
class Statement:
    """A part of an account's transfers, behind number `after` up to `upto` at most, in order.

    `opening` are the balances before the first line, `closing` those after the last; `more` lines may follow.
    """

    account: str
    after: int
    upto: int
    opening: Balances
    lines: tuple[Line, ...]
    more: bool

    @property
    def closing(self) -> Balances:
        return self.lines[-1].balances if self.lines else self.opening

    @property
    def last(self) -> int:
        """The cursor: the number of the last line, behind which the next part begins."""
        return self.lines[-1].sequence if self.lines else self.after


@dataclass(frozen=True, slots=True)
class Standing:
    """A hold that stands: the pending transfer and the entry that carried it; `expires_us` None: never."""

    transfer: Transfer
    index: int
    time_us: int

    @property
    def expires_us(self) -> int | None:
        return self.time_us + self.transfer.timeout_us if self.transfer.timeout_us else None


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """The sums of all accounts, by ledger and account code, in the order of both."""

    lines: tuple[tuple[str, str, Balances], ...]

    @property
    def totals(self) -> dict[str, Balances]:
        """The sums of each ledger. In double entry `balance` and `held_difference` of each are 0."""
        sums: defaultdict[str, Balances] = defaultdict(Balances)
        for ledger, _, balances in self.lines:
            sums[ledger] += balances
        return dict(sums)


# What a transfer does to the pending and to the posted balance of either of its accounts.
_HELD = (
    "CASE t.kind WHEN 'post' THEN 0 WHEN 'pending' THEN t.amount"
    " WHEN 'post_pending' THEN -(SELECT h.amount FROM transfer h WHERE h.id = t.pending) ELSE -t.amount END"
)
_POSTED = "CASE WHEN t.kind IN ('post', 'post_pending') THEN t.amount ELSE 0 END"
_SUMS = f"coalesce(sum({_HELD}), 0)::bigint AS held, coalesce(sum({_POSTED}), 0)::bigint AS posted"
_RANGE = "t.sequence > %(after)s AND t.sequence <= %(upto)s"
_COLUMNS = ", ".join(f"t.{name}" for name in TRANSFER.split(", "))


def _of_sides(one: str) -> str:
    """The same query for the debit and the credit side, as tables d and c of one row each."""
    return ", ".join(f"({one.format(side=side)}) {side[0]}" for side in ("debit", "credit"))


_CHANGE = _of_sides(f"SELECT {_SUMS} FROM transfer t WHERE t.{{side}} = %(account)s AND {_RANGE}")
_UP = f"SELECT d.held, d.posted, c.held, c.posted FROM {_CHANGE}"
_DOWN = (
    "SELECT a.debits_pending - d.held, a.debits_posted - d.posted, a.credits_pending - c.held,"
    f" a.credits_posted - c.posted FROM account a, {_CHANGE} WHERE a.id = %(account)s"
)
_LINES = " UNION ALL ".join(
    f"(SELECT t.sequence, t.log_index, t.time_us, '{side}' AS side, {_HELD} AS held, {_POSTED} AS posted, {_COLUMNS}"
    f" FROM transfer t WHERE t.{side} = %(account)s AND {_RANGE} ORDER BY t.sequence LIMIT %(limit)s)"
    for side in ("debit", "credit")
)
_STANDING = " UNION ALL ".join(
    f"(SELECT t.sequence, t.log_index, t.time_us, {_COLUMNS} FROM transfer t"
    f" WHERE t.{side} = %(account)s AND t.kind = 'pending' AND t.sequence <= %(upto)s"
    f" AND (t.amount > 0 OR t.closes = '{side}')"
    " AND NOT EXISTS (SELECT FROM transfer e WHERE e.pending = t.id AND e.sequence <= %(upto)s)"
    " ORDER BY t.sequence DESC LIMIT %(limit)s)"
    for side in ("debit", "credit")
)
_MOVED = " UNION ALL ".join(
    f"SELECT a.ledger, a.code, {columns} FROM transfer t JOIN account a ON a.id = t.{side} WHERE {_RANGE}"
    for side, columns in (
        ("debit", f"{_HELD} AS a1, {_POSTED} AS a2, 0 AS a3, 0 AS a4"),
        ("credit", f"0, 0, {_HELD}, {_POSTED}"),
    )
)
_TRIAL = (
    "SELECT ledger, code, sum(a1)::numeric, sum(a2)::numeric, sum(a3)::numeric, sum(a4)::numeric"
    " FROM ({rows}) r GROUP BY ledger, code ORDER BY ledger, code"
)
_TRIAL_UP = _TRIAL.format(rows=_MOVED)
_ROWS = (
    "SELECT ledger, code, debits_pending AS a1, debits_posted AS a2, credits_pending AS a3, credits_posted AS a4"
    " FROM account"
)
_TRIAL_DOWN = _TRIAL.format(
    rows=f"{_ROWS} UNION ALL SELECT ledger, code, -a1, -a2, -a3, -a4 FROM ({_MOVED}) moved"
)


async def accounts(connection: AsyncConnection[Any], after: str, limit: int) -> list[Account]:
    """Accounts as their rows say, by identifier from behind `after`, at most `limit`."""
    cursor = await connection.execute(
        f"SELECT {ACCOUNT} FROM account WHERE id > %s ORDER BY id LIMIT %s", (after, limit)
    )
    return [Account(*row) for row in await cursor.fetchall()]


async def balances_at(connection: AsyncConnection[Any], account: str, index: int) -> Balances:
    """The balances of an account right after the log's entry `index`; all 0 where nothing had moved it yet.

    Cost: the account's transfers since then or up to then, whichever end of the book is nearer.
    """
    return await balances_after(connection, account, await last_sequence_before(connection, index + 1))


async def balances_after(connection: AsyncConnection[Any], account: str, sequence: int) -> Balances:
    """The same, right after the transfer with number `sequence`."""
    last = await newest_sequence(connection)
    up = 2 * sequence < last
    values = {"account": account, "after": 0 if up else sequence, "upto": sequence if up else 2**63 - 1}
    # Planned for these values: a plan kept from when the table was small would read all of it.
    cursor = await connection.execute(_UP if up else _DOWN, values, prepare=False)
    row = await cursor.fetchone()
    return Balances(*row) if row else Balances()


async def newest_sequence(connection: AsyncConnection[Any]) -> int:
    """The number of the newest transfer, 0 before any."""
    cursor = await connection.execute("SELECT coalesce(max(sequence), 0) FROM transfer")
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def statement(
    connection: AsyncConnection[Any],
    account: str,
    after: int,
    upto: int,
    limit: int,
    opening: Balances | None = None,
) -> Statement:
    """At most `limit` lines of an account, behind transfer `after` up to `upto`; what was read stays as it is.

    Whoever reads on hands in the last part's `closing` as `opening`, so that nothing is summed again.
    """
    balances = await balances_after(connection, account, after) if opening is None else opening
    cursor = await connection.execute(
        f"{_LINES} ORDER BY sequence LIMIT %(limit)s",
        {"account": account, "after": after, "upto": upto, "limit": limit + 1},
        prepare=False,
    )
    rows = await cursor.fetchall()
    opening, lines = balances, []
    for sequence, index, time_us, side, held, posted, *members in rows[:limit]:
        change = Balances(held, posted) if side == "debit" else Balances(0, 0, held, posted)
        balances += change
        lines.append(Line(sequence, index, time_us, Transfer(*members), side, change, balances))
    return Statement(account, after, upto, opening, tuple(lines), len(rows) > limit)


async def journal(
    connection: AsyncConnection[Any], accounts: Sequence[str] | None, after: int, upto: int, limit: int
) -> list[tuple[int, int, int, Transfer]]:
    """What was posted behind transfer `after` up to `upto`, in order, at most `limit`: all of it, or what touches `accounts`.

    Each as (sequence, index of its entry, that entry's time, transfer); holds post nothing until they end.
    """
    where = "" if accounts is None else " AND (debit = ANY(%(accounts)s) OR credit = ANY(%(accounts)s))"
    cursor = await connection.execute(
        f"SELECT sequence, log_index, time_us, {TRANSFER} FROM transfer WHERE sequence > %(after)s AND sequence <= %(upto)s"
        f" AND kind IN ('post', 'post_pending'){where} ORDER BY sequence LIMIT %(limit)s",
        {"accounts": accounts, "after": after, "upto": upto, "limit": limit},
        prepare=False,
    )
    return [
        (sequence, index, time_us, Transfer(*members))
        for sequence, index, time_us, *members in await cursor.fetchall()
    ]


async def standing_holds(
    connection: AsyncConnection[Any], account: str, sequence: int, limit: int
) -> list[Standing]:
    """The holds that stood on an account right after transfer `sequence`, the newest `limit` first.

    On either side, those that hold an amount of it or close it.
    Cost: where there are fewer, the account's transfers up to then.
    """
    cursor = await connection.execute(
        f"{_STANDING} ORDER BY sequence DESC LIMIT %(limit)s",
        {"account": account, "upto": sequence, "limit": limit},
        prepare=False,
    )
    return [
        Standing(Transfer(*members), index, time_us)
        for _, index, time_us, *members in await cursor.fetchall()
    ]


async def trial_balance(connection: AsyncConnection[Any], index: int | None = None) -> TrialBalance:
    """The sums of all accounts now, or right after the log's entry `index`; codes that nothing had moved are left out.

    Cost: the accounts, and for a past index the transfers since then or up to then, whichever end is nearer.
    """
    if index is None:
        cursor = await connection.execute(_TRIAL.format(rows=_ROWS))
    else:
        sequence = await last_sequence_before(connection, index + 1)
        up = 2 * sequence < await newest_sequence(connection)
        values = {"after": 0 if up else sequence, "upto": sequence if up else 2**63 - 1}
        cursor = await connection.execute(_TRIAL_UP if up else _TRIAL_DOWN, values, prepare=False)
    lines = [(ledger, code, Balances(*map(int, sums))) for ledger, code, *sums in await cursor.fetchall()]
    return TrialBalance(tuple(line for line in lines if line[2] != Balances()))
