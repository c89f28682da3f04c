"""Fixed price: the department names it, whoever pays it gets a licence at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncSession

from exchange import rulebook
from exchange.acts import Act, Caller, Record, Scope, Signed, Transaction, plain, refusal
from exchange.controls import check_order
from exchange.errors import Conflict, ExchangeError, Forbidden, NotFound, Unprocessable
from exchange.listings import Offer, create_listing, refused_terms
from exchange.parties import account_of, require_active
from exchange.settlement import settle, split
from exchange.tables import Listing, Market, Party
from pricing.errors import PricingError
from pricing.money import MAX_AMOUNT
from pricing.sale import FixedPrice, Refused, purchase


@dataclass(frozen=True, slots=True)
class OfferFixedPrice(Act):
    """Offer licences of a registered asset at one price for everybody."""

    scope: ClassVar[Scope] = "trade"
    asset: str
    offer: Offer


async def offer_fixed_price(tx: Transaction, act: OfferFixedPrice) -> Record:
    """List an asset at a fixed price under the market's rulebook."""
    rules = rulebook.load((await tx.find(Market, 1, "market")).profile)
    try:
        FixedPrice(act.offer.price_fen, act.offer.licences, act.offer.ceiling_fen)
    except PricingError as refused:
        raise refused_terms(refused) from refused
    listing, _ = await create_listing(tx, act.asset, act.offer, "fixed", rules)
    return Record(
        "listed",
        {
            "asset": listing.asset,
            "id": listing.id,
            "mode": "fixed",
            "offer": plain(act.offer),
            "rulebook": {"digest": rules.digest, "version": rules.version},
            "seller": listing.seller,
            "state": "open",
        },
    )


@dataclass(frozen=True, slots=True)
class Buy(Act):
    """Buy licences of a fixed-price listing."""

    scope: ClassVar[Scope] = "trade"
    listing: str
    licences: int
    signed: Signed | None = field(default=None, compare=False)


async def rehearsed(
    session: AsyncSession, caller: Caller, act: Buy, outcome: Mapping[str, Any], now_us: int
) -> dict[str, Any]:
    """What came of a rehearsed purchase, and the whole cost of it. NotFound for no listing."""
    listing = await session.get(Listing, act.listing)
    market = await session.get(Market, 1)
    if listing is None or market is None or listing.mode != "fixed":
        raise NotFound("listing.unknown", f"no fixed-price listing {act.listing!r}", field="listing")
    price_fen = min(listing.price_fen * act.licences, MAX_AMOUNT)
    parts = split(price_fen, rulebook.load(market.profile), None)
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
    """Sell, pay, license and confirm in one act.

    Sold out, money that does not cover the price, and what the buyer forbids itself, are refused on the record;
    nothing else of the sale happens then.
    """
    tx.caller.require("buyer")
    tx.keep_signature(act.signed)
    buyer = await tx.find(Party, tx.caller.party, "party")
    require_active(buyer)
    listing = await tx.find(Listing, act.listing, "listing")
    if listing.mode != "fixed":
        raise NotFound("listing.unknown", f"no fixed-price listing {act.listing!r}", field="listing")
    rules = rulebook.load((await tx.find(Market, 1, "market")).profile)
    said = {"licences": str(act.licences), "listing": listing.id}
    offer = FixedPrice(listing.price_fen, listing.licences, listing.ceiling_fen)
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
    if listing.state != "open":
        raise Conflict("listing.ended", "this listing has ended", field="listing")
    if (await tx.find(Party, listing.seller, "party")).state != "active":
        raise Conflict(
            "listing.seller_suspended",
            "the seller of this listing is suspended",
            field="listing",
            rule="a suspended party does not trade",
            remedy="wait until the regulator lets it trade again",
        )
    try:
        check_order(buyer, sale.amount_fen, act.signed)
        async with tx.session.begin_nested():
            confirmation = await settle(
                tx,
                listing=listing,
                buyer=buyer,
                licences=sale.quantity,
                price_fen=sale.amount_fen,
                rules=rules,
            )
    except (Conflict, Forbidden) as problem:
        return refusal("sale", said, problem)
    return Record("sale", {**said, **confirmation}, readers=(listing.seller,))
