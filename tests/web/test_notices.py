"""What people say to a public notice: a visitor without an account, a party in its name, a registrar who decides, a regulator who reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from exchange.api import doorway
from tests.web.people import Seat, seated

pytestmark = pytest.mark.browser

STEPS = ("risk_assessment", "authorization", "desensitization", "aggregation")


@pytest.fixture
def noticed(market: Any) -> tuple[str, str]:
    """An application in public notice, and the party of its registrars."""
    party, supplier = market.party("市气象局", "supplier")
    registry, registrar = market.party("登记中心", "registrar")
    reviewer = market.stack.enter_context(type(registrar)(market.url, vkey=market.administrator.vkey))
    reviewer.enrol(market.administrator.invite(registry, "复核员").token)
    evidence = {step: str(number) for number, step in enumerate(STEPS)}
    asset = market.asset(party, "自动气象站观测", state="themed", evidence=evidence, code=None)
    application: str = supplier.apply(asset).outcome["application"]
    registrar.accept(application)
    reviewer.review(application)
    return application, registry


def sits(market: Any, party: str, login: str) -> Seat:
    return seated(market.url, market.administrator.invite(party, login).token, login)


def test_a_visitor_comments_on_a_notice_in_its_page_and_everybody_reads_it(
    market: Any, visit: Callable[..., Page], noticed: tuple[str, str]
) -> None:
    page = visit("/zh/notices")
    page.get_by_role("link", name="自动气象站观测").click()
    page.fill("#f-text", "一处错误:七号站<b>已撤</b>\n见公告")
    page.get_by_role("button", name="公开发表").click()
    expect(page.locator(".notice[role=status]")).to_contain_text("意见已公开")
    expect(page.locator(".said .said-words")).to_have_text("一处错误:七号站<b>已撤</b>\n见公告")
    expect(page.locator(".said strong")).to_have_text("访客")
    page.fill("#f-text", "一处错误:七号站<b>已撤</b>\n见公告")
    page.get_by_role("button", name="公开发表").click()  # the same said twice is one comment
    expect(page.locator(".said li")).to_have_count(1)


def test_a_comment_that_is_none_is_refused_at_its_field_and_a_flood_is_turned_away(
    market: Any, noticed: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    application, _ = noticed
    with httpx.Client(base_url=market.url, headers={"Origin": market.url}) as http:
        for path in (f"/en/notices/{application}", f"/zh/notices/{application}"):
            for text, status in (("  ", 422), ("x" * 2001, 400), ("nul \x00", 400)):
                answer = http.post(path, data={"text": text})
                assert (text[:9], answer.status_code) == (text[:9], status)
                assert 'id="wrong-text"' in answer.text
        foreign = http.post(path, data={"text": "well"}, headers={"Origin": "https://else.example"})
        assert foreign.status_code == 403
        assert http.post("/en/notices/app-none", data={"text": "well"}).status_code == 404
        market.administrator.move_clock(60 * 86_400_000_000)
        page = http.get(path).text
        assert "公示已经结束" in page
        assert 'id="f-text"' not in page
        late = http.post(path, data={"text": "late"})
        assert late.status_code == 409
        assert "notice.over" in late.text
        monkeypatch.setattr(doorway, "VISITOR_COSTS", doorway.QUOTA + 1)  # so that one is too many
        assert http.post(path, data={"text": "once more"}).status_code == 429


def test_a_party_comments_and_objects_in_its_name_a_registrar_decides_and_the_regulator_reads(
    market: Any, visit: Callable[..., Page], browser: Browser, noticed: tuple[str, str]
) -> None:
    application, registry = noticed
    buyer, _ = market.party("保险公司", "buyer")
    seats = {
        "buyer": sits(market, buyer, "trader"),
        "registrar": sits(market, registry, "clerk"),
        "regulator": sits(market, market.party("市数据局", "regulator")[0], "inspector"),
    }
    pages = {}
    for role, seat in seats.items():
        context = browser.new_context()
        market.stack.callback(context.close)
        context.add_cookies(seat.cookies())  # type: ignore[arg-type]
        pages[role] = context
    page = visit(f"/en/notices/{application}", context=pages["buyer"])
    page.get_by_role("link", name="Sign in to comment or object").click()
    page.locator("summary", has_text="Comment").click()
    page.fill("#f-text", "we would buy it")
    page.get_by_role("button", name="Publish the comment").click()
    expect(page.locator(".said strong")).to_have_text("保险公司")
    page.locator("summary", has_text="Object").click()
    page.fill("#f-reason", "七号站的数据是我们的")
    page.get_by_role("button", name="Object").click()
    expect(page.locator("#objections + .hint + article")).not_to_contain_text("七号站")  # whose it is not

    read = visit("/zh/regulator/notices", context=pages["regulator"])
    expect(read.locator(".said")).to_contain_text("we would buy it")
    read.get_by_role("link", name="自动气象站观测").first.click()
    expect(read.locator("article")).to_contain_text("七号站的数据是我们的")
    expect(read.locator("form")).to_have_count(0)
    read.goto(f"{market.url}/zh/regulator/accesses")
    expect(read.locator("main")).to_contain_text(f"regulator/notices/{application}")

    office = visit("/zh/desk/notices", context=pages["registrar"])
    office.get_by_role("link", name="自动气象站观测").first.click()
    office.get_by_label("驳回异议").check()
    office.get_by_label("答复（异议方与公众可见）").fill("七号站归气象局")
    office.get_by_role("button", name="记录裁定").click()
    if office.locator("#f-confirm_code").count():
        office.fill("#f-confirm_code", seats["registrar"].code(1))
        office.locator("main form button[type=submit]").click()
    expect(office.locator("article")).to_contain_text("七号站归气象局")
    page.goto(f"{market.url}/en/notices/{application}")
    expect(page.locator("main")).to_contain_text("七号站归气象局")
