"""pycanon's own measure of a table, for a benchmark and a test; runs in the environment of the peers.

Takes one JSON object on standard input: a CSV file, whether to keep only its first rows, the quasi-identifiers, the
sensitive columns. Answers with pycanon's figures, and the seconds that they took, reading left out.
"""

from __future__ import annotations

import json
import sys
import time

import pandas as pd
from pycanon import anonymity


def main() -> None:
    """Measure and answer."""
    job = json.load(sys.stdin)
    table = pd.read_csv(job["path"], sep=job.get("separator", ","), nrows=job.get("rows"))
    quasi, sensitive = job["quasi"], job["sensitive"]
    begun = time.perf_counter()
    c, l = anonymity.recursive_c_l_diversity(table, quasi, sensitive)  # noqa: E741
    alpha, k = anonymity.alpha_k_anonymity(table, quasi, sensitive)
    found = {
        "k": int(k),
        "alpha": float(alpha),
        "distinct_l": int(anonymity.l_diversity(table, quasi, sensitive)),
        "entropy_l": int(anonymity.entropy_l_diversity(table, quasi, sensitive)),
        "recursive_c": float(c),
        "recursive_l": int(l),
        "beta": float(anonymity.basic_beta_likeness(table, quasi, sensitive)),
        "enhanced_beta": float(anonymity.enhanced_beta_likeness(table, quasi, sensitive)),
        "delta": float(anonymity.delta_disclosure(table, quasi, sensitive)),
        "t": float(anonymity.t_closeness(table, quasi, sensitive)),
    }
    found["seconds"] = time.perf_counter() - begun
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
