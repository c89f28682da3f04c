"""Menus: a way around the prices is found where there is one, is true, and no row is ever paid twice."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pricing.errors import TariffError
from pricing.tariff import Dimension, Menu, Package, Rows, arbitrage, buy


def menu(*packages: tuple[int, int], dimension: Dimension = Dimension.ROWS) -> Menu:
    return Menu((dimension,), tuple(Package((amount,), price) for amount, price in packages))


MENUS = st.dictionaries(st.integers(1, 12), st.integers(0, 30), min_size=1, max_size=5).map(
    lambda prices: menu(*prices.items())
)


def cheapest_basket(of: Menu, amount: int) -> int:
    """The least that any basket of packages that covers the amount costs, by trying baskets of growing size."""
    best = 10**9
    most = max(package.amounts[0] for package in of.packages)
    for count in range(1, amount + 1):
        for basket in combinations_with_replacement(of.packages, count):
            if sum(package.amounts[0] for package in basket) >= amount:
                best = min(best, sum(package.price_fen for package in basket))
        if count * most >= amount and count >= 4:
            break
    return best


@given(MENUS)
def test_a_menu_has_arbitrage_just_where_a_basket_is_cheaper(of: Menu) -> None:
    way = arbitrage(of)
    most = max(package.amounts[0] for package in of.packages)
    cheaper = False
    for amount in range(1, most + 1):
        listed = of.cheapest((amount,))
        assert listed is not None
        cheaper |= cheapest_basket(of, amount) < listed.price_fen
    dominated = any(
        (cover := of.cheapest(package.amounts)) is not None and cover.price_fen < package.price_fen
        for package in of.packages
    )
    assert (way is not None) is (cheaper or dominated)
    if way is not None:
        check(way)


def check(way: Any) -> None:
    """A counterexample is true: the basket covers what the menu asks more for."""
    assert way.basket_fen < way.price_fen
    if way.along is None:
        assert way.basket[0].covers(way.amounts)
    else:
        axis = way.menu.dimensions.index(way.along)
        for at, wanted in enumerate(way.amounts):
            held = [package.amounts[at] for package in way.basket]
            assert (sum(held) if at == axis else min(held)) >= wanted
    for package in way.menu.packages:
        if package.amounts == way.amounts:
            assert package.price_fen >= way.price_fen or way.along is None
    assert way.words("zh") != way.words("en")


@given(
    st.dictionaries(
        st.tuples(st.integers(1, 4), st.integers(1, 4)), st.integers(1, 20), min_size=1, max_size=5
    )
)
def test_a_way_around_a_menu_of_rows_and_columns_is_true_and_none_is_missed_among_pairs(
    prices: dict[tuple[int, int], int],
) -> None:
    of = Menu((Dimension.ROWS, Dimension.COLUMNS), tuple(Package(a, p) for a, p in prices.items()))
    way = arbitrage(of)
    found = False
    for rows in range(1, 5):
        for columns in range(1, 5):
            listed = of.cheapest((rows, columns))
            if listed is None:
                continue
            for first, second in combinations_with_replacement(of.packages, 2):
                covers = (
                    first.amounts[0] + second.amounts[0] >= rows
                    and min(first.amounts[1], second.amounts[1]) >= columns
                ) or (
                    first.amounts[1] + second.amounts[1] >= columns
                    and min(first.amounts[0], second.amounts[0]) >= rows
                )
                found |= covers and first.price_fen + second.price_fen < listed.price_fen
    found |= any(of.cheapest(p.amounts).price_fen < p.price_fen for p in of.packages)  # type: ignore[union-attr]  # it covers itself
    assert (way is not None) is found
    if way is not None:
        check(way)


def test_a_counterexample_says_what_to_buy_instead() -> None:
    """Lin and Kifer (2014): a price that grows faster than the amount is cut into pieces."""
    way = arbitrage(menu((100, 1_000), (200, 2_500), (400, 2_600), dimension=Dimension.CALLS))
    assert way is not None
    assert way.words("en") == "200 calls: CNY 25.00 on the menu, CNY 20.00 as 100 calls + 100 calls"
    assert "200 次调用 标价 25.00 元" in way.words("zh")
    dearer = arbitrage(menu((100, 1_000), (200, 900)))
    assert dearer is not None
    assert dearer.along is None
    between = arbitrage(menu((100, 1_000), (200, 1_900), (400, 3_500)))
    assert between is not None
    assert between.amounts == (300,), "whoever wants 300 is not to pay for 400"
    assert arbitrage(menu((100, 1_000), (200, 1_900), (400, 2_900))) is None


def test_whoever_wants_less_takes_the_cheapest_that_covers_it() -> None:
    of = menu((10, 5), (20, 5), (30, 9))
    assert of.cheapest((7,)) == Package((20,), 5)
    assert of.cheapest((21,)) == Package((30,), 9)
    assert of.cheapest((31,)) is None


@given(
    MENUS,
    st.lists(
        st.lists(st.tuples(st.integers(0, 11), st.integers(1, 4)), min_size=1, max_size=3),
        min_size=1,
        max_size=4,
    ),
)
def test_however_purchases_are_cut_the_same_rows_cost_the_same_and_none_twice(
    of: Menu, orders: list[list[tuple[int, int]]]
) -> None:
    assume(arbitrage(of) is None)
    wanted = [Rows.of((start, start + width) for start, width in order) for order in orders]
    together = Rows()
    for rows in wanted:
        together |= rows
    assume(of.cheapest((len(together),)) is not None)
    owned, paid, new = Rows(), 0, 0
    for rows in wanted:
        purchase = buy(of, owned, rows)
        assert purchase.price_fen >= 0
        owned, paid, new = purchase.owned, paid + purchase.price_fen, new + purchase.new_rows
        again = buy(of, owned, rows)
        assert (again.price_fen, again.new_rows) == (0, 0)
    assert owned == together
    assert new == len(together) == len({row for start, stop in together.ranges for row in range(start, stop)})
    assert paid == buy(of, Rows(), together).price_fen


def test_ranges_that_touch_or_overlap_become_one() -> None:
    assert Rows.of([(5, 7), (0, 3), (3, 5), (9, 10), (1, 2)]).ranges == ((0, 7), (9, 10))


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Menu((), (Package((), 1),)), "dimensions"),
        (lambda: Menu((Dimension.ROWS, Dimension.ROWS), (Package((1, 1), 1),)), "dimensions"),
        (lambda: Menu((Dimension.ROWS,), ()), "packages"),
        (lambda: menu(*((n, n) for n in range(1, 1_002))), "packages"),
        (lambda: menu((1, 1), (1, 2)), "packages"),
        (lambda: menu((0, 1)), "packages[0].rows"),
        (lambda: menu((1, -1)), "packages[0].price_fen"),
        (lambda: menu((1, float("nan"))), "packages[0].price_fen"),  # type: ignore[arg-type]
        (lambda: Menu((Dimension.ROWS,), (Package((1, 2), 1),)), "packages[0].amounts"),
        (lambda: Rows.of([(3, 3)]), "rows.stop"),
        (lambda: Rows.of([(-1, 3)]), "rows.start"),
        (lambda: buy(menu((1, 1), dimension=Dimension.CALLS), Rows(), Rows()), "dimensions"),
        (lambda: buy(menu((1, 2), (2, 5)), Rows(), Rows()), "packages"),
        (lambda: buy(menu((1, 2)), Rows(), Rows.of([(0, 2)])), "wanted"),
    ],
)
def test_nonsense_is_refused_by_name(make: Any, field: str) -> None:
    with pytest.raises(TariffError) as refused:
        make()
    assert refused.value.field == field
    assert refused.value.remedy
