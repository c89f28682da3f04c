"""A small HTTP/1.1 load generator in a process of its own: keep-alive connections, one request at a time each."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Callable

import uvloop


class Connection(asyncio.Protocol):
    """One client: sends a bid, waits for the whole answer, sends the next until the time is up."""

    def __init__(self, bid: Callable[[], bytes], until: float, keep: list[bytes]) -> None:
        self._bid, self._until, self._keep = bid, until, keep
        self._buffer = bytearray()
        self._awaited = 0
        self._sent = 0.0
        self.done = asyncio.get_running_loop().create_future()
        self.seconds: list[float] = []
        self.statuses: dict[str, int] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def _next(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._bid())  # type: ignore[attr-defined]  # a TCP transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) < self._awaited:
            return
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._buffer.lower().find(b"content-length:", 0, head)
        end = self._buffer.find(b"\r\n", at)
        length = int(self._buffer[at + 15 : end])
        if len(self._buffer) < head + 4 + length:
            self._awaited = head + 4 + length
            return
        self._awaited = 0
        now = time.perf_counter()
        status = self._buffer[9:12].decode()
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.seconds.append(now - self._sent)
        if len(self.seconds) % 50 == 1:
            self._keep.append(bytes(self._buffer[head + 4 :]))
        self._buffer = bytearray()
        if now >= self._until:
            self._transport.close()
            self.done.set_result(None)
        else:
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))


async def load(
    port: int, clients: int, seconds: float, keys: list[str], lot: str, first: int, batch: int = 1
) -> dict[str, object]:
    """Bid with `clients` connections for `seconds`, `batch` bids a request; prices count upward from `first` over all."""
    loop = asyncio.get_running_loop()
    prices = itertools.count(first)
    keep: list[bytes] = []

    def bidder(key: str) -> Callable[[], bytes]:
        route = "bids" if batch == 1 else "bids:batch"
        head = f"POST /v1/lots/{lot}/{route} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: "

        def bid() -> bytes:
            bids = [f'{{"client_bid_id":"b-{n}","price_fen":"{n}"}}' for n in itertools.islice(prices, batch)]
            body = bids[0] if batch == 1 else f'{{"bids":[{",".join(bids)}]}}'
            return f"{head}{len(body)}\r\n\r\n{body}".encode()

        return bid

    begun = time.perf_counter()
    connections = []
    for n in range(clients):
        _, protocol = await loop.create_connection(
            lambda n=n: Connection(bidder(keys[n % len(keys)]), begun + seconds, keep),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
        connections.append(protocol)
    await asyncio.gather(*(c.done for c in connections))
    took = time.perf_counter() - begun
    if batch > 1:
        keep = keep[:2]  # an answer has as many receipts as bids
    all_seconds = sorted(s for c in connections for s in c.seconds)
    statuses: dict[str, int] = {}
    for c in connections:
        for status, count in c.statuses.items():
            statuses[status] = statuses.get(status, 0) + count
    return {
        "rate": len(all_seconds) * batch / took,
        "p50_ms": 1000 * all_seconds[len(all_seconds) // 2],
        "p99_ms": 1000 * all_seconds[len(all_seconds) * 99 // 100],
        "statuses": statuses,
        "next": next(prices),
        "answers": [k.decode() for k in keep[:200]],
    }


if __name__ == "__main__":
    order = json.loads(sys.stdin.read())
    print(json.dumps(uvloop.run(load(**order))))
