"""Negotiated sales, and listings that are taken back."""

from __future__ import annotations

from exchange.client.answers import Done
from exchange.client.calls.asking import Asking, v1
from exchange.client.wire import Steps
from exchange.messages.market import ListingMessage, OfferMessage
from exchange.messages.offers import (
    CounterOfferMessage,
    NegotiationMessage,
    NegotiationView,
    OfferAcceptanceMessage,
    RejectionMessage,
)
from exchange.messages.statute import WhyMessage


class Offers(Asking):
    """Negotiated sales, and listings that are taken back."""

    def offer_negotiated(
        self, asset: str, offer: OfferMessage, *, identifier: str | None = None
    ) -> Steps[Done]:
        """Put licences up for negotiation; `offer.price_fen` is your reference price, 0 for none. `outcome["id"]` is the
        listing.
        """
        message = ListingMessage(asset=asset, offer=offer, mode="negotiated")
        return self._write("/v1/listings", message, identifier, {"asset": asset, "mode": "negotiated"})

    def withdraw_listing(self, listing: str, reason: str, *, identifier: str | None = None) -> Steps[Done]:
        """Take a listing of yours back: open offers lapse, licences sold stay; a lot only before it opens."""
        message = WhyMessage(reason=reason)
        return self._write(v1("listings", listing, "withdrawal"), message, identifier, {"listing": listing})

    def make_offer(
        self,
        listing: str,
        price_fen: int,
        licences: int = 1,
        *,
        expires_us: int,
        purpose: str = "",
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Offer a price for each licence, until `expires_us`; `outcome["negotiation"]` is where you go on."""
        message = NegotiationMessage(
            price_fen=price_fen, licences=licences, expires_us=expires_us, purpose=purpose
        )
        about = {"listing": listing, "price_fen": str(price_fen), "licences": str(licences)}
        return self._write(v1("listings", listing, "offers"), message, identifier, about)

    def negotiations(self) -> Steps[list[NegotiationView]]:
        """Your party's negotiations with every offer, newest first; all of them for a regulator."""
        return self._read_all("/v1/negotiations", NegotiationView)

    def negotiation(self, negotiation: str) -> Steps[NegotiationView]:
        """One of them; `offer_index` is what an answer names as `seen`."""
        return self._read(v1("negotiations", negotiation), NegotiationView)

    def counter_offer(
        self,
        negotiation: str,
        seen: int,
        price_fen: int,
        licences: int = 1,
        *,
        expires_us: int,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Answer the offer of the entry `seen` with another."""
        message = CounterOfferMessage(
            seen=seen, price_fen=price_fen, licences=licences, expires_us=expires_us
        )
        about = {"negotiation": negotiation, "price_fen": str(price_fen), "licences": str(licences)}
        return self._write(v1("negotiations", negotiation, "counter-offers"), message, identifier, about)

    def accept_offer(self, negotiation: str, seen: int, *, identifier: str | None = None) -> Steps[Done]:
        """Accept the offer of the entry `seen`: paid, licensed and confirmed in one entry; `outcome["voucher"]` is the deal."""
        about = {"negotiation": negotiation, "seen": str(seen)}
        message = OfferAcceptanceMessage(seen=seen)
        return self._write(v1("negotiations", negotiation, "acceptance"), message, identifier, about)

    def reject_offer(
        self, negotiation: str, reason: str = "", *, identifier: str | None = None
    ) -> Steps[Done]:
        """Say no to the other side's offer, which ends the negotiation."""
        message, about = RejectionMessage(reason=reason), {"negotiation": negotiation}
        return self._write(v1("negotiations", negotiation, "rejection"), message, identifier, about)

    def withdraw_offer(self, negotiation: str, *, identifier: str | None = None) -> Steps[Done]:
        """Take your own offer off the table, which ends the negotiation."""
        about = {"negotiation": negotiation}
        return self._write(v1("negotiations", negotiation, "withdrawal"), None, identifier, about)
