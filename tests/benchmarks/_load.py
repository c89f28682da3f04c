"""A small HTTP/1.1 load generator in a process of its own: keep-alive connections, one request at a time each."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import cast

import uvloop


class Connection(asyncio.Protocol):
    """One client: sends a bid, waits for the whole answer, sends the next until the time is up."""

    def __init__(
        self, bid: Callable[[], bytes], until: float, keep: list[bytes], arrivals: Arrivals | None
    ) -> None:
        self._bid, self._until, self._keep, self._arrivals = bid, until, keep, arrivals
        self._buffer = bytearray()
        self._awaited = 0
        self._sent = 0.0
        self.done = asyncio.get_running_loop().create_future()
        self.seconds: list[float] = []
        self.statuses: dict[str, int] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._next(time.perf_counter())

    def _next(self, now: float) -> None:
        if self._arrivals is not None:
            self._arrivals.free(self)
        elif now >= self._until:
            self.end()
        else:
            self.send(now)

    def send(self, since: float) -> None:
        """Bid, and count the time from `since` on."""
        self._sent = since
        self._transport.write(self._bid())

    def end(self) -> None:
        """No more bids."""
        self._transport.close()
        if not self.done.done():
            self.done.set_result(None)

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
        self._next(now)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))


class Arrivals:
    """An open loop: requests are due at fixed moments, whoever is free takes the next one, and its time counts from when
    it was due, so that a server that stalls is charged for all that would have come meanwhile."""

    def __init__(self, rate: float, begun: float, until: float) -> None:
        self._rate, self._begun, self._until = rate, begun, until
        self._number, self._over = 0, False
        self.idle: deque[Connection] = deque()
        self.due: deque[float] = deque()

    def begin(self) -> None:
        """Hand out what is due by now, and come back when the next one is."""
        now = time.perf_counter()
        while (at := self._begun + self._number / self._rate) <= min(now, self._until):
            self._number += 1
            if self.idle:
                self.idle.popleft().send(at)
            else:
                self.due.append(at)
        if at < self._until:
            asyncio.get_running_loop().call_later(max(0.0, at - now), self.begin)
        else:
            self._over = True
            for connection in self.idle:
                connection.end()

    def free(self, connection: Connection) -> None:
        """A connection has its answer."""
        if self.due:
            connection.send(self.due.popleft())
        elif self._over:
            connection.end()
        else:
            self.idle.append(connection)


async def load(
    ports: list[int],
    clients: int,
    seconds: float,
    keys: list[str],
    lot: str,
    first: int,
    batch: int = 1,
    kind: str = "application/json",
    rate: float | None = None,
) -> dict[str, object]:
    """Bid with `clients` connections, spread over `ports`, for `seconds`, `batch` bids a request; prices count upward from
    `first` over all. With `rate` so many requests are due a second, whatever becomes of those before."""
    loop = asyncio.get_running_loop()
    prices = itertools.count(first)
    keep: list[bytes] = []

    def bidder(key: str) -> Callable[[], bytes]:
        route = "bids" if batch == 1 else "bids:batch"
        head = f"POST /v1/lots/{lot}/{route} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: {kind}\r\nContent-Length: "

        def bid() -> bytes:
            bids = [f'{{"client_bid_id":"b-{n}","price_fen":"{n}"}}' for n in itertools.islice(prices, batch)]
            body = bids[0] if batch == 1 else f'{{"bids":[{",".join(bids)}]}}'
            return f"{head}{len(body)}\r\n\r\n{body}".encode()

        return bid

    begun = time.perf_counter()
    arrivals = None if rate is None else Arrivals(rate, begun + 0.5, begun + 0.5 + seconds)
    connections = []
    for n in range(clients):
        _, protocol = await loop.create_connection(
            lambda n=n: Connection(bidder(keys[n % len(keys)]), begun + seconds, keep, arrivals),  # type: ignore[misc]
            "127.0.0.1",
            ports[n % len(ports)],
        )
        connections.append(protocol)
    if arrivals is not None:
        arrivals.begin()
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
    os.nice(5)  # it shares the server's cores: whom it measures goes first, on either side of a ratio
    order = json.loads(sys.stdin.read())
    result = uvloop.run(load(**order))
    # Not by print: where PYTHONUNBUFFERED is set, it writes once, and drops what a pipe did not take.
    with open(1, "w", encoding="utf-8") as out:
        json.dump(result, out)
