"""A tender at the desk: a question and its answer, a bid that the bidder's browser seals, and the opening that everybody sees."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from exchange.messages.market import OfferMessage
from exchange.messages.tenders import CriterionMessage, ScoringRuleMessage
from ledger.checkpoint import Verifier
from ledger.entries import receipt_from_json, verify_receipt
from pricing.sealed_bids import Committee, Context, HolderKey, SealedPrice, seal
from tests.web.people import seated
from tests.web.test_enterprise import GOOD, Firm, sit

__all__ = ["sit"]

pytestmark = pytest.mark.browser

DAY_US = 86_400_000_000
FACTS = ("drafter", "agent", "manager", "account")


def tendered(market: Any, rule: ScoringRuleMessage) -> tuple[str, Any, str, list[tuple[Any, HolderKey]]]:
    """A tender of a department's that two of three holders open: department, its client, tender, holders with their keys."""
    supplier, client = market.party("市水务局", "supplier")
    holders = [market.party(f"持钥人{number}", "service_provider") for number in range(3)]
    keys = [HolderKey.from_seed(bytes([number + 1]) * 32) for number in range(3)]
    for (_, holder), key in zip(holders, keys, strict=True):
        holder.publish_holder_key(key.public.hex())
    deadline_us = market.now_us() + 21 * DAY_US
    tender = client.publish_tender(
        market.asset(supplier, "城市内涝热线工单"),
        OfferMessage(grant="licence", term_days=365, price_fen=1_000_000),
        rule,
        holders=[party for party, _ in holders],
        threshold=2,
        deposit_fen=20_000,
        deadline_us=deadline_us,
        opens_us=deadline_us,
        terms="一年使用权",
    ).outcome["id"]
    return supplier, client, tender, [(holder, key) for (_, holder), key in zip(holders, keys, strict=True)]


def rivals(market: Any, tender: str, proposal: str | None = None) -> None:
    """Two others bid through the SDK, lower."""
    for number, buyer in enumerate(market.buyers(2)):
        buyer.join_tender(tender, **{name: f"{name} of {number}" for name in FACTS})
        buyer.bid_sealed(tender, 800_000 + number, proposal)


def opened(market: Any, page: Page, client: Any, tender: str, holders: list[tuple[Any, HolderKey]]) -> None:
    """Let the deadline come, and two holders open."""
    market.administrator.move_clock(21 * DAY_US)
    while client.tender(tender).state == "published":
        page.wait_for_timeout(100)
    for holder, key in holders[:2]:
        holder.hand_shares(tender, key, at_us=market.now_us())


def test_a_firm_bids_wholly_on_its_page_and_no_price_leaves_it_before_the_opening_that_all_see(
    market: Any, visit: Callable[..., Page], sit: Callable[..., BrowserContext]
) -> None:
    supplier, client, tender, holders = tendered(market, ScoringRuleMessage(price_weight_ppm=1_000_000))
    firm = Firm(market, "甲企业", "jia.qiye")
    page = visit("/zh/desk/tenders", context=sit(firm.seat))
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.url} {request.post_data or ''}"))
    page.get_by_role("link", name="城市内涝热线工单").click()
    page.fill("#f-question", "可否分期交付")
    page.get_by_role("button", name="提问").click()
    expect(page.locator(GOOD)).to_contain_text("已提问")
    officer = seated(market.url, market.administrator.invite(supplier, "水务局经办").token, "water.office")
    office = visit(f"/en/desk/tenders/{tender}", context=sit(officer))
    office.locator("textarea[name=answer]").fill("No, at once.")
    office.get_by_role("button", name="Answer").click()
    expect(office.locator(GOOD)).to_contain_text("Answered")
    page.reload()
    expect(page.locator("main")).to_contain_text("No, at once.")

    page.get_by_role("link", name="参加投标").click()
    for name in FACTS:
        page.fill(f"#f-{name}", f"{name} of the firm")
    page.get_by_role("button", name="冻结保证金并准入").click()
    code = firm.client.tenderer(tender).code
    expect(page.locator("#code")).to_have_text(code)
    expect(page.locator("#committee-says")).to_have_attribute("data-state", "good")
    expect(page.locator("#committee-says")).to_contain_text(str(firm.client.tenderer(tender).index))

    page.fill("#price", "0")
    page.get_by_role("button", name="在本机密封").click()
    expect(page.locator("#seal-says")).to_have_attribute("data-state", "bad")
    page.fill("#price", "9,100.00")
    page.get_by_role("button", name="在本机密封").click()
    expect(page.locator("#seal-says")).to_contain_text("9,100.00")
    page.fill("#price", "9,101.00")  # what was sealed is not this any more
    expect(page.locator("#sealed")).to_be_hidden()
    page.get_by_role("button", name="在本机密封").click()
    page.get_by_role("button", name="递交密封件").click()
    expect(page.locator(GOOD)).to_contain_text("已递交")
    page.get_by_role("button", name="撤回密封件").click()
    expect(page.locator("#envelopes")).to_contain_text("已撤回")

    for price in ("9200", "9300.00"):  # the second in the place of the first
        page.fill("#price", price)
        page.get_by_role("button", name="在本机密封").click()
        with page.expect_download() as saved:
            page.get_by_role("link", name="保存本方留底").click()
        page.locator("#hand-in-form button").click()
        expect(page.locator(GOOD)).to_contain_text("已递交")
    assert [one.state for one in firm.client.tenderer(tender).envelopes] == [
        *("withdrawn", "replaced", "standing")
    ]
    standing = firm.client.tenderer(tender).envelopes[-1]
    record = json.loads(saved.value.path().read_text())
    committee = Committee.from_json(client.tender(tender).committee)
    again = seal(
        SealedPrice(int(record["price_fen"])),
        Context(tender, code, record["bid_id"]),
        committee,
        bytes.fromhex(record["chance"]),
    )
    assert (again.digest, record["price_fen"]) == (standing.digest, "930000")
    with page.expect_download() as receipt:
        page.locator("#envelopes a[download]").first.click()
    proven = receipt_from_json(json.loads(receipt.value.path().read_text()))
    verify_receipt(proven, [Verifier.parse(market.administrator.vkey)])
    assert (proven.index, proven.said()["act"]["digest"]) == (standing.index, standing.digest)

    rivals(market, tender)
    assert not [one for one in sent if any(price in one for price in ("9300", "930000", "9,300"))]
    expect(office.locator("#opening")).to_have_count(0)
    opened(market, page, client, tender, holders)
    while client.tender(tender).winner_code is None:
        page.wait_for_timeout(100)
    page.reload()
    expect(page.locator("#opened")).to_contain_text("9,300.00")
    expect(page.locator("#opened")).to_contain_text("中标")
    expect(page.locator("#why")).to_contain_text(code)
    for width in (360, 1440):
        office.set_viewport_size({"width": width, "height": 900})
        office.goto(f"{market.url}/{'zh' if width == 360 else 'en'}/desk/tenders/{tender}")
        expect(office.locator("#shares li")).to_have_count(2)
        expect(office.locator("#opened")).to_contain_text("9,300.00")
        assert office.evaluate("document.documentElement.scrollWidth <= innerWidth"), width


def test_the_file_behind_the_digest_is_taken_after_the_opening_as_it_was_sealed_and_marked_to_the_award(
    market: Any, visit: Callable[..., Page], sit: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    plan = CriterionMessage(name="数据安全方案", weight_ppm=400_000, most_points=100)
    rule = ScoringRuleMessage(price_weight_ppm=600_000, criteria=[plan])
    supplier, client, tender, holders = tendered(market, rule)
    firm = Firm(market, "甲企业", "jia.qiye")
    firm.client.join_tender(tender, **{name: f"{name} of the firm" for name in FACTS})
    sealed_file, another = tmp_path / "plan.pdf", tmp_path / "plan-2.pdf"
    sealed_file.write_bytes(b"%PDF-1.7 kept under lock and key" + bytes(300_000))
    another.write_bytes(sealed_file.read_bytes() + b"\n")
    page = visit(f"/en/desk/tenders/{tender}/bid", context=sit(firm.seat))
    sent: list[str] = []
    page.on("request", lambda request: sent.append(str(request.post_data_buffer or b"")))
    page.fill("#price", "9300")
    page.set_input_files("#proposal", sealed_file)
    page.get_by_role("button", name="Seal it here").click()
    page.get_by_role("button", name="Hand the envelope in").click()
    expect(page.locator(GOOD)).to_contain_text("handed in")
    assert not [one for one in sent if "lock and key" in one]
    rivals(market, tender, "cd" * 32)
    opened(market, page, client, tender, holders)
    while client.tender(tender).state != "opened":
        page.wait_for_timeout(100)

    page.reload()
    page.set_input_files("#f-proposal", another)
    page.get_by_role("button", name="Hand the proposal in").click()
    expect(page.locator("#trouble")).to_contain_text("another file than was sealed")
    expect(page.locator("#trouble")).to_contain_text("招标投标法")
    expect(page.locator("#trouble code")).to_have_text("proposal.digest")
    faults = visit.faults  # type: ignore[attr-defined]
    assert ["422" in fault for fault in faults] == [True]
    faults.clear()
    page.set_input_files("#f-proposal", sealed_file)
    page.get_by_role("button", name="Hand the proposal in").click()
    expect(page.locator(GOOD)).to_contain_text("handed in")
    expect(page.locator("#filed")).to_be_visible()

    officer = seated(market.url, market.administrator.invite(supplier, "水务局经办").token, "water.office")
    office = visit(f"/zh/desk/tenders/{tender}", context=sit(officer))
    with office.expect_download() as came:
        office.locator("#files a[download]").click()
    assert came.value.path().read_bytes() == sealed_file.read_bytes()
    expert, first = market.party("评标专家库", "service_provider")
    experts = [first]
    for number in range(3):
        one = market.stack.enter_context(type(first)(market.url, vkey=market.administrator.vkey))
        one.enrol(market.administrator.invite(expert, f"专家{number}").token)
        experts.append(one)
    invited = market.administrator.invite(expert, "专家")
    reader = sit(seated(market.url, invited.token, "expert"))
    client.appoint_assessors(tender, [*(one.me().person for one in experts), invited.person])
    code = firm.client.tenderer(tender).code
    experts[0].tender_proposal(tender, code, tmp_path / "read.pdf")
    assert (tmp_path / "read.pdf").read_bytes() == sealed_file.read_bytes()
    marks = {one.code: {plan.name: 90 if one.code == code else 40} for one in client.tender(tender).opened}
    for one in experts:
        one.mark_tender(tender, marks)

    # An assessor finds the file beside what it has to mark and on its sheet, the regulator among its own pages.
    inspector = seated(
        market.url,
        market.administrator.invite(market.party("市数据局", "regulator")[0], "督察员").token,
        "inspector",
    )
    for who, path in (
        (reader, "/zh/desk/duties"),
        (sit(inspector), f"/en/regulator/tenders/{tender}"),
        (reader, f"/zh/desk/tenders/{tender}/marks"),
    ):
        desk = visit(path, context=who)
        with desk.expect_download() as came:
            desk.locator(f"a[download][href$='/proposals/{code}']").click()
        assert came.value.path().read_bytes() == sealed_file.read_bytes()
    for bidder, given in marks.items():
        desk.fill(f"[name=mark_{bidder}_0]", str(given[plan.name]))
    desk.get_by_role("button", name="提交评分").click()
    expect(desk.locator("#marked")).to_be_visible()
    watch = visit("/en/regulator/accesses", context=sit(inspector))
    expect(watch.locator("tbody")).to_contain_text(f"/regulator/tenders/{tender}/proposals/{code}")
    while client.tender(tender).winner_code is None:
        page.wait_for_timeout(100)
    page.reload()
    expect(page.locator("#opened")).to_contain_text("awarded")
    expect(page.locator("#why")).to_contain_text(code)


def test_nothing_is_sealed_for_holders_other_than_the_log_told_the_bidder(
    market: Any, visit: Callable[..., Page], sit: Callable[..., BrowserContext]
) -> None:
    _, _, tender, _ = tendered(market, ScoringRuleMessage(price_weight_ppm=1_000_000))
    firm = Firm(market, "甲企业", "jia.qiye")
    firm.client.join_tender(tender, **{name: f"{name} of the firm" for name in FACTS})
    context = sit(firm.seat)
    foreign = HolderKey.from_seed(b"x" * 32).public.hex()
    known = HolderKey.from_seed(bytes([1]) * 32).public.hex()

    def other_holder(route: Any) -> None:
        answer = route.fetch()
        assert known in answer.text()
        route.fulfill(response=answer, body=answer.text().replace(known, foreign))

    context.route(f"**/desk/tenders/{tender}/bid", other_holder)
    page = visit(f"/en/desk/tenders/{tender}/bid", context=context)
    expect(page.locator("#committee-says")).to_have_attribute("data-state", "bad")
    expect(page.locator("#committee-says")).to_contain_text("nothing is sealed")
    expect(page.locator("#seal-form button")).to_be_disabled()
