"""Transfers a second in calls of 8,190, one log entry each call, against pgbench's single-row INSERT.

Each call is one durable transaction with its log entry and signed checkpoint. The ratio is that of calls whose
transfers all debit one hot account; `uniform` tells those of calls between 10,000 accounts at random.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from typing import Any

import psycopg
import uvloop
from _pgbench import INSERT, cluster, pgbench  # type: ignore[import-not-found]  # beside this script
from _ratio import report, say  # type: ignore[import-not-found]  # beside this script

from ledger import log
from ledger.book import Book
from ledger.checkpoint import Signer, sign
from ledger.entries import Entry
from ledger.pipeline import Pipeline
from ledger.postings import Posted, Transfer, TransferKind

SIZE = 8_190
ACCOUNTS = 10_000
CALLS = 6
REPETITIONS = 6
SIGNER = Signer("ledger.example/benchmark", b"l" * 32)
POST: TransferKind = "post"


def calls(repetition: int, chance: random.Random, *, hot: bool) -> list[list[Transfer]]:
    """Fresh transfers, made before the clock runs."""
    made = []
    for call in range(CALLS):
        transfers = []
        for n in range(SIZE):
            debit, credit = chance.sample(range(ACCOUNTS), 2)
            transfers.append(
                Transfer(
                    f"t-{hot:d}-{repetition}-{call}-{n}",
                    POST,
                    "account-0" if hot else f"account-{debit}",
                    "account-1" if hot else f"account-{credit}",
                    1,
                    "CNY",
                    "sale",
                )
            )
        made.append(transfers)
    return made


async def open_accounts(connection: psycopg.AsyncConnection[Any]) -> None:
    """An empty log and 10,000 accounts."""
    await log.create(connection, SIGNER.name, 0)
    book = Book(connection, b"m" * 32)
    async with connection.pipeline():
        for n in range(ACCOUNTS):
            await book.open_account(f"account-{n}", ledger="CNY", code="cash", limit="none")
    await connection.commit()


async def run(connection: psycopg.AsyncConnection[Any], batches: list[list[Transfer]]) -> float:
    """Transfers a second: lock the head, post, log one entry, commit, sign."""
    book = Book(connection, b"m" * 32)
    begun = time.perf_counter()
    for transfers in batches:
        row = await (await connection.execute(log.LOCK_HEAD)).fetchone()
        assert row is not None
        head = log.Head.from_row(row)
        outcomes = await book.post(transfers, log_index=head.edge.size, time_us=head.time_us + 1)
        body = b'{"act":{"transfers":"%d"},"kind":"batch","time":"%d"}' % (len(outcomes), head.time_us + 1)
        appended = log.append(head, [Entry("batch", head.time_us + 1, b"s" * 32, body)], head.time_us + 1)
        async with Pipeline(connection) as pipeline:
            pipeline.send(appended.statements)
            pipeline.commit()
            await pipeline.results()
        sign(appended.head.checkpoint(), SIGNER)
        assert all(isinstance(outcome, Posted) and not outcome.exists for outcome in outcomes)
    return SIZE * len(batches) / (time.perf_counter() - begun)


async def main() -> None:
    """Interleave pgbench, the hot account and the many."""
    chance = random.Random(3)
    with cluster() as server:
        ratios: dict[bool, list[float]] = {True: [], False: []}
        async with await psycopg.AsyncConnection.connect(
            server.app_url, prepare_threshold=None
        ) as connection:
            await open_accounts(connection)
            gc.freeze()  # as the server does once it is started
            gc.set_threshold(50_000, 50, 100)
            for repetition in range(REPETITIONS):
                base = await asyncio.to_thread(pgbench, server, INSERT)
                rates = {}
                for hot in (True, False):
                    batches = calls(repetition, chance, hot=hot)
                    rates[hot] = await run(connection, batches)
                    ratios[hot].append(rates[hot] / base)
                say(f"pgbench {base:,.0f}/s, hot {rates[True]:,.0f}/s, uniform {rates[False]:,.0f}/s")
    report(
        "transfers_batch",
        ratios[True],
        better="higher",
        against="pgbench single-row INSERT, 16 connections, same durable cluster",
        size=SIZE,
        uniform=sorted(round(ratio, 2) for ratio in ratios[False]),
    )


if __name__ == "__main__":
    uvloop.run(main())
