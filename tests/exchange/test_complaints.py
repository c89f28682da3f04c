"""Whoever complains needs no account, gets a number that nobody guesses, and an answer in the end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import complaints, erasure, rulebook
from exchange.acts import CLOCK
from exchange.api.doorway import Quotas
from exchange.complaints import EscalateComplaint, tracked, tracking_number
from exchange.errors import Conflict, ExchangeError, NotFound
from exchange.replay import replay
from exchange.worker import Worker
from tests.exchange.conftest import House
from tests.exchange.floor import DAY_US, Floor

CONTACT = "ring 13800000000 in the evening"


@given(st.binary(min_size=1), st.text("abcdef0123456789-", min_size=1, max_size=40), st.integers(0, 300))
def test_a_tracking_number_leads_to_what_it_was_made_for_and_no_other_does(
    key: bytes, name: str, at: int
) -> None:
    number = tracking_number(key, "complaint", name)
    assert tracked(key, "complaint", number) == name
    place = at % len(number)
    other = number[:place] + ("0" if number[place] != "0" else "1") + number[place + 1 :]
    for wrong in (other, number[:-1], name, "", f"{name}-", tracking_number(key, "inquiry", name)):
        with pytest.raises(NotFound):
            tracked(key, "complaint", wrong)


async def complain(house: House, **said: Any) -> tuple[str, str]:
    """The complaint of somebody without a key, and its tracking number."""
    response = await house.call(
        None, "POST", "/v1/complaints", {"topic": "data", "text": "it is wrong", **said}
    )
    assert response.status_code == 201, response.text
    answer = response.json()
    house.verify(answer)
    assert answer["tracking"] not in answer["receipt"]["body"]
    return answer["outcome"]["complaint"], answer["tracking"]


@pytest.mark.anyio
async def test_S59_a_complaint_reaches_whose_it_is_and_ends_in_an_answer(house: House) -> None:
    floor = await Floor.open(house, buyers=1)
    asset = await floor.asset()
    name, number = await complain(house, asset=asset, contact=CONTACT)
    about_party, _ = await complain(house, party=floor.buyers[0].party, topic="conduct")
    about_venue, _ = await complain(house)
    listed = (await house.call(floor.regulator, "GET", "/v1/complaints")).json()
    assert [(row["complaint"], row["handler"]) for row in listed] == [
        (name, floor.seller.party),
        (about_party, floor.buyers[0].party),
        (about_venue, house.administrator.party),
    ]
    (mine,) = (await house.call(floor.seller, "GET", "/v1/complaints")).json()
    assert (mine["text"], mine["contact"]) == ("it is wrong", CONTACT)
    followed = (await house.call(None, "GET", f"/v1/complaints/{number}")).json()
    assert (followed["state"], followed["overdue"]) == ("open", False)
    assert CONTACT not in str(followed)
    path, answer = (
        f"/v1/complaints/{name}/answer",
        {"decision": "uphold", "answer": "mended with the next edition"},
    )
    for who, status in ((floor.buyers[0], 404), (floor.regulator, 403)):
        assert (await house.call(who, "POST", path, answer)).status_code == status
    await house.done(floor.seller, path, answer)
    again = await house.call(floor.seller, "POST", path, answer)
    assert (again.status_code, again.json()["code"]) == (409, "complaint.answered")
    followed = (await house.call(None, "GET", f"/v1/complaints/{number}")).json()
    assert (followed["state"], followed["answer"]) == ("upheld", answer["answer"])
    routed = complaints.RouteComplaint(about_party, floor.seller.party)
    await house.act(complaints.route_complaint, routed, house.administrator)
    assert len((await house.call(floor.seller, "GET", "/v1/complaints")).json()) == 2

    # What is not answered in time comes to the regulator, who answers.
    due_us = int(listed[2]["due_us"])
    house.now_us = due_us - 1
    with pytest.raises(Conflict):
        await house.act(complaints.escalate_complaint, EscalateComplaint(about_venue), CLOCK)
    house.now_us = due_us
    worker = Worker(house.gate, house.gate.database)
    size = await house.log_size()
    await worker.tick()
    await worker.tick()
    assert await house.log_size() == size + 2
    late = [
        row for row in (await house.call(floor.regulator, "GET", "/v1/complaints")).json() if row["overdue"]
    ]
    assert {row["complaint"] for row in late} == {about_party, about_venue}
    for one in (about_party, about_venue):
        told = await house.done(
            floor.regulator, f"/v1/complaints/{one}/answer", {"decision": "dismiss", "answer": "asked"}
        )
        assert told["late"] is True
    market = replay(await floor.bodies(), await floor.openings())
    assert market.differences == []
    assert {state for _, state in market.complaints.values()} == {"upheld", "dismissed"}

    # How to reach who complained is erased by order, and the log still verifies.
    contact = next(key for key, value in (await floor.openings()).items() if value == CONTACT)
    await house.act(
        erasure.erase_opening, erasure.EraseOpening(contact, "asked by the person"), floor.regulator
    )
    (mine, _) = (await house.call(floor.seller, "GET", "/v1/complaints")).json()
    assert mine["contact"] == erasure.stand_in(contact)
    assert CONTACT not in str(await floor.rows("SELECT * FROM complaint")) + str(await floor.openings())


@pytest.mark.anyio
async def test_a_flood_of_complaints_is_turned_away_and_a_repeated_one_is_one(house: House) -> None:
    floor = await Floor.open(house, buyers=0)
    said = {"topic": "service", "text": "nobody answers"}
    first, second = [
        (await house.call(None, "POST", "/v1/complaints", said, key="a-random-identifier")).json()
        for _ in "12"
    ]
    assert first["tracking"] == second["tracking"]
    for wrong in ({"topic": "weather"}, {"text": " "}, {"text": "x" * 2001}, {"contact": "x" * 201}):
        assert (await house.call(None, "POST", "/v1/complaints", {**said, **wrong})).status_code in (400, 422)
    unseen = await house.call(None, "POST", "/v1/complaints", {**said, "asset": "ast-0123456789abcdef"})
    assert unseen.status_code == 404
    both = {**said, "asset": await floor.asset(), "party": floor.seller.party}
    assert (await house.call(None, "POST", "/v1/complaints", both)).status_code == 422
    callers = house.app.state.callers
    quotas, callers.quotas = callers.quotas, Quotas(150, lambda: 100.0)  # a visitor's word costs a hundred
    assert (await house.call(None, "POST", "/v1/complaints", said)).status_code == 201
    assert (await house.call(None, "POST", "/v1/complaints", said)).status_code == 429
    callers.quotas = quotas
    waiting = (await floor.rows("SELECT count(*) FROM complaint"))[0][0]
    board = await house.party("governing_body", people=2)
    name = "complaint.open_at_most"
    most = {name: {**rulebook.load("cn-venue")[name].to_json(), "value": str(waiting)}}
    proposal = rulebook.ProposeRuleChange(most, None, house.now_us + DAY_US, "enough")
    change = await house.act(rulebook.propose_rule_change, proposal, board[0])
    sign = rulebook.DecideRuleChange(change["id"], change["result"]["digest"], "sign", "seen")
    await house.act(rulebook.decide_rule_change, sign, board[1])
    house.now_us += DAY_US
    act = complaints.FileComplaint("service", "one more")
    with pytest.raises(ExchangeError, match="too many"):
        await house.act(complaints.file_complaint, act, complaints.COMPLAINANT)
