"""What a release must hold: k, l, t, β and risk models, each a judgement of classes.

A class-wise criterion says which classes hold it; the rows of the others are dropped. A sample-wise one looks
at all classes together and drops the smallest until it holds. `steady` criteria never make more rows drop when
classes merge, so a node that fails them fails with all nodes below it; of the others that is true only where
no row may be dropped at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from exchange.desensitization.search.classes import Classes, Codes, Floats, Held, Mask


class ClassWise(Protocol):
    """Which classes may stay."""

    @property
    def steady(self) -> bool: ...

    def holds(self, classes: Classes) -> Mask: ...


class SampleWise(Protocol):
    """How many of the smallest classes must go. `sizes` rise; the table has `rows`, dropped ones among them."""

    @property
    def steady(self) -> bool: ...

    def least(self, sizes: Codes, rows: int) -> int: ...


@dataclass(frozen=True, slots=True)
class KAnonymity:
    """At least `k` rows in each class (Samarati and Sweeney, 1998)."""

    k: int
    steady: Literal[True] = True

    def holds(self, classes: Classes) -> Mask:
        """Whether each class is large enough."""
        return classes.sizes >= self.k


@dataclass(frozen=True, slots=True)
class DistinctLDiversity:
    """At least `l` distinct values in each class (Machanavajjhala et al., 2007)."""

    column: str
    l: int  # noqa: E741
    steady: Literal[True] = True

    def holds(self, classes: Classes) -> Mask:
        """Whether each class is various enough."""
        return classes.held[self.column].distinct(len(classes)) >= self.l


@dataclass(frozen=True, slots=True)
class EntropyLDiversity:
    """An entropy of at least log `l` in each class (Machanavajjhala et al., 2007).

    `grassberger` estimates the entropy of the population that a class was drawn from (Grassberger, 2003;
    Stammler, Katzenbeisser, Hamacher, 2016); so that an estimate promises nothing that is not there, `l`
    distinct values are asked too, which the plain entropy implies.
    """

    column: str
    l: float  # noqa: E741
    estimator: Literal["shannon", "grassberger"] = "shannon"
    steady: Literal[False] = False

    def holds(self, classes: Classes) -> Mask:
        """Whether each class is various enough."""
        held = classes.held[self.column]
        made = entropy if self.estimator == "shannon" else grassberger_entropy
        distinct = held.distinct(len(classes)) >= self.l
        return distinct & _at_least(made(held, classes.sizes), float(np.log(self.l)))


@dataclass(frozen=True, slots=True)
class RecursiveCLDiversity:
    """The most frequent value less than `c` times as frequent as all from the `l`-th on (Machanavajjhala et al., 2007)."""

    column: str
    c: float
    l: int  # noqa: E741
    steady: Literal[False] = False

    def holds(self, classes: Classes) -> Mask:
        """Whether each class is various enough."""
        most, tail = ranked(classes.held[self.column], len(classes), self.l)
        return most < self.c * tail


@dataclass(frozen=True, slots=True)
class Equal:
    """Every value is as far from every other."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """Values lie on a line: `order[i]` is the code of the i-th."""

    order: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Hierarchical:
    """Values are leaves of a tree: `paths[code]` names its ancestors from the first above the leaf to the root's child."""

    paths: tuple[tuple[str, ...], ...]


Distance = Equal | Ordered | Hierarchical


@dataclass(frozen=True, slots=True)
class TCloseness:
    """No class's distribution further than `t` from the table's, by the earth mover's distance (Li, Li, Venkatasubramanian, 2007)."""

    column: str
    t: float
    distance: Distance = Equal()
    steady: Literal[False] = False

    def holds(self, classes: Classes) -> Mask:
        """Whether each class is close enough."""
        return _at_most(earth_movers(classes.held[self.column], classes.sizes, self.distance), self.t)


@dataclass(frozen=True, slots=True)
class BetaLikeness:
    """No value gains more than `beta`, relatively, in any class (Cao and Karras, 2012); `enhanced` bounds it by -ln of its share too."""

    column: str
    beta: float
    enhanced: bool = False
    steady: Literal[False] = False

    def holds(self, classes: Classes) -> Mask:
        """Whether no value stands out in each class."""
        held = classes.held[self.column]
        share = held.total[held.value] / held.total.sum()
        bound = np.minimum(self.beta, -np.log(share)) if self.enhanced else np.full(len(share), self.beta)
        excess = gain(held, classes.sizes) - bound
        return _at_most(held.most(excess, len(classes)), 0.0)


@dataclass(frozen=True, slots=True)
class DeltaDisclosure:
    """No value's share in a class further than a factor e**`delta` from its share in the table (Brickell and Shmatikov, 2008).

    As in ARX, values that a class lacks are not asked: the definition in its letter would ask every value of every class.
    """

    column: str
    delta: float
    steady: Literal[False] = False

    def holds(self, classes: Classes) -> Mask:
        """Whether no value's share moves too far in each class."""
        held = classes.held[self.column]
        moved = np.abs(np.log1p(gain(held, classes.sizes)))
        return _at_most(held.most(moved, len(classes)), self.delta)


@dataclass(frozen=True, slots=True)
class AverageRisk:
    """Classes to rows at most `threshold`: the share that a marketer may expect to find (El Emam, 2013), of what is left."""

    threshold: float
    steady: Literal[True] = True

    def least(self, sizes: Codes, rows: int) -> int:
        """How many of the smallest classes must go."""
        classes = np.arange(len(sizes), 0, -1)
        left = sizes.sum() - np.cumsum(sizes) + sizes
        fits = _at_most(classes / left, self.threshold)
        return int(np.argmax(fits)) if fits.any() else len(sizes)


@dataclass(frozen=True, slots=True)
class SampleUniqueness:
    """Rows alone in their class at most a share `threshold` of all."""

    threshold: float
    steady: Literal[True] = True

    def least(self, sizes: Codes, rows: int) -> int:
        """How many of the classes of one row must go."""
        alone = int(np.searchsorted(sizes, 1, side="right"))
        return max(0, alone - int(self.threshold * rows + 1e-9))


@dataclass(frozen=True, slots=True)
class PopulationUniqueness:
    """Rows unique in the population at most a share `threshold`, as `population_uniques` estimates them."""

    threshold: float
    population: int
    steady: Literal[False] = False

    def least(self, sizes: Codes, rows: int) -> int:
        """How many of the smallest classes must go: what is left is an ever thinner sample."""
        low, high = 0, int(np.searchsorted(sizes, 1, side="right"))
        while low < high:
            middle = (low + high) // 2
            left = sizes[middle:]
            fits = population_uniques(left, self.population) <= self.threshold * rows
            low, high = (low, middle) if fits else (middle + 1, high)
        return low


Criterion = (
    KAnonymity
    | DistinctLDiversity
    | EntropyLDiversity
    | RecursiveCLDiversity
    | TCloseness
    | BetaLikeness
    | DeltaDisclosure
    | AverageRisk
    | SampleUniqueness
    | PopulationUniqueness
)


def entropy(held: Held, sizes: Codes) -> Floats:
    """Entropy of each class's values, in nats."""
    share = held.count / sizes[held.owner]
    return held.sum(-share * np.log(share), len(sizes))


def grassberger_entropy(held: Held, sizes: Codes) -> Floats:
    """Grassberger's estimate of each class's entropy, in nats: G(N) - (1/N) Σ nᵢ G(nᵢ) (2003, eq. 27-30).

    As in ARX, G stands for the logarithm of N too, not only of the nᵢ.
    """
    g = _grassberger(int(sizes.max()))
    return g[sizes] - held.sum(held.count * g[held.count], len(sizes)) / sizes


def _grassberger(most: int) -> Floats:
    """G(n) from 0 to `most`: G(1) = -γ - ln 2, G(2) = 2 - γ - ln 2, G(2n+1) = G(2n), G(2n+2) = G(2n) + 2/(2n+1)."""
    g = np.zeros(most + 3)
    start = -np.euler_gamma - np.log(2)
    even = start + 2 * np.cumsum(1 / np.arange(1, most + 3, 2))
    g[1] = start
    g[2 : 2 + 2 * len(even) : 2] = even[: len(g[2::2])]
    g[3::2] = g[2:-1:2][: len(g[3::2])]
    return g[: most + 1]


def ranked(held: Held, number: int, l: int) -> tuple[Codes, Codes]:  # noqa: E741
    """Of each class, the rows of the most frequent value and of all from the `l`-th most frequent on together."""
    order = np.lexsort((-held.count, held.owner))
    owner, count = held.owner[order], held.count[order]
    starts = np.searchsorted(owner, np.arange(number))
    rank = np.arange(len(owner)) - starts[owner]
    tail = np.bincount(owner, weights=np.where(rank >= l - 1, count, 0), minlength=number)
    return count[starts], tail.astype(np.int64)


def ratio(held: Held, sizes: Codes) -> Floats:
    """How often each value of each class comes there, for once that its share in the table lets expect."""
    found: Floats = held.count * held.total.sum() / (sizes[held.owner] * held.total[held.value])
    return found


def gain(held: Held, sizes: Codes) -> Floats:
    """By how much of its share in the table each value of each class is more frequent there."""
    return ratio(held, sizes) - 1


def earth_movers(held: Held, sizes: Codes, distance: Distance) -> Floats:
    """How far each class's distribution is from the table's, from 0 to 1."""
    match distance:
        case Equal():
            return _apart(held, sizes)
        case Ordered(order):
            return _moved_on_a_line(held, sizes, np.array(order, dtype=np.int64))
        case Hierarchical(paths):
            return _moved_on_a_tree(held, sizes, paths)


def _apart(held: Held, sizes: Codes) -> Floats:
    """Half the absolute difference: what a class's distribution has above the table's."""
    here, there = held.count / sizes[held.owner], (held.total / held.total.sum())[held.value]
    return held.sum(np.maximum(here - there, 0), len(sizes))


def _moved_on_a_line(held: Held, sizes: Codes, order: Codes) -> Floats:
    """The mean, over the cuts between neighbours on the line, of how far the shares below the cut differ.

    Between two values that a class holds its own share below the cut stays, and the table's rises; where it passes
    the class's, the sign turns. So the cost is that of the values held, however many there are in the table.
    """
    values = len(order)
    rank = np.empty(values, dtype=np.int64)
    rank[order] = np.arange(1, values + 1)
    upto = np.cumsum(held.total[order])
    area = np.concatenate([[0], np.cumsum(upto)])
    sorting = np.lexsort((rank[held.value], held.owner))
    owner, here = held.owner[sorting], rank[held.value[sorting]]
    first = np.ones(len(owner), dtype=bool)
    first[1:] = owner[1:] != owner[:-1]
    end = np.full(len(owner), values)
    end[:-1] = np.where(first[1:], values, here[1:] - 1)
    rows = np.cumsum(held.count[sorting])
    below = rows - (rows - held.count[sorting])[first][np.cumsum(first) - 1]
    share = below * int(held.total.sum()) / sizes[owner]
    turn = np.clip(np.searchsorted(upto, share, side="right"), here - 1, end)
    moved = (2 * turn - here + 1 - end) * share - 2 * area[turn] + area[here - 1] + area[end]
    moved += np.where(first, area[here - 1], 0)
    total = np.asarray(np.bincount(owner, weights=moved, minlength=len(sizes)), np.float64)
    return total / (max(1, values - 1) * int(held.total.sum()))


def _moved_on_a_tree(held: Held, sizes: Codes, paths: tuple[tuple[str, ...], ...]) -> Floats:
    """The mean, over the levels below the root, of the equal distance between what the values become there.

    Li et al. (section 4.2) let the lesser of surplus and need move at each inner node, over height/H. That lesser is
    half of its children's differences less the node's own, and so the sum over all levels telescopes to this mean.
    """
    height = len(paths[0]) + 1
    found = _apart(held, sizes)
    for level in range(1, height):
        known: dict[tuple[str, ...], int] = {}
        group = np.array([known.setdefault(path[level - 1 :], len(known)) for path in paths], dtype=np.int64)
        found = found + _apart(held.renamed(group), sizes)
    return found / height


def population_uniques(sizes: Codes, population: int) -> float:
    """Rows of the sample expected to be unique in the population too, by Zayatz's estimate (1991).

    The chance that a class of one row in the sample is one of one in the population, from the classes of the
    sample taken for those of the population: each class of size i is drawn as one row with the hypergeometric
    probability i·f·(1-f)^(i-1), f being the sampling fraction.
    """
    rows = int(sizes.sum())
    alone = int((sizes == 1).sum())
    if not alone:
        return 0.0
    fraction = min(1.0, rows / population)
    seen, number = np.unique(sizes, return_counts=True)
    drawn = number * seen * fraction * (1 - fraction) ** (seen - 1)
    return float(alone * number[seen == 1][0] * fraction / drawn.sum()) if fraction < 1 else float(alone)


def _at_least(values: Floats, bound: float) -> Mask:
    """Above the bound, or on it but for rounding."""
    return values >= bound - 1e-12 * max(1.0, abs(bound))


def _at_most(values: Floats, bound: float) -> Mask:
    return values <= bound + 1e-12 * max(1.0, abs(bound))
