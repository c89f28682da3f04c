"""A running exchange's backups: its log shipped as it is written, copies by a schedule, and what is no longer needed removed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import psycopg

from exchange.backup import cluster
from exchange.backup.chains import (
    REACHED,
    Backup,
    Reached,
    backups,
    chain_of,
    check_mark,
    forks,
    is_history,
    is_segment,
    living,
    outdated,
    position,
    to_json,
)
from exchange.backup.chains import reached as reached_by
from exchange.backup.store import Store, full, pieces_of
from exchange.embedded import SUPERUSER, Postgres
from exchange.errors import Conflict, Unavailable
from ledger.checkpoint import Checkpoint, split_note

SHIP_EVERY_S: Final = 30.0
"""How often the log is shipped: what a lost disk can take along is what was committed in this time, and on the way."""

CHAIN: Final = 28
"""A chain is one full backup and at most this many less one that stand on it: at every six hours, a week."""

_ARCHIVER_S: Final = 60.0
_POLL_S: Final = 0.05
_DAY_US: Final = 86_400_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Stopped(Exception):
    """The work was given up because its process ends; what was under way is no backup."""


class Keeper:
    """What keeps one exchange in one store. Its methods block; one thread uses it at a time.

    Several processes may keep one exchange at once: what one has shipped is shipped.
    """

    def __init__(
        self,
        store: Store,
        postgres: Postgres,
        data_dir: Path,
        *,
        tip: Callable[[], str | None],
        clock_us: Callable[[], int],
        say: Callable[[str], None],
    ) -> None:
        """`tip` gives the newest signed checkpoint (None where there is no log), `clock_us` the server's time."""
        self._store = store
        self._postgres = postgres
        self._data_dir = data_dir
        self._tip = tip
        self._clock_us = clock_us
        self._say = say
        self._stopping = threading.Event()
        self._products: set[str] | None = None

    def stop(self) -> None:
        """Make what is under way in another thread end soon, with `Stopped`."""
        self._stopping.set()

    def kept(self) -> tuple[list[Backup], Reached | None]:
        """The backups that the store holds, oldest first, and how far it goes."""
        return backups(self._store), reached_by(self._store)

    def ship(self) -> Reached:
        """Bring all that was committed before this call to the store, log and products, and remember how far it goes.

        A segment leaves the cluster's own archive only when the store has it.

        Raises `Conflict` where another cluster ships to this store, `Unavailable` where store or archiver fail.
        """
        check_mark(self._store, make=True)
        time_us, checkpoint = self._clock_us(), self._tip()
        self._finish_segment()
        self._ship_products()
        for path in sorted(self._postgres.wal_archive.iterdir(), key=lambda path: position(path.name)):
            if is_segment(path.name) or is_history(path.name):
                with contextlib.suppress(FileNotFoundError):  # another process has shipped it
                    self._ship_log(path)
                    path.unlink()
        reached = Reached(time_us, _size(checkpoint), checkpoint)
        self._store.put_json(REACHED, to_json(reached))
        return reached

    def take(self, *, incremental: bool = False) -> Backup:
        """Copy the running cluster into the store; an incremental copy has what changed since the newest backup.

        Nobody is stopped. The copy is read back from the store and compared with its manifest before it counts;
        what was interrupted is no backup, and is taken again under another name.

        Raises `Conflict` where there is nothing for an incremental one to stand on or the copy does not verify,
        `Misconfigured` where the store cannot take it.
        """
        check_mark(self._store, make=True)
        self._check_space()
        below = self._newest() if incremental else None
        manifest = None if below is None else b"".join(self._store.get(f"backups/{below.name}/manifest"))
        started_us, before = self._clock_us(), self._tip()
        name = f"{_EPOCH + timedelta(microseconds=started_us):%Y%m%dT%H%M%SZ}"
        folder = f"backups/{name}"
        if self._store.names(folder):
            raise Conflict("backup.exists", f"{folder} exists", remedy="wait a second and try again")
        base = f"{folder}/base.tar"
        stored = self._store.put(base, self._pieces(cluster.copy_out(self._postgres, manifest, self._say)))
        ended_us, after = self._clock_us(), self._tip()
        self._say("reading the copy back and comparing it with its manifest")
        said = cluster.check_copy(self._pieces(self._store.get(base)), base)
        verified_us = self._clock_us()
        stored += self._store.put(f"{folder}/manifest", [said.text])
        stored += self._store.put_json(f"{folder}/machine.json", self._machine())
        self.ship()
        made = Backup(
            name=name,
            below=None if below is None else below.name,
            started_us=started_us,
            ended_us=ended_us,
            verified_us=verified_us,
            checkpoint=before,
            size_before=_size(before),
            size_after=_size(after),
            server_version=(self._postgres.data / "PG_VERSION").read_text().strip(),
            timeline=said.timeline,
            start_lsn=said.start_lsn,
            end_lsn=said.end_lsn,
            products=len(self._products or ()),
            stored_bytes=stored,
        )
        self._store.put_json(f"{folder}/backup.json", to_json(made))
        return made

    def keep(self, every_s: int, keep_days: int) -> None:
        """One round of a running exchange: ship; where a copy is due take it, and remove what is no longer needed."""
        self.ship()
        now_us = self._clock_us()
        usable = living(backups(self._store), forks(self._store))
        if usable and usable[-1].started_us + every_s * 1_000_000 > now_us:
            return
        stands = (
            bool(usable) and len(chain_of(usable[-1], usable)) < CHAIN and self._same_timeline(usable[-1])
        )
        try:
            self.take(incremental=stands)
        except Conflict as problem:
            if not stands or problem.code != "backup.failed":
                raise
            self._say(f"{problem}; a full one is taken instead")
            time.sleep(1.0)  # names go by the second
            self.take()
        self.prune(now_us - keep_days * _DAY_US)

    def prune(self, horizon_us: int) -> list[Backup]:
        """Remove the backups and the log that no moment from `horizon_us` on needs; give the removed ones."""
        among = backups(self._store)
        usable = living(among, forks(self._store))
        doomed, oldest = outdated(usable, horizon_us)
        doomed += [b for b in reversed(among) if b not in usable and b.ended_us <= horizon_us]
        for backup in doomed:
            # The document first: what is half removed is no backup any more.
            names = sorted(self._store.names(f"backups/{backup.name}"), key=lambda n: "backup.json" not in n)
            self._store.delete(names)
        if oldest is not None:
            segments = [name.removeprefix("wal/") for name in self._store.names("wal")]
            self._store.delete(
                f"wal/{s}" for s in segments if is_segment(s) and position(s) < position(oldest)
            )
        # What an interruption left; younger ones may be under way in another process.
        whole, day_ago_us = {b.name for b in among}, self._clock_us() - _DAY_US
        young = f"{_EPOCH + timedelta(microseconds=day_ago_us):%Y%m%dT%H%M%SZ}"
        for path in self._store.names("backups"):
            name = path.split("/")[1]
            if name not in whole and name < young:
                self._store.delete([path])
        self._store.sweep(day_ago_us)
        return doomed

    def _newest(self) -> Backup:
        usable = living(backups(self._store), forks(self._store))
        if not usable:
            raise Conflict(
                "backup.no_ground",
                "the store has no backup that an incremental one could stand on",
                rule="an incremental backup has what changed since the one below it",
                remedy="take a full one first, without --incremental",
            )
        return usable[-1]

    def _same_timeline(self, backup: Backup) -> bool:
        """After a restore the changes since an earlier backup were not summarized here."""
        with psycopg.connect(self._postgres.url(SUPERUSER, "postgres")) as connection:
            row = connection.execute("SELECT timeline_id FROM pg_control_checkpoint()").fetchone()
        return row is not None and row[0] == backup.timeline

    def _finish_segment(self) -> None:
        """End the segment that is being written, unless nothing was, and wait until all before it are archived."""
        with psycopg.connect(self._postgres.url(SUPERUSER, "postgres"), autocommit=True) as connection:
            connection.execute("SELECT pg_switch_wal()")
            row = connection.execute("SELECT pg_walfile_name(pg_current_wal_insert_lsn())").fetchone()
            assert row is not None
            deadline = time.monotonic() + _ARCHIVER_S
            while any(
                ready < position(row[0])
                for (ready,) in connection.execute(
                    "SELECT substr(name, 9, 16) FROM pg_ls_archive_statusdir() WHERE name ~ '^[0-9A-F]{24}[.]ready$'"
                )
            ):
                self._alive()
                if time.monotonic() > deadline:
                    raise Unavailable(
                        "backup.archiver",
                        f"PostgreSQL has not archived its log for {_ARCHIVER_S:.0f} s",
                        retry_after_s=60,
                        remedy=f"see {self._postgres.folder / 'server.log'}; is the disk full?",
                    )
                time.sleep(_POLL_S)

    def _ship_log(self, path: Path) -> None:
        name = f"wal/{path.name}"
        if not self._store.has(name):
            self._store.put(name, self._pieces(pieces_of(path)))
        elif _digest(self._store.get(name)) != _digest(pieces_of(path)):
            raise Conflict(
                "backup.forked",
                f"the store has another {name} than this cluster wrote",
                rule="one cluster ships to a store; a restored one begins a timeline of its own",
                remedy="stop the other exchange that uses this store, or set EXCHANGE_BACKUP_TARGET to another one",
            )

    def _ship_products(self) -> None:
        """Every accepted file: each was on the disk before the row that names it was committed."""
        if self._products is None:
            self._products = set(self._store.names("products"))
        folder = self._data_dir / "vault" / "products"
        for path in sorted(folder.glob("*/*")):
            name = f"products/{path.parent.name}/{path.name}"
            if name not in self._products and re.fullmatch("[0-9a-f]{64}", path.name):
                self._store.put(name, self._pieces(pieces_of(path)))
                self._products.add(name)

    def _machine(self) -> dict[str, object]:
        """What a restored exchange needs beside cluster, products and keys."""
        anchor = self._data_dir / "anchor.json"
        return {
            "credentials": json.loads((self._postgres.folder / "credentials.json").read_text()),
            "anchor": json.loads(anchor.read_text()) if anchor.exists() else None,
        }

    def _check_space(self) -> None:
        address = self._store.address
        if isinstance(address, Path):
            needed, free = cluster.size_bytes(self._postgres) >> 20, shutil.disk_usage(address).free >> 20
            if free < needed:
                raise full(address, f"{free} MiB are free, {needed} MiB are needed")

    def _pieces(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._alive()
            yield piece

    def _alive(self) -> None:
        if self._stopping.is_set():
            raise Stopped


def _size(note: str | None) -> int:
    return 0 if note is None else Checkpoint.parse(split_note(note)[0]).size


def _digest(pieces: Iterable[bytes]) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()
