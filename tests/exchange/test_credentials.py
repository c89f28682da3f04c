"""Keys that are narrowed, end, are rotated and noted; tokens that stand for one; signing keys. Over HTTP."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import Any

import pytest

from exchange import credentials
from exchange.acts import Caller
from tests.exchange.conftest import House

HOUR_US = 3_600_000_000


async def further(house: House, caller: Caller, secret: str, **narrowed: Any) -> Caller:
    """A further key of a caller's person, as somebody who calls with it."""
    message = {"key_digest": hashlib.sha256(secret.encode()).hexdigest(), "label": secret, **narrowed}
    await house.done(caller, "/v1/keys", message)
    house.keys[secret] = secret
    return Caller(secret, caller.party, caller.roles)


async def code(house: House, caller: Caller | None, method: str, path: str, json: Any = None) -> str:
    response = await house.call(caller, method, path, json)
    answer: dict[str, Any] = response.json()
    return str(answer.get("code", response.status_code))


@pytest.mark.anyio
async def test_a_narrowed_key_does_only_what_it_was_narrowed_to(house: House) -> None:
    (buyer,) = await house.party("buyer")
    reads = await further(house, buyer, "reads", scopes=["read"])
    trades = await further(house, buyer, "trades", scopes=["trade"])
    assert await code(house, reads, "GET", "/v1/me") == "200"
    assert await code(house, trades, "GET", "/v1/me") == "caller.scope"
    for path, message in (
        ("/v1/withdrawals", {"amount_fen": "1"}),
        ("/v1/stop", None),
        ("/v1/keys", {"key_digest": "00" * 32, "label": "more"}),
    ):
        assert await code(house, reads, "POST", path, message) == "caller.scope", path
    assert await code(house, reads, "POST", "/v1/heartbeat") == "caller.scope"
    bid = {"client_bid_id": "b", "price_fen": "1"}
    assert await code(house, trades, "POST", "/v1/lots/lot-0/bids", bid) == "lot.unknown"
    assert await code(house, reads, "POST", "/v1/lots/lot-0/bids", bid) == "caller.scope"
    assert await code(house, trades, "POST", "/v1/withdrawals", {"amount_fen": "1"}) == "caller.scope"
    everything = await house.call(buyer, "GET", "/v1/keys")
    assert {tuple(key["scopes"]) for key in everything.json()} == {("read",), ("trade",), credentials.SCOPES}


@pytest.mark.anyio
async def test_a_key_brings_none_that_may_do_more_than_itself(house: House) -> None:
    (buyer,) = await house.party("buyer")
    manager = await further(house, buyer, "manages", scopes=["manage", "read"])
    message = {"key_digest": "11" * 32, "label": "more"}
    for scopes in (None, ["trade"], ["manage", "money"]):
        sent = message if scopes is None else {**message, "scopes": scopes}
        assert await code(house, manager, "POST", "/v1/keys", sent) == "key.beyond"
    await house.done(manager, "/v1/keys", {**message, "scopes": ["read"]})
    digest = hashlib.sha256(house.keys[buyer.person].encode()).hexdigest()
    rotation = {"key_digest": "22" * 32, "label": "heir"}
    assert await code(house, manager, "POST", f"/v1/keys/{digest}/rotation", rotation) == "key.beyond"
    for scopes, expected in (
        (["fly"], "request.form"),
        ([], "request.form"),
        (["read", "read"], "key.scopes"),
    ):
        assert await code(house, buyer, "POST", "/v1/keys", {**message, "scopes": scopes}) == expected


@pytest.mark.anyio
async def test_a_key_ends_by_the_markets_clock(house: House) -> None:
    (buyer,) = await house.party("buyer")
    ends = house.now_us + HOUR_US
    brief = await further(house, buyer, "brief", expires_us=str(ends))
    assert await code(house, brief, "GET", "/v1/me") == "200"
    house.now_us = ends
    await asyncio.sleep(1.1)  # what was believed is believed for a second
    assert await code(house, brief, "GET", "/v1/me") == "caller.unknown"
    past = {"key_digest": "33" * 32, "label": "late", "expires_us": str(ends)}
    assert await code(house, buyer, "POST", "/v1/keys", past) == "key.expires"


@pytest.mark.anyio
async def test_a_rotated_key_goes_on_for_its_overlap_and_its_heir_for_as_long_again(house: House) -> None:
    (buyer,), (other,) = await house.party("buyer"), await house.party("buyer")
    first = house.now_us + 2 * HOUR_US
    old = await further(house, buyer, "old", scopes=["read", "manage"], expires_us=str(first))
    house.now_us += HOUR_US
    digest = hashlib.sha256(b"old").hexdigest()
    message = {"key_digest": hashlib.sha256(b"heir").hexdigest(), "label": "heir", "overlap_us": "60000000"}
    assert await code(house, other, "POST", f"/v1/keys/{digest}/rotation", message) == "key.unknown"
    done = await house.done(old, f"/v1/keys/{digest}/rotation", message)
    assert done["ends_us"] == str(house.now_us + 60_000_000)
    assert done["expires_us"] == str(house.now_us + 2 * HOUR_US)
    assert done["scopes"] == ["read", "manage"]
    house.keys["heir"] = "heir"
    heir = Caller("heir", buyer.party, buyer.roles)
    assert [await code(house, caller, "GET", "/v1/me") for caller in (old, heir)] == ["200", "200"]
    house.now_us += 60_000_000
    await asyncio.sleep(1.1)
    assert [await code(house, caller, "GET", "/v1/me") for caller in (old, heir)] == ["caller.unknown", "200"]
    again = {**message, "key_digest": "44" * 32}
    assert await code(house, heir, "POST", f"/v1/keys/{digest}/rotation", again) == "key.unknown"
    own = hashlib.sha256(b"heir").hexdigest()
    long = {**again, "overlap_us": str(8 * 24 * HOUR_US)}
    assert await code(house, heir, "POST", f"/v1/keys/{own}/rotation", long) == "key.overlap"


@pytest.mark.anyio
async def test_the_last_use_of_a_key_is_noted_to_five_minutes(house: House) -> None:
    (buyer,) = await house.party("buyer")

    async def used() -> str | None:
        await house.call(buyer, "GET", "/v1/me")
        for _ in range(100):
            (key,) = (await house.call(buyer, "GET", "/v1/keys")).json()
            if key["used_us"] is not None and int(key["used_us"]) > house.now_us - credentials.USED_EVERY_US:
                break
            await asyncio.sleep(0.02)
        found: str | None = key["used_us"]
        return found

    first = house.now_us
    assert await used() == str(first)
    house.now_us += credentials.USED_EVERY_US - 1
    await asyncio.sleep(1.1)
    assert await used() == str(first)
    house.now_us += 1
    await asyncio.sleep(1.1)
    assert await used() == str(house.now_us)


async def token(house: House, form: dict[str, str], headers: dict[str, str] | None = None) -> Any:
    return await house.http.post("/oauth/token", data=form, headers=headers)


@pytest.mark.anyio
async def test_a_program_gets_a_token_for_its_key_and_calls_with_it(house: House) -> None:
    (buyer,) = await house.party("buyer")
    secret = house.keys[buyer.person]
    digest = hashlib.sha256(secret.encode()).hexdigest()
    grant = {"grant_type": "client_credentials"}
    basic = {"Authorization": "Basic " + base64.b64encode(f"{digest}:{secret}".encode()).decode()}
    for form, headers in (
        ({**grant, "scope": "read"}, basic),
        ({**grant, "scope": "read", "client_secret": secret}, None),
        ({**grant, "scope": "read", "client_id": digest, "client_secret": secret}, None),
    ):
        answered = await token(house, form, headers)
        assert answered.status_code == 200, answered.text
        assert answered.headers["cache-control"] == "no-store"
        said = answered.json()
        assert (said["token_type"], said["scope"], said["expires_in"]) == ("Bearer", "read", 600)
    house.keys["token"] = said["access_token"]
    program = Caller("token", buyer.party, buyer.roles)
    me = await house.call(program, "GET", "/v1/me")
    assert me.json()["person"] == buyer.person
    assert await code(house, program, "POST", "/v1/stop") == "caller.scope"
    house.now_us += 600_000_000
    await asyncio.sleep(1.1)
    assert await code(house, program, "GET", "/v1/me") == "caller.unknown"


@pytest.mark.anyio
async def test_a_token_ends_with_its_key_and_makes_no_other(house: House) -> None:
    (buyer,) = await house.party("buyer")
    await further(house, buyer, "program", scopes=["read", "trade"])
    grant = {"grant_type": "client_credentials", "client_secret": "program"}
    assert (await token(house, {**grant, "scope": "read money"})).json()["error"] == "invalid_scope"
    text = (await token(house, grant)).json()
    assert text["scope"] == "read trade"
    again = await token(house, {**grant, "client_secret": text["access_token"]})
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")
    house.keys["token"] = text["access_token"]
    program = Caller("token", buyer.party, buyer.roles)
    assert await code(house, program, "GET", "/v1/me") == "200"
    digest = hashlib.sha256(b"program").hexdigest()
    await house.done(buyer, f"/v1/keys/{digest}/revocation")
    await asyncio.sleep(1.1)
    assert await code(house, program, "GET", "/v1/me") == "caller.unknown"


@pytest.mark.parametrize(
    ("form", "header", "status", "error"),
    [
        ({"grant_type": "password"}, None, 400, "unsupported_grant_type"),
        ({}, None, 400, "invalid_request"),
        ({"grant_type": "client_credentials"}, None, 401, "invalid_client"),
        ({"grant_type": "client_credentials", "client_secret": "nobody's"}, None, 401, "invalid_client"),
        ({"grant_type": "client_credentials", "client_secret": "eat_AAAA"}, None, 401, "invalid_client"),
        ({"grant_type": "client_credentials"}, "Basic !", 401, "invalid_client"),
        ({"grant_type": "client_credentials"}, "Bearer x", 401, "invalid_client"),
        ({"grant_type": "client_credentials", "client_secret": "x"}, "Basic eDp4", 401, "invalid_client"),
    ],
)
@pytest.mark.anyio
async def test_a_token_is_refused_as_rfc_6749_says(
    house: House, form: dict[str, str], header: str | None, status: int, error: str
) -> None:
    answered = await token(house, form, None if header is None else {"Authorization": header})
    assert (answered.status_code, answered.json()["error"]) == (status, error)
    assert ("www-authenticate" in answered.headers) == (status == 401)


@pytest.mark.anyio
async def test_a_form_that_says_something_twice_is_refused(house: House) -> None:
    sent = "grant_type=client_credentials&client_secret=a&client_secret=b"
    kind = "application/x-www-form-urlencoded"
    twice = await house.http.post("/oauth/token", content=sent, headers={"Content-Type": kind})
    assert twice.json()["error"] == "invalid_request"
    json = await house.http.post("/oauth/token", json={"grant_type": "client_credentials"})
    assert json.json()["error"] == "invalid_request"


@pytest.mark.anyio
async def test_a_forged_token_is_nobodys(house: House) -> None:
    (buyer,) = await house.party("buyer")
    grant = {"grant_type": "client_credentials", "client_secret": house.keys[buyer.person]}
    text = (await token(house, grant)).json()["access_token"]
    raw = bytearray(base64.urlsafe_b64decode(text.removeprefix("eat_") + "=="))
    for at in range(0, len(raw), 7):
        changed = bytes(raw[:at]) + bytes([raw[at] ^ 1]) + bytes(raw[at + 1 :])
        house.keys["forged"] = "eat_" + base64.urlsafe_b64encode(changed).decode().rstrip("=")
        assert await code(house, Caller("forged", "", frozenset()), "GET", "/v1/me") == "caller.unknown", at


@pytest.mark.anyio
async def test_the_token_endpoint_is_found_by_its_metadata(house: House) -> None:
    found = (await house.http.get("/.well-known/oauth-authorization-server")).json()
    assert found["token_endpoint"] == "http://exchange.test/oauth/token"
    assert found["scopes_supported"] == list(credentials.SCOPES)


@pytest.mark.anyio
async def test_a_signing_key_is_one_partys_and_ends(house: House) -> None:
    (buyer,), (other,) = await house.party("buyer"), await house.party("buyer")
    message = {"public": "5866666666666666666666666666666666666666666666666666666666666666", "label": "hsm"}
    added = await house.done(buyer, "/v1/signing-keys", message)
    assert await code(house, other, "POST", "/v1/signing-keys", message) == "signing_key.known"
    path = f"/v1/signing-keys/{added['id']}/revocation"
    assert await code(house, other, "POST", path) == "signing_key.unknown"
    assert [key["id"] for key in (await house.call(buyer, "GET", "/v1/signing-keys")).json()] == [added["id"]]
    assert (await house.call(other, "GET", "/v1/signing-keys")).json() == []
    await house.done(buyer, path)
    assert await code(house, buyer, "POST", path) == "signing_key.unknown"
