"""Somebody without an account complains on a page, follows the number that it gives, and reads the answer there."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from exchange.api import doorway

pytestmark = pytest.mark.browser


def test_a_complaint_without_an_account_gives_a_number_that_leads_to_its_answer(
    market: Any, visit: Callable[..., Page]
) -> None:
    supplier, client = market.party("市水务局", "supplier")
    asset = market.asset(supplier, "城市内涝热线工单")
    page = visit(f"/zh/assets/{asset}")
    page.get_by_role("link", name="对此数据投诉").click()
    expect(page.locator("#f-asset")).to_have_value(asset)
    page.fill("#f-text", "工单的日期早于受理日期 <b>三天</b>")
    page.fill("#f-contact", "13800000000")
    page.get_by_role("button", name="提交投诉").click()
    expect(page.locator("h1")).to_have_text("投诉进展")
    expect(page.locator("main")).not_to_contain_text("13800000000")
    tracking = page.locator("#tracking").inner_text()
    (filed,) = client.complaints()
    assert (filed.text, filed.contact) == ("工单的日期早于受理日期 <b>三天</b>", "13800000000")
    assert tracking.startswith(f"{filed.complaint}-")
    client.answer_complaint(filed.complaint, "uphold", "mended with the next edition")
    page.goto(f"{market.url}/en/complaints")
    page.fill("#f-tracking", f" {tracking} ")
    page.get_by_role("button", name="Look").click()
    expect(page.locator("#said")).to_have_text("mended with the next edition")
    expect(page.locator(".meta")).to_contain_text("upheld")
    for path, width in (("complaints", 360), (f"complaints/{tracking}", 360), ("complaints", 1440)):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(f"{market.url}/zh/{path}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (path, width)


def test_what_is_no_complaint_is_refused_at_its_field_and_a_flood_is_turned_away(
    market: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with httpx.Client(base_url=market.url, headers={"Origin": market.url}) as http:
        form = re.search(
            r'name="identifier" value="(web-complaint-[0-9a-f]{32})"', http.get("/en/complaints").text
        )
        assert form is not None
        good = {"identifier": form[1], "topic": "data", "text": "it is wrong", "asset": "", "party": ""}
        for wrong, status, field in (
            ({"text": "  "}, 422, "text"),
            ({"text": "x" * 2001}, 400, "text"),
            ({"text": "nul \x00"}, 400, "text"),
            ({"topic": "weather"}, 422, "topic"),
            ({"asset": "ast-none"}, 404, "asset"),
            ({"asset": "<script>"}, 400, "asset"),
            ({"party": "pty-none"}, 404, "party"),
            ({"asset": "ast-a", "party": "pty-a"}, 422, "party"),
        ):
            answer = http.post("/en/complaints", data={**good, **wrong})
            assert (wrong, answer.status_code) == (wrong, status)
            assert f'id="wrong-{field}"' in answer.text
            assert "<script>" not in answer.text.partition("<main")[2]
        assert (
            http.post("/en/complaints", data=good, headers={"Origin": "https://else.example"}).status_code
            == 403
        )
        assert http.post("/en/complaints", data={**good, "identifier": "mine"}).status_code == 400
        filed = [http.post("/en/complaints", data=good).headers["location"] for _ in range(2)]
        assert filed[0] == filed[1]  # sent twice, filed once
        number = filed[0].rpartition("/")[2]
        assert http.get(f"/en/complaints/{number}").status_code == 200
        for other in (f"{number[:-1]}{'0' if number[-1] != '0' else '1'}", "cpl-1", "x" * 300):
            assert http.get(f"/en/complaints/{other}").status_code == 404
        looked = http.get("/en/complaints", params={"tracking": "cpl-1"})
        assert looked.status_code == 404
        assert 'id="wrong-tracking"' in looked.text
        monkeypatch.setattr(doorway, "VISITOR_COSTS", doorway.QUOTA + 1)  # so that one is too many
        flood = http.post("/en/complaints", data=good)
        assert (flood.status_code, "caller.quota" in flood.text) == (429, True)
    assert len(market.administrator.complaints()) == 1
