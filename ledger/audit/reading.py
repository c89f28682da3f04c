"""Reads the bundle: every member streamed and bounded, and every way in which it can be broken a BundleError."""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from ledger.errors import BundleError

FORMAT = "data-asset-exchange-bundle@1"
LINES = ("checkpoints.jsonl", "entries.jsonl", "openings.jsonl", "accounts.jsonl", "transfers.jsonl")
DOCUMENTS = {"manifest.json": 1 << 20, "anchors.json": 1 << 24}
"""Members that are read whole, with the bytes they may have."""
LINE_LIMIT = 1 << 18
"""Bytes of one line: a body of 65,535 bytes at most doubles when it is written inside a JSON string."""
EXPANSION_LIMIT = 200
"""How many times its packed size a member may have, before it counts as a zip bomb (honest ones stay below 40)."""

HEX_256 = re.compile("[0-9a-f]{64}")
_DECIMAL = re.compile("0|[1-9][0-9]{0,18}")

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
    """What the bundle says of itself; only its form has been checked."""

    origin: str
    vkeys: list[str]
    size: int
    root: bytes
    sandbox: bool


class Bundle:
    """The open file: its manifest, and its members as they are asked for."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
            raise broken("bundle", f"{error}", "a readable .zip file") from error
        try:
            self._sizes = self._check_members()
            self.manifest = self._manifest()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Bundle:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def _check_members(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for info in self._zip.infolist():
            name = info.filename
            if name in sizes:
                raise broken(name, "there twice", "every member occurs once")
            if name not in LINES and name not in DOCUMENTS:
                raise broken(name, "unknown", f"members are {', '.join((*LINES, *DOCUMENTS))}")
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise broken(name, "encrypted or packed in an unknown way", "stored or deflated")
            if info.file_size > EXPANSION_LIMIT * info.compress_size + (1 << 16):
                raise broken(
                    name,
                    f"{info.file_size} bytes packed in {info.compress_size}",
                    f"at most {EXPANSION_LIMIT} times the packed size",
                )
            if info.file_size > DOCUMENTS.get(name, info.file_size):
                raise broken(name, f"{info.file_size} bytes", f"at most {DOCUMENTS[name]} bytes")
            sizes[name] = info.file_size
        for name in (*LINES, *DOCUMENTS):
            if name not in sizes:
                raise broken(name, "missing", f"members are {', '.join((*LINES, *DOCUMENTS))}")
        return sizes

    def _manifest(self) -> Manifest:
        value = self.document("manifest.json")
        if not isinstance(value, dict):
            raise broken("manifest.json", "not an object", "a JSON object")
        if value.get("format") != FORMAT:
            raise broken("manifest.json", f"format {value.get('format')!r}", f"format {FORMAT}")
        origin, sandbox, members = value.get("origin"), value.get("sandbox"), value.get("members")
        vkeys, root = value.get("vkeys"), value.get("root")
        if not isinstance(origin, str) or not isinstance(sandbox, bool):
            raise broken("manifest.json", "no origin, or no sandbox", "origin is text, sandbox true or false")
        if not isinstance(vkeys, list) or not all(isinstance(vkey, str) for vkey in vkeys):
            raise broken("manifest.json", "no vkeys", "vkeys is an array of verifier keys")
        if not isinstance(root, str) or not HEX_256.fullmatch(root):
            raise broken("manifest.json", "no root", "root is 64 hex digits")
        if not isinstance(members, dict):
            raise broken("manifest.json", "no members", "members gives the bytes of every member")
        for name, size in self._sizes.items():
            if name != "manifest.json" and members.get(name) != str(size):
                raise broken(name, f"{size} bytes", f"as many as the manifest says: {members.get(name)!r}")
        return Manifest(origin, vkeys, decimal(value, "size", "manifest.json"), bytes.fromhex(root), sandbox)

    def document(self, name: str) -> Any:
        """A member that is read whole."""
        try:
            return orjson.loads(self._zip.read(name))
        except _UNREADABLE as error:
            raise broken(name, f"{error}", "whole, and JSON") from error

    def lines(self, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """The objects of a member, each with its line number from 1, one at a time."""
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
