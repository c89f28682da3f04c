"""Room: a department's risk assessment of a raw table, and a second person's leave to release it.

Both are about digests: the raw table and the salt of its digest stay at the department. What is refused here
(core data, biometrics, secrets, an approver who is the assessor) is refused on the record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from exchange import rulebook
from exchange.acts import Act, Record, Scope, Transaction, plain, refusal
from exchange.desensitization import grade as grading
from exchange.desensitization import policy as policies
from exchange.desensitization.grade import Declared, Grade, Impact
from exchange.desensitization.scanned import read_report
from exchange.errors import Conflict, ExchangeError, Unprocessable
from exchange.registration import document_text, follow, own_asset
from exchange.registration.path import Path
from exchange.rulebook import Rulebook
from exchange.tables import DepartmentAuthorization, Market, RiskAssessment
from exchange.vault import check_digest

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
    """A second person lets the newest assessment's table be released under its policy."""

    scope: ClassVar[Scope] = "register"
    asset: str
    assessment: str


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
    """Keep an assessment as the asset's newest, or refuse it on the record.

    Either way whatever was authorized before no longer counts: an assessor has said something new.
    """
    tx.caller.require("supplier")
    asset = await own_asset(tx, act.asset)
    Path.of(asset.state, asset.evidence).require("risk_assessment")
    _require_floors(act, rulebook.load((await tx.find(Market, 1, "market")).profile))
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
        "opening": grading.opening(act.grade, act.declared, about_persons=act.about_persons),
        "policy": tx.seal(act.policy_text),
        "policy_digest": act.policy_digest,
        "raw_digest": act.raw_digest,
        "report": tx.seal(act.report_text),
        "report_digest": act.report_digest,
    }
    objection = objection_to(act)
    if objection is not None:
        asset.grade = None
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
            exempt_from_k=act.exempt_from_k,
            policy=orjson.loads(act.policy_text),
            report=orjson.loads(act.report_text),
            log_index=tx.index,
        )
    )
    asset.grade = act.grade
    return follow(asset, Record("risk_assessed", {**body, "state": "assessed"}), tx.index)


def _require_floors(act: FileRiskAssessment, rules: Rulebook) -> None:
    for field, found, rule in (
        ("k", act.k, rules["release.k_at_least"]),
        ("l", act.l, rules["release.l_at_least"]),
    ):
        if not act.exempt_from_k and found < rule.value:
            raise _refused(
                f"policy.requirements.{field}",
                f"{field} is {found}",
                f"{field} is at least {rule.value} ({rule.cite()})",
                "ask more of the policy and scan again",
            )


def objection_to(act: FileRiskAssessment) -> ExchangeError | None:
    """Why data of this kind never comes to market, whoever would authorize it; None where it may."""
    if act.biometrics:
        return Unprocessable(
            "assessment.biometric",
            f"biometric data in {', '.join(act.biometrics[:8])}",
            field=act.biometrics[0],
            rule="biometric data is refused outright (GB/T 35273-2020 annex B)",
            remedy="take the columns out of the table, and scan it again",
        )
    if act.grade == "core":
        return Unprocessable(
            "assessment.core",
            "the data is core data",
            field="grade",
            rule=f"core data is never listed ({grading.SOURCE})",
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
        if secret is not False:
            return Unprocessable(
                f"assessment.{name}",
                f"the data may hold {kind}" if secret is None else f"the data holds {kind}",
                field=f"declared.{name}",
                rule="secrets are not opened, and what is not answered counts as one (政府信息公开条例 arts. 14-15)",
                remedy="have the table examined and answer, or keep it inside",
            )
    if grading.opening(act.grade, act.declared, about_persons=act.about_persons) == "closed":
        return Unprocessable(
            "assessment.privacy",
            "whether the persons consented is not answered",
            field="declared.privacy_consented",
            rule="personal privacy is not opened, and what is not answered closes (政府信息公开条例 art. 15)",
            remedy="answer whether the persons consented",
        )
    return None


async def authorize(tx: Transaction, act: Authorize) -> Record:
    """Let a second person of the department authorize the newest assessment; the assessor is refused on the record."""
    tx.caller.require("supplier")
    asset = await own_asset(tx, act.asset)
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
    identifier = tx.identifier("aut")
    body = {
        "approver": tx.caller.person,
        "assessment": assessed.id,
        "assessor": assessed.assessor,
        "asset": asset.id,
        "authorization": identifier,
        "exempt_from_k": assessed.exempt_from_k,
        "grade": assessed.grade,
        "policy_digest": assessed.policy_digest,
        "raw_digest": assessed.raw_digest,
    }
    if assessed.assessor == tx.caller.person:
        return refusal(
            "release_authorized",
            body,
            Unprocessable(
                "authorization.four_eyes",
                "the approver filed the assessment",
                field="approver",
                rule="four eyes: who assessed the risk does not authorize the release",
                remedy="let another person of the department authorize it",
            ),
        )
    await tx.insert(
        DepartmentAuthorization(
            id=identifier,
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


def _refused(field: str, detail: str, rule: str, remedy: str) -> Unprocessable:
    where = field.partition("[")[0]  # a code is stable, whichever of several it is about
    return Unprocessable(f"assessment.{where}", detail, field=field, rule=rule, remedy=remedy)
