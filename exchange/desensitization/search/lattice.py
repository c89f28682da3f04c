"""The best full-domain generalization: one level per quasi-identifier, least loss, all criteria held, few rows dropped.

Search happens over the distinct tuples of the table, not over its rows, and the classes of a node come from
those of the coarsest node below it that is known. Where a criterion is steady (see `criteria`), a node that
fails fails with all below it (LeFevre et al., Incognito, 2005). Nodes are taken in the order of a lower bound
of their loss; before one is judged, a path from it towards the top is halved until the border of the steady
criteria on it is known, and all below an infeasible node are struck out (the idea of Flash: Kohlmayer et
al., 2012). The search ends when no bound is below the best loss found: that node is optimal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from exchange.desensitization.errors import PolicyRefused
from exchange.desensitization.search.classes import WIDEST, Classes, Codes, Mask, Tuples, dense, numbered
from exchange.desensitization.search.criteria import (
    AverageRisk,
    ClassWise,
    Criterion,
    PopulationUniqueness,
    SampleUniqueness,
    SampleWise,
)
from exchange.desensitization.search.losses import Attribute, Levels, Loss, Quality, Value, measure

MAX_ATTRIBUTES = 64
MAX_NODES = 1 << 18
"""Above this many nodes the search climbs greedily and says so."""

_REMEMBERED = 1 << 25
"""Classes and pairs of classes and values, in all nodes that are kept to merge from."""

_LARGE = 8192
"""Classes that are worth a stop on the way up."""

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
        # What a tuple is at a node is one number, the sum of a part for each attribute's level, if they are not too many.
        widths = [len(attribute.maps[0]) for attribute in attributes]
        strides = np.cumprod([1, *widths]).tolist() if math.prod(widths) < WIDEST else None
        self._parts = strides and [
            [mapping * stride for mapping in attribute.maps]
            for attribute, stride in zip(attributes, strides, strict=False)
        ]
        self._keys: dict[Levels, Codes] = {}
        bottom: Levels = (0,) * len(self.attributes)
        self._known: dict[Levels, Classes] = {bottom: self._merge(None, bottom)}
        self._levels = np.array([bottom], dtype=np.int64)
        self._sizes = np.array([len(self._known[bottom])])
        self._weight = 0
        self._verdicts: dict[tuple[Levels, ClassWise], Mask] = {}

    def classes(self, levels: Levels) -> Classes:
        """The classes at a node."""
        found = self._known.get(levels)
        if found is None:
            source = self._nearest(levels)
            halfway = tuple(level // 2 for level in levels)
            if any(halfway) and halfway not in self._known and len(self._known[source]) > _LARGE:
                # Many nodes have the same one halfway down, and are merged from there at a fraction of the cost.
                self.classes(halfway)
                source = self._nearest(levels)
            found = self._merge(source, levels)
            self._remember(levels, found)
        return found

    def _nearest(self, levels: Levels) -> Levels:
        """The known node below with the fewest classes."""
        known = self._levels[: len(self._known)]
        below = np.flatnonzero((known <= np.array(levels)).all(axis=1))
        return tuple(known[below[np.argmin(self._sizes[below])]].tolist())

    def holds(self, levels: Levels, criterion: ClassWise) -> Mask:
        """Which of the classes at a node hold a criterion."""
        found = self._verdicts.get((levels, criterion))
        if found is None:
            found = self._verdicts[levels, criterion] = criterion.holds(self.classes(levels))
        return found

    def places(self, levels: Levels) -> Codes:
        """The class at a node of each of the table's distinct tuples."""
        classes = self.classes(levels)
        place, number = self._numbered(None, levels)
        of_class = np.empty(number, dtype=np.int64)
        of_class[place[classes.tuples]] = np.arange(len(classes))
        return of_class[place]

    def _merge(self, source: Levels | None, levels: Levels) -> Classes:
        place, number = self._numbered(source, levels, remember=True)
        return (self.table.finest if source is None else self._known[source]).merged(place, number)

    def _numbered(
        self, source: Levels | None, levels: Levels, *, remember: bool = False
    ) -> tuple[Codes, int]:
        """The class at a node of each class at a known node below it, or of each tuple, and how many there are."""
        tuples = (self.table.finest if source is None else self._known[source]).tuples
        codes = self.table.codes
        if self._parts is None:
            maps = [attribute.maps[level] for attribute, level in zip(self.attributes, levels, strict=True)]
            return numbered(
                [shown[code[tuples]] for shown, code in zip(maps, codes, strict=True)], len(tuples)
            )
        key = np.zeros(len(tuples), dtype=np.int64) if source is None else self._keys[source]
        for place, (parts, level) in enumerate(zip(self._parts, levels, strict=True)):
            if source is None:
                key = key + parts[level].take(codes[place].take(tuples))
            elif level != source[place]:
                moved = parts[level] - parts[source[place]]
                key = key + moved.take(codes[place].take(tuples))
        classes, number = dense(key)
        if remember:
            self._keys[levels] = kept = np.empty(number, dtype=np.int64)
            kept[classes] = key
        return classes, number

    def _remember(self, levels: Levels, classes: Classes) -> None:
        self._weight += len(classes) + sum(len(held.owner) for held in classes.held.values())
        if self._weight > _REMEMBERED:
            # The bottom stays; all else can be made again.
            self._known = dict(list(self._known.items())[:1])
            self._keys = dict(list(self._keys.items())[:1])
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
        self.quality = quality or Loss()
        self.measure = measure(self.quality, nodes.attributes, nodes.table)
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
                drop_smallest(gone, classes, whole)
        return gone

    def judge(self, levels: Levels) -> Judged:
        """What the criteria and the loss say of a node."""
        classes = self.nodes.classes(levels)
        gone = np.zeros(len(classes), dtype=bool)
        for criterion in self.class_wise:
            gone |= ~self.nodes.holds(levels, criterion)
        for whole in self.sample_wise:
            drop_smallest(gone, classes, whole)
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


def drop_smallest(gone: Mask, classes: Classes, criterion: SampleWise) -> None:
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
    frontier = _Frontier(lattice)
    if not frontier.judge(lattice.nodes.top):
        raise _unreachable(lattice)
    for done, place in enumerate(frontier.order.tolist()):
        if frontier.is_done(place):
            break
        if frontier.is_settled(place):
            continue
        path = frontier.path(place)
        low, high = 0, len(path) - 1
        # Of all nodes of a path that could still be better, the last strikes out most.
        if path[high] != lattice.nodes.top and not frontier.judge(path[high]):
            continue
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if frontier.judge(path[middle]) else (middle + 1, high)
        frontier.judge(path[low])
        if progress is not None:
            progress(done, len(frontier.order))
    if frontier.best is None:
        raise _unreachable(lattice)
    return _solved(lattice, frontier.best, optimal=True)


class _Frontier:
    """What is known of the nodes during a search, and in what order they come."""

    def __init__(self, lattice: Lattice) -> None:
        self.lattice = lattice
        self.best: Judged | None = None
        top = lattice.nodes.top
        self.shape = [level + 1 for level in top]
        self.nodes = np.indices(self.shape, dtype=np.int64).reshape(len(top), -1).T
        self.floors = lattice.measure.floors(self.nodes)
        if self.floors is None:
            # No level alone tells a bound: coarser nodes later, and each judged node bounds all above it.
            self.order = np.argsort(self.nodes.sum(axis=1), kind="stable")
        else:
            self.order = np.lexsort(self.floors.T[::-1])
        self.rank = np.empty(len(self.order), dtype=np.int64)
        self.rank[self.order] = np.arange(len(self.order))
        self.steps = np.cumprod([1, *self.shape[::-1]])[-2::-1].tolist()
        # Without steady criteria nothing is learned on the way up.
        self.halving = bool(lattice.steady) or any(whole.steady for whole in lattice.sample_wise)
        self.struck = np.zeros(self.shape, dtype=bool)
        self.grown = np.zeros(self.shape)
        self.known: dict[Levels, bool] = {}

    def judge(self, levels: Levels) -> bool:
        """Whether a node holds the steady criteria; what follows for others is remembered."""
        if levels not in self.known:
            lattice = self.lattice
            found = lattice.attempt(levels)
            self.known[levels] = found is not None
            if found is None:
                self.struck[tuple(slice(level + 1) for level in levels)] = True
            elif found.dropped_rows <= lattice.droppable_rows and (
                self.best is None or found.loss < self.best.loss
            ):
                self.best = found
            if self.floors is None:
                above = self.grown[tuple(slice(level, None) for level in levels)]
                np.maximum(above, lattice.measure.bound(lattice.nodes.classes(levels))[0], out=above)
        return self.known[levels]

    def is_done(self, place: int) -> bool:
        """Whether this node's floor, and that of all that come after it and lie above it, is not below the best loss."""
        return (
            self.best is not None
            and self.floors is not None
            and tuple(self.floors[place].tolist()) >= self.best.loss
        )

    def is_settled(self, place: int) -> bool:
        """Whether this node is known, infeasible, or cannot be better than the best."""
        if self.struck.flat[place]:
            return True
        levels: Levels = tuple(self.nodes[place].tolist())
        if levels in self.known:
            return True
        return (
            self.best is not None
            and self.floors is None
            and bool(self.grown.flat[place] >= self.best.loss[0])
        )

    def path(self, place: int) -> list[Levels]:
        """From a node towards the top, one level at a time, the cheapest step first, as far as nodes could be better
        than the best; or the node alone."""
        levels = self.nodes[place].tolist()
        found = [tuple(levels)]
        while self.halving and found[-1] != self.lattice.nodes.top:
            above = [
                attribute for attribute, top in enumerate(self.lattice.nodes.top) if levels[attribute] < top
            ]
            attribute = min(above, key=lambda attribute: self.rank[place + self.steps[attribute]])
            levels[attribute] += 1
            place += self.steps[attribute]
            if self.is_done(place):
                break
            found.append(tuple(levels))
        return found


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
