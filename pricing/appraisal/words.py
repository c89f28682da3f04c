"""The report as text for a reader, in the order in which the guideline asks for it, in Chinese or English."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

from pricing.appraisal.approaches import Approach, Step
from pricing.appraisal.attributes import attribute_words
from pricing.appraisal.cost import CostKind
from pricing.appraisal.report import Report, Swing, Valued
from pricing.money import Language, Rounding, fen_in_words, ppm_in_words
from pricing.monte_carlo import GENERATOR, Spread

_ROUNDING_ZH: Final = {Rounding.EXACT: "不舍入", Rounding.HALF_UP: "四舍五入"}
_ROUNDING_EN: Final = {Rounding.EXACT: "exact", Rounding.HALF_UP: "rounded half up"}

FIGURES: Final[Mapping[str, tuple[str, str]]] = {
    "amount_fen": ("金额", "amount"),
    "amounts_fen": ("各年金额", "amounts by year"),
    "amounts_source": ("金额来源", "source of the amounts"),
    "amortisation_years": ("摊销年限", "years of amortisation"),
    "asset_fen": ("贡献资产价值", "value of the contributing asset"),
    "capacity_ppm": ("容量系数", "capacity"),
    "charges": ("贡献资产", "contributing assets"),
    "comparables": ("可比案例", "comparables"),
    "date_ppm": ("期日系数", "date"),
    "discount_rate_ppm": ("折现率", "discount rate"),
    "discount_source": ("折现率来源", "source of the discount rate"),
    "factor_ppm": ("系数", "factor"),
    "factors": ("调整系数", "factors"),
    "items": ("成本明细", "costs"),
    "judgements": ("两两比较", "judgements in pairs"),
    "level_ppm": ("水平系数", "level of all years"),
    "other_ppm": ("其他系数", "other"),
    "others": ("其他资产", "other assets"),
    "profit_rate_ppm": ("准许利润率", "permitted profit rate"),
    "profit_source": ("利润率来源", "source of the profit rate"),
    "quality_ppm": ("质量系数", "quality"),
    "return_ppm": ("要求回报率", "required return"),
    "royalty_ppm": ("许可费率", "royalty rate"),
    "royalty_source": ("许可费率来源", "source of the royalty rate"),
    "share_ppm": ("分成率", "share"),
    "share_source": ("分成率来源", "source of the share"),
    "stream": ("收益来源", "stream of income"),
    "supply_ppm": ("供求系数", "supply and demand"),
    "tax_rate_ppm": ("税率", "tax rate"),
    "timing": ("收益时点", "timing of the money"),
    "upfront_fen": ("入门费", "fee saved at the start"),
    "value_fen": ("价值", "value"),
    "weight_ppm": ("权重", "weight"),
    "weights_ppm": ("质量权重", "weights of quality"),
    "weights_reason": ("权重理由", "why these weights"),
    "whole_fen": ("整体价值", "value of the whole"),
    "whole_source": ("整体价值来源", "source of the whole"),
    "without_fen": ("无该数据时的收益", "income without the data"),
    "without_source": ("该收益来源", "source of that income"),
}
"""What the members of approaches are called, in zh and en."""

_LEFT_OUT: Final = ("reason", "weight_ppm")
_TIMING_ZH: Final = {"end": "年末", "mid": "年中"}
_SHAPE_ZH: Final = {"triangular": "三角分布", "uniform": "均匀分布"}


def figure_words(parameter: str, approaches: Mapping[str, Approach], language: Language) -> str:
    """A figure by its path for a reader: `direct.amounts_fen[0]` is "direct income: amounts by year 1"."""
    kind, _, path = parameter.partition(".")
    said = []
    for part in path.split("."):
        name, _, index = part.rstrip("]").partition("[")
        found = FIGURES[name][language == "en"]
        said.append(f"{found} {int(index) + 1}" if index else found)
    short = approaches[kind].name(language).replace("income approach, ", "").replace("收益法·", "")
    return f"{short}:{'·'.join(said)}" if language == "zh" else f"{short}: {', '.join(said)}"


def words(report: Report, language: Language) -> str:
    """The whole report as plain text."""
    return "\n".join(_lines(report, language))


def _lines(report: Report, language: Language) -> Iterator[str]:
    inputs, zh = report.inputs, language == "zh"

    def line(name_zh: str, name_en: str, text: str, indent: str = "") -> str:
        return f"{indent}{name_zh}:{text}" if zh else f"{indent}{name_en}: {text}"

    yield "数据资产评估报告" if zh else "Data asset appraisal"
    yield ""
    yield line("评估对象", "Asset", inputs.asset)
    yield line("评估目的", "Purpose", inputs.purpose)
    yield line("评估基准日", "Valuation date", inputs.valued_on)
    yield line("依据", "After", "《数据资产评估指导意见》(中评协〔2023〕17号)")
    if inputs.appraiser:
        yield line("评估人", "Appraiser", inputs.appraiser)
    yield line("参数版本", "Version of the parameters", str(inputs.version))
    for group, attributes in inputs.groups:
        yield ""
        yield attribute_words(group, "zh") if zh else f"{group.capitalize()} attributes"
        for field in fields(attributes):
            name = f"{group}.{field.name}"
            said = getattr(attributes, field.name)
            yield line(attribute_words(name, "zh"), attribute_words(name, "en"), said, "  ")
    if inputs.indicators is not None:
        yield ""
        yield (
            f"价值指标({inputs.indicators.standard})"
            if zh
            else f"Value indicators ({inputs.indicators.standard})"
        )
        yield from (f"  {said}" for said in inputs.indicators.words(language).splitlines())
    for each in report.valued:
        yield ""
        yield from _approach(each, language)
    if len(report.valued) > 1:
        yield ""
        yield line("权重理由", "Why these weights", inputs.weighting_reason)
        for each in report.valued:
            share = ppm_in_words(each.approach.weight_ppm)
            yield f"  {each.approach.name(language)}  {fen_in_words(each.value_fen, language)} x {share}"
    if report.spread is not None:
        yield ""
        yield from _sensitivity(report, language)
        yield ""
        yield from _range(report.spread, report.seed, language)
    yield ""
    yield line("评估结论", "Value", fen_in_words(report.value_fen, language))
    if inputs.quality is not None:
        yield line("质量结果摘要", "Quality digest", inputs.quality.digest)
    yield line("参数摘要", "Parameters digest", str(report.to_json()["parameters_digest"]))
    yield line("报告摘要", "Report digest", report.digest)


def _approach(valued: Valued, language: Language) -> Iterator[str]:
    approach, zh = valued.approach, language == "zh"
    yield f"{approach.name(language)}  {approach.formula}"
    yield f"  方法选择理由:{approach.reason}" if zh else f"  Why this approach: {approach.reason}"
    for field in fields(approach):
        if field.name not in _LEFT_OUT:
            yield from _member(field.name, getattr(approach, field.name), language)
    for reason in valued.reasons:
        yield f"  {reason.zh if zh else reason.en}"
    for step in valued.steps:
        yield f"  {_step(step, language)}"


def _member(name: str, member: Any, language: Language) -> Iterator[str]:
    """One input of an approach; what is empty says nothing."""
    label = FIGURES[name][language == "en"]
    colon = ":" if language == "zh" else ": "
    if isinstance(member, tuple) and member and is_dataclass(member[0]):
        yield f"  {label}"
        for i, record in enumerate(member, start=1):
            parts = [_part(field.name, getattr(record, field.name), language) for field in fields(record)]
            yield f"    {i}. {'  '.join(parts)}"
    elif member not in ("", ()):
        yield f"  {label}{colon}{_figure(name, member, language)}"


def _part(name: str, member: Any, language: Language) -> str:
    """One member of a record: a rate with its name, because there may be several, the rest as it is."""
    said = _figure(name, member, language)
    return f"{FIGURES[name][language == 'en']} {said}" if name.endswith("_ppm") else said


def _figure(name: str, member: Any, language: Language) -> str:
    match member:
        case CostKind():
            return member.words(language)
        case tuple():
            return ", ".join(_figure(name, each, language) for each in member)
        case int() if name.endswith("_fen"):
            return fen_in_words(member, language)
        case int() if name.endswith("_ppm"):
            return ppm_in_words(member)
        case str() if name == "timing" and language == "zh":
            return _TIMING_ZH[member]
        case _:
            return str(member)


def _step(step: Step, language: Language) -> str:
    zh = language == "zh"
    name, formula = (step.zh, step.formula_zh) if zh else (step.en, step.formula_en)
    rounding = (_ROUNDING_ZH if zh else _ROUNDING_EN)[step.rounding]
    return f"{name} = {step_result(step, language)}  ({formula}; {rounding})"


def step_result(step: Step, language: Language) -> str:
    """What a step gives, in its unit."""
    return fen_in_words(step.result, language) if step.unit == "fen" else ppm_in_words(step.result)


def _sensitivity(report: Report, language: Language) -> Iterator[str]:
    zh = language == "zh"
    colon = ":" if zh else ": "
    yield "敏感性(其余参数不变)" if zh else "Sensitivity (the other figures as stated)"
    approaches = {each.approach.approach: each.approach for each in report.valued}
    uncertain = {each.parameter: each for each in report.inputs.uncertain}
    for swing in report.sensitivity:
        stated = uncertain[swing.parameter]
        yield f"  {figure_words(swing.parameter, approaches, language)}  {swing_bounds(swing, language)}"
        low, high = fen_in_words(swing.at_low_fen, language), fen_in_words(swing.at_high_fen, language)
        source = (
            f"{stated.reason}(依据:{stated.source})" if zh else f"{stated.reason} (source: {stated.source})"
        )
        shape = _SHAPE_ZH[stated.shape] if zh else stated.shape
        yield f"    {low} … {high}  {shape}{colon}{source}"


def swing_bounds(swing: Swing, language: Language) -> str:
    """The bounds of an uncertain figure around what is stated, in its unit."""
    unit = swing.parameter.partition("[")[0] if swing.parameter.endswith("]") else swing.parameter
    low, base, high = (_figure(unit, bound, language) for bound in (swing.low, swing.base, swing.high))
    return f"{low} ≤ {base} ≤ {high}"


def _range(spread: Spread, seed: str, language: Language) -> Iterator[str]:
    zh = language == "zh"
    yield f"价值区间({spread.draws:,} 次抽样)" if zh else f"Range of the value ({spread.draws:,} draws)"
    for name, amount in (
        ("P5", spread.p5_fen),
        ("P50", spread.p50_fen),
        ("P95", spread.p95_fen),
        ("均值" if zh else "mean", spread.mean_fen),
    ):
        yield f"  {name}  {fen_in_words(amount, language)}"
    yield f"  随机种子({GENERATOR}):{seed}" if zh else f"  Seed ({GENERATOR}): {seed}"
