"""After the sale: acceptance, deletion, ratings, use cases, complaints, a person's question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel

from exchange.client.answers import Done, Tracked
from exchange.client.calls.asking import Asking, v1
from exchange.client.wire import Steps
from exchange.messages.acceptance import (
    AcceptanceView,
    DeliveryObjectionMessage,
    Ground,
    MediationMessage,
    MediatorMessage,
)
from exchange.messages.complaints import (
    ComplaintAnswerMessage,
    ComplaintMessage,
    ComplaintStatus,
    ComplaintView,
    RoutingMessage,
    Topic,
)
from exchange.messages.deletion import DeletionMessage, DeletionView, Method
from exchange.messages.inquiries import (
    InquiryAnswerMessage,
    InquiryAnswerView,
    InquiryKeyMessage,
    InquiryKeyView,
    InquiryMessage,
    InquiryView,
)
from exchange.messages.ratings import AssetRatings, DepartmentRatings, RatingMessage, ReplyMessage
from exchange.messages.statute import WhyMessage
from exchange.messages.usecases import (
    PublishedUseCase,
    UseCaseDecisionMessage,
    UseCaseMessage,
    UseCaseView,
)


class AfterSale(Asking):
    """After the sale: acceptance, deletion, ratings, use cases, complaints, a person's question."""

    def acceptances(self) -> Steps[list[AcceptanceView]]:
        """Where your deliveries stand, oldest first, as buyer, seller or mediator; what was objected to for the venue, all for a regulator."""
        return self._read_all("/v1/acceptances", AcceptanceView)

    def accept_delivery(self, licence: str, *, identifier: str | None = None) -> Steps[Done]:
        """Accept what was delivered to you; an objection of yours that is undecided ends with it."""
        return self._write(v1("licences", licence, "acceptance"), None, identifier, {"licence": licence})

    def object_to_delivery(
        self,
        licence: str,
        ground: Ground,
        text: str,
        *,
        evidence: str | None = None,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Object to what was delivered to you before its window ends; `evidence` is the SHA-256 of what shows it."""
        message = DeliveryObjectionMessage(ground=ground, text=text, evidence=evidence)
        about = {"licence": licence, "ground": ground}
        return self._write(v1("licences", licence, "objection"), message, identifier, about)

    def name_mediator(self, licence: str, mediator: str, *, identifier: str | None = None) -> Steps[Done]:
        """Name the person who mediates, related to neither side (administrator, regulator)."""
        message = MediatorMessage(mediator=mediator)
        about = {"licence": licence, "mediator": mediator}
        return self._write(v1("licences", licence, "mediator"), message, identifier, about)

    def mediate(
        self,
        licence: str,
        decision: Literal["accept", "reduce", "refund"],
        order: str,
        reason: str,
        *,
        refund_fen: int | None = None,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Decide as the named mediator; `order` names the award, `refund_fen` is what a reduction gives back of the price."""
        message = MediationMessage(decision=decision, order=order, reason=reason, refund_fen=refund_fen)
        about = {"licence": licence, "order": order}
        return self._write(v1("licences", licence, "mediation"), message, identifier, about)

    # what buyers think of it

    def rate(
        self,
        licence: str,
        coverage: int,
        maturity: int,
        effect: int,
        accuracy: int,
        text: str = "",
        *,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Rate what you bought with one to five stars on each axis; again, within the time of the rulebook, to change it."""
        message = RatingMessage(
            coverage=coverage, maturity=maturity, effect=effect, accuracy=accuracy, text=text
        )
        return self._write(v1("licences", licence, "rating"), message, identifier, {"licence": licence})

    def reply_to_rating(self, rating: str, text: str, *, identifier: str | None = None) -> Steps[Done]:
        """Reply to a rating of your data, once; `rating` is its identifier (supplier)."""
        about = {"rating": rating}
        return self._write(v1("ratings", rating, "reply"), ReplyMessage(text=text), identifier, about)

    def ratings(self, asset: str) -> Steps[AssetRatings]:
        """The scores of an asset, and all that voucher holders say of it, oldest first."""
        path, after = v1("assets", asset, "ratings"), None
        found: AssetRatings | None = None
        while True:
            params = None if after is None else {"after": str(after)}
            page = yield from self._read(path, AssetRatings, params)
            ratings = page.ratings if found is None else [*found.ratings, *page.ratings]
            found = page.model_copy(update={"ratings": ratings})
            if not page.ratings:
                return found
            after = page.ratings[-1].log_index

    def department_ratings(self, department: str) -> Steps[DepartmentRatings]:
        """The scores of all that a department sold."""
        return self._read(v1("departments", department, "ratings"), DepartmentRatings)

    # what becomes of it in the end, and what was built on it

    def declare_deletion(
        self,
        licence: str,
        person: str,
        method: Method,
        statement: str = "",
        *,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Declare that what you licensed, and every copy of it, is deleted; keep the receipt: it is the certificate."""
        message = DeletionMessage(person=person, method=method, statement=statement)
        about = {"licence": licence, "method": method}
        return self._write(v1("licences", licence, "deletion"), message, identifier, about)

    def deletions(self) -> Steps[list[DeletionView]]:
        """What is to be deleted, and what was, oldest first, as buyer or seller; all of it for a regulator."""
        return self._read_all("/v1/deletions", DeletionView)

    def propose_use_case(
        self, licence: str, title: str, text: str, url: str = "", *, identifier: str | None = None
    ) -> Steps[Done]:
        """Tell what you built; it is published when the department consents, or does not refuse in time."""
        message = UseCaseMessage(title=title, text=text, url=url)
        return self._write(v1("licences", licence, "use-cases"), message, identifier, {"licence": licence})

    def decide_use_case(
        self,
        use_case: str,
        decision: Literal["consent", "refuse"],
        reason: str = "",
        *,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Consent to a use of your data, or refuse it with a reason while its notice runs (supplier)."""
        message = UseCaseDecisionMessage(decision=decision, reason=reason)
        about = {"use_case": use_case}
        return self._write(v1("use-cases", use_case, "decision"), message, identifier, about)

    def withdraw_use_case(self, use_case: str, reason: str, *, identifier: str | None = None) -> Steps[Done]:
        """Take a use case of yours back; a regulator takes down anybody's."""
        about = {"use_case": use_case}
        message = WhyMessage(reason=reason)
        return self._write(v1("use-cases", use_case, "withdrawal"), message, identifier, about)

    def use_cases_of(self, asset: str) -> Steps[list[PublishedUseCase]]:
        """What was built on an asset, newest first; needs no key."""
        return self._read(v1("assets", asset, "use-cases"), list[PublishedUseCase])

    def use_cases(self) -> Steps[list[UseCaseView]]:
        """Use cases that you told, and those of your data, oldest first; all of them for a regulator."""
        return self._read_all("/v1/use-cases", UseCaseView)

    # what the public complains of

    def file_complaint(
        self,
        topic: Topic,
        text: str,
        *,
        asset: str | None = None,
        party: str | None = None,
        contact: str = "",
        identifier: str | None = None,
    ) -> Steps[Tracked]:
        """Complain of an asset, a party, or (neither) the venue; needs no key. Keep `number`: it leads to the answer."""
        message = ComplaintMessage(topic=topic, text=text, asset=asset, party=party, contact=contact)
        return self._tracked("/v1/complaints", message, identifier, {"topic": topic})

    def _tracked(
        self, path: str, message: BaseModel, identifier: str | None, about: Mapping[str, str]
    ) -> Steps[Tracked]:
        answer: dict[str, Any] = {}
        done = yield from self._write(path, message, identifier, about, answer)
        return Tracked(str(answer.get("tracking")), done)

    def follow_complaint(self, number: str) -> Steps[ComplaintStatus]:
        """Where the complaint under a tracking number stands, and its answer; needs no key."""
        return self._read(v1("complaints", number), ComplaintStatus)

    def complaints(self) -> Steps[list[ComplaintView]]:
        """Complaints that are yours to answer, or that you filed, oldest first; all for a regulator and the venue."""
        return self._read_all("/v1/complaints", ComplaintView)

    def route_complaint(self, complaint: str, to: str, *, identifier: str | None = None) -> Steps[Done]:
        """Give a complaint to the party whose it is to answer (administrator, regulator)."""
        about = {"complaint": complaint}
        return self._write(v1("complaints", complaint, "routing"), RoutingMessage(to=to), identifier, about)

    def answer_complaint(
        self,
        complaint: str,
        decision: Literal["uphold", "dismiss"],
        answer: str,
        *,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Answer a complaint that is yours, or as the regulator one whose time is over."""
        message = ComplaintAnswerMessage(decision=decision, answer=answer)
        about = {"complaint": complaint}
        return self._write(v1("complaints", complaint, "answer"), message, identifier, about)

    # a person asks whether a record about them is inside

    def set_inquiry_key(self, public: str, *, identifier: str | None = None) -> Steps[Done]:
        """Name the public key (X25519, hex) that questions to your department are sealed to (supplier)."""
        return self._write(
            "/v1/inquiry-key", InquiryKeyMessage(public=public), identifier, {"public": public}
        )

    def inquiry_key(self, asset: str) -> Steps[InquiryKeyView]:
        """The key to seal a question of an asset to; compare its fingerprint with what the department shows elsewhere."""
        return self._read(v1("assets", asset, "inquiry-key"), InquiryKeyView)

    def inquire(
        self, asset: str, public: str, question: str, *, identifier: str | None = None
    ) -> Steps[Tracked]:
        """Send a question that `exchange.desensitization.inquiry.seal` sealed; needs no key. Keep `number`: it leads to the answer."""
        message = InquiryMessage(public=public, question=question)
        about = {"asset": asset, "public": public}
        return self._tracked(v1("assets", asset, "inquiries"), message, identifier, about)

    def follow_inquiry(self, number: str) -> Steps[InquiryAnswerView]:
        """Where the question under a tracking number stands, and its sealed answer; needs no key."""
        return self._read(v1("inquiries", number), InquiryAnswerView)

    def inquiries(self) -> Steps[list[InquiryView]]:
        """Sealed questions to your department, oldest first; for a regulator that all of them were asked, and not what."""
        return self._read_all("/v1/inquiries", InquiryView)

    def answer_inquiry(self, inquiry: str, answer: str, *, identifier: str | None = None) -> Steps[Done]:
        """Answer a question to your department, sealed to whoever asked (supplier)."""
        message = InquiryAnswerMessage(answer=answer)
        return self._write(v1("inquiries", inquiry, "answer"), message, identifier, {"inquiry": inquiry})
