"""What independent providers say of an asset's compliance: engaged by its department, filed with a term, counted at the review.

A provider that is related to the department or its operator is refused on the record; an assessment that has ended counts for
nothing, and one that finds the asset not compliant keeps it from its public notice while it stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from sqlalchemy import or_
from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Caller, Record, Scope, Transaction, plain, refusal
from exchange.catalogue import parties_of
from exchange.errors import Conflict, ExchangeError, NotFound, Unprocessable
from exchange.parties import require_active
from exchange.parties.relations import REMEDY, Conflicted, relations
from exchange.registration import check_text, own_asset
from exchange.registration.procedure import months_later_us
from exchange.rulebook import Rulebook
from exchange.tables import Asset, ComplianceAssessment, Party
from exchange.vault import check_digest

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

CONCLUSIONS: Final = ("compliant", "conditional", "not_compliant")
SUMMARY_CHARACTERS: Final = 2000


@dataclass(frozen=True, slots=True)
class Assessed:
    """What a provider found, until when; `index` is the entry that says so."""

    provider: str
    conclusion: str
    ends_us: int
    index: int


def objection(found: Iterable[Assessed], now_us: int, rules: Rulebook) -> ExchangeError | None:
    """Why an asset's compliance keeps it from its notice; None where it does not. Pure.

    Of each provider the newest word counts, while its term lasts.
    """
    newest: dict[str, Assessed] = {}
    for one in sorted(found, key=lambda one: one.index):
        newest[one.provider] = one
    standing = [one for one in newest.values() if now_us < one.ends_us]
    if any(one.conclusion == "not_compliant" for one in standing):
        return Conflict(
            "compliance.negative",
            "an assessment that stands finds the asset not compliant",
            field="asset",
            rule="what a provider finds not compliant does not pass until it says otherwise, or its word has ended",
            remedy="mend what it found, and have it assessed again",
        )
    if not standing and rules.allows("registration.compliance_required"):
        return Conflict(
            "compliance.missing",
            "no assessment of its compliance stands",
            field="asset",
            rule=f"an independent provider assesses it first ({rules.cite('compliance.missing')})",
            remedy="engage a provider",
        )
    return None


@dataclass(frozen=True, slots=True)
class EngageProvider(Act):
    """A department asks a service provider to assess an asset."""

    scope: ClassVar[Scope] = "register"
    asset: str
    provider: str


@dataclass(frozen=True, slots=True)
class FileCompliance(Act):
    """The provider's finding: `report_digest` is the SHA-256 of its report, which stays with the two of them."""

    scope: ClassVar[Scope] = "register"
    engagement: str
    conclusion: Literal["compliant", "conditional", "not_compliant"]
    report_digest: str
    summary: str
    ends_us: int


async def engage_provider(tx: Transaction, act: EngageProvider) -> Record:
    """Engage a provider for the caller's own asset; one that is not independent of it is refused, on the record."""
    tx.caller.require("supplier")
    asset = await own_asset(tx, act.asset)
    rules = await rulebook.in_force(tx)
    provider = await tx.session.get(Party, act.provider)
    if provider is None or "service_provider" not in provider.roles or provider.state != "active":
        raise Unprocessable(
            "compliance.provider",
            f"{act.provider!r} is no active service provider",
            field="provider",
            rule="compliance is assessed by a party with the role service_provider",
            remedy="name one",
        )
    identifier = tx.identifier("cmp")
    body = {"asset": asset.id, "engagement": identifier, "provider": provider.id}
    if (problem := await _dependent(tx, asset, provider.id, rules)) is not None:
        return refusal("compliance_engaged", body, problem)
    await tx.insert(
        ComplianceAssessment(
            id=identifier,
            asset=asset.id,
            provider=provider.id,
            state="engaged",
            log_index=tx.index,
        )
    )
    readers = (*parties_of(asset), provider.id)
    return Record("compliance_engaged", {**body, "state": "engaged"}, readers=readers)


async def file_compliance(tx: Transaction, act: FileCompliance) -> Record:
    """Keep what an engaged provider found. Whether it is independent is asked again: relations change."""
    tx.caller.require("service_provider")
    require_active(await tx.find(Party, tx.caller.party, "party"))
    rules = await rulebook.in_force(tx)
    row = await tx.session.get(ComplianceAssessment, act.engagement)
    if row is None or row.provider != tx.caller.party:
        raise NotFound(
            "engagement.unknown",
            f"no engagement {act.engagement!r}",
            field="engagement",
            remedy="check the identifier",
        )
    if row.state != "engaged":
        raise Conflict(
            "compliance.filed",
            "the assessment is filed",
            field="engagement",
            rule="an engagement ends with one assessment",
            remedy="be engaged again",
        )
    check_digest(act.report_digest, field="report_digest")
    check_text("summary", act.summary, 1, SUMMARY_CHARACTERS)
    months = rules.value("registration.compliance_at_most_months")
    if not tx.now_us < act.ends_us <= months_later_us(tx.now_us, months):
        raise Unprocessable(
            "compliance.term",
            f"until {act.ends_us}",
            field="ends_us",
            rule=f"an assessment stands for at most {months} months ({rules.cite('compliance.term')})",
            remedy="shorten its term",
        )
    asset = await tx.find(Asset, row.asset, "asset")
    body = {
        "asset": asset.id,
        "conclusion": act.conclusion,
        "ends_us": plain(act.ends_us),
        "engagement": row.id,
        "provider": row.provider,
        "report_digest": act.report_digest,
        "summary": tx.seal(act.summary),
    }
    if (problem := await _dependent(tx, asset, row.provider, rules)) is not None:
        return refusal("compliance_assessed", body, problem)
    row.state, row.assessor, row.conclusion = "filed", tx.caller.person, act.conclusion
    row.report_digest, row.summary, row.ends_us = act.report_digest, act.summary, act.ends_us
    row.log_index = tx.index
    return Record("compliance_assessed", {**body, "state": "filed"}, readers=parties_of(asset))


async def _dependent(tx: Transaction, asset: Asset, provider: str, rules: Rulebook) -> ExchangeError | None:
    """Why a provider is not independent of an asset, with the way that is the reason."""
    if rules.allows("registration.related_may_assess_compliance"):
        return None
    found = await relations(tx.session, tx.now_us, rules)
    for root, office in ((asset.supplier, "the department"), (asset.operator, "its operator")):
        way = None if root is None else found.path(root, provider)
        if root is not None and way is not None:
            related = Conflicted(root, office, way)
            return Unprocessable(
                "compliance.related",
                related.why("assess compliance"),
                field="provider",
                rule=f"who assesses is independent of whom it assesses ({rules.cite('compliance.related')})",
                remedy=REMEDY,
            )
    return None


async def refuse_not_compliant(tx: Transaction, asset: str, rules: Rulebook) -> None:
    """Raise where what providers say of an asset keeps it from its notice."""
    rows = await _filed(tx.session, asset)
    problem = objection(
        (Assessed(row.provider, row.conclusion or "", row.ends_us or 0, row.log_index) for row in rows),
        tx.now_us,
        rules,
    )
    if problem is not None:
        raise problem


async def _filed(session: AsyncSession, asset: str) -> list[ComplianceAssessment]:
    query = select(ComplianceAssessment).where(
        col(ComplianceAssessment.asset) == asset, col(ComplianceAssessment.state) == "filed"
    )
    return list((await session.execute(query.order_by(col(ComplianceAssessment.log_index)))).scalars())


async def compliance_of(session: AsyncSession, caller: Caller) -> list[dict[str, Any]]:
    """The engagements and assessments that concern the caller: as provider, as the asset's department or operator."""
    query = (
        select(ComplianceAssessment)
        .join(Asset, col(Asset.id) == col(ComplianceAssessment.asset))
        .order_by(col(ComplianceAssessment.log_index).desc())
    )
    if not caller.roles & {"registrar", "regulator"}:
        query = query.where(
            or_(
                col(ComplianceAssessment.provider) == caller.party,
                col(Asset.supplier) == caller.party,
                col(Asset.operator) == caller.party,
            )
        )
    return [plain(row.model_dump()) for row in (await session.execute(query)).scalars()]


async def shown(session: AsyncSession, asset: str) -> list[dict[str, Any]]:
    """What a certificate tells everybody of the assessments of its asset: by whom, what, until when."""
    query = (
        select(ComplianceAssessment, Party.name)
        .join(Party, col(Party.id) == col(ComplianceAssessment.provider))
        .where(col(ComplianceAssessment.asset) == asset, col(ComplianceAssessment.state) == "filed")
        .order_by(col(ComplianceAssessment.log_index))
    )
    return [
        {
            "conclusion": row.conclusion,
            "ends_us": plain(row.ends_us),
            "provider": row.provider,
            "provider_name": name,
            "report_digest": row.report_digest,
        }
        for row, name in await session.execute(query)
    ]
