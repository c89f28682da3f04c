"""Judges a bundle: takes the reports of its segments in order, and puts them together to one verdict."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ledger.audit.checkpoints import Checkpoints
from ledger.audit.entry import CHUNK, Assembly, is_time
from ledger.audit.findings import Findings, why
from ledger.audit.fold import Fold
from ledger.audit.keys import Keys
from ledger.audit.openings import Openings
from ledger.audit.outside import Outside, ReadAnchor
from ledger.audit.party import PartyMoney
from ledger.audit.reading import Bundle, broken
from ledger.audit.segment import Report, judge_segment
from ledger.audit.shapes import Shapes
from ledger.audit.state import Money, State
from ledger.audit.successions import Successions
from ledger.audit.workers import Work, processors, reports
from ledger.errors import CanonicalError
from ledger.merkle import Edge, node_hash
from ledger.policy import Policy
from ledger.verdict import Verdict


def audit(
    path: str | os.PathLike[str],
    vkeys: Sequence[str] | None,
    read_anchor: ReadAnchor | None = None,
    progress: Callable[[int, int], None] | None = None,
    held: Sequence[str] = (),
    *,
    policy: Policy | None = None,
    processes: int | None = None,
) -> Verdict:
    """Judge the bundle at `path`.

    `vkeys` are the verifier keys that the reader trusts, got elsewhere than from the bundle; without them the
    signatures count as not checked. `read_anchor` reads a chain; without it the anchors count as not checked.
    `held` are signed checkpoints that the reader keeps from earlier (a receipt's, a witness's): only they show
    that a log was cut back to an earlier checkpoint. `progress(done, total)` is called as entries are judged.
    `policy` says which witnesses have to have cosigned, and its keys are trusted beside `vkeys`; without it that
    counts as not checked. `processes` is how many judge segments at once, by default as many as there are processors.

    BundleError where the file is no bundle, NoteError where one of `vkeys` is no key; nothing else is raised.
    """
    return audit_on(path, vkeys, None, read_anchor, progress, held, policy=policy, processes=processes)[0]


def audit_on(
    path: str | os.PathLike[str],
    vkeys: Sequence[str] | None,
    since: State | None,
    read_anchor: ReadAnchor | None = None,
    progress: Callable[[int, int], None] | None = None,
    held: Sequence[str] = (),
    *,
    policy: Policy | None = None,
    processes: int | None = None,
) -> tuple[Verdict, State | None]:
    """Judge as `audit` does, a bundle that goes on from what is remembered of an earlier verdict on this log.

    Gives the state to go on from next time, None where the verdict is not ok or where nobody signed this tree. BundleError too where the bundle
    does not begin where `since` ended.
    """
    with Bundle(path) as bundle:
        if policy is not None:
            vkeys = list(dict.fromkeys([*(vkeys or ()), *(verifier.vkey for verifier in policy.verifiers)]))
        keys = Keys.of(vkeys, bundle.manifest.vkeys)
        judge = _Judge(bundle, keys, read_anchor, progress or (lambda done, total: None), held, since, policy)
        return judge.judge(processors() if processes is None else processes)


class _Judge:
    """The log so far, as the segments are taken in one after the other."""

    def __init__(
        self,
        bundle: Bundle,
        keys: Keys,
        read_anchor: ReadAnchor | None,
        progress: Callable[[int, int], None],
        held: Sequence[str],
        since: State | None,
        policy: Policy | None,
    ) -> None:
        self.bundle = bundle
        self.manifest = bundle.manifest
        self.keys = keys
        self.progress = progress
        if since is not None and (since.origin, since.edge) != (self.manifest.origin, self.manifest.edge):
            raise broken(
                "manifest.json",
                f"begins at {self.manifest.start} of {self.manifest.origin}",
                f"it goes on from what is remembered: {since.size} entries of {since.origin}, and their tree",
            )
        self.findings = Findings()
        self.edge = self.manifest.edge
        self.outside = Outside(bundle, keys, held, read_anchor, self.findings)
        self.checkpoints = Checkpoints(self.manifest, keys, self.findings, policy)
        self.successions = Successions(keys, self.findings)
        self.openings = Openings(bundle.table("openings.jsonl"), self.findings)
        money = Money.none() if since is None and self.manifest.start == 0 else None
        if since is not None and since.money is not None:
            money = since.money.copy()
        self.party: PartyMoney | None = None
        if self.manifest.party is not None:
            whole = self.manifest.start == 0 and self.manifest.later is None
            self.party = PartyMoney(bundle, self.findings) if whole else None
            money = None
        self.fold = Fold(self.findings, money, self.manifest.start)
        self.assembly: Assembly | None = None
        self.cut: tuple[int, int] | None = None  # head and next chunk of a large body shown in part
        self.shown = True  # whether the last entry of the segment before is
        self.bodies = 0
        self.withheld = 0
        self.first_withheld: int | None = None
        self.times: tuple[int, int] | None = None
        self.since = since
        self.since_us = 0 if since is None else since.time_us

    def judge(self, processes: int) -> tuple[Verdict, State | None]:
        work = Work(
            os.fspath(self.bundle.path),
            self.keys.vkeys,
            self.keys.from_bundle,
            exact=self.party is not None,
            seek_commitments=bool(self.openings.seen),
        )
        wanted = [
            [
                size
                for size in self.outside.sizes
                if self.bundle.bounds(number)[0] <= size <= self.bundle.bounds(number)[1]
            ]
            for number in self.bundle.segments
        ]
        total = self.manifest.size - self.manifest.start
        self.progress(0, total)
        self.outside.roots[self.edge.size] = self.edge.root()
        for number, report in zip(
            self.bundle.segments, reports(self.bundle, work, wanted, processes), strict=True
        ):
            self._take(number, report)
            self.progress(self.edge.size - self.manifest.start, total)
        if self.assembly is not None:
            self._stray(self.manifest.size - 1)
        root = self.edge.root()
        self.checkpoints.judge(root)
        self._judge_leaves(root)
        if self.party is None:
            newest = self.manifest.later is None
            self.fold.judge(self.bundle.table("accounts.jsonl"), self.manifest.size, newest=newest)
        else:
            self.party.judge(self.withheld)
        self.successions.judge()
        self.openings.judge(complete=self.bodies == total)
        self.outside.judge(self.checkpoints.later, self.successions.ended)
        folded = self.fold.stopped_at is None
        verdict = Verdict(
            self.manifest.origin,
            self.manifest.sandbox,
            self.manifest.start,
            self.manifest.size,
            root,
            self.manifest.party,
            () if self.keys.from_bundle else self.keys.vkeys,
            self.findings.checks(),
            dict(sorted(self.fold.money.accounts.items())) if folded else {},
        )
        signed = self.checkpoints.count > 0 or self.since is not None or self.manifest.size == 0
        if not verdict.ok or not signed:
            return verdict, None
        time_us = self.since_us if self.times is None else self.times[1]
        return verdict, State(self.manifest.origin, self.edge, time_us, self.fold.money if folded else None)

    def _take(self, number: int, report: Report) -> None:
        """Take the report of the next segment in."""
        first, stop = self.bundle.bounds(number)
        larger = self.edge.peaks if self.bundle.aligned(number) else ()
        for check, saying, index, facts in report.faults:
            self.findings.fault(check, saying, index, None, **facts)
        roots: dict[int, bytes] = {}

        def root_at(size: int) -> bytes:
            if size not in roots:
                roots[size] = _joined(larger, report.edges[size], size).root()
            return roots[size]

        for note in report.notes:
            self.checkpoints.take(note, first, stop, root_at)
        for size in self.outside.sizes:
            if first < size <= stop:
                self.outside.roots[size] = root_at(size)
        self.edge = _joined(larger, report.edges[stop], stop)
        self.bodies += report.bodies
        self.withheld += report.withheld
        if self.first_withheld is None:
            self.first_withheld = report.first_withheld
        if report.times is not None:
            before = self.since_us if self.times is None else self.times[1]
            if report.times[0] < before:
                self.findings.fault("time", "time_back", first)
            self.times = (report.times[0] if self.times is None else self.times[0], report.times[1])
        for index, body in report.succeeded:
            self.successions.take(index, body, root_at(index))
        self.openings.see(report.commitments)
        self._money(number, first, stop, report)
        self.shown = not report.disclosed or report.disclosed[-1]

    def _money(self, number: int, first: int, stop: int, report: Report) -> None:
        if self.party is not None:
            moves = list(self._wholes(report, self.fold_nothing))
            rows = self.bundle.rows(number, "transfers.jsonl")
            unfinished = None if self.assembly is None else self.assembly.index
            self.party.segment(first, stop - 1, rows, moves, report.disclosed, unfinished)
            return
        if report.plain is not None:
            if self.assembly is None and (self.fold.stopped_at is not None or self.fold.apply(report.plain)):
                return
            report = judge_segment(
                self.bundle, self.keys, number, Shapes(), sizes=(), exact=True, seek_commitments=False
            )
        self.fold.begin(self.bundle.rows(number, "transfers.jsonl"), first, stop - 1)
        for index, body in self._wholes(report, self.fold.stop):
            if report.unusable is not None and index > report.unusable:
                self.fold.stop(report.unusable)
            if self.fold.stopped_at is None:
                self.fold.body(index, body)
        if report.unusable is not None:
            self.fold.stop(report.unusable)
        self.fold.end(unfinished=self.assembly is not None)

    @staticmethod
    def fold_nothing(index: int) -> None:
        """A party's money is judged by its rows: no body ends that."""

    def _wholes(self, report: Report, stop: Callable[[int], None]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """The bodies that the fold needs, the large ones put together, each at the index of its head."""
        for index, body in report.moves:
            self._cut_off(report, index, stop)
            if self.assembly is not None and body.get("kind") != CHUNK:
                self._stray(index)
                stop(index)
            if "chunks" in body:
                try:
                    self.assembly = Assembly(index, body)
                except CanonicalError as error:
                    self.findings.fault("bodies", "body_form", index, why=why(error))
                    stop(index)
            elif body.get("kind") == CHUNK:
                whole = self._chunk(report, index, body, stop)
                if whole is not None:
                    yield whole
            else:
                yield index, body
        self._cut_off(report, report.first + report.count, stop)

    def _cut_off(self, report: Report, index: int, stop: Callable[[int], None]) -> None:
        """Let go of a large body whose next chunk, before `index`, is withheld: nobody can put it together."""
        if self.assembly is None or self.assembly.next >= index:
            return
        if not report.disclosed[self.assembly.next - report.first]:
            stop(self.assembly.index)
            if self.assembly.index >= report.first:
                report.disclosed[self.assembly.index - report.first] = False
            self.assembly = None

    def _is_cut(self, report: Report, index: int, body: Mapping[str, Any]) -> bool:
        """Whether this chunk goes on behind a withheld entry, with the body that both are of."""
        part = body.get("part")
        head = index - int(str(part)) if is_time(part) else index
        shown = self.shown if index == report.first else report.disclosed[index - report.first - 1]
        if head == index or body.get("of") != str(head) or (shown and self.cut != (head, index)):
            return False
        self.cut = (head, index + 1)
        return True

    def _chunk(
        self, report: Report, index: int, body: Mapping[str, Any], stop: Callable[[int], None]
    ) -> tuple[int, Mapping[str, Any]] | None:
        if self.assembly is None:
            if not self._is_cut(report, index, body):
                self.findings.fault("bodies", "chunk_stray", index)
            stop(index)
            return None
        assembly = self.assembly
        try:
            assembly.add(index, body)
            if not assembly.complete:
                return None
            self.assembly = None
            whole = assembly.whole()
        except CanonicalError as error:
            self.findings.fault("bodies", "chunk_form", assembly.index, index, why=why(error))
            self.assembly = None
            stop(assembly.index)
            return None
        self.openings.see_whole(assembly.index, assembly.text)
        return assembly.index, whole

    def _stray(self, index: int) -> None:
        """A large body that does not go on where it has to."""
        assert self.assembly is not None
        self.findings.fault("bodies", "chunk_missing", self.assembly.index, index)
        self.fold.stop(self.assembly.index)
        self.assembly = None

    def _judge_leaves(self, root: bytes) -> None:
        size = self.manifest.size
        count = size - self.manifest.start
        if self.manifest.root != root:
            self.findings.fault("manifest", "manifest_root")
        self.findings.passed("manifest", "manifest_ok", size=size)
        self.findings.passed("leaves", "leaves_ok", count=count)
        if self.withheld:
            self.findings.left(
                "bodies",
                "bodies_withheld",
                self.withheld,
                checked=self.bodies,
                withheld=self.withheld,
                first=self.first_withheld or 0,
            )
        else:
            self.findings.passed("bodies", "bodies_ok", count=self.bodies)
        if self.times is None:
            self.findings.left("time", "time_none")
        else:
            self.findings.passed("time", "time_ok", first=self.times[0], last=self.times[1])


def _joined(larger: Sequence[bytes], peaks: Sequence[bytes], size: int) -> Edge:
    """The tree of `size` leaves from the peaks before a segment and those of its own: a full segment may be carried."""
    joined = [*larger, *peaks]
    while len(joined) > size.bit_count():
        right = joined.pop()
        joined.append(node_hash(joined.pop(), right))
    return Edge(size, tuple(joined))
