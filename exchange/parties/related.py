"""Who is related to whom: shareholders at any depth, whom they control, and persons who are one or near. Pure.

From a root (a seller, an operator, an appraiser, the venue) the walk goes up to whoever holds, controls or runs it, and
from each of these down to whom it controls, alone or together with others that it controls. Whoever is met is related, and
the way is the reason: 拍卖法 arts. 22-23 and 招标投标法实施条例 art. 34 forbid the related to bid, whatever their share.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["holds", "controls", "runs", "same", "kin", "deputy"]

KINDS: tuple[Kind, ...] = ("controls", "runs", "same", "kin")
"""What is declared of two beside shares: actual control (by agreement or otherwise), the office of a director, manager or
legal representative, one person under two names, near kin."""

ALIKE = ("same", "kin", "deputy")
"""What holds both ways; who is whose deputy is known from the invitation."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One declared fact: `holder` holds a part of `held`, controls it, runs it, is it, is of its kin or stands in
    for it."""

    holder: str
    held: str
    kind: Kind
    share_ppm: int = 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """From which share on a holder counts, from which it controls, and how far the walk goes (the rulebook's figures)."""

    share_at_least_ppm: int
    control_at_least_ppm: int
    steps_at_most: int


Path = tuple[Edge, ...]
"""From the root to the one who is related to it, edge by edge; no edges: they are one."""


class Relations:
    """The facts that stand at one moment, ready to be walked."""

    def __init__(self, edges: Iterable[Edge], bounds: Bounds) -> None:
        self._bounds = bounds
        self._up: dict[str, list[Edge]] = {}
        self._down: dict[str, list[Edge]] = {}
        for edge in sorted(edges, key=lambda e: (-e.share_ppm, e.holder, e.held, e.kind)):
            if edge.kind == "holds" and edge.share_ppm < bounds.share_at_least_ppm:
                continue
            self._up.setdefault(edge.held, []).append(edge)
            self._down.setdefault(edge.holder, []).append(edge)

    def path(self, root: str, party: str) -> Path | None:
        """How `party` is related to `root`: a shortest way up, then the way down; None where it is not."""
        for top, way in self._above(root).items():
            if top == party:
                return way
            down = self._controlled(top)
            if party in down:
                steps = [down[party]]
                while steps[-1].holder != top:
                    steps.append(down[steps[-1].holder])
                if len(way) + len(steps) <= self._bounds.steps_at_most:
                    return (*way, *reversed(steps))
        return None

    def _above(self, root: str) -> dict[str, Path]:
        """The root, and whoever holds, controls, runs or is it, at any depth, nearest first, each by the way there."""
        found: dict[str, Path] = {root: ()}
        waiting = deque([root])
        while waiting:
            at = waiting.popleft()
            if len(found[at]) == self._bounds.steps_at_most:
                continue
            alike = [edge for edge in self._down.get(at, ()) if edge.kind in ALIKE]
            for edge in (*self._up.get(at, ()), *alike):
                other = edge.held if edge.holder == at else edge.holder
                if other not in found:
                    found[other] = (*found[at], edge)
                    waiting.append(other)
        return found

    def _controlled(self, top: str) -> dict[str, Edge]:
        """Whom `top` controls, alone or with those that it controls; each by the edge that tipped it, whose share is that
        of all of them together.
        """
        controlled: dict[str, Edge] = {}
        together: dict[str, int] = {}
        waiting = deque([top])
        while waiting:
            at = waiting.popleft()
            for edge in self._down.get(at, ()):
                if edge.held == top or edge.held in controlled or edge.kind in ALIKE:
                    continue
                share_ppm = together[edge.held] = together.get(edge.held, 0) + edge.share_ppm
                if edge.kind != "holds" or share_ppm >= self._bounds.control_at_least_ppm:
                    controlled[edge.held] = Edge(edge.holder, edge.held, edge.kind, share_ppm)
                    waiting.append(edge.held)
        return controlled


def to_json(path: Path, alias: Mapping[str, str] | None = None) -> list[dict[str, str]]:
    """A path as a problem states it; `alias` says whose name is not told, and what stands for it."""
    called = alias or {}
    return [
        {
            "holder": called.get(edge.holder, edge.holder),
            "held": called.get(edge.held, edge.held),
            "relation": edge.kind,
            "share_ppm": str(edge.share_ppm),
        }
        for edge in path
    ]


def in_words(path: Path, alias: Mapping[str, str] | None = None) -> str:
    """The same in a line: `A holds 49 % of B; B controls C`."""
    called = alias or {}
    verbs = {
        "holds": "holds {share:g} % of",
        "controls": "controls",
        "runs": "runs",
        "same": "is the same as",
        "kin": "is of the kin of",
        "deputy": "is a deputy of",
    }
    return "; ".join(
        f"{called.get(edge.holder, edge.holder)} "
        f"{verbs[edge.kind].format(share=edge.share_ppm / 10_000)} {called.get(edge.held, edge.held)}"
        for edge in path
    )
