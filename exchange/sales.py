"""Fixed price: the department names it, whoever pays it gets a licence at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Caller, Record, Scope, Signed, Transaction, plain, refusal
from exchange.contracting import standing
from exchange.controls import check_order
from exchange.discounts import said_of, unit_price
from exchange.errors import Conflict, ExchangeError, Forbidden, NotFound, Unprocessable
from exchange.listings import (
    Offer,
    check_purpose,
    create_listing,
    free,
    refused_terms,
    require_fit,
    require_format,
    require_open,
    require_price,
)
from exchange.parties import account_of, require_active
from exchange.settlement import annul, check_annulment, settle, split
from exchange.tables import Annulment, Asset, Listing, Party, Trade
from pricing.errors import PricingError
from pricing.money import MAX_AMOUNT, MICRO_PER_FEN
from pricing.sale import FixedPrice, Refused, purchase


@dataclass(frozen=True, slots=True)
class OfferFixedPrice(Act):
    """Offer licences of a registered asset at one price for everybody."""

    scope: ClassVar[Scope] = "trade"
    asset: str
    offer: Offer


async def offer_fixed_price(tx: Transaction, act: OfferFixedPrice) -> Record:
    """List an asset at a fixed price under the market's rulebook."""
    rules = await rulebook.in_force(tx)
    require_format("fixed", rules)
    try:
        FixedPrice(act.offer.price_fen, act.offer.licences, act.offer.ceiling_fen)
    except PricingError as refused:
        raise refused_terms(refused) from refused
    listing, _ = await create_listing(tx, act.asset, act.offer, "fixed", rules)
    return Record(
        "listed",
        {
            "asset": listing.asset,
            "contract": standing(listing),
            "id": listing.id,
            "mode": "fixed",
            "offer": plain(act.offer),
            "rulebook": rules.reference(),
            "seller": listing.seller,
            "state": "open",
        },
    )


@dataclass(frozen=True, slots=True)
class Buy(Act):
    """Buy licences of a fixed-price listing, for the purpose that is stated."""

    scope: ClassVar[Scope] = "trade"
    listing: str
    licences: int
    signed: Signed | None = field(default=None, compare=False)
    purpose: str = ""
    discount: str | None = None
    """The published discount that the buyer counts on; whichever is best applies, named or not."""


async def rehearsed(
    session: AsyncSession, caller: Caller, act: Buy, outcome: Mapping[str, Any], now_us: int
) -> dict[str, Any]:
    """What came of a rehearsed purchase, and the whole cost of it. NotFound for no listing."""
    listing = await session.get(Listing, act.listing)
    if listing is None or listing.mode != "fixed" or listing.price_fen is None:
        raise NotFound("listing.unknown", f"no fixed-price listing {act.listing!r}", field="listing")
    rules = await rulebook.at(session, now_us)
    each_fen = 0 if free(act.purpose, rules) else listing.price_fen
    price_fen = min(each_fen * act.licences, MAX_AMOUNT)
    if "voucher" in outcome:  # with what a discount takes off
        price_fen = int(outcome["voucher"]["price_fen"])
    parts = split(price_fen, rules, None)
    total_fen = str(parts.price_fen + parts.buyer_fee_fen)
    return {
        "would": outcome["state"],
        "reason": outcome.get("reason"),
        "cost": {
            "price_fen": str(parts.price_fen),
            "fee_fen": str(parts.buyer_fee_fen),
            "tax_fen": str(parts.tax_fen),
            "total_fen": total_fen,
            "deposit_fen": "0",
            "deposit_held": False,
            "due_fen": total_fen,
            "available_fen": (await account_of(session, caller))["available_fen"],
        },
        "as_of_us": str(now_us),
    }


async def buy(tx: Transaction, act: Buy) -> Record:
    """Sell, pay, license and confirm in one act; use for public governance and welfare pays nothing (发改价格〔2025〕65号).

    Sold out, money that does not cover the price, and what the buyer forbids itself, are refused on the record;
    nothing else of the sale happens then.
    """
    tx.caller.require("buyer")
    tx.keep_signature(act.signed)
    buyer = await tx.find(Party, tx.caller.party, "party")
    require_active(buyer)
    listing = await tx.find(Listing, act.listing, "listing")
    if listing.mode != "fixed" or listing.price_fen is None:
        raise NotFound("listing.unknown", f"no fixed-price listing {act.listing!r}", field="listing")
    rules = await rulebook.in_force(tx)
    check_purpose(act.purpose, rules)
    said: dict[str, Any] = {"licences": str(act.licences), "listing": listing.id, "purpose": act.purpose}
    if act.discount is not None:
        said["counted_on"] = act.discount
    each_fen, applied = 0, None
    if not free(act.purpose, rules):
        try:
            each_fen, applied = await unit_price(
                tx, listing, listing.price_fen, buyer, act.licences, act.purpose, act.discount
            )
        except Unprocessable as unmet:
            return refusal("sale", said, unmet)
    offer = FixedPrice(each_fen, listing.licences, listing.ceiling_fen)
    try:
        sale = purchase(offer, listing.licences - listing.remaining, act.licences)
    except PricingError as refused:
        raise refused_terms(refused) from refused
    if isinstance(sale, Refused):
        problem: ExchangeError = Unprocessable(
            f"sale.{sale.reason}",
            f"{sale.left} of {listing.licences} licences are left",
            field="licences",
            rule="1 to as many as are left",
            remedy="ask for fewer",
        )
        return refusal("sale", said, problem)
    await require_open(tx, listing)
    asset = await tx.find(Asset, listing.asset, "asset")
    try:
        await require_price(tx, asset.id, each_fen * MICRO_PER_FEN, rules)
        related = await require_fit(tx, asset, (buyer, tx.caller.person), act.purpose, rules)
        check_order(buyer, sale.amount_fen, signed=act.signed is not None)
        async with tx.session.begin_nested():
            confirmation = await settle(
                tx,
                listing=listing,
                buyer=buyer,
                licences=sale.quantity,
                price_fen=sale.amount_fen,
                purpose=act.purpose,
                rules=rules,
            )
    except (Conflict, Forbidden, Unprocessable) as problem:
        return refusal("sale", said, problem)
    if related is not None:  # allowed where it is disclosed: here
        said["related"] = related.way()
    if applied is not None:
        said["discount"] = said_of(applied)
    return Record("sale", {**said, **confirmation}, readers=(listing.seller,))


@dataclass(frozen=True, slots=True)
class AnnulSale(Act):
    """Annul a settled sale under an order: `ground` is one of the rulebook's five, the reason stays sealed."""

    trade: str
    ground: str
    order: str
    reason: str


async def annul_sale(tx: Transaction, act: AnnulSale) -> Record:
    """Undo a sale at a fixed price by a reversing entry: the money goes back, the licence ends (regulator).

    What was sold by auction is annulled with its lot. Conflict for a sale that is annulled already, and where who was paid
    does not have the money any more.
    """
    tx.caller.require("regulator")
    rules = await rulebook.in_force(tx)
    check_annulment(act.ground, act.order, act.reason, rules)
    trade = await tx.find(Trade, act.trade, "trade")
    if trade.lot is not None:
        raise Conflict(
            "annulment.lot",
            f"this was sold by auction, as lot {trade.lot}",
            field="trade",
            remedy=f"annul the lot: POST /v1/lots/{trade.lot}/annulment",
        )
    known = select(Annulment.log_index).where(col(Annulment.trade) == trade.id)
    if (await tx.session.execute(known)).first() is not None:
        raise Conflict(
            "annulment.annulled", "this sale is annulled", field="trade", remedy="none: it is undone once"
        )
    await annul(tx, trade, act.ground, act.order)
    return Record(
        "sale_annulled",
        {
            "ground": act.ground,
            "order": act.order,
            "reason": tx.seal(act.reason),
            "state": "annulled",
            "trade": trade.id,
        },
        readers=(trade.buyer, trade.seller),
    )
