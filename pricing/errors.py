"""The error tree of the mind: nonsense is refused by name, with the field, the rule and the remedy.

PricingError
├── MoneyError       an amount, a rate or a weight that cannot be
├── CanonicalError   a value that has no canonical form (a float, a lone surrogate)
├── SaleError        the terms of a fixed-price offer contradict one another
├── RegulationError  costs, rates or tiers from which no price may come
├── TariffError      a menu, or a purchase from it, that cannot be
├── GameError        a game of contributions that cannot be judged
├── AuctionError     the rules of a lot, or a bid, that cannot be
├── OutcomeError     a book of bids, or an outcome, that the rules do not bear out
├── SealError        a sealed bid, a share or a committee that proves nothing
├── QualityError     a declaration of quality rules that cannot be judged
├── WeightsError     judgements or scores that give no weights
├── RangeError       uncertain figures that give no range
└── AppraisalError   an appraisal that may not be written

What a market records and answers for (a bid refused, an offer sold out) is a value, never one of these.
"""

from __future__ import annotations


class PricingError(ValueError):
    """Refused by name: `field` says where, `rule` what was broken, `remedy` what the caller can do."""

    def __init__(self, *, field: str, rule: str, remedy: str) -> None:
        super().__init__(f"{field}: {rule}; {remedy}")
        self.field = field
        self.rule = rule
        self.remedy = remedy


class MoneyError(PricingError):
    pass


class CanonicalError(PricingError):
    pass


class SaleError(PricingError):
    pass


class RegulationError(PricingError):
    pass


class TariffError(PricingError):
    pass


class GameError(PricingError):
    pass


class AuctionError(PricingError):
    pass


class OutcomeError(PricingError):
    pass


class SealError(PricingError):
    pass


class QualityError(PricingError):
    pass


class WeightsError(PricingError):
    pass


class RangeError(PricingError):
    pass


class AppraisalError(PricingError):
    pass
