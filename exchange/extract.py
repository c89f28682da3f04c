"""Takes one table or view out of a PostgreSQL database as a Parquet file: one snapshot, typed as the database types it.

A scan binds its report to the bytes of a file, and a live table has none: it is taken out once, inside the
department, and scanned and desensitized from there. Rows stream, so the table may be larger than memory.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from psycopg import sql

from exchange.desensitization.errors import UnreadableTable
from exchange.desensitization.reading.limits import Limits, empty

_BLOCK = 4 * 1024 * 1024
_LONGEST_DECIMAL = 38


def extract_table(
    url: str, table: str, target: Path, limits: Limits, progress: Callable[[int, int], None] | None = None
) -> int:
    """Write the table (`name` or `schema.name`; a view too) to `target`, readable by its owner alone, and count its rows.

    Reads in one read-only snapshot and changes nothing. NULL and the empty text stay apart. The file appears whole
    or not at all. Raises UnreadableTable where there is no such table, a column has no flat type, or the
    database cannot be read; TableTooLarge where a limit is passed.
    """
    try:
        with psycopg.connect(url, autocommit=False) as connection:
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("SET LOCAL TimeZone = 'UTC'")
            connection.execute("SET LOCAL DateStyle = 'ISO'")
            name, estimate = _found(connection, table)
            schema, selection = _columns(connection, name, limits)
            query = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT (FORMAT csv)").format(selection, name)
            with _appearing(target) as partial, connection.cursor().copy(query) as copy:
                return _written(copy, schema, partial, limits, estimate, progress)
    except psycopg.Error as error:
        raise UnreadableTable(
            f"the database refuses: {type(error).__name__}",
            field="table",
            rule="the address leads to a PostgreSQL database whose user may read the table",
            remedy="check address, user and grants; psql with the same address says more",
        ) from error


def _found(connection: psycopg.Connection[Any], table: str) -> tuple[sql.Identifier, int]:
    """The table's full name, and about how many rows it has."""
    row = connection.execute(
        "SELECT n.nspname, c.relname, greatest(c.reltuples, 0)::bigint FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.oid = to_regclass(%s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')",
        [table],
    ).fetchone()
    if row is None:
        raise UnreadableTable(
            f"there is no table {table!r}",
            field="table",
            rule="the name of a table or view, with its schema where it is not on the search path",
            remedy='write it as in SQL: schema.table, and "Quoted" where it has capitals',
        )
    return sql.Identifier(row[0], row[1]), row[2]


_TYPES = {
    "bool": pa.bool_(),
    "int2": pa.int64(),
    "int4": pa.int64(),
    "int8": pa.int64(),
    "float4": pa.float64(),
    "float8": pa.float64(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
}
_AS_TEXT = {
    *("text", "varchar", "bpchar", "name", "char", "uuid", "json", "jsonb", "xml", "inet", "cidr"),
    *("macaddr", "macaddr8", "interval", "money", "timetz", "bit", "varbit", "citext"),
}


def _columns(
    connection: psycopg.Connection[Any], name: sql.Identifier, limits: Limits
) -> tuple[Any, sql.Composed]:
    """The Arrow schema and what to select for it; a column without a flat type is refused by its name."""
    rows = connection.execute(
        "SELECT a.attname, coalesce(b.typname, t.typname), t.typtype FROM pg_attribute a"
        " JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON b.oid = nullif(t.typbasetype, 0)"
        " WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        [name.as_string(connection)],
    ).fetchall()
    limits.require_names([column for column, *_ in rows])
    fields, selected = [], []
    for column, kind, form in rows:
        identifier: sql.Composable = sql.Identifier(column)
        if kind in _TYPES:
            typed = _TYPES[kind]
        elif kind == "numeric":
            typed = _decimal(connection, name, column)
        elif kind in _AS_TEXT or form == "e":
            typed, identifier = pa.string(), sql.SQL("{}::text").format(identifier)
        else:
            raise UnreadableTable(
                f"column {column!r} is of type {kind}",
                field=column,
                rule="a flat table of texts, numbers, truth values, dates and times",
                remedy="make a view that leaves the column out or casts it, and extract the view",
            )
        fields.append(pa.field(column, typed))
        selected.append(identifier)
    return pa.schema(fields), sql.SQL(", ").join(selected)


def _decimal(connection: psycopg.Connection[Any], name: sql.Identifier, column: str) -> Any:
    """The decimal type that holds every value of a column exactly."""
    row = connection.execute(
        sql.SQL(
            "SELECT coalesce(max(scale({0})), 0), coalesce(max(length(trunc(abs({0}))::text)), 1),"
            " count(*) FILTER (WHERE {0} IN ('NaN', 'Infinity', '-Infinity')) FROM {1}"
        ).format(sql.Identifier(column), name)
    ).fetchone()
    assert row is not None
    scale, whole, endless = row
    if endless or scale + whole > _LONGEST_DECIMAL:
        raise UnreadableTable(
            f"column {column!r} holds numbers that are endless or longer than {_LONGEST_DECIMAL} digits",
            field=column,
            rule=f"decimal numbers of at most {_LONGEST_DECIMAL} digits",
            remedy="make a view that rounds or casts the column, and extract the view",
        )
    return pa.decimal128(_LONGEST_DECIMAL, scale)


def _written(
    copy: psycopg.Copy,
    schema: Any,
    partial: Path,
    limits: Limits,
    estimate: int,
    progress: Callable[[int, int], None] | None,
) -> int:
    rows = decoded = 0
    stream = io.BufferedReader(_Arriving(copy), _BLOCK)
    if not stream.peek(1):
        raise empty()
    try:
        reader = pyarrow.csv.open_csv(
            stream,
            read_options=pyarrow.csv.ReadOptions(block_size=_BLOCK, column_names=schema.names),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=schema,
                null_values=[""],
                true_values=["t"],
                false_values=["f"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        with pq.ParquetWriter(partial, schema, compression="zstd", write_page_checksum=True) as writer:
            for batch in reader:
                rows += batch.num_rows
                decoded += batch.nbytes
                limits.require_rows(rows)
                limits.require_decoded(decoded)
                writer.write_batch(batch)
                if progress is not None:
                    progress(rows, max(estimate, rows))
    except pa.ArrowInvalid as error:
        raise UnreadableTable(
            "a value has no place in its column's type",
            field="table",
            rule="dates from year 1 to 9999, finite numbers, texts in the database's encoding",
            remedy="look for infinite or ancient dates, and extract a view without them",
        ) from error
    return rows


class _Arriving(io.RawIOBase):
    """The COPY as a file."""

    def __init__(self, copy: psycopg.Copy) -> None:
        self._blocks: Iterator[bytes | bytearray | memoryview] = iter(copy)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._left:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._left = memoryview(block)
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


@contextlib.contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """A file for its owner's eyes that takes its name only when all of it is written and nothing was raised."""
    partial = target.with_name(f".{target.name}.partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
