"""Routes of the market itself: listings, purchases, lots, bids, trades, and the lookup of one's own requests."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Response

from exchange import auctions, listings, rulebook, sales, settlement, venue
from exchange.api.doorway import CallerDep, GateDep, KeyDep, Named, SignedDep, perform
from exchange.errors import NotFound
from exchange.messages.market import (
    BidMessage,
    ListingMessage,
    LotMessage,
    OfferMessage,
    PurchaseMessage,
)
from exchange.messages.outcomes import Answer, BidAdmitted, BidderAdmitted, Listed, LookedUp, LotOpened, Sale
from exchange.messages.views import BidView, ListingView, LotView, MarketView, TradeView

router = APIRouter(prefix="/v1", tags=["market"])


@router.get("/market", response_model=MarketView)
async def market(gate: GateDep) -> dict[str, Any]:
    """What market this is: its log's name and key, its profile and rules, its time."""
    view = await gate.read(venue.about)
    rules = rulebook.load(view["profile"])
    return {
        **view,
        "now_us": str(await gate.now_us()),
        "origin": gate.signer.name,
        "vkey": gate.signer.vkey,
        "rulebook": {"digest": rules.digest, "version": rules.version},
    }


@router.get("/listings", response_model=list[ListingView])
async def all_listings(gate: GateDep) -> list[dict[str, Any]]:
    """Everything on offer or once offered, newest first."""
    return await gate.read(listings.listings)


@router.post("/listings", status_code=201, response_model=Answer[Listed])
async def offer(body: ListingMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Offer licences at a fixed price (supplier)."""
    return await perform(
        gate, sales.offer_fixed_price, sales.OfferFixedPrice(body.asset, _offer(body.offer)), caller, key
    )


@router.post("/listings/{listing}/purchases", status_code=201, response_model=Answer[Sale])
async def buy(
    listing: Named, body: PurchaseMessage, gate: GateDep, caller: CallerDep, key: KeyDep, signed: SignedDep
) -> Response:
    """Buy at the fixed price: paid, licensed and confirmed in one act (buyer)."""
    return await perform(gate, sales.buy, sales.Buy(listing, body.licences, signed), caller, key)


@router.get("/lots", response_model=list[LotView])
async def all_lots(gate: GateDep) -> list[dict[str, Any]]:
    """All lots, the ones that close next first; bidders only by code."""
    return await gate.read(auctions.lots)


@router.post("/lots", status_code=201, response_model=Answer[LotOpened])
async def open_lot(body: LotMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Offer one grant by ascending auction (supplier)."""
    act = auctions.OpenLot(
        body.asset, _offer(body.offer), body.increment_fen, body.deposit_fen, body.opens_us, body.closes_us
    )
    return await perform(gate, auctions.open_lot, act, caller, key)


@router.get("/lots/{lot}", response_model=LotView)
async def one_lot(lot: Named, gate: GateDep) -> dict[str, Any]:
    """One lot and where it stands."""
    return await gate.read(auctions.lot, lot)


@router.post("/lots/{lot}/bidders", status_code=201, response_model=Answer[BidderAdmitted])
async def join_lot(lot: Named, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Have your deposit held and get a random code for this lot (buyer)."""
    return await perform(gate, auctions.join_lot, auctions.JoinLot(lot), caller, key)


@router.get("/lots/{lot}/bids", response_model=list[BidView])
async def lot_bids(
    lot: Named,
    gate: GateDep,
    after: Annotated[int, Query(description="from behind this log index", ge=-1, le=2**62)] = -1,
) -> list[dict[str, Any]]:
    """The bids of a lot in log order, 500 at a time."""
    return await gate.read(auctions.bids, lot, after)


@router.post("/lots/{lot}/bids", status_code=201, response_model=Answer[BidAdmitted])
async def place_bid(
    lot: Named, body: BidMessage, gate: GateDep, caller: CallerDep, signed: SignedDep
) -> Response:
    """Bid on a lot. Admitted or refused, the answer is on the record; `client_bid_id` makes sending it again safe."""
    return await perform(
        gate, auctions.place_bids, auctions.PlaceBid(lot, body.price_fen, signed), caller, body.client_bid_id
    )


@router.get("/trades", response_model=list[TradeView])
async def trades(gate: GateDep, caller: CallerDep) -> list[dict[str, Any]]:
    """Your party's trades with their vouchers, newest first; all of them for a regulator."""
    return await gate.read(settlement.trades, caller)


@router.get("/trades/{trade}", response_model=TradeView)
async def trade(trade: Named, gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """One trade of your party; `/v1/receipts/{index}` has its receipt."""
    for view in await gate.read(settlement.trades, caller):
        if view["trade"] == trade:
            return view
    raise NotFound("trade.unknown", f"no trade {trade!r}", field="trade", remedy="check the identifier")


@router.get("/requests/{key}", response_model=LookedUp)
async def look_up(key: Named, gate: GateDep, caller: CallerDep) -> Response:
    """What came of one of your requests: its first answer, or 404 where nothing took effect under it.

    After a lost connection the outcome is *unknown*: ask here, or send the same request again.
    """
    reply = await gate.look_up(caller.party, key)
    if reply is None:
        raise NotFound(
            "request.unknown",
            f"nothing took effect under {key!r}",
            field="key",
            remedy="send the request again under the same identifier",
        )
    members = orjson.dumps({"refused": reply.refused})[:-1]
    return Response(
        members + b"," + reply.json()[1:], 200, {"Idempotency-Replayed": "true"}, "application/json"
    )


def _offer(body: OfferMessage) -> listings.Offer:
    return listings.Offer(
        body.grant, body.licences, body.term_days, body.price_fen, body.ceiling_fen, body.reason
    )
