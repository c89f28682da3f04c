"""Routes of corrections: what a buyer finds wrong, and what the department answers."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from exchange import corrections
from exchange.api.doorway import (
    AfterIndex,
    CallerDep,
    GateDep,
    KeyDep,
    Limit,
    Named,
    PagesDep,
    perform,
)
from exchange.messages.assets import (
    CorrectionAnswerMessage,
    CorrectionMendingMessage,
    CorrectionMessage,
    CorrectionView,
)
from exchange.messages.outcomes import Answer, CorrectionAnswered, CorrectionAsked, CorrectionMended

router = APIRouter(prefix="/v1", tags=["delivery"])


@router.post("/licences/{licence}/corrections", status_code=201, response_model=Answer[CorrectionAsked])
async def ask_correction(
    licence: Named, body: CorrectionMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Say what is wrong in what you licensed; the department answers within the working days of the rulebook."""
    act = corrections.AskCorrection(licence, body.text, body.column, body.evidence)
    return await perform(gate, corrections.ask_correction, act, caller, key)


@router.post("/corrections/{correction}/answer", status_code=201, response_model=Answer[CorrectionAnswered])
async def answer_correction(
    correction: Named, body: CorrectionAnswerMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Accept a correction of your data, or refuse it with the reason (supplier)."""
    act = corrections.AnswerCorrection(correction, body.decision, body.answer)
    return await perform(gate, corrections.answer_correction, act, caller, key)


@router.post("/corrections/{correction}/mending", status_code=201, response_model=Answer[CorrectionMended])
async def mend_correction(
    correction: Named, body: CorrectionMendingMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Name the registered asset that has right what a buyer found wrong (supplier)."""
    act = corrections.MendCorrection(correction, body.asset)
    return await perform(gate, corrections.mend_correction, act, caller, key)


@router.get("/corrections", response_model=list[CorrectionView])
async def list_corrections(
    gate: GateDep,
    caller: CallerDep,
    pages: PagesDep,
    after: AfterIndex = None,
    limit: Limit = 100,
) -> list[dict[str, Any]]:
    """Corrections that you asked for, and those of your data, oldest first; all of them for a regulator."""
    now_us = await gate.now_us()
    rows = await gate.read(
        lambda session: corrections.corrections_of(
            session, caller, now_us, after=-1 if after is None else after, limit=limit
        )
    )
    pages.link(rows, limit, lambda row: row["log_index"])
    return rows
