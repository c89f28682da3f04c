"""A bank's statement of the escrow account as CSV: read for `Exchange.import_statement`, and written by the sandbox's bank.

RFC 4180 in UTF-8, one header line, amounts in yuan with two decimals (in above nothing, out below it), times in RFC 3339:

    record,reference,time,amount,note
    opening,2026-11-27,2026-11-26T16:00:00Z,0.00,
    booking,in-20261127-0001,2026-11-27T01:15:00Z,5000.00,an enterprise
    booking,payout-5f0c3a9e7d21b846,2026-11-27T02:00:00Z,-300.00,to an enterprise
    closing,2026-11-27,2026-11-27T16:00:00Z,4700.00,

The first record is the opening balance and the last one the closing balance; their reference names the statement, their
times say from when to before when it tells. A note is for people, and stays with the bank.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from exchange.errors import Malformed
from exchange.messages.bank import StatementLineMessage, StatementMessage
from pricing.errors import PricingError
from pricing.money import format_fen, parse_fen

COLUMNS = ["record", "reference", "time", "amount", "note"]
SIZE_LIMIT = 16 << 20

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_statement(path: Path) -> StatementMessage:
    """The statement in a file; Malformed naming the line and what is wrong with it."""
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise _refused("file", f"{path} has more than {SIZE_LIMIT >> 20} MiB")
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise _refused("file", f"{path} cannot be read: {error}") from error
    return parse_statement(text)


def parse_statement(text: str) -> StatementMessage:
    """The same of a text."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        if next(rows, None) != COLUMNS:
            raise _refused("line 1", f"the columns are {','.join(COLUMNS)}")
        records = [(rows.line_num, row) for row in rows if row]
    except csv.Error as error:
        raise _refused(f"line {rows.line_num}", str(error)) from error
    kinds = [row[0] for _, row in records]
    if kinds != ["opening", *["booking"] * (len(kinds) - 2), "closing"]:
        raise _refused("record", "an opening, any number of bookings, and a closing, in this order")
    read = [_record(number, row) for number, row in records]
    (name, begins_us, opening_fen), *bookings, (closed, ends_us, closing_fen) = read
    if name != closed:
        raise _refused("reference", f"it opens as {name!r} and closes as {closed!r}")
    try:
        return StatementMessage(
            statement=name,
            begins_us=begins_us,
            ends_us=ends_us,
            opening_fen=opening_fen,
            closing_fen=closing_fen,
            lines=[
                StatementLineMessage(reference=reference, booked_us=booked_us, amount_fen=fen)
                for reference, booked_us, fen in bookings
            ],
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise _refused(".".join(map(str, first["loc"])), str(first["msg"])) from error


def write_statement(statement: StatementMessage, notes: Sequence[str] = ()) -> str:
    """A statement as CSV, each booking with its note."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    edges = (statement.begins_us, statement.opening_fen), (statement.ends_us, statement.closing_fen)
    (begins, opening), (ends, closing) = ((_moment(us), format_fen(fen)) for us, fen in edges)
    writer.writerow(["opening", statement.statement, begins, opening, ""])
    for line, note in zip(statement.lines, [*notes, *[""] * len(statement.lines)], strict=False):
        writer.writerow(
            ["booking", line.reference, _moment(line.booked_us), format_fen(line.amount_fen), note]
        )
    writer.writerow(["closing", statement.statement, ends, closing, ""])
    return text.getvalue()


def _record(number: int, row: list[str]) -> tuple[str, int, int]:
    """Reference, time in microseconds and amount in fen of a line."""
    if len(row) != len(COLUMNS):
        raise _refused(f"line {number}", f"{len(row)} columns of {len(COLUMNS)}")
    _, reference, time, amount, _ = row
    try:
        at = datetime.fromisoformat(time)
    except ValueError as error:
        raise _refused(f"line {number}, time", f"{time!r} is no RFC 3339 time") from error
    if at.tzinfo is None:
        raise _refused(f"line {number}, time", f"{time!r} names no zone")
    try:
        fen = parse_fen(amount.removeprefix("-"))
    except PricingError as error:
        raise _refused(f"line {number}, amount", f"{amount!r} is no amount of yuan") from error
    since: Any = at - _EPOCH
    return reference, since // timedelta(microseconds=1), -fen if amount.startswith("-") else fen


def _moment(us: int) -> str:
    return (_EPOCH + timedelta(microseconds=us)).isoformat().replace("+00:00", "Z")


def _refused(field: str, detail: str) -> Malformed:
    return Malformed(
        "statement.form",
        detail,
        field=field,
        rule=f"a statement is CSV in UTF-8 with the columns {','.join(COLUMNS)}",
        remedy="export it from the bank once more, or correct the line that is named",
    )
