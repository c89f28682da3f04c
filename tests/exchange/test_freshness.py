"""What a department promised to update is watched: flagged when nothing came, and cleared by the next edition."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from exchange import freshness
from exchange.acts import CLOCK
from exchange.errors import ExchangeError
from exchange.worker import Worker
from tests.exchange.conftest import House
from tests.exchange.floor import DAY_US

pytestmark = pytest.mark.anyio


async def watched(house: House, since: int) -> list[tuple[str, str]]:
    """What the worker logged about updates from an entry on: asset and state."""
    await Worker(house.gate, house.gate.database).tick()
    bodies = [orjson.loads((await house.gate.receipt(n)).body) for n in range(since, await house.log_size())]
    return [(b["act"]["asset"], b["act"]["state"]) for b in bodies if b["kind"] == "update_watched"]


async def test_S6_an_asset_older_than_its_cycle_is_flagged_stale_until_its_next_edition(
    house: House, patients: Any
) -> None:
    owners = await house.party("supplier", people=2)
    await house.walk(owners, patients)  # promises nothing: nothing is watched
    asset = await house.walk(owners, patients, update_days="30")
    buyer, _ = await house.sell(owners, asset, term_days=365)
    (stranger,) = await house.party("buyer")
    released_us = int((await house.call(None, "GET", f"/v1/assets/{asset}")).json()["asset"]["updated_us"])
    house.now_us = released_us + 30 * DAY_US - 1
    size = await house.log_size()
    assert await watched(house, size) == []
    house.now_us += 1
    assert await watched(house, size) == [(asset, "stale")]
    assert await watched(house, size) == [(asset, "stale")]  # once
    shown = (await house.call(None, "GET", f"/v1/assets/{asset}")).json()["asset"]
    assert shown["freshness"] == "stale"
    seen = [
        (await house.call(who, "GET", f"/v1/receipts/{size}")).status_code
        for who in (owners[0], buyer, stranger)
    ]
    assert seen == [200, 200, 404]  # who licensed it is told
    with pytest.raises(ExchangeError) as again:
        await house.act(freshness.watch_update, freshness.WatchUpdate(asset), CLOCK)
    assert again.value.code == "update.unchanged"

    edition = await house.walk(owners, patients, steps=0, update_days="30")
    carried = {"parent": asset, "relation": "edition"}
    await house.done(owners[0], f"/v1/assets/{edition}/parents", carried)
    assert await watched(house, size) == [(asset, "stale")]  # on its way is not there
    await house.walk(owners, patients, begun=edition)
    assert await watched(house, size) == [(asset, "stale"), (asset, "fresh")]
    house.now_us += 31 * DAY_US  # from here on the newest edition is held to its own promise
    assert (await watched(house, size))[2:] == [(edition, "stale")]
