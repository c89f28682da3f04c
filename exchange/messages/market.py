"""What callers send to the market's core: parties, money, listings, lots, bids."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from exchange.messages.shapes import Digest, Identifier, Message, Whole, Words

Role = Literal["supplier", "buyer", "operator", "regulator", "administrator", "bank"]


class HolderMessage(Message):
    """A holder of an operator; `share_ppm` are millionths."""

    name: Words
    share_ppm: Whole
    party: Identifier | None = None


class PartyMessage(Message):
    """An organisation to admit; `uscc` is its unified social credit code (GB 32100)."""

    uscc: Annotated[str, Field(examples=["91440101MA5CHD1C1U"])]
    name: Words
    roles: list[Role] = Field(min_length=1, max_length=6)
    holders: list[HolderMessage] = Field(default_factory=list, max_length=50)


class PartyStateMessage(Message):
    """Suspend a party or let it trade again."""

    state: Literal["active", "suspended"]
    reason: Words


class ErasureMessage(Message):
    """Erase what opens a commitment: its salt and its text; the ground stays sealed."""

    commitment: Digest
    ground: Words


class InvitationMessage(Message):
    """A one-time link for a person: the caller draws the token and sends its SHA-256."""

    party: Identifier
    name: Words
    token_digest: Digest


class AgreementMessage(Message):
    """The calling department lets an operator run its data for a part of each price net of tax."""

    operator: Identifier
    share_ppm: Whole


class TopUpMessage(Message):
    """Money that the bank received for a party."""

    party: Identifier
    amount_fen: Whole
    bank_reference: Identifier


class WithdrawalMessage(Message):
    """Money that the caller's party wants paid out."""

    amount_fen: Whole


class ClockMessage(Message):
    """How far a sandbox's clock goes forward."""

    by_us: Whole


class OfferMessage(Message):
    """The terms of an offer; `reason` is published with an exclusive use."""

    grant: Literal["exclusive", "licence"]
    licences: Whole = 1
    term_days: Whole
    price_fen: Whole
    ceiling_fen: Whole | None = None
    reason: Annotated[str, Field(max_length=2000)] = ""


class ListingMessage(Message):
    """A fixed-price listing."""

    asset: Identifier
    offer: OfferMessage


class LotMessage(Message):
    """An ascending auction; times are microseconds of the market's clock."""

    asset: Identifier
    offer: OfferMessage
    increment_fen: Whole
    deposit_fen: Whole
    opens_us: Whole
    closes_us: Whole


class PurchaseMessage(Message):
    """How many licences of a fixed-price listing."""

    licences: Whole = 1


class BidMessage(Message):
    """One bid; `client_bid_id` is its identifier, under which it can be looked up and safely sent again."""

    client_bid_id: Identifier
    price_fen: Whole


class BidBatchMessage(Message):
    """Bids on one lot, decided in this order."""

    bids: list[BidMessage] = Field(min_length=1, max_length=1000)
