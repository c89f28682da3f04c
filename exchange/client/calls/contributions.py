"""What departments add to an asset that was made of several."""

from __future__ import annotations

from collections.abc import Sequence

from exchange.client.answers import Done
from exchange.client.calls.asking import Asking, v1
from exchange.client.wire import Steps
from exchange.messages.contributions import (
    ContributionsAnswerMessage,
    ContributionsMessage,
    ContributionsView,
)


class Contributions(Asking):
    """What departments add to an asset that was made of several."""

    def contributions(self, asset: str) -> Steps[list[ContributionsView]]:
        """What was measured of an asset, newest first, with everybody's share."""
        return self._read_all(v1("assets", asset, "contributions"), ContributionsView)

    def file_contributions(
        self,
        asset: str,
        departments: Sequence[str],
        worths: Sequence[int],
        measure: str,
        evidence: str,
        *,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Put a measurement before the departments: `worths[mask]` is what the coalition of the departments whose bits are set
        is worth, bit k for the k-th; `evidence` is the report's SHA-256."""
        message = ContributionsMessage(
            departments=list(departments), worths=list(worths), measure=measure, evidence=evidence
        )
        about = {"asset": asset, "evidence": evidence}
        return self._write(v1("assets", asset, "contributions"), message, identifier, about)

    def answer_contributions(
        self, contributions: str, *, accept: bool, identifier: str | None = None
    ) -> Steps[Done]:
        """Accept a measurement for your department, or reject it."""
        message = ContributionsAnswerMessage(accept=accept)
        about = {"contributions": contributions}
        return self._write(v1("contributions", contributions, "answer"), message, identifier, about)
