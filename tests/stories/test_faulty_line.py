"""The enterprise's story on a bad line: answers late, lines cut before the answer, and each bid on the record once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest

from exchange.client import AsyncExchange, Done, Refused, Unknown
from exchange.drill.faults import FaultyLine
from tests.stories.conftest import INCREMENT_FEN, START_FEN, Department, Member, Venue

BIDDERS = 8


async def bid(
    member: Member, url: str, venue: Venue, lot: str, prices: Iterator[int], calls: int
) -> dict[str, Done | None]:
    """What one bidder was told of each bid: its answer, or None where it stayed unknown."""
    told: dict[str, Done | None] = {}
    key = member.client.calls.wire.key  # the same key, on another line
    async with AsyncExchange(url, key, venue.vkey, timeout_s=20) as client:
        for _ in range(calls):
            identifier = client.fresh_identifier()
            try:
                told[identifier] = await client.place_bid(lot, next(prices), identifier)
            except Refused as refused:
                told[identifier] = refused.done
            except Unknown as unknown:
                told[unknown.identifier] = None
        for identifier, done in told.items():
            if done is None:
                told[identifier] = await client.lookup(identifier)
    return told


def bid_on_a_bad_line(venue: Venue, weather: Department, calls: int, seed: int) -> None:
    owner = venue.admit("supplier", people=2)
    lot = venue.open_lot(owner, venue.registered_asset(owner, weather))
    members = [venue.admit("buyer", fen=90_000_000_00) for _ in range(BIDDERS)]
    for member in members:
        member.client.join_lot(lot)
    prices = itertools.count(START_FEN, INCREMENT_FEN)

    async def all_of_them(url: str) -> list[dict[str, Done | None]]:
        return await asyncio.gather(
            *(bid(member, url, venue, lot, prices, calls // BIDDERS) for member in members)
        )

    line: FaultyLine
    with FaultyLine(venue.server.port, seed=seed) as line:
        line.fault, line.part = "reset", 0.1
        told = asyncio.run(all_of_them(f"http://127.0.0.1:{line.port}"))
        assert line.struck >= calls // 40
    answered = {identifier: done for each in told for identifier, done in each.items()}
    assert len(answered) == calls
    book = venue.administrator.bids(lot)
    assert len({row.index for row in book}) == len(book) <= calls
    by_index = {row.index: row.price_fen for row in book}
    stated = {done.index: int(done.outcome["price_fen"]) for done in answered.values() if done is not None}
    # No bid twice, none lost: what the bidders hold receipts of is the book, entry by entry.
    assert stated == by_index
    assert len(stated) == sum(done is not None for done in answered.values())


def test_bids_over_a_line_that_is_cut_before_answers_are_each_on_the_record_once(
    venue: Venue, weather: Department
) -> None:
    bid_on_a_bad_line(venue, weather, 2_000, seed=5)


@pytest.mark.drill
def test_a_hundred_thousand_bids_over_a_bad_line_are_each_on_the_record_once(
    venue: Venue, weather: Department
) -> None:
    bid_on_a_bad_line(venue, weather, 100_000, seed=6)
