"""Passkeys at the console, with the browser's own virtual authenticators: added, used to come in and to approve, taken off."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, CDPSession, Page, expect

from exchange.signin.passkeys import CHALLENGE_US
from tests.web.people import PASSWORD, Seat, seated
from tests.web.test_sign_in import invited

pytestmark = pytest.mark.browser

GOOD = ".notice[data-state=good]"
AGAIN = {"zh": "再次出示第二因素", "en": "Your second factor again"}


class Device:
    """A device that keeps passkeys, held to a page over the browser's own protocol; its holder is always at hand."""

    def __init__(self, page: Page, credentials: tuple[dict[str, Any], ...] = ()) -> None:
        self.line: CDPSession = page.context.new_cdp_session(page)
        self.line.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        self.id = self.line.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]
        for one in credentials:
            self.line.send("WebAuthn.addCredential", {"authenticatorId": self.id, "credential": one})

    def credentials(self) -> tuple[dict[str, Any], ...]:
        """What it keeps, as another one could be given it."""
        return tuple(self.line.send("WebAuthn.getCredentials", {"authenticatorId": self.id})["credentials"])

    def away(self) -> None:
        """Take it away from the page."""
        self.line.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": self.id})


def sitting(market: Any, visit: Callable[..., Page], browser: Browser, seat: Seat, path: str) -> Page:
    """A page at which somebody sits, under the name at which passkeys answer."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_cookies(seat.cookies())  # type: ignore[arg-type]
    return visit(path, context=context, url=market.site)


def stale(market: Any) -> None:
    """Let it be long ago that anybody showed a second factor."""
    with psycopg.connect(market.database_url) as connection:
        connection.execute("UPDATE web_session SET confirmed_us = 0")


def press(page: Page) -> None:
    """Have a passkey answer; the button is there once the script can take it."""
    page.locator("[data-passkey]").click()


def add(page: Page, label: str) -> None:
    """Add a passkey on the page of second factors."""
    page.fill("#f-label", label)
    page.click("main form.desk-form button[type=submit]")
    press(page)


def come_in(page: Page, seat: Seat, language: str) -> None:
    """Fill the sign-in, and let a passkey stand for the code."""
    page.goto(f"{seat.url}/{language}/sign-in")
    page.fill("#f-login", seat.login)
    page.fill("#f-password", PASSWORD)
    press(page)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_passkey_is_added_signs_in_and_approves_and_the_last_factor_stays(
    market: Any, visit: Callable[..., Page], browser: Browser, language: str
) -> None:
    seat = seated(market.site, invited(market), "li.na")
    page = sitting(market, visit, browser, seat, f"/{language}/desk/account")
    first = Device(page)
    page.click("main .desk-head a[href$='/factors']")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody form")).to_have_count(0)  # the last one stays
    add(page, "办公电脑")
    expect(page.locator(GOOD)).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(2)
    add(page, "又一枚")  # the same device makes no second one
    said = {"zh": "这台设备上已有", "en": "has a passkey of yours already"}[language]
    expect(page.locator("[data-passkey-says]")).to_contain_text(said)

    # It stands for the code at the sign-in.
    page.goto(f"{market.site}/{language}/desk/account")
    page.locator("main form").first.get_by_role("button").click()
    expect(page).to_have_url(re.compile("/sign-in$"))
    come_in(page, seat, language)
    expect(page).to_have_url(re.compile(f"/{language}/desk/"))

    # And again before whatever needs it; what was entered is kept. The second passkey is of another device.
    stale(market)
    page.goto(f"{market.site}/{language}/desk/account/factors")
    page.fill("#f-label", "手机")
    page.click("main form.desk-form button[type=submit]")
    expect(page.locator("h1")).to_have_text(AGAIN[language])
    press(page)
    expect(page.locator("main .lead")).to_have_text("手机")
    kept = first.credentials()
    first.away()
    second = Device(page)
    press(page)
    expect(page.locator(GOOD)).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(3)

    # The authenticator and the first passkey go; the second one is the last and stays.
    for name in ({"zh": "移除「验证器」", "en": "Remove Authenticator"}[language], "办公电脑"):
        page.locator("tbody tr").get_by_role("button").and_(page.get_by_title(re.compile(name))).click()
        expect(page.locator(GOOD)).to_be_visible()
        expect(page.locator("tbody")).not_to_contain_text(name)
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody form")).to_have_count(0)
    stranger = visit(f"/{language}/sign-in", url=market.site)
    Device(stranger, kept)
    come_in(stranger, seat, language)
    refused = {"zh": "不相符", "en": "do not fit together"}[language]
    expect(stranger.locator("#trouble")).to_contain_text(refused)
    Device(other := visit(f"/{language}/sign-in", url=market.site), second.credentials())
    come_in(other, seat, language)
    expect(other).to_have_url(re.compile(f"/{language}/desk/"))
    visit.faults.clear()  # type: ignore[attr-defined]  # the browser reports the refused request


@pytest.mark.parametrize("language", ["zh", "en"])
def test_an_account_is_opened_with_a_passkey_alone_and_its_loss_is_recovered_as_an_authenticators(
    market: Any, visit: Callable[..., Page], browser: Browser, language: str
) -> None:
    boss = market.administrator.me()
    colleague = market.administrator.invite(boss.id, "second").token
    second = market.stack.enter_context(type(market.administrator)(market.url))
    second.enrol(colleague)
    party, _ = market.party("市水务局", "supplier")
    invitation = market.administrator.invite(party, "新同事")
    page = visit(f"/{language}/enrol#{invitation.token}", url=market.site)
    device = Device(page)
    page.click("main form button[type=submit]")
    page.fill("#f-login", "xin")
    press(page)  # the password is wanted, the authenticator's code is not
    page.fill("#f-password", PASSWORD)
    press(page)
    expect(page.locator(".codes li")).to_have_count(10)
    recovery = page.locator(".codes code").first.inner_text()
    page.goto(f"{market.site}/{language}/desk/account/factors")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody form")).to_have_count(0)  # the last one stays

    # Name, password and recovery codes are replaced; the second factor is left as it is.
    page.goto(f"{market.site}/{language}/desk/account/secure")
    page.fill("#f-login", "xin")
    page.fill("#f-password", PASSWORD + "s")
    page.click("main form.desk-form button[type=submit]")
    expect(page.locator(".codes li")).to_have_count(10)
    void, recovery = recovery, page.locator(".codes code").first.inner_text()
    seat = Seat("xin", b"", [], ("", ""), market.site)

    def signs_in(code: str = "") -> Page:
        other = visit(f"/{language}/sign-in", url=market.site)
        if not code:
            Device(other, device.credentials())
        other.fill("#f-login", seat.login)
        other.fill("#f-password", PASSWORD + "s")
        other.fill("#f-code", code)
        if code:
            other.click("main form button[type=submit]")
        else:
            press(other)
        return other

    expect(signs_in()).to_have_url(re.compile(f"/{language}/desk/"))
    expect(signs_in(void).locator("#trouble")).to_be_visible()
    expect(signs_in(recovery)).to_have_url(re.compile(f"/{language}/desk/"))  # the device is lost

    # All is lost: two administrators give a fresh link, and nothing of before opens the account again.
    link = market.administrator.console_link(invitation.person)
    (reset,) = second.account_resets()
    second.decide_account_reset(reset.id, grant=True)
    again = seated(market.site, link.token, "xin")
    assert again.login == "xin"
    with psycopg.connect(market.database_url) as connection:
        (factor,) = connection.execute(
            "SELECT octet_length(factor) FROM person_account WHERE login = 'xin'"
        ).fetchone() or (0,)
        assert factor > 0
        assert connection.execute("SELECT count(*) FROM passkey WHERE removed_us IS NULL").fetchone() == (0,)
    visit.faults.clear()  # type: ignore[attr-defined]  # the browser reports the refused request


@pytest.mark.parametrize("language", ["zh", "en"])
def test_an_approval_takes_a_passkey_that_answers_this_page_now_and_no_other(
    market: Any, visit: Callable[..., Page], browser: Browser, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    """A lost factor is reset by a second administrator, who shows a passkey for it."""
    boss = market.administrator.me()
    colleague = market.administrator.invite(boss.id, "second")
    seat = seated(market.site, colleague.token, "second")
    lost = market.administrator.invite(market.party("市水务局", "supplier")[0], "新同事")
    seated(market.site, lost.token, "zhao")
    market.administrator.console_link(lost.person)
    page = sitting(market, visit, browser, seat, f"/{language}/desk/account/factors")
    device = Device(page)
    add(page, "laptop")
    expect(page.locator(GOOD)).to_be_visible()

    stale(market)
    page.goto(f"{market.site}/{language}/desk/people")
    page.click("[name=decision][value=grant]")
    expect(page.locator("h1")).to_have_text(AGAIN[language])

    # A question that was asked elsewhere, of another browser, is answered in vain; so is one that stood for too long.
    elsewhere = visit(f"/{language}/sign-in", url=market.site)
    foreign = json.loads(elsewhere.locator("[data-passkey]").get_attribute("data-options") or "")
    ours = "node => { node.dataset.options = JSON.stringify({...JSON.parse(node.dataset.options), challenge: %s}) }"
    page.locator("[data-passkey]").evaluate(ours % json.dumps(foreign["challenge"]))
    press(page)
    said = {"zh": "已超过五分钟", "en": "took longer than five minutes"}[language]
    expect(page.locator("#trouble")).to_contain_text(said)
    monkeypatch.setattr("exchange.signin.passkeys.CHALLENGE_US", 0)
    with page.expect_navigation():
        press(page)
    expect(page.locator("#trouble")).to_contain_text(said)
    assert market.administrator.account_resets()
    monkeypatch.setattr("exchange.signin.passkeys.CHALLENGE_US", CHALLENGE_US)
    page.goto(f"{market.site}/{language}/desk/people")
    page.click("[name=decision][value=grant]")
    expect(page.locator("h1")).to_have_text(AGAIN[language])
    press(page)
    expect(page.locator(GOOD)).to_be_visible()
    assert not market.administrator.account_resets()

    # A copy of the device that counts on its own is noticed, on the record, and nobody comes in with either.
    (kept,) = device.credentials()
    device.away()
    Device(page, ({**kept, "signCount": 0},))
    page.context.clear_cookies()
    come_in(page, seat, language)
    expect(page.locator("#trouble")).to_be_visible()
    page.fill("#f-login", seat.login)
    page.fill("#f-password", PASSWORD)
    page.fill("#f-code", seat.code(1))
    page.click("main form button[type=submit]")
    expect(page).to_have_url(re.compile(f"/{language}/desk/"))
    page.goto(f"{market.site}/{language}/desk/account")
    expect(page.locator("#accesses ~ table")).to_contain_text({"zh": "计数倒退", "en": "went back"}[language])
    page.goto(f"{market.site}/{language}/desk/account/factors")
    expect(page.locator("tbody .chip-revoked")).to_be_visible()
    visit.faults.clear()  # type: ignore[attr-defined]
