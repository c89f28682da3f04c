"""Routes of the certificate of deletion."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from exchange import deletion
from exchange.api.doorway import AfterIndex, CallerDep, GateDep, KeyDep, Limit, Named, PagesDep, perform
from exchange.messages.deletion import DeletionDeclared, DeletionMessage, DeletionView
from exchange.messages.outcomes import Answer

router = APIRouter(prefix="/v1", tags=["delivery"])


@router.post("/licences/{licence}/deletion", status_code=201, response_model=Answer[DeletionDeclared])
async def declare_deletion(
    licence: Named, body: DeletionMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Declare that what you licensed, and every copy of it, is deleted; the receipt is the certificate of deletion."""
    act = deletion.DeclareDeletion(licence, body.person, body.method, body.statement)
    return await perform(gate, deletion.declare_deletion, act, caller, key)


@router.get("/deletions", response_model=list[DeletionView])
async def list_deletions(
    gate: GateDep, caller: CallerDep, pages: PagesDep, after: AfterIndex = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """What is to be deleted, and what was, oldest first, as buyer or seller; all of it for a regulator."""
    now_us = await gate.now_us()
    rows = await gate.read(
        lambda session: deletion.deletions_of(
            session, caller, now_us, after=-1 if after is None else after, limit=limit
        )
    )
    pages.link(rows, limit, lambda row: row["log_index"])
    return rows
