"""A machine over all acts of registration: whatever anybody tries in whatever order, no code without its gates, no right twice.

It plays the pure rules, as a replay does. What was let through is written down, and a slow reader judges that list alone:
once as it happens, and by looking back from each code and each right that somebody holds.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from exchange.acts import CLOCK, Caller
from exchange.errors import ExchangeError
from exchange.registration import applications, effects
from exchange.registration.path import PROCEDURE_KINDS, STEP_OF_KIND, Path
from exchange.registration.procedure import Procedure, conclusion_of, notice_ends_us
from exchange.registration.rights import RIGHTS, Grant, held, require_permit, require_transfer
from exchange.replay import replay
from tests.exchange.conftest import LAWFUL, START_US, House
from tests.exchange.floor import DAY_US, bodies, themed

PEOPLE = {"ann": "registrar", "bob": "registrar", "cyn": "registrar", "dan": "elsewhere", "eve": "department"}
"""Who tries everything, and whose people they are; the department has registrars too, as far as the rules know."""
PARTIES = ("department", "one", "two")

PEOPLE_ST = st.sampled_from(sorted(PEOPLE))
PLACE = st.integers(0, 7)


class Register(RuleBasedStateMachine):
    """One asset, its applications, its rights, and the list of what happened."""

    def __init__(self) -> None:
        super().__init__()
        self.now_us = START_US
        self.path = Path.begin()
        self.cases: dict[str, Procedure] = {}
        self.asked: dict[str, dict[str, Any]] = {}
        self.grants: dict[str, Grant] = {}
        self.log: list[dict[str, Any]] = []

    def case(self, place: int) -> str | None:
        """One of the applications, or none."""
        return sorted(self.cases)[place % len(self.cases)] if self.cases else None

    def happen(self, kind: str, name: str, by: str, party: str, **act: Any) -> bool:
        """Try one step; whatever the rules refuse leaves no trace."""
        said = {"act": self.cases[name].act, "application": name, "asset": "ast", **act}
        try:
            path = self.path.follow(kind, said, len(self.log)) if kind in PROCEDURE_KINDS else self.path
            after = self.cases[name].follow(kind, said, by=by, party=party, time_us=self.now_us, rules=LAWFUL)
        except (ExchangeError, ValueError):
            return False
        self.path, self.cases[name] = path, after
        self.log.append({"kind": kind, "by": by, "at": self.now_us, **said})
        return True

    @initialize(registered=st.booleans())
    def the_four_steps_are_taken(self, registered: bool) -> None:
        for _ in STEP_OF_KIND:
            self.a_step_of_the_path(tuple(STEP_OF_KIND)[::-1])
        if registered:
            self.a_case_goes_on(0, 4, "initial", False, None, "bob")

    @rule(kinds=st.permutations(tuple(STEP_OF_KIND)))
    def a_step_of_the_path(self, kinds: Sequence[str]) -> None:
        for kind in kinds:
            try:
                self.path = self.path.follow(kind, {"state": "done"}, len(self.log))
            except ExchangeError:
                continue
            self.log.append({"kind": kind})
            return

    @rule(days=st.sampled_from([0, 1, 9, 30, 400]))
    def time_passes(self, days: int) -> None:
        self.now_us += days * DAY_US

    @rule(
        act=st.sampled_from(["initial", "initial", "permit", "transfer", "cancel"]),
        party=st.sampled_from(PARTIES),
        to=st.sampled_from(PARTIES),
        place=PLACE,
        exclusive=st.booleans(),
        clerk=st.sampled_from([None, "ann"]),
    )
    def somebody_applies(
        self, act: str, party: str, to: str, place: int, exclusive: bool, clerk: str | None
    ) -> None:
        grant = sorted(self.grants)[place % len(self.grants)] if self.grants else ""
        if act != "initial" and (self.path.state != "registered" or not self.mine(act, party, grant)):
            return
        counter = None if clerk is None else {"clerk": clerk}
        said = {"act": act, "asset": "ast", "party": party, "counter": counter, "state": "applied"}
        try:
            self.path = self.path.follow("registration_applied", said, len(self.log))
        except ExchangeError:
            return
        name = f"app-{len(self.log):03}"
        self.cases[name] = Procedure.begin(said)
        self.asked[name] = {"grant": grant, "to": to, "exclusive": exclusive}
        self.log.append({"kind": "registration_applied", "application": name, "clerk": clerk, "act": act})

    def mine(self, act: str, party: str, grant: str) -> bool:
        """Whether a party may ask for it at all."""
        if act == "cancel":
            return any(one.holder == party and one.right == "right_hold" for one in self.grants.values())
        return grant in self.grants and self.grants[grant].holder == party

    @rule(place=PLACE, who=PEOPLE_ST, state=st.sampled_from(["accepted", "accepted", "returned"]))
    def a_registrar_accepts(self, place: int, who: str, state: str) -> None:
        if name := self.case(place):
            self.happen("registration_accepted", name, who, PEOPLE[who], state=state)

    @rule(place=PLACE, who=PEOPLE_ST, state=st.sampled_from(["noticed", "noticed", "returned", "rejected"]))
    def a_registrar_reviews(self, place: int, who: str, state: str) -> None:
        if name := self.case(place):
            ends = str(notice_ends_us(self.cases[name].act, self.now_us, LAWFUL))
            self.happen("registration_reviewed", name, who, PEOPLE[who], state=state, ends_us=ends)

    @rule(place=PLACE)
    def the_applicant_withdraws(self, place: int) -> None:
        if name := self.case(place):
            self.happen("registration_withdrawn", name, "eve", "department", state="withdrawn")

    @rule(place=PLACE)
    def a_party_objects(self, place: int) -> None:
        if name := self.case(place):
            objection = f"obj-{len(self.log)}"
            self.happen("objection_filed", name, "x", "one", state="open", objection=objection)

    @rule(place=PLACE, who=PEOPLE_ST, state=st.sampled_from(["dismissed", "dismissed", "upheld"]))
    def a_registrar_decides_an_objection(self, place: int, who: str, state: str) -> None:
        if name := self.case(place):
            for objection in sorted(self.cases[name].open_objections)[:1]:
                said = {"state": state, "objection": objection}
                self.happen("objection_decided", name, who, PEOPLE[who], **said)

    @rule(place=PLACE)
    def the_clock_concludes(self, place: int) -> None:
        name = self.case(place)
        if name is None:
            return
        case, asked = self.cases[name], self.asked[name]
        kind = conclusion_of(case.act)
        made: list[Grant] = []
        state = {"initial": "registered", "cancel": "cancelled"}.get(case.act, "concluded")
        try:
            if case.act == "initial":
                ends = self.now_us + 1000 * DAY_US
                made = [
                    Grant(f"{name}-{n}", right, case.party, None, False, ends)
                    for n, right in enumerate(RIGHTS)
                ]
            elif self.path.state != "registered":
                raise ValueError("not registered any more")
            elif case.act == "permit":
                parent = held(self.grants.values(), asked["grant"], case.party, self.now_us)
                terms = {
                    "to": asked["to"],
                    "exclusive": asked["exclusive"],
                    "ends_us": self.now_us + 90 * DAY_US,
                }
                require_permit(self.grants.values(), parent, **terms, now_us=self.now_us, rules=LAWFUL)
                made = [
                    Grant(name, parent.right, asked["to"], parent.id, terms["exclusive"], terms["ends_us"])
                ]
            elif case.act == "transfer":
                grant = held(self.grants.values(), asked["grant"], case.party, self.now_us)
                require_transfer(grant, to=asked["to"], rules=LAWFUL)
                made = [replace(grant, holder=asked["to"])]
        except (ExchangeError, ValueError):
            state = "refused"
        if self.happen(kind, name, "clock", "clock", state=state) and state != "refused":
            self.grants |= {one.id: one for one in made}
            self.log[-1]["made"] = made
            if case.act == "cancel":
                self.grants.clear()

    @rule(
        place=PLACE,
        far=st.sampled_from([4, 3, 2, 1]),
        act=st.sampled_from(["permit", "initial", "transfer"]),
        exclusive=st.sampled_from([True, False]),
        decider=st.sampled_from([None, "bob", "cyn"]),
        reviewer=st.sampled_from(["ann", "bob"]),
    )
    def a_case_goes_as_it_may(
        self, place: int, far: int, act: str, exclusive: bool, decider: str | None, reviewer: str
    ) -> None:
        self.a_case_goes_on(place, far, act, exclusive, decider, reviewer)

    def a_case_goes_on(
        self, place: int, far: int, act: str, exclusive: bool, decider: str | None, reviewer: str
    ) -> None:
        """So that the others meet cases of every stage: by chance alone few come far."""
        if self.path.state == "registered" and act != "initial" and self.grants:
            roots = sorted(one.id for one in self.grants.values() if one.parent is None)
            root = roots[1 + place // 2 % 2]  # the two that can be permitted
            at = sorted(self.grants).index(root)
            self.somebody_applies(act, self.grants[root].holder, PARTIES[1 + place % 2], at, exclusive, None)
        else:
            for _ in STEP_OF_KIND:
                self.a_step_of_the_path(tuple(STEP_OF_KIND)[::-1])
            self.somebody_applies("initial", "department", "one", place, exclusive, None)
        newest = len(self.cases) - 1
        if newest >= 0:
            self.a_registrar_accepts(newest, "ann", "accepted")
            if far > 1:
                self.a_registrar_reviews(newest, reviewer, "noticed")
            if decider is not None:
                self.a_party_objects(newest)
            if far > 2:
                self.time_passes(30)
                self.a_registrar_decides_an_objection(newest, decider or "cyn", "dismissed")
            if far > 3:
                self.the_clock_concludes(newest)

    # what a slow reader of the list says

    @invariant()
    def a_code_has_its_gates_behind_it(self) -> None:
        for place, entry in enumerate(self.log):
            if entry["kind"] != "asset_registered" or entry["state"] == "refused":
                continue
            before = [one for one in self.log[:place] if one.get("application") == entry["application"]]
            applied, accepted, reviewed, *rest = before
            assert [one["kind"] for one in (applied, accepted, reviewed)] == [
                "registration_applied",
                "registration_accepted",
                "registration_reviewed",
            ]
            assert accepted["by"] != reviewed["by"] != applied["clerk"]
            assert PEOPLE[accepted["by"]] == PEOPLE[reviewed["by"]] != "department"
            assert entry["at"] >= int(reviewed["ends_us"]) >= reviewed["at"] + 10 * DAY_US
            filed = {one["objection"] for one in rest if one["kind"] == "objection_filed"}
            decided = {one["objection"]: one["by"] for one in rest if one["kind"] == "objection_decided"}
            assert filed == set(decided)
            assert reviewed["by"] not in decided.values()
            steps = [
                one["kind"] for one in self.log[: self.log.index(applied)] if one["kind"] in STEP_OF_KIND
            ]
            last = len(steps) - steps[::-1].index("risk_assessed") - 1
            assert list(dict.fromkeys(steps[last:])) == list(STEP_OF_KIND)  # a theme may be corrected

    @invariant()
    def no_right_is_granted_twice(self) -> None:
        standing = [one for one in self.grants.values() if one.stands(self.now_us)]
        roots = [one.right for one in standing if one.parent is None]
        assert len(roots) == len(set(roots))
        for one in standing:
            if one.parent is not None:
                parent = self.grants[one.parent]
                assert (one.right, parent.parent) == (parent.right, None)
                assert one.ends_us <= parent.ends_us
                others = [two for two in standing if two.parent == one.parent and two != one]
                assert not (one.exclusive and others)
                assert one.holder not in {two.holder for two in others}

    @invariant()
    def one_registration_at_a_time(self) -> None:
        ways = [
            one
            for one in self.cases.values()
            if one.act == "initial" and one.stage in ("applied", "accepted", "noticed")
        ]
        assert len(ways) == (self.path.state == "applied")


def test_a_long_life_meets_every_gate_and_passes_none_unseen() -> None:
    """The same machine driven by dice for as long as Hypothesis would find dull: it goes deep where that one goes wide."""
    for seed in range(150):
        live(random.Random(seed), registered=seed % 2 == 0)


def live(chance: random.Random, *, registered: bool) -> None:
    """One life of a hundred steps."""
    life = Register()
    life.the_four_steps_are_taken(registered=registered)
    for _ in range(100):
        act, (party, to) = chance.choice(["initial", "permit", "transfer"]), chance.sample(PARTIES, 2)
        place, who = chance.randrange(8), chance.choice(sorted(PEOPLE))
        match chance.randrange(10):
            case 0:
                life.time_passes(chance.choice([0, 1, 1, 9]))
            case 1:
                life.somebody_applies(act, party, to, place, False, chance.choice([None, "ann"]))
            case 2 | 3 | 4 | 5:
                reviewer = chance.choice(["ann", "bob", "bob"])
                decider = chance.choice([None, None, "bob", "cyn"])
                far, exclusive = chance.randint(1, 4), chance.random() < 0.5
                life.a_case_goes_on(place, far, act, exclusive, decider, reviewer)
            case 6:
                life.a_registrar_accepts(place, who, "accepted")
            case 7:
                life.a_registrar_reviews(place, who, "noticed")
            case 8:
                life.a_registrar_decides_an_objection(place, who, "dismissed")
            case _:
                life.the_clock_concludes(place)
        life.a_code_has_its_gates_behind_it()
        life.no_right_is_granted_twice()
        life.one_registration_at_a_time()


TestRegister = Register.TestCase
TestRegister.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)


@pytest.mark.anyio
async def test_two_clerks_who_race_for_everything_leave_a_log_that_a_stranger_agrees_with(
    house: House,
) -> None:
    chance = random.Random(2)
    department, *_ = await house.party("supplier")
    one, two = [(await house.party("buyer"))[0] for _ in range(2)]
    clerks = await house.registrar()
    asset = await themed(house, department)
    names: list[str] = []
    rights: list[str] = []

    async def attempt(decide: Any, act: Any, caller: Caller) -> dict[str, Any]:
        try:
            return await house.act(decide, act, caller)
        except ExchangeError:
            return {}

    def wish() -> applications.Apply:
        if not rights or chance.random() < 0.2:
            return applications.Apply(asset, "initial", RIGHTS)
        grant, to = chance.choice(rights), chance.choice([one, two, department]).party
        if chance.random() < 0.5:
            return applications.Apply(asset, "transfer", grant=grant, to=to)
        exclusive, ends_us = chance.random() < 0.5, house.now_us + DAY_US
        return applications.Apply(asset, "permit", grant=grant, to=to, exclusive=exclusive, ends_us=ends_us)

    for _ in range(14):
        doing = [
            attempt(applications.apply, wish(), chance.choice([department, department, one]))
            for _ in range(2)
        ]
        # Both clerks go for the same application at once, and so does the clock.
        for name in names[-3:]:
            for clerk in clerks:
                doing.append(attempt(applications.accept, applications.Accept(name, "accept"), clerk))
                doing.append(attempt(applications.review, applications.Review(name, "pass"), clerk))
            doing += [attempt(effects.conclude, effects.Conclude(name), CLOCK) for _ in range(2)]
        for came in await asyncio.gather(*doing):
            if came.get("state") == "applied":
                names.append(came["application"])
            rights += [right["id"] for right in came.get("rights", ())]
    market = replay(await bodies(house.gate))
    assert market.differences == []
    kinds = [body["kind"] for _, body in await bodies(house.gate)]
    assert kinds.count("asset_registered") == 1
    assert len(rights) == len(RIGHTS)
