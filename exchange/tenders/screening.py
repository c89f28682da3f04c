"""Six signs of a rigged tender (招标投标法实施条例 §40), looked for at the opening and recorded for the regulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange.acts import Act, Record, Transaction
from exchange.errors import Conflict
from exchange.tables import Opening, Tender, Tenderer
from exchange.tenders.envelopes import FACTS
from exchange.tenders.opening import standing_of
from pricing.screens import Bidder, Bounds, Sign, rigging


@dataclass(frozen=True, slots=True)
class ScreenTender(Act):
    """Record the signs that the screens found."""

    tender: str
    signs: tuple[dict[str, Any], ...]


async def screen_tender(tx: Transaction, act: ScreenTender) -> Record:
    """Keep what the screens found of an opened tender, for the regulator alone (the clock). A sign accuses nobody.

    What they look at lies behind commitments, some of which may be erased one day: so the act brings the signs, and a replay
    finds them again as long as it can.
    """
    tx.caller.require("clock")
    tender = await tx.find(Tender, act.tender, "tender")
    if tender.screened or tender.opened is None:
        raise Conflict(
            "tender.not_due", "there is nothing to screen", field="tender", rule="once, at the opening"
        )
    tender.signs, tender.screened = list(act.signs), True
    return Record(
        "tender_screened",
        {"signs": list(act.signs), "state": "flagged" if act.signs else "clear", "tender": tender.id},
    )


async def signs_of(session: AsyncSession, identifier: str) -> tuple[dict[str, Any], ...]:
    """What the screens find of an opened tender."""
    tender = await session.get(Tender, identifier)
    assert tender is not None
    rows = await session.execute(
        select(Tenderer).where(col(Tenderer.tender) == identifier).order_by(col(Tenderer.log_index))
    )
    places = list(rows.scalars())
    sealed = [commitment for one in places for commitment in one.facts.values()]
    texts = await session.execute(
        select(Opening.commitment, Opening.value).where(col(Opening.commitment).in_(sealed))
    )
    proposals = {one.code: one.proposal for one in await standing_of(session, identifier)}
    return found_of(
        [(one.code, one.facts, one.mixed) for one in places],
        {commitment: text for commitment, text in texts if text is not None},
        proposals,
        tender.opened or [],
    )


def found_of(
    bidders: Sequence[tuple[str, Mapping[str, str], Sequence[str]]],
    opened: Mapping[str, str],
    proposals: Mapping[str, str | None],
    envelopes: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, Any], ...]:
    """The signs, from bidders (code, commitments of their facts, whose envelopes they handed in), what these hide, the digests
    of the proposals, and the envelopes as they were opened. Pure.
    """
    prices = {row["code"]: None if row["price_fen"] is None else int(row["price_fen"]) for row in envelopes}
    known = [
        Bidder(
            code,
            prices.get(code),
            **{name: opened.get(facts[name]) for name in FACTS},
            proposal=proposals.get(code),
            mixed=tuple(mixed),
        )
        for code, facts, mixed in bidders
    ]
    return tuple(_said(sign) for sign in rigging(known, "higher", Bounds()))


def _said(sign: Sign) -> dict[str, Any]:
    return {
        "codes": list(sign.codes),
        "en": sign.words("en"),
        "figure": sign.figure,
        "name": sign.name,
        "zh": sign.words("zh"),
    }


async def unscreened(session: AsyncSession) -> list[str]:
    """The opened tenders that nobody has screened."""
    rows = await session.execute(
        select(Tender.id)
        .where(col(Tender.screened).is_(False), col(Tender.state).not_in(("published", "halted", "opening")))
        .order_by(col(Tender.log_index))
    )
    return list(rows.scalars())
