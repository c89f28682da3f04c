"""The life of a server: started or taken over, held, stopped, killed."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psycopg

from exchange.embedded.cluster import (
    APPLICATION,
    DATABASE,
    OWNER,
    SUPERUSER,
    Role,
    check_version,
    credentials_of,
    make_cluster,
    make_roles,
    refuse_lost,
    server_refused,
)
from exchange.embedded.place import Lock, Place, private
from exchange.embedded.ports import free_ports, no_port
from exchange.embedded.processes import POLL_S, PidFile, wait_until_empty, works_in
from exchange.embedded.refusals import RUNNING_CLUSTER_MIB, check_space, explained
from exchange.errors import Misconfigured

_STOP_S: Final = 60.0
_LOOK_S: Final = 0.1
_RETRY_S: Final = 1.0

_SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "256MB",
    # An answered act is on the disk.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # Base and incremental backups, and recovery to a point in time. The module writes aside, syncs and renames, and accepts
    # a file that is there already with the same content, which `cp` does not.
    "wal_level": "replica",
    "max_wal_senders": "4",
    "archive_mode": "on",
    "archive_library": "basic_archive",
    "summarize_wal": "on",
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

    def __init__(self, place: Place, credentials: Mapping[str, str], lock: Lock | None) -> None:
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
        with explained(data_dir):
            data_dir.mkdir(parents=True, exist_ok=True)
            lock = Lock.take(data_dir / "postgres.lock")
            try:
                place = Place.find(data_dir)
                self = cls(place, credentials_of(place), lock)
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
        with explained(data_dir):
            place = Place.existing(data_dir)
            found = None if place is None else PidFile.read(place.data)
            if place is None or found is None or not works_in(found.pid, place.data):
                raise Misconfigured(
                    "database.not_running",
                    f"no database runs in {data_dir}",
                    field="EXCHANGE_DATA_DIR",
                    rule="this command works beside a running exchange",
                    remedy="start it with `exchange serve`, or set EXCHANGE_DATA_DIR to its directory",
                )
            self = cls(place, credentials_of(place), None)
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
        return works_in(self.pid, self.data)

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
        with explained(self.folder):
            self._open()

    def kill(self) -> None:
        """Kill the server as `kill -9` would and wait until no process of it is left: for drills.

        A session may still finish what it is doing before it notices, as after a real kill.
        """
        assert self._lock is not None, "only the holder kills the server"
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._reap()
        wait_until_empty(self.data)

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """For as long as the context lasts, start the server again whenever it is gone: killed, or given up for
        want of room on the disk. What keeps it from starting is said once, and tried again until it is gone too.

        The server keeps its port, so that whoever used it finds it again. Somebody else's server is left alone.
        """
        if self._lock is None:
            yield
            return
        over = threading.Event()

        def look() -> None:
            said = ""
            while not over.wait(_LOOK_S):
                if self.alive:
                    continue
                try:
                    with explained(self.folder):
                        self._open()
                except (Misconfigured, psycopg.Error, OSError) as error:
                    if str(error) != said:
                        said = str(error)
                        self._say(f"the database is gone and cannot be started: {said}")
                    over.wait(_RETRY_S)
                else:
                    said = ""
                    self._say("the database was gone and is started again")

        thread = threading.Thread(target=look, name="database", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def discard(self) -> None:
        """Stop the server and delete the cluster, its archive and its credentials: for sandboxes."""
        assert self._lock is not None, "only the holder discards the cluster"
        self._stop_server(signal.SIGQUIT)  # nothing of it is kept: no checkpoint is worth the wait
        self._place.remove()
        self.stop()

    def _open(self) -> None:
        """Take over the server that runs here, or start one; then see that roles and database exist."""
        self.adopted = self._adopt()
        if not self.adopted:
            if not (self.data / "PG_VERSION").exists():
                refuse_lost(self._place)
                self._say("making the database cluster")
                make_cluster(self._place, self._credentials[SUPERUSER])
            check_version(self._place)
            check_space(self.folder, RUNNING_CLUSTER_MIB)
            self._launch()
        try:
            make_roles(self.url(SUPERUSER, "postgres"), self._credentials)
        except BaseException:
            # Nobody else would stop it: the caller gets no instance.
            if not self.adopted:
                self._stop_server()
            raise

    def _adopt(self) -> bool:
        found = PidFile.read(self.data)
        if found is None:
            return False
        while works_in(found.pid, self.data):
            found = PidFile.read(self.data) or found
            if found.status == "ready":
                self._process, self.pid, self.port = None, found.pid, found.port
                return True
            time.sleep(POLL_S)  # it recovers, or it is on its way out
        # The server is dead. Its last sessions may still write: the file stays until they are gone, and
        # is then in the way, because a dead process that nobody reaped counts as alive to `postgres`.
        wait_until_empty(self.data)
        with contextlib.suppress(FileNotFoundError):
            (self.data / "postmaster.pid").unlink()
        return False

    def _launch(self) -> None:
        log = self.folder / "server.log"
        for port in free_ports(self.folder):
            if log.exists():
                log.replace(self.folder / "server.log.1")
            # It may repeat the values of a statement that failed, so nobody else reads it.
            with open(log, "xb", opener=private) as output:
                self._place.give_to_holder(output.fileno())
                self._process = self._place.spawn(
                    "postgres",
                    *("-D", str(self.data), "-p", str(port)),
                    *(word for item in self._server_settings().items() for word in ("-c", "=".join(item))),
                    output=output.fileno(),
                )
            self.pid, self.port = self._process.pid, port
            if self._wait_until_ready():
                self._place.write("port", f"{port}\n")
                return
            said = log.read_text(errors="replace")
            if "could not bind" not in said and "could not create any TCP/IP sockets" not in said:
                raise server_refused(said, self._place)
        raise no_port(self.folder)

    def _server_settings(self) -> dict[str, str]:
        return {**self._settings, "basic_archive.archive_directory": str(self.wal_archive)}

    def _wait_until_ready(self) -> bool:
        assert self._process is not None
        told = time.monotonic() + 2.0
        while self._process.poll() is None:
            found = PidFile.read(self.data)
            if found is not None and found.pid == self.pid and found.status == "ready":
                return True
            if time.monotonic() > told:
                self._say("waiting for the database to recover")
                told += 10.0
            time.sleep(POLL_S)
        return False

    def _stop_server(self, *signals: signal.Signals) -> None:
        # Fast; then at once, to recover at the next start.
        for signal_number in signals or (signal.SIGINT, signal.SIGQUIT):
            if self._ends_within(_STOP_S, signal_number):
                break
        wait_until_empty(self.data)

    def _ends_within(self, seconds: float, signal_number: signal.Signals) -> bool:
        deadline = time.monotonic() + seconds
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal_number)
        while self.alive:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        self._reap()
        return True

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait()

    def _stop_at_exit(self, process_id: int) -> None:
        if os.getpid() == process_id:  # not in a fork
            self.stop()


def own_cluster(data_dir: Path, *, beside: bool = False, say: Callable[[str], None] = _silent) -> Postgres:
    """Start the cluster of a data directory; with `beside`, use it where another process holds it."""
    try:
        return Postgres.start(data_dir, say=say)
    except Misconfigured as error:
        if beside and error.code == "database.held":
            return Postgres.attach(data_dir)
        raise
