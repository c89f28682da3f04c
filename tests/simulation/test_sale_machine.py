"""The sale as a state machine on a real market: listing, buying, bidding, closing, paying or not, undoing, in any order.

What must hold is asked of the tables by queries that know nothing of the rooms, after every step; at the end of every life
time passes until nothing is due any more, and then nobody's deposit is held.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from exchange import auctions, controls, money, parties, sales
from exchange.acts import CLOCK, Caller
from exchange.database import Addresses
from exchange.errors import ExchangeError
from exchange.listings import Offer
from exchange.replay import replay
from exchange.worker import Worker
from tests.exchange.conftest import opened, unnoticed
from tests.exchange.floor import (
    DAY_US,
    DEPOSIT_FEN,
    INCREMENT_FEN,
    MINUTE_US,
    NONCE,
    START_FEN,
    Floor,
    agreement,
)

CEILING_FEN = START_FEN + 3 * INCREMENT_FEN
PURSE_FEN = 2 * START_FEN
TO_THE_CEILING = 99
"""As many steps as lead to a lot's ceiling, whatever stands; one more leads above it."""

WRONG = """
SELECT 'sold more than was offered', l.id FROM listing l LEFT JOIN trade t ON t.listing = l.id
  GROUP BY l.id HAVING coalesce(sum(t.licences), 0) <> l.licences - l.remaining OR l.remaining < 0
UNION ALL SELECT 'two rights where one is exclusive', a.id FROM licence a JOIN licence b ON a.asset = b.asset AND a.id <> b.id
  WHERE a.grant = 'exclusive' AND a.state = 'active' AND b.state = 'active'
  AND a.starts_us < b.ends_us AND b.starts_us < a.ends_us
UNION ALL SELECT 'delivered without being paid', t.id FROM trade t WHERE t.price_fen > 0 AND NOT EXISTS (
  SELECT FROM transfer x WHERE x.code = 'price' AND x.log_index = t.log_index AND x.amount = t.price_fen
  AND x.debit = (SELECT account FROM party WHERE id = t.buyer) AND x.credit = (SELECT account FROM party WHERE id = t.seller))
UNION ALL SELECT 'paid without being delivered', x.id FROM transfer x WHERE x.code = 'price' AND (
  SELECT count(*) FROM trade t JOIN licence c ON c.trade = t.id WHERE t.log_index = x.log_index) <> 1
UNION ALL SELECT 'a licence of no sale', c.id FROM licence c WHERE NOT EXISTS (SELECT FROM trade t WHERE t.id = c.trade)
UNION ALL SELECT 'undone by half', u.trade FROM annulment u JOIN licence c USING (trade) WHERE c.state = 'active' OR EXISTS (
  SELECT FROM (SELECT debit AS account, -amount AS fen FROM transfer WHERE id LIKE u.trade || ':%' AND kind = 'post'
  UNION ALL SELECT credit, amount FROM transfer WHERE id LIKE u.trade || ':%' AND kind = 'post') m
  GROUP BY account HAVING sum(fen) <> 0)
UNION ALL SELECT 'undone without an order', c.id FROM licence c WHERE c.state <> 'active' AND NOT EXISTS (
  SELECT FROM annulment u WHERE u.trade = c.trade AND u.order_reference <> '')
UNION ALL SELECT 'undone twice', trade FROM annulment WHERE trade IS NOT NULL GROUP BY trade HAVING count(*) > 1
UNION ALL SELECT 'a price above the ceiling', t.id FROM trade t JOIN listing l ON l.id = t.listing
  WHERE t.price_fen > l.ceiling_fen * t.licences
UNION ALL SELECT 'a bid above the ceiling', b.code FROM bid b JOIN lot l ON l.id = b.lot
  WHERE b.reason IS NULL AND b.price_fen > l.ceiling_fen
UNION ALL SELECT 'deposits that nobody has on a lot', id FROM account WHERE id = 'venue:deposits' AND credits_pending <> (
  SELECT coalesce(sum(l.deposit_fen), 0) FROM bidder b JOIN lot l ON l.id = b.lot WHERE b.state = 'admitted')
UNION ALL SELECT 'forfeits that wait for nothing', id FROM account WHERE id = 'venue:deposits'
  AND credits_posted - debits_posted <> (SELECT coalesce(sum(forfeit_fen), 0) FROM lot)
UNION ALL SELECT 'captured without a sale', b.hold FROM bidder b WHERE b.state = 'captured' AND NOT EXISTS (
  SELECT FROM trade t WHERE t.lot = b.lot AND t.buyer = b.party)
UNION ALL SELECT 'sold twice', lot FROM trade WHERE lot IS NOT NULL GROUP BY lot HAVING count(*) > 1
UNION ALL SELECT 'money made or lost', sum(credits_posted - debits_posted)::text FROM account
  HAVING sum(credits_posted - debits_posted) <> 0
"""

LEFT = """
SELECT 'a deposit left behind', b.lot || ' ' || b.code FROM bidder b WHERE b.state = 'admitted'
UNION ALL SELECT 'a hold left behind', id FROM hold WHERE state = 'pending'
UNION ALL SELECT 'a forfeit left behind', id FROM lot WHERE forfeit_fen > 0
UNION ALL SELECT 'a lot without an end', id FROM lot WHERE state IN ('open', 'halted', 'drawing') OR NOT settled
"""


class Stage:
    """One market for all lives, one after the other, and what was met on it."""

    def __init__(self, runner: asyncio.Runner, floor: Floor, database: Addresses) -> None:
        self.run, self.floor, self.met = runner.run, floor, Counter[str]()
        self.wrong: list[Any] = []
        self.worker = Worker(floor.house.gate, floor.house.gate.database)
        self.tables = psycopg.connect(database.app_url, autocommit=True)

    def meet(self, what: str) -> None:
        self.met[what] += 1
        event(what)


PLACE = st.integers(0, 7)


class Sale(RuleBasedStateMachine):
    """A department and three buyers who are new to the market, with two assets."""

    stage: ClassVar[Stage]

    def __init__(self) -> None:
        super().__init__()
        self.floor, self.house = self.stage.floor, self.stage.floor.house
        self.listings: list[str] = []
        self.lots: list[str] = []

    @initialize(operated=st.booleans())
    def they_come_to_the_market(self, operated: bool) -> None:
        self.stage.run(self._come(operated))

    async def _come(self, operated: bool) -> None:
        ((self.seller,), *buyers) = await asyncio.gather(
            self.house.party("supplier"), *(self.house.party("buyer") for _ in range(3))
        )
        self.buyers: list[Caller] = [buyer for (buyer,) in buyers]
        operator = self.floor.operator.party if operated else None
        if operator:
            agreed = agreement(operator, 300_000, starts_us=self.house.now_us)
            await self.house.act(parties.agree_operation, agreed, self.seller)
        self.assets = list(
            await asyncio.gather(
                self.floor.asset(operator=operator, seller=self.seller), self.floor.asset(seller=self.seller)
            )
        )
        await asyncio.gather(*(self.floor.fund(buyer, PURSE_FEN) for buyer in self.buyers))

    def ask(self, decide: Any, act: Any, caller: Caller) -> dict[str, Any] | None:
        """What came of an act; None where it was refused."""
        try:
            outcome = self.stage.run(self.house.act(decide, act, caller))
        except ExchangeError as problem:
            self.stage.meet(f"refused {problem.code}")
            return None
        if outcome["state"] == "refused":
            self.stage.meet(f"refused {outcome['reason']['code']}")
            return None
        return outcome

    def state(self, lot: str) -> str:
        row = self.stage.tables.execute("SELECT state FROM lot WHERE id = %s", (lot,)).fetchone()
        assert row is not None
        found: str = row[0]
        return found

    def tick(self) -> None:
        self.stage.run(self.stage.worker.tick())

    # what they may do, at any moment

    @rule(
        place=PLACE, price=st.sampled_from([0, 101, 60_000]), licences=st.integers(1, 3), alone=st.booleans()
    )
    def it_is_listed(self, place: int, price: int, licences: int, alone: bool) -> None:
        grant, reason = ("exclusive", "alone") if alone else ("licence", "")
        ceiling = 60_000 if price else None
        offer = Offer(grant, 1 if alone else licences, 5, price, ceiling, reason)
        asked = sales.OfferFixedPrice(self.assets[place % 2], offer)
        if listed := self.ask(sales.offer_fixed_price, asked, self.seller):
            self.listings.append(listed["id"])

    @rule(place=PLACE, who=PLACE, licences=st.integers(1, 4))
    def somebody_buys(self, place: int, who: int, licences: int) -> None:
        if self.listings:
            asked = sales.Buy(self.listings[place % len(self.listings)], licences)
            if self.ask(sales.buy, asked, self.buyers[who % 3]):
                self.stage.meet("sold at a fixed price")

    @rule(place=PLACE, capped=st.booleans(), alone=st.booleans(), again=st.booleans())
    def it_is_put_up(self, place: int, capped: bool, alone: bool, again: bool) -> None:
        now_us = self.house.now_us
        earlier = self.lots[place % len(self.lots)] if again and self.lots else None
        grant, reason = ("exclusive", "alone") if alone else ("licence", "")
        offer = Offer(grant, 1, 5, START_FEN, CEILING_FEN if capped else None, reason)
        if capped:
            self.stage.run(self.floor.commit())
        asked = auctions.OpenLot(
            self.assets[place % 2], offer, INCREMENT_FEN, DEPOSIT_FEN, now_us, now_us + DAY_US, earlier
        )
        if opened := self.ask(auctions.open_lot, asked, self.seller):
            self.lots.append(opened["id"])
            self.stage.meet("put up again" if earlier else "put up")

    @rule(place=PLACE, who=PLACE)
    def somebody_joins(self, place: int, who: int) -> None:
        if self.lots:
            asked = auctions.JoinLot(self.lots[-1 - place % len(self.lots)], nonce=NONCE.hex())
            self.ask(auctions.join_lot, asked, self.buyers[who % 3])

    @rule(
        place=PLACE,
        who=PLACE,
        steps=st.sampled_from([-1, 0, 1, 1, 3, TO_THE_CEILING, TO_THE_CEILING + 1]),
        odd=st.sampled_from([0, 0, 1]),
    )
    def somebody_bids(self, place: int, who: int, steps: int, odd: int) -> None:
        if self.lots:
            lot = self.lots[-1 - place % len(self.lots)]
            row = self.stage.tables.execute(
                "SELECT coalesce(standing_price_fen, start_price_fen - increment_fen), ceiling_fen FROM lot WHERE id = %s",
                (lot,),
            ).fetchone()
            assert row is not None
            price = row[0] + steps * INCREMENT_FEN + odd
            if steps >= TO_THE_CEILING and row[1] is not None:
                price = row[1] + (steps - TO_THE_CEILING) * INCREMENT_FEN
            if self.ask(auctions.place_bids, auctions.PlaceBid(lot, price), self.buyers[who % 3]):
                self.stage.meet("bid")

    @rule(far_us=st.sampled_from([1, 4 * MINUTE_US, DAY_US, DAY_US, 6 * DAY_US, 11 * DAY_US, 35 * DAY_US]))
    def time_passes(self, far_us: int) -> None:
        self.house.now_us += far_us

    @rule()
    def the_clock_does_what_is_due(self) -> None:
        self.tick()

    @rule(place=PLACE, kind=st.sampled_from(["close", "settle", "default", "cancel", "divide"]))
    def the_clock_does_one_thing_alone(self, place: int, kind: str) -> None:
        if self.lots:
            lot = self.lots[place % len(self.lots)]
            decide, asked = {
                "close": (auctions.close_lot, auctions.CloseLot(lot)),
                "settle": (auctions.settle_lot, auctions.SettleLot(lot)),
                "default": (auctions.declare_default, auctions.DeclareDefault(lot)),
                "cancel": (auctions.cancel_lot, auctions.CancelLot(lot, "not resumed in time")),
                "divide": (auctions.distribute_forfeit, auctions.DistributeForfeit(lot)),
            }[kind]
            self.ask(decide, asked, CLOCK)

    @rule(place=PLACE)
    def a_winner_is_drawn(self, place: int) -> None:
        if self.lots:
            asked = auctions.RevealDraw(self.lots[place % len(self.lots)], NONCE.hex())
            if self.ask(auctions.reveal_draw, asked, self.floor.regulator):
                self.stage.meet("drawn")

    @rule(who=PLACE, all_of_it=st.booleans())
    def somebody_withdraws(self, who: int, all_of_it: bool) -> None:
        caller = [*self.buyers, self.seller][who % 4]
        free, _ = self.stage.run(self.floor.money(caller))
        self.ask(money.withdraw, money.Withdraw(max(1, free if all_of_it else free // 2)), caller)

    @rule(who=PLACE)
    def somebody_tops_up(self, who: int) -> None:
        self.stage.run(self.floor.fund([*self.buyers, self.seller][who % 4], PURSE_FEN))

    @rule(place=PLACE, kind=st.sampled_from(["halt", "resume", "cancel"]))
    def the_regulator_intervenes(self, place: int, kind: str) -> None:
        if self.lots:
            lot = self.lots[place % len(self.lots)]
            decide, asked = {
                "halt": (auctions.halt_lot, auctions.HaltLot(lot, "fault")),
                "resume": (auctions.resume_lot, auctions.ResumeLot(lot)),
                "cancel": (auctions.cancel_lot, auctions.CancelLot(lot, "fault")),
            }[kind]
            if self.ask(decide, asked, self.floor.regulator):
                self.stage.meet(kind)

    @rule(place=PLACE)
    def a_lot_is_annulled(self, place: int) -> None:
        if self.lots:
            asked = auctions.AnnulLot(
                self.lots[place % len(self.lots)], "collusion", "order 7", "they agreed"
            )
            if undone := self.ask(auctions.annul_lot, asked, self.floor.regulator):
                self.stage.meet("lot annulled" if undone["trade"] is None else "settled lot annulled")

    @rule(place=PLACE)
    def a_sale_is_annulled(self, place: int) -> None:
        rows = self.stage.tables.execute(
            "SELECT id FROM trade WHERE seller = %s", (self.seller.party,)
        ).fetchall()
        if rows:
            asked = sales.AnnulSale(rows[place % len(rows)][0], "misdescription", "order 8", "another table")
            if self.ask(sales.annul_sale, asked, self.floor.regulator):
                self.stage.meet("sale annulled")

    @rule(who=PLACE, state=st.sampled_from(["suspended", "active", "active"]))
    def somebody_is_suspended(self, who: int, state: str) -> None:
        named = [*self.buyers, self.seller][who % 4]
        self.ask(
            parties.set_party_state, parties.SetPartyState(named.party, state, "drill"), self.floor.regulator
        )

    @rule(who=PLACE, stop=st.booleans())
    def somebody_pulls_the_kill_switch(self, who: int, stop: bool) -> None:
        caller = [*self.buyers, self.seller][who % 4]
        if stop:
            self.ask(controls.stop_trading, controls.StopTrading(caller.party), caller)
        else:
            self.ask(controls.resume_trading, controls.ResumeTrading(), caller)

    @rule(place=PLACE, licences=st.integers(1, 3), buyers=st.integers(1, 4), undone=st.booleans())
    def it_is_sold_as_it_may(self, place: int, licences: int, buyers: int, undone: bool) -> None:
        """So that more are asked for than there are, and that what was sold is undone."""
        before = len(self.listings)
        self.it_is_listed(place, 101, licences, False)
        if len(self.listings) > before:
            for who in range(buyers):
                self.somebody_buys(before, who, 1)
            if undone:
                self.a_sale_is_annulled(place)

    @rule(
        place=PLACE,
        steps=st.lists(st.sampled_from([0, 1, 1, 2, TO_THE_CEILING, TO_THE_CEILING + 1]), max_size=3),
        capped=st.booleans(),
        pays=st.sampled_from([True, False]),
        days=st.sampled_from([1, 1, 12, 50]),
        fate=st.sampled_from(["", "", "annulled", "again", "halted", "halted"]),
    )
    def a_lot_goes_as_it_may(
        self, place: int, steps: list[int], capped: bool, pays: bool, days: int, fate: str
    ) -> None:
        """So that lives meet the late stages: by chance alone few come that far."""
        before = len(self.lots)
        self.it_is_put_up(place, capped, False, fate == "again")
        if len(self.lots) == before:
            return
        for who, step in enumerate(steps):
            self.somebody_joins(0, who)
            self.somebody_bids(0, who, step, 0)
        if not pays:
            for who in range(len(steps)):
                self.somebody_withdraws(who, True)
        if fate == "halted":
            self.the_regulator_intervenes(len(self.lots) - 1, "halt")
        self.house.now_us += DAY_US
        self.tick()
        self.a_winner_is_drawn(len(self.lots) - 1)
        self.house.now_us += (days - 1) * DAY_US
        self.tick()
        if fate == "annulled":
            self.a_lot_is_annulled(len(self.lots) - 1)

    # what must hold

    @invariant()
    def nothing_is_wrong(self) -> None:
        self.ask_for(WRONG)

    def ask_for(self, wrong: str) -> None:
        """Fail where a query finds anything; what it finds first is told, since the market stays wrong for later lives."""
        self.stage.wrong = self.stage.wrong or self.stage.tables.execute(wrong).fetchall()
        assert self.stage.wrong == []

    def teardown(self) -> None:
        """Time passes until nothing is due; then all that was held has gone where it belongs."""
        if not hasattr(self, "assets"):
            return
        for _ in range(3):
            self.house.now_us += 40 * DAY_US
            self.tick()
            for lot in [one for one in self.lots if self.state(one) == "drawing"]:
                assert self.ask(
                    auctions.reveal_draw, auctions.RevealDraw(lot, NONCE.hex()), self.floor.regulator
                )
        self.tick()
        self.ask_for(LEFT)
        self.nothing_is_wrong()
        for lot in self.lots:
            self.stage.meet(f"lot {self.state(lot)}")


def play(database: Addresses, tmp_path: Path, examples: int, steps: int) -> Counter[str]:
    """Live so many lives on one market, have its log replayed, and give what was met."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        house = runner.run(stack.enter_async_context(opened(database, tmp_path, unnoticed())))
        stage = Stage(runner, runner.run(Floor.open(house, buyers=0)), database)

        class OnThisMarket(Sale):
            pass

        OnThisMarket.stage = stage
        try:
            run_state_machine_as_test(
                OnThisMarket,
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=steps,
                    deadline=None,
                    database=None,
                    phases=(
                        Phase.generate,
                    ),  # what was found first is what to look at: the market stays as it is
                    suppress_health_check=list(HealthCheck),
                ),
            )
            found = runner.run(_replayed(stage.floor))
        except Exception as error:
            assert stage.wrong == []
            raise error
        finally:
            stage.tables.close()
            runner.run(stack.aclose())
    assert found == []
    return stage.met


async def _replayed(floor: Floor) -> list[Any]:
    return replay(await floor.bodies(), await floor.openings()).differences


def test_no_sequence_of_acts_sells_twice_pays_for_nothing_or_keeps_a_deposit(
    database: Addresses, tmp_path: Path
) -> None:
    met = play(database, tmp_path, examples=12, steps=14)
    assert met["bid"]


@pytest.mark.drill
def test_lives_that_meet_every_end_of_a_sale_break_no_law_of_it(database: Addresses, tmp_path: Path) -> None:
    met = play(database, tmp_path, examples=120, steps=30)
    ends = {"sold", "failed", "cancelled", "defaulted", "annulled"}
    assert {f"lot {end}" for end in ends} <= set(met)
    assert {
        "sold at a fixed price",
        "sale annulled",
        "settled lot annulled",
        "lot annulled",
        "drawn",
        "put up again",
    } <= set(met)
    assert {"refused sale.sold_out", "refused listing.exclusive_stands", "refused bid.above_ceiling"} <= set(
        met
    )
