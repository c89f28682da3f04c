"""Deposits on their way back: of everybody on a lot that came to nothing, of the losers on one that was won.

Each goes back in an entry of its own, for its bidder alone to see. A lot may have a hundred thousand of them, so the clock
gives them back set by set (`GiveBack`); `release_deposit` does the same one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import and_, func, or_, text, tuple_
from sqlalchemy import select as sql_select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from exchange import rulebook
from exchange.acts import Act, Asked, Caller, Record, Ruling, Transaction
from exchange.database import driver
from exchange.errors import Conflict
from exchange.money import DEPOSITS, MONEY
from exchange.tables import Bidder, Lot
from ledger.call import Call
from ledger.entries import canonical
from ledger.pipeline import Statement
from ledger.postings import Failed, Transfer, transfer_to_json

OWED = (
    "bidder.state = 'admitted' AND (lot.state IN ('failed', 'cancelled', 'annulled')"
    " OR lot.state IN ('sold', 'defaulted') AND bidder.party IS DISTINCT FROM lot.winner"
    " OR lot.state = 'drawing' AND bidder.code <> ALL(lot.at_ceiling))"
)
"""Whose deposit has to go back: of a lot that came to nothing everybody's, of one that was won the losers', of one that is
still drawn theirs who are not in the draw."""

_HELD = "bidder.party, party.account, bidder.hold, lot.deposit_fen"
_DUE = (
    f"SELECT bidder.lot, bidder.code, {_HELD} FROM bidder JOIN lot ON lot.id = bidder.lot"  # noqa: S608  # frames of this file
    f" JOIN party ON party.id = bidder.party WHERE {OWED} AND (bidder.lot, bidder.code) > (%s, %s)"
    " ORDER BY bidder.lot, bidder.code LIMIT %s"
)
# Row by row through the keys: a plan that was kept from when the tables were small would read all of them.
_NAMED = (
    f"SELECT b.* FROM unnest(%s::text[], %s::text[]) AS w(lot, code) CROSS JOIN LATERAL"  # noqa: S608  # frames of this file
    f" (SELECT bidder.lot, bidder.code, {_HELD} FROM bidder JOIN lot ON lot.id = bidder.lot"
    f" JOIN party ON party.id = bidder.party WHERE bidder.lot = w.lot AND bidder.code = w.code AND {OWED} LIMIT 1) b"
)
_RELEASED = (
    "UPDATE bidder b SET state = 'released' FROM unnest(%s::text[], %s::text[]) AS w(lot, code)"
    " WHERE b.lot = w.lot AND b.code = w.code"
)


class Held(NamedTuple):
    """Whose deposit it is, and where it is held; none of it ever changes."""

    party: str
    account: str
    hold: str
    amount_fen: int

    def back(self) -> Transfer:
        """What gives it back: a hold ends once, so the transfer is named after it."""
        return Transfer(
            f"{self.hold}:back", "void_pending", self.account, DEPOSITS, self.amount_fen, MONEY, "deposit", self.hold
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReleaseDeposit(Act):
    """Give a deposit back, by its bidder's code on the lot; `held` is what whoever nudges has seen of it."""

    lot: str
    code: str
    held: Held | None = field(default=None, compare=False)

    def digest(self) -> bytes:
        """Same guarantee as every act's, without the canonical detour."""
        return sha256(b"release\x00%b\x00%b" % (self.lot.encode(), self.code.encode())).digest()


async def release_deposit(tx: Transaction, act: ReleaseDeposit) -> Record:
    """Release the hold of a bidder who has nothing more to pay on this lot; Conflict where nothing of it is held any more."""
    cursor = await (await driver(tx.session)).execute(_NAMED, ([act.lot], [act.code]))
    row = await cursor.fetchone()
    if row is None:
        raise _nothing()
    held = Held._make(row[2:])
    await tx.post(held.back())
    (await tx.find(Bidder, (act.lot, held.party), "bidder")).state = "released"
    return Record("deposit_released", _said(act), readers=(held.party,))


@dataclass(frozen=True, slots=True)
class GiveBack:
    """`release_deposit` for many at once, each of which says where it is `held`; see `Batched`. The key is the book's."""

    mac_key: bytes = field(repr=False)
    kind = "deposit_released"

    def reads(self, asked: Sequence[Asked]) -> Sequence[Statement]:
        """What the book reads for them, and which of them are owed."""
        transfers = [ask.act.held.back() for ask in asked]
        named = (_NAMED, ([ask.act.lot for ask in asked], [ask.act.code for ask in asked]))
        return [*Call(self.mac_key, transfers).reads(), named]

    def decide(
        self,
        now_us: int,
        first_index: int,
        asked: Sequence[Asked],
        rows: Sequence[Sequence[tuple[Any, ...]]],
    ) -> tuple[Sequence[Ruling], Sequence[Statement]]:
        """Release what is owed and held as its act says; a Conflict for each other one."""
        *books, named = rows
        owed = {(row[0], row[1]): Held._make(row[2:]) for row in named}
        sound = []
        for ask in asked:
            if ask.act.held == owed.pop((ask.act.lot, ask.act.code), None):
                sound.append(ask)
        while True:
            call = Call(self.mac_key, [ask.act.held.back() for ask in sound])
            outcomes = call.decide(books, now_us)
            failed = [
                ask for ask, outcome in zip(sound, outcomes, strict=True) if isinstance(outcome, Failed)
            ]
            if not failed:
                break
            sound = [ask for ask in sound if ask not in failed]
        released = {id(ask) for ask in sound}
        rulings = [
            self._released(ask, now_us) if id(ask) in released else Ruling(error=_nothing()) for ask in asked
        ]
        writes: list[Statement] = list(call.writes(range(first_index, first_index + len(sound))))
        if sound:
            writes.append((_RELEASED, ([ask.act.lot for ask in sound], [ask.act.code for ask in sound])))
        return rulings, writes

    def _released(self, ask: Asked, now_us: int) -> Ruling:
        said = _said(ask.act)
        body = {
            "act": said,
            "by": ask.caller.person,
            "key": ask.key,
            "kind": self.kind,
            "party": ask.caller.party,
            "time": str(now_us),
            "transfers": [transfer_to_json(ask.act.held.back())],
        }
        return Ruling(canonical(body), canonical(said), readers=(ask.act.held.party,))


def _said(act: ReleaseDeposit) -> dict[str, str]:
    return {"code": act.code, "lot": act.lot, "state": "released"}


def _nothing() -> Conflict:
    return Conflict("lot.nothing_to_release", "there is no such deposit to release", field="code")


async def deposits_due(
    session: AsyncSession, limit: int, after: tuple[str, str] = ("", "")
) -> list[ReleaseDeposit]:
    """The deposits that have to go back, lot by lot, at most `limit`, from behind lot and code `after`."""
    cursor = await (await driver(session)).execute(_DUE, (*after, limit))
    return [ReleaseDeposit(lot, code, Held._make(held)) for lot, code, *held in await cursor.fetchall()]


RefundCursor = tuple[int, str, str]
"""Where a page of refunds ended: until when it was due, lot and code."""


async def refunds(
    session: AsyncSession, caller: Caller, now_us: int, limit: int, after: RefundCursor | None = None
) -> list[dict[str, Any]]:
    """Deposits that are on their way back, the ones that are due first in front, by code; "late" past the statutory time.

    For who watches over the market (regulator, administrator). A lot whose close nobody has written down counts from when
    it was to close, so that a market at a standstill shows what it owes.
    """
    caller.require("regulator", "administrator")
    rules = await rulebook.at(session, now_us)
    within_us = rules.value("auction.deposit_returned_within_us")
    due_us = func.coalesce(col(Lot.refund_by_us), col(Lot.closes_us) + within_us)
    overdue = and_(col(Lot.state) == "open", col(Lot.closes_us) <= now_us, col(Bidder.state) == "admitted")
    order = (due_us, col(Bidder.lot), col(Bidder.code))
    query = (
        sql_select(col(Bidder.lot), col(Bidder.code), col(Lot.state), col(Lot.deposit_fen), due_us)
        .join(Lot)
        .where(or_(text(OWED), overdue))
        .order_by(*order)
        .limit(limit)
    )
    rows = await session.execute(query if after is None else query.where(tuple_(*order) > tuple_(*after)))
    return [
        {
            "lot": lot,
            "code": code,
            "lot_state": state,
            "deposit_fen": str(deposit),
            "refund_by_us": str(due),
            "late": due < now_us,
        }
        for lot, code, state, deposit, due in rows
    ]
