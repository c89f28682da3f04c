"""Money at the bank: what comes in late, twice, for nobody or not as it was told, and statements that are compared with the book."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import psycopg
import pytest
from alembic.script import ScriptDirectory
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from exchange import accounts
from exchange.acts import Caller
from exchange.database import Addresses, alembic_config
from exchange.reconciliation import ON_ITS_WAY_US, Finding, Line, reconcile
from exchange.replay import Replayed, replay
from tests.exchange.conftest import House
from tests.exchange.floor import DAY_US, Floor

pytestmark = pytest.mark.anyio

BOOKING = st.tuples(
    st.integers(-9, 9).filter(bool),  # what the book has
    st.sampled_from(["same", "absent", "more", "twice"]),  # what the bank made of it
    st.booleans(),  # booked lately
)


@given(st.lists(BOOKING, max_size=12), st.lists(st.integers(-9, 9).filter(bool), max_size=4))
def test_whatever_the_bank_did_otherwise_is_found_and_nothing_else(
    booked: Sequence[tuple[int, str, bool]], strange: Sequence[int]
) -> None:
    ends_us = 10 * ON_ITS_WAY_US
    movements, lines, expected, matched, in_transit = [], [], set(), set(), 0
    for number, (fen, became, lately) in enumerate(booked):
        name = f"m{number}"
        time_us = ends_us - ON_ITS_WAY_US - (0 if lately else 1)
        movements.append(Line(name, fen, time_us))
        match became:
            case "same":
                lines.append(Line(name, fen, 1))
                matched.add(name)
            case "more":
                lines.append(Line(name, fen + 100, 1))
                expected.add(Finding("amount_differs", name, fen + 100, fen))
            case "twice":
                lines += [Line(name, fen, 1), Line(name, fen, 2)]
                expected.add(Finding("amount_differs", name, 2 * fen, fen))
            case _ if lately:
                in_transit += fen
            case _:
                expected.add(Finding("missing_there", name, 0, fen))
    for number, fen in enumerate(strange):
        lines.append(Line(f"s{number}", fen, 1))
        expected.add(Finding("missing_here", f"s{number}", fen, 0))
    bank_fen, book_fen = (sum(one.amount_fen for one in side) for side in (lines, movements))
    found = reconcile(
        reversed(movements), lines, expected_opening_fen=0, opening_fen=0, closing_fen=bank_fen, book_fen=book_fen,
        ends_us=ends_us,
    )  # fmt: skip
    assert set(found.findings) == expected
    assert (set(found.matched), found.in_transit_fen) == (matched, in_transit)
    assert found.difference_fen == sum(one.bank_fen - one.book_fen for one in expected)
    assert found.agrees == (not expected)


@dataclass
class Day:
    """A bank that books as it likes, and a market that has to find out."""

    floor: Floor
    administrator: Caller
    closing_fen: int = 0
    ended_us: int = 0
    lines: list[dict[str, str]] = field(default_factory=list)

    @classmethod
    async def open(cls, house: House, *, fen: int = 0) -> Day:
        floor = await Floor.open(house, buyers=1, fen=1)
        day = cls(floor, (await house.party("administrator"))[0], ended_us=house.now_us)
        for at, body in enumerate([b for _, b in await floor.bodies() if b["kind"] == "topped_up"]):
            day.books(body["act"]["bank_reference"], 1, at)
        if fen:
            await day.told("first", fen)
            day.books("first", fen)
        return day

    @property
    def house(self) -> House:
        return self.floor.house

    def books(self, reference: str, fen: int, at: int = 0) -> None:
        """The bank books something on the escrow account."""
        booked_us = str(self.ended_us + at)
        self.lines.append({"reference": reference, "amount_fen": str(fen), "booked_us": booked_us})

    async def told(self, reference: str, fen: int, party: str | None = None) -> dict[str, Any]:
        """The bank tells the market that money came."""
        body = {
            "party": party or self.floor.buyers[0].party,
            "amount_fen": str(fen),
            "bank_reference": reference,
        }
        came: dict[str, Any] = await self.house.done(self.floor.bank, "/v1/top-ups", body)
        return came

    async def statement(self, name: str, **changed: Any) -> dict[str, Any]:
        """The day ends, and its statement is imported."""
        self.house.now_us += DAY_US
        closing_fen = self.closing_fen + sum(int(line["amount_fen"]) for line in self.lines)
        message = {
            "statement": name,
            "begins_us": str(self.ended_us),
            "ends_us": str(self.house.now_us),
            "opening_fen": str(self.closing_fen),
            "closing_fen": str(closing_fen),
            "lines": self.lines,
        }
        done = await self.house.done(self.floor.bank, "/v1/bank/statements", {**message, **changed})
        self.closing_fen, self.ended_us, self.lines = closing_fen, self.house.now_us, []
        assert isinstance(done, dict)
        return done

    async def replayed(self) -> Replayed:
        """The log decided again; every ledger is in balance."""
        trial = await self.house.gate.read(accounts.trial_balance, self.floor.regulator, None)
        assert [(t["difference"], t["held_difference"]) for t in trial["totals"]] == [(0, 0)]
        market = replay(await self.floor.bodies(), await self.floor.openings())
        assert market.differences == []
        return market

    async def free(self) -> int:
        return (await self.floor.money(self.floor.buyers[0]))[0]


async def test_money_is_booked_once_however_often_and_however_otherwise_the_bank_tells_of_it(
    house: House,
) -> None:
    day = await Day.open(house, fen=500)
    same = {"party": day.floor.buyers[0].party, "amount_fen": "500", "bank_reference": "first"}
    told = await house.problem(day.floor.bank, "POST", "/v1/top-ups", same, status=409, code="bank.booked")
    assert "nothing was booked twice" in told["detail"]
    other = {**same, "amount_fen": "501"}
    await house.refused(day.floor.bank, "/v1/top-ups", other, code="bank.reference_differs")
    assert await day.free() == 501
    assert (await day.statement("s-1"))["state"] == "agreed"
    await day.replayed()


async def test_money_for_nobody_waits_in_suspense_until_it_is_assigned_once(house: House) -> None:
    day = await Day.open(house)
    buyer, administrator = day.floor.buyers[0], day.administrator
    came = await day.told("stray", 700, "Enterprize Ltd (miss-spelt)")
    assert (came["state"], came["party"], came["account"]) == ("suspense", None, "venue:suspense")
    assert (await day.told("stray-2", 5, day.floor.regulator.party))["state"] == "suspense"  # holds no money
    day.books("stray", 700)
    day.books("stray-2", 5)
    assert (await day.statement("s-1"))["state"] == "agreed"
    waiting = (await house.call(administrator, "GET", "/v1/bank/suspense")).json()
    assert [(one["payee"], one["amount_fen"]) for one in waiting] == [
        (day.floor.regulator.party, "5"),
        ("Enterprize Ltd (miss-spelt)", "700"),
    ]
    assign = {"party": buyer.party, "reason": "the payer's letter of today"}
    where = "/v1/bank/suspense/stray/assignment"
    await house.problem(buyer, "POST", where, assign, status=403, code="caller.role")
    await house.done(administrator, where, assign)
    await house.problem(administrator, "POST", where, assign, status=409, code="suspense.not_waiting")
    assert await day.free() == 701
    assert len((await house.call(administrator, "GET", "/v1/bank/suspense")).json()) == 1
    await day.replayed()


async def test_a_payout_that_comes_back_is_given_back_by_an_entry_of_its_own(house: House) -> None:
    day = await Day.open(house, fen=1000)
    buyer, bank = day.floor.buyers[0], day.floor.bank
    paid, closed, never = [
        (await house.done(buyer, "/v1/withdrawals", {"amount_fen": fen}))["payout"] for fen in ("100", "200", "300")
    ]  # fmt: skip
    assert await day.free() == 401
    day.books(paid, -100)
    day.books(closed, -200)
    first = await day.statement("s-1")
    assert (first["state"], first["in_transit_fen"], first["difference_fen"]) == ("agreed", "-300", "0")
    back = {"reason": "account_closed", "bank_reference": "back-1"}
    await house.problem(
        bank, "POST", f"/v1/withdrawals/{closed}/return", {"reason": "other"}, status=422, code="payout.left"
    )
    await house.done(bank, f"/v1/withdrawals/{closed}/return", back)
    await house.done(bank, f"/v1/withdrawals/{never}/return", {"reason": "account_unknown"})
    await house.problem(
        bank, "POST", f"/v1/withdrawals/{closed}/return", back, status=409, code="bank.booked"
    )
    for wrong in ({**back, "reason": "other"}, {**back, "bank_reference": "first"}):
        await house.refused(bank, f"/v1/withdrawals/{closed}/return", wrong, code="bank.reference_differs")
    await house.refused(bank, f"/v1/withdrawals/{paid}/return", back, code="bank.reference_differs")
    await house.problem(bank, "POST", "/v1/withdrawals/first/return", back, status=404, code="payout.unknown")
    assert await day.free() == 901
    day.books("back-1", 200)
    assert (await day.statement("s-2"))["state"] == "agreed"
    mine = (await house.call(buyer, "GET", "/v1/withdrawals")).json()
    assert [(one["payout"], one["state"], one["return_reason"]) for one in mine] == [
        (never, "returned", "account_unknown"),
        (closed, "returned", "account_closed"),
        (paid, "paid", None),
    ]
    returned = (await house.call(bank, "GET", "/v1/withdrawals?state=returned&limit=1")).json()
    assert [one["payout"] for one in returned] == [never]
    assert (await house.call(day.floor.holder, "GET", "/v1/withdrawals")).json() == []
    await day.replayed()


async def test_what_does_not_agree_is_an_alarm_until_the_book_is_put_right_and_a_second_person_answers(
    house: House,
) -> None:
    day = await Day.open(house, fen=1000)
    clerk, administrator, regulator = day.floor.bank, day.administrator, day.floor.regulator
    await day.told("short", 100)
    day.books("short", 90)  # the bank took a fee on the way
    await day.told("bounced", 40)  # and never booked this one
    day.books("unheard", 7)  # never told of this one
    first = await day.statement("s-1")
    assert first["state"] == "alarm"
    found = {(one["what"], one["reference"], one["bank_fen"], one["book_fen"]) for one in first["findings"]}
    assert found == {
        ("amount_differs", "short", "90", "100"),
        ("missing_here", "unheard", "7", "0"),
    }
    assert (first["difference_fen"], first["in_transit_fen"]) == ("-3", "40")
    day.books("first", 3)  # on top of what was matched before
    second = await day.statement("s-2")
    found = {(one["what"], one["reference"], one["bank_fen"], one["book_fen"]) for one in second["findings"]}
    assert found >= {("missing_there", "bounced", "0", "40"), ("missing_here", "first", "3", "0")}
    assert second["difference_fen"] == "-40"
    # Regulator and administrator see it, and others nothing of it.
    for caller in (administrator, regulator):
        alarms = (await house.call(caller, "GET", "/v1/bank/statements?state=alarm")).json()
        assert [one["statement"] for one in alarms] == ["s-2", "s-1"]
    await house.problem(day.floor.buyers[0], "GET", "/v1/bank/statements", status=403, code="caller.role")
    # The book comes to what the bank says, and to nothing else.
    for reference in ("short", "bounced", "unheard", "first"):
        adjust = {"bank_reference": reference, "reason": "the bank's letter"}
        await house.done(administrator, "/v1/bank/adjustments", adjust)
        await house.problem(
            administrator, "POST", "/v1/bank/adjustments", adjust, status=409, code="adjustment.nothing"
        )
    assert await day.free() == 1 + 1003 + 90
    why = {"reason": "fees and a bounced transfer, see the bank's letter"}
    where = "/v1/bank/statements/s-1/resolution"
    await house.refused(administrator, where, why, code="alarm.four_eyes")
    await house.problem(clerk, "POST", where, why, status=403, code="caller.role")
    done = await house.done(regulator, where, why)
    assert (done["state"], done["person"]) == ("resolved", regulator.person)
    await house.problem(regulator, "POST", where, why, status=409, code="alarm.none")
    third = await day.statement("s-3")
    assert (third["state"], third["findings"], third["difference_fen"]) == ("agreed", [], "0")
    told = (await house.call(administrator, "GET", "/v1/bank/statements")).json()
    assert [(one["statement"], one["state"], one["resolution"]) for one in told] == [
        ("s-3", "agreed", None),
        ("s-2", "alarm", None),
        ("s-1", "resolved", why["reason"]),
    ]
    market = await day.replayed()
    assert (market.judged["statements"], market.judged["movements"]) == (3, 5 + 4)


async def test_a_statement_that_cannot_be_one_is_refused_and_leaves_no_trace(house: House) -> None:
    day = await Day.open(house, fen=10)
    bank = day.floor.bank
    house.now_us += DAY_US
    good = {
        "statement": "s-1",
        "begins_us": str(day.ended_us),
        "ends_us": str(house.now_us),
        "opening_fen": "0",
        "closing_fen": "12",
        "lines": day.lines,
    }
    far = [{**day.lines[0], "booked_us": str(house.now_us)}, *day.lines[1:]]
    empty = [*day.lines, {**day.lines[0], "amount_fen": "0"}]
    for changed, code in (
        ({"closing_fen": "13"}, "statement.sum"),
        ({"opening_fen": "1"}, "statement.sum"),
        ({"ends_us": str(house.now_us + 1)}, "statement.period"),
        ({"lines": far}, "statement.period"),
        ({"lines": empty}, "statement.nothing"),
    ):
        await house.problem(bank, "POST", "/v1/bank/statements", {**good, **changed}, status=422, code=code)
    await house.done(bank, "/v1/bank/statements", good)
    await house.problem(bank, "POST", "/v1/bank/statements", good, status=409, code="statement.imported")
    late = {**good, "statement": "s-0", "opening_fen": "12", "closing_fen": "24"}
    await house.problem(bank, "POST", "/v1/bank/statements", late, status=409, code="statement.overlaps")
    # A statement between two that was left out shows in the balance that the next one opens with.
    day.closing_fen, day.ended_us, day.lines = 50, house.now_us, []
    told = await day.statement("s-3")
    assert told["findings"] == [
        {"what": "opening_differs", "reference": "", "bank_fen": "50", "book_fen": "12"}
    ]
    assert told["difference_fen"] == "38"


async def test_a_forged_answer_to_a_statement_is_named_by_the_replay(house: House) -> None:
    day = await Day.open(house, fen=1000)
    await day.told("short", 100)
    day.books("short", 90)
    await day.statement("s-1")
    await house.done(day.administrator, "/v1/bank/adjustments", {"bank_reference": "short", "reason": "r"})
    found, openings = await day.floor.bodies(), await day.floor.openings()
    at = {body["kind"]: index for index, body in found}
    for kind, member, value in (
        ("statement_reconciled", "state", "agreed"),
        ("statement_reconciled", "findings", []),
        ("statement_reconciled", "difference_fen", "1"),
        ("statement_reconciled", "closing_fen", "1"),
        ("book_adjusted", "amount_fen", "-9"),
        ("topped_up", "amount_fen", "1"),
    ):
        forged = orjson.loads(orjson.dumps(found))
        forged[at[kind]][1]["act"][member] = value
        named = {one.index for one in replay(forged, openings).differences}
        assert min(named) == at[kind], (kind, member)


async def test_what_moved_before_the_bank_had_a_table_is_kept_by_the_migration(
    house: House, database: Addresses
) -> None:
    day = await Day.open(house, fen=1000)
    await house.done(day.floor.buyers[0], "/v1/withdrawals", {"amount_fen": "30"})
    every = "SELECT * FROM bank_movement ORDER BY reference"
    kept = await day.floor.rows(every)
    assert len(kept) == 4
    revision = ScriptDirectory.from_config(alembic_config()).get_revision("0010")
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(str(database.owner_url)))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM bank_movement"))
        revision.module.keep_what_moved(connection)
    engine.dispose()
    assert await day.floor.rows(every) == kept
