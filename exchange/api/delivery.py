"""Routes of delivery: licences, links that expire, and the files behind them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Query, Request, Response

from exchange import delivery
from exchange.api.doorway import (
    AfterIndex,
    AfterName,
    CallerDep,
    GateDep,
    KeyDep,
    Limit,
    Named,
    PagesDep,
    perform,
)
from exchange.api.files import Sent, asked_part
from exchange.delivery import DELIVERY, EndLinks, MakeLink, RecordDownload, SetLicence
from exchange.messages.assets import AccessLog, LicencePage, LicenceView
from exchange.messages.contracts import LicenceStateMessage, LicenceStateSet, LinkMessage, LinksEnded
from exchange.messages.outcomes import Answer, LinkAnswer
from exchange.vault import Vault
from ledger.entries import canonical

router = APIRouter(prefix="/v1", tags=["delivery"])

PRODUCT = {
    kind: {"schema": {"type": "string", "format": "binary"}}
    for kind in ("application/vnd.apache.parquet", "text/csv", "multipart/byteranges")
}
"""What a product comes as."""

POLICY: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/ld+json": {"schema": {"type": "object"}}}, "description": "The policy"}
}


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
    act = MakeLink(licence, message.valid_seconds, message.purpose, message.region)
    reply = await gate.perform(delivery.make_link, act, caller=caller, key=key.key, until_us=key.until_us)
    made = orjson.loads(reply.outcome)
    expires_us, ended = int(made["expires_us"]), int(made["links_ended"])
    signature = delivery.sign_link(link_key_of(request), licence, expires_us, ended)
    link = orjson.dumps(f"/v1/deliveries/{licence}?expires={expires_us}&links={ended}&signature={signature}")
    headers = {"Idempotency-Replayed": "true"} if reply.repeated else {}
    return Response(b'{"link":' + link + b"," + reply.json()[1:], 201, headers, "application/json")


SERVED: dict[int | str, dict[str, Any]] = {
    200: {"content": PRODUCT, "description": "The whole file"},
    206: {"content": PRODUCT, "description": "The part that `Range` asks for (RFC 9110 §14)"},
    416: {"content": PRODUCT, "description": "No such part; `Content-Range` says how many bytes there are"},
}

RangeHeader = Annotated[str, Header(alias="Range", pattern="^(bytes=[0-9, -]{1,180})?$")]
IfRange = Annotated[str, Header(alias="If-Range", max_length=200)]


@router.get("/deliveries/{licence}", response_class=Response, responses=SERVED)
async def deliver(
    licence: Named,
    expires: Annotated[str, Query(pattern="^(0|[1-9][0-9]{0,18})$")],
    signature: Annotated[str, Query(pattern="^[0-9a-f]{64}$")],
    request: Request,
    gate: GateDep,
    links: Annotated[str, Query(pattern="^(0|[1-9][0-9]{0,8})$")] = "0",
    range_: RangeHeader = "",
    if_range: IfRange = "",
) -> Response:
    """The product behind a link, whole or as one range. Every request stands in the log before its first byte flows, and
    what the licence's policy does not permit any more stops between two bytes.
    """
    expires_us, ended = int(expires), int(links)
    delivery.check_link(link_key_of(request), licence, expires_us, signature, await gate.now_us(), ended)
    asset, product = await gate.read(delivery.product_for, licence)
    file = await asyncio.to_thread(vault_of(request).open, product.product_digest)
    try:
        part = asked_part(range_, if_range, f'"{file.digest}"', file.size_bytes)
        if part is not None:
            act = RecordDownload(licence, expires_us, ended, range_, part.length)
            await gate.perform(
                delivery.record_download, act, caller=DELIVERY, key=f"download-{gate.chance(16).hex()}"
            )
    except BaseException:
        file.close()
        raise

    async def may_go_on() -> None:
        now_us = await gate.now_us()
        await gate.read(delivery.require_deliverable, licence, ended, expires_us, now_us)

    return Sent(file, part, asset.code or asset.id, "private, no-store", may_go_on)


@router.get("/assets/{asset}/data", response_class=Response, responses=SERVED)
async def open_data(
    asset: Named, request: Request, gate: GateDep, range_: RangeHeader = "", if_range: IfRange = ""
) -> Response:
    """The product of a registered asset that is open to everybody, whole or as one range: without a licence or an account."""
    row, product = await gate.read(delivery.open_product, asset)
    file = await asyncio.to_thread(vault_of(request).open, product.product_digest)
    part = asked_part(range_, if_range, f'"{file.digest}"', file.size_bytes)
    return Sent(file, part, row.code or row.id, "public, no-cache")


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


@router.get("/licences/{licence}/policy", response_class=Response, responses=POLICY)
async def policy(licence: Named, gate: GateDep, caller: CallerDep) -> Response:
    """A licence as an ODRL 2.2 policy (JSON-LD): what delivery obeys at each stage. For its buyer, the department, its
    operator and the regulator.
    """
    said = await gate.read(delivery.policy, licence, caller)
    return Response(canonical(said), media_type="application/ld+json")


@router.post("/licences/{licence}/state", status_code=201, response_model=Answer[LicenceStateSet])
async def set_state(
    licence: Named, body: LicenceStateMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Suspend a licence, let it work again, or revoke it (its seller, or a regulator). Bytes under way stop."""
    return await perform(
        gate, delivery.set_licence, SetLicence(licence, body.state, body.reason), caller, key
    )


@router.post("/licences/{licence}/links/end", status_code=201, response_model=Answer[LinksEnded])
async def end_links(licence: Named, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """End every link of a licence that was made until now (its buyer, its seller, or a regulator)."""
    return await perform(gate, delivery.end_links, EndLinks(licence), caller, key)
