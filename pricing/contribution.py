"""Who contributed how much: Shapley and Banzhaf values, exactly and by drawing, for datasets, owners and single rows.

Several departments' data make one product; its proceeds are to be shared by what each part adds. The Shapley value is
the one rule that shares everything, treats equals equally, gives nothing to who adds nothing, and adds up over games
(Shapley 1953). Here it is exact up to 20 players, drawn under a seed with its error above that, and exact for the
accuracy of a nearest-neighbour classifier over any number of rows (Jia et al., VLDB 2019).

Data can be copied for nothing, and a plain Shapley value pays for copies (Agarwal et al., EC 2019). So players here are
*contents*: the same content twice is one player, whose share its owners split equally; a copy of the own data then adds
nothing. Who owns under two names is the register's question.

Worths are integers (fen, or parts per million of accuracy); values are exact fractions, or floats where drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from typing import Final

import numpy as np
import numpy.typing as npt

from pricing.errors import GameError
from pricing.money import MAX_AMOUNT, divide, require_whole

EXACT_LIMIT: Final = 20
"""Players of an exact game: a million coalitions."""
_BLOCK: Final = 16
"""Test points whose distances are held at a time."""


@dataclass(frozen=True, slots=True)
class Game:
    """A game of named players; `worth[mask]` is what the coalition of the players whose bits are set is worth.

    The empty coalition is worth 0. Bit k of a mask stands for `players[k]`.
    """

    players: tuple[str, ...]
    worth: Sequence[int]

    def __post_init__(self) -> None:
        count = len(self.players)
        if not 1 <= count <= EXACT_LIMIT:
            raise GameError(
                field="players",
                rule=f"1 to {EXACT_LIMIT}, not {count}",
                remedy="draw the value of larger games",
            )
        _require_names(self.players)
        if len(self.worth) != 1 << count:
            raise GameError(
                field="worth", rule=f"one for each of {1 << count} coalitions", remedy="value every coalition"
            )
        for mask, value in enumerate(self.worth):
            if type(value) is not int or abs(value) > MAX_AMOUNT:
                require_whole(value, f"worth[{mask}]", least=-MAX_AMOUNT, error=GameError)
        if self.worth[0]:
            raise GameError(field="worth[0]", rule="nobody is worth nothing", remedy="count from there")

    @classmethod
    def of(cls, players: Sequence[str], worth: Callable[[frozenset[str]], int]) -> Game:
        """Ask a function for the worth of every coalition; that of nobody is taken as 0."""
        names = tuple(players)
        if len(names) > EXACT_LIMIT:
            raise GameError(
                field="players",
                rule=f"at most {EXACT_LIMIT}, not {len(names)}",
                remedy="draw the value of larger games",
            )
        return cls(
            names,
            [
                worth(frozenset(name for k, name in enumerate(names) if mask >> k & 1)) if mask else 0
                for mask in range(1 << len(names))
            ],
        )


def shapley(game: Game) -> dict[str, Fraction]:
    """The exact Shapley value of each player; together they are worth what all are.

    By sizes of coalitions: the sum of what a player adds to the coalitions of each size, over their number.
    """
    count = len(game.players)
    order, starts = _by_size(count - 1)
    return {
        player: sum(
            (Fraction(total, math.comb(count - 1, size)) for size, total in enumerate(sums)), Fraction(0)
        )
        / count
        for player, sums in zip(game.players, _added(game, order, starts), strict=True)
    }


def banzhaf(game: Game) -> dict[str, Fraction]:
    """The exact Banzhaf value of each player: what it adds on average to a coalition of the others.

    They need not add up to what all are worth; `normalised` makes shares of them (Banzhaf's index of power).
    """
    count = len(game.players)
    order, starts = _by_size(count - 1)
    return {
        player: Fraction(sum(sums), 1 << (count - 1))
        for player, sums in zip(game.players, _added(game, order, starts), strict=True)
    }


def normalised(values: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """Shares of one whole; GameError where the values sum to nothing."""
    total = sum(values.values())
    if not total:
        raise GameError(
            field="values", rule="must not sum to zero", remedy="nobody contributed: share otherwise"
        )
    return {player: value / total for player, value in values.items()}


def _by_size(count: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The masks of so many players ordered by size, and where each size starts."""
    sizes = np.zeros(1, dtype=np.int8)
    for _ in range(count):
        sizes = np.concatenate((sizes, sizes + 1))
    order = np.argsort(sizes, kind="stable")
    return order, np.searchsorted(sizes[order], np.arange(count + 1))


def _added(game: Game, order: npt.NDArray[np.intp], starts: npt.NDArray[np.intp]) -> list[list[int]]:
    """For each player what it adds to the coalitions of the others, summed by their size; exact."""
    # Halves of 32 bits, so that a million sums of what may be 64 bits wide stay within 64.
    table = np.array(game.worth, dtype=np.int64)
    high, low = table >> 32, table & 0xFFFFFFFF
    found = []
    for k in range(len(game.players)):
        sums = []
        for part in (high, low):
            halves = part.reshape(-1, 2, 1 << k)
            added = (halves[:, 1, :] - halves[:, 0, :]).reshape(-1)
            sums.append(np.add.reduceat(added[order], starts))
        found.append([int(top) * (1 << 32) + int(rest) for top, rest in zip(*sums, strict=True)])
    return found


# --- drawn ---


@dataclass(frozen=True, slots=True)
class Drawn:
    """A value that was drawn, and its standard error: the truth lies within two of them 19 times in 20."""

    value: float
    error: float


def drawn_shapley(
    players: Sequence[str], worth: Callable[[frozenset[str]], int], *, rounds: int, seed: bytes
) -> dict[str, Drawn]:
    """The Shapley value of any number of players from `rounds` random orders (Castro et al. 2009), reproducibly.

    Orders are drawn in pairs, each with its reverse, which lowers the error; the values of one run always sum to what
    all are worth. The same seed gives the same orders on every machine.
    """
    _require_names(players)
    require_whole(rounds, "rounds", least=2, most=10**7, error=GameError)
    names = list(players)
    pairs = (rounds + 1) // 2
    sums = np.zeros(len(names))
    squares = np.zeros(len(names))
    digest = sha256(b"drawn-shapley@1\n" + seed).digest()
    generator = np.random.Philox(key=np.frombuffer(digest[:16], dtype="<u8"))
    for _ in range(pairs):
        # Raw bits and a stable sort: what a generator makes of its bits may change with numpy's version.
        order = np.argsort(generator.random_raw(len(names)), kind="stable")
        added = np.zeros(len(names))
        for places in (order, order[::-1]):
            before, taken = 0, set()
            for place in places:
                taken.add(names[place])
                after = require_whole(worth(frozenset(taken)), "worth", least=-MAX_AMOUNT, error=GameError)
                added[place] += (after - before) / 2
                before = after
        sums += added
        squares += added**2
    mean = sums / pairs
    spread = np.maximum(squares / pairs - mean**2, 0) * pairs / max(pairs - 1, 1)
    return {
        name: Drawn(float(value), math.sqrt(variance / pairs))
        for name, value, variance in zip(names, mean, spread, strict=True)
    }


# --- rows ---


def knn_shapley(
    train: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    test: npt.NDArray[np.floating],
    test_labels: npt.NDArray[np.integer],
    neighbours: int,
) -> npt.NDArray[np.float64]:
    """The exact Shapley value of each training row for the accuracy of a K-nearest-neighbour classifier on test rows.

    `train` is n x d, `test` m x d, labels are integers of n and m. A row's value is its average part in the probability
    that the K nearest give to the right label; all values sum to the accuracy of the whole (Jia et al., VLDB 2019,
    theorem 1). Of equally far rows the earlier is nearer. Time n log n a test row, memory n times a few.
    """
    n, m = len(train), len(test)
    require_whole(neighbours, "neighbours", least=1, error=GameError)
    for name, wrong in (
        ("train", train.ndim != 2 or not n),
        ("test", test.ndim != 2 or not m or test.shape[1] != train.shape[1]),
        ("labels", labels.shape != (n,)),
        ("test_labels", test_labels.shape != (m,)),
    ):
        if wrong:
            raise GameError(
                field=name,
                rule="train n x d, labels n, test m x d, test labels m",
                remedy="reshape the arrays",
            )
    for name, rows in (("train", train), ("test", test)):
        if not np.isfinite(rows).all():
            raise GameError(
                field=name, rule="must be finite numbers", remedy="fill or drop the rows with NaN"
            )
    # The last row's value is its own part; each nearer one's differs by whether it is right where the next is not.
    place = np.arange(1, n)
    factors = np.minimum(neighbours, place) / (neighbours * place)
    total = np.zeros(n)
    lengths = np.einsum("ij,ij->i", train, train)
    for start in range(0, m, _BLOCK):
        block = test[start : start + _BLOCK]
        # |a - b|² less the test row's own length, which orders nothing.
        distances = lengths - 2.0 * (block @ train.T)
        for row, label in zip(distances, test_labels[start : start + _BLOCK], strict=True):
            order = _nearest_first(row)
            right = labels[order] == label
            steps = (right[:-1].view(np.int8) - right[1:].view(np.int8)) * factors
            values = np.empty(n)
            values[-1] = right[-1] * min(neighbours, n) / (n * neighbours)
            values[:-1] = values[-1] + np.cumsum(steps[::-1])[::-1]
            total[order] += values
    return total / m


def _nearest_first(distances: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Positions from the nearest on, of equally far ones the earlier first; a stable sort only where there are such."""
    order = np.argsort(distances)
    rising = distances[order]
    return np.argsort(distances, kind="stable") if (rising[1:] == rising[:-1]).any() else order


# --- copies, and money ---


def content_shares(
    holdings: Sequence[tuple[str, str]], worth: Callable[[frozenset[str]], int]
) -> dict[str, Fraction]:
    """What each owner's data is worth, robust to copies: `holdings` are (owner, digest of the content).

    Players are the distinct contents; `worth` values a set of digests. A content's value is split equally among its
    owners. Guarantee: an owner who lists the own content again, however often, gets no more.
    """
    owners: dict[str, set[str]] = {}
    for owner, content in holdings:
        owners.setdefault(content, set()).add(owner)
    values = shapley(Game.of(sorted(owners), worth))
    shares = {owner: Fraction(0) for owner, _ in holdings}
    for content, value in values.items():
        for owner in owners[content]:
            shares[owner] += value / len(owners[content])
    return shares


def dividends(amount_fen: int, values: Mapping[str, Fraction]) -> dict[str, int]:
    """Pay an amount in proportion to values, to the fen, by the largest remainder; who took value away gets nothing.

    GameError where nobody added anything.
    """
    require_whole(amount_fen, "amount_fen", error=GameError)
    kept = {name: max(value, Fraction(0)) for name, value in sorted(values.items())}
    common = math.lcm(*(value.denominator for value in kept.values())) if kept else 1
    weights = [value.numerator * (common // value.denominator) for value in kept.values()]
    if not any(weights):
        raise GameError(
            field="values", rule="at least one above zero", remedy="nobody contributed: pay otherwise"
        )
    return dict(zip(kept, _divide(amount_fen, weights), strict=True))


def _divide(amount_fen: int, weights: Sequence[int]) -> list[int]:
    """As `pricing.money.divide`, for weights of any size."""
    if max(weights) <= MAX_AMOUNT:
        return divide(amount_fen, weights)
    total = sum(weights)
    parts = [amount_fen * weight // total for weight in weights]
    left = amount_fen - sum(parts)
    for place in sorted(range(len(parts)), key=lambda n: -(amount_fen * weights[n] % total))[:left]:
        parts[place] += 1
    return parts


def _require_names(players: Sequence[str]) -> None:
    if not players or len(set(players)) != len(players) or not all(players):
        raise GameError(field="players", rule="have names, each another", remedy="name each player once")
