"""On what terms a lot is auctioned: the rulebook's figures, its earlier round where it comes back, its draw and priorities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Record, Scope, Transaction, plain
from exchange.contracting import standing
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.listings import Offer, create_listing, refused_terms
from exchange.rulebook import Rulebook
from exchange.rulebook.days import DAY_US
from exchange.tables import Draw, Listing, Lot, Party
from pricing.auctions import AscendingRules
from pricing.errors import PricingError

UNSOLD = ("failed", "cancelled", "annulled", "defaulted")
"""States of a lot that came to nothing; its asset may be offered again."""


@dataclass(frozen=True, slots=True)
class OpenLot(Act):
    """Offer one grant by ascending auction; times in microseconds of the market's clock.

    `again_of` names the lot that failed or was defaulted on and comes back with this one; `priority` parties that win at
    equal price; `qualification` kinds of documents that a bidder has to have shown.
    """

    scope: ClassVar[Scope] = "trade"
    asset: str
    offer: Offer
    increment_fen: int
    deposit_fen: int
    opens_us: int
    closes_us: int
    again_of: str | None = None
    priority: tuple[str, ...] = ()
    qualification: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Earlier:
    """The round before: how it ended and when, on what terms, and how often in a row it had failed with it."""

    state: str
    over_us: int
    start_price_fen: int
    grant: str
    licences: int
    term_days: int
    failures: int


async def open_lot(tx: Transaction, act: OpenLot) -> Record:
    """List an asset as a lot; refuses terms outside the rulebook by clause.

    A lot with a ceiling takes the oldest nonce that the regulator committed to and no lot has: Conflict where there is
    none. One that was defaulted on is named by the next lot of its asset, so that its defaulter stays out of it.
    """
    rules = await rulebook.in_force(tx)
    listing, appraisal = await create_listing(tx, act.asset, act.offer, "auction", rules)
    earlier = await _earlier(tx, act, rules)
    check_lot(act, appraisal.value_fen, tx.now_us, rules, earlier)
    await _check_people(tx, act, rules)
    draw = await _draw(tx, act, rules)
    lot = Lot(
        id=tx.identifier("lot"),
        listing=listing.id,
        start_price_fen=act.offer.price_fen,
        increment_fen=act.increment_fen,
        ceiling_fen=act.offer.ceiling_fen,
        deposit_fen=act.deposit_fen,
        opens_us=act.opens_us,
        first_closes_us=act.closes_us,
        closes_us=act.closes_us,
        soft_close_window_us=rules.value("auction.soft_close_window_us"),
        soft_close_extension_us=rules.value("auction.soft_close_extension_us"),
        bids=0,
        state="open",
        settled=False,
        again_of=act.again_of,
        qualification=list(act.qualification),
        priority_parties=list(act.priority),
        draw=None if draw is None else draw.name,
        log_index=tx.index,
    )
    try:
        terms = rules_of(lot)
    except PricingError as refused:
        raise refused_terms(refused) from refused
    await tx.insert(lot)
    more: dict[str, Any] = {}
    if act.again_of is not None:
        more["again_of"] = act.again_of
    if draw is not None:
        more["draw"] = {"commitment": draw.commitment, "name": draw.name}
    if act.priority:
        more["priority"] = list(act.priority)  # the seller and the regulator read this, the public sees codes
    if act.qualification:
        more["qualification"] = list(act.qualification)
    return Record(
        "lot_opened",
        {
            "appraisal_fen": str(appraisal.value_fen),
            "asset": listing.asset,
            "contract": standing(listing),
            "deposit_fen": str(lot.deposit_fen),
            "id": lot.id,
            "listing": listing.id,
            "offer": plain(act.offer),
            "rulebook": rules.reference(),
            "rules": plain(terms.to_json()),
            "seller": listing.seller,
            "state": "open",
            **more,
        },
    )


def check_lot(
    act: OpenLot, appraisal_fen: int, now_us: int, rules: Rulebook, earlier: Earlier | None = None
) -> None:
    """Refuse a lot whose terms the rulebook does not allow. Pure; exact on both sides of each edge."""
    start = act.offer.price_fen
    if not 1 <= act.offer.licences <= rules.value("auction.units_at_most"):
        raise Unprocessable(
            "lot.licences",
            f"{act.offer.licences} licences",
            field="licences",
            rule=f"an ascending auction sells one grant ({rules.cite('lot.licences')})",
            remedy="offer one, or sell at a fixed price",
        )
    least = rules.value("auction.start_of_appraisal_at_least_ppm")
    enough = start * 1_000_000 >= appraisal_fen * least
    if earlier is not None:
        check_again(act, earlier, rules)
        enough = enough or earlier.state == "failed" or start >= earlier.start_price_fen
    if not enough:
        raise Unprocessable(
            "lot.start_price",
            f"{start} fen is below {least / 10_000:g} % of the appraisal {appraisal_fen}",
            field="price_fen",
            rule=rules.cite("lot.start_price"),
            remedy="raise the start price, or reappraise",
        )
    low, high = (rules.value(f"auction.deposit_at_{end}_ppm") for end in ("least", "most"))
    if not start * low <= act.deposit_fen * 1_000_000 <= start * high:
        raise Unprocessable(
            "lot.deposit",
            f"{act.deposit_fen} fen of a start price of {start}",
            field="deposit_fen",
            rule=f"{low / 10_000:g} % to {high / 10_000:g} % of the start price ({rules.cite('lot.deposit')})",
            remedy="set the deposit within these bounds",
        )
    open_for_us = rules.value("auction.open_at_least_us")
    if act.opens_us < now_us or act.closes_us - act.opens_us < open_for_us:
        raise Unprocessable(
            "lot.open",
            f"open for {(act.closes_us - act.opens_us) // 1_000_000} s",
            field="closes_us" if act.opens_us >= now_us else "opens_us",
            rule=f"from now on, open for {open_for_us // 3_600_000_000} hours or longer ({rules.cite('lot.open')})",
            remedy="open later, or close later",
        )


def check_again(act: OpenLot, earlier: Earlier, rules: Rulebook) -> None:
    """Refuse a return that comes too late, too cheap, too often, or as something else. Pure."""
    if earlier.state not in UNSOLD:
        raise Conflict(
            "lot.again",
            f"lot {act.again_of} is {earlier.state}",
            field="again_of",
            rule="what came to nothing comes back: failed for want of bids, cancelled, annulled, or defaulted on",
            remedy="open a lot of its own, without again_of",
        )
    if (act.offer.grant, act.offer.licences, act.offer.term_days) != (
        earlier.grant,
        earlier.licences,
        earlier.term_days,
    ):
        raise Unprocessable(
            "lot.again_terms",
            f"{earlier.grant} of {earlier.term_days} days came to nothing, {act.offer.grant} of {act.offer.term_days} is offered",
            field="offer",
            rule="what comes back is what was up before: the same grant, licences and term",
            remedy="offer the same, or open a lot of its own",
        )
    days = rules.value("auction.again_within_days")
    if act.opens_us > earlier.over_us + days * DAY_US:
        raise Unprocessable(
            "lot.again_time",
            f"it would open {act.opens_us - earlier.over_us - days * DAY_US} us too late",
            field="opens_us",
            rule=f"a lot comes back within {days} days ({rules.cite('lot.again_time')})",
            remedy="open earlier, or open a lot of its own: as a first auction, against the appraisal",
        )
    if earlier.state != "failed":
        return
    least = rules.value("auction.again_of_start_at_least_ppm")
    if act.offer.price_fen * 1_000_000 < earlier.start_price_fen * least:
        raise Unprocessable(
            "lot.again_start",
            f"{act.offer.price_fen} fen is below {least / 10_000:g} % of the earlier start {earlier.start_price_fen}",
            field="price_fen",
            rule=rules.cite("lot.again_start"),
            remedy="raise the start price",
        )
    most = rules.value("auction.returns_at_most")
    if earlier.failures > most:
        raise Conflict(
            "lot.again_often",
            f"this lot has failed {earlier.failures} times",
            field="again_of",
            rule=f"a lot that failed comes back {most} time(s) ({rules.cite('lot.again_often')})",
            remedy="sell it at a fixed price, or have it reappraised and open a lot of its own",
        )


async def _earlier(tx: Transaction, act: OpenLot, rules: Rulebook) -> Earlier | None:
    """The round that this lot names, which has to be of its asset; the one that it has to name is not left out."""
    within_us = rules.value("auction.again_within_days") * DAY_US
    following = aliased(Lot)
    unsold = (
        select(Lot)
        .join(Listing, col(Listing.id) == col(Lot.listing))
        .outerjoin(following, col(following.again_of) == col(Lot.id))
        .where(col(Listing.asset) == act.asset, col(Lot.state).in_(UNSOLD), col(following.id).is_(None))
        .order_by(col(Lot.log_index))
    )
    for last in (await tx.session.execute(unsold)).scalars().all():
        if act.again_of == last.id or over_us(last) + within_us < tx.now_us:
            continue
        if any(one.state == "defaulted" for one in await rounds_before(tx.session, last)):
            raise Conflict(
                "lot.again_missing",
                f"lot {last.id} of this asset was defaulted on",
                field="again_of",
                rule="its next auction is the one against which the forfeited deposit is counted, and from which the"
                " defaulter is barred",
                remedy=f"name {last.id} as again_of",
            )
    if act.again_of is None:
        return None
    lot = await tx.find(Lot, act.again_of, "lot")
    listing = await tx.find(Listing, lot.listing, "listing")
    if listing.asset != act.asset:
        raise NotFound(
            "lot.unknown",
            f"no lot {act.again_of!r} of this asset",
            field="again_of",
            remedy="name an earlier lot of the same asset",
        )
    come = (await tx.session.execute(select(Lot.id).where(col(Lot.again_of) == lot.id))).scalar()
    if come is not None:
        raise Conflict(
            "lot.again",
            f"lot {lot.id} has come back as {come}",
            field="again_of",
            rule="a lot comes back once",
            remedy=f"name {come}, if that came to nothing too",
        )
    failures = 0
    for one in await rounds_before(tx.session, lot):
        if one.state != "failed":
            break
        failures += 1
    return Earlier(
        lot.state,
        over_us(lot),
        lot.start_price_fen,
        listing.grant,
        listing.licences,
        listing.term_days,
        failures,
    )


def over_us(lot: Lot) -> int:
    """When a lot came to nothing: 0 for one that has not."""
    return (lot.defaulted_us if lot.state == "defaulted" else lot.ended_us) or 0


async def rounds_before(session: AsyncSession, lot: Lot) -> list[Lot]:
    """The lot and the rounds before it, the newest first."""
    found = [lot]
    while found[-1].again_of is not None:
        before = await session.get(Lot, found[-1].again_of)
        assert before is not None
        found.append(before)
    return found


async def _check_people(tx: Transaction, act: OpenLot, rules: Rulebook) -> None:
    """Refuse priority holders who are nobody, and proofs of a kind that no party shows."""
    kinds = rules.words("parties.document_kinds")
    for kind in act.qualification:
        if kind not in kinds or act.qualification.count(kind) > 1:
            raise Unprocessable(
                "lot.qualification",
                kind,
                field="qualification",
                rule=f"each once of {', '.join(kinds)} ({rules.cite('lot.qualification')})",
                remedy="name kinds of documents that parties show",
            )
    for party in act.priority:
        found = await tx.session.get(Party, party)
        if found is None or "buyer" not in found.roles or act.priority.count(party) > 1:
            raise Unprocessable(
                "lot.priority",
                party,
                field="priority",
                rule="buyers of this market, each once",
                remedy="name who holds a right of priority, by its identifier here",
            )


async def _draw(tx: Transaction, act: OpenLot, rules: Rulebook) -> Draw | None:
    """The commitment that this lot takes, None where nobody is drawn."""
    if act.offer.ceiling_fen is None or not rules.allows("auction.draw_at_ceiling"):
        return None
    unused = (
        select(Draw)
        .outerjoin(Lot, col(Lot.draw) == col(Draw.name))
        .where(col(Lot.id).is_(None), col(Draw.nonce).is_(None))
        .order_by(col(Draw.log_index), col(Draw.name))
        .limit(1)
    )
    draw = (await tx.session.execute(unused)).scalar_one_or_none()
    if draw is None:
        raise Conflict(
            "lot.draw",
            "the regulator has committed to no nonce that is still free",
            field="ceiling_fen",
            rule=f"at the ceiling the winner is drawn, from a nonce that was committed to before the lot is listed ({rules.cite('lot.draw')})",
            remedy="let the regulator commit to one (POST /v1/draws), and list the lot again",
        )
    return draw


def rules_of(lot: Lot) -> AscendingRules:
    """The lot's terms as pricing knows them."""
    return AscendingRules(
        start_price_fen=lot.start_price_fen,
        increment_fen=lot.increment_fen,
        opens_at_us=lot.opens_us,
        closes_at_us=lot.first_closes_us,
        soft_close_window_us=lot.soft_close_window_us,
        soft_close_extension_us=lot.soft_close_extension_us,
        ceiling_fen=lot.ceiling_fen,
        priority=tuple(lot.priority),
        draw_at_ceiling=lot.draw is not None,
    )
