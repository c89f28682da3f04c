"""What every answer of the API has beside its own: the caller's quota, and a name for each state of what was read."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from exchange.api.doorway import Quota

Header = tuple[bytes, bytes]


class Conventions:
    """An ASGI application around the routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, with RateLimit headers where a caller was known; JSON that is read with an ETag, or 304 for one that
        the reader has.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun: Message | None = None

        async def answering(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                quota: Quota | None = scope.get("state", {}).get("quota")
                if quota is not None:
                    message["headers"] = [*message["headers"], *quota.headers()]
                if (
                    scope["method"] == "GET"
                    and message["status"] == 200
                    and _is_plain_json(message["headers"])
                ):
                    begun = message
                    return
            elif begun is not None:
                start, begun = begun, None
                if not message.get("more_body"):
                    start, message = _tagged(start, message, scope["headers"])
                await send(start)
            await send(message)

        await self._app(scope, receive, answering)


def _is_plain_json(headers: list[Header]) -> bool:
    """Whether an answer is JSON and has no ETag of its own."""
    return (b"content-type", b"application/json") in headers and not any(
        name == b"etag" for name, _ in headers
    )


def _tagged(start: Message, body: Message, asked: list[Header]) -> tuple[Message, Message]:
    tag = b'"%b"' % sha256(body.get("body", b"")).hexdigest()[:32].encode()
    headers = [*start["headers"], (b"etag", tag)]
    if not any(name == b"cache-control" for name, _ in headers):
        headers.append((b"cache-control", b"private, no-cache"))
    known = [
        part.strip().removeprefix(b"W/")
        for name, value in asked
        if name == b"if-none-match"
        for part in value.split(b",")
    ]
    if tag not in known and b"*" not in known:
        return {**start, "headers": headers}, body
    kept = [(name, value) for name, value in headers if name not in (b"content-type", b"content-length")]
    return {**start, "status": 304, "headers": kept}, {**body, "body": b""}
