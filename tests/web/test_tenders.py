"""A tender at the desk: a question and its answer, a bidder's place and envelope, and the opening that everybody sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from exchange.messages.market import OfferMessage
from exchange.messages.tenders import ScoringRuleMessage
from pricing.sealed_bids import HolderKey
from tests.web.people import seated
from tests.web.test_enterprise import GOOD, Firm, sit

__all__ = ["sit"]

pytestmark = pytest.mark.browser

DAY_US = 86_400_000_000


def test_a_bidder_asks_joins_seals_with_its_own_program_and_all_see_the_opening(
    market: Any, visit: Callable[..., Page], sit: Callable[..., BrowserContext]
) -> None:
    supplier, client = market.party("市水务局", "supplier")
    holders = [market.party(f"持钥人{number}", "service_provider") for number in range(3)]
    keys = [HolderKey.from_seed(bytes([number + 1]) * 32) for number in range(3)]
    for (_, holder), key in zip(holders, keys, strict=True):
        holder.publish_holder_key(key.public.hex())
    deadline_us = market.now_us() + 21 * DAY_US
    tender = client.publish_tender(
        market.asset(supplier, "城市内涝热线工单"),
        OfferMessage(grant="licence", term_days=365, price_fen=1_000_000),
        ScoringRuleMessage(price_weight_ppm=1_000_000),
        holders=[party for party, _ in holders],
        threshold=2,
        deposit_fen=20_000,
        deadline_us=deadline_us,
        opens_us=deadline_us,
        terms="一年使用权",
    ).outcome["id"]
    firm = Firm(market, "甲企业", "jia.qiye")
    context = sit(firm.seat)
    page = visit("/zh/desk/tenders", context=context)
    page.get_by_role("link", name="城市内涝热线工单").click()
    page.fill("#f-question", "可否分期交付")
    page.get_by_role("button", name="提问").click()
    expect(page.locator(GOOD)).to_contain_text("已提问")
    officer = seated(market.url, market.administrator.invite(supplier, "水务局经办").token, "water.office")
    office = visit(f"/en/desk/tenders/{tender}", context=sit(officer))
    office.locator("textarea[name=answer]").fill("No, at once.")
    office.get_by_role("button", name="Answer").click()
    expect(office.locator(GOOD)).to_contain_text("Answered")
    for name in ("drafter", "agent", "manager", "account"):
        page.fill(f"#f-{name}", f"{name} of the firm")
    page.get_by_role("button", name="冻结保证金并准入").click()
    expect(page.locator("#code")).to_have_text(firm.client.tenderer(tender).code)
    expect(page.locator("main")).to_contain_text("No, at once.")
    expect(page.locator("pre")).to_contain_text(f"exchange tender bid {tender}")
    firm.client.bid_sealed(tender, 910_000)
    page.reload()
    page.get_by_role("button", name="撤回密封件").click()
    expect(page.locator("#envelopes")).to_contain_text("已撤回")
    firm.client.bid_sealed(tender, 930_000)
    for number, buyer in enumerate(market.buyers(2)):
        buyer.join_tender(
            tender, drafter=f"d{number}", agent=f"a{number}", manager=f"m{number}", account=f"b{number}"
        )
        buyer.bid_sealed(tender, 800_000 + number)
    expect(office.locator("#opening")).to_have_count(0)
    assert "930,000" not in office.content()
    market.administrator.move_clock(21 * DAY_US)
    while client.tender(tender).state == "published":
        page.wait_for_timeout(100)
    for (_, holder), key in zip(holders[:2], keys, strict=False):
        holder.hand_shares(tender, key, at_us=market.now_us())
    while client.tender(tender).winner_code is None:
        page.wait_for_timeout(100)
    for width in (360, 1440):
        office.set_viewport_size({"width": width, "height": 900})
        office.goto(f"{market.url}/{'zh' if width == 360 else 'en'}/desk/tenders/{tender}")
        expect(office.locator("#shares li")).to_have_count(2)
        expect(office.locator("#opened")).to_contain_text("9,300.00")
        assert office.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
