"""A book as a beginner would write it, and a log's root as RFC 6962 defines it: they know nothing of our code."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Move(NamedTuple):
    """One movement of money, or the end of a hold; `lasts_us` 0 is for ever."""

    kind: str
    name: str
    debit: str
    credit: str
    amount: int
    hold: str | None = None
    lasts_us: int = 0


@dataclass
class Sides:
    """What an account owes and is owed, held and for good; a guarded one is never overdrawn."""

    guarded: bool
    out_held: int = 0
    out: int = 0
    into_held: int = 0
    into: int = 0

    def covers(self, amount: int) -> bool:
        return not self.guarded or self.out + self.out_held + amount <= self.into


@dataclass
class NaiveBook:
    """Accounts by name, and the holds that stand: (movement, when it runs out)."""

    accounts: dict[str, Sides] = field(default_factory=dict)
    holds: dict[str, tuple[Move, int | None]] = field(default_factory=dict)

    def all_or_nothing(self, moves: Sequence[Move], now_us: int) -> bool:
        """Do all of them, or leave everything as it was and say no."""
        before = copy.deepcopy((self.accounts, self.holds))
        if all(self.move(m, now_us) for m in moves):
            return True
        self.accounts, self.holds = before
        return False

    def move(self, m: Move, now_us: int) -> bool:
        """Do one movement, or say no."""
        debit, credit = self.accounts[m.debit], self.accounts[m.credit]
        if m.kind == "post":
            if not debit.covers(m.amount):
                return False
            debit.out += m.amount
            credit.into += m.amount
        elif m.kind == "pending":
            if not debit.covers(m.amount):
                return False
            debit.out_held += m.amount
            credit.into_held += m.amount
            self.holds[m.name] = (m, now_us + m.lasts_us if m.lasts_us else None)
        else:
            held, ends_us = self.holds.get(m.hold or "", (None, None))
            if held is None or (held.debit, held.credit) != (m.debit, m.credit):
                return False
            over = ends_us is not None and now_us >= ends_us
            if over != (m.kind == "expire_pending"):
                return False
            if m.amount > held.amount or (m.amount < held.amount and m.kind != "post_pending"):
                return False
            del self.holds[held.name]
            debit.out_held -= held.amount
            credit.into_held -= held.amount
            if m.kind == "post_pending":
                debit.out += m.amount
                credit.into += m.amount
        return True

    def due(self, now_us: int) -> list[Move]:
        """The holds whose time is over, the oldest first."""
        over = sorted((e, m.name, m) for m, e in self.holds.values() if e is not None and e <= now_us)
        return [m for _, _, m in over]


def root(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + root(leaves[:k]) + root(leaves[k:])).digest()
