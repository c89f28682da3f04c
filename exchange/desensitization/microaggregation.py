"""Groups of rows that are alike, each of at least so many, and the one value that stands for a group.

On one line the values are cut into runs; in several dimensions by MDAV (Domingo-Ferrer and Torra, Ordinal,
continuous and heterogeneous k-anonymity through microaggregation, 2005), within blocks of neighbours where the
rows are too many for distances between all. Places that are NaN belong to no line; a group -1 is none.
"""

from __future__ import annotations

from typing import assert_never

import numpy as np

from exchange.desensitization.policy import Statistic
from exchange.desensitization.search.classes import Codes, Floats

_BLOCK = 2048
"""Rows between which distances are taken: MDAV's time grows with their square."""


def grouped_values(places: Floats, counts: Codes, least: int) -> Codes:
    """The group of each distinct place, which stands for `counts` rows: runs of at least `least` rows, equal rows together."""
    groups = np.full(len(places), -1, dtype=np.int64)
    order = np.argsort(places, kind="stable")
    order = order[: int(np.count_nonzero(np.isfinite(places)))]
    if int(counts[order].sum()) < least:
        return groups
    group = held = 0
    for place, count in zip(order.tolist(), counts[order].tolist(), strict=True):
        if held >= least:
            group, held = group + 1, 0
        groups[place] = group
        held += count
    if held < least:
        groups[groups == group] = group - 1
    return groups


def grouped(rows: Floats, least: int) -> Codes:
    """The group of each row of a matrix, at least `least` rows in each; the same whatever order the rows come in.

    Rows that lack a place are grouped with those that lack the same; fewer than `least` of them have no group.
    """
    groups = np.full(len(rows), -1, dtype=np.int64)
    lacking = ~np.isfinite(rows)
    number = 0
    for pattern in np.unique(lacking, axis=0):
        members = np.flatnonzero((lacking == pattern).all(axis=1))
        if len(members) < least or pattern.all():
            continue
        found = rows[members][:, ~pattern]
        spread = found.std(axis=0)
        found = (found - found.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        # By value first: what comes of equal distances must not hang on the order of the rows.
        order = np.lexsort(found.T[::-1])
        for block in _blocks(found[order], np.arange(len(order)), least):
            for group in _mdav(found[order][block], least):
                groups[members[order[block[group]]]] = number
                number += 1
    return groups


def aggregated(places: Floats, counts: Codes, groups: Codes, statistic: Statistic) -> Floats:
    """The statistic of each place's group: its mean, its lower median, or its most frequent value (of several the least)."""
    made = np.full(len(places), np.nan)
    inside = np.flatnonzero((groups >= 0) & np.isfinite(places))
    if not len(inside):
        return made
    order = inside[np.lexsort((places[inside], groups[inside]))]
    number = int(groups.max()) + 1
    in_order, weights = groups[order], counts[order]
    of_group = np.full(number, np.nan)
    rows = np.bincount(in_order, weights=weights, minlength=number)
    match statistic:
        case "mean":
            # Around the least of each group: a sum of large numbers would round away what tells them apart.
            first = np.zeros(number)
            starts = np.flatnonzero(np.diff(in_order, prepend=-1))
            first[in_order[starts]] = places[order[starts]]
            excess = np.bincount(
                in_order, weights=(places[order] - first[in_order]) * weights, minlength=number
            )
            of_group = first + excess / np.maximum(rows, 1)
        case "median":
            before = np.cumsum(weights) - weights
            start = np.zeros(number)
            firsts = np.flatnonzero(np.diff(in_order, prepend=-1))
            start[in_order[firsts]] = before[firsts]
            middle = (rows[in_order] - 1) // 2
            reached = (before - start[in_order] <= middle) & (before - start[in_order] + weights > middle)
            of_group[in_order[reached]] = places[order[reached]]
        case "mode":
            new = np.flatnonzero(
                (np.diff(in_order, prepend=-1) != 0) | (np.diff(places[order], prepend=np.nan) != 0)
            )
            frequency = np.add.reduceat(weights, new)
            best = np.lexsort((places[order[new]], -frequency, in_order[new]))
            winners = new[best[np.flatnonzero(np.diff(in_order[new][best], prepend=-1))]]
            of_group[in_order[winners]] = places[order[winners]]
        case _:
            assert_never(statistic)
    made[inside] = of_group[groups[inside]]
    return made


def _blocks(rows: Floats, members: Codes, least: int) -> list[Codes]:
    """The rows halved at the middle of their widest side until a block is small enough."""
    if len(members) <= max(_BLOCK, 2 * least):
        return [members]
    here = rows[members]
    side = int(np.argmax(here.max(axis=0) - here.min(axis=0)))
    order = members[np.argsort(here[:, side], kind="stable")]
    middle = len(order) // 2
    return _blocks(rows, np.sort(order[:middle]), least) + _blocks(rows, np.sort(order[middle:]), least)


def _mdav(rows: Floats, least: int) -> list[Codes]:
    """Maximum distance to average vector: the row furthest from the mean takes its nearest, then the row furthest from it."""
    left = np.arange(len(rows))
    groups = []

    def take(around: int) -> None:
        nonlocal left
        near = np.argpartition(_distances(rows[left], rows[around]), least - 1)[:least]
        groups.append(left[near])
        left = np.delete(left, near)

    while len(left) >= 3 * least:
        first = left[np.argmax(_distances(rows[left], rows[left].mean(axis=0)))]
        second_from = rows[first]
        take(int(first))
        take(int(left[np.argmax(_distances(rows[left], second_from))]))
    if len(left) >= 2 * least:
        take(int(left[np.argmax(_distances(rows[left], rows[left].mean(axis=0)))]))
    groups.append(left)
    return groups


def _distances(rows: Floats, point: Floats) -> Floats:
    apart: Floats = ((rows - point) ** 2).sum(axis=1)
    return apart
