"""Judges the money in a bundle that was made for one party: its own accounts, from its own transfers.

The claimed rows are all that touched the party's accounts. Each is held to the disclosed body that carries it,
and all of them together to the balances: a transfer that was left out, or a body that was withheld though it
moved the party's money, shows as a row that no body bears out, or as a balance that the rows do not give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ledger.audit.findings import Findings, why
from ledger.audit.fold import account_row
from ledger.audit.reading import Bundle
from ledger.errors import TransferError
from ledger.postings import (
    STATE_AT_FIRST,
    Account,
    Transfer,
    account_from_json,
    transfer_from_json,
    transfer_to_json,
)


class PartyMoney:
    """The party's accounts as its transfers give them, segment by segment."""

    def __init__(self, bundle: Bundle, findings: Findings) -> None:
        self.findings = findings
        self.claimed: dict[str, dict[str, Any]] = {}
        self.accounts: dict[str, Account] = {}
        for number, row in bundle.table("accounts.jsonl"):
            opening = {name: row.get(name) for name in ("id", "ledger", "code", "limit")}
            try:
                account = account_from_json(opening)
            except TransferError as error:
                findings.fault("account_rows", "account_row_form", line=number, why=why(error))
                continue
            if account.id in self.claimed:
                findings.fault("account_rows", "account_row_twice", id=account.id)
            self.claimed[account.id] = row
            self.accounts[account.id] = account
        self.rows = 0
        self.unconfirmed = 0
        self._holds: dict[str, tuple[Transfer, str, object]] = {}  # hold → transfer, state, claimed state
        self._sequence = 0
        self._waiting: list[Mapping[str, Any]] = []  # rows of a large body that is not whole yet
        self._from = 0  # the first entry that a row may name

    def segment(
        self,
        first: int,
        last: int,
        rows: Sequence[Mapping[str, Any]],
        moves: Sequence[tuple[int, Mapping[str, Any]]],
        disclosed: Sequence[bool],
        unfinished: int | None,
    ) -> None:
        """Take a segment's claimed rows, and what its disclosed bodies carry; `disclosed` says which were, by place.

        The rows of a large body that goes on beyond the segment, whose head is `unfinished`, wait for its end.
        """
        carried: dict[str, tuple[int, Transfer]] = {}
        for index, body in moves:
            for transfer in _transfers(body):
                if transfer.debit in self.accounts or transfer.credit in self.accounts:
                    carried[transfer.id] = (index, transfer)
        shown = {index for index, _ in moves} | {first + at for at, one in enumerate(disclosed) if one}
        waiting, begin = self._waiting, self._from
        self._waiting, self._from = [], last + 1 if unfinished is None else unfinished
        for row in (*waiting, *rows):
            at = _number(row.get("index"))
            if unfinished is not None and at is not None and unfinished <= at <= last:
                self._waiting.append(row)
            else:
                self._row(begin, last, row, carried, shown)
        for name, (index, _) in carried.items():
            self.findings.fault("transfer_rows", "transfer_row_missing", index, id=name)

    def judge(self, withheld: int) -> None:
        """Compare the balances, and say what was proven; `withheld` entries showed no body."""
        findings = self.findings
        for name, (_, state, claimed) in self._holds.items():
            if claimed != state:
                findings.fault(
                    "transfer_rows", "party_row_state", id=name, claimed=str(claimed), folded=state
                )
        for name, account in self.accounts.items():
            expected = account_row(account)
            row = self.claimed[name]
            for member in expected:
                if member != "closed" and row.get(member) != expected[member]:
                    findings.fault(
                        "account_rows",
                        "party_balance",
                        id=name,
                        member=member,
                        claimed=str(row.get(member)),
                        folded=str(expected[member]),
                    )
                    break
        findings.passed("account_rows", "party_balances_ok", count=len(self.accounts))
        if self.unconfirmed:
            findings.left(
                "transfer_rows",
                "party_rows_unconfirmed",
                self.unconfirmed,
                confirmed=self.rows - self.unconfirmed,
                unconfirmed=self.unconfirmed,
            )
        else:
            findings.passed("transfer_rows", "party_rows_ok", count=self.rows)
        for name in ("accounts", "transfers", "double_entry"):
            findings.left(name, "party_only", withheld, withheld=withheld)

    def _row(
        self,
        first: int,
        last: int,
        row: Mapping[str, Any],
        carried: dict[str, tuple[int, Transfer]],
        shown: set[int],
    ) -> None:
        index, sequence = _number(row.get("index")), _number(row.get("sequence"))
        try:
            transfer = transfer_from_json(row.get("transfer"))
        except TransferError as error:
            self.findings.fault("transfer_rows", "party_row_form", first, last, why=why(error))
            return
        if index is None or not first <= index <= last or sequence is None or sequence <= self._sequence:
            self.findings.fault("transfer_rows", "transfer_row_unknown", first, last, id=transfer.id)
            return
        self._sequence = sequence
        self.rows += 1
        at, said = carried.pop(transfer.id, (index, None))
        if said is None and index not in shown:
            self.unconfirmed += 1
        elif said is None:
            self.findings.fault("transfer_rows", "transfer_row_unknown", index, id=transfer.id)
            return
        elif (at, transfer_to_json(said)) != (index, row["transfer"]):
            self.findings.fault("transfer_rows", "party_row_differs", at, id=transfer.id)
            return
        self._apply(index, sequence, transfer, row.get("state"))

    def _apply(self, index: int, sequence: int, transfer: Transfer, state: object) -> None:
        """Move the party's side of a transfer."""
        pending = posted = 0
        match transfer.kind:
            case "post":
                posted = transfer.amount
            case "pending":
                pending = transfer.amount
                self._holds[transfer.id] = (transfer, "pending", state)
            case _:
                held = self._holds.get(transfer.pending or "")
                if held is None:
                    self.findings.fault("transfer_rows", "transfer_row_unknown", index, id=transfer.id)
                    return
                pending = -held[0].amount
                posted = transfer.amount if transfer.kind == "post_pending" else 0
                self._holds[held[0].id] = (held[0], STATE_AT_FIRST[transfer.kind], held[2])
        if transfer.kind != "pending" and state != STATE_AT_FIRST[transfer.kind]:
            self.findings.fault(
                "transfer_rows",
                "party_row_state",
                index,
                id=transfer.id,
                claimed=str(state),
                folded=STATE_AT_FIRST[transfer.kind],
            )
        for name, side in ((transfer.debit, "debits"), (transfer.credit, "credits")):
            account = self.accounts.get(name)
            if account is not None:
                moved = {
                    f"{side}_pending": getattr(account, f"{side}_pending") + pending,
                    f"{side}_posted": getattr(account, f"{side}_posted") + posted,
                }
                self.accounts[name] = replace(account, **moved, sequence=sequence)


def _transfers(body: Mapping[str, Any]) -> list[Transfer]:
    """The transfers of a disclosed body, as far as they can be read: their form is the fold's to judge."""
    value = body.get("transfers")
    found: list[Transfer] = []
    for member in value if isinstance(value, list) else ():
        try:
            found.append(transfer_from_json(member))
        except TransferError:
            continue
    return found


def _number(text: object) -> int | None:
    if isinstance(text, str) and text.isdecimal() and len(text) < 20 and str(int(text)) == text:
        return int(text)
    return None
