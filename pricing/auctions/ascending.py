"""The ascending auction: everyone sees the price, each bid must raise it, nobody wins by the last second.

The rule, in the order in which a bid is judged (法释〔2016〕18号; every figure is an argument):

1. The time is the log's. Before `opens_at_us` a bid is `not_open`, from the close on it is `closed`.
2. Above the ceiling nothing is admitted, whoever bids it.
3. The first bid must reach the start price, which is the reserve. Every later one must be above the standing
   price: of two equal bids the earlier in log order holds, so a tie is decided by sequence and by nothing else. But a
   priority holder takes over at the standing price from who is none, once a price.
4. A raise is at least one increment, and the price lies on the grid of increments counted from the start
   price. The ceiling is the one price that is always on the grid and always a sufficient raise, so that
   neither an increment nor an odd ceiling locks anybody out of the highest price that is allowed.
   With `draw_at_ceiling` a bid at the ceiling ends no auction: every code may join there once until the close, and
   the winner is drawn, among priority holders first, by a seed that nobody could choose (`pricing.auctions.draw`).
5. An admitted bid in the last `soft_close_window_us` moves the close to `soft_close_extension_us` after that
   bid, never nearer, as often as it happens. A rejected bid moves nothing. Every move costs a raise, or the one
   turn that a code has at the ceiling or a priority holder at a price, so the auction ends.

A code may raise its own bid: no rule forbids it, and it harms only its owner. Bids cannot be withdrawn.

The format is not truthful in the strict sense (what to bid depends on the others), but for a bidder who knows
the own value, raising until that value and no further is the best answer to whatever the others do, up to one
increment (private values, no collusion); then it is efficient up to one increment. It reveals every admitted
bid while it runs, and the winner's limit never.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from pricing.auctions.draw import draw_order
from pricing.canonical import Json, digest
from pricing.errors import AuctionError, OutcomeError
from pricing.money import MAX_AMOUNT, Language, fen_in_words, require_whole
from pricing.outcome import Allotment, Bid, Explanation, Outcome, bids_root, compare, in_sequence

VERSION = "ascending@1"
WITH_PRIORITY_OR_DRAW = "ascending@2"
"""The version of lots that know priority holders or draw at the ceiling; all others stay what they were."""


@dataclass(frozen=True, slots=True)
class Rung:
    """From the standing price `from_fen` on, a raise is at least `increment_fen`."""

    from_fen: int
    increment_fen: int


@dataclass(frozen=True, slots=True)
class AscendingRules:
    """The terms of one lot, fixed before it opens; terms that contradict one another are refused by name.

    `increment_fen` holds from the start price on, `ladder` names the larger (or smaller) increments that
    take over at higher prices. Times are microseconds since the epoch, `closes_at_us` the close as announced.
    """

    start_price_fen: int
    increment_fen: int
    opens_at_us: int
    closes_at_us: int
    soft_close_window_us: int
    soft_close_extension_us: int
    ceiling_fen: int | None = None
    ladder: tuple[Rung, ...] = ()
    priority: tuple[str, ...] = ()
    draw_at_ceiling: bool = False

    def __post_init__(self) -> None:
        require_whole(self.start_price_fen, "start_price_fen", least=1, error=AuctionError)
        require_whole(self.increment_fen, "increment_fen", least=1, error=AuctionError)
        require_whole(self.opens_at_us, "opens_at_us", error=AuctionError)
        require_whole(self.closes_at_us, "closes_at_us", error=AuctionError)
        require_whole(self.soft_close_window_us, "soft_close_window_us", error=AuctionError)
        require_whole(self.soft_close_extension_us, "soft_close_extension_us", error=AuctionError)
        if self.closes_at_us <= self.opens_at_us:
            raise AuctionError(
                field="closes_at_us",
                rule=f"must be after opens_at_us {self.opens_at_us}, not {self.closes_at_us}",
                remedy="announce a later close",
            )
        if (self.soft_close_window_us == 0) != (self.soft_close_extension_us == 0):
            raise AuctionError(
                field="soft_close_extension_us",
                rule="the soft close needs a window and an extension, or neither",
                remedy="give both, or 0 for both",
            )
        if self.ceiling_fen is not None:
            require_whole(self.ceiling_fen, "ceiling_fen", least=1, error=AuctionError)
            if self.start_price_fen > self.ceiling_fen:
                raise AuctionError(
                    field="start_price_fen",
                    rule=f"must not exceed the ceiling {self.ceiling_fen}, not {self.start_price_fen}",
                    remedy="reappraise, or start lower",
                )
        elif self.draw_at_ceiling:
            raise AuctionError(
                field="draw_at_ceiling",
                rule="draws among bids at a ceiling, and this lot has none",
                remedy="name the ceiling, or leave the draw out",
            )
        if len(set(self.priority)) != len(self.priority) or not all(self.priority):
            raise AuctionError(
                field="priority",
                rule="names codes, each once",
                remedy="name each priority holder's code on this lot once",
            )
        below = Rung(self.start_price_fen, self.increment_fen)
        for position, rung in enumerate(self.ladder):
            name = f"ladder[{position}]"
            require_whole(rung.increment_fen, f"{name}.increment_fen", least=1, error=AuctionError)
            require_whole(rung.from_fen, f"{name}.from_fen", least=1, error=AuctionError)
            if rung.from_fen <= below.from_fen:
                raise AuctionError(
                    field=f"{name}.from_fen",
                    rule=f"must be above {below.from_fen}, not {rung.from_fen}",
                    remedy="order the rungs by price, above the start price",
                )
            if (rung.from_fen - below.from_fen) % below.increment_fen:
                raise AuctionError(
                    field=f"{name}.from_fen",
                    rule=f"must lie a whole number of increments {below.increment_fen} above {below.from_fen}",
                    remedy="move the rung onto the grid of the one below",
                )
            below = rung

    def rung_at(self, price_fen: int) -> Rung:
        """The rung that holds at `price_fen`: the highest that does not lie above it."""
        for rung in reversed(self.ladder):
            if rung.from_fen <= price_fen:
                return rung
        return Rung(self.start_price_fen, self.increment_fen)

    @property
    def version(self) -> str:
        """The algorithm that these terms ask for."""
        return WITH_PRIORITY_OR_DRAW if self.priority or self.draw_at_ceiling else VERSION

    def to_json(self) -> dict[str, Json]:
        terms: dict[str, Json] = {
            "ceiling_fen": self.ceiling_fen,
            "closes_at_us": self.closes_at_us,
            "increment_fen": self.increment_fen,
            "ladder": [[rung.from_fen, rung.increment_fen] for rung in self.ladder],
            "opens_at_us": self.opens_at_us,
            "soft_close_extension_us": self.soft_close_extension_us,
            "soft_close_window_us": self.soft_close_window_us,
            "start_price_fen": self.start_price_fen,
        }
        if self.version == WITH_PRIORITY_OR_DRAW:
            terms |= {"draw_at_ceiling": self.draw_at_ceiling, "priority": sorted(self.priority)}
        return terms

    @property
    def digest(self) -> str:
        return digest({"rules": self.to_json(), "version": self.version})


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a lot stands after its admitted bids; `closes_at_us` is the close as it is now."""

    price_fen: int | None
    code: str | None
    sequence: int | None
    bids: int
    closes_at_us: int
    at_ceiling: tuple[str, ...] = ()
    """Who has bid the ceiling, in log order, where the winner is drawn among them."""


class Reason(StrEnum):
    """Why a bid was not admitted; closed, in the order in which they are judged."""

    CLOSED = "closed"
    NOT_OPEN = "not_open"
    ABOVE_CEILING = "above_ceiling"
    BELOW_START = "below_start"
    NOT_HIGHER = "not_higher"
    BELOW_INCREMENT = "below_increment"
    OFF_INCREMENT = "off_increment"
    AT_CEILING_ALREADY = "at_ceiling_already"


@dataclass(frozen=True, slots=True)
class Admitted:
    standing: Standing


@dataclass(frozen=True, slots=True)
class Rejected:
    """A refusal that the market records; `least_fen` is the lowest price that was admissible, if any was."""

    reason: Reason
    least_fen: int | None

    @property
    def detail(self) -> str:
        return self.words("en")

    def words(self, language: Language) -> str:
        """The refusal for its bidder, with what would have been admitted."""
        zh, en = _refusal(self.reason)
        if self.least_fen is None:
            return zh if language == "zh" else en
        least = fen_in_words(self.least_fen, language)
        return f"{zh};当前最低可报 {least}" if language == "zh" else f"{en}; bid at least {least}"


def _refusal(reason: Reason) -> tuple[str, str]:
    match reason:
        case Reason.CLOSED:
            return "竞价已截止", "the lot is closed"
        case Reason.NOT_OPEN:
            return "竞价尚未开始", "the lot is not open yet"
        case Reason.ABOVE_CEILING:
            return "报价高于最高限价", "the price is above the ceiling"
        case Reason.BELOW_START:
            return "报价低于起拍价", "the price is below the start price"
        case Reason.NOT_HIGHER:
            return (
                "报价未高于当前最高价,同价以先报者为准",
                "the price is not above the standing bid; at equal price the earlier holds",
            )
        case Reason.BELOW_INCREMENT:
            return "加价不足一个加价幅度", "the raise is less than one increment"
        case Reason.AT_CEILING_ALREADY:
            return "已按最高限价报价,等待抽签", "this code has bid the ceiling, and is in the draw"
        case Reason.OFF_INCREMENT:
            return (
                "报价不在以起拍价为起点的加价阶梯上",
                "the price is not a whole number of increments above the start price",
            )
        case _:  # pragma: no cover
            assert_never(reason)


def open_standing(rules: AscendingRules) -> Standing:
    """The lot before its first bid."""
    return Standing(None, None, None, 0, rules.closes_at_us)


def least_admissible_fen(rules: AscendingRules, standing: Standing) -> int | None:
    """The lowest price that the next bid of another code may name; None once the standing bid cannot be raised.

    A priority holder may name the standing price itself, where its holder is none.
    """
    price_fen = standing.price_fen
    if price_fen is None:
        return rules.start_price_fen
    if price_fen == rules.ceiling_fen and rules.draw_at_ceiling:
        return price_fen
    highest = MAX_AMOUNT if rules.ceiling_fen is None else rules.ceiling_fen
    raised = price_fen + rules.rung_at(price_fen).increment_fen
    if raised <= highest:
        return raised
    return rules.ceiling_fen if price_fen < highest else None


def admit(rules: AscendingRules, standing: Standing, bid: Bid) -> Admitted | Rejected:
    """Judge one bid against the standing of its lot. Pure: the order of calls is the order of the log.

    A bid whose sequence does not follow the standing one is a fault of the caller, not of the bidder, and
    raises AuctionError.
    """
    at_us = bid.at_us
    price_fen = bid.price_fen
    closes_at_us = standing.closes_at_us
    standing_fen = standing.price_fen
    ceiling_fen = rules.ceiling_fen
    if standing.sequence is not None and bid.sequence <= standing.sequence:
        raise AuctionError(
            field="sequence",
            rule=f"must follow the standing bid's {standing.sequence}, not {bid.sequence}",
            remedy="judge bids in log order",
        )
    if at_us >= closes_at_us:
        return Rejected(Reason.CLOSED, None)
    if at_us < rules.opens_at_us:
        return Rejected(Reason.NOT_OPEN, None)
    if ceiling_fen is not None and price_fen > ceiling_fen:
        return Rejected(Reason.ABOVE_CEILING, least_admissible_fen(rules, standing))
    if standing_fen is None:
        if price_fen < rules.start_price_fen:
            return Rejected(Reason.BELOW_START, rules.start_price_fen)
    elif price_fen <= standing_fen:
        if price_fen == ceiling_fen and rules.draw_at_ceiling:
            if bid.code in standing.at_ceiling:
                return Rejected(Reason.AT_CEILING_ALREADY, None)
        elif price_fen < standing_fen or not _takes_over(rules, standing, bid.code):
            return Rejected(Reason.NOT_HIGHER, least_admissible_fen(rules, standing))
    if price_fen not in (ceiling_fen, standing_fen):
        if rules.ladder:
            reason = _off_ladder(rules, standing_fen, price_fen)
        elif standing_fen is not None and price_fen - standing_fen < rules.increment_fen:
            reason = Reason.BELOW_INCREMENT
        elif (price_fen - rules.start_price_fen) % rules.increment_fen:
            reason = Reason.OFF_INCREMENT
        else:
            reason = None
        if reason is not None:
            return Rejected(reason, least_admissible_fen(rules, standing))
    if closes_at_us - at_us <= rules.soft_close_window_us:
        closes_at_us = max(closes_at_us, at_us + rules.soft_close_extension_us)
    at_ceiling = standing.at_ceiling
    if price_fen == ceiling_fen and rules.draw_at_ceiling:
        at_ceiling += (bid.code,)
    return Admitted(Standing(price_fen, bid.code, bid.sequence, standing.bids + 1, closes_at_us, at_ceiling))


def _takes_over(rules: AscendingRules, standing: Standing, code: str) -> bool:
    return code in rules.priority and standing.code not in rules.priority


def _off_ladder(rules: AscendingRules, standing_fen: int | None, price_fen: int) -> Reason | None:
    """The rule of the increments where they change with the price."""
    if standing_fen is not None and price_fen - standing_fen < rules.rung_at(standing_fen).increment_fen:
        return Reason.BELOW_INCREMENT
    rung = rules.rung_at(price_fen)
    return Reason.OFF_INCREMENT if (price_fen - rung.from_fen) % rung.increment_fen else None


def award(rules: AscendingRules, bids: Iterable[Bid], *, seed: bytes | None = None) -> Outcome:
    """The outcome of a lot from its admitted bids, in whatever order their rows come.

    `seed` is the drawn randomness of a lot that ended at a ceiling where the winner is drawn, and of no other.

    Admission is recomputed bid by bid: a book that holds a bid which the rules reject, or whose times run
    backwards, raises OutcomeError. Without bids the lot fails. The caller sees to it that the close is past
    and that the book is the whole one; `Outcome.bids_root` is what it can be held to.
    """
    book = in_sequence(bids)
    standing = open_standing(rules)
    at_us = 0
    for bid in book:
        if bid.at_us < at_us:
            raise OutcomeError(
                field="at_us",
                rule=f"runs backwards at sequence {bid.sequence}: {bid.at_us} after {at_us}",
                remedy="give the book as the log holds it",
            )
        at_us = bid.at_us
        decision = admit(rules, standing, bid)
        if isinstance(decision, Rejected):
            raise OutcomeError(
                field="bids",
                rule=f"the rules reject the bid at sequence {bid.sequence}: {decision.reason.value}",
                remedy="give the admitted bids of this lot, all and no others",
            )
        standing = decision.standing
    winner = _winner(rules, standing, book, seed)
    runner_up = next((bid for bid in reversed(book) if winner and bid.code != winner.code), None)
    return Outcome(
        rules_version=rules.version,
        rules_digest=rules.digest,
        bids_root=bids_root(book),
        bids=len(book),
        closed_at_us=standing.closes_at_us,
        seed=None if seed is None else seed.hex(),
        allocation=() if winner is None else (_allot(winner),),
        runner_up=None if runner_up is None else _allot(runner_up),
    )


def _winner(rules: AscendingRules, standing: Standing, book: list[Bid], seed: bytes | None) -> Bid | None:
    if (seed is not None) != bool(standing.at_ceiling):
        raise OutcomeError(
            field="seed",
            rule="is given where bids stand at a ceiling with a draw, and nowhere else",
            remedy="give the seed of the lot's draw, or none",
        )
    if seed is None:
        return book[-1] if book else None
    drawn = [standing.at_ceiling[n] for n in draw_order(seed, standing.at_ceiling)]
    code = next((one for one in drawn if one in rules.priority), drawn[0])
    return next(bid for bid in reversed(book) if bid.code == code)


def _allot(bid: Bid) -> Allotment:
    return Allotment(bid.code, 1, bid.price_fen, bid.bid_id, bid.sequence)


def verify(outcome: Outcome, rules: AscendingRules, bids: Iterable[Bid]) -> None:
    """Recompute the outcome; any changed rule, bid or member raises OutcomeError with the member's name."""
    compare(outcome, award(rules, bids, seed=outcome.seed_bytes))


def explain(outcome: Outcome, bids: Iterable[Bid], code: str) -> Explanation:
    """Why the bidder behind `code` won or lost, from the public book alone, in Chinese and English.

    A book that is not the one of the outcome, or does not bear its award out, raises OutcomeError.
    """
    book = in_sequence(bids)
    if (root := bids_root(book)) != outcome.bids_root:
        raise OutcomeError(
            field="bids_root",
            rule=f"the book has root {root}, the outcome {outcome.bids_root}",
            remedy="give the book of this lot",
        )
    drawn = [bid for bid in book if bid.price_fen == book[-1].price_fen] if outcome.seed else book[-1:]
    if outcome.allocation not in [(_allot(bid),) for bid in drawn] and (book or outcome.allocation):
        raise OutcomeError(
            field="allocation",
            rule="the last admitted bid wins, or one that the seed drew; the outcome says otherwise",
            remedy="verify the outcome before asking for its reasons",
        )
    own = [bid for bid in book if bid.code == code]
    if not own:
        return Explanation(
            "no_bid",
            f"{code} 在本标的没有有效报价;未被接受的报价均已在报价当时逐笔说明理由。",
            f"{code} has no admitted bid on this lot; each refused bid was answered with its own reason.",
        )
    best = own[-1]
    (winner,) = outcome.allocation
    best_zh, best_en = fen_in_words(best.price_fen, "zh"), fen_in_words(best.price_fen, "en")
    if outcome.seed is not None and best.price_fen == winner.price_fen:
        among = f"{len(drawn)}"
        won = winner.code == code
        return Explanation(
            "won" if won else "lost",
            f"{among} 个代码报到最高限价 {best_zh},由公布的种子抽签;{winner.code} 抽中。",
            f"{among} codes bid the ceiling, {best_en}, and the published seed drew {winner.code}.",
        )
    if winner.code == code:
        if outcome.runner_up is None:
            zh, en = "没有其他竞买人出价", "nobody else bid"
        else:
            second = outcome.runner_up
            zh = f"其他竞买人的最高报价为 {second.code} 的 {fen_in_words(second.price_fen, 'zh')}"
            en = f"the best other bid was {fen_in_words(second.price_fen, 'en')} by {second.code}"
        return Explanation(
            "won",
            f"{code} 以 {best_zh} 竞得(第 {best.sequence} 号报价):截止前无人加价;{zh}。",
            f"{code} won at {best_en} (bid {best.sequence}): nobody raised it before the close; {en}.",
        )
    over = next(bid for bid in book if bid.sequence > best.sequence)
    final_zh, final_en = fen_in_words(winner.price_fen, "zh"), fen_in_words(winner.price_fen, "en")
    return Explanation(
        "lost",
        f"{code} 的最高报价为 {best_zh}(第 {best.sequence} 号);其后 {over.code} 于第 {over.sequence} 号"
        f"报价 {fen_in_words(over.price_fen, 'zh')},{code} 至截止未再加价。"
        f"{winner.code} 以 {final_zh} 竞得(第 {winner.sequence} 号)。",
        f"The best bid of {code} was {best_en} (bid {best.sequence}); {over.code} then bid "
        f"{fen_in_words(over.price_fen, 'en')} (bid {over.sequence}), and {code} did not raise it before the "
        f"close. {winner.code} won at {final_en} (bid {winner.sequence}).",
    )


def proxy_bid(rules: AscendingRules, standing: Standing, my_code: str, maximum_fen: int) -> int | None:
    """What a bidder's own agent bids now: the least admissible price up to the secret maximum, else None.

    None when `my_code` holds the standing bid, when the next price is above the maximum, and when the price
    cannot be raised. The maximum stays with the bidder: only the bid leaves.
    """
    require_whole(maximum_fen, "maximum_fen", least=1, error=AuctionError)
    if standing.code == my_code or my_code in standing.at_ceiling:
        return None
    if _takes_over(rules, standing, my_code) and standing.price_fen is not None:
        return standing.price_fen if standing.price_fen <= maximum_fen else None
    least = least_admissible_fen(rules, standing)
    return least if least is not None and least <= maximum_fen else None
