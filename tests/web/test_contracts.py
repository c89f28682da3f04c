"""Both sides sign the contract of their trade in their browsers, with keys that never leave them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Request, expect

from exchange.client import Exchange
from tests.web.people import seated
from tests.web.test_enterprise import GOOD, Firm, fixed, sit

__all__ = ["sit"]

pytestmark = pytest.mark.browser


def sold(market: Any) -> tuple[tuple[str, Exchange], Firm, str]:
    """A supplier, a firm that bought from it, and the trade."""
    supplier, firm = market.party("市水务局", "supplier"), Firm(market, "甲企业", "jia.qiye")
    firm.client.buy(fixed(market, supplier, "内涝热线工单"))
    return supplier, firm, firm.client.trades()[0].trade


def noted(sent: list[str], request: Request) -> None:
    """Keep what a page sends."""
    sent.append(request.post_data or "")


def test_both_sides_sign_in_their_browsers_and_the_key_never_leaves_them(
    market: Any, visit: Callable[..., Page], sit: Callable[..., BrowserContext]
) -> None:
    supplier, firm, trade = sold(market)
    officer = seated(market.url, market.administrator.invite(supplier[0], "水务局经办").token, "water.office")
    for seat, path, go in (
        (officer, "/zh/desk/contracts", "签署合同"),
        (firm.seat, "/en/desk/contracts", "Sign the contract"),
    ):
        page = visit(path, context=sit(seat))
        sent: list[str] = []
        page.on("request", partial(noted, sent))
        page.locator(".goods .lot-title").click()
        expect(page.locator("#digest-says")).to_have_attribute("data-state", "good")
        button = page.get_by_role("button", name=go)
        button.click()  # nobody signs unread
        assert not any("signature=" in said for said in sent)
        page.locator("#agreed").check()
        button.click()
        expect(page.locator(GOOD)).to_be_visible()
        (posted,) = [said for said in sent if "signature=" in said]
        secret = page.evaluate(
            """() => new Promise((resolve) => {
                const opening = indexedDB.open("exchange-signing", 1);
                opening.onsuccess = () => {
                    const asked = opening.result.transaction("keys").objectStore("keys").getAll();
                    asked.onsuccess = () => crypto.subtle.exportKey("pkcs8", asked.result[0].privateKey)
                        .then(() => resolve("told"), (error) => resolve(error.name));
                };
            })"""
        )
        assert secret == "InvalidAccessError"  # not even this page reads it out
        assert "pkcs8" not in posted
    contract = firm.client.contract(trade)
    assert contract.state == "signed"
    (one,), (other,) = supplier[1].signing_keys(), firm.client.signing_keys()
    assert one.public != other.public
    document = firm.client.contract_document(
        trade
    )  # verified: each signature stands in the log, over this digest
    assert document.seller is not None
    assert document.buyer is not None


def test_a_page_that_shows_another_text_than_is_signed_refuses_to_sign(
    market: Any, visit: Callable[..., Page], sit: Callable[..., BrowserContext]
) -> None:
    _, firm, trade = sold(market)
    context = sit(firm.seat)

    def altered(route: Any) -> None:
        answer = route.fetch()
        text = answer.text()
        clause = text.index('<p data-clause="fee">') + len('<p data-clause="fee">')
        route.fulfill(response=answer, body=f"{text[:clause]}Nothing is owed. {text[clause:]}")

    context.route(f"**/desk/contracts/{trade}", altered)
    page = visit(f"/en/desk/contracts/{trade}", context=context)
    expect(page.locator("#digest-says")).to_have_attribute("data-state", "bad")
    expect(page.locator("#sign-says")).to_contain_text("do not sign")
    expect(page.get_by_role("button", name="Sign the contract")).to_be_disabled()


def test_a_contract_of_others_has_no_page_and_a_signature_that_is_none_is_refused(
    market: Any, visit: Callable[..., Page], sit: Callable[..., BrowserContext]
) -> None:
    _, firm, trade = sold(market)
    stranger = Firm(market, "乙企业", "yi.qiye")
    page = visit(f"/en/desk/contracts/{trade}", context=sit(stranger.seat))
    expect(page.locator(".problem-status")).to_have_text("404")
    page = visit(f"/en/desk/contracts/{trade}", context=sit(firm.seat))
    expect(page.locator("#digest-says")).to_have_attribute("data-state", "good")
    page.evaluate(
        """() => {
            const form = document.getElementById("sign-form");
            form.elements.public.value = "11".repeat(32);
            form.elements.signature.value = "00".repeat(64);
            form.elements.digest.value = JSON.parse(document.getElementById("contract").dataset.contract).digest;
            form.submit();
        }"""
    )
    expect(page.locator("#trouble")).to_be_visible()
    assert firm.client.contract(trade).buyer_index is None
    visit.faults.clear()  # type: ignore[attr-defined]  # the refusals' own statuses
