"""Excel workbooks, xlsx and xls: one table a sheet, all sheets of one header, cells as Excel types them.

An xlsx file is a zip archive of XML, so it can be a bomb twice over. Every member is unpacked once and
thrown away, against what the archive claims of it and against the limits, before the parser sees it.
"""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa
import python_calamine as calamine

from exchange.desensitization.errors import UnreadableTable
from exchange.desensitization.reading.limits import Limits, empty

XLSX, XLS = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
"""The first bytes of a zip archive and of an OLE compound file."""

_BLOCK = 1024 * 1024
_MEMBERS = 4_096
_EXACT = 2**53


def table(path: Path, limits: Limits) -> Any:
    """All sheets with cells, one below the other. Raises UnreadableTable or TableTooLarge by name.

    The parser keeps a sheet in memory, from its first cell to its last: run this in a child with bounds.
    """
    with path.open("rb") as file:
        zipped = file.read(4) == XLSX
    if zipped:
        _require_honest(path, limits)
    try:
        book = calamine.load_workbook(str(path))
        sheets = [
            sheet.to_python(skip_empty_area=False)
            for sheet in (book.get_sheet_by_name(name) for name in book.sheet_names)
            if sheet.height
        ]
    except calamine.PasswordError as error:
        raise _broken("the workbook is locked with a password", "take the password off") from error
    except (calamine.CalamineError, ValueError) as error:
        raise _broken("the workbook is broken", "open it where it was made, and save it again") from error
    if not sheets:
        raise empty()
    names = [_text(name) for name in sheets[0][0]]
    limits.require_names(names)
    for place, sheet in enumerate(sheets[1:], 2):
        if [_text(name) for name in sheet[0]] != names:
            raise UnreadableTable(
                f"sheet {place} with cells has another header than the first",
                field=f"sheet {place}",
                rule="the sheets of a workbook are one table: one header, in the first row",
                remedy="keep each table in a workbook of its own, and delete the other sheets",
            )
    rows = [row for sheet in sheets for row in sheet[1:] if any(cell != "" for cell in row)]
    limits.require_rows(len(rows))
    return pa.table({name: _column(name, [row[place] for row in rows]) for place, name in enumerate(names)})


def _column(name: str, cells: Sequence[Any]) -> Any:
    """The cells of one column in the one type that all of them have; where they differ, as text."""
    present = {type(cell) for cell in cells if cell != ""}
    values = [None if cell == "" else cell for cell in cells]
    if float in present and not all(math.isfinite(cell) for cell in cells if isinstance(cell, float)):
        raise UnreadableTable(
            f"column {name!r} holds a number that is none or has no end",
            field=name,
            rule="numbers that a float64 can hold",
            remedy="format the column as text in Excel, and enter its values again",
        )
    if present == {bool}:
        return pa.array(values, pa.bool_())
    if present and present <= {int, float}:
        whole = all(value is None or (float(value).is_integer() and abs(value) < _EXACT) for value in values)
        if whole:
            return pa.array([None if value is None else int(value) for value in values], pa.int64())
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if present == {date}:
        return pa.array(values, pa.date32())
    if present and present <= {date, datetime}:
        return pa.array(
            [
                value if value is None or isinstance(value, datetime) else datetime.combine(value, time())
                for value in values
            ],
            pa.timestamp("us"),
        )
    if present == {time}:
        return pa.array(values, pa.time64("us"))
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _text(cell: Any) -> str:
    """A cell as Excel shows it; whole numbers without `.0`."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < _EXACT:
        return str(int(cell))
    return str(cell)


def _require_honest(path: Path, limits: Limits) -> None:
    """Unpack every member once, against its claims and the limits; nothing but values may be in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > _MEMBERS:
                raise _broken(f"the archive has {len(members)} members", "save the table alone in a workbook")
            names = {member.filename for member in members}
            if len(names) != len(members):
                raise _broken("the archive names a member twice", "save the workbook again with Excel")
            if "xl/workbook.xml" not in names:
                raise _broken(
                    "the file is a zip archive and no Excel workbook (xlsx)", "unpack it, or save as xlsx"
                )
            for name in names:
                if name.endswith("vbaProject.bin") or "/externalLinks/" in name or "/embeddings/" in name:
                    raise _broken(
                        "the workbook holds macros, links to other files or embedded objects",
                        "save the values alone as xlsx",
                    )
            limits.require_decoded(sum(member.file_size for member in members))
            for member in members:
                if member.flag_bits & 1:
                    raise _broken("the workbook is locked with a password", "take the password off")
                for part in _unpacked(archive, member):
                    _require_plain(part, member.filename)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError) as error:
        raise _broken("the workbook is broken", "open it where it was made, and save it again") from error


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """The member's bytes in blocks that overlap, so that nothing hides on a seam; its length and sum are checked."""
    before = b""
    with archive.open(member) as file:
        while block := file.read(_BLOCK):
            yield before + block
            before = block[-32:]


_FORBIDDEN = re.compile(rb"<!(DOCTYPE|ENTITY)|<(?:[A-Za-z]{1,8}:)?f[ />]")


def _require_plain(part: bytes, name: str) -> None:
    if not name.endswith((".xml", ".rels")):
        return
    found = _FORBIDDEN.search(part)
    if found is None:
        return
    if found[1]:
        raise _broken("the workbook defines XML entities", "save the workbook again with Excel")
    if name.startswith("xl/worksheets/"):
        raise UnreadableTable(
            "cells hold formulas, whose values nobody has computed for us",
            field=name,
            rule="a table of values",
            remedy="copy the table, paste it as values, and save it again",
        )


def _broken(detail: str, remedy: str) -> UnreadableTable:
    return UnreadableTable(
        detail, rule="an Excel workbook (xlsx, xls) of values, one header row, one table", remedy=remedy
    )
