"""Rooms that only write things down; run as a program, a gate in a process that is killed at a named point."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from exchange import crash
from exchange.acts import Act, Asked, Caller, Record, Ruling, Transaction
from exchange.database import Database
from exchange.gate import Gate
from ledger.checkpoint import Signer
from ledger.entries import canonical
from ledger.pipeline import Statement

ANNA = Caller("anna", "org-a", frozenset({"buyer"}))
BERT = Caller("bert", "org-b", frozenset({"buyer"}))


@dataclass(frozen=True, slots=True)
class Note(Act):
    """Something to write down."""

    text: str


async def note(tx: Transaction, act: Note) -> Record:
    """Write it down, with the place that it got."""
    return Record("note", {"index": str(tx.index), "state": "done", "text": act.text})


class Jots:
    """A batched room that needs nothing of the database; a text "bad" breaks it."""

    kind = "jot"

    def reads(self, asked: Sequence[Asked]) -> Sequence[Statement]:
        """One query, so that rows come."""
        return [("SELECT 1", ())]

    def decide(
        self, now_us: int, first_index: int, asked: Sequence[Asked], rows: Sequence[Sequence[tuple[Any, ...]]]
    ) -> tuple[Sequence[Ruling], Sequence[Statement]]:
        """Write all of them down."""
        assert len(rows) == 1
        if any(a.act.text == "bad" for a in asked):
            raise ValueError("a defect of a batched room")
        rulings = []
        for position, ask in enumerate(asked):
            outcome = {"index": str(first_index + position), "state": "done", "text": ask.act.text}
            body = {
                "act": outcome,
                "by": ask.caller.person,
                "key": ask.key,
                "kind": self.kind,
                "time": str(now_us),
            }
            rulings.append(Ruling(canonical(body), canonical(outcome)))
        return rulings, []


jots = Jots()


def room_of(number: int) -> Any:
    """Which room writes note `number` down."""
    return jots if number % 3 else note


async def main(url: str, point: str, origin: str, now_us: str) -> None:
    """Write 24 notes in four batches and print each that was acknowledged; killed at `point` on the way."""
    door = Gate(Database(url, readers=1), Signer(origin, b"l" * 32), b"m" * 32, lambda: int(now_us))
    await door.start()
    crash.arm(point)

    async def one(number: int) -> None:
        reply = await door.perform(room_of(number), Note(str(number)), caller=ANNA, key=f"k{number}")
        print(number, reply.index, flush=True)

    for first in range(0, 24, 6):
        await asyncio.gather(*(one(number) for number in range(first, first + 6)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
