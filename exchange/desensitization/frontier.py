"""How much must be lost for how little risk: for every k and suppression limit the best node, what it costs, what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from exchange.desensitization.errors import PolicyRefused
from exchange.desensitization.propose import Left, Proposer
from exchange.desensitization.search.lattice import Solution

USUAL_K = (2, 3, 5, 10, 20, 50)
USUAL_LIMITS_PPM = (0, 10_000, 40_000, 100_000)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One transformation that can be chosen: the best for its demands.

    `levels` say how far each column that is searched as a whole is generalized; of one that is recoded locally
    nothing is said. What is `left` is told of the rows that stay. `efficient` says that no other candidate has less
    of one, loss or mean risk, without more of the other.
    """

    k: int
    suppression_limit_ppm: int
    solution: Solution
    levels: Mapping[str, int]
    left: Left
    efficient: bool = False

    def to_json(self) -> dict[str, Any]:
        """Numbers as strings."""
        return {
            "k": str(self.k),
            "suppression_limit_ppm": str(self.suppression_limit_ppm),
            "levels": {column: str(level) for column, level in self.levels.items()},
            "loss": [decimal(part) for part in self.left.loss],
            "loss_ppm": {column: str(loss) for column, loss in self.left.loss_ppm.items()},
            "suppressed_rows": str(self.left.dropped_rows),
            "classes": str(self.left.classes),
            "prosecutor_ppm": str(self.left.prosecutor_ppm),
            "marketer_ppm": str(self.left.marketer_ppm),
            "optimal": self.left.optimal,
            "efficient": self.efficient,
        }


def decimal(value: float) -> str:
    """A loss with nine digits: what two machines agree in."""
    return f"{value:.9g}"


def candidates(
    proposer: Proposer,
    demands: Sequence[tuple[int, int]],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Candidate, ...]:
    """The best transformation for each pair of a k and a suppression limit in ppm, in rising order.

    A pair that cannot be reached is left out, and so is all where nothing is left to search.
    """
    if not proposer.choices:
        return ()
    found = []
    for place, (k, limit_ppm) in enumerate(pairs := sorted(set(demands))):
        declaration = replace(proposer.declaration, k=k, suppression_limit_ppm=limit_ppm)
        try:
            solution = proposer.search(declaration)
        except PolicyRefused:
            solution = None
        if solution is not None:
            found.append(_candidate(proposer, k, limit_ppm, solution))
        if progress is not None:
            progress(place + 1, len(pairs))
    return tuple(_efficient(found))


def grid(ks: Iterable[int], limits_ppm: Iterable[int]) -> list[tuple[int, int]]:
    """Every k with every suppression limit."""
    limits = list(limits_ppm)
    return [(k, limit) for k in ks for limit in limits]


def _candidate(proposer: Proposer, k: int, limit_ppm: int, solution: Solution) -> Candidate:
    return Candidate(
        k=k,
        suppression_limit_ppm=limit_ppm,
        solution=solution,
        levels={
            attribute.name: level
            for attribute, level in zip(proposer.attributes, solution.levels, strict=True)
            if attribute.name in proposer.choices and attribute.name not in proposer.recoded
        },
        left=proposer.left(replace(proposer.declaration, k=k, suppression_limit_ppm=limit_ppm), solution),
    )


def _efficient(found: Sequence[Candidate]) -> list[Candidate]:
    def better(one: Candidate, other: Candidate) -> bool:
        here, there = (one.left.loss, one.left.marketer_ppm), (other.left.loss, other.left.marketer_ppm)
        return here[0] <= there[0] and here[1] <= there[1] and here != there

    return [replace(one, efficient=not any(better(other, one) for other in found)) for one in found]
