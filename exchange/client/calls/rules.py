"""The rulebook and its changes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

from exchange.client.answers import Done
from exchange.client.calls.asking import Asking, v1
from exchange.client.errors import Unproven
from exchange.client.wire import Steps
from exchange.messages.rules import (
    CalendarMessage,
    RulebookDocumentView,
    RulebookVersionView,
    RuleChangeMessage,
    RuleChangeView,
    RuleDecisionMessage,
    RuleMessage,
)
from ledger.entries import canonical


class Rules(Asking):
    """The rulebook and its changes."""

    def rulebook(self, version: str | None = None) -> Steps[RulebookDocumentView]:
        """The rules in force, or a version by its digest; Unproven where the document does not hash to the digest."""
        path = "/v1/rulebook" if version is None else v1("rulebook", "versions", version)
        found = yield from self._read(path, RulebookDocumentView)
        made = hashlib.sha256(canonical(found.document)).hexdigest()
        if made != found.digest or (version is not None and made != version):
            raise Unproven(f"the document hashes to {made}", field="digest")
        return found

    def rulebook_versions(self) -> Steps[list[RulebookVersionView]]:
        """Every version that this market had or will have, newest first."""
        return self._read("/v1/rulebook/versions", list[RulebookVersionView])

    def rule_changes(self) -> Steps[list[RuleChangeView]]:
        """The proposed changes, newest first (administrator, governing body, regulator)."""
        return self._read("/v1/rulebook/proposals", list[RuleChangeView])

    def rule_change(self, proposal: str) -> Steps[RuleChangeView]:
        """One proposed change."""
        return self._read(v1("rulebook", "proposals", proposal), RuleChangeView)

    def propose_rule_change(
        self,
        rules: Mapping[str, RuleMessage],
        effective_us: int,
        reason: str,
        *,
        calendar: CalendarMessage | None = None,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Propose other rules from a moment on; a second person signs (administrator, governing body, regulator)."""
        message = RuleChangeMessage(
            rules=dict(rules), calendar=calendar, effective_us=effective_us, reason=reason
        )
        return self._write("/v1/rulebook/proposals", message, identifier, {"effective_us": str(effective_us)})

    def decide_rule_change(
        self,
        proposal: str,
        digest: str,
        decision: Literal["sign", "reject"],
        reason: str = "",
        *,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Sign a change that somebody else proposed, by the digest of the version that it makes; or reject it."""
        message = RuleDecisionMessage(decision=decision, digest=digest, reason=reason)
        return self._write(
            v1("rulebook", "proposals", proposal, "decision"),
            message,
            identifier,
            {"digest": digest, "proposal": proposal},
        )
