"""Parties, their people, documents, holders and relations."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Literal

from exchange.client.answers import Done, Invited
from exchange.client.calls.asking import Asking, v1
from exchange.client.wire import Steps
from exchange.messages.market import (
    AgreementMessage,
    AgreementPartsMessage,
    DocumentMessage,
    DocumentReviewMessage,
    Duty,
    DutyMessage,
    ErasureMessage,
    HolderMessage,
    HoldersMessage,
    InvitationMessage,
    PartyMessage,
    PartyStateMessage,
    RelationMessage,
    Role,
)
from exchange.messages.views import (
    AgreementView,
    ConflictsView,
    DocumentView,
    MemberView,
    OnboardingView,
    RegisterView,
)


class Parties(Asking):
    """Parties, their people, documents, holders and relations."""

    def register_party(
        self,
        uscc: str,
        name: str,
        roles: Sequence[Role],
        holders: Sequence[HolderMessage] = (),
        *,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Admit an organisation (administrator); `outcome["id"]` is the party."""
        message = PartyMessage(uscc=uscc, name=name, roles=list(roles), holders=list(holders))
        return self._write("/v1/parties", message, identifier)

    def set_party_state(
        self, party: str, state: Literal["active", "suspended"], reason: str, *, identifier: str | None = None
    ) -> Steps[Done]:
        """Suspend a party, or let it trade again (regulator, administrator)."""
        message = PartyStateMessage(state=state, reason=reason)
        return self._write(
            v1("parties", party, "state"), message, identifier, {"party": party, "state": state}
        )

    def erase(self, commitment: str, ground: str, *, identifier: str | None = None) -> Steps[Done]:
        """Erase what opens a commitment, for ever (regulator); the log and all receipts go on verifying."""
        message = ErasureMessage(commitment=commitment, ground=ground)
        return self._write("/v1/erasures", message, identifier, {"commitment": commitment})

    def invite(
        self,
        party: str,
        name: str,
        *,
        deputy_of: str | None = None,
        until_us: int | None = None,
        identifier: str | None = None,
    ) -> Steps[Invited]:
        """Invite a person to a party. The token is drawn here; the exchange only learns its digest.

        A deputy stands in for the person `deputy_of` of that party, and acts until `until_us`.
        """
        token = secrets.token_urlsafe(32)
        digest = hashlib.sha256(token.encode()).hexdigest()
        message = InvitationMessage(
            party=party, name=name, token_digest=digest, deputy_of=deputy_of, until_us=until_us
        )
        done = yield from self._write("/v1/invitations", message, identifier, {"party": party})
        # Behind '#', where no server's access log sees it.
        return Invited(done.outcome["id"], f"{self.url}/zh/enrol#{token}", token, done)

    def onboarding(self) -> Steps[OnboardingView]:
        """What the calling party still has to do before it can act in its roles."""
        return self._read("/v1/onboarding", OnboardingView)

    def people(self) -> Steps[list[MemberView]]:
        """The people of the calling party: who acts, who is a deputy until when, who has left."""
        return self._read("/v1/people", list[MemberView])

    def assign_duty(self, person: str, duty: Duty, *, identifier: str | None = None) -> Steps[Done]:
        """Charge a colleague of the venue with a duty (administrator): system, security and audit are three persons'.

        With the last of the three every other person of the venue does its business from then on.
        """
        about = {"person": person, "duty": duty}
        return self._write(v1("people", person, "duty"), DutyMessage(duty=duty), identifier, about)

    def end_membership(self, person: str, *, identifier: str | None = None) -> Steps[Done]:
        """Somebody leaves the party: every key and open link ends within a second."""
        return self._write(v1("people", person, "departure"), None, identifier, {"person": person})

    def agree_operation(
        self,
        operator: str,
        share_ppm: int,
        parts: AgreementPartsMessage,
        *,
        starts_us: int,
        ends_us: int,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Let an operator run the calling department's data for a part of each price net of tax, in millionths, on terms
        with all their parts.
        """
        message = AgreementMessage(
            operator=operator, share_ppm=share_ppm, parts=parts, starts_us=starts_us, ends_us=ends_us
        )
        about = {"operator": operator, "share_ppm": str(share_ppm)}
        return self._write("/v1/agreements", message, identifier, about)

    def agreements(self) -> Steps[list[AgreementView]]:
        """The party's operating agreements and what the end of each touches; all of them for a regulator."""
        return self._read("/v1/agreements", list[AgreementView])

    def documents(self, party: str) -> Steps[list[DocumentView]]:
        """A party's documents and what was found of each (the party itself, administrator, regulator)."""
        return self._read(v1("parties", party, "documents"), list[DocumentView])

    def file_document(
        self,
        party: str,
        kind: str,
        digest: str,
        *,
        expires_us: int | None = None,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Show a document of a party by its SHA-256 (the party itself, administrator); the document stays with you."""
        message = DocumentMessage(kind=kind, digest=digest, expires_us=expires_us)
        about = {"party": party, "kind": kind, "digest": digest}
        return self._write(v1("parties", party, "documents"), message, identifier, about)

    def review_document(
        self,
        party: str,
        digest: str,
        decision: Literal["accept", "refuse"],
        reason: str,
        *,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Accept or refuse a document that somebody else filed (administrator)."""
        message = DocumentReviewMessage(decision=decision, reason=reason)
        about = {"party": party, "digest": digest}
        return self._write(v1("parties", party, "documents", digest, "review"), message, identifier, about)

    def declare_holders(
        self, party: str, since_us: int, holders: Sequence[HolderMessage], *, identifier: str | None = None
    ) -> Steps[Done]:
        """Say who holds a party from a moment on (the party itself, administrator)."""
        message = HoldersMessage(since_us=since_us, holders=list(holders))
        return self._write(
            v1("parties", party, "holders"), message, identifier, {"party": party, "since_us": str(since_us)}
        )

    def holders(self, party: str) -> Steps[RegisterView]:
        """Who holds a party now, and what else relates it to others (the party itself, administrator, regulator)."""
        return self._read(v1("parties", party, "holders"), RegisterView)

    def declare_relation(
        self,
        subject: str,
        object: str,  # as the route calls it
        relation: Literal["controls", "runs", "same", "kin"],
        *,
        stands: bool = True,
        evidence: str | None = None,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Say that two parties or persons are related, or no longer (administrator, regulator)."""
        message = RelationMessage(
            subject=subject, object=object, relation=relation, stands=stands, evidence=evidence
        )
        about = {"subject": subject, "object": object, "relation": relation}
        return self._write("/v1/relations", message, identifier, about)

    def conflicts(self, asset: str, party: str) -> Steps[ConflictsView]:
        """Whether a party or person may bid for an asset, approve or appraise it, and why not (administrator, regulator)."""
        return self._read(v1("assets", asset, "conflicts", party), ConflictsView)
