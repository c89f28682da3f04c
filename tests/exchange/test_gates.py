"""A gate in the code stands on a clause of the rulebook, and a clause of the register on a gate: both ways, by walking."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from exchange.rulebook import GATES, PRESETS, load, require_consistent
from tests.exchange.gates import asked, gates, raised

EXCHANGE = Path(__file__).parents[2] / "exchange"
SOURCES = {
    path.relative_to(EXCHANGE).as_posix(): path.read_text("utf-8")
    for path in sorted(EXCHANGE.rglob("*.py"))
    if path.relative_to(EXCHANGE).parts[0]
    not in ("desensitization", "migrations", "client", "cli", "demo", "drill")
}


@cache
def codes() -> frozenset[str]:
    """Of the gates of the register, those that the code has."""
    patterns = {re.compile(code) for source in SOURCES.values() for code in raised(source)}
    return frozenset(gate for gate in GATES if any(pattern.fullmatch(gate) for pattern in patterns))


WITHOUT = """
def check(offer):
    if offer.price > 1:
        raise Unprocessable("lot.brand_new", "too dear", field="price", rule="国发〔2011〕38号: not so", remedy="less")
"""


def uncovered(source: str) -> list[str]:
    """Gates whose code stands on no rule, or that quote the clause of another."""
    return [
        f"line {gate.line}: {gate.code}"
        for gate in gates(source)
        if not any(gate.is_called(code) for code in GATES)
        or any(not any(re.fullmatch(quote, code) for code in GATES) for quote in gate.quotes)
    ]


def test_S54_every_gate_of_the_code_has_a_clause_in_the_rulebook() -> None:
    assert {name: found for name, source in SOURCES.items() if (found := uncovered(source))} == {}
    assert sum(1 for source in SOURCES.values() for _ in gates(source)) > 12


def test_S54_a_gate_without_a_clause_is_found() -> None:
    assert uncovered(WITHOUT) == ["line 4: lot\\.brand_new"]
    assert uncovered(WITHOUT.replace("lot.brand_new", "lot.deposit")) == []
    assert uncovered(WITHOUT.replace('"国发〔2011〕38号: not so"', 'rules.cite("lot.brand_new")')) != []
    assert uncovered(WITHOUT.replace("国发〔2011〕38号: ", "")) == []  # a form, no gate


def test_S54_no_law_is_cited_past_the_rulebook_but_in_forms_of_codes() -> None:
    cited = {gate.code for source in SOURCES.values() for gate in gates(source) if gate.law}
    assert cited <= {r"party\.uscc", r"party\.lei"}  # what these say is the standard's own form


@pytest.mark.parametrize("profile", ["cn-venue", "generic"])
@pytest.mark.parametrize("preset", [None, *PRESETS])
def test_each_clause_of_the_register_is_a_rule_and_each_of_its_gates_is_there(
    profile: str, preset: str | None
) -> None:
    rules = load(profile, preset)
    require_consistent(rules)
    for gate, clauses in GATES.items():
        assert gate in codes(), gate
        for name in clauses:
            assert rules[name].source
        assert rules.cite(gate)


def test_no_room_asks_for_a_rule_that_a_profile_lacks() -> None:
    for profile in ("cn-venue", "generic"):
        rules = load(profile).rules
        for name, source in SOURCES.items():
            missing = {rule for rule in asked(source) if "." in rule} - rules.keys()
            assert not missing, name
