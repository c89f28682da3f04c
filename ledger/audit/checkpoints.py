"""Judges the signed checkpoints of the bundle against the tree of its leaves."""

from __future__ import annotations

from collections.abc import Callable

from ledger.audit.findings import Findings, why
from ledger.audit.keys import Keys
from ledger.audit.reading import Manifest
from ledger.audit.segment import Note
from ledger.checkpoint import Checkpoint
from ledger.errors import LedgerError, NoteError
from ledger.merkle import verify_consistency
from ledger.policy import Policy


class Checkpoints:
    """The checkpoints in the order of the bundle, and what they agree with so far."""

    def __init__(
        self, manifest: Manifest, keys: Keys, findings: Findings, policy: Policy | None = None
    ) -> None:
        self.policy = policy
        self.witnessed: int | None = None  # the largest size whose signatures meet the policy
        self.witnesses: tuple[str, ...] = ()  # who cosigned that, by their names in the policy
        self.manifest = manifest
        self.keys = keys
        self.findings = findings
        self.count = 0
        self.signed_by: set[str] = set()
        self.steps = -1  # from checkpoint to checkpoint
        self.size = manifest.start  # of the last checkpoint that was compared
        self.agrees = True  # whether its root did
        self.agreed_size = manifest.start  # of the last one whose root did
        self.later: Checkpoint | None = (
            None  # beyond the bundle's end, where it was proven to have grown from here
        )

    def take(self, note: Note, first: int, stop: int, root_at: Callable[[int], bytes]) -> None:
        """Judge the next checkpoint, which stands beside the entries [first, stop); `root_at` knows their roots."""
        if note.checkpoint is None:
            self.findings.fault(
                "checkpoints", "checkpoint_form", first, stop - 1, line=note.line, why=note.form
            )
            return
        checkpoint = note.checkpoint
        self.count += 1
        if note.signature:
            self._unsigned(checkpoint.size, note.signature)
        self.signed_by.update(note.signed_by)
        if self.policy is not None and not note.signature:
            names = tuple(
                name for name, peer in self.policy.witnesses.items() if peer.verifier.name in note.signed_by
            )
            if checkpoint.origin in note.signed_by and self.policy.met_by(names):
                self.witnessed, self.witnesses = checkpoint.size, names
        if checkpoint.origin != self.manifest.origin:
            self.findings.fault(
                "checkpoints", "checkpoint_origin", size=checkpoint.size, origin=checkpoint.origin
            )
        elif checkpoint.size < max(self.size, first):
            self.findings.fault(
                "consistency", "consistency_back", old=max(self.size, first), size=checkpoint.size
            )
        elif checkpoint.size <= stop:
            self._compare(checkpoint.size, checkpoint.root == root_at(checkpoint.size))
        elif stop == self.manifest.size:
            self.findings.fault(
                "checkpoints",
                "checkpoint_beyond",
                min(self.agreed_size, stop),
                checkpoint.size - 1,
                size=checkpoint.size,
                found=stop,
                agreed=self.agreed_size,
            )
        else:
            self.findings.fault("checkpoints", "checkpoint_place", first, stop - 1, size=checkpoint.size)

    def judge(self, root: bytes) -> None:
        """Judge the entries behind the last checkpoint, and the later checkpoint; `root` is that of all entries."""
        size = self.manifest.size
        if not self.count and size > self.manifest.start:
            self.findings.fault("checkpoints", "checkpoints_none", self.manifest.start, size - 1)
        elif self.size < size and "checkpoints" not in self.findings.first:
            self.findings.fault("checkpoints", "checkpoint_behind", self.size, size - 1, size=self.size)
        if self.manifest.later is not None:
            self._judge_later(*self.manifest.later, root)
        if self.count:
            self.findings.passed("checkpoints", "checkpoints_ok", count=self.count)
        else:
            self.findings.left("checkpoints", "checkpoints_none")
        if self.steps > 0:
            self.findings.passed("consistency", "consistency_ok", count=self.steps)
        else:
            self.findings.left("consistency", "consistency_none")
        self._judge_witnesses(self.policy)
        if self.keys.from_bundle or not self.count:
            self.findings.left("signatures", "signatures_own", self.count)
        else:
            names = ", ".join(sorted(self.signed_by))
            self.findings.passed("signatures", "signatures_ok", count=self.count, names=names)

    def _judge_witnesses(self, policy: Policy | None) -> None:
        size = self.manifest.size
        if policy is None:
            self.findings.left("witnesses", "witnesses_none")
        elif (
            self.witnessed is None and self.manifest.start
        ):  # a period: its end may be younger than the last quorum
            count = size - self.manifest.start
            self.findings.left(
                "witnesses", "witnesses_later", count, count=count, quorum=policy.quorum or "none"
            )
        elif self.witnessed is None:
            self.findings.fault(
                "witnesses",
                "witnesses_short",
                size=size,
                quorum=policy.quorum or "none",
                count=len(policy.witnesses),
            )
        else:
            self.findings.passed(
                "witnesses",
                "witnesses_ok",
                size=self.witnessed,
                names=", ".join(self.witnesses) or "none",
                count=len(policy.witnesses),
                behind=size - self.witnessed,
            )

    def _compare(self, size: int, agrees: bool) -> None:
        last = max(size - 1, 0)
        first = min(self.agreed_size, last)
        if not agrees:
            self.findings.fault(
                "checkpoints", "checkpoint_root", first, last, size=size, agreed=self.agreed_size
            )
        if self.steps >= 0 and not (agrees and self.agrees):
            self.findings.fault("consistency", "consistency_fork", first, last, old=self.size, size=size)
        self.steps += 1
        self.agrees, self.size = agrees, size
        if agrees:
            self.agreed_size = size

    def _judge_later(self, note: str, proof: list[bytes], root: bytes) -> None:
        size = self.manifest.size
        try:
            later = self.keys.open(note).checkpoint
        except NoteError as error:
            self.findings.fault("signatures", "later_bad", why=why(error))
            return
        try:
            verify_consistency(size, later.size, proof, root, later.root)
        except LedgerError as error:
            self.findings.fault(
                "consistency",
                "later_fork",
                self.manifest.start,
                max(size - 1, self.manifest.start),
                size=later.size,
                why=why(error),
            )
            return
        if later.size == size or later.origin != self.manifest.origin:
            self.findings.fault("consistency", "later_none", size=later.size, origin=later.origin)
        else:
            self.later = later

    def _unsigned(self, size: int, reason: str) -> None:
        """The entries that this checkpoint alone would vouch for."""
        first, last = self.size, max(size - 1, 0)
        self.findings.fault("signatures", "signature_bad", min(first, last), last, size=size, why=reason)
