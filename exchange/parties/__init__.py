"""Organisations, the people who act for them, their keys and shareholdings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Transaction
from exchange.database import driver
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.parties.agreements import AgreeOperation, agree_operation
from exchange.parties.codes import check_code, check_lei, check_uscc, uscc_check_character
from exchange.parties.documents import FileDocument, ReviewDocument, file_document, review_document
from exchange.parties.duties import DUTIES, AssignDuty, assign_duty
from exchange.parties.forms import check_digest, check_name
from exchange.parties.members import (
    INVITATION_US,
    EndMembership,
    InvitePerson,
    end_membership,
    invite,
    invite_person,
)
from exchange.parties.names import check_own_name, looks
from exchange.parties.relations import (
    DeclareHolders,
    DeclareRelation,
    Holder,
    check_holders,
    declare_holders,
    declare_relation,
    keep_holders,
)
from exchange.parties.states import TRADERS, require_active
from exchange.rulebook import in_force
from exchange.tables import Party
from ledger.book import balance

__all__ = [
    "DUTIES", "INVITATION_US", "ROLES", "AgreeOperation", "AssignDuty", "DeclareHolders", "DeclareRelation", "EndMembership",
    "FileDocument", "Holder", "InvitePerson", "RegisterParty", "ReviewDocument", "SetPartyState", "account_of", "admit", "agree_operation", "assign_duty", "check_digest",
    "check_lei", "check_name", "check_uscc", "declare_holders", "declare_relation", "end_membership", "file_document", "invite", "invite_person",
    "register_party", "require_active", "review_document", "set_party_state", "uscc_check_character",
]  # fmt: skip

ROLES = (
    "supplier", "buyer", "operator", "regulator", "administrator", "bank", "registrar", "governing_body", "service_provider", "affiliate",
)  # fmt: skip
"""What an organisation is here; a service provider appraises or assesses, an affiliate is known for what it holds alone."""


@dataclass(frozen=True, slots=True)
class RegisterParty(Act):
    """Register an organisation; an operator declares its holders."""

    uscc: str
    """Its unified social credit code; of one abroad its LEI."""
    name: str
    roles: tuple[str, ...]
    holders: tuple[Holder, ...] = ()


async def register_party(tx: Transaction, act: RegisterParty) -> Record:
    """Admit an organisation with a checked code; whoever can hold money gets an account.

    Where the rulebook asks for a review, who is to trade stays an applicant until its documents are accepted. Refused is a
    name that only looks like another's.
    """
    tx.caller.require("administrator", duties=("business", "security"))
    rules = await in_force(tx)
    check_code(act.uscc, rules.words("parties.code_form"))
    check_own_name("name", act.name)
    unknown = sorted(set(act.roles) - set(ROLES))
    if unknown or not act.roles or len(set(act.roles)) != len(act.roles):
        raise Unprocessable(
            "party.roles",
            f"roles {', '.join(act.roles) or 'none'}",
            field="roles",
            rule=f"one or more of {', '.join(ROLES)}, each once",
            remedy="name known roles",
        )
    if "regulator" in act.roles and len(act.roles) > 1:
        raise Unprocessable(
            "party.regulator_trades",
            "a regulator has no other role",
            field="roles",
            rule="the regulator audits and halts, it never trades",
            remedy="register the regulator alone",
        )
    if act.holders and "operator" not in act.roles:
        raise Unprocessable(
            "party.holders", "only an operator declares holders", field="holders", remedy="leave holders out"
        )
    check_holders(act.holders)
    taken = await tx.session.execute(select(Party.id).where(col(Party.uscc) == act.uscc))
    if taken.first() is not None:
        raise Conflict(
            "party.registered",
            f"{act.uscc} is registered",
            field="uscc",
            rule="one organisation, one registration",
            remedy="ask an administrator to invite further people to it",
        )
    await _require_unlike(tx, act.name)
    account = None
    if TRADERS & set(act.roles):
        account = await tx.open_account("cash", overdraft="debits_must_not_exceed_credits")
    waits = rules.allows("parties.review_required") and not (TRADERS | {"service_provider"}).isdisjoint(
        act.roles
    )
    state = "applicant" if waits else "active"
    party = await admit(tx, act.uscc, act.name, act.roles, account, state=state)
    holders = await keep_holders(tx, party.id, tx.now_us, act.holders)
    return Record(
        "party_registered",
        {
            "account": account,
            "holders": holders,
            "id": party.id,
            "name": tx.seal(act.name),
            "roles": list(act.roles),
            "state": state,
            "uscc": tx.seal(act.uscc),
        },
        readers=(party.id,),
    )


async def _require_unlike(tx: Transaction, name: str) -> None:
    """Refuse a name that only looks like another's; an honest namesake is told apart by its code."""
    same = select(Party.id).where(col(Party.looks) == looks(name), col(Party.name) != name).limit(1)
    other = (await tx.session.execute(same)).scalar()
    if other is not None:
        raise Conflict(
            "party.name_alike",
            f"{name!r} looks like the name of {other}",
            field="name",
            rule="a name is told apart from every other by sight (UTS #39)",
            remedy="type the name letter by letter as its certificate has it; if it is this party, it is registered",
        )


@dataclass(frozen=True, slots=True)
class SetPartyState(Act):
    """Suspend a party, or let it trade again; with the reason, which stays sealed."""

    party: str
    state: str
    reason: str


async def set_party_state(tx: Transaction, act: SetPartyState) -> Record:
    """From this entry of the log on, a suspended party's acts are refused."""
    tx.caller.require("regulator", "administrator", duties=("security",))
    if act.state not in ("active", "suspended"):
        raise Unprocessable(
            "party.state", act.state, field="state", rule="active or suspended", remedy="name one of them"
        )
    check_name("reason", act.reason)
    party = await tx.find(Party, act.party, "party")
    if party.state == "applicant":
        raise Conflict(
            "party.applicant",
            f"{party.id} has applied and is not admitted",
            field="party",
            rule="its documents are what admits it",
            remedy="review them",
        )
    party.state = act.state
    return Record(
        "party_state_set",
        {"party": party.id, "reason": tx.seal(act.reason), "state": act.state},
        readers=(party.id,),
    )


async def account_of(session: AsyncSession, caller: Caller) -> dict[str, Any]:
    """The caller's party as it sees itself: roles, state and the four balances."""
    party = await session.get(Party, caller.party)
    if party is None:
        raise NotFound("party.unknown", "no such party", field="party")
    account = None if party.account is None else await balance(await driver(session), party.account)
    return {
        "id": party.id,
        "name": party.name,
        "roles": party.roles,
        "state": party.state,
        "person": caller.person,
        "account": None if account is None else account.id,
        "available_fen": None if account is None else str(account.available),
        "held_fen": None if account is None else str(account.debits_pending),
    }


async def admit(
    tx: Transaction, uscc: str, name: str, roles: Sequence[str], account: str | None, *, state: str = "active"
) -> Party:
    """Keep an organisation."""
    party = Party(
        id=tx.identifier("org"),
        uscc=uscc,
        name=name,
        looks=looks(name),
        roles=list(roles),
        state=state,
        stopped=False,
        account=account,
        log_index=tx.index,
    )
    await tx.insert(party)
    return party
