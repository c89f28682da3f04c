"""What a buyer built is published when its department had its say, and taken back by who told it."""

from __future__ import annotations

from typing import Any

import pytest

from exchange import sales, usecases
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.replay import replay
from exchange.usecases import DecideUseCase, Notice, WithdrawUseCase
from exchange.worker import Worker
from tests.exchange.conftest import House
from tests.exchange.floor import Floor, licence

FLOOD = {
    "title": "where it floods next",
    "text": "warns a district an hour ahead",
    "url": "https://example.com/flood?map=1",
}


def test_a_department_has_its_say_while_the_notice_runs() -> None:
    notice = Notice(1_000)
    assert (notice.stands(999), notice.stands(1_000)) == ("proposed", "published")
    assert notice.follow("use_case_decided", {"state": "declined"}, 999).state == "declined"
    for kind, now_us in (("use_case_decided", 1_000), ("use_case_published", 999)):
        with pytest.raises(Conflict):
            notice.follow(kind, {"state": "published"}, now_us)


@pytest.mark.anyio
async def test_S52_use_cases_stand_beside_the_asset_that_they_were_built_on(house: House) -> None:
    floor = await Floor.open(house, buyers=2)
    buyer, other = floor.buyers
    asset = await floor.asset()
    listing = await floor.listing(licence(100, 2), asset)
    sold = (await house.act(sales.buy, sales.Buy(listing, 1), buyer))["voucher"]
    path = f"/v1/licences/{sold['licence']}/use-cases"
    assert (await house.call(other, "POST", path, FLOOD)).status_code == 404
    for wrong in ({"url": "javascript:alert(1)"}, {"title": " "}, {"url": "https://a b"}):
        assert (await house.call(buyer, "POST", path, {**FLOOD, **wrong})).status_code in (400, 422)
    first, second, third = [(await house.done(buyer, path, FLOOD))["use_case"] for _ in range(3)]

    async def published() -> list[Any]:
        return [
            row["use_case"] for row in (await house.call(None, "GET", f"/v1/assets/{asset}/use-cases")).json()
        ]

    assert await published() == []
    with pytest.raises(NotFound):
        await house.act(usecases.decide_use_case, DecideUseCase(first, "consent"), other)
    with pytest.raises(Unprocessable):
        await house.act(usecases.decide_use_case, DecideUseCase(first, "refuse"), floor.seller)
    await house.done(floor.seller, f"/v1/use-cases/{first}/decision", {"decision": "consent"})
    refusal = {"decision": "refuse", "reason": "it names a street"}
    await house.done(floor.seller, f"/v1/use-cases/{second}/decision", refusal)
    assert await published() == [first]
    (mine, *_) = (await house.call(buyer, "GET", "/v1/use-cases")).json()
    house.now_us = int(mine["notice_ends_us"])
    assert await published() == [third, first]  # by silence, whether or not it was written down
    with pytest.raises(Conflict):
        await house.act(usecases.decide_use_case, DecideUseCase(third, "refuse", "late"), floor.seller)
    worker = Worker(house.gate, house.gate.database)
    size = await house.log_size()
    await worker.after_sale()
    await worker.after_sale()
    assert await house.log_size() == size + 1
    for who in (other, floor.seller):
        with pytest.raises(NotFound):
            await house.act(usecases.withdraw_use_case, WithdrawUseCase(first, "mine"), who)
    await house.done(buyer, f"/v1/use-cases/{first}/withdrawal", {"reason": "the product ended"})
    assert await published() == [third]
    await house.done(floor.regulator, f"/v1/use-cases/{third}/withdrawal", {"reason": "misleads"})
    assert await published() == []
    assert await house.call(other, "GET", "/v1/use-cases") is not None
    assert (await house.call(other, "GET", "/v1/use-cases")).json() == []
    annul = sales.AnnulSale(sold["trade"], "collusion", "order 9", "found")
    await house.act(sales.annul_sale, annul, floor.regulator)
    assert (await house.call(buyer, "POST", path, FLOOD)).status_code == 409
    assert replay(await floor.bodies(), await floor.openings()).differences == []
