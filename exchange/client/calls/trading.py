"""Offers, lots and bids."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

from exchange.client.answers import Agent, Done
from exchange.client.calls.asking import Asking, asked, json_object, v1
from exchange.client.errors import ExchangeProblem, Refused, Unknown, Unproven, Unreachable, problem_of
from exchange.client.wire import NoAnswer, Steps, expect, problem_in
from exchange.messages.market import (
    BidBatchMessage,
    BidMessage,
    ListingMessage,
    LotMessage,
    OfferMessage,
    PurchaseMessage,
)
from exchange.messages.statute import (
    AnnulmentMessage,
    DrawMessage,
    DrawView,
    ExplanationView,
    Ground,
    HappeningView,
    LotNoticeView,
    NonceMessage,
    RefundView,
    WatchMessage,
    WhyMessage,
)
from exchange.messages.views import BidderView, BidView, DryRunView, ListingView, LotView
from pricing.auctions import Reason, proxy_bid

RACED = frozenset({f"bid.{Reason.NOT_HIGHER}", f"bid.{Reason.BELOW_INCREMENT}"})
"""Refusals that only say that somebody else was faster: an agent looks again and goes on."""


class Trading(Asking):
    """Offers, lots and bids."""

    def offer_fixed_price(
        self, asset: str, offer: OfferMessage, *, identifier: str | None = None
    ) -> Steps[Done]:
        """Offer licences at one price for everybody; `outcome["id"]` is the listing."""
        message = ListingMessage(asset=asset, offer=offer)
        return self._write("/v1/listings", message, identifier, {"asset": asset})

    def listings(self) -> Steps[list[ListingView]]:
        """Everything on offer or once offered, newest first."""
        return self._read_all("/v1/listings", ListingView)

    def buy(
        self,
        listing: str,
        licences: int = 1,
        *,
        purpose: str = "",
        discount: str | None = None,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Buy at the fixed price: paid, licensed and confirmed in one entry; `outcome["voucher"]` is the deal.

        The best published discount that you meet applies by itself; name one as `discount` to buy with it or not at all.
        """
        about = {"listing": listing, "licences": str(licences)}
        message = PurchaseMessage(licences=licences, purpose=purpose, discount=discount)
        return self._write(v1("listings", listing, "purchases"), message, identifier, about)

    def open_lot(
        self,
        asset: str,
        offer: OfferMessage,
        *,
        increment_fen: int,
        deposit_fen: int,
        opens_us: int,
        closes_us: int,
        again_of: str | None = None,
        priority: Sequence[str] = (),
        qualification: Sequence[str] = (),
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Offer one grant by ascending auction; `outcome["id"]` is the lot.

        `again_of` is the lot that comes back with this one, `priority` who wins at equal price, `qualification` kinds of
        documents that a bidder has to have shown.
        """
        message = LotMessage(
            asset=asset,
            offer=offer,
            increment_fen=increment_fen,
            deposit_fen=deposit_fen,
            opens_us=opens_us,
            closes_us=closes_us,
            again_of=again_of,
            priority=list(priority),
            qualification=list(qualification),
        )
        return self._write("/v1/lots", message, identifier, {"asset": asset})

    def lots(self) -> Steps[list[LotView]]:
        """All lots, the ones that close next first."""
        return self._read_all("/v1/lots", LotView)

    def lot(self, lot: str) -> Steps[LotView]:
        """One lot and where it stands."""
        return self._read(v1("lots", lot), LotView)

    def bids(self, lot: str, after: int = -1) -> Steps[list[BidView]]:
        """The public book of a lot from behind log index `after`, admitted and refused, in log order."""
        book: list[BidView] = []
        while page := (yield from self._read(v1("lots", lot, "bids"), list[BidView], {"after": str(after)})):
            book += page
            after = page[-1].index
        return book

    def join_lot(
        self, lot: str, *, purpose: str = "", nonce: str | None = None, identifier: str | None = None
    ) -> Steps[Done]:
        """Have the deposit held and get a code for this lot, `outcome["code"]`; Refused where it is not covered.

        Your part of a draw at the ceiling goes with it: `nonce`, 32 bytes as hex. Left out, it is made of a fresh
        identifier where you gave none; to ask again under your own identifier, it is made of that.
        """
        identifier = identifier or self.fresh_identifier()
        path = f"{v1('lots', lot, 'bidders')}?nonce={nonce or self._nonce(lot, identifier)}"
        path += f"&purpose={quote(purpose)}" if purpose else ""
        done = yield from self._write(path, None, identifier, {"lot": lot})
        self._codes[lot] = done.outcome["code"]
        return done

    def _nonce(self, lot: str, identifier: str) -> str:
        """32 bytes that nobody else knows before they are sent, and the same when the same request is sent again."""
        secret = self.wire.key or identifier
        return hmac.new(secret.encode(), f"nonce\0{lot}\0{identifier}".encode(), "sha256").hexdigest()

    def bidder(self, lot: str) -> Steps[BidderView]:
        """Your own place on a lot that you joined: your code, and what became of your deposit; NotFound otherwise."""
        return self._read(v1("lots", lot, "bidder"), BidderView)

    def halt_lot(self, lot: str, reason: str, *, identifier: str | None = None) -> Steps[Done]:
        """Halt a lot on a fault (administrator, regulator)."""
        return self._write(v1("lots", lot, "halt"), WhyMessage(reason=reason), identifier, {"lot": lot})

    def resume_lot(self, lot: str, *, identifier: str | None = None) -> Steps[Done]:
        """Let a halted lot go on, with the time that was left (administrator, regulator)."""
        return self._write(v1("lots", lot, "resumption"), None, identifier, {"lot": lot})

    def cancel_lot(self, lot: str, reason: str, *, identifier: str | None = None) -> Steps[Done]:
        """Call a halted lot off; every deposit goes back (administrator, regulator)."""
        message = WhyMessage(reason=reason)
        return self._write(v1("lots", lot, "cancellation"), message, identifier, {"lot": lot})

    def annul_lot(
        self, lot: str, ground: Ground, order: str, reason: str, *, identifier: str | None = None
    ) -> Steps[Done]:
        """Annul an auction under an order; a settled one by a reversing entry (regulator)."""
        message = AnnulmentMessage(ground=ground, order=order, reason=reason)
        return self._write(v1("lots", lot, "annulment"), message, identifier, {"lot": lot, "ground": ground})

    def annul_sale(
        self, trade: str, ground: Ground, order: str, reason: str, *, identifier: str | None = None
    ) -> Steps[Done]:
        """Annul a sale at a fixed price under an order, by a reversing entry (regulator)."""
        message = AnnulmentMessage(ground=ground, order=order, reason=reason)
        about = {"trade": trade, "ground": ground}
        return self._write(v1("trades", trade, "annulment"), message, identifier, about)

    def commit_draw(
        self, nonce: bytes, name: str | None = None, *, identifier: str | None = None
    ) -> Steps[Done]:
        """Commit to 32 bytes for a draw to come, `outcome["name"]` (regulator). Keep them: they are revealed after the close.

        The bytes do not leave this process. The next lot with a ceiling takes the commitment.
        """
        from pricing.auctions import commit_nonce

        name = name or f"draw-{secrets.token_hex(8)}"
        commitment = commit_nonce(nonce, name).hex()
        message = DrawMessage(name=name, commitment=commitment)
        return self._write("/v1/draws", message, identifier, {"name": name, "commitment": commitment})

    def draws(self) -> Steps[list[DrawView]]:
        """The commitments to draws, newest first: whose lot took each, which are due, and what was revealed."""
        return self._read("/v1/draws", list[DrawView])

    def reveal_draw(self, lot: str, nonce: bytes, *, identifier: str | None = None) -> Steps[Done]:
        """Reveal the nonce of a lot that closed at its ceiling: the winner is drawn (regulator). Refused for another nonce."""
        message = NonceMessage(nonce=nonce.hex())
        about = {"lot": lot, "nonce": nonce.hex()}
        return self._write(v1("lots", lot, "draw"), message, identifier, about)

    def refunds(self) -> Steps[list[RefundView]]:
        """Deposits on their way back, by code, the late ones in front (regulator, administrator)."""
        return self._read_all("/v1/refunds", RefundView)

    def why(self, lot: str) -> Steps[ExplanationView]:
        """Why your party won or lost a lot, from the public book alone, in Chinese and English."""
        return self._read(v1("lots", lot, "explanation"), ExplanationView)

    def watch_lot(self, lot: str, *, watch: bool = True, identifier: str | None = None) -> Steps[Done]:
        """Put a lot on your watch list, or (`watch=False`) take it off."""
        return self._write(v1("lots", lot, "watch"), WatchMessage(watch=watch), identifier, {"lot": lot})

    def watched(self) -> Steps[list[LotView]]:
        """The lots on your watch list, the ones that close next first."""
        return self._read("/v1/watches", list[LotView])

    def lot_notices(self) -> Steps[list[LotNoticeView]]:
        """What became of the lots that you joined, sell or watch, newest first."""
        return self._read_all("/v1/lot-notices", LotNoticeView)

    def calendar(
        self, *, from_us: int | None = None, until_us: int | None = None
    ) -> Steps[list[HappeningView]]:
        """When lots open and close, and which terms run out, in order of time; the next 30 days where left open."""
        return self._read_all("/v1/calendar", HappeningView, asked(from_us=from_us, until_us=until_us))

    def place_bid(self, lot: str, price_fen: int, client_bid_id: str | None = None) -> Steps[Done]:
        """Bid. Refused where the rules or the standing price do not admit it; either way it is on the record."""
        identifier = client_bid_id or self.fresh_identifier()
        message = BidMessage(client_bid_id=identifier, price_fen=price_fen)
        done = yield from self._write(
            v1("lots", lot, "bids"), message, identifier, {"lot": lot, "price_fen": str(price_fen)}
        )
        self._codes[lot] = done.outcome["code"]
        return done

    def dry_run_bid(self, lot: str, price_fen: int) -> Steps[DryRunView]:
        """What would come of a bid now, and the whole cost of winning at its price; nothing is recorded."""
        message = BidMessage(client_bid_id=self.fresh_identifier(), price_fen=price_fen)
        return self._rehearse(v1("lots", lot, "bids:dry-run"), message)

    def dry_run_purchase(self, listing: str, licences: int = 1, *, purpose: str = "") -> Steps[DryRunView]:
        """What would come of a purchase now, and the whole cost of it; nothing is recorded."""
        message = PurchaseMessage(licences=licences, purpose=purpose)
        return self._rehearse(v1("listings", listing, "purchases:dry-run"), message)

    def _rehearse(self, path: str, message: BaseModel) -> Steps[DryRunView]:
        headers = {"Content-Type": "application/json"}
        content = message.model_dump_json().encode()
        try:
            response = yield from self.wire.ask(
                "POST", path, content=content, headers=headers, sign=self._sign
            )
        except NoAnswer as error:
            raise Unreachable(str(error)) from error
        return self._as(expect(response, 200), path, DryRunView)

    def place_bids(
        self, lot: str, bids: Sequence[tuple[int, str | None]]
    ) -> Steps[list[Done | ExchangeProblem]]:
        """Bid up to 1,000 times in one request, decided in this order: prices in fen, each with its `client_bid_id` or None.

        What came of each bid, in the same order: a verified `Done`, `Refused` for a refusal on the record, as well
        verified, or the problem of one that left no trace. None is raised, for the others took effect. Unknown carries the
        first identifier: look each of them up, or send the same bids with the same identifiers again.
        """
        named = [(price_fen, identifier or self.fresh_identifier()) for price_fen, identifier in bids]
        message = BidBatchMessage(
            bids=[
                BidMessage(client_bid_id=identifier, price_fen=price_fen) for price_fen, identifier in named
            ]
        )
        content = message.model_dump_json().encode()
        try:
            response = yield from self.wire.ask(
                "POST",
                v1("lots", lot, "bids:batch"),
                content=content,
                headers={"Content-Type": "application/json"},
            )
            if response.status_code >= 500:
                raise NoAnswer(f"the exchange failed: {problem_in(response)['detail']}")
            items = json_object(expect(response, 200)).get("items")
        except NoAnswer as error:
            raise Unknown(named[0][1], str(error)) from error
        if not isinstance(items, list) or len(items) != len(named):
            raise Unproven("the answer has another number of items than the request", field="items")
        came: list[Done | ExchangeProblem] = []
        for item, (price_fen, identifier) in zip(items, named, strict=True):
            about = {"lot": lot, "price_fen": str(price_fen)}
            came.append((yield from self._came_of(item, identifier, about)))
        return came

    def _came_of(self, item: Any, identifier: str, about: Mapping[str, str]) -> Steps[Done | ExchangeProblem]:
        """What came of one act of a batch, its receipt verified where it has one."""
        if not isinstance(item, dict) or item.get("client_bid_id") != identifier:
            raise Unproven(f"the answer is not about {identifier!r}", field="client_bid_id")
        status = item.get("status")
        if "receipt" not in item:
            if status == 201:
                raise Unproven("there is none", field="receipt")
            return problem_of(int(str(status)), item)
        done = yield from self._verified(item, identifier, about, repeated=False)
        if (done.reason is None) != (status == 201):
            raise Unproven(f"answered {status} for {done.outcome.get('state')}", field="status")
        self._codes[about["lot"]] = done.outcome["code"]
        return done if done.reason is None else Refused({"title": item.get("title", ""), **done.reason}, done)

    def bid_up_to(self, lot: str, maximum_fen: int, code: str | None = None) -> Steps[Agent]:
        """Let an agent bid for you, once: the least that is needed to hold the lot, and never above the maximum.

        The agent runs here; the maximum never leaves this process. It ends when it holds the standing bid or
        would have to pass the maximum; call it again when you are outbid. `code` is yours on this lot; the client asks
        for it where it did not join or bid itself.
        """
        code = code or self._codes.get(lot)
        if code is None:
            code = self._codes[lot] = (yield from self.bidder(lot)).code
        placed: list[Done] = []
        while True:
            view = yield from self.lot(lot)
            price_fen = (
                proxy_bid(view.rules(), view.standing(), code, maximum_fen) if view.state == "open" else None
            )
            if price_fen is None:
                return Agent(view.standing_code == code, tuple(placed))
            try:
                placed.append((yield from self.place_bid(lot, price_fen)))
            except Refused as refusal:
                placed.append(refusal.done)
                if refusal.code not in RACED:
                    return Agent(False, tuple(placed))
