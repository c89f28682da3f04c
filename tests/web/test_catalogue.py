"""The public catalogue as its readers see it: found by words, narrowed by links, whole without scripts, on any screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import pytest
from playwright.sync_api import Page, expect

from exchange.messages.market import OfferMessage
from exchange.web.console import CARDS_A_PAGE, POLICY

pytestmark = pytest.mark.browser


def shelves(market: Any) -> dict[str, str]:
    """Assets of every sort of two departments."""
    traffic, health = market.party("市交通运输局", "supplier"), market.party("市卫生健康委员会", "supplier")
    told = {"evidence": {"desensitization": "1"}, "log_index": 1}
    made = {
        "transit": market.asset(
            traffic[0], "公共交通客流统计", kind="transport", theme="travel", opening="open", update_days=30,
            summary="各线路每日上下车人次,按小时汇总;来源为公交与地铁的刷卡记录,已脱敏。", **told,
        ),
        "flights": market.asset(
            traffic[0], "Flights of one airport, 2013", kind="transport", theme="travel", update_days=365, stale=True,
            summary="Departures by hour, with delays and carriers.", **told,
        ),
        "hospital": market.asset(
            health[0], "医院住院人次与费用", kind="health", theme="medical_care", update_days=7,
            summary="二级以上医院住院人次,按病种与年龄段。", **told,
        ),
        "closed": market.asset(health[0], "传染病个案", kind="health", theme="population", opening="closed"),
    }  # fmt: skip
    offer = OfferMessage(grant="licence", licences=20, term_days=365, price_fen=1_280_000)
    health[1].offer_fixed_price(made["hospital"], offer)
    return made


def test_a_page_of_the_catalogue_is_whole_without_scripts_and_under_the_strict_policy(
    market: Any, visit: Callable[..., Page]
) -> None:
    made = shelves(market)
    page = visit("/zh/catalogue", java_script_enabled=False)
    expect(page.locator(".card")).to_have_count(4)
    page.get_by_label("检索").fill("客流")
    page.get_by_role("button", name="检索").click()
    expect(page.locator(".card")).to_have_count(1)
    expect(page.locator(f"#asset-{made['transit']}")).to_contain_text("免费")
    page.get_by_role("link", name="移除").click()
    expect(page.locator(".card")).to_have_count(4)
    page.locator(".facets").get_by_role("link", name="卫生健康 2").click()
    expect(page.locator(".card")).to_have_count(2)
    # The other kinds keep their counts: each facet is counted under the filters of the others.
    expect(page.locator(".facets").get_by_role("link", name="交通运输 2")).to_be_visible()
    page.locator(".facets").get_by_role("link", name="一口价 1").click()
    expect(page.locator(".card")).to_contain_text("12,800.00")
    page.get_by_role("link", name="医院住院人次与费用").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("医院住院人次与费用")
    expect(page.locator("main")).to_contain_text("每 7 天")
    with httpx.Client(base_url=market.url) as http:
        for path, status in (
            ("/zh/catalogue", 200),
            (f"/en/assets/{made['transit']}", 200),
            ("/en/assets/none", 404),
        ):
            answer = http.get(path)
            assert (answer.status_code, answer.headers["content-security-policy"]) == (status, POLICY)
        hostile = "/en/catalogue?text=%3Cscript%3E%27%22&kind=%3Cb%3E&after=x&supplier=%27%3B--"
        answer = http.get(hostile)
        assert answer.status_code == 200
        assert "<script>'" not in answer.text
        assert "<b>" not in answer.text


@pytest.mark.parametrize("language", ["zh", "en"])
def test_nothing_found_says_what_to_do_and_the_other_language_keeps_the_search(
    market: Any, visit: Callable[..., Page], language: str
) -> None:
    empty = visit(f"/{language}/catalogue")
    expect(empty.locator(".empty")).to_be_visible()
    shelves(market)
    page = visit(f"/{language}/catalogue?text=nothing+of+the+kind&kind=health")
    expect(page.locator(".empty")).to_be_visible()
    page.locator(".tongue[hreflang]").click()
    expect(page.locator("input[type=search]")).to_have_value("nothing of the kind")
    page.locator(".empty a").click()
    expect(page.locator(".card")).to_have_count(4)


@pytest.mark.parametrize(("width", "language"), [(360, "zh"), (360, "en"), (1280, "zh")])
def test_the_catalogue_fits_the_screen(
    market: Any, visit: Callable[..., Page], width: int, language: str
) -> None:
    made = shelves(market)
    for path in (f"/{language}/catalogue?kind=transport", f"/{language}/assets/{made['transit']}"):
        page = visit(path, viewport={"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_pages_lead_from_one_to_the_next(market: Any, visit: Callable[..., Page]) -> None:
    supplier, _ = market.party("市水务局", "supplier")
    titles = [f"水质监测点 {number}" for number in range(CARDS_A_PAGE + 2)]
    for number, title in enumerate(titles):
        market.asset(supplier, title, log_index=number)
    page = visit("/zh/catalogue?text=水质")
    seen = page.locator(".card h3").all_inner_texts()
    page.get_by_role("link", name="下一页").click()
    expect(page.locator(".card")).to_have_count(2)
    seen += page.locator(".card h3").all_inner_texts()
    assert seen == titles[::-1]
    page.get_by_role("link", name="回到首页").click()
    expect(page.locator(".card")).to_have_count(CARDS_A_PAGE)


def test_an_asset_shows_what_it_was_made_of_and_what_was_made_of_it(
    market: Any, visit: Callable[..., Page]
) -> None:
    made = shelves(market)
    derived = market.asset(
        market.party("市数据中心", "supplier")[0], "客流与住院的时空关联分析 <b>周报</b>", kind="health"
    )
    later = market.asset(market.party("市统计局", "supplier")[0], "住院指数", kind="health")
    with psycopg.connect(market.database_url) as connection:
        for child, parent, relation in (
            (derived, made["transit"], "derived"),
            (derived, made["hospital"], "derived"),
            (later, derived, "derived"),
        ):
            connection.execute("INSERT INTO asset_parent VALUES (%s, %s, %s, 0)", (child, parent, relation))
    for language, relation, width in (("zh", "衍生", 360), ("en", "derived from it", 1280)):
        page = visit(f"/{language}/assets/{derived}", viewport={"width": width, "height": 800})
        expect(page.locator(".kin a")).to_have_count(3)
        expect(page.locator(".kin a").last.locator(".kin-relation")).to_have_text(relation)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.locator(".kin a").last.focus()
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{market.url}/{language}/assets/{later}")
        expect(page.locator(".kin a")).to_have_count(1)
    alone = visit(f"/zh/assets/{made['flights']}")
    expect(alone.locator(".kin")).to_have_count(0)
