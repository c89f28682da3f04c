"""CSV as departments write it: UTF-8 with or without its mark, UTF-16, GB 18030; comma, semicolon, tab or bar."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from exchange.desensitization.errors import TableTooLarge, UnreadableTable
from exchange.desensitization.reading.limits import Limits, empty

_BLOCK = 4 * 1024 * 1024
_RULE = "text in UTF-8, UTF-16 or GB 18030, Parquet, or an Excel workbook (xlsx, xls)"


def header(path: Path, limits: Limits) -> tuple[list[str], str, str]:
    """The column names, the delimiter and the encoding. Every byte is decoded once before a cell is parsed."""
    encoding = _encoding(path)
    longest = limits.columns * (limits.name_characters + 3)
    with path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="") as file:
        line = file.readline(longest)
    if len(line) == longest:
        raise TableTooLarge(
            "the first line does not end",
            rule=f"a header of at most {limits.columns} names of {limits.name_characters} characters",
            remedy="check that the file is a CSV table with a header line",
        )
    if line.count('"') % 2:
        raise UnreadableTable(
            "a name in the header holds a line break, or a quotation mark that does not end",
            rule="one header line, no line break in a name",
            remedy="write the header on one line",
        )
    delimiter = max(",;\t|", key=line.count)
    return next(csv.reader(io.StringIO(line.rstrip("\r\n")), delimiter=delimiter), []), delimiter, encoding


def batches(path: Path, names: list[str], delimiter: str, encoding: str) -> Iterator[Any]:
    """The rows, every cell as text, an empty one as NULL."""
    try:
        reader = pyarrow.csv.open_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(block_size=_BLOCK, encoding=encoding),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        # A header and nothing below it.
        if path.stat().st_size < _BLOCK and not _second_line(path, encoding):
            raise empty() from error
        raise
    if reader.schema.names != names:
        raise UnreadableTable(
            "the header reads differently a second time",
            rule="one header line, a quoted name quoted whole",
            remedy="export the table again as CSV (UTF-8)",
        )
    yield from reader


def _second_line(path: Path, encoding: str) -> bool:
    with path.open(encoding=encoding, newline="") as file:
        file.readline()
        return bool(file.read(1024).strip())


def _encoding(path: Path) -> str:
    """UTF-16 behind its byte order mark, UTF-8 where the bytes are UTF-8, else GB 18030 where they are that, else refused."""
    with path.open("rb") as file:
        mark = file.read(2)
    for name in ("utf-16",) if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else ("utf-8", "gb18030"):
        if _decodes(path, name):
            return name
    raise UnreadableTable(
        "the bytes are neither UTF-8 nor GB 18030, nor UTF-16 behind its mark",
        rule=_RULE,
        remedy="export the table again as CSV (UTF-8)",
    )


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    with path.open("rb") as file:
        block = b"-"
        while block:
            block = file.read(_BLOCK)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError:
                return False
            if "\0" in text:
                raise UnreadableTable(
                    "the file holds zero bytes, so it is no CSV text",
                    rule=_RULE,
                    remedy="export the table again as CSV (UTF-8)",
                )
    return True
