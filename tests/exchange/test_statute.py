"""The auction by statute: each number on both sides of its edge, and what happens when nobody bids, pays, or all is well."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import auctions, listings, money, parties, rulebook, sales, settlement
from exchange.acts import CLOCK, Caller
from exchange.auctions import Earlier, OpenLot, check_lot
from exchange.database import Addresses
from exchange.errors import Conflict, ExchangeError, Forbidden, NotFound, Unprocessable
from exchange.replay import Replayed, replay
from exchange.worker import Worker
from pricing.auctions import draw_seed
from pricing.auctions.draw import draw_order
from tests.exchange.conftest import ORIGIN, START_US, House
from tests.exchange.contract import document
from tests.exchange.floor import (
    DAY_US,
    DEPOSIT_FEN,
    INCREMENT_FEN,
    MINUTE_US,
    NONCE,
    START_FEN,
    Floor,
    agreement,
    another_gate,
    exclusive,
    licence,
    may_see,
)

CN, GENERIC = rulebook.load("cn-venue"), rulebook.load("generic")
MS_US = 1_000
HENGYANG_START_FEN, HENGYANG_DEPOSIT_FEN = 180_244_120_000, 36_048_824_000
APPRAISAL_FEN = 1_000_000
OPEN = OpenLot("a", licence(START_FEN), INCREMENT_FEN, DEPOSIT_FEN, START_US, START_US + DAY_US)


@pytest.fixture
async def floor(house: House) -> Floor:
    return await Floor.open(house, buyers=3)


def refused(act: OpenLot, earlier: Earlier | None = None, rules: Any = CN) -> str | None:
    """Why the rulebook does not allow a lot; None where it does."""
    try:
        listings.check_offer(act.offer, rules)
        check_lot(act, APPRAISAL_FEN, START_US, rules, earlier)
    except ExchangeError as problem:
        return problem.code
    return None


def started(fen: int, **changed: Any) -> OpenLot:
    """A lot that starts at so many fen, with a tenth of it as deposit."""
    return replace(OPEN, offer=licence(fen), **{"deposit_fen": fen // 10, **changed})


# --- each number, on both sides ---


def test_69_99_percent_of_the_appraisal_is_refused_and_70_00_accepted() -> None:
    assert refused(started(699_900)) == "lot.start_price"
    assert refused(started(699_999)) == "lot.start_price"
    assert refused(started(700_000)) is None


def test_a_deposit_of_4_99_percent_is_refused_5_and_20_accepted_and_20_01_refused() -> None:
    found = [refused(started(1_000_000, deposit_fen=fen)) for fen in (49_900, 49_999, 50_000)]
    assert found == ["lot.deposit", "lot.deposit", None]
    found = [refused(started(1_000_000, deposit_fen=fen)) for fen in (200_000, 200_001, 200_100)]
    assert found == [None, "lot.deposit", "lot.deposit"]


def test_the_deposit_of_hengyang_is_20_00_percent_and_a_fen_more_is_refused() -> None:
    """衡阳市政务数据资源和智慧城市特许经营权, 2023: start 1,802,441,200 yuan, deposit 360,488,240."""
    assert Fraction(HENGYANG_DEPOSIT_FEN, HENGYANG_START_FEN) == Fraction(20, 100)
    assert refused(started(HENGYANG_START_FEN, deposit_fen=HENGYANG_DEPOSIT_FEN)) is None
    assert refused(started(HENGYANG_START_FEN, deposit_fen=HENGYANG_DEPOSIT_FEN + 1)) == "lot.deposit"


def test_23_59_59_of_bidding_are_refused_and_24_hours_accepted() -> None:
    assert refused(replace(OPEN, closes_us=START_US + DAY_US - 1)) == "lot.open"
    assert refused(replace(OPEN, closes_us=START_US + DAY_US - 1_000_000)) == "lot.open"
    assert refused(OPEN) is None


def test_an_exclusive_use_of_twelve_months_is_accepted_and_a_day_more_or_thirteen_refused() -> None:
    found = [
        refused(replace(OPEN, offer=exclusive(START_FEN, term_days=days))) for days in (1, 365, 366, 395)
    ]
    assert found == [None, None, "listing.term", "listing.term"]
    said = replace(exclusive(START_FEN), reason=" ")
    assert refused(replace(OPEN, offer=said)) == "listing.exclusive"


def test_the_ceiling_is_accepted_as_a_price_and_a_fen_above_refused_and_70_percent_above_it_too() -> None:
    assert refused(replace(OPEN, offer=licence(START_FEN, ceiling_fen=START_FEN))) is None
    assert refused(replace(OPEN, offer=licence(START_FEN + 1, ceiling_fen=START_FEN))) == "listing.ceiling"
    # 70 % of the appraisal lies above this ceiling: no start price is both; the remedy is to reappraise.
    low = START_FEN - 1
    assert refused(replace(started(low), offer=licence(low, ceiling_fen=low))) == "lot.start_price"


@given(value=st.integers(1, 10**12), start=st.integers(1, 10**12), deposit=st.integers(0, 10**12))
def test_terms_agree_with_exact_fractions(value: int, start: int, deposit: int) -> None:
    act = started(start, deposit_fen=deposit)
    try:
        check_lot(act, value, START_US, CN)
        allowed = True
    except Unprocessable:
        allowed = False
    share = Fraction(deposit, start)
    assert allowed == (
        Fraction(start, value) >= Fraction(7, 10) and Fraction(1, 20) <= share <= Fraction(1, 5)
    )


FAILED = Earlier("failed", START_US, 1_000_000, "licence", 1, 30, failures=1)


def test_a_return_at_79_99_percent_of_the_earlier_start_is_refused_and_at_80_00_accepted() -> None:
    back = {"again_of": "lot-1", "opens_us": START_US, "closes_us": START_US + DAY_US}
    found = [refused(started(fen, **back), FAILED) for fen in (799_900, 799_999, 800_000)]
    assert found == ["lot.again_start", "lot.again_start", None]
    # Of a start at 700,000 the return may lie at 560,000: the bound against the appraisal is the first auction's.
    cheap = replace(FAILED, start_price_fen=700_000)
    assert refused(started(560_000, **back), cheap) is None
    assert refused(started(560_000)) == "lot.start_price"


def test_a_return_on_the_thirtieth_day_is_accepted_and_a_microsecond_later_refused() -> None:
    last = START_US + 30 * DAY_US
    found = [
        refused(started(800_000, again_of="lot-1", opens_us=at, closes_us=at + DAY_US), FAILED)
        for at in (last - 1, last, last + 1, last + DAY_US)
    ]
    assert found == [None, None, "lot.again_time", "lot.again_time"]


def test_a_lot_that_failed_comes_back_once_as_what_it_was() -> None:
    back = started(800_000, again_of="lot-1")
    assert refused(back, replace(FAILED, failures=2)) == "lot.again_often"
    assert refused(back, replace(FAILED, failures=2), GENERIC) is None
    for change in ({"grant": "exclusive"}, {"term_days": 31}, {"licences": 2}):
        assert refused(back, replace(FAILED, **change)) == "lot.again_terms"
    assert refused(back, replace(FAILED, state="sold")) == "lot.again"


def test_a_reauction_after_a_default_starts_where_the_first_did_or_as_a_first_auction() -> None:
    earlier = replace(FAILED, state="defaulted", start_price_fen=650_000, failures=0)
    found = [refused(started(fen, again_of="lot-1"), earlier) for fen in (649_999, 650_000, 700_000)]
    assert found == ["lot.start_price", None, None]


@pytest.mark.parametrize(
    ("deposit", "price", "costs"), [(100, 1_000, 25), (25, 1_000, 25), (24, 1_000, 24), (0, 0, 0)]
)
def test_the_costs_of_a_default_are_both_commissions_as_far_as_the_deposit_goes(
    deposit: int, price: int, costs: int
) -> None:
    assert settlement.forfeit(deposit, price, CN) == settlement.Forfeited(costs, deposit - costs)


@given(
    kept=st.integers(0, 10**9),
    price=st.integers(0, 10**9),
    again=st.none() | st.integers(0, 10**9),
    made_up=st.integers(0, 10**9),
)
def test_what_is_kept_of_a_deposit_is_divided_whole_the_gap_first_and_no_more_than_it(
    kept: int, price: int, again: int | None, made_up: int
) -> None:
    gap, rest = auctions.gap(kept, price, again, made_up)
    assert gap + rest == kept
    assert min(gap, rest) >= 0
    if again is None:
        assert gap == 0
    else:
        assert again + made_up + gap <= max(price, again + made_up)
        assert rest == 0 or again + made_up + gap >= price


def test_a_commission_of_five_percent_from_each_side_is_accepted_and_a_millionth_more_refused() -> None:
    for side in ("buyer", "seller"):
        name = f"fees.{side}_commission_ppm"
        for ppm, allowed in ((50_000, True), (50_001, False)):
            rule = rulebook.Rule.from_json(name, {**CN[name].to_json(), "value": str(ppm)})
            if allowed:
                rulebook.require_consistent(CN.changed([rule]))
            else:
                with pytest.raises(ExchangeError):
                    rulebook.require_consistent(CN.changed([rule]))


@pytest.mark.parametrize("ground", CN.words("listing.annulment_grounds"))
def test_each_of_five_grounds_annuls(ground: str) -> None:
    settlement.check_annulment(ground, "津市监〔2026〕12号", "found", CN)
    assert len(CN.words("listing.annulment_grounds")) == 5


@pytest.mark.parametrize(
    ("ground", "order", "reason"),
    [
        ("regret", "12", "so"),
        ("collusion", " ", "so"),
        ("collusion", "12", ""),
        ("collusion", "1" * 2001, "so"),
    ],
)
def test_no_sixth_ground_and_nothing_without_order_and_reason(ground: str, order: str, reason: str) -> None:
    with pytest.raises(Unprocessable):
        settlement.check_annulment(ground, order, reason, CN)


# --- on the floor ---


async def sound(floor: Floor) -> Replayed:
    """The log decides itself again, and every fen is somewhere."""
    market = replay(await floor.bodies(), await floor.openings())
    assert market.differences == []
    assert market.not_judged == 0
    assert sum((await floor.balances()).values()) == 0
    return market


async def tick(floor: Floor) -> None:
    await Worker(floor.house.gate, floor.house.gate.database).tick()


async def state(floor: Floor, lot: str) -> str:
    return str((await floor.house.gate.read(auctions.lot, lot))["state"])


async def bid(floor: Floor, lot: str, caller: Caller, fen: int) -> str:
    said = await floor.bid(lot, caller, fen)
    return str(said["state"] if said["state"] == "admitted" else said["reason"]["code"])


async def won(floor: Floor, lot: str, *bids: tuple[Caller, int]) -> None:
    """Let these join and bid, and the day pass."""
    for who, fen in bids:
        await floor.join(lot, who)
        assert await bid(floor, lot, who, fen) == "admitted"
    floor.house.now_us += DAY_US
    await tick(floor)


@pytest.mark.anyio
async def test_a_bid_a_millisecond_before_the_last_five_minutes_moves_no_close_and_one_in_them_does(
    floor: Floor,
) -> None:
    house, one = floor.house, floor.buyers[0]
    moved = {}
    for name, early_us in (
        ("before", 5 * MINUTE_US + MS_US),
        ("edge", 5 * MINUTE_US),
        ("in", 5 * MINUTE_US - MS_US),
    ):
        closes = house.now_us + DAY_US
        lot = await floor.lot(closes_us=closes)
        await floor.join(lot, one)
        house.now_us = closes - early_us
        moved[name] = int((await floor.bid(lot, one, START_FEN))["closes_us"]) - closes
    assert moved == {"before": 0, "edge": 0, "in": MS_US}
    await sound(floor)


@pytest.mark.anyio
async def test_a_single_bidder_wins_at_the_start_price_and_a_fen_below_nobody_does(floor: Floor) -> None:
    lot = await floor.lot()
    await floor.join(lot, floor.buyers[0])
    assert await bid(floor, lot, floor.buyers[0], START_FEN - 1) == "bid.below_start"
    assert await bid(floor, lot, floor.buyers[0], START_FEN) == "admitted"
    floor.house.now_us += DAY_US
    await tick(floor)
    view = await floor.house.gate.read(auctions.lot, lot)
    assert (view["state"], view["price_fen"], view["settled"]) == ("sold", str(START_FEN), True)
    await sound(floor)


@pytest.mark.anyio
async def test_no_bid_is_withdrawn_and_no_deposit_while_the_lot_is_open(floor: Floor) -> None:
    lot = await floor.lot()
    one = floor.buyers[0]
    await floor.join(lot, one)
    await floor.bid(lot, one, START_FEN)
    free, held = await floor.money(one)
    assert held == DEPOSIT_FEN
    with pytest.raises(Conflict):
        await floor.house.act(money.withdraw, money.Withdraw(free + 1), one)
    code = (await floor.house.gate.read(auctions.bidder, one, lot))["code"]
    with pytest.raises(Conflict):
        await floor.house.act(auctions.release_deposit, auctions.ReleaseDeposit(lot, code), CLOCK)
    paths = {f"{method} {path}" for path, item in document()["paths"].items() for method in item}
    assert not [path for path in paths if path.startswith("delete /v1/lots")]
    assert (await floor.house.gate.read(auctions.lot, lot))["standing_price_fen"] == str(START_FEN)


@pytest.mark.anyio
async def test_codes_are_random_per_lot_and_nobody_of_staff_looks_behind_one_before_the_confirmation(
    floor: Floor,
) -> None:
    house, one = floor.house, floor.buyers[0]
    lots = [await floor.lot(), await floor.lot()]
    codes = [await floor.join(lot, one) for lot in lots]
    assert codes[0] != codes[1]
    await floor.bid(lots[0], one, START_FEN)
    bodies = dict(await floor.bodies())
    entries = [index for index, body in bodies.items() if body["kind"] in ("bidder", "bid")]
    (clerk,) = await house.party("administrator")
    for staff in (house.administrator, clerk, floor.seller, floor.bank, floor.buyers[1]):
        seen = [bodies[index] for index in entries if await may_see(floor, staff, index)]
        assert one.party not in str(seen)  # the seller reads the bids on its lot: by code
        assert staff is floor.seller or seen == []
        with pytest.raises(NotFound):
            await house.gate.read(auctions.bidder, staff, lots[0])
    house.now_us += DAY_US
    await tick(floor)
    told = [body["act"]["voucher"] for _, body in await floor.bodies() if body["kind"] == "lot_settled"]
    assert [voucher["buyer"] for voucher in told] == [one.party]


@pytest.mark.anyio
async def test_equal_price_wins_for_a_priority_holder_and_else_the_earlier_holds(floor: Floor) -> None:
    one, two, three = floor.buyers
    lot = await floor.lot(priority=(two.party,))
    codes = [await floor.join(lot, who) for who in floor.buyers]
    said = [await bid(floor, lot, who, START_FEN) for who in (one, three, two, one, two)]
    assert said == ["admitted", "bid.not_higher", "admitted", "bid.not_higher", "bid.not_higher"]
    view = await floor.house.gate.read(auctions.lot, lot)
    assert (view["standing_code"], view["priority"]) == (codes[1], [codes[1]])
    ((opened, _),) = [(i, body) for i, body in await floor.bodies() if body["kind"] == "lot_opened"]
    assert not any([await may_see(floor, who, opened) for who in (*floor.buyers, floor.house.administrator)])
    assert two.party not in str(view)
    floor.house.now_us += DAY_US
    await tick(floor)
    assert (await floor.house.gate.read(auctions.lot, lot))["winner_code"] == codes[1]
    assert (await sound(floor)).lots[lot].allotted is not None


@pytest.mark.anyio
async def test_priority_is_for_buyers_each_once(floor: Floor) -> None:
    for priority in (("org-nobody",), (floor.seller.party,), (floor.buyers[0].party,) * 2):
        with pytest.raises(Unprocessable) as problem:
            await floor.lot(priority=priority)
        assert problem.value.code == "lot.priority"


CEILING_FEN = START_FEN + 2 * INCREMENT_FEN


async def tied(floor: Floor, **terms: Any) -> tuple[str, dict[str, Caller]]:
    """A lot that three have bid up to its ceiling; who is behind which code."""
    lot = await floor.lot(offer=licence(START_FEN, ceiling_fen=CEILING_FEN), **terms)
    codes = {await floor.join(lot, who): who for who in floor.buyers}
    assert [await bid(floor, lot, who, CEILING_FEN) for who in floor.buyers] == ["admitted"] * 3
    assert await bid(floor, lot, floor.buyers[0], CEILING_FEN) == "bid.at_ceiling_already"
    assert await bid(floor, lot, floor.buyers[0], CEILING_FEN + 1) == "bid.above_ceiling"
    floor.house.now_us += DAY_US
    await tick(floor)
    return lot, codes


@pytest.mark.anyio
async def test_a_tie_at_the_ceiling_is_drawn_from_the_committed_nonce_and_the_bidders_own(
    floor: Floor,
) -> None:
    house = floor.house
    lot, codes = await tied(floor)
    assert await state(floor, lot) == "drawing"
    reveal = auctions.RevealDraw(lot, NONCE.hex())
    with pytest.raises(Forbidden):
        await house.act(auctions.reveal_draw, reveal, house.administrator)
    false = await house.act(auctions.reveal_draw, replace(reveal, nonce="00" * 32), floor.regulator)
    assert (false["state"], false["reason"]["code"]) == ("refused", "draw.nonce")
    drawn = await house.act(auctions.reveal_draw, reveal, floor.regulator)
    view = await house.gate.read(auctions.lot, lot)
    commitment = (await house.gate.read(auctions.draws))[0]
    seed = draw_seed(
        bytes.fromhex(commitment["commitment"]), NONCE, commitment["name"], dict.fromkeys(codes, NONCE)
    )
    order = list(codes)
    assert drawn["seed"] == seed.hex()
    assert view["winner_code"] == order[draw_order(seed, order)[0]]
    await tick(floor)
    assert [await floor.money(who) for who in floor.buyers if codes[view["winner_code"]] != who] == [
        (10_000_000, 0)
    ] * 2
    with pytest.raises(Conflict):
        await house.act(auctions.reveal_draw, reveal, floor.regulator)
    assert (await sound(floor)).judged["draws"] == 1


@pytest.mark.anyio
async def test_a_priority_holder_is_drawn_first(floor: Floor) -> None:
    lot, codes = await tied(floor, priority=(floor.buyers[2].party,))
    await floor.house.act(auctions.reveal_draw, auctions.RevealDraw(lot, NONCE.hex()), floor.regulator)
    view = await floor.house.gate.read(auctions.lot, lot)
    assert codes[view["winner_code"]] == floor.buyers[2]
    await sound(floor)


@pytest.mark.anyio
async def test_a_lot_with_a_ceiling_waits_for_a_commitment_and_bidders_bring_their_own_nonce(
    floor: Floor,
) -> None:
    house = floor.house
    offer = licence(START_FEN, ceiling_fen=CEILING_FEN)
    act = auctions.OpenLot(
        await floor.asset(), offer, INCREMENT_FEN, DEPOSIT_FEN, house.now_us, house.now_us + DAY_US
    )
    with pytest.raises(Conflict) as problem:
        await house.act(auctions.open_lot, act, floor.seller)
    assert problem.value.code == "lot.draw"
    name = await floor.commit()
    with pytest.raises(Conflict):
        await house.act(auctions.commit_draw, auctions.CommitDraw(name, "00" * 32), floor.regulator)
    with pytest.raises(Unprocessable):
        await house.act(auctions.commit_draw, auctions.CommitDraw("d", "zz"), floor.regulator)
    lot = (await house.act(auctions.open_lot, act, floor.seller))["id"]
    for nonce in (None, "00", "ZZ" * 32):
        with pytest.raises(Unprocessable) as lacking:
            await house.act(auctions.join_lot, auctions.JoinLot(lot, nonce=nonce), floor.buyers[0])
        assert lacking.value.code == "bidder.nonce"
    with pytest.raises(Conflict):  # the lot is open: nothing is drawn yet
        await house.act(auctions.reveal_draw, auctions.RevealDraw(lot, NONCE.hex()), floor.regulator)


@pytest.mark.anyio
async def test_losers_have_their_deposits_back_at_once_and_the_clock_shows_who_waits_longer_than_a_day(
    floor: Floor,
) -> None:
    house, (one, two, _) = floor.house, floor.buyers
    lot = await floor.lot()
    for who, fen in ((one, START_FEN), (two, START_FEN + INCREMENT_FEN)):
        await floor.join(lot, who)
        await floor.bid(lot, who, fen)
    closes = house.now_us + DAY_US
    due = closes + DAY_US

    async def late() -> list[bool]:
        rows = await house.gate.read(auctions.refunds, floor.regulator, house.now_us, 10)
        assert {row["refund_by_us"] for row in rows} <= {str(due)}
        return [row["late"] for row in rows]

    assert await late() == []
    house.now_us = closes  # nobody has closed it: the clock runs all the same
    assert await late() == [False, False]
    await Worker(house.gate, house.gate.database).close()
    house.now_us = due
    assert await late() == [False]
    house.now_us = due + 1
    assert await late() == [True]
    place = await house.gate.read(auctions.bidder, one, lot)
    assert (place["state"], place["refund_by_us"]) == ("admitted", str(due))
    with pytest.raises(Forbidden):
        await house.gate.read(auctions.refunds, one, house.now_us, 10)
    await tick(floor)
    assert await late() == []
    assert (await house.gate.read(auctions.bidder, one, lot))["state"] == "released"
    await sound(floor)


@pytest.mark.anyio
async def test_a_failed_lot_comes_back_once_and_no_other_assets_does(floor: Floor) -> None:
    house, asset = floor.house, await floor.asset()
    first = await floor.lot(asset)
    house.now_us += DAY_US
    await tick(floor)
    assert await state(floor, first) == "failed"
    terms: dict[str, Any] = {"again_of": first, "deposit_fen": 56_000}
    with pytest.raises(NotFound):
        await floor.lot(offer=licence(560_000), **terms)
    with pytest.raises(Unprocessable):
        await floor.lot(asset, offer=licence(559_999), **terms)
    second = await floor.lot(asset, offer=licence(560_000), **terms)
    with pytest.raises(Conflict):
        await floor.lot(asset, offer=licence(560_000), **terms)
    house.now_us += DAY_US
    await tick(floor)
    with pytest.raises(Conflict) as often:
        await floor.lot(asset, offer=licence(560_000), **{**terms, "again_of": second})
    assert often.value.code == "lot.again_often"
    with pytest.raises(Conflict) as come:
        await floor.lot(asset, offer=licence(560_000), **terms)
    assert come.value.code == "lot.again"
    assert (await sound(floor)).judged["lots"] == 2


# --- default ---


async def drain(floor: Floor, who: Caller) -> None:
    """Pay out all that a party has free."""
    free, _ = await floor.money(who)
    await floor.house.act(money.withdraw, money.Withdraw(free), who)


async def unpaid(house: House) -> tuple[Floor, str, str]:
    """A lot of an asset that its winner, the first buyer, has not paid in ten days, which nobody has said yet."""
    floor = await Floor.open(house, buyers=3)
    asset = await floor.asset()
    lot = await floor.lot(asset)
    one, two, _ = floor.buyers
    for who, fen in ((two, START_FEN), (one, PRICE_FEN)):
        await floor.join(lot, who)
        assert await bid(floor, lot, who, fen) == "admitted"
    await drain(floor, one)
    house.now_us += DAY_US
    await tick(floor)
    house.now_us += 10 * DAY_US
    return floor, asset, lot


@pytest.fixture
async def defaulted(house: House) -> tuple[Floor, str, str]:
    """The same, and its winner is found in default."""
    found = await unpaid(house)
    await tick(found[0])
    return found


PRICE_FEN = START_FEN + 10 * INCREMENT_FEN
COSTS_FEN = PRICE_FEN // 100 + PRICE_FEN * 15 // 1000
KEPT_FEN = DEPOSIT_FEN - COSTS_FEN


@pytest.mark.anyio
async def test_a_winner_has_ten_days_to_pay_and_is_in_default_on_the_tenth(house: House) -> None:
    floor = await Floor.open(house, buyers=1)
    (one,) = floor.buyers
    lot = await floor.lot()
    await floor.join(lot, one)
    await floor.bid(lot, one, START_FEN)
    await drain(floor, one)
    house.now_us += DAY_US
    await tick(floor)
    house.now_us += 10 * DAY_US - 1
    await tick(floor)
    assert await state(floor, lot) == "sold"
    with pytest.raises(Conflict) as early:
        await house.act(auctions.declare_default, auctions.DeclareDefault(lot), CLOCK)
    assert early.value.code == "lot.no_default"
    house.now_us += 1
    await tick(floor)
    assert await state(floor, lot) == "defaulted"
    assert await floor.money(one) == (0, 0)
    balances = await floor.balances()
    costs = START_FEN // 100 + START_FEN * 15 // 1000
    assert (balances[money.FEES], balances[money.DEPOSITS]) == (costs, DEPOSIT_FEN - costs)
    await sound(floor)


@pytest.mark.anyio
async def test_who_can_pay_is_settled_and_not_in_default_however_late_the_market_looks(house: House) -> None:
    floor = await Floor.open(house, buyers=1)
    (one,) = floor.buyers
    lot = await floor.lot()
    await floor.join(lot, one)
    await floor.bid(lot, one, START_FEN)
    free, _ = await floor.money(one)
    owed = START_FEN + START_FEN // 100 - DEPOSIT_FEN
    await house.act(money.withdraw, money.Withdraw(free - owed + 1), one)  # a fen short
    house.now_us += DAY_US
    await tick(floor)
    await floor.fund(one, 1)
    house.now_us += 30 * DAY_US  # a clock that jumps, or a worker that slept
    with pytest.raises(Conflict) as able:
        await house.act(auctions.declare_default, auctions.DeclareDefault(lot), CLOCK)
    assert able.value.code == "lot.payable"
    await tick(floor)
    view = await house.gate.read(auctions.lot, lot)
    assert (view["state"], view["settled"]) == ("sold", True)
    assert await floor.money(one) == (0, 0)


@pytest.mark.anyio
async def test_the_forfeit_pays_the_costs_then_the_gap_of_the_reauction_then_the_treasury(
    defaulted: tuple[Floor, str, str],
) -> None:
    floor, asset, lot = defaulted
    house, (one, two, three) = floor.house, floor.buyers
    with pytest.raises(Conflict) as missing:
        await floor.lot(asset)
    assert missing.value.code == "lot.again_missing"
    again = await floor.lot(asset, again_of=lot)
    barred = await house.act(auctions.join_lot, auctions.JoinLot(again), one)
    assert (barred["state"], barred["reason"]["code"]) == ("refused", "bidder.defaulted")
    assert one.party not in str(barred)
    await floor.join(await floor.lot(), two)  # others' lots are open to everybody
    before = await floor.balances()
    seller = (await house.gate.read(parties.account_of, floor.seller))["account"]
    gap = 5 * INCREMENT_FEN
    assert before[money.FEES] == COSTS_FEN
    await won(floor, again, (three, PRICE_FEN - gap))
    await tick(floor)
    balances = await floor.balances()
    (settled,) = [b["act"]["voucher"] for _, b in await floor.bodies() if b["kind"] == "lot_settled"]
    tax, fee = int(settled["split"]["tax_fen"]), int(settled["split"]["seller_fee_fen"])
    assert balances[seller] - before[seller] == PRICE_FEN - gap - tax - fee + min(gap, KEPT_FEN)
    assert balances.get(money.treasury(floor.seller.party), 0) == KEPT_FEN - min(gap, KEPT_FEN)
    assert balances[money.DEPOSITS] == 0
    assert (await sound(floor)).judged["forfeits"] == 1


@pytest.mark.anyio
async def test_a_small_gap_leaves_the_rest_to_the_suppliers_treasury(
    defaulted: tuple[Floor, str, str],
) -> None:
    floor, asset, lot = defaulted
    again = await floor.lot(asset, again_of=lot)
    await won(floor, again, (floor.buyers[2], PRICE_FEN - INCREMENT_FEN))
    await tick(floor)
    assert (await floor.balances())[money.treasury(floor.seller.party)] == KEPT_FEN - INCREMENT_FEN
    assert [row[0] for row in await floor.rows("SELECT forfeit_fen FROM lot WHERE id = %s", lot)] == [0]
    await sound(floor)


@pytest.mark.anyio
async def test_without_a_reauction_in_thirty_days_all_that_is_kept_goes_to_the_treasury(
    defaulted: tuple[Floor, str, str],
) -> None:
    floor, asset, lot = defaulted
    floor.house.now_us += 30 * DAY_US
    await tick(floor)
    with pytest.raises(Conflict):
        await floor.house.act(auctions.distribute_forfeit, auctions.DistributeForfeit(lot), CLOCK)
    floor.house.now_us += 1
    await tick(floor)
    assert (await floor.balances())[money.treasury(floor.seller.party)] == KEPT_FEN
    await floor.lot(asset)  # and the next one is a first auction
    await sound(floor)


@pytest.mark.anyio
async def test_two_defaults_in_a_row_never_bring_the_supplier_more_than_the_dearest_award(
    defaulted: tuple[Floor, str, str],
) -> None:
    floor, asset, lot = defaulted
    house, (_, two, three) = floor.house, floor.buyers
    second = await floor.lot(asset, again_of=lot)
    await floor.join(second, two)
    await floor.bid(second, two, START_FEN + 9 * INCREMENT_FEN)
    await drain(floor, two)
    house.now_us += DAY_US
    await tick(floor)
    house.now_us += 10 * DAY_US
    await tick(floor)
    assert await state(floor, second) == "defaulted"
    third = await floor.lot(asset, again_of=second)
    said = await house.act(auctions.join_lot, auctions.JoinLot(third), two)
    assert said["reason"]["code"] == "bidder.defaulted"
    await won(floor, third, (three, START_FEN + 8 * INCREMENT_FEN))
    for _ in range(2):  # one forfeit after the other
        await tick(floor)
    gaps = await floor.rows("SELECT gap_fen FROM lot ORDER BY log_index")
    # 1. fell short by 20,000, and its deposit made up for that: the second's award, 10,000 above, is reached already.
    assert [row[0] for row in gaps] == [2 * INCREMENT_FEN, 0, None]
    await sound(floor)


# --- halt, cancellation, annulment ---


@pytest.mark.anyio
async def test_a_halted_lot_takes_no_bid_and_resumes_with_the_time_that_was_left(floor: Floor) -> None:
    house, (one, two, _) = floor.house, floor.buyers
    lot = await floor.lot()
    for who in (one, two):
        await floor.join(lot, who)
    house.now_us += DAY_US - MINUTE_US
    closes = int((await floor.bid(lot, one, START_FEN))["closes_us"])
    halt = auctions.HaltLot(lot, "the site answered nobody")
    with pytest.raises(Forbidden):
        await house.act(auctions.halt_lot, halt, floor.seller)
    with pytest.raises(Unprocessable):
        await house.act(auctions.halt_lot, replace(halt, reason=" "), floor.regulator)
    await house.act(auctions.halt_lot, halt, house.administrator)
    with pytest.raises(Conflict):
        await house.act(auctions.halt_lot, halt, floor.regulator)
    assert await bid(floor, lot, two, START_FEN + INCREMENT_FEN) == "bid.halted"
    house.now_us += 5 * DAY_US
    await tick(floor)  # past its close, and not closed: its clock stands still
    assert await state(floor, lot) == "halted"
    resumed = await house.act(auctions.resume_lot, auctions.ResumeLot(lot), floor.regulator)
    assert int(resumed["closes_us"]) == closes + 5 * DAY_US
    assert await bid(floor, lot, two, START_FEN + INCREMENT_FEN) == "admitted"
    house.now_us += 6 * MINUTE_US
    await tick(floor)
    assert await state(floor, lot) == "sold"
    await sound(floor)


@pytest.mark.anyio
async def test_a_lot_is_resumed_on_the_fifth_day_and_a_microsecond_later_called_off(floor: Floor) -> None:
    house, one = floor.house, floor.buyers[0]
    lot = await floor.lot()
    await floor.join(lot, one)
    await house.act(auctions.halt_lot, auctions.HaltLot(lot, "power"), floor.regulator)
    house.now_us += 5 * DAY_US
    with pytest.raises(Conflict):
        await house.act(auctions.cancel_lot, auctions.CancelLot(lot, "late"), CLOCK)
    house.now_us += 1
    with pytest.raises(Conflict) as late:
        await house.act(auctions.resume_lot, auctions.ResumeLot(lot), floor.regulator)
    assert late.value.code == "lot.halted_long"
    await tick(floor)
    assert await state(floor, lot) == "cancelled"
    assert (await floor.money(one))[1] == 0
    await sound(floor)


@pytest.mark.anyio
async def test_a_settled_auction_is_annulled_by_a_reversing_entry_and_every_fen_goes_back(
    house: House,
) -> None:
    floor = await Floor.open(house, buyers=2)
    asset = await floor.asset(operator=floor.operator.party)
    await house.act(parties.agree_operation, agreement(floor.operator.party, 300_000), floor.seller)
    before = await floor.balances()
    lot = await floor.lot(asset)
    await won(floor, lot, (floor.buyers[0], START_FEN))
    order = auctions.AnnulLot(lot, "collusion", "津市监〔2026〕12号", "the bidders met before")
    for caller in (house.administrator, floor.seller, floor.buyers[0]):
        with pytest.raises(Forbidden):
            await house.act(auctions.annul_lot, order, caller)
    with pytest.raises(Unprocessable):
        await house.act(auctions.annul_lot, replace(order, ground="regret"), floor.regulator)
    annulled = await house.act(auctions.annul_lot, order, floor.regulator)
    assert annulled["trade"] is not None
    assert await floor.balances() == before
    assert await floor.rows("SELECT state FROM licence") == [("annulled",)]
    assert "met before" not in str([body for _, body in await floor.bodies()])
    with pytest.raises(Conflict):
        await house.act(auctions.annul_lot, order, floor.regulator)
    (view,) = await house.gate.read(settlement.trades, floor.buyers[0])
    assert view["annulled"]["order"] == order.order
    await floor.lot(asset)  # the asset may be offered again
    assert (await sound(floor)).judged["annulments"] == 1


@pytest.mark.anyio
async def test_what_was_paid_out_already_is_not_undone_until_it_is_there_again(floor: Floor) -> None:
    house = floor.house
    lot = await floor.lot()
    await won(floor, lot, (floor.buyers[0], START_FEN))
    free, _ = await floor.money(floor.seller)
    await house.act(money.withdraw, money.Withdraw(free), floor.seller)
    order = auctions.AnnulLot(lot, "misdescription", "12", "columns are missing")
    size = await house.log_size()
    with pytest.raises(Conflict) as problem:
        await house.act(auctions.annul_lot, order, floor.regulator)
    assert problem.value.code == "annulment.uncovered"
    assert await house.log_size() == size
    await floor.fund(floor.seller, free)
    await house.act(auctions.annul_lot, order, floor.regulator)
    assert await state(floor, lot) == "annulled"
    await sound(floor)


@pytest.mark.anyio
async def test_an_award_that_is_not_paid_yet_is_annulled_and_the_winner_too_has_the_deposit_back(
    floor: Floor,
) -> None:
    house, (one, two, _) = floor.house, floor.buyers
    lot = await floor.lot()
    for who, fen in ((one, START_FEN), (two, START_FEN + INCREMENT_FEN)):
        await floor.join(lot, who)
        await floor.bid(lot, who, fen)
    await drain(floor, two)
    house.now_us += DAY_US
    await tick(floor)
    order = auctions.AnnulLot(lot, "unqualified_buyer", "12", "no permit")
    await house.act(auctions.annul_lot, order, floor.regulator)
    await tick(floor)
    assert [await floor.money(who) for who in (one, two)] == [(10_000_000, 0), (DEPOSIT_FEN, 0)]
    await sound(floor)


@pytest.mark.anyio
async def test_a_sale_at_a_fixed_price_is_annulled_once_under_an_order(floor: Floor) -> None:
    house, one = floor.house, floor.buyers[0]
    before = await floor.balances()
    listing = await floor.listing(licence(10_000, 2))
    sold = await house.act(sales.buy, sales.Buy(listing, 1), one)
    order = sales.AnnulSale(sold["voucher"]["trade"], "misdescription", "12", "not what it said")
    with pytest.raises(Forbidden):
        await house.act(sales.annul_sale, order, floor.seller)
    await house.act(sales.annul_sale, order, floor.regulator)
    assert await floor.balances() == before
    with pytest.raises(Conflict):
        await house.act(sales.annul_sale, order, floor.regulator)
    lot = await floor.lot()
    await won(floor, lot, (one, START_FEN))
    (trade,) = await floor.rows("SELECT id FROM trade WHERE lot = %s", lot)
    with pytest.raises(Conflict) as another:
        await house.act(sales.annul_sale, replace(order, trade=trade[0]), floor.regulator)
    assert another.value.code == "annulment.lot"
    await sound(floor)


@pytest.mark.anyio
async def test_who_has_not_shown_what_the_lot_asks_for_is_refused_by_code_and_comes_back_with_it(
    floor: Floor,
) -> None:
    house, one = floor.house, floor.buyers[0]
    with pytest.raises(Unprocessable):
        await floor.lot(qualification=("a good name",))
    lot = await floor.lot(qualification=("qualification",))
    said = await house.act(auctions.join_lot, auctions.JoinLot(lot), one)
    assert (said["state"], said["reason"]["code"]) == ("refused", "bidder.unqualified")
    assert one.party not in str(said)
    document = "5d" * 32
    expires = house.now_us + DAY_US // 2
    await house.act(
        parties.file_document, parties.FileDocument(one.party, "qualification", document, expires), one
    )
    said = await house.act(auctions.join_lot, auctions.JoinLot(lot), one)
    assert said["state"] == "refused"  # filed, and not accepted yet
    review = parties.ReviewDocument(one.party, document, "accept", "seen")
    await house.act(parties.review_document, review, house.administrator)
    await floor.join(lot, one)
    house.now_us = expires
    late = await floor.lot(qualification=("qualification",))
    said = await house.act(auctions.join_lot, auctions.JoinLot(late), one)
    assert said["reason"]["code"] == "bidder.unqualified"  # what it showed is over
    await sound(floor)


CHILD = Path(__file__).with_name("_clock.py")


async def killed(floor: Floor, database: Addresses, point: str) -> None:
    """Let another process have the worker's turn, and die at the named point."""
    words = [database.app_url, point, ORIGIN, str(floor.house.now_us), "", "", "00"]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(CHILD), *words], capture_output=True, text=True, check=False, timeout=60
        )

    child = await asyncio.to_thread(run)
    assert child.returncode == -9, child.stderr


async def kinds(floor: Floor) -> Counter[str]:
    return Counter(body["kind"] for _, body in await floor.bodies())


@pytest.mark.anyio
@pytest.mark.parametrize("point", ["worker.before_default", "gate.before_commit", "gate.after_commit"])
async def test_a_default_that_a_crash_interrupts_is_found_once(
    house: House, database: Addresses, point: str
) -> None:
    floor, _, lot = await unpaid(house)
    await killed(floor, database, point)
    async with another_gate(house, database) as other:  # and several workers come after it
        await asyncio.gather(*(Worker(g, g.database).tick() for g in (house.gate, other, house.gate)))
    assert (await kinds(floor))["lot_defaulted"] == 1
    assert await state(floor, lot) == "defaulted"
    await sound(floor)


@pytest.mark.anyio
@pytest.mark.parametrize("point", ["worker.before_divide", "gate.decided"])
async def test_a_forfeit_that_a_crash_interrupts_is_divided_once(
    defaulted: tuple[Floor, str, str], database: Addresses, point: str
) -> None:
    floor, _, _ = defaulted
    floor.house.now_us += 30 * DAY_US + 1
    await killed(floor, database, point)
    await tick(floor)
    await tick(floor)
    assert (await kinds(floor))["forfeit_distributed"] == 1
    assert (await floor.balances())[money.treasury(floor.seller.party)] == KEPT_FEN
    await sound(floor)


@pytest.mark.anyio
@pytest.mark.parametrize("point", ["worker.before_cancel", "worker.before_release", "worker.before_settle"])
async def test_every_other_step_of_the_close_that_a_crash_interrupts_is_done_once(
    floor: Floor, database: Addresses, point: str
) -> None:
    house, (one, two, _) = floor.house, floor.buyers
    lots = [await floor.lot(), await floor.lot()]
    for lot in lots:
        for who, fen in ((one, START_FEN), (two, START_FEN + INCREMENT_FEN)):
            await floor.join(lot, who)
            await floor.bid(lot, who, fen)
    await house.act(auctions.halt_lot, auctions.HaltLot(lots[1], "power"), floor.regulator)
    house.now_us += 5 * DAY_US + 1
    await killed(floor, database, point)
    await tick(floor)
    await tick(floor)
    found = await kinds(floor)
    assert [found[kind] for kind in ("lot_closed", "lot_settled", "lot_cancelled")] == [1, 1, 1]
    assert found["deposit_released"] == 3
    assert [(await floor.money(who))[1] for who in (one, two)] == [0, 0]
    await sound(floor)


@pytest.mark.anyio
async def test_an_annulment_whose_answer_was_lost_is_not_done_twice(floor: Floor) -> None:
    lot = await floor.lot()
    await won(floor, lot, (floor.buyers[0], START_FEN))
    order = auctions.AnnulLot(lot, "system_fault", "12", "the feed stood still")
    first = await floor.house.act(auctions.annul_lot, order, floor.regulator, "order-12")
    again = await floor.house.act(auctions.annul_lot, order, floor.regulator, "order-12")
    assert again == first
    assert (await kinds(floor))["lot_annulled"] == 1
    await sound(floor)
