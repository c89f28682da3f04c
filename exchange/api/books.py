"""Routes for accountants: invoice lines of purchases as JSON and CSV, and the journal of what was posted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from exchange import accounts, invoices
from exchange.api.accounts import EITHER, LIMIT, SHEET, Lang, Language, PeriodDep
from exchange.api.doorway import AfterIndex, CallerDep, GateDep, Limit, Named, PagesDep
from exchange.messages.books import InvoiceView, JournalPage
from exchange.sheets import BOM, CSV, moment, sheet_lines, wants_csv

router = APIRouter(prefix="/v1", tags=["accounts"])

COLUMNS: dict[Language, tuple[str, ...]] = {
    "en": (
        "voucher", "log entry", "time (UTC)", "seller code", "seller", "buyer code", "buyer", "asset", "asset code", "right",
        "grant", "licences", "term (days)", "recognised as", "component", "billed by", "amount (fen)", "part of the cost",
        "used", "unit", "annulled under",
    ),
    "zh": (
        "凭证号", "日志条目", "时间（UTC）", "销售方代码", "销售方", "购买方代码", "购买方", "数据资产", "登记编码", "权利",
        "授权方式", "许可数", "期限（天）", "确认为", "成本构成", "收取方", "金额（分）", "计入成本",
        "用量", "计量单位", "撤销依据",
    ),
}  # fmt: skip
WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "purchase_price": "purchase price", "value_added_tax": "value-added tax",
        "registration_and_settlement": "registration and settlement", "seller": "seller", "venue": "exchange",
        "right_use": "right of use", "intangible_asset": "intangible asset", "period_expense": "expense of the period",
        "exclusive": "exclusive", "licence": "licence", "True": "yes", "False": "no",
    },
    "zh": {
        "purchase_price": "购买价款", "value_added_tax": "增值税", "registration_and_settlement": "登记结算", "seller": "销售方",
        "venue": "交易所", "right_use": "数据使用权", "intangible_asset": "无形资产", "period_expense": "当期费用", "exclusive": "独占", "licence": "普通许可",
        "True": "是", "False": "否",
    },
}  # fmt: skip
SHEET_ROWS = 500
"""Sales that a sheet is read by at a time."""


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
        rows: list[dict[str, Any]] = []
        while page := await gate.read(
            invoices.invoices,
            caller,
            (since_us, until_us),
            int(rows[-1]["index"]) if rows else None,
            SHEET_ROWS,
        ):
            rows += page
        headers = {
            "Content-Disposition": 'attachment; filename="invoices.csv"',
            "Cache-Control": "private, no-store",
        }
        lines = sheet_lines([COLUMNS[lang], *(line for row in rows for line in _cells(row, lang))])
        return Response(BOM + lines, headers=headers, media_type=CSV)
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


def _cells(row: dict[str, Any], lang: Language) -> Iterator[tuple[str | int | None, ...]]:
    said, used = WORDS[lang], row["usage"]

    def told(
        index: str, time_us: str, sign: int, order: str | None
    ) -> Iterator[tuple[str | int | None, ...]]:
        for line in row["lines"]:
            yield (
                row["number"], int(index), moment(int(time_us)), row["seller_code"], row["seller_name"], row["buyer_code"],
                row["buyer_name"], row["asset"], row["asset_code"], said[row["right"]], said.get(row["grant"], row["grant"]),
                int(row["licences"]), int(row["term_days"]), said[row["recognised_as"]], said[line["component"]],
                said[line["to"]], sign * int(line["amount_fen"]), said[str(line["in_cost"])],
                None if used is None else int(used["quantity"]), None if used is None else used["unit"], order,
            )  # fmt: skip

    yield from told(row["index"], row["time_us"], 1, None)
    if row["annulled"] is not None:
        yield from told(row["annulled"]["index"], row["annulled"]["time_us"], -1, row["annulled"]["order"])
