"""How a benchmark reports: interleaved repetitions, one JSON line last."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence


def report(name: str, ratios: Sequence[float], *, better: str, against: str, **facts: object) -> None:
    """Print the line: median, range and number of the ratios of one run, with further facts of it."""
    line = {
        "name": name,
        "ratio": round(statistics.median(ratios), 3),
        "better": better,
        "min": round(min(ratios), 3),
        "max": round(max(ratios), 3),
        "reps": len(ratios),
        "against": against,
        **facts,
    }
    print(json.dumps(line), flush=True)


def say(text: str) -> None:
    """Progress, apart from the result."""
    print(text, file=sys.stderr, flush=True)
