"""Organisations, people, keys, shareholdings and money, through the real gate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import credentials, money, parties, venue
from exchange.acts import Caller
from exchange.credentials import AddKey, Enrol, RevokeKey, key_digest
from exchange.errors import ExchangeError, Forbidden, Unauthenticated, Unprocessable
from exchange.money import CreditTopUp, Withdraw
from exchange.parties import (
    INVITATION_US,
    AgreeOperation,
    Holder,
    InvitePerson,
    RegisterParty,
    SetPartyState,
    check_uscc,
)
from exchange.venue import MoveClock, OpenMarket
from tests.exchange.conftest import ORIGIN, House, uscc
from tests.exchange.floor import Floor

VISITOR = Caller("enrolment", "enrolment", frozenset())
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"


async def fails(house: House, decide: Any, act: Any, caller: Caller) -> str:
    """The code under which an act fails, with a log that did not grow."""
    size = await house.log_size()
    with pytest.raises(ExchangeError) as failed:
        await house.act(decide, act, caller)
    assert await house.log_size() == size
    return failed.value.code


def test_the_example_of_the_standard_passes() -> None:
    check_uscc("91350100M000100Y43")


@given(st.text(ALPHABET, min_size=17, max_size=17), st.integers(0, 16), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_always_noticed(first: str, at: int, other: str) -> None:
    code = first + parties.uscc_check_character(first)
    check_uscc(code)
    if code[at] != other:
        with pytest.raises(Unprocessable):
            check_uscc(code[:at] + other + code[at + 1 :])


@pytest.mark.parametrize(
    "code", ["", "9" * 17, "9" * 19, uscc(1).lower(), "I" + uscc(1)[1:], uscc(1)[:17] + "é"]
)
def test_a_code_of_another_form_is_refused_with_the_rule(code: str) -> None:
    with pytest.raises(Unprocessable) as wrong:
        check_uscc(code)
    assert (wrong.value.code, wrong.value.field) == ("party.uscc", "uscc")
    assert "GB 32100" in str(wrong.value.rule)


@pytest.mark.anyio
async def test_a_market_is_opened_once(house: House) -> None:
    again = OpenMarket(ORIGIN, "v", True, "cn-venue", "1", "00" * 32, uscc(0), "venue", "first", bytes(32))
    assert await fails(house, venue.open_market, again, Caller("init", "init", frozenset())) == "market.open"


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"roles": ()}, "party.roles"),
    ({"roles": ("buyer", "buyer")}, "party.roles"),
    ({"roles": ("king",)}, "party.roles"),
    ({"roles": ("regulator", "buyer")}, "party.regulator_trades"),
    ({"holders": (Holder("h", 1),)}, "party.holders"),
    ({"roles": ("operator",), "holders": (Holder("h", 0),)}, "party.shares"),
    ({"roles": ("operator",), "holders": (Holder("h", 500_001), Holder("i", 500_000))}, "party.shares"),
    ({"roles": ("operator",), "holders": (Holder("", 1),)}, "text.form"),
    ({"roles": ("operator",), "holders": (Holder("h", 1, "org-none"),)}, "party.unknown"),
    ({"name": ""}, "text.form"),
    ({"name": "a\x00b"}, "text.form"),
    ({"name": "x" * 201}, "text.form"),
    ({"name": "e\u0301"}, "body.not_canonical"),
    ({"uscc": "1" * 18}, "party.uscc"),
]


@pytest.mark.anyio
async def test_an_organisation_that_cannot_be_is_refused_by_name(house: House) -> None:
    for changed, code in IMPOSSIBLE:
        act = replace(RegisterParty(uscc(77), "an organisation", ("buyer",)), **changed)
        assert await fails(house, parties.register_party, act, house.administrator) == code


@pytest.mark.anyio
async def test_an_organisation_is_registered_once_by_an_administrator(house: House) -> None:
    act = RegisterParty(uscc(77), "an organisation", ("buyer",))
    (buyer,) = await house.party("buyer")
    assert await fails(house, parties.register_party, act, buyer) == "caller.role"
    await house.act(parties.register_party, act, house.administrator)
    assert await fails(house, parties.register_party, act, house.administrator) == "party.registered"


@pytest.mark.anyio
async def test_names_and_codes_stand_in_the_log_only_as_commitments(house: House) -> None:
    reply = await house.gate.perform(
        parties.register_party,
        RegisterParty(
            uscc(78), "深圳数据有限公司", ("operator",), (Holder("国资委", 490_000), Holder("工会", 510_000))
        ),
        caller=house.administrator,
        key="k",
    )
    receipt = await house.gate.receipt(reply.index)
    for secret in (uscc(78), "深圳", "国资委", "工会"):
        assert secret.encode() not in receipt.body
    assert b'"share_ppm":"490000"' in receipt.body


@pytest.mark.anyio
async def test_a_link_works_once_and_for_72_hours(house: House) -> None:
    (buyer,) = await house.party("buyer")

    async def invite(token: str) -> bytes:
        act = InvitePerson(buyer.party, "somebody", key_digest(token))
        await house.act(parties.invite_person, act, house.administrator)
        return key_digest(token)

    used, late = await invite("t1"), await invite("t2")
    house.now_us += INVITATION_US - 1
    await house.act(credentials.enrol, Enrol(used, key_digest("k1"), "first"), VISITOR)
    gone = [
        await fails(house, credentials.enrol, Enrol(token, key_digest("k2"), "first"), VISITOR)
        for token in (used, key_digest("never"))
    ]
    house.now_us += 1
    gone.append(await fails(house, credentials.enrol, Enrol(late, key_digest("k3"), "first"), VISITOR))
    assert set(gone) == {"invitation.unknown"}
    caller = (await house.gate.read(credentials.authenticate, "k1", house.now_us, b"k" * 32)).caller
    assert (caller.party, caller.roles) == (buyer.party, frozenset({"buyer"}))


@pytest.mark.anyio
async def test_a_token_and_a_key_belong_to_one_person(house: House) -> None:
    (buyer,), (other,) = await house.party("buyer"), await house.party("supplier")
    act = InvitePerson(buyer.party, "somebody", key_digest("t"))
    await house.act(parties.invite_person, act, buyer)  # a colleague
    assert await fails(house, parties.invite_person, act, buyer) == "invitation.token"
    assert await fails(house, parties.invite_person, replace(act, token_digest=b"x"), buyer) == "digest.form"
    assert (
        await fails(house, parties.invite_person, replace(act, token_digest=key_digest("u")), other)
        == "caller.role"
    )
    await house.act(credentials.add_key, AddKey(key_digest("second"), "laptop"), buyer)
    assert (
        await fails(house, credentials.add_key, AddKey(key_digest("second"), "laptop"), other) == "key.known"
    )


@pytest.mark.anyio
async def test_a_revoked_key_calls_nobody_and_anothers_looks_unknown(house: House) -> None:
    (buyer,), (other,) = await house.party("buyer"), await house.party("buyer")
    await house.act(credentials.add_key, AddKey(key_digest("second"), "laptop"), buyer)
    codes = [
        await fails(house, credentials.revoke_key, RevokeKey(key_digest(secret)), other)
        for secret in ("second", "nobody's")
    ]
    assert codes == ["key.unknown"] * 2
    assert (
        (await house.gate.read(credentials.authenticate, "second", house.now_us, b"k" * 32)).caller
    ).person == buyer.person
    await house.act(credentials.revoke_key, RevokeKey(key_digest("second")), buyer)
    problems = []
    for secret in ("second", "nobody's"):
        with pytest.raises(Unauthenticated) as unknown:
            await house.gate.read(credentials.authenticate, secret, house.now_us, b"k" * 32)
        problems.append(unknown.value.problem())
    assert problems[0] == problems[1]
    assert (
        (
            await house.gate.read(credentials.authenticate, house.keys[buyer.person], house.now_us, b"k" * 32)
        ).caller
    ).person == buyer.person


@pytest.mark.anyio
async def test_money_comes_from_the_bank_and_what_is_free_goes_out(house: House) -> None:
    floor = await Floor.open(house, fen=500)
    buyer = floor.buyers[0]
    up = CreditTopUp(buyer.party, 1, "ref")
    assert await fails(house, money.credit_top_up, up, buyer) == "caller.role"
    for act, code in (
        (replace(up, amount_fen=0), "transfer.amount_out_of_range"),
        (replace(up, amount_fen=2**63), "transfer.amount_out_of_range"),
        (replace(up, amount_fen=2**63 - 1), "transfer.overflows_debits"),
        (replace(up, party=floor.regulator.party), "party.no_account"),
        (replace(up, party="org-none"), "party.unknown"),
    ):
        assert await fails(house, money.credit_top_up, act, floor.bank) == code
    assert await fails(house, money.withdraw, Withdraw(501), buyer) == "transfer.exceeds_credits"
    assert await fails(house, money.withdraw, Withdraw(0), buyer) == "transfer.amount_out_of_range"
    assert await fails(house, money.withdraw, Withdraw(1), floor.regulator) == "party.no_account"
    await house.act(money.withdraw, Withdraw(500), buyer)
    assert await floor.money(buyer) == (0, 0)


@pytest.mark.anyio
async def test_agreements_are_the_departments_own_and_a_new_one_replaces_the_old(house: House) -> None:
    floor = await Floor.open(house)
    act = AgreeOperation(floor.operator.party, 300_000)
    for wrong, caller, code in (
        (act, floor.buyers[0], "caller.role"),
        (replace(act, operator=floor.buyers[0].party), floor.seller, "agreement.operator"),
        (replace(act, operator="org-none"), floor.seller, "party.unknown"),
        (replace(act, share_ppm=1_000_000), floor.seller, "agreement.share"),
        (replace(act, share_ppm=-1), floor.seller, "agreement.share"),
    ):
        assert await fails(house, parties.agree_operation, wrong, caller) == code
    for ppm in (300_000, 0, 999_999):
        await house.act(parties.agree_operation, replace(act, share_ppm=ppm), floor.seller)
        assert await floor.rows("SELECT share_ppm FROM operating_agreement") == [(ppm,)]


@pytest.mark.anyio
async def test_only_regulators_and_administrators_suspend_with_a_reason_that_stays_sealed(
    house: House,
) -> None:
    floor = await Floor.open(house)
    act = SetPartyState(floor.buyers[0].party, "suspended", "涉嫌围标")
    assert await fails(house, parties.set_party_state, act, floor.buyers[1]) == "caller.role"
    for changed, code in (
        ({"state": "gone"}, "party.state"), ({"reason": " "}, "text.form"), ({"party": "org-none"}, "party.unknown"),
    ):  # fmt: skip
        wrong = replace(act, **changed)
        assert await fails(house, parties.set_party_state, wrong, floor.regulator) == code
    reply = await house.gate.perform(parties.set_party_state, act, caller=floor.regulator, key="halt")
    assert "围标".encode() not in (await house.gate.receipt(reply.index)).body


@pytest.mark.anyio
async def test_only_a_sandbox_moves_its_clock_and_only_forward(house: House) -> None:
    (buyer,) = await house.party("buyer")
    assert await fails(house, venue.move_clock, MoveClock(1), buyer) == "caller.role"
    for step in (0, -1, 366 * 86_400_000_000 + 1):
        assert await fails(house, venue.move_clock, MoveClock(step), house.administrator) == "clock.step"
    before = await house.gate.now_us()
    await house.act(venue.move_clock, MoveClock(5_000_000), house.administrator)
    assert await house.gate.now_us() == before + 5_000_000


@pytest.mark.anyio
async def test_a_production_market_moves_no_clock(house: House) -> None:
    connection = await house.gate.database.connect()
    await connection.execute("UPDATE market SET sandbox = false")
    await connection.commit()
    await connection.close()
    assert await fails(house, venue.move_clock, MoveClock(1), house.administrator) == "clock.production"


def test_a_refusal_for_the_role_says_which_roles_may() -> None:
    with pytest.raises(Forbidden) as refused:
        Caller("p", "o", frozenset({"buyer"})).require("bank", "regulator")
    assert "bank or regulator" in refused.value.detail
