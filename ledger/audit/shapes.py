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
from ledger.postings import NAME_LIMIT

SHAPES_LIMIT = 256
"""Shapes that are kept; bodies of further ones are read in full each time."""
SHAPED_BYTES = 4096
"""Longer bodies hardly have a second one of their shape."""

_OPEN = rb"[ !#-\[\]-~]*+"
_KIND = rb"([a-z0-9._-]{1,64})"
_TIME = rb"(0|[1-9][0-9]{0,18})"
_NAME = rb"[ !#-\[\]-~]{1,%d}+" % NAME_LIMIT
_TRANSFERS = b'"transfers":['
_POST = (
    rb'"transfers":\[(\{"amount":"([1-9][0-9]{0,18})","code":"%b","credit":"(%b)","debit":"(%b)","id":"(%b)",'
    rb'"kind":"post","ledger":"(%b)","linked":false,"pending":null\})\]\}'
) % ((_NAME,) * 5)
_ends_posting = re.compile(_POST).fullmatch


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape: its regular expression, as a matcher of one body and as a finder in lines of bodies.

    The groups are kind and time of the body and, where `post`, the text of its one transfer, which is a `post`,
    not linked, and that one's amount, credit, debit, id and ledger. Where not, the fold needs no such body.
    """

    match: Callable[[bytes], re.Match[bytes] | None]
    find_lines: Callable[[bytes], list[tuple[bytes, ...]]]
    post: bool


class Shapes:
    """The shapes that were seen so far."""

    def __init__(self) -> None:
        self._by_quotes: dict[int, list[Shape]] = {}
        self._count = 0

    def find(self, body: bytes) -> tuple[Shape, tuple[bytes, ...]] | None:
        """The shape of a body and its groups; None where it has to be read in full."""
        for shape in self._by_quotes.get(body.count(b'"'), ()):
            match = shape.match(body)
            if match is not None:
                return shape, match.groups()
        return None

    def learn(self, body: bytes, value: dict[str, Any]) -> None:
        """Keep the shape of a body that `read_fully` took for `value`, where it has one."""
        post = _is_post(body, value)
        if (
            self._count >= SHAPES_LIMIT
            or (needed(value) and not post)
            or len(body) > SHAPED_BYTES
            or not body.isascii()
            or b"\\" in body
            or self.find(body) is not None
        ):
            return
        self._count += 1
        self._by_quotes.setdefault(body.count(b'"'), []).append(_shape(body, post))


def read_fully(body: bytes) -> tuple[dict[str, Any], bool]:
    """A body read in full, and whether the fold needs it; CanonicalError where it is not canonical."""
    value = read_body(body)
    envelope(value)
    return value, needed(value)


def needed(value: dict[str, Any]) -> bool:
    """Whether the fold needs a body."""
    return value["kind"] == CHUNK or not value.keys().isdisjoint(("accounts", "chunks", "transfers"))


def _is_post(body: bytes, value: dict[str, Any]) -> bool:
    """Whether a body moves money by one plain transfer, and ends with it."""
    return (
        next(reversed(value)) == "transfers"
        and value.keys().isdisjoint(("accounts", "chunks"))
        and _ends_posting(body, body.rfind(_TRANSFERS)) is not None
    )


def _shape(body: bytes, post: bool) -> Shape:
    head = body[: body.rindex(_TRANSFERS)] if post else body
    parts = head.split(b'"')
    pattern = [re.escape(part) for part in parts]
    marked = list(parts)
    for at in range(1, len(parts), 2):
        if not parts[at + 1].startswith(b":"):  # a member name otherwise
            pattern[at] = _OPEN
            marked[at] = b"%d" % at
    tail = b'"transfers":[]}' if post else b""
    places = orjson.loads(b'"'.join(marked) + tail)
    pattern[int(places["kind"])] = _KIND
    pattern[int(places["time"])] = _TIME
    text = b'"'.join(pattern) + (_POST if post else b"")
    return Shape(re.compile(text).fullmatch, re.compile(b"^" + text + b"\n", re.MULTILINE).findall, post)
