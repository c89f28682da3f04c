"""Wire shapes of acceptance: objections, mediators, awards, and where a delivery stands."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from exchange.messages.outcomes import Outcome
from exchange.messages.shapes import Digest, Identifier, Message, Whole, Words
from exchange.messages.views import View

Ground = Literal["not_as_described", "incomplete", "inaccurate", "not_delivered", "terms"]
"""On what a buyer objects to a delivery."""

Stands = Literal["open", "accepted", "objected", "mediation", "reduced", "refunded", "void"]


class DeliveryObjectionMessage(Message):
    """Why you do not accept what was delivered; the text stays sealed, `evidence` is the SHA-256 of what shows it."""

    ground: Ground
    text: Words
    evidence: Digest | None = None


class MediatorMessage(Message):
    """A person of a service provider, by identifier."""

    mediator: Identifier


class MediationMessage(Message):
    """A mediator's award; `refund_fen` is the part of the price that a reduction gives back."""

    decision: Literal["accept", "reduce", "refund"]
    order: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    reason: Words
    refund_fen: Whole | None = None


class AcceptanceView(View):
    """Where a delivery stands: its window ends at `ends_us`, and silence accepts it then.

    `due_us` is until when a mediator is to be named, then until when it decides; a refund is `paid` or `owed`.
    """

    licence: str
    trade: str
    asset: str
    buyer: str
    seller: str
    state: Stands
    settled_us: Whole
    accessed_us: Whole | None
    ends_us: Whole
    silent: bool | None
    ground: str | None
    text: str | None
    evidence: str | None
    objected_us: Whole | None
    due_us: Whole | None
    overdue: bool
    mediator: str | None
    mediator_party: str | None
    order_reference: str | None
    reason: str | None
    refund_fen: Whole | None
    refund_state: Literal["paid", "owed"] | None
    refund_index: Whole | None
    decided_us: Whole | None
    log_index: Whole


class DeliveryAccepted(Outcome):
    """A delivery was accepted; `silent` where its window ended without a word."""

    licence: str
    trade: str
    asset: str
    silent: bool


class DeliveryObjected(Outcome):
    """The buyer does not accept; a mediator is named until `due_us`. The text is sealed."""

    licence: str
    trade: str
    asset: str
    ground: str
    evidence: Digest | None
    due_us: Whole
    text: Digest


class MediatorNamed(Outcome):
    """A mediator decides until `due_us`."""

    licence: str
    trade: str
    asset: str
    mediator: str
    due_us: Whole | None = Field(default=None, description="missing where the mediator was refused")


class DeliveryMediated(Outcome):
    """A mediator's award, which is final: what of the price goes back under `order`, and whether it was `paid` or is `owed`."""

    licence: str
    trade: str
    asset: str
    order: str
    reason_given: Digest
    refund_fen: Whole
    refund: Literal["paid", "owed"] | None
    owed: list[dict[str, str | bool | None]] | None
    late: bool


class RefundPaid(Outcome):
    """A refund that was owed is paid."""

    licence: str
    trade: str
    asset: str
    refund_fen: Whole
