"""At the end of a licence its buyer deletes and says so; due, reminded and overdue are facts of the clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from exchange import deletion, mediation, sales
from exchange.acceptance import ObjectToDelivery, object_to_delivery
from exchange.acts import CLOCK, Caller
from exchange.deletion import CallForDeletion, DeclareDeletion, Duty
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.replay import replay
from exchange.rulebook import load
from exchange.rulebook.days import day_of, first_us
from exchange.worker import Worker
from tests.exchange.conftest import START_US, House
from tests.exchange.floor import DAY_US, Floor, licence

RULES = load("cn-venue")


def test_the_duty_to_delete_is_reminded_of_before_its_time_is_over() -> None:
    duty = Duty.of(START_US, 15, RULES)
    last = RULES.calendar.add(day_of(START_US + 15 * DAY_US), 10)
    assert duty.due_us == first_us(last + timedelta(days=1))
    assert duty.remind_us == first_us(RULES.calendar.add(last, -3))
    assert START_US < duty.remind_us < duty.due_us
    assert (duty.stands(START_US - 1), duty.stands(START_US)) == ("running", "due")
    for kind, act, now_us in (
        ("deletion_due", {"due_us": str(duty.due_us)}, START_US - 1),
        ("deletion_declared", {"late": False}, START_US - 1),
        ("deletion_reminded", {}, duty.remind_us),
    ):
        with pytest.raises(Conflict):
            duty.follow(kind, act, now_us)


async def shown(floor: Floor, who: Caller) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await floor.house.call(who, "GET", "/v1/deletions")).json()
    return rows


@pytest.mark.anyio
async def test_a_buyer_certifies_the_deletion_when_the_term_is_over(house: House) -> None:
    floor = await Floor.open(house, buyers=2)
    buyer, other = floor.buyers
    listing = await floor.listing(licence(1_000, 3, term_days=30))
    names = [
        (await house.act(sales.buy, sales.Buy(listing, 1), buyer))["voucher"]["licence"] for _ in range(3)
    ]
    # A refund of the whole ends the third before its term, and what it gave is deleted from then on.
    await house.act(object_to_delivery, ObjectToDelivery(names[2], "terms", "another use than agreed"), buyer)
    (mediator,) = await house.party("service_provider")
    await house.act(
        mediation.name_mediator, mediation.NameMediator(names[2], mediator.person), floor.regulator
    )
    await house.act(mediation.mediate, mediation.Mediate(names[2], "refund", "award 3", "so it is"), mediator)
    assert [row["state"] for row in await shown(floor, buyer)] == ["running", "running", "due"]

    path = f"/v1/licences/{names[0]}/deletion"
    said = {
        "person": "Ms Zhang, data steward",
        "method": "crypto_erase",
        "statement": "two copies, one of them a backup",
    }
    house.now_us = ends_us = START_US + 30 * DAY_US
    house.now_us -= 1
    early = await house.call(buyer, "POST", path, said)
    assert (early.status_code, early.json()["code"]) == (409, "deletion.state")
    house.now_us = ends_us
    for who in (other, floor.seller, floor.regulator):
        assert (await house.call(who, "POST", path, said)).status_code == 404
    with pytest.raises(Unprocessable):
        await house.act(deletion.declare_deletion, DeclareDeletion(names[0], "Ms Zhang", "forgotten"), buyer)
    worker = Worker(house.gate, house.gate.database)
    await worker.after_sale()
    done = await house.done(buyer, path, said)
    assert (done["state"], done["late"]) == ("declared", False)
    assert said["person"] not in str(done)
    with pytest.raises(Conflict):
        await house.act(deletion.declare_deletion, DeclareDeletion(names[0], "Ms Zhang", "clear"), buyer)
    due_us = int((await shown(floor, floor.seller))[1]["due_us"])
    house.now_us = Duty.of(ends_us, 15, RULES).remind_us
    size = await house.log_size()
    await worker.after_sale()
    await worker.after_sale()
    assert await house.log_size() == size + 2  # the one that was declared needs no reminder
    with pytest.raises(Conflict):
        await house.act(deletion.call_for_deletion, CallForDeletion(names[1]), CLOCK)
    house.now_us = due_us - 1
    assert [row["licence"] for row in await shown(floor, floor.regulator) if row["overdue"]] == [names[2]]
    house.now_us = due_us
    assert {row["licence"] for row in await shown(floor, floor.regulator) if row["overdue"]} == set(names[1:])
    late = await house.done(buyer, f"/v1/licences/{names[1]}/deletion", {**said, "method": "destroy"})
    assert late["late"] is True
    (row, *_) = await shown(floor, floor.seller)
    assert (row["person"], row["method"]) == (said["person"], "crypto_erase")
    assert await shown(floor, other) == []
    with pytest.raises(NotFound):
        await house.act(deletion.declare_deletion, DeclareDeletion("lic-0", "Ms Zhang", "clear"), buyer)
    market = replay(await floor.bodies(), await floor.openings())
    assert market.differences == []
    assert {market.duties[name].state for name in names[:2]} == {"declared"}
