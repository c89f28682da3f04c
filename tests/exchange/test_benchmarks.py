"""The markets that benchmarks write straight into the tables are markets: they are read, closed and settled like any other."""

from __future__ import annotations

import importlib
from pathlib import Path

import psycopg
import pytest

from exchange.embedded import OWNER

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.mark.anyio
async def test_markets_that_benchmarks_write_by_hand_close_settle_and_take_bids(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    bids, lots, pgbench = (importlib.import_module(name) for name in ("_bids", "_lots", "_pgbench"))
    with pgbench.cluster() as server:
        async with lots.market(server, 6) as scene:
            lots.furnish(scene, "crowd", [range(3), range(3, 6)])
            done = await scene.close(2 * (1 + 1 + 2))
        assert set(done) == {"close", "settle", "release"}
        bids.furnish(server, ["one", "another"])
        with psycopg.connect(server.url(OWNER)) as owner:
            counted = "SELECT count(*) FROM bidder WHERE lot = %s AND state = 'admitted'"
            assert owner.execute(counted, (bids.LOT,)).fetchone() == (2,)
