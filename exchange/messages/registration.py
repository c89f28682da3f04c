"""Wire shapes of the register: what comes before a registrar, public notices, certificates and the rights they give."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from exchange.messages.assets import CertificateView
from exchange.messages.outcomes import Outcome
from exchange.messages.shapes import Digest, Identifier, Message, Whole, Words
from exchange.messages.views import View

ActOfRegistration = Literal["initial", "permit", "transfer", "change", "correct", "renew", "cancel"]
Right = Literal["right_hold", "right_use", "right_operate"]


class CounterMessage(Message):
    """A paper form as a clerk of the registrar enters it: who signed it for whom, and the SHA-256 of its scan."""

    party: Identifier
    person: Identifier
    scan: Digest


class ApplicationMessage(Message):
    """An act of registration: `rights` go with an initial one, `grant` and `to` with permit and transfer (`ends_us` and
    `exclusive` with a permit), `title` and `summary` with change and correct; `reason` with these two and cancel.
    """

    act: ActOfRegistration
    rights: list[Right] = Field(default_factory=list, max_length=3)
    grant: Identifier | None = None
    to: Identifier | None = None
    exclusive: bool = False
    ends_us: Whole | None = None
    title: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    summary: Annotated[str, StringConstraints(min_length=1, max_length=4000)] | None = None
    reason: Words | None = None
    counter: CounterMessage | None = None


class AcceptanceMessage(Message):
    """Take an application in, or return it with what is missing."""

    decision: Literal["accept", "return"]
    reason: Words | None = None


class ReviewMessage(Message):
    """A second registrar's decision; a negative one gives its reason."""

    decision: Literal["pass", "return", "reject"]
    reason: Words | None = None


class WithdrawalOfApplicationMessage(Message):
    """Why the applicant takes an application back."""

    reason: Words


class CommentMessage(Message):
    """What anybody says to a public notice."""

    text: Words


class ObjectionMessage(Message):
    """Why a party objects; `counter` where it came on paper."""

    reason: Words
    counter: CounterMessage | None = None


class ObjectionDecisionMessage(Message):
    """Uphold an objection or dismiss it, with the answer to it."""

    decision: Literal["uphold", "dismiss"]
    answer: Words


class RevocationMessage(Message):
    """On which ground of the rulebook a registration is taken back, and why."""

    ground: Annotated[str, StringConstraints(pattern="^[a-z_]{1,64}$")]
    reason: Words


class EngagementMessage(Message):
    """Which service provider is to assess an asset's compliance."""

    provider: Identifier


class ComplianceMessage(Message):
    """What the provider found: the SHA-256 of its report, the finding in a few words, and until when it stands."""

    conclusion: Literal["compliant", "conditional", "not_compliant"]
    report_digest: Digest
    summary: Words
    ends_us: Whole


# views


class AskedView(View):
    """What an act asks for in the clear."""

    rights: list[str] = Field(default_factory=list)
    grant: str | None = None
    to: str | None = None
    exclusive: bool | None = None
    ends_us: Whole | None = None


class ApplicationView(View):
    """An application: `due_us` is until when the registrar has to take the next step, `ends_us` the end of its notice,
    `steps` the log entry of each step, `said` why it was returned, rejected or withdrawn.
    """

    id: str
    act: ActOfRegistration
    asset: str
    party: str
    applicant: str
    clerk: str | None
    scan: Digest | None
    title: str | None
    summary: str | None
    reason: str | None
    asked: AskedView
    state: str
    registrar: str | None
    acceptor: str | None
    reviewer: str | None
    said: str | None
    applied_us: Whole
    due_us: Whole | None
    ends_us: Whole | None
    overdue: bool
    steps: dict[str, Whole]
    log_index: Whole


class ObjectionView(View):
    """An objection as whom it concerns sees it."""

    id: str
    party: str
    person: str
    reason: str
    state: str
    due_us: Whole
    decider: str | None
    answer: str | None
    time_us: Whole
    log_index: Whole


class ApplicationDetail(ApplicationView):
    """An application with the objections to it."""

    objections: list[ObjectionView]


class NoticeView(View):
    """A public notice; `new_title` and `new_summary` are what a change puts in the place of title and summary."""

    application: str
    act: ActOfRegistration
    applicant_name: str
    asked: AskedView
    asset: str
    code: str | None
    title: str
    summary: str
    new_title: str | None
    new_summary: str | None
    kind: str
    theme: str | None
    grade: str | None
    state: str
    ends_us: Whole


class CommentView(View):
    """A comment; `by` is null for a visitor."""

    id: str
    by: str | None
    text: str
    time_us: Whole


class PublicObjectionView(View):
    """An objection as everybody sees it: that there is one, and what it was answered."""

    id: str
    state: str
    answer: str | None
    time_us: Whole


class NoticeDetail(NoticeView):
    """A notice with what was said to it."""

    comments: list[CommentView]
    objections: list[PublicObjectionView]


class RightView(View):
    """One right in a party's hands; `parent` is the one that it was permitted out of."""

    id: str
    right: Right
    holder: str
    holder_name: str
    parent: str | None
    exclusive: bool
    ends_us: Whole
    active: bool


class HistoryView(View):
    """An act that took effect, and its log entry."""

    act: ActOfRegistration
    log_index: Whole


class PublicComplianceView(View):
    """What a provider found, as everybody sees it."""

    provider: str
    provider_name: str
    conclusion: str
    report_digest: Digest
    ends_us: Whole


class ComplianceView(View):
    """An engagement, and from `filed` on what the provider found."""

    id: str
    asset: str
    provider: str
    assessor: str | None
    conclusion: str | None
    report_digest: Digest | None
    summary: str | None
    ends_us: Whole | None
    state: str
    log_index: Whole


class CertificateDetail(CertificateView):
    """A certificate with all that everybody may know of it."""

    compliance: list[PublicComplianceView]

    title: str
    summary: str
    supplier: str
    supplier_name: str
    operator_name: str | None
    registrar_name: str | None
    rights: list[RightView]
    history: list[HistoryView]


class OpeningView(View):
    """What opens a commitment; null where it was erased."""

    salt: str | None
    text: str | None


class CertificateDocument(View):
    """A certificate to keep: the receipt of the entry that gave the code, which anybody verifies without the exchange."""

    certificate: CertificateDetail
    receipt: dict[str, Any]
    openings: dict[str, OpeningView]


# outcomes


class RightOutcome(View):
    """A right as an entry states it."""

    id: str
    right: Right
    holder: str
    parent: str | None
    exclusive: bool
    ends_us: Whole


class CounterView(View):
    """Which clerk entered a paper form, and the SHA-256 of its scan."""

    clerk: str
    scan: Digest


class StepOutcome(Outcome):
    """A step of the procedure."""

    act: ActOfRegistration
    application: str
    asset: str


class RegistrationApplied(StepOutcome):
    """An act was applied for; texts are sealed."""

    applicant: str
    asked: AskedView
    counter: CounterView | None
    due_us: Whole
    party: str
    reason_given: Digest | None
    summary: Digest | None
    title: Digest | None


class RegistrationAccepted(StepOutcome):
    """A registrar took it in, or returned it."""

    decision: str
    due_us: Whole | None
    registrar: str
    reason_given: Digest | None


class RegistrationReviewed(StepOutcome):
    """A second registrar judged it; its notice runs until `ends_us`."""

    decision: str
    ends_us: Whole | None
    registrar: str
    reason_given: Digest | None


class RegistrationWithdrawn(StepOutcome):
    """The applicant took it back."""

    reason_given: Digest


class NoticeCommented(Outcome):
    """Somebody said something to a notice; `party` is null for a visitor."""

    application: str
    asset: str
    comment: str
    party: str | None
    text: Digest


class ObjectionFiled(StepOutcome):
    """A party objects, and the act waits."""

    counter: CounterView | None
    due_us: Whole
    objection: str
    party: str
    person: str
    reason_given: Digest


class ObjectionDecided(StepOutcome):
    """An objection was upheld or dismissed."""

    answer: Digest
    decision: str
    objection: str
    party: str
    registrar: str


class RegistrationConcluded(StepOutcome):
    """An act took effect: a right was granted or moved, or the certificate has a further version."""

    party: str
    right: RightOutcome | None = None
    code: str | None = None
    ends_us: Whole | None = None
    summary: Digest | None = None
    title: Digest | None = None
    version: Whole | None = None


class RegistrationCancelled(StepOutcome):
    """A registration ended as its holder asked; `ended` are the offers that ended with it."""

    party: str
    code: str
    ended: list[str]
    version: Whole


class RegistrationRevoked(Outcome):
    """A registration was taken back."""

    asset: str
    code: str
    ended: list[str]
    ground: str
    reason_given: Digest


class RegistrationExpired(Outcome):
    """A certificate's term was over."""

    asset: str
    code: str
    ended: list[str]


class RegistrationReminded(Outcome):
    """A certificate ends soon."""

    asset: str
    code: str
    ends_us: Whole


class ComplianceEngaged(Outcome):
    """A provider is to assess an asset's compliance."""

    asset: str
    engagement: str
    provider: str


class ComplianceAssessed(Outcome):
    """What the provider found."""

    asset: str
    conclusion: str
    ends_us: Whole
    engagement: str
    provider: str
    report_digest: Digest
    summary: Digest
