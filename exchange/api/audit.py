"""Routes of whoever checks: the log as a bundle, the parties, and what was to be erased."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import FileResponse
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.background import BackgroundTask

from exchange import erasure, oversight
from exchange.api.doorway import AfterName, CallerDep, GateDep, KeyDep, Limit, PagesDep, perform
from exchange.errors import Forbidden, NotFound
from exchange.messages.market import ErasureMessage
from exchange.messages.outcomes import Answer, OpeningErased
from exchange.messages.shapes import IDENTIFIER
from exchange.messages.views import PartyView
from ledger.errors import LedgerError

router = APIRouter(prefix="/v1", tags=["regulator"])


@router.get(
    "/audit/bundle",
    response_class=FileResponse,
    responses={
        200: {
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
            "description": "A bundle for `exchange audit verify`",
        }
    },
)
async def bundle(
    gate: GateDep,
    caller: CallerDep,
    start: Annotated[int, Query(ge=0, le=2**62, description="index of the first entry")] = 0,
    stop: Annotated[
        int | None, Query(ge=1, le=2**62, description="index behind the last entry; the newest where absent")
    ] = None,
    party: Annotated[
        str | None, Query(pattern=IDENTIFIER, description="only what this party may see (regulator)")
    ] = None,
) -> FileResponse:
    """The log with bodies and claimed rows, to be judged with `exchange audit verify`.

    A regulator gets all of it, or what one party may see; everybody else what their own party may see. A period
    is moved outward to where a batch ended, so that signed checkpoints close it.
    """
    whose = party if "regulator" in caller.roles else caller.party
    if party is not None and party != whose:
        raise Forbidden(
            "bundle.party",
            "this is another party's record",
            field="party",
            rule="a party takes its own record, a regulator anybody's",
            remedy="leave `party` out",
        )
    folder = tempfile.TemporaryDirectory(prefix="bundle-")
    path = Path(folder.name) / "bundle.zip"

    async def export(session: AsyncSession) -> int:
        return await oversight.export(session, path, gate.signer, start=start, stop=stop, party=whose)

    try:
        size = await gate.read(export)
        await gate.head()  # its checkpoints leave with the bundle
    except LedgerError as error:
        folder.cleanup()
        raise NotFound(
            "bundle.period", error.detail, field=error.field, rule=error.rule, remedy=error.remedy
        ) from error
    return FileResponse(
        path,
        media_type="application/zip",
        filename=f"bundle-{start}-{size}.zip",
        background=BackgroundTask(folder.cleanup),
    )


@router.get("/parties", response_model=list[PartyView])
async def parties(
    gate: GateDep, caller: CallerDep, pages: PagesDep, after: AfterName = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """Every party and its state (regulator, administrator)."""
    caller.require("regulator", "administrator")
    rows = await gate.read(oversight.parties, after, limit)
    pages.link(rows, limit, lambda row: row["id"])
    return rows


@router.post("/erasures", status_code=201, response_model=Answer[OpeningErased])
async def erase(body: ErasureMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Erase what opens a commitment, for ever; the log goes on verifying (regulator)."""
    act = erasure.EraseOpening(body.commitment, body.ground)
    return await perform(gate, erasure.erase_opening, act, caller, key)
