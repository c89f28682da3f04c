"""Negotiated sales: to and fro between two, read by nobody else, settled once, never above a ceiling; listings taken back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from exchange import auctions, controls, negotiation, parties, rulebook, sales
from exchange.acts import CLOCK, Caller, Signed
from exchange.database import Addresses
from exchange.delisting import WithdrawListing, withdraw_listing
from exchange.errors import Conflict, ExchangeError, Forbidden, NotFound, Unprocessable
from exchange.listings import Offer, require_format
from exchange.negotiation import (
    AcceptOffer,
    CounterOffer,
    MakeOffer,
    OfferNegotiated,
    RejectOffer,
    WithdrawOffer,
)
from exchange.replay import Replayed, replay
from exchange.rulebook import Rule
from exchange.worker import Worker
from tests.exchange.conftest import House
from tests.exchange.floor import (
    DAY_US,
    NONCE,
    START_FEN,
    Floor,
    agreement,
    another_gate,
    licence,
    may_see,
    outcome,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def floor(house: House) -> Floor:
    return await Floor.open(house)


async def sound(floor: Floor) -> Replayed:
    market = replay(await floor.bodies(), await floor.openings())
    assert market.differences == []
    return market


async def listed(floor: Floor, offer: Offer, asset: str | None = None) -> str:
    act = OfferNegotiated(asset or await floor.asset(), offer)
    listing: str = (await floor.house.act(negotiation.offer_negotiated, act, floor.seller))["id"]
    return listing


async def offered(floor: Floor, listing: str, buyer: Caller, fen: int, licences: int = 1, **more: Any) -> Any:
    act = MakeOffer(listing, fen, licences, floor.house.now_us + DAY_US, **more)
    return await floor.house.act(negotiation.make_offer, act, buyer)


async def countered(floor: Floor, told: Any, who: Caller, fen: int, licences: int = 1) -> Any:
    view = await table(floor, told)
    act = CounterOffer(view["id"], int(view["offer_index"]), fen, licences, floor.house.now_us + DAY_US)
    return await floor.house.act(negotiation.counter_offer, act, who)


async def accepted(floor: Floor, told: Any, who: Caller, key: str | None = None) -> Any:
    view = await table(floor, told)
    act = AcceptOffer(view["id"], int(view["offer_index"]))
    return await floor.house.act(negotiation.accept_offer, act, who, key)


async def table(floor: Floor, told: Any) -> Any:
    return await floor.house.gate.read(negotiation.negotiation, floor.regulator, told["negotiation"])


async def raised(kind: type[ExchangeError], coming: Any) -> str:
    with pytest.raises(kind) as refused:
        await coming
    return refused.value.code


async def test_offers_go_to_and_fro_and_the_other_sides_acceptance_settles(floor: Floor) -> None:
    house, buyer, other = floor.house, *floor.buyers
    listing = await listed(floor, licence(0, licences=3, ceiling_fen=200_000))
    (view,) = [one for one in (await house.call(None, "GET", "/v1/listings")).json() if one["id"] == listing]
    assert (view["mode"], view["price_fen"]) == ("negotiated", None)
    told = await offered(floor, listing, buyer, 100_000, 2, purpose="industry")
    assert await raised(Conflict, accepted(floor, told, buyer)) == "offer.own"
    assert await raised(NotFound, accepted(floor, told, other)) == "negotiation.unknown"
    assert await raised(Conflict, offered(floor, listing, buyer, 1)) == "offer.stands"
    await countered(floor, told, floor.seller, 200_000, 2)
    late = MakeOffer(listing, 1, 1, house.now_us + 30 * DAY_US + 1)
    assert await raised(Unprocessable, house.act(negotiation.make_offer, late, other)) == "listing.terms"
    stale = AcceptOffer(told["negotiation"], int((await table(floor, told))["index"]))
    assert await raised(Conflict, house.act(negotiation.accept_offer, stale, buyer)) == "offer.superseded"
    assert await raised(Unprocessable, countered(floor, told, buyer, 200_001, 2)) == "offer.ceiling"
    assert await raised(Unprocessable, countered(floor, told, buyer, 1, 4)) == "listing.terms"
    await countered(floor, told, buyer, 150_000, 2)
    before = await floor.money(buyer)
    sale = await accepted(floor, told, floor.seller)
    assert (sale["state"], sale["voucher"]["price_fen"], sale["by"]) == ("settled", "300000", "seller")
    assert await floor.money(buyer) == (before[0] - 303_000, 0)
    view = await table(floor, told)
    assert (view["state"], len(view["offers"]), view["trade"]) == ("accepted", 3, sale["voucher"]["trade"])
    assert await raised(Conflict, accepted(floor, told, floor.seller)) == "offer.closed"
    # Nobody but the two and a regulator reads any of it.
    entries = [i for i, body in await floor.bodies() if body["kind"].startswith("offer_")]
    for who, may in ((buyer, True), (floor.seller, True), (floor.regulator, True), (other, False)):
        assert [await may_see(floor, who, index) for index in entries] == [may] * len(entries)
        seen = await house.gate.read(negotiation.negotiations, who, None, 10)
        assert [one["id"] for one in seen] == [told["negotiation"]] * may
    market = await sound(floor)
    assert (market.listings[listing]["sold"], market.judged["offers"]) == (2, 3)


def test_a_way_to_sell_that_the_profile_does_not_name_is_refused_with_its_clause() -> None:
    chinese, generic = rulebook.load("cn-venue"), rulebook.load("generic")
    for name in ("fixed", "negotiation"):
        require_format(name, chinese)
    require_format("second_price", generic)
    with pytest.raises(Unprocessable) as refused:
        require_format("second_price", chinese)
    assert refused.value.code == "listing.format"
    assert "国发〔2011〕38号" in str(refused.value.rule)


async def test_an_offer_is_rejected_withdrawn_or_runs_out_and_is_not_opened_again(floor: Floor) -> None:
    house, (buyer, other) = floor.house, floor.buyers
    listing = await listed(floor, licence(50_000))
    told = await offered(floor, listing, buyer, 40_000)
    withdrawing = WithdrawOffer(told["negotiation"])
    assert (
        await raised(Conflict, house.act(negotiation.withdraw_offer, withdrawing, floor.seller))
        == "offer.not_own"
    )
    rejecting = RejectOffer(told["negotiation"], "too little")
    assert (await house.act(negotiation.reject_offer, rejecting, floor.seller))["state"] == "rejected"
    assert await raised(Conflict, countered(floor, told, buyer, 45_000)) == "offer.closed"
    told = await offered(floor, listing, buyer, 41_000)
    closing = WithdrawOffer(told["negotiation"])
    assert (await house.act(negotiation.withdraw_offer, closing, buyer))["state"] == "withdrawn"
    late, in_time = await offered(floor, listing, buyer, 42_000), await offered(floor, listing, other, 42_000)
    house.now_us += DAY_US - 1
    assert (await accepted(floor, in_time, floor.seller))["state"] == "settled"
    house.now_us += 1  # the market's clock decides, whether its hand came round or not
    assert await raised(Conflict, accepted(floor, late, floor.seller)) == "offer.expired"
    await Worker(house.gate, house.gate.database).follow_up()
    assert (await table(floor, late))["state"] == "expired"
    await sound(floor)


async def test_never_more_is_sold_by_negotiation_than_is_offered_however_many_accept_at_once(
    floor: Floor, database: Addresses
) -> None:
    buyers = [*floor.buyers, *[(await floor.house.party("buyer"))[0] for _ in range(4)]]
    for buyer in buyers[2:]:
        await floor.fund(buyer, 1_000_000)
    listing = await listed(floor, licence(0, licences=7, ceiling_fen=1_000))
    made = [await offered(floor, listing, buyer, 1_000, 2) for buyer in buyers]
    acts = [AcceptOffer(one["negotiation"], int((await table(floor, one))["offer_index"])) for one in made]
    async with another_gate(floor.house, database) as gate:
        replies = await asyncio.gather(
            *(
                (floor.house.gate, gate)[n % 2].perform(
                    negotiation.accept_offer, act, caller=floor.seller, key=f"accept-{n}"
                )
                for n, act in enumerate(acts)
            )
        )
    told = [outcome(reply) for reply in replies]
    assert [one["state"] for one in told].count("settled") == 3
    assert {one["reason"]["code"] for one in told if one["state"] == "refused"} == {"sale.too_few_left"}
    assert (await sound(floor)).listings[listing]["sold"] == 6


async def test_an_acceptance_without_money_or_beyond_a_limit_is_refused_on_the_record_and_may_come_again(
    floor: Floor,
) -> None:
    house, buyer = floor.house, floor.buyers[0]
    listing = await listed(floor, licence(0, licences=2))
    told = await offered(floor, listing, buyer, 9_950_000)
    balances = await floor.balances()
    refused = await accepted(floor, told, floor.seller)  # with the fee it is more than there is
    assert refused["reason"]["code"] == "transfer.exceeds_credits"
    assert await floor.balances() == balances
    await floor.fund(buyer, 1_000_000)
    limits = controls.SetControls(None, 5_000_000, None)
    await house.act(controls.set_controls, limits, buyer)
    assert (await accepted(floor, told, floor.seller))["reason"]["code"] == "order.above_limit"
    await house.act(controls.set_controls, controls.SetControls(1_000_000, None, None), buyer)
    assert (await accepted(floor, told, floor.seller))["reason"]["code"] == "order.unsigned"
    await house.act(controls.set_controls, controls.SetControls(None, None, None), buyer)
    assert (await accepted(floor, told, floor.seller))["state"] == "settled"
    await sound(floor)


async def test_a_shareholder_of_the_operator_negotiates_only_where_the_rules_allow_it_and_then_discloses_it(
    floor: Floor,
) -> None:
    house = floor.house
    await house.act(parties.agree_operation, agreement(floor.operator.party, 200_000), floor.seller)
    listing = await listed(floor, licence(0), await floor.asset(operator=floor.operator.party))
    assert await raised(Forbidden, offered(floor, listing, floor.holder, 1_000)) == "sale.related"
    board = await house.party("governing_body", people=2)
    allowed: Rule = rulebook.load("cn-venue")["related.fixed_price_allowed"]
    said = {allowed.name: {**allowed.to_json(), "value": True}}
    proposal = rulebook.ProposeRuleChange(said, None, house.now_us + DAY_US, "disclosed sales")
    change = await house.act(rulebook.propose_rule_change, proposal, board[0])
    sign = rulebook.DecideRuleChange(change["id"], change["result"]["digest"], "sign", "seen")
    await house.act(rulebook.decide_rule_change, sign, board[1])
    house.now_us += DAY_US
    told = await offered(floor, listing, floor.holder, 1_000)
    sale = await accepted(floor, told, floor.seller)
    assert sale["state"] == "settled"
    assert sale["related"][0]["holder"] == floor.holder.party
    await sound(floor)


@pytest.mark.parametrize("who", ["buyer", "seller"])
async def test_a_partys_stop_lets_its_negotiations_lapse_at_once_and_tells_the_other_side(
    floor: Floor, who: str
) -> None:
    house, (buyer, other) = floor.house, floor.buyers
    listing = await listed(floor, licence(0, licences=2))
    mine, others = await offered(floor, listing, buyer, 1_000), await offered(floor, listing, other, 1_000)
    stopper = buyer if who == "buyer" else floor.seller
    stopped = await house.act(controls.stop_trading, controls.StopTrading(stopper.party), stopper)
    lapsed = [mine["negotiation"], others["negotiation"]][: 1 if who == "buyer" else 2]
    assert stopped["lapsed"] == lapsed
    await house.act(controls.resume_trading, controls.ResumeTrading(), stopper)
    assert await raised(Conflict, accepted(floor, mine, floor.seller)) == "offer.closed"
    await Worker(house.gate, house.gate.database).follow_up()
    told = [(i, body["act"]) for i, body in await floor.bodies() if body["kind"] == "offer_closed"]
    assert [(act["negotiation"], act["why"]) for _, act in told] == [(one, "stopped") for one in lapsed]
    assert await may_see(floor, buyer, told[0][0])
    assert not await may_see(floor, other, told[0][0])
    await sound(floor)


async def test_a_listing_that_is_taken_back_ends_what_was_offered_and_leaves_what_was_sold(
    floor: Floor,
) -> None:
    house, (buyer, other) = floor.house, floor.buyers
    listing = await listed(floor, licence(0, licences=3))
    sold, standing = await offered(floor, listing, buyer, 1_000), await offered(floor, listing, other, 1_000)
    bought = await accepted(floor, sold, floor.seller)
    taking = WithdrawListing(listing, "the hotline changed its form")
    assert await raised(NotFound, house.act(withdraw_listing, taking, buyer)) == "listing.unknown"
    gone = await house.act(withdraw_listing, taking, floor.seller)
    assert (gone["state"], gone["lapsed"]) == ("withdrawn", [standing["negotiation"]])
    assert await raised(Conflict, house.act(withdraw_listing, taking, floor.seller)) == "listing.ended"
    assert await raised(Conflict, accepted(floor, standing, floor.seller)) == "offer.closed"
    assert await raised(Conflict, offered(floor, listing, other, 1_000)) == "listing.ended"
    rows = await floor.rows("SELECT state FROM licence WHERE id = %s", bought["voucher"]["licence"])
    assert rows == [("active",)]
    await Worker(house.gate, house.gate.database).follow_up()
    (told,) = [body["act"] for _, body in await floor.bodies() if body["kind"] == "offer_closed"]
    assert (told["negotiation"], told["why"]) == (standing["negotiation"], "withdrawn")
    fixed = await floor.listing(licence(1_000, 2))
    await house.act(sales.buy, sales.Buy(fixed, 1), buyer)
    await house.act(withdraw_listing, WithdrawListing(fixed, "sold elsewhere"), floor.seller)
    assert await raised(Conflict, house.act(sales.buy, sales.Buy(fixed, 1), buyer)) == "listing.ended"
    await sound(floor)


async def test_a_lot_is_taken_back_before_it_opens_with_every_deposit_in_the_same_act_and_not_after(
    floor: Floor,
) -> None:
    house = floor.house
    opens = house.now_us + DAY_US
    lot = await floor.lot(opens_us=opens, closes_us=opens + DAY_US)
    ((listing,),) = await floor.rows("SELECT listing FROM lot WHERE id = %s", lot)
    codes = sorted([await floor.join(lot, buyer) for buyer in floor.buyers])
    house.now_us = opens - 1
    size = await house.log_size()
    gone = await house.act(withdraw_listing, WithdrawListing(listing, "misprinted"), floor.seller)
    assert (gone["lot"], gone["released"], await house.log_size()) == (lot, codes, size + 1)
    assert [await floor.money(buyer) for buyer in floor.buyers] == [(10_000_000, 0)] * 2
    await Worker(house.gate, house.gate.database).tick()
    assert await house.log_size() == size + 1  # nothing of it is left to do
    joining = auctions.JoinLot(lot, nonce=NONCE.hex())
    late = await house.act(auctions.join_lot, joining, (await house.party("buyer"))[0])
    assert late["reason"]["code"] == "lot.closed"
    second = await floor.lot(opens_us=house.now_us + 1, closes_us=house.now_us + 1 + DAY_US)
    ((listing,),) = await floor.rows("SELECT listing FROM lot WHERE id = %s", second)
    await floor.join(second, floor.buyers[0])
    house.now_us += 1
    for _ in range(2):  # at the opening, and with a bid
        taking = house.act(withdraw_listing, WithdrawListing(listing, "misprinted"), floor.seller)
        assert await raised(Conflict, taking) == "listing.lot_opened"
        await floor.bid(second, floor.buyers[0], START_FEN)
    await sound(floor)


async def test_the_clocks_hand_closes_nothing_that_is_not_over(floor: Floor) -> None:
    listing = await listed(floor, licence(0))
    told = await offered(floor, listing, floor.buyers[0], 1_000)
    act = negotiation.CloseOffer(told["negotiation"])
    assert await raised(Conflict, floor.house.act(negotiation.close_offer, act, CLOCK)) == "offer.not_over"


async def test_a_replay_finds_an_acceptance_of_another_price_and_one_of_ones_own(floor: Floor) -> None:
    listing = await listed(floor, licence(0))
    told = await offered(floor, listing, floor.buyers[0], 1_000)
    await accepted(floor, told, floor.seller)
    bodies = await floor.bodies()
    (at,) = [n for n, (_, body) in enumerate(bodies) if body["kind"] == "offer_accepted"]
    for change in ({"by": "buyer"}, {"voucher": {**bodies[at][1]["act"]["voucher"], "price_fen": "999"}}):
        false = {**bodies[at][1], "act": {**bodies[at][1]["act"], **change}}
        altered = [*bodies[:at], (bodies[at][0], false), *bodies[at + 1 :]]
        assert replay(altered, await floor.openings()).differences


async def test_who_signs_above_an_amount_signs_the_offer_that_the_other_side_accepts(floor: Floor) -> None:
    house, buyer = floor.house, floor.buyers[0]
    await house.act(controls.set_controls, controls.SetControls(500, None, None), buyer)
    listing = await listed(floor, licence(0))
    assert await raised(Forbidden, offered(floor, listing, buyer, 1_000)) == "order.unsigned"
    signed = Signed.of("{}", house.chance(32))
    told = await offered(floor, listing, buyer, 1_000, signed=signed)
    assert (await accepted(floor, told, floor.seller))["state"] == "settled"
