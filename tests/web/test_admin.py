"""The venue's pages: a party comes in, duties are divided, rules change by two hands, layers fail on their own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.web.people import Seat, seated

pytestmark = pytest.mark.browser


def founder(market: Any) -> Seat:
    """The first administrator, at the console."""
    person = market.administrator.me().person
    return seated(market.url, market.administrator.console_link(person).token, "founder")


def with_seat(browser: Browser, seat: Seat) -> BrowserContext:
    """A browser in which somebody sits."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_cookies(seat.cookies())  # type: ignore[arg-type]
    return context


def test_a_party_is_registered_invited_and_its_person_opens_an_account(
    market: Any, visit: Callable[..., Page], browser: Browser
) -> None:
    context = with_seat(browser, founder(market))
    page = visit("/zh/desk/onboarding", context=context)
    page.fill("#f-uscc", "91440101000000001X")
    page.fill("#f-name", "市水务局")
    page.check("input[value=supplier]")
    page.locator("section.panel button[type=submit]").click()
    expect(page.locator("#trouble")).to_be_visible()  # the check character is wrong
    expect(page.locator("#f-uscc")).to_have_attribute("aria-invalid", "true")
    page.fill("#f-uscc", market.uscc())
    page.check("input[value=supplier]")
    page.locator("section.panel button[type=submit]").click()
    expect(page.locator(".notice[data-state=good]")).to_contain_text("机构已登记")
    page.get_by_role("link", name="市水务局").click()
    page.get_by_text("邀请人员").first.click()
    form = page.locator("form[data-link]")
    form.locator("input[name=name]").fill("李娜")
    expect(form.locator("[name=token_digest]")).not_to_have_value("")
    link = form.locator("[data-shown]").input_value()
    form.locator("button[type=submit]").click()
    expect(page.locator(".notice[data-state=good]")).to_contain_text("邀请已生效")
    assert seated(market.url, link.partition("#")[2], "li.na").cookie[0] == "__Host-exchange"
    visit.faults.clear()  # type: ignore[attr-defined]
    context.close()


def test_duties_are_divided_in_the_page_and_the_auditor_then_changes_nothing(
    market: Any, visit: Callable[..., Page], browser: Browser
) -> None:
    boss, venue = market.administrator, market.administrator.me().id
    links = {duty: boss.invite(venue, f"{duty}员") for duty in ("system", "security", "audit")}
    context = with_seat(browser, founder(market))
    page = visit("/zh/desk/people", context=context)
    for duty, invited in links.items():
        card = page.locator("article.person", has_text=invited.person)
        card.locator("summary").click()
        card.locator("select").select_option(duty)
        card.get_by_role("button", name="指定职责").click()
        expect(page.locator(".notice[data-state=good]")).to_contain_text("职责已指定")
    expect(page.locator("article.person", has_text="管理员").last).to_contain_text("业务人员")
    card = page.locator("article.person", has_text=links["audit"].person)
    card.locator("summary").click()
    card.locator("select").select_option("system")
    card.get_by_role("button", name="指定职责").click()
    expect(page.locator("#trouble")).to_contain_text("三员分立")  # the founder does the business now
    auditor = seated(market.url, links["audit"].token, "auditor")
    with httpx.Client(base_url=market.url, headers=auditor.headers()) as http:
        assert http.get("/zh/desk/audit").status_code == 200
        told = http.get("/zh/desk/onboarding").text
        proof = told.split('name="proof" value="')[1][:64]
        form = {
            "do": "register",
            "proof": proof,
            "identifier": "w-1",
            "uscc": market.uscc(),
            "name": "甲",
            "roles": "buyer",
        }
        refused = http.post("/zh/desk/onboarding", data=form)
        assert (refused.status_code, "三员分立" in refused.text) == (403, True)
    visit.faults.clear()  # type: ignore[attr-defined]
    context.close()


def test_a_rule_is_proposed_in_the_page_and_signed_by_a_second_person(
    market: Any, visit: Callable[..., Page], browser: Browser
) -> None:
    board, _ = market.party("主管部门", "governing_body")
    signer = seated(market.url, market.administrator.invite(board, "签署人").token, "signer")
    context, other = with_seat(browser, founder(market)), with_seat(browser, signer)
    page = visit("/zh/desk/rulebook", context=context)
    page.get_by_text("提议变更").first.click()
    page.fill("#f-rule", "fees.buyer_commission_ppm")
    page.fill("#f-value", "9000")
    page.fill("#f-effective", "2030-01-01T00:00")
    page.fill("#f-reason", "降低买方成本")
    page.locator("details button[type=submit]").click()
    expect(page.locator(".notice[data-state=good]")).to_contain_text("已提议")
    expect(page.locator("ins")).to_have_text("0.9 %")
    page.locator("button[value=sign]").click()
    expect(page.locator("#trouble")).to_be_visible()  # nobody signs the own proposal
    second = visit("/en/desk/rulebook", context=other)
    second.locator("button[value=sign]").click()
    expect(second.locator(".notice[data-state=good]")).to_contain_text("Signed")
    visit.faults.clear()  # type: ignore[attr-defined]
    context.close()
    other.close()


def test_a_clerk_enters_a_paper_form_and_both_actors_are_named(
    market: Any, visit: Callable[..., Page], browser: Browser, tmp_path: Path
) -> None:
    registrar, office = market.party("登记中心", "registrar")
    clerk = seated(market.url, market.administrator.invite(registrar, "窗口员").token, "clerk")
    party, supplier = market.party("市水务局", "supplier")
    steps = ("risk_assessment", "authorization", "desensitization", "aggregation")
    evidence = {step: str(number) for number, step in enumerate(steps)}
    asset = market.asset(party, "城市内涝热线工单", state="themed", evidence=evidence)
    scan = tmp_path / "scan.pdf"
    scan.write_bytes(b"a signed form")
    context = with_seat(browser, clerk)
    page = visit("/zh/desk/counter", context=context)
    page.fill("#f-party", party)
    page.fill("#f-person", supplier.me().person)
    page.fill("#f-asset", asset)
    page.check("input[value=right_hold]")
    page.set_input_files("#scan-file", scan)
    expect(page.locator("#f-scan")).to_have_value(hashlib.sha256(b"a signed form").hexdigest())
    page.locator("section.panel button[type=submit]").click()
    done = page.locator(".notice[data-state=good]")
    expect(done).to_contain_text("已代录")
    index = int(done.locator("a").inner_text().lstrip("#"))
    said = office.receipt(index).said()
    assert (said["by"], said["channel"]) == (said["act"]["counter"]["clerk"], "web")
    assert said["act"]["counter"]["scan"] == hashlib.sha256(b"a signed form").hexdigest()
    assert supplier.me().person in str(said)
    context.close()
