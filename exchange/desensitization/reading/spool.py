"""A table kept outside memory, column by column: what is looked at is one column at a time."""

from __future__ import annotations

import tempfile
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

_IN_MEMORY_BYTES = 256 * 1024 * 1024
_GROUP_BYTES = 128 * 1024 * 1024
"""What waits in memory until it is written: a column's piece of it is what a read takes at a time."""


class Spool:
    """The rows of a reader of record batches, in memory while they are few, else in a file that has no name.

    The file is compressed, for its owner alone, and gone with the process, however that ends. To `detect` it
    is a table.
    """

    def __init__(self, reader: Any) -> None:
        self._schema = reader.schema
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115  # closed by __exit__
        waiting: list[Any] = []
        size = 0
        with pq.ParquetWriter(self._file, self._schema, compression="lz4") as writer:
            for batch in reader:
                waiting.append(batch)
                size += batch.nbytes
                if size >= _GROUP_BYTES:
                    writer.write_table(pa.Table.from_batches(waiting), row_group_size=1 << 30)
                    waiting, size = [], 0
            if waiting:
                writer.write_table(pa.Table.from_batches(waiting), row_group_size=1 << 30)
        self._file.seek(0)
        self._parquet = pq.ParquetFile(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *trouble: object) -> None:
        self._file.close()

    @property
    def column_names(self) -> list[str]:
        """In the table's order."""
        names: list[str] = self._schema.names
        return names

    @property
    def num_columns(self) -> int:
        """How many columns."""
        return len(self._schema)

    @property
    def num_rows(self) -> int:
        """How many rows."""
        return int(self._parquet.metadata.num_rows)

    def column(self, name: str) -> Any:
        """One column whole, as the reader typed it."""
        place = self._schema.get_field_index(name)
        # A name with a dot in it would be read as a path into a nested column, so columns are read by their place.
        groups = [
            self._parquet.reader.read_row_group(group, column_indices=[place]).column(0)
            for group in range(self._parquet.num_row_groups)
        ]
        pieces = [piece for group in groups for piece in group.chunks]
        return pa.chunked_array(pieces, pieces[0].type).cast(self._schema.field(place).type)
