"""Routes of what departments add to an asset that was made of several: measurements, and their acceptance."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from exchange import contributions as room
from exchange.api.doorway import CallerDep, GateDep, KeyDep, Named, perform
from exchange.messages.contributions import (
    ContributionsAnswerMessage,
    ContributionsMessage,
    ContributionsView,
)
from exchange.messages.outcomes import Answer, ContributionsAnswered, ContributionsFiled

router = APIRouter(prefix="/v1", tags=["assets"])


@router.get("/assets/{asset}/contributions", response_model=list[ContributionsView])
async def measured(asset: Named, gate: GateDep, caller: CallerDep) -> list[dict[str, Any]]:
    """What was measured that each department's data adds, newest first, and their shares (those departments, regulator)."""
    return await gate.read(room.measured, caller, asset)


@router.post("/assets/{asset}/contributions", status_code=201, response_model=Answer[ContributionsFiled])
async def file_contributions(
    asset: Named, body: ContributionsMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Put a measurement before the departments; once all have accepted it, sales are shared by it (supplier)."""
    act = room.FileContributions(
        asset, tuple(body.departments), tuple(body.worths), body.measure, body.evidence
    )
    return await perform(gate, room.file_contributions, act, caller, key)


@router.post(
    "/contributions/{contributions}/answer", status_code=201, response_model=Answer[ContributionsAnswered]
)
async def answer_contributions(
    contributions: Named,
    body: ContributionsAnswerMessage,
    gate: GateDep,
    caller: CallerDep,
    key: KeyDep,
) -> Response:
    """Accept a measurement for your department, or reject it (supplier)."""
    act = room.AnswerContributions(contributions, body.accept)
    return await perform(gate, room.answer_contributions, act, caller, key)
