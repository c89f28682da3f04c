"""Risk figures equal those of a slow twin that takes the definitions row by row, in memory and in DuckDB alike."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.desensitization import expression, risk
from exchange.desensitization.errors import UnreadableTable
from exchange.desensitization.judge import Disclosure, Risk
from exchange.desensitization.risk import Sensitive, measure_relation, measure_risk
from exchange.desensitization.search.classes import encode, group

Rows = Sequence[tuple[Any, ...]]

TREE = {None: ("odd", "low"), 0: ("even", "low"), 1: ("odd", "low"), 2: ("even", "low"), 3: ("odd", "high")}
POPULATION = 100


def exact_risk(quasi: Rows, sensitive: Rows, persons: Sequence[Any] | None, population: int | None) -> Any:
    """The definitions, a row at a time, in exact numbers where they have them."""
    classes: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for row, key in enumerate(quasi):
        classes[key].append(row)
    heads = [
        len(rows) if persons is None else len({persons[row] for row in rows}) for rows in classes.values()
    ]
    unique = sum(len(rows) for rows, number in zip(classes.values(), heads, strict=True) if number == 1)
    people, alone = sum(heads), heads.count(1)
    fraction = min(Fraction(1), Fraction(people, people if population is None else population))
    drawn = sum(number * fraction * (1 - fraction) ** (number - 1) for number in heads)
    return {
        "classes": len(classes),
        "k": min(heads),
        "unique_rows": unique,
        "prosecutor_ppm": Fraction(1, min(heads)),
        "marketer_ppm": sum(
            (Fraction(len(rows), number) for rows, number in zip(classes.values(), heads, strict=True)),
            Fraction(0),
        )
        / len(quasi),
        "uniqueness_ppm": Fraction(unique, len(quasi)),
        "population_uniqueness_ppm": Fraction(alone) * alone * fraction / drawn / people if alone else 0,
        "disclosure": [
            exact_disclosure([row[place] for row in sensitive], list(classes.values()))
            for place in range(len(sensitive[0]))
        ],
    }


def exact_disclosure(column: Sequence[Any], classes: Sequence[Sequence[int]]) -> dict[str, Any]:
    whole = Counter(column)
    line = sorted(whole, key=lambda value: (value is not None, value))
    found: dict[str, list[Any]] = defaultdict(list)
    counted = [Counter(column[row] for row in rows) for rows in classes]
    least = min(len(here) for here in counted)
    for here in counted:
        rows = here.total()
        counts = sorted(here.values(), reverse=True)
        share = {value: Fraction(whole[value], len(column)) for value in line}
        extra = {value: Fraction(here[value], rows) - share[value] for value in line}
        found["entropy_l"].append(math.exp(-sum(n / rows * math.log(n / rows) for n in counts)))
        found["recursive_c"].append(Fraction(counts[0], sum(counts[least - 1 :])))
        found["t_equal"].append(sum(map(abs, extra.values()), Fraction(0)) / 2)
        below = [sum((extra[value] for value in line[:cut]), Fraction(0)) for cut in range(1, len(line))]
        found["t_ordered"].append(sum(map(abs, below), Fraction(0)) / max(1, len(line) - 1))
        found["t_hierarchical"].append(moved_on_the_tree(extra))
        found["beta"].append(max(extra[value] / share[value] for value in line))
        ratios = [Fraction(n, rows) / share[value] for value, n in here.items()]
        found["delta"].append(max(abs(math.log(value)) for value in ratios))
    return {
        "distinct_l": least,
        "entropy_l_micro": min(found["entropy_l"]),
        "recursive_c_micro": max(found["recursive_c"]),
        "t_equal_ppm": max(found["t_equal"]),
        "t_ordered_ppm": max(found["t_ordered"]),
        "t_hierarchical_ppm": max(found["t_hierarchical"]),
        "beta_micro": max(found["beta"]),
        "delta_micro": max(found["delta"]),
    }


def moved_on_the_tree(extra: dict[Any, Fraction]) -> Fraction:
    """Li et al. (2007), section 4.2: at each inner node the lesser of its children's surplus and need, by height."""
    total = Fraction(0)
    nodes = {(value, *TREE[value], "*"): amount for value, amount in extra.items()}
    for height in (1, 2, 3):
        children: dict[Any, list[Fraction]] = defaultdict(list)
        for path, amount in nodes.items():
            children[path[1:]].append(amount)
        for amounts in children.values():
            surplus = sum(max(amount, Fraction(0)) for amount in amounts)
            need = sum(max(-amount, Fraction(0)) for amount in amounts)
            total += min(surplus, need) * Fraction(height, 3)
        nodes = {path: sum(amounts, Fraction(0)) for path, amounts in children.items()}
    return total


def coded_risk(quasi: Rows, sensitive: Rows, persons: Sequence[Any] | None, population: int | None) -> Risk:
    """Ours, over columns that are coded in memory."""

    def column(rows: Rows, place: int) -> Any:
        return encode(pa.array([row[place] for row in rows], pa.int64()))

    held = []
    for place in range(len(sensitive[0])):
        coded = column(sensitive, place)
        values = coded.values.to_pylist()
        line = sorted(range(len(values)), key=lambda code: (values[code] is not None, values[code]))
        rank = np.empty(len(line), dtype=np.int64)
        rank[line] = np.arange(len(line))
        paths = tuple(TREE[values[code]] for code in line)
        held.append(Sensitive(f"s{place}", rank[coded.codes], ordered=True, paths=paths))
    return measure_risk(
        [(f"q{place}", column(quasi, place).codes) for place in range(len(quasi[0]))],
        held,
        [] if persons is None else [encode(pa.array(persons)).codes],
        len(quasi),
        population,
    )


def relation_risk(
    quasi: Rows, sensitive: Rows, persons: Sequence[Any] | None, population: int | None
) -> Risk:
    """Ours, over the table as it is, in DuckDB; half of the quasi-identifiers as floats with NaN for NULL."""
    columns: dict[str, Any] = {}
    for place in range(len(quasi[0])):
        values = [row[place] for row in quasi]
        if place % 2:
            values = [math.nan if value is None else float(value) for value in values]
        columns[f"q{place}"] = pa.array(values, pa.float64() if place % 2 else pa.int64())
    for place in range(len(sensitive[0])):
        columns[f"s{place}"] = pa.array([row[place] for row in sensitive], pa.int64())
    if persons is not None:
        columns["person"] = pa.array(persons)
    paths = [(value, *path) for value, path in TREE.items()]
    tree = {"value": [path[0] for path in paths], "near": ["-".join(path[1:]) for path in paths]}
    tree["far"] = [path[2] for path in paths]
    with expression.connected() as connection:
        connection.register("people", pa.table(columns))
        connection.register("tree", pa.table(tree))
        return measure_relation(
            connection,
            "people",
            [name for name in columns if name.startswith("q")],
            [
                expression.Held(name, ordered=True, tree=expression.table(connection, "tree"))
                for name in columns
                if name.startswith("s")
            ],
            [] if persons is None else ["person"],
            population,
        )


def require_equal(found: Risk, expected: Any) -> None:
    """Counts exactly; shares and figures in millionths, exact ones rounded up or down, logarithms within one."""
    for name in ("classes", "k", "unique_rows"):
        assert getattr(found, name) == expected[name], name
    for name in ("prosecutor_ppm", "marketer_ppm", "uniqueness_ppm", "population_uniqueness_ppm"):
        assert getattr(found, name) == math.ceil(expected[name] * 1_000_000), name
    assert [least for _, least in found.l] == [one["distinct_l"] for one in expected["disclosure"]]
    for disclosed, exact in zip(found.disclosure, expected["disclosure"], strict=True):
        for name, value in exact.items():
            stated = getattr(disclosed, name)
            match value:
                case int():
                    assert stated == value, name
                case Fraction():
                    assert stated == math.ceil(value * 1_000_000), name
                case float() if name == "entropy_l_micro":
                    assert stated <= value * 1_000_000 + 1e-3 < stated + 1.01, name
                case _:
                    assert stated - 1.01 < value * 1_000_000 - 1e-3 <= stated, name


values = st.none() | st.integers(0, 3)
tables = st.integers(1, 3).flatmap(
    lambda width: st.lists(
        st.tuples(st.tuples(*[values] * width), st.tuples(values, values), st.integers(0, 4)),
        min_size=1,
        max_size=40,
    )
)
populations = st.sampled_from([None, 1, POPULATION])


@settings(max_examples=150, deadline=None)
@given(tables, st.booleans(), populations)
def test_the_figures_equal_those_of_the_exact_twin(table: Any, with_persons: bool, population: Any) -> None:
    quasi, sensitive, persons = ([row[place] for row in table] for place in range(3))
    asked = (quasi, sensitive, persons if with_persons else None, population)
    require_equal(coded_risk(*asked), exact_risk(*asked))


def require_one_answer(asked: Any) -> None:
    found = relation_risk(*asked)
    require_equal(found, exact_risk(*asked))
    assert found == coded_risk(*asked)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(risk, "IN_MEMORY_ROWS", 0)
        assert found == coded_risk(*asked)


@pytest.mark.parametrize(("with_persons", "population"), [(False, None), (True, POPULATION)])
def test_duckdb_says_the_same_of_the_table_and_of_its_codes(with_persons: bool, population: Any) -> None:
    chance = np.random.default_rng(8)
    drawn = [[None if n == 3 else n for n in chance.integers(0, 4, 60).tolist()] for _ in range(4)]
    persons = chance.integers(0, 20, 60).tolist() if with_persons else None
    require_one_answer(
        (list(zip(*drawn[:2], strict=True)), list(zip(*drawn[2:], strict=True)), persons, population)
    )


@pytest.mark.drill
@settings(max_examples=60, deadline=None)
@given(tables, st.booleans(), populations)
def test_duckdb_says_the_same_of_any_table(table: Any, with_persons: bool, population: Any) -> None:
    quasi, sensitive, persons = ([row[place] for row in table] for place in range(3))
    require_one_answer((quasi, sensitive, persons if with_persons else None, population))


def simple(quasi: Rows, sensitive: Rows, persons: Sequence[Any] | None = None) -> Risk:
    def coded(rows: Rows) -> list[Any]:
        return [encode(pa.array([row[place] for row in rows])).codes for place in range(len(rows[0]))]

    return measure_risk(
        [(f"q{place}", codes) for place, codes in enumerate(coded(quasi))],
        [Sensitive(f"s{place}", codes) for place, codes in enumerate(coded(sensitive))],
        [] if persons is None else [encode(pa.array(persons)).codes],
        len(quasi),
    )


def test_null_is_a_value_of_its_own() -> None:
    found = simple([(None,), (None,), ("a",), ("a",)], [("x",), (None,), ("y",), ("y",)])
    assert (found.k, found.classes, dict(found.l)) == (2, 2, {"s0": 1})


def test_not_a_number_counts_as_null() -> None:
    column = pa.chunked_array([pa.array([float("nan"), None, 1.0])])
    assert encode(column).codes.tolist() == [0, 0, 1]


@pytest.mark.parametrize("most", [risk.IN_MEMORY_ROWS, 0])
def test_no_quasi_identifier_puts_all_rows_in_one_class(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(risk, "IN_MEMORY_ROWS", most)
    assert measure_risk([], [], [], 7).k == 7
    found = measure_risk([], [Sensitive("s", np.arange(7))], [], 7)
    assert (found.k, found.disclosure[0].distinct_l, found.disclosure[0].entropy_l_micro) == (7, 7, 7_000_000)


def test_an_empty_table_is_refused_and_not_passed() -> None:
    with pytest.raises(UnreadableTable, match="no rows"):
        measure_risk([("q", np.zeros(0, dtype=np.int64))], [], [], 0)
    with expression.connected() as connection:
        connection.execute("CREATE TABLE none (q INTEGER, s VARCHAR)")
        with pytest.raises(UnreadableTable, match="no rows"):
            measure_relation(connection, "none", ["q"], [expression.Held("s")])


def test_a_file_on_disk_is_measured_where_it_lies(tmp_path: Any) -> None:
    pq.write_table(pa.table({"a b": ["x", "x", None], 'c"': [1.5, 1.5, math.nan]}), tmp_path / "t.parquet")
    with expression.connected() as connection:
        connection.from_parquet(str(tmp_path / "t.parquet")).create_view("t")
        found = measure_relation(connection, "t", ["a b"], [expression.Held('c"', ordered=True)])
    assert (found.rows, found.classes, found.k, found.unique_rows) == (3, 2, 1, 1)
    assert found.disclosure[0].column == 'c"'
    assert found.disclosure[0].t_ordered_ppm == 666_667


def test_a_column_that_is_both_is_only_a_quasi_identifier() -> None:
    codes = np.array([0, 0, 1])
    assert measure_risk([("a", codes)], [Sensitive("a", codes)], [], 3).disclosure == ()


def test_rows_of_one_person_count_once() -> None:
    found = simple([("a",)] * 6, [("x",)] * 6, ["p", "p", "p", "p", "q", "q"])
    assert (found.k, found.prosecutor_ppm) == (2, 500_000)


def test_a_distance_counts_the_steps_between_salaries_only_where_they_have_an_order() -> None:
    """Li, Li and Venkatasubramanian (2007), section 4: {3k, 4k, 5k} and {6k, 8k, 11k} against all nine salaries."""
    salaries = [3, 4, 5, 6, 8, 11, 7, 9, 10]
    line = np.array([sorted(salaries).index(value) for value in salaries])
    classes = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    low = np.isin(classes, [0])
    held = [Sensitive("salary", line, ordered=True)]
    found = measure_risk([("q", classes)], held, [], 9).disclosure[0]
    assert found.t_ordered_ppm == 375_000
    assert found.t_equal_ppm == 666_667
    # {6k, 8k, 11k} is the nearer one: 0.167.
    found = measure_risk([("q", np.where(low, 2, classes))], held, [], 9).disclosure[0]
    assert found.t_ordered_ppm == 166_667


def test_the_figures_survive_their_journal() -> None:
    found = coded_risk([(1,), (1,), (2,)], [(1, 2), (None, 2), (3, 3)], None, POPULATION)
    assert found.disclosure
    written = json.loads(json.dumps(found.to_json()))
    assert Risk.from_json(written) == found
    assert all(
        isinstance(value, str | None) for one in written["disclosure"].values() for value in one.values()
    )
    for name in ("population", "population_uniqueness_ppm", "disclosure"):
        del written[name]
    older = Risk.from_json(written)
    assert (older.disclosure, older.population_uniqueness_ppm) == ((), older.uniqueness_ppm)


def test_a_column_by_another_name_has_it_everywhere() -> None:
    found = simple([("a",), ("b",)], [("x",), ("y",)]).renamed({"q0": "one", "s0": "two"})
    assert "q0" not in str(found)
    assert "s0" not in str(found)
    assert isinstance(found.disclosure[0], Disclosure)


def test_columns_with_more_combinations_than_a_word_holds_still_group_right() -> None:
    chance = np.random.default_rng(1)
    columns = [chance.integers(0, 1 << 40, 500) for _ in range(4)]
    columns = [np.concatenate([column, column[:100]]) for column in columns]
    classes, sizes = group(columns, 600)
    assert len(sizes) == 500
    assert Counter(sizes.tolist()) == {1: 400, 2: 100}
    assert (classes[:100] == classes[500:]).all()
