"""What is offered: an exclusive use or a number of licences of a registered, appraised asset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange import contracts, revenue
from exchange.acts import Transaction, plain
from exchange.contracting import standing_terms
from exchange.errors import Conflict, Forbidden, NotFound, Unprocessable
from exchange.parties import require_active
from exchange.parties.agreements import require_in_force
from exchange.parties.documents import kinds_shown
from exchange.parties.relations import REMEDY, Conflicted, conflict
from exchange.rulebook import Rulebook
from exchange.tables import Appraisal, Asset, Licence, Listing, Lot, Party
from pricing.errors import PricingError
from pricing.metering import Meter
from pricing.money import MAX_AMOUNT, MICRO_PER_FEN

GRANTS = ("exclusive", "licence")


@dataclass(frozen=True, slots=True)
class Offer:
    """The terms that all modes of sale have in common; `reason` is published with an exclusive use.

    `price_fen` is the price of one licence: fixed, where an auction starts, or the seller's reference, 0 for none.
    `contract` is one of the four forms, `terms` what fills the seller's blanks of it where that is not their default.
    """

    grant: str
    licences: int
    term_days: int
    price_fen: int
    ceiling_fen: int | None = None
    reason: str = ""
    contract: str = contracts.DEFAULT
    terms: Mapping[str, str] = field(default_factory=dict)


def check_offer(offer: Offer, rules: Rulebook) -> None:
    """Refuse terms that the rulebook does not allow, naming the clause. Pure."""
    if offer.grant not in GRANTS:
        raise Unprocessable(
            "listing.grant",
            offer.grant,
            field="grant",
            rule="exclusive or licence",
            remedy="name one of them",
        )
    longest = rules.value(f"listing.{offer.grant}_at_most_days")
    reasoned = offer.reason.strip() or not rules.allows("listing.exclusive_reason_required")
    if offer.grant == "exclusive" and (offer.licences != 1 or not reasoned):
        raise Unprocessable(
            "listing.exclusive",
            "an exclusive use is one licence with a published reason",
            field="reason" if offer.licences == 1 else "licences",
            rule=rules.cite("listing.exclusive"),
            remedy="offer one licence and say why it has to be exclusive",
        )
    if not 1 <= offer.term_days <= longest:
        raise Unprocessable(
            "listing.term",
            f"{offer.term_days} days",
            field="term_days",
            rule=f"this grant lasts 1 to {longest} days ({rules.cite('listing.term')})",
            remedy="shorten the term",
        )
    count = rules.value("listing.licences_at_most")
    if not 1 <= offer.licences <= count:
        raise Unprocessable(
            "listing.licences",
            f"{offer.licences} licences",
            field="licences",
            rule=f"1 to {count} ({rules.cite('listing.licences')})",
            remedy="offer fewer",
        )
    if not 0 <= offer.price_fen <= 2**53:
        raise Unprocessable(
            "listing.price",
            f"{offer.price_fen} fen",
            field="price_fen",
            rule="0 to 2**53 fen",
            remedy="correct it",
        )
    above = offer.ceiling_fen is not None and offer.price_fen > offer.ceiling_fen
    if above and not rules.allows("price.above_ceiling_allowed"):
        raise Unprocessable(
            "listing.ceiling",
            f"{offer.price_fen} fen is above the ceiling of {offer.ceiling_fen}",
            field="price_fen",
            rule=f"no price passes the ceiling ({rules.cite('listing.ceiling')})",
            remedy="reappraise, or ask for less",
        )


def require_format(name: str, rules: Rulebook) -> None:
    """Refuse a way for a price to come about that the market's rules do not name. Pure."""
    formats = rules.words("market.formats")
    if name not in formats:
        raise Unprocessable(
            "listing.format",
            f"no sale by {name}",
            field="mode",
            rule=f"a price comes about by {', '.join(formats)} ({rules.cite('listing.format')})",
            remedy="sell in one of these ways",
        )


def refused_terms(refused: PricingError) -> Unprocessable:
    """Terms that pricing refuses, as the exchange says it."""
    return Unprocessable(
        "listing.terms", str(refused), field=refused.field, rule=refused.rule, remedy=refused.remedy
    )


async def create_listing(
    tx: Transaction, asset_id: str, offer: Offer, mode: str, rules: Rulebook, meter: Meter | None = None
) -> tuple[Listing, Appraisal]:
    """List an asset of the calling department; `meter` is what is charged where it is charged by use.

    Conflict where it is not registered or not appraised, and where an exclusive use stands or is on offer:
    until that ends nobody gets the same right another way.
    """
    tx.caller.require("supplier")
    require_active(await tx.find(Party, tx.caller.party, "party"))
    asset = await tx.find(Asset, asset_id, "asset")
    if asset.supplier != tx.caller.party:
        # Another department's asset answers as one that does not exist, to the letter.
        raise NotFound(
            "asset.unknown", f"no asset {asset_id!r}", field="asset", remedy="check the identifier"
        )
    if asset.state != "registered":
        raise Conflict(
            "listing.not_registered",
            f"the asset is {asset.state}",
            field="asset",
            rule="risk assessment, authorization, desensitization, theme, registration, in that order, before a sale",
            remedy="finish the registration",
        )
    if asset.opening == "closed" and not rules.allows("opening.closed_listed"):
        raise Conflict(
            "listing.closed",
            "the asset is closed",
            field="asset",
            rule=f"a closed asset is registered and never listed ({rules.cite('listing.closed')})",
            remedy="none for this asset; where it may be opened, declare it anew with the attribute and the reason",
        )
    appraisal = (
        (
            await tx.session.execute(
                select(Appraisal)
                .where(col(Appraisal.asset) == asset.id)
                .order_by(col(Appraisal.log_index).desc())
            )
        )
        .scalars()
        .first()
    )
    if appraisal is None:
        raise Conflict(
            "listing.not_appraised",
            "the asset has no appraisal",
            field="asset",
            rule="no listing without a reasoned value",
            remedy="have the asset appraised",
        )
    check_offer(offer, rules)
    if meter is None:
        price_micro = (offer.price_fen if mode != "auction" else _lot_ceiling(offer)) * MICRO_PER_FEN
        await require_price(tx, asset.id, price_micro, rules)
    else:
        await require_price(tx, asset.id, meter.unit_price_micro, rules, meter.unit)
    await require_in_force(tx.session, asset, tx.now_us, rules)
    terms = contracts.complete(offer.contract, offer.terms)
    await _refuse_a_second_right(tx, asset.id, offer)
    listing = Listing(
        id=tx.identifier("lst"),
        asset=asset.id,
        seller=asset.supplier,
        mode=mode,
        grant=offer.grant,
        reason=offer.reason,
        term_days=offer.term_days,
        licences=offer.licences,
        remaining=offer.licences,
        price_fen=None if mode in ("negotiated", "metered") and not offer.price_fen else offer.price_fen,
        ceiling_fen=offer.ceiling_fen,
        unit=None if meter is None else meter.unit.value,
        unit_price_micro=None if meter is None else meter.unit_price_micro,
        ceiling_micro=None if meter is None else meter.ceiling_micro,
        contract=offer.contract,
        terms=terms,
        terms_digest="",
        state="open",
        log_index=tx.index,
    )
    listing.terms_digest = standing_terms(listing, asset).digest
    await tx.insert(listing)
    await tx.session.flush()
    return listing, appraisal


def _lot_ceiling(offer: Offer) -> int:
    """At the most so much can a lot be won for; without a ceiling of its own, for anything."""
    return MAX_AMOUNT if offer.ceiling_fen is None else offer.ceiling_fen


async def require_price(
    tx: Transaction, asset: str, price_micro: int, rules: Rulebook, unit: str = revenue.LICENCE
) -> None:
    """Refuse a price for a unit of an asset that passes the ceiling which its allowed revenue leaves now."""
    most_micro = await revenue.ceiling_micro(tx.session, asset, unit, tx.now_us)
    revenue.require_below(price_micro, most_micro, rules)


def free(purpose: str, rules: Rulebook) -> bool:
    """Whether a use pays nothing: public governance and public welfare, where the rules say so. Pure."""
    known = "price.free_purposes" in rules.rules  # a market of before has no such list
    return known and rules.allows("price.welfare_use_free") and purpose in rules.words("price.free_purposes")


async def require_open(tx: Transaction, listing: Listing) -> None:
    """Conflict for a listing that has ended or was withdrawn, and while its seller is suspended."""
    if listing.state != "open":
        raise Conflict(
            "listing.ended",
            f"this listing is {listing.state}",
            field="listing",
            rule="only what stands on offer is sold",
            remedy="look for another offer of the asset",
        )
    if (await tx.find(Party, listing.seller, "party")).state != "active":
        raise Conflict(
            "listing.seller_suspended",
            "the seller of this listing is suspended",
            field="listing",
            rule="a suspended party does not trade",
            remedy="wait until the regulator lets it trade again",
        )


async def require_fit(
    tx: Transaction, asset: Asset, who: tuple[Party, str], purpose: str, rules: Rulebook
) -> Conflicted | None:
    """Refuse who may not buy an asset, a party and the person who acts for it, and what may not be sold now.

    Gives how the buyer is related to the seller's side, where the rules allow that because it is disclosed: with the sale.
    """
    buyer, person = who
    related = await conflict(tx, asset, [buyer.id, person], bids=True)
    if related is not None and not rules.allows("related.fixed_price_allowed"):
        raise Forbidden(
            "sale.related",
            related.why("buy"),
            field="listing",
            rule=f"where no lot is bid for the related buy only as the rules allow it ({rules.cite('sale.related')})",
            remedy=REMEDY,
            path=related.way(),
        )
    await require_condition_met(tx, asset, buyer, purpose, rules)
    if free(purpose, rules):
        await _require_free_use_shown(tx, buyer, rules)
    await require_in_force(tx.session, asset, tx.now_us, rules)
    return related


async def _require_free_use_shown(tx: Transaction, buyer: Party, rules: Rulebook) -> None:
    """Refuse to give data for nothing to who has not shown that it serves the public: a purpose alone is easily stated."""
    kinds = rules.words("price.free_use_documents")
    if (await kinds_shown(tx.session, buyer.id, tx.now_us)).isdisjoint(kinds):
        raise Forbidden(
            "sale.free_use",
            f"no {' or '.join(kinds)} of yours was reviewed and is in force",
            field="purpose",
            rule=f"public governance and welfare use data for nothing, as their documents show ({rules.cite('sale.free_use')})",
            remedy="file the document and have an administrator review it, or state the purpose industry and pay",
        )


def check_purpose(purpose: str, rules: Rulebook) -> None:
    """Refuse a stated purpose that the rulebook does not know; none may be stated. Pure."""
    if purpose and purpose not in rules.words("opening.purposes"):
        raise Unprocessable(
            "purpose.unknown",
            f"no purpose {purpose!r}",
            field="purpose",
            rule=f"one of {', '.join(rules.words('opening.purposes'))} ({rules.cite('purpose.unknown')})",
            remedy="name one of them",
        )


async def require_condition_met(
    tx: Transaction, asset: Asset, buyer: Party, purpose: str, rules: Rulebook
) -> None:
    """Refuse a buyer who does not meet the condition on which an asset is opened.

    The purpose is the buyer's word, on the record with what is bought; a qualification counts once another person reviewed
    its document, and until it is over.
    """
    if asset.opening != "conditional" or not rules.allows("opening.condition_required"):
        return
    if asset.purposes and purpose not in asset.purposes:
        raise Forbidden(
            "opening.purpose",
            f"the asset is not opened for {purpose}" if purpose else "no purpose is stated",
            field="purpose",
            rule=f"it is opened for {', '.join(asset.purposes)} ({rules.cite('opening.purpose')})",
            remedy="state the purpose, where yours is one of these",
        )
    if asset.qualified and "qualification" not in await kinds_shown(tx.session, buyer.id, tx.now_us):
        raise Forbidden(
            "opening.qualification",
            "no qualification of yours was reviewed and is in force",
            field="party",
            rule=f"it is opened for the qualified alone ({rules.cite('opening.qualification')})",
            remedy="file the document of your qualification, and have an administrator review it",
        )


async def _refuse_a_second_right(tx: Transaction, asset: str, offer: Offer) -> None:
    standing = (
        await tx.session.execute(
            select(
                func.count().filter(col(Listing.grant) == "exclusive"),
                func.count(),
            ).where(col(Listing.asset) == asset, col(Listing.state) == "open")
        )
    ).one()
    held = (
        await tx.session.execute(
            select(func.count().filter(col(Licence.grant) == "exclusive"), func.count()).where(
                col(Licence.asset) == asset,
                col(Licence.state).in_(("active", "suspended")),
                col(Licence.ends_us) > tx.now_us,
            )
        )
    ).one()
    exclusive = standing[0] + held[0]
    if exclusive or (offer.grant == "exclusive" and standing[1] + held[1]):
        raise Conflict(
            "listing.exclusive_stands",
            "an exclusive use of this asset stands or is on offer"
            if exclusive
            else "licences of this asset stand or are on offer",
            field="grant",
            rule="until an exclusive use ends nobody gets the same right another way",
            remedy="wait for its end",
        )


async def listings(
    session: AsyncSession, after: int | None = None, limit: int | None = None, mode: str | None = None
) -> list[dict[str, Any]]:
    """Everything on offer or once offered, newest first, as the public sees it; or a page, older than entry `after`.

    `mode` narrows to one form of price.
    """
    query = (
        select(Listing, Asset)
        .join(Asset, col(Asset.id) == col(Listing.asset))
        .order_by(col(Listing.log_index).desc())
        .limit(limit)
    )
    if mode is not None:
        query = query.where(col(Listing.mode) == mode)
    rows = await session.execute(query if after is None else query.where(col(Listing.log_index) < after))
    return [_shown(row, asset) for row, asset in rows]


async def listing(session: AsyncSession, identifier: str) -> dict[str, Any]:
    """One listing as the public sees it, with the lot that it is sold in, if any."""
    query = (
        select(Listing, Asset, col(Lot.id))
        .join(Asset, col(Asset.id) == col(Listing.asset))
        .outerjoin(Lot, col(Lot.listing) == col(Listing.id))
        .where(col(Listing.id) == identifier)
        .order_by(col(Lot.opens_us).desc())
    )
    found = (await session.execute(query)).first()
    if found is None:
        raise NotFound(
            "listing.unknown", f"no listing {identifier!r}", field="listing", remedy="check the identifier"
        )
    return {**_shown(found[0], found[1]), "lot": found[2]}


def _shown(row: Listing, asset: Asset) -> dict[str, Any]:
    return {
        "asset": asset.id,
        "asset_code": asset.code,
        "asset_title": asset.title,
        "opening": asset.opening,
        "purposes": asset.purposes,
        "qualified": asset.qualified,
        **{
            name: plain(getattr(row, name))
            for name in (
                "id", "seller", "mode", "grant", "reason", "term_days", "licences", "remaining",
                "price_fen", "ceiling_fen", "unit", "unit_price_micro", "ceiling_micro", "state", "log_index",
            )
        },
        "contract": row.contract,
    }  # fmt: skip
