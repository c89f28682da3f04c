"""How long a bid takes, against a bare COMMIT of the same database: at half load in an open loop, and alone.

At half load bids are due at fixed moments, half as many a second as 64 clients got through in a closed loop before, and each
one's time counts from when it was due. The bare COMMIT is the least that is durable: one row into a table with nothing but
a key, in one round trip, prepared. The ratio is that of the 99th percentiles; `lone` is the ratio of the medians when one
client bids alone. All three are measured in turn, five times.
"""

from __future__ import annotations

import time
from statistics import median

import psycopg
from _bids import Market, load, market  # type: ignore[import-not-found]  # beside this script, which runs by its path
from _ratio import report, say  # type: ignore[import-not-found]

from exchange.embedded import OWNER

CLIENTS, CROWD = 64, 256
SECONDS = 4.0
REPETITIONS = 5


def bare_commits_ms(ours: Market, seconds: float) -> list[float]:
    """Times of bare COMMITs, one after the other, sorted."""
    took = []
    with psycopg.connect(ours.postgres.url(OWNER), autocommit=True, prepare_threshold=0) as connection:
        until = time.perf_counter() + seconds
        while (began := time.perf_counter()) < until:
            connection.execute("INSERT INTO bare (amount) VALUES (%s)", (1,))
            took.append(1000 * (time.perf_counter() - began))
    return sorted(took)


def main() -> None:
    """Measure and report."""
    ratios, to_median, lone, p99s = [], [], [], []
    first = 1
    with market(CROWD) as ours, ours.serving() as ports:
        with psycopg.connect(ours.postgres.url(OWNER)) as connection:
            connection.execute(
                "CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, amount bigint)"
            )
        for repetition in range(-1, REPETITIONS):
            full = load(ports, ours.keys, first, clients=CLIENTS, seconds=SECONDS / 2)
            half = load(ports, ours.keys, full["next"], clients=CROWD, seconds=SECONDS, rate=full["rate"] / 2)
            alone = load(ports, ours.keys, half["next"], clients=1, seconds=SECONDS / 2)
            first = alone["next"]
            commits = bare_commits_ms(ours, SECONDS / 2)
            p50, p99 = median(commits), commits[len(commits) * 99 // 100]
            say(
                f"{'warm-up' if repetition < 0 else repetition + 1}: at {full['rate'] / 2:.0f}/s p50 {half['p50_ms']:.2f} ms p99"
                f" {half['p99_ms']:.2f} ms {half['statuses']}, alone p50 {alone['p50_ms']:.2f} ms,"
                f" a bare COMMIT p50 {p50:.2f} ms p99 {p99:.2f} ms"
            )
            if repetition >= 0:
                ratios.append(half["p99_ms"] / p99)
                to_median.append(half["p99_ms"] / p50)
                lone.append(alone["p50_ms"] / p50)
                p99s.append(half["p99_ms"])
    report(
        "bid_latency",
        ratios,
        better="lower",
        against="99th percentile of a bare COMMIT of the same database",
        p99_ms=round(median(p99s), 2),
        against_the_median_commit=round(median(to_median), 2),
        lone=round(median(lone), 2),
        lone_range=[round(min(lone), 2), round(max(lone), 2)],
    )


if __name__ == "__main__":
    main()
