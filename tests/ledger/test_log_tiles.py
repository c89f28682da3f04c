"""What a tile costs: its lower tiles are read at once, and no question makes the log hash itself anew."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from ledger import log
from ledger.entries import Entry
from ledger.errors import BehindError
from ledger.merkle import leaf_hash, root, verify_inclusion
from ledger.tiles import TILE

pytestmark = pytest.mark.anyio


async def grow(connection: psycopg.AsyncConnection[Any], batches: int) -> list[bytes]:
    """So many batches of 256 entries, and the hash of every leaf of the log."""
    head = await log.read_head(connection)
    for _ in range(batches):
        numbers = range(head.edge.size, head.edge.size + TILE)
        entries = [Entry("note", 1, number.to_bytes(32, "big"), b"{}") for number in numbers]
        appended = log.append(head, entries, 1)
        for statement, values in appended.statements:
            await connection.execute(statement.encode(), values)
        head = appended.head
    return [leaf_hash(e.leaf) async for e in log.entries(connection, 0, head.edge.size)]


async def statements(connection: psycopg.AsyncConnection[Any], work: Any) -> tuple[Any, int]:
    """What `work` gives, and how many statements it asks."""
    asked = 0
    execute = connection.execute

    async def counted(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        return await execute(*arguments)

    connection.execute = counted  # type: ignore[assignment]
    try:
        return await work(), asked
    finally:
        connection.execute = execute  # type: ignore[method-assign]


async def test_a_tile_of_the_second_level_is_made_from_stored_tiles_in_two_statements(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    leaves = await grow(connection, 12)
    expected = b"".join(root(leaves[n * TILE : (n + 1) * TILE]) for n in range(12))
    assert expected == await log.read_tile(connection, 1, 0, 12)
    assert await log.write_full_tiles(connection) == 12
    assert (expected, 2) == await statements(connection, lambda: log.read_tile(connection, 1, 0, 12))
    size = len(leaves)
    proof, asked = await statements(connection, lambda: log.prove_inclusion(connection, 700, size))
    verify_inclusion(700, size, leaves[700], proof, root(leaves))
    assert asked == 3


async def test_what_is_too_far_behind_is_said_so_until_the_tiles_are_written(
    connection: psycopg.AsyncConnection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    leaves = await grow(connection, 5)
    monkeypatch.setattr(log, "BEHIND_LIMIT", 4 * TILE)
    assert len(await log.read_tile(connection, 1, 0, 4)) == 4 * 32
    for ask in (log.read_tile(connection, 1, 0, 5), log.prove_inclusion(connection, 0, len(leaves))):
        with pytest.raises(BehindError, match=r"1280 leaves below tile/1/000\.p/5 are in no tile yet"):
            await ask
    await log.write_full_tiles(connection)
    proof = await log.prove_inclusion(connection, 0, len(leaves))
    verify_inclusion(0, len(leaves), leaves[0], proof, root(leaves))
