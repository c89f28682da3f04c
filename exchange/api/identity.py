"""Routes of keys, tokens and signing keys, and of what a party forbids itself."""

from __future__ import annotations

import base64
from typing import Annotated, Any
from urllib.parse import parse_qsl, unquote_plus

import orjson
from fastapi import APIRouter, Header, Query, Request, Response

from exchange import controls, credentials
from exchange.acts import Caller
from exchange.api.doorway import (
    AfterName,
    CallerDep,
    Callers,
    GateDep,
    KeyDep,
    Limit,
    Named,
    Once,
    PagesDep,
    perform,
)
from exchange.errors import ExchangeError, Forbidden, NotFound, Unprocessable
from exchange.messages.identity import (
    ControlsMessage,
    EnrolmentMessage,
    KeyMessage,
    RotationMessage,
    SigningKeyMessage,
)
from exchange.messages.outcomes import (
    Answer,
    ControlsSet,
    KeyAdded,
    KeyRevoked,
    KeyRotated,
    SigningKeyAdded,
    SigningKeyRevoked,
    TradingResumed,
    TradingStopped,
)
from exchange.messages.views import (
    ControlsView,
    KeyView,
    SigningKeyView,
    TokenProblem,
    TokenServerView,
    TokenView,
)

router = APIRouter(tags=["identity"])


@router.post("/v1/enrolments", status_code=201, response_model=Answer[KeyAdded])
async def enrol(body: EnrolmentMessage, gate: GateDep) -> Response:
    """Redeem a one-time link. Needs no key; the same link with the same key digest answers again."""
    token = credentials.key_digest(body.token)
    act = credentials.Enrol(token, bytes.fromhex(body.key_digest), body.label)
    visitor = Caller("enrolment", "enrolment", frozenset())
    try:
        return await perform(gate, credentials.enrol, act, visitor, Once(f"enrol-{token.hex()[:40]}"))
    except Unprocessable as problem:
        # The link was redeemed, with another key: to whoever comes now it is a used link like any other.
        used = problem.code == "request.identifier_reused"
        raise (credentials.unknown_link() if used else problem) from None


@router.get("/v1/keys", response_model=list[KeyView])
async def keys(
    gate: GateDep,
    caller: CallerDep,
    pages: PagesDep,
    after: Annotated[
        str | None,
        Query(pattern="^[0-9a-f]{64}$", description="cursor: as the page before links to; a digest"),
    ] = None,
    limit: Limit = 100,
) -> list[dict[str, Any]]:
    """The keys of your party: whose, for what, until when, when last used (to five minutes)."""
    last = None if after is None else bytes.fromhex(after)
    rows = await gate.read(credentials.keys, caller, await gate.now_us(), last, limit)
    pages.link(rows, limit, lambda row: row["digest"])
    return rows


@router.post("/v1/keys", status_code=201, response_model=Answer[KeyAdded])
async def add_key(body: KeyMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Bring a further key, narrowed to scopes and a time where you say so; its secret stays with you."""
    scopes = None if body.scopes is None else tuple(body.scopes)
    act = credentials.AddKey(bytes.fromhex(body.key_digest), body.label, scopes, body.expires_us)
    return await perform(gate, credentials.add_key, act, caller, key)


@router.post("/v1/keys/{digest}/rotation", status_code=201, response_model=Answer[KeyRotated])
async def rotate_key(
    digest: str, body: RotationMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Put a new key in the place of one of yours; the old one goes on for the overlap, a day unless you say so."""
    act = credentials.RotateKey(_digest(digest), bytes.fromhex(body.key_digest), body.label, body.overlap_us)
    return await perform(gate, credentials.rotate_key, act, caller, key)


@router.post("/v1/keys/{digest}/revocation", status_code=201, response_model=Answer[KeyRevoked])
async def revoke_key(digest: str, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """End a key of your party; it stops within a second, and so do its tokens."""
    return await perform(gate, credentials.revoke_key, credentials.RevokeKey(_digest(digest)), caller, key)


@router.get("/v1/signing-keys", response_model=list[SigningKeyView])
async def signing_keys(
    gate: GateDep, caller: CallerDep, pages: PagesDep, after: AfterName = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """The signing keys of your party, newest first."""
    rows = await gate.read(credentials.signing_keys, caller, after, limit)
    pages.link(rows, limit, lambda row: row["id"])
    return rows


@router.post("/v1/signing-keys", status_code=201, response_model=Answer[SigningKeyAdded])
async def add_signing_key(body: SigningKeyMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Register an Ed25519 key: requests that it signs (RFC 9421) are kept in the log with the signature."""
    act = credentials.AddSigningKey(bytes.fromhex(body.public), body.label)
    return await perform(gate, credentials.add_signing_key, act, caller, key)


@router.post("/v1/signing-keys/{id}/revocation", status_code=201, response_model=Answer[SigningKeyRevoked])
async def revoke_signing_key(id: Named, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """End a signing key of your party."""
    return await perform(gate, credentials.revoke_signing_key, credentials.RevokeSigningKey(id), caller, key)


@router.get("/v1/controls", response_model=ControlsView)
async def read_controls(response: Response, gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """What your party forbids itself, and whether it is stopped. The `ETag` is of the limits, for `If-Match`."""
    found = await gate.read(controls.controls, caller)
    limits = (found[name] for name in ("sign_above_fen", "order_limit_fen", "heartbeat_us"))
    response.headers["ETag"] = f'"{controls.version(*(None if n is None else int(n) for n in limits))}"'
    return found


@router.post("/v1/controls", status_code=201, response_model=Answer[ControlsSet])
async def set_controls(
    body: ControlsMessage,
    gate: GateDep,
    caller: CallerDep,
    key: KeyDep,
    if_match: Annotated[
        str | None,
        Header(description="the ETag of the limits that you read: refused where they are others by now"),
    ] = None,
) -> Response:
    """Set all limits of your party; what you leave out or send as null has none."""
    seen = None if if_match in (None, "*") else str(if_match).strip().strip('"')
    act = controls.SetControls(body.sign_above_fen, body.order_limit_fen, body.heartbeat_us, seen)
    return await perform(gate, controls.set_controls, act, caller, key)


@router.post("/v1/stop", status_code=201, response_model=Answer[TradingStopped])
async def stop(gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """The kill switch: your party does nothing more, and its offers at a fixed price end. Admitted bids stand."""
    return await perform(gate, controls.stop_trading, controls.StopTrading(caller.party), caller, key)


@router.post("/v1/resumption", status_code=201, response_model=Answer[TradingResumed])
async def resume(gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Let your party act again after a stop."""
    return await perform(gate, controls.resume_trading, controls.ResumeTrading(), caller, key)


@router.post("/v1/heartbeat", status_code=204, response_class=Response)
async def heartbeat(gate: GateDep, caller: CallerDep) -> Response:
    """Say that you are there: without it a party that set `heartbeat_us` is stopped. Not logged."""
    caller.within("trade")
    await controls.hear(gate.database, caller.party, await gate.now_us())
    return Response(status_code=204)


@router.get("/.well-known/oauth-authorization-server", response_model=TokenServerView)
async def metadata(request: Request) -> dict[str, Any]:
    """How programs get access tokens here (RFC 8414)."""
    base = str(request.base_url).rstrip("/")
    return {
        "issuer": base,
        "token_endpoint": f"{base}/oauth/token",
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "scopes_supported": list(credentials.SCOPES),
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "service_documentation": f"{base}/openapi.json",
    }


@router.post(
    "/oauth/token",
    response_model=TokenView,
    responses={400: {"model": TokenProblem}, 401: {"model": TokenProblem}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": {
                        "type": "object",
                        "required": ["grant_type"],
                        "properties": {
                            "grant_type": {"type": "string", "const": "client_credentials"},
                            "client_id": {"type": "string", "description": "the key's digest, or nothing"},
                            "client_secret": {"type": "string", "description": "the API key"},
                            "scope": {"type": "string", "examples": ["read trade"]},
                        },
                    }
                }
            },
        }
    },
)
async def token(request: Request, gate: GateDep) -> Response:
    """An access token for ten minutes in exchange for an API key (RFC 6749 §4.4, client credentials).

    Errors have the form of RFC 6749 §5.2.
    """
    form = await _form(request)
    if form is None:
        return _denied(
            400, "invalid_request", "send one application/x-www-form-urlencoded body, no member twice"
        )
    if form.get("grant_type") != "client_credentials":
        return _denied(400, "unsupported_grant_type", "grant_type is client_credentials")
    client = _client(request, form)
    if client is None:
        return _denied(
            401, "invalid_client", "authenticate by HTTP Basic, or by client_secret in the body, not by both"
        )
    name, secret = client
    callers: Callers = request.app.state.callers
    scopes = form["scope"].split(" ") if form.get("scope") else None
    try:
        known = await callers.known(secret)
        if name and name != known.digest.hex():
            return _denied(401, "invalid_client", "client_id is the digest of the key")
        text, granted, seconds = credentials.issue_token(
            secret, known, scopes, await gate.now_us(), callers.token_key
        )
    except Forbidden as problem:
        code = "invalid_scope" if problem.code == "token.scope" else "invalid_client"
        return _denied(400 if code == "invalid_scope" else 401, code, problem.detail)
    except ExchangeError as problem:
        if problem.status != 401:
            raise
        return _denied(401, "invalid_client", problem.detail)
    return _oauth(
        200,
        {
            "access_token": text,
            "token_type": "Bearer",
            "expires_in": seconds,
            "scope": " ".join(scope for scope in credentials.SCOPES if scope in granted),
        },
    )


async def _form(request: Request) -> dict[str, str] | None:
    """The members of a form, each once; None for anything else."""
    if (
        request.headers.get("content-type", "").partition(";")[0].strip()
        != "application/x-www-form-urlencoded"
    ):
        return None
    body = await request.body()
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=20
        )
    except ValueError:
        return None
    return dict(pairs) if len(dict(pairs)) == len(pairs) else None


def _client(request: Request, form: dict[str, str]) -> tuple[str, str] | None:
    """Name and secret of the client; None where it shows none, or shows them twice."""
    header = request.headers.get("authorization")
    if header is None:
        return (form.get("client_id", ""), form["client_secret"]) if form.get("client_secret") else None
    kind, _, value = header.partition(" ")
    if kind.lower() != "basic" or "client_secret" in form:
        return None
    try:
        name, colon, secret = base64.b64decode(value, validate=True).decode("ascii").partition(":")
    except ValueError:
        return None
    return (unquote_plus(name), unquote_plus(secret)) if colon else None


def _denied(status: int, error: str, description: str) -> Response:
    return _oauth(status, {"error": error, "error_description": description})


def _oauth(status: int, members: dict[str, Any]) -> Response:
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="exchange"'
    return Response(orjson.dumps(members), status, headers, "application/json")


def _digest(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise NotFound("key.unknown", "no such key", field="digest") from None
