"""Routes of the regulator: the whole log as a bundle, and the parties."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from exchange import erasure, oversight
from exchange.api.doorway import CallerDep, GateDep, KeyDep, perform
from exchange.messages.market import ErasureMessage

router = APIRouter(prefix="/v1", tags=["regulator"])


@router.get("/audit/bundle", response_class=FileResponse)
async def bundle(gate: GateDep, caller: CallerDep) -> FileResponse:
    """The whole log with bodies, openings and claimed rows; judge it with `exchange audit verify` (regulator)."""
    caller.require("regulator")
    folder = tempfile.TemporaryDirectory(prefix="bundle-")
    path = Path(folder.name) / "bundle.zip"
    size = await gate.read(oversight.export, path, gate.signer)
    return FileResponse(
        path,
        media_type="application/zip",
        filename=f"bundle-{size}.zip",
        background=BackgroundTask(folder.cleanup),
    )


@router.get("/parties")
async def parties(gate: GateDep, caller: CallerDep) -> list[dict[str, Any]]:
    """Every party and its state (regulator, administrator)."""
    caller.require("regulator", "administrator")
    return await gate.read(oversight.parties)


@router.post("/erasures", status_code=201)
async def erase(body: ErasureMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Erase what opens a commitment, for ever; the log goes on verifying (regulator)."""
    act = erasure.EraseOpening(body.commitment, body.ground)
    return await perform(gate, erasure.erase_opening, act, caller, key)
