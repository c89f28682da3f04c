"""The market's statistics: the same as a recount of the log, month by month, and nobody's secret in them."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import sales, settlement, statistics
from exchange.rulebook.days import CHINA
from tests.exchange.conftest import House
from tests.exchange.floor import Floor, licence, played

pytestmark = pytest.mark.anyio

DAY_US = 86_400_000_000


@given(st.integers(0, 4_000_000_000_000_000))
def test_the_months_are_twelve_in_a_row_and_end_with_the_present_one(now_us: int) -> None:
    months = statistics.months_until(now_us)
    assert len(months) == len(set(months)) == statistics.MONTHS
    assert months == sorted(months)
    assert months[-1] == datetime.fromtimestamp(now_us // 1_000_000, CHINA).strftime("%Y-%m")


async def test_statistics_are_what_a_recount_of_the_log_gives(house: House) -> None:
    floor = await played(house)
    house.now_us += 40 * DAY_US
    listing = await floor.listing(licence(7_00, 5))
    for buyer, licences in zip(floor.buyers, (2, 3), strict=True):
        sold = await house.act(sales.buy, sales.Buy(listing, licences), buyer)
    order = sales.AnnulSale(sold["voucher"]["trade"], "misdescription", "12", "not what it said")
    await house.act(sales.annul_sale, order, floor.regulator)

    said = (await house.call(None, "GET", "/v1/statistics")).json()
    volume: Counter[tuple[str, str]] = Counter()
    annulled = {body["act"]["trade"] for _, body in await floor.bodies() if body["kind"] == "sale_annulled"}
    for view in await house.gate.read(settlement.trades, floor.regulator):
        if view["trade"] in annulled:
            continue
        mode = "fixed" if view["lot"] is None else "auction"
        month = datetime.fromtimestamp(int(view["time_us"]) // 1_000_000, CHINA).strftime("%Y-%m")
        volume[mode, month] += int(view["price_fen"])
    assert annulled
    assert said["annulled"] == 1
    assert (said["trades"], int(said["volume_fen"])) == (3, sum(volume.values()))
    for key, at in (("modes", 0), ("months", 1)):
        told = {row[key[:-1]]: int(row["volume_fen"]) for row in said[key]}
        counted: Counter[str] = Counter()
        for where, fen in volume.items():
            counted[where[at]] += fen
        assert {name: fen for name, fen in told.items() if fen} == counted
    assert len({month for _, month in volume}) == 2  # the sales lie in two months
    assert said["assets"] == 3
    assert {row["role"]: row["parties"] for row in said["parties"]}["buyer"] == 3
    assert said["lots"] == [{"state": "sold", "lots": 1}]
    assert said["licences_in_force"] == 1  # two of 30 days are over, one was annulled


async def test_what_the_public_may_not_see_is_not_counted(house: House) -> None:
    floor = await Floor.open(house)
    before = (await house.call(None, "GET", "/v1/statistics")).json()["assets"]
    hidden = await floor.asset(opening="closed")
    shown = await floor.asset()
    after = (await house.call(None, "GET", "/v1/statistics")).json()
    visible = [(await house.call(None, "GET", f"/v1/assets/{one}")).status_code for one in (hidden, shown)]
    assert after["assets"] - before == visible.count(200)
