"""The contract of the API as OpenAPI 3.1: what FastAPI knows of the routes, and what all of them have in common.

Added here: every status and problem code that a route can answer (read from its code, see `problems`), the headers that
answers carry, the ways to authenticate, an example of each body.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic.warnings import UnsupportedFieldAttributeWarning

from exchange import credentials
from exchange.api import problems, swift
from exchange.api.doorway import PROBLEM
from exchange.api.problems import Problem
from exchange.errors import Malformed
from exchange.messages.outcomes import ReceiptView
from exchange.messages.shapes import IDENTIFIER

if TYPE_CHECKING:
    from fastapi import APIRouter, FastAPI
    from fastapi.dependencies.models import Dependant

# FastAPI builds its fields with aliases that pydantic then warns of, and silences that in a way that another thread undoes.
warnings.filterwarnings("ignore", category=UnsupportedFieldAttributeWarning)

ABOUT = """\
Every write carries an identifier of yours (`Idempotency-Key`; for bids the `client_bid_id`) and answers with a receipt:
the log entry, its inclusion proof and a signed checkpoint. Acknowledged means durable, logged and provable.

**Unknown.** A connection that is lost, or an answer 500, 502, 503 or 504, leaves the outcome *unknown*: the write may
have taken effect or not. Look it up (`GET /v1/requests/{key}`; 404 means that nothing took effect under it so far), or
send the same request again under the same identifier: it takes effect once, and its first answer is given again with
`Idempotency-Replayed: true`. The same identifier with another request is refused (`request.identifier_reused`).

**Refused on the record.** A refusal that matters is an entry of the log: 422 as problem+json, with `outcome` and
`receipt` beside the problem's members. Every other problem left no trace.

**Problems** are RFC 9457 (`application/problem+json`) with a stable `code`, and `field`, `rule` and `remedy` where they
apply. Whatever has no route answers 404 `http.404` or 405 `http.405`.

**Numbers.** Money (fen, 0.01 yuan), times (microseconds since the epoch, by the market's clock) and log indexes are
decimal strings. There are no floats.

**Lists** come in pages: the `Link` header with `rel="next"` leads to the next one; the last page has none. What is
read as JSON carries an `ETag`; `If-None-Match` answers 304 while it is the same.

**Limits.** `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers) say what your party may ask of
this process and what is left; past it 429, with `Retry-After`. `Request-Expires` (microseconds of the market's clock)
says until when a write may still be executed: past it a bid is refused on the record, any other write answers 409
`request.expired`.

**Sandboxes.** Each answer of a sandbox carries `Exchange-Sandbox: true`, and only a sandbox has `/v1/sandbox/clock`.

**Versions.** `/v1` only ever gains members, routes and codes: pass over what you do not know.
"""

TAGS = {
    "sandbox": "What only a sandbox has.",
    "market": "Listings, purchases, lots, bids, trades, and the lookup of your own requests.",
    "tenders": "Sealed tenders: publication, envelopes, the opening in public view, marks, award and protest.",
    "demand board": "What buyers want, and which departments have it.",
    "parties and money": "Parties, their people, money in and out.",
    "rules": "The market's rules, version by version, and how they change.",
    "identity": "Keys, access tokens, signing keys, and what a party forbids itself.",
    "bank": "Payouts that come back, money in suspense, the bank's statements against the book.",
    "accounts": "Balances, statements, the trial balance.",
    "assets": "An asset's path from declaration to its theme, its appraisal, and the catalogue.",
    "registration": "What comes before the registrar, public notices, certificates and rights.",
    "contracts": "The four contracts as data, a listing's standing terms, a trade's contract and who signed it.",
    "delivery": "Licences, links and files.",
    "log": "The public log: checkpoints, tiles, proofs, receipts.",
    "webhooks": "Where your party is told what concerns it.",
    "streams": "Live events: the head of the log, a lot, your party.",
    "regulator": "For whoever checks.",
    "drills": "What was rehearsed against trouble, and how it ended.",
}

EXAMPLES: Mapping[str, Any] = {
    "account": "acc-5f0c3a9e7d21b846",
    "after": "open.1790086400000000.lot-5f0c3a9e7d21b846",
    "asset": "ast-5f0c3a9e7d21b846",
    "asset_code": "DA-2026-TR-1F3A9C07",
    "body": '{"act":{"state":"admitted"},"by":"B7A01C44E2","key":"bid-1","kind":"bid","time":"1790000000000000"}',
    "buyer": "org-77c2b1a05e9d4f38",
    "checkpoint": "exchange.example.cn/log\n1024\nq3fN0dCkq4l8kPYx1w3p1m0c0mKX0t2y1cM3M5kT0jM=\n\n— exchange.example.cn/log 3q2+7w…\n",
    "client_bid_id": "bid-2026-0001",
    "code": "B7A01C44E2",
    "detail": "what happened",
    "id": "lot-5f0c3a9e7d21b846",
    "index": "1023",
    "kind": "transport",
    "label": "bidding program",
    "leaf": "eyJkaWdlc3QiOiIuLi4ifQ==",
    "licence": "lic-5f0c3a9e7d21b846",
    "link": "/v1/deliveries/lic-5f0c3a9e7d21b846?expires=1790003600000000&signature=0f…",
    "listing": "lst-5f0c3a9e7d21b846",
    "lot": "lot-5f0c3a9e7d21b846",
    "name": "Flight data of one airport",
    "party": "org-77c2b1a05e9d4f38",
    "person": "per-21b8465f0c3a9e7d",
    "seller": "org-0c3a9e7d21b8465f",
    "title": "Flights by hour",
    "trade": "trade-5f0c3a9e7d21b846",
    "uscc": "91440101MA5CHD1C1U",
    "vkey": "exchange.example.cn/log+1a2b3c4d+AXyz",
}
"""What members are called, and what they may look like, where their type says too little."""

_WHOLE = {"type": "string", "pattern": "^(0|[1-9][0-9]{0,18})$"}
_TEXT = {"type": "string"}

HEADERS: Mapping[str, dict[str, Any]] = {
    "ETag": {"description": "Names this state of what was read (RFC 9110 §8.8.3).", "schema": _TEXT},
    "Idempotency-Replayed": {"description": "`true` where this is the first answer, given again.", "schema": {"type": "string", "const": "true"}},
    "Link": {"description": 'The next page, `rel="next"` (RFC 8288); absent on the last.', "schema": _TEXT},
    "RateLimit": {"description": 'What is left of your quota (`r`), and seconds until it is whole again (`t`): `"party";r=19999;t=10`.', "schema": _TEXT},
    "RateLimit-Policy": {"description": 'Your quota (`q`) in a window of seconds (`w`): `"party";q=20000;w=10`.', "schema": _TEXT},
    "Retry-After": {"description": "Seconds to wait before asking again.", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    "WWW-Authenticate": {"description": "How to authenticate (RFC 9110 §11.6.1).", "schema": _TEXT},
}  # fmt: skip

PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "A problem (RFC 9457). `code` is stable and for programs, all else is for people.",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": _TEXT,
        "status": {"type": "integer"},
        "code": _TEXT,
        "detail": _TEXT,
        "field": {**_TEXT, "description": "which member, parameter or header"},
        "rule": {**_TEXT, "description": "which rule, with its clause where one stands behind it"},
        "remedy": {**_TEXT, "description": "what you can do"},
        "outcome": {"type": "object", "description": "only of a refusal on the record: the entry's act"},
        "receipt": {"$ref": "#/components/schemas/ReceiptView"},
    },
}

SECURITY: dict[str, Any] = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key: its secret was made on your machine and enrolled once; or an access token.",
    },
    "client": {
        "type": "oauth2",
        "description": "Access tokens for ten minutes in exchange for an API key (RFC 6749 §4.4).",
        "flows": {
            "clientCredentials": {
                "tokenUrl": "/oauth/token",
                "scopes": {
                    "read": "look",
                    "trade": "join lots, bid, buy, offer, fetch what was bought",
                    "money": "move money in and out",
                    "register": "bring assets and have them registered",
                    "manage": "people, keys, states, rules",
                },
            }
        },
    },
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Signature",
        "description": "Beside a key: the request signed with a registered Ed25519 key (RFC 9421, with Signature-Input and "
        "Content-Digest). Required above the amount that your party set itself.",
    },
}  # fmt: skip
assert set(SECURITY["client"]["flows"]["clientCredentials"]["scopes"]) == set(credentials.SCOPES)

_DEFECT = Problem(
    500, "internal", "Internal error", remedy="look the request up by its identifier; tell the operator"
)
_FORM = Problem(400, "request.form", Malformed.title, remedy="see this route in /openapi.json")


_made: dict[tuple[str | int | None, ...], dict[str, Any]] = {}
_making = Lock()


def describe(app: FastAPI, routers: Iterable[APIRouter]) -> Callable[[], dict[str, Any]]:
    """What `app.openapi` is to be: the whole contract, made when it is first asked for, once in a process.

    Whoever asks while it is made waits for it.
    """
    mounted = tuple(routers)
    # Routers cannot be hashed; they are as old as their modules, so that their addresses name them.
    named = (app.title, app.version, app.summary, *map(id, mounted))

    def openapi() -> dict[str, Any]:
        with _making:
            if named not in _made:
                _made[named] = _contract(app, mounted)
            return _made[named]

    return openapi


def _contract(app: FastAPI, routers: Iterable[APIRouter]) -> dict[str, Any]:
    routes = [
        route
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute) and route.include_in_schema
    ]
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=ABOUT,
        routes=routes,
        tags=[
            {"name": name, "description": text}
            for name, text in TAGS.items()
            if any(name in route.tags for route in routes)
        ],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    parts = document.setdefault("components", {})
    schemas = parts.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = PROBLEM_SCHEMA
    schemas.setdefault("ReceiptView", ReceiptView.model_json_schema())
    parts["securitySchemes"] = SECURITY
    parts["headers"] = HEADERS
    parts["examples"] = {}
    for route in routes:
        for method in (route.methods or set()) & {"GET", "POST", "PUT"}:
            _complete(route, method, document["paths"][route.path_format][method.lower()], parts)
    parts["examples"] = dict(sorted(parts["examples"].items()))
    document["security"] = []
    return document


def answered(route: APIRoute, method: str) -> dict[int, list[Problem]]:
    """The problems that a route can answer, by status."""
    found = problems.answers(_calls(route.dependant))
    listed = [*found.problems, _DEFECT]
    if route.body_field or _takes(route.dependant):
        listed.append(_FORM)
    if method == "GET":
        listed += problems.answers([swift.SwiftBids._look]).problems
    by_status: dict[int, list[Problem]] = {}
    for problem in listed:
        by_status.setdefault(problem.status, []).append(problem)
        if found.recorded and problem.status in (
            403,
            404,
            409,
        ):  # a room may put on the record what it otherwise raises
            by_status.setdefault(422, []).append(problem)
    return by_status


def _takes(dependant: Dependant) -> bool:
    """Whether a request carries anything that may be misspelt."""
    own = (dependant.path_params, dependant.query_params, dependant.header_params)
    return any(own) or any(_takes(inner) for inner in dependant.dependencies)


def _calls(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    if dependant.call is not None:
        yield dependant.call
    for inner in dependant.dependencies:
        yield from _calls(inner)


def _complete(route: APIRoute, method: str, operation: dict[str, Any], parts: dict[str, Any]) -> None:
    text = " ".join((route.endpoint.__doc__ or "").split())
    operation["summary"] = re.split(r"(?<=[.:;]) |(?<=\w)[:;] ", text, maxsplit=1)[0].rstrip(".:;")
    operation["operationId"] = route.name
    by_status = answered(route, method)
    known = 401 in by_status
    if known:
        anybody = any(getattr(call, "__name__", "") == "reader_of" for call in _calls(route.dependant))
        operation["security"] = [*([{}] if anybody else []), {"key": []}, {"client": []}]
    else:
        operation.pop("security", None)
    operation["responses"].pop("422", None)  # FastAPI's own, which `on_invalid` answers as 400
    for parameter in operation.get("parameters", ()):
        # What is absent is not sent: null has no form in a path, a query or a header.
        schema = parameter["schema"]
        choices = [choice for choice in schema.pop("anyOf", ()) if choice != {"type": "null"}]
        assert len(choices) < 2, f"{route.path}: {parameter['name']}"
        schema.update(*choices)
        if parameter["in"] == "header":
            parameter["name"] = parameter["name"].title()
        if parameter["name"] == "Idempotency-Key":
            parameter["required"] = True
            schema["pattern"] = IDENTIFIER
    _examples(operation, parts["schemas"])
    responses: dict[str, Any] = {}
    for status, response in operation["responses"].items():
        responses[status] = response
        names = ["RateLimit", "RateLimit-Policy"] if known else []
        if method == "GET" and "application/json" in response.get("content", {}):
            names.append("ETag")
            if _is_list(response, parts["schemas"]):
                names.append("Link")
        if method == "POST" and status == "201":
            names.append("Idempotency-Replayed")
        _add_headers(response, names)
    if "ETag" in str(responses.get("200", {}).get("headers", "")):
        responses["304"] = {"description": "Still what `If-None-Match` names"}
        _add_headers(responses["304"], ["ETag"])
        operation.setdefault("parameters", []).append(
            {
                "name": "If-None-Match",
                "in": "header",
                "required": False,
                "schema": _TEXT,
                "description": "the ETag of what you have",
                "example": '"9f86d081884c7d65"',
            }
        )
    for status, listed in sorted(by_status.items()):
        responses[str(status)] = _problem_response(
            status, listed, responses.get(str(status)), parts["examples"]
        )
    operation["responses"] = dict(sorted(responses.items()))


def _problem_response(
    status: int, listed: list[Problem], before: dict[str, Any] | None, examples: dict[str, Any]
) -> dict[str, Any]:
    named: dict[str, Problem] = {}
    for problem in listed:
        named.setdefault(problem.code, problem)
    shown = {}
    for code, problem in sorted(named.items()):
        key = f"{status}.{code}"
        recorded = status != problem.status
        examples[key] = {
            "summary": code,
            "value": {
                "type": "about:blank" if code == "internal" else f"urn:data-asset-exchange:problem:{code}",
                "title": "Refused, on the record" if recorded else problem.title,
                "status": status,
                "code": code,
                "detail": "what happened, with its figures",
                **{name: text for name, text in (("rule", problem.rule), ("remedy", problem.remedy)) if text},
            },
        }
        shown[code] = {"$ref": f"#/components/examples/{key}"}
    codes = ", ".join(f"`{code}`" for code in sorted(named))
    response: dict[str, Any] = before or {"description": "", "content": {}}
    response["description"] = (
        f"{listed[0].title if status != 422 else 'Against a rule, or refused on the record'}: {codes}"
    )
    response["content"][PROBLEM] = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": shown}
    response["x-problem-codes"] = sorted(named)
    wait = status in (429, 503) or "checkpoint.not_witnessed" in named
    _add_headers(
        response, [*(["Retry-After"] if wait else []), *(["WWW-Authenticate"] if status == 401 else [])]
    )
    return response


def _add_headers(response: dict[str, Any], names: list[str]) -> None:
    if names:
        headers = response.setdefault("headers", {})
        headers.update({name: {"$ref": f"#/components/headers/{name}"} for name in names})


def _is_list(response: dict[str, Any], schemas: Mapping[str, Any]) -> bool:
    """Whether an answer is a page: an array, or an object with a cursor."""
    schema = response["content"]["application/json"]["schema"]
    named = schemas.get(schema.get("$ref", "").rpartition("/")[2], {})
    return schema.get("type") == "array" or "after" in named.get("properties", {})


def _examples(operation: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
    for body in bodies:
        for kind, media in body.get("content", {}).items():
            if "json" in kind and media.get("schema") and "example" not in media:
                media["example"] = example(media["schema"], schemas)
    for parameter in operation.get("parameters", ()):
        if "example" not in parameter and "examples" not in parameter["schema"]:
            parameter["example"] = example(parameter["schema"], schemas, parameter["name"])


def example(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = "") -> Any:
    """A value of a schema: its own example, what its name usually holds, or the plainest one that it allows."""
    if "$ref" in schema:
        return example(schemas[schema["$ref"].rpartition("/")[2]], schemas, name)
    if "examples" in schema:
        return schema["examples"][0]
    for choice in ("const", "default"):
        if schema.get(choice) is not None:
            return schema[choice]
    if "enum" in schema:
        return schema["enum"][0]
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return example(schema[choice][0], schemas, name)
    match schema.get("type"):
        case "object":
            members = schema.get("properties", {})
            return {inner: example(of, schemas, inner) for inner, of in members.items() if inner != "whole"}
        case "array":
            one = [example(schema["items"], schemas, name)] if schema.get("items") else []
            return one * max(1, schema.get("minItems", 1))
        case "string":
            return _string(schema, name)
        case "integer":
            return max(schema.get("minimum", 0), min(schema.get("maximum", 100), 100))
        case "boolean":
            return False
    return {} if schema.get("additionalProperties") else None


def _string(schema: Mapping[str, Any], name: str) -> str:
    pattern = schema.get("pattern")
    usual = EXAMPLES.get(name)
    if usual is not None and (pattern is None or re.search(pattern, usual)):
        return str(usual)
    if pattern is not None:
        for text in ("0" * 63 + "1", "0" * 127 + "1", "1790000000000000", "bytes=0-1023", "x-1"):
            if re.search(pattern, text):
                return text
    return "text".ljust(schema.get("minLength", 0), "-")
