"""What accountants take along: invoice lines, and the journal."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from exchange.client.calls.asking import Asking, asked, v1
from exchange.client.carriers import Found, Walk
from exchange.client.wire import Steps
from exchange.messages.books import InvoiceView, JournalPage, PostingView


class Books(Asking):
    """What accountants take along."""

    def invoices(
        self, *, since_us: int | None = None, until_us: int | None = None
    ) -> Steps[list[InvoiceView]]:
        """What the party's purchases and sales of a period consist of, newest first; all of them for a regulator."""
        return self._read_all("/v1/invoices", InvoiceView, asked(since_us=since_us, until_us=until_us))

    def invoice(self, trade: str) -> Steps[InvoiceView]:
        """What one purchase or sale consists of."""
        return self._read(v1("trades", trade, "invoice"), InvoiceView)

    def invoice_sheet(
        self,
        path: Path,
        *,
        language: Literal["zh", "en"] = "zh",
        since_us: int | None = None,
        until_us: int | None = None,
    ) -> Steps[None]:
        """The invoice lines of a period as CSV for a spreadsheet; what was annulled is there once more, below nothing."""
        period = asked(since_us=since_us, until_us=until_us)
        return self._save("/v1/invoices.csv", {**period, "lang": language}, path)

    def journal(self, *, since_us: int | None = None, until_us: int | None = None) -> Walk[PostingView]:
        """What was posted on the party's accounts (for a regulator: on all), oldest first, page by page as you read on.

        `exchange.client.journal` writes it as Beancount and hledger read it.
        """
        params = asked(since_us=since_us, until_us=until_us)
        while True:
            page = yield from self._read("/v1/journal", JournalPage, params)
            yield from map(Found, page.postings)
            if page.after is None:
                return
            params["after"] = str(page.after)
