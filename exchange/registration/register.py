"""The register as it is read: applications by whom they concern, notices and certificates by everybody. Writes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, or_
from sqlmodel import col, select

from exchange.acts import Caller, plain
from exchange.catalogue import certificate_view, parties_of
from exchange.errors import NotFound
from exchange.registration import compliance
from exchange.registration.applications import grants_of, unknown_application
from exchange.tables import (
    Asset,
    Certificate,
    NoticeComment,
    Opening,
    Party,
    RegistrationApplication,
    RegistrationObjection,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

OFFICES = frozenset({"registrar", "regulator"})
"""Whose office it is to see every application."""

_MEMBERS = (
    "id", "act", "asset", "party", "applicant", "clerk", "scan", "title", "summary", "reason", "asked", "state",
    "registrar", "acceptor", "reviewer", "said", "applied_us", "due_us", "ends_us", "steps", "log_index",
)  # fmt: skip


async def applications(
    session: AsyncSession,
    caller: Caller,
    now_us: int,
    *,
    state: str | None = None,
    asset: str | None = None,
    after: str | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """A page of applications by identifier: all for a registrar or regulator, for others their own party's."""
    query = select(RegistrationApplication).order_by(col(RegistrationApplication.id)).limit(limit)
    if not caller.roles & OFFICES:
        query = query.where(col(RegistrationApplication.party) == caller.party)
    for column, wanted in (
        (RegistrationApplication.state, state),
        (RegistrationApplication.asset, asset),
    ):
        if wanted is not None:
            query = query.where(col(column) == wanted)
    if after is not None:
        query = query.where(col(RegistrationApplication.id) > after)
    rows = (await session.execute(query)).scalars().all()
    return [_application(row, now_us) for row in rows]


async def application(session: AsyncSession, identifier: str, caller: Caller, now_us: int) -> dict[str, Any]:
    """An application with its objections, for its party, the asset's parties, who gets a right by it, and the offices."""
    row = await session.get(RegistrationApplication, identifier)
    asset = None if row is None else await session.get(Asset, row.asset)
    if row is None or asset is None:
        raise unknown_application(identifier)
    concerned = {row.party, *parties_of(asset), row.asked.get("to")}
    if not caller.roles & OFFICES and caller.party not in concerned:
        raise unknown_application(identifier)
    objections = await _objections(session, row.id)
    return {
        **_application(row, now_us),
        "objections": [one.model_dump(exclude={"application"}) for one in objections],
    }


def _application(row: RegistrationApplication, now_us: int) -> dict[str, Any]:
    """`overdue` where a registrar let the time for the next step pass."""
    waits = row.state in ("applied", "accepted")
    overdue = waits and row.due_us is not None and now_us >= row.due_us
    return {**{name: plain(getattr(row, name)) for name in _MEMBERS}, "overdue": overdue}


async def _objections(session: AsyncSession, identifier: str) -> Sequence[RegistrationObjection]:
    query = select(RegistrationObjection).where(col(RegistrationObjection.application) == identifier)
    return (await session.execute(query.order_by(col(RegistrationObjection.time_us)))).scalars().all()


async def notices(session: AsyncSession, after: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
    """The public notices that run or wait for the decision of an objection, by identifier."""
    query = (
        select(RegistrationApplication, Asset, Party.name)
        .join(Asset, col(Asset.id) == col(RegistrationApplication.asset))
        .join(Party, col(Party.id) == col(RegistrationApplication.party))
        .where(col(RegistrationApplication.state) == "noticed")
        .order_by(col(RegistrationApplication.id))
        .limit(limit)
    )
    if after is not None:
        query = query.where(col(RegistrationApplication.id) > after)
    return [_notice(row, asset, name) for row, asset, name in await session.execute(query)]


async def notice(session: AsyncSession, identifier: str) -> dict[str, Any]:
    """One public notice, past ones too, with what everybody said to it and how its objections stand."""
    row = await session.get(RegistrationApplication, identifier)
    asset = None if row is None else await session.get(Asset, row.asset)
    if row is None or asset is None or row.ends_us is None:
        raise NotFound(
            "notice.unknown",
            f"no notice {identifier!r}",
            field="application",
            remedy="GET /v1/notices lists them",
        )
    party = await session.get(Party, row.party)
    comments = await session.execute(
        select(NoticeComment, Party.name)
        .join(Party, col(Party.id) == col(NoticeComment.party), isouter=True)
        .where(col(NoticeComment.application) == row.id)
        .order_by(col(NoticeComment.log_index))
    )
    objections = await _objections(session, row.id)
    return {
        **_notice(row, asset, "" if party is None else party.name),
        "comments": [
            {"by": name, "id": said.id, "text": said.text, "time_us": str(said.time_us)}
            for said, name in comments
        ],
        "objections": [
            {"answer": one.answer, "id": one.id, "state": one.state, "time_us": str(one.time_us)}
            for one in objections
        ],
    }


async def comments(session: AsyncSession, before: int | None, limit: int) -> list[dict[str, Any]]:
    """What everybody said to the notices that run or wait for a decision, the newest first, from before a log index."""
    query = (
        select(NoticeComment, Party.name, Asset.title)
        .join(RegistrationApplication, col(RegistrationApplication.id) == col(NoticeComment.application))
        .join(Asset, col(Asset.id) == col(RegistrationApplication.asset))
        .join(Party, col(Party.id) == col(NoticeComment.party), isouter=True)
        .where(col(RegistrationApplication.state) == "noticed")
        .order_by(col(NoticeComment.log_index).desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(col(NoticeComment.log_index) < before)
    return [
        {
            "application": said.application,
            "by": name,
            "log_index": str(said.log_index),
            "text": said.text,
            "time_us": str(said.time_us),
            "title": title,
        }
        for said, name, title in await session.execute(query)
    ]


async def heard(session: AsyncSession, applications: Sequence[str]) -> dict[str, dict[str, int]]:
    """How many comments and undecided objections each of these has."""
    said = (
        select(col(NoticeComment.application), func.count())
        .where(col(NoticeComment.application).in_(applications))
        .group_by(col(NoticeComment.application))
    )
    undecided = (
        select(col(RegistrationObjection.application), func.count())
        .where(
            col(RegistrationObjection.application).in_(applications),
            col(RegistrationObjection.state) == "open",
        )
        .group_by(col(RegistrationObjection.application))
    )
    counts: dict[str, dict[str, int]] = {one: {"comments": 0, "undecided": 0} for one in applications}
    for name, query in (("comments", said), ("undecided", undecided)):
        for application, count in await session.execute(query):
            counts[application][name] = count
    return counts


def _notice(row: RegistrationApplication, asset: Asset, party: str) -> dict[str, Any]:
    return {
        "act": row.act,
        "application": row.id,
        "applicant_name": party,
        "asked": row.asked,
        "asset": asset.id,
        "code": asset.code,
        "ends_us": plain(row.ends_us),
        "grade": asset.grade,
        "kind": asset.kind,
        "new_summary": row.summary,
        "new_title": row.title,
        "state": row.state,
        "summary": asset.summary,
        "theme": asset.theme,
        "title": asset.title,
    }


async def certificate(session: AsyncSession, code: str) -> dict[str, Any]:
    """The registration certificate under a public code with all that everybody may know of it, for everybody."""
    row = await session.get(Certificate, code)
    asset = None if row is None else await session.get(Asset, row.asset)
    if row is None or asset is None:
        raise NotFound(
            "certificate.unknown", f"no certificate {code!r}", field="code", remedy="check the code"
        )
    grants = await grants_of(session, asset.id)
    ids = {asset.supplier, row.registrar, asset.operator, *(one.holder for one in grants)} - {None}
    named = select(Party.id, Party.name).where(col(Party.id).in_(sorted(str(one) for one in ids)))
    names = {row.id: row.name for row in await session.execute(named)}
    acts = await session.execute(
        select(RegistrationApplication)
        .where(
            col(RegistrationApplication.asset) == asset.id, col(RegistrationApplication.state) == "concluded"
        )
        .order_by(col(RegistrationApplication.log_index))
    )
    return {
        **certificate_view(row, asset),
        "compliance": await compliance.shown(session, asset.id),
        "history": [{"act": one.act, "log_index": str(one.log_index)} for one in acts.scalars()],
        "operator_name": None if asset.operator is None else names[asset.operator],
        "registrar_name": None if row.registrar is None else names[row.registrar],
        "rights": [
            {
                **one.to_json(),
                "active": one.active,
                "holder_name": names[one.holder],
            }
            for one in grants
        ],
        "summary": asset.summary,
        "supplier": asset.supplier,
        "supplier_name": names[asset.supplier],
        "title": asset.title,
    }


async def openings(session: AsyncSession, index: int) -> dict[str, dict[str, str | None]]:
    """What opens the commitments of an entry, by commitment; salt and text null where it was erased.

    For entries that everybody may read, as a certificate's.
    """
    rows = await session.execute(select(Opening).where(col(Opening.log_index) == index))
    return {
        row.commitment: {"salt": None if row.salt is None else row.salt.hex(), "text": row.value}
        for row in rows.scalars()
    }


async def certificates_of(session: AsyncSession, caller: Caller) -> list[dict[str, Any]]:
    """The certificates of the caller's own assets, the first to end first."""
    query = (
        select(Certificate, Asset)
        .join(Asset, col(Asset.id) == col(Certificate.asset))
        .where(or_(col(Asset.supplier) == caller.party, col(Asset.operator) == caller.party))
        .order_by(func.coalesce(col(Certificate.ends_us), 2**62), col(Certificate.code))
    )
    return [certificate_view(row, asset) for row, asset in await session.execute(query)]
