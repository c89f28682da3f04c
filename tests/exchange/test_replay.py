"""The replay decides everything again from bodies, and names the entry at which a log parts from its rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from exchange.replay import replay, rules_of
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
