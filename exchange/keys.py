"""The exchange's own secrets: made once from the system's random source, kept outside database and backups.

They have a recovery of their own: officers each hold a share on paper, and enough of them together bring all keys back.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from exchange import shares
from exchange.errors import Misconfigured
from ledger.checkpoint import Signer


@dataclass(frozen=True, slots=True)
class Keys:
    """`log` signs checkpoints, `mac` seals account rows, `links` signs delivery links."""

    log: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    links: bytes = field(repr=False)

    def signer(self, origin: str) -> Signer:
        """The signer of this log."""
        return Signer(origin, self.log)


NAMES = ("log", "mac", "links")

_KEY_BYTES = 32


def load(directory: Path, *, make: bool = False) -> Keys:
    """Read the three keys; with `make`, draw the ones that are missing (0600, in a 0700 directory), backup's too.

    Misconfigured where a key is missing, has the wrong length, or can be read by others.
    """
    if make:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in (*NAMES, "backup"):
            path = directory / f"{name}.key"
            if not path.exists():
                _draw(path)
    return Keys(*(_read(directory / f"{name}.key") for name in NAMES))


def backup_key(directory: Path, *, make: bool = False) -> bytes:
    """The key that seals what goes to a store; with `make`, drawn where it is missing (an exchange of before backups).

    Misconfigured as `load`.
    """
    path = directory / "backup.key"
    if make and not path.exists():
        _draw(path)
    return _read(path)


def next_log_key(directory: Path) -> bytes:
    """The key with which a log's successor is going to sign, drawn where there is none yet."""
    path = directory / "log-next.key"
    if not path.exists():
        _draw(path)
    return _read(path)


def retire_log_key(directory: Path, name: str) -> None:
    """Put the next key in the place of the log's, which stays under `name`: its signatures are still to be explained."""
    with contextlib.suppress(FileExistsError):
        os.link(directory / "log.key", directory / f"{name}.key")
    (directory / "log-next.key").replace(directory / "log.key")


def split(directory: Path, origin: str, *, count: int, threshold: int) -> list[shares.Share]:
    """All private keys of a directory as officers' shares, named by the log's verifier key.

    Malformed where the numbers make no sense, Misconfigured as `load`.
    """
    vkey = load(directory).signer(origin).vkey
    return shares.split(
        _bundle({path.stem: _private(path) for path in sorted(directory.glob("*.key"))}),
        count=count,
        threshold=threshold,
        set_id=secrets.token_bytes(shares.SET_BYTES),
        key=vkey,
        draw=secrets.token_bytes,
    )


def join(brought: Sequence[shares.Share], directory: Path, *, vkey: str | None = None) -> list[str]:
    """Write the keys that these shares give into a directory (0700, each 0600), and give their names.

    The log's key has to be the one of the sheets and, where the caller has it, of `vkey` from outside. Nothing is
    written over: a key that is there already has to be the same. Malformed where the shares give no keys.
    """
    found = _unbundled(shares.join(brought))
    origin = brought[0].key.partition("+")[0]
    made = Signer(origin, found["log"]).vkey
    for source, expected in (("the sheets", brought[0].key), ("--vkey", vkey)):
        if expected is not None and expected.strip() != made:
            raise Misconfigured(
                "keys.another_log",
                f"the shares give the key of {made}, {source} name {expected.strip()}",
                field="--vkey",
                rule="the log's private key belongs to its published verifier key",
                remedy="bring the shares of this exchange, or correct the verifier key",
            )
    for name, material in found.items():
        path = directory / f"{name}.key"
        if path.exists() and path.read_bytes() != material:
            raise Misconfigured(
                "keys.exists",
                f"{path} holds another key",
                field="--into",
                rule="no key is ever written over",
                remedy="name a new directory, compare, and decide yourself which key stays",
            )
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, material in found.items():
        _write(directory / f"{name}.key", material)
    return list(found)


def _bundle(material: Mapping[str, bytes]) -> bytes:
    """Names and keys, each behind its length in one byte."""
    fields = (part for name, key in material.items() for part in (name.encode(), key))
    return b"".join(bytes([len(part)]) + part for part in fields)


def _unbundled(bundle: bytes) -> dict[str, bytes]:
    fields, at = [], 0
    while at < len(bundle):
        fields.append(bundle[at + 1 : at + 1 + bundle[at]])
        at += 1 + bundle[at]
    return {name.decode(): key for name, key in zip(fields[::2], fields[1::2], strict=True)}


def _draw(path: Path) -> None:
    _write(path, secrets.token_bytes(_KEY_BYTES))


def _write(path: Path, material: bytes) -> None:
    """Write a key, there whole or not at all; of two processes that write at once, the first one's stays."""
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(material)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
    finally:
        new.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    material = _private(path)
    if len(material) != _KEY_BYTES:
        raise Misconfigured(
            "keys.length",
            f"{path.name} has {len(material)} bytes",
            field=str(path),
            rule="32 bytes",
            remedy="bring the keys back: their own copy, or `exchange keys join`",
        )
    return material


def _private(path: Path) -> bytes:
    """A key file's content; Misconfigured where it cannot be read, or can be read by others."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        material = path.read_bytes()
    except OSError as error:
        raise Misconfigured(
            "keys.missing",
            f"{path.name} cannot be read: {error.strerror}",
            field=str(path),
            rule="the exchange signs with its own keys",
            remedy="run `exchange init`, or bring the keys back: their own copy, or `exchange keys join`",
        ) from error
    if mode & 0o077:
        raise Misconfigured(
            "keys.permissions",
            f"{path.name} can be read by others (mode {mode:o})",
            field=str(path),
            rule="a private key has mode 0600",
            remedy=f"chmod 600 {path}; if others may have read it, it is no secret any more",
        )
    return material
