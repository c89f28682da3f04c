"""The one order of an asset's path, releases measured against their authorization, and the certificate."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import permutations
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import registration
from exchange.acts import CLOCK
from exchange.desensitization.child import measure_in_child
from exchange.errors import Conflict, NotFound
from exchange.registration import applications, effects
from exchange.registration.judgement import judge_release
from exchange.registration.path import STATES, STEP_OF_KIND, STEPS, Path, State, Step, code
from ledger.merkle import leaf_hash

KIND_OF_STEP = {step: kind for kind, step in STEP_OF_KIND.items()}


def walk(order: tuple[Step, ...]) -> Path:
    path = Path.begin()
    for index, step in enumerate(order, start=1):
        path = path.follow(KIND_OF_STEP[step], {"state": "done"}, index)
    return path


def test_S25_of_the_24_orders_of_the_four_steps_one_is_possible_and_23_name_the_missing_step() -> None:
    possible = []
    for order in permutations(STEPS):
        if order != STEPS:
            with pytest.raises(Conflict) as refused:
                walk(order)
            taken = next(n for n, step in enumerate(order) if step != STEPS[n])
            assert refused.value.code == f"path.{STEPS[taken]}_missing"
            assert refused.value.remedy
            continue
        path = walk(order)
        possible.append(order)
        assert path.state == "themed"
        assert path.evidence == {step: n for n, step in enumerate(STEPS, start=1)}
    assert possible == [STEPS]


def test_registration_before_the_last_step_names_the_step_that_is_missing() -> None:
    for taken in range(len(STEPS)):
        path = walk(STEPS[:taken])
        with pytest.raises(Conflict) as refused:
            path.require_all()
        assert refused.value.code == f"path.{STEPS[taken]}_missing"
    registered = walk(STEPS).follow("asset_registered", {"state": "registered"}, 5)
    assert registered.state == "registered"
    for step in STEPS:
        with pytest.raises(Conflict):
            registered.require(step)
    with pytest.raises(Conflict):
        registered.require_all()


def test_a_step_is_taken_once_but_an_assessment_starts_again_and_a_theme_is_corrected() -> None:
    with pytest.raises(Conflict) as refused:
        walk(STEPS[:2]).require("authorization")
    assert refused.value.code == "path.authorization_taken"
    with pytest.raises(Conflict) as refused:
        walk(STEPS[:3]).require("desensitization")
    assert refused.value.code == "path.desensitization_taken"

    again = walk(STEPS).follow("risk_assessed", {"state": "assessed"}, 9)
    assert (again.state, again.evidence) == ("assessed", {"risk_assessment": 9})
    corrected = walk(STEPS).follow("theme_assigned", {"state": "themed"}, 9)
    assert corrected.evidence == {**walk(STEPS[:3]).evidence, "aggregation": 9}


def test_a_refused_entry_changes_nothing_unless_the_asset_is_sent_back() -> None:
    path = walk(STEPS[:2])
    assert path.follow("product_released", {"state": "refused", "sent_back": False}, 7) == path
    assert path.follow("product_released", {"state": "refused", "sent_back": True}, 7) == Path.begin()


FATES = st.sampled_from(["done", "done", "approved", "returned", "refused", "sent back"])
OTHERS = ["registration_applied", "registration_withdrawn", "asset_registered", "listed"]
ONE = st.tuples(st.sampled_from([*STEP_OF_KIND, *OTHERS]), FATES).map(lambda entry: [entry])
MARCH = st.integers(1, len(STEPS)).map(lambda n: [(KIND_OF_STEP[step], "done") for step in STEPS[:n]])


@given(st.lists(ONE | MARCH, max_size=8).map(lambda parts: [entry for part in parts for entry in part]))
def test_after_any_entries_the_path_is_what_a_slow_reader_of_the_whole_log_says(
    entries: list[tuple[str, str]],
) -> None:
    path = Path.begin()
    log: list[tuple[str, str]] = []
    for index, (kind, wanted) in enumerate(entries):
        of_levels = kind == "release_authorized" or wanted not in ("approved", "returned")
        fate = wanted if of_levels else "done"
        act: dict[str, Any] = {"act": "initial", "application": "app-1", "sent_back": fate == "sent back"}
        act["state"] = "refused" if fate == "sent back" else fate
        try:
            path = path.follow(kind, act, index)
        except (Conflict, ValueError):
            log.append(("dropped", ""))  # such an entry would never have come into the log
            continue
        log.append((kind, fate))
        assert path == slow_path(log)
        assert Path.of(path.state, path.evidence_row()) == path


def slow_path(log: list[tuple[str, str]]) -> Path:
    """Look back from the end for each step: the newest one that nothing earlier on the path has overturned."""
    evidence: dict[Step, int] = {}
    back = (
        n
        for n, (kind, fate) in enumerate(log)
        if fate in ("sent back", "returned") and kind not in OTHERS[:3]
    )
    start = max(back, default=-1) + 1
    for step in STEPS:
        found = [n for n, entry in enumerate(log) if n >= start and entry == (KIND_OF_STEP[step], "done")]
        if not found:
            break
        evidence[step] = start = found[-1]
    last = next((entry for entry in log[::-1] if entry in BEFORE_THE_REGISTRAR), None)
    return Path(BEFORE_THE_REGISTRAR[last] or STATES[len(evidence)], evidence)


BEFORE_THE_REGISTRAR: dict[tuple[str, str] | None, State | None] = {
    ("registration_applied", "done"): "applied",
    ("registration_withdrawn", "done"): None,
    ("asset_registered", "done"): "registered",
    ("asset_registered", "refused"): None,
    ("asset_registered", "sent back"): None,
    None: None,
}


def test_the_code_says_year_in_china_kind_and_chance() -> None:
    new_year_in_china_us = 1_798_732_800_000_000  # 2026-12-31 16:00 UTC
    assert code(new_year_in_china_us, "TR", bytes.fromhex("1a2b3c4d")) == "DA-2027-TR-1a2b3c4d"
    assert code(new_year_in_china_us - 1, "TR", bytes.fromhex("1a2b3c4d")) == "DA-2026-TR-1a2b3c4d"


@pytest.mark.anyio
async def test_S25_all_24_orders_against_the_rooms_themselves(house: Any, patients: Any) -> None:
    """One order reaches the theme; the 23 others are refused by name, and leave the log as it was."""
    assessor, approver = await house.party("supplier", people=2)
    registered = 0
    for order in permutations(STEPS):
        asset = await house.walk([assessor, approver], patients, steps=0)
        path = f"/v1/assets/{asset}"
        found: dict[str, Any] = {"assessment": "ras-none", "authorization": "aut-none"}
        for n, step in enumerate(order):
            match step:
                case "risk_assessment":
                    caller, route, body = assessor, "assessments", patients.filing()
                case "authorization":
                    caller, route, body = approver, "authorizations", {"assessment": found["assessment"]}
                case "desensitization":
                    digest, certificate = "0" * 64, {}
                    if "raw_digest" in found:
                        product, certificate = patients.product(found)
                        digest = await house.upload(assessor, product)
                    caller, route = assessor, "releases"
                    body = {
                        "authorization": found["authorization"],
                        "product_digest": digest,
                        "certificate": certificate,
                    }
                case "aggregation":
                    caller, route, body = assessor, "theme", {"theme": "medical_care"}
            if step != STEPS[n]:
                missing = f"path.{STEPS[n]}_missing"
                await house.problem(caller, "POST", f"{path}/{route}", body, status=409, code=missing)
                initial = {"act": "initial", "rights": ["right_hold"]}
                route = f"{path}/applications"
                await house.problem(assessor, "POST", route, initial, status=409, code=missing)
                break
            found |= await house.done(caller, f"{path}/{route}", body)
        else:
            await house.register(asset, assessor)
            registered += 1
    assert registered == 1


@pytest.mark.anyio
async def test_the_certificates_four_evidence_hashes_are_leaves_of_the_log(house: Any, patients: Any) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients)
    found = (await house.call(None, "GET", f"/v1/assets/{asset}")).json()
    code = found["asset"]["code"]
    certificate = (await house.call(None, "GET", f"/v1/certificates/{code}")).json()
    assert found["certificate"].items() <= certificate.items()
    assert certificate["code"].startswith("DA-2026-HE-")
    assert set(certificate["evidence"]) == set(STEPS)
    for step, evidence in certificate["evidence"].items():
        receipt = await house.gate.receipt(int(evidence["index"]))
        assert leaf_hash(receipt.leaf).hex() == evidence["leaf_hash"]
        body = orjson.loads(receipt.body)
        assert STEP_OF_KIND[body["kind"]] == step
        assert body["act"]["asset"] == asset
    # The inner papers stay inside, the product's digest is public.
    assert found["assessments"] == found["authorizations"] == found["releases"] == []
    assert found["product"]["rows"] == patients.scan.report["after"]["rows"]
    missing = await house.problem(
        None, "GET", "/v1/certificates/DA-2026-HE-00000000", status=404, code="certificate.unknown"
    )
    assert missing["remedy"]


@pytest.mark.anyio
async def test_titles_documents_and_reasons_stand_in_the_log_only_as_commitments(
    house: Any, patients: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    await house.walk(supplier, patients, title="门诊记录", summary="a summary in words")
    bodies = b"".join([(await house.gate.receipt(n)).body for n in range(await house.log_size())])
    for secret in ("门诊记录", "a summary in words", "a leak would cost trust", "satisfaction", "suppress"):
        assert secret.encode() not in bodies


@pytest.mark.anyio
async def test_a_raw_table_is_refused_with_column_rule_and_remedy_and_deleted(
    house: Any, patients: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients, steps=2)
    granted = (await house.call(supplier[0], "GET", f"/v1/assets/{asset}")).json()["authorizations"][0]
    _, certificate = patients.product({**granted, "authorization": granted["id"]})
    raw = patients.raw.read_bytes()
    digest = await house.upload(supplier[0], raw)
    release = {"authorization": granted["id"], "product_digest": digest, "certificate": certificate}
    outcome = await house.refused(
        supplier[0], f"/v1/assets/{asset}/releases", release, code="release.not_as_declared"
    )
    told = {(failure["column"], failure["rule"]) for failure in outcome["failures"]}
    assert (None, "certificate") in told
    assert ("mobile", "direct_identifier") in told
    assert any(rule == "k_anonymity" for _, rule in told)
    assert all(failure["remedy"] for failure in outcome["failures"])
    assert house.vault.staged(supplier[0].party, digest) is None
    with pytest.raises(NotFound):
        house.vault.open(digest)

    # The refusal costs nothing else: the authorization is still good for the true product.
    found = (await house.call(supplier[0], "GET", f"/v1/assets/{asset}")).json()
    assert found["asset"]["state"] == "authorized"
    assert [release["state"] for release in found["releases"]] == ["refused"]
    product, certificate = patients.product({**granted, "authorization": granted["id"]})
    digest = await house.upload(supplier[0], product)
    release = {"authorization": granted["id"], "product_digest": digest, "certificate": certificate}
    accepted = await house.done(supplier[0], f"/v1/assets/{asset}/releases", release)
    assert accepted["state"] == "released"
    assert accepted["measured"]["k"] == patients.scan.report["after"]["k"]
    with house.vault.at_hand(digest) as path:
        assert path.read_bytes() == product
    assert house.vault.staged(supplier[0].party, digest) is None


@pytest.mark.anyio
async def test_an_authorization_is_used_once_and_a_retry_gets_the_first_answer(
    house: Any, patients: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients, steps=2)
    granted = (await house.call(supplier[0], "GET", f"/v1/assets/{asset}")).json()["authorizations"][0]
    product, certificate = patients.product({**granted, "authorization": granted["id"]})
    digest = await house.upload(supplier[0], product)
    path = f"/v1/assets/{asset}/releases"
    release = {"authorization": granted["id"], "product_digest": digest, "certificate": certificate}

    first = await house.call(supplier[0], "POST", path, release, key="release-1")
    size = await house.log_size()
    assert first.status_code == 201
    # The file is no longer staged, or staged anew: the same request has the same answer.
    for again in (False, True):
        if again:
            await house.upload(supplier[0], product)
        repeated = await house.call(supplier[0], "POST", path, release, key="release-1")
        assert repeated.status_code == 201
        assert repeated.headers["Idempotency-Replayed"] == "true"
        assert repeated.json() == first.json()
    assert await house.log_size() == size

    other = await house.call(supplier[0], "POST", path, {**release, "certificate": {}}, key="release-1")
    assert (other.status_code, other.json()["code"]) == (422, "request.identifier_reused")
    await house.upload(supplier[0], product)
    await house.problem(supplier[0], "POST", path, release, status=409, code="path.desensitization_taken")
    found = (await house.call(supplier[0], "GET", f"/v1/assets/{asset}")).json()
    assert [granted["state"] for granted in found["authorizations"]] == ["used"]


@pytest.mark.anyio
async def test_a_release_without_a_file_or_with_no_table_is_an_error_and_no_refusal(
    house: Any, patients: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients, steps=2)
    granted = (await house.call(supplier[0], "GET", f"/v1/assets/{asset}")).json()["authorizations"][0]
    path = f"/v1/assets/{asset}/releases"
    release = {"authorization": granted["id"], "product_digest": "0" * 64, "certificate": {}}
    await house.problem(supplier[0], "POST", path, release, status=409, code="release.no_file")
    digest = await house.upload(supplier[0], b"PAR1 and then nothing of the kind")
    release["product_digest"] = digest
    await house.problem(supplier[0], "POST", path, release, status=400, code="desensitization.unreadable")
    assert house.vault.staged(supplier[0].party, digest) is None


@pytest.mark.anyio
async def test_a_table_that_needs_a_higher_grade_is_sent_back_to_its_declaration(
    house: Any, patients: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients, steps=2)
    caller = supplier[0]
    granted = (await house.call(caller, "GET", f"/v1/assets/{asset}")).json()["authorizations"][0]
    product, certificate = patients.product({**granted, "authorization": granted["id"]})
    digest = await house.upload(caller, product)
    authorized = await house.gate.read(registration.releasable, asset, granted["id"], caller)
    staged = house.vault.staged(caller.party, digest)
    # Ten million rows are too many for a test, so the measurement of the true file says that it had them.
    measurement = replace(measure_in_child(staged, authorized.policy), grade="important")
    certificate = {**certificate, "grade": "important"}
    found = judge_release(measurement, authorized, digest, certificate)
    assert [failure.rule for failure in found.failures] == ["grade"]
    outcome = await house.act(
        registration.release_product,
        registration.ReleaseProduct(
            asset,
            granted["id"],
            digest,
            certificate,
            registration.document_digest(certificate),
            found.measurement,
            found.failures,
        ),
        caller,
    )
    assert (outcome["state"], outcome["sent_back"]) == ("refused", True)
    after = (await house.call(caller, "GET", f"/v1/assets/{asset}")).json()
    assert after["asset"]["state"] == "declared"
    assert after["authorizations"][0]["state"] == "withdrawn"
    release = {"authorization": granted["id"], "product_digest": digest, "certificate": certificate}
    await house.problem(
        caller,
        "POST",
        f"/v1/assets/{asset}/releases",
        release,
        status=409,
        code="path.risk_assessment_missing",
    )


@pytest.mark.anyio
async def test_a_certificate_of_another_file_table_policy_or_authorization_is_refused(
    house: Any, patients: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients, steps=2)
    caller = supplier[0]
    granted = (await house.call(caller, "GET", f"/v1/assets/{asset}")).json()["authorizations"][0]
    product, certificate = patients.product({**granted, "authorization": granted["id"]})
    digest = await house.upload(caller, product)
    authorized = await house.gate.read(registration.releasable, asset, granted["id"], caller)
    staged = house.vault.staged(caller.party, digest)
    measurement = measure_in_child(staged, authorized.policy)
    assert judge_release(measurement, authorized, digest, certificate).failures == ()
    for member, value in (
        ("raw_digest", "0" * 64),
        ("policy_digest", "0" * 64),
        ("product_digest", "0" * 64),
        ("authorization", {"id": "aut-other", "asset": asset}),
        ("authorization", None),
    ):
        (failure,) = judge_release(measurement, authorized, digest, {**certificate, member: value}).failures
        assert failure.rule == "certificate"
        assert member in failure.detail
    (failure,) = judge_release(
        replace(measurement, file_digest="0" * 64), authorized, digest, certificate
    ).failures
    assert failure.rule == "certificate"


@pytest.mark.anyio
async def test_a_lie_in_a_certificate_is_found_by_recomputing_refused_by_name_and_recorded(
    house: Any, patients: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients, steps=2)
    caller = supplier[0]
    granted = (await house.call(caller, "GET", f"/v1/assets/{asset}")).json()["authorizations"][0]
    product, certificate = patients.product({**granted, "authorization": granted["id"]})
    digest = await house.upload(caller, product)
    authorized = await house.gate.read(registration.releasable, asset, granted["id"], caller)
    measurement = measure_in_child(house.vault.staged(caller.party, digest), authorized.policy)
    after, losses = certificate["after"], certificate["loss_ppm"]
    gone = next(
        column["name"]
        for column in certificate["policy"]["columns"]
        if column["technique"]["name"] == "suppress"
    )
    lies: dict[str, dict[str, Any]] = {
        "after.k": {"after": {**after, "k": "500"}},
        "after.l": {"after": {**after, "l": {"Wang Xiaoming": "9"}}},
        "after": {"after": {**after, "Wang Xiaoming": "9"}},
        "after.marketer_ppm": {"after": {**after, "marketer_ppm": "1"}},
        "product.rows": {"product": {**certificate["product"], "rows": 7}},
        "grade": {"grade": "core"},
        "exemption": {"exemption": {"from": "k", "rule": "Wang Xiaoming"}},
        "policy": {"policy": {**certificate["policy"], "exempt_from_k": True}},
        "raw_rows": {"raw_rows": "1"},
        "suppressed_rows": {"suppressed_rows": {}},
        f"loss_ppm.{gone}": {"loss_ppm": {**losses, gone: "0"}},
        "loss_ppm": {"loss_ppm": {**losses, "Wang Xiaoming": "0"}},
        "row_suppression_ppm": {"row_suppression_ppm": str(int(certificate["row_suppression_ppm"]) + 1)},
    }
    for member, lie in lies.items():
        failures = judge_release(measurement, authorized, digest, {**certificate, **lie}).failures
        assert [failure.rule for failure in failures] == ["certificate"], member
        assert f": {member} is not" in failures[0].detail
        # What it says instead may be a person's name, and the log is for ever.
        assert "Wang" not in failures[0].detail
    nothing = judge_release(measurement, authorized, digest, {"after": 7, "loss_ppm": []}).failures
    assert {failure.rule for failure in nothing} == {"certificate"}

    release = {"authorization": granted["id"], "product_digest": digest}
    told = await house.refused(
        caller,
        f"/v1/assets/{asset}/releases",
        {**release, "certificate": {**certificate, **lies["after.k"]}},
        code="release.certificate",
    )
    assert "after.k" in told["failures"][0]["detail"]
    found = (await house.call(caller, "GET", f"/v1/assets/{asset}")).json()
    assert [one["state"] for one in found["releases"]] == ["refused"]
    await house.upload(caller, product)
    done = await house.done(caller, f"/v1/assets/{asset}/releases", {**release, "certificate": certificate})
    assert done["state"] == "released"


@pytest.mark.anyio
async def test_a_table_without_persons_walks_the_same_path_exempt_from_k(house: Any, weather: Any) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, weather, kind="meteorology")
    found = (await house.call(supplier[0], "GET", f"/v1/assets/{asset}")).json()
    assert found["asset"]["code"].startswith("DA-2026-ME-")
    assert found["releases"][0]["certificate"]["exemption"]["from"] == "k"


@pytest.mark.anyio
async def test_only_known_kinds_themes_and_operators_are_declared(house: Any, patients: Any) -> None:
    supplier = await house.party("supplier", people=2)
    buyer = (await house.party("buyer"))[0]
    for body, problem in (
        ({"title": "t", "kind": "weapons"}, "asset.kind"),
        ({"title": "  ", "kind": "health"}, "asset.title"),
        ({"title": "t", "kind": "health", "operator": buyer.party}, "asset.operator"),
    ):
        await house.problem(supplier[0], "POST", "/v1/assets", body, status=422, code=problem)
    await house.problem(
        buyer, "POST", "/v1/assets", {"title": "t", "kind": "health"}, status=403, code="caller.role"
    )
    asset = await house.walk(supplier, patients, steps=3)
    await house.problem(
        supplier[0],
        "POST",
        f"/v1/assets/{asset}/theme",
        {"theme": "astrology"},
        status=422,
        code="asset.theme",
    )
    words = (await house.call(None, "GET", "/v1/taxonomy")).json()
    assert len(words["kinds"]) == 6
    assert {"id": "population", "zh": "人口", "en": "population"} in words["themes"]


@pytest.mark.anyio
async def test_an_upload_is_named_by_its_bytes_bounded_and_a_suppliers(house: Any) -> None:
    supplier, buyer = (await house.party("supplier"))[0], (await house.party("buyer"))[0]
    for caller, name, headers, status, problem in (
        (supplier, "0" * 64, {}, 422, "upload.digest"),
        (supplier, "nonsense", {}, 400, "digest.form"),
        (supplier, "0" * 64, {"Content-Length": str(2**40)}, 413, "upload.too_large"),
        (buyer, "0" * 64, {}, 403, "caller.role"),
    ):
        size = await house.log_size()
        answer = await house.call(caller, "PUT", f"/v1/uploads/{name}", content=b"rows", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status, problem)
        assert await house.log_size() == size
    assert (await house.http.put(f"/v1/uploads/{'0' * 64}", content=b"rows")).status_code == 401


@pytest.mark.anyio
async def test_whatever_is_sent_in_documents_and_texts_is_answered_by_a_problem(
    house: Any, patients: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients, steps=0)
    path = f"/v1/assets/{asset}/assessments"
    strange: list[Any] = [2**60, "\0", "e\u0301", "x" * 5_000_000, [[[[1.5]]]]]
    deep: Any = "end"
    for _ in range(500):
        deep = [deep]
    for value in [*strange, deep]:
        filing = patients.filing(report={**patients.scan.report, "note": value})
        answer = await house.call(supplier[0], "POST", path, filing)
        assert answer.status_code in (201, 400, 413, 422), (value, answer.text[:200])
        if answer.status_code != 201:
            assert answer.json()["remedy"]
    for title in ("\0", "e\u0301", " ", "x" * 201):
        answer = await house.call(supplier[0], "POST", "/v1/assets", {"title": title, "kind": "health"})
        assert answer.status_code in (400, 422), title
    for odd in ("%00", "..%2F..", "a" * 65):
        assert (await house.call(supplier[0], "GET", f"/v1/assets/{odd}")).status_code in (400, 404)
    assert (await house.call(supplier[0], "GET", "/v1/assets?supplier=%00")).status_code == 422


@pytest.mark.anyio
async def test_a_raw_file_without_a_header_leaves_no_value_of_its_first_row_behind(
    house: Any, patients: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients, steps=2)
    granted = (await house.call(supplier[0], "GET", f"/v1/assets/{asset}")).json()["authorizations"][0]
    raw = patients.raw.read_bytes().partition(b"\n")[2]
    mobile = raw.partition(b",")[0]
    digest = await house.upload(supplier[0], raw)
    release = {"authorization": granted["id"], "product_digest": digest, "certificate": {}}
    outcome = await house.refused(
        supplier[0], f"/v1/assets/{asset}/releases", release, code="release.undeclared_column"
    )
    assert outcome["failures"][0]["column"] == "column 1 of the file"
    body = (await house.gate.receipt(await house.log_size() - 1)).body
    rows = (await house.call(supplier[0], "GET", f"/v1/assets/{asset}")).content
    for kept in (body, rows):
        assert mobile not in kept


@pytest.mark.anyio
async def test_a_certificate_stands_on_acknowledged_entries_alone(house: Any, patients: Any) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients, steps=3)
    caller = supplier[0]
    await house.registrar()
    # Sent together they are decided in one transaction, whose entries nobody has signed yet.
    apply = applications.Apply(asset, "initial", ("right_hold",))
    themed, applied = await asyncio.gather(
        house.act(registration.assign_theme, registration.AssignTheme(asset, "medical_care"), caller),
        house.act(applications.apply, apply, caller),
    )
    assert (themed["state"], applied["state"]) == ("themed", "applied")
    clerk, reviewer = house.registrars
    application = applied["application"]
    await house.act(applications.accept, applications.Accept(application, "accept"), clerk)
    answers: Any = await asyncio.gather(
        house.act(applications.review, applications.Review(application, "pass"), reviewer),
        house.act(effects.conclude, effects.Conclude(application), CLOCK),
        return_exceptions=True,
    )
    reviewed, concluded = answers
    assert reviewed["state"] == "noticed"
    assert isinstance(concluded, Conflict)
    assert concluded.code == "path.not_acknowledged"
    registered = await house.act(effects.conclude, effects.Conclude(application), CLOCK)
    assert registered["state"] == "registered"
