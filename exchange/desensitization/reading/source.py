"""Read one flat table that may be hostile: CSV, Parquet or Excel, a file or a folder of files with one schema.

Limits come before parsing: the size of the file, the header's own claims, then a running count while the
batches come. What is wrong is a named error and never a partial table. No cell is changed: a CSV column
becomes numbers or dates only if every value of it reads so and writes back the same (a leading zero stays
text), and an empty field is NULL. A table larger than memory passes as batches (`read_batches`): text files are read
twice, once to find the columns' types.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from exchange.desensitization.errors import TableTooLarge, UnreadableTable
from exchange.desensitization.reading import columnar, delimited, workbook
from exchange.desensitization.reading.limits import Limits, empty

Progress = Callable[[int, int], None]
"""Called with the work done and the work in all, in the same unit."""

_BLOCK = 4 * 1024 * 1024
_ABSENT = ("NA", "N/A", "NaN", "nan", "NULL", "null")
"""Spellings of NULL in a column of numbers or dates; in a column of text they may be somebody's name."""
_FORMULA = r"^\s*(?:[=＝]\s*[A-Za-z0-9(+\-@\"']|[+\-@]\s*[A-Za-z]+[A-Za-z0-9.]*\s*[(|!])"
"""What a spreadsheet would compute instead of showing (OWASP, CSV injection); a telephone number or a minus is none."""


def table_files(path: Path) -> tuple[Path, ...]:
    """The files that a table lies in: the file itself, or a folder's in the order of their names, hidden ones left out.

    Raises UnreadableTable for a path that leads nowhere and for a folder that leads out of itself.
    """
    if not path.is_dir():
        return (path,)
    found = []
    for file in sorted(path.rglob("*"), key=lambda file: file.relative_to(path).as_posix()):
        if any(part.startswith((".", "_")) for part in file.relative_to(path).parts):
            continue
        if file.is_symlink():
            raise UnreadableTable(
                "the folder holds a link",
                field=file.name,
                rule="a folder of plain files",
                remedy="copy the file into the folder",
            )
        if file.is_file():
            found.append(file)
    if not found:
        raise empty()
    return tuple(found)


def table_bytes(path: Path) -> int:
    """How many bytes the table's files have together."""
    return sum(file.stat().st_size for file in table_files(path))


def file_digest(path: Path, salt: bytes = b"", progress: Progress | None = None) -> str:
    """SHA-256 of `salt` followed by the file's bytes, in hexadecimal.

    With a salt of 32 random bytes the digest binds the file and tells nothing about it: a table of known
    people could be guessed from a bare digest. A folder's digest is that of the salt followed by, for each
    file in order, its path within the folder, a line break, the SHA-256 of its bytes and a line break.
    """
    digest = hashlib.sha256(salt)
    if path.is_dir():
        for part in table_files(path):
            digest.update(f"{part.relative_to(path).as_posix()}\n{file_digest(part)}\n".encode())
        return digest.hexdigest()
    total = path.stat().st_size
    done = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            if progress is not None:
                progress(done, total)
    return digest.hexdigest()


def read_table(path: Path, limits: Limits, progress: Progress | None = None) -> pa.Table:
    """The table, every column flat and one of: bool, int64, float64, decimal, date32, timestamp, time, string.

    Raises TableTooLarge when a limit is passed and UnreadableTable for everything else that is wrong; an
    empty table is refused, since no risk can be measured on it.
    """
    schema, batches = read_batches(path, limits, progress)
    with _named():
        # One chunk a column: what follows reads the buffers.
        return pa.Table.from_batches(list(batches), schema).combine_chunks()


def read_batches(path: Path, limits: Limits, progress: Progress | None = None) -> tuple[Any, Iterator[Any]]:
    """The same table as its schema and a stream of record batches, never more than a few of them in memory.

    Raises as `read_table` does; what is wrong in a later row is raised when the stream comes to it, and a
    stream that ends without an error was whole.
    """
    with _named():
        parts = [_part(file, limits) for file in _within(path, limits)]
        first = parts[0]
        for part in parts[1:]:
            _require_alike(first, part)
        schema = _typed(parts, limits)
    return schema, _checked(parts, schema, limits, progress)


@dataclass(frozen=True, slots=True)
class _Part:
    """One file of the table: its name, how its columns are typed (none in text files), its rows if it says, its batches."""

    name: str
    names: Sequence[str]
    schema: Any | None
    rows: int | None
    batches: Callable[[], Iterator[Any]]


def _within(path: Path, limits: Limits) -> tuple[Path, ...]:
    try:
        files = table_files(path)
        if len(files) > limits.files:
            raise TableTooLarge(
                f"{len(files)} files",
                rule=f"a folder of at most {limits.files} files",
                remedy="join small files",
            )
        if not all(file.is_file() for file in files):
            raise FileNotFoundError(2, "no such file")
        limits.require_file(table_bytes(path))
    except OSError as error:
        raise UnreadableTable(
            f"{path.name} cannot be opened: {error.strerror}",
            rule="the file is readable",
            remedy="check the path",
        ) from error
    return files


_FOREIGN = {
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"\x7fELF": "a program",
    b"MZ\x90\x00": "a program",
    b"SQLite format 3": "an SQLite database",
    b"ARROW1": "an Arrow file",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"<?xml": "an XML document",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
    b"{\\rtf": "a text document",
}


def _part(file: Path, limits: Limits) -> _Part:
    with file.open("rb") as opened:
        head = opened.read(16)
    if not head:
        raise empty()
    if head.startswith(b"PAR1"):
        schema = columnar.schema(file, limits)
        return _Part(file.name, schema.names, schema, columnar.rows(file), lambda: columnar.batches(file))
    if head.startswith((workbook.XLSX, workbook.XLS)):
        table = workbook.table(file, limits)
        return _Part(
            file.name, table.schema.names, table.schema, table.num_rows, lambda: iter(table.to_batches())
        )
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise UnreadableTable(
                f"the file is {what}",
                rule="CSV (UTF-8, UTF-16 or GB 18030), Parquet or an Excel workbook (xlsx, xls)",
                remedy="unpack it or export the table again as CSV (UTF-8)",
            )
    names, delimiter, encoding = delimited.header(file, limits)
    limits.require_names(names)
    return _Part(file.name, names, None, None, lambda: delimited.batches(file, names, delimiter, encoding))


def _require_alike(first: _Part, part: _Part) -> None:
    """The files of a folder are one table: the same columns in the same order, and the same types where files have types."""
    detail = None
    if list(part.names) != list(first.names):
        lacks = [name for name in first.names if name not in part.names]
        adds = [name for name in part.names if name not in first.names]
        detail = f"{part.name} lacks {lacks[:5]} and adds {adds[:5]} against {first.name}"
        if not lacks and not adds:
            detail = f"{part.name} has its columns in another order than {first.name}"
    elif (part.schema is None) != (first.schema is None):
        detail = f"{part.name} and {first.name} are of different formats"
    elif part.schema is not None and first.schema is not None and part.schema != first.schema:
        differing = [a.name for a, b in zip(part.schema, first.schema, strict=True) if a.type != b.type]
        detail = f"{part.name} types {differing[:5]} differently from {first.name}"
    if detail is not None:
        raise UnreadableTable(
            detail,
            field=part.name,
            rule="the files of a folder have one schema",
            remedy="write the files again with the same columns, or scan them one by one",
        )


def _typed(parts: Sequence[_Part], limits: Limits) -> Any:
    """The schema of all parts: their own, or what every value of the text files reads as."""
    first = parts[0]
    if first.schema is not None:
        return first.schema
    guesses = [_Guess() for _ in first.names]
    decoded = 0
    for part in parts:
        for batch in part.batches():
            decoded += batch.nbytes
            limits.require_decoded(decoded)
            for guess, column in zip(guesses, batch.columns, strict=True):
                guess.see(column)
    return pa.schema([(name, guess.kind) for name, guess in zip(first.names, guesses, strict=True)])


class _Guess:
    """What a column of text may still be after the values seen: integers, decimals as float64, dates or times."""

    def __init__(self) -> None:
        self.left = list(_FORMS)
        self.seen = False

    def see(self, column: Any) -> None:
        """Strike out what these values are not."""
        if not self.left:
            return
        # The head of a batch settles most columns of text.
        for values in (column.slice(0, 64), column):
            distinct = pc.unique(values)
            present = distinct.filter(pc.invert(pc.is_in(distinct, value_set=_absent())))
            if len(present):
                self.seen = True
                self.left = [form for form in self.left if _reads(present, *form)]

    @property
    def kind(self) -> Any:
        """The first of what is left; text where nothing is, or nothing was seen."""
        return self.left[0][1] if self.left and self.seen else pa.string()


@functools.cache
def _absent() -> Any:
    # Not made at import: Arrow's first conversion looks for pandas, which a process of ours may have ruled out by then.
    return pa.array([*_ABSENT, None], pa.string())


_FORMS = (
    (r"^(0|-?[1-9][0-9]{0,14})$", pa.int64()),
    (r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?$", pa.float64()),
    (r"^(18|19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}$", pa.date32()),
    (r"^(18|19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2})?$", pa.timestamp("us")),
)


def _reads(values: Any, pattern: str, kind: Any) -> bool:
    if not pc.all(pc.match_substring_regex(values, pattern)).as_py():
        return False
    try:
        values.cast(kind)
    except pa.ArrowInvalid:  # 2025-02-31 has the form of a date and is none: it stays text
        return False
    return True


def _checked(parts: Sequence[_Part], schema: Any, limits: Limits, progress: Progress | None) -> Iterator[Any]:
    """All batches in the schema's types, the limits checked before each is handed on."""
    rows = decoded = 0
    known = [part.rows for part in parts]
    total = sum(count for count in known if count is not None)
    with _named():
        for part in parts:
            for batch in part.batches():
                rows += batch.num_rows
                decoded += batch.nbytes + sum(_unfolded(column) for column in batch.columns)
                limits.require_rows(rows)
                limits.require_decoded(decoded)
                piece = pa.RecordBatch.from_arrays(
                    [_cast(column, field.type) for column, field in zip(batch.columns, schema, strict=True)],
                    schema=schema,
                )
                piece.validate(full=True)
                for field, column in zip(schema, piece.columns, strict=True):
                    if pa.types.is_string(field.type):
                        _require_cells(field.name, column, limits)
                if progress is not None:
                    progress(rows, max(total, rows))
                yield piece
        if rows == 0:
            raise empty()


def _cast(column: Any, kind: Any) -> Any:
    if column.type == kind:
        return column
    if pa.types.is_string(column.type) and not pa.types.is_string(kind):
        absent = pc.is_in(column, value_set=_absent())
        column = pc.if_else(absent, pa.scalar(None, pa.string()), column)
    return column.cast(kind)


def _require_cells(name: str, column: Any, limits: Limits) -> None:
    longest = pc.max(pc.binary_length(column)).as_py() or 0
    if longest > limits.cell_bytes:
        raise TableTooLarge(
            f"a cell of {longest} bytes in column {name!r}",
            field=name,
            rule=f"at most {limits.cell_bytes} bytes in a cell",
            remedy="leave documents out of the table",
        )
    if pc.any(pc.match_substring_regex(column, _FORMULA)).as_py():
        raise UnreadableTable(
            f"column {name!r} holds a formula that a spreadsheet would run",
            field=name,
            rule="a table of values",
            remedy="write the value in place of the formula",
        )


def _unfolded(column: Any) -> int:
    """How many bytes the texts of a dictionary column will take once each row has its own."""
    if not pa.types.is_dictionary(column.type):
        return 0
    kind = column.dictionary.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return 0
    return pc.sum(pc.binary_length(column.dictionary).take(column.indices)).as_py() or 0


class _named:  # noqa: N801  # used as a statement
    """Turns what the libraries raise into our refusals."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, MemoryError | pa.ArrowMemoryError):
            raise TableTooLarge(
                "the table does not fit the memory that reading it may use",
                rule="a table can be read within the process's memory",
                remedy="split the table",
            ) from error
        if isinstance(error, pa.ArrowException | OSError | OverflowError | UnicodeError | ValueError):
            raise _unreadable(error) from error


def _unreadable(error: Exception) -> UnreadableTable:
    # The library's message may quote a cell, and this error leaves the process: only its first kind of word does.
    return UnreadableTable(
        f"the file is broken: {type(error).__name__}",
        rule="CSV (UTF-8, UTF-16 or GB 18030, one header line, equally many fields a row), Parquet or Excel (xlsx, xls)",
        remedy="open the file where it was made, and export it again",
    )
