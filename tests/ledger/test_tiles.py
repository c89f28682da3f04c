"""Tiles: one path and one content for each, and proofs that need nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import LedgerError
from ledger.merkle import (
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root,
    verify_consistency,
    verify_inclusion,
)
from ledger.tiles import (
    TILE,
    decode_entries,
    encode_entries,
    entries_path,
    full_tiles,
    node_reader,
    parse_entries_path,
    parse_tile_path,
    partial_tiles,
    tile_path,
    tile_root,
)

LEAVES = [leaf_hash(b"%d" % i) for i in range(66_000)]


class Shelf:
    """All tiles of a growing tree, written as a log would: full ones once, partial ones by the way."""

    def __init__(self) -> None:
        self.size = 0
        self.levels: list[list[bytes]] = []
        self.full: dict[tuple[int, int], bytes] = {}

    def grow(self, size: int) -> None:
        for level, n in full_tiles(self.size, size):
            assert (level, n) not in self.full, "a full tile is written once"
            below = (
                LEAVES
                if level == 0
                else [tile_root(self.full[level - 1, i]) for i in range(n * TILE, (n + 1) * TILE)]
            )
            first = n * TILE if level == 0 else 0
            self.full[level, n] = b"".join(below[first : first + TILE])
        self.size = size

    def read(self, level: int, n: int, width: int) -> bytes:
        if width == TILE:
            return self.full[level, n]
        assert (level, n, width) in set(partial_tiles(self.size)), "only tiles of this tree are asked for"
        if level == 0:
            return b"".join(LEAVES[n * TILE : n * TILE + width])
        return b"".join(tile_root(self.full[level - 1, n * TILE + i]) for i in range(width))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 66_000), min_size=2, max_size=4, unique=True).map(sorted))
def test_proofs_read_from_tiles_hold_at_every_size(sizes: list[int]) -> None:
    shelf = Shelf()
    roots: list[tuple[int, bytes]] = []
    for size in sizes:
        shelf.grow(size)
        node = node_reader(shelf.read, size)
        tree = root(LEAVES[:size])
        for index in {0, size // 3, size // 2, size - 1}:
            verify_inclusion(index, size, LEAVES[index], inclusion_proof(index, size, node), tree)
        for old, old_root in roots:
            verify_consistency(old, size, consistency_proof(old, size, node), old_root, tree)
        roots.append((size, tree))


@given(st.integers(0, 63), st.integers(0, 10**12), st.integers(1, 256))
def test_a_path_is_read_back_as_it_was_written(level: int, n: int, width: int) -> None:
    assert (level, n, width) == parse_tile_path(tile_path(level, n, width))
    assert (n, width) == parse_entries_path(entries_path(n, width))


@pytest.mark.parametrize(
    "path",
    [
        "tile/64/000",
        "tile/00/000",
        "tile/0/0",
        "tile/0/1234",
        "tile/0/001/000",
        "tile/0/x000/001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000/",
        "/tile/0/000",
        "tile/0/../000",
        "tile/0/000\n",
        "tile/0/٠٠٠",
        "tile/0/" + "x001/" * 40 + "000",
    ],
)
def test_any_other_spelling_of_a_tile_path_is_refused(path: str) -> None:
    with pytest.raises(LedgerError):
        parse_tile_path(path)
    with pytest.raises(LedgerError):
        parse_entries_path(path.replace("tile/0/", "tile/entries/"))


@given(st.lists(st.binary(max_size=40), max_size=256))
def test_entries_come_back_from_their_bundle(entries: list[bytes]) -> None:
    assert entries == decode_entries(encode_entries(entries))


def test_a_bundle_carries_entries_up_to_its_limits_and_none_beyond() -> None:
    largest = [b"x" * 65_535, b""]
    assert largest == decode_entries(encode_entries(largest))
    with pytest.raises(LedgerError, match="65536 bytes"):
        encode_entries([b"x" * 65_536])
    with pytest.raises(LedgerError, match="257 entries"):
        encode_entries([b""] * 257)
    with pytest.raises(LedgerError, match="257 entries"):
        decode_entries(b"\0\0" * 257)


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=9), st.data())
def test_a_bundle_cut_off_inside_an_entry_is_refused(entries: list[bytes], data: st.DataObject) -> None:
    bundle = encode_entries(entries)
    ends = {len(encode_entries(entries[:count])) for count in range(len(entries) + 1)}
    cut = data.draw(st.sampled_from([at for at in range(len(bundle)) if at not in ends]))
    with pytest.raises(LedgerError, match="cut off"):
        decode_entries(bundle[:cut])


def test_a_short_tile_and_a_node_outside_the_tree_are_named() -> None:
    node = node_reader(lambda level, n, width: LEAVES[0], 2)
    with pytest.raises(LedgerError, match=r"tile/0/000\.p/2"):
        node(0, 0)
    with pytest.raises(LedgerError, match="subtree 2"):
        node(0, 2)


def test_a_widened_tile_serves_for_a_partial_one() -> None:
    node = node_reader(lambda level, n, width: b"".join(LEAVES[:TILE]), 5)
    assert root(LEAVES[:4]) == node(2, 0)
