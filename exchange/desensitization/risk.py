"""Equivalence classes over the quasi-identifiers and the figures that follow from them; NULL is a value of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from exchange.desensitization.judge import Risk

Codes = npt.NDArray[np.int64]

MILLION = 1_000_000
_DENSE = 1 << 24
_WIDEST = 1 << 62


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
    key = np.zeros(rows, dtype=np.int64)
    span = 1
    for codes in columns:
        width = int(codes.max()) + 1 if rows else 1
        if span * width >= _WIDEST:
            key, span = _dense(key, span)
        key = key * width + codes
        span *= width
    key, span = _dense(key, span)
    return key, np.bincount(key, minlength=span).astype(np.int64)


def distinct_per_class(classes: Codes, number: int, sensitive: Codes) -> Codes:
    """How many distinct values of one coded column each class holds."""
    width = int(sensitive.max()) + 1
    pairs = np.unique(classes * width + sensitive)
    return np.bincount(pairs // width, minlength=number).astype(np.int64)


def persons_per_class(classes: Codes, sizes: Codes, persons: Sequence[Codes]) -> Codes:
    """How many persons each class holds: its rows, or fewer where a pseudonym shows that rows are of one person."""
    fewest = sizes
    for codes in persons:
        fewest = np.minimum(fewest, distinct_per_class(classes, len(sizes), codes))
    return fewest


def measure_risk(
    quasi: Sequence[tuple[str, Codes]],
    sensitive: Sequence[tuple[str, Codes]],
    persons: Sequence[Codes],
    rows: int,
) -> Risk:
    """The figures over these columns; a column that is both is only a quasi-identifier. `rows` is above zero."""
    names = tuple(name for name, _ in quasi)
    classes, sizes = group([codes for _, codes in quasi], rows)
    heads = persons_per_class(classes, sizes, persons)
    k = int(heads.min())
    unique = int(sizes[heads == 1].sum())
    number = len(sizes)
    return Risk(
        quasi_identifiers=names,
        rows=rows,
        classes=number,
        k=k,
        l=tuple(
            (name, int(distinct_per_class(classes, number, codes).min()))
            for name, codes in sensitive
            if name not in names
        ),
        unique_rows=unique,
        prosecutor_ppm=share_ppm(1, k),
        marketer_ppm=share_ppm(number, rows),
        uniqueness_ppm=share_ppm(unique, rows),
    )


def share_ppm(part: int, whole: int) -> int:
    """A share in parts per million, rounded up: a risk is never understated."""
    return -(-part * MILLION // whole)


def _dense(key: Codes, span: int) -> tuple[Codes, int]:
    """The same classes numbered without gaps."""
    if span <= max(_DENSE, 4 * len(key)):
        # A table of marks is faster than a sort while it fits the caches of the machine.
        present = np.zeros(span, dtype=bool)
        present[key] = True
        number = np.cumsum(present) - 1
        return number[key].astype(np.int64), int(number[-1]) + 1
    values, inverse = np.unique(key, return_inverse=True)
    return inverse.astype(np.int64), len(values)
