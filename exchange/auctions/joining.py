"""Who may bid: a deposit held, a random code for this lot alone, and who is refused on the record, by code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Caller, Record, Scope, Transaction, refusal
from exchange.auctions.terms import rounds_before
from exchange.auctions.views import lot, lots_named
from exchange.errors import Conflict, ExchangeError, Forbidden, NotFound, Unprocessable
from exchange.listings import check_purpose, require_condition_met
from exchange.money import DEPOSITS, MONEY
from exchange.parties import require_active
from exchange.parties.documents import kinds_shown
from exchange.parties.relations import REMEDY, conflict
from exchange.rulebook import Rulebook
from exchange.tables import Asset, Bid, Bidder, Listing, Lot, Party
from ledger.postings import Transfer


@dataclass(frozen=True, slots=True)
class JoinLot(Act):
    """Ask to bid on a lot, with its deposit, for the purpose that is stated; `nonce` is the bidder's own part of a draw at the
    ceiling, 32 bytes as hex.
    """

    scope: ClassVar[Scope] = "trade"
    lot: str
    purpose: str = ""
    nonce: str | None = None


async def join_lot(tx: Transaction, act: JoinLot) -> Record:
    """Hold the deposit and give the bidder a random code for this lot.

    Refused on the record, by code: who sells or runs the data or holds a share of who does, who defaulted on an earlier
    round, who has not shown what the lot asks for or does not meet the condition on which the data is opened, and whose account does not cover the deposit. Where the lot may be
    drawn, Unprocessable without a nonce.
    """
    tx.caller.require("buyer")
    rules = await rulebook.in_force(tx)
    check_purpose(act.purpose, rules)
    party = await tx.find(Party, tx.caller.party, "party")
    lot = await tx.find(Lot, act.lot, "lot")
    if await tx.session.get(Bidder, (lot.id, party.id)) is not None:
        raise Conflict(
            "bidder.admitted",
            "you are admitted to this lot",
            field="lot",
            remedy="bid under the code you have",
        )
    if lot.draw is not None and (act.nonce is None or not _NONCE.fullmatch(act.nonce)):
        raise Unprocessable(
            "bidder.nonce",
            "this lot has a ceiling, and whoever bids it is drawn",
            field="nonce",
            rule="32 bytes of the bidder's own choosing, as 64 hex digits, are mixed into the draw",
            remedy="send a fresh random nonce; the SDK makes one",
        )
    code = "B" + tx.chance(5).hex().upper()
    hold = tx.identifier("hold")
    said: dict[str, Any] = {
        "code": code,
        "deposit_fen": str(lot.deposit_fen),
        "lot": lot.id,
        "bidder": tx.seal(party.id),
        "purpose": act.purpose,
        "hold": hold,  # of a refused bidder too: where money was missing, the transfer failed under this name
    }
    if act.nonce is not None:
        said["nonce"] = act.nonce
    if party.id in lot.priority_parties:
        said["priority"] = True
    try:
        require_active(party)
        if lot.state != "open" or lot.closes_us <= tx.now_us:
            raise Conflict("lot.closed", "this lot is closed", field="lot", remedy="look for an open lot")
        listing = await tx.find(Listing, lot.listing, "listing")
        asset = await tx.find(Asset, listing.asset, "asset")
        related = await conflict(tx, asset, [party.id], bids=True)
        if related is not None and not rules.allows("auction.related_may_bid"):
            alias = {party.id: code}  # who bids is not told in the log
            raise Forbidden(
                "bidder.related",
                related.why("bid", alias),
                field="lot",
                rule=f"venue, seller, operator, appraiser and their affiliates may not bid ({rules.cite('bidder.related')})",
                remedy=REMEDY,
                path=related.way(alias),
            )
        if not rules.allows("auction.defaulter_may_bid_again"):
            await _require_no_default(tx, lot, party, rules)
        await _require_shown(tx, lot, party, rules)
        await require_condition_met(tx, asset, party, act.purpose, rules)
        if party.account is None:
            raise Conflict("party.no_account", "this party holds no money here", field="party")
        await tx.post(Transfer(hold, "pending", party.account, DEPOSITS, lot.deposit_fen, MONEY, "deposit"))
    except ExchangeError as problem:
        return refusal("bidder", said, problem, code=code)
    await tx.insert(
        Bidder(
            lot=lot.id,
            party=party.id,
            code=code,
            hold=hold,
            state="admitted",
            nonce=act.nonce,
            purpose=act.purpose,
            log_index=tx.index,
        )
    )
    if "priority" in said:
        lot.priority = [*lot.priority, code]
    return Record("bidder", {**said, "state": "admitted"}, code)


async def _require_no_default(tx: Transaction, lot: Lot, party: Party, rules: Rulebook) -> None:
    """Refuse whoever won an earlier round of this lot and did not pay."""
    for one in (await rounds_before(tx.session, lot))[1:]:
        if one.state == "defaulted" and one.winner == party.id:
            raise Forbidden(
                "bidder.defaulted",
                f"you won lot {one.id} and did not pay",
                field="lot",
                rule=f"who defaulted is barred from the re-auction ({rules.cite('bidder.defaulted')})",
                remedy="none on this lot; others of this market are open to you",
            )


async def _require_shown(tx: Transaction, lot: Lot, party: Party, rules: Rulebook) -> None:
    """Refuse who has not shown the documents that the lot asks for, accepted and in force now: nobody looks at who bids."""
    if not lot.qualification:
        return
    missing = set(lot.qualification) - await kinds_shown(tx.session, party.id, tx.now_us)
    if missing:
        raise Forbidden(
            "bidder.unqualified",
            f"no {min(missing)} of yours is accepted and in force",
            field="lot",
            rule=f"who bids has shown the documents that the lot names ({rules.cite('bidder.unqualified')})",
            remedy="file the document, have it accepted, and join again",
        )


_NONCE = re.compile("[0-9a-f]{64}")


async def bidder(session: AsyncSession, caller: Caller, identifier: str) -> dict[str, Any]:
    """The caller's own place on a lot, by its code; NotFound where the party did not join."""
    view = await lot(session, identifier)
    row = await session.get(Bidder, (identifier, caller.party))
    if row is None:
        raise NotFound(
            "bidder.unknown",
            "your party has not joined this lot",
            field="lot",
            rule="whoever bids joins first, and has the deposit held",
            remedy="POST /v1/lots/{lot}/bidders",
        )
    return {
        "code": row.code,
        "deposit_fen": view["deposit_fen"],
        "hold": row.hold,
        "index": str(row.log_index),
        "lot": row.lot,
        "priority": row.code in view["priority"],
        "refund_by_us": view["refund_by_us"],
        "state": row.state,
    }


JOINED_SHOWN = 200
"""Lots of a party that are shown, those it joined last."""


async def joined(session: AsyncSession, caller: Caller, only: str | None = None) -> list[dict[str, Any]]:
    """The lots that the caller's party joined, as the public sees them, each with its own `place`; the ones that close next first.

    A place is the party's code, its deposit's hold and what became of that, and its own highest admitted bid.
    """
    best = (
        select(func.max(Bid.price_fen))
        .where(col(Bid.lot) == col(Bidder.lot), col(Bid.code) == col(Bidder.code), col(Bid.reason).is_(None))
        .scalar_subquery()
    )
    query = select(Bidder, best).where(col(Bidder.party) == caller.party)
    if only is not None:
        query = query.where(col(Bidder.lot) == only)
    rows = await session.execute(query.order_by(col(Bidder.log_index).desc()).limit(JOINED_SHOWN))
    places = {
        row.lot: {
            "best_fen": None if price is None else str(price),
            "code": row.code,
            "hold": row.hold,
            "index": str(row.log_index),
            "state": row.state,
        }
        for row, price in rows
    }
    return [view | {"place": places[view["id"]]} for view in await lots_named(session, list(places))]
