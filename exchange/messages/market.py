"""What callers send to the market's core: parties, money, listings, lots, bids."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from exchange.messages.shapes import Digest, Identifier, Message, Purpose, Whole, Words

Duty = Literal["system", "security", "audit", "business"]
Role = Literal[
    "supplier", "buyer", "operator", "regulator", "administrator", "bank", "registrar", "governing_body", "service_provider", "affiliate"
]  # fmt: skip


class HolderMessage(Message):
    """A holder; `share_ppm` are millionths, `account` goes on from an earlier declaration of a holder without `party`."""

    name: Words
    share_ppm: Whole
    party: Identifier | None = None
    state_owned: bool = False
    account: Identifier | None = None


class PartyMessage(Message):
    """An organisation to admit; `uscc` is its unified social credit code (GB 32100), or its LEI (ISO 17442) abroad."""

    uscc: Annotated[str, Field(examples=["91440101MA5CHD1C1U"])]
    name: Words
    roles: list[Role] = Field(min_length=1, max_length=10)
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
    """A one-time link for a person: the caller draws the token and sends its SHA-256.

    A deputy stands in for `deputy_of`, a person of the same party, until `until_us`.
    """

    party: Identifier
    name: Words
    token_digest: Digest
    deputy_of: Identifier | None = None
    until_us: Whole | None = None


class AgreementPartsMessage(Message):
    """What an operating agreement says of each of its parts beside the term."""

    scope: Words
    products: Words
    duties: Words
    security: Words
    evaluation: Words
    exit: Words


class AgreementMessage(Message):
    """The calling department lets an operator run its data for a part of each price net of tax, on these terms."""

    operator: Identifier
    share_ppm: Whole
    parts: AgreementPartsMessage
    starts_us: Whole
    ends_us: Whole


class DocumentMessage(Message):
    """A document of a party, by its SHA-256; without `expires_us` it holds for good."""

    kind: Annotated[str, Field(pattern="^[a-z_]{1,40}$", examples=["business_licence"])]
    digest: Digest
    expires_us: Whole | None = None


class DocumentReviewMessage(Message):
    """What another person found of a document."""

    decision: Literal["accept", "refuse"]
    reason: Words


class HoldersMessage(Message):
    """Who holds a party from `since_us` on, each holder once."""

    since_us: Whole
    holders: list[HolderMessage] = Field(min_length=1, max_length=200)


class RelationMessage(Message):
    """How two parties or persons are related, or no longer; `evidence` is the SHA-256 of the document that shows it."""

    subject: Identifier
    object: Identifier
    relation: Literal["controls", "runs", "same", "kin"]
    stands: bool = True
    evidence: Digest | None = None


class TopUpMessage(Message):
    """Money that the bank received for a party, as the payer named it: by its identifier here."""

    party: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    amount_fen: Whole
    bank_reference: Identifier


class WithdrawalMessage(Message):
    """Money that the caller's party wants paid out; `account` where it is that of its dividends."""

    amount_fen: Whole
    account: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_:.-]{1,128}$")] | None = None


class ClockMessage(Message):
    """How far a sandbox's clock goes forward."""

    by_us: Whole


class OfferMessage(Message):
    """The terms of an offer; `reason` is published with an exclusive use.

    `contract` is the form that whoever buys signs, `terms` what fills the seller's blanks of it (`GET /v1/contracts`).
    """

    grant: Literal["exclusive", "licence"]
    licences: Whole = 1
    term_days: Whole
    price_fen: Whole
    ceiling_fen: Whole | None = None
    reason: Annotated[str, Field(max_length=2000)] = ""
    contract: Literal["provision", "entrusted", "fusion", "intermediation"] = "provision"
    terms: dict[
        Annotated[str, StringConstraints(pattern="^[a-z_]{1,40}$")],
        Annotated[str, StringConstraints(max_length=500)],
    ] = Field(default_factory=dict, max_length=40)


class MeterMessage(Message):
    """What is charged: micro-yuan (six decimals of a yuan) for each call, day, row or megabyte, never above the ceiling."""

    unit: Literal["call", "day", "row", "megabyte"]
    unit_price_micro: Whole
    ceiling_micro: Whole | None = None


class ListingMessage(Message):
    """A listing at a fixed price; for negotiation, where `price_fen` is the seller's reference, 0 for none; or by use.

    By use (`metered`) the price is that of the `meter`, `price_fen` is 0, and `licences` counts subscriptions.
    """

    asset: Identifier
    offer: OfferMessage
    mode: Literal["fixed", "negotiated", "metered"] = "fixed"
    meter: MeterMessage | None = None

    @model_validator(mode="after")
    def _metered_has_a_meter(self) -> Self:
        if (self.mode == "metered") != (self.meter is not None):
            raise ValueError("a metered listing has a meter, and no other has")
        return self


class LotMessage(Message):
    """An ascending auction; times are microseconds of the market's clock.

    `again_of` is the lot that comes back with this one, `priority` who wins at equal price, `qualification` kinds of
    documents that a bidder has to have shown.
    """

    asset: Identifier
    offer: OfferMessage
    increment_fen: Whole
    deposit_fen: Whole
    opens_us: Whole
    closes_us: Whole
    again_of: Identifier | None = None
    priority: list[Identifier] = Field(default_factory=list, max_length=20)
    qualification: list[Identifier] = Field(default_factory=list, max_length=5)


class PurchaseMessage(Message):
    """How many licences of a fixed-price listing, for which purpose, and the published discount that you count on, if any.

    The best discount that you meet applies without being named; one that is named, and not yours, is refused.
    """

    licences: Whole = 1
    purpose: Purpose = ""
    discount: Identifier | None = None


class BidMessage(Message):
    """One bid; `client_bid_id` is its identifier, under which it can be looked up and safely sent again."""

    client_bid_id: Identifier
    price_fen: Whole


class BidBatchMessage(Message):
    """Bids on one lot, decided in this order."""

    bids: list[BidMessage] = Field(min_length=1, max_length=1000)


class DutyMessage(Message):
    """What a person of the venue is charged with."""

    duty: Duty
