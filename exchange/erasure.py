"""Erasure by a regulator's order: what opens a commitment goes, and the log that holds the commitment still verifies.

A name, document or free text stands in the log as SHA-256(salt ‖ text) alone. Without the salt nobody can try
texts against it, so that with the opening the datum is gone; auditors then report the commitment as not judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel

from exchange.acts import Act, Record, Transaction
from exchange.database import driver
from exchange.errors import Conflict
from exchange.parties import check_name
from exchange.tables import (
    Acceptance,
    ApiKey,
    Appraisal,
    Approval,
    Asset,
    BankMovement,
    BankStatement,
    Complaint,
    ComplianceAssessment,
    Contribution,
    Correction,
    Deletion,
    Inquiry,
    ListingQuestion,
    NoticeComment,
    Opening,
    OperatingAgreement,
    Party,
    PartyDocument,
    Person,
    Rating,
    RegistrationApplication,
    RegistrationObjection,
    Release,
    RiskAssessment,
    RulebookProposal,
    Shareholding,
    SigningKey,
    UseCase,
    Webhook,
)
from ledger import log
from ledger.entries import WHOLE_LIMIT, parse_body

ERASED = "erased:"


@dataclass(frozen=True, slots=True)
class EraseOpening(Act):
    """Erase what opens a commitment, on this ground."""

    commitment: str
    ground: str


async def erase_opening(tx: Transaction, act: EraseOpening) -> Record:
    """Forget salt and text of a commitment, and the text where a row repeats it; the entry says that and why.

    NotFound for an unknown commitment, Conflict for one that was erased, or whose entry is not acknowledged yet.
    A bidder's row goes on naming its party, because its deposit and the award rest on it. The same text under
    another commitment, such as a party's name in a voucher, is erased by an order of its own.
    """
    tx.caller.require("regulator")
    check_name("ground", act.ground)
    opening = await tx.find(Opening, act.commitment, "commitment")
    if opening.value is None:
        raise Conflict(
            "commitment.erased",
            "this commitment's opening was erased before",
            field="commitment",
            rule="an opening is erased once",
            remedy="none needed: there is nothing left of it",
        )
    connection = await driver(tx.session)
    if opening.log_index >= (await log.read_head(connection)).edge.size:
        raise Conflict(
            "commitment.not_acknowledged",
            "the entry of this commitment is not acknowledged yet",
            field="commitment",
            rule="an opening is erased after its entry is in the log",
            remedy="wait for the answer to that act, then order the erasure",
        )
    body = parse_body(await log.whole_body(connection, opening.log_index), WHOLE_LIMIT)
    await forget(tx.session, act.commitment, body["kind"], body["act"], opening.log_index)
    opening.salt = opening.value = None
    return Record(
        "opening_erased",
        {
            "commitment": act.commitment,
            "entry": str(opening.log_index),
            "ground": tx.seal(act.ground),
            "state": "erased",
        },
    )


async def forget(
    session: AsyncSession, commitment: str, kind: str, act: Mapping[str, Any], index: int
) -> None:
    """Forget an erased text where a row repeats it; `kind`, `act` and `index` are of the entry that sealed it."""
    for sealed, table, key, column in _copies(kind, act, index):
        row = await session.get(table, key) if sealed == commitment else None
        replaced = (  # by a later one, in its own words
            isinstance(row, OperatingAgreement) or (isinstance(row, Rating) and column == "text")
        ) and row.log_index != index
        if row is not None and not replaced:
            setattr(row, column, _left(getattr(row, column), commitment))


def stand_in(commitment: str) -> str:
    """What stands where the text of an erased commitment stood: one of its own for each, because some are unique."""
    return f"{ERASED}{commitment[:16]}"


def _left(repeated: str | list[Any] | dict[str, Any], commitment: str) -> str | list[Any] | dict[str, Any]:
    """What stays in place of an erased text: of an appraisal the streams that it counts, so that none counts twice."""
    match repeated:
        case str():
            return stand_in(commitment)
        case list():
            return []
        case dict():
            return {"streams": repeated["streams"]} if "streams" in repeated else {}


def _holders(
    index: int, party: str, holders: list[dict[str, Any]]
) -> Iterator[tuple[str, type[SQLModel], Any, str]]:
    for position, holder in enumerate(holders):
        yield holder["name"], Shareholding, (party, index, position), "holder"


def _copies(kind: str, act: Mapping[str, Any], index: int) -> Iterator[tuple[str, type[SQLModel], Any, str]]:
    """Where tables repeat what an entry sealed: commitment, table, key of the row, column."""
    match kind:
        case "market_opened":
            yield act["name"], Party, act["administrator"], "name"
            yield act["name"], Party, act["administrator"], "looks"
            yield act["uscc"], Party, act["administrator"], "uscc"
            yield act["person_name"], Person, act["person"], "name"
        case "rule_change_proposed":
            yield act["reason"], RulebookProposal, act["id"], "reason"
        case "party_registered":
            yield act["name"], Party, act["id"], "name"
            yield act["name"], Party, act["id"], "looks"
            yield act["uscc"], Party, act["id"], "uscc"
            yield from _holders(index, act["id"], act["holders"])
        case "holders_declared":
            yield from _holders(index, act["party"], act["holders"])
        case "document_reviewed":
            yield act["reason"], PartyDocument, (act["party"], act["digest"]), "reason"
        case "question_asked":
            yield act["text"], ListingQuestion, act["id"], "text"
        case "question_answered":
            yield act["answer"], ListingQuestion, act["question"], "answer"
        case "contributions_filed":
            yield act["measure"], Contribution, act["contributions"], "measure"
        case "correction_asked":
            yield act["text"], Correction, act["id"], "text"
        case "correction_answered":
            yield act["answer"], Correction, act["correction"], "answer"
        case "delivery_objected":
            yield act["text"], Acceptance, act["licence"], "text"
        case "deletion_declared":
            yield act["person"], Deletion, act["licence"], "person"
            yield act["statement"], Deletion, act["licence"], "statement"
        case "use_case_proposed":
            for member in ("title", "text", "url"):
                yield act[member], UseCase, act["use_case"], member
        case "use_case_decided" | "use_case_withdrawn":
            yield act["reason_given"], UseCase, act["use_case"], "reason"
        case "inquiry_asked":
            yield act["question"], Inquiry, act["inquiry"], "question"
        case "inquiry_answered":
            yield act["answer"], Inquiry, act["inquiry"], "answer"
        case "asset_rated":
            yield act["text"], Rating, act["rating"], "text"
        case "rating_replied":
            yield act["reply"], Rating, act["rating"], "reply"
        case "complaint_filed":
            yield act["text"], Complaint, act["complaint"], "text"
            if act["contact"] is not None:
                yield act["contact"], Complaint, act["complaint"], "contact"
        case "complaint_answered":
            yield act["answer"], Complaint, act["complaint"], "answer"
        case "delivery_mediated":
            yield act["reason_given"], Acceptance, act["licence"], "reason"
        case "operation_agreed":
            yield act["parts"], OperatingAgreement, (act["supplier"], act["operator"]), "parts"
        case "person_invited":
            yield act["name"], Person, act["id"], "name"
        case "key_added" | "key_rotated":
            yield act["label"], ApiKey, bytes.fromhex(act["key"]), "label"
        case "signing_key_added":
            yield act["label"], SigningKey, act["id"], "label"
        case "topped_up" if act.get("payee") and act["state"] != "refused":
            yield act["payee"], BankMovement, act["bank_reference"], "payee"
        case "alarm_resolved" if act["state"] != "refused":
            yield act["why"], BankStatement, act["statement"], "resolution"
        case "webhook_added":
            yield act["url"], Webhook, act["id"], "url"
        case "asset_declared":
            yield act["title"], Asset, act["asset"], "title"
            yield act["summary"], Asset, act["asset"], "summary"
            if act.get("opening_reason"):
                yield act["opening_reason"], Asset, act["asset"], "opening_reason"
        case "release_authorized" if act["state"] == "returned":
            yield act["reason_given"], Approval, act["approval"], "reason"
        case "risk_assessed":
            yield act["policy"], RiskAssessment, act["assessment"], "policy"
            yield act["report"], RiskAssessment, act["assessment"], "report"
        case "product_released":
            yield act["certificate"], Release, act["release"], "certificate"
            yield act["measurement"], Release, act["release"], "measurement"
            if "all_failures" in act:
                yield act["all_failures"], Release, act["release"], "failures"
        case "registration_applied":
            for member, column in (("title", "title"), ("summary", "summary"), ("reason_given", "reason")):
                yield act[member], RegistrationApplication, act["application"], column
        case "registration_accepted" | "registration_reviewed" if act["state"] in ("returned", "rejected"):
            yield act["reason_given"], RegistrationApplication, act["application"], "said"
        case "registration_withdrawn":
            yield act["reason_given"], RegistrationApplication, act["application"], "said"
        case "registration_concluded" if "title" in act:
            yield act["title"], Asset, act["asset"], "title"
            yield act["summary"], Asset, act["asset"], "summary"
        case "compliance_assessed" if act["state"] != "refused":
            yield act["summary"], ComplianceAssessment, act["engagement"], "summary"
        case "notice_commented":
            yield act["text"], NoticeComment, act["comment"], "text"
        case "objection_filed":
            yield act["reason_given"], RegistrationObjection, act["objection"], "reason"
        case "objection_decided" if act["state"] != "refused":
            yield act["answer"], RegistrationObjection, act["objection"], "answer"
        case "asset_appraised":
            yield act["report"], Appraisal, act["appraisal"], "report"
