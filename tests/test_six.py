"""The six kinds of public data, registered by the command line as their departments would; the raw tables are refused."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

from exchange.demo import six
from exchange.taxonomy import KINDS, THEMES


def test_S21_each_of_the_six_kinds_has_a_real_table_of_a_known_licence(tmp_path: Path) -> None:
    assert {one.kind for one in six.SIX} == KINDS.keys()
    assert {one.theme for one in six.SIX} <= THEMES.keys()
    for one in six.SIX:
        raw = one.write(tmp_path)
        assert raw.licence in ("CC0-1.0", "MIT")
        assert raw.source
        if raw.path.suffix == ".parquet":
            shape = pq.ParquetFile(raw.path).metadata
            assert (shape.num_rows, shape.num_columns) == (raw.rows, raw.columns)
        else:
            with raw.path.open(encoding="utf-8", newline="") as file:
                header, *rows = csv.reader(file)
            assert (len(rows), len(header)) == (raw.rows, raw.columns)


def held(report: dict[str, Any]) -> None:
    """Each table has its code, and its raw file was refused three times, each for a stated reason."""
    assert report["verdict"] == "pass"
    for one in report["registered"]:
        assert re.fullmatch(rf"DA-20\d\d-{KINDS[one['kind']].letters}-[0-9a-f]{{8}}", one["code"])
        assert one["opening"] == "conditional"
        without, tool, around = one["refused"]
        assert (without["by"], without["code"]) == ("exchange", "path.risk_assessment_missing")
        assert (tool["by"], tool["code"]) == ("tool", "queue.not_certified")
        assert around["by"] == "exchange"
        assert around["code"].startswith("release.")
        assert around["index"] is not None  # on the record
        assert all(refusal["reasons"] for refusal in one["refused"])
    people = {one["kind"]: one["refused"][2]["reasons"] for one in report["registered"]}.get("health", [])
    assert any(reason.startswith("name: ") for reason in people)


@pytest.mark.drill
def test_a_table_says_what_was_refused_of_a_raw_file_by_whom_and_why(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    health = [one for one in six.SIX if one.kind == "health"]
    assert six.registered(json=False, lang="zh", kinds=health) == 0
    printed = capsys.readouterr().out
    for shown in (
        "已登记",
        "原始数据：被拒绝及原因",
        "部门工具",
        "queue.not_certified",
        "release.not_as_declared",
    ):
        assert shown in printed
    assert "name: " in printed


@pytest.mark.drill
def test_S21_six_departments_register_real_tables_by_the_command_line_and_every_raw_one_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "exchange", "demo", "--six", "--json"],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = orjson.loads(done.stdout.splitlines()[-1])
    assert [one["kind"] for one in report["registered"]] == [one.kind for one in six.SIX]
    held(report)
