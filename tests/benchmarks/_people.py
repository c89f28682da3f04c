"""Ten million people made from Adult, in DuckDB, and Adult's nine hierarchies: what the benchmarks of the mask measure on.

Each person is a row of Adult drawn with its peculiarities, and each of its cells is, with a chance of one in fifty,
another row's: some 140,000 distinct people, as in a real register, where plain copies of Adult would have 19,502.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from exchange.desensitization.search.classes import Coded, Codes
from exchange.desensitization.search.losses import Attribute

FOLDER = (
    Path(os.environ.get("EXCHANGE_VECTORS", Path(__file__).resolve().parents[3] / "shared" / "vectors"))
    / "deidentification"
)
ROWS = int(os.environ.get("ROWS", "10_000_000"))
SENSITIVE = "occupation"
ANOTHERS = 0.02
_PIECE = 1_000_000


def adult() -> pa.Table:
    """The 30,162 complete rows."""
    options = arrow_csv.ParseOptions(delimiter=";")
    return arrow_csv.read_csv(FOLDER / "adult.csv", parse_options=options)


def hierarchy(column: str) -> list[list[str]]:
    """A column's hierarchy, a line a value, from the value to `*`."""
    with (FOLDER / f"adult_hierarchy_{column}.csv").open(newline="") as file:
        return list(csv.reader(file, delimiter=";"))


def attribute(column: str, coded: Coded) -> Attribute:
    """The hierarchy over the values that a table has."""
    lines = {line[0]: line for line in hierarchy(column)}
    return Attribute(column, maps_of([lines[str(value)] for value in coded.values.to_pylist()]))


def maps_of(lines: list[list[str]]) -> tuple[Codes, ...]:
    """The code of each value at each level."""
    maps = []
    for level in range(len(lines[0])):
        seen: dict[str, int] = {}
        maps.append(np.array([seen.setdefault(line[level], len(seen)) for line in lines], dtype=np.int64))
    return tuple(maps)


def people() -> tuple[Any, list[str]]:
    """A DuckDB connection with a table `people` of `ROWS` rows, and the names of its columns."""
    rows = adult()
    chance = np.random.default_rng(20260101)
    connection = duckdb.connect()
    for start in range(0, ROWS, _PIECE):
        count = min(_PIECE, ROWS - start)
        row = chance.integers(0, rows.num_rows, count)
        columns = {}
        for name in rows.column_names:
            other = chance.integers(0, rows.num_rows, count)
            place = np.where(chance.random(count) < ANOTHERS, other, row)
            columns[name] = rows.column(name).combine_chunks().take(pa.array(place))
        connection.register("piece", pa.table(columns))
        connection.execute("INSERT INTO people FROM piece" if start else "CREATE TABLE people AS FROM piece")
        connection.unregister("piece")
    return connection, rows.column_names


def group_by(connection: Any, names: list[str]) -> int:
    """The one group-by that nothing can do without: how many distinct people there are."""
    columns = ", ".join(f'"{name}"' for name in names)
    found = connection.execute(
        f"SELECT count(*) FROM (SELECT {columns}, count(*) FROM people GROUP BY ALL)"
    ).fetchall()
    return int(found[0][0])
