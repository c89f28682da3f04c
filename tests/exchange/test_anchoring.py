"""Anchors followed on real chains: what is due, what a chain does to them, and what is told when something is amiss."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import uvicorn
from fastapi import FastAPI

import exchange.api
import exchange.web
from exchange import oversight
from exchange.anchoring import ALARM_S, AWAY_S, STUCK_S, Anchoring
from exchange.api.doorway import Callers
from exchange.database import Addresses, driver
from exchange.streams import Streams
from ledger.anchor import GWEI, Anchor, address_of, anchor_reader, deploy, new_key
from ledger.anchors import Watch, watch
from ledger.audit import audit
from ledger.errors import AnchorError, UnansweredError
from tests.exchange._notes import ANNA, Note, jots
from tests.exchange.conftest import House
from tests.ledger.anvil.node import Anvil, anvil
from tests.ledger.faulty import Faulty

pytestmark = pytest.mark.anyio

SECOND_US = 1_000_000
EVERY_S = 600


@dataclass
class Chained:
    """An exchange with a chain: each `turn` looks once, as if the time between two looks had passed."""

    house: House
    anchoring: Anchoring

    async def turn(self, after_s: float = 120.0) -> None:
        """Let time pass, and look."""
        self.house.now_us += int(after_s * SECOND_US)
        await self.anchoring.turn()

    async def rows(self) -> list[dict[str, Any]]:
        """The anchors as anybody sees them."""
        found: list[dict[str, Any]] = (await self.house.http.get("/v1/anchors")).json()
        return found

    async def states(self) -> list[str]:
        """Their states, oldest first."""
        return [row["state"] for row in await self.rows()]

    async def seen(self) -> Watch:
        """What is remembered of the chain."""

        async def ask(session: Any) -> Watch | None:
            return await watch(await driver(session))

        found = await self.house.gate.read(ask)
        assert found is not None
        return found

    async def amiss(self) -> str | None:
        """What is amiss with the chain now."""
        trouble = (await self.seen()).trouble
        return None if trouble is None else trouble.trouble

    async def grow(self, by: int = 1) -> None:
        """Add entries to the log."""
        await asyncio.gather(*(jot(self.house) for _ in range(by)))


async def jot(house: House) -> None:
    """Add one entry to the log."""
    await house.gate.perform(jots, Note("x"), caller=ANNA, key=f"k{next(house.numbers)}")


def chained(house: House, url: str, key: bytes, contract: str, **more: Any) -> Chained:
    options = {"every_s": EVERY_S, "confirmations": 3, **more}
    return Chained(
        house,
        Anchoring(
            house.gate.database, Anchor(url, contract, key), house.gate.clock, house.gate.confirm, **options
        ),
    )


@pytest.fixture
def node() -> Iterator[Anvil]:
    with anvil() as found:
        yield found


@pytest.fixture
async def on_anvil(house: House, node: Anvil) -> Callable[..., Chained]:
    node.ask("evm_setAutomine", True)
    contract = await asyncio.to_thread(deploy, node.url, node.key)
    node.ask("evm_setAutomine", False)
    return lambda **more: chained(house, node.url, node.key, contract, **more)


@pytest.fixture
def faulty() -> Iterator[Faulty]:
    found = Faulty()
    yield found
    found.stop()


async def test_an_anchor_is_pending_then_confirmed_then_final_and_the_bundle_carries_it(
    node: Anvil, on_anvil: Callable[..., Chained], tmp_path: Path
) -> None:
    here = on_anvil()
    await here.turn()
    (row,) = await here.rows()
    assert (row["state"], row["size"], row["block"]) == ("pending", str(await here.house.log_size()), None)
    node.mine()
    await here.turn()
    assert await here.states() == ["confirmed"]
    node.mine(2)
    await here.turn()
    (row,) = await here.rows()
    assert (row["state"], row["reorganised"]) == ("final", "0")
    assert (await here.seen()).size == int(row["size"])
    bundle = tmp_path / "bundle.zip"
    await here.house.gate.read(oversight.export, bundle, here.house.gate.signer)
    verdict = await asyncio.to_thread(audit, bundle, [here.house.gate.signer.vkey], anchor_reader(node.url))
    assert verdict.ok, verdict.explain("en")
    assert verdict.check("anchors").status == "passed"


async def test_every_anchor_after_the_first_takes_at_most_36000_gas_by_the_receipt(
    node: Anvil, on_anvil: Callable[..., Chained]
) -> None:
    here = on_anvil()
    for _ in range(3):
        await here.grow(300)
        await here.turn(EVERY_S)
        node.mine()
        await here.turn()
    first, *later = [int(row["gas_used"]) for row in await here.rows()]
    assert len(later) == 2
    assert max(later) <= 36_000 < first


async def test_a_checkpoint_is_due_after_its_time_or_its_entries_and_only_when_the_log_grew(
    node: Anvil, on_anvil: Callable[..., Chained]
) -> None:
    here = on_anvil(every_entries=50)
    await here.turn()
    node.mine()
    await here.turn(EVERY_S + 1)
    await here.turn(EVERY_S + 1)
    assert len(await here.rows()) == 1  # nothing new
    await here.grow()
    await here.turn(31)
    assert len(await here.rows()) == 2  # the time is over
    node.mine()
    await here.turn(31)
    await here.grow(49)
    await here.turn(31)
    assert len(await here.rows()) == 2
    await here.grow()
    await here.turn(31)
    assert len(await here.rows()) == 3  # fifty entries


async def test_a_clock_put_back_by_a_day_delays_no_anchor(
    node: Anvil, on_anvil: Callable[..., Chained]
) -> None:
    here = on_anvil()
    await here.turn()
    node.mine()
    await here.turn()
    await here.grow()
    await here.turn(-86_400)
    assert await here.states() == ["confirmed", "pending"]
    await here.grow()
    await here.turn(EVERY_S - 1)
    assert len(await here.rows()) == 2  # and the schedule goes on from there
    node.mine()
    await here.turn()
    assert await here.states() == ["confirmed", "confirmed", "pending"]


async def test_five_blocks_taken_back_take_their_anchors_along_and_all_come_back(
    node: Anvil, on_anvil: Callable[..., Chained]
) -> None:
    here = on_anvil(confirmations=12)
    node.mine(3)
    for _ in range(2):
        await here.grow()
        await here.turn(EVERY_S)
        node.mine(2)
        await here.turn()
    assert await here.states() == ["confirmed", "confirmed"]
    assert here.anchoring.anchor.read()[0] == await here.house.log_size()
    await asyncio.to_thread(node.reorganise, 5)
    assert here.anchoring.anchor.read()[0] == 0
    await here.turn()
    assert await here.states() == ["pending", "pending"]
    node.mine()
    await here.turn()
    rows = await here.rows()
    assert [(row["state"], row["reorganised"]) for row in rows] == [("confirmed", "1")] * 2
    assert here.anchoring.anchor.read()[0] == await here.house.log_size()
    node.mine(12)
    await here.turn()
    assert await here.states() == ["final", "final"]


async def test_even_a_final_anchor_that_a_chain_takes_back_is_noticed_and_comes_back(
    node: Anvil, on_anvil: Callable[..., Chained], caplog: pytest.LogCaptureFixture
) -> None:
    here = on_anvil(confirmations=1)
    node.mine(5)
    await here.turn()
    node.mine()
    await here.turn()
    assert await here.states() == ["final"]
    await asyncio.to_thread(node.reorganise, 3)
    with caplog.at_level(logging.ERROR):
        await here.turn()
    assert any("took back the final anchor" in record.message for record in caplog.records)
    recorded = (await here.seen()).troubles
    assert [(one.trouble, one.ended_us == one.began_us) for one in recorded] == [("taken_back", True)]
    node.mine()
    await here.turn()
    assert [(row["state"], row["reorganised"]) for row in await here.rows()] == [("final", "1")]


async def test_a_number_taken_by_another_transaction_of_the_key_is_left_for_the_next(
    node: Anvil, on_anvil: Callable[..., Chained], caplog: pytest.LogCaptureFixture
) -> None:
    here = on_anvil()
    await here.turn()
    (before,) = await here.rows()
    node.ask("anvil_dropTransaction", before["tx"])
    clash = Anchor(node.url, here.anchoring.anchor.address, node.key, settle_s=1)
    with pytest.raises(UnansweredError):  # it waits: nothing is mined yet
        await asyncio.to_thread(clash.propose_owner, address_of(new_key()))
    node.mine()
    await here.turn()
    assert "another transaction took number" in caplog.text
    node.mine()
    await here.turn()
    (after,) = await here.rows()
    assert (after["state"], after["tx"] != before["tx"]) == ("confirmed", True)


async def test_an_anchor_that_no_block_takes_pays_more_until_one_does_and_never_above_the_limit(
    node: Anvil, on_anvil: Callable[..., Chained]
) -> None:
    here = on_anvil(price_limit_gwei=50, confirmations=30)
    await here.turn()
    (cheap,) = await here.rows()
    node.price(40 * GWEI)
    node.mine()
    await here.turn(STUCK_S + 1)
    (dearer,) = await here.rows()
    assert (dearer["state"], dearer["tx"] != cheap["tx"]) == ("pending", True)
    node.mine()
    await here.turn()
    assert await here.states() == ["confirmed"]

    await here.grow()
    node.price(GWEI)
    node.mine()
    await here.turn(EVERY_S)
    node.price(90 * GWEI)
    node.mine()
    with pytest.raises(AnchorError):  # this node forgets what pays too little, and does not take it again
        await here.turn(STUCK_S + 1)
    assert await here.amiss() == "stuck"
    assert await here.states() == ["confirmed", "pending"]
    node.price(GWEI)
    node.mine()
    await here.turn()
    node.mine()
    await here.turn()
    assert await here.states() == ["confirmed", "confirmed"]
    assert await here.amiss() is None


async def test_a_node_away_for_an_hour_is_asked_less_and_less_told_and_then_the_anchor_comes(
    house: House, faulty: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    here = chained(house, faulty.url, faulty.key, await asyncio.to_thread(deploy, faulty.url, faulty.key))
    faulty.ignore = {"eth_"}
    began_us, asked = house.now_us, 0
    while house.now_us < began_us + 3_600 * SECOND_US:
        before = len(faulty.seen)
        try:
            await here.turn(1)
        except UnansweredError:
            assert len(faulty.seen) > before
        asked += len(faulty.seen) > before
    assert 3_600 / AWAY_S - 1 < asked < 3_600 / AWAY_S + 8
    seen = await here.seen()
    assert seen.trouble is not None
    assert (seen.trouble.trouble, seen.size) == ("unreachable", None)
    assert seen.trouble.began_us < began_us + 2 * SECOND_US
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.message.startswith("nothing is anchored for") for record in told] == [True]
    assert int(ALARM_S) <= int(told[0].message.split()[4]) <= ALARM_S + AWAY_S
    faulty.ignore = set()
    await here.turn(AWAY_S)
    assert await here.states() == ["confirmed"]
    told_all = (await here.house.http.get("/v1/anchors/watch")).json()
    assert (told_all["trouble"], told_all["trouble_since_us"]) == (None, None)
    assert told_all["troubles"] == [
        {"trouble": "unreachable", "began_us": str(seen.trouble.began_us), "ended_us": str(house.now_us)}
    ]


@pytest.mark.parametrize("lost", ["eth_sendRawTransaction", "eth_getTransactionReceipt"])
@pytest.mark.parametrize("obeyed", [True, False])
async def test_an_answer_lost_anywhere_on_the_way_anchors_once(
    house: House, faulty: Faulty, lost: str, obeyed: bool
) -> None:
    here = chained(house, faulty.url, faulty.key, await asyncio.to_thread(deploy, faulty.url, faulty.key))
    setattr(faulty, "drop" if obeyed else "ignore", {lost})
    with pytest.raises(UnansweredError):
        await here.turn()
    faulty.drop, faulty.ignore = set(), set()
    await here.turn()
    await here.turn()
    assert await here.states() == ["confirmed"]
    assert (
        sum(b"eth_sendRawTransaction" in body for body in faulty.seen) <= 3
    )  # the contract, and an anchor twice


async def test_a_worker_that_ends_at_any_question_to_the_node_is_finished_by_the_next_one(
    house: House, faulty: Faulty
) -> None:
    contract = await asyncio.to_thread(deploy, faulty.url, faulty.key)
    ended_at = 0
    while True:
        await jot(house)
        faulty.left = ended_at
        try:
            await chained(house, faulty.url, faulty.key, contract).turn(EVERY_S)
        except UnansweredError:
            ended_at += 1
        else:
            break
        finally:
            faulty.left = None
        # A new worker knows what the database and the chain know, and nothing else.
        for _ in range(3):
            await chained(house, faulty.url, faulty.key, contract).turn()
        here = chained(house, faulty.url, faulty.key, contract)
        assert set(await here.states()) <= {"confirmed", "final"}
        assert here.anchoring.anchor.read()[0] == await house.log_size()
    assert ended_at > 10
    last = chained(house, faulty.url, faulty.key, contract)
    assert last.anchoring.anchor.height() == 1 + len(
        await last.rows()
    )  # a block for each: none was sent twice


async def test_of_two_workers_one_anchors_at_a_time(house: House, faulty: Faulty) -> None:
    contract = await asyncio.to_thread(deploy, faulty.url, faulty.key)
    both = [chained(house, faulty.url, faulty.key, contract) for _ in range(2)]
    await asyncio.gather(*(one.anchoring.turn() for one in both))
    assert await both[0].states() == ["confirmed"]
    for one in both:
        await one.turn()
    assert await both[0].states() == ["confirmed"]
    assert sum(b"eth_sendRawTransaction" in body for body in faulty.seen) == 2


async def test_a_chain_that_holds_more_than_the_log_stops_anchoring_and_says_so(
    house: House, faulty: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    contract = await asyncio.to_thread(deploy, faulty.url, faulty.key)
    here = chained(house, faulty.url, faulty.key, contract)
    await asyncio.to_thread(here.anchoring.anchor.put, await house.log_size() + 1, bytes(32))
    with pytest.raises(AnchorError) as set_back:
        await here.turn()
    assert set_back.value.rule == "a log only grows"
    assert "set back" in set_back.value.remedy
    assert await here.amiss() == "set_back"
    assert "nothing is anchored" in caplog.text  # at once
    assert await here.rows() == []


async def test_a_chain_that_holds_another_root_than_the_log_stops_anchoring_and_says_so(
    house: House, faulty: Faulty
) -> None:
    contract = await asyncio.to_thread(deploy, faulty.url, faulty.key)
    here = chained(house, faulty.url, faulty.key, contract)
    await asyncio.to_thread(here.anchoring.anchor.put, await house.log_size(), b"\xee" * 32)
    with pytest.raises(AnchorError, match="another root"):
        await here.turn()
    assert (await here.house.http.get("/v1/anchors/watch")).json()["trouble"] == "contradicted"


async def test_an_anchor_known_only_from_a_bundle_is_signed_anew_when_its_block_is_gone(
    house: House, faulty: Faulty, database: Addresses
) -> None:
    contract = await asyncio.to_thread(deploy, faulty.url, faulty.key)
    before = faulty.node.tester.take_snapshot()
    here = chained(house, faulty.url, faulty.key, contract)
    await here.turn()
    assert database.owner_url is not None
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("DELETE FROM anchor_transaction")  # as after a recall
    faulty.node.tester.revert_to_snapshot(before)
    await here.turn()
    await here.turn()
    assert [(row["state"], row["reorganised"]) for row in await here.rows()] == [("confirmed", "1")]


async def test_a_key_that_owns_the_contract_no_more_is_told_and_nothing_is_lost(
    house: House, faulty: Faulty
) -> None:
    contract = await asyncio.to_thread(deploy, faulty.url, faulty.key)
    here = chained(house, faulty.url, new_key(), contract)
    with pytest.raises(AnchorError, match="the contract's owner is"):
        await here.turn()
    assert await here.amiss() == "refused"
    mended = chained(house, faulty.url, faulty.key, contract)
    await mended.turn()
    assert await mended.states() == ["confirmed"]
    assert await mended.amiss() is None


async def test_nobody_has_looked_at_a_chain_that_none_names(house: House) -> None:
    answer = await house.http.get("/v1/anchors/watch")
    assert (answer.status_code, answer.json()["code"]) == (404, "anchors.none")
    assert (await house.http.get("/v1/anchors")).json() == []


@pytest.fixture
async def served(house: House) -> AsyncIterator[str]:
    """The address at which a browser and the command line find this exchange."""
    app = FastAPI()
    app.state.gate = house.gate
    app.state.callers = Callers(house.gate, house.link_key)
    app.state.webhook_loopback = False
    app.state.stopping = asyncio.Event()
    app.state.streams = Streams(app.state.gate, app.state.stopping)
    exchange.api.mount(app, sandbox_clock=True)
    exchange.web.mount(app)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    listener = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve([listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await serving
    listener.close()


async def test_the_log_page_and_the_command_show_state_gas_and_what_is_amiss(
    node: Anvil, on_anvil: Callable[..., Chained], served: str
) -> None:
    def listed() -> tuple[int, str]:
        words = [sys.executable, "-m", "exchange", "anchor", "list", served]
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"}
        )
        return done.returncode, done.stdout + done.stderr

    assert await asyncio.to_thread(listed) == (
        0,
        "This exchange has no chain, or has not looked at it yet.\n",
    )
    here = on_anvil()
    node.mine(3)
    for again in (True, True, False):
        await here.turn()
        node.mine()
        await here.turn()
        if again:
            await asyncio.to_thread(node.reorganise, 1)
    (row,) = await here.rows()
    status, said = await asyncio.to_thread(listed)
    gas = f"{int(row['gas_used']):,}"
    assert (status, row["tx"] in said, gas in said, "pending" in said) == (0, True, True, False)
    away = chained(here.house, "http://127.0.0.1:9", node.key, here.anchoring.anchor.address)
    with pytest.raises(UnansweredError):
        await away.turn()
    status, said = await asyncio.to_thread(listed)
    assert (status, re.search(r"unreachable +20\S+Z – now", said) is not None) == (3, True)
    async with httpx.AsyncClient(base_url=served) as reader:
        for language, words in (
            ("en", ("confirmed", "taken back by the chain: 2", "The chain does not answer", gas)),
            ("zh", ("已确认", "被链收回 2 次", "链节点没有应答", gas)),
        ):
            page = (await reader.get(f"/{language}/log")).text
            assert [word for word in words if word not in page] == []
