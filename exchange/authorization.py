"""Room: a department's risk assessment of a raw table, and the approvals, one to three, that let it be released.

All are about digests: the raw table and the salt of its digest stay at the department. What is refused here
(core data, biometrics, secrets, an approver who had the file before) is refused on the record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import orjson
from sqlalchemy import Text, cast
from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Caller, Record, Scope, Transaction, plain, refusal
from exchange.catalogue import visible_asset
from exchange.desensitization import grade as grading
from exchange.desensitization import policy as policies
from exchange.desensitization.grade import Declared, Grade, Impact
from exchange.desensitization.scanned import read_report
from exchange.errors import Conflict, ExchangeError, Forbidden, Unprocessable
from exchange.lineage import parent_grades, parent_openings
from exchange.parties import require_active
from exchange.parties.members import vouched
from exchange.parties.relations import REMEDY, Conflicted, conflict, relations
from exchange.registration import document_text, follow, own_asset
from exchange.registration.approvals import end_standing, standing
from exchange.registration.opening import narrowest
from exchange.registration.path import Path
from exchange.rulebook import Rulebook
from exchange.tables import Approval, Asset, DepartmentAuthorization, Party, Person, RiskAssessment
from exchange.vault import check_digest

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

IMPACTS_LIMIT = 18
"""Six objects times three degrees: more would say something twice."""
REASON_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class FileRiskAssessment(Act):
    """What a named assessor files; made by `assessment`, which checks everything that needs no table row."""

    scope: ClassVar[Scope] = "register"
    asset: str
    raw_digest: str
    policy_digest: str
    policy_text: str
    report_text: str
    report_digest: str
    impacts: tuple[Impact, ...]
    declared: Declared
    exempt_from_k: bool
    k: int
    l: int  # noqa: E741  # l-diversity
    grade: Grade
    about_persons: bool
    biometrics: tuple[str, ...]

    def digest(self) -> bytes:
        """Tell one request from another; policy and report count by their digests."""
        parts = (
            "FileRiskAssessment",
            self.asset,
            self.raw_digest,
            self.policy_digest,
            self.report_digest,
            document_text({"declared": plain(self.declared), "impacts": plain(self.impacts)}),
            str(self.exempt_from_k),
        )
        return hashlib.sha256("\n".join(parts).encode()).digest()


@dataclass(frozen=True, slots=True)
class Authorize(Act):
    """Another person approves that the newest assessment's table is released under its policy, or returns the file."""

    scope: ClassVar[Scope] = "register"
    asset: str
    assessment: str
    decision: Literal["approve", "return"] = "approve"
    reason: str = ""


def assessment(
    *,
    asset: str,
    raw_digest: str,
    policy_digest: str,
    policy: Mapping[str, Any],
    report: Mapping[str, Any],
    impacts: Sequence[Impact],
    declared: Declared,
    exempt_from_k: bool,
) -> FileRiskAssessment:
    """Check an assessment against itself. Pure, and before the gate: a policy can be long.

    The policy's digest is made again from the policy, and the grade from the impacts that are declared and
    those that the report shows, the highest wins. Raises PolicyRefused or Unprocessable, naming the field.
    """
    check_digest(raw_digest, field="raw_digest")
    read = policies.parse(policy)
    if read.digest() != policy_digest:
        raise _refused(
            "policy_digest",
            f"the policy hashes to {read.digest()}",
            "the digest is the SHA-256 of the policy's canonical form",
            "send the policy that was scanned with, and the digest that the scan printed",
        )
    scanned = read_report(report)
    if scanned.policy_digest != policy_digest or scanned.raw_digest != raw_digest:
        raise _refused(
            "report",
            "the report is about another table or policy",
            "report, raw digest and policy digest belong together",
            "send what one run of `exchange desensitize scan` wrote",
        )
    if read.exempt_from_k != exempt_from_k:
        raise _refused(
            "exempt_from_k",
            "assessment and policy disagree",
            "the exemption from k is claimed by the policy and by the assessor",
            "say the same in both",
        )
    if not 1 <= len(impacts) <= IMPACTS_LIMIT:
        raise _refused(
            "impacts",
            f"{len(impacts)} impacts",
            f"1 to {IMPACTS_LIMIT} impacts ({grading.SOURCE})",
            "say whom a leak would harm, and how badly",
        )
    for place, impact in enumerate(impacts):
        if not impact.reason.strip() or len(impact.reason) > REASON_CHARACTERS:
            raise _refused(
                f"impacts[{place}].reason",
                f"{len(impact.reason)} characters",
                f"a reason of 1 to {REASON_CHARACTERS} characters",
                "say why",
            )
    report_text = document_text(report)
    measured = grading.measured_impacts(
        rows=scanned.rows, about_persons=scanned.about_persons, marked=scanned.marked
    )
    return FileRiskAssessment(
        asset=asset,
        raw_digest=raw_digest,
        policy_digest=policy_digest,
        policy_text=read.canonical().decode(),
        report_text=report_text,
        report_digest=hashlib.sha256(report_text.encode()).hexdigest(),
        impacts=tuple(impacts),
        declared=declared,
        exempt_from_k=exempt_from_k,
        k=read.k,
        l=read.l,
        grade=grading.grade((*impacts, *measured)),
        about_persons=scanned.about_persons,
        biometrics=scanned.biometrics,
    )


async def file_risk_assessment(tx: Transaction, act: FileRiskAssessment) -> Record:
    """Keep an assessment as the asset's newest, or refuse it on the record. What is derived inherits the highest grade.

    Either way whatever was approved before is void, and the entry names it: an assessor has said something new.
    """
    tx.caller.require("supplier")
    asset = await own_asset(tx, act.asset)
    Path.of(asset.state, asset.evidence).require("risk_assessment")
    inherited = await parent_grades(tx.session, asset.id)
    act = replace(act, grade=max(act.grade, *inherited, key=grading.rank)) if inherited else act
    rules = await rulebook.in_force(tx)
    _require_floors(act, rules)
    widest = grading.opening(act.grade, act.declared, about_persons=act.about_persons)
    above = await parent_openings(tx.session, asset.id)
    opening = narrowest(widest, asset.opening_declared, *above)  # type: ignore[arg-type]  # a CHECK holds it to the three
    identifier = tx.identifier("ras")
    body = {
        "about_persons": act.about_persons,
        "asset": asset.id,
        "assessment": identifier,
        "assessor": tx.caller.person,
        "declared": plain(act.declared),
        "exempt_from_k": act.exempt_from_k,
        "grade": act.grade,
        "impacts": [
            {"degree": i.degree, "harmed": i.harmed, "reason": tx.seal(i.reason)} for i in act.impacts
        ],
        "opening": opening,
        "policy": tx.seal(act.policy_text),
        "policy_digest": act.policy_digest,
        "raw_digest": act.raw_digest,
        "report": tx.seal(act.report_text),
        "report_digest": act.report_digest,
        "voided": await _overtaken(tx, asset),
    }
    objection = objection_to(act, rules)
    if objection is not None:
        asset.grade, asset.opening = None, "closed"
        return follow(asset, refusal("risk_assessed", {**body, "sent_back": True}, objection), tx.index)
    await tx.insert(
        RiskAssessment(
            id=identifier,
            asset=asset.id,
            assessor=tx.caller.person,
            raw_digest=act.raw_digest,
            policy_digest=act.policy_digest,
            report_digest=act.report_digest,
            grade=act.grade,
            opening=opening,
            exempt_from_k=act.exempt_from_k,
            policy=orjson.loads(act.policy_text),
            report=orjson.loads(act.report_text),
            log_index=tx.index,
        )
    )
    asset.grade, asset.opening = act.grade, opening
    return follow(asset, Record("risk_assessed", {**body, "state": "assessed"}), tx.index)


async def _overtaken(tx: Transaction, asset: Asset) -> list[str]:
    """End what was approved and authorized of the asset so far, and give the approvals that are void by it."""
    granted = select(DepartmentAuthorization).where(
        col(DepartmentAuthorization.asset) == asset.id, col(DepartmentAuthorization.state) == "granted"
    )
    for authorization in await tx.session.scalars(granted):
        authorization.state = "void"
    return await end_standing(tx, asset.id)


def _require_floors(act: FileRiskAssessment, rules: Rulebook) -> None:
    for field, found, rule in (
        ("k", act.k, "release.k_at_least"),
        ("l", act.l, "release.l_at_least"),
    ):
        if not act.exempt_from_k and found < rules.value(rule):
            raise _refused(
                f"policy.requirements.{field}",
                f"{field} is {found}",
                f"{field} is at least {rules.value(rule)} ({rules[rule].cite()})",
                "ask more of the policy and scan again",
            )


def objection_to(act: FileRiskAssessment, rules: Rulebook) -> ExchangeError | None:
    """Why data of this kind never comes to market, whoever would authorize it; None where it may. Pure."""
    if act.biometrics and not rules.allows("opening.biometrics_listed"):
        return Unprocessable(
            "assessment.biometric",
            f"biometric data in {', '.join(act.biometrics[:8])}",
            field=act.biometrics[0],
            rule=f"biometric data is refused outright ({rules.cite('assessment.biometric')})",
            remedy="take the columns out of the table, and scan it again",
        )
    if act.grade == "core" and not rules.allows("opening.core_listed"):
        return Unprocessable(
            "assessment.core",
            "the data is core data",
            field="grade",
            rule=f"core data is never listed ({rules.cite('assessment.core')})",
            remedy="keep it inside; a table with less in it may be graded lower",
        )
    if act.exempt_from_k and act.about_persons:
        return Unprocessable(
            "assessment.exemption",
            "the scan found columns about persons",
            field="exempt_from_k",
            rule="only a table with no person in it is exempt from k",
            remedy="declare the quasi-identifiers, and file the assessment without the exemption",
        )
    for name, secret, kind in (
        ("state_secret", act.declared.state_secret, "a state secret"),
        ("trade_secret", act.declared.trade_secret, "a trade secret"),
    ):
        if secret is not False and not rules.allows("opening.secrets_listed"):
            return Unprocessable(
                f"assessment.{name}",
                f"the data may hold {kind}" if secret is None else f"the data holds {kind}",
                field=f"declared.{name}",
                rule=f"secrets are not opened, and what is not answered counts as one ({rules.cite(f'assessment.{name}')})",
                remedy="have the table examined and answer, or keep it inside",
            )
    closed = grading.opening(act.grade, act.declared, about_persons=act.about_persons) == "closed"
    if closed and not rules.allows("opening.privacy_without_consent_listed"):
        return Unprocessable(
            "assessment.privacy",
            "whether the persons consented is not answered",
            field="declared.privacy_consented",
            rule=f"personal privacy is not opened, and what is not answered closes ({rules.cite('assessment.privacy')})",
            remedy="answer whether the persons consented",
        )
    return None


async def authorize(tx: Transaction, act: Authorize) -> Record:
    """Let one person approve the newest assessment at the next level, or return the file with a reason.

    The last level's approval is the authorization. Who filed the assessment or approved a level before, in this or another
    account, and who has an interest in the operator, is refused on the record. A returned file is only declared again, and
    what was approved of it is void.
    """
    tx.caller.require("supplier", "governing_body")
    rules = await rulebook.in_force(tx)
    asset = await _asset_to_approve(tx, act.asset)
    path = Path.of(asset.state, asset.evidence)
    path.require("authorization")
    assessed = await tx.find(RiskAssessment, act.assessment, "assessment")
    if assessed.asset != asset.id or assessed.log_index != path.evidence["risk_assessment"]:
        raise Conflict(
            "authorization.stale",
            "there is a newer assessment",
            field="assessment",
            rule="only the newest assessment can be authorized",
            remedy="read the newest assessment and authorize that one",
        )
    given = await standing(tx, asset.id)
    levels = max(rules.value("model.approvals_at_least"), len(given) + 1)
    level = len(given) + 1
    _require_level(tx.caller, asset, level, rules)
    if act.decision == "return" and not 1 <= len(act.reason.strip()) <= len(act.reason) <= REASON_CHARACTERS:
        raise Unprocessable(
            "authorization.reason",
            f"{len(act.reason)} characters",
            field="reason",
            rule=f"a file is returned with a reason of 1 to {REASON_CHARACTERS} characters",
            remedy="say what is to be mended",
        )
    body: dict[str, Any] = {
        "approval": tx.identifier("apv"),
        "approver": tx.caller.person,
        "assessment": assessed.id,
        "assessor": assessed.assessor,
        "asset": asset.id,
        "authorization": None,
        "decision": act.decision,
        "exempt_from_k": assessed.exempt_from_k,
        "grade": assessed.grade,
        "level": str(level),
        "levels": str(levels),
        "opening": assessed.opening,
        "policy_digest": assessed.policy_digest,
        "raw_digest": assessed.raw_digest,
        "reason_given": tx.seal(act.reason) if act.decision == "return" else None,
    }
    objection = await _objection_to_approver(tx, asset, assessed.assessor, given, rules)
    if objection is not None:
        return refusal("release_authorized", body, objection)
    if act.decision == "return":
        body["voided"] = await end_standing(tx, asset.id)
    await tx.insert(
        Approval(
            id=body["approval"],
            asset=asset.id,
            assessment=assessed.id,
            level=level,
            levels=levels,
            approver=tx.caller.person,
            raw_digest=assessed.raw_digest,
            policy_digest=assessed.policy_digest,
            state="returned" if act.decision == "return" else "given",
            reason=act.reason if act.decision == "return" else "",
            log_index=tx.index,
        )
    )
    if act.decision == "return":
        asset.grade, asset.opening = None, "closed"
        return follow(asset, Record("release_authorized", {**body, "state": "returned"}), tx.index)
    if level < levels:
        return follow(asset, Record("release_authorized", {**body, "state": "approved"}), tx.index)
    body["authorization"] = tx.identifier("aut")
    await tx.insert(
        DepartmentAuthorization(
            id=body["authorization"],
            asset=asset.id,
            assessment=assessed.id,
            approver=tx.caller.person,
            raw_digest=assessed.raw_digest,
            policy_digest=assessed.policy_digest,
            grade=assessed.grade,
            exempt_from_k=assessed.exempt_from_k,
            state="granted",
            log_index=tx.index,
        )
    )
    return follow(asset, Record("release_authorized", {**body, "state": "authorized"}), tx.index)


async def _asset_to_approve(tx: Transaction, asset: str) -> Asset:
    """The asset, for its own department and for the body that leads all of them."""
    if "governing_body" not in tx.caller.roles:
        return await own_asset(tx, asset)
    require_active(await tx.find(Party, tx.caller.party, "party"))
    return await visible_asset(tx.session, asset, tx.caller)


def _require_level(caller: Caller, asset: Asset, level: int, rules: Rulebook) -> None:
    by = rules.words("release.approved_by")[level - 1]
    theirs = "governing_body" in caller.roles if by == "governing_body" else caller.party == asset.supplier
    if not theirs:
        raise Forbidden(
            "authorization.level",
            f"level {level} is approved by {LEVEL_WORDS[by]}",
            field="assessment",
            rule=f"the levels approve in their order ({rules.cite('authorization.level')})",
            remedy=f"let {LEVEL_WORDS[by]} approve it",
        )


LEVEL_WORDS: Final[Mapping[str, str]] = {
    "department": "another person of the department",
    "governing_body": "the body that leads the departments",
}
"""Who approves at a level, by the words of the rulebook."""


async def _objection_to_approver(
    tx: Transaction, asset: Asset, assessor: str, given: Sequence[Approval], rules: Rulebook
) -> ExchangeError | None:
    """Why the caller is no further pair of eyes on this file; None where it is one."""
    who = tx.caller.person
    if who == assessor and not rules.allows("release.assessor_may_authorize"):
        return Unprocessable(
            "authorization.four_eyes",
            "the approver filed the assessment",
            field="approver",
            rule=f"four eyes: who assessed the risk does not authorize the release ({rules.cite('authorization.four_eyes')})",
            remedy="let another person of the department authorize it",
        )
    if any(who == approval.approver for approval in given) and not rules.allows(
        "release.approver_may_approve_again"
    ):
        return Unprocessable(
            "authorization.level_taken",
            "the approver approved a level before",
            field="approver",
            rule=f"each level is approved by another person ({rules.cite('authorization.level_taken')})",
            remedy="let another person approve this level",
        )
    hands = [(assessor, "the assessor"), *((a.approver, f"who approved level {a.level}") for a in given)]
    related = await _interested(tx, asset, hands, rules)
    if related is not None and not rules.allows("release.related_may_authorize"):
        return Unprocessable(
            "authorization.related",
            related.why("authorize a release"),
            field="approver",
            rule="who has an interest in the operator, or is the assessor or an earlier approver under another name or by a "
            f"deputy, does not authorize ({rules.cite('authorization.related')})",
            remedy=REMEDY,
            path=related.way(),
        )
    for hand, office in () if rules.allows("release.invited_may_authorize") else hands:
        if hand != who and await vouched(tx.session, hand) == await vouched(tx.session, who):
            return Unprocessable(
                "authorization.second_account",
                f"nobody of outside vouched for the approver apart from {office}",
                field="approver",
                rule="whoever a colleague invited counts as that colleague's second account "
                f"({rules.cite('authorization.second_account')})",
                remedy="let a person approve it whom an administrator of the market invited",
            )
    return None


async def _interested(
    tx: Transaction, asset: Asset, hands: Iterable[tuple[str, str]], rules: Rulebook
) -> Conflicted | None:
    """How the caller is related to the operator of the data, or is one with whoever had the file before, through a second
    account or a deputy.
    """
    who = tx.caller.person
    known = await relations(tx.session, tx.now_us, rules)
    for hand, office in hands:
        way = known.path(hand, who)
        if way and all(edge.kind in ("same", "deputy") for edge in way):
            return Conflicted(hand, office, way)
    return await conflict(tx, asset, [who])


def _refused(field: str, detail: str, rule: str, remedy: str) -> Unprocessable:
    where = field.partition("[")[0]  # a code is stable, whichever of several it is about
    return Unprocessable(f"assessment.{where}", detail, field=field, rule=rule, remedy=remedy)


Stand = Literal["yours", "approved", "other", "you"]
"""Where a file stands for the one who reads: filed by them, approved by them before, up to others, or up to them."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A file that waits for an approval: what was assessed by whom, who approved it so far, and whose turn it is."""

    asset: str
    title: str
    supplier: str
    supplier_name: str
    assessment: RiskAssessment
    assessor_name: str
    given: tuple[tuple[int, str], ...]
    """Levels that approved, each with the name of who did."""
    level: int
    levels: int
    by: str
    stand: Stand


async def waiting(
    session: AsyncSession, caller: Caller, rules: Rulebook, *, asset: str | None = None, limit: int = 100
) -> list[Waiting]:
    """Files that wait for an approval, the longest first: the department's own, all of them for the body that leads them.

    Two statements, whatever waits.
    """
    newest = col(Asset.evidence)["risk_assessment"].astext
    query = (
        select(Asset, RiskAssessment, col(Person.name), col(Party.name))
        .join(RiskAssessment, col(RiskAssessment.asset) == col(Asset.id))
        .join(Person, col(Person.id) == col(RiskAssessment.assessor))
        .join(Party, col(Party.id) == col(Asset.supplier))
        .where(col(Asset.state) == "assessed", cast(col(RiskAssessment.log_index), Text) == newest)
        .order_by(col(RiskAssessment.log_index))
        .limit(limit)
    )
    if "governing_body" not in caller.roles:
        query = query.where(col(Asset.supplier) == caller.party)
    if asset is not None:
        query = query.where(col(Asset.id) == asset)
    files = (await session.execute(query)).all()
    stood = await session.execute(
        select(Approval, col(Person.name))
        .join(Person, col(Person.id) == col(Approval.approver))
        .where(col(Approval.asset).in_([row.id for row, *_ in files]), col(Approval.state) == "given")
        .order_by(col(Approval.level))
    )
    given: dict[str, list[tuple[Approval, str]]] = {}
    for approval, name in stood:
        given.setdefault(approval.asset, []).append((approval, name))
    return [_waits(row, paper, names, given.get(row.id, []), caller, rules) for row, paper, *names in files]


def _waits(
    asset: Asset,
    paper: RiskAssessment,
    names: Sequence[str],
    given: Sequence[tuple[Approval, str]],
    caller: Caller,
    rules: Rulebook,
) -> Waiting:
    level = len(given) + 1
    by = rules.words("release.approved_by")[level - 1]
    theirs = "governing_body" in caller.roles if by == "governing_body" else caller.party == asset.supplier
    stand: Stand = "you" if theirs else "other"
    if paper.assessor == caller.person:
        stand = "yours"
    elif any(approval.approver == caller.person for approval, _ in given):
        stand = "approved"
    return Waiting(
        asset=asset.id,
        title=asset.title,
        supplier=asset.supplier,
        supplier_name=names[1],
        assessment=paper,
        assessor_name=names[0],
        given=tuple((approval.level, name) for approval, name in given),
        level=level,
        levels=max(rules.value("model.approvals_at_least"), level),
        by=by,
        stand=stand,
    )
