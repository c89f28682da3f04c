"""`exchange desensitize extract`: a department's PostgreSQL table as a file that can be scanned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

_DISK_BYTES = 1 << 40
"""A table of a tebibyte: beyond it, take it out in parts."""

console = Console()
progress_console = Console(stderr=True)


def extract(
    table: Annotated[str, typer.Argument(help="The table or view, as in SQL: schema.table.")],
    out: Annotated[
        Path, typer.Option(help="The Parquet file to write; only its owner can read it.", dir_okay=False)
    ],
    url: Annotated[
        str,
        typer.Option(
            "--from",
            help="The database: postgresql://user@host/name, or service=NAME. Keep the password in ~/.pgpass.",
        ),
    ] = "",
) -> None:
    """Take a PostgreSQL table out, for `scan` and `apply`: one snapshot, read-only, nothing changed.

    A report binds the bytes of a file, which a live table has none of. Without --from the variables of libpq
    (PGHOST, PGSERVICE …) say where the database is.
    """
    from exchange.desensitization.reading.limits import inside
    from exchange.extract import extract_table

    with Progress(
        SpinnerColumn(),
        TextColumn("take rows out"),
        BarColumn(),
        TextColumn("{task.completed}"),
        TimeElapsedColumn(),
        console=progress_console,
        transient=True,
    ) as bars:
        task = bars.add_task("", total=None)
        rows = extract_table(
            url,
            table,
            out,
            inside(_DISK_BYTES),
            lambda done, total: bars.update(task, completed=done, total=total),
        )
    console.print(f"{rows} rows written to {out}. Next: exchange desensitize scan {out}", soft_wrap=True)
