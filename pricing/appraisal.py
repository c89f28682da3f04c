"""What a data asset is worth by the cost approach, as a report that a stranger recomputes from its inputs.

After 数据资产评估指导意见 (中评协〔2023〕17号):

    P = C x δ        P value, C replacement cost, δ coefficient of value adjustment

**C** is itemised: preliminary expense (planning), direct cost (collection, processing, storage, quality),
indirect cost (administration), related taxes, and the opportunity cost, which for public data is the permitted
profit: a rate on the operating cost, that is on everything but the taxes (发改价格〔2025〕65号).

**δ** starts from the quality of the data: the scores of the six dimensions of GB/T 36344 under stated weights.
A dimension that is not measured contributes nothing; who holds that it should not count gives it no weight and
a reason. Factors (remaining economic life, scarcity) then multiply it, each with its reason and source.

The information, legal and value attributes must be present or there is no report, and the choice of the
approach is reasoned. Each step rounds as it says, and every step is monotone: better quality and higher cost
never lower the value. Amounts are fen, rates and coefficients parts per million.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from enum import StrEnum
from hashlib import sha256
from typing import Any, TypeAlias

from pricing.canonical import Json, canonical
from pricing.errors import AppraisalError, PricingError
from pricing.money import (
    PPM,
    Language,
    Rounding,
    divide,
    fen_in_words,
    ppm_in_words,
    quotient,
    require_shares,
    require_whole,
    scale,
)
from pricing.quality import Dimension, Measured, NotMeasured, Quality

FORMAT = "cost-appraisal@1"


class CostKind(StrEnum):
    """The parts of a replacement cost that are spent; the permitted profit is computed, not spent."""

    PLANNING = "planning"
    COLLECTION = "collection"
    PROCESSING = "processing"
    STORAGE = "storage"
    QUALITY = "quality"
    ADMINISTRATION = "administration"
    TAX = "tax"

    def words(self, language: Language) -> str:
        return _COST_ZH[self] if language == "zh" else self.value


_COST_ZH = {
    CostKind.PLANNING: "前期费用·规划",
    CostKind.COLLECTION: "直接成本·采集",
    CostKind.PROCESSING: "直接成本·加工",
    CostKind.STORAGE: "直接成本·存储",
    CostKind.QUALITY: "直接成本·质量",
    CostKind.ADMINISTRATION: "间接成本·管理",
    CostKind.TAX: "相关税费",
}


@dataclass(frozen=True, slots=True)
class CostItem:
    """One cost with what it was for and where the figure comes from (a contract, an account, a quotation)."""

    kind: CostKind
    amount_fen: int
    description: str
    source: str


@dataclass(frozen=True, slots=True)
class InformationAttributes:
    """信息属性 of the guideline; every one must be given."""

    name: str = ""
    structure: str = ""
    dictionary: str = ""
    scale: str = ""
    period: str = ""
    frequency: str = ""
    storage: str = ""


@dataclass(frozen=True, slots=True)
class LegalAttributes:
    """法律属性 of the guideline; every one must be given ("none" is an answer to `right_limits`)."""

    authorizing_party: str = ""
    right_holder: str = ""
    right_path: str = ""
    right_kind: str = ""
    right_scope: str = ""
    right_term: str = ""
    right_limits: str = ""


@dataclass(frozen=True, slots=True)
class ValueAttributes:
    """价值属性 of the guideline; every one must be given."""

    region: str = ""
    industry: str = ""
    cost: str = ""
    scenario: str = ""
    quality: str = ""
    scarcity: str = ""


_ATTRIBUTE_ZH = {
    "information": "信息属性",
    "legal": "法律属性",
    "value": "价值属性",
    "information.name": "数据名称",
    "information.structure": "数据结构",
    "information.dictionary": "数据字典",
    "information.scale": "数据规模",
    "information.period": "数据周期",
    "information.frequency": "产生频率",
    "information.storage": "存储方式",
    "legal.authorizing_party": "授权主体",
    "legal.right_holder": "产权持有人",
    "legal.right_path": "权利路径",
    "legal.right_kind": "权利类型",
    "legal.right_scope": "权利范围",
    "legal.right_term": "权利期限",
    "legal.right_limits": "权利限制",
    "value.region": "覆盖地域",
    "value.industry": "所属行业",
    "value.cost": "成本信息",
    "value.scenario": "应用场景",
    "value.quality": "数据质量",
    "value.scarcity": "稀缺性及可替代性",
}


@dataclass(frozen=True, slots=True)
class Factor:
    """One more multiplier of δ, such as the share of the economic life that remains."""

    name: str
    factor_ppm: int
    reason: str
    source: str


EQUAL_WEIGHTS_PPM = tuple(divide(PPM, [1] * len(Dimension)))


@dataclass(frozen=True, slots=True)
class Adjustment:
    """How δ comes about: a weight for each dimension of quality in the order of `Dimension`, and factors."""

    weights_reason: str
    weights_ppm: tuple[int, ...] = EQUAL_WEIGHTS_PPM
    factors: tuple[Factor, ...] = ()


@dataclass(frozen=True, slots=True)
class CostInputs:
    """All that a cost appraisal rests on. `valued_on` is the valuation date (评估基准日), ISO 8601."""

    asset: str
    purpose: str
    valued_on: str
    approach_reason: str
    items: tuple[CostItem, ...]
    profit_rate_ppm: int
    profit_source: str
    quality: Quality
    adjustment: Adjustment
    information: InformationAttributes
    legal: LegalAttributes
    value: ValueAttributes

    def to_json(self) -> dict[str, Json]:
        return {
            "adjustment": asdict(self.adjustment),
            "approach_reason": self.approach_reason,
            "asset": self.asset,
            "information": asdict(self.information),
            "items": [asdict(item) for item in self.items],
            "legal": asdict(self.legal),
            "profit_rate_ppm": self.profit_rate_ppm,
            "profit_source": self.profit_source,
            "purpose": self.purpose,
            "quality": self.quality.to_json(),
            "value": asdict(self.value),
            "valued_on": self.valued_on,
        }


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the computation: what it gives, by which formula, how rounded. `unit` is fen or ppm."""

    name: str
    formula: str
    rounding: Rounding
    result: int
    unit: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why δ is what it is, one contribution at a time, in both languages."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class CostReport:
    """The appraisal: inputs, steps, reasons, value. Equal inputs give equal bytes and one digest."""

    inputs: CostInputs
    steps: tuple[Step, ...]
    reasons: tuple[Reason, ...]
    replacement_cost_fen: int
    delta_ppm: int
    value_fen: int

    def to_json(self) -> dict[str, Json]:
        return {
            "approach": "cost",
            "delta_ppm": self.delta_ppm,
            "format": FORMAT,
            "formula": "P = C x δ",
            "inputs": self.inputs.to_json(),
            "reasons": [asdict(reason) for reason in self.reasons],
            "replacement_cost_fen": self.replacement_cost_fen,
            "source": "中评协〔2023〕17号",
            "steps": [asdict(step) for step in self.steps],
            "value_fen": self.value_fen,
        }

    @property
    def canonical(self) -> bytes:
        return canonical(self.to_json())

    @property
    def digest(self) -> str:
        return sha256(self.canonical).hexdigest()

    def words(self, language: Language) -> str:
        """The whole report as plain text for a reader."""
        return _words(self, language)


_Attributes: TypeAlias = "InformationAttributes | LegalAttributes | ValueAttributes"


def _attributes(inputs: CostInputs) -> list[tuple[str, _Attributes]]:
    return [("information", inputs.information), ("legal", inputs.legal), ("value", inputs.value)]


def missing_attributes(inputs: CostInputs) -> tuple[str, ...]:
    """The attributes of the guideline that are blank, each as `group.name`; with any of them there is no report."""
    return tuple(
        f"{group}.{field.name}"
        for group, attributes in _attributes(inputs)
        for field in fields(attributes)
        if not getattr(attributes, field.name).strip()
    )


def attribute_words(name: str, language: Language) -> str:
    """An attribute of the guideline by its name there."""
    return _ATTRIBUTE_ZH[name] if language == "zh" else name.rpartition(".")[2].replace("_", " ")


def appraise(inputs: CostInputs) -> CostReport:
    """Value by the cost approach, or AppraisalError naming what is missing or cannot be."""
    _require_reasons(inputs)
    quality_ppm, reasons = _quality_coefficient(inputs)
    operating_fen = _sum(item.amount_fen for item in inputs.items if item.kind is not CostKind.TAX)
    tax_fen = _sum(item.amount_fen for item in inputs.items if item.kind is CostKind.TAX)
    profit_fen = scale(operating_fen, inputs.profit_rate_ppm, Rounding.HALF_UP)
    cost_fen = require_whole(operating_fen + profit_fen + tax_fen, "replacement_cost_fen")
    steps = [
        Step("operating cost", "sum of the items but tax", Rounding.EXACT, operating_fen, "fen"),
        Step("permitted profit", "operating cost x profit rate", Rounding.HALF_UP, profit_fen, "fen"),
        Step("related taxes", "sum of the tax items", Rounding.EXACT, tax_fen, "fen"),
        Step("C", "operating cost + permitted profit + related taxes", Rounding.EXACT, cost_fen, "fen"),
        Step("quality", "sum of weight x score", Rounding.DOWN, quality_ppm, "ppm"),
    ]
    delta_ppm = quality_ppm
    for factor in inputs.adjustment.factors:
        delta_ppm = scale(delta_ppm, factor.factor_ppm, Rounding.HALF_UP)
        steps.append(Step(f"x {factor.name}", "the line above x factor", Rounding.HALF_UP, delta_ppm, "ppm"))
        figure = ppm_in_words(factor.factor_ppm)
        reasons.append(
            Reason(
                f"{factor.name} 调整 {figure}:{factor.reason}(依据:{factor.source})",
                f"{factor.name} adjusts by {figure}: {factor.reason} (source: {factor.source})",
            )
        )
    value_fen = scale(cost_fen, delta_ppm, Rounding.HALF_UP)
    steps += [
        Step("δ", "the line above", Rounding.EXACT, delta_ppm, "ppm"),
        Step("P", "C x δ", Rounding.HALF_UP, value_fen, "fen"),
    ]
    return CostReport(inputs, tuple(steps), tuple(reasons), cost_fen, delta_ppm, value_fen)


def _sum(amounts: Iterable[int]) -> int:
    return require_whole(sum(amounts), "items")


def _require_reasons(inputs: CostInputs) -> None:
    """All that must be said before anything is computed."""
    if missing := missing_attributes(inputs):
        names = ", ".join(f"{name} {attribute_words(name, 'zh')}" for name in missing)
        raise AppraisalError(
            field=missing[0],
            rule=f"information, legal and value attributes must be present (中评协〔2023〕17号); missing: {names}",
            remedy="give each of them",
        )
    said: list[tuple[str, str]] = [
        ("asset", inputs.asset),
        ("purpose", inputs.purpose),
        ("approach_reason", inputs.approach_reason),
        ("profit_source", inputs.profit_source),
        ("adjustment.weights_reason", inputs.adjustment.weights_reason),
    ]
    for i, item in enumerate(inputs.items):
        said += [(f"items[{i}].description", item.description), (f"items[{i}].source", item.source)]
        require_whole(item.amount_fen, f"items[{i}].amount_fen", error=AppraisalError)
    for i, factor in enumerate(inputs.adjustment.factors):
        name = f"adjustment.factors[{i}]"
        said += [
            (f"{name}.name", factor.name),
            (f"{name}.reason", factor.reason),
            (f"{name}.source", factor.source),
        ]
        require_whole(factor.factor_ppm, f"{name}.factor_ppm", least=1, error=AppraisalError)
    for field, text in said:
        if not text.strip():
            raise AppraisalError(
                field=field, rule="must be stated", remedy="write it: what has no reason cannot be checked"
            )
    if not inputs.items:
        raise AppraisalError(field="items", rule="must hold at least one cost", remedy="itemise the cost")
    require_whole(inputs.profit_rate_ppm, "profit_rate_ppm", most=PPM, error=AppraisalError)
    try:
        written = date.fromisoformat(inputs.valued_on).isoformat() == inputs.valued_on
    except ValueError:
        written = False
    if not written:
        raise AppraisalError(
            field="valued_on",
            rule=f"must be a date as in 2026-01-31, not {inputs.valued_on!r}",
            remedy="give the valuation date",
        )


def _quality_coefficient(inputs: CostInputs) -> tuple[int, list[Reason]]:
    weights = inputs.adjustment.weights_ppm
    if len(weights) != len(Dimension):
        raise AppraisalError(
            field="adjustment.weights_ppm",
            rule=f"must be {len(Dimension)} weights, not {len(weights)}",
            remedy="weigh each dimension, with 0 where it is not to count",
        )
    require_shares(weights)
    weighed = list(zip(weights, inputs.quality.dimensions, strict=True))
    if not any(weight and isinstance(each, Measured) for weight, each in weighed):
        raise AppraisalError(
            field="quality",
            rule="no dimension with a weight is measured, so nothing supports a value",
            remedy="declare rules for the data and measure again",
        )
    weighted, reasons = 0, []
    for weight, each in weighed:
        zh, en, share = each.dimension.words("zh"), each.dimension.words("en"), ppm_in_words(weight)
        if isinstance(each, NotMeasured):
            reasons.append(
                Reason(
                    f"{zh}未计算({each.words('zh')}),权重 {share},计 0",
                    f"{en} is not measured ({each.words('en')}); weight {share}, counts 0",
                )
            )
            continue
        weighted += weight * each.score_ppm
        score = ppm_in_words(each.score_ppm)
        reasons.append(Reason(f"{zh} {score},权重 {share}", f"{en} {score}, weight {share}"))
    return quotient(weighted, PPM, Rounding.DOWN), reasons


def recompute(report: CostReport) -> CostReport:
    """Appraise again from the report's own inputs; AppraisalError names the first member that differs."""
    again = appraise(report.inputs)
    theirs = report.to_json()
    for name, ours in again.to_json().items():
        if theirs[name] != ours:
            raise AppraisalError(
                field=name,
                rule=f"the inputs give {ours!r}, the report says {theirs[name]!r}",
                remedy="do not rely on the report",
            )
    return again


def read_report(written: bytes) -> CostReport:
    """Read a report's canonical bytes as a stranger: take the inputs alone, appraise, and compare every byte.

    AppraisalError when it does not read or when anything but the inputs' own consequence stands in it.
    """
    try:
        report = appraise(_read_inputs(json.loads(written)["inputs"]))
    except PricingError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as unreadable:
        raise AppraisalError(
            field="report",
            rule=f"cannot be read: {unreadable!r}",
            remedy="give the bytes as they were published",
        ) from None
    if report.canonical != written:
        raise AppraisalError(
            field="report",
            rule=f"its inputs give digest {report.digest}, its bytes {sha256(written).hexdigest()}",
            remedy="do not rely on the report",
        )
    return report


def _read_inputs(members: Mapping[str, Any]) -> CostInputs:
    adjustment = members["adjustment"]
    return CostInputs(
        asset=members["asset"],
        purpose=members["purpose"],
        valued_on=members["valued_on"],
        approach_reason=members["approach_reason"],
        items=tuple(
            CostItem(CostKind(item["kind"]), int(item["amount_fen"]), item["description"], item["source"])
            for item in members["items"]
        ),
        profit_rate_ppm=int(members["profit_rate_ppm"]),
        profit_source=members["profit_source"],
        quality=Quality.from_json(members["quality"]),
        adjustment=Adjustment(
            adjustment["weights_reason"],
            tuple(map(int, adjustment["weights_ppm"])),
            tuple(
                Factor(factor["name"], int(factor["factor_ppm"]), factor["reason"], factor["source"])
                for factor in adjustment["factors"]
            ),
        ),
        information=InformationAttributes(**members["information"]),
        legal=LegalAttributes(**members["legal"]),
        value=ValueAttributes(**members["value"]),
    )


_STEP_ZH = {
    "operating cost": ("运营成本", "除税费外各项之和"),
    "permitted profit": ("准许利润(机会成本)", "运营成本 x 准许利润率"),
    "related taxes": ("相关税费", "税费各项之和"),
    "C": ("重置成本 C", "运营成本 + 准许利润 + 相关税费"),
    "quality": ("质量系数", "Σ 权重 x 得分"),
    "δ": ("价值调整系数 δ", "上一行"),
    "P": ("评估价值 P", "C x δ"),
}
_ROUNDING_ZH = {
    Rounding.EXACT: "不舍入",
    Rounding.DOWN: "向下舍入",
    Rounding.UP: "向上舍入",
    Rounding.HALF_UP: "四舍五入",
    Rounding.HALF_EVEN: "四舍六入五成双",
}


def _words(report: CostReport, language: Language) -> str:
    """The report in the order in which the guideline asks for it."""
    inputs = report.inputs
    zh = language == "zh"
    lines = ["数据资产评估报告(成本法)" if zh else "Data asset appraisal (cost approach)", ""]

    def tell(name_zh: str, name_en: str, text: str) -> None:
        lines.append(f"{name_zh}:{text}" if zh else f"{name_en}: {text}")

    def head(name_zh: str, name_en: str) -> None:
        lines.extend(["", name_zh if zh else name_en])

    tell("评估对象", "Asset", inputs.asset)
    tell("评估目的", "Purpose", inputs.purpose)
    tell("评估基准日", "Valuation date", inputs.valued_on)
    tell("方法选择理由", "Why this approach", inputs.approach_reason)
    tell("依据", "After", "《数据资产评估指导意见》(中评协〔2023〕17号)")
    for group, attributes in _attributes(inputs):
        head(attribute_words(group, "zh"), f"{group.capitalize()} attributes")
        for field in fields(attributes):
            name = f"{group}.{field.name}"
            tell(
                "  " + attribute_words(name, "zh"),
                "  " + attribute_words(name, "en"),
                getattr(attributes, field.name),
            )
    head("成本明细", "Costs")
    for item in inputs.items:
        amount, source = fen_in_words(item.amount_fen, language), "来源" if zh else "source"
        lines.append(f"  {item.kind.words(language)}  {amount}  {item.description} ({source}: {item.source})")
    rate = ppm_in_words(inputs.profit_rate_ppm)
    tell("  准许利润率", "  permitted profit rate", f"{rate} ({inputs.profit_source})")
    head("价值调整", "Adjustment of value")
    tell("  权重理由", "  why these weights", inputs.adjustment.weights_reason)
    lines += [f"  {reason.zh if zh else reason.en}" for reason in report.reasons]
    head("计算步骤 P = C x δ", "Computation, P = C x δ")
    for step in report.steps:
        name, formula = step.name, step.formula
        if zh:
            name, formula = _STEP_ZH.get(name, (name, "上一行 x 系数"))
        result = fen_in_words(step.result, language) if step.unit == "fen" else ppm_in_words(step.result)
        rounding = _ROUNDING_ZH[step.rounding] if zh else step.rounding.value
        lines.append(f"  {name} = {result}  ({formula}; {rounding})")
    lines.append("")
    tell("评估结论", "Value", fen_in_words(report.value_fen, language))
    tell("质量结果摘要", "Quality digest", inputs.quality.digest)
    tell("报告摘要", "Report digest", report.digest)
    return "\n".join(lines)
