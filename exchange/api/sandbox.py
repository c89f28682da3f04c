"""The one route that only a sandbox has: its clock. A production market does not even mount it."""

from __future__ import annotations

from fastapi import APIRouter, Response

from exchange import venue
from exchange.api.doorway import CallerDep, GateDep, KeyDep, perform
from exchange.messages.market import ClockMessage
from exchange.messages.outcomes import Answer, ClockMoved

router = APIRouter(prefix="/v1/sandbox", tags=["sandbox"])


@router.post("/clock", status_code=201, response_model=Answer[ClockMoved])
async def move_clock(body: ClockMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Move a sandbox's clock forward (administrator)."""
    return await perform(gate, venue.move_clock, venue.MoveClock(body.by_us), caller, key)
