"""Folds the transfers that the bodies carry into balances, and judges the claimed rows by them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ledger.audit.findings import Findings, why
from ledger.audit.segment import Plain
from ledger.audit.state import Money
from ledger.errors import TransferError
from ledger.postings import (
    AMOUNT_LIMIT,
    STATE_AT_FIRST,
    Account,
    Failed,
    Transfer,
    account_from_json,
    account_to_json,
    decide,
    differences,
    transfer_from_json,
    transfer_to_json,
)

MONEY_CHECKS = ("accounts", "transfers", "double_entry", "account_rows", "transfer_rows")


class Fold:
    """Accounts and holds as the bodies give them, compared with the claimed rows segment by segment.

    `money` is where it begins: nothing at all for a log from its first entry. `stopped_at` is the first entry
    that could not be folded; from there on nothing is known.
    """

    def __init__(self, findings: Findings, money: Money | None, start: int) -> None:
        self.findings = findings
        self.stopped_at: int | None = start if money is None else None
        self.without_past = money is None
        self.money = Money.none() if money is None else money
        self._ended: dict[str, int] = {}  # hold → index of the entry that ended it
        self._held: dict[str, int] = {}  # hold → index of the entry that made it
        self._states: dict[str, object] = {}  # hold made here → the state that its row claims
        self._waiting: list[Mapping[str, Any]] = []  # rows of a large body that is not whole yet

    def apply(self, plain: Plain) -> bool:
        """Take in what a segment's transfers do; False, and nothing is changed, where a rule may be broken."""
        money = self.money
        if not plain.indexes:
            return True
        if plain.first_sequence != money.next_sequence:
            return False
        fresh: dict[str, Account] = {}
        names, *columns = plain.moved
        for name, balance, debits, low, high, place in zip(names.decode().split("\n"), *columns, strict=True):
            account = money.accounts.get(name)
            if account is None or account.closed or account.ledger != plain.ledger:
                return False
            debited, credited = account.debits_posted + debits, account.credits_posted + debits + balance
            if max(debited + account.debits_pending, credited + account.credits_pending) > AMOUNT_LIMIT:
                return False
            match account.limit:
                case "debits_must_not_exceed_credits":
                    room = account.balance - account.debits_pending + low
                case "credits_must_not_exceed_debits":
                    room = -account.balance - account.credits_pending - high
                case _:
                    room = 0
            if room < 0:
                return False
            fresh[name] = Account(
                name,
                account.ledger,
                account.code,
                account.limit,
                account.debits_pending,
                debited,
                account.credits_pending,
                credited,
                plain.first_sequence + place,
            )
        identifiers = plain.identifiers.decode().split("\n")
        if not money.identifiers.isdisjoint(identifiers):
            return False
        unique = len(money.identifiers) + len(identifiers)
        money.identifiers.update(identifiers)
        if len(money.identifiers) != unique:
            money.identifiers.difference_update(identifiers)
            return False
        money.accounts |= fresh
        money.last_set |= zip(fresh, map(plain.indexes.__getitem__, plain.moved.place), strict=True)
        money.next_sequence += len(plain.indexes)
        return True

    def begin(self, rows: Sequence[Mapping[str, Any]], first: int, last: int) -> None:
        """Begin a segment of the entries first … last whose transfers are folded one by one, with its claimed rows."""
        self._rows: Iterator[Mapping[str, Any]] = iter([*self._waiting, *rows])
        self._waiting = []
        self._row: Mapping[str, Any] | None = None
        self._row_sequence = self.money.next_sequence - 1
        self._first, self._last = first, last
        self._carried: dict[str, int] = {}

    def body(self, index: int, body: Mapping[str, Any]) -> None:
        """Fold one body: the accounts it opens, then the transfers it carries."""
        try:
            accounts = [account_from_json(value) for value in _array(body.get("accounts", []), "accounts")]
        except TransferError as error:
            self._stop(index, "accounts", "account_form", why=why(error))
            return
        for account in accounts:
            if account.id in self.money.accounts:
                self.findings.fault("accounts", "account_twice", index, id=account.id)
            else:
                self.money.accounts[account.id] = account
                self.money.last_set[account.id] = index
        try:
            transfers = [
                transfer_from_json(value) for value in _array(body.get("transfers", []), "transfers")
            ]
        except TransferError as error:
            self._stop(index, "transfers", "transfer_form", why=why(error))
            return
        if transfers:
            self._move(index, transfers, int(body["time"]))

    def end(self, *, unfinished: bool) -> None:
        """End the segment: claimed rows that are left over belong to nothing, or to a large body that goes on."""
        if self.stopped_at is not None:
            return
        if unfinished:
            self._waiting = [*([] if self._row is None else [self._row]), *self._rows]
            return
        while (row := self._next_row()) is not None:
            self._unknown_row(row)
            self._row = None

    def judge(self, accounts: Iterator[tuple[int, dict[str, Any]]], size: int, *, newest: bool) -> None:
        """Judge the fold of all entries up to `size`, and the claimed account rows against it.

        Rows are claimed as they stand at the newest entry of the log; where the bundle ends before it, they say
        nothing of its end, and `newest` is false.
        """
        findings = self.findings
        if self.stopped_at is not None:
            saying = "fold_without_past" if self.without_past else "fold_stopped"
            for name in MONEY_CHECKS:
                findings.left(name, saying, size - self.stopped_at, index=self.stopped_at)
            return
        if newest:
            self._judge_holds()
            self._judge_accounts(accounts)
        self._judge_double_entry()
        count = self.money.next_sequence - 1
        findings.passed("accounts", "accounts_ok", count=len(self.money.accounts))
        findings.passed("transfers", "transfers_ok", count=count)
        ledgers = ", ".join(sorted({account.ledger for account in self.money.accounts.values()}))
        findings.passed("double_entry", "double_entry_ok", ledgers=ledgers)
        if newest:
            findings.passed("account_rows", "account_rows_ok", count=len(self.money.accounts))
        else:
            findings.left("account_rows", "account_rows_later", len(self.money.accounts))
        if newest or not self._states:
            findings.passed("transfer_rows", "transfer_rows_ok", count=count)
        else:
            holds = len(self._states)
            findings.left("transfer_rows", "transfer_rows_later", holds, count=count, holds=holds)

    def stop(self, index: int) -> None:
        """From entry `index` on nothing can be folded."""
        self.stopped_at = index if self.stopped_at is None else min(index, self.stopped_at)

    def _stop(self, index: int, check: str, saying: str, why: str) -> None:
        self.findings.fault(check, saying, index, why=why)
        self.stop(index)

    def _move(self, index: int, transfers: Sequence[Transfer], now_us: int) -> None:
        money = self.money
        fresh: list[Transfer] = []
        for transfer in transfers:
            if transfer.id in money.identifiers:
                self.findings.fault("transfers", "transfer_twice", index, id=transfer.id)
            else:
                money.identifiers.add(transfer.id)
                self._carried[transfer.id] = index
                fresh.append(transfer)
        decision = decide(money.accounts, money.holds, {}, fresh, money.next_sequence, now_us)
        money.accounts.update(decision.accounts)
        money.holds.update(decision.pendings)
        money.next_sequence = decision.next_sequence
        for transfer, outcome in zip(fresh, decision.outcomes, strict=True):
            if isinstance(outcome, Failed):
                self.findings.fault(
                    "transfers", "transfer_refused", index, id=transfer.id, reason=str(outcome.reason)
                )
                continue
            if transfer.pending is not None:
                self._ended[transfer.pending] = index
            elif transfer.kind == "pending":
                self._held[transfer.id] = index
            money.last_set[transfer.debit] = money.last_set[transfer.credit] = index
            self._compare(transfer, outcome.sequence, index)

    def _next_row(self) -> Mapping[str, Any] | None:
        """The next claimed row whose sequence is above the one before; others are faults."""
        while self._row is None:
            row = next(self._rows, None)
            if row is None:
                return None
            text = row.get("sequence")
            sequence = int(text) if isinstance(text, str) and text.isdecimal() and len(text) < 20 else 0
            if sequence > self._row_sequence and str(sequence) == text:
                self._row, self._row_sequence = row, sequence
            else:
                self._unknown_row(row)
        return self._row

    def _unknown_row(self, row: Mapping[str, Any]) -> None:
        transfer = row.get("transfer")
        name = str(transfer.get("id")) if isinstance(transfer, dict) else "?"
        first = self._carried.get(name, self._first)
        last = self._carried.get(name, self._last)
        self.findings.fault("transfer_rows", "transfer_row_unknown", first, last, id=name)

    def _compare(self, transfer: Transfer, sequence: int, index: int) -> None:
        while (row := self._next_row()) is not None and self._row_sequence < sequence:
            self._unknown_row(row)
            self._row = None
        if row is None or self._row_sequence > sequence:
            self.findings.fault("transfer_rows", "transfer_row_missing", index, id=transfer.id)
            return
        self._row = None
        state: object = STATE_AT_FIRST[transfer.kind]
        if transfer.kind == "pending":  # judged at the end, when it is known what became of the hold
            self._states[transfer.id] = state = row.get("state")
        expected = {
            "index": str(index),
            "sequence": str(sequence),
            "state": state,
            "transfer": transfer_to_json(transfer),
        }
        if row != expected:
            claimed = row.get("transfer")
            self._differ(
                "transfer_rows",
                "transfer_row",
                transfer.id,
                index,
                {**row, **claimed} if isinstance(claimed, dict) else row,
                {**expected, **transfer_to_json(transfer)},
            )

    def _differ(
        self,
        check: str,
        saying: str,
        name: str,
        index: int,
        row: Mapping[str, Any],
        expected: Mapping[str, object],
    ) -> None:
        members = [
            m for m in {**expected, **row} if m not in row or m not in expected or row[m] != expected[m]
        ]
        member = next((m for m in members if m != "transfer"), "transfer")
        self.findings.fault(
            check,
            saying,
            index,
            id=name,
            member=member,
            claimed=str(row.get(member)),
            folded=str(expected.get(member)),
        )

    def _judge_holds(self) -> None:
        """Judge the claimed states of the holds that were made here."""
        for name, claimed in self._states.items():
            folded = self.money.holds[name].state
            if claimed != folded:
                self.findings.fault(
                    "transfer_rows",
                    "transfer_row",
                    self._ended.get(name, self._held[name]),
                    id=name,
                    member="state",
                    claimed=str(claimed),
                    folded=folded,
                )

    def _judge_accounts(self, rows: Iterator[tuple[int, dict[str, Any]]]) -> None:
        """Compare the claimed account rows with the fold."""
        claimed: set[str] = set()
        for _, row in rows:
            name = str(row.get("id"))
            account = self.money.accounts.get(name)
            if account is None:
                self.findings.fault("account_rows", "account_row_unknown", id=name)
                continue
            index = self.money.last_set[name]
            if name in claimed:
                self.findings.fault("account_rows", "account_row_twice", index, id=name)
                continue
            claimed.add(name)
            expected = account_row(account)
            if row != expected:
                self._differ("account_rows", "account_row", name, index, row, expected)
        for name in self.money.accounts:
            if name not in claimed:
                index = self.money.last_set[name]
                self.findings.fault("account_rows", "account_row_missing", index, id=name)

    def _judge_double_entry(self) -> None:
        """Compare the sums of all debits and credits, ledger by ledger."""
        for ledger, (posted, pending) in differences(self.money.accounts.values()).items():
            if posted or pending:
                self.findings.fault(
                    "double_entry", "double_entry_bad", ledger=ledger, difference=posted or pending
                )


def account_row(account: Account) -> dict[str, object]:
    """What the claimed row of an account has to say."""
    return {
        **account_to_json(account),
        "debits_pending": str(account.debits_pending),
        "debits_posted": str(account.debits_posted),
        "credits_pending": str(account.credits_pending),
        "credits_posted": str(account.credits_posted),
        "sequence": str(account.sequence),
        "closed": account.closed,
    }


def _array(value: object, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise TransferError(
            "not an array",
            field=name,
            rule=f"{name} is an array of objects",
            remedy="write the body as the rooms do",
        )
    return value
