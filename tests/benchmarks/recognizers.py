"""Identity numbers, card numbers and unified social credit codes checked as columns, against python-stdnum one by one.

A million values of each kind, nine in ten of them right, as they would stand in a real column. Both sides
judge the same values (python-stdnum a part of them, at its own pace a value) and must agree.
"""

from __future__ import annotations

import gc
import os
import random
import time
from calendar import monthrange
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pyarrow as pa
from _ratio import report, say  # type: ignore[import-not-found]  # beside this script
from stdnum import luhn
from stdnum.cn import ric, uscc

from exchange.desensitization.detection import recognizers

VALUES, PART, REPETITIONS = int(os.environ.get("VALUES", "1_000_000")), 20_000, 5

Judge = Callable[[str], bool]


def identity_numbers(count: int, chance: random.Random) -> list[str]:
    """Of five districts that have always been there, born from 1950 to 2010."""
    made = []
    for _ in range(count):
        year, month = chance.randrange(1950, 2011), chance.randrange(1, 13)
        day = chance.randrange(1, monthrange(year, month)[1] + 1)
        region = chance.choice(["110101", "110102", "120101", "310101", "310104"])
        first = f"{region}{year:04d}{month:02d}{day:02d}{chance.randrange(1000):03d}"
        check = ric.calc_check_digit(first + "0")
        made.append(first + (check if chance.random() < 0.9 else chance.choice("0123456789X")))
    return made


def card_numbers(count: int, chance: random.Random) -> list[str]:
    """Nineteen digits behind 6222."""
    made = []
    for _ in range(count):
        first = f"6222{chance.randrange(10**14):014d}"
        check = luhn.calc_check_digit(first) if chance.random() < 0.9 else chance.choice("0123456789")
        made.append(first + check)
    return made


def credit_codes(count: int, chance: random.Random) -> list[str]:
    """Enterprises of three cities."""
    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    made = []
    for _ in range(count):
        first = "91" + chance.choice(["110000", "440300", "330100"]) + "".join(chance.choices(alphabet, k=9))
        check = uscc.calc_check_digit(first + "0") if chance.random() < 0.9 else chance.choice(alphabet)
        made.append(first + check)
    return made


CASES: tuple[tuple[str, Callable[[Any], Any], Judge, Callable[[int, random.Random], list[str]]], ...] = (
    ("resident_id", recognizers.resident_id, ric.is_valid, identity_numbers),
    ("bank_card", recognizers.bank_card, luhn.is_valid, card_numbers),
    ("social_credit_code", recognizers.social_credit_code, uscc.is_valid, credit_codes),
)


def main() -> None:
    """Measure and report."""
    chance = random.Random(20260101)
    made = []
    for name, ours, theirs, make in CASES:
        part = make(PART, chance)
        # Making values is slow Python: the million is the part again and again, and nobody profits from that.
        texts = part * (VALUES // PART)
        made.append((name, ours, theirs, part, pa.array(texts, pa.string())))
    ratios: list[float] = []
    by_kind: dict[str, list[float]] = {name: [] for name, *_ in made}
    ours_s = 0.0
    for _ in range(REPETITIONS):
        fast_s = slow_s = 0.0
        for name, ours, theirs, part, column in made:
            gc.collect()
            begun = time.perf_counter()
            passed = sum(map(theirs, part))
            theirs_s = (time.perf_counter() - begun) * (len(column) / PART)
            begun = time.perf_counter()
            found = ours(column)
            ours_s = time.perf_counter() - begun
            assert found.matched == passed * (len(column) // PART), name
            by_kind[name].append(theirs_s / ours_s)
            fast_s += ours_s
            slow_s += theirs_s
        say(f"python-stdnum {slow_s:.1f} s (from {PART} values a kind), ours {fast_s:.2f} s")
        ratios.append(slow_s / fast_s)
    report(
        "recognizers",
        ratios,
        better="higher",
        against=f"python-stdnum {version('python-stdnum')}, value by value",
        values=VALUES,
        **{name: round(sorted(found)[len(found) // 2], 1) for name, found in by_kind.items()},
    )


if __name__ == "__main__":
    main()
