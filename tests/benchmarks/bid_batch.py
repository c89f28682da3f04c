"""Bids acknowledged a second over HTTP in batches of 1,000, against one by one: same server, loop, clients and lot.

Each bid of either is durable, has its deposit checked and stands in the log with a receipt of its own. As many clients
send on as many connections; both run one after the other, five times. A part of the receipts is verified after each run.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
from _ratio import report, say  # type: ignore[import-not-found]  # beside this script, which runs by its path
from bid import HERE, LOT, furnish, process, venue_code  # type: ignore[import-not-found]

from exchange import keys as exchange_keys
from exchange.embedded import OWNER, Postgres
from ledger.checkpoint import Verifier
from ledger.entries import receipt_from_json, verify_receipt

CLIENTS = int(os.environ.get("CLIENTS", "4"))
SECONDS = 4.0
REPETITIONS = 5
BATCH = 1000


def load(port: int, first: int, bidders: list[str], batch: int) -> dict[str, object]:
    """One run of the generator, in its own process."""
    order = {
        "port": port,
        "clients": CLIENTS,
        "seconds": SECONDS,
        "keys": bidders,
        "lot": LOT,
        "first": first,
        "batch": batch,
    }
    done = subprocess.run(
        [sys.executable, str(HERE / "_load.py")],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=True,
    )
    result: dict[str, object] = json.loads(done.stdout)
    return result


def receipts(answer: str) -> list[dict[str, object]]:
    """The receipts of an answer: one, or one an item."""
    said = json.loads(answer)
    return [item["receipt"] for item in said.get("items", [said])]


def main() -> None:
    """Measure and report."""
    bidders = [secrets.token_urlsafe(24) for _ in range(CLIENTS)]
    with tempfile.TemporaryDirectory(prefix="bench-batch-") as folder:
        os.chmod(folder, 0o711)
        environ = {
            **os.environ,
            "EXCHANGE_DATA_DIR": folder,
            "EXCHANGE_SANDBOX": "1",
            "EXCHANGE_PARTY_QUOTA": "999999999",
        }
        subprocess.run(
            [sys.executable, "-m", "exchange", "init", "--uscc", venue_code(), "--name", "venue", "--administrator", "one"],
            env=environ, check=True, capture_output=True,
        )  # fmt: skip
        with Postgres.start(Path(folder)) as postgres:
            furnish(postgres, bidders)
            with psycopg.connect(postgres.url(OWNER)) as connection:
                for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                    row = connection.execute(f"SHOW {setting}").fetchone()
                    assert row == ("on",), setting
        signer = exchange_keys.load(Path(folder) / "keys").signer("localhost/data-asset-exchange/sandbox")
        verifier = Verifier.parse(signer.vkey)
        ratios, rates, singles = [], [], []
        first = 1
        with process("-m", "exchange", "serve", "--port", "0", environ=environ) as port:
            for repetition in range(-1, REPETITIONS):
                single = load(port, first, bidders, 1)
                batch = load(port, int(str(single["next"])), bidders, BATCH)
                first = int(str(batch["next"]))
                checked = 0
                for run, most in ((single, 100), (batch, 1)):
                    answers = run["answers"]
                    assert isinstance(answers, list)
                    for answer in answers[:most]:
                        for receipt in receipts(answer)[:100]:
                            verify_receipt(receipt_from_json(receipt), [verifier])
                            checked += 1
                say(
                    f"{'warm-up' if repetition < 0 else repetition + 1}: batches {batch['rate']:.0f} bids/s {batch['statuses']},"
                    f" single {single['rate']:.0f}/s {single['statuses']}, {checked} receipts verified"
                )
                if repetition >= 0:
                    rates.append(float(str(batch["rate"])))
                    singles.append(float(str(single["rate"])))
                    ratios.append(rates[-1] / singles[-1])
    report(
        "bid_batch",
        ratios,
        better="higher",
        against=f"single bids, same server and loop, {CLIENTS} clients on either side",
        clients=CLIENTS,
        bids_per_s=round(sorted(rates)[REPETITIONS // 2]),
    )


if __name__ == "__main__":
    main()
