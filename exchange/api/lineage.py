"""Routes of lineage: what an asset was made of, and which edition came after it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from exchange import lineage as room
from exchange.api.doorway import CallerDep, GateDep, KeyDep, Named, ReaderDep, perform
from exchange.messages.assets import LineageMessage, LineageView
from exchange.messages.outcomes import Answer, LineageDeclared

router = APIRouter(prefix="/v1", tags=["assets"])


@router.post("/assets/{asset}/parents", status_code=201, response_model=Answer[LineageDeclared])
async def declare_lineage(
    asset: Named, body: LineageMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Say what your asset was derived from, or whose next edition it is, before its risk assessment (supplier)."""
    act = room.DeclareLineage(asset, body.parent, body.relation)
    return await perform(gate, room.declare_lineage, act, caller, key)


@router.get("/assets/{asset}/lineage", response_model=LineageView)
async def lineage(asset: Named, gate: GateDep, reader: ReaderDep) -> dict[str, Any]:
    """An asset's parents, what was made of it, and its newest edition."""
    return await gate.read(room.lineage, asset, reader)
