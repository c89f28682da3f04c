"""The story of two processes that serve one market: one order of all that happens, one bell, and no stop when one is paused."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx
import psycopg
import pytest

from exchange.client import AsyncExchange, Conflict, Forbidden, Refused
from exchange.database import Addresses
from exchange.embedded import Postgres
from exchange.messages.market import LotMessage, OfferMessage
from tests.conftest import fresh_database
from tests.simulation._linearizability import Call, by_object, judge
from tests.simulation._lot import Answer, Asked, Lot, Terms, rule
from tests.stories.conftest import (
    DEPOSIT_FEN,
    HOUR_US,
    INCREMENT_FEN,
    MINUTE_US,
    START_FEN,
    Department,
    Member,
    ServerProcess,
    Venue,
    opened,
)
from tests.stories.test_trouble import in_the_log, record_of


@dataclass
class Pair:
    """A market behind two processes, both of which also close and settle."""

    venue: Venue
    servers: list[ServerProcess]
    addresses: Addresses
    owner: Member
    asset: str
    folder: Path
    _regulator: Member | None = None

    @property
    def regulator(self) -> Member:
        self._regulator = self._regulator or self.venue.admit("regulator")
        return self._regulator

    def bodies(self) -> list[tuple[int, dict[str, Any]]]:
        """The log, audited and replayed."""
        return record_of(self.venue, self.regulator.client, self.folder)

    def clock_us(self) -> int:
        """By how much the market's clock is before this machine's."""
        with psycopg.connect(str(self.addresses.owner_url)) as connection:
            row = connection.execute("SELECT offset_us FROM market").fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture(scope="module")
def pair(postgres: Postgres, weather: Department, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    with (
        fresh_database(postgres, "two_processes") as addresses,
        opened(folder / "exchange", addresses, ServerProcess) as venue,
    ):
        beside = ServerProcess(venue.settings)
        try:
            assert isinstance(venue.server, ServerProcess)
            owner = venue.admit("supplier", people=2)
            asset = venue.registered_asset(owner, weather)
            yield Pair(venue, [venue.server, beside], addresses, owner, asset, folder)
        finally:
            beside.stop()


# --- one order


@dataclass
class History:
    """What clients asked and were told, each with its times by one clock."""

    calls: list[Call[tuple[str, Asked], Answer]] = field(default_factory=list)

    async def note(self, lot: str, asked: Asked, doing: Awaitable[Answer]) -> None:
        sent = time.monotonic_ns()
        answer = await doing
        self.calls.append(Call((lot, asked), answer, sent, time.monotonic_ns()))

    def by_itself(self, lot: str, asked: Asked, since_ns: int) -> None:
        """Something that the exchange does at a moment of its own, or not yet."""
        self.calls.append(Call((lot, asked), None, since_ns, None))


WORDS = {
    "bid.not_higher": "not higher",
    "bid.below_increment": "below increment",
    "bid.below_start": "below start",
    "bid.off_increment": "off increment",
    "bid.closed": "closed",
    "bid.no_deposit": "no deposit",
    "bidder.admitted": "joined already",
    "lot.closed": "closed",
    "transfer.exceeds_credits": "too little",
}


async def in_words(doing: Awaitable[Any], well: str = "done") -> Answer:
    """What came of a write."""
    try:
        await doing
    except (Refused, Conflict, Forbidden) as refused:
        return WORDS[refused.code]
    return well


class Bidder:
    """A party with a client at each process, which it uses at once."""

    def __init__(
        self, lot: str, member: Member, clients: list[AsyncExchange], history: History, seed: int
    ) -> None:
        self.lot, self.member, self.clients, self.history = lot, member, clients, history
        self.chance = random.Random(seed)

    async def act(self, client: AsyncExchange, bank: AsyncExchange, listing: str, step: int) -> None:
        """One thing, by chance; prices rise with the steps, so that bids meet."""
        me, lot, chance = self.member.id, self.lot, self.chance
        match chance.choices(("bid", "look", "money", "top_up", "join", "buy"), (10, 3, 3, 2, 3, 1))[0]:
            case "bid":
                price = (
                    START_FEN + INCREMENT_FEN * (step + chance.randrange(-1, 3)) + chance.choice((0, 0, 0, 1))
                )
                await self.note(("bid", me, price), in_words(client.place_bid(lot, price), "admitted"))
            case "look":
                await self.note(("look",), self._look(client))
            case "money":
                await self.note(("money", me), self._money(client))
            case "top_up":
                fen = chance.choice((DEPOSIT_FEN // 2, DEPOSIT_FEN, 3 * START_FEN))
                done = bank.top_up(me, fen, f"slip-{chance.randbytes(8).hex()}")
                await self.note(("top_up", me, fen), in_words(done))
            case "join":
                await self.note(("join", me), in_words(client.join_lot(lot)))
            case _:
                await self.note(("buy", me, DEPOSIT_FEN // 2), in_words(client.buy(listing)))

    async def note(self, asked: Asked, doing: Awaitable[Answer]) -> None:
        await self.history.note(self.lot, asked, doing)

    async def _look(self, client: AsyncExchange) -> Answer:
        view = await client.lot(self.lot)
        return view.state, view.standing_price_fen, view.bids, view.settled

    async def _money(self, client: AsyncExchange) -> Answer:
        view = await client.me()
        return view.available_fen, view.held_fen


async def live(pair: Pair, lots: list[str], listing: str, members: list[list[Member]], steps: int) -> History:
    """Let bidders act on their lots through both processes at once, and the bell ring for all in the middle."""
    history, venue = History(), pair.venue
    async with AsyncExitStack() as stack:
        lines = {s.port: await stack.enter_async_context(httpx.AsyncClient()) for s in pair.servers}

        async def client(secret: str | None, server: ServerProcess) -> AsyncExchange:
            one = AsyncExchange(server.url, secret, venue.vkey, timeout_s=30, http=lines[server.port])
            return await stack.enter_async_context(one)

        banks = [await client(venue.bank.secrets[0], server) for server in pair.servers]
        bidders: list[Bidder] = []
        for lot, those in zip(lots, members, strict=True):
            for member in those:
                clients = [await client(member.secrets[0], server) for server in pair.servers]
                bidders.append(Bidder(lot, member, clients, history, seed=len(bidders)))

        async def run(bidder: Bidder, which: int, begin: int) -> None:
            for step in range(begin, begin + steps):
                await bidder.act(bidder.clients[which], banks[which], listing, step)

        async def phase(begin: int) -> None:
            await asyncio.gather(*(run(bidder, which, begin) for bidder in bidders for which in (0, 1)))

        async def ring() -> None:
            await asyncio.sleep(0.3)
            administrator = await client(venue.administrator.calls.wire.key, pair.servers[1])
            sent = time.monotonic_ns()
            await administrator.move_clock(25 * HOUR_US)
            rung = time.monotonic_ns()
            for lot, those in zip(lots, members, strict=True):
                history.calls.append(Call((lot, ("ring",)), "done", sent, rung))
                history.by_itself(lot, ("close",), sent)
                history.by_itself(lot, ("settle",), sent)
                for member in those:
                    history.by_itself(lot, ("give_back", member.id), sent)

        await phase(0)
        await asyncio.gather(phase(steps), ring())
    return history


def test_what_clients_of_both_processes_are_told_could_have_happened_one_by_one(pair: Pair) -> None:
    venue = pair.venue
    lots = [venue.open_lot(pair.owner, pair.asset) for _ in range(3)]
    offer = OfferMessage(grant="licence", term_days=30, price_fen=DEPOSIT_FEN // 2, licences=100_000)
    listing = pair.owner.client.offer_fixed_price(pair.asset, offer).outcome["id"]
    members = [[venue.admit("buyer") for _ in range(3)] for _ in lots]
    assert venue.bank.id
    history = asyncio.run(live(pair, lots, listing, members, steps=9))
    parts = by_object(history.calls, lambda asked: asked[0])
    for lot in lots:
        calls = [Call(c.asked[1], c.answer, c.sent_ns, c.answered_ns) for c in parts[lot]]
        verdict = judge(calls, Lot(Terms(START_FEN, INCREMENT_FEN, DEPOSIT_FEN)), rule)
        assert verdict.holds, (
            f"{len(verdict.order)} of {len(calls)} could have happened: {verdict.order[-5:]}"
        )
    told = Counter(call.answer for call in history.calls if call.answered_ns is not None)
    assert {"admitted", "not higher", "closed", "no deposit", "too little", "joined already"} <= set(told), (
        told
    )
    concurrent = sum(
        a.answered_ns is not None and a.sent_ns < b.sent_ns < a.answered_ns
        for a, b in itertools.combinations(sorted(history.calls, key=lambda c: c.sent_ns), 2)
        if a.asked[0] == b.asked[0]
    )
    assert concurrent > len(history.calls)


# --- one bell


class Caller:
    """A party at one process, over lines that stay open: nothing is verified, and nothing sent a second time."""

    def __init__(self, port: int, secret: str) -> None:
        self._port, self._secret = port, secret
        self._idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(
        self, path: str, identifier: str, body: dict[str, Any] | None
    ) -> tuple[int, dict[str, Any]]:
        """Status and answer."""
        while (
            self._idle and self._idle[-1][0] < time.monotonic() - 2
        ):  # the server ends what is idle for five seconds
            self._idle.pop()[2].close()
        if self._idle:
            _, reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        sent = b"" if body is None else json.dumps(body).encode()
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {self._secret}\r\nIdempotency-Key: {identifier}"
            f"\r\nContent-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n".encode()
            + sent
        )
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
        answer = json.loads(await reader.readexactly(length))
        self._idle.append((time.monotonic(), reader, writer))
        return int(head[9:12]), answer

    async def bid(self, lot: str, price_fen: int, identifier: str) -> tuple[int, dict[str, Any]]:
        body = {"client_bid_id": identifier, "price_fen": str(price_fen)}
        return await self.post(f"/v1/lots/{lot}/bids", identifier, body)

    def close(self) -> None:
        for _, _, writer in self._idle:
            writer.close()


@dataclass(frozen=True, slots=True)
class Told:
    """What one bid was told, and between which moments of the market's clock it was under way."""

    sent_us: int
    answered_us: int
    admitted: bool
    index: int


@dataclass
class Race:
    """Bids around the bells of many lots, from several bidders through both processes. Each bid is one race."""

    callers: list[Caller]
    chance: random.Random
    clock_us: int = 0
    told: dict[str, Told] = field(default_factory=dict)

    def now_us(self) -> int:
        """The market's clock, by this machine's."""
        return time.time_ns() // 1_000 + self.clock_us

    def near_us(self) -> int:
        """What counts as near the bell: about as long as the last bids took."""
        took = sorted(told.answered_us - told.sent_us for told in list(self.told.values())[-200:])
        return max(10_000, took[len(took) // 2] if took else 50_000)

    async def around(self, lot: str, bell_us: int, price_fen: int) -> tuple[str, int, int] | None:
        """Send bids around a bell: when it rings now, and a price that is higher; None where it rang."""
        # Every other bell is surely moved by a bid that is early. The others' bids lie in a stretch of their own, most of
        # them around the bell and some behind it whole, so that on any machine some bells ring.
        near_us = self.near_us()
        first_us = self.chance.randrange(-2 * near_us, near_us)
        offsets_us = [first_us + self.chance.randrange(near_us) for _ in range(BIDS)]
        if self.chance.random() < 0.5:
            offsets_us[0] = -3 * near_us
        callers = [self.chance.choice(self.callers) for _ in range(BIDS)]
        came = await asyncio.gather(
            *(
                self._bid(caller, lot, bell_us + offset_us, price_fen + n * INCREMENT_FEN)
                for n, (caller, offset_us) in enumerate(zip(callers, sorted(offsets_us), strict=True))
            )
        )
        moved = [(lot, *answer) for answer in came if answer is not None]
        return max(moved) if moved else None

    async def _bid(self, caller: Caller, lot: str, at_us: int, price_fen: int) -> tuple[int, int] | None:
        await asyncio.sleep(max(0, at_us - self.now_us()) / 1e6)
        identifier, sent_us = f"race-{self.chance.randbytes(12).hex()}", self.now_us()
        status, answer = await caller.bid(lot, price_fen, identifier)
        answered_us = self.now_us()
        assert status in (201, 422), answer
        self.told[identifier] = Told(sent_us, answered_us, status == 201, int(answer["receipt"]["index"]))
        if status == 422:
            return None
        return int(answer["outcome"]["closes_us"]), price_fen + INCREMENT_FEN


BIDS, BELL_GAP_US = 8, 20_000
"""Bids around a bell, and the time from one bell to the next."""


async def lots_to_race_for(
    pair: Pair, owner: Caller, callers: list[Caller], lots: int
) -> list[tuple[str, int, int]]:
    """Lots that everybody has joined, with their bells, one after the other, and their start prices."""
    opens_us = pair.venue.now_us() + 5 * MINUTE_US
    bells_us = [opens_us + 25 * HOUR_US + n * BELL_GAP_US for n in range(lots)]
    terms = OfferMessage(grant="licence", term_days=365, price_fen=START_FEN)
    answers = []
    for start in range(0, lots, 50):  # more at once would be turned away
        answers += await asyncio.gather(
            *(
                owner.post(
                    "/v1/lots",
                    f"race-{bell_us}",
                    LotMessage(
                        asset=pair.asset,
                        offer=terms,
                        increment_fen=INCREMENT_FEN,
                        deposit_fen=DEPOSIT_FEN,
                        opens_us=opens_us,
                        closes_us=bell_us,
                    ).model_dump(mode="json"),
                )
                for bell_us in bells_us[start : start + 50]
            )
        )
    names = [answer["outcome"]["id"] for _, answer in answers]
    for name in names:
        joined = await asyncio.gather(
            *(c.post(f"/v1/lots/{name}/bidders", f"join-{name}", None) for c in callers)
        )
        assert {status for status, _ in joined} == {201}, joined
    return [(name, bell_us, START_FEN) for name, bell_us in zip(names, bells_us, strict=True)]


def race_the_bell(pair: Pair, races: int, lots: int, seed: int) -> None:
    venue = pair.venue
    members = [venue.admit("buyer", fen=10**13) for _ in range(4)]
    raced: set[str] = set()

    async def run() -> Race:
        callers = [Caller(server.port, member.secrets[0]) for member in members for server in pair.servers]
        owner = Caller(pair.servers[0].port, pair.owner.secrets[0])
        race = Race(callers, random.Random(seed))
        bells: list[tuple[str, int, int]] = []
        while len(race.told) < races:
            if not bells:
                bells = await lots_to_race_for(pair, owner, callers, lots)
                raced.update(lot for lot, _, _ in bells)
            race.clock_us = pair.clock_us()
            ahead_us = min(bell_us for _, bell_us, _ in bells) - race.now_us() - 4 * race.near_us()
            if ahead_us > 0:
                await asyncio.to_thread(venue.administrator.move_clock, ahead_us)
                race.clock_us = pair.clock_us()
            moved = await asyncio.gather(*(race.around(*bell) for bell in bells))
            bells = [bell for bell in moved if bell is not None]
        for caller in [*callers, owner]:
            caller.close()
        return race

    race = asyncio.run(run())
    logged = 0
    closes: dict[str, int] = {}
    before: Counter[str] = Counter()
    for index, body in pair.bodies():
        act, at_us = body["act"], int(body["time"])
        if body["kind"] == "lot_opened" and act["id"] in raced:
            closes[act["id"]] = int(act["rules"]["closes_at_us"])
        elif body["kind"] == "lot_closed" and act["lot"] in closes:
            assert at_us >= int(act["closes_us"]) == closes[act["lot"]], (index, body)
        elif body["kind"] == "bid" and act["lot"] in closes:
            logged += 1
            told, left_us = race.told[body["key"]], closes[act["lot"]] - at_us
            refused = act["reason"]["code"] if act["state"] == "refused" else None
            # Late is who comes at the bell or after it, and nobody else; whose clock says so does not matter.
            assert (refused == "bid.closed") == (left_us <= 0), (index, left_us, refused)
            assert (told.admitted, told.index) == (refused is None, index)
            assert told.sent_us <= at_us <= told.answered_us
            before["late" if left_us <= 0 else "early"] += abs(left_us) < MINUTE_US
            before["nearest"] += abs(left_us) < 2_000
            if refused is None and left_us <= 5 * MINUTE_US:
                closes[act["lot"]] = at_us + 5 * MINUTE_US
                before["moved"] += 1
    assert closes.keys() == raced
    assert logged == len(race.told) >= races
    took = quantiles([told.answered_us - told.sent_us for told in race.told.values()], n=100)
    print(f"{logged} races, {before}; answered within {took[49]:.0f} us, 99 % within {took[98]:.0f}")
    assert before["late"] > races // 200
    assert before["early"] > races // 50


def test_of_a_thousand_bids_around_the_bell_none_is_admitted_late_and_none_is_refused_early(
    pair: Pair,
) -> None:
    race_the_bell(pair, 1_000, lots=25, seed=1)


@pytest.mark.drill
@pytest.mark.timeout(7_200)
def test_nor_is_any_of_a_hundred_thousand(pair: Pair) -> None:
    race_the_bell(pair, 100_000, lots=1_000, seed=2)


# --- one paused


async def pauses(
    pair: Pair, lot: str, secrets: list[str], held: int
) -> tuple[list[float], dict[str, tuple[int, Any]]]:
    """Pause one process in the middle of bidding until it was caught so often with the log in its hand; how long the other
    one then took for its slowest bid, each time, and what was answered to whom."""
    stopped, serving = pair.servers
    answers: dict[str, tuple[int, Any]] = {}
    prices = itertools.count(START_FEN, INCREMENT_FEN)
    slowest: list[float] = []
    over, took_s = False, 0.0

    async def crowd(port: int, secret: str, measured: bool) -> None:
        nonlocal took_s
        caller = Caller(port, secret)
        while not over:
            identifier, price_fen = f"paused-{next(prices)}", next(prices)
            began_s = time.monotonic()
            status, answer = await caller.bid(lot, price_fen, identifier)
            if measured:
                took_s = max(took_s, time.monotonic() - began_s)
            assert status in (201, 422), answer
            answers[identifier] = (int(answer["receipt"]["index"]), answer["outcome"])
        caller.close()

    crowds = [
        asyncio.ensure_future(crowd(server.port, secret, server is serving))
        for server in pair.servers
        for secret in secrets
        for _ in range(2)
    ]
    with psycopg.connect(pair.addresses.app_url, autocommit=True) as looking:
        while len(slowest) < held:
            await asyncio.sleep(0.3)
            assert not any(one.done() for one in crowds), [one.exception() for one in crowds if one.done()]
            took_s = 0.0
            os.kill(stopped.pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(0.1)
                caught = looking.execute(
                    "SELECT count(*) FROM pg_stat_activity w, unnest(pg_blocking_pids(w.pid)) b(pid) JOIN pg_stat_activity h"
                    " ON h.pid = b.pid WHERE w.application_name = 'exchange gate' AND h.wait_event = 'ClientRead'"
                ).fetchone()
                await asyncio.sleep(1.2)
            finally:
                os.kill(stopped.pid, signal.SIGCONT)
            if caught is not None and caught[0]:
                slowest.append(took_s)
    over = True
    await asyncio.gather(*crowds)
    return slowest, answers


def test_when_one_process_is_paused_the_other_answers_within_a_second(pair: Pair) -> None:
    venue = pair.venue
    lot = venue.open_lot(pair.owner, pair.asset)
    members = [venue.admit("buyer", fen=90_000_000_00) for _ in range(4)]
    for member in members:
        member.client.join_lot(lot)
    slowest, answers = asyncio.run(pauses(pair, lot, [member.secrets[0] for member in members], held=2))
    assert max(slowest) < 1.0, slowest
    logged = {key: told for key, told in in_the_log(pair.bodies()).items() if key.startswith("paused-")}
    assert logged == answers
