"""The best full-domain generalization: one level per quasi-identifier, least loss, k and l held, few rows dropped.

Search happens over the distinct tuples of the table, not over its rows. Both demands are monotone: a class
that is large and various enough stays so when classes merge, so rows to drop never increase with a level
(LeFevre et al., Incognito, 2005; k and distinct l with suppression). Nodes are taken in the order of a
lower bound of their loss; before one is judged, a path from it to the top is halved until the border on it
is known, and all below an infeasible node are struck out (the idea of Flash: Kohlmayer et al., 2012). The
search ends when the bound passes the best loss found: that node is optimal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exchange.desensitization.errors import PolicyRefused
from exchange.desensitization.risk import Codes, distinct_per_class, group

MAX_ATTRIBUTES = 64
MAX_NODES = 1 << 18
"""Above this many nodes the search climbs greedily and says so."""

Floats = npt.NDArray[np.float64]
Levels = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    """A quasi-identifier: `maps[level][code]` is the code that a distinct value has at that level, from 0 on."""

    name: str
    codes: Codes
    maps: tuple[Codes, ...]


@dataclass(frozen=True, slots=True)
class Demands:
    """What every class must hold, and how many rows may be dropped to reach it.

    `k` rows at least; and of each coded column in `various` so many distinct values: l of a sensitive one,
    k of one that says which rows are of one person.
    """

    k: int
    various: tuple[tuple[Codes, int], ...]
    droppable_rows: int


@dataclass(frozen=True, slots=True)
class Solution:
    """A node that holds the demands. `loss` is the mean over cells, 0 for untouched and 1 for dropped."""

    levels: Levels
    loss: float
    dropped_rows: int
    judged: int
    optimal: bool


def cell_loss(mapping: Codes) -> Floats:
    """Loss of each distinct value under a mapping: the share of the other values that it can no longer be told from.

    0 where it stays alone, 1 where all values became one (Iyengar, 2002, on the observed domain).
    """
    if len(mapping) <= 1:
        return np.zeros(len(mapping))
    together = np.bincount(mapping)[mapping]
    return (together - 1) / (len(mapping) - 1)


class Lattice:
    """The table's distinct tuples, and what each node makes of them."""

    def __init__(self, attributes: Sequence[Attribute], rows: int, demands: Demands) -> None:
        if len(attributes) > MAX_ATTRIBUTES:
            raise PolicyRefused(
                f"{len(attributes)} quasi-identifiers",
                field="columns",
                rule=f"at most {MAX_ATTRIBUTES} quasi-identifiers can be generalized together",
                remedy="suppress the columns that buyers do not need, or declare harmless ones as other",
            )
        self.attributes = tuple(attributes)
        self.demands = demands
        self.rows = rows
        tuples, counts = group(
            [*(attribute.codes for attribute in attributes), *(codes for codes, _ in demands.various)], rows
        )
        first = np.zeros(len(counts), dtype=np.int64)
        # The last write wins, so the rows are written backwards: each tuple keeps its first row.
        first[tuples[::-1]] = np.arange(rows - 1, -1, -1)
        self.counts = counts
        self.codes = [attribute.codes[first] for attribute in attributes]
        self.various = [(codes[first], least) for codes, least in demands.various]
        self.losses = [[cell_loss(mapping) for mapping in attribute.maps] for attribute in attributes]
        self.level_loss = [
            np.array([float(np.dot(loss[codes], counts)) / rows for loss in losses])
            for codes, losses in zip(self.codes, self.losses, strict=True)
        ]
        self.judged = 0

    @property
    def top(self) -> Levels:
        """The node at which every attribute is `*`, or as coarse as it gets."""
        return tuple(len(attribute.maps) - 1 for attribute in self.attributes)

    def dropped(self, levels: Levels) -> npt.NDArray[np.bool_]:
        """Which distinct tuples have to go at this node: those in classes that are too small or too uniform."""
        self.judged += 1
        columns = [
            attribute.maps[level][codes]
            for attribute, level, codes in zip(self.attributes, levels, self.codes, strict=True)
        ]
        classes, sizes = group(columns, len(self.counts))
        number = len(sizes)
        bad = np.bincount(classes, weights=self.counts, minlength=number) < self.demands.k
        for codes, least in self.various:
            bad |= distinct_per_class(classes, number, codes) < least
        return bad[classes]

    def loss(self, levels: Levels, dropped: npt.NDArray[np.bool_]) -> float:
        """Mean loss over all cells of the quasi-identifiers, a dropped row's being 1."""
        if not self.attributes:
            return 0.0
        kept = np.where(dropped, 0, self.counts)
        whole = sum(
            float(np.dot(losses[level][codes], kept))
            for losses, level, codes in zip(self.losses, levels, self.codes, strict=True)
        )
        gone = float(self.counts[dropped].sum())
        return (whole / len(self.attributes) + gone) / self.rows

    def bound(self, levels: Levels) -> float:
        """No node loses less than its generalization alone."""
        if not self.attributes:
            return 0.0
        return float(sum(loss[level] for loss, level in zip(self.level_loss, levels, strict=True))) / len(
            levels
        )


def search(lattice: Lattice, progress: Callable[[int, int], None] | None = None) -> Solution:
    """The optimal node, or a greedy one in a lattice that is too large. Raises PolicyRefused if even the top fails."""
    demands = lattice.demands
    if int(lattice.counts[lattice.dropped(lattice.top)].sum()) > demands.droppable_rows:
        raise PolicyRefused(
            f"k = {demands.k} and l cannot be reached on {lattice.rows} rows",
            field="requirements",
            rule="the most general node holds the requirements",
            remedy="lower k or l, allow more rows to be suppressed, or collect more rows",
        )
    if math.prod(len(attribute.maps) for attribute in lattice.attributes) > MAX_NODES:
        return _climb(lattice)
    return _best_first(lattice, progress)


def _best_first(lattice: Lattice, progress: Callable[[int, int], None] | None) -> Solution:
    shape = [len(attribute.maps) for attribute in lattice.attributes]
    nodes = np.indices(shape, dtype=np.int16).reshape(len(shape), -1).T
    bounds = np.zeros(len(nodes))
    for place, losses in enumerate(lattice.level_loss):
        bounds += losses[nodes[:, place]] / max(1, len(shape))
    order = np.argsort(bounds, kind="stable")
    struck = np.zeros(len(nodes), dtype=bool)
    best: Solution | None = None
    known: dict[Levels, bool] = {}

    def judge(levels: Levels) -> bool:
        """Whether a node holds the demands; what follows for others is remembered."""
        nonlocal best
        if levels not in known:
            dropped = lattice.dropped(levels)
            rows = int(lattice.counts[dropped].sum())
            known[levels] = rows <= lattice.demands.droppable_rows
            if not known[levels]:
                struck[np.all(nodes <= np.array(levels), axis=1)] = True
            else:
                loss = lattice.loss(levels, dropped)
                if best is None or loss < best.loss:
                    best = Solution(levels, loss, rows, 0, optimal=True)
        return known[levels]

    for done, place in enumerate(order):
        if best is not None and bounds[place] >= best.loss:
            break
        if struck[place]:
            continue
        path = _path(lattice, tuple(int(level) for level in nodes[place]))
        low, high = 0, len(path) - 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if judge(path[middle]) else (middle + 1, high)
        judge(path[low])
        if progress is not None:
            progress(done, len(order))
    assert best is not None  # the top holds, and every path ends there
    return Solution(best.levels, best.loss, best.dropped_rows, lattice.judged, optimal=True)


def _path(lattice: Lattice, start: Levels) -> list[Levels]:
    """From a node to the top, one level at a time, the cheapest step first."""
    path = [start]
    while path[-1] != lattice.top:
        path.append(min(_above(lattice, path[-1]), key=lambda levels: (lattice.bound(levels), levels)))
    return path


def _above(lattice: Lattice, levels: Levels) -> list[Levels]:
    return [
        (*levels[:place], level + 1, *levels[place + 1 :])
        for place, level in enumerate(levels)
        if level < lattice.top[place]
    ]


def _climb(lattice: Lattice) -> Solution:
    """Upwards by the step that saves most rows for its loss, until the demands hold; then down while that pays."""
    limit = lattice.demands.droppable_rows
    levels: Levels = tuple(0 for _ in lattice.attributes)
    dropped = lattice.dropped(levels)
    while (rows := int(lattice.counts[dropped].sum())) > limit:
        steps = []
        for above in _above(lattice, levels):
            after = lattice.dropped(above)
            saved = rows - int(lattice.counts[after].sum())
            price = lattice.bound(above) - lattice.bound(levels) + 1e-9
            steps.append((-(saved + 1e-6) / price, above, after))
        _, levels, dropped = min(steps, key=lambda step: step[:2])
    improved = True
    while improved:
        improved = False
        for place, level in enumerate(levels):
            if level == 0:
                continue
            below = (*levels[:place], level - 1, *levels[place + 1 :])
            after = lattice.dropped(below)
            holds = int(lattice.counts[after].sum()) <= limit
            if holds and lattice.loss(below, after) < lattice.loss(levels, dropped):
                levels, dropped, improved = below, after, True
                break
    return Solution(
        levels,
        lattice.loss(levels, dropped),
        int(lattice.counts[dropped].sum()),
        lattice.judged,
        optimal=False,
    )
