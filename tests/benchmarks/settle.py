"""1,000 lots that close in the same second: until the last of them is closed, and until the last is settled.

Each has five bids by five bidders. The promise is 10 s for the close of the last; the ratio is that of the promise to what it
took. `settled_s` and `all_back_s` tell when the last was paid and licensed, and when the last loser had its deposit back.
"""

from __future__ import annotations

from statistics import median

import uvloop
from _lots import furnish, market  # type: ignore[import-not-found]  # beside this script
from _pgbench import cluster  # type: ignore[import-not-found]  # beside this script
from _ratio import report, say  # type: ignore[import-not-found]  # beside this script

LOTS, BIDS, REPETITIONS, PROMISE_S = 1_000, 5, 5, 10.0


async def main() -> None:
    """One crowd of lots after another, on one market."""
    took: list[dict[str, float]] = []
    buyers = [range(n * BIDS, n * BIDS + BIDS) for n in range(LOTS)]
    with cluster() as server:
        async with market(server, LOTS * BIDS) as scene:
            for repetition in range(REPETITIONS):
                furnish(scene, f"crowd-{repetition}", buyers)
                took.append(await scene.close(LOTS * (1 + 1 + BIDS - 1)))
                say(", ".join(f"last {what} after {seconds:.1f} s" for what, seconds in took[-1].items()))
    report(
        "settle",
        [PROMISE_S / one["close"] for one in took],
        better="higher",
        against="the promise of 10 s for the last of 1,000 lots that close in one second",
        closed_s=round(median(one["close"] for one in took), 1),
        settled_s=round(median(one["settle"] for one in took), 1),
        all_back_s=round(median(one["release"] for one in took), 1),
    )


if __name__ == "__main__":
    uvloop.run(main())
