"""Proofs that stand alone, as `.tlog-proof` files (c2sp.org/tlog-proof): an entry's place under a signed checkpoint."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from ledger.checkpoint import NOTE_LIMIT, Checkpoint, Verifier, open_note
from ledger.entries import Receipt
from ledger.errors import ProofError
from ledger.merkle import HASH_BYTES, verify_inclusion

HEADER = "c2sp.org/tlog-proof@v1"
HASHES_LIMIT = 63
"""A log holds fewer than 2**63 leaves (c2sp.org/tlog-checkpoint), so no path is longer."""
EXTRA_LIMIT = 1 << 16
_INDEX = re.compile("index (0|[1-9][0-9]{0,18})")
_TEXT_LIMIT = 2 * (NOTE_LIMIT + EXTRA_LIMIT)


@dataclass(frozen=True, slots=True)
class TlogProof:
    """That an entry is at `index` of the log whose signed `checkpoint` this is; nothing is believed before `verify`.

    `hashes` lead from the leaf's sibling to the root's child. `extra` is opaque, and no signature covers it.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes = b""

    @classmethod
    def of(cls, receipt: Receipt) -> TlogProof:
        """What a receipt proves, without its body: made offline, and fit to be shown to anyone."""
        return cls(receipt.index, receipt.proof, receipt.checkpoint)

    @classmethod
    def parse(cls, text: str) -> TlogProof:
        """Read the text of a proof; ProofError for anything that `text` would not write.

        The checkpoint is taken as it stands: `verify` opens it.
        """
        if len(text) > _TEXT_LIMIT:
            raise _misread("text", f"{len(text)} characters", f"at most {_TEXT_LIMIT}")
        head, blank, note = text.partition("\n\n")
        header, *lines = head.split("\n")
        if header != HEADER:
            raise _misread("header", f"{header[:80]!r}", f"the first line is {HEADER}")
        if not blank or not note:
            raise _misread("checkpoint", "there is none", "after an empty line, the signed checkpoint")
        extra = b""
        if lines and lines[0].startswith("extra "):
            extra = _unbase64(lines.pop(0).removeprefix("extra "), "extra")
            if not 0 < len(extra) <= EXTRA_LIMIT:
                raise _misread("extra", f"{len(extra)} bytes", f"1 to {EXTRA_LIMIT} bytes, or no such line")
        index = _INDEX.fullmatch(lines[0]) if lines else None
        if index is None:
            raise _misread("index", f"{lines[:1]!r:.80}", "a line `index N`, decimal without leading zeros")
        hashes = tuple(_unbase64(line, "hashes") for line in lines[1:])
        if len(hashes) > HASHES_LIMIT or any(len(value) != HASH_BYTES for value in hashes):
            raise _misread("hashes", "not such hashes", f"at most {HASHES_LIMIT} lines of 32 bytes each")
        return cls(int(index[1]), hashes, note, extra)

    def text(self) -> str:
        """The content of the `.tlog-proof` file."""
        extra = [f"extra {b64encode(self.extra).decode('ascii')}"] if self.extra else []
        hashes = [b64encode(value).decode("ascii") for value in self.hashes]
        return "\n".join([HEADER, *extra, f"index {self.index}", *hashes, "", self.checkpoint])

    def verify(
        self, leaf: bytes, log: Verifier, witnesses: Sequence[Verifier] = (), quorum: int = 0
    ) -> Checkpoint:
        """Check that `leaf`, the hash of an entry, is in the log, and give the checkpoint that says so.

        Holds: `log` signed the checkpoint, whose origin is that key's name; at least `quorum` of `witnesses`
        cosigned it; and the leaf is at the index under its root. NoteError or ProofError otherwise.
        """
        checkpoint = open_note(self.checkpoint, [log]).checkpoint
        if checkpoint.origin != log.name:
            raise ProofError(
                f"a checkpoint of {checkpoint.origin!r}, signed by {log.name!r}",
                field="checkpoint",
                rule="a log's key has the name of its origin (c2sp.org/tlog-checkpoint)",
                remedy="verify with the key of the log that the proof speaks of",
            )
        cosigned = {name for name, _ in open_note(self.checkpoint, [log, *witnesses]).cosigned}
        if len(cosigned) < quorum:
            raise ProofError(
                f"{len(cosigned)} of {len(witnesses)} witnesses cosigned, {quorum} are asked for",
                field="checkpoint",
                rule="at least the quorum of the trusted witnesses cosigned (c2sp.org/tlog-cosignature)",
                remedy="ask the log for a proof under a checkpoint that more witnesses have seen",
            )
        verify_inclusion(self.index, checkpoint.size, leaf, self.hashes, checkpoint.root)
        return checkpoint


def _unbase64(text: str, field: str) -> bytes:
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _misread(field, f"{text[:80]!r}", "standard base64 (RFC 4648 §4)") from error
    if b64encode(data).decode("ascii") != text:
        raise _misread(field, f"{text[:80]!r}", "base64 in its one canonical spelling")
    return data


def _misread(field: str, detail: str, rule: str) -> ProofError:
    return ProofError(
        detail, field=field, rule=f"{rule} (c2sp.org/tlog-proof)", remedy="take the file as the log wrote it"
    )
