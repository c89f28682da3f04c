"""Sealed tenders at the desk: terms, questions and answers, and the opening in everybody's view. A bidder's own part is `bidding`."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from exchange import rulebook, tenders
from exchange.errors import NotFound
from exchange.messages.tenders import STATES
from exchange.web.desk import DeskPage, Visit, desk_page
from exchange.web.enterprise import ROWS, TRADERS, index_in
from exchange.web.openings import acting, course, said_in


@desk_page("/desk/tenders", nav="tenders", roles=TRADERS)
async def tenders_page(visit: Visit) -> Response:
    """What is tendered, and what became of it, the newest first."""
    rows = await visit.read(tenders.tenders, index_in(visit, "before"), ROWS)
    return await visit.show(
        "desk/tenders.html",
        rows=[{**row, "state_word": said_in(visit.t, STATES, row["state"])} for row in rows],
        older=rows[-1]["log_index"] if len(rows) == ROWS else None,
    )


@desk_page("/desk/tenders/{tender}", roles=TRADERS)
async def tender_page(visit: Visit) -> Response:
    """One tender: until its deadline what a bidder needs, from then on how it was opened, marked and awarded."""
    name = visit.request.path_params["tender"]
    found = await visit.read(tenders.tender, name)
    own: dict[str, Any] | None
    try:
        own = await visit.read(tenders.tenderer, visit.caller, name)
    except NotFound:
        own = None
    now_us = await visit.gate.now_us()
    return await visit.show(
        "desk/tender.html",
        **course(visit.t, found),
        own=own,
        names=await visit.read(tenders.named, acting(found)),
        cite=(await visit.read(rulebook.at, now_us)).behind,
        takes=found["state"] == "published" and now_us < int(found["deadline_us"]),
        may_withdraw=found["state"] == "halted"
        or (found["state"] == "published" and now_us < int(found["deadline_us"])),
        sells=found["seller"] == visit.caller.party,
        reads=found["seller"] == visit.caller.party or visit.caller.person in found["assessors"],
        buys="buyer" in visit.caller.roles,
    )


def _name(visit: Visit) -> str:
    name: str = visit.request.path_params["tender"]
    return name


@tender_page.on("ask")
async def ask(visit: Visit) -> Response:
    """Put a question before the supplier."""
    act = tenders.AskTender(_name(visit), visit.text("question"))
    return visit.done("tender_asked", await visit.perform(tenders.ask_tender, act))


@tender_page.on("answer")
async def answer(visit: Visit) -> Response:
    """Answer a question, for everybody to read."""
    act = tenders.AnswerTender(_name(visit), visit.plain("asked"), visit.text("answer"))
    return visit.done("tender_answered", await visit.perform(tenders.answer_tender, act))


PAGES: Final[tuple[DeskPage, ...]] = (tenders_page, tender_page)
