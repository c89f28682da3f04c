"""The public's complaints: a form that needs no account, and a page where its tracking number shows the state and the answer."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from exchange import complaints, rulebook
from exchange.complaints import CONTACT_CHARACTERS, TEXT_CHARACTERS
from exchange.errors import ExchangeError, Malformed
from exchange.web.console import Page, gate_of, render
from exchange.web.desk import PLAIN, fields_of
from exchange.web.words import Words

FIELDS: Final = ("topic", "text", "asset", "party", "contact", "tracking")
PREFIX: Final = "web-complaint-"
IDENTIFIER: Final = f"{PREFIX}[0-9a-f]{{32}}"
UNSPOKEN: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Control characters, which no text has."""


async def complain(request: Request, t: Words) -> Response:
    """The form; sent, it leads to the page of its tracking number. A form that is sent twice files once.

    What visitors send is counted by where it comes from, as at the API.
    """
    asked = request.query_params
    form = FormData({name: asked.get(name, "")[:100] for name in ("asset", "party", "tracking")})
    try:
        if request.method == "POST":
            form = await fields_of(request)
            number = await _file(request, form)
        elif tracking := asked.get("tracking", "").strip():
            complaint = _tracked(request, tracking)  # so that nothing is led to but what is a page
            number = complaints.tracking_number(request.app.state.link_key, "complaint", complaint)
        else:
            return await _show(request, t, form, None)
    except ExchangeError as refused:
        response = await _show(request, t, form, refused)
        response.status_code = refused.status
        return response
    return RedirectResponse(f"/{t.language}/complaints/{number}", 303)


async def follow(request: Request, t: Words) -> Response:
    """Where a complaint stands, and its answer, for whoever has its tracking number."""
    tracking, gate = request.path_params["tracking"], gate_of(request)
    found = await gate.read(complaints.followed, _tracked(request, tracking), await gate.now_us())
    return await render(request, t, "complaint.html", found=found, tracking=tracking)


async def _file(request: Request, form: FormData) -> str:
    """File what a form says; its tracking number."""
    request.app.state.callers.quotas.visited(request).require()
    filed: dict[str, Any] = {
        name: said(form, name, at_most)
        for name, at_most in (
            ("topic", 40),
            ("text", TEXT_CHARACTERS),
            ("asset", 64),
            ("party", 64),
            ("contact", CONTACT_CHARACTERS),
        )
    }
    for name in ("asset", "party"):
        if filed[name] and not re.fullmatch(PLAIN, filed[name]):
            raise _malformed(name, "1 to 64 of A-Z a-z 0-9 _ -", "copy the identifier from its page")
    identifier = str(form.get("identifier", ""))
    if not re.fullmatch(IDENTIFIER, identifier):
        raise _malformed("identifier", "the one that the form came with", "open the page anew")
    act = complaints.FileComplaint(
        filed["topic"], filed["text"], filed["asset"] or None, filed["party"] or None, filed["contact"]
    )
    reply = await gate_of(request).perform(
        complaints.file_complaint, act, caller=complaints.COMPLAINANT, key=identifier
    )
    name = orjson.loads(reply.outcome)["complaint"]
    return complaints.tracking_number(request.app.state.link_key, "complaint", name)


def said(form: FormData, name: str, at_most: int) -> str:
    """A text of a visitor's form, its lines parted as everywhere else; Malformed at its field."""
    value = form.get(name)
    text = value.replace("\r\n", "\n").strip() if isinstance(value, str) else ""
    if len(text) > at_most or UNSPOKEN.search(text):
        raise _malformed(
            name, f"at most {at_most} characters, none of them a control character", "shorten it"
        )
    return text


def _malformed(name: str, rule: str, remedy: str) -> Malformed:
    return Malformed("form.field", f"{name}: not as it has to be", field=name, rule=rule, remedy=remedy)


def _tracked(request: Request, tracking: str) -> str:
    return complaints.tracked(request.app.state.link_key, "complaint", tracking[:200])


async def _show(request: Request, t: Words, form: FormData, problem: ExchangeError | None) -> Response:
    gate = gate_of(request)
    rules = await gate.read(rulebook.at, await gate.now_us())
    kept = str(form.get("identifier", ""))
    return await render(
        request,
        t,
        "complain.html",
        topics=[(name, t.named("topic", name)) for name in rules.words("complaint.topics")],
        days=rules.value("complaint.answered_within_working_days"),
        given={name: str(form.get(name, "")) for name in FIELDS},
        identifier=kept if re.fullmatch(IDENTIFIER, kept) else f"{PREFIX}{gate.chance(16).hex()}",
        problem=problem,
    )


PAGES: Final[tuple[tuple[str, Page], ...]] = (
    ("/complaints", complain),
    ("/complaints/{tracking}", follow),
)
