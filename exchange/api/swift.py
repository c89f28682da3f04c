"""What stands before the documented application: who is let in at all, and the hot path of bids, straight to the gate.

The contract stays in OpenAPI (`exchange.api.market.place_bid`). Both ways of a bid share message, gate and answer, and a
test holds them to the same answers; whatever is not plainly well formed takes the documented route.

In a surge close and settle go before everything (the gate's `urgent`), bids before looks: a bid that finds the gate full
is turned away before anything of it is read, and looks wait for a few places, fewer while more bids wait than a batch
takes. Who is turned away is turned away slowly: a refusal costs nearly what a bid costs, so that an answer at once to
whoever comes back at once would take the time of those who can be served.
"""

from __future__ import annotations

import asyncio
import logging
import re
from functools import partial
from secrets import randbelow
from typing import TYPE_CHECKING

from pydantic import ValidationError

from exchange import auctions
from exchange.api.doorway import Callers, answer, defect_response, problem_response
from exchange.errors import ExchangeError, Unavailable
from exchange.messages.market import BidMessage
from exchange.messages.shapes import IDENTIFIER

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import Message, Receive, Scope, Send

    from exchange.gate import Gate

logger = logging.getLogger(__name__)

BODY_LIMIT = 1024
"""Bytes; a bid has about a hundred. A longer body is left to the documented route."""

LOOKS, LOOKS_PRESSED = 6, 2
"""How many may look at a time, of the eight sessions that the database has for readers; and while bids queue up."""

PATIENCE_S = 2.0
"""How long a look waits for a place."""

LINGER_S = 1.0
"""How long it takes at most to be turned away, and at least half as long."""

_ALWAYS = ("/v1/events", "/v1/requests/", "/v1/audit/", "/health", "/static/")
"""Paths of looks that need no place: parked streams, the settling of what is unknown, and what reads no table."""

_is_identifier = re.compile(IDENTIFIER).fullmatch
_BEFORE, _BEHIND = "/v1/lots/", "/bids"


class SwiftBids:
    """An ASGI application in front of the documented one."""

    def __init__(self, documented: FastAPI) -> None:
        self._documented = documented
        self._gate: Gate = documented.state.gate
        self._callers: Callers = documented.state.callers
        self._places = asyncio.Semaphore(LOOKS)
        self._looking = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a plain bid here, everything else by the documented application."""
        if scope["type"] == "http":
            path: str = scope["path"]
            if scope["method"] == "POST":
                lot = path[len(_BEFORE) : -len(_BEHIND)]
                if path.startswith(_BEFORE) and path.endswith(_BEHIND) and _is_identifier(lot):
                    await self._bid(lot, scope, receive, send)
                    return
            elif scope["method"] in ("GET", "HEAD") and not path.startswith(_ALWAYS):
                await self._look(scope, receive, send)
                return
        await self._documented(scope, receive, send)

    async def _look(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let somebody look, when there is a place; the place is free again when the answer begins."""
        if self._gate.pressed and self._looking >= LOOKS_PRESSED:
            await _linger()
            if self._gate.pressed and self._looking >= LOOKS_PRESSED:
                await _turn_away("looks.pressed", "bids go before looks now", scope, receive, send)
                return
        try:
            await asyncio.wait_for(self._places.acquire(), PATIENCE_S)
        except TimeoutError:
            await _turn_away("looks.full", "too many look at once", scope, receive, send)
            return
        self._looking += 1
        held = True

        def leave() -> None:
            nonlocal held
            if held:
                held = False
                self._looking -= 1
                self._places.release()

        async def answering(message: Message) -> None:
            leave()
            await send(message)

        try:
            await self._documented(scope, receive, answering)
        finally:
            leave()

    async def _bid(self, lot: str, scope: Scope, receive: Receive, send: Send) -> None:
        if self._gate.full:
            await _linger()
            if self._gate.full:
                await _turn_away("gate.full", "too many acts are waiting", scope, receive, send)
                return
        secret = _bearer(scope["headers"])
        parts = [await receive()]
        body: bytes = parts[0].get("body", b"")
        while parts[-1].get("more_body") and len(body) <= BODY_LIMIT:
            parts.append(await receive())
            body += parts[-1].get("body", b"")
        try:
            message = BidMessage.model_validate_json(body[: BODY_LIMIT + 1])
        except ValidationError:
            secret = None
        if secret is None or len(body) > BODY_LIMIT:
            await self._documented(scope, _again(parts, receive), send)
            return
        quota = None
        try:
            caller = (await self._callers.known(secret)).caller
            quota = self._callers.quotas.spend(caller.party)
            quota.require()
            reply = await self._gate.perform(
                auctions.place_bids,
                auctions.PlaceBid(lot, message.price_fen),
                caller=caller,
                key=message.client_bid_id,
                gone=partial(_hung_up, receive),
            )
        except ExchangeError as problem:
            response = problem_response(problem)
        except Exception:
            logger.exception("a bid failed by a defect")
            response = defect_response()
        else:
            if not (reply.refused or reply.repeated):
                await _acknowledge(reply.json(), quota.headers(), send)
                return
            response = answer(reply)
        if quota is not None:
            response.raw_headers += quota.headers()
        await response(scope, receive, send)


async def _acknowledge(body: bytes, headers: list[tuple[bytes, bytes]], send: Send) -> None:
    """As `answer` answers a bid that was admitted now, without the cost of a response object."""
    headers += ((b"content-length", b"%d" % len(body)), (b"content-type", b"application/json"))
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _hung_up(receive: Receive) -> bool:
    """Whether the caller did: uvicorn notes it on the object whose method `receive` is."""
    return bool(getattr(getattr(receive, "__self__", None), "disconnected", False))


async def _linger() -> None:
    """Wait between half of `LINGER_S` and all of it, each caller another time."""
    await asyncio.sleep(LINGER_S * (500 + randbelow(500)) / 1000)


async def _turn_away(code: str, detail: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Say that there is no room, and to come back in one to three seconds: not all in the same one."""
    await problem_response(Unavailable(code, detail, retry_after_s=1 + randbelow(3)))(scope, receive, send)


def _bearer(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The key of a request whose headers are as a plain bid has them: bearer, JSON said to be JSON, not signed, without an expiry."""
    secret = None
    json = False
    for name, value in headers:
        if name == b"authorization":
            secret = value[7:].decode("latin-1") if value[:7] == b"Bearer " else None
        elif name == b"content-type":
            json = value == b"application/json"
        elif name in (b"signature-input", b"request-expires"):
            return None
    return secret if json else None


def _again(parts: list[Message], receive: Receive) -> Receive:
    """A `receive` that gives what was read already, then what follows."""
    told = iter(parts)

    async def again() -> Message:
        for part in told:
            return part
        return await receive()

    return again
