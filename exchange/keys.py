"""The exchange's own secrets: made once from the system's random source, kept outside database and backups."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

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


def load(directory: Path, *, make: bool = False) -> Keys:
    """Read the three keys; with `make`, draw the ones that are missing (0600, in a 0700 directory).

    Misconfigured where a key is missing, has the wrong length, or can be read by others.
    """
    if make:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in NAMES:
            path = directory / f"{name}.key"
            if not path.exists():
                _draw(path)
    return Keys(*(_read(directory / f"{name}.key") for name in NAMES))


def _draw(path: Path) -> None:
    """Write a fresh key, there whole or not at all; of two processes that draw at once, the first one's stays."""
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
    finally:
        new.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        material = path.read_bytes()
    except OSError as error:
        raise Misconfigured(
            "keys.missing",
            f"{path.name} cannot be read: {error.strerror}",
            field=str(path),
            rule="the exchange signs with its own keys",
            remedy="run `exchange init`, or restore the keys directory from its own backup",
        ) from error
    if mode & 0o077:
        raise Misconfigured(
            "keys.permissions",
            f"{path.name} can be read by others (mode {mode:o})",
            field=str(path),
            rule="a private key has mode 0600",
            remedy=f"chmod 600 {path}; if others may have read it, it is no secret any more",
        )
    if len(material) != 32:
        raise Misconfigured(
            "keys.length",
            f"{path.name} has {len(material)} bytes",
            field=str(path),
            rule="32 bytes",
            remedy="restore the keys directory from its own backup",
        )
    return material
