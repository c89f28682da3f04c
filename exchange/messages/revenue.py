"""Wire shapes of the carry-over ledger: what public data may earn, its ceilings, and what went over."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from exchange.messages.outcomes import Outcome
from exchange.messages.shapes import Digest, Message, Whole, Words
from exchange.messages.views import View

CeilingUnit = Literal["licence", "call", "day", "row", "megabyte"]


class PeriodCostMessage(Message):
    """One operating cost of the period, with what it was for and where the figure comes from."""

    amount_fen: Whole
    description: Words
    source: Words


class ProductMessage(Message):
    """How the asset is sold: its unit, its part of the allowed revenue by weight, and how many units are expected."""

    unit: CeilingUnit
    weight: Whole = 1
    expected_units: Whole


class SoldByView(View):
    """The same as the entry states it, its weight always named."""

    unit: CeilingUnit
    weight: Whole
    expected_units: Whole


class RevenueMessage(Message):
    """What an asset may earn in a period: operating cost net of subsidy, permitted profit, tax (发改价格〔2025〕65号).

    Rates are parts per million; `source` is the document that sets them; the operation started on `started_on`.
    """

    starts_us: Whole
    ends_us: Whole
    costs: list[PeriodCostMessage] = Field(min_length=1, max_length=100)
    subsidy_fen: Whole = 0
    profit_rate_ppm: Whole
    bond_yield_ppm: Whole
    tax_rate_ppm: Whole
    source: Words
    products: list[ProductMessage] = Field(min_length=1, max_length=5)
    started_on: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$", examples=["2026-01-01"])]


class CeilingView(View):
    """The most that a unit may cost, in micro-yuan."""

    unit: CeilingUnit
    unit_price_micro: Whole


class SealedCostView(View):
    """A cost as the entry states it: what it was for is sealed."""

    amount_fen: Whole
    description: Digest
    source: Digest


class RevenueAllowed(Outcome):
    """A period of the ledger is open: the sum behind its allowed revenue, and the ceiling of each unit in micro-yuan.

    `deducted_fen` is what earlier periods earned too much, `carried_on_fen` what even this one cannot absorb.
    """

    asset: str
    period: str
    number: Whole
    starts_us: Whole
    ends_us: Whole
    costs: list[SealedCostView]
    subsidy_fen: Whole
    profit_rate_ppm: Whole
    bond_yield_ppm: Whole
    tax_rate_ppm: Whole
    source: str
    products: list[SoldByView]
    started_on: str
    net_cost_fen: Whole
    profit_fen: Whole
    tax_fen: Whole
    deducted_fen: Whole
    carried_on_fen: Whole
    allowed_fen: Whole
    ceilings: list[CeilingView]
    basis: Literal["trial", "audited"]


class RevenuePeriodView(View):
    """A period of an asset's carry-over ledger; what it earned and the excess are known once it is closed.

    `basis` says whether its ceilings are trial prices, until the operation is a full year old, or rest on audited costs.
    """

    id: str
    number: Whole
    starts_us: Whole
    ends_us: Whole
    net_cost_fen: Whole
    profit_fen: Whole
    tax_fen: Whole
    deducted_fen: Whole
    carried_on_fen: Whole
    allowed_fen: Whole
    ceilings: list[CeilingView]
    basis: Literal["trial", "audited"]
    revenue_fen: Whole | None
    excess_fen: Whole | None
    state: Literal["open", "closed"]
    index: Whole
