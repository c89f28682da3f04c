"""Grades follow the truth table, the highest wins, and what is not answered closes."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest

from exchange.desensitization.grade import (
    GRADES,
    MANY_PERSONS,
    TRUTH_TABLE,
    Declared,
    Degree,
    Grade,
    Harmed,
    Impact,
    grade,
    measured_impacts,
    opening,
)

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


def test_the_truth_table_has_eighteen_cells_and_each_is_the_standards() -> None:
    assert len(TRUTH_TABLE) == 18
    for harmed, row in EXPECTED.items():
        for degree, expected in zip(DEGREES, row, strict=True):
            assert grade([Impact(harmed, degree, "because")]) == expected, (harmed, degree)


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
