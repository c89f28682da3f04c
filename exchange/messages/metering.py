"""Wire shapes of what is charged by use: subscriptions, usage, statements."""

from __future__ import annotations

from typing import Literal

from exchange.messages.outcomes import Outcome
from exchange.messages.shapes import Identifier, Message, Purpose, Whole
from exchange.messages.views import RulebookView, SplitView, View, VoucherView

UnitName = Literal["call", "day", "row", "megabyte"]


class SubscriptionMessage(Message):
    """How much may be used at the most, in calls, days, rows, or bytes of megabytes; paid ahead or held; for what."""

    quota: Whole
    prepaid: bool = False
    purpose: Purpose = ""
    discount: Identifier | None = None


class UsageMessage(Message):
    """What was used since the last record, counted as the quota is."""

    quantity: Whole


class Subscribed(Outcome):
    """Access is licensed, and the whole quota's price is paid ahead (`voucher`) or held (`hold`)."""

    subscription: str
    listing: str
    purpose: str
    unit: UnitName
    unit_price_micro: Whole
    quota: Whole
    most_fen: Whole
    prepaid: bool
    hold: str | None
    hold_fen: Whole
    voucher: VoucherView
    discount: dict[str, str] | None = None
    counted_on: str | None = None
    related: list[dict[str, str]] | None = None
    """How the buyer is related to the seller's side, where that is allowed because it is disclosed."""


class UsageRecorded(Outcome):
    """So much is used of the quota, and so much is left."""

    subscription: str
    quantity: Whole
    used: Whole
    left: Whole


class UsageSettled(Outcome):
    """A statement: what was used since the one before it, charged with one rounding and divided as any price.

    The state says whether the subscription goes on (settled), or ended with its term, or at its buyer's word (cancelled).
    """

    subscription: str
    number: Whole
    from_us: Whole
    until_us: Whole
    unit: UnitName
    unit_price_micro: Whole
    quantity: Whole
    price_fen: Whole
    prepaid: bool
    rounding: str
    split: SplitView
    held_before: str | None
    hold: str | None
    hold_fen: Whole
    rulebook: RulebookView


class SubscriptionView(View):
    """A subscription of the caller's party: what is used of its quota, and when its next statement is due."""

    id: str
    listing: str
    asset: str
    seller: str
    operator: str | None
    buyer: str
    licence: str
    trade: str
    purpose: str
    unit: UnitName
    unit_price_micro: Whole
    quota: Whole
    used: Whole
    left: Whole
    settled: Whole
    statements: Whole
    prepaid: bool
    hold: str | None
    hold_fen: Whole
    next_us: Whole
    ends_us: Whole
    state: Literal["open", "ended"]
    index: Whole


class UsageStatementView(UsageSettled):
    """A statement by its entry in the log."""

    index: Whole


class UsageRecordView(View):
    """A use by its entry in the log."""

    index: Whole
    quantity: Whole
    time_us: Whole


class UsageStatementDetail(UsageStatementView):
    """A statement with the records that it sums up."""

    records: list[UsageRecordView]
