"""Regulated prices: exact sums, ceilings that earn no more than allowed, and an excess that always comes back."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.errors import RegulationError
from pricing.regulated import (
    AllowedRevenue,
    Basis,
    Cost,
    Product,
    Purpose,
    Terms,
    Tier,
    Tiers,
    allowed_revenue,
    basis,
    ceilings,
    excess_after,
)

TERMS = Terms(80_000, 20_000, 60_000, 60_000, "a price authority's notice")
COSTS = [Cost(600_000_00, "computing", "account 1"), Cost(400_000_00, "staff", "account 2")]
AMOUNTS = st.integers(0, 10**15)


def test_a_period_s_allowed_revenue_is_the_sum_that_anybody_can_do_by_hand() -> None:
    """1,000,000 yuan less 200,000 subsidy; 8 % profit on 800,000 is 64,000; 6 % tax on 864,000 is 51,840."""
    found = allowed_revenue(COSTS, 200_000_00, TERMS)
    assert found == AllowedRevenue(800_000_00, 64_000_00, 51_840_00, 0, 0)
    assert found.allowed_fen == 915_840_00
    assert "915,840.00 元" in found.words("zh")
    assert "allowed revenue: CNY 915,840.00" in found.words("en")


def test_excess_is_deducted_from_the_next_period_and_from_the_one_after() -> None:
    first = allowed_revenue(COSTS, 200_000_00, TERMS)
    excess = excess_after(first, 2_000_000_00)
    assert excess == 2_000_000_00 - first.allowed_fen
    second = allowed_revenue(COSTS, 200_000_00, TERMS, excess_fen=excess)
    assert (second.allowed_fen, second.carried_on_fen) == (0, excess - first.before_fen)
    rest = excess_after(second, 0)
    third = allowed_revenue(COSTS, 200_000_00, TERMS, excess_fen=rest)
    assert (third.deducted_fen, third.carried_on_fen) == (rest, 0)
    assert third.allowed_fen == third.before_fen - rest


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=1, max_size=8), st.integers(0, 80_000))
def test_over_all_periods_no_more_is_kept_than_was_allowed(periods: list[tuple[int, int]], rate: int) -> None:
    """Whatever was earned above the allowed stands against the operator until it is deducted."""
    excess = kept = before = 0
    for cost, revenue in periods:
        allowed = allowed_revenue(
            [Cost(cost, "all", "book")], 0, replace(TERMS, profit_rate_ppm=rate), excess_fen=excess
        )
        assert allowed.deducted_fen + allowed.carried_on_fen == excess
        assert 0 <= allowed.allowed_fen <= allowed.before_fen
        excess = excess_after(allowed, revenue)
        kept += revenue
        before += allowed.before_fen
        assert kept - excess <= before


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 80_000))
def test_more_cost_never_lowers_and_more_subsidy_never_raises_the_allowed_revenue(
    cost: int, more: int, rate: int
) -> None:
    terms = replace(TERMS, profit_rate_ppm=rate)
    low = allowed_revenue([Cost(cost, "a", "b")], 0, terms)
    high = allowed_revenue([Cost(cost + more, "a", "b")], 0, terms)
    paid = allowed_revenue([Cost(cost + more, "a", "b")], more, terms)
    assert high.allowed_fen >= low.allowed_fen
    assert paid == low


@given(
    st.integers(0, 10**14),
    st.lists(st.tuples(st.integers(0, 100), st.integers(1, 10**9)), min_size=1, max_size=6).filter(
        lambda rows: any(weight for weight, _ in rows)
    ),
)
def test_at_their_ceilings_all_products_earn_at_most_what_is_allowed(
    allowed: int, rows: list[tuple[int, int]]
) -> None:
    products = [Product(f"p{n}", weight, units) for n, (weight, units) in enumerate(rows)]
    found = ceilings(allowed, products)
    earned = sum(
        Fraction(c.unit_price_micro * p.expected_units, 10_000) for c, p in zip(found, products, strict=True)
    )
    assert earned <= allowed
    assert sum(c.allotted_fen for c in found) == allowed
    for ceiling, product in zip(found, products, strict=True):
        # One micro-yuan more a unit would pass the part.
        assert (
            Fraction((ceiling.unit_price_micro + 1) * product.expected_units, 10_000) > ceiling.allotted_fen
        )


def test_a_ceiling_of_a_quarter_fen_a_call_is_exact() -> None:
    (one,) = ceilings(2_800_000, [Product("calls", 1, 10_000_000)])
    assert one.unit_price_micro == 2_800
    assert "0.002800" in one.words("zh")
    assert "0.002800" in one.words("en")


def test_prices_are_trial_prices_until_one_full_year_has_passed() -> None:
    assert basis(date(2025, 3, 1), date(2026, 2, 28)) is Basis.TRIAL
    assert basis(date(2025, 3, 1), date(2026, 3, 1)) is Basis.AUDITED
    assert basis(date(2024, 2, 29), date(2025, 2, 28)) is Basis.TRIAL
    assert basis(date(2024, 2, 29), date(2025, 3, 1)) is Basis.AUDITED


def test_each_unit_costs_what_its_own_tier_says_and_public_use_is_free() -> None:
    tiers = Tiers((Tier(0, 10_000), Tier(100, 8_000), Tier(1_000, 5_000)), 10_000)
    assert tiers.charge_micro(1_500) == 100 * 10_000 + 900 * 8_000 + 500 * 5_000
    assert tiers.charge_fen(1_500, Purpose.INDUSTRY) == 1_070
    assert tiers.charge_fen(0, Purpose.INDUSTRY) == 0
    for purpose in (Purpose.GOVERNANCE, Purpose.WELFARE):
        assert tiers.charge_fen(10**6, purpose) == 0


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 20)), min_size=1, max_size=4), st.integers(0, 120)
)
def test_tiers_equal_the_units_counted_one_by_one(steps: list[tuple[int, int]], units: int) -> None:
    tiers, at = [], 0
    for width, price in steps:
        tiers.append(Tier(at, price))
        at += width
    schedule = Tiers(tuple(tiers), 20)
    slow = sum(
        max((t for t in tiers if t.from_units <= unit), key=lambda t: t.from_units).unit_price_micro
        for unit in range(units)
    )
    assert schedule.charge_micro(units) == slow
    assert schedule.charge_micro(units) <= 20 * units


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Cost(-1, "a", "b"), "amount_fen"),
        (lambda: Cost(1.5, "a", "b"), "amount_fen"),  # type: ignore[arg-type]
        (lambda: Cost(1, " ", "b"), "description"),
        (lambda: Cost(1, "a", ""), "source"),
        (lambda: replace(TERMS, profit_rate_ppm=80_001), "profit_rate_ppm"),
        (lambda: replace(TERMS, tax_rate_ppm=1_000_001), "tax_rate_ppm"),
        (lambda: replace(TERMS, bond_yield_ppm=float("nan")), "bond_yield_ppm"),  # type: ignore[arg-type]
        (lambda: replace(TERMS, source=" "), "source"),
        (lambda: allowed_revenue(COSTS, 1_000_000_01, TERMS), "subsidy_fen"),
        (lambda: allowed_revenue(COSTS, -1, TERMS), "subsidy_fen"),
        (lambda: allowed_revenue(COSTS, 0, TERMS, excess_fen=-1), "excess_fen"),
        (lambda: allowed_revenue([Cost(2**63 - 1, "a", "b")] * 2, 0, TERMS), "costs"),
        (lambda: allowed_revenue([Cost(2**63 - 1, "a", "b")], 0, TERMS), "net cost + profit"),
        (lambda: excess_after(AllowedRevenue(0, 0, 0, 0, 0), -1), "revenue_fen"),
        (lambda: ceilings(1, [Product("a", 1, 1), Product("a", 1, 1)]), "products"),
        (lambda: ceilings(1, [Product("a", 1, 0)]), "a.expected_units"),
        (lambda: ceilings(1, [Product("a", -1, 1)]), "a.weight"),
        (lambda: ceilings(2**62, [Product("a", 1, 1)]), "a.ceiling"),
        (lambda: basis(date(2025, 1, 2), date(2025, 1, 1)), "on"),
        (lambda: Tiers((), 1), "tiers"),
        (lambda: Tiers((Tier(1, 1),), 1), "tiers"),
        (lambda: Tiers((Tier(0, 2),), 1), "tiers[0].unit_price_micro"),
        (lambda: Tiers((Tier(0, 1), Tier(0, 1)), 1), "tiers[1].from_units"),
        (lambda: Tiers((Tier(0, 1),), 1).charge_micro(-1), "units"),
        (lambda: Tiers((Tier(0, 2**62),), 2**62).charge_fen(2**62, Purpose.INDUSTRY), "charge"),
    ],
)
def test_nonsense_is_refused_by_name(make: Any, field: str) -> None:
    with pytest.raises(RegulationError) as refused:
        make()
    assert refused.value.field == field
    assert refused.value.remedy
