"""The story of the books: an enterprise reconciles its statement with its receipts, and the regulator closes all of them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from beancount import loader
from beancount.core import data
from typer.testing import CliRunner

from exchange.cli import app
from exchange.client import Forbidden, NotFound, Unauthenticated
from exchange.messages.accounts import LineView
from exchange.messages.market import OfferMessage
from tests.stories.conftest import (
    DEPOSIT_FEN,
    INCREMENT_FEN,
    START_FEN,
    Department,
    Member,
    Venue,
    wait_until,
)


def account_of(member: Member) -> str:
    account = member.client.me().account
    assert account is not None
    return account


def proven(member: Member, account: str, line: LineView) -> dict[str, Any]:
    """The transfer behind a line, out of the entry that the line names: its receipt is the member's to have."""
    said = member.client.receipt(line.index).said()
    transfer: dict[str, Any]
    (transfer,) = [one for one in said["transfers"] if one["id"] == line.transfer]
    assert said["time"] == str(line.time_us)
    assert (transfer["kind"], transfer["code"], transfer["amount"]) == (
        line.kind,
        line.code,
        str(line.amount),
    )
    assert transfer["pending"] == line.hold
    assert {"debit": transfer["debit"], "credit": transfer["credit"]} == {
        line.side: account,
        "credit" if line.side == "debit" else "debit": line.other,
    }
    return transfer


def test_an_enterprise_reconciles_its_statement_and_the_regulator_closes_the_books(
    venue: Venue, weather: Department, tmp_path: Path
) -> None:
    regulator = venue.admit("regulator")
    owner = venue.admit("supplier", people=2)
    winner, loser = (venue.admit("buyer", fen=50_000_00) for _ in range(2))
    asset = venue.registered_asset(owner, weather)
    listing = owner.client.offer_fixed_price(
        asset, OfferMessage(grant="licence", licences=2, term_days=30, price_fen=2_000_00)
    ).outcome["id"]
    winner.client.buy(listing)
    lot = venue.open_lot(owner, asset)
    joined = {member.id: member.client.join_lot(lot) for member in (winner, loser)}

    # Who has a deposit held sees why: the hold's purpose, and the entry that made it.
    held = winner.client.account(account_of(winner))
    (hold,) = held.holds
    assert (hold.amount, hold.side, hold.index) == (DEPOSIT_FEN, "debit", joined[winner.id].index)
    assert (held.balances.debits_pending, held.available) == (DEPOSIT_FEN, winner.client.me().available_fen)

    loser.client.place_bid(lot, START_FEN)
    winner.client.place_bid(lot, START_FEN + INCREMENT_FEN)
    venue.close(lot)
    wait_until(lambda: loser.client.me().held_fen == 0, "the loser's deposit to come back")
    free_fen = loser.client.me().available_fen
    assert free_fen == 50_000_00
    loser.client.withdraw(free_fen)

    # Every line of every party is in an entry whose receipt the party may fetch and verify.
    for member in (winner, loser, owner):
        account = account_of(member)
        (own,) = member.client.accounts()
        lines = list(member.client.statement(account))
        assert lines
        for line in lines:
            proven(member, account, line)
        assert lines[-1].balances == own.balances
        assert member.client.account(account).holds == []
        assert (own.available, own.balance) == (member.client.me().available_fen, lines[-1].balance)
        # The book right after an entry is what the statement says after that entry's last line.
        after_entry = {line.index: line.balances for line in lines}
        for index, balances in after_entry.items():
            assert member.client.account(account, at=index).balances == balances
        before = member.client.account(account, at=lines[0].index - 1)
        assert set(before.balances.model_dump().values()) == {"0"}
        (middle, *rest) = lines[len(lines) // 2 :]
        assert list(member.client.statement(account, start=middle.index))[-1 - len(rest) :] == [middle, *rest]
    assert [line.kind for line in member_lines(loser)] == ["post", "pending", "void_pending", "post"]

    # The same for a spreadsheet, in the reader's language.
    sheet = tmp_path / "对账单.csv"
    winner.client.statement_sheet(account_of(winner), sheet, language="zh")
    text = sheet.read_bytes().decode("utf-8-sig")
    header, *rows = csv.reader(text.splitlines(), strict=True)
    assert "金额" in header
    assert "分" in rows[0]
    entries = [row[header.index("日志条目")] for row in rows]
    assert [entry for entry in entries if entry] == [str(line.index) for line in member_lines(winner)]

    # What its accountants take along: what each purchase consists of, and a journal that their own tool checks.
    said = typed(venue, winner, "invoices", "--lang", "zh")
    assert "无形资产" in said
    trades = winner.client.trades()
    assert all(trade.trade in said for trade in trades)
    bought = json.loads(typed(venue, winner, "invoices", trades[-1].trade, "--json"))
    assert bought["paid_fen"] == str(2_000_00 + 2_000)
    assert "purchase price" in typed(venue, winner, "invoices", "--csv", "--lang", "en")
    typed(venue, winner, "journal", "--out", str(tmp_path / "winner.beancount"))
    read, errors, _ = loader.load_file(str(tmp_path / "winner.beancount"))
    assert errors == []
    exchange = [
        posting.units.number
        for entry in read
        if isinstance(entry, data.Transaction)
        for posting in entry.postings
        if posting.account.startswith("Assets:Exchange:") and posting.units is not None
    ]
    assert sum(100 * (fen or 0) for fen in exchange) == member_lines(winner)[-1].balance
    whole = typed(venue, regulator, "journal", "--format", "hledger")
    assert "Assets:Bank:Bank:Escrow" in whole

    # Others' accounts look like none; the sums are for the regulator and the administrator.
    for stranger in (owner, loser):
        with pytest.raises(NotFound):
            stranger.client.account(account_of(winner))
        with pytest.raises(NotFound):
            list(stranger.client.statement(account_of(winner)))
        with pytest.raises(Forbidden):
            stranger.client.trial_balance()
    with pytest.raises(Unauthenticated):
        list(venue.client().accounts())
    assert list(regulator.client.statement(account_of(winner))) == member_lines(winner)

    everything = list(regulator.client.accounts())
    assert {account_of(member) for member in (owner, winner, loser)} < {one.id for one in everything}
    now = regulator.client.trial_balance()
    assert now == venue.administrator.trial_balance()
    for then in (now, *(regulator.client.trial_balance(at=done.index) for done in joined.values())):
        assert then.totals
        assert {(total.difference, total.held_difference) for total in then.totals} == {(0, 0)}
    assert sum(line.balances.debits_posted for line in now.lines) == sum(
        one.balances.debits_posted for one in everything
    )
    (bank,) = [one for one in everything if one.id == "bank:escrow"]
    paid_in, paid_out = 2 * 50_000_00, free_fen
    assert (bank.balances.debits_posted, bank.balances.credits_posted) == (paid_in, paid_out)
    regulator.client.trial_balance_sheet(tmp_path / "trial.csv", language="en")
    assert "total" in (tmp_path / "trial.csv").read_text(encoding="utf-8-sig")


def typed(venue: Venue, member: Member, *words: str) -> str:
    """What `exchange books` answers a member."""
    env = {"EXCHANGE_URL": venue.server.url, "EXCHANGE_KEY": member.secrets[0], "EXCHANGE_VKEY": venue.vkey}
    done = CliRunner().invoke(app, ["books", *words], env={**env, "COLUMNS": "200"})
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.stdout


def member_lines(member: Member) -> list[LineView]:
    return list(member.client.statement(account_of(member)))
