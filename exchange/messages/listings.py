"""Wire shapes of what stands beside a listing: published discounts, and questions answered to all."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from exchange.messages.outcomes import Outcome
from exchange.messages.shapes import Digest, Identifier, Message, Whole, Words
from exchange.messages.views import View

CriterionName = Literal["quantity", "history", "purpose", "qualification"]


class DiscountMessage(Message):
    """A part of the price, in ppm, for whoever meets the criterion: from `at_least` licences (or so large a quota) at once, after
    so many purchases from you, for one of the purposes, or with one of the kinds of documents in `words`.
    """

    criterion: CriterionName
    off_ppm: Annotated[Whole, Field(description="1 to 1,000,000 parts per million of the price")]
    starts_us: Whole
    ends_us: Whole
    at_least: Whole = 0
    words: list[Identifier] = Field(default_factory=list, max_length=10)


class ListingQuestionMessage(Message):
    """What you want to know of what is offered; everybody reads it with its answer, and not who asked."""

    text: Words


class ListingAnswerMessage(Message):
    """The answer, for everybody."""

    answer: Words


class DiscountPublished(Outcome):
    """A discount stands in the register."""

    id: str
    listing: str
    criterion: CriterionName
    at_least: Whole
    words: list[str]
    off_ppm: Whole
    starts_us: Whole
    ends_us: Whole


class DiscountEnded(Outcome):
    """A discount is over before its term."""

    discount: str
    listing: str
    ends_us: Whole


class QuestionAsked(Outcome):
    """A question is before the seller, who answers until `due_us`; the text is sealed."""

    id: str
    listing: str
    due_us: Whole
    text: Digest


class QuestionAnswered(Outcome):
    """The answer is published; `late` says whether the time for it was over."""

    question: str
    listing: str
    late: bool
    answer: Digest


class DiscountView(View):
    """A discount of a listing's register, by its entry."""

    id: str
    listing: str
    criterion: CriterionName
    at_least: Whole
    words: list[str]
    off_ppm: Whole
    starts_us: Whole
    ends_us: Whole
    index: Whole


class ListingQuestionView(View):
    """A question to the seller and its answer; `mine` where you asked it, `overdue` where the time for the answer is over."""

    id: str
    listing: str
    text: str
    answer: str | None
    state: Literal["open", "answered"]
    asked_us: Whole
    due_us: Whole
    answered_us: Whole | None
    mine: bool
    overdue: bool
