"""Every page of every role, for every reader: axe finds nothing serious in it and it fits, in both languages, light and dark."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect
from starlette.routing import compile_path

from exchange.desensitization import department
from exchange.desensitization.policy.declaration import Declaration
from exchange.desensitization.reading.limits import Limits
from exchange.messages.market import MeterMessage, OfferMessage
from exchange.messages.tenders import CriterionMessage, ScoringRuleMessage
from exchange.web import DESKS, complaint, console, notices, sign_in
from exchange.web import PUBLIC as OPEN_TO_ALL
from exchange.web.vendor import FOLDER_OF_TESTS
from pricing.sealed_bids import HolderKey
from tests.web.people import Seat, seated
from tests.web.test_department import filed
from tests.web.test_subscriptions import metered, signed_by_both

pytestmark = pytest.mark.browser

DAY_US = 86_400_000_000
STEPS = ("risk_assessment", "authorization", "desensitization", "aggregation")
NO_PAGES = {
    "/desk/lots/{lot}/place",  # a part of a page, which its script fetches
    "/desk/receipts/{index}",  # files
    "/desk/invoices/sheet.csv",
    "/desk/tenders/{tender}/proposals/{code}",
    "/regulator/tenders/{tender}/proposals/{code}",
    "/regulator/record/bundle",
    "/desk/subscriptions/{subscription}/statements/{number}/sheet.csv",
    "/{rest:path}",  # where nothing is: below
}
PUBLIC = {
    path
    for path, _ in (*console.PAGES, *OPEN_TO_ALL, *sign_in.PAGES, *complaint.PAGES, *notices.PUBLIC)
    if not path.startswith("/live/")
} - NO_PAGES
SIGNED_IN = {page.path for page in DESKS} - NO_PAGES
SHAPES = {path: compile_path(path)[0] for path in PUBLIC | SIGNED_IN}

CARELESS = """() => {
  const all = (what) => [...document.querySelectorAll(what)];
  const ids = all("[id]").map((one) => one.id);
  const language = { zh: "zh-CN", en: "en" }[location.pathname.slice(1, 3)];
  return [
    ...(all("h1").length === 1 ? [] : ["has not one heading of the first level"]),
    ...(all("main, header.frame, body > footer").length === 3 ? [] : ["has not one head, one main part and one foot"]),
    ...(document.documentElement.lang === language ? [] : [`says that it speaks ${document.documentElement.lang}`]),
    ...ids.filter((id, place) => ids.indexOf(id) !== place).map((id) => `has the identifier ${id} twice`),
    ...all("main input:not([type=hidden]), main select, main textarea")
      .filter((one) => !one.labels?.length && !one.ariaLabel)
      .map((one) => `has a nameless field: ${one.outerHTML}`),
  ];
}"""
"""What a page of ours keeps to besides."""

SERIOUS = """async () => {
  const found = await axe.run({ preload: false, resultTypes: ['violations'] });
  return found.violations
    .filter((one) => ['serious', 'critical'].includes(one.impact))
    .map((one) => `${one.id}: ${one.nodes.map((node) => `${node.html} (${node.failureSummary})`).join('; ')}`);
}"""
LINKS = """() => [...document.querySelectorAll('a[href]')]
  .filter((link) => link.origin === location.origin && !link.hasAttribute('download'))
  .map((link) => link.pathname + link.search)"""
READERS: tuple[tuple[str, Literal["light", "dark"], tuple[int, int]], ...] = (
    ("zh", "light", (360, 1440)),
    ("en", "dark", (1440, 360)),
)
"""Words do not depend on colours, nor colours on words: each page is looked at once in each language and scheme, whether
it fits at each width, and by axe at the last: wide and light, and on a phone in the dark, where tables scroll."""


@dataclass
class Town:
    """A market where each kind of thing is there once, and who sits at its desks."""

    seats: dict[str, Seat]
    more: dict[str, list[str]]
    """Pages of a role that no link of its own pages leads to as things stand, with their identifiers."""


def settled(market: Any, tmp_path: Any) -> Town:
    """People of every role, and for each page something to show."""
    party, supplier = market.party("市气象局", "supplier")
    body, _ = market.party("主管部门", "governing_body")
    registry, registrar = market.party("登记中心", "registrar")
    reviewer = market.stack.enter_context(type(registrar)(market.url, vkey=market.administrator.vkey))
    reviewer.enrol(market.administrator.invite(registry, "复核员").token)

    def applied(title: str) -> str:
        evidence = {step: str(number) for number, step in enumerate(STEPS)}
        asset: str = market.asset(party, title, state="themed", evidence=evidence, code=None)
        application = supplier.apply(asset).outcome["application"]
        registrar.accept(application)
        reviewer.review(application)
        return asset

    holders = [market.party(f"持钥人{number}", "service_provider") for number in range(2)]
    overseer, inspector = market.party("市数据局", "regulator")
    holders.append((overseer, inspector))
    keys = [HolderKey.from_seed(bytes([number + 1]) * 32) for number in range(3)]
    for (_, holder), key in zip(holders, keys, strict=True):
        holder.publish_holder_key(key.public.hex())

    def tendered(title: str, price_weight_ppm: int) -> str:
        criterion = CriterionMessage(
            name="安全方案", weight_ppm=1_000_000 - price_weight_ppm, most_points=100
        )
        deadline_us = market.now_us() + 21 * DAY_US
        found: str = supplier.publish_tender(
            market.asset(party, title),
            OfferMessage(grant="licence", term_days=365, price_fen=1_000_000),
            ScoringRuleMessage(
                price_weight_ppm=price_weight_ppm, criteria=[criterion] * (price_weight_ppm < 1_000_000)
            ),
            holders=[whose for whose, _ in holders],
            threshold=2,
            deposit_fen=20_000,
            deadline_us=deadline_us,
            opens_us=deadline_us,
            terms="一年使用权",
        ).outcome["id"]
        return found

    buyers = market.buyers(3)
    opened = tendered("地下水位观测", 600_000)
    for number, buyer in enumerate(buyers):
        buyer.join_tender(
            opened, drafter=f"d{number}", agent=f"a{number}", manager=f"m{number}", account=f"b{number}"
        )
        buyer.bid_sealed(opened, 900_000 + number, f"{number:064x}")
    certified = applied("自动气象站观测")
    listing = metered(
        market, (party, supplier), "雷达基数据", MeterMessage(unit="megabyte", unit_price_micro=2_800)
    )
    used = buyers[0].subscribe(listing, 10**12).outcome["subscription"]
    signed_by_both(buyers[0].subscription(used).trade, supplier, buyers[0])
    supplier.record_usage(used, 123_456_789_012)
    market.administrator.move_clock(22 * DAY_US)
    while supplier.tender(opened).state == "published":
        time.sleep(0.1)
    for (_, holder), key in zip(holders[:2], keys, strict=False):
        holder.hand_shares(opened, key, at_us=market.now_us())
    while supplier.tender(opened).state == "opening":
        time.sleep(0.1)
    experts = [market.administrator.invite(holders[0][0], f"评委{number}") for number in range(5)]
    for expert in experts[1:]:
        market.stack.enter_context(type(supplier)(market.url)).enrol(expert.token)
    assessor = seated(market.url, experts[0].token, "assessor")
    supplier.appoint_assessors(opened, [expert.person for expert in experts])
    market.administrator.move_clock(8 * DAY_US)
    applied("雷达回波拼图")
    raw = tmp_path / "raw.csv"
    rows = [f"EWR,2026-01-{1 + n % 28:02d},{n % 17 - 3}.5,{40 + n % 50}" for n in range(120)]
    raw.write_text("\n".join(["station,observed,temperature,humidity", *rows]) + "\n")
    declared = supplier.declare_asset("闪电定位", "meteorology").outcome["asset"]
    filed(supplier, declared, department.scan(raw, Declaration(), bytes(32), Limits()))

    terms = OfferMessage(grant="licence", licences=10, term_days=365, price_fen=1_200_000)
    listing = supplier.offer_fixed_price(market.asset(party, "内涝热线工单"), terms).outcome["id"]
    lot = market.lot((party, supplier), "公交刷卡汇总")
    for number, buyer in enumerate(buyers[:2]):
        buyer.buy(listing)
        buyer.join_lot(lot)
        buyer.place_bid(lot, 1_000_000 + 50_000 * number)

    tendered("水位观测", 1_000_000)
    want = buyers[0].post_demand("逐小时客流", high_fen=5_000_000, term_days=365, open_days=90).outcome["id"]
    supplier.answer_demand(want, certified, "有其中一部分")
    while not buyers[0].usage_statements(used):  # the clock's hand makes it
        time.sleep(0.05)
    tracked = buyers[0].file_complaint("data", "字段说明不清").number

    def sits(whose: str, login: str) -> Seat:
        return seated(market.url, market.administrator.invite(whose, login).token, login)

    boss = market.administrator.me().person
    return Town(
        seats={
            "assessor": assessor,
            "admin": seated(market.url, market.administrator.console_link(boss).token, "founder"),
            "department": sits(party, "author"),
            "enterprise": sits(buyers[0].me().id, "trader"),
            "governing body": sits(body, "approver"),
            "registrar": sits(registry, "clerk"),
            "regulator": sits(overseer, "inspector"),
        },
        more={
            "public": [
                f"/certificates/{supplier.asset(certified).asset.code}",
                f"/complaints/{tracked}",
                "/enrol",
                "/regulator/sign-in",
            ],
            "department": [f"/desk/assets/{certified}/{page}" for page in ("appraise", "offer", "tender")],
            "enterprise": [f"/desk/tenders/{opened}/award"],
        },
    )


@contextmanager
def reading(browser: Browser, seat: Seat | None, scheme: Any) -> Iterator[Any]:
    """A browser in which somebody sits, or a stranger, with axe at hand on every page and the content policy in force."""
    with browser.new_context(color_scheme=scheme) as context:
        context.add_init_script(path=FOLDER_OF_TESTS / "axe.min.js")
        if seat is not None:
            context.add_cookies(seat.cookies())  # type: ignore[arg-type]
        yield context


def shape(target: str) -> str | None:
    """The path, with its parameters open, of a page's address without its language."""
    return next((path for path, regex in SHAPES.items() if regex.match(urlsplit(target).path)), None)


def wrongs(page: Page, widths: tuple[int, ...]) -> list[str]:
    """What is wrong with an open page."""
    found = []
    for width in widths:
        page.set_viewport_size({"width": width, "height": 900})
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            found.append(f"is {wide} px wide on a screen of {width} px")
    found += page.evaluate(CARELESS)
    found += page.evaluate(SERIOUS)
    return found


@pytest.mark.timeout(1800)
def test_no_page_of_any_role_has_a_serious_finding_or_overflows(
    market: Any, visit: Callable[..., Page], browser: Browser, tmp_path: Any
) -> None:
    town = settled(market, tmp_path)
    bad: list[str] = []
    seen: set[str] = set()
    for role in ("public", *town.seats):
        seat, pages = town.seats.get(role), SIGNED_IN if role in town.seats else PUBLIC
        start = {"public": "/", "regulator": "/regulator/"}.get(role, "/desk/")
        found: dict[str | None, str] = {}
        for language, scheme, widths in READERS:
            with reading(browser, seat, scheme) as context:
                page = visit(f"/{language}{start}", context=context)
                here = urlsplit(page.url)
                waiting = list(found.values()) or [here.path[3:], *town.more.get(role, ())]
                found = {shape(target): target for target in waiting}
                while waiting:
                    target = waiting.pop(0)
                    answer = page.goto(f"{market.url}/{language}{target}")
                    assert answer is not None
                    assert (role, target, answer.status) == (role, target, 200)
                    bad += [f"{role} {language} {scheme} {target} {wrong}" for wrong in wrongs(page, widths)]
                    for link in page.evaluate(LINKS):
                        path = shape(link[3:]) if link.startswith(f"/{language}/") else None
                        if path in pages and path not in found:
                            found[path] = link[3:]
                            waiting.append(link[3:])
        seen |= {path for path in found if path is not None}
    assert "\n\n".join(bad) == ""
    assert seen == PUBLIC | SIGNED_IN, "each page is to be led to, or named in `more`"


@pytest.mark.parametrize(("language", "scheme", "widths"), READERS)
def test_a_page_that_is_missing_or_refuses_a_form_is_as_readable(
    market: Any,
    visit: Callable[..., Page],
    browser: Browser,
    language: str,
    scheme: Any,
    widths: tuple[int, int],
) -> None:
    with reading(browser, None, scheme) as context:
        page = visit(f"/{language}/nothing/here", context=context)
        assert wrongs(page, widths) == []
        page.goto(f"{market.url}/{language}/sign-in")
        page.fill("#f-login", "nobody")
        page.fill("#f-password", "not the password")
        page.fill("#f-code", "000000")
        page.click("main form button[type=submit]")
        expect(page.locator("#trouble")).to_be_visible()
        assert wrongs(page, widths) == []
    faults = visit.faults  # type: ignore[attr-defined]
    assert [status in fault for status, fault in zip(("404", "401"), faults, strict=True)] == [True, True]
    faults.clear()


def test_what_is_hard_to_read_nameless_or_too_wide_would_be_found(
    market: Any, visit: Callable[..., Page], browser: Browser
) -> None:
    with reading(browser, None, "light") as context:
        page = visit("/en/sign-in", context=context)
        assert wrongs(page, (360,)) == []
        page.evaluate("document.querySelector('label').remove()")
        page.evaluate("document.querySelector('h1').style.color = '#ccc'")
        page.evaluate("document.querySelector('main').style.minWidth = '400px'")
        wide, *found = wrongs(page, (360,))
    assert "on a screen of 360 px" in wide
    assert sorted(one.partition(":")[0] for one in found) == [
        "color-contrast",
        "has a nameless field",
        "label",
    ]
