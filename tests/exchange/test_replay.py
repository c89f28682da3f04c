"""The replay decides everything again from bodies, and names the entry at which a log parts from its rules."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import orjson
import pytest
from typer.testing import CliRunner

from exchange import oversight
from exchange.cli import app
from exchange.errors import Malformed
from exchange.replay import from_bundle, of_period, replay, rules_of
from ledger.postings import Transfer, transfer_from_json, transfer_to_json
from pricing.auctions import AscendingRules
from tests.exchange.conftest import House
from tests.exchange.floor import played

pytestmark = pytest.mark.anyio


async def test_the_replay_names_every_kind_of_forged_entry(house: House) -> None:
    floor = await played(house)
    found, openings = await floor.bodies(), await floor.openings()
    at = {body["kind"]: index for index, body in found}

    def forged(index: int, **members: Any) -> list[tuple[int, dict[str, Any]]]:
        changed = orjson.loads(orjson.dumps(found))
        body = changed[index][1]
        for path, value in members.items():
            *outer, last = path.split("__")
            inner = body
            for name in outer:
                inner = inner[int(name) if isinstance(inner, list) else name]
            inner[last] = value
        return [(i, b) for i, b in changed]

    first_bid = next(i for i, b in found if b["kind"] == "bid")
    cases: list[tuple[int, dict[str, Any]]] = [
        (first_bid, {"act__price_fen": "1"}),
        (first_bid, {"act__closes_us": "1"}),
        (first_bid, {"time": "1"}),
        (first_bid, {"act__lot": "lot-none"}),
        (at["bidder"], {"transfers__0__amount": "1"}),
        (at["lot_closed"], {"act__outcome__digest": "00"}),
        (at["lot_closed"], {"time": "1"}),
        (at["deposit_released"], {"transfers": []}),
        (at["deposit_released"], {"act__code": "B0"}),
        (at["lot_settled"], {"act__voucher__price_fen": "1"}),
        (at["lot_settled"], {"act__voucher__buyer": floor.seller.party}),
        (at["sale"], {"transfers__1__amount": "9"}),
        (at["sale"], {"act__voucher__price_fen": "1"}),
        (at["sale"], {"act__voucher__licences": "9"}),
        (at["sale"], {"act__voucher__rulebook__digest": "00"}),
        (at["sale"], {"act": {}}),
        (at["listed"], {"act__asset": "ast-none"}),
        (at["asset_registered"], {"act__asset": "ast-none"}),
        (at["topped_up"], {"transfers__0__debit": "acc-none"}),
    ]
    assert replay(found, openings).differences == []
    for index, members in cases:
        differing = replay(forged(index, **members), openings).differences
        assert index in {d.index for d in differing}, members
        assert min(d.index for d in differing) == index
    assert replay(found[:-1], openings).differences == []
    assert replay([e for e in found if e[0] != first_bid], openings).differences


async def test_what_hangs_on_an_erased_name_is_counted_and_never_called_agreed(house: House) -> None:
    floor = await played(house)
    found = await floor.bodies()
    whole = replay(found, await floor.openings())
    blind = replay(found)
    assert (whole.not_judged, blind.not_judged) == (0, 3)
    assert blind.differences == []
    assert blind.judged == whole.judged
    # A refusal for suspension rests on the erased name alone.
    index = next(i for i, b in found if b["kind"] == "bid")
    changed = orjson.loads(orjson.dumps(found))
    changed[index][1]["act"] |= {"state": "refused", "reason": {"code": "bid.suspended"}}
    assert index in {d.index for d in replay(changed, await floor.openings()).differences}
    assert index not in {d.index for d in replay(changed).differences}


async def test_no_entry_however_broken_stops_the_replay(house: House) -> None:
    floor = await played(house)
    found = await floor.bodies()
    for broken in (
        {},
        {"kind": "sale"},
        {"kind": "bid", "time": "x", "act": {}},
        {"kind": [], "time": "1", "act": {}},
    ):
        market = replay([*found, (len(found), broken)], await floor.openings())
        assert [d.index for d in market.differences] == [len(found)]
        assert market.size == len(found) + 1


def test_transfers_and_rules_are_read_as_bodies_state_them() -> None:
    transfer = Transfer("t", "void_pending", "a", "b", 2**62, "CNY", "deposit", "h", True)
    for each in (transfer, replace(transfer, kind="post", pending=None, linked=False)):
        assert transfer_from_json(transfer_to_json(each)) == each
    rules = AscendingRules(1, 2, 3, 10**15, 4, 5, None)
    stated = {name: None if value is None else str(value) for name, value in rules.to_json().items()}
    assert rules_of(stated) == rules
    assert rules_of({**stated, "ceiling_fen": "7"}) == replace(rules, ceiling_fen=7)


async def test_a_period_is_told_of_on_top_of_what_came_before(house: House, tmp_path: Path) -> None:
    floor = await played(house)
    size = await house.log_size()
    whole = tmp_path / "whole.zip"
    await house.gate.read(oversight.export, whole, house.gate.signer)
    found = of_period([whole])
    market = from_bundle(whole)
    assert (found.entries, found.judged, found.differences) == (size, market.judged, [])
    at = {body["kind"]: index for index, body in await floor.bodies()}
    parts = [
        of_period([whole], start, stop) for start, stop in ((0, at["lot_closed"]), (at["lot_closed"], None))
    ]
    assert sum(part.entries for part in parts) == size
    assert sum((Counter(part.judged) for part in parts), Counter()) == Counter(market.judged)
    assert "awards" not in parts[0].judged
    assert {"awards", "settlements", "transfers"} <= set(parts[1].judged)
    closed_us = house.now_us  # the last day's entries are those of the close
    assert of_period([whole], since_us=closed_us).judged == parts[1].judged
    assert of_period([whole], until_us=closed_us).judged == parts[0].judged

    # In two bundles one behind the other; one alone that begins later is no replay.
    halves = [tmp_path / f"{n}.zip" for n in range(2)]
    row = await floor.rows("SELECT size FROM log_chunk WHERE size < %s ORDER BY size DESC LIMIT 1", size // 2)
    for path, start, stop in ((halves[0], 0, row[0][0]), (halves[1], row[0][0], size)):
        await house.gate.read(
            lambda s, p=path, a=start, z=stop: oversight.export(s, p, house.gate.signer, start=a, stop=z)
        )
    assert of_period(halves).judged == found.judged
    with pytest.raises(Malformed) as gap:
        of_period(halves[1:])
    assert gap.value.code == "replay.gap"

    # On the command line, and with a difference.
    def typed(*words: str, expect: int = 0) -> str:
        done = CliRunner().invoke(app, ["replay", *words], env={"COLUMNS": "200"})
        assert done.exit_code == expect, done.output + repr(done.exception)
        return done.stdout

    assert "0 differences" in typed(str(whole))
    assert "0 处不同" in typed(str(whole), "--lang", "zh", "--start", "3")
    told = orjson.loads(typed(str(whole), "--json", "--start", str(at["lot_settled"])))
    assert told["judged"]["settlements"] == "1"
    forged = tmp_path / "forged.zip"
    with ZipFile(whole) as old, ZipFile(forged, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, data.replace(b'"price_fen":"101"', b'"price_fen":"102"'))
    assert "settlement of" in typed(str(forged), expect=1)
    assert "0 differences" in typed(str(forged), "--stop", "3")


async def test_an_offer_that_the_rules_forbid_is_named(house: House) -> None:
    floor = await played(house)
    found, openings = await floor.bodies(), await floor.openings()
    index = next(i for i, body in found if body["kind"] == "listed")
    for member, value, code in (
        ("term_days", "3651", "listing.term"),
        ("ceiling_fen", "1", "listing.ceiling"),
        ("grant", "exclusive", "listing.exclusive"),
    ):
        changed = orjson.loads(orjson.dumps(found))
        changed[index][1]["act"]["offer"][member] = value
        named = {(one.index, one.replayed) for one in replay(changed, openings).differences}
        assert (index, code) in named
