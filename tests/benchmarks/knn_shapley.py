"""The exact Shapley value of 100,000 training rows for a nearest-neighbour classifier on 100 test rows.

Against it stands what any such classifier does: the distances of all rows, and their order for each test row, in
numpy. The values of the first run are compared with the accuracy that they must sum to. pyDVL, the
library that people use, is measured as well where it can be installed in an environment of its own; its values are
compared with ours.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _ratio import report, say  # type: ignore[import-not-found]  # beside this script

from pricing.contribution import knn_shapley

ROWS, COLUMNS, TESTS, NEIGHBOURS, REPETITIONS = 100_000, 10, 100, 5, 5

_PYDVL = """
import json, sys, time
import numpy as np
from pydvl.valuation import Dataset, KNNShapleyValuation
from sklearn.neighbors import KNeighborsClassifier
rows, columns, tests, neighbours, repetitions = map(int, sys.argv[1:])
chance = np.random.default_rng(1)
x, y = chance.normal(size=(rows, columns)), chance.integers(0, 2, rows)
t, u = chance.normal(size=(tests, columns)), chance.integers(0, 2, tests)
took = []
for _ in range(repetitions):
    valuation = KNNShapleyValuation(KNeighborsClassifier(n_neighbors=neighbours), Dataset(t, u), progress=False)
    begun = time.perf_counter()
    valuation.fit(Dataset(x, y))
    took.append(time.perf_counter() - begun)
result = valuation.values() if callable(valuation.values) else valuation.result
result.sort(key="index")
print(json.dumps({"took": took, "values": [float(v) for v in result.values[:50]]}))
"""


def drawn(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The same rows, labels, test rows and labels in both environments."""
    chance = np.random.default_rng(1)
    x, y = chance.normal(size=(rows, COLUMNS)), chance.integers(0, 2, rows)
    return x, y, chance.normal(size=(TESTS, COLUMNS)), chance.integers(0, 2, TESTS)


def floor(x: np.ndarray, t: np.ndarray) -> None:
    """Distances and their order, test row by test row."""
    lengths = np.einsum("ij,ij->i", x, x)
    for start in range(0, len(t), 16):
        for row in lengths - 2.0 * (t[start : start + 16] @ x.T):
            np.argsort(row)


def against_pydvl() -> None:
    """Measure pyDVL in an environment of its own; say why not where that cannot be made."""
    with tempfile.TemporaryDirectory() as folder:
        uv = Path(sys.executable).with_name("uv")
        python = Path(folder) / "bin" / "python"
        for words in (
            ["venv", "--quiet", folder],
            ["pip", "install", "--quiet", "--python", str(python), "pydvl"],
        ):
            done = subprocess.run(
                [uv, *words], capture_output=True, text=True, check=False, env=dict(os.environ)
            )
            if done.returncode:
                say(f"pyDVL could not be installed, and is not compared: {done.stderr.strip()[-300:]}")
                return
        arguments = map(str, (ROWS, COLUMNS, TESTS, NEIGHBOURS, REPETITIONS))
        done = subprocess.run(
            [python, "-c", _PYDVL, *arguments], capture_output=True, text=True, check=False, timeout=240
        )
        if done.returncode:
            say(f"pyDVL could not be run, and is not compared: {done.stderr.strip()[-300:]}")
            return
        said = json.loads(done.stdout.splitlines()[-1])
    x, y, t, u = drawn(ROWS)
    ratios = []
    for took in said["took"]:
        begun = time.perf_counter()
        values = knn_shapley(x, y, t, u, NEIGHBOURS)
        ratios.append(took / (time.perf_counter() - begun))
    assert np.allclose(values[:50], said["values"], atol=1e-9), "pyDVL values the rows differently"
    report(
        "knn_shapley_pydvl", ratios, better="higher", against="pyDVL in an environment of its own", rows=ROWS
    )


def main() -> None:
    """Measure and report."""
    against_pydvl()
    x, y, t, u = drawn(ROWS)
    values = knn_shapley(x, y, t, u, NEIGHBOURS)
    nearest = [np.argsort(((x - point) ** 2).sum(axis=1), kind="stable")[:NEIGHBOURS] for point in t[:20]]
    part = knn_shapley(x, y, t[:20], u[:20], NEIGHBOURS)
    assert np.isclose(
        part.sum(), np.mean([(y[near] == label).mean() for near, label in zip(nearest, u, strict=False)])
    )
    assert len(values) == ROWS
    ratios = []
    for _ in range(REPETITIONS):
        begun = time.perf_counter()
        floor(x, t)
        base = time.perf_counter() - begun
        begun = time.perf_counter()
        knn_shapley(x, y, t, u, NEIGHBOURS)
        ours = time.perf_counter() - begun
        say(f"distances and order {base:.2f} s, values {ours:.2f} s")
        ratios.append(ours / base)
    report(
        "knn_shapley",
        ratios,
        better="lower",
        against="distances and their order in numpy",
        rows=ROWS,
        tests=TESTS,
    )


if __name__ == "__main__":
    main()
