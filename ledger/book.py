"""The only writer of money: opens accounts and posts transfers; and what its rows say, for showing.

Works inside the transaction of the connection handed to it, whose caller holds the log head: nobody else
writes money meanwhile. `postings` decides, in order; `call` says what is read and written for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import psycopg

from ledger.call import ACCOUNT, TRANSFER, Call
from ledger.errors import TransferError
from ledger.pipeline import together
from ledger.postings import (
    LEDGER_RULE,
    NAME_LIMIT,
    STATE_AT_FIRST,
    Account,
    AccountLimit,
    Outcome,
    Pending,
    PendingState,
    Transfer,
    is_ledger,
    is_name,
)
from ledger.seals import account_mac, require_seal

if TYPE_CHECKING:
    from psycopg import AsyncConnection


class Book:
    """Accounts and transfers behind one connection; `mac_key` is a secret that the database does not hold."""

    def __init__(self, connection: AsyncConnection[Any], mac_key: bytes) -> None:
        self._connection = connection
        self._mac_key = mac_key

    async def open_account(self, identifier: str, *, ledger: str, code: str, limit: AccountLimit) -> Account:
        """Open an empty account; TransferError where it exists, or where a name cannot stand."""
        for field, value in (("id", identifier), ("code", code)):
            if not is_name(value):
                raise _refused(field, f"{value!r}"[:200], f"1 to {NAME_LIMIT} printable characters")
        if not is_ledger(ledger):
            raise _refused("ledger", f"{ledger!r}"[:200], LEDGER_RULE)
        account = Account(id=identifier, ledger=ledger, code=code, limit=limit)
        cursor = await self._connection.execute(
            f"INSERT INTO account ({ACCOUNT}, mac) VALUES (%s, %s, %s, %s, 0, 0, 0, 0, 0, false, %s)"  # noqa: S608  # column names are ours
            " ON CONFLICT DO NOTHING",
            (identifier, ledger, code, limit, account_mac(self._mac_key, account)),
        )
        if not cursor.rowcount:
            raise _refused("id", f"account {identifier!r} exists", "one identifier, one account")
        return account

    async def accounts(self, identifiers: Iterable[str]) -> dict[str, Account]:
        """The named accounts that exist, each row's MAC checked.

        TransferError names an account whose row was changed by anyone but the book.
        """
        cursor = await self._connection.execute(
            f"SELECT {ACCOUNT}, mac FROM account WHERE id = ANY(%s)",  # noqa: S608  # column names are ours
            (sorted(set(identifiers)),),
        )
        found = {}
        for *members, mac in await cursor.fetchall():
            account = Account(*members)
            require_seal(mac, account_mac(self._mac_key, account), f"account {account.id}")
            found[account.id] = account
        return found

    async def post(self, transfers: Sequence[Transfer], *, log_index: int, time_us: int) -> list[Outcome]:
        """Decide `transfers` in order and write what was posted; one outcome each.

        A transfer that failed is kept as failed under its identifier, unless no row could hold it
        (`postings.unwritable`). `log_index` is the entry that carries them, `time_us` its time. Cost: two round
        trips, however many transfers. TransferError where a row was changed by anyone but the book.
        """
        call = Call(self._mac_key, transfers)
        outcomes = call.decide(await together(self._connection, call.reads()), time_us)
        try:
            await together(self._connection, call.writes([log_index] * len(transfers)))
        except psycopg.errors.SerializationFailure as error:
            raise TransferError(
                str(error),
                field="account",
                rule="only the book writes its rows",
                remedy="stop whatever else writes to this database",
            ) from error
        return outcomes


def _refused(field: str, detail: str, rule: str) -> TransferError:
    return TransferError(detail, field=field, rule=rule, remedy="open the account under other words")


async def balance(connection: AsyncConnection[Any], identifier: str) -> Account | None:
    """An account as its row says, for showing; the MAC is judged where money moves, and by audit."""
    cursor = await connection.execute(
        f"SELECT {ACCOUNT} FROM account WHERE id = %s",  # noqa: S608  # column names are ours
        (identifier,),
    )
    row = await cursor.fetchone()
    return None if row is None else Account(*row)


async def due_holds(connection: AsyncConnection[Any], now_us: int, limit: int) -> list[Pending]:
    """Holds whose time is over and whose expiry is not posted yet, the oldest first, at most `limit`.

    As their rows say; the seals are judged where the expiry is posted.
    """
    cursor = await connection.execute(
        "SELECT h.id, t.debit, t.credit, t.amount, t.ledger, t.code, h.state, 0, h.expires_us, t.closes"
        " FROM hold h JOIN transfer t USING (id)"
        " WHERE h.state = 'pending' AND h.expires_us <= %s ORDER BY h.expires_us, h.id LIMIT %s",
        (now_us, limit),
    )
    return [Pending(*row) for row in await cursor.fetchall()]


async def account_rows(
    connection: AsyncConnection[Any], identifiers: Sequence[str] | None = None
) -> AsyncIterator[Account]:
    """The named accounts, or all, as their rows claim, by identifier: for the audit bundle, which judges the claim."""
    after = ""
    while True:
        cursor = await connection.execute(
            f"SELECT {ACCOUNT} FROM account WHERE id > %s AND (%s::text[] IS NULL OR id = ANY(%s))"  # noqa: S608  # column names are ours
            " ORDER BY id LIMIT 1000",
            (after, identifiers, identifiers),
        )
        rows = await cursor.fetchall()
        for row in rows:
            yield Account(*row)
        if len(rows) < 1000:
            return
        after = rows[-1][0]


async def transfer_rows(
    connection: AsyncConnection[Any], start: int, stop: int, accounts: Sequence[str] | None = None
) -> AsyncIterator[tuple[Transfer, int, int, PendingState]]:
    """The transfers of the entries [start, stop) as their rows claim, by sequence: all, or those on `accounts`.

    Each as (transfer, sequence, index of its entry, state).
    """
    after = await last_sequence_before(connection, start)
    where = "" if accounts is None else " AND (debit = ANY(%(accounts)s) OR credit = ANY(%(accounts)s))"
    while True:
        cursor = await connection.execute(
            f"SELECT {TRANSFER}, sequence, log_index, state FROM transfer LEFT JOIN hold USING (id)"  # noqa: S608  # column names are ours
            f" WHERE sequence > %(after)s{where} ORDER BY sequence LIMIT 1000",
            {"after": after, "accounts": accounts},
        )
        rows = await cursor.fetchall()
        for *members, sequence, index, state in rows:
            if index >= stop:
                return
            transfer = Transfer(*members)
            yield transfer, sequence, index, state or STATE_AT_FIRST[transfer.kind]
        if len(rows) < 1000:
            return
        after = rows[-1][-3]


async def last_sequence_before(
    connection: AsyncConnection[Any], bound: int, by: Literal["log_index", "time_us"] = "log_index"
) -> int:
    """The sequence of the last transfer whose entry's index, or time, lies before `bound`, 0 where none does.

    Found by halving, as both only ascend.
    """
    if bound <= 0:
        return 0
    cursor = await connection.execute(f"SELECT sequence, {by} FROM transfer ORDER BY sequence DESC LIMIT 1")  # noqa: S608  # column names are ours
    row = await cursor.fetchone()
    low, high = 0, int(row[0]) if row else 0
    if row is None or row[1] < bound:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        cursor = await connection.execute(
            f"SELECT {by} FROM transfer WHERE sequence >= %s ORDER BY sequence LIMIT 1",  # noqa: S608  # column names are ours
            (middle,),
        )
        row = await cursor.fetchone()
        if row is not None and row[0] < bound:
            low = middle
        else:
            high = middle - 1
    return low
