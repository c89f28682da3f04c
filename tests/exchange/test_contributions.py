"""What departments add to an asset made of several: measured, agreed by all, and by it a sale is shared to the fen."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import contributions, rulebook, sales, settlement
from exchange.acts import Caller
from exchange.errors import Conflict, ExchangeError, NotFound
from exchange.money import FEES, TAX
from exchange.replay import replay
from tests.exchange.conftest import House
from tests.exchange.floor import Floor, licence
from tests.exchange.test_treasury import fenced

RULES = rulebook.load("cn-venue")
WORTHS = (0, 600_000, 500_000, 800_000)
"""Of the first alone, the second alone, and both, in millionths of accuracy: they add 450,000 and 350,000."""


def in_every_order(names: tuple[str, ...], worths: tuple[int, ...]) -> dict[str, Fraction]:
    """Shapley's value as it is defined: what each adds on average, over all orders in which they come."""
    totals = dict.fromkeys(names, Fraction(0))
    orders = list(permutations(range(len(names))))
    for order in orders:
        mask = 0
        for player in order:
            totals[names[player]] += worths[mask | 1 << player] - worths[mask]
            mask |= 1 << player
    return {name: total / len(orders) for name, total in totals.items()}


@given(st.integers(0, 2**50), st.lists(st.integers(0, 10**6), min_size=7, max_size=7))
def test_what_is_left_of_a_price_is_shared_by_what_each_adds_and_no_fen_is_lost(
    price: int, worths: list[int]
) -> None:
    names, game = ("a", "b", "c"), (0, *worths[:6], max(worths) + 1)
    expected = in_every_order(names, game)
    added = contributions.values_of(names, game)
    assert added == expected
    parts = settlement.split(price, RULES, None, added)
    rest = price - parts.tax_fen - parts.seller_fee_fen
    assert sum(fen for _, fen in parts.departments_fen) == rest
    above = {name: max(value, Fraction(0)) for name, value in expected.items()}
    for name, fen in parts.departments_fen:
        assert abs(fen - rest * above[name] / sum(above.values())) < 1
    accounts = {name: f"acc-{name}" for name in names}
    moved: dict[str, int] = {}
    for t in settlement.chain("t", parts, "buyer", "acc-a", None, accounts) if price else []:
        moved[t.debit] = moved.get(t.debit, 0) - t.amount
        moved[t.credit] = moved.get(t.credit, 0) + t.amount
    assert {name: moved.get(account, 0) for name, account in accounts.items()} == dict(parts.departments_fen)


async def made_of_two(house: House) -> tuple[Floor, Caller, str]:
    """An asset of the floor's department that is derived from one of another."""
    floor = await Floor.open(house)
    (other,) = await house.party("supplier")
    parent = await floor.asset(seller=other)
    return floor, other, await floor.asset(parents=(parent,))


def filed(asset: str, floor: Floor, other: Caller, **changed: Any) -> contributions.FileContributions:
    said: dict[str, Any] = {
        "departments": (floor.seller.party, other.party),
        "worths": WORTHS,
        "measure": "accuracy of one model on each department's rows",
        "evidence": "ab" * 32,
        **changed,
    }
    return contributions.FileContributions(asset, **said)


async def answer(house: House, name: str, caller: Caller, *, accept: bool = True) -> str:
    act = contributions.AnswerContributions(name, accept)
    state: str = (await house.act(contributions.answer_contributions, act, caller))["state"]
    return state


@pytest.mark.anyio
async def test_a_sale_is_shared_by_what_all_departments_have_agreed_and_by_nothing_before(
    house: House,
) -> None:
    floor, other, asset = await made_of_two(house)
    listing = await floor.listing(licence(1_060_000, 3), asset)
    account = dict(await floor.rows("SELECT id, account FROM party"))
    for wrong, code in (
        ({"departments": (floor.seller.party, floor.buyers[0].party)}, "contributions.departments"),
        ({"departments": (floor.seller.party,), "worths": (0, 1)}, "contributions.departments"),
        ({"worths": (0, 1, 2)}, "contributions.worths"),
        ({"worths": (1, 1, 2, 3)}, "contributions.worths"),
        ({"worths": (0, 0, 0, 0)}, "contributions.worths"),
        ({"evidence": "ab"}, "contributions.measure"),
    ):
        with pytest.raises(ExchangeError) as refused:
            await house.act(
                contributions.file_contributions, filed(asset, floor, other, **wrong), floor.seller
            )
        assert refused.value.code == code
    with pytest.raises(NotFound):
        await house.act(contributions.file_contributions, filed(asset, floor, other), other)

    async def sold() -> dict[str, int]:
        before = await floor.balances()
        await house.act(sales.buy, sales.Buy(listing, 1), floor.buyers[0])
        after = await floor.balances()
        return {name: after[name] - before[name] for name in after if after[name] != before[name]}

    put = await house.act(contributions.file_contributions, filed(asset, floor, other), floor.seller)
    name = put["contributions"]
    rest = 1_060_000 - 60_000 - 15_900
    assert (await sold())[account[floor.seller.party]] == rest  # the other has not accepted it
    for caller in (floor.buyers[0], floor.regulator):
        with pytest.raises(NotFound):
            await answer(house, name, caller)
    with pytest.raises(Conflict):
        await answer(house, name, floor.seller)
    assert await answer(house, name, other) == "agreed"
    with pytest.raises(Conflict):
        await answer(house, name, other, accept=False)
    moved = await sold()
    # 450,000 : 350,000 of 9,841.00 yuan: 5,535.5625 and 4,305.4375.
    assert moved == {
        account[floor.buyers[0].party]: -1_070_600,
        account[floor.seller.party]: 553_556,
        account[other.party]: 430_544,
        FEES: 26_500,
        TAX: 60_000,
    }
    shown = await house.gate.read(contributions.measured, other, asset)
    assert shown[0]["shares_ppm"] == {floor.seller.party: "562500", other.party: "437500"}
    assert await house.gate.read(contributions.measured, floor.buyers[0], asset) == []
    # A later one that is rejected changes nothing; one that is agreed replaces it.
    again = await house.act(
        contributions.file_contributions, filed(asset, floor, other, worths=(0, 1, 0, 1)), floor.seller
    )
    assert await answer(house, again["contributions"], other, accept=False) == "rejected"
    again = await house.act(
        contributions.file_contributions, filed(asset, floor, other, worths=(0, 1, 1, 2)), floor.seller
    )
    assert await answer(house, again["contributions"], other) == "agreed"
    assert (await sold())[account[other.party]] == rest // 2
    # Undone under an order, every department gives its part back.
    trades = await floor.rows("SELECT id FROM trade ORDER BY log_index")
    before = await floor.balances()
    order = sales.AnnulSale(trades[1][0], "misdescription", "order 3", "another table")
    await house.act(sales.annul_sale, order, floor.regulator)
    after = await floor.balances()
    assert {name: before[name] - after[name] for name in after if after[name] != before[name]} == moved
    bodies, openings = await floor.bodies(), await floor.openings()
    market = replay(bodies, openings)
    assert (market.differences, market.judged["contributions"]) == ([], 3)
    assert ("cash", "cash", "contribution") in fenced(bodies)
    # A log that pays otherwise, or agrees without a department, is found out.
    changes: dict[str, tuple[int, dict[str, Any]]] = {
        "sale": (1, {"transfers": []}),
        "contributions_answered": (0, {"act": {"department": floor.buyers[0].party}}),
        "contributions_filed": (0, {"act": {"worths": ["0", "1", "1", "2"]}}),
    }
    for kind, (which, members) in changes.items():
        changed = orjson.loads(orjson.dumps(bodies))
        body = changed[[i for i, one in bodies if one["kind"] == kind][which]][1]
        for name, value in members.items():
            body[name] = {**body[name], **value} if name == "act" else value
        assert replay(changed, openings).differences, kind
