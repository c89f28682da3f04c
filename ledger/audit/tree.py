"""The Merkle tree over the entries read so far."""

from __future__ import annotations

from ledger.merkle import Edge

BATCH = 4096


class Tree:
    """Grows by whole batches, and to the last leaf whenever its root is asked for."""

    def __init__(self) -> None:
        self.size = 0
        self._edge = Edge.empty()
        self._waiting: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        self._waiting.append(leaf)
        self.size += 1

    @property
    def batch_waits(self) -> bool:
        return len(self._waiting) >= BATCH

    def grow(self) -> None:
        self._edge = self._edge.append(self._waiting)
        self._waiting.clear()

    def root(self) -> bytes:
        self.grow()
        return self._edge.root()
