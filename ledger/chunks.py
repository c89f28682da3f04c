"""Bodies too long for one entry: a head that commits to the whole, and chunks of its text right behind.

The head says `{"chunks": {"bytes", "count", "digest"}, "kind", "time"}`, the k-th chunk `{"kind": "chunk", "of":
index of the head, "part": k, "text", "time"}`. The texts together are the body: canonical JSON whose kind and time
are the head's. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

import orjson

from ledger.entries import (
    BODY_LIMIT,
    WHOLE_LIMIT,
    Entry,
    canonical,
    check_whole,
    is_head,
    parse_body,
)
from ledger.errors import CanonicalError, ProofError

CHUNK = "chunk"
"""The kind of the entries that carry a long body's text; no act has it."""

_ROOM = BODY_LIMIT - 256
"""Bytes of escaped text in one chunk: the other members, with the longest numbers, fit beside it."""


def entries_of(
    kind: str, time_us: int, body: bytes, index: int, chance: Callable[[int], bytes]
) -> list[Entry]:
    """What carries a canonical `body` from `index` on: one entry, or a head and its chunks, salted by `chance(32)`.

    CanonicalError for more than 4 MiB and for the reserved kind.
    """
    if kind == CHUNK:
        raise CanonicalError(
            repr(kind),
            field="kind",
            rule="the log's own entries have this kind",
            remedy="name the act otherwise",
        )
    if len(body) <= BODY_LIMIT:
        return [Entry(kind, time_us, chance(32), body)]
    head, *chunks = split(kind, time_us, body, index)
    return [
        Entry(kind, time_us, chance(32), head),
        *(Entry(CHUNK, time_us, chance(32), chunk) for chunk in chunks),
    ]


def split(kind: str, time_us: int, body: bytes, index: int) -> list[bytes]:
    """The bodies of the head at `index` and of the chunks behind it; CanonicalError where `body` is over 4 MiB."""
    if not BODY_LIMIT < len(body) <= WHOLE_LIMIT:
        raise CanonicalError(
            f"{len(body)} bytes",
            field="body",
            rule=f"chunks carry {BODY_LIMIT + 1} to {WHOLE_LIMIT} bytes",
            remedy="keep long content outside and put its SHA-256 in",
        )
    time = str(time_us)
    texts = list(_pieces(body))
    stated = {"bytes": str(len(body)), "count": str(len(texts)), "digest": sha256(body).hexdigest()}
    head = {"chunks": stated, "kind": kind, "time": time}
    return [
        canonical(head),
        *(
            canonical({"kind": CHUNK, "of": str(index), "part": str(part), "text": text, "time": time})
            for part, text in enumerate(texts, 1)
        ),
    ]


def _pieces(body: bytes) -> Iterator[str]:
    """The text in as few pieces as fit, cut as it will stand escaped inside another JSON string."""
    escaped = body.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    start = 0
    while start < len(escaped):
        stop = min(start + _ROOM, len(escaped))
        while stop < len(escaped) and 0x80 <= escaped[stop] < 0xC0:  # inside a character
            stop -= 1
        piece = escaped[start:stop]
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2:  # inside an escape
            piece = piece[:-1]
        yield orjson.loads(b'"%b"' % piece)
        start += len(piece)


def count_behind(body: bytes) -> int:
    """How many chunks belong behind an entry of this body, as it states itself: none behind most."""
    return int(parse_body(body)["chunks"]["count"]) if is_head(body) else 0


def join(bodies: Sequence[bytes], index: int) -> bytes:
    """The body that the head at `index` and the chunks behind it carry, in the order of the log.

    ProofError where a chunk is missing, doubled, moved or another head's, or where they are together something
    else than the head commits to; CanonicalError where one of them has not its one form.
    """
    head = parse_body(bodies[0])
    texts: list[str] = []
    for part, body in enumerate(bodies[1:], 1):
        chunk = parse_body(body)
        text = chunk.get("text")
        expected = {
            "kind": CHUNK,
            "of": str(index),
            "part": str(part),
            "text": text,
            "time": head.get("time"),
        }
        if not isinstance(text, str) or chunk != expected:
            raise _misplaced(f"entry {index + part} is not chunk {part} of entry {index}")
        texts.append(text)
    whole = "".join(texts).encode("utf-8", "surrogatepass")
    check_whole(bodies[0], whole)
    if head["chunks"]["count"] != str(len(texts)):
        raise _misplaced(f"{len(texts)} chunks where entry {index} states {head['chunks']['count']!r}")
    return whole


def _misplaced(detail: str) -> ProofError:
    return ProofError(
        detail,
        field="chunks",
        rule="the chunks follow their head, all of them, in order",
        remedy="take the entries as they were logged",
    )
