"""How large a table may be, checked before and while it is parsed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one table. `decoded_bytes` bounds the table in memory, so a compression bomb stops early."""

    file_bytes: int = 512 * 1024 * 1024
    rows: int = 20_000_000
    columns: int = 512
    decoded_bytes: int = 2 * 1024 * 1024 * 1024
    cell_bytes: int = 65_536
    name_characters: int = 128
