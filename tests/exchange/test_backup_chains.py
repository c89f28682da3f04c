"""Which backup leads where: pure, for every shape of a store."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.backup.chains import (
    Backup,
    Index,
    Moment,
    beginning,
    chain_of,
    gap,
    last_needed,
    living,
    on_the_way,
    outdated,
    position,
    segment_at,
)
from exchange.errors import Conflict

SEGMENT = 16 << 20


def made(number: int, below: Backup | None, *, timeline: int = 1) -> Backup:
    """The backup that began at 10 × number, ended 3 later, while the log grew from 100 × number by 5 entries."""
    at = number * 4 * SEGMENT
    return Backup(
        name=f"{number:03}",
        below=None if below is None else below.name,
        started_us=10 * number,
        ended_us=10 * number + 3,
        verified_us=10 * number + 4,
        checkpoint=None,
        size_before=100 * number,
        size_after=100 * number + 5,
        server_version="18",
        timeline=timeline,
        start_lsn=f"0/{at + 40:X}",
        end_lsn=f"0/{at + SEGMENT:X}",
        products=0,
        stored_bytes=1,
    )


def store_of(full: list[bool]) -> list[Backup]:
    """Backups in order; each that is not full stands on the one before it."""
    among: list[Backup] = []
    for number, whole in enumerate(full, start=1):
        among.append(made(number, None if whole or not among else among[-1]))
    return among


shapes = st.lists(st.booleans(), min_size=1, max_size=12).map(store_of)


@given(shapes, st.integers(0, 140))
def test_retention_keeps_every_moment_of_the_last_days_reachable(among: list[Backup], horizon: int) -> None:
    doomed, oldest = outdated(among, horizon)
    kept = [b for b in among if b not in doomed]
    assert oldest is not None
    for moment in range(max(horizon, among[0].ended_us), 150):
        first = beginning(kept, Moment(moment))
        assert first == beginning(among, Moment(moment))
        assert chain_of(first, kept)[0].below is None
        assert position(first.first_segment) >= position(oldest)
    assert any(b.below is None for b in kept)


@given(shapes, st.integers(0, 140))
def test_retention_keeps_nothing_that_no_such_moment_needs(among: list[Backup], horizon: int) -> None:
    doomed, oldest = outdated(among, horizon)
    kept = [b for b in among if b not in doomed]
    moments = range(max(horizon, among[0].ended_us), 150)
    needed = {b.name for m in moments for b in chain_of(beginning(among, Moment(m)), among)}
    assert {b.name for b in kept} == needed
    assert oldest == min((beginning(among, Moment(m)).first_segment for m in moments), key=position)


@given(shapes, st.integers(0, 140))
def test_what_is_removed_in_order_never_leaves_a_backup_without_its_ground(
    among: list[Backup], horizon: int
) -> None:
    left = list(among)
    for gone in outdated(among, horizon)[0]:
        left.remove(gone)
        for b in left:
            chain_of(b, left)


def test_a_restore_begins_with_the_newest_backup_that_had_ended() -> None:
    among = store_of([True, False, True])
    assert beginning(among, None) == among[2]
    assert beginning(among, Moment(33)) == among[2]
    assert beginning(among, Moment(32)) == among[1]  # the third was still being copied
    assert beginning(among, Index(305)) == among[2]
    assert beginning(among, Index(304)) == among[1]  # it may be in the third already
    for aim in (Moment(12), Index(104)):
        with pytest.raises(Conflict) as caught:
            beginning(among, aim)
        assert caught.value.code == "backup.moment"
    with pytest.raises(Conflict, match="no whole backup"):
        beginning([], None)


def test_no_more_log_is_fetched_than_to_the_next_backup_that_is_surely_later() -> None:
    among = store_of([True, True, True])
    assert last_needed(among, Moment(15)) == among[1].first_segment
    assert last_needed(among, Moment(20)) == among[2].first_segment
    assert last_needed(among, Index(199)) == among[1].first_segment
    assert last_needed(among, Index(200)) == among[2].first_segment
    assert last_needed(among, Index(300)) is None
    assert last_needed(among, None) is None


def test_a_chain_whose_ground_is_gone_is_named() -> None:
    among = store_of([True, False, False])
    assert chain_of(among[2], among) == among
    with pytest.raises(Conflict, match="003 stands on 002"):
        chain_of(among[2], [among[0], among[2]])


def test_what_a_restore_left_behind_leads_nowhere() -> None:
    first, second, third = store_of([True, True, True])
    fork = 2 * 4 * SEGMENT + SEGMENT + 100  # after the second backup had ended
    left = {1: fork, 2: 1 << 63}
    after = replace(made(4, None), timeline=2)
    assert living([first, second, third, after], left) == [first, second, after]
    assert living([first, second, third], {}) == [first, second, third]
    assert on_the_way(segment_at(1, fork), left)
    assert not on_the_way(segment_at(1, fork + SEGMENT), left)
    assert on_the_way(segment_at(2, fork + SEGMENT), left)
    assert not on_the_way(segment_at(3, fork + SEGMENT), left)


def test_segments_are_counted_over_the_ends_of_their_files() -> None:
    assert segment_at(1, (1 << 32) - 1) == "0000000100000000000000FF"
    assert segment_at(2, 1 << 32) == "000000020000000100000000"
    names = [segment_at(1, n * SEGMENT) for n in range(250, 260)]
    assert gap(names) is None
    assert gap([name for name in names if name != "000000010000000100000000"]) == "0000000100000000"
    assert gap([]) is None
