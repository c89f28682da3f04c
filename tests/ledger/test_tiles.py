"""Tiles: one path and one content for each, and proofs that need nothing else."""

from __future__ import annotations

from functools import cache

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
    node_reader,
    parse_entries_path,
    parse_tile_path,
    tile_path,
    tile_root,
)

LEAVES = [leaf_hash(b"%d" % i) for i in range(66_000)]


@cache
def hash_in_tile(level: int, i: int) -> bytes:
    """The i-th hash of a level: MTH(D[i * 256**l : (i + 1) * 256**l])."""
    return root(LEAVES[i * TILE**level : (i + 1) * TILE**level])


class Shelf:
    """The tiles of one tree as the standard defines them, each read at most once."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.asked: set[tuple[int, int]] = set()

    def read(self, level: int, n: int, width: int) -> bytes:
        assert (level, n) not in self.asked, "a reader keeps what it read"
        self.asked.add((level, n))
        assert width == min(TILE, self.size // TILE**level - n * TILE), (
            "only tiles of this tree are asked for"
        )
        return b"".join(hash_in_tile(level, n * TILE + at) for at in range(width))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 66_000), min_size=2, max_size=4, unique=True).map(sorted))
def test_proofs_read_from_tiles_hold_at_every_size(sizes: list[int]) -> None:
    roots: list[tuple[int, bytes]] = []
    for size in sizes:
        node = node_reader(Shelf(size).read, size)
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


def test_only_a_full_tile_has_a_parent() -> None:
    assert root(LEAVES[:TILE]) == tile_root(b"".join(LEAVES[:TILE]))
    for width in (0, 1, 2, 128, 255, 257):
        with pytest.raises(LedgerError, match="no other tile has a parent"):
            tile_root(b"".join(LEAVES[:width]))


@given(st.text(max_size=40) | st.from_regex(r"tile/(entries|[0-9x/]*)/[0-9x/]*(\.p/[0-9]*)?", fullmatch=True))
def test_any_text_is_a_path_in_its_one_spelling_or_is_refused(text: str) -> None:
    for parse, write in ((parse_tile_path, tile_path), (parse_entries_path, entries_path)):
        try:
            parsed = parse(text)
        except LedgerError:
            continue
        assert text == write(*parsed)


@given(st.binary(max_size=900))
def test_any_bytes_are_a_bundle_in_its_one_spelling_or_are_refused(data: bytes) -> None:
    try:
        entries = decode_entries(data)
    except LedgerError:
        return
    assert data == encode_entries(entries)


def test_a_widened_tile_serves_for_a_partial_one() -> None:
    node = node_reader(lambda level, n, width: b"".join(LEAVES[:TILE]), 5)
    assert root(LEAVES[:4]) == node(2, 0)
