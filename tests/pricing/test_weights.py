"""Weights: published matrices and tables, contradictions named, and the same parts per million for everybody."""

import math
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing.errors import WeightsError
from pricing.money import PPM
from pricing.weights import CRITERIA_LIMIT, Judgement, Priorities, ahp, entropy_weights


def judged(names: list[str], rows: list[str]) -> list[Judgement]:
    """The judgements above the diagonal of a matrix that is written row by row."""
    cells = [row.split() for row in rows]
    return [Judgement(names[i], names[j], cells[i][j]) for i, j in combinations(range(len(names)), 2)]


DRINKS = ["coffee", "wine", "tea", "beer", "sodas", "milk", "water"]
SAATY_DRINKS = judged(
    DRINKS,
    [
        "1 9 5 2 1 1 1/2",
        "- 1 1/3 1/9 1/9 1/9 1/9",
        "- - 1 1/3 1/4 1/3 1/9",
        "- - - 1 1/2 1 1/3",
        "- - - - 1 2 1/2",
        "- - - - - 1 1/3",
        "- - - - - - 1",
    ],
)


def test_which_drink_is_drunk_most_as_saaty_has_it() -> None:
    """Saaty, Decision making with the analytic hierarchy process, IJSS 1 (2008), table 2: CR 0.022."""
    found = ahp(DRINKS, SAATY_DRINKS)
    assert [round(weight / 1000) for weight in found.weights_ppm] == [177, 19, 42, 116, 190, 129, 327]
    assert round(found.consistency_ppm / 1000) == 22
    assert sum(found.weights_ppm) == PPM


def test_how_far_cities_lie_from_philadelphia_as_saaty_has_it() -> None:
    """Saaty, A scaling method for priorities in hierarchical structures, J. Math. Psych. 15 (1977): six cities,
    eigenvector 0.263, 0.397, 0.033, 0.116, 0.164, 0.027, eigenvalue 6.45. Its first figure is one too high in the
    last digit: the eigenvector sums to a whole without it."""
    cities = ["Cairo", "Tokyo", "Chicago", "San Francisco", "London", "Montreal"]
    rows = [
        "1 1/3 8 3 3 7",
        "- 1 9 3 3 9",
        "- - 1 1/6 1/5 2",
        "- - - 1 1/3 6",
        "- - - - 1 6",
        "- - - - - 1",
    ]
    found = ahp(cities, judged(cities, rows))
    published = [263, 397, 33, 116, 164, 27]
    assert all(
        abs(weight / 1000 - theirs) < 1.2 for weight, theirs in zip(found.weights_ppm, published, strict=True)
    )
    assert round(found.lambda_ppm / 10_000) == 645


@pytest.mark.parametrize(
    ("times", "weights"), [("1", (500_000, 500_000)), ("9", (900_000, 100_000)), ("1/3", (250_000, 750_000))]
)
def test_two_criteria_weigh_as_they_are_judged(times: str, weights: tuple[int, int]) -> None:
    assert ahp(["a", "b"], [Judgement("a", "b", times)]) == Priorities(("a", "b"), weights, 2 * PPM, 0)
    assert ahp(["a"], []).weights_ppm == (PPM,)


def test_consistent_judgements_give_their_proportions() -> None:
    found = ahp(["a", "b", "c"], [Judgement(*each) for each in ("ab2", "ac4", "bc2")])
    exact = [Fraction(4, 7), Fraction(2, 7), Fraction(1, 7)]
    assert all(abs(weight - share * PPM) < 1 for weight, share in zip(found.weights_ppm, exact, strict=True))
    assert found.consistency_ppm == 0


def test_judgements_that_go_round_are_refused_and_the_pair_is_named() -> None:
    judgements = [Judgement(*each) for each in (*("ab3", "ac5", "ad7"), *("bc3", "bd5"))]
    good = ahp(list("abcd"), [*judgements, Judgement("c", "d", "3")])
    assert good.consistency_ppm < 100_000
    with pytest.raises(WeightsError, match=r"is above 10\.0000 %") as refused:
        ahp(list("abcd"), [*judgements, Judgement("d", "c", "9")])
    assert refused.value.field == "d : c"
    assert "judged 9" in refused.value.rule
    assert "(3 would agree" in refused.value.remedy


def test_a_pair_that_would_rather_be_as_much_or_more_is_told_so() -> None:
    with pytest.raises(WeightsError) as refused:
        ahp(list("abc"), [Judgement(*each) for each in ("ab9", "bc9", "ca9")])
    assert "(1 would agree" in refused.value.remedy


@pytest.mark.parametrize(
    ("names", "judgements", "field"),
    [
        ([], [], "names"),
        (["a", "a"], [], "names"),
        ([str(i) for i in range(CRITERIA_LIMIT + 1)], [], "names"),
        (["a", "b"], [], "judgements"),
        (["a", "b"], ["ac1"], "judgements[0]"),
        (["a", "b"], ["aa1"], "judgements[0]"),
        (["a", "b"], ["ab1", "ba1"], "judgements[1]"),
        (["a", "b"], ["ab0"], "judgements[0].times"),
        (["a", "b"], ["ab10"], "judgements[0].times"),
        (["a", "b"], ["ab2/3"], "judgements[0].times"),
        (["a", "b"], ["abnan"], "judgements[0].times"),
    ],
)
def test_judgements_that_cannot_be_are_refused_by_name(
    names: list[str], judgements: list[str], field: str
) -> None:
    with pytest.raises(WeightsError) as refused:
        ahp(names, [Judgement(each[0], each[1], each[2:]) for each in judgements])
    assert refused.value.field == field


@settings(max_examples=50)
@given(st.lists(st.integers(1, 5), min_size=2, max_size=7), st.randoms())
def test_order_and_direction_of_judgements_change_nothing(strengths: list[int], chance: object) -> None:
    names = [f"c{i}" for i in range(len(strengths))]
    judgements = []
    for i, j in combinations(range(len(names)), 2):
        times = Fraction(strengths[i], strengths[j])
        nearest = max(1, round(times)) if times >= 1 else Fraction(1, max(1, round(1 / times)))
        judgements.append(Judgement(names[i], names[j], str(nearest)))
    shuffled = [
        Judgement(each.right, each.left, str(1 / Fraction(each.times))) if k % 2 else each
        for k, each in enumerate(judgements)
    ]
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis types its randoms as object
    # Judgements that are rounded ratios of strengths up to five contradict one another a little, never by a tenth.
    found = ahp(names, judgements)
    assert ahp(names, shuffled) == found
    assert sum(found.weights_ppm) == PPM


def slow_entropy(scores: list[list[int]]) -> list[float]:
    """The textbook's formulas in doubles."""
    found = []
    for column in zip(*scores, strict=True):
        total = sum(column)
        shares = [score / total for score in column if score]
        found.append(1 + sum(p * math.log(p) for p in shares) / math.log(len(column)))
    return [each / sum(found) for each in found]


def test_entropy_weights_of_the_fighter_aircraft() -> None:
    """Hwang & Yoon, Multiple Attribute Decision Making (1981): four aircraft, six attributes. Their weights come
    from 1 - e with four decimals, and so differ by up to two thousandths. Scores are scaled to integers here."""
    published = [0.0649, 0.2055, 0.0133, 0.0829, 0.3570, 0.2764]
    scores = [
        [20, 1500, 20000, 55, 5, 9],
        [25, 2700, 18000, 65, 3, 5],
        [18, 2000, 21000, 45, 7, 7],
        [22, 1800, 20000, 50, 5, 5],
    ]
    found = entropy_weights(scores)
    assert sum(found) == PPM
    for ours, theirs, doubles in zip(found, published, slow_entropy(scores), strict=True):
        assert abs(ours / PPM - theirs) <= 0.002
        assert abs(ours - doubles * PPM) <= 1


@settings(max_examples=50)
@given(
    st.integers(1, 5).flatmap(
        lambda width: st.lists(
            st.lists(st.integers(1, 10**6), min_size=width, max_size=width), min_size=2, max_size=8
        )
    ),
    st.randoms(),
)
def test_entropy_weights_equal_the_formula_and_do_not_hang_on_the_order_of_objects(
    scores: list[list[int]], chance: object
) -> None:
    if all(len(set(column)) == 1 for column in zip(*scores, strict=True)):
        with pytest.raises(WeightsError, match="tells any two objects apart"):
            entropy_weights(scores)
        return
    found = entropy_weights(scores)
    assert sum(found) == PPM
    if sum(slow_entropy_divergence(scores)) > 1e-9:
        for ours, theirs in zip(found, slow_entropy(scores), strict=True):
            assert abs(ours - theirs * PPM) <= 2
    shuffled = list(scores)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # as above
    assert entropy_weights(shuffled) == found


def slow_entropy_divergence(scores: list[list[int]]) -> list[float]:
    """What doubles can tell apart: below some 1e-9 they cannot judge our decimals."""
    return [
        1 + sum(p * math.log(p) for p in (x / sum(c) for x in c if x)) / math.log(len(c))
        for c in zip(*scores, strict=True)
    ]


def test_what_tells_nothing_apart_weighs_nothing() -> None:
    assert entropy_weights([[5, 1], [5, 3]]) == (0, PPM)
    assert entropy_weights([[0, 1], [5, 1]]) == (PPM, 0)


@pytest.mark.parametrize(
    ("scores", "field"),
    [
        ([], "scores"),
        ([[1]], "scores"),
        ([[], []], "scores"),
        ([[1, 2], [1]], "scores"),
        ([[1, -2], [1, 1]], "scores[0][1]"),
        ([[float("nan")], [1]], "scores[0][0]"),
        ([[0, 1], [0, 2]], "scores[][0]"),
    ],
)
def test_scores_that_cannot_be_are_refused_by_name(scores: list[list[int]], field: str) -> None:
    with pytest.raises(WeightsError) as refused:
        entropy_weights(scores)
    assert refused.value.field == field
