"""Drills, held: the short form of each case in every run of the tests, the long ones with `make drill`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from exchange.drill import cases
from exchange.drill.cases import CASES, GOODPUT, NORMAL_WITHIN_S, ON_TIME_US, Case
from exchange.drill.promises import judge, told
from exchange.drill.report import Report, hold
from exchange.drill.scene import opened
from exchange.drill.stage import Missing, Outage, Stage, words

SHORT_CLIENTS, SHORT_ACTS = 16, 300


def said(zh: str, en: str) -> None:
    """What a drill tells goes into the test's record."""
    print(zh, en, sep=" | ")


def held(case: Case, clients: int = SHORT_CLIENTS, acts: int = SHORT_ACTS) -> Report:
    """Hold a case; skipped, with what is missing, where this machine cannot."""
    try:
        return hold(case, clients=clients, acts=acts, say=said, clock_us=lambda: time.time_ns() // 1000)
    except Missing as missing:
        pytest.skip(f"{missing.detail}; {missing.remedy}")


def named(name: str, **changes: Any) -> Case:
    """A case, with changes."""
    return dataclasses.replace(next(case for case in CASES if case.name == name), **changes)


def played(play: Callable[..., object], **sizes: Any) -> Callable[[Stage], None]:
    return lambda stage: (play(stage, **sizes), None)[1]


def require(report: Report, *, at_least: int) -> None:
    """Everything that was promised, and that something was done at all."""
    assert report.promises is not None
    assert report.promises.acknowledged >= at_least
    assert report.kept, (report.complaints, report.promises.faults, report.outage_ms)


def test_kills_in_turn_of_database_and_exchange_lose_nothing_and_repeat_nothing() -> None:
    report = held(named("kills", play=played(cases.kills, times=2)))
    require(report, at_least=4 * SHORT_ACTS)
    assert report.figures["kills"] == 2
    assert [mark.kind for mark in report.marks] == ["fault", "fault", "recovered"]
    assert all(outage.recovery_ms > 0 for outage in report.outages)


def test_answers_that_are_late_swallowed_or_cut_off_are_settled_by_looking_up() -> None:
    report = held(named("network"))
    require(report, at_least=2 * SHORT_ACTS)
    assert int(report.figures["answers_struck"]) > 0


def test_a_full_disk_is_answered_503_and_loses_nothing() -> None:
    report = held(named("disk-full"))
    require(report, at_least=2 * SHORT_ACTS)
    assert int(report.figures["answered_503"]) > 0


def test_a_lost_machine_comes_back_from_its_backup_whole_and_to_a_second() -> None:
    report = held(named("restore"))
    require(report, at_least=3 * SHORT_ACTS)
    assert int(report.figures["entries_at_the_second"]) > SHORT_ACTS


def test_a_chain_that_is_away_and_takes_blocks_back_stops_nobody_and_its_anchors_come_back() -> None:
    report = held(named("chain", play=played(cases.chain, away_s=1.0)), acts=50)
    require(report, at_least=50)
    assert int(report.figures["anchors_taken_back"]) >= 1
    assert int(report.figures["gas_of_an_anchor"]) <= 36_000
    assert sum(mark.kind == "detected" for mark in report.marks) == 2


def test_the_owner_of_the_machine_is_found_out_by_client_witness_and_audit() -> None:
    report = held(named("attack"))
    require(report, at_least=SHORT_ACTS)
    for finder in ("client", "witness", "audit", "audit_of_rows"):
        assert f"found_by_{finder}_ms" in report.figures


def test_a_surge_of_ten_times_the_capacity_starves_nobody_who_is_let_in() -> None:
    """The short form: little time, on a machine that does other things too, so that the ratios are looser."""
    found: dict[str, float] = {}

    def short(stage: Stage) -> None:
        found.update(cases.surged(stage, seconds=3.0, clients=600, calm_s=1.0, after_s=6.0))

    report = held(named("surge", play=short))
    require(report, at_least=1000)
    assert found["goodput"] >= 0.5
    assert found["back_s"] <= NORMAL_WITHIN_S
    assert max(found["closed_us"], found["settled_us"]) <= 5 * ON_TIME_US


# the judgement itself, and what is written of it


@pytest.fixture(scope="module")
def report_and_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Any]]:
    """A quiet market with some bids, its journal and its log: what a judge is given."""
    stage = Stage(tmp_path_factory.mktemp("judged"), said, 8, 100)
    with opened() as scene:
        with cases._crowded(stage, scene) as load:
            load.wait_for(100)
        stage.judge(scene, load)
        yield stage, (scene, load)


def test_a_judge_finds_an_act_that_is_missing_one_that_nobody_asked_for_and_a_wrong_answer(
    report_and_stage: tuple[Stage, Any], tmp_path: Path
) -> None:
    stage, (scene, load) = report_and_stage
    acts = list(told(load.journal))
    assert stage.promises is not None
    assert stage.promises.kept
    first = next(act for act in acts if act.receipt is not None)
    second = next(act for act in acts if act.receipt is not None and act is not first)

    def judged(some: list[Any]) -> Any:
        return judge(some, stage.bundle, scene.vkey, lambda identifier: None, since=scene.size)

    assert judged(acts).kept
    ghost = judged([act for act in acts if act is not first])
    assert (ghost.ghosts, ghost.kept) == (1, False)
    assert f"nobody asked for {first.identifier}" in ghost.faults[0]
    swapped = [dataclasses.replace(first, receipt=second.receipt), *acts[1:]]
    assert judged(swapped).lost == 1
    wrong = judged([*acts, dataclasses.replace(first, identifier="x", receipt=None, wrong="500 oops")])
    assert (wrong.wrong, wrong.kept) == (1, False)
    silent = judged([dataclasses.replace(first, receipt=None), *(act for act in acts if act is not first)])
    assert (silent.unresolved, silent.kept) == (1, False)  # it took effect, and the lookup did not say so


def test_a_report_says_the_same_in_both_languages_and_as_numbers(report_and_stage: tuple[Stage, Any]) -> None:
    stage, _ = report_and_stage
    case = named("power")
    report = Report(
        case, 1, 2, 8, tuple(stage.marks), (), tuple(stage.bins), {"kills": 3}, (), stage.promises
    )
    data = orjson.loads(report.to_json())
    assert (data["case"], data["kept"], data["figures"]) == ("power", True, {"kills": 3})
    page = report.html()
    assert report.digest() in page
    for text in (case.does, case.promise):
        assert text["zh"] in page
        assert text["en"] in page
    assert page.count("<svg") == 2
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page
    broken = dataclasses.replace(report, complaints=(words("坏了", "<it broke>"),))
    assert not broken.kept
    assert "&lt;it broke&gt;" in broken.html()
    assert broken.digest() != report.digest()


def test_an_outage_beyond_the_objective_breaks_the_promise(report_and_stage: tuple[Stage, Any]) -> None:
    stage, _ = report_and_stage
    slow = Report(
        named("power", recovery_ms=100), 1, 2, 8, (), (Outage(0.0, 5.0, 5_000),), (), {}, (), stage.promises
    )
    assert not slow.kept
    assert dataclasses.replace(slow, case=named("power", recovery_ms=0)).kept


# the long forms


@pytest.mark.drill
@pytest.mark.timeout(1800)
def test_a_hundred_kills_under_load_lose_none_of_a_hundred_thousand_acts() -> None:
    report = held(named("kills", play=played(cases.kills, times=100)), clients=64, acts=1000)
    print(report.promises)
    require(report, at_least=100_000)


@pytest.mark.drill
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", [case.name for case in CASES if case.name != "kills"])
def test_every_case_is_held_in_full(name: str) -> None:
    report = held(named(name), clients=64, acts=3000)
    print(report.figures)
    if name == "surge":
        assert float(report.figures["goodput_ratio"]) >= GOODPUT
    require(report, at_least=500)
