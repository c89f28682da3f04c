"""The judge's sums beside its single steps: whole segments at once, or transfer by transfer, say the same of any log."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ledger.audit.reading
import ledger.audit.shapes
import ledger.bundle
from ledger.audit import audit
from ledger.audit.entry import envelope, read_body
from ledger.audit.shapes import Shapes
from ledger.checkpoint import Checkpoint, sign
from ledger.entries import Entry, canonical
from ledger.errors import CanonicalError, TransferError
from ledger.merkle import Edge, leaf_hash
from ledger.postings import (
    AMOUNT_LIMIT,
    Account,
    Posted,
    Transfer,
    account_to_json,
    decide,
    is_name,
    transfer_from_json,
    transfer_to_json,
)
from tests.ledger.logbook import LOG, ORIGIN, Market, failed

SEGMENT = 16
LIMITS = ("none", "debits_must_not_exceed_credits", "credits_must_not_exceed_debits")


def log(chance: random.Random) -> Market:
    """Accounts of every limit in two ledgers, one of them closed, and plain transfers over some segments."""
    market = Market(chance)
    opened = [
        Account(f"{ledger}-{limit}-{number}", ledger, "cash", limit)  # type: ignore[arg-type]
        for ledger in ("CNY", "calls")
        for limit in LIMITS
        for number in range(2)
    ]
    shut = Account("CNY-shut", "CNY", "cash", "none")
    accounts = {account.id: account for account in [*opened, shut]}
    market.time_us += 1
    close = Transfer("close", "pending", "CNY-none-0", shut.id, 0, "CNY", "x", closes="credit")
    bodies: list[dict[str, Any]] = [
        {"accounts": [account_to_json(account)], "kind": "opened", "time": str(market.time_us)}
        for account in accounts.values()
    ]
    bodies[-1]["transfers"] = [transfer_to_json(close)]
    decision = decide(accounts, {}, {}, [close], 1, 0)
    assert isinstance(decision.outcomes[0], Posted)
    accounts |= decision.accounts
    market.pendings |= decision.pendings
    market.rows.append((close, 1, len(bodies) - 1))
    for number in range(90):
        market.time_us += chance.randrange(2)
        ledger = "calls" if len(bodies) // SEGMENT % 4 == 3 else "CNY"  # one a segment, or it is not summed
        names = sorted(account.id for account in opened if account.ledger == ledger)
        debit, credit = chance.sample(names, 2)
        transfer = Transfer(f"t{number}", "post", debit, credit, chance.randrange(1, 9), ledger, "x")
        decision = decide(accounts, {}, {}, [transfer], len(market.rows) + 1, 0)
        body: dict[str, Any] = {"act": {}, "kind": "paid", "time": str(market.time_us)}
        if isinstance(decision.outcomes[0], Posted):
            accounts |= decision.accounts
            body["transfers"] = [transfer_to_json(transfer)]
            market.rows.append((transfer, len(market.rows) + 1, len(bodies)))
        bodies.append(body)
    market.accounts = accounts
    broken(market, bodies, chance)
    market.entries = [Entry.of(body, market.bytes32()) for body in bodies]
    market.edge = Edge.empty().append([leaf_hash(entry.leaf) for entry in market.entries])
    market.sizes = [market.edge.size]
    market.notes = [sign(Checkpoint(ORIGIN, market.edge.size, market.edge.root()), LOG)]
    return market


def broken(market: Market, bodies: list[dict[str, Any]], chance: random.Random) -> None:
    """Let the log itself do otherwise, in body and row alike, so that only the fold can tell whether a rule is broken."""
    place = chance.randrange(2, len(market.rows))
    transfer, sequence, index = market.rows[place]
    before = market.rows[chance.randrange(1, place)][0]
    near, _, at = market.rows[place - 1]
    changes = [
        transfer,
        replace(transfer, amount=transfer.amount + chance.randrange(1, 40)),
        replace(transfer, amount=AMOUNT_LIMIT),
        replace(transfer, amount=AMOUNT_LIMIT + 1),
        replace(transfer, id=before.id),
        replace(transfer, debit=transfer.credit),
        replace(transfer, credit="calls-none-0" if transfer.ledger == "CNY" else "CNY-none-0"),
        replace(transfer, credit="CNY-shut"),
        replace(transfer, debit="nobody"),
        replace(transfer, ledger="USD"),
    ]
    if (
        chance.random() < 0.5 and at > len(LIMITS) * 4
    ):  # two trade places: what is short after the first has enough after both
        market.rows[place - 1] = transfer, sequence - 1, at
        bodies[at]["transfers"] = [transfer_to_json(transfer)]
        changes = [near]
    change = chance.choice(changes)
    market.rows[place] = change, sequence + (chance.random() < 0.05), index
    bodies[index]["transfers"] = [transfer_to_json(change)]
    if chance.random() < 0.1:
        bodies[index]["time"] = str(market.time_us - 1_000_000)


def test_sums_say_what_single_steps_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger.bundle, "SEGMENT", SEGMENT)
    monkeypatch.setattr(ledger.audit.reading, "SEGMENT", SEGMENT)
    found: Counter[str] = Counter()
    for seed in range(300):
        path = log(random.Random(f"sums {seed}")).export(tmp_path / "b.zip")
        fast = audit(path, [LOG.vkey], processes=1)
        with monkeypatch.context() as patch:
            patch.setattr(ledger.audit.shapes, "SHAPES_LIMIT", 0)  # no body has a shape, none is summed
            assert audit(path, [LOG.vkey], processes=1) == fast, seed
        found.update(str(fast.check(name).facts.get("reason", name)) for name in failed(fast))
        found["sound"] += fast.ok
    assert {"sound", "time", "transfers", "exceeds_credits", "exceeds_debits", "overflows_debits"} <= set(
        found
    )
    assert {"accounts_must_be_different", "accounts_must_have_the_same_ledger"} <= set(found)
    assert {"credit_account_closed", "debit_account_not_found", "amount_out_of_range"} <= set(found)


NUMBERS = st.sampled_from(["7", "0", "07", "00", "", "-1", "1.5", "9" * 18, "1" * 20, "1" * 29, "x"])
NAMES = st.sampled_from(["a", "b c", "", "x" * 128, "x" * 129, "é", "a\x7f", "\\u0001", '","code":"'])
BODY = '''{"act":{"n":"%s"},"kind":"%s","time":"%s","transfers":[{"amount":"%s","code":"%s","credit":"%s",''' \
    '''"debit":"%s","id":"%s","kind":"%s","ledger":"%s","linked":%s,"pending":%s}]}'''  # fmt: skip
FIRST = ("1", "paid", "7", "12", "x", "a", "b", "t1", "post", "CNY", "false", "null")


@given(st.data())
def test_a_body_of_a_shape_that_moves_money_says_what_its_transfer_says(data: st.DataObject) -> None:
    shapes, first = Shapes(), (BODY % FIRST).encode()
    shapes.learn(first, read_body(first))
    assert shapes.find(first) is not None
    parts = list(FIRST)
    for place in data.draw(st.sets(st.integers(0, len(FIRST) - 1), min_size=1, max_size=2)):
        parts[place] = data.draw(
            NUMBERS if place in (2, 3) else st.sampled_from(["true", '"h"', "null"]) if place > 9 else NAMES
        )
    text = (BODY % tuple(parts)).encode()
    found = shapes.find(text)
    try:
        value = read_body(text)
        time = envelope(value)[1]
        (said,) = value["transfers"]
        transfer = transfer_from_json(said)
        names = (transfer.id, transfer.debit, transfer.credit, transfer.code, transfer.ledger)
        plain = (transfer.kind, transfer.linked, transfer.pending) == ("post", False, None)
        sound = plain and transfer.amount > 0 and all(map(is_name, names))
    except (CanonicalError, TransferError):
        sound = False
    if found is None:
        printable = text.isascii() and text.decode().isprintable() and b"\\" not in text
        assert not sound or not printable or transfer.amount > AMOUNT_LIMIT
        return
    shape, groups = found
    assert sound
    amount, said_text = str(transfer.amount), canonical(said).decode()
    told = (value["kind"], str(time), said_text, amount, *map(said.get, ("credit", "debit", "id", "ledger")))
    assert groups == tuple(part.encode() for part in told)
    assert shape.find_lines(text + b"\n") == [groups]
