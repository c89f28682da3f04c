"""Declaring assets where 300,000 are registered, against where 5,600 are; and a list of them against COPY of the same rows.

Both over HTTP, each row durable, logged and with a receipt. Declarations one by one are acknowledged one after the other by
both markets in turn. Lists of 2,000 rows go to the larger market; COPY writes as many rows into its table of assets, whose
indexes and catalogue are kept up on either side (`bulk_rows`, rows a second against COPY's).
"""

from __future__ import annotations

import hashlib
import random
import time
from statistics import median

import httpx
import orjson
import psycopg
from _catalogue import LARGE, SECRET, SMALL, asset, copy_assets, market  # type: ignore[import-not-found]  # beside this script
from _ratio import report, say  # type: ignore[import-not-found]

from exchange.embedded import OWNER
from exchange.tables import Asset

REPETITIONS = 7
SINGLES, ROWS = 60, 2_000


def declare(http: httpx.Client, first: int) -> float:
    """Seconds that declarations take, one after the other."""
    began = time.perf_counter()
    for number in range(first, first + SINGLES):
        told = {"title": f"天河区公交客流明细 {number}", "kind": "transport", "summary": "每月更新 sensors"}
        answer = http.post("/v1/assets", json=told, headers={"Idempotency-Key": f"single-{number}"})
        assert answer.status_code == 201, answer.text
    return time.perf_counter() - began


def send(http: httpx.Client, made: list[Asset], repetition: int) -> float:
    """Seconds that a list takes from its first byte to its last receipt."""
    rows = [
        {"id": f"{repetition}-{one.id}", "title": one.title, "kind": one.kind, "summary": one.summary, "update_days": one.update_days}
        for one in made
    ]  # fmt: skip
    data = b"\n".join(map(orjson.dumps, rows))
    name = hashlib.sha256(data).hexdigest()
    began = time.perf_counter()
    assert http.put(f"/v1/lists/{name}?offset=0", content=data).json()["complete"]
    declared, following = 0, "1"
    while following is not None:
        told = http.post(f"/v1/lists/{name}/declarations", json={"first": following}).json()
        declared, following = declared + len(told["declared"]), told["next"]
    assert declared == len(made)
    return time.perf_counter() - began


def copy(connection: psycopg.Connection[tuple[object, ...]], made: list[Asset]) -> float:
    """Seconds that COPY of the same rows takes, committed."""
    began = time.perf_counter()
    copy_assets(connection, list(Asset.model_fields), made)
    connection.commit()
    return time.perf_counter() - began


def main() -> None:
    """Measure and report."""
    chance = random.Random(2)
    key = {"Authorization": f"Bearer {SECRET}-7"}
    with (
        market(SMALL) as few,
        market(LARGE) as many,
        few.serving() as port,
        many.serving() as other,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=key, timeout=60) as small,
        httpx.Client(base_url=f"http://127.0.0.1:{other}", headers=key, timeout=60) as large,
        psycopg.connect(many.postgres.url(OWNER)) as connection,
    ):
        ratios, bulk, rates = [], [], []
        for repetition in range(-1, REPETITIONS):
            first = (repetition + 1) * SINGLES
            scaled, flat = declare(large, first), declare(small, first)
            start = LARGE + (repetition + 1) * 2 * ROWS
            listed = [asset(number, chance) for number in range(start, start + ROWS)]
            copied = [asset(number, chance) for number in range(start + ROWS, start + 2 * ROWS)]
            sent, wrote = send(large, listed, repetition + 1), copy(connection, copied)
            say(
                f"{repetition + 1}: {1000 * flat / SINGLES:.1f} and {1000 * scaled / SINGLES:.1f} ms; {ROWS / sent:.0f} rows/s, COPY {ROWS / wrote:.0f}"
            )
            if repetition >= 0:
                ratios.append(scaled / flat)
                bulk.append(wrote / sent)
                rates.append(ROWS / sent)
    report(
        "scale_register",
        ratios,
        better="lower",
        against=f"the same declarations where {SMALL} assets are registered",
        assets=LARGE,
        bulk_rows=round(median(bulk), 3),
        bulk_rows_range=[round(min(bulk), 3), round(max(bulk), 3)],
        bulk_rows_per_s=round(median(rates)),
    )


if __name__ == "__main__":
    main()
