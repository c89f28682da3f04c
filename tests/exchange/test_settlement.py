"""What a price becomes: exact parts, none lost, nobody overdrawn by it, and nothing without everything."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import auctions, parties, rulebook, sales, settlement
from exchange.acts import CLOCK, Caller
from exchange.errors import Conflict
from exchange.money import FEES, TAX
from exchange.replay import replay
from exchange.sales import Buy
from exchange.settlement import Shares, chain, split
from tests.exchange.conftest import House
from tests.exchange.floor import DAY_US, START_FEN, Floor, agreement, exclusive, licence, operator

RULES = rulebook.load("cn-venue")
HOLDERS = (("a", 490_000), ("b", 180_000), ("c", 165_000), ("d", 165_000))


def test_one_yuan_and_a_fen_is_split_exactly_among_four_holders() -> None:
    parts = split(101, RULES, Shares(999_999, HOLDERS))
    # 101 x 6/106 = 5.72; of 95 net the fee of 2 leaves 93, of which 49/18/16.5/16.5 %: 45.57, 16.74, 15.345, 15.345.
    assert (parts.tax_fen, parts.seller_fee_fen, parts.buyer_fee_fen) == (6, 2, 1)
    assert parts.holders_fen == (("a", 46), ("b", 17), ("c", 15), ("d", 15))
    assert sum(fen for _, fen in parts.holders_fen) == 93
    whole = split(106 * 101, RULES, Shares(500_000, HOLDERS))
    assert whole.tax_fen == 6 * 101
    assert [fen for _, fen in whole.holders_fen] == [2475, 909, 833, 833]


def test_a_pool_of_one_yuan_and_a_fen_goes_49_18_16_5_and_16_5_by_largest_remainder() -> None:
    # A price whose net is 202 fen, half of it the operator's: 101 fen among the four.
    parts = split(214, RULES, Shares(500_000, HOLDERS))
    assert parts.tax_fen == 12
    # 49.49, 18.18, 16.665, 16.665: the two fen that remain go to the two largest remainders.
    assert [fen for _, fen in parts.holders_fen] == [49, 18, 17, 17]


def test_a_price_of_nothing_becomes_nothing() -> None:
    parts = split(0, RULES, Shares(300_000, HOLDERS))
    assert (parts.tax_fen, parts.buyer_fee_fen, parts.seller_fee_fen) == (0, 0, 0)
    assert all(fen == 0 for _, fen in parts.holders_fen)


shares = st.integers(0, 999_999).flatmap(
    lambda ppm: st.lists(st.integers(1, 10**6), min_size=1, max_size=6).map(
        lambda weights: Shares(ppm, tuple((f"h{n}", part) for n, part in enumerate(millionths(weights))))
    )
)


def millionths(weights: list[int]) -> list[int]:
    """Parts of a million in about these proportions."""
    parts = [max(1, 1_000_000 * w // sum(weights)) for w in weights]
    parts[0] += 1_000_000 - sum(parts)
    return parts


@given(st.integers(0, 2**53), st.none() | shares)
def test_no_fen_is_lost_or_made_and_no_seller_pays_for_having_sold(price: int, of: Shares | None) -> None:
    parts = split(price, RULES, of)
    assert abs(parts.tax_fen - Fraction(price * 6, 106)) <= Fraction(1, 2)
    assert abs(parts.buyer_fee_fen - Fraction(price, 100)) <= Fraction(1, 2)
    assert abs(parts.seller_fee_fen - Fraction(price * 15, 1000)) <= Fraction(1, 2)
    pool = sum(fen for _, fen in parts.holders_fen)
    seller = price - parts.tax_fen - parts.seller_fee_fen - pool
    assert seller >= 0
    if of is not None:
        agreed = (price - parts.tax_fen) * of.operator_ppm // 1_000_000
        assert pool == min(agreed, price - parts.tax_fen - parts.seller_fee_fen)
        for (_, fen), (_, ppm) in zip(parts.holders_fen, of.holders, strict=True):
            assert abs(fen - Fraction(pool * ppm, 1_000_000)) < 1
    moved = {"buyer": 0, "seller": 0}
    transfers = chain("t", parts, "buyer", "seller", None) if price else []
    for transfer in transfers:
        assert transfer.amount > 0
        moved[transfer.debit] = moved.get(transfer.debit, 0) - transfer.amount
        moved[transfer.credit] = moved.get(transfer.credit, 0) + transfer.amount
    assert sum(moved.values()) == 0
    assert (moved["buyer"], moved["seller"]) == (-(price + parts.buyer_fee_fen), seller)
    assert [t.linked for t in transfers] == [True] * (len(transfers) - 1) + [False] * bool(transfers)
    assert len({t.id for t in transfers}) == len(transfers)


@pytest.fixture
async def floor(house: House) -> Floor:
    return await Floor.open(house)


async def sound(floor: Floor) -> None:
    market = replay(await floor.bodies(), await floor.openings())
    assert market.differences == []


@pytest.mark.anyio
async def test_price_fees_tax_and_shares_reach_their_accounts_in_one_chain(floor: Floor) -> None:
    house = floor.house
    await house.act(parties.agree_operation, agreement(floor.operator.party, 300_000), floor.seller)
    listing = await floor.listing(licence(1_060_000), await floor.asset(operator=floor.operator.party))
    before = await floor.balances()
    sale = await house.act(sales.buy, Buy(listing, 1), floor.buyers[0])
    after = await floor.balances()
    moved = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    dividends = [row[0] for row in await floor.rows("SELECT account FROM shareholding ORDER BY position")]
    account = dict(await floor.rows("SELECT id, account FROM party"))
    assert moved == {
        account[floor.buyers[0].party]: -1_070_600,
        account[floor.seller.party]: 1_060_000 - 60_000 - 15_900 - 300_000,
        FEES: 10_600 + 15_900,
        TAX: 60_000,
        dividends[0]: 153_000,
        dividends[1]: 147_000,
    }
    assert sale["voucher"]["split"] == {
        "buyer_fee_fen": "10600", "seller_fee_fen": "15900", "shares_fen": ["153000", "147000"], "tax_fen": "60000",
    }  # fmt: skip
    await sound(floor)


@pytest.mark.anyio
async def test_an_undeclared_rest_of_the_operator_blocks_payout_until_then_nothing_is_sold(
    house: House,
) -> None:
    floor = await Floor.open(house)
    partly = await operator(house, (parties.Holder("known", 999_999),))
    await house.act(parties.agree_operation, agreement(partly.party, 300_000), floor.seller)
    asset = await floor.asset(operator=partly.party)
    listing = await floor.listing(licence(100_000), asset)
    before = await floor.balances()
    refusal = await house.act(sales.buy, Buy(listing, 1), floor.buyers[0])
    assert (refusal["state"], refusal["reason"]["code"]) == ("refused", "operator.shares")
    assert await floor.balances() == before
    lot = await floor.lot(asset)
    await floor.join(lot, floor.buyers[0])
    await floor.bid(lot, floor.buyers[0], START_FEN)
    house.now_us += DAY_US
    await house.act(auctions.close_lot, auctions.CloseLot(lot), CLOCK)
    with pytest.raises(Conflict) as blocked:
        await house.act(auctions.settle_lot, auctions.SettleLot(lot), CLOCK)
    assert blocked.value.code == "operator.shares"


@pytest.mark.anyio
async def test_free_use_is_licensed_and_confirmed_without_a_transfer(floor: Floor) -> None:
    listing = await floor.listing(licence(0, licences=2))
    before = await floor.balances()
    sale = await floor.house.act(sales.buy, Buy(listing, 1), floor.buyers[0])
    assert (sale["state"], sale["voucher"]["price_fen"]) == ("settled", "0")
    assert await floor.balances() == before
    await sound(floor)


@pytest.mark.anyio
async def test_an_operator_that_takes_nearly_all_never_overdraws_the_seller(floor: Floor) -> None:
    await floor.house.act(parties.agree_operation, agreement(floor.operator.party, 999_999), floor.seller)
    listing = await floor.listing(licence(101), await floor.asset(operator=floor.operator.party))
    assert (await floor.house.act(sales.buy, Buy(listing, 1), floor.buyers[0]))["state"] == "settled"
    assert await floor.money(floor.seller) == (0, 0)
    await sound(floor)


@pytest.mark.anyio
async def test_a_party_sees_its_own_trades_and_the_regulator_all(floor: Floor) -> None:
    house = floor.house
    mine = await house.act(sales.buy, Buy(await floor.listing(licence(100)), 1), floor.buyers[0])
    other = await house.act(sales.buy, Buy(await floor.listing(exclusive(100)), 1), floor.buyers[1])
    ids = [mine["voucher"]["trade"], other["voucher"]["trade"]]

    async def seen(caller: Caller) -> list[str]:
        return [view["trade"] for view in await house.gate.read(settlement.trades, caller)]

    assert await seen(floor.buyers[0]) == ids[:1]
    assert await seen(floor.buyers[1]) == ids[1:]
    assert await seen(floor.seller) == ids[::-1]
    assert await seen(floor.regulator) == ids[::-1]
    assert await seen(floor.holder) == []
