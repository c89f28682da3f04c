"""Delivers webhooks: at least once, in order for each endpoint, none waiting for another; goes on after a restart.

Of several processes one at a time calls an endpoint, so that nothing is told twice while all goes well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg

from exchange import events, outbound, webhooks
from exchange.acts import CLOCK
from exchange.database import Database
from exchange.errors import ExchangeError
from exchange.gate import Gate
from exchange.streams import PAGE

TURN_S = 0.5
FIRST_PAUSE_US = 5_000_000
LONGEST_PAUSE_US = 21_600_000_000
"""Pauses after failures double from five seconds to six hours, with up to a quarter more by chance."""

DISABLE_AFTER_US = 5 * 86_400_000_000
"""After so long without a success an endpoint is disabled."""

AT_ONCE = 16
"""Endpoints that are called at the same time."""

GONE = 410
"""An endpoint that answers this is disabled at once (Standard Webhooks)."""

_TOLD = (
    "UPDATE webhook_delivery SET next_sequence = %s, attempts = 0, next_try_us = 0, failing_since_us = NULL,"
    " delivered = delivered + %s, last_success_us = coalesce(%s, last_success_us),"
    " last_answer = coalesce(%s, last_answer) WHERE webhook = %s AND next_sequence = %s"
)
_FAILED = (
    "UPDATE webhook_delivery SET attempts = attempts + 1, next_try_us = %s, last_answer = %s,"
    " failing_since_us = coalesce(failing_since_us, %s) WHERE webhook = %s AND next_sequence = %s"
)

logger = logging.getLogger(__name__)


def pause_us(attempts: int, chance: bytes) -> int:
    """How long to wait after so many failures before this one. Pure; `chance` is two bytes."""
    base = min(FIRST_PAUSE_US << min(attempts, 20), LONGEST_PAUSE_US)
    return base + base * int.from_bytes(chance) // (4 << 16)


@dataclass(slots=True)
class Deliveries:
    """One sender beside a gate. `clock` is the real one: who is called does not live by a sandbox's."""

    gate: Gate
    database: Database
    key: bytes = field(repr=False)
    clock: Callable[[], int]
    loopback: bool = False
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def turn(self) -> None:
        """Begin to call whoever is behind and not being called."""
        size = (await self.gate.head()).edge.size
        for one in await self.gate.read(webhooks.due, size, self.clock()):
            if one.id not in self._running:
                task = asyncio.create_task(self._call(one, size), name=f"webhook {one.id}")
                self._running[one.id] = task
                task.add_done_callback(lambda _, name=one.id: self._running.pop(name, None))  # type: ignore[misc]

    async def stop(self) -> None:
        """Give up what is under way; it is sent again."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _call(self, one: webhooks.Due, size: int) -> None:
        async with self._places:
            try:
                connection = await self.database.connect(application_name="exchange webhooks")
                try:
                    if await self._is_ours(one, connection):
                        await self._tell(one, size, connection)
                finally:
                    await connection.close()
            except (ExchangeError, psycopg.Error) as error:
                logger.warning("endpoint %s waits: %s", one.id, error)
            except Exception:
                logger.exception("endpoint %s failed by a defect", one.id)

    async def _is_ours(self, one: webhooks.Due, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> bool:
        """Whether nobody else calls this endpoint, or did since it was found due; so until the connection closes."""
        cursor = await connection.execute(
            "SELECT pg_try_advisory_lock(hashtext('exchange webhook'), hashtext(%s))", (one.id,)
        )
        if await cursor.fetchone() != (True,):
            return False
        # In a statement of its own: it sees what was committed before the lock was free.
        cursor = await connection.execute(
            "SELECT next_sequence, attempts FROM webhook_delivery WHERE webhook = %s", (one.id,)
        )
        return await cursor.fetchone() == (one.next_sequence, one.attempts)

    async def _tell(
        self, one: webhooks.Due, size: int, connection: psycopg.AsyncConnection[tuple[Any, ...]]
    ) -> None:
        at = one.next_sequence
        while at < size:
            upto = min(size, at + PAGE)
            for event in await self.gate.read(events.between, at, upto, [one.party]):
                if one.party in event.parties and (not one.kinds or event.kind in one.kinds):
                    answer, good = await self._post(one, event)
                    if not good:
                        await self._failed(one, at, answer, connection)
                        return
                    if not await self._note(
                        connection, _TOLD, (event.index + 1, 1, self.clock(), answer, one.id, at)
                    ):
                        return  # it was asked to begin elsewhere
                    at = event.index + 1
            if at < upto:
                if not await self._note(connection, _TOLD, (upto, 0, None, None, one.id, at)):
                    return
                at = upto

    async def _post(self, one: webhooks.Due, event: events.Event) -> tuple[str, bool]:
        body = event.for_webhook()
        now_us = self.clock()
        versions = [one.version]
        market_us = await self.gate.now_us()
        if one.rotated_us is not None and market_us < one.rotated_us + webhooks.OVERLAP_US:
            versions.append(one.version - 1)
        headers = webhooks.signed_headers(
            [webhooks.secret(self.key, one.id, version) for version in versions],
            f"{one.id}-{event.index}",
            now_us // 1_000_000,
            body,
        )
        headers |= {"Content-Type": "application/json", "User-Agent": "data-asset-exchange"}
        try:
            status = await outbound.post(one.url, body, headers, loopback=self.loopback)
        except outbound.Refused as refused:
            return f"refused: {refused}", False
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            return f"no answer: {type(error).__name__}", False
        return str(status), 200 <= status < 300

    async def _failed(
        self, one: webhooks.Due, at: int, answer: str, connection: psycopg.AsyncConnection[tuple[Any, ...]]
    ) -> None:
        now_us = self.clock()
        attempts = one.attempts if at == one.next_sequence else 0
        since_us = one.failing_since_us if at == one.next_sequence else None
        later = now_us + pause_us(attempts, self.gate.chance(2))
        await self._note(connection, _FAILED, (later, answer, now_us, one.id, at))
        if answer == str(GONE) or (since_us is not None and now_us - since_us >= DISABLE_AFTER_US):
            with suppress(ExchangeError):  # somebody else did it, or it is found again
                await self.gate.perform(
                    webhooks.disable_webhook,
                    webhooks.DisableWebhook(one.id),
                    caller=CLOCK,
                    key=f"disable-{one.id}-{now_us}",
                )

    async def _note(
        self, connection: psycopg.AsyncConnection[tuple[Any, ...]], statement: str, values: tuple[object, ...]
    ) -> bool:
        cursor = await connection.execute(statement, values)
        await connection.commit()
        return cursor.rowcount == 1
