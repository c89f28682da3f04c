"""Read one flat table from a file that may be hostile: CSV in the encodings of departments, or Parquet.

Limits come before parsing: the size of the file, the header's own claims, then a running count while the
batches come. What is wrong is a named error and never a partial table. No cell is changed: a CSV column
becomes numbers or dates only if every value of it reads so and writes back the same (a leading zero stays
text), and an empty field is NULL.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from exchange.desensitization.errors import TableTooLarge, UnreadableTable
from exchange.desensitization.limits import Limits

Progress = Callable[[int, int], None]
"""Called with the work done and the work in all, in the same unit."""

_BLOCK = 4 * 1024 * 1024
_BATCH_ROWS = 8_192
"""Small enough that a batch of cells at the limit's size fits before it is counted."""
_ABSENT = ("NA", "N/A", "NaN", "nan", "NULL", "null")
"""Spellings of NULL in a column of numbers or dates; in a column of text they may be somebody's name."""


def file_digest(path: Path, salt: bytes = b"", progress: Progress | None = None) -> str:
    """SHA-256 of `salt` followed by the file's bytes, in hexadecimal.

    With a salt of 32 random bytes the digest binds the file and tells nothing about it: a table of known
    people could be guessed from a bare digest.
    """
    digest = hashlib.sha256(salt)
    total = path.stat().st_size
    done = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            if progress is not None:
                progress(done, total)
    return digest.hexdigest()


def read_table(path: Path, limits: Limits, progress: Progress | None = None) -> pa.Table:
    """The file's table, every column flat and one of: bool, int64, float64, decimal, date32, timestamp, time, string.

    Raises TableTooLarge when a limit is passed and UnreadableTable for everything else that is wrong; an
    empty table is refused, since no risk can be measured on it.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UnreadableTable(
            f"{path.name} cannot be opened: {error.strerror}",
            rule="the file is readable",
            remedy="check the path",
        ) from error
    if size > limits.file_bytes:
        raise TableTooLarge(
            f"{size} bytes, the limit is {limits.file_bytes}",
            rule=f"at most {limits.file_bytes} bytes",
            remedy="split the table",
        )
    with path.open("rb") as file:
        head = file.read(4)
    if not head:
        raise _empty()
    try:
        table = _parquet(path, limits, progress) if head == b"PAR1" else _csv(path, limits, progress)
        table.validate(full=True)
    except (MemoryError, pa.ArrowMemoryError) as error:
        raise TableTooLarge(
            "the table does not fit the memory that reading it may use",
            rule=f"at most {limits.decoded_bytes} bytes when decoded",
            remedy="split the table",
        ) from error
    except (pa.ArrowException, OSError, OverflowError, UnicodeError, ValueError) as error:
        raise _unreadable(error) from error
    if table.num_rows == 0:
        raise _empty()
    return table


def _parquet(path: Path, limits: Limits, progress: Progress | None) -> pa.Table:
    file = pq.ParquetFile(
        path,
        thrift_string_size_limit=64 * 1024 * 1024,
        thrift_container_size_limit=1_000_000,
        page_checksum_verification=True,
    )
    # The footer's own claims first: an honest bomb is refused before a page is opened.
    metadata = file.metadata
    _check_rows(metadata.num_rows, limits)
    schema = file.schema_arrow
    _check_names(schema.names, limits)
    _check_decoded(
        sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups)), limits
    )
    target = pa.schema([pa.field(field.name, _flat_type(field)) for field in schema])
    batches = file.iter_batches(batch_size=_BATCH_ROWS)
    return _collect(batches, target, limits, progress, metadata.num_rows)


def _flat_type(field: Any) -> Any:
    """The type that a column is read as; nested and binary ones are refused by name."""
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_uint64(kind):
        return pa.decimal128(20, 0)
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_date(kind):
        return pa.date32()
    if (
        pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_time(kind)
        or pa.types.is_timestamp(kind)
    ):
        return kind
    raise UnreadableTable(
        f"column {field.name!r} is of type {field.type}",
        field=str(field.name)[:100],
        rule="a flat table of texts, numbers, truth values, dates and times",
        remedy="flatten nested columns, and leave binary ones (pictures, templates, documents) out",
    )


def _csv(path: Path, limits: Limits, progress: Progress | None) -> pa.Table:
    encoding = _encoding(path)
    names, delimiter = _header(path, encoding, limits)
    _check_names(names, limits)
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
    if reader.schema.names != names:
        raise UnreadableTable(
            "the header reads differently a second time",
            rule="one header line, no line break in a name",
            remedy="write the header on one line",
        )
    target = pa.schema([pa.field(name, pa.string()) for name in names])
    text = _collect(iter(reader), target, limits, progress, None)
    return pa.table({name: _narrow(text.column(name)) for name in names})


def _encoding(path: Path) -> str:
    """UTF-8 where the bytes are UTF-8, else GB 18030 where they are that, else refused."""
    for name in ("utf-8", "gb18030"):
        if _decodes(path, name):
            return name
    raise UnreadableTable(
        "the bytes are neither UTF-8 nor GB 18030",
        rule="text in UTF-8 or GB 18030, or Parquet",
        remedy="export the table again as CSV (UTF-8)",
    )


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    with path.open("rb") as file:
        block = b"-"
        while block:
            block = file.read(_BLOCK)
            if b"\0" in block:
                raise UnreadableTable(
                    "the file holds zero bytes, so it is no CSV text",
                    rule="text in UTF-8 or GB 18030, or Parquet",
                    remedy="export the table again as CSV (UTF-8)",
                )
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError:
                return False
    return True


def _header(path: Path, encoding: str, limits: Limits) -> tuple[list[str], str]:
    """The column names and the delimiter: the one of comma, semicolon, tab, bar that the header has most of."""
    longest = limits.columns * (limits.name_characters + 3) * 4
    with path.open("rb") as file:
        line = file.readline(longest)
    if len(line) == longest:
        raise TableTooLarge(
            "the first line does not end",
            rule=f"a header of at most {limits.columns} names of {limits.name_characters} characters",
            remedy="check that the file is a CSV table with a header line",
        )
    text = line.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    delimiter = max(",;\t|", key=text.count)
    return next(csv.reader(io.StringIO(text.rstrip("\r\n")), delimiter=delimiter), []), delimiter


def _collect(
    batches: Iterator[Any], target: Any, limits: Limits, progress: Progress | None, total: int | None
) -> pa.Table:
    """All batches as one table of the target's types, the limits checked after each."""
    kept, rows, decoded = [], 0, 0
    for batch in batches:
        rows += batch.num_rows
        decoded += batch.nbytes + sum(_unfolded(column) for column in batch.columns)
        _check_rows(rows, limits)
        _check_decoded(decoded, limits)
        piece = pa.Table.from_batches([batch]).cast(target)
        for field in target:
            if pa.types.is_string(field.type):
                longest = pc.max(pc.binary_length(piece.column(field.name))).as_py() or 0
                if longest > limits.cell_bytes:
                    raise TableTooLarge(
                        f"a cell of {longest} bytes in column {field.name!r}",
                        field=field.name,
                        rule=f"at most {limits.cell_bytes} bytes in a cell",
                        remedy="leave documents out of the table",
                    )
        kept.append(piece)
        if progress is not None:
            progress(rows, total or rows)
    # One chunk a column: what follows reads the buffers.
    return pa.concat_tables(kept).combine_chunks() if kept else target.empty_table()


def _unfolded(column: Any) -> int:
    """How many bytes the texts of a dictionary column will take once each row has its own."""
    if not pa.types.is_dictionary(column.type):
        return 0
    kind = column.dictionary.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return 0
    return pc.sum(pc.binary_length(column.dictionary).take(column.indices)).as_py() or 0


def _narrow(column: Any) -> Any:
    """A CSV column of text as integers, decimals as float64, dates or times, if all of it is that and nothing is lost."""
    # Every distinct value is looked at once; most columns of numbers have few.
    coded = pc.dictionary_encode(column.combine_chunks())
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.unify_dictionaries().combine_chunks()
    values = coded.dictionary
    absent = pc.is_in(values, value_set=pa.array(_ABSENT))
    present = values.filter(pc.invert(absent))
    if len(present) == 0:
        return column
    for pattern, kind in (
        (r"^(0|-?[1-9][0-9]{0,14})$", pa.int64()),
        (r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?$", pa.float64()),
        (r"^(18|19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}$", pa.date32()),
        (r"^(18|19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2})?$", pa.timestamp("us")),
    ):
        if pc.all(pc.match_substring_regex(present, pattern)).as_py():
            try:
                narrowed = pc.if_else(absent, pa.scalar(None, pa.string()), values).cast(kind)
            except pa.ArrowInvalid:  # 2025-02-31 has the form of a date and is none: it stays text
                return column
            return narrowed.take(coded.indices)
    return column


def _check_names(names: list[str], limits: Limits) -> None:
    if not names:
        raise _empty()
    if len(names) > limits.columns:
        raise TableTooLarge(
            f"{len(names)} columns, the limit is {limits.columns}",
            rule=f"at most {limits.columns} columns",
            remedy="leave columns out",
        )
    seen: set[str] = set()
    for place, name in enumerate(names, 1):
        fault = None
        if not name.strip():
            fault = "is empty"
        elif len(name) > limits.name_characters:
            fault = f"is longer than {limits.name_characters} characters"
        elif not name.isprintable() or name != unicodedata.normalize("NFC", name):
            fault = "holds characters that cannot be printed, or is not in NFC"
        elif name in seen:
            fault = f"{name!r} stands twice"
        if fault is not None:
            raise UnreadableTable(
                f"the name of column {place} {fault}",
                field=f"column {place}",
                rule=f"distinct printable names of 1 to {limits.name_characters} characters",
                remedy="rename the column in the header",
            )
        seen.add(name)


def _check_rows(rows: int, limits: Limits) -> None:
    if rows > limits.rows:
        raise TableTooLarge(
            f"more than {limits.rows} rows", rule=f"at most {limits.rows} rows", remedy="split the table"
        )


def _check_decoded(decoded: int, limits: Limits) -> None:
    if decoded > limits.decoded_bytes:
        raise TableTooLarge(
            f"more than {limits.decoded_bytes} bytes when decoded",
            rule=f"at most {limits.decoded_bytes} bytes when decoded",
            remedy="split the table",
        )


def _empty() -> UnreadableTable:
    return UnreadableTable(
        "the table has no rows",
        rule="an empty table is refused: no risk can be measured on it",
        remedy="send a table with rows",
    )


def _unreadable(error: Exception) -> UnreadableTable:
    # The library's message may quote a cell, and this error leaves the process: only its first kind of word does.
    return UnreadableTable(
        f"the file is broken: {type(error).__name__}",
        rule="CSV (UTF-8 or GB 18030, one header line, equally many fields a row) or Parquet",
        remedy="open the file where it was made, and export it again",
    )
