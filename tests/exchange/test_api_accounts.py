"""Accounts over HTTP: who sees which, balances at any entry, statements in pages and sheets, the trial balance."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from exchange import money
from exchange.acts import Caller
from tests.exchange.conftest import House
from tests.exchange.floor import DEPOSIT_FEN, MINUTE_US, Floor
from tests.exchange.test_money import Hold, hold

pytestmark = pytest.mark.anyio

FUNDS = 10_000_000


async def get(house: House, caller: Caller, path: str) -> Any:
    response = await house.call(caller, "GET", path)
    assert response.status_code == 200, response.text
    return response.json()


async def sheet(house: House, caller: Caller, path: str) -> list[list[str]]:
    response = await house.call(caller, "GET", path)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/csv")
    assert response.content.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"), newline="")))


async def account_of(house: House, caller: Caller) -> str:
    return str((await get(house, caller, "/v1/me"))["account"])


async def test_a_party_sees_its_own_account_and_no_other(house: House) -> None:
    floor = await Floor.open(house)
    north, south = floor.buyers
    (administrator,) = await house.party("administrator")
    own, other = await account_of(house, north), await account_of(house, south)
    listed = await get(house, north, "/v1/accounts")
    assert [a["id"] for a in listed["accounts"]] == [own]
    assert listed["after"] is None
    (account,) = listed["accounts"]
    assert (account["unit"], account["balance"], account["available"]) == ("fen", str(FUNDS), str(FUNDS))
    assert account["balances"]["credits_posted"] == str(FUNDS)
    for form in ("/v1/accounts/{}", "/v1/accounts/{}/statement", "/v1/accounts/{}/statement.csv"):
        assert (await house.call(north, "GET", form.format(own))).status_code == 200
        assert (await house.call(floor.regulator, "GET", form.format(own))).status_code == 200
        for stranger, name in (
            (north, other),
            (north, "acc-none"),
            (north, "bank:escrow"),
            (floor.bank, own),
            (administrator, own),
            (floor.regulator, "acc-none"),
        ):
            refused = await house.call(stranger, "GET", form.format(name))
            assert (refused.status_code, refused.json()["code"]) == (404, "account.unknown")
            assert refused.json()["remedy"]
        nobody = await house.http.get(form.format(own))
        assert nobody.status_code == 401
    assert (await house.http.get("/v1/accounts")).status_code == 401
    assert (await get(house, floor.bank, "/v1/accounts"))["accounts"] == []


async def test_the_regulator_pages_through_all_accounts(house: House) -> None:
    floor = await Floor.open(house)
    seen: list[str] = []
    after = ""
    while True:
        page = await get(house, floor.regulator, f"/v1/accounts?limit=3&after={after}")
        seen += [a["id"] for a in page["accounts"]]
        if page["after"] is None:
            break
        after = page["after"]
    rows = await floor.rows("SELECT id FROM account ORDER BY id")
    assert seen == [row[0] for row in rows]
    assert {"bank:escrow", "venue:deposits"} <= set(seen)


async def test_a_balance_at_an_entry_is_what_it_was_then_with_what_held_it(house: House) -> None:
    floor = await Floor.open(house)
    north = floor.buyers[0]
    own = await account_of(house, north)
    lot = await floor.lot()
    before = await house.log_size()
    await floor.join(lot, north)
    joined = await get(house, north, f"/v1/accounts/{own}")
    (hold,) = joined["holds"]
    assert (hold["amount"], hold["side"], hold["index"]) == (str(DEPOSIT_FEN), "debit", str(before))
    assert hold["code"]
    assert joined["available"] == str(FUNDS - DEPOSIT_FEN)
    await house.act(money.withdraw, money.Withdraw(5_000), north)
    now = await get(house, north, f"/v1/accounts/{own}")
    assert now["balance"] == str(FUNDS - 5_000)
    assert (await get(house, north, f"/v1/accounts/{own}?at={before}")) == {**joined, "index": str(before)}
    was = await get(house, north, f"/v1/accounts/{own}?at={before - 1}")
    assert (was["holds"], was["available"]) == ([], str(FUNDS))
    assert now["closed"] is False
    late = await house.call(north, "GET", f"/v1/accounts/{own}?at={await house.log_size()}")
    assert (late.status_code, late.json()["code"]) == (404, "entry.unknown")
    assert (await house.call(north, "GET", f"/v1/accounts/{own}?at=-1")).status_code == 400


async def busy(floor: Floor, times: int = 5) -> tuple[Caller, str]:
    north = floor.buyers[0]
    for n in range(times):
        await floor.house.act(money.withdraw, money.Withdraw(100 + n), north)
    return north, await account_of(floor.house, north)


async def test_a_statement_leads_from_page_to_page_by_its_link(house: House) -> None:
    floor = await Floor.open(house)
    north, own = await busy(floor)
    whole = await get(house, north, f"/v1/accounts/{own}/statement")
    assert [n["code"] for n in whole["lines"]] == ["top_up", *["withdrawal"] * 5]
    assert whole["after"] is None
    path = f"/v1/accounts/{own}/statement?limit=4"
    first = await house.call(north, "GET", path)
    link = first.headers["Link"]
    assert link.endswith('; rel="next"')
    second = await house.call(north, "GET", link[1:].partition(">")[0])
    assert "Link" not in second.headers
    assert first.json()["lines"] + second.json()["lines"] == whole["lines"]
    assert first.json()["closing"] == second.json()["opening"]
    await house.act(money.withdraw, money.Withdraw(9), north)
    assert (await house.call(north, "GET", path)).content == first.content
    line = whole["lines"][1]
    assert line["other"] == "bank:escrow"
    assert line["change"] == {
        "debits_pending": "0", "debits_posted": "100", "credits_pending": "0", "credits_posted": "0"
    }  # fmt: skip
    assert line["balance"] == str(FUNDS - 100)


async def test_a_statement_keeps_to_its_period_by_entry_and_by_time(house: House) -> None:
    floor = await Floor.open(house)
    north, own = await busy(floor)
    house.now_us += 1_000_000
    since = house.now_us
    await house.act(money.withdraw, money.Withdraw(77), north)
    entry = await house.log_size() - 1
    by_entry = await get(house, north, f"/v1/accounts/{own}/statement?start={entry}&stop={entry + 1}")
    by_time = await get(house, north, f"/v1/accounts/{own}/statement?since_us={since}")
    assert by_entry == by_time
    assert [n["amount"] for n in by_entry["lines"]] == ["77"]
    assert [n["index"] for n in by_entry["lines"]] == [str(entry)]
    earlier = await get(house, north, f"/v1/accounts/{own}/statement?until_us={since}")
    assert earlier["closing"] == by_time["opening"]
    none = await get(house, north, f"/v1/accounts/{own}/statement?start=9&stop=2")
    assert (none["lines"], none["opening"]) == ([], none["closing"])


async def test_a_sheet_holds_the_statement_in_chinese_or_english(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.api.accounts.SHEET_LINES", 2)  # more than one read
    floor = await Floor.open(house)
    north, own = await busy(floor)
    whole = await get(house, north, f"/v1/accounts/{own}/statement")
    names, opening, *lines, closing = await sheet(house, north, f"/v1/accounts/{own}/statement.csv")
    assert names[:3] == ["序号", "日志条目", "时间（UTC）"]
    assert (opening[4], closing[4], closing[-2:]) == ("期初", "期末", [whole["lines"][-1]["balance"], "分"])
    assert {len(row) for row in (opening, *lines, closing)} == {len(names)}
    assert [(row[0], row[1], row[8], row[-2]) for row in lines] == [
        (n["sequence"], n["index"], n["amount"], n["balance"]) for n in whole["lines"]
    ]
    english = await sheet(house, north, f"/v1/accounts/{own}/statement.csv?lang=en")
    assert (english[0][:2], english[1][4], english[1][-1]) == (["number", "log entry"], "opening", "fen")
    asked = await house.http.get(
        f"/v1/accounts/{own}/statement?lang=en",
        headers={"Authorization": f"Bearer {house.keys[north.person]}", "Accept": "text/csv"},
    )
    assert list(csv.reader(io.StringIO(asked.content.decode("utf-8-sig"), newline=""))) == english


async def test_the_trial_balance_is_for_regulator_and_administrator_and_agrees(house: House) -> None:
    floor = await Floor.open(house)
    lot = await floor.lot()
    before = await house.log_size() - 1
    await floor.join(lot, floor.buyers[0])
    (administrator,) = await house.party("administrator")
    for caller in (floor.regulator, administrator):
        found = await get(house, caller, "/v1/trial-balance")
        (total,) = found["totals"]
        assert (total["ledger"], total["difference"], total["held_difference"]) == ("CNY", "0", "0")
        assert total["balances"]["debits_posted"] == total["balances"]["credits_posted"] == str(3 * FUNDS)
        assert total["balances"]["debits_pending"] == str(DEPOSIT_FEN)
        was = await get(house, caller, f"/v1/trial-balance?at={before}")
        assert was["totals"][0]["balances"]["debits_pending"] == "0"
        assert {n["code"] for n in found["lines"]} > {"cash"}
        names, *rows = await sheet(house, caller, "/v1/trial-balance.csv")
        assert names[:2] == ["账簿", "账户类别"]
        assert [row[1] for row in rows] == [*(n["code"] for n in found["lines"]), "合计"]
        assert rows[-1][-2:] == ["0", "分"]
    for caller in (floor.buyers[0], floor.seller, floor.bank):
        for path in ("/v1/trial-balance", "/v1/trial-balance.csv"):
            assert (await house.call(caller, "GET", path)).status_code == 403
    assert (await house.http.get("/v1/trial-balance")).status_code == 401


async def test_a_closed_account_shows_what_closes_it_and_was_open_before(house: House) -> None:
    floor = await Floor.open(house)
    north, own = await busy(floor, 1)
    before = await house.log_size() - 1
    await house.act(hold, Hold("shut", 0, MINUTE_US, "debit"), north)
    shut = await get(house, north, f"/v1/accounts/{own}")
    (standing,) = shut["holds"]
    assert (shut["closed"], standing["transfer"], standing["amount"]) == (True, "shut", "0")
    assert (standing["closes"], standing["expires_us"]) == ("debit", str(house.now_us + MINUTE_US))
    (listed,) = (await get(house, north, "/v1/accounts"))["accounts"]
    assert listed["closed"] is True
    was = await get(house, north, f"/v1/accounts/{own}?at={before}")
    assert (was["closed"], was["holds"]) == (False, [])
    other = "/v1/accounts/venue:deposits"  # the hold neither holds from it nor closes it
    for path in (other, f"{other}?at={await house.log_size() - 1}"):
        found = await get(house, floor.regulator, path)
        assert (found["closed"], found["holds"]) == (False, [])
