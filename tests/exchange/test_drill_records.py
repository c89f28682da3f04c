"""Drills on the record: who may say that one was held, what everybody sees, and the command around it."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import pytest

from exchange import venue
from exchange.__main__ import main
from exchange.acts import Caller
from exchange.drill.cases import CASES
from exchange.drill.plans import PLANS
from exchange.errors import Forbidden, Unprocessable
from tests.exchange.conftest import House

pytestmark = pytest.mark.anyio


def drill(house: House, **changes: Any) -> venue.RecordDrill:
    """A drill that ended well just now."""
    given: dict[str, Any] = {
        "case": "power",
        "cause": "power",
        "kept": True,
        "began_us": house.now_us - 60_000_000,
        "ended_us": house.now_us,
        "acknowledged": 6_000,
        "lost": 0,
        "ghosts": 0,
        "outage_ms": 2_400,
        "report": b"r" * 32,
    }
    return venue.RecordDrill(**{**given, **changes})


async def test_a_drill_that_was_held_is_on_the_record_for_everybody_to_see(house: House) -> None:
    outcome = await house.act(venue.record_drill, drill(house), house.administrator)
    assert (outcome["state"], outcome["case"], outcome["kept"]) == ("held", "power", True)
    broken = drill(house, case="surge", cause="surge", kept=False, lost=3)
    await house.act(venue.record_drill, broken, house.administrator)
    seen = (await house.http.get("/v1/drills")).json()
    assert [(one["case"], one["kept"], one["lost"]) for one in seen] == [
        ("surge", False, "3"),
        ("power", True, "0"),
    ]
    assert (seen[1]["report"], seen[1]["outage_ms"]) == ((b"r" * 32).hex(), "2400")


async def test_only_an_administrator_records_a_drill(house: House) -> None:
    (buyer,) = await house.party("buyer")
    for caller in (buyer, Caller("x", "y", frozenset({"regulator"}))):
        with pytest.raises(Forbidden):
            await house.act(venue.record_drill, drill(house), caller)
    assert (await house.http.get("/v1/drills")).json() == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"lost": 1}, "kept"),
        ({"ghosts": 1}, "kept"),
        ({"began_us": 2, "ended_us": 1}, "ended_us"),
        ({"ended_us": 1 << 60}, "ended_us"),
    ],
)
async def test_a_drill_that_contradicts_itself_is_refused(
    house: House, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(Unprocessable) as refused:
        await house.act(venue.record_drill, drill(house, **changes), house.administrator)
    assert refused.value.field == field


def said(monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["exchange", "drill", *words])
    monkeypatch.setenv("COLUMNS", "300")
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        try:
            main()
        except SystemExit as ended:
            return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_cases_and_plans_are_told_in_both_languages(monkeypatch: pytest.MonkeyPatch, lang: Any) -> None:
    status, listed = said(monkeypatch, "list", "--lang", lang)
    assert status == 0
    assert all(case.name in listed for case in CASES)
    status, planned = said(monkeypatch, "plan", "--lang", lang)
    assert status == 0
    for plan in PLANS:
        assert plan.title[lang] in planned
        assert all(step.does[lang] in planned for step in plan.steps)


def test_each_cause_has_one_plan_and_each_plan_a_drill_that_proves_it() -> None:
    causes = [plan.cause for plan in PLANS]
    assert sorted(causes) == ["attack", "power", "surge", "unforeseen"]
    assert {case.cause for case in CASES} == set(causes)


def test_what_cannot_be_held_is_refused_with_what_can(monkeypatch: pytest.MonkeyPatch) -> None:
    status, refused = said(monkeypatch, "flood")
    assert (status != 0, "disk-full" in refused) == (True, True)
    status, refused = said(monkeypatch, "power", "--url", "http://127.0.0.1:9")
    assert (status != 0, "--key-file" in refused) == (True, True)
