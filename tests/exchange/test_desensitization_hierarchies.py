"""Hierarchies come from files in ARX's form and from the divisions of China, and what is wrong with one is said by its line."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.desensitization import hierarchies
from exchange.desensitization.detection.detect import detect
from exchange.desensitization.errors import PolicyRefused
from exchange.desensitization.hierarchies import divisions
from exchange.desensitization.hierarchies.defaults import default_hierarchy
from exchange.desensitization.policy import (
    Cuts,
    Dates,
    Frequent,
    Generalize,
    Interval,
    Prefix,
    Region,
    Tree,
    Whole,
    hierarchy_files,
    hierarchy_from_json,
    hierarchy_to_json,
)
from exchange.desensitization.policy.declaration import load


def test_every_hierarchy_of_arx_is_read_without_its_last_star(vectors: Path) -> None:
    heights = {}
    for file in sorted((vectors / "deidentification").glob("adult_hierarchy_*.csv")):
        hierarchy = hierarchy_files.read(file.read_bytes(), "csv")
        heights[file.stem.removeprefix("adult_hierarchy_")] = hierarchy.height
        if isinstance(hierarchy, Tree):
            lines = [line.split(";") for line in file.read_text().split()]
            assert {line[0]: tuple(line[1:-1]) for line in lines if len(line) > 1}.items() <= {
                value.replace(" ", ""): tuple(step.replace(" ", "") for step in path)
                for value, path in hierarchy.paths.items()
            }.items() or any(" " in line for line in file.read_text().splitlines())
        assert hierarchy_from_json(hierarchy_to_json(hierarchy), "h") == hierarchy
    assert heights == {
        "age": 4, "education": 3, "marital-status": 2, "native-country": 2, "occupation": 2, "race": 1,
        "salary-class": 1, "sex": 1, "workclass": 2,
    }  # fmt: skip


def test_a_hierarchy_file_may_be_quoted_marked_in_gb18030_and_end_without_a_star() -> None:
    text = '"焊工; 高级";技术\r\n会计;办公\r\n'
    expected = Tree({"焊工; 高级": ("技术",), "会计": ("办公",)})
    for data in (text.encode(), text.encode("utf-8-sig"), text.encode("gb18030")):
        assert hierarchy_files.read(data, "csv") == expected
    assert hierarchy_files.read(b"a;*\nb;*\n", "csv") == Whole()
    assert hierarchy_files.read(b"a;x;all\nb;y;all\n", "csv") == Tree({"a": ("x",), "b": ("y",)})


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a;x;*\nb;;*\n", "line 2: cell 2 is empty"),
        (b"a;x;*\n;x;*\n", "line 2: cell 1 is empty"),
        (b"a;x;*\n\nb;*\n", "line 3: 2 cells, and 3 in the first line"),
        (b"a;x;*\nb;x;*\na;y;*\n", "line 3: 'a' stands in line 1"),
        (b"a;x;one\nb;x;two\n", "line 2: 'x' lies in 'two', and in 'one' in line 1"),
        (b"a,x\nb,y\n", "line 1: one cell only"),
        (b"", "no line"),
        (b"\n\n", "no line"),
        (b'a;"x\n', "line 1: unexpected end"),
        (b"\xff\xff\xff;a\n", "neither UTF-8 nor GB 18030"),
    ],
)
def test_a_wrong_hierarchy_file_is_refused_by_its_line(data: bytes, said: str) -> None:
    with pytest.raises(PolicyRefused) as refused:
        hierarchy_files.read(data, "columns.trade.hierarchy.csv")
    assert said in str(refused.value)
    assert refused.value.field == "columns.trade.hierarchy.csv"
    assert refused.value.remedy


def test_a_declaration_names_a_hierarchy_file_beside_itself(tmp_path: Path) -> None:
    (tmp_path / "trades.csv").write_text("welder;technical;*\nclerk;office;*\n")
    text = """
        [columns.trade]
        hierarchy = { csv = "trades.csv" }
        [columns.former]
        technique = { name = "generalize", level = 1, hierarchy = { csv = "trades.csv" } }
        """
    declared = load(text, tmp_path)
    trades = Tree({"welder": ("technical",), "clerk": ("office",)})
    assert declared.columns["trade"].hierarchy == trades
    assert declared.columns["former"].technique == Generalize(trades, 1)
    for wrong, folder in ((text.replace("trades.csv", "none.csv"), tmp_path), (text, None)):
        with pytest.raises(PolicyRefused) as refused:
            load(wrong, folder)
        assert refused.value.field == "columns.trade.hierarchy.csv"


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("440305", "440305"),
        ("44", "440000"),
        ("4403", "440300"),
        ("440305001002", "440305"),
        ("广东省深圳市南山区", "440305"),
        ("广东 深圳 南山", "440305"),
        ("深圳市南山区", "440305"),
        ("广东", "440000"),
        ("内蒙古自治区呼伦贝尔市", "150700"),
        ("延边州", "222400"),
        ("延边朝鲜族自治州", "222400"),
        ("上海市市辖区浦东新区", "310115"),
        ("湖北省省直辖县级行政区划仙桃市", "429004"),
        ("新疆石河子市", "659001"),
        ("香港特别行政区", "810000"),
        ("吉林", "220000"),  # the province before its city
        ("吉林市", "220200"),
        ("北京市崇文区", "110103"),  # as it was until 2010
        ("襄樊市", "420600"),  # 襄阳 today
    ],
)
def test_a_division_is_known_by_its_code_and_by_its_name(written: str, code: str) -> None:
    assert divisions.code_of(written) == code


@pytest.mark.parametrize("written", ["朝阳区", "省", "", "990000", "44030", "广东省杭州市", "Shenzhen", "*"])
def test_what_is_no_division_or_several_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="division"):
        divisions.code_of(written)


def test_every_division_in_force_is_found_again_by_its_whole_name() -> None:
    table = divisions._table()
    in_force = {
        code for names in table.by_level for found in names.values() for rank, code in found if not rank
    }
    # Two places of Hubei stand in the table under their codes of earlier years without an end to these.
    in_force -= {"429001", "422921", "429021"}
    assert len(in_force) > 3000
    for code in in_force:
        assert divisions.code_of(divisions.name_of(code)) == code


@given(st.text(max_size=12))
def test_no_text_breaks_the_reading_of_divisions(text: str) -> None:
    try:
        code = divisions.code_of(text)
    except ValueError:
        return
    assert len(code) == 6


def built(values: list[Any], kind: str = "none") -> Any:
    return default_hierarchy(detect(pa.table({"c": pa.array(values)})).columns[0], kind)


def test_a_column_without_a_declared_hierarchy_gets_one_by_stated_rules() -> None:
    assert built([date(2025, 1, 1)] * 2, "date") == Dates(("month", "quarter", "year"))
    assert built(["1990-01-31"], "birth_date") == Dates(("month", "quarter", "year", "decade"))
    ages = Interval(Decimal(0), (Decimal(5), Decimal(10), Decimal(20)), Decimal(20), Decimal(80))
    assert built([*range(18, 90)], "age") == ages
    assert built(["440305", "110101"], "region") == Region(("prefecture", "province"))
    assert built(["广东省深圳市南山区", "北京市"], "region") == Region(("prefecture", "province"))
    assert built(["440305001002", "110101001003"], "region") == Region(("county", "prefecture", "province"))
    assert built(["518000", "100871"], "postal_code") == Prefix((4, 2))
    assert built([1, 2, 3]) == Whole()
    assert built(["m", "f", None]) == Whole()


def test_even_numbers_are_cut_evenly_and_skewed_ones_by_how_many_rows_they_have() -> None:
    even = built([*range(200)])
    assert even == Interval(Decimal(0), (Decimal(5), Decimal(10), Decimal(20), Decimal(40)), None, None)
    skewed = built([*range(1, 100)] * 20 + [10**6, 10**7])
    assert isinstance(skewed, Cuts)
    assert [len(cuts) for cuts in skewed.cuts] == [15, 7, 3, 1]
    assert skewed.cuts[-1] == (Decimal(50),)
    assert hierarchy_from_json(hierarchy_to_json(skewed), "h") == skewed


def test_codes_are_cut_where_few_enough_beginnings_are_left() -> None:
    codes = [f"{a}{b}{c:03d}" for a in "AB" for b in range(4) for c in range(0, 200, 7)]
    hierarchy = built(codes)
    assert hierarchy == Prefix((3, 2))
    assert built(["A1", "B2"]) == Whole()
    assert built([f"{n:08d}"[::-1] for n in range(10, 10 + 3)]) == Whole()


def test_rare_words_are_put_together_and_only_frequent_ones_are_named() -> None:
    words = ["red"] * 600 + ["blue"] * 300 + ["green"] * 30 + [f"rare{n}" for n in range(70)]
    hierarchy = built(words)
    assert hierarchy == Frequent((("blue", "green", "red"), ("blue", "red")))
    # Nothing is named that fewer than twenty rows show, however small the table.
    assert built(["a"] * 19 + ["b"] * 19 + ["c", "d"]) == Whole()


@settings(deadline=None, max_examples=60)
@given(
    st.one_of(
        st.lists(st.one_of(st.none(), st.integers(-(10**6), 10**6)), min_size=1, max_size=80),
        st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=80),
        st.lists(st.text("ab1", max_size=6), min_size=1, max_size=80),
        st.lists(st.dates(date(1900, 1, 1), date(2099, 1, 1)), min_size=1, max_size=40),
    ),
    st.sampled_from(["none", "age", "date", "region", "postal_code", "coordinates"]),
)
def test_whatever_is_built_holds_every_value_nests_and_is_written_and_read(
    values: list[Any], kind: str
) -> None:
    column = detect(pa.table({"c": pa.array(values)})).columns[0]
    hierarchy = default_hierarchy(column, kind)
    assert hierarchy_from_json(hierarchy_to_json(hierarchy), "h") == hierarchy
    levels = [
        hierarchies.labels("c", hierarchy, level, column.coded.values)
        for level in range(1, hierarchy.height + 1)
    ]
    for finer, coarser in pairwise(levels):
        parents: dict[Any, Any] = {}
        for label, parent in zip(finer, coarser, strict=True):
            assert parents.setdefault(label, parent) == parent
    assert all(
        hierarchies.fits(hierarchy, level, label)
        for level, made in enumerate(levels, start=1)
        for label in made
        if label is not None
    )
