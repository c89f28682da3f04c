"""Every risk figure of ten million people, against one DuckDB group-by of the same rows over the same columns.

The report counts classes over eight quasi-identifiers, with prosecutor, marketer and uniqueness risk and Zayatz's
estimate, and what the classes betray of a ninth column: l (distinct, entropy, recursive), t (equal, ordered,
hierarchical), β and δ. Both have the same two threads. The resident memory of the whole process, table included, is
to stay below 8 GB.
"""

from __future__ import annotations

import gc
import resource
import time

import duckdb
import pyarrow as pa
from _people import ROWS, SENSITIVE, group_by, hierarchy, people  # type: ignore[import-not-found]  # beside this script
from _ratio import report, say  # type: ignore[import-not-found]  # the same

from exchange.desensitization import expression
from exchange.desensitization.risk import measure_relation

REPETITIONS, MEMORY_BYTES = 5, 8_000_000_000


def main() -> None:
    """Measure and report."""
    connection, names = people()
    quasi = [name for name in names if name != SENSITIVE]
    lines = hierarchy(SENSITIVE)
    connection.register(
        "tree", pa.table({"value": [line[0] for line in lines], "group": [line[1] for line in lines]})
    )
    held = expression.Held(SENSITIVE, ordered=True, tree=expression.table(connection, "tree"))
    ratios = []
    distinct = group_by(connection, names)
    for _ in range(REPETITIONS):
        gc.collect()
        begun = time.perf_counter()
        assert group_by(connection, names) == distinct
        theirs = time.perf_counter() - begun
        begun = time.perf_counter()
        found = measure_relation(connection, "people", quasi, [held], population=100 * ROWS)
        ours = time.perf_counter() - begun
        assert found.rows == ROWS
        assert found.disclosure[0].t_ordered_ppm is not None
        assert found.disclosure[0].t_hierarchical_ppm is not None
        say(f"DuckDB {theirs:.2f} s, ours {ours:.2f} s")
        ratios.append(ours / theirs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert ROWS > 10_000_000 or peak <= MEMORY_BYTES, peak
    report(
        "risk_report",
        ratios,
        better="lower",
        against=f"DuckDB {duckdb.__version__}: one group-by of the same columns",
        rows=ROWS,
        distinct=distinct,
        classes=found.classes,
        peak_bytes=peak,
    )


if __name__ == "__main__":
    main()
