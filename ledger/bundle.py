"""Writes the audit bundle: all that a stranger needs to judge the log offline, as one streamed .zip.

Members, in this order; JSON lines are UTF-8, one object a line, numbers and amounts in decimal as strings:

checkpoints.jsonl  {"note"}, the signed checkpoints, oldest first
entries.jsonl      {"index", "leaf" base64, "salt" hex, "body"}, in log order; salt and body null where the
                   reader of this bundle may not see them
openings.jsonl     {"commitment", "salt" hex, "value"}, salt and value null where the opening was erased
accounts.jsonl     the account rows as the database claims them
transfers.jsonl    the transfer rows as the database claims them, in order of `sequence`
anchors.json       [{"chain_id", "contract", "tx", "size", "root" hex, "block"}]
manifest.json      {"format", "origin", "vkeys", "size", "root" hex, "sandbox", "members": {name: bytes}}

`ledger.audit` reads it, and shares no code with this file.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import orjson

from ledger.errors import BundleError
from ledger.merkle import Edge, leaf_hash
from ledger.postings import Account, PendingState, Transfer

FORMAT = "data-asset-exchange-bundle@1"
LINES = ("checkpoints.jsonl", "entries.jsonl", "openings.jsonl", "accounts.jsonl", "transfers.jsonl")


class BundleWriter:
    """One bundle being written; used in a `with` block, and there under its name only when the block succeeded.

    The methods are called in the order of the members, each as often as there are lines; BundleError out of
    order. Size and root are computed from the leaves that were added. The same calls give the same bytes.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, origin: str, vkeys: Sequence[str], sandbox: bool
    ) -> None:
        self._path = Path(path)
        self._partial = self._path.with_name(self._path.name + ".partial")
        self._manifest: dict[str, Any] = {
            "format": FORMAT,
            "origin": origin,
            "vkeys": list(vkeys),
            "sandbox": sandbox,
        }
        self._bytes: dict[str, str] = {}
        self._edge = Edge.empty()
        self._leaves: list[bytes] = []
        self._anchors: list[dict[str, str]] = []
        self._at = -1
        self._written = 0

    def __enter__(self) -> Self:
        self._zip = ZipFile(self._partial, "w", ZIP_DEFLATED)
        self._member: IO[bytes] | None = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
            elif self._member is not None:
                self._member.close()
            self._zip.close()
            if error is None:
                self._partial.replace(self._path)
        finally:
            self._partial.unlink(missing_ok=True)

    def checkpoint(self, note: str) -> None:
        """Add a signed checkpoint, the oldest first."""
        self._line("checkpoints.jsonl", {"note": note})

    def entry(self, leaf: bytes, salt: bytes | None, body: bytes | None) -> None:
        """Add the next entry of the log; salt and body None where this bundle's reader may not see the body."""
        index = self._edge.size + len(self._leaves)
        if (salt is None) != (body is None):
            raise BundleError(
                f"entry {index} with only one of salt and body",
                field="entries.jsonl",
                rule="a body is disclosed with its salt or not at all: a salt alone lets a body be guessed",
                remedy="pass both or neither",
            )
        self._line(
            "entries.jsonl",
            {
                "index": str(index),
                "leaf": b64encode(leaf).decode("ascii"),
                "salt": None if salt is None else salt.hex(),
                "body": None if body is None else body.decode(),
            },
        )
        self._leaves.append(leaf_hash(leaf))
        if len(self._leaves) == 1 << 10:
            self._grow()

    def opening(self, commitment: str, salt: bytes | None, value: str | None) -> None:
        """Add what a commitment hides; salt and value None where it was erased."""
        hexadecimal = None if salt is None else salt.hex()
        self._line("openings.jsonl", {"commitment": commitment, "salt": hexadecimal, "value": value})

    def account(self, row: Account) -> None:
        """Add an account row as the database claims it."""
        self._line(
            "accounts.jsonl",
            {
                "id": row.id,
                "ledger": row.ledger,
                "code": row.code,
                "limit": row.limit,
                "debits_pending": str(row.debits_pending),
                "debits_posted": str(row.debits_posted),
                "credits_pending": str(row.credits_pending),
                "credits_posted": str(row.credits_posted),
            },
        )

    def transfer(self, row: Transfer, *, sequence: int, index: int, state: PendingState) -> None:
        """Add a transfer row as the database claims it, in order of sequence.

        `index` is that of the entry that carries it, `state` what `postings.STATE_AT_FIRST` says, and for a
        hold what became of it.
        """
        self._line(
            "transfers.jsonl",
            {
                "sequence": str(sequence),
                "id": row.id,
                "index": str(index),
                "kind": row.kind,
                "debit": row.debit,
                "credit": row.credit,
                "amount": str(row.amount),
                "ledger": row.ledger,
                "code": row.code,
                "pending": row.pending,
                "state": state,
            },
        )

    def anchor(self, *, chain_id: int, contract: str, tx: str, size: int, root: bytes, block: int) -> None:
        """Add a checkpoint that was put on a chain."""
        self._anchors.append(
            {
                "chain_id": str(chain_id),
                "contract": contract,
                "tx": tx,
                "size": str(size),
                "root": root.hex(),
                "block": str(block),
            }
        )

    def _line(self, name: str, value: dict[str, Any]) -> None:
        member = self._member if self._at >= 0 and LINES[self._at] == name else self._open(name)
        self._written += (member or self._open(name)).write(orjson.dumps(value) + b"\n")

    def _open(self, name: str) -> IO[bytes]:
        """Close the members before this one, empty where nothing was added, and open it."""
        position = LINES.index(name)
        if position < self._at:
            raise BundleError(
                f"a line after {LINES[self._at]} was begun",
                field=name,
                rule=f"members are written in the order {', '.join(LINES)}",
                remedy="add all lines of a member before the next member",
            )
        while True:
            self._close()
            self._at += 1
            self._member = self._zip.open(_info(LINES[self._at]), "w", force_zip64=True)
            if self._at == position:
                return self._member

    def _close(self) -> None:
        if self._member is not None:
            self._member.close()
            self._bytes[LINES[self._at]] = str(self._written)
        self._member, self._written = None, 0

    def _grow(self) -> None:
        self._edge = self._edge.append(self._leaves)
        self._leaves.clear()

    def _finish(self) -> None:
        if self._at < len(LINES) - 1:
            self._open(LINES[-1])
        self._close()
        self._grow()
        anchors = orjson.dumps(self._anchors)
        self._bytes["anchors.json"] = str(len(anchors))
        self._zip.writestr(_info("anchors.json"), anchors)
        manifest = {
            **self._manifest,
            "size": str(self._edge.size),
            "root": self._edge.root().hex(),
            "members": self._bytes,
        }
        self._zip.writestr(_info("manifest.json"), orjson.dumps(manifest, option=orjson.OPT_INDENT_2))


def _info(name: str) -> ZipInfo:
    info = ZipInfo(name)  # dated 1980-01-01, so that the same content is the same file
    info.compress_type = ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info
