"""Rows as CSV for spreadsheets: RFC 4180, read rightly by a Chinese Excel, and never taken for a formula.

A sheet begins with a byte order mark: without one, Excel on a Chinese Windows reads UTF-8 as GB 18030. Text that a
spreadsheet would compute gets an apostrophe before it (OWASP, CSV injection; the full-width signs too, which East
Asian spreadsheets fold to the others). Numbers are integers and stay as they are.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

BOM = b"\xef\xbb\xbf"
CSV = "text/csv; charset=utf-8; header=present"

_COMPUTED = tuple("=+-@\t\r\n＝＋－＠")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def sheet_lines(rows: Iterable[Sequence[str | int | None]]) -> bytes:
    """Rows as lines of a sheet, each ended by CRLF; None is an empty cell."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def moment(time_us: int) -> str:
    """Microseconds since the epoch as RFC 3339 in UTC: a spreadsheet would round sixteen digits."""
    at = _EPOCH + timedelta(microseconds=time_us)
    return at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def wants_csv(path: str, accept: str) -> bool:
    """Whether a request asks for a sheet: by `.csv`, or by an Accept that names CSV and not JSON."""
    if path.endswith(".csv"):
        return True
    kinds = {part.split(";")[0].strip().lower() for part in accept.split(",")}
    return "text/csv" in kinds and "application/json" not in kinds


def _cell(value: str | int | None) -> str | int | None:
    return f"'{value}" if isinstance(value, str) and value.startswith(_COMPUTED) else value
