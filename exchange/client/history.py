"""The log as one reader has seen it signed: it may grow, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

from exchange.client.errors import ClientError, ExchangeProblem, Forked, LogEnded, Unproven
from exchange.client.wire import Steps
from ledger.checkpoint import Checkpoint, Verifier, open_note
from ledger.errors import LedgerError, NoteError, ProofError
from ledger.merkle import verify_consistency
from ledger.succession import open_ended

Prove = Callable[[int, int], Steps[Sequence[bytes]]]
"""`prove(old, new)` asks the log for the consistency proof between two sizes (RFC 9162 §2.1.4)."""


class History:
    """Holds every checkpoint that arrives to the newest one seen before, and remembers the newer of the two.

    With `file` the memory outlasts the process; one file serves one client. Safe for threads.
    """

    def __init__(
        self,
        verifier: Verifier,
        prove: Prove,
        file: Path | None = None,
        ask_ended: Callable[[], Steps[str | None]] | None = None,
    ) -> None:
        """`ask_ended` asks for the note with which a log ended; what it gives is verified here."""
        self.verifier = verifier
        self._ask_ended = ask_ended
        self._prove = prove
        self._file = file
        self._lock = Lock()
        self._newest: tuple[Checkpoint, str] | None = None
        if file is not None and file.exists():
            note = file.read_text(encoding="utf-8").partition("\n")[2]
            self._newest = (self._open(note), note)

    @property
    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that this client has verified; None before the first."""
        return None if self._newest is None else self._newest[0]

    @property
    def note(self) -> str:
        """The signed note of the newest checkpoint; empty before the first."""
        return "" if self._newest is None else self._newest[1]

    def admit(self, note: str) -> Steps[Checkpoint]:
        """Verify a signed checkpoint and that it is on the one history.

        Unproven where the exchange's key did not sign it, LogEnded where that key signed that the log ended. Forked where it contradicts what was seen, or the
        log cannot or will not show that one grew out of the other.
        """
        try:
            shown = self._open(note)
        except Unproven as error:
            raise (yield from self.unproven(error.detail, field=error.field)) from error
        while True:
            known = self._newest
            if known is not None:
                seen, seen_note = known
                older, newer = sorted((seen, shown), key=lambda checkpoint: checkpoint.size)
                try:
                    yield from self._join(older, newer)
                except (ProofError, ExchangeProblem) as error:
                    raise Forked(
                        f"size {older.size} and size {newer.size} are not one history: {error}",
                        seen=seen_note,
                        shown=note,
                    ) from error
            with self._lock:
                if self._newest is not known:  # another call was shown more meanwhile: hold it to that
                    continue
                if known is None or shown.size > known[0].size:
                    self._remember(shown, note)
                return shown

    def _join(self, older: Checkpoint, newer: Checkpoint) -> Steps[None]:
        if not older.size:  # every log begins with nothing
            return
        proof: Sequence[bytes] = ()
        if older.size != newer.size:
            proof = yield from self._prove(older.size, newer.size)
        verify_consistency(older.size, newer.size, proof, older.root, newer.root)

    def _open(self, note: str) -> Checkpoint:
        try:
            checkpoint = open_note(note, [self.verifier]).checkpoint
        except NoteError as error:
            raise Unproven(str(error), field="checkpoint") from error
        if checkpoint.origin != self.verifier.name:
            raise Unproven(
                f"a checkpoint of {checkpoint.origin!r}, signed by {self.verifier.name!r}", field="checkpoint"
            )
        return checkpoint

    def unproven(self, detail: str, *, field: str) -> Steps[ClientError]:
        """The error for what this key did not sign: LogEnded where it signed that its log ended, Unproven otherwise."""
        note = None if self._ask_ended is None else (yield from self._ask_ended())
        if note is not None:
            with suppress(NoteError):
                return LogEnded(open_ended(note, [self.verifier]), note)
        return Unproven(detail, field=field)

    def _remember(self, checkpoint: Checkpoint, note: str) -> None:
        self._newest = (checkpoint, note)
        if self._file is None:
            return
        fresh = self._file.with_name(self._file.name + ".new")
        fresh.write_text(f"{self.verifier.vkey}\n{note}", encoding="utf-8")
        os.replace(fresh, self._file)


def remembered_vkey(file: Path | None) -> str | None:
    """The key that a file of `History` was first filled under; None where there is no such file yet.

    Unproven where the file is no such memory: it is not overwritten, since it may be evidence.
    """
    if file is None or not file.exists():
        return None
    vkey = file.read_text(encoding="utf-8").partition("\n")[0]
    try:
        Verifier.parse(vkey)
    except LedgerError as error:
        raise Unproven(f"{file} holds no checkpoint of an exchange: {error}", field="remember") from error
    return vkey
