"""How large a table may be and how its columns may be called, checked before and while it is parsed."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from exchange.desensitization.errors import TableTooLarge, UnreadableTable


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one table. `decoded_bytes` bounds the table in memory, so a compression bomb stops early."""

    file_bytes: int = 512 * 1024 * 1024
    rows: int = 20_000_000
    columns: int = 512
    decoded_bytes: int = 2 * 1024 * 1024 * 1024
    cell_bytes: int = 65_536
    name_characters: int = 128
    files: int = 10_000

    def require_file(self, found: int) -> None:
        """Raises TableTooLarge for a file, or a folder of files, of so many bytes."""
        if found > self.file_bytes:
            raise TableTooLarge(
                f"{found} bytes, the limit is {self.file_bytes}",
                rule=f"at most {self.file_bytes} bytes",
                remedy="split the table",
            )

    def require_rows(self, found: int) -> None:
        """Raises TableTooLarge for so many rows."""
        if found > self.rows:
            raise TableTooLarge(
                f"more than {self.rows} rows", rule=f"at most {self.rows} rows", remedy="split the table"
            )

    def require_decoded(self, found: int) -> None:
        """Raises TableTooLarge for a table of so many bytes in memory."""
        if found > self.decoded_bytes:
            raise TableTooLarge(
                f"more than {self.decoded_bytes} bytes when decoded",
                rule=f"at most {self.decoded_bytes} bytes when decoded",
                remedy="split the table",
            )

    def require_names(self, names: Sequence[str]) -> None:
        """Raises UnreadableTable unless the columns have distinct printable names, and TableTooLarge for too many."""
        if not names:
            raise empty()
        if len(names) > self.columns:
            raise TableTooLarge(
                f"{len(names)} columns, the limit is {self.columns}",
                rule=f"at most {self.columns} columns",
                remedy="leave columns out",
            )
        seen: set[str] = set()
        for place, name in enumerate(names, 1):
            fault = None
            if not name.strip():
                fault = "is empty"
            elif len(name) > self.name_characters:
                fault = f"is longer than {self.name_characters} characters"
            elif not name.isprintable() or name != unicodedata.normalize("NFC", name):
                fault = "holds characters that cannot be printed, or is not in NFC"
            elif name in seen:
                fault = f"{name!r} stands twice"
            if fault is not None:
                raise UnreadableTable(
                    f"the name of column {place} {fault}",
                    field=f"column {place}",
                    rule=f"distinct printable names of 1 to {self.name_characters} characters",
                    remedy="rename the column in the header",
                )
            seen.add(name)


def inside(found: int) -> Limits:
    """The limits where a department reads its own table of so many bytes: a table may be as large as the disk.

    What it unfolds to is still bounded, by a hundred times its size: more is a bomb.
    """
    usual = Limits()
    return Limits(
        file_bytes=max(found, usual.file_bytes),
        rows=2_000_000_000,
        decoded_bytes=max(100 * found, usual.decoded_bytes),
    )


def empty() -> UnreadableTable:
    """The refusal of a table without rows."""
    return UnreadableTable(
        "the table has no rows",
        rule="an empty table is refused: no risk can be measured on it",
        remedy="send a table with rows",
    )
