"""The Merkle tree against a slow twin that follows RFC 9162 §2.1 word by word."""

from __future__ import annotations

import json
from base64 import b64decode
from contextlib import suppress
from functools import cache
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import ProofError
from ledger.merkle import (
    EMPTY_ROOT,
    Edge,
    append_with_json_proofs,
    append_with_proofs,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root,
    verify_consistency,
    verify_inclusion,
)

LEAVES = tuple(leaf_hash(b"leaf %d" % i) for i in range(600))


def k(size: int) -> int:
    """The largest power of two smaller than size."""
    power = 1
    while power * 2 < size:
        power *= 2
    return power


@cache
def mth(start: int, end: int) -> bytes:
    """MTH(D[start:end]) of §2.1.1."""
    if start == end:
        return sha256().digest()
    if end - start == 1:
        return LEAVES[start]
    middle = start + k(end - start)
    return sha256(b"\x01" + mth(start, middle) + mth(middle, end)).digest()


def path(m: int, start: int, end: int) -> list[bytes]:
    """PATH(m, D[start:end]) of §2.1.3.1."""
    if end - start == 1:
        return []
    middle = start + k(end - start)
    if m < middle - start:
        return [*path(m, start, middle), mth(middle, end)]
    return [*path(m - (middle - start), middle, end), mth(start, middle)]


def subproof(m: int, start: int, end: int, whole: bool) -> list[bytes]:
    """SUBPROOF(m, D[start:end], b) of §2.1.4.1."""
    if m == end - start:
        return [] if whole else [mth(start, end)]
    middle = start + k(end - start)
    if m <= middle - start:
        return [*subproof(m, start, middle, whole), mth(middle, end)]
    return [*subproof(m - (middle - start), middle, end, False), mth(start, middle)]


def node(level: int, i: int) -> bytes:
    return mth(i << level, (i + 1) << level)


def test_all_pairs_of_sizes_to_seventy_agree_with_the_recursive_twin() -> None:
    for old in range(71):
        before = Edge.empty().append(LEAVES[:old])
        assert mth(0, old) == before.root() == root(LEAVES[:old])
        for new in range(old, 71):
            fresh = LEAVES[old:new]
            after, proofs = append_with_proofs(before, fresh)
            assert Edge.empty().append(LEAVES[:new]) == after
            assert mth(0, new) == after.root()
            assert [tuple(path(i, 0, new)) for i in range(old, new)] == proofs
            if old:
                proof = consistency_proof(old, new, node)
                assert subproof(old, 0, new, True) == proof
                verify_consistency(old, new, proof, before.root(), after.root())


def test_every_leaf_of_every_tree_to_seventy_is_proven_from_its_nodes() -> None:
    for size in range(1, 71):
        for index in range(size):
            proof = inclusion_proof(index, size, node)
            assert path(index, 0, size) == proof
            verify_inclusion(index, size, LEAVES[index], proof, mth(0, size))


@given(st.integers(0, 300), st.integers(0, 300))
def test_proofs_from_the_edge_alone_are_those_of_the_whole_tree(old: int, count: int) -> None:
    edge = Edge.from_bytes(old, Edge.empty().append(LEAVES[:old]).to_bytes())
    after, proofs = append_with_proofs(edge, LEAVES[old : old + count])
    assert Edge.empty().append(LEAVES[: old + count]) == after
    for position, proof in enumerate(proofs):
        assert path(old + position, 0, old + count) == list(proof)


@given(st.integers(0, 300), st.integers(0, 300))
def test_proofs_as_json_text_say_the_same_as_the_plain_ones(old: int, count: int) -> None:
    edge = Edge.empty().append(LEAVES[:old])
    expected, plain = append_with_proofs(edge, LEAVES[old : old + count])
    actual, texts = append_with_json_proofs(edge, LEAVES[old : old + count])
    assert expected == actual
    assert plain == [tuple(b64decode(sibling) for sibling in json.loads(text)) for text in texts]


@given(st.lists(st.integers(0, 40), max_size=8))
def test_leaves_appended_in_any_batches_give_one_tree(batches: list[int]) -> None:
    edge = Edge.empty()
    for count in batches:
        edge = edge.append(LEAVES[edge.size : edge.size + count])
    assert Edge.empty().append(LEAVES[: sum(batches)]) == edge


def test_leaf_by_leaf_the_edge_is_that_of_the_whole_tree() -> None:
    edge = Edge.empty()
    for size, leaf in enumerate(LEAVES, 1):
        edge = edge.append((leaf,))
        assert mth(0, size) == edge.root()
        assert Edge.empty().append(LEAVES[:size]) == edge


HASHES = st.binary(max_size=33) | st.sampled_from(LEAVES[:8])


@given(st.integers(-1, 20), st.integers(-1, 20), HASHES, st.lists(HASHES, max_size=6), HASHES)
def test_any_bytes_given_as_a_proof_are_held_or_refused_by_name(
    first: int, second: int, leaf: bytes, proof: list[bytes], tree: bytes
) -> None:
    with suppress(ProofError):
        verify_inclusion(first, second, leaf, proof, tree)
    with suppress(ProofError):
        verify_consistency(first, second, proof, leaf, tree)


@given(st.data())
def test_a_proof_changed_anywhere_proves_nothing(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 300))
    index = data.draw(st.integers(0, size - 1))
    proof = path(index, 0, size)
    verify_inclusion(index, size, LEAVES[index], proof, mth(0, size))
    place = data.draw(st.integers(0, len(proof) - 1))
    flipped = bytes([proof[place][0] ^ 1]) + proof[place][1:]
    forgeries = [
        (index, size, LEAVES[index], [*proof[:place], flipped, *proof[place + 1 :]]),
        (index, size, LEAVES[index], proof[:place] + proof[place + 1 :]),
        (index, size, LEAVES[index], [*proof, LEAVES[0]]),
        (index, size, leaf_hash(b"another"), proof),
        (size, size, LEAVES[index], proof),
        (-1, size, LEAVES[index], proof),
    ]
    for forgery in forgeries:
        with pytest.raises(ProofError):
            verify_inclusion(*forgery, mth(0, size))


@given(st.data())
def test_a_rewritten_history_has_no_consistency_proof(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, 200))
    old = data.draw(st.integers(1, new - 1))
    proof = subproof(old, 0, new, True)
    other = node_hash(mth(0, old), mth(0, old))
    for wrong in ((other, mth(0, new)), (mth(0, old), other)):
        with pytest.raises(ProofError, match="begin"):
            verify_consistency(old, new, proof, *wrong)
    with pytest.raises(ProofError):
        verify_consistency(old, new, proof[:-1], mth(0, old), mth(0, new))
    with pytest.raises(ProofError):
        verify_consistency(old, new, [*proof, other], mth(0, old), mth(0, new))


def test_consistency_from_nothing_is_an_error_even_where_it_would_be_true() -> None:
    for new in (0, 1, 5):
        with pytest.raises(ProofError, match="no consistency from size 0"):
            verify_consistency(0, new, [], EMPTY_ROOT, mth(0, new))
        with pytest.raises(ProofError, match="no consistency from size 0"):
            consistency_proof(0, new, node)


def test_a_leaf_outside_the_tree_has_no_proof() -> None:
    for index, size in ((0, 0), (5, 5), (-1, 5)):
        with pytest.raises(ProofError, match="is not in a tree"):
            inclusion_proof(index, size, node)


def test_an_edge_with_another_number_of_peaks_than_its_size_is_refused() -> None:
    with pytest.raises(ProofError, match="2 peaks, not 1"):
        Edge(3, (LEAVES[0],))
    with pytest.raises(ProofError, match="not whole hashes"):
        Edge.from_bytes(1, LEAVES[0][:-1])


def test_appending_nothing_changes_nothing() -> None:
    edge = Edge.empty().append(LEAVES[:5])
    assert (edge, []) == append_with_proofs(edge, [])
    assert (edge, []) == append_with_json_proofs(edge, [])
    assert edge == edge.append([])


def test_a_leaf_cannot_be_taken_for_a_node() -> None:
    left, right = LEAVES[:2]
    assert leaf_hash(left + right) != node_hash(left, right)
