"""Copies of a running exchange, and the way back: a restore counts only when what came back is proven.

    TARGET/20260131T120000Z/
        backup.json        what this is: written last, so a folder without it is no backup
        base/              the cluster, by pg_basebackup, with its manifest of SHA-256 digests
        credentials.json   passwords of the cluster's three roles
        products/          the vault's accepted files, named by their digests

The whole folder is as secret as the database itself (mode 0700). The exchange's private keys are *not* in
it: whoever holds both could rewrite history and sign it. They are backed up apart.

Between two backups the cluster's own archive keeps every finished segment of the write-ahead log; with it,
and with the segments that were not finished, a restore reaches any moment after the backup.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import psycopg

from exchange.embedded import SUPERUSER, Postgres, binaries, move_in, refuse_existing, remove, take_in
from exchange.errors import Conflict, Misconfigured
from exchange.vault import file_digest

FORMAT: Final = "data-asset-exchange-backup@1"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SEGMENT: Final = re.compile(r"[0-9A-F]{24}|[0-9A-F]{8}\.history")
_PERCENT: Final = re.compile(r"\((\d+)%\)")
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup on disk. `checkpoint` is the signed checkpoint that was newest when it began: whatever
    comes back has to contain that history. Time is in microseconds since the epoch.
    """

    folder: Path
    taken_us: int
    checkpoint: str | None
    server_version: str
    first_segment: str
    products: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Proof:
    """What an audit found in a restored database: the log's size and root, and whether all of it holds."""

    size: int
    root: bytes
    ok: bool
    words: str


Judge = Callable[[Postgres, Sequence[str]], Proof]
"""Audits a running restored cluster against signed checkpoints that were kept outside it. An audit that
passes while one of those lies beyond the log, or off it, is a failed one."""


def backup(
    postgres: Postgres,
    vault_dir: Path,
    target: Path,
    *,
    now_us: int,
    checkpoint: str | None,
    say: Callable[[str], None],
) -> Backup:
    """Copy the running cluster and the accepted products into a new folder below `target`.

    Nobody is stopped. The copy is verified against its manifest, WAL included, before it gets its name;
    a backup that was interrupted has none. `checkpoint` is read before the copy begins. Archived segments
    that no backup in `target` can need are deleted.

    Raises `Misconfigured` when `target` cannot be written or is too small, `Conflict` when the copy does
    not verify.
    """
    name = f"{_moment(now_us):%Y%m%dT%H%M%SZ}"
    with _disk(target):
        target.mkdir(parents=True, exist_ok=True)
        if (target / name).exists():
            raise Conflict("backup.exists", f"{target / name} exists", remedy="wait a second and try again")
        partial = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=target))  # 0700
        try:
            _check_space(postgres, target)
            _copy_cluster(postgres, partial / "base", say)
            _verify(partial / "base", say)
            shutil.copy2(postgres.folder / "credentials.json", partial / "credentials.json")
            # After the cluster: a file is on the disk before the row that names it is committed.
            products = _copy_products(vault_dir / "products", partial / "products", say)
            first_segment = _first_segment(partial / "base")
            size_bytes = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
            (partial / "backup.json").write_text(
                json.dumps(
                    {
                        "format": FORMAT,
                        "taken_us": str(now_us),
                        "checkpoint": checkpoint,
                        "server_version": (partial / "base" / "PG_VERSION").read_text().strip(),
                        "first_segment": first_segment,
                        "products": str(products),
                        "size_bytes": str(size_bytes),
                    },
                    ensure_ascii=False,
                    indent=2,
                )
            )
            _sync(partial)
            partial.rename(target / name)
            _sync(target, inside=False)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        _prune(postgres, min(made.first_segment for made in backups(target)))
    return read(target / name)


def backups(target: Path) -> list[Backup]:
    """The whole backups below `target`, oldest first."""
    return [read(path.parent) for path in sorted(target.glob("[0-9]*Z/backup.json"))]


def read(folder: Path) -> Backup:
    """What a folder says of itself. Raises `Misconfigured` when it is no whole backup."""
    try:
        said = json.loads((folder / "backup.json").read_text())
        if said["format"] != FORMAT:
            raise ValueError(said["format"])
        return Backup(
            folder=folder,
            taken_us=int(said["taken_us"]),
            checkpoint=said["checkpoint"],
            server_version=str(said["server_version"]),
            first_segment=str(said["first_segment"]),
            products=int(said["products"]),
            size_bytes=int(said["size_bytes"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Misconfigured(
            "backup.unreadable",
            f"{folder} is not a whole backup ({error})",
            field="backup",
            rule=f"a backup is a folder with a backup.json of format {FORMAT}",
            remedy="name a folder that `exchange backup` finished, such as TARGET/20260131T120000Z",
        ) from error


def restore(
    folder: Path,
    data_dir: Path,
    vault_dir: Path,
    *,
    judge: Judge,
    held: Sequence[str] = (),
    segments: Sequence[Path] = (),
    to_time_us: int | None = None,
    say: Callable[[str], None],
) -> Proof:
    """Bring a backup back into a data directory without a cluster, and keep it only when it is proven.

    `segments` are directories with later write-ahead log: the lost cluster's `wal_archive` and, where it
    can be read, its `data/pg_wal`. With them the restore goes to the end of that log, or to `to_time_us`:
    everything committed up to that moment and nothing after it. `held` are signed checkpoints that were
    kept elsewhere; the backup's own is always among them.

    Raises `Conflict` when the judge refuses, when a product is damaged, or when the moment cannot be
    reached: then nothing is left in the data directory.
    """
    made = read(folder)
    refuse_existing(data_dir)
    if to_time_us is not None and not segments:
        raise Misconfigured(
            "backup.no_log",
            "a moment was named and no write-ahead log to reach it",
            field="wal",
            rule="a moment after the backup is reached through the log that was archived since",
            remedy="name the lost cluster's postgres/wal_archive (and its postgres/data/pg_wal)",
        )
    _verify(folder / "base", say)
    # What is not proven never lies where an exchange would open it, not even after a crash of this process.
    staging = data_dir / "restoring"
    if staging.exists():
        remove(staging)
    say("copying the cluster back")
    take_in(staging, folder / "base", _found(segments), json.loads((folder / "credentials.json").read_text()))
    try:
        say("recovering")
        with _recover(staging, to_time_us, say) as postgres:
            say("auditing what came back")
            kept = ((made.checkpoint,) if made.checkpoint is not None else ()) + tuple(held)
            proof = judge(postgres, kept)
        if not proof.ok:
            raise Conflict(
                "backup.not_proven",
                f"what came back is not the log's history: {proof.words}",
                rule="a restore counts when the audit passes and every checkpoint that was kept lies on the log",
                remedy="restore an older backup; keep this one as evidence",
            )
        _bring_products(folder / "products", vault_dir, say)
        move_in(staging, data_dir)
    finally:
        remove(staging)
        shutil.rmtree(staging)
    return proof


def _recover(data_dir: Path, to_time_us: int | None, say: Callable[[str], None]) -> Postgres:
    """Start the cluster that was taken in, let it replay what there is, and end on a timeline of its own."""
    folder = (data_dir / "postgres").resolve()
    archive = shlex.quote(str(folder / "wal_archive")).replace("%", "%%")
    recovery = {
        "hot_standby": "off",  # it counts as started only when it has replayed everything
        "restore_command": f'cp {archive}/%f "%p"',
        "recovery_target_action": "promote",
        "recovery_target_timeline": "latest",
    }
    if to_time_us is not None:
        recovery["recovery_target_time"] = f"{_moment(to_time_us):%Y-%m-%d %H:%M:%S.%f}+00"
    signal, owner = folder / "data" / "recovery.signal", (folder / "data").stat()
    signal.touch(mode=0o600)
    os.chown(signal, owner.st_uid, owner.st_gid)
    try:
        return Postgres.start(data_dir, recovery=recovery, say=say)
    except Misconfigured as error:
        if "recovery target was reached" in error.detail or "consistent recovery point" in error.detail:
            raise Conflict(
                "backup.moment",
                f"that moment cannot be reached: {error.detail}",
                field="to_time",
                rule="the moment lies after the backup's end and before the last act in the log that was found",
                remedy="name another moment, an earlier backup, or leave the moment out to recover everything",
            ) from error
        raise


def _copy_cluster(postgres: Postgres, base: Path, say: Callable[[str], None]) -> None:
    """pg_basebackup as this process, so that the copy belongs to whoever asked for it."""
    password = postgres.url(SUPERUSER).partition("@")[0].rpartition(":")[2]
    with tempfile.NamedTemporaryFile("w", prefix="exchange-") as passwords:  # 0600; never in an argument
        passwords.write(f"127.0.0.1:{postgres.port}:*:{SUPERUSER}:{password}\n")
        passwords.flush()
        command = subprocess.Popen(
            [
                str(binaries() / "pg_basebackup"),
                *("--dbname", f"postgresql://{SUPERUSER}@127.0.0.1:{postgres.port}/postgres"),
                *("--pgdata", str(base), "--wal-method", "stream", "--checkpoint", "fast"),
                *("--manifest-checksums", "SHA256", "--no-password", "--progress"),
            ],
            env={"PGPASSFILE": passwords.name, "LC_ALL": "C", "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert command.stderr is not None
        said, told = [], -100
        for line in command.stderr:
            percent = _PERCENT.search(line)
            if percent is None:
                said.append(line.strip())
            elif int(percent[1]) >= told + 20 or (percent[1] == "100" and told != 100):
                told = int(percent[1])
                say(f"copying the cluster: {told} %")
        if command.wait() != 0:
            raise Conflict(
                "backup.failed",
                f"pg_basebackup: {' '.join(said)}",
                rule="a backup is whole or does not exist",
                remedy="see whether the target has space and the exchange still runs, then try again",
            )


def _verify(base: Path, say: Callable[[str], None]) -> None:
    say("verifying the copy against its manifest")
    done = subprocess.run(
        [str(binaries() / "pg_verifybackup"), "--quiet", "--exit-on-error", str(base)],
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Conflict(
            "backup.damaged",
            f"the copy in {base} is damaged: {done.stderr.strip()}",
            rule="every file of a backup has the digest that its manifest names",
            remedy="use another backup; look at the disk that holds this one",
        )


def _first_segment(base: Path) -> str:
    found = re.search(r"START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)", (base / "backup_label").read_text())
    assert found is not None
    return found[1]


def _prune(postgres: Postgres, oldest: str) -> None:
    """Forget archived segments from before `oldest`; names order by timeline, then by place in the log."""
    for path in postgres.wal_archive.iterdir():
        if re.fullmatch(r"[0-9A-F]{24}", path.name) and path.name[8:] < oldest[8:]:
            path.unlink()


def _found(directories: Sequence[Path]) -> Iterable[Path]:
    """The segments to recover from; where two directories hold the same one, the first is finished."""
    taken: dict[str, Path] = {}
    for directory in directories:
        for path in sorted(directory.iterdir()):
            if _SEGMENT.fullmatch(path.name):
                taken.setdefault(path.name, path)
    return taken.values()


def _copy_products(source: Path, target: Path, say: Callable[[str], None]) -> int:
    say("copying the products")
    target.mkdir(mode=0o700)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    return sum(1 for path in target.rglob("*") if path.is_file())


def _bring_products(source: Path, vault_dir: Path, say: Callable[[str], None]) -> None:
    say("checking and placing the products")
    for path in sorted(source.rglob("*")):
        if path.is_file() and file_digest(path) != path.name:
            raise Conflict(
                "backup.product_damaged",
                f"product {path.name} has other bytes than its name says",
                rule="a product is named by the SHA-256 of its bytes",
                remedy="use another backup; look at the disk that holds this one",
            )
    vault_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copytree(source, vault_dir / "products", dirs_exist_ok=True)


def _sync(folder: Path, *, inside: bool = True) -> None:
    """Bring a folder to the disk, but for the cluster in it, which pg_basebackup has synced itself."""
    for path in folder.iterdir() if inside else ():
        if path.is_dir() and path.name != "base":
            _sync(path)
        elif path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_space(postgres: Postgres, target: Path) -> None:
    with psycopg.connect(postgres.url(SUPERUSER, "postgres")) as connection:
        row = connection.execute("SELECT sum(pg_database_size(oid))::bigint FROM pg_database").fetchone()
    assert row is not None
    needed = row[0] // _MIB + 64  # and some write-ahead log
    free = shutil.disk_usage(target).free // _MIB
    if free < needed:
        raise _full(target, f"{free} MiB are free, {needed} MiB are needed")


def _full(target: Path, detail: str) -> Misconfigured:
    return Misconfigured(
        "backup.disk_full",
        f"{target} cannot take the backup: {detail}",
        field="target",
        rule="a backup is as large as the database and its products",
        remedy="free some space there, let this user write there, or name a directory on another disk",
    )


@contextlib.contextmanager
def _disk(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _full(target, str(error)) from error


def _moment(time_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time_us)
