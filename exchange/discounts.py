"""Room: the register of discounts: who pays less, by which published criterion, how much, and how long.

No price is lower than its listing's but by a discount that stands here, and everybody who meets its criterion has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import func
from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Record, Scope, Transaction, plain
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.parties import require_active
from exchange.parties.documents import kinds_shown
from exchange.rulebook import Rulebook
from exchange.tables import Annulment, DiscountTerms, Listing, Party, Trade
from pricing.discount import Buyer, Criterion, Discount, best
from pricing.errors import PricingError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

DISCOUNTS_LIMIT = 20
"""Of a listing, at one time."""


@dataclass(frozen=True, slots=True)
class PublishDiscount(Act):
    """The seller publishes a discount on a listing at a fixed price or by use."""

    scope: ClassVar[Scope] = "trade"
    listing: str
    criterion: str
    off_ppm: int
    starts_us: int
    ends_us: int
    at_least: int = 0
    words: tuple[str, ...] = ()


def check_discount(act: PublishDiscount, name: str, rules: Rulebook) -> Discount:
    """The discount that these terms make; Unprocessable where they are none. Pure."""
    known = {
        Criterion.PURPOSE.value: rules.words("opening.purposes"),
        Criterion.QUALIFICATION.value: rules.words("parties.document_kinds"),
    }
    if act.criterion not in set(Criterion) or set(act.words) - set(known.get(act.criterion, act.words)):
        raise Unprocessable(
            "discount.criterion",
            f"{act.criterion} {', '.join(act.words)}".strip(),
            field="criterion" if act.criterion not in set(Criterion) else "words",
            rule="who pays less is told by a criterion that everybody reads, and never by name"
            f" ({rules.cite('discount.criterion')}): quantity, history, a purpose, or the kind of a document",
            remedy=f"name one of {', '.join(known.get(act.criterion, tuple(Criterion)))}",
        )
    try:
        return Discount(
            name, Criterion(act.criterion), act.off_ppm, act.starts_us, act.ends_us, act.at_least, act.words
        )
    except PricingError as refused:
        raise Unprocessable(
            "discount.terms", str(refused), field=refused.field, rule=refused.rule, remedy=refused.remedy
        ) from refused


async def publish_discount(tx: Transaction, act: PublishDiscount) -> Record:
    """Put a discount into the register: it holds from its moment on, which is not past, for whoever meets it."""
    listing = await _own(tx, act.listing)
    require_active(await tx.find(Party, tx.caller.party, "party"))
    rules = await rulebook.in_force(tx)
    if listing.mode not in ("fixed", "metered") or listing.state != "open":
        raise Conflict(
            "discount.listing",
            f"this listing is {listing.mode} and {listing.state}",
            field="listing",
            rule="a discount is on a price that stands: at a fixed price, or by use",
            remedy="none: where a price is negotiated or bid for, it comes about so",
        )
    if act.starts_us < tx.now_us:
        raise Unprocessable(
            "discount.past",
            f"it would start {tx.now_us - act.starts_us} us ago",
            field="starts_us",
            rule="a discount is published before it holds",
            remedy="let it start now or later",
        )
    name = tx.identifier("dsc")
    terms = check_discount(act, name, rules)
    standing = select(func.count()).where(
        col(DiscountTerms.listing) == listing.id, col(DiscountTerms.ends_us) > tx.now_us
    )
    if (await tx.session.execute(standing)).scalar_one() >= DISCOUNTS_LIMIT:
        raise Conflict(
            "discount.many",
            f"{DISCOUNTS_LIMIT} discounts stand on this listing",
            field="listing",
            rule=f"at most {DISCOUNTS_LIMIT} at a time",
            remedy="end one first",
        )
    row = DiscountTerms(
        id=name,
        listing=listing.id,
        criterion=terms.criterion.value,
        at_least=terms.at_least,
        words=list(terms.words),
        off_ppm=terms.off_ppm,
        starts_us=terms.starts_us,
        ends_us=terms.ends_us,
        log_index=tx.index,
    )
    await tx.insert(row)
    return Record("discount_published", {**plain(act), "id": name, "state": "published"})


@dataclass(frozen=True, slots=True)
class EndDiscount(Act):
    """The seller ends a discount from now on; what was bought under it stays bought."""

    scope: ClassVar[Scope] = "trade"
    discount: str


async def end_discount(tx: Transaction, act: EndDiscount) -> Record:
    """End a discount of one's own before its term; Conflict where that is over."""
    row = await tx.session.get(DiscountTerms, act.discount)
    if row is None:
        raise _unknown(act.discount)
    try:
        await _own(tx, row.listing)
    except NotFound:
        raise _unknown(act.discount) from None
    if row.ends_us <= tx.now_us:
        raise Conflict("discount.over", f"it ended at {row.ends_us}", field="discount", remedy="none needed")
    row.ends_us = tx.now_us
    return Record(
        "discount_ended",
        {"discount": row.id, "ends_us": str(tx.now_us), "listing": row.listing, "state": "ended"},
    )


async def unit_price(
    tx: Transaction,
    listing: Listing,
    full: int,
    buyer: Party,
    quantity: int,
    purpose: str,
    counted_on: str | None,
) -> tuple[int, Discount | None]:
    """What a unit costs a buyer by the register, and by which discount of it.

    `counted_on` is the discount that the buyer relies on. Unprocessable where that is not registered for this listing and in
    force (`discount.unregistered`), or not met (`discount.not_met`): nobody is charged more than it meant to pay.
    """
    rows = await tx.session.execute(
        select(DiscountTerms)
        .where(col(DiscountTerms.listing) == listing.id, col(DiscountTerms.ends_us) > tx.now_us)
        .order_by(col(DiscountTerms.log_index))
    )
    found = [_of(row) for row in rows.scalars()]
    if counted_on is None and not found:
        return full, None
    alike = await _alike(tx, listing, buyer, quantity, purpose)
    price, applied = best(full, found, alike, tx.now_us)
    if counted_on is None:
        return price, applied
    named = next((one for one in found if one.name == counted_on), None)
    if named is None or not named.starts_us <= tx.now_us < named.ends_us:
        rules = await rulebook.in_force(tx)
        raise Unprocessable(
            "discount.unregistered",
            f"no discount {counted_on!r} is in force on this listing",
            field="discount",
            rule=f"no price is lower but by a published discount ({rules.cite('discount.unregistered')})",
            remedy=f"GET /v1/listings/{listing.id}/discounts lists those that are",
        )
    if not named.met(alike, tx.now_us):
        raise Unprocessable(
            "discount.not_met",
            f"{named.criterion} {named.at_least or ', '.join(named.words)}",
            field="discount",
            rule="a discount is for who meets its criterion",
            remedy="meet it, or buy at the listed price",
        )
    return price, applied


async def _alike(tx: Transaction, listing: Listing, buyer: Party, quantity: int, purpose: str) -> Buyer:
    """All of a buyer that the price depends on: its name is not among it."""
    bought = (
        select(func.count())
        .select_from(Trade)
        .outerjoin(Annulment, col(Annulment.trade) == col(Trade.id))
        .where(
            col(Trade.buyer) == buyer.id,
            col(Trade.seller) == listing.seller,
            col(Annulment.log_index).is_(None),
        )
    )
    return Buyer(
        quantity,
        (await tx.session.execute(bought)).scalar_one(),
        purpose,
        await kinds_shown(tx.session, buyer.id, tx.now_us),
    )


async def discounts(session: AsyncSession, listing: str) -> list[dict[str, Any]]:
    """The register of a listing, for everybody: discounts that hold, are to come, or are over, the oldest first."""
    if await session.get(Listing, listing) is None:
        raise NotFound("listing.unknown", f"no listing {listing!r}", field="listing")
    rows = await session.execute(
        select(DiscountTerms)
        .where(col(DiscountTerms.listing) == listing)
        .order_by(col(DiscountTerms.log_index))
    )
    return [
        {**plain(row.model_dump(exclude={"log_index"})), "index": str(row.log_index)}
        for row in rows.scalars()
    ]


def said_of(applied: Discount) -> dict[str, str]:
    """How the entry of a sale states the discount that it was made under."""
    return {"id": applied.name, "off_ppm": str(applied.off_ppm)}


def _of(row: DiscountTerms) -> Discount:
    return Discount(
        row.id,
        Criterion(row.criterion),
        row.off_ppm,
        row.starts_us,
        max(row.ends_us, row.starts_us + 1),
        row.at_least,
        tuple(row.words),
    )


async def _own(tx: Transaction, identifier: str) -> Listing:
    listing = await tx.session.get(Listing, identifier)
    if listing is None or listing.seller != tx.caller.party:
        raise NotFound(
            "listing.unknown",
            f"no listing {identifier!r} of yours",
            field="listing",
            remedy="check the identifier",
        )
    return listing


def _unknown(identifier: str) -> NotFound:
    return NotFound(
        "discount.unknown",
        f"no discount {identifier!r} of yours",
        field="discount",
        remedy="check the identifier",
    )
