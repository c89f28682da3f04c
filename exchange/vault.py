"""Product files by the SHA-256 of their bytes: written once, whole or not at all, checked before they are read.

    DIRECTORY/incoming/        files still arriving; nothing here is ever read
    DIRECTORY/staging/P/D      waiting for a decision; P is the SHA-256 of the party's identifier
    DIRECTORY/products/dd/D    accepted, for good; dd are the first two digits of D

Every name below the directory is a digest in lower-case hexadecimal, so no caller's text becomes a path.
Files are 0600, directories 0700. A file and the name that leads to it are on the disk before a call returns.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import tempfile
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Final

from exchange.errors import Malformed, NotFound, TooLarge, Unavailable, Unprocessable

FILE_LIMIT_BYTES: Final = 512 * 1024 * 1024
"""The same bound as on a table that is measured."""
STAGED_LIMIT: Final = 16
"""Files that may wait for one party; the one that arrived first gives way to the next."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_READ_BYTES: Final = 1024 * 1024


def check_digest(digest: str, *, field: str = "digest") -> str:
    """Give the digest back, or Malformed where it is not 64 lower-case hexadecimal digits."""
    if not _DIGEST.fullmatch(digest):
        raise Malformed(
            "digest.form",
            "not a SHA-256",
            field=field,
            rule="a file is named by its SHA-256: 64 lower-case hexadecimal digits",
            remedy="send the output of sha256sum",
        )
    return digest


class Vault:
    """The files of one exchange below one directory, which several processes may share."""

    def __init__(self, directory: Path, *, limit_bytes: int = FILE_LIMIT_BYTES) -> None:
        self._incoming = directory / "incoming"
        self._staging = directory / "staging"
        self._products = directory / "products"
        self._limit_bytes = limit_bytes
        for folder in (directory, self._incoming, self._staging, self._products):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def receive(self, party: str, digest: str, chunks: AsyncIterable[bytes]) -> int:
        """Stage a file for `party` as its bytes arrive and return its size in bytes.

        Raises TooLarge as soon as the limit is passed and Unprocessable where the bytes hash to another
        digest; either way, and where the sender goes away, nothing stays. The same file again is the same file.
        """
        check_digest(digest)
        descriptor, name = await asyncio.to_thread(tempfile.mkstemp, dir=self._incoming)  # made 0600
        arriving = Path(name)
        try:
            size, hasher = 0, hashlib.sha256()
            with os.fdopen(descriptor, "wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > self._limit_bytes:
                        raise TooLarge(
                            "upload.too_large",
                            f"more than {self._limit_bytes} bytes",
                            field="body",
                            rule=f"a file has at most {self._limit_bytes} bytes",
                            remedy="split the table, for example by month",
                        )
                    hasher.update(chunk)
                    await asyncio.to_thread(_write, file.fileno(), chunk)
                await asyncio.to_thread(os.fsync, file.fileno())
            if hasher.hexdigest() != digest:
                raise Unprocessable(
                    "upload.digest",
                    f"the bytes that arrived hash to {hasher.hexdigest()}",
                    field="sha256",
                    rule="the name of an upload is the SHA-256 of its bytes",
                    remedy="compute the digest again and upload once more",
                )
            await asyncio.to_thread(self._stage, arriving, party, digest)
        except OSError as error:
            raise _unavailable(error) from error
        finally:
            arriving.unlink(missing_ok=True)  # noqa: ASYNC240  # has to happen even when the caller was cancelled
        return size

    def _stage(self, arriving: Path, party: str, digest: str) -> None:
        folder = self._of(party)
        _make_durable_folder(folder)
        waiting = sorted(
            (p for p in folder.iterdir() if p.name != digest), key=lambda p: p.stat().st_mtime_ns
        )
        for path in waiting[: max(0, len(waiting) - STAGED_LIMIT + 1)]:
            path.unlink(missing_ok=True)
        arriving.replace(folder / digest)
        _sync_folder(folder)

    def staged(self, party: str, digest: str) -> Path | None:
        """Where the party's file waits, or None. Its bytes were checked when it arrived."""
        path = self._of(party) / check_digest(digest)
        return path if path.is_file() else None

    def discard(self, party: str, digest: str) -> None:
        """Delete the party's staged file, if there is one."""
        (self._of(party) / check_digest(digest)).unlink(missing_ok=True)

    def keep(self, party: str, digest: str) -> None:
        """Make the party's staged file a product; it stays staged too, until `discard`.

        A product that is already here is left as it is. Raises NotFound where neither is here, Unavailable
        where the staged bytes no longer hash to their name.
        """
        product = self._product(digest)
        if product.is_file():
            return
        staged = self.staged(party, digest)
        if staged is None:
            raise _absent(digest)
        _check(staged, digest)
        _make_durable_folder(product.parent)
        try:
            os.link(staged, product)
        except FileExistsError:
            return  # another process kept the same bytes
        except OSError as error:
            raise _unavailable(error) from error
        _sync_folder(product.parent)

    def product(self, digest: str) -> Path:
        """Where a product lies, its bytes hashed again just now.

        NotFound where it is not here, Unavailable where it was changed on the disk: then nothing is served.
        """
        path = self._product(digest)
        if not path.is_file():
            raise _absent(digest)
        _check(path, digest)
        return path

    def _of(self, party: str) -> Path:
        return self._staging / hashlib.sha256(party.encode()).hexdigest()

    def _product(self, digest: str) -> Path:
        return self._products / check_digest(digest)[:2] / digest


def file_digest(path: Path) -> str:
    """SHA-256 of a file in hexadecimal, read in pieces of one MiB."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            hasher.update(piece)
    return hasher.hexdigest()


def _check(path: Path, digest: str) -> None:
    if (found := file_digest(path)) != digest:
        raise Unavailable(
            "vault.changed",
            f"file {digest} now hashes to {found}",
            retry_after_s=3600,
            remedy="restore the file from a backup; its name is what it has to hash to",
        )


def _absent(digest: str) -> NotFound:
    return NotFound("file.unknown", f"no file {digest}", field="digest", remedy="upload the file first")


def _unavailable(error: OSError) -> Unavailable:
    return Unavailable(
        "vault.disk",
        f"the vault cannot be written: {error.strerror}",
        retry_after_s=60,
        remedy="free space on the disk of the data directory, or make it writable again",
    )


def _write(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]


def _make_durable_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
