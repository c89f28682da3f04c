"""Routes of accounts: balances now and at any entry, statements page by page and as a file, the trial balance."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import StreamingResponse

from exchange import accounts as room
from exchange.accounts import Period
from exchange.acts import Caller
from exchange.api.doorway import CallerDep, GateDep, PagesDep
from exchange.gate import Gate
from exchange.messages.accounts import AccountDetail, AccountPage, StatementPage, TrialBalanceView
from exchange.sheets import BOM, CSV, moment, sheet_lines, wants_csv
from ledger.statements import Balances

router = APIRouter(prefix="/v1", tags=["accounts"])

ACCOUNT = r"^[A-Za-z0-9_:.-]{1,128}$"
LIMIT = 2**62

AccountName = Annotated[str, Path(pattern=ACCOUNT)]
At = Annotated[
    int | None,
    Query(ge=0, le=LIMIT, description="index of an entry: the book right after it; the newest where absent"),
]
Language = Literal["zh", "en"]
Lang = Annotated[Language, Query(description="language of a sheet's column names")]

SHEET_LINES = 1000
"""Lines that a sheet is read by at a time."""

SHEET: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "A sheet (RFC 4180)"}
}
EITHER: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
"""JSON, or a sheet where `Accept` asks for one."""

BALANCES = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")
NAMES: dict[Language, tuple[str, ...]] = {
    "en": ("debits pending", "debits posted", "credits pending", "credits posted"),
    "zh": ("借方冻结", "借方已记账", "贷方冻结", "贷方已记账"),
}
STATEMENT: dict[Language, tuple[str, ...]] = {
    "en": (
        "number", "log entry", "time (UTC)", "transfer", "kind", "purpose", "side", "other account", "amount",
        "hold ended", *(f"{name}, change" for name in NAMES["en"]), *NAMES["en"], "balance", "unit",
    ),
    "zh": (
        "序号", "日志条目", "时间（UTC）", "转账编号", "类型", "用途", "方向", "对方账户", "金额",
        "所结冻结", *(f"{name}变动" for name in NAMES["zh"]), *NAMES["zh"], "余额", "单位",
    ),
}  # fmt: skip
TRIAL: dict[Language, tuple[str, ...]] = {
    "en": ("ledger", "account code", *NAMES["en"], "balance", "unit"),
    "zh": ("账簿", "账户类别", *NAMES["zh"], "余额", "单位"),
}
WORDS: dict[Language, dict[str, str]] = {
    "en": {"opening": "opening", "closing": "closing", "total": "total", "fen": "fen"},
    "zh": {"opening": "期初", "closing": "期末", "total": "合计", "fen": "分"},
}


def period_of(
    start: Annotated[int, Query(ge=0, le=LIMIT, description="index of the first entry")] = 0,
    stop: Annotated[int | None, Query(ge=0, le=LIMIT, description="index behind the last entry")] = None,
    since_us: Annotated[int, Query(ge=0, le=LIMIT, description="time of the first entry")] = 0,
    until_us: Annotated[int | None, Query(ge=0, le=LIMIT, description="time behind the last entry")] = None,
) -> Period:
    """The period that a request names."""
    return Period(start, stop, since_us, until_us)


PeriodDep = Annotated[Period, Depends(period_of)]


@router.get("/accounts")
async def accounts(
    gate: GateDep,
    caller: CallerDep,
    pages: PagesDep,
    after: Annotated[str, Query(pattern=r"^[A-Za-z0-9_:.-]{0,128}$")] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> AccountPage:
    """The caller's accounts with their balances; all of them for a regulator, a page at a time."""
    rows = await gate.read(room.accounts_of, caller, after, limit)
    pages.link(rows, limit, lambda row: row["id"])
    return AccountPage.model_validate(
        {"accounts": rows, "after": rows[-1]["id"] if len(rows) == limit else None}
    )


@router.get("/accounts/{account}")
async def account(account: AccountName, gate: GateDep, caller: CallerDep, at: At = None) -> AccountDetail:
    """One account as it stands or as it was right after an entry of the log, and what is held of it for what."""
    return AccountDetail.model_validate(await gate.read(room.account_at, caller, account, at))


@router.get("/accounts/{account}/statement", response_model=StatementPage, responses=EITHER)
async def statement(
    account: AccountName,
    request: Request,
    gate: GateDep,
    caller: CallerDep,
    pages: PagesDep,
    period: PeriodDep,
    after: Annotated[int, Query(ge=0, le=LIMIT, description="cursor: number of the last line read")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    lang: Lang = "zh",
) -> Any:
    """The account's transfers with running balances, oldest first. The `Link` header leads to the next page.

    A page that was read once reads the same for ever. `Accept: text/csv` gets the whole period as a sheet.
    """
    if wants_csv(request.url.path, request.headers.get("Accept", "")):
        return await statement_sheet(account, gate, caller, period, lang)
    page = StatementPage.model_validate(
        await gate.read(room.statement, caller, account, period, after, limit)
    )
    if page.after is not None:
        pages.link(page.lines, len(page.lines), lambda _: page.after)
    return page


@router.get("/accounts/{account}/statement.csv", response_class=StreamingResponse, responses=SHEET)
async def statement_sheet(
    account: AccountName, gate: GateDep, caller: CallerDep, period: PeriodDep, lang: Lang = "zh"
) -> StreamingResponse:
    """The whole statement of the period as a sheet (RFC 4180), between what it opens and closes with."""
    first = await gate.read(room.statement, caller, account, period, 0, SHEET_LINES)
    return _sheet("statement.csv", _statement_rows(gate, caller, period, first, lang))


async def _statement_rows(
    gate: Gate, caller: Caller, period: Period, page: dict[str, Any], lang: Language
) -> AsyncIterator[bytes]:
    money = _unit(page["unit"], lang)

    def edge(word: str, balances: dict[str, int]) -> tuple[str | int | None, ...]:
        total = Balances(**balances).balance
        return (*[None] * 4, WORDS[lang][word], *[None] * 9, *_four(balances), total, money)

    yield BOM + sheet_lines([STATEMENT[lang], edge("opening", page["opening"])])
    while True:
        yield sheet_lines(
            (
                n["sequence"], n["index"], moment(n["time_us"]), n["transfer"], n["kind"], n["code"], n["side"],
                n["other"], n["amount"], n["hold"], *_four(n["change"]), *_four(n["balances"]), n["balance"], money,
            )
            for n in page["lines"]
        )  # fmt: skip
        if page["after"] is None:
            break
        page = await gate.read(
            room.statement, caller, page["account"], period, page["after"], SHEET_LINES,
            Balances(**page["closing"]),
        )  # fmt: skip
    yield sheet_lines([edge("closing", page["closing"])])


@router.get("/trial-balance", response_model=TrialBalanceView, responses=EITHER)
async def trial_balance(
    request: Request, gate: GateDep, caller: CallerDep, at: At = None, lang: Lang = "zh"
) -> Any:
    """Debits and credits of all accounts by ledger and code, now or at an entry (regulator, administrator).

    `Accept: text/csv` gets a sheet.
    """
    if wants_csv(request.url.path, request.headers.get("Accept", "")):
        return await trial_sheet(gate, caller, at, lang)
    return TrialBalanceView.model_validate(await gate.read(room.trial_balance, caller, at))


@router.get("/trial-balance.csv", response_class=StreamingResponse, responses=SHEET)
async def trial_sheet(
    gate: GateDep, caller: CallerDep, at: At = None, lang: Lang = "zh"
) -> StreamingResponse:
    """The trial balance as a sheet, the totals of each ledger at its end (regulator, administrator)."""
    found = await gate.read(room.trial_balance, caller, at)

    async def rows() -> AsyncIterator[bytes]:
        yield BOM + sheet_lines([TRIAL[lang]])
        totals = [{**n, "code": WORDS[lang]["total"], "balance": n["difference"]} for n in found["totals"]]
        yield sheet_lines(
            (n["ledger"], n["code"], *_four(n["balances"]), n["balance"], _unit(n["unit"], lang))
            for n in (*found["lines"], *totals)
        )

    return _sheet("trial-balance.csv", rows())


def _sheet(name: str, rows: AsyncIterator[bytes]) -> StreamingResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"}
    return StreamingResponse(rows, headers=headers, media_type=CSV)


def _four(balances: dict[str, int]) -> tuple[int, ...]:
    return tuple(balances[name] for name in BALANCES)


def _unit(unit: str, lang: Language) -> str:
    return WORDS[lang].get(unit, unit)
