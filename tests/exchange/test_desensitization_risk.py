"""Risk figures equal those of a slow twin that compares rows one by one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.desensitization.classes import encode, group
from exchange.desensitization.judge import Risk
from exchange.desensitization.risk import measure_risk

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
