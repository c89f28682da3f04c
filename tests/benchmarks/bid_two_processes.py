"""Bids acknowledged a second by two processes of one market, against the endpoint without a database, served as well by two.

256 clients on one hot lot, half of them at each process; both also close and settle. Each answer carries entry, proof and
signed checkpoint; each run is followed by the same of the endpoint, five times. Afterwards every bid that was answered is
in the book and in the log once, and nothing else is, and the server saw no deadlock.
"""

from __future__ import annotations

import os
from statistics import median

import psycopg
from _bids import LOT, Market, endpoints, load, market  # type: ignore[import-not-found]  # beside this script
from _ratio import report, say  # type: ignore[import-not-found]

from exchange.embedded import OWNER

PROCESSES = 2
CLIENTS = int(os.environ.get("CLIENTS", "256"))
SECONDS = 4.0
REPETITIONS = 5


def require_each_once(ours: Market, answered: int) -> None:
    """What was answered is there once, and nothing else."""
    with psycopg.connect(ours.postgres.url(OWNER)) as connection:
        book = connection.execute(
            "SELECT count(*), count(DISTINCT key), count(DISTINCT log_index), (SELECT bids FROM lot WHERE id = %s),"
            " count(*) FILTER (WHERE reason IS NULL), (SELECT deadlocks FROM pg_stat_database WHERE datname ="
            " current_database()) FROM bid WHERE lot = %s",
            (LOT, LOT),
        ).fetchone()
    assert book is not None
    bids, keys, indices, told, admitted, deadlocks = book
    assert (bids, keys, indices, told, deadlocks) == (answered, answered, answered, admitted, 0), (
        answered,
        book,
    )


def main() -> None:
    """Measure and report."""
    ratios, ours_p99, theirs_p99 = [], [], []
    first, answered = 1, 0
    with market(CLIENTS) as ours, ours.serving(PROCESSES) as ports, endpoints(PROCESSES) as theirs:
        for repetition in range(-1, REPETITIONS):
            result = load(ports, ours.keys, first, clients=CLIENTS, seconds=SECONDS)
            assert set(result["statuses"]) <= {"201", "422"}, result["statuses"]
            first, answered = result["next"], answered + sum(result["statuses"].values())
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
        require_each_once(ours, answered)
    report(
        "bid_two_processes",
        ratios,
        better="higher",
        against="FastAPI endpoint with body and bearer, no database, in as many processes",
        clients=CLIENTS,
        processes=PROCESSES,
        p99_ratio=round(median(ours_p99) / median(theirs_p99), 3),
    )


if __name__ == "__main__":
    main()
