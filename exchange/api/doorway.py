"""What every route of the API shares: who calls, under which identifier, and how an answer or a problem looks."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import orjson
from fastapi import Depends, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from exchange import credentials, signing
from exchange.acts import Act, Caller, Signed
from exchange.credentials import Known
from exchange.errors import ExchangeError, Malformed, NotYet, TooMany, Unauthenticated, Unavailable
from exchange.gate import Gate, Reply
from exchange.messages.shapes import IDENTIFIER, WHOLE

CALLER_CACHE_S = 1.0
"""A revoked key stops within this time: a caller that was authenticated is believed without asking again for as
long, or while batches that are no older still read the same count of ended keys."""

NOTE_S = 0.5
"""How long uses of keys are gathered before they are noted."""

logger = logging.getLogger(__name__)

PROBLEM = "application/problem+json"

bearer = HTTPBearer(
    auto_error=False, description="An API key: its secret was made on your machine and enrolled once."
)


async def gate_of(request: Request) -> Gate:
    """The gate of the application that serves this request (a coroutine, so that no thread is asked for it)."""
    gate: Gate = request.app.state.gate
    return gate


GateDep = Annotated[Gate, Depends(gate_of)]


QUOTA = 20_000
"""Requests of one party to one process in a window, unless the operator says otherwise; of a batch each bid is one."""

QUOTA_WINDOW_S = 10

VISITOR_COSTS = 100
"""What a visitor writes counts as so many requests: who has no name has less to say at a time."""


class Quotas:
    """What each party asked of this process in the window that runs: one that asks for too much leaves the others theirs.

    draft-ietf-httpapi-ratelimit-headers-10.
    """

    def __init__(self, limit: int = QUOTA, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._policy = (b"ratelimit-policy", b'"party";q=%d;w=%d' % (limit, QUOTA_WINDOW_S))
        self._window = 0
        self._asked: dict[str, int] = {}

    def spend(self, party: str, requests: int = 1) -> Quota:
        """Count requests; what is then left."""
        now_s = self._clock()
        window = int(now_s // QUOTA_WINDOW_S)
        if window != self._window:
            self._window, self._asked = window, {}
        asked = self._asked[party] = self._asked.get(party, 0) + requests
        return Quota(self._policy, self._limit - asked, QUOTA_WINDOW_S - int(now_s) % QUOTA_WINDOW_S)

    def visited(self, request: Request) -> Quota:
        """Count what somebody without a key writes, at either door, by where it comes from; what is then left."""
        host = "" if request.client is None else request.client.host
        return self.spend(f"visitor {host}", VISITOR_COSTS)


class Quota(NamedTuple):
    """What a party has left until its window ends, below nothing where it asked for too much."""

    policy: tuple[bytes, bytes]
    left: int
    resets_s: int

    def require(self) -> None:
        """TooMany where nothing is left."""
        if self.left < 0:
            raise TooMany(
                "caller.quota",
                "your party asked for more than its quota",
                retry_after_s=self.resets_s,
                rule="RateLimit-Policy says how many requests in how many seconds",
            )

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What the answer says of it."""
        return [self.policy, (b"ratelimit", b'"party";r=%d;t=%d' % (max(0, self.left), self.resets_s))]


class Callers:
    """Who called lately: a key that was found is believed for a second without asking the database again."""

    def __init__(self, gate: Gate, link_key: bytes, quota: int = QUOTA) -> None:
        self.quotas = Quotas(quota)
        self.token_key = hmac.digest(link_key, b"access tokens", "sha256")
        self._gate = gate
        self._known: dict[str, tuple[float, int, Known]] = {}
        self._asked: dict[str, asyncio.Future[Known]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._used: dict[bytes, int] = {}
        self._noting: asyncio.Task[None] | None = None

    async def known(self, secret: str) -> Known:
        """Who calls with a key or token, from the cache where it still stands; Unauthenticated for nobody's."""
        found = self._known.get(secret)
        now_s = time.monotonic()
        if found is not None:
            until_s, version, known = found
            # What ends by itself ends though nobody ended it, so it is asked for again each second.
            stands = version == self._gate.keys_version and known.expires_us is None
            if until_s > now_s or (stands and self._gate.keys_seen_s + CALLER_CACHE_S > now_s):
                return known
        asked = self._asked.get(secret)
        if asked is None:
            asked = self._asked[secret] = asyncio.get_running_loop().create_future()
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask(), name="callers")
        return await asyncio.shield(asked)  # whoever goes away ends the own wait, not the others'

    async def _ask(self) -> None:
        """Ask the database for all keys that came since it was asked last: a crowd takes one session, as one caller does."""
        while self._asked:
            asked, self._asked = self._asked, {}
            version, now_s = self._gate.keys_version, time.monotonic()
            found: Sequence[Known | Exception]
            try:
                found = await self._gate.read(
                    credentials.authenticate, list(asked), self._gate.clock(), self.token_key
                )
            except Exception as error:  # each of them is told, and may come again
                found = [error] * len(asked)
            for (secret, answer), known in zip(asked.items(), found, strict=True):
                if isinstance(known, Known):
                    self._keep(secret, known, version, now_s + CALLER_CACHE_S)
                    answer.set_result(known)
                else:
                    answer.set_exception(known)
                    answer.exception()  # marked as seen: the caller may have gone away

    def _keep(self, secret: str, known: Known, version: int, until_s: float) -> None:
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[secret] = (until_s, version, known)
        if known.to_note:
            self._used[known.digest] = known.now_us
            if self._noting is None or self._noting.done():
                self._noting = asyncio.create_task(self._note())

    async def _note(self) -> None:
        """Note the keys that came within a moment together: a crowd's first calls are no time to write row by row."""
        await asyncio.sleep(NOTE_S)
        used, self._used = self._used, {}
        try:
            await credentials.note_uses(self._gate.database, used)
        except Exception as error:  # nobody waits for it, and the next use is noted
            logger.warning("the use of keys could not be noted: %s", error)


async def known_of(
    request: Request, bearing: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> Known:
    """Who calls, by which key; Unauthenticated where there is none."""
    if bearing is None:
        raise Unauthenticated(
            "caller.no_key",
            "this route needs an API key",
            field="Authorization",
            rule="Authorization: Bearer KEY",
            remedy="enrol a key with your one-time link and send it",
        )
    callers: Callers = request.app.state.callers
    known = await callers.known(bearing.credentials)
    quota = request.state.quota = callers.quotas.spend(known.caller.party)
    quota.require()
    return known


async def caller_of(request: Request, known: Annotated[Known, Depends(known_of)]) -> Caller:
    """The caller; Forbidden where a key that was narrowed to something else wants to look.

    What it may write the gate judges, act by act.
    """
    if request.method in ("GET", "HEAD"):
        known.caller.within("read")
    return known.caller


CallerDep = Annotated[Caller, Depends(caller_of)]


async def reader_of(
    request: Request, bearing: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> Caller | None:
    """Who reads: nobody in particular without a key, and a wrong key is refused."""
    return None if bearing is None else await caller_of(request, await known_of(request, bearing))


ReaderDep = Annotated[Caller | None, Depends(reader_of)]


def visitor(request: Request) -> None:
    """Count what somebody without a key writes; TooMany where that was too much."""
    quota = request.state.quota = request.app.state.callers.quotas.visited(request)
    quota.require()


@dataclass(frozen=True, slots=True)
class Once:
    """The caller's identifier of a write, and until when on the market's clock it may be executed (None: whenever)."""

    key: str
    until_us: int | None = None


ExpiresHeader = Annotated[
    str | None,
    Header(
        description="Until when this may be executed, in microseconds of the market's clock; after it nothing is done.",
        pattern=WHOLE,
        examples=["1790000000000000"],
    ),
]


async def until_of(request_expires: ExpiresHeader = None) -> int | None:
    """Until when the caller wants a write to be executed."""
    return None if request_expires is None else int(request_expires)


UntilDep = Annotated[int | None, Depends(until_of)]


async def key_of(
    until: UntilDep,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="Your own identifier of this request: sent again it gets the first answer again.",
            examples=["order-2026-0001"],
        ),
    ] = None,
) -> Once:
    """The caller's identifier of a write; Malformed where it is missing or misspelt."""
    if idempotency_key is None or not re.fullmatch(IDENTIFIER, idempotency_key):
        raise Malformed(
            "request.identifier",
            "a write carries an identifier of the caller's",
            field="Idempotency-Key",
            rule="1 to 64 of A-Z a-z 0-9 _ -",
            remedy="send a fresh Idempotency-Key, and the same one when you send the request again",
        )
    return Once(idempotency_key, until)


KeyDep = Annotated[Once, Depends(key_of)]


async def signed_of(request: Request, caller: CallerDep) -> Signed | None:
    """The caller's own signature of this request, checked and sealed; None where it carries none.

    Malformed and Unauthenticated where it carries one that is no good.
    """
    if "signature-input" not in request.headers and "signature" not in request.headers:
        return None
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    path = request.scope.get("raw_path", request.url.path.encode()).decode("ascii", "replace")
    given = signing.presented(
        request.method,
        path.partition("?")[0],
        request.scope["query_string"].decode("ascii", "replace"),
        headers,
        await request.body(),
        int(time.time()),
    )
    gate: Gate = request.app.state.gate
    public = await gate.read(credentials.signer_of, caller, given.key_id)
    if public is None:
        raise Unauthenticated(
            "signature.key_unknown",
            "your party has no such signing key",
            field="keyid",
            rule="a request is signed with a signing key of the party that calls",
            remedy="register the public key first (POST /v1/signing-keys), or use the one you registered",
        )
    return Signed.of(given.verified(public), gate.chance(32))


SignedDep = Annotated[Signed | None, Depends(signed_of)]


class Presented(NamedTuple):
    """How somebody bids: who, under which own signature (None: unsigned), and until when it may be admitted."""

    caller: Caller
    signed: Signed | None
    until_us: int | None


async def presented_of(
    request: Request,
    bearing: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    request_expires: ExpiresHeader = None,
) -> Presented:
    """Caller, signature and expiry of a bid, found in one dependency: each further one costs as much as the gate does.

    Malformed and Unauthenticated where it carries a signature that is no good.
    """
    caller = await caller_of(request, await known_of(request, bearing))
    return Presented(caller, await signed_of(request, caller), await until_of(request_expires))


PresentedDep = Annotated[Presented, Depends(presented_of)]

Named = Annotated[str, Path(pattern=IDENTIFIER)]
"""An identifier in a path: 1 to 64 of A-Z a-z 0-9 _ -."""


Limit = Annotated[int, Query(ge=1, le=500, description="how many of them at most")]
AfterIndex = Annotated[
    int | None, Query(ge=0, le=2**62, description="cursor: as the page before links to; a log index")
]
AfterName = Annotated[
    str | None, Query(pattern=IDENTIFIER, description="cursor: as the page before links to; an identifier")
]


class Pages:
    """How a list tells where it goes on: by a `Link` header (RFC 8288), on every page but the last."""

    def __init__(self, request: Request, response: Response) -> None:
        self._url, self._headers = request.url, response.headers

    def link(
        self, rows: Sequence[Any], limit: int, cursor: Callable[[Any], object], name: str = "after"
    ) -> None:
        """Link to what follows where the page is full; `cursor` is what its last row is found by."""
        if len(rows) == limit:
            following = self._url.include_query_params(**{name: cursor(rows[-1])})
            self._headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'


PagesDep = Annotated[Pages, Depends(Pages)]


async def perform(gate: Gate, decide: Any, act: Act, caller: Caller, once: Once) -> Response:
    """Let the gate decide an act and answer with its outcome and receipt.

    201 for what was done, 422 (problem+json, with the receipt) for what was refused on the record.
    """
    return answer(await gate.perform(decide, act, caller=caller, key=once.key, until_us=once.until_us))


def answer(reply: Reply) -> Response:
    """What a caller gets for an act that was decided."""
    headers = {"Idempotency-Replayed": "true"} if reply.repeated else {}
    if not reply.refused:
        return Response(reply.json(), 201, headers, "application/json")
    return Response(_refused(reply), 422, headers, PROBLEM)


def item(key: str, said: Reply | Exception) -> bytes:
    """What a caller gets for one act of several that were sent together: its status, and the members of its answer."""
    match said:
        case Reply(refused=False):
            status, members = 201, said.json()
        case Reply():
            status, members = 422, _refused(said)
        case ExchangeError():
            status, members = said.status, orjson.dumps(said.problem())
        case _:
            status, members = 500, orjson.dumps(DEFECT)
    # A problem has a `status` of its own, the same one; of two the first counts nowhere, so it stands alone.
    head = b'{"client_bid_id":"%b",' % key.encode()
    return head + (b'"status":%d,' % status if status == 201 else b"") + members[1:]


def _refused(reply: Reply) -> bytes:
    """A refusal on the record: a problem, with outcome and receipt."""
    reason = orjson.loads(reply.outcome)["reason"]
    problem = {
        "type": f"urn:data-asset-exchange:problem:{reason['code']}",
        "title": "Refused, on the record",
        "status": 422,
        **reason,
    }
    return orjson.dumps(problem)[:-1] + b"," + reply.json()[1:]


def problem_response(problem: ExchangeError) -> Response:
    """RFC 9457."""
    headers = {}
    if isinstance(problem, NotYet | TooMany | Unavailable):
        headers["Retry-After"] = str(problem.retry_after_s)
    if isinstance(problem, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return Response(orjson.dumps(problem.problem()), problem.status, headers, PROBLEM)


async def on_exchange_error(_: Request, error: Exception) -> Response:
    """An act that was undone: its problem."""
    assert isinstance(error, ExchangeError)
    return problem_response(error)


async def on_invalid(_: Request, error: Exception) -> Response:
    """A body or parameter that has the wrong form: the first field that is wrong, and why."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
    return problem_response(
        Malformed(
            "request.form",
            f"{field}: {first['msg']}",
            field=field,
            rule=str(first["msg"]),
            remedy="see this route in /openapi.json",
        )
    )


async def on_http(_: Request, error: Exception) -> Response:
    """Starlette's own refusals, in the same form."""
    assert isinstance(error, HTTPException)
    if error.status_code == 400:  # bytes that are no text
        return problem_response(
            Malformed(
                "request.form",
                str(error.detail),
                field="body",
                rule="a body is JSON in UTF-8",
                remedy="see this route in /openapi.json",
            )
        )
    problem = {
        "type": "about:blank",
        "title": error.detail,
        "status": error.status_code,
        "code": f"http.{error.status_code}",
        "detail": error.detail,
        "remedy": "see /openapi.json",
    }
    return Response(orjson.dumps(problem), error.status_code, dict(error.headers or {}), PROBLEM)


async def on_defect(_: Request, error: Exception) -> Response:
    """A defect of ours, which Starlette has logged by now."""
    return defect_response()


DEFECT = {
    "type": "about:blank",
    "title": "Internal error",
    "status": 500,
    "code": "internal",
    "detail": "the exchange failed; nothing of this request took effect unless its lookup says so",
    "remedy": "look the request up by its identifier; tell the operator",
}


def defect_response() -> Response:
    """Says that we failed, and nothing of our inside."""
    return Response(orjson.dumps(DEFECT), 500, media_type=PROBLEM)
