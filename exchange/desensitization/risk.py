"""Equivalence classes over the quasi-identifiers and the figures that follow from them; NULL is a value of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from exchange.desensitization.classes import Codes, distinct_per_class, group
from exchange.desensitization.judge import Risk

MILLION = 1_000_000


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
