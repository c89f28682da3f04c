"""The hall: one door for every format of bidding, so that the market names a format's terms and never its file.

The terms say which format it is: `AscendingRules` (everyone sees the price), `SealedRules` (one unit or many, pay as
bid, uniform or Vickrey), `ScoringRules` (tenders). `award`, `verify` and `explain` take any of them with its own bids.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

from pricing.auctions import ascending, scoring, sealed
from pricing.auctions.ascending import (
    Admitted,
    AscendingRules,
    Reason,
    Rejected,
    Rung,
    Standing,
    admit,
    least_admissible_fen,
    open_standing,
    proxy_bid,
)
from pricing.auctions.draw import commit_nonce, draw_seed
from pricing.auctions.scoring import Criterion, ScoringRules, Tender
from pricing.auctions.sealed import Payment, SealedRules, Ties, UnitBid
from pricing.errors import OutcomeError
from pricing.money import Language
from pricing.outcome import Allotment, Bid, Explanation, Outcome

Rules: TypeAlias = AscendingRules | SealedRules | ScoringRules
"""The terms of a lot, whatever its format."""


def award(rules: Rules, bids: Iterable[Any], *, seed: bytes | None = None) -> Outcome:
    """The outcome of a lot from its admitted bids, in whatever order their rows come; OutcomeError for a false book.

    Bids are `Bid`, `UnitBid` or `Tender`, as the format has them; `seed` is given where its terms draw, and only there.
    """
    match rules:
        case AscendingRules():
            return ascending.award(rules, bids, seed=seed)
        case SealedRules():
            return sealed.award(rules, bids, seed=seed)
        case ScoringRules():
            if seed is not None:
                raise OutcomeError(field="seed", rule="no tender is drawn", remedy="leave the seed out")
            return scoring.award(rules, bids)
        case _:  # pragma: no cover
            assert_never(rules)


def verify(outcome: Outcome, rules: Rules, bids: Iterable[Any]) -> None:
    """Recompute the outcome; any changed rule, bid or member raises OutcomeError with the member's name."""
    match rules:
        case AscendingRules():
            ascending.verify(outcome, rules, bids)
        case SealedRules():
            sealed.verify(outcome, rules, bids)
        case ScoringRules():
            scoring.verify(outcome, rules, bids)
        case _:  # pragma: no cover
            assert_never(rules)


def explain(outcome: Outcome, rules: Rules, bids: Iterable[Any], code: str) -> Explanation:
    """Why the bidder behind `code` won or lost, from the public book alone, in Chinese and English."""
    match rules:
        case AscendingRules():
            return ascending.explain(outcome, bids, code)
        case SealedRules():
            return sealed.explain(outcome, bids, code)
        case ScoringRules():
            return scoring.explain(outcome, rules, bids, code)
        case _:  # pragma: no cover
            assert_never(rules)


@dataclass(frozen=True, slots=True)
class Nature:
    """What a bidder should know of a format before it bids."""

    truthful: bool
    """Whether to bid the own value is best, whatever the others do, for who wants one unit."""
    efficient: bool
    """Whether the units then go to who values them most (private values, no collusion)."""
    reveals_zh: str
    reveals_en: str

    def reveals(self, language: Language) -> str:
        """Who learns what, and when."""
        return self.reveals_zh if language == "zh" else self.reveals_en


def nature(rules: Rules) -> Nature:
    """What the format of these terms is like."""
    match rules:
        case AscendingRules():
            return Nature(
                False,  # what to bid next depends on the others; raising up to the own value is best all the same
                True,
                "竞价中公开每一笔有效报价;委托上限永不公开",
                "every admitted bid while it runs; the limit of an agent never",
            )
        case SealedRules():
            return Nature(
                rules.payment.truthful,
                rules.payment.truthful and (rules.supply == 1 or rules.payment is Payment.VICKREY),
                "开启前一无所知,开启后公开全部报价",
                "nothing before the opening, every bid after it",
            )
        case ScoringRules():
            return Nature(
                False,
                False,
                "开标后公开全部报价、评分与评委",
                "after the opening every price, mark and assessor",
            )
        case _:  # pragma: no cover
            assert_never(rules)


__all__ = [
    "Admitted",
    "Allotment",
    "AscendingRules",
    "Bid",
    "Criterion",
    "Explanation",
    "Nature",
    "Outcome",
    "Payment",
    "Reason",
    "Rejected",
    "Rules",
    "Rung",
    "ScoringRules",
    "SealedRules",
    "Standing",
    "Tender",
    "Ties",
    "UnitBid",
    "admit",
    "award",
    "commit_nonce",
    "draw_seed",
    "explain",
    "least_admissible_fen",
    "nature",
    "open_standing",
    "proxy_bid",
    "verify",
]
