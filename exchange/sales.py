"""Fixed price: the department names it, whoever pays it gets a licence at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from exchange import rulebook
from exchange.acts import Act, Record, Scope, Signed, Transaction, plain, refusal
from exchange.controls import check_order
from exchange.errors import Conflict, ExchangeError, Forbidden, NotFound, Unprocessable
from exchange.listings import Offer, create_listing, refused_terms
from exchange.parties import require_active
from exchange.settlement import settle
from exchange.tables import Listing, Market, Party
from pricing.errors import PricingError
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
    sale = purchase(offer, listing.licences - listing.remaining, act.licences)
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
