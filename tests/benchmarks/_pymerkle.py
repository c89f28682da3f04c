"""The two trees of pymerkle, filled alike, and how fast they answer beside ours: what both Merkle benchmarks share.

`SqliteTree` is the one that keeps a log, here in a database in memory, so that no disk is measured. `InmemoryTree`
keeps every inner node as an object; its documentation gives it for debugging and tests, and it is the quicker one.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

from pymerkle import InmemoryTree, SqliteTree

BEFORE = 100_000
"""Leaves in the log before anything is measured."""

REPETITIONS = 7

T = TypeVar("T")


def entry(index: int) -> bytes:
    """The entry at an index: as many bytes as a public leaf has."""
    return b'{"digest":"%064x","kind":"bid","time":"1700000000000000"}' % index


def filled() -> tuple[SqliteTree, InmemoryTree]:
    """Both trees with the entries before, out of the collector's sight."""
    entries = [entry(index) for index in range(BEFORE)]
    stored, held = SqliteTree(":memory:"), InmemoryTree()
    stored.append_entries(entries)
    held.append_entries(entries)
    gc.collect()
    gc.freeze()
    return stored, held


def seconds(work: Callable[[int], T], indices: list[int]) -> tuple[float, list[T]]:
    """How long `work` takes over all indices, and its answers."""
    begun = perf_counter()
    answers = [work(index) for index in indices]
    return perf_counter() - begun, answers
