"""The opening gate: what may never be opened, how far the rest is, on which condition, and who has to approve it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from exchange import auctions, authorization, credentials, parties, registration, rulebook, sales
from exchange.acts import Caller
from exchange.desensitization.grade import Declared, Impact
from exchange.desensitization.judge import ColumnMeasure, Measurement, Risk
from exchange.errors import ExchangeError, Unprocessable
from exchange.registration.opening import OPENINGS, declared, narrowest
from exchange.replay import replay
from exchange.rulebook import PRESETS, load
from tests.exchange.conftest import House
from tests.exchange.floor import DAY_US, Floor, bodies, licence

T = TypeVar("T")

SECRETS: dict[str, dict[str, Any]] = {
    "assessment.core": {
        "impacts": [{"harmed": "national_security", "degree": "serious", "reason": "where depots lie"}]
    },
    "assessment.state_secret": {"declared": {"state_secret": True}},
    "assessment.trade_secret": {"declared": {"trade_secret": True}},
    "assessment.privacy": {"declared": {"privacy_consented": None}},
    "assessment.biometric": {},
}
"""What may never be opened, by the code of its refusal, and what of a filing shows it."""


def test_the_narrowest_of_some_attributes_lets_in_nobody_whom_one_of_them_keeps_out() -> None:
    for one, other in product(OPENINGS, repeat=2):
        found = narrowest(one, other)
        assert found in (one, other)
        assert (found == "closed") == ("closed" in (one, other))
        assert (found == "open") == (one == other == "open")


@pytest.mark.parametrize("preset", [None, *PRESETS])
def test_S53_each_model_has_its_default_and_what_is_wider_takes_a_reason(preset: str | None) -> None:
    rules = load("cn-venue", preset)
    usual = {None: "conditional", "top-level": "closed", "cooperation": "conditional", "data-driven": "open"}
    assert declared(None, "", (), qualified=False, rules=rules).opening == usual[preset]
    for said in OPENINGS:
        wider = OPENINGS.index(said) < [*OPENINGS].index(usual[preset])  # type: ignore[arg-type]  # one of the three
        if wider:
            with pytest.raises(Unprocessable) as refused:
                declared(said, " ", (), qualified=False, rules=rules)
            assert refused.value.code == "asset.opening_reason"
            assert refused.value.rule
            assert "廖福崇" in refused.value.rule
        assert declared(said, "planned", (), qualified=False, rules=rules).opening == said
    for wrong, code in ((("industry", "industry"), "asset.purposes"), (("fun",), "asset.purposes")):
        with pytest.raises(Unprocessable) as refused:
            declared("conditional", "planned", wrong, qualified=False, rules=rules)
        assert refused.value.code == code
    with pytest.raises(Unprocessable) as refused:
        declared("ajar", "planned", (), qualified=False, rules=rules)
    assert refused.value.code == "asset.opening"


@pytest.mark.anyio
async def test_S23_what_may_never_be_opened_is_refused_by_a_stable_code_recorded_and_closed(
    house: House, patients: Any
) -> None:
    assessor, approver = await house.party("supplier", people=2)
    asset = await house.walk([assessor, approver], patients, steps=2, opening="conditional")
    path = f"/v1/assets/{asset}"
    answers = {"state_secret": False, "trade_secret": False, "privacy_consented": False}
    face = {**patients.scan.report["findings"][0], "column": "face", "kind": "biometric"}
    for code, said in SECRETS.items():
        filing = patients.filing(**{**said, "declared": {**answers, **said.get("declared", {})}})
        if code == "assessment.biometric":
            filing["report"] = {
                **patients.scan.report,
                "findings": [*patients.scan.report["findings"], face],
            }
        size = await house.log_size()
        told = await house.refused(assessor, f"{path}/assessments", filing, code=code)
        assert await house.log_size() == size + 1
        assert "(" in told["reason"]["rule"]  # it cites its clause
        assert code != "assessment.biometric" or told["reason"]["field"] == "face"
        found = (await house.call(assessor, "GET", path)).json()
        assert (found["asset"]["state"], found["asset"]["opening"]) == ("declared", "closed")
        await house.problem(
            approver,
            "POST",
            f"{path}/authorizations",
            {"assessment": found["assessments"][0]["id"]},
            status=409,
            code="path.risk_assessment_missing",
        )
    assert replay(await bodies(house.gate)).differences == []


@pytest.mark.anyio
async def test_S53_a_closed_asset_is_registered_and_never_listed(house: House, patients: Any) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients, opening="closed")
    found = (await house.call(None, "GET", f"/v1/assets/{asset}")).json()
    assert (found["asset"]["opening"], found["certificate"]["opening"]) == ("closed", "closed")
    await house.done(supplier[0], f"/v1/assets/{asset}/appraisals", house.appraisal())
    offer = {"grant": "licence", "licences": "1", "term_days": "30", "price_fen": "100000"}
    listing = {"asset": asset, "offer": offer}
    told = await house.problem(
        supplier[0], "POST", "/v1/listings", listing, status=409, code="listing.closed"
    )
    assert "廖福崇" in told["rule"]
    lot = {
        **listing,
        "increment_fen": "100",
        "deposit_fen": "10000",
        "opens_us": str(house.now_us),
        "closes_us": str(house.now_us + DAY_US),
    }
    await house.problem(supplier[0], "POST", "/v1/lots", lot, status=409, code="listing.closed")


@pytest.mark.anyio
async def test_an_asset_is_narrowed_by_what_is_assessed_and_never_widened(
    house: House, patients: Any, weather: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    for work, said, expected in (
        (weather, "open", "open"),
        (weather, "conditional", "conditional"),
        (patients, "open", "conditional"),  # persons are in it
        (patients, "closed", "closed"),
    ):
        asset = await house.walk(supplier, work, steps=0, opening=said, opening_reason="by plan")
        path = f"/v1/assets/{asset}"
        assert (await house.call(supplier[0], "GET", path)).json()["asset"]["opening"] == "closed"
        told = await house.done(supplier[0], f"{path}/assessments", work.filing())
        found = (await house.call(supplier[0], "GET", path)).json()["asset"]
        assert (told["opening"], found["opening"], found["opening_declared"]) == (expected, expected, said)
        assert found["opening_reason"] == "by plan"
    asset = await house.walk(supplier, weather, steps=0, opening="open", opening_reason="by plan")
    grave = [{"harmed": "economy", "degree": "serious", "reason": "prices would move"}]
    told = await house.done(supplier[0], f"/v1/assets/{asset}/assessments", weather.filing(impacts=grave))
    assert (told["grade"], told["opening"]) == ("important", "conditional")
    assert replay(await bodies(house.gate)).differences == []


@pytest.mark.anyio
async def test_S5_what_is_derived_is_opened_no_wider_than_what_it_was_made_of_and_an_edition_is(
    house: House, weather: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    planned: dict[str, Any] = {"opening_reason": "by plan"}
    parents = {
        said: await house.walk(supplier, weather, opening=said, **planned)
        for said in ("conditional", "closed")
    }
    for made_of, relation, expected in (
        (("conditional",), "derived", "conditional"),
        (("conditional", "closed"), "derived", "closed"),
        (("conditional",), "edition", "open"),
    ):
        asset = await house.walk(supplier, weather, steps=0, opening="open", **planned)
        for parent in made_of:
            said = {"parent": parents[parent], "relation": relation}
            await house.done(supplier[0], f"/v1/assets/{asset}/parents", said)
        told = await house.done(supplier[0], f"/v1/assets/{asset}/assessments", weather.filing())
        assert told["opening"] == expected, made_of
    assert replay(await bodies(house.gate)).differences == []


@pytest.mark.anyio
async def test_on_a_condition_only_those_buy_and_bid_who_meet_it_and_the_others_are_on_the_record(
    house: House, patients: Any
) -> None:
    floor = await Floor.open(house, buyers=2)
    first, second = floor.buyers
    condition: dict[str, Any] = {"purposes": ("research", "public_welfare"), "qualified": True}
    sold = await floor.asset(**condition)
    listing, lot = (
        await floor.listing(licence(1_000, 5), sold),
        await floor.lot(await floor.asset(**condition)),
    )
    shown = next(
        one for one in (await house.call(None, "GET", "/v1/listings")).json() if one["id"] == listing
    )
    assert (shown["opening"], shown["purposes"], shown["qualified"]) == (
        "conditional",
        ["research", "public_welfare"],
        True,
    )

    async def tried(caller: Caller, purpose: str) -> list[str]:
        outcomes = [
            await house.act(sales.buy, sales.Buy(listing, 1, purpose=purpose), caller),
            await house.act(auctions.join_lot, auctions.JoinLot(lot, purpose), caller),
        ]
        return [one["reason"]["code"] if one["state"] == "refused" else "done" for one in outcomes]

    assert await tried(first, "") == ["opening.purpose"] * 2
    assert await tried(first, "industry") == ["opening.purpose"] * 2
    assert await tried(first, "research") == ["opening.qualification"] * 2
    with pytest.raises(Unprocessable) as refused:
        await tried(first, "fun")
    assert refused.value.code == "purpose.unknown"
    digest = hashlib.sha256(b"the certificate").hexdigest()
    for kind, expires_us in (("other", None), ("qualification", house.now_us + DAY_US)):
        document = hashlib.sha256(kind.encode()).hexdigest() if kind == "other" else digest
        await house.act(
            parties.file_document, parties.FileDocument(first.party, kind, document, expires_us), first
        )
        assert await tried(first, "research") == ["opening.qualification"] * 2  # nobody reviewed it
        review = parties.ReviewDocument(first.party, document, "accept", "seen")
        await house.act(parties.review_document, review, house.administrator)
    assert await tried(first, "research") == ["done"] * 2
    assert await tried(second, "research") == ["opening.qualification"] * 2
    house.now_us += DAY_US
    late = await house.act(sales.buy, sales.Buy(listing, 1, purpose="public_welfare"), first)
    assert late["reason"]["code"] == "opening.qualification"  # the document is over
    differences = replay(await bodies(house.gate), await floor.openings()).differences
    assert differences == []


@pytest.mark.anyio
async def test_what_is_opened_for_everybody_asks_no_purpose(house: House) -> None:
    floor = await Floor.open(house, buyers=1)
    asset = await floor.asset(
        opening="open", opening_reason="by plan", purposes=("research",), qualified=True
    )
    listing = await floor.listing(licence(1_000, 5), asset)
    sold = await house.act(sales.buy, sales.Buy(listing, 1), floor.buyers[0])
    assert sold["state"] != "refused"


@pytest.mark.anyio
@pytest.mark.parametrize("house", ["top-level"], indirect=True)
async def test_S49_three_levels_approve_each_by_another_person_and_a_refusal_returns_the_file(
    house: House, patients: Any
) -> None:
    department = await house.party("supplier", people=3)
    board = await house.party("governing_body", people=2)
    assessor, head, director = department
    asset = await house.walk(
        [assessor, head], patients, steps=1, opening="conditional", opening_reason="planned"
    )
    path = f"/v1/assets/{asset}"

    async def file() -> dict[str, Any]:
        found: dict[str, Any] = (await house.call(board[0], "GET", path)).json()
        return found

    grant = {"assessment": (await file())["assessments"][0]["id"]}
    to_board = await house.problem(
        board[0], "POST", f"{path}/authorizations", grant, status=403, code="authorization.level"
    )
    assert "廖福崇" in to_board["rule"]
    first = await house.done(head, f"{path}/authorizations", grant)
    assert (first["state"], first["level"], first["levels"], first["authorization"]) == (
        "approved",
        "1",
        "3",
        None,
    )
    assert (await file())["asset"]["state"] == "assessed"
    for person, code in ((assessor, "authorization.four_eyes"), (head, "authorization.level_taken")):
        await house.refused(person, f"{path}/authorizations", grant, code=code)
    second = await house.done(director, f"{path}/authorizations", grant)
    assert (second["state"], second["level"]) == ("approved", "2")
    await house.problem(
        department[0], "POST", f"{path}/authorizations", grant, status=403, code="authorization.level"
    )
    await house.problem(
        board[0],
        "POST",
        f"{path}/authorizations",
        {**grant, "decision": "return"},
        status=422,
        code="authorization.reason",
    )
    back = await house.done(
        board[0], f"{path}/authorizations", {**grant, "decision": "return", "reason": "ages are too fine"}
    )
    assert (back["state"], back["voided"]) == ("returned", [first["approval"], second["approval"]])
    found = await file()
    assert (found["asset"]["state"], found["asset"]["opening"]) == ("declared", "closed")
    assert [(one["level"], one["state"]) for one in found["approvals"]] == [
        ("1", "void"),
        ("2", "void"),
        ("3", "returned"),
    ]
    assert found["approvals"][2]["reason"] == "ages are too fine"
    assert found["authorizations"] == []

    # The file comes back, and all three approve it: the last one's leave is bound to the digests.
    assessed = await house.done(assessor, f"{path}/assessments", patients.filing())
    grant = {"assessment": assessed["assessment"]}
    for person in (director, head, board[1]):
        done = await house.done(person, f"{path}/authorizations", grant)
        assert (done["raw_digest"], done["policy_digest"]) == (
            patients.scan.report["raw"]["digest"],
            patients.scan.policy.digest(),
        )
    assert done["state"] == "authorized"
    document = (
        await house.call(board[0], "GET", f"{path}/authorizations/{done['authorization']}/document")
    ).json()
    assert document["authorization"]["approver"] == board[1].person

    # An edit makes all of it void, and says so.
    again = await house.done(
        assessor, f"{path}/assessments", patients.filing(impacts=[
            {"harmed": "economy", "degree": "ordinary", "reason": "somebody reworded it"}
        ])
    )  # fmt: skip
    found = await file()
    stood = [one["id"] for one in found["approvals"][3:]]
    assert again["voided"] == stood
    assert {one["state"] for one in found["approvals"][3:]} == {"void"}
    assert [one["state"] for one in found["authorizations"]] == ["void"]
    product_, certificate = patients.product(done)
    release = {
        "authorization": done["authorization"],
        "product_digest": await house.upload(assessor, product_),
        "certificate": certificate,
    }
    await house.problem(
        assessor, "POST", f"{path}/releases", release, status=409, code="path.authorization_missing"
    )
    judged = replay(await bodies(house.gate))
    assert judged.differences == []
    assert judged.judged["approvals"] == 5


@pytest.mark.anyio
async def test_nobody_approves_through_an_account_that_a_colleague_could_have_made(
    house: House, patients: Any
) -> None:
    assessor, approver = await house.party("supplier", people=2)

    async def invited(by: Caller, name: str) -> Caller:
        token = credentials.key_digest(name)
        person = await house.act(parties.invite_person, parties.InvitePerson(by.party, name, token), by)
        house.keys[person["id"]] = f"secret of {name}"
        key = credentials.Enrol(token, credentials.key_digest(f"secret of {name}"), "key")
        await house.act(credentials.enrol, key, Caller("enrolment", "enrolment", frozenset()))
        return replace(by, person=person["id"])

    second = await invited(assessor, "a second account")
    third = await invited(second, "a third account")
    twin = await invited(assessor, "a twin of the second")
    asset = await house.walk([second, approver], patients, steps=1)
    path = f"/v1/assets/{asset}"
    grant = {"assessment": (await house.call(assessor, "GET", path)).json()["assessments"][0]["id"]}
    for account in (assessor, third, twin):
        told = await house.refused(
            account, f"{path}/authorizations", grant, code="authorization.second_account"
        )
        assert "assessor" in told["reason"]["detail"]
    await house.done(approver, f"{path}/authorizations", grant)

    # The same person behind two members whom outsiders invited is known once it is declared.
    other = await house.walk([assessor, approver], patients, steps=1)
    same = parties.DeclareRelation(assessor.person, approver.person, "same", True)
    await house.act(parties.declare_relation, same, house.administrator)
    path = f"/v1/assets/{other}"
    grant = {"assessment": (await house.call(assessor, "GET", path)).json()["assessments"][0]["id"]}
    told = await house.refused(approver, f"{path}/authorizations", grant, code="authorization.related")
    assert [step["relation"] for step in told["reason"]["path"]] == ["same"]


@pytest.mark.anyio
async def test_a_body_that_leads_sees_what_it_approves_and_others_do_not(house: House, patients: Any) -> None:
    supplier = await house.party("supplier", people=2)
    (board,), (stranger,) = await house.party("governing_body"), await house.party("supplier")
    asset = await house.walk(supplier, patients, steps=1)
    seen = await house.call(board, "GET", f"/v1/assets/{asset}")
    assert seen.json()["assessments"][0]["policy"] == patients.scan.policy.to_json()
    assert (await house.call(stranger, "GET", f"/v1/assets/{asset}")).status_code == 404
    listed = (await house.call(board, "GET", "/v1/assets?state=assessed")).json()["assets"]
    assert [one["id"] for one in listed] == [asset]


@dataclass
class Told:
    """What the model knows of an asset: every act on it, in order."""

    acts: list[tuple[Any, ...]] = field(default_factory=list)

    def leave(self, authorization_: str) -> bool:
        """Whether a release may stand on this authorization: looked for from the end, act by act."""
        given: list[tuple[Any, ...]] = []
        for act in reversed(self.acts):
            match act:
                case ("released", _) | ("refused",) | ("returned", *_):
                    return False
                case ("approved", *_):
                    given.append(act)
                case ("assessed", assessment, digest, assessor):
                    given.reverse()
                    levels = given[-1][4] if given else 0
                    persons = [one[1] for one in given]
                    return (
                        len(given) == levels > 0
                        and given[-1][5] == authorization_
                        and all(one[2:4] == (assessment, digest) for one in given)
                        and len({*persons, assessor}) == len(persons) + 1
                    )
        return False


class Approvals(RuleBasedStateMachine):
    """People who assess, approve, return and release in any order, and rules that change in between."""

    house: House
    loop: asyncio.AbstractEventLoop
    department: list[Caller]
    board: list[Caller]
    levels = 3

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Act on the market, which lives in the test's own loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def tried(self, decide: Any, act: Any, caller: Caller) -> dict[str, Any] | None:
        """What came of an act; None where it was refused, on the record or not."""
        try:
            outcome = self.run(self.house.act(decide, act, caller))
        except ExchangeError:
            return None
        return None if outcome["state"] == "refused" else outcome

    @initialize()
    def declare(self) -> None:
        act = registration.DeclareAsset("t", "", "health", None, "conditional", "planned")
        self.asset = self.run(self.house.act(registration.declare_asset, act, self.department[0]))["asset"]
        self.told = Told()
        self.assessments: list[tuple[str, str]] = []
        self.authorizations: list[str] = []

    def assess(self, person: int, digest: str, declared_: Declared) -> dict[str, Any] | None:
        act = authorization.FileRiskAssessment(
            asset=self.asset,
            raw_digest=digest * 64,
            policy_digest=digest * 64,
            policy_text="{}",
            report_text="{}",
            report_digest="0" * 64,
            impacts=(Impact("public_interest", "ordinary", "why"),),
            declared=declared_,
            exempt_from_k=False,
            k=5,
            l=2,
            grade="general",
            about_persons=False,
            biometrics=(),
        )
        return self.tried(authorization.file_risk_assessment, act, self.department[person])

    @rule(person=st.integers(0, 3), digest=st.sampled_from("ab"))
    def assesses(self, person: int, digest: str) -> None:
        done = self.assess(person, digest, Declared(False, False, None))
        assert done is not None
        self.assessments.append((done["assessment"], digest))
        self.told.acts.append(("assessed", done["assessment"], digest, self.department[person].person))

    @rule(person=st.integers(0, 3))
    def finds_a_secret(self, person: int) -> None:
        assert self.assess(person, "a", Declared(True, False, None)) is None
        self.told.acts.append(("refused",))

    @precondition(lambda self: self.assessments)
    @rule(
        person=st.integers(0, 5),
        back=st.integers(0, 1),
        decision=st.sampled_from(["approve", "approve", "approve", "approve", "return"]),
    )
    def says(self, person: int, back: int, decision: Any) -> None:
        caller = [*self.department, *self.board][person]
        assessment, digest = self.assessments[max(-len(self.assessments), -1 - back)]
        act = authorization.Authorize(self.asset, assessment, decision, "why" if decision == "return" else "")
        done = self.tried(authorization.authorize, act, caller)
        if done is None:
            return
        if decision == "return":
            self.told.acts.append(("returned", caller.person))
            return
        levels = int(done["levels"])
        self.told.acts.append(("approved", caller.person, assessment, digest, levels, done["authorization"]))
        if done["authorization"] is not None:
            assert int(done["level"]) == levels >= type(self).levels
            self.authorizations.append(done["authorization"])

    @rule(people=st.lists(st.integers(0, 3), min_size=3, max_size=3), digest=st.sampled_from("ab"))
    def marches(self, people: list[int], digest: str) -> None:
        """The way that leads through where nobody comes twice: without it few runs would come to an authorization."""
        assessor, first, second = people
        self.assesses(assessor, digest)
        for person in (first, second, 4):
            self.says(person, 0, "approve")
        if self.authorizations:
            self.releases(0)

    @rule(levels=st.integers(1, 3))
    def the_rules_change(self, levels: int) -> None:
        if levels == type(self).levels:
            return
        base = {**load("cn-venue", "top-level")["model.approvals_at_least"].to_json(), "value": str(levels)}
        proposal = rulebook.ProposeRuleChange(
            {"model.approvals_at_least": base}, None, self.house.now_us + 1, "why"
        )
        change = self.run(self.house.act(rulebook.propose_rule_change, proposal, self.board[0]))
        sign = rulebook.DecideRuleChange(change["id"], change["result"]["digest"], "sign")
        self.run(self.house.act(rulebook.decide_rule_change, sign, self.board[1]))
        self.house.now_us += 1
        type(self).levels = levels

    @precondition(lambda self: self.authorizations)
    @rule(back=st.integers(0, 2))
    def releases(self, back: int) -> None:
        granted = self.authorizations[max(-len(self.authorizations), -1 - back)]
        act = registration.ReleaseProduct(self.asset, granted, "0" * 64, {}, "0" * 64, MEASURED)
        done = self.tried(registration.release_product, act, self.department[0])
        assert (done is not None) == self.told.leave(granted), (granted, self.told.acts)
        if done is not None:
            self.told.acts.append(("released", granted))


MEASURED = Measurement(
    engine="none",
    file_digest="0" * 64,
    file_bytes=1,
    rows=1,
    columns=(ColumnMeasure("a", "int64", 0, 0, 0),),
    findings=(),
    about_persons=False,
    risk=Risk((), 1, 1, 5, (("a", 2),), 0, 0, 0, 0, None, 0, ()),
    grade="general",
)


@pytest.mark.anyio
@pytest.mark.parametrize("house", ["top-level"], indirect=True)
async def test_S49_no_path_leads_to_a_release_without_every_level_of_the_newest_digests(house: House) -> None:
    class Here(Approvals):
        pass

    Here.house, Here.loop = house, asyncio.get_running_loop()
    Here.department = await house.party("supplier", people=4)
    Here.board = await house.party("governing_body", people=2)
    often = settings(
        max_examples=8, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
    )
    await asyncio.to_thread(run_state_machine_as_test, Here, settings=often)
    judged = replay(await bodies(house.gate))
    assert judged.differences == []
    assert judged.judged["approvals"] > 3


@pytest.mark.anyio
async def test_S49_two_who_approve_one_level_at_once_do_not_both_take_it(house: House, patients: Any) -> None:
    department = await house.party("supplier", people=3)
    asset = await house.walk(department[:2], patients, steps=1)
    path = f"/v1/assets/{asset}"
    grant = {"assessment": (await house.call(department[0], "GET", path)).json()["assessments"][0]["id"]}
    answers = await asyncio.gather(
        *(house.call(person, "POST", f"{path}/authorizations", grant) for person in department[1:])
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert len((await house.call(department[0], "GET", path)).json()["authorizations"]) == 1
