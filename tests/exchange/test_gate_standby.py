"""The gate before a cluster with a synchronous standby: what the standby does not have is not answered, signed or shown.

The standby is the smallest that PostgreSQL knows: `pg_receivewal --synchronous`, which writes the log to its own
disk and confirms it, and nothing else. Patroni and a real one are in tests/stories/test_standby.py.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from exchange import database as engine
from exchange import gate as gate_module
from exchange.api import routers
from exchange.api.doorway import Callers, on_exchange_error
from exchange.database import Database, upgrade
from exchange.embedded import SUPERUSER, Postgres, binaries
from exchange.errors import ExchangeError, Unavailable
from exchange.gate import Gate
from ledger import log
from ledger.checkpoint import Signer, Verifier, open_note
from tests.exchange._notes import ANNA, Note, jots, note
from tests.exchange.conftest import ORIGIN, START_US
from tests.exchange.floor import bodies

pytestmark = pytest.mark.anyio


class Standby:
    """A machine that keeps the log: it can be lost, and come back."""

    def __init__(self, postgres: Postgres, folder: Path) -> None:
        self._folder = folder
        self._url = f"{postgres.url(SUPERUSER, 'postgres')}?application_name=standby"
        self.postgres = postgres
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when the primary streams to it."""
        self._process = subprocess.Popen(
            [binaries() / "pg_receivewal", "--synchronous", "--no-loop", "-D", self._folder, "-d", self._url],
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while self.primary("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'") == []:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def lose(self) -> None:
        """Lose it without a word; whatever was confirmed before is on its disk."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def primary(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the primary as its superuser, committing for nobody."""
        with closing(
            psycopg.connect(
                self.postgres.url(SUPERUSER), autocommit=True, options="-c synchronous_commit=local"
            )
        ) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def named(self, names: str) -> None:
        """Say for which standbys the primary waits."""
        self.primary(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        self.primary("SELECT pg_reload_conf()")
        while self.primary("SHOW synchronous_standby_names") != [(names,)]:
            time.sleep(0.01)

    def waiting(self) -> list[int]:
        """The sessions whose COMMIT waits for the standby."""
        found = self.primary("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        return [pid for (pid,) in found]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Standby]:
    with tempfile.TemporaryDirectory(prefix="exchange-standby-") as name:
        folder = Path(name)
        os.chmod(folder, 0o711)  # the server's account has to pass; it is not root
        (folder / "standby").mkdir()
        with Postgres.start(folder / "primary", durable=False) as postgres:
            upgrade(postgres.app_url, postgres.owner_url)
            with psycopg.connect(postgres.app_url) as connection:
                connection.execute(
                    "INSERT INTO market (id, sandbox, profile, offset_us, keys_version) VALUES (1, true, 'cn-venue', 0, 0)"
                )
            yield Standby(postgres, folder / "standby")


@pytest.fixture
async def standby(cluster: Standby, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Standby]:
    """A cluster whose standby confirms, and a gate that is not patient."""
    monkeypatch.setattr(gate_module, "RECOVERY_S", 1.5)
    monkeypatch.setattr(engine, "SILENCE_S", 1.0)
    cluster.start()
    cluster.named("standby")
    yield cluster
    cluster.named("")
    cluster.lose()


@pytest.fixture
async def gate(standby: Standby) -> AsyncIterator[Gate]:
    database = Database(standby.postgres.app_url, synchronous=True)
    gate = Gate(database, Signer(ORIGIN, b"l" * 32), b"m" * 32, lambda: START_US)
    connection = await database.connect()
    if await (await connection.execute(log.READ_HEAD)).fetchone() is None:
        await log.create(connection, ORIGIN, 0)
    await connection.commit()
    await connection.close()
    await gate.start()
    yield gate
    await gate.stop()
    await database.close()


async def until(holds: Callable[[], Any]) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def noted(gate: Gate) -> list[str]:
    """What was written down, in log order."""
    return [body["act"]["text"] for _, body in await bodies(gate)]


async def test_nothing_is_answered_before_the_standby_confirmed(
    standby: Standby, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_module, "RECOVERY_S", 60)  # however long the standby takes to start
    await gate.perform(note, Note("before"), caller=ANNA, key="confirmed-before")
    standby.lose()
    asked = asyncio.create_task(gate.perform(note, Note("waits"), caller=ANNA, key="confirmed-waits"))
    await until(standby.waiting)
    await asyncio.sleep(0.3)
    assert not asked.done()
    assert "waits" not in await noted(gate)
    standby.start()
    reply = await asked
    assert (await noted(gate)).count("waits") == 1
    assert (await bodies(gate))[reply.index][1]["act"]["text"] == "waits"


@pytest.mark.parametrize("end", ["pg_cancel_backend", "pg_terminate_backend"])
async def test_a_commit_whose_wait_was_cancelled_is_answered_only_when_the_standby_has_it(
    standby: Standby, gate: Gate, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_module, "RECOVERY_S", 60)
    await gate.perform(jots, Note("first"), caller=ANNA, key=f"{end}-first")
    standby.lose()
    asked = asyncio.create_task(gate.perform(jots, Note(end), caller=ANNA, key=end))
    await until(standby.waiting)
    standby.primary(f"SELECT {end}({standby.waiting()[0]})")
    # It is committed on the primary now, and everybody sees it there: a loss of that machine would take it back.
    await until(lambda: standby.primary(f"SELECT 1 FROM request WHERE key = '{end}'"))
    looked_up = asyncio.create_task(gate.look_up(ANNA.party, end))
    await asyncio.sleep(0.5)
    assert not asked.done()
    assert not looked_up.done()
    standby.start()
    reply = await asked
    assert (await looked_up) == reply
    assert (await noted(gate)).count(end) == 1


async def test_a_head_that_the_standby_does_not_have_is_neither_signed_nor_shown(
    standby: Standby, gate: Gate
) -> None:
    app = FastAPI(exception_handlers={ExchangeError: on_exchange_error})
    app.state.gate, app.state.callers = gate, Callers(gate, b"k" * 32)
    for router in routers:
        app.include_router(router)
    key = Verifier.parse(gate.signer.vkey)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://exchange.test") as http:

        async def size() -> int:
            note = (await http.get("/checkpoint")).raise_for_status().text
            return open_note(note, [key]).checkpoint.size

        first = await gate.perform(note, Note("shown"), caller=ANNA, key="shown")
        shown = await size()
        assert shown == first.index + 1
        standby.lose()
        lost = asyncio.create_task(gate.perform(note, Note("hidden"), caller=ANNA, key="hidden"))
        await until(standby.waiting)
        standby.primary(f"SELECT pg_cancel_backend({standby.waiting()[0]})")
        await until(lambda: standby.primary("SELECT 1 FROM request WHERE key = 'hidden'"))
        answers = await asyncio.gather(
            http.get("/checkpoint"),
            http.get(f"/v1/log/{shown}"),
            http.get(f"/v1/log/{shown}/proof"),
        )
        assert [answer.status_code for answer in answers] == [503, 503, 503]
        assert all(answer.headers["Retry-After"] for answer in answers)
        with pytest.raises(Unavailable):
            await gate.receipt(shown)
        with pytest.raises(Unavailable, match="unknown"):
            await lost
        standby.start()
        assert await size() == shown + 1
        again = await gate.perform(note, Note("hidden"), caller=ANNA, key="hidden")
        assert (again.index, again.repeated) == (shown, True)


async def test_another_process_shows_what_this_one_wrote_only_confirmed(standby: Standby, gate: Gate) -> None:
    database = Database(standby.postgres.app_url, synchronous=True)
    other = Gate(database, gate.signer, b"m" * 32, lambda: START_US)
    await other.start()
    try:
        reply = await gate.perform(note, Note("elsewhere"), caller=ANNA, key="elsewhere")
        assert (await other.head()).edge.size == reply.index + 1
        assert (await other.look_up(ANNA.party, "elsewhere")) == await gate.look_up(ANNA.party, "elsewhere")
    finally:
        await other.stop()
        await database.close()


async def test_a_server_that_waits_for_no_standby_decides_nothing(standby: Standby, gate: Gate) -> None:
    await gate.perform(note, Note("guarded"), caller=ANNA, key="guarded")
    standby.named("")
    with pytest.raises(Unavailable) as refused:
        await gate.perform(note, Note("alone"), caller=ANNA, key="alone")
    assert refused.value.code == "database.not_synchronous"
    assert "exchange cluster check" in str(refused.value.remedy)
    assert "alone" not in await noted(gate)
    late = Database(standby.postgres.app_url, synchronous=True)
    with pytest.raises(Unavailable, match="waits for no standby"):
        await Gate(late, gate.signer, b"m" * 32, lambda: START_US).start()
    await late.close()
    standby.named("standby")
    assert not (await gate.perform(note, Note("alone"), caller=ANNA, key="alone")).repeated


async def test_a_paused_server_costs_its_callers_seconds_and_then_they_know_that_they_do_not_know(
    standby: Standby, gate: Gate
) -> None:
    await gate.perform(note, Note("lively"), caller=ANNA, key="lively")
    everybody = [
        pid for (pid,) in standby.primary("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    ]
    paused = [standby.postgres.pid, *everybody]
    for pid in paused:
        os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="unknown") as told:
            await gate.perform(note, Note("paused"), caller=ANNA, key="paused")
        assert time.monotonic() - began < 15
        assert told.value.retry_after_s > 0
    finally:
        for pid in paused:
            os.kill(pid, signal.SIGCONT)
    reply = await gate.perform(note, Note("paused"), caller=ANNA, key="paused")
    assert (await noted(gate)).count("paused") == 1
    assert (await bodies(gate))[reply.index][1]["act"]["text"] == "paused"
