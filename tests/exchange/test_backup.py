"""Backups and the way back: what was acknowledged comes back, to the entry, and what is not proven does not."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import psycopg
import pytest
from moto.server import ThreadedMotoServer

from exchange.backup import (
    BEHIND,
    Aim,
    Backup,
    Index,
    Keeper,
    Moment,
    Proof,
    Stopped,
    Store,
    backups,
    cluster,
    reached,
    refuse_behind,
    restore,
)
from exchange.backup.chains import forks, living
from exchange.database import upgrade
from exchange.embedded import SUPERUSER, Postgres
from exchange.errors import Conflict, Misconfigured, Unavailable
from exchange.settings import Bucket, store_address
from ledger import log
from ledger.checkpoint import Signer, sign
from ledger.entries import Entry, canonical
from tests.exchange.test_embedded import small_disk

ORIGIN = "exchange.example/log"
SIGNER = Signer(ORIGIN, b"l" * 32)
KEY = b"b" * 32
NOW_US = 1_767_225_600_000_000
PRODUCT = b"a desensitized table"
DIGEST = hashlib.sha256(PRODUCT).hexdigest()


def quiet(line: str) -> None:
    """No progress."""


def wall_us() -> int:
    return time.time_ns() // 1000


async def append(url: str, count: int) -> None:
    """Put a batch of entries on the log, as the gate does, beginning it where there is none."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        if await (await connection.execute(log.READ_HEAD)).fetchone() is None:
            await log.create(connection, ORIGIN, NOW_US)
        head = await log.read_head(connection)
        entries = []
        for index in range(head.edge.size, head.edge.size + count):
            body = {
                "kind": "test.act",
                "time": str(NOW_US),
                "by": "p",
                "party": "q",
                "key": str(index),
                "act": {},
            }
            entries.append(Entry("test.act", NOW_US, index.to_bytes(32), canonical(body)))
        for statement, values in log.append(head, entries, NOW_US).statements:
            await connection.execute(statement, values)


async def _tip(url: str) -> str:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        return sign((await log.read_head(connection)).checkpoint(), SIGNER)


def size_of(postgres: Postgres) -> int:
    with psycopg.connect(postgres.owner_url) as connection:
        row = connection.execute("SELECT size FROM log_head").fetchone()
    assert row is not None
    return int(row[0])


@dataclass
class Market:
    """A running cluster with a log, a vault with a product, and a store."""

    postgres: Postgres
    root: Path
    store: Store
    said: list[str] = field(default_factory=list)

    def keeper(self, store: Store | None = None) -> Keeper:
        return Keeper(
            store or self.store,
            self.postgres,
            self.root / "var",
            tip=lambda: asyncio.run(_tip(self.postgres.app_url)),
            clock_us=wall_us,
            say=self.said.append,
        )

    def append(self, count: int) -> int:
        """One batch; the log's size after it."""
        asyncio.run(append(self.postgres.app_url, count))
        return size_of(self.postgres)

    def take(self, *, incremental: bool = False) -> Backup:
        while True:
            try:
                return self.keeper().take(incremental=incremental)
            except Conflict as problem:
                if problem.code != "backup.exists":
                    raise
                time.sleep(0.2)

    def archived(self) -> list[str]:
        return sorted(path.name for path in self.postgres.wal_archive.iterdir() if len(path.name) == 24)


def judging(
    seen: list[Sequence[str]] | None = None, *, sound: bool = True, outside: int = 0
) -> Callable[..., Proof]:
    """An auditor who says how large the log is, and knows how large it was seen."""

    def look(postgres: Postgres, kept: Sequence[str]) -> Proof:
        if seen is not None:
            seen.append(kept)
        return Proof(size_of(postgres), b"r" * 32, sound, "words", outside)

    return look


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """An empty directory that the server's account may enter."""
    with tempfile.TemporaryDirectory(prefix="exchange-backup-") as folder:
        os.chmod(folder, 0o711)
        yield Path(folder)


@contextlib.contextmanager
def running_market() -> Iterator[Market]:
    with open_folder() as root:
        product = root / "var" / "vault" / "products" / DIGEST[:2] / DIGEST
        product.parent.mkdir(parents=True)
        product.write_bytes(PRODUCT)
        (root / "var" / "anchor.json").write_text('{"contract": "0xc"}')
        # Processes are killed here, the machine is not: what reached the kernel stays.
        with Postgres.start(root / "var", durable=False) as postgres:
            upgrade(postgres.app_url, postgres.owner_url)
            market = Market(postgres, root, Store(root / "store", KEY, make=True))
            market.append(5)
            yield market


@pytest.fixture(scope="module")
def market() -> Iterator[Market]:
    """One market for the tests of this module; its log and its store only grow."""
    with running_market() as market:
        yield market


@dataclass(frozen=True)
class Past:
    """What the market's store was filled with, in this order, and how large the log was after each step."""

    full: Backup
    incremental: Backup
    batches: list[int]  # the log's size after each batch since
    moment_us: int  # between the second and the third of them
    shipped_us: int


@pytest.fixture(scope="module")
def past(market: Market) -> Past:
    full = market.take()
    market.append(3)
    incremental = market.take(incremental=True)
    batches = [market.append(2), market.append(3)]
    time.sleep(0.02)
    moment_us = wall_us()
    time.sleep(0.02)
    batches += [market.append(1), market.append(4)]
    return Past(full, incremental, batches, moment_us, market.keeper().ship().time_us)


@pytest.fixture(scope="module")
def bucket() -> Iterator[Callable[[str], Store]]:
    """An S3-compatible server of its own on 127.0.0.1, and stores in it by prefix."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    httpx.put(f"{endpoint}/backups", timeout=120)  # the first request loads all that the server can do
    environ = {
        "AWS_ACCESS_KEY_ID": "exchange",
        "AWS_SECRET_ACCESS_KEY": "a secret of the store",
        "AWS_ENDPOINT_URL": endpoint,
    }

    def store(prefix: str) -> Store:
        return Store(store_address("--store", f"s3://backups/{prefix}", environ), KEY)

    yield store
    server.stop()


@pytest.fixture
def where(market: Market) -> Iterator[Path]:
    """An empty directory that the server's account may enter."""
    with tempfile.TemporaryDirectory(dir=market.root) as folder:
        os.chmod(folder, 0o711)
        yield Path(folder)


def size_after(store: Store, folder: Path, aim: Aim) -> int:
    """How large the log is that comes back; refused by the judge, nothing of it is kept."""
    found: list[int] = []

    def look(postgres: Postgres, kept: Sequence[str]) -> Proof:
        found.append(size_of(postgres))
        return Proof(found[0], b"", False, "seen, not kept")

    try:
        restore(store, folder, judge=look, aim=aim, say=quiet)
    except Conflict as problem:
        if problem.code != "backup.not_proven":
            raise
    assert not (folder / "postgres").exists()
    assert not (folder / "restoring").exists()
    return found[0]


def test_a_backup_comes_back_whole_elsewhere(market: Market, past: Past, where: Path) -> None:
    full, incremental = past.full, past.incremental
    assert (full.below, full.size_before, full.size_after, full.products) == (None, 5, 5, 1)
    assert (incremental.below, incremental.size_before) == (full.name, 8)
    assert full.started_us < full.ended_us < full.verified_us < incremental.started_us
    assert incremental.stored_bytes < full.stored_bytes / 5
    assert backups(market.store) == [full, incremental]

    seen: list[Sequence[str]] = []
    said: list[str] = []
    proof = restore(market.store, where, judge=judging(seen, outside=18), say=said.append)
    assert (proof.ok, proof.size) == (True, 18)
    upto = reached(market.store)
    assert upto is not None
    assert (upto.time_us, upto.size) == (past.shipped_us, 18)
    assert seen == [[full.checkpoint, incremental.checkpoint, upto.checkpoint]]
    assert f"fetching the full copy {full.name}" in said
    assert (where / "vault" / "products" / DIGEST[:2] / DIGEST).read_bytes() == PRODUCT
    assert json.loads((where / "anchor.json").read_text()) == {"contract": "0xc"}
    assert sorted(p.name for p in where.iterdir()) == ["anchor.json", "postgres", "postgres.lock", "vault"]
    with Postgres.start(where) as restored:
        assert not (restored.folder / "wal_restore").exists()
        assert restored.port != market.postgres.port
        with psycopg.connect(restored.app_url) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("exchange_app",)
        asyncio.run(append(restored.app_url, 1))
        restored.restart()  # it archives and lives on like any other
        assert size_of(restored) == 19
        assert any(path.name.startswith("00000002") for path in restored.wal_archive.iterdir())
    assert size_of(market.postgres) == 18


def test_a_restore_to_an_entry_ends_after_its_batch_and_before_the_next(
    market: Market, past: Past, where: Path
) -> None:
    assert past.batches == [10, 13, 14, 18]
    assert size_after(market.store, where / "first_of_its_batch", Index(10)) == 13
    with pytest.raises(Conflict, match="every backup that is kept already holds entry 4") as caught:
        size_after(market.store, where / "too_early", Index(4))
    assert caught.value.code == "backup.moment"
    with pytest.raises(Conflict, match="the store goes to entry 17"):
        size_after(market.store, where / "too_late", Index(18))


@pytest.mark.drill
def test_a_restore_to_any_entry_ends_with_its_batch(market: Market, past: Past, where: Path) -> None:
    ends = [8, *past.batches]  # of the batches after the full backup, which ended at 5
    for index in range(5, 18):
        expected = next(end for end in ends if end > index)
        assert size_after(market.store, where / str(index), Index(index)) == expected


def test_a_restore_to_a_moment_has_all_that_was_committed_by_then_and_nothing_after(
    market: Market, past: Past, where: Path
) -> None:
    assert size_after(market.store, where / "between", Moment(past.moment_us)) == 13
    # From the full one, through the log in which the incremental one was begun.
    assert size_after(market.store, where / "before", Moment(past.incremental.ended_us - 1)) == 8
    # Nothing was committed between the last act and how far the store goes.
    assert size_after(market.store, where / "quiet", Moment(past.shipped_us)) == 18
    with pytest.raises(Conflict, match="the store goes to 20") as caught:
        size_after(market.store, where / "future", Moment(past.shipped_us + 1))
    assert caught.value.field == "--to"
    with pytest.raises(Conflict, match="no backup had ended by that moment"):
        size_after(market.store, where / "past", Moment(past.full.ended_us - 1))


def test_a_log_behind_what_was_seen_takes_the_rest_back_and_is_judged_again(
    market: Market, past: Past, where: Path
) -> None:
    asked: list[tuple[int, int]] = []

    def recall(postgres: Postgres, seen_size: int) -> int:
        asked.append((size_of(postgres), seen_size))
        asyncio.run(append(postgres.app_url, seen_size - size_of(postgres)))
        return size_of(postgres)

    seen: list[Sequence[str]] = []
    proof = restore(market.store, where, judge=judging(seen, outside=20), recall=recall, say=quiet)
    assert asked == [(18, 20)]
    assert len(seen) == 2
    assert (proof.ok, proof.size) == (True, 20)
    with Postgres.start(where) as restored:
        assert size_of(restored) == 20


def test_a_log_behind_what_was_seen_is_kept_only_when_asked_and_served_by_nobody(
    market: Market, past: Past, where: Path
) -> None:
    with pytest.raises(Conflict, match="has 18 entries, and 20 were seen outside") as caught:
        restore(market.store, where, judge=judging(outside=20), say=quiet)
    assert caught.value.code == "backup.behind"
    assert "exchange succeed" in str(caught.value.remedy)
    refuse_behind(where)
    assert not (where / "postgres").exists()
    proof = restore(market.store, where, judge=judging(outside=20), keep_behind=True, say=quiet)
    assert (proof.ok, proof.size) == (False, 18)
    assert (where / BEHIND).exists()
    with pytest.raises(Misconfigured, match="18 entries, and 20 were seen") as refused:
        refuse_behind(where)
    assert refused.value.code == "market.behind"
    with Postgres.start(where) as kept:
        assert size_of(kept) == 18


def test_a_restore_never_writes_over_a_cluster(market: Market, past: Past) -> None:
    with pytest.raises(Misconfigured, match="already holds a database"):
        restore(market.store, market.root / "var", judge=judging(), say=quiet)
    assert size_of(market.postgres) == 18


@pytest.fixture
def copied(market: Market, past: Past, where: Path) -> Store:
    """A copy of the store that a test may damage."""
    shutil.copytree(market.root / "store", where / "store")
    return Store(where / "store", KEY)


def test_a_changed_missing_or_exchanged_object_is_named_and_nothing_is_restored(
    copied: Store, past: Past, where: Path
) -> None:
    folder = where / "store"
    full, incremental = f"backups/{past.full.name}", f"backups/{past.incremental.name}"
    segment = f"wal/{past.incremental.first_segment}"

    def refused(name: str, code: str = "backup.damaged") -> None:
        with pytest.raises(Conflict) as caught:
            restore(copied, where / "var", judge=judging(), say=quiet)
        assert caught.value.code == code
        assert name in caught.value.detail
        assert not (where / "var" / "postgres").exists()
        assert not (where / "var" / "vault").exists() or code == "backup.damaged"

    for name in (f"{full}/base.tar", f"{incremental}/base.tar", segment, f"{full}/backup.json"):
        honest = (folder / name).read_bytes()
        middle = len(honest) // 2
        (folder / name).write_bytes(honest[:middle] + bytes([honest[middle] ^ 1]) + honest[middle + 1 :])
        refused(name)
        (folder / name).write_bytes(honest)
    honest = (folder / segment).read_bytes()
    (folder / segment).write_bytes(honest[:-1])
    refused(segment)
    (folder / segment).write_bytes(honest)
    # An older copy in the newer one's place is whole, and not what belongs there.
    honest = (folder / incremental / "base.tar").read_bytes()
    shutil.copyfile(folder / full / "base.tar", folder / incremental / "base.tar")
    refused(f"{incremental}/base.tar")
    (folder / incremental / "base.tar").write_bytes(honest)
    (folder / full / "base.tar").rename(folder / "aside")
    refused(f"{full}/base.tar", "backup.missing")
    (folder / "aside").rename(folder / full / "base.tar")
    (folder / segment).rename(folder / "aside")
    refused(past.incremental.name, "backup.log_missing")
    (folder / "aside").rename(folder / segment)
    (folder / "products" / DIGEST[:2] / DIGEST).write_bytes(b"another table")
    refused(f"products/{DIGEST[:2]}/{DIGEST}")


def test_a_copy_that_is_not_what_its_manifest_lists_is_no_backup(market: Market, past: Past) -> None:
    with tarfile.open(
        fileobj=io.BytesIO(b"".join(market.store.get(f"backups/{past.full.name}/base.tar")))
    ) as tar:
        files = {m.name: content.read() for m in tar if (content := tar.extractfile(m)) is not None}

    def refused(files: dict[str, bytes]) -> str:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        with pytest.raises(Conflict) as caught:
            cluster.check_copy([packed.getvalue()], "the copy")
        assert caught.value.code == "backup.damaged"
        return caught.value.detail

    control = "global/pg_control"
    changed = bytes([files[control][0] ^ 1]) + files[control][1:]
    assert control in refused({**files, control: changed})
    assert control in refused({name: content for name, content in files.items() if name != control})
    assert "global/stranger" in refused({**files, "global/stranger": b""})
    assert "before its manifest" in refused({control: files[control]})


def test_a_store_shows_nothing_and_opens_under_its_own_key_alone(copied: Store, where: Path) -> None:
    folder = where / "store"
    assert folder.stat().st_mode & 0o777 == 0o700
    passwords = json.loads((where.parent / "var" / "postgres" / "credentials.json").read_text()).values()
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for secret in (PRODUCT, b"test.act", b"exchange_app", *(p.encode() for p in passwords)):
                assert secret not in content
    with pytest.raises(Misconfigured) as caught:
        restore(Store(folder, b"c" * 32), where / "var", judge=judging(), say=quiet)
    assert caught.value.code == "backup.wrong_key"


def test_a_folder_that_is_no_store_is_refused_by_name(market: Market, past: Past, where: Path) -> None:
    with pytest.raises(Misconfigured, match="holds no backup"):
        backups(Store(where / "empty", KEY, make=True))
    (where / "other").mkdir()
    (where / "other" / "letter").write_text("something else")
    for use in (backups, lambda store: market.keeper(store).ship()):
        with pytest.raises(Misconfigured) as caught:
            use(Store(where / "other", KEY))
        assert caught.value.code == "backup.foreign"
    (where / "file").write_text("a file")
    with pytest.raises(Misconfigured, match="cannot be used"):
        Store(where / "file", KEY, make=True)
    with pytest.raises(Misconfigured, match="cannot be used"):
        Store(where / "nowhere", KEY)


def test_an_incremental_backup_needs_one_below_it(market: Market, past: Past, where: Path) -> None:
    with pytest.raises(Conflict) as caught:
        market.keeper(Store(where / "new", KEY, make=True)).take(incremental=True)
    assert caught.value.code == "backup.no_ground"


def test_log_leaves_the_archive_only_when_the_store_has_it() -> None:
    with running_market() as market:
        market.append(1)
        keeper = market.keeper()
        keeper.ship()
        assert market.archived() == []
        shipped = set(market.store.names("wal"))
        assert shipped
        (market.root / "store").rename(market.root / "away")  # the disk is gone
        (market.root / "store").write_text("a file")
        market.append(1)
        market.postgres.restart()  # archives a segment
        archived = market.archived()
        assert archived
        for _ in range(2):
            with pytest.raises(Misconfigured):
                keeper.ship()
        assert market.archived() == archived
        (market.root / "store").unlink()
        (market.root / "away").rename(market.root / "store")
        before = reached(market.store)
        assert before is not None
        assert before.size == 6
        upto = keeper.ship()
        assert (upto.size, market.archived()) == (7, [])
        assert {f"wal/{name}" for name in archived} <= set(market.store.names("wal")) - shipped
        # Nothing is written while nothing happens.
        keeper.ship()
        quiet_now = market.store.names("wal")
        assert keeper.ship().size == 7
        assert market.store.names("wal") == quiet_now

        # A copy that is given up in the middle is none, and leaves the next one its place.
        failing = market.keeper()
        threading.Timer(0.1, failing.stop).start()
        with pytest.raises(Stopped):
            failing.take()
        whole = {backup.name for backup in backups(market.store)}
        parts = {name.split("/")[1] for name in market.store.names("backups")}
        assert not list((market.root / "store").rglob("*#*"))  # how the library names what it is writing
        market.take()
        assert len(backups(market.store)) == len(whole) + 1
        # What it left is removed when it is surely nobody's work any more.
        aged = Keeper(
            market.store,
            market.postgres,
            market.root / "var",
            tip=lambda: None,
            clock_us=lambda: wall_us() + 2 * 86_400_000_000,
            say=quiet,
        )
        assert aged.prune(0) == []
        assert {name.split("/")[1] for name in market.store.names("backups")} == {
            backup.name for backup in backups(market.store)
        }
        assert parts >= whole

        # Another cluster's log under the same name is found before it is taken for ours.
        stranger = market.store.names("wal")
        name = next(iter(stranger))
        (market.postgres.wal_archive / name.removeprefix("wal/")).write_bytes(bytes(16 << 20))
        with pytest.raises(Conflict) as caught:
            keeper.ship()
        assert caught.value.code == "backup.forked"


def test_the_last_seconds_come_from_the_lost_disk_and_the_next_exchange_goes_on_from_there(
    where_open: Path,
) -> None:
    with running_market() as market:
        market.take()
        market.append(2)
        shipped_us = market.keeper().ship().time_us
        market.append(1)
        with psycopg.connect(market.postgres.url(SUPERUSER), autocommit=True) as connection:
            connection.execute("SELECT pg_switch_wal()")  # finished, and never shipped
        market.append(2)
        lost = market.postgres
        lost.kill()  # its last segment was never archived
        tail = [lost.wal_archive, lost.data / "pg_wal"]
        restore(market.store, where_open / "var", judge=judging(), segments=tail, say=quiet)
        with Postgres.start(where_open / "var", durable=False) as restored:
            assert size_of(restored) == 10
            after = Market(restored, where_open, market.store)
            before_us = wall_us()
            time.sleep(0.02)
            assert after.append(1) == 11
            # The schedule begins a chain of its own on the new timeline.
            keeper = after.keeper()
            time.sleep(1.0)
            keeper.keep(1, 30)
            made = backups(market.store)
            assert [b.below for b in made] == [None, None]
            assert made[1].timeline > made[0].timeline
            assert forks(market.store)[1] > 0
            # What lay only on the lost disk is in the store now, on the way to any later moment.
            assert size_after(market.store, where_open / "older", Moment(before_us)) == 10

            # A restore to an earlier moment leaves the rest behind, for every restore after it.
            restored.stop()
            restore(market.store, where_open / "back", judge=judging(), aim=Moment(shipped_us), say=quiet)
        with Postgres.start(where_open / "back", durable=False) as again:
            assert size_of(again) == 7
            after = Market(again, where_open, market.store)
            after.append(2)
            after.keeper().ship()
            assert size_after(market.store, where_open / "branch", None) == 9
            assert [b.name for b in living(backups(market.store), forks(market.store))] == [made[0].name]
            with pytest.raises(Conflict, match="the store goes to entry 8"):
                size_after(market.store, where_open / "left", Index(9))
        lost.restart()


@pytest.fixture
def where_open() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


def test_a_running_exchange_takes_what_is_due_and_removes_what_nobody_needs(
    market: Market, past: Past, where: Path
) -> None:
    store = Store(where / "store", KEY, make=True)
    now = [wall_us()]
    said: list[str] = []
    keeper = Keeper(
        store,
        market.postgres,
        market.root / "var",
        tip=lambda: None,
        clock_us=lambda: now[0],
        say=said.append,
    )
    hour_us = 3_600_000_000
    keeper.keep(3600, 1)
    keeper.keep(3600, 1)  # not due
    first = backups(store)
    assert [b.below for b in first] == [None]
    now[0] += hour_us
    keeper.keep(3600, 1)
    made = backups(store)
    assert [b.below for b in made] == [None, made[0].name]
    # Without what changed since the one below, a full one is taken.
    now[0] += hour_us
    store.delete([f"backups/{made[1].name}/manifest"])
    store.put(f"backups/{made[1].name}/manifest", [b"{}"])
    keeper.keep(3600, 1)
    assert backups(store)[2].below is None
    assert any("a full one is taken instead" in line for line in said)
    # Two days later only what the last day needs is left: the newest that had ended before it.
    now[0] += 48 * hour_us
    before = store.names("wal")
    keeper.keep(3600, 1)
    left = backups(store)
    assert left[0].below is None
    assert made[0].name not in {b.name for b in left}
    assert {name.split("/")[1] for name in store.names("backups")} == {b.name for b in left}
    assert min(store.names("wal")) > min(before)


def test_a_store_that_is_full_says_so_and_keeps_no_half_of_an_object(where: Path) -> None:
    with small_disk(where / "disk", "2m") as disk:
        store = Store(disk, KEY)
        store.put("small", [b"x" * 1000])
        with pytest.raises(Misconfigured) as caught:
            store.put("large", (os.urandom(1 << 20) for _ in range(4)))
        assert caught.value.code == "backup.disk_full"
        assert store.names("") == {"small": store.names("")["small"]}
        assert b"".join(store.get("small")) == b"x" * 1000


WRITES = """
import os, sys, time
from pathlib import Path
from exchange.backup import Store

def pieces():
    yield os.urandom(70 << 20)
    time.sleep(60)

Store(Path(sys.argv[1]), b"b" * 32, make=True).put("backups/x/base.tar", pieces())
"""


def test_what_a_killed_upload_left_is_no_object_and_is_swept_away_later(where: Path) -> None:
    folder = where / "store"
    writer = subprocess.Popen([sys.executable, "-c", WRITES, folder])
    deadline = time.monotonic() + 30
    while not (left := [path for path in folder.rglob("*") if path.is_file()]):
        assert time.monotonic() < deadline
        assert writer.poll() is None
        time.sleep(0.02)
    writer.kill()
    writer.wait()
    store = Store(folder, KEY)
    assert store.names("") == {}
    store.put("backups/x/base.tar", [b"the next one"])
    store.sweep(wall_us() - 3_600_000_000)
    assert left[0].exists()  # it may be somebody's work
    store.sweep(wall_us() + 1)
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["base.tar"]
    assert b"".join(store.get("backups/x/base.tar")) == b"the next one"


def test_what_fails_on_this_side_is_not_blamed_on_the_store(where: Path) -> None:
    store = Store(where / "store", KEY, make=True)

    def failing() -> Iterator[bytes]:
        yield os.urandom(40 << 20)  # more than one part is on its way
        raise FileNotFoundError("the file here")

    with pytest.raises(FileNotFoundError, match="the file here"):
        store.put("object", failing())
    assert [path for path in (where / "store").rglob("*") if path.is_file()] == []


def test_a_large_object_goes_in_parts_and_comes_back(bucket: Callable[[str], Store]) -> None:
    store, seen, plain = bucket("large"), hashlib.sha256(), hashlib.sha256()

    def pieces() -> Iterator[bytes]:
        for _ in range(70):
            piece = os.urandom(1 << 20)
            plain.update(piece)
            yield piece

    assert store.put("object", pieces()) > 70 << 20
    for piece in store.get("object"):
        seen.update(piece)
    assert seen.digest() == plain.digest()
    store.delete(["object", "never there"])
    assert store.names("") == {}


def test_a_bucket_that_is_not_there_and_a_store_that_is_away_are_told_apart(
    bucket: Callable[[str], Store],
) -> None:
    address = bucket("x").address
    assert isinstance(address, Bucket)
    with pytest.raises(Misconfigured) as caught:
        Store(replace(address, name="nobodys-bucket"), KEY).put("x", [b"x"])
    assert caught.value.code == "backup.store_refused"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        away = replace(address, endpoint=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(Unavailable) as unanswered:
            Store(away, KEY).put("x", [b"x"])
    assert unanswered.value.code == "backup.store_unreachable"
    for error in (caught.value, unanswered.value):
        assert "a secret of the store" not in f"{error.detail} {error.remedy}"


def test_a_bucket_takes_backups_as_a_folder_does(
    market: Market, past: Past, where: Path, bucket: Callable[[str], Store]
) -> None:
    store = bucket("exchange/market")
    full = market.keeper(store).take()
    assert backups(store) == [full]
    market.keeper(store).ship()
    assert size_after(store, where / "var", None) == 18
    assert full.name in {name.split("/")[1] for name in store.names("backups")}
    assert market.keeper(store).prune(full.ended_us - 1) == []
