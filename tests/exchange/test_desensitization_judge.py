"""What arrives at the exchange is measured in a child and sent back with column, rule and remedy for each reason."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exchange.demo.tables import write_patients, write_weather
from exchange.desensitization.child import measure_in_child
from exchange.desensitization.department import scan
from exchange.desensitization.errors import TableTooLarge, UnreadableTable
from exchange.desensitization.judge import Failure, Measurement, Requirements, judge
from exchange.desensitization.measure import measure, measure_table
from exchange.desensitization.policy import (
    ColumnPolicy,
    Dates,
    Generalize,
    Interval,
    Keep,
    Mask,
    Policy,
    Pseudonymize,
    Suppress,
)
from exchange.desensitization.policy.declaration import Declaration
from exchange.desensitization.reading.limits import Limits

ROWS = 40
AGE = Generalize(Interval(Decimal(0), (Decimal(20),)), 1)
POLICY = Policy(
    (
        ColumnPolicy("number", "direct_identifier", Pseudonymize()),
        ColumnPolicy("name", "direct_identifier", Suppress()),
        ColumnPolicy("age", "quasi_identifier", AGE),
        ColumnPolicy("month", "quasi_identifier", Generalize(Dates(("month",)), 1)),
        ColumnPolicy("service", "sensitive", Keep()),
        ColumnPolicy("phone", "direct_identifier", Mask(3, 4)),
    ),
    k=5,
    l=2,
    suppression_limit_ppm=0,
)
CLEAN: dict[str, list[Any]] = {
    "number": [f"psn-{n:026d}".replace("0", "a").replace("1", "b").replace("8", "c").replace("9", "d") for n in range(ROWS)],
    "age": [f"[{20 * (n % 2)}, {20 * (n % 2) + 20})" for n in range(ROWS)],
    "month": [f"2025-0{n % 4 // 2 + 1}" for n in range(ROWS)],
    "service": [("surgery", "ICU", "emergency")[n % 3] for n in range(ROWS)],
}  # fmt: skip


def judged(columns: dict[str, list[Any]], policy: Policy = POLICY, **asked: Any) -> list[Failure]:
    measured = measure_table(pa.table(columns), policy, file_digest="0" * 64, file_bytes=1)
    assert Measurement.from_json(measured.to_json()) == measured
    requirements = {"k": 5, "l": 2, "exempt_from_k": policy.exempt_from_k, "grade": "general", **asked}
    return judge(measured, Requirements(policy, **requirements))


def reasons(failures: list[Failure]) -> list[tuple[str | None, str]]:
    assert all(failure.detail and failure.remedy for failure in failures)
    return [(failure.column, failure.rule) for failure in failures]


def test_a_clean_product_crosses() -> None:
    assert judged(CLEAN) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"extra": [1.5] * ROWS}, [("extra", "undeclared_column")]),
        ({"number": [f"PAT-{n}" for n in range(ROWS)]}, [("number", "not_as_declared"), ("number", "direct_identifier")]),
        ({"name": ["Richard Rodriguez", "Julia Torres"] * 20}, [("name", "not_as_declared"), ("name", "direct_identifier")]),
        ({"age": [20 + n % 2 for n in range(ROWS)]}, [("age", "not_as_declared")]),
        ({"month": [f"2025-01-0{n % 4 // 2 + 1}" for n in range(ROWS)]}, [("month", "not_as_declared")]),
        ({"phone": ["138****5678", "139****0000"] * 20}, []),
        ({"phone": [f"13{n % 10}****{n:04d}" for n in range(ROWS)]}, [("phone", "k_anonymity"), ("service", "l_diversity")]),
        ({"phone": ["13812345678", "13912340000"] * 20}, [("phone", "not_as_declared"), ("phone", "direct_identifier")]),
        ({"service": ["surgery"] * ROWS}, [("service", "l_diversity")]),
        ({"month": [f"2025-{n % 12 + 1:02d}" for n in range(ROWS)]}, [("month", "k_anonymity"), ("service", "l_diversity")]),
        ({"faceTemplate": ["x"] * ROWS}, [("faceTemplate", "undeclared_column"), ("faceTemplate", "biometric")]),
    ],
)  # fmt: skip
def test_what_fails_is_sent_back_with_column_and_rule(
    change: dict[str, list[Any]], expected: list[tuple[str, str]]
) -> None:
    assert reasons(judged({**CLEAN, **change})) == expected


def test_a_quasi_identifier_that_was_not_declared_counts_all_the_same() -> None:
    policy = replace(POLICY, columns=(*POLICY.columns, ColumnPolicy("birth_date", "other", Keep())))
    failures = judged({**CLEAN, "birth_date": [f"1990-01-{n % 28 + 1:02d}" for n in range(ROWS)]}, policy)
    assert reasons(failures) == [("birth_date", "k_anonymity"), ("service", "l_diversity")]
    assert "birth_date" in failures[0].detail


def test_an_identity_number_under_an_innocent_header_is_found() -> None:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    heads = [f"110101{1950 + n}0{n % 9 + 1}1{n % 9}{n:03d}" for n in range(ROWS)]
    ids = [
        head + "10X98765432"[sum(int(d) * w for d, w in zip(head, weights, strict=True)) % 11]
        for head in heads
    ]
    policy = replace(POLICY, columns=(*POLICY.columns, ColumnPolicy("c7", "other", Keep())))
    assert reasons(judged({**CLEAN, "c7": ids}, policy)) == [("c7", "direct_identifier")]


def test_rows_of_one_pseudonym_count_as_one_person() -> None:
    failures = judged({**CLEAN, "number": [CLEAN["number"][n % 4] for n in range(ROWS)]})
    assert reasons(failures) == [("month", "k_anonymity")] or reasons(failures) == [("age", "k_anonymity")]
    assert "k is 1" in failures[0].detail


def test_an_exemption_falls_with_the_first_column_about_a_person() -> None:
    exempt = Policy(
        (ColumnPolicy("age", "other", Keep()), ColumnPolicy("n", "other", Keep())),
        5,
        2,
        0,
        exempt_from_k=True,
    )
    assert reasons(judged({"age": [1, 2], "n": [1, 2]}, exempt)) == [("age", "exemption")]
    assert judged({"n": [1, 2]}, exempt) == []
    # The policy claims what nobody authorized.
    assert reasons(judged({"n": [1, 2]}, exempt, exempt_from_k=False)) == [(None, "identifiers_not_declared")]


def test_a_higher_grade_than_authorized_sends_the_table_back() -> None:
    measured = measure_table(pa.table(CLEAN), POLICY, file_digest="0" * 64, file_bytes=1)
    asked = Requirements(POLICY, 5, 2, False, "general")
    assert reasons(judge(replace(measured, grade="important"), asked)) == [(None, "grade")]
    assert judge(replace(measured, grade="important"), replace(asked, grade="important")) == []


def test_the_child_measures_as_this_process_does(tmp_path: Path) -> None:
    raw = write_patients(tmp_path).path
    policy = scan(raw, Declaration(), bytes(32), Limits()).policy
    found = measure_in_child(raw, policy)
    assert found == measure(raw, policy, Limits())
    rules = {
        (failure.column, failure.rule)
        for failure in judge(found, Requirements(policy, 5, 2, False, "general"))
    }
    # Raw data is refused for every reason there is.
    assert {("name", "direct_identifier"), ("name", "not_as_declared"), ("age", "not_as_declared")} <= rules
    assert "k_anonymity" in {rule for _, rule in rules}


def test_the_child_names_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1" + bytes(64) + b"PAR1")
    with pytest.raises(UnreadableTable, match="broken"):
        measure_in_child(broken, POLICY)
    with pytest.raises(TableTooLarge) as refused:
        measure_in_child(write_weather(tmp_path).path, POLICY, limits=Limits(rows=100))
    assert refused.value.rule == "at most 100 rows"
    with pytest.raises(UnreadableTable, match="cannot be opened"):
        measure_in_child(tmp_path / "absent.parquet", POLICY)


def test_a_bomb_ends_the_child_and_not_its_parent(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.parquet"
    coded = pa.DictionaryArray.from_arrays(pa.array([0] * 400_000, pa.int32()), pa.array(["x" * 60_000]))
    pq.write_table(pa.table({"a": coded}), bomb)
    assert bomb.stat().st_size < 100_000
    # Limits that would let it pass: the memory of the child is the wall.
    wide = Limits(decoded_bytes=1 << 50)
    with pytest.raises(TableTooLarge):
        measure_in_child(bomb, POLICY, limits=wide, memory_bytes=2 * 1024**3)


def test_a_child_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(TableTooLarge, match="longer than 0"):
        measure_in_child(write_weather(tmp_path).path, POLICY, timeout_s=0)


def test_the_serving_side_of_the_mask_loads_no_array_library_and_no_server() -> None:
    code = (
        "import sys, exchange.desensitization.child, exchange.desensitization.judge, exchange.desensitization.scanned\n"
        "heavy = {'numpy', 'pyarrow', 'pandas', 'duckdb', 'fastapi', 'sqlmodel', 'sqlalchemy', 'psycopg', 'web3'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_the_whole_mask_loads_no_server_and_no_database() -> None:
    code = (
        "import sys, exchange.desensitization.department, exchange.desensitization.report, exchange.desensitization.child\n"
        "heavy = {'fastapi', 'sqlmodel', 'sqlalchemy', 'psycopg', 'web3', 'pandas', 'duckdb'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
