"""A machine over all that comes after a sale: no rating without a voucher, no refund twice, no complaint without an end.

Hypothesis plays the pure rules, with a book of plain integers beside them, and a slow reader judges the list of what was let
through. Dice then play the rooms themselves, and a replay of their log has to agree.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from exchange import acceptance, complaints, mediation, money, ratings, sales
from exchange.acceptance import Delivered, window_ends_us
from exchange.acts import Caller
from exchange.errors import ExchangeError
from exchange.mediation import STATES, awarded_fen, covered
from exchange.replay import replay
from exchange.rulebook import load
from exchange.settlement import chain, refund, reversal, split
from exchange.worker import Worker
from ledger.postings import Account, Transfer
from tests.exchange.conftest import START_US, House
from tests.exchange.floor import DAY_US, Floor, licence

RULES = load("cn-venue")
BUYERS = ("one", "two")
PLACE = st.integers(0, 9)


class AfterSale(RuleBasedStateMachine):
    """A few sales, the money that they moved, and the list of what happened."""

    def __init__(self) -> None:
        super().__init__()
        self.now_us = START_US
        self.book = dict.fromkeys(BUYERS, 10_000_000) | {"seller": 0, "venue:fees": 0, "tax:vat": 0}
        self.sales: dict[str, dict[str, Any]] = {}
        self.log: list[dict[str, Any]] = []

    def move(self, transfers: Sequence[Transfer]) -> None:
        for one in transfers:
            self.book[one.debit] -= one.amount
            self.book[one.credit] += one.amount

    def payable(self, transfers: Sequence[Transfer]) -> bool:
        limit: Final = "debits_must_not_exceed_credits"
        return covered(
            transfers, {n: Account(n, "CNY", "x", limit, credits_posted=fen) for n, fen in self.book.items()}
        )

    def some(self, place: int) -> str | None:
        return list(self.sales)[place % len(self.sales)] if self.sales else None

    def happen(self, name: str, kind: str, **act: Any) -> bool:
        """Try one step of a delivery; whatever the rules refuse leaves no trace."""
        try:
            after = self.sales[name]["stands"].follow(kind, act, self.now_us, RULES)
        except (ExchangeError, ValueError):
            return False
        self.sales[name]["stands"] = after
        self.log.append({"kind": kind, "trade": name, "at": self.now_us, **act})
        return True

    @rule(buyer=st.sampled_from(BUYERS), price=st.integers(1, 500_000))
    def a_sale(self, buyer: str, price: int) -> None:
        name = f"t{len(self.sales)}"
        settled = chain(name, split(price, RULES, None), buyer, "seller", None)
        if self.payable(settled):
            self.move(settled)
            stands = Delivered(window_ends_us(self.now_us, RULES))
            self.sales[name] = {
                "buyer": buyer, "price": price, "settled": settled, "stands": stands, "owed": [], "back": [],
            }  # fmt: skip
            self.log.append({"kind": "sale", "trade": name, "at": self.now_us, "buyer": buyer})

    @rule(days=st.sampled_from([0, 1, 5, 20]))
    def time_passes(self, days: int) -> None:
        self.now_us += days * DAY_US

    @rule(place=PLACE)
    def it_is_fetched(self, place: int) -> None:
        if name := self.some(place):
            self.sales[name]["stands"] = self.sales[name]["stands"].access(self.now_us, RULES)
            self.log.append({"kind": "fetched", "trade": name, "at": self.now_us})

    @rule(place=PLACE, silent=st.booleans())
    def it_is_accepted(self, place: int, silent: bool) -> None:
        if name := self.some(place):
            self.happen(name, "delivery_accepted", silent=silent)

    @rule(place=PLACE, ground=st.sampled_from(["incomplete", "terms", "mood"]))
    def it_is_objected_to(self, place: int, ground: str) -> None:
        if name := self.some(place):
            self.happen(name, "delivery_objected", ground=ground)

    @rule(place=PLACE)
    def a_mediator_is_named(self, place: int) -> None:
        if name := self.some(place):
            self.happen(name, "mediator_named", mediator="m")

    @rule(place=PLACE, decision=st.sampled_from(["accept", "reduce", "refund"]), part=st.integers(0, 500_000))
    def it_is_mediated(self, place: int, decision: Any, part: int) -> None:
        name = self.some(place)
        if name is None:
            return
        sale = self.sales[name]
        try:
            fen = awarded_fen(decision, part if decision == "reduce" else None, sale["price"])
        except ExchangeError:
            return
        if self.happen(name, "delivery_mediated", state=STATES[decision], fen=fen):
            back = refund(name, sale["settled"], fen, sale["price"], RULES)
            if self.payable(back):
                self.move(back)
                sale["back"] = back
                self.log.append({"kind": "back", "trade": name, "transfers": back})
            else:
                sale["owed"] = back

    @rule(place=PLACE)
    def what_is_owed_is_paid(self, place: int) -> None:
        if (name := self.some(place)) and (owed := self.sales[name]["owed"]) and self.payable(owed):
            self.move(owed)
            self.sales[name].update(owed=[], back=owed)
            self.log.append({"kind": "back", "trade": name, "transfers": owed})

    @rule()
    def the_seller_takes_its_money(self) -> None:
        if not any(sale["owed"] for sale in self.sales.values()):
            self.book["seller"] = 0

    @rule(place=PLACE)
    def it_is_annulled(self, place: int) -> None:
        name = self.some(place)
        if name is None or self.sales[name]["stands"].state == "void":
            return
        sale = self.sales[name]
        rest = reversal(name, sale["settled"], sale["back"])
        if self.payable(rest):
            self.move(rest)
            sale.update(owed=[], stands=replace(sale["stands"], state="void"))
            self.log.append({"kind": "back", "trade": name, "transfers": rest, "annulled": True})

    @rule(place=PLACE, before=st.booleans())
    def the_edge_of_a_window_comes(self, place: int, before: bool) -> None:
        if name := self.some(place):
            self.now_us = max(self.now_us, self.sales[name]["stands"].ends_us - before)

    @rule(
        buyer=st.sampled_from(BUYERS),
        price=st.integers(1, 500_000),
        far=st.integers(1, 4),
        decision=st.sampled_from(["reduce", "refund", "accept"]),
        part=st.integers(1, 1_000),
        drained=st.booleans(),
        edge=st.sampled_from([None, None, True, False]),
    )
    def a_case_goes_on(
        self, buyer: str, price: int, far: int, decision: str, part: int, drained: bool, edge: bool | None
    ) -> None:
        """So that the others meet cases of every stage: by chance alone few come far."""
        self.a_sale(buyer, price)
        newest = len(self.sales) - 1
        if drained:
            self.the_seller_takes_its_money()
        if edge is not None:
            self.the_edge_of_a_window_comes(newest, edge)
        self.it_is_objected_to(newest, "incomplete")
        if far > 1:
            self.a_mediator_is_named(newest)
        if far > 2:
            self.it_is_mediated(newest, decision, min(part, price - 1))
        if far > 3:
            self.it_is_mediated(newest, "refund", 0)

    # what a slow reader of the list says

    @invariant()
    def nobody_gets_back_more_than_was_paid(self) -> None:
        assert all(fen >= 0 for fen in self.book.values())
        for name, sale in self.sales.items():
            back = [one for entry in self.log if entry["kind"] == "back" and entry["trade"] == name for one in entry["transfers"]]  # fmt: skip
            assert len({one.id for one in back}) == len(back)
            net: dict[tuple[str, str], int] = {}
            for one in sale["settled"]:
                net[one.debit, one.credit] = net.get((one.debit, one.credit), 0) + one.amount
            for one in back:
                net[one.credit, one.debit] -= one.amount
            assert all(fen >= 0 for fen in net.values())
            if sale["stands"].state == "void":
                assert set(net.values()) <= {0}
            awards = [entry for entry in self.log if entry["kind"] == "delivery_mediated" and entry["trade"] == name]  # fmt: skip
            assert len(awards) <= 1

    @invariant()
    def whoever_objected_was_in_time_and_said_nothing_before(self) -> None:
        for place, entry in enumerate(self.log):
            if entry["kind"] != "delivery_objected":
                continue
            of = [one for one in self.log[:place] if one["trade"] == entry["trade"]]
            ends = window_ends_us(of[0]["at"], RULES)
            fetched = [one["at"] for one in of if one["kind"] == "fetched" and one["at"] < ends]
            assert entry["at"] < (window_ends_us(fetched[0], RULES) if fetched else ends)
            assert not {one["kind"] for one in of} & {"delivery_accepted", "delivery_objected"}

    @invariant()
    def an_award_has_an_objection_and_a_mediator_before_it(self) -> None:
        for place, entry in enumerate(self.log):
            if entry["kind"] == "delivery_mediated":
                kinds = [one["kind"] for one in self.log[:place] if one["trade"] == entry["trade"]]
                assert kinds.index("delivery_objected") < kinds.index("mediator_named")


TestAfterSale = AfterSale.TestCase
TestAfterSale.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)


async def play(house: House, seed: int, acts: int) -> None:
    """Let dice drive the rooms, bring every complaint to its end, and hold what came of it against a replay."""
    chance = random.Random(seed)
    floor = await Floor.open(house, buyers=2)
    (mediator,) = await house.party("service_provider")
    listing = await floor.listing(licence(10_000, 1_000, term_days=20))
    worker = Worker(house.gate, house.gate.database)
    people = (*floor.buyers, floor.seller, floor.regulator, mediator)
    names: list[str] = []
    trades: list[str] = []
    filed: list[str] = []

    async def attempt(decide: Any, act: Any, who: Caller) -> dict[str, Any]:
        try:
            return await house.act(decide, act, who)
        except ExchangeError:
            return {}

    for _ in range(acts):
        who = chance.choice(people)
        name = chance.choice(names) if names else "lic-0"
        match chance.randrange(12):
            case 0 | 1:
                sold = await attempt(sales.buy, sales.Buy(listing, 1), chance.choice(floor.buyers))
                if "voucher" in sold:
                    names.append(sold["voucher"]["licence"])
                    trades.append(sold["voucher"]["trade"])
            case 2:
                house.now_us += chance.choice([1, 1, 2, 15]) * DAY_US
                await worker.after_sale()
            case 3:
                await attempt(acceptance.accept_delivery, acceptance.AcceptDelivery(name), who)
            case 4 | 5:
                told = acceptance.ObjectToDelivery(name, "incomplete", "half of it")
                for buyer in floor.buyers:
                    await attempt(acceptance.object_to_delivery, told, buyer)
            case 6:
                named = mediation.NameMediator(name, mediator.person)
                await attempt(mediation.name_mediator, named, floor.regulator)
            case 7:
                decision: Any = chance.choice(["accept", "reduce", "refund"])
                part = chance.randrange(1, 10_000) if decision == "reduce" else None
                award = mediation.Mediate(name, decision, "award", "why", part)
                await attempt(mediation.mediate, award, chance.choice([who, mediator]))
            case 8:
                free_fen, _ = await floor.money(floor.seller)
                await attempt(money.withdraw, money.Withdraw(max(1, free_fen)), floor.seller)
            case 9:
                stars = ratings.Stars(*(chance.randrange(0, 7) for _ in ratings.AXES))
                await attempt(ratings.rate, ratings.Rate(name, stars), who)
            case 10:
                said = complaints.FileComplaint("data", "wrong", party=floor.seller.party)
                came = await attempt(complaints.file_complaint, said, complaints.COMPLAINANT)
                filed.append(came["complaint"])
            case _ if filed and chance.random() < 0.7:
                answer = complaints.AnswerComplaint(chance.choice(filed), "dismiss", "asked")
                await attempt(complaints.answer_complaint, answer, who)
            case _ if trades:
                annulled = sales.AnnulSale(chance.choice(trades), "collusion", "order", "found")
                await attempt(sales.annul_sale, annulled, floor.regulator)
    # Whoever was silent: the clock brings what is left before the regulator, and it ends there.
    house.now_us += 40 * DAY_US
    await worker.after_sale()
    for complaint in filed:
        answer = complaints.AnswerComplaint(complaint, "uphold", "by the regulator")
        await attempt(complaints.answer_complaint, answer, floor.regulator)
    assert await floor.rows("SELECT id FROM complaint WHERE state = 'open'") == []
    market = replay(await floor.bodies(), await floor.openings())
    assert market.differences == []
    twice = "SELECT id FROM transfer WHERE code IN ('refund', 'reversal') GROUP BY id HAVING count(*) > 1"
    assert await floor.rows(twice) == []
    over = (
        "SELECT trade.id FROM trade JOIN transfer ON transfer.id LIKE trade.id || ':%%price' AND code IN ('refund', 'reversal')"
        " GROUP BY trade.id, price_fen HAVING sum(amount) > price_fen"
    )
    assert await floor.rows(over) == []
    foreign = (
        "SELECT rating.id FROM rating LEFT JOIN licence ON licence.id = rating.licence LEFT JOIN trade ON trade.id = licence.trade"
        " WHERE trade.id IS NULL"
    )
    assert await floor.rows(foreign) == []
    raters = {(body["act"]["licence"], body["party"]) for _, body in await floor.bodies() if body["kind"] == "asset_rated"}  # fmt: skip
    holders = set(await floor.rows("SELECT id, buyer FROM licence"))
    assert raters <= holders


@pytest.mark.anyio
async def test_dice_play_the_rooms_and_a_replay_agrees(house: House) -> None:
    await play(house, 5, 150)


@pytest.mark.anyio
@pytest.mark.drill
@pytest.mark.parametrize("seed", range(12))
async def test_dice_play_the_rooms_for_long(house: House, seed: int) -> None:
    await play(house, seed, 800)
