"""A million sealed bids on 10,000 lots awarded at second prices in one pass, against sorting the million prices.

The winner of each lot is the highest bid, the earlier of equals; the first round is compared with a slow search.
"""

from __future__ import annotations

import time

import numpy as np
from _ratio import report, say  # type: ignore[import-not-found]  # beside this script

from pricing.auctions.sealed import clear_lots

BIDS, LOTS, REPETITIONS = 1_000_000, 10_000, 9


def main() -> None:
    """Measure and report."""
    chance = np.random.default_rng(20_260_101)
    sequence, reserves = np.arange(BIDS), np.ones(LOTS, dtype=np.int64)
    ratios = []
    for number in range(REPETITIONS + 1):
        lot, price = chance.integers(0, LOTS, BIDS), chance.integers(1, 10**9, BIDS)
        begun = time.perf_counter()
        np.sort(price)
        base = time.perf_counter() - begun
        begun = time.perf_counter()
        winner, paid = clear_lots(lot, price, sequence, LOTS, reserves)
        ours = time.perf_counter() - begun
        if not number:  # warms up, and is checked
            order = np.lexsort((sequence, -price, lot))
            first = np.searchsorted(lot[order], np.arange(LOTS))
            assert np.array_equal(winner, order[first])
            assert np.array_equal(paid, price[order[first + 1]])
            continue
        say(f"sort {base * 1e3:.1f} ms, awards {ours * 1e3:.1f} ms")
        ratios.append(ours / base)
    report("clear_lots", ratios, better="lower", against="np.sort of all prices", bids=BIDS, lots=LOTS)


if __name__ == "__main__":
    main()
