"""Sheets: what a reader of RFC 4180 gets back, and what a spreadsheet must not compute."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.sheets import moment, sheet_lines, wants_csv

# What the standard's reader can tell apart: a lone NUL or a surrogate is no text of ours.
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t\r\n"))


def read(sheet: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(sheet.decode(), newline=""), strict=True))


@given(st.lists(st.lists(texts | st.integers() | st.none(), min_size=2, max_size=5), max_size=5))
def test_every_cell_comes_back_as_it_was_but_for_the_apostrophe(
    rows: list[list[str | int | None]],
) -> None:
    found = read(sheet_lines(rows))
    assert len(found) == len(rows)
    for row, back in zip(rows, found, strict=True):
        for cell, text in zip(row, back, strict=True):
            plain = "" if cell is None else str(cell)
            assert text in (plain, f"'{plain}") if isinstance(cell, str) else text == plain


@given(st.sampled_from("=+-@\t\r\n＝＋－＠"), texts)
def test_no_text_begins_as_a_formula_does(sign: str, rest: str) -> None:
    ((cell, _),) = read(sheet_lines([(sign + rest, "x")]))
    assert cell == f"'{sign}{rest}"


def test_numbers_below_nothing_stay_numbers_and_lines_end_as_the_standard_says() -> None:
    assert sheet_lines([("余额", -5), ('a,"b"', None)]) == '余额,-5\r\n"a,""b""",\r\n'.encode()


@pytest.mark.parametrize(
    ("time_us", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_790_000_000_000_001, "2026-09-21T14:13:20.000001Z"),
    ],
)
def test_a_time_keeps_its_microseconds(time_us: int, text: str) -> None:
    assert moment(time_us) == text


@pytest.mark.parametrize(
    ("path", "accept", "csv_wanted"),
    [
        ("/v1/trial-balance.csv", "application/json", True),
        ("/v1/trial-balance", "text/csv", True),
        ("/v1/trial-balance", "TEXT/CSV;q=0.9, text/plain", True),
        ("/v1/trial-balance", "application/json, text/csv", False),
        ("/v1/trial-balance", "*/*", False),
        ("/v1/trial-balance", "", False),
    ],
)
def test_who_asks_for_a_sheet_gets_one(path: str, accept: str, csv_wanted: bool) -> None:
    assert wants_csv(path, accept) == csv_wanted
