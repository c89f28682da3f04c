"""Where a case is played and what is noted of it: the crowd, the moments that mattered, what was measured, and the judgement."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from exchange.drill.load import BIN_S, Order
from exchange.drill.promises import Promises, judge, told
from exchange.drill.scene import Load, Say, Scene
from exchange.errors import Misconfigured

Language = Literal["zh", "en"]
Words = Mapping[Language, str]
MarkKind = Literal["fault", "detected", "recovered", "note"]

PATIENCE_S = 90.0
"""How long a stage waits for acts to be acknowledged again before the case counts as failed."""

STILL_S = 1.0
"""A log that did not grow for so long after the crowd ended has all that the crowd asked for."""


def words(zh: str, en: str) -> Words:
    """One text in both languages."""
    return {"zh": zh, "en": en}


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment of a drill, in seconds since the crowd began."""

    kind: MarkKind
    at_s: float
    words: Words


@dataclass(frozen=True, slots=True)
class Outage:
    """A time without an acknowledged act, and how long it was: from the fault on where it began before it."""

    from_s: float
    to_s: float
    recovery_ms: int


@dataclass(slots=True)
class Stage:
    """One playing of one case. Times are of the monotonic clock, told as seconds since the crowd began."""

    folder: Path
    say: Say
    clients: int
    acts: int
    """Acts that the crowd has acknowledged before a fault, and again after it."""
    marks: list[Mark] = field(default_factory=list)
    bins: list[dict[str, Any]] = field(default_factory=list)
    figures: dict[str, int | float | str] = field(default_factory=dict)
    """Further measurements, by name with its unit."""
    complaints: list[Words] = field(default_factory=list)
    """What was promised and did not hold, beside the judgement."""
    promises: Promises | None = None
    _began_s: float | None = None

    @contextlib.contextmanager
    def crowd(self, order: Order) -> Iterator[Load]:
        """Let a crowd act for as long as the context lasts."""
        with Load(order) as load:
            load.wait_for(1)
            self._began_s, self.bins = load.began_s, load.bins
            yield load

    def now_s(self) -> float:
        return 0.0 if self._began_s is None else time.monotonic() - self._began_s

    def mark(self, kind: MarkKind, zh: str, en: str, at_s: float | None = None) -> float:
        """Note that something happens, now where no moment is given; gives the moment."""
        at_s = self.now_s() if at_s is None else at_s
        self.marks.append(Mark(kind, at_s, words(zh, en)))
        self.say(f"{at_s:6.1f} 秒  {zh}", f"{at_s:6.1f} s  {en}")
        return at_s

    def require(self, holds: bool, zh: str, en: str) -> None:
        """Complain where a promise does not hold."""
        if not holds:
            self.complaints.append(words(zh, en))
            self.say(f"未遵守:{zh}", f"NOT KEPT: {en}")

    def through(
        self, load: Load, zh: str, en: str, fault: Callable[[], object], mend: Callable[[], object]
    ) -> None:
        """Acts before a fault, the fault, what mends it, and as many acts after it."""
        load.wait_for(self.acts, PATIENCE_S)
        self.mark("fault", zh, en)
        fault()
        mend()
        load.wait_for(self.acts, PATIENCE_S)

    def judge(self, scene: Scene, load: Load, *, patience_s: float = 60.0) -> Promises:
        """Fetch the log as a regulator does, once it stands still, and judge what the crowd was told."""
        self.say("取回日志,核对客户端得到的应答", "fetching the log and judging what the clients were told")
        bundle = self.bundle
        size = -1
        while size != (size := scene.regulator.checkpoint().size):
            time.sleep(STILL_S)  # of acts whose senders gave up some may be under way
        scene.regulator.audit_bundle(bundle)
        with contextlib.ExitStack() as stack:
            clients = {
                secret: stack.enter_context(scene.client(secret, timeout_s=patience_s))
                for secret in {speaker.key for speaker in load.order.speakers}
            }
            self.promises = judge(
                told(load.journal),
                bundle,
                scene.vkey,
                lambda identifier: clients[load.order.key_of(identifier)].lookup(identifier),
                since=scene.size,
            )
        return self.promises

    @property
    def bundle(self) -> Path:
        """The whole log, as it was when the case was judged."""
        return self.folder / "log.zip"

    def outages(self) -> list[Outage]:
        """After each fault the longest time without an acknowledged act before the next fault; none where there is none."""
        faults = [mark.at_s for mark in self.marks if mark.kind == "fault"]
        found = []
        for at_s, end_s in zip(faults, [*faults, float("inf")][1:], strict=True):
            silent = [(a, b) for a, b in silences(self.bins) if b > at_s and a < end_s]
            if silent:
                a, b = max(silent, key=lambda pair: pair[1] - pair[0])
                found.append(Outage(a, b, round(1000 * (b - max(a, at_s)))))
        return found


def silences(bins: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """The stretches in which nothing was acknowledged, between the first and the last act that was, in seconds."""
    at = [n for n, line in enumerate(bins) if line["acknowledged"]]
    return [((a + 1) * BIN_S, b * BIN_S) for a, b in itertools.pairwise(at) if b > a + 1]


class Missing(Misconfigured):
    """A case that this machine cannot play, and what it needs."""
