"""Statements sent together on one connection: one write to the server, one wait for all that they return.

psycopg's own pipeline waits for the socket at each statement; a batch of a dozen costs it six times as much as this.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Generator, Iterable, Sequence
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self
from weakref import WeakKeyDictionary

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.waiting import Ready, Wait

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.pq.abc import PGresult

Statement = tuple[str, Sequence[Any]]
Rows = Sequence[tuple[Any, ...]]

SPLIT = "string_to_array(%s, U&'\\001F')"
joined = "\x1f".join
"""A column of hundreds of values travels as one text, `joined` by U+001F, which no identifier holds, and is `SPLIT` there:
an array of as many parameters costs the driver more than the server takes for the rows."""

_Query = tuple[bytes, tuple[int, ...]]
"""A statement's text and the types of its values."""
_PREPARED: WeakKeyDictionary[AsyncConnection[Any], dict[_Query, bytes]] = WeakKeyDictionary()
"""The names of what each connection has prepared."""
_numbers = itertools.count()


class Pipeline:
    """A stretch of a connection's time in which statements go out at once, and are waited for together.

    Guarantee: the statements take effect in the order sent; the first that fails ends all behind it, up to `results`,
    which raises its error. As everywhere in psycopg a transaction begins with the first statement, unless the connection
    commits by itself. Nobody else uses the connection meanwhile.

    A statement is prepared at its first use where the connection has `prepare_threshold=None`; elsewhere psycopg takes
    prepared ones away at each rollback, its own or not, and so each is planned anew.
    """

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection
        self._pq = connection.pgconn
        self._transformer = Transformer(connection)
        self._sent: list[_Query | Literal["begin", "commit"] | None] = []
        """For each result to come: what was prepared, or None where it has rows."""

    async def __aenter__(self) -> Self:
        begin = not self._connection.autocommit and self._pq.transaction_status == TransactionStatus.IDLE
        self._pq.enter_pipeline_mode()
        if begin:
            level = self._connection.isolation_level
            how = "" if level is None else f" ISOLATION LEVEL {level.name.replace('_', ' ')}"
            self._pq.send_query_params(f"BEGIN{how}".encode(), None)
            self._sent.append("begin")
        return self

    def send(self, statements: Iterable[Statement]) -> None:
        """Put these behind what was sent. What a value may be, and how it is written, is as for psycopg's `execute`."""
        prepared = (
            _PREPARED.setdefault(self._connection, {}) if self._connection.prepare_threshold is None else None
        )
        for sql, values in statements:
            text = _numbered(sql)
            parameters = self._transformer.dump_sequence(values, [PyFormat.AUTO] * len(values))
            types, formats = self._transformer.types or (), self._transformer.formats
            query = text, types
            if prepared is None:
                self._pq.send_query_params(text, parameters, types, formats)
            else:
                name = prepared.get(query)
                if name is None:
                    name = prepared[query] = b"pipeline_%d" % next(_numbers)
                    self._pq.send_prepare(name, text, types)
                    self._sent.append(query)
                self._pq.send_query_prepared(name, parameters, formats)
            self._sent.append(None)

    def commit(self) -> None:
        """Have all of it made durable behind what was sent."""
        self._pq.send_query_params(b"COMMIT", None)
        self._sent.append("commit")

    def flush(self) -> None:
        """Let the server begin with what was sent, while something else is done here."""
        self._pq.flush()

    async def results(self) -> list[Rows]:
        """The rows of each statement that was sent since the last time, none for one that returns none.

        psycopg's error of the first that failed; nothing behind that one took effect.
        """
        self._pq.pipeline_sync()
        results = await self._connection.wait(self._received())
        for result in results:
            if result.status == ExecStatus.FATAL_ERROR:
                raise psycopg.errors.error_from_result(result, self._connection.info.encoding)
        if len(results) < len(self._sent):
            raise psycopg.OperationalError("the connection was lost")
        rows: list[Rows] = []
        for made, result in zip(self._sent, results, strict=True):
            if made is None:
                self._transformer.set_pgresult(result)
                rows.append(self._transformer.load_rows(0, result.ntuples, tuple))
            elif made == "commit" and result.command_status != b"COMMIT":
                raise psycopg.errors.InFailedSqlTransaction("what was to be committed had failed before")
        self._sent = []
        return rows

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for made in self._sent:  # nothing is known of what has failed
            if isinstance(made, tuple):
                _PREPARED[self._connection].pop(made, None)
        try:
            if self._sent:
                self._pq.pipeline_sync()
                await self._connection.wait(self._received())
            self._pq.exit_pipeline_mode()
        except psycopg.Error:  # whoever uses it next learns that it is lost
            await self._connection.close()

    def _received(self) -> Generator[Wait, Ready | int, list[PGresult]]:
        """All results up to the end of what was sent, or fewer where the connection is lost before that."""
        results: list[PGresult] = []
        unsent = self._pq.flush()
        while True:
            while not self._pq.is_busy():
                result = self._pq.get_result()
                if result is None:  # between the results of two statements
                    if self._pq.status == ConnStatus.BAD:
                        return results
                elif result.status == ExecStatus.PIPELINE_SYNC:
                    return results
                else:
                    results.append(result)
            ready = yield Wait.RW if unsent else Wait.R
            if ready & Ready.R:
                self._pq.consume_input()
            if unsent:
                unsent = self._pq.flush()


async def together(connection: AsyncConnection[Any], statements: Sequence[Statement]) -> list[Rows]:
    """Run these in one round trip, none where there are none; the rows of each. As `Pipeline`."""
    if not statements:
        return []
    async with Pipeline(connection) as pipeline:
        pipeline.send(statements)
        return await pipeline.results()


@lru_cache(maxsize=1024)
def _numbered(sql: str) -> bytes:
    """psycopg's placeholders as the server counts them."""
    count = itertools.count(1)
    return re.sub("%[s%]", lambda found: "%" if found[0] == "%%" else f"${next(count)}", sql).encode()
