"""Sealed tenders at the desk: terms, questions and answers, the own place and envelopes, and the opening in everybody's view.

A bid is sealed by the bidder's own program (`exchange tender bid`, the SDK), which the page names: no price comes here.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from exchange import catalogue, parties, tenders
from exchange.errors import NotFound
from exchange.messages.tenders import ENVELOPES, FAILURES, FAULTS, PROTESTS, STATES
from exchange.web.desk import DeskPage, Visit, desk_page
from exchange.web.enterprise import ROWS, TRADERS, index_in, purposes_for
from exchange.web.words import Words


def _word(t: Words, words: dict[str, tuple[str, str]], value: str) -> str:
    return words[value][0 if t.language == "zh" else 1]


@desk_page("/desk/tenders", nav="tenders", roles=TRADERS)
async def tenders_page(visit: Visit) -> Response:
    """What is tendered, and what became of it, the newest first."""
    rows = await visit.read(tenders.tenders, index_in(visit, "before"), ROWS)
    return await visit.show(
        "desk/tenders.html",
        rows=[{**row, "state_word": _word(visit.t, STATES, row["state"])} for row in rows],
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
    try:
        dossier = await visit.read(catalogue.dossier, found["asset"], visit.caller)
        allowed = dossier["asset"]["purposes"]
    except NotFound:  # it was withdrawn since
        allowed = []
    now_us = await visit.gate.now_us()
    t = visit.t
    return await visit.show(
        "desk/tender.html",
        tender=found,
        own=own,
        standing=own is not None and any(one["state"] == "standing" for one in own["envelopes"]),
        state_word=_word(t, STATES, found["state"]),
        failure=None if found["failure"] is None else _word(t, FAILURES, found["failure"]),
        opened=[
            {**row, "word": _word(t, ENVELOPES, row["reason"] or row["state"])}
            for row in found["opened"] or []
        ],
        shares=[
            {**row, "words": [(one["code"], _word(t, FAULTS, one["fault"])) for one in row["faults"]]}
            for row in found["shares"]
        ],
        protests=[{**row, "word": _word(t, PROTESTS, row["state"])} for row in found["protests"]],
        takes=found["state"] == "published" and now_us < int(found["deadline_us"]),
        may_withdraw=found["state"] == "halted"
        or (found["state"] == "published" and now_us < int(found["deadline_us"])),
        sells=found["seller"] == visit.caller.party,
        buys="buyer" in visit.caller.roles,
        facts=tenders.FACTS,
        purposes=await purposes_for(visit, allowed or []),
        account=await visit.read(parties.account_of, visit.caller),
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


@tender_page.on("join", fresh=True)
async def join(visit: Visit) -> Response:
    """Have the deposit held, and get a code."""
    facts = {name: visit.text(name, at_most=200) for name in tenders.FACTS}
    act = tenders.JoinTender(_name(visit), **facts, purpose=visit.text("purpose", at_most=40, needed=False))
    return visit.done("tender_joined", await visit.perform(tenders.join_tender, act))


@tender_page.on("withdraw")
async def withdraw(visit: Visit) -> Response:
    """Take the own envelope back."""
    act = tenders.Withdraw(_name(visit))
    return visit.done("envelope_withdrawn", await visit.perform(tenders.withdraw, act))


PAGES: Final[tuple[DeskPage, ...]] = (tenders_page, tender_page)
