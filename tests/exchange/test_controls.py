"""What a party forbids itself: limits, signed orders, the kill switch, the heartbeat; and the replay that sees it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from exchange import controls, money, oversight, replay, sales
from exchange.acts import Caller
from exchange.controls import SetControls, StopTrading
from exchange.errors import ExchangeError
from exchange.signing import signed_headers
from exchange.worker import Worker
from ledger.audit.disclosed import bodies, openings
from tests.exchange.conftest import House
from tests.exchange.floor import Floor, licence

SECRET = bytes(range(1, 33))
SECOND_US = 1_000_000


async def bid(
    house: House, caller: Caller, lot: str, price_fen: int, key: str, *, secret: bytes | None = SECRET
) -> httpx.Response:
    """A bid over HTTP, signed with `secret`."""
    content = orjson.dumps({"client_bid_id": key, "price_fen": str(price_fen)})
    path = f"/v1/lots/{lot}/bids"
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    signed = (
        {} if secret is None else signed_headers(secret, "POST", path, headers, content, int(time.time()))
    )
    return await house.call(caller, "POST", path, content=content, headers={**headers, **signed}, key=key)


async def registered(house: House, caller: Caller, secret: bytes = SECRET) -> str:
    public = bytes(SigningKey(secret).verify_key).hex()
    added = await house.done(caller, "/v1/signing-keys", {"public": public, "label": "hsm"})
    return str(added["id"])


async def replayed(house: House, folder: Path) -> tuple[replay.Replayed, Path]:
    path = folder / f"bundle-{next(house.numbers)}.zip"
    await house.gate.read(lambda session: oversight.export(session, path, house.gate.signer))
    return replay.from_bundle(path), path


@pytest.mark.anyio
async def test_an_order_above_an_amount_is_signed_or_refused_on_the_record(
    house: House, tmp_path: Path
) -> None:
    floor = await Floor.open(house)
    first, _ = floor.buyers
    lot = await floor.lot()
    await floor.join(lot, first)
    await registered(house, first)
    await house.act(controls.set_controls, SetControls(800_000, None, None), first)
    assert (await bid(house, first, lot, 800_000, "b-1", secret=None)).status_code == 201
    unsigned = await bid(house, first, lot, 810_000, "b-2", secret=None)
    assert (unsigned.status_code, unsigned.json()["code"]) == (422, "bid.unsigned")
    house.verify(unsigned.json())
    signed = await bid(house, first, lot, 820_000, "b-3")
    assert signed.status_code == 201, signed.text
    body = house.verify(signed.json())
    assert "party" not in body
    assert body["signed"] not in (None, "")
    judged, bundle = await replayed(house, tmp_path)
    assert judged.differences == []
    assert judged.judged["signatures"] == 1
    text = orjson.loads(openings(bundle)[body["signed"]])
    assert orjson.loads(text["body"]) == {"client_bid_id": "b-3", "price_fen": "820000"}


@pytest.mark.anyio
async def test_a_signed_bid_sent_again_is_the_same_bid(house: House) -> None:
    floor = await Floor.open(house)
    first, _ = floor.buyers
    lot = await floor.lot()
    await floor.join(lot, first)
    await registered(house, first)
    once = await bid(house, first, lot, 700_000, "b-1")
    await asyncio.sleep(1)  # another `created`, another signature
    again = await bid(house, first, lot, 700_000, "b-1")
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (201, "true")
    assert again.json()["receipt"]["index"] == once.json()["receipt"]["index"]


@pytest.mark.anyio
async def test_a_signature_counts_only_by_a_standing_key_of_the_caller(house: House) -> None:
    floor = await Floor.open(house)
    first, second = floor.buyers
    lot = await floor.lot()
    await floor.join(lot, first)
    size = await house.log_size()
    nobodys = await bid(house, first, lot, 700_000, "b-1")
    assert (nobodys.status_code, nobodys.json()["code"]) == (401, "signature.key_unknown")
    assert await house.log_size() == size
    key = await registered(house, second)
    assert (await bid(house, first, lot, 700_000, "b-1")).json()["code"] == "signature.key_unknown"
    await house.done(second, f"/v1/signing-keys/{key}/revocation")
    assert (await bid(house, second, lot, 700_000, "b-1")).json()["code"] == "signature.key_unknown"


@pytest.mark.anyio
async def test_a_purchase_and_a_payout_keep_within_the_partys_own_limit(house: House, tmp_path: Path) -> None:
    floor = await Floor.open(house)
    first, _ = floor.buyers
    listing = await floor.listing(licence(100_000, 5))
    await house.act(controls.set_controls, SetControls(None, 150_000, None), first)
    refused = await house.act(sales.buy, sales.Buy(listing, 2), first)
    assert refused["reason"]["code"] == "order.above_limit"
    await house.act(sales.buy, sales.Buy(listing, 1), first)
    with pytest.raises(ExchangeError) as above:
        await house.act(money.withdraw, money.Withdraw(150_001), first)
    assert above.value.code == "order.above_limit"
    await house.act(money.withdraw, money.Withdraw(150_000), first)
    await house.act(controls.set_controls, SetControls(None, None, None), first)
    await house.act(money.withdraw, money.Withdraw(150_001), first)
    judged, _ = await replayed(house, tmp_path)
    assert judged.differences == []
    assert judged.judged["orders"] == 3


@pytest.mark.anyio
async def test_the_kill_switch_ends_offers_and_leaves_admitted_bids(house: House, tmp_path: Path) -> None:
    floor = await Floor.open(house)
    first, second = floor.buyers
    lot, listing = await floor.lot(), await floor.listing(licence(100_000, 5))
    for buyer in (first, second):
        await floor.join(lot, buyer)
    await floor.bid(lot, first, 700_000)
    stopped = await house.act(controls.stop_trading, StopTrading(first.party), first)
    assert stopped["ended"] == []
    late = await house.call(
        first, "POST", f"/v1/lots/{lot}/bids", {"client_bid_id": "b", "price_fen": "800000"}
    )
    assert late.json()["code"] == "bid.stopped"
    with pytest.raises(ExchangeError) as payout:
        await house.act(money.withdraw, money.Withdraw(1), first)
    assert payout.value.code == "party.stopped"
    view = (await house.call(None, "GET", f"/v1/lots/{lot}")).json()
    assert view["standing_price_fen"] == "700000"
    ended = await house.act(controls.stop_trading, StopTrading(floor.seller.party), floor.seller)
    assert ended["ended"] == [listing]
    with pytest.raises(ExchangeError) as gone:
        await house.act(sales.buy, sales.Buy(listing, 1), second)
    assert gone.value.code == "listing.ended"
    await house.act(controls.resume_trading, controls.ResumeTrading(), first)
    await floor.bid(lot, first, 810_000)
    judged, _ = await replayed(house, tmp_path)
    assert judged.differences == []


@pytest.mark.anyio
async def test_who_is_stopped_stops_and_resumes_once(house: House) -> None:
    (buyer,) = await house.party("buyer")
    with pytest.raises(ExchangeError) as not_stopped:
        await house.act(controls.resume_trading, controls.ResumeTrading(), buyer)
    assert not_stopped.value.code == "party.not_stopped"
    await house.act(controls.stop_trading, StopTrading(buyer.party), buyer)
    with pytest.raises(ExchangeError) as twice:
        await house.act(controls.stop_trading, StopTrading(buyer.party), buyer)
    assert twice.value.code == "party.stopped"


@pytest.mark.anyio
async def test_nobody_stops_another_party(house: House) -> None:
    (buyer,), (other,) = await house.party("buyer"), await house.party("buyer")
    await house.act(controls.stop_trading, StopTrading(other.party), buyer)
    assert (await house.call(other, "GET", "/v1/controls")).json()["stopped"] is False
    assert (await house.call(buyer, "GET", "/v1/controls")).json()["stopped"] is True


@pytest.mark.anyio
async def test_a_silent_party_is_stopped_and_one_that_is_heard_is_not(house: House, tmp_path: Path) -> None:
    (silent,), (heard,) = await house.party("buyer"), await house.party("buyer")
    for caller in (silent, heard):
        await house.act(controls.set_controls, SetControls(None, None, 10 * SECOND_US), caller)
    worker = Worker(house.gate, house.gate.database)
    for _ in range(3):
        house.now_us += 5 * SECOND_US
        assert (await house.call(heard, "POST", "/v1/heartbeat")).status_code == 204
        await worker.tick()
    stopped = [
        (await house.call(caller, "GET", "/v1/controls")).json()["stopped"] for caller in (silent, heard)
    ]
    assert stopped == [True, False]
    _, bundle = await replayed(house, tmp_path)
    (why,) = [body["act"]["why"] for _, body in bodies(bundle) if body["kind"] == "trading_stopped"]
    assert why == "heartbeat"
    house.now_us += 60 * SECOND_US
    await house.act(controls.resume_trading, controls.ResumeTrading(), silent)
    house.now_us += 9 * SECOND_US
    await worker.tick()
    assert (await house.call(silent, "GET", "/v1/controls")).json()["stopped"] is False
    assert (await house.call(heard, "GET", "/v1/controls")).json()["stopped"] is True


@pytest.mark.parametrize("heartbeat_us", [0, 4_999_999, 86_400_000_001])
@pytest.mark.anyio
async def test_a_heartbeat_is_between_seconds_and_a_day(house: House, heartbeat_us: int) -> None:
    (buyer,) = await house.party("buyer")
    message = {"heartbeat_us": str(heartbeat_us)}
    await house.problem(buyer, "POST", "/v1/controls", message, status=422, code="controls.heartbeat")


@pytest.mark.anyio
async def test_the_replay_names_an_order_that_its_party_had_forbidden(house: House, tmp_path: Path) -> None:
    floor = await Floor.open(house)
    first, _ = floor.buyers
    lot = await floor.lot()
    await floor.join(lot, first)
    await registered(house, first)
    await house.act(controls.set_controls, SetControls(800_000, 900_000, None), first)
    await bid(house, first, lot, 850_000, "b-1")
    await house.act(money.withdraw, money.Withdraw(700_000), first)
    _, bundle = await replayed(house, tmp_path)
    known = openings(bundle)
    entries: list[tuple[int, Any]] = list(bodies(bundle))
    assert replay.replay(entries, known).differences == []

    def told(change: Any, kind: str) -> list[str]:
        """What a replay says of a log in which the entries of a kind were changed."""
        changed = [(i, change(b) if b["kind"] == kind else b) for i, b in entries]
        return [d.what for d in replay.replay(changed, known).differences]

    unsigned = told(lambda b: {k: v for k, v in b.items() if k != "signed"}, "bid")
    assert len(unsigned) == 1
    assert unsigned[0].startswith("bid of ")
    dearer = told(lambda b: {**b, "act": {**b["act"], "price_fen": "860000"}}, "bid")
    assert "signature" in dearer
    larger = told(lambda b: {**b, "act": {**b["act"], "amount_fen": "900001"}}, "withdrawn")
    assert any(what.startswith("order of ") for what in larger)
    no_key = [(i, b) for i, b in entries if b["kind"] != "signing_key_added"]
    assert any(d.what == "signature" for d in replay.replay(no_key, known).differences)
    erased = {c: text for c, text in known.items() if '"signature"' not in text}
    assert replay.replay(entries, erased).differences == []
    assert replay.replay(entries, erased).not_judged == 1


@given(
    st.integers(1, 10**12),
    st.none() | st.integers(0, 10**12),
    st.none() | st.integers(0, 10**12),
    st.booleans(),
)
def test_an_order_is_beyond_exactly_where_a_limit_says_so(
    amount: int, sign_above: int | None, limit: int | None, signed: bool
) -> None:
    why = controls.beyond(amount, sign_above, limit, signed=signed)
    assert (why == "above_limit") == (limit is not None and amount > limit)
    if why == "unsigned":
        assert not signed
        assert sign_above is not None
        assert amount > sign_above
    if why is not None:
        problem = controls.refused_order("order.x", amount, why).problem()
        assert problem["rule"]
        assert problem["remedy"]


def test_an_act_is_the_same_however_it_was_signed() -> None:
    plain = money.Withdraw(5)
    assert replace(plain, signed=None).digest() == plain.digest()
    assert money.Withdraw(6).digest() != plain.digest()
