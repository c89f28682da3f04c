"""Risk figures equal those of a slow twin that compares rows one by one, and ARX's sums on Adult."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.desensitization import hierarchies
from exchange.desensitization.judge import Risk
from exchange.desensitization.lattice import Attribute, Demands, Lattice
from exchange.desensitization.policy import Tree
from exchange.desensitization.risk import encode, group, measure_risk

Rows = Sequence[tuple[Any, ...]]


def slow_risk(quasi: Rows, sensitive: Rows, persons: Sequence[Any] | None) -> dict[str, Any]:
    """The definitions, a row at a time."""
    classes: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for row, key in enumerate(quasi):
        classes[key].append(row)
    heads = {
        key: len(rows) if persons is None else len({persons[row] for row in rows})
        for key, rows in classes.items()
    }
    unique = sum(len(rows) for key, rows in classes.items() if heads[key] == 1)
    return {
        "classes": len(classes),
        "k": min(heads.values()),
        "l": [
            min(len({sensitive[row][column] for row in rows}) for rows in classes.values())
            for column in range(len(sensitive[0]))
        ],
        "unique_rows": unique,
        "prosecutor": Fraction(1, min(heads.values())),
        "marketer": Fraction(len(classes), len(quasi)),
        "uniqueness": Fraction(unique, len(quasi)),
    }


def fast_risk(quasi: Rows, sensitive: Rows, persons: Sequence[Any] | None) -> Risk:
    def coded(rows: Rows, prefix: str) -> list[tuple[str, Any]]:
        return [
            (f"{prefix}{place}", encode(pa.chunked_array([pa.array([row[place] for row in rows])])).codes)
            for place in range(len(rows[0]))
        ]

    trail = [] if persons is None else [encode(pa.chunked_array([pa.array(persons)])).codes]
    return measure_risk(coded(quasi, "q"), coded(sensitive, "s"), trail, len(quasi))


values = st.none() | st.integers(0, 3)
tables = st.integers(1, 3).flatmap(
    lambda width: st.lists(
        st.tuples(st.tuples(*[values] * width), st.tuples(values, values), st.integers(0, 4)),
        min_size=1,
        max_size=40,
    )
)


@settings(max_examples=300, deadline=None)
@given(tables, st.booleans())
def test_the_figures_equal_those_of_the_slow_twin(table: Any, with_persons: bool) -> None:
    quasi, sensitive, persons = ([row[place] for row in table] for place in range(3))
    expected = slow_risk(quasi, sensitive, persons if with_persons else None)
    found = fast_risk(quasi, sensitive, persons if with_persons else None)
    assert found.rows == len(table)
    assert found.classes == expected["classes"]
    assert found.k == expected["k"]
    assert [least for _, least in found.l] == expected["l"]
    assert found.unique_rows == expected["unique_rows"]
    for name in ("prosecutor", "marketer", "uniqueness"):
        stated = Fraction(getattr(found, f"{name}_ppm"), 1_000_000)
        # Rounded up, by less than one part in a million.
        assert expected[name] <= stated < expected[name] + Fraction(1, 1_000_000)


def test_null_is_a_value_of_its_own() -> None:
    found = fast_risk([(None,), (None,), ("a",), ("a",)], [("x",), (None,), ("y",), ("y",)], None)
    assert (found.k, found.classes, dict(found.l)) == (2, 2, {"s0": 1})


def test_not_a_number_counts_as_null() -> None:
    column = pa.chunked_array([pa.array([float("nan"), None, 1.0])])
    assert encode(column).codes.tolist() == [0, 0, 1]


def test_no_quasi_identifier_puts_all_rows_in_one_class() -> None:
    assert measure_risk([], [], [], 7).k == 7


def test_rows_of_one_person_count_once() -> None:
    found = fast_risk([("a",)] * 6, [("x",)] * 6, ["p", "p", "p", "p", "q", "q"])
    assert (found.k, found.prosecutor_ppm) == (2, 500_000)


def test_columns_with_more_combinations_than_a_word_holds_still_group_right() -> None:
    chance = np.random.default_rng(1)
    columns = [chance.integers(0, 1 << 40, 500) for _ in range(4)]
    columns = [np.concatenate([column, column[:100]]) for column in columns]
    classes, sizes = group(columns, 600)
    assert len(sizes) == 500
    assert Counter(sizes.tolist()) == {1: 400, 2: 100}
    assert (classes[:100] == classes[500:]).all()


def _adult(vectors: Path) -> tuple[list[str], dict[str, Any], dict[str, Tree]]:
    folder = vectors / "deidentification"
    with (folder / "adult.csv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    trees = {}
    for name in rows[0]:
        with (folder / f"adult_hierarchy_{name}.csv").open(newline="") as file:
            # ARX's rows are value;level 1;…;*
            trees[name] = Tree({row[0]: tuple(row[1:-1]) for row in csv.reader(file, delimiter=";")})
    return list(rows[0]), {name: pa.array([row[name] for row in rows]) for name in rows[0]}, trees


def test_arx_finds_the_same_discernibility_at_every_node_of_adult(vectors: Path) -> None:
    names, columns, trees = _adult(vectors)
    rows = len(columns[names[0]])
    expected = json.loads((vectors / "deidentification" / "arx_optima.json").read_text())
    attributes = {name: _attribute(name, columns[name], trees[name]) for name in names}
    checked = 0
    for row in expected["values"]:
        models = {model["model"] for model in row["privacy_models"]}
        # The rows of TestUtilityMetrics2 differ from these at the same nodes, so they rest on other hierarchies.
        if row["metric"]["name"] != "Discernability" or not row["source"].startswith(
            "TestUtilityMetrics.java"
        ):
            continue
        if row["metric"]["arguments"] == ["true"]:
            k = 1  # the monotonic form drops no row: the sum of the squared class sizes
        elif models == {"KAnonymity"}:
            k = int(row["privacy_models"][0]["parameters"][0])
        else:
            continue
        quasi = [attributes[name] for name in names if name != row["sensitive"]]
        nodes = Lattice(quasi, rows, Demands(k, (), rows))
        for node, loss in row["loss_at_node"]:
            labels = [
                attribute.maps[level][attribute.codes] for attribute, level in zip(quasi, node, strict=True)
            ]
            _, sizes = group(labels, rows)
            dropped = int(nodes.counts[nodes.dropped(tuple(node))].sum())
            assert dropped == int(sizes[sizes < k].sum())
            found = int((sizes[sizes >= k] ** 2).sum()) + dropped * rows
            assert found == pytest.approx(loss, rel=1e-9), (node, row["source"])
            checked += 1
    assert checked == 34


def _attribute(name: str, column: Any, tree: Tree) -> Attribute:
    coded = encode(pa.chunked_array([column]))
    maps = [np.arange(coded.cardinality)]
    for level in range(1, tree.height + 1):
        made = hierarchies.labels(name, tree, level, coded.values)
        maps.append(encode(pa.chunked_array([pa.array(made)])).codes)
    return Attribute(name, coded.codes, tuple(maps))
