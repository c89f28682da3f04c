"""Wire shapes of negotiated sales, and of a listing that is taken back."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from exchange.messages.outcomes import Outcome
from exchange.messages.shapes import Digest, Message, Purpose, Whole
from exchange.messages.views import View, VoucherView

SideName = Literal["buyer", "seller"]


class NegotiationMessage(Message):
    """A buyer's first offer: a price for each of so many licences, for which purpose, and until when it stands."""

    price_fen: Whole
    licences: Whole = 1
    expires_us: Whole
    purpose: Purpose = ""


class CounterOfferMessage(Message):
    """Another offer in the place of the one that the entry `seen` made."""

    seen: Whole
    price_fen: Whole
    licences: Whole = 1
    expires_us: Whole


class OfferAcceptanceMessage(Message):
    """The entry of the offer that is accepted: what is on the table, and nothing that came since."""

    seen: Whole


class RejectionMessage(Message):
    """Why, where one says so; the reason stays sealed."""

    reason: Annotated[str, Field(max_length=2000)] = ""


class ListingWithdrawn(Outcome):
    """A listing is taken back: `lapsed` are the negotiations that end with it, `released` the codes on the lot `lot` whose
    deposits went back with this entry."""

    listing: str
    asset: str
    reason: Digest
    lapsed: list[str] = Field(default_factory=list)
    lot: str | None = None
    released: list[str] = Field(default_factory=list)


class OfferMade(Outcome):
    """An offer is on the table, for the other side to answer until `expires_us`; `side` made it."""

    negotiation: str
    listing: str
    side: SideName
    round: Whole
    price_fen: Whole
    licences: Whole
    expires_us: Whole
    purpose: str = ""
    seen: Whole | None = None


class OfferAccepted(OfferMade):
    """Paid, licensed and confirmed: `by` accepted what `side` had offered."""

    by: SideName
    voucher: VoucherView
    related: list[dict[str, str]] | None = None
    """How the buyer is related to the seller's side, where that is allowed because it is disclosed."""


class OfferClosed(Outcome):
    """A negotiation ended without a sale: rejected or withdrawn `by` a side, expired, or lapsed; `why` says with what."""

    negotiation: str
    listing: str
    by: SideName | None = None
    reason_given: Digest | None = None
    why: Literal["withdrawn", "ended", "stopped"] | None = None


class NegotiationOfferView(View):
    """One offer of a negotiation, by its entry."""

    index: Whole
    side: SideName
    price_fen: Whole
    licences: Whole
    expires_us: Whole
    time_us: Whole


class NegotiationView(View):
    """A negotiation of the caller's party: the offer on the table, made by the entry `offer_index`, and all before it."""

    id: str
    listing: str
    seller: str
    buyer: str
    purpose: str
    state: Literal["open", "accepted", "rejected", "withdrawn", "expired", "lapsed"]
    why: str | None
    side: SideName
    price_fen: Whole
    licences: Whole
    expires_us: Whole
    round: Whole
    trade: str | None
    index: Whole
    offer_index: Whole
    offers: list[NegotiationOfferView]
