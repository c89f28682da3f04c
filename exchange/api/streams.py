"""Routes of live events: the head of the log, a lot, and what concerns the caller's party."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials

from exchange import auctions, events
from exchange.api.doorway import CallerDep, Callers, GateDep, Named, bearer
from exchange.messages.shapes import WHOLE
from exchange.streams import HEAD, EventStream, Streams, Topic, require_replay

router = APIRouter(prefix="/v1", tags=["streams"])

EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "description": "Server-sent events (WHATWG HTML §9.2). The identifier of each is its place in the log.",
    }
}

LastSeen = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        description="The identifier of the event that you saw last: what came since is told first, and no snapshot.",
        pattern=WHOLE,
        examples=["1023"],
    ),
]


class Following(Response):
    """An answer that goes on."""

    media_type = "text/event-stream"

    def __init__(self, stream: EventStream) -> None:
        super().__init__()
        self._stream = stream

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve the stream."""
        await self._stream(scope, receive, send)


def streams_of(request: Request) -> Streams:
    """The one reader of this process."""
    streams: Streams = request.app.state.streams
    return streams


StreamsDep = Annotated[Streams, Depends(streams_of)]


@router.get("/events", response_class=StreamingResponse, responses=EVENTS)
async def follow_head(streams: StreamsDep) -> Response:
    """Follow the head of the log: `head` with its size after each batch, and a `heartbeat` every few seconds."""
    return Following(EventStream(streams, HEAD, None, events.head_now))


@router.get("/lots/{lot}/events", response_class=StreamingResponse, responses=EVENTS)
async def follow_lot(
    lot: Named, gate: GateDep, streams: StreamsDep, last_event_id: LastSeen = None
) -> Response:
    """Follow a lot: first a `snapshot`, then each `bid`, `lot_closed` and `lot_settled`, bidders by code only.

    A `heartbeat` with the last sequence comes every `every_ms`; hear nothing for twice as long, and connect again with
    `Last-Event-ID`. `end` says why a stream ends: `slow` (you read too slowly), `stopping`.
    """
    await gate.read(auctions.lot, lot)
    topic: Topic = ("lot", lot)
    last = await _last(gate, last_event_id)
    return Following(EventStream(streams, topic, last, partial(events.lot_now, lot=lot)))


@router.get("/account/events", response_class=StreamingResponse, responses=EVENTS)
async def follow_account(
    request: Request,
    gate: GateDep,
    streams: StreamsDep,
    caller: CallerDep,
    bearing: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    last_event_id: LastSeen = None,
) -> Response:
    """Follow your party: first a `snapshot` of it and its money, then each entry of the log whose body it may see.

    As with a lot; a key that ends ends its streams (`unauthorized`).
    """
    callers: Callers = request.app.state.callers
    secret = "" if bearing is None else bearing.credentials
    stream = EventStream(
        streams,
        ("party", caller.party),
        await _last(gate, last_event_id),
        partial(events.party_now, caller=caller),
        partial(callers.known, secret),
    )
    return Following(stream)


async def _last(gate: GateDep, seen: str | None) -> int | None:
    if seen is None:
        return None
    require_replay((await gate.head()).edge.size, int(seen))
    return int(seen)
