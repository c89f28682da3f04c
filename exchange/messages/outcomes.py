"""Wire shapes of what came of an act: the `outcome` of its answer, as the body of its log entry says it.

Sealed texts stand as commitments (SHA-256 in hex), numbers as decimal strings. Outcomes go on for ever in the log, so a
member that was said once is never taken away.
"""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import Field

from exchange.messages.bank import FindingView, ReturnReason, StatementLineMessage
from exchange.messages.drills import Cause
from exchange.messages.shapes import Digest, Signed, Whole
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
    path: list[dict[str, str]] | None = None
    """How two are related, step by step, where that is the reason."""


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


class RuleChangeProposed(Outcome):
    """A change of the rules waits for a second person; `result` is the version that it makes of `base`."""

    id: str
    base: RulebookView
    result: RulebookView
    rules: dict[str, Any]
    calendar: dict[str, Any] | None
    effective_us: Whole
    reason: Digest


class RuleChangeDecided(Outcome):
    """A change was signed, and `document` is in force from `effective_us` on, or rejected; `reason_given` is sealed."""

    proposal: str
    digest: Digest
    version: str
    reason_given: Digest
    document: dict[str, Any] | None = None
    effective_us: Whole | None = None


class PartyRegistered(Outcome):
    """An organisation was admitted; `account` is null for one that holds no money here."""

    id: str
    account: str | None
    name: Digest
    uscc: Digest
    roles: list[str]
    holders: list[dict[str, str | bool | None]]


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
    deputy_of: str | None
    until_us: Whole | None


class DutyAssigned(Outcome):
    """A person of the venue has this duty; `others` do its business from now on."""

    person: str
    duty: str
    others: list[str]


class PersonLeft(Outcome):
    """The person acts for nobody any more, and these keys with it."""

    person: str
    party: str
    keys: list[Digest]
    signing_keys: list[str]


class DocumentFiled(Outcome):
    """A document of a party waits for its review."""

    party: str
    digest: Digest
    kind: str
    expires_us: Whole | None


class DocumentReviewed(Outcome):
    """The state says what another person found, `admitted` whether this admitted the party; the reason is sealed."""

    party: str
    digest: Digest
    admitted: bool
    reason: Digest


class OperationAgreed(Outcome):
    """An operator runs a department's data for a part of each price, in millionths."""

    operator: str
    supplier: str
    share_ppm: Whole
    parts: Digest
    starts_us: Whole
    ends_us: Whole


class HoldersDeclared(Outcome):
    """Who holds the party from `since_us` on; names are sealed."""

    party: str
    since_us: Whole
    holders: list[dict[str, str | bool | None]]


class RelationDeclared(Outcome):
    """How two are related; the state says whether it stands."""

    subject: str
    object: str
    relation: str
    evidence: Digest | None


class ToppedUp(Outcome):
    """Money that the bank received was credited, or (`state` "suspense", `party` null) waits for whose it is."""

    account: str
    party: str | None
    amount_fen: Whole
    bank_reference: str
    payee: Digest | None = None


class SuspenseAssigned(Outcome):
    """Money that waited in suspense was credited to the party that it was meant for."""

    account: str
    party: str
    amount_fen: Whole
    bank_reference: str
    reason: Digest


class Withdrawn(Outcome):
    """A payout was ordered; the bank pays against the receipt. It says whose dividends it is of, or by whose proposal treasury
    money leaves."""

    account: str
    payout: str
    amount_fen: Whole
    dividends_of: str | None = None
    proposal: str | None = None
    proposer: str | None = None


class TreasuryPayoutProposed(Outcome):
    """A payout of treasury money waits for another person."""

    proposal: str
    party: str
    amount_fen: Whole


class TreasuryPayoutRejected(Outcome):
    """Another person rejected it; nothing moved."""

    proposal: str
    proposer: str


class ContributionsFiled(Outcome):
    """What was measured of an asset waits for the departments' answers; how it was measured is sealed."""

    asset: str
    contributions: str
    departments: list[str]
    worths: list[Whole]
    measure: Digest
    evidence: Digest


class ContributionsAnswered(Outcome):
    """A department answered: "accepted", "agreed" with the last one, or "rejected"."""

    asset: str
    contributions: str
    department: str


class PayoutReturned(Outcome):
    """The bank sent a payout back, and its party has the money again; `bank_reference` null where it never left."""

    account: str
    party: str
    payout: str
    amount_fen: Whole
    bank_reference: str | None
    return_reason: ReturnReason


class StatementReconciled(Outcome):
    """A statement was compared with the book: "agreed", or "alarm" with what does not agree.

    `difference_fen` is the bank's balance less the book's, without what is on its way (`in_transit_fen`); of many findings
    the first are named.
    """

    statement: str
    begins_us: Whole
    ends_us: Whole
    opening_fen: Signed
    closing_fen: Signed
    book_fen: Signed
    in_transit_fen: Signed
    difference_fen: Signed
    lines: list[StatementLineMessage]
    matched: Whole
    findings: list[FindingView]
    findings_found: Whole


class BookAdjusted(Outcome):
    """The book was brought to what the bank's statements say of one reference."""

    account: str
    party: str | None
    amount_fen: Signed
    bank_reference: str
    reason: Digest


class AlarmResolved(Outcome):
    """A second person answered for what a statement did not agree in."""

    statement: str
    person: str
    difference_fen: Signed
    why: Digest


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


class AccountSecured(Outcome):
    """A person signs in with new secrets from now on; none of them is told.

    `second_factor` says what kinds it may be of from now on: `totp`, `passkey` or `passkey+totp`.
    """

    person: str
    second_factor: str
    recovery_codes: Whole
    token: Digest | None


class AccountResetAsked(Outcome):
    """A fresh link for a person, whose token hashes to `token`: good once it is granted."""

    id: str
    person: str
    token: Digest


class AccountResetDecided(Outcome):
    """Whether the link is good."""

    id: str
    person: str


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
    """The party does nothing more; `ended` are its listings, `lapsed` its negotiations."""

    party: str
    ended: list[str]
    lapsed: list[str] = Field(default_factory=list)
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
    contract: str | None = None
    terms: dict[str, str] = Field(default_factory=dict)


class StandingTermsView(View):
    """The contract that whoever buys signs: its form, the seller's blanks of it, and the digest of the standing terms."""

    template: str
    values: dict[str, str]
    digest: Digest


class Listed(Outcome):
    """An asset is on offer, at a fixed price, for negotiation, or by use."""

    id: str
    asset: str
    seller: str
    mode: str
    offer: OfferView
    meter: dict[str, str | None] | None = None
    rulebook: RulebookView
    contract: StandingTermsView | None = None


class LotOpened(Outcome):
    """An asset is up for auction, under these rules."""

    id: str
    asset: str
    listing: str
    seller: str
    offer: OfferView
    rules: dict[str, Any]
    rulebook: RulebookView
    contract: StandingTermsView | None = None
    appraisal_fen: Whole
    deposit_fen: Whole
    again_of: str | None = None
    draw: dict[str, str] | None = None
    priority: list[str] = Field(default_factory=list)
    qualification: list[str] = Field(default_factory=list)


class DrawCommitted(Outcome):
    """A commitment waits for the next lot with a ceiling."""

    name: str
    commitment: Digest


class LotDrawn(Outcome):
    """The winner was drawn: `seed` is made of the regulator's nonce and those of the codes at the ceiling."""

    lot: str
    name: str
    nonce: Digest
    nonces: dict[str, str]
    seed: Digest
    outcome: dict[str, Any]


class LotHalted(Outcome):
    """No bid gets in until the lot is resumed, by `resume_by_us`, or called off."""

    lot: str
    halted_us: Whole
    resume_by_us: Whole
    reason: Digest


class LotResumed(Outcome):
    """The lot goes on, and closes at `closes_us`."""

    lot: str
    closes_us: Whole


class LotCancelled(Outcome):
    """The lot was called off; every deposit is back by `refund_by_us`."""

    lot: str
    refund_by_us: Whole
    reason: Digest


class LotAnnulled(Outcome):
    """The auction is undone; `trade` where it was settled, whose money and licence went back with this entry."""

    lot: str
    trade: str | None
    ground: str
    order: str
    refund_by_us: Whole
    reason: Digest


class SaleAnnulled(Outcome):
    """The sale is undone: money and licence went back with this entry."""

    trade: str
    ground: str
    order: str
    reason: Digest


class LotWatched(Outcome):
    """The lot is on the party's watch list ("watched"), or no more."""

    lot: str


class Sale(Outcome):
    """Paid, licensed and confirmed."""

    listing: str
    licences: Whole
    voucher: VoucherView
    purpose: str = ""
    discount: dict[str, str] | None = None
    """The published discount that the price was made with, and its part in ppm."""
    counted_on: str | None = None
    related: list[dict[str, str]] | None = None
    """How the buyer is related to the seller's side, where that is allowed because it is disclosed."""


class BidderAdmitted(Outcome):
    """The deposit is held; `code` is what the bidder is called on this lot."""

    code: str
    lot: str
    hold: str
    bidder: Digest
    deposit_fen: Whole
    purpose: str = ""
    nonce: Digest | None = None
    priority: bool = False


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
    path: list[dict[str, str]] | None = None


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
    opening: str = "conditional"
    opening_by_default: bool = True
    opening_reason: Digest | None = None
    purposes: list[str] = Field(default_factory=list)
    qualified: bool = False
    update_days: Whole | None = None


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
    voided: list[str] = Field(default_factory=list)
    """The approvals that are void by it."""


class ReleaseAuthorized(Outcome):
    """Another person approved a level (`approved`), the last one (`authorized`, with the authorization), or `returned` the
    file."""

    asset: str
    assessment: str
    assessor: str
    approver: str
    approval: str | None = None
    authorization: str | None
    decision: str = "approve"
    exempt_from_k: bool
    grade: str
    level: Whole = 1
    levels: Whole = 1
    opening: str | None = None
    raw_digest: Digest
    policy_digest: Digest
    reason_given: Digest | None = None
    voided: list[str] = Field(default_factory=list)


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
    opening: str | None = None
    evidence: dict[str, dict[str, str]]
    # Entries from before there was a procedure say no more.
    act: str | None = None
    application: str | None = None
    party: str | None = None
    ends_us: Whole | None = None
    holder: Digest | None = None
    registrar: str | None = None
    rights: list[dict[str, Any]] = Field(default_factory=list)
    starts_us: Whole | None = None
    steps: dict[str, dict[str, str]] = Field(default_factory=dict)
    title: Digest | None = None


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


class UpdateWatched(Outcome):
    """The state says whether the update that was promised every `update_days` came in time; `newest` is the newest edition."""

    asset: str
    due_us: Whole
    newest: str
    update_days: Whole


class LineageDeclared(Outcome):
    """What an asset was derived from, or of which it is the next edition."""

    asset: str
    parent: str
    relation: str


class CorrectionAsked(Outcome):
    """What a buyer found wrong is before the department, which answers until `due_us`; the text is sealed."""

    id: str
    asset: str
    licence: str
    column: str | None
    evidence: Digest | None
    due_us: Whole
    text: Digest


class CorrectionAnswered(Outcome):
    """The department's answer, sealed; the state says whether it accepts, `late` whether the time for it was over."""

    correction: str
    asset: str
    late: bool
    answer: Digest


class CorrectionMended(Outcome):
    """The asset `mended_by` has right what was found wrong."""

    correction: str
    asset: str
    mended_by: str


class LinkMade(Outcome):
    """A delivery link was made."""

    licence: str
    valid_seconds: Whole
    expires_us: Whole
    links_ended: Whole
    purpose: str = ""
    region: str = ""


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
