"""What every route shares: problems, identifiers, callers, roles, and an API description without a gap."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from exchange import credentials
from exchange.api.doorway import PROBLEM, on_defect, problem_response
from exchange.errors import Unauthenticated, Unavailable
from exchange.parties.agreements import PARTS
from tests.exchange.conftest import House, uscc
from tests.exchange.floor import Floor

pytestmark = pytest.mark.anyio

DIGEST = "ab" * 32
OFFER = {"grant": "licence", "licences": "1", "term_days": "30", "price_fen": "100"}

WRITES: list[tuple[str, dict[str, Any], set[str]]] = [
    ("/v1/parties", {"uscc": uscc(5000), "name": "n", "roles": ["buyer"]}, {"administrator"}),
    ("/v1/parties/org-none/state", {"state": "suspended", "reason": "r"}, {"administrator", "regulator"}),
    ("/v1/invitations", {"party": "org-none", "name": "n", "token_digest": DIGEST}, {"administrator"}),
    (
        "/v1/agreements",
        {
            "operator": "org-none",
            "share_ppm": "1",
            "parts": dict.fromkeys(PARTS, "agreed"),
            "starts_us": "0",
            "ends_us": "1",
        },
        {"supplier"},
    ),
    ("/v1/top-ups", {"party": "org-none", "amount_fen": "1", "bank_reference": "r"}, {"bank"}),
    ("/v1/sandbox/clock", {"by_us": "0"}, {"administrator"}),
    ("/v1/listings", {"asset": "ast-none", "offer": OFFER}, {"supplier"}),
    ("/v1/listings/lst-none/purchases", {"licences": "1"}, {"buyer"}),
    (
        "/v1/lots",
        {
            "asset": "ast-none", "offer": OFFER, "increment_fen": "1", "deposit_fen": "1", "opens_us": "1",
            "closes_us": "2",
        },
        {"supplier"},
    ),
    ("/v1/lots/lot-none/bidders", {}, {"buyer"}),
]  # fmt: skip
READS = {"/v1/trial-balance": {"regulator", "administrator"}, "/v1/parties": {"regulator", "administrator"}}
ROLES = ("supplier", "buyer", "operator", "regulator", "administrator", "bank")


def is_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    problem: dict[str, Any] = response.json()
    assert (response.status_code, problem["code"]) == (status, code), response.text
    assert response.headers["content-type"] == PROBLEM
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    return problem


ODD_KEYS: list[str | None] = ["", " ", "a b", "ü", "x" * 65, "a/b", "a\n", None]


async def test_a_write_without_a_plain_identifier_is_refused_and_names_the_header(house: House) -> None:
    (bank,) = await house.party("bank")
    for key in ODD_KEYS:
        headers = {"Authorization": f"Bearer {house.keys[bank.person]}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        body = {"party": "org-none", "amount_fen": "1", "bank_reference": "r"}
        response = await house.http.post(
            "/v1/top-ups", json=body, headers=[(k.encode(), v.encode("utf-8")) for k, v in headers.items()]
        )
        problem = is_problem(response, 400, "request.identifier")
        assert problem["field"] == "Idempotency-Key"
        assert problem["rule"]
        assert problem["remedy"]


async def test_the_same_identifier_answers_again_marked_and_bit_for_bit(house: House) -> None:
    floor = await Floor.open(house)
    body = {"party": floor.buyers[0].party, "amount_fen": "5", "bank_reference": "r"}
    first = await house.call(floor.bank, "POST", "/v1/top-ups", body, key="k-1")
    again = await house.call(floor.bank, "POST", "/v1/top-ups", body, key="k-1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    other = await house.call(floor.bank, "POST", "/v1/top-ups", {**body, "amount_fen": "6"}, key="k-1")
    is_problem(other, 422, "request.identifier_reused")


NOBODY: list[str | None] = [None, "Bearer", "Bearer ", "Basic YTpi", "Bearer unknown", "bearer \x01"]


async def test_nobody_known_gets_in_anywhere(house: House) -> None:
    for header in NOBODY:
        reads = ("/v1/me", "/v1/trades", "/v1/requests/k", "/v1/receipts/0", "/v1/audit/bundle", *READS)
        bid = ("POST", "/v1/lots/lot-none/bids", {"client_bid_id": "b", "price_fen": "1"})
        writes = [("POST", path, body) for path, body, _ in WRITES]
        for method, path, body in [*(("GET", path, None) for path in reads), *writes, bid]:
            headers = {"Idempotency-Key": "k"} | ({} if header is None else {"Authorization": header})
            response = await house.http.request(method, path, headers=headers, json=body)
            assert is_problem(response, 401, response.json()["code"])["remedy"], path
            assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_every_route_of_every_role(house: House) -> None:
    callers = {role: (await house.party(role))[0] for role in ROLES}
    for path, body, allowed in WRITES:
        for role, caller in callers.items():
            response = await house.call(caller, "POST", path, body)
            if role not in allowed:
                is_problem(response, 403, "caller.role")
            else:
                assert response.json().get("code") != "caller.role", (path, role)
    for path, allowed in READS.items():
        for role, caller in callers.items():
            response = await house.call(caller, "GET", path)
            assert response.status_code == (200 if role in allowed else 403), (path, role)


NO_ROUTES: list[tuple[str, str, int]] = [
    ("GET", "/v1/nothing", 404),
    ("PUT", "/v1/lots", 405),
    ("DELETE", "/v1/me", 405),
    ("GET", "/", 404),
]


async def test_an_unknown_route_answers_in_the_same_form(house: House) -> None:
    for method, path, status in NO_ROUTES:
        is_problem(await house.http.request(method, path), status, f"http.{status}")


WRONG_FORMS: list[tuple[dict[str, Any], str]] = [
    ({"amount_fen": "-1"}, "amount_fen"),
    ({"amount_fen": "1.0"}, "amount_fen"),
    ({"amount_fen": "01"}, "amount_fen"),
    ({"amount_fen": 1.0}, "amount_fen"),
    ({"amount_fen": True}, "amount_fen"),
    ({"amount_fen": "9" * 19}, "amount_fen"),
    ({"amount_fen": "٣"}, "amount_fen"),
    ({"amount_fen": None}, "amount_fen"),
    ({"amount_fen": -1}, "amount_fen"),
    ({"amount_fen": 2**63}, "amount_fen"),
    ({"bank_reference": "a b"}, "bank_reference"),
    ({"bank_reference": "\x00"}, "bank_reference"),
    ({"party": ""}, "party"),
    ({"more": 1}, "more"),
]


async def test_a_member_of_the_wrong_form_is_named(house: House) -> None:
    floor = await Floor.open(house, buyers=0)
    for changed, field in WRONG_FORMS:
        body = {"party": floor.seller.party, "amount_fen": "1", "bank_reference": "r", **changed}
        problem = is_problem(await house.call(floor.bank, "POST", "/v1/top-ups", body), 400, "request.form")
        assert problem["field"] == field
        assert problem["rule"]


async def test_a_body_that_is_no_json_is_refused(house: House) -> None:
    (bank,) = await house.party("bank")
    lone = b'{"party":"org-1","amount_fen":"1","bank_reference":"\\ud800"}'
    for content in (b"", b"{", b"[]", b"\xff\xfe", b"1", lone):
        response = await house.call(
            bank, "POST", "/v1/top-ups", content=content, headers={"Content-Type": "application/json"}
        )
        is_problem(response, 400, "request.form")


async def test_paths_that_no_identifier_could_be_reach_no_room(house: House) -> None:
    floor = await Floor.open(house, buyers=1)
    odd = ("%00", "a%0Ab", "%F0%9F%92%A9", "x" * 65)
    for name in odd:
        for method, path in (
            ("GET", f"/v1/lots/{name}"), ("GET", f"/v1/lots/{name}/bids"), ("POST", f"/v1/lots/{name}/bids"),
            ("GET", f"/v1/trades/{name}"), ("GET", f"/v1/requests/{name}"), ("POST", f"/v1/lots/{name}/bidders"),
            ("POST", f"/v1/listings/{name}/purchases"),
        ):  # fmt: skip
            body = {"client_bid_id": "b", "price_fen": "1"} if path.endswith("bids") else {}
            response = await house.call(floor.buyers[0], method, path, body if method == "POST" else None)
            is_problem(response, 400, "request.form")


async def test_a_revoked_key_stops_within_a_second(house: House) -> None:
    (buyer,) = await house.party("buyer")
    assert (await house.call(buyer, "GET", "/v1/me")).status_code == 200
    digest = credentials.key_digest(house.keys[buyer.person]).hex()
    await house.done(buyer, f"/v1/keys/{digest}/revocation")
    for _ in range(24):
        response = await house.call(buyer, "GET", "/v1/me")
        if response.status_code == 401:
            break
        await asyncio.sleep(0.05)
    is_problem(response, 401, "caller.unknown")


async def test_busy_and_unknown_answers_carry_their_headers(house: House) -> None:
    busy = problem_response(Unavailable("gate.full", "waiting", retry_after_s=7))
    assert (busy.status_code, busy.headers["Retry-After"]) == (503, "7")
    assert problem_response(Unauthenticated("x", "y")).headers["WWW-Authenticate"] == "Bearer"
    defect = await on_defect(None, ValueError("secret inside"))  # type: ignore[arg-type]  # the request is not used
    assert defect.status_code == 500
    assert b"secret" not in bytes(defect.body)


def described(house: House) -> dict[str, Any]:
    transport = house.http._transport
    assert isinstance(transport, httpx.ASGITransport)
    app: Any = transport.app
    assert isinstance(app, FastAPI)
    schema: dict[str, Any] = app.openapi()
    return schema


async def test_the_api_description_is_whole_and_every_route_says_what_it_does(house: House) -> None:
    schema = described(house)
    assert schema["openapi"].startswith("3.1")
    names: list[str] = []
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert len(operation["description"]) > 15, where
            assert operation["tags"], where
            names.append(operation["operationId"])
            wanted = {part[1:-1].split(":")[0] for part in path.split("/") if part.startswith("{")}
            assert {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"} == wanted, where
            assert all(p["required"] for p in operation.get("parameters", []) if p["in"] == "path")
            assert operation["responses"], where
    assert len(set(names)) == len(names)

    def refs(value: Any) -> list[str]:
        if isinstance(value, dict):
            found = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return found + [ref for member in value.values() for ref in refs(member)]
        return [ref for member in value for ref in refs(member)] if isinstance(value, list) else []

    for ref in refs(schema):
        at: Any = schema
        for part in ref.removeprefix("#/").split("/"):
            at = at[part]
    assert {path for path, _, _ in WRITES if "none" not in path} <= set(schema["paths"])
