"""Routes of parties, money and the market over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.acts import Caller
from exchange.credentials import key_digest
from tests.exchange.conftest import RULES, House, uscc
from tests.exchange.floor import DAY_US, DEPOSIT_FEN, INCREMENT_FEN, START_FEN, Floor, licence, played

pytestmark = pytest.mark.anyio

OFFER = {"grant": "licence", "licences": "1", "term_days": "30", "price_fen": str(START_FEN)}


async def open_lot(floor: Floor) -> str:
    """A lot over HTTP."""
    now = floor.house.now_us
    body = {
        "asset": await floor.asset(), "offer": OFFER, "increment_fen": str(INCREMENT_FEN),
        "deposit_fen": str(DEPOSIT_FEN), "opens_us": str(now), "closes_us": str(now + DAY_US),
    }  # fmt: skip
    opened: str = (await floor.house.done(floor.seller, "/v1/lots", body))["id"]
    return opened


async def test_the_market_says_what_it_is(house: House) -> None:
    view = (await house.call(None, "GET", "/v1/market")).json()
    rules = RULES
    assert view == {
        "now_us": str(house.now_us),
        "origin": house.gate.signer.name,
        "profile": "cn-venue",
        "rulebook": {"digest": rules.digest, "version": rules.version},
        "sandbox": True,
        "vkey": house.gate.signer.vkey,
        **({"size": view["size"]} if "size" in view else {}),
    }


async def test_a_party_enrols_pays_in_and_out_over_http(house: House) -> None:
    (administrator,), (bank,) = await house.party("administrator"), await house.party("bank")
    body = {"uscc": uscc(4000), "name": "a buyer", "roles": ["buyer"]}
    party = await house.done(administrator, "/v1/parties", body)
    token = "a-one-time-token-of-length"
    invitation = {"party": party["id"], "name": "somebody", "token_digest": key_digest(token).hex()}
    person = (await house.done(administrator, "/v1/invitations", invitation))["id"]
    house.keys[person] = "the secret stays here"
    enrolment = {"token": token, "key_digest": key_digest(house.keys[person]).hex()}
    first = await house.call(None, "POST", "/v1/enrolments", enrolment)
    again = await house.call(None, "POST", "/v1/enrolments", enrolment)
    assert (first.status_code, again.content) == (201, first.content)
    stolen = await house.call(None, "POST", "/v1/enrolments", {**enrolment, "key_digest": "00" * 32})
    assert (stolen.status_code, stolen.json()["code"]) == (404, "invitation.unknown")  # as one that never was
    buyer = Caller(person, party["id"], frozenset({"buyer"}))
    top_up = {"party": party["id"], "amount_fen": "500", "bank_reference": "r"}
    await house.done(bank, "/v1/top-ups", top_up)
    await house.done(buyer, "/v1/withdrawals", {"amount_fen": "200"})
    me = (await house.call(buyer, "GET", "/v1/me")).json()
    assert (me["id"], me["available_fen"], me["held_fen"]) == (party["id"], "300", "0")
    await house.problem(
        buyer, "POST", "/v1/withdrawals", {"amount_fen": "301"}, status=409, code="transfer.exceeds_credits"
    )


async def test_a_lot_is_bid_for_and_seen_by_code_alone(house: House) -> None:
    floor = await Floor.open(house)
    lot = await open_lot(floor)
    one, two = floor.buyers
    await house.problem(
        one, "POST", f"/v1/lots/{lot}/bids", {"client_bid_id": "b0", "price_fen": "1"},
        status=403, code="bid.no_deposit",
    )  # fmt: skip
    codes = [(await house.done(buyer, f"/v1/lots/{lot}/bidders"))["code"] for buyer in floor.buyers]
    for n, (buyer, price) in enumerate(((one, START_FEN), (two, START_FEN + INCREMENT_FEN))):
        body = {"client_bid_id": f"b{n}", "price_fen": str(price)}
        admitted = await house.done(buyer, f"/v1/lots/{lot}/bids", body)
        assert admitted["state"] == "admitted"
    low = {"client_bid_id": "b3", "price_fen": str(START_FEN)}
    await house.refused(one, f"/v1/lots/{lot}/bids", low, code="bid.not_higher")
    view = (await house.call(None, "GET", f"/v1/lots/{lot}")).json()
    assert (view["standing_code"], view["standing_price_fen"], view["bids"]) == (codes[1], "710000", "2")
    assert view == (await house.call(None, "GET", "/v1/lots")).json()[0]
    bids = (await house.call(None, "GET", f"/v1/lots/{lot}/bids")).json()
    assert [(b["code"], b["reason"]) for b in bids] == [
        (codes[0], None), (codes[1], None), (codes[0], "not_higher"),
    ]  # fmt: skip
    rest = await house.call(None, "GET", f"/v1/lots/{lot}/bids?after={bids[1]['index']}")
    assert rest.json() == bids[2:]
    for text in (str(view), str(bids)):
        assert not {one.party, two.party} & set(text.replace("'", " ").split())
    await house.problem(None, "GET", "/v1/lots/lot-none", status=404, code="lot.unknown")
    for after in ("-2", "x", str(2**80)):
        assert (await house.call(None, "GET", f"/v1/lots/{lot}/bids?after={after}")).status_code == 400


@pytest.mark.parametrize("price", ["0", str(2**63)])
async def test_a_bid_of_an_impossible_price_reaches_no_log(house: House, price: str) -> None:
    floor = await Floor.open(house)
    lot = await open_lot(floor)
    await house.done(floor.buyers[0], f"/v1/lots/{lot}/bidders")
    size = await house.log_size()
    body = {"client_bid_id": "b", "price_fen": price}
    response = await house.call(floor.buyers[0], "POST", f"/v1/lots/{lot}/bids", body)
    assert response.status_code in (400, 422)
    assert await house.log_size() == size


async def test_a_fixed_price_is_paid_and_listed_over_http(house: House) -> None:
    floor = await Floor.open(house)
    offer = {**OFFER, "licences": "2", "price_fen": "5000"}
    listing = (
        await house.done(floor.seller, "/v1/listings", {"asset": await floor.asset(), "offer": offer})
    )["id"]
    sale = await house.done(floor.buyers[0], f"/v1/listings/{listing}/purchases", {"licences": "1"})
    assert sale["voucher"]["price_fen"] == "5000"
    path = f"/v1/listings/{listing}/purchases"
    await house.refused(floor.buyers[1], path, {"licences": "2"}, code="sale.too_few_left")
    (view,) = (await house.call(None, "GET", "/v1/listings")).json()
    assert (view["id"], view["remaining"], view["price_fen"]) == (listing, "1", "5000")


async def test_ones_own_requests_are_looked_up_and_anothers_look_like_none(house: House) -> None:
    floor = await Floor.open(house)
    listing = await floor.listing(licence(10_000, 2))
    one, two = floor.buyers
    path = f"/v1/listings/{listing}/purchases"
    bought = await house.call(one, "POST", path, {"licences": "1"}, key="mine")
    refused = await house.call(one, "POST", path, {"licences": "2"}, key="too-many")
    assert (bought.status_code, refused.status_code) == (201, 422)
    for key, first in (("mine", bought), ("too-many", refused)):
        found = await house.call(one, "GET", f"/v1/requests/{key}")
        assert found.status_code == 200
        assert found.headers["Idempotency-Replayed"] == "true"
        assert found.json()["refused"] == (key == "too-many")
        assert {k: found.json()[k] for k in ("outcome", "receipt")} == {
            k: first.json()[k] for k in ("outcome", "receipt")
        }
    problems = [
        await house.problem(two, "GET", f"/v1/requests/{key}", status=404, code="request.unknown")
        for key in ("mine", "never")
    ]
    assert problems[0]["detail"].replace("mine", "never") == problems[1]["detail"]


async def test_a_trade_is_seen_by_its_parties_and_regulators_only(house: House) -> None:
    floor = await played(house)
    mine = (await house.call(floor.buyers[0], "GET", "/v1/trades")).json()
    trade, index = mine[0]["trade"], mine[0]["index"]
    for caller in (floor.buyers[0], floor.seller, floor.regulator):
        assert (await house.call(caller, "GET", f"/v1/trades/{trade}")).json()["trade"] == trade
        assert (await house.call(caller, "GET", f"/v1/receipts/{index}")).status_code == 200
    stranger = floor.buyers[1]
    for path, code in ((f"/v1/trades/{trade}", "trade.unknown"), (f"/v1/receipts/{index}", "entry.unknown")):
        hidden = await house.problem(stranger, "GET", path, status=404, code=code)
        none = path.replace(trade, "trade-none").replace(f"receipts/{index}", "receipts/99999")
        absent = await house.problem(stranger, "GET", none, status=404, code=code)
        assert strip(hidden, trade, index) == strip(absent, "trade-none", "99999")


def strip(problem: dict[str, Any], *names: str) -> dict[str, Any]:
    text = problem["detail"]
    for name in names:
        text = text.replace(name, "N")
    return {**problem, "detail": text}


async def test_a_bidder_reads_its_own_code_and_nobody_elses(house: House) -> None:
    floor = await Floor.open(house)
    lot = await floor.lot()
    code = await floor.join(lot, floor.buyers[0])
    mine = (await house.call(floor.buyers[0], "GET", f"/v1/lots/{lot}/bidder")).json()
    assert (mine["code"], mine["state"], mine["lot"]) == (code, "admitted", lot)
    path = f"/v1/lots/{lot}/bidder"
    await house.problem(floor.buyers[1], "GET", path, status=404, code="bidder.unknown")
    await house.problem(floor.buyers[1], "GET", "/v1/lots/lot-none/bidder", status=404, code="lot.unknown")
