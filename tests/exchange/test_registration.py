"""The one order of an asset's path, releases measured against their authorization, and the certificate."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.errors import Conflict
from exchange.registration.path import STATES, STEP_OF_KIND, STEPS, Path, Step, code

KIND_OF_STEP = {step: kind for kind, step in STEP_OF_KIND.items()}


def walk(order: tuple[Step, ...]) -> Path:
    path = Path.begin()
    for index, step in enumerate(order, start=1):
        path = path.follow(KIND_OF_STEP[step], {"state": "done"}, index)
    return path


def test_of_the_24_orders_of_the_four_steps_one_is_possible_and_23_name_the_missing_step() -> None:
    possible = []
    for order in permutations(STEPS):
        try:
            path = walk(order)
        except Conflict as refused:
            taken = next(n for n, step in enumerate(order) if step != STEPS[n])
            assert refused.code == f"path.{STEPS[taken]}_missing"
            assert refused.remedy
        else:
            possible.append(order)
            assert path.state == "themed"
            assert path.evidence == {step: n for n, step in enumerate(STEPS, start=1)}
    assert possible == [STEPS]


def test_registration_before_the_last_step_names_the_step_that_is_missing() -> None:
    for taken in range(len(STEPS)):
        path = walk(STEPS[:taken])
        with pytest.raises(Conflict) as refused:
            path.require_all()
        assert refused.value.code == f"path.{STEPS[taken]}_missing"
    registered = walk(STEPS).follow("asset_registered", {"state": "registered"}, 5)
    assert registered.state == "registered"
    for step in STEPS:
        with pytest.raises(Conflict):
            registered.require(step)
    with pytest.raises(Conflict):
        registered.require_all()


def test_a_step_is_taken_once_but_an_assessment_starts_again_and_a_theme_is_corrected() -> None:
    with pytest.raises(Conflict) as refused:
        walk(STEPS[:2]).require("authorization")
    assert refused.value.code == "path.authorization_taken"
    with pytest.raises(Conflict) as refused:
        walk(STEPS[:3]).require("desensitization")
    assert refused.value.code == "path.desensitization_taken"

    again = walk(STEPS).follow("risk_assessed", {"state": "assessed"}, 9)
    assert (again.state, again.evidence) == ("assessed", {"risk_assessment": 9})
    corrected = walk(STEPS).follow("theme_assigned", {"state": "themed"}, 9)
    assert corrected.evidence == {**walk(STEPS[:3]).evidence, "aggregation": 9}


def test_a_refused_entry_changes_nothing_unless_the_asset_is_sent_back() -> None:
    path = walk(STEPS[:2])
    assert path.follow("product_released", {"state": "refused", "sent_back": False}, 7) == path
    assert path.follow("product_released", {"state": "refused", "sent_back": True}, 7) == Path.begin()


ENTRIES = st.tuples(
    st.sampled_from([*STEP_OF_KIND, "asset_registered", "listed"]),
    st.sampled_from(["done", "done", "done", "refused", "sent back"]),
)


@given(st.lists(ENTRIES, max_size=30))
def test_after_any_entries_the_path_is_what_a_slow_reader_of_the_whole_log_says(
    entries: list[tuple[str, str]],
) -> None:
    path = Path.begin()
    log: list[tuple[str, str]] = []
    for index, (kind, fate) in enumerate(entries):
        act = {"state": "done" if fate == "done" else "refused", "sent_back": fate == "sent back"}
        try:
            path = path.follow(kind, act, index)
        except Conflict:
            log.append(("dropped", fate))  # such an entry would never have come into the log
            continue
        log.append((kind, fate))
        assert path == slow_path(log)
        assert Path.of(path.state, path.evidence_row()) == path


def slow_path(log: list[tuple[str, str]]) -> Path:
    """Look back from the end for each step: the newest one that nothing earlier on the path has overturned."""
    evidence: dict[Step, int] = {}
    start = max((n for n, (_, fate) in enumerate(log) if fate == "sent back"), default=-1) + 1
    for step in STEPS:
        found = [n for n, entry in enumerate(log) if n >= start and entry == (KIND_OF_STEP[step], "done")]
        if not found:
            break
        evidence[step] = start = found[-1]
    registered = ("asset_registered", "done") in log
    return Path("registered" if registered else STATES[len(evidence)], evidence)


def test_the_code_says_year_in_china_kind_and_chance() -> None:
    new_year_in_china_us = 1_798_732_800_000_000  # 2026-12-31 16:00 UTC
    assert code(new_year_in_china_us, "TR", bytes.fromhex("1a2b3c4d")) == "DA-2027-TR-1a2b3c4d"
    assert code(new_year_in_china_us - 1, "TR", bytes.fromhex("1a2b3c4d")) == "DA-2026-TR-1a2b3c4d"
