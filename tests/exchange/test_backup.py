"""Backups and the way back: what was acknowledged comes back, what is not proven does not."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from exchange import keys
from exchange.backup import Backup, Proof, backup, backups, read, restore
from exchange.database import upgrade
from exchange.embedded import Postgres
from exchange.errors import Conflict, Misconfigured
from exchange.settings import Settings
from ledger import log
from ledger.checkpoint import Signer, sign
from ledger.entries import Entry, canonical

NOW_US = 1_767_225_600_123_456  # 2026-01-01T00:00:00.123456Z
PRODUCT = b"a desensitized table"


@dataclass
class Market:
    """A running cluster with a table that stands for the log, and a vault with one product."""

    postgres: Postgres
    vault: Path
    root: Path

    def write(self, *numbers: int) -> None:
        with psycopg.connect(self.postgres.owner_url) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept (n bigint PRIMARY KEY)")
            for number in numbers:
                connection.execute("INSERT INTO kept VALUES (%s)", [number])

    def backup(self, target: str, now_us: int = NOW_US) -> Backup:
        return backup(
            self.postgres,
            self.vault,
            self.root / target,
            now_us=now_us,
            checkpoint="the newest note",
            say=lambda line: None,
        )


def kept(postgres: Postgres) -> set[int]:
    with psycopg.connect(postgres.owner_url) as connection:
        return {n for (n,) in connection.execute("SELECT n FROM kept")}


def judge(expected: set[int], seen: list[Sequence[str]] | None = None) -> Callable[..., Proof]:
    """An auditor who knows what has to be there."""

    def look(postgres: Postgres, held: Sequence[str]) -> Proof:
        if seen is not None:
            seen.append(held)
        found = kept(postgres)
        return Proof(len(found), b"", found == expected, f"found {sorted(found)}")

    return look


def quiet(line: str) -> None:
    """No progress."""


@contextlib.contextmanager
def running_market() -> Iterator[Market]:
    with tempfile.TemporaryDirectory(prefix="exchange-backup-") as folder:
        os.chmod(folder, 0o711)
        root = Path(folder)
        digest = hashlib.sha256(PRODUCT).hexdigest()
        product = root / "var" / "vault" / "products" / digest[:2] / digest
        product.parent.mkdir(parents=True)
        product.write_bytes(PRODUCT)
        # Processes are killed here, the machine is not: what reached the kernel stays.
        with Postgres.start(root / "var", durable=False) as postgres:
            market = Market(postgres, root / "var" / "vault", root)
            market.write(1)
            yield market


@pytest.fixture(scope="module")
def market() -> Iterator[Market]:
    """One market for the tests of this module; its rows only grow."""
    with running_market() as market:
        yield market


@pytest.fixture(scope="module")
def made(market: Market) -> Backup:
    """A backup with at least the row 1, which each test leaves as it was."""
    return market.backup("made")


@pytest.fixture
def where(market: Market) -> Iterator[Path]:
    """An empty directory that the server's account may enter."""
    with tempfile.TemporaryDirectory(dir=market.root) as folder:
        os.chmod(folder, 0o711)
        yield Path(folder)


def test_a_backup_comes_back_whole_elsewhere(market: Market, where: Path) -> None:
    said: list[str] = []
    rows = kept(market.postgres)
    made = backup(
        market.postgres,
        market.vault,
        where / "backups",
        now_us=NOW_US,
        checkpoint="the newest note",
        say=said.append,
    )
    assert made.folder == where / "backups" / "20260101T000000Z"
    assert (made.taken_us, made.checkpoint, made.products) == (NOW_US, "the newest note", 1)
    assert made.folder.stat().st_mode & 0o777 == 0o700
    assert "copying the cluster: 100 %" in said
    assert read(made.folder) == made
    assert backups(where / "backups") == [made]
    market.write(2)  # after the backup

    seen: list[Sequence[str]] = []
    var = where / "var"
    proof = restore(
        made.folder, var, var / "vault", judge=judge(rows, seen), held=["a witness's"], say=said.append
    )
    assert proof.ok
    assert seen == [("the newest note", "a witness's")]
    digest = hashlib.sha256(PRODUCT).hexdigest()
    assert (var / "vault" / "products" / digest[:2] / digest).read_bytes() == PRODUCT
    assert not (var / "restoring").exists()
    with Postgres.start(var) as restored:
        assert restored.port != market.postgres.port
        with psycopg.connect(restored.app_url) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("exchange_app",)
        with psycopg.connect(restored.owner_url) as connection:
            connection.execute("INSERT INTO kept VALUES (9)")
        restored.restart()  # it archives and lives on like any other
        assert kept(restored) == {*rows, 9}
    assert 9 not in kept(market.postgres)


def test_the_archived_log_leads_to_any_moment_after_the_backup(market: Market, where: Path) -> None:
    rows = kept(market.postgres)
    made = backup(
        market.postgres,
        market.vault,
        where / "backups",
        now_us=NOW_US,
        checkpoint=None,
        say=lambda line: None,
    )
    market.write(10)
    time.sleep(0.05)
    moment_us = time.time_ns() // 1000
    time.sleep(0.05)
    market.write(11)
    lost = market.postgres
    lost.kill()  # its last segment was never archived
    segments = [lost.wal_archive, lost.data / "pg_wal"]

    def come_back(name: str, expected: set[int], to_time_us: int | None, segments: Sequence[Path]) -> None:
        restore(
            made.folder,
            where / name,
            where / name / "vault",
            judge=judge(expected),
            segments=segments,
            to_time_us=to_time_us,
            say=quiet,
        )

    come_back("at_the_moment", {*rows, 10}, moment_us, segments)
    come_back("at_the_end", {*rows, 10, 11}, None, segments)
    with pytest.raises(Conflict, match="cannot be reached"):
        come_back("in_the_future", set(), moment_us + 3_600_000_000, segments)
    assert not (where / "in_the_future" / "restoring").exists()
    with pytest.raises(Misconfigured, match="no write-ahead log"):
        come_back("without_log", set(), moment_us, [])
    lost.restart()
    assert kept(lost) == {*rows, 10, 11}


def test_what_the_judge_refuses_is_not_kept(made: Backup, where: Path) -> None:
    with pytest.raises(Conflict, match=r"not the log's history: found \[1") as caught:
        restore(made.folder, where, where / "vault", judge=judge({-1}), say=quiet)
    assert caught.value.code == "backup.not_proven"
    assert {path.name for path in where.iterdir()} <= {"postgres.lock"}


def test_a_restore_never_writes_over_a_cluster(market: Market, made: Backup) -> None:
    before = kept(market.postgres)
    with pytest.raises(Misconfigured, match="already holds a database"):
        restore(made.folder, market.root / "var", market.vault, judge=judge(before), say=quiet)
    assert kept(market.postgres) == before


def test_a_changed_byte_in_a_backup_is_found_before_anything_is_restored(made: Backup, where: Path) -> None:
    changed = made.folder / "base" / "global" / "pg_filenode.map"
    honest = changed.read_bytes()
    changed.write_bytes(honest[:100] + bytes([honest[100] ^ 1]) + honest[101:])
    with pytest.raises(Conflict, match=r"pg_filenode\.map") as caught:
        restore(made.folder, where, where / "vault", judge=judge({1}), say=quiet)
    changed.write_bytes(honest)
    assert caught.value.code == "backup.damaged"
    assert list(where.iterdir()) == []


def test_a_changed_product_is_found_and_nothing_is_kept(made: Backup, where: Path) -> None:
    product = next(path for path in (made.folder / "products").rglob("*") if path.is_file())
    product.write_bytes(b"another table")
    with pytest.raises(Conflict, match="other bytes"):
        restore(made.folder, where, where / "vault", judge=lambda _, __: Proof(0, b"", True, ""), say=quiet)
    product.write_bytes(PRODUCT)
    assert {path.name for path in where.iterdir()} <= {"postgres.lock"}


def test_an_unfinished_folder_is_no_backup(where: Path) -> None:
    unfinished = where / "20260101T000000Z"
    (unfinished / "base").mkdir(parents=True)
    assert backups(where) == []
    with pytest.raises(Misconfigured, match="not a whole backup"):
        read(unfinished)
    (unfinished / "backup.json").write_text('{"format": "another"}')
    with pytest.raises(Misconfigured, match="not a whole backup"):
        read(unfinished)


def test_a_backup_that_fails_leaves_nothing_and_says_why(market: Market) -> None:
    target = market.root / "failing"
    target.write_text("a file")
    with pytest.raises(Misconfigured, match="cannot take the backup"):
        market.backup("failing")
    target.unlink()
    market.postgres.kill()
    with pytest.raises((Conflict, psycopg.OperationalError)):
        market.backup("failing")
    assert list(target.iterdir()) == []
    market.postgres.restart()


def test_log_that_no_backup_needs_is_forgotten_and_the_rest_is_kept(market: Market) -> None:
    def archived() -> set[str]:
        return {path.name for path in market.postgres.wal_archive.iterdir() if len(path.name) == 24}

    market.postgres.restart()  # archives a segment
    before = archived()
    first = market.backup("pruned")
    assert before
    assert not before & archived()
    market.postgres.restart()
    second = market.backup("pruned", now_us=NOW_US + 1_000_000)
    assert first.first_segment in archived()  # the older backup still needs it
    shutil.rmtree(first.folder)
    third = market.backup("pruned", now_us=NOW_US + 2_000_000)
    assert first.first_segment not in archived()
    assert backups(market.root / "pruned") == [second, third]


async def _append(url: str, count: int) -> None:
    """Put a batch of entries on the log, as the gate does, beginning it where there is none."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        if await (await connection.execute(log.READ_HEAD)).fetchone() is None:
            await log.create(connection, "exchange.example/log", NOW_US)
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


async def _tip(url: str, signer: Signer) -> str:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        return sign((await log.read_head(connection)).checkpoint(), signer)


def test_the_commands_keep_a_log_that_an_audit_proves_and_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_market() as market:
        keep_prove_and_refuse(market, monkeypatch, capsys)


def keep_prove_and_refuse(
    market: Market, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from exchange.cli import backup as commands

    monkeypatch.setenv("EXCHANGE_DATA_DIR", str(market.root / "var"))
    monkeypatch.setenv("EXCHANGE_ORIGIN", "exchange.example/log")
    for name in ("EXCHANGE_DATABASE_URL", "EXCHANGE_DATABASE_OWNER_URL"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings.from_environment(os.environ)
    signer = keys.load(settings.keys_dir, make=True).signer(settings.origin)
    upgrade(market.postgres.app_url, market.postgres.owner_url)
    asyncio.run(_append(market.postgres.app_url, 5))
    commands.backup(market.root / "backups")
    assert "private keys are not in it" in capsys.readouterr().out
    (made,) = backups(market.root / "backups")
    asyncio.run(_append(market.postgres.app_url, 3))
    tip = market.root / "witnessed"
    tip.write_text(asyncio.run(_tip(market.postgres.app_url, signer)))
    market.postgres.stop()
    lost = market.root / "lost"
    (market.root / "var" / "postgres").rename(lost)

    # The witness has seen eight entries: a backup of five is a log that was cut back.
    with pytest.raises(Conflict, match="not the log's history"):
        commands.restore(made.folder, held=[tip])
    assert not os.path.lexists(market.root / "var" / "postgres")

    commands.restore(made.folder, wal=[lost / "wal_archive"], held=[tip])
    said = capsys.readouterr().out
    assert "restored and proven: 8 entries" in said
    with Postgres.start(market.root / "var") as restored:
        assert asyncio.run(_tip(restored.app_url, signer)) == tip.read_text()
    with pytest.raises(Misconfigured, match="is no moment"):
        commands.restore(made.folder, to_time="yesterday")
