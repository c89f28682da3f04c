"""The one write path under duplicates, poison, full queues, lost connections, jumping clocks and killed processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from exchange import auctions, gate, money
from exchange.acts import Record, Transaction
from exchange.database import Addresses, Database, driver
from exchange.errors import Conflict, Unavailable, Unprocessable
from exchange.gate import Gate
from ledger.book import balance
from ledger.checkpoint import Signer, Verifier
from ledger.entries import WHOLE_LIMIT, receipt_from_json, verify_receipt
from tests.exchange._notes import ANNA, BERT, Note, jots, note, room_of
from tests.exchange.conftest import ORIGIN, House
from tests.exchange.floor import Floor, another_gate, bodies

pytestmark = pytest.mark.anyio

CHILD = Path(__file__).with_name("_notes.py")


async def refuse(tx: Transaction, act: Note) -> Record:
    """Do something, then undo it by raising."""
    await tx.open_named_account(f"acc-{act.text}", "cash", overdraft="none")
    raise Conflict("note.refused", "not this one")


async def break_down(tx: Transaction, act: Note) -> Record:
    """A defect of a room."""
    raise ZeroDivisionError(act.text)


def texts(found: list[tuple[int, dict[str, Any]]]) -> list[str]:
    """What was written down, in log order."""
    return [body["act"]["text"] for _, body in found if body["kind"] in ("note", "jot")]


async def chunks(house: House) -> int:
    """How many batches were committed."""

    async def ask(session: Any) -> int:
        cursor = await (await driver(session)).execute("SELECT count(*) FROM log_chunk")
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])

    return await house.gate.read(ask)


async def all_of(*performed: Any) -> list[Any]:
    """Every answer or error, in order."""
    return await asyncio.gather(*performed, return_exceptions=True)


async def test_the_same_request_again_gets_the_first_answer_bit_for_bit(house: House) -> None:
    first = await house.gate.perform(note, Note("one"), caller=ANNA, key="k")
    for n in range(40):
        await house.gate.perform(note, Note("later"), caller=ANNA, key=f"later-{n}")
    again = await house.gate.perform(note, Note("one"), caller=ANNA, key="k")
    looked_up = await house.gate.look_up(ANNA.party, "k")
    assert not first.repeated
    assert again.repeated
    assert again.json() == first.json()
    assert looked_up == again
    assert texts(await bodies(house.gate)).count("one") == 1


async def test_a_long_body_takes_several_entries_and_its_answer_repeats_bit_for_bit(house: House) -> None:
    size = await house.log_size()
    text = '"long" \\ 数据 ' * 20_000
    before, long, behind = await asyncio.gather(
        *(
            house.gate.perform(note, Note(said), caller=ANNA, key=key)
            for key, said in (("a", "before"), ("b", text), ("c", "behind"))
        )
    )
    count = int(orjson.loads(orjson.loads(long.receipt)["body"])["chunks"]["count"])
    assert [r.index - size for r in (before, long, behind)] == [0, 1, 2 + count]
    assert await house.log_size() == size + 3 + count
    for key, said, first in (("b", text, long), ("c", "behind", behind)):
        again = await house.gate.perform(note, Note(said), caller=ANNA, key=key)
        assert again.json() == first.json()
        receipt = receipt_from_json(orjson.loads(again.receipt))
        verify_receipt(receipt, [Verifier.parse(house.gate.signer.vkey)])
        act = receipt.said()["act"]
        assert (act["text"], act["index"]) == (said, str(first.index))


async def test_another_request_under_a_used_identifier_is_refused_without_a_trace(house: House) -> None:
    together = await all_of(
        house.gate.perform(note, Note("one"), caller=ANNA, key="k"),
        house.gate.perform(note, Note("two"), caller=ANNA, key="k"),  # while the first is in flight
    )
    size = await house.log_size()
    with pytest.raises(Unprocessable) as later:
        await house.gate.perform(note, Note("three"), caller=ANNA, key="k")
    for refused in (together[1], later.value):
        assert isinstance(refused, Unprocessable)
        assert (refused.code, refused.field) == ("request.identifier_reused", "Idempotency-Key")
        assert refused.rule
        assert refused.remedy
    assert await house.log_size() == size
    assert not (await house.gate.perform(note, Note("three"), caller=BERT, key="k")).repeated


async def test_a_duplicate_in_flight_waits_for_the_first_answer(house: House) -> None:
    first, second, third = await asyncio.gather(
        *(house.gate.perform(note, Note("one"), caller=ANNA, key="k") for _ in range(3))
    )
    assert [first.repeated, second.repeated, third.repeated] == [False, True, True]
    assert first.json() == second.json() == third.json()
    assert texts(await bodies(house.gate)) == ["one"]


async def test_duplicates_through_two_gates_take_effect_once(house: House, database: Addresses) -> None:
    async with another_gate(house, database) as other:
        for n in range(30):
            answers = await asyncio.gather(
                *(g.perform(note, Note(str(n)), caller=ANNA, key=f"k{n}") for g in (house.gate, other))
            )
            assert sorted(a.repeated for a in answers) == [False, True]
            assert answers[0].json() == answers[1].json()
    assert texts(await bodies(house.gate)) == [str(n) for n in range(30)]


async def test_of_two_requests_under_one_identifier_through_two_gates_one_wins(
    house: House, database: Addresses
) -> None:
    async with another_gate(house, database) as other:
        for n in range(10):
            answers = await all_of(
                house.gate.perform(note, Note("here"), caller=ANNA, key=f"k{n}"),
                other.perform(note, Note("there"), caller=ANNA, key=f"k{n}"),
            )
            assert sum(isinstance(a, Unprocessable) for a in answers) == 1
    assert len(texts(await bodies(house.gate))) == 10


async def test_an_act_that_raises_drops_alone_and_whole(house: House) -> None:
    before = await chunks(house)
    answers = await all_of(
        *(house.gate.perform(note, Note(f"a{n}"), caller=ANNA, key=f"a{n}") for n in range(3)),
        house.gate.perform(refuse, Note("b"), caller=ANNA, key="b"),
        house.gate.perform(break_down, Note("c"), caller=ANNA, key="c"),
        *(house.gate.perform(note, Note(f"d{n}"), caller=ANNA, key=f"d{n}") for n in range(3)),
    )
    assert isinstance(answers[3], Conflict)
    assert isinstance(answers[4], ZeroDivisionError)
    assert texts(await bodies(house.gate)) == ["a0", "a1", "a2", "d0", "d1", "d2"]
    assert await chunks(house) == before + 1
    assert await house.gate.look_up(ANNA.party, "b") is None

    async def account(session: Any) -> Any:
        return await balance(await driver(session), "acc-b")

    assert await house.gate.read(account) is None
    assert not (await house.gate.perform(note, Note("b"), caller=ANNA, key="b")).repeated


@pytest.mark.parametrize(
    ("statement", "values", "error"),
    [
        ("SELECT * FROM nowhere", (), psycopg.errors.UndefinedTable),
        ("SELECT %s", ("\0",), Unprocessable),
        ("SELECT 9223372036854775807::bigint + 1", (), Unprocessable),
    ],
)
async def test_a_poisoned_act_makes_the_batch_run_one_by_one(
    house: House, statement: str, values: tuple[str, ...], error: type[Exception]
) -> None:
    async def poison(tx: Transaction, act: Note) -> Record:
        await tx.book._connection.execute(statement, values)
        return await note(tx, act)

    before = await chunks(house)
    answers = await all_of(
        house.gate.perform(note, Note("a"), caller=ANNA, key="a"),
        house.gate.perform(poison, Note("b"), caller=ANNA, key="b"),
        house.gate.perform(jots, Note("c"), caller=ANNA, key="c"),
    )
    assert isinstance(answers[1], error)
    assert texts(await bodies(house.gate)) == ["a", "c"]
    assert await chunks(house) == before + 2
    assert not (await house.gate.perform(note, Note("b"), caller=ANNA, key="b")).repeated


async def test_a_batched_room_that_breaks_costs_its_neighbours_nothing(house: House) -> None:
    answers = await all_of(
        *(
            house.gate.perform(jots, Note(text), caller=ANNA, key=f"k{n}")
            for n, text in enumerate(("a", "bad", "b"))
        )
    )
    assert [type(a).__name__ for a in answers] == ["Reply", "ValueError", "Reply"]
    assert texts(await bodies(house.gate)) == ["a", "b"]


async def test_runs_of_both_kinds_of_rooms_share_a_batch_in_order(house: House) -> None:
    await house.gate.perform(jots, Note("known"), caller=ANNA, key="known")
    before = await chunks(house)
    kinds: list[Any] = [note, jots, jots, note, refuse, jots, note]
    answers = await all_of(
        *(
            house.gate.perform(decide, Note(str(n)), caller=ANNA, key=f"k{n}")
            for n, decide in enumerate(kinds)
        ),
        # A run in which everything was answered before has nothing to ask and nothing to decide.
        house.gate.perform(jots, Note("known"), caller=ANNA, key="known"),
    )
    assert texts(await bodies(house.gate)) == ["known", "0", "1", "2", "3", "5", "6"]
    assert answers[-1].repeated
    assert await chunks(house) == before + 1
    for answer in answers:
        if isinstance(answer, gate.Reply):
            assert orjson.loads(answer.outcome)["index"] == str(answer.index)


async def test_log_order_is_decision_order_and_every_receipt_proves_it(house: House) -> None:
    answers = await asyncio.gather(
        *(house.gate.perform(room_of(n), Note(str(n)), caller=ANNA, key=f"k{n}") for n in range(60))
    )
    assert [a.index for a in answers] == list(range(answers[0].index, answers[0].index + 60))
    for n, answer in enumerate(answers):
        body = house.verify(orjson.loads(answer.json()))
        assert (body["act"]["text"], body["act"]["index"]) == (str(n), str(answer.index))
        assert receipt_from_json(orjson.loads(answer.receipt)) == await house.gate.receipt(answer.index)


async def test_a_batch_of_repeats_only_does_not_touch_the_tree(house: House) -> None:
    asked = [(Note(str(n)), f"k{n}") for n in range(5)]
    first = await asyncio.gather(*(house.gate.perform(note, act, caller=ANNA, key=key) for act, key in asked))

    async def head(session: Any) -> Any:
        cursor = await (await driver(session)).execute(
            "SELECT h.xmin::text, h.size, (SELECT count(*) FROM log_chunk) FROM log_head h"
        )
        return await cursor.fetchone()

    before = await house.gate.read(head)
    again = await asyncio.gather(*(house.gate.perform(note, act, caller=ANNA, key=key) for act, key in asked))
    assert [a.json() for a in again] == [f.json() for f in first]
    assert await house.gate.read(head) == before


async def test_time_never_runs_backwards_however_the_clock_jumps(house: House) -> None:
    for n, jump in enumerate((0, -5_000_000, 7, -1, 3_000_000, -3_000_001, 10**12, -(10**12))):
        house.now_us += jump
        await house.gate.perform(note, Note(str(n)), caller=ANNA, key=f"k{n}")
        assert await house.gate.now_us() >= house.now_us
    times = [int(body["time"]) for _, body in await bodies(house.gate)]
    assert times == sorted(times)
    assert times[-1] > house.now_us


async def test_a_full_queue_turns_callers_away_and_urgent_acts_still_pass(
    house: House, database: Addresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        gate, "WAIT_S", 60.0
    )  # the queue is full before anybody has waited long, on any machine
    with psycopg.connect(database.app_url) as holder:
        holder.execute("SELECT 1 FROM log_head FOR UPDATE")
        waiting = [
            asyncio.create_task(house.gate.perform(jots, Note(str(n)), caller=ANNA, key=f"k{n}"))
            for n in range(gate.QUEUE_LIMIT)
        ]
        await asyncio.sleep(0)  # all are queued before the gate takes the first batch
        with pytest.raises(Unavailable) as turned_away:
            await house.gate.perform(jots, Note("late"), caller=ANNA, key="late")
        assert (turned_away.value.code, turned_away.value.retry_after_s) == ("gate.full", 1)
        urgent = asyncio.create_task(
            house.gate.perform(note, Note("halt"), caller=BERT, key="halt", urgent=True)
        )
        await asyncio.sleep(0)
        holder.rollback()
    answers = await asyncio.gather(urgent, *waiting)
    assert answers[0].index < answers[-1].index - 2 * gate.BATCH_LIMIT
    assert len(texts(await bodies(house.gate))) == gate.QUEUE_LIMIT + 1
    assert await chunks(house) <= gate.QUEUE_LIMIT / gate.BATCH_LIMIT + 3  # whole batches, none act by act
    assert await house.gate.look_up(ANNA.party, "late") is None


async def test_plain_acts_come_in_smaller_batches_than_those_of_the_hot_path(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "HOLD_S", 60.0)

    async def sizes(room: Any, count: int) -> list[int]:
        first = await house.log_size()
        await asyncio.gather(
            *(
                house.gate.perform(room, Note(str(n)), caller=ANNA, key=f"{room is note}{n}")
                for n in range(count)
            )
        )
        async with house.gate.database.reader() as session:
            rows = await (await driver(session)).execute("SELECT size - first, first FROM log_chunk")
            return [size for size, at in await rows.fetchall() if at >= first]

    assert max(await sizes(note, 2 * gate.PLAIN_LIMIT)) == gate.PLAIN_LIMIT
    assert max(await sizes(jots, gate.BATCH_LIMIT)) > gate.PLAIN_LIMIT


async def test_slow_acts_let_go_of_the_head_in_between_and_keep_their_order(house: House) -> None:
    async def slow(tx: Transaction, act: Note) -> Record:
        await asyncio.sleep(gate.HOLD_S / 2)
        return await note(tx, act)

    before = await chunks(house)
    rooms: list[Any] = [slow, slow, jots, slow, slow, slow, jots, jots]
    asked = [
        house.gate.perform(room, Note(str(n)), caller=ANNA, key=f"k{n}", urgent=n == 0)
        for n, room in enumerate(rooms)
    ]
    answers = await asyncio.gather(*asked, house.gate.perform(slow, Note("0"), caller=ANNA, key="k0"))
    assert [a.index for a in answers] == [*range(answers[0].index, answers[0].index + 8), answers[0].index]
    assert texts(await bodies(house.gate)) == [str(n) for n in range(8)]
    assert await chunks(house) - before >= 2


async def test_a_process_that_is_silent_while_it_holds_the_head_loses_it_and_has_more_time_the_next_time(
    house: House, database: Addresses
) -> None:
    tries, begun = 0, asyncio.Event()

    async def silent(tx: Transaction, act: Note) -> Record:
        """As a process that is paused is to its server."""
        nonlocal tries
        tries += 1
        begun.set()
        await asyncio.sleep(1.0)
        return await note(tx, act)

    async with another_gate(house, database) as other:
        first = asyncio.create_task(house.gate.perform(silent, Note("first"), caller=ANNA, key="a"))
        await begun.wait()
        began = asyncio.get_running_loop().time()
        second = await other.perform(note, Note("second"), caller=ANNA, key="b")
        took = asyncio.get_running_loop().time() - began
        third = await other.perform(
            note, Note("third"), caller=ANNA, key="c"
        )  # waits for the first, run again
        answer = await first
    assert took < 1.0
    assert (tries, answer.repeated) == (2, False)
    assert second.index < answer.index
    assert texts(await bodies(house.gate))[0] == "second"
    assert third.index > second.index


async def test_a_process_that_is_slow_and_not_silent_keeps_the_head(
    house: House, database: Addresses
) -> None:
    tries, begun = 0, asyncio.Event()

    async def slow(tx: Transaction, act: Note) -> Record:
        nonlocal tries
        tries += 1
        begun.set()
        for _ in range(10):
            await tx.book._connection.execute("SELECT 1")
            await asyncio.sleep(0.1)
        return await note(tx, act)

    async with another_gate(house, database) as other:
        first = asyncio.create_task(house.gate.perform(slow, Note("first"), caller=ANNA, key="a"))
        await begun.wait()
        second = await other.perform(note, Note("second"), caller=ANNA, key="b")
        assert (await first).index == second.index - 1
    assert tries == 1


async def test_a_batch_is_answered_while_the_next_one_waits_for_another_process(
    house: House, database: Addresses
) -> None:
    holding: asyncio.Future[Any] | None = None

    with psycopg.connect(database.app_url) as holder, psycopg.connect(database.app_url) as looker:

        async def overtaken(tx: Transaction, act: Note) -> Record:
            """While this batch holds the head, another process asks for its table, and so gets it before the next batch."""
            nonlocal holding
            holding = asyncio.get_running_loop().run_in_executor(
                None, holder.execute, "LOCK TABLE log_head IN EXCLUSIVE MODE"
            )
            waits = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
            while looker.execute(waits, (holder.info.backend_pid,)).fetchone() != (True,):  # noqa: ASYNC110  # it is the server that knows
                await asyncio.sleep(0.01)
            return await note(tx, act)

        first = asyncio.create_task(house.gate.perform(overtaken, Note("first"), caller=ANNA, key="a"))
        await asyncio.sleep(0.05)
        next_one = asyncio.create_task(house.gate.perform(note, Note("next"), caller=ANNA, key="b"))
        await asyncio.wait_for(first, 60.0)
        assert holding is not None
        await holding
        await asyncio.sleep(0.1)
        assert not next_one.done()
        holder.rollback()
    assert (await next_one).index == first.result().index + 1


async def test_an_identifier_that_would_part_a_column_is_refused_by_name(house: House) -> None:
    answers = await all_of(
        house.gate.perform(note, Note("one"), caller=ANNA, key="a\x1fb"),
        house.gate.perform(note, Note("two"), caller=ANNA, key="c"),
    )
    assert isinstance(answers[0], Unprocessable)
    assert answers[0].field == "Idempotency-Key"
    assert texts(await bodies(house.gate)) == ["two"]


async def test_stop_finishes_what_waits_and_then_answers_nobody(house: House) -> None:
    waiting = [
        asyncio.create_task(house.gate.perform(note, Note(str(n)), caller=ANNA, key=f"k{n}"))
        for n in range(20)
    ]
    await asyncio.sleep(0)
    await house.gate.stop()
    answers = await asyncio.gather(*waiting)
    assert [a.repeated for a in answers] == [False] * 20
    with pytest.raises(Unavailable) as closed:
        await house.gate.perform(note, Note("late"), caller=ANNA, key="late")
    assert closed.value.code == "gate.closed"
    assert len(texts(await bodies(house.gate))) == 20


async def test_an_act_is_finished_even_when_its_caller_goes_away(house: House) -> None:
    caller = asyncio.create_task(house.gate.perform(note, Note("one"), caller=ANNA, key="k"))
    await asyncio.sleep(0)
    caller.cancel()
    with suppress(asyncio.CancelledError):
        await caller
    found = await house.gate.look_up(ANNA.party, "k")
    assert found is not None
    assert texts(await bodies(house.gate)) == ["one"]


async def test_a_lookup_waits_for_an_act_in_flight_and_knows_when_nothing_took_effect(house: House) -> None:
    for decide, key in ((note, "done"), (refuse, "dropped")):
        task = asyncio.create_task(house.gate.perform(decide, Note("x"), caller=ANNA, key=key))
        await asyncio.sleep(0)
        found = await house.gate.look_up(ANNA.party, key)
        if key == "done":
            assert found is not None
            assert found.json() == (await task).json()
            continue
        assert found is None
        with pytest.raises(Conflict):
            await task


async def test_text_that_is_not_canonical_is_refused_by_name(house: House) -> None:
    for text in ("e\u0301", "x" * WHOLE_LIMIT):
        with pytest.raises(Unprocessable) as refused:
            await house.gate.perform(note, Note(text), caller=ANNA, key="k")
        assert refused.value.code == "body.not_canonical"
    assert await house.gate.look_up(ANNA.party, "k") is None


async def test_listeners_hear_each_batch_after_its_commit_and_can_leave(house: House) -> None:
    heard: list[int] = []
    leave = house.gate.subscribe(heard.append)
    await house.gate.perform(note, Note("a"), caller=ANNA, key="a")
    await house.gate.perform(note, Note("a"), caller=ANNA, key="a")
    leave()
    await house.gate.perform(note, Note("b"), caller=ANNA, key="b")
    assert heard == [await house.log_size() - 1]


async def test_a_bid_of_no_price_costs_the_other_bids_of_its_batch_nothing(house: House) -> None:
    floor = await Floor.open(house)
    lot = await floor.lot()
    for buyer in floor.buyers:
        await floor.join(lot, buyer)
    one, two = floor.buyers
    prices = ((one, 700_000), (two, 0), (two, 2**63), (two, -1), (two, 710_000))
    answers = await all_of(
        *(
            house.gate.perform(auctions.place_bids, auctions.PlaceBid(lot, price), caller=who, key=f"b{n}")
            for n, (who, price) in enumerate(prices)
        )
    )
    assert [getattr(a, "code", "admitted") for a in answers] == ["admitted", *["bid.price"] * 3, "admitted"]


# Lost connections


async def test_a_connection_killed_before_commit_costs_no_answer(house: House) -> None:
    kills = 0

    async def cut(tx: Transaction, act: Note) -> Record:
        nonlocal kills
        if not kills:
            kills += 1
            await tx.book._connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return await note(tx, act)

    answers = await asyncio.gather(
        *(
            house.gate.perform(cut if n == 4 else note, Note(str(n)), caller=ANNA, key=f"k{n}")
            for n in range(8)
        )
    )
    assert kills == 1
    assert [a.repeated for a in answers] == [False] * 8
    assert texts(await bodies(house.gate)) == [str(n) for n in range(8)]


async def test_an_act_that_costs_the_connection_each_time_is_given_up_alone(house: House) -> None:
    tries = 0

    async def cut(tx: Transaction, act: Note) -> Record:
        nonlocal tries
        tries += 1
        await tx.book._connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return await note(tx, act)

    answers = await all_of(
        *(
            house.gate.perform(cut if n == 1 else note, Note(str(n)), caller=ANNA, key=f"k{n}")
            for n in range(3)
        )
    )
    assert isinstance(answers[1], Unavailable)
    assert "unknown" in answers[1].detail
    assert tries == 2 + gate.LOSSES_LIMIT
    assert texts(await bodies(house.gate)) == ["0", "2"]


class Line:
    """A line to the database that is cut when a COMMIT passes: before it arrives, or before its answer returns."""

    def __init__(self, url: str) -> None:
        self._target = conninfo_to_dict(url)
        self._url = url
        self.cut: str | None = None
        self.cuts = 0

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[str]:
        """Its address."""
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            # Without TLS, so that the line sees what it carries.
            yield make_conninfo(
                self._url, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable"
            )
        finally:
            server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection(
                str(self._target["host"]), int(str(self._target["port"]))
            )
        except OSError:
            writer.close()
            return
        mute = False

        async def back() -> None:
            while data := await up_reader.read(65536):
                if mute:
                    writer.close()
                    continue
                writer.write(data)

        answers = asyncio.create_task(back())
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if self.cut is not None and b"COMMIT\0" in data:
                    how, self.cut = self.cut, None
                    self.cuts += 1
                    if how == "before":
                        writer.close()
                        break
                    mute = True
                up_writer.write(data)
        if not mute:
            answers.cancel()
        up_writer.close()


@pytest.mark.parametrize("how", ["before", "after"])
async def test_a_line_cut_around_commit_leaves_every_act_decided_once_and_answered(
    house: House, database: Addresses, how: str
) -> None:
    line = Line(database.app_url)
    async with line.laid() as url:
        engine = Database(url, readers=1)
        cut = Gate(engine, Signer(ORIGIN, b"l" * 32), b"m" * 32, lambda: house.now_us)
        await cut.start()
        asked = [(Note(str(n)), f"k{n}") for n in range(6)]
        try:
            await cut.perform(note, Note("warm"), caller=ANNA, key="warm")
            line.cut = how
            answers = await asyncio.gather(
                *(cut.perform(note, act, caller=ANNA, key=key) for act, key in asked)
            )
        finally:
            await cut.stop()
            await engine.close()
    assert line.cuts == 1
    # After the cut behind COMMIT, what had taken effect was found under its identifier.
    assert [a.repeated for a in answers] == [how == "after"] * 6
    assert texts(await bodies(house.gate)) == ["warm", *(str(n) for n in range(6))]
    for answer in answers:
        house.verify(orjson.loads(answer.json()))


async def test_a_gate_whose_connection_is_killed_again_and_again_decides_everything_once(
    house: House, database: Addresses
) -> None:
    async def kill() -> None:
        with psycopg.connect(database.app_url, autocommit=True) as killer:
            for _ in range(12):
                await asyncio.sleep(0.02)
                killer.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND application_name = 'exchange gate'"
                )

    async def client(name: str) -> list[gate.Reply]:
        found = []
        for n in range(15):
            act, key = Note(f"{name}-{n}"), f"{name}-{n}"
            while True:
                try:
                    found.append(await house.gate.perform(note, act, caller=ANNA, key=key))
                    break
                except Unavailable:
                    await asyncio.sleep(0.05)
        return found

    *answers, _ = await asyncio.gather(*(client(f"c{n}") for n in range(8)), kill())
    assert sorted(texts(await bodies(house.gate))) == sorted(f"c{c}-{n}" for c in range(8) for n in range(15))
    for replies in answers:
        assert replies is not None
        for reply in replies:
            house.verify(orjson.loads(reply.json()))


async def test_a_database_that_stays_away_is_said_to_leave_the_outcome_unknown(
    house: House, database: Addresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "RECOVERY_S", 0.3)
    line = Line(database.app_url)
    async with line.laid() as url:
        engine = Database(url, readers=1)
        cut = Gate(engine, Signer(ORIGIN, b"l" * 32), b"m" * 32, lambda: house.now_us)
        await cut.start()
        await cut.perform(note, Note("warm"), caller=ANNA, key="warm")
        line.cut = "after"
        line._target["port"] = "1"  # nobody answers there when it connects again
        with pytest.raises(Unavailable) as unknown:
            await cut.perform(note, Note("one"), caller=ANNA, key="k")
        assert unknown.value.retry_after_s
        assert "unknown" in unknown.value.detail
        await cut.stop()
        await engine.close()
    found = await house.gate.look_up(ANNA.party, "k")
    assert found is not None  # it had taken effect, and its lookup says so


# Killed processes


@pytest.mark.parametrize(
    "point",
    [
        "gate.before_head:2",
        "gate.after_head:3",
        "gate.decided:2",
        "gate.before_commit:3",
        "gate.after_commit:2",
        "gate.before_answer:3",
    ],
)
async def test_a_process_killed_at_any_point_loses_nothing_acknowledged_and_doubles_nothing(
    house: House, database: Addresses, point: str
) -> None:
    run: Callable[[], subprocess.CompletedProcess[str]] = lambda: subprocess.run(  # noqa: E731  # one call, in a thread
        [sys.executable, str(CHILD), database.app_url, point, ORIGIN, str(house.now_us)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    child = await asyncio.to_thread(run)
    assert child.returncode == -9, child.stderr
    acknowledged = {int(n): int(index) for n, index in (line.split() for line in child.stdout.splitlines())}
    assert len(acknowledged) == 6 * (int(point.rpartition(":")[2]) - 1)
    resolved: dict[int, int | None] = {}
    for n in range(24):
        found = await house.gate.look_up(ANNA.party, f"k{n}")
        resolved[n] = None if found is None else found.index
    assert acknowledged.items() <= resolved.items()
    took_effect = 12 if point in ("gate.after_commit:2",) else 18 if point == "gate.before_answer:3" else None
    if took_effect is not None:  # unknown to the caller, known to the lookup
        assert sum(index is not None for index in resolved.values()) == took_effect
    for n in range(24):
        reply = await house.gate.perform(room_of(n), Note(str(n)), caller=ANNA, key=f"k{n}")
        assert reply.repeated == (resolved[n] is not None)
        house.verify(orjson.loads(reply.json()))
    assert sorted(texts(await bodies(house.gate)), key=int) == [str(n) for n in range(24)]


async def test_a_gate_without_a_market_says_what_to_do(database: Addresses) -> None:
    engine = Database(database.app_url, readers=1)
    empty = Gate(engine, Signer(ORIGIN, b"l" * 32), b"m" * 32, lambda: 0)
    await empty.start()
    try:
        with pytest.raises(Unavailable) as missing:
            await empty.perform(note, Note("x"), caller=ANNA, key="k")
        assert missing.value.code == "market.missing"
        assert "exchange init" in str(missing.value.remedy)
    finally:
        await empty.stop()
        await engine.close()


def test_an_act_is_told_from_another_by_every_member() -> None:
    act = money.CreditTopUp("org-1", 100, "ref")
    others = [
        replace(act, party="org-2"),
        replace(act, amount_fen=101),
        replace(act, bank_reference="r"),
        money.Withdraw(100),
    ]
    assert len({a.digest() for a in (act, *others)}) == 5
    bids = [auctions.PlaceBid(lot, price) for lot in ("lot-1", "lot-11") for price in (1, 11, 111)]
    assert len({b.digest() for b in bids}) == 6
