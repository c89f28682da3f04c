"""A table is read as it stands or refused by name: encodings, types, and files that mean harm."""

from __future__ import annotations

import hashlib
import io
import random
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.desensitization.errors import TableTooLarge, UnreadableTable
from exchange.desensitization.limits import Limits
from exchange.desensitization.source import file_digest, read_table

LIMITS = Limits()


def _csv(folder: Path, text: str | bytes, name: str = "raw.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _parquet(folder: Path, table: pa.Table, **options: Any) -> Path:
    path = folder / "raw.parquet"
    pq.write_table(table, path, **options)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_departments_csv_reads_whatever_its_encoding(
    tmp_path: Path, encoding: str, end: str, delimiter: str
) -> None:
    lines = [["姓名", "年龄", "备注"], ["张三", "30", "无"], ["欧阳娜娜", "41", ""]]
    path = _csv(tmp_path, end.join(delimiter.join(line) for line in lines).encode(encoding))
    assert read_table(path, LIMITS).to_pydict() == {
        "姓名": ["张三", "欧阳娜娜"],
        "年龄": [30, 41],
        "备注": ["无", None],
    }


def test_characters_that_only_gb18030_has_survive(tmp_path: Path) -> None:
    path = _csv(tmp_path, "姓名,地\n㐂𠮷,镕\n".encode("gb18030"))
    assert read_table(path, LIMITS).to_pydict() == {"姓名": ["㐂𠮷"], "地": ["镕"]}


def test_a_csv_column_becomes_numbers_or_dates_only_if_nothing_is_lost(tmp_path: Path) -> None:
    path = _csv(
        tmp_path,
        "whole,padded,long,part,day,time,notaday,gap,mixed,surname\n"
        "1,007,123456789012345678,1.50,2025-03-16,2025-03-16 08:00:00,2025-02-31,NA,1,Null\n"
        "-20,010,3,2e3,2024-02-29,2025-03-16 09:30:00,2025-02-01,4,x,Smith\n",
    )
    assert read_table(path, LIMITS).to_pydict() == {
        "whole": [1, -20],
        "padded": ["007", "010"],
        "long": ["123456789012345678", "3"],
        "part": [1.5, 2000.0],
        "day": [date(2025, 3, 16), date(2024, 2, 29)],
        "time": [datetime(2025, 3, 16, 8), datetime(2025, 3, 16, 9, 30)],
        "notaday": ["2025-02-31", "2025-02-01"],
        "gap": [None, 4],
        "mixed": ["1", "x"],
        "surname": ["Null", "Smith"],
    }


cells = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\0", exclude_categories=["Cs"]),
    min_size=1,
    max_size=12,
)


@settings(deadline=None)
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=8))
def test_any_text_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    import csv

    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    # The first row keeps each column text: numbers are read as numbers.
    writer.writerows([("a", "b"), ("text", "text"), *rows])
    path = _csv(tmp_path_factory.mktemp("csv"), file.getvalue())
    assert [tuple(row.values()) for row in read_table(path, LIMITS).to_pylist()[1:]] == rows


def test_parquet_columns_come_in_few_plain_types(tmp_path: Path) -> None:
    table = pa.table(
        {
            "small": pa.array([1, None], pa.int8()),
            "half": pa.array([1.5, 2.5], pa.float32()),
            "text": pa.array(["a", "b"], pa.large_string()),
            "coded": pa.array(["x", None]).dictionary_encode(),
            "huge": pa.array([2**64 - 1, 0], pa.uint64()),
            "day": pa.array([date(2025, 1, 1), None], pa.date32()),
            "void": pa.nulls(2),
        }
    )
    read = read_table(_parquet(tmp_path, table), LIMITS)
    assert [str(kind) for kind in read.schema.types] == [
        "int64",
        "double",
        "string",
        "string",
        "decimal128(20, 0)",
        "date32[day]",
        "string",
    ]
    assert read.column("huge").to_pylist() == [2**64 - 1, 0]


def test_the_raw_digest_is_of_salt_and_bytes(tmp_path: Path) -> None:
    path = _csv(tmp_path, "a\n1\n")
    salt = bytes(range(32))
    assert file_digest(path, salt) == hashlib.sha256(salt + b"a\n1\n").hexdigest()
    assert file_digest(path) == hashlib.sha256(b"a\n1\n").hexdigest()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no rows"),
        (b"a,b\n", "no rows"),
        (b"\n\n", "no rows"),
        (b"a,,c\n1,2,3\n", "name of column 2 is empty"),
        (b"a,b,a\n1,2,3\n", "stands twice"),
        (b"a,b\n1\n", "broken"),
        (b"a,b\n1,2,3\n", "broken"),
        (b'a,b\n"1,2\n', "broken"),
        (b"a,b\n\0,2\n", "zero bytes"),
        (b"a,b\n\xff\xfe,2\n", "neither UTF-8 nor GB 18030"),
        ("a\u200b,b\n1,2\n".encode(), "cannot be printed"),
        ("cafe\u0301,b\n1,2\n".encode(), "NFC"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "zero bytes"),
        (b"PK\x03\x04" + bytes(100), "zero bytes"),
        (b"PAR1", "broken"),
        (b"PAR1" + bytes(100) + b"PAR1", "broken"),
        (b"PAR1" + b"\xff" * 100 + b"\x60\0\0\0PAR1", "broken"),
    ],
)
def test_a_broken_file_is_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(UnreadableTable, match=said) as refused:
        read_table(_csv(tmp_path, content), LIMITS)
    assert refused.value.rule
    assert refused.value.remedy


def test_a_refusal_quotes_no_cell(tmp_path: Path) -> None:
    with pytest.raises(UnreadableTable) as refused:
        read_table(_csv(tmp_path, "name,age\n张三丰\n"), LIMITS)
    assert "张三丰" not in str(refused.value.problem())


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        (Limits(file_bytes=100), "at most 100 bytes"),
        (Limits(rows=99), "at most 99 rows"),
        (Limits(columns=1), "at most 1 columns"),
        (Limits(decoded_bytes=200), "at most 200 bytes when decoded"),
        (Limits(cell_bytes=3), "at most 3 bytes in a cell"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_every_limit_holds_for_both_forms(tmp_path: Path, limits: Limits, rule: str, form: str) -> None:
    words = [f"word{n}" for n in range(100)]
    if form == "csv":
        path = _csv(tmp_path, "a,b\n" + "".join(f"{word},{word}\n" for word in words))
    else:
        path = _parquet(tmp_path, pa.table({"a": words, "b": words}))
    with pytest.raises(TableTooLarge) as refused:
        read_table(path, limits)
    assert refused.value.rule == rule


def test_a_header_that_never_ends_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(TableTooLarge, match="first line"):
        read_table(_csv(tmp_path, b"a" * 2_000_000 + b"\n1\n"), LIMITS)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1], [2]]),
        pa.array([{"a": 1}, {"a": 2}]),
        pa.array([b"\x01", b"\x02"]),
        pa.array([1, 2], pa.duration("s")),
    ],
    ids=["list", "struct", "binary", "duration"],
)
def test_nested_and_binary_columns_are_refused_by_their_name(tmp_path: Path, column: Any) -> None:
    with pytest.raises(UnreadableTable) as refused:
        read_table(_parquet(tmp_path, pa.table({"fine": [1, 2], "face_template": column})), LIMITS)
    assert refused.value.field == "face_template"


def test_a_compression_bomb_is_refused_by_its_decoded_size(tmp_path: Path) -> None:
    # 64 MiB of one letter in a few kibibytes of file.
    table = pa.table({"a": pa.array(["x" * 65_536] * 1024)})
    path = _parquet(tmp_path, table, use_dictionary=False, compression="zstd")
    assert path.stat().st_size < 100_000
    with pytest.raises(TableTooLarge):
        read_table(path, Limits(decoded_bytes=16 * 1024 * 1024))


def test_a_dictionary_bomb_is_refused_while_it_unfolds(tmp_path: Path) -> None:
    # The footer tells the size of the encoded pages only: one long text, named fifty thousand times.
    coded = pa.DictionaryArray.from_arrays(pa.array([0] * 50_000, pa.int32()), pa.array(["x" * 60_000]))
    table = pa.table({"a": coded})
    path = _parquet(tmp_path, table)
    assert path.stat().st_size < 100_000
    with pytest.raises(TableTooLarge):
        read_table(path, Limits(decoded_bytes=64 * 1024 * 1024))


def test_a_damaged_parquet_file_is_refused_and_never_half_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    table = pa.table({"n": rng.integers(0, 1000, 5_000), "t": [f"row {n}" for n in range(5_000)]})
    whole = _parquet(tmp_path, table, write_page_checksum=True).read_bytes()
    expected = read_table(tmp_path / "raw.parquet", LIMITS)
    chance = random.Random(11)
    refused = 0
    for _ in range(120):
        damaged = bytearray(whole)
        if chance.random() < 0.3:
            del damaged[chance.randrange(len(damaged)) :]
        else:
            for _ in range(chance.choice([1, 8, 64])):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path = _csv(tmp_path, bytes(damaged), "damaged.parquet")
        try:
            read = read_table(path, LIMITS)
        except (UnreadableTable, TableTooLarge):
            refused += 1
        else:
            # What the checksums do not cover is the footer: names and statistics, never a cell.
            assert read.num_rows == expected.num_rows
    assert refused >= 60
