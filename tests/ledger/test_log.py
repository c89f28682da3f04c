"""The log in its tables: receipts made again, proofs from tiles, bundles, and gaps that are noticed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest

from exchange.database import Addresses
from ledger import log
from ledger.checkpoint import Signer, Verifier, open_note, sign
from ledger.entries import Entry, Receipt, canonical, verify_receipt
from ledger.errors import LedgerError
from ledger.merkle import EMPTY_ROOT, leaf_hash, root, verify_consistency, verify_inclusion
from ledger.tiles import TILE, decode_entries
from tests.ledger.conftest import ORIGIN

pytestmark = pytest.mark.anyio

SIGNER = Signer(ORIGIN, b"l" * 32)
VERIFIER = Verifier.parse(SIGNER.vkey)


def entry(number: int, time_us: int) -> Entry:
    body = {"act": {"n": str(number)}, "by": "a", "key": f"k{number}", "kind": "note", "time": str(time_us)}
    return Entry("note", time_us, number.to_bytes(32, "big"), canonical(body))


async def append(connection: psycopg.AsyncConnection[Any], count: int) -> list[Receipt]:
    """One batch, as the gate appends it, and its receipts as they are first given."""
    cursor = await connection.execute(log.LOCK_HEAD)
    row = await cursor.fetchone()
    assert row is not None
    head = log.Head.from_row(row)
    entries = [entry(head.edge.size + n, head.time_us + 1) for n in range(count)]
    appended = log.append(head, entries, head.time_us + 1)
    for statement, values in appended.statements:
        await connection.execute(statement.encode(), values)
    await connection.commit()
    note = sign(appended.head.checkpoint(), SIGNER)
    return [
        Receipt(
            index=head.edge.size + n,
            size=appended.head.edge.size,
            leaf=leaf,
            salt=each.salt,
            body=each.body,
            proof=proof_of(proof),
            checkpoint=note,
        )
        for n, (leaf, each, proof) in enumerate(zip(appended.leaves, entries, appended.proofs, strict=True))
    ]


def proof_of(text: str) -> tuple[bytes, ...]:
    from base64 import b64decode

    import orjson

    return tuple(b64decode(node) for node in orjson.loads(text))


async def grown(connection: psycopg.AsyncConnection[Any], sizes: Sequence[int]) -> list[Receipt]:
    return [receipt for size in sizes for receipt in await append(connection, size)]


async def roots(connection: psycopg.AsyncConnection[Any]) -> list[bytes]:
    """The hash of every leaf, the slow way."""
    size = (await log.read_head(connection)).edge.size
    return [leaf_hash(e.leaf) async for e in log.entries(connection, 0, size)]


async def test_receipts_made_again_equal_the_first_ones_and_verify(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    receipts = await grown(connection, [1, 1, 2, 7, 256, 3, 31, 200, 150])
    assert len(receipts) == 651
    for receipt in receipts:
        assert verify_receipt(receipt, [VERIFIER]).size == receipt.size
    for receipt in random.Random(1).sample(receipts, 60) + receipts[:12] + receipts[-2:]:
        assert await log.receipt(connection, receipt.index, SIGNER) == receipt
    some = random.Random(2).sample(receipts, 300)
    assert await log.receipts(connection, [r.index for r in some], SIGNER) == {r.index: r for r in some}


async def test_an_entry_that_is_not_there_has_no_receipt(connection: psycopg.AsyncConnection[Any]) -> None:
    for index in (0, -1):
        with pytest.raises(LedgerError):
            await log.receipt(connection, index, SIGNER)
    await append(connection, 3)
    for index in (3, -1, 2**62):
        with pytest.raises(LedgerError) as missing:
            await log.receipt(connection, index, SIGNER)
        assert missing.value.field == "index"
        with pytest.raises(LedgerError):
            await log.receipts(connection, [0, index, 2], SIGNER)


async def test_proofs_between_any_sizes_verify_before_and_after_the_tiles_are_written(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    await grown(connection, [5, 256, 100, 256, 1, 90])
    size = 708
    leaves = await roots(connection)
    assert (await log.read_head(connection)).edge.root() == root(leaves)
    chance = random.Random(2)
    edges = [1, 2, 255, 256, 257, 511, 512, 513, size]
    cases = [(chance.randrange(size), chance.randint(1, size)) for _ in range(25)]
    found: list[list[list[bytes]]] = []
    for tiled in (False, True):
        if tiled:
            assert await log.write_full_tiles(connection) == 2
            assert await log.write_full_tiles(connection) == 0
        proofs = []
        for index, at_size in [*cases, *((e - 1, e) for e in edges), (0, size), (255, 700)]:
            if index >= at_size:
                continue
            proof = await log.prove_inclusion(connection, index, at_size)
            verify_inclusion(index, at_size, leaves[index], proof, root(leaves[:at_size]))
            proofs.append(proof)
        for old, new in [(min(a + 1, b), max(a + 1, b)) for a, b in cases] + [(e, size) for e in edges]:
            proof = await log.prove_consistency(connection, old, new)
            verify_consistency(old, new, proof, root(leaves[:old]), root(leaves[:new]))
            proofs.append(proof)
        found.append(proofs)
    assert found[0] == found[1]


async def test_tiles_and_bundles_hold_the_leaves_in_order(connection: psycopg.AsyncConnection[Any]) -> None:
    await grown(connection, [200, 200, 130])
    leaves = await roots(connection)
    for _ in range(2):
        for n, width in ((0, TILE), (0, 7), (1, TILE), (1, 1), (2, 18)):
            tile = await log.read_tile(connection, 0, n, width)
            assert tile == b"".join(leaves[n * TILE : n * TILE + width])
            bundle = decode_entries(await log.read_entry_bundle(connection, n, width))
            assert [leaf_hash(leaf) for leaf in bundle] == leaves[n * TILE : n * TILE + width]
        assert await log.read_tile(connection, 1, 0, 2) == root(leaves[:TILE]) + root(leaves[TILE : 2 * TILE])
        await log.write_full_tiles(connection)
    cursor = await connection.execute("SELECT level, n FROM log_tile ORDER BY level, n")
    assert await cursor.fetchall() == [(0, 0), (0, 1)]


async def test_entries_that_are_not_there_are_an_error(connection: psycopg.AsyncConnection[Any]) -> None:
    await grown(connection, [4, 3])
    assert [e.index async for e in log.entries(connection, 2, 6)] == [2, 3, 4, 5]
    assert [e async for e in log.entries(connection, 7, 7)] == []
    with pytest.raises(LedgerError):
        _ = [e async for e in log.entries(connection, 5, 8)]
    for ask in (log.read_tile(connection, 0, 0, 8), log.read_tile(connection, 1, 0, 1)):
        with pytest.raises(LedgerError):
            await ask
    with pytest.raises(LedgerError):
        await log.read_entry_bundle(connection, 0, 8)


async def test_a_chunk_that_was_taken_out_is_an_error_and_never_skipped(
    connection: psycopg.AsyncConnection[Any], database: Addresses
) -> None:
    await grown(connection, [4, 3, 5, 2])
    assert database.owner_url is not None
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("ALTER TABLE log_chunk DISABLE TRIGGER USER")
        assert owner.execute("DELETE FROM log_chunk WHERE first = 4").rowcount == 1
    found = []

    async def read() -> None:
        async for each in log.entries(connection, 0, 14):
            found.append(each.index)

    with pytest.raises(LedgerError) as gap:
        await read()
    assert found == [0, 1, 2, 3]
    assert "entry 4" in str(gap.value)
    assert [e.index async for e in log.entries(connection, 7, 14)] == list(range(7, 14))


async def test_every_batch_has_a_checkpoint_that_can_be_signed_again(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    sizes = [1, 2, 3, 256, 5]
    receipts = await grown(connection, sizes)
    leaves = await roots(connection)
    given = {r.size: r.checkpoint for r in receipts}
    notes = [pair async for pair in log.checkpoints(connection, SIGNER, 0, 267)]
    assert [pair async for pair in log.checkpoints(connection, SIGNER, 3, 262)] == notes[2:4]
    assert dict(notes) == given
    assert [size for size, _ in notes] == [1, 3, 6, 262, 267]
    for size, note in notes:
        checkpoint = open_note(note, [VERIFIER]).checkpoint
        assert (checkpoint.origin, checkpoint.size, checkpoint.root) == (ORIGIN, size, root(leaves[:size]))


async def test_a_batch_on_an_old_head_is_refused_by_the_database(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    head = await log.read_head(connection)
    assert head.checkpoint().root == EMPTY_ROOT
    await append(connection, 2)
    (insert, values), (update, news) = log.append(head, [entry(0, 1)], 1).statements
    with pytest.raises(psycopg.errors.UniqueViolation):
        await connection.execute(insert.encode(), values)
    await connection.rollback()
    assert (await connection.execute(update.encode(), news)).rowcount == 0
    await connection.rollback()


async def test_history_can_neither_be_changed_nor_begun_twice(
    connection: psycopg.AsyncConnection[Any], database: Addresses
) -> None:
    await append(connection, 2)
    await log.write_full_tiles(connection)
    for statement in (
        "UPDATE log_chunk SET time_us = 0",
        "DELETE FROM log_chunk",
        "TRUNCATE log_chunk",
        "UPDATE log_tile SET n = 5",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(statement.encode())
        await connection.rollback()
    assert database.owner_url is not None
    with (
        psycopg.connect(database.owner_url, autocommit=True) as owner,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"),  # the trigger, whoever asks
    ):
        owner.execute("UPDATE log_chunk SET time_us = 0")
    with pytest.raises(psycopg.errors.UniqueViolation):
        await log.create(connection, "another.example/log", 0)


async def test_a_database_without_a_log_says_what_to_do(database: Addresses) -> None:
    async with await psycopg.AsyncConnection.connect(database.app_url) as empty:
        with pytest.raises(LedgerError) as missing:
            await log.read_head(empty)
    assert "exchange init" in missing.value.remedy
