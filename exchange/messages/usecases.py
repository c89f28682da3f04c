"""Wire shapes of use cases: what was built on an asset."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from exchange.messages.outcomes import Outcome
from exchange.messages.shapes import Digest, Message, Whole, Words
from exchange.messages.views import View

PAGE = r"^(https://[A-Za-z0-9._~:/?#@!$&()*+,;=%\[\]-]{1,500})?$"
"""The address of a page, or nothing."""


class UseCaseMessage(Message):
    """What you built on what you licensed; `url` is a page that shows it."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    text: Words
    url: Annotated[str, StringConstraints(pattern=PAGE)] = ""


class UseCaseDecisionMessage(Message):
    """Whether the department consents; a refusal has a reason."""

    decision: Literal["consent", "refuse"]
    reason: Annotated[str, StringConstraints(max_length=2000)] = ""


class PublishedUseCase(View):
    """A use case as everybody reads it."""

    use_case: str
    asset: str
    title: str
    text: str
    url: str
    proposed_us: Whole


class UseCaseView(PublishedUseCase):
    """The same for who told it and for the department; it is published at `notice_ends_us` unless it was refused."""

    licence: str
    buyer: str
    supplier: str
    state: Literal["proposed", "published", "declined", "withdrawn"]
    notice_ends_us: Whole
    published_us: Whole | None
    reason: str | None
    log_index: Whole


class UseCaseProposed(Outcome):
    """A use case is before the department until `notice_ends_us`; the texts are sealed."""

    use_case: str
    asset: str
    licence: str
    notice_ends_us: Whole
    title: Digest
    text: Digest
    url: Digest


class UseCaseDecided(Outcome):
    """The department's say, and its reason, sealed."""

    use_case: str
    asset: str
    reason_given: Digest


class UseCaseWithdrawn(Outcome):
    """A use case was taken back."""

    use_case: str
    asset: str
    reason_given: Digest
