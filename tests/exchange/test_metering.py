"""What is charged by use: held or paid ahead, counted within its quota, settled by statements that add up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from exchange import controls, metering, parties, rulebook
from exchange.acts import Caller
from exchange.database import Addresses
from exchange.errors import Conflict, Forbidden, NotFound, Unprocessable
from exchange.listings import Offer
from exchange.metering import EndSubscription, OfferMetered, RecordUsage, SettleUsage, Subscribe
from exchange.replay import Replayed, replay
from exchange.worker import Worker
from tests.exchange.conftest import House
from tests.exchange.floor import DAY_US, Floor, agreement, another_gate, may_see, outcome

pytestmark = pytest.mark.anyio

CALL_MICRO = 2_800  # 0.0028 yuan
RULES = rulebook.load("cn-venue")


@pytest.fixture
async def floor(house: House) -> Floor:
    return await Floor.open(house)


async def sound(floor: Floor) -> Replayed:
    market = replay(await floor.bodies(), await floor.openings())
    assert market.differences == []
    return market


async def listed(floor: Floor, asset: str | None = None, **changed: Any) -> str:
    offer = Offer("licence", changed.pop("licences", 3), changed.pop("days", 70), 0)
    terms: dict[str, Any] = {
        "unit": "call",
        "unit_price_micro": CALL_MICRO,
        "ceiling_micro": 5_000,
        **changed,
    }
    act = OfferMetered(asset or await floor.asset(), offer, **terms)
    listing: str = (await floor.house.act(metering.offer_metered, act, floor.seller))["id"]
    return listing


async def subscribed(floor: Floor, listing: str, buyer: Caller, quota: int, **more: Any) -> Any:
    told = await floor.house.act(metering.subscribe, Subscribe(listing, quota, **more), buyer)
    if told["state"] == "open":
        await floor.house.sign_both(told["voucher"]["trade"], floor.seller, buyer)
    return told


async def used(floor: Floor, told: Any, quantity: int, who: Caller | None = None) -> Any:
    act = RecordUsage(told["subscription"], quantity)
    return await floor.house.act(metering.record_usage, act, who or floor.seller)


async def statement(floor: Floor, told: Any, number: int, who: Caller | None = None) -> Any:
    name = told["subscription"]
    return await floor.house.gate.read(metering.statement, who or floor.regulator, name, number)


async def test_an_interface_at_0_0028_yuan_is_held_counted_and_settled_month_by_month(floor: Floor) -> None:
    house, (buyer, other) = floor.house, floor.buyers
    operator = Caller("op", floor.operator.party, frozenset({"operator"}))
    await house.act(parties.agree_operation, agreement(operator.party, 200_000), floor.seller)
    listing = await listed(floor, await floor.asset(operator=operator.party))
    before = await floor.money(buyer)
    told = await subscribed(floor, listing, buyer, 1_000_000, purpose="industry")
    # 1,000,000 calls cost 2,800 yuan, the fee 28, and a fen for each of three statements.
    assert (told["most_fen"], told["hold_fen"]) == ("280000", "282803")
    assert await floor.money(buyer) == (before[0] - 282_803, 282_803)
    for quantity in (1, 1, 1, 123_454):
        await used(floor, told, quantity, operator)
    refused = await used(floor, told, 900_000)
    assert (refused["reason"]["code"], refused["left"]) == ("usage.over_quota", "876543")
    for stranger in (buyer, other, floor.regulator):
        with pytest.raises(NotFound):
            await used(floor, told, 1, stranger)
    settle = SettleUsage(told["subscription"])
    house.now_us += 30 * DAY_US - 1
    worker = Worker(house.gate, house.gate.database)
    await worker.follow_up()
    with pytest.raises(NotFound):
        await statement(floor, told, 1)
    house.now_us += 1
    await worker.follow_up()
    first = await statement(floor, told, 1, buyer)
    # 123,457 calls: 345.6796 yuan, rounded down once; call by call it would have been nothing.
    assert (first["quantity"], first["price_fen"], first["rounding"]) == ("123457", "34567", "down")
    assert sum(int(one["quantity"]) for one in first["records"]) == 123_457
    parts = first["split"]
    assert (parts["buyer_fee_fen"], parts["seller_fee_fen"], parts["tax_fen"]) == ("346", "519", "1957")
    assert sum(map(int, parts["shares_fen"])) == (34_567 - 1_957) * 200_000 // 1_000_000
    paid = 34_567 + 346
    assert await floor.money(buyer) == (before[0] - 282_803, 282_803 - paid)
    await used(floor, told, 876_543)
    assert (await used(floor, told, 1))["left"] == "0"
    house.now_us += 30 * DAY_US
    await worker.follow_up()
    assert (await statement(floor, told, 2))["price_fen"] == "245432"
    house.now_us += 10 * DAY_US  # the term is over: what is left of the hold goes back
    await worker.follow_up()
    assert (await statement(floor, told, 3))["state"] == "ended"
    with pytest.raises(Conflict) as over:
        await used(floor, told, 1)
    assert over.value.code == "subscription.ended"
    assert await floor.money(buyer) == (before[0] - 34_567 - 346 - 245_432 - 2_454, 0)
    response = await house.call(
        None, "GET", f"/v1/subscriptions/{told['subscription']}/statements/1/sheet.csv"
    )
    assert response.status_code == 401
    assert len(metering_sheet(await statement(floor, told, 1))) == 8
    entries = [i for i, body in await floor.bodies() if body["kind"] in ("usage_recorded", "usage_settled")]
    assert all([await may_see(floor, who, i) for who in (buyer, floor.seller, operator) for i in entries])
    assert not await may_see(floor, other, entries[0])
    market = await sound(floor)
    assert (market.judged["usage records"], market.judged["usage statements"]) == (5, 3)
    assert settle.subscription in market.subscriptions


async def test_each_statement_of_use_has_invoice_lines_and_is_an_expense_of_its_period(floor: Floor) -> None:
    house, (buyer, other) = floor.house, floor.buyers
    listing = await listed(floor)
    held = await subscribed(floor, listing, buyer, 1_000_000, purpose="industry")
    ahead = await subscribed(floor, listing, other, 1_000, prepaid=True, purpose="industry")
    for told, quantity in ((held, 123_457), (ahead, 900)):
        await used(floor, told, quantity)
    house.now_us += 30 * DAY_US
    await Worker(house.gate, house.gate.database).follow_up()

    async def seen(caller: Caller) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await house.call(caller, "GET", "/v1/invoices")).json()
        return rows

    charged, trade = await seen(buyer)
    assert (trade["number"], trade["lines"], trade["usage"]) == (held["voucher"]["trade"], [], None)
    assert charged["number"] == f"{held['subscription']}-1"
    assert charged["recognised_as"] == "period_expense"
    assert charged["usage"].items() >= {
        "quantity": "123457", "unit": "call", "unit_price_micro": str(CALL_MICRO), "subscription": held["subscription"],
    }.items()  # fmt: skip
    # 345.67 yuan with 19.57 of tax, and the fee of 3.46: what is left without the tax is the expense.
    amounts = {line["component"]: line["amount_fen"] for line in charged["lines"]}
    assert amounts == {
        "purchase_price": "32610",
        "value_added_tax": "1957",
        "registration_and_settlement": "346",
    }
    assert (charged["cost_fen"], charged["paid_fen"]) == ("32956", "34913")
    body = dict(await floor.bodies())[int(charged["index"])]
    posted = {one["code"]: int(one["amount"]) for one in body["transfers"] if one["kind"] == "post"}
    assert int(charged["paid_fen"]) == posted["price"] + posted["buyer_fee"]
    # What was paid ahead is in the sale's own lines, once.
    (paid,) = await seen(other)
    assert (paid["number"], paid["recognised_as"]) == (ahead["voucher"]["trade"], "intangible_asset")
    assert [one["number"] for one in await seen(floor.seller)] == [
        charged["number"],
        paid["number"],
        trade["number"],
    ]
    page = await house.call(floor.seller, "GET", f"/v1/invoices?after={charged['index']}&limit=1")
    assert [one["number"] for one in page.json()] == [paid["number"]]
    sheet = (await house.call(buyer, "GET", "/v1/invoices.csv?lang=zh")).content.decode("utf-8-sig")
    assert sheet.count("当期费用") == 3


async def test_a_fee_that_rises_meanwhile_does_not_reach_who_subscribed_before(floor: Floor) -> None:
    house, (buyer, other) = floor.house, floor.buyers
    listing = await listed(floor)
    told = await subscribed(floor, listing, buyer, 1_000_000, purpose="industry")
    board = await house.party("governing_body", people=2)
    fee = "fees.buyer_commission_ppm"
    said = {fee: {**rulebook.load("cn-venue")[fee].to_json(), "value": "50000"}}
    change = await house.act(
        rulebook.propose_rule_change,
        rulebook.ProposeRuleChange(said, None, house.now_us + DAY_US, "costs have risen"),
        board[0],
    )
    sign = rulebook.DecideRuleChange(change["id"], change["result"]["digest"], "sign", "seen")
    await house.act(rulebook.decide_rule_change, sign, board[1])
    house.now_us += 2 * DAY_US
    after = await subscribed(floor, listing, other, 1_000_000, purpose="industry")
    for one in (told, after):
        await used(floor, one, 1_000_000)  # all that was held for is used up, before the last statement
    worker = Worker(house.gate, house.gate.database)
    for days in (31, 31, 31):
        house.now_us += days * DAY_US
        await worker.follow_up()
    fees = [(await statement(floor, one, 1))["split"]["buyer_fee_fen"] for one in (told, after)]
    assert fees == ["2800", "14000"]
    assert [await floor.money(one) for one in (buyer, other)] == [
        (10_000_000 - 280_000 - paid, 0) for paid in (2_800, 14_000)
    ]
    await sound(floor)


def metering_sheet(told: Any) -> list[Any]:
    """The rows of a statement's sheet, whose quantities add up."""
    rows = metering.sheet(told)
    quantities = [row[2] for row in rows[1:] if isinstance(row[2], int)]
    assert sum(quantities[:-1]) == quantities[-1]
    return rows


async def test_what_is_paid_ahead_is_one_sale_and_its_statements_charge_nothing_more(floor: Floor) -> None:
    house, buyer = floor.house, floor.buyers[0]
    listing = await listed(floor, unit="megabyte", unit_price_micro=1_000_000, ceiling_micro=None)
    before = await floor.money(buyer)
    told = await subscribed(floor, listing, buyer, 5_000_000, prepaid=True)
    assert (told["voucher"]["price_fen"], told["hold"]) == ("500", None)
    await used(floor, told, 4_999_999)
    ending = EndSubscription(told["subscription"])
    with pytest.raises(NotFound):
        await house.act(metering.end_subscription, ending, floor.seller)
    last = await house.act(metering.end_subscription, ending, buyer)
    assert (last["state"], last["price_fen"], last["quantity"]) == ("cancelled", "0", "4999999")
    assert await floor.money(buyer) == (before[0] - 505, 0)
    with pytest.raises(Conflict):
        await used(floor, told, 1)
    await sound(floor)


async def test_a_buyer_who_ends_pays_what_was_used_and_has_the_rest_back_at_once(floor: Floor) -> None:
    buyer = floor.buyers[0]
    before = await floor.money(buyer)
    told = await subscribed(floor, await listed(floor), buyer, 100_000)
    await used(floor, told, 10_000)
    await floor.house.act(controls.stop_trading, controls.StopTrading(buyer.party), buyer)
    with pytest.raises(Forbidden) as stopped:  # the kill switch stops what costs by use
        await used(floor, told, 1)
    assert stopped.value.code == "party.stopped"
    await floor.house.act(metering.end_subscription, EndSubscription(told["subscription"]), buyer)
    assert await floor.money(buyer) == (before[0] - 2_800 - 28, 0)
    await Worker(floor.house.gate, floor.house.gate.database).follow_up()
    await sound(floor)


@pytest.mark.parametrize(
    ("unit", "price", "code"),
    [
        ("call", 5_000, None),
        ("call", 5_001, "listing.unit_ceiling"),
        ("gulp", 1, "listing.unit"),
        ("call", -1, "listing.terms"),
    ],
)
def test_a_unit_price_at_the_ceiling_is_listed_and_one_above_refused(
    unit: str, price: int, code: str | None
) -> None:
    if code is None:
        assert metering.check_meter(unit, price, 5_000, RULES).unit_price_micro == price
        return
    with pytest.raises(Unprocessable) as refused:
        metering.check_meter(unit, price, 5_000, RULES)
    assert refused.value.code == code


async def test_two_gateways_at_once_never_count_more_than_the_quota(
    floor: Floor, database: Addresses
) -> None:
    listing = await listed(floor)
    dear = await subscribed(floor, listing, floor.buyers[0], 4_000_000_000)
    assert dear["reason"]["code"] == "transfer.exceeds_credits"  # more than 100,000 yuan are not there
    told = await subscribed(floor, listing, floor.buyers[0], 100)
    async with another_gate(floor.house, database) as other:
        replies = await asyncio.gather(
            *(
                (floor.house.gate, other)[n % 2].perform(
                    metering.record_usage,
                    RecordUsage(told["subscription"], 7),
                    caller=floor.seller,
                    key=f"use-{n}",
                )
                for n in range(20)
            )
        )
    states = [outcome(reply)["state"] for reply in replies]
    assert (states.count("recorded"), states.count("refused")) == (14, 6)
    market = await sound(floor)
    assert market.subscriptions[told["subscription"]].used == 98


async def test_a_replay_finds_a_statement_of_another_sum(floor: Floor) -> None:
    buyer = floor.buyers[0]
    told = await subscribed(floor, await listed(floor), buyer, 100_000)
    await used(floor, told, 10_000)
    await floor.house.act(metering.end_subscription, EndSubscription(told["subscription"]), buyer)
    bodies = await floor.bodies()
    (at,) = [n for n, (_, body) in enumerate(bodies) if body["kind"] == "usage_settled"]
    for change in ({"quantity": "9999"}, {"price_fen": "2801"}, {"hold_fen": "1"}):
        false = {**bodies[at][1], "act": {**bodies[at][1]["act"], **change}}
        altered = [*bodies[:at], (bodies[at][0], false), *bodies[at + 1 :]]
        assert replay(altered, await floor.openings()).differences
