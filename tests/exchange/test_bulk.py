"""Assets by the thousand: cut anywhere and gone on with, each row once, every failure told with its cure."""

from __future__ import annotations

import csv
import hashlib
import io
import random
from typing import Any

import anyio
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import rulebook
from exchange.acts import Caller
from exchange.database import driver
from exchange.errors import ExchangeError
from exchange.registration.bulk import IN_CHINESE, LIST_ROWS, Row, RowFailure, read_list
from exchange.rulebook import load

RULES = load("cn-venue")
SPOILED: tuple[tuple[dict[str, str], str], ...] = (
    ({"id": ""}, "row.id"),
    ({"id": "行一"}, "row.id"),
    ({"id": "a-1"}, "row.twice"),
    ({"kind": "weather"}, "asset.kind"),
    ({"title": ""}, "asset.title"),
    ({"title": "x" * 201}, "asset.title"),
    ({"summary": "y" * 4001}, "asset.summary"),
    ({"operator": "org-0000000000000000"}, "asset.operator"),
    ({"opening": "ajar"}, "asset.opening"),
    ({"opening": "open"}, "asset.opening_reason"),
    ({"purposes": "mischief"}, "asset.purposes"),
    ({"qualified": "perhaps"}, "row.qualified"),
    ({"update_days": "0"}, "row.update_days"),
    ({"update_days": "monthly"}, "row.update_days"),
    ({"title": "e\u0301"}, "row.text"),
    ({"title": "nul\0"}, "row.text"),
)
"""What can be wrong with a row, and what it is told."""


def listed(rows: int, bad: int, chance: random.Random) -> tuple[bytes, dict[int, str]]:
    """A list as CSV, and by row what is wrong with it."""
    spoiled = dict(zip(sorted(chance.sample(range(2, rows + 1), bad)), (SPOILED * bad)[:bad], strict=True))
    out = io.StringIO()
    names = ("id", "title", "kind", "summary", "operator", "opening", "purposes", "qualified", "update_days")
    sheet = csv.DictWriter(out, names)
    sheet.writeheader()
    for number in range(1, rows + 1):
        row = {
            "id": f"a-{number}",
            "title": f'第 {number} 号监测点, "水质"',
            "kind": ("health", "city", "transport")[number % 3],
            "summary": "每月更新",
            "update_days": "30" if number % 2 else "",
        }
        sheet.writerow(row | (spoiled[number][0] if number in spoiled else {}))
    return out.getvalue().encode(), {number: code for number, (_, code) in spoiled.items()}


async def send(house: Any, caller: Caller, data: bytes, pieces: int) -> str:
    """Send a list in pieces, losing the answer to each: where to go on is asked for."""
    name = hashlib.sha256(data).hexdigest()
    size = -(-len(data) // pieces)
    while True:
        here = (await house.call(caller, "GET", f"/v1/lists/{name}")).json()
        if here["complete"]:
            return name
        offset = int(here["offset"])
        answer = await house.call(
            caller, "PUT", f"/v1/lists/{name}?offset={offset}", content=data[offset : offset + size]
        )
        assert answer.status_code == 201, answer.text


async def declared(house: Any, caller: Caller, name: str, first: int = 1, count: int = 1_000) -> Any:
    """Declare a slice; as late as the party's quota asks."""
    asked = {"first": str(first), "count": str(count)}
    answer = await house.call(caller, "POST", f"/v1/lists/{name}/declarations", asked)
    if answer.status_code == 429:
        await anyio.sleep(int(answer.headers["Retry-After"]))
        answer = await house.call(caller, "POST", f"/v1/lists/{name}/declarations", asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def a_list_with_bad_rows_and_a_cut(house: Any, rows: int, bad: int, count: int) -> None:
    (supplier,) = await house.party("supplier")
    data, wrong = listed(rows, bad, random.Random(3))
    name = await send(house, supplier, data, 7)
    before = await house.log_size()
    # Cut in the middle: some slices were declared, nobody heard of the last of them.
    for first in range(1, rows // 2, count):
        await declared(house, supplier, name, first, count)
    half = await house.log_size() - before
    assert 0 < half < rows
    told: list[Any] = []
    failures: list[Any] = []
    following: str | None = "1"
    while following is not None:
        part = await declared(house, supplier, name, int(following), count)
        assert part["total"] == str(rows)
        told += part["declared"]
        failures += part["failures"]
        following = part["next"]
    assert await house.log_size() - before == rows - bad == len(told)
    assert sum(row["repeated"] for row in told) == half
    assert len({row["asset"] for row in told}) == len(told)
    assert [int(row["row"]) for row in told] == [n for n in range(1, rows + 1) if n not in wrong]
    assert {int(one["row"]): one["code"] for one in failures} == wrong
    for one in failures:
        assert all(one[member].strip() for member in ("field", "rule", "remedy", "rule_zh", "remedy_zh")), one
    # The list is corrected and sent again: what was declared stays, the rest comes.
    corrected, none = listed(rows, 0, random.Random(3))
    assert not none
    again = await send(house, supplier, corrected, 1)
    fresh = 0
    for first in range(1, rows + 1, count):
        part = await declared(house, supplier, again, first, count)
        assert part["failures"] == []
        fresh += sum(not row["repeated"] for row in part["declared"])
    assert fresh == bad
    found = (await house.call(supplier, "GET", "/v1/assets?text=水质&limit=1")).json()
    assert int(found["total"]) == rows


@pytest.mark.anyio
async def test_a_list_with_37_bad_rows_and_a_cut_in_the_middle_is_declared_once_and_reported_whole(
    house: Any,
) -> None:
    await a_list_with_bad_rows_and_a_cut(house, 400, 37, 90)


@pytest.mark.drill
@pytest.mark.anyio
async def test_ten_thousand_rows_with_37_bad_ones_and_a_cut_in_the_middle(house: Any) -> None:
    await a_list_with_bad_rows_and_a_cut(house, 10_000, 37, 1_000)


@pytest.mark.anyio
async def test_a_row_is_in_nothing_different_from_an_asset_declared_alone(house: Any) -> None:
    (supplier,), (operator,) = await house.party("supplier"), await house.party("operator")
    told = {
        "title": "河流水位", "kind": "city", "summary": "every hour", "operator": operator.party, "opening": "open",
        "opening_reason": "flood warnings", "purposes": [], "qualified": True,
    }  # fmt: skip
    data = orjson.dumps({"id": "x", **told, "update_days": 7})
    name = await send(house, supplier, data, 2)
    (row,) = (await declared(house, supplier, name))["declared"]
    alone = await house.done(supplier, "/v1/assets", {**told, "update_days": "7"})

    async def rows(session: Any) -> Any:
        connection = await driver(session)
        kept = []
        for asset in (row["asset"], alone["asset"]):
            cursor = await connection.execute(
                "SELECT to_jsonb(a) - 'id' - 'log_index' - 'words', to_jsonb(e) - 'asset' - 'place' - 'words',"
                " (SELECT array_agg(o.value ORDER BY o.value) FROM opening o WHERE o.log_index = a.log_index),"
                " (SELECT array_agg(r.party) FROM entry_reader r WHERE r.log_index = a.log_index),"
                " array_remove(string_to_array(translate(a.words, E'\\n', ' '), ' '), substr(a.id, 5)) FROM asset a JOIN catalogue_entry e ON e.asset = a.id WHERE a.id = %s",
                (asset,),
            )
            kept.append(await cursor.fetchone())
        return kept

    one, other = await house.gate.read(rows)
    assert one == other
    # The same request under the row's identifier, sent alone, gets the row's answer.
    repeated = await house.call(supplier, "POST", "/v1/assets", {**told, "update_days": "7"}, key="row-x")
    assert repeated.headers["Idempotency-Replayed"] == "true"
    assert repeated.json()["outcome"]["asset"] == row["asset"]
    house.verify(repeated.json())
    # Another row under the same id is told so.
    changed = await send(house, supplier, orjson.dumps({"id": "x", "title": "others", "kind": "city"}), 1)
    (failure,) = (await declared(house, supplier, changed))["failures"]
    assert failure["code"] == "request.identifier_reused"


@pytest.mark.anyio
async def test_a_list_that_is_not_whole_is_not_anybody_elses_or_is_none_at_all_is_refused(house: Any) -> None:
    (supplier,), (other,), (buyer,) = [await house.party(role) for role in ("supplier", "supplier", "buyer")]
    data, _ = listed(5, 0, random.Random(1))
    name = hashlib.sha256(data).hexdigest()
    path = f"/v1/lists/{name}"
    await house.call(supplier, "PUT", path, content=data[:40])
    await house.problem(supplier, "POST", f"{path}/declarations", {}, status=409, code="bulk.incomplete")
    late = await house.call(supplier, "PUT", f"{path}?offset=41", content=data[41:])
    assert (late.status_code, late.json()["code"]) == (409, "bulk.offset")
    await house.call(supplier, "PUT", f"{path}?offset=40", content=data[40:])
    assert (await house.call(supplier, "GET", path)).json() == {
        "sha256": name,
        "offset": str(len(data)),
        "complete": True,
    }
    assert (await house.call(other, "GET", path)).json()["offset"] == "0"
    await house.problem(other, "POST", f"{path}/declarations", {}, status=409, code="bulk.incomplete")
    await house.problem(buyer, "GET", path, status=403, code="caller.role")
    for bad, code in (
        (b"title,kind\nx,city\n", "bulk.header"),
        (b"\xff\xfe", "bulk.text"),
        (b'id,title,kind\n"x', "bulk.csv"),
    ):
        told = await send(house, supplier, bad, 1)
        await house.problem(supplier, "POST", f"/v1/lists/{told}/declarations", {}, status=400, code=code)
    await house.act(*suspend(supplier.party), house.administrator)
    part = await declared(house, supplier, name)
    assert {one["code"] for one in part["failures"]} == {"party.suspended"}
    assert part["declared"] == []


def suspend(party: str) -> tuple[Any, Any]:
    """The act that suspends a party."""
    from exchange import parties

    return parties.set_party_state, parties.SetPartyState(party, "suspended", "an inquiry")


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_bytes_are_read_as_anything_but_rows_failures_or_a_problem(data: bytes) -> None:
    for head in (b"", b"id,title,kind\n", b"{"):
        try:
            rows = read_list(head + data, RULES)
        except ExchangeError:
            continue
        assert [row.row for row in rows] == list(range(1, len(rows) + 1))
        assert all(isinstance(row, Row | RowFailure) for row in rows)


def test_every_reason_has_its_words_in_chinese() -> None:
    assert {code for _, code in SPOILED} <= IN_CHINESE.keys()
    for told in IN_CHINESE.values():
        assert all(told)
    too_many = b"id,title,kind\n" + b"".join(b"%d,t,city\n" % n for n in range(LIST_ROWS + 1))
    with pytest.raises(ExchangeError, match="20000"):
        read_list(too_many, RULES)
    assert rulebook.load("cn-venue").digest == RULES.digest
