"""What a policy asks beyond k and l is spelt once, refused by name, searched for, kept, and found again by whoever has the product."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.desensitization import policy
from exchange.desensitization.detection.detect import detect
from exchange.desensitization.enforcement import Enforcement
from exchange.desensitization.errors import PolicyRefused
from exchange.desensitization.judge import Requirements, judge
from exchange.desensitization.measure import measure_table
from exchange.desensitization.policy import ColumnPolicy, Keep, Policy, Suppress, declaration
from exchange.desensitization.policy.requirements import (
    USUAL_LOSS,
    Aggregate,
    AverageRisk,
    BetaLikeness,
    DeltaDisclosure,
    DistinctL,
    EntropyL,
    Equal,
    Hierarchical,
    LossModel,
    LossName,
    Ordered,
    PopulationUniqueness,
    PrivacyModel,
    RecursiveCL,
    SampleUniqueness,
    TCloseness,
    column_of,
    loss_of,
    loss_to_json,
    model_name,
    model_to_json,
    privacy_of,
)
from exchange.desensitization.product import apply_policy
from exchange.desensitization.propose import propose
from exchange.desensitization.search.classes import encode

COLUMNS = (
    ColumnPolicy("age", "quasi_identifier", Keep()),
    ColumnPolicy("illness", "sensitive", Keep()),
    ColumnPolicy("cost", "sensitive", Keep()),
    ColumnPolicy("note", "sensitive", Suppress()),
)
PATHS = (("a", ("x",)), ("b", ("x",)), ("c", ("y",)), ("d", ("y",)))

decimals = st.decimals(min_value="0.001", max_value="1", places=3)
columns = st.sampled_from([None, "illness", "cost"])
shares = st.integers(0, 1_000_000)
models: st.SearchStrategy[PrivacyModel] = st.one_of(
    st.builds(DistinctL, columns, st.integers(1, 9)),
    st.builds(EntropyL, columns, decimals.map(lambda x: 1 + x), st.sampled_from(["shannon", "grassberger"])),
    st.builds(RecursiveCL, columns, decimals, st.integers(1, 9)),
    st.builds(TCloseness, columns, decimals, st.sampled_from([Equal(), Ordered()])),
    st.builds(
        TCloseness, st.just("illness"), decimals, st.sampled_from([Ordered(("b", "a")), Hierarchical(PATHS)])
    ),
    st.builds(BetaLikeness, columns, decimals, st.booleans()),
    st.builds(DeltaDisclosure, columns, decimals),
    st.builds(AverageRisk, shares.filter(bool)),
    st.builds(SampleUniqueness, shares),
    st.builds(PopulationUniqueness, shares, st.integers(1, 1_400_000_000)),
)
losses: st.SearchStrategy[LossModel] = st.builds(
    lambda name, gs, how, monotonic, weights: loss_of(
        {
            member: value
            for member, value in {
                "name": name, "gs": gs, "aggregate": how, "monotonic": monotonic, "weights": weights
            }.items()
            if member in ("name", *loss_to_json(LossModel(name, weights=(("age", Decimal(1)),))))
        },
        "loss",
    ),
    st.sampled_from(get_args(LossName)),
    st.sampled_from(["0", "0.3", "1"]),
    st.sampled_from(get_args(Aggregate)),
    st.booleans(),
    st.sampled_from([{}, {"age": "2"}]),
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(models, max_size=6, unique=True), losses)
def test_every_requirement_survives_the_journey(privacy: list[PrivacyModel], loss: LossModel) -> None:
    made = Policy(COLUMNS, 5, 2, 0, False, tuple(privacy), loss)
    again = policy.parse(json.loads(made.canonical()))
    assert again == made
    assert again.digest() == made.digest()
    assert [model_name(model) for model in privacy] == [model_to_json(model)["model"] for model in privacy]
    assert declaration.from_policy(made).privacy == made.privacy


def test_a_policy_that_asks_for_no_more_is_spelt_as_before() -> None:
    plain = {
        "format": policy.FORMAT,
        "requirements": {"k": 5, "l": "2", "suppression_limit_ppm": "40000"},
        "exempt_from_k": False,
        "columns": [
            {
                "name": "a",
                "role": "quasi_identifier",
                "technique": {
                    "name": "generalize",
                    "level": "1",
                    "hierarchy": {"kind": "interval", "origin": "0", "widths": ["5.0", "10"]},
                },
            }
        ],
    }
    before = "239a505b5f33e2b1893af116865a691e0a13cee2dbb7040d364abfe6e36a7e2b"
    assert policy.parse(plain).digest() == before
    plain["requirements"] = {**plain["requirements"], "privacy": [], "loss": {"name": "loss"}}  # type: ignore[dict-item]
    assert policy.parse(plain).digest() == before


def test_a_declaration_may_write_plain_numbers() -> None:
    declared = declaration.load(
        """
        [requirements]
        loss = { name = "precision", gs = 0.3, weights = { age = 2 } }
        [[requirements.privacy]]
        model = "t_closeness"
        t = 0.2
        [[requirements.privacy]]
        model = "population_uniqueness"
        at_most_ppm = 100
        population = 1400000000
        """
    )
    assert declared.privacy == (
        TCloseness(None, Decimal("0.2"), Equal()),
        PopulationUniqueness(100, 1_400_000_000),
    )
    assert declared.loss == LossModel("precision", Decimal("0.3"), weights=(("age", Decimal(2)),))


@pytest.mark.parametrize(
    ("model", "field"),
    [
        ("t", "model"),
        ({"model": "k_map"}, "model"),
        ({"model": ["t_closeness"]}, "model"),
        ({"model": "t_closeness"}, "t"),
        ({"model": "t_closeness", "t": "1.5"}, "t"),
        ({"model": "t_closeness", "t": "0"}, "t"),
        ({"model": "t_closeness", "t": 0.2}, "t"),
        ({"model": "t_closeness", "t": "0.2", "distance": {"kind": "far"}}, "distance.kind"),
        ({"model": "t_closeness", "t": "0.2", "distance": {"kind": "ordered", "order": ["a", "a"]}}, "distance.order"),
        ({"model": "t_closeness", "t": "0.2", "distance": {"kind": "ordered", "order": ["a", "b"]}}, "distance"),
        ({"model": "t_closeness", "t": "0.2", "distance": {"kind": "hierarchical", "paths": {}}}, "distance.paths"),
        ({"model": "distinct_l", "l": "0"}, "l"),
        ({"model": "distinct_l", "l": "2", "column": ""}, "column"),
        ({"model": "distinct_l", "l": "2", "column": "age"}, "column"),
        ({"model": "distinct_l", "l": "2", "column": "note"}, "column"),
        ({"model": "distinct_l", "l": "2", "column": "nowhere"}, "column"),
        ({"model": "entropy_l", "l": "0.5"}, "l"),
        ({"model": "entropy_l", "l": "2", "estimator": "guess"}, "estimator"),
        ({"model": "recursive_cl", "l": "2"}, "c"),
        ({"model": "beta_likeness", "beta": "-1"}, "beta"),
        ({"model": "beta_likeness", "beta": "1", "enhanced": "yes"}, "enhanced"),
        ({"model": "delta_disclosure", "delta": "NaN"}, "delta"),
        ({"model": "average_risk", "at_most_ppm": "0"}, "at_most_ppm"),
        ({"model": "average_risk", "at_most_ppm": "1", "column": "cost"}, "column"),
        ({"model": "sample_uniqueness", "at_most_ppm": "1000001"}, "at_most_ppm"),
        ({"model": "population_uniqueness", "at_most_ppm": "1", "population": "0"}, "population"),
    ],
)  # fmt: skip
def test_a_wrong_model_names_the_field(model: Any, field: str) -> None:
    data = Policy(COLUMNS, 5, 2, 0).to_json()
    data["requirements"]["privacy"] = [model]
    with pytest.raises(PolicyRefused) as refused:
        policy.parse(data)
    assert refused.value.field == f"requirements.privacy[0].{field}"
    assert refused.value.rule
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("loss", "field"),
    [
        (3, "name"),
        ({"name": ["loss"]}, "name"),
        ({"name": "height", "gs": "0.5"}, "gs"),
        ({"name": "loss", "gs": "1.1"}, "gs"),
        ({"name": "loss", "aggregate": "median"}, "aggregate"),
        ({"name": "discernibility", "monotonic": 1}, "monotonic"),
        ({"name": "loss", "weights": {"age": "0"}}, "weights['age']"),
        ({"name": "loss", "weights": {"nowhere": "1"}}, "weights['nowhere']"),
        ({"name": "loss", "weights": ["age"]}, "weights"),
    ],
)
def test_a_wrong_loss_names_the_field(loss: Any, field: str) -> None:
    data = Policy(COLUMNS, 5, 2, 0).to_json()
    data["requirements"]["loss"] = loss
    with pytest.raises(PolicyRefused) as refused:
        policy.parse(data)
    assert refused.value.field == f"requirements.loss.{field}"


def test_models_are_neither_repeated_nor_given_two_orders_nor_asked_of_an_exempt_table() -> None:
    model = {"model": "distinct_l", "l": "2"}
    with pytest.raises(PolicyRefused, match="twice"):
        privacy_of([model, dict(model)], "privacy")
    orders = [
        {"model": "t_closeness", "column": "cost", "t": t, "distance": {"kind": "ordered", "order": order}}
        for t, order in (("0.1", ["a", "b"]), ("0.2", ["b", "a"]))
    ]
    with pytest.raises(PolicyRefused, match="two orders"):
        privacy_of(orders, "privacy")
    with pytest.raises(PolicyRefused, match="at most 64"):
        privacy_of([{"model": "distinct_l", "l": n} for n in range(1, 70)], "privacy")
    harmless = Policy((ColumnPolicy("cost", "other", Keep()),), 5, 2, 0, True, (AverageRisk(1),))
    with pytest.raises(PolicyRefused) as refused:
        policy.check(harmless)
    assert refused.value.field == "requirements.privacy"


LETTERS = "abcd"


@st.composite
def kept_tables(draw: st.DrawFn) -> tuple[list[int], list[Any], tuple[PrivacyModel, ...], int]:
    rows = draw(st.integers(1, 24))
    quasi = draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows))
    values = draw(st.lists(st.sampled_from([*LETTERS, None]), min_size=rows, max_size=rows))
    few = st.sampled_from([Decimal("0.3"), Decimal("0.6"), Decimal(1)])
    asked = st.one_of(
        st.builds(
            TCloseness,
            st.just("s"),
            few,
            st.sampled_from([Equal(), Ordered(), Ordered(("d", "b", "e", "a", "c")), Hierarchical(PATHS)]),
        ),
        st.builds(BetaLikeness, st.just("s"), few, st.booleans()),
        st.builds(DeltaDisclosure, st.just("s"), few),
        st.builds(SampleUniqueness, st.sampled_from([0, 200_000])),
        st.builds(AverageRisk, st.sampled_from([200_000, 500_000])),
    )
    return quasi, values, tuple(draw(st.lists(asked, max_size=2, unique_by=type))), draw(st.integers(1, 3))


def broken(model: PrivacyModel, members: list[Any], whole: Counter[Any]) -> bool:
    """One class against the definition, in exact numbers."""
    here, rows, all_rows = Counter(members), len(members), whole.total()
    match model:
        case TCloseness(_, t, distance):
            names: list[Any] = sorted(whole, key=lambda value: (value is not None, value))
            if isinstance(distance, Ordered) and distance.order:
                names = [None] * (None in whole) + list(distance.order)
            extra = {v: Fraction(here[v], rows) - Fraction(whole[v], all_rows) for v in names}
            far = sum((abs(x) for x in extra.values()), Fraction(0)) / 2
            if isinstance(distance, Ordered):
                line = [extra[v] for v in names]
                far = sum((abs(sum(line[: i + 1], Fraction(0))) for i in range(len(line))), Fraction(0))
                far /= max(1, len(line) - 1)
            if isinstance(distance, Hierarchical):
                groups = defaultdict(list)
                for v in names:
                    groups["" if v is None else dict(PATHS)[v]].append(extra[v])
                within = [
                    min(sum((abs(x) + x) / 2 for x in group), sum((abs(x) - x) / 2 for x in group))
                    for group in groups.values()
                ]
                across = sum((abs(sum(group, Fraction(0))) for group in groups.values()), Fraction(0)) / 2
                far = Fraction(sum(within)) / 2 + across
            return bool(far > Fraction(t) + Fraction(1, 10**12))
        case BetaLikeness(_, beta, enhanced):
            return any(
                (n / rows) / (whole[v] / all_rows) - 1
                > (min(float(beta), -math.log(whole[v] / all_rows)) if enhanced else float(beta)) + 1e-12
                for v, n in here.items()
            )
        case DeltaDisclosure(_, delta):
            return any(
                abs(math.log((n / rows) / (whole[v] / all_rows))) > float(delta) + 1e-12
                for v, n in here.items()
            )
        case _:
            return False


def slow_kept(quasi: list[int], values: list[Any], privacy: tuple[PrivacyModel, ...], k: int) -> set[int]:
    """Drop what breaks anything, count anew, until nothing does."""
    left = set(range(len(quasi)))
    while left:
        members: Mapping[int, list[int]] = {
            key: list(found) for key, found in itertools.groupby(sorted(left, key=lambda r: (quasi[r], r)), quasi.__getitem__)
        }  # fmt: skip
        whole = Counter(values[row] for row in left)
        good = [
            key
            for key, found in members.items()
            if len(found) >= k
            and not any(broken(model, [values[row] for row in found], whole) for model in privacy)
        ]
        good.sort(key=lambda key: (len(members[key]), min(members[key])))
        for model in privacy:
            if isinstance(model, AverageRisk):
                while good and len(good) * 10**6 > model.at_most_ppm * sum(len(members[k]) for k in good):
                    good.pop(0)
            if isinstance(model, SampleUniqueness):
                while good and sum(len(members[k]) == 1 for k in good) * 10**6 > model.at_most_ppm * len(
                    left
                ):
                    good.pop(0)
        stays = {row for key in good for row in members[key]}
        if stays == left:
            break
        left = stays
    return left


@settings(max_examples=60, deadline=None)
@given(kept_tables())
def test_what_is_kept_is_what_a_twin_keeps_that_counts_anew_until_nothing_breaks(
    table: tuple[list[int], list[Any], tuple[PrivacyModel, ...], int],
) -> None:
    quasi, values, privacy, k = table
    asking = declaration.Declaration(k=k, l=1, privacy=privacy)
    coded = encode(pa.array(values, pa.string()))
    codes = np.array(quasi, dtype=np.int64)
    enforced = Enforcement(asking, {"s": coded}, {})
    kept = set(np.flatnonzero(enforced.kept([codes], len(quasi))).tolist())
    assert kept == slow_kept(quasi, values, privacy, k)
    if kept:
        # Whoever has the rows that are left finds that all of it holds, and without knowing what was dropped.
        rows = sorted(kept)
        product = encode(pa.array([values[row] for row in rows], pa.string()))
        again = Enforcement(asking, {"s": product}, {}).measured([codes[rows]], len(rows))
        assert [measure.rows_broken for measure in again] == [0] * len(privacy)


def people(rows: int = 1_500) -> pa.Table:
    chance = np.random.default_rng(7)
    return pa.table(
        {
            "age": chance.integers(18, 90, rows),
            "sex": chance.choice(["M", "F"], rows),
            "postcode": [f"{city}{rest:04d}" for city, rest in zip(chance.integers(10, 15, rows), chance.integers(0, 9_999, rows), strict=True)],
            "illness": chance.choice(list(LETTERS), rows, p=[0.5, 0.3, 0.15, 0.05]),
            "cost": chance.choice([10, 20, 30, 40, 50], rows),
        }
    )  # fmt: skip


ASKED = [
    "privacy = [{model='t_closeness', t=0.12, distance={kind='ordered'}}]",
    "privacy = [{model='t_closeness', column='illness', t=0.12, distance={kind='hierarchical', paths={a=['x'], b=['x'], c=['y'], d=['y']}}}]",
    "privacy = [{model='beta_likeness', column='illness', beta=1}, {model='delta_disclosure', column='cost', delta=1}]",
    "privacy = [{model='entropy_l', column='illness', l=2.9}, {model='recursive_cl', column='illness', c=2, l=2}]",
    "privacy = [{model='average_risk', at_most_ppm=20000}, {model='population_uniqueness', at_most_ppm=0, population=20000}]",
    "loss = {name='discernibility'}",
    "loss = {name='loss', aggregate='rank', gs=0.3, weights={sex=3}}",
]


@pytest.mark.parametrize("asked", ASKED)
def test_what_is_asked_is_searched_for_kept_and_found_in_the_product(asked: str) -> None:
    raw = detect(people())
    declared = declaration.load(
        f"[requirements]\nk = 4\n{asked}\n[columns]\nillness = {{role='sensitive'}}\ncost = {{role='sensitive'}}"
    )
    plain = propose(raw, declaration.Declaration(k=4, columns=declared.columns))
    proposal = propose(raw, declared)
    assert proposal.policy.privacy == declared.privacy
    assert proposal.policy.loss == declared.loss
    assert proposal.policy != plain.policy
    assert proposal.solution is not None
    assert plain.solution is not None
    made = apply_policy(raw, proposal.policy, bytes(32))
    assert made.suppressed_rows == proposal.solution.dropped_rows
    measured = measure_table(made.table, proposal.policy, file_digest="", file_bytes=0)
    assert [one.rows_broken for one in measured.privacy] == [0] * len(measured.privacy)
    requirements = Requirements(proposal.policy, 4, 2, False, "core")
    assert judge(measured, requirements) == []
    # Of the product that nobody asked so much of the exchange says which model it breaks, and of which column.
    loose = apply_policy(raw, plain.policy, bytes(32)).table
    other = measure_table(loose, proposal.policy, file_digest="", file_bytes=0)
    if declared.privacy and declared.loss == USUAL_LOSS:
        failures = [failure for failure in judge(other, requirements) if failure.rule == "privacy_model"]
        assert failures
        assert {failure.column for failure in failures} <= {
            column_of(model) for model in declared.privacy
        } | {
            "illness",
            "cost",
        }
        assert all("broken by" in failure.detail for failure in failures)
    else:
        assert loose.num_rows


def test_a_value_without_a_place_in_a_distance_is_refused_and_not_quoted() -> None:
    declared = declaration.load(
        "[requirements]\nprivacy = [{model='t_closeness', column='illness', t=0.2, "
        "distance={kind='ordered', order=['a', 'b', 'c']}}]\n[columns]\nillness = {role='sensitive'}"
    )
    with pytest.raises(PolicyRefused) as refused:
        propose(detect(people(200)), declared)
    assert refused.value.field == "illness"
    assert "'d'" not in str(refused.value.problem())


def test_more_than_64_quasi_identifiers_are_refused_with_advice() -> None:
    wide = pa.table({f"c{n}": pa.array([f"v{row % 3}" for row in range(12)]) for n in range(65)})
    declared = declaration.load(
        "[columns]\n" + "\n".join(f"c{n} = {{role = 'quasi_identifier'}}" for n in range(65))
    )
    with pytest.raises(PolicyRefused) as refused:
        propose(detect(wide), declared)
    assert refused.value.rule == "at most 64 quasi-identifiers can be generalized together"
    assert "suppress" in (refused.value.remedy or "")
