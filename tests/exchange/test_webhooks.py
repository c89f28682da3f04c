"""Webhooks: signed as others verify, in order, at least once, over failures and restarts; nobody else's, nowhere inside."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from exchange.deliveries import DISABLE_AFTER_US, FIRST_PAUSE_US, LONGEST_PAUSE_US, Deliveries, pause_us
from exchange.events import between
from tests.exchange.conftest import House
from tests.exchange.floor import Floor

pytestmark = pytest.mark.anyio


class Receiver:
    """Somebody's HTTP server: keeps what comes, answers `status`."""

    def __init__(self) -> None:
        self.came: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head)}
        self.came.append((headers, await reader.readexactly(int(headers["content-length"]))))
        location = "Location: http://127.0.0.1:1/\r\n" if self.status == 302 else ""
        writer.write(f"HTTP/1.1 {self.status} x\r\n{location}Content-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    def sequences(self) -> list[int]:
        return [int(json.loads(body)["data"]["sequence"]) for _, body in self.came]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    one = Receiver()
    async with await asyncio.start_server(one.serve, "127.0.0.1", 0) as server:
        one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/in"
        yield one


class Sender:
    """A worker's deliveries, turned by hand, on a clock of its own."""

    def __init__(self, house: House) -> None:
        transport: Any = house.http._transport
        state = transport.app.state
        state.webhook_loopback = True
        self.now_us = 1_790_000_000_000_000
        self.made = Deliveries(house.gate, house.gate.database, state.link_key, lambda: self.now_us, True)

    async def turn(self) -> None:
        await self.made.turn()
        await asyncio.gather(*self.made._running.values())


async def added(house: House, caller: Any, url: str, *kinds: str) -> tuple[str, str]:
    response = await house.call(caller, "POST", "/v1/webhooks", {"url": url, "kinds": list(kinds)})
    assert response.status_code == 201, response.text
    return response.json()["outcome"]["id"], response.json()["secret"]


async def health(house: House, caller: Any) -> dict[str, Any]:
    (one,) = (await house.call(caller, "GET", "/v1/webhooks")).json()
    return dict(one)


async def test_deliveries_are_signed_so_that_others_verify_them(house: House, receiver: Receiver) -> None:
    floor = await Floor.open(house)
    sender = Sender(house)
    sender.now_us = time.time_ns() // 1000
    buyer = floor.buyers[0]
    name, secret = await added(house, buyer, receiver.url)
    lot = await floor.lot()
    await floor.join(lot, buyer)
    await floor.bid(lot, buyer, 700_000)
    await sender.turn()
    kinds = [Webhook(secret).verify(body, headers)["type"] for headers, body in receiver.came]
    assert kinds == ["bidder", "bid"]
    headers, body = receiver.came[0]
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body.replace(b"bidder", b"better"), headers)
    # The new secret signs beside the old one for a day, and alone after it.
    rotated = await house.call(buyer, "POST", f"/v1/webhooks/{name}/rotation")
    fresh = rotated.json()["secret"]
    assert fresh != secret
    await sender.turn()
    headers, body = receiver.came[-1]
    for one in (secret, fresh):
        assert Webhook(one).verify(body, headers)["type"] == "webhook_secret_rotated"
    house.now_us += 86_400_000_001
    await floor.bid(lot, buyer, 800_000)
    await sender.turn()
    headers, body = receiver.came[-1]
    Webhook(fresh).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers)
    shown = (await house.call(buyer, "GET", "/v1/webhooks")).text
    assert secret not in shown
    assert fresh not in shown


async def test_a_failing_endpoint_is_tried_again_later_and_misses_nothing(
    house: House, receiver: Receiver
) -> None:
    floor = await Floor.open(house)
    sender = Sender(house)
    buyer = floor.buyers[0]
    name, _ = await added(house, buyer, receiver.url, "bid")
    lot = await floor.lot()
    await floor.join(lot, buyer)
    for n in range(3):
        await floor.bid(lot, buyer, 700_000 + n)
    for status in (500, 302):  # a redirect is no success, and not followed
        receiver.status = status
        await sender.turn()
        await sender.turn()  # not before its time
        sender.now_us += 2 * FIRST_PAUSE_US * 2
    assert len(receiver.came) == 2
    state = await health(house, buyer)
    assert (state["attempts"], state["last_answer"], state["last_success_us"]) == ("2", "302", None)
    assert int(state["backlog"]) > 0
    receiver.status = 204
    sender = Sender(house)  # the worker was restarted meanwhile
    sender.now_us += DISABLE_AFTER_US // 10
    await sender.turn()
    assert receiver.sequences()[2:] == sorted(set(receiver.sequences()))
    assert len(receiver.came) == 5
    assert receiver.came[0][0]["webhook-id"] == receiver.came[2][0]["webhook-id"]
    state = await health(house, buyer)
    assert (state["attempts"], state["delivered"], state["backlog"]) == ("0", "3", "0")
    # Told again from an entry on.
    again = receiver.sequences()[-2]
    await house.done(buyer, f"/v1/webhooks/{name}/replay", {"sequence": str(again)})
    await sender.turn()
    assert receiver.sequences()[5:] == receiver.sequences()[3:5]


async def test_two_processes_tell_an_endpoint_each_thing_once(house: House, receiver: Receiver) -> None:
    floor = await Floor.open(house)
    senders = Sender(house), Sender(house)
    buyer = floor.buyers[0]
    await added(house, buyer, receiver.url, "bid")
    lot = await floor.lot()
    await floor.join(lot, buyer)
    for n in range(10):
        await floor.bid(lot, buyer, 700_000 + 10_000 * n)
        await asyncio.gather(*(sender.turn() for sender in senders))
    for sender in senders:  # whoever met the other's lock comes again
        await sender.turn()
    assert len(receiver.came) == 10
    assert receiver.sequences() == sorted(set(receiver.sequences()))


async def test_an_endpoint_that_fails_for_days_or_is_gone_is_disabled_with_notice(
    house: House, receiver: Receiver
) -> None:
    floor = await Floor.open(house)
    sender = Sender(house)
    buyer = floor.buyers[0]
    name, _ = await added(house, buyer, receiver.url)
    await floor.join(await floor.lot(), buyer)
    receiver.status = 503
    await sender.turn()
    sender.now_us += DISABLE_AFTER_US
    await sender.turn()
    assert (await health(house, buyer))["state"] == "disabled"
    # The notice is an entry that the party may see: its stream and its other endpoints tell it.
    (notice,) = [
        e
        for e in await house.gate.read(between, 0, await house.log_size(), [buyer.party])
        if e.kind == "webhook_disabled"
    ]
    assert (notice.parties, notice.act["id"]) == (frozenset({buyer.party}), name)
    before = len(receiver.came)
    await sender.turn()
    assert len(receiver.came) == before
    sender.now_us += 1
    receiver.status = 410
    await house.done(buyer, f"/v1/webhooks/{name}/replay", {"sequence": "0"})
    await sender.turn()
    assert (await health(house, buyer))["state"] == "disabled"


async def test_one_endpoint_waits_for_no_other_and_each_party_sees_its_own(
    house: House, receiver: Receiver
) -> None:
    floor = await Floor.open(house)
    sender = Sender(house)
    north, south = floor.buyers[:2]
    dead, _ = await added(house, north, "http://127.0.0.1:1/", "bidder")
    await added(house, south, receiver.url, "bidder")
    lot = await floor.lot()
    for buyer in (north, south):
        await floor.join(lot, buyer)
    await sender.turn()
    assert len(receiver.came) == 1
    assert (await health(house, north))["last_answer"] == "no answer: ConnectError"
    for act in ("removal", "rotation"):
        refused = await house.call(south, "POST", f"/v1/webhooks/{dead}/{act}")
        assert (refused.status_code, refused.json()["code"]) == (404, "webhook.unknown")
    await house.done(north, f"/v1/webhooks/{dead}/removal")
    assert (await house.call(north, "GET", "/v1/webhooks")).json() == []
    transport: Any = house.http._transport
    transport.app.state.webhook_loopback = False
    inside = await house.call(north, "POST", "/v1/webhooks", {"url": receiver.url})
    assert (inside.status_code, inside.json()["code"]) == (422, "webhook.url")
    # Registered while it was allowed, and not called when it is no more.
    sender.made.loopback = False
    await floor.join(await floor.lot(), south)
    await sender.turn()
    assert len(receiver.came) == 1
    assert (await health(house, south))["last_answer"].startswith("refused")


def test_pauses_double_to_six_hours_with_a_little_chance() -> None:
    assert pause_us(0, b"\0\0") == FIRST_PAUSE_US
    assert pause_us(3, b"\0\0") == 8 * FIRST_PAUSE_US
    assert LONGEST_PAUSE_US <= pause_us(99, b"\xff\xff") < LONGEST_PAUSE_US * 5 // 4
