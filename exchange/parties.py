"""Organisations, the people who act for them, their keys and shareholdings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Transaction
from exchange.database import driver
from exchange.errors import Conflict, Forbidden, NotFound, Unprocessable
from exchange.tables import (
    Asset,
    Invitation,
    OperatingAgreement,
    Party,
    Person,
    Shareholding,
)
from ledger.book import balance

ROLES = ("supplier", "buyer", "operator", "regulator", "administrator", "bank")

INVITATION_US = 72 * 3_600_000_000

_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)


def uscc_check_character(first: str) -> str:
    """The 18th character behind the first 17 of a unified social credit code (GB 32100-2015, mod 31)."""
    total = sum(_ALPHABET.index(c) * w for c, w in zip(first, _WEIGHTS, strict=True))
    return _ALPHABET[-total % 31]


def check_uscc(code: str) -> None:
    """Refuse a unified social credit code whose form or check character is wrong (GB 32100-2015)."""
    formed = len(code) == 18 and all(c in _ALPHABET for c in code)
    if not formed or uscc_check_character(code[:17]) != code[17]:
        raise Unprocessable(
            "party.uscc",
            f"{code!r} is no unified social credit code",
            field="uscc",
            rule="GB 32100-2015: 18 characters without I, O, S, V, Z; the last one is the check character",
            remedy="copy the code from the registration certificate",
        )


@dataclass(frozen=True, slots=True)
class Holder:
    """A part of an operator: `share_ppm` millionths, `party` where the holder trades here."""

    name: str
    share_ppm: int
    party: str | None = None


@dataclass(frozen=True, slots=True)
class RegisterParty(Act):
    """Admit an organisation; an operator declares its holders."""

    uscc: str
    name: str
    roles: tuple[str, ...]
    holders: tuple[Holder, ...] = ()


async def register_party(tx: Transaction, act: RegisterParty) -> Record:
    """Admit an organisation with a checked code; whoever can hold money gets an account."""
    tx.caller.require("administrator")
    check_uscc(act.uscc)
    check_name("name", act.name)
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
    account = None
    if {"supplier", "buyer", "operator"} & set(act.roles):
        account = await tx.open_account("cash", overdraft="debits_must_not_exceed_credits")
    party = await admit(tx, act.uscc, act.name, act.roles, account)
    holders = []
    for position, holder in enumerate(act.holders):
        if holder.party is not None:
            await tx.find(Party, holder.party, "party")
        dividend = await tx.open_account("dividend", overdraft="debits_must_not_exceed_credits")
        await tx.insert(
            Shareholding(
                operator=party.id,
                position=position,
                holder=holder.name,
                holder_party=holder.party,
                account=dividend,
                share_ppm=holder.share_ppm,
            )
        )
        holders.append(
            {
                "account": dividend,
                "name": tx.seal(holder.name),
                "party": holder.party,
                "share_ppm": str(holder.share_ppm),
            }
        )
    return Record(
        "party_registered",
        {
            "account": account,
            "holders": holders,
            "id": party.id,
            "name": tx.seal(act.name),
            "roles": list(act.roles),
            "state": "active",
            "uscc": tx.seal(act.uscc),
        },
        readers=(party.id,),
    )


def check_holders(holders: Sequence[Holder]) -> None:
    """Refuse parts that are not parts, or pass 100 %; a rest may stay undeclared, but then nothing is paid out."""
    for n, holder in enumerate(holders):
        check_name(f"holders[{n}].name", holder.name)
    if any(h.share_ppm <= 0 for h in holders) or sum(h.share_ppm for h in holders) > 1_000_000:
        raise Unprocessable(
            "party.shares",
            f"shares sum to {sum(h.share_ppm for h in holders)} of 1000000",
            field="holders",
            rule="each share above nothing, together at most 100 % (1000000 ppm)",
            remedy="declare each holder once with its share",
        )


@dataclass(frozen=True, slots=True)
class AgreeOperation(Act):
    """A department lets an operator run its data for a part of each price, in millionths."""

    operator: str
    share_ppm: int


async def agree_operation(tx: Transaction, act: AgreeOperation) -> Record:
    """Keep the operating agreement of the calling department with an operator; a new one replaces the old."""
    tx.caller.require("supplier")
    require_active(await tx.find(Party, tx.caller.party, "party"))
    operator = await tx.find(Party, act.operator, "party")
    if "operator" not in operator.roles:
        raise Unprocessable(
            "agreement.operator",
            f"{act.operator} is no operator",
            field="operator",
            remedy="name a party with the role operator",
        )
    if not 0 <= act.share_ppm < 1_000_000:
        raise Unprocessable(
            "agreement.share",
            f"{act.share_ppm} of 1000000",
            field="share_ppm",
            rule="0 to 999999 millionths of the price net of tax",
            remedy="agree on a part below the whole",
        )
    agreement = await tx.session.get(OperatingAgreement, (tx.caller.party, operator.id))
    if agreement is None:
        await tx.insert(
            OperatingAgreement(
                supplier=tx.caller.party, operator=operator.id, share_ppm=act.share_ppm, log_index=tx.index
            )
        )
    else:
        agreement.share_ppm, agreement.log_index = act.share_ppm, tx.index
    return Record(
        "operation_agreed",
        {
            "operator": operator.id,
            "share_ppm": str(act.share_ppm),
            "state": "agreed",
            "supplier": tx.caller.party,
        },
        readers=(operator.id,),
    )


@dataclass(frozen=True, slots=True)
class InvitePerson(Act):
    """Give a person of a party a one-time link; the caller makes the token and sends its SHA-256."""

    party: str
    name: str
    token_digest: bytes


async def invite_person(tx: Transaction, act: InvitePerson) -> Record:
    """An administrator invites anybody, others their own colleagues; the link lives 72 hours."""
    if act.party != tx.caller.party:
        tx.caller.require("administrator")
    check_name("name", act.name)
    check_digest("token_digest", act.token_digest)
    party = await tx.find(Party, act.party, "party")
    if await tx.session.get(Invitation, act.token_digest) is not None:
        raise Conflict(
            "invitation.token", "this token is in use", field="token_digest", remedy="draw a fresh token"
        )
    person = await invite(tx, party.id, act.name, act.token_digest)
    return Record(
        "person_invited",
        {
            "id": person.id,
            "name": tx.seal(act.name),
            "party": party.id,
            "state": "invited",
            "token": act.token_digest.hex(),
        },
        readers=(party.id,),
    )


@dataclass(frozen=True, slots=True)
class SetPartyState(Act):
    """Suspend a party, or let it trade again; with the reason, which stays sealed."""

    party: str
    state: str
    reason: str


async def set_party_state(tx: Transaction, act: SetPartyState) -> Record:
    """From this entry of the log on, a suspended party's acts are refused."""
    tx.caller.require("regulator", "administrator")
    if act.state not in ("active", "suspended"):
        raise Unprocessable(
            "party.state", act.state, field="state", rule="active or suspended", remedy="name one of them"
        )
    check_name("reason", act.reason)
    party = await tx.find(Party, act.party, "party")
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


async def related_bidder(tx: Transaction, asset: Asset, party: str) -> str | None:
    """Why `party` may not bid for `asset`: it sells it, runs it, or holds a share of who runs it."""
    if party == asset.supplier:
        return "the seller of a lot"
    if party == asset.operator:
        return "the operator of the data"
    if asset.operator is not None:
        held = await tx.session.execute(
            select(Shareholding.position).where(
                col(Shareholding.operator) == asset.operator, col(Shareholding.holder_party) == party
            )
        )
        if held.first() is not None:
            return "a shareholder of the operator"
    return None


def require_active(party: Party) -> None:
    """Refuse an act of a party that is suspended, or stopped itself."""
    if party.stopped:
        raise Forbidden(
            "party.stopped",
            "this party has stopped its trading",
            field="party",
            rule="a party that pulled its kill switch, or missed its heartbeat, does nothing until it resumes",
            remedy="resume with a key that may manage, once you know why it stopped",
        )
    if party.state != "active":
        raise Forbidden(
            "party.suspended",
            "this party is suspended",
            field="party",
            rule="a suspended party does not trade",
            remedy="ask the regulator for the reason",
        )


async def admit(tx: Transaction, uscc: str, name: str, roles: Sequence[str], account: str | None) -> Party:
    party = Party(
        id=tx.identifier("org"),
        uscc=uscc,
        name=name,
        roles=list(roles),
        state="active",
        stopped=False,
        account=account,
        log_index=tx.index,
    )
    await tx.insert(party)
    return party


async def invite(tx: Transaction, party: str, name: str, token_digest: bytes) -> Person:
    person = Person(id=tx.identifier("per"), party=party, name=name, state="active", log_index=tx.index)
    await tx.insert(
        person, Invitation(token_digest=token_digest, person=person.id, expires_us=tx.now_us + INVITATION_US)
    )
    return person


def check_name(field: str, text: str) -> None:
    if not text.strip() or len(text) > 200 or not text.isprintable():
        raise Unprocessable(
            "text.form",
            f"{field} has {len(text)} characters",
            field=field,
            rule="1 to 200 printable characters",
            remedy="shorten it, or remove control characters",
        )


def check_digest(field: str, digest: bytes) -> None:
    if len(digest) != 32:
        raise Unprocessable(
            "digest.form",
            f"{len(digest)} bytes",
            field=field,
            rule="a SHA-256 digest",
            remedy="send 64 hex digits",
        )
