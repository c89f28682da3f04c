"""Parquet, believed no further than its pages bear it out: the footer's claims first, then page by page with checksums."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from exchange.desensitization.errors import UnreadableTable
from exchange.desensitization.reading.limits import Limits

_BATCH_ROWS = 8_192
"""Small enough that a batch of cells at the limit's size fits before it is counted."""


def schema(path: Path, limits: Limits) -> Any:
    """The flat schema that the file is read as; what the footer itself claims beyond the limits is refused here."""
    file = _open(path)
    metadata = file.metadata
    limits.require_rows(metadata.num_rows)
    limits.require_names(file.schema_arrow.names)
    limits.require_decoded(
        sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    )
    return pa.schema([pa.field(field.name, _flat_type(field)) for field in file.schema_arrow])


def rows(path: Path) -> int:
    """How many rows the footer claims."""
    return int(_open(path).metadata.num_rows)


def batches(path: Path) -> Iterator[Any]:
    """The rows as the file types them."""
    yield from _open(path).iter_batches(batch_size=_BATCH_ROWS)


def _open(path: Path) -> Any:
    return pq.ParquetFile(
        path,
        thrift_string_size_limit=64 * 1024 * 1024,
        thrift_container_size_limit=1_000_000,
        page_checksum_verification=True,
    )


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
