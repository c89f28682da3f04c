"""Judges a bundle in one pass over its entries: the leaves and the bodies here, the rest by its own judges."""

from __future__ import annotations

import binascii
import os
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from ledger.audit.checkpoints import Checkpoints
from ledger.audit.findings import Findings, why
from ledger.audit.fold import Fold
from ledger.audit.keys import Keys
from ledger.audit.openings import Openings
from ledger.audit.outside import Outside, ReadAnchor
from ledger.audit.reading import HEX_256, Bundle
from ledger.audit.tree import Tree
from ledger.checkpoint import Verifier
from ledger.entries import Leaf, envelope, parse_body, parse_leaf
from ledger.errors import CanonicalError
from ledger.merkle import leaf_hash
from ledger.verdict import Verdict


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
    with Bundle(path) as bundle:
        return _Judge(bundle, trusted, read_anchor, progress, held).judge()


class _Judge:
    """One pass over the entries, with everything that is compared as they go by."""

    def __init__(
        self,
        bundle: Bundle,
        trusted: list[Verifier] | None,
        read_anchor: ReadAnchor | None,
        progress: Callable[[int, int], None] | None,
        held: Sequence[str],
    ) -> None:
        self.bundle = bundle
        self.manifest = bundle.manifest
        self.progress = progress or (lambda done, total: None)
        self.findings = Findings()
        self.tree = Tree()
        keys = Keys.of(trusted, bundle.manifest.vkeys)
        self.fold = Fold(self.findings, bundle.lines("transfers.jsonl"))
        self.outside = Outside(bundle, keys, held, read_anchor, self.tree, self.findings)
        self.checkpoints = Checkpoints(bundle, keys, self.tree, self.findings)
        self.openings = Openings(bundle.lines("openings.jsonl"), self.findings)
        self.bodies = 0
        self.withheld = 0
        self.first_withheld = 0
        self.times: tuple[int, int] | None = None

    def judge(self) -> Verdict:
        self._replay()
        self.checkpoints.close()
        self._judge_leaves()
        self.fold.judge(self.bundle.lines("accounts.jsonl"), self.tree.size)
        self.openings.judge(complete=self.bodies == self.tree.size)
        self.outside.judge()
        return Verdict(
            self.manifest.origin,
            self.manifest.sandbox,
            self.tree.size,
            self.tree.root(),
            self.findings.checks(),
            dict(sorted(self.fold.accounts.items())) if self.fold.stopped_at is None else {},
        )

    def _replay(self) -> None:
        total = self.manifest.size
        self.progress(0, total)
        self.checkpoints.begin()
        self.outside.settle()
        for _, line in self.bundle.lines("entries.jsonl"):
            self._entry(self.tree.size, line)
            self.checkpoints.settle()
            self.outside.settle()
            if self.tree.batch_waits:
                self.tree.grow()
                self.progress(self.tree.size, max(total, self.tree.size))
        self.tree.grow()
        self.progress(self.tree.size, max(total, self.tree.size))

    def _entry(self, index: int, line: Mapping[str, Any]) -> None:
        if line.get("index") != str(index):
            self.findings.fault("leaves", "leaf_order", index, claimed=str(line.get("index")))
        raw = _base64(line.get("leaf"))
        self.tree.append(leaf_hash(raw))
        try:
            leaf = parse_leaf(raw)
        except CanonicalError:
            self.findings.fault("leaves", "leaf_form", index)
            self._unusable(index)
            return
        if self.times is not None and leaf.time_us < self.times[1]:
            self.findings.fault("time", "time_back", index)
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
        self.openings.see(index, text)
        if self.fold.stopped_at is None:
            self.fold.body(index, body)

    def _unusable(self, index: int) -> None:
        if self.fold.stopped_at is None:
            self.fold.stopped_at = index

    def _body(self, index: int, leaf: Leaf, salt: object, text: object) -> dict[str, Any] | None:
        if not isinstance(salt, str) or not isinstance(text, str) or not HEX_256.fullmatch(salt):
            self.findings.fault("bodies", "body_form", index, why="salt is 64 hex digits, body text")
            return None
        body = text.encode()
        if sha256(bytes.fromhex(salt) + body).digest() != leaf.digest:
            self.findings.fault("bodies", "body_digest", index)
            return None
        try:
            parsed = parse_body(body)
            if envelope(parsed) != (leaf.kind, leaf.time_us):
                self.findings.fault("bodies", "body_envelope", index)
                return None
        except CanonicalError as error:
            self.findings.fault("bodies", "body_form", index, why=why(error))
            return None
        return parsed

    def _judge_leaves(self) -> None:
        claimed, found, root = self.manifest.size, self.tree.size, self.tree.root()
        if claimed != found:
            self.findings.fault(
                "manifest", "manifest_size", min(claimed, found), claimed=claimed, found=found
            )
        elif self.manifest.root != root:
            self.findings.fault("manifest", "manifest_root")
        self.findings.passed("manifest", "manifest_ok", size=found)
        self.findings.passed("leaves", "leaves_ok", count=found)
        if self.withheld:
            self.findings.left(
                "bodies",
                "bodies_withheld",
                self.withheld,
                checked=self.bodies,
                withheld=self.withheld,
                first=self.first_withheld,
            )
        else:
            self.findings.passed("bodies", "bodies_ok", count=self.bodies)
        if self.times is None:
            self.findings.left("time", "time_none")
        else:
            self.findings.passed("time", "time_ok", first=self.times[0], last=self.times[1])


def _base64(text: object) -> bytes:
    """The bytes of a leaf; nothing at all, which no leaf is, where they cannot be read."""
    try:
        return b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return b""
