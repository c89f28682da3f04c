"""Routes of the market's rules: everybody reads every version, two persons make the next one."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from exchange import rulebook
from exchange.api.doorway import CallerDep, GateDep, KeyDep, Named, perform
from exchange.messages.outcomes import Answer, RuleChangeDecided, RuleChangeProposed
from exchange.messages.rules import (
    RulebookDocumentView,
    RulebookVersionView,
    RuleChangeMessage,
    RuleChangeView,
    RuleDecisionMessage,
)

router = APIRouter(prefix="/v1/rulebook", tags=["rules"])


@router.get("", response_model=RulebookDocumentView)
async def rules(gate: GateDep) -> dict[str, Any]:
    """The rules in force, with the source of each, and the clauses of every gate."""
    return rulebook.view(await gate.read(rulebook.at, await gate.now_us()))


@router.get("/versions", response_model=list[RulebookVersionView])
async def rule_versions(gate: GateDep) -> list[dict[str, Any]]:
    """Every version that this market had or will have, newest first, with its entry in the log."""
    return await gate.read(rulebook.versions)


@router.get("/versions/{version}", response_model=RulebookDocumentView)
async def rule_version(version: Named, gate: GateDep) -> dict[str, Any]:
    """One version by its digest, whole: decisions of its time are judged by it."""
    return await gate.read(rulebook.version, version)


@router.get("/proposals", response_model=list[RuleChangeView])
async def rule_changes(gate: GateDep, caller: CallerDep) -> list[dict[str, Any]]:
    """The proposed changes, newest first (administrator, governing body, regulator)."""
    return await gate.read(rulebook.proposals, caller)


@router.post("/proposals", status_code=201, response_model=Answer[RuleChangeProposed])
async def propose_rule_change(
    body: RuleChangeMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Propose other figures from a date on (administrator, governing body, regulator)."""
    said = body.model_dump()
    act = rulebook.ProposeRuleChange(said["rules"], said["calendar"], body.effective_us, body.reason)
    return await perform(gate, rulebook.propose_rule_change, act, caller, key)


@router.get("/proposals/{proposal}", response_model=RuleChangeView)
async def rule_change(proposal: Named, gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """One proposed change (administrator, governing body, regulator)."""
    return await gate.read(rulebook.proposal, proposal, caller)


@router.post("/proposals/{proposal}/decision", status_code=201, response_model=Answer[RuleChangeDecided])
async def decide_rule_change(
    proposal: Named, body: RuleDecisionMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Sign a change as a second person, or reject it; changes of the venue's own rules are the governing body's to sign."""
    act = rulebook.DecideRuleChange(proposal, body.digest, body.decision, body.reason)
    return await perform(gate, rulebook.decide_rule_change, act, caller, key)
