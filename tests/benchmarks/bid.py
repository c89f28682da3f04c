"""Bids acknowledged a second over HTTP: ours, durable, logged and with receipt, against an endpoint without a database.

256 clients on one hot lot; each answer carries the log entry, its inclusion proof and the signed checkpoint of
its batch. The endpoint is FastAPI with the same body and bearer on the same server and loop, and nothing else.
Both run one after the other, five times. A part of the answers is verified after each run.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from _ratio import report, say  # type: ignore[import-not-found]  # beside this script, which runs by its path

from exchange import keys as exchange_keys
from exchange.credentials import key_digest
from exchange.embedded import OWNER, Postgres
from ledger.checkpoint import Verifier
from ledger.entries import receipt_from_json, verify_receipt

HERE = Path(__file__).parent
CLIENTS = 256
SECONDS = 4.0
REPETITIONS = 5
LOT = "lot-benchmark"
VENUE = "91440101MA0000001"


@contextmanager
def process(*words: str, environ: dict[str, str]) -> Iterator[int]:
    """A server as a child; gives its port, and stops it at the end."""
    child = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, env=environ, text=True)
    try:
        assert child.stdout is not None
        for line in child.stdout:
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            if found:
                yield int(found[1])
                break
        else:
            raise RuntimeError(f"{' '.join(words)} did not start")
    finally:
        child.terminate()
        child.wait(20)


def furnish(postgres: Postgres, bidders: list[str]) -> None:
    """A lot in the middle of its auction, and its admitted bidders, written straight into the tables."""
    with psycopg.connect(postgres.url(OWNER)) as connection:
        run = connection.execute
        run(
            "INSERT INTO party (id, uscc, name, roles, state, stopped, log_index) SELECT 'org-' || n, 'code-' || n, 'name', '{buyer}',"
            "  'active', false, 0 FROM generate_series(0, %s) n",
            (len(bidders),),
        )
        run(
            "INSERT INTO person (id, party, name, state, log_index) SELECT 'per-' || n, 'org-' || n, 'name', 'active', 0"
            " FROM generate_series(1, %s) n",
            (len(bidders),),
        )
        run(
            "INSERT INTO api_key (digest, person, label, created_us) SELECT d, 'per-' || n, 'key', 0"
            " FROM unnest(%s::bytea[]) WITH ORDINALITY AS u(d, n)",
            ([key_digest(secret) for secret in bidders],),
        )
        columns = connection.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'asset' AND is_nullable = 'NO'"
        ).fetchall()
        values = {"id": "asset", "supplier": "org-0", "state": "registered"}
        names = [name for name, _ in columns]
        blanks = [values.get(name, "{}" if kind == "jsonb" else "0") for name, kind in columns]
        run(
            f"INSERT INTO asset ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})",
            blanks,
        )
        run(
            'INSERT INTO listing (id, asset, seller, mode, "grant", reason, term_days, licences, remaining, price_fen, state,'
            " log_index) VALUES ('listing', 'asset', 'org-0', 'auction', 'exclusive', 'why', 1, 1, 1, 1, 'open', 0)"
        )
        run(
            "INSERT INTO lot (id, listing, start_price_fen, increment_fen, deposit_fen, opens_us, first_closes_us, closes_us,"
            " soft_close_window_us, soft_close_extension_us, bids, state, settled, log_index)"
            " VALUES (%s, 'listing', 1, 1, 1, 0, %s, %s, 1, 1, 0, 'open', false, 0)",
            (LOT, 2**60, 2**60),
        )
        run(
            "INSERT INTO bidder (lot, party, code, hold, state, log_index) SELECT %s, 'org-' || n, 'B' || lpad(n::text, 6, '0'),"
            " 'hold-' || n, 'admitted', 0 FROM generate_series(1, %s) n",
            (LOT, len(bidders)),
        )


def load(port: int, first: int, secrets_: list[str]) -> dict[str, object]:
    """One run of the generator, in its own process."""
    order = {
        "port": port,
        "clients": CLIENTS,
        "seconds": SECONDS,
        "keys": secrets_,
        "lot": LOT,
        "first": first,
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


def main() -> None:
    """Measure and report."""
    bidders = [secrets.token_urlsafe(24) for _ in range(CLIENTS)]
    with tempfile.TemporaryDirectory(prefix="bench-bid-") as folder:
        os.chmod(folder, 0o711)
        environ = {
            **os.environ,
            "EXCHANGE_DATA_DIR": folder,
            "EXCHANGE_SANDBOX": "1",
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
        ratios, ours_p99, theirs_p99, rates = [], [], [], []
        first = 1
        with (
            process("-m", "exchange", "serve", "--port", "0", environ=environ) as ours,
            process(str(HERE / "_endpoint.py"), environ=environ) as theirs,
        ):
            for repetition in range(-1, REPETITIONS):
                result = load(ours, first, bidders)
                first = int(str(result["next"]))
                twin = load(theirs, first, bidders)
                answers = result["answers"]
                assert isinstance(answers, list)
                for answer in answers:
                    verify_receipt(receipt_from_json(json.loads(answer)["receipt"]), [verifier])
                say(
                    f"{'warm-up' if repetition < 0 else repetition + 1}: ours {result['rate']:.0f}/s p99 {result['p99_ms']:.1f} ms"
                    f" {result['statuses']}, endpoint {twin['rate']:.0f}/s p99 {twin['p99_ms']:.1f} ms,"
                    f" {len(answers)} receipts verified"
                )
                if repetition >= 0:
                    ratios.append(float(str(result["rate"])) / float(str(twin["rate"])))
                    rates.append(float(str(result["rate"])))
                    ours_p99.append(float(str(result["p99_ms"])))
                    theirs_p99.append(float(str(twin["p99_ms"])))
    report(
        "bid",
        ratios,
        better="higher",
        against="FastAPI endpoint with body and bearer, no database, same server and loop",
        clients=CLIENTS,
        p99_ratio=round(sorted(ours_p99)[2] / sorted(theirs_p99)[2], 3),
    )


def venue_code() -> str:
    """A code with a true check character (GB 32100)."""
    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    total = sum(alphabet.index(c) * pow(3, n, 31) for n, c in enumerate(VENUE))
    return VENUE + alphabet[-total % 31]


if __name__ == "__main__":
    main()
