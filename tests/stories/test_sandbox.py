"""The story of the developer: a private market from one call, which shows that it is one, and which production is not."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from exchange.client import AsyncExchange, Exchange, NotFound, SandboxUnavailable
from exchange.client import sandbox as client_sandbox
from exchange.client.statement import read_statement
from exchange.database import Addresses
from exchange.registration.path import STEPS
from tests.stories.conftest import HOUR_US, ServerThread, Venue, opened

HEADER = "exchange-sandbox"


@contextmanager
def raw(venue: Venue, request: bytes) -> Iterator[bytes]:
    """What the server answers to bytes that are no HTTP."""
    with socket.create_connection(("127.0.0.1", venue.server.port), 10) as line:
        line.sendall(request)
        yield line.recv(65536)


def answers(venue: Venue) -> dict[str, httpx.Response]:
    """One answer of each kind that a server gives."""
    secret = venue.administrator.calls.wire.key
    bid = {"client_bid_id": "b", "price_fen": "1"}
    with httpx.Client(base_url=venue.server.url, headers={"Authorization": f"Bearer {secret}"}) as http:
        with http.stream("GET", "/v1/events") as stream:
            next(stream.iter_raw())
        return {
            "read": http.get("/v1/market"),
            "known": http.get("/v1/market", headers={"If-None-Match": "*"}),
            "nothing": http.get("/v1/nothing"),
            "form": http.post("/v1/lots/lot-1/bids", json={}),
            "swift": http.post("/v1/lots/lot-1/bids", json=bid),
            "page": http.get("/zh/"),
            "file": http.get("/static/console.css"),
            "stream": stream,
        }


def test_every_answer_of_a_sandbox_says_that_it_is_one(venue: Venue) -> None:
    told = answers(venue)
    assert {name: one.headers.get(HEADER) for name, one in told.items()} == dict.fromkeys(told, "true")
    assert {one.status_code for one in told.values()} >= {200, 304, 400, 404}
    with raw(venue, b"no http at all\r\n\r\n") as said:
        assert b"exchange-sandbox: true" in said.lower()
    assert 'class="sandbox"' in told["page"].text
    assert "/v1/sandbox/clock" in httpx.get(f"{venue.server.url}/openapi.json", timeout=60).json()["paths"]


def test_production_has_neither_the_banner_nor_the_clock(database: Addresses, tmp_path: Path) -> None:
    with opened(tmp_path / "exchange", database, ServerThread, sandbox=False) as venue:
        told = answers(venue)
        assert {name: one.headers.get(HEADER) for name, one in told.items()} == dict.fromkeys(told)
        assert 'class="sandbox"' not in told["page"].text
        contract = httpx.get(f"{venue.server.url}/openapi.json", timeout=60).json()
        assert not [path for path in contract["paths"] if "sandbox" in path]
        with pytest.raises(NotFound) as refused:
            venue.administrator.move_clock(HOUR_US)
        assert refused.value.code == "http.404"


def test_without_the_server_side_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else found(name))
    with (
        pytest.raises(SandboxUnavailable, match=r"uvicorn missing.*pip install data-asset-exchange"),
        Exchange.sandbox(),
    ):
        pytest.fail("it started")


def test_a_sandbox_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))  # where no Python is
    with (
        pytest.raises(SandboxUnavailable, match=r"(?s)did not start: .*encodings.*run `exchange sandbox`"),
        Exchange.sandbox(),
    ):
        pytest.fail("it started")


def test_a_developer_trades_in_a_market_of_ones_own_that_leaves_nothing_behind() -> None:
    with Exchange.sandbox() as sandbox:
        folder, url = Path(sandbox.message.folder), sandbox.url
        market = sandbox.enterprise.market()
        assert (market.sandbox, market.vkey) == (True, sandbox.vkey)
        # Sample assets took the four steps of production, and their certificates hold.
        for asset in sandbox.assets:
            registered = sandbox.regulator.asset(asset).certificate
            assert registered is not None
            assert set(sandbox.regulator.certificate(registered.code).evidence) == set(STEPS)
        # A bid, a purchase, money that takes time, and a day that passes at once.
        sandbox.enterprise.join_lot(sandbox.lot)
        price_fen = sandbox.enterprise.lot(sandbox.lot).start_price_fen
        sandbox.enterprise.place_bid(sandbox.lot, price_fen)
        assert sandbox.enterprise.buy(sandbox.listing).outcome["voucher"]["buyer"] == sandbox.party(
            "enterprise"
        )
        before = sandbox.rival.me().available_fen or 0
        sandbox.bank.pay_in(sandbox.party("rival"), 7_00, after_us=HOUR_US)
        assert sandbox.rival.me().available_fen == before
        # From the shell, with the file that lies there for it.
        script = (
            f". {folder}/rival.env; exchange top-up 3;"
            f" . {folder}/administrator.env; exchange clock 25h; . {folder}/rival.env; exchange withdraw 1.00"
        )
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euc", script],
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        sandbox.bank.turn()
        assert sandbox.rival.me().available_fen == before + 7_00 + 3_00 - 1_00
        deadline = time.monotonic() + 30
        while not sandbox.enterprise.lot(sandbox.lot).settled:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert {licence.asset for licence in sandbox.enterprise.licences()} == set(sandbox.assets[:2])
        # The bank's statements agree, and the same market can be awaited.
        assert sandbox.bank.balance_fen() > 0
        asyncio.run(_awaited(sandbox))
        statements = sorted((folder / "bank" / "book").glob("*.csv"))
        with sandbox.client("bank") as clerk:
            came = [clerk.import_statement(read_statement(one)).outcome["state"] for one in statements]
        assert came
        assert set(came) == {"agreed"}
    assert not folder.exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


async def _awaited(sandbox: Any) -> None:
    async with AsyncExchange(sandbox.url, sandbox.key("enterprise"), sandbox.vkey) as market:
        assert (await market.me()).id == sandbox.party("enterprise")
    bank = client_sandbox.AsyncSandboxBank(sandbox.message.bank_url)
    await bank.pay_in(sandbox.party("rival"), 1_00, after_us=0)
    assert (await bank.statement()).closing_fen == await bank.balance_fen()
    await bank.close()


@pytest.mark.drill
@pytest.mark.anyio
async def test_a_sandbox_can_be_awaited() -> None:
    async with AsyncExchange.sandbox() as sandbox:
        await sandbox.enterprise.join_lot(sandbox.lot)
        lot = await sandbox.enterprise.lot(sandbox.lot)
        assert (await sandbox.enterprise.place_bid(sandbox.lot, lot.start_price_fen)).index > 0
        await sandbox.bank.pay_in(sandbox.party("rival"), 5_00, after_us=0)
        assert ((await sandbox.rival.me()).available_fen or 0) % 10_00 == 5_00
