"""Reads the bundle: every member streamed or bounded, and every way in which it can be broken a BundleError."""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from ledger.audit.entry import BODY_LIMIT
from ledger.errors import BundleError, ProofError
from ledger.merkle import Edge

FORMAT = "data-asset-exchange-bundle@2"
SEGMENT = 4096
"""Entries of a segment: segment n holds the entries from 4096 n on; the first and the last may be partial."""
TABLES = ("openings.jsonl", "accounts.jsonl")
DOCUMENTS = {"manifest.json": 1 << 26, "anchors.json": 1 << 24}
"""Members that are read whole, with the bytes they may have."""
PARTS = {
    "leaves.jsonl": 256,
    "bodies.jsonl": BODY_LIMIT + 1,
    "salts.txt": 65,
    "checkpoints.jsonl": 1 << 17,
    "transfers.jsonl": 1 << 17,
}
"""The parts of a segment, read whole, with the bytes that one entry may add to each."""
LINE_LIMIT = 1 << 18
"""Bytes of one line of a table: a text of 65,535 bytes at most doubles when it is written inside a JSON string."""
EXPANSION_LIMIT = 200
"""How many times its packed size a member may have, before it counts as a zip bomb (honest ones stay below 40)."""

HEX_256 = re.compile("[0-9a-f]{64}")
_DECIMAL = re.compile("0|[1-9][0-9]{0,18}")
_PART = re.compile(rf"segments/([0-9]{{8}})/({'|'.join(map(re.escape, PARTS))})")

_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    orjson.JSONDecodeError,
    UnicodeDecodeError,
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the bundle says of itself; only its form has been checked.

    `edge` is the tree before the first entry. `later` is a signed checkpoint beyond the end with the proof that
    the log only grew from here to there, where the bundle carries one; `party` whom it was made for, if for one.
    """

    origin: str
    vkeys: list[str]
    edge: Edge
    size: int
    root: bytes
    sandbox: bool
    party: str | None
    later: tuple[str, list[bytes]] | None

    @property
    def start(self) -> int:
        """The index of the first entry."""
        return self.edge.size


class Bundle:
    """The open file: its manifest, and its members as they are asked for."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
            raise broken("bundle", f"{error}", "a readable .zip file") from error
        try:
            self._sizes = self._check_members()
            self.manifest = self._manifest()
            self._check_segments()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Bundle:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    @property
    def segments(self) -> range:
        """The numbers of the segments that hold the entries."""
        start, size = self.manifest.start, self.manifest.size
        return range(start // SEGMENT, -(-size // SEGMENT) if size > start else start // SEGMENT)

    def bounds(self, segment: int) -> tuple[int, int]:
        """The indexes [first, last + 1) of a segment's entries."""
        return max(segment * SEGMENT, self.manifest.start), min((segment + 1) * SEGMENT, self.manifest.size)

    def aligned(self, segment: int) -> bool:
        """Whether it is entered at its beginning: all peaks of the tree before it are then larger than its own."""
        return segment * SEGMENT >= self.manifest.start

    def part(self, segment: int, name: str) -> bytes:
        """A part of a segment; every line of it ends in a newline."""
        member = part_name(segment, name)
        data = self._whole(member)
        if data and not data.endswith(b"\n"):
            raise broken(member, "the last line is cut off", "every line ends in a newline")
        return data

    def rows(self, segment: int, name: str) -> list[dict[str, Any]]:
        """The objects of a part, one a line."""
        member = part_name(segment, name)
        rows = []
        for number, line in enumerate(self.part(segment, name).split(b"\n")[:-1], 1):
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise broken(member, f"line {number}: {error}", "a JSON object a line") from error
            if not isinstance(row, dict):
                raise broken(member, f"line {number} is no object", "a JSON object a line")
            rows.append(row)
        return rows

    def document(self, name: str) -> Any:
        """A member that is read whole."""
        data = self._whole(name)
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise broken(name, f"{error}", "JSON") from error

    def table(self, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """The objects of a table, each with its line number from 1, one at a time."""
        number = 0
        rest = b""
        try:
            with self._zip.open(name) as member:
                while block := member.read(1 << 16):
                    *lines, rest = (rest + block).split(b"\n")
                    for line in lines:
                        number += 1
                        value = orjson.loads(line)
                        if not isinstance(value, dict):
                            raise broken(name, f"line {number} is no object", "a JSON object a line")
                        yield number, value
                    if len(rest) > LINE_LIMIT:
                        raise broken(
                            name, f"line {number + 1} has no end", f"at most {LINE_LIMIT} bytes a line"
                        )
        except _UNREADABLE as error:
            raise broken(name, f"line {number}: {error}", "whole, and a JSON object a line") from error
        if rest:
            raise broken(name, f"line {number + 1} is cut off", "every line ends in a newline")

    def _whole(self, name: str) -> bytes:
        """A member, never more of it than its header says: what is packed may be far more than that."""
        size = self._sizes[name]
        try:
            with self._zip.open(name) as member:
                data = member.read(size)
        except _UNREADABLE as error:
            raise broken(name, f"{error}", "whole") from error
        if len(data) != size:
            raise broken(name, f"{len(data)} of {size} bytes", "whole")
        return data

    def _check_members(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for info in self._zip.infolist():
            name = info.filename
            if name in sizes:
                raise broken(name, "there twice", "every member occurs once")
            part = _PART.fullmatch(name)
            if part is None and name not in TABLES and name not in DOCUMENTS:
                raise broken(
                    name, "unknown", f"members are {', '.join((*TABLES, *DOCUMENTS))} and those of segments"
                )
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise broken(name, "encrypted or packed in an unknown way", "stored or deflated")
            if info.file_size > EXPANSION_LIMIT * info.compress_size + (1 << 16):
                raise broken(
                    name,
                    f"{info.file_size} bytes packed in {info.compress_size}",
                    f"at most {EXPANSION_LIMIT} times the packed size",
                )
            limit = DOCUMENTS.get(name) if part is None else PARTS[part[2]] * SEGMENT
            if limit is not None and info.file_size > limit:
                raise broken(name, f"{info.file_size} bytes", f"at most {limit} bytes")
            sizes[name] = info.file_size
        for name in (*TABLES, *DOCUMENTS):
            if name not in sizes:
                raise broken(name, "missing", f"members are {', '.join((*TABLES, *DOCUMENTS))} and segments")
        return sizes

    def _check_segments(self) -> None:
        wanted = {part_name(segment, name) for segment in self.segments for name in PARTS}
        found = {name for name in self._sizes if name.startswith("segments/")}
        for name in sorted(wanted ^ found)[:1]:
            said = "missing" if name in wanted else "outside of the entries that the manifest claims"
            raise broken(name, said, "every segment from start to size has its parts, and there is no other")

    def _manifest(self) -> Manifest:
        value = self.document("manifest.json")
        if not isinstance(value, dict):
            raise _manifest_broken("not an object", "a JSON object")
        if value.get("format") != FORMAT:
            raise _manifest_broken(f"format {value.get('format')!r}", f"format {FORMAT}")
        origin, sandbox, members = value.get("origin"), value.get("sandbox"), value.get("members")
        vkeys, root, party = value.get("vkeys"), value.get("root"), value.get("party")
        if not isinstance(origin, str) or not isinstance(sandbox, bool):
            raise _manifest_broken("no origin, or no sandbox", "origin is text, sandbox true or false")
        if party is not None and not isinstance(party, str):
            raise _manifest_broken("no party", "party is text, or null")
        if not isinstance(vkeys, list) or not all(isinstance(vkey, str) for vkey in vkeys):
            raise _manifest_broken("no vkeys", "vkeys is an array of verifier keys")
        if not isinstance(root, str) or not HEX_256.fullmatch(root):
            raise _manifest_broken("no root", "root is 64 hex digits")
        if not isinstance(members, dict):
            raise _manifest_broken("no members", "members gives the bytes of every member")
        for name, size in self._sizes.items():
            if name != "manifest.json" and members.get(name) != str(size):
                raise broken(name, f"{size} bytes", f"as many as the manifest says: {members.get(name)!r}")
        start, size = decimal(value, "start", "manifest.json"), decimal(value, "size", "manifest.json")
        if start > size or size > SEGMENT * 10**8:
            raise _manifest_broken(f"from {start} to {size}", "start <= size")
        try:
            edge = Edge(start, _hashes(value.get("peaks")))
        except ProofError as error:
            raise _manifest_broken(f"peaks: {error.detail}", error.rule) from error
        return Manifest(
            origin, vkeys, edge, size, bytes.fromhex(root), sandbox, party, _later(value.get("later"))
        )


def part_name(segment: int, name: str) -> str:
    """The path of a segment's part inside the bundle."""
    return f"segments/{segment:08}/{name}"


def decimal(value: Mapping[str, Any], name: str, where: str) -> int:
    """A member that is a decimal number of at most 19 digits, as a string; BundleError otherwise."""
    text = value.get(name)
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
        raise broken(where, f"{name} is {text!r}", f"{name} is a decimal number as a string")
    return int(text)


def broken(field: str, detail: str, rule: str) -> BundleError:
    return BundleError(
        detail[:300], field=field, rule=rule, remedy="ask for the bundle again; keep this one as evidence"
    )


def _manifest_broken(detail: str, rule: str) -> BundleError:
    return broken("manifest.json", detail, rule)


def _hashes(value: object) -> tuple[bytes, ...]:
    if not isinstance(value, list) or not all(
        isinstance(text, str) and HEX_256.fullmatch(text) for text in value
    ):
        raise _manifest_broken("no hashes", "hashes are an array of 64 hex digits each")
    return tuple(bytes.fromhex(text) for text in value)


def _later(value: object) -> tuple[str, list[bytes]] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("checkpoint"), str):
        raise _manifest_broken("no later checkpoint", "later has a checkpoint and a proof, or is null")
    return value["checkpoint"], list(_hashes(value.get("proof")))
