"""Menus of packages, and whether somebody could buy cheaper by combining them: by rows, columns, calls, days, volume.

A package offers an amount in each dimension of its menu for one price. Whoever wants less takes the cheapest package
that covers it. A menu is free of arbitrage when it is

    monotone     nothing smaller costs more than something that covers it, and
    subadditive  no two packages that together cover an amount cost less than the one that covers it alone

(Koutris et al., Query-Based Data Pricing, PODS 2012; Lin and Kifer, VLDB 2014). Two packages add up along one dimension
and share the others: rows behind rows of the same columns, columns beside columns of the same rows. The check is exact
for packages that add up so, however many, though it looks at pairs alone: what lies between two packages costs what the
cheapest that covers it does, so of many that save something two already do. It takes the square of the packages in one
dimension, at worst the fourth power in several. Not looked for are five or more packages that mesh like the vanes of a
windmill, which no cut from edge to edge takes apart: to cover a rectangle by rectangles at the least cost is a search
that grows exponentially, and a menu of a single dimension has none of it.

Whoever bought before pays for new rows only: the price of all rows together, less that of the rows owned. So however
the purchases are cut, the same rows cost the same in the end, and no row is paid twice.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import accumulate
from typing import Final

from pricing.errors import TariffError
from pricing.money import Language, fen_in_words, require_whole

PACKAGES_LIMIT: Final = 1_000
"""Of a menu in one dimension."""
SEVERAL_LIMIT: Final = 100
"""Of a menu in several."""


class Dimension(StrEnum):
    """What a package counts."""

    ROWS = "rows"
    COLUMNS = "columns"
    CALLS = "calls"
    DAYS = "days"
    BYTES = "bytes"

    def words(self, language: Language) -> str:
        zh = {"rows": "行", "columns": "列", "calls": "次调用", "days": "天", "bytes": "字节"}[self.value]
        return zh if language == "zh" else self.value


@dataclass(frozen=True, slots=True)
class Package:
    """An amount in each dimension of the menu, and its price."""

    amounts: tuple[int, ...]
    price_fen: int

    def covers(self, amounts: Sequence[int]) -> bool:
        """Whether it holds at least these amounts."""
        return all(own >= wanted for own, wanted in zip(self.amounts, amounts, strict=True))


@dataclass(frozen=True, slots=True)
class Menu:
    """Packages in the same dimensions. Prices may be zero; amounts are at least one; no package is listed twice."""

    dimensions: tuple[Dimension, ...]
    packages: tuple[Package, ...]

    def __post_init__(self) -> None:
        if not self.dimensions or len(set(self.dimensions)) != len(self.dimensions):
            raise TariffError(
                field="dimensions", rule="one or more, each once", remedy="name what packages count"
            )
        limit = PACKAGES_LIMIT if len(self.dimensions) == 1 else SEVERAL_LIMIT
        if not 1 <= len(self.packages) <= limit:
            raise TariffError(
                field="packages",
                rule=f"1 to {limit} in {len(self.dimensions)} dimensions, not {len(self.packages)}",
                remedy="list the packages, fewer where need be",
            )
        for position, package in enumerate(self.packages):
            field = f"packages[{position}]"
            if len(package.amounts) != len(self.dimensions):
                raise TariffError(
                    field=f"{field}.amounts",
                    rule=f"one for each of {', '.join(self.dimensions)}",
                    remedy="give the amount in each dimension",
                )
            for dimension, amount in zip(self.dimensions, package.amounts, strict=True):
                require_whole(amount, f"{field}.{dimension}", least=1, error=TariffError)
            require_whole(package.price_fen, f"{field}.price_fen", error=TariffError)
        if len({package.amounts for package in self.packages}) != len(self.packages):
            raise TariffError(
                field="packages",
                rule="the same amounts are offered once",
                remedy="keep the cheaper of the two",
            )

    def cheapest(self, amounts: Sequence[int]) -> Package | None:
        """The cheapest package that covers these amounts, of equal ones the larger; None where none does."""
        covering = [package for package in self.packages if package.covers(amounts)]
        return min(covering, key=lambda p: (p.price_fen, [-a for a in p.amounts]), default=None)

    def amounts_in_words(self, amounts: Sequence[int], language: Language) -> str:
        """ "1,000 rows x 20 columns" """
        return " x ".join(
            f"{amount:,} {dimension.words(language)}"
            for dimension, amount in zip(self.dimensions, amounts, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Arbitrage:
    """A true counterexample: `basket` covers `amounts` for less than the menu asks for them."""

    menu: Menu
    amounts: tuple[int, ...]
    price_fen: int
    basket: tuple[Package, ...]
    along: Dimension | None
    """How the packages of the basket add up; None where it is one package."""

    @property
    def basket_fen(self) -> int:
        return sum(package.price_fen for package in self.basket)

    def words(self, language: Language) -> str:
        """What to buy instead."""
        wanted = self.menu.amounts_in_words(self.amounts, language)
        parts = " + ".join(self.menu.amounts_in_words(p.amounts, language) for p in self.basket)
        price, cost = fen_in_words(self.price_fen, language), fen_in_words(self.basket_fen, language)
        if language == "zh":
            return f"{wanted} 标价 {price},而购买 {parts} 只需 {cost}"
        return f"{wanted}: {price} on the menu, {cost} as {parts}"


def arbitrage(menu: Menu) -> Arbitrage | None:
    """The way around the menu that saves most of all single packages and pairs, or None where there is none."""
    return max(_ways(menu), key=lambda way: (way.price_fen - way.basket_fen, way.amounts), default=None)


def _ways(menu: Menu) -> Iterator[Arbitrage]:
    price_of = _least_prices(menu)
    for package in menu.packages:
        if price_of(package.amounts) != package.price_fen:
            cover = menu.cheapest(package.amounts)
            assert cover is not None
            yield Arbitrage(menu, package.amounts, package.price_fen, (cover,), None)
    # What packages hold together matters up to the largest amounts that are sold as one.
    largest = [p for p in menu.packages if not any(q != p and q.covers(p.amounts) for q in menu.packages)]
    rising = sorted(menu.packages, key=lambda package: (package.price_fen, package.amounts))
    # Where two cost as much as the dearest, nothing costs more; so neither do dearer ones together.
    dearest_fen, prices = rising[-1].price_fen, [package.price_fen for package in rising]
    for n, first in enumerate(rising):
        for second in rising[n : bisect_left(prices, dearest_fen - first.price_fen, n)]:
            cost = first.price_fen + second.price_fen
            for axis, dimension in enumerate(menu.dimensions):
                together = [
                    a + b if at == axis else min(a, b)
                    for at, (a, b) in enumerate(zip(first.amounts, second.amounts, strict=True))
                ]
                for one in largest:
                    amounts = tuple(map(min, together, one.amounts))
                    price = price_of(amounts)
                    if price > cost:
                        yield Arbitrage(menu, amounts, price, (first, second), dimension)


def _least_prices(menu: Menu) -> Callable[[tuple[int, ...]], int]:
    """What the menu asks for any amounts that one of its packages covers."""
    if len(menu.dimensions) > 1:
        cheapest_first = sorted(menu.packages, key=lambda package: package.price_fen)
        return cache(lambda amounts: next(p.price_fen for p in cheapest_first if p.covers(amounts)))
    rising = sorted(menu.packages, key=lambda package: package.amounts)
    sizes = [package.amounts[0] for package in rising]
    least = list(accumulate((package.price_fen for package in reversed(rising)), min))[::-1]
    return lambda amounts: least[bisect_left(sizes, amounts[0])]


# --- what was bought before ---


@dataclass(frozen=True, slots=True)
class Rows:
    """A set of rows of one table, as ranges [start, stop) that rise and do not touch."""

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, ranges: Iterable[tuple[int, int]]) -> Rows:
        """Any ranges, overlapping or not, as one set; TariffError for an empty or backward one."""
        merged: list[tuple[int, int]] = []
        taken = list(ranges)
        for start, stop in taken:
            require_whole(start, "rows.start", error=TariffError)
            require_whole(stop, "rows.stop", least=start + 1, error=TariffError)
        for start, stop in sorted(taken):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
            else:
                merged.append((start, stop))
        return cls(tuple(merged))

    def __len__(self) -> int:
        return sum(stop - start for start, stop in self.ranges)

    def __or__(self, other: Rows) -> Rows:
        return Rows.of((*self.ranges, *other.ranges))


@dataclass(frozen=True, slots=True)
class Purchase:
    """What a buyer gets and pays now, and what it then owns."""

    new_rows: int
    price_fen: int
    owned: Rows


def buy(menu: Menu, owned: Rows, wanted: Rows) -> Purchase:
    """Price rows for a buyer who owns some: what all of them cost, less what the owned ones cost.

    Guarantee: however purchases are cut, those of the same rows sum to the price of the rows together; owned rows cost
    nothing again, and owning some never makes others dearer. TariffError for a menu that counts anything but rows, one
    with arbitrage, or too few rows on it.
    """
    if menu.dimensions != (Dimension.ROWS,):
        raise TariffError(
            field="dimensions",
            rule="rows alone",
            remedy="price calls, days and volumes by the period instead",
        )
    way = arbitrage(menu)
    if way is not None:
        raise TariffError(
            field="packages", rule=f"offer arbitrage: {way.words('en')}", remedy="correct the menu first"
        )
    together = owned | wanted
    return Purchase(
        new_rows=len(together) - len(owned),
        price_fen=_price_of(menu, len(together)) - _price_of(menu, len(owned)),
        owned=together,
    )


def _price_of(menu: Menu, rows: int) -> int:
    if not rows:
        return 0
    package = menu.cheapest((rows,))
    if package is None:
        raise TariffError(
            field="wanted",
            rule=f"{rows} rows are more than any package covers",
            remedy="ask for fewer, or list a larger package",
        )
    return package.price_fen
