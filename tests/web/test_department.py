"""A department's pages: where its assets stand, and a file that another person approves, bound to what was shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import orjson
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from starlette.datastructures import UploadFile

from exchange.desensitization import department
from exchange.desensitization.certificate import Authorization
from exchange.desensitization.department import Scan
from exchange.desensitization.policy.declaration import Declaration
from exchange.desensitization.reading.limits import Limits
from exchange.desensitization.report import article
from exchange.messages.assets import AssessmentMessage, DeclarationsMessage, ImpactMessage
from exchange.messages.market import OfferMessage
from exchange.web.desk import _parts
from tests.web.people import Seat, seated

pytestmark = pytest.mark.browser

PIECE = """async ([digest, proof]) => {
  const target = `${document.getElementById("upload").dataset.target}?sha256=${digest}&offset=0&size=3`;
  const answer = await fetch(target, { method: "POST", body: "any", headers: { "X-Proof": proof } });
  return [answer.status, (await answer.json()).code];
}"""
"""Send a file of three bytes in one piece; status and code of the refusal."""


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw table with nobody in it, at the department."""
    path = tmp_path_factory.mktemp("inside") / "raw.csv"
    lines = ["station,observed,temperature,humidity"]
    lines += [f"EWR,2026-01-{1 + n % 28:02d},{n % 17 - 3}.5,{40 + n % 50}" for n in range(120)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def scan(raw: Path) -> Scan:
    """What the department's tool found in it."""
    return department.scan(raw, Declaration(), bytes(32), Limits())


def filed(client: Any, asset: str, scan: Scan, *, degree: Any = "ordinary") -> str:
    """File the scan's assessment through the API."""
    message = AssessmentMessage(
        raw_digest=scan.report["raw"]["digest"],
        policy_digest=scan.policy.digest(),
        policy=scan.policy.to_json(),
        report=scan.report,
        impacts=[ImpactMessage(harmed="public_interest", degree=degree, reason="a leak would cost trust")],
        declared=DeclarationsMessage(state_secret=False, trade_secret=False, privacy_consented=False),
        exempt_from_k=scan.policy.exempt_from_k,
    )
    paper: str = client.file_risk_assessment(asset, message).outcome["assessment"]
    return paper


def people(market: Any) -> tuple[Any, Seat, Seat]:
    """A department's client, and the seats of its two people: who writes files, and who approves them."""
    party, client = market.party("市气象局", "supplier")
    author = seated(market.url, client.console_link(client.me().person).token, "author")
    approver = seated(market.url, market.administrator.invite(party, "审批人").token, "approver")
    return client, author, approver


def sitting(browser: Browser, seat: Seat, **options: Any) -> BrowserContext:
    """A browser in which somebody sits."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    context.add_cookies(seat.cookies())  # type: ignore[arg-type]
    return context


def test_a_second_person_approves_what_was_shown_and_nobody_the_own_file(
    market: Any, visit: Callable[..., Page], browser: Browser, scan: Scan
) -> None:
    client, author, approver = people(market)
    asset = client.declare_asset("自动气象站观测", "meteorology").outcome["asset"]
    first = filed(client, asset, scan)
    path = f"/zh/desk/approvals/{asset}"
    with sitting(browser, approver) as mine, sitting(browser, author) as theirs:
        page = visit("/zh/desk/approvals", context=mine)
        expect(page.locator("tbody tr")).to_contain_text("等您审批")
        page.get_by_role("link", name="自动气象站观测").click()
        expect(page.locator("#changed ~ .hint")).to_contain_text("第一次")
        newer = filed(client, asset, scan, degree="serious")
        page.locator("button[value=approve]").click()  # of what is not the newest any more
        expect(page.locator("#trouble")).to_contain_text("新的评估")
        expect(page.locator("ins")).to_have_text(["重要数据"])  # and what changed since is shown at once
        assert client.asset(asset).approvals == []

        own = visit(path, context=theirs)
        expect(own.locator(".notice")).to_contain_text("另一人")
        expect(own.locator("button[value=approve]")).to_have_count(0)
        with httpx.Client(base_url=market.url, headers=author.headers()) as http:
            proof = http.get(path).text.split('name="proof" value="')
            assert len(proof) == 1  # no form at all: one that is made up is refused on the record
            token = http.get("/zh/desk/keys").text.split('name="proof" value="')[1][:64]
            form = {"do": "decide", "proof": token, "identifier": "w-1", "assessment": newer}
            answer = http.post(path, data={**form, "decision": "approve"})
            assert (answer.status_code, "不得自批" in answer.text) == (422, True)
        assert newer != first

        page.locator("button[value=approve]").click()
        expect(page.locator(".notice[data-state=good]")).to_contain_text("可在内网")
        expect(page.locator(".plain li").first).to_contain_text("审批人")
        own.goto(f"{market.url}/en/desk/assets")
        expect(own.locator("article .stages [data-state=done]")).to_have_count(2)
        expect(own.locator("article .next-step")).to_contain_text("Desensitize inside")
        own.goto(f"{market.url}/en/desk/assets/{asset}/report")
        expect(own.locator(".scanned svg").first).to_be_visible()
        assert own.locator("h1").count() == 1
        visit.faults.clear()  # type: ignore[attr-defined]  # the browser reports refused requests


def test_one_form_brings_an_asset_and_a_second_one_its_product_up_to_the_registrar(
    market: Any, visit: Callable[..., Page], browser: Browser, raw: Path, scan: Scan, tmp_path: Path
) -> None:
    client, author, approver = people(market)
    report = tmp_path / "report.json"
    report.write_bytes(orjson.dumps(scan.report))
    with sitting(browser, author, viewport={"width": 360, "height": 800}) as mine:
        page = visit("/en/desk/register", context=mine)
        page.fill("#f-title", "Weather stations")
        page.fill("#f-harm_reason", "a leak would cost trust")
        page.set_input_files("#f-report", raw)  # the raw table itself is no report, and goes nowhere
        page.click("main form button[type=submit]")
        expect(page.locator("#wrong-report")).to_be_visible()
        assert page.input_value("#f-title") == "Weather stations"
        assert list(client.assets(supplier=client.me().id)) == []
        for name in ("state_secret", "trade_secret"):
            page.check(f"input[name={name}][value=no]")
        page.set_input_files("#f-report", report)
        used = page.input_value("main form [name=identifier]")
        page.click("main form button[type=submit]")
        expect(page.locator(".notice[data-state=good]")).to_contain_text("another person")
        asset = page.url.partition("/desk/assets/")[2].partition("?")[0]
        page.wait_for_load_state()  # without its style sheet a page is as wide as its longest line
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        with sitting(browser, approver) as other:
            page_of_two = visit(f"/en/desk/approvals/{asset}", context=other)
            page_of_two.locator("button[value=approve]").click()
            expect(page_of_two.locator(".notice[data-state=good]")).to_contain_text("authorized")
        granted = client.asset(asset).authorizations[0]
        made, certificate = tmp_path / "product.parquet", tmp_path / "certificate.json"
        department.apply(
            raw,
            scan.policy,
            Authorization(
                granted.id, asset, granted.raw_digest, granted.policy_digest, granted.exempt_from_k
            ),
            salt=bytes(32),
            key=bytes(32),
            product=made,
            certificate=certificate,
            limits=Limits(),
        )
        page.reload()
        page.set_input_files("#f-certificate", certificate)
        page.set_input_files("#f-product", made)
        assert page.evaluate(PIECE, ["ab" * 32, ""]) == [403, "form.stale"]
        assert page.evaluate(PIECE, ["ab" * 32, page.input_value("[name=proof]")]) == [422, "upload.digest"]
        assert page.evaluate(PIECE, ["nothing", page.input_value("[name=proof]")])[0] == 400
        begun: list[int] = []
        cut = True

        def line(route: Route) -> None:
            """Cut from the third piece on."""
            at = parse_qs(urlsplit(route.request.url).query).get("offset")
            begun.extend(map(int, at or ()))
            if cut and len(begun) > 2:
                route.abort()
            else:
                route.continue_()

        page.route("**/desk/pieces?*", line)
        page.evaluate("document.getElementById('upload').dataset.piece = '700'")
        page.select_option("#f-theme", "weather")
        page.evaluate("used => document.querySelector('#path ~ form [name=identifier]').value = used", used)
        page.click("#path ~ form button[type=submit]")
        panel = page.locator("#upload")
        expect(panel).to_contain_text("The line is cut")
        panel.get_by_role("button", name="Halt").click()
        expect(panel).to_contain_text("Halted")
        cut = False
        panel.get_by_role("button", name="Go on").click()
        expect(page.locator("#trouble")).to_be_visible()  # nothing was decided, and what was sent stays
        sent = len(begun)
        page.goto(f"{market.url}/en/desk/assets/{asset}")
        page.set_input_files("#f-certificate", certificate)
        page.set_input_files("#f-product", made)
        page.select_option("#f-theme", "weather")
        page.click("#path ~ form button[type=submit]")
        expect(page.locator(".notice[data-state=good]")).to_contain_text("registrar")
        expect(page.locator(".stages [data-state=done]")).to_have_count(5)
        assert len(begun) == sent
        end = made.stat().st_size
        assert sorted({*begun}) == list(range(0, end, 700))
        assert begun[:3] == [0, 700, 1400]
        assert begun.count(0) == begun.count(700) == 1, "what had arrived is not sent again"
        visit.faults.clear()  # type: ignore[attr-defined]


def test_the_wizard_shows_each_rule_previews_the_split_and_publishes(
    market: Any, visit: Callable[..., Page], browser: Browser
) -> None:
    party, client = market.party("市气象局", "supplier")
    seat = seated(market.url, client.console_link(client.me().person).token, "author")
    asset = market.asset(party, "自动气象站观测")  # appraised at 10,000 yuan
    with sitting(browser, seat) as mine:
        page = visit(f"/zh/desk/assets/{asset}/offer", context=mine)
        expect(page.locator("#f-price ~ .hint cite")).to_contain_text("法释〔2016〕18号")
        page.fill("#f-price", "6999.99")
        page.fill("#f-deposit", "700")
        page.fill("#f-increment", "100")
        page.fill("#f-opens", "2100-01-01T00:00")
        page.fill("#f-closes", "2100-01-02T00:00")
        page.click("#terms ~ form button[type=submit]")
        expect(page.locator("#trouble")).to_contain_text("起拍价低于评估值")
        page.fill("#f-price", "7000")
        page.click("#terms ~ form button[type=submit]")
        expect(page.locator("#preview ~ .steps")).to_contain_text("70.00 %")
        expect(page.locator("svg.flow")).to_contain_text("7,070.00")  # with the buyer's fee of 1 %
        assert list(client.lots()) == []  # a preview offers nothing
        page.click("#preview ~ form button[type=submit]")
        expect(page.locator(".notice[data-state=good]")).to_contain_text("已挂牌")
        expect(page.locator(".next-step")).to_contain_text("已挂牌")
        visit.faults.clear()  # type: ignore[attr-defined]


def test_the_wizard_offers_a_price_that_comes_later_and_one_by_use_and_previews_each_as_it_is(
    market: Any, visit: Callable[..., Page], browser: Browser
) -> None:
    party, client = market.party("市气象局", "supplier")
    seat = seated(market.url, client.console_link(client.me().person).token, "author")
    agreed, used = (market.asset(party, title) for title in ("雷达基数据", "闪电定位接口"))
    with sitting(browser, seat) as mine:
        page = visit(f"/zh/desk/assets/{agreed}/offer", context=mine)
        expect(page.locator("#terms ~ form legend cite").first).to_contain_text("国发〔2011〕38号")
        page.check("input[value=negotiated]")
        expect(page.locator("#f-deposit")).to_be_hidden()
        page.fill("#f-licences", "2")
        page.fill("#f-ceiling", "15000")
        page.click("#terms ~ form button[type=submit]")
        expect(page.locator("#preview ~ .steps")).to_contain_text("协商价格")
        expect(page.locator("#preview ~ .steps")).to_contain_text("发改价格〔2025〕65号")
        expect(page.locator("#preview ~ .hint").first).to_contain_text("尚未商定")
        expect(page.locator("svg.flow")).to_have_count(0)  # no price, so no money to follow
        page.click("#preview ~ form button[type=submit]")
        expect(page.locator(".notice[data-state=good]")).to_contain_text("已挂牌")

        page.goto(f"{market.url}/zh/desk/assets/{used}/offer")
        page.check("input[value=metered]")
        expect(page.locator("#f-price")).to_be_hidden()
        page.fill("#f-licences", "20")
        page.fill("#f-unit_price", "0.0028005")
        page.fill("#f-unit_ceiling", "0.0028")
        page.click("#terms ~ form button[type=submit]")
        expect(page.locator("#f-unit_price")).to_have_attribute("aria-invalid", "true")  # seven decimals
        page.fill("#f-unit_price", "0.002801")
        page.click("#terms ~ form button[type=submit]")
        expect(page.locator("#wrong-unit_price_micro")).to_contain_text("单价高于单位限价")
        expect(page.locator("#trouble .trouble-rule").first).to_contain_text("发改价格〔2025〕65号")
        page.fill("#f-unit_price", "0.0028")
        page.click("#terms ~ form button[type=submit]")
        expect(page.locator("svg.flow")).to_contain_text("2,828.00")  # a million calls, with the buyer's fee
        assert client.listings()[0].mode == "negotiated"  # a preview offers nothing
        page.click("#preview ~ form button[type=submit]")
        expect(page.locator(".notice[data-state=good]")).to_contain_text("已挂牌")
        found = {one.mode: one for one in client.listings()}
        assert (found["negotiated"].price_fen, found["negotiated"].ceiling_fen) == (None, 1_500_000)
        assert (found["metered"].unit, found["metered"].unit_price_micro) == ("call", 2_800)
        assert (found["metered"].price_fen, found["metered"].ceiling_micro) == (None, 2_800)
        visit.faults.clear()  # type: ignore[attr-defined]  # the refusals' own statuses


def test_a_report_with_markup_in_it_is_shown_without_any(scan: Scan) -> None:
    wicked = "<img src=x onerror=alert(1)>"
    before = {**scan.report["before"], "k": wicked}
    drawn = article({**scan.report, "before": before, "engine": "'>" + wicked}, "en")
    assert "<img" not in drawn
    assert "＜img" in drawn
    with pytest.raises(ValueError, match="no report"):
        article({"policy": {}}, "zh")


def test_a_form_with_files_is_read_as_it_was_sent_and_nothing_else_is_one() -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="title"\r\n\r\n\xe5\xb8\x82\r\n'
        b'--b\r\ncontent-disposition: form-data; name="file"; filename="a\xff.bin"\r\n\r\n\x00\r\n\xff\r\n--b--\r\n'
    )
    title, (name, file) = _parts("multipart/form-data; boundary=b", body)
    assert title == ("title", "市")
    assert isinstance(file, UploadFile)
    assert (name, file.file.read()) == ("file", b"\x00\r\n\xff")
    for broken in (b"", b"--b", body[:-8], body.replace(b'name="title"', b"")):
        with pytest.raises(ValueError, match="part"):
            _parts("multipart/form-data; boundary=b", broken)


def test_a_department_sees_its_lot_live_and_answers_what_buyers_asked_and_found(
    market: Any, visit: Callable[..., Page], browser: Browser
) -> None:
    party, client = market.party("市水务局", "supplier")
    market.lot(market.party("市交通运输局", "supplier"), "公交到站记录")
    lot = market.lot((party, client), "城市内涝热线工单")
    seat = seated(market.url, client.console_link(client.me().person).token, "author")
    bidder, _ = market.buyers(2)
    bidder.join_lot(lot)
    terms = OfferMessage(grant="licence", licences=3, term_days=365, price_fen=120_000)
    listing = client.offer_fixed_price(market.asset(party, "水位观测", opening="open"), terms).outcome["id"]
    bidder.ask_question(listing, "数据更新到哪一天？")
    licence = bidder.buy(listing).outcome["voucher"]["licence"]
    found = bidder.ask_correction(licence, "第三列单位有误", column="level").outcome["id"]
    with sitting(browser, seat) as context:
        page = visit("/zh/desk/selling", context=context)
        expect(page.locator("#selling tbody tr")).to_have_count(1)
        page.evaluate("window.neverReloaded = true")
        expect(page.locator("#pulse")).to_have_attribute("data-state", "on")
        bidder.place_bid(lot, 1_000_000)
        expect(page.locator("#selling tbody tr")).to_contain_text("10,000.00")
        assert page.evaluate("window.neverReloaded")
        assert page.locator("#selling").count() == 1  # the part alone came, not a page within the page
        asked = page.locator("section[aria-labelledby=questions] article")
        expect(asked).to_contain_text("数据更新到哪一天")
        asked.locator("textarea").fill("更新至上月末。")
        asked.locator("button[type=submit]").click()
        expect(page.locator(".notice[data-state=good]")).to_contain_text("答复已公开")
        assert [one.answer for one in bidder.questions(listing)] == ["更新至上月末。"]
        wrong = page.locator("section[aria-labelledby=corrections] article")
        expect(wrong).to_contain_text("第三列单位有误")
        wrong.locator("textarea").fill("已核实，将在下一版更正。")
        wrong.locator("button[type=submit]").click()
        expect(page.locator(".notice[data-state=good]")).to_contain_text("买方已收到")
        assert [(one.id, one.state) for one in bidder.corrections()] == [(found, "accepted")]
        narrow = visit("/en/desk/selling", context=context)
        narrow.set_viewport_size({"width": 360, "height": 800})
        assert narrow.evaluate("document.documentElement.scrollWidth") <= 360
        expect(narrow.locator("section[aria-labelledby=corrections] .empty")).to_be_visible()
