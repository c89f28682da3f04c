"""Product files by the SHA-256 of their bytes: written once, whole or not at all, checked before they are read.

    DIRECTORY/incoming/        files still arriving; nothing here is ever read
    DIRECTORY/staging/P/D      waiting for a decision; P is the SHA-256 of the party's identifier
    DIRECTORY/arriving/P/D     a file that arrives piece by piece, in order, so that a cut costs no more than a piece
    DIRECTORY/products/dd/D    accepted, for good; dd are the first two digits of D (or elsewhere, see `exchange.shelves`)
    DIRECTORY/samples/D        a few rows of a product for the catalogue; made from it, and made again where it is lost

Every name below the directory is a digest in lower-case hexadecimal, so no caller's text becomes a path.
Files are 0600, directories 0700. A file and the name that leads to it are on the disk before a call returns.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exchange.errors import Conflict, Malformed, TooLarge, Unprocessable
from exchange.shelves import (
    Directory,
    InBucket,
    Product,
    Shelf,
    absent,
    changed,
    disk,
    file_digest,
    make_durable_folder,
    sync_folder,
)

if TYPE_CHECKING:
    from exchange.settings import Bucket

FILE_LIMIT_BYTES: Final = 512 * 1024 * 1024
"""The same bound as on a table that is measured."""
STAGED_LIMIT: Final = 16
"""Files that may wait for one party; the one that arrived first gives way to the next."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


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
    """The files of one exchange below one directory, which several processes may share.

    Accepted products lie there too, or in the bucket `products`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        products: Bucket | None = None,
        limit_bytes: int = FILE_LIMIT_BYTES,
    ) -> None:
        self._incoming = directory / "incoming"
        self._staging = directory / "staging"
        self._samples = directory / "samples"
        self._arriving = directory / "arriving"
        self._limit_bytes = limit_bytes
        for folder in (
            directory,
            self._incoming,
            self._staging,
            self._samples,
            self._arriving,
        ):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._shelf: Shelf = (
            Directory(directory / "products") if products is None else InBucket(products, self._incoming)
        )

    def free_bytes(self) -> int:
        """How much room this machine has for files, arriving ones and products of its own."""
        return shutil.disk_usage(self._incoming).free

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
                raise _other(hasher.hexdigest())
            await asyncio.to_thread(self._stage, arriving, party, digest)
        except OSError as error:
            raise disk(error) from error
        finally:
            arriving.unlink(missing_ok=True)  # noqa: ASYNC240  # has to happen even when the caller was cancelled
        return size

    def _stage(self, arriving: Path, party: str, digest: str) -> None:
        folder = self._of(party)
        make_durable_folder(folder)
        waiting = sorted(
            (p for p in folder.iterdir() if p.name != digest), key=lambda p: p.stat().st_mtime_ns
        )
        for path in waiting[: max(0, len(waiting) - STAGED_LIMIT + 1)]:
            path.unlink(missing_ok=True)
        arriving.replace(folder / digest)
        sync_folder(folder)

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
        if self._shelf.has(check_digest(digest)):
            return
        staged = self.staged(party, digest)
        if staged is None:
            raise absent(digest)
        if (found := file_digest(staged)) != digest:
            raise changed(digest, found)
        self._shelf.take(digest, staged)

    def open(self, digest: str) -> Product:
        """A product to be sent. Its bytes were hashed when this process first opened it, and again whenever it changed:
        NotFound where it is not here, Unavailable where it is not what it was.
        """
        return self._shelf.open(check_digest(digest))

    @contextmanager
    def at_hand(self, digest: str) -> Iterator[Path]:
        """A product as a file of this machine, checked alike, for as long as the context lasts."""
        with self._shelf.at_hand(check_digest(digest)) as path:
            yield path

    def arrived(self, party: str, digest: str) -> int:
        """How many bytes of a file are here that arrives piece by piece; 0 where nothing is."""
        path = self._part(party, digest)
        return path.stat().st_size if path.is_file() else 0

    async def append(
        self, party: str, digest: str, offset: int, chunks: AsyncIterable[bytes], *, limit_bytes: int
    ) -> int:
        """Append a piece at `offset` and return how many bytes are here then; what came before a cut stays.

        Conflict where the file does not end at `offset`, TooLarge past the limit: then nothing of it stays.
        """
        path = self._part(party, digest)
        if (here := self.arrived(party, digest)) != offset:
            raise Conflict(
                "bulk.offset",
                f"{here} bytes are here, the piece begins at {offset}",
                field="offset",
                rule="a piece begins where the bytes that arrived end",
                remedy="ask how many arrived, and go on from there",
            )
        try:
            await asyncio.to_thread(make_durable_folder, path.parent)
            with path.open("ab") as file:
                async for chunk in chunks:
                    offset += len(chunk)
                    if offset > limit_bytes:
                        path.unlink(missing_ok=True)
                        raise TooLarge(
                            "bulk.too_large",
                            f"more than {limit_bytes} bytes",
                            field="body",
                            rule=f"at most {limit_bytes} bytes",
                            remedy="split it",
                        )
                    await asyncio.to_thread(_write, file.fileno(), chunk)
                await asyncio.to_thread(os.fsync, file.fileno())
        except OSError as error:
            raise disk(error) from error
        return offset

    async def gather(self, party: str, digest: str) -> None:
        """Stage the file whose pieces have all arrived. Unprocessable, and nothing of it stays, where its bytes hash to
        another digest."""
        path = self._part(party, digest)
        try:
            with path.open("rb") as file:
                found = (await asyncio.to_thread(hashlib.file_digest, file, "sha256")).hexdigest()
            if found != digest:
                path.unlink()
                raise _other(found)
            await asyncio.to_thread(self._stage, path, party, digest)
        except OSError as error:
            raise disk(error) from error

    def whole(self, party: str, digest: str) -> bytes | None:
        """The file, where all of it arrived and hashes to its name; None where more is to come."""
        path = self._part(party, digest)
        data = path.read_bytes() if path.is_file() else b""
        return data if hashlib.sha256(data).hexdigest() == digest else None

    def _part(self, party: str, digest: str) -> Path:
        return self._arriving / self._of(party).name / check_digest(digest)

    def sample(self, digest: str) -> bytes | None:
        """The sample that was kept of a product, or None."""
        try:
            return (self._samples / check_digest(digest)).read_bytes()
        except FileNotFoundError:
            return None

    def keep_sample(self, digest: str, sample: bytes) -> None:
        """Keep the sample of a product, whole or not at all. Unavailable where the disk takes none."""
        try:
            descriptor, name = tempfile.mkstemp(dir=self._incoming)
            with os.fdopen(descriptor, "wb") as file:
                file.write(sample)
            Path(name).replace(self._samples / check_digest(digest))
        except OSError as error:
            raise disk(error) from error

    def _of(self, party: str) -> Path:
        return self._staging / hashlib.sha256(party.encode()).hexdigest()


def _other(found: str) -> Unprocessable:
    return Unprocessable(
        "upload.digest",
        f"the bytes that arrived hash to {found}",
        field="sha256",
        rule="the name of an upload is the SHA-256 of its bytes",
        remedy="compute the digest again and upload once more",
    )


def _write(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]
