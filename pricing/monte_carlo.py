"""Ranges by drawing: what a value may come to when its figures are uncertain, the same to the fen for everybody.

A seed and the name of a figure give that figure its own stream of Philox4x64-10 (Salmon et al., SC 2011): uniform
doubles of 53 bits. From there on only + - x ÷ √ and rounding take part, in one fixed order. IEEE 754
says for each of them what every processor must give to the last bit, so neither the number of threads nor the
process, the machine or the order in which figures are listed changes the result. (Logarithms and powers have no
such rule; no distribution that needs them is offered.) Values become integers of fen as soon as they are drawn,
halves to the even one, and everything after that is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Literal, TypeAlias

from pricing.errors import RangeError
from pricing.money import require_whole

GENERATOR: Final = "Philox4x64-10"
DRAWS_LEAST: Final = 1_000
DRAWS_MOST: Final = 1_000_000
BINS: Final = 40
BLOCK: Final = 8_192
"""Draws at a time: few enough that a block's arrays stay near the processor. Streams go on from block to block,
so that it changes no draw."""

_WIDEST: Final = float(2**62)

Shape: TypeAlias = Literal["triangular", "uniform"]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure that is drawn: from `low` to `high`, most often near `mode` (which a uniform one does not heed)."""

    name: str
    low: int
    mode: int
    high: int
    shape: Shape = "triangular"

    def __post_init__(self) -> None:
        for field in ("low", "mode", "high"):
            require_whole(getattr(self, field), f"{self.name}: {field}", error=RangeError)
        if not self.low <= self.mode <= self.high or self.low == self.high:
            raise RangeError(
                field=self.name,
                rule=f"must lie between its bounds, {self.low} ≤ {self.mode} ≤ {self.high}, and the bounds apart",
                remedy="give a lower and an upper bound around the figure",
            )


@dataclass(frozen=True, slots=True)
class Spread:
    """What the draws came to. Percentiles are order statistics: p5 is the least value that 5 % do not exceed.

    `bins` counts the draws in equal steps of `bin_fen` from `least_fen` on. `mean_fen` is rounded half up.
    """

    draws: int
    least_fen: int
    p5_fen: int
    p50_fen: int
    p95_fen: int
    most_fen: int
    mean_fen: int
    bin_fen: int
    bins: tuple[int, ...]


def simulate(
    value: Callable[[Mapping[str, Any]], Any], drawn: Sequence[Drawn], *, seed: bytes, draws: int
) -> Spread:
    """Draw every figure `draws` times and count what `value` makes of them, in fen.

    `value` takes an array of doubles for each name and uses + - x ÷ √ alone. RangeError where a figure is named
    twice, `draws` is out of bounds or a value is no number or beyond 2**62 fen.
    """
    import numpy

    require_whole(draws, "draws", least=DRAWS_LEAST, most=DRAWS_MOST, error=RangeError)
    if not drawn or len({each.name for each in drawn}) != len(drawn):
        raise RangeError(
            field="uncertain", rule="must name at least one figure, each once", remedy="list each figure once"
        )
    streams = [numpy.random.Generator(numpy.random.Philox(key=_key(seed, each.name))) for each in drawn]
    arrays = [numpy.empty(BLOCK) for _ in drawn]
    spare = numpy.empty(BLOCK)
    values = numpy.empty(draws, numpy.int64)
    for start in range(0, draws, BLOCK):
        size = min(BLOCK, draws - start)
        figures = {}
        for each, stream, array in zip(drawn, streams, arrays, strict=True):
            stream.random(out=array[:size])
            _shape(each, array[:size], spare[:size])
            figures[each.name] = array[:size]
        with numpy.errstate(all="ignore"):  # what is no number is refused below, by name
            found = numpy.rint(value(figures))
        if not (found.min() > -_WIDEST and found.max() < _WIDEST):
            raise RangeError(
                field="value",
                rule="a drawn value is no number, or passes 2**62 fen",
                remedy="narrow the bounds of the uncertain figures",
            )
        values[start : start + size] = found
    return _count(values)


def _key(seed: bytes, name: str) -> int:
    """128 bits for the stream of one figure."""
    return int.from_bytes(sha256(seed + b"\n" + name.encode()).digest()[:16], "big")


def _shape(each: Drawn, uniform: Any, spare: Any) -> None:
    """Turn uniform numbers into those of the figure, in place."""
    import numpy

    low, mode, high = float(each.low), float(each.mode), float(each.high)
    if each.shape == "uniform":
        numpy.multiply(uniform, high - low, out=uniform)
        numpy.add(uniform, low, out=uniform)
        return
    # The inverse of the triangular distribution without a branch: left of the mode the second root is at its
    # limit, right of it the first one.
    left, right = mode - low, high - mode
    numpy.multiply(uniform, (high - low) * left, out=spare)
    numpy.sqrt(spare, out=spare)
    numpy.minimum(spare, left, out=spare)
    numpy.subtract(1.0, uniform, out=uniform)
    numpy.multiply(uniform, (high - low) * right, out=uniform)
    numpy.sqrt(uniform, out=uniform)
    numpy.minimum(uniform, right, out=uniform)
    numpy.subtract(spare, uniform, out=uniform)
    numpy.add(uniform, low + right, out=uniform)


def _count(values: Any) -> Spread:
    """Order statistics, mean and bins of int64 values; reorders them."""
    import numpy

    draws = len(values)
    ranks = [-(-draws * percent // 100) - 1 for percent in (5, 50, 95)]
    values.partition(ranks)
    p5, p50, p95 = (int(values[rank]) for rank in ranks)
    least, most = int(values[: ranks[0] + 1].min()), int(values[ranks[2] :].max())
    # In two halves, because a sum of int64 may pass int64.
    total = (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())
    step = (most - least) // BINS + 1
    bins = numpy.bincount((values - least) // step, minlength=BINS)
    mean = (2 * total + draws) // (2 * draws)
    return Spread(draws, least, p5, p50, p95, most, mean, step, tuple(map(int, bins)))
