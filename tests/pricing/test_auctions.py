"""The ascending auction: what is admitted, who wins, and that a stranger comes to the same result."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.auctions import (
    Admitted,
    AscendingRules,
    Bid,
    Reason,
    Rejected,
    Rung,
    Standing,
    admit,
    award,
    least_admissible_fen,
    open_standing,
    proxy_bid,
    verify,
)
from pricing.auctions.ascending import explain
from pricing.errors import AuctionError, OutcomeError
from pricing.money import MAX_AMOUNT

MINUTE = 60_000_000
OPENS, CLOSES = 1_000 * MINUTE, 1_000 * MINUTE + 24 * 60 * MINUTE
RULES = AscendingRules(
    start_price_fen=700_000,
    increment_fen=10_000,
    opens_at_us=OPENS,
    closes_at_us=CLOSES,
    soft_close_window_us=5 * MINUTE,
    soft_close_extension_us=5 * MINUTE,
    ceiling_fen=1_000_000,
)
OPEN_ENDED = replace(RULES, ceiling_fen=None)


def bid(price_fen: int, sequence: int, *, at_us: int = OPENS, code: str = "A") -> Bid:
    return Bid(code, f"bid-{sequence}", price_fen, sequence, at_us)


def play(rules: AscendingRules, bids: Sequence[Bid]) -> tuple[list[Bid], Standing, list[Admitted | Rejected]]:
    """The book, the standing and every decision after `bids` in their order."""
    book, standing, decisions = [], open_standing(rules), []
    for each in bids:
        decision = admit(rules, standing, each)
        decisions.append(decision)
        if isinstance(decision, Admitted):
            book.append(each)
            standing = decision.standing
    return book, standing, decisions


def reasons(decisions: Sequence[Admitted | Rejected]) -> list[str]:
    return ["admitted" if isinstance(each, Admitted) else each.reason.value for each in decisions]


# A twin of `admit` that is slow and obvious: it judges the whole book again and lists the prices of the grid.


def grid(rules: AscendingRules, highest: int) -> list[int]:
    prices, price = [], rules.start_price_fen
    while price <= highest:
        prices.append(price)
        steps = [
            rules.increment_fen,
            *(rung.increment_fen for rung in rules.ladder if rung.from_fen <= price),
        ]
        price += steps[-1]
    return prices


def twin(rules: AscendingRules, bids: Sequence[Bid]) -> list[str]:
    book: list[Bid] = []
    answers = []
    for each in bids:
        closes = rules.closes_at_us
        for earlier in book:
            if earlier.at_us >= closes - rules.soft_close_window_us and rules.soft_close_window_us:
                closes = max(closes, earlier.at_us + rules.soft_close_extension_us)
        standing = max((earlier.price_fen for earlier in book), default=None)
        ceiling = rules.ceiling_fen
        prices = grid(rules, each.price_fen + 1)
        if each.at_us >= closes:
            answer = "closed"
        elif each.at_us < rules.opens_at_us:
            answer = "not_open"
        elif ceiling is not None and each.price_fen > ceiling:
            answer = "above_ceiling"
        elif standing is None and each.price_fen < rules.start_price_fen:
            answer = "below_start"
        elif standing is not None and each.price_fen <= standing:
            answer = "not_higher"
        elif ceiling is not None and each.price_fen == ceiling:
            answer = "admitted"
        elif standing is not None and each.price_fen < next(
            p for p in grid(rules, standing + 10) if p > standing
        ):
            answer = "below_increment"
        elif each.price_fen not in prices:
            answer = "off_increment"
        else:
            answer = "admitted"
        if answer == "admitted":
            book.append(each)
        answers.append(answer)
    return answers


@st.composite
def lots(draw: st.DrawFn) -> tuple[AscendingRules, list[Bid]]:
    """A small lot and a rush of bids around its edges."""
    start, step = draw(st.integers(1, 30)), draw(st.integers(1, 6))
    opens = draw(st.integers(0, 20))
    soft = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)) | st.just((0, 0)))
    ladder: list[Rung] = []
    floor = Rung(start, step)
    for _ in range(draw(st.integers(0, 2))):
        floor = Rung(floor.from_fen + floor.increment_fen * draw(st.integers(1, 4)), draw(st.integers(1, 6)))
        ladder.append(floor)
    rules = AscendingRules(
        start_price_fen=start,
        increment_fen=step,
        opens_at_us=opens,
        closes_at_us=opens + draw(st.integers(1, 30)),
        soft_close_window_us=soft[0],
        soft_close_extension_us=soft[1],
        ceiling_fen=draw(st.none() | st.integers(start, start + 40)),
        ladder=tuple(ladder),
    )
    rush = []
    at_us, price = draw(st.integers(0, opens + 2)), max(start - 2, 1)
    for sequence in range(draw(st.integers(0, 25))):
        at_us += draw(st.integers(0, 4))
        price = max(1, price + draw(st.integers(-2, 7)))
        rush.append(Bid(draw(st.sampled_from("ABC")), str(sequence), price, sequence, at_us))
    return rules, rush


@given(lots())
def test_every_decision_equals_the_slow_twin(lot: tuple[AscendingRules, list[Bid]]) -> None:
    rules, rush = lot
    assert reasons(play(rules, rush)[2]) == twin(rules, rush)


@given(lots())
def test_admitted_prices_rise_strictly_and_never_pass_the_ceiling(
    lot: tuple[AscendingRules, list[Bid]],
) -> None:
    rules, rush = lot
    book, _, _ = play(rules, rush)
    prices = [each.price_fen for each in book]
    assert prices == sorted(set(prices))
    assert rules.ceiling_fen is None or all(price <= rules.ceiling_fen for price in prices)
    assert all(price >= rules.start_price_fen for price in prices)


@given(lots())
def test_the_soft_close_only_moves_later_and_no_admitted_bid_comes_after_it(
    lot: tuple[AscendingRules, list[Bid]],
) -> None:
    rules, rush = lot
    standing = open_standing(rules)
    for each in rush:
        decision = admit(rules, standing, each)
        if isinstance(decision, Admitted):
            assert each.at_us < standing.closes_at_us <= decision.standing.closes_at_us
            standing = decision.standing


@given(lots())
def test_the_winner_is_the_highest_admitted_bid_and_the_runner_up_the_highest_of_another_code(
    lot: tuple[AscendingRules, list[Bid]],
) -> None:
    rules, rush = lot
    book, standing, _ = play(rules, rush)
    outcome = award(rules, book)
    assert outcome.closed_at_us == standing.closes_at_us
    assert outcome.failed == (not book)
    if book:
        best = max(book, key=lambda each: each.price_fen)
        (won,) = outcome.allocation
        assert (won.code, won.price_fen, won.quantity) == (best.code, best.price_fen, 1)
        others = [each for each in book if each.code != best.code]
        second = max(others, key=lambda each: each.price_fen, default=None)
        assert (outcome.runner_up and outcome.runner_up.bid_id) == (second and second.bid_id)
        verify(outcome, rules, book)


@given(lots(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_digest(lot: tuple[AscendingRules, list[Bid]], random: Any) -> None:
    rules, rush = lot
    book, _, _ = play(rules, rush)
    shuffled = random.sample(book, len(book))
    assert award(rules, shuffled).digest == award(rules, book).digest


@given(lots(), st.data())
def test_any_changed_bid_is_found(lot: tuple[AscendingRules, list[Bid]], data: st.DataObject) -> None:
    rules, rush = lot
    book, _, _ = play(rules, rush)
    if not book:
        return
    outcome = award(rules, book)
    position = data.draw(st.integers(0, len(book) - 1))
    changed = book[position]
    field = data.draw(st.sampled_from(["code", "bid_id", "price_fen", "sequence", "at_us"]))
    value: Any = "Z" if field in {"code", "bid_id"} else getattr(changed, field) + 1
    changed = replace(changed, **{field: value})
    with pytest.raises(OutcomeError):
        verify(outcome, rules, [*book[:position], changed, *book[position + 1 :]])
    with pytest.raises(OutcomeError):
        verify(outcome, rules, book[:position] + book[position + 1 :])


@given(
    lots(),
    st.sampled_from(["rules_digest", "bids_root", "bids", "closed_at_us", "seed", "allocation", "runner_up"]),
)
def test_any_changed_member_of_an_outcome_is_named(
    lot: tuple[AscendingRules, list[Bid]], member: str
) -> None:
    rules, rush = lot
    book, _, _ = play(rules, rush)
    outcome = award(rules, book)
    allotment = award(OPEN_ENDED, [bid(700_000, 1)]).allocation[0]
    other: Any = {
        "rules_digest": "00",
        "bids_root": "00",
        "bids": outcome.bids + 1,
        "closed_at_us": outcome.closed_at_us + 1,
        "seed": "00",
        "allocation": (allotment,),
        "runner_up": allotment,
    }[member]
    forged = replace(outcome, **{member: other})
    assert forged.digest != outcome.digest
    with pytest.raises(OutcomeError) as refused:
        verify(forged, rules, book)
    assert refused.value.field == member


@given(lots(), st.permutations("ABC"))
def test_exchanging_the_identities_of_bidders_exchanges_their_results_and_nothing_else(
    lot: tuple[AscendingRules, list[Bid]], names: list[str]
) -> None:
    rules, rush = lot
    renamed = dict(zip("ABC", names, strict=True))
    book, _, decisions = play(rules, rush)
    other, _, others = play(rules, [replace(each, code=renamed[each.code]) for each in rush])
    assert reasons(others) == reasons(decisions)
    mine, theirs = award(rules, book), award(rules, other)
    assert [renamed[won.code] for won in mine.allocation] == [won.code for won in theirs.allocation]
    assert [won.price_fen for won in mine.allocation] == [won.price_fen for won in theirs.allocation]


def test_one_bidder_at_the_start_price_wins() -> None:
    outcome = award(RULES, [bid(700_000, 1)])
    assert [(won.code, won.quantity, won.price_fen) for won in outcome.allocation] == [("A", 1, 700_000)]
    assert outcome.runner_up is None


def test_a_lot_without_bids_fails() -> None:
    outcome = award(RULES, [])
    assert outcome.failed
    assert outcome.closed_at_us == CLOSES
    verify(outcome, RULES, [])


def test_the_same_terms_and_bids_always_gave_this_digest() -> None:
    """A literal, so that a change of the canonical form cannot pass unnoticed: old outcomes must stay provable."""
    outcome = award(RULES, [bid(700_000, 1), bid(720_000, 2, code="B", at_us=CLOSES - MINUTE)])
    assert outcome.closed_at_us == CLOSES + 4 * MINUTE
    assert outcome.digest == "ab0397a9472f4bed0157b1fef995a0ce2e270483d86df64d1e303775cf7b9470"


def test_each_refusal_has_its_reason_and_the_least_price_that_would_do() -> None:
    rush = [
        bid(700_000, 0, at_us=OPENS - 1),
        bid(690_000, 1),
        bid(705_000, 2),
        bid(700_000, 3),
        bid(700_000, 4, code="B"),
        bid(709_999, 5, code="B"),
        bid(715_000, 6, code="B"),
        bid(1_000_001, 7, code="B"),
        bid(710_000, 8, code="B"),
        bid(720_000, 9, code="B"),
        bid(730_000, 10, at_us=CLOSES),
    ]
    _, _, decisions = play(RULES, rush)
    assert reasons(decisions) == [
        "not_open",
        "below_start",
        "off_increment",
        "admitted",
        "not_higher",
        "below_increment",
        "off_increment",
        "above_ceiling",
        "admitted",
        "admitted",
        "closed",
    ]
    least = [each.least_fen for each in decisions if isinstance(each, Rejected)]
    assert least == [None, 700_000, 700_000, 710_000, 710_000, 710_000, 710_000, None]


@pytest.mark.parametrize("reason", Reason)
def test_each_refusal_is_worded_in_both_languages(reason: Reason) -> None:
    refusal = Rejected(reason, 710_000)
    assert "7,100.00 元" in refusal.words("zh")
    assert refusal.detail == refusal.words("en")
    assert "CNY 7,100.00" in refusal.detail
    assert not set(Rejected(reason, None).words("zh")) & set("0123456789")
    assert "CNY" not in Rejected(reason, None).words("en")


def test_a_bid_in_the_last_five_minutes_moves_the_close_again_and_again() -> None:
    at, standing = CLOSES - 5 * MINUTE - 1, open_standing(RULES)
    closes = []
    for step in range(4):
        decision = admit(RULES, standing, bid(700_000 + 10_000 * step, step, at_us=at, code="AB"[step % 2]))
        assert isinstance(decision, Admitted)
        standing = decision.standing
        closes.append(standing.closes_at_us - at)
        at = standing.closes_at_us - [5 * MINUTE, MINUTE, 1, 1][step]
    assert closes == [5 * MINUTE + 1, 5 * MINUTE, 5 * MINUTE, 5 * MINUTE]


def test_the_last_window_begins_exactly_its_length_before_the_close() -> None:
    rules = replace(RULES, soft_close_window_us=MINUTE)
    for at_us, closes in ((CLOSES - MINUTE, CLOSES + 4 * MINUTE), (CLOSES - MINUTE - 1, CLOSES)):
        _, standing, _ = play(rules, [bid(700_000, 1, at_us=at_us)])
        assert standing.closes_at_us == closes


def test_a_rejected_bid_in_the_last_minutes_moves_nothing() -> None:
    _, standing, _ = play(RULES, [bid(700_000, 1), bid(700_000, 2, at_us=CLOSES - 1, code="B")])
    assert standing.closes_at_us == CLOSES


def test_an_extension_shorter_than_the_window_never_brings_the_close_nearer() -> None:
    rules = replace(RULES, soft_close_extension_us=MINUTE)
    _, standing, _ = play(rules, [bid(700_000, 1, at_us=CLOSES - 4 * MINUTE)])
    assert standing.closes_at_us == CLOSES


def test_the_auction_ends_after_at_most_as_many_extensions_as_there_are_raises_below_the_ceiling() -> None:
    at, standing, raises = CLOSES - 1, open_standing(RULES), 0
    while (price := least_admissible_fen(RULES, standing)) is not None:
        decision = admit(RULES, standing, bid(price, raises, at_us=at, code="AB"[raises % 2]))
        assert isinstance(decision, Admitted)
        standing, raises = decision.standing, raises + 1
        at = standing.closes_at_us - 1
    assert raises == (1_000_000 - 700_000) // 10_000 + 1
    late = admit(RULES, standing, bid(1_000_000, raises, at_us=at))
    assert late == Rejected(Reason.NOT_HIGHER, None)


def test_a_ceiling_off_the_grid_can_still_be_bid_and_needs_no_full_increment() -> None:
    rules = replace(RULES, ceiling_fen=715_000)
    book, standing, decisions = play(rules, [bid(700_000, 1), bid(710_000, 2, code="B"), bid(715_000, 3)])
    assert reasons(decisions) == ["admitted"] * 3
    assert proxy_bid(rules, open_standing(rules), "A", 715_000) == 700_000
    assert least_admissible_fen(rules, standing) is None
    assert award(rules, book).allocation[0].price_fen == 715_000


def test_without_a_ceiling_only_the_width_of_the_ledger_bounds_the_price() -> None:
    step = replace(OPEN_ENDED, start_price_fen=1, increment_fen=1)
    book, standing, _ = play(step, [bid(MAX_AMOUNT, 1)])
    assert len(book) == 1
    assert least_admissible_fen(step, standing) is None
    assert least_admissible_fen(step, replace(standing, price_fen=MAX_AMOUNT - 1)) == MAX_AMOUNT
    with pytest.raises(AuctionError, match="price_fen: must be at most"):
        bid(MAX_AMOUNT + 1, 2)


def test_a_code_may_raise_its_own_bid() -> None:
    assert reasons(play(RULES, [bid(700_000, 1), bid(710_000, 2)])[2]) == ["admitted", "admitted"]


EBAY = [(1, 5), (100, 25), (500, 50), (2_500, 100), (10_000, 250), (25_000, 500), (50_000, 1_000)]
EBAY += [(100_000, 2_500), (250_000, 5_000), (500_000, 10_000)]


def ebay_rules() -> AscendingRules:
    """The table of the cases in cents, from a start of 5 cents: each rung lies on the grid of the one below."""
    (_, first), *rungs = EBAY
    ladder = tuple(Rung(*rung) for rung in rungs)
    return replace(OPEN_ENDED, start_price_fen=5, increment_fen=first, ladder=ladder)


@pytest.mark.parametrize(
    "case_id", ["ebay-1642243766", "ebay-1645883276", "ebay-1643075711", "ebay-1643544538"]
)
def test_proxies_on_the_published_increments_pay_the_published_price(vectors: Path, case_id: str) -> None:
    cases = json.loads((vectors / "pricing" / "cases.json").read_text())["cases"]
    (case,) = (case for case in cases if case["id"] == case_id)
    rules, second_fen = ebay_rules(), case["inputs"]["second"] * 100
    _, standing, _ = play(rules, [bid(second_fen, 1, code="B")])
    assert proxy_bid(rules, standing, "A", 10 * second_fen) == case["expected"] * 100


def test_at_the_price_of_a_rung_its_own_increment_holds() -> None:
    rules = ebay_rules()
    rush = [
        bid(49_500, 1),
        bid(50_000, 2, code="B"),
        bid(50_500, 3),
        bid(51_000, 4),
        bid(51_500, 5, code="B"),
    ]
    _, _, decisions = play(rules, rush)
    assert reasons(decisions) == ["admitted", "admitted", "below_increment", "admitted", "below_increment"]
    assert isinstance(decisions[2], Rejected)
    assert decisions[2].least_fen == 51_000
    assert admit(rules, open_standing(rules), bid(50_500, 1)) == Rejected(Reason.OFF_INCREMENT, 5)


@given(st.integers(700_000, 999_999), st.integers(700_000, 999_999))
def test_of_two_proxies_the_higher_maximum_wins_within_one_increment_of_the_lower(
    first: int, second: int
) -> None:
    maxima = {"A": first, "B": second}
    standing, sequence = open_standing(RULES), 0
    book = []
    while True:
        offers = [(proxy_bid(RULES, standing, code, most), code) for code, most in maxima.items()]
        live = [(price, code) for price, code in offers if price is not None]
        if not live:
            break
        (price, code), sequence = live[0], sequence + 1
        book.append(bid(price, sequence, code=code))
        decision = admit(RULES, standing, book[-1])
        assert isinstance(decision, Admitted)
        standing = decision.standing
    (won,) = award(RULES, book).allocation
    lower = min(first, second)
    assert lower - 10_000 < won.price_fen <= lower + 10_000
    assert won.price_fen <= maxima[won.code]
    assert maxima[won.code] > lower - 10_000


def test_a_proxy_never_outbids_itself_and_stops_at_its_maximum() -> None:
    _, standing, _ = play(RULES, [bid(700_000, 1)])
    assert proxy_bid(RULES, standing, "A", 1_000_000) is None
    assert proxy_bid(RULES, standing, "B", 709_999) is None
    assert proxy_bid(RULES, standing, "B", 710_000) == 710_000
    with pytest.raises(AuctionError, match="maximum_fen"):
        proxy_bid(RULES, standing, "B", 0)


def test_each_bidder_is_told_the_own_reason_in_both_languages() -> None:
    book = [bid(700_000, 1), bid(710_000, 2, code="B"), bid(730_000, 3, code="C"), bid(740_000, 4, code="B")]
    outcome = award(RULES, book)
    lost = explain(outcome, book, "A")
    assert lost.result == "lost"
    assert lost.words("en").startswith(
        "The best bid of A was CNY 7,000.00 (bid 1); B then bid CNY 7,100.00 (bid 2)"
    )
    assert "7,000.00 元" in lost.words("zh")
    won = explain(outcome, book, "B")
    assert won.result == "won"
    assert "the best other bid was CNY 7,300.00 by C" in won.en
    assert explain(outcome, book, "D").result == "no_bid"
    assert explain(award(RULES, book[:1]), book[:1], "A").en.endswith("nobody else bid.")
    assert explain(award(RULES, []), [], "A").result == "no_bid"


def test_no_reason_is_given_from_a_book_or_an_award_that_do_not_fit() -> None:
    book = [bid(700_000, 1), bid(710_000, 2, code="B")]
    outcome = award(RULES, book)
    with pytest.raises(OutcomeError, match="bids_root"):
        explain(outcome, book[:1], "A")
    with pytest.raises(OutcomeError, match="allocation"):
        explain(replace(outcome, allocation=()), book, "A")


@given(lots())
def test_every_code_of_a_lot_can_be_given_its_reason(lot: tuple[AscendingRules, list[Bid]]) -> None:
    rules, rush = lot
    book, _, _ = play(rules, rush)
    outcome = award(rules, book)
    results = [explain(outcome, book, code).result for code in "ABC"]
    assert results.count("won") == len(outcome.allocation)
    assert results.count("no_bid") == 3 - len({each.code for each in book})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"start_price_fen": 0}, "start_price_fen"),
        ({"start_price_fen": -1}, "start_price_fen"),
        ({"start_price_fen": 7e5}, "start_price_fen"),
        ({"start_price_fen": 1_000_001}, "start_price_fen"),
        ({"increment_fen": 0}, "increment_fen"),
        ({"increment_fen": -1}, "increment_fen"),
        ({"opens_at_us": -1}, "opens_at_us"),
        ({"closes_at_us": OPENS}, "closes_at_us"),
        ({"soft_close_window_us": -1}, "soft_close_window_us"),
        ({"soft_close_extension_us": 0}, "soft_close_extension_us"),
        ({"soft_close_window_us": 0}, "soft_close_extension_us"),
        ({"ceiling_fen": 0}, "ceiling_fen"),
        ({"ceiling_fen": 2**63}, "ceiling_fen"),
        ({"ladder": (Rung(700_000, 5),)}, "ladder[0].from_fen"),
        ({"ladder": (Rung(705_000, 5),)}, "ladder[0].from_fen"),
        ({"ladder": (Rung(0, 5),)}, "ladder[0].from_fen"),
        ({"ladder": (Rung(710_000, 0),)}, "ladder[0].increment_fen"),
        ({"ladder": (Rung(710_000, 20_000), Rung(720_000, 5))}, "ladder[1].from_fen"),
    ],
)
def test_terms_that_contradict_one_another_are_refused_by_name(change: dict[str, Any], field: str) -> None:
    with pytest.raises(AuctionError) as refused:
        replace(RULES, **change)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"price_fen": 0}, "price_fen"),
        ({"price_fen": -5}, "price_fen"),
        ({"price_fen": float("nan")}, "price_fen"),
        ({"price_fen": True}, "price_fen"),
        ({"sequence": -1}, "sequence"),
        ({"at_us": 1.0}, "at_us"),
        ({"code": ""}, "code"),
        ({"bid_id": ""}, "bid_id"),
        ({"code": "\ud800"}, "code"),
        ({"bid_id": "a\nb"}, "bid_id"),
    ],
)
def test_a_bid_that_cannot_be_is_refused_by_name(change: dict[str, Any], field: str) -> None:
    with pytest.raises(AuctionError) as refused:
        replace(bid(700_000, 1), **change)
    assert refused.value.field == field


def test_bids_are_judged_in_log_order_only() -> None:
    _, standing, _ = play(RULES, [bid(700_000, 5)])
    with pytest.raises(AuctionError, match="sequence: must follow"):
        admit(RULES, standing, bid(710_000, 5, code="B"))


def test_a_book_that_cannot_have_been_is_refused() -> None:
    with pytest.raises(OutcomeError, match="the rules reject the bid at sequence 2: not_higher"):
        award(RULES, [bid(700_000, 1), bid(700_000, 2, code="B")])
    with pytest.raises(OutcomeError, match="at_us: runs backwards at sequence 2"):
        award(RULES, [bid(700_000, 1, at_us=OPENS + 1), bid(710_000, 2, code="B")])
    with pytest.raises(OutcomeError, match="sequence: must be unique"):
        award(RULES, [bid(700_000, 1), bid(710_000, 1, code="B")])
    with pytest.raises(OutcomeError, match="bid_id: must be unique"):
        award(RULES, [bid(700_000, 1), replace(bid(710_000, 2), bid_id="bid-1")])


def test_what_the_format_promises_holds_for_a_bidder_who_knows_the_own_value() -> None:
    """Against a rival of any limit, raising to the own value is within one increment of the best answer."""
    limits = range(70, 80)
    step = replace(OPEN_ENDED, start_price_fen=70, increment_fen=1)

    def gain(value: int, own: int, rival: int) -> int:
        standing = open_standing(step)
        book: list[Bid] = []
        while True:
            live = [
                (price, code)
                for code, most in (("A", own), ("B", rival))
                if (price := proxy_bid(step, standing, code, most)) is not None
            ]
            if not live:
                break
            book.append(bid(live[0][0], len(book), code=live[0][1]))
            decision = admit(step, standing, book[-1])
            assert isinstance(decision, Admitted)
            standing = decision.standing
        (won,) = award(step, book).allocation
        return value - won.price_fen if won.code == "A" else 0

    for value in limits:
        for rival in limits:
            honest = gain(value, value, rival)
            assert all(gain(value, own, rival) <= honest + 1 for own in limits)
            assert honest >= 0


# --- priority holders, and the draw at a ceiling ---

PRIORITY = replace(RULES, priority=("P", "Q"))
DRAWN = replace(RULES, draw_at_ceiling=True)
SEED = b"s" * 32


def test_at_equal_price_a_priority_holder_takes_over_once_and_nobody_else_does() -> None:
    book, standing, decisions = play(
        PRIORITY,
        [
            bid(700_000, 1),
            bid(700_000, 2, code="B"),
            bid(700_000, 3, code="P"),
            bid(700_000, 4, code="Q"),
            bid(710_000, 5, code="B"),
            bid(700_000, 6, code="Q"),
            bid(710_000, 7, code="Q"),
        ],
    )
    assert reasons(decisions) == [
        "admitted", "not_higher", "admitted", "not_higher", "admitted", "not_higher", "admitted",
    ]  # fmt: skip
    assert (standing.code, standing.price_fen) == ("Q", 710_000)
    outcome = award(PRIORITY, book)
    assert outcome.rules_version == "ascending@2"
    assert (outcome.allocation[0].code, outcome.allocation[0].price_fen) == ("Q", 710_000)
    verify(outcome, PRIORITY, book)
    assert award(RULES, book[:1]).rules_version == "ascending@1"


def test_an_agent_of_a_priority_holder_bids_no_more_than_it_must() -> None:
    _, standing, _ = play(PRIORITY, [bid(700_000, 1)])
    assert proxy_bid(PRIORITY, standing, "P", 900_000) == 700_000
    assert proxy_bid(PRIORITY, standing, "P", 699_999) is None
    assert proxy_bid(PRIORITY, standing, "B", 900_000) == 710_000


def test_bids_at_the_ceiling_stay_open_to_all_until_the_close_and_the_winner_is_drawn() -> None:
    late = CLOSES - MINUTE
    book, standing, decisions = play(
        DRAWN,
        [
            bid(1_000_000, 1),
            bid(1_000_000, 2, code="B"),
            bid(1_000_000, 3),
            bid(990_000, 4, code="C"),
            bid(1_000_001, 5, code="C"),
            bid(1_000_000, 6, code="C", at_us=late),
        ],
    )
    assert reasons(decisions) == [
        "admitted", "admitted", "at_ceiling_already", "not_higher", "above_ceiling", "admitted",
    ]  # fmt: skip
    assert isinstance(decisions[3], Rejected)
    assert decisions[3].least_fen == 1_000_000
    assert standing.at_ceiling == ("A", "B", "C")
    assert standing.closes_at_us == late + 5 * MINUTE, "who comes late to the ceiling leaves time for others"
    wins = {award(DRAWN, book, seed=n.to_bytes(32)).allocation[0].code for n in range(40)}
    assert wins == {"A", "B", "C"}
    outcome = award(DRAWN, book, seed=SEED)
    verify(outcome, DRAWN, book)
    winner = outcome.allocation[0].code
    for code in "ABC":
        said = explain(outcome, book, code)
        assert said.result == ("won" if code == winner else "lost")
        assert "3 codes bid the ceiling" in said.en
        assert "抽签" in said.zh
    assert proxy_bid(DRAWN, standing, "A", 2_000_000) is None
    assert proxy_bid(DRAWN, standing, "D", 2_000_000) == 1_000_000
    for seed, rules, rows in ((None, DRAWN, book), (SEED, DRAWN, []), (SEED, RULES, book[:1])):
        with pytest.raises(OutcomeError) as refused:
            award(rules, rows, seed=seed)
        assert refused.value.field == "seed"
    other = next(
        found.seed
        for found in (award(DRAWN, book, seed=n.to_bytes(32)) for n in range(40))
        if found.allocation != outcome.allocation
    )
    with pytest.raises(OutcomeError) as refused:
        verify(replace(outcome, seed=other), DRAWN, book)
    assert refused.value.field == "allocation"
    with pytest.raises(OutcomeError, match="hex"):
        verify(replace(outcome, seed="zz"), DRAWN, book)


def test_among_priority_holders_at_the_ceiling_they_alone_are_drawn() -> None:
    rules = replace(DRAWN, priority=("P", "Q"))
    book, _, decisions = play(rules, [bid(1_000_000, n, code=code) for n, code in enumerate("APBQ", 1)])
    assert reasons(decisions) == ["admitted"] * 4
    wins = {award(rules, book, seed=n.to_bytes(32)).allocation[0].code for n in range(40)}
    assert wins == {"P", "Q"}


@given(st.lists(st.tuples(st.sampled_from("ABPQ"), st.integers(68, 101)), max_size=25))
def test_a_lot_with_priority_and_draw_ends_with_one_of_its_best_bids(rows: list[tuple[str, int]]) -> None:
    rules = replace(DRAWN, priority=("P", "Q"))
    bids = [bid(price * 10_000, n, code=code) for n, (code, price) in enumerate(rows, 1)]
    book, standing, _ = play(rules, bids)
    outcome = award(rules, book, seed=SEED if standing.at_ceiling else None)
    verify(outcome, rules, book)
    if book:
        best = max(each.price_fen for each in book)
        (one,) = outcome.allocation
        assert one.price_fen == best
        at_best = [each.code for each in book if each.price_fen == best]
        if set(at_best) & {"P", "Q"}:
            assert one.code in ("P", "Q")
        elif best < 1_000_000:
            assert one.code == at_best[0]


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"priority": ("A", "A")}, "priority"),
        ({"priority": ("",)}, "priority"),
        ({"draw_at_ceiling": True, "ceiling_fen": None}, "draw_at_ceiling"),
    ],
)
def test_terms_of_priority_and_draw_that_cannot_be_are_refused(terms: dict[str, Any], field: str) -> None:
    with pytest.raises(AuctionError) as refused:
        replace(RULES, **terms)
    assert refused.value.field == field
