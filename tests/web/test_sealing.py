"""The sealing script of the console makes, in a real browser, the very bytes that the SDK makes, and holders open them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
from playwright.sync_api import Page

from pricing.sealed_bids import (
    Committee,
    Context,
    HolderKey,
    Opened,
    SealedBid,
    SealedPrice,
    Unopened,
    check,
    open_bid,
    open_share,
    seal,
)

pytestmark = pytest.mark.browser

SEAL = """async ({ price, bid, committee, chance }) => {
  const { seal } = await import("/static/seal.js");
  const { unhex } = await import("/static/proof.js");
  try {
    return await seal(BigInt(price), bid, committee, unhex(chance));
  } catch (error) {
    return error.message;
  }
}"""

PRICES = (1, 9_300_00, 2**53 + 1, 2**63 - 1)
"""The least, a usual one, one that a JavaScript number cannot hold, and the most."""


@pytest.fixture
def sealed_by_page(visit: Callable[..., Page]) -> Callable[..., Any]:
    page = visit("/zh/log")

    def ask(price_fen: int, context: Context, committee: dict[str, Any], chance: bytes) -> Any:
        bid = {"lot": context.lot, "code": context.code, "bid_id": context.bid_id}
        asked = {"price": str(price_fen), "bid": bid, "committee": committee, "chance": chance.hex()}
        return page.evaluate(SEAL, asked)

    return ask


def committee_of(threshold: int, count: int) -> tuple[Committee, list[HolderKey]]:
    keys = [HolderKey.from_seed(bytes([number]) * 32) for number in range(1, count + 1)]
    return Committee(threshold, tuple((f"持钥人 {n}", key.public) for n, key in enumerate(keys, 1))), keys


def shown(committee: Committee) -> dict[str, Any]:
    """The committee as a page has it."""
    return {**committee.to_json(), "threshold": str(committee.threshold)}


def test_the_page_seals_to_the_very_bytes_of_the_sdk(sealed_by_page: Callable[..., Any]) -> None:
    for price_fen, (threshold, count) in zip(PRICES, ((1, 1), (2, 3), (3, 4), (16, 16)), strict=True):
        committee, _ = committee_of(threshold, count)
        context = Context("tdr-1", 'B"7\\招标', f"bid-{count}")
        chance = bytes(range(count, count + 32))
        said = sealed_by_page(price_fen, context, shown(committee), chance)
        assert said == seal(SealedPrice(price_fen), context, committee, chance).to_json()


def test_what_the_page_sealed_is_taken_at_the_door_and_opened_by_any_holders_that_suffice(
    sealed_by_page: Callable[..., Any],
) -> None:
    committee, keys = committee_of(3, 4)
    context = Context("tdr-1", "B7", "bid-1")
    sealed = SealedBid.from_json(sealed_by_page(930_000, context, shown(committee), b"c" * 32))
    check(sealed, context, committee)
    shares = [open_share(sealed, committee, key) for key in keys]
    for chosen in combinations(shares, 3):
        assert open_bid(sealed, committee, chosen) == Opened(SealedPrice(930_000), ())
    assert isinstance(open_bid(sealed, committee, shares[:2]), Unopened)


def test_the_page_seals_no_price_that_is_none_and_for_no_key_that_is_none(
    sealed_by_page: Callable[..., Any],
) -> None:
    committee, _ = committee_of(1, 1)
    context = Context("tdr-1", "B7", "bid-1")
    assert sealed_by_page(0, context, shown(committee), bytes(32)) == "no price"
    assert sealed_by_page(2**63, context, shown(committee), bytes(32)) == "no price"
    small = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"  # a point of order 8
    neutral = "01" + "00" * 31
    for key in (small, neutral):
        named = {**shown(committee), "holders": [{"name": "甲", "public": key}]}
        assert "no point of prime order" in sealed_by_page(1, context, named, bytes(32))
    other = {**shown(committee), "algorithm": "another@1"}
    assert sealed_by_page(1, context, other, bytes(32)) == "another scheme than this one"
