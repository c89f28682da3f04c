"""Hierarchies in ARX's file form: a line a value, `;` between the value and its parents, from the finest to the coarsest.

23;20-24;20-39;*
24;20-24;20-39;*
"""

from __future__ import annotations

import csv
import io
from itertools import pairwise

from exchange.desensitization.policy import Hierarchy, Tree, Whole
from exchange.desensitization.policy.members import MAX_TREE_VALUES, refused

MAX_BYTES = 64 * 1024 * 1024


def read(data: bytes, field: str) -> Hierarchy:
    """The hierarchy of a file in UTF-8 or GB 18030; a last level of one single label is the `*` that all have anyway.

    Raises PolicyRefused, naming the line: for a gap, a line that is shorter or longer than the first, a value
    that comes twice, and a group with two parents, which would make a coarser level tell more than a finer one.
    """
    lines: dict[str, tuple[int, tuple[str, ...]]] = {}
    parents: dict[tuple[int, str], tuple[str, int]] = {}
    width = 0
    for number, cells in _lines(data, field):
        if not lines:
            width = len(cells)
        if width < 2:
            raise _wrong(field, number, "one cell only", "put `;` between a value and its parents")
        if len(cells) != width:
            raise _wrong(
                field,
                number,
                f"{len(cells)} cells, and {width} in the first line",
                "give every value as many levels; repeat a parent where one is missing",
            )
        if "" in cells:
            raise _wrong(field, number, f"cell {cells.index('') + 1} is empty", "name every parent")
        value, path = cells[0], tuple(cells[1:])
        if value in lines:
            raise _wrong(
                field, number, f"{value!r} stands in line {lines[value][0]} already", "keep one of the lines"
            )
        for level, (child, parent) in enumerate(pairwise(path)):
            known, first = parents.setdefault((level, child), (parent, number))
            if known != parent:
                raise _wrong(
                    field,
                    number,
                    f"{child!r} lies in {parent!r}, and in {known!r} in line {first}",
                    "give every group one parent",
                )
        lines[value] = (number, path)
        if len(lines) > MAX_TREE_VALUES:
            raise _wrong(field, number, f"more than {MAX_TREE_VALUES} values", "generalize by a rule instead")
    if not lines:
        raise refused(field, "the file holds no line", "write a line a value, `value;parent;…;*`")
    paths = {value: path for value, (_, path) in lines.items()}
    if len({path[-1] for path in paths.values()}) == 1:
        paths = {value: path[:-1] for value, path in paths.items()}
    return Tree(paths) if any(paths.values()) else Whole()


def _lines(data: bytes, field: str) -> list[tuple[int, list[str]]]:
    if len(data) > MAX_BYTES:
        raise refused(field, f"at most {MAX_BYTES} bytes, found {len(data)}", "generalize by a rule instead")
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise refused(field, "neither UTF-8 nor GB 18030", "save the file as UTF-8")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";", strict=True)
    found = []
    try:
        for cells in reader:
            if cells:
                found.append((reader.line_num, [cell.strip() for cell in cells]))
    except csv.Error as error:
        raise _wrong(field, reader.line_num, str(error), "close the quotes") from error
    return found


def _wrong(field: str, line: int, what: str, remedy: str) -> Exception:
    return refused(field, f"line {line}: {what}", remedy)
