"""The market approach and the residual: from prices that were paid, and from what is left of a whole.

**market** (中评协〔2023〕17号): the asset is split into parts i that each have comparable sets of data whose
value Q is known, and P = Σ (Qᵢ x Xᵢ₁ x Xᵢ₂ x Xᵢ₃ x Xᵢ₄ x Xᵢ₅), the coefficients being quality, supply and demand,
date, capacity and others. Where a part has several comparables their adjusted values are averaged under weights.

**residual**: the value of the whole that the data works in, less the value of everything else in it, times the
share of the rest that is the data's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from pricing.appraisal.approaches import (
    Approach,
    Figures,
    Number,
    Tell,
    require_figure,
    require_some,
    texts,
)
from pricing.errors import AppraisalError
from pricing.money import PPM
from pricing.quality import Quality

COEFFICIENTS: Final = ("quality", "supply", "date", "capacity", "other")


@dataclass(frozen=True, slots=True)
class Comparable:
    """A set of data whose value is known, comparable to `part` of the asset after five coefficients."""

    part: str
    value_fen: int
    source: str
    reason: str
    quality_ppm: int = PPM
    supply_ppm: int = PPM
    date_ppm: int = PPM
    capacity_ppm: int = PPM
    other_ppm: int = PPM
    weight_ppm: int = PPM


@dataclass(frozen=True, slots=True, kw_only=True)
class Market(Approach):
    """P = Σ (Q x coefficients) over the parts of the asset."""

    approach: ClassVar[str] = "market"
    formula: ClassVar[str] = "P = Σ (Q x X1 x X2 x X3 x X4 x X5)"
    names: ClassVar[tuple[str, str]] = ("市场法", "market approach")

    comparables: tuple[Comparable, ...]

    def said(self) -> Iterator[tuple[str, str]]:
        yield from Approach.said(self)
        for i, comparable in enumerate(self.comparables):
            yield from texts(comparable, f"comparables[{i}]")

    def check(self, quality: Quality | None) -> None:
        Approach.check(self, quality)
        require_some(self.comparables, "comparables")
        weights: dict[str, int] = {}
        for i, comparable in enumerate(self.comparables):
            require_figure(comparable.value_fen, f"comparables[{i}].value_fen")
            for name in COEFFICIENTS:
                require_figure(getattr(comparable, f"{name}_ppm"), f"comparables[{i}].{name}_ppm", least=1)
            weight = require_figure(comparable.weight_ppm, f"comparables[{i}].weight_ppm", least=1, most=PPM)
            weights[comparable.part] = weights.get(comparable.part, 0) + weight
        for part, total in weights.items():
            if total != PPM:
                raise AppraisalError(
                    field="comparables",
                    rule=f"the weights of the comparables of {part!r} sum to {total}, not to {PPM}",
                    remedy="weigh the comparables of each part, together a million",
                )

    def figures(self) -> dict[str, int]:
        found = {}
        for i, comparable in enumerate(self.comparables):
            for name in ("value_fen", *(f"{name}_ppm" for name in COEFFICIENTS)):
                found[f"comparables[{i}].{name}"] = getattr(comparable, name)
        return found

    def value(self, at: Figures, quality: Quality | None, tell: Tell) -> Number:
        total = at.number(0)
        for i, comparable in enumerate(self.comparables):
            adjusted = at[f"comparables[{i}].value_fen"]
            for name in COEFFICIENTS:
                adjusted = adjusted * at[f"comparables[{i}].{name}_ppm"] / PPM
            weighed = adjusted * comparable.weight_ppm / PPM
            formula = ("Q x X1 x X2 x X3 x X4 x X5 x 权重", "Q x X1 x X2 x X3 x X4 x X5 x weight")
            tell(
                f"{comparable.part} 可比 {i + 1}", f"{comparable.part}, comparable {i + 1}", formula, weighed
            )
            total = total + weighed
        return total


@dataclass(frozen=True, slots=True)
class OtherAsset:
    """Something else in the whole, with its value and where that comes from."""

    name: str
    value_fen: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual(Approach):
    """P = (W - Σ A) x k."""

    approach: ClassVar[str] = "residual"
    formula: ClassVar[str] = "P = (W - Σ A) x k"
    names: ClassVar[tuple[str, str]] = ("剩余法", "residual approach")

    whole_fen: int
    whole_source: str
    others: tuple[OtherAsset, ...]
    share_ppm: int
    share_source: str

    def said(self) -> Iterator[tuple[str, str]]:
        yield from Approach.said(self)
        yield "whole_source", self.whole_source
        yield "share_source", self.share_source
        for i, other in enumerate(self.others):
            yield from texts(other, f"others[{i}]")

    def check(self, quality: Quality | None) -> None:
        Approach.check(self, quality)
        require_figure(self.whole_fen, "whole_fen")
        require_some(self.others, "others")
        for i, other in enumerate(self.others):
            require_figure(other.value_fen, f"others[{i}].value_fen")
        require_figure(self.share_ppm, "share_ppm", most=PPM)

    def figures(self) -> dict[str, int]:
        return {
            "whole_fen": self.whole_fen,
            **{f"others[{i}].value_fen": other.value_fen for i, other in enumerate(self.others)},
            "share_ppm": self.share_ppm,
        }

    def most(self, path: str) -> int:
        return PPM if path == "share_ppm" else Approach.most(self, path)

    def value(self, at: Figures, quality: Quality | None, tell: Tell) -> Number:
        rest = at["whole_fen"]
        for i in range(len(self.others)):
            rest = rest - at[f"others[{i}].value_fen"]
        tell("剩余", "what is left", "W - Σ A", rest)
        return rest * at["share_ppm"] / PPM
