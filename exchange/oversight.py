"""The regulator's room: who may see which entry, and everything for the one who may see all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import or_, select, tuple_, union
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from exchange import venue
from exchange.acts import Caller
from exchange.database import driver
from exchange.errors import NotFound
from exchange.tables import Asset, Bid, EntryReader, Listing, Lot, Market, Opening, Party, Person, Request
from ledger import cosignatures, log
from ledger.anchors import anchors
from ledger.book import account_rows, transfer_rows
from ledger.bundle import SEGMENT, BundleWriter, Row, Shown
from ledger.checkpoint import Signer, sign
from ledger.chunks import CHUNK
from ledger.entries import parse_leaf


async def require_entry(session: AsyncSession, caller: Caller, index: int) -> None:
    """Let pass who may see the body of entry `index` (see `visible`); of a chunk, who may see its head.

    Anybody else gets the answer of an entry that does not exist.
    """
    if "regulator" in caller.roles:
        return
    head = await log.head_of(await driver(session), index)
    shown = [at async for at in visible(session, caller.party, head, head + 1)]
    if not shown:
        raise NotFound("entry.unknown", f"no entry {index} of yours", field="index")


async def visible(session: AsyncSession, party: str, start: int, stop: int) -> AsyncIterator[int]:
    """The entries of [start, stop) whose bodies `party` may see, ascending, streamed.

    Its own, those that name it a reader, and the bids on its lots. Chunks are not counted: they go with their head.
    """
    sources = (
        select(col(Request.log_index)).where(col(Request.party) == party),
        select(col(EntryReader.log_index)).where(col(EntryReader.party) == party),
        select(col(Bid.log_index))
        .join(Lot, col(Lot.id) == col(Bid.lot))
        .join(Listing, col(Listing.id) == col(Lot.listing))
        .where(col(Listing.seller) == party),
    )
    found = union(*sources).subquery()
    index = found.c.log_index
    rows = await session.stream_scalars(select(index).where(index >= start, index < stop).order_by(index))
    async for row in rows:
        yield int(row)


async def export(
    session: AsyncSession,
    path: Path,
    signer: Signer,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    start: int = 0,
    stop: int | None = None,
    party: str | None = None,
) -> int:
    """Write the log as an audit bundle, with bodies, openings, claimed rows and anchors; returns where it ends.

    A period runs from `start` to `stop`, each moved outward to where a batch ended, so that signed checkpoints
    close it. With `party` it has what that party may see, its accounts and the transfers on them. All of it is
    one moment of the database. `progress(done, total)` counts entries. Unprocessable where no such period is.
    """
    connection = await driver(session)
    market = await session.get(Market, 1)
    head = await log.read_head(connection)
    begun = await venue.begun(connection)  # cosignatures up to there are of another log's checkpoints
    before, end = await log.period(connection, start, head.edge.size if stop is None else stop)
    holder = None if party is None else await session.get(Party, party)
    if party is not None and holder is None:
        raise NotFound("party.unknown", f"no party {party!r}", field="party", remedy="check the identifier")
    accounts = None if holder is None else [holder.account] if holder.account else []
    seen = None if party is None else {index async for index in visible(session, party, before.size, end)}
    total = end - before.size
    with BundleWriter(
        path,
        origin=head.origin,
        vkeys=[signer.vkey],
        sandbox=bool(market and market.sandbox),
        start=before,
        party=party,
    ) as bundle:
        show = True
        while bundle.size < end:
            at, upto = bundle.size, min(end, (bundle.size // SEGMENT + 1) * SEGMENT)
            entries = []
            async for e in log.entries(connection, at, upto):
                if parse_leaf(e.leaf).kind != CHUNK:  # a chunk is shown where its head is
                    show = seen is None or e.index in seen
                entries.append(Shown(e.leaf, e.salt, e.body) if show else Shown(e.leaf, None, None))
            after = at - (
                at == before.size > 0
            )  # the first segment brings the checkpoint at its beginning too
            lines = await cosignatures.lines_between(connection, max(after, begun), upto)
            notes = [
                note + lines.get(size, "")
                async for size, note in log.checkpoints(connection, signer, after, upto)
            ]
            rows = [Row(*row) async for row in transfer_rows(connection, at, upto, accounts)]
            bundle.segment(entries, notes, rows)
            progress(bundle.size - before.size, total)
        if party is None:
            openings = await session.execute(
                select(Opening)
                .where(col(Opening.log_index) >= before.size, col(Opening.log_index) < end)
                .order_by(col(Opening.commitment))
            )
            bundle.openings((o.commitment, o.salt, o.value) for o in openings.scalars())
        if end == head.edge.size:
            bundle.accounts([row async for row in account_rows(connection, accounts)])
        else:
            proof = await log.prove_consistency(connection, end, head.edge.size)
            bundle.later(sign(head.checkpoint(), signer), proof)
        for anchor in await anchors(connection):
            if anchor["state"] in ("confirmed", "final") and before.size < int(anchor["size"]) <= end:
                bundle.anchor(
                    chain_id=int(anchor["chain_id"]),
                    contract=anchor["contract"],
                    tx=anchor["tx"],
                    size=int(anchor["size"]),
                    root=bytes.fromhex(anchor["root"]),
                    block=int(anchor["block"]),
                    state=anchor["state"],
                )
    return end


async def parties(
    session: AsyncSession, after: str | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """Every party with its state, for the regulator; or a page, from behind one of them."""
    query = select(Party).order_by(col(Party.log_index), col(Party.id)).limit(limit)
    last = None if after is None else await session.get(Party, after)
    if last is not None:
        query = query.where(tuple_(col(Party.log_index), col(Party.id)) > tuple_(last.log_index, last.id))
    return [_party(row) for row in (await session.execute(query)).scalars()]


async def party(session: AsyncSession, identifier: str) -> dict[str, Any]:
    """One party, for the regulator and the venue."""
    row = await session.get(Party, identifier)
    if row is None:
        raise NotFound(
            "party.unknown", f"no party {identifier!r}", field="party", remedy="check the identifier"
        )
    return _party(row)


def _party(row: Party) -> dict[str, Any]:
    return {
        "account": row.account,
        "id": row.id,
        "name": row.name,
        "roles": row.roles,
        "state": row.state,
        "uscc": row.uscc,
    }


SEARCHED = 20
"""Things of a kind that a search shows at most."""


async def search(session: AsyncSession, caller: Caller, text: str) -> dict[str, list[dict[str, Any]]]:
    """What a regulator looks for, by identifier, code, name or a part of one: parties, people, assets, lots."""
    caller.require("regulator")
    like = "%" + text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_") + "%"
    parties_found = await session.execute(
        select(Party)
        .where(or_(col(Party.id) == text, col(Party.uscc) == text, col(Party.name).ilike(like)))
        .order_by(col(Party.log_index).desc())
        .limit(SEARCHED)
    )
    people = await session.execute(
        select(Person, col(Party.name))
        .join(Party, col(Party.id) == col(Person.party))
        .where(or_(col(Person.id) == text, col(Person.name).ilike(like)))
        .order_by(col(Person.log_index).desc())
        .limit(SEARCHED)
    )
    assets = await session.execute(
        select(Asset)
        .where(or_(col(Asset.id) == text, col(Asset.code) == text, col(Asset.title).ilike(like)))
        .order_by(col(Asset.log_index).desc())
        .limit(SEARCHED)
    )
    lots = await session.execute(
        select(Lot, col(Asset.title))
        .join(Listing, col(Listing.id) == col(Lot.listing))
        .join(Asset, col(Asset.id) == col(Listing.asset))
        .where(
            or_(
                col(Lot.id) == text,
                col(Asset.id) == text,
                col(Asset.code) == text,
                col(Asset.title).ilike(like),
            )
        )
        .order_by(col(Lot.log_index).desc())
        .limit(SEARCHED)
    )
    return {
        "parties": [
            {"id": p.id, "name": p.name, "more": p.uscc, "state": p.state} for p in parties_found.scalars()
        ],
        "people": [{"id": p.id, "name": p.name, "more": party, "state": p.state} for p, party in people],
        "assets": [
            {"id": a.id, "name": a.title, "more": a.code or a.supplier, "state": a.state}
            for a in assets.scalars()
        ],
        "lots": [
            {"id": lot.id, "name": title, "more": lot.listing, "state": lot.state} for lot, title in lots
        ],
    }


async def timeline(
    session: AsyncSession, caller: Caller, subject: str, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Every entry that names a thing (an asset, a lot, a party, a person, a trade …), the newest first, for the regulator.

    For a party also what it did behind a bidder's code. Each goes by its index, whose proof anybody can ask for.
    """
    caller.require("regulator")
    connection = await driver(session)
    indices = set(await log.naming(connection, subject, before, limit))
    done = select(col(Request.log_index)).where(col(Request.party) == subject)
    if before is not None:
        done = done.where(col(Request.log_index) < before)
    indices |= set(await session.scalars(done.order_by(col(Request.log_index).desc()).limit(limit)))
    return [await entry(session, caller, index) for index in sorted(indices, reverse=True)[:limit]]


async def entry(session: AsyncSession, caller: Caller, index: int) -> dict[str, Any]:
    """An entry with its whole body and what its commitments hide, for the regulator. NotFound past the log's end."""
    caller.require("regulator")
    connection = await driver(session)
    if index >= (await log.read_head(connection)).edge.size:
        raise NotFound(
            "entry.unknown", f"no entry {index}", field="index", remedy="name one that the log has"
        )
    head = await log.head_of(connection, index)
    (leaf,) = [parse_leaf(e.leaf) async for e in log.entries(connection, head, head + 1)]
    body = orjson.loads(await log.whole_body(connection, head))
    openings = await session.execute(select(Opening).where(col(Opening.log_index) == head))
    opened = {one.commitment: one.value for one in openings.scalars()}
    return {
        "act": body["act"],
        "by": body["by"],
        "channel": body.get("channel"),
        "digest": leaf.digest.hex(),
        "index": str(head),
        "kind": leaf.kind,
        "opened": opened,
        "party": body.get("party"),
        "time_us": str(leaf.time_us),
        "transfers": body.get("transfers", []),
    }
