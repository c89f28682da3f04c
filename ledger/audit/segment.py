"""Judges one segment of a bundle alone: its leaves, bodies, notes and transfers, as far as they need no other segment.

Runs in a process of its own where there are many segments. What all entries of a segment have in common is
checked in bulk; where a bulk check fails, each entry is looked at by itself, and only then a fault is named.
"""

from __future__ import annotations

import binascii
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain
from operator import eq
from typing import Any

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
from ledger.audit.shapes import Shape, Shapes, read_fully
from ledger.checkpoint import Checkpoint, split_note
from ledger.errors import CanonicalError, NoteError
from ledger.merkle import Edge
from ledger.postings import AMOUNT_LIMIT, NAME_LIMIT, is_name

Fault = tuple[str, str, int, dict[str, str | int]]
"""Check, saying, index and facts of a fault."""

_TRANSFERS = b'"transfers":['
_SEQUENCE = re.compile(rb'\{"index":"[0-9]+","sequence":"([1-9][0-9]{0,18})"')
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
    """Transfers that are all `post` and not linked, column by column, with the sums of each account.

    `first_sequence` is what the claimed rows begin with; `touched` is the place, counted from 0, of the last
    transfer on an account, and `last` the index of that one's entry.
    """

    identifiers: list[str]
    debit: list[str]
    credit: list[str]
    amount: list[int]
    ledger: str
    first_sequence: int
    debits: dict[str, int]
    credits: dict[str, int]
    touched: dict[str, int]
    last: dict[str, int]


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
        _lines(bundle, number, name, stop - first) for name in ("leaves.jsonl", "salts.txt", "bodies.jsonl")
    )
    report = Report(first, stop - first)
    report.notes = [
        _note(line, row, keys) for line, row in enumerate(bundle.rows(number, "checkpoints.jsonl"), 1)
    ]
    wanted = {note.checkpoint.size for note in report.notes if note.checkpoint is not None} | set(sizes)
    base = Edge.empty() if bundle.aligned(number) else bundle.manifest.edge
    _grow(report, base, leaves, sorted(size for size in {*wanted, stop} if first <= size <= stop))
    read = _all_at_once(report, leaves, salts, bodies, shapes) or _one_by_one(report, leaves, salts, bodies)
    if seek_commitments:
        report.commitments = _hex_strings(first, bodies)
    report.plain = None if exact or not read.plain else _plain(report, bundle, number, read, bodies)
    if report.plain is None:
        report.moves = _moves(first, read, bodies)
        report.disclosed = read.disclosed
    return report


@dataclass(slots=True)
class _Read:
    """The bodies of a segment as they were read.

    `carrying` are the places of those that the fold needs; where `plain`, `posts` has the transfer of each of them
    as (amount, code, credit, debit, id, kind, ledger).
    """

    disclosed: list[bool]
    carrying: list[int] = field(default_factory=list)
    posts: list[tuple[bytes, ...]] = field(default_factory=list)
    plain: bool = True


def _lines(bundle: Bundle, number: int, name: str, count: int) -> list[bytes]:
    lines = bundle.part(number, name).split(b"\n")
    if len(lines) != count + 1:
        raise broken(
            part_name(number, name),
            f"{len(lines) - 1} lines",
            f"one for each of the segment's {count} entries",
        )
    lines.pop()
    return lines


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


def _grow(report: Report, base: Edge, leaves: Sequence[bytes], sizes: Sequence[int]) -> None:
    """Hash the leaves and keep the peaks at each of `sizes`, ascending, the last of them the segment's end."""
    hashes = [sha256(b"\x00" + leaf).digest() for leaf in leaves]
    edge, at = base, 0
    for size in sizes:
        edge = edge.append(hashes[at : size - report.first])
        at = size - report.first
        report.edges[size] = edge.peaks


def _all_at_once(
    report: Report, leaves: Sequence[bytes], salts: Sequence[bytes], bodies: Sequence[bytes], shapes: Shapes
) -> _Read | None:
    """The bodies, where all are disclosed and every entry is sound; None where one of them may not be."""
    joined = b"".join(salts)
    if max(map(len, bodies)) > BODY_LIMIT:
        return None
    if len(joined) != 64 * len(salts) or joined != joined.lower() or set(map(len, salts)) - {64}:
        return None
    try:
        raw = binascii.unhexlify(joined)
        read, kinds, texts = _shaped(bodies, shapes)
        times = list(map(int, texts))
    except ValueError:  # a CanonicalError is one
        return None
    expected = [
        b'{"digest":"%b","kind":"%b","time":"%b"}'
        % (sha256(raw[at : at + 32] + body).hexdigest().encode(), kind, time)
        for at, body, kind, time in zip(range(0, len(raw), 32), bodies, kinds, texts, strict=True)
    ]
    if expected != leaves:
        return None
    if not all(is_kind(kind.decode()) for kind in set(kinds)) or CHUNK.encode() in kinds:
        return None
    if [b"%d" % time for time in times] != texts or sorted(times) != times:
        return None
    if times[0] < 0 or times[-1] > TIME_LIMIT_US:
        return None
    report.bodies = len(bodies)
    report.times = (times[0], times[-1])
    return read


def _shaped(bodies: Sequence[bytes], shapes: Shapes) -> tuple[_Read, list[bytes], list[bytes]]:
    """The bodies, their kinds and their times; CanonicalError where one is not canonical."""
    read = _Read([True] * len(bodies))
    kinds: list[bytes] = []
    times: list[bytes] = []
    shape: Shape | None = None
    for place, body in enumerate(bodies):
        match = None if shape is None else shape.match(body)
        if match is None:
            found = shapes.find(body)
            if found is None:
                value, carries = read_fully(body)
                shapes.learn(body, value)
                kinds.append(str(value["kind"]).encode())
                times.append(str(value["time"]).encode())
                if carries:
                    read.carrying.append(place)
                    again = shapes.find(body)
                    if again is None or again[0].post is None:
                        read.plain = False
                    else:
                        read.posts.append(again[1].group(*again[0].post))
                continue
            shape, match = found
        assert shape is not None
        kinds.append(match[shape.kind])
        times.append(match[shape.time])
        if shape.carries:
            read.carrying.append(place)
            if shape.post is None:
                read.plain = False
            else:
                read.posts.append(match.group(*shape.post))
    return read, kinds, times


def _one_by_one(
    report: Report, leaves: Sequence[bytes], salts: Sequence[bytes], bodies: Sequence[bytes]
) -> _Read:
    """The bodies, each entry judged by itself."""
    read = _Read([False] * len(bodies), plain=False)
    for place, (line, salt, body) in enumerate(zip(leaves, salts, bodies, strict=True)):
        index = report.first + place
        carries = _entry(report, index, line, salt, body)
        read.disclosed[place] = carries is not None
        if carries:
            read.carrying.append(place)
        elif carries is None and report.unusable is None:
            report.unusable = index
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


def _hex_strings(first: int, bodies: Sequence[bytes]) -> list[tuple[str, int]]:
    """Every string of 64 hex digits in the bodies, each once, with the index where it is first seen."""
    text = b"\n".join(bodies)
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


def _plain(report: Report, bundle: Bundle, number: int, read: _Read, bodies: Sequence[bytes]) -> Plain | None:
    """The sums of the segment's transfers; None where they or their claimed rows have to be judged one by one."""
    claimed = bundle.part(number, "transfers.jsonl")
    if not read.posts:
        return None if claimed else Plain([], [], [], [], "", 0, {}, {}, {}, {})
    sequence, first, places = _first_sequence(claimed), report.first, read.carrying
    rows = [
        b'{"index":"%d","sequence":"%d","state":"posted","transfer":%b}\n'
        % (first + place, row, bodies[place][bodies[place].rfind(_TRANSFERS) + len(_TRANSFERS) : -2])
        for row, place in enumerate(places, sequence)
    ]
    if b"".join(rows) != claimed:
        return None
    texts, codes, credit_texts, debit_texts, identifier_texts, kinds, ledger_texts = zip(
        *read.posts, strict=True
    )
    amounts = list(map(int, filter(bytes.isdigit, texts)))
    if set(kinds) != {b"post"} or [b"%d" % amount for amount in amounts] != list(texts):
        return None
    if min(amounts) < 1 or max(amounts) > AMOUNT_LIMIT:
        return None
    identifiers, debit, credit = (_names(column) for column in (identifier_texts, debit_texts, credit_texts))
    if not all(is_name(text.decode()) for text in {*codes, *ledger_texts}):
        return None
    if not (identifiers and debit and credit):
        return None
    debits: dict[str, int] = defaultdict(int)
    credits: dict[str, int] = defaultdict(int)
    for payer, payee, amount in zip(debit, credit, amounts, strict=True):
        debits[payer] += amount
        credits[payee] += amount
    if any(map(eq, debit, credit)):
        return None
    if len(set(ledger_texts)) > 1:  # then it has to be seen which account is in which
        return None
    both = list(chain.from_iterable(zip(debit, credit, strict=True)))
    touched = dict(zip(both, chain.from_iterable(zip(*[range(len(debit))] * 2, strict=True)), strict=True))
    return Plain(
        identifiers,
        debit,
        credit,
        amounts,
        ledger_texts[0].decode(),
        sequence,
        dict(debits),
        dict(credits),
        touched,
        {name: first + places[place] for name, place in touched.items()},
    )


def _names(column: Sequence[bytes]) -> list[str]:
    """The texts of a column of names; none where one of them is no name (`is_name`)."""
    text = b"\n".join(column).decode()
    names = text.split("\n")
    sound = (
        min(map(len, names)) and max(map(len, names)) <= NAME_LIMIT and text.replace("\n", "").isprintable()
    )
    return names if sound and len(names) == len(column) else []


def _first_sequence(claimed: bytes) -> int:
    """The sequence that the first claimed row names; 0 where none is there or it cannot be read."""
    found = _SEQUENCE.match(claimed)
    return int(found[1]) if found else 0
