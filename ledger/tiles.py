"""The log as static tiles (c2sp.org/tlog-tiles): their paths, their contents, and proofs read from them.

A tile of level l holds up to 256 hashes, each of 256**l leaves; a tile that is not full is *partial* and ends
the tree on its level. Full tiles never change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
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
    for entry in entries:
        if len(entry) > ENTRY_LIMIT:
            raise _malformed("entries", f"an entry of {len(entry)} bytes", f"at most {ENTRY_LIMIT} bytes")
    return b"".join([len(entry).to_bytes(2, "big") + entry for entry in entries])


def decode_entries(bundle: bytes) -> list[bytes]:
    """The entries of a bundle; LedgerError where it ends inside one, or holds more than 256."""
    entries: list[bytes] = []
    at = 0
    while at < len(bundle):
        start = at + 2
        at = start + int.from_bytes(bundle[at:start], "big")
        if start > len(bundle) or at > len(bundle):
            raise _malformed("entries", f"cut off in entry {len(entries)}", "every entry is whole")
        entries.append(bundle[start:at])
    if len(entries) > TILE:
        raise _malformed("entries", f"{len(entries)} entries", "a bundle has at most 256")
    return entries


def full_tiles(old_size: int, new_size: int) -> Iterator[tuple[int, int]]:
    """(level, n) of every hash tile that becomes full as the tree grows, lower levels first.

    Entry bundles fill together with the tiles of level 0.
    """
    level = 0
    while full := new_size >> TILE_HEIGHT * (level + 1):
        for n in range(old_size >> TILE_HEIGHT * (level + 1), full):
            yield level, n
        level += 1


def partial_tiles(size: int) -> Iterator[tuple[int, int, int]]:
    """(level, n, width) of the partial hash tiles that a tree of this size ends in, lower levels first."""
    level = 0
    while hashes := size >> TILE_HEIGHT * level:
        if width := hashes % TILE:
            yield level, hashes // TILE, width
        level += 1


def tile_root(tile: bytes) -> bytes:
    """The one hash of a full tile, or of its 2**k first hashes: what the level above holds for a full one."""
    count = len(tile) // HASH_BYTES
    if len(tile) % HASH_BYTES or count.bit_count() != 1 or count > TILE:
        raise _malformed("tile", f"{len(tile)} bytes", "1, 2, 4 … 256 hashes of 32 bytes")
    while len(tile) > HASH_BYTES:
        pairs = range(0, len(tile), 2 * HASH_BYTES)
        tile = b"".join([sha256(b"\x01" + tile[at : at + 2 * HASH_BYTES]).digest() for at in pairs])
    return tile


def node_reader(read_tile: ReadTile, size: int) -> Node:
    """`node(level, i)` for the proofs of `merkle`, over the tiles of a tree of `size` leaves.

    Reads each tile once and only tiles that this tree has. LedgerError where a tile is shorter than asked for,
    or where a node is not in the tree.
    """
    read: dict[tuple[int, int], bytes] = {}

    def node(level: int, i: int) -> bytes:
        if level < 0 or i < 0 or (i + 1) << level > size:
            raise _malformed("node", f"subtree {i} of 2**{level} leaves", f"a subtree of the {size} leaves")
        tile_level, height = divmod(level, TILE_HEIGHT)
        n, first = divmod(i << height, TILE)
        tile = read.get((tile_level, n))
        if tile is None:
            width = min(TILE, (size >> TILE_HEIGHT * tile_level) - n * TILE)
            tile = read_tile(tile_level, n, width)
            if len(tile) < width * HASH_BYTES:
                raise _malformed(
                    "tile", f"{tile_path(tile_level, n, width)} has {len(tile)} bytes", f"{width} hashes"
                )
            read[tile_level, n] = tile
        return tile_root(tile[first * HASH_BYTES : (first + (1 << height)) * HASH_BYTES])

    return node


def _malformed(field: str, detail: str, rule: str) -> LedgerError:
    return LedgerError(detail, field=field, rule=f"{rule} (c2sp.org/tlog-tiles)", remedy="follow the format")
