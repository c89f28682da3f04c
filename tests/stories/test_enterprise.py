"""The enterprise's story: join, bid, lose, win, pay, download, and check all of it without the exchange."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from exchange.client import ClientError, Conflict, Forbidden, NotFound, Refused
from exchange.client.contracts import verify_contract
from exchange.messages.market import HolderMessage, OfferMessage
from ledger.checkpoint import Verifier
from ledger.entries import receipt_to_json
from pricing.auctions import Admitted, Bid, admit, open_standing
from tests.stories.conftest import (
    DEPOSIT_FEN,
    HOUR_US,
    INCREMENT_FEN,
    START_FEN,
    Department,
    Venue,
    wait_until,
)

VERIFY = """
import json, sys
from ledger.checkpoint import Verifier
from ledger.entries import receipt_from_json, verify_receipt
key, *receipts = json.load(sys.stdin)
for receipt in receipts:
    verify_receipt(receipt_from_json(receipt), [Verifier.parse(key)])
print(len(receipts), "hold")
"""


def test_two_enterprises_bid_one_wins_pays_and_downloads(
    venue: Venue, weather: Department, tmp_path: Path
) -> None:
    owner = venue.admit("supplier", people=2)
    operator = venue.operator(
        owner,
        200_000,
        HolderMessage(name="city", share_ppm=490_000),
        HolderMessage(name="port", share_ppm=180_000),
        HolderMessage(name="bank", share_ppm=165_000),
        HolderMessage(name="university", share_ppm=165_000),
    )
    north, south = (venue.admit("buyer", fen=50_000_00) for _ in range(2))
    lot = venue.open_lot(owner, venue.registered_asset(owner, weather, operator))

    # Without a deposit nobody bids; with one, the bidder is a code.
    with pytest.raises(Forbidden, match="not admitted"):
        north.client.place_bid(lot, START_FEN)
    joined = [member.client.join_lot(lot) for member in (north, south)]
    codes = [done.outcome["code"] for done in joined]
    assert north.client.me().held_fen == DEPOSIT_FEN
    with pytest.raises(Conflict):
        north.client.join_lot(lot)

    bids = [north.client.place_bid(lot, START_FEN)]
    with pytest.raises(Refused) as same:
        south.client.place_bid(lot, START_FEN)
    assert same.value.code == "bid.not_higher"
    bids.append(south.client.place_bid(lot, START_FEN + INCREMENT_FEN))
    turn = north.client.bid_up_to(lot, START_FEN + 5 * INCREMENT_FEN)
    assert [done.outcome["price_fen"] for done in turn.bids] == [str(START_FEN + 2 * INCREMENT_FEN)]
    view = venue.client().lot(lot)
    assert (view.standing_code, view.bids) == (codes[0], 3)
    assert north.id not in view.model_dump_json()

    # The public book is what anybody can decide again.
    standing = open_standing(view.rules())
    for bid in venue.client().bids(lot):
        decision = admit(view.rules(), standing, Bid(bid.code, "b", bid.price_fen, bid.index, bid.time_us))
        assert isinstance(decision, Admitted) == (bid.reason is None)
        standing = decision.standing if isinstance(decision, Admitted) else standing
    assert (standing.price_fen, standing.code) == (view.standing_price_fen, view.standing_code)

    venue.close(lot)
    with pytest.raises(Refused) as late:
        south.client.place_bid(lot, START_FEN + 9 * INCREMENT_FEN)
    assert late.value.code == "bid.closed"

    # The loser has all of it back; the winner paid price and fee, and holds a licence.
    price_fen = START_FEN + 2 * INCREMENT_FEN
    wait_until(lambda: south.client.me().held_fen == 0, "the loser's deposit to come back")
    assert (south.client.me().available_fen, south.client.me().held_fen) == (50_000_00, 0)
    (trade,) = north.client.trades()
    assert (trade.price_fen, trade.lot, trade.buyer) == (price_fen, lot, north.id)
    assert north.client.me().available_fen == 50_000_00 - price_fen - trade.split.buyer_fee_fen
    assert north.client.me().held_fen == 0
    assert south.client.trades() == []
    rest = price_fen - trade.split.seller_fee_fen - trade.split.tax_fen - sum(trade.split.shares_fen)
    assert owner.client.me().available_fen == rest
    (licence,) = north.client.licences()

    # Nothing is delivered before both sides signed the contract, each with a key that only it has.
    with pytest.raises(Conflict, match="contract"):
        north.client.link(licence.id)
    contract = north.client.contract(trade.trade)
    assert trade.contract is not None
    assert (contract.digest, contract.values["price_fen"]) == (trade.contract.digest, str(price_fen))
    for party in (north, owner):
        with pytest.raises(ClientError, match="no signing key"):
            party.client.sign_contract(trade.trade)
        party.client.add_signing_key("contracts")
        signed = party.client.sign_contract(trade.trade)
        assert signed.outcome["state"] == ("signed" if party is owner else "drawn")
    with pytest.raises(NotFound):
        south.client.contract(trade.trade)
    agreed = verify_contract(
        orjson.loads(north.client.contract_document(trade.trade).model_dump_json()),
        [Verifier.parse(venue.vkey)],
    )
    assert agreed.signed
    assert [one.party for one in agreed.signatures] == [owner.id, north.id]

    # The product arrives as it was certified, by a link that works without a key until it expires.
    link = north.client.link(licence.id, 600)
    target = tmp_path / "weather.parquet"
    venue.client().download(link, target)
    assert hashlib.sha256(target.read_bytes()).hexdigest() == link.product_digest
    with pytest.raises(NotFound):
        south.client.link(licence.id)
    venue.administrator.move_clock(HOUR_US)
    with pytest.raises(Forbidden, match="expired"):
        north.client.download(link, tmp_path / "again.parquet")

    # All receipts hold for anybody who has the exchange's key: another process, no network, no exchange.
    voucher = north.client.receipt(trade.index)
    venue.server.stop()
    receipts = [*joined, *bids, *turn.bids, same.value.done, late.value.done, link.done]
    sent = orjson.dumps(
        [venue.vkey, receipt_to_json(voucher), *(receipt_to_json(done.receipt) for done in receipts)]
    )
    judged = subprocess.run([sys.executable, "-c", VERIFY], input=sent, capture_output=True, check=True)
    assert judged.stdout.decode().strip() == f"{len(receipts) + 1} hold"


def test_who_cannot_pay_is_refused_on_the_record(venue: Venue, weather: Department) -> None:
    owner = venue.admit("supplier", people=2)
    asset = venue.registered_asset(owner, weather)
    poor = venue.admit("buyer", fen=DEPOSIT_FEN - 1)
    listing = owner.client.offer_fixed_price(
        asset, OfferMessage(grant="licence", licences=2, term_days=30, price_fen=DEPOSIT_FEN)
    ).outcome["id"]
    with pytest.raises(Refused) as broke:
        poor.client.buy(listing)
    assert broke.value.code.startswith("transfer.")
    assert poor.client.me().available_fen == DEPOSIT_FEN - 1
    with pytest.raises(Refused, match="2 of 2 licences are left"):
        poor.client.buy(listing, 3)

    lot = venue.open_lot(owner, asset)
    with pytest.raises(Refused) as overdrawn:
        poor.client.join_lot(lot)
    assert overdrawn.value.remedy
    assert poor.client.me().held_fen == 0

    venue.bank.client.top_up(poor.id, 10_000_00, "slip-2")
    bought = poor.client.buy(listing, 2)
    assert bought.outcome["voucher"]["price_fen"] == str(2 * DEPOSIT_FEN)
    with pytest.raises(Refused, match="0 of 2 licences are left"):
        poor.client.buy(listing)
    with pytest.raises(Conflict):
        poor.client.withdraw(10_000_00)  # part of it was spent
    free_fen = poor.client.me().available_fen
    assert free_fen is not None
    poor.client.withdraw(free_fen)
    assert poor.client.me().available_fen == 0


def test_a_bid_in_the_last_minutes_moves_the_close(venue: Venue, weather: Department) -> None:
    owner = venue.admit("supplier", people=2)
    lot = venue.open_lot(owner, venue.registered_asset(owner, weather))
    bidder = venue.admit("buyer", fen=50_000_00)
    bidder.client.join_lot(lot)
    view = bidder.client.lot(lot)
    venue.administrator.move_clock(view.closes_us - venue.now_us() - view.soft_close_window_us // 2)
    done = bidder.client.place_bid(lot, START_FEN)
    moved_us = int(done.outcome["closes_us"])
    assert moved_us > view.closes_us
    assert bidder.client.lot(lot).closes_us == moved_us
    venue.administrator.move_clock(view.soft_close_window_us // 2 + 1)
    bidder.client.place_bid(lot, START_FEN + INCREMENT_FEN)  # past the announced close, before the moved one
    venue.administrator.move_clock(2 * view.soft_close_extension_us)
    wait_until(lambda: bidder.client.lot(lot).settled, "the lot to be settled")
    assert bidder.client.lot(lot).winner_code == bidder.client.lot(lot).standing_code


def test_who_is_close_to_the_data_does_not_bid_for_it(venue: Venue, weather: Department) -> None:
    holder = venue.admit("buyer", fen=50_000_00)
    operator = venue.admit(
        "operator", holders=[HolderMessage(name="holder", share_ppm=1_000_000, party=holder.id)]
    )
    owner = venue.admit("supplier", "buyer", people=2, fen=50_000_00)
    venue.agree(owner, operator, 100_000)
    lot = venue.open_lot(owner, venue.registered_asset(owner, weather, operator.id))
    for member, word, path in ((owner, "the seller", []), (holder, "holds 100 % of", [operator.id])):
        with pytest.raises(Refused, match=word) as related:
            member.client.join_lot(lot)
        assert related.value.code == "bidder.related"
        assert [step["held"] for step in related.value.path] == path
        assert member.client.me().held_fen == 0
