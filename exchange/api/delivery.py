"""Routes of delivery: licences, links that expire, and the files behind them."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from pathlib import Path
from typing import Annotated

import orjson
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import FileResponse

from exchange import delivery
from exchange.api.doorway import AfterIndex, AfterName, CallerDep, GateDep, KeyDep, Limit, Named, PagesDep
from exchange.delivery import DELIVERY, MakeLink, RecordDownload
from exchange.messages.assets import AccessLog, LicencePage, LicenceView, LinkMessage
from exchange.messages.outcomes import LinkAnswer
from exchange.vault import Vault

router = APIRouter(prefix="/v1", tags=["delivery"])

PRODUCT = {
    kind: {"schema": {"type": "string", "format": "binary"}}
    for kind in ("application/vnd.apache.parquet", "text/csv", "multipart/byteranges")
}
"""What a product comes as."""


def vault_of(request: Request) -> Vault:
    """The vault of the application that serves this request."""
    vault: Vault = request.app.state.vault
    return vault


def link_key_of(request: Request) -> bytes:
    """The key that signs this exchange's links."""
    key: bytes = request.app.state.link_key
    return key


@router.post("/licences/{licence}/links", status_code=201, response_model=LinkAnswer)
async def make_link(
    licence: Named, message: LinkMessage, request: Request, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Make a link to a licensed product that works without a key until it expires, at most seven days.

    The answer's `link` is relative to this server; the log only says that a link was made, and until when.
    """
    act = MakeLink(licence, message.valid_seconds)
    reply = await gate.perform(delivery.make_link, act, caller=caller, key=key.key, until_us=key.until_us)
    expires_us = int(orjson.loads(reply.outcome)["expires_us"])
    signature = delivery.sign_link(link_key_of(request), licence, expires_us)
    link = orjson.dumps(f"/v1/deliveries/{licence}?expires={expires_us}&signature={signature}")
    headers = {"Idempotency-Replayed": "true"} if reply.repeated else {}
    return Response(b'{"link":' + link + b"," + reply.json()[1:], 201, headers, "application/json")


@router.get(
    "/deliveries/{licence}",
    response_class=FileResponse,
    responses={
        200: {"content": PRODUCT, "description": "The whole file"},
        206: {"content": PRODUCT, "description": "The part that `Range` asks for (RFC 9110 §14)"},
        400: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        416: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "No such part"},
    },
)
async def deliver(
    licence: Named,
    expires: Annotated[str, Query(pattern="^(0|[1-9][0-9]{0,18})$")],
    signature: Annotated[str, Query(pattern="^[0-9a-f]{64}$")],
    request: Request,
    gate: GateDep,
    range_: Annotated[str, Header(alias="Range", pattern="^(bytes=[0-9, -]{1,180})?$")] = "",
) -> FileResponse:
    """The product behind a link, whole or in ranges. Every request stands in the log before its first byte flows."""
    now_us = await gate.now_us()
    delivery.check_link(link_key_of(request), licence, int(expires), signature, now_us)
    asset, product = await gate.read(delivery.product_for, licence)
    path = await asyncio.to_thread(vault_of(request).product, product.product_digest)
    await gate.perform(
        delivery.record_download,
        RecordDownload(licence, int(expires), range_),
        caller=DELIVERY,
        key=f"download-{gate.chance(16).hex()}",
    )
    suffix, media_type = await asyncio.to_thread(_form, path)
    digest = b64encode(bytes.fromhex(product.product_digest)).decode()
    return FileResponse(
        path,
        filename=f"{asset.code}{suffix}",
        media_type=media_type,
        headers={
            "ETag": f'"{product.product_digest}"',
            "Repr-Digest": f"sha-256=:{digest}:",
            "Cache-Control": "private, no-store",
        },
    )


def _form(path: Path) -> tuple[str, str]:
    """Suffix and media type of a product: Parquet by its first bytes, CSV otherwise."""
    with path.open("rb") as file:
        if file.read(4) == b"PAR1":
            return ".parquet", "application/vnd.apache.parquet"
    return ".csv", "text/csv"


@router.get("/licences")
async def licences(
    gate: GateDep,
    caller: CallerDep,
    pages: PagesDep,
    after: AfterName = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> LicencePage:
    """The caller's licences, a page at a time."""
    rows = await gate.read(lambda session: delivery.licences_of(session, caller, after=after, limit=limit))
    pages.link(rows, limit, lambda row: row["id"])
    return LicencePage.model_validate(
        {"licences": rows, "after": rows[-1]["id"] if len(rows) == limit else None}
    )


@router.get("/licences/{licence}")
async def licence(licence: Named, gate: GateDep, caller: CallerDep) -> LicenceView:
    """One licence of the caller's."""
    return LicenceView.model_validate(await gate.read(delivery.licence, licence, caller))


@router.get("/licences/{licence}/accesses")
async def accesses(
    licence: Named,
    gate: GateDep,
    caller: CallerDep,
    pages: PagesDep,
    after: AfterIndex = None,
    limit: Limit = 100,
) -> AccessLog:
    """Who fetched what under a licence: for its buyer, the department, its operator and the regulator."""
    rows = await gate.read(delivery.accesses_of, licence, caller, -1 if after is None else after, limit)
    pages.link(rows, limit, lambda row: row["log_index"])
    return AccessLog.model_validate({"licence": licence, "accesses": rows})
