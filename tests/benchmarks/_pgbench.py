"""A durable cluster of its own for one benchmark, and PostgreSQL's own pgbench from the same wheel against it."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from exchange.database import upgrade
from exchange.embedded import OWNER, Postgres, binaries

SECONDS = 3
INSERT = "INSERT INTO single_row (debit, credit, amount, code) VALUES ('account-1', 'account-2', 1, 'sale');"
"""One row of a transfer's size into a table with nothing but a primary key: what pgbench does at least."""


@contextmanager
def cluster() -> Iterator[Postgres]:
    """A migrated exchange database with fsync on, and the table that pgbench inserts into."""
    with tempfile.TemporaryDirectory(prefix="exchange-benchmark-") as folder:
        os.chmod(folder, 0o711)  # the server's account has to pass; it is not root
        server = Postgres.start(Path(folder), durable=True)
        try:
            upgrade(server.app_url, server.owner_url)
            with psycopg.connect(server.url(OWNER)) as connection:
                connection.execute(
                    "CREATE TABLE single_row (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, debit text NOT NULL,"
                    " credit text NOT NULL, amount bigint NOT NULL, code text NOT NULL)"
                )
            yield server
        finally:
            server.discard()


def pgbench(server: Postgres, script: str, *, seconds: int = SECONDS, connections: int = 16) -> float:
    """Transactions a second of `script` with prepared statements; an error of any client is an error here."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        done = subprocess.run(
            [
                str(binaries() / "pgbench"),
                *("-n", "-M", "prepared", "-c", str(connections), "-j", "2"),
                *("-T", str(seconds), "-f", file.name, server.url(OWNER)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    found = re.search(r"tps = ([0-9.]+)", done.stdout)
    if done.returncode or found is None:
        raise RuntimeError(f"pgbench failed: {done.stdout}{done.stderr}")
    return float(found[1])
