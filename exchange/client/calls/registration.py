"""The register: applications, notices, objections, certificates."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal, get_args

from exchange.client.answers import Done
from exchange.client.calls.asking import Asking, asked, v1
from exchange.client.certificates import verify_certificate
from exchange.client.errors import Unproven
from exchange.client.wire import Steps
from exchange.messages.assets import CertificateView
from exchange.messages.registration import (
    AcceptanceMessage,
    ActOfRegistration,
    ApplicationDetail,
    ApplicationMessage,
    ApplicationView,
    CertificateDetail,
    CommentMessage,
    ComplianceMessage,
    ComplianceView,
    CounterMessage,
    EngagementMessage,
    NoticeDetail,
    NoticeView,
    ObjectionDecisionMessage,
    ObjectionMessage,
    ReviewMessage,
    RevocationMessage,
    Right,
    WithdrawalOfApplicationMessage,
)
from ledger.merkle import leaf_hash


class Registration(Asking):
    """The register: applications, notices, objections, certificates."""

    def apply(
        self,
        asset: str,
        act: ActOfRegistration = "initial",
        *,
        rights: Sequence[Right] = (),
        grant: str | None = None,
        to: str | None = None,
        exclusive: bool = False,
        ends_us: int | None = None,
        title: str | None = None,
        summary: str | None = None,
        reason: str | None = None,
        counter: CounterMessage | None = None,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Put an act of registration before the registrar; `outcome["application"]` names it from now on.

        The first registration of a themed asset claims all three `rights` unless told otherwise, and gives a code when its
        public notice has ended; `grant` and `to` are of a permit or transfer, texts of a change or correction. A registrar's
        clerk enters a paper form with `counter`.
        """
        claimed = rights or (get_args(Right) if act == "initial" else ())
        message = ApplicationMessage(
            act=act,
            rights=list(claimed),
            grant=grant,
            to=to,
            exclusive=exclusive,
            ends_us=ends_us,
            title=title,
            summary=summary,
            reason=reason,
            counter=counter,
        )
        about = {"act": act, "asset": asset}
        return self._write(v1("assets", asset, "applications"), message, identifier, about)

    def applications(
        self, *, state: str | None = None, asset: str | None = None
    ) -> Steps[list[ApplicationView]]:
        """Your party's applications; all of them for a registrar or regulator."""
        return self._read_all("/v1/applications", ApplicationView, asked(state=state, asset=asset))

    def application(self, application: str) -> Steps[ApplicationDetail]:
        """One application: where it stands, who decided what, and the objections to it."""
        return self._read(v1("applications", application), ApplicationDetail)

    def accept(
        self, application: str, *, missing: str | None = None, identifier: str | None = None
    ) -> Steps[Done]:
        """Take an application in, or return it with what is `missing` (registrar)."""
        decision: Literal["accept", "return"] = "accept" if missing is None else "return"
        message = AcceptanceMessage(decision=decision, reason=missing)
        about = {"application": application}
        return self._write(v1("applications", application, "acceptance"), message, identifier, about)

    def review(
        self,
        application: str,
        decision: Literal["pass", "return", "reject"] = "pass",
        *,
        reason: str | None = None,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Review an accepted application, as another registrar than who accepted it, who is Refused.

        `outcome["ends_us"]` is when its public notice ends.
        """
        message = ReviewMessage(decision=decision, reason=reason)
        about = {"application": application}
        return self._write(v1("applications", application, "review"), message, identifier, about)

    def withdraw_application(
        self, application: str, reason: str, *, identifier: str | None = None
    ) -> Steps[Done]:
        """Take your application back."""
        message = WithdrawalOfApplicationMessage(reason=reason)
        about = {"application": application}
        return self._write(v1("applications", application, "withdrawal"), message, identifier, about)

    def notices(self) -> Steps[list[NoticeView]]:
        """The public notices that run, or wait for the decision of an objection."""
        return self._read_all("/v1/notices", NoticeView)

    def notice(self, application: str) -> Steps[NoticeDetail]:
        """One public notice with what was said to it."""
        return self._read(v1("notices", application), NoticeDetail)

    def comment(self, application: str, text: str, *, identifier: str | None = None) -> Steps[Done]:
        """Comment on a public notice; without a key as anybody, and then the same text is one comment."""
        if self.wire.key is None:
            # Visitors have no name of their own, so the exchange makes the identifier of what is said.
            identifier = f"comment-{hashlib.sha256(f'{application} {text}'.encode()).hexdigest()[:40]}"
        about = {"application": application}
        message = CommentMessage(text=text)
        return self._write(v1("notices", application, "comments"), message, identifier, about)

    def file_objection(
        self,
        application: str,
        reason: str,
        *,
        counter: CounterMessage | None = None,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Object to a public notice as your party; what it announces waits until the objection is decided."""
        message = ObjectionMessage(reason=reason, counter=counter)
        about = {"application": application}
        return self._write(v1("notices", application, "objections"), message, identifier, about)

    def decide_objection(
        self,
        objection: str,
        decision: Literal["uphold", "dismiss"],
        answer: str,
        *,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Uphold or dismiss an objection, as another registrar than who let the application pass, who is Refused."""
        message = ObjectionDecisionMessage(decision=decision, answer=answer)
        about = {"objection": objection}
        return self._write(v1("objections", objection, "decision"), message, identifier, about)

    def revoke_registration(
        self, asset: str, ground: str, reason: str, *, identifier: str | None = None
    ) -> Steps[Done]:
        """Take a registration back on one of the rulebook's grounds (registrar, regulator)."""
        message = RevocationMessage(ground=ground, reason=reason)
        about = {"asset": asset, "ground": ground}
        return self._write(v1("assets", asset, "revocation"), message, identifier, about)

    def engage_provider(self, asset: str, provider: str, *, identifier: str | None = None) -> Steps[Done]:
        """Engage an independent service provider to assess your asset's compliance; Refused where it is related to you."""
        message = EngagementMessage(provider=provider)
        about = {"asset": asset, "provider": provider}
        return self._write(v1("assets", asset, "compliance-engagements"), message, identifier, about)

    def file_compliance(
        self, engagement: str, finding: ComplianceMessage, *, identifier: str | None = None
    ) -> Steps[Done]:
        """File what you found as the provider that was engaged."""
        about = {"engagement": engagement, "report_digest": finding.report_digest}
        return self._write(v1("compliance", engagement, "report"), finding, identifier, about)

    def compliance(self) -> Steps[list[ComplianceView]]:
        """Engagements and assessments that concern your party; all of them for a registrar or regulator."""
        return self._read("/v1/compliance", list[ComplianceView])

    def certificates(self) -> Steps[list[CertificateView]]:
        """The certificates of your party's assets, the first to end first."""
        return self._read("/v1/certificates", list[CertificateView])

    def certificate(self, code: str) -> Steps[CertificateDetail]:
        """A registration certificate, each of its evidence hashes held to the log. Unproven where one differs."""
        view = yield from self._read(v1("certificates", code), CertificateDetail)
        for step, evidence in (*view.evidence.items(), *view.steps.items()):
            leaf, _ = yield from self._leaf(evidence.index)
            if leaf_hash(leaf).hex() != evidence.leaf_hash:
                raise Unproven(
                    f"the log's entry {evidence.index} is not the one of {code}", field=f"evidence.{step}"
                )
        return view

    def certificate_document(self, code: str) -> Steps[dict[str, Any]]:
        """The certificate as a file to keep, verified: `exchange.client.certificates` judges it again without the exchange."""
        document = yield from self._read(v1("certificates", code, "document"), dict[str, Any])
        yield from self._proven(document.get("receipt"))
        history = yield from self._log()
        if verify_certificate(document, [history.verifier]).code != code:
            raise Unproven("the document is another certificate's", field="certificate.code")
        return document
