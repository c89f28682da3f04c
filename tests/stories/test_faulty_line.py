"""The enterprise's story on a bad line: requests late, lost, doubled and overtaken, lines cut, and each bid on the record once."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import get_args

import httpx
import pytest

from exchange.client import AsyncExchange, Done, Refused, Unknown, Unreachable
from exchange.drill.faults import FaultyLine, Strike
from tests.stories.conftest import INCREMENT_FEN, START_FEN, Department, Member, Venue

BIDDERS = 8
PATIENCE_S = (2.0, 0.3)
"""Every other bidder gives up long before the line comes to itself."""


@dataclass
class Told:
    """What a bidder was told of each of its bids, at once or when it asked."""

    answers: dict[str, Done] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    found: int = 0
    """Bids that stayed unanswered and had taken effect."""
    slowest_s: float = 0.0
    """The longest that it took to learn what came of one of them."""


async def settled(client: AsyncExchange, lot: str, identifier: str, price_fen: int, told: Told) -> Done:
    """The first answer to a bid that nobody answered."""
    done = await client.lookup(identifier)
    told.found += done is not None
    if done is None:  # it did not take effect so far, and may be on its way: sending it again settles that
        try:
            done = await client.place_bid(lot, price_fen, identifier)
        except Refused as refused:
            done = refused.done
    return done


async def bid(
    member: Member, url: str, venue: Venue, lot: str, prices: Iterator[int], calls: int, patience_s: float
) -> Told:
    """Bid so often over a bad line, and settle over the same line what stayed unknown."""
    told = Told()
    key = member.client.calls.wire.key  # the same key, on another line
    async with (
        AsyncExchange(url, key, venue.vkey, timeout_s=patience_s) as client,
        AsyncExchange(url, key, venue.vkey, timeout_s=30) as patient,
    ):
        for _ in range(calls):
            identifier, price_fen = client.fresh_identifier(), next(prices)
            try:
                told.answers[identifier] = await client.place_bid(lot, price_fen, identifier)
            except Refused as refused:
                told.answers[identifier] = refused.done
            except Unknown:
                told.unknown[identifier] = price_fen
                began_s = time.monotonic()
                done = None
                while done is None:
                    with suppress(Unknown, Unreachable):  # even the patient one meets strikes: ask again
                        done = await settled(patient, lot, identifier, price_fen, told)
                told.answers[identifier] = done
                told.slowest_s = max(told.slowest_s, time.monotonic() - began_s)
    return told


def bid_on_a_bad_line(venue: Venue, weather: Department, calls: int, seed: int) -> None:
    owner = venue.admit("supplier", people=2)
    lot = venue.open_lot(owner, venue.registered_asset(owner, weather))
    members = [venue.admit("buyer", fen=90_000_000_00) for _ in range(BIDDERS)]
    for member in members:
        member.client.join_lot(lot)
    prices = itertools.count(START_FEN, INCREMENT_FEN)

    async def all_of_them(url: str) -> list[Told]:
        patience = itertools.cycle(PATIENCE_S)
        return await asyncio.gather(
            *(bid(m, url, venue, lot, prices, calls // BIDDERS, next(patience)) for m in members)
        )

    line: FaultyLine
    with FaultyLine(venue.server.port, seed=seed, delay_s=0.2) as line:
        line.fault, line.part = "any", 0.05
        told = asyncio.run(all_of_them(f"http://127.0.0.1:{line.port}"))
        line.settle()
        struck = line.struck
    answered = {identifier: done for each in told for identifier, done in each.answers.items()}
    unknown = [identifier for each in told for identifier in each.unknown]
    slowest_s = max(each.slowest_s for each in told)
    print(
        f"{calls} bids, {struck} strikes, {len(unknown)} unanswered, {sum(each.found for each in told)} of them found,"
        f" each settled within {slowest_s:.1f} s"
    )
    assert struck > calls // 40
    assert len(answered) == calls
    assert unknown
    book = venue.administrator.bids(lot)
    by_index = {row.index: row.price_fen for row in book}
    # No bid twice, none lost: what the bidders hold receipts of is the book, entry by entry.
    assert len(book) == len(by_index) == calls
    assert {done.index: int(done.outcome["price_fen"]) for done in answered.values()} == by_index
    # And who asks again is answered the same.
    for member, each in zip(members, told, strict=True):
        for identifier in each.unknown:
            again = member.client.lookup(identifier)
            assert again is not None
            assert again.receipt == answered[identifier].receipt


def test_bids_over_a_bad_line_are_each_on_the_record_once(venue: Venue, weather: Department) -> None:
    bid_on_a_bad_line(venue, weather, 2_000, seed=5)


@pytest.mark.drill
@pytest.mark.timeout(7_200)
def test_a_hundred_thousand_bids_over_a_bad_line_are_each_on_the_record_once(
    venue: Venue, weather: Department
) -> None:
    bid_on_a_bad_line(venue, weather, 100_000, seed=6)


class Counter:
    """A server that answers each request with how many came before it, by their bodies."""

    def __init__(self) -> None:
        self.came: list[str] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
                self.came.append((await reader.readexactly(length)).decode())
                said = str(len(self.came)).encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(said), said))
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    def stop(self) -> None:
        assert self._server is not None
        self._server.close()


@pytest.mark.anyio
@pytest.mark.parametrize("strike", get_args(Strike))
async def test_each_strike_of_the_line_does_what_it_says(strike: Strike) -> None:
    counter = Counter()
    port = await counter.start()
    with FaultyLine(port, seed=1, delay_s=0.3) as line:
        line.fault, line.part = strike, 1.0
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{line.port}", timeout=0.9) as client:
            began_s = time.monotonic()
            try:
                said = (await client.post("/", content="first")).text
            except httpx.TransportError as error:
                said = type(error).__name__
            took_s = time.monotonic() - began_s
            arrived = len(counter.came)
            await asyncio.to_thread(line.settle)
            assert line.struck == 1
            match strike:
                case "delay":
                    assert (said, counter.came, took_s > 0.3) == ("1", ["first"], True)
                case "drop":
                    assert (said, counter.came, took_s > 0.8) == ("ReadTimeout", ["first"], True)
                case "reset":
                    assert (said, counter.came) == ("RemoteProtocolError", ["first"])
                case "lose":
                    assert (said, counter.came) == ("RemoteProtocolError", [])
                case "late":
                    assert (said, arrived, counter.came) == ("RemoteProtocolError", 0, ["first"])
                case "close":
                    assert (said, counter.came) == ("1", ["first"])
                case "duplicate":
                    assert (said, counter.came) == ("1", ["first", "first"])
                case "reorder":
                    assert (said, took_s > 0.25) == ("1", True)
                    held = asyncio.ensure_future(client.post("/", content="sent first"))
                    await asyncio.sleep(0.05)
                    line.part = 0.0
                    for n in range(3):
                        await client.post("/", content=f"then {n}")
                    await held
                    assert counter.came.index("sent first") > counter.came.index("then 0")
    counter.stop()
