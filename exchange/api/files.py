"""A product sent whole or as the one range that was asked for (RFC 9110 §14), in large pieces, and stopped between two of them.

While one piece is on its way the next is read, so the loop that serves the market never waits for a disk or a bucket.
"""

from __future__ import annotations

import asyncio
import logging
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from exchange.errors import ExchangeError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from exchange.shelves import Product

PIECE_BYTES: Final = 8 << 20
"""Large enough that what a piece costs beside its bytes does not count; small enough to be stopped soon."""

ASK_AGAIN_S: Final = 0.25
"""How long bytes flow before it is asked again whether they may."""

_RANGE: Final = re.compile(r"bytes=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes from `start` to before `end` of `size`; `partial` where less than all was asked for."""

    start: int
    end: int
    size: int
    partial: bool

    @property
    def length(self) -> int:
        """How many bytes that are."""
        return self.end - self.start


def asked_part(range_: str, if_range: str, etag: str, size: int) -> Part | None:
    """What a request wants of a file; None where its range lies beyond the end (416).

    A range counts while the file is the one that `If-Range` names; several ranges are answered with the whole, as is a
    header of another form (RFC 9110 §14.2 lets a server do so).
    """
    whole = Part(0, size, size, partial=False)
    found = _RANGE.fullmatch(range_)
    if found is None or (if_range and if_range != etag):
        return whole
    first, last = found.groups()
    if not first and not last:
        return whole
    if not first:  # the last so many bytes
        start, end = max(0, size - int(last)), size
        return None if not int(last) or not size else Part(start, end, size, partial=True)
    start, end = int(first), min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return whole
    return None if start >= size else Part(start, end, size, partial=True)


class Sent(Response):
    """A part of a product on its way. `may_go_on` is asked between pieces; what it raises stops the delivery, and the
    connection with it, so that nobody takes a part for the whole.
    """

    def __init__(
        self,
        product: Product,
        part: Part | None,
        name: str,
        cached: str,
        may_go_on: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._product = product
        self._part = part
        self._may_go_on = may_go_on
        headers = head(product, part, name, cached)
        status = 416 if part is None else 206 if part.partial else 200
        super().__init__(status_code=status, headers=headers, media_type=product.media_type)
        if part is not None:
            self.headers["content-length"] = str(part.length)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, and close the product in any case."""
        try:
            if self._part is None:
                await super().__call__(scope, receive, send)
            else:
                await self._send(self._part, receive, send)
        finally:
            self._product.close()

    async def _send(self, part: Part, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        loop = asyncio.get_running_loop()
        asked_s, at = loop.time(), part.start
        coming = self._read(at, part.end)
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            while at < part.end and not gone.done():
                piece = await coming
                at += len(piece)
                coming = self._read(at, part.end)
                await send({"type": "http.response.body", "body": piece, "more_body": at < part.end})
                if self._may_go_on is not None and loop.time() - asked_s > ASK_AGAIN_S and at < part.end:
                    await self._may_go_on()
                    asked_s = loop.time()
            if not part.length:
                await send({"type": "http.response.body", "body": b""})
        except ExchangeError as stopped:
            # The status went out with the first byte: what is left to say so is to end short of the announced length.
            logger.info("delivery of %s stopped at byte %s: %s", self._product.digest, at, stopped.code)
        finally:
            gone.cancel()
            coming.cancel()

    def _read(self, start: int, end: int) -> asyncio.Future[bytes | memoryview]:
        if start >= end:
            nothing: asyncio.Future[bytes | memoryview] = asyncio.get_running_loop().create_future()
            return nothing
        return asyncio.ensure_future(self._product.read(start, min(end, start + PIECE_BYTES)))


async def _disconnected(receive: Receive) -> None:
    """Return when nobody is there any more."""
    while (await receive())["type"] != "http.disconnect":
        pass


def head(product: Product, part: Part | None, name: str, cached: str) -> Mapping[str, str]:
    """The header fields of a product's answer."""
    digest = b64encode(bytes.fromhex(product.digest)).decode()
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": cached,
        "Content-Disposition": f'attachment; filename="{name}{product.suffix}"',
        "ETag": f'"{product.digest}"',
        "Repr-Digest": f"sha-256=:{digest}:",
    }
    if part is None:
        headers["Content-Range"] = f"bytes */{product.size_bytes}"
    elif part.partial:
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{part.size}"
    return headers
