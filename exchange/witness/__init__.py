"""The regulator's witness: follows a log, keeps what it saw, and cosigns it; refuses a fork, and says so aloud.

A program of its own, with its own key, disk and address, run by somebody other than the exchange's operator. What a
dishonest operator or a thief of its key could do to a log that only its owner keeps ends here: a history that was
changed, cut back or shown differently to somebody else finds no second signature.

Layout of a witness's folder (0700); one process a folder, one log a folder:

    witness.json     name, the log's key and address, digest of the token for bodies
    witness.key      the private key (32 bytes, 0600); it never leaves this machine
    checkpoint       the newest checkpoint with this witness's cosignature: what it will never go behind
    leaves           hashes of all leaves that were judged, 32 bytes each
    bundles/         all that was fetched and judged sound, bodies with it: START-STOP.zip
    evidence/        what was not, and checkpoints that contradict one another
    alarm.json       there while this witness signs nothing any more; alarms/ keeps those that were answered
    state, seen      what the judge and the client remember
"""

from __future__ import annotations

from exchange.witness.keeper import Alarm, Refusal, Witness, make
from exchange.witness.program import serve

__all__ = ["Alarm", "Refusal", "Witness", "make", "serve"]
