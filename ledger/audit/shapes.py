"""Reads bodies of a shape seen before without parsing them again.

Two bodies that are the same between their strings' quotes, member names included, differ only in what their
strings say. Where the one is canonical, so is the other, as long as its strings are printable ASCII without
quotes and backslashes: those are written as they are (RFC 8785 §3.2.2.2). So a shape is a regular expression with
the strings left open, made from a body that was read in full.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from ledger.audit.entry import CHUNK, envelope, read_body

SHAPES_LIMIT = 256
"""Shapes that are kept; bodies of further ones are read in full each time."""
SHAPED_BYTES = 4096
"""Longer bodies hardly have a second one of their shape."""

_OPEN = rb"([ !#-\[\]-~]*)"
_POST = ("amount", "code", "credit", "debit", "id", "kind", "ledger", "linked", "pending")


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape: where its strings stand, by group.

    `carries` says whether the fold needs such a body at all. `post` are the groups of amount, code, credit, debit,
    id, kind and ledger where that is one transfer, not linked and naming no hold; its text then ends the body.
    """

    match: Callable[[bytes], re.Match[bytes] | None]
    kind: int
    time: int
    carries: bool
    post: tuple[int, ...] | None


class Shapes:
    """The shapes that were seen so far."""

    def __init__(self) -> None:
        self._by_quotes: dict[int, list[Shape]] = {}
        self._count = 0

    def find(self, body: bytes) -> tuple[Shape, re.Match[bytes]] | None:
        """The shape of a body and its strings; None where it has to be read in full."""
        for shape in self._by_quotes.get(body.count(b'"'), ()):
            match = shape.match(body)
            if match is not None:
                return shape, match
        return None

    def learn(self, body: bytes, value: dict[str, Any]) -> None:
        """Keep the shape of a body that `read_body` took for `value`, where it has one."""
        if (
            self._count >= SHAPES_LIMIT
            or len(body) > SHAPED_BYTES
            or not body.isascii()
            or b"\\" in body
            or self.find(body) is not None
        ):
            return
        self._count += 1
        self._by_quotes.setdefault(body.count(b'"'), []).append(_shape(body, value))


def read_fully(body: bytes) -> tuple[dict[str, Any], bool]:
    """A body read in full, and whether the fold needs it; CanonicalError where it is not canonical."""
    value = read_body(body)
    envelope(value)
    return value, value["kind"] == CHUNK or not value.keys().isdisjoint(("accounts", "chunks", "transfers"))


def _shape(body: bytes, value: dict[str, Any]) -> Shape:
    parts = body.split(b'"')
    pattern = [re.escape(part) for part in parts]
    marked = list(parts)
    groups = 0
    for at in range(1, len(parts), 2):
        if not parts[at + 1].startswith(b":"):  # a member name otherwise
            groups += 1
            pattern[at] = _OPEN
            marked[at] = b"%d" % groups
    places = orjson.loads(b'"'.join(marked))
    return Shape(
        re.compile(b'"'.join(pattern)).fullmatch,
        int(places["kind"]),
        int(places["time"]),
        not value.keys().isdisjoint(("accounts", "chunks", "transfers")),
        _post(places),
    )


def _post(places: dict[str, Any]) -> tuple[int, ...] | None:
    transfers = places.get("transfers")
    if (
        type(transfers) is not list
        or len(transfers) != 1
        or type(transfers[0]) is not dict
        or tuple(transfers[0]) != _POST
        or next(reversed(places)) != "transfers"
        or not places.keys().isdisjoint(("accounts", "chunks"))
    ):
        return None
    *texts, linked, pending = transfers[0].values()
    if linked is not False or pending is not None or not all(type(text) is str for text in texts):
        return None
    return tuple(map(int, texts))
