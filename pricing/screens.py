"""Screens for collusion: statistics of one lot's bids, of its groups of three and four, of who wins in turn; and the six signs
of a rigged tender.

A screen accuses nobody. It says which lots a regulator should look at first, with the figures that made it say so.
Bids that were agreed on lie closer together than honest ones (low variation), leave a gap below the one that is to win
(high relative distance, skew away from it), and their winners take turns. In a tender where only some collude, the
honest bids hide that: so each figure is taken over all groups of three and of four bids as well.

Figures after Imhof (2017, "Simple Statistical Screens to Detect Bid Rigging") and Wallimann, Imhof and Huber (2023,
"A Machine Learning Approach for Flagging Incomplete Bid-rigging Cartels"); sample standard deviations throughout. Bids
are ordered from the best: the lowest where the venue buys, the highest where it sells; distances are absolute. Floats
are statistics here, never money.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import combinations, pairwise
from statistics import fmean, median
from typing import Final, Literal
from unicodedata import normalize

from pricing.errors import AuctionError
from pricing.money import Language, require_whole

GROUPS_LIMIT: Final = 60
"""More bids than this have over half a million groups of four: sample the lot, or screen it as a whole."""

Better = Literal["lower", "higher"]


@dataclass(frozen=True, slots=True)
class Screen:
    """The figures of one set of bids; None where too few bids, or equal ones, leave a figure undefined."""

    variation: float | None
    """Standard deviation over mean (two bids or more)."""
    skewness: float | None
    """Adjusted Fisher-Pearson (three or more)."""
    kurtosis: float | None
    """Excess, unbiased (four or more)."""
    spread: float
    """(highest - lowest) / lowest."""
    gap: float
    """|second - best| / best."""
    relative_distance: float | None
    """|second - best| over the standard deviation of the losing bids (three or more)."""
    normalised_distance: float | None
    """|second - best| over the mean distance of neighbours (two or more)."""
    alternative_distance: float | None
    """|second - best| over the mean distance of neighbouring losing bids (three or more)."""


def screen(prices_fen: Sequence[int], better: Better) -> Screen:
    """The figures of one lot's bids, one a bidder; AuctionError for fewer than two, or for what is no price."""
    for position, price in enumerate(prices_fen):
        require_whole(price, f"prices_fen[{position}]", least=1, error=AuctionError)
    if len(prices_fen) < 2:
        raise AuctionError(
            field="prices_fen", rule="two bids or more", remedy="a lot with one bid has nothing to compare"
        )
    return _screen(sorted(prices_fen, reverse=better == "higher"))


def _screen(ordered: Sequence[int]) -> Screen:
    n = len(ordered)
    mean = fmean(ordered)
    deviation = _deviation(ordered)
    steps = [abs(b - a) for a, b in pairwise(ordered)]
    gap = steps[0]
    skewness = kurtosis = None
    if deviation:
        z = [(price - mean) / deviation for price in ordered]
        if n >= 3:
            skewness = n / ((n - 1) * (n - 2)) * math.fsum(x**3 for x in z)
        if n >= 4:
            kurtosis = n * (n + 1) / ((n - 1) * (n - 2) * (n - 3)) * math.fsum(x**4 for x in z) - 3 * (
                n - 1
            ) ** 2 / ((n - 2) * (n - 3))
    losing = _deviation(ordered[1:]) if n >= 3 else 0.0
    low, high = min(ordered[0], ordered[-1]), max(ordered[0], ordered[-1])
    return Screen(
        variation=deviation / mean,
        skewness=skewness,
        kurtosis=kurtosis,
        spread=(high - low) / low,
        gap=gap / ordered[0],
        relative_distance=gap / losing if losing else None,
        normalised_distance=gap / fmean(steps) if any(steps) else None,
        alternative_distance=gap / fmean(steps[1:]) if any(steps[1:]) else None,
    )


def _deviation(prices: Sequence[int]) -> float:
    mean = fmean(prices)
    return (
        math.sqrt(math.fsum((price - mean) ** 2 for price in prices) / (len(prices) - 1))
        if len(prices) > 1
        else 0.0
    )


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over all groups of one size: its lowest, median, mean and highest value."""

    least: float
    median: float
    mean: float
    most: float


def screen_groups(prices_fen: Sequence[int], better: Better, size: Literal[3, 4]) -> dict[str, Spread]:
    """Each figure over all groups of three or four bids of one lot; figures that no group defines are left out."""
    screen(prices_fen, better)
    if len(prices_fen) > GROUPS_LIMIT:
        raise AuctionError(
            field="prices_fen",
            rule=f"at most {GROUPS_LIMIT} bids, not {len(prices_fen)}",
            remedy="screen the whole lot, or the bids of those under suspicion",
        )
    found: dict[str, list[float]] = {}
    ordered = sorted(prices_fen, reverse=better == "higher")
    for group in combinations(ordered, size):
        for name, value in _figures(_screen(group)):
            found.setdefault(name, []).append(value)
    return {
        name: Spread(min(values), median(values), fmean(values), max(values))
        for name, values in found.items()
    }


def _figures(one: Screen) -> Iterator[tuple[str, float]]:
    for field in fields(one):
        value = getattr(one, field.name)
        if value is not None:
            yield field.name, value


@dataclass(frozen=True, slots=True)
class Bounds:
    """From which figure on a lot is worth a look. Defaults from Imhof's cartel (variation below 0.06 of agreed tenders,
    relative distance above 1): a market sets its own from its own past."""

    variation_below: float = 0.06
    relative_distance_above: float = 1.0
    kurtosis_above: float = 2.0


@dataclass(frozen=True, slots=True)
class Flag:
    """One reason to look at a lot; `where` is the whole lot or a group of so many bids."""

    name: str
    value: float
    bound: float
    where: Literal["lot", "3", "4"]

    def words(self, language: Language) -> str:
        zh, en = _WORDS[self.name]
        place_zh, place_en = (
            ("全部报价", "all bids")
            if self.where == "lot"
            else (
                f"某 {self.where} 个报价",
                f"a group of {self.where} bids",
            )
        )
        if language == "zh":
            return f"{place_zh}的{zh}为 {self.value:.4f}(界限 {self.bound:g})"
        return f"{en} of {place_en} is {self.value:.4f} (bound {self.bound:g})"


_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "variation": ("变异系数", "the coefficient of variation"),
    "relative_distance": ("相对距离", "the relative distance"),
    "kurtosis": ("峰度", "the kurtosis"),
}


def flags(prices_fen: Sequence[int], better: Better, bounds: Bounds) -> list[Flag]:
    """Why a lot is worth a look, the whole lot first; none is the rule. Groups only where there are more than four bids."""
    found = _flags(dict(_figures(screen(prices_fen, better))), bounds, "lot")
    if 4 < len(prices_fen) <= GROUPS_LIMIT:
        for size in (3, 4):
            groups = screen_groups(prices_fen, better, size)
            extremes = {
                name: spread.least if name == "variation" else spread.most for name, spread in groups.items()
            }
            found += _flags(extremes, bounds, "3" if size == 3 else "4")
    return found


def _flags(figures: Mapping[str, float], bounds: Bounds, where: Literal["lot", "3", "4"]) -> list[Flag]:
    found = []
    if figures.get("variation", math.inf) < bounds.variation_below:
        found.append(Flag("variation", figures["variation"], bounds.variation_below, where))
    for name, bound in (
        ("relative_distance", bounds.relative_distance_above),
        ("kurtosis", bounds.kurtosis_above),
    ):
        if figures.get(name, -math.inf) > bound:
            found.append(Flag(name, figures[name], bound, where))
    return found


@dataclass(frozen=True, slots=True)
class Rotation:
    """How evenly a set of bidders took turns at winning, over lots in which all of them bid."""

    lots: int
    turns: float
    """The part of lots whose winner differs from the lot's before: chance gives (k - 1) / k among k equals."""
    evenness: float
    """Entropy of who won over its highest possible: 1 where each won as often."""
    cover: float
    """The part of lots in which the second best of the set was a member too, as cover bids are."""


def rotation(lots: Sequence[Mapping[str, int]], members: Sequence[str], better: Better) -> Rotation:
    """Judge whether `members` took turns, from past lots in order, each as bidder → price.

    Only lots in which every member bid and a member won count. AuctionError for fewer than two members or lots.
    """
    if len(set(members)) != len(members) or len(members) < 2:
        raise AuctionError(field="members", rule="two bidders or more, each once", remedy="name the suspects")
    winners: list[str] = []
    covered = 0
    for position, lot in enumerate(lots):
        for bidder, price in lot.items():
            require_whole(price, f"lots[{position}].{bidder}", least=1, error=AuctionError)
        if not set(members) <= set(lot):
            continue
        ordered = sorted(lot, key=lambda bidder: (lot[bidder] if better == "lower" else -lot[bidder], bidder))
        if ordered[0] in members:
            winners.append(ordered[0])
            covered += ordered[1] in members
    if len(winners) < 2:
        raise AuctionError(
            field="lots",
            rule="two lots or more in which all members bid and one of them won",
            remedy="take a longer past, or fewer members",
        )
    shares = [winners.count(member) / len(winners) for member in members]
    entropy = -math.fsum(share * math.log(share) for share in shares if share)
    return Rotation(
        lots=len(winners),
        turns=sum(a != b for a, b in pairwise(winners)) / (len(winners) - 1),
        evenness=entropy / math.log(len(members)),
        cover=covered / len(winners),
    )


# --- the six signs of a rigged tender ---


@dataclass(frozen=True, slots=True)
class Bidder:
    """What is known of one bidder of a tender: its quote (None where none was opened), and who and what stands behind it.

    None is unknown, and like nothing. `mixed` are codes of other bidders whose documents it handed in.
    """

    code: str
    price_fen: int | None = None
    drafter: str | None = None
    agent: str | None = None
    manager: str | None = None
    account: str | None = None
    proposal: str | None = None
    mixed: tuple[str, ...] = ()


SIGNS: Final[Mapping[str, tuple[str, str]]] = {
    "same_drafter": ("不同投标人的投标文件由同一人编制", "one drafter for several bidders"),
    "same_agent": ("不同投标人委托同一人办理投标事宜", "one agent for several bidders"),
    "same_manager": ("不同投标人的项目管理成员为同一人", "one manager named by several bidders"),
    "alike_quotes": ("投标报价异常一致或者呈规律性差异", "quotes unusually alike, or regularly spaced"),
    "mixed_documents": (
        "不同投标人的投标文件相互混装或相同",
        "documents of several bidders mixed, or the same",
    ),
    "one_deposit_account": (
        "不同投标人的保证金从同一账户转出",
        "deposits of several bidders from one account",
    ),
}
"""招标投标法实施条例 第四十条: when bidders are taken to have colluded, in its order."""


@dataclass(frozen=True, slots=True)
class Sign:
    """One sign, and the bidders that show it; `figure` says how much, where it is one of numbers."""

    name: str
    codes: tuple[str, ...]
    figure: str = ""

    def words(self, language: Language) -> str:
        said = SIGNS[self.name][0 if language == "zh" else 1]
        return f"{said}: {', '.join(self.codes)}" + (f" ({self.figure})" if self.figure else "")


def rigging(bidders: Sequence[Bidder], better: Better, bounds: Bounds) -> list[Sign]:
    """The signs that a tender's bidders show, in the order of the statute; none is the rule.

    Names are compared without case, width and spaces. Quotes count as alike where their variation is below the bound, and as
    regularly spaced where all steps between neighbours, or all ratios, are the same to one part in a hundred (three or more).
    """
    found = []
    for name, member in (
        ("same_drafter", "drafter"),
        ("same_agent", "agent"),
        ("same_manager", "manager"),
    ):
        found += _same(name, {one.code: getattr(one, member) for one in bidders})
    quotes = {one.code: one.price_fen for one in bidders if one.price_fen is not None}
    if len(quotes) >= 3:
        figure = _alike(sorted(quotes.values()), better, bounds)
        if figure:
            found.append(Sign("alike_quotes", tuple(sorted(quotes)), figure))
    known = {one.code for one in bidders}
    for one in bidders:
        others = known.intersection(one.mixed) - {one.code}
        if others:
            found.append(Sign("mixed_documents", tuple(sorted({one.code, *others}))))
    found += _same("mixed_documents", {one.code: one.proposal for one in bidders})
    found += _same("one_deposit_account", {one.code: one.account for one in bidders})
    return found


def _same(name: str, values: Mapping[str, str | None]) -> list[Sign]:
    """A sign for each value that several bidders share."""
    groups: dict[str, list[str]] = {}
    for code, value in values.items():
        if value is not None:
            groups.setdefault("".join(normalize("NFKC", value).casefold().split()), []).append(code)
    return [Sign(name, tuple(sorted(codes))) for _, codes in sorted(groups.items()) if len(codes) > 1]


def _alike(prices_fen: Sequence[int], better: Better, bounds: Bounds) -> str:
    """Why quotes, in ascending order, look agreed on; empty where they do not."""
    variation = screen(prices_fen, better).variation
    if variation is not None and variation < bounds.variation_below:
        return f"variation {variation:.4f}, bound {bounds.variation_below:g}"
    steps = [b - a for a, b in pairwise(prices_fen)]
    if _even(steps):
        return f"steps of {steps[0]} fen"
    ratios = [b / a for a, b in pairwise(prices_fen)]
    if min(ratios) > 1 and _even([ratio - 1 for ratio in ratios]):
        return f"ratios of {ratios[0]:.4f}"
    return ""


def _even(steps: Sequence[float]) -> bool:
    """Whether steps above nothing are the same, to one part in a hundred of the largest."""
    return min(steps) > 0 and (max(steps) - min(steps)) * 100 <= max(steps)
