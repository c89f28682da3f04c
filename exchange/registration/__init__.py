"""Room: assets, the files released for them, and their themes; `applications` has what comes before the registrar.

Every act here walks `path`, the one order; the log entry of each step is its evidence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

import rfc8785

from exchange.acts import Act, Caller, Record, Scope, Transaction, refusal
from exchange.catalogue import may_see_inside, parties_of, visible_asset
from exchange.database import driver
from exchange.desensitization import grade as grading
from exchange.desensitization.judge import Failure, Measurement
from exchange.desensitization.policy import parse
from exchange.errors import Conflict, Forbidden, Malformed, NotFound, TooLarge, Unprocessable
from exchange.parties import require_active
from exchange.parties.agreements import require_operators
from exchange.registration.approvals import end_standing
from exchange.registration.judgement import Authorized
from exchange.registration.opening import Declared, declared
from exchange.registration.path import Path
from exchange.rulebook import in_force
from exchange.tables import (
    Asset,
    DepartmentAuthorization,
    Party,
    Release,
    RiskAssessment,
)
from exchange.taxonomy import KINDS, THEMES
from ledger import log
from ledger.merkle import leaf_hash

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from exchange.desensitization.grade import Grade
    from exchange.rulebook import Rulebook


TITLE_CHARACTERS: Final = 200
SUMMARY_CHARACTERS: Final = 4000
FAILURES_IN_BODY: Final = 24
"""Reasons that a refused release states in the log; all of them are sealed in it, and in the row. Bounds the body."""
DETAIL_CHARACTERS: Final = 600
DOCUMENT_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""One policy, report or certificate: bounds what an act carries under the log head."""


@dataclass(frozen=True, slots=True)
class DeclareAsset(Act):
    """A department says that it has something, which operator, if any, may run it, how far it is to be opened, and how often
    it promises new data.
    """

    scope: ClassVar[Scope] = "register"
    title: str
    summary: str
    kind: str
    operator: str | None
    opening: str | None = None
    opening_reason: str = ""
    purposes: tuple[str, ...] = ()
    qualified: bool = False
    update_days: int | None = None


@dataclass(frozen=True, slots=True)
class ReleaseProduct(Act):
    """A desensitized file arrived; `measurement` and `failures` are what the exchange found, before the gate.

    `measurement` is None where no such file waits: then only a repeated identifier has an answer. What was
    found does not tell one request from another, so that a retry after the file is gone is still a retry.
    """

    scope: ClassVar[Scope] = "register"
    asset: str
    authorization: str
    product_digest: str
    certificate: Mapping[str, Any]
    certificate_digest: str
    measurement: Measurement | None
    failures: Sequence[Failure] = ()

    def digest(self) -> bytes:
        """Tell one request from another, by what the caller sent."""
        parts = (
            "ReleaseProduct",
            self.asset,
            self.authorization,
            self.product_digest,
            self.certificate_digest,
        )
        return hashlib.sha256("\n".join(parts).encode()).digest()


@dataclass(frozen=True, slots=True)
class AssignTheme(Act):
    """The released product joins a theme."""

    scope: ClassVar[Scope] = "register"
    asset: str
    theme: str


def document_text(document: Mapping[str, Any]) -> str:
    """The one spelling of a JSON document (RFC 8785); Malformed where it has none, TooLarge above four MiB."""
    try:
        text = rfc8785.dumps(dict(document))
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise Malformed(
            "document.form",
            f"a document has no canonical form: {error}",
            field="document",
            rule="numbers are decimal strings, text is Unicode (RFC 8785)",
            remedy="send the document as `exchange desensitize` wrote it",
        ) from error
    if len(text) > DOCUMENT_LIMIT_BYTES:
        raise TooLarge(
            "document.too_large",
            f"{len(text)} bytes",
            field="document",
            rule=f"a document has at most {DOCUMENT_LIMIT_BYTES} bytes",
            remedy="use hierarchies of intervals or prefixes instead of long lists of values",
        )
    return text.decode()


def document_digest(document: Mapping[str, Any]) -> str:
    """SHA-256 of the document's one spelling, in hexadecimal."""
    return hashlib.sha256(document_text(document).encode()).hexdigest()


async def own_asset(tx: Transaction, asset: str) -> Asset:
    """The asset, for acts of its own department alone."""
    row = await visible_asset(tx.session, asset, tx.caller)
    refuse_strangers(row, tx.caller.party)
    require_active(await tx.find(Party, tx.caller.party, "party"))
    return row


def refuse_strangers(asset: Asset, party: str) -> None:
    """Forbidden to whom the asset does not belong."""
    if asset.supplier != party:
        raise Forbidden(
            "asset.not_yours",
            "the asset is another department's",
            field="asset",
            rule="only the department that declared an asset leads it to market",
            remedy="ask that department",
        )


def follow(asset: Asset, record: Record, index: int) -> Record:
    """Move the asset's row along the path as a replay of this entry would; its parties may see the entry."""
    path = Path.of(asset.state, asset.evidence).follow(record.kind, record.act, index)
    asset.state, asset.evidence = path.state, path.evidence_row()
    asset.log_index = index
    return replace(record, readers=parties_of(asset))


def judge_declaration(act: DeclareAsset, rules: Rulebook) -> Declared:
    """What is declared of the opening, where the declaration can be taken as far as it goes; Unprocessable or Conflict,
    naming the field, where not. Pure.
    """
    if act.kind not in KINDS:
        raise _unknown("kind", act.kind, KINDS)
    check_text("title", act.title, 1, TITLE_CHARACTERS)
    check_text("summary", act.summary, 0, SUMMARY_CHARACTERS)
    said = declared(act.opening, act.opening_reason, act.purposes, qualified=act.qualified, rules=rules)
    if act.operator is not None:
        require_operators(rules)
    return said


def require_operator(name: str, operator: Party | None) -> None:
    """Refuse a company that is to run an asset and is no active operator."""
    if operator is None or "operator" not in operator.roles or operator.state != "active":
        raise Unprocessable(
            "asset.operator",
            f"{name!r} is no active operator",
            field="operator",
            rule="an asset is run by an operator of the market, or by nobody",
            remedy="name a party that has the role operator, or leave it out",
        )


def declaration(
    act: DeclareAsset, said: Declared, *, asset: str, supplier: str, seal: Callable[[str], str]
) -> dict[str, Any]:
    """What the log says of a declaration; the reason, the summary and the title are sealed, in this order."""
    return {
        "asset": asset,
        "kind": act.kind,
        "opening": said.opening,
        "opening_by_default": act.opening is None,
        "opening_reason": seal(said.reason) if said.reason else None,
        "operator": act.operator,
        "purposes": list(said.purposes),
        "qualified": said.qualified,
        "state": "declared",
        "summary": seal(act.summary),
        "supplier": supplier,
        "title": seal(act.title),
        **({} if act.update_days is None else {"update_days": str(act.update_days)}),
    }


async def declare_asset(tx: Transaction, act: DeclareAsset) -> Record:
    """Begin an asset's path. The title, the summary and the reason are sealed in the log; until it is assessed it is closed."""
    tx.caller.require("supplier")
    require_active(await tx.find(Party, tx.caller.party, "party"))
    said = judge_declaration(act, await in_force(tx))
    if act.operator is not None:
        require_operator(act.operator, await tx.session.get(Party, act.operator))
    identifier = tx.identifier("ast")
    await tx.insert(
        Asset(
            id=identifier,
            supplier=tx.caller.party,
            operator=act.operator,
            title=act.title,
            summary=act.summary,
            kind=act.kind,
            opening_declared=said.opening,
            opening="closed",
            opening_reason=said.reason,
            purposes=list(said.purposes),
            qualified=said.qualified,
            state="declared",
            evidence={},
            update_days=act.update_days,
            log_index=tx.index,
        )
    )
    return Record(
        "asset_declared",
        declaration(act, said, asset=identifier, supplier=tx.caller.party, seal=tx.seal),
        readers=() if act.operator is None else (act.operator,),
    )


async def release_product(tx: Transaction, act: ReleaseProduct) -> Record:
    """Accept the measured file, or refuse it on the record with column, rule and remedy for each failure.

    An acceptance uses the authorization up. A table that turns out to need a higher grade is sent back: the
    asset is only declared again.
    """
    tx.caller.require("supplier")
    asset = await own_asset(tx, act.asset)
    authorization = await _in_force(tx.session, asset, act.authorization)
    if act.measurement is None:
        raise Conflict(
            "release.no_file",
            f"no file {act.product_digest} waits",
            field="product_digest",
            rule="a file is uploaded before it is released",
            remedy=f"PUT it to /v1/uploads/{act.product_digest}",
        )
    identifier = tx.identifier("rel")
    measured = act.measurement.to_json()
    body = {
        "asset": asset.id,
        "authorization": authorization.id,
        "certificate": tx.seal(document_text(act.certificate)),
        "certificate_digest": act.certificate_digest,
        "grade": max(authorization_grade(authorization), act.measurement.grade, key=grading.rank),
        "measured": summary_of(act.measurement),
        "measurement": tx.seal(document_text(measured)),
        "policy_digest": authorization.policy_digest,
        "product_digest": act.product_digest,
        "raw_digest": authorization.raw_digest,
        "release": identifier,
    }
    failures = [failure.to_json() for failure in act.failures]
    await tx.insert(
        Release(
            id=identifier,
            asset=asset.id,
            authorization=authorization.id,
            product_digest=act.product_digest,
            size_bytes=act.measurement.file_bytes,
            rows=act.measurement.rows,
            state="refused" if failures else "accepted",
            certificate=dict(act.certificate),
            measurement=measured,
            failures=failures,
            log_index=tx.index,
        )
    )
    if act.failures:
        body["all_failures"] = tx.seal(document_text({"failures": failures}))
        if any(failure.rule == "grade" for failure in act.failures):
            asset.grade, asset.opening = None, "closed"
            body["voided"] = await end_standing(tx, asset.id)
        return follow(asset, _refused_release(body, authorization, act.failures), tx.index)
    authorization.state = "used"
    asset.grade = str(body["grade"])
    asset.updated_us = tx.now_us
    return follow(asset, Record("product_released", {**body, "state": "released"}), tx.index)


def _refused_release(
    body: Mapping[str, Any], authorization: DepartmentAuthorization, failures: Sequence[Failure]
) -> Record:
    sent_back = any(failure.rule == "grade" for failure in failures)
    if sent_back:
        authorization.state = "withdrawn"
    first = failures[0]
    told = [
        {name: value and value[:DETAIL_CHARACTERS] for name, value in failure.to_json().items()}
        for failure in failures[:FAILURES_IN_BODY]
    ]
    return refusal(
        "product_released",
        {**body, "failures": told, "failures_found": str(len(failures)), "sent_back": sent_back},
        Unprocessable(
            f"release.{first.rule}",
            first.detail[:DETAIL_CHARACTERS],
            field=first.column,
            rule=first.rule,
            remedy=first.remedy[:DETAIL_CHARACTERS],
        ),
    )


def summary_of(measurement: Measurement) -> dict[str, Any]:
    """The figures of a measurement that stand in the log in the clear."""
    risk = measurement.risk
    return {
        "about_persons": measurement.about_persons,
        "columns": str(len(measurement.columns)),
        "engine": measurement.engine,
        "grade": measurement.grade,
        "k": str(risk.k),
        "l": str(min((distinct for _, distinct in risk.l), default=0)),
        "marketer_ppm": str(risk.marketer_ppm),
        "prosecutor_ppm": str(risk.prosecutor_ppm),
        "rows": str(measurement.rows),
        "size_bytes": str(measurement.file_bytes),
    }


def authorization_grade(authorization: DepartmentAuthorization) -> Grade:
    """The grade up to which a release was authorized."""
    for known in grading.GRADES:
        if known == authorization.grade:
            return known
    raise ValueError(f"authorization {authorization.id} has the grade {authorization.grade!r}")


async def authorization_view(
    session: AsyncSession, asset: str, authorization: str, caller: Caller
) -> dict[str, Any]:
    """An authorization as the department's tool takes it, for whoever may see inside the asset."""
    row = await visible_asset(session, asset, caller)
    granted = await session.get(DepartmentAuthorization, authorization)
    if granted is None or granted.asset != row.id or not may_see_inside(row, caller):
        raise _no_authorization(authorization)
    return granted.model_dump()


async def releasable(session: AsyncSession, asset: str, authorization: str, caller: Caller) -> Authorized:
    """What was authorized, where a file may be released under it now: asked before a measurement is spent."""
    row = await visible_asset(session, asset, caller)
    refuse_strangers(row, caller.party)
    granted = await _in_force(session, row, authorization)
    assessment = await session.get(RiskAssessment, granted.assessment)
    assert assessment is not None  # a foreign key
    return Authorized(
        id=granted.id,
        asset=granted.asset,
        raw_digest=granted.raw_digest,
        policy=parse(assessment.policy),
        grade=authorization_grade(granted),
        exempt_from_k=granted.exempt_from_k,
    )


async def _in_force(session: AsyncSession, asset: Asset, authorization: str) -> DepartmentAuthorization:
    path = Path.of(asset.state, asset.evidence)
    path.require("desensitization")
    granted = await session.get(DepartmentAuthorization, authorization)
    if granted is None or granted.asset != asset.id:
        raise _no_authorization(authorization)
    if granted.log_index != path.evidence["authorization"]:
        raise Conflict(
            "release.stale_authorization",
            "another authorization is in force",
            field="authorization",
            rule="a release stands on the asset's newest authorization",
            remedy="name that authorization and apply the policy that it is bound to",
        )
    return granted


def _no_authorization(authorization: str) -> NotFound:
    return NotFound(
        "authorization.unknown",
        f"no authorization {authorization!r}",
        field="authorization",
        remedy="check the identifier",
    )


async def assign_theme(tx: Transaction, act: AssignTheme) -> Record:
    """Put the released product under a theme; until registration the theme may be corrected."""
    tx.caller.require("supplier")
    asset = await own_asset(tx, act.asset)
    if act.theme not in THEMES:
        raise _unknown("theme", act.theme, THEMES)
    Path.of(asset.state, asset.evidence).require("aggregation")
    asset.theme = act.theme
    return follow(
        asset,
        Record("theme_assigned", {"asset": asset.id, "state": "themed", "theme": act.theme}),
        tx.index,
    )


async def evidence_of(tx: Transaction, index: int) -> dict[str, str]:
    """An entry as a certificate names it: its index, and the RFC 9162 hash of its public leaf."""
    connection = await driver(tx.session)
    head = await log.read_head(connection)
    if index >= head.edge.size:
        # The step and this act met in one batch: the step has no signed checkpoint yet.
        raise Conflict(
            "path.not_acknowledged",
            "the last step is not acknowledged yet",
            field="asset",
            rule="a certificate stands on entries that are in the log",
            remedy="wait for the answer to the last step",
        )
    async for entry in log.entries(connection, index, index + 1):
        return {"index": str(index), "leaf_hash": leaf_hash(entry.leaf).hex()}
    raise AssertionError(f"the log ends before {index}")


def check_text(field: str, text: str, low: int, high: int) -> None:
    """Refuse a text that is too short or too long, in characters."""
    if not low <= len(text.strip()) <= high or len(text) > high:
        raise Unprocessable(
            f"asset.{field}",
            f"{len(text)} characters",
            field=field,
            rule=f"{low} to {high} characters",
            remedy="shorten or complete it",
        )


def _unknown(field: str, found: str, known: Mapping[str, object]) -> Unprocessable:
    return Unprocessable(
        f"asset.{field}",
        f"no {field} {found!r}",
        field=field,
        rule=f"one of {', '.join(known)}",
        remedy=f"choose the {field} from the list",
    )
