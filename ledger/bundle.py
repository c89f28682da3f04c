"""Writes the audit bundle: all that a stranger needs to judge the log offline, as one streamed .zip.

The entries lie in segments of 4096, segment n from entry 4096 n on; the first and the last may be partial. Every
line ends in a newline, JSON lines are UTF-8, numbers and amounts decimal strings:

segments/<8 digits>/leaves.jsonl       the public leaf of each entry
segments/<8 digits>/bodies.jsonl       its body; an empty line where this reader may not see it
segments/<8 digits>/salts.txt          its salt, 64 hex digits; an empty line where the body is withheld
segments/<8 digits>/checkpoints.jsonl  {"note"}: the signed checkpoints whose sizes lie in the segment, ascending;
                                       in the first segment of a period also the one that it begins at
segments/<8 digits>/transfers.jsonl    {"index", "sequence", "state", "transfer"}: the claimed rows of its entries
openings.jsonl  {"commitment", "salt" hex, "value"}, salt and value null where the opening was erased
accounts.jsonl  the account rows as the database claims them
anchors.json    [{"chain_id", "contract", "tx", "size", "root" hex, "block", "state"}]
manifest.json   {"format", "origin", "vkeys", "sandbox", "party", "start", "peaks": [hex], "size", "root" hex,
                "later": {"checkpoint", "proof": [hex]} or null, "members": {name: bytes}}

A bundle of a period begins at `start`, with the peaks of the tree before it, so that start, peaks and the last
checkpoint prove the range complete; `later` is a newer checkpoint with the consistency proof to it. A bundle for
one `party` has all leaves, the bodies that it may see, its own accounts and all transfers on them.
`ledger.audit` reads it, and shares no code with this file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import orjson

from ledger.errors import BundleError
from ledger.merkle import Edge, leaf_hash
from ledger.postings import Account, PendingState, Transfer, transfer_to_json

FORMAT = "data-asset-exchange-bundle@2"
SEGMENT = 4096


class Shown(NamedTuple):
    """An entry as this bundle's reader gets it: salt and body None where the body is withheld."""

    leaf: bytes
    salt: bytes | None
    body: bytes | None


class Row(NamedTuple):
    """A transfer row as the database claims it: `entry` is the index of the one that carries it, `state` what became of it."""

    transfer: Transfer
    sequence: int
    entry: int
    state: PendingState


class BundleWriter:
    """One bundle being written; used in a `with` block, and there under its name only when the block succeeded.

    First all segments in order, then openings, accounts and anchors; BundleError out of order. Size and root are
    computed from the leaves. The same calls give the same bytes.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        origin: str,
        vkeys: Sequence[str],
        sandbox: bool,
        start: Edge | None = None,
        party: str | None = None,
    ) -> None:
        self._path = Path(path)
        self._partial = self._path.with_name(self._path.name + ".partial")
        self._edge = start or Edge.empty()
        self._manifest: dict[str, Any] = {
            "format": FORMAT,
            "origin": origin,
            "vkeys": list(vkeys),
            "sandbox": sandbox,
            "party": party,
            "start": str(self._edge.size),
            "peaks": [peak.hex() for peak in self._edge.peaks],
            "later": None,
        }
        self._bytes: dict[str, str] = {}
        self._tables = {"openings.jsonl": False, "accounts.jsonl": False}
        self._anchors: list[dict[str, str]] = []

    def __enter__(self) -> Self:
        self._zip = ZipFile(self._partial, "w", ZIP_STORED)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
            self._zip.close()
            if error is None:
                self._partial.replace(self._path)
        finally:
            self._partial.unlink(missing_ok=True)

    @property
    def size(self) -> int:
        """The index behind the last entry so far."""
        return self._edge.size

    def segment(self, entries: Sequence[Shown], checkpoints: Iterable[str], transfers: Iterable[Row]) -> None:
        """Add the next segment: at least one entry, up to the next multiple of 4096 unless it is the last."""
        first = self._edge.size
        number, skipped = divmod(first, SEGMENT)
        if any(self._tables.values()):
            raise _out_of_order("segments", "the tables were begun")
        if self._bytes and skipped:
            raise _out_of_order("segments", f"the segment before ended at entry {first}")
        if not 0 < len(entries) <= SEGMENT - skipped:
            raise _out_of_order("segments", f"{len(entries)} entries from {first} on")
        for index, entry in enumerate(entries, first):
            if (entry.salt is None) != (entry.body is None):
                raise BundleError(
                    f"entry {index} with only one of salt and body",
                    field="segments",
                    rule="a body is disclosed with its salt or not at all: a salt alone lets a body be guessed",
                    remedy="pass both or neither",
                )
        parts = {
            "leaves.jsonl": [entry.leaf for entry in entries],
            "bodies.jsonl": [entry.body or b"" for entry in entries],
            "salts.txt": [(entry.salt or b"").hex().encode() for entry in entries],
            "checkpoints.jsonl": [orjson.dumps({"note": note}) for note in checkpoints],
            "transfers.jsonl": [_row_line(row) for row in transfers],
        }
        for name, lines in parts.items():
            self._member(f"segments/{number:08}/{name}", lines)
        self._edge = self._edge.append([leaf_hash(entry.leaf) for entry in entries])

    def openings(self, rows: Iterable[tuple[str, bytes | None, str | None]]) -> None:
        """Add what commitments hide, once: (commitment, salt, value), the last two None where it was erased."""
        self._table(
            "openings.jsonl",
            (
                {"commitment": name, "salt": None if salt is None else salt.hex(), "value": value}
                for name, salt, value in rows
            ),
        )

    def accounts(self, rows: Iterable[Account]) -> None:
        """Add the account rows as the database claims them, once."""
        self._table(
            "accounts.jsonl",
            (
                {
                    "id": row.id,
                    "ledger": row.ledger,
                    "code": row.code,
                    "limit": row.limit,
                    "debits_pending": str(row.debits_pending),
                    "debits_posted": str(row.debits_posted),
                    "credits_pending": str(row.credits_pending),
                    "credits_posted": str(row.credits_posted),
                    "sequence": str(row.sequence),
                    "closed": row.closed,
                }
                for row in rows
            ),
        )

    def anchor(
        self, *, chain_id: int, contract: str, tx: str, size: int, root: bytes, block: int, state: str
    ) -> None:
        """Add a checkpoint that was put on a chain; `confirmed` where its block may still be taken back, or `final`."""
        self._anchors.append(
            {
                "chain_id": str(chain_id),
                "contract": contract,
                "tx": tx,
                "size": str(size),
                "root": root.hex(),
                "block": str(block),
                "state": state,
            }
        )

    def later(self, checkpoint: str, proof: Sequence[bytes]) -> None:
        """Say that the log went on: a newer signed checkpoint, and the consistency proof from this end to it."""
        self._manifest["later"] = {"checkpoint": checkpoint, "proof": [node.hex() for node in proof]}

    def _member(self, name: str, lines: Iterable[bytes]) -> None:
        written = 0
        with self._zip.open(_info(name, ZIP_STORED), "w", force_zip64=True) as member:
            for block in _blocks(lines):
                written += member.write(block)
        self._bytes[name] = str(written)

    def _table(self, name: str, rows: Iterable[dict[str, Any]]) -> None:
        if self._tables[name]:
            raise _out_of_order(name, "it was written already")
        self._tables[name] = True
        self._member(name, map(orjson.dumps, rows))

    def _finish(self) -> None:
        for name, written in self._tables.items():
            if not written:
                self._table(name, ())
        anchors = orjson.dumps(self._anchors)
        self._bytes["anchors.json"] = str(len(anchors))
        self._zip.writestr(_info("anchors.json", ZIP_DEFLATED), anchors)
        manifest = {
            **self._manifest,
            "size": str(self._edge.size),
            "root": self._edge.root().hex(),
            "members": self._bytes,
        }
        self._zip.writestr(
            _info("manifest.json", ZIP_DEFLATED), orjson.dumps(manifest, option=orjson.OPT_INDENT_2)
        )


def _blocks(lines: Iterable[bytes]) -> Iterable[bytes]:
    """The lines, each with its newline, a few thousand at a time."""
    waiting: list[bytes] = []
    for line in lines:
        waiting.append(line)
        if len(waiting) == SEGMENT:
            yield b"\n".join(waiting) + b"\n"
            waiting.clear()
    if waiting:
        yield b"\n".join(waiting) + b"\n"


def _row_line(row: Row) -> bytes:
    return orjson.dumps(
        {
            "index": str(row.entry),
            "sequence": str(row.sequence),
            "state": row.state,
            "transfer": transfer_to_json(row.transfer),
        },
        option=orjson.OPT_SORT_KEYS,
    )


def _out_of_order(field: str, detail: str) -> BundleError:
    return BundleError(
        detail,
        field=field,
        rule="whole segments in order, then each table once",
        remedy="add everything of a member before the next member",
    )


def _info(name: str, compression: int) -> ZipInfo:
    info = ZipInfo(name)  # dated 1980-01-01, so that the same content is the same file
    info.compress_type = compression
    info.external_attr = 0o644 << 16
    return info
