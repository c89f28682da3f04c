"""An enterprise's pages: a purchase after its cost, bids that others see, a proxy that keeps its maximum, money, limits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import zxingcpp
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from exchange.client import Exchange
from exchange.messages.market import OfferMessage
from tests.web.people import Seat, seated

pytestmark = pytest.mark.browser

"""Until a lot opens: long enough for a machine that does much else."""

GOOD = ".desk-main > .notice[data-state=good]"


class Firm:
    """An enterprise with a million yuan: its client, and its person at the console."""

    def __init__(self, market: Any, name: str, login: str) -> None:
        self.id, self.client = market.party(name, "buyer")
        _, bank = market.party("结算银行", "bank")
        bank.top_up(self.id, 100_000_000, f"ref-{self.id}")
        self.seat: Seat = seated(market.url, market.administrator.invite(self.id, login).token, login)


@pytest.fixture
def sit(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """A browser in which somebody sits."""
    opened: list[BrowserContext] = []

    def sits(seat: Seat, **options: Any) -> BrowserContext:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.add_cookies(seat.cookies())  # type: ignore[arg-type]
        opened.append(context)
        return context

    yield sits
    for context in opened:
        context.close()


def fixed(market: Any, supplier: tuple[str, Exchange], title: str, **asset: Any) -> str:
    """A listing of ten licences at 12,000 yuan each."""
    terms = OfferMessage(grant="licence", licences=10, term_days=365, price_fen=1_200_000)
    found: str = supplier[1].offer_fixed_price(market.asset(supplier[0], title, **asset), terms).outcome["id"]
    return found


PIXELS = """(image) => {
  const size = 320, canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const pen = canvas.getContext("2d");
  pen.fillStyle = "white";
  pen.fillRect(0, 0, size, size);
  pen.drawImage(image, 10, 10, size - 20, size - 20);
  return [...pen.getImageData(0, 0, size, size).data].filter((_, n) => n % 4 === 0);
}"""


def scanned(picture: Locator) -> str:
    """What a phone reads of a QR code as the page shows it."""
    expect(picture).to_be_visible()
    grey = np.array(picture.evaluate(PIXELS), dtype=np.uint8).reshape(320, 320)
    (found,) = zxingcpp.read_barcodes(grey)
    text: str = found.text
    return text


def test_an_order_shows_its_whole_cost_before_it_is_made_and_a_refusal_stands_at_its_field(
    market: Any, visit: Callable[..., Page], sit: Callable[..., BrowserContext]
) -> None:
    firm = Firm(market, "甲企业", "jia.qiye")
    listing = fixed(market, market.party("市水务局", "supplier"), "内涝热线工单", purposes=["research"])
    context = sit(firm.seat)
    page = visit("/zh/desk/discover", context=context)
    page.get_by_role("link", name="下单购买").click()
    page.fill("#f-licences", "2")
    page.get_by_role("button", name="查看全部费用").click()
    expect(page.locator(".order")).to_contain_text("24,000.00")
    total = page.locator(".order .total .money").inner_text()
    assert firm.client.trades() == []  # nothing is bought by looking
    page.get_by_role("button", name="确认购买并付款").click()
    expect(page.locator(GOOD)).to_contain_text("已成交并付款")
    assert [trade.licences for trade in firm.client.trades()] == [2]
    assert scanned(page.locator(".voucher .qr")) == page.locator(".voucher-proof a").inner_text()
    expect(page.locator(".voucher")).to_contain_text(re.sub(r"[^\d,.]", "", total))
    for name in ("市水务局", "甲企业"):  # the confirmation is where each learns who the other is
        expect(page.locator(".voucher")).to_contain_text(name)
    lines = [int(re.sub(r"\D", "", text)) for text in page.locator(".voucher tbody .money").all_inner_texts()]
    assert sum(lines) == int(re.sub(r"\D", "", total))
    sheets = re.findall(rb"/Type /Page\b", page.pdf(format="A4"))
    assert len(sheets) == 1  # the paper is one sheet
    page.get_by_role("link", name=re.compile("#check$")).click()
    expect(page.locator("#verdict")).to_have_attribute("data-state", "good")
    page.goto(f"{market.url}/zh/desk/listings/{listing}")
    page.locator("#f-licences").evaluate("(field) => field.removeAttribute('max')")
    page.fill("#f-licences", "11")
    page.get_by_role("button", name="查看全部费用").click()
    expect(page.locator("#f-licences")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#wrong-licences")).to_contain_text("剩余份数不足")
    page.goto(f"{market.url}/zh/desk/licences")
    page.get_by_role("button", name="生成链接").click()
    expect(page.locator("#trouble")).to_contain_text(
        "双方尚未签署"
    )  # nothing is delivered outside a contract
    visit.faults.clear()  # type: ignore[attr-defined]  # the refusal's own status


def test_each_sees_the_others_bid_without_a_reload_and_a_halt_arrives(
    market: Any, visit: Callable[..., Page], sit: Callable[..., BrowserContext]
) -> None:
    lot = market.lot(market.party("市水务局", "supplier"), "城市内涝热线工单")
    firms = [Firm(market, f"企业{name}", f"firm.{name}") for name in "ab"]
    pages = [visit(f"/en/desk/lots/{lot}", context=sit(firm.seat)) for firm in firms]
    for page in pages:
        page.get_by_role("button", name="Hold the deposit").click()
        expect(page.locator("#place")).to_have_attribute("data-joined", "yes")
        page.evaluate("window.neverReloaded = true")
        expect(page.locator("#pulse")).to_have_attribute("data-state", "on")
    one, other = pages
    one.fill("#f-price_fen", "10000")
    one.locator("#bid-form [type=submit]").click()
    expect(one.locator("#bid-says")).to_contain_text("Admitted")
    expect(one.locator("#place")).to_contain_text("leading")
    expect(other.locator("#standing .huge")).to_contain_text("10,000.00")
    expect(other.locator("#place .total")).to_contain_text("10,500.00")
    other.locator("#take-least").click()
    other.locator("#bid-form [type=submit]").click()
    expect(one.locator("#place")).to_contain_text("outbid")
    one.fill("#f-price_fen", "10600")
    one.locator("#bid-form [type=submit]").click()
    expect(one.locator("#bid-says")).to_contain_text("one step")
    expect(one.locator("#f-price_fen")).to_have_attribute("aria-invalid", "true")
    _, regulator = market.party("监管机构", "regulator")
    regulator.halt_lot(lot, "a complaint is looked into")
    for page in pages:
        expect(page.locator("#place")).to_contain_text("halted")
        assert page.evaluate("window.neverReloaded")
    visit.faults.clear()  # type: ignore[attr-defined]  # the refused bid's own status


def test_a_proxy_bids_the_least_up_to_a_maximum_that_never_leaves_the_page(
    market: Any, visit: Callable[..., Page], sit: Callable[..., BrowserContext]
) -> None:
    lot = market.lot(market.party("市水务局", "supplier"), "公交刷卡汇总")
    firm, rival = Firm(market, "代理企业", "proxy.firm"), market.buyers(1)[0]
    page = visit(f"/zh/desk/lots/{lot}", context=sit(firm.seat))
    page.get_by_role("button", name="冻结保证金").click()
    expect(page.locator("#place")).to_have_attribute("data-joined", "yes")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.url} {request.post_data or ''}"))
    rival.join_lot(lot)
    page.locator("#proxy summary").click()
    page.fill("#maximum", "11777.00")
    page.click("#proxy-go")
    expect(page.locator("#place")).to_have_attribute("data-leading", "yes")
    for price in (1_050_000, 1_150_000):
        rival.place_bid(lot, price)
        expect(page.locator("#standing .huge")).to_contain_text(
            f"{(price + 50_000) / 100:,.2f}" if price < 1_150_000 else "11,500.00"
        )
    expect(page.locator("#proxy-says")).to_contain_text("超过您的上限")
    assert [int(bid.price_fen) for bid in rival.bids(lot)] == [1_000_000, 1_050_000, 1_100_000, 1_150_000]
    assert sent
    assert not any("11777" in line or "1177700" in line for line in sent)


def test_money_limits_and_the_kill_switch_are_the_partys_own(
    market: Any, visit: Callable[..., Page], sit: Callable[..., BrowserContext]
) -> None:
    firm = Firm(market, "资金企业", "money.firm")
    page = visit("/en/desk/money", context=sit(firm.seat))
    expect(page.locator(".figures")).to_contain_text("1,000,000.00")
    page.fill("#f-amount_fen", "1500.505")
    page.get_by_role("button", name="Withdraw").click()
    expect(page.locator("#f-amount_fen")).to_have_attribute("aria-invalid", "true")
    page.fill("#f-amount_fen", "1500.50")
    page.get_by_role("button", name="Withdraw").click()
    expect(page.locator(GOOD)).to_contain_text("The payout is ordered")
    expect(page.locator("#statement ~ .table tbody tr")).to_have_count(2)
    page.goto(f"{market.url}/en/desk/controls")
    page.fill("#f-order_limit_fen", "100")
    page.get_by_role("button", name="Set").click()
    expect(page.locator(GOOD)).to_contain_text("limits are set")
    assert firm.client.controls().order_limit_fen == 10_000
    page.goto(f"{market.url}/en/desk/money")
    page.fill("#f-amount_fen", "101")
    page.get_by_role("button", name="Withdraw").click()
    expect(page.locator("#trouble")).to_contain_text("limit that your organisation set")
    page.goto(f"{market.url}/en/desk/controls")
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Stop now").click()
    expect(page.locator(GOOD)).to_contain_text("All trading has stopped")
    assert firm.client.controls().stopped
    visit.faults.clear()  # type: ignore[attr-defined]  # the refusals' own statuses
