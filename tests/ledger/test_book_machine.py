"""The book on a real PostgreSQL, driven at random beside a slow book of dicts that shares no line with it.

The slow book knows the published rules only: it keeps what took effect in a list, and walks it for each question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from exchange.database import Addresses
from ledger.book import Book, account_rows, due_holds, transfer_rows
from ledger.postings import Posted, Transfer
from tests.conftest import DRILL

LIMITS = {
    "bank": "none",
    "buyer": "debits_must_not_exceed_credits",
    "seller": "debits_must_not_exceed_credits",
    "claims": "credits_must_not_exceed_debits",
    "dollars": "none",
    "till": "none",
}
LEDGERS = {"dollars": "USD", "till": "USD"}
KEY = b"m" * 32

Fact = dict[str, Any]


@dataclass
class Slow:
    """What took effect, in order, each with the time it did; and the first answer under every identifier."""

    done: list[Fact] = field(default_factory=list)
    answered: dict[str, tuple[Fact, Any]] = field(default_factory=dict)

    def total(self, name: str, side: str, state: str) -> int:
        """The sum of one side of an account: of what is posted, or of the holds that stand."""
        posted = ("post", "post_pending")
        return sum(
            f["amount"]
            for f in self.done
            if f[side] == name
            and (
                f["kind"] in posted if state == "posted" else f["kind"] == "pending" and not self.end(f["id"])
            )
        )

    def end(self, hold: str) -> str:
        """What ended a hold, "" while it stands."""
        return next((f["kind"] for f in self.done if f["pending"] == hold), "")

    def closed(self, name: str) -> bool:
        return any(f["closes"] and f[f["closes"]] == name and not self.end(f["id"]) for f in self.done)

    def held(self, name: str) -> Fact | None:
        return next((f for f in self.done if f["id"] == name and f["kind"] == "pending"), None)

    def fault(self, t: Fact, now: int) -> str:
        """Why a new transfer has no effect, "" where it has."""
        ends = t["kind"] in ("post_pending", "void_pending", "expire_pending")
        may_be_nothing = t["closes"] or t["kind"] in ("void_pending", "expire_pending")
        if t["amount"] < (0 if may_be_nothing else 1):
            return "amount_out_of_range"
        if t["debit"] == t["credit"]:
            return "accounts_must_be_different"
        if t["debit"] not in LIMITS:
            return "debit_account_not_found"
        if t["credit"] not in LIMITS:
            return "credit_account_not_found"
        ledgers = [LEDGERS.get(t[side], "CNY") for side in ("debit", "credit")]
        if ledgers[0] != ledgers[1]:
            return "accounts_must_have_the_same_ledger"
        if ledgers[0] != t["ledger"]:
            return "transfer_must_have_the_same_ledger_as_accounts"
        return self.no_end(t, now) if ends else self.no_start(t)

    def no_start(self, t: Fact) -> str:
        debit, credit, amount = t["debit"], t["credit"], t["amount"]
        for side in ("debit", "credit"):
            if self.closed(t[side]):
                return f"{side}_account_closed"
        debits = self.total(debit, "debit", "posted") + self.total(debit, "debit", "pending") + amount
        credits = self.total(credit, "credit", "posted") + self.total(credit, "credit", "pending") + amount
        if LIMITS[debit].startswith("debits") and debits > self.total(debit, "credit", "posted"):
            return "exceeds_credits"
        if LIMITS[credit].startswith("credits") and credits > self.total(credit, "debit", "posted"):
            return "exceeds_debits"
        return ""

    def no_end(self, t: Fact, now: int) -> str:
        held = self.held(t["pending"])
        if held is None:
            known = t["pending"] in self.answered
            return "pending_transfer_not_pending" if known else "pending_transfer_not_found"
        for name in ("debit", "credit", "ledger", "code"):
            if t[name] != held[name]:
                return f"pending_transfer_has_different_{name}"
        if t["kind"] == "post_pending" and t["amount"] > held["amount"]:
            return "exceeds_pending_transfer_amount"
        if t["kind"] != "post_pending" and t["amount"] != held["amount"]:
            return "pending_transfer_has_different_amount"
        ended = {
            "post_pending": "pending_transfer_already_posted",
            "void_pending": "pending_transfer_already_voided",
            "expire_pending": "pending_transfer_expired",
        }.get(self.end(held["id"]))
        if ended:
            return ended
        over = held["timeout_us"] > 0 and now >= held["time"] + held["timeout_us"]
        if over != (t["kind"] == "expire_pending"):
            return "pending_transfer_expired" if over else "pending_transfer_not_expired"
        if t["kind"] == "post_pending":
            for side in ("debit", "credit"):
                if self.closed(t[side]):
                    return f"{side}_account_closed"
        return ""

    def post(self, call: list[Fact], now: int) -> list[Any]:
        """Answer a call: numbers where transfers took effect, reasons elsewhere."""
        answers: list[Any] = []
        chain: list[Fact] = []
        for at, t in enumerate(call):
            chain.append(t)
            if not t["linked"] or at == len(call) - 1:
                answers += self.chain(chain, now)
                chain = []
        return answers

    def chain(self, chain: list[Fact], now: int) -> list[Any]:
        before, faults = list(self.done), [""] * len(chain)
        names = [t["id"] for t in chain]
        for at, name in enumerate(names):
            if name in self.answered:
                faults[at] = "linked_event_failed"
                break
            if name in names[:at]:
                faults[names.index(name)] = "id_twice_in_chain"
                break
        if not any(faults) and chain[-1]["linked"]:
            faults[-1] = "linked_event_chain_open"
        for at, t in enumerate(chain):
            if not any(faults):
                faults[at] = self.fault(t, now)
                self.done.append({**t, "time": now})
        if any(faults):
            self.done = before
        answers = []
        for at, t in enumerate(chain):
            if t["id"] in self.answered:
                first, answer = self.answered[t["id"]]
                differing = [name for name in first if first[name] != t[name]]
                word = differing[0].removesuffix("_us") if differing else ""
                answers.append(f"exists_with_different_{word}" if word else answer)
                continue
            answer = (faults[at] or "linked_event_failed") if any(faults) else len(before) + at + 1
            self.answered[t["id"]] = t, answer
            answers.append(answer)
        return answers


names = st.integers(1, 40).map("t{}".format)
odd: st.SearchStrategy[Fact] = st.builds(
    dict,
    id=names,
    kind=st.sampled_from(["post", "pending", "void_pending", "post_pending", "expire_pending"]),
    debit=st.sampled_from([*LIMITS, "nobody"]),
    credit=st.sampled_from([*LIMITS, "nobody"]),
    amount=st.integers(-1, 9),
    ledger=st.sampled_from(["CNY", "USD"]),
)
usual: st.SearchStrategy[Fact] = st.builds(
    dict,
    id=names,
    kind=st.sampled_from(["post", "post", "pending"]),
    debit=st.sampled_from(["bank", "bank", "buyer", "seller", "claims"]),
    credit=st.sampled_from(["buyer", "seller", "claims"]),
    amount=st.integers(1, 30),
    ledger=st.just("CNY"),
)


@st.composite
def asked(draw: st.DrawFn, holds: list[Fact]) -> Fact:
    """One transfer: mostly sound, often the end of a hold that exists."""
    if draw(st.integers(0, 2)) and holds:
        held = draw(st.sampled_from(holds))
        kind = draw(st.sampled_from(["post_pending", "void_pending", "expire_pending"]))
        part: int = draw(st.integers(1, max(held["amount"], 1)))
        amount = part if kind == "post_pending" else held["amount"]
        made = {**held, "id": draw(names), "kind": kind, "amount": amount, "pending": held["id"]}
        made |= {"timeout_us": 0, "closes": None}
    else:
        drawn = draw(odd) if not draw(st.integers(0, 4)) else draw(usual)
        ends = drawn["kind"] not in ("post", "pending")
        made = {
            **drawn,
            "code": "sale",
            "pending": draw(names) if ends else None,
            "timeout_us": 0,
            "closes": None,
        }
        if drawn["kind"] == "pending":
            made["timeout_us"] = draw(st.sampled_from([0, 0, 2, 5]))
            made["closes"] = draw(st.sampled_from([None, None, None, "debit", "credit"]))
    order = ("id", "kind", "debit", "credit", "amount", "ledger", "code", "pending", "timeout_us", "closes")
    return {name: made[name] for name in order} | {"linked": not draw(st.integers(0, 3))}


class BookMachine(RuleBasedStateMachine):
    """Calls of a few transfers, repeats and altered repeats, a clock that moves, and now and then a rollback."""

    url: str
    loop: asyncio.AbstractEventLoop

    @initialize()
    def open(self) -> None:
        """Six accounts of two ledgers in an empty database."""
        self.slow, self.now, self.last = Slow(), 1_000, list[Fact]()
        self.connection = self.run(psycopg.AsyncConnection.connect(self.url))
        self.book = Book(self.connection, KEY)
        for name, limit in LIMITS.items():
            ledger = LEDGERS.get(name, "CNY")
            self.run(self.book.open_account(name, ledger=ledger, code="cash", limit=limit))  # type: ignore[arg-type]

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def send(self, call: list[Fact]) -> None:
        transfers = [Transfer(**fact) for fact in call]
        outcomes = self.run(self.book.post(transfers, log_index=7, time_us=self.now))
        answers = [o.sequence if isinstance(o, Posted) else str(o.reason) for o in outcomes]
        known = set(self.slow.answered)
        assert answers == self.slow.post(call, self.now)
        assert all(o.exists for o, fact in zip(outcomes, call, strict=True) if fact["id"] in known)
        self.last = call

    @rule(data=st.data(), size=st.integers(1, 8))
    def post(self, data: st.DataObject, size: int) -> None:
        """A call of several transfers, chains among them."""
        holds = [f for f in self.slow.done if f["kind"] == "pending"]
        facts = [
            data.draw(asked([{k: v for k, v in f.items() if k != "time"} for f in holds]))
            for _ in range(size)
        ]
        self.send(facts)

    @rule()
    def again(self) -> None:
        """The same call once more."""
        if self.last:
            self.send(self.last)

    @rule(amount=st.integers(1, 9), at=st.integers(0, 7))
    def altered(self, amount: int, at: int) -> None:
        """The same call with one amount changed."""
        if at < len(self.last):
            self.send([{**f, "amount": amount} if n == at else f for n, f in enumerate(self.last)])

    @rule(by=st.integers(1, 3))
    def tick(self, by: int) -> None:
        """Time passes."""
        self.now += by

    @rule()
    def expire(self) -> None:
        """What is due expires, as the clock's hand does it."""
        due = self.run(due_holds(self.connection, self.now, 100))
        standing = [f for f in self.slow.done if f["kind"] == "pending" and not self.slow.end(f["id"])]
        over = [f for f in standing if f["timeout_us"] and f["time"] + f["timeout_us"] <= self.now]
        assert sorted(hold.id for hold in due) == sorted(f["id"] for f in over)
        if over:
            ends = {"kind": "expire_pending", "timeout_us": 0, "closes": None, "linked": False}
            self.send(
                [
                    {k: v for k, v in f.items() if k != "time"}
                    | ends
                    | {"id": f"x{self.now}{f['id']}", "pending": f["id"]}
                    for f in over
                ]
            )

    @invariant()
    def balances(self) -> None:
        """Every account says what the slow book sums up."""

        async def rows() -> list[Any]:
            return [account async for account in account_rows(self.connection)]

        if not hasattr(self, "slow"):
            return
        for a in self.run(rows()):
            found = (a.debits_pending, a.debits_posted, a.credits_pending, a.credits_posted, a.closed)
            sums = [
                self.slow.total(a.id, side, state)
                for side in ("debit", "credit")
                for state in ("pending", "posted")
            ]
            assert found == (*sums, self.slow.closed(a.id)), a.id

    def teardown(self) -> None:
        """Every transfer stands in its place with its state; the database is left empty."""
        if not hasattr(self, "slow"):
            return
        ended = {
            "post_pending": "posted",
            "void_pending": "voided",
            "expire_pending": "expired",
            "": "pending",
        }

        async def rows() -> list[Any]:
            return [
                (t.id, sequence, state)
                async for t, sequence, _, state in transfer_rows(self.connection, 0, 2**62)
            ]

        expected = [
            (
                f["id"],
                n,
                ended[self.slow.end(f["id"])] if f["kind"] == "pending" else ended.get(f["kind"], "posted"),
            )
            for n, f in enumerate(self.slow.done, 1)
        ]
        try:
            assert self.run(rows()) == expected
        finally:
            self.run(self.connection.rollback())
            self.run(self.connection.close())


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def test_the_book_does_what_the_slow_book_says(database: Addresses, loop: asyncio.AbstractEventLoop) -> None:
    """Any sequence of calls, repeats, expiries and moments, on real tables."""

    class OnThisDatabase(BookMachine):
        pass

    OnThisDatabase.url, OnThisDatabase.loop = database.app_url, loop
    run_state_machine_as_test(
        OnThisDatabase,
        settings=settings(
            max_examples=400 if DRILL else 40,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
