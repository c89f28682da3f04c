"""The judge of concurrent histories, itself judged: by histories whose verdicts are known, and by the definition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulation._linearizability import Call, Rule, by_object, judge, judge_slowly
from tests.simulation._lot import Asked, Lot, Terms, rule

START, STEP, DEPOSIT = 100, 10, 20
LOT = Lot(Terms(START, STEP, DEPOSIT))

Queue = tuple[str, ...]


def queue(items: Queue, asked: tuple[str, str]) -> tuple[str, Queue]:
    """First in, first out; `asked` is ("put", item) or ("take", "")."""
    if asked[0] == "put":
        return "ok", (*items, asked[1])
    return (items[0], items[1:]) if items else ("empty", items)


def register(value: int, asked: tuple[str, int]) -> tuple[int, int]:
    """What was written last; `asked` is ("write", value) or ("read", 0)."""
    return (0, asked[1]) if asked[0] == "write" else (value, value)


def history(*calls: tuple[Any, Any, int, int | None]) -> list[Call[Any, Any]]:
    return [Call(asked, None if end is None else answer, begin, end) for asked, answer, begin, end in calls]


A, B, C = "abc"
PUT_A, PUT_B, TAKE = ("put", A), ("put", B), ("take", "")
READ = ("read", 0)

KNOWN: list[tuple[str, Rule[Any, Any, Any], Any, list[Call[Any, Any]], bool]] = [
    # After the four histories of Herlihy and Wing's figure 1, of a queue.
    (
        "two puts overlap, and are taken in either order",
        queue, (), history((PUT_A, "ok", 0, 4), (PUT_B, "ok", 1, 3), (TAKE, B, 5, 8), (TAKE, A, 6, 9)), True,
    ),
    (
        "what was put second is taken first",
        queue, (), history((PUT_A, "ok", 0, 1), (PUT_B, "ok", 2, 3), (TAKE, B, 4, 5)), False,
    ),
    (
        "what is being put is taken",
        queue, (), history((PUT_A, "ok", 0, 9), (TAKE, A, 2, 4)), True,
    ),
    (
        "what was put once is taken twice",
        queue, (), history((PUT_A, "ok", 0, 2), (PUT_B, "ok", 1, 5), (TAKE, B, 6, 8), (TAKE, B, 7, 9)), False,
    ),
    # After the two of porcupine's first test, of a register.
    (
        "a write is seen before it is answered, and again",
        register, 0, history((("write", 100), 0, 0, 100), (READ, 100, 25, 75), (READ, 0, 30, 60)), True,
    ),
    (
        "a write is seen, and then is not",
        register, 0, history((("write", 200), 0, 0, 100), (READ, 200, 10, 30), (READ, 0, 40, 90)), False,
    ),
    # Unanswered calls.
    (
        "a write that nobody answered is never seen",
        register, 0, history((("write", 1), None, 0, None), (READ, 0, 5, 6), (READ, 0, 7, 8)), True,
    ),
    (
        "a write that nobody answered is seen late",
        register, 0, history((("write", 1), None, 0, None), (READ, 0, 5, 6), (READ, 1, 7, 8)), True,
    ),
    (
        "a write that nobody answered is seen, and then is not",
        register, 0, history((("write", 1), None, 0, None), (READ, 1, 5, 6), (READ, 0, 7, 8)), False,
    ),
    (
        "a write is seen before it is sent",
        register, 0, history((READ, 1, 0, 1), (("write", 1), None, 2, None)), False,
    ),
    # Of a lot.
    (
        "of two equal bids at once one is admitted",
        rule, LOT._replace(joined=frozenset("ab")),
        history((("bid", A, 100), "not higher", 0, 9), (("bid", B, 100), "admitted", 1, 8)), True,
    ),
    (
        "both are",
        rule, LOT._replace(joined=frozenset("ab")),
        history((("bid", A, 100), "admitted", 0, 9), (("bid", B, 100), "admitted", 1, 8)), False,
    ),
    (
        "a bid is admitted at the bell, one is refused before",
        rule, LOT._replace(joined=frozenset("ab")),
        history((("ring",), "done", 2, 6), (("bid", A, 100), "closed", 1, 5), (("bid", B, 110), "admitted", 3, 7)),
        True,
    ),
    (
        "a bid is admitted after another was told that it is too late",
        rule, LOT._replace(joined=frozenset("ab")),
        history((("ring",), "done", 2, 6), (("bid", A, 100), "closed", 1, 3), (("bid", B, 110), "admitted", 4, 7)),
        False,
    ),
    (
        "one deposit's money is held and spent at once",
        rule, LOT.paid(A, LOT.purse(A)._replace(free=DEPOSIT)),
        history((("join", A), "done", 0, 9), (("buy", A, 10), "done", 1, 8)), False,
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "start", "calls", "holds"), [case[1:] for case in KNOWN], ids=[case[0] for case in KNOWN]
)
def test_histories_of_known_verdict_get_it(
    model: Rule[Any, Any, Any], start: Any, calls: list[Call[Any, Any]], holds: bool
) -> None:
    assert judge(calls, start, model).holds == judge_slowly(calls, start, model) == holds


parties = st.sampled_from("ab")
ASKED: st.SearchStrategy[Asked] = st.one_of(
    st.tuples(st.just("bid"), parties, st.sampled_from([90, 100, 105, 110, 120, 130])),
    st.tuples(st.just("join"), parties),
    st.tuples(st.just("top_up"), parties, st.sampled_from([5, 20, 200])),
    st.tuples(st.just("buy"), parties, st.sampled_from([5, 20])),
    st.tuples(st.just("money"), parties),
    st.tuples(st.just("give_back"), parties),
    st.sampled_from([("look",), ("ring",), ("close",), ("settle",)]),
)
JOINED = LOT._replace(joined=frozenset("ab"))


def lived(asked: list[Asked], widths: list[tuple[int, int]], start: Lot) -> list[Call[Asked, Any]]:
    """What happens one after the other, a moment apart, each sent and answered as much earlier and later as its width says."""
    calls, lot = [], start
    for n, (one, (early, late)) in enumerate(zip(asked, widths, strict=False)):
        answer, lot = rule(lot, one)
        calls.append(Call(one, answer, 10 * n - early, 10 * n + late))
    return calls


widths = st.lists(st.tuples(st.integers(0, 35), st.integers(0, 35)), min_size=40, max_size=40)


@given(st.lists(ASKED, max_size=40), widths, st.data())
def test_what_happened_one_by_one_is_accepted_however_the_times_of_sending_and_answer_overlap(
    asked: list[Asked], wide: list[tuple[int, int]], data: st.DataObject
) -> None:
    calls = data.draw(st.permutations(lived(asked, wide, JOINED)))
    assert judge(calls, JOINED, rule).holds
    some = data.draw(st.sets(st.integers(0, len(calls) - 1), max_size=3)) if calls else set()
    unanswered = [replace(c, answer=None, answered_ns=None) if n in some else c for n, c in enumerate(calls)]
    assert judge(unanswered, JOINED, rule).holds


@given(st.lists(ASKED, min_size=1, max_size=40), st.data())
def test_an_answer_that_was_changed_is_refused(asked: list[Asked], data: st.DataObject) -> None:
    calls = lived(asked, [(0, 5)] * len(asked), JOINED)
    which = data.draw(st.integers(0, len(calls) - 1))
    lies = [
        answer
        for answer in (*(c.answer for c in calls), "admitted", "closed")
        if answer != calls[which].answer
    ]
    calls[which] = replace(calls[which], answer=data.draw(st.sampled_from(lies)))
    verdict = judge(calls, JOINED, rule)
    assert not verdict.holds
    assert verdict.order == calls[:which]


@given(
    st.lists(
        st.tuples(
            ASKED,
            st.sampled_from(["done", "admitted", "closed", "not higher", ("open", 100, 1, False), ("open", None, 0, False)]),
            st.integers(0, 9),
            st.none() | st.integers(0, 9),
        ),
        max_size=5,
    )
)  # fmt: skip
def test_the_judge_agrees_with_the_definition_on_small_histories(
    drawn: list[tuple[Asked, Any, int, int | None]],
) -> None:
    calls = history(
        *((asked, answer, sent, None if took is None else sent + took) for asked, answer, sent, took in drawn)
    )
    assert judge(calls, JOINED, rule).holds == judge_slowly(calls, JOINED, rule)


@given(st.lists(ASKED, max_size=5), widths, st.data())
@settings(max_examples=60)
def test_and_on_small_histories_that_are_nearly_true(
    asked: list[Asked], wide: list[tuple[int, int]], data: st.DataObject
) -> None:
    calls = lived(asked, wide, JOINED)
    if calls:
        which = data.draw(st.integers(0, len(calls) - 1))
        answer = data.draw(st.sampled_from([c.answer for c in calls]))
        calls[which] = replace(calls[which], answer=answer)
    assert judge(calls, JOINED, rule).holds == judge_slowly(calls, JOINED, rule)


def test_a_thousand_calls_of_eight_clients_are_judged_and_one_lie_among_them_is_found() -> None:
    asked: list[Asked] = [("bid", "ab"[n % 2], START + STEP * (n // 3)) for n in range(1_000)]
    asked[500:500] = [("look",)] * 8
    calls = lived(asked, [(40, 40)] * len(asked), JOINED)
    assert judge(calls, JOINED, rule).holds
    calls[700] = replace(calls[700], answer="closed")
    assert not judge(calls, JOINED, rule).holds


def test_each_object_of_a_history_is_judged_alone() -> None:
    calls = history(
        (("write", 1, "x"), 0, 0, 1), (("read", 0, "y"), 5, 2, 3), (("read", 0, "x"), 1, 2, 3), (("write", 5, "y"), 0, 1, 9)
    )  # fmt: skip
    parts = by_object(calls, lambda asked: asked[2])
    assert {name: len(part) for name, part in parts.items()} == {"x": 2, "y": 2}
    assert all(
        judge(part, 0, lambda value, asked: register(value, asked[:2])).holds for part in parts.values()
    )
