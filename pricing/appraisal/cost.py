"""The cost approach: P = C x δ, what it would cost to make the data again, adjusted for what it is worth now.

**C** is itemised: preliminary expense (planning), direct cost (collection, processing, storage, quality),
indirect cost (administration), related taxes, and the opportunity cost, which for public data is the permitted
profit: a rate on the operating cost, that is on everything but the taxes (发改价格〔2025〕65号).

**δ** starts from the quality of the data: the scores of the six dimensions of GB/T 36344 under weights that are
stated, or follow from judgements in pairs (`pricing.weights.ahp`). A dimension that is not measured contributes
nothing; who holds that it should not count gives it no weight and a reason. Factors (remaining economic life,
scarcity) then multiply it, each with its reason and source. Every step is monotone: better quality and higher cost
never lower the value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from pricing.appraisal.approaches import (
    Approach,
    Figures,
    Number,
    Reason,
    Tell,
    require_figure,
    require_some,
    texts,
)
from pricing.errors import AppraisalError, PricingError
from pricing.money import PPM, Language, divide, ppm_in_words, require_shares
from pricing.quality import Dimension, Measured, NotMeasured, Quality
from pricing.weights import Judgement, Priorities, ahp

EQUAL_WEIGHTS_PPM = tuple(divide(PPM, [1] * len(Dimension)))


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
class Factor:
    """One more multiplier of δ, such as the share of the economic life that remains."""

    name: str
    factor_ppm: int
    reason: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost(Approach):
    """P = C x δ. The weights are of the six dimensions in the order of GB/T 36344.

    Instead of `weights_ppm` there may be `judgements`, one for each pair of dimensions by their English names.
    """

    approach: ClassVar[str] = "cost"
    formula: ClassVar[str] = "P = C x δ"
    names: ClassVar[tuple[str, str]] = ("成本法", "cost approach")

    items: tuple[CostItem, ...]
    profit_rate_ppm: int
    profit_source: str
    weights_reason: str
    weights_ppm: tuple[int, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    factors: tuple[Factor, ...] = ()

    def priorities(self) -> Priorities | None:
        """What the judgements come to, None where the weights are stated."""
        return ahp([each.value for each in Dimension], self.judgements) if self.judgements else None

    def weights(self) -> tuple[int, ...]:
        """The weight of each dimension; where none is stated all weigh the same."""
        judged = self.priorities()
        return judged.weights_ppm if judged else self.weights_ppm or EQUAL_WEIGHTS_PPM

    def said(self) -> Iterator[tuple[str, str]]:
        yield from Approach.said(self)
        yield "profit_source", self.profit_source
        yield "weights_reason", self.weights_reason
        for i, item in enumerate(self.items):
            yield from texts(item, f"items[{i}]")
        for i, factor in enumerate(self.factors):
            yield from texts(factor, f"factors[{i}]")

    def check(self, quality: Quality | None) -> None:
        Approach.check(self, quality)
        require_some(self.items, "items")
        for i, item in enumerate(self.items):
            require_figure(item.amount_fen, f"items[{i}].amount_fen")
        require_figure(self.profit_rate_ppm, "profit_rate_ppm", most=PPM)
        for i, factor in enumerate(self.factors):
            require_figure(factor.factor_ppm, f"factors[{i}].factor_ppm", least=1)
        if self.judgements and self.weights_ppm:
            raise AppraisalError(
                field="judgements",
                rule="weights are either stated or judged in pairs",
                remedy="leave out the one or the other",
            )
        if self.weights_ppm and len(self.weights_ppm) != len(Dimension):
            raise AppraisalError(
                field="weights_ppm",
                rule=f"must be {len(Dimension)} weights, not {len(self.weights_ppm)}",
                remedy="weigh each dimension, with 0 where it is not to count",
            )
        try:
            require_shares(self.weights())
        except PricingError as refused:
            prefix = "judgements: " if self.judgements else "weights_ppm: "
            raise AppraisalError(
                field=prefix + refused.field, rule=refused.rule, remedy=refused.remedy
            ) from refused
        if quality is None or not any(
            weight and isinstance(each, Measured)
            for weight, each in zip(self.weights(), quality.dimensions, strict=True)
        ):
            raise AppraisalError(
                field="quality",
                rule="no dimension with a weight is measured, so nothing supports a value",
                remedy="declare rules for the data and measure it (`exchange appraise --data TABLE`)",
            )

    def figures(self) -> dict[str, int]:
        return {
            **{f"items[{i}].amount_fen": item.amount_fen for i, item in enumerate(self.items)},
            "profit_rate_ppm": self.profit_rate_ppm,
            **{f"factors[{i}].factor_ppm": factor.factor_ppm for i, factor in enumerate(self.factors)},
        }

    def most(self, path: str) -> int:
        return PPM if path == "profit_rate_ppm" else Approach.most(self, path)

    def value(self, at: Figures, quality: Quality | None, tell: Tell) -> Number:
        assert quality is not None
        operating: Number = at.number(0)
        tax: Number = at.number(0)
        for i, item in enumerate(self.items):
            amount = at[f"items[{i}].amount_fen"]
            if item.kind is CostKind.TAX:
                tax = tax + amount
            else:
                operating = operating + amount
        profit = operating * at["profit_rate_ppm"] / PPM
        cost = operating + profit + tax
        tell("运营成本", "operating cost", ("除税费外各项之和", "sum of the items but tax"), operating)
        tell(
            "准许利润(机会成本)",
            "permitted profit",
            ("运营成本 x 准许利润率", "operating cost x profit rate"),
            profit,
        )
        tell("相关税费", "related taxes", ("税费各项之和", "sum of the tax items"), tax)
        tell("重置成本 C", "replacement cost C", ("以上三项之和", "sum of the three above"), cost)
        scores = [each.score_ppm if isinstance(each, Measured) else 0 for each in quality.dimensions]
        weighted = sum(weight * score for weight, score in zip(self.weights(), scores, strict=True))
        delta: Number = at.number(weighted) / PPM**2
        tell("质量系数", "quality", ("Σ 权重 x 得分", "Σ weight x score"), delta * PPM, "ppm")
        for i, factor in enumerate(self.factors):
            delta = delta * at[f"factors[{i}].factor_ppm"] / PPM
            tell(
                f"x {factor.name}",
                f"x {factor.name}",
                ("上一行 x 系数", "the line above x factor"),
                delta * PPM,
                "ppm",
            )
        tell("价值调整系数 δ", "coefficient δ", ("上一行", "the line above"), delta * PPM, "ppm")
        return cost * delta

    def reasons(self, quality: Quality | None) -> tuple[Reason, ...]:
        assert quality is not None
        reasons = []
        judged = self.priorities()
        if judged:
            ratio = ppm_in_words(judged.consistency_ppm)
            reasons.append(
                Reason(
                    f"权重由两两比较得出,一致性比例 {ratio}",
                    f"weights from judgements in pairs, consistency ratio {ratio}",
                )
            )
        for weight, each in zip(self.weights(), quality.dimensions, strict=True):
            zh, en, share = each.dimension.words("zh"), each.dimension.words("en"), ppm_in_words(weight)
            if isinstance(each, NotMeasured):
                reasons.append(
                    Reason(
                        f"{zh}未计算({each.words('zh')}),权重 {share},计 0",
                        f"{en} is not measured ({each.words('en')}); weight {share}, counts 0",
                    )
                )
                continue
            score = ppm_in_words(each.score_ppm)
            reasons.append(Reason(f"{zh} {score},权重 {share}", f"{en} {score}, weight {share}"))
        for factor in self.factors:
            figure = ppm_in_words(factor.factor_ppm)
            reasons.append(
                Reason(
                    f"{factor.name} 调整 {figure}:{factor.reason}(依据:{factor.source})",
                    f"{factor.name} adjusts by {figure}: {factor.reason} (source: {factor.source})",
                )
            )
        return tuple(reasons)
