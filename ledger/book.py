"""The only writer of money: opens accounts, posts transfers, and seals every account row with a MAC.

Works inside the transaction of the connection handed to it, whose caller holds the log head: nobody else
writes money meanwhile. `postings` decides, in order; what it decided is written set by set.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ledger.errors import TransferError
from ledger.postings import (
    AMOUNT_LIMIT,
    STATE_AT_FIRST,
    Account,
    AccountLimit,
    Failed,
    KnownTransfer,
    Outcome,
    Pending,
    PendingState,
    Posted,
    Reason,
    Transfer,
    decide,
)

if TYPE_CHECKING:
    from psycopg import AsyncConnection

_ACCOUNT = "id, ledger, code, overdraft, debits_pending, debits_posted, credits_pending, credits_posted, sequence, closed"


def account_mac(key: bytes, account: Account) -> bytes:
    """HMAC-SHA256 over every member of the row, in a framing that cannot be shifted."""
    parts = [str(getattr(account, f.name)).encode() for f in fields(account)]
    framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(key, framed, hashlib.sha256)


class Book:
    """Accounts and transfers behind one connection; `mac_key` is a secret that the database does not hold."""

    def __init__(self, connection: AsyncConnection[Any], mac_key: bytes) -> None:
        self._connection = connection
        self._mac_key = mac_key

    async def open_account(self, identifier: str, *, ledger: str, code: str, limit: AccountLimit) -> Account:
        """Open an empty account; the database refuses an identifier that exists."""
        account = Account(id=identifier, ledger=ledger, code=code, limit=limit)
        await self._connection.execute(
            f"INSERT INTO account ({_ACCOUNT}, mac) VALUES (%s, %s, %s, %s, 0, 0, 0, 0, 0, false, %s)",  # noqa: S608  # column names are ours
            (identifier, ledger, code, limit, account_mac(self._mac_key, account)),
        )
        return account

    async def accounts(self, identifiers: Iterable[str]) -> dict[str, Account]:
        """The named accounts that exist, each row's MAC checked.

        TransferError names an account whose row was changed by anyone but the book.
        """
        cursor = await self._connection.execute(
            f"SELECT {_ACCOUNT}, mac FROM account WHERE id = ANY(%s)",  # noqa: S608  # column names are ours
            (sorted(set(identifiers)),),
        )
        found = {}
        for *members, mac in await cursor.fetchall():
            account = Account(*members)
            if not hmac.compare_digest(mac, account_mac(self._mac_key, account)):
                raise TransferError(
                    f"the row of account {account.id} was changed outside the book",
                    field="account",
                    rule="every account row carries the book's MAC",
                    remedy="stop the market and run `exchange audit`: it names the entry that last set the account",
                )
            found[account.id] = account
        return found

    async def post(self, transfers: Sequence[Transfer], *, log_index: int, time_us: int) -> list[Outcome]:
        """Decide `transfers` in order and write what was posted; one outcome each.

        A transfer that failed is kept as failed under its identifier, unless it can never be anything else:
        without an identifier, or with an amount that no account can hold. `log_index` is the entry that
        carries them. Cost: at most ten statements, however many transfers.
        """
        identifiers = [t.id for t in transfers]
        pending_ids = [t.pending for t in transfers if t.pending is not None]
        pendings = await self._pendings(pending_ids)
        accounts = await self.accounts([a for t in transfers for a in (t.debit, t.credit)])
        known = await self._known([*identifiers, *pending_ids])
        cursor = await self._connection.execute("SELECT coalesce(max(sequence), 0) FROM transfer")
        row = await cursor.fetchone()
        decision = decide(accounts, pendings, known, transfers, (row[0] if row else 0) + 1, time_us)
        fresh = [
            (outcome.sequence, t)
            for t, outcome in zip(transfers, decision.outcomes, strict=True)
            if isinstance(outcome, Posted) and not outcome.exists
        ]
        failed = [
            (t, outcome.reason)
            for t, outcome in zip(transfers, decision.outcomes, strict=True)
            if isinstance(outcome, Failed) and not outcome.exists and t.id and abs(t.amount) <= AMOUNT_LIMIT
        ]
        await self._write_transfers(fresh, log_index, time_us)
        await self._write_failed(failed)
        await self._write_accounts(accounts, decision.accounts)
        await self._write_holds(fresh, decision.pendings)
        return list(decision.outcomes)

    async def _pendings(self, identifiers: Sequence[str]) -> dict[str, Pending]:
        if not identifiers:
            return {}
        cursor = await self._connection.execute(
            "SELECT t.id, t.debit, t.credit, t.amount, t.ledger, t.code, h.state"
            " FROM hold h JOIN transfer t USING (id) WHERE h.id = ANY(%s)",
            (list(identifiers),),
        )
        return {row[0]: Pending(*row) for row in await cursor.fetchall()}

    async def _known(self, identifiers: Sequence[str]) -> dict[str, KnownTransfer]:
        known: dict[str, KnownTransfer] = {}
        cursor = await self._connection.execute(
            "SELECT id, kind, debit, credit, amount, ledger, code, pending, linked, sequence"
            " FROM transfer WHERE id = ANY(%s)",
            (list(identifiers),),
        )
        for *members, sequence in await cursor.fetchall():
            transfer = Transfer(*members)
            known[transfer.id] = KnownTransfer(transfer, Posted(sequence))
        cursor = await self._connection.execute(
            "SELECT id, kind, debit, credit, amount, ledger, code, pending, linked, reason"
            " FROM failed_transfer WHERE id = ANY(%s)",
            (list(identifiers),),
        )
        for *members, why in await cursor.fetchall():
            transfer = Transfer(*members)
            known[transfer.id] = KnownTransfer(transfer, Failed(Reason(why)))
        return known

    async def _write_transfers(
        self, fresh: Sequence[tuple[int, Transfer]], log_index: int, time_us: int
    ) -> None:
        if not fresh:
            return
        columns = [[sequence for sequence, _ in fresh]] + [
            [getattr(t, name) for _, t in fresh]
            for name in ("id", "kind", "debit", "credit", "amount", "ledger", "code", "pending", "linked")
        ]
        await self._connection.execute(
            "INSERT INTO transfer (sequence, id, kind, debit, credit, amount, ledger, code, pending, linked,"
            " log_index, time_us) SELECT *, %s, %s FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[],"
            " %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::boolean[])",
            (log_index, time_us, *columns),
        )

    async def _write_failed(self, failed: Sequence[tuple[Transfer, str]]) -> None:
        if not failed:
            return
        columns = [
            [getattr(t, name) for t, _ in failed]
            for name in ("id", "kind", "debit", "credit", "amount", "ledger", "code", "pending", "linked")
        ]
        await self._connection.execute(
            "INSERT INTO failed_transfer (id, kind, debit, credit, amount, ledger, code, pending, linked, reason)"
            " SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[],"
            " %s::text[], %s::text[], %s::boolean[], %s::text[]) ON CONFLICT DO NOTHING",
            (*columns, [why for _, why in failed]),
        )

    async def _write_accounts(self, before: Mapping[str, Account], after: Mapping[str, Account]) -> None:
        changed = [a for a in after.values() if a != before[a.id]]
        if not changed:
            return
        names = ("debits_pending", "debits_posted", "credits_pending", "credits_posted", "sequence", "closed")
        cursor = await self._connection.execute(
            "UPDATE account a SET debits_pending = n.debits_pending, debits_posted = n.debits_posted,"
            " credits_pending = n.credits_pending, credits_posted = n.credits_posted, sequence = n.sequence,"
            " closed = n.closed, mac = n.mac"
            " FROM unnest(%s::text[], %s::bytea[], %s::bytea[], %s::bigint[], %s::bigint[], %s::bigint[],"
            " %s::bigint[], %s::bigint[], %s::boolean[]) AS n(id, old_mac, mac, debits_pending, debits_posted,"
            " credits_pending, credits_posted, sequence, closed) WHERE a.id = n.id AND a.mac = n.old_mac",
            (
                [a.id for a in changed],
                [account_mac(self._mac_key, before[a.id]) for a in changed],
                [account_mac(self._mac_key, a) for a in changed],
                *[[getattr(a, name) for a in changed] for name in names],
            ),
        )
        if cursor.rowcount != len(changed):
            raise TransferError(
                "an account row changed under the book's hands",
                field="account",
                rule="only the book writes accounts",
                remedy="stop whatever else writes to this database",
            )

    async def _write_holds(
        self, fresh: Sequence[tuple[int, Transfer]], pendings: Mapping[str, Pending]
    ) -> None:
        opened = [t.id for _, t in fresh if t.kind == "pending"]
        states = {p.id: p.state for p in pendings.values()}
        if opened:
            await self._connection.execute(
                "INSERT INTO hold (id, state) SELECT * FROM unnest(%s::text[], %s::text[])",
                (opened, [states.get(i, "pending") for i in opened]),
            )
        resolved = [i for i in states if i not in opened]
        if resolved:
            await self._connection.execute(
                "UPDATE hold h SET state = n.state FROM unnest(%s::text[], %s::text[]) AS n(id, state)"
                " WHERE h.id = n.id",
                (resolved, [states[i] for i in resolved]),
            )


async def balance(connection: AsyncConnection[Any], identifier: str) -> Account | None:
    """An account as its row says, for showing; the MAC is judged where money moves, and by audit."""
    cursor = await connection.execute(
        f"SELECT {_ACCOUNT} FROM account WHERE id = %s",  # noqa: S608  # column names are ours
        (identifier,),
    )
    row = await cursor.fetchone()
    return None if row is None else Account(*row)


async def account_rows(connection: AsyncConnection[Any]) -> AsyncIterator[Account]:
    """Every account as its row claims, in order of identifier: for the audit bundle, which judges the claim."""
    after = ""
    while True:
        cursor = await connection.execute(
            f"SELECT {_ACCOUNT} FROM account WHERE id > %s ORDER BY id LIMIT 1000",  # noqa: S608  # column names are ours
            (after,),
        )
        rows = await cursor.fetchall()
        for row in rows:
            yield Account(*row)
        if len(rows) < 1000:
            return
        after = rows[-1][0]


async def transfer_rows(
    connection: AsyncConnection[Any],
) -> AsyncIterator[tuple[Transfer, int, int, PendingState]]:
    """Every transfer as its row claims, by sequence: (transfer, sequence, log index, state)."""
    after = 0
    while True:
        cursor = await connection.execute(
            "SELECT t.id, t.kind, t.debit, t.credit, t.amount, t.ledger, t.code, t.pending, t.linked, t.sequence,"
            " t.log_index, h.state FROM transfer t LEFT JOIN hold h ON h.id = t.id WHERE t.sequence > %s"
            " ORDER BY t.sequence LIMIT 1000",
            (after,),
        )
        rows = await cursor.fetchall()
        for *members, sequence, index, state in rows:
            transfer = Transfer(*members)
            yield transfer, sequence, index, state or STATE_AT_FIRST[transfer.kind]
        if len(rows) < 1000:
            return
        after = rows[-1][9]
