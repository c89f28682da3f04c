"""Where accepted products lie, by the SHA-256 of their bytes: in a directory, or in an S3-compatible bucket.

A product's bytes are hashed when a process first opens it, and again whenever the file or object is another than it was:
then nothing of it is served. Names are `dd/D`, dd the first two digits of the digest D.
"""

from __future__ import annotations

import asyncio
import hashlib
import mmap
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exchange.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from obstore.store import LocalStore, S3Store

    from exchange.settings import Bucket

_READ_BYTES: Final = 1 << 20
_PART_BYTES: Final = 16 << 20
_POPULATE_READ: Final = 22  # MADV_POPULATE_READ (Linux 5.14), which Python has no name for


class Product(ABC):
    """An open product, to be read in pieces from any place, and closed."""

    def __init__(self, digest: str, size_bytes: int, magic: bytes) -> None:
        self.digest = digest
        self.size_bytes = size_bytes
        parquet = magic == b"PAR1"
        self.suffix = ".parquet" if parquet else ".csv"
        self.media_type = "application/vnd.apache.parquet" if parquet else "text/csv"

    @abstractmethod
    async def read(self, start: int, end: int) -> bytes | memoryview:
        """At least one byte from `start` on, and none from `end` on; Unavailable where there is none."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it."""


class Shelf(ABC):
    """Products by their digests: each there whole or not at all."""

    def __init__(self) -> None:
        self._checked: dict[str, Any] = {}  # what each was when it was hashed

    @abstractmethod
    def has(self, digest: str) -> bool:
        """Whether a product is here."""

    @abstractmethod
    def take(self, digest: str, staged: Path) -> None:
        """Keep a staged file, whose bytes hash to its digest, for good. Unavailable where there is no room or no answer."""

    @abstractmethod
    def open(self, digest: str) -> Product:
        """A product to be sent. NotFound where it is not here, Unavailable where it is not what it was."""

    @abstractmethod
    def at_hand(self, digest: str) -> Any:
        """A context in which the product is a file of this machine, for what reads files."""

    def _check(self, digest: str, state: Any, hashed: Callable[[], str]) -> None:
        if self._checked.get(digest) == state:
            return
        self._checked.pop(digest, None)
        if (found := hashed()) != digest:
            raise changed(digest, found)
        self._checked[digest] = state


class Directory(Shelf):
    """Products below a directory of this machine, 0600 in 0700."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def has(self, digest: str) -> bool:
        """Whether a product is here."""
        return self._path(digest).is_file()

    def take(self, digest: str, staged: Path) -> None:
        """Link it into its place, on the disk before this returns."""
        path = self._path(digest)
        try:
            make_durable_folder(path.parent)
            os.link(staged, path)
        except FileExistsError:
            return  # another process kept the same bytes
        except OSError as error:
            raise disk(error) from error
        sync_folder(path.parent)

    def path(self, digest: str) -> Path:
        """Where it lies, checked."""
        path = self._path(digest)
        if not path.is_file():
            raise absent(digest)
        # No program changes a file's bytes without its change time, short of setting the machine's clock back.
        found = path.stat()
        state = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        self._check(digest, state, lambda: file_digest(path))
        return path

    def open(self, digest: str) -> Product:
        """Its file, open: what is unlinked or replaced meanwhile changes nothing of it."""
        return _File(digest, os.open(self.path(digest), os.O_RDONLY))

    @contextmanager
    def at_hand(self, digest: str) -> Iterator[Path]:
        """Where it lies."""
        yield self.path(digest)

    def _path(self, digest: str) -> Path:
        return self.root / digest[:2] / digest


class _File(Product):
    """A mapped file: what is read of it is a view of the system's own copy, which nobody copies before the network does."""

    def __init__(self, digest: str, descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        super().__init__(digest, size, os.pread(descriptor, 4, 0))
        self._map = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) if size else b""
        os.close(descriptor)

    async def read(self, start: int, end: int) -> memoryview:
        if not start < self.size_bytes:
            raise changed(self.digest, f"nothing from byte {start} on")
        if isinstance(self._map, mmap.mmap):
            # The disk is waited for in a thread, so that whoever sends the view finds all of it in memory.
            await asyncio.to_thread(_bring, self._map, start, end)
        return memoryview(self._map)[start:end]

    def close(self) -> None:
        self._map = b""  # it is unmapped when the last view that is still on its way is gone


def _bring(mapped: mmap.mmap, start: int, end: int) -> None:
    first = start - start % mmap.PAGESIZE
    try:
        mapped.madvise(_POPULATE_READ, first, end - first)
    except OSError:  # a system that does not know it
        for at in range(first, end, mmap.PAGESIZE):
            mapped[at]


class InBucket(Shelf):
    """Products in an S3-compatible bucket; `copies` is a directory for what passes through this machine."""

    def __init__(self, bucket: Bucket, copies: Path) -> None:
        from exchange.objects import opened

        super().__init__()
        self._store: LocalStore | S3Store = opened(bucket)
        self._copies = copies

    def has(self, digest: str) -> bool:
        """Whether a product is here."""
        return self._head(digest) is not None

    def take(self, digest: str, staged: Path) -> None:
        """Upload it, in parts where it is large; it appears when all of it is there."""
        import obstore

        if not self.has(digest):
            try:
                with _answering():
                    obstore.put(self._store, _name(digest), staged, chunk_size=_PART_BYTES, max_concurrency=2)
            except FileNotFoundError as error:  # the bucket itself, or what was staged
                raise _unanswered(str(error)) from error

    def open(self, digest: str) -> Product:
        """The object, as it is now: a later one under its name is not served by this."""
        import obstore

        head = self._head(digest)
        if head is None:
            raise absent(digest)
        size = int(head["size"])
        self._check(digest, (head["e_tag"], size), lambda: self._hashed(digest, size))
        with _answering():
            magic = (
                bytes(obstore.get_range(self._store, _name(digest), start=0, end=min(4, size)))
                if size
                else b""
            )
        return _Object(digest, size, magic, self._store)

    @contextmanager
    def at_hand(self, digest: str) -> Iterator[Path]:
        """A copy that goes away again."""
        product = self.open(digest)
        with tempfile.NamedTemporaryFile(dir=self._copies) as copy:
            for piece in self._pieces(digest, product.size_bytes):
                copy.write(piece)
            copy.flush()
            yield Path(copy.name)

    def _head(self, digest: str) -> Any:
        import obstore

        try:
            with _answering():
                return obstore.head(self._store, _name(digest))
        except FileNotFoundError:
            return None

    def _hashed(self, digest: str, size: int) -> str:
        hasher = hashlib.sha256()
        for piece in self._pieces(digest, size):
            hasher.update(piece)
        return hasher.hexdigest()

    def _pieces(self, digest: str, size: int) -> Iterator[bytes]:
        import obstore

        for start in range(0, size, _PART_BYTES):
            with _answering():
                yield bytes(
                    obstore.get_range(
                        self._store, _name(digest), start=start, end=min(size, start + _PART_BYTES)
                    )
                )


class _Object(Product):
    def __init__(self, digest: str, size_bytes: int, magic: bytes, store: LocalStore | S3Store) -> None:
        super().__init__(digest, size_bytes, magic)
        self._store = store

    async def read(self, start: int, end: int) -> bytes:
        import obstore

        with _answering():
            return bytes(await obstore.get_range_async(self._store, _name(self.digest), start=start, end=end))

    def close(self) -> None:
        """Nothing is held."""


@contextmanager
def _answering() -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        raise _unanswered(str(error)) from error


def _unanswered(said: str) -> Unavailable:
    # What the library says never holds the credentials; behind this mark stands its own source.
    return Unavailable(
        "vault.bucket",
        f"the bucket of products does not answer: {said.partition('Debug source')[0].strip()[:400]}",
        retry_after_s=30,
        remedy="look whether the store runs, and what EXCHANGE_PRODUCTS_TARGET and the AWS_… variables say",
    )


def _name(digest: str) -> str:
    return f"{digest[:2]}/{digest}"


def file_digest(path: Path) -> str:
    """SHA-256 of a file in hexadecimal, read in pieces of one MiB."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            hasher.update(piece)
    return hasher.hexdigest()


def changed(digest: str, found: str) -> Unavailable:
    """The refusal of a product whose bytes are others."""
    return Unavailable(
        "vault.changed",
        f"file {digest} now hashes to {found}",
        retry_after_s=3600,
        remedy="restore the file from a backup; its name is what it has to hash to",
    )


def absent(digest: str) -> NotFound:
    """The refusal of what is not here."""
    return NotFound("file.unknown", f"no file {digest}", field="digest", remedy="upload the file first")


def disk(error: OSError) -> Unavailable:
    """The refusal of a disk that takes nothing."""
    return Unavailable(
        "vault.disk",
        f"the vault cannot be written: {error.strerror}",
        retry_after_s=60,
        remedy="free space on the disk of the data directory, or make it writable again",
    )


def make_durable_folder(folder: Path) -> None:
    """Make a folder, 0700, that is on the disk before this returns."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
