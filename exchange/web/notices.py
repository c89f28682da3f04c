"""Public notices of registration: what anybody reads and says to them, what parties object, and where that is read and decided."""

from __future__ import annotations

from typing import Any, Final

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from exchange import rulebook
from exchange.errors import ExchangeError, NotFound
from exchange.registration import objections, register
from exchange.registration.applications import WORDS_CHARACTERS
from exchange.web.complaint import said
from exchange.web.console import Page, gate_of, index_asked, render
from exchange.web.desk import DeskPage, Visit, desk_page, fields_of
from exchange.web.words import Words

ROWS: Final = 30
"""Comments on one page."""

READERS: Final = ("registrar", "administrator", "governing_body")
"""Who has what is said to all notices in one list, beside the regulator; one notice is read and answered by whoever signed in."""


async def notices(request: Request, t: Words) -> Response:
    """What is in public notice now, the first to end first."""
    gate = gate_of(request)
    found = _by_end(await gate.read(register.notices))
    rules = await gate.read(rulebook.at, await gate.now_us())
    return await render(
        request,
        t,
        "notices.html",
        found=found,
        cite=rules.behind,
        days=rules.value("registration.notice_working_days"),
    )


async def notice(request: Request, t: Words) -> Response:
    """One public notice with what was said to it; anybody says something here while it runs, without an account.

    What visitors send is counted by where it comes from, and the same said twice is said once, as at the API.
    """
    gate, application = gate_of(request), request.path_params["application"]
    form, problem = FormData(), None
    if request.method == "POST":
        try:
            form = await fields_of(request)
            request.app.state.callers.quotas.visited(request).require()
            text = said(form, "text", WORDS_CHARACTERS)
            reply = await gate.perform(
                objections.comment,
                objections.Comment(application, text),
                caller=objections.PUBLIC,
                key=objections.visitors_identifier(application, text),
            )
            return RedirectResponse(f"{request.url.path}?entry={reply.index}#comments", 303)
        except ExchangeError as refused:
            problem = refused
    found = await gate.read(register.notice, application)
    now_us = await gate.now_us()
    response = await render(
        request,
        t,
        "notice.html",
        **_told(found, now_us),
        cite=(await gate.read(rulebook.at, now_us)).behind,
        problem=problem,
        given=str(form.get("text", "")),
        entry=index_asked(request, "entry"),
    )
    response.status_code = 200 if problem is None else problem.status
    return response


def _by_end(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first to end first."""
    return sorted(rows, key=lambda one: (int(one["ends_us"]), one["application"]))


def _told(found: dict[str, Any], now_us: int) -> dict[str, Any]:
    return {"found": found, "runs": found["state"] == "noticed" and now_us < int(found["ends_us"])}


async def _show_all(visit: Visit) -> Response:
    """What is in public notice with how much was said to each, and what was said, the newest first."""
    comments = await visit.read(register.comments, index_asked(visit.request, "before"), ROWS)
    rows = _by_end(await visit.read(register.notices))
    return await visit.show(
        "desk/notices.html",
        rows=rows,
        heard=await visit.read(register.heard, [row["application"] for row in rows]),
        comments=comments,
        older=comments[-1]["log_index"] if len(comments) == ROWS else None,
        home=_home(visit),
    )


async def _show_one(visit: Visit) -> Response:
    """A notice for whoever signed in: to comment or object in the party's name, and to decide objections where that is one's office."""
    name, now_us = _name(visit), await visit.gate.now_us()
    found = await visit.read(register.notice, name)
    try:
        known = await visit.read(register.application, name, visit.caller, now_us)
        reasons = {one["id"]: one["reason"] for one in known["objections"]}
        due = {one["id"]: one["due_us"] for one in known["objections"]}
    except NotFound:  # somebody else's: objections are read by whom they concern
        reasons, due, known = {}, {}, None
    return await visit.show(
        "desk/notice.html",
        **_told(found, now_us),
        reasons=reasons,
        due=due,
        own=known is not None and known["party"] == visit.caller.party,
        decides="registrar" in visit.caller.roles,
        speaks=visit.page.hall == "exchange",
        listed=visit.page.hall == "regulator" or not visit.caller.roles.isdisjoint(READERS),
        home=_home(visit),
        cite=(await visit.read(rulebook.at, now_us)).behind,
    )


def _home(visit: Visit) -> str:
    """Where all notices are listed for whoever sits there."""
    return f"/{visit.t.language}/{'regulator' if visit.page.hall == 'regulator' else 'desk'}/notices"


def _name(visit: Visit) -> str:
    name: str = visit.request.path_params["application"]
    return name


one_notice = desk_page("/desk/notices/{application}")(_show_one)


@one_notice.on("comment")
async def comment(visit: Visit) -> Response:
    """Say something in the party's name."""
    act = objections.Comment(_name(visit), visit.text("text", at_most=WORDS_CHARACTERS))
    return visit.done("notice_commented", await visit.perform(objections.comment, act))


@one_notice.on("object")
async def file_objection(visit: Visit) -> Response:
    """Object in the party's name; the act waits until that is decided."""
    act = objections.FileObjection(_name(visit), visit.text("reason", at_most=WORDS_CHARACTERS))
    return visit.done("objection_filed", await visit.perform(objections.file_objection, act))


@one_notice.on("decide", fresh=True)
async def decide(visit: Visit) -> Response:
    """Uphold or dismiss an objection, with the answer to it."""
    act = objections.DecideObjection(
        visit.plain("objection"),
        "uphold" if visit.text("decision", at_most=10) == "uphold" else "dismiss",
        visit.text("answer", at_most=WORDS_CHARACTERS),
    )
    return visit.done("objection_decided", await visit.perform(objections.decide_objection, act))


PUBLIC: Final[tuple[tuple[str, Page], ...]] = (("/notices", notices), ("/notices/{application}", notice))
"""Pages of what is open to everybody, a form among them."""

PAGES: Final[tuple[DeskPage, ...]] = (
    desk_page("/desk/notices", nav="notices", roles=READERS)(_show_all),
    one_notice,
    desk_page("/regulator/notices", nav="notices", roles=("regulator",), hall="regulator")(_show_all),
    desk_page("/regulator/notices/{application}", roles=("regulator",), hall="regulator")(_show_one),
)
