"""The income approach: what the data brings in over its remaining economic life, as if it came today.

    P = (Σ Fₜ / (1 + r)ᵗ) x level x (1 - tax) x benefit        t = 1 … n; t - 1/2 where money comes mid-year

The five ways to Fₜ (中评协〔2023〕17号 and 资产评估专家指引第9号):

    direct        Fₜ = net income of the data itself
    share         Fₜ = income of what the data is used in x share of the data
    relief        Fₜ = revenue x royalty rate that an owner need not pay; and a fee saved at the start
    excess        Fₜ = earnings - Σ value of each contributing asset x its required return (MPEEM)
    incremental   Fₜ = income with the data - income without

`level` moves all years together (a million: as they stand), for ranges in which a bad year means bad years. `tax`
is zero where the figures are net of it. Who buys the asset may write it off: with `amortisation_years` n the value
carries the benefit 1 / (1 - tax x annuity(n) / n). The life is finite: a right to data ends, so no value beyond it
is counted.

The excess earnings of one stream belong to one asset. So a stream has an identifier, and `pricing.appraisal.claims`
refuses to count one twice.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pricing.appraisal.approaches import (
    ITEMS_LIMIT,
    YEARS_LIMIT,
    Approach,
    Figures,
    Number,
    Tell,
    require_figure,
    require_some,
    root,
    texts,
)
from pricing.errors import AppraisalError
from pricing.money import PPM
from pricing.quality import Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class Income(Approach):
    """What all ways have in common. `amounts_fen` are the years' figures, the first of the year after valuation.

    `stream` names the income, such as "ticket sales of line 3": the same words wherever the same income is meant.
    """

    flow: ClassVar[str]
    """How Fₜ comes about, in signs."""

    stream: str
    amounts_fen: tuple[int, ...]
    amounts_source: str
    discount_rate_ppm: int
    discount_source: str
    tax_rate_ppm: int = 0
    timing: Literal["end", "mid"] = "end"
    amortisation_years: int = 0
    level_ppm: int = PPM

    @abstractmethod
    def flows(self, at: Figures) -> list[Number]:
        """Fₜ before tax, year by year."""

    def said(self) -> Iterator[tuple[str, str]]:
        yield from Approach.said(self)
        yield "stream", self.stream
        yield "amounts_source", self.amounts_source
        yield "discount_source", self.discount_source

    def check(self, quality: Quality | None) -> None:
        Approach.check(self, quality)
        require_series(self.amounts_fen, "amounts_fen")
        require_figure(self.discount_rate_ppm, "discount_rate_ppm", most=PPM)
        require_figure(self.tax_rate_ppm, "tax_rate_ppm", most=PPM - 1)
        require_figure(self.amortisation_years, "amortisation_years", most=YEARS_LIMIT)
        require_figure(self.level_ppm, "level_ppm")

    def figures(self) -> dict[str, int]:
        return {
            **series("amounts_fen", self.amounts_fen),
            "discount_rate_ppm": self.discount_rate_ppm,
            "tax_rate_ppm": self.tax_rate_ppm,
            "level_ppm": self.level_ppm,
        }

    def most(self, path: str) -> int:
        if path == "tax_rate_ppm":
            return PPM - 1
        return PPM if path in ("discount_rate_ppm", "share_ppm", "royalty_ppm") else Approach.most(self, path)

    def value(self, at: Figures, quality: Quality | None, tell: Tell) -> Number:
        factor = at.number(1) / (1 + at["discount_rate_ppm"] / PPM)
        flows = self.flows(at)
        for year, flow in enumerate(flows, start=1):
            tell(f"第 {year} 年 F", f"F, year {year}", self.flow, flow)
        present = self._present(flows, factor)
        tell(
            "现值合计",
            "present value",
            "Σ F / (1 + r)^t" if self.timing == "end" else "Σ F / (1 + r)^(t - 1/2)",
            present,
        )
        after = present * (at["level_ppm"] / PPM * (1 - at["tax_rate_ppm"] / PPM))
        tell("税后现值", "present value after tax", ("x 水平系数 x (1 - 税率)", "x level x (1 - tax)"), after)
        if not self.amortisation_years:
            return after
        annuity = self._present([at.number(1)] * self.amortisation_years, factor)
        saved = at["tax_rate_ppm"] / PPM * annuity / self.amortisation_years
        benefit = 1 / (1 - saved)
        tell(
            "摊销节税系数",
            "amortisation benefit",
            ("1 / (1 - 税率 x 年金系数 / n)", "1 / (1 - tax x annuity / n)"),
            benefit * PPM,
            "ppm",
        )
        return after * benefit

    def _present(self, flows: Sequence[Number], factor: Number) -> Number:
        # Horner's way: one multiplication and one addition a year, in drawn and in exact numbers.
        present = flows[-1] * factor
        for flow in flows[-2::-1]:
            present = (present + flow) * factor
        return present if self.timing == "end" else present * root(1 / factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct(Income):
    """Fₜ is the net income of the data itself: `amounts_fen`."""

    approach: ClassVar[str] = "direct"
    formula: ClassVar[str] = "P = Σ F / (1 + r)^t"
    names: ClassVar[tuple[str, str]] = ("收益法·直接收益", "income approach, direct income")
    flow: ClassVar[str] = "F"

    def flows(self, at: Figures) -> list[Number]:
        return at.series("amounts_fen", len(self.amounts_fen))


@dataclass(frozen=True, slots=True, kw_only=True)
class Share(Income):
    """Fₜ is `share_ppm` of `amounts_fen`, the revenue or profit of what the data is used in."""

    approach: ClassVar[str] = "share"
    formula: ClassVar[str] = "P = Σ (R x k) / (1 + r)^t"
    names: ClassVar[tuple[str, str]] = ("收益法·分成收益", "income approach, share of income")
    flow: ClassVar[str] = "R x k"

    share_ppm: int
    share_source: str

    def said(self) -> Iterator[tuple[str, str]]:
        yield from Income.said(self)
        yield "share_source", self.share_source

    def check(self, quality: Quality | None) -> None:
        Income.check(self, quality)
        require_figure(self.share_ppm, "share_ppm", most=PPM)

    def figures(self) -> dict[str, int]:
        return {**Income.figures(self), "share_ppm": self.share_ppm}

    def flows(self, at: Figures) -> list[Number]:
        return [amount * at["share_ppm"] / PPM for amount in at.series("amounts_fen", len(self.amounts_fen))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relief(Income):
    """Fₜ is `royalty_ppm` of the revenue `amounts_fen`; `upfront_fen` is a fee saved at the start, net of tax."""

    approach: ClassVar[str] = "relief"
    formula: ClassVar[str] = "P = Y + Σ (R x k) / (1 + r)^t"
    names: ClassVar[tuple[str, str]] = ("收益法·权利金节省", "income approach, relief from royalty")
    flow: ClassVar[str] = "R x k"

    royalty_ppm: int
    royalty_source: str
    upfront_fen: int = 0

    def said(self) -> Iterator[tuple[str, str]]:
        yield from Income.said(self)
        yield "royalty_source", self.royalty_source

    def check(self, quality: Quality | None) -> None:
        Income.check(self, quality)
        require_figure(self.royalty_ppm, "royalty_ppm", most=PPM)
        require_figure(self.upfront_fen, "upfront_fen")

    def figures(self) -> dict[str, int]:
        return {
            **Income.figures(self),
            "royalty_ppm": self.royalty_ppm,
            "upfront_fen": self.upfront_fen,
        }

    def flows(self, at: Figures) -> list[Number]:
        return [
            amount * at["royalty_ppm"] / PPM for amount in at.series("amounts_fen", len(self.amounts_fen))
        ]

    def value(self, at: Figures, quality: Quality | None, tell: Tell) -> Number:
        royalties = Income.value(self, at, quality, tell)
        tell("节省的入门费", "fee saved at the start", "Y", at["upfront_fen"])
        return royalties + at["upfront_fen"]


@dataclass(frozen=True, slots=True)
class Charge:
    """What another asset that works for the same earnings must earn: its value in each year x its return."""

    name: str
    asset_fen: tuple[int, ...]
    return_ppm: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess(Income):
    """Fₜ is the earnings `amounts_fen` less a charge for every other asset that helps to earn them."""

    approach: ClassVar[str] = "excess"
    formula: ClassVar[str] = "P = Σ (R - Σ C x i) / (1 + r)^t"
    names: ClassVar[tuple[str, str]] = ("收益法·超额收益", "income approach, excess earnings")
    flow: ClassVar[str] = "R - Σ C x i"

    charges: tuple[Charge, ...]

    def said(self) -> Iterator[tuple[str, str]]:
        yield from Income.said(self)
        for i, charge in enumerate(self.charges):
            yield from texts(charge, f"charges[{i}]")

    def check(self, quality: Quality | None) -> None:
        Income.check(self, quality)
        require_some(self.charges, "charges", most=ITEMS_LIMIT // YEARS_LIMIT)
        for i, charge in enumerate(self.charges):
            require_alike(charge.asset_fen, f"charges[{i}].asset_fen", self.amounts_fen)
            require_figure(charge.return_ppm, f"charges[{i}].return_ppm", most=PPM)

    def figures(self) -> dict[str, int]:
        found = Income.figures(self)
        for i, charge in enumerate(self.charges):
            found |= series(f"charges[{i}].asset_fen", charge.asset_fen)
            found[f"charges[{i}].return_ppm"] = charge.return_ppm
        return found

    def most(self, path: str) -> int:
        return PPM if path.endswith(".return_ppm") else Income.most(self, path)

    def flows(self, at: Figures) -> list[Number]:
        flows = at.series("amounts_fen", len(self.amounts_fen))
        for i in range(len(self.charges)):
            assets = at.series(f"charges[{i}].asset_fen", len(flows))
            required = at[f"charges[{i}].return_ppm"] / PPM
            flows = [flow - asset * required for flow, asset in zip(flows, assets, strict=True)]
        return flows


@dataclass(frozen=True, slots=True, kw_only=True)
class Incremental(Income):
    """Fₜ is the income with the data, `amounts_fen`, less the income without it, `without_fen`."""

    approach: ClassVar[str] = "incremental"
    formula: ClassVar[str] = "P = Σ (R1 - R0) / (1 + r)^t"
    names: ClassVar[tuple[str, str]] = ("收益法·增量收益", "income approach, incremental income")
    flow: ClassVar[str] = "R1 - R0"

    without_fen: tuple[int, ...]
    without_source: str

    def said(self) -> Iterator[tuple[str, str]]:
        yield from Income.said(self)
        yield "without_source", self.without_source

    def check(self, quality: Quality | None) -> None:
        Income.check(self, quality)
        require_alike(self.without_fen, "without_fen", self.amounts_fen)

    def figures(self) -> dict[str, int]:
        return {**Income.figures(self), **series("without_fen", self.without_fen)}

    def flows(self, at: Figures) -> list[Number]:
        years = len(self.amounts_fen)
        both = zip(at.series("amounts_fen", years), at.series("without_fen", years), strict=True)
        return [with_ - without for with_, without in both]


def series(name: str, amounts: Sequence[int]) -> dict[str, int]:
    """Each year's figure by its path."""
    return {f"{name}[{i}]": amount for i, amount in enumerate(amounts)}


def require_series(amounts: tuple[int, ...], field: str) -> None:
    """One amount a year, and no more years than a right to data lasts."""
    require_some(amounts, field, most=YEARS_LIMIT)
    for i, amount in enumerate(amounts):
        require_figure(amount, f"{field}[{i}]")


def require_alike(amounts: tuple[int, ...], field: str, others: tuple[int, ...]) -> None:
    """A second series of as many years."""
    require_series(amounts, field)
    if len(amounts) != len(others):
        raise AppraisalError(
            field=field,
            rule=f"must be {len(others)} years, as amounts_fen, not {len(amounts)}",
            remedy="give a figure for each year",
        )
