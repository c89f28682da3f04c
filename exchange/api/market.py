"""Routes of the market itself: listings, purchases, lots, bids, trades, and the lookup of one's own requests."""

from __future__ import annotations

from typing import Annotated, Any, assert_never

import orjson
from fastapi import APIRouter, Query, Request, Response

from exchange import auctions, listings, metering, negotiation, rulebook, sales, settlement, venue
from exchange.api.doorway import (
    AfterIndex,
    CallerDep,
    Callers,
    GateDep,
    KeyDep,
    Limit,
    Named,
    Once,
    PagesDep,
    PresentedDep,
    SignedDep,
    UntilDep,
    item,
    perform,
)
from exchange.errors import NotFound
from exchange.messages.market import (
    BidBatchMessage,
    BidMessage,
    ListingMessage,
    LotMessage,
    OfferMessage,
    PurchaseMessage,
)
from exchange.messages.outcomes import (
    Answer,
    BatchAnswer,
    BidAdmitted,
    BidderAdmitted,
    Listed,
    LookedUp,
    LotOpened,
    Sale,
)
from exchange.messages.shapes import Purpose
from exchange.messages.views import (
    BidderView,
    BidView,
    DryRunView,
    ListingView,
    LotView,
    MarketView,
    TradeView,
)

router = APIRouter(prefix="/v1", tags=["market"])

NonceQuery = Annotated[
    str | None,
    Query(
        description="your part of a draw at the ceiling: 32 fresh random bytes as hex",
        pattern="^[0-9a-f]{64}$",
        examples=["ab" * 32],
    ),
]


@router.get("/market", response_model=MarketView)
async def market(gate: GateDep) -> dict[str, Any]:
    """What market this is: its log's name and key, its profile and rules, its time."""
    view = await gate.read(venue.about)
    now_us = await gate.now_us()
    rules = await gate.read(rulebook.at, now_us)
    return {
        **view,
        "now_us": str(now_us),
        "origin": gate.signer.name,
        "vkey": gate.signer.vkey,
        "rulebook": rules.reference(),
    }


@router.get("/listings", response_model=list[ListingView])
async def all_listings(
    gate: GateDep, pages: PagesDep, after: AfterIndex = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """Everything on offer or once offered, newest first."""
    rows = await gate.read(listings.listings, after, limit)
    pages.link(rows, limit, lambda row: row["log_index"])
    return [{**row, "links": _links(row["id"], row["asset"])} for row in rows]


@router.post("/listings", status_code=201, response_model=Answer[Listed])
async def offer(body: ListingMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Offer licences at a fixed price, for negotiation, or by use (supplier)."""
    terms = _offer(body.offer)
    match body.mode:
        case "fixed":
            return await perform(
                gate, sales.offer_fixed_price, sales.OfferFixedPrice(body.asset, terms), caller, key
            )
        case "negotiated":
            return await perform(
                gate,
                negotiation.offer_negotiated,
                negotiation.OfferNegotiated(body.asset, terms),
                caller,
                key,
            )
        case "metered":
            assert body.meter is not None  # as the message has it
            by_use = metering.OfferMetered(body.asset, terms, **dict(body.meter))
            return await perform(gate, metering.offer_metered, by_use, caller, key)
        case _:
            assert_never(body.mode)


@router.post("/listings/{listing}/purchases", status_code=201, response_model=Answer[Sale])
async def buy(
    listing: Named, body: PurchaseMessage, gate: GateDep, caller: CallerDep, key: KeyDep, signed: SignedDep
) -> Response:
    """Buy at the fixed price: paid, licensed and confirmed in one act (buyer)."""
    return await perform(
        gate, sales.buy, sales.Buy(listing, body.licences, signed, body.purpose, body.discount), caller, key
    )


@router.post("/listings/{listing}/purchases:dry-run", response_model=DryRunView)
async def rehearse_purchase(
    listing: Named, body: PurchaseMessage, gate: GateDep, caller: CallerDep, signed: SignedDep
) -> dict[str, Any]:
    """What would come of a purchase now, and the whole cost of it: price, fee, tax. Nothing is recorded."""
    act = sales.Buy(listing, body.licences, signed, body.purpose, body.discount)
    outcome = orjson.loads(await gate.rehearse(sales.buy, act, caller=caller))
    return await gate.read(sales.rehearsed, caller, act, outcome, await gate.now_us())


@router.get("/lots", response_model=list[LotView])
async def all_lots(
    gate: GateDep,
    pages: PagesDep,
    after: Annotated[
        str | None,
        Query(
            pattern=r"^(open|ended)\.[0-9]{1,18}\.[A-Za-z0-9_-]{1,64}$",
            description="cursor: as the page before links to",
        ),
    ] = None,
    limit: Limit = 100,
) -> list[dict[str, Any]]:
    """All lots, the ones that close next first; bidders only by code."""
    cursor = None
    if after is not None:
        state, closes_us, last = after.split(".")
        cursor = (state == "ended", int(closes_us), last)
    rows = await gate.read(auctions.lots, cursor, limit)
    pages.link(
        rows,
        limit,
        lambda row: f"{'open' if row['state'] == 'open' else 'ended'}.{row['closes_us']}.{row['id']}",
    )
    return rows


@router.post("/lots", status_code=201, response_model=Answer[LotOpened])
async def open_lot(body: LotMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Offer one grant by ascending auction (supplier)."""
    act = auctions.OpenLot(
        body.asset,
        _offer(body.offer),
        body.increment_fen,
        body.deposit_fen,
        body.opens_us,
        body.closes_us,
        body.again_of,
        tuple(body.priority),
        tuple(body.qualification),
    )
    return await perform(gate, auctions.open_lot, act, caller, key)


@router.get("/lots/{lot}", response_model=LotView)
async def one_lot(lot: Named, gate: GateDep) -> dict[str, Any]:
    """One lot and where it stands."""
    return await gate.read(auctions.lot, lot)


@router.post("/lots/{lot}/bidders", status_code=201, response_model=Answer[BidderAdmitted])
async def join_lot(
    lot: Named,
    gate: GateDep,
    caller: CallerDep,
    key: KeyDep,
    purpose: Annotated[
        Purpose,
        Query(description="for which purpose you want the data, where it is opened for some alone"),
    ] = "",
    nonce: NonceQuery = None,
) -> Response:
    """Have your deposit held and get a random code for this lot (buyer); of a lot with a ceiling, with your nonce."""
    return await perform(gate, auctions.join_lot, auctions.JoinLot(lot, purpose, nonce), caller, key)


@router.get("/lots/{lot}/bidder", response_model=BidderView)
async def own_bidder(lot: Named, gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """Your own place on a lot that you joined: your code, and what became of your deposit."""
    return await gate.read(auctions.bidder, caller, lot)


@router.get("/lots/{lot}/bids", response_model=list[BidView])
async def lot_bids(
    lot: Named,
    gate: GateDep,
    pages: PagesDep,
    after: Annotated[int, Query(description="cursor: from behind this log index", ge=-1, le=2**62)] = -1,
    limit: Limit = 500,
) -> list[dict[str, Any]]:
    """The bids of a lot in log order, admitted and refused."""
    rows = await gate.read(auctions.bids, lot, after, limit)
    pages.link(rows, limit, lambda row: row["index"])
    return rows


@router.post("/lots/{lot}/bids", status_code=201, response_model=Answer[BidAdmitted])
async def place_bid(lot: Named, body: BidMessage, gate: GateDep, presented: PresentedDep) -> Response:
    """Bid on a lot. Admitted or refused, the answer is on the record; `client_bid_id` makes sending it again safe."""
    act = auctions.PlaceBid(lot, body.price_fen, presented.signed, presented.until_us)
    return await perform(gate, auctions.place_bids, act, presented.caller, Once(body.client_bid_id))


@router.post("/lots/{lot}/bids:dry-run", response_model=DryRunView)
async def rehearse_bid(
    lot: Named, body: BidMessage, gate: GateDep, presented: PresentedDep
) -> dict[str, Any]:
    """What would come of a bid now, and the whole cost of winning at its price: deposit, fee, tax. Nothing is recorded."""
    presented.caller.within("trade")
    act = auctions.PlaceBid(lot, body.price_fen, presented.signed, presented.until_us)
    return await gate.read(auctions.rehearse_bid, presented.caller, act, await gate.now_us())


@router.post("/lots/{lot}/bids:batch", response_model=BatchAnswer)
async def place_bid_batch(
    lot: Named, body: BidBatchMessage, request: Request, gate: GateDep, caller: CallerDep, until: UntilDep
) -> Response:
    """Bid up to 1,000 times at once, decided in the order given; each item is answered as it would be alone.

    There is no all or nothing: `status` and members of each item are those that its bid gets alone, its receipt
    included, and each `client_bid_id` can be looked up, and sent again, by itself.
    """
    callers: Callers = request.app.state.callers
    quota = request.state.quota = callers.quotas.spend(caller.party, len(body.bids) - 1)
    quota.require()
    acts = [(auctions.PlaceBid(lot, bid.price_fen, None, until), bid.client_bid_id) for bid in body.bids]
    answers = await gate.perform_all(auctions.place_bids, acts, caller=caller)
    items = [item(key, said) for (_, key), said in zip(acts, answers, strict=True)]
    return Response(b'{"items":[' + b",".join(items) + b"]}", media_type="application/json")


@router.get("/trades", response_model=list[TradeView])
async def trades(
    gate: GateDep, caller: CallerDep, pages: PagesDep, after: AfterIndex = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """Your party's trades with their vouchers, newest first; all of them for a regulator."""
    rows = await gate.read(settlement.trades, caller, after, limit)
    pages.link(rows, limit, lambda row: row["index"])
    return rows


@router.get("/trades/{trade}", response_model=TradeView)
async def trade(trade: Named, gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """One trade of your party; `/v1/receipts/{index}` has its receipt."""
    return await gate.read(settlement.trade, caller, trade)


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


def _links(listing: str, asset: str) -> dict[str, str]:
    """What there is to see beside a listing before one buys."""
    return {
        "asset": f"/v1/assets/{asset}",
        "discounts": f"/v1/listings/{listing}/discounts",
        "questions": f"/v1/listings/{listing}/questions",
        "revenue": f"/v1/assets/{asset}/revenue-periods",
        "sample": f"/v1/assets/{asset}/sample",
    }


def _offer(body: OfferMessage) -> listings.Offer:
    return listings.Offer(
        body.grant,
        body.licences,
        body.term_days,
        body.price_fen,
        body.ceiling_fen,
        body.reason,
        body.contract,
        body.terms,
    )
