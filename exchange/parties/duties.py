"""The venue's duties, apart: system, security and audit are three persons', and the business is the others'.

A market begins with one administrator, who may do everything. Once each of the three duties is somebody's, they are divided
for good: whoever of the venue's has none of them does its business, and nobody ever holds two (GB/T 22239-2019 §8.1.5:
system, audit and security administration by different persons).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import update
from sqlmodel import col, select

from exchange.acts import Act, Record, Transaction
from exchange.errors import Conflict, Forbidden, NotFound, Unprocessable
from exchange.tables import Market, Party, Person

APART: Final = ("system", "security", "audit")
"""Duties that exclude each other: running it, letting people in, and looking over the shoulders of both."""

DUTIES: Final = (*APART, "business")


@dataclass(frozen=True, slots=True)
class AssignDuty(Act):
    """Charge a person of the venue with a duty; `business` takes one of the three away."""

    person: str
    duty: str


async def assign_duty(tx: Transaction, act: AssignDuty) -> Record:
    """Whoever is charged with security charges others, never itself; before the duties are divided any administrator does.

    Conflict for a person who holds another of the three, and where nobody would hold the one that is taken away. With the
    last of the three all others of the venue do its business from this entry on.
    """
    tx.caller.require("administrator", duties=("security",))
    if act.duty not in DUTIES:
        raise Unprocessable(
            "duty.unknown",
            act.duty,
            field="duty",
            rule=f"one of {', '.join(DUTIES)}",
            remedy="name one of them",
        )
    person = await tx.session.get(Person, act.person)
    if person is None or person.party != tx.caller.party or person.state != "active":
        raise NotFound(
            "person.unknown",
            f"no person {act.person!r} of yours",
            field="person",
            remedy="check the identifier",
        )
    if person.id == tx.caller.person:
        raise Forbidden(
            "duty.own",
            "nobody charges itself",
            field="person",
            rule="duties are given by another person",
            remedy="let a colleague charge you",
        )
    if person.duty == act.duty:
        raise Conflict("duty.held", f"{person.id} holds {act.duty}", field="duty", remedy="none needed")
    if person.duty in APART and act.duty in APART:
        raise Conflict(
            "duty.two",
            f"{person.id} holds {person.duty}",
            field="duty",
            rule="system, security and audit are administered by three persons apart",
            remedy="charge somebody else, or take the other duty away first",
        )
    await require_still_held(tx, person)
    divided = await is_divided(tx, person.party)
    person.duty = act.duty
    await tx.session.flush()
    others: list[str] = []
    if not divided and await is_divided(tx, person.party):
        rest = await tx.session.scalars(
            select(Person.id)
            .where(col(Person.party) == person.party, col(Person.duty).is_(None))
            .order_by(col(Person.id))
        )
        others = list(rest)
        await tx.session.execute(update(Person).where(col(Person.id).in_(others)).values(duty="business"))
    (await tx.find(Market, 1, "market")).keys_version += 1
    return Record(
        "duty_assigned",
        {
            "duty": act.duty,
            "others": others,
            "person": person.id,
            "state": "divided" if others or divided else "assigned",
        },
    )


async def is_divided(tx: Transaction, party: str) -> bool:
    """Whether a party is the venue's and each of the three duties is somebody's."""
    held = await tx.session.scalars(
        select(Person.duty)
        .join(Party, col(Party.id) == col(Person.party))
        .where(
            col(Person.party) == party,
            col(Party.roles).contains(["administrator"]),
            col(Person.state) == "active",
            col(Person.duty).in_(APART),
        )
        .distinct()
    )
    return len(list(held)) == len(APART)


async def require_still_held(tx: Transaction, person: Person) -> None:
    """Conflict where a person is the only one with its duty, of the three: somebody else has to hold it before."""
    if person.duty not in APART:
        return
    others = await tx.session.scalars(
        select(Person.id)
        .where(
            col(Person.party) == person.party,
            col(Person.id) != person.id,
            col(Person.state) == "active",
            col(Person.duty) == person.duty,
        )
        .limit(1)
    )
    if others.first() is None:
        raise Conflict(
            "duty.last",
            f"{person.id} is the only one with the duty {person.duty}",
            field="person",
            rule="each of system, security and audit is somebody's",
            remedy="charge another person with it first",
        )
