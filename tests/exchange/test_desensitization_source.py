"""A table is read as it stands or refused by name: encodings, types, and files that mean harm."""

from __future__ import annotations

import hashlib
import io
import random
import resource
import struct
import tempfile
import time
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.desensitization import department
from exchange.desensitization import policy as policies
from exchange.desensitization.certificate import Authorization
from exchange.desensitization.child import read_in_child
from exchange.desensitization.errors import TableTooLarge, UnreadableTable
from exchange.desensitization.policy.declaration import Declaration
from exchange.desensitization.reading.limits import Limits
from exchange.desensitization.reading.source import file_digest, read_batches, read_table, table_bytes
from tests.exchange.hostile import Hostile, hostile_inputs, workbook

LIMITS = Limits()


def _csv(folder: Path, text: str | bytes, name: str = "raw.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _parquet(folder: Path, table: pa.Table, **options: Any) -> Path:
    path = folder / "raw.parquet"
    pq.write_table(table, path, **options)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk", "utf-16"])
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
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a picture"),
        (b"PK\x03\x04" + bytes(100), "the workbook is broken"),
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


def _xls(rows: list[list[str | float]]) -> bytes:
    """An xls file: a BIFF8 stream ([MS-XLS]) of one sheet in an OLE container ([MS-CFB]) with one FAT sector."""

    def record(kind: int, content: bytes) -> bytes:
        return struct.pack("<HH", kind, len(content)) + content

    cells = b""
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            at = struct.pack("<HHH", y, x, 0)
            if isinstance(cell, str):
                text = cell.encode("utf-16-le")
                cells += record(0x204, at + struct.pack("<HB", len(cell), 1) + text)
            else:
                cells += record(0x203, at + struct.pack("<d", cell))
    begin, end = struct.pack("<HHHHII", 0x600, 0x10, 0, 0, 0, 0), record(0x0A, b"")
    sheet = record(0x809, begin) + cells + end
    name = record(0x85, struct.pack("<IHBB", 0, 0, 2, 0) + b"s1")
    globals_ = record(0x809, begin[:2] + b"\x05\0" + begin[4:]) + name + end
    start = len(globals_)
    name = record(0x85, struct.pack("<IHBB", start, 0, 2, 0) + b"s1")
    stream = record(0x809, begin[:2] + b"\x05\0" + begin[4:]) + name + end + sheet
    stream += bytes(max(4096 - len(stream), 0))
    stream += bytes(-len(stream) % 512)
    sectors = len(stream) // 512
    chain = [0xFFFFFFFD, 0xFFFFFFFE, *range(3, sectors + 2), 0xFFFFFFFE]
    fat = struct.pack(f"<{len(chain)}I", *chain) + b"\xff" * (512 - 4 * len(chain))

    def entry(name: str, kind: int, child: int, first: int, size: int) -> bytes:
        text = name.encode("utf-16-le") + b"\0\0"
        tree = struct.pack("<HBBIII", len(text), kind, 1, 0xFFFFFFFF, 0xFFFFFFFF, child)
        return text.ljust(64, b"\0") + tree + bytes(36) + struct.pack("<IQ", first, size)

    folder = entry("Root Entry", 5, 1, 0xFFFFFFFE, 0) + entry("Workbook", 2, 0xFFFFFFFF, 2, len(stream))
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6)
    head += bytes(6) + struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    head += struct.pack("<I", 0) + b"\xff" * 432
    return head + fat + folder.ljust(512, b"\0") + stream


def test_excel_of_both_ages_reads_as_excel_types_it(tmp_path: Path) -> None:
    rows: list[list[Any]] = [
        ["姓名", "编号", "年龄", "比例"],
        ["张三", "007", 30, 0.5],
        ["欧阳娜娜", "010", 41, 2],
    ]
    expected = {"姓名": ["张三", "欧阳娜娜"], "编号": ["007", "010"], "年龄": [30, 41], "比例": [0.5, 2.0]}
    assert read_table(_csv(tmp_path, workbook(rows), "new.xlsx"), LIMITS).to_pydict() == expected
    assert read_table(_csv(tmp_path, _xls(rows), "old.xls"), LIMITS).to_pydict() == expected


def test_excel_cells_keep_their_gaps_times_and_mixtures(tmp_path: Path) -> None:
    path = _csv(
        tmp_path,
        workbook(
            [
                ["day", "moment", "yes", "mixed", "gap"],
                [date(2025, 1, 2), datetime(2025, 1, 2, 3, 4), True, 5, None],
                [None, date(2025, 1, 3), False, "x", 7],
                [None, None, None, None, None],
                [date(2025, 1, 4), datetime(2025, 1, 4, 5, 6), True, 13800000000, None],
            ]
        ),
    )
    assert read_table(path, LIMITS).to_pydict() == {
        "day": [date(2025, 1, 2), None, date(2025, 1, 4)],
        "moment": [datetime(2025, 1, 2, 3, 4), datetime(2025, 1, 3), datetime(2025, 1, 4, 5, 6)],
        "yes": [True, False, True],
        "mixed": ["5", "x", "13800000000"],
        "gap": [None, 7, None],
    }


def test_the_sheets_of_a_workbook_and_the_files_of_a_folder_are_one_table(tmp_path: Path) -> None:
    book = workbook([["a", "b"], [1, "x"]], ([["a", "b"], [2, "y"]], []))
    assert read_table(_csv(tmp_path, book), LIMITS).to_pydict() == {"a": [1, 2], "b": ["x", "y"]}
    folder = tmp_path / "folder"
    (folder / "2024").mkdir(parents=True)
    (folder / "2025").mkdir()
    (folder / "2024" / "part.csv").write_bytes("地,n\n东,1\n".encode("gb18030"))
    (folder / "2025" / "part.csv").write_text("地,n\n西,2.5\n")
    (folder / ".DS_Store").write_bytes(b"\0")
    # One value with a point in the second file makes the column one of decimals in both.
    assert read_table(folder, LIMITS).to_pydict() == {"地": ["东", "西"], "n": [1.0, 2.5]}
    assert table_bytes(folder) == sum(file.stat().st_size for file in folder.glob("*/part.csv"))


def test_a_folders_digest_changes_with_every_byte_and_every_name(tmp_path: Path) -> None:
    def digest(files: dict[str, bytes]) -> str:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return file_digest(folder, b"salt")

    whole = digest({"a.csv": b"n\n1\n", "b.csv": b"n\n2\n"})
    assert whole == digest({"b.csv": b"n\n2\n", "a.csv": b"n\n1\n"})
    assert whole != digest({"a.csv": b"n\n1\n", "b.csv": b"n\n3\n"})
    assert whole != digest({"a.csv": b"n\n1\n", "c.csv": b"n\n2\n"})
    assert whole != digest({"a.csv": b"n\n1\n"})


def test_a_table_passes_in_batches_that_together_are_the_table(tmp_path: Path) -> None:
    path = _csv(tmp_path, "n,t\n" + "".join(f"{n},row {n}\n" for n in range(400_000)))
    schema, batches = read_batches(path, LIMITS)
    kept = list(batches)
    assert len(kept) > 1
    assert pa.Table.from_batches(kept, schema).equals(read_table(path, LIMITS))
    with read_in_child(path, LIMITS) as reader:
        assert reader.read_all().equals(read_table(path, LIMITS))


def test_a_child_that_nobody_listens_to_ends_with_the_block(tmp_path: Path) -> None:
    path = _csv(tmp_path, "n,t\n" + "".join(f"{n},row {n}\n" for n in range(400_000)))
    with read_in_child(path, LIMITS) as reader:
        assert reader.read_next_batch().num_rows > 0
    with pytest.raises(KeyError), read_in_child(path, LIMITS):
        raise KeyError("the reader's own trouble")


def test_a_fault_in_the_last_row_leaves_no_table_behind(tmp_path: Path) -> None:
    path = _csv(tmp_path, "n,t\n" + "".join(f"{n},row {n}\n" for n in range(400_000)) + "1,=1+1\n")
    with pytest.raises(UnreadableTable, match="formula") as refused, read_in_child(path, LIMITS) as reader:
        reader.read_all()
    assert refused.value.field == "t"


HOSTILE = tuple(hostile_inputs())


def test_there_are_two_hundred_hostile_inputs_and_more() -> None:
    assert len({hostile.name for hostile in HOSTILE}) == len(HOSTILE) >= 200


def test_every_hostile_input_is_refused_by_name(tmp_path: Path) -> None:
    for place, hostile in enumerate(HOSTILE):
        if hostile.explosive:
            continue
        path = tmp_path / str(place)
        hostile.write(path)
        with pytest.raises((UnreadableTable, TableTooLarge)) as refused:
            pytest.fail(f"{hostile.name} was read: {read_table(path, LIMITS).slice(0, 2)}")
        assert refused.value.rule, hostile.name
        assert refused.value.remedy, hostile.name


WALL = Limits(decoded_bytes=256 * 1024 * 1024)


def _drain(path: Path) -> None:
    with read_in_child(path, WALL) as reader:
        for batch in reader:
            del batch


@pytest.mark.parametrize(
    "hostile", [hostile for hostile in HOSTILE if hostile.explosive], ids=lambda hostile: hostile.name
)
def test_a_bomb_goes_off_in_the_child_and_is_refused_by_name(tmp_path: Path, hostile: Hostile) -> None:
    hostile.write(tmp_path / "bomb")
    with pytest.raises(TableTooLarge) as refused:
        _drain(tmp_path / "bomb")
    assert refused.value.remedy


@pytest.mark.drill
def test_every_hostile_input_is_refused_in_bounded_memory_and_time(tmp_path: Path) -> None:
    slowest = 0.0
    for place, hostile in enumerate(HOSTILE):
        path = tmp_path / str(place)
        hostile.write(path)
        begun = time.monotonic()
        with pytest.raises((UnreadableTable, TableTooLarge)):
            _drain(path)
        slowest = max(slowest, time.monotonic() - begun)
    assert slowest < 20
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 <= 2 * 1024**3


@pytest.mark.parametrize(
    "name", ["a formula", "a workbook with a bit", "a field too many in row 5000", "Parquet cut at 9/16"]
)
def test_a_refused_file_leaves_no_output_behind(tmp_path: Path, name: str) -> None:
    hostile = next(hostile for hostile in HOSTILE if name in hostile.name or name[2:] in hostile.name)
    raw, out = tmp_path / "raw", tmp_path / "out"
    out.mkdir()
    hostile.write(raw)
    agreed = policies.Policy((policies.ColumnPolicy("a", "other", policies.Keep()),), 1, 1, 0, True)
    digest = file_digest(raw, bytes(32))
    with pytest.raises(UnreadableTable):
        department.apply(
            raw,
            agreed,
            Authorization("aut", "ast", digest, agreed.digest(), True),
            salt=bytes(32),
            key=bytes(32),
            product=out / "product.parquet",
            certificate=out / "certificate.json",
            limits=LIMITS,
        )
    with pytest.raises(UnreadableTable):
        department.scan(raw, Declaration(), bytes(32), LIMITS)
    assert list(out.iterdir()) == []
