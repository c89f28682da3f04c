"""Who calls, at what time, in which batch: the one write path, and the only commit.

The gate takes whatever acts wait and opens one READ COMMITTED transaction for all of them. It locks the log
head first, in a statement of its own, reads what the decisions need in later statements, lets the rooms
decide in order, writes with few set-based statements and commits once; only then is a checkpoint signed and
each caller answered. Log order is decision order, whichever process decided.

- An act that raises drops alone. What fails a whole batch (a database error, a defect of a batched room)
  re-runs it one act at a time.
- A connection lost around COMMIT leaves the outcome *unknown*: the batch is run again on a new connection,
  whose lock on the head waits for the old transaction's end; what had committed is then found under its
  identifier, what had not is decided now.
- With a synchronous standby a batch counts as committed when the standby has it too. A COMMIT whose wait for the
  standby was cancelled (PostgreSQL warns of it, and returns) is unknown like a lost connection; what is then found
  committed is answered only behind another commit that the standby confirmed, and so is a head that is served.
- While the server works for one batch, the batch before is answered: neither waits for the other.
- Of several processes none stops the others: what a slow one has no time for waits in its own queue, and from one that is
  paused the next takes the head away.
- Guarantee: an answer given is durable, logged and proven by its receipt.
"""

# ruff: noqa: S608  # the only text put into statements is frames of this file

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from base64 import b64encode
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from itertools import accumulate, groupby
from typing import Any, TypeGuard, TypeVar

import orjson
import psycopg
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from exchange.acts import Act, Asked, Batched, Caller, Chance, Plain, Transaction
from exchange.crash import reach
from exchange.database import Database, confirm, driver, require_standby
from exchange.errors import Conflict, ExchangeError, Unavailable, Unprocessable
from ledger import log
from ledger.book import Book
from ledger.checkpoint import Signer, sign
from ledger.chunks import entries_of
from ledger.entries import SALT_BYTES, Entry, Receipt, canonical, receipt_to_json
from ledger.errors import CanonicalError
from ledger.pipeline import SPLIT, Pipeline, Rows, Statement, joined, together

QUEUE_LIMIT = 4096
"""Acts that may wait; past it callers are told to come back (admission stands before the database)."""

WAIT_S = 0.5
"""How long the first of more acts than a batch takes may have waited; past it further ones are turned away: a queue that
is longer than callers are patient does work that nobody hears of, and does it twice."""

BATCH_LIMIT = 512
"""Acts of one transaction: bounds how long the head is held, to some 25 ms of the hot path, and leaves half of a
large crowd to be answered, and to come again, while the other half is decided."""

PLAIN_LIMIT = 64
"""Plain acts among them: each costs a savepoint and its own queries."""

HOLD_S = 0.15
"""How long plain acts hold the head: what is then left of a batch goes into the next one. Another process that serves
the same market waits no longer, however slow the machine is at the moment."""

SILENT_S, PATIENT_S = 0.4, 1.5
"""How long a process that holds the head may say nothing before another one that wants it takes it away: a process that is
paused stops the market no longer than that. One that lost a batch so has more time when it runs it again: closing a lot
with a great many bids is slow without being paused."""

RECENT = 8192
"""Answers of a crowd that are kept to be given again: whoever missed one costs no second look into the log."""

RECOVERY_S = 15.0
"""How long the gate tries to reach the database again before its callers are told to look up later."""

TELL_S = 0.01
"""How long the answers of a batch wait for the next one's turn at the server, which another process may hold up."""

FEW = 24
"""So many answers are given while the server reads for the next batch; more wait until it writes, which takes it longer."""

LOSSES_LIMIT = 3
"""How often one act alone may cost the connection (by outlasting the server's limit, say) before it is given up."""

UNSTORABLE = (psycopg.DataError, DataError)

# Row by row through the primary key: a plan that was kept from when the table was small would read all of it.
_KNOWN = (
    f"SELECT w.position, r.digest, r.log_index FROM unnest({SPLIT}, {SPLIT})"
    " WITH ORDINALITY AS w(party, key, position) CROSS JOIN LATERAL (SELECT digest, log_index FROM request"
    " WHERE party = w.party AND key = w.key LIMIT 1) r"
)
_MARKET = "SELECT offset_us, keys_version, current_setting('synchronous_standby_names') <> '' FROM market WHERE id = 1"
_SHOW = "INSERT INTO entry_reader (party, log_index) SELECT * FROM unnest(%s::text[], %s::bigint[])"
_REMEMBER = (
    "INSERT INTO request (party, key, digest, log_index)"
    " SELECT party, key, substr(%s::bytea, (32 * at - 31)::int, 32), log_index"
    f" FROM unnest({SPLIT}, {SPLIT}, {SPLIT}::bigint[]) WITH ORDINALITY AS n(party, key, log_index, at)"
)

_AGAIN = "SET LOCAL application_name = 'exchange gate again'"
_SILENT = (
    "SELECT h.pid, h.query_start, h.state_change FROM unnest(pg_blocking_pids(%s)) AS b(pid)"
    " JOIN pg_stat_activity h ON h.pid = b.pid WHERE h.wait_event = 'ClientRead'"
    " AND greatest(h.query_start, h.state_change) < clock_timestamp() - make_interval(secs =>"
    " CASE h.application_name WHEN 'exchange gate' THEN %s WHEN 'exchange gate again' THEN %s END)"
)
"""Whoever holds what a session waits for, while its server waits for it; anything it does moves one of the times."""

logger = logging.getLogger(__name__)

R = TypeVar("R")


def staying() -> bool:
    """Of a caller who does not go away while it waits, or whose going away nobody could tell: never gone."""
    return False


@dataclass(frozen=True, slots=True)
class Reply:
    """An acknowledged act: what came of it, and the receipt that proves it. Both are JSON, ready to send."""

    index: int
    outcome: bytes
    receipt: bytes
    refused: bool
    repeated: bool

    def json(self) -> bytes:
        """The body of the answer."""
        return b'{"outcome":' + self.outcome + b',"receipt":' + self.receipt + b"}"


@dataclass(slots=True, eq=False)
class _Call:
    """One act on its way through the gate; what was decided is forgotten when its transaction fails."""

    decide: Any
    asked: Asked
    digest: bytes
    since_s: float
    """On the loop's clock."""
    until_us: int | None = None
    """Until when, on the market's clock, it may be decided."""
    rehearsed: bool = False
    """Whether all that it does is undone again."""
    urgent: bool = False
    answers: list[asyncio.Future[Reply] | _Part] = field(default_factory=list)
    """One for each who waits: whoever goes away ends the own one, never the act."""
    gone: list[Callable[[], bool]] = field(default_factory=list)
    """For each who waits, how to learn that nobody is there any more."""
    entries: Sequence[Entry] = ()
    readers: Collection[str] = ()
    body: bytes = b""
    outcome: bytes = b""
    refused: bool = False
    error: Exception | None = None
    repeat_of: int | None = None

    def wait(self, gone: Callable[[], bool]) -> asyncio.Future[Reply]:
        """A future of the answer, for one more who waits."""
        answer = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        self.gone.append(gone)
        return answer

    def deserted(self) -> bool:
        """Whether nobody is left who would hear the answer."""
        return all(gone() for gone in self.gone)

    def forget(self) -> None:
        self.entries, self.readers, self.body, self.outcome, self.refused = (), (), b"", b"", False
        self.error, self.repeat_of = None, None

    def open(self) -> bool:
        """Whether this act still has to be decided."""
        return self.repeat_of is None and self.error is None


@dataclass(slots=True)
class _Whole:
    """The answers to acts that were sent together, for one who waits for all of them."""

    replies: list[Reply | Exception | None]
    missing: int
    told: asyncio.Future[None]


@dataclass(slots=True)
class _Part:
    """The place of one answer among them; what the gate does with a future, without the cost of one."""

    whole: _Whole
    at: int
    repeated: bool

    def done(self) -> bool:
        return self.whole.told.done()

    def set_result(self, reply: Reply) -> None:
        self._put(replace(reply, repeated=True) if self.repeated else reply)

    def set_exception(self, error: Exception) -> None:
        self._put(error)

    def exception(self) -> None:
        """Nothing to mark: an error is an answer here."""

    def _put(self, answer: Reply | Exception) -> None:
        self.whole.replies[self.at] = answer
        self.whole.missing -= 1
        if not self.whole.missing:
            self.whole.told.set_result(None)


class _Rehearsed(Exception):
    """An act that was decided and undone again: what would have come of it."""

    def __init__(self, outcome: bytes) -> None:
        super().__init__("rehearsed")
        self.outcome = outcome


@dataclass(slots=True)
class _Committed:
    """A batch that is durable and not answered yet; `firsts` are the first answers to acts that it repeats."""

    batch: list[_Call]
    appended: log.Appended | None
    firsts: dict[int, Reply]
    replies: list[Reply | Exception] | None = None


@dataclass(slots=True)
class Gate:
    """The one door to the rooms for whoever writes.

    `clock` gives microseconds since the epoch, `chance` bytes; both are arguments so that a simulator replays.
    """

    database: Database
    signer: Signer
    mac_key: bytes = field(repr=False)
    clock: Callable[[], int]
    chance: Chance = secrets.token_bytes
    keys_version: int = -1
    """The market's count of ended keys, as the last batch read it at `keys_seen_s` of the monotonic clock."""
    keys_seen_s: float = float("-inf")
    _waiting: deque[_Call] = field(default_factory=deque)
    _urgent: deque[_Call] = field(default_factory=deque)
    _in_flight: dict[tuple[str, str], _Call] = field(default_factory=dict)
    _recent: OrderedDict[tuple[str, str], tuple[bytes, Reply]] = field(default_factory=OrderedDict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _flusher: asyncio.Task[None] | None = None
    _watching: asyncio.Task[None] | None = None
    _session: AsyncConnection | None = None
    _connection: psycopg.AsyncConnection[Any] | None = None
    _committed: _Committed | None = None
    _confirmed: int = 0
    """Size of the log that the synchronous standby is known to have; stays 0 without one."""
    _doubts: list[asyncio.Future[None]] = field(default_factory=list)
    _warned: bool = False
    _closing: bool = False
    _listeners: set[Callable[[int], None]] = field(default_factory=set)

    async def start(self) -> None:
        """Take a connection and begin to serve."""
        await self._connect()
        self._flusher = asyncio.create_task(self._serve(), name="gate")

    async def stop(self) -> None:
        """Finish what waits, then let go of the connection."""
        self._closing = True
        self._wake.set()
        if self._flusher is not None:
            await self._flusher
        await self._disconnect()

    async def read(self, ask: Callable[..., Awaitable[R]], *args: Any) -> R:
        """Let a room read: `ask(session, *args)` in a read-only transaction.

        Unprocessable where an argument is nothing that a row could hold.
        """
        try:
            async with self.database.reader() as session:
                return await ask(session, *args)
        except UNSTORABLE as error:
            raise _told(error) from error

    async def now_us(self) -> int:
        """The market's time for a reader: never behind the log's."""
        return await self.read(market_time, self.clock())

    async def head(self) -> log.Head:
        """The head of the log as it may be served: nothing will take it back.

        With a synchronous standby it is one that the standby has. Unavailable where that cannot be had now, or
        where the server that was read is behind what this process answered.
        """
        known = self._confirmed
        head = await self.read(_head)
        self._require_own(head)
        if head.edge.size < known:
            raise Unavailable("database.stale", "a server was read that is primary no more", retry_after_s=1)
        await self.confirm(head.edge.size)
        return head

    async def confirm(self, size: int) -> None:
        """Return when a log of `size` entries that was read cannot be taken back: at once without a synchronous
        standby, and otherwise when the standby has them.

        Unavailable where that cannot be had now.
        """
        if not self.database.synchronous or size <= self._confirmed:
            return
        if self._closing or self._flusher is None:
            raise Unavailable("gate.closed", "this process is stopping", retry_after_s=2)
        doubt: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._doubts.append(doubt)
        self._wake.set()
        await doubt
        self._confirmed = max(self._confirmed, size)

    def subscribe(self, listener: Callable[[int], None]) -> Callable[[], None]:
        """Be told the new size of the log after each batch of this process; returns how to leave."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    @property
    def pressed(self) -> bool:
        """Whether more acts wait than the next batch takes."""
        return len(self._waiting) > BATCH_LIMIT

    @property
    def full(self) -> bool:
        """Whether as many acts wait as may, or too long: a further one is turned away, unless it is urgent."""
        return len(self._waiting) >= QUEUE_LIMIT or (
            self.pressed and asyncio.get_running_loop().time() > self._waiting[0].since_s + WAIT_S
        )

    async def perform(
        self,
        decide: Plain[Any] | Batched,
        act: Act,
        *,
        caller: Caller,
        key: str,
        urgent: bool = False,
        gone: Callable[[], bool] = staying,
        until_us: int | None = None,
    ) -> Reply:
        """Decide `act` under the caller's identifier `key`, once for ever.

        The same identifier with the same act gets the first answer again (`repeated`); with another act,
        Unprocessable. `urgent` acts (closing, halting) go before all others. An act whose callers are all `gone` when
        its turn comes is not decided: they count it as unknown, and send it again; nor is one that comes to its turn
        after `until_us`, which is a Conflict then. Raises what the room raised, and
        Unavailable when the queue is full or the database cannot be reached: look the identifier up, or ask
        again under it, to learn whether it took effect.
        """
        caller.within(act.scope)
        try:
            digest = act.digest()
        except CanonicalError as error:
            raise _told(error) from error
        if "\x1f" in key:
            raise Unprocessable(
                "request.identifier",
                "the identifier holds a control character",
                field="Idempotency-Key",
                rule="an identifier is printable",
                remedy="use letters and digits",
            )
        name = (caller.party, key)
        given = self._recent.get(name)
        if given is not None:
            if given[0] != digest:
                raise _another_act(key)
            return replace(given[1], repeated=True)
        first = self._in_flight.get(name)
        if first is not None:
            if first.digest != digest:
                raise _another_act(key)
            reply = await first.wait(gone)
            return replace(reply, repeated=True)
        if self._closing or self._flusher is None:
            raise Unavailable("gate.closed", "this process is stopping", retry_after_s=2)
        if self.full and not urgent:
            raise Unavailable("gate.full", f"{len(self._waiting)} acts are waiting", retry_after_s=1)
        now_s = asyncio.get_running_loop().time()
        call = _Call(decide, Asked(act, caller, key), digest, now_s, until_us, urgent=urgent)
        self._in_flight[name] = call
        (self._urgent if urgent else self._waiting).append(call)
        self._wake.set()
        return await call.wait(gone)

    async def perform_all(
        self, decide: Batched, acts: Sequence[tuple[Act, str]], *, caller: Caller
    ) -> list[Reply | Exception]:
        """Decide acts in the order given, each under its own identifier, as `perform` does each; an error is an
        answer. Unavailable, and nothing was decided, where there is no room.
        """
        if self._closing or self._flusher is None:
            raise Unavailable("gate.closed", "this process is stopping", retry_after_s=2)
        if self.full:
            raise Unavailable("gate.full", f"{len(self._waiting)} acts are waiting", retry_after_s=1)
        loop = asyncio.get_running_loop()
        whole = _Whole([None] * len(acts), len(acts), loop.create_future())
        now_s, party = loop.time(), caller.party
        for at, (act, key) in enumerate(acts):
            caller.within(act.scope)
            digest, name = act.digest(), (party, key)
            first = self._in_flight.get(name)
            if first is None:
                call = _Call(decide, Asked(act, caller, key), digest, now_s)
                call.answers.append(_Part(whole, at, False))
                call.gone.append(staying)
                self._in_flight[name] = call
                self._waiting.append(call)
            elif first.digest == digest:
                first.answers.append(_Part(whole, at, True))
                first.gone.append(staying)
            else:
                _Part(whole, at, False).set_exception(_another_act(key))
        self._wake.set()
        if acts:
            await whole.told
        return [answer for answer in whole.replies if answer is not None]

    async def rehearse(self, decide: Plain[Any], act: Act, *, caller: Caller) -> bytes:
        """What would come of an act now: decided at its turn as any other, and undone again. Raises what the room raises."""
        caller.within(act.scope)
        if self.full:
            raise Unavailable("gate.full", f"{len(self._waiting)} acts are waiting", retry_after_s=1)
        asked = Asked(act, caller, f"rehearsal-{secrets.token_hex(16)}")
        call = _Call(decide, asked, act.digest(), asyncio.get_running_loop().time(), rehearsed=True)
        answer = call.wait(staying)
        self._waiting.append(call)
        self._wake.set()
        try:
            await answer
        except _Rehearsed as rehearsed:
            return rehearsed.outcome
        raise AssertionError("a rehearsal took effect")

    async def look_up(self, party: str, key: str) -> Reply | None:
        """The first answer given under an identifier, or None where no act of that identifier took effect."""
        waiting = self._in_flight.get((party, key))
        if waiting is not None:
            # Whether it took effect is then read from the database, and so is the first answer.
            await asyncio.wait([waiting.wait(staying)])
        async with self.database.reader() as session:
            connection = await driver(session)
            cursor = await connection.execute(
                "SELECT log_index FROM request WHERE party = %s AND key = %s", (party, key)
            )
            row = await cursor.fetchone()
            reply = None if row is None else (await self._first_answers(connection, row))[row[0]]
        if reply is not None:
            await self.confirm(reply.index + 1)
        return reply

    async def receipt(self, index: int) -> Receipt:
        """The receipt of any entry, made again as it was first given; the door judges who may have it."""
        async with self.database.reader() as session:
            receipt = await log.receipt(await driver(session), index, self.signer)
        await self.confirm(receipt.size)
        return receipt

    async def _serve(self) -> None:
        while True:
            batch: list[_Call] = []
            plain = 0
            stale_s = asyncio.get_running_loop().time() - WAIT_S
            for queue in (self._urgent, self._waiting):
                while queue and len(batch) < BATCH_LIMIT and plain < PLAIN_LIMIT:
                    call = queue.popleft()
                    if call.since_s < stale_s and call.deserted():
                        self._fail(call, Unavailable("gate.gone", "nobody waited for the answer any more"))
                        continue
                    batch.append(call)
                    plain += not _is_batched(call.decide)
            if not batch:
                self._tell()
            if batch or self._doubts:
                try:
                    await self._settle(batch, asyncio.get_running_loop().time() + RECOVERY_S)
                except Exception as error:  # the gate outlives every batch; callers get the error
                    for call in batch:
                        self._fail(call, error)
                    doubts, self._doubts = self._doubts, []
                    for doubt in doubts:
                        if not doubt.done():
                            doubt.set_exception(error)
            elif self._closing:
                return
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _settle(self, batch: list[_Call], deadline: float) -> None:
        """Bring a batch to its commit, whatever the database does meanwhile; it is answered with the next one.

        Unavailable where the database cannot be reached by `deadline`, on the loop's clock.
        """
        losses = 0
        while True:
            try:
                await self._run(batch, again=losses > 0)
                return
            except Exception as error:
                if self._connection is None or self._connection.closed:
                    losses += 1
                    logger.warning("the database went away, batch of %d is run again: %s", len(batch), error)
                    await self._reconnect(deadline)
                    if asyncio.get_running_loop().time() > deadline:
                        raise _unknown("the database does not answer in time") from None
                    if losses < (2 if len(batch) > 1 else LOSSES_LIMIT):
                        continue
                    error = _unknown("the database went away again and again under this act")
                if not batch:
                    raise error from None
                if _out_of_room(error):  # act by act it would be the same, and the server has enough to do
                    full = _told(error)
                    for call in batch:
                        self._fail(call, full)
                    return
                if len(batch) == 1:
                    self._fail(batch[0], _told(error))
                    return
                logger.warning("a batch of %d failed and is run act by act: %s", len(batch), error)
                for call in batch:
                    try:
                        if losses and asyncio.get_running_loop().time() > deadline:
                            raise _unknown("the database does not answer in time")
                        await self._settle([call], deadline)
                    except Exception as alone:  # one poisoned act fails alone
                        self._fail(call, alone)
                return

    async def _run(self, batch: list[_Call], *, again: bool) -> None:
        """One transaction for the batch: lock, read, decide, write, commit; the batch before is answered meanwhile.

        Of a batch that would hold the head too long a part is taken out again, and waits for its turn as before.
        """
        if self._connection is None or self._session is None:
            raise psycopg.OperationalError("no connection")
        connection = self._connection
        for call in batch:
            call.forget()
        doubts, self._doubts, self._warned = self._doubts, [], False
        reach("gate.before_head")
        loop = asyncio.get_running_loop()
        late = loop.call_later(TELL_S, self._tell)
        watch = loop.call_later(SILENT_S / 2, self._watch, connection.info.backend_pid)
        try:
            # Only plain acts speak through SQLAlchemy, whose transaction is then over before it learns of it.
            plain = any(not _is_batched(call.decide) for call in batch)
            async with self._session.begin() if plain else nullcontext():
                appended = await self._decide(connection, self._session, batch, again=again)
                if appended is None:
                    if self.database.synchronous and (
                        doubts or any(call.repeat_of is not None for call in batch)
                    ):
                        await confirm(connection)
                    else:
                        await connection.rollback()
            if self._warned:
                await connection.close()
                raise psycopg.OperationalError("COMMIT returned without the standby")
            repeated = {call.repeat_of for call in batch if call.repeat_of is not None}
            firsts = await self._first_answers(connection, repeated) if repeated else {}
            if firsts:
                await connection.rollback()
        except BaseException:
            self._doubts += doubts
            await _let_go(connection)
            raise
        finally:
            late.cancel()
            watch.cancel()
            if self._watching is not None:
                self._watching.cancel()
                self._watching = None
            self._tell()
        if self.database.synchronous and appended is not None:
            self._confirmed = appended.head.edge.size
        for doubt in doubts:
            if not doubt.done():
                doubt.set_result(None)
        self._committed = _Committed(batch, appended, firsts)

    def _watch(self, pid: int) -> None:
        """This batch takes long: see whether it waits for a process that is paused."""
        self._watching = asyncio.create_task(self._end_the_silent(pid), name="watch")

    async def _end_the_silent(self, pid: int) -> None:
        """As long as the session `pid` waits: end the one that keeps it waiting and says nothing any more."""
        with suppress(psycopg.Error, OSError):
            connection = await self.database.connect(application_name="exchange watch")
            try:
                await connection.set_autocommit(True)
                before = None
                while True:
                    cursor = await connection.execute(_SILENT, (pid, SILENT_S, PATIENT_S))
                    silent = await cursor.fetchone()
                    if silent is not None and silent == before:
                        logger.warning(
                            "another process holds the log and is silent; its session %d is ended", silent[0]
                        )
                        await connection.execute("SELECT pg_terminate_backend(%s)", (silent[0],))
                    before = silent
                    await asyncio.sleep(SILENT_S / 10)
            finally:
                await connection.close()

    def _prepare(self) -> None:
        """Sign the checkpoint of the batch that committed last, which is only done after COMMIT returned, and make
        the answers."""
        committed = self._committed
        if committed is not None and committed.replies is None:
            committed.replies = self._answers(committed)

    def _tell(self) -> None:
        """Answer the callers of the batch that committed last; a second time does nothing."""
        self._prepare()
        committed, self._committed = self._committed, None
        crowded = (
            self.pressed
        )  # otherwise hardly anybody misses an answer, and keeping them only costs memory
        if committed is None or committed.replies is None:
            return
        if committed.appended is not None:
            reach("gate.before_answer")
            for listener in list(self._listeners):
                listener(committed.appended.head.edge.size)
        for call, reply in zip(committed.batch, committed.replies, strict=True):
            if isinstance(reply, Exception):
                self._fail(call, reply)
            else:
                self._leave(call)
                if crowded:
                    self._recent[call.asked.caller.party, call.asked.key] = (call.digest, reply)
                    if len(self._recent) > RECENT:
                        self._recent.popitem(last=False)
                for answer in call.answers:
                    if not answer.done():
                        answer.set_result(reply)

    async def _decide(
        self,
        connection: psycopg.AsyncConnection[Any],
        session: AsyncConnection,
        batch: list[_Call],
        *,
        again: bool,
    ) -> log.Appended | None:
        """Everything from the lock to the COMMIT; None where the batch has nothing to log."""
        runs = [list(run) for _, run in groupby(batch, key=lambda call: call.decide)]
        async with Pipeline(connection) as pipeline:
            if again:
                pipeline.send([(_AGAIN, ())])
                await pipeline.results()
            named = joined([c.asked.caller.party for c in batch]), joined([c.asked.key for c in batch])
            wanted = _reads(runs[0] if runs else [])
            pipeline.send([(log.LOCK_HEAD, ()), (_MARKET, ()), (_KNOWN, named), *wanted])
            pipeline.flush()
            self._prepare()
            if self._committed is not None and len(self._committed.batch) <= FEW:
                self._tell()
            locked, markets, known, *rows = await pipeline.results()
        if not (locked and markets):
            raise Unavailable("market.missing", "the database holds no market", remedy="run `exchange init`")
        (market,) = markets
        if self.database.synchronous:
            require_standby(market[2])
        head = log.Head.from_row(*locked)
        self._require_own(head)
        now_us = max(head.time_us, self.clock() + market[0])
        self.keys_version, self.keys_seen_s = market[1], time.monotonic()
        for position, digest, index in known:
            call = batch[position - 1]
            if digest == call.digest:
                call.repeat_of = index
            else:
                call.error = _another_act(call.asked.key)
        reach("gate.after_head")

        until_s = asyncio.get_running_loop().time() + HOLD_S
        writes = await self._rule(connection, session, runs, rows, now_us, head.edge.size, until_s)
        self._put_back(batch, sum(map(len, runs)))
        reach("gate.decided")

        logged = [call for call in batch if call.entries]
        if not logged:
            return None
        writes += _kept(logged, head.edge.size)
        reach("gate.before_commit")
        async with Pipeline(connection) as pipeline:
            # The server is at these while the tree grows here, and at the rest while the batch before is answered.
            pipeline.send(writes)
            pipeline.flush()
            appended = log.append(head, [entry for call in logged for entry in call.entries], now_us)
            pipeline.send(appended.statements)
            pipeline.commit()
            pipeline.flush()
            self._tell()
            await pipeline.results()
        reach("gate.after_commit")
        return appended

    async def _rule(
        self,
        connection: psycopg.AsyncConnection[Any],
        session: AsyncConnection,
        runs: list[list[_Call]],
        rows: Sequence[Rows],
        now_us: int,
        index: int,
        until_s: float = float("inf"),
    ) -> list[Statement]:
        """Let the rooms decide, run by run, the first entry at `index`; `rows` are those that the first run asked for. What
        is still to be written comes back.

        At `until_s`, on the loop's clock, no further plain act is begun: what is left is taken out of `runs`.
        """
        time_s = asyncio.get_running_loop().time
        writes: list[Statement] = []
        for number, run in enumerate(runs):
            todo = [call for call in run if call.open()]
            if not todo:
                continue
            if not _is_batched(run[0].decide):
                await together(connection, writes)
                writes = []
                for call in todo:
                    if call is not runs[0][0] and time_s() > until_s:
                        del run[run.index(call) :], runs[number + 1 :]
                        return writes
                    if call.until_us is not None and now_us > call.until_us:
                        call.error = _expired(call.until_us, now_us)
                        continue
                    await self._decide_plain(connection, session, call, now_us, index)
                    index += len(call.entries)
                continue
            if number:
                asked = _reads(todo)
                rows = (await together(connection, [*writes, *asked]))[len(writes) :]
                writes = []
            rulings, more = run[0].decide.decide(now_us, index, [call.asked for call in todo], rows)
            writes.extend(more)
            salts = self.chance(SALT_BYTES * len(todo))  # in one draw: each is a call of the system
            for at, (call, ruling) in enumerate(zip(todo, rulings, strict=True)):
                if ruling.error is not None:
                    call.error = ruling.error
                    continue
                salt = salts[SALT_BYTES * at : SALT_BYTES * (at + 1)]
                call.entries = (Entry(run[0].decide.kind, now_us, salt, ruling.body),)
                call.body = ruling.body
                call.outcome, call.refused = ruling.outcome, ruling.refused
                call.readers = ruling.readers
                index += 1
        return writes

    async def decide_together(
        self,
        session: AsyncConnection,
        acts: Sequence[tuple[Plain[Any] | Batched, Asked]],
        now_us: int,
        append: Callable[[log.Head, Sequence[Sequence[Entry]]], log.Appended],
    ) -> log.Appended:
        """Decide acts beside the queue, as of a time that is given: all take effect in one transaction, or none.

        `append` puts their entries, act by act, behind the head, or raises what undoes them all; so does the error of
        any act. For whoever has a say in what the log becomes: recalling what was decided before, ending a log.
        """
        connection = await driver(session)
        batch = [
            _Call(decide, asked, asked.act.digest(), 0.0) for decide, asked in acts
        ]  # nobody waits for them
        runs = [list(run) for _, run in groupby(batch, key=lambda call: call.decide)]
        async with session.begin():
            locked, *rows = await together(connection, [(log.LOCK_HEAD, ()), *_reads(runs[0])])
            if not locked:
                raise Unavailable(
                    "market.missing", "the database holds no market", remedy="run `exchange init`"
                )
            head = log.Head.from_row(*locked)
            writes = await self._rule(connection, session, runs, rows, now_us, head.edge.size)
            for call in batch:
                if call.error is not None:
                    raise call.error
            appended = append(head, [call.entries for call in batch])
            await together(connection, [*writes, *_kept(batch, head.edge.size), *appended.statements])
        return appended

    async def _decide_plain(
        self,
        connection: psycopg.AsyncConnection[Any],
        outer: AsyncConnection,
        call: _Call,
        now_us: int,
        index: int,
    ) -> None:
        """Decide one act in a savepoint of its own: what it raises undoes it alone."""
        savepoint = await outer.begin_nested()
        session = AsyncSession(bind=outer, join_transaction_mode="rollback_only", expire_on_commit=False)
        try:
            tx = Transaction(
                now_us=now_us,
                index=index,
                caller=call.asked.caller,
                key=call.asked.key,
                session=session,
                book=Book(connection, self.mac_key),
                chance=self.chance,
            )
            record = await call.decide(tx, call.asked.act)
            await session.flush()
            call.body = tx.body(record)
            call.entries = entries_of(record.kind, now_us, call.body, index, self.chance)
            call.readers, call.outcome = record.readers, canonical(record.act)
            call.refused = record.act.get("state") == "refused"
        except (psycopg.Error, DBAPIError, OSError):
            raise
        except Exception as error:  # an act's own fault must not cost the batch
            await savepoint.rollback()
            call.entries = ()
            call.error = _told(error)
        else:
            if call.rehearsed:
                await savepoint.rollback()
                call.entries, call.error = (), _Rehearsed(call.outcome)
            else:
                await savepoint.commit()
        finally:
            await session.close()

    def _answers(self, committed: _Committed) -> list[Reply | Exception]:
        """What each caller of a batch is answered."""
        appended = committed.appended
        note, at, first = b"", 0, 0
        if appended is not None:
            note = orjson.dumps(sign(appended.head.checkpoint(), self.signer))
            first = appended.head.edge.size - len(appended.leaves)
        replies: list[Reply | Exception] = []
        for call in committed.batch:
            if call.entries and appended is not None:
                entry = call.entries[0]
                receipt = b'{"body":%b,"checkpoint":%b,"index":"%d","leaf":"%b","proof":%b,"salt":"%b"%b}' % (
                    orjson.dumps(entry.body.decode()),
                    note,
                    first + at,
                    b64encode(appended.leaves[at]),
                    appended.proofs[at].encode(),
                    entry.salt.hex().encode(),
                    b"" if len(call.entries) == 1 else b',"whole":' + orjson.dumps(call.body.decode()),
                )
                replies.append(Reply(first + at, call.outcome, receipt, call.refused, repeated=False))
                at += len(call.entries)
            elif call.repeat_of is not None:
                replies.append(committed.firsts[call.repeat_of])
            else:
                replies.append(call.error or RuntimeError("an act that nobody decided"))
        return replies

    async def _first_answers(
        self, connection: psycopg.AsyncConnection[Any], indices: Collection[int]
    ) -> dict[int, Reply]:
        replies = {}
        for index, receipt in (await log.receipts(connection, indices, self.signer)).items():
            act = receipt.said()["act"]
            replies[index] = Reply(
                index,
                canonical(act),
                orjson.dumps(receipt_to_json(receipt), option=orjson.OPT_SORT_KEYS),
                act.get("state") == "refused",
                repeated=True,
            )
        return replies

    def _require_own(self, head: log.Head) -> None:
        """Conflict where the log has ended under the name that this process signs, and goes on under another."""
        if head.origin != self.signer.name:
            raise Conflict(
                "log.ended",
                f"the log {self.signer.name} has ended; {head.origin} goes on from it",
                rule="an ended log takes no further entry and signs nothing (GET /v1/log/ended)",
                remedy=f"ask {head.origin}; its operator sets EXCHANGE_ORIGIN to that and starts anew",
            )

    def _put_back(self, batch: list[_Call], taken: int) -> None:
        """Leave in the batch what was taken of it, and put the others first in the queues from which they came."""
        for call in reversed(batch[taken:]):
            (self._urgent if call.urgent else self._waiting).appendleft(call)
        del batch[taken:]

    def _leave(self, call: _Call) -> None:
        self._in_flight.pop((call.asked.caller.party, call.asked.key), None)

    def _fail(self, call: _Call, error: Exception) -> None:
        self._leave(call)
        for answer in call.answers:
            if not answer.done():
                answer.set_exception(error)
                answer.exception()  # marked as seen: the caller may have gone away

    async def _connect(self) -> None:
        self._session = await self.database.writer_connection()
        self._connection = await driver(self._session)
        if self.database.synchronous:
            self._connection.add_notice_handler(self._hear)

    def _hear(self, notice: psycopg.errors.Diagnostic) -> None:
        """Any warning is taken for the one that the wait for the standby was cancelled: its words depend on the
        server's language, and nothing that the gate does gives another."""
        if notice.severity_nonlocalized == "WARNING":
            logger.warning("the database warned: %s", notice.message_primary)
            self._warned = True

    async def _disconnect(self) -> None:
        session, self._session, self._connection = self._session, None, None
        if session is not None:
            await session.close()

    async def _reconnect(self, deadline: float) -> None:
        if self._session is not None:
            await self._session.invalidate()
        await self._disconnect()
        while self._connection is None:
            try:
                await self._connect()
            except (psycopg.Error, DBAPIError, OSError, Unavailable) as error:
                if asyncio.get_running_loop().time() > deadline:
                    if isinstance(error, Unavailable):
                        raise
                    raise _unknown("the database cannot be reached") from None
                await asyncio.sleep(0.1)


async def market_time(session: AsyncSession, clock_us: int) -> int:
    """The market's time when this machine's clock says `clock_us`: never behind the log's."""
    connection = await driver(session)
    cursor = await connection.execute(
        "SELECT h.time_us, m.offset_us FROM log_head h CROSS JOIN market m WHERE h.id = 1"
    )
    row = await cursor.fetchone()
    return max(row[0], clock_us + row[1]) if row else clock_us


async def _head(session: AsyncSession) -> log.Head:
    return await log.read_head(await driver(session))


async def _let_go(connection: psycopg.AsyncConnection[Any]) -> None:
    """Undo what is open; a connection that cannot do even that is closed, and so counts as lost.

    libpq may take a connection that the server ended in the middle of a pipeline for an open one.
    """
    try:
        await connection.rollback()
    except psycopg.Error:
        await connection.close()


def _is_batched(decide: Plain[Any] | Batched) -> TypeGuard[Batched]:
    """A plain room is a function, a batched one an object: to ask a protocol for its members costs as much as a statement."""
    return not callable(decide)


def _reads(run: Sequence[_Call]) -> Sequence[Statement]:
    """What a batched run asks for before it decides; nothing for a plain one."""
    if not run or not _is_batched(run[0].decide):
        return []
    return run[0].decide.reads([call.asked for call in run])


def _kept(logged: Sequence[_Call], first: int) -> list[Statement]:
    """Who may read the entries of these acts, the first of them at `first`, and under which identifier each is found."""
    indices = list(accumulate((len(call.entries) for call in logged[:-1]), initial=first))
    shown = [
        (party, index)
        for call, index in zip(logged, indices, strict=True)
        for party in sorted({*call.readers} - {call.asked.caller.party})
    ]
    remember = (
        _REMEMBER,
        (
            b"".join([call.digest for call in logged]),
            joined([call.asked.caller.party for call in logged]),
            joined([call.asked.key for call in logged]),
            joined(map(str, indices)),
        ),
    )
    return [*([(_SHOW, tuple(map(list, zip(*shown, strict=True))))] if shown else []), remember]


def _another_act(key: str) -> Unprocessable:
    return Unprocessable(
        "request.identifier_reused",
        f"identifier {key!r} was used for another request",
        field="Idempotency-Key",
        rule="one identifier, one request",
        remedy="use a fresh identifier for a new request",
    )


def _expired(until_us: int, now_us: int) -> Conflict:
    return Conflict(
        "request.expired",
        f"this request could be executed until {until_us}; it came to its turn at {now_us}",
        field="Request-Expires",
        rule="a request is not executed after the time that its sender set, by the market's clock",
        remedy="nothing of it took effect; send it anew, with a later time, if you still want it",
    )


def _unknown(detail: str) -> Unavailable:
    return Unavailable(
        "database.unreachable",
        f"the outcome is unknown: {detail}",
        retry_after_s=5,
        remedy="look the identifier up, or send the same request again under it",
    )


def _out_of_room(error: Exception) -> bool:
    """Whether the server's disk is full."""
    return isinstance(getattr(error, "orig", error), psycopg.errors.DiskFull)


def _told(error: Exception) -> Exception:
    """What the caller is told of an act that failed: rules by name, a defect without its inside."""
    match error:
        case ExchangeError():
            return error
        case psycopg.DataError() | DataError():
            logger.warning("a value that no row can hold: %s", error)
            return Unprocessable(
                "request.value",
                "a value of this request cannot be stored",
                rule="texts without NUL, numbers within 64 bits",
                remedy="correct the value",
            )
        case CanonicalError():
            return Unprocessable(
                "body.not_canonical", str(error), field=error.field, rule=error.rule, remedy=error.remedy
            )
        case _ if _out_of_room(error):
            logger.warning("the database has no room left: %s", error)
            return Unavailable(
                "database.full",
                "the disk of the database is full; nothing of this request took effect",
                retry_after_s=5,
                remedy="send it again under the same identifier once the operator has made room",
            )
        case psycopg.OperationalError() | DBAPIError(orig=psycopg.OperationalError()):
            logger.warning("the database could not do it: %s", error)
            return Unavailable(
                "database.unavailable",
                "the database could not do this now; nothing of it took effect",
                retry_after_s=2,
            )
        case _:
            logger.exception("an act failed by a defect", exc_info=error)
            return error
