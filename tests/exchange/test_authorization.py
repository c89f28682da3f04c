"""A department's own judgement: what is assessed, what is refused outright, and who may authorize it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.authorization import FileRiskAssessment, assessment, objection_to
from exchange.desensitization.grade import GRADES, TRUTH_TABLE, Declared, Impact
from exchange.errors import ExchangeError, Unprocessable
from exchange.rulebook import load

ASSET = "ast-1"


def filed(work: Any, **changed: Any) -> FileRiskAssessment:
    filing = work.filing(**changed)
    filing["impacts"] = [Impact(**impact) for impact in filing["impacts"]]
    filing["declared"] = Declared(**filing["declared"])
    return assessment(asset=ASSET, **filing)


def test_the_policys_digest_is_made_again_and_the_report_has_to_be_about_it(patients: Any) -> None:
    act = filed(patients)
    assert act.policy_digest == patients.scan.policy.digest()
    assert (act.k, act.l, act.grade, act.about_persons) == (5, 2, "general", True)

    for changed, field in (
        ({"policy_digest": "0" * 64}, "policy_digest"),
        ({"raw_digest": "0" * 64}, "report"),
        ({"policy": replace(patients.scan.policy, k=4).to_json()}, "policy_digest"),
        ({"report": {**patients.scan.report, "policy_digest": "0" * 64}}, "report"),
        ({"exempt_from_k": True}, "exempt_from_k"),
        ({"impacts": []}, "impacts"),
    ):
        with pytest.raises(Unprocessable) as refused:
            filed(patients, **changed)
        assert refused.value.field == field
        assert refused.value.rule
        assert refused.value.remedy


def test_two_requests_differ_by_every_member_that_the_caller_sent(patients: Any) -> None:
    act = filed(patients)
    assert act.digest() == filed(patients).digest()
    others = [
        filed(patients, declared={"state_secret": None, "trade_secret": False, "privacy_consented": False}),
        filed(patients, impacts=[{"harmed": "economy", "degree": "severe", "reason": "prices"}]),
        filed(patients, report={**patients.scan.report, "engine": "another"}),
        replace(act, asset="ast-2"),
        replace(act, raw_digest="1" * 64),
    ]
    assert len({act.digest(), *(other.digest() for other in others)}) == 1 + len(others)


@given(
    impacts=st.lists(st.sampled_from(sorted(TRUTH_TABLE)), min_size=1, max_size=5),
    state_secret=st.sampled_from([True, False, None]),
    trade_secret=st.sampled_from([True, False, None]),
    privacy=st.sampled_from([True, False, None]),
    biometric=st.booleans(),
    persons=st.booleans(),
    exempt=st.booleans(),
)
def test_only_data_that_nothing_speaks_against_is_kept(
    impacts: list[tuple[Any, Any]],
    state_secret: bool | None,
    trade_secret: bool | None,
    privacy: bool | None,
    biometric: bool,
    persons: bool,
    exempt: bool,
) -> None:
    grade = max((TRUTH_TABLE[impact] for impact in impacts), key=GRADES.index)
    act = FileRiskAssessment(
        asset=ASSET,
        raw_digest="0" * 64,
        policy_digest="0" * 64,
        policy_text="{}",
        report_text="{}",
        report_digest="0" * 64,
        impacts=tuple(Impact(harmed, degree, "why") for harmed, degree in impacts),
        declared=Declared(state_secret, trade_secret, privacy),
        exempt_from_k=exempt,
        k=5,
        l=2,
        grade=grade,
        about_persons=persons,
        biometrics=("face",) if biometric else (),
    )
    problem = objection_to(act, load("cn-venue"))
    fine = (
        not biometric
        and grade != "core"
        and state_secret is False
        and trade_secret is False
        and not (persons and exempt)
        and not (persons and privacy is None)
    )
    assert (problem is None) == fine
    if biometric:
        assert isinstance(problem, ExchangeError)
        assert problem.code == "assessment.biometric"


@pytest.mark.anyio
async def test_a_second_person_authorizes_and_the_assessor_is_refused_on_the_record(
    house: Any, patients: Any
) -> None:
    assessor, approver = await house.party("supplier", people=2)
    asset = await house.walk([assessor, approver], patients, steps=1)
    dossier = (await house.call(assessor, "GET", f"/v1/assets/{asset}")).json()
    (assessed,) = dossier["assessments"]
    assert assessed["policy"] == patients.scan.policy.to_json()
    assert assessed["report"] == patients.scan.report

    grant, path = {"assessment": assessed["id"]}, f"/v1/assets/{asset}/authorizations"
    outcome = await house.refused(assessor, path, grant, code="authorization.four_eyes")
    assert outcome["approver"] == outcome["assessor"] == assessor.person
    assert (await house.call(assessor, "GET", f"/v1/assets/{asset}")).json()["asset"]["state"] == "assessed"

    granted = await house.done(approver, path, grant)
    assert granted["raw_digest"] == patients.scan.report["raw"]["digest"]
    assert granted["policy_digest"] == patients.scan.policy.digest()
    view = (await house.call(assessor, "GET", f"{path}/{granted['authorization']}")).json()
    assert (view["id"], view["state"], view["approver"]) == (
        granted["authorization"],
        "granted",
        approver.person,
    )


@pytest.mark.anyio
async def test_an_assessment_that_was_overtaken_cannot_be_authorized(house: Any, patients: Any) -> None:
    assessor, approver = await house.party("supplier", people=2)
    asset = await house.walk([assessor, approver], patients, steps=2)
    path = f"/v1/assets/{asset}"
    first = (await house.call(assessor, "GET", path)).json()["assessments"][0]["id"]
    again = await house.done(assessor, f"{path}/assessments", patients.filing())

    found = (await house.call(assessor, "GET", path)).json()
    assert found["asset"]["state"] == "assessed"
    await house.problem(
        approver,
        "POST",
        f"{path}/authorizations",
        {"assessment": first},
        status=409,
        code="authorization.stale",
    )
    await house.done(approver, f"{path}/authorizations", {"assessment": again["assessment"]})

    # The authorization of the first assessment counts no more, though nobody revoked it.
    overtaken = found["authorizations"][0]["id"]
    release = {"authorization": overtaken, "product_digest": "0" * 64, "certificate": {}}
    await house.problem(
        assessor, "POST", f"{path}/releases", release, status=409, code="release.stale_authorization"
    )


@pytest.mark.anyio
async def test_a_policy_below_the_rulebooks_floor_is_sent_back_with_the_rule(
    house: Any, patients: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients, steps=0)
    weak = replace(patients.scan.policy, k=2)
    report = {**patients.scan.report, "policy_digest": weak.digest()}
    filing = patients.filing(policy=weak.to_json(), policy_digest=weak.digest(), report=report)
    problem = await house.problem(
        supplier[0],
        "POST",
        f"/v1/assets/{asset}/assessments",
        filing,
        status=422,
        code="assessment.policy.requirements.k",
    )
    assert "at least 5" in problem["rule"]


@pytest.mark.anyio
async def test_another_department_finds_no_such_asset(house: Any, patients: Any) -> None:
    supplier = await house.party("supplier", people=2)
    stranger = (await house.party("supplier"))[0]
    buyer = (await house.party("buyer"))[0]
    asset = await house.walk(supplier, patients, steps=2)
    granted = (await house.call(supplier[0], "GET", f"/v1/assets/{asset}")).json()["authorizations"][0]
    for other in (stranger, buyer):
        for method, path in (
            ("GET", f"/v1/assets/{asset}"),
            ("GET", f"/v1/assets/{asset}/authorizations/{granted['id']}"),
        ):
            hidden = await house.call(other, method, path)
            absent = await house.call(other, method, path.replace(asset, "ast-none"))
            assert hidden.status_code == absent.status_code == 404
            assert hidden.json() == {
                **absent.json(),
                "detail": absent.json()["detail"].replace("ast-none", asset),
            }
    await house.problem(
        stranger,
        "POST",
        f"/v1/assets/{asset}/assessments",
        patients.filing(),
        status=404,
        code="asset.unknown",
    )
    await house.problem(
        buyer, "POST", f"/v1/assets/{asset}/assessments", patients.filing(), status=403, code="caller.role"
    )
