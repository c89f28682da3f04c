"""Money that is not the venue's own: whose it is, where it may go, and who lets it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from exchange import money, parties, sales, treasury
from exchange.acts import Caller
from exchange.errors import Conflict, ExchangeError, Forbidden, NotFound
from exchange.replay import replay
from tests.exchange.conftest import House
from tests.exchange.floor import DAY_US, Floor, agreement, licence
from tests.exchange.test_statute import KEPT_FEN, tick, unpaid

pytestmark = pytest.mark.anyio

PARTS = {
    ("cash", "cash", "price"),
    ("cash", "fees", "buyer_fee"),
    ("cash", "fees", "seller_fee"),
    ("cash", "tax", "tax"),
    ("cash", "dividend", "share"),
    ("cash", "cash", "contribution"),
}
FLOWS = {
    *PARTS,
    *((credit, debit, undone) for debit, credit, _ in PARTS for undone in ("reversal", "refund")),
    ("cash", "deposits", "deposit"),
    ("deposits", "fees", "forfeit_costs"),
    ("deposits", "cash", "forfeit_gap"),
    ("deposits", "treasury", "forfeit_treasury"),
    ("bank", "cash", "top_up"),
    ("bank", "suspense", "top_up"),
    ("suspense", "cash", "suspense_assigned"),
    *((held, "bank", "withdrawal") for held in ("cash", "dividend", "treasury")),
    *(("bank", held, "payout_return") for held in ("cash", "dividend", "treasury")),
    *((one, other, "bank_adjustment") for one, other in (("bank", "suspense"), ("suspense", "bank"))),
    *(
        (one, other, "bank_adjustment")
        for one, other in (("bank", "cash"), ("cash", "bank"), ("fees", "bank"))
    ),
}
"""From what kind of account to what kind, and for what, money is ever posted: parties' money, deposits, dividends and treasury
money reach the venue's own account as its commission and as a default's costs, and no other way."""


def fenced(bodies: Iterable[tuple[int, Mapping[str, Any]]]) -> set[tuple[str, str, str]]:
    """The flows of a log, each of which is one that may be."""
    kinds: dict[str, str] = {}
    found = set()
    for index, body in bodies:
        kinds |= {account["id"]: account["code"] for account in body.get("accounts", ())}
        for moved in body.get("transfers", ()):
            if moved["kind"] in ("post", "post_pending") and moved["ledger"] == "CNY":
                flow = (kinds[moved["debit"]], kinds[moved["credit"]], moved["code"])
                assert flow in FLOWS, f"entry {index}"
                found.add(flow)
    return found


async def forfeited(house: House) -> tuple[Floor, list[Caller]]:
    """A department of two persons whose treasury has what a forfeited deposit left."""
    floor, _, _ = await unpaid(house)
    await tick(floor)
    house.now_us += 31 * DAY_US
    await tick(floor)
    account = money.treasury(floor.seller.party)
    assert (await floor.balances())[account] == KEPT_FEN
    invited = parties.InvitePerson(floor.seller.party, "second", bytes(range(32)))
    person = await house.act(parties.invite_person, invited, house.administrator)
    return floor, [floor.seller, Caller(person["id"], floor.seller.party, floor.seller.roles)]


async def test_treasury_money_leaves_under_two_persons_to_the_bank_and_nowhere_else(house: House) -> None:
    floor, (first, second) = await forfeited(house)
    account, banked = money.treasury(first.party), (await floor.balances())[money.BANK]
    for fen in (0, KEPT_FEN + 1):
        with pytest.raises(Conflict):
            await house.act(treasury.propose_treasury_payout, treasury.ProposeTreasuryPayout(fen), first)
    for named in (account, "acc-0123456789abcdef", floor.buyers[1].party):
        with pytest.raises(NotFound):  # one person alone does not get at it, nor at anything else
            await house.act(money.withdraw, money.Withdraw(1, account=named), first)
    proposals = [
        (await house.act(treasury.propose_treasury_payout, treasury.ProposeTreasuryPayout(fen), first))[
            "proposal"
        ]
        for fen in (KEPT_FEN, KEPT_FEN, 1)
    ]
    assert (await floor.balances())[account] == KEPT_FEN
    (stranger,) = await house.party("supplier")
    for caller, refused in ((first, Forbidden), (stranger, NotFound), (floor.regulator, NotFound)):
        with pytest.raises(refused):
            await house.act(
                treasury.decide_treasury_payout,
                treasury.DecideTreasuryPayout(proposals[0], "approve"),
                caller,
            )

    async def decide(proposal: str, decision: treasury.Decision) -> dict[str, Any]:
        act = treasury.DecideTreasuryPayout(proposal, decision)
        return await house.act(treasury.decide_treasury_payout, act, second)

    assert (await decide(proposals[2], "reject"))["state"] == "rejected"
    paid = await decide(proposals[0], "approve")
    assert (paid["state"], paid["account"], paid["amount_fen"]) == ("ordered", account, str(KEPT_FEN))
    balances = await floor.balances()
    assert (balances[account], balances[money.BANK]) == (0, banked + KEPT_FEN)
    for proposal in proposals:  # decided, or no money is left
        with pytest.raises(Conflict):
            await decide(proposal, "approve")
    seen = await house.gate.read(treasury.proposals, second, None, 10)
    assert [one["state"] for one in seen] == ["rejected", "proposed", "approved"]
    assert await house.gate.read(treasury.proposals, stranger, None, 10) == []
    # The bank pays against the order, and what comes back is the treasury's again.
    (order,) = list(await house.gate.read(money.withdrawals, second, "ordered", None, 10))
    assert (order["payout"], order["account"]) == (paid["payout"], account)
    await house.act(money.return_payout, money.ReturnPayout(paid["payout"], "account_closed"), floor.bank)
    assert (await floor.balances())[account] == KEPT_FEN
    bodies = await floor.bodies()
    market = replay(bodies, await floor.openings())
    assert market.differences == []
    assert market.judged["proposals"] == 2
    assert ("treasury", "bank", "withdrawal") in fenced(bodies)

    # A log in which one person did both is found out.
    alone = [
        (index, {**body, "by": first.person} if body["act"].get("proposal") == proposals[0] else body)
        for index, body in bodies
    ]
    assert [one.what for one in replay(alone, await floor.openings()).differences] == [
        f"decision on {proposals[0]}"
    ]


async def test_holders_of_an_operator_see_and_withdraw_their_dividends_and_nobody_elses(house: House) -> None:
    floor = await Floor.open(house)
    await house.act(parties.agree_operation, agreement(floor.operator.party, 300_000), floor.seller)
    listing = await floor.listing(licence(1_060_000), await floor.asset(operator=floor.operator.party))
    await house.act(sales.buy, sales.Buy(listing, 1), floor.buyers[0])
    rows = await floor.rows("SELECT account, holder_party FROM shareholding ORDER BY position")
    (own, _), (rest, _) = rows
    free, _ = await floor.money(floor.holder)
    for caller, account in ((floor.holder, rest), (floor.buyers[0], own), (floor.operator, own)):
        with pytest.raises(ExchangeError) as refused:
            await house.act(money.withdraw, money.Withdraw(1, account=account), caller)
        assert refused.value.code == "account.unknown"
    with pytest.raises(Conflict):
        await house.act(money.withdraw, money.Withdraw(153_001, account=own), floor.holder)
    paid = await house.act(money.withdraw, money.Withdraw(153_000, account=own), floor.holder)
    assert (paid["account"], paid["dividends_of"]) == (own, floor.operator.party)
    assert await floor.money(floor.holder) == (free, 0)
    assert (await floor.balances())[own] == 0
    bodies = await floor.bodies()
    assert replay(bodies, await floor.openings()).differences == []
    assert ("dividend", "bank", "withdrawal") in fenced(bodies)
    stolen = [
        (index, {**body, "party": floor.buyers[0].party} if body["kind"] == "withdrawn" else body)
        for index, body in bodies
    ]
    assert replay(stolen, await floor.openings()).differences
