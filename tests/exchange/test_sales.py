"""Fixed-price sales and their listings: never more than offered, exclusive means exclusive, refusals on the record."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from exchange import auctions, parties, rulebook, sales
from exchange.acts import CLOCK
from exchange.database import Addresses
from exchange.errors import Conflict, Forbidden, NotFound, Unprocessable
from exchange.listings import Offer, check_offer, listings
from exchange.replay import replay
from exchange.sales import Buy, OfferFixedPrice
from tests.exchange.conftest import House
from tests.exchange.floor import DAY_US, START_FEN, Floor, another_gate, exclusive, licence, outcome

pytestmark = pytest.mark.anyio

RULES = rulebook.load("cn-venue")


@pytest.fixture
async def floor(house: House) -> Floor:
    return await Floor.open(house)


async def sound(floor: Floor) -> Any:
    market = replay(await floor.bodies(), await floor.openings())
    assert market.differences == []
    return market


@pytest.mark.parametrize(
    ("offer", "code"),
    [
        (licence(100), None),
        (licence(0), None),
        (licence(-1), "listing.price"),
        (licence(2**53), None),
        (licence(2**53 + 1), "listing.price"),
        (licence(100, term_days=3650), None),
        (licence(100, term_days=3651), "listing.term"),
        (licence(100, term_days=0), "listing.term"),
        (licence(100, licences=1_000_000), None),
        (licence(100, licences=1_000_001), "listing.licences"),
        (licence(100, licences=0), "listing.licences"),
        (licence(100, ceiling_fen=100), None),
        (licence(101, ceiling_fen=100), "listing.ceiling"),
        (exclusive(100, term_days=365), None),
        (exclusive(100, term_days=366), "listing.term"),
        (replace(exclusive(100), licences=2), "listing.exclusive"),
        (replace(exclusive(100), reason=" "), "listing.exclusive"),
        (Offer("gift", 1, 30, 0), "listing.grant"),
    ],
)
async def test_the_terms_of_an_offer_hold_exactly_on_both_sides(offer: Offer, code: str | None) -> None:
    if code is None:
        check_offer(offer, RULES)
        return
    with pytest.raises(Unprocessable) as wrong:
        check_offer(offer, RULES)
    assert (wrong.value.code, bool(wrong.value.rule), bool(wrong.value.remedy)) == (code, True, True)


async def test_a_purchase_pays_licenses_and_confirms_in_one_entry(floor: Floor) -> None:
    listing = await floor.listing(licence(100_000, licences=3))
    buyer = floor.buyers[0]
    size, before = await floor.house.log_size(), await floor.money(buyer)
    sale = await floor.house.act(sales.buy, Buy(listing, 2), buyer)
    assert await floor.house.log_size() == size + 1
    assert sale["state"] == "settled"
    assert (sale["voucher"]["price_fen"], sale["voucher"]["licences"]) == ("200000", "2")
    assert await floor.money(buyer) == (before[0] - 202_000, 0)
    held = await floor.rows(
        "SELECT licences, starts_us, ends_us, state FROM licence WHERE buyer = %s", buyer.party
    )
    assert held == [(2, floor.house.now_us, floor.house.now_us + 30 * DAY_US, "active")]
    view = next(row for row in await floor.house.gate.read(listings) if row["id"] == listing)
    assert (view["remaining"], view["state"]) == ("1", "open")
    market = await sound(floor)
    assert market.listings[listing]["sold"] == 2


async def test_never_more_licences_are_sold_than_offered(floor: Floor, database: Addresses) -> None:
    listing = await floor.listing(licence(1_000, licences=7))
    async with another_gate(floor.house, database) as other:
        replies = await asyncio.gather(
            *(
                (floor.house.gate, other)[n % 2].perform(
                    sales.buy, Buy(listing, 1 + n % 2), caller=floor.buyers[n % 3 % 2], key=f"buy-{n}"
                )
                for n in range(20)
            )
        )
    told = [outcome(reply) for reply in replies]
    sold = sum(int(o["licences"]) for o in told if o["state"] == "settled")
    reasons = {o["reason"]["code"] for o in told if o["state"] == "refused"}
    assert sold == 7
    assert reasons <= {"sale.sold_out", "sale.too_few_left"}
    assert "sale.sold_out" in reasons
    rows = await floor.rows("SELECT remaining, state FROM listing WHERE id = %s", listing)
    assert rows == [(0, "ended")]
    assert (await sound(floor)).listings[listing]["sold"] == 7


async def test_what_cannot_be_sold_is_refused_on_the_record_and_moves_nothing(floor: Floor) -> None:
    listing = await floor.listing(licence(6_000_000, licences=3))
    buyer = floor.buyers[0]
    before = await floor.balances()
    for quantity, code in (
        (0, "sale.no_quantity"),
        (4, "sale.too_few_left"),
        (2, "transfer.exceeds_credits"),  # money lacks
    ):
        size = await floor.house.log_size()
        refusal = await floor.house.act(sales.buy, Buy(listing, quantity), buyer)
        assert (refusal["state"], refusal["reason"]["code"]) == ("refused", code)
        assert refusal["reason"]["rule"]
        assert refusal["reason"]["remedy"]
        assert await floor.house.log_size() == size + 1
    assert await floor.balances() == before
    assert await floor.rows("SELECT count(*) FROM trade") == [(0,)]
    assert await floor.rows("SELECT count(*) FROM licence") == [(0,)]
    assert (await floor.house.act(sales.buy, Buy(listing, 1), buyer))["state"] == "settled"
    await sound(floor)


async def test_only_buyers_buy_and_only_what_is_for_sale_at_a_fixed_price(floor: Floor) -> None:
    listing = await floor.listing(licence(100))
    with pytest.raises(Forbidden):
        await floor.house.act(sales.buy, Buy(listing, 1), floor.seller)
    lot = await floor.lot()
    auctioned = (await floor.rows("SELECT listing FROM lot WHERE id = %s", lot))[0][0]
    for unknown in (auctioned, "lst-unknown"):
        with pytest.raises(NotFound) as missing:
            await floor.house.act(sales.buy, Buy(unknown, 1), floor.buyers[0])
        assert missing.value.code == "listing.unknown"


async def test_a_suspended_party_neither_buys_nor_sells(floor: Floor) -> None:
    listing = await floor.listing(licence(100))
    buyer = floor.buyers[0]
    for party, error in ((buyer, Forbidden), (floor.seller, Conflict)):
        suspend = parties.SetPartyState(party.party, "suspended", "an inquiry")
        await floor.house.act(parties.set_party_state, suspend, floor.regulator)
        with pytest.raises(error):
            await floor.house.act(sales.buy, Buy(listing, 1), buyer)
        if party is floor.seller:
            with pytest.raises(Forbidden):
                await floor.listing(licence(100), "ast-any")
        await floor.house.act(parties.set_party_state, replace(suspend, state="active"), floor.regulator)
    assert (await floor.house.act(sales.buy, Buy(listing, 1), buyer))["state"] == "settled"


async def test_an_exclusive_use_blocks_every_other_right_until_it_ends(floor: Floor) -> None:
    asset = await floor.asset()
    listing = await floor.listing(exclusive(100, term_days=365), asset)
    others = (exclusive(100), licence(100))

    async def blocked() -> bool:
        found = []
        for offer in others:
            try:
                await floor.listing(offer, asset)
                found.append(False)
            except Conflict as problem:
                found.append(problem.code == "listing.exclusive_stands")
        assert len(set(found)) == 1
        return found[0]

    assert await blocked()  # while it is on offer
    await floor.house.act(sales.buy, Buy(listing, 1), floor.buyers[0])
    assert await blocked()  # while it stands
    floor.house.now_us += 365 * DAY_US - 1
    assert await blocked()
    floor.house.now_us += 1
    await floor.listing(licence(100, licences=2), asset)
    with pytest.raises(Conflict):  # nor is anything exclusive while licences stand
        await floor.listing(exclusive(100), asset)
    await floor.listing(licence(90), asset)  # further licences are


async def test_an_exclusive_lot_blocks_between_award_and_settlement(floor: Floor) -> None:
    asset = await floor.asset()
    lot = await floor.lot(asset, offer=exclusive(START_FEN))
    await floor.join(lot, floor.buyers[0])
    await floor.bid(lot, floor.buyers[0], START_FEN)
    floor.house.now_us += DAY_US
    await floor.house.act(auctions.close_lot, auctions.CloseLot(lot), CLOCK)
    with pytest.raises(Conflict):
        await floor.listing(licence(100), asset)
    await floor.house.act(auctions.settle_lot, auctions.SettleLot(lot), CLOCK)
    with pytest.raises(Conflict):
        await floor.listing(licence(100), asset)


async def test_only_its_own_department_lists_an_asset_when_it_is_ready(floor: Floor) -> None:
    from exchange import registration
    from tests.exchange.floor import Walk, walk

    house = floor.house
    asset = await floor.asset()
    (other,) = await house.party("supplier")
    answers = []
    for identifier in (asset, "ast-unknown"):
        with pytest.raises(NotFound) as hidden:
            await house.act(sales.offer_fixed_price, OfferFixedPrice(identifier, licence(1)), other)
        answers.append({**hidden.value.problem(), "detail": ""})
    assert answers[0] == answers[1]  # another's looks like none
    act = registration.DeclareAsset("new", "", "transport", None)
    fresh = (await house.act(registration.declare_asset, act, floor.seller))["asset"]
    with pytest.raises(Conflict) as early:
        await floor.listing(licence(1), fresh)
    assert early.value.code == "listing.not_registered"
    for kind in (*registration.path.STEP_OF_KIND, "asset_registered"):
        await house.act(walk, Walk(fresh, kind, 1), floor.seller)
    with pytest.raises(Conflict) as unvalued:
        await floor.listing(licence(1), fresh)
    assert unvalued.value.code == "listing.not_appraised"


async def test_an_offer_whose_whole_price_no_account_can_hold_is_refused_when_it_is_made(
    floor: Floor,
) -> None:
    with pytest.raises(Unprocessable) as wrong:
        await floor.listing(licence(2**53, licences=1_000_000))
    assert wrong.value.code == "listing.terms"
