"""Clusters that come and go whole while no server runs: what a restore needs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from exchange.embedded.place import Lock, Place
from exchange.embedded.processes import wait_until_empty
from exchange.embedded.refusals import MIB, RUNNING_CLUSTER_MIB, check_space, explained
from exchange.errors import Misconfigured


def take_in(data_dir: Path, base: Path, log: Path, credentials: Mapping[str, str]) -> None:
    """Move a base backup to where the cluster of a data directory without one belongs, and a folder of
    write-ahead log beside it, as `wal_restore`. Nothing is started; what fails leaves no cluster behind.

    Raises `Misconfigured` when a cluster is there already, or another process holds the directory.
    """
    with _held(data_dir.absolute()):
        refuse_existing(data_dir)
        place = Place.find(data_dir.absolute())
        try:
            _fill(place, base, log, credentials)
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
        place = Place.existing(data_dir.absolute())
        if place is not None:
            wait_until_empty(place.data)
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
    with explained(data_dir):
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = Lock.take(data_dir / "postgres.lock")
        try:
            yield
        finally:
            lock.release()


def _fill(place: Place, base: Path, log: Path, credentials: Mapping[str, str]) -> None:
    needed = 0  # moved on one disk, they take no more than they do
    if base.stat().st_dev != place.folder.stat().st_dev:
        needed = sum(path.stat().st_size for part in (base, log) for path in part.rglob("*"))
    check_space(place.folder, needed // MIB + RUNNING_CLUSTER_MIB)
    place.write("credentials.json", json.dumps(dict(credentials)))
    place.make_folder(place.wal_archive)
    new = place.folder / "data.new"
    for source, target in ((log, place.folder / "wal_restore"), (base, new)):
        shutil.move(source, target)
        for path in (target, *target.rglob("*")):
            place.give_to_account(path)
        target.chmod(0o700)
    new.rename(place.data)
