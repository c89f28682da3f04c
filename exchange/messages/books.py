"""Wire shapes of what accountants take along: invoice lines of a purchase, and the journal of postings."""

from __future__ import annotations

from typing import Literal

from exchange.messages.shapes import Message, Whole
from exchange.messages.views import AnnulledView, View


class InvoiceLineView(View):
    """A part of what a buyer paid: 购买价款, 相关税费 or 登记结算; `in_cost` where it is part of the asset's cost."""

    component: Literal["purchase_price", "value_added_tax", "registration_and_settlement"]
    to: Literal["seller", "venue"]
    amount_fen: Whole
    in_cost: bool


class InvoiceUsageView(View):
    """What was used between two moments, and charged by a statement of a subscription."""

    subscription: str
    quantity: Whole
    unit: str
    unit_price_micro: Whole
    from_us: Whole
    until_us: Whole


class InvoiceView(View):
    """What a buyer needs to book a purchase of data (财会〔2023〕11号), as the entry at `index` has it.

    `number` is the voucher's, or a statement's of what was used (`usage`); `right` and `term_days` say what was bought,
    `recognised_as` what it is where the conditions of 企业会计准则第6号 hold, and an expense where it was charged by use.
    `cost_fen` is the cost of the asset, or that expense; `paid_fen` all that was paid; the difference is input tax. Where
    `annulled` says so, all of it was paid back; `refunded_fen` is what an award after the delivery gave back of the price.
    """

    number: str
    index: Whole
    time_us: Whole
    seller: str
    seller_code: str
    seller_name: str
    buyer: str
    buyer_code: str
    buyer_name: str
    asset: str
    asset_code: str | None
    grant: str
    right: Literal["right_use"]
    recognised_as: Literal["intangible_asset", "period_expense"]
    licence: str
    licences: Whole
    term_days: Whole
    rulebook: str
    lines: list[InvoiceLineView]
    cost_fen: Whole
    paid_fen: Whole
    usage: InvoiceUsageView | None
    refunded_fen: Whole
    annulled: AnnulledView | None


class SideView(Message):
    """An account on one side of a posting: its code in the book, and whether it is your party's (a regulator's view: all are)."""

    id: str
    code: str
    own: bool


class PostingView(Message):
    """Money, or units of another ledger, posted from `debit` to `credit` by the entry at `index`."""

    sequence: Whole
    index: Whole
    time_us: Whole
    transfer: str
    code: str
    debit: SideView
    credit: SideView
    amount: Whole
    ledger: str


class JournalPage(Message):
    """Postings in their order; `after` asks for the next page and is null on the last."""

    postings: list[PostingView]
    after: Whole | None
