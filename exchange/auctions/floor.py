"""The floor: bids, admitted or refused, in the order of the log, and what a bid would come to.

`place_bids` is the market's hot path: it reads in one round trip, decides in memory with `pricing.auctions`,
and writes set by set. A bid's place in the log is its sequence; nothing else orders bids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, ClassVar, NamedTuple

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from exchange import controls, rulebook
from exchange.acts import (
    Act,
    Asked,
    Caller,
    Ruling,
    Scope,
    Signed,
    reason,
    refusal,
)
from exchange.auctions.views import lot
from exchange.database import driver
from exchange.errors import ExchangeError, Forbidden, NotFound, Unprocessable
from exchange.parties import account_of
from exchange.settlement import split
from ledger.entries import canonical
from ledger.pipeline import SPLIT, Statement, joined
from pricing.auctions import AscendingRules, Rejected, Standing, admit
from pricing.auctions import Bid as PricedBid
from pricing.money import MAX_AMOUNT


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
        pairs = list({(a.act.lot, a.caller.party) for a in asked})
        lots = {lot: str(place) for place, lot in enumerate(dict.fromkeys(lot for lot, _ in pairs), 1)}
        named = orjson.dumps(list(lots)).decode()
        places = joined([lots[lot] for lot, _ in pairs])
        return (_LOTS, (named,)), (_BIDDERS, (places, joined([party for _, party in pairs]), named))

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

# A lot is named once, in JSON, for it comes from the outside and may hold anything, and its bidders by its place.
_LOTS = (
    "SELECT l.id, state, start_price_fen, increment_fen, opens_us, first_closes_us, soft_close_window_us,"
    " soft_close_extension_us, ceiling_fen, standing_price_fen, standing_code, standing_sequence, bids, closes_us,"
    " at_ceiling, priority, draw IS NOT NULL FROM jsonb_array_elements_text(%s) AS w(id)"
    " CROSS JOIN LATERAL (SELECT * FROM lot WHERE id = w.id LIMIT 1) l"
)
_BIDDERS = (
    "SELECT l.id, w.party, b.code, CASE WHEN p.stopped THEN 'stopped' ELSE p.state END, p.sign_above_fen, p.order_limit_fen"  # noqa: S608  # frames of this file
    f" FROM unnest({SPLIT}::int[], {SPLIT}) AS w(place, party)"
    " JOIN jsonb_array_elements_text(%s) WITH ORDINALITY AS l(id, place) USING (place)"
    " JOIN bidder b ON b.lot = l.id AND b.party = w.party JOIN party p ON p.id = w.party"
)
_PLACED = (
    "INSERT INTO bid (log_index, lot, code, key, price_fen, reason, time_us)"  # noqa: S608  # frames of this file
    " SELECT log_index, lot, code, key, price_fen, nullif(reason, ''), %s"
    f" FROM unnest({SPLIT}::bigint[], {SPLIT}, {SPLIT}, {SPLIT}, {SPLIT}::bigint[], {SPLIT})"
    " AS n(log_index, lot, code, key, price_fen, reason)"
)


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
        at_ceiling, priority, draws = row[14:]
        self.rules = AscendingRules(
            start, increment, opens, closes, window, extension, ceiling, (), tuple(priority), draws
        )
        price, code, sequence, bids, now_closes = row[9:14]
        self.standing = Standing(price, code, sequence, bids, now_closes, tuple(at_ceiling))
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
        if self.state == "halted":
            return _refused(act, code, key, now_us, "halted", "the lot is halted"), "halted"
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
        indices, lots, codes, keys, prices, reasons = zip(*placed, strict=True)
        columns = (map(str, indices), lots, codes, keys, map(str, prices), (why or "" for why in reasons))
        statements.append((_PLACED, (now_us, *map(joined, columns))))
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
    statements += [
        ("UPDATE lot SET at_ceiling = %s WHERE id = %s", (list(lot.standing.at_ceiling), lot.id))
        for lot in moved
        if lot.standing.at_ceiling
    ]
    return statements


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
    parts = split(act.price_fen, await rulebook.at(session, now_us), None)
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
