"""Judges the openings of the salted commitments that bodies carry in place of names and texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ledger.audit.entry import HEX_256, commitment
from ledger.audit.findings import Findings, why
from ledger.errors import CanonicalError

_QUOTED_HEX_256 = re.compile('"([0-9a-f]{64})"')


class Openings:
    """The claimed openings, and the entries in which their commitments were seen."""

    def __init__(self, rows: Iterator[tuple[int, dict[str, Any]]], findings: Findings) -> None:
        self.findings = findings
        self.seen: dict[str, int | None] = {}  # commitment → index of the entry that carries it
        self.wrong: list[str] = []
        self.erased = 0
        self._read(rows)

    def _read(self, rows: Iterator[tuple[int, dict[str, Any]]]) -> None:
        for number, line in rows:
            name, salt, value = line.get("commitment"), line.get("salt"), line.get("value")
            if not isinstance(name, str) or not HEX_256.fullmatch(name):
                self.findings.fault(
                    "openings", "opening_form", line=number, why="commitment is 64 hex digits"
                )
                continue
            self.seen[name] = None
            if salt is None and value is None:
                self.erased += 1
            elif not isinstance(salt, str) or not HEX_256.fullmatch(salt) or not isinstance(value, str):
                self.findings.fault(
                    "openings", "opening_form", line=number, why="salt is 64 hex digits, value text"
                )
            else:
                try:
                    if commitment(bytes.fromhex(salt), value) != name:
                        self.wrong.append(name)
                except CanonicalError as error:
                    self.findings.fault("openings", "opening_form", line=number, why=why(error))

    def see(self, found: Iterable[tuple[str, int]]) -> None:
        """Note the strings of 64 hex digits that bodies carry, each with the index of its entry."""
        for name, index in found:
            if self.seen.get(name, 0) is None:
                self.seen[name] = index

    def see_whole(self, index: int, text: str) -> None:
        """The same for the text of a large body."""
        self.see((name, index) for name in _QUOTED_HEX_256.findall(text))

    def judge(self, complete: bool) -> None:
        """Judge them after the replay; `complete` says that it read every body."""
        for name in self.wrong:
            self.findings.fault("openings", "opening_value", self.seen[name], commitment=name)
        unseen = [name for name, index in self.seen.items() if index is None]
        checked = len(self.seen) - self.erased
        if complete:
            for name in unseen:
                self.findings.fault("openings", "opening_unknown", commitment=name)
        if not self.seen:
            self.findings.left("openings", "openings_none")
        elif unseen:
            seen = len(self.seen) - len(unseen)
            self.findings.left("openings", "openings_unseen", len(unseen), checked=seen, unseen=len(unseen))
        elif self.erased:
            self.findings.left(
                "openings", "openings_erased", self.erased, checked=checked, erased=self.erased
            )
        else:
            self.findings.passed("openings", "openings_ok", count=checked)
