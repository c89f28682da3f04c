"""Negotiation: whose turn it is, until when, and that no price passes a ceiling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.errors import SaleError
from pricing.negotiation import Move, Objection, Side, Standing, objection, put

DAY_US = 86_400_000_000


@given(st.sampled_from(Side), st.sampled_from(Side), st.sampled_from(Move), st.integers(0, 20))
def test_an_offer_is_answered_by_the_other_side_and_withdrawn_by_its_own_until_its_moment(
    maker: Side, mover: Side, move: Move, now: int
) -> None:
    found = objection(Standing(maker, 1, 1, 10), mover, move, now)
    its_turn = (mover is maker) == (move is Move.WITHDRAW)
    late = now >= 10
    assert (found is None) == (its_turn and not late)
    if not its_turn:
        assert found is (Objection.NOT_OWN if move is Move.WITHDRAW else Objection.OWN)
    assert mover.other is not mover
    assert mover.other.other is mover


@pytest.mark.parametrize(
    ("price", "licences", "expires", "field"),
    [
        (100, 1, 1, None),
        (101, 1, 1, "unit_price_fen"),
        (-1, 1, 1, "unit_price_fen"),
        (100, 3, 1, None),
        (100, 4, 1, "licences"),
        (100, 0, 1, "licences"),
        (100, 1, 0, "expires_us"),
        (100, 1, DAY_US, None),
        (100, 1, DAY_US + 1, "expires_us"),
    ],
)
def test_an_offer_is_put_on_the_table_exactly_within_its_bounds(
    price: int, licences: int, expires: int, field: str | None
) -> None:
    def offered() -> Standing:
        return put(
            Side.BUYER, price, licences, expires, offered=3, ceiling_fen=100, now_us=0, open_at_most_us=DAY_US
        )

    if field is None:
        assert offered() == Standing(Side.BUYER, price, licences, expires)
        return
    with pytest.raises(SaleError) as refused:
        offered()
    assert refused.value.field == field
