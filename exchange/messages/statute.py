"""Wire shapes of the auction by statute: orders on a lot, draws, refunds, watch list, calendar, and why a bidder lost."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import StringConstraints

from exchange.messages.shapes import Digest, Identifier, Message, Whole, Words
from exchange.messages.views import View

Ground = Literal["misdescription", "system_fault", "collusion", "unqualified_buyer", "unequal_conditions"]
"""On what an auction is annulled (法释〔2016〕18号 第三十一条)."""


class WhyMessage(Message):
    """Why; the reason stays sealed."""

    reason: Words


class AnnulmentMessage(Message):
    """The ground, the order that says so, and its reason, which stays sealed."""

    ground: Ground
    order: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    reason: Words


class DrawMessage(Message):
    """SHA-256 of a nonce of the regulator's under the draw's name, as `pricing.auctions.commit_nonce` makes it."""

    name: Identifier
    commitment: Digest


class NonceMessage(Message):
    """The nonce that was committed to."""

    nonce: Digest


class WatchMessage(Message):
    """Watch a lot, or (false) no more."""

    watch: bool = True


class DrawView(View):
    """A draw: `lot` took it, `due` where the nonce is to be revealed now."""

    name: str
    commitment: Digest
    nonce: Digest | None
    index: Whole
    lot: str | None
    due: bool


class RefundView(View):
    """A deposit that has to be back by `refund_by_us`, under its bidder's code."""

    lot: str
    code: str
    lot_state: str
    deposit_fen: Whole
    refund_by_us: Whole
    late: bool


class ExplanationView(View):
    """Why a bidder won or lost."""

    lot: str
    code: str
    result: Literal["won", "lost", "no_bid"]
    zh: str
    en: str


class HappeningView(View):
    """What a lot has before it, and when."""

    what: Literal["opens", "closes", "resume_by", "pay_by", "refund_by"]
    at_us: Whole
    lot: str
    state: str
    asset_title: str


class LotNoticeView(View):
    """What became of a lot: an entry of the log that names your party a reader, with what it says."""

    index: Whole
    kind: str
    time_us: Whole
    lot: str | None
    state: str
    act: dict[str, Any]
