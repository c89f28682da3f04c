"""The watch list: lots that a party wants to hear of, and the notices of what became of these and of those that it joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import orjson
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Scope, Transaction
from exchange.auctions.views import lots_named
from exchange.database import driver
from exchange.errors import Conflict
from exchange.tables import EntryReader, Lot, LotWatch
from ledger import log
from ledger.entries import parse_leaf

NOTICES = frozenset(
    {
        "lot_closed", "lot_drawn", "lot_settled", "lot_halted", "lot_resumed", "lot_cancelled", "lot_annulled",
        "lot_defaulted", "deposit_released", "forfeit_distributed",
    }
)  # fmt: skip
"""Kinds of entries that tell a party what became of a lot."""

LOOKED_BACK = 1000
"""Entries that name a party a reader, among which its notices are looked for."""


@dataclass(frozen=True, slots=True)
class WatchLot(Act):
    """Hear of a lot, or no more."""

    scope: ClassVar[Scope] = "trade"
    lot: str
    watch: bool = True


async def watch_lot(tx: Transaction, act: WatchLot) -> Record:
    """Put a lot on the party's watch list, or take it off; Conflict where that changes nothing.

    Whoever watches a lot is a reader of the entries that say what becomes of it: they reach its streams and webhooks.
    """
    lot = await tx.find(Lot, act.lot, "lot")
    known = await tx.session.get(LotWatch, (tx.caller.party, lot.id))
    if act.watch == (known is not None and known.stands):
        raise Conflict(
            "watch.stands",
            f"lot {lot.id} is {'on' if act.watch else 'not on'} your list",
            field="lot",
            remedy="none needed",
        )
    if known is None:
        await tx.insert(LotWatch(party=tx.caller.party, lot=lot.id, stands=True, log_index=tx.index))
    else:
        known.stands, known.log_index = act.watch, tx.index
    return Record("lot_watched", {"lot": lot.id, "state": "watched" if act.watch else "unwatched"})


async def watched(session: AsyncSession, caller: Caller) -> list[dict[str, Any]]:
    """The lots on the caller's watch list as the public sees them, the ones that close next first."""
    rows = await session.execute(
        select(LotWatch.lot).where(col(LotWatch.party) == caller.party, col(LotWatch.stands))
    )
    return await lots_named(session, list(rows.scalars()))


async def notices(
    session: AsyncSession, caller: Caller, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """What became of the lots that the caller's party joined, sells or watches, newest first, with what each entry says."""
    connection = await driver(session)
    query = select(EntryReader.log_index).where(col(EntryReader.party) == caller.party)
    if before is not None:
        query = query.where(col(EntryReader.log_index) < before)
    rows = await session.execute(query.order_by(col(EntryReader.log_index).desc()).limit(LOOKED_BACK))
    found: list[dict[str, Any]] = []
    for index in rows.scalars():
        async for entry in log.entries(connection, index, index + 1):
            leaf = parse_leaf(entry.leaf)
            if leaf.kind in NOTICES:
                act = orjson.loads(entry.body)["act"]
                found.append(
                    {
                        "index": str(index),
                        "kind": leaf.kind,
                        "time_us": str(leaf.time_us),
                        "lot": act.get("lot"),
                        "state": act["state"],
                        "act": act,
                    }
                )
        if len(found) == limit:
            break
    return found
