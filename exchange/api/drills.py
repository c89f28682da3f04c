"""Routes of the drills: an administrator says that one was held, everybody sees how it ended."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from exchange import venue
from exchange.api.doorway import AfterIndex, CallerDep, GateDep, KeyDep, Limit, PagesDep, perform
from exchange.messages.drills import DrillMessage
from exchange.messages.outcomes import Answer, DrillHeld
from exchange.messages.views import DrillView

router = APIRouter(prefix="/v1", tags=["drills"])


@router.get("/drills", response_model=list[DrillView])
async def all_drills(
    gate: GateDep, pages: PagesDep, after: AfterIndex = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """The drills that were held, newest first: which, when, how they ended, and the digest of each report."""
    rows = await gate.read(venue.drills, after, limit)
    pages.link(rows, limit, lambda row: row["index"])
    return rows


@router.post("/drills", status_code=201, response_model=Answer[DrillHeld])
async def record_drill(body: DrillMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Put a drill that was held on the record (administrator)."""
    act = venue.RecordDrill(
        body.case, body.cause, body.kept, body.began_us, body.ended_us, body.acknowledged, body.lost, body.ghosts,
        body.outage_ms, bytes.fromhex(body.report),
    )  # fmt: skip
    return await perform(gate, venue.record_drill, act, caller, key)
