"""What accountants take along: invoice lines that are what was posted, from the log alone, and a journal that their tools read."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from typing import Any

import pytest
from beancount import loader
from beancount.core import data
from hypothesis import given
from hypothesis import strategies as st

from exchange import money, parties, rulebook, sales
from exchange.acts import Caller
from exchange.client.journal import journal
from exchange.invoices import invoice_of, lines_of
from exchange.messages.accounts import AccountPage
from exchange.messages.books import JournalPage, PostingView, SideView
from exchange.settlement import split
from exchange.worker import Worker
from tests.exchange.conftest import House
from tests.exchange.floor import DAY_US, INCREMENT_FEN, START_FEN, Floor, agreement, licence

RULES = rulebook.load("cn-venue")


def voucher(price_fen: int) -> dict[str, Any]:
    parts = split(price_fen, RULES, None)
    return {
        "price_fen": str(price_fen),
        "split": {"tax_fen": str(parts.tax_fen), "buyer_fee_fen": str(parts.buyer_fee_fen)},
    }


@given(st.integers(0, 2**53))
def test_the_lines_are_what_the_buyer_pays_and_the_tax_is_no_part_of_the_cost(price_fen: int) -> None:
    parts, lines = split(price_fen, RULES, None), lines_of(voucher(price_fen))
    assert sum(line.amount_fen for line in lines) == price_fen + parts.buyer_fee_fen
    assert (
        sum(line.amount_fen for line in lines if line.in_cost)
        == price_fen - parts.tax_fen + parts.buyer_fee_fen
    )
    assert all(line.amount_fen > 0 for line in lines)


def test_nanjings_ten_thousand_yuan_cost_9_433_96_and_100_with_566_04_of_tax() -> None:
    lines = {line.component: line.amount_fen for line in lines_of(voucher(1_000_000))}
    assert lines == {
        "purchase_price": 943_396,
        "value_added_tax": 56_604,
        "registration_and_settlement": 10_000,
    }


async def traded(house: House) -> Floor:
    """A sale at a fixed price that was annulled, one that stands, and a lot that was won."""
    floor = await Floor.open(house)
    await house.act(parties.agree_operation, agreement(floor.operator.party, 300_000), floor.seller)
    listing = await floor.listing(licence(106_000, 3), await floor.asset(operator=floor.operator.party))
    bought = [await house.act(sales.buy, sales.Buy(listing, n), floor.buyers[0]) for n in (1, 2)]
    order = sales.AnnulSale(
        bought[0]["voucher"]["trade"], "misdescription", "order 12", "two columns are missing"
    )
    await house.act(sales.annul_sale, order, floor.regulator)
    lot = await floor.lot()
    for n, buyer in enumerate(floor.buyers):
        await floor.join(lot, buyer)
        await floor.bid(lot, buyer, START_FEN + n * INCREMENT_FEN)
    house.now_us += DAY_US
    await Worker(house.gate, house.gate.database).tick()
    await house.act(money.withdraw, money.Withdraw(12_345), floor.buyers[1])
    return floor


async def read(floor: Floor, caller: Caller, path: str) -> Any:
    response = await floor.house.call(caller, "GET", path)
    assert response.status_code == 200, response.text
    return response


@pytest.mark.anyio
async def test_invoice_lines_are_what_the_log_posted_and_everybody_sees_the_own(house: House) -> None:
    floor = await traded(house)
    every = (await read(floor, floor.regulator, "/v1/invoices")).json()
    bodies = dict(await floor.bodies())
    codes = dict(await floor.rows("SELECT id, uscc FROM party"))
    assert len(every) == 3
    for one in every:
        # From the log alone: the entry's own body gives the same lines, and its transfers the same amounts.
        body = bodies[int(one["index"])]
        again = invoice_of(body["act"]["voucher"], int(one["index"]), int(body["time"]), one["annulled"])
        assert {name: one[name] for name in again} == again
        lines = {line["component"]: int(line["amount_fen"]) for line in one["lines"]}
        posted = {
            t["code"]: int(t["amount"])
            for t in body["transfers"]
            if t["kind"] == "post" and t["code"] != "share"
        }
        assert lines["purchase_price"] + lines["value_added_tax"] == posted["price"]
        assert lines["value_added_tax"] == posted["tax"]
        assert lines["registration_and_settlement"] == posted["buyer_fee"]
        assert int(one["paid_fen"]) == posted["price"] + posted["buyer_fee"]
        assert (one["seller_code"], one["buyer_code"]) == (codes[one["seller"]], codes[one["buyer"]])
        assert one["number"] == body["act"]["voucher"]["trade"]
    for caller, count in ((floor.buyers[0], 2), (floor.buyers[1], 1), (floor.seller, 3), (floor.holder, 0)):
        own = (await read(floor, caller, "/v1/invoices")).json()
        assert own == [one for one in every if caller.party in (one["seller"], one["buyer"])]
        assert len(own) == count
    (undone,) = [one for one in every if one["annulled"] is not None]
    path = f"/v1/trades/{undone['number']}/invoice"
    assert (await read(floor, floor.buyers[0], path)).json() == undone
    assert (await floor.house.call(floor.buyers[1], "GET", path)).status_code == 404

    # The sheet sums to what was paid and not paid back.
    sheet = (await read(floor, floor.buyers[0], "/v1/invoices.csv?lang=en")).content.decode("utf-8-sig")
    head, *rows = csv.reader(io.StringIO(sheet))
    at = head.index("amount (fen)")
    assert len(rows) == 3 * 3
    kept = [one for one in every if one["buyer"] == floor.buyers[0].party and one["annulled"] is None]
    assert sum(int(row[at].removeprefix("'")) for row in rows) == sum(int(one["paid_fen"]) for one in kept)
    assert {row[-1] for row in rows} == {"", "order 12"}


async def postings(floor: Floor, caller: Caller) -> list[PostingView]:
    """The whole journal, in small pages."""
    found: list[PostingView] = []
    after = "0"
    while True:
        page = JournalPage.model_validate_json(
            (await read(floor, caller, f"/v1/journal?limit=7&after={after}")).content
        )
        found += page.postings
        if page.after is None:
            return found
        after = str(page.after)


def books(text: str) -> dict[str, Decimal]:
    """Every account's balance as Beancount has it, of a file that it finds no fault with."""
    entries, errors, options = loader.load_string(text)
    assert errors == []
    balances: dict[str, Decimal] = {}
    for entry in entries:
        for posting in entry.postings if isinstance(entry, data.Transaction) else ():
            assert posting.units is not None
            assert posting.units.number is not None
            balances[posting.account] = balances.get(posting.account, Decimal(0)) + posting.units.number
    assert options["title"]
    return balances


@pytest.mark.anyio
async def test_beancount_reads_the_journal_and_comes_to_the_same_balances(house: House) -> None:
    floor = await traded(house)
    buyer = floor.buyers[1]
    own = await postings(floor, buyer)
    text = "\n".join(journal("beancount", own, whole=False, title='the "buyer"'))
    found = books(text)
    free, held = await floor.money(buyer)
    (mine,) = [name for name in found if name.startswith("Assets:Exchange:")]
    assert found[mine] == Decimal(free + held) / 100
    assert sum(found.values()) == 0
    assert found["Expenses:Price"] == Decimal(START_FEN + INCREMENT_FEN) / 100
    # A party learns of no posting between others.
    account = (await floor.rows("SELECT account FROM party WHERE id = %s", buyer.party))[0][0]
    assert {side.id for one in own for side in (one.debit, one.credit) if side.own} == {account}
    assert all(account in (one.debit.id, one.credit.id) for one in own)

    every = await postings(floor, floor.regulator)
    assert (
        len(every)
        == (await floor.rows("SELECT count(*) FROM transfer WHERE kind IN ('post', 'post_pending')"))[0][0]
    )
    whole = books("\n".join(journal("beancount", every, whole=True, title="market")))
    expected = {name: -Decimal(fen) / 100 for name, fen in (await floor.balances()).items() if fen}
    assert sorted(fen for fen in whole.values() if fen) == sorted(expected.values())
    assert whole["Assets:Bank:Bank:Escrow"] == -(await floor.balances())["bank:escrow"] / Decimal(100)


def test_hledgers_journal_balances_entry_by_entry_as_its_manual_has_it() -> None:
    """Its grammar, read strictly: a date line, then lines of four spaces, account, two spaces, amount and commodity."""
    side = SideView(id="acc-1", code="cash", own=True)
    other = SideView(id="calls", code="meter", own=False)
    rows = [
        PostingView(
            sequence=n, index=n // 2, time_us=DAY_US * n, transfer=f"t-{n}", code="price", debit=side, credit=other,
            amount=5, ledger=ledger,
        )
        for n, ledger in enumerate(("CNY", "calls.api-7", "CNY"))
    ]  # fmt: skip
    sums: dict[tuple[str, str], Decimal] = {}
    date = ""
    for line in journal("hledger", rows, whole=False, title="books"):
        if line[:4].isdecimal():
            date = line.split(" ")[0]
        elif line.startswith("    "):
            account, _, rest = line.strip().partition("  ")
            amount, commodity = rest.split("  ;")[0].split(" ", 1)
            assert account in ("Assets:Exchange:Acc-1", "Expenses:Price")
            key = (date, commodity)
            sums[key] = sums.get(key, Decimal(0)) + Decimal(amount)
    assert set(sums.values()) == {Decimal(0)}
    assert {commodity for _, commodity in sums} == {"CNY", '"calls.api-7"'}


@pytest.mark.anyio
async def test_a_holder_sees_the_account_of_its_dividends(house: House) -> None:
    floor = await traded(house)
    dividend = (
        await floor.rows("SELECT account FROM shareholding WHERE holder_party = %s", floor.holder.party)
    )[0][0]
    page = AccountPage.model_validate_json((await read(floor, floor.holder, "/v1/accounts")).content)
    assert dividend in {account.id for account in page.accounts}
    assert (await floor.house.call(floor.buyers[0], "GET", f"/v1/accounts/{dividend}")).status_code == 404
