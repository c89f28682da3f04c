"""Where a cluster lies, who holds it, and whose the files in it are."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from exchange.embedded.installation import (
    ENVIRONMENT,
    HOME,
    Account,
    account_of,
    home,
    installation,
    may_enter,
)
from exchange.errors import Misconfigured


@dataclass(slots=True)
class Lock:
    """The exclusive right to one data directory, which ends with the process however that ends."""

    path: Path
    descriptor: int

    @classmethod
    def take(cls, path: Path) -> Lock:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip()
            os.close(descriptor)
            raise Misconfigured(
                "database.held",
                f"{path.parent} is in use by " + (f"process {holder}" if holder else "another process"),
                field="EXCHANGE_DATA_DIR",
                rule="one exchange uses a data directory at a time",
                remedy=(f"stop process {holder}" if holder else "stop that process")
                + ", or set EXCHANGE_DATA_DIR to another directory",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return cls(path, descriptor)

    def release(self) -> None:
        os.ftruncate(self.descriptor, 0)
        os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cluster lies, with which binaries, and as whom it runs (None: as this process)."""

    pointer: Path
    folder: Path
    install: Path
    account: Account | None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def wal_archive(self) -> Path:
        return self.folder / "wal_archive"

    @classmethod
    def existing(cls, data_dir: Path) -> Place | None:
        pointer = data_dir / "postgres"
        if not pointer.is_symlink() and not pointer.exists():
            return None
        try:
            folder = pointer.resolve(strict=True)
        except FileNotFoundError:
            raise Misconfigured(
                "database.lost",
                f"{pointer} points to {pointer.readlink()}, which is gone",
                field="EXCHANGE_DATA_DIR",
                rule="the cluster of a data directory has to be where it was put",
                remedy=f"bring it back, or remove {pointer} and run `exchange restore` on a backup",
            ) from None
        account = account_of(folder / "data")
        if account is not None and not may_enter(folder, account):
            raise Misconfigured(
                "database.closed",
                f"{folder} cannot be entered by the account that runs the database (uid {account.uid})",
                field="EXCHANGE_DATA_DIR",
                rule="the server, which never runs as root, has to reach its own files",
                remedy=f"let others pass through the directories above it, or move it to {HOME} and link it",
            )
        return cls(pointer, folder, installation(account), account)

    @classmethod
    def find(cls, data_dir: Path) -> Place:
        """The place of this data directory, made when there is none."""
        place = cls.existing(data_dir)
        if place is not None:
            return place
        pointer = data_dir / "postgres"
        account = account_of(None)
        if account is None:
            pointer.mkdir(mode=0o700)
            return cls(pointer, pointer.resolve(), installation(None), None)
        pointer.mkdir(mode=0o711)
        pointer.chmod(0o711)  # whatever the umask is: the account has to pass, not to look
        if not may_enter(pointer, account):
            pointer.rmdir()
            folder = Path(tempfile.mkdtemp(prefix="cluster-", dir=home()))
            folder.chmod(0o711)
            pointer.symlink_to(folder)
        return cls(pointer, pointer.resolve(), installation(account), account)

    def spawn(self, program: str, *arguments: str, output: int) -> subprocess.Popen[bytes]:
        """Start a program of the installation as the account that owns the cluster.

        It gets a session of its own, so that a Ctrl-C in the terminal reaches the exchange and not the
        server underneath it.
        """
        return subprocess.Popen(
            [str(self.install / "bin" / program), *arguments],
            user=None if self.account is None else self.account.uid,
            group=None if self.account is None else self.account.gid,
            extra_groups=None if self.account is None else [],
            cwd="/",
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            umask=0o077,
            start_new_session=True,
        )

    def remove(self) -> None:
        shutil.rmtree(self.folder)
        if self.pointer.is_symlink():
            self.pointer.unlink()

    def write(self, name: str, text: str) -> None:
        """Write a file of ours whole or not at all, readable by its owner alone."""
        new = self.folder / f"{name}.new"
        new.unlink(missing_ok=True)
        with open(new, "x", encoding="utf-8", opener=private) as file:
            self.give_to_holder(file.fileno())
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.folder / name)

    def make_folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self.give_to_account(folder)

    def give_to_account(self, path: Path) -> None:
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)

    def give_to_holder(self, descriptor: int) -> None:
        """What root writes into somebody's folder belongs to that somebody."""
        if self.account is not None:
            owner = self.folder.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


def private(path: str, flags: int) -> int:
    """An opener for files that only their owner may read."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
