"""A value with its reasons, made from the released file, and made again by whoever has the report."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange import catalogue, erasure
from exchange.appraisal import ed25519
from exchange.messages.assets import AppraisalMessage
from pricing.appraisal import read_report, require_signature, stream_key
from pricing.canonical import canonical
from pricing.quality import Quality


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
    assert again.inputs.quality is not None
    assert again.inputs.quality.rows == int(found["product"]["rows"])
    assert again.inputs.asset == f"{found['asset']['code']} hospital visits"
    body = (await house.gate.receipt(int(kept["log_index"]))).body
    assert b"no comparable sale yet" not in body

    # Everyone else sees the asset and the scores of its file, and not the report.
    assert (await house.call(None, "GET", f"/v1/assets/{asset}")).json()["appraisals"] == []
    shown = await house.gate.read(catalogue.quality, asset, None)
    assert shown == {"counted": kept["report"]["inputs"]["quality"], "index": kept["log_index"]}
    assert Quality.from_json(shown["counted"]) == again.inputs.quality


@pytest.mark.anyio
async def test_a_file_that_was_not_appraised_yet_shows_no_scores(house: Any, patients: Any) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients)
    assert await house.gate.read(catalogue.quality, asset, None) is None


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


EXCESS = {
    "approach": "excess",
    "reason": "the data leads",
    "stream": "Planning of beds",
    "amounts_fen": ["9000000", "9000000"],
    "amounts_source": "plan",
    "discount_rate_ppm": "120000",
    "discount_source": "built up",
    "charges": [
        {"name": "staff", "asset_fen": ["100000", "100000"], "return_ppm": "80000", "source": "books"}
    ],
}
KEY = Ed25519PrivateKey.from_private_bytes(b"a" * 32)


def signed(form: dict[str, Any], asset: str, key: Ed25519PrivateKey = KEY) -> dict[str, Any]:
    """The form with the appraiser's signature, as `exchange appraise --key` puts it there."""
    message = AppraisalMessage.model_validate(form).inputs(asset).parameters
    signature = {
        "public_key": key.public_key().public_bytes_raw().hex(),
        "signature": key.sign(message).hex(),
    }
    return {**form, "signature": signature}


@pytest.mark.anyio
async def test_the_excess_earnings_of_a_stream_are_counted_for_one_asset(house: Any, patients: Any) -> None:
    supplier = await house.party("supplier", people=2)
    first = await house.walk(supplier, patients)
    second = await house.walk(supplier, patients)
    form = house.appraisal(approaches=[EXCESS])
    outcome = await house.done(supplier[0], f"/v1/assets/{first}/appraisals", form)
    assert outcome["streams"] == [stream_key("planning of beds")]
    assert list(outcome["approaches"]) == ["excess"]
    # The asset that has the stream may be valued by it again, another one may not, however it is spelt.
    await house.done(supplier[0], f"/v1/assets/{first}/appraisals", form)
    other = house.appraisal(approaches=[{**EXCESS, "stream": "planning  of BEDS"}])
    problem = await house.problem(
        supplier[0],
        "POST",
        f"/v1/assets/{second}/appraisals",
        other,
        status=422,
        code="appraisal.refused",
    )
    assert problem["field"] == "excess.stream"
    assert first in problem["rule"]
    # Erased is the report, and not what it counts.
    (regulator,) = await house.party("regulator")
    await house.act(erasure.erase_opening, erasure.EraseOpening(outcome["report"], "an order"), regulator)
    found = (await house.call(supplier[0], "GET", f"/v1/assets/{first}")).json()
    assert found["appraisals"][0]["report"] == {"streams": [stream_key("planning of beds")]}
    await house.problem(
        supplier[0],
        "POST",
        f"/v1/assets/{second}/appraisals",
        other,
        status=422,
        code="appraisal.refused",
    )
    # An asset that is valued by cost from now on counts the stream no longer.
    await house.done(supplier[0], f"/v1/assets/{first}/appraisals", house.appraisal())
    await house.done(supplier[0], f"/v1/assets/{second}/appraisals", other)


@pytest.mark.anyio
async def test_an_appraisers_signature_is_verified_and_its_versions_only_grow(
    house: Any, patients: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients)
    path = f"/v1/assets/{asset}/appraisals"
    found = (await house.call(supplier[0], "GET", f"/v1/assets/{asset}")).json()["asset"]
    name = f"{found['code']} {found['title']}"
    second = house.appraisal(appraiser="An appraiser", version="2")
    outcome = await house.done(supplier[0], path, signed(second, name))
    assert outcome["version"] == "2"
    kept = (await house.call(supplier[0], "GET", f"/v1/assets/{asset}")).json()["appraisals"][0]
    report = read_report(canonical(kept["report"]))
    assert require_signature(report, ed25519).public_key == KEY.public_key().public_bytes_raw().hex()
    assert hashlib.sha256(report.inputs.parameters).hexdigest() == outcome["parameters_digest"]

    for forged in (
        {**signed(second, name), "purpose": "a loan"},
        signed(second, "another asset"),
        {
            **signed(second, name),
            "signature": {**signed(second, name)["signature"], "public_key": "00" * 32},
        },
    ):
        problem = await house.problem(supplier[0], "POST", path, forged, status=422, code="appraisal.refused")
        assert problem["field"] == "signature"
    # The same parameters may meet newer data; other ones need a greater version, under the same key.
    await house.done(supplier[0], path, signed(second, name))
    changed = {**second, "purpose": "a loan"}
    for version in ("2", "1"):
        problem = await house.problem(
            supplier[0],
            "POST",
            path,
            signed({**changed, "version": version}, name),
            status=409,
            code="appraisal.version",
        )
        assert problem["field"] == "version"
    await house.done(supplier[0], path, signed({**changed, "version": "3"}, name))
    other = Ed25519PrivateKey.from_private_bytes(b"b" * 32)
    await house.done(supplier[0], path, signed({**changed, "version": "1"}, name, other))


@pytest.mark.anyio
async def test_a_report_may_hold_a_range_and_the_value_indicators(house: Any, patients: Any) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients)
    good = house.appraisal()
    form = {
        **good,
        "uncertain": [
            {
                "parameter": "cost.items[0].amount_fen",
                "low": "4000000",
                "high": "7000000",
                "reason": "late bills",
                "source": "accounts",
            }
        ],
        "draws": "2000",
        "quality": {
            **good["quality"],
            "yardstick": {"source": "the plan", "category": "service", "categories": "4"},
        },
    }
    await house.done(supplier[0], f"/v1/assets/{asset}/appraisals", form)
    (kept,) = (await house.call(supplier[0], "GET", f"/v1/assets/{asset}")).json()["appraisals"]
    report = read_report(canonical(kept["report"]))
    assert report.spread is not None
    assert report.spread.p5_fen < report.value_fen < report.spread.p95_fen
    assert report.inputs.indicators is not None
    for changed, field in (
        ({"uncertain": [{**form["uncertain"][0], "parameter": "cost.luck"}]}, "uncertain[0].parameter"),
        ({"draws": "2000001"}, "draws"),
        (
            {"quality": {**good["quality"], "yardstick": {"source": "x", "population": "5"}}},
            "yardstick.subject",
        ),
    ):
        problem = await house.problem(
            supplier[0],
            "POST",
            f"/v1/assets/{asset}/appraisals",
            {**form, **changed},
            status=422,
            code="appraisal.refused",
        )
        assert problem["field"] == field
