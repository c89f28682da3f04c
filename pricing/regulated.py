"""What public data may cost: allowed revenue, ceilings, and the excess that goes back (发改价格〔2025〕65号).

Use for public governance and public welfare is free. Use for industry pays at most a ceiling, which comes from the
operator's allowed revenue of one period:

    net cost          what operating cost in the period, less subsidies
    permitted profit  net cost x profit rate, the rate at most the ten-year government bond's yield + a margin
    tax               (net cost + permitted profit) x tax rate
    allowed revenue   the three together, less what earlier periods earned above theirs

Revenue above the allowed is not kept: it is deducted from the next period, and from the one after where that does not
suffice. Until an operator has worked one full year its costs are estimates and its prices trial prices.

All of it is exact: fen, micro-yuan and parts per million, each rounding named, always against the operator. The figures
themselves (the margin, the tax rate) are arguments with their source; the rulebook holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import assert_never

from pricing.errors import RegulationError
from pricing.money import (
    MICRO_PER_FEN,
    PPM,
    Language,
    Rounding,
    divide,
    fen_in_words,
    format_unit_price_micro,
    quotient,
    require_whole,
    scale,
)


class Purpose(StrEnum):
    """What public data is used for; it drives the price (发改价格〔2025〕65号)."""

    GOVERNANCE = "governance"
    WELFARE = "welfare"
    INDUSTRY = "industry"

    @property
    def free(self) -> bool:
        """Whether this use pays nothing."""
        match self:
            case Purpose.GOVERNANCE | Purpose.WELFARE:
                return True
            case Purpose.INDUSTRY:
                return False
            case _:  # pragma: no cover
                assert_never(self)


@dataclass(frozen=True, slots=True)
class Cost:
    """One operating cost of the period, with what it was for and where the figure comes from."""

    amount_fen: int
    description: str
    source: str

    def __post_init__(self) -> None:
        require_whole(self.amount_fen, "amount_fen", error=RegulationError)
        for name in ("description", "source"):
            if not getattr(self, name).strip():
                raise RegulationError(
                    field=name,
                    rule="must say something",
                    remedy="name what was paid for, and the account or contract",
                )


@dataclass(frozen=True, slots=True)
class Terms:
    """The regulator's figures for one period, in parts per million, and the document that sets them."""

    profit_rate_ppm: int
    bond_yield_ppm: int
    """Yield of the ten-year government bond."""
    margin_ppm: int
    """The most that the profit rate may lie above it."""
    tax_rate_ppm: int
    source: str

    def __post_init__(self) -> None:
        for name in ("profit_rate_ppm", "bond_yield_ppm", "margin_ppm", "tax_rate_ppm"):
            require_whole(getattr(self, name), name, most=PPM, error=RegulationError)
        if self.profit_rate_ppm > self.bond_yield_ppm + self.margin_ppm:
            raise RegulationError(
                field="profit_rate_ppm",
                rule=f"must not exceed the bond's yield and the margin, {self.bond_yield_ppm} + {self.margin_ppm}",
                remedy="lower the profit rate",
            )
        if not self.source.strip():
            raise RegulationError(
                field="source", rule="must name the document", remedy="cite what sets these figures"
            )


@dataclass(frozen=True, slots=True)
class AllowedRevenue:
    """How the allowed revenue of one period came about; `carried_on_fen` is excess that this period could not absorb."""

    net_cost_fen: int
    profit_fen: int
    tax_fen: int
    deducted_fen: int
    carried_on_fen: int

    @property
    def before_fen(self) -> int:
        """Cost, profit and tax, before anything is deducted."""
        return self.net_cost_fen + self.profit_fen + self.tax_fen

    @property
    def allowed_fen(self) -> int:
        return self.before_fen - self.deducted_fen

    def words(self, language: Language) -> str:
        """The sum, line by line."""
        rows = (
            ("净运营成本", "operating cost, net of subsidy", self.net_cost_fen),
            ("准许利润", "permitted profit", self.profit_fen),
            ("税金", "tax", self.tax_fen),
            ("扣减以前超收", "less excess of earlier periods", self.deducted_fen),
            ("最高准许收入", "allowed revenue", self.allowed_fen),
        )
        return "\n".join(
            f"{zh if language == 'zh' else en}: {fen_in_words(amount, language)}" for zh, en, amount in rows
        )


def allowed_revenue(
    costs: Sequence[Cost], subsidy_fen: int, terms: Terms, *, excess_fen: int = 0
) -> AllowedRevenue:
    """The allowed revenue of one period; `excess_fen` is what earlier periods earned above theirs.

    Profit and tax are rounded down. RegulationError where the subsidy passes the cost: then nothing is left to charge.
    """
    require_whole(subsidy_fen, "subsidy_fen", error=RegulationError)
    require_whole(excess_fen, "excess_fen", error=RegulationError)
    cost = require_whole(sum(one.amount_fen for one in costs), "costs", error=RegulationError)
    if subsidy_fen > cost:
        raise RegulationError(
            field="subsidy_fen",
            rule=f"must not exceed the cost {cost}, not {subsidy_fen}",
            remedy="the use is free in this period; give the rest of the subsidy to the next",
        )
    net = cost - subsidy_fen
    profit = scale(net, terms.profit_rate_ppm, Rounding.DOWN)
    tax = scale(
        require_whole(net + profit, "net cost + profit", error=RegulationError),
        terms.tax_rate_ppm,
        Rounding.DOWN,
    )
    before = require_whole(net + profit + tax, "allowed revenue", error=RegulationError)
    deducted = min(excess_fen, before)
    return AllowedRevenue(net, profit, tax, deducted, excess_fen - deducted)


def excess_after(allowed: AllowedRevenue, revenue_fen: int) -> int:
    """What the next period deducts: revenue above the allowed, and what this one could not absorb."""
    require_whole(revenue_fen, "revenue_fen", error=RegulationError)
    return require_whole(
        max(0, revenue_fen - allowed.allowed_fen) + allowed.carried_on_fen, "excess", error=RegulationError
    )


@dataclass(frozen=True, slots=True)
class Product:
    """A product of the operator: its part of the allowed revenue by `weight`, and how many units are expected."""

    name: str
    weight: int
    expected_units: int


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most that one unit of a product may cost, in micro-yuan."""

    name: str
    unit_price_micro: int
    allotted_fen: int

    def words(self, language: Language) -> str:
        price = format_unit_price_micro(self.unit_price_micro)
        return f"{self.name}: 上限 {price} 元" if language == "zh" else f"{self.name}: at most CNY {price}"


def ceilings(allowed_fen: int, products: Sequence[Product]) -> list[Ceiling]:
    """The ceiling of each product: its part of the allowed revenue over its expected units, rounded down.

    Guarantee: at the ceilings, with the expected units sold, all products together earn at most the allowed revenue.
    """
    require_whole(allowed_fen, "allowed_fen", error=RegulationError)
    if len({one.name for one in products}) != len(products) or not all(one.name for one in products):
        raise RegulationError(
            field="products", rule="have names, each another", remedy="name each product once"
        )
    for one in products:
        require_whole(one.weight, f"{one.name}.weight", error=RegulationError)
        require_whole(one.expected_units, f"{one.name}.expected_units", least=1, error=RegulationError)
    parts = divide(allowed_fen, [one.weight for one in products])
    return [
        Ceiling(
            one.name,
            require_whole(
                quotient(part * MICRO_PER_FEN, one.expected_units, Rounding.DOWN),
                f"{one.name}.ceiling",
                error=RegulationError,
            ),
            part,
        )
        for one, part in zip(products, parts, strict=True)
    ]


class Basis(StrEnum):
    """What a ceiling rests on."""

    TRIAL = "trial"
    """Estimates: the operator has not worked one full year."""
    AUDITED = "audited"


def basis(started: date, on: date, months: int = 12) -> Basis:
    """What ceilings of the day `on` rest on, for an operator that started on `started`; from the same day so many months
    later (the first of the next month where there is none) they rest on audited costs.
    """
    if on < started:
        raise RegulationError(
            field="on", rule=f"must not lie before the start, {started}", remedy="give a day of the operation"
        )
    years, month = divmod(started.month - 1 + require_whole(months, "months", error=RegulationError), 12)
    year, month = started.year + years, month + 1
    try:
        anniversary = started.replace(year=year, month=month)
    except ValueError:  # 29 February, or the 31st of a shorter month
        anniversary = date(year + month // 12, month % 12 + 1, 1)
    return Basis.TRIAL if on < anniversary else Basis.AUDITED


@dataclass(frozen=True, slots=True)
class Tier:
    """From `from_units` on (counted from 0), a unit costs `unit_price_micro`."""

    from_units: int
    unit_price_micro: int


@dataclass(frozen=True, slots=True)
class Tiers:
    """Prices that change with the amount taken in one period; each unit costs what its own tier says."""

    tiers: tuple[Tier, ...]
    ceiling_micro: int

    def __post_init__(self) -> None:
        require_whole(self.ceiling_micro, "ceiling_micro", error=RegulationError)
        if not self.tiers or self.tiers[0].from_units != 0:
            raise RegulationError(field="tiers", rule="begin at 0 units", remedy="add the first tier")
        for position, tier in enumerate(self.tiers):
            require_whole(tier.unit_price_micro, f"tiers[{position}].unit_price_micro", error=RegulationError)
            require_whole(tier.from_units, f"tiers[{position}].from_units", error=RegulationError)
            if position and tier.from_units <= self.tiers[position - 1].from_units:
                raise RegulationError(
                    field=f"tiers[{position}].from_units", rule="tiers rise", remedy="order them by amount"
                )
            if tier.unit_price_micro > self.ceiling_micro:
                raise RegulationError(
                    field=f"tiers[{position}].unit_price_micro",
                    rule=f"must not exceed the ceiling {self.ceiling_micro}, not {tier.unit_price_micro}",
                    remedy="lower the price: no tier passes the ceiling",
                )

    def charge_micro(self, units: int) -> int:
        """What so many units cost in micro-yuan, exactly."""
        require_whole(units, "units", error=RegulationError)
        ends = [*(tier.from_units for tier in self.tiers[1:]), max(units, self.tiers[-1].from_units)]
        return sum(
            tier.unit_price_micro * max(0, min(units, end) - tier.from_units)
            for tier, end in zip(self.tiers, ends, strict=True)
        )

    def charge_fen(self, units: int, purpose: Purpose) -> int:
        """What so many units of one period cost, rounded down to fen once; nothing for governance and welfare."""
        charge_micro = self.charge_micro(units)
        if purpose.free:
            return 0
        return require_whole(
            quotient(charge_micro, MICRO_PER_FEN, Rounding.DOWN), "charge", error=RegulationError
        )
