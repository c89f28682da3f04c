"""People come in by the web: account, second factor, lock, end of a session, and acts that are recorded as an API's are."""

from __future__ import annotations

import re
import time
from base64 import b32decode
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from exchange.signin.factors import STEP_US, one_time_code
from tests.web.people import PASSWORD, Seat, seated

pytestmark = pytest.mark.browser


def invited(market: Any, name: str = "新同事", *roles: str) -> str:
    """The token of a link for somebody of a fresh party."""
    party, _ = market.party(f"{name}的单位", *(roles or ("supplier",)))
    token: str = market.administrator.invite(party, name).token
    return token


def sit(page: Page, seat: Seat, code: str, path: str = "/zh/sign-in") -> None:
    """Fill the sign-in and send it."""
    page.goto(seat.url + path)
    page.fill("#f-login", seat.login)
    page.fill("#f-password", PASSWORD)
    page.fill("#f-code", code)
    page.click("main form button[type=submit]")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_link_opens_an_account_once_and_a_key_made_in_the_page_calls(
    market: Any, visit: Callable[..., Page], language: str
) -> None:
    token = invited(market)
    page = visit(f"/{language}/enrol#{token}")
    assert page.url.endswith("/enrol")  # the token is out of the address
    page.click("main form button[type=submit]")
    spelt = page.locator(".secure-factor code").inner_text().replace(" ", "")
    page.fill("#f-login", "Xin.Tongshi")
    page.fill("#f-password", PASSWORD)
    page.fill("#f-code", one_time_code(b32decode(spelt), time.time_ns() // 1000 // STEP_US))
    page.click("main form button[type=submit]")
    expect(page.locator(".codes li")).to_have_count(10)
    cookie = next(one for one in page.context.cookies() if one["name"] == "__Host-exchange")
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")
    page.click("main a.button")
    expect(page.locator(".desk-nav a[aria-current]")).to_have_count(1)

    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url + (request.post_data or "")))
    page.goto(f"{market.url}/{language}/desk/keys")
    page.click("#make")
    expect(page.locator("#key")).not_to_have_value("")
    key = page.input_value("#key")
    page.fill("#f-label", "程序一")
    page.check("#kept")
    page.click("#key-form button[type=submit]")
    expect(page.locator(".notice[data-state=good]")).to_be_visible()
    assert all(key not in request for request in sent)
    assert httpx.get(f"{market.url}/v1/me", headers={"Authorization": f"Bearer {key}"}).status_code == 200

    faults = visit.faults  # type: ignore[attr-defined]
    again = visit(f"/{language}/enrol#{token}")
    again.click("main form button[type=submit]")
    expect(again.locator("#trouble")).to_contain_text({"zh": "已用过", "en": "used"}[language])
    assert "404" in faults.pop()  # the browser itself reports the refused request


def test_a_person_signs_in_with_password_and_code_and_is_led_on(
    market: Any, visit: Callable[..., Page]
) -> None:
    seat = seated(market.url, invited(market), "li.na")
    page = visit("/zh/desk/keys")
    assert "/zh/sign-in?next=" in page.url
    page.fill("#f-login", "Li.Na ")
    page.fill("#f-password", PASSWORD)
    page.fill("#f-code", seat.code())
    page.click("main form button[type=submit]")
    expect(page).to_have_url(f"{market.url}/zh/desk/keys")
    # The code was used: nobody who saw it comes in with it.
    other = visit("/en/sign-in")
    faults = visit.faults  # type: ignore[attr-defined]
    sit(other, seat, seat.code(), "/en/sign-in")
    expect(other.locator("#trouble")).to_contain_text("do not fit together")
    assert other.input_value("#f-password") == ""
    sit(other, seat, seat.codes[3].lower(), "/en/sign-in")  # but a recovery code is there for that, once
    expect(other).to_have_url(re.compile("/en/desk/"))
    faults.clear()


def test_five_mistakes_lock_a_name_on_the_record_whoever_makes_them(
    market: Any, visit: Callable[..., Page]
) -> None:
    seat = seated(market.url, invited(market), "wang")
    said = {"login": "wang", "password": "not the password", "code": "000000"}
    with httpx.Client(base_url=market.url, headers={"Origin": market.url}) as http:
        assert [http.post("/zh/sign-in", data=said).status_code for _ in range(6)] == [401] * 4 + [429] * 2
        right = http.post("/zh/sign-in", data={**said, "password": PASSWORD, "code": seat.code()})
        assert right.status_code == 429
        # A name of nobody's is answered alike, and is not told to the log.
        nobody = [http.post("/zh/sign-in", data={**said, "login": "nobody"}).status_code for _ in range(6)]
        assert nobody[:4] == [401] * 4
    page = visit("/zh/sign-in")
    sit(page, seat, seat.code())
    expect(page.locator("#trouble")).to_contain_text("暂不能登录")
    page.goto(f"{market.url}/zh/log")
    expect(page.locator("#entries")).to_contain_text("账户锁定")
    visit.faults.clear()  # type: ignore[attr-defined]


def test_a_session_ends_by_its_person_and_with_membership(
    market: Any, visit: Callable[..., Page], browser: Browser
) -> None:
    party, client = market.party("市水务局", "supplier")
    person = market.administrator.invite(party, "新同事")
    seat = seated(market.url, person.token, "zhao")
    context = browser.new_context()
    context.add_cookies(seat.cookies())  # type: ignore[arg-type]
    page = visit("/zh/desk/account", context=context)
    other = visit("/en/sign-in")
    sit(other, seat, seat.code(1), "/en/sign-in")
    page.reload()
    expect(page.locator("#sessions ~ table tbody tr")).to_have_count(2)
    page.get_by_role("button", name="结束", exact=True).click()
    expect(page.locator(".notice[data-state=good]")).to_have_text("会话已结束。")
    other.goto(f"{market.url}/en/desk/account")
    assert "/en/sign-in" in other.url
    client.end_membership(person.person)
    page.reload()
    assert "/zh/sign-in" in page.url
    context.close()


def test_money_and_approvals_ask_for_the_second_factor_again_and_keep_what_was_entered(
    market: Any, visit: Callable[..., Page], browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    seat = seated(market.url, invited(market), "qian")
    monkeypatch.setattr("exchange.signin.sessions.FRESH_US", 0)
    context = browser.new_context()
    context.add_cookies(seat.cookies())  # type: ignore[arg-type]
    page = visit("/zh/desk/keys", context=context)
    page.click("#make")
    expect(page.locator("#key")).not_to_have_value("")
    page.fill("#f-label", "程序一")
    page.check("#kept")
    page.click("#key-form button[type=submit]")
    page.fill("#f-confirm_code", "000000")
    page.click("main form button[type=submit]")
    expect(page.locator("#trouble")).to_contain_text("验证码不符")
    monkeypatch.setattr("exchange.signin.sessions.FRESH_US", 300_000_000)
    page.fill("#f-confirm_code", seat.code())
    page.click("main form button[type=submit]")
    expect(page.locator(".notice[data-state=good]")).to_contain_text("密钥已生效")
    expect(page.locator("tbody")).to_contain_text("程序一")
    visit.faults.clear()  # type: ignore[attr-defined]
    context.close()


def test_no_other_site_and_no_old_session_sends_a_form(market: Any) -> None:
    seat = seated(market.url, invited(market), "sun")
    with httpx.Client(base_url=market.url, headers=seat.headers()) as http:
        page = http.get("/en/desk/account").text
        proof = re.search(r'name="proof" value="([0-9a-f]{64})"', page)
        assert proof is not None
        form = {"do": "leave", "proof": proof[1], "identifier": "web-1"}
        for wrong in (
            {"Origin": "https://elsewhere.example"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Origin": ""},
        ):
            assert http.post("/en/desk/account", data=form, headers=wrong).status_code == 403
        assert http.post("/en/desk/account", data={**form, "proof": "0" * 64}).status_code == 403
        assert http.get("/en/desk/account").status_code == 200
        assert http.post("/en/desk/account", data=form).headers["location"] == "/en/sign-in"
        assert http.get("/en/desk/account").status_code == 303
        # A session of one hall is none in the other.
        cookie = {"Cookie": f"__Host-regulator={seat.cookie[1]}"}
        assert (
            "/en/regulator/sign-in" in http.get("/en/regulator/account", headers=cookie).headers["location"]
        )
