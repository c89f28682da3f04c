"""A person's question reaches the department sealed, is looked up there, and is answered sealed and in time."""

from __future__ import annotations

import secrets
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange import inquiries
from exchange.desensitization.inquiry import (
    CONSEQUENCES,
    NAME,
    Question,
    Reply,
    check_identifiers,
    look_up,
    open_question,
    open_reply,
    plain,
    public_of,
    seal,
)
from exchange.errors import Conflict, ExchangeError, Malformed, NotFound
from exchange.inquiries import INQUIRER, AnswerInquiry, Inquire, SetInquiryKey
from exchange.replay import replay
from exchange.rulebook import load
from tests.exchange.conftest import START_US, House
from tests.exchange.floor import Floor

RULES = load("cn-venue")
DEPARTMENT, PERSON = bytes(range(32)), bytes(range(1, 33))
WHO = {"resident_id": "11010119900307881X", NAME: "张 三"}


def test_only_the_department_opens_a_question_and_only_who_asked_the_answer() -> None:
    question = Question("ast-1", WHO, public_of(PERSON))
    sealed = seal(question, public_of(DEPARTMENT))
    assert open_question(sealed, DEPARTMENT) == question
    assert "张" not in sealed
    assert sealed != seal(question, public_of(DEPARTMENT))  # the same asked twice looks like two
    reply = Reply("inq-1", "ast-1", "yes", CONSEQUENCES["yes"])
    answer = seal(reply, public_of(PERSON))
    assert open_reply(answer, PERSON, "inq-1") == reply
    for wrong in (
        lambda: open_question(sealed, PERSON),
        lambda: open_reply(answer, DEPARTMENT, "inq-1"),
        lambda: open_reply(answer, PERSON, "inq-2"),
        lambda: open_question(sealed[:-8] + "AAAAAAA=", DEPARTMENT),
        lambda: open_question("no base64", DEPARTMENT),
        lambda: open_question(answer, PERSON),
        lambda: seal(question, "00"),
        lambda: seal(Question("ast-1", {"email": "x" * 9000}, ""), public_of(DEPARTMENT)),
    ):
        with pytest.raises(Malformed):
            wrong()


def test_the_length_of_an_answer_does_not_tell_yes_from_no() -> None:
    lengths = {
        len(seal(Reply("inq-1", "ast-1", found, CONSEQUENCES[found]), public_of(PERSON)))
        for found in CONSEQUENCES
    }
    assert len(lengths) == 1


@pytest.mark.parametrize("wrong", [{}, {"shoe_size": "42"}, {"mobile": " - "}])
def test_who_asks_says_by_what_to_be_looked_up(wrong: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        check_identifiers(wrong)
    check_identifiers(WHO)


def slowly(question: dict[str, str], columns: dict[str, str], rows: list[dict[str, str | None]]) -> str:
    """The same answer row by row, as the docstring says it."""
    asked = {kind: plain(value) for kind, value in question.items() if kind in columns}
    if not asked:
        return "cannot_tell"
    verdicts = set()
    for row in rows:
        has = {kind: plain(row[columns[kind]] or "") for kind in asked}
        numbers = any(has[kind] == asked[kind] for kind in asked if kind != NAME)
        named = NAME not in asked or has[NAME] == asked[NAME]
        if numbers and named:
            verdicts.add("yes")
        elif numbers or (NAME in asked and named):
            verdicts.add("cannot_tell")
    return next((one for one in ("yes", "cannot_tell") if one in verdicts), "no")


few = st.sampled_from(["A1", "a 1", "Ａ１", "b2", "c-3", "c3"])
rows_of = st.lists(
    st.fixed_dictionaries({"id": few | st.none(), "called": few | st.none(), "phone": few}), max_size=6
)
asked_of = st.lists(
    st.dictionaries(st.sampled_from([NAME, "resident_id", "mobile", "email"]), few, min_size=1), max_size=4
)


@settings(deadline=None)  # the first table loads pyarrow
@given(rows_of, asked_of)
def test_looking_many_up_at_once_finds_what_looking_row_by_row_does(
    rows: list[dict[str, str | None]], questions: list[dict[str, str]]
) -> None:
    columns = {"resident_id": "id", NAME: "called", "mobile": "phone"}
    table = pa.table(
        {name: pa.array([row[name] for row in rows], pa.string()) for name in ("id", "called", "phone")}
    )
    batches = table.to_batches(max_chunksize=2)
    found = look_up(questions, columns, batches)
    assert found == [slowly(one, columns, rows) for one in questions]


def test_a_namesake_is_not_taken_for_the_person_nor_another_name_for_the_same() -> None:
    table = pa.table({"id": ["11010119900307881X"], "called": ["张三"]})
    columns = {"resident_id": "id", NAME: "called"}

    def found(**asked: str) -> str:
        return look_up([asked], columns, table.to_batches())[0]

    assert found(**WHO) == "yes"
    assert found(resident_id=WHO["resident_id"].lower()) == "yes"
    assert found(person_name="张三") == "cannot_tell"
    assert found(person_name="李四") == "no"
    assert found(resident_id=WHO["resident_id"], person_name="李四") == "cannot_tell"
    assert found(mobile="13800000000") == "cannot_tell"  # the table keeps none


@pytest.mark.anyio
async def test_a_persons_question_is_answered_and_the_exchange_sees_neither(house: House) -> None:
    floor = await Floor.open(house, buyers=0)
    asset = await floor.asset()
    path = f"/v1/assets/{asset}"
    assert (await house.call(None, "GET", f"{path}/inquiry-key")).status_code == 404
    public = public_of(DEPARTMENT)
    with pytest.raises(ExchangeError):
        await house.act(inquiries.set_inquiry_key, SetInquiryKey(public), floor.regulator)
    await house.done(floor.seller, "/v1/inquiry-key", {"public": public_of(PERSON)})
    await house.done(floor.seller, "/v1/inquiry-key", {"public": public})
    named = (await house.call(None, "GET", f"{path}/inquiry-key")).json()
    assert (named["public"], named["department"]) == (public, floor.seller.party)

    private = secrets.token_bytes(32)
    sealed = seal(Question(asset, WHO, public_of(private)), named["public"])
    stale = await house.call(
        None, "POST", f"{path}/inquiries", {"public": public_of(PERSON), "question": sealed}
    )
    assert (stale.status_code, stale.json()["code"]) == (409, "inquiry.key_unknown")
    asked = await house.call(None, "POST", f"{path}/inquiries", {"public": public, "question": sealed})
    assert asked.status_code == 201, asked.text
    house.verify(asked.json())
    number, name = asked.json()["tracking"], asked.json()["outcome"]["inquiry"]
    due_us = int(asked.json()["outcome"]["due_us"])
    assert due_us == RULES.calendar.ends(START_US, 30).ends_us
    assert (await house.call(None, "GET", f"/v1/inquiries/{name}")).status_code == 404
    waiting = (await house.call(None, "GET", f"/v1/inquiries/{number}")).json()
    assert (waiting["state"], waiting["answer"]) == ("open", None)

    (row,) = (await house.call(floor.seller, "GET", "/v1/inquiries")).json()
    (seen,) = (await house.call(floor.regulator, "GET", "/v1/inquiries")).json()
    assert (seen["question"], seen["overdue"]) == (None, False)
    question = open_question(row["question"], DEPARTMENT)
    assert question.identifiers == WHO
    house.now_us = due_us
    assert (await house.call(floor.regulator, "GET", "/v1/inquiries")).json()[0]["overdue"]
    reply = Reply(name, asset, "yes", CONSEQUENCES["yes"])
    answer = {"answer": seal(reply, question.reply_to)}
    (stranger,) = await house.party("supplier")
    for who in (stranger, floor.regulator):
        with pytest.raises(NotFound):
            await house.act(inquiries.answer_inquiry, AnswerInquiry(name, answer["answer"]), who)
    done = await house.done(floor.seller, f"/v1/inquiries/{name}/answer", answer)
    assert done["late"] is True
    with pytest.raises(Conflict):
        await house.act(inquiries.answer_inquiry, AnswerInquiry(name, answer["answer"]), floor.seller)
    found = (await house.call(None, "GET", f"/v1/inquiries/{number}")).json()
    assert open_reply(found["answer"], private, name) == reply

    # Nothing of it is anywhere in clear.
    kept = (
        str(await floor.rows("SELECT * FROM inquiry"))
        + str(await floor.openings())
        + str(await floor.bodies())
    )
    assert "881X" not in kept
    assert reply.consequence not in kept
    market = replay(await floor.bodies(), await floor.openings())
    assert (market.differences, market.judged["inquiries"]) == ([], 1)


@pytest.mark.anyio
async def test_what_nobody_sealed_is_refused(house: House) -> None:
    floor = await Floor.open(house, buyers=0)
    asset = await floor.asset()
    public = public_of(DEPARTMENT)
    await house.act(inquiries.set_inquiry_key, SetInquiryKey(public), floor.seller)
    path = f"/v1/assets/{asset}/inquiries"
    for wrong in ("", "my name is Zhang San", "A" * 9000):
        said: dict[str, Any] = {"public": public, "question": wrong}
        assert (await house.call(None, "POST", path, said)).status_code == 400
        with pytest.raises(ExchangeError):
            await house.act(inquiries.inquire, Inquire(asset, "00", wrong), INQUIRER)
