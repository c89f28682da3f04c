"""The hot path: a bid goes past FastAPI, straight to the gate; whatever is not plainly well formed takes the documented route.

The contract stays in OpenAPI (`exchange.api.market.place_bid`). Both ways share message, gate and answer, and a
test holds them to the same answers.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from exchange import auctions
from exchange.api.doorway import answer, authenticated, defect_response, problem_response
from exchange.errors import ExchangeError
from exchange.messages.market import BidMessage
from exchange.messages.shapes import IDENTIFIER

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import Message, Receive, Scope, Send

    from exchange.gate import Gate

logger = logging.getLogger(__name__)

BODY_LIMIT = 1024
"""Bytes; a bid has about a hundred. A longer body is left to the documented route."""

_is_identifier = re.compile(IDENTIFIER).fullmatch
_BEFORE, _BEHIND = "/v1/lots/", "/bids"


class SwiftBids:
    """An ASGI application in front of the documented one."""

    def __init__(self, documented: FastAPI) -> None:
        self._documented = documented
        self._gate: Gate = documented.state.gate
        self._callers: dict[str, Any] = documented.state.callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a plain bid here, everything else by the documented application."""
        if scope["type"] == "http" and scope["method"] == "POST":
            path: str = scope["path"]
            lot = path[len(_BEFORE) : -len(_BEHIND)]
            if path.startswith(_BEFORE) and path.endswith(_BEHIND) and _is_identifier(lot):
                await self._bid(lot, scope, receive, send)
                return
        await self._documented(scope, receive, send)

    async def _bid(self, lot: str, scope: Scope, receive: Receive, send: Send) -> None:
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
        try:
            caller = await authenticated(self._callers, self._gate, secret)
            reply = await self._gate.perform(
                auctions.place_bids,
                auctions.PlaceBid(lot, message.price_fen),
                caller=caller,
                key=message.client_bid_id,
            )
        except ExchangeError as problem:
            response = problem_response(problem)
        except Exception:
            logger.exception("a bid failed by a defect")
            response = defect_response()
        else:
            response = answer(reply)
        await response(scope, receive, send)


def _bearer(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The key of a request whose headers are as a plain bid has them: bearer, and JSON said to be JSON."""
    secret = None
    json = False
    for name, value in headers:
        if name == b"authorization":
            secret = value[7:].decode("latin-1") if value[:7] == b"Bearer " else None
        elif name == b"content-type":
            json = value == b"application/json"
    return secret if json else None


def _again(parts: list[Message], receive: Receive) -> Receive:
    """A `receive` that gives what was read already, then what follows."""
    told = iter(parts)

    async def again() -> Message:
        for part in told:
            return part
        return await receive()

    return again
