"""A crowd of clients in a process of its own: sends acts, sends them again under their identifiers, keeps what it was told.

Run as `python -m exchange.drill.load` with an `Order` as JSON on standard input. It says how it goes on standard output,
a line of JSON for each tenth of a second, ends when its phases are over or its standard input does, and then waits for
what is under way. Written to cost little beside the server that it drives: one small protocol object a client, and a
process that gives way to the server's, for a real crowd computes elsewhere.

What a client was told is a line of the journal, from which `promises` judges. It is written when the crowd has ended:
clients have disks of their own, and this one is the server's.

    A <TAB> identifier <TAB> answer     acknowledged: done, or refused on the record; the answer carries the receipt
    U <TAB> identifier                  unknown: no answer came in the client's patience
    W <TAB> identifier <TAB> answer     wrong: an answer that this act must never get, such as a 500
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import orjson

BIN_S = 0.1
"""The grain of what is reported."""

CLOSED = 0.0
"""The rate of a phase in which each client sends its next act when the last one was answered."""

_AGAIN = frozenset({"502", "503", "504"})
_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Phase:
    """How many clients act for how long, and how many acts come a second, whether or not the last were answered."""

    seconds: float
    clients: int
    rate: float = CLOSED


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who acts: by which key, and what: bids on a lot, money for a party, or a look at the lots."""

    kind: Literal["bid", "top_up", "browse"]
    key: str = field(repr=False)
    about: str


@dataclass(frozen=True, slots=True)
class Order:
    """What a crowd is to do. Client number n speaks as speaker n modulo their number, which ends its identifiers."""

    port: int
    speakers: list[Speaker]
    phases: list[Phase]
    journal: str
    first_price_fen: int
    step_fen: int
    attempt_s: float
    """After so long without an answer a client closes its connection and sends again."""
    patience_s: float
    """After so long it gives up: the outcome is unknown."""
    seed: int

    @classmethod
    def read(cls, text: bytes) -> Order:
        """Read an order back from JSON."""
        given = orjson.loads(text)
        given["speakers"] = [Speaker(**speaker) for speaker in given["speakers"]]
        given["phases"] = [Phase(**phase) for phase in given["phases"]]
        return cls(**given)

    def key_of(self, identifier: str) -> str:
        """The key under which an identifier of this crowd was used."""
        return self.speakers[int(identifier.rpartition("-")[2])].key

    def json(self) -> bytes:
        """The order as JSON; it carries keys, so it goes through a pipe and never into arguments."""
        return orjson.dumps(asdict(self))


@dataclass(slots=True)
class Bin:
    """What happened in one tenth of a second."""

    acknowledged: int = 0
    shed: int = 0
    timed_out: int = 0
    offered: int = 0
    dropped: int = 0
    browsed: int = 0
    waits_ms: list[float] = field(default_factory=list)

    def json(self, number: int) -> dict[str, Any]:
        """One line of progress; the waits as their median, 99th of a hundred, and longest."""
        waits = sorted(self.waits_ms) or [0.0]
        return {
            "bin": number,
            "acknowledged": self.acknowledged,
            "shed": self.shed,
            "timed_out": self.timed_out,
            "offered": self.offered,
            "dropped": self.dropped,
            "browsed": self.browsed,
            "p50_ms": round(waits[len(waits) // 2], 1),
            "p99_ms": round(waits[len(waits) * 99 // 100], 1),
            "max_ms": round(waits[-1], 1),
        }


class Client(asyncio.Protocol):
    """One client: at most one request at a time, on a connection of its own that it opens again when it is lost."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self.crowd = crowd
        self.number = number
        self.speaker = crowd.order.speakers[number]
        self.identifier = ""
        self._request = b""
        self._transport: asyncio.Transport | None = None
        self._connecting = False
        self._buffer = b""
        self._begun = 0.0
        self._pause_s = _PAUSE_S
        self._late: asyncio.TimerHandle | None = None
        self._resting: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        return not self.identifier

    def begin(self, identifier: str, request: bytes, begun: float) -> None:
        """Send an act, and go on until it is answered or given up; `begun` is when its sender wanted it."""
        self.identifier, self._request, self._begun, self._pause_s = identifier, request, begun, _PAUSE_S
        self._send()

    def _send(self) -> None:
        if self._transport is not None and self._transport.is_closing():
            return  # it goes on when the line is seen to be gone
        if self._transport is not None:
            self._buffer = b""
            self._late = self.crowd.loop.call_later(self.crowd.order.attempt_s, self._time_out)
            self._transport.write(self._request)
        elif not self._connecting:
            self._connecting = True
            self.crowd.keep(self.crowd.loop.create_task(self._connect()))

    async def _connect(self) -> None:
        try:
            await asyncio.wait_for(
                self.crowd.loop.create_connection(lambda: self, "127.0.0.1", self.crowd.order.port),
                self.crowd.order.attempt_s,
            )
        except (OSError, TimeoutError):
            self._connecting, self._transport = False, None  # it may have been made, and closed since
            self._rest()
        else:
            self._connecting = False
            if self.identifier:
                self._send()

    def _time_out(self) -> None:
        self.crowd.bin.timed_out += 1
        if self._transport is not None:
            self._transport.abort()  # what comes later on this line nobody hears

    def _rest(self, asked_s: float = 0.0) -> None:
        """Wait a little and send the same again; after the client's patience give it up."""
        crowd = self.crowd
        if self.idle:
            return
        if crowd.loop.time() - self._begun >= crowd.order.patience_s:
            self._end(b"U\t%b\n" % self.identifier.encode())
            return
        pause_s = self._pause_s * (1 + crowd.chance.random() / 2)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self._resting = crowd.loop.call_later(max(pause_s, asked_s), self._again, self.identifier)

    def _again(self, identifier: str) -> None:
        self._resting = None
        if self.identifier == identifier:
            self._send()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(
            asyncio.Transport, transport
        )  # a TCP one; uvloop's is registered under no name

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._late is not None:
            self._late.cancel()
            self._late = None
            self._rest()
        elif self.identifier and self._resting is None:  # sent twice, it would be answered twice
            self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._buffer.lower().find(b"content-length:", 0, head)
        length = int(self._buffer[at + 15 : self._buffer.find(b"\r\n", at)]) if at >= 0 else 0
        if len(self._buffer) < head + 4 + length or self._late is None:
            return
        self._late.cancel()
        self._late = None
        self._answered(
            self._buffer[9:12].decode(), self._buffer[:head], self._buffer[head + 4 : head + 4 + length]
        )

    def _answered(self, status: str, head: bytes, body: bytes) -> None:
        crowd = self.crowd
        if status in _AGAIN:
            crowd.bin.shed += 1
            at = head.lower().find(b"retry-after:")
            asked = head[at + 12 : (head + b"\r\n").find(b"\r\n", at)].strip() if at >= 0 else b"0"
            self._rest(float(asked) if asked.isdigit() else 0.0)
        elif status == "200" and self.speaker.kind == "browse":
            crowd.bin.browsed += 1
            self._end(b"")
        elif status == "201" or (status == "422" and b'"receipt":' in body):
            crowd.bin.acknowledged += 1
            crowd.bin.waits_ms.append(1000 * (crowd.loop.time() - self._begun))
            self._end(b"A\t%b\t%b\n" % (self.identifier.encode(), body))
        else:
            self._end(
                b"W\t%b\t%b %b\n" % (self.identifier.encode(), status.encode(), body.replace(b"\n", b" "))
            )

    def _end(self, line: bytes) -> None:
        self.identifier = ""
        self.crowd.journal.append(line)
        self.crowd.ended(self)

    def give_up(self) -> None:
        """Hang up; what is not answered by now stays unknown."""
        if not self.idle:
            self._end(b"U\t%b\n" % self.identifier.encode())
        if self._late is not None:
            self._late.cancel()
            self._late = None
        if self._transport is not None:
            self._transport.abort()


class Crowd:
    """All clients, and the acts that come: one after the other by each, or by the clock whatever the answers do."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.journal: list[bytes] = []
        self.loop = asyncio.get_running_loop()
        self.chance = random.Random(order.seed)  # noqa: S311  # spreads retries, guards nothing
        self.bin = Bin()
        self.clients: list[Client] = []
        self._idle: list[Client] = []
        self._arrivals: deque[tuple[float, int]] = deque()  # when, and how many
        self._phase: Phase | None = None
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._steps: Iterator[int] = itertools.count(order.first_price_fen, order.step_fen)
        self._name = f"load-{order.seed:x}"
        self._over = asyncio.Event()
        self._quiet = asyncio.Event()

    def keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _quiet_within(self, seconds: float) -> None:
        self._quiet.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._quiet.wait(), seconds)

    def ended(self, client: Client) -> None:
        """A client is free: it takes what waits, or begins by itself, or rests."""
        if self._phase is None:
            if all(other.idle for other in self.clients):
                self._quiet.set()
            return
        if self._phase.rate == CLOSED:
            if len(self.clients) - len(self._idle) <= self._phase.clients:
                self._begin(client, self.loop.time())
            else:
                self._idle.append(client)
        elif self._arrivals:
            came, count = self._arrivals.popleft()
            if count > 1:
                self._arrivals.appendleft((came, count - 1))
            self._begin(client, came)
        else:
            self._idle.append(client)

    def _begin(self, client: Client, begun: float) -> None:
        identifier = f"{self._name}-{next(self._numbers)}-{client.number}"
        client.begin(identifier, self._request(client.speaker, identifier), begun)

    def _request(self, speaker: Speaker, identifier: str) -> bytes:
        match speaker.kind:
            case "bid":
                path = f"/v1/lots/{speaker.about}/bids"
                body = f'{{"client_bid_id":"{identifier}","price_fen":"{next(self._steps)}"}}'
            case "top_up":
                path = "/v1/top-ups"
                body = f'{{"party":"{speaker.about}","amount_fen":"100","bank_reference":"{identifier}"}}'
            case "browse":
                return f"GET /v1/lots HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {speaker.key}\r\n\r\n".encode()
        return (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {speaker.key}\r\nIdempotency-Key: {identifier}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    async def run(self) -> None:
        """All phases; then let what is under way come to its end."""
        begun = self.loop.time()
        reporting = self.loop.create_task(self._report(begun))
        for phase in self.order.phases:
            if self._over.is_set():
                break
            await self._play(phase)
        self._phase = None
        if not all(client.idle for client in self.clients):
            await self._quiet_within(self.order.patience_s + self.order.attempt_s)
        for client in self.clients:
            client.give_up()
        reporting.cancel()
        await asyncio.gather(reporting, return_exceptions=True)

    async def _play(self, phase: Phase) -> None:
        self._phase = phase
        while len(self.clients) < phase.clients:
            client = Client(self, len(self.clients) % len(self.order.speakers))
            self.clients.append(client)
            self._idle.append(client)
        if phase.rate == CLOSED:
            for _ in range(min(phase.clients, len(self._idle))):
                self._begin(self._idle.pop(), self.loop.time())
            await self._wait(phase.seconds)
            return
        begun = before = self.loop.time()
        due = 0.0
        while (now := self.loop.time()) < begun + phase.seconds and not self._over.is_set():
            due += (now - before) * phase.rate
            before = now
            self._arrive(int(due), now)
            due -= int(due)
            await asyncio.sleep(0.005)
        self._arrivals.clear()

    def _arrive(self, count: int, now: float) -> None:
        """So many acts are wanted now. Who finds no client free waits, and goes away after an attempt's time."""
        self.bin.offered += count
        while self._arrivals and self._arrivals[0][0] < now - self.order.attempt_s:
            self.bin.dropped += self._arrivals.popleft()[1]
        for _ in range(min(count, len(self._idle))):
            self._begin(self._idle.pop(), now)
            count -= 1
        if count:
            self._arrivals.append((now, count))

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)

    def end(self) -> None:
        """Begin nothing more."""
        self._over.set()
        self._phase = None

    async def _report(self, begun: float) -> None:
        """Say each tenth of a second what happened in it, and on the clock of all processes when it began."""
        print(orjson.dumps({"began_s": time.monotonic()}).decode(), flush=True)
        for number in itertools.count():
            await asyncio.sleep(max(0.0, begun + (number + 1) * BIN_S - self.loop.time()))
            done, self.bin = self.bin, Bin()
            print(orjson.dumps(done.json(number)).decode(), flush=True)


async def play(order: Order) -> list[bytes]:
    """Do what was ordered, until it is done or standard input ends; gives the journal."""
    crowd = Crowd(order)
    crowd.loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(0, 64) else _hang_up(crowd))
    await crowd.run()
    return crowd.journal


def _hang_up(crowd: Crowd) -> None:
    crowd.loop.remove_reader(sys.stdin.fileno())
    crowd.end()


if __name__ == "__main__":
    import uvloop

    os.nice(5)
    ordered = Order.read(sys.stdin.buffer.readline())
    kept = uvloop.run(play(ordered))
    with Path(ordered.journal).open("ab") as journal:
        journal.writelines(kept)
