"""The clock's hand: closes and settles what is due, writes full tiles, puts checkpoints on a chain, keeps backups.

It only nudges: what is due is a fact of the database, so a late, doubled or killed worker changes nothing but
when the act is logged. Identifiers are made of what is done (`close-LOT`), so two workers do it once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from exchange import auctions, controls, money
from exchange.acts import CLOCK
from exchange.anchoring import LOOK_S, Anchoring
from exchange.backup import SHIP_EVERY_S, Keeper, Stopped
from exchange.crash import reach
from exchange.database import Database, driver
from exchange.deliveries import TURN_S, Deliveries
from exchange.errors import ExchangeError, Unavailable
from exchange.gate import BATCH_LIMIT, Gate
from exchange.witnessing import Witnessing
from ledger import log
from ledger.tiles import TILE

logger = logging.getLogger(__name__)

TICK_S = 0.25
"""How often the worker looks; also the most by which a lot is closed late."""

ASIDE_S = 60.0
"""How long a lot is left aside after a defect, so that it fills no log and holds no head."""


@dataclass(slots=True)
class Worker:
    """One worker beside a gate; `anchoring` puts checkpoints on a chain, `keeper` ships the log to a store, `witnessing`
    asks for cosignatures, each None where none is configured.
    """

    gate: Gate
    database: Database
    anchoring: Anchoring | None = None
    keeper: Keeper | None = None
    backup_every_s: int = 21_600
    backup_keep_days: int = 30
    witnessing: Witnessing | None = None
    deliveries: Deliveries | None = None
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _asking: asyncio.Task[None] | None = None
    _tiled: int = 0
    _aside: dict[str, float] = field(default_factory=dict)

    async def start(self) -> None:
        """Begin to look. Anchors, backups and witnesses have tasks of their own: what is silent never delays a close."""
        self._tasks.append(asyncio.create_task(self._every(TICK_S, self.tick), name="worker"))
        if self.anchoring is not None:
            self._tasks.append(asyncio.create_task(self._every(LOOK_S, self.anchoring.turn), name="anchors"))
        if self.keeper is not None:
            self._tasks.append(asyncio.create_task(self._every(SHIP_EVERY_S, self.back_up), name="backup"))
        if self.deliveries is not None:
            self._tasks.append(
                asyncio.create_task(self._every(TURN_S, self.deliveries.turn), name="webhooks")
            )
        if self.witnessing is not None:
            self._asking = asyncio.create_task(
                self._every(self.witnessing.every_s, self.witnessing.turn), name="witnesses"
            )

    async def stop(self) -> None:
        """Finish what is under way and end; a backup, or a question to witnesses, that is under way is given up."""
        self._stopping.set()
        if self.witnessing is not None and self._asking is not None:
            self._asking.cancel()
            with suppress(asyncio.CancelledError):
                await self._asking
            await self.witnessing.close()
        if self.keeper is not None:
            self.keeper.stop()
        await asyncio.gather(*self._tasks)
        if self.deliveries is not None:
            await self.deliveries.stop()

    async def _every(self, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        failing = ""
        while not self._stopping.is_set():
            try:
                await work()
                failing = ""
            except Exception as error:
                # Whatever it was, the next round finds the same things due. Said once, until it changes.
                if repr(error) != failing:
                    logger.warning("%s failed and is tried again: %s", work.__name__, error, exc_info=True)
                failing = repr(error)
            try:
                await asyncio.wait_for(self._stopping.wait(), seconds)
            except TimeoutError:
                continue

    async def tick(self) -> None:
        """Close, settle, give back and expire what is due by the market's time, stop who fell silent, then write what tiles became full.

        A lot that fails keeps no other from its turn. Raises Unavailable where the database is away.
        """
        due = await self.gate.read(auctions.due, await self.gate.now_us())
        for lot in due.closing:
            reach("worker.before_close")
            await self._nudge(auctions.close_lot, auctions.CloseLot(lot), f"close-{lot}")
        for lot in (*due.settling, *due.closing):
            await self._nudge(auctions.settle_lot, auctions.SettleLot(lot), f"settle-{lot}")
        # One batch of the gate: each is an entry of its own, for its bidder alone to see.
        losers = await self.gate.read(auctions.deposits_due, BATCH_LIMIT)
        await asyncio.gather(
            *(
                self._nudge(
                    auctions.release_deposit, auctions.ReleaseDeposit(lot, code), f"release-{lot}-{code}"
                )
                for lot, code in losers
            )
        )
        hold = await self.gate.read(money.first_due, await self.gate.now_us())
        if hold is not None:
            await self._nudge(money.expire_holds, money.ExpireHolds(hold), f"expire-{hold}")
        now_us = await self.gate.now_us()
        for party in await self.gate.read(controls.silent, now_us):
            await self._nudge(controls.stop_trading, controls.StopTrading(party), f"stop-{party}-{now_us}")
        await self.write_tiles()

    async def _nudge(self, decide: Any, act: Any, key: str) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._aside.get(key, 0.0) > now_s:
            return
        try:
            await self.gate.perform(decide, act, caller=CLOCK, key=key, urgent=True)
        except Unavailable:
            raise
        except ExchangeError as problem:
            # Somebody else did it, or the winner has yet to pay; it is found again while it is due.
            logger.debug("%s: %s", key, problem)
        except Exception:
            self._aside[key] = now_s + ASIDE_S
            logger.exception("%s failed by a defect; the other lots go on", key)

    async def write_tiles(self) -> None:
        """Write the tiles that became full; they are derived, so the commit need not wait for the disk."""
        full = await self.gate.read(_full_tiles)
        if full == self._tiled:
            return
        connection = await self.database.connect(application_name="exchange worker")
        try:
            await connection.execute("SET synchronous_commit = off")
            await log.write_full_tiles(connection)
            await connection.commit()
        finally:
            await connection.close()
        self._tiled = full

    async def back_up(self) -> None:
        """Ship the log to the store and, where it is due, take a backup; the market does not wait for either."""
        if self.keeper is not None:
            with contextlib.suppress(Stopped):
                await asyncio.to_thread(self.keeper.keep, self.backup_every_s, self.backup_keep_days)


async def _full_tiles(session: AsyncSession) -> int:
    return (await log.read_head(await driver(session))).edge.size // TILE
