"""Statements sent together: in order, prepared once, and over at the first that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.database import Addresses
from ledger.pipeline import Pipeline, together

pytestmark = pytest.mark.anyio

NAMES = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'pipeline%%'"


def state(line: psycopg.AsyncConnection[Any]) -> str:
    return line.info.transaction_status.name


@pytest.fixture
async def line(database: Addresses) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A connection whose plans a pipeline keeps, with a table to write into."""
    assert database.owner_url is not None
    async with await psycopg.AsyncConnection.connect(database.owner_url, prepare_threshold=None) as found:
        await found.execute("CREATE TABLE said (n bigint PRIMARY KEY, text text)")
        await found.commit()
        yield found


async def test_each_statement_has_its_rows_in_the_order_sent(line: psycopg.AsyncConnection[Any]) -> None:
    assert await together(
        line,
        [
            ("INSERT INTO said VALUES (%s, %s), (%s, %s)", (1, "one", 2, "100 %")),
            ("SELECT n, text FROM said ORDER BY n", ()),
            ("SELECT text LIKE '100 %%' FROM said WHERE n = %s", (2,)),
            ("DELETE FROM said WHERE n = %s RETURNING text", (1,)),
        ],
    ) == [[], [(1, "one"), (2, "100 %")], [(True,)], [("one",)]]
    assert await together(line, []) == []


@given(
    st.lists(
        st.one_of(
            st.text(st.characters(exclude_characters="\0", codec="utf-8")),
            st.integers(-(2**63), 2**63 - 1),
            st.booleans(),
            st.none(),
            st.binary(),
        ),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_values_are_read_and_written_as_the_driver_does_alone(postgres: Any, values: list[Any]) -> None:
    async def both() -> tuple[Any, Any]:
        async with await psycopg.AsyncConnection.connect(postgres.app_url, prepare_threshold=None) as line:
            sql = f"SELECT {', '.join(['%s'] * len(values))}"
            alone = await (await line.execute(sql, values)).fetchall()
            first, again = await together(line, [(sql, values)]), await together(line, [(sql, values)])
            assert first == again
            return first[0], alone

    together_, alone = asyncio.run(both())
    assert together_ == alone


async def test_what_fails_takes_what_was_sent_behind_it_along(line: psycopg.AsyncConnection[Any]) -> None:
    insert = "INSERT INTO said VALUES (%s, %s)"
    async with Pipeline(line) as pipeline:
        pipeline.send([(insert, (1, "a")), (insert, (1, "b")), (insert, (2, "c"))])
        pipeline.commit()
        with pytest.raises(psycopg.errors.UniqueViolation):
            await pipeline.results()
    assert state(line) == "INERROR"
    await line.rollback()
    assert await together(line, [("SELECT n FROM said", ())]) == [[]]
    assert await together(line, [(insert, (1, "a"))]) == [[]]  # nor is a plan lost


async def test_an_error_between_sending_and_waiting_leaves_the_connection_usable(
    line: psycopg.AsyncConnection[Any],
) -> None:
    with suppress(ZeroDivisionError):
        async with Pipeline(line) as pipeline:
            pipeline.send([("INSERT INTO said VALUES (1, 'a')", ())])
            raise ZeroDivisionError
    await line.rollback()
    assert await together(line, [("SELECT n FROM said", ())]) == [[]]


async def test_a_commit_is_durable_and_the_next_statement_begins_anew(
    line: psycopg.AsyncConnection[Any],
) -> None:
    async with Pipeline(line) as pipeline:
        pipeline.send([("INSERT INTO said VALUES (1, 'a')", ())])
        pipeline.commit()
        await pipeline.results()
    assert state(line) == "IDLE"
    async with await psycopg.AsyncConnection.connect(line.info.dsn, password=line.info.password) as other:
        assert await together(other, [("SELECT n FROM said", ())]) == [[(1,)]]
    await together(line, [("SELECT 1", ())])
    assert state(line) == "INTRANS"


async def test_a_commit_of_what_failed_before_is_an_error(line: psycopg.AsyncConnection[Any]) -> None:
    with pytest.raises(psycopg.errors.SyntaxError):
        await together(line, [("SELEC 1", ())])
    async with Pipeline(line) as pipeline:
        pipeline.commit()
        with pytest.raises(
            psycopg.errors.InFailedSqlTransaction
        ):  # the server itself says ROLLBACK, and no error
            await pipeline.results()
    assert state(line) == "IDLE"


async def test_a_statement_is_prepared_once_a_connection_and_outlives_a_rollback(
    line: psycopg.AsyncConnection[Any],
) -> None:
    for _ in range(3):
        await together(
            line, [("SELECT %s::text", ("a",)), ("SELECT %s::text", ("b",)), ("SELECT %s::int8", (1,))]
        )
        await line.execute("SAVEPOINT s")
        await line.execute("ROLLBACK TO SAVEPOINT s")
        await line.rollback()
    assert await together(line, [(NAMES, ())]) == [[(3,)]]  # with the one that asks


async def test_where_the_driver_prepares_nothing_is_prepared_beside_it(database: Addresses) -> None:
    async with await psycopg.AsyncConnection.connect(database.app_url, prepare_threshold=1) as line:
        for _ in range(3):
            assert await together(line, [("SELECT %s::text", ("a",))]) == [[("a",)]]
        assert await together(line, [(NAMES, ())]) == [[(0,)]]


async def test_more_than_the_sockets_hold_goes_through_in_both_directions(
    line: psycopg.AsyncConnection[Any],
) -> None:
    text = "x" * 3_000_000
    answers = await together(line, [("SELECT %s::text", (text,))] * 8)
    assert [len(rows[0][0]) for rows in answers] == [len(text)] * 8


async def test_a_lost_connection_is_an_operational_error(
    line: psycopg.AsyncConnection[Any], postgres: Any
) -> None:
    async with Pipeline(line) as pipeline:
        pipeline.send([("SELECT pg_backend_pid()", ())])
        [[(pid,)]] = await pipeline.results()
    with psycopg.connect(postgres.url("postgres", "postgres"), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    with pytest.raises(psycopg.OperationalError):
        await together(line, [("SELECT 1", ())])
    assert line.closed
