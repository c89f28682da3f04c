"""What every route of the API shares: who calls, under which identifier, and how an answer or a problem looks."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
from typing import Annotated, Any

import orjson
from fastapi import Depends, Header, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from exchange import credentials, signing
from exchange.acts import Act, Caller, Signed
from exchange.credentials import Known
from exchange.errors import ExchangeError, Malformed, NotYet, Unauthenticated, Unavailable
from exchange.gate import Gate, Reply
from exchange.messages.shapes import IDENTIFIER

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


class Callers:
    """Who called lately: a key that was found is believed for a second without asking the database again."""

    def __init__(self, gate: Gate, link_key: bytes) -> None:
        self.token_key = hmac.digest(link_key, b"access tokens", "sha256")
        self._gate = gate
        self._known: dict[str, tuple[float, int, Known]] = {}
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
        version = self._gate.keys_version
        known = await self._gate.read(credentials.authenticate, secret, self._gate.clock(), self.token_key)
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[secret] = (now_s + CALLER_CACHE_S, version, known)
        if known.to_note:
            self._used[known.digest] = known.now_us
            if self._noting is None or self._noting.done():
                self._noting = asyncio.create_task(self._note())
        return known

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
    return await callers.known(bearing.credentials)


async def caller_of(request: Request, known: Annotated[Known, Depends(known_of)]) -> Caller:
    """The caller; Forbidden where a key that was narrowed to something else wants to look.

    What it may write the gate judges, act by act.
    """
    if request.method in ("GET", "HEAD"):
        known.caller.within("read")
    return known.caller


CallerDep = Annotated[Caller, Depends(caller_of)]


async def key_of(
    idempotency_key: Annotated[
        str | None,
        Header(
            description="Your own identifier of this request: sent again it gets the first answer again.",
            examples=["order-2026-0001"],
        ),
    ] = None,
) -> str:
    """The caller's identifier of a write; Malformed where it is missing or misspelt."""
    if idempotency_key is None or not re.fullmatch(IDENTIFIER, idempotency_key):
        raise Malformed(
            "request.identifier",
            "a write carries an identifier of the caller's",
            field="Idempotency-Key",
            rule="1 to 64 of A-Z a-z 0-9 _ -",
            remedy="send a fresh Idempotency-Key, and the same one when you send the request again",
        )
    return idempotency_key


KeyDep = Annotated[str, Depends(key_of)]


async def signed_of(request: Request, gate: GateDep, caller: CallerDep) -> Signed | None:
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

Named = Annotated[str, Path(pattern=IDENTIFIER)]
"""An identifier in a path: 1 to 64 of A-Z a-z 0-9 _ -."""


async def perform(gate: Gate, decide: Any, act: Act, caller: Caller, key: str) -> Response:
    """Let the gate decide an act and answer with its outcome and receipt.

    201 for what was done, 422 (problem+json, with the receipt) for what was refused on the record.
    """
    return answer(await gate.perform(decide, act, caller=caller, key=key))


def answer(reply: Reply) -> Response:
    """What a caller gets for an act that was decided."""
    headers = {"Idempotency-Replayed": "true"} if reply.repeated else {}
    if not reply.refused:
        return Response(reply.json(), 201, headers, "application/json")
    reason = orjson.loads(reply.outcome)["reason"]
    problem = {
        "type": f"urn:data-asset-exchange:problem:{reason['code']}",
        "title": "Refused, on the record",
        "status": 422,
        **reason,
    }
    members = orjson.dumps(problem)[:-1]
    return Response(members + b"," + reply.json()[1:], 422, headers, PROBLEM)


def problem_response(problem: ExchangeError) -> Response:
    """RFC 9457."""
    headers = {}
    if isinstance(problem, NotYet | Unavailable):
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


def defect_response() -> Response:
    """Says that we failed, and nothing of our inside."""
    problem = {
        "type": "about:blank",
        "title": "Internal error",
        "status": 500,
        "code": "internal",
        "detail": "the exchange failed; nothing of this request took effect unless its lookup says so",
        "remedy": "look the request up by its identifier; tell the operator",
    }
    return Response(orjson.dumps(problem), 500, media_type=PROBLEM)
