"""The judge: replays an audit bundle offline and says of every check whether it passed, failed or was not made.

Needs no database, no server and nobody's word: leaves give the roots, bodies give the balances, and the keys
are the reader's own. Of the code that wrote the bundle it shares only the tree, the notes and the rules of
posting. A bundle is read segment by segment, on all processors, so memory grows with the accounts, the
identifiers and the openings, never with the bodies.
"""

from __future__ import annotations

from ledger.audit.judge import audit, audit_on
from ledger.audit.outside import ReadAnchor
from ledger.audit.state import State

__all__ = ["ReadAnchor", "State", "audit", "audit_on"]
