"""Judges the segments of a bundle in processes beside this one, and gives their reports in order.

A worker is a Python of its own that is told where the modules are, so that it neither runs the caller's main
module again nor inherits its threads; questions and reports are pickles over its pipes.
"""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from ledger.audit.keys import Keys
from ledger.audit.reading import Bundle, broken
from ledger.audit.segment import Report, judge_segment
from ledger.audit.shapes import Shapes
from ledger.errors import BundleError

_BOOT = (
    "import sys, pickle\n"
    "sys.path[:] = pickle.load(sys.stdin.buffer)\n"
    "from ledger.audit.workers import work\n"
    "work(sys.stdin.buffer, sys.stdout.buffer)\n"
)
_AHEAD = 2
"""Segments that each worker is asked for before the first of them is taken."""


@dataclass(frozen=True, slots=True)
class Work:
    """What every segment is judged with."""

    path: str
    vkeys: Sequence[str]
    from_bundle: bool
    exact: bool
    seek_commitments: bool


def reports(bundle: Bundle, work: Work, sizes: Sequence[Sequence[int]], processes: int) -> Iterator[Report]:
    """The report of every segment of the bundle, in order; `sizes` are wanted tree sizes, segment by segment."""
    if processes < 2 or len(bundle.segments) < 2:
        keys, shapes = Keys.parsed(work.vkeys, work.from_bundle), Shapes()
        for number, wanted in zip(bundle.segments, sizes, strict=True):
            yield judge_segment(
                bundle,
                keys,
                number,
                shapes,
                sizes=wanted,
                exact=work.exact,
                seek_commitments=work.seek_commitments,
            )
        return
    questions = list(zip(bundle.segments, sizes, strict=True))
    workers = [_Worker(work) for _ in range(min(processes, len(questions)))]
    try:
        for place in range(min(_AHEAD * len(workers), len(questions))):
            workers[place % len(workers)].ask(*questions[place])
        for place in range(len(questions)):
            worker = workers[place % len(workers)]
            report = worker.report()
            if place + _AHEAD * len(workers) < len(questions):
                worker.ask(*questions[place + _AHEAD * len(workers)])
            yield report
    finally:
        for worker in workers:
            worker.end()


@dataclass(frozen=True, slots=True)
class _Broken:
    """A BundleError on its way between processes."""

    detail: str
    field: str
    rule: str
    remedy: str


class _Worker:
    """One process; it answers in the order in which it is asked."""

    def __init__(self, work: Work) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BOOT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._questions: BinaryIO = self._process.stdin  # type: ignore[assignment]  # binary, as no encoding is set
        self._reports: BinaryIO = self._process.stdout  # type: ignore[assignment]  # the same
        self._send(sys.path)
        self._send(work)

    def ask(self, number: int, sizes: Sequence[int]) -> None:
        self._send((number, tuple(sizes)))

    def report(self) -> Report:
        """The next report; BundleError where the segment is broken, or where the worker was ended."""
        try:
            answer = pickle.load(self._reports)  # noqa: S301  # our own process wrote it
        except EOFError as error:
            raise broken(
                "bundle", "the process that judged a segment was ended", "enough memory for its segments"
            ) from error
        if isinstance(answer, _Broken):
            raise BundleError(answer.detail, field=answer.field, rule=answer.rule, remedy=answer.remedy)
        assert isinstance(answer, Report)
        return answer

    def end(self) -> None:
        """Stop it, whatever it does."""
        self._process.kill()
        with suppress(BrokenPipeError):
            self._questions.close()
        self._reports.close()
        self._process.wait()

    def _send(self, value: object) -> None:
        with suppress(BrokenPipeError):  # the missing report says it
            pickle.dump(value, self._questions)
            self._questions.flush()


def work(questions: BinaryIO, answers: BinaryIO) -> None:
    """The life of a worker: take the work, then answer question by question until there are no more."""
    gc.disable()  # a segment's objects have no cycles, and go all at once
    given: Work = pickle.load(questions)  # noqa: S301  # our own parent wrote it
    keys, shapes = Keys.parsed(given.vkeys, given.from_bundle), Shapes()
    with Bundle(given.path) as bundle:
        while True:
            try:
                number, sizes = pickle.load(questions)  # noqa: S301  # the same
            except EOFError:
                return
            try:
                answer: Report | _Broken = judge_segment(
                    bundle,
                    keys,
                    number,
                    shapes,
                    sizes=sizes,
                    exact=given.exact,
                    seek_commitments=given.seek_commitments,
                )
            except BundleError as error:
                answer = _Broken(error.detail, error.field, error.rule, error.remedy)
            pickle.dump(answer, answers, protocol=pickle.HIGHEST_PROTOCOL)
            answers.flush()


def processors() -> int:
    """How many processes can run at once here."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
