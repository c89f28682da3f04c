"""The register: two registrars, a public notice on the working-day clock, objections, and what becomes of a registration."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from exchange.acts import CLOCK, Caller
from exchange.client.certificates import verify_certificate
from exchange.client.errors import Unproven
from exchange.errors import Conflict
from exchange.registration import effects
from exchange.registration.compliance import Assessed, objection
from exchange.registration.procedure import months_later_us
from exchange.registration.rights import RIGHTS
from exchange.replay import replay
from exchange.rulebook.days import day_of, first_us
from exchange.web import mount
from exchange.worker import Worker
from ledger.checkpoint import Verifier
from tests.exchange.conftest import LAWFUL, House
from tests.exchange.floor import DAY_US, Floor, licence, themed
from tests.exchange.floor import bodies as bodies_of

pytestmark = pytest.mark.anyio

SCAN = "5c" * 32


async def tick(house: House) -> None:
    """Let the clock do what is due: what it concludes gives the next turn something to do."""
    await Worker(house.gate, house.gate.database).register()


async def stage(house: House, application: str) -> str:
    """Where an application stands, as its registrar sees it."""
    view = (await house.call(house.registrars[0], "GET", f"/v1/applications/{application}")).json()
    return str(view["state"])


async def public(house: House, application: str) -> dict[str, Any]:
    """The notice as somebody without a key reads it."""
    found: dict[str, Any] = (await house.call(None, "GET", f"/v1/notices/{application}")).json()
    return found


async def code_of(house: House, asset: str) -> str:
    """The public code of a registered asset."""
    return str((await house.call(None, "GET", f"/v1/assets/{asset}")).json()["asset"]["code"])


async def sound(house: House) -> None:
    """A stranger who decides the whole log again finds nothing that was not allowed."""
    market = replay(await bodies_of(house.gate))
    assert market.differences == []
    assert market.judged["registrations"] > 0


async def test_the_code_comes_when_the_notice_has_ended_and_not_a_moment_before(lawful: House) -> None:
    (supplier,) = await lawful.party("supplier")
    asset = await themed(lawful, supplier)
    application = await lawful.notice(asset, supplier)
    notice = await public(lawful, application)
    # Counted the slow way: the tenth working day after this one, National Day's holidays among the days between.
    day, left = day_of(lawful.now_us), LAWFUL.value("registration.notice_working_days")
    while left:
        day += timedelta(days=1)
        left -= LAWFUL.calendar.works(day)
    assert int(notice["ends_us"]) == first_us(day + timedelta(days=1))
    assert (day - day_of(lawful.now_us)).days > 14
    assert [row["application"] for row in (await lawful.call(None, "GET", "/v1/notices")).json()] == [
        application
    ]
    lawful.now_us = int(notice["ends_us"]) - 1
    await tick(lawful)
    with pytest.raises(Conflict) as early:
        await lawful.act(effects.conclude, effects.Conclude(application), CLOCK)
    assert early.value.code == "notice.running"
    assert "26号" in str(early.value.rule)
    await lawful.problem(None, "GET", f"/v1/assets/{asset}", status=404, code="asset.unknown")
    lawful.now_us += 1
    await tick(lawful)
    code = await code_of(lawful, asset)
    assert code.startswith("DA-2026-TR-")
    assert (await lawful.call(None, "GET", "/v1/notices")).json() == []
    assert (await public(lawful, application))["state"] == "concluded"
    certificate = (await lawful.call(None, "GET", f"/v1/certificates/{code}")).json()
    assert {right["right"] for right in certificate["rights"]} == set(RIGHTS)
    assert {right["holder"] for right in certificate["rights"]} == {supplier.party}
    assert set(certificate["steps"]) == {"applied", "accepted", "reviewed"}
    assert certificate["ends_us"] == str(months_later_us(lawful.now_us, 36))
    await sound(lawful)


async def test_who_accepted_does_not_review_and_who_reviewed_does_not_judge_the_objection(
    lawful: House,
) -> None:
    (supplier,), (buyer,) = await lawful.party("supplier"), await lawful.party("buyer")
    asset = await themed(lawful, supplier)
    clerk, reviewer = await lawful.registrar()
    initial = {"act": "initial", "rights": ["right_hold"]}
    application = (await lawful.done(supplier, f"/v1/assets/{asset}/applications", initial))["application"]
    path = f"/v1/applications/{application}"
    passing = {"decision": "pass"}
    await lawful.problem(reviewer, "POST", f"{path}/review", passing, status=409, code="application.stage")
    await lawful.done(clerk, f"{path}/acceptance", {"decision": "accept"})
    await lawful.refused(clerk, f"{path}/review", passing, code="registration.four_eyes")
    await lawful.done(reviewer, f"{path}/review", passing)
    objecting = f"/v1/notices/{application}/objections"
    filed = await lawful.done(buyer, objecting, {"reason": "half of it is ours"})
    decision = f"/v1/objections/{filed['objection']}/decision"
    answer = {"decision": "dismiss", "answer": "it is not"}
    await lawful.refused(reviewer, decision, answer, code="objection.four_eyes")
    await lawful.done(clerk, decision, answer)
    await lawful.problem(clerk, "POST", decision, answer, status=409, code="objection.decided")
    for role in ("buyer", "supplier", "regulator", "administrator"):
        (other,) = await lawful.party(role)
        for route, body in (("acceptance", {"decision": "accept"}), ("review", passing)):
            await lawful.problem(other, "POST", f"{path}/{route}", body, status=403, code="caller.role")
        await lawful.problem(other, "POST", decision, answer, status=403, code="caller.role")
    await sound(lawful)


async def test_an_objection_holds_the_code_until_it_is_decided(lawful: House) -> None:
    (supplier,), (buyer,) = await lawful.party("supplier"), await lawful.party("buyer")
    asset = await themed(lawful, supplier)
    application = await lawful.notice(asset, supplier)
    path = f"/v1/notices/{application}/objections"
    await lawful.problem(supplier, "POST", path, {"reason": "why not"}, status=403, code="objection.own")
    first = await lawful.done(buyer, path, {"reason": "the roads are ours"})
    second = await lawful.done(buyer, path, {"reason": "and so are the bridges"})
    lawful.now_us = int((await public(lawful, application))["ends_us"])
    await lawful.problem(buyer, "POST", path, {"reason": "too late"}, status=409, code="notice.over")
    await tick(lawful)
    with pytest.raises(Conflict) as held:
        await lawful.act(effects.conclude, effects.Conclude(application), CLOCK)
    assert held.value.code == "notice.objected"
    clerk = lawful.registrars[0]
    dismiss = {"decision": "dismiss", "answer": "they are the city's"}
    await lawful.done(clerk, f"/v1/objections/{first['objection']}/decision", dismiss)
    await tick(lawful)
    assert await stage(lawful, application) == "noticed"
    await lawful.done(clerk, f"/v1/objections/{second['objection']}/decision", dismiss)
    await tick(lawful)
    assert await stage(lawful, application) == "concluded"
    said = await public(lawful, application)
    assert [one["state"] for one in said["objections"]] == ["dismissed", "dismissed"]
    assert "bridges" not in orjson.dumps(said).decode()  # the reason is for whom it concerns
    detail = (await lawful.call(supplier, "GET", f"/v1/applications/{application}")).json()
    assert detail["objections"][1]["reason"] == "and so are the bridges"
    await sound(lawful)


async def test_an_objection_that_is_upheld_ends_the_application_and_the_department_may_apply_again(
    lawful: House,
) -> None:
    (supplier,), (buyer,) = await lawful.party("supplier"), await lawful.party("buyer")
    asset = await themed(lawful, supplier)
    application = await lawful.notice(asset, supplier)
    filed = await lawful.done(buyer, f"/v1/notices/{application}/objections", {"reason": "copied from us"})
    uphold = {"decision": "uphold", "answer": "shown by their records"}
    await lawful.done(lawful.registrars[0], f"/v1/objections/{filed['objection']}/decision", uphold)
    assert await stage(lawful, application) == "rejected"
    lawful.now_us += 60 * DAY_US
    await tick(lawful)
    await lawful.problem(None, "GET", f"/v1/assets/{asset}", status=404, code="asset.unknown")
    await lawful.notice(asset, supplier)
    await sound(lawful)


async def test_what_is_before_the_registrar_stays_as_it_is_until_it_is_withdrawn(house: House) -> None:
    (supplier,), (other,) = await house.party("supplier"), await house.party("supplier")
    asset = await themed(house, supplier)
    await house.registrar()
    initial = {"act": "initial", "rights": ["right_use"]}
    path = f"/v1/assets/{asset}/applications"
    await house.problem(other, "POST", path, initial, status=404, code="asset.unknown")
    application = (await house.done(supplier, path, initial))["application"]
    theme = {"theme": "travel"}
    await house.problem(supplier, "POST", f"/v1/assets/{asset}/theme", theme, status=409, code="path.applied")
    await house.problem(supplier, "POST", path, initial, status=409, code="path.applied")
    withdrawal = f"/v1/applications/{application}/withdrawal"
    await house.problem(other, "POST", withdrawal, {"reason": "no"}, status=404, code="application.unknown")
    await house.problem(
        other, "GET", f"/v1/applications/{application}", status=404, code="application.unknown"
    )
    await house.done(supplier, withdrawal, {"reason": "a wrong theme"})
    await house.problem(
        supplier, "POST", withdrawal, {"reason": "again"}, status=409, code="application.stage"
    )
    await house.done(supplier, f"/v1/assets/{asset}/theme", theme)
    assert (await house.register(asset, supplier))["state"] == "registered"
    await sound(house)


async def test_what_is_returned_or_rejected_says_why_and_can_be_applied_for_again(house: House) -> None:
    (supplier,) = await house.party("supplier")
    asset = await themed(house, supplier)
    clerk, reviewer = await house.registrar()
    for decision in ("return at the desk", "return", "reject"):
        initial = {"act": "initial", "rights": ["right_use"]}
        application = (await house.done(supplier, f"/v1/assets/{asset}/applications", initial))["application"]
        path = f"/v1/applications/{application}"
        if decision == "return at the desk":
            returned = {"decision": "return"}
            await house.problem(
                clerk, "POST", f"{path}/acceptance", returned, status=422, code="application.no_reason"
            )
            await house.done(clerk, f"{path}/acceptance", {**returned, "reason": "no source named"})
        else:
            await house.done(clerk, f"{path}/acceptance", {"decision": "accept"})
            negative = {"decision": decision, "reason": "no source named"}
            await house.done(reviewer, f"{path}/review", negative)
        view = (await house.call(supplier, "GET", path)).json()
        assert (view["state"], view["said"]) == (
            "rejected" if decision == "reject" else "returned",
            "no source named",
        )
    await house.register(asset, supplier)
    await sound(house)


async def test_nobody_registers_the_own_assets_and_one_registrar_carries_a_case_to_its_end(
    house: House,
) -> None:
    both = await house.party("supplier", "registrar", people=2)
    asset = await themed(house, both[0])
    initial = {"act": "initial", "rights": ["right_use"]}
    application = (await house.done(both[0], f"/v1/assets/{asset}/applications", initial))["application"]
    path = f"/v1/applications/{application}"
    accept = {"decision": "accept"}
    await house.refused(both[1], f"{path}/acceptance", accept, code="registration.own")
    clerk, _ = await house.registrar()
    await house.done(clerk, f"{path}/acceptance", accept)
    elsewhere = await house.party("registrar")
    await house.refused(
        elsewhere[0], f"{path}/review", {"decision": "pass"}, code="registration.other_registrar"
    )
    await sound(house)


async def test_a_registrar_that_lets_its_time_pass_is_shown_as_overdue(lawful: House) -> None:
    (supplier,) = await lawful.party("supplier")
    asset = await themed(lawful, supplier)
    clerk, _ = await lawful.registrar()
    initial = {"act": "initial", "rights": ["right_use"]}
    applied = await lawful.done(supplier, f"/v1/assets/{asset}/applications", initial)
    path = f"/v1/applications/{applied['application']}"
    assert applied["due_us"] == str(LAWFUL.calendar.deadline(lawful.now_us, 3).ends_us)
    assert (await lawful.call(supplier, "GET", path)).json()["overdue"] is False
    lawful.now_us = int(applied["due_us"])
    (waiting,) = (await lawful.call(clerk, "GET", "/v1/applications?state=applied")).json()
    assert waiting["overdue"] is True
    accepted = await lawful.done(clerk, f"{path}/acceptance", {"decision": "accept"})
    assert accepted["due_us"] == str(LAWFUL.calendar.deadline(lawful.now_us, 20).ends_us)
    assert (await lawful.call(supplier, "GET", path)).json()["overdue"] is False


async def test_S31_anybody_comments_on_a_public_notice_without_an_account(lawful: House) -> None:
    (supplier,), (buyer,) = await lawful.party("supplier"), await lawful.party("buyer")
    asset = await themed(lawful, supplier)
    application = await lawful.notice(asset, supplier)
    path = f"/v1/notices/{application}/comments"
    said = {"text": "一处错误:七号线没有夜班车"}
    first = await lawful.call(None, "POST", path, said, key="mine", headers={"Idempotency-Key": "mine"})
    assert first.status_code == 201, first.text
    body = lawful.verify(first.json())
    assert (body["party"], body["act"]["party"]) == ("public", None)
    again = await lawful.call(None, "POST", path, said, key="another", headers={"Idempotency-Key": "another"})
    assert (
        again.json()["receipt"]["index"] == first.json()["receipt"]["index"]
    )  # the same said twice is one comment
    await lawful.done(buyer, path, {"text": "we would buy it"})
    comments = (await public(lawful, application))["comments"]
    assert (comments[0]["by"], comments[0]["text"]) == (None, said["text"])
    assert comments[1]["by"].startswith("party ")
    log = b"".join([(await lawful.gate.receipt(n)).body for n in range(await lawful.log_size())])
    assert said["text"].encode() not in log
    await lawful.problem(None, "GET", "/v1/notices/app-none", status=404, code="notice.unknown")
    lawful.now_us = int((await public(lawful, application))["ends_us"])
    await lawful.problem(None, "POST", path, {"text": "late"}, status=409, code="notice.over")


async def test_a_certificate_is_judged_without_the_exchange_and_each_altered_member_is_named(
    house: House,
) -> None:
    (supplier,) = await house.party("supplier")
    asset = await themed(house, supplier)
    await house.register(asset, supplier)
    code = await code_of(house, asset)
    document = (await house.call(None, "GET", f"/v1/certificates/{code}/document")).json()
    verifiers = [Verifier.parse(house.gate.signer.vkey)]
    certified = verify_certificate(document, verifiers)
    assert (certified.code, certified.title, certified.kind) == (code, "flights", "transport")
    assert certified.holder is not None
    assert [right["right"] for right in certified.rights] == list(RIGHTS)
    for path, value in (
        ("certificate.code", "DA-2026-TR-00000000"),
        ("certificate.grade", "open"),
        ("certificate.evidence", {}),
        ("certificate.steps", {}),
        ("certificate.starts_us", "1"),
        ("receipt.index", "0"),
        ("receipt.proof", []),
        ("openings", {}),
    ):
        altered = orjson.loads(orjson.dumps(document))
        *outer, last = path.split(".")
        inner = altered[outer[0]] if outer else altered
        inner[last] = value
        with pytest.raises(Unproven) as told:
            verify_certificate(altered, verifiers)
        assert str(told.value.field).startswith(path.partition(".")[0]) or path == "openings", path
    forged = orjson.loads(orjson.dumps(document))
    for opening in forged["openings"].values():
        opening["text"] = "another"
    with pytest.raises(Unproven):
        verify_certificate(forged, verifiers)
    with pytest.raises(Unproven):
        verify_certificate({"certificate": {}}, verifiers)


async def test_S10_S11_a_paper_form_at_the_counter_gives_the_record_that_the_api_gives(house: House) -> None:
    department = await house.party("supplier", people=2)
    clerk, reviewer = await house.registrar()
    initial = {"act": "initial", "rights": ["right_hold", "right_use"]}
    online, paper = [await themed(house, department[0]) for _ in range(2)]
    form = {"party": department[0].party, "person": department[0].person, "scan": SCAN}
    by_api = await house.done(department[0], f"/v1/assets/{online}/applications", initial)
    by_clerk = await house.done(clerk, f"/v1/assets/{paper}/applications", {**initial, "counter": form})
    own = {"application", "asset", "counter"}
    assert {k: v for k, v in by_api.items() if k not in own} == {
        k: v for k, v in by_clerk.items() if k not in own
    }
    assert (by_api["counter"], by_clerk["counter"]) == (None, {"clerk": clerk.person, "scan": SCAN})
    path = f"/v1/applications/{by_clerk['application']}"
    view = (await house.call(department[1], "GET", path)).json()
    assert (view["applicant"], view["clerk"], view["scan"]) == (department[0].person, clerk.person, SCAN)
    await house.done(reviewer, f"{path}/acceptance", {"decision": "accept"})
    # Who entered the form is one of its two registrars, and not the second as well.
    await house.refused(clerk, f"{path}/review", {"decision": "pass"}, code="registration.four_eyes")
    for wrong, status, code in (
        ({**form, "person": clerk.person}, 422, "counter.person"),
        ({**form, "scan": "ab"}, 400, "request.form"),
    ):
        body = {**initial, "counter": wrong}
        route = f"/v1/assets/{online}/applications"
        await house.problem(clerk, "POST", route, body, status=status, code=code)
    body = {**initial, "counter": form}
    await house.problem(
        department[0], "POST", f"/v1/assets/{online}/applications", body, status=403, code="caller.role"
    )
    await sound(house)


async def holding(house: House) -> tuple[Caller, str, str, dict[str, str]]:
    """A department with a registered asset: its person, the asset, its code, and its rights by name."""
    (supplier,) = await house.party("supplier")
    asset = await themed(house, supplier)
    registered = await house.register(asset, supplier)
    return supplier, asset, registered["code"], {one["right"]: one["id"] for one in registered["rights"]}


async def certificate_of(house: House, code: str) -> dict[str, Any]:
    """A certificate as everybody reads it."""
    found: dict[str, Any] = (await house.call(None, "GET", f"/v1/certificates/{code}")).json()
    return found


async def test_a_right_is_permitted_never_longer_or_more_often_than_it_is_held(house: House) -> None:
    supplier, asset, code, rights = await holding(house)
    one, two = [(await house.party("buyer"))[0] for _ in range(2)]
    path = f"/v1/assets/{asset}/applications"
    ends = int((await certificate_of(house, code))["ends_us"])
    permit = {"act": "permit", "grant": rights["right_use"], "to": one.party, "ends_us": str(ends)}
    for changed, status, problem in (
        ({"ends_us": str(ends + 1)}, 422, "right.term"),
        ({"ends_us": str(house.now_us)}, 422, "right.term"),
        ({"grant": rights["right_hold"]}, 422, "right.kind"),
        ({"grant": "rgt-none"}, 404, "right.unknown"),
        ({"to": supplier.party}, 422, "right.to_oneself"),
        ({"to": "org-none"}, 422, "right.receiver"),
    ):
        await house.problem(supplier, "POST", path, {**permit, **changed}, status=status, code=problem)
    await house.problem(one, "POST", path, permit, status=403, code="right.not_yours")
    await house.register(asset, supplier, "permit", **{k: v for k, v in permit.items() if k != "act"})
    for again, problem in (
        (permit, "right.granted_twice"),
        ({**permit, "to": two.party, "exclusive": True}, "right.exclusive"),
    ):
        await house.problem(supplier, "POST", path, again, status=409, code=problem)
    permitted = next(
        right for right in (await certificate_of(house, code))["rights"] if right["holder"] == one.party
    )
    onward = {**permit, "grant": permitted["id"], "to": two.party}
    await house.problem(one, "POST", path, onward, status=422, code="right.permitted")
    moving = {"act": "transfer", "grant": permitted["id"], "to": two.party}
    await house.problem(one, "POST", path, moving, status=422, code="right.moved")
    await sound(house)


async def test_beside_an_exclusive_permit_there_is_no_other_and_the_second_of_two_that_race_has_no_effect(
    house: House,
) -> None:
    supplier, asset, code, rights = await holding(house)
    one, two = [(await house.party("buyer"))[0] for _ in range(2)]
    ends = (await certificate_of(house, code))["ends_us"]
    # Both pass every gate while neither has taken effect yet; what takes effect first leaves no room for the second.
    permits = [
        await house.notice(
            asset, supplier, "permit",
            grant=rights["right_operate"], to=who.party, ends_us=ends, exclusive=True,
        )
        for who in (one, two)
    ]  # fmt: skip
    outcomes = await asyncio.gather(
        *(house.act(effects.conclude, effects.Conclude(name), CLOCK) for name in permits)
    )
    assert [outcome["state"] for outcome in outcomes] == ["concluded", "refused"]
    assert outcomes[1]["reason"]["code"] == "right.exclusive"
    assert [await stage(house, name) for name in permits] == ["concluded", "rejected"]
    holders = [right["holder"] for right in (await certificate_of(house, code))["rights"] if right["parent"]]
    assert holders == [one.party]
    await sound(house)


async def test_a_right_that_was_moved_is_its_new_holders_and_cannot_be_moved_twice(house: House) -> None:
    supplier, asset, code, rights = await holding(house)
    one, two = [(await house.party("buyer"))[0] for _ in range(2)]
    moving = {"grant": rights["right_operate"], "to": one.party}
    await house.register(asset, supplier, "transfer", **moving)
    path = f"/v1/assets/{asset}/applications"
    again = {"act": "transfer", **moving, "to": two.party}
    await house.problem(supplier, "POST", path, again, status=403, code="right.not_yours")
    await house.register(asset, one, "transfer", **{**moving, "to": two.party})
    held = {right["right"]: right["holder"] for right in (await certificate_of(house, code))["rights"]}
    assert held == {
        "right_hold": supplier.party,
        "right_use": supplier.party,
        "right_operate": two.party,
    }
    await sound(house)


async def test_what_is_changed_or_corrected_stands_in_a_further_version_of_the_certificate(
    house: House,
) -> None:
    supplier, asset, code, _ = await holding(house)
    (other,) = await house.party("supplier")
    path = f"/v1/assets/{asset}/applications"
    change = {"title": "flights of New York", "reason": "it was too short"}
    wrong: tuple[tuple[Caller, dict[str, Any], int, str], ...] = (
        (other, {"act": "change", **change}, 403, "application.not_holder"),
        (supplier, {"act": "change", "reason": "why"}, 422, "application.nothing"),
        (supplier, {"act": "change", "title": "t"}, 422, "application.members"),
        (supplier, {"act": "cancel", "reason": "r", "title": "t"}, 422, "application.members"),
        (supplier, {"act": "initial", "rights": ["right_use"]}, 409, "path.registered"),
        (supplier, {"act": "initial"}, 422, "application.members"),
        (supplier, {"act": "initial", "rights": ["right_use"] * 2}, 422, "application.rights"),
        (supplier, {"act": "renew"}, 409, "renewal.early"),
    )
    for caller, body, status, problem in wrong:
        await house.problem(caller, "POST", path, body, status=status, code=problem)
    application = await house.notice(asset, supplier, "change", **change)
    notice = await public(house, application)
    assert (notice["title"], notice["new_title"]) == ("flights", "flights of New York")
    await house.problem(
        supplier, "POST", path, {"act": "change", **change}, status=409, code="application.under_way"
    )
    await tick(house)
    await house.register(asset, supplier, "correct", summary="by hour and day", reason="a slip")
    found = await certificate_of(house, code)
    assert (found["title"], found["summary"], found["version"]) == (
        "flights of New York",
        "by hour and day",
        "3",
    )
    assert [one["act"] for one in found["history"]] == ["initial", "change", "correct"]
    await sound(house)


async def test_a_certificate_is_reminded_of_renewed_and_ends_with_its_rights_and_offers(
    lawful: House,
) -> None:
    (supplier,) = await lawful.party("supplier")
    asset = await themed(lawful, supplier)
    application = await lawful.notice(asset, supplier)
    lawful.now_us = int((await public(lawful, application))["ends_us"])
    await tick(lawful)
    code = await code_of(lawful, asset)
    for round_ in range(2):
        ends = int((await certificate_of(lawful, code))["ends_us"])
        last = day_of(ends - 1)
        reminded = first_us(LAWFUL.calendar.add(last, -20))
        size = await lawful.log_size()
        lawful.now_us = reminded - 1
        await tick(lawful)
        assert await lawful.log_size() == size
        lawful.now_us = reminded
        await tick(lawful)
        await tick(lawful)
        (entry,) = [body for index, body in await bodies_of(lawful.gate) if index >= size]
        assert (entry["kind"], entry["act"]["ends_us"]) == ("registration_reminded", str(ends))
        receipt = await lawful.call(supplier, "GET", f"/v1/receipts/{size}")
        assert receipt.status_code == 200  # its parties hear it
        if round_ == 0:
            await lawful.notice(asset, supplier, "renew")
            await tick(lawful)
            renewed = await certificate_of(lawful, code)
            assert renewed["ends_us"] == str(months_later_us(ends - 1, 36))
            assert {right["ends_us"] for right in renewed["rights"]} == {renewed["ends_us"]}
    lawful.now_us = ends
    await tick(lawful)
    found = await certificate_of(lawful, code)
    assert (found["state"], [right["active"] for right in found["rights"]]) == ("expired", [False] * 3)
    await lawful.problem(None, "GET", f"/v1/assets/{asset}", status=404, code="asset.unknown")
    await sound(lawful)


async def test_a_registration_ends_by_its_holder_or_by_order_but_not_while_it_is_up_for_auction(
    house: House,
) -> None:
    floor = await Floor.open(house)
    asset = await floor.asset()
    listing = await floor.listing(licence(1_000), asset)
    await floor.lot(asset)
    clerk, _ = await house.registrar()
    revocation = f"/v1/assets/{asset}/revocation"
    order = {"ground": "order", "reason": "a court said so"}
    for caller, body, status, problem in (
        (clerk, order, 409, "registration.lot_open"),
        (clerk, {**order, "ground": "dislike"}, 422, "revocation.ground"),
    ):
        await house.problem(caller, "POST", revocation, body, status=status, code=problem)
    house.now_us += 2 * DAY_US
    await Worker(house.gate, house.gate.database).tick()
    assert (await house.done(clerk, revocation, order))["ended"] == [listing]
    rows = await floor.rows("SELECT state FROM listing WHERE id = %s", listing)
    assert rows == [("ended",)]
    with pytest.raises(Conflict):
        await floor.listing(licence(1_000), asset)
    await house.problem(clerk, "POST", revocation, order, status=404, code="asset.unknown")
    await sound(house)


async def test_the_certificate_and_the_notice_are_pages_in_both_languages_and_hold_no_script_of_anybodys(
    lawful: House,
) -> None:
    mount(lawful.app)
    (supplier,), (buyer,) = await lawful.party("supplier"), await lawful.party("buyer")
    asset = await themed(lawful, supplier)
    application = await lawful.notice(asset, supplier)
    hostile = "<script>alert(1)</script>"
    await lawful.done(buyer, f"/v1/notices/{application}/comments", {"text": hostile})
    await lawful.done(buyer, f"/v1/notices/{application}/objections", {"reason": "ours"})

    async def page(path: str) -> str:
        response = await lawful.http.get(path)
        assert response.status_code == 200, (path, response.text[:500])
        assert hostile not in response.text
        return response.text

    for language, words in (
        ("zh", ("登记公示", "首次登记", "待裁定")),
        ("en", ("Public notices", "first registration", "undecided")),
    ):
        listed, shown = await page(f"/{language}/notices"), await page(f"/{language}/notices/{application}")
        assert words[0] in listed
        assert application in listed
        assert words[1] in shown
        assert words[2] in shown
        assert "alert(1)" in shown
    detail = (await lawful.call(supplier, "GET", f"/v1/applications/{application}")).json()
    answer = {"decision": "dismiss", "answer": "no"}
    await lawful.done(
        lawful.registrars[0], f"/v1/objections/{detail['objections'][0]['id']}/decision", answer
    )
    lawful.now_us = int((await public(lawful, application))["ends_us"])
    await tick(lawful)
    code = await code_of(lawful, asset)
    for language, words in (
        ("zh", ("登记证书", "持有权", "风险评估")),
        ("en", ("Certificate of registration", "right to hold", "risk assessment")),
    ):
        shown = await page(f"/{language}/certificates/{code}")
        for word in (*words, code, lawful.gate.signer.vkey.replace("+", "&#43;")):
            assert word in shown or word.replace("&#43;", "+") in shown, word
    missing = await lawful.http.get("/en/certificates/DA-2026-TR-00000000")
    assert missing.status_code == 404


async def test_a_provider_is_independent_its_word_has_a_term_and_not_compliant_keeps_from_the_notice(
    house: House,
) -> None:
    (supplier,), (one, other) = await house.party("supplier"), await house.party("service_provider", people=2)
    asset = await themed(house, supplier)
    clerk, reviewer = await house.registrar()
    engaging = f"/v1/assets/{asset}/compliance-engagements"
    both = await house.party("supplier", "service_provider")
    own = await themed(house, both[0])
    themselves = {"provider": both[0].party}
    await house.refused(
        both[0], f"/v1/assets/{own}/compliance-engagements", themselves, code="compliance.related"
    )
    nobody = {"provider": clerk.party}
    await house.problem(supplier, "POST", engaging, nobody, status=422, code="compliance.provider")

    async def finding(conclusion: str, days: int) -> None:
        engaged = await house.done(supplier, engaging, {"provider": one.party})
        path = f"/v1/compliance/{engaged['engagement']}/report"
        said = {"conclusion": conclusion, "report_digest": "7e" * 32, "summary": "as found"}
        late = {**said, "ends_us": str(house.now_us + 800 * DAY_US)}
        await house.problem(one, "POST", path, late, status=422, code="compliance.term")
        await house.problem(both[0], "POST", path, late, status=404, code="engagement.unknown")
        await house.done(other, path, {**said, "ends_us": str(house.now_us + days * DAY_US)})
        await house.problem(
            one, "POST", path, {**late, "ends_us": str(house.now_us + 1)}, status=409, code="compliance.filed"
        )

    await finding("not_compliant", 30)
    initial = {"act": "initial", "rights": ["right_hold"]}
    application = (await house.done(supplier, f"/v1/assets/{asset}/applications", initial))["application"]
    path = f"/v1/applications/{application}"
    await house.done(clerk, f"{path}/acceptance", {"decision": "accept"})
    passing = {"decision": "pass"}
    await house.problem(reviewer, "POST", f"{path}/review", passing, status=409, code="compliance.negative")
    await finding("compliant", 300)  # the same provider's newer word
    await house.done(reviewer, f"{path}/review", passing)
    await tick(house)
    found = await certificate_of(house, await code_of(house, asset))
    assert [said["conclusion"] for said in found["compliance"]] == ["not_compliant", "compliant"]
    mine = (await house.call(supplier, "GET", "/v1/compliance")).json()
    assert [row["summary"] for row in mine] == ["as found", "as found"]
    assert (await house.call(both[0], "GET", "/v1/compliance")).json() == []
    await sound(house)


def test_where_the_rules_ask_for_an_assessment_one_has_to_stand_and_an_ended_word_counts_for_nothing() -> (
    None
):
    required = "registration.compliance_required"
    strict = replace(LAWFUL, rules={**LAWFUL.rules, required: replace(LAWFUL[required], value=True)})
    word = Assessed("one", "compliant", 100, 1)
    assert objection([word], 99, strict) is None
    for found, now_us, rules, code in (
        ([], 0, strict, "compliance.missing"),
        ([word], 100, strict, "compliance.missing"),
        ([word, replace(word, conclusion="not_compliant", index=2)], 50, LAWFUL, "compliance.negative"),
        (
            [word, replace(word, provider="two", conclusion="not_compliant")],
            50,
            LAWFUL,
            "compliance.negative",
        ),
    ):
        problem = objection(found, now_us, rules)
        assert problem is not None
        assert problem.code == code
    ended = replace(word, conclusion="not_compliant", ends_us=50)
    assert objection([ended], 50, LAWFUL) is None
