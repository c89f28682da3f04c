"""Routes of the public log: checkpoint, tiles, proofs, live events, and receipts for whoever may have them."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession

from exchange import oversight
from exchange.api.doorway import CallerDep, GateDep
from exchange.database import driver
from exchange.errors import NotFound
from ledger import log
from ledger.anchors import anchors
from ledger.checkpoint import Signer, sign
from ledger.entries import receipt_to_json
from ledger.errors import LedgerError
from ledger.tiles import TILE, parse_entries_path, parse_tile_path

router = APIRouter(tags=["log"])

FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
HEARTBEAT_S = 10.0
POLL_S = 1.0
"""How soon a batch of another process on the same database is told."""

Index = Annotated[int, Path(ge=0, le=2**62, description="index in the log, from 0")]


@router.get("/checkpoint", response_class=Response)
async def checkpoint(gate: GateDep) -> Response:
    """The newest signed checkpoint (C2SP tlog-checkpoint)."""
    head = await gate.read(_head)
    return Response(
        sign(head.checkpoint(), gate.signer),
        media_type="text/plain; charset=utf-8",
        headers={"Cache-Control": "no-cache"},
    )


@router.get("/tile/{path:path}", response_class=Response)
async def tile(path: str, gate: GateDep) -> Response:
    """A tile of hashes, or a bundle of public leaves under `entries/` (C2SP tlog-tiles)."""
    full = f"tile/{path}"
    try:
        if path.startswith("entries/"):
            n, width = parse_entries_path(full)
            content = await gate.read(_entry_bundle, n, width)
        else:
            level, n, width = parse_tile_path(full)
            content = await gate.read(_tile, level, n, width)
    except LedgerError as error:
        raise NotFound("tile.unknown", str(error), field="path", rule="C2SP tlog-tiles") from error
    return Response(content, media_type="application/octet-stream", headers=FOREVER)


@router.get("/v1/log")
async def recent(
    gate: GateDep,
    before: Annotated[int | None, Query(ge=0, description="only entries before this index")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[dict[str, str]]:
    """The newest public leaves, newest first."""
    return await gate.read(_newest, before, limit)


@router.get("/v1/log/{index}")
async def proof(index: Index, gate: GateDep) -> dict[str, Any]:
    """A public leaf with its inclusion proof under the newest checkpoint."""
    return await gate.read(prove, index, gate.signer)


@router.get("/v1/consistency")
async def consistency(
    gate: GateDep, old: Annotated[int, Query(ge=1)], new: Annotated[int, Query(ge=1)]
) -> dict[str, Any]:
    """The consistency proof between two sizes of the log."""
    return {"old": str(old), "new": str(new), "proof": await gate.read(_consistency, old, new)}


@router.get("/v1/receipts/{index}")
async def receipt(index: Index, gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """The receipt of an entry of yours, as it was first given; of any entry for a regulator."""
    await gate.read(oversight.require_entry, caller, index)
    try:
        return receipt_to_json(await gate.receipt(index))
    except LedgerError as error:
        raise NotFound("entry.unknown", f"no entry {index} of yours", field="index") from error


@router.get("/v1/anchors")
async def all_anchors(gate: GateDep) -> list[dict[str, Any]]:
    """The checkpoints that were put on a chain."""
    return await gate.read(_anchors)


@router.get("/v1/events", response_class=StreamingResponse)
async def events(request: Request, gate: GateDep) -> StreamingResponse:
    """Server-sent events: `head` with the log's size after each batch, and a comment as heartbeat."""
    return StreamingResponse(
        _heads(request, gate),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _heads(request: Request, gate: Any) -> AsyncIterator[bytes]:
    wake = asyncio.Event()
    leave = gate.subscribe(lambda _size: wake.set())
    told, silent_s = -1, 0.0
    try:
        while not await request.is_disconnected() and not request.app.state.stopping.is_set():
            head = await gate.read(_head)
            if head.edge.size != told:
                told, silent_s = head.edge.size, 0.0
                data = orjson.dumps({"size": str(told), "time_us": str(head.time_us)})
                yield b"event: head\nid: %d\ndata: %b\n\n" % (told, data)
            elif silent_s >= HEARTBEAT_S:
                silent_s = 0.0
                yield b": still at %d\n\n" % told
            wake.clear()
            try:
                await asyncio.wait_for(wake.wait(), POLL_S)
            except TimeoutError:
                silent_s += POLL_S
    finally:
        leave()


async def _newest(session: AsyncSession, before: int | None, limit: int) -> list[dict[str, str]]:
    return [
        {"index": str(i), "kind": leaf.kind, "time_us": str(leaf.time_us), "digest": leaf.digest.hex()}
        for i, leaf in await log.newest(await driver(session), before, limit)
    ]


async def prove(session: AsyncSession, index: int, signer: Signer) -> dict[str, Any]:
    """A public leaf, its inclusion proof, and the checkpoint that the proof leads to."""
    connection = await driver(session)
    head = await log.read_head(connection)
    if index >= head.edge.size:
        raise NotFound("entry.unknown", f"the log has {head.edge.size} entries", field="index")
    leaf = b""
    async for entry in log.entries(connection, index, index + 1):
        leaf = entry.leaf
    hashes = await log.prove_inclusion(connection, index, head.edge.size)
    return {
        "index": str(index),
        "leaf": b64encode(leaf).decode(),
        "size": str(head.edge.size),
        "proof": [b64encode(h).decode() for h in hashes],
        "checkpoint": sign(head.checkpoint(), signer),
    }


async def _head(session: AsyncSession) -> log.Head:
    return await log.read_head(await driver(session))


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
        raise NotFound("tile.unknown", f"this level has {size} hashes", field="path")


async def _consistency(session: AsyncSession, old: int, new: int) -> list[str]:
    connection = await driver(session)
    size = (await log.read_head(connection)).edge.size
    if not old <= new <= size:
        raise NotFound(
            "log.sizes", f"the log has {size} entries", field="new", rule="1 <= old <= new <= size of the log"
        )
    return [b64encode(h).decode() for h in await log.prove_consistency(connection, old, new)]


async def _anchors(session: AsyncSession) -> list[dict[str, Any]]:
    return await anchors(await driver(session))
