"""A million sealed bids cleared at a uniform price, with time priority and a full allocation, against sorting them.

Against it stands `np.sort` of the same array of prices, which allots nothing yet. Each round takes other prices, drawn
from a seed; a slow clearing of the first round, by sorting all, has to allot the same.
"""

from __future__ import annotations

import time

import numpy as np
from _ratio import report, say  # type: ignore[import-not-found]  # beside this script

from pricing.auctions.sealed import Payment, SealedRules, clear

BIDS, REPETITIONS = 1_000_000, 31


def main() -> None:
    """Measure and report."""
    chance = np.random.default_rng(20_260_101)
    sequence = np.arange(BIDS)
    ratios = []
    for number in range(REPETITIONS + 1):
        price, quantity = chance.integers(1, 10**9, BIDS), chance.integers(1, 100, BIDS)
        rules = SealedRules(int(quantity.sum()) // 2, Payment.UNIFORM)
        begun = time.perf_counter()
        np.sort(price)
        base = time.perf_counter() - begun
        begun = time.perf_counter()
        found = clear(rules, price, quantity, sequence)
        ours = time.perf_counter() - begun
        if not number:  # warms up, and is checked
            order = np.lexsort((sequence, -price))
            before = np.cumsum(quantity[order]) - quantity[order]
            units = np.zeros(BIDS, dtype=np.int64)
            units[order] = np.clip(rules.supply - before, 0, quantity[order])
            assert np.array_equal(found.units, units)
            continue
        say(f"sort {base * 1e3:.1f} ms, clearing {ours * 1e3:.1f} ms")
        ratios.append(ours / base)
    report("clear_uniform", ratios, better="lower", against="np.sort of the same prices", bids=BIDS)


if __name__ == "__main__":
    main()
