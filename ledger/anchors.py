"""Which checkpoints were put on a chain: the rows that the worker keeps and the bundle carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.anchor import AnchorReceipt, SignedAnchor

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
            "chain_id": None if chain_id is None else str(chain_id),
            "contract": contract,
            "tx": tx,
            "block": None if block is None else str(block),
            "state": state,
        }
        for size, root, chain_id, contract, tx, block, state in await cursor.fetchall()
    ]


async def keep_signed(connection: AsyncConnection[Any], signed: SignedAnchor, contract: str) -> None:
    """Remember a transaction that is about to be sent."""
    await connection.execute(
        "INSERT INTO anchor (size, root, contract, tx, signed, state) VALUES (%s, %s, %s, %s, %s, 'pending')",
        (signed.size, signed.root, contract, signed.tx, signed.raw),
    )


async def keep_confirmed(connection: AsyncConnection[Any], receipt: AnchorReceipt) -> None:
    """Remember in which block an anchor stands."""
    await connection.execute(
        "UPDATE anchor SET state = 'confirmed', chain_id = %s, block = %s WHERE size = %s",
        (receipt.chain_id, receipt.block, receipt.size),
    )


async def take_back(
    connection: AsyncConnection[Any],
    size: int,
    root: bytes,
    chain_id: int,
    contract: str,
    tx: str,
    block: int,
) -> None:
    """Remember an anchor that stood in a block before this database was lost; its signed transaction is not needed."""
    await connection.execute(
        "INSERT INTO anchor (size, root, chain_id, contract, tx, signed, block, state)"
        " VALUES (%s, %s, %s, %s, %s, '', %s, 'confirmed') ON CONFLICT DO NOTHING",
        (size, root, chain_id, contract, tx, block),
    )


async def keep_refused(connection: AsyncConnection[Any], signed: SignedAnchor) -> None:
    """Remember that the chain will never take a transaction, so that a newer one can be signed."""
    await connection.execute("UPDATE anchor SET state = 'refused' WHERE size = %s", (signed.size,))


async def unconfirmed(connection: AsyncConnection[Any]) -> list[SignedAnchor]:
    """The transactions that were signed and not seen in a block, oldest first: each is to be sent again."""
    cursor = await connection.execute(
        "SELECT size, root, tx, signed FROM anchor WHERE state = 'pending' ORDER BY size"
    )
    return [SignedAnchor(size, root, tx, raw) for size, root, tx, raw in await cursor.fetchall()]
