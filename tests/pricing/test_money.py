"""Money: exact in and out, named rounding, divisions that lose no fen."""

import json
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.errors import MoneyError, PricingError
from pricing.money import (
    MAX_AMOUNT,
    PPM,
    Rounding,
    charge_fen,
    divide,
    fen_in_words,
    format_fen,
    format_unit_price_micro,
    parse_fen,
    parse_unit_price_micro,
    ppm_in_words,
    quotient,
    require_shares,
    require_whole,
    scale,
)

amounts = st.integers(0, MAX_AMOUNT)


def test_ten_million_calls_at_0_0028_yuan_cost_exactly_28_000_yuan() -> None:
    assert charge_fen(parse_unit_price_micro("0.0028"), 10_000_000, Rounding.EXACT) == parse_fen("28000.00")


def test_one_yuan_and_one_fen_under_the_shares_of_digital_guangdong() -> None:
    shares = [490_000, 180_000, 165_000, 165_000]
    require_shares(shares)
    assert divide(101, shares) == [49, 18, 17, 17]


def test_a_tie_of_remainders_goes_to_the_earlier() -> None:
    assert divide(1, [1, 1, 1]) == [1, 0, 0]
    assert divide(5, [1, 1, 1]) == [2, 2, 1]


@given(amounts, st.lists(st.integers(0, 10**12), min_size=1, max_size=12).filter(any))
def test_a_division_sums_to_the_amount_and_each_part_is_less_than_one_from_its_proportion(
    amount: int, weights: list[int]
) -> None:
    parts = divide(amount, weights)
    assert sum(parts) == amount
    total = sum(weights)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(amount * weight, total)) < 1
        assert weight or not part


@given(st.integers(0, 400), st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any))
def test_a_division_equals_handing_out_the_rest_one_by_one(amount: int, weights: list[int]) -> None:
    """The slow twin: floors first, then each missing fen to whoever is furthest below the exact share."""
    exact = [Fraction(amount * weight, sum(weights)) for weight in weights]
    parts = [int(share) for share in exact]
    while sum(parts) < amount:
        below = [share - part for share, part in zip(exact, parts, strict=True)]
        parts[below.index(max(below))] += 1
    assert divide(amount, weights) == parts


@given(amounts, st.integers(1, MAX_AMOUNT))
def test_each_rounding_is_the_one_of_its_name(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    floor = numerator // denominator
    assert quotient(numerator, denominator, Rounding.DOWN) == floor
    assert quotient(numerator, denominator, Rounding.UP) == -(-numerator // denominator)
    assert quotient(numerator, denominator, Rounding.HALF_EVEN) == round(exact)
    assert quotient(numerator, denominator, Rounding.HALF_UP) == (exact + Fraction(1, 2)).__floor__()


@given(st.integers(0, 10**9))
def test_rounding_agrees_with_the_decimal_module(halves: int) -> None:
    for ours, theirs in (
        (Rounding.DOWN, ROUND_FLOOR),
        (Rounding.UP, ROUND_CEILING),
        (Rounding.HALF_UP, ROUND_HALF_UP),
        (Rounding.HALF_EVEN, ROUND_HALF_EVEN),
    ):
        assert quotient(halves, 2, ours) == int((Decimal(halves) / 2).quantize(Decimal(1), theirs))


def test_exact_rounding_refuses_a_rest() -> None:
    assert quotient(6, 3, Rounding.EXACT) == 2
    with pytest.raises(MoneyError, match="is not whole"):
        quotient(7, 3, Rounding.EXACT)


def test_the_treasury_rounds_a_pro_rata_share_up_to_a_hundredth_of_a_percent(vectors: Path) -> None:
    cases = json.loads((vectors / "pricing" / "cases.json").read_text())["cases"]
    (case,) = (case for case in cases if case["id"] == "treasury-proration-rounding")
    pairs = [(case["inputs"]["remaining"], case["inputs"]["bids_at_margin"]), tuple(case["inputs"]["then"])]
    shares = [quotient(remaining * 10_000, bid, Rounding.UP) for remaining, bid in pairs]
    assert [f"{share // 100}.{share % 100:02d}" for share in shares] == case["expected"]


@given(amounts)
def test_what_is_formatted_is_parsed_back(amount: int) -> None:
    assert parse_fen(format_fen(amount)) == amount
    assert parse_unit_price_micro(format_unit_price_micro(amount)) == amount


@given(st.decimals(0, 10**12, places=6))
def test_a_unit_price_is_read_as_the_decimal_module_reads_it(price: Decimal) -> None:
    assert parse_unit_price_micro(f"{price:f}") == int(price * 1_000_000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1.",
        ".5",
        "1,000",
        "1.005",
        "01",
        "1e3",
        "NaN",
        "inf",
        "١",
        "１",
        "1\n",
        "9" * 99,
    ],
)
def test_what_is_no_amount_is_refused_by_name(text: str) -> None:
    with pytest.raises(MoneyError) as refused:
        parse_fen(text)
    assert refused.value.field == "price"
    assert refused.value.remedy


def test_amounts_past_63_bits_are_refused_by_name() -> None:
    assert parse_fen("92233720368547758.07") == MAX_AMOUNT
    for act in (
        lambda: parse_fen("92233720368547758.08"),
        lambda: charge_fen(MAX_AMOUNT, MAX_AMOUNT),
        lambda: scale(MAX_AMOUNT, PPM + 1, Rounding.DOWN),
        lambda: divide(MAX_AMOUNT + 1, [1]),
    ):
        with pytest.raises(MoneyError, match="at most 9223372036854775807"):
            act()


@pytest.mark.parametrize("value", [1.0, float("nan"), True, "1", None, Decimal(1)])
def test_only_true_integers_are_amounts(value: object) -> None:
    with pytest.raises(MoneyError, match="must be an integer"):
        require_whole(value, "amount")


def test_negative_amounts_and_weights_are_refused_by_name() -> None:
    with pytest.raises(MoneyError, match="amount: must be at least 0"):
        divide(-1, [1])
    with pytest.raises(MoneyError, match=r"weights\[1\]: must be at least 0"):
        divide(1, [1, -1])
    with pytest.raises(MoneyError, match="denominator: must be at least 1"):
        quotient(1, 0, Rounding.DOWN)
    for weights in ([], [0, 0]):
        with pytest.raises(MoneyError, match="at least one weight above zero"):
            divide(1, weights)


def test_shares_that_are_no_whole_are_refused_with_what_is_missing() -> None:
    with pytest.raises(MoneyError, match="undeclared rest 352900"):
        require_shares([382_400, 264_700])
    with pytest.raises(MoneyError, match="excess 1"):
        require_shares([PPM, 1])
    with pytest.raises(MoneyError, match=r"shares_ppm\[0\]"):
        require_shares([PPM + 1])


def test_amounts_are_spelled_for_both_languages() -> None:
    assert fen_in_words(2_800_000, "en") == "CNY 28,000.00"
    assert fen_in_words(2_800_000, "zh") == "28,000.00 元"
    assert fen_in_words(-5, "en") == "CNY -0.05"
    assert format_fen(-12_345) == "-123.45"
    assert ppm_in_words(985_000) == "98.5000 %"


@given(amounts, st.integers(0, PPM))
def test_scaling_by_a_rate_is_the_exact_product_rounded_once(amount: int, ppm: int) -> None:
    assert scale(amount, ppm, Rounding.HALF_EVEN) == round(Fraction(amount * ppm, PPM))


def test_every_refusal_carries_field_rule_and_remedy() -> None:
    with pytest.raises(PricingError) as refused:
        divide(1, [])
    assert str(refused.value) == f"{refused.value.field}: {refused.value.rule}; {refused.value.remedy}"
