"""The log as static tiles (c2sp.org/tlog-tiles): their paths, their contents, and proofs read from them.

A tile of level l holds up to 256 hashes, each of 256**l leaves; a tile that is not full is *partial* and ends
the tree on its level. Full tiles never change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256

from ledger.errors import LedgerError
from ledger.merkle import HASH_BYTES, Node

TILE = 256
TILE_HEIGHT = 8
LEVEL_LIMIT = 63
ENTRY_LIMIT = 65_535
"""Bytes of one entry: its length is written in 16 bits."""

ReadTile = Callable[[int, int, int], bytes]
"""`read_tile(level, n, width)`: the first `width` hashes of the n-th tile of a level, 32 bytes each, or more of it."""

_INDEX = r"((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?"
_TILE_PATH = re.compile(rf"tile/(0|[1-9][0-9]?)/{_INDEX}")
_ENTRIES_PATH = re.compile(rf"tile/entries/{_INDEX}")


def tile_path(level: int, n: int, width: int = TILE) -> str:
    """The path of a hash tile below the log's prefix, such as tile/0/x001/x234/067 or tile/1/000.p/17."""
    if not 0 <= level <= LEVEL_LIMIT:
        raise _malformed("level", f"{level}", f"a level from 0 to {LEVEL_LIMIT}")
    return f"tile/{level}/{_index_path(n, width)}"


def entries_path(n: int, width: int = TILE) -> str:
    """The path of an entry bundle below the log's prefix, such as tile/entries/000 or tile/entries/001.p/9."""
    return f"tile/entries/{_index_path(n, width)}"


def parse_tile_path(path: str) -> tuple[int, int, int]:
    """Level, number and width of a hash tile's path; LedgerError for any other spelling."""
    match = _TILE_PATH.fullmatch(path)
    if match is None:
        raise _malformed(
            "path", f"{path[:120]!r}", "tile/<level>/<index in groups of three digits>[.p/<width>]"
        )
    level = int(match[1])
    n, width = _parse_index(match[2], match[3], path)
    if tile_path(level, n, width) != path:
        raise _malformed("path", f"{path[:120]!r}", "the one spelling of this tile's path")
    return level, n, width


def parse_entries_path(path: str) -> tuple[int, int]:
    """Number and width of an entry bundle's path; LedgerError for any other spelling."""
    match = _ENTRIES_PATH.fullmatch(path)
    if match is None:
        raise _malformed(
            "path", f"{path[:120]!r}", "tile/entries/<index in groups of three digits>[.p/<width>]"
        )
    n, width = _parse_index(match[1], match[2], path)
    if entries_path(n, width) != path:
        raise _malformed("path", f"{path[:120]!r}", "the one spelling of this bundle's path")
    return n, width


def _index_path(n: int, width: int) -> str:
    if n < 0:
        raise _malformed("n", f"{n}", "a tile number of 0 or more")
    if not 1 <= width <= TILE:
        raise _malformed("width", f"{width}", "a width from 1 to 256")
    groups = f"{n % 1000:03}"
    while n := n // 1000:
        groups = f"x{n % 1000:03}/{groups}"
    return groups if width == TILE else f"{groups}.p/{width}"


def _parse_index(groups: str, width: str | None, path: str) -> tuple[int, int]:
    if len(groups) > 40 or (width is not None and int(width) >= TILE):
        raise _malformed("path", f"{path[:120]!r}", "a partial tile is from 1 to 255 wide")
    return int(groups.replace("x", "").replace("/", "")), TILE if width is None else int(width)


def encode_entries(entries: Sequence[bytes]) -> bytes:
    """An entry bundle: each entry after its length in two big-endian bytes; at most 256 of at most 65,535 bytes."""
    if len(entries) > TILE:
        raise _malformed("entries", f"{len(entries)} entries", "a bundle has at most 256")
    return frame(entries)


def decode_entries(bundle: bytes) -> list[bytes]:
    """The entries of a bundle; LedgerError where it ends inside one, or holds more than 256."""
    entries = unframe(bundle)
    if len(entries) > TILE:
        raise _malformed("entries", f"{len(entries)} entries", "a bundle has at most 256")
    return entries


def frame(entries: Sequence[bytes]) -> bytes:
    """Any number of entries in the bytes of a bundle: each after its length, at most 65,535, in two bytes."""
    for entry in entries:
        if len(entry) > ENTRY_LIMIT:
            raise _malformed("entries", f"an entry of {len(entry)} bytes", f"at most {ENTRY_LIMIT} bytes")
    return b"".join([len(entry).to_bytes(2, "big") + entry for entry in entries])


def unframe(bundle: bytes) -> list[bytes]:
    """The entries that `frame` put together; LedgerError where the bytes end inside one."""
    entries: list[bytes] = []
    at = 0
    while at < len(bundle):
        start = at + 2
        at = start + int.from_bytes(bundle[at:start], "big")
        if start > len(bundle) or at > len(bundle):
            raise _malformed("entries", f"cut off in entry {len(entries)}", "every entry is whole")
        entries.append(bundle[start:at])
    return entries


@lru_cache(maxsize=1024)  # 8 MB: a log of 65,000 leaves asks for 254 of these with each proof
def tile_root(tile: bytes) -> bytes:
    """The one hash of a full tile, which the level above holds. LedgerError for a tile that is not full."""
    if len(tile) != TILE * HASH_BYTES:
        raise _malformed("tile", f"{len(tile)} bytes", "256 hashes of 32 bytes; no other tile has a parent")
    return _subtrees(tile)[TILE_HEIGHT][0]


def _subtrees(tile: bytes) -> list[list[bytes]]:
    """The perfect subtrees in a tile by height: its own hashes, those of each two of them, of each four …"""
    row = [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]
    rows = [row]
    while len(row) > 1:
        pairs = iter(row)
        row = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]
        rows.append(row)
    return rows


def node_reader(read_tile: ReadTile, size: int) -> Node:
    """`node(level, i)` for the proofs of `merkle`, over the tiles of a tree of `size` leaves.

    Reads each tile once, only tiles that this tree has, and keeps their subtrees: a reader that is used again
    hashes nothing. LedgerError where a tile is shorter than asked for, or where a node is not in the tree.
    """
    known: dict[
        tuple[int, int], list[bytes]
    ] = {}  # (level, n): of this level of the tree, what lies in tile n

    def read(level: int, n: int) -> list[list[bytes]]:
        width = min(TILE, (size >> TILE_HEIGHT * level) - n * TILE)
        tile = read_tile(level, n, width)
        if len(tile) < width * HASH_BYTES:
            raise _malformed("tile", f"{tile_path(level, n, width)} has {len(tile)} bytes", f"{width} hashes")
        rows = _subtrees(tile)
        for height, row in enumerate(rows[:TILE_HEIGHT]):  # the root belongs to the level above
            known[level * TILE_HEIGHT + height, n] = row
        return rows

    def node(level: int, i: int) -> bytes:
        if not 0 <= i < size >> level:
            raise _malformed("node", f"subtree {i} of 2**{level} leaves", f"a subtree of the {size} leaves")
        height = level % TILE_HEIGHT
        n = i >> TILE_HEIGHT - height
        row = known.get((level, n)) or read(level // TILE_HEIGHT, n)[height]
        return row[i % (TILE >> height)]

    return node


def _malformed(field: str, detail: str, rule: str) -> LedgerError:
    return LedgerError(detail, field=field, rule=f"{rule} (c2sp.org/tlog-tiles)", remedy="follow the format")
