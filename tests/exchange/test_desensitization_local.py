"""Local recoding: every class holds what is asked, no loss is above the best full-domain node's, and a row-by-row twin says the same."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import Any, assert_never

import numpy as np
import pytest
from hypothesis import given, settings

from exchange.desensitization.errors import PolicyRefused
from exchange.desensitization.search import lattice, local
from exchange.desensitization.search.classes import tuples
from exchange.desensitization.search.criteria import AverageRisk, KAnonymity, SampleUniqueness
from exchange.desensitization.search.lattice import Lattice, Nodes, search
from exchange.desensitization.search.local import Recoded, mixed_loss, recode
from exchange.desensitization.search.losses import (
    Attribute,
    AverageClassSize,
    Discernibility,
    Height,
    Loss,
    NonUniformEntropy,
    Precision,
)
from tests.exchange.test_desensitization_lattice import Table, built, near, nodes, slow_holds, tables

Shown = tuple[frozenset[int], ...]


def tuple_of_each_row(table: Table) -> Any:
    return tuples(table["codes"], {}, np.ones(table["rows"], dtype=np.int64))[1]


def shown(table: Table, levels: Any, place: Any) -> list[Shown]:
    """What each row tells: per attribute, which values of the domain its cell may be."""
    found = []
    for row in range(table["rows"]):
        cells = []
        for attribute, codes, level in zip(
            table["attributes"], table["codes"], levels[place[row]], strict=True
        ):
            mapping = attribute.maps[level].tolist()
            cells.append(
                frozenset(code for code, group in enumerate(mapping) if group == mapping[codes[row]])
            )
        found.append(tuple(cells))
    return found


def slow_loss(
    table: Table, told: list[Shown], levels: Any, place: Any, dropped: set[int]
) -> tuple[float, ...]:
    """The definitions, a cell at a time."""
    attributes, rows, quality = table["attributes"], table["rows"], table["quality"]
    g = s = 1.0
    if not isinstance(quality, Height | Discernibility):
        g = 1.0 if quality.gs <= 0.5 else 2 - 2 * quality.gs
        s = 2 * quality.gs if quality.gs < 0.5 else 1.0
    kept, gone = (
        Counter(told[row] for row in range(rows) if (row in dropped) == which) for which in (False, True)
    )
    by_attribute = []
    match quality:
        case Height():
            return (sum(sum(levels[place[row]]) for row in range(rows)) / rows,)
        case Discernibility(monotonic):
            lost = sum(n * n for n in gone.values()) if monotonic else len(dropped) * rows
            return (float(sum(n * n for n in kept.values()) + lost),)
        case AverageClassSize():
            number = len(kept) * s + (g if dropped else 0)
            return (rows / number if number else math.inf,)
        case Loss():
            for place_, attribute in enumerate(attributes):
                domain = len(attribute.maps[0])
                whole = 0.0
                for row in range(rows):
                    share = len(told[row][place_]) / domain
                    whole += share + s * (1 - share) if row in dropped else share * g
                least = g * rows / domain
                by_attribute.append(max(0.0, (whole - least) / (rows - least)) if rows > least else 0.0)
        case NonUniformEntropy(monotonic):
            for place_, codes in enumerate(table["codes"]):
                raw = Counter(int(code) for code in codes)
                bits = 0.0
                for row in range(rows):
                    bits -= math.log2(raw[int(codes[row])] / sum(raw[v] for v in told[row][place_])) * g
                cells = Counter(told[row][place_] for row in dropped)
                if not monotonic:
                    bits -= sum(n * math.log2(n / len(dropped)) for n in cells.values()) * s
                by_attribute.append(bits)
        case Precision(monotonic):
            for place_, attribute in enumerate(attributes):
                top = max(1, len(attribute.maps) - 1)
                climbed = sum(
                    s if row in dropped and not monotonic else levels[place[row]][place_] / top * g
                    for row in range(rows)
                )
                by_attribute.append(climbed / rows)
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


def require_held(table: Table, fast: Lattice, found: Recoded) -> None:
    """Every class of what is kept holds every criterion, all together hold those on all, and the loss is the definition's."""
    place = tuple_of_each_row(table)
    told = shown(table, found.levels.tolist(), place)
    dropped = {row for row in range(table["rows"]) if found.dropped[place[row]]}
    assert len(dropped) == found.dropped_rows <= table["droppable"]
    members: dict[Shown, list[int]] = defaultdict(list)
    for row, key in enumerate(told):
        if row not in dropped:
            members[key].append(row)
    sensitive = [int(value) for value in table["sensitive"]]
    for criterion in table["criteria"]:
        match criterion:
            case AverageRisk(threshold):
                assert not members or len(members) / sum(map(len, members.values())) <= threshold + 1e-12
            case SampleUniqueness(threshold):
                alone = sum(len(rows) == 1 for rows in members.values())
                assert alone <= threshold * table["rows"] + 1e-9
            case _:
                for rows in members.values():
                    assert slow_holds(criterion, [sensitive[row] for row in rows], Counter(sensitive))
    # The lowest levels that show as much are given: Height and Precision count those that were climbed.
    if not isinstance(table["quality"], Height | Precision):
        assert near(found.loss, slow_loss(table, told, found.levels.tolist(), place, dropped))
    for one, other in ((a, b) for a in range(table["rows"]) for b in range(a)):
        same = found.classes[place[one]] == found.classes[place[other]]
        assert same == (told[one] == told[other])


@settings(max_examples=100, deadline=None)
@given(tables())
def test_every_class_holds_and_the_loss_is_no_worse_than_the_best_single_node(table: Table) -> None:
    fast = built(table)
    try:
        best = search(fast)
    except PolicyRefused:
        with pytest.raises(PolicyRefused):
            recode(fast)
        return
    found = recode(fast)
    require_held(table, fast, found)
    assert found.loss <= best.loss or near(found.loss, best.loss)
    assert near(found.full_domain.loss, best.loss)
    again = recode(built(table))
    assert (again.levels == found.levels).all()
    assert (again.dropped == found.dropped).all()


@settings(max_examples=50, deadline=None)
@given(tables())
def test_either_way_up_leads_to_classes_that_hold(table: Table) -> None:
    fast = built(table)
    try:
        node = search(fast)
    except PolicyRefused:
        return
    gone = fast.judge(node.levels).dropped[fast.nodes.places(node.levels)]
    climb = local._Climb(fast, node.levels, 1, None)
    levels, dropped = climb.within(node.levels, gone)
    class_wise = [c for c in table["criteria"] if not isinstance(c, AverageRisk | SampleUniqueness)]
    place = tuple_of_each_row(table)
    told = shown(table, levels.tolist(), place)
    sensitive = [int(value) for value in table["sensitive"]]
    members: dict[Shown, list[int]] = defaultdict(list)
    for row, key in enumerate(told):
        if not dropped[place[row]]:
            members[key].append(sensitive[row])
    for criterion in class_wise:
        assert all(slow_holds(criterion, rows, Counter(sensitive)) for rows in members.values())
    assert int(fast.nodes.table.finest.sizes[dropped].sum()) <= node.dropped_rows


@settings(max_examples=50, deadline=None)
@given(tables())
def test_the_loss_of_one_level_for_all_is_the_loss_of_the_node(table: Table) -> None:
    fast = built(table)
    for node in nodes(table):
        judged = fast.judge(node)
        classes = fast.nodes.places(node)
        dropped = judged.dropped[classes]
        levels = np.tile(np.array(node, dtype=np.int64), (len(classes), 1))
        found = mixed_loss(
            table["quality"], fast.nodes.attributes, fast.nodes.table, levels, classes, dropped
        )
        assert near(found, judged.loss)


def _skewed(rows: int, seed: int) -> Lattice:
    """Many ages in a few towns: one old man forces every age up in full-domain generalization."""
    chance = np.random.default_rng(seed)
    ages = np.concatenate([chance.integers(20, 40, rows), [95, 96, 97]])
    towns = np.concatenate([chance.integers(0, 4, rows), [9, 9, 8]])
    age = tuple(np.arange(100) // width for width in (1, 5, 10, 20, 100))
    town = tuple(np.arange(10) // width for width in (1, 5, 10))
    table, _ = tuples([ages, towns], {}, np.ones(rows + 3, dtype=np.int64))
    return Lattice(Nodes([Attribute("age", age), Attribute("town", town)], table), [KAnonymity(5)], 0)


def test_a_few_rare_rows_do_not_drag_the_others_up() -> None:
    fast = _skewed(2000, 1)
    found = recode(fast)
    assert found.loss[0] < 0.02 < 0.5 < found.full_domain.loss[0]
    # Three rare rows are too few for a class of their own: they are put to the class that it costs least.
    counts = fast.nodes.table.finest.sizes
    assert int(np.bincount(found.classes, weights=counts).min()) >= 5
    assert not found.dropped.any()


def test_a_lattice_too_large_to_climb_is_climbed_by_fewer_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = _skewed(500, 2)
    whole = recode(fast)
    for limit in (8, 4, 1):
        monkeypatch.setattr(local, "MAX_NODES", limit)
        thinned = recode(fast)
        assert whole.loss <= thinned.loss <= thinned.full_domain.loss
        counts = fast.nodes.table.finest.sizes
        assert int(np.bincount(thinned.classes, weights=counts).min()) >= 5
    monkeypatch.undo()
    monkeypatch.setattr(lattice, "MAX_NODES", 1)
    assert recode(fast).full_domain.optimal is False


def test_what_the_climb_skips_by_hashes_has_no_class(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = _skewed(300, 3)
    found = recode(fast)
    monkeypatch.setattr(local._Climb, "_promising", lambda _, batch: np.ones(len(batch), dtype=bool))
    assert (recode(fast).levels == found.levels).all()
