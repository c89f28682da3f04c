"""A lot with its bidders' money as a beginner would write it, one call after the other; it knows nothing of our code."""

from __future__ import annotations

from typing import NamedTuple

Asked = tuple[str | int, ...]
"""What is asked, in words: ("bid", party, price), ("join", party), ("top_up", party, fen), ("buy", party, price),
("money", party), ("look",); and what happens by itself: ("ring",), ("close",), ("give_back", party), ("settle",)."""

Answer = str | tuple[object, ...]


class Purse(NamedTuple):
    """What a party may spend, and what is held of it as a deposit."""

    free: int = 0
    held: int = 0


class Terms(NamedTuple):
    """What never changes."""

    start_fen: int
    increment_fen: int
    deposit_fen: int


class Lot(NamedTuple):
    """Where it stands. `rung`: its time is over; `closed`: the market has said who won."""

    terms: Terms
    purses: tuple[tuple[str, Purse], ...] = ()
    joined: frozenset[str] = frozenset()
    price: int | None = None
    leader: str | None = None
    admitted: int = 0
    rung: bool = False
    closed: bool = False
    settled: bool = False

    def purse(self, party: str) -> Purse:
        return dict(self.purses).get(party, Purse())

    def paid(self, party: str, purse: Purse) -> Lot:
        return self._replace(purses=tuple(sorted({**dict(self.purses), party: purse}.items())))


def rule(lot: Lot, asked: Asked) -> tuple[Answer, Lot]:
    """What the lot answers, and how it stands then."""
    match asked:
        case ("bid", str(party), int(price)):
            return _bid(lot, party, price)
        case ("look",):
            state = "open" if not lot.closed else "failed" if lot.leader is None else "sold"
            return (state, lot.price, lot.admitted, lot.settled), lot
        case ("money", str(party)):
            return tuple(lot.purse(party)), lot
        case ("top_up", str(party), int(fen)):
            free, held = lot.purse(party)
            return "done", lot.paid(party, Purse(free + fen, held))
        case ("buy", str(party), int(price)):
            free, held = lot.purse(party)
            left = free - _with_fee(price)
            return ("too little", lot) if left < 0 else ("done", lot.paid(party, Purse(left, held)))
        case ("join", str(party)):
            free, held = lot.purse(party)
            if party in lot.joined:
                return "joined already", lot
            if lot.rung:
                return "closed", lot
            if free < lot.terms.deposit_fen:
                return "too little", lot
            deposit = lot.terms.deposit_fen
            joined = lot._replace(joined=lot.joined | {party})
            return "done", joined.paid(party, Purse(free - deposit, held + deposit))
        case ("ring",):
            return "done", lot._replace(rung=True)
        case ("close",):
            return "done", lot._replace(closed=lot.rung, settled=lot.rung and lot.leader is None)
        case ("give_back", str(party)):
            free, held = lot.purse(party)
            mine = lot.closed and party != lot.leader
            return "done", lot.paid(party, Purse(free + held, 0)) if mine else lot
        case ("settle",):
            return "done", _settle(lot)
    raise AssertionError(f"no such thing: {asked}")


def _bid(lot: Lot, party: str, price: int) -> tuple[Answer, Lot]:
    start, step, _ = lot.terms
    if party not in lot.joined:
        return "no deposit", lot
    if lot.rung:
        return "closed", lot
    if lot.price is None:
        if price < start:
            return "below start", lot
    elif price <= lot.price:
        return "not higher", lot
    elif price - lot.price < step:
        return "below increment", lot
    if (price - start) % step:
        return "off increment", lot
    return "admitted", lot._replace(price=price, leader=party, admitted=lot.admitted + 1)


def _settle(lot: Lot) -> Lot:
    """The winner's deposit goes into the price; what is missing keeps the lot waiting."""
    if not lot.closed or lot.settled or lot.leader is None or lot.price is None:
        return lot
    free, held = lot.purse(lot.leader)
    left = free + held - _with_fee(lot.price)
    return lot if left < 0 else lot.paid(lot.leader, Purse(left, 0))._replace(settled=True)


def _with_fee(price: int) -> int:
    """A price and its fee of one per cent, rounded half up."""
    return price + (price + 50) // 100
