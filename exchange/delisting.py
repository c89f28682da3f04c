"""Room: a listing is taken back: what was offered on it lapses, what was sold stays, a lot only before it opens.

From its opening on a lot is halted, called off or annulled (`exchange.auctions`): whoever bids has to be able to rely on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Record, Scope, Transaction
from exchange.auctions.closing import concerned, let_go
from exchange.controls import lapse
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.money import DEPOSITS, MONEY
from exchange.rulebook import Rulebook
from exchange.settlement import linked
from exchange.tables import Bidder, Listing, Lot, Negotiation, Party
from ledger.postings import Transfer

REASON_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class WithdrawListing(Act):
    """The seller takes a listing back; the reason stays sealed."""

    scope: ClassVar[Scope] = "trade"
    listing: str
    reason: str


async def withdraw_listing(tx: Transaction, act: WithdrawListing) -> Record:
    """End a listing of one's own before it is sold out.

    Offers in negotiation lapse with it, and the clock tells each buyer alone; licences that were sold stay. A lot that has
    not opened goes with it, every deposit back in this very act; Conflict for one that has, and for a tender, which is called off.
    """
    listing = await tx.session.get(Listing, act.listing)
    if listing is None or listing.seller != tx.caller.party:
        raise NotFound(
            "listing.unknown",
            f"no listing {act.listing!r} of yours",
            field="listing",
            remedy="check the identifier",
        )
    if not act.reason.strip() or len(act.reason) > REASON_CHARACTERS:
        raise Unprocessable(
            "listing.reason",
            f"{len(act.reason)} characters",
            field="reason",
            rule=f"1 to {REASON_CHARACTERS} characters",
            remedy="say why",
        )
    if listing.state != "open":
        raise Conflict(
            "listing.ended",
            f"this listing is {listing.state}",
            field="listing",
            rule="what stands on offer is taken back",
            remedy="none needed",
        )
    if listing.mode == "tender":
        raise Conflict(
            "listing.tendered",
            "this listing is a tender's",
            field="listing",
            rule="a tender is called off before its deadline, and every deposit goes back",
            remedy="call it off: POST /v1/tenders/{tender}/cancellation",
        )
    said: dict[str, Any] = {"asset": listing.asset, "listing": listing.id, "state": "withdrawn"}
    readers: list[str] = []
    if listing.mode == "auction":
        lot = (await tx.session.execute(select(Lot).where(col(Lot.listing) == listing.id))).scalar_one()
        readers = await concerned(tx.session, lot)
        said |= {"lot": lot.id, "released": await _call_off(tx, lot, await rulebook.in_force(tx))}
    elif lapsed := await lapse(tx, col(Negotiation.listing) == listing.id, "withdrawn"):
        said["lapsed"] = lapsed
    listing.state = "withdrawn"
    return Record("listing_withdrawn", {**said, "reason": tx.seal(act.reason)}, readers=readers)


async def _call_off(tx: Transaction, lot: Lot, rules: Rulebook) -> list[str]:
    """End a lot that has not opened, give back what is held on it, and name the codes whose deposits these were."""
    if lot.state != "open" or tx.now_us >= lot.opens_us:
        raise Conflict(
            "listing.lot_opened",
            f"lot {lot.id} opened at {lot.opens_us}"
            if lot.state == "open"
            else f"lot {lot.id} is {lot.state}",
            field="listing",
            rule=f"from its opening on a lot is not taken back ({rules.cite('listing.lot_opened')})",
            remedy=f"where something is wrong, have it halted and called off (POST /v1/lots/{lot.id}/halt), or annulled",
        )
    held = await tx.session.execute(
        select(Bidder, Party.account)
        .join(Party, col(Party.id) == col(Bidder.party))
        .where(col(Bidder.lot) == lot.id, col(Bidder.state) == "admitted")
        .order_by(col(Bidder.code))
    )
    voids, codes = [], []
    for bidder, account in held.all():
        assert account is not None  # its deposit is held
        void = tx.identifier("void")
        voids.append(
            Transfer(void, "void_pending", account, DEPOSITS, lot.deposit_fen, MONEY, "deposit", bidder.hold)
        )
        codes.append(bidder.code)
        bidder.state = "released"
    if voids:
        await tx.post(*linked(voids))
    await let_go(tx, lot, "cancelled")
    return codes
