"""The README's pictures: each can be taken, of a market in the middle of its day and of a report; `make pictures` keeps them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from exchange.demo.tables import write_patients
from exchange.desensitization import department
from exchange.desensitization.policy.declaration import Declaration
from exchange.desensitization.reading.limits import Limits
from exchange.desensitization.report import html
from exchange.messages.assets import AssessmentMessage, DeclarationsMessage, ImpactMessage
from tests.conftest import PROJECT
from tests.web.conftest import PATIENCE_MS, Market
from tests.web.people import Seat, seated

pytestmark = pytest.mark.browser

LIMIT_BYTES = 300 * 1024
START_FEN, STEP_FEN = 1_000_000, 50_000


@dataclass(frozen=True)
class Scene:
    """A market in the middle of two auctions, and who looks at it."""

    market: Market
    lot: str
    asset: str
    enterprise: Seat
    approver: Seat
    regulator: Seat
    administrator: Seat


def furnish(market: Market, folder: Path) -> Scene:
    """Two lots on which five enterprises bid, a file that waits for its approval, and the seats of four people."""
    lots = [
        market.lot(market.party(supplier, "supplier"), title)
        for supplier, title in (
            ("市水务局", "城市内涝热线工单 Hotline calls about flooding"),
            ("市交通运输局", "公交到站记录 Bus arrivals"),
        )
    ]
    buyers = market.buyers(5)
    for lot, bids in zip(lots, (23, 14), strict=True):
        for buyer in buyers:
            buyer.join_lot(lot)
        for n in range(bids):
            # Steps that differ, so that the price path is one of an auction.
            buyers[(3 * n) % 5].place_bid(lot, START_FEN + STEP_FEN * (n + n * n // 7), f"bid-{lot}-{n}")

    party, client = market.party("市气象局", "supplier")
    raw = folder / "raw.csv"
    lines = ["station,observed,temperature,humidity"]
    lines += [f"EWR,2026-01-{1 + n % 28:02d},{n % 17 - 3}.5,{40 + n % 50}" for n in range(120)]
    raw.write_text("\n".join(lines) + "\n")
    scan = department.scan(raw, Declaration(), bytes(32), Limits())
    asset = client.declare_asset("自动气象站观测 Observations of weather stations", "meteorology").outcome[
        "asset"
    ]
    client.file_risk_assessment(
        asset,
        AssessmentMessage(
            raw_digest=scan.report["raw"]["digest"],
            policy_digest=scan.policy.digest(),
            policy=scan.policy.to_json(),
            report=scan.report,
            impacts=[ImpactMessage(harmed="public_interest", degree="ordinary", reason="泄露会损害公众信任")],
            declared=DeclarationsMessage(state_secret=False, trade_secret=False, privacy_consented=False),
            exempt_from_k=scan.policy.exempt_from_k,
        ),
    )

    def seat(party: str, name: str, login: str) -> Seat:
        return seated(market.url, market.administrator.invite(party, name).token, login)

    founder = market.administrator.console_link(market.administrator.me().person).token
    return Scene(
        market,
        lots[0],
        asset,
        seat(buyers[2].me().id, "竞买人", "bidder"),
        seat(party, "审批人", "approver"),
        seat(market.party("市数据局", "regulator")[0], "督察员", "inspector"),
        seated(market.url, founder, "founder"),
    )


def pictures(scene: Scene) -> Iterator[tuple[str, str, Seat | None]]:
    """Each picture's name, the page that it shows, and who looks."""
    yield "console.png", "/en/", None
    yield "console.zh.png", "/zh/", None
    yield "enterprise.png", f"/en/desk/lots/{scene.lot}", scene.enterprise
    yield "department.png", f"/zh/desk/approvals/{scene.asset}", scene.approver
    yield "regulator.png", f"/zh/regulator/timeline/{scene.lot}", scene.regulator
    yield "administrator.png", "/en/desk/health", scene.administrator


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the pictures go; `make pictures` keeps them."""
    return Path(os.environ.get("EXCHANGE_PICTURES", tmp_path))


def kept(page: Page, path: Path) -> None:
    """Take the picture, which the README shows, of what a page shows now."""
    page.screenshot(path=path)
    assert path.stat().st_size <= LIMIT_BYTES, path.name
    assert f"(docs/{path.name})" in (PROJECT / "README.md").read_text()


def test_the_readmes_pictures_of_the_console_can_be_taken_and_are_small(
    market: Market, browser: Browser, tmp_path: Path, folder: Path
) -> None:
    scene = furnish(market, tmp_path)
    for name, path, seat in pictures(scene):
        with browser.new_context(viewport={"width": 1280, "height": 860}) as context:
            if seat is not None:
                context.add_cookies(seat.cookies())  # type: ignore[arg-type]
            page = context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            answer = page.goto(market.url + path)
            assert answer is not None
            assert answer.status == 200, path
            _settled(page)
            kept(page, folder / name)


def test_the_picture_of_a_desensitization_report_can_be_taken_and_is_small(
    browser: Browser, tmp_path: Path, folder: Path
) -> None:
    scan = department.scan(write_patients(tmp_path).path, Declaration(), bytes(32), Limits())
    told = tmp_path / "report.html"
    told.write_text(html(scan.report))
    with browser.new_context(viewport={"width": 1000, "height": 820}) as context:
        page = context.new_page()
        page.goto(f"{told.as_uri()}#en")
        page.get_by_role("heading", name="Desensitization report").wait_for()
        kept(page, folder / "desensitization.png")


def _settled(page: Page) -> None:
    """Wait until what is live says so, the chart is drawn, and what glowed has faded."""
    for live in ("#seal", "#pulse"):
        if page.locator(live).count():
            state = "good" if live == "#seal" else "on"
            page.locator(f"{live}[data-state={state}]").wait_for()
    page.wait_for_timeout(1_200)
