"""`exchange appraise`: from a form and a table to a report with pictures, and back from the report to the same bytes."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from exchange.cli import app
from exchange.errors import Malformed, Misconfigured
from exchange.messages.assets import AppraisalMessage
from pricing.appraisal import read_report
from pricing.errors import AppraisalError

FORM = Path(__file__).resolve().parents[2] / "docs" / "appraisal.json"


def say(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["appraise", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return str(result.output)


@pytest.fixture
def stays(tmp_path: Path) -> Path:
    """A table under the rules of the form."""
    path = tmp_path / "stays.parquet"
    columns = {"service": ["ICU", "surgery", "emergency"], "satisfaction": [60, 70, None]}
    pyarrow.parquet.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize(("lang", "said"), [("zh", "评估结论:"), ("en", "Value: CNY ")])
def test_a_form_and_a_table_become_a_report_with_pictures(
    tmp_path: Path, stays: Path, lang: str, said: str
) -> None:
    out = tmp_path / "value"
    text = say(FORM, "--data", stays, "--out", out, "--lang", lang)
    report = read_report((out / "report.json").read_bytes())
    assert said in text
    assert report.digest in text
    assert report.inputs.asset == "Hospital patients of 2025"
    assert (out / "report.txt").read_text() in text + "\n"
    for picture in ("tornado.svg", "distribution.svg"):
        assert ElementTree.parse(out / picture).getroot().tag.endswith("svg")
    assert {path.name for path in out.iterdir()} == {
        "report.json",
        "report.txt",
        "tornado.svg",
        "distribution.svg",
    }


def test_a_report_is_computed_again_and_a_changed_one_is_not_believed(tmp_path: Path, stays: Path) -> None:
    say(FORM, "--data", stays, "--out", tmp_path)
    assert "computed again to the same bytes; not signed" in say(tmp_path / "report.json")
    forged = tmp_path / "forged.json"
    written = (tmp_path / "report.json").read_text()
    forged.write_text(written.replace('"value_fen":"', '"value_fen":"9'))
    with pytest.raises(AppraisalError, match="its inputs give digest"):
        say(forged)


def test_a_key_signs_the_form_which_holds_for_that_asset_alone(tmp_path: Path, stays: Path) -> None:
    form = json.loads(FORM.read_text())
    named = tmp_path / "named.json"
    named.write_text(json.dumps({**form, "appraiser": "An appraiser"}))
    key, out = tmp_path / "appraiser.key", tmp_path / "out"
    say(named, "--data", stays, "--asset", "DA-1 stays", "--key", key, "--out", out)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    first = (out / "report.json").read_bytes()
    assert "signed under" in say(out / "report.json")
    # The signed form stands by itself, under the same name.
    assert AppraisalMessage.model_validate_json((out / "form.json").read_text()).signature is not None
    say(out / "form.json", "--data", stays, "--asset", "DA-1 stays")
    with pytest.raises(AppraisalError, match="is not the appraiser's"):
        say(out / "form.json", "--data", stays, "--asset", "DA-2 stays")
    # The key signs again, and is not made anew.
    say(named, "--data", stays, "--asset", "DA-1 stays", "--key", key, "--out", out)
    again = read_report((out / "report.json").read_bytes())
    assert again.signature == read_report(first).signature
    key.chmod(0o644)
    with pytest.raises(Misconfigured, match="no private key"):
        say(named, "--data", stays, "--key", key)
    with pytest.raises(AppraisalError, match="appraiser: must be stated"):
        say(FORM, "--data", stays, "--key", tmp_path / "another.key")


def test_without_uncertain_figures_there_are_no_pictures(tmp_path: Path, stays: Path) -> None:
    form: dict[str, Any] = {**json.loads(FORM.read_text()), "uncertain": []}
    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps(form))
    assert "no pictures" in say(plain, "--data", stays, "--out", tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.svg"))


def test_the_example_by_income_and_market_needs_no_data() -> None:
    text = say(FORM.with_name("appraisal-income.json"))
    assert "Value: CNY 101,323.46" in text
    assert "P95  CNY 111,114.50" in text


def test_without_data_an_approach_that_needs_its_quality_is_refused() -> None:
    with pytest.raises(AppraisalError, match="measure it"):
        say(FORM)


@pytest.mark.parametrize("written", ["", "[]", "{", "5"])
def test_files_that_are_no_json_object_are_refused_by_name(tmp_path: Path, written: str) -> None:
    path = tmp_path / "form.json"
    path.write_text(written)
    with pytest.raises(Malformed, match="holds no JSON object"):
        say(path)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"purpose": 5}, "purpose"),
        ({"luck": "much"}, "luck"),
        ({"approaches": [{"approach": "guess"}]}, "approaches.0"),
        ({"draws": 1.5}, "draws"),
    ],
)
def test_a_form_of_another_shape_is_refused_by_its_member(
    tmp_path: Path, changed: dict[str, Any], field: str
) -> None:
    path = tmp_path / "form.json"
    path.write_text(json.dumps({**json.loads(FORM.read_text()), **changed}))
    with pytest.raises(Malformed) as refused:
        say(path)
    assert refused.value.field == field
