"""The hot path for bids answers exactly as the documented route does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from exchange.api.doorway import Quotas
from exchange.api.swift import BODY_LIMIT, SwiftBids
from exchange.auctions import JoinLot, join_lot
from tests.exchange import contract
from tests.exchange.conftest import House
from tests.exchange.floor import INCREMENT_FEN, START_FEN, Floor

pytestmark = pytest.mark.anyio

HELD = {"response": [contract.hold]}


@pytest.fixture
async def doors(house: House) -> AsyncIterator[tuple[Floor, str, httpx.AsyncClient, httpx.AsyncClient]]:
    """A lot with a bidder, the hot path in front of the application, and the application alone."""
    floor = await Floor.open(house)
    lot = await floor.lot()
    await house.act(join_lot, JoinLot(lot), floor.buyers[0])
    transport = house.http._transport
    assert isinstance(transport, httpx.ASGITransport)
    app: Any = transport.app
    assert isinstance(app, FastAPI)
    async with (
        httpx.AsyncClient(
            transport=httpx.ASGITransport(SwiftBids(app)), base_url="http://x", event_hooks=HELD
        ) as swift,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://x", event_hooks=HELD
        ) as documented,
    ):
        yield floor, lot, swift, documented


def bid(key: str, price_fen: int) -> dict[str, Any]:
    return {"json": {"client_bid_id": key, "price_fen": str(price_fen)}}


async def test_a_plain_bid_never_meets_the_documented_application(
    doors: tuple[Floor, str, httpx.AsyncClient, httpx.AsyncClient],
) -> None:
    floor, lot, _, documented = doors
    app: Any = documented._transport.app  # type: ignore[attr-defined]  # httpx's own transport

    async def nobody(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the hot path let a plain bid through")

    swift = SwiftBids(app)
    swift._documented = nobody  # type: ignore[assignment]  # only called where the test fails
    headers = {"Authorization": f"Bearer {floor.house.keys[floor.buyers[0].person]}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(swift), base_url="http://x") as client:
        response = await client.post(f"/v1/lots/{lot}/bids", headers=headers, **bid("plain", START_FEN))
    assert response.status_code == 201
    floor.house.verify(response.json())


async def test_hot_path_and_documented_route_answer_alike(
    doors: tuple[Floor, str, httpx.AsyncClient, httpx.AsyncClient],
) -> None:
    floor, lot, swift, documented = doors
    admitted = {"Authorization": f"Bearer {floor.house.keys[floor.buyers[0].person]}"}
    outsider = {"Authorization": f"Bearer {floor.house.keys[floor.buyers[1].person]}"}
    path = f"/v1/lots/{lot}/bids"
    # Each request is sent over both ways, the second time over the other one: a repeat gets the first answer.
    requests: list[tuple[str, dict[str, Any]]] = [
        (path, {"headers": admitted, **bid("a", START_FEN)}),
        (path, {"headers": admitted, **bid("b", START_FEN + INCREMENT_FEN)}),
        (path, {"headers": admitted, **bid("c", START_FEN)}),  # not higher: refused on the record
        (path, {"headers": admitted, **bid("a", START_FEN + 5 * INCREMENT_FEN)}),  # another act: 422
        (path, {"headers": outsider, **bid("d", START_FEN + 2 * INCREMENT_FEN)}),  # no deposit
        (path, {"headers": {"Authorization": "Bearer nobody"}, **bid("e", START_FEN)}),
        (path, {"headers": {}, **bid("e", START_FEN)}),
        (path, {"headers": {"Authorization": "Basic eDp5"}, **bid("e", START_FEN)}),
        ("/v1/lots/lot-none/bids", {"headers": admitted, **bid("f", START_FEN)}),
        (path, {"headers": admitted, "json": {"client_bid_id": "g", "price_fen": "1.5"}}),
        (path, {"headers": admitted, "json": {"client_bid_id": "a b", "price_fen": "15"}}),
        (path, {"headers": admitted, "json": {"client_bid_id": "g", "price_fen": "15", "more": 1}}),
        (path, {"headers": admitted, "json": [1]}),
        (path, {"headers": {**admitted, "Content-Type": "application/json"}, "content": b"{"}),
        (path, {"headers": {**admitted, "Content-Type": "text/plain"}, "content": b"{}"}),
        (path, {"headers": admitted, "json": {"client_bid_id": "g" * BODY_LIMIT, "price_fen": "15"}}),
        (path, {"headers": {**admitted, "Request-Expires": "1"}, **bid("i", START_FEN + 9 * INCREMENT_FEN)}),
        (path, {"headers": {**admitted, "Request-Expires": "9" * 18}, **bid("j", START_FEN + INCREMENT_FEN)}),
        (path, {"headers": {**admitted, "Request-Expires": "soon"}, **bid("k", START_FEN)}),
        (path, {"headers": {**admitted, "Signature-Input": "x"}, **bid("l", START_FEN)}),
        (path + "/", {"headers": admitted, **bid("h", START_FEN)}),
    ]
    for number, (target, request) in enumerate(requests):
        ways = (swift, documented) if number % 2 else (documented, swift)
        first, second = [await way.post(target, **request) for way in ways]
        assert first.status_code == second.status_code, (request, first.text, second.text)
        assert first.headers.get("content-type") == second.headers.get("content-type"), request
        assert first.content == second.content, request
        assert "idempotency-replayed" not in first.headers
        assert ("idempotency-replayed" in second.headers) == (b'"receipt"' in second.content)
        names = [set(answer.headers) - {"idempotency-replayed"} for answer in (first, second)]
        assert names[0] == names[1], request
        assert first.headers.get("www-authenticate") == second.headers.get("www-authenticate")


async def test_both_ways_spend_the_same_quota_and_refuse_what_is_over_it_alike(
    doors: tuple[Floor, str, httpx.AsyncClient, httpx.AsyncClient],
) -> None:
    floor, lot, swift, documented = doors
    floor.house.app.state.callers.quotas = Quotas(2, lambda: 100.0)
    headers = {"Authorization": f"Bearer {floor.house.keys[floor.buyers[0].person]}"}
    answers = [
        await way.post(f"/v1/lots/{lot}/bids", headers=headers, **bid(f"q{n}", START_FEN + n * INCREMENT_FEN))
        for n, way in enumerate((swift, documented, swift, documented))
    ]
    assert [answer.status_code for answer in answers] == [201, 201, 429, 429]
    left = [answer.headers["RateLimit"].split(";")[1] for answer in answers]
    assert left == ["r=1", "r=0", "r=0", "r=0"]
    assert set(answers[2].headers) == set(answers[3].headers) >= {"retry-after", "ratelimit-policy"}
    assert answers[2].json()["code"] == answers[3].json()["code"] == "caller.quota"


async def test_a_defect_behind_a_bid_shows_nothing_of_its_inside(
    doors: tuple[Floor, str, httpx.AsyncClient, httpx.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    floor, lot, swift, _ = doors

    def break_down(*_: object) -> None:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr("exchange.auctions.PlaceBids.decide", break_down)
    headers = {"Authorization": f"Bearer {floor.house.keys[floor.buyers[0].person]}"}
    response = await swift.post(f"/v1/lots/{lot}/bids", headers=headers, **bid("x", START_FEN))
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "internal"
    assert "secret" not in response.text
