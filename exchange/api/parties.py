"""Routes of parties, their people and money."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from exchange import money, parties, venue
from exchange.api.doorway import CallerDep, GateDep, KeyDep, Named, SignedDep, perform
from exchange.messages.market import (
    AgreementMessage,
    ClockMessage,
    InvitationMessage,
    PartyMessage,
    PartyStateMessage,
    TopUpMessage,
    WithdrawalMessage,
)
from exchange.messages.outcomes import (
    Answer,
    ClockMoved,
    OperationAgreed,
    PartyRegistered,
    PartyStateSet,
    PersonInvited,
    ToppedUp,
    Withdrawn,
)
from exchange.messages.views import MeView

router = APIRouter(prefix="/v1", tags=["parties and money"])


@router.get("/me", response_model=MeView)
async def me(gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """Who the key belongs to, and the party's free and held money."""
    return await gate.read(parties.account_of, caller)


@router.post("/parties", status_code=201, response_model=Answer[PartyRegistered])
async def register_party(body: PartyMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Admit an organisation (administrator)."""
    holders = tuple(parties.Holder(h.name, h.share_ppm, h.party) for h in body.holders)
    act = parties.RegisterParty(body.uscc, body.name, tuple(body.roles), holders)
    return await perform(gate, parties.register_party, act, caller, key)


@router.post("/parties/{party}/state", status_code=201, response_model=Answer[PartyStateSet])
async def set_party_state(
    party: Named, body: PartyStateMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Suspend a party or let it trade again (regulator, administrator)."""
    act = parties.SetPartyState(party, body.state, body.reason)
    return await perform(gate, parties.set_party_state, act, caller, key)


@router.post("/invitations", status_code=201, response_model=Answer[PersonInvited])
async def invite(body: InvitationMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Give a person a one-time link, valid for 72 hours."""
    act = parties.InvitePerson(body.party, body.name, bytes.fromhex(body.token_digest))
    return await perform(gate, parties.invite_person, act, caller, key)


@router.post("/agreements", status_code=201, response_model=Answer[OperationAgreed])
async def agree(body: AgreementMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Let an operator run your data for a part of each price (supplier)."""
    act = parties.AgreeOperation(body.operator, body.share_ppm)
    return await perform(gate, parties.agree_operation, act, caller, key)


@router.post("/top-ups", status_code=201, response_model=Answer[ToppedUp])
async def top_up(body: TopUpMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Credit what the bank received (bank)."""
    act = money.CreditTopUp(body.party, body.amount_fen, body.bank_reference)
    return await perform(gate, money.credit_top_up, act, caller, key)


@router.post("/withdrawals", status_code=201, response_model=Answer[Withdrawn])
async def withdraw(
    body: WithdrawalMessage, gate: GateDep, caller: CallerDep, key: KeyDep, signed: SignedDep
) -> Response:
    """Order a payout of your party's free money; signed (RFC 9421) where your party asks that of itself."""
    return await perform(gate, money.withdraw, money.Withdraw(body.amount_fen, signed), caller, key)


@router.post("/sandbox/clock", status_code=201, response_model=Answer[ClockMoved])
async def move_clock(body: ClockMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Move a sandbox's clock forward (administrator); a production market refuses."""
    return await perform(gate, venue.move_clock, venue.MoveClock(body.by_us), caller, key)
