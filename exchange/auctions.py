"""Ascending auctions: a deposit first, then bids by code, a close that late bids move, an award anyone recomputes.

`place_bids` is the market's hot path: it reads in one round trip, decides in memory with `pricing.auctions`,
and writes set by set. A bid's place in the log is its sequence; nothing else orders bids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, ClassVar, NamedTuple

import orjson
from sqlalchemy import tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange import controls, rulebook
from exchange.acts import (
    Act,
    Asked,
    Caller,
    Record,
    Ruling,
    Scope,
    Signed,
    Statement,
    Transaction,
    plain,
    reason,
    refusal,
)
from exchange.database import driver
from exchange.errors import Conflict, ExchangeError, Forbidden, NotFound, Unprocessable
from exchange.listings import Offer, create_listing, refused_terms
from exchange.money import DEPOSITS, MONEY
from exchange.parties import account_of, related_bidder, require_active
from exchange.rulebook import Rulebook
from exchange.settlement import settle, split
from exchange.tables import Asset, Bid, Bidder, Listing, Lot, Market, Party
from ledger.entries import canonical
from ledger.postings import Transfer
from pricing.auctions import AscendingRules, Rejected, Standing, admit, award
from pricing.auctions import Bid as PricedBid
from pricing.auctions import Outcome as PricedOutcome
from pricing.errors import PricingError
from pricing.money import MAX_AMOUNT


@dataclass(frozen=True, slots=True)
class OpenLot(Act):
    """Offer one grant by ascending auction; times in microseconds of the market's clock."""

    scope: ClassVar[Scope] = "trade"
    asset: str
    offer: Offer
    increment_fen: int
    deposit_fen: int
    opens_us: int
    closes_us: int


async def open_lot(tx: Transaction, act: OpenLot) -> Record:
    """List an asset as a lot; refuses terms outside the rulebook by clause."""
    rules = rulebook.load((await tx.find(Market, 1, "market")).profile)
    listing, appraisal = await create_listing(tx, act.asset, act.offer, "auction", rules)
    check_lot(act, appraisal.value_fen, tx.now_us, rules)
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
        log_index=tx.index,
    )
    try:
        terms = rules_of(lot)
    except PricingError as refused:
        raise refused_terms(refused) from refused
    await tx.insert(lot)
    return Record(
        "lot_opened",
        {
            "appraisal_fen": str(appraisal.value_fen),
            "asset": listing.asset,
            "deposit_fen": str(lot.deposit_fen),
            "id": lot.id,
            "listing": listing.id,
            "offer": plain(act.offer),
            "rulebook": {"digest": rules.digest, "version": rules.version},
            "rules": plain(terms.to_json()),
            "seller": listing.seller,
            "state": "open",
        },
    )


def check_lot(act: OpenLot, appraisal_fen: int, now_us: int, rules: Rulebook) -> None:
    """Refuse a lot whose terms the rulebook does not allow. Pure; exact on both sides of each edge."""
    start = act.offer.price_fen
    if act.offer.licences != 1:
        raise Unprocessable(
            "lot.licences",
            f"{act.offer.licences} licences",
            field="licences",
            rule="an ascending auction sells one grant",
            remedy="offer one, or sell at a fixed price",
        )
    least = rules["auction.start_of_appraisal_at_least_ppm"]
    if start * 1_000_000 < appraisal_fen * least.value:
        raise Unprocessable(
            "lot.start_price",
            f"{start} fen is below {least.value / 10_000:g} % of the appraisal {appraisal_fen}",
            field="price_fen",
            rule=least.cite(),
            remedy="raise the start price, or reappraise",
        )
    low, high = rules["auction.deposit_at_least_ppm"], rules["auction.deposit_at_most_ppm"]
    if not start * low.value <= act.deposit_fen * 1_000_000 <= start * high.value:
        raise Unprocessable(
            "lot.deposit",
            f"{act.deposit_fen} fen of a start price of {start}",
            field="deposit_fen",
            rule=f"{low.value / 10_000:g} % to {high.value / 10_000:g} % of the start price ({low.cite()})",
            remedy="set the deposit within these bounds",
        )
    open_for = rules["auction.open_at_least_us"]
    if act.opens_us < now_us or act.closes_us - act.opens_us < open_for.value:
        raise Unprocessable(
            "lot.open",
            f"open for {(act.closes_us - act.opens_us) // 1_000_000} s",
            field="closes_us" if act.opens_us >= now_us else "opens_us",
            rule=f"from now on, open for {open_for.value // 3_600_000_000} hours or longer ({open_for.cite()})",
            remedy="open later, or close later",
        )


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
    )


@dataclass(frozen=True, slots=True)
class JoinLot(Act):
    """Ask to bid on a lot, with its deposit."""

    scope: ClassVar[Scope] = "trade"
    lot: str


async def join_lot(tx: Transaction, act: JoinLot) -> Record:
    """Hold the deposit and give the bidder a random code for this lot.

    Refused on the record, by code: who sells or runs the data or holds a share of who does, and whose
    account does not cover the deposit.
    """
    tx.caller.require("buyer")
    party = await tx.find(Party, tx.caller.party, "party")
    lot = await tx.find(Lot, act.lot, "lot")
    if await tx.session.get(Bidder, (lot.id, party.id)) is not None:
        raise Conflict(
            "bidder.admitted",
            "you are admitted to this lot",
            field="lot",
            remedy="bid under the code you have",
        )
    code = "B" + tx.chance(5).hex().upper()
    hold = tx.identifier("hold")
    said = {
        "code": code,
        "deposit_fen": str(lot.deposit_fen),
        "lot": lot.id,
        "bidder": tx.seal(party.id),
        "hold": hold,  # of a refused bidder too: where money was missing, the transfer failed under this name
    }
    try:
        require_active(party)
        if lot.state != "open" or lot.closes_us <= tx.now_us:
            raise Conflict("lot.closed", "this lot is closed", field="lot", remedy="look for an open lot")
        listing = await tx.find(Listing, lot.listing, "listing")
        asset = await tx.find(Asset, listing.asset, "asset")
        relation = await related_bidder(tx, asset, party.id)
        if relation is not None:
            raise Forbidden(
                "bidder.related",
                f"{relation} does not bid",
                field="lot",
                rule="venue, seller, operator and their affiliates may not bid",
                remedy="none on this lot",
            )
        if party.account is None:
            raise Conflict("party.no_account", "this party holds no money here", field="party")
        await tx.post(Transfer(hold, "pending", party.account, DEPOSITS, lot.deposit_fen, MONEY, "deposit"))
    except ExchangeError as problem:
        return refusal("bidder", said, problem, code=code)
    await tx.insert(
        Bidder(lot=lot.id, party=party.id, code=code, hold=hold, state="admitted", log_index=tx.index)
    )
    return Record("bidder", {**said, "state": "admitted"}, code)


@dataclass(frozen=True, slots=True)
class PlaceBid(Act):
    """One bid; the caller's identifier is the bid's."""

    scope: ClassVar[Scope] = "trade"
    lot: str
    price_fen: int
    signed: Signed | None = field(default=None, compare=False)
    expires_us: int | None = field(default=None, compare=False)
    """Until when, on the market's clock, it may be admitted, where the bidder says so; it then stands in the entry."""

    def digest(self) -> bytes:
        """Same guarantee as every act's, without the canonical detour."""
        return sha256(b"bid\x00%b\x00%d" % (self.lot.encode(), self.price_fen)).digest()


class PlaceBids:
    """Decides many bids in log order; see `Batched`."""

    kind = "bid"

    def reads(self, asked: Sequence[Asked]) -> Sequence[Statement]:
        """The lots, and under which code each caller is admitted to them, in what state and within which limits."""
        lots = [a.act.lot for a in asked]
        return (
            (
                "SELECT id, state, start_price_fen, increment_fen, opens_us, first_closes_us, soft_close_window_us,"
                " soft_close_extension_us, ceiling_fen, standing_price_fen, standing_code, standing_sequence, bids,"
                " closes_us FROM lot WHERE id = ANY(%s)",
                (list(set(lots)),),
            ),
            (
                "SELECT w.lot, w.party, b.code, CASE WHEN p.stopped THEN 'stopped' ELSE p.state END,"
                " p.sign_above_fen, p.order_limit_fen FROM (SELECT DISTINCT * FROM unnest(%s::text[], %s::text[])"
                " AS u(lot, party)) w JOIN bidder b USING (lot, party) JOIN party p ON p.id = w.party",
                (lots, [a.caller.party for a in asked]),
            ),
        )

    def decide(
        self,
        now_us: int,
        first_index: int,
        asked: Sequence[Asked],
        rows: Sequence[Sequence[tuple[Any, ...]]],
    ) -> tuple[Sequence[Ruling], Sequence[Statement]]:
        """Judge each bid against the standing that the ones before it left."""
        lots = {row[0]: _OnFloor(row) for row in rows[0]}
        bidders = {(row[0], row[1]): _Bidding._make(row[2:]) for row in rows[1]}
        rulings: list[Ruling] = []
        placed: list[tuple[int, str, str, str, int, str | None]] = []
        signed: list[tuple[Signed, int]] = []
        index = first_index
        for ask in asked:
            act: PlaceBid = ask.act
            lot = lots.get(act.lot)
            who = bidders.get((act.lot, ask.caller.party))
            if not 0 < act.price_fen <= MAX_AMOUNT:
                rulings.append(Ruling(error=_no_price(act)))
                continue
            if lot is None or who is None:
                rulings.append(Ruling(error=_not_admitted(act, known=lot is not None)))
                continue
            ruling, why = lot.judge(act, who, ask.key, now_us, index)
            rulings.append(ruling)
            placed.append((index, act.lot, who.code, ask.key, act.price_fen, why))
            if act.signed is not None:
                signed.append((act.signed, index))
            index += 1
        writes = _writes(placed, [lot for lot in lots.values() if lot.moved], now_us)
        return rulings, [*writes, _openings(signed)] if signed else writes


place_bids = PlaceBids()


class _Bidding(NamedTuple):
    """A caller admitted to a lot: the code, the party's state, and what it forbids itself."""

    code: str
    state: str
    sign_above_fen: int | None
    order_limit_fen: int | None


class _OnFloor:
    """A lot while a batch is decided: its rules, and the standing that each admitted bid replaces."""

    __slots__ = ("id", "moved", "rules", "standing", "state")

    def __init__(self, row: tuple[Any, ...]) -> None:
        self.id, self.state, start, increment, opens, closes, window, extension, ceiling = row[:9]
        self.rules = AscendingRules(start, increment, opens, closes, window, extension, ceiling)
        self.standing = Standing(*row[9:14])
        self.moved = False

    def judge(
        self, act: PlaceBid, who: _Bidding, key: str, now_us: int, index: int
    ) -> tuple[Ruling, str | None]:
        """Admit or refuse one bid; both go on the record."""
        code = who.code
        if act.expires_us is not None and now_us > act.expires_us:
            problem: ExchangeError = Unprocessable(
                "bid.expired",
                f"this bid could be admitted until {act.expires_us}",
                field="Request-Expires",
                rule="a bid is not admitted after the time that its bidder set, by the market's clock",
                remedy="bid anew, with a later time, if you still want it",
            )
            return _on_record(act, code, key, now_us, problem), "expired"
        if who.state != "active":
            return _refused(act, code, key, now_us, who.state, f"the bidder is {who.state}"), who.state
        if who.sign_above_fen is not None or who.order_limit_fen is not None:
            why = controls.beyond(
                act.price_fen, who.sign_above_fen, who.order_limit_fen, signed=act.signed is not None
            )
            if why is not None:
                problem = controls.refused_order(f"bid.{why}", act.price_fen, why)
                return _on_record(act, code, key, now_us, problem), why
        if self.state != "open":
            return _refused(act, code, key, now_us, "closed", "the lot is closed"), "closed"
        decision = admit(self.rules, self.standing, PricedBid(code, key, act.price_fen, index, now_us))
        if isinstance(decision, Rejected):
            return _refused(
                act, code, key, now_us, decision.reason.value, decision.detail
            ), decision.reason.value
        self.standing = decision.standing
        self.moved = True
        # Identifiers and codes are of letters, digits, '-' and '_' (the doors check), so this is canonical JSON.
        outcome = b'{"closes_us":"%d","code":"%b",%b"lot":"%b","price_fen":"%d","state":"admitted"}' % (
            self.standing.closes_at_us,
            code.encode(),
            b"" if act.expires_us is None else b'"expires_us":"%d",' % act.expires_us,
            act.lot.encode(),
            act.price_fen,
        )
        return Ruling(_bid_body(outcome, act, code, key, now_us), outcome), None


def _bid_body(outcome: bytes, act: PlaceBid, code: str, key: str, now_us: int) -> bytes:
    return b'{"act":%b,"by":"%b","key":"%b","kind":"bid",%b"time":"%d"}' % (
        outcome,
        code.encode(),
        key.encode(),
        b"" if act.signed is None else b'"signed":"%b",' % act.signed.commitment.encode(),
        now_us,
    )


def _openings(signed: Sequence[tuple[Signed, int]]) -> Statement:
    """Keep what opens the bidders' signatures."""
    return (
        "INSERT INTO opening (commitment, log_index, salt, value)"
        " SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bytea[], %s::text[])",
        (
            [one.commitment for one, _ in signed],
            [index for _, index in signed],
            [one.salt for one, _ in signed],
            [one.text for one, _ in signed],
        ),
    )


def _refused(act: PlaceBid, code: str, key: str, now_us: int, reason: str, detail: str) -> Ruling:
    problem = Unprocessable(
        f"bid.{reason}",
        detail,
        field="price_fen",
        rule="the lot's published rules",
        remedy="read the lot's standing price and close, and bid again",
    )
    return _on_record(act, code, key, now_us, problem)


def _on_record(act: PlaceBid, code: str, key: str, now_us: int, problem: ExchangeError) -> Ruling:
    said = {"code": code, "lot": act.lot, "price_fen": str(act.price_fen)}
    if act.expires_us is not None:
        said["expires_us"] = str(act.expires_us)
    record = refusal("bid", said, problem, code=code)
    outcome = canonical(record.act)
    return Ruling(_bid_body(outcome, act, code, key, now_us), outcome, refused=True)


def _no_price(act: PlaceBid) -> ExchangeError:
    return Unprocessable(
        "bid.price",
        f"{act.price_fen} fen",
        field="price_fen",
        rule=f"1 to {MAX_AMOUNT} fen",
        remedy="read the lot's standing price, and bid again",
    )


def _not_admitted(act: PlaceBid, *, known: bool) -> ExchangeError:
    if not known:
        return NotFound("lot.unknown", f"no lot {act.lot!r}", field="lot", remedy="check the identifier")
    return Forbidden(
        "bid.no_deposit",
        "you are not admitted to this lot",
        field="lot",
        rule="the deposit is held before the first bid",
        remedy="join the lot with its deposit, then bid",
    )


def _writes(
    placed: Sequence[tuple[int, str, str, str, int, str | None]], moved: Sequence[_OnFloor], now_us: int
) -> Sequence[Statement]:
    statements: list[Statement] = []
    if placed:
        statements.append(
            (
                "INSERT INTO bid (log_index, lot, code, key, price_fen, reason, time_us) SELECT *, %s FROM"
                " unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[])",
                (now_us, *map(list, zip(*placed, strict=True))),
            )
        )
    if moved:
        statements.append(
            (
                "UPDATE lot l SET standing_price_fen = n.price, standing_code = n.code, standing_sequence = n.sequence,"
                " bids = n.bids, closes_us = n.closes FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::bigint[],"
                " %s::bigint[], %s::bigint[]) AS n(id, price, code, sequence, bids, closes) WHERE l.id = n.id",
                (
                    [lot.id for lot in moved],
                    [lot.standing.price_fen for lot in moved],
                    [lot.standing.code for lot in moved],
                    [lot.standing.sequence for lot in moved],
                    [lot.standing.bids for lot in moved],
                    [lot.standing.closes_at_us for lot in moved],
                ),
            )
        )
    return statements


@dataclass(frozen=True, slots=True)
class CloseLot(Act):
    """Close a lot whose time has come."""

    lot: str


async def close_lot(tx: Transaction, act: CloseLot) -> Record:
    """Award the lot from its book, for its seller and all its bidders to see.

    Closing is a fact of the log's time (`closes_us <= now`); whoever calls only nudges it. The award is
    recomputed from all admitted bids, and must agree with the standing that bidders saw. The losers' deposits
    go back in entries of their own (`release_deposit`), so that this one says nothing of anybody's account.
    """
    lot = await tx.find(Lot, act.lot, "lot")
    if lot.state != "open" or lot.closes_us > tx.now_us:
        raise Conflict("lot.not_due", "this lot is not due", field="lot", rule="closes_us <= now")
    book = await _book(tx.session, lot.id)
    outcome = award(rules_of(lot), book)
    winner = outcome.allocation[0] if outcome.allocation else None
    if (winner.code if winner else None) != lot.standing_code:
        raise RuntimeError(f"lot {lot.id}: the book awards another bidder than the standing shows")
    named = await tx.session.execute(select(Bidder.code, Bidder.party).where(col(Bidder.lot) == lot.id))
    bidders = {row.code: row.party for row in named}
    if winner is not None:
        lot.winner, lot.price_fen = bidders[winner.code], winner.price_fen
    lot.state = "sold" if winner else "failed"
    lot.outcome = outcome_json(outcome)
    listing = await tx.find(Listing, lot.listing, "listing")
    if winner is None:
        listing.state = "ended"
        lot.settled = True
    return Record(
        "lot_closed",
        {
            "bids": str(len(book)),
            "closes_us": str(lot.closes_us),
            "lot": lot.id,
            "outcome": lot.outcome,
            "state": lot.state,
        },
        readers=(listing.seller, *bidders.values()),
    )


def outcome_json(outcome: PricedOutcome) -> dict[str, Any]:
    """The award as a body states it: pricing's canonical result, whose digest anyone recomputes."""
    return {"digest": outcome.digest, "result": plain(orjson.loads(outcome.canonical))}


@dataclass(frozen=True, slots=True)
class ReleaseDeposit(Act):
    """Give a loser's deposit back, by its code on the lot."""

    lot: str
    code: str


async def release_deposit(tx: Transaction, act: ReleaseDeposit) -> Record:
    """Release the hold of a bidder who did not win a closed lot; Conflict where nothing of it is held any more."""
    lot = await tx.find(Lot, act.lot, "lot")
    named = select(Bidder).where(col(Bidder.lot) == lot.id, col(Bidder.code) == act.code)
    bidder = (await tx.session.execute(named)).scalar_one_or_none()
    if lot.state == "open" or bidder is None or bidder.state != "admitted" or bidder.party == lot.winner:
        raise Conflict("lot.nothing_to_release", "there is no such deposit to release", field="code")
    party = await tx.find(Party, bidder.party, "party")
    assert party.account is not None
    void = tx.identifier("void")
    await tx.post(
        Transfer(
            void, "void_pending", party.account, DEPOSITS, lot.deposit_fen, MONEY, "deposit", bidder.hold
        )
    )
    bidder.state = "released"
    return Record(
        "deposit_released", {"code": act.code, "lot": lot.id, "state": "released"}, readers=(bidder.party,)
    )


async def _book(session: AsyncSession, lot: str) -> list[PricedBid]:
    rows = await session.execute(
        select(Bid).where(col(Bid.lot) == lot, col(Bid.reason).is_(None)).order_by(col(Bid.log_index))
    )
    return [PricedBid(b.code, b.key, b.price_fen, b.log_index, b.time_us) for b in rows.scalars()]


@dataclass(frozen=True, slots=True)
class SettleLot(Act):
    """Settle an awarded lot."""

    lot: str


async def settle_lot(tx: Transaction, act: SettleLot) -> Record:
    """Pay, license and confirm the award: the winner's deposit is released into the price.

    Conflict, unrecorded, while the winner's account does not cover price and fee: it may be tried again.
    """
    lot = await tx.find(Lot, act.lot, "lot")
    if lot.state != "sold" or lot.settled or lot.winner is None or lot.price_fen is None:
        raise Conflict("lot.not_awarded", "there is nothing to settle", field="lot")
    rules = rulebook.load((await tx.find(Market, 1, "market")).profile)
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
        lot=lot.id,
        hold=hold,
    )
    bidder.state = "captured"
    lot.settled = True
    return Record("lot_settled", {"lot": lot.id, **confirmation}, readers=(buyer.id, listing.seller))


@dataclass(frozen=True, slots=True)
class Due:
    """What the clock has to do: lots to close, and lots to settle."""

    closing: list[str]
    settling: list[str]


async def due(session: AsyncSession, now_us: int) -> Due:
    """What is due at `now_us`, a fact of the rows alone."""
    closing = await session.execute(
        select(Lot.id)
        .where(col(Lot.state) == "open", col(Lot.closes_us) <= now_us)
        .order_by(col(Lot.closes_us))
    )
    settling = await session.execute(
        select(Lot.id).where(col(Lot.state) == "sold", col(Lot.settled).is_(False)).order_by(col(Lot.id))
    )
    return Due(list(closing.scalars()), list(settling.scalars()))


async def deposits_due(session: AsyncSession, limit: int) -> list[tuple[str, str]]:
    """Lot and code of the losers whose deposits have to go back, at most `limit`, lot by lot."""
    rows = await session.execute(
        select(Bidder.lot, Bidder.code)
        .join(Lot, col(Lot.id) == col(Bidder.lot))
        .where(
            col(Lot.state) != "open",
            col(Bidder.state) == "admitted",
            col(Bidder.party).is_distinct_from(col(Lot.winner)),
        )
        .order_by(col(Bidder.lot), col(Bidder.code))
        .limit(limit)
    )
    return [(lot, code) for lot, code in rows]


async def rehearse_bid(session: AsyncSession, caller: Caller, act: PlaceBid, now_us: int) -> dict[str, Any]:
    """What would come of a bid now, and what winning at its price would cost; nothing is recorded.

    A bidder without a deposit is told what it would be refused for, and what the deposit costs. NotFound for no lot,
    Unprocessable for no price.
    """
    connection = await driver(session)
    view = await lot(session, act.lot)
    asked = [Asked(act, caller, "rehearsal")]
    rows = [
        await (await connection.execute(sql, values)).fetchall() for sql, values in place_bids.reads(asked)
    ]
    ((ruling,), _) = place_bids.decide(now_us, 2**62, asked, rows)
    if ruling.error is not None and ruling.error.status != 403:
        raise ruling.error
    said = (
        {"state": "refused", "reason": reason(ruling.error)}
        if ruling.error is not None
        else orjson.loads(ruling.outcome)
    )
    deposit_fen, held = int(view["deposit_fen"]), bool(rows[1])
    market = await session.get(Market, 1)
    assert market is not None  # a lot has a market
    parts = split(act.price_fen, rulebook.load(market.profile), None)
    total_fen = parts.price_fen + parts.buyer_fee_fen
    return {
        "would": said["state"],
        "reason": said.get("reason"),
        "cost": {
            "price_fen": str(parts.price_fen),
            "fee_fen": str(parts.buyer_fee_fen),
            "tax_fen": str(parts.tax_fen),
            "total_fen": str(total_fen),
            "deposit_fen": str(deposit_fen),
            "deposit_held": held,
            "due_fen": str(max(0, total_fen - deposit_fen) if held else max(total_fen, deposit_fen)),
            "available_fen": (await account_of(session, caller))["available_fen"],
        },
        "as_of_us": str(now_us),
    }


LOT_COLUMNS = (
    "id", "listing", "state", "start_price_fen", "increment_fen", "ceiling_fen", "deposit_fen", "opens_us",
    "first_closes_us", "closes_us", "soft_close_window_us", "soft_close_extension_us", "standing_price_fen",
    "standing_code", "bids", "price_fen", "outcome", "settled",
)  # fmt: skip


LotCursor = tuple[bool, int, str]
"""Where a page of lots ended: whether its last lot had ended, when that closes, its identifier. A lot whose close is moved
meanwhile may be seen twice, never missed."""


async def lots(
    session: AsyncSession, after: LotCursor | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """All lots as the public sees them, the ones that close next first, or a page; bidders only by code."""
    return await _views(session, None, after, limit)


async def lot(session: AsyncSession, identifier: str) -> dict[str, Any]:
    """One lot as the public sees it."""
    views = await _views(session, identifier)
    if not views:
        raise NotFound("lot.unknown", f"no lot {identifier!r}", field="lot", remedy="check the identifier")
    return views[0]


async def _views(
    session: AsyncSession, identifier: str | None, after: LotCursor | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    order = (col(Lot.state) != "open", col(Lot.closes_us), col(Lot.id))
    query = (
        select(Lot, Listing, Asset)
        .join(Listing, col(Listing.id) == col(Lot.listing))
        .join(Asset, col(Asset.id) == col(Listing.asset))
        .order_by(*order)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(*order) > tuple_(*after))
    if identifier is not None:
        query = query.where(col(Lot.id) == identifier)
    views = []
    for row, listing, asset in await session.execute(query):
        view = {name: plain(getattr(row, name)) for name in LOT_COLUMNS}
        view |= {
            "asset": asset.id,
            "asset_code": asset.code,
            "asset_title": asset.title,
            "grant": listing.grant,
            "term_days": str(listing.term_days),
            "winner_code": row.standing_code if row.state == "sold" else None,
        }
        views.append(view)
    return views


async def bids(
    session: AsyncSession, identifier: str, after: int = -1, limit: int = 500
) -> list[dict[str, Any]]:
    """The bids of a lot in log order, admitted and refused, from behind index `after`."""
    await lot(session, identifier)
    rows = await session.execute(
        select(Bid)
        .where(col(Bid.lot) == identifier, col(Bid.log_index) > after)
        .order_by(col(Bid.log_index))
        .limit(limit)
    )
    return [
        {
            "index": str(b.log_index),
            "code": b.code,
            "price_fen": str(b.price_fen),
            "time_us": str(b.time_us),
            "reason": b.reason,
        }
        for b in rows.scalars()
    ]
