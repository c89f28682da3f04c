"""Room: what a buyer finds wrong in the data it licensed, and the department's answer to it, by the working-day clock.

What is found outside is written back (DOMAIN S6): of an accepted correction the department names the asset that has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import true
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Scope, Transaction, plain
from exchange.catalogue import PAGE_LIMIT, product_of
from exchange.delivery import own_licence
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.rulebook import in_force
from exchange.tables import Asset, Correction
from exchange.vault import check_digest

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

TEXT_CHARACTERS = 2000
STATES = {"accept": "accepted", "refuse": "declined"}  # `refused` is an act that took no effect


@dataclass(frozen=True, slots=True)
class AskCorrection(Act):
    """A buyer says what is wrong in what it licensed; `evidence` is the SHA-256 of what shows it."""

    scope: ClassVar[Scope] = "trade"
    licence: str
    text: str
    column: str | None = None
    evidence: str | None = None


async def ask_correction(tx: Transaction, act: AskCorrection) -> Record:
    """Put it before the department, which answers until `due_us`; also after the licence's term, for who had it."""
    licence = await own_licence(tx.session, act.licence, tx.caller)
    asset = await tx.find(Asset, licence.asset, "asset")
    _check_text("text", act.text)
    product = await product_of(tx.session, asset)
    if act.column is not None and product is not None:
        names = [str(column["name"]) for column in product.measurement.get("columns", ())]
        if act.column not in names:
            raise Unprocessable(
                "correction.column",
                f"the product has no column {act.column!r}",
                field="column",
                rule=f"one of {', '.join(names)}, or none where it is about the whole",
                remedy="name the column as the data dictionary does",
            )
    if act.evidence is not None:
        check_digest(act.evidence, field="evidence")
    rules = await in_force(tx)
    days = rules.value("correction.answered_within_working_days")
    correction = Correction(
        id=tx.identifier("cor"),
        asset=asset.id,
        licence=licence.id,
        buyer=licence.buyer,
        supplier=asset.supplier,
        operator=asset.operator,
        column_name=act.column,
        text=act.text,
        evidence=act.evidence,
        state="open",
        asked_us=tx.now_us,
        due_us=rules.calendar.deadline(tx.now_us, days).ends_us,
        log_index=tx.index,
    )
    await tx.insert(correction)
    return Record(
        "correction_asked",
        plain(
            {
                "asset": asset.id,
                "column": act.column,
                "due_us": correction.due_us,
                "evidence": act.evidence,
                "id": correction.id,
                "licence": licence.id,
                "state": "open",
                "text": tx.seal(act.text),
            }
        ),
        readers=_near(correction),
    )


@dataclass(frozen=True, slots=True)
class AnswerCorrection(Act):
    """The department accepts what was found, and will mend it, or says why not."""

    scope: ClassVar[Scope] = "register"
    correction: str
    decision: str
    answer: str


async def answer_correction(tx: Transaction, act: AnswerCorrection) -> Record:
    """Answer a correction of an asset of one's own, once. Late is still answered, and shows."""
    row = await _of_own_data(tx, act.correction)
    if act.decision not in STATES:
        raise Unprocessable(
            "correction.decision",
            act.decision,
            field="decision",
            rule="accept or refuse",
            remedy="name one of them",
        )
    _check_text("answer", act.answer)
    if row.state != "open":
        raise Conflict(
            "correction.answered",
            f"it was {row.state}",
            field="correction",
            remedy="read the answer that was given",
        )
    row.state, row.answer, row.answered_us = STATES[act.decision], act.answer, tx.now_us
    return Record(
        "correction_answered",
        plain(
            {
                "answer": tx.seal(act.answer),
                "asset": row.asset,
                "correction": row.id,
                "late": tx.now_us >= row.due_us,
                "state": row.state,
            }
        ),
        readers=_near(row),
    )


@dataclass(frozen=True, slots=True)
class MendCorrection(Act):
    """The department names the asset in whose data an accepted correction is made."""

    scope: ClassVar[Scope] = "register"
    correction: str
    asset: str


async def mend_correction(tx: Transaction, act: MendCorrection) -> Record:
    """Close an accepted correction by a registered asset of one's own: the same, or the one that came after it."""
    row = await _of_own_data(tx, act.correction)
    if row.state != "accepted":
        raise Conflict(
            "correction.not_accepted",
            f"it is {row.state}",
            field="correction",
            rule="what was accepted, and not yet made, is made",
            remedy="accept it first, or read where it was made",
        )
    asset = await tx.session.get(Asset, act.asset)
    if asset is None or asset.supplier != tx.caller.party:
        raise NotFound(
            "asset.unknown", f"no asset {act.asset!r} of yours", field="asset", remedy="check the identifier"
        )
    if asset.state != "registered":
        raise Conflict(
            "correction.not_registered",
            f"{asset.id} is {asset.state}",
            field="asset",
            rule="buyers are told of data that they can get",
            remedy="register the asset first",
        )
    row.state, row.mended_by = "mended", asset.id
    return Record(
        "correction_mended",
        {"asset": row.asset, "correction": row.id, "mended_by": asset.id, "state": "mended"},
        readers=_near(row),
    )


async def _of_own_data(tx: Transaction, correction: str) -> Correction:
    row = await tx.session.get(Correction, correction)
    if row is None or row.supplier != tx.caller.party:
        raise NotFound(
            "correction.unknown",
            f"no correction {correction!r} of your data",
            field="correction",
            remedy="check the identifier",
        )
    return row


async def waiting(session: AsyncSession, caller: Caller, now_us: int) -> list[dict[str, Any]]:
    """What waits for the answer of the caller's department, the first due in front; at most a page."""
    query = (
        select(Correction)
        .where(col(Correction.supplier) == caller.party, col(Correction.state) == "open")
        .order_by(col(Correction.due_us), col(Correction.log_index))
        .limit(PAGE_LIMIT)
    )
    return [_shown(row, now_us) for row in await session.scalars(query)]


async def corrections_of(
    session: AsyncSession, caller: Caller, now_us: int, *, after: int = -1, limit: int = PAGE_LIMIT
) -> list[dict[str, Any]]:
    """Corrections from behind entry `after`, oldest first: those that the caller's party asked for, and those of its data;
    all of them for a regulator. An open one is `overdue` from `due_us` on.
    """
    party = caller.party
    mine = (
        true()
        if "regulator" in caller.roles
        else (col(Correction.buyer) == party)
        | (col(Correction.supplier) == party)
        | (col(Correction.operator) == party)
    )
    query = (
        select(Correction)
        .where(mine, col(Correction.log_index) > after)
        .order_by(col(Correction.log_index))
        .limit(limit)
    )
    return [_shown(row, now_us) for row in await session.scalars(query)]


def _shown(row: Correction, now_us: int) -> dict[str, Any]:
    shown: dict[str, Any] = plain(
        {
            "answer": row.answer,
            "answered_us": row.answered_us,
            "asked_us": row.asked_us,
            "asset": row.asset,
            "column": row.column_name,
            "due_us": row.due_us,
            "evidence": row.evidence,
            "id": row.id,
            "licence": row.licence,
            "log_index": row.log_index,
            "mended_by": row.mended_by,
            "overdue": row.state == "open" and now_us >= row.due_us,
            "state": row.state,
            "text": row.text,
        }
    )
    return shown


def _near(row: Correction) -> tuple[str, ...]:
    """Who reads of it: the buyer, the department, and who runs its data."""
    return tuple(dict.fromkeys(each for each in (row.buyer, row.supplier, row.operator) if each is not None))


def _check_text(field: str, text: str) -> None:
    if not text.strip() or len(text) > TEXT_CHARACTERS:
        raise Unprocessable(
            "correction.text",
            f"{field} has {len(text)} characters",
            field=field,
            rule=f"1 to {TEXT_CHARACTERS} characters",
            remedy="say what is wrong, or why, in a few sentences",
        )
