"""One call of the book as a value: what it reads, how it decides, and what it writes, without any I/O.

`Book.post` runs one on its connection; a batched room of the gate runs one for many callers at once. Each half is
one round trip, because its statements can be pipelined. Whoever runs it holds the log head from before the reads
until the commit, so that nobody else writes money meanwhile.
"""

# ruff: noqa: S608  # the only text put into statements is column names and frames of this file

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ledger.pipeline import SPLIT, Rows, Statement, joined
from ledger.postings import (
    STATE_AT_FIRST,
    Account,
    Decision,
    Failed,
    KnownTransfer,
    Outcome,
    Pending,
    Posted,
    Reason,
    Transfer,
    decide,
    unwritable,
)
from ledger.seals import account_mac, edited, head_mac, hold_mac, require_seal

ACCOUNT = "id, ledger, code, overdraft, debits_pending, debits_posted, credits_pending, credits_posted, sequence, closed"
TRANSFER = "id, kind, debit, credit, amount, ledger, code, pending, linked, timeout_us, closes"

# The columns of many rows travel as texts (see `ledger.pipeline.SPLIT`); in these an empty one is no value.
_SPLIT_NULLABLE = "string_to_array(%s, U&'\\001F', '')"
_MAC = "substr(%s::bytea, (32 * at - 31)::int, 32)"

# Row by row through the primary key: a plan that was kept from when a table was small would read all of it.
_ONE_BY_ONE = f"FROM unnest({SPLIT}) AS w(name) CROSS JOIN LATERAL"
_ACCOUNTS = f"SELECT r.* {_ONE_BY_ONE} (SELECT {ACCOUNT}, mac FROM account WHERE id = w.name LIMIT 1) r"
_KNOWN = f"SELECT r.* {_ONE_BY_ONE} (SELECT {TRANSFER}, sequence FROM transfer WHERE id = w.name LIMIT 1) r"
_FAILED = (
    f"SELECT r.* {_ONE_BY_ONE} (SELECT {TRANSFER}, reason FROM failed_transfer WHERE id = w.name LIMIT 1) r"
)
_HOLDS = (
    "SELECT h.id, t.debit, t.credit, t.amount, t.ledger, t.code, h.state, 0, h.expires_us, t.closes, h.mac, e.kind"
    f" {_ONE_BY_ONE} (SELECT * FROM hold WHERE id = w.name LIMIT 1) h"
    " LEFT JOIN LATERAL (SELECT * FROM transfer WHERE id = h.id LIMIT 1) t ON true"
    " LEFT JOIN LATERAL (SELECT kind FROM transfer WHERE pending = h.id LIMIT 1) e ON true"
)
_HEAD = (
    "SELECT (SELECT coalesce(max(sequence), 0) FROM transfer), h.sequence, h.mac"
    " FROM (SELECT 1) one LEFT JOIN book_head h ON h.id = 1"
)

_INSERT_TRANSFERS = (
    f"INSERT INTO transfer (sequence, log_index, time_us, {TRANSFER})"
    " SELECT %s + at - 1, log_index, %s, id, kind, debit, credit, amount, ledger, code, pending, linked, timeout_us, closes"
    f" FROM unnest({SPLIT}::bigint[], {SPLIT}, {SPLIT}, {SPLIT}, {SPLIT}, {SPLIT}::bigint[], {SPLIT}, {SPLIT},"
    f" {_SPLIT_NULLABLE}, {SPLIT}::boolean[], {SPLIT}::bigint[], {_SPLIT_NULLABLE})"
    " WITH ORDINALITY AS n(log_index, id, kind, debit, credit, amount, ledger, code, pending, linked, timeout_us,"
    " closes, at)"
)
_INSERT_FAILED = (
    f"INSERT INTO failed_transfer ({TRANSFER}, reason)"
    " SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[],"
    " %s::text[], %s::boolean[], %s::bigint[], %s::text[], %s::text[])"
)
# A row that is no longer as it was read fails the statement, and with it the transaction: see `require_rows`.
_UPDATE_ACCOUNTS = (
    "WITH n AS MATERIALIZED (SELECT id, debits_pending, debits_posted, credits_pending, credits_posted, sequence,"
    f" closed, {_MAC} AS old_mac, {_MAC} AS mac FROM unnest({SPLIT}, {SPLIT}::bigint[], {SPLIT}::bigint[],"
    f" {SPLIT}::bigint[], {SPLIT}::bigint[], {SPLIT}::bigint[], {SPLIT}::boolean[])"
    " WITH ORDINALITY AS u(id, debits_pending, debits_posted, credits_pending, credits_posted, sequence, closed, at)),"
    " done AS (UPDATE account a SET debits_pending = n.debits_pending, debits_posted = n.debits_posted,"
    " credits_pending = n.credits_pending, credits_posted = n.credits_posted, sequence = n.sequence,"
    " closed = n.closed, mac = n.mac FROM n WHERE a.id = n.id AND a.mac = n.old_mac RETURNING 1)"
    " SELECT require_rows('account', count(*), %s) FROM done"
)
_INSERT_HOLDS = (
    f"INSERT INTO hold (id, state, expires_us, mac) SELECT id, state, expires_us, {_MAC}"
    f" FROM unnest({SPLIT}, {SPLIT}, {_SPLIT_NULLABLE}::bigint[]) WITH ORDINALITY AS n(id, state, expires_us, at)"
)
_UPDATE_HOLDS = (
    f"WITH n AS MATERIALIZED (SELECT id, state, {_MAC} AS old_mac, {_MAC} AS mac FROM unnest({SPLIT}, {SPLIT})"
    " WITH ORDINALITY AS u(id, state, at)),"
    " done AS (UPDATE hold h SET state = n.state, mac = n.mac FROM n WHERE h.id = n.id AND h.mac = n.old_mac RETURNING 1)"
    " SELECT require_rows('hold', count(*), %s) FROM done"
)
_BEGIN_HEAD = "INSERT INTO book_head (id, sequence, mac) VALUES (1, %s, %s)"
_MOVE_HEAD = (
    "WITH done AS (UPDATE book_head SET sequence = %s, mac = %s WHERE id = 1 AND mac = %s RETURNING 1)"
    " SELECT require_rows('book_head', count(*), 1) FROM done"
)


class Call:
    """Transfers on their way through the book: `reads`, then `decide` with their rows, then `writes`.

    Any number of transfers is at most five statements to read and five to write. `mac_key` seals the rows.
    """

    def __init__(self, mac_key: bytes, transfers: Sequence[Transfer]) -> None:
        self.transfers = transfers
        self._key = mac_key
        self._accounts: dict[str, Account] = {}
        self._account_macs: dict[str, bytes] = {}
        self._holds: dict[str, Pending] = {}
        self._hold_macs: dict[str, bytes] = {}
        self._head_mac: bytes | None = None
        self._first_sequence = 1
        self._time_us = 0
        self._decision = Decision([], {}, {}, {}, 1)

    def reads(self) -> list[Statement]:
        """The queries whose rows `decide` needs, in its order. What no row could hold is not asked for."""
        sound = [t for t in self.transfers if unwritable(t) is None]
        named = {t.pending for t in sound if t.pending}
        known = joined({t.id for t in sound} | named)
        return [
            (_HEAD, ()),
            (_ACCOUNTS, (joined({t.debit for t in sound} | {t.credit for t in sound}),)),
            (_KNOWN, (known,)),
            (_FAILED, (known,)),
            (_HOLDS, (joined(named),)),
        ]

    def decide(self, rows: Sequence[Rows], time_us: int) -> list[Outcome]:
        """Decide in order, as of the entry's time; one outcome for each transfer.

        TransferError names a row that was changed by anyone but the book; nothing is decided then.
        """
        head, accounts, posted, failed, holds = rows
        self._take_head(head)
        for row in accounts:
            self._take_account(row)
        known = {row[0]: KnownTransfer(Transfer(*row[:-1]), Posted(row[-1])) for row in posted}
        known |= {row[0]: KnownTransfer(Transfer(*row[:-1]), Failed(Reason(row[-1]))) for row in failed}
        for row in holds:
            self._take_hold(row)
        for t in self.transfers:
            held = known.get(t.pending or "")
            if (
                held
                and held.transfer.kind == "pending"
                and isinstance(held.outcome, Posted)
                and t.pending not in self._holds
            ):
                raise edited(f"hold {t.pending}", "is missing")
        self._time_us = time_us
        self._decision = decide(
            self._accounts, self._holds, known, self.transfers, self._first_sequence, time_us
        )
        return self._decision.outcomes

    def writes(self, log_indices: Sequence[int]) -> list[Statement]:
        """The statements that make the decision true; `log_indices` has the entry of each transfer.

        An entry's index counts only where the transfer took effect now. Empty where nothing is to be written.
        """
        fresh: list[tuple[int, Transfer]] = []
        failed: list[tuple[Transfer, Reason]] = []
        for t, outcome, index in zip(self.transfers, self._decision.outcomes, log_indices, strict=True):
            if outcome.exists:
                continue
            if isinstance(outcome, Posted):
                fresh.append((index, t))
            elif unwritable(t) is None:
                failed.append((t, outcome.reason))
        statements: list[Statement] = []
        if fresh:
            statements.append(self._transfers(fresh))
            statements.append(self._balances())
            statements += self._resolutions(t for _, t in fresh)
            statements.append(self._head())
        if failed:
            columns = _columns([t for t, _ in failed])
            statements.append((_INSERT_FAILED, (*columns, [str(reason) for _, reason in failed])))
        return statements

    def _take_head(self, rows: Rows) -> None:
        ((last, sequence, mac),) = rows
        if mac is None and last:
            raise edited("book_head", "is missing")
        if mac is not None:
            require_seal(mac, head_mac(self._key, sequence), "book_head")
            if last != sequence:
                raise edited(
                    f"transfer {max(last, sequence)}", "is missing, or was put there outside the book"
                )
        self._head_mac = mac
        self._first_sequence = last + 1

    def _take_account(self, row: Sequence[Any]) -> None:
        account = Account(*row[:-1])
        require_seal(row[-1], account_mac(self._key, account), f"account {account.id}")
        if account.sequence >= self._first_sequence:
            raise edited(f"transfer {account.sequence}", "is missing")
        self._accounts[account.id] = account
        self._account_macs[account.id] = row[-1]

    def _take_hold(self, row: Sequence[Any]) -> None:
        hold, mac, ended_by = Pending(*row[:-2]), row[-2], row[-1]
        require_seal(mac, hold_mac(self._key, hold), f"hold {hold.id}")
        # An old row put back carries its seal; that the hold ended stands in the transfers.
        if hold.state != ("pending" if ended_by is None else STATE_AT_FIRST[ended_by]):
            raise edited(f"hold {hold.id}", "is not as its transfers left it")
        self._holds[hold.id] = hold
        self._hold_macs[hold.id] = mac

    def _transfers(self, fresh: Sequence[tuple[int, Transfer]]) -> Statement:
        indices, transfers = zip(*fresh, strict=True)
        columns = [joined(map(str, indices))]
        for column in _columns(transfers):
            columns.append(joined(["" if value is None else str(value) for value in column]))
        return _INSERT_TRANSFERS, (self._first_sequence, self._time_us, *columns)

    def _balances(self) -> Statement:
        changed = list(self._decision.accounts.values())
        return _UPDATE_ACCOUNTS, (
            b"".join([self._account_macs[a.id] for a in changed]),
            b"".join([account_mac(self._key, a) for a in changed]),
            joined([a.id for a in changed]),
            joined([str(a.debits_pending) for a in changed]),
            joined([str(a.debits_posted) for a in changed]),
            joined([str(a.credits_pending) for a in changed]),
            joined([str(a.credits_posted) for a in changed]),
            joined([str(a.sequence) for a in changed]),
            joined([str(a.closed) for a in changed]),
            len(changed),
        )

    def _resolutions(self, fresh: Any) -> list[Statement]:
        """Holds that came about, and earlier ones that ended."""
        made = {t.id for t in fresh if t.kind == "pending"}
        holds = self._decision.pendings
        new = [hold for hold in holds.values() if hold.id in made]
        ended = [hold for hold in holds.values() if hold.id not in made]
        statements: list[Statement] = []
        if new:
            statements.append(
                (
                    _INSERT_HOLDS,
                    (
                        b"".join([hold_mac(self._key, h) for h in new]),
                        joined([h.id for h in new]),
                        joined([h.state for h in new]),
                        joined(["" if h.expires_us is None else str(h.expires_us) for h in new]),
                    ),
                )
            )
        if ended:
            statements.append(
                (
                    _UPDATE_HOLDS,
                    (
                        b"".join([self._hold_macs[h.id] for h in ended]),
                        b"".join([hold_mac(self._key, h) for h in ended]),
                        joined([h.id for h in ended]),
                        joined([h.state for h in ended]),
                        len(ended),
                    ),
                )
            )
        return statements

    def _head(self) -> Statement:
        last = self._decision.next_sequence - 1
        mac = head_mac(self._key, last)
        if self._head_mac is None:
            return _BEGIN_HEAD, (last, mac)
        return _MOVE_HEAD, (last, mac, self._head_mac)


def _columns(transfers: Sequence[Transfer]) -> list[list[Any]]:
    """The transfers by column, in the order of TRANSFER."""
    return [
        [t.id for t in transfers],
        [t.kind for t in transfers],
        [t.debit for t in transfers],
        [t.credit for t in transfers],
        [t.amount for t in transfers],
        [t.ledger for t in transfers],
        [t.code for t in transfers],
        [t.pending for t in transfers],
        [t.linked for t in transfers],
        [t.timeout_us for t in transfers],
        [t.closes for t in transfers],
    ]
