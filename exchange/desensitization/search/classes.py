"""Equivalence classes: rows that agree on every quasi-identifier, counted once and merged upwards from there.

A table of N rows has D distinct tuples, mostly far fewer; one group-by finds them, and every generalization
only merges them. So classes are never found twice from the rows: those of a node come from the classes of any
node below it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

WIDEST = 1 << 62
"""Below this many combinations, several codes are one number."""


@dataclass(frozen=True, slots=True)
class Coded:
    """One column as small integers: `codes[row]` is a place in `values`, an array of distinct values, NULL among them."""

    codes: Codes
    values: Any

    @property
    def cardinality(self) -> int:
        """How many distinct values, NULL counted as one."""
        return len(self.values)


def encode(column: Any) -> Coded:
    """Code a column by its distinct values, in the order in which they first come; NaN counts as NULL."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    coded = pc.dictionary_encode(array, null_encoding="encode")
    return Coded(coded.indices.to_numpy(zero_copy_only=False).astype(np.int64), coded.dictionary)


def group(columns: Sequence[Codes], rows: int) -> tuple[Codes, Codes]:
    """Class of each row and size of each class, rows being alike where all columns are; no column makes one class."""
    classes, number = numbered(columns, rows)
    return classes, np.bincount(classes, minlength=number).astype(np.int64)


def numbered(columns: Sequence[Codes], rows: int) -> tuple[Codes, int]:
    """Class of each row, numbered without gaps in the order in which they first come, and how many there are."""
    key = np.zeros(rows, dtype=np.int64)
    span = 1
    for codes in columns:
        width = int(codes.max()) + 1 if rows else 1
        if span * width >= WIDEST:
            key, span = dense(key)
        key = key * width + codes
        span *= width
    return dense(key)


def dense(key: Codes) -> tuple[Codes, int]:
    """The same classes numbered without gaps, in the order in which they first come."""
    coded = pc.dictionary_encode(pa.array(key))
    return coded.indices.to_numpy().astype(np.int64), len(coded.dictionary)


@dataclass(frozen=True, slots=True)
class Held:
    """Which values of one sensitive column the classes hold: `count[i]` rows of class `owner[i]` have value `value[i]`.

    No pair of owner and value comes twice. `total` counts each value in the whole table, whatever is dropped.
    """

    owner: Codes
    value: Codes
    count: Codes
    total: Codes

    def merged(self, classes: Codes) -> Held:
        """The same when each owner becomes part of another class."""
        return _summed(classes[self.owner], self.value, self.count, self.total)

    def renamed(self, values: Codes) -> Held:
        """The same when each value becomes another, several perhaps the same."""
        total = np.bincount(values, weights=self.total).astype(np.int64)
        return _summed(self.owner, values[self.value], self.count, total)

    def distinct(self, number: int) -> Codes:
        """How many distinct values each class holds."""
        return np.bincount(self.owner, minlength=number).astype(np.int64)

    def sum(self, terms: Floats, number: int) -> Floats:
        """The terms, one a pair, summed over each class."""
        return np.asarray(np.bincount(self.owner, weights=terms, minlength=number), np.float64)

    def most(self, terms: Floats, number: int) -> Floats:
        """The largest of the terms in each class."""
        largest = np.full(number, -np.inf)
        np.maximum.at(largest, self.owner, terms)
        return largest


def _summed(owner: Codes, value: Codes, count: Codes, total: Codes) -> Held:
    """Pairs that are alike made one."""
    pairs, number = numbered([owner, value], len(owner))
    first = _first(pairs, number)
    return Held(
        owner=owner[first],
        value=value[first],
        count=np.bincount(pairs, weights=count, minlength=number).astype(np.int64),
        total=total,
    )


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of a table at one node: the first tuple of each, rising, its rows, its sensitive values."""

    tuples: Codes
    sizes: Codes
    held: Mapping[str, Held]

    def __len__(self) -> int:
        return len(self.sizes)

    def merged(self, classes: Codes, number: int) -> Classes:
        """The classes after each became part of the one that is named."""
        return Classes(
            tuples=self.tuples[_first(classes, number)],
            sizes=np.bincount(classes, weights=self.sizes, minlength=number).astype(np.int64),
            held={name: held.merged(classes) for name, held in self.held.items()},
        )

    def only(self, keep: Mask) -> Classes:
        """Some of the classes, numbered anew."""
        place = np.cumsum(keep) - 1
        held = {}
        for name, values in self.held.items():
            kept = keep[values.owner]
            held[name] = Held(place[values.owner[kept]], values.value[kept], values.count[kept], values.total)
        return Classes(self.tuples[keep], self.sizes[keep], held)


@dataclass(frozen=True, slots=True)
class Tuples:
    """A table's distinct tuples: a code per quasi-identifier, and the finest classes over them."""

    codes: tuple[Codes, ...]
    finest: Classes
    rows: int


def tuples(quasi: Sequence[Codes], sensitive: Mapping[str, Codes], counts: Codes) -> tuple[Tuples, Codes]:
    """The distinct tuples of coded rows that stand for `counts` rows each, and the tuple of each."""
    rows = len(counts)
    place, number = numbered(quasi, rows)
    first = _first(place, number)
    held = {}
    for name, codes in sensitive.items():
        every = np.arange(rows, dtype=np.int64)
        total = np.bincount(codes, weights=counts).astype(np.int64)
        held[name] = Held(every, codes, counts, total).merged(place)
    sizes = np.bincount(place, weights=counts, minlength=number).astype(np.int64)
    finest = Classes(np.arange(number, dtype=np.int64), sizes, held)
    return Tuples(tuple(codes[first] for codes in quasi), finest, int(counts.sum())), place


def tuples_of_relation(
    connection: Any, relation: str, quasi: Sequence[str], sensitive: Sequence[str] = ()
) -> tuple[Tuples, Mapping[str, Coded]]:
    """The distinct tuples of a table or view that a DuckDB connection knows, and its columns coded over them.

    DuckDB groups the rows, wherever they lie, and only what is distinct comes here; `Coded.codes` has a code for
    each distinct combination of all the columns.
    """
    names = [*quasi, *sensitive]
    columns = ", ".join(_quoted(name) for name in names)
    found = connection.table(relation).aggregate(f"{columns}, count(*)", columns).to_arrow_table()
    coded = {name: encode(found.column(place)) for place, name in enumerate(names)}
    counts = found.column(len(names)).to_numpy()
    held = {name: coded[name].codes for name in sensitive}
    return tuples([coded[name].codes for name in quasi], held, counts)[0], coded


def _quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def distinct_per_class(classes: Codes, number: int, sensitive: Codes) -> Codes:
    """How many distinct values of one coded column each class holds."""
    pairs, pairs_number = numbered([classes, sensitive], len(classes))
    return np.bincount(classes[_first(pairs, pairs_number)], minlength=number).astype(np.int64)


def _first(places: Codes, number: int) -> Codes:
    """The first row at each place."""
    first = np.zeros(number, dtype=np.int64)
    # The last write wins, so the rows are written backwards.
    first[places[::-1]] = np.arange(len(places) - 1, -1, -1)
    return first
