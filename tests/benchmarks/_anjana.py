"""anjana's k-anonymity of Adult, for a benchmark; runs in the environment of the peers.

Takes one JSON object on standard input: the CSV file, each quasi-identifier's hierarchy file, k, the share of rows in
percent that may go. Answers with the level of each column, the rows left, and the seconds that it took.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from typing import Any

import pandas as pd
from anjana.anonymity import k_anonymity
from anjana.anonymity.utils import utils


def main() -> None:
    """Anonymize and answer."""
    job = json.load(sys.stdin)
    table = pd.read_csv(job["path"], sep=";", dtype=str)
    hierarchies: dict[str, dict[int, Any]] = {}
    for name, path in job["hierarchies"].items():
        with open(path, newline="") as file:
            lines = list(csv.reader(file, delimiter=";"))
        hierarchies[name] = {
            level: pd.Series([line[level] for line in lines]).to_numpy() for level in range(len(lines[0]))
        }
    quasi = list(hierarchies)
    begun = time.perf_counter()
    made = k_anonymity(table, [], quasi, job["k"], job["percent"], hierarchies)
    seconds = time.perf_counter() - begun
    levels = utils.get_transformation(made, quasi, hierarchies) if len(made) else []
    json.dump({"levels": levels, "rows": len(made), "seconds": seconds}, sys.stdout)


if __name__ == "__main__":
    main()
