"""A delivery is accepted, by silence too, or mediated; what an award gives back is the same part of everything, once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import acceptance, delivery, mediation, money, parties, sales
from exchange.acceptance import AcceptDelivery, Delivered, LetLapse, ObjectToDelivery, window_ends_us
from exchange.acts import CLOCK, Act, Caller, Record, Transaction
from exchange.delivery import DELIVERY
from exchange.errors import Conflict, ExchangeError, Forbidden, NotFound, Unprocessable
from exchange.mediation import Mediate, NameMediator, PayRefund, awarded_fen, covered
from exchange.money import FEES, TAX
from exchange.replay import replay
from exchange.rulebook import load
from exchange.settlement import Shares, chain, refund, reversal, split
from exchange.worker import Worker
from ledger.postings import Account, Transfer
from tests.exchange.conftest import START_US, House
from tests.exchange.floor import DAY_US, Floor, licence

RULES = load("cn-venue")
PRICE_FEN = 10_600


def ruled(**values: bool) -> Any:
    """The rules with other answers to what goes back."""
    named = {f"acceptance.{name}": value for name, value in values.items()}
    return replace(RULES, rules={**RULES.rules, **{n: replace(RULES[n], value=v) for n, v in named.items()}})


def test_the_window_begins_anew_with_the_first_access_within_it_and_with_no_other() -> None:
    begun = Delivered(window_ends_us(START_US, RULES))
    within = begun.access(begun.ends_us - 1, RULES)
    assert within.ends_us == window_ends_us(begun.ends_us - 1, RULES) > begun.ends_us
    assert within.access(within.ends_us - 1, RULES) == within
    assert begun.access(begun.ends_us, RULES) == begun  # silence had accepted it
    assert (begun.stands(begun.ends_us - 1), begun.stands(begun.ends_us)) == ("open", "accepted")


def settled_at(price_fen: int, shares: Shares | None) -> list[Transfer]:
    return chain("t", split(price_fen, RULES, shares), "buyer", "seller", None)


amounts = st.integers(2, 2**40).flatmap(lambda price: st.tuples(st.just(price), st.integers(1, price - 1)))
SHARES = Shares(300_000, (("h0", 490_000), ("h1", 510_000)))


@given(amounts, st.sampled_from([None, SHARES]))
def test_a_reduction_gives_back_the_same_part_of_every_step_and_an_annulment_then_the_rest(
    of: tuple[int, int], shares: Shares | None
) -> None:
    price_fen, refund_fen = of
    settled = settled_at(price_fen, shares)
    back = refund("t", settled, refund_fen, price_fen, RULES)
    paid = {one.id.removeprefix("t:"): one for one in settled}
    for one in back:
        first = paid[one.id.removeprefix("t:refund_")]
        assert (one.debit, one.credit) == (first.credit, first.debit)
        assert abs(one.amount * price_fen - first.amount * refund_fen) * 2 <= price_fen
        assert one.amount <= first.amount
    assert next(one.amount for one in back if one.debit == "seller" and one.credit == "buyer") == refund_fen
    left: dict[str, int] = {}
    for one in (*settled, *back, *reversal("t", settled, back)):
        left[one.debit] = left.get(one.debit, 0) - one.amount
        left[one.credit] = left.get(one.credit, 0) + one.amount
    assert set(left.values()) == {0}


def test_a_refund_of_the_whole_is_the_settlement_the_other_way_and_nothing_is_left_to_annul() -> None:
    settled = settled_at(PRICE_FEN, SHARES)
    back = refund("t", settled, PRICE_FEN, PRICE_FEN, RULES)
    undone = [(one.debit, one.credit, one.amount) for one in reversal("t", settled)]
    assert [(one.debit, one.credit, one.amount) for one in back] == undone
    assert reversal("t", settled, back) == []
    assert refund("t", [], 0, 0, RULES) == []


def test_commission_and_tax_go_back_as_the_rules_say() -> None:
    def codes(rules: Any) -> set[str]:
        back = refund("t", settled_at(PRICE_FEN, None), PRICE_FEN // 2, PRICE_FEN, rules)
        return {one.id.removeprefix("t:refund_") for one in back}

    assert codes(RULES) == {"price", "buyer_fee", "seller_fee", "tax"}
    assert codes(ruled(commission_returned=False)) == {"price", "tax"}
    assert codes(ruled(tax_returned=False)) == {"price", "buyer_fee", "seller_fee"}


@pytest.mark.parametrize(
    "said", [("reduce", 0), ("reduce", 100), ("reduce", None), ("accept", 1), ("refund", 99)]
)
def test_an_award_gives_back_nothing_a_part_or_all(said: tuple[Any, int | None]) -> None:
    assert [awarded_fen("accept", None, 100), awarded_fen("refund", None, 100)] == [0, 100]
    assert [awarded_fen("reduce", fen, 100) for fen in (1, 99)] == [1, 99]
    with pytest.raises(Unprocessable):
        awarded_fen(*said, 100)


def test_a_chain_is_covered_where_no_account_is_overdrawn_on_the_way() -> None:
    def account(name: str, fen: int) -> Account:
        return Account(name, "CNY", "party", "debits_must_not_exceed_credits", credits_posted=fen)

    steps = [
        Transfer(str(n), "post", debit, credit, 10, "CNY", "refund")
        for n, (debit, credit) in enumerate((("h", "seller"), ("seller", "buyer")))
    ]
    assert covered(steps, {"h": account("h", 10), "seller": account("seller", 0)})
    assert not covered(list(reversed(steps)), {"h": account("h", 10), "seller": account("seller", 0)})
    assert not covered(steps, {"h": account("h", 9), "seller": account("seller", 10)})


@dataclass(frozen=True, slots=True)
class Fetch(Act):
    """The product of a licence is fetched."""

    licence: str


async def fetch(tx: Transaction, act: Fetch) -> Record:
    """Note it as delivery does: the floor's assets have no files."""
    await acceptance.note_access(tx, act.licence)
    return Record("product_downloaded", {"licence": act.licence, "state": "downloaded"})


async def sold(floor: Floor, buyer: Caller, price_fen: int = PRICE_FEN) -> str:
    """A licence that a buyer just bought."""
    listing = await floor.listing(licence(price_fen))
    sale = await floor.house.act(sales.buy, sales.Buy(listing, 1), buyer)
    name: str = sale["voucher"]["licence"]
    return name


async def stands(floor: Floor, who: Caller, name: str) -> dict[str, Any]:
    """Where a delivery stands, as somebody sees it."""
    response = await floor.house.call(who, "GET", "/v1/acceptances")
    (row,) = [one for one in response.json() if one["licence"] == name]
    found: dict[str, Any] = row
    return found


async def objected(floor: Floor, buyer: Caller, price_fen: int = PRICE_FEN) -> str:
    name = await sold(floor, buyer, price_fen)
    told = ObjectToDelivery(name, "incomplete", "three months are missing", "ab" * 32)
    await floor.house.act(acceptance.object_to_delivery, told, buyer)
    return name


async def no_difference(floor: Floor) -> Any:
    """The replay of the whole log, which agrees with it."""
    market = replay(await floor.bodies(), await floor.openings())
    assert market.differences == []
    balances = await floor.balances()
    assert {n: a.credits_posted - a.debits_posted for n, a in market.accounts.items()} == balances
    return market


@pytest.mark.anyio
async def test_silence_accepts_when_the_window_ends_and_not_a_moment_before(house: House) -> None:
    floor = await Floor.open(house, buyers=1)
    buyer = floor.buyers[0]
    names = [await sold(floor, buyer) for _ in range(3)]
    ends_us = int((await stands(floor, buyer, names[0]))["ends_us"])
    assert ends_us == window_ends_us(START_US, RULES)
    complaint = ObjectToDelivery(names[0], "inaccurate", "the hours are shifted")
    house.now_us = ends_us - 1
    await house.act(fetch, Fetch(names[2]), DELIVERY)  # has its whole window before it now
    with pytest.raises(Conflict, match="window ends"):
        await house.act(acceptance.let_lapse, LetLapse(names[1]), CLOCK)
    said = await house.act(acceptance.object_to_delivery, complaint, buyer)
    assert said["state"] == "objected"
    house.now_us = ends_us
    with pytest.raises(Conflict, match="accepted since"):
        await house.act(acceptance.object_to_delivery, replace(complaint, licence=names[1]), buyer)
    assert [(await stands(floor, buyer, name))["state"] for name in names] == ["objected", "accepted", "open"]
    size = await house.log_size()
    worker = Worker(house.gate, house.gate.database)
    await worker.tick()
    await worker.tick()
    assert await house.log_size() == size + 1
    assert (await stands(floor, floor.seller, names[1]))["silent"] is True
    market = await no_difference(floor)
    assert [market.deliveries[name].state for name in names] == ["objected", "accepted", "open"]
    house.now_us = int((await stands(floor, buyer, names[2]))["ends_us"])
    assert (await stands(floor, buyer, names[2]))["state"] == "accepted"


@pytest.mark.anyio
async def test_a_refused_acceptance_is_mediated_by_one_who_is_related_to_nobody(house: House) -> None:
    floor = await Floor.open(house, buyers=2)
    buyer, other = floor.buyers
    before = await floor.money(buyer)
    name = await objected(floor, buyer)
    (mediator,), (kin,) = [await house.party("service_provider") for _ in range(2)]
    related = parties.DeclareRelation(kin.party, buyer.party, "controls", True, "ab" * 32)
    await house.act(parties.declare_relation, related, floor.regulator)
    named = NameMediator(name, mediator.person)
    for who in (buyer, floor.seller, mediator):
        with pytest.raises(Forbidden):
            await house.act(mediation.name_mediator, named, who)
    refused = await house.act(mediation.name_mediator, NameMediator(name, kin.person), floor.regulator)
    assert refused["reason"]["code"] == "mediation.related"
    with pytest.raises(Unprocessable):
        await house.act(mediation.name_mediator, NameMediator(name, other.person), floor.regulator)
    due_us = int((await stands(floor, floor.regulator, name))["due_us"])
    house.now_us = due_us
    assert (await stands(floor, floor.regulator, name))["overdue"]
    await house.act(mediation.name_mediator, named, floor.regulator)
    assert not (await stands(floor, mediator, name))["overdue"]
    award = Mediate(name, "reduce", "调解 2026-1", "a quarter is missing", PRICE_FEN // 4)
    for who in (buyer, floor.seller, floor.regulator, kin):
        with pytest.raises(NotFound):
            await house.act(mediation.mediate, award, who)
    decided = await house.act(mediation.mediate, award, mediator)
    assert (decided["state"], decided["refund"], decided["late"]) == ("reduced", "paid", False)
    spent_fen = before[0] - (await floor.money(buyer))[0]
    assert spent_fen == PRICE_FEN + 106 - PRICE_FEN // 4 - 27  # a quarter of 106 fen is 26.5
    for again in (award, replace(award, decision="refund", refund_fen=None)):
        with pytest.raises(Conflict):
            await house.act(mediation.mediate, again, mediator)
    shown = await stands(floor, buyer, name)
    assert (shown["reason"], shown["order_reference"]) == (award.reason, award.order)
    # The licence goes on; an annulment of the same sale gives back the rest, and no more.
    (state,) = (await floor.rows("SELECT state FROM licence WHERE id = %s", name))[0]
    assert state == "active"
    annulled = sales.AnnulSale(shown["trade"], "misdescription", "order 7", "found later")
    await house.act(sales.annul_sale, annulled, floor.regulator)
    assert await floor.money(buyer) == before
    assert (await stands(floor, buyer, name))["state"] == "void"
    market = await no_difference(floor)
    assert market.judged["refunds"] == 1


@pytest.mark.anyio
async def test_what_a_seller_lacks_is_owed_and_paid_by_the_clock_once_it_is_there(house: House) -> None:
    floor = await Floor.open(house, buyers=2)
    buyer, other = floor.buyers
    before = await floor.money(buyer)
    name = await objected(floor, buyer, 100_000)
    (mediator,) = await house.party("service_provider")
    await house.act(mediation.name_mediator, NameMediator(name, mediator.person), house.administrator)
    free_fen, _ = await floor.money(floor.seller)
    await house.act(money.withdraw, money.Withdraw(free_fen), floor.seller)
    award = Mediate(name, "refund", "award 1", "nothing of it is true")
    decided = await house.act(mediation.mediate, award, mediator)
    assert (decided["refund"], decided["refund_fen"]) == ("owed", "100000")
    link = delivery.MakeLink(name, 60)
    with pytest.raises(Conflict, match="revoked"):
        await house.act(delivery.make_link, link, buyer)
    assert (await stands(floor, floor.regulator, name))["refund_state"] == "owed"
    worker = Worker(house.gate, house.gate.database)
    await worker.tick()  # calls for the deletion of what was refunded
    size = await house.log_size()
    await worker.tick()
    assert await house.log_size() == size
    with pytest.raises(Conflict):
        await house.act(mediation.pay_refund, PayRefund(name), CLOCK)
    await floor.fund(floor.seller, 100)
    with pytest.raises(Conflict, match="a refund is owed"):
        await house.act(money.withdraw, money.Withdraw(1), floor.seller)
    await sold(floor, other, 200_000)
    await worker.tick()
    assert await floor.money(buyer) == before
    with pytest.raises(ExchangeError):
        await house.act(mediation.pay_refund, PayRefund(name), CLOCK)
    balances = await floor.balances()
    fees = split(200_000, RULES, None)
    assert balances[FEES] == fees.buyer_fee_fen + fees.seller_fee_fen
    assert balances[TAX] == fees.tax_fen
    market = await no_difference(floor)
    assert market.judged["refunds"] == 1


@pytest.mark.anyio
async def test_a_buyer_may_accept_after_all_and_then_no_more(house: House) -> None:
    floor = await Floor.open(house, buyers=2)
    buyer, other = floor.buyers
    name = await objected(floor, buyer)
    for who in (other, floor.seller):
        with pytest.raises(NotFound):
            await house.act(acceptance.accept_delivery, AcceptDelivery(name), who)
    await house.act(acceptance.accept_delivery, AcceptDelivery(name), buyer)
    with pytest.raises(Conflict):
        await house.act(acceptance.accept_delivery, AcceptDelivery(name), buyer)
    for text, ground in (("  ", "incomplete"), ("x", "mood")):
        with pytest.raises((Unprocessable, Conflict)):
            await house.act(acceptance.object_to_delivery, ObjectToDelivery(name, ground, text), buyer)
    house.now_us += DAY_US
    await no_difference(floor)
