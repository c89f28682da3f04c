"""Wire shapes of what the market shows: amounts in fen and times in microseconds."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from exchange.messages.drills import Cause
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
    """An offer, standing or past."""

    id: str
    asset: str
    asset_code: str | None
    asset_title: str
    seller: str
    mode: str
    grant: str
    reason: str
    term_days: Whole
    licences: Whole
    remaining: Whole
    price_fen: Whole
    ceiling_fen: Whole | None
    state: str
    log_index: Whole


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
        )

    def standing(self) -> Standing:
        """Where the lot stands; the standing bid's place in the log is not part of this view."""
        return Standing(self.standing_price_fen, self.standing_code, None, self.bids, self.closes_us)


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


class TradeView(VoucherView):
    """A settled trade with its voucher; `index` is its entry in the log."""

    index: Whole
    time_us: Whole


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
