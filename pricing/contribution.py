"""Who contributed how much: Shapley and Banzhaf values, exactly and by drawing, for datasets, owners and single rows.

Several departments' data make one product; its proceeds are to be shared by what each part adds. The Shapley value is
the one rule that shares everything, treats equals equally, gives nothing to who adds nothing, and adds up over games
(Shapley 1953). Here it is exact up to 20 players, drawn under a seed with its error above that, and exact for the
accuracy of a nearest-neighbour classifier over any number of rows (Jia et al., VLDB 2019).

Data can be copied for nothing, and a plain Shapley value pays for copies (Agarwal et al., EC 2019). So where money is
shared the players are not listings but *holdings*, all contents that the same owners hold: the same content twice is
there once, and a copy with a row changed earns only what it is worth beside the first. Who owns under two names is the
register's question.

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
from pricing.money import MAX_AMOUNT, by_largest_remainder, require_whole

EXACT_LIMIT: Final = 20
"""Players of an exact game: a million coalitions."""
_BLOCK: Final = 16
"""Test points whose distances are held at a time."""
_WIDEST: Final = 1e150
"""So that no sum of squares overflows."""
_EPSILON: Final = float(np.finfo(np.float64).eps)


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
    all are worth. The same seed gives the same orders on every machine, whatever the order of `players`.
    """
    _require_names(players)
    require_whole(rounds, "rounds", least=4, most=10**7, error=GameError)
    names = sorted(players)
    pairs = (rounds + 1) // 2
    mean = np.zeros(len(names))
    squares = np.zeros(len(names))
    digest = sha256(b"drawn-shapley@1\n" + seed).digest()
    generator = np.random.Philox(key=np.frombuffer(digest[:16], dtype="<u8"))
    for drawn in range(1, pairs + 1):
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
        # Welford's sum of squares about the mean, which loses nothing where worths are large and alike.
        off = added - mean
        mean += off / drawn
        squares += off * (added - mean)
    return {
        name: Drawn(float(value), math.sqrt(spread / (pairs - 1) / pairs))
        for name, value, spread in zip(names, mean, squares, strict=True)
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
    theorem 1). How far is the sum of squared differences, column by column in doubles, so that every machine orders the
    same; of equally far rows the earlier is nearer. Time n log n a test row, memory n times a few. GameError for shapes
    that do not fit, and for numbers that are not finite or whose squares are not.
    """
    train, test = np.asarray(train, dtype=np.float64), np.asarray(test, dtype=np.float64)
    labels, test_labels = np.asarray(labels), np.asarray(test_labels)
    n, m = (len(rows) if rows.ndim == 2 and rows.size else 0 for rows in (train, test))
    require_whole(neighbours, "neighbours", least=1, error=GameError)
    for name, wrong in (
        ("train", not n),
        ("test", not m or test.shape[1] != train.shape[1]),
        ("labels", labels.shape != (n,)),
        ("test_labels", test_labels.shape != (m,)),
    ):
        if wrong:
            raise GameError(
                field=name,
                rule="train n x d, labels n, test m x d, test labels m",
                remedy="reshape the arrays",
            )
    for name, marks in (("labels", labels), ("test_labels", test_labels)):
        if marks.dtype.kind not in "biu":
            raise GameError(
                field=name, rule=f"must be integers, not {marks.dtype}", remedy="number the classes"
            )
    for name, rows in (("train", train), ("test", test)):
        if not (rows.min() > -_WIDEST and rows.max() < _WIDEST):
            raise GameError(
                field=name,
                rule=f"must be numbers below {_WIDEST:g}, not NaN",
                remedy="fill or drop the rows with NaN, and scale the columns",
            )
    # The last row's value is its own part; each nearer one's differs by whether it is right where the next is not.
    place = np.arange(1, n)
    factors = np.minimum(neighbours, place) / (neighbours * place)
    total = np.zeros(n)
    lengths = np.einsum("ij,ij->i", train, train)
    longest = math.sqrt(lengths.max())
    columns: npt.NDArray[np.float64] | None = None
    for start in range(0, m, _BLOCK):
        block = test[start : start + _BLOCK]
        # |a - b|² less the test row's own length, which orders nothing.
        distances = lengths - 2.0 * (block @ train.T)
        for point, row, label in zip(block, distances, test_labels[start : start + _BLOCK], strict=True):
            order = np.argsort(row)
            rising = row[order]
            # What either way of summing can be off by; where two rows are no further apart, sum column by column.
            doubt = 16 * (train.shape[1] + 2) * _EPSILON * (longest + math.sqrt(point @ point)) ** 2
            if (rising[1:] - rising[:-1] <= doubt).any():
                columns = np.ascontiguousarray(train.T) if columns is None else columns
                order = _nearest_first(columns, point)
            right = labels[order] == label
            steps = (right[:-1].view(np.int8) - right[1:].view(np.int8)) * factors
            values = np.empty(n)
            values[-1] = right[-1] * min(neighbours, n) / (n * neighbours)
            values[:-1] = values[-1] + np.cumsum(steps[::-1])[::-1]
            total[order] += values
    return total / m


def _nearest_first(columns: npt.NDArray[np.float64], point: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Positions of the rows from the nearest on, of equally far ones the earlier first."""
    distances = np.zeros(columns.shape[1])
    for column, own in zip(columns, point, strict=True):
        distances += np.square(column - own)
    order = np.argsort(distances)
    rising = distances[order]
    # Equally far rows are one run: numbered by run, then by row, they sort as integers, ten times as fast as stably.
    run = np.concatenate(([0], np.cumsum(rising[1:] != rising[:-1]))) * len(order)
    nearest_first: npt.NDArray[np.intp] = np.sort(run + order) - run
    return nearest_first


# --- copies, and money ---


def owner_shares(
    holdings: Sequence[tuple[str, str]], worth: Callable[[frozenset[str]], int]
) -> dict[str, Fraction]:
    """What each owner's data is worth, robust to copies: `holdings` are (owner, digest of the content).

    `worth` values a set of digests. A player is all that the same owners hold, whose value they split equally; there are
    at most 20. Guarantee: whoever lists the own content again, or a variant that is worth nothing beside what nobody else
    holds, gets no more, and no fraction of a fen moves. A variant of what others hold too is a content of its own.
    """
    owners: dict[str, set[str]] = {}
    for owner, content in holdings:
        owners.setdefault(content, set()).add(owner)
    held: dict[tuple[str, ...], set[str]] = {}
    for content, listed in owners.items():
        held.setdefault(tuple(sorted(listed)), set()).add(content)
    # Contents lie in one holding each, so that its first names it.
    players = {min(contents): (names, contents) for names, contents in held.items()}
    values = shapley(
        Game.of(
            sorted(players),
            lambda who: worth(frozenset(content for player in who for content in players[player][1])),
        )
    )
    shares = {owner: Fraction(0) for owner, _ in holdings}
    for player, value in values.items():
        names, _ = players[player]
        for owner in names:
            shares[owner] += value / len(names)
    return shares


def dividends(amount_fen: int, values: Mapping[str, Fraction]) -> dict[str, int]:
    """Pay an amount in proportion to values, to the fen, by the largest remainder; who took value away gets nothing.

    Of equal remainders the name that sorts first gets the fen. A drawn value, or the sum of rows' values, goes in as
    `Fraction(value)`, which is exact. GameError where nobody added anything.
    """
    require_whole(amount_fen, "amount_fen", error=GameError)
    for name, value in values.items():
        if not isinstance(value, Fraction):
            raise GameError(
                field=f"values[{name}]",
                rule=f"must be a Fraction, not {type(value).__name__} {value!r}",
                remedy="give Fraction(value)",
            )
    kept = {name: max(value, Fraction(0)) for name, value in sorted(values.items())}
    common = math.lcm(*(value.denominator for value in kept.values()))
    weights = [value.numerator * (common // value.denominator) for value in kept.values()]
    if not any(weights):
        raise GameError(
            field="values", rule="at least one above zero", remedy="nobody contributed: pay otherwise"
        )
    return dict(zip(kept, by_largest_remainder(amount_fen, weights), strict=True))


def _require_names(players: Sequence[str]) -> None:
    if not players or len(set(players)) != len(players) or not all(players):
        raise GameError(field="players", rule="have names, each another", remedy="name each player once")
