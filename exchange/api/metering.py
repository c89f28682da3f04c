"""Routes of what is charged by use: subscriptions, usage, statements."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from exchange import metering
from exchange.api.doorway import (
    AfterIndex,
    CallerDep,
    GateDep,
    KeyDep,
    Limit,
    Named,
    PagesDep,
    SignedDep,
    perform,
)
from exchange.messages.metering import (
    Subscribed,
    SubscriptionMessage,
    SubscriptionView,
    UsageMessage,
    UsageRecorded,
    UsageSettled,
    UsageStatementDetail,
    UsageStatementView,
)
from exchange.messages.outcomes import Answer
from exchange.sheets import BOM, CSV, sheet_lines

router = APIRouter(prefix="/v1", tags=["market"])

Number = Annotated[int, Path(ge=1, le=10_000, description="which statement, from 1")]
SHEET: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "A sheet (RFC 4180)"}
}


@router.post("/listings/{listing}/subscriptions", status_code=201, response_model=Answer[Subscribed])
async def subscribe(
    listing: Named,
    body: SubscriptionMessage,
    gate: GateDep,
    caller: CallerDep,
    key: KeyDep,
    signed: SignedDep,
) -> Response:
    """Subscribe to a metered product with a quota, paid ahead or held until it is charged (buyer)."""
    act = metering.Subscribe(listing, body.quota, body.prepaid, body.purpose, signed, body.discount)
    return await perform(gate, metering.subscribe, act, caller, key)


@router.get("/subscriptions", response_model=list[SubscriptionView])
async def subscriptions(
    gate: GateDep, caller: CallerDep, pages: PagesDep, after: AfterIndex = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """The subscriptions that your party has, sells or meters, newest first; all of them for a regulator."""
    rows = await gate.read(metering.subscriptions, caller, after, limit)
    pages.link(rows, limit, lambda row: row["index"])
    return rows


@router.get("/subscriptions/{subscription}", response_model=SubscriptionView)
async def one_subscription(subscription: Named, gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """One of your subscriptions, with what was used of its quota."""
    return await gate.read(metering.subscription, caller, subscription)


@router.post("/subscriptions/{subscription}/usage", status_code=201, response_model=Answer[UsageRecorded])
async def record_usage(
    subscription: Named, body: UsageMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Record what was used, by your gateway's count; nothing is used beyond the quota (supplier, operator)."""
    act = metering.RecordUsage(subscription, body.quantity)
    return await perform(gate, metering.record_usage, act, caller, key)


@router.post("/subscriptions/{subscription}/end", status_code=201, response_model=Answer[UsageSettled])
async def end_subscription(subscription: Named, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """End a subscription of yours: what was used is settled, what is held beyond it goes back (buyer)."""
    act = metering.EndSubscription(subscription)
    return await perform(gate, metering.end_subscription, act, caller, key)


@router.get("/subscriptions/{subscription}/statements", response_model=list[UsageStatementView])
async def usage_statements(subscription: Named, gate: GateDep, caller: CallerDep) -> list[dict[str, Any]]:
    """The statements of a subscription, the first one first."""
    return await gate.read(metering.statements, caller, subscription)


@router.get("/subscriptions/{subscription}/statements/{number}", response_model=UsageStatementDetail)
async def usage_statement(
    subscription: Named, number: Number, gate: GateDep, caller: CallerDep
) -> dict[str, Any]:
    """One statement with the records that it sums up."""
    return await gate.read(metering.statement, caller, subscription, number)


@router.get(
    "/subscriptions/{subscription}/statements/{number}/sheet.csv", response_class=Response, responses=SHEET
)
async def usage_sheet(subscription: Named, number: Number, gate: GateDep, caller: CallerDep) -> Response:
    """The same as a sheet: a line for each record, then what they sum up to and cost."""
    told = await gate.read(metering.statement, caller, subscription, number)
    return Response(BOM + sheet_lines(metering.sheet(told)), media_type=CSV)
