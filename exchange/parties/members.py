"""The people who act for a party: invited by a one-time link, deputies until their term is over, gone when they leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Transaction, plain
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.parties.duties import is_divided, require_still_held
from exchange.parties.forms import check_digest
from exchange.parties.names import check_own_name
from exchange.rulebook import in_force
from exchange.rulebook.days import DAY_US
from exchange.tables import ApiKey, Invitation, Market, Party, Person, SigningKey

INVITATION_US = 72 * 3_600_000_000


@dataclass(frozen=True, slots=True)
class InvitePerson(Act):
    """Give a person of a party a one-time link; the caller makes the token and sends its SHA-256.

    `deputy_of` names the person of that party whom this one stands in for, until `until_us`.
    """

    party: str
    name: str
    token_digest: bytes
    deputy_of: str | None = None
    until_us: int | None = None


async def invite_person(tx: Transaction, act: InvitePerson) -> Record:
    """An administrator invites anybody, others their own colleagues; the link lives 72 hours.

    Whom a deputy stands in for counts as the deputy's own hand: neither authorizes what the other assessed.
    """
    if act.party != tx.caller.party or "administrator" in tx.caller.roles:
        tx.caller.require("administrator", duties=("security",))
    check_own_name("name", act.name)
    check_digest("token_digest", act.token_digest)
    party = await tx.find(Party, act.party, "party")
    await _check_deputy(tx, act)
    if await tx.session.get(Invitation, act.token_digest) is not None:
        raise Conflict(
            "invitation.token", "this token is in use", field="token_digest", remedy="draw a fresh token"
        )
    person = await invite(
        tx, party.id, act.name, act.token_digest, deputy_of=act.deputy_of, until_us=act.until_us
    )
    return Record(
        "person_invited",
        {
            "deputy_of": act.deputy_of,
            "id": person.id,
            "name": tx.seal(act.name),
            "party": party.id,
            "state": "invited",
            "token": act.token_digest.hex(),
            "until_us": plain(act.until_us),
        },
        readers=(party.id,),
    )


async def _check_deputy(tx: Transaction, act: InvitePerson) -> None:
    if act.deputy_of is None and act.until_us is None:
        return
    rules = await in_force(tx)
    days = rules.value("parties.deputy_at_most_days")
    if (
        act.deputy_of is None
        or act.until_us is None
        or not tx.now_us < act.until_us <= tx.now_us + days * DAY_US
    ):
        raise Unprocessable(
            "person.deputy_term",
            f"a deputy of {act.deputy_of} until {act.until_us}",
            field="deputy_of" if act.deputy_of is None else "until_us",
            rule=f"a deputy stands in for somebody, for at most {days} days ({rules.cite('person.deputy_term')})",
            remedy="name both the person and a day to come",
        )
    stood_for = await tx.session.get(Person, act.deputy_of)
    if stood_for is None or stood_for.party != act.party or stood_for.state != "active":
        raise _unknown(act.deputy_of, "deputy_of")


async def invite(
    tx: Transaction,
    party: str,
    name: str,
    token_digest: bytes,
    *,
    deputy_of: str | None = None,
    until_us: int | None = None,
) -> Person:
    """Keep a person and the link by which a first key comes."""
    person = Person(
        id=tx.identifier("per"),
        party=party,
        name=name,
        state="active",
        deputy_of=deputy_of,
        until_us=until_us,
        invited_by=tx.caller.person,
        duty="business" if await is_divided(tx, party) else None,
        log_index=tx.index,
    )
    await tx.insert(
        person, Invitation(token_digest=token_digest, person=person.id, expires_us=tx.now_us + INVITATION_US)
    )
    return person


async def vouched(session: AsyncSession, person: str) -> str:
    """The person by whom the venue, or somebody else of outside, vouched for this one.

    Up the invitations within a party: whoever is invited by a colleague may be that colleague's second account.
    """
    row = await session.get(Person, person)
    while row is not None and row.invited_by is not None:
        inviter = await session.get(Person, row.invited_by)
        if inviter is None or inviter.party != row.party:
            break
        row = inviter
    return person if row is None else row.id


@dataclass(frozen=True, slots=True)
class EndMembership(Act):
    """Somebody leaves a party."""

    person: str


async def end_membership(tx: Transaction, act: EndMembership) -> Record:
    """From this entry on the person acts for nobody: every key, signing key and open link ends with it (a colleague, or an
    administrator). What the person did stays, under the same identifier.
    """
    person = await tx.session.get(Person, act.person)
    if person is None or (person.party != tx.caller.party and "administrator" not in tx.caller.roles):
        raise _unknown(act.person, "person")
    if "administrator" in tx.caller.roles:
        tx.caller.require("administrator", duties=("security",))
    if person.state != "active":
        raise Conflict("person.left", f"{person.id} has left", field="person", remedy="nothing is to be done")
    if await _is_the_last(tx, person):
        raise Conflict(
            "person.last",
            f"{person.id} is the last administrator",
            field="person",
            rule="somebody can always let others in",
            remedy="invite another person to the venue first, and let that person enrol",
        )
    await require_still_held(tx, person)
    person.state = "left"
    keys = await tx.session.execute(
        select(ApiKey)
        .where(col(ApiKey.person) == person.id, col(ApiKey.revoked_us).is_(None))
        .order_by(col(ApiKey.digest))
    )
    signing = await tx.session.execute(
        select(SigningKey)
        .where(col(SigningKey.person) == person.id, col(SigningKey.revoked_us).is_(None))
        .order_by(col(SigningKey.id))
    )
    links = await tx.session.execute(
        select(Invitation).where(col(Invitation.person) == person.id, col(Invitation.used_us).is_(None))
    )
    ended, ended_signing = list(keys.scalars()), list(signing.scalars())
    for key in (*ended, *ended_signing):
        key.revoked_us = tx.now_us
    for link in links.scalars():
        link.expires_us = min(link.expires_us, tx.now_us)
    (await tx.find(Market, 1, "market")).keys_version += 1
    return Record(
        "person_left",
        {
            "keys": [key.digest.hex() for key in ended],
            "party": person.party,
            "person": person.id,
            "signing_keys": [key.id for key in ended_signing],
            "state": "left",
        },
        readers=(person.party,),
    )


async def _is_the_last(tx: Transaction, person: Person) -> bool:
    """Whether nobody else who holds a key may admit and invite when this person has left."""
    others = await tx.session.execute(
        select(Person.id)
        .join(Party, col(Party.id) == col(Person.party))
        .join(ApiKey, col(ApiKey.person) == col(Person.id))
        .where(
            col(Party.roles).contains(["administrator"]),
            col(Person.id) != person.id,
            col(Person.state) == "active",
            col(Person.until_us).is_(None),
            col(ApiKey.revoked_us).is_(None),
        )
        .limit(1)
    )
    party = await tx.find(Party, person.party, "party")
    return "administrator" in party.roles and others.first() is None


async def members(session: AsyncSession, caller: Caller, now_us: int) -> list[dict[str, Any]]:
    """The people of the caller's party, the newest first: who acts, who is a deputy of whom and until when, who has left."""
    return await members_of(session, caller.party, now_us)


async def members_of(session: AsyncSession, party: str, now_us: int) -> list[dict[str, Any]]:
    """The people of a party, for whoever may see them."""
    query = (
        select(Person)
        .where(col(Person.party) == party)
        .order_by(col(Person.log_index).desc(), col(Person.id))
    )
    return [
        plain(
            {
                "deputy_of": person.deputy_of,
                "duty": person.duty,
                "name": person.name,
                "person": person.id,
                "state": "ended"
                if person.state == "active" and person.until_us is not None and person.until_us <= now_us
                else person.state,
                "until_us": person.until_us,
            }
        )
        for person in (await session.execute(query)).scalars()
    ]


def _unknown(person: str, field: str) -> NotFound:
    return NotFound("person.unknown", f"no person {person!r}", field=field, remedy="check the identifier")
