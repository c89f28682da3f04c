"""One leaf and its new root at a time on a log of 100,000: ours against pymerkle's, the same entries on each side.

Ours is what the log does: hash the leaf, grow the edge, give its root and the bytes of the edge to store. The
ratio is to pymerkle's stored tree; `inmemory` is the one to its tree of objects, which hashes the whole path of a
leaf and stands in no log. All three roots are compared after each repetition.
"""

from __future__ import annotations

import statistics

from _pymerkle import BEFORE, REPETITIONS, entry, filled, seconds  # type: ignore[import-not-found]  # beside this
from _ratio import report, say  # type: ignore[import-not-found]  # script, which runs by its path

from ledger.merkle import Edge, leaf_hash

LEAVES = 1_000


def main() -> None:
    stored, held = filled()
    edge = Edge.empty().append([leaf_hash(entry(index)) for index in range(BEFORE)])
    assert edge.root() == stored.get_root(), "the trees differ"  # and the stored one has its cache
    more = [entry(BEFORE + n) for n in range(REPETITIONS * LEAVES)]
    written = b""

    def ours(index: int) -> bytes:
        nonlocal edge, written
        edge = edge.append((leaf_hash(more[index - BEFORE]),))
        written = edge.to_bytes()
        return edge.root()

    def theirs_stored(index: int) -> bytes:
        stored.append_entry(more[index - BEFORE])
        root: bytes = stored.get_root()
        return root

    def theirs_held(index: int) -> bytes:
        held.append_entry(more[index - BEFORE])
        root: bytes = held.get_root()
        return root

    ratios: list[float] = []
    inmemory: list[float] = []
    for repetition in range(REPETITIONS):
        first = BEFORE + repetition * LEAVES
        indices = list(range(first, first + LEAVES))
        stored_s, stored_roots = seconds(theirs_stored, indices)
        ours_s, roots = seconds(ours, indices)
        held_s, held_roots = seconds(theirs_held, indices)
        assert roots == stored_roots == held_roots, "the trees differ"
        assert Edge.from_bytes(edge.size, written) == edge, "the edge was not stored as it is"
        ratios.append(stored_s / ours_s)
        inmemory.append(held_s / ours_s)
        say(
            f"{stored_s / LEAVES * 1e6:.1f} | {held_s / LEAVES * 1e6:.1f} | ours {ours_s / LEAVES * 1e6:.1f} us"
        )
    report(
        "merkle_append",
        ratios,
        better="higher",
        against="pymerkle 7 SqliteTree in memory: append_entry, get_root",
        inmemory=round(statistics.median(inmemory), 3),
        leaves_before=BEFORE,
    )


main()
