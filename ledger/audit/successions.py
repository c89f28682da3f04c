"""Judges where a log took over from another one that had ended: the note, its key, and the tree that went on."""

from __future__ import annotations

import orjson

from ledger.audit.findings import Findings, why
from ledger.audit.keys import Keys
from ledger.checkpoint import Verifier
from ledger.errors import LedgerError, NoteError
from ledger.succession import Ended, open_ended

SUCCEEDED = "log_succeeded"
"""The kind of the entry that says it: its `act` has `note`, and the key in `predecessor.vkey`."""


class Successions:
    """The entries of that kind, as they are met; most logs have none."""

    def __init__(self, keys: Keys, findings: Findings) -> None:
        self._keys = keys
        self._findings = findings
        self._withheld: int | None = None
        self._last: tuple[Ended, bool] | None = None

    def take(self, index: int, body: bytes, root: bytes) -> None:
        """Judge the entry `index`; `root` is that of the leaves before it."""
        if not body:
            self._withheld = index
            return
        try:
            act = orjson.loads(body)["act"]
            vkey = act["predecessor"]["vkey"]
            ended = open_ended(act["note"], [Verifier.parse(vkey)])
            if (ended.size, ended.root) != (index, root):
                raise NoteError(
                    f"it ended with {ended.size} entries of another root",
                    field="note",
                    rule="a successor goes on from the very tree with which its predecessor ended",
                    remedy="do not trust this log",
                )
            if (ended.successor_origin, ended.successor) != (act["origin"], act["vkey"]):
                raise NoteError(
                    f"it names {ended.successor} as its successor",
                    field="note",
                    rule="note and entry name the same successor",
                    remedy="do not trust this log",
                )
        except LedgerError as error:
            self._findings.fault("succession", "succession_bad", index, why=why(error))
            return
        except (LookupError, TypeError, ValueError) as error:
            self._findings.fault("succession", "succession_bad", index, why=f"body: {error!r}")
            return
        self._last = ended, vkey in self._keys.vkeys and not self._keys.from_bundle

    @property
    def ended(self) -> Ended | None:
        """How the log before this one ended, where a key that the reader trusts says so."""
        return self._last[0] if self._last is not None and self._last[1] else None

    def judge(self) -> None:
        """Say what was found, of the last one."""
        if self._withheld is not None:
            self._findings.left("succession", "succession_withheld", 1, index=self._withheld)
            return
        if self._last is None:
            self._findings.passed("succession", "succession_none")
            return
        ended, trusted = self._last
        facts: dict[str, str | int] = {
            "origin": ended.origin,
            "size": ended.size,
            "lost": ended.lost,
            "reason": ended.reason,
        }
        if trusted:
            self._findings.passed("succession", "succession_ok", **facts)
        else:
            self._findings.left("succession", "succession_own", 1, **facts)
