"""What a reader remembers of a log that it judged sound, so that the next look begins where this one ended."""

from __future__ import annotations

from dataclasses import dataclass, fields
from hashlib import sha256
from typing import Any, get_args

import orjson

from ledger.errors import BundleError, ProofError
from ledger.merkle import Edge
from ledger.postings import Account, AccountLimit, Pending, Side, is_name

FORMAT = "data-asset-exchange-audit-state@1"


@dataclass(slots=True)
class Money:
    """Everything that the transfers so far say: accounts, open holds, identifiers that are used up, the next sequence.

    `last_set` is the entry that last moved each account.
    """

    accounts: dict[str, Account]
    last_set: dict[str, int]
    holds: dict[str, Pending]
    identifiers: set[str]
    next_sequence: int

    @classmethod
    def none(cls) -> Money:
        """That of an empty log."""
        return cls({}, {}, {}, set(), 1)

    def copy(self) -> Money:
        """The same, to go on from while this stays as it is."""
        return Money(
            dict(self.accounts),
            dict(self.last_set),
            dict(self.holds),
            set(self.identifiers),
            self.next_sequence,
        )


@dataclass(frozen=True, slots=True)
class State:
    """A log up to an entry: its tree, its time, and its money (None where bodies were not all disclosed)."""

    origin: str
    edge: Edge
    time_us: int
    money: Money | None

    @property
    def size(self) -> int:
        """How many entries were judged."""
        return self.edge.size

    def to_bytes(self) -> bytes:
        """As JSON, behind a line with its SHA-256."""
        content = orjson.dumps(
            {
                "format": FORMAT,
                "origin": self.origin,
                "size": self.edge.size,
                "peaks": [peak.hex() for peak in self.edge.peaks],
                "time_us": self.time_us,
                "money": None if self.money is None else _money_json(self.money),
            },
            option=orjson.OPT_SORT_KEYS,
        )
        return sha256(content).hexdigest().encode() + b"\n" + content + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> State:
        """Read back what `to_bytes` wrote; BundleError for anything else."""
        digest, _, content = data.partition(b"\n")
        content = content.removesuffix(b"\n")
        if sha256(content).hexdigest().encode() != digest:
            raise _misread("another digest than its first line says")
        try:
            value = orjson.loads(content)
            if value["format"] != FORMAT:
                raise _misread(f"format {value['format']!r}")
            edge = Edge(value["size"], tuple(bytes.fromhex(peak) for peak in value["peaks"]))
            money = None if value["money"] is None else _money(value["money"])
            return cls(str(value["origin"]), edge, int(value["time_us"]), money)
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError, ProofError) as error:
            if isinstance(error, BundleError):
                raise
            raise _misread(f"{type(error).__name__} {error}") from error


def _money_json(money: Money) -> dict[str, Any]:
    return {
        "accounts": [[getattr(a, f.name) for f in fields(Account)] for a in money.accounts.values()],
        "last_set": money.last_set,
        "holds": [
            [getattr(hold, f.name) for f in fields(Pending)]
            for hold in money.holds.values()
            if hold.state == "pending"
        ],
        "identifiers": sorted(money.identifiers),
        "next_sequence": money.next_sequence,
    }


def _money(value: dict[str, Any]) -> Money:
    accounts = [Account(*members) for members in value["accounts"]]
    holds = [Pending(*members) for members in value["holds"]]
    for account in accounts:
        if account.limit not in get_args(AccountLimit) or not is_name(account.id):
            raise _misread(f"the account {account.id!r}")
    for hold in holds:
        if hold.closes is not None and hold.closes not in get_args(Side):
            raise _misread(f"the hold {hold.id!r}")
    return Money(
        {account.id: account for account in accounts},
        dict(value["last_set"]),
        {hold.id: hold for hold in holds},
        set(value["identifiers"]),
        int(value["next_sequence"]),
    )


def _misread(detail: str) -> BundleError:
    return BundleError(
        detail[:300],
        field="state",
        rule=f"format {FORMAT}, whole, as it was remembered",
        remedy="judge the log from its first entry again, and keep this file as evidence",
    )
