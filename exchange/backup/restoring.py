"""The way back: a restore counts only when what came back is proven, and ends exactly where it was asked to.

To a moment PostgreSQL recovers by itself. An entry of the log has no moment that could be named: the market's clock is
not the server's, and two commits may share a microsecond. But the row of its batch remembers the transaction that wrote
it, and the log's head lets one batch commit at a time. So a restore to an entry recovers twice: once to the end, to
read that transaction's number, and once more up to its commit (`recovery_target_xid`).
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg

from exchange.backup import cluster
from exchange.backup.chains import (
    Aim,
    Backup,
    Index,
    Moment,
    Reached,
    backups,
    beginning,
    chain_of,
    forks,
    gap,
    is_history,
    is_segment,
    last_needed,
    living,
    on_the_way,
    position,
    reached,
)
from exchange.backup.store import Store
from exchange.embedded import (
    DATABASE,
    SUPERUSER,
    Postgres,
    explained,
    move_in,
    refuse_existing,
    remove,
    take_in,
)
from exchange.errors import Conflict, Misconfigured
from exchange.shelves import file_digest

BEHIND: Final = "behind.json"
"""In a data directory: what came back ends before what was seen of it outside, and serves nobody."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_END: Final = "recovery ended before configured recovery target was reached"


@dataclass(frozen=True, slots=True)
class Proof:
    """What an audit found in a restored database: the log's size and root, and whether it holds.

    `sound` says that the audit passed and that everything seen outside lies on this log as far as it goes;
    `seen_size` is the largest size that was seen outside (a witness's, the chain's; 0: none).
    """

    size: int
    root: bytes
    sound: bool
    words: str
    seen_size: int = 0

    @property
    def ok(self) -> bool:
        """Whether a restore may end with it."""
        return self.sound and self.seen_size <= self.size


Judge = Callable[[Postgres, Sequence[str]], Proof]
"""Audits a running restored cluster against signed checkpoints that lay in the store, and against whatever was
seen outside it."""

Recall = Callable[[Postgres, int], int]
"""Takes the entries up to a size back from outside, into a running restored cluster, and gives the log's new size."""


def restore(
    store: Store,
    data_dir: Path,
    *,
    judge: Judge,
    aim: Aim = None,
    segments: Sequence[Path] = (),
    recall: Recall | None = None,
    keep_behind: bool = False,
    say: Callable[[str], None],
) -> Proof:
    """Bring the newest backup that leads to `aim` back into a data directory without a cluster, recover up to there,
    and keep it only when it is proven.

    `segments` are directories with log that the store may not have: the lost cluster's `wal_archive` and, where it
    can be read, its `data/pg_wal`. Where what came back is behind what was seen outside, `recall` takes the rest
    back; where that is not possible, `keep_behind` keeps the cluster, with `behind.json` beside it, and no exchange
    serves it. The disk has to take the copies of one chain and the log at once.

    Raises `Conflict` when the judge refuses, when an object is damaged, or when `aim` cannot be reached: then
    nothing is left in the data directory.
    """
    refuse_existing(data_dir)
    # What is not proven never lies where an exchange would open it, not even after a crash of this process.
    staging = data_dir / "restoring"
    with explained(data_dir):
        if staging.exists():
            remove(staging)
            shutil.rmtree(staging)
        staging.mkdir(mode=0o700, parents=True)
        staging.chmod(0o711)  # the server's account has to pass
        try:
            coming = _Coming(store, staging, aim, say)
            coming.fetch_log(segments)
            with coming.recovered() as postgres:
                say("auditing what came back")
                kept = coming.checkpoints()
                proof = judge(postgres, kept)
                if proof.seen_size > proof.size and recall is not None:
                    say(f"taking entries {proof.size} to {proof.seen_size - 1} back from outside")
                    recall(postgres, proof.seen_size)
                    say("auditing what came back and what was taken back")
                    proof = judge(postgres, kept)
                behind = proof.sound and not proof.ok
                if not proof.ok and not (behind and keep_behind):
                    raise _unproven(proof)
                coming.adopt_log(postgres)
            coming.bring_products(data_dir / "vault")
            coming.bring_anchor(data_dir / "anchor.json")
            if behind:
                (data_dir / BEHIND).write_text(
                    json.dumps({"size": str(proof.size), "seen": str(proof.seen_size)})
                )
            move_in(staging, data_dir)
        finally:
            remove(staging)
            shutil.rmtree(staging)
    return proof


def refuse_behind(data_dir: Path) -> None:
    """Raise `Misconfigured` where a restore left a log here that ends before what was seen of it outside."""
    said = _behind(data_dir)
    if said is not None:
        raise Misconfigured(
            "market.behind",
            f"the log here has {said['size']} entries, and {said['seen']} were seen outside",
            field="EXCHANGE_DATA_DIR",
            rule="a log that went on from before what others have seen would fork",
            remedy="take the rest back with `exchange recall`, or end the log with `exchange succeed`",
        )


def behind(data_dir: Path) -> int | None:
    """How many entries were seen outside of a log that a restore left here shorter; None where it did not."""
    said = _behind(data_dir)
    return None if said is None else int(said["seen"])


def _behind(data_dir: Path) -> dict[str, str] | None:
    path = data_dir / BEHIND
    if not path.exists():
        return None
    said: dict[str, str] = json.loads(path.read_text())
    return said


def no_longer_behind(data_dir: Path) -> None:
    """Let the log here be served: it has what was seen, or was ended."""
    (data_dir / BEHIND).unlink(missing_ok=True)


class _Coming:
    """One restore under way: which chain, which log, and the folder in which both come together."""

    def __init__(self, store: Store, staging: Path, aim: Aim, say: Callable[[str], None]) -> None:
        self._store, self._staging, self._aim, self._say = store, staging, aim, say
        self._forks = forks(store)
        among = living(backups(store), self._forks)
        self._first: Backup = beginning(among, aim)
        self._chain = chain_of(self._first, among)
        self._end = last_needed(among, aim)
        self._reached: Reached | None = reached(store)
        self._stored: frozenset[str] = frozenset()
        self._machine: Mapping[str, Any] = store.get_json(f"backups/{self._first.name}/machine.json")

    def checkpoints(self) -> list[str]:
        """The signed checkpoints of the store that have to lie on what came back."""
        notes = [b.checkpoint for b in self._chain]
        if self._aim is None and self._reached is not None:
            notes.append(self._reached.checkpoint)
        return [note for note in notes if note is not None]

    def fetch_log(self, directories: Sequence[Path]) -> None:
        """Lay out the log from the backup to where the restore ends; what the store has is finished, so it goes first."""
        names = [name.removeprefix("wal/") for name in self._store.names("wal")]
        self._stored = frozenset(names)
        first, last = position(self._first.first_segment), None if self._end is None else position(self._end)
        segments = [
            name
            for name in names
            if is_segment(name) and on_the_way(name, self._forks)
            if first <= position(name) and (last is None or position(name) <= last)
        ]
        missing = gap([self._first.first_segment, *segments, self._first.last_segment])
        if missing is not None or not {self._first.first_segment, self._first.last_segment} <= set(segments):
            raise Conflict(
                "backup.log_missing",
                f"the store lacks log after {self._first.name} (segment {missing or first})",
                field="--to",
                rule="the log from a backup to where a restore ends is there without a gap",
                remedy="restore to a moment that a later backup leads to: one that others stand on may serve only them",
            )
        if self._aim is not None and not directories:
            self._refuse_beyond()
        log = self._staging / "log"
        log.mkdir(mode=0o700)
        wanted = [*(name for name in names if is_history(name)), *segments]
        for number, name in enumerate(wanted, start=1):
            if number % 16 == 0 or number == len(wanted):
                self._say(f"fetching the log: {number} of {len(wanted)} files")
            self._store.get_file(f"wal/{name}", log / name)
        for directory in directories:
            for path in sorted(directory.iterdir()):
                if (is_segment(path.name) or is_history(path.name)) and not (log / path.name).exists():
                    shutil.copyfile(path, log / path.name)

    @contextmanager
    def recovered(self) -> Iterator[Postgres]:
        """The cluster, recovered up to the aim and running, for as long as the context lasts."""
        target: dict[str, str] = {}
        match self._aim:
            case Index(index):
                self._bring()
                with self._running({}, durable=False) as postgres:  # thrown away again
                    target = {"recovery_target_xid": str(_transaction(postgres, index))}
                remove(self._staging)
            case Moment(time_us):
                target = {"recovery_target_time": f"{_moment(time_us):%Y-%m-%d %H:%M:%S.%f}+00"}
            case None:
                pass
        self._bring()
        with self._running(target) as postgres:
            yield postgres

    def adopt_log(self, postgres: Postgres) -> None:
        """Give what only the lost machine had of the log to the archive of the one that came back, to be shipped;
        nothing from where the new timeline begins, whose own segments hold that.
        """
        with psycopg.connect(postgres.url(SUPERUSER, "postgres")) as connection:
            row = connection.execute(
                "SELECT min(substr(name, 9)) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'"
                " AND left(name, 8) = left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)"
            ).fetchone()
        assert row is not None
        owner = postgres.data.stat()
        for path in (postgres.folder / "wal_restore").iterdir():
            if path.name not in self._stored and (is_history(path.name) or position(path.name) < row[0]):
                kept = postgres.wal_archive / path.name
                shutil.copyfile(path, kept)
                os.chown(kept, owner.st_uid, owner.st_gid)
        shutil.rmtree(postgres.folder / "wal_restore")

    def bring_products(self, vault: Path) -> None:
        """Bring every accepted file back, named by what it hashes to."""
        names = self._store.names("products")
        vault.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number, name in enumerate(names, start=1):
            if number % 64 == 0 or number == len(names):
                self._say(f"bringing the products: {number} of {len(names)}")
            path = vault / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = path.with_suffix(".new")
            new.unlink(missing_ok=True)
            self._store.get_file(name, new)
            if file_digest(new) != path.name:
                new.unlink()
                raise Conflict(
                    "backup.product_damaged",
                    f"product {path.name} has other bytes than its name says",
                    rule="a product is named by the SHA-256 of its bytes",
                    remedy="take the file from whoever supplied it; look at the disk from which it was backed up",
                )
            new.replace(path)

    def bring_anchor(self, path: Path) -> None:
        """Bring the address of the anchor contract back, where none is known here."""
        if self._machine["anchor"] is not None and not path.exists():
            path.write_text(json.dumps(self._machine["anchor"]))

    def _refuse_beyond(self) -> None:
        """Say at once where the store does not go as far as it was asked to."""
        upto = self._reached
        match self._aim:
            case Moment(time_us) if upto is None or time_us > upto.time_us:
                reaches = "nowhere" if upto is None else f"to {_moment(upto.time_us):%Y-%m-%dT%H:%M:%SZ}"
            case Index(index) if upto is None or index >= upto.size:
                reaches = "nowhere" if upto is None else f"to entry {upto.size - 1}"
            case _:
                return
        raise _unreachable(f"the store goes {reaches}")

    def _bring(self) -> None:
        """Put copy and log where a cluster belongs; the log stays here too, for another time."""
        parts = []
        for backup in self._chain:
            self._say(
                f"fetching {'the full copy' if backup.below is None else 'what changed by'} {backup.name}"
            )
            parts.append(self._staging / backup.name)
            name = f"backups/{backup.name}/base.tar"
            cluster.unpack(self._store.get(name), parts[-1], name)
        whole, own = self._staging / "copy", self._staging / "own"
        cluster.combine(parts, whole)
        shutil.copytree(self._staging / "log", own, copy_function=os.link)
        self._say("verifying the copy against its manifest")
        cluster.verify(whole, own)
        take_in(self._staging, whole, own, self._machine["credentials"])
        for part in parts:
            shutil.rmtree(part, ignore_errors=True)  # a single one was moved

    @contextmanager
    def _running(self, target: Mapping[str, str], *, durable: bool = True) -> Iterator[Postgres]:
        """Start the cluster, let it replay what there is up to `target`, and end on a timeline of its own."""
        folder = (self._staging / "postgres").resolve()
        source = shlex.quote(str(folder / "wal_restore")).replace("%", "%%")
        recovery = {
            "hot_standby": "off",  # it counts as started only when it has replayed everything
            "restore_command": f'cp {source}/%f "%p"',
            "recovery_target_action": "promote",
            "recovery_target_timeline": "latest",
        }
        signal, owner = folder / "data" / "recovery.signal", (folder / "data").stat()
        signal.touch(mode=0o600)
        os.chown(signal, owner.st_uid, owner.st_gid)
        self._say("recovering")
        try:
            postgres = Postgres.start(
                self._staging, durable=durable, recovery={**recovery, **target}, say=self._say
            )
        except Misconfigured as error:
            if _NO_END in error.detail and self._covers():
                # Nothing was committed between the moment and how far the store goes.
                postgres = Postgres.start(self._staging, recovery=recovery, say=self._say)
            elif _NO_END in error.detail or "consistent recovery point" in error.detail:
                raise _unreachable(error.detail) from error
            else:
                raise
        with postgres:
            yield postgres

    def _covers(self) -> bool:
        """Whether the aim is a moment up to which the store has everything."""
        return (
            isinstance(self._aim, Moment)
            and self._reached is not None
            and self._aim.time_us <= self._reached.time_us
        )


def _transaction(postgres: Postgres, index: int) -> int:
    """The number of the transaction that brought entry `index`: its row keeps it, frozen or not."""
    with psycopg.connect(postgres.url(SUPERUSER, DATABASE)) as connection:
        row = connection.execute(
            "SELECT xmin::text::bigint FROM log_chunk WHERE size > %s ORDER BY size LIMIT 1", (index,)
        ).fetchone()
    if row is None:
        raise _unreachable(f"the log that was found has no entry {index}")
    return int(row[0])


def _unreachable(detail: str) -> Conflict:
    return Conflict(
        "backup.moment",
        f"that cannot be reached: {detail}",
        field="--to",
        rule="a restore ends between the end of a backup and how far the log goes that was found",
        remedy="name another moment or entry, or leave --to out to recover everything",
    )


def _unproven(proof: Proof) -> Conflict:
    if proof.sound:
        return Conflict(
            "backup.behind",
            f"what came back has {proof.size} entries, and {proof.seen_size} were seen outside",
            rule="a log that went on from before what others have seen would fork",
            remedy="take the rest back from a witness (--witness); where nobody has it any more, keep what came back "
            "with --keep-behind and end the log with `exchange succeed`",
        )
    return Conflict(
        "backup.not_proven",
        f"what came back is not the log's history: {proof.words}",
        rule="a restore counts when the audit passes and every checkpoint that was kept lies on the log",
        remedy="restore to an earlier moment or from another store; keep this one as evidence",
    )


def _moment(time_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time_us)
