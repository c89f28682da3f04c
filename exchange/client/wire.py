"""HTTP as the exchange speaks it: bounded retries, problems as errors, nothing of the market."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from secrets import randbelow
from typing import Any

import httpx

from exchange.client.errors import ClientError, problem_of

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0
AGAIN = frozenset({502, 503, 504})
"""Answers that say nothing of the request itself: the same request is sent again."""


class NoAnswer(ClientError):
    """The deadline passed; whether the last request arrived is not known. Never leaves the SDK."""


class Wire:
    """One server, one key, one deadline for each call with all its attempts. Safe for threads."""

    def __init__(self, url: str, key: str | None, timeout_s: float, http: httpx.Client | None) -> None:
        address = httpx.URL(url)
        if address.scheme not in ("http", "https") or not address.host:
            raise ValueError(f"url: {url!r} is no http or https address; write http://HOST:PORT")
        if timeout_s <= 0:
            raise ValueError("timeout_s: a call needs time; give it more than 0 seconds")
        self.url = str(address).rstrip("/")
        self._base = address.raw_path.decode().rstrip("/")
        self.key = key
        self.timeout_s = timeout_s
        self._mine = http is None
        self._http = http or httpx.Client(limits=httpx.Limits(max_connections=16))

    def close(self) -> None:
        """Let go of the connections, unless the caller brought them."""
        if self._mine:
            self._http.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        sign: Callable[[str, Mapping[str, str], bytes], Mapping[str, str]] | None = None,
    ) -> httpx.Response:
        """The first answer that is about the request; NoAnswer where none came before the deadline.

        Connection errors, timeouts and 502, 503, 504 are tried again, as late as `Retry-After` asks; `sign` gives each
        attempt its own signature.
        """
        patience = Patience(self.timeout_s)
        while True:
            signed = {} if sign is None else sign(self._base + path, headers or {}, content or b"")
            try:
                response = self._http.request(
                    method,
                    self.url + path,
                    params=params,
                    content=content,
                    headers={**self.authorization(), **(headers or {}), **signed},
                    timeout=patience.attempt_s(),
                )
            except httpx.TransportError as error:
                patience.rest(_said(error), cause=error)
                continue
            if response.status_code in AGAIN:
                patience.rest(f"answered {problem_in(response)['detail']!r}", response.headers)
                continue
            return response

    @contextmanager
    def stream(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: Any = None,
        *,
        silence_s: float | None = None,
    ) -> Iterator[httpx.Response]:
        """One attempt whose body is read (or sent) piece by piece, without the key; the caller tries again.

        It fails after `silence_s` of silence, `timeout_s` unless given.
        """
        with self._http.stream(
            method, url, headers=dict(headers), content=content, timeout=silence_s or self.timeout_s
        ) as response:
            yield response

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
    ) -> None:
        """Wait before the next attempt; NoAnswer where the deadline would pass meanwhile."""
        pause_s = self._pause_s * (1 + randbelow(1000) / 2000)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        asked = "" if headers is None else headers.get("Retry-After", "")
        if asked.isascii() and asked.isdecimal():
            pause_s = max(pause_s, int(asked))
        if time.monotonic() + pause_s >= self._deadline:
            raise NoAnswer(f"no answer within {self._total_s:g} s; last: {why}") from cause
        time.sleep(pause_s)


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
