"""The fixed-price sale: counted licences, one price for all, nothing above the ceiling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.errors import SaleError
from pricing.sale import FixedPrice, Refused, Shortage, Sold, purchase

OFFER = FixedPrice(unit_price_fen=1_000_000, licences=3, ceiling_fen=1_000_000)


def test_licences_are_sold_until_none_is_left() -> None:
    assert purchase(OFFER, 0, 2) == Sold(quantity=2, amount_fen=2_000_000, left=1)
    assert purchase(OFFER, 2, 2) == Refused(Shortage.TOO_FEW_LEFT, 1)
    assert purchase(OFFER, 2, 1) == Sold(quantity=1, amount_fen=1_000_000, left=0)
    assert purchase(OFFER, 3, 1) == Refused(Shortage.SOLD_OUT, 0)


@pytest.mark.parametrize("quantity", [0, -1])
def test_nobody_buys_nothing(quantity: int) -> None:
    assert purchase(OFFER, 0, quantity) == Refused(Shortage.NO_QUANTITY, 3)


def test_public_welfare_uses_the_data_for_nothing() -> None:
    assert purchase(FixedPrice(0, 1), 0, 1) == Sold(1, 0, 0)


@given(
    st.integers(0, 10**9),
    st.integers(1, 20),
    st.lists(st.integers(-1, 8), max_size=12),
)
def test_the_count_is_never_oversold_and_every_licence_costs_the_same(
    unit_price_fen: int, licences: int, orders: list[int]
) -> None:
    offer, sold, paid = FixedPrice(unit_price_fen, licences), 0, 0
    for quantity in orders:
        answer = purchase(offer, sold, quantity)
        if isinstance(answer, Sold):
            sold, paid = sold + answer.quantity, paid + answer.amount_fen
            assert answer.left == licences - sold
        else:
            assert answer.left == licences - sold
            assert quantity < 1 or quantity > answer.left
    assert sold <= licences
    assert paid == sold * unit_price_fen


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ((-1, 1, None), "unit_price_fen"),
        ((1.0, 1, None), "unit_price_fen"),
        ((1, 0, None), "licences"),
        ((2**62, 2, None), "unit_price_fen x licences"),
        ((2, 1, 1), "unit_price_fen"),
        ((2, 1, -1), "ceiling_fen"),
    ],
)
def test_terms_that_cannot_be_are_refused_by_name(terms: tuple[int, int, int | None], field: str) -> None:
    with pytest.raises(SaleError) as refused:
        FixedPrice(*terms)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("sold", "quantity", "field"), [(4, 1, "sold"), (-1, 1, "sold"), (0, 1.5, "quantity")]
)
def test_a_count_that_cannot_be_is_refused_by_name(sold: int, quantity: int, field: str) -> None:
    with pytest.raises(SaleError) as refused:
        purchase(OFFER, sold, quantity)
    assert refused.value.field == field
