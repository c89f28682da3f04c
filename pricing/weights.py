"""Weights with their reasons: from judgements in pairs (AHP), and from how much a criterion tells apart (entropy).

**AHP** (Saaty, The Analytic Hierarchy Process, 1980): whoever judges says for each pair how many times the one
counts more than the other, on the scale 1 to 9. The weights are the principal eigenvector w of the matrix A, with
A w = λ w. The consistency ratio is (λ - n) / (n - 1) over the mean of random matrices of the size; above 1/10 the
judgements contradict one another and are refused, with the pair to look at first: the one furthest from the
weights that all of them together give, max |ln(aᵢⱼ wⱼ / wᵢ)| (Saaty, EJOR 145, 2003).

**Entropy** (Shannon; Hwang & Yoon, Multiple Attribute Decision Making, 1981): of m objects scored under a
criterion, p are the shares of their scores, e = -Σ p ln p / ln m, and the criteria weigh in proportion to 1 - e.
What gives every object the same tells nothing and weighs nothing.

No float takes part: integers with 30 decimals here, decimals of 50 digits there, whose logarithm is correctly
rounded. So everybody gets the same parts per million, which sum to a million by the largest remainder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal, localcontext
from fractions import Fraction
from typing import Final

from pricing.errors import WeightsError
from pricing.money import PPM, divide, ppm_in_words, require_whole

CRITERIA_LIMIT: Final = 15
CONSISTENCY_LIMIT_PPM: Final = 100_000
"""Saaty's one tenth."""

_RANDOM_INDEX: Final = (0, 0, 58, 90, 112, 124, 132, 141, 145, 149, 151, 148, 156, 157, 159)
"""Mean consistency index of random matrices of size 1 to 15, in hundredths (Saaty 1980, table 1-2)."""

_ONE: Final = 10**30
_TIMES = re.compile(r"([1-9])(?:/([1-9]))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Judgement:
    """`left` counts `times` as much as `right`: "1" to "9", or "1/3" where it counts less."""

    left: str
    right: str
    times: str


@dataclass(frozen=True, slots=True)
class Priorities:
    """What a set of judgements comes to, in the order of `names`; `lambda_ppm` is the eigenvalue times a million."""

    names: tuple[str, ...]
    weights_ppm: tuple[int, ...]
    lambda_ppm: int
    consistency_ppm: int


def ahp(names: Sequence[str], judgements: Sequence[Judgement]) -> Priorities:
    """The weights of `names` from one judgement a pair, in any order and direction.

    WeightsError names a pair that is missing, judged twice or off the scale, and for judgements that contradict
    one another (consistency ratio above 1/10) the pair to look at, with what the others say about it.
    """
    matrix = _matrix(names, judgements)
    size = len(names)
    vector = _principal(matrix)
    products = [sum(cell * value for cell, value in zip(row, vector, strict=True)) for row in matrix]
    ratios = [Fraction(product) / value for product, value in zip(products, vector, strict=True)]
    eigenvalue = sum(ratios, Fraction(0)) / size
    consistency = Fraction(0)
    if size > 2:
        # The eigenvector ends after 30 decimals, so that λ of consistent judgements may fall short of n by a hair.
        consistency = (
            max(Fraction(0), eigenvalue - size) / (size - 1) / Fraction(_RANDOM_INDEX[size - 1], 100)
        )
    consistency_ppm = int(consistency * PPM)
    if consistency_ppm > CONSISTENCY_LIMIT_PPM:
        raise _contradiction(names, matrix, vector, consistency_ppm)
    return Priorities(
        tuple(names), tuple(divide(PPM, _fitting(vector))), int(eigenvalue * PPM), consistency_ppm
    )


def _matrix(names: Sequence[str], judgements: Sequence[Judgement]) -> list[list[Fraction]]:
    if not 1 <= len(names) <= CRITERIA_LIMIT or len(set(names)) != len(names):
        raise WeightsError(
            field="names",
            rule=f"must be 1 to {CRITERIA_LIMIT} different criteria",
            remedy="group criteria into a hierarchy, and judge each group by itself",
        )
    place = {name: i for i, name in enumerate(names)}
    found: dict[tuple[int, int], Fraction] = {}
    for position, judgement in enumerate(judgements):
        field = f"judgements[{position}]"
        for name in (judgement.left, judgement.right):
            if name not in place:
                raise WeightsError(
                    field=field, rule=f"{name!r} is no criterion", remedy=f"name two of {', '.join(names)}"
                )
        said = _TIMES.fullmatch(judgement.times)
        times = Fraction(int(said[1]), int(said[2] or 1)) if said else Fraction(0)
        if not times or 1 not in (times.numerator, times.denominator):
            raise WeightsError(
                field=f"{field}.times",
                rule=f"must lie on the scale 1 to 9 or 1/2 to 1/9, not {judgement.times!r}",
                remedy="1 as much, 3 somewhat more, 5 clearly more, 7 far more, 9 beyond comparison",
            )
        left, right = place[judgement.left], place[judgement.right]
        if left == right or (left, right) in found:
            raise WeightsError(
                field=field,
                rule=f"{judgement.left} against {judgement.right} is judged twice, or against itself",
                remedy="judge each pair once",
            )
        found[left, right], found[right, left] = times, Fraction(1) / times
    for i, name in enumerate(names):
        for j in range(i):
            if (i, j) not in found:
                raise WeightsError(
                    field="judgements",
                    rule=f"{names[j]} against {name} is not judged",
                    remedy="judge each pair once",
                )
    size = range(len(names))
    return [[found.get((i, j), Fraction(1)) for j in size] for i in size]


def _principal(matrix: Sequence[Sequence[Fraction]]) -> list[int]:
    """The eigenvector of the greatest eigenvalue, summing to about 10**30: powers of a positive matrix converge."""
    vector = [_ONE // len(matrix)] * len(matrix)
    while True:
        products = [sum(cell * value for cell, value in zip(row, vector, strict=True)) for row in matrix]
        total = sum(products)
        after = [int(product * _ONE / total) for product in products]
        if max(abs(new - old) for new, old in zip(after, vector, strict=True)) <= len(matrix):
            return after
        vector = after


def _contradiction(
    names: Sequence[str], matrix: Sequence[Sequence[Fraction]], vector: Sequence[int], consistency_ppm: int
) -> WeightsError:
    def distance(pair: tuple[int, int]) -> Fraction:
        i, j = pair
        return matrix[i][j] * vector[j] / vector[i]

    # Each pair in the direction in which it is judged too high; of equal ones the first.
    i, j = max(((i, j) for i in range(len(names)) for j in range(len(names)) if i != j), key=distance)
    supported = Fraction(vector[i], vector[j])
    nearest = round(supported) if supported >= 1 else round(1 / supported)
    on_scale = str(min(nearest, 9)) if supported >= 1 or nearest == 1 else f"1/{min(nearest, 9)}"
    return WeightsError(
        field=f"{names[i]} : {names[j]}",
        rule=f"consistency ratio {ppm_in_words(consistency_ppm)} is above {ppm_in_words(CONSISTENCY_LIMIT_PPM)}; "
        f"this pair is judged {matrix[i][j]}, and all judgements together say {float(supported):.2f}",
        remedy=f"look at this pair first ({on_scale} would agree with the others), then at the next one",
    )


def entropy_weights(scores: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Parts per million for each criterion from a row of scores an object; the order of the objects is nothing.

    WeightsError where there are fewer than two objects, where a score is below nothing or no integer, where a
    criterion is zero for all, and where no criterion tells any two objects apart.
    """
    if len(scores) < 2 or not scores[0] or len({len(row) for row in scores}) != 1:
        raise WeightsError(
            field="scores",
            rule="must be two objects or more, each scored under the same criteria",
            remedy="add an object, or complete its row",
        )
    for i, row in enumerate(scores):
        for j, score in enumerate(row):
            require_whole(score, f"scores[{i}][{j}]", error=WeightsError)
    with localcontext() as context:
        context.prec = 50
        divergences = [
            _divergence(column, position) for position, column in enumerate(zip(*scores, strict=True))
        ]
        # Below the precision of the logarithms nothing is told apart.
        whole = [int((max(each, Decimal(0)) * _ONE).to_integral_value(ROUND_FLOOR)) for each in divergences]
    if not any(whole):
        raise WeightsError(
            field="scores",
            rule="no criterion tells any two objects apart",
            remedy="weigh by judgement instead",
        )
    return tuple(divide(PPM, _fitting(whole)))


def _fitting(proportions: Sequence[int]) -> list[int]:
    """Proportions cut to 18 digits, because no weight of a division is wider than an amount."""
    excess = max(len(str(max(proportions))) - 18, 0)
    return [each // 10**excess for each in proportions]


def _divergence(column: Sequence[int], position: int) -> Decimal:
    total = sum(column)
    if not total:
        raise WeightsError(
            field=f"scores[][{position}]",
            rule="is zero for every object",
            remedy="leave the criterion out",
        )
    # Sorted, so that the order of the objects changes no digit.
    shares = [Decimal(score) / total for score in sorted(column) if score]
    return 1 + sum((share * share.ln() for share in shares), Decimal(0)) / Decimal(len(column)).ln()
