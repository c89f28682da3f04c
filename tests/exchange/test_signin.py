"""Accounts of people: codes by the clock as RFC 6238 has them, delays, four eyes for a lost factor, one record by any channel."""

from __future__ import annotations

from base64 import b32decode
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import controls, credentials, parties, signin
from exchange.acts import CLOCK, Caller
from exchange.errors import (
    Conflict,
    ExchangeError,
    Forbidden,
    NotFound,
    TooMany,
    Unauthenticated,
    Unprocessable,
)
from exchange.gate import Reply
from exchange.signin.factors import (
    FREE_FAILURES,
    STEP_US,
    check_login,
    check_password,
    delay_us,
    key_address,
    matching_step,
    one_time_code,
    recovery_code,
    recovery_digest,
)
from exchange.signin.passkeys import Made
from exchange.signin.sessions import IDLE_US, LONGEST_US, Door, Locked, Secrets, find
from exchange.web.desk import Recorded
from tests.exchange.conftest import House

pytestmark = pytest.mark.anyio

PASSWORD = "a quiet river of numbers"
VISITOR = Caller("enrolment", "enrolment", frozenset(), channel="web")


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    secret = b"12345678901234567890"  # appendix B, of whose eight digits the last six
    assert one_time_code(secret, seconds // 30) == code
    assert matching_step(secret, code, seconds * 1_000_000, 0) == seconds // 30


@given(st.binary(min_size=20, max_size=20), st.integers(10, 10**8), st.integers(-4, 4))
def test_a_code_fits_its_own_step_and_the_neighbours_and_none_that_was_used(
    secret: bytes, step: int, off: int
) -> None:
    code, clock_us = one_time_code(secret, step + off), step * STEP_US
    found = matching_step(secret, code, clock_us, 0)
    assert (found is not None) >= (abs(off) <= 1)
    if found is not None:
        assert one_time_code(secret, found) == code
        used = matching_step(secret, code, clock_us, found)
        assert used is None or used > found


def test_delays_begin_with_the_fifth_mistake_and_double_to_an_hour() -> None:
    assert [delay_us(n, FREE_FAILURES) // 1_000_000 for n in range(1, 8)] == [0, 0, 0, 0, 30, 60, 120]
    assert delay_us(10**6, FREE_FAILURES) == 3_600_000_000


def test_an_authenticator_takes_the_secret_over() -> None:
    parts = urlsplit(key_address(b"x" * 20, "li.na", "exchange.example/a"))
    assert (parts.scheme, parts.netloc, parts.path) == ("otpauth", "totp", "/exchange.example/a:li.na")
    assert b32decode(parse_qs(parts.query)["secret"][0]) == b"x" * 20


def test_recovery_codes_are_read_back_however_they_are_copied() -> None:
    code = recovery_code(lambda n: bytes(range(n)))
    assert recovery_digest(f" {code.lower().replace('-', ' ')} ") == recovery_digest(code)


@pytest.mark.parametrize("login", ["ab", "Ann", "-ann", "a" * 65, "an n", "安娜"])
def test_a_sign_in_name_that_is_none_is_refused(login: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        check_login(login)
    assert refused.value.field == "login"


@pytest.mark.parametrize("password", ["short words", "a" * 40, "li.na of the river", "x1" * 200])
def test_a_password_that_is_easily_guessed_is_refused(password: str) -> None:
    with pytest.raises(Unprocessable):
        check_password("li.na", password)
    check_password("li.na", PASSWORD)


def door(house: House) -> Door:
    """The door of a house, on its clock."""
    return Door(house.gate.database, Secrets.of(b"k" * 32), lambda: house.now_us, house.chance)


async def account(house: House, at: Door, token: str, login: str) -> bytes:
    """Open an account with a link; gives the secret of its second factor."""
    secret = house.chance(20)
    act = signin.SecureAccount(
        credentials.key_digest(token), login, await at.hash_password(PASSWORD),
        at.secrets.seal(secret, house.chance), (recovery_digest("AAAA-BBBB-CCCC-DDDD"),),
    )  # fmt: skip
    await house.act(signin.secure_account, act, VISITOR)
    return secret


async def link(house: House, *roles: str) -> tuple[dict[str, Any], str]:
    """Somebody of a fresh party who was invited, and the token."""
    (colleague,) = await house.party(*roles)
    token = f"link-{house.chance(4).hex()}"
    invite = parties.InvitePerson(colleague.party, "李娜", credentials.key_digest(token))
    return await house.act(parties.invite_person, invite, colleague), token


async def come(house: House, at: Door, login: str, code: str, password: str = PASSWORD) -> Any:
    """Sign in from an address."""
    return await at.sign_in(
        "exchange", login, password, code, address="192.0.2.7", agent="test", now_us=house.now_us
    )


async def seated(house: House, at: Door, token: str) -> Any:
    """The session that a token stands for now."""
    return await house.gate.read(find, token, "exchange", house.now_us, house.now_us)


async def test_a_session_ends_when_nobody_uses_it_after_half_a_day_and_with_its_party(house: House) -> None:
    at = door(house)
    invited, token = await link(house, "buyer")
    secret = await account(house, at, token, "li.na")
    with pytest.raises(NotFound):
        await account(house, at, token, "other")
    step = house.now_us // STEP_US
    given, session = await come(house, at, "Li.Na", one_time_code(secret, step))
    assert (session.person, session.caller.channel) == (invited["id"], "web")
    with pytest.raises(Unauthenticated):
        await come(house, at, "li.na", one_time_code(secret, step))
    began = house.now_us
    house.now_us += IDLE_US - 1
    here = await seated(house, at, given)
    await at.seen(here)
    house.now_us += 1
    assert await seated(house, at, given) is not None
    while house.now_us + IDLE_US - 1 < began + LONGEST_US:
        house.now_us += IDLE_US - 2
        await at.seen(await seated(house, at, given))
    house.now_us = began + LONGEST_US
    assert await seated(house, at, given) is None
    again, _ = await come(house, at, "li.na", "aaaabbbb cccc dddd")
    with pytest.raises(Unauthenticated):
        await come(house, at, "li.na", "AAAA-BBBB-CCCC-DDDD")
    assert await seated(house, at, again) is not None
    for state in ("suspended", "active"):
        suspend = parties.SetPartyState(invited["party"], state, "why")
        await house.act(parties.set_party_state, suspend, house.administrator)
        assert (await seated(house, at, again) is None) == (state == "suspended")
    await house.act(parties.end_membership, parties.EndMembership(invited["id"]), house.administrator)
    assert await seated(house, at, again) is None
    with pytest.raises(Unauthenticated):
        await come(house, at, "li.na", one_time_code(secret, house.now_us // STEP_US))


async def test_a_link_opens_an_account_with_a_passkey_alone_and_an_authenticator_of_before_is_void(
    house: House,
) -> None:
    at = door(house)
    invited, token = await link(house, "buyer")
    secret = await account(house, at, token, "li.na")
    await house.act(
        signin.ask_reset,
        signin.AskReset(invited["id"], credentials.key_digest("again")),
        Caller(invited["id"], invited["party"], frozenset({"buyer"})),
    )

    def opens(**factors: Any) -> signin.SecureAccount:
        return signin.SecureAccount(
            credentials.key_digest("again"), "li.na", "a hash", None, ("00",), **factors
        )

    made = Made(b"a passkey", b"its public key", 0, house.now_us)
    told = await house.act(signin.secure_account, replace(opens(adds=made), factor=b""), VISITOR)
    assert (told["second_factor"], told["recovery_codes"]) == ("passkey", "10")
    with pytest.raises(Unauthenticated):
        await come(house, at, "li.na", one_time_code(secret, house.now_us // STEP_US))
    own = Caller(invited["id"], invited["party"], frozenset({"buyer"}))
    with pytest.raises(Conflict, match="last second factor"):
        await house.act(signin.change_factors, signin.ChangeFactors(removes=made.id), own)
    # New secrets without a second factor leave those that there are; none at all is refused.
    kept = signin.SecureAccount(None, "li.na", "another hash", None, ("11",))
    assert (await house.act(signin.secure_account, kept, own))["second_factor"] == "passkey"
    _, token = await link(house, "buyer")
    bare = signin.SecureAccount(credentials.key_digest(token), "zhao", "a hash", None, ("22",))
    with pytest.raises(Conflict, match="last second factor"):
        await house.act(signin.secure_account, bare, VISITOR)


async def test_mistakes_lock_a_name_for_longer_and_longer_and_the_lock_is_told_once(house: House) -> None:
    at = door(house)
    invited, token = await link(house, "buyer")
    secret = await account(house, at, token, "li.na")
    for _ in range(FREE_FAILURES):
        with pytest.raises(Unauthenticated):
            await come(house, at, "li.na", "000000", "wrong")
    locked = await come(house, at, "li.na", "000000", "wrong")
    assert locked == Locked(invited["id"], FREE_FAILURES + 1, 30_000_000)
    with pytest.raises(TooMany) as early:
        await come(house, at, "li.na", one_time_code(secret, house.now_us // STEP_US))
    assert early.value.retry_after_s == 30
    house.now_us += 30_000_000
    await come(house, at, "li.na", one_time_code(secret, house.now_us // STEP_US))
    house.now_us += STEP_US
    with pytest.raises(Unauthenticated):  # what fitted has set the count back
        await come(house, at, "li.na", "000000", "wrong")


async def test_a_lost_factor_is_reset_by_a_second_administrator_and_ends_every_session(house: House) -> None:
    at = door(house)
    invited, token = await link(house, "buyer")
    await account(house, at, token, "li.na")
    given = await at.begin(invited["id"], "exchange", address="", agent="")
    second = await house.act(
        parties.invite_person,
        parties.InvitePerson(house.administrator.party, "second", credentials.key_digest("second")),
        house.administrator,
    )
    other = Caller(second["id"], house.administrator.party, house.administrator.roles)
    ask = signin.AskReset(invited["id"], credentials.key_digest("fresh"))
    reset = await house.act(signin.ask_reset, ask, house.administrator)
    assert reset["state"] == "asked"
    with pytest.raises(Forbidden) as own:
        await house.act(signin.decide_reset, signin.DecideReset(reset["id"], True), house.administrator)
    assert own.value.code == "account.reset_own"
    with pytest.raises(NotFound):  # not good yet
        await account(house, at, "fresh", "li.na")
    assert await seated(house, at, given) is not None
    await house.act(signin.decide_reset, signin.DecideReset(reset["id"], True), other)
    assert await seated(house, at, given) is None
    with pytest.raises(Unauthenticated):
        await come(house, at, "li.na", "AAAA-BBBB-CCCC-DDDD")
    secret = await account(house, at, "fresh", "li.na")
    await come(house, at, "li.na", one_time_code(secret, house.now_us // STEP_US))
    # For oneself, who holds a key, it takes no second.
    mine = await house.act(
        signin.ask_reset, signin.AskReset(other.person, credentials.key_digest("mine")), other
    )
    assert mine["state"] == "granted"


async def test_the_same_act_by_key_and_by_web_is_the_same_record_but_for_the_channel(house: House) -> None:
    (by_key,) = await house.party("buyer")
    by_web = Caller(by_key.person, by_key.party, by_key.roles, channel="web")
    act = controls.SetControls(5, 6, None)
    bodies = []
    for caller in (by_key, by_web):
        reply = await house.gate.perform(controls.set_controls, act, caller=caller, key=f"{caller.channel}")
        bodies.append((await house.gate.receipt(reply.index)).said() | {"key": "", "time": ""})
    assert bodies[1].pop("channel") == "web"
    assert bodies[0] == bodies[1]


async def test_no_secret_of_an_account_is_in_the_log(house: House) -> None:
    at = door(house)
    _, token = await link(house, "buyer")
    secret = await account(house, at, token, "li.na")
    await house.act(
        signin.lock_account, signin.LockAccount((await link(house, "buyer"))[0]["id"], 5, 1), CLOCK
    )
    bodies = b"".join([(await house.gate.receipt(index)).body for index in range(await house.log_size())])
    for hidden in (
        b"li.na",
        b"argon2",
        secret.hex().encode(),
        recovery_digest("AAAA-BBBB-CCCC-DDDD").encode(),
    ):
        assert hidden not in bodies


def test_a_refusal_on_the_record_is_shown_with_its_place() -> None:
    reply = Reply(7, b'{"reason":{"code":"bid.late","detail":"late","rule":"r"}}', b"", True, False)
    error: ExchangeError = Recorded(reply)
    assert (error.code, error.rule, Recorded(reply).index) == ("bid.late", "r", 7)
