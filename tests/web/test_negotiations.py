"""A price agreed between two people at two desks: offered, countered, never above the ceiling, and a contract of it to sign."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from exchange.messages.market import OfferMessage
from exchange.web.words import MARKET_ZONE
from tests.web.people import seated
from tests.web.test_enterprise import GOOD, Firm, sit

__all__ = ["sit"]

pytestmark = pytest.mark.browser


def test_two_sides_bargain_under_the_ceiling_agree_and_find_a_contract_to_sign(
    market: Any, visit: Callable[..., Page], sit: Callable[..., BrowserContext]
) -> None:
    party, client = market.party("市水务局", "supplier")
    terms = OfferMessage(grant="licence", licences=3, term_days=365, price_fen=0, ceiling_fen=1_500_000)
    client.offer_negotiated(market.asset(party, "内涝热线工单"), terms)
    firm = Firm(market, "甲企业", "jia.qiye")
    officer = seated(market.url, market.administrator.invite(party, "水务局经办").token, "water.office")
    until = datetime.fromtimestamp(market.now_us() // 1_000_000, UTC) + timedelta(days=3)
    expires = f"{until.astimezone(MARKET_ZONE):%Y-%m-%dT%H:%M}"

    buyer = visit("/zh/desk/discover?price=negotiated", context=sit(firm.seat))
    buyer.get_by_role("link", name="报价协商").click()
    expect(buyer.locator(".terms cite")).to_contain_text("发改价格〔2025〕65号")
    buyer.fill("#f-price", "15000.01")
    buyer.fill("#f-licences", "2")
    buyer.fill("#f-expires", expires)
    buyer.get_by_role("button", name="提交报价").click()
    expect(buyer.locator("#wrong-price_fen")).to_contain_text("最高限价")
    expect(buyer.locator("#trouble")).to_contain_text("发改价格〔2025〕65号")
    buyer.fill("#f-price", "9000")
    buyer.get_by_role("button", name="提交报价").click()
    expect(buyer.locator(GOOD)).to_contain_text("报价已送达卖方")
    expect(buyer.locator("article .chip").first).to_contain_text("等对方答复")

    seller = visit("/en/desk/negotiations", context=sit(officer))
    expect(seller.locator("article .hint cite")).to_contain_text("发改价格〔2025〕65号")
    expect(seller.locator("article .terms")).to_contain_text("commission")
    seller.locator("details summary").filter(has_text="Counter").click()
    seller.locator("details[open] input[name=price]").fill("12000")
    seller.locator("details[open] input[name=expires]").fill(expires)
    seller.get_by_role("button", name="Send the counter-offer").click()
    expect(seller.locator(GOOD)).to_be_visible()

    buyer.get_by_role("button", name="撤回报价").click()  # of an offer that was countered meanwhile
    expect(buyer.locator("#trouble")).to_be_visible()
    expect(buyer.locator("article tbody tr")).to_have_count(2)
    expect(buyer.locator("article .terms strong")).to_contain_text("24,240.00")  # with the fee of 1 %
    assert firm.client.trades() == []
    buyer.get_by_role("button", name="接受并成交").click()
    expect(buyer.locator(GOOD)).to_contain_text("已接受并成交")
    (trade,) = firm.client.trades()
    assert (trade.price_fen, trade.licences, trade.seller) == (2_400_000, 2, party)
    buyer.get_by_role("link", name="合同").last.click()
    expect(buyer.locator("#digest-says")).to_have_attribute("data-state", "good")
    expect(buyer.locator("#sign-form")).to_be_visible()

    seller.goto(f"{market.url}/en/desk/contracts")
    seller.locator(".goods .lot-title").click()
    expect(seller).to_have_url(re.compile(f"/desk/contracts/{trade.trade}$"))
    expect(seller.locator("#sign-form")).to_be_visible()
    seller.goto(f"{market.url}/en/desk/negotiations")
    expect(seller.locator("article .chip").first).to_have_text("settled")
    visit.faults.clear()  # type: ignore[attr-defined]  # the refusals' own statuses
