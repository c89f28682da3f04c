"""Routes of a person's question: asked by anybody, sealed to the department, answered sealed."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from exchange import inquiries
from exchange.api.delivery import link_key_of
from exchange.api.doorway import (
    AfterIndex,
    CallerDep,
    GateDep,
    KeyDep,
    Limit,
    Named,
    PagesDep,
    perform,
    visitor,
)
from exchange.complaints import tracked, tracking_number
from exchange.messages.inquiries import (
    InquiryAnswered,
    InquiryAnswerMessage,
    InquiryAnswerView,
    InquiryKeyMessage,
    InquiryKeySet,
    InquiryKeyView,
    InquiryMessage,
    InquiryReceived,
    InquiryView,
)
from exchange.messages.outcomes import Answer

router = APIRouter(prefix="/v1", tags=["assets"])


@router.post("/inquiry-key", status_code=201, response_model=Answer[InquiryKeySet])
async def set_inquiry_key(body: InquiryKeyMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Name the public key that questions to your department are sealed to from now on (supplier)."""
    act = inquiries.SetInquiryKey(body.public)
    return await perform(gate, inquiries.set_inquiry_key, act, caller, key)


@router.get("/assets/{asset}/inquiry-key", response_model=InquiryKeyView)
async def inquiry_key(asset: Named, gate: GateDep) -> dict[str, Any]:
    """The key to seal a question of an asset to, for everybody."""
    return await gate.read(inquiries.key_of, asset)


@router.post("/assets/{asset}/inquiries", status_code=201, response_model=InquiryReceived)
async def inquire(
    asset: Named, body: InquiryMessage, request: Request, gate: GateDep, key: KeyDep
) -> Response:
    """Ask whether a record about you is inside, sealed to the department; no account is needed, and none is taken.

    Keep the tracking number: it leads to the answer, which opens with the key that your question names.
    """
    visitor(request)
    act = inquiries.Inquire(asset, body.public, body.question)
    reply = await gate.perform(
        inquiries.inquire, act, caller=inquiries.INQUIRER, key=key.key, until_us=key.until_us
    )
    name = orjson.loads(reply.outcome)["inquiry"]
    number = tracking_number(link_key_of(request), "inquiry", name)
    headers = {"Idempotency-Replayed": "true"} if reply.repeated else {}
    said = b'{"tracking":' + orjson.dumps(number) + b"," + reply.json()[1:]
    return Response(said, 201, headers, "application/json")


@router.get("/inquiries/{tracking}", response_model=InquiryAnswerView)
async def follow_inquiry(tracking: Named, request: Request, gate: GateDep) -> dict[str, Any]:
    """Where a question stands, and its sealed answer, for whoever has the tracking number."""
    inquiry = tracked(link_key_of(request), "inquiry", tracking)
    return await gate.read(inquiries.followed, inquiry, await gate.now_us())


@router.get("/inquiries", response_model=list[InquiryView])
async def list_inquiries(
    gate: GateDep, caller: CallerDep, pages: PagesDep, after: AfterIndex = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """Sealed questions to your department, oldest first; for a regulator that all of them were asked, and whether answered."""
    now_us = await gate.now_us()
    rows = await gate.read(
        lambda session: inquiries.inquiries_of(
            session, caller, now_us, after=-1 if after is None else after, limit=limit
        )
    )
    pages.link(rows, limit, lambda row: row["log_index"])
    return rows


@router.post("/inquiries/{asked}/answer", status_code=201, response_model=Answer[InquiryAnswered])
async def answer_inquiry(
    asked: Named, body: InquiryAnswerMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Answer a question to your department, sealed to whoever asked (supplier)."""
    act = inquiries.AnswerInquiry(asked, body.answer)
    return await perform(gate, inquiries.answer_inquiry, act, caller, key)
