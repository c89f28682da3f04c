"""Routes of what the statute asks of an auction beside its bids: halt, annulment, draw, refunds, watch list, calendar, reasons."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from exchange import auctions, sales
from exchange.api.doorway import AfterIndex, CallerDep, GateDep, KeyDep, Limit, Named, PagesDep, perform
from exchange.messages.outcomes import (
    Answer,
    DrawCommitted,
    LotAnnulled,
    LotCancelled,
    LotDrawn,
    LotHalted,
    LotResumed,
    LotWatched,
    SaleAnnulled,
)
from exchange.messages.statute import (
    AnnulmentMessage,
    DrawMessage,
    DrawView,
    ExplanationView,
    HappeningView,
    LotNoticeView,
    NonceMessage,
    RefundView,
    WatchMessage,
    WhyMessage,
)
from exchange.messages.views import LotView

router = APIRouter(prefix="/v1", tags=["market"])

CALENDAR_DAYS = 30
CALENDAR: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/calendar": {"schema": {"type": "string"}}},
        "description": "A calendar to subscribe to (RFC 5545), times in UTC.",
    }
}

FromUs = Annotated[
    int | None, Query(description="from this moment on, in microseconds; now where left out", ge=0, le=2**62)
]
UntilUs = Annotated[
    int | None,
    Query(description="until before this moment; 30 days after the first where left out", ge=0, le=2**62),
]
Place = Annotated[
    str | None,
    Query(
        pattern=r"^[0-9]{1,18}\.[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9_]{1,20}$",
        description="cursor: as the page before links to",
        examples=["1790000000000000.lot-5f0c3a9e7d21b846.closes"],
    ),
]


def _place(after: str | None) -> tuple[int, str, str] | None:
    if after is None:
        return None
    at_us, lot, last = after.split(".")
    return int(at_us), lot, last


@router.post("/lots/{lot}/halt", status_code=201, response_model=Answer[LotHalted])
async def halt_lot(lot: Named, body: WhyMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Halt a lot on a fault: no bid gets in, its clock stands still (administrator, regulator)."""
    return await perform(gate, auctions.halt_lot, auctions.HaltLot(lot, body.reason), caller, key)


@router.post("/lots/{lot}/resumption", status_code=201, response_model=Answer[LotResumed])
async def resume_lot(lot: Named, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Let a halted lot go on, with the time that was left, within the statutory days (administrator, regulator)."""
    return await perform(gate, auctions.resume_lot, auctions.ResumeLot(lot), caller, key)


@router.post("/lots/{lot}/cancellation", status_code=201, response_model=Answer[LotCancelled])
async def cancel_lot(lot: Named, body: WhyMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Call a halted lot off: every deposit goes back (administrator, regulator)."""
    return await perform(gate, auctions.cancel_lot, auctions.CancelLot(lot, body.reason), caller, key)


@router.post("/lots/{lot}/annulment", status_code=201, response_model=Answer[LotAnnulled])
async def annul_lot(
    lot: Named, body: AnnulmentMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Annul an auction under an order, on one of the five grounds; a settled one by a reversing entry (regulator)."""
    act = auctions.AnnulLot(lot, body.ground, body.order, body.reason)
    return await perform(gate, auctions.annul_lot, act, caller, key)


@router.post("/trades/{trade}/annulment", status_code=201, response_model=Answer[SaleAnnulled])
async def annul_sale(
    trade: Named, body: AnnulmentMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Annul a sale at a fixed price under an order, by a reversing entry (regulator)."""
    act = sales.AnnulSale(trade, body.ground, body.order, body.reason)
    return await perform(gate, sales.annul_sale, act, caller, key)


@router.get("/draws", response_model=list[DrawView])
async def draws(gate: GateDep) -> list[dict[str, Any]]:
    """The regulator's commitments to draws, newest first: whose lot took each, and the nonce once it is revealed."""
    return await gate.read(auctions.draws)


@router.post("/draws", status_code=201, response_model=Answer[DrawCommitted])
async def commit_draw(body: DrawMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Commit to the nonce of a draw to come; the next lot with a ceiling takes it (regulator)."""
    act = auctions.CommitDraw(body.name, body.commitment)
    return await perform(gate, auctions.commit_draw, act, caller, key)


@router.post("/lots/{lot}/draw", status_code=201, response_model=Answer[LotDrawn])
async def reveal_draw(
    lot: Named, body: NonceMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Reveal the nonce of a lot that closed at its ceiling: the winner is drawn (regulator)."""
    return await perform(gate, auctions.reveal_draw, auctions.RevealDraw(lot, body.nonce), caller, key)


@router.get("/refunds", response_model=list[RefundView])
async def refunds(
    gate: GateDep, caller: CallerDep, pages: PagesDep, after: Place = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """Deposits on their way back, by code, and which are late (regulator, administrator)."""
    rows = await gate.read(auctions.refunds, caller, await gate.now_us(), limit, _place(after))
    pages.link(rows, limit, lambda row: f"{row['refund_by_us']}.{row['lot']}.{row['code']}")
    return rows


@router.get("/lots/{lot}/explanation", response_model=ExplanationView)
async def explanation(lot: Named, gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """Why your party won or lost a lot, from the public book alone, in Chinese and English."""
    return await gate.read(auctions.explanation, caller, lot)


@router.post("/lots/{lot}/watch", status_code=201, response_model=Answer[LotWatched])
async def watch_lot(
    lot: Named, body: WatchMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Put a lot on your watch list, or take it off: what becomes of it reaches your notices, streams and webhooks."""
    return await perform(gate, auctions.watch_lot, auctions.WatchLot(lot, body.watch), caller, key)


@router.get("/watches", response_model=list[LotView])
async def watched(gate: GateDep, caller: CallerDep) -> list[dict[str, Any]]:
    """The lots on your watch list, the ones that close next first."""
    return await gate.read(auctions.watched, caller)


@router.get("/lot-notices", response_model=list[LotNoticeView])
async def lot_notices(
    gate: GateDep, caller: CallerDep, pages: PagesDep, after: AfterIndex = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """What became of the lots that your party joined, sells or watches, newest first."""
    rows = await gate.read(auctions.notices, caller, after, limit)
    pages.link(rows, limit, lambda row: row["index"])
    return rows


@router.get("/calendar", response_model=list[HappeningView])
async def calendar(
    gate: GateDep,
    pages: PagesDep,
    from_us: FromUs = None,
    until_us: UntilUs = None,
    after: Place = None,
    limit: Limit = 100,
) -> list[dict[str, Any]]:
    """When lots open and close, and by when a halted one resumes, a winner pays and deposits are back, in order of time."""
    start, end = await _period(gate, from_us, until_us)
    rows = await gate.read(auctions.calendar, start, end, limit, _place(after))
    pages.link(rows, limit, lambda row: f"{row['at_us']}.{row['lot']}.{row['what']}")
    return rows


@router.get("/calendar.ics", response_class=Response, responses=CALENDAR)
async def calendar_feed(gate: GateDep, from_us: FromUs = None, until_us: UntilUs = None) -> Response:
    """The same as a calendar to subscribe to (RFC 5545)."""
    start, end = await _period(gate, from_us, until_us)
    rows = await gate.read(auctions.calendar, start, end, 1000)
    now_us = await gate.now_us()
    return Response(icalendar(rows, gate.signer.name, now_us), media_type="text/calendar")


async def _period(gate: GateDep, from_us: int | None, until_us: int | None) -> tuple[int, int]:
    start = await gate.now_us() if from_us is None else from_us
    return start, start + CALENDAR_DAYS * 86_400_000_000 if until_us is None else until_us


WHAT = {
    "opens": "开始竞价 opens",
    "closes": "竞价截止 closes",
    "resume_by": "恢复期限 to be resumed by",
    "pay_by": "付款期限 to be paid by",
    "refund_by": "退还保证金期限 deposits back by",
}


def icalendar(rows: list[dict[str, Any]], origin: str, now_us: int) -> str:
    """Events of no duration as RFC 5545 writes them: CRLF, lines folded at 75 octets, text escaped. Pure."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//data asset exchange//calendar//ZH"]
    for row in rows:
        lines += [
            "BEGIN:VEVENT",
            f"UID:{row['lot']}-{row['what']}@{origin.split('/', maxsplit=1)[0]}",
            f"DTSTAMP:{_utc(now_us)}",
            f"DTSTART:{_utc(int(row['at_us']))}",
            f"SUMMARY:{_escaped(row['asset_title'])} {WHAT[row['what']]}",
            f"DESCRIPTION:{row['lot']}",
            "END:VEVENT",
        ]
    return "".join(f"{_folded(line)}\r\n" for line in (*lines, "END:VCALENDAR"))


def _utc(time_us: int) -> str:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")


def _escaped(text: str) -> str:
    for character in "\\;,":
        text = text.replace(character, f"\\{character}")
    return text.replace("\r", "").replace("\n", "\\n")


def _folded(line: str) -> str:
    """A line in pieces of at most 75 octets, none of which breaks a character."""
    pieces, piece = [], ""
    for character in line:
        if len((piece + character).encode()) > 74:
            pieces.append(piece)
            piece = ""
        piece += character
    return "\r\n ".join([*pieces, piece])
