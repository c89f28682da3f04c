"""The catalogue's story: a department declares a list from the shell, and anybody finds, sees and fetches what is open."""

from __future__ import annotations

import csv
from pathlib import Path

import orjson
from typer.testing import CliRunner

from exchange.cli import app
from tests.stories.conftest import Venue


def test_a_department_declares_a_list_from_the_shell_and_sends_it_again_corrected(
    venue: Venue, tmp_path: Path
) -> None:
    owner = venue.admit("supplier")
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_text(owner.client.add_key("shell"))
    environ = {
        "EXCHANGE_URL": venue.server.url,
        "EXCHANGE_KEY_FILE": str(key),
        "EXCHANGE_VKEY": venue.vkey,
    }
    sheet = tmp_path / "assets.csv"
    rows = [f"r-{n},第{n}号水质监测点,city,hourly" for n in range(1, 1_203)]
    rows[4] = "r-5,第5号,weather,hourly"
    sheet.write_text("\n".join(["id,title,kind,summary", *rows]) + "\n", encoding="utf-8")

    def declare(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["declare", str(sheet), *words], env=environ)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout

    status, said = declare("--lang", "zh")
    assert status == 1
    assert "已申报 1201 行" in said
    (told,) = list(csv.DictReader((tmp_path / "assets.report.csv").open(encoding="utf-8-sig")))
    assert (told["行"], told["编号"], told["字段"], told["办法"]) == ("5", "r-5", "kind", "从类别表中选一个")
    rows[4] = "r-5,第5号,city,hourly"
    sheet.write_text("\n".join(["id,title,kind,summary", *rows]) + "\n", encoding="utf-8")
    status, said = declare("--json")
    assert (status, orjson.loads(said)["declared"], orjson.loads(said)["failed"]) == (0, 1202, 0)
    report = orjson.loads((tmp_path / "assets.report.json").read_bytes())
    assert sum(not row["repeated"] for row in report["declared"]) == 1
    page = owner.client.catalogue("水质 监测点", state="declared", limit=1)
    assert page.total == 1201
    found = CliRunner().invoke(app, ["catalogue", "水质", "--json"], env=environ)
    assert orjson.loads(found.stdout)["total"] == "1201"
    shown = CliRunner().invoke(app, ["asset", page.assets[0].id, "--lang", "zh"], env=environ)
    assert "水质监测点" in shown.stdout
    nobody = CliRunner().invoke(app, ["fetch", page.assets[0].id, str(tmp_path / "x")], env=environ)
    assert nobody.exit_code != 0
    assert not (tmp_path / "x").exists()
