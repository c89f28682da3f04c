"""A table larger than memory is looked at column by column, and looks the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from exchange.demo.tables import write_patients
from exchange.desensitization.child import read_in_child
from exchange.desensitization.detection.detect import detect
from exchange.desensitization.reading.limits import Limits, inside
from exchange.desensitization.reading.source import read_table
from exchange.desensitization.reading.spool import Spool

MIXED = pa.table(
    {
        "a.b": pa.array([1, None, 3]),
        "a": pa.array(["x", "", None]),
        "day": pa.array([date(2025, 1, 1), None, date(2024, 2, 29)]),
        "second": pa.array([datetime(2025, 1, 1, 2, 3, 4), None, None], pa.timestamp("s")),
        "there": pa.array([datetime(2025, 1, 1, 2), None, None], pa.timestamp("us", tz="UTC")),
        "hour": pa.array([time(1, 2, 3), None, None], pa.time64("us")),
        "fee": pa.array([Decimal("1.50"), None, Decimal("-3.00")], pa.decimal128(38, 2)),
        "part": pa.array([0.1, float("nan"), None]),
        "yes": pa.array([True, None, False]),
    }
)


def test_every_column_comes_back_as_it_was_typed() -> None:
    with Spool(MIXED.to_reader()) as spool:
        assert (spool.num_rows, spool.num_columns, spool.column_names) == (3, 9, MIXED.column_names)
        for name in MIXED.column_names:
            assert spool.column(name).type == MIXED.column(name).type, name
            assert str(spool.column(name).to_pylist()) == str(MIXED.column(name).to_pylist()), name


def test_a_table_that_leaves_memory_is_the_same_table() -> None:
    chance = np.random.default_rng(1)

    def batches() -> Iterator[Any]:
        for _ in range(24):
            # Noise of 16 bytes a row does not compress: the file grows beyond what stays in memory.
            noise = chance.bytes(16 * 400_000)
            text = pa.array(np.frombuffer(noise, dtype="S16").astype("S16")).cast(pa.binary())
            yield pa.record_batch({"n": chance.integers(0, 2**62, 400_000), "noise": text})

    schema = pa.schema([("n", pa.int64()), ("noise", pa.binary())])
    with Spool(pa.RecordBatchReader.from_batches(schema, batches())) as spool:
        assert spool.num_rows == 24 * 400_000
        again = np.random.default_rng(1)
        kept = spool.column("n")
        for place in range(24):
            again.bytes(16 * 400_000)
            expected = again.integers(0, 2**62, 400_000)
            assert kept.slice(place * 400_000, 400_000).to_numpy().tolist() == expected.tolist()


def test_a_spooled_table_shows_the_same_persons(tmp_path: Path) -> None:
    path = write_patients(tmp_path).path
    with read_in_child(path, Limits()) as reader:
        spool = Spool(reader)
    with spool:
        assert detect(spool).findings == detect(read_table(path, Limits())).findings


def test_a_department_reads_what_its_disk_holds_and_no_bomb() -> None:
    assert inside(300 * 1024**3).file_bytes == 300 * 1024**3
    assert inside(300 * 1024**3).decoded_bytes == 100 * 300 * 1024**3
    # A file of a megabyte still unfolds to two gibibytes at most.
    assert inside(1024**2).decoded_bytes == Limits().decoded_bytes


@pytest.mark.drill
def test_a_column_of_more_text_than_one_array_holds_is_looked_at_whole() -> None:
    piece = pa.array([f"{n % 1000:04d}" + "说" * 20_000 for n in range(2_000)])
    table = pa.table({"note": pa.chunked_array([piece] * 20), "age": pa.chunked_array([range(2_000)] * 20)})
    assert table.nbytes > 2**31
    column = detect(table).columns[0]
    assert len(column.distinct) == 1_000
    assert (column.coded.codes == np.tile(np.arange(2_000) % 1_000, 20)).all()


@pytest.mark.drill
def test_a_scan_needs_less_memory_than_its_table_takes(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("w") as file:
        file.write("年龄,性别,说明\n")
        for n in range(40):
            row = f"{20 + n},{'男' if n % 2 else '女'},{'说' * 300}{n}\n"
            file.write(row * 50_000)
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from exchange.desensitization import department\n"
        "from exchange.desensitization.policy.declaration import Declaration\n"
        "from exchange.desensitization.reading.limits import inside\n"
        "path = Path(sys.argv[1])\n"
        "department.scan(path, Declaration(), bytes(32), inside(path.stat().st_size))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # One column of texts is held at a time, and read in blocks: the child needs far less than the file.
    _, child_kib = map(int, done.stdout.split())
    assert path.stat().st_size > 1_700_000_000
    assert child_kib * 1024 < 600_000_000
