"""The clock's hand: what is due gets done once, whoever nudges, and one broken lot stops no other."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exchange import auctions, venue
from exchange.acts import CLOCK
from exchange.anchoring import Anchoring
from exchange.database import Addresses
from exchange.errors import Conflict
from exchange.worker import Worker
from ledger.anchor import Anchor, deploy
from ledger.anchors import anchors
from ledger.chain import SandboxChain
from tests.exchange._notes import ANNA, Note, jots
from tests.exchange.conftest import ORIGIN, House
from tests.exchange.floor import DAY_US, INCREMENT_FEN, START_FEN, Floor, another_gate, as_owner

pytestmark = pytest.mark.anyio

CHILD = Path(__file__).with_name("_clock.py")


@pytest.fixture(scope="module")
def chain() -> Iterator[SandboxChain]:
    with SandboxChain() as started:
        yield started


def beside(house: House) -> Worker:
    return Worker(house.gate, house.gate.database)


async def lot_with_bids(floor: Floor) -> str:
    lot = await floor.lot()
    for n, buyer in enumerate(floor.buyers):
        await floor.join(lot, buyer)
        await floor.bid(lot, buyer, START_FEN + n * INCREMENT_FEN)
    return lot


async def states(floor: Floor) -> dict[str, tuple[str, bool]]:
    return {row[0]: (row[1], row[2]) for row in await floor.rows("SELECT id, state, settled FROM lot")}


async def kinds(floor: Floor) -> list[str]:
    return [body["kind"] for _, body in await floor.bodies()]


async def test_a_lot_is_closed_and_settled_when_its_time_has_come_and_not_before(house: House) -> None:
    floor = await Floor.open(house)
    lot = await lot_with_bids(floor)
    house.now_us += DAY_US - 1
    await beside(house).tick()
    assert await states(floor) == {lot: ("open", False)}
    house.now_us += 1
    await beside(house).tick()
    assert await states(floor) == {lot: ("sold", True)}
    size = await house.log_size()
    await beside(house).tick()
    assert await house.log_size() == size


async def test_two_workers_do_everything_once(house: House, database: Addresses) -> None:
    floor = await Floor.open(house)
    lots = [await lot_with_bids(floor) for _ in range(4)]
    house.now_us += DAY_US
    async with another_gate(house, database) as other:
        await asyncio.gather(*(Worker(g, g.database).tick() for g in (house.gate, other, house.gate, other)))
    assert await states(floor) == dict.fromkeys(lots, ("sold", True))
    found = await kinds(floor)
    assert (found.count("lot_closed"), found.count("lot_settled")) == (4, 4)


async def test_a_moved_sandbox_clock_is_the_markets_time(house: House) -> None:
    floor = await Floor.open(house)
    lot = await lot_with_bids(floor)
    await house.act(venue.move_clock, venue.MoveClock(DAY_US), house.administrator)
    await beside(house).tick()
    assert await states(floor) == {lot: ("sold", True)}


async def test_a_lot_that_breaks_keeps_no_other_from_its_turn(
    house: House, database: Addresses, caplog: pytest.LogCaptureFixture
) -> None:
    floor = await Floor.open(house)
    broken, sound = await lot_with_bids(floor), await lot_with_bids(floor)
    for buyer in floor.buyers:
        await floor.fund(buyer, 10_000_000)
    # A standing that its own book does not award: closing it is a defect, which must not be papered over.
    as_owner(
        database, f"UPDATE lot SET standing_code = 'B0', closes_us = closes_us - 1 WHERE id = '{broken}'"
    )
    house.now_us += DAY_US
    worker = beside(house)
    await worker.tick()
    await worker.tick()
    assert await states(floor) == {broken: ("open", False), sound: ("sold", True)}
    assert sum("failed by a defect; the other lots go on" in r.message for r in caplog.records) == 1


async def test_a_winner_who_cannot_pay_is_asked_again_each_time_without_filling_the_log(house: House) -> None:
    floor = await Floor.open(house, fen=START_FEN)
    lot = await floor.lot()
    await floor.join(lot, floor.buyers[0])
    await floor.bid(lot, floor.buyers[0], START_FEN)
    house.now_us += DAY_US
    await beside(house).tick()
    size = await house.log_size()
    for _ in range(3):
        await beside(house).tick()
    assert await house.log_size() == size
    await floor.fund(floor.buyers[0], START_FEN)
    await beside(house).tick()
    assert await states(floor) == {lot: ("sold", True)}


async def test_the_running_worker_writes_tiles_and_stops_when_told(house: House) -> None:
    await asyncio.gather(
        *(house.gate.perform(jots, Note(str(n)), caller=ANNA, key=f"k{n}") for n in range(600))
    )
    floor = await Floor.open(house)
    worker = beside(house)
    await worker.start()
    for _ in range(200):
        if await floor.rows("SELECT count(*) FROM log_tile") == [(2,)]:
            break
        await asyncio.sleep(0.02)
    await worker.stop()
    assert await floor.rows("SELECT level, n, length(hashes) FROM log_tile ORDER BY n") == [
        (0, 0, 8192),
        (0, 1, 8192),
    ]


async def test_only_the_clock_and_only_in_time_closes(house: House) -> None:
    floor = await Floor.open(house)
    lot = await lot_with_bids(floor)
    with pytest.raises(Conflict):
        await house.act(auctions.close_lot, auctions.CloseLot(lot), CLOCK)
    with pytest.raises(Conflict):
        await house.act(auctions.settle_lot, auctions.SettleLot(lot), CLOCK)


@pytest.mark.parametrize("point", ["worker.before_close", "worker.before_anchor", "worker.after_anchor"])
async def test_a_worker_killed_at_any_point_is_finished_by_the_next_one(
    house: House, database: Addresses, chain: SandboxChain, point: str
) -> None:
    floor = await Floor.open(house)
    lot = await lot_with_bids(floor)
    house.now_us += DAY_US
    on_chain = not point.endswith("close")
    contract = deploy(chain.url, chain.key) if on_chain else ""
    words = [
        database.app_url, point, ORIGIN, str(house.now_us), chain.url if on_chain else "", contract, chain.key.hex(),
    ]  # fmt: skip

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(CHILD), *words], capture_output=True, text=True, check=False, timeout=60
        )

    child = await asyncio.to_thread(run)
    assert child.returncode == -9, child.stderr
    assert await states(floor) == {lot: ("sold", True) if on_chain else ("open", False)}
    await beside(house).tick()
    found = await kinds(floor)
    assert (found.count("lot_closed"), found.count("lot_settled")) == (1, 1)

    async def kept(session: Any) -> Any:
        from exchange.database import driver

        return await anchors(await driver(session))

    if on_chain:
        anchor = Anchor(chain.url, contract, chain.key)
        anchoring = Anchoring(house.gate.database, anchor, house.gate.clock, house.gate.confirm)
        await anchoring.turn()
        house.now_us += 10_000_000
        await anchoring.turn()
        assert [a["state"] for a in await house.gate.read(kept)] == ["confirmed"]
        assert anchor.read()[0] == await house.log_size()
