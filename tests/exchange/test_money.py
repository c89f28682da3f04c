"""Holds that run out of time: the clock's hand releases them, once, and the log says so."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from exchange import money
from exchange.acts import CLOCK, Act, Caller, Record, Transaction
from exchange.database import Addresses
from exchange.errors import Conflict, Forbidden
from exchange.replay import replay
from exchange.tables import Party
from exchange.worker import Worker
from ledger.postings import Side, Transfer, TransferKind
from tests.exchange.conftest import House
from tests.exchange.floor import MINUTE_US, Floor, another_gate

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, slots=True)
class Hold(Act):
    """Hold some of the caller's money, for a while."""

    name: str
    amount_fen: int
    timeout_us: int = 0
    closes: Side | None = None
    kind: TransferKind = "pending"
    pending: str | None = None


async def hold(tx: Transaction, act: Hold) -> Record:
    """Make the hold, or end it."""
    party = await tx.find(Party, tx.caller.party, "party")
    assert party.account is not None
    await tx.post(
        Transfer(
            act.name, act.kind, party.account, money.DEPOSITS, act.amount_fen, "CNY", "deposit", act.pending,
            timeout_us=act.timeout_us, closes=act.closes,
        )
    )  # fmt: skip
    return Record("held", {"state": "done"})


async def tick(house: House) -> None:
    await Worker(house.gate, house.gate.database).tick()


async def free(floor: Floor, caller: Caller) -> int:
    (row,) = await floor.rows(
        "SELECT credits_posted - debits_posted - debits_pending FROM account JOIN party ON account = account.id"
        f" WHERE party.id = '{caller.party}'"
    )
    return int(row[0])


async def test_a_hold_is_released_when_its_time_is_over_and_not_before(house: House) -> None:
    floor = await Floor.open(house, buyers=1, fen=100)
    (buyer,) = floor.buyers
    await house.act(hold, Hold("h1", 60, MINUTE_US), buyer)
    await house.act(hold, Hold("h2", 30, MINUTE_US + 1), buyer)
    await house.act(hold, Hold("h3", 10), buyer)
    size = await house.log_size()
    house.now_us += MINUTE_US - 1
    await tick(house)
    assert (await free(floor, buyer), await house.log_size()) == (0, size)
    house.now_us += 1
    await tick(house)
    await tick(house)
    assert (await free(floor, buyer), await house.log_size()) == (60, size + 1)
    house.now_us += 1000 * MINUTE_US
    await tick(house)
    assert (await free(floor, buyer), await house.log_size()) == (90, size + 2)
    found = await floor.bodies()
    assert found[size][1]["act"] == {"first": "h1", "holds": ["h1"], "state": "expired"}
    (transfer,) = found[size][1]["transfers"]
    assert (transfer["kind"], transfer["pending"], transfer["amount"]) == ("expire_pending", "h1", "60")
    market = replay(found, await floor.openings())
    assert market.differences == []
    assert {a.available for a in market.accounts.values() if a.credits_posted == 100} == {90, 100}


async def test_after_its_time_a_hold_is_neither_taken_nor_given_back_by_hand(house: House) -> None:
    floor = await Floor.open(house, buyers=1, fen=100)
    (buyer,) = floor.buyers
    await house.act(hold, Hold("h1", 60, MINUTE_US), buyer)
    house.now_us += MINUTE_US
    for kind in ("post_pending", "void_pending"):
        with pytest.raises(Conflict) as refusal:
            await house.act(hold, Hold(f"{kind} h1", 60, kind=kind, pending="h1"), buyer)
        assert refusal.value.code == "transfer.pending_transfer_expired"
    await tick(house)
    assert await free(floor, buyer) == 100


async def test_an_account_that_a_hold_closes_opens_when_the_hold_runs_out(house: House) -> None:
    floor = await Floor.open(house, buyers=1, fen=100)
    (buyer,) = floor.buyers
    await house.act(hold, Hold("close", 0, MINUTE_US, "debit"), buyer)
    with pytest.raises(Conflict) as refusal:
        await house.act(hold, Hold("h1", 1), buyer)
    assert refusal.value.code == "transfer.debit_account_closed"
    house.now_us += MINUTE_US
    await tick(house)
    await house.act(hold, Hold("h2", 1), buyer)
    assert replay(await floor.bodies(), await floor.openings()).differences == []


async def test_many_due_holds_are_released_once_by_however_many_workers(
    house: House, database: Addresses
) -> None:
    floor = await Floor.open(house, buyers=1, fen=1000)
    (buyer,) = floor.buyers
    count = money.EXPIRIES_LIMIT + 20
    await asyncio.gather(*(house.act(hold, Hold(f"h{n}", 1, MINUTE_US), buyer) for n in range(count)))
    house.now_us += MINUTE_US
    async with another_gate(house, database) as other:
        for _ in range(2):
            await asyncio.gather(*(Worker(g, g.database).tick() for g in (house.gate, other, house.gate)))
    assert await free(floor, buyer) == 1000
    expired = [body["act"]["holds"] for _, body in await floor.bodies() if body["kind"] == "holds_expired"]
    assert sorted(name for names in expired for name in names) == sorted(f"h{n}" for n in range(count))
    assert max(map(len, expired)) == money.EXPIRIES_LIMIT


async def test_only_the_clock_expires_holds_and_only_those_that_are_due(house: House) -> None:
    floor = await Floor.open(house, buyers=1)
    with pytest.raises(Forbidden):
        await house.act(money.expire_holds, money.ExpireHolds("h1"), floor.buyers[0])
    with pytest.raises(Conflict) as refusal:
        await house.act(money.expire_holds, money.ExpireHolds("h1"), CLOCK)
    assert refusal.value.code == "holds.none_due"
