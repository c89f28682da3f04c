"""The regulator's room: who may see which entry, and everything for the one who may see all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from exchange.acts import Caller
from exchange.database import driver
from exchange.errors import NotFound
from exchange.tables import Market, Opening, Party, Request, Trade
from ledger import log
from ledger.anchors import anchors
from ledger.book import account_rows, transfer_rows
from ledger.bundle import BundleWriter
from ledger.checkpoint import Signer


async def require_entry(session: AsyncSession, caller: Caller, index: int) -> None:
    """Let pass who may see the body of entry `index`: its author's party, the parties of its trade, a regulator.

    Anybody else gets the answer of an entry that does not exist.
    """
    if "regulator" in caller.roles:
        return
    mine = await session.execute(
        select(func.count()).where(col(Request.log_index) == index, col(Request.party) == caller.party)
    )
    traded = await session.execute(
        select(func.count()).where(
            col(Trade.log_index) == index,
            or_(col(Trade.buyer) == caller.party, col(Trade.seller) == caller.party),
        )
    )
    if not mine.scalar_one() and not traded.scalar_one():
        raise NotFound("entry.unknown", f"no entry {index} of yours", field="index")


async def export(
    session: AsyncSession,
    path: Path,
    signer: Signer,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write the whole log with bodies, openings, claimed rows and anchors as an audit bundle; returns its size.

    All of it is one moment of the database. `progress(done, total)` counts entries.
    """
    connection = await driver(session)
    market = await session.get(Market, 1)
    head = await log.read_head(connection)
    with BundleWriter(
        path, origin=head.origin, vkeys=[signer.vkey], sandbox=bool(market and market.sandbox)
    ) as bundle:
        async for _, note in log.checkpoints(connection, signer):
            bundle.checkpoint(note)
        async for entry in log.entries(connection, 0, head.edge.size):
            bundle.entry(entry.leaf, entry.salt, entry.body)
            if entry.index % 1000 == 0:
                progress(entry.index, head.edge.size)
        stream = await session.stream_scalars(select(Opening).order_by(col(Opening.commitment)))
        async for opening in stream:
            bundle.opening(opening.commitment, opening.salt, opening.value)
        async for account in account_rows(connection):
            bundle.account(account)
        async for transfer, sequence, index, state in transfer_rows(connection):
            bundle.transfer(transfer, sequence=sequence, index=index, state=state)
        for anchor in await anchors(connection):
            if anchor["state"] == "confirmed":
                bundle.anchor(
                    chain_id=int(anchor["chain_id"]),
                    contract=anchor["contract"],
                    tx=anchor["tx"],
                    size=int(anchor["size"]),
                    root=bytes.fromhex(anchor["root"]),
                    block=int(anchor["block"]),
                )
    progress(head.edge.size, head.edge.size)
    return head.edge.size


async def parties(session: AsyncSession) -> list[dict[str, Any]]:
    """Every party with its state, for the regulator."""
    rows = (await session.execute(select(Party).order_by(col(Party.log_index), col(Party.id)))).scalars()
    return [
        {
            "account": p.account,
            "id": p.id,
            "name": p.name,
            "roles": p.roles,
            "state": p.state,
            "uscc": p.uscc,
        }
        for p in rows
    ]
