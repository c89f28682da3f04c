"""The story of who follows live: cut off, muted, too slow, on another process, and never told a thing twice or not at all."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from exchange import streams
from exchange.client import (
    AsyncExchange,
    Conflict,
    Exchange,
    NotFound,
    StreamEvent,
    Unauthenticated,
    Unreachable,
)
from exchange.client import events as client_events
from exchange.database import Addresses
from exchange.messages.views import BidView
from tests.stories.conftest import (
    INCREMENT_FEN,
    START_FEN,
    Department,
    Member,
    ServerProcess,
    ServerThread,
    Venue,
    opened,
    wait_until,
)


class Cutter:
    """A proxy before the exchange that cuts each answer after some bytes, or holds its tongue and the line."""

    def __init__(self, port: int, seed: int = 1) -> None:
        self._port = port
        self._chance = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts = 0
        self.cutting = True
        self.mute = False
        self.arrivals: list[float] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.arrivals.append(time.monotonic())
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as server:
            server.sendall(client.recv(65536))
            left = self._chance.randrange(400, 1400)
            try:
                while data := server.recv(65536):
                    while self.mute:
                        time.sleep(0.05)
                    client.sendall(data[:left] if self.cutting else data)
                    left -= len(data)
                    if self.cutting and left <= 0:
                        self.cuts += 1
                        return
            except OSError:
                return


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats every half second."""
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.5)
    monkeypatch.setattr(client_events, "FIRST_BEAT_S", 0.5)


def bidders(venue: Venue, weather: Department) -> tuple[str, list[Member], Member]:
    owner = venue.admit("supplier", people=2)
    lot = venue.open_lot(owner, venue.registered_asset(owner, weather))
    members = [venue.admit("buyer", fen=50_000_000_00) for _ in range(2)]
    for member in members:
        member.client.join_lot(lot)
    return lot, members, owner


def told(
    follow: Callable[[], Iterator[StreamEvent]], until: str
) -> tuple[list[StreamEvent], threading.Thread]:
    """Follow in a thread until an event of that kind comes."""
    seen: list[StreamEvent] = []

    def run() -> None:
        for event in follow():
            seen.append(event)
            if event.kind == until:
                return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return seen, thread


def cut_and_resumed(venue: Venue, weather: Department, cuts: int) -> None:
    lot, members, _ = bidders(venue, weather)
    assert isinstance(venue.server, ServerThread)
    cutter = Cutter(venue.server.port)
    with Exchange(cutter.url, vkey=venue.vkey) as follower:
        seen, thread = told(lambda: follower.follow_lot(lot), "lot_settled")
        wait_until(lambda: bool(seen), "a snapshot")
        number = 0
        while cutter.cuts < cuts:
            members[number % 2].client.place_bid(lot, START_FEN + number * INCREMENT_FEN)
            number += 1
        venue.close(lot)
        told_so_far = -1
        while (
            thread.is_alive() and len(seen) > told_so_far
        ):  # it may be far behind, and is cut off all the time
            told_so_far = len(seen)
            thread.join(20)
        assert not thread.is_alive()
    cutter.close()
    assert [event.kind for event in seen[:1] + seen[-2:]] == ["snapshot", "lot_closed", "lot_settled"]
    book: list[BidView] = []
    while page := venue.administrator.bids(lot, after=book[-1].index if book else -1):
        book += page
    assert [(e.index, e.data["code"], e.data["price_fen"]) for e in seen[1:-2]] == [
        (bid.index, bid.code, str(bid.price_fen)) for bid in book
    ]
    assert number == len(book)


def test_a_follower_that_is_cut_off_fifty_times_is_told_each_bid_once_in_order(
    venue: Venue, weather: Department
) -> None:
    cut_and_resumed(venue, weather, 50)


@pytest.mark.drill
@pytest.mark.timeout(3_600)
def test_a_follower_that_is_cut_off_a_thousand_times_is_told_each_bid_once_in_order(
    venue: Venue, weather: Department
) -> None:
    cut_and_resumed(venue, weather, 1000)


@pytest.mark.usefixtures("quick")
def test_a_stream_that_falls_mute_is_noticed_within_two_heartbeats_and_made_again(
    database: Addresses, tmp_path: Path, weather: Department
) -> None:
    with opened(tmp_path / "exchange", database, ServerThread) as venue:
        lot, (north, _), _ = bidders(venue, weather)
        assert isinstance(venue.server, ServerThread)
        cutter = Cutter(venue.server.port)
        cutter.cutting = False
        with Exchange(cutter.url, vkey=venue.vkey) as follower:
            seen, thread = told(lambda: follower.follow_lot(lot), "bid")
            wait_until(lambda: bool(seen), "a snapshot")
            time.sleep(1.2)
            assert len(cutter.arrivals) == 1, "heartbeats keep a quiet stream"
            cutter.mute, began = True, time.monotonic()
            wait_until(lambda: len(cutter.arrivals) > 1, "another connection")
            # Two heartbeats after the last byte, which was at most one heartbeat before the silence began.
            assert cutter.arrivals[1] - began < 2 * 0.5 + 0.4
            cutter.mute = False
            bid = north.client.place_bid(lot, START_FEN)
            thread.join(10)
            assert [event.index for event in seen[1:]] == [bid.receipt.index]
        cutter.close()


def test_each_party_is_told_what_it_may_see_and_nothing_else(venue: Venue, weather: Department) -> None:
    lot, (north, south), owner = bidders(venue, weather)
    accounts = {m.id: told(m.client.follow_account, "lot_settled") for m in (north, owner)}
    loser, thread = told(south.client.follow_account, "deposit_released")
    for seen, _ in (*accounts.values(), (loser, thread)):
        wait_until(lambda seen=seen: bool(seen), "a snapshot")  # type: ignore[misc]
    assert accounts[north.id][0][0].data["id"] == north.id
    low = south.client.place_bid(lot, START_FEN)
    high = north.client.place_bid(lot, START_FEN + INCREMENT_FEN)
    venue.close(lot)
    for _, waiting in (*accounts.values(), ([], thread)):
        waiting.join(20)
        assert not waiting.is_alive()
    bids = {
        name: [e.index for e in seen if e.kind == "bid"]
        for name, seen in (*((n, s) for n, (s, _) in accounts.items()), (south.id, loser))
    }
    assert bids == {
        north.id: [high.receipt.index],
        south.id: [low.receipt.index],
        owner.id: [low.receipt.index, high.receipt.index],
    }
    assert "lot_settled" not in {event.kind for event in loser}
    # What the lot shows to everybody names nobody.
    public = venue.client().follow_lot(lot, after=low.receipt.index - 1)
    shown = [next(public) for _ in range(4)]
    assert [event.kind for event in shown] == ["bid", "bid", "lot_closed", "lot_settled"]
    said = json.dumps([event.data for event in shown])
    assert not any(name in said for name in (north.id, south.id, owner.id))

    # Who awaits is told the same, and may leave in the middle.
    async def awaited() -> list[str]:
        async with AsyncExchange(venue.administrator.url, vkey=venue.vkey) as market:
            told = market.follow_lot(lot, after=low.receipt.index - 1)
            return [(await anext(told)).kind for _ in range(4)]

    assert asyncio.run(awaited()) == [event.kind for event in shown]
    # Nobody without a key follows an account, nor a lot that is none, nor a log that is not there.
    with pytest.raises(Unauthenticated):
        next(venue.client().follow_account())
    with pytest.raises(NotFound):
        next(venue.client().follow_lot("lot-none"))
    with pytest.raises(Conflict) as ahead:
        next(venue.client().follow_lot(lot, after=10**6))
    assert ahead.value.code == "stream.ahead"


@pytest.mark.usefixtures("quick")
def test_a_key_that_ends_ends_its_streams(database: Addresses, tmp_path: Path) -> None:
    with opened(tmp_path / "exchange", database, ServerThread) as venue:
        buyer = venue.admit("buyer")
        secret = buyer.client.add_key("follower", scopes=["read"])
        with httpx.stream(
            "GET",
            f"{venue.server.url}/v1/account/events",
            headers={"Authorization": f"Bearer {secret}"},
            timeout=10,
        ) as response:
            lines = response.iter_lines()
            assert next(lines) == "event: heartbeat"
            digest = next(key.digest for key in buyer.client.keys() if key.label == "follower")  # noqa: SIM118  # a method of the SDK
            buyer.client.revoke_key(digest)
            assert '{"reason":"unauthorized"}' in "".join(lines)


def test_events_go_on_over_a_restart_and_are_told_by_another_process_too(
    database: Addresses, tmp_path: Path, weather: Department
) -> None:
    with opened(tmp_path / "exchange", database, ServerProcess) as venue:
        lot, members, _ = bidders(venue, weather)
        beside = ServerProcess(venue.settings, work=False)
        with Exchange(beside.url, vkey=venue.vkey) as other:
            seen, thread = told(lambda: other.follow_lot(lot), "lot_settled")
            wait_until(lambda: bool(seen), "a snapshot")
            indices = [members[0].client.place_bid(lot, START_FEN).receipt.index]
            wait_until(lambda: len(seen) == 2, "the bid that the other process took")
            began = time.monotonic()
            beside.stop()
            assert time.monotonic() - began < 3, "a parked stream holds up no shutdown"
            indices.append(members[1].client.place_bid(lot, START_FEN + INCREMENT_FEN).receipt.index)
            beside = ServerProcess(venue.settings, port=beside.port, work=False)
            indices.append(members[0].client.place_bid(lot, START_FEN + 2 * INCREMENT_FEN).receipt.index)
            venue.close(lot)
            thread.join(20)
            beside.stop()
        assert [event.index for event in seen[1:-2]] == indices


def test_a_follower_gives_up_where_nobody_answers() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as closed,
        Exchange(f"http://127.0.0.1:{closed.getsockname()[1]}", timeout_s=1.0) as follower,
    ):
        closed.close()
        with pytest.raises(Unreachable):
            next(follower.follow_lot("lot-1"))
