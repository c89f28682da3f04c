"""The note with which a log ends, signed by its own key: how far it went, what of it was lost, and which log goes on.

    data-asset-exchange.log-ended/v1
    exchange.example.cn/log                      the origin of the log that ended
    4711                                         its size, and its root in base64
    0DN2…
    successor exchange.example.cn/log-2+…        the verifier key of the log that goes on from this very tree
    seen 4800 tQ0v…                              the largest that somebody saw of it, with the root where that is known:
                                                 `seen 4711` where nothing was lost, `seen 4800 -` where no root is known
    time 1790000000000000                        microseconds since 1970, by the market's clock
    reason the disk was lost, and the newest backup lay behind the witness

It is no checkpoint and cannot be read as one: a checkpoint's second line is a number. The successor takes over leaves
0 to size - 1 unchanged and logs the note as its next entry. The form is a signed note (c2sp.org/signed-note).
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from ledger.checkpoint import Signer, Verifier, open_note
from ledger.errors import NoteError

FORMAT = "data-asset-exchange.log-ended/v1"
REASON_LIMIT = 1000

_BODY = re.compile(
    rf"{re.escape(FORMAT)}\n(?P<origin>[^\n]+)\n(?P<size>[1-9][0-9]{{0,18}})\n(?P<root>[A-Za-z0-9+/]{{43}}=)\n"
    r"successor (?P<successor>[^\n]+)\nseen (?P<seen>[1-9][0-9]{0,18})(?: (?P<seen_root>-|[A-Za-z0-9+/]{43}=))?\n"
    r"time (?P<time>0|[1-9][0-9]{0,18})\nreason (?P<reason>[^\n]+)\n"
)


@dataclass(frozen=True, slots=True)
class Ended:
    """What such a note says. `seen_size` is the size where nothing was lost; `seen_root` None where nobody knows it."""

    origin: str
    size: int
    root: bytes
    successor: str
    seen_size: int
    seen_root: bytes | None
    time_us: int
    reason: str

    @property
    def successor_origin(self) -> str:
        """The name of the log that goes on."""
        return Verifier.parse(self.successor).name

    @property
    def lost(self) -> int:
        """How many entries somebody saw and nobody has any more."""
        return self.seen_size - self.size

    def text(self) -> str:
        """The note's text; NoteError for what it could not say."""
        seen = f"seen {self.seen_size}"
        if self.lost:
            seen += " -" if self.seen_root is None else f" {_base64(self.seen_root)}"
        text = (
            f"{FORMAT}\n{self.origin}\n{self.size}\n{_base64(self.root)}\nsuccessor {self.successor}\n{seen}\n"
            f"time {self.time_us}\nreason {self.reason}\n"
        )
        if parse(text) != self:
            raise _misread("a line has a break in it", "every member is one line")
        return text


def parse(text: str) -> Ended:
    """Read the text of such a note; NoteError where it is none."""
    match = _BODY.fullmatch(text)
    if match is None:
        raise _misread(f"{text[:60]!r}", f"the lines of {FORMAT}")
    if not match["reason"].isprintable() or not 0 < len(match["reason"].strip()) <= REASON_LIMIT:
        raise _misread("the reason", f"one printable line of 1 to {REASON_LIMIT} characters")
    size, seen, root = int(match["size"]), int(match["seen"]), match["seen_root"]
    if seen < size or (seen == size) != (root is None):
        raise _misread(
            f"seen {seen}", "what was seen has the log's size, or is larger and names a root or `-`"
        )
    Verifier.parse(match["successor"])
    return Ended(
        match["origin"],
        size,
        _unbase64(match["root"]),
        match["successor"],
        seen,
        None if root in (None, "-") else _unbase64(root),
        int(match["time"]),
        match["reason"],
    )


def sign_ended(ended: Ended, signer: Signer) -> str:
    """The note, signed with the key of the log that ended."""
    text = ended.text()
    return f"{text}\n{signer.sign(text)}"


def open_ended(note: str, verifiers: Sequence[Verifier]) -> Ended:
    """Read a note that the ended log's own key signed, that key being among `verifiers`; NoteError otherwise."""
    opened = open_note(note, [verifier for verifier in verifiers if not verifier.is_witness])
    ended = parse(opened.body)
    if ended.origin not in opened.signed_by:
        raise NoteError(
            f"the end of {ended.origin}, signed by {', '.join(opened.signed_by)}",
            field="signature",
            rule="a log is ended by its own key",
            remedy="do not trust this note; keep it",
        )
    return ended


def _base64(root: bytes) -> str:
    return b64encode(root).decode("ascii")


def _unbase64(text: str) -> bytes:
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _misread("the root", "base64") from error
    if _base64(data) != text:
        raise _misread("the root", "base64 in its one canonical spelling")
    return data


def _misread(detail: str, rule: str) -> NoteError:
    return NoteError(detail, field="note", rule=rule, remedy="take the note as its signer wrote it")
