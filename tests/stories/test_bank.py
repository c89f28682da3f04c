"""The story of the money: a bank that takes time, closes accounts, tells twice, wrongly or not at all, and is reconciled."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest
from typer.testing import CliRunner

from exchange.cli import app
from exchange.client import Exchange, Refused
from exchange.client.statement import COLUMNS, parse_statement, read_statement, write_statement
from exchange.errors import Malformed
from exchange.sandbox.bank import Bank, Delays
from tests.stories.conftest import HOUR_US, Venue

DAY_US = 24 * HOUR_US
PROJECT = Path(__file__).resolve().parents[2]


def cli(venue: Venue, person: Exchange, *words: str, expect: int = 0) -> str:
    """Type a command as a person of the market; what it printed, with `--json` what a program would read."""
    key = person.calls.wire.key
    assert key is not None
    done = CliRunner().invoke(
        app,
        [*words],
        env={
            "EXCHANGE_URL": venue.server.url,
            "EXCHANGE_KEY": key,
            "EXCHANGE_VKEY": venue.vkey,
            "COLUMNS": "200",
        },
    )
    assert done.exit_code == expect, done.output + repr(done.exception)
    assert key not in done.output
    return done.stdout if "--json" in words else done.output


def test_a_day_at_the_bank_ends_with_books_that_agree(venue: Venue, tmp_path: Path) -> None:
    buyer, moved = venue.admit("buyer", people=1), venue.admit("buyer", people=1)
    regulator, operator = venue.admit("regulator").client, venue.admit("administrator").client
    clerk = venue.bank.client
    bank = Bank(clerk, tmp_path / "bank", Delays(pay_in_us=2 * HOUR_US, payout_us=HOUR_US, return_us=HOUR_US))
    administrator = venue.administrator
    # Money is on its way for a while, and is credited once however often the bank tells of it.
    bank.order_transfer(buyer.id, 500_00, notices=3)
    bank.order_transfer(moved.id, 300_00, after_us=0)
    bank.order_transfer("Enterprize Ltd", 70_00, after_us=0)
    bank.turn()
    assert (buyer.client.me().available_fen, moved.client.me().available_fen) == (0, 300_00)
    administrator.move_clock(2 * HOUR_US)
    bank.turn()
    bank.turn()
    assert buyer.client.me().available_fen == 500_00
    # A payout is paid against its receipt; one to a closed account comes back by an entry of its own.
    bank.refuse_payouts(moved.id, "account_closed")
    paid = buyer.client.withdraw(100_00).outcome["payout"]
    back = moved.client.withdraw(200_00).outcome["payout"]
    bank.turn()
    assert bank.balance_fen == 870_00
    administrator.move_clock(HOUR_US)
    bank.turn()
    assert (bank.balance_fen, moved.client.me().available_fen) == (570_00, 100_00)
    administrator.move_clock(HOUR_US)
    # Whoever is killed after it booked and before it told goes on where it was: nothing is told or booked twice.
    bank = Bank(clerk, tmp_path / "bank", Delays(payout_us=HOUR_US, return_us=HOUR_US))
    bank.turn()
    assert (bank.balance_fen, moved.client.me().available_fen) == (770_00, 300_00)
    (returned,) = moved.client.withdrawals("returned")
    assert (returned.payout, returned.return_reason) == (back, "account_closed")
    codes = [line.code for line in moved.client.statement(str(moved.client.me().account))]
    assert codes == ["top_up", "withdrawal", "payout_return"]
    # A name that nobody knows waits until somebody assigns it, by command.
    stray = clerk.suspense()[0]
    assert stray.payee == "Enterprize Ltd"
    assert "Enterprize Ltd" in cli(venue, regulator, "bank", "suspense")
    cli(venue, operator, "bank", "assign", stray.bank_reference, buyer.id, "--reason", "the payer's letter")
    assert buyer.client.me().available_fen == 470_00
    # The statement of the day agrees line by line (of two days, where the story passes midnight).
    bank.close_statement()
    first = bank.statements()
    for sheet in (*first, first[0]):  # twice is once
        assert "0.00 yuan of difference" in cli(venue, clerk, "bank", "reconcile", str(sheet))
    told = clerk.statements()
    assert (len(told), sum(one.lines for one in told), sum(one.matched for one in told)) == (len(first), 6, 6)
    assert [one.state for one in buyer.client.withdrawals()] == ["paid"]
    # The next day the bank takes a fee, forgets to tell, and tells of what never came.
    short = bank.order_transfer(buyer.id, 99_00, after_us=0, told_fen=100_00)
    untold = bank.order_transfer(buyer.id, 5_00, after_us=0, notices=0)
    clerk.top_up(moved.id, 40_00, "never-came")
    bank.turn()
    administrator.move_clock(DAY_US + HOUR_US)
    bank.turn()
    bank.close_statement()
    said = "".join(
        cli(venue, operator, "bank", "reconcile", str(one), "--lang", "zh", expect=1)
        for one in bank.statements()[len(first) :]
    )
    assert all(text in said for text in ("金额不符", "账簿无此笔", "银行无此笔", "never-came"))
    alarms = cli(venue, regulator, "bank", "statements", "--alarms", expect=1)
    assert short.reference in alarms
    name = clerk.statements("alarm")[0].statement
    for reference in (short.reference, untold.reference, "never-came"):
        cli(venue, operator, "bank", "adjust", reference, "--reason", "the bank's letter of today")
    with pytest.raises(Refused):
        operator.resolve_alarm(name, "I say so myself")
    for one in clerk.statements("alarm"):
        cli(venue, regulator, "bank", "resolve", one.statement, "--reason", "letters seen")
    assert cli(venue, regulator, "bank", "statements", "--alarms") == ""
    assert regulator.statements("resolved")[0].resolution == "letters seen"
    bank.close_statement()
    assert clerk.import_statement(read_statement(bank.statements()[-1])).outcome["state"] == "agreed"
    assert paid in {one.payout for one in regulator.withdrawals("paid")}
    trial = regulator.trial_balance()
    assert [(one.difference, one.held_difference) for one in trial.totals] == [(0, 0)]
    # Whoever has the log compares all of it again.
    bundle = tmp_path / "bundle.zip"
    regulator.audit_bundle(bundle)
    verdict = cli(venue, regulator, "audit", "verify", str(bundle), "--vkey", venue.vkey, "--json")
    assert json.loads(verdict)["replay"]["judged"]["statements"] == len(bank.statements())


GOOD = (PROJECT / "docs" / "statement.csv").read_text()


def test_a_statement_is_written_as_it_is_read() -> None:
    statement = parse_statement(GOOD)
    assert (statement.statement, statement.closing_fen, len(statement.lines)) == ("2026-11-27", 4700_00, 2)
    assert [line.amount_fen for line in statement.lines] == [5000_00, -300_00]
    assert write_statement(statement, ["for an enterprise", "to an enterprise"]).replace("\r\n", "\n") == GOOD


BROKEN: list[tuple[str, str, str]] = [
    ("record,", "kind,", "line 1"),
    ("opening,", "booking,", "record"),
    ("closing,2026-11-27", "closing,2026-11-28", "reference"),
    ("5000.00", "5000.001", "line 3, amount"),
    ("5000.00", "5e3", "line 3, amount"),
    ("01:15:00Z", "01:15:00", "line 3, time"),
    ("01:15:00Z", "at noon", "line 3, time"),
    (",for an enterprise", "", "line 3"),
    ("in-20261127-0001", "in 1", "reference"),
    ("in-20261127-0001", '"in-1', "line 5"),
]


@pytest.mark.parametrize(("part", "broken", "field"), BROKEN)
def test_a_statement_of_another_form_is_refused_by_line_and_reason(
    part: str, broken: str, field: str
) -> None:
    assert part in GOOD
    with pytest.raises(Malformed) as refused:
        parse_statement(GOOD.replace(part, broken))
    assert refused.value.field == field
    assert ",".join(COLUMNS) in str(refused.value.rule)
    assert refused.value.remedy


def test_what_is_no_file_of_text_is_no_statement(tmp_path: Path) -> None:
    for data in (b"\xff\xfe\x00", secrets.token_bytes(64) + b"\xff"):
        (tmp_path / "s.csv").write_bytes(data)
        with pytest.raises(Malformed) as refused:
            read_statement(tmp_path / "s.csv")
        assert refused.value.field in ("file", "line 1")
