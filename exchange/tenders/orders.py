"""What is ordered of a tender before its deadline: the market's keepers halt and resume it, its supplier or they call it off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from exchange import rulebook
from exchange.acts import Act, Record, Scope, Transaction
from exchange.errors import Conflict
from exchange.rulebook import Rulebook
from exchange.rulebook.days import DAY_US
from exchange.tables import Listing, Tender
from exchange.tenders.opening import concerned
from exchange.tenders.terms import (
    before_deadline,
    check_words,
    holders_of,
    not_now,
    of_seller_or_regulator,
)


@dataclass(frozen=True, slots=True)
class HaltTender(Act):
    """Halt a tender before its deadline; the reason stays sealed."""

    tender: str
    reason: str


async def halt_tender(tx: Transaction, act: HaltTender) -> Record:
    """Let nobody join or bid and stop the tender's clock, until it is resumed or called off (administrator, regulator).

    What was handed in stays sealed, and whoever wants may take it back meanwhile.
    """
    tx.caller.require("administrator", "regulator", duties=("business", "system"))
    rules = await rulebook.in_force(tx)
    tender = await tx.find(Tender, act.tender, "tender")
    check_words("reason", act.reason)
    if tender.state != "published" or tender.deadline_us <= tx.now_us:
        raise not_now(tender, "published", "a tender is halted before its deadline", tx.now_us)
    tender.state, tender.halted_us = "halted", tx.now_us
    tender.resume_by_us = tx.now_us + rules.value("tender.resume_within_days") * DAY_US
    return Record(
        "tender_halted",
        {
            "halted_us": str(tender.halted_us),
            "reason": tx.seal(act.reason),
            "resume_by_us": str(tender.resume_by_us),
            "state": "halted",
            "tender": tender.id,
        },
        readers=await concerned(tx.session, tender),
    )


@dataclass(frozen=True, slots=True)
class ResumeTender(Act):
    """Let a halted tender go on."""

    tender: str


async def resume_tender(tx: Transaction, act: ResumeTender) -> Record:
    """Move deadline and opening by the time that the tender stood still, or further (`moved_by_us`; administrator, regulator).

    Conflict once the days within which a tender is resumed are over: it is called off.
    """
    tx.caller.require("administrator", "regulator", duties=("business", "system"))
    rules = await rulebook.in_force(tx)
    tender = await tx.find(Tender, act.tender, "tender")
    if tender.state != "halted" or tender.halted_us is None or tender.resume_by_us is None:
        raise not_now(tender, "halted", "only a halted tender is resumed", tx.now_us)
    if tx.now_us > tender.resume_by_us:
        raise Conflict(
            "tender.halted_long",
            f"it was to be resumed by {tender.resume_by_us}",
            field="tender",
            rule=f"a halted tender is resumed within {rules.value('tender.resume_within_days')} days"
            f" ({rules.cite('tender.halted_long')})",
            remedy="it is called off, and the deposits go back; publish it again as a tender of its own",
        )
    by_us = moved_by_us(tender.deadline_us, tender.halted_us, tx.now_us, rules)
    tender.deadline_us += by_us
    tender.opens_us += by_us
    tender.ends_us += by_us
    tender.state, tender.halted_us, tender.resume_by_us = "published", None, None
    return Record(
        "tender_resumed",
        {
            "deadline_us": str(tender.deadline_us),
            "ends_us": str(tender.ends_us),
            "opens_us": str(tender.opens_us),
            "state": "published",
            "tender": tender.id,
        },
        readers=await concerned(tx.session, tender),
    )


def moved_by_us(deadline_us: int, halted_us: int, now_us: int, rules: Rulebook) -> int:
    """By how much a resumed tender's times move: by the time it stood still, and so far that bidders have their days. Pure."""
    least_us = rules.value("tender.resumed_open_at_least_days") * DAY_US
    return max(now_us - halted_us, now_us + least_us - deadline_us)


@dataclass(frozen=True, slots=True)
class CancelTender(Act):
    """Call a tender off before its deadline; the reason stays sealed."""

    scope: ClassVar[Scope] = "trade"
    tender: str
    reason: str


async def cancel_tender(tx: Transaction, act: CancelTender) -> Record:
    """End a tender whose envelopes nobody has opened: every deposit goes back (its supplier, the regulator).

    The clock calls off what was halted and not resumed in time; Conflict before that.
    """
    if "clock" in tx.caller.roles:
        tender = await tx.find(Tender, act.tender, "tender")
        listing = await tx.find(Listing, tender.listing, "listing")
        if tender.state != "halted" or tender.resume_by_us is None or tx.now_us <= tender.resume_by_us:
            raise Conflict(
                "tender.not_due", "it may still be resumed", field="tender", rule="resume_by_us < now"
            )
    else:
        tender, listing = await of_seller_or_regulator(tx, act.tender)
    check_words("reason", act.reason)
    if not before_deadline(tender, tx.now_us):
        raise not_now(tender, "published", "a tender is called off before its deadline", tx.now_us)
    tender.state, listing.state, tender.screened = "cancelled", "ended", True
    return Record(
        "tender_cancelled",
        {"reason": tx.seal(act.reason), "state": "cancelled", "tender": tender.id},
        readers=sorted({listing.seller, *holders_of(tender)}),
    )
