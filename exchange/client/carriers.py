"""Who does the steps of a call: one carrier waits, the other awaits. Nothing is decided here."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar, assert_never

import httpx

from exchange.client.wire import Open, Piece, Rest, Send, Steps

T = TypeVar("T")

CONNECTIONS = 16
PIECE = 1 << 16
"""Bytes of a file that are sent at a time."""


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """One of many things that a walk comes by."""

    thing: T


Walk = Generator[Send | Rest | Open | Piece | Found[T], Any, None]
"""Steps that find one thing after the other."""


@cache
def _trust() -> ssl.SSLContext:
    """The authorities that an HTTPS connection trusts, read once in a process: that takes longer than many a call."""
    return httpx.create_ssl_context()


class Line:
    """Waits for each step. Safe for threads; brings its own connections, or uses those of the caller."""

    def __init__(self, http: httpx.Client | None = None) -> None:
        self._mine = http is None
        self._http = http or httpx.Client(verify=_trust(), limits=httpx.Limits(max_connections=CONNECTIONS))

    def close(self) -> None:
        """Let go of the connections, unless the caller brought them."""
        if self._mine:
            self._http.close()

    def carry(self, steps: Steps[T]) -> T:
        """Do all steps and give what they return, or raise what they raise."""
        try:
            step = next(steps)
            while True:
                try:
                    came = self._do(step)
                except httpx.TransportError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(came)
        except StopIteration as end:
            returned: T = end.value
            return returned
        finally:
            steps.close()

    def walk(self, steps: Walk[T]) -> Iterator[T]:
        """Do the steps as far as things are asked for, and give one thing after the other."""
        pieces: Iterator[bytes] = iter(())
        with ExitStack() as stack:
            stack.callback(steps.close)
            opened = stack.enter_context(ExitStack())
            try:
                step = next(steps)
                while True:
                    came: httpx.Response | bytes | None = None
                    try:
                        match step:
                            case Found():
                                yield step.thing
                            case Open():
                                opened.close()
                                came = opened.enter_context(
                                    self._http.stream(
                                        "GET", step.url, headers=step.headers, timeout=step.silence_s
                                    )
                                )
                                pieces = came.iter_raw()
                                if came.status_code != 200:
                                    came.read()
                            case Piece():
                                came = next(pieces, None)
                            case Send() | Rest():
                                came = self._do(step)
                            case _:  # pragma: no cover
                                assert_never(step)
                    except httpx.TransportError as error:
                        step = steps.throw(error)
                    else:
                        step = steps.send(came)
            except StopIteration:
                return

    def _do(self, step: Send | Rest) -> httpx.Response | None:
        if isinstance(step, Rest):
            time.sleep(step.seconds)
            return None
        if isinstance(step.content, Path):
            with step.content.open("rb") as file:
                return self._http.request(
                    step.method, step.url, params=step.params, content=file, headers=step.headers,
                    timeout=step.timeout_s,
                )  # fmt: skip
        if step.sink is None:
            return self._http.request(
                step.method, step.url, params=step.params, content=step.content, headers=step.headers,
                timeout=step.timeout_s,
            )  # fmt: skip
        with self._http.stream(
            step.method, step.url, params=step.params, headers=step.headers, timeout=step.timeout_s
        ) as response:
            taking = step.sink(response)
            if taking is None:
                response.read()
            else:
                with taking as take:
                    for piece in response.iter_raw():
                        take(piece)
            return response


class AsyncLine:
    """Awaits each step, on one event loop. Cancelling a call ends its steps where they are."""

    def __init__(self, http: httpx.AsyncClient | None = None) -> None:
        self._mine = http is None
        self._http = http or httpx.AsyncClient(
            verify=_trust(), limits=httpx.Limits(max_connections=CONNECTIONS)
        )

    async def close(self) -> None:
        """Let go of the connections, unless the caller brought them."""
        if self._mine:
            await self._http.aclose()

    async def carry(self, steps: Steps[T]) -> T:
        """As `Line.carry`."""
        try:
            step = next(steps)
            while True:
                try:
                    came = await self._do(step)
                except httpx.TransportError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(came)
        except StopIteration as end:
            returned: T = end.value
            return returned
        finally:
            steps.close()

    async def walk(self, steps: Walk[T]) -> AsyncIterator[T]:
        """As `Line.walk`."""
        pieces: AsyncIterator[bytes] | None = None
        async with AsyncExitStack() as stack:
            stack.callback(steps.close)
            opened = await stack.enter_async_context(AsyncExitStack())
            try:
                step = next(steps)
                while True:
                    came: httpx.Response | bytes | None = None
                    try:
                        match step:
                            case Found():
                                yield step.thing
                            case Open():
                                await opened.aclose()
                                came = await opened.enter_async_context(
                                    self._http.stream(
                                        "GET", step.url, headers=step.headers, timeout=step.silence_s
                                    )
                                )
                                pieces = came.aiter_raw()
                                if came.status_code != 200:
                                    await came.aread()
                            case Piece():
                                came = None if pieces is None else await anext(pieces, None)
                            case Send() | Rest():
                                came = await self._do(step)
                            case _:  # pragma: no cover
                                assert_never(step)
                    except httpx.TransportError as error:
                        step = steps.throw(error)
                    else:
                        step = steps.send(came)
            except StopIteration:
                return

    async def _do(self, step: Send | Rest) -> httpx.Response | None:
        if isinstance(step, Rest):
            await asyncio.sleep(step.seconds)
            return None
        if step.sink is None:
            return await self._http.request(
                step.method, step.url, params=step.params,
                content=_pieces(step.content) if isinstance(step.content, Path) else step.content,
                headers=step.headers, timeout=step.timeout_s,
            )  # fmt: skip
        async with self._http.stream(
            step.method, step.url, params=step.params, headers=step.headers, timeout=step.timeout_s
        ) as response:
            taking = step.sink(response)
            if taking is None:
                await response.aread()
            else:
                with taking as take:
                    async for piece in response.aiter_raw():
                        take(piece)
            return response


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:  # a local file, read a little at a time
        while piece := file.read(PIECE):
            yield piece
