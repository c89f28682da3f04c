"""The administrator's story: a market is opened, organisations and people are let in, keys come and go."""

from __future__ import annotations

import hashlib
import time

import pytest

from exchange.client import Conflict, ExchangeProblem, Forbidden, NotFound, Unauthenticated, Unprocessable
from tests.stories.conftest import Venue, uscc


def test_people_come_in_by_links_that_work_once(venue: Venue) -> None:
    administrator = venue.administrator
    assert administrator.me().roles == ["administrator"]
    with pytest.raises(ExchangeProblem):
        venue.client().enrol(venue.link)  # the link of the first administrator is spent
    with pytest.raises(NotFound, match="unknown, used or older"):
        venue.client().enrol("a-link-that-nobody-ever-made-000000")

    party = administrator.register_party(uscc(77), "Fresh Air Analytics", ["buyer"]).outcome["id"]
    invited = administrator.invite(party, "the trader")
    trader = venue.client()
    secret = trader.enrol(invited.link)
    assert trader.me().id == party
    assert (trader.me().available_fen, trader.me().held_fen) == (0, 0)

    # The first answer may be lost on the way: the same link with the same key answers again …
    assert venue.client().enrol(invited.link, secret=secret) == secret
    # … and with another key it is a spent link.
    with pytest.raises(ExchangeProblem):
        venue.client().enrol(invited.token)

    # People bring in colleagues of their own party, and nobody else.
    colleague = venue.client()
    colleague.enrol(trader.invite(party, "the analyst").token)
    assert colleague.me().id == party
    with pytest.raises(Forbidden):
        trader.invite(administrator.me().id, "a friend")


def test_two_administrators_give_a_person_a_fresh_link_to_the_console(venue: Venue) -> None:
    member, administrator = venue.admit("buyer"), venue.administrator
    assert member.client.console_link(member.client.me().person).done.outcome["state"] == "granted"
    lost = administrator.console_link(member.client.me().person)
    (waits,) = administrator.account_resets()
    assert (waits.id, waits.person) == (lost.done.outcome["id"], lost.person)
    with pytest.raises(Forbidden, match="does not grant it"):
        administrator.decide_account_reset(waits.id, grant=True)
    second = venue.client()
    second.enrol(administrator.invite(administrator.me().id, "the second").token)
    assert second.decide_account_reset(waits.id, grant=False).outcome["state"] == "declined"
    assert administrator.account_resets() == []


def test_a_further_key_works_until_it_is_revoked(venue: Venue) -> None:
    member = venue.admit("buyer")
    secret = member.client.add_key("robot")
    robot = venue.client(secret)
    assert robot.me().id == member.id
    done = member.client.revoke_key(_digest(secret))
    assert done.outcome["state"] == "revoked"
    time.sleep(1)  # as the route promises
    with pytest.raises(Unauthenticated):
        robot.me()
    other = venue.admit("buyer")
    with pytest.raises(NotFound):
        other.client.revoke_key(_digest(member.secrets[0]))


def test_organisations_are_checked_before_they_are_admitted(venue: Venue) -> None:
    administrator = venue.administrator
    wrong = uscc(78)[:-1] + ("0" if uscc(78)[-1] != "0" else "1")
    with pytest.raises(Unprocessable) as refused:
        administrator.register_party(wrong, "Typing Error Ltd", ["buyer"])
    assert (refused.value.field, refused.value.code) == ("uscc", "party.uscc")
    with pytest.raises(Unprocessable, match="regulator has no other role"):
        administrator.register_party(uscc(79), "Both Sides", ["regulator", "buyer"])
    member = venue.admit("buyer")
    with pytest.raises(Forbidden, match="administrator"):
        member.client.register_party(uscc(80), "My Friend", ["buyer"])
    administrator.register_party(uscc(81), "Once", ["buyer"])
    with pytest.raises(Conflict, match="registered"):
        administrator.register_party(uscc(81), "Twice", ["buyer"])


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
