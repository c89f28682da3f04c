"""What stands beside a listing: discounts that are published and the same for all, questions answered to all."""

from __future__ import annotations

from typing import Any

import pytest

from exchange import discounts, metering, parties, questions, sales
from exchange.acts import Caller
from exchange.discounts import EndDiscount, PublishDiscount
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.metering import OfferMetered, Subscribe
from exchange.questions import AnswerQuestion, AskQuestion
from exchange.replay import Replayed, replay
from tests.exchange.conftest import House
from tests.exchange.floor import DAY_US, Floor, licence, may_see

pytestmark = pytest.mark.anyio


@pytest.fixture
async def floor(house: House) -> Floor:
    return await Floor.open(house)


async def sound(floor: Floor) -> Replayed:
    market = replay(await floor.bodies(), await floor.openings())
    assert market.differences == []
    return market


async def published(floor: Floor, listing: str, criterion: str, off_ppm: int, **more: Any) -> str:
    now = floor.house.now_us
    act = PublishDiscount(listing, criterion, off_ppm, now, now + DAY_US, **more)
    name: str = (await floor.house.act(discounts.publish_discount, act, floor.seller))["id"]
    return name


async def bought(floor: Floor, listing: str, buyer: Caller, licences: int = 1, **more: Any) -> Any:
    said = await floor.house.act(sales.buy, sales.Buy(listing, licences, **more), buyer)
    if said["state"] == "refused":
        return said["reason"]["code"]
    return int(said["voucher"]["price_fen"]), said.get("discount", {}).get("id")


async def test_like_buyers_pay_alike_by_what_is_published_and_nothing_else_lowers_a_price(
    floor: Floor,
) -> None:
    house, (first, second) = floor.house, floor.buyers
    listing = await floor.listing(licence(10_000, licences=90))
    other = await floor.listing(licence(10_000, licences=9))
    for buyer in (first, second):  # both have bought once now, from this seller
        assert await bought(floor, other, buyer) == (10_000, None)
    many = await published(floor, listing, "quantity", 100_000, at_least=5)
    loyal = await published(floor, listing, "history", 200_000, at_least=3)
    papers = await published(floor, listing, "qualification", 500_000, words=("qualification",))
    for buyer in (first, second):  # whoever comes first: the same
        assert await bought(floor, listing, buyer, 4) == (40_000, None)
        assert await bought(floor, listing, buyer, 5) == (45_000, many)
        assert await bought(floor, listing, buyer, 5) == (40_000, loyal)  # the better of the two, unasked
        assert await bought(floor, listing, buyer, discount=many) == "discount.not_met"
        assert await bought(floor, listing, buyer, 5, discount=many) == (40_000, loyal)
        assert await bought(floor, other, buyer, 5, discount=many) == "discount.unregistered"
        assert await bought(floor, listing, buyer, discount="dsc-0") == "discount.unregistered"
    filed = parties.FileDocument(first.party, "qualification", "5b" * 32, None)
    await house.act(parties.file_document, filed, first)
    assert await bought(floor, listing, first, discount=papers) == "discount.not_met"
    review = parties.ReviewDocument(first.party, "5b" * 32, "accept", "seen")
    await house.act(parties.review_document, review, house.administrator)
    assert await bought(floor, listing, first) == (5_000, papers)
    await house.act(discounts.end_discount, EndDiscount(papers), floor.seller)
    assert await bought(floor, listing, first) == (8_000, loyal)
    house.now_us += DAY_US
    assert await bought(floor, listing, first) == (10_000, None)
    shown = (await house.call(None, "GET", f"/v1/listings/{listing}/discounts")).json()
    assert [one["id"] for one in shown] == [many, loyal, papers]
    cost = await house.call(first, "POST", f"/v1/listings/{listing}/purchases:dry-run", {"licences": "5"})
    assert cost.json()["cost"]["price_fen"] == "50000"
    market = await sound(floor)
    assert market.judged["discounts"] == 3
    # A replay finds who was given what nobody published.
    bodies = await floor.bodies()
    at = next(n for n, (_, b) in enumerate(bodies) if b["kind"] == "sale" and "discount" in b["act"])
    stripped = {name: value for name, value in bodies[at][1]["act"].items() if name != "discount"}
    altered = [*bodies[:at], (bodies[at][0], {**bodies[at][1], "act": stripped}), *bodies[at + 1 :]]
    assert replay(altered, await floor.openings()).differences


async def test_a_discount_of_what_is_charged_by_use_is_on_the_unit(floor: Floor) -> None:
    act = OfferMetered(await floor.asset(), licence(0, licences=3), "call", 2_800)
    listing = (await floor.house.act(metering.offer_metered, act, floor.seller))["id"]
    large = await published(floor, listing, "quantity", 250_000, at_least=1_000_000)
    for quota, each in ((999_999, "2800"), (1_000_000, "2100")):
        told = await floor.house.act(metering.subscribe, Subscribe(listing, quota), floor.buyers[0])
        assert told["unit_price_micro"] == each
    refused = Subscribe(listing, 1, discount=large)
    said = await floor.house.act(metering.subscribe, refused, floor.buyers[0])
    assert said["reason"]["code"] == "discount.not_met"
    await sound(floor)


async def test_a_discount_is_published_before_it_holds_by_the_seller_and_by_no_name(floor: Floor) -> None:
    house = floor.house
    listing = await floor.listing(licence(10_000))
    now = house.now_us
    for act, who, error, code in (
        (
            PublishDiscount(listing, "quantity", 1, now - 1, now + 1, 1),
            floor.seller,
            Unprocessable,
            "discount.past",
        ),
        (
            PublishDiscount(listing, "party", 1, now, now + 1, 1),
            floor.seller,
            Unprocessable,
            "discount.criterion",
        ),
        (
            PublishDiscount(listing, "purpose", 1, now, now + 1, words=(floor.buyers[0].party,)),
            floor.seller,
            Unprocessable,
            "discount.criterion",
        ),
        (
            PublishDiscount(listing, "quantity", 0, now, now + 1, 1),
            floor.seller,
            Unprocessable,
            "discount.terms",
        ),
        (
            PublishDiscount(listing, "quantity", 1, now, now + 1, 1),
            floor.buyers[0],
            NotFound,
            "listing.unknown",
        ),
    ):
        with pytest.raises(error) as refused:
            await house.act(discounts.publish_discount, act, who)
        assert refused.value.code == code
    name = await published(floor, listing, "quantity", 1, at_least=1)
    with pytest.raises(NotFound):
        await house.act(discounts.end_discount, EndDiscount(name), floor.buyers[0])
    await house.act(discounts.end_discount, EndDiscount(name), floor.seller)
    with pytest.raises(Conflict):
        await house.act(discounts.end_discount, EndDiscount(name), floor.seller)


async def test_a_question_is_answered_to_all_and_who_asked_is_told_to_nobody(floor: Floor) -> None:
    house, (asker, other) = floor.house, floor.buyers
    listing = await floor.listing(licence(10_000))
    asking = AskQuestion(listing, "每月何时更新? When is it updated?")
    asked = await house.act(questions.ask_question, asking, asker)
    index = (await floor.bodies())[-1][0]
    assert [await may_see(floor, who, index) for who in (asker, floor.regulator, floor.seller, other)] == [
        True,
        True,
        False,
        False,
    ]
    path = f"/v1/listings/{listing}/questions"
    (shown,) = [one for one in (await house.call(None, "GET", "/v1/listings")).json() if one["id"] == listing]
    assert shown["links"]["questions"] == path
    for name in (
        "asset",
        "discounts",
        "questions",
        "revenue",
    ):  # the sample is of a file, which this asset has none of
        assert (await house.call(None, "GET", shown["links"][name])).status_code == 200, name

    async def seen(who: Caller | None) -> Any:
        party = None if who is None else who
        return await house.gate.read(questions.questions, listing, party, house.now_us)

    assert (await house.call(None, "GET", path)).json() == []
    assert [len(await seen(who)) for who in (asker, floor.seller, floor.regulator, other)] == [1, 1, 1, 0]
    (waiting,) = await house.gate.read(questions.waiting, floor.seller, house.now_us)
    assert (waiting["id"], waiting["mine"]) == (asked["id"], False)
    assert asker.party not in str(waiting)
    answer = AnswerQuestion(asked["id"], "每月五日 on the fifth")
    with pytest.raises(NotFound):
        await house.act(questions.answer_question, answer, other)
    said = await house.act(questions.answer_question, answer, floor.seller)
    assert said["late"] is False
    with pytest.raises(Conflict):
        await house.act(questions.answer_question, answer, floor.seller)
    (public,) = (await house.call(None, "GET", path)).json()
    assert (public["answer"], public["mine"], public["state"]) == ("每月五日 on the fifth", False, "answered")
    assert asker.party not in str(public)
    assert (await seen(asker))[0]["mine"] is True
    # The clock: working days, then it is overdue, and answered late.
    second = await house.act(questions.ask_question, asking, other)
    due_us = int(second["due_us"])
    house.now_us = due_us - 1
    assert (await seen(floor.seller))[1]["overdue"] is False
    house.now_us = due_us
    assert (await seen(floor.seller))[1]["overdue"] is True
    late = AnswerQuestion(second["id"], "see above")
    assert (await house.act(questions.answer_question, late, floor.seller))["late"] is True
    for _ in range(questions.OPEN_LIMIT):
        await house.act(questions.ask_question, asking, asker)
    with pytest.raises(Conflict):
        await house.act(questions.ask_question, asking, asker)
    await sound(floor)
