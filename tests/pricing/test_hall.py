"""The hall: whatever the format, one door awards, verifies and explains, and says what the format is like."""

from __future__ import annotations

from typing import Any

import pytest

from pricing.auctions import (
    AscendingRules,
    Bid,
    Payment,
    Rules,
    ScoringRules,
    SealedRules,
    Tender,
    Ties,
    UnitBid,
    award,
    explain,
    nature,
    verify,
)
from pricing.errors import OutcomeError

FORMATS: list[tuple[Rules, list[Any], bytes | None]] = [
    (
        AscendingRules(100, 10, 0, 1_000, 30, 30),
        [Bid("A", "a", 100, 1, 5), Bid("B", "b", 120, 2, 6)],
        None,
    ),
    (
        AscendingRules(100, 10, 0, 1_000, 30, 30, 120, draw_at_ceiling=True),
        [Bid("A", "a", 120, 1, 5), Bid("B", "b", 120, 2, 6)],
        b"s" * 32,
    ),
    *(
        (SealedRules(2, payment, ties=ties), [UnitBid("A", "a", 9, 2, 1), UnitBid("B", "b", 9, 1, 2)], seed)
        for payment in Payment
        for ties, seed in ((Ties.SEQUENCE, None), (Ties.DRAW, b"s" * 32))
    ),
    (
        ScoringRules("lower", 1_000_000, (), (), least_bidders=2),
        [Tender("A", "a", 9, 1, {}), Tender("B", "b", 8, 2, {})],
        None,
    ),
]


@pytest.mark.parametrize(("rules", "bids", "seed"), FORMATS)
def test_every_format_awards_verifies_and_explains_through_one_door(
    rules: Rules, bids: list[Any], seed: bytes | None
) -> None:
    outcome = award(rules, reversed(bids), seed=seed)
    verify(outcome, rules, bids)
    assert outcome.rules_digest == rules.digest
    results = {explain(outcome, rules, bids, code).result for code in "AB"}
    assert "won" in results
    assert explain(outcome, rules, bids, "Z").result == "no_bid"
    with pytest.raises(OutcomeError):
        verify(outcome, rules, bids[:1])
    with pytest.raises(OutcomeError) as refused:
        award(rules, bids, seed=b"s" * 32 if seed is None else None)
    assert refused.value.field == "seed"
    assert nature(rules).reveals("zh") != nature(rules).reveals("en")


def test_each_format_says_whether_it_is_truthful_and_efficient() -> None:
    said = {
        (payment, supply): (nature(rules).truthful, nature(rules).efficient)
        for payment in Payment
        for supply in (1, 3)
        for rules in [SealedRules(supply, payment)]
    }
    assert said == {
        (Payment.PAY_BID, 1): (False, False),
        (Payment.PAY_BID, 3): (False, False),
        (Payment.UNIFORM, 1): (True, True),
        (Payment.UNIFORM, 3): (True, False),
        (Payment.VICKREY, 1): (True, True),
        (Payment.VICKREY, 3): (True, True),
    }
    assert (nature(FORMATS[0][0]).truthful, nature(FORMATS[0][0]).efficient) == (False, True)
    assert (nature(FORMATS[-1][0]).truthful, nature(FORMATS[-1][0]).efficient) == (False, False)
