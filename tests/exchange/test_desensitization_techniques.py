"""Every technique does to a column what it says, says no to what it cannot do, and knows its own work again."""

from __future__ import annotations

import json
import math
from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.desensitization import microaggregation, techniques
from exchange.desensitization.detection.detect import Detected, detect
from exchange.desensitization.errors import PolicyRefused
from exchange.desensitization.policy import (
    Clamp,
    Keep,
    Microaggregate,
    Noise,
    Round,
    ShiftDates,
    Statistic,
    Technique,
    Tokenize,
)
from exchange.desensitization.search.classes import Codes, Floats
from exchange.desensitization.techniques import Changed, carry_out, detokenize, misfits

KEY, OTHER = bytes(range(32, 64)), bytes(32)


def table(**columns: list[Any]) -> Detected:
    return detect(pa.table({name: pa.array(values) for name, values in columns.items()}))


def made(raw: Detected, key: bytes = KEY, **done: Technique) -> dict[str, list[Any]]:
    changed = carry_out(raw, done, key)
    return {name: one.rows.to_pylist() for name, one in changed.items() if one is not None}


def losses(raw: Detected, **done: Technique) -> dict[str, list[float]]:
    changed = carry_out(raw, done, KEY)
    return {name: one.loss.tolist() for name, one in changed.items() if isinstance(one, Changed)}


def laplace(scale: str, bound: str) -> Noise:
    return Noise("laplace", Decimal(scale), Decimal(bound))


noises = st.one_of(
    st.builds(Noise, st.just("uniform"), st.none(), st.integers(1, 50).map(Decimal)),
    st.builds(
        lambda kind, scale, factor: Noise(kind, Decimal(scale), Decimal(scale * factor)),
        st.sampled_from(["laplace", "gaussian"]),
        st.integers(1, 20),
        st.integers(1, 5),
    ),
)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.one_of(st.none(), st.integers(-1000, 1000)), min_size=1, max_size=40), noises)
def test_noise_never_goes_beyond_its_bound_and_comes_again_under_the_same_key(
    values: list[int | None], noise: Noise
) -> None:
    raw = table(c=values)
    if raw.columns[0].type == pa.null():
        return
    found = made(raw, c=noise)["c"]
    assert found == made(raw, c=noise)["c"]
    for before, after in zip(values, found, strict=True):
        assert (before is None) == (after is None)
        if before is not None:
            assert isinstance(after, int)
            assert abs(after - before) <= noise.bound


@pytest.mark.parametrize(
    ("noise", "spread"),
    [
        (Noise("uniform", None, Decimal(300)), 300 / math.sqrt(3)),
        (Noise("laplace", Decimal(20), Decimal(1000)), 20 * math.sqrt(2)),
        (Noise("gaussian", Decimal(50), Decimal(1000)), 50),
    ],
)
def test_noise_has_the_distribution_that_the_policy_names(noise: Noise, spread: float) -> None:
    raw = table(c=[0] * 20_000)
    found = np.array(made(raw, c=noise)["c"], dtype=float)
    assert abs(found.mean()) < 4 * spread / math.sqrt(20_000)
    assert abs(found.std() / spread - 1) < 0.03
    # The share within one spread tells the three apart: 0.577, 0.757, 0.683.
    expected = {"uniform": 1 / math.sqrt(3), "laplace": 1 - math.exp(-math.sqrt(2)), "gaussian": 0.6827}
    assert abs((np.abs(found) <= spread).mean() - expected[noise.distribution]) < 0.02


def test_a_bound_cuts_the_tails_and_does_not_heap_them_up_at_itself() -> None:
    for noise in (laplace("50", "60"), Noise("gaussian", Decimal(50), Decimal(60))):
        found = Counter(made(table(c=[0] * 20_000), c=noise)["c"])
        assert max(map(abs, found)) == 60
        assert found[60] < found[0]


def test_noise_of_another_key_or_column_is_other_noise() -> None:
    raw = table(c=[0] * 200, d=[0] * 200)
    one = made(raw, c=laplace("50", "500"), d=laplace("50", "500"))
    other = made(raw, OTHER, c=laplace("50", "500"), d=laplace("50", "500"))
    for first, second in ((one["c"], one["d"]), (one["c"], other["c"])):
        assert sum(a == b for a, b in zip(first, second, strict=True)) < 30


def test_noise_keeps_the_decimals_of_its_column() -> None:
    found = made(table(c=[0.25, 1.5, None]), c=Noise("uniform", None, Decimal("0.3")))["c"]
    assert found[2] is None
    assert all(round(value, 2) == value for value in found[:2])
    with pytest.raises(PolicyRefused, match="none in a column of 0 decimals"):
        made(table(c=[1, 2]), c=Noise("uniform", None, Decimal("0.3")))
    with pytest.raises(PolicyRefused, match="only numbers"):
        made(table(c=["x"]), c=Noise("uniform", None, Decimal("0.3")))


def test_a_noisy_cell_loses_the_values_within_reach_of_it() -> None:
    assert losses(table(c=[0, 10, 20, 30, 40]), c=Noise("uniform", None, Decimal(10)))["c"] == [
        0.25,
        0.5,
        0.5,
        0.5,
        0.25,
    ]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@settings(deadline=None, max_examples=25)
@given(st.lists(texts, min_size=1, max_size=10), st.text(min_size=1, max_size=5))
def test_a_token_turns_back_under_its_key_and_only_there(values: list[str], column: str) -> None:
    token = techniques.tokenizer(KEY, column)
    tokens = [token(value) for value in values]
    assert [detokenize(one, KEY, column) for one in tokens] == values
    assert len(set(tokens)) == len(set(values))
    for key, name in ((OTHER, column), (KEY, column + "x")):
        with pytest.raises(ValueError, match="under this key"):
            detokenize(tokens[0], key, name)
        assert techniques.tokenizer(key, name)(values[0]) != tokens[0]


def test_a_token_that_was_touched_turns_back_into_nothing() -> None:
    token = techniques.tokenizer(KEY, "phone")("13812345678")
    assert techniques.TOKEN_FORM.fullmatch(token)
    for place in range(4, len(token) - 1):
        touched = token[:place] + ("a" if token[place] != "a" else "b") + token[place + 1 :]
        with pytest.raises(ValueError, match="token"):
            detokenize(touched, KEY, "phone")
    for other in ("", "tok-", "psn-aaaa", token[:-8], token + "aaaaaaaa", "13812345678"):
        with pytest.raises(ValueError, match="token"):
            detokenize(other, KEY, "phone")


def test_a_token_tells_no_more_of_a_short_text_than_that_it_is_short() -> None:
    token = techniques.tokenizer(KEY, "name")
    assert len({len(token(name)) for name in ("王", "欧阳娜娜", "Li", "x" * 15)}) == 1


def test_top_and_bottom_coding_moves_only_what_lies_beyond() -> None:
    raw = table(c=[-5, 0, 17, 90, 120, None])
    assert made(raw, c=Clamp(Decimal(0), Decimal(90)))["c"] == [0, 0, 17, 90, 90, None]
    assert made(raw, c=Clamp(None, Decimal("16.5")))["c"] == [-5.0, 0.0, 16.5, 16.5, 16.5, None]
    assert made(table(c=[0.5, 2.25]), c=Clamp(Decimal(1), None))["c"] == [1.0, 2.25]
    assert losses(raw, c=Clamp(Decimal(0), Decimal(90)))["c"] == [0.2, 0.2, 0, 0.2, 0.2, 0]
    with pytest.raises(PolicyRefused, match="only numbers"):
        made(table(c=["x"]), c=Clamp(Decimal(0), None))


days = st.dates(date(1950, 1, 1), date(2050, 12, 31))


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 5), days, days), min_size=1, max_size=30), st.integers(1, 400))
def test_shifted_dates_of_one_person_keep_their_intervals(
    visits: list[tuple[int, date, date]], most: int
) -> None:
    raw = table(
        person=[f"P{person}" for person, _, _ in visits],
        arrived=[arrived for _, arrived, _ in visits],
        left=[datetime(left.year, left.month, left.day, 13, 5) for _, _, left in visits],
    )
    shift = ShiftDates(most, "person")
    found = made(raw, arrived=shift, left=shift)
    of_person: dict[int, timedelta] = {}
    for (person, arrived, left), moved, gone in zip(visits, found["arrived"], found["left"], strict=True):
        by = of_person.setdefault(person, moved - arrived)
        assert moved - arrived == by
        assert gone - datetime(left.year, left.month, left.day, 13, 5) == by
        assert abs(by.days) <= most


def test_dates_shift_row_by_row_where_no_person_is_named() -> None:
    raw = table(c=["2025-03-01"] * 500 + ["2024年2月29日"], p=[*["x"] * 500, None])
    found = made(raw, c=ShiftDates(10))["c"]
    moves = Counter((one - date(2025, 3, 1)).days for one in found[:500])
    assert set(moves) == set(range(-10, 11))
    assert abs((found[500] - date(2024, 2, 29)).days) <= 10
    # A row without a person moves on its own, all of one person alike.
    alike = made(raw, c=ShiftDates(10, "p"))["c"]
    assert len(set(alike[:500])) == 1
    assert found != made(raw, OTHER, c=ShiftDates(10))["c"]
    with pytest.raises(PolicyRefused, match="only dates"):
        made(table(c=["2025-03", "x"]), c=ShiftDates(10))


def test_the_month_of_a_date_is_no_day() -> None:
    with pytest.raises(PolicyRefused, match="only dates"):
        made(table(c=["2025-11"]), c=ShiftDates(10))


statistics = st.sampled_from(["mean", "median", "mode"])
places = st.one_of(st.integers(-5, 5).map(float), st.floats(-1e6, 1e6, width=32), st.just(math.nan))


def slow_statistic(values: list[float], statistic: Statistic) -> float:
    match statistic:
        case "mean":
            return sum(values) / len(values)
        case "median":
            return sorted(values)[(len(values) - 1) // 2]
        case "mode":
            counts = Counter(values)
            return min(value for value in values if counts[value] == max(counts.values()))


@settings(deadline=None)
@given(
    st.lists(st.tuples(places, st.integers(1, 4), st.integers(-1, 4)), min_size=1, max_size=30), statistics
)
def test_a_group_is_told_by_the_statistic_of_its_rows(
    rows: list[tuple[float, int, int]], statistic: Statistic
) -> None:
    values, counts, groups = (np.array(column) for column in zip(*rows, strict=True))
    found = microaggregation.aggregated(values.astype(float), counts, groups.astype(np.int64), statistic)
    for place, (value, _, group) in enumerate(rows):
        if group < 0 or math.isnan(value):
            assert math.isnan(found[place])
            continue
        members = [v for v, n, g in rows for _ in range(n) if g == group and not math.isnan(v)]
        assert found[place] == pytest.approx(slow_statistic(members, statistic), rel=1e-9, abs=1e-6)


def sizes(groups: Codes) -> list[int]:
    return list(Counter(groups[groups >= 0].tolist()).values())


@settings(deadline=None)
@given(st.lists(st.tuples(places, places), min_size=1, max_size=60), st.integers(2, 6), st.randoms())
def test_rows_are_grouped_with_their_like_at_least_so_many_whatever_their_order(
    rows: list[tuple[float, float]], least: int, chance: Any
) -> None:
    matrix = np.array(rows, dtype=float)
    groups = microaggregation.grouped(matrix, least)
    assert all(least <= size for size in sizes(groups))
    lacking = Counter(map(tuple, np.isnan(matrix).tolist()))
    for row, group in zip(np.isnan(matrix).tolist(), groups.tolist(), strict=True):
        assert (group < 0) == (lacking[tuple(row)] < least or all(row))
    order = list(range(len(rows)))
    chance.shuffle(order)
    again = microaggregation.grouped(matrix[order], least)
    means = [
        [microaggregation.aggregated(m[:, side], np.ones(len(rows), np.int64), g, "mean") for side in (0, 1)]
        for m, g in ((matrix, groups), (matrix[order], again))
    ]
    first = sorted(map(str, zip(*means[0], strict=True)))
    assert first == sorted(map(str, zip(*means[1], strict=True)))


@settings(deadline=None)
@given(st.lists(st.tuples(places, st.integers(1, 4)), min_size=1, max_size=40), st.integers(2, 8))
def test_values_on_a_line_are_cut_into_runs(rows: list[tuple[float, int]], least: int) -> None:
    known = dict(rows)
    values, counts = np.array(list(known)), np.array(list(known.values()))
    groups = microaggregation.grouped_values(values, counts, least)
    held: dict[int, list[tuple[float, int]]] = {}
    for value, count, group in zip(values.tolist(), counts.tolist(), groups.tolist(), strict=True):
        if group >= 0:
            held.setdefault(group, []).append((value, count))
    assert bool(held) == (sum(n for v, n in zip(values, counts, strict=True) if not math.isnan(v)) >= least)
    ends = sorted((min(v for v, _ in run), max(v for v, _ in run)) for run in held.values())
    assert all(before[1] < after[0] for before, after in pairwise(ends))
    assert all(sum(count for _, count in run) >= least for run in held.values())


def spread_within(rows: Floats, groups: Codes) -> float:
    return sum(
        float(((rows[groups == group] - rows[groups == group].mean(axis=0)) ** 2).sum())
        for group in set(groups.tolist())
    )


def test_groups_of_several_columns_lie_closer_together_than_runs_along_one() -> None:
    rows = np.random.default_rng(7).normal(size=(600, 3))
    together = microaggregation.grouped(rows, 5)
    along = microaggregation.grouped_values(rows[:, 0], np.ones(600, np.int64), 5)
    assert spread_within(rows, together) < 0.4 * spread_within(rows, along)
    # More rows than distances are taken between at once: neighbours stay together.
    many = np.random.default_rng(8).normal(size=(5000, 2))
    groups = microaggregation.grouped(many, 5)
    assert min(sizes(groups)) == 5
    assert max(sizes(groups)) < 10
    assert spread_within(many, groups) < 0.02 * float(((many - many.mean(axis=0)) ** 2).sum())


def test_microaggregation_shows_numbers_and_dates_as_the_column_does() -> None:
    group = Microaggregate(2, "mean")
    assert made(table(c=[1, 2, 10, 13, None]), c=group)["c"] == [2, 2, 12, 12, None]
    assert made(table(c=[0.5, 1.0, 9.0, 9.0]), c=group)["c"] == [0.8, 0.8, 9.0, 9.0]
    dates = [date(2025, 1, 1), date(2025, 1, 3), date(2025, 5, 1), date(2025, 5, 1)]
    assert made(table(c=dates), c=group)["c"] == [date(2025, 1, 2)] * 2 + [date(2025, 5, 1)] * 2
    assert made(table(c=[7]), c=group)["c"] == [None]
    together = Microaggregate(2, "median", "body")
    raw = table(h=[150, 190, 151, 191, None], w=[50, 90, 51, 91, 70])
    found = made(raw, h=together, w=together)
    assert found == {"h": [150, 190, 150, 190, None], "w": [50, 90, 50, 90, None]}
    assert losses(raw, h=together, w=together)["h"] == [1 / 3] * 4 + [1]
    with pytest.raises(PolicyRefused, match="only numbers, dates and times"):
        made(table(c=["a", "b"]), c=group)


@pytest.mark.parametrize(
    ("technique", "good", "bad"),
    [
        (Tokenize(), [techniques.tokenizer(KEY, "c")("x")], ["x", "psn-" + "a" * 26]),
        (Round(Decimal("0.5")), [0.5, 3.0, -1.0], [0.4, 0.75]),
        (Round(Decimal(10)), [10, -20], [3, 15]),
        (Clamp(Decimal(0), Decimal(90)), [0, 45, 90], [-1, 91]),
        (Noise("uniform", None, Decimal(3)), [1, 2], []),
        (ShiftDates(3), [date(2025, 1, 1)], []),
        (Microaggregate(2, "mean"), [5, 5, 7, 7], [8]),
    ],
)
def test_a_technique_knows_what_it_cannot_have_made(
    technique: Technique, good: list[Any], bad: list[Any]
) -> None:
    assert misfits(table(c=[*good, None]).columns[0], technique) == 0
    assert misfits(table(c=[*good, *bad, None]).columns[0], technique) == len(bad)
    if not isinstance(technique, Tokenize):
        assert misfits(table(c=["secret", "words"]).columns[0], technique) == 2


def test_no_technique_shows_the_key_or_what_is_derived_from_it() -> None:
    raw = table(phone=[f"1381234{n:04d}" for n in range(50)], n=list(range(50)), d=[date(2025, 1, 1)] * 50)
    done: dict[str, Technique] = {"phone": Tokenize(), "n": laplace("3", "9"), "d": ShiftDates(9, "phone")}
    shown = json.dumps(made(raw, KEY, **done), default=str).encode()
    for use in ("token", "token nonce", "noise", "shift", "shift by"):
        for column in done:
            derived = techniques._derived(KEY, use, column)
            for form in (derived, derived.hex().encode(), techniques._base32(derived).encode()):
                assert form not in shown
    assert KEY.hex().encode() not in shown
    assert b"1381234" not in shown
    assert made(raw, KEY, **done) == made(raw, KEY, **done)
    assert made(raw, phone=Keep())["phone"][0] == "13812340000"
