"""Routes of the carry-over ledger: what public data may earn, and its ceilings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Response

from exchange import revenue
from exchange.api.doorway import CallerDep, GateDep, KeyDep, Named, ReaderDep, perform
from exchange.messages.outcomes import Answer
from exchange.messages.revenue import RevenueAllowed, RevenueMessage, RevenuePeriodView

router = APIRouter(prefix="/v1", tags=["market"])


@router.post("/assets/{asset}/revenue-periods", status_code=201, response_model=Answer[RevenueAllowed])
async def allow_revenue(
    asset: Named, body: RevenueMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Set what an asset may earn in its next period, and so its ceilings; what went over before is deducted (regulator)."""
    lines = {
        "costs": tuple(revenue.CostLine(**dict(one)) for one in body.costs),
        "products": tuple(revenue.ProductLine(**dict(one)) for one in body.products),
    }
    act = revenue.AllowRevenue(asset, **{**dict(body), **lines})
    return await perform(gate, revenue.allow_revenue, act, caller, key)


@router.get("/assets/{asset}/revenue-periods", response_model=list[RevenuePeriodView])
async def revenue_periods(asset: Named, gate: GateDep, reader: ReaderDep) -> Sequence[dict[str, Any]]:
    """The carry-over ledger of an asset, the newest period first: allowed revenue, ceilings, what went over."""
    return await gate.read(revenue.periods, asset, reader)
