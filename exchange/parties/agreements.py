"""Operating agreements with their seven parts: who runs whose data, for what, until when, and what an end touches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Transaction, plain
from exchange.errors import Conflict, Unprocessable
from exchange.parties.relations import holders_of
from exchange.parties.states import require_active
from exchange.rulebook import Rulebook, day_of, in_force
from exchange.rulebook.days import DAY_US, first_us
from exchange.tables import Asset, Listing, OperatingAgreement, Party
from ledger.entries import canonical

PARTS = ("scope", "products", "duties", "security", "evaluation", "exit")
"""Six of the seven parts, in words; the seventh is the term."""

PART_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class AgreeOperation(Act):
    """A department lets an operator run its data for a part of each price, in millionths, on these terms."""

    operator: str
    share_ppm: int
    parts: Mapping[str, str]
    starts_us: int
    ends_us: int


async def agree_operation(tx: Transaction, act: AgreeOperation) -> Record:
    """Keep the operating agreement of the calling department with an operator; a new one replaces the old.

    Refused where a part is missing or the term is longer than the rulebook allows, and under a model that knows no
    operators, or only those that the state owns to a share.
    """
    tx.caller.require("supplier")
    rules = await in_force(tx)
    require_active(await tx.find(Party, tx.caller.party, "party"))
    operator = await tx.find(Party, act.operator, "party")
    if "operator" not in operator.roles:
        raise Unprocessable(
            "agreement.operator",
            f"{act.operator} is no operator",
            field="operator",
            remedy="name a party with the role operator",
        )
    require_active(operator)
    if not 0 <= act.share_ppm < 1_000_000:
        raise Unprocessable(
            "agreement.share",
            f"{act.share_ppm} of 1000000",
            field="share_ppm",
            rule="0 to 999999 millionths of the price net of tax",
            remedy="agree on a part below the whole",
        )
    check_terms(act, tx.now_us, rules)
    await _require_model(tx, rules, operator.id)
    said = dict(act.parts)
    agreement = await tx.session.get(OperatingAgreement, (tx.caller.party, operator.id))
    if agreement is None:
        await tx.insert(
            OperatingAgreement(
                supplier=tx.caller.party,
                operator=operator.id,
                share_ppm=act.share_ppm,
                starts_us=act.starts_us,
                ends_us=act.ends_us,
                parts=said,
                log_index=tx.index,
            )
        )
    else:
        agreement.share_ppm, agreement.parts, agreement.log_index = act.share_ppm, said, tx.index
        agreement.starts_us, agreement.ends_us = act.starts_us, act.ends_us
    return Record(
        "operation_agreed",
        {
            "ends_us": str(act.ends_us),
            "operator": operator.id,
            "parts": tx.seal(canonical(said).decode()),
            "share_ppm": str(act.share_ppm),
            "starts_us": str(act.starts_us),
            "state": "agreed",
            "supplier": tx.caller.party,
        },
        readers=(operator.id,),
    )


def check_terms(act: AgreeOperation, now_us: int, rules: Rulebook) -> None:
    """Refuse an agreement that lacks one of its seven parts, or whose term the rulebook does not allow. Pure."""
    needed = set(rules.words("agreement.parts")) - {"term"}
    for name in PARTS:
        text = act.parts.get(name, "")
        if (name in needed and not text.strip()) or len(text) > PART_CHARACTERS:
            raise Unprocessable(
                "agreement.parts",
                f"{name} has {len(text)} characters",
                field=f"parts.{name}",
                rule=f"1 to {PART_CHARACTERS} characters on each of {', '.join(PARTS)} ({rules.cite('agreement.parts')})",
                remedy="complete the agreement",
            )
    if set(act.parts) - set(PARTS):
        raise Unprocessable(
            "agreement.parts",
            f"no part {', '.join(sorted(set(act.parts) - set(PARTS)))}",
            field="parts",
            rule=f"the parts are {', '.join(PARTS)} and the term ({rules.cite('agreement.parts')})",
            remedy="say it under one of them",
        )
    longest = rules.value("agreement.term_at_most_days")
    if not act.starts_us < act.ends_us <= act.starts_us + longest * DAY_US or act.ends_us <= now_us:
        raise Unprocessable(
            "agreement.term",
            f"from {act.starts_us} to {act.ends_us}",
            field="ends_us",
            rule=f"a term that is to come, of at most {longest} days ({rules.cite('agreement.term')})",
            remedy="shorten the term",
        )


async def _require_model(tx: Transaction, rules: Rulebook, operator: str) -> None:
    require_operators(rules)
    least = rules.value("model.operator_state_share_at_least_ppm")
    held = sum(row.share_ppm for row in await holders_of(tx.session, operator, tx.now_us) if row.state_owned)
    if held < least:
        raise Conflict(
            "operator.state_share",
            f"the state holds {held / 10_000:g} % of the operator",
            field="operator",
            rule=f"at least {least / 10_000:g} % ({rules.cite('operator.state_share')})",
            remedy="agree with a state operator, or declare its holders anew",
        )


def require_operators(rules: Rulebook) -> None:
    """Refuse an operator under a model that has none."""
    if not rules.allows("model.operators_allowed"):
        raise Conflict(
            "operator.model",
            "this market has no operators",
            field="operator",
            rule=f"departments offer their data themselves ({rules.cite('operator.model')})",
            remedy="leave the operator out",
        )


async def require_in_force(session: AsyncSession, asset: Asset, now_us: int, rules: Rulebook) -> None:
    """Refuse a new sale of data that is run under an agreement whose term has not begun, or is over."""
    if asset.operator is None:
        return
    agreement = await session.get(OperatingAgreement, (asset.supplier, asset.operator))
    if agreement is None or rules.allows("agreement.expired_may_sell"):
        return
    if not agreement.starts_us <= now_us < agreement.ends_us:
        raise Conflict(
            "agreement.expired",
            f"the operating agreement runs from {agreement.starts_us} to {agreement.ends_us}",
            field="asset",
            rule=f"an agreement that is not in force sells nothing new ({rules.cite('agreement.expired')})",
            remedy="the department agrees anew with the operator",
        )


async def agreements(
    session: AsyncSession, caller: Caller, now_us: int, rules: Rulebook
) -> list[dict[str, Any]]:
    """The agreements of the caller's party (all, for a regulator): their parts, their state, and what an end touches.

    `remind_us` is the first moment of the working day on which to remind of the end.
    """
    mine = (
        true()
        if caller.roles.intersection(("administrator", "regulator"))
        else (col(OperatingAgreement.supplier) == caller.party)
        | (col(OperatingAgreement.operator) == caller.party)
    )
    kept = select(OperatingAgreement).where(mine).order_by(col(OperatingAgreement.log_index).desc())
    run = (
        select(Asset.supplier, Asset.operator, Asset.id, Listing.id)
        .join(
            OperatingAgreement,
            (col(OperatingAgreement.supplier) == col(Asset.supplier))
            & (col(OperatingAgreement.operator) == col(Asset.operator)),
        )
        .outerjoin(Listing, (col(Listing.asset) == col(Asset.id)) & (col(Listing.state) == "open"))
        .where(mine)
        .order_by(col(Asset.id), col(Listing.id))
    )
    touched: dict[tuple[str, str | None], list[tuple[str, str | None]]] = {}
    for supplier, operator, asset, listing in (await session.execute(run)).all():
        touched.setdefault((supplier, operator), []).append((asset, listing))
    return [
        _shown(row, touched.get((row.supplier, row.operator), []), now_us, rules)
        for row in (await session.execute(kept)).scalars()
    ]


def _shown(
    row: OperatingAgreement, touched: list[tuple[str, str | None]], now_us: int, rules: Rulebook
) -> dict[str, Any]:
    last_day = day_of(row.ends_us - 1)
    remind = rules.calendar.add(last_day, -rules.value("agreement.reminded_working_days_before"))
    over = "in_force" if now_us < row.ends_us else "expired"
    shown: dict[str, Any] = plain(
        {
            "supplier": row.supplier,
            "operator": row.operator,
            "share_ppm": row.share_ppm,
            "starts_us": row.starts_us,
            "ends_us": row.ends_us,
            "parts": row.parts,
            "state": "to_come" if now_us < row.starts_us else over,
            "remind_us": first_us(remind),
            "touches": {
                "assets": sorted({asset for asset, _ in touched}),
                "listings": [listing for _, listing in touched if listing is not None],
            },
            "log_index": row.log_index,
        }
    )
    return shown
