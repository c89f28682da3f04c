"""Wire shapes of what each department's data adds to an asset that was made of several."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from exchange.messages.shapes import Digest, Identifier, Message, Whole, Words
from exchange.messages.views import View


class ContributionsMessage(Message):
    """What was measured: `worths` of each coalition of the departments, by its mask, bit k for the k-th; the empty one first.

    `measure` says how, `evidence` is the SHA-256 of the report.
    """

    departments: Annotated[list[Identifier], Field(min_length=2, max_length=8)]
    worths: Annotated[list[Whole], Field(min_length=4, max_length=256)]
    measure: Words
    evidence: Digest


class ContributionsAnswerMessage(Message):
    """A department's answer."""

    accept: bool


class ContributionsView(View):
    """A measurement, everybody's share of what a sale leaves (in millionths, by Shapley's value), and who has accepted it."""

    contributions: str
    asset: str
    departments: list[str]
    worths: list[Whole]
    shares_ppm: dict[str, Whole]
    measure: str
    evidence: Digest
    accepted: list[str]
    state: Literal["proposed", "agreed", "rejected", "replaced"]
    index: Whole
    time_us: Whole
