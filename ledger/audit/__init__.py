"""The judge: replays an audit bundle offline and says of every check whether it passed, failed or was not made.

Needs no database, no server and nobody's word: leaves give the roots, bodies give the balances, and the keys
are the reader's own. Of the code that wrote the bundle it shares only the tree, the notes, the entries and the
rules of posting. Members are streamed, so memory grows with the accounts, the identifiers and the openings,
never with the bodies.
"""

from __future__ import annotations

from ledger.audit.judge import audit
from ledger.audit.outside import ReadAnchor

__all__ = ["ReadAnchor", "audit"]
