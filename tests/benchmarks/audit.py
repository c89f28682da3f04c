"""Entries judged a second, everything checked and every balance replayed, against bare SHA-256 of the same bytes.

The log is what the gate writes: bodies with one transfer each between a few thousand accounts, a public leaf, a
signed checkpoint for every batch of 256, and the rows that the database would claim. Against it stands one
process that hashes each salted body once with hashlib, which nobody who audits can go below. Both run one after
the other, five times.
"""

from __future__ import annotations

import random
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from _ratio import report, say  # type: ignore[import-not-found]  # beside this script, which runs by its path

from ledger.audit import audit
from ledger.bundle import SEGMENT, BundleWriter, Row, Shown
from ledger.checkpoint import Checkpoint, Signer, sign
from ledger.entries import Entry, canonical
from ledger.merkle import Edge, leaf_hash
from ledger.postings import Account, Transfer, account_to_json, decide, transfer_to_json

ENTRIES = 400_000
ACCOUNTS = 1_000
BATCH = 256
REPETITIONS = 5
START_US = 1_790_000_000_000_000


def entry(number: int, kind: str, chance: random.Random, **more: object) -> Entry:
    """An entry as the gate writes it."""
    body = {
        "act": {
            "amount_fen": "0",
            "bank_reference": f"transfer-{number:09}",
            "payout": f"payout-{chance.randbytes(8).hex()}",
            "state": "ordered",
        },
        "by": f"per-{chance.randbytes(8).hex()}",
        "key": chance.randbytes(16).hex(),
        "kind": kind,
        "party": f"org-{chance.randbytes(8).hex()}",
        "time": str(START_US + number * 1000),
        **more,
    }
    return Entry(kind, START_US + number * 1000, chance.randbytes(32), canonical(body))


def write(path: Path) -> tuple[Signer, list[bytes]]:
    """The bundle, its log's key, and the salted bodies."""
    chance = random.Random(1)
    signer = Signer("exchange.example/log", chance.randbytes(32))
    names = [f"acc-{chance.randbytes(8).hex()}" for _ in range(ACCOUNTS)]
    accounts = {name: Account(name, "CNY", "party", "debits_must_not_exceed_credits") for name in names}
    accounts["bank:escrow"] = Account("bank:escrow", "CNY", "bank", "none")
    opening = list(accounts.values())
    salted: list[bytes] = []
    edge = Edge.empty()
    sequence = 1
    with BundleWriter(path, origin=signer.name, vkeys=[signer.vkey], sandbox=True) as bundle:
        for first in range(0, ENTRIES, SEGMENT):
            shown: list[Shown] = []
            notes: list[str] = []
            rows: list[Row] = []
            for number in range(first, min(first + SEGMENT, ENTRIES)):
                if number * 64 < len(opening):
                    opened = opening[number * 64 : number * 64 + 64]
                    made = entry(
                        number, "party_registered", chance, accounts=[account_to_json(a) for a in opened]
                    )
                else:
                    name = f"topup-{chance.randbytes(8).hex()}"
                    debit, credit = chance.sample(names, 2)
                    if number * 64 < 3 * len(opening) + 64 * ACCOUNTS or accounts[debit].available < 1_000:
                        debit = "bank:escrow"
                    amount = 10**9 if debit == "bank:escrow" else chance.randrange(1, 1_000)
                    transfer = Transfer(name, "post", debit, credit, amount, "CNY", "top_up")
                    decision = decide(accounts, {}, {}, [transfer], sequence, 0)
                    accounts.update(decision.accounts)
                    made = entry(number, "topped_up", chance, transfers=[transfer_to_json(transfer)])
                    rows.append(Row(transfer, sequence, number, "posted"))
                    sequence += 1
                shown.append(Shown(made.leaf, made.salt, made.body))
                salted.append(made.salt + made.body)
            for at in range(0, len(shown), BATCH):
                edge = edge.append([leaf_hash(e.leaf) for e in shown[at : at + BATCH]])
                notes.append(sign(Checkpoint(signer.name, edge.size, edge.root()), signer))
            bundle.segment(shown, notes, rows)
        bundle.accounts(accounts.values())
    return signer, salted


def main() -> None:
    """Measure and report."""
    with tempfile.TemporaryDirectory(prefix="bench-audit-") as folder:
        path = Path(folder) / "bundle.zip"
        signer, salted = write(path)
        size = path.stat().st_size
        say(
            f"{ENTRIES} entries, {size / 2**20:.0f} MiB, {sum(map(len, salted)) / len(salted):.0f} bytes a body"
        )
        ratios = []
        for repetition in range(-1, REPETITIONS):
            began = time.perf_counter()
            verdict = audit(path, [signer.vkey])
            judged_s = time.perf_counter() - began
            assert verdict.ok, verdict.explain("en")
            assert verdict.balances
            began = time.perf_counter()
            for body in salted:
                sha256(body).digest()
            hashed_s = time.perf_counter() - began
            say(
                f"{'warm-up' if repetition < 0 else repetition + 1}: judged {ENTRIES / judged_s:,.0f}/s,"
                f" hashed {ENTRIES / hashed_s:,.0f}/s"
            )
            if repetition >= 0:
                ratios.append(hashed_s / judged_s)
    report(
        "audit",
        ratios,
        better="higher",
        against="hashlib SHA-256 of the same salted bodies, one process",
        entries=ENTRIES,
        bundle_bytes=size,
    )


if __name__ == "__main__":
    main()
