"""A department while it sells: its lots as they stand, what is used of its products, and what waits for its answer, questions to all and errors in its data."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from exchange import auctions, corrections, metering, questions
from exchange.web.department import DEPARTMENT
from exchange.web.desk import DeskPage, Visit, desk_page
from exchange.web.enterprise import title_of
from exchange.web.pictures import used_of

LOTS_SHOWN: Final = 100
SUBSCRIPTIONS_SHOWN: Final = 5


@desk_page("/desk/selling", nav="selling", roles=DEPARTMENT)
async def selling(visit: Visit) -> Response:
    """The department's lots, the ones that close next first; below them what buyers asked and found, the first due in front."""
    now_us = await visit.gate.now_us()
    found = await visit.read(corrections.waiting, visit.caller, now_us)
    used = await visit.read(metering.subscriptions, visit.caller, None, SUBSCRIPTIONS_SHOWN)
    return await visit.show(
        "desk/selling.html",
        lots=await visit.read(auctions.lots_of, visit.caller.party, LOTS_SHOWN),
        questions=await visit.read(questions.waiting, visit.caller, now_us),
        subscriptions=used,
        used_of=used_of,
        corrections=found,
        titles={
            one["asset"]: await visit.read(title_of, one["asset"], visit.caller) for one in (*found, *used)
        },
    )


@selling.on("answer")
async def answer(visit: Visit) -> Response:
    """Answer a question on a listing, to all."""
    act = questions.AnswerQuestion(visit.plain("question"), visit.text("answer"))
    return visit.done("question_answered", await visit.perform(questions.answer_question, act))


@selling.on("decide")
async def decide(visit: Visit) -> Response:
    """Accept what a buyer found in the data, or say why not."""
    act = corrections.AnswerCorrection(
        visit.plain("correction"), visit.text("decision", at_most=10), visit.text("answer")
    )
    return visit.done("correction_answered", await visit.perform(corrections.answer_correction, act))


PAGES: Final[tuple[DeskPage, ...]] = (selling,)
