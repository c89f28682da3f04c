"""Routes for accountants: invoice lines of purchases as JSON and CSV, and the journal of what was posted."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from exchange import accounts, invoices
from exchange.api.accounts import EITHER, LIMIT, SHEET, Lang, PeriodDep
from exchange.api.doorway import AfterIndex, CallerDep, GateDep, Limit, Named, PagesDep
from exchange.messages.books import InvoiceView, JournalPage
from exchange.sheets import BOM, CSV, sheet_lines, wants_csv

router = APIRouter(prefix="/v1", tags=["accounts"])


@router.get("/invoices", response_model=list[InvoiceView], responses=EITHER)
async def invoice_lines(
    request: Request,
    gate: GateDep,
    caller: CallerDep,
    pages: PagesDep,
    since_us: Annotated[int, Query(ge=0, le=LIMIT, description="time of the first sale")] = 0,
    until_us: Annotated[int | None, Query(ge=0, le=LIMIT, description="time behind the last sale")] = None,
    after: AfterIndex = None,
    limit: Limit = 100,
    lang: Lang = "zh",
) -> Any:
    """What your party's purchases and sales consist of, statements of use among them, newest first, for the books
    (财会〔2023〕11号); all for a regulator.

    `Accept: text/csv` gets the whole period as a sheet, a line each; what was annulled is there once more, below nothing.
    """
    if wants_csv(request.url.path, request.headers.get("Accept", "")):
        rows = await invoices.every(gate.read, caller, (since_us, until_us))
        headers = {
            "Content-Disposition": 'attachment; filename="invoices.csv"',
            "Cache-Control": "private, no-store",
        }
        return Response(BOM + sheet_lines(invoices.sheet(rows, lang)), headers=headers, media_type=CSV)
    found = await gate.read(invoices.invoices, caller, (since_us, until_us), after, limit)
    pages.link(found, limit, lambda row: row["index"])
    return found


@router.get("/invoices.csv", response_class=Response, responses=SHEET)
async def invoice_sheet(
    request: Request,
    gate: GateDep,
    caller: CallerDep,
    pages: PagesDep,
    since_us: Annotated[int, Query(ge=0, le=LIMIT, description="time of the first sale")] = 0,
    until_us: Annotated[int | None, Query(ge=0, le=LIMIT, description="time behind the last sale")] = None,
    lang: Lang = "zh",
) -> Any:
    """The whole period as a sheet (RFC 4180)."""
    return await invoice_lines(request, gate, caller, pages, since_us, until_us, None, 100, lang)


@router.get("/trades/{trade}/invoice", response_model=InvoiceView)
async def invoice(trade: Named, gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """The same of one trade."""
    return await gate.read(invoices.invoice, caller, trade)


@router.get("/journal")
async def journal(
    gate: GateDep,
    caller: CallerDep,
    pages: PagesDep,
    period: PeriodDep,
    after: Annotated[int, Query(ge=0, le=LIMIT, description="cursor: number of the last posting read")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
) -> JournalPage:
    """What was posted on your party's accounts, oldest first, with both sides; all of it for a regulator.

    The SDK and `exchange books journal` write it as plain-text accounting tools read it.
    """
    page = JournalPage.model_validate(await gate.read(accounts.journal, caller, period, after, limit))
    if page.after is not None:
        pages.link(page.postings, len(page.postings), lambda _: page.after)
    return page
