"""pycanon's full report on Adult, against ours of the same table in memory, both warm and without reading the file.

All nine columns but one are quasi-identifiers, the occupation is sensitive. Ours also counts what pycanon does not:
marketer risk, uniqueness, the estimate for a population. What both count must agree.
"""

from __future__ import annotations

import gc
import json
import math
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from _people import FOLDER, SENSITIVE, adult  # type: ignore[import-not-found]  # beside this script
from _ratio import report, say  # type: ignore[import-not-found]  # the same

from exchange.desensitization.judge import Risk
from exchange.desensitization.risk import Sensitive, measure_risk
from exchange.desensitization.search.classes import encode

REPETITIONS = 5
PEERS = (
    Path(os.environ.get("PEERS", Path(__file__).resolve().parents[2] / ".venv" / "peers")) / "bin" / "python"
)


def ours(table: Any, quasi: list[str]) -> Risk:
    """From the columns as they were read to the figures."""
    return measure_risk(
        [(name, encode(table.column(name)).codes) for name in quasi],
        [Sensitive(SENSITIVE, encode(table.column(SENSITIVE)).codes)],
        [],
        table.num_rows,
        1_000_000,
    )


def main() -> None:
    """Measure and report."""
    table = adult()
    quasi = [name for name in table.column_names if name != SENSITIVE]
    job = {"path": str(FOLDER / "adult.csv"), "separator": ";", "quasi": quasi, "sensitive": [SENSITIVE]}
    script = Path(__file__).with_name("_pycanon.py")
    ours(table, quasi)
    ratios = []
    for _ in range(REPETITIONS):
        done = subprocess.run(
            [PEERS, script], input=json.dumps(job).encode(), capture_output=True, check=True
        )
        theirs = json.loads(done.stdout)
        gc.collect()
        begun = time.perf_counter()
        found = ours(table, quasi)
        taken = time.perf_counter() - begun
        disclosed = found.disclosure[0]
        assert (found.k, disclosed.distinct_l) == (theirs["k"], theirs["distinct_l"])
        for name, figure in (
            ("t", disclosed.t_equal_ppm),
            ("beta", disclosed.beta_micro),
            ("delta", disclosed.delta_micro),
        ):
            assert math.isclose(theirs[name] * 1e6, figure, rel_tol=1e-9, abs_tol=1.01), name
        say(f"pycanon {theirs['seconds']:.1f} s, ours {taken:.4f} s")
        ratios.append(theirs["seconds"] / taken)
    report(
        "versus_pycanon",
        ratios,
        better="higher",
        against="pycanon's full report on Adult",
        rows=table.num_rows,
        classes=found.classes,
    )


if __name__ == "__main__":
    main()
