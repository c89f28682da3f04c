"""Money as integers: fen, micro-yuan a unit, named rounding, division that loses no fen.

An amount is an `int` of fen (1 yuan = 100 fen), a unit price an `int` of micro-yuan (1 yuan = 1,000,000),
a rate or a share an `int` of parts per million. No amount passes 2**63 - 1, the widest that the ledger keeps.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Literal, assert_never

from pricing.errors import MoneyError, PricingError

MAX_AMOUNT = 2**63 - 1
PPM = 1_000_000
MICRO_PER_FEN = 10_000

Language = Literal["zh", "en"]

_YUAN = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]+))?", re.ASCII)


class Rounding(StrEnum):
    """How a quotient becomes an integer. Amounts are never negative, so `DOWN` is also towards zero."""

    DOWN = "down"
    UP = "up"
    HALF_UP = "half_up"
    HALF_EVEN = "half_even"
    EXACT = "exact"
    """Refuses whatever is not whole."""


def require_whole(
    value: object,
    field: str,
    *,
    least: int = 0,
    most: int = MAX_AMOUNT,
    error: type[PricingError] = MoneyError,
) -> int:
    """`value` as it came, or `error` naming `field`: a true integer from `least` to `most`, both included.

    A bool, a float (NaN among them), a string and a Decimal are refused, whatever their value.
    """
    if type(value) is not int:
        raise error(
            field=field,
            rule=f"must be an integer, not {type(value).__name__} {value!r}",
            remedy="give whole minor units",
        )
    if value < least:
        raise error(field=field, rule=f"must be at least {least}, not {value}", remedy="give a larger number")
    if value > most:
        raise error(field=field, rule=f"must be at most {most}, not {value}", remedy="give a smaller number")
    return value


def quotient(numerator: int, denominator: int, rounding: Rounding) -> int:
    """`numerator / denominator` as an integer, rounded as named. Neither is negative, the divisor not zero."""
    require_whole(denominator, "denominator", least=1, most=MAX_AMOUNT * MAX_AMOUNT)
    require_whole(numerator, "numerator", most=MAX_AMOUNT * MAX_AMOUNT)
    whole, rest = divmod(numerator, denominator)
    match rounding:
        case Rounding.DOWN:
            return whole
        case Rounding.UP:
            return whole + (rest > 0)
        case Rounding.HALF_UP:
            return whole + (2 * rest >= denominator)
        case Rounding.HALF_EVEN:
            return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))
        case Rounding.EXACT:
            if rest:
                raise MoneyError(
                    field="quotient",
                    rule=f"{numerator} / {denominator} is not whole",
                    remedy="name a rounding",
                )
            return whole
        case _:  # pragma: no cover
            assert_never(rounding)


def scale(amount: int, ppm: int, rounding: Rounding) -> int:
    """`amount` times `ppm` parts per million, rounded as named; at most 2**63 - 1."""
    require_whole(amount, "amount")
    require_whole(ppm, "ppm")
    return require_whole(quotient(amount * ppm, PPM, rounding), "scaled amount")


def charge_fen(unit_price_micro: int, quantity: int, rounding: Rounding = Rounding.HALF_UP) -> int:
    """What `quantity` units cost, in fen, rounded once and at the end.

    0.0028 yuan a call (2,800 micro-yuan) times 10,000,000 calls is exactly 2,800,000 fen.
    """
    require_whole(unit_price_micro, "unit_price_micro")
    require_whole(quantity, "quantity")
    return require_whole(quotient(unit_price_micro * quantity, MICRO_PER_FEN, rounding), "charge_fen")


def divide(amount: int, weights: Sequence[int]) -> list[int]:
    """Divide `amount` in proportion to `weights` by the largest remainder; the parts sum to `amount`.

    Each part differs from its exact proportion by less than one. Of equal remainders the earlier weight gets
    the unit first; a weight of zero gets nothing. 101 fen under 49 : 18 : 16.5 : 16.5 are 49, 18, 17, 17.
    Weights need not sum to anything in particular: `require_shares` is for those that must be a whole.
    """
    require_whole(amount, "amount")
    for position, weight in enumerate(weights):
        require_whole(weight, f"weights[{position}]")
    if not any(weights):
        raise MoneyError(
            field="weights",
            rule="must hold at least one weight above zero",
            remedy="name who is to receive the amount",
        )
    return by_largest_remainder(amount, weights)


def by_largest_remainder(amount: int, weights: Sequence[int]) -> list[int]:
    """As `divide`, for weights of any width that are known to be none below zero and not all zero."""
    total = sum(weights)
    parts = [amount * weight // total for weight in weights]
    missing = amount - sum(parts)
    # `sorted` is stable, so equal remainders stay in the order of the weights.
    by_remainder = sorted(range(len(parts)), key=lambda i: amount * weights[i] % total, reverse=True)
    for position in by_remainder[:missing]:
        parts[position] += 1
    return parts


def require_shares(shares_ppm: Sequence[int]) -> None:
    """Refuse shares that are not a whole: an undeclared rest (or an excess) blocks the division."""
    for position, share in enumerate(shares_ppm):
        require_whole(share, f"shares_ppm[{position}]", most=PPM)
    rest = PPM - sum(shares_ppm)
    if rest:
        raise MoneyError(
            field="shares_ppm",
            rule=f"must sum to {PPM}; {'undeclared rest' if rest > 0 else 'excess'} {abs(rest)}",
            remedy="declare every holder, each once",
        )


def parse_fen(yuan: str) -> int:
    """Read yuan with at most two decimals ("10000.00", "0.5", "7") as fen. Exact; no sign, no separators."""
    return _parse(yuan, "price", decimals=2)


def parse_unit_price_micro(yuan: str) -> int:
    """Read a unit price in yuan with at most six decimals ("0.0028") as micro-yuan. Exact."""
    return _parse(yuan, "unit_price", decimals=6)


def _parse(yuan: str, field: str, *, decimals: int) -> int:
    # 19 digits before the point are more than 2**63 - 1 of any unit: refuse before int() meets a megabyte.
    found = _YUAN.fullmatch(yuan) if len(yuan) <= 19 + 1 + decimals else None
    if found is None or len(found[2] or "") > decimals:
        raise MoneyError(
            field=field,
            rule=f"must be yuan with at most {decimals} decimals, not {yuan[:40]!r}",
            remedy="write digits and at most one point, as in 10000.00",
        )
    return require_whole(int(found[1]) * 10**decimals + int((found[2] or "").ljust(decimals, "0")), field)


def format_fen(fen: int) -> str:
    """Fen as plain yuan, "28000.00"; `parse_fen` reads it back. A difference below zero carries a minus."""
    return _format(fen, "amount_fen", decimals=2)


def format_unit_price_micro(micro: int) -> str:
    """Micro-yuan as plain yuan with six decimals, "0.002800"; `parse_unit_price_micro` reads it back."""
    return _format(micro, "unit_price_micro", decimals=6)


def _format(amount: int, field: str, *, decimals: int) -> str:
    require_whole(amount, field, least=-MAX_AMOUNT)
    whole, rest = divmod(abs(amount), 10**decimals)
    return f"{'-' if amount < 0 else ''}{whole}.{rest:0{decimals}d}"


def fen_in_words(fen: int, language: Language) -> str:
    """Fen for a reader: "28,000.00 元" or "CNY 28,000.00"."""
    whole, _, decimals = format_fen(fen).partition(".")
    figure = f"{int(whole):,}.{decimals}" if whole != "-0" else f"-0.{decimals}"
    return f"{figure} 元" if language == "zh" else f"CNY {figure}"


def ppm_in_words(ppm: int) -> str:
    """Parts per million as a percentage with four decimals, exact: 985000 is "98.5000 %"."""
    whole, rest = divmod(require_whole(ppm, "ppm"), 10_000)
    return f"{whole}.{rest:04d} %"
