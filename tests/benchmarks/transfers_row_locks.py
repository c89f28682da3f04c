"""Individually acknowledged transfers a second on one hot account, against interactive `SELECT … FOR UPDATE`.

1,024 callers before the real gate, against 16 connections of pgbench that each lock the hot account's row, lock
the other account (the same one each time, as ours does), write one transfer and both balances, and commit: what a
room without the gate would do, and without leaf, receipt or checkpoint.
"""

from __future__ import annotations

import asyncio

import psycopg
import uvloop
from _pgbench import cluster, pgbench  # type: ignore[import-not-found]  # beside this script
from _ratio import report, say  # type: ignore[import-not-found]  # beside this script
from _transfers import CALLERS, hot, market, rate  # type: ignore[import-not-found]  # beside this script

from exchange.embedded import OWNER, Postgres

REPETITIONS = 5
INTERACTIVE = """
BEGIN;
SELECT balance FROM locked WHERE id = 0 FOR UPDATE;
SELECT balance FROM locked WHERE id = 1 FOR UPDATE;
INSERT INTO locked_transfer (debit, credit, amount, code) VALUES (0, 1, 1, 'sale');
UPDATE locked SET balance = balance - 1 WHERE id = 0;
UPDATE locked SET balance = balance + 1 WHERE id = 1;
COMMIT;
"""


def furnish(server: Postgres) -> None:
    """10,000 accounts in a table of their own, so that no seal of the book is broken."""
    with psycopg.connect(server.url(OWNER)) as owner:
        owner.execute("CREATE TABLE locked (id bigint PRIMARY KEY, balance bigint NOT NULL)")
        owner.execute("INSERT INTO locked SELECT n, 0 FROM generate_series(0, 9999) n")
        owner.execute(
            "CREATE TABLE locked_transfer (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, debit bigint NOT NULL,"
            " credit bigint NOT NULL, amount bigint NOT NULL, code text NOT NULL)"
        )


async def main() -> None:
    """Measure and report."""
    ratios = []
    with cluster() as server:
        furnish(server)
        async with market(server) as gate:
            await rate(gate, hot, 1.0)
            for _ in range(REPETITIONS):
                theirs = await asyncio.to_thread(pgbench, server, INTERACTIVE)
                ours = await rate(gate, hot)
                say(f"row locks {theirs:,.0f}/s, ours {ours:,.0f}/s")
                ratios.append(ours / theirs)
    report(
        "transfers_row_locks",
        ratios,
        better="higher",
        against="interactive SELECT … FOR UPDATE on the hot account, 16 connections of pgbench",
        callers=CALLERS,
    )


if __name__ == "__main__":
    uvloop.run(main())
