"""What is offered: an exclusive use or a number of licences of a registered, appraised asset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange.acts import Transaction, plain
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.parties import require_active
from exchange.rulebook import Rulebook
from exchange.tables import Appraisal, Asset, Licence, Listing, Party
from pricing.errors import PricingError

GRANTS = ("exclusive", "licence")


@dataclass(frozen=True, slots=True)
class Offer:
    """The terms that a fixed price and an auction have in common; `reason` is published with an exclusive use."""

    grant: str
    licences: int
    term_days: int
    price_fen: int
    ceiling_fen: int | None = None
    reason: str = ""


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
    most = rules["listing.exclusive_at_most_days"]
    longest = most if offer.grant == "exclusive" else rules["listing.licence_at_most_days"]
    if offer.grant == "exclusive" and (offer.licences != 1 or not offer.reason.strip()):
        raise Unprocessable(
            "listing.exclusive",
            "an exclusive use is one licence with a published reason",
            field="reason" if offer.licences == 1 else "licences",
            rule=most.cite(),
            remedy="offer one licence and say why it has to be exclusive",
        )
    if not 1 <= offer.term_days <= longest.value:
        raise Unprocessable(
            "listing.term",
            f"{offer.term_days} days",
            field="term_days",
            rule=f"this grant lasts 1 to {longest.value} days ({longest.cite()})",
            remedy="shorten the term",
        )
    count = rules["listing.licences_at_most"]
    if not 1 <= offer.licences <= count.value:
        raise Unprocessable(
            "listing.licences",
            f"{offer.licences} licences",
            field="licences",
            rule=f"1 to {count.value} ({count.cite()})",
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
    if offer.ceiling_fen is not None and offer.price_fen > offer.ceiling_fen:
        raise Unprocessable(
            "listing.ceiling",
            f"{offer.price_fen} fen is above the ceiling of {offer.ceiling_fen}",
            field="price_fen",
            rule="发改价格〔2025〕65号: no price passes the ceiling",
            remedy="reappraise, or ask for less",
        )


def refused_terms(refused: PricingError) -> Unprocessable:
    """Terms that pricing refuses, as the exchange says it."""
    return Unprocessable(
        "listing.terms", str(refused), field=refused.field, rule=refused.rule, remedy=refused.remedy
    )


async def create_listing(
    tx: Transaction, asset_id: str, offer: Offer, mode: str, rules: Rulebook
) -> tuple[Listing, Appraisal]:
    """List an asset of the calling department.

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
        price_fen=offer.price_fen,
        ceiling_fen=offer.ceiling_fen,
        state="open",
        log_index=tx.index,
    )
    await tx.insert(listing)
    await tx.session.flush()
    return listing, appraisal


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
                col(Licence.asset) == asset, col(Licence.state) == "active", col(Licence.ends_us) > tx.now_us
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
    session: AsyncSession, after: int | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """Everything on offer or once offered, newest first, as the public sees it; or a page, older than entry `after`."""
    query = (
        select(Listing, Asset)
        .join(Asset, col(Asset.id) == col(Listing.asset))
        .order_by(col(Listing.log_index).desc())
        .limit(limit)
    )
    rows = await session.execute(query if after is None else query.where(col(Listing.log_index) < after))
    return [
        {
            "asset": asset.id,
            "asset_code": asset.code,
            "asset_title": asset.title,
            **{
                name: plain(getattr(row, name))
                for name in (
                    "id", "seller", "mode", "grant", "reason", "term_days", "licences", "remaining",
                    "price_fen", "ceiling_fen", "state", "log_index",
                )
            },
        }
        for row, asset in rows
    ]  # fmt: skip
