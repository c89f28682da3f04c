"""Routes of parties, their people, keys and money."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from exchange import money, parties, venue
from exchange.acts import Caller
from exchange.api.doorway import CallerDep, GateDep, KeyDep, Named, perform
from exchange.errors import NotFound, Unprocessable
from exchange.messages.market import (
    AgreementMessage,
    ClockMessage,
    EnrolmentMessage,
    InvitationMessage,
    KeyMessage,
    PartyMessage,
    PartyStateMessage,
    TopUpMessage,
    WithdrawalMessage,
)

router = APIRouter(prefix="/v1", tags=["parties and money"])


@router.get("/me")
async def me(gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """Who the key belongs to, and the party's free and held money."""
    return await gate.read(parties.account_of, caller)


@router.post("/parties", status_code=201)
async def register_party(body: PartyMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Admit an organisation (administrator)."""
    holders = tuple(parties.Holder(h.name, h.share_ppm, h.party) for h in body.holders)
    act = parties.RegisterParty(body.uscc, body.name, tuple(body.roles), holders)
    return await perform(gate, parties.register_party, act, caller, key)


@router.post("/parties/{party}/state", status_code=201)
async def set_party_state(
    party: Named, body: PartyStateMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Suspend a party or let it trade again (regulator, administrator)."""
    act = parties.SetPartyState(party, body.state, body.reason)
    return await perform(gate, parties.set_party_state, act, caller, key)


@router.post("/invitations", status_code=201)
async def invite(body: InvitationMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Give a person a one-time link, valid for 72 hours."""
    act = parties.InvitePerson(body.party, body.name, bytes.fromhex(body.token_digest))
    return await perform(gate, parties.invite_person, act, caller, key)


@router.post("/enrolments", status_code=201)
async def enrol(body: EnrolmentMessage, gate: GateDep) -> Response:
    """Redeem a one-time link. Needs no key; the same link with the same key digest answers again."""
    token = parties.key_digest(body.token)
    act = parties.Enrol(token, bytes.fromhex(body.key_digest), body.label)
    visitor = Caller("enrolment", "enrolment", frozenset())
    try:
        return await perform(gate, parties.enrol, act, visitor, f"enrol-{token.hex()[:40]}")
    except Unprocessable as problem:
        # The link was redeemed, with another key: to whoever comes now it is a used link like any other.
        raise (parties.unknown_link() if problem.code == "request.identifier_reused" else problem) from None


@router.post("/keys", status_code=201)
async def add_key(body: KeyMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Bring a further key; its secret stays with you."""
    act = parties.AddKey(bytes.fromhex(body.key_digest), body.label)
    return await perform(gate, parties.add_key, act, caller, key)


@router.post("/keys/{digest}/revocation", status_code=201)
async def revoke_key(digest: str, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """End a key of your party; it stops within a second."""
    try:
        act = parties.RevokeKey(bytes.fromhex(digest))
    except ValueError:
        raise NotFound("key.unknown", "no such key", field="digest") from None
    return await perform(gate, parties.revoke_key, act, caller, key)


@router.post("/agreements", status_code=201)
async def agree(body: AgreementMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Let an operator run your data for a part of each price (supplier)."""
    act = parties.AgreeOperation(body.operator, body.share_ppm)
    return await perform(gate, parties.agree_operation, act, caller, key)


@router.post("/top-ups", status_code=201)
async def top_up(body: TopUpMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Credit what the bank received (bank)."""
    act = money.CreditTopUp(body.party, body.amount_fen, body.bank_reference)
    return await perform(gate, money.credit_top_up, act, caller, key)


@router.post("/withdrawals", status_code=201)
async def withdraw(body: WithdrawalMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Order a payout of your party's free money."""
    return await perform(gate, money.withdraw, money.Withdraw(body.amount_fen), caller, key)


@router.post("/sandbox/clock", status_code=201)
async def move_clock(body: ClockMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Move a sandbox's clock forward (administrator); a production market refuses."""
    return await perform(gate, venue.move_clock, venue.MoveClock(body.by_us), caller, key)
