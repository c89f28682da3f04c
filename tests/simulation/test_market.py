"""A seeded market against an independent naive book, its own replay, and an audit: after any sequence of acts."""

from __future__ import annotations

import asyncio
import random
import zipfile
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest

from exchange import auctions, money, oversight, parties, rulebook, sales, venue
from exchange.acts import Caller
from exchange.database import Addresses
from exchange.errors import ExchangeError
from exchange.replay import Replayed, from_bundle, replay
from exchange.worker import Worker
from ledger.audit import audit
from ledger.postings import differences
from tests.exchange.conftest import House
from tests.exchange.floor import (
    DAY_US,
    DEPOSIT_FEN,
    INCREMENT_FEN,
    MINUTE_US,
    START_FEN,
    Floor,
    agreement,
    another_gate,
    as_owner,
    exclusive,
    licence,
    played,
)

pytestmark = pytest.mark.anyio


def half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


@dataclass
class NaiveBook:
    """Who has what, from outcomes alone: knows nothing of accounts, transfers or the ledger's code."""

    free: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    held: dict[tuple[str, str], int] = field(default_factory=dict)  # (lot, party): deposit
    bids: dict[str, list[tuple[str, int]]] = field(default_factory=lambda: defaultdict(list))
    operators: dict[str, str | None] = field(default_factory=dict)  # asset: operator
    made: dict[str, dict[str, int]] = field(default_factory=dict)  # trade: who got what

    def trade(self, voucher: dict[str, Any], agreed_ppm: dict[tuple[str, str | None], int]) -> None:
        """Price and parts, the obvious way, in fen."""
        price = int(voucher["price_fen"])
        tax, buyer_fee = half_up(price * 6, 106), half_up(price, 100)
        seller_fee = half_up(price * 15, 1000)
        ppm = agreed_ppm.get((voucher["seller"], self.operators.get(voucher["asset"])), 0)
        pool = min((price - tax) * ppm // 1_000_000, price - tax - seller_fee)
        self.made[voucher["trade"]] = {
            voucher["buyer"]: -price - buyer_fee,
            voucher["seller"]: price - tax - seller_fee - pool,
            "fees": buyer_fee + seller_fee,
            "tax": tax,
            "holders": pool,
        }
        for name, fen in self.made[voucher["trade"]].items():
            self.free[name] += fen

    def undo(self, trade: str) -> None:
        """Everything of a trade the other way."""
        for name, fen in self.made.pop(trade).items():
            self.free[name] -= fen

    def give_back(self, lot: str) -> None:
        """Every deposit that is still held on a lot."""
        for held in [one for one in self.held if one[0] == lot]:
            self.free[held[1]] += self.held.pop(held)


class Play:
    """One seed's market: random acts by random callers, the naive book beside them."""

    def __init__(self, floor: Floor, seed: int) -> None:
        self.floor = floor
        self.chance = random.Random(seed)
        self.naive = NaiveBook()
        self.agreed: dict[tuple[str, str | None], int] = {}
        self.assets: list[str] = []
        self.lots: list[str] = []
        self.listings: list[str] = []
        self.refused = 0
        self.numbers = 0

    async def act(self, decide: Any, act: Any, caller: Caller, key: str | None = None) -> Any:
        """An outcome, or None where the act left no trace."""
        self.numbers += 1
        try:
            outcome = await self.floor.house.act(decide, act, caller, key or f"play-{self.numbers}")
        except ExchangeError:
            return None
        if outcome["state"] == "refused":
            self.refused += 1
            return None
        return outcome

    def anybody(self) -> Caller:
        return self.chance.choice([*self.floor.buyers, self.floor.holder])

    async def new_asset(self) -> None:
        operator = self.chance.choice([None, self.floor.operator.party])
        self.assets.append(await self.floor.asset(operator=operator))
        self.naive.operators[self.assets[-1]] = operator

    async def agree(self) -> None:
        ppm = self.chance.choice([0, 1, 300_000, 999_999])
        if await self.act(
            parties.agree_operation, agreement(self.floor.operator.party, ppm), self.floor.seller
        ):
            self.agreed[self.floor.seller.party, self.floor.operator.party] = ppm

    async def top_up(self) -> None:
        who, fen = self.anybody(), self.chance.choice([0, 1, 77_777, 800_000])
        slip = f"slip-{next(self.floor.house.numbers)}"
        if await self.act(money.credit_top_up, money.CreditTopUp(who.party, fen, slip), self.floor.bank):
            self.naive.free[who.party] += fen

    async def withdraw(self) -> None:
        who = self.chance.choice([*self.floor.buyers, self.floor.seller])
        fen = self.chance.choice([1, 33_333, 10**7, (await self.floor.money(who))[0]])
        if await self.act(money.withdraw, money.Withdraw(fen), who):
            self.naive.free[who.party] -= fen

    async def list_it(self) -> None:
        if not self.assets:
            return
        offer = self.chance.choice(
            [licence(self.chance.choice([0, 1, 101, 99_999]), self.chance.randint(1, 3)), exclusive(5_000, 1)]
        )
        act = sales.OfferFixedPrice(self.chance.choice(self.assets), offer)
        if listed := await self.act(sales.offer_fixed_price, act, self.floor.seller):
            self.listings.append(listed["id"])

    async def buy(self) -> None:
        if not self.listings:
            return
        act = sales.Buy(self.chance.choice(self.listings), self.chance.randint(0, 2))
        if sale := await self.act(sales.buy, act, self.anybody()):
            self.naive.trade(sale["voucher"], self.agreed)

    async def open_lot(self) -> None:
        if not self.assets:
            return
        now = self.floor.house.now_us
        offer = self.chance.choice([licence(START_FEN), exclusive(START_FEN)])
        act = auctions.OpenLot(
            self.chance.choice(self.assets), offer, INCREMENT_FEN, DEPOSIT_FEN, now, now + DAY_US
        )
        if opened := await self.act(auctions.open_lot, act, self.floor.seller):
            self.lots.append(opened["id"])

    async def join(self) -> None:
        if not self.lots:
            return
        who, lot = self.anybody(), self.chance.choice(self.lots)
        if await self.act(auctions.join_lot, auctions.JoinLot(lot), who):
            self.naive.free[who.party] -= DEPOSIT_FEN
            self.naive.held[lot, who.party] = DEPOSIT_FEN

    async def bids(self) -> None:
        """A few bids at once, some the same twice."""
        if not self.lots:
            return
        lot = self.chance.choice(self.lots)
        top = max((price for _, price in self.naive.bids[lot]), default=START_FEN - INCREMENT_FEN)
        wanted = [
            (
                self.anybody(),
                top + self.chance.choice([-1, 0, 1, 1, 2, 3]) * INCREMENT_FEN + self.chance.choice([0, 0, 7]),
            )
            for _ in range(4)
        ]
        acts = [self.act(auctions.place_bids, auctions.PlaceBid(lot, price), who) for who, price in wanted]
        for (who, price), bid in zip(wanted, await asyncio.gather(*acts), strict=True):
            if bid:
                self.naive.bids[lot].append((who.party, price))

    async def rule(self) -> None:
        """Halt a lot, let it go on, call it off or annul it: most of it comes at the wrong moment."""
        if not self.lots:
            return
        lot, by = self.chance.choice(self.lots), self.floor.regulator
        match self.chance.choice(["halt", "halt", "resume", "resume", "cancel", "annul"]):
            case "halt":
                await self.act(auctions.halt_lot, auctions.HaltLot(lot, "drill"), by)
            case "resume":
                await self.act(auctions.resume_lot, auctions.ResumeLot(lot), by)
            case "cancel":
                if await self.act(auctions.cancel_lot, auctions.CancelLot(lot, "drill"), by):
                    await self.give_back()
                    self.naive.give_back(lot)
            case _:
                order = auctions.AnnulLot(lot, "system_fault", "order 1", "drill")
                if undone := await self.act(auctions.annul_lot, order, by):
                    if undone["trade"] is not None:
                        self.naive.undo(undone["trade"])
                    await self.give_back()
                    self.naive.give_back(lot)

    async def give_back(self) -> None:
        """Let the worker give deposits back, and do nothing else."""
        await Worker(self.floor.house.gate, self.floor.house.gate.database).give_back()

    async def suspend(self) -> None:
        act = parties.SetPartyState(
            self.anybody().party, self.chance.choice(["suspended", "active", "active"]), "drill"
        )
        await self.act(parties.set_party_state, act, self.floor.regulator)

    async def pass_time(self) -> None:
        """Let time pass; the worker closes and settles what is due."""
        house = self.floor.house
        house.now_us += self.chance.choice(
            [1, MINUTE_US, 4 * MINUTE_US, DAY_US // 3, DAY_US, DAY_US, 11 * DAY_US]
        )
        before = {
            row[0] for row in await self.floor.rows("SELECT id FROM lot WHERE state IN ('open', 'halted')")
        }
        unpaid = {
            row[0] for row in await self.floor.rows("SELECT id FROM lot WHERE state = 'sold' AND NOT settled")
        }
        trades = {row[0] for row in await self.floor.rows("SELECT id FROM trade")}
        await Worker(house.gate, house.gate.database).tick()
        states = dict(await self.floor.rows("SELECT id, state FROM lot"))
        for lot in before:
            if states[lot] in ("open", "halted"):
                continue
            if states[lot] == "cancelled":
                await self.give_back()
                self.naive.give_back(lot)
                continue
            winner = max(self.naive.bids[lot], key=lambda bid: bid[1], default=(None, 0))[0]
            for party in [p for which, p in self.naive.held if which == lot and p != winner]:
                self.naive.free[party] += self.naive.held.pop((lot, party))
        for lot in unpaid:
            if states[lot] == "defaulted":
                winner, price = max(self.naive.bids[lot], key=lambda bid: bid[1])
                deposit = self.naive.held.pop((lot, winner))
                costs = min(deposit, half_up(price, 100) + half_up(price * 15, 1000))
                self.naive.free["fees"] += costs
                self.naive.free["kept"] += deposit - costs
        for identifier, voucher in await self.floor.rows("SELECT id, voucher FROM trade ORDER BY log_index"):
            if identifier in trades:
                continue
            winner, price = max(self.naive.bids[voucher["lot"]], key=lambda bid: bid[1])
            assert (voucher["buyer"], voucher["price_fen"]) == (winner, str(price))
            self.naive.free[winner] += self.naive.held.pop((voucher["lot"], winner))
            self.naive.trade(voucher, self.agreed)

    async def run(self, steps: int) -> None:
        for who in (*self.floor.buyers, self.floor.holder):
            self.naive.free[who.party] = (await self.floor.money(who))[0]
        moves: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (1, self.new_asset), (1, self.agree), (2, self.top_up), (2, self.withdraw), (3, self.list_it), (5, self.buy),
            (3, self.open_lot), (6, self.join), (14, self.bids), (1, self.suspend), (5, self.pass_time),
            (2, self.rule),
        ]  # fmt: skip
        await self.new_asset()
        await self.agree()
        for _ in range(steps):
            (move,) = self.chance.choices([m for _, m in moves], [w for w, _ in moves])
            await move()


async def agree_with_naive_book(play: Play) -> None:
    """Every balance is what the naive book says, and debits are credits."""
    floor = play.floor
    for who in (*floor.buyers, floor.holder, floor.seller):
        held = sum(fen for (_, party), fen in play.naive.held.items() if party == who.party)
        assert await floor.money(who) == (play.naive.free[who.party], held)
    balances = await floor.balances()
    dividends = {row[0] for row in await floor.rows("SELECT account FROM shareholding")}
    assert balances[money.FEES] == play.naive.free["fees"]
    assert balances[money.TAX] == play.naive.free["tax"]
    assert sum(fen for name, fen in balances.items() if name in dividends) == play.naive.free["holders"]
    treasury = sum(fen for name, fen in balances.items() if name.startswith("treasury:"))
    assert balances[money.DEPOSITS] + treasury == play.naive.free["kept"]  # no deposit is left behind
    assert sum(balances.values()) == 0


async def agree_with_tables(floor: Floor, market: Replayed) -> None:
    """What the log folds to is what the tables say, row by row."""
    assert market.differences == []
    assert market.not_judged == 0
    assert market.parties == dict(await floor.rows("SELECT id, state FROM party"))
    assert market.party_accounts == dict(await floor.rows("SELECT id, account FROM party"))
    assert {
        name: (a.ledger, a.code, a.limit, a.debits_pending, a.debits_posted, a.credits_pending, a.credits_posted, a.sequence)
        for name, a in market.accounts.items()
    } == {
        row[0]: row[1:]
        for row in await floor.rows(
            "SELECT id, ledger, code, overdraft, debits_pending, debits_posted, credits_pending, credits_posted,"
            " sequence FROM account"
        )
    }  # fmt: skip
    assert set(differences(market.accounts.values()).values()) == {(0, 0)}
    lots = {
        name: (lot.state, *astuple(lot.standing)[:5])  # what the row has of it
        for name, lot in market.lots.items()
    }
    assert lots == {
        row[0]: row[1:]
        for row in await floor.rows(
            "SELECT id, state, standing_price_fen, standing_code, standing_sequence, bids, closes_us FROM lot"
        )
    }
    settled = {name for name, lot in market.lots.items() if lot.settled or lot.state in auctions.UNSOLD}
    assert settled == {row[0] for row in await floor.rows("SELECT id FROM lot WHERE settled")}
    for name, lot in market.lots.items():
        rows = await floor.rows("SELECT code, party, hold FROM bidder WHERE lot = %s", name)
        assert {(code, lot.bidders[code], lot.holds[code]) for code in lot.holds} == set(rows)
    remaining = {
        name: int(listing["licences"]) - listing["sold"] for name, listing in market.listings.items()
    }
    assert remaining == dict(await floor.rows("SELECT id, remaining FROM listing WHERE mode = 'fixed'"))
    assert market.trades == dict(await floor.rows("SELECT id, voucher FROM trade"))
    assert {name: (p.state, p.evidence_row()) for name, p in market.assets.items()} == {
        row[0]: row[1:] for row in await floor.rows("SELECT id, state, evidence FROM asset")
    }


@pytest.mark.parametrize("seed", [2, 3, 7, 10])
async def test_after_any_sequence_of_acts_book_replay_tables_and_audit_agree(
    house: House, tmp_path: Path, seed: int
) -> None:
    floor = await Floor.open(house, buyers=3, fen=3_000_000)
    play = Play(floor, seed)
    await play.run(130)
    await agree_with_naive_book(play)
    await agree_with_tables(floor, replay(await floor.bodies(), await floor.openings()))
    assert play.refused > 5
    bundle = tmp_path / "bundle.zip"
    size = await house.gate.read(oversight.export, bundle, house.gate.signer)
    verdict = audit(bundle, [house.gate.signer.vkey])
    assert verdict.ok, verdict.explain("en")
    assert verdict.size == size == await house.log_size()
    again = from_bundle(bundle)
    assert again.differences == []
    assert again.accounts == replay(await floor.bodies(), await floor.openings()).accounts
    assert {"bids", "awards", "settlements", "deposits", "listings", "steps", "transfers"} <= set(
        again.judged
    )


async def test_one_seed_replays_the_same_market_to_the_last_root(
    database: Addresses,
) -> None:
    # Chance and time are arguments, so the same seed gives the same log, bit for bit.
    roots = []
    for _ in range(2):
        roots.append(await _seeded_root(database))
    assert roots[0] == roots[1]


async def _seeded_root(database: Addresses) -> bytes:
    import hashlib
    import itertools

    from exchange.database import Database
    from exchange.gate import Gate
    from ledger import log
    from ledger.checkpoint import Signer
    from tests.exchange.conftest import ORIGIN, START_US, uscc

    assert database.owner_url is not None
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        names = [
            r[0]
            for r in owner.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        ]
        for name in names:
            if name != "alembic_version":
                owner.execute(f'ALTER TABLE "{name}" DISABLE TRIGGER USER'.encode())
        owner.execute(("TRUNCATE " + ", ".join(f'"{n}"' for n in names if n != "alembic_version")).encode())
    numbers = itertools.count()
    engine = Database(database.app_url, readers=1)
    gate = Gate(
        engine, Signer(ORIGIN, b"l" * 32), b"m" * 32, lambda: START_US,
        chance=lambda n: hashlib.shake_256(b"%d" % next(numbers)).digest(n),
    )  # fmt: skip
    connection = await engine.connect()
    await log.create(connection, ORIGIN, 0)
    await connection.execute(
        "INSERT INTO market (id, sandbox, profile, offset_us, keys_version) VALUES (1, true, 'cn-venue', 0, 0)"
    )
    await connection.commit()
    await gate.start()
    opening = venue.OpenMarket(
        ORIGIN,
        gate.signer.vkey,
        True,
        "cn-venue",
        rulebook.load("cn-venue").stated(),
        uscc(0),
        "venue",
        "first",
        bytes(32),
    )
    administrator = Caller("administrator", "venue", frozenset({"administrator"}))
    await gate.perform(venue.open_market, opening, caller=administrator, key="open")
    for n in range(1, 20):
        act = parties.RegisterParty(uscc(n), f"party {n}", ("buyer",))
        await gate.perform(parties.register_party, act, caller=administrator, key=f"k{n}")
    head = await log.read_head(connection)
    await gate.stop()
    await connection.close()
    await engine.close()
    return head.edge.root()


async def test_a_row_changed_behind_the_books_back_is_named_by_audit_with_its_entry(
    house: House, database: Addresses, tmp_path: Path
) -> None:
    floor = await played(house)
    buyer = (await floor.rows("SELECT account FROM party WHERE id = %s", floor.buyers[1].party))[0][0]
    last = (
        await floor.rows(
            "SELECT log_index FROM transfer WHERE debit = %s OR credit = %s ORDER BY sequence DESC LIMIT 1",
            buyer,
            buyer,
        )
    )[0][0]
    second = (await floor.rows("SELECT log_index FROM transfer WHERE sequence = 2"))[0][0]
    edits = {
        "account_rows": (
            f"UPDATE account SET credits_posted = credits_posted + 100 WHERE id = '{buyer}'",
            last,
        ),
        "transfer_rows": ("UPDATE transfer SET amount = amount + 1 WHERE sequence = 2", second),
    }
    for check, (edit, index) in edits.items():
        table = edit.split()[1]
        as_owner(database, f"ALTER TABLE {table} DISABLE TRIGGER USER", edit)
        bundle = tmp_path / f"{check}.zip"
        await house.gate.read(oversight.export, bundle, house.gate.signer)
        verdict = audit(bundle, [house.gate.signer.vkey])
        assert not verdict.ok
        failed = verdict.check(check)
        assert (failed.status, failed.first_bad_index) == ("failed", index), verdict.explain("en")
        as_owner(database, edit.replace("+ 100", "- 100").replace("amount + 1", "amount - 1"))
    bundle = tmp_path / "whole.zip"
    await house.gate.read(oversight.export, bundle, house.gate.signer)
    assert audit(bundle, [house.gate.signer.vkey]).ok


async def test_a_body_changed_in_the_log_is_named_by_audit_and_by_replay(
    house: House, database: Addresses, tmp_path: Path
) -> None:
    floor = await played(house)
    found = await floor.bodies()
    index = next(i for i, body in found if body["kind"] == "bid")
    assert database.owner_url is not None
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("ALTER TABLE log_chunk DISABLE TRIGGER USER")
        row = owner.execute("SELECT bodies FROM log_chunk WHERE first = %s", (index,)).fetchone()
        assert row is not None
        # The first bid was of 700,000 fen; it becomes one of 900,000, of the same length.
        bodies = row[0].replace(b'"price_fen":"700000"', b'"price_fen":"900000"')
        assert bodies != row[0]
        owner.execute("UPDATE log_chunk SET bodies = %s WHERE first = %s", (bodies, index))
    bundle = tmp_path / "changed.zip"
    await house.gate.read(oversight.export, bundle, house.gate.signer)
    verdict = audit(bundle, [house.gate.signer.vkey])
    assert not verdict.ok
    assert verdict.first_bad_index == index
    # The replay takes bodies at their word, and finds the first decision that does not follow from them.
    differing = from_bundle(bundle).differences
    assert differing
    assert differing[0].index == index + 1
    assert "bid" in differing[0].what


async def test_an_erased_opening_is_not_judged_and_nothing_else_suffers(
    house: House, database: Addresses, tmp_path: Path
) -> None:
    floor = await played(house)
    one = floor.buyers[0].party
    as_owner(database, f"DELETE FROM opening WHERE value = '{one}'")
    market = replay(await floor.bodies(), await floor.openings())
    assert market.differences == []
    assert market.not_judged > 0
    bundle = tmp_path / "erased.zip"
    await house.gate.read(oversight.export, bundle, house.gate.signer)
    verdict = audit(bundle, [house.gate.signer.vkey])
    assert verdict.first_bad_index is None
    with zipfile.ZipFile(bundle) as members:
        values = [orjson.loads(line)["value"] for line in members.read("openings.jsonl").splitlines()]
    assert one not in values


async def test_two_gates_and_a_restart_in_the_middle_leave_one_market(
    house: House, database: Addresses
) -> None:
    floor = await Floor.open(house, buyers=3)
    lot = await floor.lot()
    for buyer in floor.buyers:
        await floor.join(lot, buyer)

    async def bid(gate: Any, n: int) -> None:
        act = auctions.PlaceBid(lot, START_FEN + n * INCREMENT_FEN)
        await gate.perform(auctions.place_bids, act, caller=floor.buyers[n % 3], key=f"bid-{n}")

    async with another_gate(house, database) as other:
        await asyncio.gather(*(bid((house.gate, other)[n % 2], n) for n in range(40)))
    async with another_gate(house, database) as restarted:
        await asyncio.gather(*(bid(restarted, n) for n in range(30, 60)))
    market = replay(await floor.bodies(), await floor.openings())
    await agree_with_tables(floor, market)
    assert market.judged["bids"] == 60
