"""Whether concurrent calls could have happened one after the other, each at a moment between its sending and its answer.

That is linearizability (Herlihy and Wing, 1990). The search is Wing and Gong's (1993), with Lowe's memory (2017) of which
calls in which state were tried: what was tried in another order and came to the same is not tried again. A history of
several objects is judged object by object, which is as good (Herlihy and Wing, theorem 1), and quick.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Generic, TypeVar

A = TypeVar("A")
R = TypeVar("R")
S = TypeVar("S", bound=Hashable)
K = TypeVar("K", bound=Hashable)

Rule = Callable[[S, A], tuple[R, S]]
"""An object that does one thing at a time: what it answers in a state, and the state after."""


@dataclass(frozen=True, slots=True)
class Call(Generic[A, R]):
    """What was asked from `sent_ns` on, and what was answered at `answered_ns`; None, None where nobody knows: then it
    took effect at some moment after it was sent, or never."""

    asked: A
    answer: R | None
    sent_ns: int
    answered_ns: int | None

    def told(self, answer: R) -> bool:
        """Whether `answer` is what came of it, as far as anybody knows."""
        return self.answered_ns is None or answer == self.answer


@dataclass(frozen=True, slots=True)
class Verdict(Generic[A, R]):
    """`order` explains every answer where it `holds`; otherwise it is the longest that explains its own."""

    holds: bool
    order: list[Call[A, R]]


def judge(calls: Sequence[Call[A, R]], start: S, rule: Rule[S, A, R]) -> Verdict[A, R]:
    """Look for an order of the calls that keeps to their times and in which `rule`, from `start` on, answers as they were
    answered. Calls that touch at one moment count as concurrent."""
    moments = sorted(
        [(call.sent_ns, 0, n) for n, call in enumerate(calls)]
        + [(call.answered_ns, 1, n) for n, call in enumerate(calls) if call.answered_ns is not None]
    )
    # A ring of moments, the sendings and answers of calls that have no place yet; 0 is before the first and behind the last.
    after, before = [*range(1, len(moments) + 1), 0], [len(moments), *range(len(moments))]
    answer_at = {n: at for at, (_, kind, n) in enumerate(moments, 1) if kind}

    def take_out(at: int) -> None:
        after[before[at]], before[after[at]] = after[at], before[at]

    def put_back(at: int) -> None:
        after[before[at]] = before[after[at]] = at

    state, placed, missing = start, 0, len(answer_at)
    tried: set[tuple[int, S]] = set()
    path: list[tuple[int, S]] = []
    furthest: list[int] = []
    at = after[0]
    while missing:
        kind, n = moments[at - 1][1:] if at else (1, 0)
        if kind == 0:
            answer, then = rule(state, calls[n].asked)
            if calls[n].told(answer) and (placed | 1 << n, then) not in tried:
                tried.add((placed | 1 << n, then))
                path.append((at, state))
                state, placed = then, placed | 1 << n
                take_out(at)
                if n in answer_at:
                    missing -= 1
                    take_out(answer_at[n])
                at = after[0]
            else:
                at = after[at]
            continue
        # Here is the answer of a call that found no place before it, or the end: the last choice was wrong.
        if len(path) > len(furthest):
            furthest = [moments[event - 1][2] for event, _ in path]
        if not path:
            return Verdict(False, [calls[n] for n in furthest])
        at, state = path.pop()
        n = moments[at - 1][2]
        placed ^= 1 << n
        if n in answer_at:
            missing += 1
            put_back(answer_at[n])
        put_back(at)
        at = after[at]
    return Verdict(True, [calls[moments[event - 1][2]] for event, _ in path])


def by_object(calls: Iterable[Call[A, R]], of: Callable[[A], K]) -> dict[K, list[Call[A, R]]]:
    """The calls of each object, which can be judged alone."""
    parts: defaultdict[K, list[Call[A, R]]] = defaultdict(list)
    for call in calls:
        parts[of(call.asked)].append(call)
    return dict(parts)


def judge_slowly(calls: Sequence[Call[A, R]], start: S, rule: Rule[S, A, R]) -> bool:
    """The same by the definition: every order of the answered calls, with every choice of the others among them."""
    answered = [call for call in calls if call.answered_ns is not None]
    others = [call for call in calls if call.answered_ns is None]
    return any(
        _explains(order, start, rule)
        for number in range(len(others) + 1)
        for some in combinations(others, number)
        for order in permutations([*answered, *some])
    )


def _explains(order: Sequence[Call[A, R]], start: S, rule: Rule[S, A, R]) -> bool:
    for later, call in enumerate(order):
        if any(c.answered_ns is not None and c.answered_ns < call.sent_ns for c in order[later + 1 :]):
            return False
    state = start
    for call in order:
        answer, state = rule(state, call.asked)
        if not call.told(answer):
            return False
    return True
