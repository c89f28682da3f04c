"""Wire shapes of complaints: what is complained of, its tracking number, and the answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from exchange.messages.outcomes import Outcome, ReceiptView
from exchange.messages.shapes import Digest, Identifier, Message, Whole, Words
from exchange.messages.views import View

Topic = Literal["data", "price", "service", "privacy", "conduct"]
"""What a complaint is about."""


class ComplaintMessage(Message):
    """What you complain of: about an asset, a party, or (neither) the venue; `contact` is how to reach you, if you like."""

    topic: Topic
    text: Words
    asset: Identifier | None = None
    party: Identifier | None = None
    contact: Annotated[str, StringConstraints(max_length=200)] = ""


class RoutingMessage(Message):
    """The party whose it is to answer."""

    to: Identifier


class ComplaintAnswerMessage(Message):
    """Whether the complaint is right, and what follows."""

    decision: Literal["uphold", "dismiss"]
    answer: Words


class ComplaintStatus(View):
    """Where a complaint stands, for whoever has its tracking number; `overdue` ones are the regulator's too."""

    complaint: str
    topic: str
    asset: str | None
    party: str | None
    state: Literal["open", "upheld", "dismissed"]
    filed_us: Whole
    due_us: Whole
    overdue: bool
    answer: str | None
    answered_us: Whole | None


class ComplaintView(ComplaintStatus):
    """The same for whose it is to answer."""

    handler: str
    filed_by: str | None
    text: str
    contact: str
    log_index: Whole


class ComplaintFiled(Outcome):
    """A complaint waits for its answer until `due_us`; text and contact are sealed."""

    complaint: str
    topic: str
    asset: str | None
    party: str | None
    handler: str
    due_us: Whole
    text: Digest
    contact: Digest | None


class ComplaintAnswer(View):
    """The same with the tracking number, which stands in no log: keep it."""

    tracking: str = Field(examples=["cpl-5f0c3a9e7d21b846-0123456789abcdef01234567"])
    outcome: ComplaintFiled
    receipt: ReceiptView


class ComplaintRouted(Outcome):
    """Another party has to answer now."""

    complaint: str
    handler: str


class ComplaintEscalated(Outcome):
    """A complaint was not answered in time: the regulator answers too."""

    complaint: str
    handler: str
    due_us: Whole


class ComplaintAnswered(Outcome):
    """A complaint ended with this answer, sealed; `late` where its time was over."""

    complaint: str
    late: bool
    answer: Digest
