"""Routes of the public log: checkpoint, tiles, proofs, and receipts for whoever may have them."""

from __future__ import annotations

import gzip
import re
from base64 import b64encode
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from exchange import oversight, venue
from exchange.api.doorway import AfterIndex, CallerDep, GateDep, Limit, PagesDep
from exchange.database import driver
from exchange.errors import NotFound, NotYet, Unavailable
from exchange.gate import Gate
from exchange.messages.outcomes import ReceiptView
from exchange.messages.views import AnchorView, AnchorWatchView, ConsistencyView, LeafView, ProvenLeafView
from ledger import cosignatures, log
from ledger.anchors import anchors, watch
from ledger.checkpoint import sign
from ledger.entries import receipt_to_json
from ledger.errors import BehindError, LedgerError
from ledger.proof import TlogProof
from ledger.tiles import TILE, parse_entries_path, parse_tile_path

router = APIRouter(tags=["log"])

FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
TEXT: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/plain": {"schema": {"type": "string"}}},
        "description": "A text that is signed or verified as it is",
    }
}
OCTETS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        "description": "Bytes that never change",
    }
}
Index = Annotated[int, Path(ge=0, le=2**62, description="index in the log, from 0")]

_GZIP = re.compile(r"(?:^|[,\s])gzip\s*(?:$|,|;\s*q=(?!0(?:\.0*)?\s*(?:$|,)))")


@router.head("/checkpoint", include_in_schema=False)
@router.get("/checkpoint", response_class=Response, responses=TEXT)
async def checkpoint(gate: GateDep) -> Response:
    """The newest signed checkpoint (C2SP tlog-checkpoint).

    The log's URL prefix, for clients of C2SP tlog-tiles, is the address of this server: checkpoint and tiles lie
    at its root.
    """
    head = await gate.head()
    return Response(
        sign(head.checkpoint(), gate.signer),
        media_type="text/plain; charset=utf-8",
        headers={"Cache-Control": "no-cache"},
    )


@router.head("/tile/entries/{path:path}", include_in_schema=False)
@router.get("/tile/entries/{path:path}", response_class=Response, responses=OCTETS)
async def entries(path: str, request: Request, gate: GateDep) -> Response:
    """A bundle of public leaves, `N[.p/W]` (C2SP tlog-tiles): each after its length in two bytes; gzip where asked."""
    try:
        n, width = parse_entries_path(f"tile/entries/{path}")
    except LedgerError as error:
        raise _unknown(str(error)) from error
    bundle = await gate.read(_entry_bundle, n, width)
    headers = {**FOREVER, "Vary": "Accept-Encoding"}
    if _GZIP.search(request.headers.get("Accept-Encoding", "")):
        bundle, headers["Content-Encoding"] = gzip.compress(bundle, 6, mtime=0), "gzip"
    return Response(bundle, media_type="application/octet-stream", headers=headers)


@router.head("/tile/{path:path}", include_in_schema=False)
@router.get("/tile/{path:path}", response_class=Response, responses=OCTETS)
async def tile(path: str, gate: GateDep) -> Response:
    """A tile of hashes, `L/N[.p/W]` (C2SP tlog-tiles): 32 bytes each, of 256**L leaves each.

    Every width that the tree has reached is served, and never changes.
    """
    try:
        level, n, width = parse_tile_path(f"tile/{path}")
    except LedgerError as error:
        raise _unknown(str(error)) from error
    hashes = await _read(gate, _tile, level, n, width)
    return Response(hashes, media_type="application/octet-stream", headers=FOREVER)


@router.get("/v1/log", response_model=list[LeafView])
async def recent(
    gate: GateDep,
    pages: PagesDep,
    before: Annotated[int | None, Query(ge=0, description="only entries before this index")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[dict[str, str]]:
    """The newest public leaves, newest first."""
    rows = await gate.read(_newest, before, limit)
    pages.link(rows, limit, lambda row: row["index"], "before")
    return rows


@router.get("/v1/log/witnessed", response_class=Response, responses=TEXT)
async def witnessed_checkpoint(request: Request, gate: GateDep) -> Response:
    """The newest checkpoint that the quorum of witnesses cosigned, with their signatures; 409 before the first."""
    _, note = await _witnessed(request, gate)
    return Response(note, media_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-cache"})


@router.get("/v1/log/ended", response_class=Response, responses=TEXT)
async def ended(gate: GateDep) -> Response:
    """The signed note with which the log ended that this one goes on from; 404 where there was none."""
    return Response(await gate.read(venue.predecessor), media_type="text/plain; charset=utf-8")


@router.get("/v1/log/{index}", response_model=ProvenLeafView, response_model_exclude_none=True)
async def entry(
    index: Index,
    gate: GateDep,
    size: Annotated[
        int | None, Query(ge=1, le=2**62, description="prove it in the tree of so many leaves")
    ] = None,
) -> dict[str, Any]:
    """A public leaf with its inclusion proof under the newest checkpoint.

    Under an earlier `size` the proof leads to the root of that size, which you hold a checkpoint of: the answer
    carries none.
    """
    leaf, proof, head = await _read(gate, _proven, index, size)
    await gate.confirm(head.edge.size)
    found = {
        "index": str(index),
        "leaf": b64encode(leaf).decode(),
        "size": str(size or head.edge.size),
        "proof": [b64encode(h).decode() for h in proof],
    }
    return found if size else {**found, "checkpoint": sign(head.checkpoint(), gate.signer)}


@router.get("/v1/log/{index}/proof", response_class=Response, responses=TEXT)
async def tlog_proof(
    index: Index,
    request: Request,
    gate: GateDep,
    witnessed: Annotated[
        bool, Query(description="under the newest checkpoint that the quorum of witnesses cosigned")
    ] = False,
) -> Response:
    """The place of an entry under the newest checkpoint as a `.tlog-proof` file (C2SP tlog-proof).

    With `witnessed` the checkpoint carries the witnesses' cosignatures; 409 while none of them covers the entry.
    """
    if witnessed:
        size, note = await _witnessed(request, gate)
        if index >= size:
            raise _not_witnessed(f"{size} entries are witnessed, entry {index} not yet")
        _, proof, _ = await _read(gate, _proven, index, size)
    else:
        _, proof, head = await _read(gate, _proven, index, None)
        await gate.confirm(head.edge.size)
        note = sign(head.checkpoint(), gate.signer)
    text = TlogProof(index, tuple(proof), note).text()
    return Response(
        text,
        media_type="text/plain; charset=utf-8",
        headers={
            "Cache-Control": "no-cache",
            "Content-Disposition": f'attachment; filename="entry-{index}.tlog-proof"',
        },
    )


@router.get("/v1/consistency", response_model=ConsistencyView)
async def consistency(
    gate: GateDep, old: Annotated[int, Query(ge=1)], new: Annotated[int, Query(ge=1)]
) -> dict[str, Any]:
    """The proof that the tree of `new` leaves begins with that of `old`, for any two sizes that the log has had."""
    proof = await _read(gate, _consistency, old, new)
    return {"old": str(old), "new": str(new), "proof": [b64encode(h).decode() for h in proof]}


@router.get("/v1/receipts/{index}", response_model=ReceiptView, response_model_exclude_none=True)
async def receipt(index: Index, gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """The receipt of an entry of yours, as it was first given; of any entry for a regulator."""
    await gate.read(oversight.require_entry, caller, index)
    try:
        return receipt_to_json(await gate.receipt(index))
    except LedgerError as error:
        raise NotFound("entry.unknown", f"no entry {index} of yours", field="index") from error


@router.get("/v1/anchors", response_model=list[AnchorView])
async def all_anchors(
    gate: GateDep, pages: PagesDep, after: AfterIndex = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """The checkpoints that were put on a chain, oldest first: pending, confirmed, final or refused."""
    rows = await gate.read(_anchors, after or 0, limit)
    pages.link(rows, limit, lambda row: row["size"])
    return rows


@router.get("/v1/anchors/watch", response_model=AnchorWatchView)
async def anchor_watch(gate: GateDep) -> dict[str, Any]:
    """What the exchange last saw of the chain: its contract's newest size, what is amiss since when, and what was."""
    return await gate.read(_watch)


async def _witnessed(request: Request, gate: Gate) -> tuple[int, str]:
    async def ask(session: AsyncSession) -> tuple[int, str] | None:
        connection = await driver(session)
        begun = await venue.begun(connection)
        return await cosignatures.witnessed(connection, gate.signer, request.app.state.policy, begun)

    found = await gate.read(ask)
    if found is None:
        raise _not_witnessed("no checkpoint has the signatures of the quorum")
    return found


def _not_witnessed(detail: str) -> NotYet:
    return NotYet(
        "checkpoint.not_witnessed",
        detail,
        retry_after_s=5,
        rule="witnesses are asked every few seconds, and sign what they have judged",
        remedy="ask again a little later; a receipt holds as it is, and can be completed then",
    )


async def _newest(session: AsyncSession, before: int | None, limit: int) -> list[dict[str, str]]:
    return [
        {"index": str(i), "kind": leaf.kind, "time_us": str(leaf.time_us), "digest": leaf.digest.hex()}
        for i, leaf in await log.newest(await driver(session), before, limit)
    ]


async def _read(gate: Gate, read: Any, *arguments: Any) -> Any:
    """A read that may need tiles which the worker has not written yet."""
    try:
        return await gate.read(read, *arguments)
    except BehindError as error:
        raise _behind(error) from error


async def _proven(session: AsyncSession, index: int, size: int | None) -> tuple[bytes, list[bytes], log.Head]:
    """The public leaf, its inclusion proof in the tree of `size` (of all without), and the head."""
    connection = await driver(session)
    head = await log.read_head(connection)
    if size is not None and size > head.edge.size:
        raise _no_sizes(head, "size", "1 <= size <= size of the log")
    if index >= (size or head.edge.size):
        raise NotFound(
            "entry.unknown",
            f"that tree has {size or head.edge.size} entries",
            field="index",
            rule="index < size",
        )
    leaf = b""
    async for found in log.entries(connection, index, index + 1):
        leaf = found.leaf
    return leaf, await log.prove_inclusion(connection, index, size or head.edge.size), head


async def _tile(session: AsyncSession, level: int, n: int, width: int) -> bytes:
    connection = await driver(session)
    size = (await log.read_head(connection)).edge.size >> (8 * level)
    _within(n, width, size)
    return await log.read_tile(connection, level, n, width)


async def _entry_bundle(session: AsyncSession, n: int, width: int) -> bytes:
    connection = await driver(session)
    _within(n, width, (await log.read_head(connection)).edge.size)
    return await log.read_entry_bundle(connection, n, width)


def _within(n: int, width: int, size: int) -> None:
    if n * TILE + width > size:
        raise _unknown(f"this level has {size} hashes")


async def _consistency(session: AsyncSession, old: int, new: int) -> list[bytes]:
    connection = await driver(session)
    head = await log.read_head(connection)
    if not old <= new <= head.edge.size:
        raise _no_sizes(head, "new", "1 <= old <= new <= size of the log")
    return await log.prove_consistency(connection, old, new)


def _no_sizes(head: log.Head, field: str, rule: str) -> NotFound:
    return NotFound("log.sizes", f"the log has {head.edge.size} entries", field=field, rule=rule)


def _unknown(detail: str) -> NotFound:
    return NotFound("tile.unknown", detail, field="path", rule="C2SP tlog-tiles")


def _behind(error: BehindError) -> Unavailable:
    return Unavailable("tile.behind", error.detail, retry_after_s=5, remedy=error.remedy)


async def _watch(session: AsyncSession) -> dict[str, Any]:
    seen = await watch(await driver(session))
    if seen is None:
        raise NotFound("anchors.none", "this exchange has not looked at a chain yet", field="path")
    return {
        "contract": seen.contract,
        "looked_us": str(seen.looked_us),
        "size": None if seen.size is None else str(seen.size),
        "trouble": None if seen.trouble is None else seen.trouble.trouble,
        "trouble_since_us": None if seen.trouble is None else str(seen.trouble.began_us),
        # Without the detail, which names the operator's own node.
        "troubles": [
            {
                "trouble": one.trouble,
                "began_us": str(one.began_us),
                "ended_us": None if one.ended_us is None else str(one.ended_us),
            }
            for one in seen.troubles
        ],
    }


async def _anchors(session: AsyncSession, after: int, limit: int) -> list[dict[str, Any]]:
    return await anchors(await driver(session), after=after, limit=limit)
