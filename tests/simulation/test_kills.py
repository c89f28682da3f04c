"""A process that dies at any named point of closing, settling, finding in default or undoing: nothing by half, all of it once."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import psycopg
import pytest

from exchange import auctions, money
from exchange.acts import CLOCK
from exchange.database import Addresses
from exchange.replay import replay
from ledger.checkpoint import Signer
from tests.exchange.conftest import ORIGIN, House
from tests.exchange.floor import DAY_US, DEPOSIT_FEN, INCREMENT_FEN, START_FEN, Floor
from tests.simulation import _faults
from tests.simulation._faults import POINTS, Fault, Gone, Slot

pytestmark = pytest.mark.anyio

DURABLE = ("gate.after_commit", "gate.before_answer")


@pytest.fixture
async def floor(house: House, monkeypatch: pytest.MonkeyPatch) -> Floor:
    monkeypatch.setattr("exchange.gate.reach", _faults.reach)
    return await Floor.open(house, buyers=2)


async def bid_for(floor: Floor) -> str:
    """A lot whose time has come, on which both have bid, the second one more."""
    lot = await floor.lot()
    for n, buyer in enumerate(floor.buyers):
        await floor.join(lot, buyer)
        await floor.bid(lot, buyer, START_FEN + n * INCREMENT_FEN)
    floor.house.now_us += DAY_US
    return lot


async def awarded(floor: Floor) -> str:
    lot = await bid_for(floor)
    await floor.house.act(auctions.close_lot, auctions.CloseLot(lot), CLOCK)
    return lot


async def settled(floor: Floor) -> str:
    lot = await awarded(floor)
    await floor.house.act(auctions.settle_lot, auctions.SettleLot(lot), CLOCK)
    return lot


async def unpaid(floor: Floor) -> str:
    await floor.fund(floor.buyers[1], DEPOSIT_FEN + 1)  # for the deposit, and next to nothing beside it
    lot = await awarded(floor)
    free, _ = await floor.money(floor.buyers[1])
    await floor.house.act(money.withdraw, money.Withdraw(free), floor.buyers[1])
    floor.house.now_us += 11 * DAY_US
    return lot


STEPS: dict[str, tuple[Any, Any]] = {
    "lot_closed": (bid_for, lambda floor, lot: (auctions.close_lot, auctions.CloseLot(lot), CLOCK)),
    "lot_settled": (awarded, lambda floor, lot: (auctions.settle_lot, auctions.SettleLot(lot), CLOCK)),
    "lot_annulled": (
        settled,
        lambda floor, lot: (
            auctions.annul_lot,
            auctions.AnnulLot(lot, "collusion", "order 12", "two bidders were one"),
            floor.regulator,
        ),
    ),
    "lot_defaulted": (
        unpaid,
        lambda floor, lot: (auctions.declare_default, auctions.DeclareDefault(lot), CLOCK),
    ),
}


@pytest.mark.parametrize("kind", STEPS)
async def test_a_step_of_the_sale_during_which_the_process_dies_is_done_whole_and_once(
    floor: Floor, database: Addresses, kind: str
) -> None:
    prepare, step = STEPS[kind]
    house = floor.house
    for points in (POINTS[:-1], POINTS[-1:]):
        lot = await prepare(floor)
        decide, act, caller = step(floor, lot)
        before = await whole(floor)
        for point in points:
            await killed(floor, database, point, decide, act, caller, lot)
            found = await whole(floor)
            assert (found == before) is (point not in DURABLE)
            assert found[0][kind] - before[0][kind] == (point in DURABLE)
        reply = await house.gate.perform(decide, act, caller=caller, key=lot)
        assert reply.repeated
        assert await whole(floor) == found
    market = replay(await floor.bodies(), await floor.openings())
    assert market.differences == []


async def whole(floor: Floor) -> tuple[Counter[str], dict[str, int], list[Any]]:
    """What the log has of each kind, every balance, and how the lots and licences stand."""
    kinds = Counter(body["kind"] for _, body in await floor.bodies())
    lots = await floor.rows("SELECT id, state, settled FROM lot ORDER BY id")
    return kinds, await floor.balances(), lots + await floor.rows("SELECT id, state FROM licence ORDER BY id")


async def killed(
    floor: Floor, database: Addresses, point: str, decide: Any, act: Any, caller: Any, key: str
) -> None:
    """Let a process of its own do it, and die at the named point."""
    assert database.owner_url is not None
    with psycopg.connect(database.owner_url, autocommit=True) as admin:
        slot = Slot(database.app_url, admin, Signer(ORIGIN, b"l" * 32), [Fault(0, point, 1, "kill")])
        await slot.start(lambda: floor.house.now_us, random.Random(f"{point} of {key}"))
        with pytest.raises(Gone):
            await slot.process.ask(slot.process.gate.perform(decide, act, caller=caller, key=key))
        await slot.process.bury()
    assert [fault.point for fault in slot.happened] == [point]
