"""What the SDK gives back for a write, and for proofs: frozen, verified values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ledger.checkpoint import Checkpoint
from ledger.entries import Leaf, Receipt


@dataclass(frozen=True, slots=True)
class Done:
    """An act on the record, verified: its entry is in the log that the exchange's key signed.

    `outcome` is what came of it, numbers as decimal strings as the log holds them. `receipt` proves it
    offline and for ever (`ledger.entries.verify_receipt`); keep it. `repeated` says that the exchange had
    answered this identifier before: to an earlier call, or to an attempt of this one whose answer was lost.
    """

    identifier: str
    outcome: dict[str, Any]
    receipt: Receipt
    checkpoint: Checkpoint
    repeated: bool

    @property
    def index(self) -> int:
        """Where in the log."""
        return self.receipt.index

    @property
    def reason(self) -> dict[str, str] | None:
        """Why the act was refused on the record; None where it was not."""
        reason: dict[str, str] | None = (
            self.outcome.get("reason") if self.outcome.get("state") == "refused" else None
        )
        return reason


@dataclass(frozen=True, slots=True)
class Invited:
    """A person was invited: hand `link` over by a way that only this person reads. It works once, for 72 hours."""

    person: str
    link: str = field(repr=False)
    token: str = field(repr=False)
    done: Done


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that is told what concerns the party; `secret` verifies the deliveries and is shown this once: keep it."""

    id: str
    secret: str = field(repr=False)
    done: Done


@dataclass(frozen=True, slots=True)
class Link:
    """A link to a licensed product: whoever has it can download until `expires_us` of the market's clock.

    `product_digest` is the SHA-256 that the catalogue states of the product.
    """

    url: str = field(repr=False)
    licence: str
    expires_us: int
    product_digest: str
    done: Done


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A public leaf, proven to be at `index` under `checkpoint`."""

    index: int
    leaf: Leaf
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Agent:
    """What a bidding agent did in one turn: its verified bids, and whether it holds the standing bid now."""

    standing: bool
    bids: tuple[Done, ...]


@dataclass(frozen=True, slots=True)
class Tracked:
    """What was filed by anybody: the tracking number that leads to its answer, and the proof that it is in the log."""

    number: str
    done: Done
