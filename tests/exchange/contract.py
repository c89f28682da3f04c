"""Holds every answer that the tests see to the contract: its status, its problem's code, the shape of its body."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import httpx
from fastapi import FastAPI
from jsonschema_rs import Draft202012Validator, Registry

from exchange.api import mount

METHODS = ("get", "post", "put")
CONTRACT = "urn:contract"


@cache
def document() -> dict[str, Any]:
    """The contract; it depends on code alone."""
    app = FastAPI(title="contract", version="0")
    mount(app, sandbox_clock=True)
    return app.openapi()


@cache
def _paths() -> list[tuple[re.Pattern[str], str]]:
    found = []
    for path in document()["paths"]:
        # A path parameter is one segment, except the tile's.
        rest = r".+" if path.startswith("/tile/") else r"[^/:]+"
        found.append((re.compile(re.sub(r"\\{[^}]*\\}", rest, re.escape(path))), path))
    return sorted(found, key=lambda pair: pair[1].count("{"))  # the more literal one first


def operation(method: str, path: str) -> dict[str, Any] | None:
    """What the contract says of a request; None where it has no such route."""
    for pattern, name in _paths():
        if pattern.fullmatch(path):
            found: dict[str, Any] | None = document()["paths"][name].get(method.lower())
            return found
    return None


def faults(schema: dict[str, Any], value: Any) -> list[str]:
    """What is wrong with a value by a schema of the contract."""
    return [
        f"{list(e.instance_path)}: {e.message}" for e in _validator(json.dumps(schema)).iter_errors(value)
    ]


@cache
def _shared() -> Registry:
    """What the schemas of the contract have in common, held once: each validator with a copy would take 5 MB."""
    return Registry([(CONTRACT, {"components": {"schemas": document()["components"]["schemas"]}})])


@cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema.replace('"#/', f'"{CONTRACT}#/')), registry=_shared())


async def hold(response: httpx.Response) -> None:
    """Fail where an answer is not what the contract says of its route."""
    request = response.request
    said = operation(request.method, request.url.path)
    if said is None:
        return
    where = f"{request.method} {request.url.path} -> {response.status_code}"
    told = said["responses"].get(str(response.status_code))
    if response.status_code == 405:
        return
    assert told is not None, f"{where} is not documented"
    await response.aread()
    kind = response.headers.get("content-type", "").partition(";")[0]
    content = told.get("content", {})
    if kind == "application/problem+json":
        code = response.json()["code"]
        assert code in told.get("x-problem-codes", ()), f"{where}: the code {code} is not documented"
    assert not kind or kind in content, f"{where}: {kind} is not documented"
    if "json" in kind:
        found = faults(content[kind]["schema"], response.json())
        assert not found, f"{where}: {found}"
