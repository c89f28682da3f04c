"""The judge: replays an audit bundle offline and says of every check whether it passed, failed or was not made.

Needs no database, no server and nobody's word: leaves give the roots, bodies give the balances, and the keys
are the reader's own. Of the code that wrote the bundle it shares only the tree, the notes, the entries and the
rules of posting. Members are streamed, so memory grows with the accounts, the identifiers and the openings,
never with the bodies.
"""

from __future__ import annotations

import binascii
import os
import re
import zipfile
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from ledger.checkpoint import Checkpoint, Opened, Verifier, open_note, split_note
from ledger.entries import Leaf, commitment, envelope, parse_body, parse_leaf
from ledger.errors import (
    AnchorError,
    BundleError,
    CanonicalError,
    LedgerError,
    NoteError,
    TransferError,
    UnansweredError,
)
from ledger.merkle import EMPTY_ROOT, Edge, leaf_hash
from ledger.postings import (
    STATE_AT_FIRST,
    Account,
    Failed,
    Pending,
    Transfer,
    account_from_json,
    decide,
    differences,
    transfer_from_json,
)
from ledger.verdict import CHECKS, Check, Verdict

FORMAT = "data-asset-exchange-bundle@1"
LINES = ("checkpoints.jsonl", "entries.jsonl", "openings.jsonl", "accounts.jsonl", "transfers.jsonl")
DOCUMENTS = {"manifest.json": 1 << 20, "anchors.json": 1 << 24}
"""Members that are read whole, with the bytes they may have."""
LINE_LIMIT = 1 << 18
"""Bytes of one line: a body of 65,535 bytes at most doubles when it is written inside a JSON string."""
EXPANSION_LIMIT = 200
"""How many times its packed size a member may have, before it counts as a zip bomb (honest ones stay below 40)."""
BATCH = 4096

ReadAnchor = Callable[[dict[str, Any]], tuple[int, bytes]]
"""Size and root that the chain itself shows for an anchor; AnchorError where it shows none,
UnansweredError or OSError where it cannot be asked."""

_HEX_256 = re.compile("[0-9a-f]{64}")
_QUOTED_HEX_256 = re.compile('"([0-9a-f]{64})"')
_DECIMAL = re.compile("0|[1-9][0-9]{0,18}")


def audit(
    path: str | os.PathLike[str],
    vkeys: Sequence[str] | None,
    read_anchor: ReadAnchor | None = None,
    progress: Callable[[int, int], None] | None = None,
    held: Sequence[str] = (),
) -> Verdict:
    """Judge the bundle at `path`.

    `vkeys` are the verifier keys that the reader trusts, got elsewhere than from the bundle; without them the
    signatures count as not checked. `read_anchor` reads a chain; without it the anchors count as not checked.
    `held` are signed checkpoints that the reader keeps from earlier (a receipt's, a witness's): only they show
    that a log was cut back to an earlier checkpoint. `progress(done, total)` is called as entries are judged.
    BundleError where the file is no bundle, NoteError where one of `vkeys` is no key; nothing else is raised.
    """
    trusted = None if vkeys is None else [Verifier.parse(vkey) for vkey in vkeys]
    with _Bundle(path) as bundle:
        return _Judge(bundle, trusted, read_anchor, progress, held).judge()


class _Bundle:
    """The members of the file, each streamed and bounded; every way in which it can be broken is a BundleError."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
            raise _broken("bundle", f"{error}", "a readable .zip file") from error
        try:
            self._sizes = self._check_members()
            self.manifest = self._manifest()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> _Bundle:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def _check_members(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for info in self._zip.infolist():
            name = info.filename
            if name in sizes:
                raise _broken(name, "there twice", "every member occurs once")
            if name not in LINES and name not in DOCUMENTS:
                raise _broken(name, "unknown", f"members are {', '.join((*LINES, *DOCUMENTS))}")
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _broken(name, "encrypted or packed in an unknown way", "stored or deflated")
            if info.file_size > EXPANSION_LIMIT * info.compress_size + (1 << 16):
                raise _broken(
                    name,
                    f"{info.file_size} bytes packed in {info.compress_size}",
                    f"at most {EXPANSION_LIMIT} times the packed size",
                )
            if info.file_size > DOCUMENTS.get(name, info.file_size):
                raise _broken(name, f"{info.file_size} bytes", f"at most {DOCUMENTS[name]} bytes")
            sizes[name] = info.file_size
        for name in (*LINES, *DOCUMENTS):
            if name not in sizes:
                raise _broken(name, "missing", f"members are {', '.join((*LINES, *DOCUMENTS))}")
        return sizes

    def _manifest(self) -> _Manifest:
        value = self.document("manifest.json")
        if not isinstance(value, dict):
            raise _broken("manifest.json", "not an object", "a JSON object")
        if value.get("format") != FORMAT:
            raise _broken("manifest.json", f"format {value.get('format')!r}", f"format {FORMAT}")
        origin, sandbox, members = value.get("origin"), value.get("sandbox"), value.get("members")
        vkeys, root = value.get("vkeys"), value.get("root")
        if not isinstance(origin, str) or not isinstance(sandbox, bool):
            raise _broken(
                "manifest.json", "no origin, or no sandbox", "origin is text, sandbox true or false"
            )
        if not isinstance(vkeys, list) or not all(isinstance(vkey, str) for vkey in vkeys):
            raise _broken("manifest.json", "no vkeys", "vkeys is an array of verifier keys")
        if not isinstance(root, str) or not _HEX_256.fullmatch(root):
            raise _broken("manifest.json", "no root", "root is 64 hex digits")
        if not isinstance(members, dict):
            raise _broken("manifest.json", "no members", "members gives the bytes of every member")
        for name, size in self._sizes.items():
            if name != "manifest.json" and members.get(name) != str(size):
                raise _broken(name, f"{size} bytes", f"as many as the manifest says: {members.get(name)!r}")
        return _Manifest(
            origin, vkeys, _decimal(value, "size", "manifest.json"), bytes.fromhex(root), sandbox
        )

    def document(self, name: str) -> Any:
        """A member that is read whole."""
        try:
            return orjson.loads(self._zip.read(name))
        except _UNREADABLE as error:
            raise _broken(name, f"{error}", "whole, and JSON") from error

    def lines(self, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """The objects of a member, each with its line number from 1, one at a time."""
        number = 0
        rest = b""
        try:
            with self._zip.open(name) as member:
                while block := member.read(1 << 16):
                    *lines, rest = (rest + block).split(b"\n")
                    for line in lines:
                        number += 1
                        value = orjson.loads(line)
                        if not isinstance(value, dict):
                            raise _broken(name, f"line {number} is no object", "a JSON object a line")
                        yield number, value
                    if len(rest) > LINE_LIMIT:
                        raise _broken(
                            name, f"line {number + 1} has no end", f"at most {LINE_LIMIT} bytes a line"
                        )
        except _UNREADABLE as error:
            raise _broken(name, f"line {number}: {error}", "whole, and a JSON object a line") from error
        if rest:
            raise _broken(name, f"line {number + 1} is cut off", "every line ends in a newline")


_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    orjson.JSONDecodeError,
    UnicodeDecodeError,
)


@dataclass(frozen=True, slots=True)
class _Manifest:
    origin: str
    vkeys: list[str]
    size: int
    root: bytes
    sandbox: bool


@dataclass(frozen=True, slots=True)
class _Fault:
    saying: str
    facts: dict[str, str | int]
    first: int | None
    last: int | None


class _Faults:
    """What is wrong so far: for each check the fault with the smallest index, and how many there are."""

    def __init__(self) -> None:
        self.first: dict[str, _Fault] = {}
        self.counts: dict[str, int] = {}

    def add(
        self, check: str, saying: str, index: int | None = None, last: int | None = None, **facts: str | int
    ) -> None:
        self.counts[check] = self.counts.get(check, 0) + 1
        known = self.first.get(check)
        if known is None or (index is not None and (known.first is None or index < known.first)):
            last = index if last is None else last
            if index is not None and last is not None:
                facts |= {"index": index, "first": index, "last": last}
            self.first[check] = _Fault(saying, facts, index, last)


class _Fold:
    """Accounts and holds as the bodies give them, compared with the claimed rows as the fold goes."""

    def __init__(self, faults: _Faults, rows: Iterator[tuple[int, dict[str, Any]]]) -> None:
        self.faults = faults
        self.accounts: dict[str, Account] = {}
        self.pendings: dict[str, Pending] = {}
        self.last_set: dict[str, int] = {}
        self.transfers: dict[str, int] = {}  # identifier → index of the entry that carries it
        self.ended: dict[str, int] = {}  # hold → index of the entry that posted or voided it
        self.claimed_states: dict[str, object] = {}
        self.next_sequence = 1
        self.stopped_at: int | None = None
        self._rows = rows
        self._row: dict[str, Any] | None = None
        self._row_sequence = 0

    def body(self, index: int, body: Mapping[str, Any]) -> None:
        """Fold one body: the accounts it opens, then the transfers it carries."""
        try:
            accounts = [account_from_json(value) for value in _array(body.get("accounts", []), "accounts")]
        except TransferError as error:
            self._stop(index, "accounts", "account_form", why=_why(error))
            return
        for account in accounts:
            if account.id in self.accounts:
                self.faults.add("accounts", "account_twice", index, id=account.id)
            else:
                self.accounts[account.id] = account
                self.last_set[account.id] = index
        try:
            transfers = [
                transfer_from_json(value) for value in _array(body.get("transfers", []), "transfers")
            ]
        except TransferError as error:
            self._stop(index, "transfers", "transfer_form", why=_why(error))
            return
        if transfers:
            self._move(index, transfers)

    def _move(self, index: int, transfers: Sequence[Transfer]) -> None:
        fresh: list[Transfer] = []
        for transfer in transfers:
            if transfer.id in self.transfers:
                self.faults.add("transfers", "transfer_twice", index, id=transfer.id)
            else:
                self.transfers[transfer.id] = index
                fresh.append(transfer)
        decision = decide(self.accounts, self.pendings, {}, fresh, self.next_sequence)
        self.accounts.update(decision.accounts)
        self.pendings.update(decision.pendings)
        self.next_sequence = decision.next_sequence
        for transfer, outcome in zip(fresh, decision.outcomes, strict=True):
            if isinstance(outcome, Failed):
                self.faults.add(
                    "transfers", "transfer_refused", index, id=transfer.id, reason=str(outcome.reason)
                )
                continue
            if transfer.pending is not None:
                self.ended[transfer.pending] = index
            self.last_set[transfer.debit] = self.last_set[transfer.credit] = index
            self._compare(transfer, outcome.sequence, index)

    def _stop(self, index: int, check: str, saying: str, why: str) -> None:
        self.faults.add(check, saying, index, why=why)
        self.stopped_at = index

    def _next_row(self) -> dict[str, Any] | None:
        """The next claimed transfer row whose sequence is above the one before; others are faults."""
        while self._row is None:
            number, row = next(self._rows, (0, None))
            if row is None:
                return None
            sequence = _decimal(row, "sequence", f"transfers.jsonl line {number}")
            if sequence > self._row_sequence:
                self._row, self._row_sequence = row, sequence
            else:
                self._unknown_row(row)
        return self._row

    def _unknown_row(self, row: Mapping[str, Any]) -> None:
        self.faults.add(
            "transfer_rows",
            "transfer_row_unknown",
            self.transfers.get(str(row.get("id"))),
            id=str(row.get("id")),
        )

    def _compare(self, transfer: Transfer, sequence: int, index: int) -> None:
        while True:
            row = self._next_row()
            if row is not None and self._row_sequence < sequence:
                self._unknown_row(row)
                self._row = None
                continue
            if row is None or self._row_sequence > sequence:
                self.faults.add("transfer_rows", "transfer_row_missing", index, id=transfer.id)
                return
            break
        self._row = None
        state = row.get("state")
        expected: dict[str, object] = {
            "sequence": str(sequence),
            "id": transfer.id,
            "index": str(index),
            "kind": transfer.kind,
            "debit": transfer.debit,
            "credit": transfer.credit,
            "amount": str(transfer.amount),
            "ledger": transfer.ledger,
            "code": transfer.code,
            "pending": transfer.pending,
            "state": STATE_AT_FIRST[transfer.kind],
        }
        if transfer.kind == "pending":  # judged at the end, when it is known what became of the hold
            self.claimed_states[transfer.id] = expected["state"] = state
        if row != expected:
            self._differ("transfer_rows", "transfer_row", transfer.id, index, row, expected)

    def _differ(
        self,
        check: str,
        saying: str,
        name: str,
        index: int,
        row: Mapping[str, Any],
        expected: Mapping[str, object],
    ) -> None:
        member = next(
            m for m in {**expected, **row} if m not in row or m not in expected or row[m] != expected[m]
        )
        self.faults.add(
            check,
            saying,
            index,
            id=name,
            member=member,
            claimed=str(row.get(member)),
            folded=str(expected.get(member)),
        )

    def close_transfers(self) -> None:
        """Judge what is left of the claimed transfer rows, and the states of the holds."""
        while (row := self._next_row()) is not None:
            self._unknown_row(row)
            self._row = None
        for name, claimed in self.claimed_states.items():
            folded = self.pendings[name].state
            if claimed != folded:
                self.faults.add(
                    "transfer_rows",
                    "transfer_row",
                    self.ended.get(name, self.transfers[name]),
                    id=name,
                    member="state",
                    claimed=str(claimed),
                    folded=folded,
                )

    def judge_accounts(self, rows: Iterator[tuple[int, dict[str, Any]]]) -> None:
        """Compare the claimed account rows with the fold."""
        claimed: set[str] = set()
        for _, row in rows:
            name = str(row.get("id"))
            account = self.accounts.get(name)
            if account is None:
                self.faults.add("account_rows", "account_row_unknown", id=name)
                continue
            index = self.last_set[name]
            if name in claimed:
                self.faults.add("account_rows", "account_row_twice", index, id=name)
                continue
            claimed.add(name)
            expected: dict[str, object] = {
                "id": account.id,
                "ledger": account.ledger,
                "code": account.code,
                "limit": account.limit,
                "debits_pending": str(account.debits_pending),
                "debits_posted": str(account.debits_posted),
                "credits_pending": str(account.credits_pending),
                "credits_posted": str(account.credits_posted),
            }
            if row != expected:
                self._differ("account_rows", "account_row", name, index, row, expected)
        for name in self.accounts:
            if name in claimed:
                continue
            self.faults.add("account_rows", "account_row_missing", self.last_set[name], id=name)

    def judge_double_entry(self) -> None:
        """Compare the sums of all debits and credits, ledger by ledger."""
        for ledger, (posted, pending) in differences(self.accounts.values()).items():
            if posted or pending:
                self.faults.add(
                    "double_entry", "double_entry_bad", ledger=ledger, difference=posted or pending
                )


class _Judge:
    def __init__(
        self,
        bundle: _Bundle,
        trusted: list[Verifier] | None,
        read_anchor: ReadAnchor | None,
        progress: Callable[[int, int], None] | None,
        held: Sequence[str],
    ) -> None:
        self.bundle = bundle
        self.manifest = bundle.manifest
        self.own_keys = trusted is None
        self.verifiers = _own(bundle.manifest.vkeys) if trusted is None else trusted
        self.read_anchor = read_anchor
        self.progress = progress or (lambda done, total: None)
        self.faults = _Faults()
        self.passed: dict[str, Check] = {}
        self.fold = _Fold(self.faults, bundle.lines("transfers.jsonl"))
        self.openings: dict[str, int | None] = {}  # commitment → index of the entry that carries it
        self.wrong_openings: list[str] = []
        self.erased = 0
        self.anchors = self._read_anchors()
        self.held = self._read_held(held)
        self.stops = {checkpoint.size for checkpoint in self.held} | {size for size, *_ in self.anchors}
        self.roots: dict[int, bytes] = {}  # at the stops
        self.edge = Edge.empty()
        self.waiting: list[bytes] = []
        self.size = 0
        self.bodies = 0
        self.withheld = 0
        self.first_withheld = 0
        self.times: tuple[int, int] | None = None
        self.checkpoints = 0
        self.signed_by: set[str] = set()
        self.steps = -1  # from checkpoint to checkpoint
        self.checkpoint_size = 0  # of the last checkpoint that was compared
        self.agrees = True  # whether its root did
        self.agreed_size = 0  # of the last one whose root did
        self.ahead: Checkpoint | None = None
        self.notes = bundle.lines("checkpoints.jsonl")

    def judge(self) -> Verdict:
        self._read_openings()
        self._replay()
        self._end_checkpoints()
        self._judge_leaves()
        self._judge_fold()
        self._judge_openings()
        self._judge_held()
        self._judge_anchors()
        checks = [self._check(name) for name in CHECKS]
        return Verdict(
            self.manifest.origin,
            self.manifest.sandbox,
            self.size,
            self.edge.root(),
            checks,
            dict(sorted(self.fold.accounts.items())) if self.fold.stopped_at is None else {},
        )

    def _check(self, name: str) -> Check:
        fault = self.faults.first.get(name)
        if fault is None:
            return self.passed[name]
        return Check(
            name, "failed", fault.saying, fault.facts, fault.first, fault.last, self.faults.counts[name]
        )

    def _pass(self, name: str, saying: str, **facts: str | int) -> None:
        self.passed[name] = Check(name, "passed", saying, facts)

    def _leave(self, name: str, saying: str, unchecked: int = 0, **facts: str | int) -> None:
        self.passed[name] = Check(name, "not checked", saying, facts, unchecked=unchecked)

    # The replay: one pass over the entries, the checkpoints beside it.

    def _replay(self) -> None:
        total = self.manifest.size
        self.progress(0, total)
        self._next_checkpoint()
        self._settle()
        stops = iter(sorted(self.stops))
        stop = next((size for size in stops if size > 0), None)
        if 0 in self.stops:
            self.roots[0] = EMPTY_ROOT
        for _, line in self.bundle.lines("entries.jsonl"):
            self._entry(self.size, line)
            self.size += 1
            if self.ahead is not None and self.ahead.size == self.size:
                self._settle()
            if stop == self.size:
                self.roots[self.size] = self._root()
                stop = next(stops, None)
            if len(self.waiting) >= BATCH:
                self._grow()
                self.progress(self.size, max(total, self.size))
        self._grow()
        self.progress(self.size, max(total, self.size))

    def _grow(self) -> None:
        self.edge = self.edge.append(self.waiting)
        self.waiting.clear()

    def _root(self) -> bytes:
        self._grow()
        return self.edge.root()

    def _entry(self, index: int, line: Mapping[str, Any]) -> None:
        if line.get("index") != str(index):
            self.faults.add("leaves", "leaf_order", index, claimed=str(line.get("index")))
        raw = _base64(line.get("leaf"))
        self.waiting.append(leaf_hash(raw))
        try:
            leaf = parse_leaf(raw)
        except CanonicalError:
            self.faults.add("leaves", "leaf_form", index)
            self._unusable(index)
            return
        if self.times is not None and leaf.time_us < self.times[1]:
            self.faults.add("time", "time_back", index)
        self.times = (leaf.time_us if self.times is None else self.times[0], leaf.time_us)
        salt, text = line.get("salt"), line.get("body")
        if text is None:
            self.withheld += 1
            self.first_withheld = index if self.withheld == 1 else self.first_withheld
            self._unusable(index)
            return
        body = self._body(index, leaf, salt, text)
        if body is None:
            self._unusable(index)
            return
        self.bodies += 1
        if self.openings:
            for found in _QUOTED_HEX_256.findall(text):
                if self.openings.get(found, 0) is None:
                    self.openings[found] = index
        if self.fold.stopped_at is None:
            self.fold.body(index, body)

    def _unusable(self, index: int) -> None:
        if self.fold.stopped_at is None:
            self.fold.stopped_at = index

    def _body(self, index: int, leaf: Leaf, salt: object, text: object) -> dict[str, Any] | None:
        if not isinstance(salt, str) or not isinstance(text, str) or not _HEX_256.fullmatch(salt):
            self.faults.add("bodies", "body_form", index, why="salt is 64 hex digits, body text")
            return None
        body = text.encode()
        if sha256(bytes.fromhex(salt) + body).digest() != leaf.digest:
            self.faults.add("bodies", "body_digest", index)
            return None
        try:
            parsed = parse_body(body)
            if envelope(parsed) != (leaf.kind, leaf.time_us):
                self.faults.add("bodies", "body_envelope", index)
                return None
        except CanonicalError as error:
            self.faults.add("bodies", "body_form", index, why=_why(error))
            return None
        return parsed

    # Checkpoints

    def _next_checkpoint(self) -> None:
        """Go on to the next checkpoint that can be compared: of this log, not behind the entries already read."""
        self.ahead = None
        for number, line in self.notes:
            note = line.get("note")
            if not isinstance(note, str):
                self.faults.add("checkpoints", "checkpoint_form", line=number, why="note is text")
                continue
            try:
                checkpoint = Checkpoint.parse(split_note(note)[0])
            except NoteError as error:
                self.faults.add("checkpoints", "checkpoint_form", line=number, why=_why(error))
                continue
            self.checkpoints += 1
            self._signatures(note, checkpoint)
            if checkpoint.origin != self.manifest.origin:
                self.faults.add(
                    "checkpoints", "checkpoint_origin", size=checkpoint.size, origin=checkpoint.origin
                )
                continue
            if checkpoint.size < self.size:
                self.faults.add("consistency", "consistency_back", old=self.size, size=checkpoint.size)
                continue
            self.ahead = checkpoint
            return

    def _settle(self) -> None:
        """Compare every checkpoint of the present size with the leaves."""
        while self.ahead is not None and self.ahead.size == self.size:
            agrees = self.ahead.root == self._root()
            last = max(self.size - 1, 0)
            first = min(self.agreed_size, last)
            if not agrees:
                self.faults.add(
                    "checkpoints", "checkpoint_root", first, last, size=self.size, agreed=self.agreed_size
                )
            if self.steps >= 0 and not (agrees and self.agrees):
                self.faults.add(
                    "consistency", "consistency_fork", first, last, old=self.checkpoint_size, size=self.size
                )
            self.steps += 1
            self.agrees, self.checkpoint_size = agrees, self.size
            if agrees:
                self.agreed_size = self.size
            self._next_checkpoint()

    def _signatures(self, note: str, checkpoint: Checkpoint) -> None:
        try:
            opened = _opened_by_log(note, self.verifiers)
        except NoteError as error:
            # the entries that this checkpoint alone would vouch for
            first, last = self.checkpoint_size, max(checkpoint.size - 1, 0)
            self.faults.add(
                "signatures", "signature_bad", min(first, last), last, size=checkpoint.size, why=_why(error)
            )
        else:
            self.signed_by.update(opened.signed_by)

    def _end_checkpoints(self) -> None:
        while self.ahead is not None:
            size = self.ahead.size
            self.faults.add(
                "checkpoints",
                "checkpoint_beyond",
                min(self.agreed_size, self.size),
                size - 1,
                size=size,
                found=self.size,
                agreed=self.agreed_size,
            )
            self._next_checkpoint()
        if not self.checkpoints:
            self.faults.add("checkpoints", "checkpoints_none", 0 if self.size else None)
        elif self.checkpoint_size < self.size and "checkpoints" not in self.faults.first:
            self.faults.add(
                "checkpoints",
                "checkpoint_behind",
                self.checkpoint_size,
                self.size - 1,
                size=self.checkpoint_size,
            )
        self._pass("checkpoints", "checkpoints_ok", count=self.checkpoints)
        if self.steps > 0:
            self._pass("consistency", "consistency_ok", count=self.steps)
        else:
            self._leave("consistency", "consistency_none")
        if self.own_keys or not self.checkpoints:
            self._leave("signatures", "signatures_own", self.checkpoints)
        else:
            names = ", ".join(sorted(self.signed_by))
            self._pass("signatures", "signatures_ok", count=self.checkpoints, names=names)

    # What the replay left to be said

    def _judge_leaves(self) -> None:
        claimed, found, root = self.manifest.size, self.size, self.edge.root()
        if claimed != found:
            self.faults.add("manifest", "manifest_size", min(claimed, found), claimed=claimed, found=found)
        elif self.manifest.root != root:
            self.faults.add("manifest", "manifest_root")
        self._pass("manifest", "manifest_ok", size=found)
        self._pass("leaves", "leaves_ok", count=found)
        if self.withheld:
            self._leave(
                "bodies",
                "bodies_withheld",
                self.withheld,
                checked=self.bodies,
                withheld=self.withheld,
                first=self.first_withheld,
            )
        else:
            self._pass("bodies", "bodies_ok", count=self.bodies)
        if self.times is None:
            self._leave("time", "time_none")
        else:
            self._pass("time", "time_ok", first=self.times[0], last=self.times[1])

    def _judge_fold(self) -> None:
        fold = self.fold
        if fold.stopped_at is not None:
            for name in ("accounts", "transfers", "double_entry", "account_rows", "transfer_rows"):
                self._leave(name, "fold_stopped", self.size - fold.stopped_at, index=fold.stopped_at)
            return
        fold.close_transfers()
        fold.judge_accounts(self.bundle.lines("accounts.jsonl"))
        fold.judge_double_entry()
        self._pass("accounts", "accounts_ok", count=len(fold.accounts))
        self._pass("transfers", "transfers_ok", count=fold.next_sequence - 1)
        ledgers = ", ".join(sorted({account.ledger for account in fold.accounts.values()}))
        self._pass("double_entry", "double_entry_ok", ledgers=ledgers)
        self._pass("account_rows", "account_rows_ok", count=len(fold.accounts))
        self._pass("transfer_rows", "transfer_rows_ok", count=fold.next_sequence - 1)

    def _read_openings(self) -> None:
        for number, line in self.bundle.lines("openings.jsonl"):
            name, salt, value = line.get("commitment"), line.get("salt"), line.get("value")
            if not isinstance(name, str) or not _HEX_256.fullmatch(name):
                self.faults.add("openings", "opening_form", line=number, why="commitment is 64 hex digits")
                continue
            self.openings[name] = None
            if salt is None and value is None:
                self.erased += 1
            elif not isinstance(salt, str) or not _HEX_256.fullmatch(salt) or not isinstance(value, str):
                self.faults.add(
                    "openings", "opening_form", line=number, why="salt is 64 hex digits, value text"
                )
            else:
                try:
                    if commitment(bytes.fromhex(salt), value) != name:
                        self.wrong_openings.append(name)
                except CanonicalError as error:
                    self.faults.add("openings", "opening_form", line=number, why=_why(error))

    def _judge_openings(self) -> None:
        for name in self.wrong_openings:
            self.faults.add("openings", "opening_value", self.openings[name], commitment=name)
        unseen = [name for name, index in self.openings.items() if index is None]
        checked = len(self.openings) - self.erased
        if self.bodies == self.size:
            for name in unseen:
                self.faults.add("openings", "opening_unknown", commitment=name)
        if not self.openings:
            self._leave("openings", "openings_none")
        elif unseen:
            seen = len(self.openings) - len(unseen)
            self._leave("openings", "openings_unseen", len(unseen), checked=seen, unseen=len(unseen))
        elif self.erased:
            self._leave("openings", "openings_erased", self.erased, checked=checked, erased=self.erased)
        else:
            self._pass("openings", "openings_ok", count=checked)

    def _read_held(self, notes: Sequence[str]) -> list[Checkpoint]:
        held: list[Checkpoint] = []
        for number, note in enumerate(notes, 1):
            try:
                checkpoint = _opened_by_log(note, self.verifiers).checkpoint
            except NoteError as error:
                self.faults.add("held_checkpoints", "held_form", line=number, why=_why(error))
                continue
            if checkpoint.origin == self.manifest.origin:
                held.append(checkpoint)
            else:
                self.faults.add(
                    "held_checkpoints", "held_origin", size=checkpoint.size, origin=checkpoint.origin
                )
        return sorted(held, key=lambda checkpoint: checkpoint.size)

    def _judge_held(self) -> None:
        agreed = 0
        for checkpoint in self.held:
            size = checkpoint.size
            if size > self.size:
                self.faults.add("held_checkpoints", "held_beyond", self.size, size=size, found=self.size)
            elif checkpoint.root == self.roots[size]:
                agreed = size
            else:
                self.faults.add("held_checkpoints", "held_root", *self._between(agreed, size), size=size)
        if not self.held:
            self._leave("held_checkpoints", "held_none")
        elif self.own_keys:
            self._leave("held_checkpoints", "held_own", len(self.held))
        else:
            self._pass("held_checkpoints", "held_ok", count=len(self.held), size=agreed)

    def _read_anchors(self) -> list[tuple[int, bytes, dict[str, Any]]]:
        values = self.bundle.document("anchors.json")
        if not isinstance(values, list):
            raise _broken("anchors.json", "not an array", "a JSON array")
        anchors: list[tuple[int, bytes, dict[str, Any]]] = []
        for number, value in enumerate(values, 1):
            try:
                anchors.append(_anchor(value))
            except BundleError as error:
                self.faults.add("anchors", "anchor_form", line=number, why=_why(error))
        return sorted(anchors, key=lambda anchor: anchor[0])

    def _between(self, agreed: int, size: int) -> tuple[int, int]:
        """Where the fault lies when the roots agree at one size and not at the other, as narrow as it is known."""
        fault = self.faults.first.get("checkpoints")
        first = (
            agreed
            if fault is None or fault.first is None or fault.first >= size
            else max(agreed, fault.first)
        )
        return first, max(size - 1, first)

    def _judge_anchors(self) -> None:
        agreed = 0
        for size, root, _ in self.anchors:
            if size > self.size:
                self.faults.add("anchors", "anchor_beyond", self.size, size=size, found=self.size)
            elif root == self.roots[size]:
                agreed = size
            else:
                self.faults.add("anchors", "anchor_root", *self._between(agreed, size), size=size)
        count = len(self.anchors)
        if not count:
            self._leave("anchors", "anchors_none")
        elif self.read_anchor is None:
            self._leave("anchors", "anchors_unread", count, count=count)
        else:
            self._pass("anchors", "anchors_ok", count=count)
            for size, root, anchor in self.anchors:
                try:
                    shown_size, shown_root = self.read_anchor(anchor)
                except (UnansweredError, OSError) as error:
                    self._leave("anchors", "anchors_unreachable", count, why=str(error))
                except AnchorError as error:
                    self.faults.add("anchors", "anchor_absent", tx=str(anchor["tx"]), why=_why(error))
                else:
                    if (shown_size, shown_root) != (size, root):
                        self.faults.add(
                            "anchors",
                            "anchor_chain",
                            tx=str(anchor["tx"]),
                            size=shown_size,
                            root=shown_root.hex(),
                        )


def _opened_by_log(note: str, verifiers: Sequence[Verifier]) -> Opened:
    """Open a note; where a log's key is among the trusted ones, a witness alone does not do."""
    opened = open_note(note, verifiers)
    if len(opened.cosigned) == len(opened.signed_by) and not all(
        verifier.is_witness for verifier in verifiers
    ):
        raise NoteError(
            "only witnesses signed it",
            field="signature",
            rule="the log itself signs its checkpoints (c2sp.org/tlog-checkpoint)",
            remedy="check which verifier key the log publishes",
        )
    opened.checkpoint  # noqa: B018  # another kind of note is refused here
    return opened


def _anchor(value: object) -> tuple[int, bytes, dict[str, Any]]:
    if not isinstance(value, dict):
        raise _broken("anchor", "not an object", "a JSON object")
    for name in ("chain_id", "size", "block"):
        _decimal(value, name, "anchor")
    for name in ("contract", "tx", "root"):
        if not isinstance(value.get(name), str):
            raise _broken("anchor", f"no {name}", f"{name} is text")
    if not _HEX_256.fullmatch(value["root"]):
        raise _broken("anchor", "no root", "root is 64 hex digits")
    return int(value["size"]), bytes.fromhex(value["root"]), value


def _own(vkeys: Sequence[str]) -> list[Verifier]:
    try:
        return [Verifier.parse(vkey) for vkey in vkeys]
    except NoteError as error:
        raise _broken(
            "manifest.json", f"vkeys: {error.detail}", "verifier keys (c2sp.org/signed-note)"
        ) from error


def _array(value: object, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise TransferError(
            "not an array",
            field=name,
            rule=f"{name} is an array of objects",
            remedy="write the body as the rooms do",
        )
    return value


def _decimal(value: Mapping[str, Any], name: str, where: str) -> int:
    text = value.get(name)
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
        raise _broken(where, f"{name} is {text!r}", f"{name} is a decimal number as a string")
    return int(text)


def _base64(text: object) -> bytes:
    """The bytes of a leaf; nothing at all, which no leaf is, where they cannot be read."""
    try:
        return b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return b""


def _why(error: LedgerError) -> str:
    return f"{error.field}: {error.detail}"


def _broken(field: str, detail: str, rule: str) -> BundleError:
    return BundleError(
        detail[:300], field=field, rule=rule, remedy="ask for the bundle again; keep this one as evidence"
    )
