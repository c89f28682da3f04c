"""Which backups there are, which stand on which, which one leads to a moment, and which nobody needs any more.

exchange-backup                      whose store this is
backups/20260131T120000Z/
    base.tar                         the cluster, or what changed in it since the backup below
    manifest                         its files and their SHA-256 digests, as pg_basebackup lists them
    machine.json                     passwords of the cluster's roles, address of the anchor contract
    backup.json                      what this is: written last, so without it there is no backup
wal/000000010000000000000007         finished segments of the write-ahead log, and timelines' histories
products/ab/ab12…                    the vault's accepted files, named by their digests
reached.json                         up to which moment all of it is here
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from exchange.backup.sealing import damaged
from exchange.backup.store import Store
from exchange.errors import Conflict, Misconfigured

FORMAT: Final = "data-asset-exchange-backup@2"
MARK: Final = "exchange-backup"
REACHED: Final = "reached.json"
SEGMENT_BYTES: Final = 16 << 20

_SEGMENT: Final = re.compile(r"[0-9A-F]{24}")
_HISTORY: Final = re.compile(r"[0-9A-F]{8}\.history")


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup of a store. Times are microseconds since the epoch.

    Whoever begins with it reaches any moment after `ended_us`, and any entry from `size_after` on: the log had at
    least `size_before` entries when the copy began and at most `size_after` when it had ended. `checkpoint` is the
    signed one of `size_before`: whatever comes back has to contain that history. `below` is the backup that an
    incremental one stands on. Recovery begins at `start_lsn` and is consistent at `end_lsn`, both on `timeline`.
    `verified_us` is when it was read back from the store and agreed with its manifest.
    """

    name: str
    below: str | None
    started_us: int
    ended_us: int
    verified_us: int
    checkpoint: str | None
    size_before: int
    size_after: int
    server_version: str
    timeline: int
    start_lsn: str
    end_lsn: str
    products: int
    stored_bytes: int

    @property
    def first_segment(self) -> str:
        """The segment of the write-ahead log with which its recovery begins."""
        return segment_at(self.timeline, _lsn(self.start_lsn))

    @property
    def last_segment(self) -> str:
        """The segment within which it is consistent."""
        return segment_at(self.timeline, _lsn(self.end_lsn) - 1)


@dataclass(frozen=True, slots=True)
class Reached:
    """How far the store goes: all that was committed before `time_us`, `size` entries of the log among it."""

    time_us: int
    size: int
    checkpoint: str | None


@dataclass(frozen=True, slots=True)
class Moment:
    """To restore all that was committed up to this moment, and nothing after it."""

    time_us: int


@dataclass(frozen=True, slots=True)
class Index:
    """To restore all that was committed up to the act that brought this entry, and nothing after it."""

    index: int


Aim = Moment | Index | None
"""Where a restore ends; None: where the store ends."""


def backups(store: Store) -> list[Backup]:
    """The whole backups of a store, oldest first.

    Raises `Misconfigured` where the store is of another exchange or no store of backups.
    """
    check_mark(store)
    names = [name for name in store.names("backups") if name.endswith("/backup.json")]
    return [_read(name, store.get_json(name)) for name in sorted(names)]


def reached(store: Store) -> Reached | None:
    """How far the store goes; None where nothing was shipped yet."""
    if not store.has(REACHED):
        return None
    said = store.get_json(REACHED)
    try:
        return Reached(int(said["time_us"]), int(said["size"]), said["checkpoint"])
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(REACHED, repr(error)) from error


def check_mark(store: Store, *, make: bool = False) -> None:
    """See whose store this is; with `make`, an empty one becomes ours."""
    if store.has(MARK):
        if store.get_json(MARK) != {"format": FORMAT}:
            raise damaged(MARK, "it names another format")
        return
    if store.names(""):
        raise Misconfigured(
            "backup.foreign",
            f"{store.address} holds something, and no backups of an exchange",
            field="EXCHANGE_BACKUP_TARGET",
            rule="a store is one exchange's alone",
            remedy="name a directory or a prefix of its own",
        )
    if not make:
        raise Misconfigured(
            "backup.none",
            f"{store.address} holds no backup",
            field="EXCHANGE_BACKUP_TARGET",
            rule="a store is filled by `exchange backup`",
            remedy="name the store that the exchange was backed up to",
        )
    store.put_json(MARK, {"format": FORMAT})


def to_json(value: Backup | Reached) -> dict[str, str | None]:
    """As it is stored: numbers as decimal strings."""
    return {k: str(v) if isinstance(v, int) else v for k, v in asdict(value).items()}


def chain_of(backup: Backup, among: Sequence[Backup]) -> list[Backup]:
    """A backup and all that it stands on, the full one first.

    Raises `Conflict` where one of them is gone.
    """
    by_name = {b.name: b for b in among}
    found = [backup]
    while (below := found[0].below) is not None:
        if below not in by_name:
            raise Conflict(
                "backup.missing",
                f"backup {found[0].name} stands on {below}, which is not there",
                rule="an incremental backup needs every backup below it",
                remedy="use a backup of another chain (`exchange backup list`)",
            )
        found.insert(0, by_name[below])
    return found


def beginning(among: Sequence[Backup], aim: Aim) -> Backup:
    """The newest backup from which `aim` can be reached.

    Raises `Conflict` where there is none.
    """
    fitting = [b for b in among if _before(b, aim)]
    if fitting:
        return fitting[-1]
    match aim:
        case Moment():
            detail, field = "no backup had ended by that moment", "--to"
        case Index(index):
            detail, field = f"every backup that is kept already holds entry {index}", "--to"
        case None:
            detail, field = "the store holds no whole backup", "store"
    raise Conflict(
        "backup.moment",
        detail,
        field=field,
        rule="a restore goes forward from the end of a backup",
        remedy="`exchange backup list` shows from where on every moment can be reached",
    )


def last_needed(among: Sequence[Backup], aim: Aim) -> str | None:
    """The segment after which no log is needed for `aim`, because a later backup was begun there; None: all of it."""
    for backup in among:
        match aim:
            case Moment(time_us) if backup.started_us > time_us:
                return backup.first_segment
            case Index(index) if backup.size_before > index:
                return backup.first_segment
    return None


def outdated(among: Sequence[Backup], horizon_us: int) -> tuple[list[Backup], str | None]:
    """The backups that no moment from `horizon_us` on needs, newest first, and the oldest segment that one needs.

    Kept are the newest backup that had ended by then, all later ones, and all that these stand on: so at least one
    whole chain. Removed in the order given, nothing is ever there whose ground is gone.
    """
    anchor = max((i for i, b in enumerate(among) if b.ended_us <= horizon_us), default=0)
    kept = {b.name for start in among[anchor:] for b in chain_of(start, among)}
    oldest = min((b.first_segment for b in among[anchor:]), key=position, default=None)
    return [b for b in reversed(among) if b.name not in kept], oldest


def position(segment: str) -> str:
    """The place of a segment in the log, whatever its timeline: names order by it."""
    return segment[8:]


def segment_at(timeline: int, lsn: int) -> str:
    """The segment that holds this byte of the log."""
    return f"{timeline:08X}{lsn >> 32:08X}{(lsn & 0xFFFFFFFF) // SEGMENT_BYTES:08X}"


Forks = Mapping[int, int]
"""Where each earlier timeline was left for the next one, on the way to the newest: timeline → byte of the log."""


def forks(store: Store) -> Forks:
    """How the newest timeline came about: a restore begins one, and leaves behind what it did not bring back."""
    histories = [name for name in store.names("wal") if is_history(name.removeprefix("wal/"))]
    if not histories:
        return {}
    text = b"".join(store.get(max(histories))).decode()
    lines = (line.split("\t") for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return {**{int(line[0]): _lsn(line[1]) for line in lines}, int(max(histories)[4:12], 16): 1 << 63}


def on_the_way(segment: str, left: Forks) -> bool:
    """Whether a segment belongs to the newest timeline's past."""
    return not left or segment <= segment_at(int(segment[:8], 16), left.get(int(segment[:8], 16), 0))


def living(among: Sequence[Backup], left: Forks) -> list[Backup]:
    """The backups from which the newest timeline can be reached; the others hold what a restore left behind."""
    return [b for b in among if not left or _lsn(b.end_lsn) <= left.get(b.timeline, 0)]


def is_segment(name: str) -> bool:
    """Whether a file is a whole segment of the write-ahead log."""
    return _SEGMENT.fullmatch(name) is not None


def is_history(name: str) -> bool:
    """Whether a file tells where a timeline began."""
    return _HISTORY.fullmatch(name) is not None


def gap(segments: Sequence[str]) -> str | None:
    """The place of the first segment that is missing between the first and the last of these; None: none is."""
    places = sorted({_number(segment) for segment in segments})
    for before, after in itertools.pairwise(places):
        if after != before + 1:
            return f"{(before + 1) // 256:08X}{(before + 1) % 256:08X}"
    return None


def _lsn(text: str) -> int:
    """A byte of the log, from PostgreSQL's spelling such as `0/2000028`."""
    high, _, low = text.partition("/")
    return int(high, 16) << 32 | int(low, 16)


def _number(segment: str) -> int:
    """Segments counted from the log's beginning: 256 of 16 MiB make one of its 4 GiB files."""
    return int(segment[8:16], 16) * 256 + int(segment[16:], 16)


def _before(backup: Backup, aim: Aim) -> bool:
    match aim:
        case Moment(time_us):
            return backup.ended_us <= time_us
        case Index(index):
            return backup.size_after <= index
        case None:
            return True


def _read(name: str, said: Mapping[str, Any]) -> Backup:
    try:
        return Backup(
            name=str(said["name"]),
            below=said["below"],
            started_us=int(said["started_us"]),
            ended_us=int(said["ended_us"]),
            verified_us=int(said["verified_us"]),
            checkpoint=said["checkpoint"],
            size_before=int(said["size_before"]),
            size_after=int(said["size_after"]),
            server_version=str(said["server_version"]),
            timeline=int(said["timeline"]),
            start_lsn=str(said["start_lsn"]),
            end_lsn=str(said["end_lsn"]),
            products=int(said["products"]),
            stored_bytes=int(said["stored_bytes"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(name, repr(error)) from error
