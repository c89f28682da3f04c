"""What is charged by use: found by its unit price, subscribed to after its whole cost, seen while it is used, charged and booked."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from exchange.client import Exchange
from exchange.messages.market import MeterMessage
from exchange.rulebook import load
from exchange.web.subscriptions import menu
from pricing.metering import Meter, Unit
from tests.web.people import seated
from tests.web.test_enterprise import GOOD, Firm, sit

__all__ = ["sit"]

pytestmark = pytest.mark.browser

DAY_US = 86_400_000_000


def metered(market: Any, supplier: tuple[str, Exchange], title: str, meter: MeterMessage) -> str:
    """A listing by use, for three subscribers of seventy days."""
    asset = market.asset(supplier[0], title)
    found: str = supplier[1].offer_metered(asset, meter, subscriptions=3, term_days=70).outcome["id"]
    return found


def signed_by_both(trade: str, *clients: Exchange) -> None:
    for client in clients:
        client.add_signing_key("by program")
        client.sign_contract(trade)


def test_a_menu_shows_round_quantities_from_a_yuan_on_and_no_more_days_than_a_term_has() -> None:
    rules = load("cn-venue")

    def shown(unit: Unit, micro: int, days: int = 70) -> list[tuple[int, int]]:
        rows = menu(Meter(unit, micro), days, rules)
        assert all(row["total_fen"] == row["price_fen"] + row["fee_fen"] for row in rows)
        return [(row["quantity"], row["price_fen"]) for row in rows]

    assert shown(Unit.CALL, 2_800) == [(1_000, 280), (10_000, 2_800), (100_000, 28_000), (1_000_000, 280_000)]
    assert shown(Unit.MEGABYTE, 1_500_000)[0] == (1_000_000, 150)  # a megabyte, counted in bytes
    assert shown(Unit.DAY, 10_000_000) == [(1, 1_000), (7, 7_000), (30, 30_000), (70, 70_000)]
    assert shown(Unit.DAY, 10_000_000, days=7) == [(1, 1_000), (7, 7_000)]
    assert shown(Unit.ROW, 0) == [(1, 0), (10, 0), (100, 0), (1_000, 0)]
    assert shown(Unit.ROW, 2**63 - 1)[-1][1] <= 2**63 - 1  # what no account holds is left out


def test_a_subscription_lives_from_its_menu_to_its_invoice_line(
    market: Any, visit: Callable[..., Page], sit: Callable[..., BrowserContext]
) -> None:
    supplier, firm = market.party("市水务局", "supplier"), Firm(market, "甲企业", "jia.qiye")
    metered(
        market,
        supplier,
        "内涝热线接口",
        MeterMessage(unit="call", unit_price_micro=2_800, ceiling_micro=5_000),
    )
    page = visit("/zh/catalogue", context=sit(firm.seat))
    page.locator(".facets").get_by_role("link", name="按量").click()
    expect(page.locator(".card-price")).to_contain_text("0.0028")
    page.goto(f"{market.url}/zh/desk/discover?price=metered")
    expect(page.locator("tbody .price")).to_contain_text("0.0028")
    page.get_by_role("link", name="按量订购").last.click()
    expect(page.locator("#menu ~ table")).to_contain_text("28.28")  # of 10,000 calls, with the fee
    page.fill("#f-quota", "0")
    page.get_by_role("button", name="查看全部费用").click()
    expect(page.locator("#f-quota")).to_have_attribute("aria-invalid", "true")
    page.fill("#f-quota", "1000000")
    page.get_by_role("button", name="查看全部费用").click()
    # A million calls cost 2,800 yuan, the fee 28, and a fen is kept for each of three statements.
    expect(page.locator(".order .total")).to_contain_text("2,828.03")
    assert firm.client.subscriptions() == []  # nothing is subscribed to by looking
    page.get_by_role("button", name="确认订购并冻结").click()
    expect(page.locator(GOOD)).to_contain_text("请签署合同")
    (one,) = firm.client.subscriptions()
    assert (one.quota, one.hold_fen, one.prepaid) == (1_000_000, 282_803, False)

    signed_by_both(one.trade, supplier[1], firm.client)
    page.reload()
    expect(page.locator(".key-left strong, .key-rest strong")).to_contain_text("1,000,000")
    page.evaluate("window.neverReloaded = true")
    expect(page.locator("#pulse")).to_have_attribute("data-state", "on")
    supplier[1].record_usage(one.id, 123_000)
    supplier[1].record_usage(one.id, 457)
    expect(page.locator(".key-open strong")).to_contain_text("123,457")
    market.administrator.move_clock(30 * DAY_US)
    expect(page.locator("#statements ~ table tbody tr")).to_contain_text("345.67")
    assert page.evaluate("window.neverReloaded")
    expect(page.locator(".key-charged strong")).to_contain_text("123,457")

    page.get_by_role("link", name="结算单").click()
    expect(page.locator("#lines ~ table tbody tr")).to_have_count(2)
    expect(page.locator("#invoice ~ table")).to_contain_text("326.10")  # without the tax of 19.57
    expect(page.locator("#invoice ~ table")).to_contain_text("进项税额")
    with page.expect_download() as told:
        page.get_by_role("link", name="下载表格").click()
    rows = list(csv.reader(io.StringIO(told.value.path().read_text("utf-8-sig"))))
    assert [row[2] for row in rows[1:4]] == ["123000", "457", "123457"]
    assert rows[3][3] == "345.67"

    page.goto(f"{market.url}/zh/desk/invoices")
    expect(page.locator("tbody tr").first).to_contain_text("当期费用")
    expect(page.locator("tbody tr").first).to_contain_text(
        "329.56"
    )  # with the exchange's 3.46, without the tax
    with page.expect_download() as told:
        page.get_by_role("link", name="下载表格").click()
    billed = list(csv.DictReader(io.StringIO(told.value.path().read_text("utf-8-sig"))))
    assert [row["金额（分）"] for row in billed if row["用量"]] == ["32610", "1957", "346"]
    page.locator("tbody tr").first.get_by_role("link").first.click()
    expect(page.locator("#sum")).to_be_visible()

    page.goto(f"{market.url}/zh/desk/subscriptions")
    page.get_by_role("link", name="内涝热线接口").click()
    page.locator("details summary").click()
    page.get_by_role("button", name="结束订购").click()
    confirm(page, firm)
    expect(page.locator(GOOD)).to_contain_text("末次结算已完成")
    assert firm.client.subscription(one.id).state == "ended"
    visit.faults.clear()  # type: ignore[attr-defined]  # the refusal's own status


def confirm(page: Page, firm: Firm) -> None:
    """Show the second factor again, where the machine was so slow that five minutes have passed since it was shown."""
    code = page.locator("[name=confirm_code]")
    expect(page.locator(GOOD).or_(code).first).to_be_visible()
    if code.count():
        code.fill(firm.seat.code())
        page.locator("main form button[type=submit]").last.click()


def test_megabytes_are_asked_for_with_six_decimals_and_shown_to_the_byte_and_what_is_paid_ahead_costs_no_more(
    market: Any, visit: Callable[..., Page], sit: Callable[..., BrowserContext]
) -> None:
    supplier, firm = market.party("市气象局", "supplier"), Firm(market, "乙企业", "yi.qiye")
    listing = metered(market, supplier, "雷达回波", MeterMessage(unit="megabyte", unit_price_micro=1_500_000))
    page = visit(f"/en/desk/listings/{listing}", context=sit(firm.seat))
    expect(page.locator(".huge-price")).to_contain_text("1.50")
    page.fill("#f-quota", "2.0000001")
    page.check("input[name=pay][value=ahead]")
    page.get_by_role("button", name="Show the whole cost").click()
    expect(page.locator("#f-quota")).to_have_attribute("aria-invalid", "true")
    page.fill("#f-quota", "20.000001")
    page.get_by_role("button", name="Show the whole cost").click()
    expect(page.locator(".order .total")).to_contain_text("30.30")
    page.get_by_role("button", name="Subscribe and pay").click()
    expect(page.locator(GOOD)).to_contain_text("You have subscribed")
    expect(page.locator(".quota-legend")).to_contain_text("0 of 20,000,001 bytes used")
    (one,) = firm.client.subscriptions()
    assert (one.quota, one.prepaid, one.hold_fen) == (20_000_001, True, 0)
    signed_by_both(one.trade, supplier[1], firm.client)
    supplier[1].record_usage(one.id, 1_500_000)
    expect(page.locator(".quota-legend")).to_contain_text("1.5 MB")

    officer = seated(
        market.url, market.administrator.invite(supplier[0], "气象局经办").token, "weather.office"
    )
    theirs = visit("/en/desk/subscriptions", context=sit(officer))
    theirs.get_by_role("link", name="雷达回波").click()
    expect(theirs.locator(".quota-legend")).to_contain_text("18.500001 MB")
    expect(theirs.get_by_role("button", name="End the subscription")).to_have_count(0)
    market.administrator.move_clock(30 * DAY_US)
    expect(page.locator("#statements ~ table tbody tr")).to_contain_text("paid ahead")
    page.get_by_role("link", name="Statement", exact=True).click()
    expect(page.locator("#sum ~ .hint")).to_contain_text("nothing more is due")
    expect(page.locator("#invoice")).to_have_count(0)

    stranger = Firm(market, "丙企业", "bing.qiye")
    other = visit(f"/en/desk/subscriptions/{one.id}", context=sit(stranger.seat))
    expect(other.locator(".problem-status")).to_have_text("404")
    for number in ("1/sheet.csv", "7", "x"):
        path = f"/en/desk/subscriptions/{one.id}/statements/{number}"
        answer = other.request.get(market.url + path)
        assert answer.status == 404
    visit.faults.clear()  # type: ignore[attr-defined]  # the refusals' own statuses
