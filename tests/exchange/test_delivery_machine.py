"""A machine over the life of a licence: whatever its sides, the regulator and the clock do, no byte goes out outside a contract.

The rooms play on the real database; beside them stands a slow book of plain facts that says of each attempt what has to come of
it. At the end a stranger replays the whole log, and judges every delivery again.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from nacl.signing import SigningKey

from exchange import contracting, credentials, delivery, parties, sales
from exchange.acts import Caller
from exchange.contracts import contract_statement
from exchange.database import Addresses
from exchange.delivery import DELIVERY
from exchange.errors import ExchangeError
from exchange.replay import replay
from exchange.rulebook.days import DAY_US
from exchange.signing import key_id_of
from tests.exchange.conftest import ORIGIN, RULES, Department, House, opened
from tests.exchange.floor import bodies

MINUTE_US = 60_000_000
CALLS, BYTES = 3, 5_000
T = TypeVar("T")


@dataclass
class Market:
    """A market in a loop of its own, with a listing of three calls and five thousand bytes a licence."""

    loop: asyncio.AbstractEventLoop
    house: House
    seller: Caller
    regulator: Caller
    bank: Caller
    asset: str
    listing: str

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What comes of something that the market does."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)


@pytest.fixture
def market(database: Addresses, tmp_path: Path, patients: Department) -> Iterator[Market]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def wait(coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(60)

    context = opened(database, tmp_path, RULES)
    try:
        house = wait(context.__aenter__())
        yield wait(_furnished(loop, house, patients))
        wait(context.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _furnished(loop: asyncio.AbstractEventLoop, house: House, patients: Department) -> Market:
    supplier = await house.party("supplier", people=2)
    (regulator,), (bank,) = [await house.party(role) for role in ("regulator", "bank")]
    asset = await house.walk(supplier, patients)
    await house.done(supplier[0], f"/v1/assets/{asset}/appraisals", house.appraisal())
    terms = {"calls_at_most": str(CALLS), "bytes_at_most": str(BYTES)}
    offer = {"grant": "licence", "licences": "100000", "term_days": "1", "price_fen": "100", "terms": terms}
    listed = await house.done(supplier[0], "/v1/listings", {"asset": asset, "offer": offer})
    return Market(loop, house, supplier[0], regulator, bank, asset, listed["id"])


@dataclass
class Facts:
    """The slow book: what happened to one licence, in plain words."""

    ends_us: int
    signed: set[str] = field(default_factory=set)
    state: str = "active"
    buyer: str = "active"
    links_ended: int = 0
    calls: int = 0
    bytes: int = 0
    links: list[tuple[int, int]] = field(default_factory=list)  # until when, of which series

    def why_not(self, now_us: int, size: int) -> str | None:
        """Why nothing may be delivered now, or None."""
        if self.state != "active":
            return f"licence.{self.state}"
        if self.signed != {"buyer", "seller"}:
            return "contract.unsigned"
        if self.buyer != "active":
            return "licence.buyer_suspended"
        if now_us >= self.ends_us:
            return "licence.term"
        if self.calls + 1 > CALLS or self.bytes + size > BYTES:
            return "licence.quota"
        return None


class Life(RuleBasedStateMachine):
    """One licence from its sale on."""

    market: Market

    @initialize(signers=st.sampled_from([("buyer", "seller"), ("seller", "buyer"), ("seller",)]))
    def a_licence_is_sold(self, signers: tuple[str, ...]) -> None:
        house = self.market.house

        async def sell() -> tuple[Caller, dict[str, Any]]:
            (buyer,) = await house.party("buyer")
            paid = {"party": buyer.party, "amount_fen": "1000", "bank_reference": f"ref-{buyer.party}"}
            await house.done(self.market.bank, "/v1/top-ups", paid)
            sale = await house.act(sales.buy, sales.Buy(self.market.listing, 1, None, "research"), buyer)
            return buyer, sale["voucher"]

        self.buyer, voucher = self.market.wait(sell())
        self.licence, self.trade, self.digest = (
            voucher["licence"],
            voucher["trade"],
            voucher["contract"]["digest"],
        )
        self.facts = Facts(house.now_us + DAY_US)
        for side in signers:
            self.a_side_signs(side, forged=False)

    def attempt(self, decide: Any, act: Any, caller: Caller) -> str | dict[str, Any]:
        """What comes of an act: its outcome, or the code of its refusal."""
        try:
            return self.market.wait(self.market.house.act(decide, act, caller))
        except ExchangeError as refused:
            return refused.code

    @rule(side=st.sampled_from(["buyer", "seller"]), forged=st.booleans())
    def a_side_signs(self, side: str, forged: bool) -> None:
        caller = self.buyer if side == "buyer" else self.market.seller
        key = SigningKey(hashlib.sha256(caller.party.encode()).digest())
        public = bytes(key.verify_key)
        added = self.attempt(credentials.add_signing_key, credentials.AddSigningKey(public, "mine"), caller)
        assert added == "signing_key.known" or isinstance(added, dict)
        as_side: Any = {"buyer": "seller", "seller": "buyer"}[side] if forged else side
        signature = key.sign(contract_statement(ORIGIN, as_side, self.digest)).signature
        act = contracting.SignContract(self.trade, self.digest, key_id_of(public), signature)
        came = self.attempt(contracting.sign_contract, act, caller)
        if self.facts.state == "annulled":
            assert came == "contract.ended"
        elif side in self.facts.signed:
            assert came == "contract.signed"
        elif forged:
            assert came == "contract.signature"
        else:
            self.facts.signed.add(side)
            assert isinstance(came, dict)
            assert came["state"] == ("signed" if len(self.facts.signed) == 2 else "drawn")

    @rule(minutes=st.sampled_from([1, 10, 10_000]))
    def a_link_is_made(self, minutes: int) -> None:
        now_us = self.market.house.now_us
        seconds = min(minutes * 60, 7 * 86_400)
        came = self.attempt(delivery.make_link, delivery.MakeLink(self.licence, seconds), self.buyer)
        why = self.facts.why_not(now_us, 1)
        if why is not None:
            assert came == why
            return
        assert isinstance(came, dict)
        until_us = min(now_us + seconds * 1_000_000, self.facts.ends_us)
        assert came["expires_us"] == str(until_us)
        self.facts.links.append((until_us, self.facts.links_ended))

    @precondition(lambda self: self.facts.links)
    @rule(place=st.integers(0, 5), size=st.sampled_from([1, 1_000, 2_000, 4_000]))
    def a_link_is_followed(self, place: int, size: int) -> None:
        now_us = self.market.house.now_us
        until_us, series = self.facts.links[place % len(self.facts.links)]
        act = delivery.RecordDownload(self.licence, until_us, series, "", size)
        came = self.attempt(delivery.record_download, act, DELIVERY)
        if series != self.facts.links_ended:
            assert came == "link.ended"
        elif (why := self.facts.why_not(now_us, size)) is not None:
            assert came == why
        elif now_us >= until_us:
            assert came == "link.expired"
        else:
            self.facts.calls, self.facts.bytes = self.facts.calls + 1, self.facts.bytes + size
            assert isinstance(came, dict)
            assert (came["calls_used"], came["bytes_used"]) == (str(self.facts.calls), str(self.facts.bytes))
            assert self.facts.signed == {"buyer", "seller"}

    @rule(size=st.sampled_from([1, 1_000, 2_000]))
    def the_product_is_fetched(self, size: int) -> None:
        self.a_link_is_made(10)
        if self.facts.links:
            self.a_link_is_followed(len(self.facts.links) - 1, size)

    @rule(
        state=st.sampled_from(["suspended", "active", "active", "revoked"]),
        who=st.sampled_from(["seller", "regulator", "buyer"]),
    )
    def its_state_is_set(self, state: str, who: str) -> None:
        caller = {"seller": self.market.seller, "regulator": self.market.regulator, "buyer": self.buyer}[who]
        came = self.attempt(
            delivery.set_licence, delivery.SetLicence(self.licence, state, "a reason"), caller
        )
        ways = {
            ("active", "suspended"),
            ("active", "revoked"),
            ("suspended", "active"),
            ("suspended", "revoked"),
        }
        if who == "buyer":
            assert came == "caller.role"
        elif (self.facts.state, state) not in ways:
            assert came == "licence.state"
        else:
            assert isinstance(came, dict)
            self.facts.state = state

    @rule()
    def its_links_are_ended(self) -> None:
        assert isinstance(self.attempt(delivery.end_links, delivery.EndLinks(self.licence), self.buyer), dict)
        self.facts.links_ended += 1

    @rule(state=st.sampled_from(["suspended", "active", "active"]))
    def its_buyer_is_looked_into(self, state: str) -> None:
        act = parties.SetPartyState(self.buyer.party, state, "an inquiry")
        assert isinstance(self.attempt(parties.set_party_state, act, self.market.regulator), dict)
        self.facts.buyer = state

    @rule(often=st.integers(0, 3))
    def its_trade_is_annulled(self, often: int) -> None:
        if often:  # seldom enough that other things happen first
            return
        act = sales.AnnulSale(self.trade, "collusion", "order 12", "found")
        came = self.attempt(sales.annul_sale, act, self.market.regulator)
        assert came == "annulment.annulled" if self.facts.state == "annulled" else isinstance(came, dict)
        self.facts.state = "annulled"

    @rule(minutes=st.sampled_from([0, 1, 9, 60, 900]))
    def time_passes(self, minutes: int) -> None:
        self.market.house.now_us += minutes * MINUTE_US


def lived(market: Market, examples: int, steps: int) -> None:
    """Many lives, and a stranger's judgement of all of them."""

    class Here(Life):
        pass

    Here.market = market
    run_state_machine_as_test(
        Here,
        settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None, derandomize=True),
    )
    found = replay(market.wait(bodies(market.house.gate)))
    assert [one for one in found.differences if "delivery" in one.what or "contract" in one.what] == []
    assert found.judged["deliveries"] > examples  # links and downloads: it is no machine that only refuses


def test_no_delivery_outside_a_contract(market: Market) -> None:
    lived(market, 25, 25)


@pytest.mark.drill
@pytest.mark.timeout(1200)
def test_no_delivery_outside_a_contract_however_long_one_tries(market: Market) -> None:
    lived(market, 1_000, 50)
