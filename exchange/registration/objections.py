"""The public notice of an application: comments from anybody, objections, and the registrar's decision on each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Caller, Record, Scope, Transaction, refusal
from exchange.errors import Conflict, Forbidden, NotFound
from exchange.registration import check_text
from exchange.registration.applications import (
    WORDS_CHARACTERS,
    Counter,
    applicant_of,
    body_of,
    case_of,
    procedure_of,
    readers_of,
    told,
)
from exchange.registration.procedure import due_us
from exchange.tables import NoticeComment, RegistrationApplication, RegistrationObjection

if TYPE_CHECKING:
    pass


PUBLIC: Final = Caller("public", "public", frozenset())
"""Somebody without a key, who says something to a public notice."""


def visitors_identifier(application: str, text: str) -> str:
    """Under which a visitor's comment is kept: the same text to the same notice is one comment."""
    return f"comment-{hashlib.sha256(f'{application} {text}'.encode()).hexdigest()[:40]}"


@dataclass(frozen=True, slots=True)
class Comment(Act):
    """Anybody says something to a public notice."""

    scope: ClassVar[Scope] = "register"
    application: str
    text: str


@dataclass(frozen=True, slots=True)
class FileObjection(Act):
    """A party objects to what a public notice announces."""

    scope: ClassVar[Scope] = "register"
    application: str
    reason: str
    counter: Counter | None = None


@dataclass(frozen=True, slots=True)
class DecideObjection(Act):
    """A registrar who did not let the application pass upholds or dismisses an objection, with the answer to it."""

    scope: ClassVar[Scope] = "register"
    objection: str
    decision: Literal["uphold", "dismiss"]
    answer: str


async def comment(tx: Transaction, act: Comment) -> Record:
    """Say something to a public notice while it runs, as a party's person or as anybody."""
    rules = await rulebook.in_force(tx)
    row = await _noticed(tx, act.application)
    (await procedure_of(tx.session, row)).require_running(tx.now_us, rules)
    check_text("text", act.text, 1, WORDS_CHARACTERS)
    most = rules.value("registration.comments_at_most")
    count = await tx.session.execute(
        select(NoticeComment.id).where(col(NoticeComment.application) == row.id).limit(most)
    )
    if len(count.scalars().all()) >= most:
        raise Conflict(
            "notice.comments",
            f"{most} comments were made",
            field="application",
            rule=f"a notice takes {most} comments ({rules.cite('notice.comments')})",
            remedy="object to it as a party, or write to the registrar",
        )
    anybody = tx.caller == PUBLIC
    party, person = (None, None) if anybody else (tx.caller.party, tx.caller.person)
    identifier = tx.identifier("cmt")
    await tx.insert(
        NoticeComment(
            id=identifier,
            application=row.id,
            party=party,
            person=person,
            text=act.text,
            time_us=tx.now_us,
            log_index=tx.index,
        )
    )
    body = {
        "application": row.id,
        "asset": row.asset,
        "comment": identifier,
        "party": party,
        "state": "commented",
        "text": tx.seal(act.text),
    }
    return Record("notice_commented", body, readers=await readers_of(tx, row, None))


async def file_objection(tx: Transaction, act: FileObjection) -> Record:
    """Object to what a notice announces, as a party that stands by its name; the act waits for the decision."""
    applicant = await applicant_of(tx, act.counter)
    rules = await rulebook.in_force(tx)
    row = await _noticed(tx, act.application)
    procedure = await procedure_of(tx.session, row)
    procedure.require_running(tx.now_us, rules)
    check_text("reason", act.reason, 1, WORDS_CHARACTERS)
    if applicant.party == row.party:
        raise Forbidden(
            "objection.own",
            "the application is the caller's own",
            field="application",
            rule="an objection is another party's",
            remedy="withdraw the application",
        )
    identifier = tx.identifier("obj")
    due = due_us(tx.now_us, "registration.objection_within_working_days", rules)
    await tx.insert(
        RegistrationObjection(
            id=identifier,
            application=row.id,
            party=applicant.party,
            person=applicant.person,
            reason=act.reason,
            state="open",
            due_us=due,
            time_us=tx.now_us,
            log_index=tx.index,
        )
    )
    body = {
        **body_of(row, person=applicant.person),
        "counter": None if act.counter is None else {"clerk": tx.caller.person, "scan": act.counter.scan},
        "due_us": str(due),
        "objection": identifier,
        "party": applicant.party,
        "reason_given": tx.seal(act.reason),
        "state": "open",
    }
    readers = (*await readers_of(tx, row, None), applicant.party)
    return Record("objection_filed", body, readers=tuple(dict.fromkeys(readers)))


async def decide_objection(tx: Transaction, act: DecideObjection) -> Record:
    """Dismiss an objection, or uphold it and reject the application; who let it pass is refused, on the record."""
    tx.caller.require("registrar")
    objection = await tx.find(RegistrationObjection, act.objection, "objection")
    row, asset, procedure, rules = await case_of(tx, objection.application)
    procedure.require("noticed")
    check_text("answer", act.answer, 1, WORDS_CHARACTERS)
    body = {
        **body_of(row, decision=act.decision, registrar=tx.caller.party),
        "answer": tx.seal(act.answer),
        "objection": objection.id,
        "party": objection.party,
    }
    problem = procedure.may_handle(tx.caller.party, rules) or procedure.may_decide_objection(
        tx.caller.person, rules
    )
    if problem is not None:
        return refusal("objection_decided", body, problem)
    state = {"uphold": "upheld", "dismiss": "dismissed"}[act.decision]
    record = Record("objection_decided", {**body, "state": state})
    record = await told(tx, row, asset, record, readers=(objection.party,))
    objection.state, objection.decider, objection.answer = state, tx.caller.person, act.answer
    objection.log_index = tx.index
    return record


async def _noticed(tx: Transaction, application: str) -> RegistrationApplication:
    """An application that the public knows of."""
    row = await tx.session.get(RegistrationApplication, application)
    if row is None or "reviewed" not in row.steps or row.ends_us is None:
        raise NotFound(
            "notice.unknown",
            f"no notice {application!r}",
            field="application",
            remedy="GET /v1/notices lists them",
        )
    return row
