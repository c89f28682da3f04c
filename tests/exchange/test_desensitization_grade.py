"""Grades follow the truth table, the highest wins, and what is not answered closes."""

from __future__ import annotations

import itertools
import tomllib
from importlib import resources
from typing import get_args

import pyarrow as pa
import pytest

from exchange.desensitization.detection.detect import detect
from exchange.desensitization.grade import (
    GRADES,
    MANY_PERSONS,
    TRUTH_TABLE,
    Declared,
    Degree,
    Factor,
    Grade,
    Harmed,
    Impact,
    derive,
    factors,
    grade,
    measured_impacts,
    opening,
)
from exchange.desensitization.screening import is_marked, measured_factors, screen

EXPECTED: dict[Harmed, tuple[Grade, Grade, Grade]] = {
    # severe, serious, ordinary harm: GB/T 43697-2024
    "national_security": ("core", "core", "important"),
    "economy": ("core", "important", "general"),
    "social_order": ("core", "important", "general"),
    "public_interest": ("core", "important", "general"),
    "organisation_rights": ("general", "general", "general"),
    "personal_rights": ("general", "general", "general"),
}


DEGREES: tuple[Degree, ...] = ("severe", "serious", "ordinary")


CELLS = [(harmed, degree, row[n]) for harmed, row in EXPECTED.items() for n, degree in enumerate(DEGREES)]
WIDEST = {"core": "closed", "important": "conditional", "general": "open"}


@pytest.mark.parametrize(
    ("harmed", "degree", "expected"), CELLS, ids=[f"{harmed}-{degree}" for harmed, degree, _ in CELLS]
)
def test_S23_each_of_the_18_cells_has_the_grade_of_the_standard_and_opens_no_wider(
    harmed: Harmed, degree: Degree, expected: Grade
) -> None:
    assert len(TRUTH_TABLE) == len(CELLS) == 18
    found = grade([Impact(harmed, degree, "because")])
    assert found == expected
    assert opening(found, Declared(False, False, None), about_persons=False) == WIDEST[expected]


def test_the_highest_grade_wins_for_every_pair_of_impacts() -> None:
    cells = list(itertools.product(get_args(Harmed), get_args(Degree)))
    for one, other in itertools.product(cells, cells):
        both = grade([Impact(*one, "a"), Impact(*other, "b")])
        assert both == max(grade([Impact(*one, "a")]), grade([Impact(*other, "b")]), key=GRADES.index)


def test_data_whose_harm_nobody_states_is_core() -> None:
    assert grade([]) == "core"


def test_ten_million_persons_make_a_table_important() -> None:
    assert grade(measured_impacts(rows=MANY_PERSONS - 1, about_persons=True)) == "general"
    assert grade(measured_impacts(rows=MANY_PERSONS, about_persons=True)) == "important"
    assert grade(measured_impacts(rows=MANY_PERSONS, about_persons=False)) == "general"


@pytest.mark.parametrize("about_persons", [True, False])
def test_the_opening_attribute_is_never_wider_than_the_answers_allow(about_persons: bool) -> None:
    answers: tuple[bool | None, ...] = (None, True, False)
    for graded in (None, *GRADES):
        for state, trade, privacy in itertools.product(answers, answers, answers):
            found = opening(graded, Declared(state, trade, privacy), about_persons=about_persons)
            unanswered = (
                graded is None or state is None or trade is None or (about_persons and privacy is None)
            )
            if unanswered or graded == "core" or state or trade:
                assert found == "closed"
            elif graded == "important" or about_persons:
                assert found == "conditional"
            else:
                assert found == "open"


def test_every_rule_of_grading_names_its_source_and_says_whether_it_was_verified() -> None:
    rules = tomllib.loads(
        resources.files("exchange.desensitization").joinpath("grading.toml").read_text(encoding="utf-8")
    )
    for rule in (rules["truth_table"], rules["many_persons"], rules["factors"], *rules["signs"]):
        assert rule["source"]
        assert rule["verified"] in (True, False)


def test_derived_data_is_graded_anew_and_never_below_its_highest_parent() -> None:
    harmless = [Impact("public_interest", "ordinary", "counts by street")]
    grave = [Impact("economy", "serious", "all enterprises together show the supply of a good")]
    for parents in itertools.product(GRADES, repeat=2):
        assert derive(parents, harmless) == max(parents, key=GRADES.index)
        assert GRADES.index(derive(parents, grave)) >= GRADES.index("important")


def test_derived_data_of_unknown_parents_or_unstated_harm_is_core() -> None:
    harmless = [Impact("public_interest", "ordinary", "counts by street")]
    assert derive(["general", None], harmless) == "core"
    assert derive(["general", "general"], []) == "core"
    with pytest.raises(ValueError, match="parents"):
        derive([], harmless)


def test_the_eight_factors_stand_in_order_each_measured_or_left_to_the_assessor() -> None:
    detected = detect(
        pa.table(
            {
                "年龄": [30, 41, 50],
                "所在区": ["东城区", "西城区", None],
                "纬度": [39.9042, 39.91, 39.92],
                "入院日期": pa.array([20_000, 20_400, 20_800], pa.int32()).cast(pa.date32()),
            }
        )
    )
    stated = factors(measured_factors(detected))
    assert [one["factor"] for one in stated] == list(get_args(Factor))
    assert [one["zh"] for one in stated] == [
        "领域",
        "群体",
        "区域",
        "精度",
        "规模",
        "深度",
        "覆盖度",
        "重要性",
    ]
    found = {one["factor"]: one["found"] for one in stated}
    assert found == {
        "domain": "",
        "group": "persons: age, coordinates, date, region",
        "region": "所在区: 2 values",
        "precision": "纬度: 4 decimals of a degree, about 11.1 m",
        "scale": "3 rows, 4 columns",
        "depth": "as the file holds it; derived data is graded anew, never below its highest parent",
        "coverage": "91.7% of all cells filled; 入院日期: 2024 to 2026",
        "importance": "",
    }
    assert {one["found_zh"] for one in stated} >= {
        "所在区：2 个取值",
        "3 行，4 列",
        "个人：年龄、坐标、日期、行政区划",
    }
    assert all(bool(one["found"]) == bool(one["found_zh"]) for one in stated)
    assert {one["factor"] for one in stated if one["by"] == "declared"} == {"domain", "importance"}


def test_the_mark_of_a_state_secret_makes_a_table_core_whatever_is_declared() -> None:
    marked = screen(detect(pa.table({"文号": ["1", "2"], "备注": ["机密★10年", "公开"]})))
    assert [(one.column, one.sign.secret, one.sign.certain, one.values) for one in marked] == [
        ("备注", "state_secret", True, 1),
        ("备注", "state_secret", False, 1),
    ]
    assert is_marked(marked)
    measured = measured_impacts(rows=2, about_persons=False, marked=True)
    assert grade([Impact("personal_rights", "ordinary", "declared harmless"), *measured]) == "core"
    assert opening("core", Declared(False, False, False), about_persons=False) == "closed"


def test_words_of_secrecy_are_a_question_and_plain_tables_raise_none() -> None:
    asked = screen(
        detect(
            pa.table(
                {"产品配方": ["a", "b"], "note": ["Confidential draft", "open"], "t": ["未涉密", "机密局"]}
            )
        )
    )
    assert {(one.column, one.sign.secret, one.values) for one in asked} == {
        ("产品配方", "trade_secret", 0),
        ("note", "trade_secret", 1),
        ("t", "state_secret", 2),
    }
    assert not is_marked(asked)
    assert screen(detect(pa.table({"年份": [2024, 2025], "街道": ["人民路", "中山路"]}))) == ()
