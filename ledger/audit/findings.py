"""What the judge finds, check by check: faults, and what passed or was not made where there are none."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.errors import LedgerError
from ledger.verdict import CHECKS, Check


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: what is said of it, with which facts, and the entries among which it lies."""

    saying: str
    facts: dict[str, str | int]
    first: int | None
    last: int | None


class Findings:
    """What is known so far of each check: the fault with the smallest index and how many there are, or that it stands."""

    def __init__(self) -> None:
        self.first: dict[str, Fault] = {}
        self._counts: dict[str, int] = {}
        self._sound: dict[str, Check] = {}

    def fault(
        self, check: str, saying: str, index: int | None = None, last: int | None = None, **facts: str | int
    ) -> None:
        """The check failed, at this entry, between two, or nowhere in particular."""
        self._counts[check] = self._counts.get(check, 0) + 1
        known = self.first.get(check)
        if known is None or (index is not None and (known.first is None or index < known.first)):
            last = index if last is None else last
            if index is not None and last is not None:
                facts |= {"index": index, "first": index, "last": last}
            self.first[check] = Fault(saying, facts, index, last)

    def passed(self, check: str, saying: str, **facts: str | int) -> None:
        """The check was made in full; a fault found in it, before or after, is worth more."""
        self._sound[check] = Check(check, "passed", saying, facts)

    def left(self, check: str, saying: str, unchecked: int = 0, **facts: str | int) -> None:
        """The check was not made, or not in full."""
        self._sound[check] = Check(check, "not checked", saying, facts, unchecked=unchecked)

    def checks(self) -> list[Check]:
        """Every check that there is, in its order."""
        return [self._check(name) for name in CHECKS]

    def _check(self, name: str) -> Check:
        fault = self.first.get(name)
        if fault is None:
            return self._sound[name]
        return Check(name, "failed", fault.saying, fault.facts, fault.first, fault.last, self._counts[name])


def why(error: LedgerError) -> str:
    """An error as the reason that a fault gives."""
    return f"{error.field}: {error.detail}"
