"""Routes of negotiated sales, and of taking a listing back."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from exchange import delisting
from exchange import negotiation as negotiating
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
from exchange.messages.offers import (
    CounterOfferMessage,
    ListingWithdrawn,
    NegotiationMessage,
    NegotiationView,
    OfferAcceptanceMessage,
    OfferAccepted,
    OfferClosed,
    OfferMade,
    RejectionMessage,
)
from exchange.messages.outcomes import Answer
from exchange.messages.statute import WhyMessage

router = APIRouter(prefix="/v1", tags=["market"])


@router.post("/listings/{listing}/withdrawal", status_code=201, response_model=Answer[ListingWithdrawn])
async def withdraw_listing(
    listing: Named, body: WhyMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Take a listing of yours back: open offers lapse, licences sold stay; a lot only before it opens (supplier)."""
    act = delisting.WithdrawListing(listing, body.reason)
    return await perform(gate, delisting.withdraw_listing, act, caller, key)


@router.post("/listings/{listing}/offers", status_code=201, response_model=Answer[OfferMade])
async def make_offer(
    listing: Named,
    body: NegotiationMessage,
    gate: GateDep,
    caller: CallerDep,
    key: KeyDep,
    signed: SignedDep,
) -> Response:
    """Offer a price for licences that are up for negotiation (buyer)."""
    act = negotiating.MakeOffer(listing, body.price_fen, body.licences, body.expires_us, body.purpose, signed)
    return await perform(gate, negotiating.make_offer, act, caller, key)


@router.get("/negotiations", response_model=list[NegotiationView])
async def negotiations(
    gate: GateDep, caller: CallerDep, pages: PagesDep, after: AfterIndex = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """Your party's negotiations with every offer, newest first; all of them for a regulator."""
    rows = await gate.read(negotiating.negotiations, caller, after, limit)
    pages.link(rows, limit, lambda row: row["index"])
    return rows


@router.get("/negotiations/{negotiation}", response_model=NegotiationView)
async def one_negotiation(negotiation: Named, gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """One negotiation of your party."""
    return await gate.read(negotiating.negotiation, caller, negotiation)


@router.post("/negotiations/{negotiation}/counter-offers", status_code=201, response_model=Answer[OfferMade])
async def counter_offer(
    negotiation: Named,
    body: CounterOfferMessage,
    gate: GateDep,
    caller: CallerDep,
    key: KeyDep,
    signed: SignedDep,
) -> Response:
    """Answer the other side's offer with another."""
    act = negotiating.CounterOffer(
        negotiation, body.seen, body.price_fen, body.licences, body.expires_us, signed
    )
    return await perform(gate, negotiating.counter_offer, act, caller, key)


@router.post("/negotiations/{negotiation}/acceptance", status_code=201, response_model=Answer[OfferAccepted])
async def accept_offer(
    negotiation: Named,
    body: OfferAcceptanceMessage,
    gate: GateDep,
    caller: CallerDep,
    key: KeyDep,
    signed: SignedDep,
) -> Response:
    """Accept the other side's offer: paid, licensed and confirmed in one act."""
    act = negotiating.AcceptOffer(negotiation, body.seen, signed)
    return await perform(gate, negotiating.accept_offer, act, caller, key)


@router.post("/negotiations/{negotiation}/rejection", status_code=201, response_model=Answer[OfferClosed])
async def reject_offer(
    negotiation: Named, body: RejectionMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Say no to the other side's offer, which ends the negotiation."""
    return await perform(
        gate, negotiating.reject_offer, negotiating.RejectOffer(negotiation, body.reason), caller, key
    )


@router.post("/negotiations/{negotiation}/withdrawal", status_code=201, response_model=Answer[OfferClosed])
async def withdraw_offer(negotiation: Named, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Take your own offer off the table, which ends the negotiation."""
    return await perform(
        gate, negotiating.withdraw_offer, negotiating.WithdrawOffer(negotiation), caller, key
    )
