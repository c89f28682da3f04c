"""What "nothing lost" means, as a judgement: what the clients were told against what the log says, by a stranger's means.

Every act whose success reached a client exists once, in the log at the index of its receipt, and every receipt lies on
the final checkpoint; every act that nobody answered is settled by looking it up; and nothing is in the log that nobody
asked for.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import orjson

from exchange.client import Done
from exchange.replay import from_bundle
from ledger.audit import audit
from ledger.audit.disclosed import bodies
from ledger.checkpoint import Verifier
from ledger.entries import Receipt, receipt_from_json, verify_receipt
from ledger.errors import LedgerError

LOOKERS = 8
"""How many identifiers are looked up at a time."""


class LookUp(Protocol):
    """Asks the exchange what came of one identifier, as the client who used it. Called from several threads."""

    def __call__(self, identifier: str, /) -> Done | None: ...


@dataclass(frozen=True, slots=True)
class Told:
    """One act as its client remembers it: acknowledged with an answer, unknown, or answered as it must never be."""

    identifier: str
    receipt: Receipt | None
    wrong: str | None = None

    @property
    def unknown(self) -> bool:
        return self.receipt is None and self.wrong is None


@dataclass(frozen=True, slots=True)
class Promises:
    """How a drill ended for those who trusted the exchange; `faults` are the first that were found, in words."""

    acknowledged: int
    unknown: int
    took_effect: int
    """Of the unknown, those that were found to have taken effect."""
    lost: int
    ghosts: int
    wrong: int
    unresolved: int
    lookup_ms: int
    size: int
    faults: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether all of it holds."""
        return not (self.lost or self.ghosts or self.wrong or self.unresolved or self.faults)


def told(journal: Path) -> Iterator[Told]:
    """What the clients noted, in the order in which it came to its end. A line that was cut off is left out."""
    with journal.open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                return
            state, identifier, *rest = line[:-1].split(b"\t", 2)
            match state:
                case b"A":
                    answer = orjson.loads(rest[0])
                    yield Told(identifier.decode(), receipt_from_json(answer["receipt"]))
                case b"U":
                    yield Told(identifier.decode(), None)
                case _:
                    yield Told(identifier.decode(), None, rest[0][:300].decode(errors="replace"))


def judge(
    acts: Iterable[Told],
    bundle: Path,
    vkey: str,
    look_up: LookUp,
    *,
    since: int,
    until: int | None = None,
) -> Promises:
    """Judge what clients were told by an audit bundle of the whole log.

    `since` is the size of the log before the first of these acts, `until` where the judgement ends (a restore to an
    earlier moment, say, is to bring what came before it). What the market's own clock did was asked for by nobody and
    is no ghost.
    """
    verifier = [Verifier.parse(vkey)]
    faults: list[str] = []
    logged: dict[str, int] = {}
    said: dict[int, Mapping[str, object]] = {}
    ghosts = 0
    for index, body in bodies(bundle):
        if index < since or body["by"] == "clock":
            continue
        key = str(body["key"])
        if key in logged:
            ghosts += 1
            faults.append(f"entry {index}: {key} took effect at {logged[key]} already")
        logged[key] = index
        said[index] = body

    acknowledged, lost, wrong = 0, 0, 0
    held: dict[int, str] = {}
    silent: list[str] = []
    asked: set[str] = set()
    for act in acts:
        asked.add(act.identifier)
        if act.receipt is None:
            if act.unknown:
                silent.append(act.identifier)
            else:
                wrong += 1
                faults.append(f"{act.identifier} was answered {act.wrong}")
            continue
        if until is not None and act.receipt.index >= until:
            continue
        acknowledged += 1
        try:
            verify_receipt(act.receipt, verifier)
            said_there = act.receipt.said()
        except LedgerError as error:
            faults.append(f"{act.identifier}: its receipt does not hold: {error}")
            continue
        if until is None or act.receipt.size <= until:
            held[act.receipt.size] = act.receipt.checkpoint
        if said.get(act.receipt.index) != said_there or said_there["key"] != act.identifier:
            lost += 1
            faults.append(f"{act.identifier} is not at entry {act.receipt.index}")
    for key, index in logged.items():
        if key not in asked:
            ghosts += 1
            faults.append(f"entry {index}: nobody asked for {key}")

    # The judge's own consistency check: every root that a receipt stands under is a root of this log.
    verdict = audit(bundle, [vkey], held=list(held.values()))
    faults.extend(verdict.explain("en").splitlines()[:5] if not verdict.ok else ())
    faults.extend(str(difference) for difference in from_bundle(bundle).differences[:5])

    begun = time.monotonic()
    took_effect, unresolved = 0, 0
    with ThreadPoolExecutor(LOOKERS) as pool:  # a surge leaves thousands
        looked_up = list(pool.map(look_up, silent))
    for identifier, done in zip(silent, looked_up, strict=True):
        found = None if done is None else done.index
        took_effect += found is not None
        if found != logged.get(identifier):
            unresolved += 1
            faults.append(f"{identifier}: looked up at {found}, logged at {logged.get(identifier)}")
    return Promises(
        acknowledged=acknowledged,
        unknown=len(silent),
        took_effect=took_effect,
        lost=lost,
        ghosts=ghosts,
        wrong=wrong,
        unresolved=unresolved,
        lookup_ms=round(1000 * (time.monotonic() - begun)),
        size=verdict.size,
        faults=tuple(faults[:20]),
    )
