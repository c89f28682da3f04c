"""Ascending auctions through the real gate: exact edges of the rulebook, deposits, bids, the bell, awards."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import auctions, money, parties, rulebook
from exchange.acts import CLOCK, Asked, Caller
from exchange.auctions import CloseLot, OpenLot, PlaceBid, SettleLot, check_lot
from exchange.database import Addresses
from exchange.errors import Conflict, Forbidden, NotFound, Unprocessable
from exchange.gate import Gate
from exchange.listings import Offer
from exchange.replay import replay
from exchange.worker import Worker
from ledger.entries import canonical
from pricing.auctions import AscendingRules, Bid, award, verify
from tests.exchange.conftest import START_US, House
from tests.exchange.floor import (
    DAY_US,
    DEPOSIT_FEN,
    INCREMENT_FEN,
    MINUTE_US,
    START_FEN,
    VALUE_FEN,
    Floor,
    another_gate,
    exclusive,
    licence,
    may_see,
    outcome,
)

RULES = rulebook.load("cn-venue")


def terms(**changed: Any) -> OpenLot:
    act = OpenLot("ast-1", licence(START_FEN), INCREMENT_FEN, DEPOSIT_FEN, START_US, START_US + DAY_US)
    price = changed.pop("price_fen", None)
    return replace(act, **changed) if price is None else replace(act, offer=licence(price), **changed)


def refused(act: OpenLot, value_fen: int = VALUE_FEN, now_us: int = START_US) -> str | None:
    try:
        check_lot(act, value_fen, now_us, RULES)
    except Unprocessable as problem:
        return problem.code if problem.rule and problem.remedy else "says too little"
    return None


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (terms(), None),
        (terms(price_fen=699_900, deposit_fen=69_990), "lot.start_price"),  # 69.99 %
        (terms(price_fen=699_999, deposit_fen=69_999), "lot.start_price"),  # one fen below 70 %
        (terms(price_fen=700_000), None),  # 70.00 %
        (terms(deposit_fen=34_930), "lot.deposit"),  # 4.99 %
        (terms(deposit_fen=34_999), "lot.deposit"),
        (terms(deposit_fen=35_000), None),  # 5 %
        (terms(deposit_fen=140_000), None),  # 20 %
        (terms(deposit_fen=140_001), "lot.deposit"),
        (terms(deposit_fen=140_070), "lot.deposit"),  # 20.01 %
        (terms(closes_us=START_US + DAY_US - 1), "lot.open"),
        (terms(closes_us=START_US + DAY_US), None),
        (terms(opens_us=START_US - 1), "lot.open"),
        (terms(opens_us=START_US + 1), "lot.open"),  # a microsecond short of a day
        (terms(offer=licence(START_FEN, licences=2)), "lot.licences"),
        (terms(offer=licence(START_FEN, licences=0)), "lot.licences"),
    ],
)
def test_the_figures_of_the_rulebook_hold_exactly_on_both_sides(act: OpenLot, code: str | None) -> None:
    assert refused(act) == code


@given(st.integers(1, 10**12), st.integers(1, 10**12), st.integers(0, 10**12))
def test_start_price_and_deposit_agree_with_exact_fractions(value: int, start: int, deposit: int) -> None:
    code = refused(terms(price_fen=start, deposit_fen=deposit), value)
    if 10 * start < 7 * value:
        assert code == "lot.start_price"
    else:
        assert code == (None if start <= 20 * deposit and 5 * deposit <= start else "lot.deposit")


@pytest.fixture
async def floor(house: House) -> Floor:
    return await Floor.open(house)


async def trails(floor: Floor, caller: Caller, lot: str, prices: list[int]) -> list[str]:
    """Bid after bid: "admitted", or why not."""
    return [
        "admitted" if o["state"] == "admitted" else o["reason"]["code"]
        for o in [await floor.bid(lot, caller, price) for price in prices]
    ]


def answers(found: list[Any]) -> list[str]:
    return [
        "admitted" if (o := outcome(reply))["state"] == "admitted" else o["reason"]["code"] for reply in found
    ]


async def settled(floor: Floor, lot: str) -> dict[str, Any]:
    """Close and settle a lot whose time has come."""
    await floor.house.act(auctions.close_lot, CloseLot(lot), CLOCK)
    return await floor.house.act(auctions.settle_lot, SettleLot(lot), CLOCK)


async def sound(floor: Floor) -> Any:
    """The log decides the same again."""
    market = replay(await floor.bodies(), await floor.openings())
    assert market.differences == []
    assert market.not_judged == 0
    return market


@pytest.mark.anyio
async def test_terms_that_no_auction_can_have_are_refused_by_field(floor: Floor) -> None:
    asset = await floor.asset()
    for changed, field in (
        ({"increment_fen": 0}, "increment_fen"),
        ({"offer": licence(START_FEN, ceiling_fen=START_FEN - 1)}, "price_fen"),
    ):
        with pytest.raises(Unprocessable) as wrong:
            await floor.lot(asset, **changed)
        assert wrong.value.field == field
        assert wrong.value.rule
    await floor.lot(asset)


@pytest.mark.anyio
async def test_a_deposit_is_held_before_the_first_bid_and_once(floor: Floor) -> None:
    lot = await floor.lot()
    buyer = floor.buyers[0]
    with pytest.raises(Forbidden) as early:
        await floor.bid(lot, buyer, START_FEN)
    assert early.value.code == "bid.no_deposit"
    with pytest.raises(NotFound):
        await floor.bid("lot-unknown", buyer, START_FEN)
    with pytest.raises(Forbidden):
        await floor.join(lot, floor.seller)  # no buyer
    before = await floor.money(buyer)
    await floor.join(lot, buyer)
    with pytest.raises(Conflict) as twice:
        await floor.join(lot, buyer)
    assert twice.value.code == "bidder.admitted"
    assert await floor.money(buyer) == (before[0] - DEPOSIT_FEN, DEPOSIT_FEN)
    with pytest.raises(Conflict):  # what is held cannot be taken out
        await floor.house.act(money.withdraw, money.Withdraw(before[0] - DEPOSIT_FEN + 1), buyer)


@pytest.mark.anyio
async def test_an_overdrawn_buyer_is_refused_on_the_record_and_may_come_back_with_money(house: House) -> None:
    floor = await Floor.open(house, fen=DEPOSIT_FEN - 1)
    lot = await floor.lot()
    buyer = floor.buyers[0]
    refusal = await house.act(auctions.join_lot, auctions.JoinLot(lot), buyer)
    assert (refusal["state"], refusal["reason"]["code"]) == ("refused", "transfer.exceeds_credits")
    assert refusal["reason"]["rule"]
    assert refusal["reason"]["remedy"]
    assert await floor.money(buyer) == (DEPOSIT_FEN - 1, 0)
    with pytest.raises(Forbidden):
        await floor.bid(lot, buyer, START_FEN)
    await floor.fund(buyer, 1)
    await floor.join(lot, buyer)
    assert await floor.money(buyer) == (0, DEPOSIT_FEN)
    await sound(floor)


@pytest.mark.anyio
async def test_who_sells_or_runs_the_data_or_owns_who_does_is_refused_on_the_record(floor: Floor) -> None:
    house = floor.house
    lot = await floor.lot(await floor.asset(operator=floor.operator.party))
    for caller, relation in (
        (replace(floor.seller, roles=frozenset({"buyer"})), "the seller of the data"),
        (replace(floor.operator, roles=frozenset({"buyer"})), "the operator of the data"),
        (floor.holder, "holds 51 % of"),
    ):
        refusal = await house.act(auctions.join_lot, auctions.JoinLot(lot), caller)
        assert refusal["state"] == "refused"
        assert refusal["reason"]["code"] == "bidder.related"
        assert relation in refusal["reason"]["detail"]
        assert caller.party not in orjson.dumps(refusal).decode()
    # On a lot that this operator does not run, its shareholder is a buyer like any other.
    await floor.join(await floor.lot(), floor.holder)


@pytest.mark.anyio
async def test_a_suspended_bidder_is_refused_on_the_record_until_let_back(floor: Floor) -> None:
    lot = await floor.lot()
    one, two = floor.buyers
    await floor.join(lot, one)
    state = parties.SetPartyState(one.party, "suspended", "an inquiry")
    for party in (one, two):
        await floor.house.act(parties.set_party_state, replace(state, party=party.party), floor.regulator)
    assert await trails(floor, one, lot, [START_FEN]) == ["bid.suspended"]
    joined = await floor.house.act(auctions.join_lot, auctions.JoinLot(lot), two)
    assert joined["reason"]["code"] == "party.suspended"
    with pytest.raises(Forbidden):
        await floor.house.act(money.withdraw, money.Withdraw(1), one)
    await floor.house.act(parties.set_party_state, replace(state, state="active"), floor.regulator)
    assert await trails(floor, one, lot, [START_FEN]) == ["admitted"]
    await sound(floor)


@pytest.mark.anyio
async def test_bids_are_judged_by_the_published_rules_and_a_tie_by_sequence(floor: Floor) -> None:
    lot = await floor.lot(offer=licence(START_FEN, ceiling_fen=755_555))
    one, two = floor.buyers
    for buyer in floor.buyers:
        await floor.join(lot, buyer)
    assert await trails(floor, one, lot, [699_999, 700_000, 755_556]) == [
        "bid.below_start", "admitted", "bid.above_ceiling",
    ]  # fmt: skip
    assert await trails(floor, two, lot, [700_000, 705_000, 715_000, 710_000, 755_555, 755_555]) == [
        "bid.not_higher", "bid.below_increment", "bid.off_increment", "admitted", "admitted", "bid.at_ceiling_already",
    ]  # fmt: skip
    view = await floor.house.gate.read(auctions.lot, lot)
    assert (view["standing_price_fen"], view["bids"]) == ("755555", "3")
    seen = await floor.house.gate.read(auctions.bids, lot)
    assert [b["reason"] for b in seen].count(None) == 3
    assert len(seen) == 9
    assert [b["index"] for b in await floor.house.gate.read(auctions.bids, lot, int(seen[4]["index"]))] == [
        b["index"] for b in seen[5:]
    ]


@pytest.mark.anyio
async def test_a_bid_at_the_bell_is_late_and_a_microsecond_earlier_is_not(floor: Floor) -> None:
    house = floor.house
    lot = await floor.lot(opens_us=START_US + 10, closes_us=START_US + 10 + DAY_US)
    one, two = floor.buyers
    for buyer in floor.buyers:
        await floor.join(lot, buyer)
    house.now_us = START_US + 9
    assert await trails(floor, one, lot, [START_FEN]) == ["bid.not_open"]
    house.now_us = START_US + 10
    assert await trails(floor, one, lot, [START_FEN]) == ["admitted"]
    house.now_us = START_US + 10 + DAY_US - 1
    assert await trails(floor, two, lot, [710_000]) == ["admitted"]
    house.now_us += 5 * MINUTE_US - 1
    assert (await house.gate.read(auctions.lot, lot))["closes_us"] == str(house.now_us + 1)
    with pytest.raises(Conflict) as early:
        await house.act(auctions.close_lot, CloseLot(lot), CLOCK)
    assert early.value.code == "lot.not_due"
    house.now_us += 1
    size = await house.log_size()
    assert await trails(floor, one, lot, [720_000]) == ["bid.closed"]
    assert await house.log_size() == size + 1  # late, and on the record
    await settled(floor, lot)
    assert await trails(floor, one, lot, [730_000]) == ["bid.closed"]
    closed = await house.act(auctions.join_lot, auctions.JoinLot(lot), floor.holder)
    assert closed["reason"]["code"] == "lot.closed"
    await sound(floor)


@pytest.mark.anyio
async def test_bids_in_the_last_minutes_move_the_close_again_and_again(floor: Floor) -> None:
    house = floor.house
    lot = await floor.lot()
    one, two = floor.buyers
    for buyer in floor.buyers:
        await floor.join(lot, buyer)
    closes = START_US + DAY_US
    house.now_us = closes - 5 * MINUTE_US - 1
    assert (await floor.bid(lot, one, START_FEN))["closes_us"] == str(closes)  # before the window: unmoved
    price = START_FEN
    for step in range(12):
        house.now_us = closes - (5 * MINUTE_US if step % 2 else 1)
        price += INCREMENT_FEN
        bid = await floor.bid(lot, (two, one)[step % 2], price)
        closes = max(closes, house.now_us + 5 * MINUTE_US)
        assert bid["closes_us"] == str(closes)
        # A refused bid moves nothing.
        assert await trails(floor, one, lot, [price]) == ["bid.not_higher"]
        assert (await house.gate.read(auctions.lot, lot))["closes_us"] == str(closes)
    market = await sound(floor)
    assert market.lots[lot].standing.closes_at_us == closes > START_US + DAY_US


@pytest.mark.anyio
async def test_the_losers_deposit_goes_back_after_the_award_and_the_winners_into_the_price(
    floor: Floor,
) -> None:
    house = floor.house
    lot = await floor.lot(await floor.asset(operator=floor.operator.party))
    one, two = floor.buyers
    codes = [await floor.join(lot, buyer) for buyer in floor.buyers]
    await floor.bid(lot, one, START_FEN)
    await floor.bid(lot, two, 710_000)
    before = [await floor.money(buyer) for buyer in floor.buyers]
    house.now_us += DAY_US
    closed = await house.act(auctions.close_lot, CloseLot(lot), CLOCK)
    assert closed["state"] == "sold"
    with pytest.raises(Conflict):  # the winner's goes into the price
        await house.act(auctions.release_deposit, auctions.ReleaseDeposit(lot, codes[1]), CLOCK)
    await house.act(auctions.release_deposit, auctions.ReleaseDeposit(lot, codes[0]), CLOCK)
    _, body = (await floor.bodies())[-1]
    assert [(t["kind"], t["amount"]) for t in body["transfers"]] == [("void_pending", str(DEPOSIT_FEN))]
    assert await floor.money(one) == (before[0][0] + DEPOSIT_FEN, 0)
    assert await floor.money(two) == before[1]
    deal = await house.act(auctions.settle_lot, SettleLot(lot), CLOCK)
    assert deal["voucher"]["buyer"] == two.party
    assert deal["voucher"]["price_fen"] == "710000"
    fee = 7_100
    assert await floor.money(two) == (before[1][0] + DEPOSIT_FEN - 710_000 - fee, 0)
    for again in (auctions.close_lot, auctions.settle_lot):
        with pytest.raises(Conflict):
            await house.act(again, CloseLot(lot) if again is auctions.close_lot else SettleLot(lot), CLOCK)
    view = await house.gate.read(auctions.lot, lot)
    assert (view["winner_code"], view["settled"], view["price_fen"]) == (codes[1], True, "710000")
    states = dict(await floor.rows("SELECT code, state FROM bidder WHERE lot = %s", lot))
    assert states == {codes[0]: "released", codes[1]: "captured"}
    await sound(floor)


@pytest.mark.anyio
async def test_a_stranger_recomputes_the_award_from_the_log_alone(floor: Floor) -> None:
    house = floor.house
    lot = await floor.lot()
    for buyer in floor.buyers:
        await floor.join(lot, buyer)
    for n, price in enumerate((700_000, 700_000, 720_000, 750_000)):
        await floor.bid(lot, floor.buyers[n % 2], price)
    house.now_us += DAY_US
    await house.act(auctions.close_lot, CloseLot(lot), CLOCK)
    found = await floor.bodies()
    opened = next(b["act"] for _, b in found if b["kind"] == "lot_opened" and b["act"]["id"] == lot)
    closed = found[-1][1]["act"]
    numbers = {k: None if v is None else int(v) for k, v in opened["rules"].items() if k != "ladder"}
    rules = AscendingRules(**numbers)  # type: ignore[arg-type]  # the members are the log's
    bids = [
        Bid(b["act"]["code"], b["key"], int(b["act"]["price_fen"]), index, int(b["time"]))
        for index, b in found
        if b["kind"] == "bid" and b["act"]["lot"] == lot and b["act"]["state"] == "admitted"
    ]
    result = award(rules, bids)
    verify(result, rules, bids)
    assert result.digest == closed["outcome"]["digest"]
    assert result.allocation[0].price_fen == 750_000
    assert award(rules, bids[:-1]).digest != result.digest


@pytest.mark.anyio
async def test_a_lot_without_bids_fails_and_frees_asset_and_deposits(floor: Floor) -> None:
    asset = await floor.asset()
    lot = await floor.lot(asset, offer=exclusive(START_FEN))
    before = await floor.money(floor.buyers[0])
    code = await floor.join(lot, floor.buyers[0])
    floor.house.now_us += DAY_US
    closed = await floor.house.act(auctions.close_lot, CloseLot(lot), CLOCK)
    assert (closed["state"], closed["bids"]) == ("failed", "0")
    await floor.house.act(auctions.release_deposit, auctions.ReleaseDeposit(lot, code), CLOCK)
    assert await floor.money(floor.buyers[0]) == before
    with pytest.raises(Conflict):
        await floor.house.act(auctions.settle_lot, SettleLot(lot), CLOCK)
    assert await floor.house.gate.read(auctions.due, floor.house.now_us) == auctions.Due([], [], [], [], [])
    await floor.lot(asset, offer=exclusive(START_FEN))  # on offer again
    await sound(floor)


@pytest.mark.anyio
async def test_settling_waits_until_the_winner_can_pay(house: House) -> None:
    floor = await Floor.open(house, fen=700_000)
    lot = await floor.lot()
    buyer = floor.buyers[0]
    await floor.join(lot, buyer)
    await floor.bid(lot, buyer, 700_000)
    house.now_us += DAY_US
    await house.act(auctions.close_lot, CloseLot(lot), CLOCK)
    size, before = await house.log_size(), await floor.balances()
    for _ in range(2):
        with pytest.raises(Conflict) as poor:
            await house.act(auctions.settle_lot, SettleLot(lot), CLOCK, f"settle-{lot}")
        assert poor.value.code == "transfer.exceeds_credits"
    assert (await house.log_size(), await floor.balances()) == (size, before)
    assert await house.gate.read(auctions.due, house.now_us) == auctions.Due([], [lot], [], [], [])
    await floor.fund(buyer, 7_000)  # the fee
    await house.act(auctions.settle_lot, SettleLot(lot), CLOCK, f"settle-{lot}")
    assert await floor.money(buyer) == (0, 0)
    await sound(floor)


@pytest.mark.anyio
async def test_the_body_of_a_bid_is_canonical_and_names_no_party_or_person(floor: Floor) -> None:
    lot = await floor.lot()
    one, two = floor.buyers
    for buyer in floor.buyers:
        await floor.join(lot, buyer)
    for buyer, price in ((one, START_FEN), (two, START_FEN), (two, 710_000), (one, 1)):
        await floor.bid(lot, buyer, price)

    def texts(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [t for k, v in value.items() for t in (k, *texts(v))]
        return [t for v in value for t in texts(v)] if isinstance(value, list) else [str(value)]

    kinds = []
    for _, body in await floor.bodies():
        if body["kind"] in ("bid", "bidder"):
            kinds.append(body["kind"])
            named = {buyer.party for buyer in floor.buyers} | {buyer.person for buyer in floor.buyers}
            assert not named & set(texts(body))
            assert body["by"] == body["act"]["code"]
            assert "party" not in body
    assert kinds == ["bidder"] * 2 + ["bid"] * 4


@given(
    st.lists(
        st.tuples(st.sampled_from(["B1", "B2", "B3"]), st.integers(690_000, 760_000), st.booleans()),
        max_size=12,
    )
)
def test_the_fast_body_of_every_bid_is_what_canonical_writes(bids: list[tuple[str, int, bool]]) -> None:
    asked = [
        Asked(PlaceBid("lot-1", price), Caller(code, code, frozenset()), f"k{n}")
        for n, (code, price, _) in enumerate(bids)
    ]
    floor: list[tuple[object, ...]] = [
        (
            "lot-1",
            "open",
            700_000,
            10_000,
            0,
            10**15,
            300_000_000,
            300_000_000,
            None,
            None,
            None,
            None,
            0,
            10**15,
            [],
            [],
            False,
        )
    ]
    active = [
        ("lot-1", code, code, "active" if state else "suspended", None, None) for code, _, state in bids
    ]
    rulings, writes = auctions.place_bids.decide(5, 100, asked, [floor, active])
    assert len(rulings) == len(bids)
    for ruling, ask in zip(rulings, asked, strict=True):
        body, act = orjson.loads(ruling.body), orjson.loads(ruling.outcome)
        assert canonical(body) == ruling.body
        assert canonical(act) == ruling.outcome
        assert body["act"] == act
        assert (body["key"], body["time"], body["by"]) == (ask.key, "5", act["code"])
        assert ruling.refused == (act["state"] == "refused")
    assert len(writes) == bool(bids) + any(not r.refused for r in rulings)


@pytest.mark.anyio
async def test_two_processes_bid_while_a_third_suspends_and_the_log_decides_the_same_again(
    floor: Floor, database: Addresses
) -> None:
    house = floor.house
    lot = await floor.lot()
    one, two = floor.buyers
    for buyer in floor.buyers:
        await floor.join(lot, buyer)
    async with another_gate(house, database) as second, another_gate(house, database) as third:

        async def bids(gate: Gate, caller: Caller, first: int, name: str) -> list[str]:
            found = []
            for n in range(25):
                price = START_FEN + INCREMENT_FEN * (2 * n + first)
                found.append(
                    await gate.perform(
                        auctions.place_bids, PlaceBid(lot, price), caller=caller, key=f"{name}-{n}"
                    )
                )
            return answers(found)

        async def suspend() -> None:
            for n in range(8):
                state = ("suspended", "active")[n % 2]
                await third.perform(
                    parties.set_party_state,
                    parties.SetPartyState(one.party, state, "drill"),
                    caller=floor.regulator,
                    key=f"state-{n}",
                )
                await asyncio.sleep(0.004)

        *found, _ = await asyncio.gather(
            bids(house.gate, one, 0, "a"), bids(second, one, 1, "b"), bids(second, two, 0, "c"), suspend()
        )
    assert {"admitted", "bid.suspended", "bid.not_higher"} <= {
        a for one_of in found if one_of for a in one_of
    }
    market = await sound(floor)
    assert market.judged["bids"] == 75
    row = (await floor.rows("SELECT standing_price_fen, standing_code, bids FROM lot WHERE id = %s", lot))[0]
    standing = market.lots[lot].standing
    assert row == (standing.price_fen, standing.code, standing.bids)
    sequences = [
        r[0] for r in await floor.rows("SELECT log_index FROM bid WHERE reason IS NULL ORDER BY price_fen")
    ]
    assert sequences == sorted(sequences)


@pytest.mark.anyio
async def test_an_exclusive_lot_says_why_and_lasts_a_year_at_most(floor: Floor) -> None:
    asset = await floor.asset()
    for offer, code in (
        (exclusive(START_FEN, term_days=366), "listing.term"),
        (exclusive(START_FEN, term_days=0), "listing.term"),
        (replace(exclusive(START_FEN), reason="  "), "listing.exclusive"),
        (replace(exclusive(START_FEN), licences=2), "listing.exclusive"),
        (Offer("loan", 1, 30, START_FEN), "listing.grant"),
    ):
        with pytest.raises(Unprocessable) as wrong:
            await floor.lot(asset, offer=offer)
        assert wrong.value.code == code
        assert wrong.value.rule
    await floor.lot(asset, offer=exclusive(START_FEN, term_days=365))


@pytest.mark.anyio
@pytest.mark.parametrize("sold", [True, False])
async def test_each_losers_deposit_goes_back_in_an_entry_that_this_loser_may_see(
    house: House, sold: bool
) -> None:
    floor = await Floor.open(house, buyers=6)
    lot = await floor.lot()
    before = [await floor.money(buyer) for buyer in floor.buyers]
    codes = {await floor.join(lot, buyer): buyer for buyer in floor.buyers}
    if sold:
        await floor.bid(lot, floor.buyers[3], START_FEN)
    house.now_us += DAY_US
    worker = Worker(house.gate, house.gate.database)
    await worker.tick()
    assert await house.gate.read(auctions.due, house.now_us) == auctions.Due([], [], [], [], [])
    assert await house.gate.read(auctions.deposits_due, 10) == []
    losers = [n for n in range(6) if not (sold and n == 3)]
    assert [await floor.money(floor.buyers[n]) for n in losers] == [before[n] for n in losers]
    found = await floor.bodies()
    (closed,) = [body for _, body in found if body["kind"] == "lot_closed"]
    assert "transfers" not in closed
    released = {b["act"]["code"]: index for index, b in found if b["kind"] == "deposit_released"}
    assert set(released) == {code for code, buyer in codes.items() if floor.buyers.index(buyer) in losers}
    for code, index in released.items():
        for buyer in (*floor.buyers, floor.seller):
            assert await may_see(floor, buyer, index) == (buyer == codes[code])
    await sound(floor)
    for code in ("B0", *codes):  # of nobody, given back, captured
        with pytest.raises(Conflict):
            await house.act(auctions.release_deposit, auctions.ReleaseDeposit(lot, code), CLOCK)


@pytest.mark.anyio
async def test_deposits_given_back_in_a_crowd_go_as_each_alone(house: House) -> None:
    floor = await Floor.open(house, buyers=5)
    crowd, alone = await floor.lot(), await floor.lot()
    codes = {lot: [await floor.join(lot, buyer) for buyer in floor.buyers] for lot in (crowd, alone)}
    house.now_us += DAY_US
    for lot in (crowd, alone):
        await house.act(auctions.close_lot, CloseLot(lot), CLOCK)
    for code in sorted(codes[alone]):
        await house.act(auctions.release_deposit, auctions.ReleaseDeposit(alone, code), CLOCK)
    owed = await house.gate.read(auctions.deposits_due, 10)
    room = auctions.GiveBack(house.gate.mac_key)
    assert [one.code for one in owed] == sorted(codes[crowd])
    false = replace(owed[0], held=owed[1].held)  # another's hold under this code
    with pytest.raises(Conflict):
        await house.act(room, false, CLOCK)
    await Worker(house.gate, house.gate.database).give_back()
    assert await house.gate.read(auctions.deposits_due, 10) == []
    with pytest.raises(Conflict):
        await house.act(room, owed[0], CLOCK, "again")

    def said(lot: str) -> list[Any]:
        """The entries about a lot's deposits, without the names that are a lot's own."""
        names = {lot: "lot", **{code: f"B{n}" for n, code in enumerate(codes[lot])}}
        found = []
        for _, body in bodies:
            if body["kind"] == "deposit_released" and body["act"]["lot"] == lot:
                act = {name: names.get(value, value) for name, value in body["act"].items()}
                (back,) = body["transfers"]
                assert back["id"] == f"{back['pending']}:back"
                found.append(
                    {**body, "act": act, "key": "", "transfers": [{**back, "id": "", "pending": ""}]}
                )
        return sorted(found, key=lambda one: str(one["act"]["code"]))

    bodies = await floor.bodies()
    assert len(said(crowd)) == 5
    assert said(crowd) == said(alone)
    assert [await floor.money(buyer) for buyer in floor.buyers] == [(10_000_000, 0)] * 5
    await sound(floor)


@pytest.mark.anyio
async def test_lots_that_close_in_a_crowd_close_as_each_alone(house: House) -> None:
    floor = await Floor.open(house, buyers=3)
    lots = [await floor.lot() for _ in range(4)]  # two pairs: bid for, and not
    codes = {lot: [await floor.join(lot, buyer) for buyer in floor.buyers] for lot in lots}
    for lot in lots[:2]:
        for n, buyer in enumerate(floor.buyers):
            await floor.bid(lot, buyer, START_FEN + n * INCREMENT_FEN, f"{lot}-{n}")
    house.now_us += DAY_US
    for lot in (lots[1], lots[3]):
        await house.act(auctions.close_lot, CloseLot(lot), CLOCK)
    await Worker(house.gate, house.gate.database).close()
    bodies = {body["act"]["lot"]: body for _, body in await floor.bodies() if body["kind"] == "lot_closed"}
    readers = dict(
        await floor.rows(
            "SELECT r.log_index, array_agg(r.party ORDER BY r.party) FROM entry_reader r GROUP BY r.log_index"
        )
    )
    at = {body["act"]["lot"]: index for index, body in await floor.bodies() if body["kind"] == "lot_closed"}
    for crowd, alone in ((lots[0], lots[1]), (lots[2], lots[3])):
        one, other = bodies[crowd]["act"], bodies[alone]["act"]
        assert {**one, "lot": "", "outcome": ""} == {**other, "lot": "", "outcome": ""}
        assert {n: v for n, v in bodies[crowd].items() if n not in ("act", "key")} == {
            n: v for n, v in bodies[alone].items() if n not in ("act", "key")
        }
        assert readers[at[crowd]] == readers[at[alone]]
        (first,), (second,) = [
            await floor.rows(
                "SELECT winner, price_fen, pay_by_us, ended_us, refund_by_us, outcome->'result'->>'bids' FROM lot WHERE id = %s",
                lot,
            )
            for lot in (crowd, alone)
        ]
        assert first == second
    assert bodies[lots[0]]["act"]["outcome"]["result"]["allocation"][0]["code"] == codes[lots[0]][2]
    states = await floor.rows(
        "SELECT l.state, s.state FROM lot l JOIN listing s ON s.id = l.listing ORDER BY l.log_index"
    )
    assert states == [("sold", "ended")] * 2 + [("failed", "ended")] * 2
    await sound(floor)


@pytest.mark.anyio
async def test_an_award_that_was_made_before_the_last_bid_is_made_again_at_the_close(floor: Floor) -> None:
    lot, (one, two) = await floor.lot(), floor.buyers
    codes = [await floor.join(lot, buyer) for buyer in (one, two)]
    await floor.bid(lot, one, START_FEN)
    (early,) = await floor.house.gate.read(auctions.awards_of, [lot])
    assert early is not None
    assert early.allocation[0].code == codes[0]
    await floor.bid(lot, two, START_FEN + INCREMENT_FEN)
    with pytest.raises(Conflict) as too_early:
        await floor.house.act(
            auctions.close_lots, CloseLot(lot, *await floor.house.gate.read(auctions.awards_of, [lot])), CLOCK
        )
    assert too_early.value.code == "lot.not_due"
    floor.house.now_us += DAY_US
    with pytest.raises(Conflict) as stale:  # the crowd's way makes none, and leaves it to the next round
        await floor.house.act(auctions.close_lots, CloseLot(lot, early), CLOCK)
    assert stale.value.code == "lot.award"
    closed = await floor.house.act(auctions.close_lot, CloseLot(lot, early), CLOCK)
    assert closed["outcome"]["result"]["allocation"][0]["code"] == codes[1]
    await sound(floor)


@pytest.mark.anyio
async def test_no_deposit_goes_back_while_the_lot_is_open(floor: Floor) -> None:
    lot = await floor.lot()
    code = await floor.join(lot, floor.buyers[0])
    assert await floor.house.gate.read(auctions.deposits_due, 10) == []
    with pytest.raises(Conflict):
        await floor.house.act(auctions.release_deposit, auctions.ReleaseDeposit(lot, code), CLOCK)
