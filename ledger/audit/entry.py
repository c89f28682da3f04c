"""The judge's own reader of leaves and bodies, so that no slip of the writer is repeated here.

A body is RFC 8785 JSON without numbers, in NFC, at most 32 levels deep; its leaf is public and says kind, time
and SHA-256(salt ‖ body). A body of more than 65,535 bytes lies in the log as a head that commits to the whole,
and in chunks behind it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple
from unicodedata import is_normalized

import orjson
import rfc8785

from ledger.errors import CanonicalError

BODY_LIMIT = 65_535
WHOLE_LIMIT = 4 << 20
DEPTH_LIMIT = 32
KIND_LIMIT = 64
TIME_LIMIT_US = 2**63 - 1

KIND = re.compile(r"[a-z][a-z0-9]*(?:[._-][a-z0-9]+)*")
DECIMAL = re.compile("0|[1-9][0-9]{0,18}")
HEX_256 = re.compile("[0-9a-f]{64}")
CHUNK = "chunk"
"""The kind of the entries that carry a large body's text."""

_LEAF = re.compile(rb'\{"digest":"([0-9a-f]{64})","kind":"([^"\\]{1,64})","time":"([0-9]{1,19})"\}')


class Leaf(NamedTuple):
    """What the public sees of an entry."""

    kind: str
    time_us: int
    digest: str


def read_leaf(line: bytes) -> Leaf:
    """A leaf; CanonicalError for anything but its one spelling."""
    match = _LEAF.fullmatch(line)
    kind, time = ("", "") if match is None else (match[2].decode("utf-8", "replace"), match[3].decode())
    if match is None or not is_kind(kind) or not is_time(time):
        raise refused("leaf", f"{line[:120]!r}", 'canonical {"digest", "kind", "time"}')
    return Leaf(kind, int(time), match[1].decode())


def is_kind(text: object) -> bool:
    """Whether this names a kind of entry."""
    return isinstance(text, str) and len(text) <= KIND_LIMIT and KIND.fullmatch(text) is not None


def is_time(text: object) -> bool:
    """Whether this is a time: microseconds since 1970 in decimal."""
    return isinstance(text, str) and DECIMAL.fullmatch(text) is not None and int(text) <= TIME_LIMIT_US


def read_body(text: bytes, limit: int = BODY_LIMIT) -> dict[str, Any]:
    """A body parsed; CanonicalError for anything but the one canonical form of an object."""
    if len(text) > limit:
        raise refused("body", f"{len(text)} bytes", f"at most {limit} bytes")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise refused("body", f"not JSON: {error}", "a body is JSON (RFC 8785)") from error
    if not isinstance(value, dict):
        raise refused("body", "not an object", "a body is a JSON object")
    simple_names = _walk(value, "$", DEPTH_LIMIT)
    try:
        same = (
            orjson.dumps(value, option=orjson.OPT_SORT_KEYS) if simple_names else rfc8785.dumps(value)
        ) == text
    except (TypeError, UnicodeError, rfc8785.CanonicalizationError) as error:
        raise refused(
            "body", "text that is not Unicode", "strings are Unicode (RFC 8785 §3.2.2.2)"
        ) from error
    if not same:
        raise refused(
            "body", "not in canonical form", "members sorted, no spaces, no doubled names (RFC 8785)"
        )
    return value


def envelope(body: Mapping[str, Any]) -> tuple[str, int]:
    """Kind and time that a body states; CanonicalError where either is missing or misspelt."""
    kind, time = body.get("kind"), body.get("time")
    if not is_kind(kind):
        raise refused("kind", f"{kind!r}", "a body names its kind")
    if not is_time(time):
        raise refused("time", f"{time!r}", "microseconds since 1970 in decimal, as a string")
    return str(kind), int(str(time))


def commitment(salt: bytes, value: str) -> str:
    """Hex SHA-256(salt ‖ value), the value in NFC; CanonicalError where it is not."""
    try:
        if not is_normalized("NFC", value):
            raise refused("value", "text that is not NFC", "text is NFC (Unicode Annex 15)")
        return sha256(salt + value.encode()).hexdigest()
    except UnicodeEncodeError as error:
        raise refused("value", "text that is not Unicode", "strings are Unicode") from error


class Assembly:
    """A large body being put together from its head and the chunks behind it."""

    def __init__(self, index: int, head: Mapping[str, Any]) -> None:
        """`head` is the parsed body of entry `index`; CanonicalError where its `chunks` cannot be meant."""
        chunks = head.get("chunks")
        if set(head) != {"chunks", "kind", "time"} or not isinstance(chunks, dict):
            raise refused("chunks", "a head with other members", "a head has chunks, kind and time alone")
        size, count, digest = (str(chunks.get(name)) for name in ("bytes", "count", "digest"))
        if (
            chunks != {"bytes": size, "count": count, "digest": digest}
            or not DECIMAL.fullmatch(size)
            or not DECIMAL.fullmatch(count)
            or not HEX_256.fullmatch(digest)
        ):
            raise refused("chunks", f"{chunks!r}"[:200], "bytes, count and digest of the whole")
        if not BODY_LIMIT < int(size) <= WHOLE_LIMIT or int(count) < 2:
            raise refused(
                "chunks", f"{size} bytes in {count}", f"{BODY_LIMIT + 1} to {WHOLE_LIMIT} bytes in 2 or more"
            )
        self.index = index
        self.envelope = envelope(head)
        self._size, self._count, self._digest = int(size), int(count), digest
        self._texts: list[str] = []

    @property
    def complete(self) -> bool:
        """Whether every chunk is here."""
        return len(self._texts) == self._count

    @property
    def next(self) -> int:
        """The index that the next chunk must have."""
        return self.index + len(self._texts) + 1

    @property
    def text(self) -> str:
        """What the chunks so far say together."""
        return "".join(self._texts)

    def add(self, index: int, body: Mapping[str, Any]) -> None:
        """Take entry `index` as the next chunk; CanonicalError where it is another one."""
        text, part = body.get("text"), len(self._texts) + 1
        expected = {
            "kind": CHUNK,
            "of": str(self.index),
            "part": str(part),
            "text": text,
            "time": str(self.envelope[1]),
        }
        if not isinstance(text, str) or body != expected or index != self.index + part:
            raise refused(
                "chunks",
                f"entry {index} is not chunk {part} of entry {self.index}",
                "the chunks follow their head, all of them, in order",
            )
        self._texts.append(text)

    def whole(self) -> dict[str, Any]:
        """The body; CanonicalError where it is not what the head committed to."""
        text = self.text.encode("utf-8", "surrogatepass")
        if len(text) != self._size or sha256(text).hexdigest() != self._digest:
            raise refused(
                "chunks", f"{len(text)} bytes of another digest", "the chunks together have the head's digest"
            )
        body = read_body(text, WHOLE_LIMIT)
        if envelope(body) != self.envelope:
            raise refused("chunks", "another kind or time", "head and whole name the same kind and time")
        return body


def refused(field: str, detail: str, rule: str) -> CanonicalError:
    """What is not as the log writes it."""
    return CanonicalError(detail, field=field, rule=rule, remedy="take it as it was logged")


def _walk(value: object, path: str, depth: int) -> bool:
    """Raise for what has no place in a body; True where no member name lies beyond the Basic Multilingual Plane."""
    if not depth and isinstance(value, (dict, list)):
        raise refused(path, "too deep", f"at most {DEPTH_LIMIT} levels")
    simple = True
    if isinstance(value, dict):
        for name, member in value.items():
            _text(name, path)
            simple &= name.isascii() or max(name) < "\ud800"
            simple &= _walk(member, f"{path}.{name}", depth - 1)
    elif isinstance(value, list):
        for position, member in enumerate(value):
            simple &= _walk(member, f"{path}[{position}]", depth - 1)
    elif isinstance(value, str):
        _text(value, path)
    elif value is not None and not isinstance(value, bool):
        raise refused(path, f"the number {value!r}", "numbers are written as strings")
    return simple


def _text(text: str, path: str) -> None:
    if not text.isascii() and not is_normalized("NFC", text):
        raise refused(path, "text that is not NFC", "text is NFC (Unicode Annex 15)")
