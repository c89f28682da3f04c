"""After the protests: delivery against payment, or the forfeit of a winner who does not pay."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Record, Transaction
from exchange.database import driver
from exchange.errors import Conflict
from exchange.money import DEPOSITS, FEES, MONEY, treasury
from exchange.settlement import forfeit, linked, settle, split
from exchange.tables import Listing, Party, Tender, Tenderer
from exchange.tenders.opening import concerned
from exchange.tenders.protests import pending
from ledger.book import balance
from ledger.postings import Transfer


@dataclass(frozen=True, slots=True)
class SettleTender(Act):
    """Settle an award against which no protest can come any more."""

    tender: str


async def settle_tender(tx: Transaction, act: SettleTender) -> Record:
    """Pay, license and confirm in one act: the winner's deposit is released into the price.

    Conflict, unrecorded, while protests run or wait, and while the winner's account does not cover price and fee: it may be
    tried again, until the winner is found in default.
    """
    tender, winner = await _final(tx, act.tender)
    rules = await rulebook.in_force(tx)
    buyer = await tx.find(Party, winner.party, "party")
    listing = await tx.find(Listing, tender.listing, "listing")
    assert buyer.account is not None
    assert tender.price_fen is not None
    hold = Transfer(
        tx.identifier("void"),
        "void_pending",
        buyer.account,
        DEPOSITS,
        tender.deposit_fen,
        MONEY,
        "deposit",
        winner.hold,
        True,
    )
    confirmation = await settle(
        tx,
        listing=listing,
        buyer=buyer,
        licences=1,
        price_fen=tender.price_fen,
        rules=rules,
        hold=hold,
        purpose=winner.purpose,
    )
    winner.state, tender.state = "captured", "settled"
    return Record(
        "tender_settled",
        {"tender": tender.id, **confirmation},
        readers=(buyer.id, listing.seller),
    )


async def _final(tx: Transaction, name: str) -> tuple[Tender, Tenderer]:
    """A tender whose award stands, and its winner's place."""
    tender = await tx.find(Tender, name, "tender")
    if (
        tender.state != "awarded"
        or tender.protest_until_us is None
        or tx.now_us < tender.protest_until_us
        or await pending(tx.session, tender.id)
    ):
        raise Conflict(
            "tender.not_final",
            "there is nothing to settle",
            field="tender",
            rule="an award is settled once the time for protests is over and each is decided",
            remedy="wait for it",
        )
    named = select(Tenderer).where(col(Tenderer.tender) == tender.id, col(Tenderer.party) == tender.winner)
    return tender, (await tx.session.execute(named)).scalar_one()


@dataclass(frozen=True, slots=True)
class DeclareTenderDefault(Act):
    """Find the winner of a tender in default, whose time to pay is over."""

    tender: str


async def declare_default(tx: Transaction, act: DeclareTenderDefault) -> Record:
    """Forfeit the winner's deposit: the costs first, the rest to the supplier's treasury (招标投标法实施条例 第七十四条).

    Conflict where the time is not over, and where the winner's account covers price and fee. It may be tendered again.
    """
    tender, winner = await _final(tx, act.tender)
    if tender.pay_by_us is None or tx.now_us < tender.pay_by_us or tender.price_fen is None:
        raise Conflict("tender.no_default", "nobody is in default", field="tender", rule="pay_by_us <= now")
    rules = await rulebook.in_force(tx)
    buyer = await tx.find(Party, winner.party, "party")
    assert buyer.account is not None
    account = await balance(await driver(tx.session), buyer.account)
    assert account is not None
    free_fen = account.credits_posted - account.debits_posted - account.debits_pending
    due_fen = tender.price_fen + split(tender.price_fen, rules, None).buyer_fee_fen
    if free_fen + tender.deposit_fen >= due_fen:
        raise Conflict(
            "tender.payable",
            "the winner's account covers price and fee",
            field="tender",
            rule="who can pay is not in default",
            remedy="settle the tender",
        )
    listing = await tx.find(Listing, tender.listing, "listing")
    taken = forfeit(tender.deposit_fen, tender.price_fen, rules)
    to = treasury(listing.seller)
    if taken.kept_fen and await balance(await driver(tx.session), to) is None:
        await tx.open_named_account(to, "treasury", overdraft="debits_must_not_exceed_credits")
    steps = [
        Transfer(
            tx.identifier("forfeit"),
            "post_pending",
            buyer.account,
            DEPOSITS,
            tender.deposit_fen,
            MONEY,
            "deposit",
            winner.hold,
        )
    ]
    steps += [
        Transfer(tx.identifier("forfeit"), "post", DEPOSITS, to_account, fen, MONEY, code)
        for to_account, fen, code in (
            (FEES, taken.costs_fen, "forfeit_costs"),
            (to, taken.kept_fen, "forfeit_treasury"),
        )
        if fen
    ]
    await tx.post(*linked(steps))
    tender.state, winner.state, listing.state = "defaulted", "forfeited", "ended"
    return Record(
        "tender_defaulted",
        {
            "code": winner.code,
            "costs_fen": str(taken.costs_fen),
            "deposit_fen": str(tender.deposit_fen),
            "kept_fen": str(taken.kept_fen),
            "pay_by_us": str(tender.pay_by_us),
            "price_fen": str(tender.price_fen),
            "state": "defaulted",
            "tender": tender.id,
        },
        readers=await concerned(tx.session, tender),
    )
