"""Ranges by drawing: every draw equals a slow one, and nothing but the seed decides."""

import math
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing.errors import RangeError
from pricing.monte_carlo import BINS, BLOCK, Drawn, Spread, simulate

SEED = bytes(range(32))
A, B = Drawn("a", 100, 150, 400), Drawn("b", 1_000, 1_000, 9_000, "uniform")


def product(at: Mapping[str, Any]) -> Any:
    return at["a"] * at["b"] / 7.0


def slow_uniform(name: str, count: int) -> list[float]:
    """53 bits of each word that Philox gives, read as numpy documents its generator's raw output."""
    key = int.from_bytes(sha256(SEED + b"\n" + name.encode()).digest()[:16], "big")
    words = numpy.random.Philox(key=key).random_raw(count)
    return [(int(word) >> 11) * 2.0**-53 for word in words]


def slow_shape(drawn: Drawn, u: float) -> float:
    low, mode, high = float(drawn.low), float(drawn.mode), float(drawn.high)
    if drawn.shape == "uniform":
        return u * (high - low) + low
    left = min(math.sqrt(u * ((high - low) * (mode - low))), mode - low)
    right = min(math.sqrt((1.0 - u) * ((high - low) * (high - mode))), high - mode)
    return (left - right) + (low + (high - mode))


def slow(drawn: list[Drawn], draws: int) -> list[int]:
    """One draw after the other, in Python's own doubles."""
    uniform = {each.name: slow_uniform(each.name, draws) for each in drawn}
    return [
        round(product({each.name: slow_shape(each, uniform[each.name][i]) for each in drawn}))
        for i in range(draws)
    ]


@pytest.mark.parametrize("draws", [1_000, BLOCK, BLOCK + 1, 3 * BLOCK - 5])
def test_the_fast_way_equals_the_slow_one_to_the_fen(draws: int) -> None:
    values = sorted(slow([A, B], draws))
    found = simulate(product, [A, B], seed=SEED, draws=draws)
    p5, p50, p95 = (values[math.ceil(draws * share) - 1] for share in (0.05, 0.5, 0.95))
    step = (values[-1] - values[0]) // BINS + 1
    bins = [0] * BINS
    for each in values:
        bins[(each - values[0]) // step] += 1
    assert found == Spread(
        draws,
        values[0],
        p5,
        p50,
        p95,
        values[-1],
        (2 * sum(values) + draws) // (2 * draws),
        step,
        tuple(bins),
    )


def test_the_order_of_figures_and_the_others_beside_one_change_no_draw() -> None:
    assert simulate(product, [A, B], seed=SEED, draws=5_000) == simulate(
        product, [Drawn("c", 1, 2, 3), B, A], seed=SEED, draws=5_000
    )
    assert simulate(product, [A, B], seed=bytes(32), draws=5_000) != simulate(
        product, [A, B], seed=SEED, draws=5_000
    )


def test_a_known_seed_gives_known_percentiles() -> None:
    """What anybody must get: pinned, so that no version of anything changes it unseen."""
    found = simulate(product, [A, B], seed=SEED, draws=100_000)
    assert (found.p5_fen, found.p50_fen, found.p95_fen, found.mean_fen) == (38667, 141264, 324474, 154930)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**6))
def test_triangular_draws_lie_within_their_bounds_around_their_mean(low: int, rise: int, fall: int) -> None:
    drawn = Drawn("x", low, low + rise, low + rise + fall)
    found = simulate(lambda at: at["x"], [drawn], seed=SEED, draws=20_000)
    assert drawn.low <= found.least_fen <= found.most_fen <= drawn.high
    spread = drawn.high - drawn.low
    assert abs(found.mean_fen - (drawn.low + drawn.mode + drawn.high) / 3) <= spread * 0.01 + 1
    # The median of the distribution, by its inverse.
    exact = slow_shape(drawn, 0.5)
    assert abs(found.p50_fen - exact) <= spread * 0.02 + 1


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_uniform_draws_fill_their_bounds_evenly(low: int, width: int) -> None:
    found = simulate(
        lambda at: at["x"], [Drawn("x", low, low, low + width, "uniform")], seed=SEED, draws=20_000
    )
    for share, percentile in ((0.05, found.p5_fen), (0.5, found.p50_fen), (0.95, found.p95_fen)):
        assert abs(percentile - (low + share * width)) <= width * 0.02 + 1


def test_sums_wider_than_63_bits_and_values_below_nothing_are_counted_right() -> None:
    high = Drawn("x", 4 * 10**18, 4 * 10**18, 4 * 10**18 + 1)
    found = simulate(lambda at: at["x"], [high], seed=SEED, draws=1_000)
    assert found.mean_fen == found.p50_fen == 4 * 10**18
    below = simulate(lambda at: -at["x"], [Drawn("x", 1, 5, 9)], seed=SEED, draws=1_000)
    assert below.least_fen < below.p5_fen < below.mean_fen < 0


def test_a_value_that_hangs_on_no_figure_is_one_bar() -> None:
    found = simulate(lambda at: 7.0, [A], seed=SEED, draws=1_000)
    assert found == Spread(1_000, 7, 7, 7, 7, 7, 7, 1, (1_000,) + (0,) * (BINS - 1))


@pytest.mark.parametrize(
    "value",
    [
        lambda at: at["a"] * float("nan"),
        lambda at: at["a"] / 0.0,
        lambda at: at["a"] * 1e300 * 1e300,
        lambda at: -at["a"] * 1e17,
        lambda at: at["a"] * 1e17,
    ],
)
def test_values_that_are_no_numbers_or_too_wide_are_refused_by_name(value: Any) -> None:
    with pytest.raises(RangeError) as refused:
        simulate(value, [A], seed=SEED, draws=1_000)
    assert refused.value.field == "value"


def test_figures_and_draws_that_cannot_be_are_refused_by_name() -> None:
    for bad, field in (
        (lambda: Drawn("x", 5, 4, 6), "x"),
        (lambda: Drawn("x", 5, 7, 6), "x"),
        (lambda: Drawn("x", 5, 5, 5), "x"),
        (lambda: Drawn("x", -1, 5, 6), "x: low"),
        (lambda: Drawn("x", 1, 5, float("nan")), "x: high"),  # type: ignore[arg-type]  # on purpose
        (lambda: simulate(product, [], seed=SEED, draws=1_000), "uncertain"),
        (lambda: simulate(product, [A, A], seed=SEED, draws=1_000), "uncertain"),
        (lambda: simulate(product, [A], seed=SEED, draws=999), "draws"),
        (lambda: simulate(product, [A], seed=SEED, draws=1_000_001), "draws"),
    ):
        with pytest.raises(RangeError) as refused:
            bad()
        assert refused.value.field == field


def test_the_size_of_blocks_changes_no_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = simulate(product, [A, B], seed=SEED, draws=20_000)
    monkeypatch.setattr("pricing.monte_carlo.BLOCK", 777)
    assert simulate(product, [A, B], seed=SEED, draws=20_000) == whole
