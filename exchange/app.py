"""Wires the rooms into one running exchange and one FastAPI application; nothing else."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

import orjson
import uvicorn
from fastapi import FastAPI, Request

import exchange.api
import exchange.web
from exchange import crash, keys, rulebook, venue
from exchange.acts import Caller
from exchange.anchoring import Anchoring
from exchange.api.doorway import Callers
from exchange.api.swift import SwiftBids
from exchange.backup import Keeper, Store, refuse_behind
from exchange.database import Database, addresses, upgrade
from exchange.deliveries import Deliveries
from exchange.embedded import Postgres
from exchange.errors import Misconfigured
from exchange.gate import Gate, Reply
from exchange.settings import Settings
from exchange.signin.sessions import Door, Secrets
from exchange.streams import Streams
from exchange.vault import Vault
from exchange.witnessing import Witnessing, load_policy
from exchange.worker import Worker
from ledger import log
from ledger.anchor import Anchor, deploy, load_key
from ledger.checkpoint import Signer, sign, split_note
from ledger.policy import Policy
from ledger.succession import parse as parse_ended

logger = logging.getLogger(__name__)

Say = Callable[[str], None]

VERSION = "0.1.0"

ANCHOR_SETTLE_S = 30
"""How long one round waits for a block; a transaction that is still out then is waited for in the next round."""


DOORS = 32
"""New connections that are let in at each turn of the loop."""

SANDBOX_BANNER = [("Exchange-Sandbox", "true")]
"""What each answer of a sandbox's server carries, whichever application gave it, errors and streams included."""


def silent(line: str) -> None:
    """For callers that show no progress."""


def wall_clock_us() -> int:
    """Microseconds since the epoch: the one place where the market's clock is read."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Running:
    """An exchange that runs in this process."""

    settings: Settings
    keys: keys.Keys
    database: Database
    gate: Gate
    worker: Worker
    vault: Vault
    policy: Policy | None = None


@asynccontextmanager
async def running(
    settings: Settings, *, work: bool = True, make_keys: bool = False, say: Say = silent
) -> AsyncIterator[Running]:
    """Database, keys, gate and worker, for as long as the context lasts.

    `work=False` leaves the worker out; `make_keys` draws keys that do not exist yet. Raises Misconfigured
    with a remedy for whatever keeps it from running.
    """
    if settings.crash_at is not None:
        crash.arm(settings.crash_at)
    refuse_behind(settings.data_dir)
    if work and settings.backup_target is not None and settings.database_url is not None:
        raise Misconfigured(
            "backup.other_cluster",
            "this exchange uses a cluster that it does not run",
            field="EXCHANGE_BACKUP_TARGET",
            rule="a cluster is backed up by whoever runs it",
            remedy="leave EXCHANGE_BACKUP_TARGET out, and back that cluster up with its own tools",
        )
    async with AsyncExitStack() as stack:
        reached = await asyncio.to_thread(stack.enter_context, addresses(settings, say=say))
        await asyncio.to_thread(upgrade, reached.app_url, reached.owner_url)
        ours = keys.load(settings.keys_dir, make=make_keys)
        database = Database(reached.app_url, synchronous=settings.database_synchronous)
        stack.push_async_callback(database.close)
        gate = Gate(database, ours.signer(settings.origin), ours.mac, wall_clock_us)
        if not make_keys:
            await _require_log(database, settings, gate.signer)
        await gate.start()
        stack.push_async_callback(gate.stop)
        policy = None if settings.witnesses is None else load_policy(settings.witnesses, gate.signer)
        anchor = await asyncio.to_thread(_anchor, settings) if work else None
        anchoring = None if anchor is None else Anchoring(
            database, anchor, wall_clock_us, gate.confirm, settings.anchor_every_s, settings.anchor_every_entries,
            settings.anchor_confirmations, settings.anchor_price_limit_gwei,
        )  # fmt: skip
        worker = Worker(
            gate,
            database,
            anchoring,
            await asyncio.to_thread(_keeper, settings, reached.app_url, ours) if work else None,
            settings.backup_every_s,
            settings.backup_keep_days,
            None
            if policy is None
            else Witnessing(policy, database, gate.signer, gate.head, settings.witness_every_s),
            Deliveries(gate, database, ours.links, wall_clock_us, settings.webhook_loopback),
        )
        vault = Vault(settings.vault_dir, products=settings.products_target)
        if work:
            await worker.start()
            stack.push_async_callback(worker.stop)
        yield Running(settings, ours, database, gate, worker, vault, policy)


async def _require_log(database: Database, settings: Settings, signer: Signer) -> None:
    """Refuse to serve a database that holds no log, or another one than these settings name."""
    connection = await database.connect()
    try:
        row = await (await connection.execute(log.READ_HEAD)).fetchone()
        note = None if row is None else await venue.last_note(connection)
    finally:
        await connection.close()
    if row is None:
        raise Misconfigured(
            "market.missing",
            "there is no market here yet",
            field="EXCHANGE_DATA_DIR",
            rule="a market is opened once, with its keys and its first administrator",
            remedy="run `exchange init`",
        )
    if row[0] != settings.origin:
        raise Misconfigured(
            "market.origin",
            f"this database holds the log {row[0]!r}, the settings name {settings.origin!r}",
            field="EXCHANGE_ORIGIN",
            rule="the name of a log never changes; one that ended has a successor of another name (GET /v1/log/ended)",
            remedy=f"set EXCHANGE_ORIGIN to {row[0]}"
            + (" and EXCHANGE_SANDBOX to 1" if row[0].endswith("/sandbox") else ""),
        )

    if note is not None and parse_ended(split_note(note)[0]).successor != signer.vkey:
        raise Misconfigured(
            "keys.another_log",
            f"the log goes on under another key than {signer.vkey}",
            field=str(settings.keys_dir / "log.key"),
            rule="the note with which its predecessor ended names the key of a log",
            remedy="repeat `exchange succeed` as it was given, or bring the key back",
        )


def _keeper(settings: Settings, app_url: str, ours: keys.Keys) -> Keeper | None:
    """What ships the log of our own cluster to the configured store."""
    if settings.backup_target is None:
        return None
    signer = ours.signer(settings.origin)

    async def tip() -> str:
        connection = await Database(app_url).connect(application_name="exchange backup")
        try:
            return sign((await log.read_head(connection)).checkpoint(), signer)
        finally:
            await connection.close()

    return Keeper(
        Store(settings.backup_target, keys.backup_key(settings.keys_dir, make=True), make=True),
        Postgres.attach(settings.data_dir),
        settings.data_dir,
        tip=lambda: asyncio.run(tip()),
        clock_us=wall_clock_us,
        say=logger.info,
    )


def _anchor(settings: Settings) -> Anchor | None:
    """The contract on the configured chain; deployed once, by the key in the keys directory."""
    if settings.chain_url is None:
        return None
    key = load_key(settings.keys_dir / "anchor.key")
    kept = settings.data_dir / "anchor.json"
    if not kept.exists():
        contract = deploy(settings.chain_url, key)
        written = kept.with_suffix(".new")
        written.write_bytes(orjson.dumps({"contract": contract}))
        written.replace(kept)  # whole or not at all, whenever the process ends
    contract = orjson.loads(kept.read_bytes())["contract"]
    return Anchor(settings.chain_url, contract, key, settle_s=ANCHOR_SETTLE_S)


async def open_market(
    house: Running, *, uscc: str, name: str, person: str, token_digest: bytes, preset: str | None = None
) -> Reply:
    """Begin the log and the market, with the first administrator; the second time, Conflict.

    `preset` names one of the three models whose figures stand in the place of the profile's.
    """
    settings = house.settings
    rules = rulebook.load(settings.profile, preset)
    connection = await house.database.connect()
    try:
        if await (await connection.execute(log.READ_HEAD)).fetchone() is None:
            await log.create(connection, settings.origin, 0)
            await connection.execute(
                "INSERT INTO market (id, sandbox, profile, offset_us, keys_version) VALUES (1, %s, %s, 0, 0)",
                (settings.sandbox, settings.profile),
            )
        await connection.commit()
    finally:
        await connection.close()
    act = venue.OpenMarket(
        origin=settings.origin,
        vkey=house.gate.signer.vkey,
        sandbox=settings.sandbox,
        profile=settings.profile,
        rulebook=rules.stated(),
        uscc=uscc,
        name=name,
        person=person,
        token_digest=token_digest,
    )
    return await house.gate.perform(
        venue.open_market,
        act,
        caller=Caller("init", "init", frozenset()),
        key=f"open-{token_digest.hex()[:32]}",  # another link is another act, which the room refuses
    )


def create_app(house: Running) -> FastAPI:
    """The application over a running exchange."""
    app = FastAPI(
        title="Data-asset exchange",
        version=VERSION,
        summary="Desensitized public data, sold so that nobody has to trust the operator.",
        # FastAPI's own documentation pages load scripts from elsewhere, and it makes the contract where all are served.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.state.gate = house.gate
    app.state.worker = house.worker
    app.state.vault = house.vault
    app.state.policy = house.policy
    app.state.link_key = house.keys.links
    app.state.callers = Callers(house.gate, house.keys.links, house.settings.party_quota)
    app.state.webhook_loopback = house.settings.webhook_loopback
    app.state.stopping = asyncio.Event()
    app.state.door = Door(
        house.database, Secrets.of(house.keys.links), house.gate.clock, house.gate.chance, house.settings.site
    )
    app.state.streams = Streams(house.gate, app.state.stopping)
    exchange.api.mount(app, sandbox_clock=house.settings.sandbox)
    exchange.web.mount(app)

    @app.get("/health", include_in_schema=False)
    async def health(request: Request) -> dict[str, str]:
        """Whether this process can decide."""
        return {"state": "serving", "now_us": str(await request.app.state.gate.now_us())}

    return app


async def serve(
    settings: Settings,
    listener: socket.socket,
    *,
    work: bool = True,
    say: Say = silent,
    started: Callable[[uvicorn.Server], None] = lambda server: None,
) -> None:
    """Run an exchange and serve it on `listener` until it is told to stop; what waits is finished first.

    `started` gets the server before it accepts, whose `should_exit` ends it from another thread.
    """
    async with running(settings, work=work, say=say) as house:
        app = create_app(house)
        server = _Server(
            uvicorn.Config(
                SwiftBids(app), loop="uvloop", http="httptools", access_log=False, log_level="warning",
                timeout_graceful_shutdown=3, lifespan="off", headers=SANDBOX_BANNER if settings.sandbox else [],
            ),
            app.state.stopping,
        )  # fmt: skip
        if threading.current_thread() is threading.main_thread():
            # Everything loaded by now lives as long as the process: the collector need not look at it again.
            gc.freeze()
        started(server)
        await server.serve(sockets=doors(listener))


def doors(listener: socket.socket) -> list[socket.socket]:
    """The listener and copies of it: uvloop lets in one connection a turn of the loop through each, and in a surge, when
    turns are long, a crowd that comes at once would wait at a single one until it gave up, and come again."""
    return [listener, *(listener.dup() for _ in range(DOORS - 1))]


class _Server(uvicorn.Server):
    """Tells parked event streams to end before it waits for them, and lets the exchange end after it."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT; uvicorn's own form raises the signal again, before gate and database end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {name: signal.signal(name, self.handle_exit) for name in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        await super().shutdown(sockets)
