"""Three administrators apart: nobody holds two of system, security and audit, and each does its own acts alone."""

from __future__ import annotations

import pytest

from exchange import credentials, parties, venue
from exchange.acts import Act, Caller
from exchange.errors import Conflict, ExchangeError, Forbidden, NotFound, Unprocessable
from exchange.parties import DUTIES, AssignDuty, assign_duty
from exchange.parties.members import members
from tests.exchange.conftest import House, uscc

pytestmark = pytest.mark.anyio

DRILL = venue.RecordDrill("kill", "gate", True, 1, 2, 3, 0, 0, 4, bytes(32))


async def colleague(house: House, name: str) -> str:
    """Somebody of the venue, with a key."""
    act = parties.InvitePerson(house.administrator.party, name, credentials.key_digest(f"link {name}"))
    person: str = (await house.act(parties.invite_person, act, house.administrator))["id"]
    enrol = credentials.Enrol(credentials.key_digest(f"link {name}"), credentials.key_digest(name), "key")
    await house.act(credentials.enrol, enrol, Caller("enrolment", "enrolment", frozenset()))
    return person


async def caller(house: House, secret: str) -> Caller:
    """Who calls with a key, as the door knows it."""
    (known,) = await house.gate.read(credentials.authenticate, [secret], house.now_us, b"k")
    assert isinstance(known, credentials.Known)
    return known.caller


async def divided(house: House) -> dict[str, str]:
    """A venue whose duties are divided, with one more person; duty to person."""
    people = {duty: await colleague(house, duty) for duty in DUTIES}
    for duty in DUTIES[:3]:
        came = await house.act(assign_duty, AssignDuty(people[duty], duty), house.administrator)
        assert (came["state"] == "divided") == (duty == "audit")
    assert set(came["others"]) == {house.administrator.person, people["business"]}
    return people


async def refusal(house: House, decide: object, act: Act, by: Caller) -> str:
    """The code with which an act is refused; nothing where it is done."""
    try:
        await house.act(decide, act, by)
    except ExchangeError as error:
        return error.code
    return ""


async def test_nobody_holds_two_of_the_three_and_each_is_always_somebodys(house: House) -> None:
    people = await divided(house)
    security = await caller(house, "security")
    for held in DUTIES[:3]:
        for other in DUTIES[:3]:
            act = AssignDuty(people[held], other)
            expected = "duty.own" if held == "security" else "duty.held" if held == other else "duty.two"
            assert await refusal(house, assign_duty, act, security) == expected
    with pytest.raises(Conflict, match="the only one"):
        await house.act(assign_duty, AssignDuty(people["audit"], "business"), security)
    with pytest.raises(Conflict, match="the only one"):
        await house.act(parties.end_membership, parties.EndMembership(people["system"]), security)
    await house.act(assign_duty, AssignDuty(people["business"], "audit"), security)
    await house.act(assign_duty, AssignDuty(people["audit"], "business"), security)
    await house.act(
        assign_duty, AssignDuty(people["audit"], "system"), security
    )  # one after the other is not two
    await house.act(parties.end_membership, parties.EndMembership(people["system"]), security)


async def test_each_duty_does_its_own_acts_alone_and_the_auditor_none(house: House) -> None:
    people = await divided(house)
    register = parties.RegisterParty(uscc(4711), "a newcomer", ("buyer",))
    invite = parties.InvitePerson(house.administrator.party, "x", credentials.key_digest("x"))
    for number, (duty, system, security, business) in enumerate(
        [("system", "", "caller.duty", "caller.duty"), ("security", "caller.duty", "", ""),
         ("audit", "caller.duty", "caller.duty", "caller.duty"), ("business", "caller.duty", "caller.duty", "")]
    ):  # fmt: skip
        by = await caller(house, duty)
        assert by.duty == duty
        assert await refusal(house, venue.record_drill, DRILL, by) == system
        charge = AssignDuty(people["business"], "business")
        assert (await refusal(house, assign_duty, charge, by)) == (security or "duty.held")
        fresh = parties.RegisterParty(uscc(9000 + number), f"newcomer {'abcd'[number]}", register.roles)
        assert await refusal(house, parties.register_party, fresh, by) == business
        one = parties.InvitePerson(invite.party, "x", credentials.key_digest(f"x{number}"))
        assert await refusal(house, parties.invite_person, one, by) == security
    rows = await house.gate.read(members, await caller(house, "audit"), house.now_us)
    newest = next(row for row in rows if row["name"] == "x")
    assert newest["duty"] == "business"  # whoever comes later does the business until charged


async def test_duties_are_the_venues_and_known_ones(house: House) -> None:
    (buyer,) = await house.party("buyer")
    with pytest.raises(Forbidden):
        await house.act(assign_duty, AssignDuty(buyer.person, "audit"), buyer)
    with pytest.raises(NotFound):
        await house.act(assign_duty, AssignDuty(buyer.person, "audit"), house.administrator)
    person = await colleague(house, "anna")
    with pytest.raises(Unprocessable):
        await house.act(assign_duty, AssignDuty(person, "king"), house.administrator)
