"""Wire shapes of what came of an act: the `outcome` of its answer, as the body of its log entry says it.

Sealed texts stand as commitments (SHA-256 in hex), numbers as decimal strings. Outcomes go on for ever in the log, so a
member that was said once is never taken away.
"""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from exchange.messages.drills import Cause
from exchange.messages.shapes import Digest, Whole
from exchange.messages.views import RulebookView, View, VoucherView


class ReceiptView(View):
    """Proof that an entry is in the log (RFC 9162 inclusion under a C2SP checkpoint); verifiable offline and for ever.

    `leaf` and `proof` are base64, `salt` hex; `whole` is there where the body was logged in chunks.
    """

    index: Whole
    leaf: str
    salt: Digest
    body: str
    proof: list[str]
    checkpoint: str
    whole: str | None = None


class Outcome(View):
    """What came of an act."""

    state: str


class ReasonView(View):
    """Why an act was refused on the record: the members of its problem."""

    code: str
    detail: str
    field: str | None = None
    rule: str | None = None
    remedy: str | None = None


class RefusedOutcome(Outcome):
    """An act that was refused on the record; what else it says is what it says when it is done."""

    state: Literal["refused"]
    reason: ReasonView


Came = TypeVar("Came", bound=Outcome)


class Answer(View, Generic[Came]):
    """An act that was done, durable and logged, with the receipt that proves it."""

    outcome: Came
    receipt: ReceiptView


class LookedUp(View):
    """The first answer to one of your requests."""

    refused: bool
    outcome: dict[str, Any]
    receipt: ReceiptView


class PartyRegistered(Outcome):
    """An organisation was admitted; `account` is null for one that holds no money here."""

    id: str
    account: str | None
    name: Digest
    uscc: Digest
    roles: list[str]
    holders: list[dict[str, str | None]]


class PartyStateSet(Outcome):
    """A party was suspended or may trade again."""

    party: str
    reason: Digest


class PersonInvited(Outcome):
    """A person may redeem the link whose token hashes to `token`."""

    id: str
    party: str
    name: Digest
    token: Digest


class OperationAgreed(Outcome):
    """An operator runs a department's data for a part of each price, in millionths."""

    operator: str
    supplier: str
    share_ppm: Whole


class ToppedUp(Outcome):
    """Money that the bank received was credited."""

    account: str
    party: str
    amount_fen: Whole
    bank_reference: str


class Withdrawn(Outcome):
    """A payout was ordered; the bank pays against the receipt."""

    account: str
    payout: str
    amount_fen: Whole


class ClockMoved(Outcome):
    """A sandbox's clock went forward."""

    by_us: Whole


class DrillHeld(Outcome):
    """A drill is on the record; `report` is the SHA-256 of its report."""

    case: str
    cause: Cause
    kept: bool
    began_us: Whole
    ended_us: Whole
    acknowledged: Whole
    lost: Whole
    ghosts: Whole
    outage_ms: Whole
    report: Digest


class KeyAdded(Outcome):
    """A key may call; `key` is its digest."""

    key: Digest
    person: str
    label: Digest
    scopes: list[str] | None
    expires_us: Whole | None
    token: Digest | None


class KeyRotated(KeyAdded):
    """A key came in the place of another, which ends at `ends_us`."""

    replaces: Digest
    overlap_us: Whole
    ends_us: Whole


class KeyRevoked(Outcome):
    """A key calls nobody any more."""

    key: Digest
    person: str


class SigningKeyAdded(Outcome):
    """Requests signed with this key stand for the person."""

    id: str
    label: Digest
    party: str
    public: Digest


class SigningKeyRevoked(Outcome):
    """A signing key stands for nobody any more."""

    id: str


class ControlsSet(Outcome):
    """What the party forbids itself from now on."""

    party: str
    sign_above_fen: Whole | None
    order_limit_fen: Whole | None
    heartbeat_us: Whole | None


class TradingStopped(Outcome):
    """The party does nothing more; `ended` are its offers at a fixed price."""

    party: str
    ended: list[str]
    why: Literal["order", "heartbeat"]


class TradingResumed(Outcome):
    """The party acts again."""

    party: str


class WebhookAdded(Outcome):
    """The party is told at an endpoint, from the next entry on."""

    id: str
    party: str
    kinds: list[str]
    url: Digest


class WebhookRemoved(Outcome):
    """Nothing is told there any more."""

    id: str


class WebhookSecretRotated(Outcome):
    """Deliveries are signed with a new secret, and for `overlap_us` with the old one beside it."""

    id: str
    version: Whole
    overlap_us: Whole


class WebhookReplayed(Outcome):
    """What concerns the party is told again from `sequence` on."""

    id: str
    sequence: Whole


class WebhookAnswer(Answer[WebhookAdded]):
    """The endpoint with its secret, which no other route shows: keep it."""

    secret: str


class WebhookSecretAnswer(Answer[WebhookSecretRotated]):
    """The new secret, which no other route shows: keep it."""

    secret: str


class OfferView(View):
    """The terms of an offer."""

    grant: str
    licences: Whole
    term_days: Whole
    price_fen: Whole
    ceiling_fen: Whole | None
    reason: str


class Listed(Outcome):
    """An asset is on offer at a fixed price."""

    id: str
    asset: str
    seller: str
    mode: str
    offer: OfferView
    rulebook: RulebookView


class LotOpened(Outcome):
    """An asset is up for auction, under these rules."""

    id: str
    asset: str
    listing: str
    seller: str
    offer: OfferView
    rules: dict[str, Any]
    rulebook: RulebookView
    appraisal_fen: Whole
    deposit_fen: Whole


class Sale(Outcome):
    """Paid, licensed and confirmed."""

    listing: str
    licences: Whole
    voucher: VoucherView


class BidderAdmitted(Outcome):
    """The deposit is held; `code` is what the bidder is called on this lot."""

    code: str
    lot: str
    hold: str
    bidder: Digest
    deposit_fen: Whole


class BidAdmitted(Outcome):
    """A bid stands; the lot closes at `closes_us`."""

    code: str
    lot: str
    price_fen: Whole
    closes_us: Whole
    expires_us: Whole | None = None


class BatchItem(View):
    """What came of one bid of a batch: `status` 201 with outcome and receipt, 422 with these and a problem's members
    where it was refused on the record, any other with a problem's members alone.
    """

    client_bid_id: str
    status: int
    outcome: dict[str, Any] | None = None
    receipt: ReceiptView | None = None
    type: str | None = None
    title: str | None = None
    code: str | None = None
    detail: str | None = None
    field: str | None = None
    rule: str | None = None
    remedy: str | None = None


class BatchAnswer(View):
    """The bids of a batch, one item each, in their order."""

    items: list[BatchItem]


class AssetDeclared(Outcome):
    """A department said what it has."""

    asset: str
    supplier: str
    operator: str | None
    kind: str
    title: Digest
    summary: Digest


class RiskAssessed(Outcome):
    """A risk assessment was filed."""

    asset: str
    assessment: str
    assessor: str
    grade: str
    opening: str
    exempt_from_k: bool
    about_persons: bool
    raw_digest: Digest
    policy_digest: Digest
    report_digest: Digest
    declared: dict[str, bool | None]
    impacts: list[dict[str, str]]
    policy: Digest
    report: Digest


class ReleaseAuthorized(Outcome):
    """A second person gave leave to release."""

    asset: str
    assessment: str
    assessor: str
    approver: str
    authorization: str
    exempt_from_k: bool
    grade: str
    raw_digest: Digest
    policy_digest: Digest


class ProductReleased(Outcome):
    """A file was measured and taken."""

    asset: str
    authorization: str
    release: str
    grade: str
    raw_digest: Digest
    policy_digest: Digest
    product_digest: Digest
    certificate: Digest
    certificate_digest: Digest
    measurement: Digest
    measured: dict[str, Any]


class ThemeAssigned(Outcome):
    """The product stands under a theme."""

    asset: str
    theme: str


class AssetRegistered(Outcome):
    """The asset has its public code and its certificate."""

    asset: str
    code: str
    kind: str
    theme: str
    grade: str
    evidence: dict[str, dict[str, str]]


class AssetAppraised(Outcome):
    """The asset has a reasoned value."""

    asset: str
    appraisal: str
    value_fen: Whole
    approaches: dict[str, str]
    asked: Digest
    parameters_digest: Digest
    product_digest: Digest
    report: Digest
    report_digest: Digest
    signature: dict[str, str] | None
    streams: list[str]
    valued_on: str
    version: Whole | None


class LinkMade(Outcome):
    """A delivery link was made."""

    licence: str
    valid_seconds: Whole
    expires_us: Whole


class LinkAnswer(View):
    """The same of a delivery link, which is relative to this server."""

    link: str
    outcome: LinkMade
    receipt: ReceiptView


class OpeningErased(Outcome):
    """What opened a commitment of `entry` is gone."""

    commitment: Digest
    entry: Whole
    ground: Digest
