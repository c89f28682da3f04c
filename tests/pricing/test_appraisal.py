"""Appraisals: reasoned, complete or refused, and the same to the byte for whoever computes them again."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.appraisal import ed25519
from pricing.appraisal import (
    EQUAL_WEIGHTS_PPM,
    Cost,
    CostItem,
    CostKind,
    Direct,
    Factor,
    InformationAttributes,
    Inputs,
    LegalAttributes,
    Relief,
    Report,
    Signature,
    Uncertain,
    ValueAttributes,
    appraise,
    attribute_words,
    claims,
    distribution,
    missing_attributes,
    read_report,
    recompute,
    require_signature,
    stream_key,
    tornado,
    words,
)
from pricing.canonical import canonical
from pricing.errors import AppraisalError, PricingError, QualityError
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
    Yardstick,
    measure,
    measure_value,
)
from pricing.weights import Judgement
from tests.pricing.appraised import EXCESS, INCOMES, MARKET, RESIDUAL


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


COST = Cost(
    reason="The costs are on record; no comparable sale and no income stream exist yet.",
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
    weights_reason="all dimensions matter alike",
    factors=(Factor("remaining life", 900_000, "nine of ten years remain", "licence term"),),
)
MEASURED = quality(1_000_000, 990_000, 950_000, 900_000, 500_000, None)
INPUTS = Inputs(
    asset="航班准点记录 2013",
    purpose="公开竞价起拍价参考",
    valued_on="2026-11-01",
    approaches=(COST,),
    quality=MEASURED,
    information=InformationAttributes(*(["given"] * 7)),
    legal=LegalAttributes(*(["given"] * 7)),
    value=ValueAttributes(*(["given"] * 6)),
)
ALL = replace(
    INPUTS,
    approaches=(
        replace(COST, weight_ppm=300_000),
        *(replace(each, weight_ppm=100_000) for each in (*INCOMES, MARKET, RESIDUAL)),
    ),
    weighting_reason="costs are certain; the other ways agree among themselves",
    uncertain=(
        Uncertain("relief.royalty_ppm", 30_000, 70_000, "licences range", "three licences"),
        Uncertain("direct.amounts_fen[2]", 100_000_00, 150_000_00, "a contract is open", "plan", "uniform"),
        Uncertain("excess.discount_rate_ppm", 100_000, 160_000, "risk of the use", "build-up"),
        Uncertain("cost.items[1].amount_fen", 28_000_000, 40_000_000, "late bills", "account"),
    ),
    draws=4_000,
    appraiser="An appraiser",
)


def costed(**changes: Any) -> Inputs:
    """The appraisal by cost with another approach."""
    return replace(INPUTS, approaches=(replace(COST, **changes),))


def test_the_value_is_replacement_cost_times_adjustment_exact_and_rounded_once() -> None:
    """By hand: 500,000 yuan spent, 8 % profit, 5,000 taxes; (100+99+95+90+50+0)/6 % x 90 %."""
    (valued,) = appraise(INPUTS).valued
    steps = {step.en: step.result for step in valued.steps}
    assert steps["replacement cost C"] == 50_000_000 + 4_000_000 + 500_000
    assert sum(EQUAL_WEIGHTS_PPM) == PPM
    assert EQUAL_WEIGHTS_PPM == (166_667, 166_667, 166_667, 166_667, 166_666, 166_666)
    exact = Fraction(166_667 * (1_000_000 + 990_000 + 950_000 + 900_000) + 166_666 * 500_000, PPM)
    assert exact == Fraction(72333428, 100)
    assert steps["quality"] == 723_334
    assert steps["x remaining life"] == 651_001
    assert 54_500_000 * exact * Fraction(9, 10) / PPM == Fraction("35479546.434")
    assert valued.value_fen == steps["value P"] == appraise(INPUTS).value_fen == 35_479_546


def test_what_is_not_measured_counts_nothing_and_is_said() -> None:
    (valued,) = appraise(INPUTS).valued
    assert any(
        "accessibility is not measured" in reason.en and "counts 0" in reason.en for reason in valued.reasons
    )
    assert any("可访问性未计算" in reason.zh for reason in valued.reasons)
    weightless = costed(
        weights_reason="nobody has tried to reach it yet",
        weights_ppm=(200_000, 200_000, 200_000, 200_000, 200_000, 0),
        factors=(),
    )
    assert appraise(weightless).value_fen == 54_500_000 * 868_000 // PPM


def test_weights_may_follow_from_judgements_in_pairs() -> None:
    names = [each.value for each in Dimension]
    alike = tuple(Judgement(names[i], names[j], "1") for i in range(6) for j in range(i + 1, 6))
    judged = appraise(costed(judgements=alike))
    assert judged.value_fen == appraise(INPUTS).value_fen
    assert "consistency ratio 0.0000 %" in words(judged, "en")
    assert "一致性比例 0.0000 %" in words(judged, "zh")
    assert read_report(judged.canonical) == judged
    with pytest.raises(AppraisalError, match="either stated or judged"):
        appraise(costed(judgements=alike, weights_ppm=EQUAL_WEIGHTS_PPM))
    with pytest.raises(AppraisalError, match="is not judged") as refused:
        appraise(costed(judgements=alike[1:]))
    assert refused.value.field == "cost.judgements: judgements"


def test_the_report_reads_in_both_languages() -> None:
    report = appraise(INPUTS)
    zh, en = words(report, "zh"), words(report, "en")
    for text in (zh, en):
        assert report.digest in text
        assert INPUTS.asset in text
        assert "中评协〔2023〕17号" in text
        assert "354,795.46" in text
    assert "评估结论:354,795.46 元" in zh
    assert "Value: CNY 354,795.46" in en
    assert "权利期限:given" in zh
    assert "right term: given" in en
    assert "重置成本 C = 545,000.00 元" in zh
    for item in COST.items:
        assert item.description in zh
        assert item.source in en


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_report_of_every_approach_tells_every_text_figure_and_source(language: Any) -> None:
    report = appraise(ALL)
    text = words(report, language)
    for approach in ALL.approaches:
        assert approach.name(language) in text
        for _, said in approach.said():
            assert said in text
    for each in ALL.uncertain:
        assert each.reason in text
    assert report.seed in text
    assert ALL.appraiser in text
    # A Chinese report holds no English of ours.
    if language == "zh":
        for english in ("royalty", "discount", "exact", "rounded", "amounts", "triangular", "uniform", "mid"):
            assert english not in text


def test_a_stranger_recomputes_the_report_from_its_bytes_to_the_same_digest() -> None:
    for inputs, digest in (
        (INPUTS, "aa1ecb0edf8a7957e7be3f2472ec4f54c7afbfedd8daf4d6bf4e783f0619d80c"),
        (ALL, "f84c7f9d4a5316e9ce7612b75c5100807706334da02f9f94ec07d4daa2fd5ede"),
    ):
        report = appraise(inputs)
        assert recompute(report).digest == report.digest
        assert read_report(report.canonical) == report
        assert report.digest == digest


def test_the_order_in_which_things_are_stated_changes_no_bit() -> None:
    report = appraise(ALL)
    shuffled = replace(ALL, approaches=ALL.approaches[::-1], uncertain=ALL.uncertain[::-1])
    assert appraise(shuffled).canonical == report.canonical
    members = json.loads(canonical(ALL.to_json()))
    backwards = json.loads(json.dumps(dict(reversed(members.items()))))
    assert appraise(Inputs.from_json(backwards)).digest == report.digest


def test_another_process_with_another_hash_seed_gets_the_same_digest(tmp_path: Path) -> None:
    report = appraise(ALL)
    (tmp_path / "report.json").write_bytes(report.canonical)
    program = "import pathlib; from pricing.appraisal import read_report; print(read_report(pathlib.Path('report.json').read_bytes()).digest)"
    for seed, threads in (("1", "1"), ("2", "7")):
        found = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
                "PYTHONHASHSEED": seed,
                "OMP_NUM_THREADS": threads,
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert found.strip() == report.digest


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


@pytest.mark.parametrize(
    ("member", "named"),
    [
        ("value_fen", "value_fen"),
        ("valued", "approaches"),
        ("sensitivity", "sensitivity"),
        ("seed", "range"),
        ("spread", "range"),
    ],
)
def test_a_changed_member_of_a_report_is_found_and_named(member: str, named: str) -> None:
    report = appraise(ALL)
    value: Any = getattr(report, member)
    other: Any = (
        value + 1 if isinstance(value, int) else replace(value, p5_fen=0) if member == "spread" else value[1:]
    )
    forged = replace(report, **{member: other})
    with pytest.raises(AppraisalError) as refused:
        recompute(forged)
    assert refused.value.field == named
    with pytest.raises(AppraisalError, match="its inputs give digest"):
        read_report(forged.canonical)


@pytest.mark.parametrize(
    "written", [b"", b"{}", b"[]", b"\xff", b'{"inputs":{}}', b'{"inputs":5}', b"[" * 100_000, b"null"]
)
def test_bytes_that_are_no_report_are_refused_by_name(written: bytes) -> None:
    with pytest.raises(AppraisalError):
        read_report(written)


def test_a_report_whose_inputs_were_changed_or_extended_is_refused() -> None:
    report = json.loads(appraise(INPUTS).canonical)
    changes: list[Callable[[Any], object]] = [
        lambda inputs: inputs["approaches"][0]["items"][0].update(amount_fen="1"),
        lambda inputs: inputs["approaches"][0].update(profit_rate_ppm="8 %"),
        lambda inputs: inputs["approaches"][0].update(approach="guess"),
        lambda inputs: inputs["approaches"][0].update(items={}),
        lambda inputs: inputs["approaches"][0].pop("profit_source"),
        lambda inputs: inputs["approaches"][0]["items"][0].update(kind="gift"),
        lambda inputs: inputs["approaches"][0]["items"].append("one more"),
        lambda inputs: inputs.update(approaches=5),
        lambda inputs: inputs["legal"].update(more="x"),
        lambda inputs: inputs.update(asset=True),
        lambda inputs: inputs["quality"]["dimensions"][4].update(score_ppm="600000"),
    ]
    for change in changes:
        forged = json.loads(json.dumps(report))
        change(forged["inputs"])
        with pytest.raises(PricingError):
            read_report(canonical(forged))
    with pytest.raises(AppraisalError, match="inputs: must be an object"):
        read_report(b'{"inputs":5,"signature":null}')


def test_a_quality_that_does_not_follow_from_its_counts_is_refused() -> None:
    good = MEASURED.to_json()

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


ITEM = COST.items[0]
HALF: Any = 1.5
NAN: Any = float("nan")
FACTOR = COST.factors[0]
ROYALTY = ALL.uncertain[-1]


@pytest.mark.parametrize(
    ("inputs", "field"),
    [
        (replace(INPUTS, asset=""), "asset"),
        (replace(INPUTS, purpose=" "), "purpose"),
        (replace(INPUTS, valued_on="1 November"), "valued_on"),
        (replace(INPUTS, valued_on="20261101"), "valued_on"),
        (replace(INPUTS, version=0), "version"),
        (replace(INPUTS, draws=10), "draws"),
        (replace(INPUTS, approaches=()), "approaches"),
        (replace(INPUTS, approaches=(COST, COST)), "approaches"),
        (replace(ALL, weighting_reason=""), "weighting_reason"),
        (replace(ALL, approaches=ALL.approaches[1:]), "approaches: weight_ppm"),
        (replace(ALL, uncertain=(ROYALTY,) * 65), "uncertain"),
        (replace(ALL, uncertain=(replace(ROYALTY, source=""),)), "uncertain[0].source"),
        (replace(ALL, uncertain=(replace(ROYALTY, parameter="luck.rate"),)), "uncertain[0].parameter"),
        (replace(ALL, uncertain=(replace(ROYALTY, parameter="relief.luck"),)), "uncertain[0].parameter"),
        (replace(ALL, uncertain=(replace(ROYALTY, low=-1),)), "uncertain[0].low"),
        (replace(ALL, uncertain=(replace(ROYALTY, high=PPM + 1),)), "uncertain[0].high"),
        (replace(ALL, uncertain=(replace(ROYALTY, high=1),)), "uncertain[0]: relief.royalty_ppm"),
        (replace(ALL, uncertain=(ROYALTY, ROYALTY)), "uncertain: uncertain"),
        (costed(reason=""), "cost.reason"),
        (costed(weight_ppm=PPM + 1), "cost.weight_ppm"),
        (costed(profit_source=""), "cost.profit_source"),
        (costed(items=()), "cost.items"),
        (costed(items=(replace(ITEM, source=""),)), "cost.items[0].source"),
        (costed(items=(ITEM, replace(ITEM, description=""))), "cost.items[1].description"),
        (costed(items=(replace(ITEM, amount_fen=-1),)), "cost.items[0].amount_fen"),
        (costed(items=(replace(ITEM, amount_fen=HALF),)), "cost.items[0].amount_fen"),
        (costed(items=(replace(ITEM, amount_fen=NAN),)), "cost.items[0].amount_fen"),
        (costed(items=(replace(ITEM, amount_fen=2**63),)), "cost.items[0].amount_fen"),
        (costed(profit_rate_ppm=-1), "cost.profit_rate_ppm"),
        (costed(profit_rate_ppm=PPM + 1), "cost.profit_rate_ppm"),
        (costed(weights_reason=""), "cost.weights_reason"),
        (costed(weights_ppm=(PPM,)), "cost.weights_ppm"),
        (costed(factors=(replace(FACTOR, reason=""),)), "cost.factors[0].reason"),
        (costed(factors=(replace(FACTOR, factor_ppm=0),)), "cost.factors[0].factor_ppm"),
        (replace(INPUTS, quality=None), "cost.quality"),
        (replace(INPUTS, quality=quality(None, None, None, None, None, None)), "cost.quality"),
        (
            replace(
                costed(weights_ppm=(0, PPM, 0, 0, 0, 0)), quality=quality(PPM, None, None, None, None, None)
            ),
            "cost.quality",
        ),
    ],
)
def test_an_appraisal_without_its_reasons_or_with_nonsense_is_refused_by_name(
    inputs: Inputs, field: str
) -> None:
    with pytest.raises(AppraisalError) as refused:
        appraise(inputs)
    assert refused.value.field == field
    assert refused.value.remedy


def test_weights_that_are_no_whole_and_sums_past_63_bits_are_refused_by_name() -> None:
    with pytest.raises(AppraisalError, match="undeclared rest 100000"):
        appraise(costed(weights_ppm=(900_000, 0, 0, 0, 0, 0)))
    huge = replace(ITEM, amount_fen=2**63 - 1)
    with pytest.raises(AppraisalError, match="cost: value_fen: must be at most"):
        appraise(costed(items=(huge, huge)))
    wide = Uncertain("cost.items[0].amount_fen", 1, 2**63 - 1, "anything", "nowhere")
    with pytest.raises(AppraisalError, match=r"uncertain: value.*narrow the bounds"):
        appraise(replace(costed(items=(replace(huge, amount_fen=1),), factors=()), uncertain=(wide,)))


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
    factors = (replace(FACTOR, factor_ppm=factor_ppm),)

    def value(scores: Any, *amounts: int) -> int:
        items = tuple(replace(ITEM, amount_fen=each) for each in amounts)
        return appraise(replace(costed(items=items, factors=factors), quality=quality(*scores))).value_fen

    least = value(before, amount)
    assert value(after, amount) >= least
    assert value(before, amount + more) >= least
    assert value(before, amount, more) >= least


@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=9), st.integers(0, PPM), scores.filter(any))
def test_the_value_equals_the_exact_product_rounded_once(
    amounts: list[int], rate: int, given_scores: tuple[int | None, ...]
) -> None:
    """The slow twin: the formula by hand in fractions, rounded once."""
    items = tuple(replace(ITEM, amount_fen=amount) for amount in amounts)
    inputs = replace(costed(items=items, profit_rate_ppm=rate, factors=()), quality=quality(*given_scores))
    cost = sum(amounts) * (1 + Fraction(rate, PPM))
    delta = sum(
        Fraction(weight * (score or 0), PPM * PPM)
        for weight, score in zip(EQUAL_WEIGHTS_PPM, given_scores, strict=True)
    )
    assert appraise(inputs).value_fen == (cost * delta + Fraction(1, 2)).__floor__()


def test_two_reports_that_differ_in_anything_have_different_digests() -> None:
    reports: list[Report] = [
        appraise(INPUTS),
        appraise(replace(INPUTS, purpose="another")),
        appraise(replace(INPUTS, legal=replace(INPUTS.legal, right_term="12 months"))),
        appraise(replace(INPUTS, quality=replace(MEASURED, as_of_us=1))),
        appraise(costed(items=COST.items[::-1])),
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


def test_the_conclusion_is_the_weighted_mean_of_the_approaches() -> None:
    report = appraise(ALL)
    assert len(report.valued) == 8
    exact = Fraction(sum(each.value_fen * each.approach.weight_ppm for each in report.valued), PPM)
    assert report.value_fen == (exact + Fraction(1, 2)).__floor__()


def test_the_sensitivity_is_the_exact_value_at_either_bound_and_the_widest_comes_first() -> None:
    report = appraise(ALL)
    widths = [abs(each.at_high_fen - each.at_low_fen) for each in report.sensitivity]
    assert widths == sorted(widths, reverse=True)
    swing = next(each for each in report.sensitivity if each.parameter == "relief.royalty_ppm")
    for bound, found in ((30_000, swing.at_low_fen), (70_000, swing.at_high_fen)):
        approaches = tuple(
            replace(each, royalty_ppm=bound) if isinstance(each, Relief) else each for each in ALL.approaches
        )
        moved: Any = replace(ALL, approaches=approaches, uncertain=())
        assert appraise(moved).value_fen == found


def test_the_range_surrounds_the_value_and_its_seed_follows_from_the_inputs() -> None:
    report = appraise(ALL)
    assert report.spread is not None
    spread = report.spread
    assert spread.least_fen <= spread.p5_fen < spread.p50_fen < spread.p95_fen <= spread.most_fen
    assert spread.p5_fen < report.value_fen < spread.p95_fen
    assert sum(spread.bins) == spread.draws == 4_000
    assert appraise(replace(ALL, purpose="another")).seed != report.seed


def test_the_pictures_are_drawings_that_name_what_they_show() -> None:
    report = appraise(ALL)
    assert report.spread is not None
    for language, royalty in (("zh", "许可费率"), ("en", "royalty rate")):
        bars = ElementTree.fromstring(tornado(report, language))  # type: ignore[arg-type]  # a Literal in a loop
        said = " ".join(filter(None, (each.text for each in bars.iter())))
        assert royalty in said
        assert f"{report.value_fen // 100:,}" in said
        # Ground, two signs of the legend, and two bars a figure, of which the first meets the second.
        boxes = [each.attrib for each in bars.iter("{http://www.w3.org/2000/svg}rect")]
        assert len(boxes) == 3 + 2 * len(ALL.uncertain)
        widths = [sum(int(box["width"]) for box in boxes[i : i + 2]) for i in range(3, len(boxes), 2)]
        assert widths == sorted(widths, reverse=True)
        curve = ElementTree.fromstring(distribution(report, language))  # type: ignore[arg-type]  # as above
        said = " ".join(filter(None, (each.text for each in curve.iter())))
        for percentile in (report.spread.p5_fen, report.spread.p50_fen, report.spread.p95_fen):
            assert f"{percentile // 100:,}" in said
        heights = [int(each.attrib["height"]) for each in curve.iter("{http://www.w3.org/2000/svg}rect")][1:]
        assert [height == max(heights) for height in heights] == [
            count == max(report.spread.bins) for count in report.spread.bins
        ]
    with pytest.raises(AppraisalError, match="no range to draw"):
        tornado(appraise(INPUTS), "en")


def test_long_labels_are_cut_to_their_room() -> None:
    wide = Uncertain("cost.items[1].amount_fen", 1, 9 * 10**18, "anything", "nowhere")
    items = (ITEM, replace(ITEM, amount_fen=8 * 10**17))
    report = appraise(
        replace(costed(items=items, profit_rate_ppm=0), uncertain=(replace(wide, high=10**18),))
    )
    assert "…" in tornado(report, "zh")


def test_excess_earnings_of_one_stream_are_counted_for_one_asset() -> None:
    first = appraise(replace(INPUTS, approaches=(EXCESS,)))
    again = appraise(replace(INPUTS, approaches=(EXCESS,), purpose="next year"))
    other = appraise(replace(INPUTS, approaches=(replace(EXCESS, stream="Ｔickets  OF line 3"),), asset="B"))
    free = appraise(replace(INPUTS, approaches=(replace(EXCESS, stream="line 4"),), asset="B"))
    assert claims([first, again, free]) == {
        stream_key("tickets of line 3"): INPUTS.asset,
        stream_key("line 4"): "B",
    }
    with pytest.raises(AppraisalError, match=f"counted for {INPUTS.asset} already") as refused:
        claims([first, other])
    assert refused.value.field == "excess.stream"
    # Income that is not what is left of everything else is shared out, and may be looked at for several assets.
    assert appraise(replace(INPUTS, approaches=(INCOMES[0],))).streams == ()


def test_signed_parameters_hold_as_they_were_stated_and_no_others() -> None:
    key = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
    inputs = replace(INPUTS, appraiser="An appraiser", version=3)

    def signed(over: Inputs) -> Signature:
        return Signature(key.public_key().public_bytes_raw().hex(), key.sign(over.parameters).hex())

    report = appraise(inputs, signed(inputs))
    assert require_signature(read_report(report.canonical), ed25519) == report.signature
    # The quality is measured by whoever has the data, and is not the appraiser's.
    remeasured = replace(inputs, quality=quality(PPM, PPM, PPM, PPM, PPM, PPM))
    assert require_signature(appraise(remeasured, signed(inputs)), ed25519)
    for other in (
        replace(inputs, version=4),
        replace(inputs, asset="B"),
        replace(inputs, approaches=(replace(COST, profit_rate_ppm=80_001),)),
    ):
        with pytest.raises(AppraisalError, match="is not the appraiser's"):
            require_signature(appraise(other, signed(inputs)), ed25519)
    with pytest.raises(AppraisalError, match="is not the appraiser's"):
        require_signature(appraise(inputs), ed25519)
    with pytest.raises(AppraisalError, match="appraiser: must be stated"):
        appraise(INPUTS, signed(INPUTS))
    with pytest.raises(AppraisalError, match=r"signature\.public_key"):
        Signature("00", "00" * 64)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=20), st.integers(0, PPM), st.data())
def test_more_income_and_a_lower_rate_never_lower_the_value(
    amounts: list[int], rate: int, data: st.DataObject
) -> None:
    year = data.draw(st.integers(0, len(amounts) - 1))
    lower = data.draw(st.integers(0, rate))

    def value(amounts: list[int], rate: int) -> int:
        direct = Direct(
            reason="r",
            stream="s",
            amounts_fen=tuple(amounts),
            amounts_source="a",
            discount_rate_ppm=rate,
            discount_source="d",
        )
        return appraise(replace(INPUTS, approaches=(direct,))).value_fen

    assert value([*amounts[:year], amounts[year] + 1_000, *amounts[year + 1 :]], rate) >= value(amounts, rate)
    assert value(amounts, lower) >= value(amounts, rate)


def test_the_value_indicators_stand_in_the_report_and_are_not_the_appraisers() -> None:
    table = pa.table({"a": [1, 2, 2]})
    declared = Declaration((Column("a", "integer"),))
    yardstick = Yardstick("the register", ("a",), population=4)
    found = measure_value(table, declared, yardstick, as_of_us=0)
    inputs = replace(INPUTS, indicators=found)
    report = appraise(inputs)
    assert read_report(report.canonical) == report
    assert "样本覆盖面  50.0000 %" in words(report, "zh")
    assert "coverage  50.0000 %" in words(report, "en")
    assert inputs.parameters == INPUTS.parameters
    assert report.digest != appraise(INPUTS).digest


def test_inputs_are_read_from_json_with_what_is_measured_beside_them_or_within() -> None:
    members = json.loads(canonical(INPUTS.to_json()))
    assert Inputs.from_json(members) == INPUTS
    better = quality(PPM, PPM, PPM, PPM, PPM, PPM)
    assert Inputs.from_json(members, quality=better) == replace(INPUTS, quality=better)
    with pytest.raises(AppraisalError, match=r"must be a whole number in decimal, not float 1\.0") as refused:
        Inputs.from_json({**members, "version": 1.0})
    assert refused.value.field == "version"
    # Whole numbers may come as such.
    assert Inputs.from_json({**members, "version": 1}) == INPUTS


def test_income_alone_needs_no_measured_quality() -> None:
    report = appraise(replace(INPUTS, approaches=(INCOMES[0],), quality=None))
    assert "Quality digest" not in words(report, "en")
    assert read_report(report.canonical) == report
