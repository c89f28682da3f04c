"""Routes of complaints: filed by anybody, followed by a tracking number, routed and answered."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from exchange import complaints
from exchange.api.delivery import link_key_of
from exchange.api.doorway import (
    AfterIndex,
    CallerDep,
    GateDep,
    KeyDep,
    Limit,
    Named,
    PagesDep,
    ReaderDep,
    perform,
    visitor,
)
from exchange.messages.complaints import (
    ComplaintAnswer,
    ComplaintAnswered,
    ComplaintAnswerMessage,
    ComplaintMessage,
    ComplaintRouted,
    ComplaintStatus,
    ComplaintView,
    RoutingMessage,
)
from exchange.messages.outcomes import Answer

router = APIRouter(prefix="/v1", tags=["delivery"])


@router.post("/complaints", status_code=201, response_model=ComplaintAnswer)
async def file_complaint(
    body: ComplaintMessage, request: Request, gate: GateDep, reader: ReaderDep, key: KeyDep
) -> Response:
    """Complain of data, a party or the venue; no account is needed. Keep the tracking number: it leads to the answer.

    Without a key take a random Idempotency-Key of your own: whoever knows it and what you wrote gets this answer again.
    """
    act = complaints.FileComplaint(body.topic, body.text, body.asset, body.party, body.contact)
    if reader is None:
        visitor(request)
    caller = reader or complaints.COMPLAINANT
    reply = await gate.perform(
        complaints.file_complaint, act, caller=caller, key=key.key, until_us=key.until_us
    )
    name = orjson.loads(reply.outcome)["complaint"]
    number = complaints.tracking_number(link_key_of(request), "complaint", name)
    headers = {"Idempotency-Replayed": "true"} if reply.repeated else {}
    said = b'{"tracking":' + orjson.dumps(number) + b"," + reply.json()[1:]
    return Response(said, 201, headers, "application/json")


@router.get("/complaints/{tracking}", response_model=ComplaintStatus)
async def follow_complaint(tracking: Named, request: Request, gate: GateDep) -> dict[str, Any]:
    """Where a complaint stands, and its answer, for whoever has the tracking number."""
    complaint = complaints.tracked(link_key_of(request), "complaint", tracking)
    return await gate.read(complaints.followed, complaint, await gate.now_us())


@router.get("/complaints", response_model=list[ComplaintView])
async def list_complaints(
    gate: GateDep, caller: CallerDep, pages: PagesDep, after: AfterIndex = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """Complaints that are yours to answer, or that you filed, oldest first; all of them for a regulator and the venue."""
    now_us = await gate.now_us()
    rows = await gate.read(
        lambda session: complaints.complaints_of(
            session, caller, now_us, after=-1 if after is None else after, limit=limit
        )
    )
    pages.link(rows, limit, lambda row: row["log_index"])
    return rows


@router.post("/complaints/{complaint}/routing", status_code=201, response_model=Answer[ComplaintRouted])
async def route_complaint(
    complaint: Named, body: RoutingMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Give a complaint to the party whose it is to answer; its clock goes on (administrator, regulator)."""
    act = complaints.RouteComplaint(complaint, body.to)
    return await perform(gate, complaints.route_complaint, act, caller, key)


@router.post("/complaints/{complaint}/answer", status_code=201, response_model=Answer[ComplaintAnswered])
async def answer_complaint(
    complaint: Named, body: ComplaintAnswerMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Answer a complaint that is yours, or as the regulator one whose time is over; the answer ends it."""
    act = complaints.AnswerComplaint(complaint, body.decision, body.answer)
    return await perform(gate, complaints.answer_complaint, act, caller, key)
