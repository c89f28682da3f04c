"""The console as its readers see it: live, in two languages, on any screen, with proofs checked in the page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from exchange.client.errors import Refused
from exchange.web.console import POLICY, templates

pytestmark = pytest.mark.browser

PRICE = "#standing .huge .money"


def sold_out_of_bids(market: Any) -> tuple[str, list[Any]]:
    """A lot with three bidders, one admitted bid each, and one refused."""
    supplier = market.party("市水务局", "supplier")
    lot = market.lot(supplier, "城市内涝热线工单", ceiling_fen=9_000_000)
    buyers = market.buyers(3)
    for number, buyer in enumerate(buyers):
        buyer.join_lot(lot)
        buyer.place_bid(lot, 1_000_000 + 50_000 * number)
    with pytest.raises(Refused):
        buyers[0].place_bid(lot, 1_000_000)
    return lot, buyers


def test_the_front_door_leads_to_the_readers_language_and_remembers_it(market: Any) -> None:
    with httpx.Client(base_url=market.url) as http:
        assert http.get("/", headers={"Accept-Language": "en-GB"}).headers["location"] == "/en/"
        assert http.get("/", headers={"Accept-Language": "de"}).headers["location"] == "/zh/"
        assert http.get("/en/log").cookies.get("lang") == "en"
        assert http.get("/", headers={"Accept-Language": "zh"}).headers["location"] == "/en/"
        assert http.get("/zh/").cookies.get("lang") == "zh"
        assert http.get("/").headers["location"] == "/zh/"


def test_every_answer_of_the_console_carries_the_strict_policy(market: Any) -> None:
    with httpx.Client(base_url=market.url) as http:
        for path, status in (
            ("/zh/", 200),
            ("/en/log", 200),
            ("/zh/enrol", 200),
            ("/en/lots/nothing", 404),
            ("/zh/nothing/here", 404),
            ("/en/live/market", 200),
            ("/en/live/lots/nothing", 404),
            ("/static/console.css", 200),
            ("/static/proof.js", 200),
        ):
            answer = http.get(path)
            assert (path, answer.status_code) == (path, status)
            assert answer.headers["content-security-policy"] == POLICY
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "same-origin"
    assert "unsafe" not in POLICY


def test_templates_carry_no_script_style_or_address_of_another_host() -> None:
    for name in templates().list_templates():
        source = (templates().loader.get_source(templates(), name))[0]  # type: ignore[union-attr]
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|https?://", source), name
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", source)), name


def test_a_page_is_whole_without_scripts(market: Any, visit: Callable[..., Page]) -> None:
    lot, _ = sold_out_of_bids(market)
    page = visit(f"/zh/lots/{lot}", java_script_enabled=False)
    expect(page.locator(PRICE)).to_contain_text("11,000.00")
    expect(page.locator("#bids tbody tr")).to_have_count(4)
    expect(page.locator("#bids tbody")).to_contain_text("未高于当前价")
    expect(page.locator("#standing .left")).to_contain_text("UTC+8")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_bid_appears_in_open_pages_without_a_reload(
    market: Any, visit: Callable[..., Page], language: str
) -> None:
    lot, buyers = sold_out_of_bids(market)
    floor, page = visit(f"/{language}/"), visit(f"/{language}/lots/{lot}")
    for open_page in (floor, page):
        open_page.evaluate("window.neverReloaded = true")
        expect(open_page.locator("#pulse")).to_have_attribute("data-state", "on")
    expect(page.locator(PRICE)).to_contain_text("11,000.00")
    expect(page.locator(".chart-plot canvas")).to_be_visible()
    done = buyers[0].place_bid(lot, 1_234_500_00 // 100 // 50_000 * 50_000)
    price = f"{int(done.outcome['price_fen']) / 100:,.2f}"
    expect(page.locator(PRICE)).to_contain_text(price)
    expect(page.locator("#bids tbody tr").first).to_contain_text(price)
    expect(page.locator("#standing")).to_contain_text(done.outcome["code"])
    expect(page.locator(".chart-says")).to_contain_text(price)
    expect(floor.locator(f"#row-{lot}")).to_contain_text(price)
    expect(floor.locator(".tape li").first).to_contain_text({"zh": "出价", "en": "bid"}[language])
    for open_page in (floor, page):
        assert open_page.evaluate("window.neverReloaded")


def test_a_lot_closes_before_the_readers_eyes(market: Any, visit: Callable[..., Page]) -> None:
    lot, _ = sold_out_of_bids(market)
    page = visit(f"/en/lots/{lot}")
    expect(page.locator("#standing .left")).to_have_text(re.compile(r"^23:5\d:\d\d$"))
    market.administrator.move_clock(24 * 3_600_000_000)
    expect(page.locator("#standing .chip")).to_have_text("settled")
    expect(page.locator("#standing")).to_contain_text("Winner's code")
    expect(page.locator("#standing .outcome code")).to_have_text(re.compile("^[0-9a-f]{64}$"))


def test_the_number_on_a_paper_leads_to_its_proof_and_the_price_of_a_lot_shows_where_it_went(
    market: Any, visit: Callable[..., Page]
) -> None:
    lot, buyers = sold_out_of_bids(market)
    page = visit(f"/en/lots/{lot}")
    expect(page.locator(".flow")).to_have_count(0)  # nothing is divided before it is paid
    market.administrator.move_clock(24 * 3_600_000_000)
    expect(page.locator("#standing .chip")).to_have_text("settled")
    (trade,) = buyers[2].trades()
    parts = {"price": trade.price_fen, "fees": trade.split.buyer_fee_fen + trade.split.seller_fee_fen}
    page.reload()
    sums = page.locator(".flow .flow-sum").all_text_contents()
    said = [int(re.sub(r"[^0-9]", "", text)) for text in sums]
    assert said[0] == parts["price"] + trade.split.buyer_fee_fen == sum(said[1:])
    assert said[-2:] == [trade.split.tax_fen, parts["fees"]]

    page.goto(f"{market.url}/en/")
    page.get_by_role("link", name="Check a certificate or voucher").first.click()
    page.fill("#number", trade.trade)
    page.get_by_role("button", name="Check").click()
    expect(page).to_have_url(re.compile(rf"/en/log\?entry={trade.index}#check$"))
    expect(page.locator("#verdict")).to_have_attribute("data-state", "good")
    page.goto(f"{market.url}/en/find?number=%230")
    expect(page).to_have_url(re.compile(r"/en/log\?entry=0#check$"))
    for number in ("trade-0000000000000000", "DA-2026-CI-00000000", "#999999"):
        page.goto(f"{market.url}/en/find")
        page.fill("#number", number)
        page.get_by_role("button", name="Check").click()
        expect(page.get_by_role("alert")).to_contain_text(number)
        expect(page.locator("#number")).to_have_value(number)
    faults = visit.faults  # type: ignore[attr-defined]
    assert ["404" in fault for fault in faults] == [True, True, True]
    faults.clear()


def test_the_first_page_says_what_is_traded_and_leads_to_it(market: Any, visit: Callable[..., Page]) -> None:
    party, _ = market.party("市交通运输局", "supplier")
    market.asset(party, "公共交通客流统计", kind="transport", opening="open")
    page = visit("/zh/")
    page.locator(".kinds").get_by_role("link", name="交通运输").click()
    expect(page.locator(".card")).to_have_count(1)
    page.goto(f"{market.url}/zh/")
    page.get_by_role("link", name="免费 1").click()
    expect(page.locator(".card")).to_contain_text("公共交通客流统计")


def test_only_what_is_shown_is_read_again_when_a_lot_has_many_bids(
    market: Any, visit: Callable[..., Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.web.console.BIDS_SHOWN", 2)
    lot, buyers = sold_out_of_bids(market)
    page = visit(f"/zh/lots/{lot}")
    indices = [int(text.strip("#")) for text in page.locator("#bids tbody .index").all_inner_texts()]
    every = [bid.index for bid in buyers[0].bids(lot)]
    assert every[:-3:-1] == indices
    assert page.locator("#bids").get_attribute("hx-get") == f"/zh/live/lots/{lot}/bids?after={every[-3]}"
    done = buyers[0].place_bid(lot, 2_000_000)
    expect(page.locator("#bids tbody tr").first).to_contain_text("20,000.00")
    expect(page.locator("#bids tbody tr")).to_have_count(2)
    assert page.locator("#bids").get_attribute("hx-get") == f"/zh/live/lots/{lot}/bids?after={every[-2]}"
    assert done.receipt.index > every[-1]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_proof_is_checked_in_the_page_and_a_spoiled_one_is_refused(
    market: Any, visit: Callable[..., Page], language: str
) -> None:
    market.party("市水务局", "supplier")
    page = visit(f"/{language}/log?entry=2#check")
    expect(page.locator("#verdict")).to_have_attribute("data-state", "good")
    assert page.locator("#verdict .steps li[data-state=good]").count() == 6
    expect(page.locator("#seal")).to_have_attribute("data-state", "good")
    page.click("#spoil")
    expect(page.locator("#verdict")).to_have_attribute("data-state", "bad")
    wrong = {"zh": "算出的树根与检查点不一致", "en": "the computed root is not the checkpoint's"}[language]
    expect(page.locator("#verdict [data-line]")).to_contain_text(wrong)
    page.fill("#check-index", "1")
    page.click("#check-form button")
    expect(page.locator("#verdict")).to_have_attribute("data-state", "good")


def test_a_receipt_is_checked_in_the_page_and_a_changed_one_is_refused(
    market: Any, visit: Callable[..., Page]
) -> None:
    from ledger.entries import receipt_to_json

    lot, buyers = sold_out_of_bids(market)
    receipt = receipt_to_json(buyers[0].place_bid(lot, 1_500_000).receipt)
    page = visit("/en/log")
    page.click("summary")

    def check(text: str) -> None:
        page.fill("#receipt", text)
        page.click("#receipt-form button")

    check(json.dumps({"outcome": {}, "receipt": receipt}))
    expect(page.locator("#verdict")).to_have_attribute("data-state", "good")
    expect(page.locator("#verdict .steps")).to_contain_text("SHA-256(salt")
    check(json.dumps({**receipt, "body": receipt["body"].replace("1500000", "1500001")}))
    expect(page.locator("#verdict [data-line]")).to_contain_text("does not match the entry's digest")
    check(json.dumps({**receipt, "index": str(int(receipt["index"]) - 1)}))
    expect(page.locator("#verdict")).to_have_attribute("data-state", "bad")
    check(
        json.dumps(
            {**receipt, "checkpoint": receipt["checkpoint"].replace("exchange.example/web\n", "else\n", 1)}
        )
    )
    expect(page.locator("#verdict [data-line]")).to_contain_text("signature does not hold")
    check("not a receipt")
    expect(page.locator("#verdict [data-line]")).to_contain_text("not a receipt")


def test_a_proof_tampered_with_on_its_way_is_refused(market: Any, visit: Callable[..., Page]) -> None:
    def tamper(route: Route) -> None:
        answer = route.fetch()
        proof = answer.json()
        leaf = proof["leaf"][:-8] + ("A" if proof["leaf"][-8] != "A" else "B") + proof["leaf"][-7:]
        route.fulfill(response=answer, json={**proof, "leaf": leaf})

    page = visit("/en/log")
    page.route("**/v1/log/*", tamper)
    page.fill("#check-index", "0")
    page.click("#check-form button")
    expect(page.locator("#verdict")).to_have_attribute("data-state", "bad")


def test_a_browser_that_was_here_before_notices_a_fork_a_rollback_and_another_key(
    market: Any, visit: Callable[..., Page]
) -> None:
    page = visit("/en/")
    seal = page.locator("#seal")
    expect(seal).to_have_attribute("data-state", "good")
    market.party("市水务局", "supplier")
    page.reload()
    expect(seal).to_contain_text("extends")
    place = page.evaluate("Object.keys(localStorage).find((name) => name.startsWith('checkpoint:'))")
    kept = json.loads(page.evaluate("(place) => localStorage[place]", place))

    def pretend(**seen: str) -> None:
        page.evaluate(
            "([place, text]) => { localStorage[place] = text; }", [place, json.dumps({**kept, **seen})]
        )
        page.reload()
        expect(seal).to_have_attribute("data-state", "bad")

    pretend(root="A" * 43 + "=")
    expect(seal).to_contain_text("forked")
    pretend(size=str(int(kept["size"]) + 1_000))
    expect(seal).to_contain_text("shrunk")
    pretend(vkey="exchange.example/web+00000000+AAAA")
    expect(seal).to_contain_text("another")


def test_a_browser_without_ed25519_says_that_the_signature_is_not_checked(
    market: Any, visit: Callable[..., Page], browser: Browser
) -> None:
    context = browser.new_context()
    context.add_init_script(
        "crypto.subtle.importKey = async () => { throw new DOMException('', 'NotSupportedError'); };"
    )
    page = visit("/en/log?entry=0", context=context)
    expect(page.locator("#verdict")).to_have_attribute("data-state", "half")
    expect(page.locator("#verdict .steps")).to_contain_text("lacks Ed25519")
    expect(page.locator("#seal")).to_contain_text("signature not checked")
    context.close()


def test_nothing_to_show_is_said_in_words(market: Any, visit: Callable[..., Page]) -> None:
    page = visit("/en/")
    expect(page.locator(".empty")).to_have_count(3)
    visit.faults.clear()  # type: ignore[attr-defined]
    missing = visit("/zh/lots/lot-nothing")
    expect(missing.locator("h1")).to_have_text("没有这个页面")
    faults = visit.faults  # type: ignore[attr-defined]
    assert ["404" in fault for fault in faults] == [True]
    faults.clear()


def test_the_other_language_shows_the_same_page(market: Any, visit: Callable[..., Page]) -> None:
    page = visit("/zh/log?before=2")
    page.click(".tongue:not(.desk-link)")
    expect(page).to_have_url(re.compile(r"/en/log\?before=2$"))
    expect(page.locator("#entries tbody tr")).to_have_count(2)


def test_the_keyboard_reaches_content_and_every_control_shows_its_focus(
    market: Any, visit: Callable[..., Page]
) -> None:
    page = visit("/en/log")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    for _ in range(6):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
