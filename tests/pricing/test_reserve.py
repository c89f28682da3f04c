"""Reserves: the published revenues, Myerson's price whatever the number of bidders, and the best of past lots."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.auctions.reserve import Reserve, Values, best_reserve, empirical_reserve, expected_revenue
from pricing.errors import AuctionError

VALUES = st.lists(st.integers(0, 12), min_size=1, max_size=4, unique=True).flatmap(
    lambda support: st.builds(
        Values, st.just(tuple(sorted(support))), st.tuples(*[st.integers(1, 5)] * len(support))
    )
)


def slow_revenue(values: Values, bidders: int, reserve: int) -> Fraction:
    """Every profile of values, one by one."""
    weights = dict(zip(values.support_fen, values.weights, strict=True))
    total = Fraction(0)
    for profile in product(values.support_fen, repeat=bidders):
        taken = sorted((v for v in profile if v >= reserve), reverse=True)
        paid = 0 if not taken else max(reserve, taken[1]) if len(taken) > 1 else reserve
        total += paid * prod(weights[v] for v in profile)
    return total / Fraction(sum(values.weights)) ** bidders


def test_the_published_revenues_come_out(vectors: Path) -> None:
    cases = json.loads((vectors / "pricing" / "cases.json").read_text())["cases"]
    (case,) = (case for case in cases if case["id"] == "reserve-discrete")
    values = Values(tuple(case["inputs"]["support"]), (1, 1, 1))
    assert [expected_revenue(values, 2, r) for r in (1, 2)] == [Fraction(x) for x in case["expected"]]
    assert best_reserve(values, 2) == Reserve(2, Fraction(10, 9), Fraction(4, 9))


def test_for_uniform_values_the_best_reserve_tends_to_half_of_the_highest() -> None:
    """Riley and Samuelson (1981): uniform on [0, 1], whatever the number of bidders, reserve 1/2; revenue of two 5/12."""
    values = Values(tuple(range(1, 201)), (1,) * 200)
    for bidders in (1, 2, 5):
        assert abs(best_reserve(values, bidders).price_fen - 100) <= 2
    assert abs(expected_revenue(values, 2, 100) / 200 - Fraction(5, 12)) < Fraction(1, 100)
    assert values.regular


@given(VALUES, st.integers(1, 4), st.integers(0, 13))
def test_expected_revenue_is_the_sum_over_every_profile(values: Values, bidders: int, reserve: int) -> None:
    assert expected_revenue(values, bidders, reserve) == slow_revenue(values, bidders, reserve)


@given(VALUES, st.integers(1, 4))
def test_no_reserve_earns_more_than_the_best_one(values: Values, bidders: int) -> None:
    best = best_reserve(values, bidders)
    assert best.revenue_fen == max(expected_revenue(values, bidders, r) for r in range(14))
    assert best.unsold == (1 - values.at_least(best.price_fen)) ** bidders
    alone = best_reserve(values, 1)
    # One bidder faces a posted price: Myerson's, the lowest value whose virtual value is not below zero.
    assert alone.revenue_fen == max(r * values.at_least(r) for r in range(14))
    if values.regular:
        first = next(v for v, w in zip(values.support_fen, values.virtual_fen(), strict=True) if w >= 0)
        assert first * values.at_least(first) == alone.revenue_fen


def test_values_with_a_gap_are_not_regular() -> None:
    assert not Values((1, 2, 100), (1, 8, 1)).regular


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(0, 9)).map(lambda p: (max(p), min(p))),
        min_size=1,
        max_size=12,
    )
)
def test_the_best_reserve_of_past_lots_equals_the_slow_search(lots: list[tuple[int, int]]) -> None:
    def revenue(reserve: int) -> int:
        return sum(max(reserve, second) for highest, second in lots if highest >= reserve)

    found = empirical_reserve(lots)
    assert found.revenue_fen * len(lots) == max(revenue(r) for r in range(1, 10)) == revenue(found.price_fen)
    assert found.unsold == Fraction(sum(highest < found.price_fen for highest, _ in lots), len(lots))
    equal = [r for r, _ in lots if revenue(r) == revenue(found.price_fen)]
    assert found.price_fen == min(equal)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Values((), ()), "weights"),
        (lambda: Values((1,), (1, 2)), "weights"),
        (lambda: Values((1, 1), (1, 1)), "support_fen[1]"),
        (lambda: Values((-1,), (1,)), "support_fen[0]"),
        (lambda: Values((1,), (0,)), "weights[0]"),
        (lambda: Values((1.5,), (1,)), "support_fen[0]"),  # type: ignore[arg-type]
        (lambda: expected_revenue(Values((1,), (1,)), 0, 1), "bidders"),
        (lambda: expected_revenue(Values((1,), (1,)), 1, -1), "reserve_fen"),
        (lambda: empirical_reserve([]), "lots"),
        (lambda: empirical_reserve([(0, 0)]), "lots[0].highest"),
        (lambda: empirical_reserve([(5, 6)]), "lots[0].second"),
    ],
)
def test_nonsense_is_refused_by_name(make: Any, field: str) -> None:
    with pytest.raises(AuctionError) as refused:
        make()
    assert refused.value.field == field
    assert refused.value.remedy
