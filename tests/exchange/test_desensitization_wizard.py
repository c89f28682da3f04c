"""The wizard asks, a pipe answers, and what it writes reads back to what was answered; the schema knows all that our code writes."""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from exchange.cli.desensitize import app
from exchange.demo.tables import write_patients
from exchange.desensitization import policy
from exchange.desensitization.commented import commented
from exchange.desensitization.detection.findings import ROLES
from exchange.desensitization.errors import PolicyRefused
from exchange.desensitization.policy import (
    Clamp,
    Cuts,
    Dates,
    Frequent,
    Generalize,
    Hierarchy,
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
)
from exchange.desensitization.policy.declaration import GENERALIZATIONS, Declaration, DeclaredColumn
from exchange.desensitization.policy.requirements import (
    AverageRisk,
    BetaLikeness,
    DeltaDisclosure,
    DistinctL,
    EntropyL,
    Equal,
    Hierarchical,
    LossModel,
    Ordered,
    PopulationUniqueness,
    RecursiveCL,
    SampleUniqueness,
    TCloseness,
)
from exchange.desensitization.policy.schema import NOT_IN_THE_SCHEMA, schema

HIERARCHIES: list[Hierarchy] = [
    Interval(Decimal(0), (Decimal("0.5"), Decimal(1)), Decimal(-1), Decimal(3)),
    Interval(Decimal(-2), (Decimal(5),)),
    Cuts(((Decimal(1), Decimal(2)), (Decimal(2),))),
    Dates(("month", "year")),
    Prefix((4, 2)),
    Region(("prefecture", "province")),
    Tree({"焊工 \"a\"": ("技术", "全部"), "b\\": ("x y", "全部")}),
    Frequent((("red", "blue"), ("red",))),
    Whole(),
]  # fmt: skip
TECHNIQUES: list[Technique] = [
    Keep(),
    Suppress(),
    Pseudonymize(),
    Tokenize(),
    Mask(1, 0),
    Round(Decimal("0.5")),
    Noise("uniform", None, Decimal(3)),
    Noise("laplace", Decimal(1), Decimal(3)),
    Microaggregate(3, "median", "body"),
    Microaggregate(3, "mean"),
    Clamp(None, Decimal(90)),
    ShiftDates(30, "id"),
    ShiftDates(30),
    *(Generalize(hierarchy, 1) for hierarchy in HIERARCHIES),
    *(Recode(hierarchy) for hierarchy in HIERARCHIES),
]
MODELS = (
    DistinctL("service", 3),
    EntropyL(None, Decimal("2.5"), "grassberger"),
    RecursiveCL("service", Decimal(3), 2),
    TCloseness(None, Decimal("0.2"), Ordered()),
    TCloseness("service", Decimal("0.2"), Ordered(("低", "high"))),
    TCloseness("service", Decimal("0.2"), Hierarchical((("flu", ("airways",)),))),
    TCloseness("service", Decimal("0.3"), Equal()),
    BetaLikeness("service", Decimal(1), True),
    DeltaDisclosure(None, Decimal(1)),
    AverageRisk(50_000),
    SampleUniqueness(0),
    PopulationUniqueness(100, 1_400_000_000),
)
LOSSES = [
    LossModel("loss", Decimal("0.3"), "rank", weights=(("年龄", Decimal(2)),)),
    LossModel("non_uniform_entropy", aggregate="sum", monotonic=True),
    LossModel("precision"),
    LossModel("height"),
    LossModel("discernibility", monotonic=True),
    LossModel("average_class_size", Decimal(1)),
]

names = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=6)
columns = st.dictionaries(
    names,
    st.builds(
        DeclaredColumn,
        st.none() | st.sampled_from(ROLES),
        st.none() | st.sampled_from(HIERARCHIES),
        st.none() | st.sampled_from(TECHNIQUES),
    ),
    max_size=4,
)
declarations = st.builds(
    Declaration,
    k=st.integers(1, 99),
    l=st.integers(1, 9),
    suppression_limit_ppm=st.integers(0, 1_000_000),
    generalization=st.sampled_from(GENERALIZATIONS),
    privacy=st.lists(st.sampled_from(MODELS), unique=True, max_size=3).map(tuple),
    loss=st.sampled_from(LOSSES),
    columns=columns,
)
VALID = jsonschema_rs.validator_for(schema())


def plain(data: Any) -> Any:
    """What TOML was read as, for a validator that knows JSON alone."""
    return json.loads(json.dumps(data, default=float))


@settings(deadline=None, max_examples=60)
@given(
    declarations,
    st.sampled_from(["zh", "en"]),
    st.dictionaries(names, st.lists(st.text(max_size=5), max_size=2)),
)
def test_a_commented_declaration_reads_back_to_itself_and_fits_the_schema(
    declared: Declaration, language: Any, notes: dict[str, list[str]]
) -> None:
    text = commented(declared, language, notes)
    assert declaration.load(text) == declared
    assert VALID.is_valid(plain(tomllib.loads(text)))


def test_the_schema_knows_every_policy_that_our_code_writes() -> None:
    roles: list[Any] = ["sensitive", "quasi_identifier", "other"]
    made = Policy(
        tuple(
            policy.ColumnPolicy(f"列 {place}", roles[isinstance(technique, Generalize | Recode)], technique)
            for place, technique in enumerate(TECHNIQUES)
        ),
        5,
        2,
        0,
        False,
        MODELS,
        LOSSES[0],
    )
    assert VALID.is_valid(json.loads(made.canonical()))
    for loss in LOSSES:
        assert VALID.is_valid(Policy(made.columns, 5, 2, 0, False, MODELS, loss).to_json())
    # The same names, no more and no less.
    defined = schema()["$defs"]
    written = {policy.technique_to_json(technique)["name"] for technique in TECHNIQUES}
    assert {one["properties"]["name"]["const"] for one in defined["technique"]["oneOf"]} == written
    assert len(written) == len(Technique.__args__)
    kinds = {policy.hierarchy_to_json(hierarchy)["kind"] for hierarchy in HIERARCHIES}
    assert {one["properties"]["kind"]["const"] for one in defined["hierarchy"]["oneOf"]} == kinds
    assert len(kinds) == len(Hierarchy.__args__)


GOOD: Any = {
    "format": policy.FORMAT,
    "requirements": {"k": "5", "l": "2", "suppression_limit_ppm": "40000"},
    "exempt_from_k": False,
    "columns": [
        {"name": "name", "role": "direct_identifier", "technique": {"name": "suppress"}},
        {
            "name": "age",
            "role": "quasi_identifier",
            "technique": {
                "name": "generalize",
                "level": "1",
                "hierarchy": {"kind": "interval", "origin": "0", "widths": ["5", "10"]},
            },
        },
        {"name": "service", "role": "sensitive", "technique": {"name": "keep"}},
    ],
}


def hierarchy(p: Any) -> Any:
    return p["columns"][1]["technique"]["hierarchy"]


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda p: p.update(format="something"), True),
        (lambda p: p.pop("requirements"), True),
        (lambda p: p.update(extra=1), True),
        (lambda p: p["requirements"].update(k="five"), True),
        (lambda p: p["requirements"].update(k=True), True),
        (lambda p: p["requirements"].update(loss={"name": "height", "gs": "0"}), True),
        (lambda p: p["requirements"].update(privacy=[{"model": "t_closeness"}]), True),
        (lambda p: p["requirements"].update(privacy=[{"model": "t_closeness", "t": "-0.2"}]), True),
        (lambda p: p["requirements"].update(privacy=[{"model": "distinct_l", "l": 2, "column": "age"}]), False),
        (lambda p: p["requirements"].update(loss={"name": "loss", "weights": {"nobody": 1}}), False),
        (lambda p: p.update(exempt_from_k="no"), True),
        (lambda p: p.update(exempt_from_k=True), False),
        (lambda p: p.update(columns=[]), True),
        (lambda p: p["columns"][0].update(name=""), True),
        (lambda p: p["columns"][0].update(role="secret"), True),
        (lambda p: p["columns"][0].update(name="age"), False),
        (lambda p: p["columns"][0].update(technique={"name": "keep"}), False),
        (lambda p: p["columns"][0].update(technique={"name": "shred"}), True),
        (lambda p: p["columns"][0].update(technique={"name": "mask", "keep_first": "1"}), True),
        (lambda p: p["columns"][2].update(technique={"name": "round", "step": "0.x"}), True),
        (lambda p: p["columns"][1]["technique"].update(level="9"), False),
        (lambda p: hierarchy(p).update(widths=[]), True),
        (lambda p: hierarchy(p).update(widths=["5", "12"]), False),
        (lambda p: hierarchy(p).update({"from": "7"}), False),
        (lambda p: hierarchy(p).update(kind="oak"), True),
        (lambda p: p["columns"][1].update(technique={"name": "recode", "hierarchy": {"kind": "tree", "paths": {}}}), True),
    ],
)  # fmt: skip
def test_what_the_schema_lets_through_is_refused_by_a_rule_that_it_names(
    change: Callable[[Any], object], seen: bool
) -> None:
    broken = copy.deepcopy(GOOD)
    assert VALID.is_valid(broken)
    change(broken)
    with pytest.raises(PolicyRefused):
        policy.parse(broken)
    assert VALID.is_valid(broken) is not seen
    assert all(rule in schema()["$comment"] for rule in NOT_IN_THE_SCHEMA)


def run(*arguments: str | Path, answers: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=answers)


def test_the_schema_is_printed_for_an_editor() -> None:
    assert json.loads(run("schema").stdout) == schema()


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patients(tmp_path_factory.mktemp("raw")).path


def test_whoever_takes_every_proposal_gets_the_policy_that_a_scan_proposes(raw: Path, tmp_path: Path) -> None:
    done = run("wizard", raw, "--out", tmp_path, answers="\n" * 60)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "person's name" in done.output
    text = (tmp_path / "declaration.toml").read_text()
    assert "# At least k persons in each class." in text
    for line in raw.read_text().splitlines()[1:]:
        number, name, *_ = line.split(",")
        assert number not in text + done.output
        assert name not in text + done.output
    for folder, more in (("declared", ("--policy", tmp_path / "declaration.toml")), ("plain", ())):
        assert run("scan", raw, "--out", tmp_path / folder, *more).exit_code == 0
    policies = [(tmp_path / folder / "policy.json").read_bytes() for folder in ("declared", "plain")]
    assert policies[0] == policies[1]


CHINESE = """\
8
3
2.5
2

2

删除列

3
5 12
3
10 20
准标识符
4
month year
准标识符
日期
year decade

2
敏感属性
3
5
0.3
10
4
"""


def test_answers_in_chinese_become_a_declaration_with_chinese_comments(raw: Path, tmp_path: Path) -> None:
    done = run("wizard", raw, "--out", tmp_path, "--lang", "zh", answers=CHINESE)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "直接标识符" in done.output
    assert "each width is a multiple" in " ".join(done.output.split())  # 5 12 was asked again
    text = (tmp_path / "declaration.toml").read_text()
    assert "# 识别" not in text
    assert "姓名" in text
    assert "每个等价类至少有 k 个人" in text
    declared = declaration.load(text)
    assert (declared.k, declared.l, declared.suppression_limit_ppm) == (8, 3, 25_000)
    assert declared.generalization == "local"
    assert declared.privacy == (TCloseness(None, Decimal("0.3")), AverageRisk(100_000))
    assert declared.loss.name == "height"
    made = declared.columns
    assert made["patient_id"] == DeclaredColumn("direct_identifier", None, Pseudonymize())
    assert made["name"].technique == Suppress()
    assert made["age"].hierarchy == Interval(Decimal(0), (Decimal(10), Decimal(20)))
    assert made["arrival_date"].hierarchy == Dates(("month", "year"))
    assert made["departure_date"].hierarchy == Dates(("year", "decade"))
    assert made["service"] == DeclaredColumn("sensitive", None, Suppress())
    assert made["satisfaction"] == DeclaredColumn("sensitive", None, Round(Decimal(5)))


def test_an_identifier_is_not_declared_away_and_nonsense_is_asked_again(raw: Path, tmp_path: Path) -> None:
    answers = "\n".join(["none", "0", "7", "", "", "", "4", "", *[""] * 40])
    done = run("wizard", raw, "--out", tmp_path, answers=answers)
    assert done.exit_code == 0, (done.output, done.exception)
    assert done.output.count("please try again") == 2
    assert "a declaration makes it no less" in done.output
    declared = declaration.load((tmp_path / "declaration.toml").read_text())
    assert declared.k == 7
    assert declared.columns["patient_id"].role == "direct_identifier"


def test_when_the_answers_end_too_early_nothing_is_written(raw: Path, tmp_path: Path) -> None:
    done = run("wizard", raw, "--out", tmp_path / "out", answers="5\n2\n")
    assert isinstance(done.exception, PolicyRefused)
    assert done.exception.field == "answers"
    assert not (tmp_path / "out").exists()
