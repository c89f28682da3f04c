"""An asset is appraised from a form: what is missing is named, the report states its reasons and draws its range."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from exchange.desensitization import department
from exchange.desensitization.certificate import Authorization
from exchange.desensitization.department import Scan
from exchange.desensitization.policy.declaration import Declaration
from exchange.desensitization.reading.limits import Limits
from tests.conftest import PROJECT
from tests.web.people import Seat, seated
from tests.web.test_department import filed, sitting

pytestmark = pytest.mark.browser

DAY_US = 86_400_000_000


def registered(market: Any, folder: Path) -> tuple[Any, Seat, str]:
    """A department's client, its person's seat, and an asset that went the whole path up to its registration."""
    party, client = market.party("市气象局", "supplier")
    approver = market.stack.enter_context(type(client)(market.url, vkey=market.administrator.vkey))
    approver.enrol(market.administrator.invite(party, "审批人").token)
    raw = folder / "raw.csv"
    rows = [f"EWR,2026-01-{1 + n % 28:02d},{n % 17 - 3}.5,{40 + n % 50}" for n in range(120)]
    raw.write_text("\n".join(["station,observed,temperature,humidity", *rows]) + "\n")
    scan: Scan = department.scan(raw, Declaration(), bytes(32), Limits())
    asset: str = client.declare_asset("自动气象站观测", "meteorology").outcome["asset"]
    approver.authorize(asset, filed(client, asset, scan))
    granted = client.asset(asset).authorizations[0]
    product, certificate = folder / "product.parquet", folder / "certificate.json"
    department.apply(
        raw,
        scan.policy,
        Authorization(granted.id, asset, granted.raw_digest, granted.policy_digest, granted.exempt_from_k),
        salt=bytes(32),
        key=bytes(32),
        product=product,
        certificate=certificate,
        limits=Limits(),
    )
    digest = client.upload(product)
    client.release(asset, granted.id, digest, json.loads(certificate.read_text()))
    client.assign_theme(asset, "weather")
    application = client.apply(asset).outcome["application"]
    registry, registrar = market.party("登记中心", "registrar")
    reviewer = market.stack.enter_context(type(client)(market.url, vkey=market.administrator.vkey))
    reviewer.enrol(market.administrator.invite(registry, "复核员").token)
    registrar.accept(application)
    reviewer.review(application)
    market.administrator.move_clock(30 * DAY_US)
    while client.asset(asset).asset.state != "registered":  # the clock's hand gives the code
        time.sleep(0.05)
    seat = seated(market.url, client.console_link(client.me().person).token, "author")
    return client, seat, asset


def test_a_department_has_an_asset_appraised_from_a_form_and_reads_why_it_is_worth_that(
    market: Any, visit: Callable[..., Page], browser: Browser, tmp_path: Path
) -> None:
    client, seat, asset = registered(market, tmp_path)
    with sitting(browser, seat) as mine:
        page = visit(f"/zh/desk/assets/{asset}", context=mine)
        expect(page.locator("h1")).to_have_text("自动气象站观测")
        page.get_by_role("link", name="申请评估").click()
        expect(page.locator("#f-stream")).to_be_hidden()  # of an approach that is not chosen
        said = {
            "purpose": "拍卖起拍价",
            "valued_on": "2026-01-01",
            "cost_reason": "成本有据可查，尚无可比成交",
            "amount_collection": "50000",
            "source_collection": "2025年决算",
            "amount_processing": "15000.50",
            "source_processing": "2025年决算",
            "profit_rate": "6.5",
            "profit_source": "十年期国债收益率加三个百分点",
            "weights_reason": "各维度同等重要",
            "spread": "10",
            "spread_reason": "两个季度为估算",
            "information.period": "2026年1月",
            "information.frequency": "一次",
            "legal.right_path": "履职产生",
            "legal.right_scope": "脱敏后的表",
            "legal.right_term": "一年",
            "legal.right_limits": "不得再识别",
            "value.region": "一市",
            "value.cost": "见成本明细",
            "value.scenario": "防汛与能源调度",
        }
        for name, text in said.items():
            page.locator(f"[name='{name}']").fill(text)
        page.click("main form button[type=submit]")
        expect(page.locator("#trouble")).to_contain_text(
            "value.scarcity"
        )  # none without all of its attributes
        assert client.asset(asset).appraisals == []
        page.locator("[name='value.scarcity']").fill("唯一的脱敏发布")
        page.click("main form button[type=submit]")
        expect(page.locator(".notice[data-state=good]")).to_contain_text("评估已完成")
        expect(page.locator(".said-words")).to_contain_text("成本有据可查，尚无可比成交")
        expect(page.locator(".drawn img")).to_have_count(2)
        for drawn in page.locator(".drawn img").all():
            assert drawn.evaluate("(image) => image.decode().then(() => image.naturalWidth > 0)")
        (kept,) = client.asset(asset).appraisals
        (cost,) = kept.report["inputs"]["approaches"]
        assert [item["amount_fen"] for item in cost["items"]] == ["5000000", "1500050"]
        assert cost["profit_rate_ppm"] == "65000"
        assert kept.value_fen > 0

        page.get_by_role("link", name="重新评估").click()
        page.locator("details summary").last.click()
        page.set_input_files("#f-form", PROJECT / "pyproject.toml")
        page.click("main form button[type=submit]")
        expect(page.locator("#wrong-form")).to_be_visible()
        form = json.loads((PROJECT / "docs" / "appraisal.json").read_text())
        form["quality"] = {"columns": [{"name": "temperature", "kind": "number"}]}
        chosen = tmp_path / "form.json"
        chosen.write_text(json.dumps({**form, "approaches": [{**form["approaches"][0], "items": "none"}]}))
        page.set_input_files("#f-form", chosen)
        page.click("main form button[type=submit]")
        expect(page.locator("#trouble")).to_contain_text("appraisal.form")
        chosen.write_text(json.dumps(form))
        page.set_input_files("#f-form", chosen)
        page.click("main form button[type=submit]")
        expect(page.locator(".notice[data-state=good]")).to_contain_text("评估已完成")
        assert len(client.asset(asset).appraisals) == 2
        visit.faults.clear()  # type: ignore[attr-defined]  # the refusals' own statuses
