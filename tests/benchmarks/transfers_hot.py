"""Individually acknowledged transfers a second on one hot account, against pgbench's single-row INSERT.

1,024 callers before the real gate, each with one transfer on its way that debits the same account; each answer carries its leaf, inclusion proof and the signed checkpoint, durable before it is
given. Both run one after the other on one durable cluster.
"""

from __future__ import annotations

import asyncio

import uvloop
from _pgbench import INSERT, cluster, pgbench  # type: ignore[import-not-found]  # beside this script
from _ratio import report, say  # type: ignore[import-not-found]  # beside this script
from _transfers import CALLERS, hot, market, rate  # type: ignore[import-not-found]  # beside this script

REPETITIONS = 5


async def main() -> None:
    """Measure and report."""
    ratios = []
    with cluster() as server:
        async with market(server) as gate:
            await rate(gate, hot, 1.0)
            for _ in range(REPETITIONS):
                base = await asyncio.to_thread(pgbench, server, INSERT)
                ours = await rate(gate, hot)
                say(f"pgbench {base:,.0f}/s, ours {ours:,.0f}/s")
                ratios.append(ours / base)
    report(
        "transfers_hot",
        ratios,
        better="higher",
        against="pgbench single-row INSERT, 16 connections, same durable cluster",
        callers=CALLERS,
    )


if __name__ == "__main__":
    uvloop.run(main())
