"""What a buyer finds wrong reaches the department, and its answer the buyer, by the working-day clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from exchange.acts import Caller
from exchange.rulebook import load
from exchange.rulebook.days import day_of, first_us
from tests.exchange.conftest import House
from tests.exchange.floor import DAY_US

pytestmark = pytest.mark.anyio

DUPLICATED = {"text": "the first row is there twice", "column": "age", "evidence": "ab" * 32}


async def listed(house: House, caller: Caller) -> list[dict[str, Any]]:
    """The corrections that somebody sees."""
    response = await house.call(caller, "GET", "/v1/corrections")
    assert response.status_code == 200
    rows: list[dict[str, Any]] = response.json()
    return rows


async def refused(house: House, caller: Caller, path: str, message: dict[str, Any]) -> tuple[int, str]:
    """Status and code of a refusal that leaves no entry."""
    size = await house.log_size()
    response = await house.call(caller, "POST", path, message)
    assert await house.log_size() == size
    return response.status_code, response.json()["code"]


async def test_S6_a_buyers_correction_reaches_the_department_and_its_answer_the_buyer(
    house: House, patients: Any
) -> None:
    owner, colleague = await house.party("supplier", people=2)
    (regulator,), (stranger,) = await house.party("regulator"), await house.party("buyer", "supplier")
    asset = await house.walk([owner, colleague], patients)
    buyer, licence = await house.sell([owner, colleague], asset)
    path = f"/v1/licences/{licence}/corrections"
    for message, answer in (
        ({**DUPLICATED, "column": "shoe_size"}, (422, "correction.column")),
        ({**DUPLICATED, "text": "  "}, (422, "correction.text")),
    ):
        assert await refused(house, buyer, path, message) == answer
    for nobody in (stranger, owner):
        assert await refused(house, nobody, path, DUPLICATED) == (404, "licence.unknown")
    house.now_us += 40 * DAY_US  # the licence is over, what was wrong in it is not
    asked = await house.done(buyer, path, DUPLICATED)
    last = load("cn-venue").calendar.add(day_of(house.now_us), 10)
    assert int(asked["due_us"]) == first_us(last + timedelta(days=1))
    assert [len(await listed(house, who)) for who in (buyer, owner, colleague, regulator, stranger)] == [
        1, 1, 1, 1, 0,
    ]  # fmt: skip
    (shown,) = await listed(house, owner)
    assert (shown["text"], shown["column"], shown["state"]) == (DUPLICATED["text"], "age", "open")

    where = f"/v1/corrections/{asked['id']}"
    reply = {"decision": "accept", "answer": "one of the two goes with the next edition"}
    assert await refused(house, stranger, f"{where}/answer", reply) == (404, "correction.unknown")
    assert await refused(house, buyer, f"{where}/answer", reply) == (404, "correction.unknown")
    made = {"asset": asset}
    assert await refused(house, owner, f"{where}/mending", made) == (409, "correction.not_accepted")
    house.now_us = int(asked["due_us"]) - 1
    assert [row["overdue"] for row in await listed(house, regulator)] == [False]
    house.now_us += 1
    assert [row["overdue"] for row in await listed(house, regulator)] == [True]
    answered = await house.done(owner, f"{where}/answer", reply)
    assert (answered["state"], answered["late"]) == ("accepted", True)
    assert await refused(house, owner, f"{where}/answer", reply) == (409, "correction.answered")
    (shown,) = await listed(house, buyer)
    assert (shown["answer"], shown["overdue"], shown["mended_by"]) == (reply["answer"], False, None)

    # The next edition is an asset of its own; the buyer is told which.
    begun = await house.walk([owner, colleague], patients, steps=1)
    assert await refused(house, owner, f"{where}/mending", {"asset": begun}) == (
        409,
        "correction.not_registered",
    )
    other = await house.walk(await house.party("supplier", people=2), patients)
    assert await refused(house, owner, f"{where}/mending", {"asset": other}) == (404, "asset.unknown")
    following = await house.walk([owner, colleague], patients)
    await house.done(owner, f"{where}/mending", {"asset": following})
    (shown,) = await listed(house, buyer)
    assert (shown["state"], shown["mended_by"]) == ("mended", following)


async def test_what_was_asked_and_answered_stands_in_the_log_as_commitments_and_for_those_concerned(
    house: House, patients: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    buyer, licence = await house.sell(supplier, await house.walk(supplier, patients))
    asked = await house.call(buyer, "POST", f"/v1/licences/{licence}/corrections", DUPLICATED)
    body = house.verify(asked.json())
    assert body["kind"] == "correction_asked"
    assert DUPLICATED["text"] not in str(body)
    index = asked.json()["receipt"]["index"]
    (stranger,) = await house.party("buyer")
    seen = [
        (await house.call(who, "GET", f"/v1/receipts/{index}")).status_code
        for who in (buyer, supplier[0], stranger)
    ]
    assert seen == [200, 200, 404]
