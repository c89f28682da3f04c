"""What a product cost and how far it can be turned back, against a twin that tries it a row at a time."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.desensitization.detection.detect import detect
from exchange.desensitization.indices import Index, index_of, overall
from exchange.desensitization.policy import (
    Generalize,
    Keep,
    Mask,
    Microaggregate,
    Noise,
    Pseudonymize,
    Round,
    Suppress,
    Technique,
    Tree,
    declaration,
)
from exchange.desensitization.product import apply_policy
from exchange.desensitization.propose import propose
from exchange.desensitization.techniques import carry_out

KEY = bytes(range(32))
TREE = Tree({"a": ("x",), "b": ("x",), "c": ("x",), "d": ("y",), "e": ("y",), "f": ("f",)})


def index(values: list[Any], technique: Technique, kept: list[bool] | None = None) -> Index:
    raw = detect(pa.table({"c": pa.array(values)}))
    shown = carry_out(raw, {"c": technique}, KEY)["c"]
    mask = np.ones(len(values), dtype=bool) if kept is None else np.array(kept)
    return index_of(raw.columns[0], technique, shown, mask)


def entropy(counts: Counter[Any]) -> float:
    return -sum(n / counts.total() * math.log2(n / counts.total()) for n in counts.values())


def twin(values: list[Any], technique: Technique, kept: list[bool]) -> tuple[float, float, float]:
    """Guess, spread and count, a row at a time."""
    raw = detect(pa.table({"c": pa.array(values)}))
    made = carry_out(raw, {"c": technique}, KEY)["c"]
    shown = ["gone"] * len(values) if made is None else made.rows.to_pylist()
    behind: dict[Any, Counter[Any]] = defaultdict(Counter)
    for value, label, stays in zip(values, shown, kept, strict=True):
        if stays:
            behind[label][value] += 1
    right = sum(max(found.values()) for found in behind.values())
    domain = set(values)
    assumed: dict[Any, float] = defaultdict(float)
    for label, stays in zip(shown, kept, strict=True):
        among = set(behind[label]) if stays and made is not None else domain
        for one in among:
            assumed[one] += 1 / len(among) / len(values)
    shares = Counter(values)
    apart = sum(n / len(values) * math.log2(n / len(values) / assumed[value]) for value, n in shares.items())
    bits = sum(found.total() * entropy(found) for found in behind.values())
    dropped = Counter(value for value, stays in zip(values, kept, strict=True) if not stays)
    bits += dropped.total() * entropy(dropped) if dropped else 0
    whole = entropy(shares) * len(values)
    return (
        right / sum(kept),
        apart / math.log2(len(domain)) if len(domain) > 1 else 0.0,
        bits / whole if whole else 0.0,
    )


@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.tuples(st.sampled_from([*"abcdef", None]), st.booleans()), min_size=1, max_size=25).filter(
        lambda rows: any(kept for _, kept in rows) and any(value for value, _ in rows)
    ),
    st.sampled_from([Keep(), Suppress(), Generalize(TREE, 1), Generalize(TREE, 2), Mask(0, 0)]),
)
def test_the_indices_equal_those_of_the_twin(rows: list[tuple[Any, bool]], technique: Technique) -> None:
    values, kept = [value for value, _ in rows], [stays for _, stays in rows]
    found = index(values, technique, kept)
    reversible, apart, lost = twin(values, technique, kept)
    assert found.reversibility_ppm == pytest.approx(reversible * 1e6, abs=1)
    assert found.deviation_ppm == pytest.approx(apart * 1e6, abs=1)
    assert found.loss_ppm == (
        1_000_000 if isinstance(technique, Suppress) else pytest.approx(lost * 1e6, abs=1)
    )


def test_what_is_kept_is_wholly_reversible_and_what_is_removed_is_guessed_by_its_commonest_value() -> None:
    values = ["a"] * 6 + ["b"] * 3 + ["c"]
    assert index(values, Keep()) == Index(1_000_000, 0, 0, 0)
    gone = index(values, Suppress())
    assert (gone.reversibility_ppm, gone.loss_ppm, gone.complexity_ppm) == (600_000, 1_000_000, 0)
    assert 0 < gone.deviation_ppm < 1_000_000


def test_keyed_values_are_matched_by_how_often_they_come() -> None:
    # 5 times one, 3 times each of two, once one: of the two only one is guessed right on the average.
    values = ["a"] * 5 + ["b"] * 3 + ["c"] * 3 + ["d"]
    assert index(values, Pseudonymize()).reversibility_ppm == 750_000
    assert index([f"v{n}" for n in range(100)], Pseudonymize()).reversibility_ppm == 10_000


def test_numbers_that_stay_numbers_deviate_by_their_mean_error() -> None:
    values = [0, 10, 20, 30, 100]
    assert index(values, Round(Decimal(50))).deviation_ppm == round((0 + 10 + 20 + 20 + 0) / 5 / 100 * 1e6)
    grouped = index([1, 2, 3, 11, 12, 13], Microaggregate(3, "mean"))
    assert grouped.deviation_ppm == round(4 / 6 / 12 * 1e6)
    assert grouped.reversibility_ppm == pytest.approx(2 / 6 * 1e6, abs=1)
    assert grouped.complexity_ppm == 1_000_000


def test_more_noise_is_less_reversible_and_deviates_more() -> None:
    values = list(range(200))
    little, much = (index(values, Noise("uniform", None, Decimal(bound))) for bound in (1, 50))
    assert little.reversibility_ppm > 3 * much.reversibility_ppm
    assert little.deviation_ppm < much.deviation_ppm / 10
    assert much.complexity_ppm == 1_000_000


def test_the_overall_index_is_of_the_columns_that_can_harm() -> None:
    found = {"a": Index(10, 20, 30, 40), "b": Index(20, 40, 60, 81), "c": Index(900, 900, 900, 900)}
    assert overall(found, ["a", "b"]) == Index(15, 30, 45, 61)
    assert overall({"c": found["c"]}, []) == found["c"]


LOSSES = [
    "{name='loss'}",
    "{name='loss', aggregate='geometric_mean', gs=0.3, weights={sex=3}}",
    "{name='loss', aggregate='rank', gs=0.8}",
    "{name='non_uniform_entropy'}",
    "{name='non_uniform_entropy', monotonic=true, aggregate='maximum'}",
    "{name='precision', gs=0.7}",
    "{name='discernibility'}",
    "{name='average_class_size', gs=0.4}",
    "{name='height'}",
]


@pytest.mark.parametrize("loss", LOSSES)
def test_the_utility_loss_of_the_product_is_the_one_that_the_search_kept_least(loss: str) -> None:
    chance = np.random.default_rng(3)
    raw = detect(
        pa.table(
            {
                "age": chance.integers(18, 90, 800),
                "sex": chance.choice(["M", "F"], 800),
                "postcode": [f"{n:06d}" for n in chance.integers(100_000, 160_000, 800)],
                "illness": chance.choice(["flu", "ulcer", "gout"], 800),
            }
        )
    )
    proposal = propose(raw, declaration.load(f"[requirements]\nk = 4\nloss = {loss}"))
    assert proposal.solution is not None
    made = apply_policy(raw, proposal.policy, KEY)
    assert made.suppressed_rows == proposal.solution.dropped_rows
    expected = proposal.solution.loss
    if "height" in loss:  # of a removed column the policy does not say how high its hierarchy was
        kept = {
            c.name: c.technique.level for c in proposal.policy.columns if isinstance(c.technique, Generalize)
        }
        removed = [c.name for c in proposal.policy.columns if isinstance(c.technique, Suppress)]
        assert expected == (sum(proposal.solution.levels),)
        expected = (sum(kept.values()) + len(removed),)
    assert made.utility == pytest.approx(expected, rel=1e-9)
