"""A trading floor for the tests of the market's core: parties with money, assets that are ready to be sold, lots."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import psycopg

from exchange import auctions, lineage, money, oversight, parties, registration, sales
from exchange.acts import CLOCK, Act, Caller, Record, Transaction
from exchange.database import Addresses, Database, driver
from exchange.errors import NotFound
from exchange.gate import Gate, Reply
from exchange.listings import Offer
from exchange.parties.agreements import PARTS
from exchange.registration import applications, effects
from exchange.registration.path import STEP_OF_KIND
from exchange.registration.rights import RIGHTS
from exchange.tables import Appraisal, Asset
from exchange.worker import Worker
from ledger import log
from ledger.checkpoint import Signer
from ledger.entries import parse_body
from pricing.auctions import commit_nonce
from tests.exchange.conftest import ORIGIN, START_US, House

DAY_US = 86_400_000_000
MINUTE_US = 60_000_000
VALUE_FEN = 1_000_000
START_FEN = 700_000
INCREMENT_FEN = 10_000
DEPOSIT_FEN = 70_000
NONCE = bytes(range(32))


@dataclass(frozen=True, slots=True)
class Walk(Act):
    """One step of an asset's path, taken without the department's work."""

    asset: str
    kind: str
    value_fen: int


async def walk(tx: Transaction, act: Walk) -> Record:
    """Take the step as the rooms do, so that a replay of the log can follow it."""
    asset = await tx.find(Asset, act.asset, "asset")
    if act.kind == "asset_appraised":
        appraisal = tx.identifier("apr")
        await tx.insert(
            Appraisal(
                id=appraisal,
                asset=asset.id,
                value_fen=act.value_fen,
                digest="",
                report={},
                log_index=tx.index,
            )
        )
        return Record(act.kind, {"appraisal": appraisal, "asset": asset.id, "state": "appraised"})
    if act.kind == "theme_assigned":
        asset.theme, asset.grade, asset.opening = "travel", "general", asset.opening_declared
    return registration.follow(asset, Record(act.kind, {"asset": asset.id, "state": "done"}), tx.index)


@dataclass
class Floor:
    """Who is on the floor of a market in one process."""

    house: House
    bank: Caller
    regulator: Caller
    seller: Caller
    operator: Caller
    holder: Caller
    buyers: list[Caller]

    @classmethod
    async def open(cls, house: House, *, buyers: int = 2, fen: int = 10_000_000) -> Floor:
        """A bank, a regulator, a department, its operator with a shareholder who trades, and buyers with money."""
        (bank,), (regulator,), (seller,), (holder,) = [
            await house.party(role) for role in ("bank", "regulator", "supplier", "buyer")
        ]
        holders = (parties.Holder("shareholder", 510_000, holder.party), parties.Holder("rest", 490_000))
        found = cls(house, bank, regulator, seller, await operator(house, holders), holder, [])
        for _ in range(buyers):
            found.buyers += await house.party("buyer")
        for buyer in (*found.buyers, holder):
            await found.fund(buyer, fen)
        return found

    async def fund(self, caller: Caller, fen: int) -> None:
        """Let the bank credit money."""
        await self.house.act(
            money.credit_top_up,
            money.CreditTopUp(caller.party, fen, f"ref-{next(self.house.numbers)}"),
            self.bank,
        )

    async def asset(
        self,
        *,
        operator: str | None = None,
        value_fen: int = VALUE_FEN,
        seller: Caller | None = None,
        **opened: Any,
    ) -> str:
        """A registered and appraised asset."""
        supplier = seller or self.seller
        asset = await themed(self.house, supplier, operator, **opened)
        apply = applications.Apply(asset, "initial", RIGHTS)
        applied = await self.house.act(applications.apply, apply, supplier)
        clerk, reviewer = await self.house.registrar()
        application = applied["application"]
        accept, review = applications.Accept(application, "accept"), applications.Review(application, "pass")
        await asyncio.gather(
            self.house.act(applications.accept, accept, clerk),
            self.house.act(applications.review, review, reviewer),
        )
        conclude = effects.Conclude(application)
        await asyncio.gather(
            self.house.act(effects.conclude, conclude, CLOCK, f"conclude-{application}"),
            self.house.act(walk, Walk(asset, "asset_appraised", value_fen), supplier),
        )
        return asset

    async def lot(
        self, asset: str | None = None, *, offer: Offer | None = None, key: str | None = None, **changed: Any
    ) -> str:
        """A lot that is open from now on for a day, or the error of one whose terms are `changed`."""
        terms: dict[str, Any] = {
            "increment_fen": INCREMENT_FEN,
            "deposit_fen": DEPOSIT_FEN,
            "opens_us": self.house.now_us,
            "closes_us": self.house.now_us + DAY_US,
            **changed,
        }
        if offer is not None and offer.ceiling_fen is not None:
            await self.commit()
        act = auctions.OpenLot(asset or await self.asset(), offer or licence(START_FEN), **terms)
        opened = await self.house.act(auctions.open_lot, act, self.seller, key)
        lot: str = opened["id"]
        return lot

    async def commit(self, nonce: bytes = NONCE) -> str:
        """Let the regulator commit to the nonce of a draw."""
        name = f"draw-{next(self.house.numbers)}"
        act = auctions.CommitDraw(name, commit_nonce(nonce, name).hex())
        await self.house.act(auctions.commit_draw, act, self.regulator)
        return name

    async def join(self, lot: str, caller: Caller) -> str:
        """Join a lot and give the code."""
        joined = await self.house.act(auctions.join_lot, auctions.JoinLot(lot, nonce=NONCE.hex()), caller)
        assert joined["state"] == "admitted", joined
        code: str = joined["code"]
        return code

    async def bid(self, lot: str, caller: Caller, price_fen: int, key: str | None = None) -> dict[str, Any]:
        """Place one bid and give its outcome."""
        return await self.house.act(auctions.place_bids, auctions.PlaceBid(lot, price_fen), caller, key)

    async def listing(self, offer: Offer, asset: str | None = None) -> str:
        """A fixed-price listing."""
        act = sales.OfferFixedPrice(asset or await self.asset(), offer)
        listed: str = (await self.house.act(sales.offer_fixed_price, act, self.seller))["id"]
        return listed

    async def money(self, caller: Caller) -> tuple[int, int]:
        """What a party has free, and what is held of it, in fen."""
        view = await self.house.gate.read(parties.account_of, caller)
        return int(view["available_fen"]), int(view["held_fen"])

    async def balances(self) -> dict[str, int]:
        """The posted balance of every account."""
        rows = await self.rows("SELECT id, credits_posted - debits_posted FROM account")
        return {str(name): int(balance) for name, balance in rows}

    async def rows(self, sql: Any, *values: Any) -> list[tuple[Any, ...]]:
        """What a query gives."""

        async def ask(session: Any) -> list[tuple[Any, ...]]:
            cursor = await (await driver(session)).execute(sql, values)
            return list(await cursor.fetchall())

        return await self.house.gate.read(ask)

    async def bodies(self) -> list[tuple[int, dict[str, Any]]]:
        """The log as a replay reads it."""
        return await bodies(self.house.gate)

    async def openings(self) -> dict[str, str]:
        """What every sealed text hides."""
        return dict(await self.rows("SELECT commitment, value FROM opening"))


async def themed(
    house: House, supplier: Caller, operator: str | None = None, parents: tuple[str, ...] = (), **opened: Any
) -> str:
    """An asset that has its four steps behind it and can be applied for; derived from `parents`."""
    declare = registration.DeclareAsset("flights", "by hour", "transport", operator, **opened)
    asset: str = (await house.act(registration.declare_asset, declare, supplier))["asset"]
    for parent in parents:
        derive = lineage.DeclareLineage(asset, parent, "derived")
        await house.act(lineage.declare_lineage, derive, supplier)
    # All in one batch: the gate keeps their order.
    await asyncio.gather(*(house.act(walk, Walk(asset, kind, VALUE_FEN), supplier) for kind in STEP_OF_KIND))
    return asset


async def may_see(floor: Floor, caller: Caller, index: int) -> bool:
    """Whether a caller may have the body of an entry."""
    try:
        await floor.house.gate.read(oversight.require_entry, caller, index)
    except NotFound:
        return False
    return True


def agreement(
    operator: str, share_ppm: int, starts_us: int = START_US, days: int = 1_000
) -> parties.AgreeOperation:
    """An operating agreement with all its parts."""
    said = {name: f"what was agreed on {name}" for name in PARTS}
    return parties.AgreeOperation(operator, share_ppm, said, starts_us, starts_us + days * DAY_US)


def licence(price_fen: int, licences: int = 1, term_days: int = 30, ceiling_fen: int | None = None) -> Offer:
    """Terms of a licence."""
    return Offer("licence", licences, term_days, price_fen, ceiling_fen)


def exclusive(price_fen: int, term_days: int = 30) -> Offer:
    """Terms of an exclusive use."""
    return Offer("exclusive", 1, term_days, price_fen, None, "the model needs it alone")


async def operator(house: House, holders: tuple[parties.Holder, ...]) -> Caller:
    """An operator with its holders."""
    from tests.exchange.conftest import uscc

    act = parties.RegisterParty(uscc(next(house.numbers)), "operator", ("operator",), holders)
    party = await house.act(parties.register_party, act, house.administrator)
    return Caller("operator-person", party["id"], frozenset({"operator"}))


async def bodies(gate: Gate) -> list[tuple[int, dict[str, Any]]]:
    """Every entry's index and body."""

    async def ask(session: Any) -> list[tuple[int, dict[str, Any]]]:
        connection = await driver(session)
        size = (await log.read_head(connection)).edge.size
        return [(e.index, parse_body(e.body)) async for e in log.entries(connection, 0, size)]

    return await gate.read(ask)


@asynccontextmanager
async def another_gate(house: House, database: Addresses, chance: Any = None) -> AsyncIterator[Gate]:
    """A second process's worth: another gate with connections of its own on the same database."""
    engine = Database(database.app_url, readers=2)
    gate = Gate(engine, Signer(ORIGIN, b"l" * 32), b"m" * 32, lambda: house.now_us)
    if chance is not None:
        gate.chance = chance
    await gate.start()
    try:
        yield gate
    finally:
        await gate.stop()
        await engine.close()


def as_owner(database: Addresses, *statements: str) -> None:
    """Do what a database administrator could do: change rows past triggers and privileges."""
    assert database.owner_url is not None
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def outcome(reply: Reply) -> dict[str, Any]:
    """The outcome of a reply, as JSON."""
    found: dict[str, Any] = orjson.loads(reply.outcome)
    return found


async def played(house: House) -> Floor:
    """A small market with a sale, an award and deposits; its bids came in one batch."""
    floor = await Floor.open(house, buyers=2)
    listing = await floor.listing(licence(101, 2))
    await house.act(sales.buy, sales.Buy(listing, 1), floor.buyers[0])
    lot = await floor.lot()
    for buyer in floor.buyers:
        await floor.join(lot, buyer)
    await asyncio.gather(
        *(floor.bid(lot, floor.buyers[n % 2], START_FEN + n * INCREMENT_FEN) for n in range(3))
    )
    house.now_us += DAY_US
    await Worker(house.gate, house.gate.database).tick()
    return floor
