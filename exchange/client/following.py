"""Follows a log over the network: fetches what is new, judges it on top of what is remembered, and remembers that.

Whoever may read bodies (a regulator, with a key) follows by audit bundles, money included; everybody else by the
public leaves of c2sp.org/tlog-tiles, which say that the log only grew, and what happened when.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from exchange.client.errors import Conflict, Unproven
from exchange.client.exchange import Exchange
from ledger.audit import State, audit_on
from ledger.bundle import SEGMENT, BundleWriter, Shown
from ledger.checkpoint import Checkpoint
from ledger.errors import LedgerError
from ledger.merkle import Edge
from ledger.policy import Policy
from ledger.tiles import TILE, decode_entries
from ledger.verdict import Verdict

Progress = Callable[[str, int, int], None]
"""`progress(what, done, total)`, `what` being "fetched" or "judged"; both numbers count entries."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the log brought: the entries [start, size), and the verdict on them (None: nothing new).

    `bundle` holds them; where the verdict is not ok it is the evidence, and nothing of it was remembered.
    """

    start: int
    size: int
    verdict: Verdict | None = None
    bundle: Path | None = None


class Follower:
    """One reader's memory of one log, in a folder of its own; one process a folder.

    `seen` holds the log's key and its newest checkpoint, `state` what the judge knew there, `bundles/` all
    that was fetched and judged sound, `evidence/` what was not.
    """

    def __init__(
        self,
        url: str,
        folder: Path,
        vkeys: Sequence[str],
        key: str | None = None,
        *,
        policy: Policy | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        """`vkeys` are the log's key, got elsewhere than from the exchange, and behind it those of witnesses. With
        `policy` its quorum has to have cosigned the log by the first look; what is newer than that is counted.

        Nothing is sent yet. Unproven where the folder was filled under another key, BundleError where what is
        remembered cannot be read.
        """
        for name in ("bundles", "evidence"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._vkeys = list(vkeys)
        self._folder = folder
        self._reads_bodies = key is not None
        self._policy = policy
        self._exchange = Exchange(
            url, key, self._vkeys[0], policy=policy, timeout_s=timeout_s, remember=folder / "seen"
        )
        state = folder / "state"
        self._state = State.from_bytes(state.read_bytes()) if state.exists() else None

    def close(self) -> None:
        """Let go of the connections."""
        self._exchange.close()

    @property
    def bundles(self) -> list[Path]:
        """All that was fetched and judged sound, in the order of the log."""
        return sorted((self._folder / "bundles").iterdir())

    def look(self, progress: Progress = lambda what, done, total: None) -> Look:
        """Fetch and judge what is new.

        Forked (with both signed notes) where the log shows another history than it did, or took some back;
        Unproven where a checkpoint is not signed by the log's key, or where what was fetched does not go on from
        what is remembered; Unreachable where nobody answers.
        """
        newest = self._exchange.checkpoint()
        start = 0 if self._state is None else self._state.size
        if newest.size <= start:  # the same, or an older one that was proven to be on this history
            return Look(start, start)
        fetched = self._folder / "fetched.zip"
        if self._reads_bodies:
            self._exchange.audit_bundle(fetched, start=start)
        else:
            self._fetch_leaves(newest, start, fetched, progress)
        try:
            verdict, state = audit_on(
                fetched,
                self._vkeys,
                self._state,
                progress=lambda done, total: progress("judged", done, total),
                held=[self._exchange.newest_note()],
                policy=self._policy,
            )
        except LedgerError as error:
            os.replace(fetched, self._folder / "evidence" / f"{start:016}-unread.zip")
            raise Unproven(str(error), field="bundle") from error
        kept = self._folder / ("evidence" if state is None else "bundles")
        kept /= f"{start:016}-{verdict.size:016}.zip"
        _put(fetched, kept)
        if state is not None:
            self._remember(state)
        return Look(start, verdict.size, verdict, kept)

    def _fetch_leaves(self, newest: Checkpoint, start: int, path: Path, progress: Progress) -> None:
        """Make a bundle of the public leaves of [start, newest.size) from the log's entry bundles."""
        edge = Edge.empty() if self._state is None else self._state.edge
        notes = {newest.size: self._exchange.newest_note()}
        if self._policy is not None:
            with suppress(Conflict):  # not witnessed yet: the judge says so
                note = self._exchange.witnessed()
                notes[Checkpoint.parse(note.partition("\n\n")[0] + "\n").size] = note
        with BundleWriter(path, origin=newest.origin, vkeys=self._vkeys, sandbox=False, start=edge) as bundle:
            while bundle.size < newest.size:
                upto = min(newest.size, (bundle.size // SEGMENT + 1) * SEGMENT)
                leaves: list[Shown] = []
                while (at := bundle.size + len(leaves)) < upto:
                    n, skip = divmod(at, TILE)
                    width = min(TILE, newest.size - n * TILE)
                    served = decode_entries(self._exchange.entry_bundle(n, width))
                    if len(served) != width:
                        raise Unproven(f"{len(served)} entries in bundle {n}, not {width}", field="entries")
                    leaves += [Shown(leaf, None, None) for leaf in served[skip:]]
                    progress("fetched", at - start, newest.size - start)
                own = [notes[size] for size in sorted(notes) if bundle.size < size <= upto]
                bundle.segment(leaves, own, [])
        progress("fetched", newest.size - start, newest.size - start)

    def _remember(self, state: State) -> None:
        fresh = self._folder / "state.new"
        fresh.write_bytes(state.to_bytes())
        _put(fresh, self._folder / "state")
        self._state = state


def _put(fresh: Path, place: Path) -> None:
    """Move a file to its place, whole on the disk before this returns: what a witness signed for is not lost."""
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(fresh, place)
    folder = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
