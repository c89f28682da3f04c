"""Searches with facets over HTTP among 300,000 registered assets, against the same searches among 5,600.

Two markets of one kind, each served by a process of its own; a round asks each of both the same questions, one after the
other, and the ratio is of the rounds' whole times. The questions are what a catalogue is asked: its front page, one and two
filters, a department's assets, a subject of a place and year, and a subject with a filter and a second word. One broad word
alone, which a tenth of all assets have, is timed beside them (`broad_word`): every one of those has to be counted.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

import httpx
from _catalogue import LARGE, SMALL, market  # type: ignore[import-not-found]  # beside this script
from _ratio import report, say  # type: ignore[import-not-found]

QUESTIONS: Sequence[dict[str, str]] = (
    {},
    {"kind": "health"},
    {"opening": "open", "price": "free"},
    {"supplier": "org-7"},
    {"freshness": "stale", "grade": "important"},
    {"text": "越秀区公交客流统计 2020"},
    {"text": "天河区气象观测 flights"},
    {"text": "台风路径 permits 2019", "opening": "conditional"},
    {"text": "DA-2026-HE-00000001"},
)
BROAD = {"text": "统计"}
REPETITIONS = 9


def ask(http: httpx.Client, questions: Sequence[dict[str, str]]) -> float:
    """Seconds that the questions take, their answers read."""
    began = time.perf_counter()
    for question in questions:
        answer = http.get("/v1/assets", params=question)
        assert answer.status_code == 200, answer.text
        assert answer.json()["facets"]
    return time.perf_counter() - began


def main() -> None:
    """Measure and report."""
    with (
        market(SMALL) as few,
        market(LARGE) as many,
        few.serving() as port,
        many.serving() as other,
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as small,
        httpx.Client(base_url=f"http://127.0.0.1:{other}") as large,
    ):
        for question in (*QUESTIONS, BROAD):
            totals = [http.get("/v1/assets", params=question).json()["total"] for http in (small, large)]
            say(f"{question}: {totals[0]} of {SMALL}, {totals[1]} of {LARGE}")
        for _ in range(3):
            ask(small, QUESTIONS)
            ask(large, QUESTIONS)
        ratios, pages_ms, broad = [], [], []
        for repetition in range(REPETITIONS):
            flat, scaled = ask(small, QUESTIONS), ask(large, QUESTIONS)
            ratios.append(scaled / flat)
            pages_ms.append(1000 * scaled / len(QUESTIONS))
            broad.append(ask(large, [BROAD]) / ask(small, [BROAD]))
            say(f"{repetition + 1}: {1000 * flat:.0f} ms and {1000 * scaled:.0f} ms, {ratios[-1]:.2f}")
    report(
        "scale_search",
        ratios,
        better="lower",
        against=f"the same searches among {SMALL} assets",
        assets=LARGE,
        page_ms=round(median(pages_ms), 1),
        broad_word=round(median(broad), 1),
    )


if __name__ == "__main__":
    main()
