"""A real exchange served over HTTP with a market on it, and a real browser that watches for faults."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from psycopg.types.json import Jsonb

from exchange.app import open_market, running, serve
from exchange.client import Exchange
from exchange.credentials import key_digest
from exchange.database import Addresses
from exchange.messages.market import OfferMessage
from exchange.parties import uscc_check_character
from exchange.settings import Settings
from exchange.tables import Asset

CHROMIUM = Path("/usr/bin/chromium")
MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
VENUE = "91440101MA5CHD1C1"
PATIENCE_MS = 120_000  # what is waited for comes or not; how soon is the machine's affair
expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Market:
    """A sandbox market over real HTTP, driven through the SDK; assets come ready registered and appraised."""

    url: str
    database_url: str
    administrator: Exchange
    stack: ExitStack
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def site(self) -> str:
        """The same under the name at which passkeys answer: they belong to a host's name, which no address of numbers is."""
        return self.url.replace("127.0.0.1", "localhost")

    def uscc(self) -> str:
        """A fresh unified social credit code with a true check character."""
        first = f"91440101{next(self.numbers):09d}"
        return first + uscc_check_character(first)

    def party(self, name: str, *roles: Any) -> tuple[str, Exchange]:
        """Admit an organisation with one person; gives the party and that person's client."""
        party = self.administrator.register_party(self.uscc(), name, roles).outcome["id"]
        client = self.stack.enter_context(Exchange(self.url, vkey=self.administrator.vkey))
        client.enrol(self.administrator.invite(party, f"{name}经办人").token)
        return party, client

    def asset(self, supplier: str, title: str, **told: Any) -> str:
        """A registered, appraised asset. How one gets there is other tests' affair: the rows are put in as they end."""
        number = next(self.numbers)
        asset = Asset(
            id=f"ast-{number:016x}",
            supplier=supplier,
            title=title,
            **{
                "code": f"SD440100-2026-{number:06d}",
                "summary": "",
                "kind": "city",
                "theme": "city_life",
                "grade": "general",
                "opening_declared": "conditional",
                "opening": "conditional",
                "opening_reason": "",
                "purposes": [],
                "qualified": False,
                "state": "registered",
                "evidence": {},
                "log_index": 0,
                **told,
            },
        )
        asset.words = asset.found_by()
        row = {
            name: Jsonb(value) if isinstance(value, dict) else value
            for name, value in asset.model_dump().items()
        }
        with psycopg.connect(self.database_url) as connection:
            connection.execute(
                f"INSERT INTO asset ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})",
                list(row.values()),
            )
            connection.execute(
                "INSERT INTO appraisal (id, asset, value_fen, digest, report, log_index)"
                " VALUES (%s, %s, 1000000, %s, '{}', 0)",
                (f"apr-{number:016x}", asset.id, "0" * 64),
            )
        return asset.id

    def now_us(self) -> int:
        """The market's clock."""
        return self.administrator.market().now_us

    def lot(self, supplier: tuple[str, Exchange], title: str, **offer: Any) -> str:
        """Open a lot at a start price of 10,000 yuan in steps of 500, and let the clock come to its opening."""
        party, client = supplier
        if "ceiling_fen" in offer:
            self.party("监管机构", "regulator")[1].commit_draw(bytes(32))
        terms = {"grant": "licence", "term_days": 365, "price_fen": 1_000_000, **offer}
        asset = self.asset(party, title)
        opens_us = self.now_us() + MINUTE_US
        lot: str = client.open_lot(
            asset,
            OfferMessage(**terms),
            increment_fen=50_000,
            deposit_fen=100_000,
            opens_us=opens_us,
            closes_us=opens_us + 24 * HOUR_US,
        ).outcome["id"]
        self.administrator.move_clock(MINUTE_US)
        return lot

    def buyers(self, count: int) -> list[Exchange]:
        """Enterprises with a million yuan each."""
        _, bank = self.party("结算银行", "bank")
        found = []
        for number in range(count):
            party, client = self.party(f"企业{number}", "buyer")
            bank.top_up(party, 100_000_000, f"ref-{party}")
            found.append(client)
        return found


@contextmanager
def served(database_url: str, owner_url: str | None, folder: Path) -> Iterator[Market]:
    """Open a sandbox market in a database and serve it from this process, worker and all."""
    listener = socket.create_server(("127.0.0.1", 0))
    settings = Settings(
        data_dir=folder,
        database_url=database_url,
        database_owner_url=owner_url,
        origin="exchange.example/web",
        sandbox=True,
    )
    token = secrets.token_urlsafe(32)

    servers: list[uvicorn.Server] = []

    async def open_and_serve() -> None:
        async with running(settings, work=False, make_keys=True) as house:
            code = VENUE + uscc_check_character(VENUE)
            await open_market(
                house, uscc=code, name="交易所", person="管理员", token_digest=key_digest(token)
            )
        await serve(settings, listener, started=servers.append)

    # In a thread: Playwright's own loop occupies the main one.
    thread = threading.Thread(target=lambda: asyncio.run(open_and_serve()))
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        while not (servers and servers[0].started):
            if not thread.is_alive():
                raise RuntimeError("the exchange did not start: see its log above")
            time.sleep(0.02)
        with ExitStack() as stack:
            administrator = stack.enter_context(Exchange(url))
            administrator.enrol(token)
            yield Market(url, database_url, administrator, stack)
    finally:
        for server in servers:
            server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture
def market(database: Addresses, tmp_path: Path) -> Iterator[Market]:
    """A fresh market for one test."""
    with served(database.app_url, database.owner_url, tmp_path / "exchange") as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; ended with the module, because Playwright's loop would be in the way of other tests'."""
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}: run `make test` as root, or apt-get install chromium fonts-noto-cjk")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


Open = Callable[..., Page]


@pytest.fixture
def visit(market: Market, browser: Browser) -> Iterator[Open]:
    """Open a page of the market as a new visitor; afterwards nothing may have gone wrong on any of them.

    Wrong are: a violated content policy, an error on the console or thrown, a request to another host.
    """
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def open_page(
        path: str, *, context: BrowserContext | None = None, url: str = market.url, **options: Any
    ) -> Page:
        host = urlsplit(url).netloc
        if context is None:
            context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on(
            "console", lambda said: faults.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "request",
            lambda request: (
                faults.append(f"request to {request.url}")
                if urlsplit(request.url).scheme in ("http", "https", "ws", "wss")
                and urlsplit(request.url).netloc != host
                else None
            ),
        )
        page.goto(url + path)
        return page

    open_page.faults = faults  # type: ignore[attr-defined]  # a test that provokes one looks at it and clears it
    yield open_page
    for context in contexts:
        context.close()
    assert not faults
