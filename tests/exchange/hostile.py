"""Files and folders that mean harm or are broken, over two hundred of them, each made anew: none may be read as a table."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import openpyxl  # type: ignore[import-untyped]  # it publishes no types
import pyarrow as pa
import pyarrow.parquet as pq

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Hostile:
    """One hostile input. `write` makes it at a path; an `explosive` one is only to be opened in a child."""

    name: str
    write: Callable[[Path], None]
    explosive: bool = False


def hostile_inputs() -> Iterator[Hostile]:
    """All of them, the same ones in every run."""
    yield from _bytes(_wrong_encodings())
    yield from _bytes(_not_tables())
    yield from _bytes(_crooked_text())
    yield from _bytes(_formulas())
    yield from _parquet_forms()
    yield from _bytes(_damaged_parquet())
    yield from _bytes(_workbooks())
    yield from _bombs()
    yield from _folders()


def workbook(rows: list[list[Any]], more_sheets: tuple[list[list[Any]], ...] = ()) -> bytes:
    """An honest xlsx file of one or more sheets."""
    book = openpyxl.Workbook()
    for place, sheet in enumerate((rows, *more_sheets)):
        target = book.active if place == 0 else book.create_sheet()
        assert target is not None
        for row in sheet:
            target.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _bytes(files: Iterator[tuple[str, bytes]]) -> Iterator[Hostile]:
    for name, content in files:
        yield Hostile(name, lambda path, content=content: path.write_bytes(content) and None)  # type: ignore[misc]


_TEXT = "姓名,年龄\n" + "".join(f"王小{n},{n}\n" for n in range(40))


def _wrong_encodings() -> Iterator[tuple[str, bytes]]:
    yield "UTF-16 without its mark", _TEXT.encode("utf-16-le")
    yield "UTF-16 without its mark, the other way", _TEXT.encode("utf-16-be")
    yield "UTF-32", _TEXT.encode("utf-32")
    yield "UTF-32 without its mark", _TEXT.encode("utf-32-le")
    yield "UTF-16 cut within a character", _TEXT.encode("utf-16")[:-1]
    yield "UTF-16 with half a pair", _TEXT.encode("utf-16") + b"\x00\xd8"
    yield "UTF-16 mark alone", b"\xff\xfe"
    yield "UTF-8 mark alone", b"\xef\xbb\xbf"
    yield "UTF-8 cut within a character", (_TEXT + "王").encode()[:-1] + b"\xff"
    yield "Latin-1", "name,town\nJürgen,Køb\xff\n".encode("latin-1")
    yield "two encodings in one file", _TEXT.encode() + "王伟,9\n".encode("gb18030") + b"\xff\xff\n"
    yield "GB 18030 cut within a character", _TEXT.encode("gb18030") + b"\x81"
    for place in range(8):
        yield (
            f"a zero byte in row {place}",
            _TEXT.encode().replace(f",{place}\n".encode(), f",{place}\0\n".encode()),
        )
    for byte in (0x80, 0xFF):
        yield f"bytes {byte:02x}", b"a,b\n" + bytes([byte]) * 100 + b",1\n"


def _not_tables() -> Iterator[tuple[str, bytes]]:
    inner = _TEXT.encode() * 100
    yield "gzip", gzip.compress(inner)
    yield "bzip2", bz2.compress(inner)
    yield "xz", lzma.compress(inner)
    yield "zip", _zip({"table.csv": inner})
    yield "zip of a zip", _zip({"a.zip": _zip({"b.zip": _zip({"table.csv": inner})})})
    yield "an empty zip", _zip({})
    for name, head in {
        "7-Zip": b"7z\xbc\xaf\x27\x1c", "RAR": b"Rar!\x1a\x07\x00", "PDF": b"%PDF-1.7\n", "PNG": b"\x89PNG\r\n\x1a\n",
        "JPEG": b"\xff\xd8\xff\xe0", "GIF": b"GIF89a", "a program": b"\x7fELF\x02\x01\x01", "a Windows program": b"MZ\x90\x00\x03",
        "SQLite": b"SQLite format 3\0", "Arrow": b"ARROW1\0\0", "ORC": b"ORC\n", "Avro": b"Obj\x01\x04",
        "XML": b"<?xml version='1.0'?>", "a web page": b"<!DOCTYPE html>", "RTF": b"{\\rtf1\\ansi",
        "Zstandard": b"\x28\xb5\x2f\xfd", "an old Excel file": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    }.items():  # fmt: skip
        yield f"{name} named as CSV", head + bytes(200)
        yield f"{name}, head alone", head
    chance = random.Random(1)
    for seed in range(15):
        yield f"noise {seed}", b"\xff" + chance.randbytes(chance.choice([10, 1_000, 100_000])) + b"\0\xff"
    for size in (509, 512, 1_536, 66_000):
        ole = bytearray(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + chance.randbytes(size))
        ole[0x18:0x20] = struct.pack("<HHHH", 0x3E, 3, 0xFFFE, 9)
        yield f"an old Excel file of noise, {size} bytes", bytes(ole)


def _crooked_text() -> Iterator[tuple[str, bytes]]:
    yield "nothing", b""
    yield "line breaks alone", b"\r\n" * 1_000
    yield "a header alone", b"a,b\n"
    yield "a header alone, no line break", b"a,b"
    yield "an endless header", b"a" * (2 * MIB)
    yield "an endless header of commas", b"," * (2 * MIB)
    yield "too many columns", ",".join(f"c{n}" for n in range(600)).encode() + b"\n" + b"1," * 599 + b"1\n"
    yield "a name too long", b"a" * 200 + b",b\n1,2\n"
    yield "a name twice", b"a,b,a\n1,2,3\n"
    yield "an empty name", b"a,,c\n1,2,3\n"
    yield "a blank name", b"a,  ,c\n1,2,3\n"
    yield "a name that turns the reading order", "a\u202eb,c\n1,2\n".encode()
    yield "a name with a line break", b'"a\nb",c\n1,2\n'
    yield "a name with a bell", b"a\x07,c\n1,2\n"
    yield "a name in parts", "cafe\u0301,c\n1,2\n".encode()
    for row in (1, 500, 5_000):
        rows = [b"1,2\n"] * 6_000
        rows[row] = b"1,2,3\n"
        yield f"a field too many in row {row}", b"a,b\n" + b"".join(rows)
        rows[row] = b"1\n"
        yield f"a field too few in row {row}", b"a,b\n" + b"".join(rows)
        rows[row] = b'"1,2\n'
        yield f"a quote that never ends from row {row}", b"a,b\n" + b"".join(rows)
        rows[row] = b"x" * 70_000 + b",2\n"
        yield f"a cell of 70,000 bytes in row {row}", b"a,b\n" + b"".join(rows)


_RUN = (
    "=1+1", "=cmd|' /C calc'!A0", "=HYPERLINK(\"http://example.org\",\"see\")", "=IMPORTXML(A1,A2)", "  =A1", "＝A1",
    "+cmd|' /C calc'!A0", "-cmd|' /C calc'!A0", "@SUM(1,1)", "=-1+1", "=@SUM(A1)", "=\"a\"&\"b\"", "=DDE(\"a\";\"b\")", "\t=A1",
)  # fmt: skip


def _formulas() -> Iterator[tuple[str, bytes]]:
    for place, formula in enumerate(_RUN):
        quoted = formula.replace('"', '""')
        yield f"formula {place} in CSV", f'a,b\n1,"ok"\n2,"{quoted}"\n'.encode()
        file = io.BytesIO()
        pq.write_table(pa.table({"a": [1, 2], "b": ["ok", formula]}), file)
        yield f"formula {place} in Parquet", file.getvalue()


def _parquet_forms() -> Iterator[Hostile]:
    deep: Any = pa.array([1, 2])
    for _ in range(30):
        deep = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), deep)
    for name, column in {
        "list": pa.array([[1], [2]]),
        "struct": pa.array([{"a": 1}, {"a": 2}]),
        "map": pa.array([[("a", 1)], [("b", 2)]], pa.map_(pa.string(), pa.int64())),
        "binary": pa.array([b"\x01", b"\x02"]),
        "fixed binary": pa.array([b"\x01", b"\x02"], pa.binary(1)),
        "duration": pa.array([1, 2], pa.duration("s")),
        "lists thirty deep": deep,
    }.items():
        yield Hostile(
            f"Parquet with {name}",
            lambda path, column=column: pq.write_table(pa.table({"n": [1, 2], "face": column}), path),  # type: ignore[misc]
        )
    for name, table in {
        "no rows": pa.table({"a": pa.array([], pa.int64())}),
        "an empty name": pa.table({"": [1]}),
        "a name twice": pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]),
        "600 columns": pa.table({f"c{n}": [1] for n in range(600)}),
        "bytes that are no UTF-8": pa.Table.from_arrays(
            [pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(struct.pack("<ii", 0, 2)), pa.py_buffer(b"\xff\xfe")])],
            ["a"],
        ),
    }.items():  # fmt: skip
        yield Hostile(f"Parquet with {name}", lambda path, table=table: pq.write_table(table, path))  # type: ignore[misc]


def _damaged_parquet() -> Iterator[tuple[str, bytes]]:
    file = io.BytesIO()
    pq.write_table(
        pa.table({"n": list(range(3_000)), "t": [f"row {n}" for n in range(3_000)]}), file, write_page_checksum=True
    )  # fmt: skip
    whole = file.getvalue()
    for part in range(1, 16):
        yield f"Parquet cut at {part}/16", whole[: len(whole) * part // 16]
    footer = struct.unpack("<I", whole[-8:-4])[0]
    for claimed in (0, 1, footer - 1, footer + 1, len(whole), 2**31, 2**32 - 1):
        yield (
            f"Parquet that claims a footer of {claimed} bytes",
            whole[:-8] + struct.pack("<I", claimed) + b"PAR1",
        )
    yield "Parquet without its end", whole[:-4]
    yield "Parquet with an encrypted footer's end", whole[:-4] + b"PARE"
    yield (
        "Parquet whose footer is noise",
        b"PAR1" + random.Random(2).randbytes(500) + struct.pack("<I", 400) + b"PAR1",
    )
    for place in (100, 1_000, 4_000):
        damaged = bytearray(whole)
        damaged[place : place + 16] = bytes(16)
        yield f"Parquet with a hole at {place}", bytes(damaged)


def _workbooks() -> Iterator[tuple[str, bytes]]:
    whole = workbook([["name", "age"], *([f"row {n}", n] for n in range(500))])
    for part in range(1, 16):
        yield f"a workbook cut at {part}/16", whole[: len(whole) * part // 16]
    chance = random.Random(3)
    members = _members(whole)
    for n in range(6):
        damaged = bytearray(whole)
        at = damaged.find(b"xl/worksheets/sheet1.xml") + 200 + 40 * n
        damaged[at] ^= 1 << chance.randrange(8)
        yield f"a workbook with a bit turned at {at}", bytes(damaged)
    sheet = members["xl/worksheets/sheet1.xml"]

    def changed(name: str, content: bytes) -> bytes:
        return _zip({**members, name: content})

    yield "a workbook with formulas", workbook([["a", "b"], [1, "=A2+1"]])
    yield (
        "a workbook with a formula after values",
        workbook([["a"], *[[n] for n in range(9)], ["=SUM(A2:A9)"]]),
    )
    yield "a workbook with macros", changed("xl/vbaProject.bin", b"\xd0\xcf\x11\xe0")
    yield "a workbook with a link", changed("xl/externalLinks/externalLink1.xml", b"<externalLink/>")
    yield "a workbook with an object in it", changed("xl/embeddings/oleObject1.bin", b"MZ")
    yield (
        "a workbook of many laughs",
        changed("xl/worksheets/sheet1.xml", b'<!DOCTYPE a [<!ENTITY l "lol">]>' + sheet),
    )
    yield (
        "a workbook that reads /etc/passwd",
        changed(
            "xl/sharedStrings.xml", b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><sst>&x;</sst>'
        ),
    )
    yield "a workbook whose sheet is no XML", changed("xl/worksheets/sheet1.xml", b"<sheetData><row")
    yield "a workbook whose sheet is missing", _zip({n: c for n, c in members.items() if "sheet1" not in n})
    yield "a workbook of 5,000 members", _zip({**members, **{f"xl/x{n}": b"" for n in range(5_000)}})
    yield "a workbook without rows", workbook([["a", "b"]])
    yield "a workbook without cells", workbook([])
    yield "a workbook with an empty name", workbook([["a", None, "c"], [1, 2, 3]])
    yield "a workbook with a name twice", workbook([["a", "a"], [1, 2]])
    yield "a workbook of two tables", workbook([["a"], [1]], ([["b"], [2]],))
    yield (
        "a workbook with a cell of 70,000 bytes",
        changed("xl/worksheets/sheet1.xml", sheet.replace(b"<v>7</v>", b"<v>" + b"7" * 70_000 + b"</v>")),
    )
    smaller = bytearray(whole)
    entry = smaller.rfind(b"PK\x01\x02", 0, smaller.rfind(b"xl/worksheets/sheet1.xml"))
    smaller[entry + 24 : entry + 28] = struct.pack("<I", 100)
    yield "a workbook that claims a small sheet", bytes(smaller)
    smaller[entry + 24 : entry + 28] = struct.pack("<I", 2**32 - 2)
    yield "a workbook that claims a huge sheet", bytes(smaller)


def _bombs() -> Iterator[Hostile]:
    long = pa.array(["x" * 60_000])
    coded = pa.DictionaryArray.from_arrays(pa.array([0] * 400_000, pa.int32()), long)
    for codec in ("snappy", "gzip", "zstd", "brotli", "none"):
        yield Hostile(
            f"a dictionary bomb in {codec}",
            lambda path, codec=codec: pq.write_table(pa.table({"a": coded}), path, compression=codec),  # type: ignore[misc]
            explosive=True,
        )
    members = _members(workbook([["a"], [1]]))
    row = b"<row><c t='inlineStr'><is><t>" + b"x" * 1_000 + b"</t></is></c></row>"

    def rows_bomb(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, content in members.items():
                if name != "xl/worksheets/sheet1.xml":
                    archive.writestr(name, content)
            with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as file:
                file.write(b"<worksheet><sheetData>")
                for _ in range(20):
                    file.write(row * (16 * MIB // len(row)))
                file.write(b"</sheetData></worksheet>")

    yield Hostile("a workbook that unpacks to 320 MiB", rows_bomb, explosive=True)
    far = (
        b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        b'<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData></worksheet>'
    )
    corners = _zip({**members, "xl/worksheets/sheet1.xml": far})
    for corner in _bytes(iter([("a workbook of two cells in opposite corners", corners)])):
        yield replace(corner, explosive=True)


def _folders() -> Iterator[Hostile]:
    def folder(**files: bytes) -> Callable[[Path], None]:
        def write(path: Path) -> None:
            path.mkdir()
            for name, content in files.items():
                (path / f"{name}.csv").write_bytes(content)

        return write

    def linked(path: Path) -> None:
        path.mkdir()
        (path / "a.csv").write_bytes(b"a\n1\n")
        (path / "b.csv").symlink_to("/etc/hostname")

    file = io.BytesIO()
    pq.write_table(pa.table({"a": ["1"], "b": ["2"]}), file)
    one = b"a,b\n1,2\n"
    yield Hostile("an empty folder", folder())
    yield Hostile("a folder of hidden files", folder(_SUCCESS=b"a\n1\n"))
    yield Hostile("a folder with another column", folder(x=one, y=b"a,c\n1,2\n"))
    yield Hostile("a folder with a column more", folder(x=one, y=b"a,b,c\n1,2,3\n"))
    yield Hostile("a folder with a column less", folder(x=one, y=b"a\n1\n"))
    yield Hostile("a folder with columns in another order", folder(x=one, y=b"b,a\n1,2\n"))
    yield Hostile("a folder of two formats", folder(x=one, y=file.getvalue()))
    yield Hostile("a folder with a picture", folder(x=one, y=b"\x89PNG\r\n\x1a\n"))
    yield Hostile("a folder with an empty file", folder(x=one, y=b""))
    yield Hostile("a folder with a broken file", folder(x=one, y=b"a,b\n1,2,3\n"))
    yield Hostile("a folder with a link out of it", linked)
    yield Hostile("nothing at the path", lambda path: None)


def _zip(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
