"""The search finds the node of least loss: an exhaustive twin over every node says the same."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.desensitization import lattice
from exchange.desensitization.errors import PolicyRefused
from exchange.desensitization.lattice import Attribute, Demands, Lattice, cell_loss, search

Table = dict[str, Any]


def _codes(values: Sequence[int]) -> Any:
    return np.array(values, dtype=np.int64)


def _dense(labels: Sequence[int]) -> Any:
    return np.unique(np.array(labels), return_inverse=True)[1].astype(np.int64)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    rows = draw(st.integers(1, 30))
    attributes = []
    for name in range(draw(st.integers(1, 3))):
        domain = draw(st.integers(1, 6))
        # Every value occurs as a code, though perhaps in no row: levels merge what the level below left apart.
        maps = [np.arange(domain, dtype=np.int64)]
        for _ in range(draw(st.integers(0, 2))):
            parents = draw(st.lists(st.integers(0, 2), min_size=domain, max_size=domain))
            maps.append(_dense([parents[code] for code in maps[-1]]))
        maps.append(np.zeros(domain, dtype=np.int64))
        codes = draw(st.lists(st.integers(0, domain - 1), min_size=rows, max_size=rows))
        attributes.append(Attribute(str(name), _codes(codes), tuple(maps)))
    various = [
        (_codes(draw(st.lists(st.integers(0, 2), min_size=rows, max_size=rows))), draw(st.integers(1, 2)))
        for _ in range(draw(st.integers(0, 2)))
    ]
    demands = Demands(draw(st.integers(1, 5)), tuple(various), draw(st.integers(0, rows // 2)))
    return {"attributes": attributes, "rows": rows, "demands": demands}


def slow_node(table: Table, levels: Sequence[int]) -> tuple[int, float]:
    """Rows to drop and loss at one node, a row at a time."""
    attributes, demands, rows = table["attributes"], table["demands"], table["rows"]
    classes: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for row in range(rows):
        classes[
            tuple(int(a.maps[level][a.codes[row]]) for a, level in zip(attributes, levels, strict=True))
        ].append(row)
    dropped, loss = 0, 0.0
    for members in classes.values():
        good = len(members) >= demands.k and all(
            len({int(codes[row]) for row in members}) >= least for codes, least in demands.various
        )
        if not good:
            dropped += len(members)
            loss += len(members)
            continue
        for row in members:
            for attribute, level in zip(attributes, levels, strict=True):
                mapping = attribute.maps[level]
                together = sum(other == mapping[attribute.codes[row]] for other in mapping)
                loss += (together - 1) / max(1, len(mapping) - 1) / len(attributes)
    return dropped, loss / rows


@settings(max_examples=200, deadline=None)
@given(tables())
def test_the_search_finds_the_least_loss_that_an_exhaustive_twin_finds(table: Table) -> None:
    ranges = [range(len(attribute.maps)) for attribute in table["attributes"]]
    nodes = {levels: slow_node(table, levels) for levels in itertools.product(*ranges)}
    feasible = {
        levels: loss
        for levels, (dropped, loss) in nodes.items()
        if dropped <= table["demands"].droppable_rows
    }
    fast = Lattice(table["attributes"], table["rows"], table["demands"])
    if not feasible:
        with pytest.raises(PolicyRefused, match="cannot be reached"):
            search(fast)
        return
    found = search(fast)
    assert found.optimal
    assert found.loss == pytest.approx(min(feasible.values()))
    assert feasible[found.levels] == pytest.approx(found.loss)
    assert nodes[found.levels][0] == found.dropped_rows


@settings(max_examples=100, deadline=None)
@given(tables())
def test_dropped_rows_and_bound_are_monotone_as_the_search_believes(table: Table) -> None:
    fast = Lattice(table["attributes"], table["rows"], table["demands"])
    for levels in itertools.product(*(range(len(attribute.maps)) for attribute in table["attributes"])):
        dropped = fast.dropped(levels)
        assert fast.bound(levels) <= fast.loss(levels, dropped) + 1e-12
        assert int(fast.counts[dropped].sum()) == slow_node(table, levels)[0]
        for above in lattice._above(fast, levels):
            assert fast.counts[fast.dropped(above)].sum() <= fast.counts[dropped].sum()
            assert fast.bound(above) >= fast.bound(levels) - 1e-12


@settings(max_examples=100, deadline=None)
@given(tables())
def test_a_lattice_too_large_to_search_is_climbed_to_a_node_that_holds(table: Table) -> None:
    fast = Lattice(table["attributes"], table["rows"], table["demands"])
    try:
        best = search(fast)
    except PolicyRefused:
        return
    found = lattice._climb(fast)
    assert not found.optimal
    assert slow_node(table, found.levels)[0] == found.dropped_rows <= table["demands"].droppable_rows
    assert found.loss >= best.loss - 1e-12


def test_the_climb_begins_where_the_nodes_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    attribute = Attribute("a", _codes([0, 0, 1, 1]), (_codes([0, 1]), _codes([0, 0])))
    fast = Lattice([attribute], 4, Demands(2, (), 0))
    assert search(fast).optimal
    monkeypatch.setattr(lattice, "MAX_NODES", 1)
    assert search(fast) == lattice.Solution((0,), 0.0, 0, fast.judged, optimal=False)


def test_more_quasi_identifiers_than_can_be_searched_are_refused_with_advice() -> None:
    attribute = Attribute("a", _codes([0]), (_codes([0]),))
    with pytest.raises(PolicyRefused) as refused:
        Lattice([attribute] * 65, 1, Demands(1, (), 0))
    assert "suppress" in str(refused.value.remedy)


def test_a_cell_loses_the_share_of_values_it_can_no_longer_be_told_from() -> None:
    assert cell_loss(_codes([0, 1, 2])).tolist() == [0, 0, 0]
    assert cell_loss(_codes([0, 0, 1])).tolist() == [0.5, 0.5, 0]
    assert cell_loss(_codes([0, 0, 0])).tolist() == [1, 1, 1]
    assert cell_loss(_codes([0])).tolist() == [0]
