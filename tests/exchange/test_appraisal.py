"""A value with its reasons, made from the released file, and made again by whoever has the report."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from exchange.appraisal import measure_quality
from pricing.appraisal import read_report
from pricing.canonical import canonical
from pricing.quality import Column, Declaration, Dimension


def test_quality_is_counted_from_the_file_itself(patients: Any, tmp_path: Any) -> None:
    table = tmp_path / "table.csv"
    table.write_text("age,service\n30,surgery\n,medicine\n200,surgery\n")
    declaration = Declaration(
        (Column("age", "integer", minimum=0, maximum=120), Column("service", "text", allowed=("surgery",)))
    )
    quality = measure_quality(table, declaration, as_of_us=0)
    assert quality.rows == 3
    assert quality.score_ppm(Dimension.COMPLETENESS) == 5 * 1_000_000 // 6
    assert quality.score_ppm(Dimension.ACCURACY) == 500_000
    assert quality.score_ppm(Dimension.TIMELINESS) is None


@pytest.mark.anyio
async def test_the_report_is_kept_sealed_and_a_stranger_computes_the_same_value(
    house: Any, patients: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients)
    outcome = await house.done(supplier[0], f"/v1/assets/{asset}/appraisals", house.appraisal())
    found = (await house.call(supplier[0], "GET", f"/v1/assets/{asset}")).json()
    (kept,) = found["appraisals"]
    assert kept["value_fen"] == outcome["value_fen"]
    assert kept["digest"] == outcome["report_digest"]

    written = canonical(kept["report"])
    assert hashlib.sha256(written).hexdigest() == outcome["report_digest"]
    again = read_report(written)
    assert str(again.value_fen) == outcome["value_fen"]
    steps = {step.en: step.result for step in again.valued[0].steps}
    assert steps["replacement cost C"] == 5_000_000 + 300_000 + 30_000
    assert again.inputs.quality.rows == int(found["product"]["rows"])
    assert again.inputs.asset == f"{found['asset']['code']} hospital visits"
    body = (await house.gate.receipt(int(kept["log_index"]))).body
    assert b"no comparable sale yet" not in body

    # Everyone else sees the asset, and not the report.
    assert (await house.call(None, "GET", f"/v1/assets/{asset}")).json()["appraisals"] == []


@pytest.mark.anyio
async def test_a_retry_is_the_same_request_though_time_went_on(house: Any, patients: Any) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients)
    path = f"/v1/assets/{asset}/appraisals"
    first = await house.call(supplier[0], "POST", path, house.appraisal(), key="value-1")
    house.now_us += 1_000_000
    again = await house.call(supplier[0], "POST", path, house.appraisal(), key="value-1")
    assert again.status_code == first.status_code == 201
    assert again.json() == first.json()
    other = await house.call(supplier[0], "POST", path, house.appraisal(purpose="a loan"), key="value-1")
    assert other.json()["code"] == "request.identifier_reused"


@pytest.mark.anyio
async def test_what_is_missing_or_cannot_be_is_named(house: Any, patients: Any) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients)
    path = f"/v1/assets/{asset}/appraisals"
    good = house.appraisal()
    (cost,) = good["approaches"]
    only_accuracy = {"approaches": [{**cost, "weights_ppm": ["0", "0", "1000000", "0", "0", "0"]}]}
    for changed, field in (
        ({"legal": {**good["legal"], "right_holder": " "}}, "legal.right_holder"),
        ({"value": {**good["value"], "beauty": "much"}}, "value.beauty"),
        ({"valued_on": "2026-02-30"}, "valued_on"),
        ({"approaches": [{**cost, "items": []}]}, "cost.items"),
        ({"approaches": [{**cost, "weights_ppm": ["1000000"]}]}, "cost.weights_ppm"),
        ({"approaches": [cost, cost]}, "approaches"),
        (
            {"quality": {"columns": [{"name": "age", "kind": "integer", "minimum": "1e3"}]}},
            "age",
        ),
        ({"quality": {"columns": [{"name": "age", "kind": "text", "pattern": "("}]}}, "age.pattern"),
        (
            {"quality": {"columns": [{"name": "salary", "kind": "integer"}]}, **only_accuracy},
            "cost.quality",
        ),
    ):
        problem = await house.problem(
            supplier[0], "POST", path, {**good, **changed}, status=422, code="appraisal.refused"
        )
        assert problem["field"] == field
        assert problem["remedy"]


@pytest.mark.anyio
async def test_a_value_is_asked_by_the_department_or_its_operator_after_registration(
    house: Any, patients: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    operator = (await house.party("operator"))[0]
    buyer = (await house.party("buyer"))[0]
    early = await house.walk(supplier, patients, steps=4)
    await house.problem(
        supplier[0],
        "POST",
        f"/v1/assets/{early}/appraisals",
        house.appraisal(),
        status=409,
        code="appraisal.not_registered",
    )
    asset = await house.walk(supplier, patients, operator=operator.party)
    path = f"/v1/assets/{asset}/appraisals"
    await house.problem(buyer, "POST", path, house.appraisal(), status=403, code="asset.not_yours")
    outcome = await house.done(operator, path, house.appraisal())
    assert outcome["state"] == "appraised"
