"""Bids through the documented FastAPI route and the gate, against the endpoint without a database.

As `bid`, but each request says its character set, which the hot path leaves to the documented route.
"""

from __future__ import annotations

import os

from _bids import endpoints, load, market  # type: ignore[import-not-found]  # beside this script, which runs by its path
from _ratio import report, say  # type: ignore[import-not-found]

CLIENTS = int(os.environ.get("CLIENTS", "256"))
SECONDS = 4.0
REPETITIONS = 5
KIND = "application/json; charset=utf-8"


def main() -> None:
    """Measure and report."""
    ratios = []
    first = 1
    with market(CLIENTS) as ours, ours.serving() as ports, endpoints() as theirs:
        for repetition in range(-1, REPETITIONS):
            result = load(ports, ours.keys, first, clients=CLIENTS, seconds=SECONDS, kind=KIND)
            assert set(result["statuses"]) <= {"201", "422"}, result["statuses"]
            first = result["next"]
            twin = load(theirs, ours.keys, first, clients=CLIENTS, seconds=SECONDS, kind=KIND)
            say(
                f"{'warm-up' if repetition < 0 else repetition + 1}: documented {result['rate']:.0f}/s p99"
                f" {result['p99_ms']:.1f} ms {result['statuses']}, endpoint {twin['rate']:.0f}/s,"
                f" {ours.verify(result['answers'])} receipts verified"
            )
            if repetition >= 0:
                ratios.append(result["rate"] / twin["rate"])
    report(
        "bid_documented",
        ratios,
        better="higher",
        against="FastAPI endpoint with body and bearer, no database, same server and loop",
        clients=CLIENTS,
    )


if __name__ == "__main__":
    main()
