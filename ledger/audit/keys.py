"""The keys that signed notes are opened with: the reader's own, or for want of those the bundle's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.audit.reading import broken
from ledger.checkpoint import Opened, Verifier, open_note
from ledger.errors import NoteError


@dataclass(frozen=True, slots=True)
class Keys:
    """Verifiers of the log and its witnesses. Keys that the bundle itself brings say nothing of who signed."""

    verifiers: Sequence[Verifier]
    from_bundle: bool

    @classmethod
    def of(cls, trusted: Sequence[str] | None, claimed: Sequence[str]) -> Keys:
        """The trusted keys; without any, those that the manifest claims.

        NoteError where one of the trusted is no key, BundleError where one of the claimed is none.
        """
        if trusted is not None:
            return cls.parsed(trusted, from_bundle=False)
        try:
            return cls.parsed(claimed, from_bundle=True)
        except NoteError as error:
            raise broken(
                "manifest.json", f"vkeys: {error.detail}", "verifier keys (c2sp.org/signed-note)"
            ) from error

    @classmethod
    def parsed(cls, vkeys: Sequence[str], from_bundle: bool) -> Keys:
        """Keys from their texts; NoteError where one is no key."""
        return cls([Verifier.parse(vkey) for vkey in vkeys], from_bundle)

    @property
    def vkeys(self) -> tuple[str, ...]:
        """Their texts."""
        return tuple(verifier.vkey for verifier in self.verifiers)

    def open(self, note: str) -> Opened:
        """Open a note; where a log's key is among the trusted ones, a witness alone does not do."""
        opened = open_note(note, self.verifiers)
        if len(opened.cosigned) == len(opened.signed_by) and not all(
            verifier.is_witness for verifier in self.verifiers
        ):
            raise NoteError(
                "only witnesses signed it",
                field="signature",
                rule="the log itself signs its checkpoints (c2sp.org/tlog-checkpoint)",
                remedy="check which verifier key the log publishes",
            )
        opened.checkpoint  # noqa: B018  # another kind of note is refused here
        return opened
