"""Sealed bids for one unit or many: everyone writes once, the highest prices win, the rule says what they pay.

The rule (every figure is an argument):

1. A bid below the reserve, or above the ceiling, does not take part: the door refuses it by name.
2. The supply goes to the highest prices. At the price where it runs out (the margin) `ties` decides: `sequence`
   lets priority holders first, then the earlier bid, and splits the last one; `pro_rata` gives every bid at the
   margin the same share, rounded up to the next 1/100 % (31 CFR 356.20(a)(2)), the earlier bid first until the
   supply is gone; `draw` orders them by a seed that nobody could choose (see `pricing.auctions.draw`).
3. `payment` says what a unit costs:

   pay_bid   the own price: for one unit the sealed first-price auction, for many the discriminatory one.
             Not truthful: a bid that is its value gains nothing. Efficient only among equals.
   uniform   one price for all, the highest that won nothing in full (the first rejected), never below the reserve.
             Truthful for who wants one unit; who wants more can gain by asking for less (demand reduction).
   vickrey   what the others lost by it: the highest prices that the own units displaced. For one unit the sealed
             second-price auction. Truthful and efficient for values that fall from unit to unit, without collusion.

No payment passes the ceiling, as no bid does. Until the opening nobody learns anything; after it every bid is public.

Few bids and a million go through one door. The clearing is columnar and selects instead of sorting, and is tested
equal to `naive`, which sorts. Ties never fall to a hash or a clock, so rows in any order give the same outcome.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from pricing.auctions.draw import draw_order
from pricing.canonical import Json, digest
from pricing.errors import AuctionError, OutcomeError
from pricing.money import MAX_AMOUNT, Language, fen_in_words, require_whole
from pricing.outcome import Allotment, Explanation, Outcome, bids_root, compare, in_sequence

VERSION: Final = "sealed@1"

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Column: TypeAlias = "npt.NDArray[np.int64]"

_BLOCK: Final = 65_536
_SAMPLE: Final = 16_384
_ROOM: Final = 320  # places of the sample on each side of the margin
_SHARE_STEP: Final = 10_000  # of a whole, in hundredths of a percent


class Payment(StrEnum):
    """What a winner pays for a unit."""

    PAY_BID = "pay_bid"
    UNIFORM = "uniform"
    VICKREY = "vickrey"

    @property
    def truthful(self) -> bool:
        """Whether bidding the own value is best whatever others do, for who wants one unit."""
        return self is not Payment.PAY_BID

    def words(self, language: Language) -> str:
        zh, en = {
            Payment.PAY_BID: ("按各自报价付款", "each pays the own price"),
            Payment.UNIFORM: ("统一按首个落选价付款", "all pay the first rejected price"),
            Payment.VICKREY: ("按被挤出的最高报价付款", "each pays the highest prices that it displaced"),
        }[self]
        return zh if language == "zh" else en


class Ties(StrEnum):
    """Who comes first at the price where the supply runs out."""

    SEQUENCE = "sequence"
    PRO_RATA = "pro_rata"
    DRAW = "draw"


@dataclass(frozen=True, slots=True)
class SealedRules:
    """The terms of one lot, fixed before the first bid; terms that contradict one another are refused by name.

    `priority` are codes that come first at equal price (where `ties` is `sequence`).
    """

    supply: int
    payment: Payment
    reserve_fen: int = 1
    ceiling_fen: int | None = None
    ties: Ties = Ties.SEQUENCE
    priority: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_whole(self.supply, "supply", least=1, error=AuctionError)
        require_whole(self.reserve_fen, "reserve_fen", least=1, error=AuctionError)
        if self.ceiling_fen is not None:
            require_whole(self.ceiling_fen, "ceiling_fen", least=1, error=AuctionError)
            if self.reserve_fen > self.ceiling_fen:
                raise AuctionError(
                    field="reserve_fen",
                    rule=f"must not exceed the ceiling {self.ceiling_fen}, not {self.reserve_fen}",
                    remedy="reappraise, or lower the reserve",
                )
        if self.priority and self.ties is not Ties.SEQUENCE:
            raise AuctionError(
                field="priority",
                rule="priority decides ties by sequence; a draw or a share knows none",
                remedy="leave priority out, or decide ties by sequence",
            )
        if len(set(self.priority)) != len(self.priority) or not all(self.priority):
            raise AuctionError(
                field="priority",
                rule="names codes, each once",
                remedy="name each priority holder's code on this lot once",
            )

    def to_json(self) -> dict[str, Json]:
        return {
            "ceiling_fen": self.ceiling_fen,
            "payment": self.payment.value,
            "priority": sorted(self.priority),
            "reserve_fen": self.reserve_fen,
            "supply": self.supply,
            "ties": self.ties.value,
        }

    @property
    def digest(self) -> str:
        return digest({"rules": self.to_json(), "version": VERSION})


@dataclass(frozen=True, slots=True)
class UnitBid:
    """One opened bid: up to `quantity` units, each for at most `price_fen`. `sequence` is its place in the log."""

    code: str
    bid_id: str
    price_fen: int
    quantity: int
    sequence: int

    def __post_init__(self) -> None:
        require_whole(self.price_fen, "price_fen", least=1, error=AuctionError)
        require_whole(self.quantity, "quantity", least=1, error=AuctionError)
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
        """The bid's canonical bytes, a leaf of the book's tree."""
        return _row_text(
            {
                "bid_id": self.bid_id,
                "code": self.code,
                "price_fen": str(self.price_fen),
                "quantity": str(self.quantity),
                "sequence": str(self.sequence),
            }
        ).encode()


_row_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


class Refusal(StrEnum):
    """Why an opened bid does not take part; closed, in the order in which they are judged."""

    ABOVE_CEILING = "above_ceiling"
    BELOW_RESERVE = "below_reserve"

    def words(self, language: Language) -> str:
        zh, en = {
            Refusal.ABOVE_CEILING: ("报价高于最高限价", "the price is above the ceiling"),
            Refusal.BELOW_RESERVE: ("报价低于保留价", "the price is below the reserve"),
        }[self]
        return zh if language == "zh" else en


def judge(rules: SealedRules, bid: UnitBid) -> Refusal | None:
    """Judge one opened bid alone. Looks at no other bid."""
    if rules.ceiling_fen is not None and bid.price_fen > rules.ceiling_fen:
        return Refusal.ABOVE_CEILING
    return Refusal.BELOW_RESERVE if bid.price_fen < rules.reserve_fen else None


@dataclass(frozen=True, slots=True)
class Clearing:
    """Units per bid, in the order of the columns, and the two prices around the margin.

    `last_accepted_fen` is the lowest price that won a unit, None where nothing sold; `first_rejected_fen` the
    highest price of a bid that did not get all it asked for, or the reserve where every bid did.
    """

    units: Column
    last_accepted_fen: int | None
    first_rejected_fen: int


def clear(
    rules: SealedRules,
    price_fen: Column,
    quantity: Column,
    sequence: Column,
    *,
    first: Sequence[int] = (),
) -> Clearing:
    """Allot the supply to columns of admitted bids; nothing is sorted but the margin.

    `first` are positions of priority holders, or, where ties are drawn, all positions in the order drawn (the caller
    draws: a draw needs codes). Prices, quantities and sequences are what `UnitBid` lets through, sums below 2**63.
    """
    import numpy as np

    bottom, top = _bracket(price_fen, quantity, rules.supply)
    units, band, prices, asked, above = _between(price_fen, quantity, bottom, top)
    if not above < rules.supply <= above + int(asked.sum()):
        # The sample misled, or the supply covers everything.
        if int(quantity.sum()) <= rules.supply:
            last = int(price_fen.min()) if len(price_fen) else None
            return Clearing(quantity.copy(), last, rules.reserve_fen)
        units, band, above = np.zeros_like(quantity), np.arange(len(quantity)), 0
        prices, asked = price_fen, quantity
    while len(band) > 4 * _SAMPLE:  # the same again, among the few
        bottom, top = _bracket(prices, asked, rules.supply - above)
        over = prices > top
        inside = (prices >= bottom) & ~over
        higher_units = above + int(asked[over].sum())
        if inside.all() or not higher_units < rules.supply <= higher_units + int(asked[inside].sum()):
            break
        units[band[over]] = asked[over]
        above = higher_units
        band, prices, asked = band[inside], prices[inside], asked[inside]
    order = np.argsort(prices)[::-1]
    reached = above + np.cumsum(asked[order])
    margin = int(prices[order[int(np.searchsorted(reached, rules.supply))]])
    higher = prices > margin
    units[band[higher]] = asked[higher]
    left = rules.supply - above - int(asked[higher].sum())
    at_margin = band[prices == margin]
    sold_out = left == _share_out(rules, quantity, sequence, at_margin, left, first, units)
    if not sold_out:
        return Clearing(units, margin, margin)
    below = prices[prices < margin]
    if not len(below):
        below = price_fen[price_fen < margin]
    return Clearing(units, margin, int(below.max()) if len(below) else rules.reserve_fen)


def _bracket(price_fen: Column, quantity: Column, supply: int) -> tuple[int, int]:
    """Two prices between which a sample puts the margin, with room on both sides; all prices of a small book."""
    import numpy as np

    if len(price_fen) <= 4 * _SAMPLE:
        return 0, MAX_AMOUNT
    step = len(price_fen) // _SAMPLE
    sampled = price_fen[::step]
    order = np.argsort(sampled)[::-1]
    asked = np.cumsum(quantity[::step][order], dtype=np.float64)
    place = int(np.searchsorted(asked, supply / step))
    top = int(sampled[order[place - _ROOM]]) if place > _ROOM else MAX_AMOUNT
    bottom = int(sampled[order[place + _ROOM]]) if place + _ROOM < len(order) else 0
    return bottom, top


def _between(
    price_fen: Column, quantity: Column, bottom: int, top: int
) -> tuple[Column, npt.NDArray[np.intp], Column, Column, int]:
    """In one pass: the units of bids above `top`, all they ask for; positions, prices and quantities of those from
    `bottom` to `top`; and the sum of the units.

    In blocks that stay in the processor's cache: the columns travel from memory once.
    """
    import numpy as np

    units = np.empty_like(quantity)
    inside: list[tuple[npt.NDArray[np.intp], Column, Column]] = []
    above = 0
    for start in range(0, max(len(price_fen), 1), _BLOCK):
        part = slice(start, start + _BLOCK)
        prices, asked = price_fen[part], quantity[part]
        over = prices > top
        np.multiply(asked, over.view(np.int8), out=units[part])
        above += int(units[part].sum())
        near = np.flatnonzero((prices >= bottom) != over)  # what is over is not below
        inside.append((near + start, prices[near], asked[near]))
    band, prices, asked = (np.concatenate(columns) for columns in zip(*inside, strict=True))
    return units, band, prices, asked, above


def _share_out(
    rules: SealedRules,
    quantity: Column,
    sequence: Column,
    at_margin: npt.NDArray[np.intp],
    left: int,
    first: Sequence[int],
    units: Column,
) -> int:
    """Give what is left to the bids at the margin, by the rule for ties; returns what they asked for."""
    asked = quantity[at_margin]
    everything = int(asked.sum())
    shares = (
        _pro_rata(left, everything, asked) if rules.ties is Ties.PRO_RATA and left < everything else asked
    )
    ranks = {position: rank for rank, position in enumerate(first)}
    none = len(ranks)
    for n in sorted(
        range(len(at_margin)), key=lambda n: (ranks.get(int(at_margin[n]), none), int(sequence[at_margin[n]]))
    ):
        units[at_margin[n]] = given = min(int(shares[n]), left)
        left -= given
    return everything


def _pro_rata(left: int, asked: int, each: Column) -> Column:
    """31 CFR 356.20(a)(2): the share is rounded up to the next 1/100 %, and so is each bid's part."""
    import numpy as np

    share = -(-left * _SHARE_STEP // asked)
    return np.array([-(-int(one) * share // _SHARE_STEP) for one in each], dtype=np.int64)


def award(rules: SealedRules, bids: Iterable[UnitBid], *, seed: bytes | None = None) -> Outcome:
    """The outcome of a lot from its opened bids that `judge` lets through, in whatever order their rows come.

    `seed` is the drawn randomness, for ties that are drawn and for nothing else. OutcomeError where a bid does not
    belong into the book. Of several bids of one code each counts on its own, as one more step of its demand.
    """
    import numpy as np

    book = in_sequence(bids)
    for bid in book:
        if (refusal := judge(rules, bid)) is not None:
            raise OutcomeError(
                field="bids",
                rule=f"the rules reject the bid at sequence {bid.sequence}: {refusal.value}",
                remedy="give the admitted bids of this lot, all and no others",
            )
    if (seed is None) is (rules.ties is Ties.DRAW):
        raise OutcomeError(
            field="seed",
            rule="is given where ties are drawn, and nowhere else",
            remedy="give the seed of the lot's draw, or none",
        )
    if sum(bid.quantity for bid in book) > MAX_AMOUNT:
        raise OutcomeError(
            field="quantity",
            rule=f"the bids of a lot ask for at most {MAX_AMOUNT} units together",
            remedy="cap what one bid may ask for",
        )
    clearing = clear(
        rules,
        np.array([bid.price_fen for bid in book], dtype=np.int64),
        np.array([bid.quantity for bid in book], dtype=np.int64),
        np.array([bid.sequence for bid in book], dtype=np.int64),
        first=_first(rules, book, seed),
    )
    units = [int(one) for one in clearing.units]
    pays = _payments(rules, book, units, clearing.first_rejected_fen)
    allocation = tuple(
        Allotment(bid.code, got, paid, bid.bid_id, bid.sequence)
        for bid, got, paid in zip(book, units, pays, strict=True)
        if got
    )
    short = [(bid, bid.quantity - got) for bid, got in zip(book, units, strict=True) if got < bid.quantity]
    best = max(short, key=lambda pair: (pair[0].price_fen, -pair[0].sequence), default=None)
    return Outcome(
        rules_version=VERSION,
        rules_digest=rules.digest,
        bids_root=bids_root(book),
        bids=len(book),
        closed_at_us=0,
        seed=None if seed is None else seed.hex(),
        allocation=allocation,
        runner_up=None
        if best is None
        else Allotment(best[0].code, best[1], best[0].price_fen, best[0].bid_id, best[0].sequence),
    )


def _first(rules: SealedRules, book: Sequence[UnitBid], seed: bytes | None) -> Sequence[int]:
    match rules.ties:
        case Ties.SEQUENCE:
            return [n for n, bid in enumerate(book) if bid.code in rules.priority]
        case Ties.PRO_RATA:
            return ()
        case Ties.DRAW:
            assert seed is not None
            return draw_order(seed, [f"{bid.code}\n{bid.bid_id}" for bid in book])
        case _:  # pragma: no cover
            assert_never(rules.ties)


def _payments(
    rules: SealedRules, book: Sequence[UnitBid], units: Sequence[int], first_rejected_fen: int
) -> list[int]:
    """What each bid pays for all its units."""
    match rules.payment:
        case Payment.PAY_BID:
            pays = [bid.price_fen * got for bid, got in zip(book, units, strict=True)]
        case Payment.UNIFORM:
            pays = [first_rejected_fen * got for got in units]
        case Payment.VICKREY:
            pays = _displaced(rules, book, units)
        case _:  # pragma: no cover
            assert_never(rules.payment)
    for paid in pays:
        require_whole(paid, "payment", error=OutcomeError)
    return pays


def _displaced(rules: SealedRules, book: Sequence[UnitBid], units: Sequence[int]) -> list[int]:
    """For each winner the highest prices that its units displaced, of other codes; the reserve where none did."""
    rest = sorted(
        (
            (bid.price_fen, bid.quantity - got, bid.code)
            for bid, got in zip(book, units, strict=True)
            if got < bid.quantity
        ),
        key=lambda one: -one[0],
    )
    unsold = rules.supply - sum(units)
    won: dict[str, int] = {}
    for bid, got in zip(book, units, strict=True):
        won[bid.code] = won.get(bid.code, 0) + got
    owed: dict[str, int] = {}
    for code, count in won.items():
        # Without this code its units and the unsold ones would go to the others; what nobody asks for earns nothing,
        # but the seller keeps a unit rather than sell it below the reserve.
        left, total = count, 0
        for price, quantity, other in rest if not unsold else ():
            if other != code and left:
                taken = min(quantity, left)
                total += taken * price
                left -= taken
        owed[code] = total + left * rules.reserve_fen
    pays = [0] * len(book)
    for code, total in owed.items():
        mine = [n for n, bid in enumerate(book) if bid.code == code and units[n]]
        # A code's units cost what they cost together; its bids share that by units, the earlier ones the odd fen.
        for n in mine:
            share = total * units[n] // won[code]
            pays[n] = share
        odd = total - sum(pays[n] for n in mine)
        for n in mine[:odd]:
            pays[n] += 1
    return pays


def verify(outcome: Outcome, rules: SealedRules, bids: Iterable[UnitBid]) -> None:
    """Recompute the outcome; any changed rule, bid or member raises OutcomeError with the member's name."""
    compare(outcome, award(rules, bids, seed=outcome.seed_bytes))


def explain(outcome: Outcome, bids: Iterable[UnitBid], code: str) -> Explanation:
    """Why the bidder behind `code` won or lost, from the public book alone, in Chinese and English.

    A book that is not the one of the outcome raises OutcomeError.
    """
    book = in_sequence(bids)
    if (root := bids_root(book)) != outcome.bids_root:
        raise OutcomeError(
            field="bids_root",
            rule=f"the book has root {root}, the outcome {outcome.bids_root}",
            remedy="give the book of this lot",
        )
    own = [bid for bid in book if bid.code == code]
    if not own:
        return Explanation(
            "no_bid",
            f"{code} 在本标的没有有效报价;未被接受的报价均已逐笔说明理由。",
            f"{code} has no admitted bid on this lot; each refused bid was answered with its own reason.",
        )
    got = {one.bid_id: one for one in outcome.allocation if one.code == code}
    units = sum(one.quantity for one in got.values())
    paid = sum(one.price_fen for one in got.values())
    asked = sum(bid.quantity for bid in own)
    lowest = min((_price_of(book, one) for one in outcome.allocation), default=0)
    best = max(bid.price_fen for bid in own)
    if units:
        zh = f"{code} 申购 {asked} 份,竞得 {units} 份,共付 {fen_in_words(paid, 'zh')};最低中标报价为 {fen_in_words(lowest, 'zh')}。"
        en = (
            f"{code} asked for {asked} and won {units} for {fen_in_words(paid, 'en')} in all; the lowest price "
            f"that won was {fen_in_words(lowest, 'en')}."
        )
        return Explanation("won", zh, en)
    tie = best == lowest
    return Explanation(
        "lost",
        f"{code} 的最高报价为 {fen_in_words(best, 'zh')},最低中标报价为 {fen_in_words(lowest, 'zh')}"
        + (";同价者中按规则排在其后,份额已尽。" if tie else "。"),
        f"The best bid of {code} was {fen_in_words(best, 'en')}; the lowest price that won was "
        f"{fen_in_words(lowest, 'en')}"
        + ("; among equals the rule put it behind, and the supply was gone." if tie else "."),
    )


def _price_of(book: Sequence[UnitBid], one: Allotment) -> int:
    return next(bid.price_fen for bid in book if bid.sequence == one.sequence)


# --- many lots at once ---


def clear_lots(
    lot: Column, price_fen: Column, sequence: Column, lots: int, reserve_fen: Column
) -> tuple[Column, Column]:
    """Second price for many lots of one unit in one pass: the winner's position for each lot, and its price.

    Columns are of all bids on all lots, `lot` from 0 to `lots` - 1, prices at least the reserve of their lot. A lot
    nobody bid on has position -1 and price 0. Of equal prices the earlier sequence wins, and then pays that price.
    """
    import numpy as np

    require_whole(lots, "lots", least=1, error=AuctionError)
    if not len(lot) == len(price_fen) == len(sequence) or len(reserve_fen) != lots:
        raise AuctionError(
            field="price_fen",
            rule="columns of bids are equally long, and each lot has a reserve",
            remedy="give lot, price and sequence of each bid, and the reserve of each lot",
        )
    winner, price = np.full(lots, -1, dtype=np.int64), np.zeros(lots, dtype=np.int64)
    if not len(lot):
        return winner, price
    if int(lot.min()) < 0 or int(lot.max()) >= lots:
        raise AuctionError(
            field="lot", rule=f"a lot's number is 0 to {lots - 1}", remedy="number the lots from 0"
        )
    lowest = int(price_fen.min())
    bits = (int(price_fen.max()) - lowest).bit_length()
    if bits + lots.bit_length() > 63:
        # Prices too far apart for one key: their ranks tell them apart as well.
        values, ranks = np.unique(price_fen, return_inverse=True)
        bits = len(values).bit_length()
    else:
        values, ranks = None, price_fen - lowest
    keys = (lot << bits) | ranks
    ordered = np.sort(keys)
    last = np.searchsorted(ordered, (np.arange(lots, dtype=np.int64) + 1) << bits) - 1
    mask = (1 << bits) - 1
    has_bid = (last >= 0) & (ordered[last] >> bits == np.arange(lots))
    top = ordered[last]
    second_at = np.maximum(last - 1, 0)
    has_second = has_bid & (last >= 1) & (ordered[second_at] >> bits == np.arange(lots))
    second = ordered[second_at] & mask
    paid = values[second] if values is not None else second + lowest
    price[has_bid] = reserve_fen[has_bid]
    price[has_second] = np.maximum(paid, reserve_fen)[has_second]
    best = np.flatnonzero(keys == top[lot])
    # Written from the latest to the earliest, so that the earliest of equals stays.
    best = best[np.argsort(sequence[best])[::-1]]
    winner[lot[best]] = best
    return winner, price
