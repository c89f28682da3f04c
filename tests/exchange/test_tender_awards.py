"""From the opened envelopes to the licence: marks by independent assessors, the rule, protests, payment, and signs of rigging."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import contracting, parties, rulebook, settlement, tenders
from exchange.acts import CLOCK, Caller
from exchange.errors import Conflict, ExchangeError, Forbidden, NotFound, Unprocessable
from exchange.money import FEES, treasury
from exchange.replay import replay
from exchange.tenders.protests import pay_by_us
from exchange.tenders.scoring import check_marks, clocks
from pricing.screens import SIGNS, Bidder, Bounds, rigging
from tests.exchange.conftest import House
from tests.exchange.floor import DAY_US, Floor, licence, may_see
from tests.exchange.tendered import DEPOSIT_FEN, PROPOSAL, QUALITY, Hall, scored

CN, GENERIC = rulebook.load("cn-venue"), rulebook.load("generic")
DOCUMENT = {"criteria": [["security", "400000", "100"], ["plan", "100000", "10"]], "drop_extremes": False}
OPENED = [
    {"code": "B1", "state": "valid"},
    {"code": "B2", "state": "valid"},
    {"code": "B3", "state": "void"},
]


async def assessors(house: House, count: int = 5) -> list[Caller]:
    return await house.party("service_provider", people=count)


@pytest.fixture
async def hall(house: House) -> Hall:
    return await Hall.open(await Floor.open(house, buyers=4))


async def sound(hall: Hall) -> Any:
    market = replay(await hall.floor.bodies(), await hall.floor.openings())
    assert market.differences == []
    return market


def why(check: Any, *arguments: Any) -> str | None:
    try:
        check(*arguments)
    except ExchangeError as problem:
        return problem.code
    return None


# --- each number, on both sides ---


def test_five_assessors_are_the_fewest_and_their_number_is_odd() -> None:
    counts = [why(tenders.check_assessors, [f"p{n}" for n in range(count)], CN) for count in (3, 4, 5, 6, 7)]
    assert counts == ["assessor.count", "assessor.count", None, "assessor.count", None]
    assert why(tenders.check_assessors, ["a", "b", "c", "d", "a"], CN) == "assessor.count"
    assert [why(tenders.check_assessors, ["a"] * n, GENERIC) for n in (0, 1)] == ["assessor.count", None]


def test_marks_are_whole_for_each_valid_bid_and_within_their_most_points() -> None:
    good = {"B1": {"security": 100, "plan": 10}, "B2": {"security": 0, "plan": 0}}
    assert why(check_marks, OPENED, DOCUMENT, good) is None
    for wrong in (
        {"B1": good["B1"]},
        {**good, "B3": good["B1"]},
        {**good, "B2": {"security": 0}},
        {**good, "B2": {"security": 101, "plan": 0}},
        {**good, "B2": {"security": 0, "plan": -1}},
        {**good, "B2": {"security": 0, "plan": 0, "looks": 1}},
    ):
        assert why(check_marks, OPENED, DOCUMENT, wrong) == "mark.incomplete"


def test_three_days_for_protests_then_thirty_to_pay_and_thirty_again_from_a_dismissal() -> None:
    assert clocks(7, CN) == (7 + 3 * DAY_US, 7 + 33 * DAY_US)
    assert pay_by_us(33 * DAY_US, 3 * DAY_US, 30) == 33 * DAY_US
    assert pay_by_us(33 * DAY_US, 3 * DAY_US + 1, 30) == 33 * DAY_US + 1


def test_each_of_the_six_signs_is_seen_and_a_clean_tender_shows_none() -> None:
    clean = [
        Bidder(f"B{n}", fen, f"d{n}", f"a{n}", f"m{n}", f"acc{n}", f"{n}" * 64)
        for n, fen in enumerate((700_000, 820_000, 1_000_000))
    ]
    assert rigging(clean, "higher", Bounds()) == []
    assert set(SIGNS) == set(CN.words("surveillance.rigged_tender_signs"))

    def seen(**changed: Any) -> list[str]:
        return [one.name for one in rigging([*clean[:2], replace(clean[2], **changed)], "higher", Bounds())]

    assert seen(drafter=" D１ ") == ["same_drafter"]  # case, width and spaces aside
    assert seen(agent="a0") == ["same_agent"]
    assert seen(manager="m1") == ["same_manager"]
    assert seen(account="acc0") == ["one_deposit_account"]
    assert seen(proposal="1" * 64) == ["mixed_documents"]
    assert seen(mixed=("B0", "stranger")) == ["mixed_documents"]
    assert seen(price_fen=940_000) == ["alike_quotes"]  # steps of 120,000 twice
    assert seen(price_fen=940_000 + 2_000) == []
    assert seen(price_fen=None) == []
    alike = [Bidder(f"B{n}", fen) for n, fen in enumerate((1_000_000, 1_000_007, 1_050_000))]
    (sign,) = rigging(alike, "higher", Bounds())
    assert "variation" in sign.figure
    assert "B0, B1, B2" in sign.words("zh")


@given(st.lists(st.integers(1, 10**9), min_size=3, max_size=12))
def test_the_signs_do_not_depend_on_the_order_of_the_bidders(prices: list[int]) -> None:
    bidders = [Bidder(f"B{n:02}", fen, f"d{n % 3}") for n, fen in enumerate(prices)]
    assert rigging(bidders[::-1], "higher", Bounds()) == rigging(bidders, "higher", Bounds())


# --- from the marks to the licence ---


@pytest.mark.anyio
async def test_the_rule_decides_a_protest_is_upheld_it_is_scored_anew_and_settled(
    house: House, hall: Hall
) -> None:
    floor = hall.floor
    tender = await hall.publish(rule=QUALITY)
    first, second, third, loser = floor.buyers
    await hall.bid(tender, (first, 900_000), (third, 800_000), (loser, 400_000), proposal=PROPOSAL)
    assert (await hall.join(tender, second, purpose="research"))["state"] == "admitted"
    assert (await hall.hand_in(tender, second, 1_000_000, PROPOSAL))["state"] == "sealed"
    await hall.opened(tender)
    experts = await assessors(house)
    ids = tuple(one.person for one in experts)
    marks = {hall.codes[tender, one.party]: {"security": 50} for one in floor.buyers}
    with pytest.raises(Forbidden, match="no assessor"):
        await house.act(tenders.mark_tender, tenders.MarkTender(tender, marks), experts[0])
    with pytest.raises(Conflict, match="is opened"):
        await house.gate.read(tenders.explanation, first, tender)
    with pytest.raises(Unprocessable, match="4 assessors"):
        await house.act(tenders.appoint_assessors, tenders.AppointAssessors(tender, ids[:4]), floor.seller)
    with pytest.raises(Forbidden, match="another department"):
        await house.act(tenders.appoint_assessors, tenders.AppointAssessors(tender, ids), first)
    nobody = tenders.AppointAssessors(tender, (*ids[:4], "per-0000000000000000"))
    unknown = await house.act(tenders.appoint_assessors, nobody, floor.seller)
    assert unknown["reason"]["code"] == "assessor.unknown"
    # One is of kin to a bidder: the way is told, the bidder by its code.
    kin = parties.DeclareRelation(experts[0].party, first.party, "controls", True, None)
    await house.act(parties.declare_relation, kin, floor.regulator)
    act = tenders.AppointAssessors(tender, ids)
    related = await house.act(tenders.appoint_assessors, act, floor.seller)
    assert related["reason"]["code"] == "assessor.related"
    assert hall.codes[tender, first.party] in related["reason"]["detail"]
    assert first.party not in str(related)
    ended = parties.DeclareRelation(experts[0].party, first.party, "controls", False, None)
    await house.act(parties.declare_relation, ended, floor.regulator)
    await scored(hall, tender, experts, {first.party: 90, second.party: 40, third.party: 60, loser.party: 60})
    with pytest.raises(Conflict, match="awarded"):
        await house.act(tenders.mark_tender, tenders.MarkTender(tender, marks), experts[0])
    view = await hall.view(tender)
    # 0.6 x 900/1000 + 0.4 x 90/100 = 0.54 + 0.36
    assert {one["code"]: one["total_ppm"] for one in view["scores"]} == {
        hall.codes[tender, first.party]: "900000",
        hall.codes[tender, second.party]: "760000",
        hall.codes[tender, third.party]: "720000",
        hall.codes[tender, loser.party]: "480000",
    }
    assert (view["winner_code"], view["price_fen"]) == (hall.codes[tender, first.party], "900000")
    told = await house.gate.read(tenders.explanation, third, tender)
    assert (told["result"], told["code"]) == ("lost", hall.codes[tender, third.party])
    assert hall.codes[tender, first.party] in told["zh"]
    # Two protest; the second one's is upheld, the other has nothing left to be against.
    until = int(view["protest_until_us"])
    (stranger,) = await house.party("buyer")
    protest = tenders.FileProtest(tender, "评分不公")
    with pytest.raises(NotFound, match="not joined"):
        await house.act(tenders.file_protest, protest, stranger)
    filed = [await house.act(tenders.file_protest, protest, one) for one in (third, second)]
    with pytest.raises(Conflict, match="waits"):
        await house.act(tenders.file_protest, protest, second)
    house.now_us = until
    with pytest.raises(Conflict, match="taken until"):
        await house.act(tenders.file_protest, protest, loser)
    await hall.tick()
    assert (await hall.view(tender))["state"] == "awarded"  # a protest waits: nothing is settled
    uphold = tenders.DecideProtest(tender, filed[1]["protest"], "uphold", "评分有误,重新评分", "rescore")
    with pytest.raises(Forbidden):
        await house.act(tenders.decide_protest, uphold, floor.seller)
    for wrong in (("uphold", None), ("dismiss", "annul"), ("uphold", "shrug"), ("ponder", None)):
        with pytest.raises(Unprocessable, match=wrong[0]):
            await house.act(
                tenders.decide_protest,
                tenders.DecideProtest(tender, filed[1]["protest"], wrong[0], "x", wrong[1]),
                floor.regulator,
            )
    decided = await house.act(tenders.decide_protest, uphold, floor.regulator)
    assert (decided["moot"], decided["tender_state"], decided["round"]) == (
        [filed[0]["protest"]],
        "opened",
        "2",
    )
    with pytest.raises(Conflict, match="moot"):
        await house.act(
            tenders.decide_protest,
            tenders.DecideProtest(tender, filed[0]["protest"], "dismiss", "x"),
            floor.regulator,
        )
    view = await hall.view(tender)
    assert (view["winner_code"], view["scores"], view["assessors"], view["marks"]) == (None, None, [], [])
    await scored(hall, tender, experts, {first.party: 30, second.party: 95, third.party: 60, loser.party: 60})
    view = await hall.view(tender)
    assert view["winner_code"] == hall.codes[tender, second.party]
    assert [one["state"] for one in view["protests"]] == ["moot", "upheld"]
    # One more is dismissed; then the winner pays, and the losers have their deposits back.
    again = await house.act(tenders.file_protest, protest, first)
    house.now_us = int(view["protest_until_us"])
    dismissed = await house.act(
        tenders.decide_protest,
        tenders.DecideProtest(tender, again["protest"], "dismiss", "无依据"),
        floor.regulator,
    )
    assert dismissed["late"] is False
    before = (await floor.money(second))[0]
    await hall.tick()
    await hall.tick()
    assert (await hall.view(tender))["state"] == "settled"
    assert await floor.money(second) == (before + DEPOSIT_FEN - 1_000_000 - 10_000, 0)
    assert [(await floor.money(one))[1] for one in (first, third, loser)] == [0, 0, 0]
    (trade,) = await house.gate.read(settlement.trades, second)
    assert (trade["buyer"], trade["price_fen"], trade["lot"]) == (second.party, "1000000", None)
    signed = await house.gate.read(contracting.contract, trade["trade"], second)
    assert signed["values"]["purposes"] == "research"  # as it was stated on joining
    market = await sound(hall)
    assert {"awards of tenders", "protests", "marks", "settlements", "screens"} <= set(market.judged)
    assert market.judged["marks"] == 10
    # What the replay finds where a mark, an award or a settlement says something else.
    log, openings = await floor.bodies(), await floor.openings()

    def changed(kind: str, change: Any) -> list[str]:
        at = max(n for n, (_, body) in enumerate(log) if body["kind"] == kind)
        index, body = log[at]
        altered = [
            *log[:at],
            (index, {**body, "act": {**body["act"], **change(body["act"])}}),
            *log[at + 1 :],
        ]
        return [one.what for one in replay(altered, openings).differences]

    def generous(act: Any) -> Any:
        return {"marks": {code: {"security": "99"} for code in act["marks"]}}

    assert f"award of {tender}" in changed("tender_marked", generous)
    assert f"settlement of {tender}" in changed(
        "tender_settled", lambda act: {"voucher": {**act["voucher"], "price_fen": "1"}}
    )
    assert f"signs of {tender}" in changed("tender_screened", lambda act: {"signs": []})


@pytest.mark.anyio
async def test_by_price_alone_nobody_marks_a_winner_who_does_not_pay_forfeits_and_is_barred(
    house: House, hall: Hall
) -> None:
    floor = hall.floor
    asset = await floor.asset()
    tender = await hall.publish(asset)
    first, second, third, _ = floor.buyers
    (poor,) = await house.party("buyer")
    await floor.fund(poor, DEPOSIT_FEN)
    await hall.bid(tender, (first, 900_000), (second, 950_000), (third, 800_000), (poor, 2_000_000))
    await hall.opened(tender)
    await hall.tick()
    view = await hall.view(tender)
    assert (view["state"], view["price_fen"]) == ("awarded", "2000000")
    house.now_us = int(view["pay_by_us"]) - 1
    await hall.tick()
    assert (await hall.view(tender))["state"] == "awarded"
    early = tenders.DeclareTenderDefault(tender)
    with pytest.raises(Conflict, match="in default"):
        await house.act(tenders.declare_default, early, CLOCK)
    house.now_us += 1
    await hall.tick()
    await hall.tick()
    assert (await hall.view(tender))["state"] == "defaulted"
    assert await floor.money(poor) == (0, 0)
    assert [(await floor.money(one))[1] for one in (first, second, third)] == [0, 0, 0]
    # The costs are both commissions of the award, which take all of a small deposit.
    taken = settlement.forfeit(DEPOSIT_FEN, 2_000_000, CN)
    balances = await floor.balances()
    assert balances[FEES] == taken.costs_fen
    assert balances.get(treasury(floor.seller.party), 0) == taken.kept_fen
    again = await hall.publish(asset, again_of=tender)
    await floor.fund(poor, DEPOSIT_FEN)
    assert (await hall.join(again, poor))["reason"]["code"] == "tenderer.defaulted"
    market = await sound(hall)
    assert market.judged["defaults"] == 1


@pytest.mark.anyio
async def test_an_upheld_protest_annuls_and_the_signs_are_the_regulators(house: House, hall: Hall) -> None:
    floor = hall.floor
    tender = await hall.publish(offer=licence(1_000_000, ceiling_fen=1_000_000))
    buyers = floor.buyers
    for n, buyer in enumerate(buyers):
        facts = {"drafter": "同一人"} if n < 2 else {}
        await hall.join(tender, buyer, **facts)
        price_fen = (700_000, 780_000, 900_000, 1_000_001)[n]
        assert (await hall.hand_in(tender, buyer, price_fen))["state"] == "sealed"
    mixed = await hall.hand_in(tender, buyers[0], 1, code=hall.codes[tender, buyers[2].party])
    assert mixed["state"] == "refused"
    await hall.opened(tender)
    await hall.tick()
    view = await hall.view(tender)
    assert view["price_fen"] == "900000"  # a fen above the ceiling is no valid bid
    assert [one["reason"] for one in view["opened"]] == [None, None, None, "above_ceiling"]
    codes = [hall.codes[tender, buyer.party] for buyer in buyers]
    found = await house.gate.read(tenders.signs, floor.regulator, tender)
    assert {one["name"]: set(one["codes"]) for one in found["signs"]} == {
        "same_drafter": {codes[0], codes[1]},
        "mixed_documents": {codes[0], codes[2]},
    }
    with pytest.raises(Forbidden):
        await house.gate.read(tenders.signs, floor.seller, tender)
    index = max(index for index, body in await floor.bodies() if body["kind"] == "tender_screened")
    assert [await may_see(floor, one, index) for one in (floor.regulator, floor.seller)] == [True, False]
    with pytest.raises(Conflict, match="nothing to screen"):
        await house.act(tenders.screen_tender, tenders.ScreenTender(tender, ()), CLOCK)
    filed = await house.act(tenders.file_protest, tenders.FileProtest(tender, "串标"), buyers[1])
    rescore = tenders.DecideProtest(tender, filed["protest"], "uphold", "属实", "rescore")
    with pytest.raises(Unprocessable):  # by price alone nothing can be marked anew
        await house.act(tenders.decide_protest, rescore, floor.regulator)
    house.now_us = int(filed["due_us"]) + 1
    annul = tenders.DecideProtest(tender, filed["protest"], "uphold", "属实", "annul")
    decided = await house.act(tenders.decide_protest, annul, floor.regulator)
    assert (decided["late"], decided["tender_state"]) == (True, "annulled")
    await hall.tick()
    assert [(await floor.money(one))[1] for one in buyers] == [0] * 4
    assert await house.gate.read(settlement.trades, floor.regulator) == []
    await sound(hall)
