"""A line that fails: a proxy on loopback between clients and an exchange, which strikes HTTP requests on order.

What befalls a request is drawn by a seed; when, is up to whoever sends. Requests and answers are taken whole; a stream, and
what has no stated length, passes as it comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import threading
from collections.abc import Coroutine
from typing import Any, Literal, NamedTuple, Self, assert_never, get_args

Strike = Literal["delay", "drop", "reset", "lose", "late", "close", "duplicate", "reorder"]
"""`delay`: the answer comes late. `drop`: it never comes, and the line stays open. `reset`: the request takes effect, and the
line is cut before its answer, which is when a client cannot know what happened. `lose`: the line is cut before the request
arrives. `late`: the line is cut, and the request arrives some time after that. `close`: the line is cut behind the answer.
`duplicate`: the request arrives twice, on two lines. `reorder`: it waits until others that were sent later have arrived."""

Fault = Literal["none", "any"] | Strike
"""What is struck with: nothing, each of them in turn by chance, or one."""

DELAY_S = 0.4

_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_PIECE = 1 << 16
_HEAD_LIMIT = 1 << 20

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Message(NamedTuple):
    """A request or an answer; `whole` unless its end is not known from its head. Nothing at the end of a line."""

    data: bytes
    whole: bool = True


class FaultyLine:
    """Forwards connections to `port` and does to a part of the requests what `fault` says. A context manager."""

    def __init__(self, port: int, *, seed: int, delay_s: float = DELAY_S) -> None:
        self.fault: Fault = "none"
        self.part = 0.3
        self.port = 0
        self.struck = 0
        self._delay_s = delay_s
        self._target = port
        self._chance = random.Random(seed)  # noqa: S311  # chooses what is struck, guards nothing
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._passed = asyncio.Condition()
        self._arrived = 0
        self._ghosts: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._loop.close()

    def settle(self) -> None:
        """Return when every request that was held back has arrived."""

        async def all_of_them() -> None:
            while self._ghosts:
                await asyncio.wait(self._ghosts)

        asyncio.run_coroutine_threadsafe(all_of_them(), self._loop).result()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._join, "127.0.0.1", 0, limit=_HEAD_LIMIT)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: its requests, one after the other, until either end has enough."""
        line: Line | None = None
        coming = asyncio.ensure_future(_message(reader))
        try:
            line = await self._lay()
            while (request := await coming).data:
                if not request.whole:
                    line[1].write(request.data)
                    await _both(_pass(reader, line[1]), _pass(line[0], writer))
                    return
                coming = asyncio.ensure_future(_message(reader))
                if not await self._carry(request.data, line, writer, coming):
                    return
        except OSError:
            pass
        finally:
            coming.cancel()
            writer.transport.abort()
            if line is not None:
                line[1].transport.abort()

    async def _carry(
        self, request: bytes, line: Line, writer: asyncio.StreamWriter, coming: asyncio.Future[_Message]
    ) -> bool:
        """Let a request and its answer through, or do to them what chance has drawn; whether the line goes on."""
        strike = self._drawn()
        match strike:
            case "lose":
                return False
            case "late":
                self._haunt(request)
                return False
            case "duplicate":
                self._haunt(request)
            case "reorder":
                await self._wait_for_others()
            case None | "delay" | "drop" | "reset" | "close":
                pass
            case _:  # pragma: no cover
                assert_never(strike)
        asked = asyncio.ensure_future(self._ask(request, line))
        await asyncio.wait({asked, coming}, return_when=asyncio.FIRST_COMPLETED)
        if not asked.done() and not coming.result().data:
            asked.cancel()  # the client hung up, and so does its line
            return False
        answer = await asked
        if strike == "drop":
            return bool(answer.data)
        if strike == "reset" or not answer.data:
            return False
        if strike == "delay":
            await asyncio.sleep(self._delay_s)
        writer.write(answer.data)
        if not answer.whole:
            await _both(_pass(line[0], writer), _gone(coming))
            return False
        await writer.drain()
        return strike != "close"

    def _drawn(self) -> Strike | None:
        if self.fault == "none" or self._chance.random() >= self.part:
            return None
        self.struck += 1
        return self._chance.choice(get_args(Strike)) if self.fault == "any" else self.fault

    async def _lay(self) -> Line:
        return await asyncio.open_connection("127.0.0.1", self._target, limit=_HEAD_LIMIT)

    async def _ask(self, request: bytes, line: Line) -> _Message:
        """Deliver a request, and read its answer."""
        line[1].write(request)
        await line[1].drain()
        async with self._passed:
            self._arrived += 1
            self._passed.notify_all()
        return await _message(line[0], bodiless=request.startswith(b"HEAD "))

    async def _wait_for_others(self) -> None:
        """Until one to three other requests have arrived, or nobody sends any."""
        enough = self._arrived + self._chance.randint(1, 3)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._delay_s), self._passed:
                await self._passed.wait_for(lambda: self._arrived >= enough)

    def _haunt(self, request: bytes) -> None:
        """Deliver a request by itself, now or some time later; nobody hears its answer."""
        ghost = asyncio.ensure_future(self._arrive(request, self._chance.random() * self._delay_s))
        self._ghosts.add(ghost)
        ghost.add_done_callback(self._ghosts.discard)

    async def _arrive(self, request: bytes, after_s: float) -> None:
        await asyncio.sleep(after_s)
        with contextlib.suppress(OSError):
            line = await self._lay()
            try:
                await self._ask(request, line)
            finally:
                line[1].transport.abort()


async def _message(reader: asyncio.StreamReader, *, bodiless: bool = False) -> _Message:
    """The next request or answer on a line; empty where the line ends, even in the middle of it."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        if bodiless or head.startswith((b"HTTP/1.1 204", b"HTTP/1.1 304")):
            return _Message(head)
        if _CHUNKED.search(head):
            return _Message(head, whole=False)
        length = _LENGTH.search(head)
        if length is None:
            return _Message(head, whole=not head.startswith(b"HTTP/"))
        return _Message(head + await reader.readexactly(int(length[1])))
    except (asyncio.IncompleteReadError, OSError):
        return _Message(b"")


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Whatever comes, until it ends."""
    with contextlib.suppress(OSError):
        while data := await reader.read(_PIECE):
            writer.write(data)
            await writer.drain()


async def _gone(coming: asyncio.Future[_Message]) -> None:
    await asyncio.wait({coming})


async def _both(*ways: Coroutine[Any, Any, None]) -> None:
    """Until one of two ways ends, which ends the other."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
