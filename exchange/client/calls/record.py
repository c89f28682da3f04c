"""The log: look-ups, receipts, checkpoints, anchors, drills, audits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from exchange.client.answers import Done, LogEntry
from exchange.client.calls.asking import Asking, asked, v1
from exchange.client.errors import NotFound, Unproven, Unreachable
from exchange.client.wire import NoAnswer, Steps, expect
from exchange.messages.drills import DrillMessage
from exchange.messages.views import DrillView
from ledger.checkpoint import Checkpoint
from ledger.entries import Receipt, parse_leaf, verify_receipt
from ledger.errors import LedgerError
from ledger.merkle import leaf_hash
from ledger.proof import TlogProof
from ledger.tiles import entries_path


class TheRecord(Asking):
    """The log: look-ups, receipts, checkpoints, anchors, drills, audits."""

    def lookup(self, identifier: str) -> Steps[Done | None]:
        """What came of one of the party's requests; None where nothing took effect under the identifier so far.

        A refusal on the record is a `Done` with a `reason`. While a request may still be on its way, None can
        turn into an answer: sending it again under the same identifier settles it.
        """
        try:
            answer = yield from self._read(v1("requests", identifier), dict[str, Any])
            return (yield from self._verified(answer, identifier, {}, repeated=True))
        except NotFound:
            return None
        except NoAnswer as error:
            raise Unreachable(str(error)) from error

    def checkpoint(self) -> Steps[Checkpoint]:
        """The newest checkpoint, verified and on the one history. Forked where the log is shorter than it was."""
        return (yield from self.compare((yield from self._text("/checkpoint"))))

    def compare(self, note: str) -> Steps[Checkpoint]:
        """Hold a signed checkpoint that somebody else was shown to the history that this client is shown.

        Forked where the exchange shows different logs to different people: the two notes convict it.
        """
        try:
            history = yield from self._log()
            return (yield from history.admit(note))
        except NoAnswer as error:
            raise Unreachable(str(error)) from error

    def newest_seen(self) -> Checkpoint | None:
        """The newest checkpoint that this client has verified, without asking."""
        return None if self._history is None else self._history.newest

    def newest_note(self) -> str:
        """The signed note of that checkpoint; empty before the first."""
        return "" if self._history is None else self._history.note

    def entry_bundle(self, n: int, width: int) -> Steps[bytes]:
        """The first `width` public leaves of the n-th 256, as c2sp.org/tlog-tiles serves them; not verified here."""
        try:
            response = yield from self.wire.ask("GET", f"/{entries_path(n, width)}")
            return expect(response, 200).content
        except NoAnswer as error:
            raise Unreachable(str(error)) from error

    def receipt(self, index: int) -> Steps[Receipt]:
        """The receipt of an entry of the party (of any entry for a regulator), verified."""
        try:
            answer = yield from self._read(v1("receipts", str(index)), dict[str, Any])
            receipt, _ = yield from self._proven(answer)
        except NoAnswer as error:
            raise Unreachable(str(error)) from error
        if receipt.index != index:
            raise Unproven(f"asked for entry {index}, got {receipt.index}", field="index")
        return receipt

    def log_entry(self, index: int) -> Steps[LogEntry]:
        """A public leaf, its place in the log proven under the newest checkpoint."""
        leaf, checkpoint = yield from self._leaf(index)
        try:
            return LogEntry(index, parse_leaf(leaf), checkpoint)
        except LedgerError as error:
            raise Unproven(str(error), field="leaf") from error

    def tlog_proof(self, index: int) -> Steps[TlogProof]:
        """An entry's place in the log as a proof that stands alone, verified; `text()` is its `.tlog-proof` file."""
        leaf, _ = yield from self._leaf(index)
        try:
            response = yield from self.wire.ask("GET", v1("log", str(index), "proof"))
            proof = TlogProof.parse(expect(response, 200).text)
            history = yield from self._log()
            yield from history.admit(proof.checkpoint)
            proof.verify(leaf_hash(leaf), history.verifier)
        except LedgerError as error:
            raise Unproven(str(error), field=error.field) from error
        except NoAnswer as error:
            raise Unreachable(str(error)) from error
        if proof.index != index:
            raise Unproven(f"asked for entry {index}, got {proof.index}", field="index")
        return proof

    def witnessed(self) -> Steps[str]:
        """The newest checkpoint that the policy's quorum cosigned, on the one history: a note for everybody.
        `policy.judge` says who signed it, and when.

        Conflict while there is none; Unproven where what is shown has not the signatures that the policy asks for;
        Forked where it contradicts what this client was shown before, which it then never believes again.
        """
        note = yield from self._text("/v1/log/witnessed")
        yield from self._require_quorum(note)
        return note

    def complete(self, receipt: Receipt) -> Steps[Receipt]:
        """The same receipt under a checkpoint that the policy's quorum cosigned: proven to whoever trusts the policy,
        and not the exchange. `policy.judge(receipt.checkpoint)` says which signatures any receipt has.

        Errors as `witnessed`; Conflict while the witnesses have not come so far: the receipt holds as it is, ask
        again a little later.
        """
        text = yield from self._text(v1("log", str(receipt.index), "proof"), {"witnessed": "true"})
        try:
            proof = TlogProof.parse(text)
            size = (yield from self._require_quorum(proof.checkpoint)).size
            completed = replace(receipt, size=size, proof=proof.hashes, checkpoint=proof.checkpoint)
            verify_receipt(completed, [(yield from self._log()).verifier])
        except LedgerError as error:
            raise Unproven(str(error), field=error.field) from error
        return completed

    def _require_quorum(self, note: str) -> Steps[Checkpoint]:
        if self._policy is None:
            raise ValueError("policy: this client was given none; say which witnesses you trust")
        try:
            self._policy.require(note)
        except LedgerError as error:
            raise Unproven(str(error), field=error.field) from error
        return (yield from self.compare(note))

    def anchors(self) -> Steps[list[dict[str, Any]]]:
        """The checkpoints that the exchange says it put on a chain; `ledger.anchor` reads the chain itself."""
        return self._read_all("/v1/anchors", dict[str, Any])

    def anchor_watch(self) -> Steps[dict[str, Any]]:
        """What the exchange last saw of the chain, and what is amiss with it since when; NotFound where it has none."""
        return self._read("/v1/anchors/watch", dict[str, Any])

    def drills(self) -> Steps[list[DrillView]]:
        """The drills that were held, newest first, and how each ended."""
        return self._read_all("/v1/drills", DrillView)

    def record_drill(self, message: DrillMessage, *, identifier: str | None = None) -> Steps[Done]:
        """Put a drill that was held on the record (administrator)."""
        return self._write("/v1/drills", message, identifier)

    def audit_bundle(
        self, path: Path, *, start: int = 0, stop: int | None = None, party: str | None = None
    ) -> Steps[None]:
        """Fetch the record for an audit; `exchange audit verify` judges it, offline.

        A regulator gets all of it, or what one `party` may see; everybody else their own party's. `start` and
        `stop` are indexes and are moved outward to where a batch ended.
        """
        return self._save(v1("audit", "bundle"), asked(start=start, stop=stop, party=party), path)
