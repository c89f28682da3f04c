"""The cost approach: reasoned, complete or refused, and the same to the byte for whoever recomputes it."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.appraisal import (
    EQUAL_WEIGHTS_PPM,
    Adjustment,
    CostInputs,
    CostItem,
    CostKind,
    CostReport,
    Factor,
    InformationAttributes,
    LegalAttributes,
    ValueAttributes,
    appraise,
    attribute_words,
    missing_attributes,
    read_report,
    recompute,
)
from pricing.canonical import canonical
from pricing.errors import AppraisalError, MoneyError, PricingError, QualityError
from pricing.money import PPM
from pricing.quality import (
    Access,
    Because,
    Column,
    Compare,
    Declaration,
    Dimension,
    Evidence,
    Freshness,
    Measured,
    NotMeasured,
    Quality,
    measure,
)


def quality(*scores: int | None) -> Quality:
    """A quality with these scores, each from a count of parts per million."""
    return Quality(
        PPM,
        0,
        "00" * 32,
        tuple(
            NotMeasured(dimension, Because.NOT_DECLARED)
            if score is None
            else Measured(dimension, score, (Evidence("a", "holds", score, PPM),))
            for dimension, score in zip(Dimension, scores, strict=True)
        ),
    )


INPUTS = CostInputs(
    asset="航班准点记录 2013",
    purpose="公开竞价起拍价参考",
    valued_on="2026-11-01",
    approach_reason="The costs are on record; no comparable sale and no income stream exist yet.",
    items=(
        CostItem(CostKind.PLANNING, 2_000_000, "catalogue and plan", "contract 7"),
        CostItem(CostKind.COLLECTION, 30_000_000, "collection at three airports", "account 2013"),
        CostItem(CostKind.PROCESSING, 10_000_000, "cleaning and desensitization", "account 2014"),
        CostItem(CostKind.STORAGE, 3_000_000, "storage, five years", "account 2018"),
        CostItem(CostKind.QUALITY, 1_000_000, "quality checks", "account 2014"),
        CostItem(CostKind.ADMINISTRATION, 4_000_000, "overhead", "allocation table"),
        CostItem(CostKind.TAX, 500_000, "stamp duty and surcharges", "tax return"),
    ),
    profit_rate_ppm=80_000,
    profit_source="ten-year government bond plus a margin, decision 12",
    quality=quality(1_000_000, 990_000, 950_000, 900_000, 500_000, None),
    adjustment=Adjustment(
        "all dimensions matter alike",
        factors=(Factor("remaining life", 900_000, "nine of ten years remain", "licence term"),),
    ),
    information=InformationAttributes(*(["given"] * 7)),
    legal=LegalAttributes(*(["given"] * 7)),
    value=ValueAttributes(*(["given"] * 6)),
)


def test_the_value_is_replacement_cost_times_adjustment_step_by_step() -> None:
    """By hand: 500,000 yuan spent, 8 % profit, 5,000 taxes; (100+99+95+90+50+0)/6 % x 90 %."""
    report = appraise(INPUTS)
    assert report.replacement_cost_fen == 50_000_000 + 4_000_000 + 500_000
    assert sum(EQUAL_WEIGHTS_PPM) == PPM
    assert EQUAL_WEIGHTS_PPM == (166_667, 166_667, 166_667, 166_667, 166_666, 166_666)
    steps = {step.name: step.result for step in report.steps}
    exact = Fraction(166_667 * (1_000_000 + 990_000 + 950_000 + 900_000) + 166_666 * 500_000, PPM)
    assert steps["quality"] == int(exact) == 723_334
    assert report.delta_ppm == steps["x remaining life"] == 651_001
    assert report.value_fen == steps["P"] == 35_479_555
    assert Fraction(54_500_000 * 651_001, PPM) == 35_479_554 + Fraction(1, 2)  # half a fen goes up


def test_what_is_not_measured_counts_nothing_and_is_said() -> None:
    report = appraise(INPUTS)
    assert any(
        "accessibility is not measured" in reason.en and "counts 0" in reason.en for reason in report.reasons
    )
    assert any("可访问性未计算" in reason.zh for reason in report.reasons)
    weightless = Adjustment(
        "nobody has tried to reach it yet", (200_000, 200_000, 200_000, 200_000, 200_000, 0)
    )
    assert appraise(replace(INPUTS, adjustment=weightless)).delta_ppm == 868_000


def test_the_report_reads_in_both_languages() -> None:
    report = appraise(INPUTS)
    zh, en = report.words("zh"), report.words("en")
    for text in (zh, en):
        assert report.digest in text
        assert INPUTS.asset in text
        assert "中评协〔2023〕17号" in text
        assert "354,795.55" in text
    assert "评估结论:354,795.55 元" in zh
    assert "Value: CNY 354,795.55" in en
    assert "权利期限:given" in zh
    assert "right term: given" in en
    assert "重置成本 C = 545,000.00 元" in zh
    for item in INPUTS.items:
        assert item.description in zh
        assert item.source in en


def test_a_stranger_recomputes_the_report_from_its_bytes_to_the_same_digest() -> None:
    report = appraise(INPUTS)
    assert recompute(report).digest == report.digest
    assert read_report(report.canonical) == report
    assert report.digest == "6fcddb8f5191111ca9bbcc2b7c256ffa05bdf16505c86c33677b0fc5ee36d5cb"


def test_measured_data_is_valued_and_read_back() -> None:
    table = pa.table({"a": [1, 2, None, 4], "b": [2, 1, 3, 5]})
    declared = Declaration(
        (Column("a", "integer", minimum=1), Column("b", "integer")), comparisons=(Compare("a", "<", "b"),)
    )
    measured = measure(table, declared, as_of_us=0, access=Access(3, 3, "probe"))
    report = appraise(replace(INPUTS, quality=measured))
    assert read_report(report.canonical) == report
    assert Quality.from_json(measured.to_json()) == measured
    assert Quality.from_json(json.loads(measured.canonical)) == measured


@pytest.mark.parametrize("member", ["value_fen", "delta_ppm", "replacement_cost_fen", "steps", "reasons"])
def test_a_changed_member_of_a_report_is_found_and_named(member: str) -> None:
    report = appraise(INPUTS)
    value: Any = getattr(report, member)
    other: Any = {member: value + 1 if isinstance(value, int) else value[1:]}
    forged = replace(report, **other)
    with pytest.raises(AppraisalError) as refused:
        recompute(forged)
    assert refused.value.field == member
    with pytest.raises(AppraisalError, match="its inputs give digest"):
        read_report(forged.canonical)


@pytest.mark.parametrize(
    "written", [b"", b"{}", b"[]", b"\xff", b'{"inputs":{}}', b'{"inputs":5}', b"[" * 100_000, b"null"]
)
def test_bytes_that_are_no_report_are_refused_by_name(written: bytes) -> None:
    with pytest.raises(AppraisalError, match="report: cannot be read"):
        read_report(written)


def test_a_report_whose_inputs_were_changed_or_extended_is_refused() -> None:
    report = json.loads(appraise(INPUTS).canonical)
    changes: list[Callable[[Any], object]] = [
        lambda inputs: inputs["items"][0].update(amount_fen="1"),
        lambda inputs: inputs["legal"].update(more="x"),
        lambda inputs: inputs.update(asset=True),
        lambda inputs: inputs.update(profit_rate_ppm="8 %"),
        lambda inputs: inputs["quality"]["dimensions"][4].update(score_ppm="600000"),
    ]
    for change in changes:
        forged = json.loads(json.dumps(report))
        change(forged["inputs"])
        with pytest.raises(PricingError):
            read_report(canonical(forged))


def test_a_quality_that_does_not_follow_from_its_counts_is_refused() -> None:
    good = INPUTS.quality.to_json()

    def forged(**members: Any) -> dict[str, Any]:
        copy = json.loads(canonical(good))
        copy["dimensions"][0].update(members)
        return copy  # type: ignore[no-any-return]

    with pytest.raises(QualityError, match="does not follow from its counts"):
        Quality.from_json(forged(score_ppm="999999"))
    with pytest.raises(QualityError, match="passed: must be at most 1"):
        Quality.from_json(forged(evidence=[["a", "holds", "2", "1"]]))
    with pytest.raises(QualityError, match="cannot be read"):
        Quality.from_json(forged(evidence=[["a", "holds"]]))
    with pytest.raises(QualityError, match="cannot be read"):
        Quality.from_json({})


ATTRIBUTES = [
    (group, field.name)
    for group, of in (
        ("information", InformationAttributes),
        ("legal", LegalAttributes),
        ("value", ValueAttributes),
    )
    for field in fields(of)
]


@pytest.mark.parametrize(("group", "name"), ATTRIBUTES)
@pytest.mark.parametrize("blank", ["", " \t"])
def test_without_each_attribute_of_the_guideline_there_is_no_report(
    group: str, name: str, blank: str
) -> None:
    inputs = replace(INPUTS, **{group: replace(getattr(INPUTS, group), **{name: blank})})
    assert missing_attributes(inputs) == (f"{group}.{name}",)
    with pytest.raises(AppraisalError) as refused:
        appraise(inputs)
    assert refused.value.field == f"{group}.{name}"
    assert attribute_words(f"{group}.{name}", "zh") in refused.value.rule


def test_all_missing_attributes_are_named_at_once() -> None:
    bare = replace(
        INPUTS, information=InformationAttributes(), legal=LegalAttributes(), value=ValueAttributes()
    )
    assert len(missing_attributes(bare)) == len(ATTRIBUTES) == 20
    with pytest.raises(AppraisalError, match=r"数据字典.*权利期限.*稀缺性"):
        appraise(bare)


ITEM = INPUTS.items[0]
HALF: Any = 1.5
NAN: Any = float("nan")
FACTOR = INPUTS.adjustment.factors[0]


def adjusted(**changes: Any) -> Adjustment:
    return replace(INPUTS.adjustment, **changes)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"asset": ""}, "asset"),
        ({"purpose": " "}, "purpose"),
        ({"approach_reason": ""}, "approach_reason"),
        ({"profit_source": ""}, "profit_source"),
        ({"valued_on": "1 November"}, "valued_on"),
        ({"valued_on": "20261101"}, "valued_on"),
        ({"items": ()}, "items"),
        ({"items": (replace(ITEM, source=""),)}, "items[0].source"),
        ({"items": (ITEM, replace(ITEM, description=""))}, "items[1].description"),
        ({"items": (replace(ITEM, amount_fen=-1),)}, "items[0].amount_fen"),
        ({"items": (replace(ITEM, amount_fen=HALF),)}, "items[0].amount_fen"),
        ({"items": (replace(ITEM, amount_fen=NAN),)}, "items[0].amount_fen"),
        ({"profit_rate_ppm": -1}, "profit_rate_ppm"),
        ({"profit_rate_ppm": PPM + 1}, "profit_rate_ppm"),
        ({"adjustment": adjusted(weights_reason="")}, "adjustment.weights_reason"),
        ({"adjustment": adjusted(weights_ppm=(PPM,))}, "adjustment.weights_ppm"),
        ({"adjustment": adjusted(factors=(replace(FACTOR, reason=""),))}, "adjustment.factors[0].reason"),
        (
            {"adjustment": adjusted(factors=(replace(FACTOR, factor_ppm=0),))},
            "adjustment.factors[0].factor_ppm",
        ),
        ({"quality": quality(None, None, None, None, None, None)}, "quality"),
        (
            {
                "quality": quality(PPM, None, None, None, None, None),
                "adjustment": adjusted(weights_ppm=(0, PPM, 0, 0, 0, 0)),
            },
            "quality",
        ),
    ],
)
def test_an_appraisal_without_its_reasons_or_with_nonsense_is_refused_by_name(
    change: dict[str, Any], field: str
) -> None:
    with pytest.raises(AppraisalError) as refused:
        appraise(replace(INPUTS, **change))
    assert refused.value.field == field


def test_weights_that_are_no_whole_and_sums_past_63_bits_are_refused_by_name() -> None:
    with pytest.raises(MoneyError, match="undeclared rest 100000"):
        appraise(replace(INPUTS, adjustment=adjusted(weights_ppm=(900_000, 0, 0, 0, 0, 0))))
    huge = replace(ITEM, amount_fen=2**63 - 1)
    with pytest.raises(MoneyError, match="items: must be at most"):
        appraise(replace(INPUTS, items=(huge, huge)))
    with pytest.raises(MoneyError, match="replacement_cost_fen: must be at most"):
        appraise(replace(INPUTS, items=(huge,)))


scores = st.tuples(*[st.none() | st.integers(0, PPM)] * 6)


@given(
    scores.filter(lambda each: each[0] is not None),
    st.integers(0, 5),
    st.integers(0, PPM),
    st.integers(0, 10**12),
    st.integers(0, 10**6),
    st.integers(1, 2 * PPM),
)
def test_better_quality_and_higher_cost_never_lower_the_value(
    before: tuple[int | None, ...], position: int, better: int, amount: int, more: int, factor_ppm: int
) -> None:
    after = list(before)
    after[position] = max(better, before[position] or 0)
    base = replace(
        INPUTS,
        items=(replace(ITEM, amount_fen=amount),),
        adjustment=adjusted(factors=(replace(FACTOR, factor_ppm=factor_ppm),)),
        quality=quality(*before),
    )
    value = appraise(base).value_fen
    assert appraise(replace(base, quality=quality(*after))).value_fen >= value
    assert appraise(replace(base, items=(replace(ITEM, amount_fen=amount + more),))).value_fen >= value
    assert appraise(replace(base, items=(*base.items, replace(ITEM, amount_fen=more)))).value_fen >= value


@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=9), st.integers(0, PPM), scores.filter(any))
def test_the_value_equals_the_exact_product_within_its_stated_roundings(
    amounts: list[int], rate: int, given_scores: tuple[int | None, ...]
) -> None:
    """The slow twin: exact fractions, no rounding; the report may lose one part per million and one fen."""
    inputs = replace(
        INPUTS,
        items=tuple(replace(ITEM, amount_fen=amount) for amount in amounts),
        profit_rate_ppm=rate,
        quality=quality(*given_scores),
        adjustment=adjusted(factors=()),
    )
    cost = sum(amounts) * (1 + Fraction(rate, PPM))
    delta = sum(
        Fraction(weight * (score or 0), PPM * PPM)
        for weight, score in zip(EQUAL_WEIGHTS_PPM, given_scores, strict=True)
    )
    assert abs(appraise(inputs).value_fen - cost * delta) <= cost / PPM + 2


def test_two_reports_that_differ_in_anything_have_different_digests() -> None:
    reports: list[CostReport] = [
        appraise(INPUTS),
        appraise(replace(INPUTS, purpose="another")),
        appraise(replace(INPUTS, legal=replace(INPUTS.legal, right_term="12 months"))),
        appraise(replace(INPUTS, quality=replace(INPUTS.quality, as_of_us=1))),
        appraise(replace(INPUTS, items=INPUTS.items[::-1])),
    ]
    assert len({report.digest for report in reports}) == len(reports)


def test_freshness_of_the_promise_reaches_the_value() -> None:
    table = pa.table({"t": pa.array([0], pa.timestamp("us"))})
    declared = Declaration((Column("t", "time"),), freshness=Freshness("t", 1_000))
    fresh, stale = (measure(table, declared, as_of_us=at) for at in (1_000, 4_000))
    assert stale.score_ppm(Dimension.TIMELINESS) == 250_000
    assert (
        appraise(replace(INPUTS, quality=stale)).value_fen
        < appraise(replace(INPUTS, quality=fresh)).value_fen
    )
