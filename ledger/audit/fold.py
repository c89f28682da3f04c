"""Folds the transfers that the bodies carry into balances, and judges the claimed rows by them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ledger.audit.findings import Findings, why
from ledger.audit.reading import decimal
from ledger.errors import TransferError
from ledger.postings import (
    STATE_AT_FIRST,
    Account,
    Failed,
    Pending,
    Transfer,
    account_from_json,
    decide,
    differences,
    transfer_from_json,
)


class Fold:
    """Accounts and holds as the bodies give them, compared with the claimed rows as the fold goes."""

    def __init__(self, findings: Findings, rows: Iterator[tuple[int, dict[str, Any]]]) -> None:
        self.findings = findings
        self.accounts: dict[str, Account] = {}
        self.pendings: dict[str, Pending] = {}
        self.last_set: dict[str, int] = {}
        self.transfers: dict[str, int] = {}  # identifier → index of the entry that carries it
        self.ended: dict[str, int] = {}  # hold → index of the entry that posted or voided it
        self.claimed_states: dict[str, object] = {}
        self.next_sequence = 1
        self.stopped_at: int | None = None
        self._rows = rows
        self._row: dict[str, Any] | None = None
        self._row_sequence = 0

    def body(self, index: int, body: Mapping[str, Any]) -> None:
        """Fold one body: the accounts it opens, then the transfers it carries."""
        try:
            accounts = [account_from_json(value) for value in _array(body.get("accounts", []), "accounts")]
        except TransferError as error:
            self._stop(index, "accounts", "account_form", why=why(error))
            return
        for account in accounts:
            if account.id in self.accounts:
                self.findings.fault("accounts", "account_twice", index, id=account.id)
            else:
                self.accounts[account.id] = account
                self.last_set[account.id] = index
        try:
            transfers = [
                transfer_from_json(value) for value in _array(body.get("transfers", []), "transfers")
            ]
        except TransferError as error:
            self._stop(index, "transfers", "transfer_form", why=why(error))
            return
        if transfers:
            self._move(index, transfers, int(body["time"]))

    def judge(self, accounts: Iterator[tuple[int, dict[str, Any]]], size: int) -> None:
        """Judge the fold of all `size` entries, and the claimed account rows against it."""
        findings = self.findings
        if self.stopped_at is not None:
            for name in ("accounts", "transfers", "double_entry", "account_rows", "transfer_rows"):
                findings.left(name, "fold_stopped", size - self.stopped_at, index=self.stopped_at)
            return
        self._close_transfers()
        self._judge_accounts(accounts)
        self._judge_double_entry()
        findings.passed("accounts", "accounts_ok", count=len(self.accounts))
        findings.passed("transfers", "transfers_ok", count=self.next_sequence - 1)
        ledgers = ", ".join(sorted({account.ledger for account in self.accounts.values()}))
        findings.passed("double_entry", "double_entry_ok", ledgers=ledgers)
        findings.passed("account_rows", "account_rows_ok", count=len(self.accounts))
        findings.passed("transfer_rows", "transfer_rows_ok", count=self.next_sequence - 1)

    def _move(self, index: int, transfers: Sequence[Transfer], time_us: int) -> None:
        fresh: list[Transfer] = []
        for transfer in transfers:
            if transfer.id in self.transfers:
                self.findings.fault("transfers", "transfer_twice", index, id=transfer.id)
            else:
                self.transfers[transfer.id] = index
                fresh.append(transfer)
        decision = decide(self.accounts, self.pendings, {}, fresh, self.next_sequence, time_us)
        self.accounts.update(decision.accounts)
        self.pendings.update(decision.pendings)
        self.next_sequence = decision.next_sequence
        for transfer, outcome in zip(fresh, decision.outcomes, strict=True):
            if isinstance(outcome, Failed):
                self.findings.fault(
                    "transfers", "transfer_refused", index, id=transfer.id, reason=str(outcome.reason)
                )
                continue
            if transfer.pending is not None:
                self.ended[transfer.pending] = index
            self.last_set[transfer.debit] = self.last_set[transfer.credit] = index
            self._compare(transfer, outcome.sequence, index)

    def _stop(self, index: int, check: str, saying: str, why: str) -> None:
        self.findings.fault(check, saying, index, why=why)
        self.stopped_at = index

    def _next_row(self) -> dict[str, Any] | None:
        """The next claimed transfer row whose sequence is above the one before; others are faults."""
        while self._row is None:
            number, row = next(self._rows, (0, None))
            if row is None:
                return None
            sequence = decimal(row, "sequence", f"transfers.jsonl line {number}")
            if sequence > self._row_sequence:
                self._row, self._row_sequence = row, sequence
            else:
                self._unknown_row(row)
        return self._row

    def _unknown_row(self, row: Mapping[str, Any]) -> None:
        self.findings.fault(
            "transfer_rows",
            "transfer_row_unknown",
            self.transfers.get(str(row.get("id"))),
            id=str(row.get("id")),
        )

    def _compare(self, transfer: Transfer, sequence: int, index: int) -> None:
        while True:
            row = self._next_row()
            if row is not None and self._row_sequence < sequence:
                self._unknown_row(row)
                self._row = None
                continue
            if row is None or self._row_sequence > sequence:
                self.findings.fault("transfer_rows", "transfer_row_missing", index, id=transfer.id)
                return
            break
        self._row = None
        state = row.get("state")
        expected: dict[str, object] = {
            "sequence": str(sequence),
            "id": transfer.id,
            "index": str(index),
            "kind": transfer.kind,
            "debit": transfer.debit,
            "credit": transfer.credit,
            "amount": str(transfer.amount),
            "ledger": transfer.ledger,
            "code": transfer.code,
            "pending": transfer.pending,
            "state": STATE_AT_FIRST[transfer.kind],
        }
        if transfer.kind == "pending":  # judged at the end, when it is known what became of the hold
            self.claimed_states[transfer.id] = expected["state"] = state
        if row != expected:
            self._differ("transfer_rows", "transfer_row", transfer.id, index, row, expected)

    def _differ(
        self,
        check: str,
        saying: str,
        name: str,
        index: int,
        row: Mapping[str, Any],
        expected: Mapping[str, object],
    ) -> None:
        member = next(
            m for m in {**expected, **row} if m not in row or m not in expected or row[m] != expected[m]
        )
        self.findings.fault(
            check,
            saying,
            index,
            id=name,
            member=member,
            claimed=str(row.get(member)),
            folded=str(expected.get(member)),
        )

    def _close_transfers(self) -> None:
        """Judge what is left of the claimed transfer rows, and the states of the holds."""
        while (row := self._next_row()) is not None:
            self._unknown_row(row)
            self._row = None
        for name, claimed in self.claimed_states.items():
            folded = self.pendings[name].state
            if claimed != folded:
                self.findings.fault(
                    "transfer_rows",
                    "transfer_row",
                    self.ended.get(name, self.transfers[name]),
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
            account = self.accounts.get(name)
            if account is None:
                self.findings.fault("account_rows", "account_row_unknown", id=name)
                continue
            index = self.last_set[name]
            if name in claimed:
                self.findings.fault("account_rows", "account_row_twice", index, id=name)
                continue
            claimed.add(name)
            expected: dict[str, object] = {
                "id": account.id,
                "ledger": account.ledger,
                "code": account.code,
                "limit": account.limit,
                "debits_pending": str(account.debits_pending),
                "debits_posted": str(account.debits_posted),
                "credits_pending": str(account.credits_pending),
                "credits_posted": str(account.credits_posted),
            }
            if row != expected:
                self._differ("account_rows", "account_row", name, index, row, expected)
        for name in self.accounts:
            if name in claimed:
                continue
            self.findings.fault("account_rows", "account_row_missing", self.last_set[name], id=name)

    def _judge_double_entry(self) -> None:
        """Compare the sums of all debits and credits, ledger by ledger."""
        for ledger, (posted, pending) in differences(self.accounts.values()).items():
            if posted or pending:
                self.findings.fault(
                    "double_entry", "double_entry_bad", ledger=ledger, difference=posted or pending
                )


def _array(value: object, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise TransferError(
            "not an array",
            field=name,
            rule=f"{name} is an array of objects",
            remedy="write the body as the rooms do",
        )
    return value
