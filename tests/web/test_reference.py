"""The API's reference page says what the contract says, in both languages, and works without scripts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from exchange.web.reference import _chinese


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_reference_shows_every_operation_and_every_problem(
    market: Any, visit: Callable[..., Page], language: str
) -> None:
    contract = httpx.get(f"{market.url}/openapi.json", timeout=60).json()
    said = [operation for item in contract["paths"].values() for operation in item.values()]
    page = visit(f"/{language}/api", java_script_enabled=False)
    expect(page.locator("h1")).to_have_text({"zh": "接口参考", "en": "API reference"}[language])
    assert page.locator("details.operation").count() == len(said)
    assert page.locator("#problems + ul li").count() == len(contract["components"]["examples"])
    bid = page.locator("#place_bid")
    expect(bid.locator("summary")).to_contain_text("POST /v1/lots/{lot}/bids")
    expect(bid.locator("summary")).to_contain_text({"zh": "出价", "en": "Bid on a lot"}[language])
    bid.locator("summary").click()
    expect(bid).to_contain_text("client_bid_id")
    expect(bid).to_contain_text("bid.not_higher")


def test_every_link_to_a_problem_leads_to_one(market: Any) -> None:
    text = httpx.get(f"{market.url}/en/api").text
    links = {part.partition('"')[0] for part in text.split('href="#problem-')[1:]}
    there = {part.partition('"')[0] for part in text.split('id="problem-')[1:]}
    assert links
    assert links <= there


def test_chinese_summaries_are_of_operations_that_exist(market: Any) -> None:
    contract = httpx.get(f"{market.url}/openapi.json", timeout=60).json()
    names = {operation["operationId"] for item in contract["paths"].values() for operation in item.values()}
    assert set(_chinese()) <= names
    assert len(_chinese()) > 75
