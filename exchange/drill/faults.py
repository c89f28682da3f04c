"""A line that fails: a proxy on loopback between clients and an exchange, which delays, swallows and cuts on order."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Coroutine
from typing import Any, Literal, Self

Fault = Literal["none", "delay", "drop", "reset"]
"""`delay`: answers come late. `drop`: the request arrives, its answer never does, and the line stays open. `reset`: the
request arrives and the line is cut before its answer, which is when a client cannot know what happened."""

DELAY_S = 0.4


class FaultyLine:
    """Forwards connections to `port` and does to a part of the answers what `fault` says. A context manager."""

    def __init__(self, port: int, *, seed: int) -> None:
        self.fault: Fault = "none"
        self.part = 0.3
        self.port = 0
        self.struck = 0
        self._target = port
        self._chance = random.Random(seed)  # noqa: S311  # chooses what is struck, guards nothing
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: what its client says goes on, what comes back may be struck."""
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        ways: list[Coroutine[Any, Any, None]] = [self._pass(reader, back), self._return(there, writer)]
        tasks = [asyncio.ensure_future(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for end in (writer, back):
                end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)

    async def _return(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                if self.fault != "none" and self._chance.random() < self.part:
                    self.struck += 1
                    match self.fault:
                        case "delay":
                            await asyncio.sleep(DELAY_S)
                        case "drop":
                            continue
                        case "reset":
                            return
                writer.write(data)
