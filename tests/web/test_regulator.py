"""The regulator's pages: apart from the rest, every look registered, an order that reaches open pages at once."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.people import PASSWORD, Seat, seated

pytestmark = pytest.mark.browser


def regulator(market: Any) -> Seat:
    """Somebody of a regulator, at the console."""
    party, _ = market.party("市数据局", "regulator")
    return seated(market.url, market.administrator.invite(party, "督察员").token, "inspector")


def test_a_regulators_halt_arrives_in_an_open_lot_page(
    market: Any, visit: Callable[..., Page], browser: Browser
) -> None:
    seat = regulator(market)
    lot = market.lot(market.party("市水务局", "supplier"), "城市内涝热线工单")
    watching = visit(f"/zh/lots/{lot}")
    expect(watching.locator("#pulse")).to_have_attribute("data-state", "on")
    context = browser.new_context()
    context.add_cookies(seat.cookies())  # type: ignore[arg-type]
    page = visit("/zh/regulator/", context=context)
    page.fill("#text", "内涝")
    page.click("main form[role=search] button")
    page.locator(f"a[href$='{lot}']").first.click()
    page.fill("#f-reason", "报价设备故障")
    page.click("section.order button[type=submit]")
    expect(page.locator(".notice[data-state=good]")).to_contain_text("已中止竞价")
    expect(watching.locator("#standing .chip")).to_have_text("已中止")
    first = page.locator(".timeline li").first
    expect(first).to_contain_text("中止竞价")
    expect(first).to_contain_text("报价设备故障")
    first.locator("a.index").click()
    expect(page.locator("h1")).to_contain_text("中止竞价")
    expect(page.locator("pre").first).to_contain_text(lot)
    page.go_back()
    page.click("section.order > form button[type=submit]")
    expect(page.locator(".notice[data-state=good]")).to_contain_text("已恢复")
    expect(watching.locator("#standing .chip")).to_have_text("竞价中")
    page.goto(f"{market.url}/zh/regulator/accesses")
    expect(page.locator("tbody")).to_contain_text(f"regulator/timeline/{lot}")
    context.close()


def test_the_halls_are_apart_and_the_record_leaves_whole(market: Any) -> None:
    seat = regulator(market)
    other = seated(
        market.url, market.administrator.invite(market.party("企业", "buyer")[0], "员工").token, "clerk"
    )
    with httpx.Client(base_url=market.url) as http:
        for path in (
            "search",
            "lots",
            "alarms",
            "record",
            "witnesses",
            "accesses",
            "entries/0",
            "record/bundle",
        ):
            assert http.get(f"/en/regulator/{path}").status_code == 303
            borrowed = {"Cookie": f"__Host-regulator={other.cookie[1]}"}
            assert http.get(f"/en/regulator/{path}", headers=borrowed).status_code == 303
            assert http.get(f"/en/regulator/{path}", headers=seat.headers()).status_code == 200, path
        assert (
            http.get("/en/desk/account", headers={"Cookie": f"__Host-exchange={seat.cookie[1]}"}).status_code
            == 303
        )
        said = {"login": seat.login, "password": PASSWORD, "code": seat.code(1)}
        wrong = http.post("/en/sign-in", data=said, headers={"Origin": market.url})
        assert wrong.status_code == 401  # a regulator comes in by the own door alone
        bundle = http.get("/en/regulator/record/bundle?start=0", headers=seat.headers())
        with zipfile.ZipFile(io.BytesIO(bundle.content)) as found:
            assert "manifest.json" in found.namelist()
        register = http.get("/en/regulator/accesses", headers=seat.headers()).text
        assert "regulator/record/bundle?start=0" in register
