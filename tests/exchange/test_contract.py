"""The contract at /openapi.json: whole, true to the code, and without a float."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from exchange.api import mount, problems, routers, sandbox
from exchange.api.contract import answered
from tests.exchange.conftest import House
from tests.exchange.contract import METHODS, document, faults, hold


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document()["paths"].items():
        for method in METHODS:
            if method in item:
                yield f"{method} {path}", item[method]


def routes() -> list[APIRoute]:
    found = [
        route
        for router in (*routers, sandbox.router)
        for route in router.routes
        if isinstance(route, APIRoute)
    ]
    return [route for route in found if route.include_in_schema]


def walk(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    yield path, node
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, child in children:
        yield from walk(child, f"{path}/{name}")


@pytest.mark.anyio
async def test_the_contract_is_served(house: House) -> None:
    served = (await house.http.get("/openapi.json")).json()
    assert served["openapi"] == "3.1.0"
    assert served["paths"] == document()["paths"]


def test_every_route_of_the_api_is_in_the_contract() -> None:
    ours = {(method.lower(), route.path_format) for route in routes() for method in route.methods or ()}
    told = {
        (method, path) for path, item in document()["paths"].items() for method in METHODS if method in item
    }
    assert told == ours


def test_production_has_every_route_but_the_clock_of_the_sandbox() -> None:
    app = FastAPI(title="production", version="0")
    mount(app, sandbox_clock=False)
    assert document()["paths"].keys() - app.openapi()["paths"].keys() == {"/v1/sandbox/clock"}
    assert "sandbox" not in {tag["name"] for tag in app.openapi()["tags"]}


def floats(node: Any) -> list[str]:
    """Where a number is no integer."""
    return [
        path
        for path, part in walk(node)
        if isinstance(part, float) or (isinstance(part, dict) and "number" in part.get("type", ()))
    ]


def test_there_is_no_float_in_the_contract() -> None:
    assert floats(document()) == []
    assert len(floats({"a": [{"type": "number"}, {"type": ["number", "null"]}, 1.5]})) == 3


def test_money_and_times_are_decimal_strings() -> None:
    for name, schema in document()["components"]["schemas"].items():
        for member, of in schema.get("properties", {}).items():
            if member.endswith(("_fen", "_us", "_ppm", "_micro")):
                parts = of.get("anyOf", [of])
                kinds = {part.get("additionalProperties", part).get("type") for part in parts}
                assert kinds <= {"string", "null", "array"}, f"{name}.{member}"


def test_every_operation_says_what_it_does_and_shows_true_examples() -> None:
    names = [said["operationId"] for _, said in operations()]
    assert len(names) == len(set(names))
    for name, said in operations():
        assert 10 <= len(said["summary"]) <= 160, name
        assert set(said["tags"]) <= {tag["name"] for tag in document()["tags"]}, name
        for part in (said.get("requestBody", {"description": "none"}), *said["responses"].values()):
            assert part.get("description") or part["content"], name
            for kind, media in part.get("content", {}).items():
                if kind == "application/json":
                    assert faults(media["schema"], media["example"]) == [], name
                elif kind == "application/problem+json":
                    assert media["examples"], name
        for parameter in said.get("parameters", ()):
            shown = parameter.get("example", parameter["schema"].get("examples", [None])[0])
            assert faults(parameter["schema"], shown) == [], (name, parameter["name"])


def test_every_problem_has_an_example_of_itself() -> None:
    examples = document()["components"]["examples"]
    used = set()
    for name, said in operations():
        for status, response in said["responses"].items():
            for code in response.get("x-problem-codes", ()):
                key = f"{status}.{code}"
                used.add(key)
                value = examples[key]["value"]
                assert (value["status"], value["code"]) == (int(status), code), name
                assert faults({"$ref": "#/components/schemas/Problem"}, value) == []
    assert used == set(examples)


def test_who_needs_a_key_is_told_so_and_what_it_answers_without_one() -> None:
    for name, said in operations():
        assert (401 in map(int, said["responses"])) == ("security" in said or name == "post /oauth/token"), (
            name
        )
        assert "500" in said["responses"], name
    assert set(document()["components"]["securitySchemes"]) == {"key", "client", "signature"}


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/v1/lots/{lot}/bids", "POST", 422, "bid.not_higher"),
        ("/v1/lots/{lot}/bids", "POST", 403, "bid.no_deposit"),
        ("/v1/lots/{lot}/bidders", "POST", 422, "bidder.related"),
        ("/v1/lots/{lot}/bidders", "POST", 422, "transfer.exceeds_credits"),
        ("/v1/bank/suspense/{reference}/assignment", "POST", 404, "party.unknown"),
        ("/v1/top-ups", "POST", 422, "bank.reference_differs"),
        ("/v1/assets/{asset}/releases", "POST", 413, "desensitization.too_large"),
        ("/v1/assets/{asset}/assessments", "POST", 422, "assessment.impacts"),
        ("/v1/receipts/{index}", "GET", 503, "looks.full"),
        ("/v1/uploads/{sha256}", "PUT", 422, "upload.digest"),
    ],
)
def test_problems_are_found_however_deep_they_lie(path: str, method: str, status: int, code: str) -> None:
    route = next(r for r in routes() if r.path == path and method in (r.methods or ()))
    found = answered(route, method)
    assert code in {problem.code for problem in found[status]}


def test_a_route_is_not_charged_with_what_others_answer() -> None:
    bids = document()["paths"]["/v1/lots/{lot}/bids"]["post"]["responses"]
    told = {code for response in bids.values() for code in response.get("x-problem-codes", ())}
    assert not {code for code in told if code.startswith(("transfer.", "upload.", "asset.", "key."))}


def test_a_code_of_an_unlisted_family_is_a_defect_of_the_list() -> None:
    computed = ast.parse('f"{name}.computed"', mode="eval").body
    with pytest.raises(KeyError):
        problems._codes(computed, test_a_code_of_an_unlisted_family_is_a_defect_of_the_list)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(418),
        httpx.Response(
            404, json={"code": "nobody.knows"}, headers={"content-type": "application/problem+json"}
        ),
        httpx.Response(200, json={"id": "lot"}),
        httpx.Response(200, text="{}", headers={"content-type": "application/problem+json"}),
    ],
)
async def test_an_answer_that_the_contract_does_not_know_is_noticed(response: httpx.Response) -> None:
    response.request = httpx.Request("GET", "http://exchange.test/v1/lots/lot-1")
    with pytest.raises((AssertionError, KeyError)):
        await hold(response)
