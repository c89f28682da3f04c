"""Which checkpoints were put on a chain: the rows that the worker keeps and the bundle carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg import AsyncConnection


async def anchors(connection: AsyncConnection[Any]) -> list[dict[str, Any]]:
    """All anchors, oldest first, numbers as decimal strings."""
    cursor = await connection.execute(
        "SELECT size, root, chain_id, contract, tx, block, state FROM anchor ORDER BY size"
    )
    return [
        {
            "size": str(size),
            "root": root.hex(),
            "chain_id": str(chain_id),
            "contract": contract,
            "tx": tx,
            "block": None if block is None else str(block),
            "state": state,
        }
        for size, root, chain_id, contract, tx, block, state in await cursor.fetchall()
    ]


async def keep_anchor(
    connection: AsyncConnection[Any],
    *,
    size: int,
    root: bytes,
    chain_id: int,
    contract: str,
    tx: str,
    block: int,
) -> None:
    """Remember a confirmed anchor."""
    await connection.execute(
        "INSERT INTO anchor (size, root, chain_id, contract, tx, block, state) VALUES (%s, %s, %s, %s, %s, %s,"
        " 'confirmed') ON CONFLICT (size) DO UPDATE SET tx = excluded.tx, block = excluded.block, state = 'confirmed'",
        (size, root, chain_id, contract, tx, block),
    )
