"""Where backups lie: a directory or an S3-compatible bucket, whose objects only the backup key opens."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from exchange.backup.sealing import SALT_BYTES, damaged, seal, unseal
from exchange.errors import Conflict, ExchangeError, Misconfigured, Unavailable
from exchange.objects import opened
from exchange.settings import Bucket

if TYPE_CHECKING:
    from obstore.store import LocalStore, S3Store

_PART: Final = 32 << 20
"""Bytes of one part of a large upload: 10,000 parts, the most that S3 takes, are 312 GiB."""
_READ: Final = 16 << 20
_FILE_READ: Final = 1 << 20
_UNFINISHED: Final = re.compile(r"[^#]+#[0-9]+")  # how the library names what it is still writing


class Store:
    """Named objects, each there whole or not at all; nothing readable leaves this process."""

    def __init__(self, address: Path | Bucket, key: bytes, *, make: bool = False) -> None:
        """`key` is the backup key. A directory that is missing is made with `make`, mode 0700.

        Raises `Misconfigured` where the address cannot be a store, or where there is none.
        """
        self.address = address
        self._key = key
        self._store: LocalStore | S3Store
        with self._explained(""):
            self._store = opened(address, make=make)

    def put(self, name: str, plain: Iterable[bytes]) -> int:
        """Seal `plain` into the store under `name`, in constant memory, and return the bytes that it takes there.

        The object appears when all of it is there (in a directory: on the disk); what fails leaves none.
        """
        failure: list[BaseException] = []
        taken = 0

        def sealed() -> Iterator[bytes]:
            nonlocal taken
            try:
                for piece in seal(plain, self._key, name, secrets.token_bytes(SALT_BYTES)):
                    taken += len(piece)
                    yield piece
            except BaseException as error:
                failure.append(error)
                raise

        try:
            with self._explained(name):
                pieces, first = sealed(), bytearray()
                for piece in pieces:
                    first += piece
                    if len(first) > _PART:
                        obstore.put(
                            self._store,
                            name,
                            itertools.chain([bytes(first)], pieces),
                            chunk_size=_PART,
                            max_concurrency=2,
                        )
                        break
                else:
                    obstore.put(self._store, name, bytes(first))
                self._settle(name)
        except BaseException:
            if failure:  # what happened to the pieces, not what the library made of it
                raise failure[0] from None
            raise
        return taken

    def get(self, name: str) -> Iterator[bytes]:
        """The object `name`, opened, in pieces. It may be relied on when the iterator is exhausted.

        Raises `Conflict` where it is missing or damaged, `Misconfigured` where another key sealed it.
        """
        return unseal(self._ranges(name), self._key, name)

    def has(self, name: str) -> bool:
        """Whether there is an object of this name; says nothing of whether it opens."""
        with self._explained(name):
            try:
                obstore.head(self._store, name)
            except FileNotFoundError:
                return False
            return True

    def names(self, folder: str) -> dict[str, int]:
        """The objects below `folder`, in order, each with the bytes that it takes."""
        with self._explained(folder):
            found = itertools.chain.from_iterable(obstore.list(self._store, folder))
            return dict(sorted((item["path"], item["size"]) for item in found))

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects, one after the other in this order; one that is not there is no error."""
        for name in names:
            with self._explained(name), contextlib.suppress(FileNotFoundError):
                obstore.delete(self._store, name)

    def sweep(self, before_us: int) -> None:
        """Remove what uploads that were killed before a moment left in a directory: under no name, and never read.

        A bucket does that itself, by its rule for unfinished uploads.
        """
        if isinstance(self.address, Path):
            with self._explained(""):
                for path in self.address.rglob("*#*"):
                    if _UNFINISHED.fullmatch(path.name) and path.stat().st_mtime_ns // 1000 < before_us:
                        path.unlink(missing_ok=True)

    def get_file(self, name: str, path: Path) -> None:
        """Write an object into a new file, which stays only when the object opened whole."""
        try:
            with open(path, "xb", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
                for piece in self.get(name):
                    file.write(piece)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def put_json(self, name: str, value: object) -> int:
        """Put a small document."""
        return self.put(name, [json.dumps(value, ensure_ascii=False, indent=2).encode()])

    def get_json(self, name: str) -> Any:
        """Read a small document."""
        try:
            return json.loads(b"".join(self.get(name)))
        except ValueError as error:
            raise damaged(name, str(error)) from error

    def _ranges(self, name: str) -> Iterator[bytes]:
        """The sealed bytes, a request each range, so that no request lasts longer than its timeout."""
        with self._explained(name):
            size = obstore.head(self._store, name)["size"]
        for start in range(0, size, _READ):
            with self._explained(name):
                piece = obstore.get_range(self._store, name, start=start, end=min(size, start + _READ))
            yield bytes(piece)

    def _settle(self, name: str) -> None:
        """Bring an object of a directory to the disk: the library renames, and leaves that to the kernel."""
        if isinstance(root := self.address, Path):
            path = root / name
            for part in (path, *itertools.takewhile(lambda parent: parent != root.parent, path.parents)):
                descriptor = os.open(part, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    @contextlib.contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        """Turn what the store says into what the operator can do. Its words never hold the credentials."""
        try:
            yield
        except ExchangeError:
            raise
        except (BaseError, OSError) as error:
            raise self._refusal(name, error) from error

    def _refusal(self, name: str, error: Exception) -> ExchangeError:
        said = str(error).partition("\n\nDebug source")[0].strip()[:400]
        place = f"{self.address}/{name}".rstrip("/")
        if any(words in said for words in ("No space left", "Disk quota", "StorageFull", "os error 28")):
            return full(self.address, said)
        if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in said and name:
            return Conflict(
                "backup.missing",
                f"{place} is not there",
                rule="a backup is whole: every object that it names is in the store",
                remedy="use an earlier backup (`exchange backup list`); look at what was deleted there",
            )
        if isinstance(error, (PermissionDeniedError, UnauthenticatedError, OSError)) or (
            isinstance(self.address, Path)
        ):
            return Misconfigured(
                "backup.store_refused",
                f"{place} cannot be used: {said}",
                field="EXCHANGE_BACKUP_TARGET",
                rule="the store is a directory that this user may write, or a bucket that these AWS_… credentials open",
                remedy="make it, correct its rights or the credentials, or name another store",
            )
        return Unavailable(
            "backup.store_unreachable",
            f"{place} does not answer: {said}",
            retry_after_s=30,
            remedy="look whether the store runs and AWS_ENDPOINT_URL leads there; nothing was left half-written",
        )


def pieces_of(path: Path) -> Iterator[bytes]:
    """A file's bytes, a mebibyte at a time."""
    with path.open("rb") as file:
        while piece := file.read(_FILE_READ):
            yield piece


def full(address: Path | Bucket, detail: str) -> Misconfigured:
    """The refusal of a store without room."""
    return Misconfigured(
        "backup.disk_full",
        f"{address} cannot take the backup: {detail}",
        field="target",
        rule="a backup is at most as large as the database and its products",
        remedy="free some space there, let this user write there, or name a directory on another disk",
    )
