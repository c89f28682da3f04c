"""One identifier, one act: what happens when requests are sent again, doubled, or confused."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from exchange.client import Done, Forbidden, Refused, Unprocessable
from tests.stories.conftest import INCREMENT_FEN, START_FEN, Department, Venue


def test_the_same_request_gets_the_first_answer_again_and_is_marked(venue: Venue) -> None:
    member = venue.admit("buyer")
    slip: dict[str, Any] = {
        "party": member.id,
        "amount_fen": 500,
        "bank_reference": "slip-1",
        "identifier": "top-up-1",
    }
    first = venue.bank.client.top_up(**slip)
    again = venue.bank.client.top_up(**slip)
    assert (first.repeated, again.repeated) == (False, True)
    assert again.receipt == first.receipt
    assert member.client.me().available_fen == 500
    with pytest.raises(Unprocessable) as confused:
        venue.bank.client.top_up(**{**slip, "amount_fen": 501})
    assert confused.value.code == "request.identifier_reused"
    assert not isinstance(confused.value, Refused)  # nothing is logged: the first answer stands
    assert member.client.me().available_fen == 500


def test_two_requests_at_once_under_one_identifier_are_one(venue: Venue, weather: Department) -> None:
    owner = venue.admit("supplier", people=2)
    lot = venue.open_lot(owner, venue.registered_asset(owner, weather))
    bidder = venue.admit("buyer", fen=50_000_00)
    bidder.client.join_lot(lot)
    barrier = threading.Barrier(8)
    answers: dict[str, list[Done]] = {f"bid-{n}": [] for n in range(5)}

    def bid_five_times() -> None:
        for n, (identifier, given) in enumerate(answers.items()):
            barrier.wait()
            given.append(bidder.client.place_bid(lot, START_FEN + n * INCREMENT_FEN, identifier))

    threads = [threading.Thread(target=bid_five_times) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for given in answers.values():
        assert len({answer.index for answer in given}) == 1
        assert sorted(answer.repeated for answer in given) == [False] + [True] * 7
    assert len(bidder.client.bids(lot)) == 5


def test_a_refusal_is_repeated_like_any_other_answer(venue: Venue, weather: Department) -> None:
    owner = venue.admit("supplier", people=2)
    lot = venue.open_lot(owner, venue.registered_asset(owner, weather))
    bidder = venue.admit("buyer", fen=50_000_00)
    bidder.client.join_lot(lot)
    refusals = []
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            bidder.client.place_bid(lot, START_FEN - 1, "too-low")
        refusals.append(refused.value.done)
    assert refusals[0].receipt == refusals[1].receipt
    assert [done.repeated for done in refusals] == [False, True]
    found = bidder.client.lookup("too-low")
    assert found is not None
    assert found.reason is not None
    assert found.reason["code"] == "bid.below_start"
    assert bidder.client.lookup("never-sent") is None


def test_bids_that_are_sent_together_are_answered_and_proven_one_by_one(
    venue: Venue, weather: Department
) -> None:
    owner = venue.admit("supplier", people=2)
    lot = venue.open_lot(owner, venue.registered_asset(owner, weather))
    bidder = venue.admit("buyer", fen=50_000_00)
    (stranger,) = bidder.client.place_bids(lot, [(START_FEN, "too-early")])
    assert isinstance(stranger, Forbidden)
    assert bidder.client.lookup("too-early") is None
    bidder.client.join_lot(lot)
    told = bidder.client.dry_run_bid(lot, START_FEN)
    assert (told.would, told.cost.deposit_held) == ("admitted", True)
    assert told.cost.due_fen == told.cost.total_fen - told.cost.deposit_fen
    prices = [(START_FEN, "one"), (START_FEN - 1, "two"), (START_FEN + INCREMENT_FEN, None)]
    first, refused, last = bidder.client.place_bids(lot, prices)
    assert isinstance(first, Done)
    assert isinstance(refused, Refused)
    assert isinstance(last, Done)
    assert [first.index + n for n in range(3)] == [first.index, refused.done.index, last.index]
    assert refused.code == "bid.not_higher"
    found = bidder.client.lookup("two")
    assert found is not None
    assert found.receipt == refused.receipt
    assert bidder.client.lot(lot).standing_price_fen == START_FEN + INCREMENT_FEN
    assert bidder.client.place_bids(lot, prices[:2])[0].receipt == first.receipt  # type: ignore[union-attr]
