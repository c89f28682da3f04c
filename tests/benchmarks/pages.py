"""The console's pages where 300,000 assets are registered, against where 5,600 are: the same statements, and the time.

Two markets of one kind, each served by a process of its own without a worker. PostgreSQL's own log counts the statements that
a page asks, which have to be the same in both. A round asks all pages of both markets in turn; the ratio is of the rounds' times.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx
import psycopg
from _catalogue import LARGE, SMALL, Market, market  # type: ignore[import-not-found]  # beside this script
from _ratio import report, say  # type: ignore[import-not-found]

from exchange.embedded import DATABASE, SUPERUSER

PAGES = (
    "/zh/",
    "/en/catalogue",
    "/zh/catalogue?kind=health",
    "/zh/catalogue?text=越秀区公交客流统计+2020",
    "/zh/catalogue?opening=open&price=free&supplier=org-7",
    "/zh/assets/ast-0000000000000064",
    "/zh/notices",
    "/en/log",
    "/zh/statistics",
)
REPETITIONS, WARM = 9, 3


@contextmanager
def told(market: Market) -> Iterator[Path]:
    """The log in which PostgreSQL says every statement of a server that starts behind this."""
    with psycopg.connect(market.postgres.url(SUPERUSER), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {DATABASE} SET log_statement = 'all'")
        yield market.postgres.folder / "server.log"
        connection.execute(f"ALTER DATABASE {DATABASE} RESET log_statement")


def statements(http: httpx.Client, log: Path, page: str) -> int:
    """How many statements a page asks: the least of a few looks, since a clock of the server's may ask between."""
    counts = []
    for _ in range(5):
        before = log.stat().st_size
        assert http.get(page).status_code == 200, page
        time.sleep(0.05)
        with log.open("rb") as file:
            file.seek(before)
            said = file.read()
        counts.append(said.count(b"LOG:  execute ") + said.count(b"LOG:  statement: "))
    return min(counts)


def ask(http: httpx.Client) -> list[float]:
    """Seconds that each page takes."""
    took = []
    for page in PAGES:
        began = time.perf_counter()
        assert http.get(page).status_code == 200, page
        took.append(time.perf_counter() - began)
    return took


def main() -> None:
    """Count, measure and report."""
    with market(SMALL) as few, market(LARGE) as many:
        counts = []
        for each in (few, many):
            with (
                told(each) as log,
                each.serving("--no-work") as port,
                httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http,
            ):
                ask(http)
                counts.append({page: statements(http, log, page) for page in PAGES})
        say(f"statements: {counts[0]}")
        assert counts[0] == counts[1], counts
        assert min(counts[0].values()) > 0
        with (
            few.serving("--no-work") as port,
            many.serving("--no-work") as other,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as small,
            httpx.Client(base_url=f"http://127.0.0.1:{other}", timeout=60) as large,
        ):
            for _ in range(WARM):
                ask(small)
                ask(large)
            flat, scaled = [], []
            for repetition in range(REPETITIONS):
                flat.append(ask(small))
                scaled.append(ask(large))
                say(f"{repetition + 1}: {1000 * sum(flat[-1]):.0f} ms and {1000 * sum(scaled[-1]):.0f} ms")
    for page, few_s, many_s in zip(PAGES, zip(*flat, strict=True), zip(*scaled, strict=True), strict=True):
        say(f"{page}: {1000 * median(few_s):.1f} ms and {1000 * median(many_s):.1f} ms")
    ratios = [sum(many_s) / sum(few_s) for few_s, many_s in zip(flat, scaled, strict=True)]
    report(
        "pages",
        ratios,
        better="lower",
        against=f"the same pages where {SMALL} assets are registered",
        assets=LARGE,
        page_ms=round(1000 * median(map(sum, scaled)) / len(PAGES), 1),
        statements=max(counts[0].values()),
    )


if __name__ == "__main__":
    main()
