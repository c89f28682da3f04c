"""Invoices at the desk: what each sale and each statement of use consists of, for the books, as a list and as a sheet."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from exchange import invoices
from exchange.sheets import BOM, CSV, sheet_lines
from exchange.web.desk import DeskPage, Visit, desk_page
from exchange.web.enterprise import ROWS, TRADERS, index_in, title_of


@desk_page("/desk/invoices", nav="invoices", roles=TRADERS)
async def listed(visit: Visit) -> Response:
    """The party's invoices, newest first, each with what it says in sum."""
    rows = await visit.read(invoices.invoices, visit.caller, (0, None), index_in(visit, "before"), ROWS)
    return await visit.show(
        "desk/invoices.html",
        rows=rows,
        titles={row["asset"]: await visit.read(title_of, row["asset"], visit.caller) for row in rows},
        older=rows[-1]["index"] if len(rows) == ROWS else None,
    )


@desk_page("/desk/invoices/sheet.csv", roles=TRADERS)
async def sheet(visit: Visit) -> Response:
    """All of them as a sheet, as the API writes it."""
    rows = await invoices.every(visit.read, visit.caller, (0, None))
    return Response(
        BOM + sheet_lines(invoices.sheet(rows, visit.t.language)),
        media_type=CSV,
        headers={"Content-Disposition": 'attachment; filename="invoices.csv"'},
    )


PAGES: Final[tuple[DeskPage, ...]] = (listed, sheet)
