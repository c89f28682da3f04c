"""Individually acknowledged transfers a second on one hot account, against the same between 10,000 accounts.

1,024 callers before the real gate, one transfer each on its way; both run one after the other on one durable
cluster and one log. A ratio of 1 says that contention costs nothing.
"""

from __future__ import annotations

import uvloop
from _pgbench import cluster  # type: ignore[import-not-found]  # beside this script
from _ratio import report, say  # type: ignore[import-not-found]  # beside this script
from _transfers import (  # type: ignore[import-not-found]  # beside this script
    ACCOUNTS,
    CALLERS,
    hot,
    market,
    rate,
    uniform,
)

REPETITIONS = 5


async def main() -> None:
    """Measure and report."""
    ratios = []
    with cluster() as server:
        async with market(server) as gate:
            await rate(gate, uniform, 1.0)
            for _ in range(REPETITIONS):
                spread = await rate(gate, uniform)
                on_one = await rate(gate, hot)
                say(f"uniform {spread:,.0f}/s, hot {on_one:,.0f}/s")
                ratios.append(on_one / spread)
    report(
        "transfers_uniform",
        ratios,
        better="higher",
        against=f"the same between {ACCOUNTS} accounts at random",
        callers=CALLERS,
    )


if __name__ == "__main__":
    uvloop.run(main())
