"""Judges the signed checkpoints of the bundle, each at the moment when the tree has its size."""

from __future__ import annotations

from ledger.audit.findings import Findings, why
from ledger.audit.keys import Keys
from ledger.audit.reading import Bundle
from ledger.audit.tree import Tree
from ledger.checkpoint import Checkpoint, split_note
from ledger.errors import NoteError


class Checkpoints:
    """The checkpoints beside the entries, oldest first, and what they agree with so far."""

    def __init__(self, bundle: Bundle, keys: Keys, tree: Tree, findings: Findings) -> None:
        self.origin = bundle.manifest.origin
        self.notes = bundle.lines("checkpoints.jsonl")
        self.keys = keys
        self.tree = tree
        self.findings = findings
        self.count = 0
        self.signed_by: set[str] = set()
        self.steps = -1  # from checkpoint to checkpoint
        self.size = 0  # of the last checkpoint that was compared
        self.agrees = True  # whether its root did
        self.agreed_size = 0  # of the last one whose root did
        self.ahead: Checkpoint | None = None

    def begin(self) -> None:
        """Read the first checkpoint, and judge those of the empty log."""
        self._next()
        self.settle()

    def settle(self) -> None:
        """Compare every checkpoint of the present size with the leaves."""
        while self.ahead is not None and self.ahead.size == self.tree.size:
            agrees = self.ahead.root == self.tree.root()
            last = max(self.tree.size - 1, 0)
            first = min(self.agreed_size, last)
            if not agrees:
                self.findings.fault(
                    "checkpoints",
                    "checkpoint_root",
                    first,
                    last,
                    size=self.tree.size,
                    agreed=self.agreed_size,
                )
            if self.steps >= 0 and not (agrees and self.agrees):
                self.findings.fault(
                    "consistency", "consistency_fork", first, last, old=self.size, size=self.tree.size
                )
            self.steps += 1
            self.agrees, self.size = agrees, self.tree.size
            if agrees:
                self.agreed_size = self.tree.size
            self._next()

    def close(self) -> None:
        """Judge the checkpoints beyond the last entry, and the entries beyond the last checkpoint."""
        while self.ahead is not None:
            size = self.ahead.size
            self.findings.fault(
                "checkpoints",
                "checkpoint_beyond",
                min(self.agreed_size, self.tree.size),
                size - 1,
                size=size,
                found=self.tree.size,
                agreed=self.agreed_size,
            )
            self._next()
        if not self.count:
            self.findings.fault("checkpoints", "checkpoints_none", 0 if self.tree.size else None)
        elif self.size < self.tree.size and "checkpoints" not in self.findings.first:
            self.findings.fault(
                "checkpoints",
                "checkpoint_behind",
                self.size,
                self.tree.size - 1,
                size=self.size,
            )
        self.findings.passed("checkpoints", "checkpoints_ok", count=self.count)
        if self.steps > 0:
            self.findings.passed("consistency", "consistency_ok", count=self.steps)
        else:
            self.findings.left("consistency", "consistency_none")
        if self.keys.from_bundle or not self.count:
            self.findings.left("signatures", "signatures_own", self.count)
        else:
            names = ", ".join(sorted(self.signed_by))
            self.findings.passed("signatures", "signatures_ok", count=self.count, names=names)

    def _next(self) -> None:
        """Go on to the next checkpoint that can be compared: of this log, not behind the entries already read."""
        self.ahead = None
        for number, line in self.notes:
            note = line.get("note")
            if not isinstance(note, str):
                self.findings.fault("checkpoints", "checkpoint_form", line=number, why="note is text")
                continue
            try:
                checkpoint = Checkpoint.parse(split_note(note)[0])
            except NoteError as error:
                self.findings.fault("checkpoints", "checkpoint_form", line=number, why=why(error))
                continue
            self.count += 1
            self._signatures(note, checkpoint)
            if checkpoint.origin != self.origin:
                self.findings.fault(
                    "checkpoints", "checkpoint_origin", size=checkpoint.size, origin=checkpoint.origin
                )
                continue
            if checkpoint.size < self.tree.size:
                self.findings.fault(
                    "consistency", "consistency_back", old=self.tree.size, size=checkpoint.size
                )
                continue
            self.ahead = checkpoint
            return

    def _signatures(self, note: str, checkpoint: Checkpoint) -> None:
        try:
            opened = self.keys.open(note)
        except NoteError as error:
            # the entries that this checkpoint alone would vouch for
            first, last = self.size, max(checkpoint.size - 1, 0)
            self.findings.fault(
                "signatures", "signature_bad", min(first, last), last, size=checkpoint.size, why=why(error)
            )
        else:
            self.signed_by.update(opened.signed_by)
