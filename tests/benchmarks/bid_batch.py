"""Bids acknowledged a second over HTTP in batches of 1,000, against one by one: same server, loop and lot.

Each bid of either is durable, has its deposit checked and stands in the log with a receipt of its own. Four clients send
on four connections, batches and single bids alike, one after the other, five times. A crowd of 256 who bid one by one
shares the gate's commits, as those of a batch do: `against_a_crowd` is the ratio to them.
"""

from __future__ import annotations

from statistics import median

from _bids import load, market  # type: ignore[import-not-found]  # beside this script, which runs by its path
from _ratio import report, say  # type: ignore[import-not-found]

CLIENTS, CROWD = 4, 256
SECONDS = 3.0
REPETITIONS = 5
BATCH = 1000


def main() -> None:
    """Measure and report."""
    ratios, rates, crowds = [], [], []
    first = 1
    with market(CROWD) as ours, ours.serving() as ports:
        for repetition in range(-1, REPETITIONS):
            runs = []
            for clients, batch in ((CLIENTS, 1), (CLIENTS, BATCH), (CROWD, 1)):
                runs.append(load(ports, ours.keys, first, clients=clients, seconds=SECONDS, batch=batch))
                first = runs[-1]["next"]
            single, batches, crowd = runs
            say(
                f"{'warm-up' if repetition < 0 else repetition + 1}: batches {batches['rate']:.0f} bids/s {batches['statuses']},"
                f" single {single['rate']:.0f}/s {single['statuses']}, a crowd {crowd['rate']:.0f}/s,"
                f" {sum(ours.verify(run['answers'], 100) for run in runs)} receipts verified"
            )
            if repetition >= 0:
                rates.append(batches["rate"])
                ratios.append(batches["rate"] / single["rate"])
                crowds.append(batches["rate"] / crowd["rate"])
    report(
        "bid_batch",
        ratios,
        better="higher",
        against=f"single bids, same server and loop, {CLIENTS} clients on either side",
        clients=CLIENTS,
        bids_per_s=round(median(rates)),
        against_a_crowd=round(median(crowds), 2),
        crowd=CROWD,
    )


if __name__ == "__main__":
    main()
