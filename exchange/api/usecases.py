"""Routes of use cases: what was built on an asset."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from exchange import usecases
from exchange.api.doorway import (
    AfterIndex,
    CallerDep,
    GateDep,
    KeyDep,
    Limit,
    Named,
    PagesDep,
    ReaderDep,
    perform,
)
from exchange.messages.outcomes import Answer
from exchange.messages.shapes import IDENTIFIER
from exchange.messages.statute import WhyMessage
from exchange.messages.usecases import (
    PublishedUseCase,
    UseCaseDecided,
    UseCaseDecisionMessage,
    UseCaseMessage,
    UseCaseProposed,
    UseCaseView,
    UseCaseWithdrawn,
)

router = APIRouter(prefix="/v1", tags=["delivery"])

UseCaseName = Annotated[str, Path(alias="usecase", pattern=IDENTIFIER)]


@router.post("/licences/{licence}/use-cases", status_code=201, response_model=Answer[UseCaseProposed])
async def propose_use_case(
    licence: Named, body: UseCaseMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Tell what you built on what you licensed; it is published when the department consents, or does not refuse in time."""
    act = usecases.ProposeUseCase(licence, body.title, body.text, body.url)
    return await perform(gate, usecases.propose_use_case, act, caller, key)


@router.post("/use-cases/{usecase}/decision", status_code=201, response_model=Answer[UseCaseDecided])
async def decide_use_case(
    usecase: UseCaseName, body: UseCaseDecisionMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Consent to a use case of your data, or refuse it with a reason while its notice runs (supplier)."""
    act = usecases.DecideUseCase(usecase, body.decision, body.reason)
    return await perform(gate, usecases.decide_use_case, act, caller, key)


@router.post("/use-cases/{usecase}/withdrawal", status_code=201, response_model=Answer[UseCaseWithdrawn])
async def withdraw_use_case(
    usecase: UseCaseName, body: WhyMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Take a use case of yours back; a regulator takes down anybody's."""
    act = usecases.WithdrawUseCase(usecase, body.reason)
    return await perform(gate, usecases.withdraw_use_case, act, caller, key)


@router.get("/assets/{asset}/use-cases", response_model=list[PublishedUseCase])
async def use_cases_of_asset(asset: Named, gate: GateDep, reader: ReaderDep) -> list[dict[str, Any]]:
    """What was built on an asset, newest first, for everybody."""
    return await gate.read(usecases.use_cases_of_asset, asset, reader, await gate.now_us())


@router.get("/use-cases", response_model=list[UseCaseView])
async def list_use_cases(
    gate: GateDep, caller: CallerDep, pages: PagesDep, after: AfterIndex = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """Use cases that you told, and those of your data, oldest first; all of them for a regulator."""
    now_us = await gate.now_us()
    rows = await gate.read(
        lambda session: usecases.use_cases_of(
            session, caller, now_us, after=-1 if after is None else after, limit=limit
        )
    )
    pages.link(rows, limit, lambda row: row["log_index"])
    return rows
