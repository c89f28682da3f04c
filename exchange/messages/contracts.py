"""Wire shapes of contracts: the four forms, standing terms, a trade's contract with its signatures, and what a licence is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from exchange.messages.outcomes import Outcome
from exchange.messages.shapes import Digest, Identifier, Message, Purpose, Whole, Words
from exchange.messages.views import View

Region = Annotated[str, StringConstraints(pattern="^([A-Z]{2}(-[A-Z0-9]{1,3})?)?$")]


class ContractSignatureMessage(Message):
    """A side's signature: of the digest that it read, by a signing key of its party, 64 bytes in hexadecimal."""

    digest: Digest
    key: Identifier
    signature: Annotated[str, StringConstraints(pattern="^[0-9a-f]{128}$")]


class LinkMessage(Message):
    """How long a delivery link shall work, in seconds; for which purpose and in which region (ISO 3166), empty as agreed."""

    valid_seconds: Whole = 3600
    purpose: Purpose = ""
    region: Region = ""


class LicenceStateMessage(Message):
    """Suspend a licence, let it work again, or revoke it for good; the reason stays sealed."""

    state: Literal["active", "suspended", "revoked"]
    reason: Words


class BlankView(View):
    """A blank of a form that its seller fills: what fits, and by what it is filled where nobody says anything."""

    name: str
    words: dict[str, str]
    rule: str
    default: str | None
    choices: dict[str, dict[str, str]]


class FormView(View):
    """One of the four contracts: its title and clauses by language, and the seller's blanks of it.

    `verified` says whether the original was read.
    """

    name: str
    title: dict[str, str]
    source: str
    verified: bool
    template_digest: Digest
    blanks: list[BlankView]
    clauses: list[dict[str, str]]


class ClauseView(View):
    """One clause, by its number, in both languages."""

    number: str
    name: str
    zh: str
    en: str


class TermsView(View):
    """A listing's standing terms: what whoever buys will sign, with the trade's blanks open.

    `seller_index` is the entry that has the seller's signature, null while there is none.
    """

    listing: str
    origin: str
    template: str
    template_digest: Digest
    title: dict[str, str]
    values: dict[str, str]
    clauses: list[ClauseView]
    digest: Digest
    seller_index: Whole | None


class ContractOpeningView(View):
    """What opens a commitment; null where it was erased."""

    text: str | None
    salt: Digest | None


class ContractView(View):
    """The contract of a trade: its clauses, the licence's policy, the digest that both sides sign, and who has signed.

    `state` is drawn, signed or ended; `drawn_index`, `seller_index` and `buyer_index` are entries of the log.
    """

    trade: str
    licence: str
    origin: str
    template: str
    template_digest: Digest
    title: dict[str, str]
    values: dict[str, str]
    clauses: list[ClauseView]
    policy: dict[str, Any]
    digest: Digest
    state: str
    drawn_index: Whole
    seller_index: Whole | None
    buyer_index: Whole | None
    signed_us: Whole | None
    openings: dict[str, ContractOpeningView] = Field(default_factory=dict)


class ContractDocument(View):
    """A contract as a file to keep and to verify without the exchange: the receipts prove when it was drawn up and signed."""

    contract: ContractView
    drawn: dict[str, Any]
    seller: dict[str, Any] | None
    buyer: dict[str, Any] | None


class TermsSigned(Outcome):
    """The seller's signature stands for every later sale of the listing, while its key does."""

    listing: str
    digest: Digest
    key: str
    public: Digest
    signature: str


class ContractSigned(Outcome):
    """A side signed; `state` is signed once both have, and drawn until then."""

    trade: str
    side: str
    digest: Digest
    key: str
    public: Digest
    signature: str


class LicenceStateSet(Outcome):
    """A licence was suspended, works again, or is revoked; the reason is sealed."""

    licence: str
    reason: Digest


class LinksEnded(Outcome):
    """Every link of the licence that was made until now is ended, for the `links_ended`th time."""

    licence: str
    links_ended: Whole
