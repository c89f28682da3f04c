"""Checkpoints as C2SP signed notes: what the log states about its size and root, and who signed it.

Formats: c2sp.org/signed-note, c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature (Ed25519, `cosignature/v1`).
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.errors import NoteError

SIZE_LIMIT = 2**63 - 1
NOTE_LIMIT = 1 << 16
SIGNATURES_LIMIT = 100
_ED25519 = 0x01
_COSIGNATURE_V1 = 0x04
_DECIMAL = re.compile("0|[1-9][0-9]{0,18}")
_PLAIN = re.compile("[^\x00-\x1f\ud800-\udfff]+")  # what UTF-8 can carry, without ASCII control characters
_SIGNATURE_LINE = re.compile("\u2014 ([^ ]+) ([A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: whose log, how many leaves, which root; NoteError where a line would not survive the format."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.size <= SIZE_LIMIT:
            raise _misread("size", f"{self.size}", "from 0 to 2**63-1")
        if len(self.root) != 32:
            raise _misread("root", f"{len(self.root)} bytes", "a root has 32 bytes (SHA-256)")
        for name, line in (("origin", self.origin), *(("extensions", line) for line in self.extensions)):
            if not _PLAIN.fullmatch(line):
                raise _misread(name, f"{line!r}", "a non-empty line without control characters")

    def body(self) -> str:
        """The note text: origin, size, base64 root and any extension lines, each ended by a newline."""
        root = b64encode(self.root).decode("ascii")
        return "\n".join((self.origin, str(self.size), root, *self.extensions)) + "\n"

    @classmethod
    def parse(cls, body: str) -> Checkpoint:
        """Read a note text; NoteError for anything that `body` would not write."""
        lines = body.split("\n")
        if len(lines) < 4 or lines.pop():
            raise _misread(
                "checkpoint", f"{len(lines)} lines", "three lines or more, each ended by a newline"
            )
        origin, size, root, *extensions = lines
        if not _DECIMAL.fullmatch(size):
            raise _misread("size", f"{size[:40]!r}", "decimal without leading zeros")
        return cls(origin, int(size), _unbase64(root, "root"), tuple(extensions))


class Signer:
    """The log's own key: signs note texts with Ed25519 (signature type 0x01)."""

    def __init__(self, name: str, private_key_bytes: bytes) -> None:
        """`private_key_bytes` are the 32 bytes of RFC 8032; the caller keeps them secret."""
        self.name = _key_name(name)
        self._key = _private_key(private_key_bytes)
        self._public = self._key.public_key().public_bytes_raw()
        self._key_id = _key_id(name, _ED25519, self._public)

    @property
    def vkey(self) -> str:
        """The verifier key to publish: name+key id+base64 of type and public key."""
        return _vkey(self.name, _ED25519, self._public)

    def sign(self, body: str) -> str:
        """One signature line over a note text, with its newline."""
        return _signature_line(self.name, self._key_id + self._key.sign(body.encode()))


class Cosigner:
    """A witness's key: states that at a time it had seen this tree head and nothing that contradicts it."""

    def __init__(self, name: str, private_key_bytes: bytes) -> None:
        """As `Signer`; the format does not commit to the name, so a key serves one cosigner only."""
        self.name = _key_name(name)
        self._key = _private_key(private_key_bytes)
        self._public = self._key.public_key().public_bytes_raw()
        self._key_id = _key_id(name, _COSIGNATURE_V1, self._public)

    @property
    def vkey(self) -> str:
        """The verifier key to publish: name+key id+base64 of type and public key."""
        return _vkey(self.name, _COSIGNATURE_V1, self._public)

    def cosign(self, body: str, time_s: int) -> str:
        """One `cosignature/v1` line over a checkpoint's text, with its newline; `time_s` is POSIX seconds."""
        Checkpoint.parse(body)
        if not 0 <= time_s <= SIZE_LIMIT:
            raise _misread("time_s", f"{time_s}", "POSIX seconds, from 0 to 2**63-1")
        signature = self._key.sign(_cosigned(body, time_s))
        return _signature_line(self.name, self._key_id + time_s.to_bytes(8, "big") + signature)


class Verifier:
    """A public key that a reader trusts, of a log (0x01) or of a witness (0x04)."""

    def __init__(self, name: str, signature_type: int, public_key_bytes: bytes) -> None:
        if signature_type not in (_ED25519, _COSIGNATURE_V1) or len(public_key_bytes) != 32:
            raise _misread("vkey", f"type {signature_type:#04x}", "Ed25519 of type 0x01 or 0x04, 32 bytes")
        self.name = _key_name(name)
        self.key_id = _key_id(name, signature_type, public_key_bytes)
        self.vkey = _vkey(name, signature_type, public_key_bytes)
        self.is_witness = signature_type == _COSIGNATURE_V1
        self.public = public_key_bytes
        self._key = Ed25519PublicKey.from_public_bytes(public_key_bytes)

    @classmethod
    def parse(cls, vkey: str) -> Verifier:
        """Read a verifier key; NoteError where it is malformed or its key id is not its own."""
        name, *rest = vkey.split("+", 2)
        if len(rest) != 2 or not re.fullmatch("[0-9a-f]{8}", rest[0]):
            raise _misread("vkey", f"{vkey[:80]!r}", "name+key id in 8 hex digits+base64")
        material = _unbase64(rest[1], "vkey")
        if not material:
            raise _misread("vkey", "no key", "name+key id in 8 hex digits+base64")
        verifier = cls(name, material[0], material[1:])
        if verifier.key_id.hex() != rest[0]:
            raise _misread("vkey", f"key id {rest[0]}", f"the key's own id, {verifier.key_id.hex()}")
        return verifier

    def verify(self, body: str, signature: bytes) -> int | None:
        """Check one signature (without its key id) over a note text; a witness's gives its POSIX time.

        NoteError where it does not hold.
        """
        message, time_s = body.encode(), None
        if self.is_witness:
            if len(signature) != 8 + 64:
                raise self._refusal()
            time_s = int.from_bytes(signature[:8], "big")
            if time_s > SIZE_LIMIT:
                raise self._refusal()
            message, signature = _cosigned(body, time_s), signature[8:]
        try:
            self._key.verify(signature, message)
        except InvalidSignature as error:
            raise self._refusal() from error
        return time_s

    def _refusal(self) -> NoteError:
        return NoteError(
            f"the signature of {self.name} does not hold",
            field="signature",
            rule="a signature of a known key holds, or the whole note is refused (c2sp.org/signed-note)",
            remedy="do not trust this note; fetch it again and keep both",
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """A note that at least one trusted key signed."""

    body: str
    signed_by: tuple[str, ...]
    """Names of the trusted keys whose signature holds, in the note's order, witnesses among them."""
    cosigned: tuple[tuple[str, int], ...] = ()
    """Of those the witnesses, each with its POSIX time in seconds."""

    @property
    def checkpoint(self) -> Checkpoint:
        """The text read as a checkpoint; NoteError where it is another kind of note."""
        return Checkpoint.parse(self.body)


def sign(checkpoint: Checkpoint, *signers: Signer) -> str:
    """The checkpoint as a note signed by these keys, in this order."""
    body = checkpoint.body()
    return body + "\n" + "".join([signer.sign(body) for signer in signers])


def open_note(note: str, verifiers: Sequence[Verifier]) -> Opened:
    """Read a note that a trusted key signed.

    Signatures of unknown keys are ignored. NoteError where the note is malformed, where none of `verifiers`
    signed it, and where the signature of one of them is there and does not hold.
    """
    body, lines = split_note(note)
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    signed_by: list[str] = []
    cosigned: list[tuple[str, int]] = []
    for name, signature in lines:
        # popped, so that a second line of the same key is passed over like an unknown one
        verifier = known.pop((name, signature[:4]), None)
        if verifier is None:
            continue
        time_s = verifier.verify(body, signature[4:])
        signed_by.append(name)
        if time_s is not None:
            cosigned.append((name, time_s))
    if not signed_by:
        raise NoteError(
            f"signed by {', '.join(name for name, _ in lines)}, none of them trusted",
            field="signature",
            rule="at least one trusted key signed (c2sp.org/signed-note)",
            remedy="check which verifier keys you trust, and where you got them",
        )
    return Opened(body, tuple(signed_by), tuple(cosigned))


def split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Text and signature lines of a note, nothing verified: (key name, key id ‖ signature). NoteError where malformed."""
    if len(note) > NOTE_LIMIT or not _PLAIN.fullmatch(note.replace("\n", "")):
        raise _misread(
            "note", "too long or not plain text", f"at most {NOTE_LIMIT} characters of UTF-8, no controls"
        )
    text, blank, tail = note.rpartition("\n\n")
    if not blank or not tail.endswith("\n"):
        raise _misread(
            "note", "no signatures", "text, an empty line, signature lines, each ended by a newline"
        )
    lines: list[tuple[str, bytes]] = []
    for line in tail[:-1].split("\n"):
        match = _SIGNATURE_LINE.fullmatch(line)
        if match is None or not _is_key_name(match[1]):
            raise _misread("signature", f"{line[:80]!r}", "em dash, space, key name, space, base64")
        signature = _unbase64(match[2], "signature")
        if len(signature) < 5:
            raise _misread("signature", f"{len(signature)} bytes", "a key id of 4 bytes and a signature")
        lines.append((match[1], signature))
    if len(lines) > SIGNATURES_LIMIT:
        raise _misread("signature", f"{len(lines)} signatures", f"at most {SIGNATURES_LIMIT}")
    return text + "\n", lines


def _cosigned(body: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{body}".encode()


def _signature_line(name: str, signature: bytes) -> str:
    return f"\u2014 {name} {b64encode(signature).decode('ascii')}\n"


def _key_id(name: str, signature_type: int, public_key: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + bytes([signature_type]) + public_key).digest()[:4]


def _vkey(name: str, signature_type: int, public_key: bytes) -> str:
    material = b64encode(bytes([signature_type]) + public_key).decode("ascii")
    return f"{name}+{_key_id(name, signature_type, public_key).hex()}+{material}"


def _private_key(private_key_bytes: bytes) -> Ed25519PrivateKey:
    if len(private_key_bytes) != 32:
        raise _misread("private_key_bytes", f"{len(private_key_bytes)} bytes", "32 bytes (RFC 8032)")
    return Ed25519PrivateKey.from_private_bytes(private_key_bytes)


def _is_key_name(name: str) -> bool:
    return _PLAIN.fullmatch(name) is not None and not any(char.isspace() or char == "+" for char in name)


def _key_name(name: str) -> str:
    if not _is_key_name(name):
        raise _misread("name", f"{name!r}", "a key name has neither spaces nor '+' (c2sp.org/signed-note)")
    return name


def _unbase64(text: str, field: str) -> bytes:
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _misread(field, f"{text[:80]!r}", "standard base64 (RFC 4648 §4)") from error
    if b64encode(data).decode("ascii") != text:  # stray bits in the last digit: a second spelling of one note
        raise _misread(field, f"{text[:80]!r}", "base64 in its one canonical spelling")
    return data


def _misread(field: str, detail: str, rule: str) -> NoteError:
    return NoteError(detail, field=field, rule=rule, remedy="take the text as its signer wrote it")
