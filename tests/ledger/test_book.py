"""The book over real tables against an independent naive one, its seal on every row, and what a posting costs."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from exchange.database import Addresses
from ledger.book import Book, account_rows, balance, transfer_rows
from ledger.errors import TransferError
from ledger.postings import (
    AMOUNT_LIMIT,
    STATE_AT_FIRST,
    Account,
    Failed,
    Outcome,
    Posted,
    Transfer,
    TransferKind,
    differences,
)
from ledger.seals import account_mac
from tests.ledger.test_postings import ACCOUNTS, NaiveBook

pytestmark = pytest.mark.anyio

KEY = b"m" * 32
OPEN = {name: account for name, account in ACCOUNTS.items() if not account.closed}
KINDS: list[TransferKind] = ["post", "pending", "post_pending", "void_pending"]


async def open_all(connection: psycopg.AsyncConnection[Any]) -> Book:
    book = Book(connection, KEY)
    for account in OPEN.values():
        await book.open_account(account.id, ledger=account.ledger, code=account.code, limit=account.limit)
    return book


async def post(book: Book, *transfers: Transfer) -> list[str | int]:
    return [word(o) for o in await book.post(transfers, log_index=7, time_us=11)]


def word(outcome: Outcome) -> str | int:
    return outcome.sequence if isinstance(outcome, Posted) else outcome.reason.value


def pay(name: str, debit: str, credit: str, amount: int, **changed: Any) -> Transfer:
    return replace(Transfer(name, "post", debit, credit, amount, "CNY", "cash"), **changed)


def some_transfer(chance: random.Random, number: int, holds: list[Transfer]) -> Transfer:
    """A transfer that is mostly right, often about a hold, and now and then wrong or known."""
    amount = chance.choice([1, 2, 5, 40])
    if holds and chance.random() < 0.4:
        held = chance.choice(holds[-8:])
        kind: TransferKind = chance.choice(["post_pending", "void_pending"])
        made = replace(held, id=f"t{number}", kind=kind, pending=held.id, linked=False)
        if kind == "post_pending":
            made = replace(made, amount=min(amount, held.amount))
    else:
        debit, credit = chance.choice(
            [("bank", "buyer"), ("bank", "buyer"), ("buyer", "seller"), ("seller", "claims")]
        )
        kind = chance.choice(["post", "post", "pending"])
        made = Transfer(f"t{number}", kind, debit, credit, amount, "CNY", "cash")
    if chance.random() < 0.15:
        made = replace(made, linked=True)
    if chance.random() < 0.25:
        wrong: dict[str, Any] = chance.choice(
            [
                {"id": f"t{chance.randrange(1, number + 1)}"}, {"id": ""}, {"debit": "nobody"}, {"credit": "closed"},
                {"amount": 0}, {"amount": -3}, {"amount": AMOUNT_LIMIT}, {"ledger": "calls"}, {"code": ""},
                {"credit": made.debit}, {"pending": f"t{chance.randrange(1, number + 1)}"}, {"debit": "quota"},
                {"kind": chance.choice(KINDS)},
            ]
        )  # fmt: skip
        made = replace(made, **wrong)
    return made


@pytest.mark.parametrize("seed", range(4))
async def test_the_tables_agree_with_a_naive_book_after_any_sequence_of_calls(
    connection: psycopg.AsyncConnection[Any], seed: int
) -> None:
    chance = random.Random(seed)
    book = await open_all(connection)
    naive = NaiveBook(OPEN)
    number = 0
    holds: list[Transfer] = []
    for _ in range(60):
        call = []
        for _ in range(chance.randint(1, 6)):
            number += 1
            call.append(some_transfer(chance, number, holds))
            if call[-1].kind == "pending":
                holds.append(call[-1])
        if chance.random() < 0.15:
            call += call  # the same again within one call
        assert await post(book, *call) == naive.send(call), call
    for name in OPEN:
        row = await balance(connection, name)
        assert row is not None
        assert ((row.debits_pending, row.debits_posted), (row.credits_pending, row.credits_posted)) == (
            naive.side(name, "debit"),
            naive.side(name, "credit"),
        )
    rows = [row async for row in transfer_rows(connection)]
    assert [row[0] for row in rows] == naive.done
    assert [row[1] for row in rows] == list(range(1, len(naive.done) + 1))
    for transfer, _, index, state in rows:
        resolved = naive.resolution(transfer.id)
        expected = STATE_AT_FIRST[transfer.kind] if resolved is None else STATE_AT_FIRST[resolved.kind]
        assert (index, state) == (7, expected)
    accounts = [account async for account in account_rows(connection)]
    assert [a.id for a in accounts] == sorted(OPEN)
    assert all(difference == (0, 0) for difference in differences(accounts).values())
    assert len(naive.done) > 40
    assert {"post_pending", "void_pending"} <= {t.kind for t in naive.done}


async def test_a_hold_is_taken_in_part_and_the_rest_released(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    book = await open_all(connection)
    hold = pay("hold", "buyer", "seller", 60, kind="pending")
    taken = pay("take", "buyer", "seller", 25, kind="post_pending", pending="hold")
    assert await post(book, pay("in", "bank", "buyer", 100), hold) == [1, 2]
    buyer = await balance(connection, "buyer")
    assert buyer is not None
    assert (buyer.available, buyer.debits_pending) == (40, 60)
    assert await post(book, taken) == [3]
    assert await post(book, replace(taken, id="again")) == ["pending_transfer_already_posted"]
    buyer = await balance(connection, "buyer")
    assert buyer is not None
    assert (buyer.available, buyer.debits_pending, buyer.debits_posted) == (75, 0, 25)


async def test_a_failed_identifier_stays_failed_though_the_money_comes(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    book = await open_all(connection)
    too_much = pay("t", "buyer", "seller", 10)
    assert await post(book, too_much) == ["exceeds_credits"]
    assert await post(book, pay("in", "bank", "buyer", 100), too_much) == [1, "exceeds_credits"]
    (again,) = await book.post([too_much], log_index=9, time_us=9)
    assert again == Failed(again.reason, exists=True)  # type: ignore[union-attr]  # it is a Failed
    assert await post(book, replace(too_much, id="t2")) == [2]


async def test_what_can_never_be_posted_is_refused_each_time_and_kept_nowhere(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    book = await open_all(connection)
    for wrong, reason in (
        (pay("t", "bank", "buyer", AMOUNT_LIMIT + 1), "amount_out_of_range"),
        (pay("", "bank", "buyer", 1), "id_must_not_be_empty"),
    ):
        for _ in range(2):
            (outcome,) = await book.post([wrong], log_index=1, time_us=1)
            assert (word(outcome), outcome.exists) == (reason, False)
    cursor = await connection.execute("SELECT count(*) FROM failed_transfer")
    assert await cursor.fetchone() == (0,)


async def test_a_linked_chain_is_written_whole_or_not_at_all(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    book = await open_all(connection)
    await post(book, pay("in", "bank", "buyer", 100))
    chain = [pay("a", "buyer", "seller", 90, linked=True), pay("b", "buyer", "seller", 20)]
    assert await post(book, *chain) == ["linked_event_failed", "exceeds_credits"]
    assert await balance(connection, "seller") == replace(OPEN["seller"])
    chain = [pay("c", "buyer", "seller", 90, linked=True), pay("d", "buyer", "seller", 10)]
    assert await post(book, *chain) == [2, 3]


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE account SET credits_posted = credits_posted + 1 WHERE id = 'buyer'",
        "UPDATE account SET credits_posted = credits_posted + 5, debits_posted = debits_posted + 5 WHERE id = 'buyer'",
        "UPDATE account SET sequence = sequence + 1 WHERE id = 'buyer'",
        "UPDATE account SET closed = true WHERE id = 'buyer'",
        "UPDATE account SET overdraft = 'none' WHERE id = 'buyer'",
        "UPDATE account SET code = 'fees' WHERE id = 'buyer'",
        "UPDATE account SET mac = '\\x00' WHERE id = 'buyer'",
        "UPDATE account b SET credits_posted = a.credits_posted, debits_posted = a.debits_posted, mac = a.mac,"
        " sequence = a.sequence FROM account a WHERE a.id = 'seller' AND b.id = 'buyer'",
    ],
)
async def test_a_row_that_its_owner_changed_is_noticed_at_the_next_touch(
    connection: psycopg.AsyncConnection[Any], database: Addresses, edit: str
) -> None:
    book = await open_all(connection)
    await post(book, pay("in", "bank", "buyer", 100), pay("out", "buyer", "seller", 40))
    await connection.commit()
    assert database.owner_url is not None
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        assert owner.execute(edit.encode()).rowcount == 1
    with pytest.raises(TransferError) as noticed:
        await post(book, pay("t", "buyer", "seller", 1))
    assert noticed.value.field == "account"
    assert "buyer" in str(noticed.value)
    await connection.rollback()
    assert await post(book, pay("u", "bank", "seller", 1)) == [3]  # others go on


async def test_an_old_row_put_back_is_not_noticed_by_its_seal_alone(
    connection: psycopg.AsyncConnection[Any], database: Addresses
) -> None:
    # A seal says that the book wrote this row once. That it is the newest, the log says: `ledger.audit` compares.
    book = await open_all(connection)
    await post(book, pay("in", "bank", "buyer", 100))
    old = await balance(connection, "buyer")
    assert old is not None
    await post(book, pay("out", "buyer", "seller", 40))
    await connection.commit()
    assert database.owner_url is not None
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute(
            "UPDATE account SET debits_posted = %s, sequence = %s, mac = %s WHERE id = 'buyer'",
            (old.debits_posted, old.sequence, account_mac(KEY, old)),
        )
    assert (await book.accounts(["buyer"]))["buyer"] == old
    accounts = [account async for account in account_rows(connection)]
    assert differences(accounts)["CNY"] != (0, 0)


async def test_another_key_reads_no_row(connection: psycopg.AsyncConnection[Any]) -> None:
    await open_all(connection)
    with pytest.raises(TransferError):
        await Book(connection, b"n" * 32).accounts(["buyer"])


def test_the_seal_covers_every_member_and_cannot_be_shifted() -> None:
    account = Account("a", "CNY", "cash", "none", 1, 2, 3, 4, 5)
    changed = [
        replace(account, **{name: value})  # type: ignore[arg-type]  # one member at a time
        for name, value in (
            ("id", "b"), ("ledger", "USD"), ("code", "c"), ("limit", "debits_must_not_exceed_credits"),
            ("debits_pending", 9), ("debits_posted", 9), ("credits_pending", 9), ("credits_posted", 9),
            ("sequence", 9), ("closed", True),
        )
    ]  # fmt: skip
    shifted = [replace(account, id="aC", ledger="NY"), replace(account, debits_pending=12, debits_posted=0)]
    macs = {account_mac(KEY, each) for each in (account, *changed, *shifted)}
    assert len(macs) == 1 + len(changed) + len(shifted)


async def test_the_number_of_statements_does_not_grow_with_the_transfers(
    connection: psycopg.AsyncConnection[Any], database: Addresses
) -> None:
    book = await open_all(connection)
    await post(book, pay("in", "bank", "buyer", 10_000))
    counts = []
    for size in (1, 10, 200):
        # One of each: posted, held, resolved, failed.
        calls = [
            t
            for n in range(size)
            for t in (
                pay(f"p{size}-{n}", "buyer", "seller", 1),
                pay(f"h{size}-{n}", "buyer", "seller", 2, kind="pending"),
                pay(f"v{size}-{n}", "buyer", "seller", 2, kind="void_pending", pending=f"h{size}-{n}"),
                pay(f"f{size}-{n}", "buyer", "seller", 10**9),
            )
        ]
        counting = Counting(connection)
        await Book(counting, KEY).post(calls, log_index=1, time_us=1)  # type: ignore[arg-type]  # all that is used of one
        counts.append((counting.statements, counting.trips))
    assert len(set(counts)) == 1
    assert counts[0] == (10, 2)


class Counting:
    """A connection that counts its statements and its round trips."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self.statements = 0
        self.trips = 0

    def pipeline(self) -> Any:
        self.trips += 1
        return self._connection.pipeline()

    async def execute(self, *args: Any) -> Any:
        self.statements += 1
        return await self._connection.execute(*args)


async def test_rows_are_told_in_pages_without_losing_one(connection: psycopg.AsyncConnection[Any]) -> None:
    book = await open_all(connection)
    names = [f"acc-{n:04}" for n in range(1_200)]
    for name in names:
        await book.open_account(name, ledger="CNY", code="cash", limit="none")
    await book.post([pay(f"t{n}", "bank", name, 1) for n, name in enumerate(names)], log_index=3, time_us=1)
    assert [a.id async for a in account_rows(connection)] == sorted([*names, *OPEN])
    assert [row[1] async for row in transfer_rows(connection)] == list(range(1, 1_201))
    assert await balance(connection, "nobody") is None
