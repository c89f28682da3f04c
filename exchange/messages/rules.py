"""What callers send about the market's rules, and what is shown of them; a figure is a decimal string."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from exchange.messages.shapes import Digest, Message, Whole, Words
from exchange.messages.views import RulebookView, View

RuleName = Annotated[str, StringConstraints(pattern="^[a-z_]{1,40}[.][a-z_]{1,60}$")]
RuleWord = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9_-]{0,63}$")]
Day = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


class RuleMessage(Message):
    """A rule as it shall be: its value (a figure as a decimal string, a permission, a word, or several), and its source."""

    value: bool | RuleWord | Annotated[list[RuleWord], Field(min_length=1, max_length=64)]
    source: Annotated[str, Field(min_length=1, max_length=200)]
    clause: Annotated[str, Field(max_length=200)]
    effective: Day
    verified: bool


class YearMessage(Message):
    """A year's days off beside the weekends, and the weekend days that are worked."""

    off: Annotated[list[Day], Field(max_length=200)]
    source: Annotated[str, Field(min_length=1, max_length=200)]
    verified: bool
    worked: Annotated[list[Day], Field(max_length=200)]


class CalendarMessage(Message):
    """Public holidays of one version, a year each."""

    version: Annotated[str, Field(min_length=1, max_length=64)]
    years: Annotated[
        dict[Annotated[str, StringConstraints(pattern="^[0-9]{4}$")], YearMessage], Field(max_length=100)
    ]


class RuleChangeMessage(Message):
    """Other rules in the place of some, or another calendar, from `effective_us` on."""

    rules: Annotated[dict[RuleName, RuleMessage], Field(max_length=200)] = Field(default_factory=dict)
    calendar: CalendarMessage | None = None
    effective_us: Whole
    reason: Words


class RuleDecisionMessage(Message):
    """A second person's signature of a change, bound to the digest of the version that it makes; or a rejection."""

    decision: Literal["sign", "reject"]
    digest: Digest
    reason: Annotated[str, Field(max_length=2000)] = ""


class RulebookDocumentView(RulebookView):
    """A version of the rules: the canonical form of `document` (RFC 8785) hashes to `digest`; `gates` says on which rules
    each gate of the exchange's code stands.
    """

    document: dict[str, Any]
    gates: dict[str, list[str]]


class RulebookVersionView(RulebookView):
    """A version, since when it is in force, and the log entry that put it there."""

    effective_us: Whole
    log_index: Whole


class RuleChangeView(View):
    """A proposed change and what came of it; `base` is the version that it changes, `digest` the one that it makes."""

    id: str
    proposer: str
    base: str
    digest: str
    version: str
    rules: dict[str, Any]
    calendar: dict[str, Any] | None
    effective_us: Whole
    reason: str
    state: str
    log_index: Whole
