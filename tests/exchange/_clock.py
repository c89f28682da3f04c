"""Run as a program: a worker in a process that is killed at a named point."""

from __future__ import annotations

import asyncio
import sys

from exchange import crash
from exchange.anchoring import Anchoring
from exchange.database import Database
from exchange.gate import Gate
from exchange.worker import Worker
from ledger.anchor import Anchor
from ledger.checkpoint import Signer


async def main(url: str, point: str, origin: str, now_us: str, chain: str, contract: str, key: str) -> None:
    """One tick and one look at the chain; killed at `point` on the way."""
    database = Database(url, readers=1)
    gate = Gate(database, Signer(origin, b"l" * 32), b"m" * 32, lambda: int(now_us))
    await gate.start()
    crash.arm(point)
    await Worker(gate, database).tick()
    if chain:
        await Anchoring(
            database, Anchor(chain, contract, bytes.fromhex(key)), gate.clock, gate.confirm
        ).turn()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
