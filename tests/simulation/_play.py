"""One seed's play: which acts clients ask for, when, where and how often; and the rooms of the test among them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from exchange import auctions, money
from exchange.acts import CLOCK, Act, Asked, Caller, Record, Ruling, Transaction, refusal
from exchange.errors import Conflict
from exchange.gate import Reply
from ledger.call import Call
from ledger.entries import canonical
from ledger.pipeline import Statement
from ledger.postings import Failed, Posted, Transfer, TransferKind, transfer_to_json
from tests.exchange.floor import INCREMENT_FEN, START_FEN
from tests.simulation._faults import LINE, POINTS, Fault, Kind

MAC_KEY = b"m" * 32
TELLER = Caller("teller", "bank-1", frozenset({"bank"}))
VAULT = "sim:vault"
TILLS = tuple(f"sim:till-{n}" for n in range(4))
TIMEOUTS_US = (0, 2_000, 5_000, 20_000)


@dataclass(frozen=True, slots=True)
class Post(Act):
    """Move money by one transfer, whose identifier is the caller's."""

    kind: TransferKind
    debit: str
    credit: str
    amount: int
    pending: str | None = None
    timeout_us: int = 0

    def transfer(self, name: str, *, linked: bool = False) -> Transfer:
        """As the book takes it."""
        return Transfer(
            name,
            self.kind,
            self.debit,
            self.credit,
            self.amount,
            "CNY",
            "sim",
            self.pending,
            linked,
            self.timeout_us,
        )


class PostTransfers:
    """A batched room: what the book refuses is recorded as refused."""

    kind = "sim_transfer"

    def reads(self, asked: Sequence[Asked]) -> Sequence[Statement]:
        """What the book reads."""
        return Call(MAC_KEY, [a.act.transfer(a.key) for a in asked]).reads()

    def decide(
        self, now_us: int, first_index: int, asked: Sequence[Asked], rows: Sequence[Sequence[tuple[Any, ...]]]
    ) -> tuple[Sequence[Ruling], Sequence[Statement]]:
        """Let the book decide, in order."""
        call = Call(MAC_KEY, [a.act.transfer(a.key) for a in asked])
        rulings = []
        for ask, transfer, outcome in zip(asked, call.transfers, call.decide(rows, now_us), strict=True):
            said: dict[str, Any] = {"state": "posted"}
            if isinstance(outcome, Failed):
                said = {"state": "refused", "reason": {"code": outcome.reason}}
            body = {
                "act": said,
                "by": ask.caller.person,
                "key": ask.key,
                "kind": self.kind,
                "party": ask.caller.party,
                "time": str(now_us),
                **({"transfers": [transfer_to_json(transfer)]} if isinstance(outcome, Posted) else {}),
            }
            rulings.append(Ruling(canonical(body), canonical(said), refused=isinstance(outcome, Failed)))
        return rulings, call.writes(range(first_index, first_index + len(asked)))


post_transfers = PostTransfers()


@dataclass(frozen=True, slots=True)
class PostChain(Act):
    """Several transfers that take effect together or not at all."""

    posts: tuple[Post, ...]


async def post_chain(tx: Transaction, act: PostChain) -> Record:
    """A plain room: a chain that fails is recorded as refused."""
    last = len(act.posts) - 1
    try:
        await tx.post(*(p.transfer(f"{tx.key}-{n}", linked=n < last) for n, p in enumerate(act.posts)))
    except Conflict as problem:
        return refusal("sim_chain", {}, problem)
    return Record("sim_chain", {"state": "posted"})


@dataclass(frozen=True, slots=True)
class OpenTills(Act):
    """Open the test's own accounts."""


async def open_tills(tx: Transaction, act: OpenTills) -> Record:
    """A vault that may be overdrawn, and tills that may not, with something in each."""
    await tx.open_named_account(VAULT, "cash", overdraft="none")
    for till in TILLS:
        await tx.open_named_account(till, "cash", overdraft="debits_must_not_exceed_credits")
    await tx.post(*(Post("post", VAULT, till, 3_000).transfer(f"first-{till}") for till in TILLS))
    return Record("sim_opened", {"state": "done"})


@dataclass(frozen=True, slots=True)
class Sending:
    """One time that a client sends its act: after how long, and to which process."""

    after_ms: int
    slot: int


@dataclass
class Asking:
    """A client with one act under one identifier, and what it was told."""

    decide: Any
    act: Act
    caller: Caller
    key: str
    sendings: list[Sending]
    insists: bool
    """Whether it asks again where the outcome is unknown."""
    replies: list[Reply] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Market:
    """What the play finds when it begins."""

    bank: Caller
    buyers: list[Caller]
    lot: str


class Play:
    """Everything that chance decides, drawn before anything happens."""

    def __init__(self, seed: int, market: Market, acts: int = 36) -> None:
        self._chance = random.Random(seed)
        self._market = market
        self._holds: list[tuple[str, Post]] = []
        self.faults = self._draw_faults()
        self.asking = [self._draw(f"k{n:02d}") for n in range(acts)]
        self.skews_us = [self._chance.choice((0, 0, 700, -40_000, 5_000)) for _ in range(2)]
        self.steps_us = [self._chance.randrange(3_000) for _ in range(acts)]

    def _draw_faults(self) -> list[Fault]:
        drawn = []
        for _ in range(self._chance.randrange(1, 7)):
            if self._chance.random() < 0.5:
                kinds: tuple[Kind, ...] = ("kill", "kill", "hang up", "cut")
                point, passage = self._chance.choice(POINTS), self._chance.randrange(1, 7)
            else:
                kinds, point = ("kill", "cut", "cut"), self._chance.choice(LINE)
                passage = (
                    self._chance.randrange(10, 90)
                    if point == "line.message"
                    else self._chance.randrange(1, 7)
                )
            drawn.append(Fault(self._chance.randrange(2), point, passage, self._chance.choice(kinds)))
        return drawn

    def _draw(self, key: str) -> Asking:
        chance, market = self._chance, self._market
        buyer = chance.choice(market.buyers)
        decide: Any
        act: Act
        caller = TELLER
        match chance.choices(
            ("post", "chain", "hold", "end", "top_up", "withdraw", "join", "bid", "expire"),
            (8, 4, 6, 8, 3, 3, 3, 6, 2),
        )[0]:
            case "post":
                decide, act = post_transfers, self._post("post")
            case "chain":
                posts = tuple(self._post("post") for _ in range(chance.randrange(2, 4)))
                decide, act = post_chain, PostChain(posts)
            case "end" if self._holds:
                hold, held = chance.choice(self._holds)
                kind: TransferKind = chance.choice(("post_pending", "post_pending", "void_pending"))
                part = (
                    chance.choice((held.amount, max(1, held.amount // 2)))
                    if kind == "post_pending"
                    else held.amount
                )
                decide, act = post_transfers, Post(kind, held.debit, held.credit, part, hold)
            case "hold" | "end":
                post = self._post("pending", chance.choice(TIMEOUTS_US))
                self._holds.append((key, post))
                decide, act = post_transfers, post
            case "top_up":
                decide, caller = money.credit_top_up, market.bank
                act = money.CreditTopUp(buyer.party, chance.randrange(1, 90_000), key)
            case "withdraw":
                decide, act, caller = money.withdraw, money.Withdraw(chance.randrange(1, 90_000)), buyer
            case "join":
                decide, act, caller = auctions.join_lot, auctions.JoinLot(market.lot), buyer
            case "bid":
                price = START_FEN + INCREMENT_FEN * chance.randrange(-1, 12) + chance.choice((0, 0, 0, 1))
                decide, act, caller = auctions.place_bids, auctions.PlaceBid(market.lot, price), buyer
            case _:
                decide, act, caller = money.expire_holds, money.ExpireHolds(key), CLOCK
        sendings = [
            Sending(chance.randrange(40), chance.randrange(2)) for _ in range(chance.choice((1, 1, 1, 2, 3)))
        ]
        return Asking(decide, act, caller, key, sendings, insists=chance.random() < 0.6)

    def _post(self, kind: TransferKind, timeout_us: int = 0) -> Post:
        debit = self._chance.choice((VAULT, *TILLS, *TILLS))
        credit = self._chance.choice([name for name in (VAULT, *TILLS) if name != debit])
        return Post(kind, debit, credit, self._chance.choice((1, 50, 700, 2_000)), timeout_us=timeout_us)
