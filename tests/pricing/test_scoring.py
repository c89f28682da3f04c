"""Tenders: the published rule alone decides, marks are complete, and every point can be recomputed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.auctions.scoring import (
    Criterion,
    Score,
    ScoringRules,
    Tender,
    award,
    explain,
    is_valid,
    scores,
    verify,
)
from pricing.errors import AuctionError, OutcomeError, PricingError

PRICE_ONLY = ScoringRules("lower", 1_000_000, (), ())
RULES = ScoringRules(
    "lower",
    400_000,
    (Criterion("method", 350_000, 100), Criterion("team", 250_000, 10)),
    ("A", "B", "C"),
    ceiling_fen=200_000,
    floor_fen=10_000,
)


def tender(
    code: str, price: int, sequence: int, method: tuple[int, ...] = (), team: tuple[int, ...] = ()
) -> Tender:
    marks = (
        {a: {"method": m, "team": t} for a, m, t in zip("ABC", method, team, strict=True)} if method else {}
    )
    return Tender(code, f"b-{code}", price, sequence, marks)


BOOK = [
    tender("X", 100_000, 1, (80, 90, 85), (8, 8, 8)),
    tender("Y", 125_000, 2, (95, 95, 95), (9, 10, 8)),
    tender("Z", 160_000, 3, (60, 60, 60), (5, 5, 5)),
]


def test_price_and_marks_become_points_as_the_rule_says() -> None:
    """Price: 40 x 100/100, 40 x 100/125, 40 x 100/160; method: 35 x mean/100; team: 25 x mean/10."""
    assert scores(RULES, BOOK) == [
        Score("X", 400_000, (297_500, 200_000)),
        Score("Y", 320_000, (332_500, 225_000)),
        Score("Z", 250_000, (210_000, 125_000)),
    ]
    outcome = award(RULES, BOOK)
    assert [(one.code, one.price_fen) for one in outcome.allocation] == [("X", 100_000)]
    assert outcome.runner_up is not None
    assert outcome.runner_up.code == "Y"
    verify(outcome, RULES, BOOK)


def test_the_price_formula_of_public_procurement_gives_its_published_points() -> None:
    """财政部令第87号 §55: 投标报价得分 = (评标基准价 / 投标报价) x 100, the base being the lowest valid price."""
    book = [tender(code, price, n) for n, (code, price) in enumerate((("A", 80), ("B", 100), ("C", 120)))]
    assert [score.price_ppm for score in scores(PRICE_ONLY, book)] == [1_000_000, 800_000, 666_667]


def test_selling_rewards_the_higher_price() -> None:
    selling = replace(PRICE_ONLY, better="higher")
    book = [tender(code, price, n) for n, (code, price) in enumerate((("A", 80), ("B", 100), ("C", 120)))]
    assert [score.price_ppm for score in scores(selling, book)] == [666_667, 833_333, 1_000_000]
    assert award(selling, book).allocation[0].code == "C"
    assert award(PRICE_ONLY, book).allocation[0].code == "A"


def test_fewer_than_three_valid_bidders_award_nobody_and_invalid_prices_do_not_count() -> None:
    assert award(RULES, BOOK[:2]).failed
    for price in (9_999, 200_001):
        book = [*BOOK[:2], replace(BOOK[2], price_fen=price)]
        assert not is_valid(RULES, book[2])
        outcome = award(RULES, book)
        assert outcome.failed
        assert "无效投标" in explain(outcome, RULES, book, "Z").zh
        assert "held again" in explain(outcome, RULES, book, "X").en
    assert not award(RULES, [*BOOK[:2], replace(BOOK[2], price_fen=200_000)]).failed


def test_of_equal_totals_the_better_price_wins_and_then_the_earlier_bid() -> None:
    same = [
        replace(BOOK[0], code=code, bid_id=code, sequence=n)
        for n, code in ((5, "late"), (4, "early"), (6, "last"))
    ]
    assert award(RULES, same).allocation[0].code == "early"
    rules = ScoringRules("lower", 0, (Criterion("all", 1_000_000, 10),), ("A",))
    book = [
        Tender(code, code, price, n, {"A": {"all": 7}})
        for n, (code, price) in enumerate((("p", 9), ("q", 8), ("r", 9)))
    ]
    assert award(rules, book).allocation[0].code == "q"


def test_the_highest_and_the_lowest_mark_can_be_left_out() -> None:
    rules = ScoringRules(
        "lower",
        0,
        (Criterion("all", 1_000_000, 10),),
        ("A", "B", "C", "D"),
        drop_extremes=True,
        least_bidders=1,
    )
    marks = {"A": {"all": 0}, "B": {"all": 6}, "C": {"all": 7}, "D": {"all": 10}}
    assert scores(rules, [Tender("X", "x", 1, 0, marks)])[0].criteria_ppm == (650_000,)


@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(0, 100), st.integers(0, 10)), min_size=3, max_size=8),
    st.randoms(use_true_random=False),
)
def test_any_order_of_rows_gives_one_digest_and_every_total_equals_the_fractions(
    rows: list[tuple[int, int, int]], chance: Any
) -> None:
    rules = replace(RULES, ceiling_fen=250, floor_fen=5)
    book = [tender(f"C{n}", price, n, (m, m, m), (t, t, t)) for n, (price, m, t) in enumerate(rows)]
    shuffled = list(book)
    chance.shuffle(shuffled)
    assert award(rules, shuffled).digest == award(rules, book).digest
    valid = [bid for bid in book if is_valid(rules, bid)]
    for score, bid in zip(scores(rules, book), valid, strict=True):
        m, t = bid.marks["A"]["method"], bid.marks["A"]["team"]
        exact = (
            Fraction(400_000 * min(b.price_fen for b in valid), bid.price_fen),
            Fraction(350_000 * m, 100),
            Fraction(250_000 * t, 10),
        )
        for points, part in zip((score.price_ppm, *score.criteria_ppm), exact, strict=True):
            assert abs(points - part) <= Fraction(1, 2)
        assert score.total_ppm <= 1_000_000 + 1


@given(st.integers(10_000, 200_000), st.integers(1, 10_000))
def test_a_better_price_or_mark_never_lowers_the_own_score(price: int, step: int) -> None:
    bid = replace(BOOK[1], price_fen=price)
    better = replace(bid, price_fen=max(10_000, price - step))
    marked = replace(bid, marks={**bid.marks, "A": {"method": 96, "team": 10}})
    before, cheaper, praised = (
        next(s for s in scores(RULES, [BOOK[0], one, BOOK[2]]) if s.code == "Y").total_ppm
        for one in (bid, better, marked)
    )
    assert cheaper >= before
    assert praised >= before


def test_an_explanation_shows_the_points_of_both_sides() -> None:
    outcome = award(RULES, BOOK)
    lost, won = explain(outcome, RULES, BOOK, "Y"), explain(outcome, RULES, BOOK, "X")
    assert (lost.result, won.result) == ("lost", "won")
    assert "price 32.0000 %" in lost.en
    assert "X won" in lost.en
    assert "得分最高" in won.zh
    assert explain(outcome, RULES, BOOK, "nobody").result == "no_bid"
    with pytest.raises(OutcomeError, match="allocation"):
        explain(replace(outcome, allocation=()), RULES, BOOK, "X")


def changed(marks: Mapping[str, Mapping[str, int]]) -> list[Tender]:
    return [replace(BOOK[0], marks=marks), *BOOK[1:]]


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: replace(RULES, better="cheap"), "better"),  # type: ignore[arg-type]
        (lambda: replace(RULES, price_weight_ppm=400_001), "shares_ppm"),
        (lambda: replace(RULES, least_bidders=0), "least_bidders"),
        (lambda: replace(RULES, floor_fen=0), "floor_fen"),
        (lambda: replace(RULES, ceiling_fen=9_999), "ceiling_fen"),
        (lambda: replace(RULES, assessors=()), "assessors"),
        (lambda: replace(RULES, assessors=("A", "A")), "assessors"),
        (lambda: replace(RULES, drop_extremes=True), "assessors"),
        (lambda: replace(RULES, criteria=(Criterion("method", 600_000, 0),)), "criteria[0].most_points"),
        (
            lambda: replace(RULES, criteria=(Criterion("m", 300_000, 1), Criterion("m", 300_000, 1))),
            "criteria",
        ),
        (lambda: replace(BOOK[0], price_fen=0), "price_fen"),
        (lambda: replace(BOOK[0], code=""), "code"),
        (lambda: replace(BOOK[0], sequence=-1), "sequence"),
        (lambda: award(RULES, [*BOOK, replace(BOOK[0], bid_id="again", sequence=9)]), "code"),
        (lambda: award(RULES, changed({"A": BOOK[0].marks["A"]})), "marks of X"),
        (lambda: award(RULES, changed({**BOOK[0].marks, "D": BOOK[0].marks["A"]})), "marks of X"),
        (lambda: award(RULES, changed({**BOOK[0].marks, "A": {"method": 1}})), "marks of X by A"),
        (
            lambda: award(RULES, changed({**BOOK[0].marks, "A": {"method": 101, "team": 1}})),
            "marks of X by A: method",
        ),
        (
            lambda: award(RULES, changed({**BOOK[0].marks, "A": {"method": -1, "team": 1}})),
            "marks of X by A: method",
        ),
        (
            lambda: award(RULES, changed({**BOOK[0].marks, "A": {"method": float("nan"), "team": 1}})),  # type: ignore[dict-item]
            "marks of X by A: method",
        ),
    ],
)
def test_nonsense_is_refused_by_name(make: Any, field: str) -> None:
    with pytest.raises(PricingError) as refused:
        make()
    assert isinstance(refused.value, AuctionError | OutcomeError) or field == "shares_ppm"
    assert refused.value.field == field
    assert refused.value.remedy
