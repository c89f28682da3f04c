"""Room: whether the update that a department promised came; the worker watches, and the catalogue shows the flag (DOMAIN S6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlmodel import col, select

from exchange.acts import Act, Record, Transaction, plain
from exchange.errors import Conflict
from exchange.lineage import newest_edition
from exchange.rulebook.days import DAY_US
from exchange.tables import Asset, Licence

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

AT_ONCE = 32
TOLD_AT_MOST = 1_000

_DUE = """
    (SELECT id, 'stale' AS state FROM asset WHERE update_days IS NOT NULL AND NOT stale AND state = 'registered'
        AND updated_us + update_days * 86400000000 <= :now
        AND NOT EXISTS (SELECT FROM asset_parent p JOIN asset n ON n.id = p.child
            WHERE p.parent = asset.id AND p.relation = 'edition' AND n.state = 'registered')
        ORDER BY updated_us + update_days * 86400000000 LIMIT :at_once)
    UNION ALL
    (SELECT id, 'fresh' FROM asset WHERE stale AND EXISTS (SELECT FROM asset_parent p JOIN asset n ON n.id = p.child
            WHERE p.parent = asset.id AND p.relation = 'edition' AND n.state = 'registered')
        LIMIT :at_once)
"""


@dataclass(frozen=True, slots=True)
class WatchUpdate(Act):
    """The clock looks at an asset: did what was promised come?"""

    asset: str


async def watch_update(tx: Transaction, act: WatchUpdate) -> Record:
    """Flag a registered asset whose promised update did not come, or take the flag off once its next edition is registered.

    Conflict where nothing changes. Told are the department, its operator, and whoever holds a licence now.
    """
    tx.caller.require("clock")
    asset = await tx.find(Asset, act.asset, "asset")
    if asset.update_days is None or asset.updated_us is None or asset.state != "registered":
        raise _unchanged(asset)
    due_us = asset.updated_us + asset.update_days * DAY_US
    newest = await newest_edition(tx.session, asset.id)
    stale = newest == asset.id and tx.now_us >= due_us
    if stale == asset.stale:
        raise _unchanged(asset)
    asset.stale = stale
    holders = (
        select(col(Licence.buyer))
        .where(
            col(Licence.asset) == asset.id, col(Licence.state) == "active", col(Licence.ends_us) > tx.now_us
        )
        .distinct()
        .order_by(col(Licence.buyer))
        .limit(TOLD_AT_MOST)
    )
    told = (asset.supplier, *(await tx.session.scalars(holders)))
    return Record(
        "update_watched",
        plain(
            {
                "asset": asset.id,
                "due_us": due_us,
                "newest": newest,
                "state": "stale" if stale else "fresh",
                "update_days": asset.update_days,
            }
        ),
        readers=tuple(dict.fromkeys((*told, asset.operator) if asset.operator else told)),
    )


async def due(session: AsyncSession, now_us: int) -> list[tuple[str, str]]:
    """Assets whose flag is to change now, the longest overdue first, each with what it is to be: stale or fresh."""
    rows = await session.execute(text(_DUE), {"now": now_us, "at_once": AT_ONCE})
    return [(asset, state) for asset, state in rows]


def _unchanged(asset: Asset) -> Conflict:
    return Conflict(
        "update.unchanged", f"{asset.id} is as it was", field="asset", remedy="nothing is to be done"
    )
