"""Sealed tenders in everybody's view: what is tendered and asked, and from the deadline on how each is opened, marked and awarded.

Nothing here needs an account. The page of a tender fetches its course again with each new head of the log, and decides its
award once more from the prices and marks that it shows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from exchange import rulebook, tenders
from exchange.messages.tenders import ENVELOPES, FAILURES, FAULTS, PROTESTS, STATES
from exchange.web.console import Page, gate_of, render
from exchange.web.words import Words

ROWS_SHOWN: Final = 30

STAGES: Final = ("bids", "opening", "scoring", "award", "protests", "settlement")
"""What a tender goes through."""

_BEHIND: Final = {
    "published": 0,
    "halted": 0,
    "opening": 1,
    "opened": 2,
    "awarded": 4,
    "settled": len(STAGES),
}
"""How many of the stages a tender in a state has behind it; one that came to nothing is shown without them."""

_FAILED_BY: Final = {
    "too_few_bidders": "tender.bidders_at_least",
    "not_opened": "tender.opening_within_us",
    None: "tender.bidders_at_least",
}
"""The rule that ended a tender."""


def said_in(t: Words, words: Mapping[str, tuple[str, str]], value: str) -> str:
    """The word for a value that the messages name in both languages."""
    return words[value][0 if t.language == "zh" else 1]


async def tenders_page(request: Request, t: Words) -> Response:
    """What is tendered and what became of it, the newest first."""
    asked = request.query_params.get("before", "")
    before = int(asked) if re.fullmatch("[0-9]{1,18}", asked) else None
    rows = await gate_of(request).read(tenders.tenders, before, ROWS_SHOWN)
    return await render(
        request,
        t,
        "tenders.html",
        rows=[{**row, "state_word": said_in(t, STATES, row["state"])} for row in rows],
        older=rows[-1]["log_index"] if len(rows) == ROWS_SHOWN else None,
    )


async def tender_page(request: Request, t: Words) -> Response:
    """One tender whole, as the public sees it."""
    return await _show(request, t, "tender.html")


async def live_tender(request: Request, t: Words) -> Response:
    """The course of a tender as it stands now."""
    return await _show(request, t, "parts/tender.html")


async def _show(request: Request, t: Words, template: str) -> Response:
    gate = gate_of(request)
    found = await gate.read(tenders.tender, request.path_params["tender"])
    rules = await gate.read(rulebook.at, await gate.now_us())
    return await render(
        request,
        t,
        template,
        **course(t, found),
        names=await gate.read(tenders.named, acting(found)),
        stages=STAGES,
        behind=_BEHIND.get(found["state"]),
        rule_of_failure=rules.behind(_FAILED_BY[found["failure"]]),
        value=rules.value,
        cite=rules.behind,
    )


def acting(found: Mapping[str, Any]) -> list[str]:
    """The parties that act in public on a tender."""
    return [found["seller"], *(one["name"] for one in found["committee"]["holders"])]


def course(t: Words, found: Mapping[str, Any]) -> dict[str, Any]:
    """A tender in the reader's words: where it stands, who handed shares in, what each envelope held, how it was decided."""
    handed = {one["holder"] for one in found["shares"] if not one["faults"]}
    return {
        "tender": found,
        "state_word": said_in(t, STATES, found["state"]),
        "failure": None if found["failure"] is None else said_in(t, FAILURES, found["failure"]),
        "shares": [
            {**row, "words": [(one["code"], said_in(t, FAULTS, one["fault"])) for one in row["faults"]]}
            for row in found["shares"]
        ],
        "good": len(handed),
        "awaited": [one["name"] for one in found["committee"]["holders"] if one["name"] not in handed],
        "opened": [
            {**row, "word": said_in(t, ENVELOPES, row["reason"] or row["state"])}
            for row in found["opened"] or []
        ],
        "filed": [one["code"] for one in found["envelopes"] if one["filed_index"] is not None],
        "prices": {row["code"]: row["price_fen"] for row in found["opened"] or []},
        "ranked": sorted(found["scores"] or (), key=lambda one: int(one["total_ppm"]), reverse=True),
        "points": points,
        "agrees": agrees(found),
        "protests": [{**row, "word": said_in(t, PROTESTS, row["state"])} for row in found["protests"]],
    }


def points(ppm: int | str) -> str:
    """Millionths of the whole as points of a hundred, exact."""
    whole, rest = divmod(int(ppm), 10_000)
    return f"{whole}.{rest:04d}"


def agrees(found: Mapping[str, Any]) -> bool | None:
    """Whether an award follows from the prices, marks and rule that are shown, decided again here; None where there is none."""
    if found["outcome"] is None:
        return None
    again = tenders.replayed_award(
        found["rules"],
        found["assessors"],
        found["opened"],
        {one["digest"]: int(one["index"]) for one in found["envelopes"]},
        {one["assessor"]: tenders.marks_of(one["marks"]) for one in found["marks"]},
    )
    return (
        isinstance(again, tuple)
        and again[0].digest == found["outcome"]["digest"]
        and again[1] == found["scores"]
    )


PAGES: Final[tuple[tuple[str, Page], ...]] = (
    ("/tenders", tenders_page),
    ("/tenders/{tender}", tender_page),
    ("/live/tenders/{tender}", live_tender),
)
