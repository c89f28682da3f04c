"""Quality of a table of 10 million rows, against one DuckDB scan that counts its NULLs and distinct values.

Ours counts the six dimensions of GB/T 36344 with their evidence: kinds, patterns, allowed values, required cells,
ranges, a unique key, a comparison, a dependency and the latest record. DuckDB counts rows,
NULLs and distinct values of the same columns of the same Arrow table, with as many threads as it takes by itself.
"""

from __future__ import annotations

import gc
import os
import time

import duckdb
import numpy as np
import pyarrow as pa
from _ratio import report, say  # type: ignore[import-not-found]  # beside this script

from pricing.money import PPM
from pricing.quality import (
    Column,
    Compare,
    Declaration,
    Determines,
    Dimension,
    Freshness,
    measure,
)

ROWS, REPETITIONS = int(os.environ.get("ROWS", "10_000_000")), 5
HOUR_US = 3_600_000_000


def table(rows: int) -> pa.Table:
    """Journeys: a key, two codes that belong together, times, an amount with gaps, and a text with a pattern."""
    chance = np.random.default_rng(20260101)
    line = chance.integers(0, 200, rows)
    gap = chance.random(rows) < 0.01
    starts = 1_767_225_600_000_000 + np.sort(chance.integers(0, 365 * 24 * HOUR_US, rows))
    return pa.table(
        {
            "journey": np.arange(rows, dtype=np.int64),
            "line": pa.array([f"L{n:03d}" for n in range(200)]).take(pa.array(line)),
            "district": pa.array([f"district {n}" for n in range(10)]).take(pa.array(line % 10)),
            "starts": pa.array(starts, pa.timestamp("us")),
            "ends": pa.array(starts + chance.integers(60, 7_200, rows) * 1_000_000, pa.timestamp("us")),
            "fare_fen": pa.array(chance.integers(0, 2_000, rows), mask=gap),
            "stops": chance.integers(1, 40, rows).astype(np.int16),
        }
    )


DECLARED = Declaration(
    columns=(
        Column("journey", "integer", minimum=0),
        Column("line", "text", pattern="L[0-9]{3}"),
        Column("district", "text", allowed=tuple(f"district {n}" for n in range(10))),
        Column("starts", "time"),
        Column("ends", "time"),
        Column("fare_fen", "integer", minimum=0, maximum=100_000),
        Column("stops", "integer", minimum=1, maximum=60),
    ),
    unique=(("journey",),),
    comparisons=(Compare("starts", "<", "ends"),),
    dependencies=(Determines(("line",), "district"),),
    freshness=Freshness("starts", 24 * HOUR_US),
)
AS_OF_US = 1_767_225_600_000_000 + 365 * 24 * HOUR_US


def main() -> None:
    """Measure and report."""
    data = table(ROWS)
    counted = ", ".join(f"count({name}), count(DISTINCT {name})" for name in data.column_names)
    connection = duckdb.connect()
    connection.register("data", data)
    ratios = []
    for _ in range(REPETITIONS):
        gc.collect()
        begun = time.perf_counter()
        scanned = connection.execute(f"SELECT count(*), {counted} FROM data").fetchone()
        theirs = time.perf_counter() - begun
        begun = time.perf_counter()
        found = measure(data, DECLARED, as_of_us=AS_OF_US)
        ours = time.perf_counter() - begun
        assert scanned is not None
        assert scanned[0] == found.rows == ROWS
        assert found.score_ppm(Dimension.CONFORMITY) == PPM
        assert (found.score_ppm(Dimension.COMPLETENESS) or 0) == (sum(scanned[1::2]) * PPM) // (7 * ROWS)
        say(f"DuckDB {theirs:.2f} s, ours {ours:.2f} s")
        ratios.append(ours / theirs)
    report(
        "quality",
        ratios,
        better="lower",
        against=f"DuckDB {duckdb.__version__}: one scan, count and count distinct of each column",
        rows=ROWS,
        columns=data.num_columns,
    )


if __name__ == "__main__":
    main()
