"""The only writer of history: append entries under the head, prove any of them, serve the tree as tiles.

The caller holds a transaction and locks the head first (`LOCK_HEAD`); `append` is pure and returns the
statements that make it true. A checkpoint must be signed only after that transaction's COMMIT returned.
Everything about an old batch can be made again from its chunk: the proof, the checkpoint, the receipt.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from ledger.checkpoint import Checkpoint, Signer, sign
from ledger.chunks import CHUNK, count_behind, join
from ledger.entries import Entry, Leaf, Receipt, parse_leaf
from ledger.errors import BehindError, LedgerError
from ledger.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    Edge,
    Node,
    append_with_json_proofs,
    append_with_proofs,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
)
from ledger.tiles import TILE, TILE_HEIGHT, encode_entries, frame, node_reader, tile_path, tile_root, unframe

if TYPE_CHECKING:
    from psycopg import AsyncConnection

LOCK_HEAD = "SELECT origin, size, time_us, peaks FROM log_head WHERE id = 1 FOR UPDATE"
READ_HEAD = "SELECT origin, size, time_us, peaks FROM log_head WHERE id = 1"
BEHIND_LIMIT = TILE**2
"""Leaves that are hashed again for a tile whose lower tiles are not written yet."""
TILES_AT_ONCE = 64
"""Tiles that are made in memory and written together."""


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the log: all that appending needs."""

    origin: str
    time_us: int
    edge: Edge

    @classmethod
    def from_row(cls, row: tuple[str, int, int, bytes]) -> Head:
        """The head as `LOCK_HEAD` and `READ_HEAD` give it."""
        origin, size, time_us, peaks = row
        return cls(origin, time_us, Edge.from_bytes(size, peaks))

    def checkpoint(self) -> Checkpoint:
        """What the head claims, unsigned."""
        return Checkpoint(self.origin, self.edge.size, self.edge.root())


@dataclass(frozen=True, slots=True)
class Appended:
    """A batch on top of a head: the new head, each entry's inclusion proof in it, and how to store it."""

    head: Head
    leaves: tuple[bytes, ...]
    proofs: list[str]  # JSON arrays of base64, in the order of the entries
    statements: tuple[tuple[str, Sequence[Any]], ...]


async def create(connection: AsyncConnection[Any], origin: str, time_us: int) -> None:
    """Begin an empty log under `origin`; refused by the database where one exists."""
    await connection.execute(
        "INSERT INTO log_head (id, origin, size, time_us, peaks) VALUES (1, %s, 0, %s, '')", (origin, time_us)
    )


async def rename(connection: AsyncConnection[Any], old: str, new: str) -> None:
    """Go on under another origin, from the tree that is there; the caller holds the head, and says so in an entry."""
    await connection.execute(
        "UPDATE log_head SET origin = %s WHERE id = 1 AND origin = %s",
        (new, old),
    )


async def read_head(connection: AsyncConnection[Any]) -> Head:
    """The newest committed head."""
    row = await (await connection.execute(READ_HEAD)).fetchone()
    if row is None:
        raise LedgerError(
            "the database holds no log",
            field="log_head",
            rule="one head row per log",
            remedy="run `exchange init`",
        )
    return Head.from_row(row)


def append(head: Head, entries: Sequence[Entry], time_us: int) -> Appended:
    """Put `entries` (at least one, all of time `time_us`) behind `head`. Pure."""
    leaves = tuple(entry.leaf for entry in entries)
    edge, proofs = append_with_json_proofs(head.edge, [leaf_hash(leaf) for leaf in leaves])
    peaks = edge.to_bytes()
    return Appended(
        head=Head(head.origin, time_us, edge),
        leaves=leaves,
        proofs=proofs,
        statements=(
            (
                "INSERT INTO log_chunk (first, size, time_us, peaks, leaves, salts, bodies)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                (
                    head.edge.size,
                    edge.size,
                    time_us,
                    peaks,
                    frame(leaves),
                    b"".join(entry.salt for entry in entries),
                    frame([entry.body for entry in entries]),
                ),
            ),
            (
                "UPDATE log_head SET size = %s, time_us = %s, peaks = %s WHERE id = 1 AND size = %s",
                (edge.size, time_us, peaks, head.edge.size),
            ),
        ),
    )


@dataclass(frozen=True, slots=True)
class Logged:
    """One entry as stored: the public leaf, and what opens its digest."""

    index: int
    leaf: bytes
    salt: bytes
    body: bytes


async def entries(connection: AsyncConnection[Any], start: int, stop: int) -> AsyncIterator[Logged]:
    """The entries of [start, stop) in order, a few chunks in memory at a time."""
    at = start
    while at < stop:
        cursor = await connection.execute(
            "SELECT first, leaves, salts, bodies FROM log_chunk WHERE size > %s AND first < %s ORDER BY first LIMIT 64",
            (at, stop),
        )
        rows = await cursor.fetchall()
        if not rows:
            raise _gap(at)
        for first, leaves, salts, bodies in rows:
            if first > at:
                raise _gap(at)
            for offset, (leaf, body) in enumerate(zip(unframe(leaves), unframe(bodies), strict=True)):
                index = first + offset
                if index >= stop:
                    return
                if index >= at:
                    yield Logged(index, leaf, salts[32 * offset : 32 * offset + 32], body)
                    at = index + 1


async def _leaf_hashes(connection: AsyncConnection[Any], start: int, stop: int) -> list[bytes]:
    """The tree's hashes of the leaves of [start, stop), without what else is stored of the entries."""
    hashes: list[bytes] = []
    while (at := start + len(hashes)) < stop:
        cursor = await connection.execute(
            "SELECT first, leaves FROM log_chunk WHERE size > %s AND first < %s ORDER BY first LIMIT 64",
            (at, stop),
        )
        rows = await cursor.fetchall()
        if not rows:
            raise _gap(at)
        for first, framed in rows:
            at = start + len(hashes)
            if first > at:
                raise _gap(at)
            hashes += map(leaf_hash, unframe(framed)[at - first : stop - first])
    return hashes


def _gap(index: int) -> LedgerError:
    return LedgerError(
        f"the log has no entry {index}",
        field="log_chunk",
        rule="chunks follow one another without a gap",
        remedy="run `exchange audit` on an export; restore from a backup if it agrees",
    )


async def head_of(connection: AsyncConnection[Any], index: int) -> int:
    """The entry that `index` belongs to: its head where it is a chunk of a long body, itself where it is not."""
    cursor = await connection.execute(
        "SELECT first, leaves FROM log_chunk WHERE size > %s ORDER BY size LIMIT 1", (index,)
    )
    row = await cursor.fetchone()
    if row is None or index < row[0]:
        return index
    first, leaves = row[0], unframe(row[1])
    while parse_leaf(leaves[index - first]).kind == CHUNK:
        index -= 1
    return index


async def whole_body(connection: AsyncConnection[Any], index: int) -> bytes:
    """The body of entry `index`, put together where chunks carry it. LedgerError where there is no such entry."""
    (body,) = [e.body async for e in entries(connection, index, index + 1)]
    behind = count_behind(body)
    chunks = [e.body async for e in entries(connection, index + 1, index + 1 + behind)]
    return join([body, *chunks], index) if behind else body


async def newest(connection: AsyncConnection[Any], before: int | None, limit: int) -> list[tuple[int, Leaf]]:
    """The last `limit` public leaves, or the last ones before an index, newest first."""
    size = (await read_head(connection)).edge.size
    stop = size if before is None else min(before, size)
    found = [(e.index, parse_leaf(e.leaf)) async for e in entries(connection, max(0, stop - limit), stop)]
    return found[::-1]


async def naming(connection: AsyncConnection[Any], name: str, before: int | None, limit: int) -> list[int]:
    """The newest entries whose bodies hold `name` as a whole JSON text, before an index, newest first; of a long body its
    head. Reads every batch behind the oldest that it finds: for whoever looks into one thing, never for a crowd.
    """
    needle, at, found = orjson.dumps(name), before, dict[int, None]()
    while len(found) < limit:
        cursor = await connection.execute(
            "SELECT first, size FROM log_chunk WHERE (%s::bigint IS NULL OR first < %s)"
            " AND position(%s::bytea IN bodies) > 0 ORDER BY first DESC LIMIT 16",
            (at, at, needle),
        )
        rows = await cursor.fetchall()
        if not rows:
            break
        for first, size in rows:
            at = first
            stop = size if before is None else min(size, before)
            named = [e.index async for e in entries(connection, first, stop) if needle in e.body]
            for index in reversed(named):
                found[await head_of(connection, index)] = None
    return list(found)[:limit]


async def receipt(connection: AsyncConnection[Any], index: int, signer: Signer) -> Receipt:
    """The receipt of entry `index` as it was first given: same proof, same checkpoint, bit for bit."""
    return (await receipts(connection, [index], signer))[index]


async def receipts(
    connection: AsyncConnection[Any], indices: Collection[int], signer: Signer
) -> dict[int, Receipt]:
    """The receipts of these entries as they were first given; those of one batch share the work of its tree.

    LedgerError where the log has no such entry.
    """
    cursor = await connection.execute(
        "SELECT c.first, c.size, c.leaves, c.salts, c.bodies, h.origin, coalesce(p.peaks, '')"
        " FROM (SELECT DISTINCT (SELECT min(size) FROM log_chunk WHERE size > w.index) AS size"
        " FROM unnest(%s::bigint[]) AS w(index)) s JOIN log_chunk c USING (size)"
        " CROSS JOIN log_head h LEFT JOIN log_chunk p ON p.size = c.first",
        (list(indices),),
    )
    wanted = set(indices)
    found: dict[int, Receipt] = {}
    for first, size, leaves, salts, bodies, origin, peaks in await cursor.fetchall():
        all_leaves, all_bodies = unframe(leaves), unframe(bodies)
        edge, proofs = append_with_proofs(
            Edge.from_bytes(first, peaks), [leaf_hash(leaf) for leaf in all_leaves]
        )
        checkpoint = sign(Checkpoint(origin, size, edge.root()), signer)
        for index in wanted.intersection(range(first, size)):
            at = index - first
            behind = count_behind(all_bodies[at])
            found[index] = Receipt(
                index=index,
                size=size,
                leaf=all_leaves[at],
                salt=salts[32 * at : 32 * at + 32],
                body=all_bodies[at],
                proof=proofs[at],
                checkpoint=checkpoint,
                whole=join(all_bodies[at : at + 1 + behind], index) if behind else None,
            )
    for index in wanted - found.keys():
        raise LedgerError(
            f"the log has no entry {index}",
            field="index",
            rule="0 <= index < size of the log",
            remedy="ask for an index below the checkpoint's size",
        )
    return found


async def checkpoints(
    connection: AsyncConnection[Any], signer: Signer, after: int, upto: int
) -> AsyncIterator[tuple[int, str]]:
    """The signed checkpoint of every batch whose size lies in (after, upto], oldest first: (size, note)."""
    origin = (await read_head(connection)).origin
    at = after
    while True:
        cursor = await connection.execute(
            "SELECT size, peaks FROM log_chunk WHERE size > %s AND size <= %s ORDER BY size LIMIT 1000",
            (at, upto),
        )
        rows = await cursor.fetchall()
        if not rows:
            return
        for size, peaks in rows:
            yield size, sign(Checkpoint(origin, size, Edge.from_bytes(size, peaks).root()), signer)
        at = rows[-1][0]


async def period(connection: AsyncConnection[Any], start: int, stop: int) -> tuple[Edge, int]:
    """The tree before the batch that holds entry `start`, and the size after the one that holds `stop` - 1.

    LedgerError where the log has no such entries.
    """
    cursor = await connection.execute(
        "SELECT (SELECT max(size) FROM log_chunk WHERE size <= %s), (SELECT min(size) FROM log_chunk WHERE size >= %s)",
        (start, stop),
    )
    row = await cursor.fetchone()
    before, end = (row[0] or 0, row[1]) if row else (0, None)
    if not 0 <= start < stop or end is None:
        raise LedgerError(
            f"no entries from {start} to {stop}",
            field="start" if start < 0 or start >= stop else "stop",
            rule="0 <= start < stop <= size of the log",
            remedy="ask for entries that the newest checkpoint covers",
        )
    cursor = await connection.execute("SELECT peaks FROM log_chunk WHERE size = %s", (before,))
    row = await cursor.fetchone()
    return Edge.from_bytes(before, row[0] if row else b""), end


async def root_at(connection: AsyncConnection[Any], size: int) -> bytes | None:
    """The root after the batch that ended at `size`; None where none did."""
    cursor = await connection.execute("SELECT peaks FROM log_chunk WHERE size = %s", (size,))
    row = await cursor.fetchone()
    return None if row is None else Edge.from_bytes(size, row[0]).root()


async def prove_inclusion(connection: AsyncConnection[Any], index: int, size: int) -> list[bytes]:
    """RFC 9162 inclusion proof of entry `index` in the tree of `size`, from tiles."""
    return await _prove(connection, size, lambda node: inclusion_proof(index, size, node))


async def prove_consistency(connection: AsyncConnection[Any], old: int, new: int) -> list[bytes]:
    """RFC 9162 consistency proof between the trees of `old` and `new` leaves, from tiles."""
    return await _prove(connection, new, lambda node: consistency_proof(old, new, node))


async def _prove(
    connection: AsyncConnection[Any], size: int, prove: Callable[[Node], list[bytes]]
) -> list[bytes]:
    """Run `prove` twice: once to learn which tiles of the tree it asks for, once over them."""
    tiles: dict[tuple[int, int], bytes] = {}

    def note(level: int, i: int) -> bytes:
        tiles[level // TILE_HEIGHT, i >> TILE_HEIGHT - level % TILE_HEIGHT] = b""
        return EMPTY_ROOT

    prove(note)
    for level, n in tiles:
        width = min(TILE, (size >> TILE_HEIGHT * level) - n * TILE)
        tiles[level, n] = await read_tile(connection, level, n, width)
    return prove(node_reader(lambda level, n, _: tiles[level, n], size))


async def read_tile(connection: AsyncConnection[Any], level: int, n: int, width: int) -> bytes:
    """The first `width` hashes of tile `n` of `level`: the stored full tile, or made from what lies below.

    What lies below is stored, but for the tiles that became full since the worker last wrote; BehindError where
    these hold more than `BEHIND_LIMIT` leaves, so that no question costs more than that, however long the log.
    """
    whole = (await _stored_tiles(connection, level, n, n + 1)).get(n)
    if whole is not None:
        return whole[: HASH_BYTES * width]
    start = n * TILE
    if level == 0:
        return b"".join(await _leaf_hashes(connection, start, start + width))
    below = await _stored_tiles(connection, level - 1, start, start + width)
    behind = (width - len(below)) * TILE**level
    if behind > BEHIND_LIMIT:
        raise BehindError(
            f"{behind} leaves below {tile_path(level, n, width)} are in no tile yet",
            field="log_tile",
            rule=f"full tiles are written behind the batches, at most {BEHIND_LIMIT} leaves late",
            remedy="ask again in a while; the operator runs `exchange work`",
        )
    for m in range(start, start + width):
        if m not in below:
            below[m] = await read_tile(connection, level - 1, m, TILE)
    return b"".join([tile_root(below[m]) for m in range(start, start + width)])


async def _stored_tiles(
    connection: AsyncConnection[Any], level: int, start: int, stop: int
) -> dict[int, bytes]:
    cursor = await connection.execute(
        "SELECT n, hashes FROM log_tile WHERE level = %s AND n >= %s AND n < %s", (level, start, stop)
    )
    return {n: bytes(hashes) for n, hashes in await cursor.fetchall()}


async def write_full_tiles(connection: AsyncConnection[Any]) -> int:
    """Write every tile that became full and return how many.

    Tiles are derived, so they are written behind the commit of the batch, and two processes may race for them.
    """
    size = (await read_head(connection)).edge.size
    written = 0
    level = 0
    while (full := size >> (8 * (level + 1))) > 0:
        cursor = await connection.execute(
            "SELECT coalesce(max(n) + 1, 0) FROM log_tile WHERE level = %s", (level,)
        )
        row = await cursor.fetchone()
        for start in range(row[0] if row else 0, full, TILES_AT_ONCE):
            numbers = range(start, min(start + TILES_AT_ONCE, full))
            if level == 0:  # a batch of entries reaches over several tiles, and is read once
                hashes = await _leaf_hashes(connection, TILE * numbers.start, TILE * numbers.stop)
                tiles = [b"".join(hashes[at : at + TILE]) for at in range(0, len(hashes), TILE)]
            else:
                tiles = [await read_tile(connection, level, n, TILE) for n in numbers]
            await connection.execute(
                "INSERT INTO log_tile (level, n, hashes)"
                " SELECT %s, n, hashes FROM unnest(%s::bigint[], %s::bytea[]) AS t(n, hashes) ON CONFLICT DO NOTHING",
                (level, list(numbers), tiles),
            )
            written += len(numbers)
        level += 1
    return written


async def read_entry_bundle(connection: AsyncConnection[Any], n: int, width: int) -> bytes:
    """Entry bundle `n` of C2SP tlog-tiles, its first `width` public leaves."""
    start = n * TILE
    return encode_entries([e.leaf async for e in entries(connection, start, start + width)])
