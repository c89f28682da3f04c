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
    ApiKey,
    Appraisal,
    Asset,
    Opening,
    Party,
    Person,
    Release,
    RiskAssessment,
    Shareholding,
    SigningKey,
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
    await forget(tx.session, act.commitment, body["kind"], body["act"])
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


async def forget(session: AsyncSession, commitment: str, kind: str, act: Mapping[str, Any]) -> None:
    """Forget an erased text where a row repeats it; `kind` and `act` are of the entry that sealed it."""
    for sealed, table, key, column in _copies(kind, act):
        row = await session.get(table, key) if sealed == commitment else None
        if row is not None:
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


def _copies(kind: str, act: Mapping[str, Any]) -> Iterator[tuple[str, type[SQLModel], Any, str]]:
    """Where tables repeat what an entry sealed: commitment, table, key of the row, column."""
    match kind:
        case "market_opened":
            yield act["name"], Party, act["administrator"], "name"
            yield act["uscc"], Party, act["administrator"], "uscc"
            yield act["person_name"], Person, act["person"], "name"
        case "party_registered":
            yield act["name"], Party, act["id"], "name"
            yield act["uscc"], Party, act["id"], "uscc"
            for position, holder in enumerate(act["holders"]):
                yield holder["name"], Shareholding, (act["id"], position), "holder"
        case "person_invited":
            yield act["name"], Person, act["id"], "name"
        case "key_added" | "key_rotated":
            yield act["label"], ApiKey, bytes.fromhex(act["key"]), "label"
        case "signing_key_added":
            yield act["label"], SigningKey, act["id"], "label"
        case "webhook_added":
            yield act["url"], Webhook, act["id"], "url"
        case "asset_declared":
            yield act["title"], Asset, act["asset"], "title"
            yield act["summary"], Asset, act["asset"], "summary"
        case "risk_assessed":
            yield act["policy"], RiskAssessment, act["assessment"], "policy"
            yield act["report"], RiskAssessment, act["assessment"], "report"
        case "product_released":
            yield act["certificate"], Release, act["release"], "certificate"
            yield act["measurement"], Release, act["release"], "measurement"
            if "all_failures" in act:
                yield act["all_failures"], Release, act["release"], "failures"
        case "asset_appraised":
            yield act["report"], Appraisal, act["appraisal"], "report"
