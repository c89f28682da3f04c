"""Sealed bids for one unit or many: the columnar clearing equals a slow one, truthful formats reward no lie, and the
published examples come out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing.auctions import sealed
from pricing.auctions.draw import commit_nonce, draw_order, draw_seed
from pricing.auctions.sealed import (
    Clearing,
    Payment,
    Refusal,
    SealedRules,
    Ties,
    UnitBid,
    award,
    clear,
    clear_lots,
    explain,
    judge,
    verify,
)
from pricing.errors import AuctionError, OutcomeError
from pricing.outcome import Outcome

FIRST_PRICE = SealedRules(1, Payment.PAY_BID)
SECOND_PRICE = SealedRules(1, Payment.VICKREY)
SEED = b"s" * 32


def bid(price: int, quantity: int = 1, sequence: int = 0, code: str | None = None) -> UnitBid:
    return UnitBid(f"C{sequence}" if code is None else code, f"b{sequence}", price, quantity, sequence)


def bids_of(*rows: tuple[int, int]) -> list[UnitBid]:
    """Bids of (price, quantity), each by a code of its own, in this order."""
    return [bid(price, quantity, n) for n, (price, quantity) in enumerate(rows)]


def paid(outcome: Outcome) -> dict[str, tuple[int, int]]:
    """Units and payment by code."""
    found: dict[str, tuple[int, int]] = {}
    for one in outcome.allocation:
        units, fen = found.get(one.code, (0, 0))
        found[one.code] = (units + one.quantity, fen + one.price_fen)
    return found


def naive(rules: SealedRules, book: list[UnitBid], first: list[int]) -> tuple[list[int], int | None, int]:
    """Units, last accepted and first rejected price, by sorting all bids and going through them one by one."""
    units = [0] * len(book)
    left = rules.supply
    last = None
    for price in sorted({one.price_fen for one in book}, reverse=True):
        at = [n for n, one in enumerate(book) if one.price_fen == price]
        at.sort(key=lambda n: (first.index(n) if n in first else len(first), book[n].sequence))
        asked = sum(book[n].quantity for n in at)
        share = Fraction(1)
        if rules.ties is Ties.PRO_RATA and 0 < left < asked:
            share = Fraction(-(-10_000 * left // asked), 10_000)
        for n in at:
            part = book[n].quantity * share
            units[n] = min(left, -(-part.numerator // part.denominator))
            left -= units[n]
            if units[n]:
                last = price
    short = [one.price_fen for one, got in zip(book, units, strict=True) if got < one.quantity]
    return units, last, max(short, default=rules.reserve_fen)


def columns(book: list[UnitBid]) -> tuple[Any, Any, Any]:
    return tuple(
        np.array([getattr(one, name) for one in book], dtype=np.int64)
        for name in ("price_fen", "quantity", "sequence")
    )  # type: ignore[return-value]  # three names


BOOKS = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 9)), min_size=0, max_size=30).map(
    lambda rows: bids_of(*rows)
)


@given(BOOKS, st.integers(1, 60), st.sampled_from(Ties), st.data())
def test_the_columnar_clearing_equals_the_slow_one(
    book: list[UnitBid], supply: int, ties: Ties, data: st.DataObject
) -> None:
    rules = SealedRules(supply, Payment.UNIFORM, ties=ties)
    order = data.draw(st.permutations(range(len(book))))
    first = list(order if ties is Ties.DRAW else order[:3] if ties is Ties.SEQUENCE else ())
    found = clear(rules, *columns(book), first=first)
    units, last, rejected = naive(rules, book, first)
    assert (found.units.tolist(), found.last_accepted_fen, found.first_rejected_fen) == (
        units,
        last,
        rejected,
    )
    assert int(found.units.sum()) == min(supply, sum(one.quantity for one in book))
    if last is not None and rejected > rules.reserve_fen:
        assert rejected <= last


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 900, 66_000, 131_073, 250_000]),
    st.sampled_from([2, 50, 10**9, 2**40]),
    st.integers(1, 1_000),
)
def test_the_narrowing_by_samples_finds_the_margin_of_large_books(
    seed: int, count: int, spread: int, per_mille: int
) -> None:
    """Samples are only hints: skewed, constant and coarse prices, and supplies near none and near all."""
    chance = np.random.default_rng(seed)
    price = (
        chance.integers(1, spread, count)
        if seed % 3
        else np.exp(chance.normal(9, 3, count)).astype(np.int64) + 1
    )
    if seed % 5 == 0:
        price = np.sort(price)
    quantity = chance.integers(1, 1_000 if seed % 2 else 2, count)
    supply = max(1, int(quantity.sum()) * per_mille // 1_001)
    found = clear(SealedRules(supply, Payment.UNIFORM), price, quantity, np.arange(count))
    order = np.lexsort((np.arange(count), -price))
    before = np.cumsum(quantity[order]) - quantity[order]
    units = np.zeros(count, dtype=np.int64)
    units[order] = np.clip(supply - before, 0, quantity[order])
    assert np.array_equal(found.units, units)
    assert found.last_accepted_fen == int(price[units > 0].min())
    short = price[units < quantity]
    assert found.first_rejected_fen == (int(short.max()) if len(short) else 1)


def cleared_by_sorting(price: Any, quantity: Any, supply: int) -> Any:
    """Units by sorting all, the earlier first among equals."""
    order = np.lexsort((np.arange(len(price)), -price))
    before = np.cumsum(quantity[order]) - quantity[order]
    units = np.zeros(len(price), dtype=np.int64)
    units[order] = np.clip(supply - before, 0, quantity[order])
    return units


def test_a_book_made_to_mislead_the_sample_is_cleared_all_the_same() -> None:
    """Every row that is sampled is cheap, and nearly all others are dear."""
    count = 131_072
    price = np.random.default_rng(5).integers(10**6, 10**9, count)
    price[:: count // 16_384] = np.arange(16_384) + 1
    quantity = np.ones(count, dtype=np.int64)
    for supply in (1_000, count // 2, count - 10, count, count + 5):
        found = clear(SealedRules(supply, Payment.UNIFORM), price, quantity, np.arange(count))
        assert np.array_equal(found.units, cleared_by_sorting(price, quantity, supply))


def test_the_few_near_the_margin_of_a_very_large_book_are_narrowed_again() -> None:
    count = 2_500_000
    chance = np.random.default_rng(6)
    price, quantity = chance.integers(1, 10**9, count), chance.integers(1, 50, count)
    supply = int(quantity.sum()) // 3
    found = clear(SealedRules(supply, Payment.UNIFORM), price, quantity, np.arange(count))
    assert np.array_equal(found.units, cleared_by_sorting(price, quantity, supply))


def test_what_a_code_owes_for_several_bids_is_shared_to_the_fen() -> None:
    """A wins 3 units by two bids and displaced 5, 3 and 3 fen: 11 in all, of which its bids of 2 and 1 pay 8 and 3."""
    book = [bid(20, 2, 1, "A"), bid(19, 1, 2, "A"), bid(5, 1, 3, "B"), bid(3, 2, 4, "C")]
    outcome = award(SealedRules(3, Payment.VICKREY), book)
    assert [(one.bid_id, one.price_fen) for one in outcome.allocation] == [("b1", 8), ("b2", 3)]


# --- published examples ---


def case_of(vectors: Path, case_id: str) -> dict[str, Any]:
    cases = json.loads((vectors / "pricing" / "cases.json").read_text())["cases"]
    (case,) = (case for case in cases if case["id"] == case_id)
    found: dict[str, Any] = case
    return found


def test_of_tied_second_price_bids_the_earliest_wins_and_pays_the_tied_bid(vectors: Path) -> None:
    case = case_of(vectors, "second-price-tie")
    outcome = award(SECOND_PRICE, bids_of(*((price, 1) for price in case["inputs"]["bids"])))
    assert paid(outcome) == {f"C{case['expected']['winner']}": (1, case["expected"]["price"])}


def test_a_single_price_offering_clears_at_the_published_rate(vectors: Path) -> None:
    case = case_of(vectors, "tbill-analystforum")
    given, expected = case["inputs"], case["expected"]
    # A low rate is a high price: 1 - rate, in ten-thousandths. The noncompetitive bids are filled before.
    book = bids_of(*((10_000 - round(rate * 10_000), quantity) for rate, quantity in given["bids"]))
    rules = SealedRules(given["offering"] - given["noncompetitive"], Payment.UNIFORM, ties=Ties.PRO_RATA)
    found = clear(rules, *columns(book))
    assert found.last_accepted_fen == 10_000 - round(expected["rate"] * 10_000)
    (at_margin,) = (n for n, one in enumerate(book) if one.price_fen == found.last_accepted_fen)
    assert (int(found.units[at_margin]), book[at_margin].quantity) == (
        expected["filled_at_margin"],
        expected["bid_at_margin"],
    )


def test_the_share_at_the_margin_is_rounded_up_to_a_hundredth_of_a_percent(vectors: Path) -> None:
    case = case_of(vectors, "treasury-proration-rounding")
    pairs = [(case["inputs"]["remaining"], case["inputs"]["bids_at_margin"]), case["inputs"]["then"]]
    for (remaining, asked), percent in zip(pairs, case["expected"], strict=True):
        share = int(Fraction(percent) * 100)
        rules = SealedRules(remaining, Payment.UNIFORM, ties=Ties.PRO_RATA)
        # One bid of 10,000 units at the margin gets just the rounded share of what it asks, as long as some is left.
        book = bids_of((5, asked))
        assert sealed._pro_rata(remaining, asked, np.array([10_000])).tolist() == [share]
        assert int(clear(rules, *columns(book)).units.sum()) == remaining


def test_the_treasury_s_own_example_of_proration_comes_out() -> None:
    """31 CFR 356 Appendix B describes awards at the stop-out as the share of each bid, rounded up; here 25 of 100."""
    book = bids_of((9, 50), (8, 40), (8, 40), (8, 20))
    found = clear(SealedRules(75, Payment.UNIFORM, ties=Ties.PRO_RATA), *columns(book))
    assert found.units.tolist() == [50, 10, 10, 5]
    assert found.first_rejected_fen == 8


def test_the_discriminatory_the_uniform_and_the_vickrey_price_of_a_textbook_book() -> None:
    """Krishna, Auction Theory, ch. 12: K = 6, demand vectors x1 = (50,47,40,32,15,5), x2 = (42,28,20,12,7,3),
    x3 = (45,35,24,14,9,6); the six highest are 50, 47, 45, 42, 40, 35."""
    vectors = {"A": (50, 47, 40, 32, 15, 5), "B": (42, 28, 20, 12, 7, 3), "C": (45, 35, 24, 14, 9, 6)}
    book = [
        bid(price, 1, 10 * n + k, code)
        for n, (code, prices) in enumerate(vectors.items())
        for k, price in enumerate(prices)
    ]
    expected = {
        Payment.PAY_BID: {"A": (3, 137), "B": (1, 42), "C": (2, 80)},
        Payment.UNIFORM: {"A": (3, 96), "B": (1, 32), "C": (2, 64)},  # the first rejected is A's fourth, 32
        Payment.VICKREY: {"A": (3, 28 + 24 + 20), "B": (1, 32), "C": (2, 32 + 28)},
    }
    for payment, each in expected.items():
        assert paid(award(SealedRules(6, payment), book)) == each


# --- properties ---


def value_of(types: Mapping[str, tuple[int, ...]], outcome: Outcome, code: str) -> int:
    """What a bidder with these falling values for units has from an outcome."""
    units, fen = paid(outcome).get(code, (0, 0))
    return sum(types[code][:units]) - fen


def test_second_price_rewards_no_lie_on_an_exhaustive_grid() -> None:
    for mine, *others in product(range(1, 6), repeat=3):
        book = [bid(price, 1, n + 1) for n, price in enumerate(others)]
        types = {"me": (mine,)}
        for reserve in (1, 3):
            rules = replace(SECOND_PRICE, reserve_fen=reserve)
            taken = [one for one in book if judge(rules, one) is None]
            gains = {}
            for said in range(1, 7):
                own = bid(said, 1, 0, "me")
                gains[said] = value_of(types, award(rules, [own, *taken]), "me") if said >= reserve else 0
            assert gains[mine] == max(gains.values())


@given(
    st.integers(1, 4),
    st.lists(st.integers(1, 9), min_size=2, max_size=2),
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 2)), max_size=4),
    st.lists(st.integers(1, 9), min_size=2, max_size=2),
    st.integers(1, 4),
)
def test_vickrey_rewards_no_lie_about_falling_values(
    supply: int, mine: list[int], others: list[tuple[int, int]], lie: list[int], reserve: int
) -> None:
    rules = SealedRules(supply, Payment.VICKREY, reserve_fen=reserve)
    rest = [bid(price, quantity, 10 + n) for n, (price, quantity) in enumerate(others)]
    types = {"me": tuple(sorted(mine, reverse=True))}

    def gain(said: list[int]) -> int:
        own = [bid(price, 1, n, "me") for n, price in enumerate(sorted(said, reverse=True))]
        book = [one for one in (*own, *rest) if judge(rules, one) is None]
        return value_of(types, award(rules, book), "me")

    assert gain(mine) >= gain(lie)


@given(
    st.integers(1, 6),
    st.integers(1, 9),
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 3)), max_size=5),
    st.integers(1, 9),
)
def test_uniform_rewards_no_lie_of_who_wants_one_unit(
    supply: int, mine: int, others: list[tuple[int, int]], lie: int
) -> None:
    rules = SealedRules(supply, Payment.UNIFORM)
    rest = [bid(price, quantity, 10 + n) for n, (price, quantity) in enumerate(others)]
    gains = [
        value_of({"me": (mine,)}, award(rules, [bid(said, 1, 0, "me"), *rest]), "me") for said in (mine, lie)
    ]
    assert gains[0] >= gains[1]


@given(BOOKS, st.integers(1, 60), st.sampled_from(Payment), st.sampled_from(Ties), st.integers(1, 6))
def test_nobody_pays_above_the_bid_the_ceiling_or_below_the_reserve(
    book: list[UnitBid], supply: int, payment: Payment, ties: Ties, reserve: int
) -> None:
    rules = SealedRules(supply, payment, reserve_fen=reserve, ceiling_fen=10, ties=ties)
    taken = [one for one in book if judge(rules, one) is None]
    assert {judge(rules, one) for one in book} <= {None, Refusal.ABOVE_CEILING, Refusal.BELOW_RESERVE}
    outcome = award(rules, taken, seed=SEED if ties is Ties.DRAW else None)
    prices = {one.sequence: one.price_fen for one in taken}
    for one in outcome.allocation:
        assert (
            rules.reserve_fen * one.quantity <= one.price_fen <= min(10, prices[one.sequence]) * one.quantity
        )
    sold = sum(one.quantity for one in outcome.allocation)
    assert sold == min(supply, sum(one.quantity for one in taken))
    verify(outcome, rules, taken)


@given(
    BOOKS,
    st.integers(1, 60),
    st.sampled_from(Payment),
    st.sampled_from(Ties),
    st.randoms(use_true_random=False),
)
def test_rows_in_any_order_give_one_digest(
    book: list[UnitBid], supply: int, payment: Payment, ties: Ties, chance: Any
) -> None:
    rules = SealedRules(supply, payment, ties=ties)
    seed = SEED if ties is Ties.DRAW else None
    shuffled = list(book)
    chance.shuffle(shuffled)
    assert award(rules, shuffled, seed=seed).digest == award(rules, book, seed=seed).digest


@given(BOOKS.filter(lambda book: len(book) > 1), st.integers(1, 40), st.sampled_from(Payment), st.data())
def test_buyers_who_exchange_their_names_exchange_their_results(
    book: list[UnitBid], supply: int, payment: Payment, data: st.DataObject
) -> None:
    rules = SealedRules(supply, payment)
    a, b = data.draw(st.permutations([one.code for one in book]))[:2]
    names = {a: b, b: a}
    swapped = [replace(one, code=names.get(one.code, one.code)) for one in book]
    before, after = paid(award(rules, book)), paid(award(rules, swapped))
    assert after == {names.get(code, code): result for code, result in before.items()}


def test_a_priority_holder_comes_first_at_equal_price_and_only_there() -> None:
    book = [bid(100, 1, 0, "early"), bid(100, 1, 1, "holder"), bid(101, 1, 2, "high")]
    rules = replace(FIRST_PRICE, priority=("holder",))
    assert paid(award(rules, book[:2])) == {"holder": (1, 100)}
    assert paid(award(FIRST_PRICE, book[:2])) == {"early": (1, 100)}
    assert paid(award(rules, book)) == {"high": (1, 101)}


def test_a_tie_that_is_drawn_falls_to_everybody_equally_often_and_to_the_seed_alone() -> None:
    rules = SealedRules(1, Payment.PAY_BID, ties=Ties.DRAW, ceiling_fen=100)
    book = [bid(100, 1, n) for n in range(4)]
    wins = [0] * 4
    for n in range(400):
        outcome = award(rules, book, seed=n.to_bytes(32))
        wins[int(outcome.allocation[0].code[1:])] += 1
        assert outcome.seed == n.to_bytes(32).hex()
        verify(outcome, rules, book)
    assert min(wins) > 60
    with pytest.raises(OutcomeError) as refused:
        verify(replace(outcome, seed=SEED.hex()), rules, book)
    assert refused.value.field == "allocation"
    with pytest.raises(OutcomeError, match="hex"):
        verify(replace(outcome, seed="zz"), rules, book)


def test_the_seed_of_a_draw_is_made_of_everybody_s_nonce_and_the_committed_one() -> None:
    nonce, others = b"r" * 32, {"A": b"a" * 32, "B": b"b" * 32}
    commitment = commit_nonce(nonce, "lot-1")
    seed = draw_seed(commitment, nonce, "lot-1", others)
    assert seed == draw_seed(commitment, nonce, "lot-1", dict(reversed(others.items())))
    for changed in ({**others, "A": b"x" * 32}, {"A": b"a" * 32}, {}):
        assert draw_seed(commitment, nonce, "lot-1", changed) != seed
    for lot, other in (("lot-1", b"q" * 32), ("lot-2", nonce)):
        with pytest.raises(AuctionError) as refused:
            draw_seed(commitment, other, lot, others)
        assert refused.value.field == "nonce"
    with pytest.raises(AuctionError, match=r"nonces\[A\]"):
        draw_seed(commitment, nonce, "lot-1", {"A": b""})
    with pytest.raises(AuctionError, match="nonce"):
        commit_nonce(b"short", "lot-1")
    with pytest.raises(AuctionError, match="names"):
        draw_order(seed, ["A", "A"])
    assert sorted(draw_order(seed, ["A", "B", "C"])) == [0, 1, 2]


# --- what people are told ---


def test_an_explanation_says_what_was_won_and_why_not_in_both_languages() -> None:
    book = bids_of((300, 2), (200, 2), (200, 1), (100, 1))
    outcome = award(SealedRules(3, Payment.UNIFORM), book)
    won, tied, lost = (explain(outcome, book, f"C{n}") for n in (1, 2, 3))
    assert (won.result, tied.result, lost.result) == ("won", "lost", "lost")
    assert "asked for 2 and won 1 for CNY 2.00" in won.en
    assert "同价" in tied.zh
    assert "among equals" in tied.en
    assert "CNY 2.00" in lost.en
    assert "among equals" not in lost.en
    assert explain(outcome, book, "nobody").result == "no_bid"
    with pytest.raises(OutcomeError, match="bids_root"):
        explain(outcome, book[1:], "C1")
    for word in (*Payment, *Refusal):
        assert word.words("zh") != word.words("en")
    assert [payment.truthful for payment in Payment] == [False, True, True]


def test_a_changed_outcome_is_found_by_its_member() -> None:
    book = bids_of((300, 2), (200, 2), (100, 1))
    rules = SealedRules(3, Payment.VICKREY)
    outcome = award(rules, book)
    for name, value in (
        ("allocation", outcome.allocation[:1]),
        ("bids", 9),
        ("bids_root", "00" * 32),
        ("rules_digest", "00" * 32),
        ("rules_version", "sealed@0"),
        ("runner_up", None),
    ):
        with pytest.raises(OutcomeError) as refused:
            verify(replace(outcome, **{name: value}), rules, book)  # type: ignore[arg-type]  # a member by its name
        assert refused.value.field == name
    empty = award(rules, [])
    assert empty.failed
    assert empty.runner_up is None


def test_other_processes_with_other_hash_seeds_come_to_the_same_digest() -> None:
    code = (
        "from pricing.auctions.sealed import *\n"
        "book=[UnitBid(f'C{n%7}',f'b{n}',1+n*37%11,1+n%3,n) for n in range(60)]\n"
        "for p in Payment:\n"
        "    for t in Ties:\n"
        "        print(award(SealedRules(25,p,ties=t),book,seed=b's'*32 if t is Ties.DRAW else None).digest)\n"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "7")
    }
    assert len(said) == 1
    assert len(said.pop().split()) == 9


# --- many lots ---


@given(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from([1, 2, 3, 2**60, 2**62])), max_size=25),
    st.lists(st.integers(1, 3), min_size=5, max_size=5),
    st.booleans(),
)
def test_many_lots_at_once_equal_each_lot_alone(
    rows: list[tuple[int, int]], reserves: list[int], small: bool
) -> None:
    taken = [(lot, price % 7 + 1 if small else price) for lot, price in rows]
    taken = [(lot, price) for lot, price in taken if price >= reserves[lot]]
    lot, price = (np.array([row[k] for row in taken], dtype=np.int64) for k in (0, 1))
    sequence = np.arange(len(taken))[::-1].copy()
    winner, paid_fen = clear_lots(lot, price, sequence, 5, np.array(reserves))
    for number in range(5):
        book = [bid(p, 1, int(sequence[n])) for n, (of, p) in enumerate(taken) if of == number]
        outcome = award(replace(SECOND_PRICE, reserve_fen=reserves[number]), book)
        if not book:
            assert (winner[number], paid_fen[number]) == (-1, 0)
            continue
        (one,) = outcome.allocation
        assert (int(sequence[winner[number]]), int(paid_fen[number])) == (one.sequence, one.price_fen)


# --- nonsense ---


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: SealedRules(0, Payment.UNIFORM), "supply"),
        (lambda: SealedRules(2**63, Payment.UNIFORM), "supply"),
        (lambda: SealedRules(1, Payment.UNIFORM, reserve_fen=0), "reserve_fen"),
        (lambda: SealedRules(1, Payment.UNIFORM, ceiling_fen=0), "ceiling_fen"),
        (lambda: SealedRules(1, Payment.UNIFORM, reserve_fen=5, ceiling_fen=4), "reserve_fen"),
        (lambda: SealedRules(1, Payment.UNIFORM, priority=("A", "A")), "priority"),
        (lambda: SealedRules(1, Payment.UNIFORM, priority=("",)), "priority"),
        (lambda: SealedRules(1, Payment.UNIFORM, ties=Ties.DRAW, priority=("A",)), "priority"),
        (lambda: bid(0), "price_fen"),
        (lambda: bid(1, 0), "quantity"),
        (lambda: bid(1, 2**63), "quantity"),
        (lambda: bid(1, 1, -1), "sequence"),
        (lambda: UnitBid("", "b", 1, 1, 0), "code"),
        (lambda: UnitBid("A", "b\n", 1, 1, 0), "bid_id"),
        (lambda: UnitBid("A", "b", 1.0, 1, 0), "price_fen"),  # type: ignore[arg-type]
        (lambda: award(FIRST_PRICE, [bid(1), bid(2)]), "sequence"),
        (lambda: award(FIRST_PRICE, [bid(1, 1, 1, "A"), UnitBid("A", "b1", 2, 1, 2)]), "bid_id"),
        (lambda: award(replace(FIRST_PRICE, reserve_fen=2), [bid(1)]), "bids"),
        (lambda: award(replace(FIRST_PRICE, ceiling_fen=2), [bid(3)]), "bids"),
        (lambda: award(FIRST_PRICE, [], seed=SEED), "seed"),
        (lambda: award(replace(FIRST_PRICE, ties=Ties.DRAW), []), "seed"),
        (lambda: award(FIRST_PRICE, [bid(1, 2**62, 1), bid(1, 2**62, 2)]), "quantity"),
        (lambda: award(SealedRules(2**62, Payment.PAY_BID), [bid(2**62, 2**62)]), "payment"),
        (lambda: clear_lots(*(np.array([0]),) * 3, 0, np.array([], dtype=np.int64)), "lots"),
        (
            lambda: clear_lots(np.array([5]), np.array([1]), np.array([1]), 5, np.ones(5, dtype=np.int64)),
            "lot",
        ),
        (
            lambda: clear_lots(np.array([0]), np.array([1, 2]), np.array([1]), 1, np.ones(1, dtype=np.int64)),
            "price_fen",
        ),
    ],
)
def test_nonsense_is_refused_by_name(make: Any, field: str) -> None:
    with pytest.raises((AuctionError, OutcomeError)) as refused:
        make()
    assert refused.value.field == field
    assert refused.value.rule
    assert refused.value.remedy


def test_an_empty_book_clears_to_nothing() -> None:
    empty = np.array([], dtype=np.int64)
    found = clear(FIRST_PRICE, empty, empty, empty)
    assert isinstance(found, Clearing)
    assert (found.units.tolist(), found.last_accepted_fen, found.first_rejected_fen) == ([], None, 1)
