"""The sealed tender: every number on both sides of its edge, who is kept out, and an opening that nobody does alone."""

from __future__ import annotations

import dataclasses
import json
from itertools import combinations
from typing import Any

import httpx
import pytest

from exchange import controls, delisting, parties, rulebook, tenders
from exchange.acts import CLOCK
from exchange.client import AsyncExchange, Unproven
from exchange.errors import Conflict, ExchangeError, Forbidden, NotFound, Unprocessable
from exchange.replay import replay
from exchange.tenders import PublishTender, check_tender
from pricing.errors import SealError
from pricing.sealed_bids import Unopened, open_bid, submission_from_json
from tests.exchange.conftest import START_US, House
from tests.exchange.floor import DAY_US, Floor, licence, may_see
from tests.exchange.tendered import (
    DEPOSIT_FEN,
    ESTIMATE_FEN,
    PRICE_ALONE,
    PROPOSAL,
    Hall,
    key_of,
)

CN, GENERIC = rulebook.load("cn-venue"), rulebook.load("generic")
DEADLINE_US = START_US + 20 * DAY_US
PUBLISH = PublishTender(
    "a",
    licence(ESTIMATE_FEN),
    PRICE_ALONE,
    ("h1", "h2", "h3", "h4"),
    3,
    DEPOSIT_FEN,
    DEADLINE_US,
    DEADLINE_US,
    "terms",
)


@pytest.fixture
async def hall(house: House) -> Hall:
    return await Hall.open(await Floor.open(house, buyers=4))


def refused(rules: Any = CN, **changed: Any) -> str | None:
    """Why the rulebook does not allow a tender; None where it does."""
    try:
        check_tender(dataclasses.replace(PUBLISH, **changed), START_US, rules)
    except ExchangeError as problem:
        return problem.code
    return None


async def sound(hall: Hall) -> Any:
    """The market as a replay of its log finds it, which parts from the log nowhere."""
    market = replay(await hall.floor.bodies(), await hall.floor.openings())
    assert market.differences == []
    return market


# --- each number, on both sides ---


def test_a_deposit_of_2_percent_of_the_estimate_is_accepted_and_a_fen_more_refused() -> None:
    found = [refused(deposit_fen=fen) for fen in (0, 1, 20_000, 20_001)]
    assert found == ["tender.deposit", None, None, "tender.deposit"]
    assert refused(GENERIC, deposit_fen=20_001) is None


def test_bidders_have_20_days_and_a_microsecond_less_is_refused() -> None:
    times = [{"deadline_us": at, "opens_us": at} for at in (DEADLINE_US - 1, DEADLINE_US)]
    assert [refused(**one) for one in times] == ["tender.open", None]


def test_bids_are_opened_at_the_deadline_to_the_microsecond() -> None:
    found = [refused(opens_us=DEADLINE_US + us) for us in (-1, 0, 1)]
    assert found == ["tender.opening", None, "tender.opening"]
    week = GENERIC.value("tender.opened_after_deadline_within_us")
    assert [refused(GENERIC, opens_us=DEADLINE_US + us) for us in (week, week + 1)] == [
        None,
        "tender.opening",
    ]


def test_three_holders_two_of_whom_open_are_the_fewest() -> None:
    sets = [(("a", "b"), 2), (("a", "b", "c"), 1), (("a", "b", "c"), 2), (("a", "b", "c"), 4)]
    found = [refused(holders=holders, threshold=threshold) for holders, threshold in sets]
    assert found == ["tender.holders", "tender.holders", None, "tender.holders"]
    assert refused(holders=("a", "b", "b")) == "tender.holders"


def test_a_tender_awards_one_grant_to_who_shows_documents_of_known_kinds() -> None:
    assert refused(offer=licence(ESTIMATE_FEN, 2)) == "tender.licences"
    assert refused(qualification=("qualification",)) is None
    assert refused(qualification=("diploma",)) == "tender.qualification"


# --- before the deadline ---


@pytest.mark.anyio
async def test_envelopes_are_replaced_and_withdrawn_until_the_deadline_and_refused_at_it(
    house: House, hall: Hall
) -> None:
    tender = await hall.publish()
    first, second, third, fourth = hall.floor.buyers
    with pytest.raises(NotFound, match="not joined"):
        await hall.hand_in(tender, first, 900_000)
    await hall.bid(tender, (first, 900_000), (second, 800_000), (third, 850_000), (fourth, 1))
    assert (await hall.floor.money(first))[1] == DEPOSIT_FEN
    replaced = await hall.hand_in(tender, first, 950_000)
    assert replaced["replaces"] == "bid-2"
    act = tenders.HandIn(tender, replaced["sealed"])
    again = await house.act(tenders.hand_in, act, first)
    assert again["reason"]["code"] == "envelope.known"
    foreign = await hall.hand_in(tender, second, 1, code=hall.codes[tender, first.party])
    assert foreign["reason"]["code"] == "envelope.code"
    elsewhere = await hall.hand_in(tender, second, 1, sealed_for="another")
    assert elsewhere["reason"]["code"] == "envelope.seal"
    spare = await hall.hand_in(tender, second, 1, PROPOSAL)
    assert spare["reason"]["code"] == "envelope.proposal"
    # Nobody is told who bids, nor how many.
    view = await hall.view(tender)
    assert view["envelopes"] == []
    with pytest.raises(Conflict, match="published"):
        await house.gate.read(tenders.sealed, tender)
    index = (await house.gate.read(tenders.tenderer, first, tender))["envelopes"][0]["index"]
    assert [await may_see(hall.floor, one, int(index)) for one in (first, hall.floor.seller)] == [True, False]
    # One takes its envelope back, one pulls its kill switch; both deposits go back at the close.
    assert (await house.act(tenders.withdraw, tenders.Withdraw(tender), third))["state"] == "withdrawn"
    with pytest.raises(Conflict, match="no envelope"):
        await house.act(tenders.withdraw, tenders.Withdraw(tender), third)
    assert (await hall.hand_in(tender, third, 840_000))["state"] == "sealed"
    stopped = await house.act(controls.stop_trading, controls.StopTrading(fourth.party), fourth)
    assert [one["tender"] for one in stopped["envelopes"]] == [tender]
    house.now_us = int(view["deadline_us"]) - 1
    assert (await hall.hand_in(tender, second, 810_000))["state"] == "sealed"
    house.now_us += 1
    late = await hall.hand_in(tender, second, 999_999)
    assert late["reason"]["code"] == "envelope.late"
    assert "招标投标法" in late["reason"]["rule"]
    withdrawn = await house.act(tenders.withdraw, tenders.Withdraw(tender), second)
    assert withdrawn["reason"]["code"] == "envelope.late"
    stopped = await house.act(controls.stop_trading, controls.StopTrading(third.party), third)
    assert "envelopes" not in stopped  # its deadline has come: the envelope stands
    assert await hall.close(tender) == "opening"
    standing = (await hall.view(tender))["envelopes"]
    assert {one["code"] for one in standing} == {
        hall.codes[tender, one.party] for one in (first, second, third)
    }
    assert [(await hall.floor.money(one))[1] for one in (first, fourth)] == [DEPOSIT_FEN, 0]
    market = await sound(hall)
    assert market.judged["envelopes"] == 12


@pytest.mark.anyio
async def test_who_may_not_bid_is_refused_by_code_and_what_anybody_asks_is_answered_to_all(
    house: House, hall: Hall
) -> None:
    floor = hall.floor
    tender = await hall.publish(
        await floor.asset(operator=floor.operator.party), qualification=("qualification",)
    )
    buyer, other = floor.buyers[:2]
    (poor,) = await house.party("buyer")
    related = await hall.join(tender, floor.holder)
    assert related["reason"]["code"] == "tenderer.related"
    assert floor.holder.party not in str(related)
    assert (await hall.join(tender, buyer))["reason"]["code"] == "tenderer.unqualified"
    for caller in (poor, buyer):
        shown = parties.FileDocument(caller.party, "qualification", "12" * 32, None)
        await house.act(parties.file_document, shown, caller)
        review = parties.ReviewDocument(caller.party, "12" * 32, "accept", "seen")
        await house.act(parties.review_document, review, house.administrator)
    assert (await hall.join(tender, poor))["reason"]["code"] == "transfer.exceeds_credits"
    assert (await hall.join(tender, buyer))["state"] == "admitted"
    with pytest.raises(Conflict, match="admitted"):
        await hall.join(tender, buyer)
    # Who holds a key does not bid; and no tender names a holder who has published none.
    holders = (*(one.party for one in hall.holders[:3]), other.party)
    with pytest.raises(Conflict, match="published no key"):
        await hall.publish(holders=holders)
    await house.act(tenders.publish_holder_key, tenders.PublishHolderKey(key_of(50).public.hex()), other)
    opened_by = await hall.publish(holders=holders)
    assert (await hall.join(opened_by, other))["reason"]["code"] == "tenderer.holder"
    with pytest.raises(Unprocessable, match="prime order"):
        await house.act(tenders.publish_holder_key, tenders.PublishHolderKey("01" + "00" * 31), other)
    # Questions come ten days before the deadline, and the answer is for all.
    house.now_us += 10 * DAY_US  # to the microsecond ten days before
    asked = await house.act(tenders.ask_tender, tenders.AskTender(tender, "可否分期交付?"), buyer)
    house.now_us += 1
    with pytest.raises(Conflict, match="no more questions"):
        await house.act(tenders.ask_tender, tenders.AskTender(tender, "and?"), other)
    answer = tenders.AnswerTender(tender, asked["id"], "不可以")
    with pytest.raises(NotFound):
        await house.act(tenders.answer_tender, answer, other)
    house.now_us = int(asked["due_us"])
    answered = await house.act(tenders.answer_tender, answer, hall.floor.seller)
    assert answered["late"] is False
    (row,) = (await hall.view(tender))["questions"]
    assert (row["question"], row["answer"]) == ("可否分期交付?", "不可以")
    assert buyer.party not in str(row)
    with pytest.raises(Conflict, match="answered"):
        await house.act(tenders.answer_tender, answer, hall.floor.seller)
    house.now_us = int((await hall.view(tender))["deadline_us"])
    assert (await hall.join(tender, other))["reason"]["code"] == "tender.closed"
    await sound(hall)


@pytest.mark.anyio
async def test_two_bidders_are_too_few_nothing_is_opened_and_it_is_tendered_again(
    house: House, hall: Hall
) -> None:
    asset = await hall.floor.asset()
    tender = await hall.publish(asset)
    first, second, third, _ = hall.floor.buyers
    await hall.bid(tender, (first, 900_000), (second, 800_000))
    with pytest.raises(Conflict, match="is published"):
        await hall.publish(asset, again_of=tender)
    assert await hall.close(tender) == "failed"
    view = await hall.view(tender)
    assert (view["failure"], view["opened"]) == ("too_few_bidders", None)
    assert [(await hall.floor.money(one))[1] for one in (first, second)] == [0, 0]
    with pytest.raises(Conflict, match="failed"):
        await hall.hand_shares(tender, hall.holders[0])
    again = await hall.publish(asset, again_of=tender)
    with pytest.raises(Conflict, match=again):
        await hall.publish(asset, again_of=tender)
    await hall.bid(again, (first, 900_000), (second, 800_000), (third, 1))
    assert await hall.close(again) == "opening"
    # A tender is called off by its supplier before the deadline, and not after it.
    with pytest.raises(Conflict, match="opening"):
        await house.act(tenders.cancel_tender, tenders.CancelTender(again, "no"), hall.floor.seller)
    other = await hall.publish()
    withdrawal = delisting.WithdrawListing((await hall.view(other))["listing"], "no")
    with pytest.raises(Conflict, match="tender's"):  # it has a way of its own, by which the deposits go back
        await house.act(delisting.withdraw_listing, withdrawal, hall.floor.seller)
    with pytest.raises(Forbidden):
        await house.act(tenders.cancel_tender, tenders.CancelTender(other, "no"), first)
    await hall.bid(other, (first, 1))
    await house.act(tenders.cancel_tender, tenders.CancelTender(other, "撤回"), hall.floor.seller)
    await hall.tick()
    assert (await hall.floor.money(first))[1] == DEPOSIT_FEN  # of the tender that is being opened
    await sound(hall)


@pytest.mark.anyio
async def test_a_halted_tender_takes_nothing_in_and_its_deadline_moves_by_the_time_it_stood(
    house: House, hall: Hall
) -> None:
    tender = await hall.publish()
    first, second, third, fourth = hall.floor.buyers
    await hall.bid(tender, (first, 900_000), (second, 800_000), (third, 850_000))
    before = await hall.view(tender)
    halt = tenders.HaltTender(tender, "a complaint is looked into")
    for who in (hall.floor.seller, first):
        with pytest.raises(Forbidden):
            await house.act(tenders.halt_tender, halt, who)
    with pytest.raises(Unprocessable):
        await house.act(tenders.halt_tender, dataclasses.replace(halt, reason=" "), hall.floor.regulator)
    with pytest.raises(Conflict, match="is published"):
        await house.act(tenders.resume_tender, tenders.ResumeTender(tender), hall.floor.regulator)
    halted_us = house.now_us = int(before["deadline_us"]) - DAY_US // 2
    halted = await house.act(tenders.halt_tender, halt, hall.floor.regulator)
    with pytest.raises(Conflict, match="is halted"):
        await house.act(tenders.halt_tender, halt, house.administrator)
    # Past the deadline that was, nothing is closed, taken in or told; what was handed in can be taken back.
    house.now_us += 2 * DAY_US
    await hall.tick()
    view = await hall.view(tender)
    assert (view["state"], view["envelopes"]) == ("halted", [])
    with pytest.raises(Conflict, match="halted"):
        await house.gate.read(tenders.sealed, tender)
    with pytest.raises(Conflict, match="halted"):
        await house.act(tenders.ask_tender, tenders.AskTender(tender, "why?"), first)
    assert (await hall.join(tender, fourth))["reason"]["code"] == "tender.halted"
    assert (await hall.hand_in(tender, second, 870_000))["reason"]["code"] == "envelope.halted"
    assert (await house.act(tenders.withdraw, tenders.Withdraw(tender), third))["state"] == "withdrawn"
    stopped = await house.act(controls.stop_trading, controls.StopTrading(third.party), third)
    assert "envelopes" not in stopped
    # Half a day was left, and the rules give bidders a day at least: the later of both moves all three times.
    resumed = await house.act(tenders.resume_tender, tenders.ResumeTender(tender), hall.floor.regulator)
    assert int(resumed["deadline_us"]) == house.now_us + DAY_US
    view = await hall.view(tender)
    moved = [int(view[name]) - int(before[name]) for name in ("deadline_us", "opens_us", "ends_us")]
    assert moved == [2 * DAY_US + DAY_US // 2] * 3
    assert (view["state"], view["resume_by_us"]) == ("published", None)
    assert int(halted["resume_by_us"]) == halted_us + 5 * DAY_US
    assert (await hall.hand_in(tender, second, 870_000))["state"] == "sealed"
    assert (await hall.join(tender, fourth))["state"] == "admitted"
    assert (await hall.hand_in(tender, fourth, 820_000))["state"] == "sealed"
    assert await hall.close(tender) == "opening"
    with pytest.raises(Conflict, match="opening"):
        await house.act(tenders.halt_tender, halt, hall.floor.regulator)
    market = await sound(hall)
    assert market.judged["halts"] == 1
    log, openings = await hall.floor.bodies(), await hall.floor.openings()
    at = next(n for n, (_, body) in enumerate(log) if body["kind"] == "tender_resumed")
    index, body = log[at]
    early = {**body, "act": {**body["act"], "deadline_us": before["deadline_us"]}}
    assert f"resumption of {tender}" in [
        one.what for one in replay([*log[:at], (index, early), *log[at + 1 :]], openings).differences
    ]


@pytest.mark.anyio
async def test_a_tender_is_resumed_on_the_fifth_day_and_a_microsecond_later_called_off(
    house: House, hall: Hall
) -> None:
    kept, lost = [await hall.publish(), await hall.publish()]
    first = hall.floor.buyers[0]
    await hall.bid(lost, (first, 900_000))
    before = await hall.view(kept)
    for tender in (kept, lost):
        halt = tenders.HaltTender(tender, "power")
        await house.act(tenders.halt_tender, halt, house.administrator)
    house.now_us += 5 * DAY_US
    with pytest.raises(Conflict, match="may still be resumed"):
        await house.act(tenders.cancel_tender, tenders.CancelTender(lost, "late"), CLOCK)
    await hall.tick()
    resumed = await house.act(tenders.resume_tender, tenders.ResumeTender(kept), hall.floor.regulator)
    assert int(resumed["deadline_us"]) == int(before["deadline_us"]) + 5 * DAY_US
    house.now_us += 1
    with pytest.raises(Conflict) as late:
        await house.act(tenders.resume_tender, tenders.ResumeTender(lost), hall.floor.regulator)
    assert late.value.code == "tender.halted_long"
    await hall.tick()
    await hall.tick()
    assert [(await hall.view(one))["state"] for one in (kept, lost)] == ["published", "cancelled"]
    assert (await hall.floor.money(first))[1] == 0
    await sound(hall)


class Lying(httpx.AsyncBaseTransport):
    """An exchange that names keys of its own as a tender's holders to whoever looks, and notes what is handed in."""

    def __init__(self, house: House, tender: str) -> None:
        self.honest, self.tender = httpx.ASGITransport(house.app), tender
        self.handed: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self.handed.append(request)
        response = await self.honest.handle_async_request(request)
        if request.url.path != f"/v1/tenders/{self.tender}":
            return response
        view = json.loads(await response.aread())
        for number, holder in enumerate(view["committee"]["holders"]):
            holder["public"] = key_of(90 + number).public.hex()
        return httpx.Response(200, json=view)


@pytest.mark.anyio
async def test_a_bidders_program_seals_for_nobody_else_than_the_log_told_it(house: House, hall: Hall) -> None:
    tender = await hall.publish()
    buyer = hall.floor.buyers[0]
    await hall.join(tender, buyer)
    transport = Lying(house, tender)
    async with httpx.AsyncClient(transport=transport) as line:
        key, vkey = house.keys[buyer.person], house.gate.signer.vkey
        market = AsyncExchange("http://exchange.test", key, vkey, http=line)
        with pytest.raises(Unproven, match="another one than this party's entry"):
            await market.bid_sealed(tender, 900_000)
        assert transport.handed == []
        transport.tender = "none"
        done = await market.bid_sealed(tender, 900_000)
        named = {holder.party: hall.keys[holder.party].public.hex() for holder in hall.holders}
        with pytest.raises(Unproven, match="other keys"):
            await market.bid_sealed(tender, 1, holders={**named, buyer.party: "00" * 32})
        again = await market.bid_sealed(tender, 910_000, holders=named)
    assert again.outcome["replaces"] == done.outcome["bid_id"]
    assert len(transport.handed) == 2
    for request in transport.handed:
        assert b"900000" not in request.content
        assert b"910000" not in request.content


# --- the opening ---


@pytest.mark.anyio
async def test_three_of_four_open_and_a_forged_share_is_named_by_holder_and_envelope(
    house: House, hall: Hall
) -> None:
    tender = await hall.publish()
    first, second, third, fourth = hall.floor.buyers
    await hall.bid(tender, (first, 900_000), (second, 950_000), (third, 800_000))
    assert (await hall.join(tender, fourth))["state"] == "admitted"
    assert (await hall.hand_in(tender, fourth, 990_000, quantity=2))["state"] == "sealed"
    one, two, three, four = hall.holders
    early = tenders.HandShares(tender, {})
    with pytest.raises(Conflict, match="published"):
        await house.act(tenders.hand_shares, early, one)
    assert await hall.close(tender) == "opening"
    with pytest.raises(Forbidden, match="no key"):
        await house.act(tenders.hand_shares, early, first)
    with pytest.raises(Unprocessable, match="0 of 4 envelopes"):
        await house.act(tenders.hand_shares, early, one)
    await hall.hand_shares(tender, one)
    # The second holder hands in another scalar for one envelope.
    forged = await hall.shares(tender, two)
    victim = next(iter(forged))
    forged[victim] = {**forged[victim], "value": "01" + "00" * 31}
    refused = await house.act(tenders.hand_shares, tenders.HandShares(tender, forged), two)
    assert refused["reason"]["code"] == "share.forged"
    code = next(row["code"] for row in (await hall.view(tender))["envelopes"] if row["digest"] == victim)
    assert refused["faults"] == [{"code": code, "digest": victim, "fault": "forged_share"}]
    assert f"holder {two.party}, number 2" in refused["reason"]["detail"]
    # Another holder's good shares are no shares of the second's.
    borrowed = tenders.HandShares(tender, await hall.shares(tender, three))
    refused = await house.act(tenders.hand_shares, borrowed, two)
    assert len(refused["faults"]) == 4
    await hall.hand_shares(tender, three)
    await hall.tick()
    assert (await hall.view(tender))["state"] == "opening"
    assert (await hall.hand_shares(tender, four))["good"] == "3"
    with pytest.raises(Conflict, match="shares are in"):
        await hall.hand_shares(tender, four)
    await hall.tick()
    view = await hall.view(tender)
    assert view["state"] == "opened"
    found = {row["code"]: (row["state"], row["price_fen"], row["reason"]) for row in view["opened"]}
    assert found == {
        hall.codes[tender, first.party]: ("valid", "900000", None),
        hall.codes[tender, second.party]: ("valid", "950000", None),
        hall.codes[tender, third.party]: ("valid", "800000", None),
        hall.codes[tender, fourth.party]: ("void", "990000", "quantity"),
    }
    assert [(row["holder"], row["state"]) for row in view["shares"]] == [
        (one.party, "verified"),
        (two.party, "refused"),
        (two.party, "refused"),
        (three.party, "verified"),
        (four.party, "verified"),
    ]
    market = await sound(hall)
    assert market.tenders[tender].opened == view["opened"]
    assert market.judged["shares"] == 5
    # What the replay finds where an entry says something else.
    log, openings = await hall.floor.bodies(), await hall.floor.openings()

    def changed(kind: str, change: Any) -> list[str]:
        """What the replay says where the last entry of a kind says something else."""
        at = max(n for n, (_, body) in enumerate(log) if body["kind"] == kind)
        index, body = log[at]
        act = {**body["act"], **change(body["act"])}
        altered = [*log[:at], (index, {**body, "act": act}), *log[at + 1 :]]
        return [one.what for one in replay(altered, openings).differences]

    def dearer(act: Any) -> Any:
        first, *rest = act["envelopes"]
        return {"envelopes": [{**first, "price_fen": "999999"}, *rest]}

    assert changed("tender_opened", dearer) == [f"opening of {tender}"]
    assert changed("tender_opened", lambda act: {"state": "failed"}) == [f"tender_opened of {tender}"]
    assert changed("tender_closed", lambda act: {"envelopes": act["envelopes"][1:]}) == [
        f"envelopes of {tender}"
    ]

    def swapped(act: Any) -> Any:
        digest, one = next(iter(act["submissions"].items()))
        return {"submissions": {**act["submissions"], digest: {**one, "value": "00" * 32}}}

    assert f"shares of {four.party}" in changed("tender_shares", swapped)
    assert changed("tenderer", lambda act: {"committee": "00" * 32})[0].startswith("committee told")


@pytest.mark.anyio
async def test_with_the_whole_database_and_two_holders_keys_nothing_opens_and_with_the_third_all_does(
    house: House, hall: Hall
) -> None:
    """The market's claim, not the formula's: all rows, all openings and salts, the server's keys, and t - 1 of the holders."""
    tender = await hall.publish()
    prices = dict(zip(hall.floor.buyers, (911_117, 922_227, 933_337, 944_447), strict=True))
    await hall.bid(tender, *prices.items())
    shut = await hall.publish()
    await hall.bid(shut, *prices.items())
    assert await hall.close(tender) == "opening"
    # The database as its administrator has it, every table whole, and what the process knows beside it.
    names = [name for (name,) in await hall.floor.rows(
        "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'"
    )]  # fmt: skip
    dump = b"".join([repr(await hall.floor.rows(f'SELECT * FROM "{name}"')).encode() for name in names])
    gate = house.gate
    memory = repr((gate._recent, gate._in_flight, gate._waiting, gate.signer, gate.mac_key)).encode()
    for fen in prices.values():
        assert str(fen).encode() not in dump + memory
        assert fen.to_bytes(8).hex().encode() not in dump + memory
    sealed = await hall.sealed(tender)
    for taken in combinations(hall.holders, 2):
        shares = [await hall.shares(tender, holder) for holder in taken]
        for bid in sealed.bids:
            found = open_bid(bid, sealed.committee, [submission_from_json(one[bid.digest]) for one in shares])
            assert isinstance(found, Unopened)
        with pytest.raises(SealError):  # the server's own keys are no holder's
            await hall.shares(tender, taken[0], key_of(99))
    for holder in hall.holders[:2]:
        await hall.hand_shares(tender, holder)
        await hall.hand_shares(shut, holder)
    with pytest.raises(Conflict, match="2 of 3"):
        await house.act(tenders.open_tender, tenders.OpenTender(tender), hall.floor.regulator)
    await hall.hand_shares(tender, hall.holders[2])
    await hall.tick()
    opened = {row["code"]: int(row["price_fen"]) for row in (await hall.view(tender))["opened"]}
    assert opened == {hall.codes[tender, one.party]: fen for one, fen in prices.items()}
    # Of another tender the third holder does not come: after three days it has failed, and stays shut.
    house.now_us = int((await hall.view(shut))["ends_us"]) - 1
    await hall.tick()
    assert (await hall.view(shut))["state"] == "opening"
    house.now_us += 1
    with pytest.raises(Conflict, match="is opening"):
        await hall.hand_shares(shut, hall.holders[2])
    await hall.tick()
    view = await hall.view(shut)
    assert (view["state"], view["failure"]) == ("failed", "not_opened")
    assert int(view["ends_us"]) == int(view["opens_us"]) + 3 * DAY_US
    assert {row["state"] for row in view["opened"]} == {"unopened"}
    await hall.tick()
    assert [(await hall.floor.money(one))[1] for one in hall.floor.buyers] == [
        DEPOSIT_FEN
    ] * 4  # of the first
    await sound(hall)
