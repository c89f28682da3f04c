"""Room: what an entry of the log tells, and whom. Reads only.

A lot tells everybody what its page shows: bids by code, its close, that it was settled. A party is told of each entry
whose body it may see, and of no other (`exchange.oversight.visible` says the same of the past).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from exchange import auctions
from exchange import parties as parties_room
from exchange.acts import Caller
from exchange.database import driver
from ledger import log
from ledger.chunks import CHUNK, count_behind, join
from ledger.entries import is_head, parse_leaf

PUBLIC: Mapping[str, tuple[str, ...]] = {
    "bid": ("code", "price_fen", "state", "closes_us"),
    "lot_closed": ("bids", "closes_us", "state", "outcome", "at_ceiling"),
    "lot_drawn": ("state", "outcome", "nonce", "nonces", "seed"),
    "lot_halted": ("state", "halted_us", "resume_by_us"),
    "lot_resumed": ("state", "closes_us"),
    "lot_cancelled": ("state", "refund_by_us"),
    "lot_annulled": ("state", "ground", "order", "refund_by_us"),
    "lot_defaulted": ("state", "code", "price_fen"),
    "lot_settled": (),
}
"""Kinds that a lot's stream shows, and which members of their acts; the members that name anybody are not among them."""

_ASKED = (
    "SELECT r.log_index, r.party FROM unnest(%s::text[]) p(party) CROSS JOIN unnest(%s::text[]) k(key)"
    " JOIN request r ON r.party = p.party AND r.key = k.key WHERE r.log_index >= %s AND r.log_index < %s"
)
_READERS = (
    "SELECT log_index, party FROM entry_reader WHERE party = ANY(%s) AND log_index >= %s AND log_index < %s"
)
_SELLERS = (
    "SELECT l.id, i.seller FROM lot l JOIN listing i ON i.id = l.listing"
    " WHERE l.id = ANY(%s) AND i.seller = ANY(%s)"
)


@dataclass(frozen=True, slots=True)
class Event:
    """One entry: the lot that it is about and what that lot shows of it (None: nothing), and which of the parties that
    were asked for may see the whole act.
    """

    index: int
    kind: str
    time_us: int
    lot: str | None
    shown: dict[str, Any] | None
    act: dict[str, Any]
    parties: frozenset[str]

    def for_lot(self) -> bytes:
        """What its lot's stream says of it, as JSON."""
        return orjson.dumps({**self._place(), "lot": self.lot, **(self.shown or {})})

    def for_party(self) -> bytes:
        """What a party that may see it is told, as JSON."""
        return orjson.dumps({**self._place(), "act": self.act})

    def for_webhook(self) -> bytes:
        """The same as a webhook's body (Standard Webhooks: type, timestamp, data)."""
        moment = datetime.fromtimestamp(self.time_us // 1_000_000, UTC) + timedelta(
            microseconds=self.time_us % 1_000_000
        )
        data = {"sequence": str(self.index), "act": self.act}
        return orjson.dumps({"type": self.kind, "timestamp": moment.isoformat(), "data": data})

    def _place(self) -> dict[str, str]:
        return {"sequence": str(self.index), "kind": self.kind, "time_us": str(self.time_us)}


async def between(session: AsyncSession, start: int, stop: int, parties: Collection[str]) -> list[Event]:
    """What the entries of [start, stop) tell, in the order of the log: lots everything, `parties` theirs."""
    connection = await driver(session)
    read: list[tuple[int, str, int, dict[str, Any]]] = []
    async for entry in log.entries(connection, start, stop):
        leaf = parse_leaf(entry.leaf)
        if leaf.kind == CHUNK or (not parties and leaf.kind not in PUBLIC):
            continue
        whole = entry.body
        if is_head(whole):
            end = entry.index + 1 + count_behind(whole)
            whole = join([part.body async for part in log.entries(connection, entry.index, end)], entry.index)
        read.append((entry.index, leaf.kind, leaf.time_us, orjson.loads(whole)))
    told: dict[int, set[str]] = {index: set() for index, *_ in read}
    lots = {body["act"]["lot"] for _, kind, _, body in read if kind == "bid"}
    sellers: dict[str, str] = {}
    if parties and read:
        among = list(parties)
        # A body that a bidder's code stands in names no party: its request does.
        coded = list({body["key"] for *_, body in read if "party" not in body})
        for query, arguments in (
            (_ASKED, (among, coded, start, stop)),
            (_READERS, (among, start, stop)),
        ):
            async for index, party in await connection.execute(query, arguments):
                if index in told:
                    told[index].add(party)
        sellers = dict(await (await connection.execute(_SELLERS, (list(lots), among))).fetchall())
    found = []
    for index, kind, time_us, body in read:
        act = body["act"]
        audience = told[index]
        if body.get("party") in parties:
            audience.add(body["party"])
        if kind == "bid" and act["lot"] in sellers:
            audience.add(sellers[act["lot"]])
        lot = act.get("lot") if kind in PUBLIC else None
        found.append(
            Event(
                index,
                kind,
                time_us,
                lot,
                None if lot is None else _shown(kind, act),
                act,
                frozenset(audience),
            )
        )
    return found


def _shown(kind: str, act: Mapping[str, Any]) -> dict[str, Any]:
    """The public members of an act; of a refusal only its code, as the lot's book shows it."""
    shown = {name: act[name] for name in PUBLIC[kind] if name in act}
    if act.get("state") == "refused":
        shown["reason"] = act["reason"]["code"]
    return shown


async def lot_now(session: AsyncSession, lot: str) -> tuple[int, dict[str, Any]]:
    """The size of the log, and the lot as the public sees it at that size."""
    view = await auctions.lot(session, lot)
    return (await log.read_head(await driver(session))).edge.size, view


async def party_now(session: AsyncSession, caller: Caller) -> tuple[int, dict[str, Any]]:
    """The size of the log, and the caller's party with its free and held money at that size."""
    view = await parties_room.account_of(session, caller)
    return (await log.read_head(await driver(session))).edge.size, view


async def head_now(session: AsyncSession) -> tuple[int, dict[str, Any]]:
    """The size of the log, which is all there is to say of it."""
    return (await log.read_head(await driver(session))).edge.size, {}
