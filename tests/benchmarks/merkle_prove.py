"""One inclusion proof at a random index of a log of 100,000: ours from tiles in memory, against pymerkle's.

Each side answers the same indices once before, so that what it keeps is there: ours the subtrees of its tiles,
theirs its cache. The ratio is to pymerkle's stored tree; `inmemory` is the one to its tree of objects, and `cold`
the one of the first answers. Proofs are compared, and each is verified, after the clock stopped.
"""

from __future__ import annotations

import random
import statistics
from typing import Any

from _pymerkle import BEFORE, REPETITIONS, entry, filled, seconds  # type: ignore[import-not-found]  # beside this
from _ratio import report, say  # type: ignore[import-not-found]  # script, which runs by its path
from pymerkle import verify_inclusion as verify_theirs

from ledger.merkle import Edge, inclusion_proof, leaf_hash, verify_inclusion
from ledger.tiles import TILE, node_reader, tile_root

PROOFS = 1_000
SEED = 9162


def tiles(leaves: list[bytes]) -> list[list[bytes]]:
    """All tiles of a tree, level by level."""
    levels: list[list[bytes]] = []
    hashes = leaves
    while hashes:
        level = [b"".join(hashes[at : at + TILE]) for at in range(0, len(hashes), TILE)]
        levels.append(level)
        hashes = [tile_root(tile) for tile in level[: len(hashes) // TILE]]
    return levels


def main() -> None:
    stored, held = filled()
    leaves = [leaf_hash(entry(index)) for index in range(BEFORE)]
    shelf = tiles(leaves)
    root = Edge.empty().append(leaves).root()
    node = node_reader(lambda level, n, _: shelf[level][n], BEFORE)
    indices = random.Random(SEED).sample(range(BEFORE), PROOFS)

    def ours(index: int) -> list[bytes]:
        return inclusion_proof(index, BEFORE, node)

    def theirs_stored(index: int) -> Any:
        return stored.prove_inclusion(index + 1)

    def theirs_held(index: int) -> Any:
        return held.prove_inclusion(index + 1)

    cold = seconds(theirs_stored, indices)[0] / seconds(ours, indices)[0]
    seconds(theirs_held, indices)
    ratios: list[float] = []
    inmemory: list[float] = []
    for _ in range(REPETITIONS):
        stored_s, stored_proofs = seconds(theirs_stored, indices)
        ours_s, proofs = seconds(ours, indices)
        held_s, held_proofs = seconds(theirs_held, indices)
        ratios.append(stored_s / ours_s)
        inmemory.append(held_s / ours_s)
        say(
            f"{stored_s / PROOFS * 1e6:.1f} | {held_s / PROOFS * 1e6:.1f} | ours {ours_s / PROOFS * 1e6:.1f} us"
        )
        for index, proof, *others in zip(indices, proofs, stored_proofs, held_proofs, strict=True):
            verify_inclusion(index, BEFORE, leaves[index], proof, root)
            for other in others:
                verify_theirs(leaves[index], root, other)
                assert other.path[1:] == proof, "the proofs differ"
    report(
        "merkle_prove",
        ratios,
        better="higher",
        against="pymerkle 7 SqliteTree in memory: prove_inclusion",
        inmemory=round(statistics.median(inmemory), 3),
        cold=round(cold, 3),
        leaves=BEFORE,
    )


main()
