"""Server-sent events: one reader of the log in a process tells all who follow, a lot, a party or the head.

- An event's identifier is its place in the log. Whoever comes back with it is told what it missed, from the log, and
  then what is new: each event once, in order, over disconnects, restarts and other processes.
- However many follow, the log is read once; its text for one topic is made once.
- Nobody is waited for. Who reads too slowly is dropped with a notice, and may come back with what it saw last.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from exchange import events
from exchange.errors import Conflict, ExchangeError, Unavailable
from exchange.gate import Gate
from ledger import log

HEARTBEAT_S = 5.0
POLL_S = 0.25
"""How soon a batch of another process on the same database is told."""

PAGE = 1000
"""Entries that are read at a time."""

PACE_S = 0.02
WRITE_S = 0.0002
"""Rounds are as far apart as `PACE_S` and this for each follower: a crowd gets more events in each write."""

REPLAY_LIMIT = 200_000
"""How many entries back a follower may come back from; whoever was away longer takes a fresh snapshot."""

QUEUE_LIMIT = 512
"""Rounds that may wait for one follower."""

BYTES_LIMIT = 1 << 20
"""Bytes that may wait for one follower."""

PATIENCE_S = 20.0
"""How long the notice waits for one that was dropped to read it."""

FOLLOWERS_LIMIT = 5_000

Topic = tuple[Literal["head", "lot", "party"], str]
HEAD: Topic = ("head", "")

logger = logging.getLogger(__name__)


def frame(name: str, data: bytes, index: int | None = None) -> bytes:
    """One event as it is sent (WHATWG HTML §9.2.6)."""
    place = b"" if index is None else b"id: %d\n" % index
    return b"event: %b\n%bdata: %b\n\n" % (name.encode(), place, data)


class Round(NamedTuple):
    """What one topic is told at once: each event's index with its text, and all texts together."""

    parts: list[tuple[int, bytes]]
    text: bytes


@dataclass(slots=True, eq=False)
class Follower:
    """One who listens; `start` is the first entry that it will be told of."""

    topic: Topic
    start: int
    rounds: deque[Round] = field(default_factory=deque)
    waiting_bytes: int = 0
    over: str | None = None
    """Why the stream ends: "slow", "stopping", "unauthorized", "unavailable", "gone"."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    patience: asyncio.Timeout | None = None

    def tell(self, one: Round) -> None:
        """Put a round behind those that wait; drop the follower where too many do."""
        if self.over is not None:
            return
        if len(self.rounds) >= QUEUE_LIMIT or self.waiting_bytes + len(one.text) > BYTES_LIMIT:
            self.end("slow")
            return
        self.rounds.append(one)
        self.waiting_bytes += len(one.text)
        self.wake.set()

    def take(self, skip: int) -> bytes:
        """The texts that wait, without what a snapshot of the first `skip` entries has shown already."""
        texts = []
        while self.rounds:
            one = self.rounds.popleft()
            self.waiting_bytes -= len(one.text)
            if one.parts[0][0] >= skip:
                texts.append(one.text)
            else:
                texts += [text for index, text in one.parts if index >= skip]
        return texts[0] if len(texts) == 1 else b"".join(texts)

    def end(self, why: str) -> None:
        """End the stream; nothing that waits is sent any more."""
        if self.over is None:
            self.over = why
            self.rounds.clear()
            if self.patience is not None:
                self.patience.reschedule(asyncio.get_running_loop().time() + PATIENCE_S)
            self.wake.set()


@dataclass(slots=True)
class Streams:
    """All who follow this process; `stopping` ends them."""

    gate: Gate
    stopping: asyncio.Event
    heartbeat_s: float = field(default_factory=lambda: HEARTBEAT_S)
    _followers: dict[Topic, set[Follower]] = field(default_factory=dict)
    _count: int = 0
    _position: int = 0
    """Entries before it were told."""
    _horizon: int = 0
    """Entries before it were told or are being read for those who followed when the reading began."""
    _task: asyncio.Task[None] | None = None
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def follow(self, topic: Topic) -> AsyncIterator[Follower]:
        """Listen to a topic from now on; Unavailable where too many do."""
        if self._count >= FOLLOWERS_LIMIT:
            raise Unavailable("streams.full", f"{self._count} follow this process", retry_after_s=5)
        self._count += 1
        follower: Follower | None = None
        try:
            async with self._starting:
                if self._task is None or self._task.done():
                    head = await self.gate.head()
                    self._position = self._horizon = head.edge.size
                    self._task = asyncio.create_task(self._serve(), name="streams")
            follower = Follower(topic, self._horizon)
            self._followers.setdefault(topic, set()).add(follower)
            yield follower
        finally:
            self._count -= 1
            if follower is not None:
                among = self._followers[topic]
                among.discard(follower)
                if not among:
                    del self._followers[topic]

    async def _serve(self) -> None:
        leave = self.gate.subscribe(lambda _size: self._wake.set())
        loop = asyncio.get_running_loop()
        beat_s = loop.time() + self.heartbeat_s
        try:
            while self._count:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), POLL_S)
                self._wake.clear()
                if self.stopping.is_set():
                    break
                try:
                    await self._look()
                except ExchangeError as problem:
                    logger.warning("the log could not be read for followers: %s", problem)
                except Exception:
                    logger.exception("the log could not be told; it is tried again")
                    await asyncio.sleep(1)
                if loop.time() >= beat_s:
                    beat_s = loop.time() + self.heartbeat_s
                    self._beat()
                await asyncio.sleep(PACE_S + WRITE_S * self._count)
        finally:
            leave()
            if self.stopping.is_set():
                for among in self._followers.values():
                    for follower in among:
                        follower.end("stopping")

    async def _look(self) -> None:
        """Read what is new, once, and tell it."""
        head = await self.gate.head()
        grown = head.edge.size > self._position
        while self._position < head.edge.size:
            upto = min(head.edge.size, self._position + PAGE)
            parties = [name for kind, name in self._followers if kind == "party"]
            self._horizon = upto
            found: list[events.Event] = []
            if parties or any(kind == "lot" for kind, _ in self._followers):
                found = await self.gate.read(events.between, self._position, upto, parties)
            said: dict[Topic, list[tuple[int, bytes]]] = {}
            for event in found:
                lot = ("lot", event.lot or "")
                if event.shown is not None and lot in self._followers:
                    said.setdefault(lot, []).append(
                        (event.index, frame(event.kind, event.for_lot(), event.index))
                    )
                for party in event.parties:
                    said.setdefault(("party", party), []).append(
                        (event.index, frame(event.kind, event.for_party(), event.index))
                    )
            for topic, parts in said.items():
                self._tell(topic, parts)
            self._position = upto
        if grown and HEAD in self._followers:
            self._tell(HEAD, [(head.edge.size, head_frame(head))])

    def _tell(self, topic: Topic, parts: list[tuple[int, bytes]]) -> None:
        one = Round(parts, b"".join(text for _, text in parts))
        for follower in self._followers.get(topic, ()):
            # Who came while this was read reads it for itself.
            if follower.start <= self._position:
                follower.tell(one)

    def _beat(self) -> None:
        text = self.heartbeat(self._position - 1)
        one = Round([(self._position, text)], text)
        for among in self._followers.values():
            for follower in among:
                if follower.start <= self._position:
                    follower.tell(one)

    def heartbeat(self, told: int | None = None) -> bytes:
        """A sign of life, with the last sequence; with `told`, all up to it was told."""
        data = orjson.dumps(
            {"sequence": str(self._position - 1), "every_ms": str(round(self.heartbeat_s * 1000))}
        )
        return frame("heartbeat", data, told)


def head_frame(head: log.Head) -> bytes:
    """The log's size and time as an event; its identifier is the size."""
    data = orjson.dumps({"size": str(head.edge.size), "time_us": str(head.time_us)})
    return frame("head", data, head.edge.size)


def require_replay(size: int, last: int) -> None:
    """Refuse to go on from where no log is, or from too far back.

    Conflict either way; a client that is told `stream.too_far` begins anew with a snapshot.
    """
    if last >= size:
        raise Conflict(
            "stream.ahead",
            f"you saw entry {last}, the log has {size}",
            field="Last-Event-ID",
            rule="an event's identifier is its place in the log, which only grows",
            remedy="compare checkpoints first; then follow without Last-Event-ID",
        )
    if size - last > REPLAY_LIMIT:
        raise Conflict(
            "stream.too_far",
            f"entry {last} is {size - last} entries back",
            field="Last-Event-ID",
            rule=f"events are told again from at most {REPLAY_LIMIT} entries back",
            remedy="follow without Last-Event-ID: a fresh snapshot comes first",
        )


@dataclass(slots=True)
class EventStream:
    """The answer to one who follows: an ASGI application that snapshots or replays, then tells what is new.

    `last` is the identifier that the follower came back with, None for a first time: then `snapshot` comes first.
    `allowed` is asked with each heartbeat.
    """

    streams: Streams
    topic: Topic
    last: int | None
    snapshot: Callable[[AsyncSession], Awaitable[tuple[int, Any]]]
    allowed: Callable[[], Awaitable[object]] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve until the follower goes, is dropped, or the process stops."""
        async with self.streams.follow(self.topic) as follower:
            watching = asyncio.create_task(_watch(receive, follower))
            try:
                async with asyncio.timeout(None) as follower.patience:
                    await self._serve(follower, send)
            except TimeoutError:
                logger.info("a follower of %s read nothing more and was cut off", self.topic)
            finally:
                watching.cancel()

    async def _serve(self, follower: Follower, send: Any) -> None:
        gate = self.streams.gate
        skip = 0
        if self.topic == HEAD:
            first = head_frame(await gate.head())
        elif self.last is None:
            skip, view = await gate.read(self.snapshot)
            await gate.confirm(skip)
            first = frame("snapshot", orjson.dumps({"sequence": str(skip - 1), **view}), skip - 1)
        else:
            first = b""
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]

        async def write(text: bytes, *, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": text, "more_body": more})

        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await write(self.streams.heartbeat() + first)
        try:
            if self.last is not None and self.topic != HEAD:
                async for text in self._missed(self.last + 1, follower):
                    await write(text)
        except ExchangeError as problem:
            logger.warning("what a follower missed could not be read: %s", problem)
            follower.end("unavailable")
        checked_s = asyncio.get_running_loop().time()
        while follower.over is None:
            await follower.wake.wait()
            follower.wake.clear()
            text = follower.take(skip)
            now_s = asyncio.get_running_loop().time()
            if self.allowed is not None and now_s - checked_s >= self.streams.heartbeat_s:
                checked_s = now_s
                try:
                    await self.allowed()
                except Unavailable:
                    pass  # asked again with the next heartbeat
                except ExchangeError:
                    follower.end("unauthorized")
            if text and follower.over is None:
                await write(text)
        if follower.over != "gone":
            await write(frame("end", orjson.dumps({"reason": follower.over})), more=False)

    async def _missed(self, at: int, follower: Follower) -> AsyncIterator[bytes]:
        kind, name = self.topic
        gate = self.streams.gate
        while at < follower.start and follower.over is None:
            upto = min(follower.start, at + PAGE)
            found = await gate.read(events.between, at, upto, [name] if kind == "party" else [])
            texts = []
            for event in found:
                if kind == "lot" and event.lot == name:
                    texts.append(frame(event.kind, event.for_lot(), event.index))
                elif kind == "party" and name in event.parties:
                    texts.append(frame(event.kind, event.for_party(), event.index))
            if texts:
                yield b"".join(texts)
            at = upto


async def _watch(receive: Any, follower: Follower) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    follower.end("gone")
