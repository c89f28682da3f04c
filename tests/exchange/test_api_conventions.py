"""What all routes have in common: quotas, expiry, names for states, pages, dry runs, batches."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
from nacl.signing import SigningKey

from exchange import replay
from exchange.api.doorway import QUOTA_WINDOW_S, Quotas
from exchange.errors import TooMany
from exchange.messages.outcomes import BatchAnswer
from ledger.checkpoint import Verifier
from ledger.entries import receipt_from_json, verify_receipt
from tests.exchange.conftest import House
from tests.exchange.contract import document
from tests.exchange.floor import DEPOSIT_FEN, INCREMENT_FEN, START_FEN, Floor, licence, played

pytestmark = pytest.mark.anyio


def test_a_quota_is_spent_by_a_party_and_comes_back_with_the_next_window() -> None:
    now = [100.0]
    quotas = Quotas(3, lambda: now[0])
    assert [quotas.spend("one").left for _ in range(3)] == [2, 1, 0]
    assert quotas.spend("another", 2).left == 1
    over = quotas.spend("one")
    assert dict(over.headers()) == {
        b"ratelimit-policy": b'"party";q=3;w=10',
        b"ratelimit": b'"party";r=0;t=10',
    }
    with pytest.raises(TooMany) as refused:
        over.require()
    assert refused.value.retry_after_s == 10
    now[0] += QUOTA_WINDOW_S
    assert quotas.spend("one").left == 2


async def test_who_asks_for_too_much_is_told_when_to_come_back(house: House) -> None:
    (one,), (other,) = await house.party("buyer"), await house.party("buyer")
    first = await house.call(one, "GET", "/v1/me")
    assert first.headers["RateLimit-Policy"] == '"party";q=20000;w=10'
    assert re.fullmatch(r'"party";r=19999;t=(10|[1-9])', first.headers["RateLimit"])
    house.app.state.callers.quotas = Quotas(2, lambda: 100.0)
    answers = [await house.call(one, "GET", "/v1/me") for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 429]
    assert answers[2].json()["code"] == "caller.quota"
    assert 1 <= int(answers[2].headers["Retry-After"]) <= QUOTA_WINDOW_S
    assert answers[2].headers["RateLimit"].startswith('"party";r=0;')
    assert (await house.call(other, "GET", "/v1/me")).status_code == 200
    assert "RateLimit" not in (await house.call(None, "GET", "/v1/market")).headers


async def test_what_was_read_is_not_sent_again_while_it_is_the_same(house: House) -> None:
    floor = await Floor.open(house)
    lot = await floor.lot()
    first = await house.call(None, "GET", f"/v1/lots/{lot}")
    tag = first.headers["ETag"]
    for asked in (tag, f'"other", W/{tag}', "*"):
        again = await house.call(None, "GET", f"/v1/lots/{lot}", headers={"If-None-Match": asked})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    await floor.join(lot, floor.buyers[0])
    await floor.bid(lot, floor.buyers[0], START_FEN)
    changed = await house.call(None, "GET", f"/v1/lots/{lot}", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag
    assert "ETag" not in (await house.call(None, "GET", "/v1/lots/none")).headers


async def test_limits_are_not_set_over_what_another_set_meanwhile(house: House) -> None:
    (caller,) = await house.party("buyer")
    read = await house.call(caller, "GET", "/v1/controls")
    tag = read.headers["ETag"]
    mine = await house.call(
        caller, "POST", "/v1/controls", {"order_limit_fen": "100"}, headers={"If-Match": tag}
    )
    assert mine.status_code == 201
    size = await house.log_size()
    late = await house.call(
        caller, "POST", "/v1/controls", {"order_limit_fen": "900"}, headers={"If-Match": tag}
    )
    assert (late.status_code, late.json()["code"]) == (412, "controls.changed")
    assert await house.log_size() == size
    fresh = (await house.call(caller, "GET", "/v1/controls")).headers["ETag"]
    for header in ({"If-Match": fresh}, {"If-Match": "*"}, {}):
        done = await house.call(caller, "POST", "/v1/controls", {"order_limit_fen": "900"}, headers=header)
        assert done.status_code == 201


async def test_a_request_that_comes_to_its_turn_too_late_does_nothing_and_a_late_bid_is_on_the_record(
    house: House,
) -> None:
    floor = await Floor.open(house)
    lot, listing = await floor.lot(), await floor.listing(licence(1000, 5))
    buyer = floor.buyers[0]
    await floor.join(lot, buyer)
    size, money = await house.log_size(), await floor.money(buyer)
    late, now = {"Request-Expires": str(house.now_us - 1)}, {"Request-Expires": str(house.now_us)}
    path = f"/v1/listings/{listing}/purchases"
    refused = await house.call(buyer, "POST", path, {"licences": "1"}, key="p", headers=late)
    assert (refused.status_code, refused.json()["code"]) == (409, "request.expired")
    assert (await house.log_size(), await floor.money(buyer)) == (size, money)
    assert (await house.call(buyer, "GET", "/v1/requests/p")).status_code == 404
    assert (await house.call(buyer, "POST", path, {"licences": "1"}, key="p", headers=now)).status_code == 201

    bids = f"/v1/lots/{lot}/bids"
    body = {"client_bid_id": "late", "price_fen": str(START_FEN)}
    response = await house.call(buyer, "POST", bids, body, headers=late)
    assert (response.status_code, response.json()["code"]) == (422, "bid.expired")
    said = house.verify(response.json())["act"]
    assert said["expires_us"] == late["Request-Expires"]
    again = await house.call(buyer, "POST", bids, body)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json() == response.json()
    admitted = await house.call(buyer, "POST", bids, {**body, "client_bid_id": "in-time"}, headers=now)
    assert house.verify(admitted.json())["act"]["expires_us"] == now["Request-Expires"]
    for bad in ("soon", "-1", "1.5", "01"):
        wrong = await house.call(buyer, "POST", bids, body, headers={"Request-Expires": bad})
        assert (wrong.status_code, wrong.json()["code"]) == (400, "request.form")
    book = (await house.call(None, "GET", bids)).json()
    assert [row["reason"] for row in book] == ["expired", None]
    judged = replay.replay(await floor.bodies(), await floor.openings())
    assert judged.differences == []


async def test_every_list_is_walked_page_by_page_to_the_same_end(house: House) -> None:
    floor = await played(house)
    buyer, regulator = floor.buyers[0], floor.regulator
    second = await floor.lot()
    for n in range(2):
        digest = hashlib.sha256(b"%d" % n).hexdigest()
        await house.done(buyer, "/v1/keys", {"key_digest": digest, "label": "program"})
        public = bytes(SigningKey(bytes([n]) * 32).verify_key).hex()
        await house.done(buyer, "/v1/signing-keys", {"public": public, "label": "signer"})
    sold = (await house.call(None, "GET", "/v1/lots")).json()[-1]["id"]
    account = (await house.call(buyer, "GET", "/v1/me")).json()["account"]
    names = {"lot": sold, "account": account}
    walked = set()
    for path, item in document()["paths"].items():
        if "Link" not in item.get("get", {}).get("responses", {}).get("200", {}).get("headers", {}):
            continue
        where = re.sub(r"{(\w+)}", lambda found: names.get(found[1], "none"), path)
        overseen = path in ("/v1/parties", "/v1/accounts") or path.startswith(("/v1/bank/", "/v1/rulebook/"))
        caller = regulator if overseen else buyer
        whole = await house.call(caller, "GET", f"{where}?limit=100")
        if whole.status_code in (403, 404):  # another office, and a licence that has no accesses here
            continue
        rows: list[Any] = []
        following: str | None = f"{where}?limit=1"
        while following is not None:
            page = await house.call(caller, "GET", following)
            found = listed(page.json())
            assert len(found) <= 1
            rows += found
            following = page.links.get("next", {}).get("url")
        assert rows == listed(whole.json()), path
        if len(rows) > 1:
            walked.add(path)
    assert {
        "/v1/accounts", "/v1/accounts/{account}/statement", "/v1/assets", "/v1/keys", "/v1/listings", "/v1/log", "/v1/lots",
        "/v1/lots/{lot}/bids", "/v1/parties", "/v1/signing-keys", "/v1/trades",
    } <= walked  # fmt: skip
    assert second in {row["id"] for row in (await house.call(None, "GET", "/v1/lots?limit=1")).json()}


def listed(answer: Any) -> list[Any]:
    """The rows of a page: the answer itself, or its one list. When a key was used is noted a moment later."""
    rows = answer if isinstance(answer, list) else next(v for v in answer.values() if isinstance(v, list))
    return [{name: value for name, value in row.items() if name != "used_us"} for row in rows]


async def test_anothers_key_is_no_cursor(house: House) -> None:
    (other,) = await house.party("buyer")
    house.now_us += 1_000_000  # so that theirs stands behind mine
    (one,) = await house.party("buyer")
    theirs = (await house.call(other, "GET", "/v1/keys")).json()[0]["digest"]
    mine = listed((await house.call(one, "GET", "/v1/keys")).json())
    for digest in (theirs, "0" * 64):
        assert listed((await house.call(one, "GET", f"/v1/keys?after={digest}")).json()) == mine


async def test_a_dry_run_tells_the_whole_cost_and_leaves_no_trace(house: House) -> None:
    floor = await Floor.open(house)
    lot, listing = await floor.lot(), await floor.listing(licence(1_000_000, 3))
    buyer, bid = floor.buyers[0], {"client_bid_id": "b", "price_fen": str(START_FEN)}
    size, money = await house.log_size(), await floor.money(buyer)

    async def dry(path: str, body: Any) -> Any:
        response = await house.call(buyer, "POST", path, body)
        assert response.status_code == 200, response.text
        assert (await house.log_size(), await floor.money(buyer)) == (size, money)
        return response.json()

    before = await dry(f"/v1/lots/{lot}/bids:dry-run", bid)
    assert (before["would"], before["reason"]["code"]) == ("refused", "bid.no_deposit")
    assert (before["cost"]["deposit_fen"], before["cost"]["deposit_held"]) == (str(DEPOSIT_FEN), False)

    told = await dry(f"/v1/listings/{listing}/purchases:dry-run", {"licences": "2"})
    assert (told["would"], told["reason"]) == ("settled", None)
    none = await dry(f"/v1/listings/{listing}/purchases:dry-run", {"licences": "4"})
    assert (none["would"], none["reason"]["code"]) == ("refused", "sale.too_few_left")
    poor = await dry(f"/v1/listings/{listing}/purchases:dry-run", {"licences": "3"})
    assert poor["would"] == "settled"
    sale = await house.done(buyer, f"/v1/listings/{listing}/purchases", {"licences": "2"})
    split = sale["voucher"]["split"]
    assert (told["cost"]["price_fen"], told["cost"]["fee_fen"], told["cost"]["tax_fen"]) == (
        sale["voucher"]["price_fen"], split["buyer_fee_fen"], split["tax_fen"],
    )  # fmt: skip
    free, _ = await floor.money(buyer)
    assert money[0] - free == int(told["cost"]["total_fen"])
    assert int(told["cost"]["available_fen"]) == money[0]

    await floor.join(lot, buyer)
    size, money = await house.log_size(), await floor.money(buyer)
    after = await dry(f"/v1/lots/{lot}/bids:dry-run", bid)
    assert (after["would"], after["reason"]) == ("admitted", None)
    assert int(after["cost"]["due_fen"]) == int(after["cost"]["total_fen"]) - DEPOSIT_FEN
    low = await dry(f"/v1/lots/{lot}/bids:dry-run", {**bid, "price_fen": "1"})
    assert low["reason"]["code"] == "bid.below_start"
    await house.done(buyer, f"/v1/lots/{lot}/bids", bid)
    for path in ("/v1/lots/none/bids:dry-run", "/v1/listings/none/purchases:dry-run"):
        lost = await house.call(buyer, "POST", path, bid if "lots" in path else {"licences": "1"})
        assert lost.status_code == 404


async def test_a_batch_is_decided_in_order_and_each_bid_is_answered_as_it_would_be_alone(
    house: House,
) -> None:
    floor = await Floor.open(house)
    lot, twin = await floor.lot(), await floor.lot()
    buyer = floor.buyers[0]
    for one in (lot, twin):
        await floor.join(one, buyer)
    prices = [START_FEN, START_FEN + INCREMENT_FEN, START_FEN, 0, START_FEN + 2 * INCREMENT_FEN]
    bids = [{"client_bid_id": f"b{n}", "price_fen": str(price)} for n, price in enumerate(prices)]
    sent = [*bids, bids[0], {**bids[1], "price_fen": "1"}]
    response = await house.call(buyer, "POST", f"/v1/lots/{lot}/bids:batch", {"bids": sent})
    assert response.status_code == 200, response.text
    items = response.json()["items"]
    assert [i["client_bid_id"] for i in items] == [bid["client_bid_id"] for bid in sent]
    assert [i["status"] for i in items] == [201, 201, 422, 422, 201, 201, 422]
    assert [i.get("code") for i in items] == [
        None, None, "bid.not_higher", "bid.price", None, None, "request.identifier_reused",
    ]  # fmt: skip
    indices = []
    for told, bid in zip(items, sent, strict=True):
        if "receipt" in told:
            receipt = receipt_from_json(told["receipt"])
            verify_receipt(receipt, [Verifier.parse(house.gate.signer.vkey)])
            assert receipt.said()["key"] == bid["client_bid_id"]
            indices.append(receipt.index)
            found = (await house.call(buyer, "GET", f"/v1/requests/{bid['client_bid_id']}")).json()
            assert (found["outcome"], found["receipt"]) == (told["outcome"], told["receipt"])
    assert indices == [indices[0], indices[0] + 1, indices[0] + 2, indices[0] + 3, indices[0]]
    alone = [
        await house.call(
            buyer, "POST", f"/v1/lots/{twin}/bids", {**bid, "client_bid_id": f"t{bid['client_bid_id']}"}
        )
        for bid in bids
    ]
    for told, single in zip(items, alone, strict=False):
        assert told["status"] == single.status_code
        assert set(told) - {"client_bid_id", "status"} == set(single.json()) - {"status"}
    again = await house.call(buyer, "POST", f"/v1/lots/{lot}/bids:batch", {"bids": sent})
    assert again.json() == response.json()
    view = (await house.call(None, "GET", f"/v1/lots/{lot}")).json()
    assert (view["standing_price_fen"], view["bids"]) == (str(prices[4]), "3")


async def test_a_batch_of_a_thousand_is_taken_and_one_more_is_not(house: House) -> None:
    floor = await Floor.open(house)
    lot = await floor.lot()
    await floor.join(lot, floor.buyers[0])
    bids = [{"client_bid_id": f"b{n}", "price_fen": str(START_FEN + n * INCREMENT_FEN)} for n in range(1001)]
    path = f"/v1/lots/{lot}/bids:batch"
    for wrong in ([], bids, [{**bids[0], "note": "x"}], [{"client_bid_id": "a b", "price_fen": "1"}]):
        refused = await house.call(floor.buyers[0], "POST", path, {"bids": wrong})
        assert (refused.status_code, refused.json()["code"]) == (400, "request.form")
    size = await house.log_size()
    response = await house.call(floor.buyers[0], "POST", path, {"bids": bids[:1000]})
    answer = BatchAnswer.model_validate_json(response.content)
    assert [i.status for i in answer.items] == [201] * 1000
    assert await house.log_size() == size + 1000
    assert response.headers["RateLimit"].startswith('"party";r=')
    stranger = await house.call(floor.buyers[1], "POST", path, {"bids": bids[:2]})
    assert [i["code"] for i in stranger.json()["items"]] == ["bid.no_deposit"] * 2
