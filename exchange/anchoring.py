"""Checkpoints on a chain, followed until no chain takes them back: what is due, what became of it, what is amiss.

One turn after another looks at the chain and does the one thing that is next for each anchor. Between any two of its
steps the process may end: what was signed is kept before it is offered, and a turn acts on what the chain says alone.
Only one worker of an exchange anchors at a time, however many there are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, assert_never

import psycopg

from exchange.crash import reach
from exchange.database import Database
from ledger import anchors, log
from ledger.anchor import GWEI, Anchor, Mined, SignedAnchor
from ledger.anchors import Kept
from ledger.errors import AnchorError, UnansweredError

logger = logging.getLogger(__name__)

LOOK_S: Final = 2.0
"""How often the chain is looked at while an anchor is on its way; the first wait after a node that does not answer."""

IDLE_S: Final = 30.0
"""How often it is looked at while none is, at most."""

AWAY_S: Final = 64.0
"""The longest wait between two questions to a node that does not answer."""

STUCK_S: Final = 180.0
"""How long an anchor waits for a block before it is offered at a higher price: fifteen blocks of Ethereum."""

ALARM_S: Final = 900.0
"""How long a trouble that may pass lasts before it is told as an error, not as a warning."""

Trouble = Literal["unreachable", "refused", "stuck", "set_back", "contradicted", "taken_back"]
"""What can be amiss: the node does not answer; it, the chain or the contract refuses; an anchor waits, and its price may
rise no more; the chain holds more than this log; another root than this log's; it took a final anchor back. The last
three are told as errors at once."""


@dataclass(slots=True)
class Anchoring:
    """Keeps the newest checkpoint on a chain, from `every_s` seconds or `every_entries` entries to the next.

    An anchor counts as final under `confirmations` blocks, its own included. No unit of gas costs more than
    `price_limit_gwei`. `clock` gives microseconds; `confirm` returns once a log of so many entries can never be taken
    back, as what is on a chain cannot.
    """

    database: Database
    anchor: Anchor
    clock: Callable[[], int]
    confirm: Callable[[int], Awaitable[None]]
    every_s: int = 600
    every_entries: int = 1_000_000
    confirmations: int = 64
    price_limit_gwei: int = 200
    _not_before_us: int = 0
    _away_s: float = LOOK_S
    _alarmed: str | None = None
    _amiss: Trouble | None = field(default=None, init=False)

    async def turn(self) -> None:
        """Look at the chain where it is time to, and do what is next.

        Raises AnchorError for whatever is amiss, which `ledger.anchors.watch` tells as well until it is over.
        """
        now_us = self.clock()
        # No wait is longer than AWAY_S: a moment further ahead was set before the clock was put back.
        if now_us < self._not_before_us <= now_us + int(AWAY_S * 1_000_000):
            return
        connection = await self.database.connect(application_name="exchange anchors")
        try:
            await connection.set_autocommit(True)  # nothing is held while a node is asked
            cursor = await connection.execute("SELECT pg_try_advisory_lock(hashtext('exchange anchors'))")
            if await cursor.fetchone() == (True,):
                await self._watched(connection, now_us)
        finally:
            await connection.close()

    async def _watched(self, connection: psycopg.AsyncConnection[Any], now_us: int) -> None:
        """One turn, and what is to be remembered of it, however it ends."""
        size: int | None = None
        self._amiss = None
        wait_s = LOOK_S
        error: AnchorError | None = None
        try:
            last, root = await asyncio.to_thread(self.anchor.read)
            size = last
            await self._compare(connection, last, root)
            waiting = await self._work(connection, last, now_us)
            wait_s = LOOK_S if waiting else min(IDLE_S, float(self.every_s))
        except UnansweredError as unanswered:
            error, self._amiss = unanswered, "unreachable"
            wait_s, self._away_s = self._away_s, min(2 * self._away_s, AWAY_S)
        except AnchorError as refused:
            error, self._amiss = refused, self._amiss or "refused"
        if self._amiss != "unreachable":
            self._away_s = LOOK_S
        self._not_before_us = now_us + int(wait_s * 1_000_000)
        since_us = await anchors.keep_watch(
            connection, self.anchor.address, now_us, size, self._amiss, str(error or self._amiss or "")
        )
        if self._amiss is None:
            self._alarmed = None
        elif since_us is not None and self._alarmed != self._amiss:
            lasted_s = (now_us - since_us) // 1_000_000
            if lasted_s >= ALARM_S or self._amiss in ("set_back", "contradicted"):
                self._alarmed = self._amiss
                logger.error("nothing is anchored for %d s: %s (%s)", lasted_s, self._amiss, error)
        if error is not None:
            raise error

    async def _compare(self, connection: psycopg.AsyncConnection[Any], size: int, root: bytes) -> None:
        """Refuse to go on where the chain holds what this log does not."""
        # The chain was asked first: an honest log is at least as large as what was anchored before it is read.
        here = (await log.read_head(connection)).edge.size
        if size > here:
            self._amiss = "set_back"
            raise AnchorError(
                f"the chain holds a root for {size} entries, this log has {here}",
                field="log",
                rule="a log only grows",
                remedy="this database was set back: stop the market and restore what it had acknowledged",
            )
        if size and await log.root_at(connection, size) != root:
            self._amiss = "contradicted"
            raise AnchorError(
                f"the chain holds another root for {size} entries than this log",
                field="log",
                rule="only checkpoints of this log are anchored",
                remedy="the anchor's key signed for another log: stop the market, find out who had the key, and audit",
            )

    async def _work(self, connection: psycopg.AsyncConnection[Any], on_chain: int, now_us: int) -> bool:
        """Follow what is on its way and sign what is due; returns whether anything is still on its way."""
        waiting = False
        for kept in await anchors.unsettled(connection):
            waiting |= await self._follow(connection, kept, now_us)
        if any(kept.state == "pending" for kept in await anchors.unsettled(connection)):
            return True
        size, root = await self._due(connection, on_chain, now_us)
        if size:
            await self.confirm(size)
            await self._sign(connection, size, root, now_us)
            for kept in await anchors.unsettled(connection):
                if kept.size == size:
                    await self._follow(connection, kept, now_us)
            return True
        return waiting

    async def _due(
        self, connection: psycopg.AsyncConnection[Any], on_chain: int, now_us: int
    ) -> tuple[int, bytes]:
        """The checkpoint that is to be anchored now; size 0 for none."""
        head, last = (await log.read_head(connection)).edge, await anchors.newest(connection)
        behind, signed_us = last if last is not None else (0, None)
        if head.size <= max(behind, on_chain):
            return 0, b""
        if (
            signed_us is None
            or not signed_us
            <= now_us
            < signed_us + self.every_s * 1_000_000  # also where the clock was put back
            or head.size >= behind + self.every_entries
        ):
            return head.size, head.root()
        return 0, b""

    async def _follow(self, connection: psycopg.AsyncConnection[Any], kept: Kept, now_us: int) -> bool:
        """Do what is next for one anchor; returns whether it may still move."""
        match kept.state:
            case "pending":
                return await self._pending(connection, kept, now_us)
            case "confirmed" | "final":
                mined = await asyncio.to_thread(self.anchor.mined, kept.tx)
                if mined is None or not mined.succeeded:
                    said = f"the chain took back the {kept.state} anchor of {kept.size} entries ({kept.tx})"
                    async with connection.transaction():
                        await anchors.keep_lost(connection, kept.size, now_us)
                        if kept.state == "final":
                            await anchors.keep_trouble(connection, now_us, "taken_back", said, now_us)
                    logger.log(logging.ERROR if kept.state == "final" else logging.WARNING, said)
                    return await self._pending(connection, replace(kept, offered_us=now_us), now_us)
                if kept.state == "final":
                    return False
                return not await self._mined(connection, kept, mined)
            case "refused":
                return False
            case _:  # pragma: no cover
                assert_never(kept.state)

    async def _pending(self, connection: psycopg.AsyncConnection[Any], kept: Kept, now_us: int) -> bool:
        if not kept.signed:
            return await self._again(connection, kept, now_us)
        newest = kept.signed[-1]
        sight = await asyncio.to_thread(self.anchor.look, kept.signed)
        if sight.mined is not None and sight.mined.succeeded:
            reach("worker.after_anchor")
            await self._mined(connection, kept, sight.mined)
        elif sight.mined is not None:
            await self._refused(connection, kept)
            return False
        elif newest.number < sight.count:
            # A number is taken once: by another transaction of this key, which is not ours to judge.
            if sight.last_size >= kept.size:
                await self._refused(connection, kept)
                return False
            logger.warning("another transaction took number %d of the anchor's key", newest.number)
            return await self._again(connection, kept, now_us)
        else:
            await self._wait(connection, kept, now_us, known=sight.known)
        return True

    async def _wait(
        self, connection: psycopg.AsyncConnection[Any], kept: Kept, now_us: int, *, known: bool
    ) -> None:
        """Keep an anchor waiting at the node, and let it pay more where it has waited too long."""
        newest = kept.signed[-1]
        stuck = not kept.offered_us <= now_us < kept.offered_us + STUCK_S * 1_000_000
        dearer = None
        if stuck:
            dearer = await asyncio.to_thread(
                lambda: self.anchor.dearer(newest, limit_wei=self.price_limit_gwei * GWEI)
            )
        if dearer is not None:
            logger.warning("no block takes the anchor of %d entries; it pays more now", kept.size)
            await anchors.keep_signed(connection, dearer, self.anchor.address, now_us)
            await self._offer(connection, kept.size, dearer, now_us)
        elif stuck:
            self._amiss = self._amiss or "stuck"
        if dearer is None and not known:  # a node forgets what pays too little, or all when it ends
            await self._offer(connection, kept.size, newest, now_us)

    async def _mined(self, connection: psycopg.AsyncConnection[Any], kept: Kept, mined: Mined) -> bool:
        """Keep in which block an anchor is, and whether that is final, for which it is read back and compared."""
        final = await asyncio.to_thread(self.anchor.height) - mined.block + 1 >= self.confirmations
        if final and await asyncio.to_thread(self.anchor.read_tx, mined.tx) != (kept.size, kept.root):
            self._amiss = "contradicted"
            raise AnchorError(
                f"transaction {mined.tx} anchors something else than {kept.size} entries of this log",
                field="tx",
                rule="what was signed is what a block has",
                remedy="ask another node; if it says the same, audit the log against the chain",
            )
        await anchors.keep_mined(connection, kept.size, mined, final=final)
        return final

    async def _again(self, connection: psycopg.AsyncConnection[Any], kept: Kept, now_us: int) -> bool:
        """Sign an anchor anew, with the key's next number; where a larger one came first, it is over."""
        if (await asyncio.to_thread(self.anchor.read))[0] >= kept.size:
            await self._refused(connection, kept)
            return False
        await self._sign(connection, kept.size, kept.root, now_us)
        return True

    async def _sign(
        self, connection: psycopg.AsyncConnection[Any], size: int, root: bytes, now_us: int
    ) -> None:
        limit_wei = self.price_limit_gwei * GWEI
        signed = await asyncio.to_thread(lambda: self.anchor.sign(size, root, limit_wei=limit_wei))
        await anchors.keep_signed(connection, signed, self.anchor.address, now_us)
        reach("worker.before_anchor")
        await self._offer(connection, size, signed, now_us)

    async def _offer(
        self, connection: psycopg.AsyncConnection[Any], size: int, signed: SignedAnchor, now_us: int
    ) -> None:
        await asyncio.to_thread(self.anchor.offer, signed)
        await anchors.keep_offered(connection, size, now_us)

    async def _refused(self, connection: psycopg.AsyncConnection[Any], kept: Kept) -> None:
        await anchors.keep_refused(connection, kept.size)
        logger.warning("the chain takes no anchor of %d entries any more", kept.size)
