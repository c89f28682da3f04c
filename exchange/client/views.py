"""What the market shows, as the SDK reads it: amounts in fen and times in microseconds as integers."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from exchange.messages.shapes import Whole
from pricing.auctions import AscendingRules, Standing


class View(BaseModel):
    """Members that a newer exchange adds are passed over, so an older SDK goes on reading."""

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


class TradeView(View):
    """A settled trade with its voucher; `index` is its entry in the log."""

    index: Whole
    time_us: Whole
    trade: str
    listing: str
    lot: str | None
    asset: str
    asset_code: str | None
    seller: str
    buyer: str
    grant: str
    licence: str
    licences: Whole
    term_days: Whole
    price_fen: Whole
    split: SplitView
    rulebook: RulebookView
