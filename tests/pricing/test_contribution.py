"""Contributions: published games come out, Shapley's axioms hold, copies earn nothing, and rows' values are exact."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from itertools import combinations, permutations
from math import comb, factorial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing.contribution import (
    Drawn,
    Game,
    banzhaf,
    dividends,
    drawn_shapley,
    knn_shapley,
    normalised,
    owner_shares,
    shapley,
)
from pricing.errors import GameError

GAMES = st.integers(1, 5).flatmap(
    lambda n: st.lists(st.integers(-50, 50), min_size=(1 << n) - 1, max_size=(1 << n) - 1).map(
        lambda worth: Game(tuple("ABCDE"[:n]), [0, *worth])
    )
)


def by_orders(game: Game) -> dict[str, Fraction]:
    """What each player adds, averaged over every order in which they could come."""
    sums = dict.fromkeys(game.players, 0)
    for order in permutations(range(len(game.players))):
        mask = 0
        for k in order:
            sums[game.players[k]] += game.worth[mask | 1 << k] - game.worth[mask]
            mask |= 1 << k
    return {player: Fraction(total, factorial(len(game.players))) for player, total in sums.items()}


# --- published games ---


def cases_of(vectors: Path, area: str) -> list[dict[str, Any]]:
    cases = json.loads((vectors / "pricing" / "cases.json").read_text())["cases"]
    return [case for case in cases if case["area"] == area]


def test_the_published_airports_shoes_and_states_come_out(vectors: Path) -> None:
    seen = set()
    for case in cases_of(vectors, "shapley"):
        given, expected = case["inputs"], case["expected"]
        if "costs" in given:
            costs = dict(zip("ABCDEFGH", given["costs"], strict=False))
            game = Game.of(list(costs), lambda who, costs=costs: max(costs[p] for p in who))  # type: ignore[misc]
            unit = 6 if "sixths" in case["rule"] else 1
            assert [value * unit for value in shapley(game).values()] == expected
        elif "left" in given:
            left, right = given["left"], given["right"]
            names = [f"L{n}" for n in range(left)] + [f"R{n}" for n in range(right)]
            game = Game.of(
                names, lambda who: min(sum(p[0] == "L" for p in who), sum(p[0] == "R" for p in who))
            )
            for value, published in zip(shapley(game).values(), expected, strict=True):
                assert float(value) == pytest.approx(published, abs=1e-9)
        else:
            continue  # 51 players: drawn, below
        seen.add(case["id"])
    assert len(seen) == 4


def test_the_votes_of_the_states_come_out_within_their_error(vectors: Path) -> None:
    """Castro et al. (2009) §4.2: 51 weights, a quota of more than half."""
    (case,) = (c for c in cases_of(vectors, "shapley") if "weights" in c["inputs"])
    weights: list[int] = []
    for part in case["inputs"]["weights"].split(","):
        weight, _, times = part.partition("x")
        weights += [int(weight)] * int(times or 1)
    assert len(weights) == 51
    of = {f"S{n}": weight for n, weight in enumerate(weights)}
    quota = sum(weights) // 2
    found = drawn_shapley(
        list(of), lambda who: int(sum(of[p] for p in who) > quota), rounds=1_500, seed=b"states"
    )
    assert sum(value.value for value in found.values()) == pytest.approx(1)
    for weight, published in case["expected"].items():
        ours = [found[name] for name, own in of.items() if own == int(weight)]
        mean = sum(value.value for value in ours) / len(ours)
        assert mean == pytest.approx(published, abs=4 * max(value.error for value in ours) / len(ours) ** 0.5)


def test_the_power_of_the_security_council_is_the_published_one() -> None:
    """Nine of fifteen votes with all five permanent members. Shapley-Shubik (1954): 0.1963 a permanent member,
    0.001865 another; Banzhaf's counts: 848 and 84 of 2^14."""
    names = [f"P{n}" for n in range(5)] + [f"N{n}" for n in range(10)]
    game = Game.of(names, lambda who: int(len(who) >= 9 and sum(p[0] == "P" for p in who) == 5))
    values = shapley(game)
    assert values["P0"] == Fraction(421, 2145)
    assert values["N0"] == Fraction(4, 2145)
    power = banzhaf(game)
    assert (power["P0"], power["N0"]) == (Fraction(848, 1 << 14), Fraction(84, 1 << 14))
    shares = normalised(power)
    assert sum(shares.values()) == 1
    assert float(shares["P0"]) == pytest.approx(0.1669, abs=5e-5)


def test_twenty_players_are_exact() -> None:
    """The largest game: weights 1 to 20, worth the square of their sum; the value is w times the whole sum."""
    weights = list(range(1, 21))
    sums = np.zeros(1, dtype=np.int64)
    for weight in weights:
        sums = np.concatenate((sums, sums + weight))
    scale = 10**13  # so that sums of a million worths pass 64 bits
    game = Game(tuple(map(str, weights)), [int(x) * scale for x in sums**2])
    assert shapley(game) == {str(w): Fraction(w * 210 * scale) for w in weights}


# --- axioms ---


@given(GAMES)
def test_values_equal_the_average_over_every_order(game: Game) -> None:
    assert shapley(game) == by_orders(game)


@given(GAMES)
def test_values_share_everything_and_who_adds_nothing_gets_nothing(game: Game) -> None:
    values = shapley(game)
    assert sum(values.values()) == game.worth[-1]
    for k, player in enumerate(game.players):
        added = {game.worth[m | 1 << k] - game.worth[m] for m in range(len(game.worth)) if not m >> k & 1}
        if len(added) == 1:
            assert values[player] == added.pop()


@given(GAMES, st.data())
def test_equals_are_treated_equally_and_games_add_up(game: Game, data: st.DataObject) -> None:
    size = len(game.worth)
    other = Game(
        game.players, [0, *data.draw(st.lists(st.integers(-9, 9), min_size=size - 1, max_size=size - 1))]
    )
    both = Game(game.players, [a + b for a, b in zip(game.worth, other.worth, strict=True)])
    assert shapley(both) == {p: shapley(game)[p] + shapley(other)[p] for p in game.players}
    if len(game.players) > 1:
        swapped = [m & ~3 | (m & 1) << 1 | (m >> 1) & 1 for m in range(size)]
        renamed = Game(game.players, [game.worth[m] for m in swapped])
        values, after = shapley(game), shapley(renamed)
        assert (after["A"], after["B"]) == (values["B"], values["A"])
        even = Game(game.players, [game.worth[m] + game.worth[s] for m, s in enumerate(swapped)])
        assert shapley(even)["A"] == shapley(even)["B"]


@given(GAMES)
def test_banzhaf_is_the_average_of_what_a_player_adds(game: Game) -> None:
    for k, player in enumerate(game.players):
        added = [game.worth[m | 1 << k] - game.worth[m] for m in range(len(game.worth)) if not m >> k & 1]
        assert banzhaf(game)[player] == Fraction(sum(added), len(added))


# --- drawn ---


def test_drawn_values_come_near_the_exact_ones_and_say_how_near() -> None:
    weights = {"A": 5, "B": 3, "C": 3, "D": 1}

    def worth(who: frozenset[str]) -> int:
        return 100 * (sum(weights[p] for p in who) >= 7)

    exact = shapley(Game.of(list(weights), worth))
    misses = 0
    for run in range(40):
        found = drawn_shapley(list(weights), worth, rounds=200, seed=bytes([run]))
        assert sum(value.value for value in found.values()) == pytest.approx(100)
        misses += sum(abs(found[p].value - float(exact[p])) > 2 * found[p].error + 1e-9 for p in weights)
    assert misses <= 20, "of 160, one in twenty may lie outside two errors"


def test_one_seed_gives_one_result_in_every_process() -> None:
    code = (
        "from pricing.contribution import drawn_shapley\n"
        "print(drawn_shapley(list('ABCDEF'), lambda who: len(who) ** 2 * (('A' in who) + 1), rounds=50, seed=b's'))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": h},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for h in ("0", "7")
    }
    assert len(said) == 1
    other = drawn_shapley(list("ABC"), len, rounds=10, seed=b"s")
    assert other["A"] == Drawn(pytest.approx(1.0), pytest.approx(0.0))  # type: ignore[arg-type]


# --- rows ---


def slow_knn(train: Any, labels: Any, test: Any, test_labels: Any, k: int) -> list[Fraction]:
    """Shapley over rows, the worth of some being the part of their K nearest with the right label (out of K)."""
    n = len(train)
    total = [Fraction(0)] * n
    for point, label in zip(test, test_labels, strict=True):
        distance = [sum((a - b) ** 2 for a, b in zip(row, point, strict=True)) for row in train]
        order = sorted(range(n), key=lambda i: (distance[i], i))

        def worth(rows: tuple[int, ...], order: list[int] = order, label: int = label) -> Fraction:
            nearest = [i for i in order if i in rows][:k]
            return Fraction(sum(int(labels[i] == label) for i in nearest), k)

        for i in range(n):
            others = [j for j in range(n) if j != i]
            for size in range(n):
                for rows in combinations(others, size):
                    total[i] += (worth((*rows, i)) - worth(rows)) / (n * comb(n - 1, size))
    return [value / len(test) for value in total]


@settings(max_examples=25)
@given(
    st.integers(1, 6),
    st.integers(1, 3),
    st.integers(1, 7),
    st.randoms(use_true_random=False),
)
def test_each_row_s_value_is_its_shapley_value(n: int, m: int, k: int, chance: Any) -> None:
    train = [[chance.randint(-3, 3), chance.randint(-3, 3)] for _ in range(n)]
    test = [[chance.randint(-3, 3), chance.randint(-3, 3)] for _ in range(m)]
    labels, test_labels = ([chance.randint(0, 1) for _ in range(count)] for count in (n, m))
    found = knn_shapley(
        np.array(train, dtype=np.float64),
        np.array(labels),
        np.array(test, dtype=np.float64),
        np.array(test_labels),
        k,
    )
    exact = slow_knn(train, labels, test, test_labels, k)
    assert found == pytest.approx([float(value) for value in exact], abs=1e-12)


def test_the_values_of_many_rows_sum_to_the_accuracy_of_all() -> None:
    chance = np.random.default_rng(3)
    train, test = chance.normal(size=(500, 4)), chance.normal(size=(40, 4))
    labels, test_labels = (train[:, 0] > 0).astype(int), (test[:, 0] > 0).astype(int)
    values = knn_shapley(train, labels, test, test_labels, 5)
    distances = ((test[:, None, :] - train[None, :, :]) ** 2).sum(axis=2)
    nearest = np.argsort(distances, axis=1)[:, :5]
    accuracy = (labels[nearest] == test_labels[:, None]).mean()
    assert values.sum() == pytest.approx(accuracy)


# --- copies and money ---


@given(
    st.lists(st.tuples(st.sampled_from("XYZ"), st.sampled_from("abcd")), min_size=1, max_size=6),
    st.integers(1, 3),
    st.data(),
)
def test_an_owner_who_lists_the_own_data_again_gets_no_more(
    holdings: list[tuple[str, str]], copies: int, data: st.DataObject
) -> None:
    value = {content: data.draw(st.integers(0, 9)) for content in "abcd"}

    def worth(contents: frozenset[str]) -> int:
        return max(value[c] for c in contents) * 10 + len(contents)

    before = owner_shares(holdings, worth)
    again = data.draw(st.sampled_from(holdings))
    assert owner_shares([*holdings, *[again] * copies], worth) == before
    assert sum(before.values()) == worth(frozenset(content for _, content in holdings))


def test_a_variant_that_is_worth_nothing_beside_the_own_original_earns_nothing() -> None:
    def worth(contents: frozenset[str]) -> int:
        return 60 * bool(contents & {"a", "a with a row changed"}) + 40 * ("b" in contents)

    honest = [("X", "a"), ("Y", "b"), ("Z", "c")]
    shares = owner_shares(honest, worth)
    assert shares == {"X": Fraction(60), "Y": Fraction(40), "Z": Fraction(0)}
    assert owner_shares([*honest, ("X", "a with a row changed")], worth) == shares


def test_draws_do_not_depend_on_the_order_in_which_players_are_named() -> None:
    def worth(players: frozenset[str]) -> int:
        return len(players) ** 2 + 7 * ("C" in players)

    assert drawn_shapley(["C", "A", "B"], worth, rounds=10, seed=b"s") == drawn_shapley(
        ["A", "B", "C"], worth, rounds=10, seed=b"s"
    )


def test_rows_that_differ_by_less_than_a_product_can_tell_are_ordered_as_exact_sums_order_them() -> None:
    rng = np.random.default_rng(3)
    train = 1e6 + rng.integers(0, 3, (60, 3)).astype(float)
    test = 1e6 + rng.integers(0, 3, (7, 3)).astype(float)
    labels, test_labels = rng.integers(0, 2, 60), rng.integers(0, 2, 7)
    far = knn_shapley(train, labels, test, test_labels, 3)
    near = knn_shapley(train - 1e6, labels, test - 1e6, test_labels, 3)
    assert far.tolist() == near.tolist()


def test_dividends_pay_every_fen_in_proportion_and_nothing_to_who_took_away() -> None:
    values = {"B": Fraction(1, 3), "A": Fraction(1, 3), "C": Fraction(1, 3), "D": Fraction(-1)}
    paid = dividends(100, values)
    assert paid == {"A": 34, "B": 33, "C": 33, "D": 0}
    assert paid == dividends(100, dict(reversed(values.items())))
    huge = {"A": Fraction(1, 2**70 - 1), "B": Fraction(1, 3**50)}
    assert sum(dividends(10**12, huge).values()) == 10**12


@given(
    st.integers(0, 10**15),
    st.dictionaries(st.text(min_size=1, max_size=3), st.fractions(-1, 9), min_size=1, max_size=6),
)
def test_dividends_differ_from_their_exact_part_by_less_than_a_fen(
    amount: int, values: dict[str, Fraction]
) -> None:
    total = sum(max(value, Fraction(0)) for value in values.values())
    if not total:
        with pytest.raises(GameError):
            dividends(amount, values)
        return
    paid = dividends(amount, values)
    assert sum(paid.values()) == amount
    for name, fen in paid.items():
        assert abs(fen - amount * max(values[name], Fraction(0)) / total) < 1


ROWS = np.zeros((3, 2))
LABELS = np.zeros(3, dtype=np.int64)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Game((), [0]), "players"),
        (lambda: Game(("A", "A"), [0, 1, 1, 1]), "players"),
        (lambda: Game(tuple(map(str, range(21))), []), "players"),
        (lambda: Game.of(list(map(str, range(21))), len), "players"),
        (lambda: Game(("A",), [0]), "worth"),
        (lambda: Game(("A",), [1, 1]), "worth[0]"),
        (lambda: Game(("A",), [0, 2**63]), "worth[1]"),
        (lambda: Game(("A",), [0, float("nan")]), "worth[1]"),  # type: ignore[list-item]
        (lambda: normalised({"A": Fraction(0)}), "values"),
        (lambda: drawn_shapley(["A"], len, rounds=1, seed=b""), "rounds"),
        (lambda: drawn_shapley(["A"], lambda who: 0.5, rounds=4, seed=b""), "worth"),  # type: ignore[arg-type,return-value]
        (lambda: knn_shapley(ROWS, LABELS, ROWS, LABELS, 0), "neighbours"),
        (lambda: knn_shapley(ROWS[:0], LABELS, ROWS, LABELS, 1), "train"),
        (lambda: knn_shapley(ROWS, LABELS, ROWS[:, :1], LABELS, 1), "test"),
        (lambda: knn_shapley(ROWS, LABELS[:2], ROWS, LABELS, 1), "labels"),
        (lambda: knn_shapley(ROWS, LABELS, ROWS, LABELS[:2], 1), "test_labels"),
        (lambda: knn_shapley(ROWS * np.nan, LABELS, ROWS, LABELS, 1), "train"),
        (lambda: dividends(1, {}), "values"),
        (lambda: dividends(-1, {"A": Fraction(1)}), "amount_fen"),
        (lambda: dividends(1, {"A": 0.5}), "values[A]"),  # type: ignore[dict-item]
        (lambda: knn_shapley(ROWS + 1e200, LABELS, ROWS, LABELS, 1), "train"),
        (lambda: knn_shapley(ROWS, LABELS * 0.5, ROWS, LABELS, 1), "labels"),  # type: ignore[arg-type]
    ],
)
def test_nonsense_is_refused_by_name(make: Any, field: str) -> None:
    with pytest.raises(GameError) as refused:
        make()
    assert refused.value.field == field
    assert refused.value.remedy
