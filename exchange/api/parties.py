"""Routes of parties, their people and money."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from exchange import money, parties, rulebook
from exchange.api.doorway import CallerDep, GateDep, KeyDep, Named, SignedDep, perform
from exchange.messages.market import (
    AgreementMessage,
    DocumentMessage,
    DocumentReviewMessage,
    DutyMessage,
    HolderMessage,
    HoldersMessage,
    InvitationMessage,
    PartyMessage,
    PartyStateMessage,
    RelationMessage,
    TopUpMessage,
    WithdrawalMessage,
)
from exchange.messages.outcomes import (
    Answer,
    DocumentFiled,
    DocumentReviewed,
    DutyAssigned,
    HoldersDeclared,
    OperationAgreed,
    PartyRegistered,
    PartyStateSet,
    PersonInvited,
    PersonLeft,
    RelationDeclared,
    ToppedUp,
    Withdrawn,
)
from exchange.messages.views import (
    AgreementView,
    ConflictsView,
    DocumentView,
    MemberView,
    MeView,
    OnboardingView,
    RegisterView,
)
from exchange.parties import agreements, documents, members, relations
from exchange.parties import onboarding as steps

router = APIRouter(prefix="/v1", tags=["parties and money"])


@router.get("/me", response_model=MeView)
async def me(gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """Who the key belongs to, and the party's free and held money."""
    return await gate.read(parties.account_of, caller)


@router.get("/onboarding", response_model=OnboardingView)
async def onboarding(gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """What your party still has to do before it can act in its roles."""
    now_us = await gate.now_us()
    rules = await gate.read(rulebook.at, now_us)
    return await gate.read(steps.onboarding, caller, now_us, rules)


@router.post("/parties", status_code=201, response_model=Answer[PartyRegistered])
async def register_party(body: PartyMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Admit an organisation (administrator)."""
    act = parties.RegisterParty(body.uscc, body.name, tuple(body.roles), _holders(body.holders))
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
    act = parties.InvitePerson(
        body.party, body.name, bytes.fromhex(body.token_digest), body.deputy_of, body.until_us
    )
    return await perform(gate, parties.invite_person, act, caller, key)


@router.get("/people", response_model=list[MemberView])
async def people(gate: GateDep, caller: CallerDep) -> list[dict[str, Any]]:
    """The people of your party: who acts, who is a deputy until when, who has left."""
    return await gate.read(members.members, caller, await gate.now_us())


@router.post("/people/{person}/duty", status_code=201, response_model=Answer[DutyAssigned])
async def assign_duty(
    person: Named, body: DutyMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Charge a colleague with a duty of the venue: system, security and audit are three persons' (administrator)."""
    return await perform(gate, parties.assign_duty, parties.AssignDuty(person, body.duty), caller, key)


@router.post("/people/{person}/departure", status_code=201, response_model=Answer[PersonLeft])
async def end_membership(person: Named, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Somebody leaves your party: every key and open link ends within a second (a colleague, administrator)."""
    return await perform(gate, parties.end_membership, parties.EndMembership(person), caller, key)


@router.post("/agreements", status_code=201, response_model=Answer[OperationAgreed])
async def agree(body: AgreementMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Let an operator run your data for a part of each price (supplier)."""
    act = parties.AgreeOperation(
        body.operator, body.share_ppm, body.parts.model_dump(), body.starts_us, body.ends_us
    )
    return await perform(gate, parties.agree_operation, act, caller, key)


@router.get("/agreements", response_model=list[AgreementView])
async def all_agreements(gate: GateDep, caller: CallerDep) -> list[dict[str, Any]]:
    """Your party's operating agreements, with what the end of each touches; all of them for a regulator."""
    now_us = await gate.now_us()
    rules = await gate.read(rulebook.at, now_us)
    return await gate.read(agreements.agreements, caller, now_us, rules)


@router.get("/parties/{party}/documents", response_model=list[DocumentView])
async def party_documents(party: Named, gate: GateDep, caller: CallerDep) -> list[dict[str, Any]]:
    """The documents of a party and what was found of each (the party itself, administrator, regulator)."""
    return await gate.read(documents.documents, caller, party, await gate.now_us())


@router.post("/parties/{party}/documents", status_code=201, response_model=Answer[DocumentFiled])
async def file_document(
    party: Named, body: DocumentMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Show a document by its SHA-256, with kind and expiry (the party itself, administrator)."""
    act = parties.FileDocument(party, body.kind, body.digest, body.expires_us)
    return await perform(gate, parties.file_document, act, caller, key)


@router.post(
    "/parties/{party}/documents/{digest}/review", status_code=201, response_model=Answer[DocumentReviewed]
)
async def review_document(
    party: Named, digest: Named, body: DocumentReviewMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Accept or refuse a document that somebody else filed (administrator)."""
    act = parties.ReviewDocument(party, digest, body.decision, body.reason)
    return await perform(gate, parties.review_document, act, caller, key)


@router.post("/parties/{party}/holders", status_code=201, response_model=Answer[HoldersDeclared])
async def declare_holders(
    party: Named, body: HoldersMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Say who holds a party from a moment on (the party itself, administrator)."""
    act = parties.DeclareHolders(party, body.since_us, _holders(body.holders))
    return await perform(gate, parties.declare_holders, act, caller, key)


@router.get("/parties/{party}/holders", response_model=RegisterView)
async def party_register(party: Named, gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """Who holds a party now, and what else relates it to others (the party itself, administrator, regulator)."""
    return await gate.read(relations.register, caller, party, await gate.now_us())


@router.post("/relations", status_code=201, response_model=Answer[RelationDeclared])
async def declare_relation(body: RelationMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Say that two parties or persons are related, or no longer (administrator, regulator)."""
    act = parties.DeclareRelation(body.subject, body.object, body.relation, body.stands, body.evidence)
    return await perform(gate, parties.declare_relation, act, caller, key)


@router.get("/assets/{asset}/conflicts/{party}", response_model=ConflictsView)
async def asset_conflicts(asset: Named, party: Named, gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """Whether a party or person may bid for an asset, approve or appraise it, and the path that is the reason
    (administrator, regulator).
    """
    now_us = await gate.now_us()
    rules = await gate.read(rulebook.at, now_us)
    return await gate.read(relations.conflicts, caller, asset, party, now_us, rules)


def _holders(said: list[HolderMessage]) -> tuple[parties.Holder, ...]:
    return tuple(parties.Holder(h.name, h.share_ppm, h.party, h.state_owned, h.account) for h in said)


@router.post("/top-ups", status_code=201, response_model=Answer[ToppedUp])
async def top_up(body: TopUpMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Credit what the bank received; what names no party here waits in suspense (bank)."""
    act = money.CreditTopUp(body.party, body.amount_fen, body.bank_reference)
    return await perform(gate, money.credit_top_up, act, caller, key)


@router.post("/withdrawals", status_code=201, response_model=Answer[Withdrawn])
async def withdraw(
    body: WithdrawalMessage, gate: GateDep, caller: CallerDep, key: KeyDep, signed: SignedDep
) -> Response:
    """Order a payout of your party's free money, or of dividends on their account; signed (RFC 9421) where your party asks that of itself."""
    act = money.Withdraw(body.amount_fen, signed, body.account)
    return await perform(gate, money.withdraw, act, caller, key)
