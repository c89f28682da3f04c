"""What goes into the log: canonical bodies, public leaves that only commit to them, and receipts.

A *body* is an RFC 8785 JSON object without numbers. Its *leaf* is public and says kind, time and
SHA-256(salt ‖ body); the salt is 256 fresh random bits, so nobody can guess a body from its leaf. A body too
long for one entry lies in several, see `ledger.chunks`.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple
from unicodedata import is_normalized

import orjson
import rfc8785

from ledger.checkpoint import Checkpoint, Verifier, open_note
from ledger.errors import CanonicalError, ProofError
from ledger.merkle import leaf_hash, verify_inclusion

BODY_LIMIT = 65_535
"""Bytes that one entry carries. (A leaf stays far below the 65,535 bytes of a C2SP entry: kind, time and digest are bounded.)"""
WHOLE_LIMIT = 4 << 20
"""Bytes of a body that several entries carry together."""
DEPTH_LIMIT = 32
SALT_BYTES = 32
TIME_LIMIT_US = 2**63 - 1
KIND = re.compile(r"[a-z][a-z0-9]*(?:[._-][a-z0-9]+)*")
KIND_LIMIT = 64

_LEAF = re.compile(
    rb'\{"digest":"([0-9a-f]{64})","kind":"([a-z][a-z0-9]*(?:[._-][a-z0-9]+)*)","time":"(0|[1-9][0-9]{0,18})"\}'
)


def canonical(value: object) -> bytes:
    """The one serialisation of a value (RFC 8785), for hashing and signing.

    Takes objects, arrays, strings, booleans and null. CanonicalError names the member for: any number (they
    are written as strings), a string that is not NFC or not Unicode, more than 32 levels, over 4 MiB.
    """
    try:
        # RFC 8785 sorts member names by UTF-16 unit, orjson by code point: the same below U+D800, so
        # only names that are not ASCII take the slow way.
        if _check(value, "$", DEPTH_LIMIT):
            text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        else:
            text = rfc8785.dumps(value)  # type: ignore[arg-type]
    except (TypeError, UnicodeError, rfc8785.CanonicalizationError) as error:
        raise _not_canonical(
            "$", "text that is not Unicode", "strings are Unicode (RFC 8785 §3.2.2.2)"
        ) from error
    if len(text) > WHOLE_LIMIT:
        raise _too_long("$", text, WHOLE_LIMIT)
    return text


def _check(value: object, path: str, depth: int) -> bool:
    """Raise for what has no canonical form; True where all member names are ASCII."""
    if not depth:
        raise _not_canonical(path, "too deep", f"at most {DEPTH_LIMIT} levels")
    ascii_names = True
    if isinstance(value, dict):
        for name, member in value.items():
            if type(name) is not str:
                raise _not_canonical(
                    path, f"a member name of type {type(name).__name__}", "member names are strings"
                )
            if not name.isascii():
                ascii_names = False
                _check_text(name, path)
            if type(member) is str:  # the common case, without a call
                if not member.isascii():
                    _check_text(member, f"{path}.{name}")
            elif member is None or member is True or member is False:
                continue
            elif not _check(member, f"{path}.{name}", depth - 1):
                ascii_names = False
    elif isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, (list, tuple)):
        for position, member in enumerate(value):
            if not _check(member, f"{path}[{position}]", depth - 1):
                ascii_names = False
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        raise _not_canonical(path, f"the number {value!r}", "numbers are written as strings")
    elif value is not None and not isinstance(value, bool):
        raise _not_canonical(
            path, f"a value of type {type(value).__name__}", "objects, arrays, strings, booleans and null"
        )
    return ascii_names


def _check_text(text: str, path: str) -> None:
    if not text.isascii() and not is_normalized("NFC", text):
        raise _not_canonical(path, "text that is not NFC", "text is NFC (Unicode Annex 15)")


def _not_canonical(path: str, detail: str, rule: str) -> CanonicalError:
    return CanonicalError(detail, field=path, rule=rule, remedy="send the value in that form")


def _too_long(field: str, text: bytes, limit: int) -> CanonicalError:
    return CanonicalError(
        f"{len(text)} bytes",
        field=field,
        rule=f"at most {limit} bytes",
        remedy="keep long content outside and put its SHA-256 in",
    )


def parse_body(body: bytes, limit: int = BODY_LIMIT) -> dict[str, Any]:
    """Read a body, refusing (CanonicalError) whatever is not the canonical form of an object, or over `limit` bytes.

    Two readers of the same bytes therefore see the same members: no doubled names, no second spelling.
    """
    if len(body) > limit:
        raise _too_long("body", body, limit)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise CanonicalError(
            f"not JSON: {error}",
            field="body",
            rule="a body is JSON (RFC 8785)",
            remedy="take the body as it was logged",
        ) from error
    if not isinstance(value, dict):
        raise CanonicalError(
            "not an object",
            field="body",
            rule="a body is a JSON object",
            remedy="take the body as it was logged",
        )
    if canonical(value) != body:
        raise CanonicalError(
            "not in canonical form",
            field="body",
            rule="members sorted, no spaces, no doubled names (RFC 8785)",
            remedy="take the body as it was logged",
        )
    return value


class Leaf(NamedTuple):
    """What the public sees of an entry."""

    kind: str
    time_us: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One act as the log keeps it; CanonicalError where kind, time, salt or body are outside their bounds."""

    kind: str
    time_us: int
    salt: bytes
    body: bytes

    def __post_init__(self) -> None:
        if len(self.kind) > KIND_LIMIT or not KIND.fullmatch(self.kind):
            raise CanonicalError(
                f"{self.kind[:KIND_LIMIT]!r}",
                field="kind",
                rule=f"lower-case words joined by '.', '_' or '-', at most {KIND_LIMIT} characters",
                remedy="name the act like room.act",
            )
        if not 0 <= self.time_us <= TIME_LIMIT_US:
            raise CanonicalError(
                f"{self.time_us}",
                field="time_us",
                rule="microseconds since 1970, from 0 to 2**63-1",
                remedy="pass the market's clock",
            )
        if len(self.salt) != SALT_BYTES:
            raise CanonicalError(
                f"{len(self.salt)} bytes",
                field="salt",
                rule="a salt has 32 bytes",
                remedy="draw 32 fresh bytes from the system's random source",
            )
        if len(self.body) > BODY_LIMIT:
            raise _too_long("body", self.body, BODY_LIMIT)

    @classmethod
    def of(cls, body: Mapping[str, Any], salt: bytes) -> Entry:
        """The entry of a body, whose own `kind` and `time` become the leaf's, so the two cannot disagree."""
        kind, time_us = envelope(body)
        return cls(kind, time_us, salt, canonical(dict(body)))

    @property
    def digest(self) -> bytes:
        """SHA-256(salt ‖ body)."""
        return sha256(self.salt + self.body).digest()

    @property
    def leaf(self) -> bytes:
        """The public leaf: canonical {"digest", "kind", "time"}."""
        digest = sha256(self.salt + self.body).hexdigest()
        return f'{{"digest":"{digest}","kind":"{self.kind}","time":"{self.time_us}"}}'.encode("ascii")


def envelope(body: Mapping[str, Any]) -> tuple[str, int]:
    """Kind and time of a body; CanonicalError where either is missing or misspelt."""
    kind, time = body.get("kind"), body.get("time")
    if not isinstance(kind, str) or len(kind) > KIND_LIMIT or not KIND.fullmatch(kind):
        raise CanonicalError(
            f"{kind!r}", field="kind", rule="a body names its kind", remedy="name the act like room.act"
        )
    if not isinstance(time, str) or not re.fullmatch("0|[1-9][0-9]{0,18}", time):
        raise CanonicalError(
            f"{time!r}",
            field="time",
            rule="microseconds since 1970 in decimal, as a string",
            remedy="write str(time_us)",
        )
    return kind, int(time)


def parse_leaf(leaf: bytes) -> Leaf:
    """Read a leaf; CanonicalError for anything but the exact bytes that `Entry.leaf` can give."""
    match = _LEAF.fullmatch(leaf)
    if match is None or len(match[2]) > KIND_LIMIT or int(match[3]) > TIME_LIMIT_US:
        raise CanonicalError(
            f"{leaf[:120]!r}",
            field="leaf",
            rule='canonical {"digest", "kind", "time"}',
            remedy="take the leaf as the log serves it",
        )
    return Leaf(match[2].decode("ascii"), int(match[3]), bytes.fromhex(match[1].decode("ascii")))


def commitment(salt: bytes, value: str) -> str:
    """Hex SHA-256(salt ‖ value in UTF-8): binds to a text, and shows nothing of it while the salt is secret.

    The value must be NFC, so that what is opened later is the same bytes.
    """
    if len(salt) != SALT_BYTES:
        raise CanonicalError(
            f"{len(salt)} bytes",
            field="salt",
            rule="a salt has 32 bytes",
            remedy="draw 32 fresh bytes from the system's random source",
        )
    _check_text(value, "value")
    try:
        return sha256(salt + value.encode()).hexdigest()
    except UnicodeEncodeError as error:
        raise _not_canonical("value", "text that is not Unicode", "strings are Unicode") from error


def check_opening(leaf: Leaf, salt: bytes, body: bytes) -> dict[str, Any]:
    """Check that a leaf is the leaf of this salt and body, and give the body parsed. ProofError, CanonicalError."""
    if sha256(salt + body).digest() != leaf.digest:
        raise ProofError(
            "salt and body hash to another digest than the leaf's",
            field="body",
            rule="leaf digest = SHA-256(salt ‖ body)",
            remedy="take salt and body as they were logged",
        )
    parsed = parse_body(body)
    if envelope(parsed) != (leaf.kind, leaf.time_us):
        raise ProofError(
            f"the leaf says {leaf.kind} at {leaf.time_us}, the body {parsed['kind']} at {parsed['time']}",
            field="body",
            rule="leaf and body name the same kind and time",
            remedy="do not trust this entry: whoever wrote it misstated it",
        )
    return parsed


def is_head(body: bytes) -> bool:
    """Whether this body only commits to a longer one, whose text the chunks behind its entry carry.

    Bodies are canonical, so that the first member's name decides; no other body has a member `chunks`.
    """
    return body.startswith(b'{"chunks":')


def check_whole(head: bytes, whole: bytes) -> dict[str, Any]:
    """Check that `whole` is the body that a head commits to, and give it parsed. ProofError, CanonicalError."""
    said = parse_body(head)
    chunks = said.get("chunks")
    kind, time_us = envelope(said)
    if not isinstance(chunks, dict) or set(said) != {"chunks", "kind", "time"}:
        raise _not_whole("an entry that heads no chunks", "a head has chunks, kind and time alone")
    if set(chunks) != {"bytes", "count", "digest"}:
        raise _not_whole("a head with other chunks", "a head states bytes, count and digest of the whole")
    if chunks["bytes"] != str(len(whole)) or chunks["digest"] != sha256(whole).hexdigest():
        raise _not_whole("the text is another", "the whole has the bytes and the digest that its head states")
    if len(whole) <= BODY_LIMIT:
        raise _not_whole(f"{len(whole)} bytes", f"chunks carry more than the {BODY_LIMIT} bytes of one entry")
    parsed = parse_body(whole, WHOLE_LIMIT)
    if envelope(parsed) != (kind, time_us):
        raise _not_whole("another kind or time", "head and whole name the same kind and time")
    return parsed


def _not_whole(detail: str, rule: str) -> ProofError:
    return ProofError(detail, field="whole", rule=rule, remedy="take head and whole as they were logged")


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that an act is in the log: what was logged, where, and the signed checkpoint that covers it.

    `whole` is there where the entry is a head: the body that its chunks carry.
    """

    index: int
    size: int
    leaf: bytes
    salt: bytes
    body: bytes
    proof: tuple[bytes, ...]
    checkpoint: str
    whole: bytes | None = None

    @property
    def text(self) -> bytes:
        """The body of the act, however many entries carry it."""
        return self.body if self.whole is None else self.whole

    def said(self) -> dict[str, Any]:
        """That body parsed. CanonicalError where it has not its one form."""
        return parse_body(self.text, WHOLE_LIMIT)


def receipt_to_json(receipt: Receipt) -> dict[str, Any]:
    """The receipt as a JSON object: index as string, leaf and proof in base64, salt in hex, body and note as text.

    A member `whole` only where there is one.
    """
    whole = {} if receipt.whole is None else {"whole": receipt.whole.decode()}
    return {
        "index": str(receipt.index),
        "leaf": b64encode(receipt.leaf).decode("ascii"),
        "salt": receipt.salt.hex(),
        "body": receipt.body.decode(),
        "proof": [b64encode(sibling).decode("ascii") for sibling in receipt.proof],
        "checkpoint": receipt.checkpoint,
        **whole,
    }


def receipt_from_json(value: Mapping[str, Any]) -> Receipt:
    """Read a receipt; the size is the checkpoint's own. ProofError names the member that cannot be read."""
    index = _text(value, "index")
    if not re.fullmatch("0|[1-9][0-9]{0,18}", index):
        raise _misread("index", "a decimal number as a string")
    proof = value.get("proof")
    if not isinstance(proof, list):
        raise _misread("proof", "an array of base64 strings")
    note = _text(value, "checkpoint")
    body = note.partition("\n\n")[0] + "\n"
    try:
        salt = bytes.fromhex(_text(value, "salt"))
    except ValueError as error:
        raise _misread("salt", "hexadecimal") from error
    return Receipt(
        index=int(index),
        size=Checkpoint.parse(body).size,
        leaf=_unbase64(_text(value, "leaf"), "leaf"),
        salt=salt,
        body=_text(value, "body").encode("utf-8", "surrogatepass"),
        proof=tuple(_unbase64(sibling, "proof") for sibling in proof),
        checkpoint=note,
        whole=_text(value, "whole").encode("utf-8", "surrogatepass") if "whole" in value else None,
    )


def verify_receipt(receipt: Receipt, verifiers: Sequence[Verifier]) -> Checkpoint:
    """Check a receipt whole and give the checkpoint it stands under.

    Holds: one of `verifiers` signed the checkpoint, the leaf is at `index` in it, and the leaf commits to
    salt and body and says the body's kind and time; where the body is a head, `whole` is what it commits to.
    NoteError, CanonicalError or ProofError otherwise.
    """
    checkpoint = open_note(receipt.checkpoint, verifiers).checkpoint
    if checkpoint.size != receipt.size:
        raise ProofError(
            f"size {receipt.size} under a checkpoint of {checkpoint.size}",
            field="size",
            rule="the receipt's size is its checkpoint's",
            remedy="ask the log for the receipt again",
        )
    verify_inclusion(receipt.index, receipt.size, leaf_hash(receipt.leaf), receipt.proof, checkpoint.root)
    check_opening(parse_leaf(receipt.leaf), receipt.salt, receipt.body)
    if is_head(receipt.body) != (receipt.whole is not None):
        raise _not_whole(
            "missing" if receipt.whole is None else "not asked for",
            "a whole stands beside a head, and only there",
        )
    if receipt.whole is not None:
        check_whole(receipt.body, receipt.whole)
    return checkpoint


def _text(value: Mapping[str, Any], name: str) -> str:
    text = value.get(name)
    if not isinstance(text, str):
        raise _misread(name, "a string")
    return text


def _unbase64(text: object, name: str) -> bytes:
    if not isinstance(text, str):
        raise _misread(name, "base64")
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _misread(name, "base64") from error


def _misread(name: str, rule: str) -> ProofError:
    return ProofError(
        "cannot be read",
        field=name,
        rule=f"a receipt's {name} is {rule}",
        remedy="keep the receipt as it was answered",
    )
