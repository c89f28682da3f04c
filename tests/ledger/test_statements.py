"""Balances at any index, statements and the trial balance, over real tables, against the book replayed entry by entry."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.database import Addresses
from ledger import statements as queries
from ledger.book import Book, last_sequence_before
from ledger.postings import Account, Transfer, TransferKind, decide
from ledger.statements import Balances, Line, Statement, balances_at, standing_holds, statement, trial_balance

pytestmark = pytest.mark.anyio

KEY = b"m" * 32
NAMES = ("bank", "buyer", "seller", "fees")
START = {
    "bank": Account("bank", "CNY", "escrow", "none"),
    "buyer": Account("buyer", "CNY", "cash", "debits_must_not_exceed_credits"),
    "seller": Account("seller", "CNY", "cash", "none"),
    "fees": Account("fees", "CNY", "fees", "none"),
    "quota": Account("quota", "calls", "quota", "none"),
}


def pay(name: str, debit: str, credit: str, amount: int, **changed: Any) -> Transfer:
    return replace(Transfer(name, "post", debit, credit, amount, "CNY", "cash"), **changed)


def ended(hold: Transfer, name: str, kind: TransferKind, amount: int | None = None) -> Transfer:
    amount = hold.amount if amount is None else amount
    return replace(hold, id=name, kind=kind, pending=hold.id, amount=amount, timeout_us=0, closes=None)


def time_of(index: int) -> int:
    return 1_000 + 10 * index


def replayed(entries: Sequence[Sequence[Transfer]], upto: int) -> dict[str, Account]:
    """The slow twin: the pure rule, from the first entry on, however far."""
    accounts = dict(START)
    pendings: dict[str, Any] = {}
    known: dict[str, Any] = {}
    sequence = 1
    for index, transfers in enumerate(entries[: upto + 1]):
        decision = decide(accounts, pendings, known, transfers, sequence, time_of(index))
        accounts |= decision.accounts
        pendings |= decision.pendings
        known |= decision.known
        sequence = decision.next_sequence
    return accounts


async def write(connection: psycopg.AsyncConnection[Any], entries: Sequence[Sequence[Transfer]]) -> None:
    book = Book(connection, KEY)
    for account in START.values():
        await book.open_account(account.id, ledger=account.ledger, code=account.code, limit=account.limit)
    for index, transfers in enumerate(entries):
        if transfers:
            await book.post(transfers, log_index=index, time_us=time_of(index))


HOLD = pay("hold", "buyer", "seller", 60, kind="pending", timeout_us=40)
CLOSING = pay("closing", "buyer", "seller", 0, kind="pending", closes="debit")
HALF = pay("half", "buyer", "fees", 30, kind="pending")
LIFE: list[list[Transfer]] = [
    [],
    [pay("in", "bank", "buyer", 100)],
    [HOLD, HALF],
    [ended(HALF, "take", "post_pending", 12), pay("out", "buyer", "seller", 7)],
    [CLOSING],
    [pay("late", "buyer", "seller", 1)],  # fails: the account is closed
    [ended(HOLD, "expiry", "expire_pending")],
    [ended(CLOSING, "open", "void_pending")],
    [pay("last", "buyer", "bank", 81)],
    [],
]


def four(account: Account) -> Balances:
    return Balances(
        account.debits_pending, account.debits_posted, account.credits_pending, account.credits_posted
    )


async def all_at(connection: psycopg.AsyncConnection[Any], index: int) -> dict[str, Balances]:
    return {name: await balances_at(connection, name, index) for name in START}


def of_twin(entries: Sequence[Sequence[Transfer]], index: int) -> dict[str, Balances]:
    return {name: four(account) for name, account in replayed(entries, index).items()}


@pytest.mark.parametrize("later", [0, 20])  # the newest end is nearer, then the oldest
async def test_the_balances_at_each_index_of_a_life_are_what_a_replay_up_to_there_gives(
    connection: psycopg.AsyncConnection[Any], later: int
) -> None:
    life = [*LIFE, *([pay(f"later {n}", "bank", "buyer", 1 + n)] for n in range(later))]
    await write(connection, life)
    for index in range(-1, len(life) + 2):
        assert await all_at(connection, index) == of_twin(life, index), index
    assert await balances_at(connection, "nobody", 3) == Balances()


moves = st.tuples(
    st.sampled_from(["post", "pending", "post_pending", "void_pending", "expire_pending", "closing"]),
    st.permutations(NAMES),
    st.integers(1, 50),
    st.integers(0, 5),
    st.sampled_from([0, 0, 15]),
)


def entries_of(drawn: Sequence[Sequence[Any]]) -> list[list[Transfer]]:
    entries: list[list[Transfer]] = []
    holds: list[Transfer] = []
    number = 0
    for group in drawn:
        transfers = []
        for kind, names, amount, which, timeout in group:
            number += 1
            name = f"t{number:03}"
            if kind in ("post", "pending", "closing"):
                made = pay(name, names[0], names[1], amount)
                if kind != "post":
                    made = replace(made, kind="pending", timeout_us=timeout)
                if kind == "closing":
                    made = replace(made, closes=("debit", "credit")[which % 2])
                if kind != "post":
                    holds.append(made)
            elif holds:
                hold = holds[-1 - which % len(holds)]
                part = min(amount, hold.amount) if kind == "post_pending" else None
                made = ended(hold, name, kind, part)
            else:
                continue
            transfers.append(made)
        entries.append(transfers)
    return entries


def test_any_history_gives_the_same_balances_lines_and_sums_as_its_replay(database: Addresses) -> None:
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.lists(moves, max_size=5), min_size=1, max_size=8), st.integers(1, 4))
    def agree(drawn: list[list[Any]], limit: int) -> None:
        asyncio.run(compare(entries_of(drawn), limit))

    async def compare(entries: list[list[Transfer]], limit: int) -> None:
        async with await psycopg.AsyncConnection.connect(database.app_url) as connection:
            await write(connection, entries)
            for index in range(-1, len(entries)):
                twin = of_twin(entries, index)
                assert await all_at(connection, index) == twin
                sums: dict[tuple[str, str], Balances] = {}
                for name, account in START.items():
                    kind = (account.ledger, account.code)
                    sums[kind] = sums.get(kind, Balances()) + twin[name]
                told = {
                    (ledger, code): found
                    for ledger, code, found in (await trial_balance(connection, index)).lines
                }
                assert told == {kind: found for kind, found in sums.items() if found != Balances()}
                await holds_agree(connection, entries, index)
            for name in START:
                for line in await pages(connection, name, limit):
                    assert line.balances == four(replayed_to(entries, line)[name])
            await connection.rollback()

    agree()


async def holds_agree(
    connection: psycopg.AsyncConnection[Any], entries: Sequence[Sequence[Transfer]], index: int
) -> None:
    """What stands is held, and nothing else is."""
    at = await last_sequence_before(connection, index + 1)
    for name, found in of_twin(entries, index).items():
        held = Balances()
        for hold in await standing_holds(connection, name, at, 1_000):
            amount = hold.transfer.amount
            held += Balances(amount) if hold.transfer.debit == name else Balances(0, 0, amount)
        assert (held.debits_pending, held.credits_pending) == (found.debits_pending, found.credits_pending)


def replayed_to(entries: Sequence[Sequence[Transfer]], line: Line) -> dict[str, Account]:
    """The twin within an entry: up to the line's own transfer."""
    own = entries[line.index]
    upto = next(n for n, transfer in enumerate(own) if transfer.id == line.transfer.id)
    return replayed([*entries[: line.index], own[: upto + 1]], line.index)


async def pages(connection: psycopg.AsyncConnection[Any], name: str, limit: int) -> list[Line]:
    """A statement read page by page, each opening with what the one before closed with."""
    lines: list[Line] = []
    before: Statement | None = None
    while before is None or before.more:
        page = await statement(connection, name, before.last if before else 0, 2**62, limit)
        assert before is None or page.opening == before.closing
        assert page == await statement(connection, name, page.after, 2**62, limit, page.opening)
        assert len(page.lines) == limit or not page.more
        lines += page.lines
        before = page
    return lines


async def test_a_statement_tells_what_each_transfer_did_and_who_was_on_the_other_side(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    await write(connection, LIFE)
    page = await statement(connection, "buyer", 0, 2**62, 100)
    told = [(n.index, n.transfer.id, n.side, n.other, n.change, n.balances.available) for n in page.lines]
    assert told == [
        (1, "in", "credit", "bank", Balances(0, 0, 0, 100), 100),
        (2, "hold", "debit", "seller", Balances(60), 40),
        (2, "half", "debit", "fees", Balances(30), 10),
        (3, "take", "debit", "fees", Balances(-30, 12), 28),
        (3, "out", "debit", "seller", Balances(0, 7), 21),
        (4, "closing", "debit", "seller", Balances(), 21),
        (6, "expiry", "debit", "seller", Balances(-60), 81),
        (7, "open", "debit", "seller", Balances(), 81),
        (8, "last", "debit", "bank", Balances(0, 81), 0),
    ]
    assert [n.time_us for n in page.lines] == [time_of(n.index) for n in page.lines]
    assert (page.opening, page.more) == (Balances(), False)
    assert page.closing == of_twin(LIFE, len(LIFE))["buyer"]


async def test_a_period_by_index_and_the_same_by_time_open_and_close_with_the_same(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    await write(connection, LIFE)
    assert [await last_sequence_before(connection, n) for n in (0, 2, 4, 99)] == [0, 1, 5, 9]
    assert [await last_sequence_before(connection, time_of(n), "time_us") for n in (0, 2, 4, 99)] == [
        0,
        1,
        5,
        9,
    ]
    page = await statement(connection, "buyer", 1, 5, 100)
    assert [line.transfer.id for line in page.lines] == ["hold", "half", "take", "out"]
    assert page.opening == await balances_at(connection, "buyer", 1)
    assert page.closing == await balances_at(connection, "buyer", 3)
    empty = await statement(connection, "buyer", 9, 2**62, 100)
    assert (empty.lines, empty.opening) == ((), empty.closing)


async def test_a_page_read_once_reads_the_same_when_more_was_posted(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    await write(connection, LIFE)
    before = await statement(connection, "buyer", 2, 2**62, 3)
    await Book(connection, KEY).post([pay("more", "bank", "buyer", 5)], log_index=99, time_us=9_999)
    assert await statement(connection, "buyer", 2, 2**62, 3) == before


async def test_what_stands_names_its_purpose_its_entry_and_its_end(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    await write(connection, LIFE)
    held = await standing_holds(connection, "buyer", 4, 9)  # after `take`
    assert [(h.transfer.id, h.transfer.code, h.index, h.expires_us) for h in held] == [
        ("hold", "cash", 2, time_of(2) + 40)
    ]
    assert [h.transfer.id for h in await standing_holds(connection, "buyer", 3, 1)] == ["half"]
    assert await standing_holds(connection, "buyer", 9, 9) == []


async def test_the_trial_balance_agrees_in_every_ledger_at_every_index(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    await write(connection, LIFE)
    for index in (None, *range(-1, len(LIFE))):
        for total in (await trial_balance(connection, index)).totals.values():
            assert (total.balance, total.held_difference) == (0, 0)
    assert await trial_balance(connection) == await trial_balance(connection, len(LIFE))
    (cash,) = [found for _, code, found in (await trial_balance(connection, 2)).lines if code == "cash"]
    assert cash == Balances(90, 0, 60, 100)


async def test_no_question_about_one_account_reads_all_transfers(
    connection: psycopg.AsyncConnection[Any], database: Addresses
) -> None:
    await write(connection, LIFE)
    await connection.commit()
    assert database.owner_url is not None
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute(
            "INSERT INTO transfer SELECT n, 'x' || n, n, n, 'post', 'seller' || n % 500, 'fees' || n % 300, 1, 'CNY',"
            " 'cash', NULL, false, 0, NULL FROM generate_series(1000, 60000) n"
        )
        owner.execute("ANALYZE transfer")
    values = {"account": "buyer", "after": 0, "upto": 50_000, "limit": 100}
    for query in (
        queries._UP,
        queries._DOWN,
        f"{queries._LINES} ORDER BY sequence LIMIT %(limit)s",
        f"{queries._STANDING} ORDER BY sequence DESC LIMIT %(limit)s",
        "SELECT time_us FROM transfer WHERE sequence >= %(upto)s ORDER BY sequence LIMIT 1",
    ):
        cursor = await connection.execute("EXPLAIN " + query, values, prepare=False)
        plan = "\n".join(row[0] for row in await cursor.fetchall())
        assert "Index" in plan
        assert "Seq Scan on transfer" not in plan, plan
