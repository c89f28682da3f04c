"""HTTP as the exchange speaks it: bounded retries, problems as errors, nothing of the market, and no socket.

What the SDK does is written once, as steps: a generator that yields what is to be sent or waited for, is given what came
back, and returns what it made of it. A carrier does what is yielded, waiting or awaiting (`exchange.client.carriers`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from secrets import randbelow
from typing import Any, TypeVar

import httpx

from exchange.client.errors import ClientError, problem_of

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0
AGAIN = frozenset({502, 503, 504})
"""Answers that say nothing of the request itself: the same request is sent again."""

T = TypeVar("T")

Sink = Callable[[httpx.Response], AbstractContextManager[Callable[[bytes], object]] | None]
"""Where the body of an answer goes, piece by piece; None where it is to be read whole, as a problem is."""


@dataclass(frozen=True, slots=True)
class Send:
    """One request, once. A carrier gives its answer back, or throws the httpx.TransportError that came instead."""

    method: str
    url: str
    headers: Mapping[str, str]
    timeout_s: float
    params: Mapping[str, str] | None = None
    content: bytes | Path | None = None
    sink: Sink | None = None


@dataclass(frozen=True, slots=True)
class Open:
    """Begin to read an answer without an end. Gives it, its body read where its status is another than 200; closes the
    one that was open before. Of a walk alone."""

    url: str
    headers: Mapping[str, str]
    silence_s: float
    """After so long without a piece the connection counts as lost."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The next bytes of the answer that is open; None at its end."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Wait so long."""

    seconds: float


Steps = Generator[Send | Rest, Any, T]
"""What a call does, step by step, and returns in the end."""


class NoAnswer(ClientError):
    """The deadline passed; whether the last request arrived is not known. Never leaves the SDK."""


class Wire:
    """One server, one key, one deadline for each call with all its attempts. Safe for threads."""

    def __init__(self, url: str, key: str | None, timeout_s: float) -> None:
        address = httpx.URL(url)
        if address.scheme not in ("http", "https") or not address.host:
            raise ValueError(f"url: {url!r} is no http or https address; write http://HOST:PORT")
        if timeout_s <= 0:
            raise ValueError("timeout_s: a call needs time; give it more than 0 seconds")
        self.url = str(address).rstrip("/")
        self._base = address.raw_path.decode().rstrip("/")
        self.key = key
        self.timeout_s = timeout_s

    def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        sign: Callable[[str, Mapping[str, str], bytes], Mapping[str, str]] | None = None,
    ) -> Steps[httpx.Response]:
        """The first answer that is about the request; NoAnswer where none came before the deadline.

        Connection errors, timeouts and 502, 503, 504 are tried again, as late as `Retry-After` asks; `sign` gives each
        attempt its own signature.
        """
        patience = Patience(self.timeout_s)
        while True:
            signed = {} if sign is None else sign(self._base + path, headers or {}, content or b"")
            try:
                response: httpx.Response = yield Send(
                    method,
                    self.url + path,
                    {**self.authorization(), **(headers or {}), **signed},
                    patience.attempt_s(),
                    params,
                    content,
                )
            except httpx.TransportError as error:
                yield patience.rest(_said(error), cause=error)
                continue
            if response.status_code in AGAIN:
                yield patience.rest(f"answered {problem_in(response)['detail']!r}", response.headers)
                continue
            return response

    def once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | Path | None = None,
        sink: Sink | None = None,
    ) -> Steps[httpx.Response]:
        """One attempt whose body is taken (or sent) piece by piece, without the key; the caller tries again."""
        response: httpx.Response = yield Send(method, url, headers, self.timeout_s, params, content, sink)
        return response

    def authorization(self) -> dict[str, str]:
        """The header that carries the key; none without one."""
        return {} if self.key is None else {"Authorization": f"Bearer {self.key}"}


class Patience:
    """How long a call goes on trying: pauses double, with a little chance in them, up to the deadline."""

    def __init__(self, total_s: float) -> None:
        self._total_s = total_s
        self._pause_s = FIRST_PAUSE_S
        self.renew()

    def renew(self) -> None:
        """Count from now, after progress."""
        self._pause_s = FIRST_PAUSE_S
        self._deadline = time.monotonic() + self._total_s

    def attempt_s(self) -> float:
        """What one attempt may take: no more than half of the whole, so that a lost one can be repeated."""
        return max(0.001, min(self._total_s / 2, self._deadline - time.monotonic()))

    def rest(
        self, why: str, headers: httpx.Headers | None = None, cause: BaseException | None = None
    ) -> Rest:
        """The pause before the next attempt; NoAnswer where the deadline would pass meanwhile."""
        pause_s = self._pause_s * (1 + randbelow(1000) / 2000)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        asked = "" if headers is None else headers.get("Retry-After", "")
        if asked.isascii() and asked.isdecimal():
            pause_s = max(pause_s, int(asked))
        if time.monotonic() + pause_s >= self._deadline:
            raise NoAnswer(f"no answer within {self._total_s:g} s; last: {why}") from cause
        return Rest(pause_s)


def problem_in(response: httpx.Response) -> dict[str, Any]:
    """The problem object of an answer; one made of its status where the body is none (a proxy's page)."""
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if isinstance(problem, dict) and "detail" in problem:
        return problem
    return {"detail": f"HTTP {response.status_code} {response.reason_phrase}"}


def expect(response: httpx.Response, *statuses: int) -> httpx.Response:
    """The response where its status is one of `statuses`, its problem as an error otherwise."""
    if response.status_code not in statuses:
        raise problem_of(response.status_code, problem_in(response))
    return response


def _said(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()
