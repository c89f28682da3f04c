"""A winner who does not pay: the deposit is forfeited, and makes up for the costs, then for a lower price, then it is the
supplier's.

The costs are the commissions of both sides that the sale would have brought (拍卖法 第三十九条); the gap is known once the lot
is sold again; what is left goes to the supplier's treasury account (法释〔2016〕18号 第二十四条).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Record, Transaction
from exchange.auctions.closing import concerned, end_without_sale
from exchange.auctions.terms import over_us, rounds_before
from exchange.auctions.views import winner_code
from exchange.database import driver
from exchange.errors import Conflict
from exchange.money import DEPOSITS, FEES, MONEY, treasury
from exchange.rulebook.days import DAY_US
from exchange.settlement import forfeit, linked, split
from exchange.tables import Bidder, Listing, Lot, Party
from ledger.book import balance
from ledger.postings import Transfer


def gap(kept_fen: int, price_fen: int, again_fen: int | None, made_up_fen: int) -> tuple[int, int]:
    """How what is kept of a deposit is divided, in fen: the price gap, and the treasury's rest. Pure.

    `again_fen` is what the lot brought in the end, None where it was not sold again; `made_up_fen` what the forfeits of
    earlier rounds have made up for already, so that no supplier gets more than the dearest of its awards.
    """
    if again_fen is None:
        return 0, kept_fen
    gap_fen = min(kept_fen, max(0, price_fen - again_fen - made_up_fen))
    return gap_fen, kept_fen - gap_fen


@dataclass(frozen=True, slots=True)
class DeclareDefault(Act):
    """Find the winner of a lot in default, whose time to pay is over."""

    lot: str


async def declare_default(tx: Transaction, act: DeclareDefault) -> Record:
    """Forfeit the winner's deposit and end the sale; the winner stands here by its code.

    Conflict where the time is not over, and where the winner's account covers price and fee: whose money came in time is
    not found in default because the market was at a standstill.
    """
    lot = await tx.find(Lot, act.lot, "lot")
    if (
        lot.state != "sold"
        or lot.settled
        or lot.pay_by_us is None
        or lot.pay_by_us > tx.now_us
        or lot.winner is None
        or lot.price_fen is None
    ):
        raise Conflict(
            "lot.no_default", "nobody is in default on this lot", field="lot", rule="pay_by_us <= now"
        )
    rules = await rulebook.in_force(tx)
    buyer = await tx.find(Party, lot.winner, "party")
    bidder = await tx.find(Bidder, (lot.id, lot.winner), "bidder")
    assert buyer.account is not None
    account = await balance(await driver(tx.session), buyer.account)
    assert account is not None
    free_fen = account.credits_posted - account.debits_posted - account.debits_pending
    if free_fen + lot.deposit_fen >= lot.price_fen + split(lot.price_fen, rules, None).buyer_fee_fen:
        raise Conflict(
            "lot.payable",
            "the winner's account covers price and fee",
            field="lot",
            rule="who can pay is not in default",
            remedy="settle the lot",
        )
    taken = forfeit(lot.deposit_fen, lot.price_fen, rules)
    steps = [
        Transfer(
            tx.identifier("forfeit"),
            "post_pending",
            buyer.account,
            DEPOSITS,
            lot.deposit_fen,
            MONEY,
            "deposit",
            bidder.hold,
        )
    ]
    if taken.costs_fen:
        steps.append(
            Transfer(
                tx.identifier("forfeit"), "post", DEPOSITS, FEES, taken.costs_fen, MONEY, "forfeit_costs"
            )
        )
    await tx.post(*linked(steps))
    readers = await concerned(tx.session, lot)
    await end_without_sale(tx, lot, "defaulted")
    lot.defaulted_us, lot.forfeit_fen = tx.now_us, taken.kept_fen
    bidder.state = "forfeited"
    return Record(
        "lot_defaulted",
        {
            "code": winner_code(lot),
            "costs_fen": str(taken.costs_fen),
            "deposit_fen": str(lot.deposit_fen),
            "kept_fen": str(taken.kept_fen),
            "lot": lot.id,
            "pay_by_us": str(lot.pay_by_us),
            "price_fen": str(lot.price_fen),
            "state": "defaulted",
        },
        readers=readers,
    )


@dataclass(frozen=True, slots=True)
class DistributeForfeit(Act):
    """Divide what is kept of a forfeited deposit."""

    lot: str


async def distribute_forfeit(tx: Transaction, act: DistributeForfeit) -> Record:
    """Pay the price gap to the seller and the rest to its treasury account; Conflict while the next round may still tell."""
    lot = await tx.find(Lot, act.lot, "lot")
    again = await _again(tx.session, lot, tx.now_us)
    if not lot.forfeit_fen or again is None or lot.price_fen is None:
        raise Conflict(
            "forfeit.not_due",
            "nothing is to be divided",
            field="lot",
            rule="what is kept is divided once the lot is sold again, or can come back no more",
        )
    gap_fen, rest_fen = gap(lot.forfeit_fen, lot.price_fen, again.price_fen, again.made_up_fen)
    listing = await tx.find(Listing, lot.listing, "listing")
    seller = await tx.find(Party, listing.seller, "party")
    assert seller.account is not None
    to = treasury(seller.id)
    if rest_fen and await balance(await driver(tx.session), to) is None:
        await tx.open_named_account(to, "treasury", overdraft="debits_must_not_exceed_credits")
    steps = [
        Transfer(tx.identifier("forfeit"), "post", DEPOSITS, account, fen, MONEY, code)
        for account, fen, code in (
            (seller.account, gap_fen, "forfeit_gap"),
            (to, rest_fen, "forfeit_treasury"),
        )
        if fen
    ]
    await tx.post(*linked(steps))
    lot.forfeit_fen = 0
    lot.gap_fen = gap_fen
    return Record(
        "forfeit_distributed",
        {
            "again": again.lot,
            "again_fen": None if again.price_fen is None else str(again.price_fen),
            "gap_fen": str(gap_fen),
            "lot": lot.id,
            "rest_fen": str(rest_fen),
            "seller": seller.id,
            "state": "distributed",
        },
        readers=(seller.id,),
    )


@dataclass(frozen=True, slots=True)
class _Again:
    """The last round after a default: the lot and what it was sold for, None where it was not sold; what earlier forfeits
    have made up for."""

    lot: str | None
    price_fen: int | None
    made_up_fen: int


async def _again(session: AsyncSession, lot: Lot, now_us: int) -> _Again | None:
    """How the rounds after a lot ended; None while that is not known."""
    last = lot
    while after := (
        await session.execute(select(Lot).where(col(Lot.again_of) == last.id))
    ).scalar_one_or_none():
        last = after
    made_up_fen = 0
    for earlier in (await rounds_before(session, lot))[1:]:
        if earlier.forfeit_fen:
            return None  # its turn comes first
        made_up_fen += earlier.gap_fen or 0
    if last is not lot and last.state == "sold":
        return _Again(last.id, last.price_fen, made_up_fen) if last.settled else None
    if last.state in ("open", "halted", "drawing"):
        return None
    rules = await rulebook.at(session, now_us)
    if now_us <= over_us(last) + rules.value("auction.again_within_days") * DAY_US:
        return None
    return _Again(None, None, made_up_fen)


async def forfeits_due(session: AsyncSession, now_us: int) -> list[str]:
    """The lots whose forfeited deposits can be divided now, the oldest first."""
    kept = select(Lot).where(col(Lot.forfeit_fen) > 0).order_by(col(Lot.log_index))
    return [lot.id for lot in (await session.execute(kept)).scalars() if await _again(session, lot, now_us)]
