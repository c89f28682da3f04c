"""What the market came to, for everybody: assets by what they are, sales by month and by form, lots by how they ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncSession

from exchange.catalogue import Search, search_assets
from exchange.rulebook.days import CHINA

MONTHS: Final = 12
"""How many months back the sales are told month by month, the present one included."""

FACETS: Final = ("kind", "base_library", "opening", "grade", "supplier")

_SALES: Final = """
    WITH sold AS (
      SELECT l.mode, t.price_fen, t.licences, a.trade IS NOT NULL AS annulled,
        to_char(to_timestamp(t.time_us / 1000000) AT TIME ZONE 'UTC' + interval '8 hours', 'YYYY-MM') AS month
      FROM trade t JOIN listing l ON l.id = t.listing LEFT JOIN annulment a ON a.trade = t.id)
    SELECT mode, month, annulled, count(*) AS trades, sum(price_fen)::bigint AS volume_fen, sum(licences)::bigint AS licences
    FROM sold GROUP BY mode, month, annulled"""
"""Months are China's, as the console's times are."""

_LOTS: Final = "SELECT state, count(*) AS lots FROM lot GROUP BY state ORDER BY state"
_PARTIES: Final = """
    SELECT role, count(*) AS parties FROM party CROSS JOIN LATERAL unnest(roles) AS role
    WHERE state = 'active' GROUP BY role ORDER BY role"""
_IN_FORCE: Final = (
    "SELECT count(*) FROM licence WHERE state = 'active' AND starts_us <= :now_us AND ends_us > :now_us"
)


async def statistics(session: AsyncSession, now_us: int) -> dict[str, Any]:
    """Totals of the public market at `now_us`, in a fixed number of statements.

    Money is in fen. An annulled sale counts as annulled and for no volume. Assets are those that the public may see,
    counted by facet as the catalogue counts them; nobody is named but suppliers, whom the catalogue names too.
    """
    found = await search_assets(session, Search(limit=1), None)
    sales = (await session.execute(sql(_SALES))).mappings().all()
    stood = [row for row in sales if not row["annulled"]]
    lots = (await session.execute(sql(_LOTS))).mappings().all()
    parties = (await session.execute(sql(_PARTIES))).mappings().all()
    in_force = (await session.execute(sql(_IN_FORCE), {"now_us": now_us})).scalar_one()
    return {
        "now_us": str(now_us),
        "assets": found["total"],
        "facets": {facet: found["facets"][facet] for facet in FACETS},
        "trades": sum(row["trades"] for row in stood),
        "volume_fen": str(sum(row["volume_fen"] for row in stood)),
        "annulled": sum(row["trades"] for row in sales if row["annulled"]),
        "licences_in_force": in_force,
        "modes": [
            {"mode": mode, **_sum([row for row in stood if row["mode"] == mode])}
            for mode in sorted({row["mode"] for row in stood})
        ],
        "months": [
            {"month": month, **_sum([row for row in stood if row["month"] == month])}
            for month in months_until(now_us)
        ],
        "lots": [dict(row) for row in lots],
        "parties": [dict(row) for row in parties],
    }


def months_until(now_us: int) -> list[str]:
    """The last `MONTHS` months in China's calendar, the oldest first, as 2026-11."""
    now = datetime.fromtimestamp(now_us // 1_000_000, CHINA)
    last = 12 * now.year + now.month - 1
    return [f"{n // 12}-{n % 12 + 1:02}" for n in range(last - MONTHS + 1, last + 1)]


def _sum(rows: Sequence[Any]) -> dict[str, Any]:
    return {
        "trades": sum(row["trades"] for row in rows),
        "volume_fen": str(sum(row["volume_fen"] for row in rows)),
        "licences": str(sum(row["licences"] for row in rows)),
    }
