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
from itertools import pairwise
from typing import Any

import orjson

from ledger.audit.bodies import (
    CHUNK,
    HEX_256,
    TIME_LIMIT_US,
    Leaf,
    envelope,
    is_kind,
    needs_care,
    read_body,
    read_leaf,
    sorted_json,
)
from ledger.audit.findings import why
from ledger.audit.keys import Keys
from ledger.audit.reading import Bundle, broken, part_name
from ledger.checkpoint import Checkpoint, split_note
from ledger.errors import CanonicalError, NoteError
from ledger.merkle import Edge
from ledger.postings import AMOUNT_LIMIT, is_name

Fault = tuple[str, str, int, dict[str, str | int]]
"""Check, saying, index and facts of a fault."""

_POST = ("amount", "code", "credit", "debit", "id", "kind", "ledger", "linked", "pending")
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
    first_sequence: int
    debits: dict[str, int]
    credits: dict[str, int]
    ledgers: dict[str, str]
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
    bundle: Bundle, keys: Keys, number: int, *, sizes: Sequence[int], exact: bool, seek_commitments: bool
) -> Report:
    """Judge segment `number`; BundleError where it is broken.

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
    values = _all_at_once(report, leaves, salts, bodies)
    if values is None:
        values = _one_by_one(report, leaves, salts, bodies)
    if seek_commitments:
        report.commitments = _hex_strings(first, bodies)
    report.plain = None if exact else _plain(report, bundle, number, values, bodies)
    if report.plain is None:
        report.moves = _moves(first, values)
        report.disclosed = [value is not None for value in values]
    return report


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
    report: Report, leaves: Sequence[bytes], salts: Sequence[bytes], bodies: Sequence[bytes]
) -> list[dict[str, Any] | None] | None:
    """The bodies, where all are disclosed and every entry is sound; None where one of them may not be."""
    joined = b"".join(salts)
    if len(joined) != 64 * len(salts) or joined != joined.lower() or set(map(len, salts)) - {64}:
        return None
    try:
        raw = binascii.unhexlify(joined)
        values = list(map(orjson.loads, bodies))
        if set(map(type, values)) - {dict} or list(map(sorted_json, values)) != list(bodies):
            return None
        for at in needs_care(bodies):
            read_body(bodies[at])
        kinds = [value["kind"] for value in values]
        if not all(map(is_kind, set(kinds))):
            return None
        texts = [value["time"] for value in values]
        times = list(map(int, texts))
        digests = [
            sha256(raw[at : at + 32] + body).hexdigest()
            for at, body in zip(range(0, len(raw), 32), bodies, strict=True)
        ]
        expected = [
            f'{{"digest":"{digest}","kind":"{kind}","time":"{time}"}}'
            for digest, kind, time in zip(digests, kinds, texts, strict=True)
        ]
        if "\n".join(expected).encode() != b"\n".join(leaves):
            return None
    except (
        ValueError,
        TypeError,
        KeyError,
        UnicodeError,
    ):  # CanonicalError and JSONDecodeError are ValueErrors
        return None
    if list(map(str, times)) != texts or times[-1] > TIME_LIMIT_US or any(b < a for a, b in pairwise(times)):
        return None
    report.bodies = len(values)
    report.times = (times[0], times[-1])
    return list(values)


def _one_by_one(
    report: Report, leaves: Sequence[bytes], salts: Sequence[bytes], bodies: Sequence[bytes]
) -> list[dict[str, Any] | None]:
    """The bodies, None where one is withheld or unusable; each entry judged by itself."""
    values: list[dict[str, Any] | None] = []
    for index, line, salt, body in zip(
        range(report.first, report.first + report.count), leaves, salts, bodies, strict=True
    ):
        value = _entry(report, index, line, salt, body)
        values.append(value)
        if value is None and report.unusable is None:
            report.unusable = index
    return values


def _entry(report: Report, index: int, line: bytes, salt: bytes, body: bytes) -> dict[str, Any] | None:
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
        value = read_body(body)
        if envelope(value) != (leaf.kind, leaf.time_us):
            report.faults.append(("bodies", "body_envelope", index, {}))
            return None
    except CanonicalError as error:
        report.faults.append(("bodies", "body_form", index, {"why": why(error)}))
        return None
    report.bodies += 1
    return value


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


def _moves(first: int, values: Sequence[Mapping[str, Any] | None]) -> list[tuple[int, dict[str, Any]]]:
    """What the fold needs of each body, up to the first that is not there."""
    moves: list[tuple[int, dict[str, Any]]] = []
    for index, value in enumerate(values, first):
        if value is None:
            continue
        if value["kind"] == CHUNK or "chunks" in value:
            moves.append((index, dict(value)))
        elif "transfers" in value or "accounts" in value:
            moves.append(
                (index, {name: value[name] for name in ("accounts", "time", "transfers") if name in value})
            )
    return moves


def _plain(
    report: Report,
    bundle: Bundle,
    number: int,
    values: Sequence[dict[str, Any] | None],
    bodies: Sequence[bytes],
) -> Plain | None:
    """The sums of the segment's transfers; None where they or their claimed rows have to be judged one by one."""
    if report.faults or report.withheld:
        return None
    claimed = bundle.part(number, "transfers.jsonl")
    sequence = _first_sequence(claimed)
    identifiers: list[str] = []
    debit_names: list[str] = []
    credit_names: list[str] = []
    amounts: list[int] = []
    debits: dict[str, int] = defaultdict(int)
    credits: dict[str, int] = defaultdict(int)
    ledgers: dict[str, str] = {}
    touched: dict[str, int] = {}
    last: dict[str, int] = {}
    codes: set[str] = set()
    rows: list[bytes] = []
    for index, (value, body) in enumerate(zip(values, bodies, strict=True), report.first):
        assert value is not None
        if value["kind"] == CHUNK or "chunks" in value or "accounts" in value:
            return None
        transfers = value.get("transfers")
        if transfers is None:
            continue
        # The last member, so that its text can be cut out of the body's.
        if type(transfers) is not list or len(transfers) != 1 or next(reversed(value)) != "transfers":
            return None
        transfer = transfers[0]
        if type(transfer) is not dict or tuple(transfer) != _POST:
            return None
        amount, code, credit, debit, identifier, kind, ledger, linked, pending = transfer.values()
        if kind != "post" or linked is not False or pending is not None or debit == credit:
            return None
        if not (
            type(code)
            is type(credit)
            is type(debit)
            is type(identifier)
            is type(ledger)
            is type(amount)
            is str
        ):
            return None
        if ledgers.setdefault(debit, ledger) != ledger or ledgers.setdefault(credit, ledger) != ledger:
            return None
        units = int(amount) if amount.isdecimal() else 0
        if not 0 < units <= AMOUNT_LIMIT or str(units) != amount:
            return None
        place = len(identifiers)
        identifiers.append(identifier)
        debit_names.append(debit)
        credit_names.append(credit)
        amounts.append(units)
        codes.add(code)
        debits[debit] += units
        credits[credit] += units
        touched[debit] = touched[credit] = place
        last[debit] = last[credit] = index
        text = body[body.rfind(_TRANSFERS) + len(_TRANSFERS) : -2]
        rows.append(
            b'{"index":"%d","sequence":"%d","state":"posted","transfer":%b}\n'
            % (index, sequence + place, text)
        )
    if b"".join(rows) != claimed or not all(map(is_name, (*codes, *identifiers))):
        return None
    return Plain(
        identifiers,
        debit_names,
        credit_names,
        amounts,
        sequence,
        dict(debits),
        dict(credits),
        ledgers,
        touched,
        last,
    )


def _first_sequence(claimed: bytes) -> int:
    """The sequence that the first claimed row names; 0 where none is there or it cannot be read."""
    found = _SEQUENCE.match(claimed)
    return int(found[1]) if found else 0
