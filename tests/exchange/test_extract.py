"""A table comes out of PostgreSQL as it stands there, or is refused by name and leaves nothing behind."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from exchange.cli import app
from exchange.database import Addresses
from exchange.desensitization.detection.detect import detect
from exchange.desensitization.errors import TableTooLarge, UnreadableTable
from exchange.desensitization.reading.limits import Limits
from exchange.desensitization.reading.source import read_table
from exchange.extract import extract_table

LIMITS = Limits()


@pytest.fixture
def url(database: Addresses) -> str:
    """A department's own database, with a schema that we did not make."""
    assert database.owner_url is not None
    return database.owner_url


@pytest.fixture
def department(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA dept")
        yield connection


def test_a_table_comes_out_as_the_database_types_it(
    department: psycopg.Connection[Any], url: str, tmp_path: Path
) -> None:
    department.execute(
        "CREATE TYPE dept.colour AS ENUM ('红', '蓝');"
        "CREATE DOMAIN dept.phone AS text CHECK (value ~ '^1');"
        'CREATE TABLE dept."People" ("姓名" text, n int2, part float8, money numeric, fixed numeric(8,2), yes bool, day date,'
        " moment timestamp, there timestamptz, hour time, colour dept.colour, phone dept.phone, doc jsonb, id uuid)"
    )
    department.execute(
        'INSERT INTO dept."People" VALUES'
        " ('张\"三,\n', 1, 0.5, 12.345, 7.10, true, '2025-03-16', '2025-03-16 08:00:00.5', '2025-03-16 08:00:00+08',"
        "  '23:59:58.25', '红', '13800000000', '{\"a\": 1}', '00000000-0000-0000-0000-000000000001'),"
        " ('', -2, NULL, 100, NULL, false, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),"
        " (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
    )
    path = tmp_path / "raw.parquet"
    assert extract_table(url, 'dept."People"', path, LIMITS) == 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first, second, third = read_table(path, LIMITS).to_pylist()
    assert first == {
        "姓名": '张"三,\n',
        "n": 1,
        "part": 0.5,
        "money": Decimal("12.345"),
        "fixed": Decimal("7.10"),
        "yes": True,
        "day": date(2025, 3, 16),
        "moment": datetime(2025, 3, 16, 8, 0, 0, 500_000),
        "there": datetime(2025, 3, 16, 0, tzinfo=UTC),
        "hour": time(23, 59, 58, 250_000),
        "colour": "红",
        "phone": "13800000000",
        "doc": '{"a": 1}',
        "id": "00000000-0000-0000-0000-000000000001",
    }
    # The empty text and NULL stay apart.
    assert (second["姓名"], second["n"], second["money"], second["yes"]) == (
        "",
        -2,
        Decimal("100.000"),
        False,
    )
    assert set(third.values()) == {None}
    assert [path.name for path in tmp_path.iterdir()] == ["raw.parquet"]


def test_a_view_comes_out_and_its_people_are_found(
    department: psycopg.Connection[Any], url: str, tmp_path: Path
) -> None:
    department.execute(
        "CREATE TABLE dept.t AS SELECT 13812340000 + n AS tel, n % 90 AS 年龄 FROM generate_series(1, 100000) n;"
        "CREATE VIEW dept.v AS SELECT * FROM dept.t WHERE 年龄 > 30"
    )
    done = CliRunner().invoke(
        app,
        ["desensitize", "extract", "dept.v", "--from", url, "--out", str(tmp_path / "v.parquet")],
    )
    assert done.exit_code == 0, done.output
    assert "65549 rows" in done.output
    found = detect(read_table(tmp_path / "v.parquet", LIMITS))
    assert {finding.column: finding.kind for finding in found.findings} == {"tel": "mobile", "年龄": "age"}


@pytest.mark.parametrize(
    ("made", "field"),
    [
        ("CREATE TABLE dept.bad (n int, face bytea)", "face"),
        ("CREATE TABLE dept.bad (n int, tags text[])", "tags"),
        ("CREATE TABLE dept.bad (n int, place point)", "place"),
        ("CREATE TABLE dept.bad AS SELECT 1 AS n, 'NaN'::numeric AS part", "part"),
        ("CREATE TABLE dept.bad AS SELECT 1 AS n, 10::numeric ^ 40 AS part", "part"),
        ("CREATE TABLE dept.bad AS SELECT 1 AS n, 'infinity'::timestamp AS day", "table"),
        ("CREATE TABLE dept.bad (n int)", "file"),
        ('CREATE TABLE dept.bad (" " int)', "column 1"),
        ("CREATE TABLE dept.other (n int)", "table"),
        ("CREATE TABLE dept.bad AS SELECT 1 AS n; REVOKE ALL ON dept.bad FROM CURRENT_USER", "table"),
    ],
)
def test_what_cannot_come_out_whole_is_refused_by_name(
    department: psycopg.Connection[Any], url: str, tmp_path: Path, made: str, field: str
) -> None:
    department.execute(made.encode())
    with pytest.raises(UnreadableTable) as refused:
        extract_table(url, "dept.bad", tmp_path / "raw.parquet", LIMITS)
    assert refused.value.field == field
    assert refused.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_table_beyond_the_limits_and_a_database_that_is_away_leave_nothing(
    department: psycopg.Connection[Any], url: str, tmp_path: Path
) -> None:
    department.execute("CREATE TABLE dept.many AS SELECT n FROM generate_series(1, 1000) n")
    with pytest.raises(TableTooLarge, match="999"):
        extract_table(url, "dept.many", tmp_path / "raw.parquet", Limits(rows=999))
    with pytest.raises(UnreadableTable, match="OperationalError") as refused:
        extract_table(
            "postgresql://u:hidden-word@127.0.0.1:1/x", "dept.many", tmp_path / "raw.parquet", LIMITS
        )
    assert "hidden-word" not in str(refused.value.problem())
    assert list(tmp_path.iterdir()) == []
