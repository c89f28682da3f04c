"""Which checkpoints were put on a chain: the rows that follow each from its signing to where no chain takes it back.

An anchor is `pending` from its signing on, `confirmed` in a block, `final` under so many blocks that it stays, and
`refused` where the chain will never take it, because a larger one came first. What a reorganisation took out of its
block is pending again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ledger.anchor import Mined, SignedAnchor

if TYPE_CHECKING:
    from psycopg import AsyncConnection

State = Literal["pending", "confirmed", "final", "refused"]

TROUBLES_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Kept:
    """One anchor as it was last seen: `tx` is the transaction in a block, or the newest that was signed.

    `signed` are all transactions signed for it, oldest first; empty where they were lost with an earlier database.
    `offered_us` is when the newest was last handed to a node.
    """

    size: int
    root: bytes
    tx: str
    state: State
    offered_us: int
    signed: tuple[SignedAnchor, ...]


async def anchors(
    connection: AsyncConnection[Any], *, after: int = 0, limit: int | None = None
) -> list[dict[str, Any]]:
    """The anchors of sizes above `after`, oldest first and at most `limit`, numbers as decimal strings; `reorganised`
    counts how often a block was taken back."""
    cursor = await connection.execute(
        "SELECT size, root, chain_id, contract, tx, block, block_hash, gas_used, reorganised, state"
        " FROM anchor WHERE size > %s ORDER BY size LIMIT %s",
        (after, limit),
    )
    return [
        {
            "size": str(size),
            "root": root.hex(),
            "chain_id": str(chain_id),
            "contract": contract,
            "tx": tx,
            "block": None if block is None else str(block),
            "block_hash": block_hash,
            "gas_used": None if gas_used is None else str(gas_used),
            "reorganised": str(reorganised),
            "state": state,
        }
        for size, root, chain_id, contract, tx, block, block_hash, gas_used, reorganised, state in await cursor.fetchall()
    ]


async def keep_signed(
    connection: AsyncConnection[Any], signed: SignedAnchor, contract: str, now_us: int
) -> None:
    """Remember a transaction that is about to be offered: the first of its anchor, or one in place of the ones before."""
    async with connection.transaction():
        await connection.execute(
            "INSERT INTO anchor (size, root, chain_id, contract, tx, state, signed_us, offered_us, reorganised)"
            " VALUES (%s, %s, %s, %s, %s, 'pending', %s, %s, 0)"
            " ON CONFLICT (size) DO UPDATE SET tx = excluded.tx, state = 'pending', offered_us = excluded.offered_us",
            (signed.size, signed.root, signed.chain_id, contract, signed.tx, now_us, now_us),
        )
        await connection.execute(
            "INSERT INTO anchor_transaction (tx, size, position, number, gas, gas_price_wei, raw)"
            " SELECT %s, %s, count(*), %s, %s, %s, %s FROM anchor_transaction WHERE size = %s",
            (
                signed.tx,
                signed.size,
                signed.number,
                signed.gas,
                signed.gas_price_wei,
                signed.raw,
                signed.size,
            ),
        )


async def keep_offered(connection: AsyncConnection[Any], size: int, now_us: int) -> None:
    """Remember that the newest transaction of an anchor was handed to a node again."""
    await connection.execute("UPDATE anchor SET offered_us = %s WHERE size = %s", (now_us, size))


async def keep_mined(connection: AsyncConnection[Any], size: int, mined: Mined, *, final: bool) -> None:
    """Remember in which block an anchor stands, and whether so many are on it that it stays."""
    await connection.execute(
        "UPDATE anchor SET state = %s, tx = %s, block = %s, block_hash = %s, gas_used = %s WHERE size = %s",
        ("final" if final else "confirmed", mined.tx, mined.block, mined.block_hash, mined.gas_used, size),
    )


async def keep_lost(connection: AsyncConnection[Any], size: int, now_us: int) -> None:
    """Remember that the block which had an anchor is no longer the chain's; it waits for another from now on."""
    await connection.execute(
        "UPDATE anchor SET state = 'pending', block = NULL, block_hash = NULL, gas_used = NULL,"
        " reorganised = reorganised + 1, offered_us = %s WHERE size = %s",
        (now_us, size),
    )


async def keep_refused(connection: AsyncConnection[Any], size: int) -> None:
    """Remember that the chain will never take an anchor, so that a newer one can be signed."""
    await connection.execute("UPDATE anchor SET state = 'refused' WHERE size = %s", (size,))


async def take_back(
    connection: AsyncConnection[Any],
    size: int,
    root: bytes,
    chain_id: int,
    contract: str,
    tx: str,
    block: int,
) -> None:
    """Remember an anchor that stood in a block before this database was lost; its signed transactions are not needed."""
    await connection.execute(
        "INSERT INTO anchor (size, root, chain_id, contract, tx, block, state, signed_us, offered_us, reorganised)"
        " VALUES (%s, %s, %s, %s, %s, %s, 'confirmed', 0, 0, 0) ON CONFLICT DO NOTHING",
        (size, root, chain_id, contract, tx, block),
    )


async def unsettled(connection: AsyncConnection[Any]) -> list[Kept]:
    """The anchors that have still to be followed, oldest first, and the newest that is final, which shows if the chain
    took back even that."""
    cursor = await connection.execute(
        "SELECT size, root, tx, state, offered_us, chain_id FROM anchor WHERE state IN ('pending', 'confirmed')"
        " OR size = (SELECT max(size) FROM anchor WHERE state = 'final') ORDER BY size"
    )
    rows = await cursor.fetchall()
    signed: dict[int, list[SignedAnchor]] = {row[0]: [] for row in rows}
    cursor = await connection.execute(
        "SELECT size, tx, number, gas, gas_price_wei, raw FROM anchor_transaction WHERE size = ANY(%s)"
        " ORDER BY size, position",
        (list(signed),),
    )
    of = {row[0]: row for row in rows}
    for size, tx, number, gas, price, raw in await cursor.fetchall():
        root, chain_id = of[size][1], of[size][5]
        signed[size].append(SignedAnchor(size, root, chain_id, tx, number, gas, price, raw))
    return [
        Kept(size, root, tx, state, offered_us, tuple(signed[size]))
        for size, root, tx, state, offered_us, _ in rows
    ]


async def newest(connection: AsyncConnection[Any]) -> tuple[int, int] | None:
    """Size and time of signing of the largest anchor that the chain has not refused; None before the first."""
    cursor = await connection.execute(
        "SELECT size, signed_us FROM anchor WHERE state <> 'refused' ORDER BY size DESC LIMIT 1"
    )
    return await cursor.fetchone()


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that was amiss: what, in detail for the operator, from when to when; `ended_us` None while it lasts."""

    trouble: str
    detail: str
    began_us: int
    ended_us: int | None


@dataclass(frozen=True, slots=True)
class Watch:
    """What was last seen of the chain: when, the contract's newest size, and the newest troubles, newest first."""

    contract: str
    looked_us: int
    size: int | None
    troubles: tuple[Trouble, ...]

    @property
    def trouble(self) -> Trouble | None:
        """What is amiss now."""
        return next((one for one in self.troubles if one.ended_us is None), None)


async def watch(connection: AsyncConnection[Any]) -> Watch | None:
    """What was last seen of the chain, and of its troubles the newest; None where nobody looked yet."""
    cursor = await connection.execute("SELECT contract, looked_us, size FROM chain_watch WHERE id = 1")
    row = await cursor.fetchone()
    if row is None:
        return None
    cursor = await connection.execute(
        "SELECT trouble, detail, began_us, ended_us FROM chain_trouble"
        " ORDER BY ended_us IS NULL DESC, began_us DESC, trouble LIMIT %s",
        (TROUBLES_SHOWN,),
    )
    return Watch(row[0], row[1], row[2], tuple(Trouble(*one) for one in await cursor.fetchall()))


async def keep_watch(
    connection: AsyncConnection[Any],
    contract: str,
    now_us: int,
    size: int | None,
    trouble: str | None,
    detail: str = "",
) -> int | None:
    """Remember what was seen of the chain just now; `size` None where it could not be asked. Returns since when the
    trouble lasts; None where there is none."""
    async with connection.transaction():
        await connection.execute(
            "INSERT INTO chain_watch (id, contract, looked_us, size) VALUES (1, %s, %s, %s)"
            " ON CONFLICT (id) DO UPDATE SET contract = excluded.contract, looked_us = excluded.looked_us,"
            " size = coalesce(excluded.size, chain_watch.size)",
            (contract, now_us, size),
        )
        await connection.execute(
            "UPDATE chain_trouble SET ended_us = %s WHERE ended_us IS NULL AND trouble IS DISTINCT FROM %s",
            (now_us, trouble),
        )
        if trouble is None:
            return None
        cursor = await connection.execute(
            "UPDATE chain_trouble SET detail = %s WHERE ended_us IS NULL RETURNING began_us", (detail,)
        )
        row = await cursor.fetchone()
        if row is not None:
            return int(row[0])
        await keep_trouble(connection, now_us, trouble, detail, None)
        return now_us


async def keep_trouble(
    connection: AsyncConnection[Any], now_us: int, trouble: str, detail: str, ended_us: int | None
) -> None:
    """Remember something that is amiss from now on; `ended_us` is `now_us` for what happened once and does not last."""
    await connection.execute(
        "INSERT INTO chain_trouble (began_us, trouble, detail, ended_us) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (began_us, trouble) DO UPDATE SET ended_us = excluded.ended_us",
        (now_us, trouble, detail, ended_us),
    )
