"""Transfers through the real gate: a batched room over `ledger.call`, and callers who each wait for their receipt."""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson
import psycopg

from exchange.acts import Act, Asked, Caller, Ruling
from exchange.database import Database
from exchange.embedded import OWNER, Postgres
from exchange.errors import Conflict
from exchange.gate import Gate
from ledger import log
from ledger.book import Book
from ledger.call import Call
from ledger.checkpoint import Signer, Verifier
from ledger.entries import receipt_from_json, verify_receipt
from ledger.pipeline import Statement
from ledger.postings import Posted, Transfer

ACCOUNTS = 10_000
SECONDS = 3.0
CALLERS = 1_024
MAC_KEY = b"m" * 32
SIGNER = Signer("ledger.example/benchmark", b"l" * 32)
CALLER = Caller("person", "party", frozenset({"bank"}))


@dataclass(frozen=True, slots=True)
class Post(Act):
    """Post one transfer, whose identifier is the caller's."""

    transfer: Transfer

    def digest(self) -> bytes:
        """Same guarantee as every act's, without the canonical detour."""
        t = self.transfer
        return sha256(f"post\x00{t.debit}\x00{t.credit}\x00{t.amount}".encode()).digest()


class PostTransfers:
    """One transfer an act, decided in log order; what fails is refused, and kept as failed by the book."""

    kind = "transfer"

    def reads(self, asked: Sequence[Asked]) -> Sequence[Statement]:
        """What the book reads for these transfers."""
        return Call(MAC_KEY, [ask.act.transfer for ask in asked]).reads()

    def decide(
        self, now_us: int, first_index: int, asked: Sequence[Asked], rows: Sequence[Sequence[tuple[Any, ...]]]
    ) -> tuple[Sequence[Ruling], Sequence[Statement]]:
        """Let the book decide, and give each transfer that takes effect the next index."""
        call = Call(MAC_KEY, [ask.act.transfer for ask in asked])
        rulings: list[Ruling] = []
        indices: list[int] = []
        index = first_index
        for ask, transfer, outcome in zip(asked, call.transfers, call.decide(rows, now_us), strict=True):
            indices.append(index)
            if not isinstance(outcome, Posted):
                rulings.append(
                    Ruling(error=Conflict(f"transfer.{outcome.reason}", "it failed", field="amount"))
                )
                continue
            index += 1
            said = b'{"id":"%b","sequence":"%d","state":"posted"}' % (transfer.id.encode(), outcome.sequence)
            body = (
                b'{"act":%b,"by":"%b","key":"%b","kind":"transfer","party":"%b","time":"%d","transfers":[{"amount":"%d",'
                b'"code":"%b","credit":"%b","debit":"%b","id":"%b","kind":"post","ledger":"CNY","linked":false,"pending":null}]}'
            ) % (
                said,
                ask.caller.person.encode(),
                ask.key.encode(),
                ask.caller.party.encode(),
                now_us,
                transfer.amount,
                transfer.code.encode(),
                transfer.credit.encode(),
                transfer.debit.encode(),
                transfer.id.encode(),
            )
            rulings.append(Ruling(body, said))
        return rulings, call.writes(indices)


post_transfers = PostTransfers()


@asynccontextmanager
async def market(server: Postgres) -> AsyncIterator[Gate]:
    """A gate before an empty log and 10,000 accounts, set up as the server sets itself up."""
    with psycopg.connect(server.url(OWNER)) as owner:
        owner.execute(
            "INSERT INTO market (id, sandbox, profile, offset_us, keys_version) VALUES (1, false, 'generic', 0, 0)"
        )
    async with await psycopg.AsyncConnection.connect(server.app_url, prepare_threshold=1) as connection:
        await log.create(connection, SIGNER.name, 0)
        book = Book(connection, MAC_KEY)
        async with connection.pipeline():
            for n in range(ACCOUNTS):
                await book.open_account(f"account-{n}", ledger="CNY", code="cash", limit="none")
    gate = Gate(Database(server.app_url), SIGNER, MAC_KEY, lambda: time.time_ns() // 1_000)
    await gate.start()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    try:
        yield gate
    finally:
        await gate.stop()
        await gate.database.close()


_numbers = itertools.count()


def hot(number: int) -> tuple[str, str]:
    """Every transfer debits one account and credits one other."""
    return "account-0", "account-1"


def uniform(number: int) -> tuple[str, str]:
    """Two of the 10,000 accounts, spread by multiplication as if at random."""
    debit = number * 7_919 % ACCOUNTS
    return f"account-{debit}", f"account-{(debit + 1 + number * 104_729 % (ACCOUNTS - 1)) % ACCOUNTS}"


async def rate(gate: Gate, pick: Callable[[int], tuple[str, str]], seconds: float = SECONDS) -> float:
    """Acknowledged transfers a second of 1,024 callers, each with one on its way; some receipts are verified."""
    until = time.perf_counter() + seconds
    kept: list[bytes] = []
    done = 0

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() < until:
            number = next(_numbers)
            debit, credit = pick(number)
            act = Post(Transfer(f"t-{number}", "post", debit, credit, 1, "CNY", "sale"))
            reply = await gate.perform(post_transfers, act, caller=CALLER, key=act.transfer.id)
            done += 1
            if number % 1_000 == 0:
                kept.append(reply.receipt)

    begun = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    took = time.perf_counter() - begun
    for receipt in kept:
        verify_receipt(receipt_from_json(orjson.loads(receipt)), [Verifier.parse(SIGNER.vkey)])
    return done / took
