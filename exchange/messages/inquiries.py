"""Wire shapes of a person's question: sealed to the department, and the sealed answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from exchange.messages.outcomes import Outcome, ReceiptView
from exchange.messages.shapes import Digest, Message, Whole
from exchange.messages.views import View

Sealed = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9+/]{1,8190}={0,2}$"),
    Field(examples=["c2VhbGVkIHRvIHRoZSBkZXBhcnRtZW50"]),
]
"""A sealed box of libsodium, in base64."""


class InquiryKeyMessage(Message):
    """The public key (X25519, hex) that questions to your department are sealed to."""

    public: Digest


class InquiryMessage(Message):
    """A question, sealed to the department's key `public`, which never leaves your machine in clear."""

    public: Digest
    question: Sealed


class InquiryAnswerMessage(Message):
    """The department's answer, sealed to the key that the question names."""

    answer: Sealed


class InquiryKeyView(View):
    """The key to seal a question of an asset to; compare its fingerprint (SHA-256) with what the department shows elsewhere."""

    asset: str
    department: str
    public: Digest
    fingerprint: Digest
    log_index: Whole


class InquiryStatus(View):
    """Where a question stands."""

    inquiry: str
    asset: str
    department: str
    state: Literal["open", "answered"]
    asked_us: Whole
    due_us: Whole
    overdue: bool
    answered_us: Whole | None


class InquiryAnswerView(InquiryStatus):
    """The same for whoever has the tracking number, with the sealed answer."""

    answer: str | None


class InquiryView(InquiryStatus):
    """The same for the department, with the sealed question; a regulator sees that it was asked, and not what."""

    public: Digest
    question: str | None
    log_index: Whole


class InquiryKeySet(Outcome):
    """Questions to a department are sealed to this key from now on."""

    department: str
    public: Digest


class InquiryAsked(Outcome):
    """A sealed question is before the department, which answers until `due_us`."""

    inquiry: str
    asset: str
    department: str
    due_us: Whole
    public: Digest
    question: Digest


class InquiryReceived(View):
    """The same with the tracking number, which stands in no log: keep it."""

    tracking: str = Field(examples=["inq-5f0c3a9e7d21b846-0123456789abcdef01234567"])
    outcome: InquiryAsked
    receipt: ReceiptView


class InquiryAnswered(Outcome):
    """A question was answered; `late` where the time for it was over."""

    inquiry: str
    asset: str
    late: bool
    answer: Digest
