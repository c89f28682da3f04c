"""Backups and the way back: what was acknowledged comes back, what is not proven does not."""

from __future__ import annotations

import asyncio
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
from ledger.checkpoint import Checkpoint, Signer, sign
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

    def backup(self, target: str = "backups", now_us: int = NOW_US) -> Backup:
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


@pytest.fixture
def market() -> Iterator[Market]:
    with tempfile.TemporaryDirectory(prefix="exchange-backup-") as folder:
        os.chmod(folder, 0o711)
        root = Path(folder)
        digest = hashlib.sha256(PRODUCT).hexdigest()
        product = root / "var" / "vault" / "products" / digest[:2] / digest
        product.parent.mkdir(parents=True)
        product.write_bytes(PRODUCT)
        # Processes are killed here, the machine is not: what reached the kernel stays.
        with Postgres.start(root / "var", durable=False) as postgres:
            made = Market(postgres, root / "var" / "vault", root)
            made.write(1)
            yield made


def test_a_backup_comes_back_whole_elsewhere(market: Market) -> None:
    said: list[str] = []
    made = backup(
        market.postgres,
        market.vault,
        market.root / "backups",
        now_us=NOW_US,
        checkpoint="the newest note",
        say=said.append,
    )
    assert made.folder == market.root / "backups" / "20260101T000000Z"
    assert (made.taken_us, made.checkpoint, made.products) == (NOW_US, "the newest note", 1)
    assert made.folder.stat().st_mode & 0o777 == 0o700
    assert "copying the cluster: 100 %" in said
    assert read(made.folder) == made
    assert backups(market.root / "backups") == [made]
    market.write(2)  # after the backup

    seen: list[Sequence[str]] = []
    elsewhere = market.root / "elsewhere"
    proof = restore(
        made.folder, elsewhere, elsewhere / "vault", judge=judge({1}, seen), held=["a witness's"], say=quiet
    )
    assert proof.ok
    assert seen == [("the newest note", "a witness's")]
    digest = hashlib.sha256(PRODUCT).hexdigest()
    assert (elsewhere / "vault" / "products" / digest[:2] / digest).read_bytes() == PRODUCT
    assert not (elsewhere / "restoring").exists()
    with Postgres.start(elsewhere) as restored:
        assert restored.port != market.postgres.port
        assert kept(restored) == {1}
        with psycopg.connect(restored.app_url) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("exchange_app",)
        with psycopg.connect(restored.owner_url) as connection:
            connection.execute("INSERT INTO kept VALUES (9)")
        restored.restart()  # it archives and lives on like any other
        assert kept(restored) == {1, 9}
    assert kept(market.postgres) == {1, 2}


def test_the_archived_log_leads_to_any_moment_after_the_backup(market: Market) -> None:
    made = market.backup()
    market.write(2)
    time.sleep(0.05)
    moment_us = time.time_ns() // 1000
    time.sleep(0.05)
    market.write(3)
    lost = market.postgres
    lost.kill()  # its last segment was never archived
    segments = [lost.wal_archive, lost.data / "pg_wal"]

    def come_back(name: str, expected: set[int], **more: object) -> None:
        where = market.root / name
        restore(made.folder, where, where / "vault", judge=judge(expected), say=quiet, **more)  # type: ignore[arg-type]  # the two below
        with Postgres.start(where) as restored:
            assert kept(restored) == expected

    come_back("at_the_moment", {1, 2}, segments=segments, to_time_us=moment_us)
    come_back("at_the_end", {1, 2, 3}, segments=segments)
    come_back("at_the_backup", {1})
    with pytest.raises(Conflict, match="cannot be reached"):
        come_back("in_the_future", set(), segments=segments, to_time_us=moment_us + 3_600_000_000)
    assert not (market.root / "in_the_future" / "restoring").exists()
    with pytest.raises(Misconfigured, match="no write-ahead log"):
        come_back("without_log", set(), to_time_us=moment_us)
    lost.restart()
    assert kept(lost) == {1, 2, 3}


def test_what_the_judge_refuses_is_not_kept(market: Market) -> None:
    made = market.backup()
    where = market.root / "elsewhere"
    with pytest.raises(Conflict, match=r"not the log's history: found \[1\]") as caught:
        restore(made.folder, where, where / "vault", judge=judge({1, 2}), say=quiet)
    assert caught.value.code == "backup.not_proven"
    assert not os.path.lexists(where / "postgres")
    assert not (where / "restoring").exists()
    assert not (where / "vault").exists()


def test_a_restore_never_writes_over_a_cluster(market: Market) -> None:
    made = market.backup()
    with pytest.raises(Misconfigured, match="already holds a database"):
        restore(made.folder, market.root / "var", market.vault, judge=judge({1}), say=quiet)
    assert kept(market.postgres) == {1}


def test_a_changed_byte_in_a_backup_is_found_before_anything_is_restored(market: Market) -> None:
    made = market.backup()
    where = market.root / "elsewhere"
    control = made.folder / "base" / "global" / "pg_filenode.map"
    content = bytearray(control.read_bytes())
    content[100] ^= 1
    control.write_bytes(content)
    with pytest.raises(Conflict, match=r"pg_filenode\.map") as caught:
        restore(made.folder, where, where / "vault", judge=judge({1}), say=quiet)
    assert caught.value.code == "backup.damaged"
    assert not where.exists()


def test_a_changed_product_is_found_and_nothing_is_kept(market: Market) -> None:
    made = market.backup()
    where = market.root / "elsewhere"
    product = next(path for path in (made.folder / "products").rglob("*") if path.is_file())
    product.write_bytes(b"another table")
    with pytest.raises(Conflict, match="other bytes"):
        restore(made.folder, where, where / "vault", judge=judge({1}), say=quiet)
    assert not os.path.lexists(where / "postgres")


def test_an_unfinished_folder_is_no_backup(market: Market) -> None:
    made = market.backup()
    (made.folder / "backup.json").unlink()
    assert backups(market.root / "backups") == []
    with pytest.raises(Misconfigured, match="not a whole backup"):
        read(made.folder)


def test_a_backup_that_fails_leaves_nothing_and_says_why(market: Market) -> None:
    target = market.root / "backups"
    target.write_text("a file")
    with pytest.raises(Misconfigured, match="cannot take the backup"):
        market.backup()
    target.unlink()
    market.postgres.kill()
    with pytest.raises((Conflict, psycopg.OperationalError)):
        market.backup()
    assert list(target.iterdir()) == []
    market.postgres.restart()


def test_log_that_no_backup_needs_is_forgotten_and_the_rest_is_kept(market: Market) -> None:
    market.write(2)
    market.postgres.restart()  # archives a segment
    assert len(list(market.postgres.wal_archive.iterdir())) >= 1
    first = market.backup()
    left = {path.name for path in market.postgres.wal_archive.iterdir()}
    assert all(name[8:24] >= first.first_segment[8:] for name in left if len(name) == 24)
    market.write(5)
    market.postgres.restart()
    second = market.backup(now_us=NOW_US + 1_000_000)
    kept_names = {path.name for path in market.postgres.wal_archive.iterdir()}
    assert first.first_segment in kept_names  # the older backup still needs it
    shutil.rmtree(first.folder)
    market.write(6)
    market.postgres.restart()
    third = market.backup(now_us=NOW_US + 2_000_000)
    assert first.first_segment not in {path.name for path in market.postgres.wal_archive.iterdir()}
    assert backups(market.root / "backups") == [second, third]


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
    # So is one whose own checkpoint is not on the log.
    forged = (
        (made.folder / "backup.json")
        .read_text()
        .replace(
            (made.checkpoint or "").replace("\n", "\\n"),
            sign(Checkpoint(settings.origin, 5, bytes(32)), signer).replace("\n", "\\n"),
        )
    )
    honest = (made.folder / "backup.json").read_text()
    assert forged != honest
    (made.folder / "backup.json").write_text(forged)
    with pytest.raises(Conflict, match="not the log's history"):
        commands.restore(made.folder)
    (made.folder / "backup.json").write_text(honest)
    assert not os.path.lexists(market.root / "var" / "postgres")

    commands.restore(made.folder, wal=[lost / "wal_archive"], held=[tip])
    said = capsys.readouterr().out
    assert "restored and proven: 8 entries" in said
    with Postgres.start(market.root / "var") as restored:
        assert asyncio.run(_tip(restored.app_url, signer)) == tip.read_text()
    with pytest.raises(Misconfigured, match="is no moment"):
        commands.restore(made.folder, to_time="yesterday")
