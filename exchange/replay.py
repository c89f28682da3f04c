"""Fold the log into states and decide everything again: every bid, award, split and balance, from bodies alone.

Uses the rooms' pure rules (`registration.path`, `pricing.auctions`, `settlement.split`, `ledger.postings`) and
touches no database, so a regulator's laptop reaches the same market as ours, or says at which entry it parts.
Where an opening was erased, what hangs on it is counted as not judged, never as agreed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import orjson

from exchange import controls, rulebook, signing
from exchange.errors import ExchangeError
from exchange.money import DEPOSITS
from exchange.registration.path import Path
from exchange.settlement import Shares, chain, split
from ledger.audit.disclosed import bodies, openings
from ledger.postings import Account, KnownTransfer, Pending, Posted, Transfer, decide, transfer_from_json
from pricing.auctions import AscendingRules, Rejected, Standing, admit, award, open_standing
from pricing.auctions import Bid as PricedBid
from pricing.errors import PricingError


@dataclass(frozen=True, slots=True)
class Difference:
    """An entry that the replay decides otherwise than the log says."""

    index: int
    what: str
    logged: str
    replayed: str


@dataclass(slots=True)
class LotState:
    """A lot as the log tells it."""

    rules: AscendingRules
    asset: str
    seller: str
    deposit_fen: int
    standing: Standing
    state: str = "open"
    settled: bool = False
    holds: dict[str, str] = field(default_factory=dict)  # code: hold
    bidders: dict[str, str | None] = field(default_factory=dict)  # code: party, None where erased
    owed: dict[str, str] = field(default_factory=dict)  # code: hold that has to go back after the close
    book: list[PricedBid] = field(default_factory=list)


@dataclass(slots=True)
class Replayed:
    """The market after the last entry, and where the log and its replay part (nowhere, in a sound log)."""

    size: int = 0
    profile: str = ""
    parties: dict[str, str] = field(default_factory=dict)  # party: state
    stopped: set[str] = field(default_factory=set)  # by themselves
    limits: dict[str, tuple[int | None, int | None]] = field(default_factory=dict)  # party: sign above, limit
    signing_keys: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # id: party, public key
    party_accounts: dict[str, str | None] = field(default_factory=dict)
    holders: dict[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    agreements: dict[tuple[str, str], int] = field(default_factory=dict)
    operators: dict[str, str | None] = field(default_factory=dict)  # asset: operator
    suppliers: dict[str, str] = field(default_factory=dict)  # asset: supplier
    assets: dict[str, Path] = field(default_factory=dict)
    listings: dict[str, dict[str, Any]] = field(default_factory=dict)
    lots: dict[str, LotState] = field(default_factory=dict)
    trades: dict[str, dict[str, Any]] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    judged: dict[str, int] = field(default_factory=dict)  # what: how many were decided again
    not_judged: int = 0


def replay(
    entries: Iterable[tuple[int, Mapping[str, Any]]], opened: Mapping[str, str] | None = None
) -> Replayed:
    """Fold `entries` (index and parsed body, in log order); `opened` maps a commitment to what it hides."""
    replaying = Replay()
    replaying.openings.update(opened or {})
    for index, body in entries:
        replaying.fold(index, body)
    return replaying.market


class Replay:
    """The market so far, entry by entry, and what deciding them again needs: open holds, and what is known by name."""

    def __init__(self) -> None:
        self.market = Replayed()
        self.openings: dict[str, str] = {}
        self._pendings: dict[str, Pending] = {}
        self._known: dict[str, KnownTransfer] = {}
        self._sequence = 1
        self._now_us = 0

    def take(self, bundle: FilePath) -> None:
        """Take in what a bundle discloses; judge it with `ledger.audit` first: here it is taken at its word."""
        self.openings.update(openings(bundle))
        for index, body in bodies(bundle):
            self.fold(index, body)

    def fold(self, index: int, body: Mapping[str, Any]) -> None:
        """Take one entry in; one that cannot be read is a difference, and the next is taken in."""
        self.market.size = index + 1
        try:
            self._fold(index, body)
        except (LookupError, TypeError, ValueError) as error:
            self._differ(index, "entry", "readable", repr(error))

    def _fold(self, index: int, body: Mapping[str, Any]) -> None:
        """Its accounts and transfers, and what its kind says."""
        self._now_us = int(body["time"])
        for account in body.get("accounts", ()):
            self.market.accounts[account["id"]] = Account(
                account["id"], account["ledger"], account["code"], account["limit"]
            )
        transfers = [transfer_from_json(t) for t in body.get("transfers", ())]
        act = body["act"]
        kind = body["kind"]
        if "signed" in body:
            self._signature(index, body)
        if kind == "bid":
            self._bid(index, body)
        elif kind in _PATH_KINDS:
            self._walk(index, kind, act)
        elif act["state"] != "refused" and kind in _JUDGES:
            _JUDGES[kind](self, index, act, transfers)
        if act["state"] != "refused" and kind in _ORDERS:
            self._order(index, body["party"], _ORDERS[kind](act), signed="signed" in body)
        self._post(index, transfers)

    def _differ(self, index: int, what: str, logged: object, replayed: object) -> None:
        self.market.differences.append(Difference(index, what, str(logged), str(replayed)))

    def _count(self, what: str) -> None:
        self.market.judged[what] = self.market.judged.get(what, 0) + 1

    def _post(self, index: int, transfers: Sequence[Transfer]) -> None:
        if not transfers:
            return
        decision = decide(
            self.market.accounts, self._pendings, self._known, transfers, self._sequence, self._now_us
        )
        for transfer, outcome in zip(transfers, decision.outcomes, strict=True):
            if not isinstance(outcome, Posted):
                self._differ(index, f"transfer {transfer.id}", "posted", outcome.reason)
        self.market.accounts.update(decision.accounts)
        self._pendings.update(decision.pendings)
        self._known.update(decision.known)
        self._sequence = decision.next_sequence
        self._count("transfers")

    def _walk(self, index: int, kind: str, act: Mapping[str, Any]) -> None:
        path = self.market.assets.get(act["asset"])
        try:
            if path is None:
                raise ExchangeError("asset.unknown", "an asset that was never declared")
            self.market.assets[act["asset"]] = path.follow(kind, act, index)
        except ExchangeError as problem:
            self._differ(index, f"step {kind} of {act['asset']}", "taken", problem.detail)
        self._count("steps")

    def market_opened(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self.market.profile = act["profile"]
        self.market.parties[act["administrator"]] = "active"
        self.market.party_accounts[act["administrator"]] = None

    def party_registered(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self.market.parties[act["id"]] = "active"
        self.market.party_accounts[act["id"]] = act["account"]
        self.market.holders[act["id"]] = tuple((h["account"], int(h["share_ppm"])) for h in act["holders"])

    def party_state_set(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self.market.parties[act["party"]] = act["state"]

    def trading_stopped(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self.market.stopped.add(act["party"])
        for listing in act["ended"]:
            self.market.listings[listing]["ended"] = True

    def trading_resumed(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self.market.stopped.discard(act["party"])

    def controls_set(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        sign_above, limit = act["sign_above_fen"], act["order_limit_fen"]
        self.market.limits[act["party"]] = (
            None if sign_above is None else int(sign_above),
            None if limit is None else int(limit),
        )

    def _signature(self, index: int, body: Mapping[str, Any]) -> None:
        """A caller's own signature: by a key of its party that stood then, over what the entry says was asked."""
        text = self.openings.get(body["signed"])
        if text is None:
            self.market.not_judged += 1
            return
        act = body["act"]
        party = body.get("party")
        if party is None:
            lot = self.market.lots.get(act["lot"])
            party = None if lot is None else lot.bidders.get(act["code"])
        said = orjson.loads(text)
        holder, public = self.market.signing_keys.get(said["key"], ("", b""))
        asked = orjson.loads(said["body"]) if said["body"] else {}
        meant = all(
            str(asked.get(name, act.get(name))) == str(act.get(name))
            for name in ("price_fen", "amount_fen", "licences")
        )
        if not meant or (party is not None and holder != party) or not signing.stands(text, public):
            self._differ(index, "signature", "by a key of the caller", "not over this entry by such a key")
        self._count("signatures")

    def signing_key_added(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self.market.signing_keys[act["id"]] = act["party"], bytes.fromhex(act["public"])

    def signing_key_revoked(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        del self.market.signing_keys[act["id"]]

    def _order(self, index: int, party: str, amount_fen: int, *, signed: bool) -> None:
        """A purchase or payout that took effect: its party allowed it itself."""
        why = controls.beyond(amount_fen, *self.market.limits.get(party, (None, None)), signed=signed)
        if party in self.market.stopped or why is not None:
            self._differ(index, f"order of {party}", "done", why or "stopped")
        self._count("orders")

    def operation_agreed(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self.market.agreements[act["supplier"], act["operator"]] = int(act["share_ppm"])

    def asset_declared(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self.market.assets[act["asset"]] = Path.begin()
        self.market.operators[act["asset"]] = act["operator"]
        self.market.suppliers[act["asset"]] = act["supplier"]

    def listed(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self.market.listings[act["id"]] = {
            **act["offer"],
            "asset": act["asset"],
            "seller": act["seller"],
            "sold": 0,
        }
        self._require_registered(index, act["asset"])

    def _require_registered(self, index: int, asset: str) -> None:
        path = self.market.assets.get(asset)
        if path is None or path.state != "registered":
            self._differ(index, f"listing of {asset}", "listed", "not registered")
        self._count("listings")

    def lot_opened(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        rules = rules_of(act["rules"])
        self.market.lots[act["id"]] = LotState(
            rules, act["asset"], act["seller"], int(act["deposit_fen"]), open_standing(rules)
        )
        self._require_registered(index, act["asset"])

    def bidder(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        lot = self.market.lots[act["lot"]]
        lot.holds[act["code"]] = act["hold"]
        lot.bidders[act["code"]] = self.openings.get(act["bidder"])
        held = [t for t in transfers if t.kind == "pending" and t.id == act["hold"]]
        if len(held) != 1 or held[0].amount != lot.deposit_fen or held[0].credit != DEPOSITS:
            self._differ(index, f"deposit of {act['code']}", [t.amount for t in held], lot.deposit_fen)
        self._count("deposits")

    def _bid(self, index: int, body: Mapping[str, Any]) -> None:
        act = body["act"]
        lot = self.market.lots.get(act["lot"])
        if lot is None or act["code"] not in lot.holds:
            self._differ(index, f"bid of {act['code']}", act["state"], "no deposit held")
            return
        party = lot.bidders[act["code"]]
        logged = act["reason"]["code"].removeprefix("bid.") if act["state"] == "refused" else "admitted"
        if party is None and logged in ("suspended", "stopped", "above_limit", "unsigned"):
            self.market.not_judged += 1
            return
        if party is None:
            self.market.not_judged += 1
        limits = (None, None) if party is None else self.market.limits.get(party, (None, None))
        beyond = controls.beyond(int(act["price_fen"]), *limits, signed="signed" in body)
        if int(body["time"]) > int(act.get("expires_us", body["time"])):
            replayed = "expired"
        elif party is not None and party in self.market.stopped:
            replayed = "stopped"
        elif party is not None and self.market.parties.get(party) != "active":
            replayed = "suspended"
        elif beyond is not None:
            replayed = beyond
        elif lot.state != "open":
            replayed = "closed"
        else:
            bid = PricedBid(act["code"], body["key"], int(act["price_fen"]), index, int(body["time"]))
            decision = admit(lot.rules, lot.standing, bid)
            if isinstance(decision, Rejected):
                replayed = decision.reason.value
            else:
                replayed = "admitted"
                lot.standing = decision.standing
                lot.book.append(bid)
        if logged != replayed:
            self._differ(index, f"bid of {act['code']}", logged, replayed)
        elif replayed == "admitted" and int(act["closes_us"]) != lot.standing.closes_at_us:
            self._differ(index, f"close of {act['lot']}", act["closes_us"], lot.standing.closes_at_us)
        self._count("bids")

    def lot_closed(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        lot = self.market.lots[act["lot"]]
        if self._now_us < lot.standing.closes_at_us:
            self._differ(index, f"close of {act['lot']}", self._now_us, lot.standing.closes_at_us)
        try:
            outcome = award(lot.rules, lot.book)
        except PricingError as error:
            self._differ(index, f"award of {act['lot']}", act["outcome"]["digest"], error)
            return
        if outcome.digest != act["outcome"]["digest"]:
            self._differ(index, f"award of {act['lot']}", act["outcome"]["digest"], outcome.digest)
        winner = outcome.allocation[0].code if outcome.allocation else None
        lot.owed = {code: hold for code, hold in lot.holds.items() if code != winner}
        if transfers:
            self._differ(index, f"transfers of {act['lot']}", _amounts(transfers), [])
        lot.state = "sold" if winner else "failed"
        self._count("awards")

    def deposit_released(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        owed = self.market.lots[act["lot"]].owed.pop(act["code"], None)
        freed = [t.pending for t in transfers if t.kind == "void_pending"]
        if freed != [owed]:
            self._differ(index, f"deposit of {act['code']}", freed, owed)

    def lot_settled(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        lot = self.market.lots[act["lot"]]
        allotted = award(lot.rules, lot.book).allocation
        if not allotted or int(act["voucher"]["price_fen"]) != allotted[0].price_fen:
            self._differ(
                index,
                f"price of {act['lot']}",
                act["voucher"]["price_fen"],
                allotted[0].price_fen if allotted else None,
            )
        else:
            party = lot.bidders[allotted[0].code]
            if party is not None and party != act["voucher"]["buyer"]:
                self._differ(index, f"winner of {act['lot']}", act["voucher"]["buyer"], party)
        hold = transfers[0] if transfers and transfers[0].kind == "void_pending" else None
        self._judge_split(index, act["voucher"], transfers, hold)
        lot.settled = True

    def sale(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        listing = self.market.listings[act["listing"]]
        licences = int(act["voucher"]["licences"])
        price = int(listing["price_fen"]) * licences
        listing["sold"] += licences
        if listing.get("ended"):
            self._differ(index, f"sale of {act['listing']}", "sold", "ended")
        if int(act["voucher"]["price_fen"]) != price or listing["sold"] > int(listing["licences"]):
            self._differ(index, f"sale of {act['listing']}", act["voucher"]["price_fen"], price)
        self._judge_split(index, act["voucher"], transfers, None)

    def _judge_split(
        self, index: int, voucher: Mapping[str, Any], transfers: Sequence[Transfer], hold: Transfer | None
    ) -> None:
        """Compute the settlement's chain again and compare it transfer by transfer."""
        rules = rulebook.load(self.market.profile)
        self.market.trades[voucher["trade"]] = dict(voucher)
        self._count("settlements")
        if voucher["rulebook"]["digest"] != rules.digest:
            self._differ(index, "rulebook", voucher["rulebook"]["digest"], rules.digest)
            return
        operator = self.market.operators.get(voucher["asset"])
        share = None if operator is None else self.market.agreements.get((voucher["seller"], operator))
        shares = None if operator is None or share is None else Shares(share, self.market.holders[operator])
        buyer = self.market.party_accounts.get(voucher["buyer"])
        seller = self.market.party_accounts.get(voucher["seller"])
        if buyer is None or seller is None:
            self._differ(index, "accounts", (buyer, seller), "two accounts")
            return
        parts = split(int(voucher["price_fen"]), rules, shares)
        expected = chain(voucher["trade"], parts, buyer, seller, hold) if transfers else []
        if list(transfers) != expected:
            self._differ(index, f"settlement of {voucher['trade']}", _amounts(transfers), _amounts(expected))


_JUDGES: Mapping[str, Callable[[Replay, int, Mapping[str, Any], Sequence[Transfer]], None]] = {
    "market_opened": Replay.market_opened,
    "party_registered": Replay.party_registered,
    "party_state_set": Replay.party_state_set,
    "controls_set": Replay.controls_set,
    "trading_stopped": Replay.trading_stopped,
    "trading_resumed": Replay.trading_resumed,
    "signing_key_added": Replay.signing_key_added,
    "signing_key_revoked": Replay.signing_key_revoked,
    "operation_agreed": Replay.operation_agreed,
    "asset_declared": Replay.asset_declared,
    "listed": Replay.listed,
    "lot_opened": Replay.lot_opened,
    "bidder": Replay.bidder,
    "lot_closed": Replay.lot_closed,
    "deposit_released": Replay.deposit_released,
    "lot_settled": Replay.lot_settled,
    "sale": Replay.sale,
}
"""What is decided again, or only kept because later decisions rest on it, by kind of entry."""

_ORDERS: Mapping[str, Callable[[Mapping[str, Any]], int]] = {
    "sale": lambda act: int(act["voucher"]["price_fen"]),
    "withdrawn": lambda act: int(act["amount_fen"]),
}
"""What an order that took effect cost the party that gave it, by kind of entry."""

_PATH_KINDS = frozenset(
    {"risk_assessed", "release_authorized", "product_released", "theme_assigned", "asset_registered"}
)


def rules_of(member: Mapping[str, Any]) -> AscendingRules:
    """A lot's terms as its opening entry states them."""
    ceiling = member["ceiling_fen"]
    return AscendingRules(
        start_price_fen=int(member["start_price_fen"]),
        increment_fen=int(member["increment_fen"]),
        opens_at_us=int(member["opens_at_us"]),
        closes_at_us=int(member["closes_at_us"]),
        soft_close_window_us=int(member["soft_close_window_us"]),
        soft_close_extension_us=int(member["soft_close_extension_us"]),
        ceiling_fen=None if ceiling is None else int(ceiling),
        priority=tuple(member.get("priority", ())),
        draw_at_ceiling=bool(member.get("draw_at_ceiling", False)),
    )


def _amounts(transfers: Sequence[Transfer]) -> list[str]:
    return [f"{t.id}={t.amount}" for t in transfers]


def from_bundle(path: FilePath) -> Replayed:
    """Replay an audit bundle of the whole log. Judge it with `ledger.audit` first."""
    replaying = Replay()
    replaying.take(path)
    return replaying.market
