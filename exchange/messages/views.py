"""Wire shapes of what the market shows: amounts in fen and times in microseconds."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from exchange.messages.drills import Cause
from exchange.messages.market import Duty
from exchange.messages.shapes import Whole
from pricing.auctions import AscendingRules, Standing


class View(BaseModel):
    """What is read: members that a newer exchange adds are passed over, so an older client goes on reading."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class RulebookView(View):
    """The rules that are in force; the digest stands in every act that was decided under them."""

    digest: str
    version: str


class MarketView(View):
    """What market this is. `vkey` is the key that its checkpoints verify under."""

    origin: str
    vkey: str
    sandbox: bool
    profile: str
    now_us: Whole
    rulebook: RulebookView


class MeView(View):
    """Who a key belongs to; the amounts are None for a party that holds no money."""

    id: str
    name: str
    roles: list[str]
    state: str
    person: str
    account: str | None
    available_fen: Whole | None
    held_fen: Whole | None


class KeyView(View):
    """A key of a party, by the digest of its secret."""

    digest: str
    label: str
    person: str
    scopes: list[str]
    state: str
    created_us: Whole
    expires_us: Whole | None
    used_us: Whole | None


class MemberView(View):
    """A person of a party; a deputy stands in for `deputy_of` until `until_us`."""

    person: str
    name: str
    state: Literal["active", "ended", "left"]
    deputy_of: str | None
    until_us: Whole | None
    duty: Duty | None


class SigningKeyView(View):
    """A key that signs a party's requests."""

    id: str
    label: str
    person: str
    public: str
    state: str
    created_us: Whole


class WebhookView(View):
    """An endpoint and how it fares: `backlog` entries of the log were not looked at for it, `attempts` failed in a row."""

    id: str
    url: str
    kinds: list[str]
    state: str
    backlog: Whole
    attempts: Whole
    delivered: Whole
    failing_since_us: Whole | None
    last_answer: str | None
    last_success_us: Whole | None
    next_sequence: Whole
    next_try_us: Whole


class ControlsView(View):
    """What a party forbids itself; None is no limit."""

    sign_above_fen: Whole | None
    order_limit_fen: Whole | None
    heartbeat_us: Whole | None
    heard_us: Whole | None
    stopped: bool


class ListingView(View):
    """An offer, standing or past; one for negotiation may name no price, one by use has a price for each `unit`.

    `links` lead to what else there is to see: the asset with its data dictionary, its sample and its carry-over ledger, the
    questions to the seller, and the discounts.
    """

    id: str
    asset: str
    asset_code: str | None
    asset_title: str
    opening: str
    purposes: list[str]
    qualified: bool
    seller: str
    mode: str
    grant: str
    reason: str
    term_days: Whole
    licences: Whole
    remaining: Whole
    price_fen: Whole | None
    ceiling_fen: Whole | None
    unit: str | None = None
    unit_price_micro: Whole | None = None
    ceiling_micro: Whole | None = None
    state: str
    log_index: Whole
    links: dict[str, str] = Field(default_factory=dict)
    contract: str = "provision"


class LotView(View):
    """A lot and where it stands; bidders only by code."""

    id: str
    listing: str
    asset: str
    asset_code: str | None
    asset_title: str
    state: str
    start_price_fen: Whole
    increment_fen: Whole
    ceiling_fen: Whole | None
    deposit_fen: Whole
    opens_us: Whole
    first_closes_us: Whole
    closes_us: Whole
    soft_close_window_us: Whole
    soft_close_extension_us: Whole
    standing_price_fen: Whole | None
    standing_code: str | None
    bids: Whole
    price_fen: Whole | None
    winner_code: str | None
    settled: bool
    grant: str
    term_days: Whole
    outcome: dict[str, Any] | None
    again_of: str | None = None
    qualification: list[str] = Field(default_factory=list)
    priority: list[str] = Field(default_factory=list)
    draw: str | None = None
    at_ceiling: list[str] = Field(default_factory=list)
    halted_us: Whole | None = None
    resume_by_us: Whole | None = None
    ended_us: Whole | None = None
    refund_by_us: Whole | None = None
    pay_by_us: Whole | None = None
    defaulted_us: Whole | None = None
    forfeit_fen: Whole | None = None

    def rules(self) -> AscendingRules:
        """The lot's terms as `pricing.auctions` judges by them."""
        return AscendingRules(
            start_price_fen=self.start_price_fen,
            increment_fen=self.increment_fen,
            opens_at_us=self.opens_us,
            closes_at_us=self.first_closes_us,
            soft_close_window_us=self.soft_close_window_us,
            soft_close_extension_us=self.soft_close_extension_us,
            ceiling_fen=self.ceiling_fen,
            priority=tuple(self.priority),
            draw_at_ceiling=self.draw is not None,
        )

    def standing(self) -> Standing:
        """Where the lot stands; the standing bid's place in the log is not part of this view."""
        return Standing(
            self.standing_price_fen,
            self.standing_code,
            None,
            self.bids,
            self.closes_us,
            tuple(self.at_ceiling),
        )


class BidderView(View):
    """A party's own place on a lot: the code that others see, and what became of its deposit."""

    lot: str
    code: str
    state: Literal["admitted", "released", "captured", "forfeited"]
    deposit_fen: Whole
    priority: bool = False
    refund_by_us: Whole | None = None
    hold: str
    index: Whole


class BidView(View):
    """A bid as the public book shows it; `reason` is None where it was admitted."""

    index: Whole
    code: str
    price_fen: Whole
    time_us: Whole
    reason: str | None


class SplitView(View):
    """What became of a price, next to the seller's rest."""

    buyer_fee_fen: Whole
    seller_fee_fen: Whole
    tax_fen: Whole
    shares_fen: list[Whole]
    departments_fen: dict[str, Whole] | None = None
    """What each department gets of the rest, where it was agreed what each adds."""


class VoucherContractView(View):
    """The contract of a deal: its form, the digest that both sides sign, the purposes that were agreed, and the entry that
    has the seller's signature where it signed beforehand.
    """

    template: str
    digest: str
    purposes: str
    seller_index: Whole | None


class VoucherView(View):
    """The confirmation of a deal; names are sealed."""

    trade: str
    listing: str
    lot: str | None
    asset: str
    asset_code: str | None
    seller: str
    seller_name: str
    buyer: str
    buyer_name: str
    grant: str
    licence: str
    licences: Whole
    term_days: Whole
    price_fen: Whole
    split: SplitView
    rulebook: RulebookView
    contract: VoucherContractView | None = None


class AnnulledView(View):
    """Under which order, and on which ground, a sale was undone, by the entry at `index`."""

    ground: str
    order: str
    index: Whole
    time_us: Whole


class TradeView(VoucherView):
    """A settled trade with its voucher; `index` is its entry in the log, `annulled` says whether it was undone since."""

    index: Whole
    time_us: Whole
    annulled: AnnulledView | None = None


class CostView(View):
    """What an order would cost, in fen: tax is contained in the price, the fee comes on top.

    `due_fen` is what the account has to hold free beside the deposit that is held already; null amounts are those of a
    party without an account.
    """

    price_fen: Whole
    fee_fen: Whole
    tax_fen: Whole
    total_fen: Whole
    deposit_fen: Whole
    deposit_held: bool
    due_fen: Whole
    available_fen: Whole | None


class DryRunView(View):
    """What the exchange would say to an order now, and the whole cost of it; nothing was recorded, nothing held.

    `would` is the outcome's state; `reason` is the problem where it would be refused.
    """

    would: str
    reason: dict[str, str] | None
    cost: CostView
    as_of_us: Whole


class PartyView(View):
    """A party, for those who oversee."""

    id: str
    name: str
    uscc: str
    roles: list[str]
    state: str
    account: str | None


class StepView(View):
    """A step of a party's onboarding; `missing` are the kinds of documents that it lacks."""

    step: Literal["documents", "second_person", "holders", "agreement", "money", "signing_key"]
    done: bool
    needed: bool
    missing: list[str]


class OnboardingView(View):
    """What a party still has to do before it can act in its roles."""

    party: str
    roles: list[str]
    state: str
    ready: bool
    steps: list[StepView]


class DocumentView(View):
    """A document of a party, and what another person found of it."""

    digest: str
    kind: str
    expires_us: Whole | None
    filer: str
    state: Literal["filed", "accepted", "rejected", "expired"]
    reviewer: str | None
    reason: str | None
    log_index: Whole


class AgreementView(View):
    """An operating agreement; `touches` is what its end touches, `remind_us` when to remind of it."""

    supplier: str
    operator: str
    share_ppm: Whole
    starts_us: Whole
    ends_us: Whole
    remind_us: Whole
    parts: dict[str, str]
    state: Literal["to_come", "in_force", "expired"]
    touches: dict[str, list[str]]
    log_index: Whole


class HolderView(View):
    """A holder of a party now."""

    account: str
    name: str
    party: str | None
    share_ppm: Whole
    since_us: Whole
    state_owned: bool


class RelationView(View):
    """A declared relation of two parties or persons."""

    subject: str
    object: str
    relation: str
    stands: bool
    evidence: str | None
    log_index: Whole


class RegisterView(View):
    """Who holds a party, how much of it is declared, and what else relates it to others."""

    party: str
    declared_ppm: Whole
    holders: list[HolderView]
    relations: list[RelationView]


class MayView(View):
    """Whether one may do something; where not, to whom related, in what office that one stands, and by which path."""

    may: bool
    to: str | None = None
    office: str | None = None
    path: list[dict[str, str]] = []


class ConflictsView(View):
    """Whether a party or person may bid for an asset, approve or appraise it."""

    asset: str
    party: str
    bid: MayView
    approve: MayView
    appraise: MayView


class LeafView(View):
    """A public leaf of the log."""

    index: Whole
    kind: str
    time_us: Whole
    digest: str


class ProvenLeafView(View):
    """A public leaf in base64 and its inclusion proof; `checkpoint` is absent under an earlier size."""

    index: Whole
    leaf: str
    size: Whole
    proof: list[str]
    checkpoint: str | None = None


class ConsistencyView(View):
    """The proof that one tree begins with the other, in base64."""

    old: Whole
    new: Whole
    proof: list[str]


class AnchorView(View):
    """A checkpoint that was put on a chain; `reorganised` counts how often its block was taken back."""

    size: Whole
    root: str
    chain_id: Whole
    contract: str
    tx: str
    block: Whole | None
    block_hash: str | None
    gas_used: Whole | None
    reorganised: Whole
    state: Literal["pending", "confirmed", "final", "refused"]


class ChainTroubleView(View):
    """Something that was amiss with the chain; `ended_us` null while it lasts."""

    trouble: str
    began_us: Whole
    ended_us: Whole | None


class DrillView(View):
    """A drill that was held on a scratch market: how it ended, and the SHA-256 of its report."""

    index: Whole
    case: str
    cause: Cause
    kept: bool
    began_us: Whole
    ended_us: Whole
    acknowledged: Whole
    lost: Whole
    ghosts: Whole
    outage_ms: Whole
    report: str


class AnchorWatchView(View):
    """What was last seen of the chain; `trouble` says what is amiss there, since when; `troubles` what was, newest first."""

    contract: str
    looked_us: Whole
    size: Whole | None
    trouble: str | None
    trouble_since_us: Whole | None
    troubles: list[ChainTroubleView]


class TokenView(View):
    """An access token (RFC 6749 §5.1)."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    scope: str


class TokenProblem(View):
    """Why there is no token (RFC 6749 §5.2)."""

    error: str
    error_description: str


class TokenServerView(View):
    """How programs get access tokens (RFC 8414)."""

    issuer: str
    token_endpoint: str
    grant_types_supported: list[str]
    response_types_supported: list[str]
    scopes_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    service_documentation: str
