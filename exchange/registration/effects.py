"""What comes of an application when all is over, and how a registration ends: conclude, revoke, expire, remind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Record, Scope, Transaction, plain, refusal
from exchange.catalogue import parties_of, visible_asset
from exchange.errors import Conflict, ExchangeError, NotFound, Unprocessable
from exchange.registration import check_text, evidence_of, follow
from exchange.registration.applications import (
    WORDS_CHARACTERS,
    body_of,
    certificate_of,
    grant_of,
    grant_rows,
    grants_of,
    procedure_of,
    refuse_open_lots,
    require_possible,
    told,
)
from exchange.registration.path import Path, code
from exchange.registration.procedure import conclusion_of, months_later_us
from exchange.registration.rights import RIGHTS, Grant
from exchange.rulebook import Rulebook
from exchange.tables import (
    Asset,
    Certificate,
    Listing,
    Party,
    RegistrationApplication,
    RegistrationObjection,
    RightGrant,
)
from exchange.taxonomy import KINDS

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True)
class Conclude(Act):
    """The clock: the notice has ended, and the act takes effect."""

    application: str


async def conclude(tx: Transaction, act: Conclude) -> Record:
    """Let an act take effect when its notice has ended; where it can have none any more that is recorded instead."""
    tx.caller.require("clock")
    rules = await rulebook.in_force(tx)
    row = await tx.find(RegistrationApplication, act.application, "application")
    asset = await tx.find(Asset, row.asset, "asset")
    procedure = await procedure_of(tx.session, row)
    procedure.require_due(tx.now_us, rules)
    body = body_of(row, party=row.party)
    try:
        await require_possible(tx, row, asset, rules)
    except ExchangeError as problem:
        record = refusal(conclusion_of(procedure.act), body, problem)
    else:
        record = await _effect(tx, row, asset, rules, body)
    return await told(tx, row, asset, record, "concluded")


async def _effect(
    tx: Transaction, row: RegistrationApplication, asset: Asset, rules: Rulebook, body: Mapping[str, Any]
) -> Record:
    """Do what an application asks for, and say what came of it."""
    match row.act:
        case "initial":
            return Record("asset_registered", {**body, **await _register(tx, row, asset, rules)})
        case "permit":
            grants = {one.id: one for one in await grants_of(tx.session, asset.id)}
            granted = Grant(
                tx.identifier("rgt"),
                grants[row.asked["grant"]].right,
                row.asked["to"],
                row.asked["grant"],
                row.asked["exclusive"],
                int(row.asked["ends_us"]),
            )
            await _grant(tx, asset, granted)
            return Record(
                "registration_concluded", {**body, "right": granted.to_json(), "state": "concluded"}
            )
        case "transfer":
            moved = await tx.find(RightGrant, row.asked["grant"], "right")
            moved.holder, moved.log_index = row.asked["to"], tx.index
            right = grant_of(moved).to_json()
            return Record("registration_concluded", {**body, "right": right, "state": "concluded"})
    certificate = await certificate_of(tx, asset)
    certificate.version += 1
    certificate.log_index = tx.index
    effect: dict[str, Any] = {"code": certificate.code, "version": str(certificate.version)}
    match row.act:
        case "change" | "correct":
            asset.title = asset.title if row.title is None else row.title
            asset.summary = asset.summary if row.summary is None else row.summary
            effect |= {"summary": tx.seal(asset.summary), "title": tx.seal(asset.title)}
        case "renew":
            assert certificate.ends_us is not None  # or it could not be renewed
            months = rules.value("registration.certificate_at_most_months")
            certificate.ends_us = months_later_us(certificate.ends_us - 1, months)
            for root in await grant_rows(tx.session, asset.id):
                if root.parent is None and root.state == "active":
                    root.ends_us = certificate.ends_us
            effect |= {"ends_us": str(certificate.ends_us)}
        case _:
            effect |= {"ended": await end_registration(tx, asset, certificate, "cancelled")}
            return Record("registration_cancelled", {**body, **effect, "state": "cancelled"})
    return Record("registration_concluded", {**body, **effect, "state": "concluded"})


async def _register(
    tx: Transaction, row: RegistrationApplication, asset: Asset, rules: Rulebook
) -> dict[str, Any]:
    """Give the asset its public code, the certificate that names the four log entries of its path, and its rights.

    Each evidence is the entry's index and the RFC 9162 hash of its public leaf, which anyone can compare with the log's
    tiles; so are the steps of the procedure.
    """
    path = Path.of(asset.state, asset.evidence)
    evidence = {str(step): await evidence_of(tx, index) for step, index in path.evidence.items()}
    steps = {step: await evidence_of(tx, int(index)) for step, index in sorted(row.steps.items())}
    letters = KINDS[asset.kind].letters
    public_code = code(tx.now_us, letters, tx.chance(4))
    while await tx.session.get(Certificate, public_code) is not None:
        public_code = code(tx.now_us, letters, tx.chance(4))
    ends_us = months_later_us(tx.now_us, rules.value("registration.certificate_at_most_months"))
    grants = [
        Grant(tx.identifier("rgt"), right, row.party, None, False, ends_us)
        for right in RIGHTS
        if right in row.asked["rights"]
    ]
    for grant in grants:
        await _grant(tx, asset, grant)
    await tx.insert(
        Certificate(
            code=public_code,
            asset=asset.id,
            evidence=evidence,
            application=row.id,
            registrar=row.registrar,
            steps=steps,
            version=1,
            state="valid",
            starts_us=tx.now_us,
            ends_us=ends_us,
            registered_index=tx.index,
            log_index=tx.index,
        )
    )
    asset.code = public_code
    supplier = await tx.find(Party, asset.supplier, "party")
    return {
        "code": public_code,
        "ends_us": str(ends_us),
        "evidence": evidence,
        "grade": asset.grade,
        "holder": tx.seal(supplier.name),
        "kind": asset.kind,
        "opening": asset.opening,
        "registrar": row.registrar,
        "rights": [grant.to_json() for grant in grants],
        "starts_us": str(tx.now_us),
        "state": "registered",
        "steps": steps,
        "theme": asset.theme,
        "title": tx.seal(asset.title),
    }


async def _grant(tx: Transaction, asset: Asset, grant: Grant) -> None:
    await tx.insert(
        RightGrant(
            id=grant.id,
            asset=asset.id,
            right=grant.right,
            holder=grant.holder,
            parent=grant.parent,
            exclusive=grant.exclusive,
            starts_us=tx.now_us,
            ends_us=grant.ends_us,
            state="active",
            log_index=tx.index,
        )
    )


async def end_registration(
    tx: Transaction, asset: Asset, certificate: Certificate, state: Literal["expired", "cancelled", "revoked"]
) -> list[str]:
    """End certificate, rights and offers at a fixed price, which are returned; licences that were bought stand."""
    certificate.state, certificate.log_index = state, tx.index
    for right in await grant_rows(tx.session, asset.id):
        if right.state == "active":
            right.state, right.log_index = "ended", tx.index
    offers = await tx.session.execute(
        select(Listing)
        .where(col(Listing.asset) == asset.id, col(Listing.mode) == "fixed", col(Listing.state) == "open")
        .order_by(col(Listing.log_index))
    )
    ended = []
    for offer in offers.scalars():
        offer.state = "ended"
        ended.append(offer.id)
    return ended


@dataclass(frozen=True, slots=True)
class Revoke(Act):
    """The registrar or the regulator takes a registration back."""

    scope: ClassVar[Scope] = "register"
    asset: str
    ground: str
    reason: str


async def revoke(tx: Transaction, act: Revoke) -> Record:
    """End a registration against its holder's will, on one of the grounds of the rulebook, with the reason."""
    tx.caller.require("registrar", "regulator")
    rules = await rulebook.in_force(tx)
    asset = await visible_asset(tx.session, act.asset, tx.caller)
    if asset.state != "registered":
        raise NotFound(
            "registration.unknown",
            f"the asset is {asset.state}",
            field="asset",
            remedy="none needed: what is revoked is a registration that stands",
        )
    grounds = rules.words("registration.revocation_grounds")
    if act.ground not in grounds:
        raise Unprocessable(
            "revocation.ground",
            f"no ground {act.ground!r}",
            field="ground",
            rule=f"one of {', '.join(grounds)} ({rules.cite('revocation.ground')})",
            remedy="name the ground",
        )
    check_text("reason", act.reason, 1, WORDS_CHARACTERS)
    await refuse_open_lots(tx, asset.id)
    certificate = await certificate_of(tx, asset)
    body = {
        "asset": asset.id,
        "code": certificate.code,
        "ended": await end_registration(tx, asset, certificate, "revoked"),
        "ground": act.ground,
        "reason_given": tx.seal(act.reason),
        "state": "revoked",
    }
    return follow(asset, Record("registration_revoked", body), tx.index)


@dataclass(frozen=True, slots=True)
class Expire(Act):
    """The clock: a certificate's term is over."""

    code: str


async def expire(tx: Transaction, act: Expire) -> Record:
    """End a registration whose certificate nobody renewed. An auction that is open goes on to its close first."""
    tx.caller.require("clock")
    await rulebook.in_force(tx)
    certificate = await tx.find(Certificate, act.code, "certificate")
    if certificate.state != "valid" or certificate.ends_us is None or tx.now_us < certificate.ends_us:
        raise Conflict("certificate.stands", "the certificate's term is not over", field="code")
    asset = await tx.find(Asset, certificate.asset, "asset")
    await refuse_open_lots(tx, asset.id)
    body = {
        "asset": asset.id,
        "code": certificate.code,
        "ended": await end_registration(tx, asset, certificate, "expired"),
        "state": "expired",
    }
    return follow(asset, Record("registration_expired", body), tx.index)


@dataclass(frozen=True, slots=True)
class Remind(Act):
    """The clock: a certificate ends soon."""

    code: str


async def remind(tx: Transaction, act: Remind) -> Record:
    """Tell the parties of an asset that its certificate ends, once for each end; they hear it as an entry of the log."""
    tx.caller.require("clock")
    rules = await rulebook.in_force(tx)
    certificate = await tx.find(Certificate, act.code, "certificate")
    if not _to_remind(certificate, tx.now_us, rules):
        raise Conflict("certificate.reminded", "nobody is to be reminded now", field="code")
    asset = await tx.find(Asset, certificate.asset, "asset")
    certificate.reminded_us = certificate.ends_us
    body = {
        "asset": asset.id,
        "code": certificate.code,
        "ends_us": plain(certificate.ends_us),
        "state": "reminded",
    }
    return Record("registration_reminded", body, readers=parties_of(asset))


def _to_remind(certificate: Certificate, now_us: int, rules: Rulebook) -> bool:
    if certificate.state != "valid" or certificate.ends_us in (None, certificate.reminded_us):
        return False
    assert certificate.ends_us is not None
    last = rulebook.day_of(certificate.ends_us - 1)
    day = rules.calendar.add(last, -rules.value("registration.reminded_working_days_before"))
    return rulebook.day_of(now_us) >= day


@dataclass(frozen=True, slots=True)
class Due:
    """What the clock has to do: applications to conclude, certificates to remind of and to end."""

    concluding: tuple[str, ...]
    reminding: tuple[str, ...]
    expiring: tuple[str, ...]


DUE_AT_ONCE: Final = 100
"""So many of each a turn: the head is not held for a year's ends at once."""


async def due(session: AsyncSession, now_us: int) -> Due:
    """What is due at a moment."""
    open_objection = (
        select(RegistrationObjection.id)
        .where(
            col(RegistrationObjection.application) == col(RegistrationApplication.id),
            col(RegistrationObjection.state) == "open",
        )
        .exists()
    )
    rules = await rulebook.at(session, now_us)
    query = select(RegistrationApplication.id).where(
        col(RegistrationApplication.state) == "noticed", col(RegistrationApplication.ends_us) <= now_us
    )
    if not rules.allows("registration.objection_releases_code"):
        query = query.where(~open_objection)
    concluding = await session.execute(
        query.order_by(col(RegistrationApplication.ends_us), col(RegistrationApplication.id)).limit(
            DUE_AT_ONCE
        )
    )
    # Working days before the end are at most three times as many days, and a holiday week or two.
    days = 3 * rules.value("registration.reminded_working_days_before") + 14
    ending = (
        await session.execute(
            select(Certificate)
            .where(
                col(Certificate.state) == "valid", col(Certificate.ends_us) <= now_us + days * 86_400_000_000
            )
            .order_by(col(Certificate.ends_us), col(Certificate.code))
        )
    ).scalars()
    certificates = list(ending)
    return Due(
        tuple(concluding.scalars()),
        tuple(one.code for one in certificates if _to_remind(one, now_us, rules))[:DUE_AT_ONCE],
        tuple(one.code for one in certificates if one.ends_us is not None and one.ends_us <= now_us)[
            :DUE_AT_ONCE
        ],
    )
