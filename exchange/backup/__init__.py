"""Copies of a running exchange in a store elsewhere, and the way back: a restore counts only when what came back is proven.

What goes to the store is sealed under the backup key, so the store's keeper reads nothing and changes nothing unseen.
The exchange's private keys are *not* in it: whoever holds both could rewrite history and sign it. They are recovered
from officers' shares (`exchange keys split`).

A running exchange ships its log every `SHIP_EVERY_S` seconds; with it a restore reaches any moment, and any entry, after
the oldest backup that is kept. `chains` says what lies where in a store.
"""

from __future__ import annotations

from exchange.backup.chains import Aim, Backup, Index, Moment, Reached, backups, forks, living, reached
from exchange.backup.keeping import SHIP_EVERY_S, Keeper, Stopped
from exchange.backup.restoring import (
    BEHIND,
    Judge,
    Proof,
    Recall,
    behind,
    no_longer_behind,
    refuse_behind,
    restore,
)
from exchange.backup.store import Store

__all__ = [
    "BEHIND",
    "SHIP_EVERY_S",
    "Aim",
    "Backup",
    "Index",
    "Judge",
    "Keeper",
    "Moment",
    "Proof",
    "Reached",
    "Recall",
    "Stopped",
    "Store",
    "backups",
    "behind",
    "forks",
    "living",
    "no_longer_behind",
    "reached",
    "refuse_behind",
    "restore",
]
