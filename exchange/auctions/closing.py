"""The close: award, draw at the ceiling, settlement, and the losers' deposits back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from types import SimpleNamespace
from typing import Any, ClassVar

import orjson
from sqlalchemy import and_
from sqlalchemy import select as sql_select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Asked, Record, Ruling, Scope, Transaction, plain, refusal
from exchange.auctions.terms import rules_of
from exchange.auctions.views import book_of
from exchange.database import driver
from exchange.errors import Conflict, Unprocessable
from exchange.money import DEPOSITS, MONEY
from exchange.rulebook import Rulebook
from exchange.rulebook.days import DAY_US
from exchange.settlement import settle
from exchange.tables import Asset, Bidder, Draw, Listing, Lot, Party
from ledger.entries import canonical
from ledger.pipeline import Statement
from ledger.postings import Transfer
from pricing.auctions import Outcome as PricedOutcome
from pricing.auctions import award, draw_seed
from pricing.errors import AuctionError


@dataclass(frozen=True, slots=True)
class CloseLot(Act):
    """Close a lot whose time has come; `award` is what whoever nudges has made of its book beforehand (`awards_of`)."""

    lot: str
    award: PricedOutcome | None = field(default=None, compare=False)

    def digest(self) -> bytes:
        """Same guarantee as every act's, without the canonical detour."""
        return sha256(b"close\x00%b" % self.lot.encode()).digest()


async def awards_of(session: AsyncSession, identifiers: Sequence[str]) -> list[PricedOutcome | None]:
    """The award of each lot as its book stands, for `CloseLot`; None for one that has to be drawn, or whose row does not fit its
    book: that one is closed alone, and says what is wrong.

    Of a large book this takes the better part of a second, in which nobody should hold the log's head: a lot that is due takes
    no bid any more, so what is made of its book now holds when it is closed, and the close sees that it does.
    """
    rows = await session.execute(select(Lot).where(col(Lot.id).in_(identifiers)))
    lots = {lot.id: lot for lot in rows.scalars()}
    made: list[PricedOutcome | None] = []
    for lot in map(lots.get, identifiers):
        if lot is None or lot.at_ceiling:
            made.append(None)
            continue
        book = await book_of(session, lot.id)
        large = len(book) >= LARGE
        outcome = await asyncio.to_thread(award, rules_of(lot), book) if large else award(rules_of(lot), book)
        made.append(outcome if _holds(outcome, lot) else None)
    return made


LARGE = 1_000
"""Bids of a book whose award is made in a thread of its own, so that the process goes on meanwhile."""


async def close_lot(tx: Transaction, act: CloseLot) -> Record:
    """Award the lot from its book, for its seller, its bidders and who watches it to see.

    Closing is a fact of the log's time (`closes_us <= now`); whoever calls only nudges it. The award is
    made from all admitted bids, and must agree with the standing that bidders saw; one that was made beforehand counts where
    its book is the whole one. Where bids stand at the ceiling
    the winner is still to be drawn (state "drawing"). The losers' deposits go back in entries of their own
    (`release_deposit`), so that this one says nothing of anybody's account.
    """
    lot = await tx.find(Lot, act.lot, "lot")
    _require_due(lot, tx.now_us)
    named = select(Bidder.party).where(col(Bidder.lot) == lot.id, col(Bidder.code) == lot.standing_code)
    leader = (await tx.session.execute(named)).scalar_one_or_none()
    outcome = act.award
    if not lot.at_ceiling and (outcome is None or not _holds(outcome, lot)):
        outcome = award(rules_of(lot), await book_of(tx.session, lot.id))
    said = _close(lot, leader, outcome, tx.now_us, await rulebook.at(tx.session, tx.now_us))
    if lot.state == "failed":
        (await tx.find(Listing, lot.listing, "listing")).state = "ended"
    return Record("lot_closed", said, readers=await concerned(tx.session, lot))


def _require_due(lot: Lot, now_us: int) -> None:
    if lot.state != "open" or lot.closes_us > now_us:
        raise Conflict("lot.not_due", "this lot is not due", field="lot", rule="closes_us <= now")


def _close(
    lot: Lot, leader: str | None, outcome: PricedOutcome | None, now_us: int, rules: Rulebook
) -> dict[str, Any]:
    """Let a lot come to its award, or to its draw where bids stand at the ceiling, and give what its entry says. Pure, but for
    the row; `leader` is the party behind the standing bid. A defect where the book awards somebody else.
    """
    _end(lot, lot.closes_us, rules)
    if lot.at_ceiling:
        lot.state = "drawing"
        said: dict[str, Any] = {"at_ceiling": list(lot.at_ceiling)}
    else:
        assert outcome is not None
        winner = outcome.allocation[0].code if outcome.allocation else None
        if winner != lot.standing_code:
            raise RuntimeError(f"lot {lot.id}: the book awards another bidder than the standing shows")
        _award(lot, outcome, leader, now_us, rules)
        said = {"outcome": lot.outcome}
    return {"bids": str(lot.bids), "closes_us": str(lot.closes_us), "lot": lot.id, "state": lot.state, **said}


_DUE = (
    "id", "listing", "state", "start_price_fen", "increment_fen", "ceiling_fen", "opens_us", "first_closes_us", "closes_us",
    "soft_close_window_us", "soft_close_extension_us", "standing_code", "standing_sequence", "bids", "priority", "draw",
    "at_ceiling",
)  # fmt: skip
_FOUND = (
    f"SELECT s.seller, b.party, {', '.join(f'l.{name}' for name in _DUE)} FROM lot l JOIN listing s ON s.id = l.listing"  # noqa: S608  # names of this file
    " LEFT JOIN bidder b ON b.lot = l.id AND b.code = l.standing_code WHERE l.id = ANY(%s)"
)
_CONCERNED = (
    "SELECT lot, party FROM bidder WHERE lot = ANY(%s)"
    " UNION SELECT lot, party FROM lot_watch WHERE lot = ANY(%s) AND stands"
)
_CLOSED = (
    "UPDATE lot l SET state = n.state, settled = n.settled, outcome = n.outcome, winner = n.winner, price_fen = n.price,"
    " pay_by_us = n.pay_by, ended_us = n.ended, refund_by_us = n.refund_by FROM unnest(%s::text[], %s::text[], %s::boolean[],"
    " %s::jsonb[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])"
    " AS n(id, state, settled, outcome, winner, price, pay_by, ended, refund_by) WHERE l.id = n.id"
)
_ENDED = "UPDATE listing SET state = 'ended' WHERE id = ANY(%s)"


class CloseLots:
    """`close_lot` for many at once, whose awards were made beforehand: a thousand lots may close in one second. See `Batched`.

    One whose award does not hold, or that has to be drawn, is a Conflict: `close_lot` is for it.
    """

    kind = "lot_closed"

    def reads(self, asked: Sequence[Asked]) -> Sequence[Statement]:
        """The lots with their sellers and leaders, the rules, and whom each concerns."""
        lots = [ask.act.lot for ask in asked]
        return ((_FOUND, (lots,)), (rulebook.VERSIONS, ()), (_CONCERNED, (lots, lots)))

    def decide(
        self,
        now_us: int,
        first_index: int,
        asked: Sequence[Asked],
        rows: Sequence[Sequence[tuple[Any, ...]]],
    ) -> tuple[Sequence[Ruling], Sequence[Statement]]:
        """Let each come to its award."""
        found = {row[2]: (row[0], row[1], _lot(row[2:])) for row in rows[0]}
        rules = rulebook.of_versions(rows[1], now_us)
        concerned: dict[str, set[str]] = {}
        for name, party in rows[2]:
            concerned.setdefault(name, set()).add(party)
        rulings, closed = [], []
        for ask in asked:
            seller, leader, lot = found.pop(ask.act.lot, ("", None, None))
            if lot is None or lot.at_ceiling or ask.act.award is None or not _holds(ask.act.award, lot):
                rulings.append(Ruling(error=_unready()))
                continue
            try:
                _require_due(lot, now_us)
            except Conflict as early:
                rulings.append(Ruling(error=early))
                continue
            said = _close(lot, leader, ask.act.award, now_us, rules)
            readers = sorted({seller, *concerned.get(lot.id, ())})
            rulings.append(Ruling(_closing_body(ask, said, now_us), canonical(said), readers=readers))
            closed.append(lot)
        return rulings, _writes(closed)


close_lots = CloseLots()


def _lot(members: Sequence[Any]) -> Lot:
    """What a close reads and sets of a lot's row. Not the mapper's object: to make one takes as long as the rest of a close."""
    unset = {"settled": False, "outcome": None, "winner": None, "price_fen": None, "pay_by_us": None}
    found: Any = SimpleNamespace(**dict(zip(_DUE, members, strict=True)), **unset)
    lot: Lot = found
    return lot


def _closing_body(ask: Asked, said: Mapping[str, Any], now_us: int) -> bytes:
    caller = {"by": ask.caller.person, "key": ask.key, "party": ask.caller.party}
    return canonical({"act": said, **caller, "kind": CloseLots.kind, "time": str(now_us)})


def _writes(closed: Sequence[Lot]) -> list[Statement]:
    if not closed:
        return []
    members = (
        [lot.id for lot in closed],
        [lot.state for lot in closed],
        [bool(lot.settled) for lot in closed],
        [orjson.dumps(lot.outcome).decode() for lot in closed],
        [lot.winner for lot in closed],
        [lot.price_fen for lot in closed],
        [lot.pay_by_us for lot in closed],
        [lot.ended_us for lot in closed],
        [lot.refund_by_us for lot in closed],
    )
    failed = [lot.listing for lot in closed if lot.state == "failed"]
    return [(_CLOSED, members), *([(_ENDED, (failed,))] if failed else [])]


def _unready() -> Conflict:
    return Conflict(
        "lot.award",
        "the award that was made does not hold, or is to be drawn",
        field="award",
        rule="of the whole book",
    )


def _holds(outcome: PricedOutcome, lot: Lot) -> bool:
    """Whether an award is of these terms and of the whole book: bids are only added to one, each behind the last."""
    last = outcome.allocation[0].sequence if outcome.allocation else None
    made = (outcome.rules_digest, outcome.bids, last, outcome.closed_at_us)
    return made == (rules_of(lot).digest, lot.bids, lot.standing_sequence, lot.closes_us)


def _end(lot: Lot, ended_us: int, rules: Rulebook) -> None:
    """Let the clock of the deposits that go back run from when the auction ended, not from when that was written down."""
    lot.ended_us = ended_us
    lot.refund_by_us = ended_us + rules.value("auction.deposit_returned_within_us")


def _award(lot: Lot, outcome: PricedOutcome, winner: str | None, now_us: int, rules: Rulebook) -> None:
    """Give the lot to the party that its outcome names by its code; one that nobody bid for has failed."""
    lot.outcome = outcome_json(outcome)
    if not outcome.allocation:
        lot.state, lot.settled = "failed", True
        return
    lot.winner, lot.price_fen = winner, outcome.allocation[0].price_fen
    lot.pay_by_us = now_us + rules.value("auction.paid_within_days") * DAY_US
    lot.state = "sold"


async def end_without_sale(tx: Transaction, lot: Lot, state: str) -> None:
    """Let go of what was on offer: nothing is settled any more, and the asset may be offered again."""
    lot.state, lot.settled = state, True
    (await tx.find(Listing, lot.listing, "listing")).state = "ended"


async def let_go(tx: Transaction, lot: Lot, state: str) -> None:
    """End a lot now that has not come to its close; every deposit goes back."""
    _end(lot, tx.now_us, await rulebook.at(tx.session, tx.now_us))
    await end_without_sale(tx, lot, state)


async def concerned(session: AsyncSession, lot: Lot) -> list[str]:
    """Whom it concerns what becomes of a lot: its seller, its bidders, and who watches it."""
    listing = await session.get(Listing, lot.listing)
    assert listing is not None
    found = await (await driver(session)).execute(_CONCERNED, ([lot.id], [lot.id]))
    return sorted({listing.seller, *(party for _, party in await found.fetchall())})


def outcome_json(outcome: PricedOutcome) -> dict[str, Any]:
    """The award as a body states it: pricing's canonical result, whose digest anyone recomputes."""
    return {"digest": outcome.digest, "result": plain(orjson.loads(outcome.canonical))}


@dataclass(frozen=True, slots=True)
class CommitDraw(Act):
    """Commit to a nonce for a draw to come: `commitment` is `pricing.auctions.draw.commit_nonce` of it under `name`, hex."""

    scope: ClassVar[Scope] = "manage"
    name: str
    commitment: str


async def commit_draw(tx: Transaction, act: CommitDraw) -> Record:
    """Keep a commitment for the next lot that has a ceiling (regulator). The nonce stays with the regulator."""
    tx.caller.require("regulator")
    if not _DIGEST.fullmatch(act.commitment) or not _NAME.fullmatch(act.name):
        raise Unprocessable(
            "draw.commitment",
            f"{act.name}: {act.commitment}",
            field="commitment",
            rule="the SHA-256 of a 32-byte nonce under the draw's name, as 64 hex digits; the name 1 to 64 letters, digits, '-', '_'",
            remedy="let the SDK make nonce and commitment",
        )
    if await tx.session.get(Draw, act.name) is not None:
        raise Conflict("draw.known", f"draw {act.name} stands", field="name", remedy="take a fresh name")
    await tx.insert(Draw(name=act.name, commitment=act.commitment, log_index=tx.index))
    return Record("draw_committed", {"commitment": act.commitment, "name": act.name, "state": "committed"})


@dataclass(frozen=True, slots=True)
class RevealDraw(Act):
    """Reveal the nonce of a lot that closed at its ceiling, hex."""

    scope: ClassVar[Scope] = "manage"
    lot: str
    nonce: str


async def reveal_draw(tx: Transaction, act: RevealDraw) -> Record:
    """Draw the winner from the regulator's nonce and those of the bidders at the ceiling, and award the lot (regulator).

    A nonce that was not the committed one is refused on the record: it would steer the draw.
    """
    tx.caller.require("regulator")
    lot = await tx.find(Lot, act.lot, "lot")
    if lot.state != "drawing" or lot.draw is None:
        raise Conflict(
            "draw.not_due",
            f"lot {lot.id} is {lot.state}",
            field="lot",
            rule="a nonce is revealed after the close of a lot that ended at its ceiling",
            remedy="keep it until then",
        )
    draw = await tx.find(Draw, lot.draw, "draw")
    named = select(Bidder.code, Bidder.nonce).where(
        col(Bidder.lot) == lot.id, col(Bidder.code).in_(lot.at_ceiling)
    )
    nonces = {code: nonce or "" for code, nonce in await tx.session.execute(named)}
    said = {"lot": lot.id, "name": draw.name, "nonce": act.nonce, "nonces": nonces}
    try:
        seed = seed_of(draw.name, draw.commitment, act.nonce, nonces)
    except AuctionError as refused:
        problem = Unprocessable(
            "draw.nonce", str(refused), field=refused.field, rule=refused.rule, remedy=refused.remedy
        )
        return refusal("lot_drawn", said, problem)
    outcome = award(rules_of(lot), await book_of(tx.session, lot.id), seed=seed)
    drawn = select(Bidder.party).where(
        col(Bidder.lot) == lot.id, col(Bidder.code) == outcome.allocation[0].code
    )
    winner = (await tx.session.execute(drawn)).scalar_one()
    _award(lot, outcome, winner, tx.now_us, await rulebook.at(tx.session, tx.now_us))
    draw.nonce = act.nonce
    return Record(
        "lot_drawn",
        {**said, "outcome": lot.outcome, "seed": seed.hex(), "state": lot.state},
        readers=await concerned(tx.session, lot),
    )


def seed_of(name: str, commitment: str, nonce: str, nonces: Mapping[str, str]) -> bytes:
    """The seed of a draw from what its entries say, all as hex. Pure; AuctionError where the nonce is another than committed."""
    if not _DIGEST.fullmatch(nonce):
        raise AuctionError(
            field="nonce", rule="must be 32 bytes as 64 hex digits", remedy="reveal the nonce as it was made"
        )
    given = {code: bytes.fromhex(own) for code, own in nonces.items()}
    return draw_seed(bytes.fromhex(commitment), bytes.fromhex(nonce), name, given)


_DIGEST = re.compile("[0-9a-f]{64}")
_NAME = re.compile("[A-Za-z0-9_-]{1,64}")


async def draws(session: AsyncSession) -> list[dict[str, Any]]:
    """The draws that were committed to, newest first: whose lot took each, and the nonce where it is revealed."""
    rows = await session.execute(
        select(Draw, Lot.id, Lot.state)
        .outerjoin(Lot, col(Lot.draw) == col(Draw.name))
        .order_by(col(Draw.log_index).desc(), col(Draw.name))
        .limit(1000)
    )
    return [
        {
            "name": draw.name,
            "commitment": draw.commitment,
            "nonce": draw.nonce,
            "index": str(draw.log_index),
            "lot": lot,
            "due": state == "drawing",
        }
        for draw, lot, state in rows
    ]


@dataclass(frozen=True, slots=True)
class SettleLot(Act):
    """Settle an awarded lot."""

    lot: str


async def settle_lot(tx: Transaction, act: SettleLot) -> Record:
    """Pay, license and confirm the award: the winner's deposit is released into the price.

    Conflict, unrecorded, while the winner's account does not cover price and fee: it may be tried again, until the winner
    is found in default (`declare_default`).
    """
    # All that is needed, at once: a thousand lots may be settled in one crowd. The session knows a row as long as it is held.
    bidding = and_(col(Bidder.lot) == col(Lot.id), col(Bidder.party) == col(Lot.winner))
    asked = (
        sql_select(Lot, Listing, Asset, Bidder, Party)
        .join(Listing, col(Listing.id) == col(Lot.listing))
        .join(Asset, col(Asset.id) == col(Listing.asset))
        .outerjoin(Bidder, bidding)
        .outerjoin(Party, col(Party.id).in_((col(Lot.winner), col(Listing.seller))))
        .where(col(Lot.id) == act.lot)
    )
    held = (await tx.session.execute(asked)).all()
    lot = held[0][0] if held else await tx.find(Lot, act.lot, "lot")
    if lot.state != "sold" or lot.settled or lot.winner is None or lot.price_fen is None:
        raise Conflict("lot.not_awarded", "there is nothing to settle", field="lot")
    rules = await rulebook.in_force(tx)
    buyer = await tx.find(Party, lot.winner, "party")
    bidder = await tx.find(Bidder, (lot.id, lot.winner), "bidder")
    listing = await tx.find(Listing, lot.listing, "listing")
    assert buyer.account is not None
    hold = Transfer(
        tx.identifier("void"),
        "void_pending",
        buyer.account,
        DEPOSITS,
        lot.deposit_fen,
        MONEY,
        "deposit",
        bidder.hold,
        True,
    )
    confirmation = await settle(
        tx,
        listing=listing,
        buyer=buyer,
        licences=1,
        price_fen=lot.price_fen,
        rules=rules,
        purpose=bidder.purpose,
        lot=lot.id,
        hold=hold,
    )
    bidder.state = "captured"
    lot.settled = True
    return Record("lot_settled", {"lot": lot.id, **confirmation}, readers=(buyer.id, listing.seller))
