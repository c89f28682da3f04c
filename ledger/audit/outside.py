"""Judges the log by what its operator cannot rewrite: checkpoints that the reader kept, and anchors on a chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ledger.audit.findings import Findings, why
from ledger.audit.keys import Keys
from ledger.audit.reading import HEX_256, Bundle, broken, decimal
from ledger.checkpoint import Checkpoint
from ledger.errors import AbsentError, AnchorError, BundleError, NoteError, UnansweredError
from ledger.succession import Ended

ReadAnchor = Callable[[dict[str, Any]], tuple[int, bytes]]
"""Size and root that the chain itself shows for an anchor; AnchorError where it shows none,
UnansweredError or OSError where it cannot be asked."""


class Outside:
    """Held checkpoints and anchors, by size, and the roots of the log at their sizes."""

    def __init__(
        self,
        bundle: Bundle,
        keys: Keys,
        held: Sequence[str],
        read_anchor: ReadAnchor | None,
        findings: Findings,
    ) -> None:
        self.manifest = bundle.manifest
        self.keys = keys
        self.read_anchor = read_anchor
        self.findings = findings
        self.anchors = self._read_anchors(bundle)
        notes = self._read_held(held)
        self.held = [note for note in notes if note.origin == self.manifest.origin]
        self.others = [note for note in notes if note.origin != self.manifest.origin]
        self.lost = 0  # held, and among what a log before this one is declared to have lost
        self.sizes = sorted({checkpoint.size for checkpoint in notes} | {size for size, *_ in self.anchors})
        self.roots: dict[int, bytes] = {}  # of the log, at each of these sizes that the bundle shows
        self.newest = self.manifest.size

    def judge(self, later: Checkpoint | None, ended: Ended | None) -> None:
        """Compare all of it with the replayed log, and the anchors with their chain.

        `ended` is how a log ended that this one took over from, if its own key says so: what was held of that one lies
        on this tree too, or beyond its end where that much is declared lost. `later` is the checkpoint beyond the bundle's end that the log was proven to have grown to, if any: what
        lies between the two cannot be compared, and accuses nobody.
        """
        if later is not None:
            self.newest = later.size
            self.roots[later.size] = later.root
        for note in self.others:
            self._place(note, ended)
        self._judge_held()
        self._judge_anchors()

    def _read_anchors(self, bundle: Bundle) -> list[tuple[int, bytes, dict[str, Any]]]:
        values = bundle.document("anchors.json")
        if not isinstance(values, list):
            raise broken("anchors.json", "not an array", "a JSON array")
        anchors: list[tuple[int, bytes, dict[str, Any]]] = []
        for number, value in enumerate(values, 1):
            try:
                anchors.append(_anchor(value))
            except BundleError as error:
                self.findings.fault("anchors", "anchor_form", line=number, why=why(error))
        return sorted(anchors, key=lambda anchor: anchor[0])

    def _read_held(self, notes: Sequence[str]) -> list[Checkpoint]:
        held: list[Checkpoint] = []
        for number, note in enumerate(notes, 1):
            try:
                held.append(self.keys.open(note).checkpoint)
            except NoteError as error:
                self.findings.fault("held_checkpoints", "held_form", line=number, why=why(error))
        return sorted(held, key=lambda checkpoint: checkpoint.size)

    def _place(self, note: Checkpoint, ended: Ended | None) -> None:
        """Say what a checkpoint of another log has to do with this one."""
        if ended is None or note.origin != ended.origin:
            self.findings.fault("held_checkpoints", "held_origin", size=note.size, origin=note.origin)
        elif note.size <= ended.size:
            self.held = sorted([*self.held, note], key=lambda checkpoint: checkpoint.size)
        elif note.size > ended.seen_size or (
            ended.seen_root not in (None, note.root) and note.size == ended.seen_size
        ):
            self.findings.fault(
                "held_checkpoints", "held_undeclared", ended.size, size=note.size, seen=ended.seen_size
            )
        else:
            self.lost += 1

    def _judge_held(self) -> None:
        agreed = self.manifest.start
        compared = 0
        for checkpoint in self.held:
            size = checkpoint.size
            if size not in self.roots and size <= self.newest:
                continue
            compared += 1
            if size > self.newest:
                self.findings.fault(
                    "held_checkpoints", "held_beyond", self.newest, size=size, found=self.newest
                )
            elif checkpoint.root == self.roots[size]:
                agreed = size
            else:
                self.findings.fault("held_checkpoints", "held_root", *self._between(agreed, size), size=size)
        if not self.held and self.lost:
            self.findings.left("held_checkpoints", "held_lost", self.lost, count=self.lost)
        elif not self.held:
            self.findings.left("held_checkpoints", "held_none")
        elif self.keys.from_bundle:
            self.findings.left("held_checkpoints", "held_own", len(self.held))
        elif not compared:
            self.findings.left(
                "held_checkpoints",
                "held_outside",
                len(self.held),
                start=self.manifest.start,
                size=self.manifest.size,
            )
        else:
            self.findings.passed("held_checkpoints", "held_ok", count=compared, size=agreed)

    def _judge_anchors(self) -> None:
        agreed = self.manifest.start
        anchors = [a for a in self.anchors if a[0] in self.roots or a[0] > self.newest]
        for size, root, _ in anchors:
            if size > self.newest:
                self.findings.fault("anchors", "anchor_beyond", self.newest, size=size, found=self.newest)
            elif root == self.roots[size]:
                agreed = size
            else:
                self.findings.fault("anchors", "anchor_root", *self._between(agreed, size), size=size)
        count = len(anchors)
        if not count:
            self.findings.left("anchors", "anchors_none")
        elif self.read_anchor is None:
            self.findings.left("anchors", "anchors_unread", count, count=count)
        else:
            self.findings.passed("anchors", "anchors_ok", count=count)
            for size, root, anchor in anchors:
                self._ask_chain(self.read_anchor, size, root, anchor)

    def _ask_chain(self, read_anchor: ReadAnchor, size: int, root: bytes, anchor: dict[str, Any]) -> None:
        tx = str(anchor["tx"])
        try:
            shown_size, shown_root = read_anchor(anchor)
        except (UnansweredError, OSError) as error:
            self.findings.left("anchors", "anchors_unreachable", len(self.anchors), why=str(error))
        except AnchorError as error:
            if isinstance(error, AbsentError) and anchor.get("state") == "confirmed":
                # It did not claim to stay. Nothing is proven by it, but nothing against the operator either.
                self.findings.left("anchors", "anchor_taken_back", 1, tx=tx)
            else:
                self.findings.fault("anchors", "anchor_absent", tx=tx, why=why(error))
        else:
            if (shown_size, shown_root) != (size, root):
                self.findings.fault("anchors", "anchor_chain", tx=tx, size=shown_size, root=shown_root.hex())

    def _between(self, agreed: int, size: int) -> tuple[int, int]:
        """Where the fault lies when the roots agree at one size and not at the other, as narrow as it is known."""
        fault = self.findings.first.get("checkpoints")
        first = (
            agreed
            if fault is None or fault.first is None or fault.first >= size
            else max(agreed, fault.first)
        )
        return first, max(size - 1, first)


def _anchor(value: object) -> tuple[int, bytes, dict[str, Any]]:
    if not isinstance(value, dict):
        raise broken("anchor", "not an object", "a JSON object")
    for name in ("chain_id", "size", "block"):
        decimal(value, name, "anchor")
    for name in ("contract", "tx", "root"):
        if not isinstance(value.get(name), str):
            raise broken("anchor", f"no {name}", f"{name} is text")
    if not HEX_256.fullmatch(value["root"]):
        raise broken("anchor", "no root", "root is 64 hex digits")
    return int(value["size"]), bytes.fromhex(value["root"]), value
