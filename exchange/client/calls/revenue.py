"""The carry-over ledger: what public data may earn, and its ceilings."""

from __future__ import annotations

from exchange.client.answers import Done
from exchange.client.calls.asking import Asking, v1
from exchange.client.wire import Steps
from exchange.messages.revenue import RevenueMessage, RevenuePeriodView


class Revenue(Asking):
    """The carry-over ledger: what public data may earn, and its ceilings."""

    def allow_revenue(
        self, asset: str, revenue: RevenueMessage, *, identifier: str | None = None
    ) -> Steps[Done]:
        """Set what an asset may earn in its next period, and so its ceilings (regulator)."""
        return self._write(v1("assets", asset, "revenue-periods"), revenue, identifier, {"asset": asset})

    def revenue_periods(self, asset: str) -> Steps[list[RevenuePeriodView]]:
        """The carry-over ledger of an asset, the newest period first."""
        return self._read(v1("assets", asset, "revenue-periods"), list[RevenuePeriodView])
