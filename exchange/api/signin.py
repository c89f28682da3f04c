"""Routes of the accounts with which people sign in to the console."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from exchange import signin
from exchange.api.doorway import CallerDep, GateDep, KeyDep, Named, perform
from exchange.messages.outcomes import AccountResetAsked, AccountResetDecided, Answer
from exchange.messages.signin import ResetDecisionMessage, ResetMessage, ResetView

router = APIRouter(prefix="/v1", tags=["identity"])


@router.get("/account-resets", response_model=list[ResetView])
async def account_resets(gate: GateDep, caller: CallerDep) -> list[dict[str, Any]]:
    """Fresh links that wait for a second administrator, the oldest first (administrator)."""
    return await gate.read(signin.resets, caller)


@router.post("/account-resets", status_code=201, response_model=Answer[AccountResetAsked])
async def ask_account_reset(body: ResetMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Ask for a link with which a person opens an account of the console anew; for yourself it is good at once."""
    act = signin.AskReset(body.person, bytes.fromhex(body.token_digest))
    return await perform(gate, signin.ask_reset, act, caller, key)


@router.post("/account-resets/{reset}/decision", status_code=201, response_model=Answer[AccountResetDecided])
async def decide_account_reset(
    reset: Named, body: ResetDecisionMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Grant or decline a link that somebody else asked for (administrator); granted, the old account is void."""
    act = signin.DecideReset(reset, body.decision == "grant")
    return await perform(gate, signin.decide_reset, act, caller, key)
