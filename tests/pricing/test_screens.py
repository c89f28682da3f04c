"""Screens: the published values come out, groups show what the whole lot hides, and honest bids are rarely flagged."""

from __future__ import annotations

import math
import random
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.errors import AuctionError
from pricing.screens import Bounds, flags, rotation, screen, screen_groups

PUBLISHED = [3, 4, 5, 2, 3, 4, 5, 6, 4, 7]
"""The example of Microsoft's reference for KURT and SKEW, the same estimators as here."""


def test_the_published_skewness_kurtosis_and_deviation_come_out() -> None:
    found = screen(PUBLISHED, "lower")
    assert found.skewness == pytest.approx(0.359543071, abs=5e-10)
    assert found.kurtosis == pytest.approx(-0.151799637, abs=5e-10)
    # The reference's own example for STDEV.S: 1345, 1301, 1368, 1322, 1310, 1370, 1318, 1350, 1303, 1299.
    strengths = [1345, 1301, 1368, 1322, 1310, 1370, 1318, 1350, 1303, 1299]
    mean = sum(strengths) / 10
    assert screen(strengths, "lower").variation == pytest.approx(27.46391572 / mean, abs=1e-10)


def test_the_distances_are_those_of_their_definitions() -> None:
    """Bids 100, 110, 112, 114: the gap is 10, losing bids deviate by 2, neighbours are 10, 2, 2 apart."""
    for prices, better in (([112, 100, 114, 110], "lower"), ([88, 100, 86, 90], "higher")):
        found = screen(prices, better)  # type: ignore[arg-type]
        assert found.relative_distance == pytest.approx(5.0)
        assert found.normalised_distance == pytest.approx(10 / (14 / 3))
        assert found.alternative_distance == pytest.approx(5.0)
        assert found.gap == pytest.approx(0.1)


@given(
    st.lists(st.integers(1, 10**9), min_size=2, max_size=12),
    st.sampled_from(["lower", "higher"]),
    st.integers(1, 1_000),
)
def test_figures_do_not_depend_on_the_order_or_the_unit(prices: list[int], better: Any, unit: int) -> None:
    found, scaled = screen(prices, better), screen([p * unit for p in sorted(prices)], better)
    for name in (
        "variation",
        "skewness",
        "kurtosis",
        "spread",
        "gap",
        "relative_distance",
        "normalised_distance",
    ):
        one, other = getattr(found, name), getattr(scaled, name)
        assert (one is None) is (other is None)
        if one is not None:
            assert one == pytest.approx(other, rel=1e-6, abs=1e-6)


def test_too_few_or_equal_bids_leave_figures_undefined_and_not_wrong() -> None:
    two = screen([100, 110], "lower")
    assert (two.skewness, two.kurtosis, two.relative_distance, two.alternative_distance) == (None,) * 4
    equal = screen([100] * 5, "lower")
    assert equal.variation == 0
    assert (equal.skewness, equal.kurtosis, equal.relative_distance, equal.normalised_distance) == (None,) * 4


def test_three_who_agree_among_honest_bidders_show_in_groups_and_not_in_the_whole_lot() -> None:
    prices = [100_000, 103_000, 103_200, 60_000, 150_000, 210_000]
    bounds = Bounds(relative_distance_above=10.0, kurtosis_above=math.inf)
    found = flags(prices, "lower", bounds)
    assert "lot" not in {flag.where for flag in found}
    assert "3" in {flag.where for flag in found}
    assert {flag.name for flag in found} == {"variation", "relative_distance"}
    assert "变异系数" in found[0].words("zh")
    assert "a group of 3 bids" in found[0].words("en")
    whole = flags([100_000, 103_000, 103_200], "lower", bounds)
    assert {flag.where for flag in whole} == {"lot"}
    assert "all bids" in whole[0].words("en")


@pytest.mark.parametrize("size", [3, 4])
def test_the_groups_are_all_the_groups(size: Any) -> None:
    prices = [3, 7, 8, 20, 31, 33]
    spreads = screen_groups(prices, "lower", size)
    values = [screen(group, "lower").variation for group in combinations(prices, size)]
    assert all(value is not None for value in values)
    known = [value for value in values if value is not None]
    assert (spreads["variation"].least, spreads["variation"].most) == (min(known), max(known))
    assert spreads["variation"].mean == pytest.approx(sum(known) / len(known))
    assert ("kurtosis" in spreads) is (size == 4)


def test_agreed_bids_are_flagged_far_more_often_than_honest_ones() -> None:
    chance = random.Random(1)
    honest = agreed = 0
    for _ in range(200):
        values = [round(chance.lognormvariate(11, 0.25)) for _ in range(4)]
        honest += bool(flags(values, "lower", Bounds(relative_distance_above=4, kurtosis_above=math.inf)))
        best = round(chance.lognormvariate(11, 0.25))
        rigged = [best, *(round(best * (1.04 + chance.random() * 0.01)) for _ in range(3))]
        agreed += bool(flags(rigged, "lower", Bounds(relative_distance_above=4, kurtosis_above=math.inf)))
    assert agreed > 190
    assert honest < 40


def test_who_takes_turns_is_told_from_who_wins_by_chance() -> None:
    members = ["A", "B", "C"]
    in_turn = [{m: 100 + (0 if m == members[n % 3] else 5) for m in members} | {"Z": 200} for n in range(12)]
    found = rotation(in_turn, members, "lower")
    assert (found.lots, found.turns, round(found.evenness, 9), found.cover) == (12, 1.0, 1.0, 1.0)
    alone = [{"A": 100, "B": 105, "C": 106, "Z": 103} for _ in range(5)]
    found = rotation(alone, members, "lower")
    assert (found.turns, found.evenness, found.cover) == (0.0, 0.0, 0.0)
    mixed = [*in_turn[:3], {"A": 1, "B": 2}, {"A": 9, "B": 9, "C": 9, "Z": 1}]
    assert rotation(mixed, members, "lower").lots == 3
    selling = [{m: 100 + (5 if m == members[n % 3] else 0) for m in members} for n in range(6)]
    assert rotation(selling, members, "higher").turns == 1.0


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: screen([1], "lower"), "prices_fen"),
        (lambda: screen([1, 0], "lower"), "prices_fen[1]"),
        (lambda: screen([1, math.nan], "lower"), "prices_fen[1]"),  # type: ignore[list-item]
        (lambda: screen_groups([1] * 61, "lower", 3), "prices_fen"),
        (lambda: rotation([], ["A"], "lower"), "members"),
        (lambda: rotation([], ["A", "A"], "lower"), "members"),
        (lambda: rotation([], ["A", "B"], "lower"), "lots"),
        (lambda: rotation([{"A": 0, "B": 1}], ["A", "B"], "lower"), "lots[0].A"),
    ],
)
def test_nonsense_is_refused_by_name(make: Any, field: str) -> None:
    with pytest.raises(AuctionError) as refused:
        make()
    assert refused.value.field == field
    assert refused.value.remedy
