"""The judge against whoever changes anything and has all but the keys, seed by seed.

From a seed come a log, its segments' length, and a change to its history or to its tables; all that needs no key
is made to fit. The judge must find it, by the right check, and at an index or in a batch that holds it.
"""

from __future__ import annotations

import os
import random
from copy import deepcopy
from pathlib import Path

import pytest

import ledger.audit.reading
import ledger.bundle
from ledger.audit import audit
from ledger.verdict import Verdict
from tests.ledger.logbook import LOG, Market, Records, failed, leaves_of, read, recompute, write
from tests.ledger.mutations import ANYWHERE, TABLES, Change, TableChange, damage_chunk


def judged(records: Records, folder: Path, seed: int, what: str) -> tuple[Verdict, str]:
    """The verdict, and what to say where it is wrong."""
    verdict = audit(write(records, folder / "m.zip"), [LOG.vkey], processes=1)
    again = (
        f"EXCHANGE_SEED={seed} .venv/bin/python -m pytest tests/ledger/test_audit_mutation.py -k every_seed"
    )
    return verdict, f"{what}; again: {again}\n{verdict.explain('en')}"


def changed_history(seed: int, chance: random.Random, change: Change, folder: Path) -> None:
    market = Market(chance, large=0.3 if change is damage_chunk else 0.03).run(chance.randrange(4, 22))
    honest = read(market.export(folder / "b.zip"))
    records = deepcopy(honest)
    index = change(records, chance)
    recompute(records)
    verdict, told = judged(records, folder, seed, f"{change.__name__} at {index}")
    if index is None or leaves_of(records) == leaves_of(honest):
        assert not failed(verdict), told
        return
    check = verdict.check("checkpoints")
    assert check.status == "failed", told
    assert check.first_bad_index is not None, told
    assert check.last_bad_index is not None, told
    # a change behind the last checkpoint lies in entries that none signs for
    last = max(check.last_bad_index, len(records["entries.jsonl"]) - 1)
    assert check.first_bad_index <= index <= last, told
    batch = max((size for size in market.sizes if size <= index), default=0)
    assert check.first_bad_index == min(batch, len(records["entries.jsonl"])), told


def changed_table(seed: int, chance: random.Random, change: TableChange, folder: Path) -> None:
    market = Market(chance, large=0.03).run(chance.randrange(6, 22))
    records = read(market.export(folder / "b.zip"))
    found = change(market, records, chance)
    verdict, told = judged(records, folder, seed, f"{change.__name__}, expected {found}")
    if found is None:
        assert not failed(verdict), told
        return
    check = verdict.check(found.check)
    assert failed(verdict) == {found.check}, told
    assert check.first_bad_index == found.at, told


def play(seed: int, folder: Path) -> None:
    """One seed: every third one changes a table, the others history; every second log has many segments."""
    chance = random.Random(f"mutation {seed}")
    with pytest.MonkeyPatch.context() as patch:
        if seed % 2:
            patch.setattr(ledger.bundle, "SEGMENT", 16)
            patch.setattr(ledger.audit.reading, "SEGMENT", 16)
        if seed % 3:
            changed_history(seed, chance, ANYWHERE[seed // 3 % len(ANYWHERE)], folder)
        else:
            changed_table(seed, chance, TABLES[seed // 3 % len(TABLES)], folder)


SEEDS = [int(os.environ["EXCHANGE_SEED"])] if "EXCHANGE_SEED" in os.environ else range(420)


def test_a_change_is_found_where_it_was_made_whatever_was_recomputed_in_every_seed(tmp_path: Path) -> None:
    for seed in SEEDS:
        play(seed, tmp_path)


@pytest.mark.drill
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("thousand", range(1, 11))
def test_ten_thousand_more_changes_are_found(thousand: int, tmp_path: Path) -> None:
    """About six minutes in all."""
    for seed in range(1000 * thousand, 1000 * (thousand + 1)):
        play(seed, tmp_path)
