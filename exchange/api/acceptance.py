"""Routes of acceptance: accept a delivery or object to it, name a mediator, decide."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from exchange import acceptance, mediation
from exchange.api.doorway import AfterIndex, CallerDep, GateDep, KeyDep, Limit, Named, PagesDep, perform
from exchange.messages.acceptance import (
    AcceptanceView,
    DeliveryAccepted,
    DeliveryMediated,
    DeliveryObjected,
    DeliveryObjectionMessage,
    MediationMessage,
    MediatorMessage,
    MediatorNamed,
)
from exchange.messages.outcomes import Answer

router = APIRouter(prefix="/v1", tags=["delivery"])


@router.get("/acceptances", response_model=list[AcceptanceView])
async def list_acceptances(
    gate: GateDep, caller: CallerDep, pages: PagesDep, after: AfterIndex = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """Where your deliveries stand, oldest first, as buyer, seller or mediator; what was objected to for the venue, all for a regulator."""
    now_us = await gate.now_us()
    rows = await gate.read(
        lambda session: acceptance.acceptances_of(
            session, caller, now_us, after=-1 if after is None else after, limit=limit
        )
    )
    pages.link(rows, limit, lambda row: row["log_index"])
    return rows


@router.post("/licences/{licence}/acceptance", status_code=201, response_model=Answer[DeliveryAccepted])
async def accept_delivery(licence: Named, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Accept what was delivered to you; an objection of yours that is undecided ends with it."""
    act = acceptance.AcceptDelivery(licence)
    return await perform(gate, acceptance.accept_delivery, act, caller, key)


@router.post("/licences/{licence}/objection", status_code=201, response_model=Answer[DeliveryObjected])
async def object_to_delivery(
    licence: Named, body: DeliveryObjectionMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Object to what was delivered to you, on a ground, before its window ends."""
    act = acceptance.ObjectToDelivery(licence, body.ground, body.text, body.evidence)
    return await perform(gate, acceptance.object_to_delivery, act, caller, key)


@router.post("/licences/{licence}/mediator", status_code=201, response_model=Answer[MediatorNamed])
async def name_mediator(
    licence: Named, body: MediatorMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Name who mediates, related to neither side, or another in the place of one (administrator, regulator)."""
    act = mediation.NameMediator(licence, body.mediator)
    return await perform(gate, mediation.name_mediator, act, caller, key)


@router.post("/licences/{licence}/mediation", status_code=201, response_model=Answer[DeliveryMediated])
async def mediate(
    licence: Named, body: MediationMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Decide what becomes of a delivery: accepted, its price reduced, or refunded as a whole (the named mediator)."""
    act = mediation.Mediate(licence, body.decision, body.order, body.reason, body.refund_fen)
    return await perform(gate, mediation.mediate, act, caller, key)
