"""Routes of what stands beside a listing: published discounts, and questions answered to all."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from exchange import discounts, questions
from exchange.api.doorway import CallerDep, GateDep, KeyDep, Named, ReaderDep, perform
from exchange.messages.listings import (
    DiscountEnded,
    DiscountMessage,
    DiscountPublished,
    DiscountView,
    ListingAnswerMessage,
    ListingQuestionMessage,
    ListingQuestionView,
    QuestionAnswered,
    QuestionAsked,
)
from exchange.messages.outcomes import Answer

router = APIRouter(prefix="/v1", tags=["market"])


@router.get("/listings/{listing}/discounts", response_model=list[DiscountView])
async def listing_discounts(listing: Named, gate: GateDep) -> list[dict[str, Any]]:
    """The discounts of a listing: who pays less by which criterion, how much, and how long."""
    return await gate.read(discounts.discounts, listing)


@router.post("/listings/{listing}/discounts", status_code=201, response_model=Answer[DiscountPublished])
async def publish_discount(
    listing: Named, body: DiscountMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Publish a discount on a listing of yours; whoever meets its criterion has it (supplier)."""
    said = {**dict(body), "words": tuple(body.words)}
    act = discounts.PublishDiscount(listing, **said)
    return await perform(gate, discounts.publish_discount, act, caller, key)


@router.post("/discounts/{discount}/end", status_code=201, response_model=Answer[DiscountEnded])
async def end_discount(discount: Named, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """End a discount of yours from now on (supplier)."""
    return await perform(gate, discounts.end_discount, discounts.EndDiscount(discount), caller, key)


@router.get("/listings/{listing}/questions", response_model=list[ListingQuestionView])
async def listing_questions(listing: Named, gate: GateDep, reader: ReaderDep) -> list[dict[str, Any]]:
    """What was asked of a listing, with the answers; open questions only for their asker and the seller."""
    return await gate.read(questions.questions, listing, reader, await gate.now_us())


@router.post("/listings/{listing}/questions", status_code=201, response_model=Answer[QuestionAsked])
async def ask_question(
    listing: Named, body: ListingQuestionMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Ask the seller; everybody reads the question with its answer, and nobody who asked (buyer)."""
    act = questions.AskQuestion(listing, body.text)
    return await perform(gate, questions.ask_question, act, caller, key)


@router.get("/questions", response_model=list[ListingQuestionView])
async def questions_waiting(gate: GateDep, caller: CallerDep) -> list[dict[str, Any]]:
    """Questions to your listings that wait for your answer, the first due in front."""
    return await gate.read(questions.waiting, caller, await gate.now_us())


@router.post("/questions/{inquiry}/answer", status_code=201, response_model=Answer[QuestionAnswered])
async def answer_question(
    inquiry: Named, body: ListingAnswerMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Answer a question to a listing of yours, to all (supplier)."""
    act = questions.AnswerQuestion(inquiry, body.answer)
    return await perform(gate, questions.answer_question, act, caller, key)
