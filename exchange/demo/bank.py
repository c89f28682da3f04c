"""The sandbox's bank: keeps the venue's escrow account in a statement of its own, and trusts no word of the exchange.

It credits what customers pay in by calling the exchange with its own key, and pays out only against the
receipt of a withdrawal that it verified itself. At the end of the day its statement must agree with the log.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from exchange.client import Done, Exchange
from ledger.checkpoint import Verifier
from ledger.entries import verify_receipt


@dataclass(slots=True)
class SandboxBank:
    """One escrow account; `statement` is a CSV file in the bank's own directory."""

    exchange: Exchange
    statement: Path
    lines: int = 0

    def pay_in(self, party: str, amount_fen: int) -> Done:
        """A customer's money arrives: book it, then tell the exchange."""
        reference = f"in-{self.lines + 1:04d}"
        self._book(reference, party, amount_fen)
        return self.exchange.top_up(party, amount_fen, reference)

    def pay_out(self, withdrawal: Done) -> None:
        """Pay what a receipt proves was withdrawn; a receipt that does not verify is not paid."""
        verify_receipt(withdrawal.receipt, [Verifier.parse(self.exchange.vkey)])
        body = withdrawal.receipt.said()
        if body["kind"] != "withdrawn" or body["act"]["state"] != "ordered":
            raise ValueError(f"entry {withdrawal.index} orders no payout")
        if body["act"]["payout"] in {row["reference"] for row in self._rows()}:
            return
        self._book(body["act"]["payout"], body["act"]["account"], -int(body["act"]["amount_fen"]))

    def balance_fen(self) -> int:
        """What the statement says is on the escrow account."""
        return sum(int(row["amount_fen"]) for row in self._rows())

    def _book(self, reference: str, customer: str, amount_fen: int) -> None:
        self.lines += 1
        fresh = not self.statement.exists()
        with self.statement.open("a", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(["reference", "customer", "amount_fen"])
            writer.writerow([reference, customer, amount_fen])

    def _rows(self) -> list[dict[str, str]]:
        if not self.statement.exists():
            return []
        with self.statement.open(newline="") as file:
            return list(csv.DictReader(file))
