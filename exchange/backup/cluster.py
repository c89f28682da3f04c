"""PostgreSQL's own tools, used as they are: a copy streamed out, copies combined, a copy checked."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

import psycopg

from exchange.backup.sealing import damaged
from exchange.embedded import SUPERUSER, Postgres, binaries
from exchange.errors import Conflict

_ENVIRONMENT: Final = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
_PIECE: Final = 1 << 18
_MANIFEST: Final = "backup_manifest"
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a copy says of itself: its bytes as they came, and the log that makes it consistent."""

    text: bytes
    timeline: int
    start_lsn: str
    end_lsn: str


def copy_out(postgres: Postgres, below: bytes | None, say: Callable[[str], None]) -> Iterator[bytes]:
    """The running cluster as a tar stream, without its log; with a manifest `below`, what changed since.

    Nobody is stopped, nothing is written to this disk. It ends when the log that it needs was archived.

    Raises `Conflict` where pg_basebackup fails.
    """
    with (
        passwords(postgres) as environment,
        tempfile.TemporaryFile() as complaints,
        tempfile.NamedTemporaryFile(prefix="exchange-") as manifest,
    ):
        manifest.write(below or b"")
        manifest.flush()
        command = subprocess.Popen(
            [
                str(binaries() / "pg_basebackup"),
                *("--dbname", f"postgresql://{SUPERUSER}@127.0.0.1:{postgres.port}/postgres"),
                *("--format", "tar", "--pgdata", "-", "--wal-method", "none", "--checkpoint", "fast"),
                *("--manifest-checksums", "SHA256", "--no-password"),
                *(() if below is None else ("--incremental", manifest.name)),
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
        )
        assert command.stdout is not None
        try:
            copied, told = 0, 0
            while piece := command.stdout.read(_PIECE):
                yield piece
                copied += len(piece)
                if copied >= told + 64 * _MIB:
                    told = copied
                    say(f"copying the cluster: {copied // _MIB} MiB")
            status = command.wait()
        finally:
            command.kill()  # where the store gave up in the middle
            command.wait()
            command.stdout.close()
        if status != 0:
            complaints.seek(0)
            raise Conflict(
                "backup.failed",
                f"pg_basebackup: {' '.join(complaints.read().decode(errors='replace').split())}",
                rule="a backup is whole or does not exist",
                remedy="see whether the exchange still runs, then try again; an incremental one needs "
                "the changes since the one below it: where they are gone, make a full one",
            )
        say(f"copied the cluster: {copied / _MIB:.1f} MiB")


def check_copy(stream: Iterable[bytes], name: str) -> Manifest:
    """Read a copy to its end and see that it has the files that its manifest lists, with their SHA-256, and no others.

    Raises `Conflict` naming the first that differs.
    """
    found: dict[str, tuple[int, str]] = {}
    text: bytes | None = None
    with _tar(stream, name) as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is None:  # a directory
                continue
            if member.name == _MANIFEST:
                text = content.read()
                continue
            digest = hashlib.sha256()
            while piece := content.read(_PIECE):
                digest.update(piece)
            found[member.name] = (member.size, digest.hexdigest())
    if text is None:
        raise damaged(name, "the copy ends before its manifest")
    manifest = read_manifest(text, name)
    listed = {f["Path"]: (int(f["Size"]), f["Checksum"]) for f in json.loads(text)["Files"]}
    for path in sorted(listed.keys() | found.keys()):
        if listed.get(path) != found.get(path):
            raise damaged(name, f"{path} is not the file that its manifest lists")
    return manifest


def read_manifest(text: bytes, name: str) -> Manifest:
    """The manifest of the copy `name`. Raises `Conflict` where it cannot be read."""
    try:
        (needed,) = json.loads(text)["WAL-Ranges"]
        return Manifest(text, int(needed["Timeline"]), str(needed["Start-LSN"]), str(needed["End-LSN"]))
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(name, f"its manifest cannot be read ({error!r})") from error


def unpack(stream: Iterable[bytes], folder: Path, name: str) -> None:
    """Write the copy `name` into a new folder, for its owner alone. Raises `Conflict` where it is not whole."""
    folder.mkdir(mode=0o700)
    with _tar(stream, name) as tar:
        for member in tar:
            path = f"{folder}/{member.name}"
            if ".." in member.name.split("/") or not (member.isdir() or member.isfile()):
                raise damaged(name, f"{member.name} is neither a file nor a folder in it")
            if member.isdir():
                os.makedirs(path, mode=0o700, exist_ok=True)
                continue
            content = tar.extractfile(member)
            assert content is not None
            with open(path, "xb", opener=_private) as file:
                shutil.copyfileobj(content, file, _PIECE)


def combine(parts: Sequence[Path], folder: Path) -> None:
    """Make one whole copy of a full one and those that stand on it; `parts` are used up.

    Raises `Conflict` where they do not belong together.
    """
    if len(parts) == 1:
        parts[0].rename(folder)
        return
    done = subprocess.run(
        [
            str(binaries() / "pg_combinebackup"),
            # The server syncs its directory itself before it recovers.
            *("--link", "--no-sync", "--output", str(folder)),
            *map(str, parts),
        ],
        env=_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    if "No space left on device" in done.stderr:
        raise OSError(errno.ENOSPC, done.stderr.strip())
    if done.returncode != 0:
        raise damaged(folder.name, f"its parts do not combine: {done.stderr.strip()}")


def verify(copy: Path, log: Path) -> None:
    """See that a copy agrees with its manifest, and that `log` has, readable, what makes it consistent.

    Raises `Conflict` where it does not.
    """
    done = subprocess.run(
        [
            str(binaries() / "pg_verifybackup"),
            *("--quiet", "--exit-on-error", "--wal-directory", str(log), str(copy)),
        ],
        env=_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise damaged("the copy of the cluster", done.stderr.strip())


@contextlib.contextmanager
def passwords(postgres: Postgres) -> Iterator[dict[str, str]]:
    """An environment in which libpq finds the superuser's password: never in an argument."""
    password = postgres.url(SUPERUSER).partition("@")[0].rpartition(":")[2]
    with tempfile.NamedTemporaryFile("w", prefix="exchange-") as file:  # 0600
        file.write(f"127.0.0.1:{postgres.port}:*:{SUPERUSER}:{password}\n")
        file.flush()
        yield {**_ENVIRONMENT, "PGPASSFILE": file.name}


def size_bytes(postgres: Postgres) -> int:
    """What all databases of the cluster take on the disk."""
    with psycopg.connect(postgres.url(SUPERUSER, "postgres")) as connection:
        row = connection.execute("SELECT sum(pg_database_size(oid))::bigint FROM pg_database").fetchone()
    assert row is not None
    return int(row[0])


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class _Pieces:
    """Pieces read as one file, as far as `tarfile` reads a stream."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._waiting = bytearray()

    def read(self, size: int) -> bytes:
        while len(self._waiting) < size and (piece := next(self._pieces, None)) is not None:
            self._waiting += piece
        taken = bytes(self._waiting[:size])
        del self._waiting[:size]
        return taken

    def rest(self) -> None:
        """Read on to the end: only there does a sealed object show that nothing was cut off."""
        for _ in self._pieces:
            continue


@contextlib.contextmanager
def _tar(stream: Iterable[bytes], name: str) -> Iterator[tarfile.TarFile]:
    pieces = _Pieces(stream)
    try:
        with tarfile.open(fileobj=cast(IO[bytes], pieces), mode="r|") as tar:
            yield tar
    except tarfile.TarError as error:
        raise damaged(name, f"it is no copy of a cluster ({error})") from error
    pieces.rest()
