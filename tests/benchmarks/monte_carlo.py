"""A range of a million draws over ten years of income, against drawing as many numbers and nothing else.

Ours is all that a report's range takes: a triangular figure for each year from its own stream, the present value of
each draw by the formula that also gives the exact value, percentiles, mean and bins. Against it stand ten million
uniform doubles from the same generators in the same blocks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from _ratio import report, say  # type: ignore[import-not-found]  # beside this script

from pricing.appraisal import Direct
from pricing.appraisal.approaches import Figures, silence
from pricing.monte_carlo import BLOCK, GENERATOR, Drawn, simulate

DRAWS, YEARS, REPETITIONS = int(os.environ.get("DRAWS", "1_000_000")), 10, 9

INCOME = Direct(
    reason="the data is sold by itself",
    stream="subscriptions",
    amounts_fen=tuple(100_000_000 + 5_000_000 * year for year in range(YEARS)),
    amounts_source="the plan",
    discount_rate_ppm=120_000,
    discount_source="built up from a bond",
)


def value(at: Mapping[str, Any]) -> Any:
    """The present value of each draw."""
    numbers = {path: at.get(path, float(figure)) for path, figure in INCOME.figures().items()}
    return INCOME.value(Figures(numbers, float), None, silence)


def draw() -> float:
    """Seconds that drawing alone takes."""
    streams = [np.random.Generator(np.random.Philox(key=year)) for year in range(YEARS)]
    array = np.empty(BLOCK)
    begun = time.perf_counter()
    for start in range(0, DRAWS, BLOCK):
        size = min(BLOCK, DRAWS - start)
        for stream in streams:
            stream.random(out=array[:size])
    return time.perf_counter() - begun


def main() -> None:
    """Measure and report."""
    drawn = [
        Drawn(f"amounts_fen[{year}]", amount * 7 // 10, amount, amount * 12 // 10)
        for year, amount in enumerate(INCOME.amounts_fen)
    ]
    ratios, found = [], set()
    for _ in range(REPETITIONS):
        alone = draw()
        begun = time.perf_counter()
        found.add(simulate(value, drawn, seed=bytes(32), draws=DRAWS))
        ours = time.perf_counter() - begun
        say(f"drawing {alone * 1e3:,.0f} ms, the range {ours * 1e3:,.0f} ms")
        ratios.append(ours / alone)
    assert len(found) == 1, "the same seed gave two ranges"
    report(
        "monte_carlo",
        ratios,
        better="lower",
        against=f"drawing {DRAWS * YEARS:,} uniform doubles by {GENERATOR}",
        draws=DRAWS,
        years=YEARS,
    )


if __name__ == "__main__":
    main()
