"""Others' Merkle probes behave as they say: proofs that hold, and every way in which one must not."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import ProofError
from ledger.merkle import (
    EMPTY_ROOT,
    Edge,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root,
    subtree_root,
    verify_consistency,
    verify_inclusion,
)


def probes(vectors: Path, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    files = sorted((vectors / "merkle" / "testdata" / kind).rglob("*.json"))
    assert files
    for file in files:
        yield str(file.relative_to(vectors)), json.loads(file.read_text())


def refused(check: Any, *arguments: Any) -> bool:
    try:
        check(*arguments)
    except ProofError:
        return True
    return False


def test_every_inclusion_probe_is_accepted_or_refused_as_it_says(vectors: Path) -> None:
    outcomes = set()
    for name, probe in probes(vectors, "inclusion"):
        proof = [b64decode(sibling) for sibling in probe["proof"] or []]
        leaf, tree = b64decode(probe["leafHash"]), b64decode(probe["root"])
        actual = refused(verify_inclusion, probe["leafIdx"], probe["treeSize"], leaf, proof, tree)
        assert probe["wantErr"] == actual, name
        outcomes.add(actual)
    assert outcomes == {True, False}


def test_every_consistency_probe_is_accepted_or_refused_as_it_says(vectors: Path) -> None:
    outcomes = set()
    for name, probe in probes(vectors, "consistency"):
        proof = [b64decode(sibling) for sibling in probe["proof"] or []]
        old, new = b64decode(probe["root1"]), b64decode(probe["root2"])
        actual = refused(verify_consistency, probe["size1"], probe["size2"], proof, old, new)
        assert probe["wantErr"] == actual, name
        outcomes.add(actual)
    assert outcomes == {True, False}


def test_the_published_leaves_give_the_published_roots_at_every_size(vectors: Path) -> None:
    constants = json.loads((vectors / "merkle" / "rfc6962_constants.json").read_text())
    leaves = [leaf_hash(bytes.fromhex(text)) for text in constants["leaf_inputs_hex"]]
    for size, expected in enumerate(constants["root_hashes_hex_by_size"]):
        assert expected == root(leaves[:size]).hex()
        assert (
            expected == Edge.empty().append(leaves[: size // 2]).append(leaves[size // 2 : size]).root().hex()
        )


@pytest.fixture(scope="module")
def rolling(vectors: Path) -> dict[str, str]:
    constants = json.loads((vectors / "merkle" / "rfc6962_constants.json").read_text())
    value: dict[str, str] = constants["rolling_sha256_trees_up_to_130_leaves"]
    return value


@cache
def node(level: int, i: int) -> bytes:
    return root([leaf_hash(bytes([leaf])) for leaf in range(i << level, (i + 1) << level)])


def shifted(start: int, level: int, i: int) -> bytes:
    return node(level, i + (start >> level))


def subtrees() -> Iterator[tuple[int, int]]:
    for end in range(131):
        for start in range(end + 1):
            width = end - start
            if not start or not width or start % (1 << (width - 1).bit_length()) == 0:
                yield start, end


def test_every_valid_subtree_of_130_leaves_hashes_to_the_published_rolling_digest(
    rolling: dict[str, str],
) -> None:
    digest = hashlib.sha256()
    for start, end in subtrees():
        value = subtree_root(start, end, node) if start < end else EMPTY_ROOT
        digest.update(f"[{start}, {end}) {value.hex()}\n".encode())
    assert rolling["subtree_hash"] == digest.hexdigest()


def test_every_leaf_of_every_valid_subtree_has_the_published_inclusion_proof(rolling: dict[str, str]) -> None:
    digest = hashlib.sha256()
    for start, end in subtrees():
        for index in range(start, end):
            proof = inclusion_proof(index - start, end - start, partial(shifted, start))
            siblings = "".join(" " + sibling.hex() for sibling in proof)
            digest.update(f"{index} [{start}, {end}){siblings}\n".encode())
    assert rolling["subtree_inclusion_proof"] == digest.hexdigest()


def within(start: int, end: int, size: int) -> tuple[int, int, list[bytes]]:
    """The smallest subtree of the tree of `size` leaves that holds [start, end), and the path from it to the root."""
    low, high, above = 0, size, []
    while high - low > 1 and (low, high) != (start, end):
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        if end <= middle:
            above.append(subtree_root(middle, high, node))
            high = middle
        elif middle <= start:
            above.append(subtree_root(low, middle, node))
            low = middle
        else:
            break
    return low, high, above[::-1]


def test_every_valid_subtree_of_every_tree_has_the_published_consistency_proof(
    rolling: dict[str, str],
) -> None:
    digest = hashlib.sha256()
    for size in range(131):
        for start, end in subtrees():
            if end > size:
                break
            proof: list[bytes] = []
            if start < end:
                low, high, above = within(start, end, size)
                assert low == start
                proof = [*consistency_proof(end - start, high - low, partial(shifted, start)), *above]
            siblings = "".join(" " + sibling.hex() for sibling in proof)
            digest.update(f"[{start}, {end}) {size}{siblings}\n".encode())
    assert rolling["subtree_consistency_proof"] == digest.hexdigest()


def covering(start: int, end: int) -> tuple[int, int]:
    """Where the two subtrees begin and meet that cover an interval with the fewest leaves before it."""
    if end - start < 2:
        return start, end
    last = end - 1
    mask = (1 << (start ^ last).bit_length() - 1) - 1
    return start & ~((1 << (~start & mask).bit_length()) - 1), last & ~mask


def test_every_interval_is_covered_by_the_two_published_subtrees(rolling: dict[str, str]) -> None:
    digest = hashlib.sha256()
    leaves = [leaf_hash(bytes([leaf])) for leaf in range(130)]
    for end in range(131):
        for start in range(end + 1):
            first, middle = covering(start, end)
            for low, high in ((first, middle), (middle, end)):
                assert low == high or root(leaves[low:high]) == subtree_root(low, high, node)
            digest.update(f"[{first}, {middle}) [{middle}, {end})\n".encode())
    assert rolling["subtree_covering"] == digest.hexdigest()
