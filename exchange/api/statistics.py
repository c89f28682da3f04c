"""Route of the market's statistics."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from exchange import statistics as room
from exchange.api.doorway import GateDep
from exchange.messages.statistics import StatisticsView

router = APIRouter(prefix="/v1", tags=["market"])


@router.get("/statistics", response_model=StatisticsView)
async def statistics(gate: GateDep) -> dict[str, Any]:
    """What the market came to: assets by what they are, sales by month and form, lots by how they ended (public)."""
    return await gate.read(room.statistics, await gate.now_us())
