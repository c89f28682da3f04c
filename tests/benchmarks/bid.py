"""Bids acknowledged a second over HTTP: ours, durable, logged and with receipt, against an endpoint without a database.

256 clients on one hot lot; each answer carries the log entry, its inclusion proof and the signed checkpoint of
its batch. The endpoint is FastAPI with the same body and bearer on the same server and loop, and nothing else.
Both run one after the other, five times. A part of the answers is verified after each run.
"""

from __future__ import annotations

import os
from statistics import median

from _bids import endpoints, load, market  # type: ignore[import-not-found]  # beside this script, which runs by its path
from _ratio import report, say  # type: ignore[import-not-found]

CLIENTS = int(os.environ.get("CLIENTS", "256"))
SECONDS = 4.0
REPETITIONS = 5


def main() -> None:
    """Measure and report."""
    ratios, ours_p99, theirs_p99 = [], [], []
    first = 1
    with market(CLIENTS) as ours, ours.serving() as ports, endpoints() as theirs:
        for repetition in range(-1, REPETITIONS):
            result = load(ports, ours.keys, first, clients=CLIENTS, seconds=SECONDS)
            first = result["next"]
            twin = load(theirs, ours.keys, first, clients=CLIENTS, seconds=SECONDS)
            say(
                f"{'warm-up' if repetition < 0 else repetition + 1}: ours {result['rate']:.0f}/s p99 {result['p99_ms']:.1f} ms"
                f" {result['statuses']}, endpoint {twin['rate']:.0f}/s p99 {twin['p99_ms']:.1f} ms,"
                f" {ours.verify(result['answers'])} receipts verified"
            )
            if repetition >= 0:
                ratios.append(result["rate"] / twin["rate"])
                ours_p99.append(result["p99_ms"])
                theirs_p99.append(twin["p99_ms"])
    report(
        "bid",
        ratios,
        better="higher",
        against="FastAPI endpoint with body and bearer, no database, same server and loop",
        clients=CLIENTS,
        p99_ratio=round(median(ours_p99) / median(theirs_p99), 3),
    )


if __name__ == "__main__":
    main()
