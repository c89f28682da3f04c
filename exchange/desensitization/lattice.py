"""The best full-domain generalization: one level per quasi-identifier, least loss, all criteria held, few rows dropped.

Search happens over the distinct tuples of the table, not over its rows, and the classes of a node come from
those of the coarsest node below it that is known. Where a criterion is steady (see `criteria`), a node that
fails fails with all below it (LeFevre et al., Incognito, 2005). Nodes are taken in the order of a lower bound
of their loss; before one is judged, a path from it to the top is halved until the border of the steady
criteria on it is known, and all below an infeasible node are struck out (the idea of Flash: Kohlmayer et
al., 2012). The search ends when no bound is below the best loss found: that node is optimal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from exchange.desensitization.classes import Classes, Codes, Mask, Tuples, numbered
from exchange.desensitization.criteria import (
    AverageRisk,
    ClassWise,
    Criterion,
    PopulationUniqueness,
    SampleUniqueness,
    SampleWise,
)
from exchange.desensitization.errors import PolicyRefused
from exchange.desensitization.losses import Attribute, Levels, Loss, Quality, Value, measure

MAX_ATTRIBUTES = 64
MAX_NODES = 1 << 18
"""Above this many nodes the search climbs greedily and says so."""

_REMEMBERED = 1 << 25
"""Classes and pairs of classes and values, in all nodes that are kept to merge from."""

_SampleWise = AverageRisk | SampleUniqueness | PopulationUniqueness


@dataclass(frozen=True, slots=True)
class Judged:
    """One node: its classes, which of them have to go, how many rows that is, and the loss."""

    levels: Levels
    classes: Classes
    dropped: Mask
    dropped_rows: int
    loss: Value


@dataclass(frozen=True, slots=True)
class Solution:
    """A node that holds the criteria, with its loss; `optimal` unless the lattice was too large to search."""

    levels: Levels
    loss: Value
    dropped_rows: int
    judged: int
    optimal: bool


class Nodes:
    """The classes of a table at every node of its lattice, remembered: searches with other demands share them."""

    def __init__(self, attributes: Sequence[Attribute], table: Tuples) -> None:
        if len(attributes) > MAX_ATTRIBUTES:
            raise PolicyRefused(
                f"{len(attributes)} quasi-identifiers",
                field="columns",
                rule=f"at most {MAX_ATTRIBUTES} quasi-identifiers can be generalized together",
                remedy="suppress the columns that buyers do not need, or declare harmless ones as other",
            )
        self.attributes = tuple(attributes)
        self.table = table
        self.top: Levels = tuple(attribute.top for attribute in attributes)
        self._shown = [
            [mapping[codes] for mapping in attribute.maps]
            for attribute, codes in zip(self.attributes, table.codes, strict=True)
        ]
        bottom: Levels = (0,) * len(self.attributes)
        self._known: dict[Levels, Classes] = {bottom: self._merge(table.finest, bottom)}
        self._levels = np.array([bottom], dtype=np.int64)
        self._sizes = np.array([len(self._known[bottom])])
        self._weight = 0
        self._verdicts: dict[tuple[Levels, ClassWise], Mask] = {}

    def classes(self, levels: Levels) -> Classes:
        """The classes at a node."""
        found = self._known.get(levels)
        if found is None:
            known = self._levels[: len(self._known)]
            below = np.flatnonzero((known <= np.array(levels)).all(axis=1))
            source = tuple(known[below[np.argmin(self._sizes[below])]].tolist())
            found = self._merge(self._known[source], levels)
            self._remember(levels, found)
        return found

    def holds(self, levels: Levels, criterion: ClassWise) -> Mask:
        """Which of the classes at a node hold a criterion."""
        found = self._verdicts.get((levels, criterion))
        if found is None:
            found = self._verdicts[levels, criterion] = criterion.holds(self.classes(levels))
        return found

    def places(self, levels: Levels) -> Codes:
        """The class at a node of each of the table's distinct tuples."""
        classes = self.classes(levels)
        place, number = self._places(self.table.finest.tuples, levels)
        of_class = np.empty(number, dtype=np.int64)
        of_class[place[classes.tuples]] = np.arange(len(classes))
        return of_class[place]

    def _merge(self, source: Classes, levels: Levels) -> Classes:
        return source.merged(*self._places(source.tuples, levels))

    def _places(self, tuples: Codes, levels: Levels) -> tuple[Codes, int]:
        return numbered(
            [shown[level][tuples] for shown, level in zip(self._shown, levels, strict=True)], len(tuples)
        )

    def _remember(self, levels: Levels, classes: Classes) -> None:
        self._weight += len(classes) + sum(len(held.owner) for held in classes.held.values())
        if self._weight > _REMEMBERED:
            # The bottom stays; all else can be made again.
            self._known = dict(list(self._known.items())[:1])
            self._weight = 0
        place = len(self._known)
        if place == len(self._levels):
            self._levels = np.concatenate([self._levels, np.empty_like(self._levels)])
            self._sizes = np.concatenate([self._sizes, np.empty_like(self._sizes)])
        self._levels[place], self._sizes[place] = levels, len(classes)
        self._known[levels] = classes


class Lattice:
    """What a release must hold, and what each node costs. `droppable_rows` may be dropped at most."""

    def __init__(
        self, nodes: Nodes, criteria: Sequence[Criterion], droppable_rows: int, quality: Quality | None = None
    ) -> None:
        self.nodes = nodes
        self.droppable_rows = droppable_rows
        self.measure = measure(quality or Loss(), nodes.attributes, nodes.table)
        self.class_wise = [criterion for criterion in criteria if not isinstance(criterion, _SampleWise)]
        self.sample_wise = [criterion for criterion in criteria if isinstance(criterion, _SampleWise)]
        # Where nothing may be dropped, every class-wise criterion is steady: two classes that hold it hold it merged.
        self.steady = [criterion for criterion in self.class_wise if criterion.steady or not droppable_rows]
        self.judged = 0

    def steadily_dropped(self, levels: Levels) -> Mask:
        """Which classes of a node have to go for the steady criteria alone."""
        classes = self.nodes.classes(levels)
        gone = np.zeros(len(classes), dtype=bool)
        for criterion in self.steady:
            gone |= ~self.nodes.holds(levels, criterion)
        for whole in self.sample_wise:
            if whole.steady:
                _drop_smallest(gone, classes, whole)
        return gone

    def judge(self, levels: Levels) -> Judged:
        """What the criteria and the loss say of a node."""
        classes = self.nodes.classes(levels)
        gone = np.zeros(len(classes), dtype=bool)
        for criterion in self.class_wise:
            gone |= ~self.nodes.holds(levels, criterion)
        for whole in self.sample_wise:
            _drop_smallest(gone, classes, whole)
        return Judged(
            levels=levels,
            classes=classes,
            dropped=gone,
            dropped_rows=int(classes.sizes[gone].sum()),
            loss=self.measure.of(levels, classes, gone) if levels else (0.0,),
        )

    def attempt(self, levels: Levels) -> Judged | None:
        """The same, or none where the steady criteria already drop too many rows."""
        self.judged += 1
        gone = self.steadily_dropped(levels)
        if int(self.nodes.classes(levels).sizes[gone].sum()) > self.droppable_rows:
            return None
        return self.judge(levels)


def _drop_smallest(gone: Mask, classes: Classes, criterion: SampleWise) -> None:
    """Drop the smallest classes that are left until the criterion holds; of classes alike, those that come first."""
    left = np.flatnonzero(~gone)
    order = left[np.argsort(classes.sizes[left], kind="stable")]
    gone[order[: criterion.least(classes.sizes[order], int(classes.sizes.sum()))]] = True


def search(lattice: Lattice, progress: Callable[[int, int], None] | None = None) -> Solution:
    """The optimal node, or a greedy one in a lattice that is too large. Raises PolicyRefused where no node is found."""
    if not lattice.nodes.top:
        return _solved(lattice, _require(lattice, lattice.judge(())), optimal=True)
    if math.prod(attribute.top + 1 for attribute in lattice.nodes.attributes) > MAX_NODES:
        return _climb(lattice)
    return _best_first(lattice, progress)


def _best_first(lattice: Lattice, progress: Callable[[int, int], None] | None) -> Solution:
    shape = [attribute.top + 1 for attribute in lattice.nodes.attributes]
    nodes = np.indices(shape, dtype=np.int64).reshape(len(shape), -1).T
    floors = lattice.measure.floors(nodes)
    growing = floors is None
    if floors is None:
        # No level alone tells a bound: coarser nodes later, and each judged node bounds all above it.
        order = np.argsort(nodes.sum(axis=1), kind="stable")
        bounds: list[Value] = [(0.0,)] * len(nodes)
    else:
        order = np.lexsort(floors.T[::-1])
        bounds = [tuple(floor) for floor in floors.tolist()]
    halving = bool(lattice.steady) or any(whole.steady for whole in lattice.sample_wise)
    struck = np.zeros(len(nodes), dtype=bool)
    grown = np.zeros(len(nodes))
    best: Judged | None = None
    known: dict[Levels, bool] = {}

    def judge(levels: Levels) -> bool:
        """Whether a node holds the steady criteria; what follows for others is remembered."""
        nonlocal best
        if levels not in known:
            found = lattice.attempt(levels)
            known[levels] = found is not None
            if found is None:
                struck[(nodes <= np.array(levels)).all(axis=1)] = True
            elif found.dropped_rows <= lattice.droppable_rows and (best is None or found.loss < best.loss):
                best = found
            if growing:
                above = (nodes >= np.array(levels)).all(axis=1)
                grown[above] = np.maximum(
                    grown[above], lattice.measure.bound(lattice.nodes.classes(levels))[0]
                )
        return known[levels]

    if not judge(lattice.nodes.top):
        raise _unreachable(lattice)
    for done, place in enumerate(order):
        if best is not None:
            if growing and grown[place] >= best.loss[0]:
                continue
            if not growing and bounds[place] >= best.loss:
                break
        levels = tuple(int(level) for level in nodes[place])
        if struck[place] or levels in known:
            continue
        # Without steady criteria nothing is learned on the way.
        path = _path(lattice, levels) if halving else [levels]
        low, high = 0, len(path) - 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if judge(path[middle]) else (middle + 1, high)
        judge(path[low])
        if progress is not None:
            progress(done, len(order))
    if best is None:
        raise _unreachable(lattice)
    return _solved(lattice, best, optimal=True)


def _path(lattice: Lattice, start: Levels) -> list[Levels]:
    """From a node to the top, one level at a time, the cheapest step first."""
    path = [start]
    while path[-1] != lattice.nodes.top:
        above = _above(lattice, path[-1])
        floors = lattice.measure.floors(np.array(above))
        path.append(above[0] if floors is None else above[int(np.lexsort(floors.T[::-1])[0])])
    return path


def _above(lattice: Lattice, levels: Levels) -> list[Levels]:
    return [
        (*levels[:place], level + 1, *levels[place + 1 :])
        for place, level in enumerate(levels)
        if level < lattice.nodes.top[place]
    ]


def _climb(lattice: Lattice) -> Solution:
    """Upwards by the step that saves most rows for its loss, until the criteria hold; then down while that pays."""
    here = lattice.judge((0,) * len(lattice.nodes.attributes))
    while here.dropped_rows > lattice.droppable_rows:
        steps = [lattice.judge(levels) for levels in _above(lattice, here.levels)]
        if not steps:
            raise _unreachable(lattice)
        start = sum(lattice.measure.bound(here.classes)) + _floor(lattice, here.levels)
        _, _, here = min(
            (
                -(here.dropped_rows - step.dropped_rows + 1e-6)
                / (
                    max(0.0, sum(lattice.measure.bound(step.classes)) + _floor(lattice, step.levels) - start)
                    + 1e-9
                ),
                step.levels,
                step,
            )
            for step in steps
        )
    improved = True
    while improved:
        improved = False
        for place, level in enumerate(here.levels):
            if level:
                step = lattice.judge((*here.levels[:place], level - 1, *here.levels[place + 1 :]))
                if step.dropped_rows <= lattice.droppable_rows and step.loss < here.loss:
                    here, improved = step, True
                    break
    return _solved(lattice, here, optimal=False)


def _floor(lattice: Lattice, levels: Levels) -> float:
    floors = lattice.measure.floors(np.array([levels]))
    return 0.0 if floors is None else float(floors[0].sum())


def _solved(lattice: Lattice, found: Judged, *, optimal: bool) -> Solution:
    return Solution(found.levels, found.loss, found.dropped_rows, lattice.judged, optimal)


def _require(lattice: Lattice, found: Judged) -> Judged:
    if found.dropped_rows > lattice.droppable_rows:
        raise _unreachable(lattice)
    return found


def _unreachable(lattice: Lattice) -> PolicyRefused:
    return PolicyRefused(
        f"the requirements cannot be reached on {lattice.nodes.table.rows} rows",
        field="requirements",
        rule="a node holds the requirements with no more rows dropped than allowed",
        remedy="lower k, l or the other requirements, allow more rows to be suppressed, or collect more rows",
    )
