"""A lot of 100,000 bids closed, settled, and all its deposits given back, against COPY of the rows that this wrote.

Each bid is another buyer's, and each loser's deposit goes back in an entry of its own. Rows are those that are new and those
that are changed; COPY writes the same into tables with the same keys and indexes, in one durable transaction. The ratio is
that of rows a second.
"""

from __future__ import annotations

from statistics import median

import uvloop
from _lots import copied, furnish, market  # type: ignore[import-not-found]  # beside this script
from _pgbench import cluster  # type: ignore[import-not-found]  # beside this script
from _ratio import report, say  # type: ignore[import-not-found]  # beside this script

BIDS, REPETITIONS = 100_000, 5


async def main() -> None:
    """Interleave a close and the COPY of its rows."""
    ratios, took, rows = [], [], 0
    with cluster() as server:
        async with market(server, BIDS) as scene:
            for repetition in range(REPETITIONS):
                lots = furnish(scene, f"lot-{repetition}", [range(BIDS)])
                before = scene.before()
                seconds = await scene.close(1 + 1 + BIDS - 1)
                rows, copying = copied(scene, lots, *before)
                ratios.append(copying / max(seconds.values()))
                took.append(seconds)
                say(
                    f"{rows:,} rows: COPY {copying:.1f} s; closed after {seconds['close']:.2f} s, settled after"
                    f" {seconds['settle']:.2f} s, all deposits back after {seconds['release']:.1f} s"
                )
    report(
        "close_lot",
        ratios,
        better="higher",
        against="COPY of the same rows, same keys and indexes, same durable cluster",
        bids=BIDS,
        rows=rows,
        closed_s=round(median(one["close"] for one in took), 2),
        all_back_s=round(median(one["release"] for one in took), 1),
    )


if __name__ == "__main__":
    uvloop.run(main())
