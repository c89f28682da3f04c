"""The search finds the node of least loss: an exhaustive twin over every node, a row at a time, says the same."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, assert_never

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.desensitization.errors import PolicyRefused
from exchange.desensitization.search import lattice
from exchange.desensitization.search.classes import tuples
from exchange.desensitization.search.criteria import (
    AverageRisk,
    BetaLikeness,
    Criterion,
    DistinctLDiversity,
    EntropyLDiversity,
    Equal,
    Hierarchical,
    KAnonymity,
    Ordered,
    PopulationUniqueness,
    RecursiveCLDiversity,
    SampleUniqueness,
    TCloseness,
    population_uniques,
)
from exchange.desensitization.search.lattice import Lattice, Nodes, search
from exchange.desensitization.search.losses import (
    Attribute,
    AverageClassSize,
    Discernibility,
    Height,
    Loss,
    NonUniformEntropy,
    Precision,
    Quality,
    cell_loss,
)

Table = dict[str, Any]
VALUES = 4
PATHS = (("x",), ("x",), ("y",), ("y",))


def _codes(values: Sequence[int]) -> Any:
    return np.array(values, dtype=np.int64)


def _dense(labels: Sequence[int]) -> Any:
    return np.unique(np.array(labels), return_inverse=True)[1].astype(np.int64)


steady = st.one_of(
    st.builds(KAnonymity, st.integers(1, 5)),
    st.builds(DistinctLDiversity, st.just("s"), st.integers(1, 3)),
)
shares = st.sampled_from([0.1, 0.25, 0.3, 0.5, 0.7])
class_wise = st.one_of(
    steady,
    st.builds(EntropyLDiversity, st.just("s"), st.sampled_from([1.0, 1.5, 2.0])),
    st.builds(RecursiveCLDiversity, st.just("s"), st.sampled_from([0.5, 1.0, 2.0]), st.integers(1, 3)),
    st.builds(
        TCloseness,
        st.just("s"),
        shares,
        st.one_of(st.just(Equal()), st.just(Ordered((2, 0, 1, 3))), st.just(Hierarchical(PATHS))),
    ),
    st.builds(BetaLikeness, st.just("s"), st.sampled_from([0.5, 1.0, 2.0]), st.booleans()),
)
criteria = st.lists(
    st.one_of(class_wise, st.builds(AverageRisk, shares), st.builds(SampleUniqueness, shares)),
    min_size=1,
    max_size=3,
)
gs = st.sampled_from([0.0, 0.33, 0.5, 0.66, 1.0])
how: Any = st.sampled_from(["arithmetic_mean", "geometric_mean", "sum", "maximum", "rank"])
qualities: Any = st.one_of(
    st.builds(Loss, gs, how),
    st.builds(NonUniformEntropy, st.booleans(), gs, how),
    st.builds(Precision, st.booleans(), gs, how),
    st.just(Height()),
    st.builds(Discernibility, st.booleans()),
    st.builds(AverageClassSize, gs),
)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    rows = draw(st.integers(1, 30))
    attributes, codes = [], []
    for name in range(draw(st.integers(1, 3))):
        domain = draw(st.integers(1, 6))
        # Every value occurs as a code, though perhaps in no row: levels merge what the level below left apart.
        maps = [np.arange(domain, dtype=np.int64)]
        for _ in range(draw(st.integers(0, 2))):
            parents = draw(st.lists(st.integers(0, 2), min_size=domain, max_size=domain))
            maps.append(_dense([parents[code] for code in maps[-1]]))
        maps.append(np.zeros(domain, dtype=np.int64))
        attributes.append(Attribute(str(name), tuple(maps)))
        codes.append(_codes(draw(st.lists(st.integers(0, domain - 1), min_size=rows, max_size=rows))))
    sensitive = [*range(VALUES), *draw(st.lists(st.integers(0, VALUES - 1), min_size=rows, max_size=rows))]
    return {
        "attributes": attributes,
        "codes": codes,
        # All values occur in the domain, so that distances between them mean something.
        "sensitive": _codes(sensitive[-rows:]),
        "rows": rows,
        "criteria": draw(criteria),
        "droppable": draw(st.integers(0, rows // 2)),
        "quality": draw(qualities),
    }


def built(table: Table) -> Lattice:
    found, _ = tuples(table["codes"], {"s": table["sensitive"]}, np.ones(table["rows"], dtype=np.int64))
    # A drawn table may lack the last values: their share is none.
    held = found.finest.held["s"]
    total = np.concatenate([held.total, np.zeros(VALUES - len(held.total), dtype=np.int64)])
    found.finest.held["s"] = type(held)(held.owner, held.value, held.count, total)  # type: ignore[index]
    return Lattice(Nodes(table["attributes"], found), table["criteria"], table["droppable"], table["quality"])


def slow_holds(criterion: Criterion, members: Sequence[int], whole: Counter[int]) -> bool:
    """One class against the definition, in exact numbers where the definition has them."""
    here, rows, all_rows = Counter(members), len(members), whole.total()
    match criterion:
        case KAnonymity(k):
            return rows >= k
        case DistinctLDiversity(_, least):
            return len(here) >= least
        case EntropyLDiversity(_, least):
            found = -sum(n / rows * math.log(n / rows) for n in here.values())
            return found >= math.log(least) - 1e-12 and len(here) >= least
        case RecursiveCLDiversity(_, c, least):
            counts = sorted(here.values(), reverse=True)
            return counts[0] < c * sum(counts[least - 1 :])
        case TCloseness(_, t, distance):
            extra: list[Any] = [Fraction(here[v], rows) - Fraction(whole[v], all_rows) for v in range(VALUES)]
            far: Any
            match distance:
                case Equal():
                    far = sum((abs(x) for x in extra), Fraction(0)) / 2
                case Ordered(order):
                    line = [extra[v] for v in order]
                    far = sum((abs(sum(line[: i + 1])) for i in range(VALUES)), Fraction(0)) / (VALUES - 1)
                case Hierarchical():
                    pairs = [extra[:2], extra[2:]]
                    within = sum(
                        min(sum(max(x, 0) for x in pair), sum(max(-x, 0) for x in pair)) for pair in pairs
                    )
                    far = Fraction(within) / 2 + abs(sum(pairs[0]))
                case _:
                    assert_never(distance)
            return bool(far <= t + 1e-12)
        case BetaLikeness(_, beta, enhanced):
            for value, n in here.items():
                share = whole[value] / all_rows
                bound = min(beta, -math.log(share)) if enhanced else beta
                if (n / rows - share) / share > bound + 1e-12:
                    return False
            return True
        case _:
            raise AssertionError(criterion)


def slow_node(table: Table, levels: Sequence[int]) -> tuple[int, tuple[float, ...]]:
    """Rows to drop and loss at one node, a row at a time."""
    attributes, rows = table["attributes"], table["rows"]
    shown = [
        tuple(
            int(a.maps[level][codes[row]])
            for a, codes, level in zip(attributes, table["codes"], levels, strict=True)
        )
        for row in range(rows)
    ]
    members = defaultdict(list)
    for row, key in enumerate(shown):
        members[key].append(row)
    sensitive = [int(value) for value in table["sensitive"]]
    whole = Counter(sensitive)
    asked: list[Criterion] = table["criteria"]
    in_classes = [c for c in asked if not isinstance(c, AverageRisk | SampleUniqueness)]
    kept = [
        key
        for key, found in members.items()
        if all(slow_holds(c, [sensitive[row] for row in found], whole) for c in in_classes)
    ]
    kept.sort(key=lambda key: len(members[key]))
    for criterion in asked:
        match criterion:
            case AverageRisk(threshold):
                while kept and len(kept) / sum(len(members[key]) for key in kept) > threshold + 1e-12:
                    kept.pop(0)
            case SampleUniqueness(threshold):
                while kept and sum(len(members[key]) == 1 for key in kept) > threshold * rows + 1e-9:
                    kept.pop(0)
            case _:
                pass
    dropped = [row for row in range(rows) if shown[row] not in kept]
    return len(dropped), slow_loss(table, levels, shown, set(dropped), len(kept))


def slow_loss(
    table: Table, levels: Sequence[int], shown: Sequence[tuple[int, ...]], dropped: set[int], classes: int
) -> tuple[float, ...]:
    """ARX's definitions, a row at a time."""
    attributes, rows, quality = table["attributes"], table["rows"], table["quality"]
    sizes = Counter(shown)
    g = s = 1.0
    if not isinstance(quality, Height | Discernibility):
        g = 1.0 if quality.gs <= 0.5 else 2 - 2 * quality.gs
        s = 2 * quality.gs if quality.gs < 0.5 else 1.0
    by_attribute = []
    match quality:
        case Height():
            return (float(sum(levels)),)
        case Discernibility(monotonic):
            return (
                float(
                    sum(
                        rows if row in dropped and not monotonic else sizes[shown[row]] for row in range(rows)
                    )
                ),
            )
        case AverageClassSize():
            number = classes * s + (g if dropped else 0)
            return (rows / number if number else math.inf,)
        case Loss():
            for a, codes, level in zip(attributes, table["codes"], levels, strict=True):
                mapping, domain = list(a.maps[level]), len(a.maps[level])
                whole = 0.0
                for row in range(rows):
                    share = mapping.count(mapping[codes[row]]) / domain
                    whole += (share + s * (1 - share)) if row in dropped else share * g
                least = g * rows / domain
                by_attribute.append(max(0.0, (whole - least) / (rows - least)) if rows > least else 0.0)
        case NonUniformEntropy(monotonic):
            for place, (a, codes, level) in enumerate(zip(attributes, table["codes"], levels, strict=True)):
                raw = Counter(int(code) for code in codes)
                made = Counter(int(a.maps[level][code]) for code in codes)
                bits = -sum(math.log2(raw[int(c)] / made[int(a.maps[level][c])]) for c in codes) * g
                gone = Counter(shown[row][place] for row in dropped)
                if not monotonic:
                    bits -= sum(n * math.log2(n / len(dropped)) for n in gone.values()) * s
                by_attribute.append(bits)
        case Precision(monotonic):
            gone_share = 0 if monotonic else len(dropped) / rows
            for a, level in zip(attributes, levels, strict=True):
                climbed = level / max(1, len(a.maps) - 1) * g
                by_attribute.append(climbed * (1 - gone_share) + gone_share * s)
        case _:
            assert_never(quality)
    number = len(by_attribute)
    match quality.how:
        case "arithmetic_mean":
            return (sum(by_attribute) / number,)
        case "geometric_mean":
            return (math.prod(v + 1 for v in by_attribute) ** (1 / number) - 1,)
        case "sum":
            return (sum(by_attribute),)
        case "maximum":
            return (max(by_attribute),)
        case _:
            return tuple(sorted(by_attribute, reverse=True))


def nodes(table: Table) -> Any:
    return itertools.product(*(range(len(attribute.maps)) for attribute in table["attributes"]))


def near(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    return first == pytest.approx(second, rel=1e-9, abs=3e-10)


@settings(max_examples=300, deadline=None)
@given(tables())
def test_every_node_is_judged_as_by_a_twin_that_looks_at_every_row(table: Table) -> None:
    fast = built(table)
    for levels in nodes(table):
        judged = fast.judge(levels)
        dropped, loss = slow_node(table, levels)
        assert judged.dropped_rows == dropped
        assert near(judged.loss, loss)
        gone = judged.dropped[fast.nodes.places(levels)]
        assert int(fast.nodes.table.finest.sizes[gone].sum()) == dropped


@settings(max_examples=300, deadline=None)
@given(tables())
def test_the_search_finds_the_least_loss_that_an_exhaustive_twin_finds(table: Table) -> None:
    found = {levels: slow_node(table, levels) for levels in nodes(table)}
    feasible = {levels: loss for levels, (dropped, loss) in found.items() if dropped <= table["droppable"]}
    fast = built(table)
    if not feasible:
        with pytest.raises(PolicyRefused, match="cannot be reached"):
            search(fast)
        return
    best = search(fast)
    assert best.optimal
    assert near(best.loss, min(feasible.values()))
    assert near(feasible[best.levels], best.loss)
    assert found[best.levels][0] == best.dropped_rows


@settings(max_examples=200, deadline=None)
@given(tables())
def test_floors_bounds_and_steady_criteria_are_what_the_search_believes(table: Table) -> None:
    fast = built(table)
    every = np.array(list(nodes(table)))
    floors = fast.measure.floors(every)
    for place, levels in enumerate(tuple(int(level) for level in row) for row in every):
        judged = fast.judge(levels)
        classes = fast.nodes.classes(levels)
        if floors is not None:
            assert tuple(floors[place] - 1e-9) <= judged.loss
        assert fast.measure.bound(classes)[0] <= judged.loss[0] + 1e-9
        steadily = int(classes.sizes[fast.steadily_dropped(levels)].sum())
        for above in lattice._above(fast, levels):
            higher = fast.nodes.classes(above)
            assert fast.measure.bound(higher)[0] >= fast.measure.bound(classes)[0] - 1e-9
            # A node that fails for the steady criteria must drag down all below it.
            if steadily <= table["droppable"]:
                assert higher.sizes[fast.steadily_dropped(above)].sum() <= table["droppable"]


@settings(max_examples=100, deadline=None)
@given(tables())
def test_a_lattice_too_large_to_search_is_climbed_to_a_node_that_holds(table: Table) -> None:
    fast = built(table)
    try:
        best = search(fast)
        found = lattice._climb(fast)
    except PolicyRefused:
        return
    assert not found.optimal
    assert slow_node(table, found.levels)[0] == found.dropped_rows <= table["droppable"]
    assert found.loss >= best.loss or near(found.loss, best.loss)


def _pair() -> Lattice:
    table, _ = tuples([_codes([0, 0, 1, 1])], {}, np.ones(4, dtype=np.int64))
    attribute = Attribute("a", (_codes([0, 1]), _codes([0, 0])))
    return Lattice(Nodes([attribute], table), [KAnonymity(2)], 0)


def test_the_climb_begins_where_the_nodes_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = _pair()
    assert search(fast).optimal
    monkeypatch.setattr(lattice, "MAX_NODES", 1)
    found = search(fast)
    assert (found.levels, found.loss, found.optimal) == ((0,), (0.0,), False)


def test_what_is_forgotten_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lattice, "_REMEMBERED", 0)
    assert search(_pair()).levels == (0,)


def test_more_quasi_identifiers_than_can_be_searched_are_refused_with_advice() -> None:
    table, _ = tuples([_codes([0])] * 65, {}, np.ones(1, dtype=np.int64))
    with pytest.raises(PolicyRefused) as refused:
        Nodes([Attribute("a", (_codes([0]),))] * 65, table)
    assert "suppress" in str(refused.value.remedy)


def test_an_estimated_uniqueness_drops_single_rows_until_it_holds() -> None:
    sizes = _codes([1] * 50 + [2] * 50 + [10] * 85)
    rows = int(sizes.sum())
    assert population_uniques(sizes, rows) == 50  # the sample is the population
    needed = [PopulationUniqueness(0.001, size * rows).least(sizes, rows) for size in (1, 2, 10, 1000)]
    assert needed == sorted(needed, reverse=True)
    assert 40 < needed[0] < 50
    assert needed[-1] < needed[0]
    for least, size in zip(needed, (1, 2, 10, 1000), strict=True):
        assert population_uniques(sizes[least:], size * rows) <= 0.001 * rows
        assert not least or population_uniques(sizes[least - 1 :], size * rows) > 0.001 * rows


def test_a_cell_loses_the_share_of_values_it_can_no_longer_be_told_from() -> None:
    assert cell_loss(_codes([0, 1, 2])).tolist() == [0, 0, 0]
    assert cell_loss(_codes([0, 0, 1])).tolist() == [0.5, 0.5, 0]
    assert cell_loss(_codes([0, 0, 0])).tolist() == [1, 1, 1]
    assert cell_loss(_codes([0])).tolist() == [0]


def _(quality: Quality) -> None:
    """The strategies above name every quality model: a new one must be added to them."""
    match quality:
        case Loss() | NonUniformEntropy() | Precision() | Height() | Discernibility() | AverageClassSize():
            return
        case _:
            assert_never(quality)
