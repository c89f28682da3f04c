"""Room: what each department's data adds to an asset that was made of several, as it was measured and agreed; by that the
departments share what a sale leaves them.

Measured is what each coalition of departments is worth without the others (the accuracy of the same model on their data, say,
in parts per million); the shares are Shapley's values of that game (`pricing.contribution`), so the entry lets anybody compute
them again. They hold once every department has accepted them, and until the next ones are agreed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Scope, Transaction, plain
from exchange.catalogue import visible_asset
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.parties import require_active
from exchange.tables import Asset, AssetParent, Contribution, Party
from pricing.contribution import Game, dividends, shapley
from pricing.errors import PricingError

DEPARTMENTS_LIMIT = 8
"""A worth for each of 256 coalitions is what one entry can say, and what can be measured."""
MEASURE_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class FileContributions(Act):
    """What was measured: `worths[mask]` is what the departments whose bits are set are worth, bit k for `departments[k]`."""

    scope: ClassVar[Scope] = "register"
    asset: str
    departments: tuple[str, ...]
    worths: tuple[int, ...]
    measure: str
    evidence: str
    """SHA-256 of the report of the measurement, hex."""


def values_of(departments: Sequence[str], worths: Sequence[int]) -> dict[str, Fraction]:
    """What each department's data adds. Pure; GameError names what is wrong with the game, or that nobody added anything."""
    values = shapley(Game(tuple(departments), tuple(worths)))
    dividends(1, values)
    return values


async def file_contributions(tx: Transaction, act: FileContributions) -> Record:
    """Put a measurement before the departments; it replaces one that still waits (the asset's supplier)."""
    tx.caller.require("supplier")
    asset = await tx.find(Asset, act.asset, "asset")
    if asset.supplier != tx.caller.party:
        raise NotFound(
            "asset.unknown", f"no asset {act.asset!r}", field="asset", remedy="check the identifier"
        )
    require_active(await tx.find(Party, tx.caller.party, "party"))
    made_of = await tx.session.execute(
        select(Asset.supplier)
        .join(AssetParent, col(AssetParent.parent) == col(Asset.id))
        .where(col(AssetParent.child) == asset.id, col(AssetParent.relation) == "derived")
    )
    expected = sorted({asset.supplier, *made_of.scalars()})
    if len(expected) < 2 or len(expected) > DEPARTMENTS_LIMIT or sorted(act.departments) != expected:
        raise Unprocessable(
            "contributions.departments",
            f"departments {', '.join(act.departments) or 'none'}",
            field="departments",
            rule="the asset's own department and those of all assets that it is derived from, each once,"
            f" 2 to {DEPARTMENTS_LIMIT}",
            remedy=f"name {', '.join(expected)}",
        )
    if not act.measure.strip() or len(act.measure) > MEASURE_CHARACTERS or len(act.evidence) != 64:
        raise Unprocessable(
            "contributions.measure",
            f"{len(act.measure)} characters, a digest of {len(act.evidence)}",
            field="measure",
            rule=f"how it was measured, in 1 to {MEASURE_CHARACTERS} characters, and the report's SHA-256",
            remedy="say both",
        )
    try:
        values_of(act.departments, act.worths)
    except PricingError as refused:
        raise Unprocessable(
            "contributions.worths",
            str(refused),
            field=refused.field,
            rule=refused.rule,
            remedy=refused.remedy,
        ) from refused
    for row in await _rows(tx.session, asset.id, "proposed"):
        row.state = "replaced"
    row = Contribution(
        id=tx.identifier("con"),
        asset=asset.id,
        departments=list(act.departments),
        worths=list(act.worths),
        measure=act.measure,
        evidence=act.evidence,
        accepted=[asset.supplier],
        state="proposed",
        time_us=tx.now_us,
        log_index=tx.index,
    )
    await tx.insert(row)
    return Record(
        "contributions_filed",
        plain(
            {
                "asset": asset.id,
                "contributions": row.id,
                "departments": list(act.departments),
                "evidence": act.evidence,
                "measure": tx.seal(act.measure),
                "state": "proposed",
                "worths": list(act.worths),
            }
        ),
        readers=expected,
    )


@dataclass(frozen=True, slots=True)
class AnswerContributions(Act):
    """A department accepts what was measured, or rejects it."""

    scope: ClassVar[Scope] = "register"
    contributions: str
    accept: bool


async def answer_contributions(tx: Transaction, act: AnswerContributions) -> Record:
    """Accept or reject; with the last acceptance the shares hold. Conflict where this department has answered, or it is over."""
    row = await tx.session.get(Contribution, act.contributions)
    if row is None or tx.caller.party not in row.departments:
        raise NotFound(
            "contributions.unknown",
            f"no measurement {act.contributions!r} of yours",
            field="contributions",
            remedy="check the identifier",
        )
    if row.state != "proposed" or tx.caller.party in row.accepted:
        raise Conflict(
            "contributions.answered",
            f"this measurement is {row.state}, and accepted by {', '.join(row.accepted)}",
            field="contributions",
            rule="each department answers once, while it is proposed",
            remedy="none: have the asset's supplier file another",
        )
    if act.accept:
        row.accepted = [*row.accepted, tx.caller.party]
        if set(row.accepted) == set(row.departments):
            for before in await _rows(tx.session, row.asset, "agreed"):
                before.state = "replaced"
            await tx.session.flush()  # before the next one stands: there is one at a time
            row.state = "agreed"
    else:
        row.state = "rejected"
    said = "accepted" if act.accept and row.state == "proposed" else row.state
    return Record(
        "contributions_answered",
        {"asset": row.asset, "contributions": row.id, "department": tx.caller.party, "state": said},
        readers=row.departments,
    )


async def agreed(session: AsyncSession, asset: str) -> dict[str, Fraction]:
    """What each department adds to an asset, as all have accepted it; nothing where none was agreed."""
    for row in await _rows(session, asset, "agreed"):
        return values_of(row.departments, row.worths)
    return {}


async def measured(session: AsyncSession, caller: Caller, asset: str) -> list[dict[str, Any]]:
    """What was measured of an asset, newest first, with everybody's share: for its departments, and a regulator."""
    await visible_asset(session, asset, caller)
    query = (
        select(Contribution)
        .where(col(Contribution.asset) == asset)
        .order_by(col(Contribution.log_index).desc())
    )
    found = []
    for row in (await session.execute(query)).scalars():
        if caller.party not in row.departments and "regulator" not in caller.roles:
            continue
        values = values_of(row.departments, row.worths)
        found.append(
            {
                "contributions": row.id,
                "asset": row.asset,
                "departments": row.departments,
                "worths": [str(worth) for worth in row.worths],
                "shares_ppm": {name: str(ppm) for name, ppm in dividends(1_000_000, values).items()},
                "measure": row.measure,
                "evidence": row.evidence,
                "accepted": row.accepted,
                "state": row.state,
                "index": str(row.log_index),
                "time_us": str(row.time_us),
            }
        )
    return found


async def _rows(session: AsyncSession, asset: str, state: str) -> list[Contribution]:
    query = select(Contribution).where(col(Contribution.asset) == asset, col(Contribution.state) == state)
    return list((await session.execute(query)).scalars())


async def accounts_of(session: AsyncSession, departments: Iterable[str]) -> dict[str, str]:
    """The money account of each of these departments."""
    named = sorted(departments)
    if not named:
        return {}
    rows = await session.execute(select(Party.id, Party.account).where(col(Party.id).in_(named)))
    return {party: account for party, account in rows if account is not None}
