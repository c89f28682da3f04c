"""The write path under seeded faults: lines cut around COMMIT, duplicates, acts out of order, killed processes, two at once.

Each seed draws acts, clients and faults, plays them against a real PostgreSQL through two gates over lines of
ours, and judges what is left: with a book and a tree that know nothing of our code, with the ledger's own fold,
and on every tenth seed with the audit and the replay of an export.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import psycopg
import pytest
import uvloop
from psycopg import sql

from exchange import auctions, money, oversight, venue
from exchange.acts import CLOCK, Caller
from exchange.database import Database
from exchange.embedded import APPLICATION, DATABASE, OWNER, SUPERUSER, Postgres
from exchange.errors import ExchangeError, Unavailable, Unprocessable
from exchange.gate import Gate, Reply
from exchange.replay import from_bundle
from exchange.vault import Vault
from ledger import log
from ledger.audit import audit
from ledger.checkpoint import Signer, Verifier, open_note
from ledger.entries import receipt_from_json, verify_receipt
from ledger.merkle import Edge
from ledger.postings import Account, Pending, Posted, account_from_json, decide, transfer_from_json
from ledger.tiles import unframe
from tests.exchange.conftest import ORIGIN, RULES, START_US, House, uscc
from tests.exchange.floor import DEPOSIT_FEN, INCREMENT_FEN, START_FEN, Floor
from tests.simulation import _faults
from tests.simulation._faults import Gone, Slot
from tests.simulation._naive import Move, NaiveBook, Sides, root
from tests.simulation._play import (
    MAC_KEY,
    TELLER,
    Asking,
    Market,
    OpenTills,
    Play,
    Post,
    PostChain,
    Sending,
    open_tills,
)

SIGNER = Signer(ORIGIN, b"l" * 32)
VERIFIERS = [Verifier.parse(SIGNER.vkey)]
SIMULATED = "simulated"
ASKED = os.environ.get("EXCHANGE_SEED")
SEEDS = [int(ASKED)] if ASKED else range(1, 101)
DRILL_SEEDS = 10_000
CHUNK = 250
AUDITED = 10
"""One seed of so many is exported and judged by the audit: that takes as long as the rest of a seed."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A market that was just opened, to which its database goes back before each seed."""

    url: str
    admin: psycopg.Connection[Any] = field(repr=False)
    """The superuser's hand, for what no process of the exchange may do."""
    market: Market
    accounts: dict[str, str]
    """Each buyer's account."""

    def keep(self) -> None:
        """Remember every row as it is now."""
        self.admin.execute("CREATE SCHEMA opened")
        for table in self._tables():
            self.admin.execute(sql.SQL("CREATE TABLE opened.{t} AS TABLE public.{t}").format(t=table))

    def reset(self) -> None:
        """Put every row back; a tenth of the time that a fresh copy of the database takes."""
        # As a replica does: neither append-only triggers nor references stand in the way.
        statements: list[sql.Composable] = [sql.SQL("SET session_replication_role = replica")]
        for table in self._tables():
            statements.append(
                sql.SQL("DELETE FROM public.{t}; INSERT INTO public.{t} TABLE opened.{t}").format(t=table)
            )
        self.admin.execute(sql.SQL("; ").join(statements))

    def _tables(self) -> list[sql.Identifier]:
        rows = self.admin.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return [sql.Identifier(name) for (name,) in rows]


async def _open(url: str, folder: Path) -> tuple[Market, dict[str, str]]:
    engine = Database(url)
    numbers = itertools.count()
    gate = Gate(
        engine, SIGNER, MAC_KEY, lambda: START_US,
        chance=lambda n: hashlib.shake_256(b"%d" % next(numbers)).digest(n),
    )  # fmt: skip
    house = House(gate, Vault(folder / "vault"), folder, b"k" * 32)
    connection = await engine.connect()
    await log.create(connection, ORIGIN, 0)
    await connection.execute(
        "INSERT INTO market (id, sandbox, profile, offset_us, keys_version) VALUES (1, true, 'cn-venue', 0, 0)"
    )
    await connection.commit()
    await connection.close()
    await gate.start()
    opening = venue.OpenMarket(
        ORIGIN,
        SIGNER.vkey,
        True,
        "cn-venue",
        RULES.stated(),
        uscc(0),
        "venue",
        "first",
        bytes(32),
    )
    opened = await house.act(venue.open_market, opening, Caller("init", "init", frozenset()))
    house.administrator = Caller(opened["person"], opened["administrator"], frozenset({"administrator"}))
    await house.act(open_tills, OpenTills(), TELLER)
    floor = await Floor.open(house, buyers=3, fen=2 * DEPOSIT_FEN)
    lot = await floor.lot()
    await floor.join(lot, floor.buyers[0])
    accounts = dict(await floor.rows("SELECT id, account FROM party"))
    await gate.stop()
    await engine.close()
    return Market(floor.bank, floor.buyers, lot), {b.party: accounts[b.party] for b in floor.buyers}


@pytest.fixture(scope="module")
def stage(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A database of its own, opened once."""
    name, url = sql.Identifier(SIMULATED), postgres.url(APPLICATION, SIMULATED)
    with psycopg.connect(postgres.url(SUPERUSER, "postgres"), autocommit=True) as server:
        server.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY file_copy").format(
                name, sql.Identifier(DATABASE), sql.Identifier(OWNER)
            )
        )
        with psycopg.connect(postgres.url(SUPERUSER, SIMULATED), autocommit=True) as admin:
            opened = uvloop.run(_open(url, tmp_path_factory.mktemp("stage")))
            found = Stage(url, admin, *opened)
            found.keep()
            yield found
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


class World:
    """One seed on its way: two slots for processes, a clock, and the clients of the play."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.play = Play(seed, stage.market)
        self.now_us = START_US
        self._salts = random.Random(f"salts {seed}")
        self.slots = [
            Slot(stage.url, stage.admin, SIGNER, [f for f in self.play.faults if f.slot == n])
            for n in range(2)
        ]

    async def run(self) -> None:
        """Play until every client has its answer or has given up, then bury every process."""
        for number in range(2):
            await self._seat(number)
        keepers = [asyncio.create_task(self._keep(number)) for number in range(2)]
        try:
            await asyncio.gather(
                *(self._client(a, s) for a, s in zip(self.play.asking, self.play.steps_us, strict=True))
            )
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.wait(keepers)
            for slot in self.slots:
                for process in slot.processes:
                    await process.bury()

    async def _seat(self, number: int) -> None:
        skew_us = self.play.skews_us[number]
        await self.slots[number].start(lambda: self.now_us + skew_us, self._salts)

    async def _keep(self, number: int) -> None:
        """Start another process a moment after the last one died."""
        while True:
            await asyncio.wait({self.slots[number].process.line.dead})
            await asyncio.sleep(0.005)
            await self._seat(number)

    async def _client(self, asking: Asking, step_us: int) -> None:
        await asyncio.gather(*(self._send(asking, sending, step_us) for sending in asking.sendings))

    async def _send(self, asking: Asking, sending: Sending, step_us: int) -> None:
        await asyncio.sleep(sending.after_ms / 1000)
        self.now_us += step_us
        for again in range(8):
            process = self.slots[(sending.slot + again) % 2].process
            try:
                if again % 2:
                    found = await process.ask(process.gate.look_up(asking.caller.party, asking.key))
                    if found is None:
                        continue
                    asking.replies.append(found)
                else:
                    asking.replies.append(await process.ask(perform(process.gate, asking)))
                return
            except (Gone, Unavailable):
                if not asking.insists:
                    return
                await asyncio.sleep(0.004)
            except ExchangeError as error:
                asking.errors.append(error)
                return


async def perform(gate: Gate, asking: Asking) -> Reply:
    """Send a client's act."""
    return await gate.perform(
        asking.decide, asking.act, caller=asking.caller, key=asking.key, urgent=asking.caller == CLOCK
    )


async def judge(stage: Stage, asked: list[Asking], now_us: int) -> None:
    """Ask a fresh gate about everything, then read the database and recompute it."""
    await quiet(stage.admin)
    size = read_log(stage.admin)[1]
    gate = Gate(
        Database(stage.url, readers=2), SIGNER, MAC_KEY, lambda: now_us, chance=random.Random(0).randbytes
    )
    await gate.start()
    try:
        found = [await gate.look_up(a.caller.party, a.key) for a in asked]
        for asking, truth in zip(asked, found, strict=True):
            for reply in asking.replies:
                assert truth is not None, (
                    f"{asking.key} was acknowledged at {reply.index} and is not in the log"
                )
                assert truth.json() == reply.json(), f"{asking.key} was answered otherwise"
                assert (truth.index, truth.refused) == (reply.index, reply.refused)
            if asking.errors and len(asking.sendings) == 1 and not asking.replies and len(asking.errors) == 1:
                assert truth is None, f"{asking.key} was dropped with {asking.errors} and is in the log"
        logged = [(a, t) for a, t in zip(asked, found, strict=True) if t is not None]
        again = await asyncio.gather(*(perform(gate, a) for a, _ in logged))
        for (asking, truth), repeat in zip(logged, again, strict=True):
            assert repeat.repeated, f"{asking.key} took effect a second time"
            assert repeat.json() == truth.json()
            verify_receipt(receipt_from_json(orjson.loads(truth.receipt)), VERIFIERS)
        for asking, _ in logged[:2]:
            with pytest.raises(Unprocessable):
                await perform(gate, replace(asking, decide=open_tills, act=OpenTills()))
        assert read_log(stage.admin)[1] == size, "asking again changed the log"
        lost = [a for a, t in zip(asked, found, strict=True) if t is None and not a.errors]
        for answer in await asyncio.gather(*(perform(gate, a) for a in lost), return_exceptions=True):
            if isinstance(answer, BaseException):
                assert isinstance(answer, ExchangeError), answer
                assert not isinstance(answer, Unavailable), answer
            else:
                assert not answer.repeated
    finally:
        await gate.stop()
        await gate.database.close()
    recompute(stage, asked)


async def quiet(admin: psycopg.Connection[Any]) -> None:
    """Wait until what dead processes had sent is done with."""
    for _ in range(2_000):
        row = admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = %s",
            (APPLICATION,),
        ).fetchone()
        if row == (0,):
            return
        await asyncio.sleep(0.002)
    raise AssertionError("a dead process still has a connection")


def read_log(admin: psycopg.Connection[Any]) -> tuple[list[tuple[bytes, bytes]], int]:
    """Every (leaf, body), the batches one behind the other, each with the tree that the naive root gives."""
    entries: list[tuple[bytes, bytes]] = []
    for first, size, peaks, leaves, bodies in admin.execute(
        "SELECT first, size, peaks, leaves, bodies FROM log_chunk ORDER BY first"
    ):
        assert first == len(entries), "batches overlap or leave a gap"
        entries += zip(unframe(leaves), unframe(bodies), strict=True)
        assert size == len(entries)
        assert Edge.from_bytes(size, peaks).root() == root([leaf for leaf, _ in entries])
    head = admin.execute("SELECT size, peaks FROM log_head").fetchone()
    assert head is not None
    assert head[0] == len(entries)
    assert Edge.from_bytes(*head).root() == root([leaf for leaf, _ in entries])
    return entries, len(entries)


def recompute(stage: Stage, asked: Iterable[Asking]) -> None:
    """The log alone against the tables: identifiers, checkpoints that were given away, balances, decisions."""
    entries, size = read_log(stage.admin)
    leaves, bodies = [e[0] for e in entries], [orjson.loads(e[1]) for e in entries]
    times = [int(body["time"]) for body in bodies]
    assert times == sorted(times), "time ran backward in the log"
    requests = list(stage.admin.execute("SELECT key, log_index FROM request ORDER BY log_index"))
    assert requests == [(body["key"], i) for i, body in enumerate(bodies)], "an entry without its identifier"
    asked_by_key = {a.key: a for a in asked}
    played = [body["key"] for body in bodies if body["key"] in asked_by_key]
    assert len(played) == len(set(played)), "an identifier took effect twice"
    for asking in asked_by_key.values():
        for reply in asking.replies:
            receipt = receipt_from_json(orjson.loads(reply.receipt))
            assert receipt.body == entries[reply.index][1]
            given = open_note(receipt.checkpoint, VERIFIERS).checkpoint
            assert given.size <= size, "a checkpoint was given away of a log that never was"
            assert given.root == root(leaves[: given.size]), "checkpoints fork"
    assert fold(bodies) == {
        row[0]: Account(*row)
        for row in stage.admin.execute(
            "SELECT id, ledger, code, overdraft, debits_pending, debits_posted, credits_pending, credits_posted,"
            " sequence, closed FROM account"
        )
    }
    follow(stage, bodies, asked_by_key)


def fold(bodies: list[dict[str, Any]]) -> dict[str, Account]:
    """Every account as the ledger's own rule leaves it."""
    accounts: dict[str, Account] = {}
    holds: dict[str, Pending] = {}
    known: dict[str, Any] = {}
    sequence = 1
    for body in bodies:
        for opened in body.get("accounts", ()):
            accounts[opened["id"]] = account_from_json(opened)
        decision = decide(
            accounts,
            holds,
            known,
            [transfer_from_json(t) for t in body.get("transfers", ())],
            sequence,
            int(body["time"]),
        )
        assert all(isinstance(o, Posted) and not o.exists for o in decision.outcomes), body
        accounts |= decision.accounts
        holds |= decision.pendings
        known |= decision.known
        sequence = decision.next_sequence
    return accounts


def follow(stage: Stage, bodies: list[dict[str, Any]], asked: dict[str, Asking]) -> None:
    """Let the naive book decide what the clients asked for, in log order: same yes, same no, same balances."""
    book = NaiveBook(sides(stage, "opened"))
    standing, bidders = START_FEN - INCREMENT_FEN, {stage.market.buyers[0].party}
    for body in bodies:
        asking = asked.get(body["key"])
        if asking is None:
            continue
        now_us, said, party = int(body["time"]), body["act"], asking.caller.party
        match asking.act:
            case Post() as post:
                yes = book.move(_move(asking.key, post), now_us)
            case PostChain(posts):
                yes = book.all_or_nothing(
                    [_move(f"{asking.key}-{n}", p) for n, p in enumerate(posts)], now_us
                )
            case money.CreditTopUp(to, amount, _):
                yes = book.move(Move("post", asking.key, money.BANK, stage.accounts[to], amount), now_us)
            case money.Withdraw(amount):
                yes = book.move(Move("post", asking.key, stage.accounts[party], money.BANK, amount), now_us)
            case money.ExpireHolds():
                due = book.due(now_us)
                assert said["holds"] == [m.name for m in due]
                yes = book.all_or_nothing(
                    [m._replace(kind="expire_pending", hold=m.name) for m in due], now_us
                )
            case auctions.JoinLot():
                hold = Move(
                    "pending", said.get("hold", ""), stage.accounts[party], money.DEPOSITS, DEPOSIT_FEN
                )
                yes = book.move(hold, now_us)
                if yes:
                    assert party not in bidders
                    bidders.add(party)
            case auctions.PlaceBid(_, price):
                assert party in bidders
                yes = price > standing and (price - START_FEN) % INCREMENT_FEN == 0
                standing = price if yes else standing
            case _:
                raise AssertionError(asking.act)
        assert yes == (said["state"] != "refused"), f"{asking.key}: the naive book says {yes}, the log {said}"
    assert book.accounts == sides(stage, "public")


def sides(stage: Stage, schema: str) -> dict[str, Sides]:
    """Every account's row, as it was at the opening or as it is."""
    rows = stage.admin.execute(
        sql.SQL(
            "SELECT id, overdraft = 'debits_must_not_exceed_credits', debits_pending, debits_posted, credits_pending,"
            " credits_posted FROM {}.account"
        ).format(sql.Identifier(schema))
    )
    return {name: Sides(*members) for name, *members in rows}


def _move(name: str, post: Post) -> Move:
    return Move(post.kind, name, post.debit, post.credit, post.amount, post.pending, post.timeout_us)


async def judge_export(url: str) -> None:
    """What a stranger finds: the audit of an export, and its replay."""
    engine = Database(url, readers=1)
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle.zip"
        async with engine.reader() as session:
            await oversight.export(session, bundle, SIGNER)
        await engine.close()
        verdict = audit(bundle, [SIGNER.vkey], processes=1)
        assert verdict.ok, verdict.explain("en")
        assert from_bundle(bundle).differences == []


def run_seed(stage: Stage, seed: int, *, audited: bool) -> World:
    """Play one seed and judge it; a failure names the command that plays it again, and what happened."""
    stage.reset()
    world = World(stage, seed)
    try:
        uvloop.run(_run(stage, world, audited))
    except Exception as error:
        happened = [str(f) for slot in world.slots for f in slot.happened]
        error.add_note(
            f"again: EXCHANGE_SEED={seed} .venv/bin/python -m pytest tests/simulation/test_faults.py -k this_seed\n"
            f"scheduled: {'; '.join(map(str, world.play.faults))}\nhappened: {'; '.join(happened)}"
        )
        raise
    return world


async def _run(stage: Stage, world: World, audited: bool) -> None:
    async with asyncio.timeout(60):  # what hangs fails with its seed
        await world.run()
        await judge(stage, world.play.asking, world.now_us)
    if audited:
        await judge_export(stage.url)


@pytest.fixture
def scheduled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the schedule where drills kill: at the gate's crash points."""
    monkeypatch.setattr("exchange.gate.reach", _faults.reach)


@pytest.mark.usefixtures("scheduled")
@pytest.mark.parametrize("seed", SEEDS)
def test_the_log_survives_this_seed_of_faults(stage: Stage, seed: int) -> None:
    run_seed(stage, seed, audited=seed % AUDITED == 0 or ASKED is not None)


@pytest.mark.drill
@pytest.mark.timeout(1_200)
@pytest.mark.usefixtures("scheduled")
@pytest.mark.parametrize("first", range(1_001, 1_001 + DRILL_SEEDS, CHUNK))
def test_the_log_survives_ten_thousand_seeds_of_faults(stage: Stage, first: int) -> None:
    """About an hour on two cores that do nothing else."""
    happened: Counter[str] = Counter()
    for seed in range(first, first + CHUNK):
        world = run_seed(stage, seed, audited=seed % AUDITED == 0)
        happened.update(fault.kind for slot in world.slots for fault in slot.happened)
    print(f"seeds {first} to {first + CHUNK - 1}: {dict(happened)}", file=sys.__stderr__, flush=True)


@pytest.mark.parametrize(
    "seeds", [range(1, 6), pytest.param(range(6, 501), marks=pytest.mark.drill)], ids=str
)
@pytest.mark.timeout(600)
def test_what_a_process_acknowledged_before_sigkill_is_in_the_log(stage: Stage, seeds: range) -> None:
    """A real process beside this one on the same database, killed a moment after its n-th answer; long form: 3 minutes."""
    ends = set()
    for seed in seeds:
        try:
            ends.add(_kill_one(stage, Play(seed, stage.market), random.Random(f"kill {seed}")))
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
    assert -signal.SIGKILL in ends


def _kill_one(stage: Stage, play: Play, chance: random.Random) -> int:
    """Play through two real processes, judge, and give the exit status of the second."""
    stage.reset()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            uvloop.run(_serve(stage.url, play, write))
        finally:
            os._exit(0)
    os.close(write)
    try:
        uvloop.run(_beside(stage, play, os.fdopen(read, "rb"), child, chance))
    finally:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    uvloop.run(judge(stage, play.asking, START_US))
    return status


async def _serve(url: str, play: Play, said: int) -> None:
    """Be the second process: answer what is sent there, and write each answer down the pipe `said`."""
    gate = Gate(Database(url, readers=1), SIGNER, MAC_KEY, lambda: START_US)
    await gate.start()

    async def one(asking: Asking, sending: Sending) -> None:
        await asyncio.sleep(sending.after_ms / 1000)
        with suppress(ExchangeError):
            reply = await perform(gate, asking)
            answer = [asking.key, reply.index, reply.outcome.decode(), reply.receipt.decode(), reply.refused]
            os.write(said, orjson.dumps(answer) + b"\n")

    await asyncio.gather(*(one(a, s) for a in play.asking for s in a.sendings if s.slot == 1))


async def _beside(stage: Stage, play: Play, heard: BinaryIO, child: int, chance: random.Random) -> None:
    """Be the first process, hear what the second one says, and kill it."""
    by_key = {a.key: a for a in play.asking}

    async def hear() -> None:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), heard
        )
        left = chance.randrange(14)
        while (line := await reader.readline()).endswith(b"\n"):
            key, index, outcome, receipt, refused = orjson.loads(line)
            by_key[key].replies.append(Reply(index, outcome.encode(), receipt.encode(), refused, False))
            left -= 1
            if left == 0:
                await asyncio.sleep(chance.random() * 0.004)
                os.kill(child, signal.SIGKILL)

    gate = Gate(Database(stage.url, readers=1), SIGNER, MAC_KEY, lambda: START_US)
    await gate.start()

    async def one(asking: Asking, sending: Sending) -> None:
        await asyncio.sleep(sending.after_ms / 1000)
        try:
            asking.replies.append(await perform(gate, asking))
        except ExchangeError as error:
            asking.errors.append(error)

    await asyncio.gather(hear(), *(one(a, s) for a in play.asking for s in a.sendings if s.slot == 0))
    await gate.stop()
    await gate.database.close()
