"""A tender run wholly in the console: published, asked and answered, opened in public, marked, awarded and protested against."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from exchange.messages.market import OfferMessage
from exchange.messages.tenders import ScoringRuleMessage
from exchange.web.words import MARKET_ZONE
from pricing.sealed_bids import HolderKey, open_share
from tests.web.people import Seat, seated
from tests.web.test_enterprise import GOOD, Firm, sit

__all__ = ["sit"]

pytestmark = pytest.mark.browser

DAY_US = 86_400_000_000
KEYS = [HolderKey.from_seed(bytes([number + 1]) * 32) for number in range(3)]


@dataclass
class Sitter:
    """Somebody at a page, who shows the second factor again where the page asks for it."""

    seat: Seat
    page: Page

    def send(self, button: str) -> None:
        """Press a button and see that it was done."""
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=button, exact=True).click()
        code = self.page.locator("#f-confirm_code")
        expect(self.page.locator(GOOD).or_(code).first).to_be_visible()
        if code.is_visible():  # five minutes are over on a slow machine
            code.fill(self.seat.code())
            self.page.locator(".panel button[type=submit]").click()
        expect(self.page.locator(GOOD).first).to_be_visible()

    def person(self, url: str) -> str:
        """By which identifier the market knows it."""
        self.page.goto(f"{url}/en/desk/account")
        found = re.search("per-[0-9a-f]{16}", self.page.locator(".terms").first.inner_text())
        assert found is not None
        return found[0]


def refused(visit: Any, times: int) -> None:
    """See that so many forms were refused, which the browser reports, and nothing else went wrong."""
    faults: list[str] = visit.faults
    assert ["422" in fault for fault in faults] == [True] * times
    faults.clear()


def local(us: int) -> str:
    """A time as a form's calendar takes it."""
    return datetime.fromtimestamp(us // 1_000_000, MARKET_ZONE).strftime("%Y-%m-%dT%H:%M")


def shares_of(client: Any, tender: str, key: HolderKey, file: Path, *, forged: bool = False) -> Path:
    """What `exchange holder open` writes on the holder's machine; a forger replaces what it was sent."""
    sealed = client.sealed_tender(tender)
    submissions = {bid.digest: open_share(bid, sealed.committee, key).to_json() for bid in sealed.bids}
    if forged:
        submissions = {digest: {**one, "value": "07" * 31 + "00"} for digest, one in submissions.items()}
    file.write_text(json.dumps({"format": "holder-opened@1", "lot": tender, "submissions": submissions}))
    return file


@pytest.mark.timeout(900)
def test_a_tender_lives_in_the_console_from_its_publication_to_an_upheld_protest(
    market: Any, visit: Callable[..., Page], sit: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    url = market.url

    def sits(party: str, login: str, path: str) -> Sitter:
        seat = seated(url, market.administrator.invite(party, login).token, login)
        return Sitter(seat, visit(path, context=sit(seat)))

    supplier, _ = market.party("市水务局", "supplier")
    asset = market.asset(supplier, "城市内涝热线工单")
    holders = [market.party(f"持钥机构{number}", "service_provider") for number in range(3)]
    for (_, client), key in zip(holders[1:], KEYS[1:], strict=True):
        client.publish_holder_key(key.public.hex())
    firm = Firm(market, "甲企业", "jia.qiye")

    # A holder publishes its key, and the department its tender; a rule that is broken is named with its clause.
    keeper = sits(holders[0][0], "keeper", "/en/desk/duties")
    keeper.page.fill("#f-public", KEYS[0].public.hex())
    keeper.send("Publish the key")
    officer = sits(supplier, "officer", f"/zh/desk/assets/{asset}/tender")
    page = officer.page
    page.fill("#f-terms", "一年使用权，须说明安全方案")
    page.fill("#f-price", "10000")
    page.fill("#f-deposit_fen", "200.01")
    page.fill("[name=criterion_0]", "安全方案")
    page.fill("[name=weight_0]", "40")
    for party, _ in holders:
        page.check(f"[name=holders][value='{party}']")
    page.fill("#f-deadline_us", local(market.now_us() + 21 * DAY_US))
    page.get_by_role("button", name="核对规则并预览").click()
    expect(page.locator("#trouble")).to_contain_text("第二十六条")
    expect(page.locator("#wrong-deposit_fen")).to_be_visible()
    page.fill("#f-deposit_fen", "200")
    page.get_by_role("button", name="核对规则并预览").click()
    expect(page.locator("section.order .steps")).to_contain_text("第二十四条")
    refused(visit, 1)
    assert market.administrator.tenders() == []
    officer.send("发布招标")
    tender = re.search("tdr-[0-9a-f]{16}", page.url)[0]  # type: ignore[index]  # held by the page's address

    # Everybody follows it; a firm asks in English, and the department answers all.
    public = visit("/en/tenders")
    public.get_by_role("link", name="城市内涝热线工单").click()
    expect(public.locator("#pulse")).to_have_attribute("data-state", "on")
    expect(public.locator("#course")).to_contain_text("takes bids")
    bidder = Sitter(firm.seat, visit(f"/en/tenders/{tender}", context=sit(firm.seat)))
    bidder.page.get_by_role("link", name="Ask or bid").click()
    bidder.page.fill("#f-question", "In which format?")
    bidder.send("Ask")
    page.reload()
    page.get_by_role("link", name="答复", exact=True).click()
    page.locator("textarea[name=answer]").fill("Parquet 文件")
    officer.send("答复")
    expect(public.locator("#course")).to_contain_text("Parquet 文件")

    # The regulator halts it and lets it go on.
    overseer = sits(market.party("市数据局", "regulator")[0], "overseer", "/zh/regulator/tenders")
    overseer.page.get_by_role("link", name="城市内涝热线工单").click()
    overseer.page.fill("#f-reason", "核查保证金账户")
    overseer.send("中止招标")
    expect(public.locator("#course")).to_contain_text("halted")
    overseer.send("恢复招标")
    expect(public.locator("#course .panel-head")).to_contain_text("takes bids")

    bidders = [firm.client, *market.buyers(2)]
    for number, buyer in enumerate(bidders):
        who = {name: f"{name} {number}" for name in ("drafter", "agent", "manager", "account")}
        buyer.join_tender(tender, **who)
        buyer.bid_sealed(tender, 900_000 + 10_000 * number, f"{number:064x}")
    market.administrator.move_clock(22 * DAY_US)
    expect(public.locator("#course .panel-head")).to_contain_text("being opened")

    # One holder forges its shares and is named in public; with the two good ones all is opened.
    keeper.page.goto(f"{url}/en/desk/duties")
    keeper.page.get_by_role("link", name="Open as a holder").click()
    forged = shares_of(holders[0][1], tender, KEYS[0], tmp_path / "forged.json", forged=True)
    keeper.page.set_input_files("#f-opened", forged)
    keeper.page.get_by_role("button", name="Hand in your shares").click()
    expect(keeper.page.locator("#trouble")).to_contain_text("share.forged")
    keeper.page.close()
    expect(public.locator("#shares li[data-state=bad]")).to_contain_text("持钥机构0")
    expect(public.locator("#shares li[data-state=bad]")).to_contain_text("a forged share")
    refused(visit, 1)
    notary = sits(holders[1][0], "notary", f"/zh/desk/tenders/{tender}/shares")
    notary.page.set_input_files(
        "#f-opened", shares_of(holders[1][1], tender, KEYS[1], tmp_path / "opened.json")
    )
    notary.send("递交份额")
    notary.page.close()
    expect(public.locator("#good")).to_contain_text("1 of 2")
    holders[2][1].hand_shares(tender, KEYS[2], at_us=market.now_us())
    expect(public.locator("#opened")).to_contain_text("9,200.00")
    expect(public.locator("#course .panel-head")).to_contain_text("being scored")

    # Assessors: who is related is shown before and refused after; two mark in their browsers.
    house = market.party("评审机构", "service_provider")[0]
    assessors = [
        sits(house, "first.assessor", "/zh/desk/duties"),
        sits(house, "second.assessor", "/en/desk/duties"),
    ]
    others = [market.administrator.invite(house, f"评委{number}") for number in range(3)]
    clients = [market.stack.enter_context(type(firm.client)(url)) for _ in others]
    for client, other in zip(clients, others, strict=True):
        client.enrol(other.token)
    people = [*(one.person(url) for one in assessors), *(other.person for other in others)]
    related = firm.client.me().person
    page.goto(f"{url}/zh/desk/tenders/{tender}/host")
    page.fill("#f-people", "\n".join([*people[:4], related]))
    page.get_by_role("button", name="审查关联").click()
    expect(page.locator("#findings .state-bad")).to_have_count(1)
    expect(page.locator("#findings .chip-valid")).to_have_count(4)
    page.fill("#f-people", "\n".join(people))
    officer.send("指定评委")
    codes = [buyer.tenderer(tender).code for buyer in bidders]
    for assessor, button in zip(assessors, ("提交评分", "Hand the sheet in"), strict=True):
        assessor.page.goto(f"{url}/{'zh' if button == '提交评分' else 'en'}/desk/tenders/{tender}/marks")
        for code, mark in zip(codes, (60, 90, 30), strict=True):
            assessor.page.fill(f"[name=mark_{code}_0]", str(mark))
        assessor.send(button)
        expect(assessor.page.locator("#marked")).to_be_visible()
        assessor.page.close()
    expect(public.locator("#marks")).to_have_count(0)  # nobody's before all are in
    for client in clients:
        client.mark_tender(
            tender, {code: {"安全方案": mark} for code, mark in zip(codes, (60, 90, 30), strict=True)}
        )
    expect(public.locator("#scores")).to_contain_text(codes[1])
    expect(public.locator("#agrees")).to_have_attribute("data-state", "good")
    expect(public.locator("#marks tbody tr")).to_have_count(15)

    # A loser reads why and protests; upheld, the bids are marked anew.
    bidder.page.goto(f"{url}/en/desk/tenders/{tender}")
    bidder.page.get_by_role("link", name="Result and protest").click()
    expect(bidder.page.locator("main")).to_contain_text("Why you won or lost")
    bidder.page.fill("#f-reason", "The plan was marked against its words.")
    bidder.send("File the protest")
    overseer.page.goto(f"{url}/zh/regulator/tenders/{tender}")
    expect(overseer.page.locator("main")).to_contain_text("The plan was marked against its words.")
    overseer.page.check("[name=decision][value=rescore]")
    overseer.page.fill("textarea[name=answer]", "属实，重新评标")
    overseer.send("作出决定")
    expect(public.locator("#said")).to_contain_text("upheld")
    expect(public.locator("#said")).to_contain_text("属实，重新评标")
    expect(public.locator("#course .panel-head")).to_contain_text("being scored")
    expect(public.locator("#scores")).to_have_count(0)


def test_a_department_calls_its_tender_off_and_a_stranger_has_no_part_in_it(
    market: Any, visit: Callable[..., Page], sit: Callable[..., BrowserContext]
) -> None:
    supplier, client = market.party("市水务局", "supplier")
    holders = [market.party(f"持钥机构{number}", "service_provider") for number in range(3)]
    for (_, holder), key in zip(holders, KEYS, strict=True):
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
    stranger = seated(
        market.url,
        market.administrator.invite(market.party("评审机构", "supplier")[0], "路人").token,
        "passer",
    )
    page = visit("/en/desk/duties", context=sit(stranger))
    expect(page.locator("main")).to_contain_text("There is nothing for you to open or to mark.")
    for part, status in (("shares", 403), ("marks", 403), ("host", 404)):
        answer = page.goto(f"{market.url}/en/desk/tenders/{tender}/{part}")
        assert answer is not None
        assert answer.status == status, part
    visit.faults.clear()  # type: ignore[attr-defined]  # the refusals that were provoked
    seat = seated(market.url, market.administrator.invite(supplier, "水务局经办").token, "water.office")
    officer = Sitter(seat, visit(f"/en/desk/tenders/{tender}/host", context=sit(seat)))
    officer.page.get_by_text("Call the tender off").first.click()
    officer.page.fill("#f-reason", "The data is withdrawn.")
    officer.send("Call the tender off")
    expect(officer.page.locator(".desk-head")).to_contain_text("called off")
    public = visit("/zh/tenders")
    expect(public.locator("tbody")).to_contain_text("已终止")


def test_buyers_post_what_they_want_and_a_department_answers(
    market: Any, visit: Callable[..., Page], sit: Callable[..., BrowserContext]
) -> None:
    firm = Firm(market, "甲企业", "jia.qiye")
    supplier, client = market.party("市交通局", "supplier")
    asset = market.asset(supplier, "公交刷卡汇总")
    terms = OfferMessage(grant="licence", licences=10, term_days=365, price_fen=1_200_000)
    client.offer_fixed_price(asset, terms)
    buyer = Sitter(firm.seat, visit("/zh/demands", context=sit(firm.seat)))
    expect(buyer.page.locator("main")).to_contain_text("目前没有需求")
    buyer.page.get_by_role("link", name="发布需求").click()
    buyer.page.fill("#f-subject", "逐小时公交客流，全市")
    buyer.page.select_option("#f-purpose", "research")
    buyer.page.fill("#f-high_fen", "80,000")
    buyer.page.fill("#f-open_days", "181")
    buyer.page.get_by_role("button", name="发布需求").click()
    expect(buyer.page.locator("#trouble")).to_contain_text("180")
    refused(visit, 1)
    buyer.page.fill("#f-open_days", "90")
    buyer.send("发布需求")
    seat = seated(market.url, market.administrator.invite(supplier, "交通局经办").token, "bus.office")
    office = Sitter(seat, visit("/en/demands?purpose=research", context=sit(seat)))
    office.page.get_by_role("link", name="逐小时公交客流，全市").click()
    office.page.get_by_role("link", name="Answer with data of yours").click()
    office.page.select_option("#f-asset", asset)
    office.page.fill("#f-words", "By day, from 2024 on.")
    office.send("Answer with data of yours")
    stranger = visit("/en/demands?purpose=industry")
    expect(stranger.locator("main")).to_contain_text("Nobody wants anything")
    stranger.goto(f"{market.url}/en/demands")
    stranger.get_by_role("link", name="逐小时公交客流，全市").click()
    expect(stranger.locator("main")).to_contain_text("By day, from 2024 on.")
    expect(stranger.get_by_role("link", name="it is on offer")).to_be_visible()
    buyer.page.reload()
    buyer.send("撤下需求")
    stranger.goto(f"{market.url}/en/demands")
    expect(stranger.locator("main")).to_contain_text("Nobody wants anything")
    stranger.get_by_role("link", name="also what is over").click()
    expect(stranger.locator("#wants")).to_contain_text("taken off")
