"""Metering: six decimals, one rounding a statement, never past the ceiling or the quota."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.errors import SaleError
from pricing.metering import Meter, OverQuota, Unit, use

CALL = Meter(Unit.CALL, 2_800)  # 0.0028 yuan


@pytest.mark.parametrize(
    ("calls", "fen"),
    [(0, 0), (1, 0), (3, 0), (4, 1), (10_000_000, 2_800_000), (3_571, 999), (3_572, 1_000)],
)
def test_a_statement_of_calls_at_0_0028_yuan_is_rounded_down_once(calls: int, fen: int) -> None:
    assert CALL.charge_fen(calls) == fen


@given(st.lists(st.integers(0, 10**6), max_size=20), st.integers(0, 10**7), st.sampled_from(Unit))
def test_a_statement_costs_its_exact_price_rounded_down_and_never_more(
    uses: list[int], price: int, unit: Unit
) -> None:
    meter, quantity = Meter(unit, price), sum(uses)
    exact = Fraction(price * quantity, 10_000 * unit.counted)
    assert meter.charge_fen(quantity) == exact.numerator // exact.denominator
    assert sum(map(meter.charge_fen, uses)) <= meter.charge_fen(quantity) <= exact


def test_a_megabyte_is_charged_by_the_byte_and_not_by_the_begun_megabyte() -> None:
    meter = Meter(Unit.MEGABYTE, 1_000_000)  # a yuan each
    assert [meter.charge_fen(size) for size in (9_999, 10_000, 999_999, 1_000_000)] == [0, 1, 99, 100]


@pytest.mark.parametrize("price", [2_800, 2_801])
def test_a_unit_price_at_its_ceiling_stands_and_a_millionth_of_a_yuan_above_is_refused(price: int) -> None:
    if price == 2_800:
        assert Meter(Unit.CALL, price, 2_800).unit_price_micro == price
        return
    with pytest.raises(SaleError):
        Meter(Unit.CALL, price, 2_800)


@given(st.integers(1, 100), st.lists(st.integers(1, 40), max_size=20))
def test_nothing_is_used_beyond_the_quota_and_what_is_refused_uses_nothing(
    quota: int, uses: list[int]
) -> None:
    used = 0
    for quantity in uses:
        found = use(quota, used, quantity)
        if used + quantity > quota:
            assert found == OverQuota(quota - used)
            continue
        assert found == used + quantity
        used += quantity
    assert used <= quota
    with pytest.raises(SaleError):
        use(quota, used, 0)
