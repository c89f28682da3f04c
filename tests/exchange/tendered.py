"""A tender for the tests: holders with keys on machines of their own, bidders, and what a bidder's program seals."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from exchange import tenders
from exchange.acts import Caller
from exchange.listings import Offer
from exchange.tenders import PublishTender, ScoringRule
from exchange.worker import Worker
from pricing.auctions import Criterion
from pricing.sealed_bids import Context, HolderKey, SealedLot, SealedPrice, open_share, seal
from tests.exchange.floor import DAY_US, Floor, licence

ESTIMATE_FEN = 1_000_000
DEPOSIT_FEN = 20_000
QUALITY = ScoringRule(600_000, (Criterion("security", 400_000, 100),))
PRICE_ALONE = ScoringRule(1_000_000)
PROPOSAL = "ab" * 32


def key_of(number: int) -> HolderKey:
    """The private key of the `number`-th holder; in the tests alone it comes from a seed."""
    return HolderKey.from_seed(hashlib.sha256(b"holder %d" % number).digest())


@dataclass
class Hall:
    """Holders and bidders of tenders on a floor."""

    floor: Floor
    holders: list[Caller]
    keys: dict[str, HolderKey]
    envelopes: int = 0
    codes: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    async def open(cls, floor: Floor, holders: int = 4) -> Hall:
        """Admit holders, each of whom publishes a key that it made."""
        found: list[Caller] = [floor.seller, floor.regulator]
        for _ in range(holders - 2):
            found += await floor.house.party("service_provider")
        hall = cls(floor, found, {})
        for number, holder in enumerate(found):
            hall.keys[holder.party] = key_of(number)
            act = tenders.PublishHolderKey(key_of(number).public.hex())
            await floor.house.act(tenders.publish_holder_key, act, holder)
        return hall

    def terms(self, asset: str, **changed: Any) -> PublishTender:
        """A tender of a licence, to be opened by three of four."""
        deadline_us = self.floor.house.now_us + 20 * DAY_US
        said: dict[str, Any] = {
            "offer": licence(ESTIMATE_FEN),
            "rule": PRICE_ALONE,
            "holders": tuple(holder.party for holder in self.holders),
            "threshold": 3,
            "deposit_fen": DEPOSIT_FEN,
            "deadline_us": deadline_us,
            "opens_us": changed.get("deadline_us", deadline_us),
            "terms": "一年内用于本地服务",
            **changed,
        }
        return PublishTender(asset, **said)

    async def publish(self, asset: str | None = None, **changed: Any) -> str:
        act = self.terms(asset or await self.floor.asset(), **changed)
        published = await self.floor.house.act(tenders.publish_tender, act, self.floor.seller)
        tender: str = published["id"]
        return tender

    async def join(self, tender: str, caller: Caller, **facts: str) -> dict[str, Any]:
        who = {name: f"{name} of {caller.party}" for name in tenders.FACTS}
        act = tenders.JoinTender(tender, **{**who, **facts})
        joined = await self.floor.house.act(tenders.join_tender, act, caller)
        self.codes[tender, caller.party] = joined["code"]
        return joined

    async def committee(self, tender: str) -> Any:
        said = (await self.floor.house.gate.read(tenders.tender, tender))["committee"]
        return tenders.committee_of(said)

    async def envelope(self, tender: str, caller: Caller, fen: int, **changed: Any) -> dict[str, Any]:
        """What the bidder's own program seals."""
        self.envelopes += 1
        code = changed.get("code", self.codes.get((tender, caller.party), "B0000000000"))
        context = Context(changed.get("sealed_for", tender), code, f"bid-{self.envelopes}")
        price = SealedPrice(fen, changed.get("quantity", 1))
        chance = hashlib.sha256(b"chance %d" % self.envelopes).digest()
        return dict(seal(price, context, await self.committee(tender), chance).to_json())

    async def hand_in(
        self, tender: str, caller: Caller, fen: int, proposal: str | None = None, **changed: Any
    ) -> dict[str, Any]:
        act = tenders.HandIn(tender, await self.envelope(tender, caller, fen, **changed), proposal)
        return await self.floor.house.act(tenders.hand_in, act, caller)

    async def bid(self, tender: str, *bids: tuple[Caller, int], proposal: str | None = None) -> None:
        """Let each join and hand in a bid."""
        for caller, fen in bids:
            assert (await self.join(tender, caller))["state"] == "admitted"
            assert (await self.hand_in(tender, caller, fen, proposal))["state"] == "sealed"

    async def tick(self) -> None:
        await Worker(self.floor.house.gate, self.floor.house.gate.database).tender()

    async def close(self, tender: str) -> str:
        """Let the deadline come."""
        view = await self.view(tender)
        self.floor.house.now_us = int(view["deadline_us"])
        await self.tick()
        return str((await self.view(tender))["state"])

    async def shares(self, tender: str, holder: Caller, key: HolderKey | None = None) -> dict[str, Any]:
        """What a holder opens on its own machine."""
        sealed = await self.sealed(tender)
        held = key or self.keys[holder.party]
        return {bid.digest: dict(open_share(bid, sealed.committee, held).to_json()) for bid in sealed.bids}

    async def hand_shares(self, tender: str, holder: Caller) -> dict[str, Any]:
        act = tenders.HandShares(tender, await self.shares(tender, holder))
        return await self.floor.house.act(tenders.hand_shares, act, holder)

    async def opened(self, tender: str) -> dict[str, Any]:
        """Close, and let three holders open."""
        assert await self.close(tender) == "opening"
        for holder in self.holders[:3]:
            await self.hand_shares(tender, holder)
        await self.tick()
        return await self.view(tender)

    async def sealed(self, tender: str) -> SealedLot:
        return SealedLot.from_json(await self.floor.house.gate.read(tenders.sealed, tender))

    async def view(self, tender: str) -> dict[str, Any]:
        return await self.floor.house.gate.read(tenders.tender, tender)


def offer(**changed: Any) -> Offer:
    """A licence at the estimate."""
    return licence(ESTIMATE_FEN, **changed)


async def scored(hall: Hall, tender: str, people: list[Caller], points: dict[str, int]) -> None:
    """Let the supplier name assessors, and each of them mark every bid on its security: points by party."""
    act = tenders.AppointAssessors(tender, tuple(one.person for one in people))
    named = await hall.floor.house.act(tenders.appoint_assessors, act, hall.floor.seller)
    assert named["state"] == "named", named
    marks = {hall.codes[tender, party]: {"security": fen} for party, fen in points.items()}
    for person in people:
        marked = await hall.floor.house.act(tenders.mark_tender, tenders.MarkTender(tender, marks), person)
        assert marked["state"] == "marked"
    await hall.tick()
