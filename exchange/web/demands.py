"""The demand board on the web: everybody browses what buyers want, buyers post and withdraw wants, departments answer them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from exchange import catalogue, demands, rulebook
from exchange.catalogue import Search
from exchange.messages.demands import STATES
from exchange.web.console import Page, gate_of, render
from exchange.web.desk import DeskPage, Visit, desk_page
from exchange.web.enterprise import TRADERS, purposes_for
from exchange.web.openings import said_in
from exchange.web.words import Words

ROWS_SHOWN: Final = 30
ASSETS_OFFERED: Final = 100
"""Of the department's own assets so many, the newest, may be chosen for an answer."""


async def board(request: Request, t: Words) -> Response:
    """What is wanted now, or with `every` also what is over, the newest first; of one purpose where one is asked for."""
    gate, asked = gate_of(request), request.query_params
    now_us = await gate.now_us()
    purposes = (await gate.read(rulebook.at, now_us)).words("opening.purposes")
    purpose = asked.get("purpose", "") if asked.get("purpose", "") in purposes else ""
    every = asked.get("every") == "yes"
    before = asked.get("before", "")
    after = int(before) if re.fullmatch("[0-9]{1,18}", before) else None
    rows = await gate.read(demands.demands, now_us, purpose or None, every, after, ROWS_SHOWN)
    return await render(
        request,
        t,
        "demands.html",
        rows=[_in_words(t, row) for row in rows],
        purposes=purposes,
        purpose=purpose,
        every=every,
        older=rows[-1]["log_index"] if len(rows) == ROWS_SHOWN else None,
    )


async def want(request: Request, t: Words) -> Response:
    """One want with its answers."""
    gate = gate_of(request)
    found = await gate.read(demands.demand, request.path_params["demand"], await gate.now_us())
    return await render(request, t, "demand.html", want=_in_words(t, found))


def _in_words(t: Words, row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "state_word": said_in(t, STATES, row["state"])}


PUBLIC: Final[tuple[tuple[str, Page], ...]] = (("/demands", board), ("/demands/{demand}", want))


@desk_page("/desk/demands", nav="demands", roles=TRADERS)
async def wants(visit: Visit) -> Response:
    """What is wanted, the party's own wants first, and the form for another."""
    now_us = await visit.gate.now_us()
    rules = await visit.read(rulebook.at, now_us)
    rows = await visit.read(demands.demands, now_us, None, False, None, ROWS_SHOWN)
    return await visit.show(
        "desk/demands.html",
        rows=sorted(
            (_in_words(visit.t, row) for row in rows), key=lambda row: row["buyer"] != visit.caller.party
        ),
        buys="buyer" in visit.caller.roles,
        purposes=await purposes_for(visit, []),
        value=rules.value,
        cite=rules.behind,
    )


@wants.on("post")
async def post(visit: Visit) -> Response:
    """Put a want on the board."""
    act = demands.PostDemand(
        visit.text("subject", at_most=demands.SUBJECT_CHARACTERS),
        visit.text("purpose", at_most=40, needed=False),
        visit.fen("low_fen"),
        visit.fen("high_fen"),
        visit.whole("term_days", at_most=10**6),
        visit.whole("open_days", at_most=10**6),
    )
    reply = await visit.perform(demands.post_demand, act)
    return visit.done("demand_posted", reply, to=f"/desk/demands/{orjson.loads(reply.outcome)['id']}")


@desk_page("/desk/demands/{demand}", roles=TRADERS)
async def own_want(visit: Visit) -> Response:
    """One want: for its buyer the way to take it off, for a department the form to answer with an asset of its own."""
    found = await visit.read(demands.demand, visit.request.path_params["demand"], await visit.gate.now_us())
    assets: list[dict[str, Any]] = []
    if "supplier" in visit.caller.roles and found["state"] == "open":
        search = Search(state="registered", supplier=visit.caller.party, limit=ASSETS_OFFERED)
        assets = (await visit.read(catalogue.search_assets, search, visit.caller))["assets"]
    named = {one["asset"] for one in found["answers"]}
    return await visit.show(
        "desk/demand.html",
        want=_in_words(visit.t, found),
        own=found["buyer"] == visit.caller.party,
        supplies="supplier" in visit.caller.roles,
        assets=[(one["id"], one["title"]) for one in assets if one["id"] not in named],
    )


@own_want.on("answer")
async def answer(visit: Visit) -> Response:
    """Answer with an asset, and its listing where it is on offer."""
    asset = visit.plain("asset")
    dossier = await visit.read(catalogue.dossier, asset, visit.caller)
    act = demands.AnswerDemand(
        visit.request.path_params["demand"],
        asset,
        visit.text("words", at_most=demands.WORDS_CHARACTERS),
        dossier["asset"]["listing"],
    )
    return visit.done("demand_answered", await visit.perform(demands.answer_demand, act))


@own_want.on("withdraw")
async def withdraw(visit: Visit) -> Response:
    """Take the own want off the board."""
    act = demands.WithdrawDemand(visit.request.path_params["demand"])
    return visit.done("demand_withdrawn", await visit.perform(demands.withdraw_demand, act))


PAGES: Final[tuple[DeskPage, ...]] = (wants, own_want)
