"""What a bundle discloses, for whoever goes on from a verdict: its bodies put together, and its openings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import orjson

from ledger.audit.entry import CHUNK, Assembly
from ledger.audit.reading import Bundle


def bodies(path: str | os.PathLike[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Index and parsed body of every disclosed entry, in order; a large body stands at the index of its head.

    One of which a part is withheld is left out. Judge the bundle first: here its members are taken at their word.
    """
    assembly: Assembly | None = None
    with Bundle(path) as bundle:
        for number in bundle.segments:
            first, _ = bundle.bounds(number)
            for index, line in enumerate(bundle.part(number, "bodies.jsonl").split(b"\n")[:-1], first):
                if not line:
                    assembly = None
                    continue
                body = orjson.loads(line)
                if "chunks" in body:
                    assembly = Assembly(index, body)
                elif body["kind"] == CHUNK:
                    if assembly is None:
                        continue
                    assembly.add(index, body)
                    if assembly.complete:
                        yield assembly.index, assembly.whole()
                        assembly = None
                else:
                    yield index, body


def openings(path: str | os.PathLike[str]) -> dict[str, str]:
    """What each commitment hides, where it was not erased."""
    with Bundle(path) as bundle:
        return {
            str(line["commitment"]): str(line["value"])
            for _, line in bundle.table("openings.jsonl")
            if line["value"] is not None
        }
