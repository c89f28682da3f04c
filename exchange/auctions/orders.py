"""What the market's keepers order of a lot: halt on a fault and resume, call it off, annul it on a statutory ground."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Record, Transaction
from exchange.auctions.closing import concerned, let_go
from exchange.errors import Conflict, Unprocessable
from exchange.rulebook.days import DAY_US
from exchange.settlement import annul, check_annulment
from exchange.tables import Annulment, Lot, Trade

REASON_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class HaltLot(Act):
    """Halt a lot on a fault; the reason stays sealed."""

    lot: str
    reason: str


async def halt_lot(tx: Transaction, act: HaltLot) -> Record:
    """Let no bid in and stop the lot's clock, until it is resumed or called off (administrator, regulator)."""
    tx.caller.require("administrator", "regulator", duties=("business", "system"))
    rules = await rulebook.in_force(tx)
    lot = await tx.find(Lot, act.lot, "lot")
    _require_reason(act.reason)
    if lot.state != "open" or lot.closes_us <= tx.now_us:
        raise _not(lot, "open", "only a lot that takes bids is halted", tx.now_us)
    lot.state, lot.halted_us = "halted", tx.now_us
    lot.resume_by_us = tx.now_us + rules.value("auction.resume_within_days") * DAY_US
    return Record(
        "lot_halted",
        {
            "halted_us": str(lot.halted_us),
            "lot": lot.id,
            "reason": tx.seal(act.reason),
            "resume_by_us": str(lot.resume_by_us),
            "state": "halted",
        },
        readers=await concerned(tx.session, lot),
    )


@dataclass(frozen=True, slots=True)
class ResumeLot(Act):
    """Let a halted lot go on."""

    lot: str


async def resume_lot(tx: Transaction, act: ResumeLot) -> Record:
    """Give the lot the time back that it stood still, and the soft close's extension at least (administrator, regulator).

    Conflict once the days within which a lot is resumed are over: it is called off.
    """
    tx.caller.require("administrator", "regulator", duties=("business", "system"))
    rules = await rulebook.in_force(tx)
    lot = await tx.find(Lot, act.lot, "lot")
    if lot.state != "halted" or lot.halted_us is None or lot.resume_by_us is None:
        raise _not(lot, "halted", "only a halted lot is resumed", tx.now_us)
    if tx.now_us > lot.resume_by_us:
        raise Conflict(
            "lot.halted_long",
            f"it was to be resumed by {lot.resume_by_us}",
            field="lot",
            rule=f"a halted lot is resumed within {rules.value('auction.resume_within_days')} days ({rules.cite('lot.halted_long')})",
            remedy="it is called off, and the deposits go back; open it again as a lot of its own",
        )
    closes_us = resumed_close_us(lot.closes_us, lot.halted_us, tx.now_us, lot.soft_close_extension_us)
    # The new close is the announced one from here on: no bid before the halt moves it, so the award comes out the same.
    lot.state, lot.closes_us, lot.first_closes_us = "open", closes_us, closes_us
    lot.halted_us = lot.resume_by_us = None
    return Record(
        "lot_resumed",
        {"closes_us": str(closes_us), "lot": lot.id, "state": "open"},
        readers=await concerned(tx.session, lot),
    )


def resumed_close_us(closes_us: int, halted_us: int, now_us: int, extension_us: int) -> int:
    """When a resumed lot closes: with the time that was left at the halt, and never sooner than after one extension. Pure."""
    return max(closes_us + now_us - halted_us, now_us + extension_us)


@dataclass(frozen=True, slots=True)
class CancelLot(Act):
    """Call off a halted lot; the reason stays sealed."""

    lot: str
    reason: str


async def cancel_lot(tx: Transaction, act: CancelLot) -> Record:
    """End a halted lot without an award: every deposit goes back (administrator, regulator; the clock when time is over)."""
    tx.caller.require("administrator", "regulator", "clock", duties=("business", "system"))
    lot = await tx.find(Lot, act.lot, "lot")
    _require_reason(act.reason)
    if lot.state != "halted" or lot.resume_by_us is None:
        raise _not(lot, "halted", "a lot is halted before it is called off", tx.now_us)
    if "clock" in tx.caller.roles and tx.now_us <= lot.resume_by_us:
        raise Conflict("lot.not_due", "it may still be resumed", field="lot", rule="resume_by_us < now")
    await let_go(tx, lot, "cancelled")
    return Record(
        "lot_cancelled",
        {
            "lot": lot.id,
            "reason": tx.seal(act.reason),
            "refund_by_us": str(lot.refund_by_us),
            "state": "cancelled",
        },
        readers=await concerned(tx.session, lot),
    )


@dataclass(frozen=True, slots=True)
class AnnulLot(Act):
    """Annul a lot under an order: `ground` is one of the rulebook's five, `order` names the order, the reason stays sealed."""

    lot: str
    ground: str
    order: str
    reason: str


async def annul_lot(tx: Transaction, act: AnnulLot) -> Record:
    """Undo an auction (regulator): deposits go back, and where it is settled the money too, and the licence ends.

    A settled sale is undone by a reversing entry: nothing that was posted is changed. Conflict where those who were paid do
    not have the money any more, and for a lot that came to nothing.
    """
    tx.caller.require("regulator")
    rules = await rulebook.in_force(tx)
    lot = await tx.find(Lot, act.lot, "lot")
    check_annulment(act.ground, act.order, act.reason, rules)
    if lot.state not in ("open", "halted", "drawing", "sold"):
        raise _not(lot, "open, halted, drawing or sold", "what came to nothing is not annulled", tx.now_us)
    trade = (await tx.session.execute(select(Trade).where(col(Trade.lot) == lot.id))).scalar_one_or_none()
    if trade is not None:
        await annul(tx, trade, act.ground, act.order)
    else:
        await tx.insert(
            Annulment(
                log_index=tx.index,
                lot=lot.id,
                trade=None,
                ground=act.ground,
                order_reference=act.order,
                time_us=tx.now_us,
            )
        )
    readers = await concerned(tx.session, lot)
    await let_go(tx, lot, "annulled")
    return Record(
        "lot_annulled",
        {
            "ground": act.ground,
            "lot": lot.id,
            "order": act.order,
            "reason": tx.seal(act.reason),
            "refund_by_us": str(lot.refund_by_us),
            "state": "annulled",
            "trade": None if trade is None else trade.id,
        },
        readers=readers,
    )


def _require_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > REASON_CHARACTERS:
        raise Unprocessable(
            "lot.reason",
            f"{len(reason)} characters",
            field="reason",
            rule=f"1 to {REASON_CHARACTERS} characters",
            remedy="say why",
        )


def _not(lot: Lot, state: str, rule: str, now_us: int) -> Conflict:
    return Conflict(
        "lot.state",
        f"lot {lot.id} is {'closed' if lot.state == 'open' and lot.closes_us <= now_us else lot.state}",
        field="lot",
        rule=rule,
        remedy=f"look at the lot: this is for one that is {state}",
    )
