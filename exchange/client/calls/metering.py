"""What is charged by use: subscriptions, usage, statements."""

from __future__ import annotations

from pathlib import Path

from exchange.client.answers import Done
from exchange.client.calls.asking import Asking, v1
from exchange.client.wire import Steps
from exchange.messages.market import ListingMessage, MeterMessage, OfferMessage
from exchange.messages.metering import (
    SubscriptionMessage,
    SubscriptionView,
    UsageMessage,
    UsageStatementDetail,
    UsageStatementView,
)


class Metering(Asking):
    """What is charged by use: subscriptions, usage, statements."""

    def offer_metered(
        self,
        asset: str,
        meter: MeterMessage,
        *,
        subscriptions: int,
        term_days: int,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Offer access for a price by use, to so many subscribers, each for so many days; `outcome["id"]` is the listing."""
        offer = OfferMessage(grant="licence", licences=subscriptions, term_days=term_days, price_fen=0)
        message = ListingMessage(asset=asset, offer=offer, mode="metered", meter=meter)
        return self._write("/v1/listings", message, identifier, {"asset": asset, "mode": "metered"})

    def subscribe(
        self,
        listing: str,
        quota: int,
        *,
        prepaid: bool = False,
        purpose: str = "",
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Subscribe with a quota (calls, days, rows, or bytes of megabytes), held until it is charged, or paid ahead."""
        message = SubscriptionMessage(quota=quota, prepaid=prepaid, purpose=purpose)
        about = {"listing": listing, "quota": str(quota)}
        return self._write(v1("listings", listing, "subscriptions"), message, identifier, about)

    def subscriptions(self) -> Steps[list[SubscriptionView]]:
        """The subscriptions that your party has, sells or meters, newest first."""
        return self._read_all("/v1/subscriptions", SubscriptionView)

    def subscription(self, subscription: str) -> Steps[SubscriptionView]:
        """One of them: what is used of its quota, what is held, when its next statement is due."""
        return self._read(v1("subscriptions", subscription), SubscriptionView)

    def record_usage(self, subscription: str, quantity: int, *, identifier: str | None = None) -> Steps[Done]:
        """Record what your gateway served since the last time; Refused (`usage.over_quota`) beyond the quota.

        Take the identifier from your own counter, and no use is recorded twice.
        """
        about = {"subscription": subscription, "quantity": str(quantity)}
        message = UsageMessage(quantity=quantity)
        return self._write(v1("subscriptions", subscription, "usage"), message, identifier, about)

    def end_subscription(self, subscription: str, *, identifier: str | None = None) -> Steps[Done]:
        """End a subscription of yours: what was used is settled, what is held beyond it goes back."""
        about = {"subscription": subscription}
        return self._write(v1("subscriptions", subscription, "end"), None, identifier, about)

    def usage_statements(self, subscription: str) -> Steps[list[UsageStatementView]]:
        """The statements of a subscription, the first one first."""
        return self._read(v1("subscriptions", subscription, "statements"), list[UsageStatementView])

    def usage_statement(self, subscription: str, number: int) -> Steps[UsageStatementDetail]:
        """One statement with the records that it sums up."""
        return self._read(v1("subscriptions", subscription, "statements", str(number)), UsageStatementDetail)

    def usage_sheet(self, subscription: str, number: int, path: Path) -> Steps[None]:
        """The same as CSV for a spreadsheet, written to `path`."""
        place = v1("subscriptions", subscription, "statements", str(number), "sheet.csv")
        return self._save(place, {}, path)
