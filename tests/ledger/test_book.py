"""The book over real tables against an independent naive one, its seal on every row, and what a posting costs."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from exchange.database import Addresses
from ledger.book import Book, account_rows, balance, due_holds, transfer_rows
from ledger.call import Call
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
    rows = [row async for row in transfer_rows(connection, 0, 2**62)]
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
        "UPDATE account SET ledger = 'USD' WHERE id = 'buyer'",
        "UPDATE account SET debits_pending = 1 WHERE id = 'buyer'",
        "UPDATE account SET debits_posted = 1 WHERE id = 'buyer'",
        "UPDATE account SET credits_pending = 1 WHERE id = 'buyer'",
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


UNSEALED = "ALTER TABLE transfer DISABLE TRIGGER append_only; "
HELD = "UPDATE transfer SET {} WHERE id = 'hold'"


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        ("UPDATE hold SET state = 'voided' WHERE id = 'hold'", "hold hold"),
        ("UPDATE hold SET expires_us = expires_us + 1 WHERE id = 'hold'", "hold hold"),
        ("UPDATE hold SET expires_us = NULL WHERE id = 'hold'", "hold hold"),
        ("UPDATE hold SET mac = '\\x00' WHERE id = 'hold'", "hold hold"),
        ("UPDATE hold SET id = 'other' WHERE id = 'hold'", "hold hold"),
        ("DELETE FROM hold WHERE id = 'hold'", "hold hold"),
        ("UPDATE hold SET state = 'pending', mac = (SELECT mac FROM kept) WHERE id = 'done'", "hold done"),
        (HELD.format("debit = 'seller'"), "hold hold"),
        (HELD.format("credit = 'bank'"), "hold hold"),
        (HELD.format("amount = 7"), "hold hold"),
        (HELD.format("ledger = 'USD'"), "hold hold"),
        (HELD.format("code = 'fee'"), "hold hold"),
        (HELD.format("closes = 'debit'"), "hold hold"),
        (HELD.format("id = 'renamed'"), "hold hold"),
        ("DELETE FROM transfer WHERE id = 'hold'", "hold hold"),
        ("DELETE FROM transfer WHERE id = 'last'", "transfer"),
        ("UPDATE transfer SET sequence = sequence + 1 WHERE id = 'last'", "transfer"),
        ("INSERT INTO transfer SELECT sequence + 1, id || '!', log_index, time_us, kind, debit, credit, amount, ledger,"
         " code, pending, linked, timeout_us, closes FROM transfer WHERE id = 'last'", "transfer"),
        ("UPDATE book_head SET sequence = sequence - 1", "book_head"),
        ("UPDATE book_head SET mac = '\\x00'", "book_head"),
        ("DELETE FROM book_head", "book_head"),
        ("DELETE FROM book_head; DELETE FROM transfer", "transfer"),
    ],
)  # fmt: skip
async def test_no_hold_and_no_number_can_be_changed_unnoticed(
    connection: psycopg.AsyncConnection[Any], database: Addresses, edit: str, named: str
) -> None:
    book = await open_all(connection)
    hold = pay("hold", "buyer", "seller", 60, kind="pending", timeout_us=1_000)
    done = pay("done", "buyer", "seller", 5, kind="pending")
    await post(book, pay("in", "bank", "buyer", 100), hold, done)
    assert database.owner_url is not None
    await connection.commit()
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("CREATE TABLE kept AS SELECT mac FROM hold WHERE id = 'done'")
    await post(
        book, replace(done, id="void", kind="void_pending", pending="done"), pay("last", "bank", "seller", 1)
    )
    await connection.commit()
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute((UNSEALED + edit).encode())
    ends = [
        replace(hold, id=f"end {each}", kind="post_pending", pending=each, timeout_us=0)
        for each in ("hold", "done")
    ]
    with pytest.raises(TransferError) as noticed:
        await post(book, *ends)
    assert named in str(noticed.value)


async def test_a_row_that_changes_under_the_books_hands_stops_the_posting(
    connection: psycopg.AsyncConnection[Any], database: Addresses
) -> None:
    book = await open_all(connection)
    await post(book, pay("in", "bank", "buyer", 100))
    await connection.commit()
    call = Call(KEY, [pay("out", "buyer", "seller", 40)])
    rows = [await (await connection.execute(sql, values)).fetchall() for sql, values in call.reads()]
    assert call.decide(rows, 11) == [Posted(2)]
    assert database.owner_url is not None
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("UPDATE account SET mac = '\\x00' WHERE id = 'buyer'")
    (_, (balances, values), *_) = call.writes([7])
    with pytest.raises(psycopg.errors.SerializationFailure, match="account"):
        await connection.execute(balances, values)
    await connection.rollback()
    assert [row[0].id async for row in transfer_rows(connection, 0, 2**62)] == ["in"]


@pytest.mark.parametrize("table", ["transfer", "failed_transfer"])
async def test_no_role_changes_a_transfer_that_was_written(
    connection: psycopg.AsyncConnection[Any], database: Addresses, table: str
) -> None:
    book = await open_all(connection)
    await post(book, pay("in", "bank", "buyer", 100), pay("too much", "buyer", "seller", 1_000))
    await connection.commit()
    assert database.owner_url is not None
    for change in (f"UPDATE {table} SET amount = 5", f"DELETE FROM {table}", f"TRUNCATE {table}"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(change.encode())
        await connection.rollback()
        with (
            psycopg.connect(database.owner_url) as owner,
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"),
        ):
            owner.execute(change.encode())


async def test_whatever_is_asked_is_answered_with_a_named_reason(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    book = await open_all(connection)
    good = pay("t", "bank", "buyer", 1)
    odd: list[tuple[dict[str, Any], str]] = [
        ({"id": ""}, "id_must_not_be_empty"),
        ({"id": "x" * 129}, "id_must_be_a_name"),
        ({"id": "a\0b"}, "id_must_be_a_name"),
        ({"id": "\ud800"}, "id_must_be_a_name"),
        ({"amount": 0}, "amount_out_of_range"),
        ({"amount": -1}, "amount_out_of_range"),
        ({"amount": 2**63}, "amount_out_of_range"),
        ({"amount": -(2**200)}, "amount_out_of_range"),
        ({"amount": 1.5}, "amount_out_of_range"),
        ({"amount": True}, "amount_out_of_range"),
        ({"amount": "1"}, "amount_out_of_range"),
        ({"amount": AMOUNT_LIMIT}, "overflows_debits"),
        ({"code": "a\0b"}, "code_must_be_a_name"),
        ({"code": ""}, "code_must_not_be_empty"),
        ({"debit": "a\0b"}, "debit_account_not_found"),
        ({"debit": ""}, "debit_account_not_found"),
        ({"credit": "x" * 10_000}, "credit_account_not_found"),
        ({"ledger": "CN\0Y"}, "transfer_must_have_the_same_ledger_as_accounts"),
        ({"ledger": "USD"}, "transfer_must_have_the_same_ledger_as_accounts"),
        ({"kind": "void_pending", "pending": "a\0b"}, "pending_transfer_not_found"),
        ({"kind": "void_pending", "pending": ""}, "pending_id_must_not_be_empty"),
        ({"pending": ""}, "pending_id_must_be_empty"),
        ({"kind": "pending", "timeout_us": -1}, "timeout_out_of_range"),
        ({"kind": "pending", "timeout_us": 2**63 - 1}, "timeout_out_of_range"),
        ({"kind": "pending", "timeout_us": 2**63}, "timeout_out_of_range"),
        ({"timeout_us": 5}, "timeout_reserved_for_pending_transfer"),
        ({"closes": "debit"}, "closing_transfer_must_be_pending"),
    ]
    await post(book, pay("in", "bank", "buyer", 100))
    for number, (changed, reason) in enumerate(odd):
        asked = replace(good, **{"id": f"t{number}", **changed})
        for _ in range(2):
            assert await post(book, asked) == [reason], changed
            assert await post(book, replace(asked, linked=True), pay(f"next{number}", "bank", "buyer", 1))
    mixed = [replace(good, **{"id": f"m{n}", **changed}) for n, (changed, _) in enumerate(odd)]
    assert await post(book, *mixed) == [reason for _, reason in odd]


async def test_accounts_of_different_ledgers_never_mix(connection: psycopg.AsyncConnection[Any]) -> None:
    book = await open_all(connection)
    for ledger in ("USD", "calls.api-7"):
        for name in ("from", "to"):
            await book.open_account(f"{name} {ledger}", ledger=ledger, code="cash", limit="none")
    assert await post(
        book,
        replace(pay("a", "from USD", "to USD", 5), ledger="USD"),
        replace(pay("b", "from calls.api-7", "to calls.api-7", 7), ledger="calls.api-7"),
        pay("c", "from USD", "to calls.api-7", 1),
        pay("d", "from USD", "to USD", 1),
    ) == [1, 2, "accounts_must_have_the_same_ledger", "transfer_must_have_the_same_ledger_as_accounts"]
    sums = {a.ledger: a.balance async for a in account_rows(connection) if a.id.startswith("to ")}
    assert sums == {"USD": 5, "calls.api-7": 7}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"identifier": ""}, "id"), ({"identifier": "a\0"}, "id"), ({"identifier": "x" * 129}, "id"),
        ({"identifier": "bank"}, "id"), ({"code": "\n"}, "code"), ({"code": ""}, "code"),
        ({"ledger": ""}, "ledger"), ({"ledger": "7up"}, "ledger"), ({"ledger": "C Y"}, "ledger"),
        ({"ledger": "C" * 65}, "ledger"), ({"ledger": "CNY\n"}, "ledger"),
    ],
)  # fmt: skip
async def test_an_account_is_opened_under_sound_names_and_once(
    connection: psycopg.AsyncConnection[Any], changed: dict[str, str], field: str
) -> None:
    book = await open_all(connection)
    names = {"identifier": "new", "ledger": "CNY", "code": "cash", **changed}
    with pytest.raises(TransferError) as refusal:
        await book.open_account(names["identifier"], ledger=names["ledger"], code=names["code"], limit="none")
    assert refusal.value.field == field
    assert await post(book, pay("in", "bank", "buyer", 1)) == [1]  # the transaction goes on


async def test_a_hold_that_timed_out_can_only_expire(connection: psycopg.AsyncConnection[Any]) -> None:
    book = await open_all(connection)
    hold = pay("hold", "buyer", "seller", 60, kind="pending", timeout_us=100)
    end = replace(hold, pending="hold", timeout_us=0)
    await book.post([pay("in", "bank", "buyer", 100), hold], log_index=1, time_us=1_000)
    assert await due_holds(connection, 1_099, 9) == []
    early = replace(end, id="early", kind="expire_pending")
    assert [word(o) for o in await book.post([early], log_index=2, time_us=1_099)] == [
        "pending_transfer_not_expired"
    ]
    (due,) = await due_holds(connection, 1_100, 9)
    assert (due.id, due.expires_us) == ("hold", 1_100)
    outcomes = await book.post(
        [
            replace(end, id="take", kind="post_pending"),
            replace(end, id="void", kind="void_pending"),
            replace(end, id="expire", kind="expire_pending"),
            replace(end, id="again", kind="expire_pending"),
        ],
        log_index=3,
        time_us=1_100,
    )
    expired = "pending_transfer_expired"
    assert [word(o) for o in outcomes] == [expired, expired, 3, expired]
    assert await due_holds(connection, 2_000, 9) == []
    buyer = await balance(connection, "buyer")
    assert buyer is not None
    assert (buyer.available, buyer.debits_pending) == (100, 0)


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
    await connection.commit()
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
        async with await Counting.connect(database.app_url) as counting:
            await counting.execute("SELECT 1")  # begins the transaction
            counting.statements = counting.trips = 0
            await Book(counting, KEY).post(calls, log_index=1, time_us=1)
            counts.append((counting.statements, counting.trips))
    assert len(set(counts)) == 1
    assert counts[0] == (10, 2)


class Counting(psycopg.AsyncConnection[Any]):
    """A connection that counts its round trips and what came back in them."""

    statements = 0
    trips = 0

    async def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        results = await super().wait(gen, *args, **options)
        self.trips += 1
        self.statements += len(results or ())
        return results


async def test_rows_are_told_in_pages_without_losing_one(connection: psycopg.AsyncConnection[Any]) -> None:
    book = await open_all(connection)
    names = [f"acc-{n:04}" for n in range(1_200)]
    for name in names:
        await book.open_account(name, ledger="CNY", code="cash", limit="none")
    await book.post([pay(f"t{n}", "bank", name, 1) for n, name in enumerate(names)], log_index=3, time_us=1)
    assert [a.id async for a in account_rows(connection)] == sorted([*names, *OPEN])
    assert [row[1] async for row in transfer_rows(connection, 0, 2**62)] == list(range(1, 1_201))
    assert await balance(connection, "nobody") is None
