"""The demand board: what a buyer may ask for, who may answer with what, and when a want is over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exchange import demands, rulebook
from exchange.demands import AnswerDemand, PostDemand, check_demand
from exchange.errors import Conflict, ExchangeError, Forbidden, NotFound
from exchange.replay import replay
from tests.exchange.conftest import House
from tests.exchange.floor import DAY_US, Floor, licence, themed

CN = rulebook.load("cn-venue")
WANTED = PostDemand("每小时航班", "research", 100, 900, 30, 90)


def refused(**changed: Any) -> str | None:
    try:
        check_demand(replace(WANTED, **changed), CN)
    except ExchangeError as problem:
        return problem.code
    return None


def test_each_figure_of_a_want_is_held_on_both_sides() -> None:
    assert [refused(open_days=days) for days in (0, 1, 180, 181)] == [
        "demand.open",
        None,
        None,
        "demand.open",
    ]
    assert [refused(term_days=days) for days in (0, 1, 3_650, 3_651)] == [
        "demand.term",
        None,
        None,
        "demand.term",
    ]
    bands = [(0, 0), (900, 900), (901, 900), (-1, 900), (0, 2**53), (0, 2**53 + 1)]
    assert [refused(low_fen=low, high_fen=high) for low, high in bands] == [
        None,
        None,
        "demand.budget",
        "demand.budget",
        None,
        "demand.budget",
    ]
    assert [refused(subject=text) for text in ("", "   ", "x" * 500, "x" * 501)] == [
        "demand.words",
        "demand.words",
        None,
        "demand.words",
    ]
    assert refused(purpose="spying") == "purpose.unknown"


@pytest.mark.anyio
async def test_a_want_is_answered_with_what_a_department_has_until_its_last_microsecond(house: House) -> None:
    floor = await Floor.open(house, buyers=2)
    buyer, other = floor.buyers
    with pytest.raises(Forbidden):
        await house.act(demands.post_demand, WANTED, floor.seller)
    want = (await house.act(demands.post_demand, WANTED, buyer))["id"]
    asset = await floor.asset()
    listing = await floor.listing(licence(500, 3), asset)
    foreign = await floor.asset(seller=(await house.party("supplier"))[0])
    unready = await themed(house, floor.seller)
    with pytest.raises(Forbidden):
        await house.act(demands.answer_demand, AnswerDemand(want, asset, "mine"), other)
    with pytest.raises(NotFound, match="no asset"):
        await house.act(demands.answer_demand, AnswerDemand(want, foreign, "mine"), floor.seller)
    with pytest.raises(Conflict, match="themed"):
        await house.act(demands.answer_demand, AnswerDemand(want, unready, "soon"), floor.seller)
    with pytest.raises(Conflict, match="no such listing"):
        await house.act(demands.answer_demand, AnswerDemand(want, asset, "x", "lst-none"), floor.seller)
    answer = AnswerDemand(want, asset, "有,按小时", listing)
    await house.act(demands.answer_demand, answer, floor.seller)
    with pytest.raises(Conflict, match="named before"):
        await house.act(demands.answer_demand, answer, floor.seller)
    # Everybody browses, without a key.
    (row,) = (await house.call(None, "GET", "/v1/demands?purpose=research")).json()
    assert (row["id"], row["subject"], row["high_fen"]) == (want, "每小时航班", "900")
    assert (await house.call(None, "GET", "/v1/demands?purpose=insurance")).json() == []
    detail = (await house.call(None, "GET", f"/v1/demands/{want}")).json()
    assert [(one["asset"], one["listing"], one["words"]) for one in detail["answers"]] == [
        (asset, listing, "有,按小时")
    ]
    # One is taken off by its buyer alone, the other ends with its days.
    gone = (await house.act(demands.post_demand, WANTED, other))["id"]
    with pytest.raises(NotFound):
        await house.act(demands.withdraw_demand, demands.WithdrawDemand(gone), buyer)
    await house.act(demands.withdraw_demand, demands.WithdrawDemand(gone), other)
    with pytest.raises(Conflict, match="withdrawn"):
        await house.act(demands.answer_demand, AnswerDemand(gone, asset, "late"), floor.seller)
    second = await floor.asset()
    house.now_us = int(row["until_us"]) - 1
    await house.act(demands.answer_demand, AnswerDemand(want, second, "also"), floor.seller)
    house.now_us += 1
    third = AnswerDemand(want, second, "late")
    with pytest.raises(Conflict, match="expired"):
        await house.act(demands.answer_demand, third, floor.seller)
    assert (await house.call(None, "GET", "/v1/demands")).json() == []
    every = (await house.call(None, "GET", "/v1/demands?every=true")).json()
    assert [one["state"] for one in every] == ["withdrawn", "expired"]
    log, openings = await floor.bodies(), await floor.openings()
    market = replay(log, openings)
    assert market.differences == []
    assert market.judged["demands"] == 2
    at = next(n for n, (_, body) in enumerate(log) if body["kind"] == "demand_posted")
    index, body = log[at]
    longer = {**body, "act": {**body["act"], "until_us": str(house.now_us + DAY_US)}}
    found = replay([*log[:at], (index, longer), *log[at + 1 :]], openings).differences
    assert [one.what for one in found] == [f"end of {want}"]
