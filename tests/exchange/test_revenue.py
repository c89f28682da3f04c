"""Purpose drives the price, and the carry-over ledger bounds it: welfare free, industry under its ceiling, excess deducted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from exchange import listings, metering, negotiation, parties, revenue, rulebook, sales
from exchange.acts import Caller
from exchange.database import Addresses
from exchange.errors import Conflict, Forbidden, Unprocessable
from exchange.metering import EndSubscription, OfferMetered, RecordUsage, Subscribe
from exchange.negotiation import AcceptOffer, CounterOffer, MakeOffer, OfferNegotiated
from exchange.replay import Replayed, replay
from exchange.revenue import AllowRevenue, CostLine, ProductLine, allow
from exchange.worker import Worker
from tests.exchange.conftest import House
from tests.exchange.floor import DAY_US, START_FEN, Floor, another_gate, licence, outcome

pytestmark = pytest.mark.anyio

CN, GENERIC = rulebook.load("cn-venue"), rulebook.load("generic")


def moment(day: str) -> int:
    """Midnight in UTC, eight in the morning of that day in China."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000


TERMS = AllowRevenue(
    asset="ast-1",
    starts_us=moment("2026-11-01"),
    ends_us=moment("2027-11-01"),
    costs=(CostLine(1_000_000, "operation", "contract 1"),),
    subsidy_fen=0,
    profit_rate_ppm=80_000,
    bond_yield_ppm=20_000,
    tax_rate_ppm=0,
    source="发改价格〔2025〕65号",
    products=(ProductLine("licence", 1, 10),),
    started_on="2025-11-01",
)


def refused(act: AllowRevenue, rules: Any = CN) -> str | None:
    try:
        allow(act, 0, rules)
    except Unprocessable as problem:
        return problem.code if problem.rule else "without a rule"
    return None


def test_a_profit_rate_of_six_points_over_the_bond_is_allowed_and_a_millionth_more_refused() -> None:
    assert refused(TERMS) is None
    assert refused(replace(TERMS, profit_rate_ppm=80_001)) == "revenue.profit_rate"


@pytest.mark.parametrize(
    ("started", "basis"), [("2025-11-01", "audited"), ("2025-11-02", "trial"), ("2025-10-01", "audited")]
)
def test_a_price_is_on_trial_for_twelve_months_to_the_day(started: str, basis: str) -> None:
    assert allow(replace(TERMS, started_on=started), 0, CN).basis == basis
    assert allow(replace(TERMS, started_on=started), 0, GENERIC).basis == "audited"


def test_the_allowed_revenue_is_cost_net_of_subsidy_profit_and_tax_less_what_was_earned_too_much() -> None:
    allowed = allow(replace(TERMS, subsidy_fen=200_000, tax_rate_ppm=60_000), 1_000, CN)
    # 800,000 + 8 % + 6 % of both, less 1,000 fen; ten licences share it
    assert allowed.revenue.allowed_fen == 800_000 + 64_000 + 51_840 - 1_000
    assert allowed.ceilings_micro == {"licence": 914_840 * 1_000}
    beyond = allow(TERMS, 2_000_000, CN)
    assert (beyond.revenue.allowed_fen, beyond.revenue.carried_on_fen) == (0, 920_000)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"products": ()}, "revenue.products"),
        ({"products": (ProductLine("gulp", 1, 1),)}, "revenue.products"),
        ({"costs": ()}, "revenue.products"),
        ({"subsidy_fen": 1_000_001}, "revenue.terms"),
        ({"products": (ProductLine("call", 1, 0),)}, "revenue.terms"),
        ({"started_on": "2026-13-01"}, "revenue.started_on"),
        ({"started_on": "2027-01-01"}, "revenue.terms"),
    ],
)
def test_what_does_not_add_up_is_refused_by_name(changed: Mapping[str, Any], code: str) -> None:
    assert refused(replace(TERMS, **changed)) == code


@pytest.mark.parametrize(
    ("purpose", "rules", "free"),
    [
        ("public_welfare", CN, True),
        ("public_governance", CN, True),
        ("industry", CN, False),
        ("research", CN, False),
        ("", CN, False),
        ("public_welfare", GENERIC, False),
    ],
)
def test_public_governance_and_welfare_pay_nothing_and_nobody_else(
    purpose: str, rules: Any, free: bool
) -> None:
    assert listings.free(purpose, rules) is free


@pytest.fixture
async def floor(house: House) -> Floor:
    return await Floor.open(house)


async def sound(floor: Floor) -> Replayed:
    market = replay(await floor.bodies(), await floor.openings())
    assert market.differences == []
    return market


async def allowed(floor: Floor, asset: str, cost_fen: int, days: int = 30, **changed: Any) -> dict[str, Any]:
    last = await floor.house.gate.read(revenue.newest, asset)
    starts = floor.house.now_us if last is None else last.ends_us
    act = replace(
        TERMS,
        asset=asset,
        starts_us=starts,
        ends_us=starts + days * DAY_US,
        costs=(CostLine(cost_fen, "operation", "contract 1"),),
        **{"profit_rate_ppm": 0, "started_on": "2020-01-01", **changed},
    )
    return await floor.house.act(revenue.allow_revenue, act, floor.regulator)


async def shown(floor: Floor, who: Caller) -> None:
    """Let a buyer show that it serves the public."""
    digest = "5a" * 32
    filed = parties.FileDocument(who.party, "qualification", digest, None)
    await floor.house.act(parties.file_document, filed, who)
    review = parties.ReviewDocument(who.party, digest, "accept", "a hospital of the city")
    await floor.house.act(parties.review_document, review, floor.house.administrator)


async def test_welfare_has_licence_voucher_and_entry_for_nothing_once_it_has_shown_what_it_is(
    floor: Floor,
) -> None:
    house, (buyer, other) = floor.house, floor.buyers
    listing = await floor.listing(licence(100_000, licences=3))
    free = sales.Buy(listing, 1, purpose="public_welfare")
    assert (await house.act(sales.buy, free, buyer))["reason"]["code"] == "sale.free_use"
    await shown(floor, buyer)
    before = await floor.money(buyer)
    sale = await house.act(sales.buy, free, buyer)
    assert (sale["state"], sale["voucher"]["price_fen"]) == ("settled", "0")
    assert await floor.money(buyer) == before
    rows = await floor.rows("SELECT state FROM licence WHERE id = %s", sale["voucher"]["licence"])
    assert rows == [("active",)]
    paid = await house.act(sales.buy, sales.Buy(listing, 1, purpose="industry"), buyer)
    assert paid["voucher"]["price_fen"] == "100000"
    # the same by negotiation and by use
    terms = OfferNegotiated(await floor.asset(), licence(0, licences=2))
    talk = (await house.act(negotiation.offer_negotiated, terms, floor.seller))["id"]
    until = house.now_us + DAY_US
    act = MakeOffer(talk, 1, 1, until, "public_governance")
    with pytest.raises(Unprocessable) as paying:
        await house.act(negotiation.make_offer, act, buyer)
    assert paying.value.code == "offer.free"
    act = MakeOffer(talk, 0, 1, until, "public_governance")
    with pytest.raises(Forbidden) as unshown:
        await house.act(negotiation.make_offer, act, other)
    assert unshown.value.code == "sale.free_use"
    made = await house.act(negotiation.make_offer, act, buyer)
    seen = (await floor.bodies())[-1][0]
    dear = CounterOffer(made["negotiation"], seen, 1, 1, until)
    with pytest.raises(Unprocessable):
        await house.act(negotiation.counter_offer, dear, floor.seller)
    took = AcceptOffer(made["negotiation"], seen)
    assert (await house.act(negotiation.accept_offer, took, floor.seller))["voucher"]["price_fen"] == "0"
    meter = OfferMetered(await floor.asset(), licence(0), "call", 2_800)
    by_use = (await house.act(metering.offer_metered, meter, floor.seller))["id"]
    subscribed = await house.act(metering.subscribe, Subscribe(by_use, 10**9, False, "public_welfare"), buyer)
    assert (subscribed["unit_price_micro"], subscribed["hold"]) == ("0", None)
    assert await floor.money(buyer) == (before[0] - 101_000, 0)
    await sound(floor)


async def test_what_was_earned_above_the_allowed_is_deducted_from_the_next_period_to_the_fen(
    floor: Floor,
) -> None:
    house, buyer = floor.house, floor.buyers[0]
    asset = await floor.asset()
    first = await allowed(floor, asset, 300_000, products=(ProductLine("licence", 1, 3),))
    assert (first["allowed_fen"], first["ceilings"], first["deducted_fen"]) == (
        "300000",
        [{"unit": "licence", "unit_price_micro": "1000000000"}],
        "0",
    )
    listing = await floor.listing(licence(100_000, licences=9), asset)
    for _ in range(4):  # three were expected
        await house.act(sales.buy, sales.Buy(listing, 1), buyer)
    undone = await house.act(sales.buy, sales.Buy(listing, 1), buyer)
    annul = sales.AnnulSale(undone["voucher"]["trade"], "misdescription", "order 7", "wrong year")
    await house.act(sales.annul_sale, annul, floor.regulator)
    with pytest.raises(Conflict) as running:
        await allowed(floor, asset, 1)
    assert running.value.code == "revenue.open"
    worker = Worker(house.gate, house.gate.database)
    house.now_us += 30 * DAY_US - 1
    await worker.follow_up()
    assert (await house.gate.read(revenue.periods, asset, None))[0]["state"] == "open"
    house.now_us += 1
    await worker.follow_up()
    closed = (await house.gate.read(revenue.periods, asset, None))[0]
    assert (closed["revenue_fen"], closed["excess_fen"], closed["state"]) == ("400000", "100000", "closed")
    second = await allowed(floor, asset, 250_000, products=(ProductLine("licence", 1, 3),))
    assert (second["deducted_fen"], second["allowed_fen"]) == ("100000", "150000")
    # What was listed under the old ceiling is not sold above the new one, whoever buys.
    refused = await house.act(sales.buy, sales.Buy(listing, 1), buyer)
    assert refused["reason"]["code"] == "price.ceiling"
    market = await sound(floor)
    assert [one.excess_fen for one in market.revenue[asset]] == [100_000, None]
    assert market.judged["revenue periods"] == 2
    page = await house.call(None, "GET", f"/v1/assets/{asset}/revenue-periods")
    assert [one["number"] for one in page.json()] == ["2", "1"]
    # The next one through the door, with what even it cannot absorb.
    house.now_us = int(second["ends_us"])
    await worker.follow_up()
    form = {
        "starts_us": second["ends_us"],
        "ends_us": str(int(second["ends_us"]) + DAY_US),
        "costs": [{"amount_fen": "1", "description": "operation", "source": "contract 2"}],
        "profit_rate_ppm": "0",
        "bond_yield_ppm": "0",
        "tax_rate_ppm": "0",
        "source": "an order",
        "products": [{"unit": "licence", "expected_units": "1"}],
        "started_on": "2020-01-01",
    }
    third = await house.done(floor.regulator, f"/v1/assets/{asset}/revenue-periods", form)
    assert (third["number"], third["allowed_fen"], third["basis"]) == ("3", "1", "audited")


async def test_a_ceiling_holds_in_every_format_at_its_edge_and_a_fen_above(floor: Floor) -> None:
    house, buyer = floor.house, floor.buyers[0]
    asset = await floor.asset()
    products = (ProductLine("licence", 7, 1), ProductLine("call", 3, 1_000_000))
    await allowed(floor, asset, 1_000_000, products=products)  # 7,000 yuan a licence, 0.003 yuan a call

    async def code(coming: Any) -> str | None:
        try:
            said = await coming
        except (Unprocessable, Conflict) as problem:
            return problem.code
        return said["reason"]["code"] if isinstance(said, dict) and said["state"] == "refused" else None

    assert await code(floor.listing(licence(700_001, licences=9), asset)) == "price.ceiling"
    fixed = await floor.listing(licence(700_000, licences=9), asset)
    assert await code(house.act(sales.buy, sales.Buy(fixed, 1), buyer)) is None
    for ceiling_fen, expected in ((None, "price.ceiling"), (700_001, "price.ceiling"), (700_000, None)):
        offer = replace(licence(START_FEN), ceiling_fen=ceiling_fen)
        assert await code(floor.lot(asset, offer=offer)) == expected
    for price, expected in ((3_001, "price.ceiling"), (3_000, None)):
        meter = OfferMetered(asset, licence(0, licences=5), "call", price)
        assert await code(house.act(metering.offer_metered, meter, floor.seller)) == expected
    rows = OfferMetered(asset, licence(0), "row", 1)
    assert await code(house.act(metering.offer_metered, rows, floor.seller)) == "price.ceiling"
    terms = OfferNegotiated(asset, licence(0, licences=5))
    talk = (await house.act(negotiation.offer_negotiated, terms, floor.seller))["id"]
    until = house.now_us + DAY_US
    dear = house.act(negotiation.make_offer, MakeOffer(talk, 700_001, 1, until), buyer)
    assert await code(dear) == "price.ceiling"
    assert await code(house.act(negotiation.make_offer, MakeOffer(talk, 700_000, 1, until), buyer)) is None
    # A lot that may be won above a new ceiling keeps that from coming into force under it.
    house.now_us += 30 * DAY_US
    worker = Worker(house.gate, house.gate.database)
    await worker.follow_up()
    assert await code(allowed(floor, asset, 1_000)) == "revenue.lot_stands"
    await worker.tick()
    assert await code(allowed(floor, asset, 1_000)) is None
    await sound(floor)


async def test_a_lower_ceiling_reaches_what_was_agreed_by_use_at_the_next_statement(floor: Floor) -> None:
    house, buyer = floor.house, floor.buyers[0]
    asset = await floor.asset()
    await allowed(floor, asset, 1_000_000, days=1, products=(ProductLine("call", 1, 1_000_000),))
    meter = OfferMetered(asset, licence(0), "call", 10_000)
    listing = (await house.act(metering.offer_metered, meter, floor.seller))["id"]
    subscribed = await house.act(metering.subscribe, Subscribe(listing, 1_000), buyer)
    await house.sign_both(subscribed["voucher"]["trade"], floor.seller, buyer)
    told = subscribed["subscription"]
    await house.act(metering.record_usage, RecordUsage(told, 100), floor.seller)
    house.now_us += DAY_US
    await Worker(house.gate, house.gate.database).follow_up()
    await allowed(floor, asset, 500_000, products=(ProductLine("call", 1, 1_000_000),))
    last = await house.act(metering.end_subscription, EndSubscription(told), buyer)
    assert (last["unit_price_micro"], last["price_fen"]) == ("5000", "50")
    await sound(floor)


async def test_a_ceiling_holds_while_many_buy_as_it_falls(floor: Floor, database: Addresses) -> None:
    house = floor.house
    asset = await floor.asset()
    listing = await floor.listing(licence(1_000, licences=40), asset)
    act = replace(
        TERMS, asset=asset, starts_us=house.now_us, ends_us=house.now_us + DAY_US,
        costs=(CostLine(5_000, "operation", "contract 1"),), profit_rate_ppm=0, started_on="2020-01-01",
    )  # fmt: skip
    async with another_gate(house, database) as other:
        told = await asyncio.gather(
            *(
                (house.gate, other)[n % 2].perform(
                    sales.buy, sales.Buy(listing, 1), caller=floor.buyers[n % 2], key=f"buy-{n}"
                )
                for n in range(20)
            ),
            other.perform(revenue.allow_revenue, act, caller=floor.regulator, key="allow"),
        )
    at = {reply.index: outcome(reply) for reply in told}
    (fell,) = [index for index, said in at.items() if "allowed_fen" in said]
    for index, said in at.items():
        if index != fell:
            assert (said["state"] == "settled") == (index < fell), said
    await sound(floor)


async def test_a_replay_finds_a_period_that_was_closed_with_another_sum(floor: Floor) -> None:
    house = floor.house
    asset = await floor.asset()
    await allowed(floor, asset, 300_000, days=1)
    house.now_us += DAY_US
    await Worker(house.gate, house.gate.database).follow_up()
    bodies = await floor.bodies()
    for kind, change in (
        ("revenue_closed", {"revenue_fen": "1"}),
        ("revenue_allowed", {"allowed_fen": "1"}),
        ("revenue_allowed", {"ceilings": []}),
    ):
        (at,) = [n for n, (_, body) in enumerate(bodies) if body["kind"] == kind]
        false = {**bodies[at][1], "act": {**bodies[at][1]["act"], **change}}
        altered = [*bodies[:at], (bodies[at][0], false), *bodies[at + 1 :]]
        assert replay(altered, await floor.openings()).differences
