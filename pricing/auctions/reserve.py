"""What a lot is not sold below: the reserve that earns most, from what values are believed or from past lots.

Myerson (1981): where values are drawn from one smooth distribution, the best reserve does not depend on the number
of bidders; it is the price that a seller facing one bidder would post, where the virtual value

    v - (1 - F(v)) / f(v)

passes from below zero. Here distributions are discrete and exact, a support of prices with whole weights as a table of
past values is, and the best reserve of a second-price auction is found among them; where the steps between values are
wide it may rise with the number of bidders. For past lots, `empirical_reserve` takes the reserve that would have
earned most on them.

A high reserve sells less often: public data that stays unsold helps nobody, so the share of unsold lots stands beside
each figure, and the market's rules bound the reserve (DOMAIN: start price at least 70 % of the appraisal).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise

from pricing.errors import AuctionError
from pricing.money import require_whole


@dataclass(frozen=True, slots=True)
class Values:
    """What one bidder's value may be: rising prices in fen (0 included), each with a whole weight above zero."""

    support_fen: tuple[int, ...]
    weights: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.support_fen or len(self.support_fen) != len(self.weights):
            raise AuctionError(
                field="weights", rule="one for each value, and at least one value", remedy="weigh each value"
            )
        for position, (value, weight) in enumerate(zip(self.support_fen, self.weights, strict=True)):
            require_whole(value, f"support_fen[{position}]", error=AuctionError)
            require_whole(weight, f"weights[{position}]", least=1, error=AuctionError)
            if position and value <= self.support_fen[position - 1]:
                raise AuctionError(
                    field=f"support_fen[{position}]", rule="values rise", remedy="sort them, each once"
                )

    def at_least(self, price_fen: int) -> Fraction:
        """The chance that a value is at least this price."""
        above = sum(w for v, w in zip(self.support_fen, self.weights, strict=True) if v >= price_fen)
        return Fraction(above, sum(self.weights))

    def virtual_fen(self) -> list[Fraction]:
        """The virtual value of each value of the support: what selling to it adds to a posted price's revenue."""
        total = sum(self.weights)
        above = total
        found = []
        for n, (value, weight) in enumerate(zip(self.support_fen, self.weights, strict=True)):
            above -= weight
            step = self.support_fen[n + 1] - value if n + 1 < len(self.support_fen) else 0
            found.append(value - Fraction(step * above, weight))
        return found

    @property
    def regular(self) -> bool:
        """Whether virtual values rise: then no other format earns more than a reserve does, up to the steps."""
        return all(low <= high for low, high in pairwise(self.virtual_fen()))


@dataclass(frozen=True, slots=True)
class Reserve:
    """A reserve, what a lot earns with it on average, and how often it stays unsold."""

    price_fen: int
    revenue_fen: Fraction
    unsold: Fraction


def expected_revenue(values: Values, bidders: int, reserve_fen: int) -> Fraction:
    """What a second-price auction with this reserve earns on average, in fen, exactly; bidders draw independently."""
    require_whole(bidders, "bidders", least=1, most=1_000, error=AuctionError)
    require_whole(reserve_fen, "reserve_fen", error=AuctionError)
    takes_part = values.at_least(reserve_fen)
    # Exactly one at or above the reserve pays it; otherwise the second highest value is the price.
    alone = reserve_fen * bidders * takes_part * (1 - takes_part) ** (bidders - 1)
    place = bisect_left(values.support_fen, reserve_fen)
    return alone + _from_seconds(values, bidders)[place]


def _from_seconds(values: Values, bidders: int) -> list[Fraction]:
    """For each place of the support what second highest values from there on add to the revenue; 0 behind the last."""
    total = sum(values.weights)
    at_least = [Fraction(above, total) for above in accumulate(reversed(values.weights), initial=0)]
    found = [Fraction(0)]
    for n, value in enumerate(reversed(values.support_fen)):
        chance = _second_at_least(at_least[n + 1], bidders) - _second_at_least(at_least[n], bidders)
        found.append(found[-1] + value * chance)
    return found[::-1]


def _second_at_least(one: Fraction, bidders: int) -> Fraction:
    """The chance that two bidders or more have a value that one has with this chance."""
    return 1 - (1 - one) ** bidders - bidders * one * (1 - one) ** (bidders - 1)


def best_reserve(values: Values, bidders: int) -> Reserve:
    """The reserve of the support that earns most; of equal ones the lowest, which sells more often."""
    require_whole(bidders, "bidders", least=1, most=1_000, error=AuctionError)
    total = sum(values.weights)
    above, best = total, None
    for price, weight, seconds in zip(
        values.support_fen, values.weights, _from_seconds(values, bidders), strict=False
    ):
        takes_part = Fraction(above, total)
        revenue = seconds + price * bidders * takes_part * (1 - takes_part) ** (bidders - 1)
        if best is None or revenue > best.revenue_fen:
            best = Reserve(price, revenue, (1 - takes_part) ** bidders)
        above -= weight
    assert best is not None
    return best


def empirical_reserve(lots: Sequence[tuple[int, int]]) -> Reserve:
    """The reserve that would have earned most on past second-price lots, each as (highest, second highest) bid.

    A lot with one bid has a second of 0. Candidates are the highest bids, since any other earns less; of equal ones
    the lowest wins. Exact, in the time of a sort. It fits the past: with few lots, believe it little.
    """
    if not lots:
        raise AuctionError(
            field="lots", rule="at least one past lot", remedy="take a believed distribution instead"
        )
    for position, (highest, second) in enumerate(lots):
        require_whole(highest, f"lots[{position}].highest", least=1, error=AuctionError)
        require_whole(second, f"lots[{position}].second", most=highest, error=AuctionError)
    tops = sorted(highest for highest, _ in lots)
    seconds = sorted((second for _, second in lots), reverse=True)
    best: tuple[int, int, int] | None = None
    pays_second, counted = 0, 0
    # From the highest candidate down: whoever's second reaches the reserve pays it, whoever's highest does the reserve.
    for place in range(len(tops) - 1, -1, -1):
        reserve = tops[place]
        if place and tops[place - 1] == reserve:
            continue
        while counted < len(seconds) and seconds[counted] >= reserve:
            pays_second += seconds[counted]
            counted += 1
        sold = len(tops) - place
        revenue = pays_second + reserve * (sold - counted)
        if best is None or revenue >= best[0]:
            best = (revenue, reserve, len(lots) - sold)
    assert best is not None
    revenue, reserve, unsold = best
    return Reserve(reserve, Fraction(revenue, len(lots)), Fraction(unsold, len(lots)))
