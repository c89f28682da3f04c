"""Scoring for tenders: the published rule turns price and named assessors' marks into one score, and the highest wins.

The rule (招标投标法 §41 and 评标委员会和评标方法暂行规定, 综合评估法; every figure is an argument):

1. A price above the ceiling or below the floor is no valid bid. Fewer valid bidders than `least_bidders` (three):
   nobody is awarded, the tender is held again.
2. The price's points are `price_weight` x lowest valid / own price where a lower price is better (buying), and
   `price_weight` x own price / highest valid where a higher one is (selling).
3. Each criterion's points are its weight x mean mark / most points of a mark; with `drop_extremes` the highest and
   the lowest mark of a bidder on a criterion do not count (four assessors or more).
4. The highest total wins and pays its price. Of equal totals the better price wins, then the earlier bid.

Weights are parts per million and sum to one; points are parts per million of the whole, each rounded half up once.
The format is neither truthful nor efficient in general: it buys what the rule rewards, and the rule is public before.
After the opening it reveals every price, mark and assessor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from pricing.canonical import Json, canonical, digest
from pricing.errors import AuctionError, OutcomeError
from pricing.money import (
    Language,
    Rounding,
    fen_in_words,
    ppm_in_words,
    quotient,
    require_shares,
    require_whole,
)
from pricing.outcome import Allotment, Explanation, Outcome, bids_root, compare, in_sequence

VERSION: Final = "scoring@1"
MARKS_LIMIT: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Criterion:
    """What assessors mark from 0 to `most_points`, and its part of the whole."""

    name: str
    weight_ppm: int
    most_points: int


@dataclass(frozen=True, slots=True)
class ScoringRules:
    """The published rule of one tender; terms that contradict one another are refused by name."""

    better: Literal["lower", "higher"]
    price_weight_ppm: int
    criteria: tuple[Criterion, ...]
    assessors: tuple[str, ...]
    ceiling_fen: int | None = None
    floor_fen: int = 1
    least_bidders: int = 3
    drop_extremes: bool = False

    def __post_init__(self) -> None:
        if self.better not in ("lower", "higher"):
            raise AuctionError(
                field="better",
                rule="is `lower` where the venue buys and `higher` where it sells",
                remedy="say which price is better",
            )
        require_whole(self.least_bidders, "least_bidders", least=1, error=AuctionError)
        require_whole(self.floor_fen, "floor_fen", least=1, error=AuctionError)
        if self.ceiling_fen is not None:
            require_whole(self.ceiling_fen, "ceiling_fen", least=self.floor_fen, error=AuctionError)
        for position, criterion in enumerate(self.criteria):
            require_whole(
                criterion.most_points,
                f"criteria[{position}].most_points",
                least=1,
                most=MARKS_LIMIT,
                error=AuctionError,
            )
        require_shares([self.price_weight_ppm, *(one.weight_ppm for one in self.criteria)])
        for name, values in (
            ("criteria", [one.name for one in self.criteria]),
            ("assessors", self.assessors),
        ):
            if len(set(values)) != len(values) or not all(value and value.isprintable() for value in values):
                raise AuctionError(
                    field=name, rule="have names, each another", remedy="name each once, in printable text"
                )
        if self.criteria and len(self.assessors) < (4 if self.drop_extremes else 1):
            raise AuctionError(
                field="assessors",
                rule=f"{'four, so that two marks are left' if self.drop_extremes else 'one'} at least",
                remedy="name more assessors, or let all marks count",
            )

    def to_json(self) -> dict[str, Json]:
        return {
            "assessors": list(self.assessors),
            "better": self.better,
            "ceiling_fen": self.ceiling_fen,
            "criteria": [[one.name, one.weight_ppm, one.most_points] for one in self.criteria],
            "drop_extremes": self.drop_extremes,
            "floor_fen": self.floor_fen,
            "least_bidders": self.least_bidders,
            "price_weight_ppm": self.price_weight_ppm,
        }

    @property
    def digest(self) -> str:
        return digest({"rules": self.to_json(), "version": VERSION})


@dataclass(frozen=True, slots=True)
class Tender:
    """One opened bid with its marks: `marks[assessor][criterion]` is whole points, complete for the rule."""

    code: str
    bid_id: str
    price_fen: int
    sequence: int
    marks: Mapping[str, Mapping[str, int]]

    def __post_init__(self) -> None:
        require_whole(self.price_fen, "price_fen", least=1, error=AuctionError)
        require_whole(self.sequence, "sequence", error=AuctionError)
        for name in ("code", "bid_id"):
            value = getattr(self, name)
            if not value or not value.isprintable():
                raise AuctionError(
                    field=name,
                    rule="must be printable text, at least one character",
                    remedy="name the bidder and the bid",
                )

    def row(self) -> bytes:
        """The bid's canonical bytes with its marks, a leaf of the book's tree."""
        return canonical(
            {
                "bid_id": self.bid_id,
                "code": self.code,
                "marks": {assessor: dict(marks) for assessor, marks in self.marks.items()},
                "price_fen": self.price_fen,
                "sequence": self.sequence,
            }
        )


@dataclass(frozen=True, slots=True)
class Score:
    """How one valid bid came to its total: parts per million of the whole, price first, then by criterion."""

    code: str
    price_ppm: int
    criteria_ppm: tuple[int, ...]

    @property
    def total_ppm(self) -> int:
        return self.price_ppm + sum(self.criteria_ppm)


def is_valid(rules: ScoringRules, bid: Tender) -> bool:
    """Whether the price lies between floor and ceiling."""
    return rules.floor_fen <= bid.price_fen and (
        rules.ceiling_fen is None or bid.price_fen <= rules.ceiling_fen
    )


def scores(rules: ScoringRules, bids: Iterable[Tender]) -> list[Score]:
    """The score of every valid bid, in log order. OutcomeError names the mark that is missing or out of range."""
    book = in_sequence(bids)
    if len({bid.code for bid in book}) != len(book):
        raise OutcomeError(
            field="code", rule="one bidder, one bid", remedy="give each bidder's last bid alone"
        )
    for bid in book:
        _require_marks(rules, bid)
    valid = [bid for bid in book if is_valid(rules, bid)]
    prices = [bid.price_fen for bid in valid]
    found = []
    for bid in valid:
        above, below = (
            (min(prices), bid.price_fen) if rules.better == "lower" else (bid.price_fen, max(prices))
        )
        price = quotient(rules.price_weight_ppm * above, below, Rounding.HALF_UP)
        found.append(Score(bid.code, price, tuple(_points(rules, one, bid) for one in rules.criteria)))
    return found


def _points(rules: ScoringRules, criterion: Criterion, bid: Tender) -> int:
    marks = sorted(bid.marks[assessor][criterion.name] for assessor in rules.assessors)
    if rules.drop_extremes:
        marks = marks[1:-1]
    exact = Fraction(criterion.weight_ppm * sum(marks), criterion.most_points * len(marks))
    return quotient(exact.numerator, exact.denominator, Rounding.HALF_UP)


def _require_marks(rules: ScoringRules, bid: Tender) -> None:
    if set(bid.marks) != (set(rules.assessors) if rules.criteria else set(bid.marks)):
        raise OutcomeError(
            field=f"marks of {bid.code}",
            rule=f"come from each of {', '.join(rules.assessors)}, and from nobody else",
            remedy="collect the missing marks; a mark of a stranger does not count",
        )
    for assessor in rules.assessors if rules.criteria else ():
        marks = bid.marks[assessor]
        if set(marks) != {one.name for one in rules.criteria}:
            raise OutcomeError(
                field=f"marks of {bid.code} by {assessor}",
                rule=f"are for {', '.join(one.name for one in rules.criteria)}, each once",
                remedy="complete the marks",
            )
        for one in rules.criteria:
            require_whole(
                marks[one.name],
                f"marks of {bid.code} by {assessor}: {one.name}",
                most=one.most_points,
                error=OutcomeError,
            )


def award(rules: ScoringRules, bids: Iterable[Tender]) -> Outcome:
    """The outcome of a tender from its opened and marked bids, in whatever order their rows come.

    Without enough valid bidders the tender fails. OutcomeError where marks are missing or out of range.
    """
    book = in_sequence(bids)
    totals = {score.code: score.total_ppm for score in scores(rules, book)}
    ranked = sorted(
        (bid for bid in book if bid.code in totals),
        key=lambda bid: (
            -totals[bid.code],
            bid.price_fen if rules.better == "lower" else -bid.price_fen,
            bid.sequence,
        ),
    )
    enough = len(ranked) >= rules.least_bidders
    return Outcome(
        rules_version=VERSION,
        rules_digest=rules.digest,
        bids_root=bids_root(book),
        bids=len(book),
        closed_at_us=0,
        seed=None,
        allocation=(_allot(ranked[0]),) if enough else (),
        runner_up=_allot(ranked[1]) if enough and len(ranked) > 1 else None,
    )


def _allot(bid: Tender) -> Allotment:
    return Allotment(bid.code, 1, bid.price_fen, bid.bid_id, bid.sequence)


def verify(outcome: Outcome, rules: ScoringRules, bids: Iterable[Tender]) -> None:
    """Recompute the outcome; any changed rule, bid, mark or member raises OutcomeError with the member's name."""
    compare(outcome, award(rules, bids))


def explain(outcome: Outcome, rules: ScoringRules, bids: Iterable[Tender], code: str) -> Explanation:
    """Why the bidder behind `code` won or lost, in Chinese and English; OutcomeError where the outcome is another's."""
    book = in_sequence(bids)
    verify(outcome, rules, book)
    found = {score.code: score for score in scores(rules, book)}
    own = next((bid for bid in book if bid.code == code), None)
    if own is None:
        return Explanation("no_bid", f"{code} 未投标。", f"{code} did not bid.")
    if code not in found:
        return Explanation(
            "lost",
            f"{code} 的报价 {fen_in_words(own.price_fen, 'zh')} 不在最低价与最高限价之间,为无效投标。",
            f"The price of {code}, {fen_in_words(own.price_fen, 'en')}, is not between floor and ceiling: no valid bid.",
        )
    if outcome.failed:
        return Explanation(
            "lost",
            f"有效投标人 {len(found)} 名,少于 {rules.least_bidders} 名,须重新招标。",
            f"{len(found)} valid bidders are fewer than {rules.least_bidders}: the tender is held again.",
        )
    (winner,) = outcome.allocation
    zh, en = (_in_words(rules, found[code], language) for language in ("zh", "en"))
    if winner.code == code:
        return Explanation("won", f"{code} 得分最高。{zh}", f"{code} has the highest score. {en}")
    best_zh, best_en = (_in_words(rules, found[winner.code], language) for language in ("zh", "en"))
    return Explanation(
        "lost",
        f"{winner.code} 中标。{best_zh}{zh}",
        f"{winner.code} won. {best_en} {en}",
    )


def _in_words(rules: ScoringRules, score: Score, language: Language) -> str:
    names: Sequence[str] = [one.name for one in rules.criteria]
    parts = ", ".join(
        f"{name} {ppm_in_words(points)}"
        for name, points in zip(
            ("价格" if language == "zh" else "price", *names),
            (score.price_ppm, *score.criteria_ppm),
            strict=True,
        )
    )
    total = ppm_in_words(score.total_ppm)
    return (
        f"{score.code} 总分 {total}({parts})。" if language == "zh" else f"{score.code}: {total} ({parts})."
    )
