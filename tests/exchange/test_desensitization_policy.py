"""A policy has one spelling and one digest, and whatever is wrong with it is said by field, rule and remedy."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.desensitization.detection.findings import ROLES
from exchange.desensitization.errors import PolicyRefused
from exchange.desensitization.policy import (
    DIVISIONS,
    STEPS,
    Clamp,
    ColumnPolicy,
    Cuts,
    Dates,
    Frequent,
    Generalize,
    Interval,
    Keep,
    Mask,
    Microaggregate,
    Noise,
    Policy,
    Prefix,
    Pseudonymize,
    Recode,
    Region,
    Round,
    ShiftDates,
    Suppress,
    Technique,
    Tokenize,
    Tree,
    Whole,
    declaration,
    parse,
)

POLICY = Policy(
    columns=(
        ColumnPolicy("编号", "direct_identifier", Pseudonymize()),
        ColumnPolicy("name", "direct_identifier", Suppress()),
        ColumnPolicy(
            "age",
            "quasi_identifier",
            Generalize(Interval(Decimal(0), (Decimal(5), Decimal(10)), Decimal(10), Decimal(90)), 2),
        ),
        ColumnPolicy("day", "quasi_identifier", Generalize(Dates(("month", "year")), 1)),
        ColumnPolicy("postcode", "quasi_identifier", Generalize(Prefix((4, 2)), 1)),
        ColumnPolicy(
            "trade", "quasi_identifier", Generalize(Tree({"welder": ("technical",), "clerk": ("office",)}), 1)
        ),
        ColumnPolicy("town", "quasi_identifier", Generalize(Whole(), 1)),
        ColumnPolicy("note", "sensitive", Mask(1, 0)),
        ColumnPolicy("charge", "sensitive", Round(Decimal("0.5"))),
        ColumnPolicy("service", "sensitive", Keep()),
        ColumnPolicy("phone", "direct_identifier", Tokenize()),
        ColumnPolicy("district", "quasi_identifier", Recode(Region(("prefecture", "province")))),
        ColumnPolicy(
            "income",
            "quasi_identifier",
            Recode(Cuts(((Decimal(2000), Decimal(5000), Decimal(9000)), (Decimal(5000),)))),
        ),
        ColumnPolicy("brand", "quasi_identifier", Recode(Frequent((("red", "blue"), ("red",))))),
        ColumnPolicy("dose", "sensitive", Noise("laplace", Decimal(2), Decimal(10))),
        ColumnPolicy("stay", "sensitive", Clamp(None, Decimal(60))),
        ColumnPolicy("seen", "sensitive", ShiftDates(30, "编号")),
        ColumnPolicy("weight", "sensitive", Microaggregate(5, "mean", "body")),
        ColumnPolicy("height", "sensitive", Microaggregate(5, "mean", "body")),
    ),
    k=5,
    l=2,
    suppression_limit_ppm=40_000,
)


def test_a_policy_reads_back_from_its_own_json() -> None:
    assert parse(json.loads(POLICY.canonical())) == POLICY


def test_the_digest_is_of_the_policy_and_not_of_its_spelling() -> None:
    spelt = json.dumps(POLICY.to_json(), indent=3, ensure_ascii=True)
    assert parse(json.loads(spelt)).digest() == POLICY.digest()
    with_integers = copy.deepcopy(POLICY.to_json())
    with_integers["requirements"] = {"k": 5, "l": 2, "suppression_limit_ppm": 40000}
    with_integers["columns"][2]["technique"]["hierarchy"]["widths"] = ["5.0", 10]
    assert parse(with_integers).digest() == POLICY.digest()


def test_any_change_of_meaning_changes_the_digest() -> None:
    digests = {POLICY.digest()}
    changes: tuple[Callable[[Any], object], ...] = (
        lambda p: p["requirements"].update(k="4"),
        lambda p: p["columns"][2]["technique"].update(level="1"),
        lambda p: p["columns"][9].update(role="other"),
        lambda p: p["columns"].reverse(),
        lambda p: p["columns"].pop(),
    )
    for change in changes:
        other = copy.deepcopy(POLICY.to_json())
        change(other)
        digests.add(parse(other).digest())
    assert len(digests) == 6


numbers = st.decimals(min_value="0.001", max_value="1000", places=3)
intervals = st.builds(
    lambda origin, width, factors: Interval(
        origin, tuple(width * factor for factor in sorted({1, *factors})) if factors else (width,)
    ),
    st.integers(-50, 50).map(Decimal),
    numbers,
    st.sampled_from([[], [2], [2, 4], [5, 10], [3, 9, 27]]),
)
hierarchies = st.one_of(
    intervals,
    st.lists(st.sampled_from(STEPS), min_size=1, unique=True).map(
        lambda steps: Dates(tuple(sorted(steps, key=STEPS.index)))
    ),
    st.lists(st.integers(1, 12), min_size=1, unique=True).map(
        lambda keep: Prefix(tuple(sorted(keep, reverse=True)))
    ),
    st.dictionaries(st.text(), st.just(("group", "all")), min_size=1).map(Tree),
    st.lists(st.integers(-99, 99), min_size=2, max_size=9, unique=True).map(
        lambda cuts: Cuts((tuple(map(Decimal, sorted(cuts))), tuple(map(Decimal, sorted(cuts)[1:]))))
    ),
    st.lists(st.text(), min_size=2, max_size=5, unique=True).map(
        lambda kept: Frequent((tuple(kept), tuple(kept[:1])))
    ),
    st.lists(st.sampled_from(DIVISIONS), min_size=1, unique=True).map(
        lambda levels: Region(tuple(sorted(levels, key=DIVISIONS.index)))
    ),
    st.just(Whole()),
)
generalizations = hierarchies.flatmap(
    lambda h: st.integers(0, h.height).map(lambda level: Generalize(h, level))
)
techniques: st.SearchStrategy[Technique] = st.one_of(
    st.just(Keep()),
    st.just(Pseudonymize()),
    st.builds(Mask, st.integers(0, 9), st.integers(0, 9)),
    st.builds(Round, numbers),
    st.just(Tokenize()),
    st.builds(Noise, st.sampled_from(["laplace", "gaussian"]), st.just(Decimal(1)), st.just(Decimal(9))),
    st.builds(Noise, st.just("uniform"), st.none(), numbers),
    st.builds(Clamp, st.integers(-9, 0).map(Decimal), st.integers(1, 9).map(Decimal)),
    st.builds(ShiftDates, st.integers(1, 99)),
    st.builds(Microaggregate, st.integers(2, 9), st.sampled_from(["mean", "median", "mode"])),
    generalizations,
)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(ROLES[2:]), techniques), min_size=1, max_size=6),
    st.integers(1, 1000),
    st.integers(1, 1000),
)
def test_every_policy_survives_the_journey(columns: list[tuple[Any, Technique]], k: int, least: int) -> None:
    policy = Policy(tuple(ColumnPolicy(f"c{n}", *column) for n, column in enumerate(columns)), k, least, 0)
    again = parse(json.loads(policy.canonical()))
    assert again == policy
    assert again.digest() == policy.digest()


def _broken(change: Any) -> PolicyRefused:
    data = copy.deepcopy(POLICY.to_json())
    change(data)
    with pytest.raises(PolicyRefused) as refused:
        parse(data)
    assert refused.value.rule
    assert refused.value.remedy
    return refused.value


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda p: p.update(format="something"), "format"),
        (lambda p: p.pop("requirements"), "policy.requirements"),
        (lambda p: p.update(extra=1), "policy.extra"),
        (lambda p: p["requirements"].update(k="0"), "requirements.k"),
        (lambda p: p["requirements"].update(k="five"), "requirements.k"),
        (lambda p: p["requirements"].update(k=True), "requirements.k"),
        (
            lambda p: p["requirements"].update(suppression_limit_ppm="1000001"),
            "requirements.suppression_limit_ppm",
        ),
        (lambda p: p.update(exempt_from_k="no"), "exempt_from_k"),
        (lambda p: p.update(exempt_from_k=True), "exempt_from_k"),
        (lambda p: p.update(columns=[]), "columns"),
        (lambda p: p["columns"][0].update(name=""), "columns[0].name"),
        (lambda p: p["columns"][0].update(name="e\u0301"), "columns[0].name"),
        (lambda p: p["columns"][1].update(name="age"), "columns[2].name"),
        (lambda p: p["columns"][0].update(role="secret"), "columns[0].role"),
        (lambda p: p["columns"][1].update(technique={"name": "keep"}), "columns[1].technique"),
        (lambda p: p["columns"][1].update(technique={"name": "round", "step": "1"}), "columns[1].technique"),
        (
            lambda p: p["columns"][1].update(
                technique={"name": "generalize", "hierarchy": {"kind": "whole"}, "level": "0"}
            ),
            "columns[1].technique",
        ),
        (lambda p: p["columns"][1].update(technique={"name": "shred"}), "columns[1].technique.name"),
        (lambda p: p["columns"][2]["technique"].update(level="4"), "columns[2].technique.level"),
        (
            lambda p: p["columns"][2]["technique"]["hierarchy"].update(widths=["5", "12"]),
            "columns[2].technique.hierarchy.widths",
        ),
        (
            lambda p: p["columns"][2]["technique"]["hierarchy"].update(widths=["0"]),
            "columns[2].technique.hierarchy.widths[0]",
        ),
        (
            lambda p: p["columns"][2]["technique"]["hierarchy"].update(widths=["NaN"]),
            "columns[2].technique.hierarchy.widths[0]",
        ),
        (
            lambda p: p["columns"][2]["technique"]["hierarchy"].update(widths=["1e40"]),
            "columns[2].technique.hierarchy.widths[0]",
        ),
        (
            lambda p: p["columns"][2]["technique"]["hierarchy"].update({"from": "95"}),
            "columns[2].technique.hierarchy.from",
        ),
        (
            lambda p: p["columns"][2]["technique"]["hierarchy"].update(below="90"),
            "columns[2].technique.hierarchy.below",
        ),
        (
            lambda p: p["columns"][3]["technique"]["hierarchy"].update(steps=["year", "month"]),
            "columns[3].technique.hierarchy.steps",
        ),
        (
            lambda p: p["columns"][4]["technique"]["hierarchy"].update(keep=["2", "4"]),
            "columns[4].technique.hierarchy.keep",
        ),
        (
            lambda p: p["columns"][5]["technique"]["hierarchy"].update(paths={"a": ["x"], "b": ["y", "z"]}),
            "columns[5].technique.hierarchy.paths",
        ),
        (
            lambda p: p["columns"][5]["technique"]["hierarchy"].update(
                paths={"a": ["x", "one"], "b": ["x", "two"]}
            ),
            "columns[5].technique.hierarchy.paths['b']",
        ),
        (
            lambda p: p["columns"][6]["technique"]["hierarchy"].update(kind="oak"),
            "columns[6].technique.hierarchy.kind",
        ),
        (lambda p: p["columns"][7]["technique"].pop("keep_last"), "columns[7].technique.keep_last"),
        (lambda p: p["columns"][8]["technique"].update(step="-1"), "columns[8].technique.step"),
        (
            lambda p: p["columns"][10].update(technique={"name": "clamp", "high": "9"}),
            "columns[10].technique",
        ),
        (lambda p: p["columns"][11].update(role="sensitive"), "columns[11].technique"),
        (
            lambda p: p["columns"][11]["technique"]["hierarchy"].update(levels=["province", "county"]),
            "columns[11].technique.hierarchy.levels",
        ),
        (
            lambda p: p["columns"][12]["technique"]["hierarchy"].update(cuts=[["5", "5"]]),
            "columns[12].technique.hierarchy.cuts[0]",
        ),
        (
            lambda p: p["columns"][12]["technique"]["hierarchy"].update(cuts=[["5", "9"], ["7"]]),
            "columns[12].technique.hierarchy.cuts[1]",
        ),
        (
            lambda p: p["columns"][13]["technique"]["hierarchy"].update(kept=[["a"], ["a"]]),
            "columns[13].technique.hierarchy.kept[1]",
        ),
        (
            lambda p: p["columns"][13]["technique"]["hierarchy"].update(kept=[]),
            "columns[13].technique.hierarchy.kept",
        ),
        (lambda p: p["columns"][14].update(role="quasi_identifier"), "columns[14].technique"),
        (lambda p: p["columns"][14]["technique"].update(scale=None), "columns[14].technique.scale"),
        (lambda p: p["columns"][14]["technique"].update(bound="1"), "columns[14].technique.bound"),
        (
            lambda p: p["columns"][14]["technique"].update(distribution="cauchy"),
            "columns[14].technique.distribution",
        ),
        (lambda p: p["columns"][15]["technique"].update(high=None), "columns[15].technique.high"),
        (lambda p: p["columns"][15]["technique"].update(low="60"), "columns[15].technique.low"),
        (lambda p: p["columns"][16]["technique"].update(by="nobody"), "columns[16].technique.by"),
        (lambda p: p["columns"][16]["technique"].update(most_days="0"), "columns[16].technique.most_days"),
        (lambda p: p["columns"][17]["technique"].update(group="1"), "columns[17].technique.group"),
        (lambda p: p["columns"][17]["technique"].update(statistic="sum"), "columns[17].technique.statistic"),
        (lambda p: p["columns"][18]["technique"].update(group="6"), "columns[18].technique"),
    ],
)
def test_a_wrong_policy_names_the_field(change: Any, field: str) -> None:
    assert _broken(change).field == field


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_no_object_whatever_breaks_the_parser(data: Any) -> None:
    with pytest.raises(PolicyRefused):
        parse(data)


def test_a_policy_that_leaves_nothing_is_refused() -> None:
    def change(data: Any) -> None:
        data["columns"] = [data["columns"][1]]

    assert _broken(change).field == "columns"


def test_a_declaration_is_read_from_toml() -> None:
    declared = declaration.load(
        """
        [requirements]
        k = 10
        [columns.service]
        role = "sensitive"
        [columns.age]
        hierarchy = { kind = "interval", origin = "0", widths = ["5", "10"] }
        [columns."备注"]
        technique = { name = "suppress" }
        """
    )
    assert (declared.k, declared.l, declared.suppression_limit_ppm) == (10, 2, 40_000)
    assert declared.roles == {"service": "sensitive"}
    assert declared.columns["age"].hierarchy == Interval(Decimal(0), (Decimal(5), Decimal(10)))
    assert declared.columns["备注"].technique == Suppress()


def test_a_whole_policy_is_a_declaration_that_leaves_nothing_open() -> None:
    declared = declaration.load(POLICY.canonical().decode())
    assert declared.k == 5
    assert {name: column.technique for name, column in declared.columns.items()} == {
        column.name: column.technique for column in POLICY.columns
    }


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("k = 5", "k"),
        ("[requirements]\nkk = 5", "requirements"),
        ("[columns.age]\nrôle = 1", "policy"),
        ("[columns.age]\nwhat = 'x'", "columns.age"),
        ("[columns.age]\nrole = 'x'", "columns.age.role"),
        ("{", "policy"),
        ("columns = 3", "columns"),
    ],
)
def test_a_wrong_declaration_names_the_field(text: str, field: str) -> None:
    with pytest.raises(PolicyRefused) as refused:
        declaration.load(text)
    assert refused.value.field == field
