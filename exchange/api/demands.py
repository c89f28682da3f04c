"""Routes of the demand board: wants that everybody browses, and the answers of who has what is wanted."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from exchange import demands
from exchange.api.doorway import AfterIndex, CallerDep, GateDep, KeyDep, Limit, Named, PagesDep, perform
from exchange.messages.demands import (
    DemandAnswered,
    DemandAnswerMessage,
    DemandDetail,
    DemandMessage,
    DemandPosted,
    DemandView,
    DemandWithdrawn,
)
from exchange.messages.outcomes import Answer
from exchange.messages.shapes import Purpose

router = APIRouter(prefix="/v1", tags=["demand board"])


@router.get("/demands", response_model=list[DemandView])
async def all_demands(
    gate: GateDep,
    pages: PagesDep,
    purpose: Annotated[Purpose | None, Query(description="of this purpose alone")] = None,
    every: Annotated[bool, Query(description="those that are over too")] = False,
    after: AfterIndex = None,
    limit: Limit = 100,
) -> list[dict[str, Any]]:
    """What buyers want, newest first."""
    rows = await gate.read(demands.demands, await gate.now_us(), purpose, every, after, limit)
    pages.link(rows, limit, lambda row: row["log_index"])
    return rows


@router.post("/demands", status_code=201, response_model=Answer[DemandPosted])
async def post_demand(body: DemandMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Say what data you want, for which purpose and at what price (buyer)."""
    act = demands.PostDemand(
        body.subject, body.purpose, body.low_fen, body.high_fen, body.term_days, body.open_days
    )
    return await perform(gate, demands.post_demand, act, caller, key)


@router.get("/demands/{demand}", response_model=DemandDetail)
async def one_demand(demand: Named, gate: GateDep) -> dict[str, Any]:
    """One want with its answers."""
    return await gate.read(demands.demand, demand, await gate.now_us())


@router.post("/demands/{demand}/answers", status_code=201, response_model=Answer[DemandAnswered])
async def answer_demand(
    demand: Named, body: DemandAnswerMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Answer a want with an asset of yours, and its listing where it is on offer (supplier)."""
    act = demands.AnswerDemand(demand, body.asset, body.words, body.listing)
    return await perform(gate, demands.answer_demand, act, caller, key)


@router.post("/demands/{demand}/withdrawal", status_code=201, response_model=Answer[DemandWithdrawn])
async def withdraw_demand(demand: Named, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Take your want off the board (its buyer)."""
    return await perform(gate, demands.withdraw_demand, demands.WithdrawDemand(demand), caller, key)
