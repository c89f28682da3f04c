"""The ledger's error tree: what the book and its judge refuse, each naming field, rule and remedy.

LedgerError
├── CanonicalError  a value that has no single canonical form, or an entry over a stated limit
├── ProofError      a Merkle proof, or a receipt, that does not hold
├── NoteError       a checkpoint, key or signature that cannot be read or trusted
├── TransferError   an account or transfer that cannot be read
├── AnchorError     a chain that did not keep, or does not show, a checkpoint
│   ├── AbsentError      a chain that does not have a transaction
│   └── UnansweredError  a chain that says nothing either way
├── BehindError     a tile whose lower tiles are not written yet
└── BundleError     an audit bundle that cannot be read at all
"""

from __future__ import annotations


class LedgerError(ValueError):
    """Something handed to the ledger is wrong; nothing of it was taken.

    `field` says where, `rule` what must hold (with its standard where one stands behind it) and `remedy`
    what the caller can do.
    """

    def __init__(self, detail: str, *, field: str, rule: str, remedy: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.rule = rule
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.field}: {self.detail} (rule: {self.rule}; remedy: {self.remedy})"


class CanonicalError(LedgerError):
    """A value without a single canonical form, or an entry over a stated limit."""


class ProofError(LedgerError):
    """A Merkle proof or a receipt that does not hold."""


class NoteError(LedgerError):
    """A note, checkpoint, key or signature that cannot be read or must not be trusted."""


class PolicyError(LedgerError):
    """A trust policy that cannot be read, or that does not say what is needed of it."""


class TransferError(LedgerError):
    """An account or transfer that cannot be read."""


class AnchorError(LedgerError):
    """A chain that did not keep, or does not show, a checkpoint."""


class AbsentError(AnchorError):
    """A transaction that no block of the chain has: it never had one, or a reorganisation took it back."""


class UnansweredError(AnchorError):
    """A chain that gave no answer, so that it neither shows nor lacks anything."""


class BehindError(LedgerError):
    """A tile whose lower tiles are not written yet; in a while they are."""


class BundleError(LedgerError):
    """An audit bundle that cannot be read at all."""
