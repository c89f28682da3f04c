"""Lots at their close: a durable market in this process, its worker, and books of bids with their deposits held."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from _bids import blank, venue_code  # type: ignore[import-not-found]  # beside this script
from psycopg import sql

from exchange import contracts, rulebook, venue
from exchange.acts import Caller
from exchange.database import Database
from exchange.embedded import OWNER, Postgres
from exchange.gate import Gate
from exchange.money import DEPOSITS, MONEY
from exchange.worker import Worker
from ledger import log
from ledger.checkpoint import Signer
from ledger.postings import Account, Pending
from ledger.seals import account_mac, head_mac, hold_mac

SIGNER = Signer("ledger.example/benchmark", b"l" * 32)
MAC_KEY = b"m" * 32
MONEY_FEN, DEPOSIT_FEN, START_FEN = 10**12, 1_000, 10_000
OPENED_US = 1_700_000_000_000_000
DAY_US = 86_400_000_000

_TABLES = {
    "transfer": "log_index >= {first}",
    "log_chunk": "first >= {first}",
    "request": "log_index >= {first}",
    "entry_reader": "log_index >= {first}",
    "trade": "log_index >= {first}",
    "licence": "log_index >= {first}",
    "opening": "log_index >= {first}",
    "account": "sequence > {sequence}",
    "hold": "id IN (SELECT id FROM changed)",
    "bidder": "lot = ANY({lots})",
    "lot": "id = ANY({lots})",
    "listing": "id IN (SELECT listing FROM lot WHERE id = ANY({lots}))",
}
"""What a close writes, to its deposits: rows that are new, and rows that are changed."""


@dataclass
class Market:
    """A market whose clock stands until it is told, and whose worker works as in the server."""

    server: Postgres
    gate: Gate
    now_us: int

    def before(self) -> tuple[int, int]:
        """The size of the log, and the number of the last transfer."""
        with psycopg.connect(self.server.url(OWNER)) as owner:
            row = owner.execute(
                "SELECT size, (SELECT max(sequence) FROM transfer) FROM log_head WHERE id = 1"
            ).fetchone()
        assert row is not None
        return row[0], row[1]

    async def close(self, entries: int) -> dict[str, float]:
        """Let a day pass, and wait for so many entries: by what was done ("close", "settle", "release"), the seconds until the
        last of it was in the log."""
        head = await self.gate.head()
        done = asyncio.get_running_loop().create_future()
        seconds: list[float] = []
        worker = Worker(self.gate, self.gate.database)

        def told(size: int) -> None:
            seconds.extend([time.perf_counter() - begun] * (size - head.edge.size - len(seconds)))
            if len(seconds) >= entries and not done.done():
                done.set_result(None)

        leave = self.gate.subscribe(told)
        await worker.start()
        await asyncio.sleep(0.6)  # the worker has begun to look, in vain
        self.now_us += DAY_US
        begun = time.perf_counter()
        try:
            await asyncio.wait_for(done, 300)
        finally:
            leave()
            await worker.stop()
        with psycopg.connect(self.server.url(OWNER)) as owner:
            last = owner.execute(
                "SELECT split_part(key, '-', 1), max(log_index) FROM request WHERE log_index >= %s GROUP BY 1",
                (head.edge.size,),
            ).fetchall()
        return {what: seconds[index - head.edge.size] for what, index in last}


@asynccontextmanager
async def market(server: Postgres, parties: int) -> AsyncIterator[Market]:
    """An open market with so many buyers who have money, and a seller."""
    gate = Gate(Database(server.app_url), SIGNER, MAC_KEY, lambda: found.now_us)
    found = Market(server, gate, OPENED_US)
    async with await psycopg.AsyncConnection.connect(server.app_url) as connection:
        await log.create(connection, SIGNER.name, 0)
    with psycopg.connect(server.url(OWNER)) as owner:
        owner.execute(
            "INSERT INTO market (id, sandbox, profile, offset_us, keys_version) VALUES (1, true, 'cn-venue', 0, 0)"
        )
    await gate.start()
    rules = rulebook.load("cn-venue").stated()
    opening = venue.OpenMarket(
        SIGNER.name, SIGNER.vkey, True, "cn-venue", rules, venue_code(), "venue", "first", bytes(32)
    )
    await gate.perform(venue.open_market, opening, caller=Caller("init", "init", frozenset()), key="init")
    with psycopg.connect(server.url(OWNER)) as owner:
        _buyers(owner, parties)
    gc.freeze()  # as the server does once it is started
    gc.set_threshold(50_000, 50, 100)
    try:
        yield found
    finally:
        await gate.stop()
        await gate.database.close()


def _buyers(owner: psycopg.Connection[Any], parties: int) -> None:
    """A seller, and buyers: each an account with money."""
    names = ["seller", *(f"buyer-{n:06}" for n in range(parties))]
    copy(
        owner,
        "party (id, uscc, name, looks, roles, state, account, stopped, log_index)",
        ((n, f"code-{n}", n, f"looks-{n}", ["buyer"], "active", f"acc-{n}", False, 0) for n in names),
    )
    fresh = (
        Account(f"acc-{n}", MONEY, "cash", "debits_must_not_exceed_credits", credits_posted=MONEY_FEN)
        for n in names
    )
    copy(
        owner,
        "account (id, ledger, code, overdraft, debits_pending, debits_posted, credits_pending, credits_posted, sequence,"
        " closed, mac)",
        (
            (a.id, a.ledger, a.code, a.limit, 0, 0, 0, MONEY_FEN, 0, False, account_mac(MAC_KEY, a))
            for a in fresh
        ),
    )
    blank(
        owner,
        "asset",
        id="asset",
        supplier="seller",
        state="registered",
        kind="city",
        opening="open",
        opening_declared="open",
    )


def furnish(market: Market, name: str, bidders: Sequence[Sequence[int]]) -> list[str]:
    """Lots named after `name` that close in a day, one for each list of buyers, who each bid once and hold a deposit.

    Written straight into the tables, sealed as the book seals them.
    """
    lots = [f"{name}-{n:04}" for n in range(len(bidders))]
    with psycopg.connect(market.server.url(OWNER)) as owner:
        row = owner.execute("SELECT coalesce(max(log_index), 0) FROM bid").fetchone()
        last = owner.execute("SELECT coalesce(max(sequence), 0) FROM transfer").fetchone()
        assert row is not None
        assert last is not None
        index, sequence = row[0], last[0]
        placed = [
            (lot, buyer, n)
            for lot, buyers in zip(lots, bidders, strict=True)
            for n, buyer in enumerate(buyers)
        ]
        last_bid = index
        for lot, buyers in zip(lots, bidders, strict=True):
            listing = f"listing-{lot}"
            blank(
                owner, "listing", id=listing, asset="asset", seller="seller", mode="auction", grant="licence", state="open",
                term_days=365, licences=1, remaining=1, price_fen=START_FEN, contract="provision",
                terms=json.dumps(contracts.complete("provision", {})),
            )  # fmt: skip
            top = len(buyers) - 1
            last_bid += len(buyers)
            blank(
                owner, "lot", id=lot, listing=listing, state="open", start_price_fen=START_FEN, increment_fen=1,
                deposit_fen=DEPOSIT_FEN, opens_us=market.now_us, first_closes_us=market.now_us + DAY_US,
                closes_us=market.now_us + DAY_US, soft_close_window_us=1, soft_close_extension_us=1,
                standing_price_fen=START_FEN + top, standing_code=_code(top), bids=len(buyers),
                standing_sequence=last_bid, outcome=None,
            )  # fmt: skip
        copy(
            owner,
            "bidder (lot, party, code, hold, state, purpose, log_index)",
            ((lot, f"buyer-{b:06}", _code(n), f"hold-{lot}-{n}", "admitted", "", 0) for lot, b, n in placed),
        )
        copy(
            owner,
            "bid (log_index, lot, code, key, price_fen, time_us)",
            (
                (index + at, lot, _code(n), f"bid-{n}", START_FEN + n, market.now_us)
                for at, (lot, _, n) in enumerate(placed, 1)
            ),
        )
        _hold(owner, placed, sequence)
        for table in ("lot", "listing", "bidder", "bid", "account", "transfer", "hold"):
            owner.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table)))
    return lots


def _hold(owner: psycopg.Connection[Any], placed: Sequence[tuple[str, int, int]], sequence: int) -> None:
    """Hold a deposit for each that was placed, behind transfer `sequence`."""
    holds = [
        Pending(
            f"hold-{lot}-{n}",
            f"acc-buyer-{b:06}",
            DEPOSITS,
            DEPOSIT_FEN,
            MONEY,
            "deposit",
            "pending",
            0,
            None,
            None,
        )
        for lot, b, n in placed
    ]
    copy(
        owner,
        "transfer (sequence, id, log_index, time_us, kind, debit, credit, amount, ledger, code, linked, timeout_us)",
        (
            (at, h.id, 0, OPENED_US, "pending", h.debit, h.credit, h.amount, h.ledger, h.code, False, 0)
            for at, h in enumerate(holds, sequence + 1)
        ),
    )
    copy(owner, "hold (id, state, mac)", ((h.id, "pending", hold_mac(MAC_KEY, h)) for h in holds))
    moved: dict[str, list[int]] = {}
    for at, hold in enumerate(holds, sequence + 1):
        for name in (hold.debit, hold.credit):
            known = moved.setdefault(name, [0, 0, 0])
            known[0] += DEPOSIT_FEN * (name == hold.debit)
            known[1] += DEPOSIT_FEN * (name == hold.credit)
            known[2] = at
    columns = "id, ledger, code, overdraft, debits_pending, debits_posted, credits_pending, credits_posted"
    rows = owner.execute(
        f"SELECT {columns} FROM account WHERE id = ANY(%s)".encode(),
        (list(moved),),
    ).fetchall()
    owner.execute(
        "CREATE TEMP TABLE moved (id text, debits bigint, credits bigint, sequence bigint, mac bytea)"
    )
    changed = []
    for name, ledger, code, limit, out_held, out, in_held, into in rows:
        debits, credits, at = moved[name]
        account = Account(name, ledger, code, limit, out_held + debits, out, in_held + credits, into, at)
        changed.append(
            (account.id, account.debits_pending, account.credits_pending, at, account_mac(MAC_KEY, account))
        )
    copy(owner, "moved (id, debits, credits, sequence, mac)", changed)
    owner.execute(
        "UPDATE account a SET debits_pending = m.debits, credits_pending = m.credits, sequence = m.sequence, mac = m.mac"
        " FROM moved m WHERE m.id = a.id"
    )
    owner.execute("DROP TABLE moved")
    last = sequence + len(holds)
    owner.execute(
        "INSERT INTO book_head (id, sequence, mac) VALUES (1, %s, %s)"
        " ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence, mac = excluded.mac",
        (last, head_mac(MAC_KEY, last)),
    )


def copied(market: Market, lots: Sequence[str], first: int, sequence: int) -> tuple[int, float]:
    """How many rows the close of `lots` wrote, by the log from `first` and the book behind `sequence`, and the seconds that
    COPY takes for the same rows into tables with the same columns, keys and indexes, in one durable transaction."""
    with psycopg.connect(market.server.url(OWNER)) as owner:
        owner.execute(
            "CREATE TEMP TABLE changed AS SELECT pending AS id FROM transfer WHERE sequence > %s AND pending IS NOT NULL",
            (sequence,),
        )
        data: dict[str, bytes] = {}
        rows = 0
        for table, where in _TABLES.items():
            chosen = sql.SQL("SELECT * FROM {} WHERE {}").format(
                sql.Identifier(table),
                sql.SQL(where).format(first=first, sequence=sequence, lots=list(lots)),
            )
            with owner.cursor().copy(sql.SQL("COPY ({}) TO STDOUT (FORMAT binary)").format(chosen)) as out:
                data[table] = b"".join(bytes(block) for block in out)
            counted = owner.execute(sql.SQL("SELECT count(*) FROM ({}) q").format(chosen)).fetchone()
            assert counted is not None
            rows += counted[0]
            owner.execute(
                sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
                    sql.Identifier(f"copy_{table}"), sql.Identifier(table)
                )
            )
        owner.commit()
        begun = time.perf_counter()
        for table, block in data.items():
            into = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(sql.Identifier(f"copy_{table}"))
            with owner.cursor().copy(into) as copying:
                copying.write(block)
        owner.commit()
        took = time.perf_counter() - begun
        for table in data:
            owner.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(f"copy_{table}")))
    return rows, took


def copy(owner: psycopg.Connection[Any], into: str, rows: Iterable[Sequence[Any]]) -> None:
    """COPY rows into a table."""
    with owner.cursor().copy(f"COPY {into} FROM STDIN".encode()) as copying:
        for row in rows:
            copying.write_row(row)


def _code(n: int) -> str:
    return f"B{n:09X}"
