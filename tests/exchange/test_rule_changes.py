"""How the rules of a market change: proposed, signed by a second person, in force at their date, judged by their own day."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from exchange import auctions, rulebook, sales
from exchange.acts import CLOCK, Caller
from exchange.errors import ExchangeError
from exchange.replay import replay
from exchange.rulebook import DecideRuleChange, ProposeRuleChange
from tests.exchange.conftest import RULES, House
from tests.exchange.floor import DAY_US, START_FEN, Floor, licence

pytestmark = pytest.mark.anyio

BOOK = RULES
OWN = "fees.buyer_commission_ppm"
LAW = "auction.deposit_at_most_ppm"


def to(name: str, value: Any) -> dict[str, Any]:
    """A rule with another value, as a caller sends it."""
    return {name: {**BOOK[name].to_json(), "value": str(value)}}


async def proposed(
    house: House, who: Caller, rules: dict[str, Any], after_us: int = DAY_US
) -> dict[str, Any]:
    """Propose a change that takes effect so long from now."""
    act = ProposeRuleChange(rules, None, house.now_us + after_us, "the board of 21 September")
    return await house.act(rulebook.propose_rule_change, act, who)


async def decided(
    house: House, who: Caller, change: dict[str, Any], decision: Any = "sign"
) -> dict[str, Any]:
    """Sign a change, or reject it."""
    act = DecideRuleChange(change["id"], change["result"]["digest"], decision, "seen")
    return await house.act(rulebook.decide_rule_change, act, who)


async def fails(house: House, decide: Any, act: Any, caller: Caller) -> str:
    """The code under which an act fails, with a log that did not grow."""
    size = await house.log_size()
    with pytest.raises(ExchangeError) as failed:
        await house.act(decide, act, caller)
    assert await house.log_size() == size
    return failed.value.code


async def test_each_settlement_is_judged_under_the_version_of_its_own_day(house: House) -> None:
    floor = await Floor.open(house)
    (board,) = await house.party("governing_body")
    buyer = floor.buyers[0]
    listing = await floor.listing(licence(1_000_000, 4))
    lot = await floor.lot()
    await floor.join(lot, buyer)
    await floor.bid(lot, buyer, START_FEN)
    sold = [await house.act(sales.buy, sales.Buy(listing, 1), buyer)]
    change = await proposed(house, house.administrator, to(OWN, 30_000))
    signed = await decided(house, board, change)
    assert (signed["state"], signed["version"]) == ("signed", "cn-venue@2")
    sold.append(await house.act(sales.buy, sales.Buy(listing, 1), buyer))  # its date is to come
    house.now_us += DAY_US
    sold.append(await house.act(sales.buy, sales.Buy(listing, 1), buyer))
    await house.act(auctions.close_lot, auctions.CloseLot(lot), CLOCK)
    settled = await house.act(auctions.settle_lot, auctions.SettleLot(lot), CLOCK)
    fees = [
        (one["voucher"]["split"]["buyer_fee_fen"], one["voucher"]["rulebook"]["version"])
        for one in (*sold, settled)
    ]
    assert fees == [
        ("10000", "cn-venue@1"), ("10000", "cn-venue@1"), ("30000", "cn-venue@2"), ("21000", "cn-venue@2"),
    ]  # fmt: skip
    told = orjson.loads(orjson.dumps(await house.gate.read(rulebook.versions)))
    assert [(one["version"], one["digest"]) for one in told] == [
        ("cn-venue@2", signed["digest"]), ("cn-venue@1", BOOK.digest),
    ]  # fmt: skip

    # Whoever holds the log comes to the same, from the log alone, and notices a version of another day.
    found = await floor.bodies()
    market = replay(found, await floor.openings())
    assert market.differences == []
    assert market.judged["rule changes"] == 1
    assert market.judged["decisions"] > 5
    at = [index for index, body in found if body["kind"] == "sale"]
    for index, other in ((at[0], signed["digest"]), (at[2], BOOK.digest)):
        forged = orjson.loads(orjson.dumps(found))
        forged[index][1]["rulebook"] = other
        assert [d.index for d in replay(forged).differences] == [index]
        forged = orjson.loads(orjson.dumps(found))
        forged[index][1]["act"]["voucher"]["rulebook"]["digest"] = other
        assert [d.index for d in replay(forged).differences] == [index]


async def test_the_replay_finds_a_change_that_nobody_proposed_so(house: House) -> None:
    floor = await Floor.open(house)
    (board,) = await house.party("governing_body")
    await decided(house, board, await proposed(house, house.administrator, to(OWN, 30_000)))
    found, openings = await floor.bodies(), await floor.openings()
    index, body = next((i, b) for i, b in found if b["kind"] == "rule_change_decided")
    other = BOOK.changed([rulebook.Rule.from_json(OWN, to(OWN, 1)[OWN])])
    for change in (
        {"document": other.document()},
        {"effective_us": str(int(body["act"]["effective_us"]) + 1)},
        {"digest": other.digest},
    ):
        forged = orjson.loads(orjson.dumps(found))
        forged[index][1]["act"] |= change
        assert index in {d.index for d in replay(forged, openings).differences}
    forged = orjson.loads(orjson.dumps(found))
    forged[index][1]["by"] = house.administrator.person
    assert [d.index for d in replay(forged, openings).differences] == [index]
    forged = orjson.loads(orjson.dumps(found))
    forged[0][1]["act"]["rulebook"]["document"]["rules"][OWN]["value"] = "1"
    assert 0 in {d.index for d in replay(forged, openings).differences}


async def test_S50_the_venues_own_rules_are_signed_by_the_governing_body_and_nobody_signs_their_own(
    house: House,
) -> None:
    (board, second) = await house.party("governing_body", people=2)
    (regulator,) = await house.party("regulator")
    (buyer,) = await house.party("buyer")
    own = await proposed(house, house.administrator, to(OWN, 9_000))
    sign = DecideRuleChange(own["id"], own["result"]["digest"], "sign")
    for other in (house.administrator, regulator):
        assert await fails(house, rulebook.decide_rule_change, sign, other) == "rulebook.governing_body"
    assert await fails(house, rulebook.decide_rule_change, sign, buyer) == "caller.role"
    assert (await decided(house, board, own))["state"] == "signed"
    # The board's own proposal takes two of the board; the first is refused on the record.
    mine = await proposed(house, board, to(OWN, 8_000))
    refused = await decided(house, board, mine)
    assert (refused["state"], refused["reason"]["code"]) == ("refused", "rulebook.four_eyes")
    assert (await decided(house, second, mine))["state"] == "signed"
    # A figure of law needs a second person, not the board.
    law = await proposed(house, house.administrator, to(LAW, 190_000))
    assert (await decided(house, house.administrator, law))["state"] == "refused"
    assert (await decided(house, regulator, law))["version"] == "cn-venue@4"


async def test_a_signature_is_bound_to_what_was_read_and_stale_after_another_change(house: House) -> None:
    (board, second) = await house.party("governing_body", people=2)
    one = await proposed(house, board, to(OWN, 9_000))
    two = await proposed(house, board, to(OWN, 8_000))
    other = DecideRuleChange(one["id"], two["result"]["digest"], "sign")
    assert await fails(house, rulebook.decide_rule_change, other, second) == "rulebook.another"
    assert (await decided(house, second, one))["state"] == "signed"
    stale = DecideRuleChange(two["id"], two["result"]["digest"], "sign")
    assert await fails(house, rulebook.decide_rule_change, stale, second) == "rulebook.stale"
    again = DecideRuleChange(one["id"], one["result"]["digest"], "sign")
    assert await fails(house, rulebook.decide_rule_change, again, second) == "rulebook.decided"
    assert (await decided(house, second, two, "reject"))["state"] == "rejected"
    # A date that has come unsigned is over; one before the version that was signed last is out of order.
    late = await proposed(house, board, to(OWN, 7_000), after_us=1)
    house.now_us += 1
    sign = DecideRuleChange(late["id"], late["result"]["digest"], "sign")
    assert await fails(house, rulebook.decide_rule_change, sign, second) == "rulebook.effective"
    early = await proposed(house, board, to(OWN, 7_000), after_us=60)
    sign = DecideRuleChange(early["id"], early["result"]["digest"], "sign")
    assert await fails(house, rulebook.decide_rule_change, sign, second) == "rulebook.order"


async def test_what_cannot_be_proposed_is_refused_by_rule(house: House) -> None:
    now = house.now_us
    cases: list[tuple[dict[str, Any], int, str, str]] = [
        ({}, now + 1, "why", "rulebook.change"),
        (to(OWN, 10_000), now + 1, "why", "rulebook.change"),
        ({"fees.gift_ppm": BOOK[OWN].to_json()}, now + 1, "why", "rulebook.change"),
        ({OWN: {**BOOK[OWN].to_json(), "value": "many"}}, now + 1, "why", "rulebook.change"),
        ({OWN: {**BOOK[OWN].to_json(), "source": ""}}, now + 1, "why", "rulebook.change"),
        (to(OWN, 50_001), now + 1, "why", "rulebook.change"),
        (to(OWN, 9_000), now, "why", "rulebook.effective"),
        (to(OWN, 9_000), now + 4_000 * DAY_US, "why", "rulebook.effective"),
        (to(OWN, 9_000), now + 1, " ", "rulebook.reason"),
    ]
    for rules, effective_us, reason, code in cases:
        act = ProposeRuleChange(rules, None, effective_us, reason)
        assert await fails(house, rulebook.propose_rule_change, act, house.administrator) == code
    (buyer,) = await house.party("buyer")
    act = ProposeRuleChange(to(OWN, 9_000), None, now + 1, "why")
    assert await fails(house, rulebook.propose_rule_change, act, buyer) == "caller.role"


async def test_everybody_reads_the_rules_and_those_who_sign_read_what_is_proposed(house: House) -> None:
    (board,) = await house.party("governing_body")
    (buyer,) = await house.party("buyer")
    shown = (await house.call(None, "GET", "/v1/rulebook")).json()
    assert rulebook.Rulebook.from_document(shown["document"]).digest == shown["digest"] == BOOK.digest
    assert shown["gates"]["lot.deposit"] == ["auction.deposit_at_least_ppm", LAW]
    calendar = {**BOOK.calendar.to_json(), "version": "cn-holidays@2027"}
    said = {
        "rules": to(OWN, 9_000),
        "calendar": calendar,
        "effective_us": str(house.now_us + DAY_US),
        "reason": "why",
    }
    change = await house.done(board, "/v1/rulebook/proposals", said)
    listed = (await house.call(board, "GET", "/v1/rulebook/proposals")).json()
    assert [(one["id"], one["state"], one["reason"]) for one in listed] == [(change["id"], "proposed", "why")]
    assert (await house.call(board, "GET", f"/v1/rulebook/proposals/{change['id']}")).json() == listed[0]
    for path in ("/v1/rulebook/proposals", f"/v1/rulebook/proposals/{change['id']}"):
        await house.problem(buyer, "GET", path, status=403, code="caller.role")
    await house.problem(board, "GET", "/v1/rulebook/proposals/rlc-0", status=404, code="proposal.unknown")
    (other,) = await house.party("governing_body")
    decision = {"decision": "sign", "digest": change["result"]["digest"]}
    await house.done(other, f"/v1/rulebook/proposals/{change['id']}/decision", decision)
    digest = change["result"]["digest"]
    version = (await house.call(None, "GET", f"/v1/rulebook/versions/{digest}")).json()
    assert rulebook.Rulebook.from_document(version["document"]).digest == digest
    assert version["document"]["calendar"]["version"] == "cn-holidays@2027"
    assert (await house.call(None, "GET", f"/v1/rulebook/versions/{BOOK.digest}")).json() == shown
    assert len((await house.call(None, "GET", "/v1/rulebook/versions")).json()) == 2
    await house.problem(None, "GET", f"/v1/rulebook/versions/{'0' * 64}", status=404, code="rulebook.unknown")
    market = (await house.call(None, "GET", "/v1/market")).json()
    assert market["rulebook"] == {"digest": BOOK.digest, "version": "cn-venue@1"}
    house.now_us += DAY_US
    assert (await house.call(None, "GET", "/v1/market")).json()["rulebook"]["digest"] == digest
