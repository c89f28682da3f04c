"""Formats side by side on the same bidders: what the seller earns, who gets the units, what bidders keep.

For an administrator who chooses a format before a lot is listed. Values come from a file of past bids, or are drawn
under a seed. In truthful formats bidders bid their values. Where the own bid is paid they shade it, here as theory has
it for risk-neutral bidders who want one unit and know the distribution of values and the number of bidders
(Krishna, Auction Theory, prop. 2.2 and 2.4; for K units the K-th highest of the others):

    b(v) = v - ∫ G(x) dx / G(v) from the reserve to v,    G(x) the chance that fewer than K others have more than x

Real bidders err, collude and want several units; the figures compare, they promise nothing. Revenue equivalence is a
check on them: with equal bidders and no ceiling all formats earn the same on average.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import comb
from statistics import NormalDist
from typing import Final, Literal
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from pricing.auctions.sealed import Payment, SealedRules, UnitBid, award, judge
from pricing.errors import AuctionError
from pricing.money import Language, fen_in_words, parse_fen, require_whole

Distribution = Literal["uniform", "lognormal"]
Format = Literal["first_price", "second_price", "discriminatory", "uniform_price", "vickrey"]

LOTS_LIMIT: Final = 10_000
BIDDERS_LIMIT: Final = 1_000

_PAYMENTS: Final[dict[Format, Payment]] = {
    "first_price": Payment.PAY_BID,
    "second_price": Payment.VICKREY,
    "discriminatory": Payment.PAY_BID,
    "uniform_price": Payment.UNIFORM,
    "vickrey": Payment.VICKREY,
}
_NAMES: Final[dict[Format, tuple[str, str]]] = {
    "first_price": ("密封第一价格", "sealed first price"),
    "second_price": ("密封第二价格", "sealed second price"),
    "discriminatory": ("多份按报价付款", "pay as bid"),
    "uniform_price": ("多份统一价格", "uniform price"),
    "vickrey": ("多份 Vickrey", "Vickrey"),
}


def format_name(name: Format, language: Language) -> str:
    """The format in the reader's language."""
    return _NAMES[name][language == "en"]


def formats_for(supply: int) -> tuple[Format, ...]:
    """The formats that can sell so many units."""
    return ("first_price", "second_price") if supply == 1 else ("discriminatory", "uniform_price", "vickrey")


@dataclass(frozen=True, slots=True)
class Line:
    """One format's averages over all lots; money in fen a lot, rounded down, parts in millionths."""

    name: Format
    revenue_fen: int
    surplus_fen: int
    """What bidders keep of their values."""
    efficiency_ppm: int
    """Value that was realised over the most that could be."""
    unsold_ppm: int
    """Units that stayed unsold."""
    revenues_fen: tuple[int, ...]
    """Of each lot, in order."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All formats on the same lots."""

    lots: int
    bidders: int
    supply: int
    reserve_fen: int
    lines: tuple[Line, ...]


def draw_values(
    distribution: Distribution, mean_fen: int, bidders: int, lots: int, seed: bytes
) -> list[list[int]]:
    """Values for one unit, lot by lot: uniform on 1 to twice the mean, or lognormal (σ = 0.5) around it.

    The same on every machine: the numbers come from SHA-256 of the seed and are rounded to fen.
    """
    require_whole(mean_fen, "mean_fen", least=1, most=10**15, error=AuctionError)
    require_whole(bidders, "bidders", least=1, most=BIDDERS_LIMIT, error=AuctionError)
    require_whole(lots, "lots", least=1, most=LOTS_LIMIT, error=AuctionError)
    count = bidders * lots
    stream = b"".join(sha256(seed + n.to_bytes(8)).digest() for n in range(-(-count * 8 // 32)))
    # 53 bits: every quotient is a double exactly.
    uniforms = (np.frombuffer(stream, dtype=">u8")[:count] >> np.uint64(11)).astype(np.float64) / 2.0**53
    match distribution:
        case "uniform":
            values = np.floor(uniforms * 2 * mean_fen) + 1
        case "lognormal":
            values = np.floor(mean_fen * np.exp(0.5 * _normal(uniforms) - 0.125)) + 1
        case _:
            raise AuctionError(
                field="distribution",
                rule="uniform or lognormal",
                remedy="choose one of them, or give a file of bids",
            )
    return [[int(value) for value in row] for row in values.reshape(lots, bidders)]


def _normal(uniforms: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Standard normal values at these quantiles, those at the very ends drawn in."""
    inverse = NormalDist().inv_cdf
    return np.array([inverse(min(max(float(u), 1e-16), 1 - 1e-16)) for u in uniforms])


def compare(values: Sequence[Sequence[int]], supply: int, reserve_fen: int = 1) -> Comparison:
    """Run every format that can sell `supply` units on lots of bidders who want one unit each.

    `values` are fen, lot by lot, at least one each; the pooled values are the distribution that bidders believe in.
    """
    require_whole(supply, "supply", least=1, error=AuctionError)
    require_whole(reserve_fen, "reserve_fen", least=1, error=AuctionError)
    if not values or not all(values):
        raise AuctionError(
            field="values", rule="at least one lot, each with a bidder", remedy="draw bidders, or give a file"
        )
    for number, lot in enumerate(values):
        for position, value in enumerate(lot):
            require_whole(value, f"values[{number}][{position}]", least=1, most=10**15, error=AuctionError)
    pooled = np.sort(np.array([value for lot in values for value in lot], dtype=np.int64))
    return Comparison(
        lots=len(values),
        bidders=max(map(len, values)),
        supply=supply,
        reserve_fen=reserve_fen,
        lines=tuple(_line(name, values, supply, reserve_fen, pooled) for name in formats_for(supply)),
    )


def _line(
    name: Format,
    values: Sequence[Sequence[int]],
    supply: int,
    reserve_fen: int,
    pooled: npt.NDArray[np.int64],
) -> Line:
    rules = SealedRules(supply, _PAYMENTS[name], reserve_fen=reserve_fen)
    revenues, surplus, realised, best, sold = [], 0, 0, 0, 0
    shading: dict[int, npt.NDArray[np.float64]] = {}
    for lot in values:
        if rules.payment.truthful:
            said = list(lot)
        else:
            if len(lot) not in shading:
                shading[len(lot)] = _shade(pooled, len(lot), supply, reserve_fen)
            shaded = np.interp(lot, pooled, shading[len(lot)])
            # Whoever values it below the reserve stays away.
            said = [
                max(reserve_fen, int(one)) if value >= reserve_fen else value
                for value, one in zip(lot, shaded, strict=True)
            ]
        book = [UnitBid(f"bidder {n}", "bid", price, 1, n) for n, price in enumerate(said)]
        outcome = award(rules, [bid for bid in book if judge(rules, bid) is None])
        paid = sum(one.price_fen for one in outcome.allocation)
        won = sum(lot[one.sequence] for one in outcome.allocation)
        revenues.append(paid)
        surplus += won - paid
        realised += won
        best += sum(sorted(lot, reverse=True)[:supply])
        sold += len(outcome.allocation)
    count = len(values)
    return Line(
        name,
        revenue_fen=sum(revenues) // count,
        surplus_fen=surplus // count,
        efficiency_ppm=realised * 1_000_000 // best,
        unsold_ppm=(supply * count - sold) * 1_000_000 // (supply * count),
        revenues_fen=tuple(revenues),
    )


def _shade(
    pooled: npt.NDArray[np.int64], bidders: int, supply: int, reserve_fen: int
) -> npt.NDArray[np.float64]:
    """What a bidder with each of the pooled values bids where the own bid is paid."""
    n = len(pooled)
    below = np.arange(1, n + 1) / n
    others = bidders - 1
    chance = np.zeros(n)  # that fewer than `supply` of the others have more
    for more in range(min(supply, others + 1)):
        chance += comb(others, more) * (1 - below) ** more * below ** (others - more)
    points = np.maximum(pooled, reserve_fen).astype(np.float64)
    widths = np.diff(points, prepend=min(float(reserve_fen), points[0]))
    # Between two values the chance is that at the lower one; below the lowest nobody is.
    integral = np.cumsum(widths * np.concatenate(([0.0 if others >= supply else 1.0], chance[:-1])))
    return np.asarray(points - integral / chance, dtype=np.float64)


def read_bids(rows: Iterable[Sequence[str]]) -> list[int]:
    """Prices in fen from the rows of a CSV file: a heading with `price` (yuan, at most two decimals), then the bids.

    AuctionError names the row and what is wrong with it.
    """
    table = [list(row) for row in rows if any(cell.strip() for cell in row)]
    heading = [cell.strip().lower() for cell in table[0]] if table else []
    if "price" not in heading:
        raise AuctionError(
            field="heading",
            rule="the first line names the columns, one of them `price`, in yuan",
            remedy="write a first line such as code,price",
        )
    column = heading.index("price")
    prices = []
    for number, row in enumerate(table[1:], 2):
        try:
            prices.append(require_whole(parse_fen(row[column].strip()), "price", least=1, error=AuctionError))
        except (ValueError, IndexError) as refused:
            raise AuctionError(
                field=f"line {number}",
                rule=f"holds no price ({refused})",
                remedy="write yuan, as in 10000.00",
            ) from refused
    if not prices:
        raise AuctionError(field="line 2", rule="at least one bid", remedy="give a file with bids")
    return prices


_COLOURS: Final = ("#2f6db3", "#d98324", "#3f8f5b")
_TEXTS: Final = {
    "zh": ("收入(每标的)", "竞买人剩余(每标的)", "配置效率"),
    "en": ("revenue, a lot", "bidders keep, a lot", "efficiency"),
}


def picture(comparison: Comparison, language: Language) -> str:
    """An SVG of three groups of bars: revenue, what bidders keep, efficiency; one colour a format."""
    lines = comparison.lines
    most = max(1, *(max(line.revenue_fen, line.surplus_fen) for line in lines))
    height, base, bar = 180, 220, 44
    group = bar * len(lines) + 60
    parts: list[str] = []
    for place, title in enumerate(_TEXTS[language]):
        left = 30 + place * group
        for n, line in enumerate(lines):
            share, label = {
                0: (line.revenue_fen / most, fen_in_words(line.revenue_fen, language)),
                1: (line.surplus_fen / most, fen_in_words(line.surplus_fen, language)),
                2: (line.efficiency_ppm / 1_000_000, f"{line.efficiency_ppm / 10_000:.2f} %"),
            }[place]
            tall = round(max(share, 0) * height)
            x = left + n * bar
            parts.append(
                f'<rect x="{x}" y="{base - tall}" width="{bar - 8}" height="{tall}" fill="{_COLOURS[n]}">'
                f"<title>{escape(format_name(line.name, language))}: {escape(label)}</title></rect>"
            )
            at = f"{x + bar // 2} {base - tall - 6}"
            parts.append(
                f'<text x="{x + bar // 2}" y="{base - tall - 6}" font-size="9" transform="rotate(-38 {at})">'
                f"{escape(label)}</text>"
            )
        parts.append(f'<text x="{left}" y="{base + 18}" font-size="13">{escape(title)}</text>')
    for n, line in enumerate(lines):
        x = 30 + n * 170
        parts.append(f'<rect x="{x}" y="{base + 34}" width="12" height="12" fill="{_COLOURS[n]}"/>')
        parts.append(
            f'<text x="{x + 18}" y="{base + 44}" font-size="12">{escape(format_name(line.name, language))}</text>'
        )
    width = 60 + 3 * group
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 -60 {width} {base + 120}" width="{width}" '
        f'font-family="sans-serif" fill="#222"><rect x="0" y="-60" width="{width}" height="{base + 120}" fill="#fff"/>'
        f'<line x1="20" y1="{base}" x2="{width - 20}" y2="{base}" stroke="#888"/>{"".join(parts)}</svg>\n'
    )
