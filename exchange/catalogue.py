"""Room: search and browse what the market has. Reads only, and shows each caller what that caller may see.

Before registration an asset is its department's own affair: its supplier, its operator and the regulator see
it, and to everyone else it is exactly as if it did not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import or_
from sqlmodel import col, select

from exchange.acts import Caller
from exchange.errors import NotFound
from exchange.tables import (
    Appraisal,
    Asset,
    Certificate,
    DepartmentAuthorization,
    Party,
    Release,
    RiskAssessment,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlmodel.sql.expression import SelectOfScalar

PAGE_LIMIT: Final = 100

P = TypeVar("P", RiskAssessment, DepartmentAuthorization, Release, Appraisal)


def may_see(asset: Asset, caller: Caller | None) -> bool:
    """Whether the asset exists for the caller; None is somebody without a key."""
    if asset.state == "registered":
        return True
    return caller is not None and (
        "regulator" in caller.roles or caller.party in (asset.supplier, asset.operator)
    )


def parties_of(asset: Asset) -> tuple[str, ...]:
    """Whose asset it is: its supplier, and who runs it."""
    return (asset.supplier,) if asset.operator is None else (asset.supplier, asset.operator)


def may_see_inside(asset: Asset, caller: Caller | None) -> bool:
    """Whether the caller may read the asset's assessments, authorizations and measurements."""
    return caller is not None and (
        "regulator" in caller.roles or caller.party in (asset.supplier, asset.operator)
    )


async def visible_asset(session: AsyncSession, asset: str, caller: Caller | None) -> Asset:
    """The asset, or the same NotFound whether it does not exist or is not the caller's to see."""
    row = await session.get(Asset, asset)
    if row is None or not may_see(row, caller):
        raise NotFound("asset.unknown", f"no asset {asset!r}", field="asset", remedy="check the identifier")
    return row


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for: every member that is given narrows. `after` is the last identifier of the page before."""

    text: str | None = None
    kind: str | None = None
    theme: str | None = None
    state: str | None = None
    supplier: str | None = None
    after: str | None = None
    limit: int = 20


async def search_assets(session: AsyncSession, search: Search, caller: Caller | None) -> list[dict[str, Any]]:
    """A page of the assets that the caller may see, by identifier, at most 100.

    `text` is looked for in title and summary without regard to case, and in the registration code.
    """
    query = _visible(select(Asset), caller)
    if search.text:
        pattern = f"%{_literal(search.text)}%"
        query = query.where(
            or_(
                col(Asset.title).ilike(pattern, escape="\\"),
                col(Asset.summary).ilike(pattern, escape="\\"),
                col(Asset.code) == search.text,
            )
        )
    for column, wanted in (
        (Asset.kind, search.kind),
        (Asset.theme, search.theme),
        (Asset.state, search.state),
        (Asset.supplier, search.supplier),
    ):
        if wanted is not None:
            query = query.where(col(column) == wanted)
    if search.after is not None:
        query = query.where(col(Asset.id) > search.after)
    query = query.order_by(col(Asset.id)).limit(max(1, min(search.limit, PAGE_LIMIT)))
    return [asset_view(row) for row in await session.scalars(query)]


def _visible(query: SelectOfScalar[Asset], caller: Caller | None) -> SelectOfScalar[Asset]:
    """`may_see` as SQL."""
    if caller is not None and "regulator" in caller.roles:
        return query
    registered = col(Asset.state) == "registered"
    if caller is None:
        return query.where(registered)
    return query.where(
        or_(registered, col(Asset.supplier) == caller.party, col(Asset.operator) == caller.party)
    )


def _literal(text: str) -> str:
    """`text` with the signs of LIKE made ordinary."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def asset_view(row: Asset) -> dict[str, Any]:
    """The members of an asset that whoever may see it may read."""
    return row.model_dump(exclude={"evidence"})


def certificate_view(row: Certificate, asset: Asset) -> dict[str, Any]:
    """A certificate with what it certifies."""
    return {**row.model_dump(), "grade": asset.grade, "kind": asset.kind, "theme": asset.theme}


async def dossier(session: AsyncSession, asset: str, caller: Caller | None) -> dict[str, Any]:
    """Everything of one asset that the caller may see, oldest paper first.

    The inner papers (`assessments`, `authorizations`, `releases`, `appraisals`) are empty for whoever may not
    read them.
    """
    row = await visible_asset(session, asset, caller)
    supplier = await session.get(Party, row.supplier)
    operator = None if row.operator is None else await session.get(Party, row.operator)
    certified = await session.scalars(select(Certificate).where(Certificate.asset == row.id))
    certificate = certified.first()
    product = await product_of(session, row)
    inside = may_see_inside(row, caller)

    async def papers(table: type[P]) -> list[dict[str, Any]]:
        if not inside:
            return []
        query = select(table).where(col(table.asset) == row.id).order_by(col(table.log_index))
        return [paper.model_dump() for paper in await session.scalars(query)]

    return {
        "asset": asset_view(row),
        "supplier_name": "" if supplier is None else supplier.name,
        "operator_name": None if operator is None else operator.name,
        "certificate": None if certificate is None else certificate_view(certificate, row),
        "product": None
        if product is None
        else product.model_dump(include={"product_digest", "size_bytes", "rows"}),
        "assessments": await papers(RiskAssessment),
        "authorizations": await papers(DepartmentAuthorization),
        "releases": await papers(Release),
        "appraisals": await papers(Appraisal),
    }


async def product_of(session: AsyncSession, asset: Asset) -> Release | None:
    """The accepted release that the asset stands on now, or None where its path has not come that far."""
    index = asset.evidence.get("desensitization")
    if index is None:
        return None
    query = select(Release).where(Release.asset == asset.id, Release.log_index == int(index))
    return (await session.scalars(query)).first()


async def certificate(session: AsyncSession, code: str) -> dict[str, Any]:
    """The registration certificate under a public code, for everyone."""
    row = await session.get(Certificate, code)
    asset = None if row is None else await session.get(Asset, row.asset)
    if row is None or asset is None:
        raise NotFound(
            "certificate.unknown", f"no certificate {code!r}", field="code", remedy="check the code"
        )
    return certificate_view(row, asset)
