"""Streams beside a gate: who reads too slowly is dropped and holds nobody up, one reader serves a crowd."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from exchange import events, streams
from exchange.streams import EventStream, Streams
from tests.exchange.conftest import House
from tests.exchange.floor import INCREMENT_FEN, Floor

pytestmark = pytest.mark.anyio


class Reader:
    """A follower at the end of a wire that carries nothing while `flows` is not set."""

    def __init__(self, among: Streams, lot: str) -> None:
        self.text = b""
        self.flows = asyncio.Event()
        self.flows.set()
        self.wire_is_full = False
        stream = EventStream(among, ("lot", lot), None, partial(events.lot_now, lot=lot))
        self.task = asyncio.create_task(stream({}, self._receive, self._send))

    async def _receive(self) -> dict[str, str]:
        await asyncio.Event().wait()
        raise AssertionError

    async def _send(self, message: dict[str, Any]) -> None:
        self.wire_is_full = not self.flows.is_set()
        await self.flows.wait()
        self.text += message.get("body", b"")

    async def reads(self, text: bytes, times: int = 1) -> None:
        async with asyncio.timeout(10):
            while self.text.count(text) < times:  # noqa: ASYNC110  # what came is looked at, not announced
                await asyncio.sleep(0.01)


async def crowd(house: House, count: int) -> tuple[Floor, str, Streams, list[Reader]]:
    floor = await Floor.open(house)
    lot = await floor.lot()
    await floor.join(lot, floor.buyers[0])
    await floor.join(lot, floor.buyers[1])
    among = Streams(house.gate, asyncio.Event())
    readers = [Reader(among, lot) for _ in range(count)]
    for reader in readers:
        await reader.reads(b"event: snapshot")
    return floor, lot, among, readers


async def bid(floor: Floor, lot: str, number: int) -> None:
    await floor.bid(lot, floor.buyers[number % 2], 700_000 + number * INCREMENT_FEN)


async def test_who_reads_too_slowly_is_dropped_with_a_notice_and_holds_nobody_up(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "QUEUE_LIMIT", 3)
    floor, lot, among, (quick, slow, stuck) = await crowd(house, 3)
    slow.flows.clear()
    stuck.flows.clear()
    for number in range(10):
        await bid(floor, lot, number)
        await quick.reads(b"event: bid\n", number + 1)
    assert slow.wire_is_full
    slow.flows.set()
    await asyncio.wait_for(slow.task, 5)
    assert slow.text.endswith(b'event: end\ndata: {"reason":"slow"}\n\n')
    assert slow.text.count(b"event: bid\n") < 10
    assert not stuck.task.done()
    among.stopping.set()
    await asyncio.wait_for(quick.task, 5)
    assert quick.text.endswith(b'event: end\ndata: {"reason":"stopping"}\n\n')
    stuck.task.cancel()


async def test_who_never_reads_again_is_cut_off(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "QUEUE_LIMIT", 1)
    monkeypatch.setattr(streams, "PATIENCE_S", 0.2)
    floor, lot, _, (quick, stuck) = await crowd(house, 2)
    stuck.flows.clear()
    for number in range(4):
        await bid(floor, lot, number)
        await quick.reads(b"event: bid\n", number + 1)
    await asyncio.wait_for(stuck.task, 5)
    assert b"event: end" not in stuck.text
    quick.task.cancel()


async def test_a_crowd_costs_one_reading_of_the_log(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    floor, lot, _, readers = await crowd(house, 50)
    read: list[tuple[int, int]] = []
    between = events.between

    async def counted(session: Any, start: int, stop: int, parties: Any) -> list[events.Event]:
        read.append((start, stop))
        return await between(session, start, stop, parties)

    monkeypatch.setattr(events, "between", counted)
    for number in range(5):
        await bid(floor, lot, number)
    for reader in readers:
        await reader.reads(b"event: bid\n", 5)
    assert sum(stop - start for start, stop in read) == 5
    for reader in readers:
        reader.task.cancel()
