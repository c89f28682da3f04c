"""Judges one segment of a bundle alone: its leaves, bodies, notes and transfers, as far as they need no other segment.

Runs in a process of its own where there are many segments. What all entries of a segment have in common is
checked in bulk; where a bulk check fails, each entry is looked at by itself, and only then a fault is named.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain, count
from operator import eq
from typing import Any, NamedTuple

import orjson

from ledger.audit.entry import (
    BODY_LIMIT,
    CHUNK,
    HEX_256,
    TIME_LIMIT_US,
    Leaf,
    envelope,
    is_kind,
    read_leaf,
)
from ledger.audit.findings import why
from ledger.audit.keys import Keys
from ledger.audit.reading import Bundle, broken, part_name
from ledger.audit.shapes import Shapes, read_fully
from ledger.audit.successions import SUCCEEDED
from ledger.checkpoint import Checkpoint, split_note
from ledger.errors import CanonicalError, NoteError
from ledger.merkle import Edge

Fault = tuple[str, str, int, dict[str, str | int]]
"""Check, saying, index and facts of a fault."""

_LEAF = b'{"digest":"%b","kind":"%b","time":"%b"}\n'
_ROW = b'{"index":"%d","sequence":"%d","state":"posted","transfer":%b}\n'
_SEQUENCE = re.compile(rb'\{"index":"[0-9]+","sequence":"([1-9][0-9]{0,18})"')
_SUCCEEDED = b'"kind":"%b"' % SUCCEEDED.encode()
_HEX_RUN = b'"' + b"0" * 64 + b'"'
_HEX_SHAPE = bytes(
    ord("0") if chr(byte) in "0123456789abcdef" else byte if chr(byte) == '"' else 32 for byte in range(256)
)


@dataclass(slots=True)
class Note:
    """A signed checkpoint as far as it can be judged without its log; `form` and `signature` say what is wrong."""

    line: int
    checkpoint: Checkpoint | None = None
    form: str = ""
    signature: str = ""
    signed_by: tuple[str, ...] = ()


@dataclass(slots=True)
class Plain:
    """Transfers that are all `post`, not linked and of one ledger, as what they do to each account.

    `identifiers` are theirs, ASCII, a line each, `indexes` those of their entries, and `first_sequence` is what the
    claimed rows begin with.
    """

    identifiers: bytes
    indexes: Sequence[int]
    ledger: str
    first_sequence: int
    moved: Moved


class Moved(NamedTuple):
    """What the transfers of a segment do to accounts, ASCII, a line each: by column, as pickles like it.

    Of credits less debits, `low` and `high` are the least and the most that there is after any of them, beginning
    with 0, and `balance` what there is at the end. `place` is that of the last transfer, counted from 0.
    """

    accounts: bytes
    balance: list[int]
    debits: list[int]
    low: list[int]
    high: list[int]
    place: list[int]


_BALANCE, _DEBITS, _LOW, _HIGH, _PLACE = range(5)
"""The columns of Moved, while they are rows."""


@dataclass(slots=True)
class Report:
    """What one segment gave. Where `plain` is None, `moves` has what the fold needs of each body, in order.

    `unusable` is the first entry without a body to go by, `disclosed` says by place which have one.
    """

    first: int
    count: int
    faults: list[Fault] = field(default_factory=list)
    bodies: int = 0
    withheld: int = 0
    first_withheld: int | None = None
    unusable: int | None = None
    times: tuple[int, int] | None = None
    notes: list[Note] = field(default_factory=list)
    edges: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    commitments: list[tuple[str, int]] = field(default_factory=list)
    moves: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    disclosed: list[bool] = field(default_factory=list)
    plain: Plain | None = None
    succeeded: list[tuple[int, bytes]] = field(default_factory=list)
    """Entries with which the log took over from another one, with their bodies; empty where those are withheld."""


def judge_segment(
    bundle: Bundle,
    keys: Keys,
    number: int,
    shapes: Shapes,
    *,
    sizes: Sequence[int],
    exact: bool,
    seek_commitments: bool,
) -> Report:
    """Judge segment `number`; BundleError where it is broken.

    `shapes` are those of the segments before, and grow.

    `sizes` are those at which the tree is wanted besides the checkpoints' own. Peaks are of the segment's own
    leaves where it begins at a multiple of 4096, which leaves all larger peaks to come before them, and of the
    whole tree otherwise. `exact` asks for `moves` even where sums would do.
    """
    first, stop = bundle.bounds(number)
    leaves, salts, bodies = (
        Lines.of(bundle, number, name, stop - first) for name in ("leaves.jsonl", "salts.txt", "bodies.jsonl")
    )
    report = Report(first, stop - first)
    report.notes = [
        _note(line, row, keys) for line, row in enumerate(bundle.rows(number, "checkpoints.jsonl"), 1)
    ]
    report.succeeded = [(first + place, bodies.each[place]) for place in leaves.where(_SUCCEEDED)]
    wanted = {note.checkpoint.size for note in report.notes if note.checkpoint is not None} | set(sizes)
    wanted |= {index for index, _ in report.succeeded}
    base = Edge.empty() if bundle.aligned(number) else bundle.manifest.edge
    _grow(report, base, leaves, sorted(size for size in {*wanted, stop} if first <= size <= stop))
    read = _all_at_once(report, leaves, salts, bodies, shapes) or _one_by_one(report, leaves, salts, bodies)
    if seek_commitments:
        report.commitments = _hex_strings(first, bodies.text)
    report.plain = None if exact or not read.plain else _plain(report, bundle, number, read)
    if report.plain is None:
        report.moves = _moves(first, read, bodies.each)
        report.disclosed = read.disclosed
    return report


@dataclass(slots=True)
class _Read:
    """The bodies of a segment as they were read.

    `carrying` are the places of those that the fold needs; where `plain`, `posts` has their transfers by column:
    texts, amounts, credits, debits, identifiers and ledgers.
    """

    disclosed: list[bool]
    carrying: Sequence[int] = ()
    posts: Sequence[tuple[bytes, ...]] = ()
    plain: bool = True


class Lines(NamedTuple):
    """A part of a segment: its text, and each line of it without the newline."""

    text: bytes
    each: list[bytes]

    @classmethod
    def of(cls, bundle: Bundle, number: int, name: str, count: int) -> Lines:
        text = bundle.part(number, name)
        each = text.split(b"\n")
        if len(each) != count + 1:
            raise broken(
                part_name(number, name),
                f"{len(each) - 1} lines",
                f"one for each of the segment's {count} entries",
            )
        each.pop()
        return cls(text, each)

    def where(self, part: bytes) -> list[int]:
        """The places of the lines that hold `part`."""
        return [place for place, line in enumerate(self.each) if part in line] if part in self.text else []


def _note(line: int, row: Mapping[str, Any], keys: Keys) -> Note:
    text = row.get("note")
    if not isinstance(text, str):
        return Note(line, form="note is text")
    try:
        checkpoint = Checkpoint.parse(split_note(text)[0])
    except NoteError as error:
        return Note(line, form=why(error))
    try:
        return Note(line, checkpoint, signed_by=keys.open(text).signed_by)
    except NoteError as error:
        return Note(line, checkpoint, signature=why(error))


def _grow(report: Report, base: Edge, leaves: Lines, sizes: Sequence[int]) -> None:
    """Hash the leaves and keep the peaks at each of `sizes`, ascending, the last of them the segment's end."""
    hashes = [sha256(b"\x00" + leaf).digest() for leaf in leaves.each]
    edge, at = base, 0
    for size in sizes:
        edge = edge.append(hashes[at : size - report.first])
        at = size - report.first
        report.edges[size] = edge.peaks


def _all_at_once(report: Report, leaves: Lines, salts: Lines, bodies: Lines, shapes: Shapes) -> _Read | None:
    """The bodies, where all are disclosed and every entry is sound; None where one of them may not be."""
    count = len(bodies.each)
    if max(map(len, bodies.each)) > BODY_LIMIT:
        return None
    try:
        raw = bytes.fromhex(salts.text.decode())
        if len(raw) != 32 * count or raw.hex("\n", 32).encode() != salts.text[:-1]:
            return None
        read, kinds, texts = _uniform(bodies, shapes) or _shaped(bodies.each, shapes)
        times = list(map(int, texts))
    except ValueError:  # a CanonicalError is one
        return None
    digests = [
        sha256(raw[at : at + 32] + body).hexdigest().encode()
        for at, body in zip(range(0, len(raw), 32), bodies.each, strict=True)
    ]
    expected = chain.from_iterable(zip(digests, kinds, texts, strict=True))
    if _LEAF * count % tuple(expected) != leaves.text:
        return None
    if not all(is_kind(kind.decode()) for kind in set(kinds)) or CHUNK.encode() in kinds:
        return None
    if times[-1] > TIME_LIMIT_US or sorted(times) != times:
        return None
    report.bodies = count
    report.times = (times[0], times[-1])
    return read


_Texts = tuple[_Read, Sequence[bytes], Sequence[bytes]]
"""The bodies, their kinds and their times."""


def _uniform(bodies: Lines, shapes: Shapes) -> _Texts | None:
    """The bodies, where all have the shape of the last one."""
    count = len(bodies.each)
    found = shapes.find(bodies.each[-1])
    if found is None:
        return None
    rows = found[0].find_lines(bodies.text)
    if len(rows) != count:
        return None
    kinds, times, *posts = zip(*rows, strict=True)
    return _Read([True] * count, range(count) if posts else (), posts), kinds, times


def _shaped(bodies: Sequence[bytes], shapes: Shapes) -> _Texts:
    """The bodies, whatever shape each has; CanonicalError where one is not canonical."""
    read = _Read([True] * len(bodies))
    kinds: list[bytes] = []
    times: list[bytes] = []
    carrying: list[int] = []
    posts: list[tuple[bytes, ...]] = []
    for place, body in enumerate(bodies):
        found = shapes.find(body)
        if found is None:
            value, carries = read_fully(body)
            shapes.learn(body, value)
            found = shapes.find(body)
        if found is None:
            kinds.append(str(value["kind"]).encode())
            times.append(str(value["time"]).encode())
            if carries:
                carrying.append(place)
                read.plain = False
            continue
        shape, (kind, time, *post) = found
        kinds.append(kind)
        times.append(time)
        if shape.post:
            carrying.append(place)
            posts.append(tuple(post))
    read.carrying = carrying
    read.posts = list(zip(*posts, strict=True))
    return read, kinds, times


def _one_by_one(report: Report, leaves: Lines, salts: Lines, bodies: Lines) -> _Read:
    """The bodies, each entry judged by itself."""
    read = _Read([False] * len(bodies.each), plain=False)
    carrying: list[int] = []
    for place, (line, salt, body) in enumerate(zip(leaves.each, salts.each, bodies.each, strict=True)):
        index = report.first + place
        carries = _entry(report, index, line, salt, body)
        read.disclosed[place] = carries is not None
        if carries:
            carrying.append(place)
        elif carries is None and report.unusable is None:
            report.unusable = index
    read.carrying = carrying
    return read


def _entry(report: Report, index: int, line: bytes, salt: bytes, body: bytes) -> bool | None:
    """Judge one entry and say whether the fold needs its body; None where there is no body to go by."""
    try:
        leaf: Leaf | None = read_leaf(line)
    except CanonicalError:
        leaf = None
        report.faults.append(("leaves", "leaf_form", index, {}))
    if leaf is not None:
        if report.times is not None and leaf.time_us < report.times[1]:
            report.faults.append(("time", "time_back", index, {}))
        report.times = (leaf.time_us if report.times is None else report.times[0], leaf.time_us)
    if not body and not salt:
        report.withheld += 1
        report.first_withheld = index if report.first_withheld is None else report.first_withheld
        return None
    if leaf is None:
        return None
    if not HEX_256.fullmatch(salt.decode("latin-1")) or not body:
        report.faults.append(("bodies", "body_form", index, {"why": "salt is 64 hex digits, body text"}))
        return None
    if sha256(bytes.fromhex(salt.decode()) + body).hexdigest() != leaf.digest:
        report.faults.append(("bodies", "body_digest", index, {}))
        return None
    try:
        value, carries = read_fully(body)
        if envelope(value) != (leaf.kind, leaf.time_us):
            report.faults.append(("bodies", "body_envelope", index, {}))
            return None
    except CanonicalError as error:
        report.faults.append(("bodies", "body_form", index, {"why": why(error)}))
        return None
    report.bodies += 1
    return carries


def _hex_strings(first: int, text: bytes) -> list[tuple[str, int]]:
    """Every string of 64 hex digits in the bodies, each once, with the index where it is first seen."""
    shape = text.translate(_HEX_SHAPE)
    found: dict[str, int] = {}
    at = shape.find(_HEX_RUN)
    index, line_end = first - 1, -1
    while at >= 0:
        while line_end < at:
            index += 1
            line_end = text.find(b"\n", line_end + 1)
            line_end = len(text) if line_end < 0 else line_end
        found.setdefault(text[at + 1 : at + 65].decode(), index)
        at = shape.find(_HEX_RUN, at + 65)
    return list(found.items())


def _moves(first: int, read: _Read, bodies: Sequence[bytes]) -> list[tuple[int, dict[str, Any]]]:
    """What the fold needs of the bodies, in order."""
    moves: list[tuple[int, dict[str, Any]]] = []
    for place in read.carrying:
        value = orjson.loads(bodies[place])
        if value["kind"] == CHUNK or "chunks" in value:
            moves.append((first + place, value))
        else:
            kept = {name: value[name] for name in ("accounts", "time", "transfers") if name in value}
            moves.append((first + place, kept))
    return moves


def _plain(report: Report, bundle: Bundle, number: int, read: _Read) -> Plain | None:
    """What the segment's transfers do; None where they or their claimed rows have to be judged one by one."""
    claimed = bundle.part(number, "transfers.jsonl")
    if not read.posts:
        return None if claimed else Plain(b"", (), "", 0, Moved(b"", [], [], [], [], []))
    texts, amounts, credits, debits, identifiers, ledgers = read.posts
    sequence, indexes = _first_sequence(claimed), _indexes(report.first, read.carrying)
    rows = chain.from_iterable(zip(indexes, count(sequence), texts, strict=False))
    if _ROW * len(texts) % tuple(rows) != claimed:
        return None
    # The shapes see to the form of all of it; what needs no account to be known is left to look at.
    moving = list(map(int, amounts))
    if any(map(eq, debits, credits)) or len(set(ledgers)) > 1:
        return None
    moved = _moved(debits, credits, moving)
    return Plain(b"\n".join(identifiers), indexes, ledgers[0].decode(), sequence, moved)


def _indexes(first: int, places: Sequence[int]) -> Sequence[int]:
    if isinstance(places, range):
        return range(first, first + len(places))
    return [first + place for place in places]


def _moved(debits: Sequence[bytes], credits: Sequence[bytes], amounts: Sequence[int]) -> Moved:
    """What the transfers do to each account."""
    moved: dict[bytes, list[int]] = defaultdict(lambda: [0] * 5)
    for place, (payer, payee, amount) in enumerate(zip(debits, credits, amounts, strict=True)):
        move = moved[payer]
        move[_BALANCE] = balance = move[_BALANCE] - amount
        move[_DEBITS] += amount
        move[_PLACE] = place
        if balance < move[_LOW]:  # noqa: PLR1730  # a call for each costs more than all the rest
            move[_LOW] = balance
        move = moved[payee]
        move[_BALANCE] = balance = move[_BALANCE] + amount
        move[_PLACE] = place
        if balance > move[_HIGH]:  # noqa: PLR1730  # the same
            move[_HIGH] = balance
    return Moved(b"\n".join(moved), *map(list, zip(*moved.values(), strict=True)))


def _first_sequence(claimed: bytes) -> int:
    """The sequence that the first claimed row names; 0 where none is there or it cannot be read."""
    found = _SEQUENCE.match(claimed)
    return int(found[1]) if found else 0
