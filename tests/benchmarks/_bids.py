"""The scene of the benchmarks of bids: a durable market, a lot in the middle of its auction, servers, and a generator."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from exchange import keys as exchange_keys
from exchange.credentials import key_digest
from exchange.embedded import OWNER, Postgres
from ledger.checkpoint import Signer, Verifier
from ledger.entries import receipt_from_json, verify_receipt

HERE = Path(__file__).parent
LOT = "lot-benchmark"
ORIGIN = "localhost/data-asset-exchange/sandbox"
VENUE = "91440101MA0000001"


@dataclass(frozen=True)
class Market:
    """A market whose lot is open, on PostgreSQL with everything on that durability needs; `keys` are its bidders'."""

    postgres: Postgres
    signer: Signer
    keys: list[str] = field(repr=False)
    environ: dict[str, str] = field(repr=False)

    @contextmanager
    def serving(self, processes: int = 1) -> Iterator[list[int]]:
        """Ports of so many processes that serve it, each of which also closes and settles."""
        with ExitStack() as stack:
            yield [
                stack.enter_context(process("-m", "exchange", "serve", "--port", "0", environ=self.environ))
                for _ in range(processes)
            ]

    def verify(self, answers: list[str], most: int = 200) -> int:
        """Verify some of the receipts in the answers of a run, and say how many."""
        said = [json.loads(answer) for answer in answers]
        receipts = [item["receipt"] for one in said for item in one.get("items", [one])[:100]][:most]
        verifier = Verifier.parse(self.signer.vkey)
        for receipt in receipts:
            verify_receipt(receipt_from_json(receipt), [verifier])
        return len(receipts)


@contextmanager
def market(bidders: int) -> Iterator[Market]:
    """A new market, gone at the end."""
    secret_keys = [secrets.token_urlsafe(24) for _ in range(bidders)]
    with tempfile.TemporaryDirectory(prefix="bench-bids-") as folder:
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
            furnish(postgres, secret_keys)
            with psycopg.connect(postgres.url(OWNER)) as connection:
                for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                    assert connection.execute(f"SHOW {setting}").fetchone() == ("on",), setting
            environ |= {
                "EXCHANGE_DATABASE_URL": postgres.app_url,
                "EXCHANGE_DATABASE_OWNER_URL": postgres.owner_url,
            }
            signer = exchange_keys.load(Path(folder) / "keys").signer(ORIGIN)
            yield Market(postgres, signer, secret_keys, environ)


@contextmanager
def endpoints(processes: int = 1) -> Iterator[list[int]]:
    """Ports of so many processes of the endpoint that has no database."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(process(str(HERE / "_endpoint.py"), environ=dict(os.environ)))
            for _ in range(processes)
        ]


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
            "INSERT INTO party (id, uscc, name, looks, roles, state, stopped, log_index) SELECT 'org-' || n, 'code-' || n, 'name',"
            "  'name-' || n, '{buyer}', 'active', false, 0 FROM generate_series(0, %s) n",
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
        blank(
            connection,
            "asset",
            id="asset-benchmark",
            supplier="org-0",
            state="registered",
            kind="city",
            opening="open",
            opening_declared="open",
        )
        blank(
            connection, "listing", id="listing-benchmark", asset="asset-benchmark", seller="org-0", mode="auction", grant="exclusive", state="open",
            term_days=1, licences=1, remaining=1, price_fen=1,
        )  # fmt: skip
        blank(
            connection, "lot", id=LOT, listing="listing-benchmark", state="open", start_price_fen=1, increment_fen=1, deposit_fen=1,
            first_closes_us=2**60, closes_us=2**60, soft_close_window_us=1, soft_close_extension_us=1,
        )  # fmt: skip
        run(
            "INSERT INTO bidder (lot, party, code, hold, state, purpose, log_index) SELECT %s, 'org-' || n, 'B' || lpad(n::text, 6, '0'),"
            " 'hold-' || n, 'admitted', '', 0 FROM generate_series(1, %s) n",
            (LOT, len(bidders)),
        )


def blank(connection: psycopg.Connection[Any], table: str, **values: object) -> None:
    """A row that says no more than `values`: whatever else it has to hold is nothing of its kind."""
    columns = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s AND is_nullable = 'NO'"
        " AND column_default IS NULL AND is_generated = 'NEVER'",
        (table,),
    ).fetchall()
    nothing = {"jsonb": "{}", "ARRAY": "{}", "boolean": "false"}
    row = {name: nothing.get(kind, "0") for name, kind in columns} | values
    names = ", ".join(f'"{name}"' for name in row)
    connection.execute(
        f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(row))})".encode(), list(row.values())
    )


def load(ports: list[int], keys: list[str], first: int, **how: object) -> dict[str, Any]:
    """One run of the generator, in its own process: `how` is what `_load.load` takes."""
    done = subprocess.run(
        [sys.executable, str(HERE / "_load.py")],
        input=json.dumps({"ports": ports, "keys": keys, "lot": LOT, "first": first, **how}),
        capture_output=True,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def venue_code() -> str:
    """A code with a true check character (GB 32100)."""
    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    total = sum(alphabet.index(c) * pow(3, n, 31) for n, c in enumerate(VENUE))
    return VENUE + alphabet[-total % 31]
