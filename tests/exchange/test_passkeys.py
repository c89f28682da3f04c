"""Passkeys: a challenge is answered once, in time, by whom it was made for; a copy is noticed; the last factor stays."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import credentials, parties, signin
from exchange.acts import Caller
from exchange.errors import Conflict, NotFound, Unauthenticated, Unprocessable
from exchange.signin import passkeys
from exchange.signin.factors import STEP_US, one_time_code
from exchange.signin.passkeys import CHALLENGE_US, Answer, Site
from exchange.signin.sessions import Door, Session, accesses
from tests.exchange.authenticator import PRESENT, VERIFIED, Authenticator, base64, bytes_of
from tests.exchange.conftest import House
from tests.exchange.test_signin import PASSWORD, account, door, link

pytestmark = pytest.mark.anyio

KEY, BOUND, NOW_US = b"k" * 32, b"s" * 32, 1_790_000_000_000_000
SITE = Site("http://localhost:8000", "exchange.example/a")
USES: tuple[passkeys.Use, ...] = ("enrol", "confirm", "sign_in")


def chance(size: int) -> bytes:
    return bytes(range(size))


def asked_to_show(use: passkeys.Use = "confirm") -> dict[str, Any]:
    return passkeys.to_show(SITE, (), passkeys.challenge(KEY, use, BOUND, NOW_US, chance))


def counted(authenticator: Authenticator, public: bytes, site: Site = SITE) -> int:
    """Present and judge an answer of an authenticator, as the door does."""
    answer = Answer(authenticator.show(asked_to_show()), site, "confirm", BOUND)
    said = passkeys.presented(KEY, answer, NOW_US)
    assert said.id == authenticator.id
    return passkeys.counted(answer, said.challenge, public)


@given(
    st.sampled_from(USES), st.sampled_from(USES), st.binary(max_size=40), st.integers(-10, CHALLENGE_US + 10)
)
def test_a_challenge_stands_for_its_use_for_whom_it_was_made_and_for_five_minutes(
    use: passkeys.Use, other: passkeys.Use, whom: bytes, after_us: int
) -> None:
    said = passkeys.challenge(KEY, use, BOUND, NOW_US, chance)
    in_time = 0 <= after_us < CHALLENGE_US
    assert taken(KEY, use, BOUND, NOW_US + after_us, said) == in_time
    assert taken(KEY, other, BOUND, NOW_US + after_us, said) == (in_time and other == use)
    assert taken(KEY, use, whom, NOW_US + after_us, said) == (in_time and whom == BOUND)
    assert not taken(b"x" * 32, use, BOUND, NOW_US, said)


def taken(key: bytes, use: passkeys.Use, bound: bytes, clock_us: int, said: bytes) -> bool:
    """Whether a challenge stands; if so, it says when it was made."""
    try:
        return passkeys.challenge_made_us(key, use, bound, clock_us, said) == NOW_US
    except Unprocessable:
        return False


@given(st.integers(0, 55), st.integers(1, 255))
def test_no_byte_of_a_challenge_can_be_changed(at: int, by: int) -> None:
    said = bytearray(passkeys.challenge(KEY, "confirm", BOUND, NOW_US, chance))
    said[at] ^= by
    with pytest.raises(Unprocessable):
        passkeys.challenge_made_us(KEY, "confirm", BOUND, NOW_US, bytes(said))


@pytest.mark.parametrize("elliptic", [True, False])
def test_what_a_device_makes_and_signs_is_taken(elliptic: bool) -> None:
    device = Authenticator(elliptic=elliptic, counter=6)
    asked = passkeys.challenge(KEY, "enrol", BOUND, NOW_US, chance)
    options = passkeys.to_make(SITE, b"h" * 32, "li.na", [b"other"], asked)
    assert (options["rp"]["id"], options["attestation"]) == ("localhost", "none")
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert [bytes_of(one["id"]) for one in options["excludeCredentials"]] == [b"other"]
    made = passkeys.made(KEY, Answer(device.make(options), SITE, "enrol", BOUND), NOW_US)
    assert made == passkeys.Made(device.id, device.public(), 7, NOW_US)
    assert counted(device, made.public) == 8


WRONG: dict[str, dict[str, Any]] = {
    "another site's page": {"origin": "http://localhost.example:8000"},
    "another port": {"origin": "http://localhost:8001"},
    "another relying party": {"domain": "example"},
    "nobody verified": {"flags": PRESENT},
    "nobody present": {"flags": VERIFIED},
    "a signature for something else": {"kind": "payment.get"},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_whatever_a_device_does_wrongly_is_refused(wrong: dict[str, Any]) -> None:
    device = Authenticator(**wrong)
    with pytest.raises(Unprocessable) as refused:
        counted(device, device.public())
    assert refused.value.code == "passkey.refused"
    asked = passkeys.challenge(KEY, "enrol", BOUND, NOW_US, chance)
    text = device.make(passkeys.to_make(SITE, b"h" * 32, "li.na", (), asked))
    with pytest.raises(Unprocessable) as unmade:
        passkeys.made(KEY, Answer(text, SITE, "enrol", BOUND), NOW_US)
    assert unmade.value.code == "passkey.refused"


def test_another_key_and_another_site_are_refused() -> None:
    device = Authenticator()
    with pytest.raises(Unprocessable):
        counted(device, Authenticator(id=b"another device's").public())
    with pytest.raises(Unprocessable):
        counted(device, device.public(), replace(SITE, origin="https://exchange.example.cn"))


@given(st.one_of(st.text(max_size=200), st.recursive(st.text(max_size=9), lambda inner: st.dictionaries(
    st.sampled_from(["id", "rawId", "type", "response", "clientDataJSON", "authenticatorData", "signature"]), inner
)).map(json.dumps)))  # fmt: skip
def test_what_is_no_answer_is_refused_and_breaks_nothing(text: str) -> None:
    answer = Answer(text, SITE, "confirm", BOUND)
    with pytest.raises(Unprocessable):
        passkeys.presented(KEY, answer, NOW_US)
    with pytest.raises(Unprocessable):
        passkeys.made(KEY, answer, NOW_US)


@given(st.data())
def test_no_answer_with_a_changed_byte_is_taken(data: st.DataObject) -> None:
    device = Authenticator(elliptic=False)
    said = json.loads(device.show(asked_to_show()))
    part = data.draw(st.sampled_from(sorted(said["response"])))
    value = bytearray(bytes_of(said["response"][part]))
    value[data.draw(st.integers(0, len(value) - 1))] ^= data.draw(st.integers(1, 255))
    said["response"][part] = base64(bytes(value))
    answer = Answer(json.dumps(said), SITE, "confirm", BOUND)
    with pytest.raises(Unprocessable):
        passkeys.counted(answer, passkeys.presented(KEY, answer, NOW_US).challenge, device.public())


def test_a_count_that_does_not_grow_shows_a_copy_but_for_those_that_never_count() -> None:
    assert [passkeys.went_back(new, kept) for new, kept in ((0, 0), (1, 0), (6, 5))] == [False] * 3
    assert [passkeys.went_back(new, kept) for new, kept in ((5, 5), (4, 5), (0, 5))] == [True] * 3


async def signed_in(house: House, at: Door, login: str) -> tuple[Session, bytes]:
    """Somebody with an account who sits at the console, and the secret of the authenticator."""
    _, token = await link(house, "buyer")
    secret = await account(house, at, token, login)
    code = one_time_code(secret, house.now_us // STEP_US)
    _, session = await come(house, at, login, code)
    return session, secret


async def come(house: House, at: Door, login: str, factor: str | Answer) -> Any:
    return await at.sign_in(
        "exchange", login, PASSWORD, factor, address="192.0.2.7", agent="test", now_us=house.now_us
    )


async def add(
    house: House, at: Door, session: Session, device: Authenticator, label: str = "laptop"
) -> dict[str, Any]:
    """Register a passkey."""
    house.now_us += 1
    options = passkeys.to_make(SITE, b"h" * 32, "li.na", (), at.challenge("enrol", session.digest))
    made = await at.made(Answer(device.make(options), SITE, "enrol", session.digest))
    return await house.act(
        signin.change_factors, signin.ChangeFactors(adds=made, label=label), session.caller
    )


def answer(house: House, at: Door, device: Authenticator, use: passkeys.Use, bound: bytes) -> Answer:
    """What a device says to a fresh challenge."""
    house.now_us += 1
    return Answer(device.show(passkeys.to_show(SITE, (), at.challenge(use, bound))), SITE, use, bound)


async def registered(house: House, what: str) -> list[dict[str, Any]]:
    return await house.gate.read(lambda session: accesses(session, what=what))


async def test_a_passkey_is_the_second_factor_of_its_person_once_for_each_challenge(house: House) -> None:
    at, device = door(house), Authenticator()
    session, _ = await signed_in(house, at, "li.na")
    other, _ = await signed_in(house, at, "zhang")
    kept = await add(house, at, session, device)
    assert (kept["second_factor"], kept["recovery_codes"]) == ("passkey+totp", "0")
    said = answer(house, at, device, "sign_in", BOUND)
    _, came = await come(house, at, "li.na", said)
    assert came.person == session.person
    with pytest.raises(Unauthenticated):  # the same answer again
        await come(house, at, "li.na", said)
    with pytest.raises(Unauthenticated):  # of nobody else
        await come(house, at, "zhang", answer(house, at, device, "sign_in", BOUND))
    for wrong in (
        replace(answer(house, at, device, "sign_in", BOUND), bound=b"another browser".ljust(32)),
        replace(answer(house, at, device, "confirm", BOUND), use="sign_in"),
    ):
        with pytest.raises(Unprocessable) as foreign:
            await come(house, at, "li.na", wrong)
        assert foreign.value.code == "passkey.challenge"
    late = answer(house, at, device, "sign_in", BOUND)
    house.now_us += CHALLENGE_US
    with pytest.raises(Unprocessable):
        await come(house, at, "li.na", late)
    # And again before money and approvals, for the session that asks.
    house.now_us += 1
    fresh = await at.confirm(came, answer(house, at, device, "confirm", came.digest))
    assert fresh.fresh(house.now_us)
    with pytest.raises(Unprocessable) as strange:
        await at.confirm(other, answer(house, at, device, "confirm", other.digest))
    assert strange.value.code == "passkey.refused"


async def test_of_two_who_answer_the_same_challenge_at_once_one_comes_in(house: House) -> None:
    at, device = door(house), Authenticator(counts=False)
    session, _ = await signed_in(house, at, "li.na")
    await add(house, at, session, device)
    said = answer(house, at, device, "sign_in", BOUND)
    came = await asyncio.gather(*(come(house, at, "li.na", said) for _ in range(4)), return_exceptions=True)
    assert sorted(isinstance(one, Exception) for one in came) == [False, True, True, True]


async def test_a_copied_passkey_is_noticed_refused_and_recorded_and_is_void_from_then_on(
    house: House,
) -> None:
    at, device = door(house), Authenticator(counter=40)
    session, secret = await signed_in(house, at, "li.na")
    await add(house, at, session, device)
    await come(house, at, "li.na", answer(house, at, device, "sign_in", BOUND))
    copy = Authenticator(counter=40)
    with pytest.raises(Unauthenticated):
        await come(house, at, "li.na", answer(house, at, copy, "sign_in", BOUND))
    (noticed,) = await registered(house, "copied")
    assert (noticed["person"], noticed["said"]) == (session.person, "laptop")
    with pytest.raises(Unauthenticated):  # nobody can tell which of the two is the copy
        await come(house, at, "li.na", answer(house, at, device, "sign_in", BOUND))
    # It counts as no second factor any more, and can be taken off.
    only = signin.ChangeFactors(removes=b"")
    with pytest.raises(Conflict) as last:
        await house.act(signin.change_factors, only, session.caller)
    assert last.value.code == "account.last_factor"
    had = await house.gate.read(signin.second_factors, session.person)
    assert [one["copied"] for one in had["passkeys"]] == [True]
    gone = await house.act(signin.change_factors, signin.ChangeFactors(removes=device.id), session.caller)
    assert gone["second_factor"] == "totp"
    house.now_us += 2 * STEP_US
    await come(house, at, "li.na", one_time_code(secret, house.now_us // STEP_US))


async def test_the_last_second_factor_stays_and_only_ones_own_are_taken_off(house: House) -> None:
    at, first, second = door(house), Authenticator(id=b"first" * 4), Authenticator(id=b"second" * 4)
    session, secret = await signed_in(house, at, "li.na")
    with pytest.raises(Conflict):
        await house.act(signin.change_factors, signin.ChangeFactors(removes=b""), session.caller)
    await add(house, at, session, first, "laptop")
    await add(house, at, session, second, "phone")
    other, _ = await signed_in(house, at, "zhang")
    with pytest.raises(NotFound):
        await house.act(signin.change_factors, signin.ChangeFactors(removes=first.id), other.caller)
    gone = await house.act(signin.change_factors, signin.ChangeFactors(removes=b""), session.caller)
    assert gone["second_factor"] == "passkey"
    house.now_us += 2 * STEP_US
    with pytest.raises(Unauthenticated):
        await come(house, at, "li.na", one_time_code(secret, house.now_us // STEP_US))
    await house.act(signin.change_factors, signin.ChangeFactors(removes=first.id), session.caller)
    with pytest.raises(Unauthenticated):
        await come(house, at, "li.na", answer(house, at, first, "sign_in", BOUND))
    await come(house, at, "li.na", answer(house, at, second, "sign_in", BOUND))
    with pytest.raises(Conflict):
        await house.act(signin.change_factors, signin.ChangeFactors(removes=second.id), session.caller)
    await come(house, at, "li.na", answer(house, at, second, "sign_in", BOUND))
    with pytest.raises(Conflict) as known:  # what was taken off is not registered again
        await add(house, at, session, first)
    assert known.value.code == "passkey.known"


async def test_a_reset_voids_passkeys_with_the_rest_and_the_log_knows_none(house: House) -> None:
    at, device = door(house), Authenticator()
    session, _ = await signed_in(house, at, "li.na")
    await add(house, at, session, device, "the laptop at home")
    bodies = b"".join([(await house.gate.receipt(index)).body for index in range(await house.log_size())])
    for hidden in (device.id, device.id.hex().encode(), device.public().hex().encode(), b"laptop"):
        assert hidden not in bodies
    ask = signin.AskReset(session.person, credentials.key_digest("fresh"))
    reset = await house.act(signin.ask_reset, ask, house.administrator)
    second = await house.act(
        parties.invite_person,
        parties.InvitePerson(house.administrator.party, "second", credentials.key_digest("second")),
        house.administrator,
    )
    colleague = Caller(second["id"], house.administrator.party, house.administrator.roles)
    await house.act(signin.decide_reset, signin.DecideReset(reset["id"], True), colleague)
    await account(house, at, "fresh", "li.na")
    with pytest.raises(Unauthenticated):
        await come(house, at, "li.na", answer(house, at, device, "sign_in", BOUND))
    assert (await house.gate.read(signin.second_factors, session.person))["passkeys"] == []
