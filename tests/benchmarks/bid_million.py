"""Bids acknowledged a second where the log has a million leaves, against a log that is new.

Two markets alike, but that one of them had a million entries before: as many leaves in the tree, chunks, tiles, identifiers
that can be looked up, and bids in another lot's book. 256 clients bid at each in turn, five times.
"""

from __future__ import annotations

import time

import psycopg
from _bids import Market, load, market  # type: ignore[import-not-found]  # beside this script, which runs by its path
from _ratio import report, say  # type: ignore[import-not-found]

from exchange.embedded import OWNER
from ledger import log
from ledger.entries import Entry

CLIENTS = 256
SECONDS = 4.0
REPETITIONS = 5
LEAVES = 1_000_000
BATCH = 4_000


def fill(ours: Market) -> None:
    """Append a million bids of the past, as the gate would have, but in large batches and without deciding them."""
    with psycopg.connect(ours.postgres.url(OWNER), prepare_threshold=1) as connection:
        row = connection.execute(log.LOCK_HEAD).fetchone()
        assert row is not None
        head = log.Head.from_row(row)
        start, salt = head.edge.size, b"s" * 32
        while head.edge.size - start < LEAVES:
            first = head.edge.size
            entries = [
                Entry(
                    "bid",
                    head.time_us,
                    salt,
                    b'{"act":{"code":"B000001","lot":"lot-before","price_fen":"%d","state":"admitted"},"by":"B000001",'
                    b'"key":"before-%d","kind":"bid","time":"%d"}' % (n, n, head.time_us),
                )
                for n in range(first, first + BATCH)
            ]
            appended = log.append(head, entries, head.time_us)
            for statement, values in appended.statements:
                connection.execute(statement, values)
            head = appended.head
        connection.execute(
            'INSERT INTO lot SELECT (jsonb_populate_record(l, \'{"id": "lot-before"}\')).* FROM lot l'
        )
        connection.execute(
            "INSERT INTO request (party, key, digest, log_index) SELECT 'org-' || n %% 200, 'before-' || n,"
            " sha256(n::text::bytea), n FROM generate_series(%s::bigint, %s::bigint) n",
            (start, head.edge.size - 1),
        )
        connection.execute(
            "INSERT INTO bid (log_index, lot, code, key, price_fen, time_us) SELECT n, 'lot-before', 'B000001',"
            " 'before-' || n, n, 1 FROM generate_series(%s::bigint, %s::bigint) n",
            (start, head.edge.size - 1),
        )
    with psycopg.connect(ours.postgres.url(OWNER), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def main() -> None:
    """Measure and report."""
    ratios = []
    firsts = [1, 1]
    with market(CLIENTS) as old, market(CLIENTS) as new:
        began = time.perf_counter()
        fill(old)
        say(f"a log of {LEAVES} leaves after {time.perf_counter() - began:.0f} s")
        with old.serving() as at_old, new.serving() as at_new:
            for repetition in range(-1, REPETITIONS):
                rates = []
                for which, (ours, ports) in enumerate(((old, at_old), (new, at_new))):
                    # The first run is longer: the worker writes the tiles of the million meanwhile.
                    seconds = SECONDS if repetition >= 0 else 3 * SECONDS
                    result = load(ports, ours.keys, firsts[which], clients=CLIENTS, seconds=seconds)
                    firsts[which] = result["next"]
                    assert set(result["statuses"]) <= {"201", "422"}, result["statuses"]
                    ours.verify(result["answers"])
                    rates.append(result["rate"])
                say(
                    f"{'warm-up' if repetition < 0 else repetition + 1}: {rates[0]:.0f}/s against {rates[1]:.0f}/s"
                )
                if repetition >= 0:
                    ratios.append(rates[0] / rates[1])
    report(
        "bid_million",
        ratios,
        better="higher",
        against="the same with a new log",
        clients=CLIENTS,
        leaves=LEAVES,
    )


if __name__ == "__main__":
    main()
