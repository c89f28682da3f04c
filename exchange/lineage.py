"""Room: what an asset was made of, and which edition came after it; a derived asset is graded no lower than its parents,
and opened no wider.

Basic information yields secondary information across departments (DOMAIN S5). An edition carries on an asset of the same
department with newer data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy.orm import aliased
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Scope, Transaction, plain
from exchange.catalogue import may_see, visible_asset
from exchange.errors import Conflict, Forbidden, Unprocessable
from exchange.registration import own_asset
from exchange.tables import Asset, AssetParent

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from exchange.desensitization.grade import Grade, Opening

RELATIONS = ("edition", "derived")
PARENTS_LIMIT = 64


@dataclass(frozen=True, slots=True)
class DeclareLineage(Act):
    """An asset is the next `edition` of another, or `derived` from it."""

    scope: ClassVar[Scope] = "register"
    asset: str
    parent: str
    relation: str


async def declare_lineage(tx: Transaction, act: DeclareLineage) -> Record:
    """Keep a parent of an asset that is not assessed yet, so that its assessment inherits the parent's grade.

    A parent is registered, so there is no circle. It has one next edition, of the same department and kind.
    """
    tx.caller.require("supplier")
    asset = await own_asset(tx, act.asset)
    if act.relation not in RELATIONS:
        raise Unprocessable(
            "lineage.relation",
            act.relation,
            field="relation",
            rule="edition or derived",
            remedy="name one of them",
        )
    parent = await visible_asset(tx.session, act.parent, tx.caller)
    if parent.state != "registered":
        raise Conflict(
            "lineage.parent",
            f"{parent.id} is {parent.state}",
            field="parent",
            rule="what others are made of is registered",
            remedy="register the parent first",
        )
    if asset.state != "declared":
        raise Conflict(
            "lineage.late",
            f"{asset.id} is {asset.state}",
            field="asset",
            rule="the parents are known before the risk assessment, which inherits their highest grade",
            remedy="declare the asset anew, and its parents next",
        )
    known = list(await tx.session.scalars(select(AssetParent).where(col(AssetParent.child) == asset.id)))
    if parent.id in {row.parent for row in known} or len(known) == PARENTS_LIMIT:
        raise Conflict(
            "lineage.declared",
            f"{asset.id} has {len(known)} parents",
            field="parent",
            rule=f"each parent once, at most {PARENTS_LIMIT}",
            remedy="nothing is to be done",
        )
    if act.relation == "edition":
        await _require_next(tx, asset, parent, known)
    await tx.insert(AssetParent(child=asset.id, parent=parent.id, relation=act.relation, log_index=tx.index))
    return Record(
        "lineage_declared",
        {"asset": asset.id, "parent": parent.id, "relation": act.relation, "state": "declared"},
        readers=(parent.supplier,),
    )


async def _require_next(tx: Transaction, asset: Asset, parent: Asset, known: list[AssetParent]) -> None:
    if (parent.supplier, parent.kind) != (asset.supplier, asset.kind):
        raise Forbidden(
            "lineage.edition",
            f"{parent.id} is another department's, or of another kind",
            field="parent",
            rule="an edition carries on data of its own department and kind",
            remedy="declare it as derived",
        )
    taken = select(AssetParent).where(
        col(AssetParent.parent) == parent.id, col(AssetParent.relation) == "edition"
    )
    if (await tx.session.scalars(taken)).first() is not None or any(
        row.relation == "edition" for row in known
    ):
        raise Conflict(
            "lineage.edition_taken",
            f"{parent.id} has a next edition, or {asset.id} one before it",
            field="parent",
            rule="editions follow each other in one line",
            remedy="carry on the newest edition",
        )


async def parent_grades(session: AsyncSession, asset: str) -> list[Grade]:
    """The grades of an asset's parents; core where one is not known (GB/T 43697: the highest wins)."""
    query = (
        select(col(Asset.grade))
        .join(AssetParent, col(AssetParent.parent) == col(Asset.id))
        .where(col(AssetParent.child) == asset)
    )
    return [grade or "core" for grade in await session.scalars(query)]  # type: ignore[misc]  # a grade of ours


async def parent_openings(session: AsyncSession, asset: str) -> list[Opening]:
    """How far the assets that this one is derived from are opened: what was made of them goes no further.

    An edition is not made of the one before it, and may be opened otherwise.
    """
    query = (
        select(col(Asset.opening))
        .join(AssetParent, col(AssetParent.parent) == col(Asset.id))
        .where(col(AssetParent.child) == asset, col(AssetParent.relation) == "derived")
    )
    return list(await session.scalars(query))


async def lineage(session: AsyncSession, asset: str, caller: Caller | None) -> dict[str, Any]:
    """The parents of an asset, what was made of it as far as the caller may see that, and its newest registered edition."""
    row = await visible_asset(session, asset, caller)
    parent, child = aliased(Asset), aliased(Asset)
    query = (
        select(AssetParent, parent, child)
        .join(parent, col(AssetParent.parent) == parent.id)
        .join(child, col(AssetParent.child) == child.id)
        .where((col(AssetParent.child) == row.id) | (col(AssetParent.parent) == row.id))
        .order_by(col(AssetParent.log_index))
    )
    edges = (await session.execute(query)).all()
    return {
        "asset": row.id,
        "parents": [_shown(edge, above) for edge, above, _ in edges if edge.child == row.id],
        "children": [
            _shown(edge, below)
            for edge, _, below in edges
            if edge.parent == row.id and may_see(below, caller)
        ],
        "newest": await newest_edition(session, row.id),
    }


async def newest_edition(session: AsyncSession, asset: str) -> str:
    """The last registered one in the line of editions that begins with an asset; itself where none came after it."""
    while True:
        query = (
            select(col(AssetParent.child))
            .join(Asset, col(Asset.id) == col(AssetParent.child))
            .where(
                col(AssetParent.parent) == asset,
                col(AssetParent.relation) == "edition",
                col(Asset.state) == "registered",
            )
        )
        following = (await session.scalars(query)).first()
        if following is None:
            return asset
        asset = following


def _shown(edge: AssetParent, asset: Asset) -> dict[str, Any]:
    shown: dict[str, Any] = plain(
        {
            "asset": asset.id,
            "code": asset.code,
            "grade": asset.grade,
            "log_index": edge.log_index,
            "relation": edge.relation,
            "title": asset.title,
        }
    )
    return shown
