"""The clock's hand: closes and settles what is due, gives codes, writes full tiles, anchors checkpoints, keeps backups.

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

from psycopg.errors import LockNotAvailable
from sqlalchemy.ext.asyncio import AsyncSession

from exchange import (
    acceptance,
    auctions,
    complaints,
    controls,
    deletion,
    freshness,
    mediation,
    metering,
    money,
    negotiation,
    revenue,
    tenders,
    usecases,
)
from exchange.acts import CLOCK
from exchange.anchoring import LOOK_S, Anchoring
from exchange.backup import SHIP_EVERY_S, Keeper, Stopped
from exchange.crash import reach
from exchange.database import Database, driver
from exchange.deliveries import TURN_S, Deliveries
from exchange.errors import ExchangeError, Unavailable
from exchange.gate import BATCH_LIMIT, PLAIN_LIMIT, Gate, market_time
from exchange.registration import effects
from exchange.witnessing import Witnessing
from ledger import log
from ledger.tiles import TILE

logger = logging.getLogger(__name__)

TICK_S = 0.25
"""How often the worker looks for lots to close; also the most by which one is closed late."""

CALM_S = 2.0
"""How often it looks for everything else, one thing after the other: each look takes time from the bids that are served
meanwhile, and all at once would hold them up."""

TILES_S = 4.0
"""How often it writes the tiles that became full; whoever asks for one before gets it made from what lies below."""

NOT_RESUMED = "not resumed in time"

LATE_ROUNDS = 4
"""A job that did not come round in so many of its turns, and ten seconds, is late."""

ASIDE_S = 60.0
"""How long a lot is left aside after a defect, so that it fills no log and holds no head."""


@dataclass(slots=True)
class Job:
    """One thing that the worker does again and again: how often, when it last came round, what its last failure was."""

    every_s: float
    began_us: int
    done_us: int | None = None
    failing: str = ""

    def late(self, clock_us: int) -> bool:
        """Whether it has not come round in far longer than its time."""
        since_us = self.began_us if self.done_us is None else self.done_us
        return clock_us - since_us > max(10.0, LATE_ROUNDS * self.every_s) * 1_000_000


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
    jobs: dict[str, Job] = field(default_factory=dict)
    """What this process does by name, and how it goes."""

    async def start(self) -> None:
        """Begin to look. Closing has a task of its own: nothing that is slow or silent delays it."""
        self._begin(TICK_S, self.close)
        calm = (self.tender, self.give_back, self.follow_up, self.after_sale, self.register)
        for place, work in enumerate(calm, 1):
            self._begin(CALM_S, work, CALM_S * place / len(calm))
        self._begin(TILES_S, self.write_tiles)
        if self.anchoring is not None:
            self._begin(LOOK_S, self.anchoring.turn, name="anchors")
        if self.keeper is not None:
            self._begin(SHIP_EVERY_S, self.back_up, name="backup")
        if self.deliveries is not None:
            self._begin(TURN_S, self.deliveries.turn, name="webhooks")
        if self.witnessing is not None:
            self._asking = asyncio.create_task(
                self._every(self.witnessing.every_s, self.witnessing.turn, 0.0), name="witnesses"
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

    def _begin(
        self, every_s: float, work: Callable[[], Awaitable[object]], first_s: float = 0.0, *, name: str = ""
    ) -> None:
        """Do `work` again and again, for the first time in `first_s`."""
        every = self._every(every_s, work, first_s)
        self._tasks.append(asyncio.create_task(every, name=name or work.__name__))

    async def _every(self, seconds: float, work: Callable[[], Awaitable[object]], first_s: float) -> None:
        task = asyncio.current_task()
        assert task is not None  # a coroutine runs in one
        job = self.jobs[task.get_name()] = Job(seconds, self.gate.clock())
        failing = ""
        pause_s = first_s
        while not await self._stopped_within(pause_s):
            pause_s = seconds
            try:
                await work()
                failing = job.failing = ""
            except Exception as error:
                # Whatever it was, the next round finds the same things due. Said once, until it changes.
                if repr(error) != failing:
                    defect = not isinstance(error, ExchangeError)
                    logger.warning("%s failed and is tried again: %s", work.__name__, error, exc_info=defect)
                failing = job.failing = repr(error)
            job.done_us = self.gate.clock()

    async def _stopped_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def tick(self) -> None:
        """One round of all that the market's time brings. Raises Unavailable where the database is away."""
        await self.close()
        await self.tender()
        await self.give_back()
        await self.follow_up()
        await self.after_sale()
        await self.register()
        await self.write_tiles()

    async def close(self) -> None:
        """Close and settle the lots that are due by the market's time, and end those that nobody pays for or resumes.

        A lot that fails keeps no other from its turn. A winner is found in default only after settling was tried.
        """
        due = await self.gate.read(_due, self.gate.clock())
        # Some at a time: each is a commit saved for the others, and none holds the log longer than a batch of bids.
        for start in range(0, len(due.closing), PLAIN_LIMIT):
            lots = due.closing[start : start + PLAIN_LIMIT]
            awards = await self.gate.read(auctions.awards_of, lots)
            reach("worker.before_close")
            await asyncio.gather(
                *(
                    self._nudge(
                        auctions.close_lot if award is None else auctions.close_lots,
                        auctions.CloseLot(lot, award),
                        f"close-{lot}",
                    )
                    for lot, award in zip(lots, awards, strict=True)
                )
            )
        settling = [*due.closing, *due.settling]
        for start in range(0, len(settling), PLAIN_LIMIT):
            reach("worker.before_settle")
            await asyncio.gather(
                *(
                    self._nudge(auctions.settle_lot, auctions.SettleLot(lot), f"settle-{lot}")
                    for lot in settling[start : start + PLAIN_LIMIT]
                )
            )
        for lot in due.defaulting:
            reach("worker.before_default")
            await self._nudge(auctions.declare_default, auctions.DeclareDefault(lot), f"default-{lot}")
        for lot in due.cancelling:
            reach("worker.before_cancel")
            await self._nudge(auctions.cancel_lot, auctions.CancelLot(lot, NOT_RESUMED), f"cancel-{lot}")
        for lot in due.dividing:
            reach("worker.before_divide")
            await self._nudge(auctions.distribute_forfeit, auctions.DistributeForfeit(lot), f"divide-{lot}")

    async def tender(self) -> None:
        """Close the tenders whose deadline has come, open those whose holders have handed in their shares, screen what was
        opened, award what is marked, settle what nobody can protest against any more, and call off what was not resumed.
        """
        due = await self.gate.read(_of_tenders, self.gate.clock())
        nudges: list[tuple[Any, Any, str]] = [
            *((tenders.close_tender, tenders.CloseTender(one), f"close-{one}") for one in due.closing),
            *((tenders.open_tender, tenders.OpenTender(one), f"open-{one}") for one in due.opening),
        ]
        for one in due.screening:
            signs = await self.gate.read(tenders.signs_of, one)
            nudges.append((tenders.screen_tender, tenders.ScreenTender(one, signs), f"screen-{one}"))
        for one, round_ in due.awarding:
            nudges.append((tenders.award_tender, tenders.AwardTender(one), f"award-{one}-{round_}"))
        for one in due.settling:
            nudges.append((tenders.settle_tender, tenders.SettleTender(one), f"settle-{one}"))
        for one in due.defaulting:
            nudges.append((tenders.declare_default, tenders.DeclareTenderDefault(one), f"default-{one}"))
        for one in due.cancelling:
            nudges.append((tenders.cancel_tender, tenders.CancelTender(one, NOT_RESUMED), f"cancel-{one}"))
        for nudge in nudges:
            await self._nudge(*nudge)
        bidders = await self.gate.read(tenders.deposits_due, BATCH_LIMIT)
        await asyncio.gather(
            *(
                self._nudge(
                    tenders.release_deposit,
                    tenders.ReleaseTenderDeposit(tender, code),
                    f"release-{tender}-{code}",
                )
                for tender, code in bidders
            )
        )

    async def give_back(self) -> None:
        """Give deposits back until none is due, or whoever bids is kept waiting; each is an entry of its own."""
        room, after = auctions.GiveBack(self.gate.mac_key), ("", "")
        while not self.gate.full:
            owed = await self.gate.read(auctions.deposits_due, BATCH_LIMIT, after)
            if not owed:
                return
            reach("worker.before_release")
            # One batch of the gate, behind whoever waits: a day is left for it.
            await asyncio.gather(
                *(self._nudge(room, one, f"release-{one.lot}-{one.code}", urgent=False) for one in owed)
            )
            after = owed[-1].lot, owed[-1].code

    async def follow_up(self) -> None:
        """Let holds expire, accept by silence, pay refunds that are owed, stop who fell silent, tell of offers that are over,
        settle what was used, flag what was not updated as promised.
        """
        due = await self.gate.read(_to_follow_up, self.gate.clock())
        if due.hold is not None:
            await self._nudge(money.expire_holds, money.ExpireHolds(due.hold), f"expire-{due.hold}")
        for party in due.silent:
            key = f"stop-{party}-{due.now_us}"
            await self._nudge(controls.stop_trading, controls.StopTrading(party), key)
        await asyncio.gather(
            *(
                self._nudge(negotiation.close_offer, negotiation.CloseOffer(one), f"over-{one}")
                for one in due.over
            )
        )
        for one in due.used:
            key = f"statement-{one}-{due.now_us}"
            await self._nudge(metering.settle_usage, metering.SettleUsage(one), key)
        for one in due.earned:
            await self._nudge(revenue.close_revenue, revenue.CloseRevenue(one), f"revenue-{one}")
        for asset, state in due.aged:
            key = f"{state}-{asset}-{due.now_us}"
            await self._nudge(freshness.watch_update, freshness.WatchUpdate(asset), key)

    async def after_sale(self) -> None:
        """Accept by silence, escalate complaints, call for deletion, publish use cases, pay refunds that are owed."""
        due = await self.gate.read(_after_sales, self.gate.clock())
        nudges: list[tuple[Any, Any, str]] = [
            *((acceptance.let_lapse, acceptance.LetLapse(one), f"lapse-{one}") for one in due.lapsing),
            *(
                (complaints.escalate_complaint, complaints.EscalateComplaint(one), f"escalate-{one}")
                for one in due.escalating
            ),
            *(
                (deletion.call_for_deletion, deletion.CallForDeletion(one), f"deletion-{kind}-{one}")
                for one, kind in due.calling
            ),
            *(
                (usecases.publish_use_case, usecases.PublishUseCase(one), f"publish-{one}")
                for one in due.publishing
            ),
        ]
        await asyncio.gather(*(self._nudge(*nudge) for nudge in nudges))
        for one in due.payable:
            await self._nudge(mediation.pay_refund, mediation.PayRefund(one), f"refund-{one}")

    async def register(self) -> None:
        """Let acts of registration take effect whose notice has ended, remind of certificates that end, and end them."""
        now_us, found = await self.gate.read(_to_register, self.gate.clock())
        nudges = [(effects.conclude, effects.Conclude(one), f"conclude-{one}") for one in found.concluding]
        ends: list[tuple[Any, Any, str]] = [
            (effects.remind, effects.Remind(one), f"remind-{one}-{now_us}") for one in found.reminding
        ]
        ends += [(effects.expire, effects.Expire(one), f"expire-{one}-{now_us}") for one in found.expiring]
        # One batch of the gate each: what is concluded reads entries that have to be in the log.
        await asyncio.gather(*(self._nudge(*nudge) for nudge in nudges))
        await asyncio.gather(*(self._nudge(*nudge) for nudge in ends))

    async def _nudge(self, decide: Any, act: Any, key: str, *, urgent: bool = True) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._aside.get(key, 0.0) > now_s:
            return
        try:
            await self.gate.perform(decide, act, caller=CLOCK, key=key, urgent=urgent)
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
            await connection.execute(f"SET lock_timeout = {1000 * TICK_S:.0f}")
            await log.write_full_tiles(connection)
            await connection.commit()
        except LockNotAvailable:
            return  # another process is at the same tiles, or paused there: closing does not wait for it
        finally:
            await connection.close()
        self._tiled = full

    async def back_up(self) -> None:
        """Ship the log to the store and, where it is due, take a backup; the market does not wait for either."""
        if self.keeper is not None:
            with contextlib.suppress(Stopped):
                await asyncio.to_thread(self.keeper.keep, self.backup_every_s, self.backup_keep_days)


@dataclass(frozen=True, slots=True)
class _ToFollowUp:
    """What `follow_up` found due at one moment."""

    now_us: int
    hold: str | None
    silent: list[str]
    over: list[str]
    used: list[str]
    earned: list[str]
    aged: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _AfterSales:
    """What `after_sale` found due at one moment."""

    lapsing: list[str]
    escalating: list[str]
    calling: list[tuple[str, str]]
    publishing: list[str]
    payable: list[str]


# Each round is one read of one moment: what a transaction of its own costs is most of the cost of looking.


async def _due(session: AsyncSession, clock_us: int) -> auctions.Due:
    return await auctions.due(session, await market_time(session, clock_us))


async def _of_tenders(session: AsyncSession, clock_us: int) -> tenders.Due:
    return await tenders.due(session, await market_time(session, clock_us))


async def _to_follow_up(session: AsyncSession, clock_us: int) -> _ToFollowUp:
    now_us = await market_time(session, clock_us)
    return _ToFollowUp(
        now_us,
        await money.first_due(session, now_us),
        await controls.silent(session, now_us),
        await negotiation.due(session, now_us),
        await metering.due(session, now_us),
        await revenue.due(session, now_us),
        await freshness.due(session, now_us),
    )


async def _after_sales(session: AsyncSession, clock_us: int) -> _AfterSales:
    now_us = await market_time(session, clock_us)
    return _AfterSales(
        await acceptance.lapsing(session, now_us),
        await complaints.escalating(session, now_us),
        await deletion.calling(session, now_us),
        await usecases.publishing(session, now_us),
        await mediation.payable(session),
    )


async def _to_register(session: AsyncSession, clock_us: int) -> tuple[int, effects.Due]:
    now_us = await market_time(session, clock_us)
    return now_us, await effects.due(session, now_us)


async def _full_tiles(session: AsyncSession) -> int:
    return (await log.read_head(await driver(session))).edge.size // TILE
