"""The proposals behind the digests: after the opening each bidder hands in the file that it sealed, for those who mark it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Caller, Record, Scope, Transaction
from exchange.errors import Conflict, Forbidden, NotFound, Unprocessable
from exchange.rulebook import Rulebook
from exchange.tables import Envelope, Listing, Tender
from exchange.tenders.terms import not_now

PROPOSAL_BYTES = 20 << 20
"""The most that a proposal may have: it is read by people."""


@dataclass(frozen=True, slots=True)
class HandInProposal(Act):
    """Hand in the file behind the own opened envelope; it lies in the vault by then, under its digest `proposal`."""

    scope: ClassVar[Scope] = "trade"
    tender: str
    proposal: str


async def hand_in_proposal(tx: Transaction, act: HandInProposal) -> Record:
    """Put on the record that a bidder's proposal is there to be marked; once, between the opening and the award.

    NotFound where no proposal of the party was sealed, Conflict outside that time, Unprocessable for another file.
    """
    tender = await tx.find(Tender, act.tender, "tender")
    envelope = await _sealed(tx.session, tx.caller, tender.id)
    if tender.state != "opened":
        raise not_now(tender, "opened", _WHEN, tx.now_us)
    if envelope.filed_index is not None:
        raise Conflict(
            "proposal.handed",
            f"it came with entry {envelope.filed_index}",
            field="tender",
            rule="a proposal is handed in once: its digest allows one file alone",
            remedy="none needed: the assessors have it",
        )
    if act.proposal != envelope.proposal:
        raise other_file(act.proposal, envelope.proposal or "", await rulebook.in_force(tx))
    listing = await tx.find(Listing, tender.listing, "listing")
    envelope.filed_index = tx.index
    return Record(
        "tender_proposal",
        {"code": envelope.code, "digest": act.proposal, "state": "filed", "tender": tender.id},
        envelope.code,
        readers=(listing.seller,),
    )


_WHEN = "a proposal is handed in between the opening and the award; before it, its digest alone is"


async def sealed_proposal(session: AsyncSession, caller: Caller, tender: str) -> str:
    """The digest of the file that the caller's party sealed with the envelope that stands; NotFound where there is none."""
    return (await _sealed(session, caller, tender)).proposal or ""


async def require_marked_now(session: AsyncSession, tender: str, now_us: int) -> None:
    """Conflict where a tender's bids are not being marked now, so that no proposal is taken in before the opening."""
    row = await _tender(session, tender)
    if row.state != "opened":
        raise not_now(row, "opened", _WHEN, now_us)


async def proposal_of(session: AsyncSession, caller: Caller, tender: str, code: str) -> str:
    """The digest of a bidder's proposal that is in, for who may read it: that bidder, the department that tenders, the
    assessors whom it named, and the regulator. Forbidden to anybody else; NotFound where it did not come.
    """
    row = await _tender(session, tender)
    listing = await session.get(Listing, row.listing)
    assert listing is not None
    found = select(Envelope).where(
        col(Envelope.tender) == tender, col(Envelope.code) == code, col(Envelope.filed_index).is_not(None)
    )
    envelope = (await session.execute(found)).scalar_one_or_none()
    reads = caller.party == listing.seller or caller.person in row.assessors or "regulator" in caller.roles
    if not reads and (envelope is None or envelope.party != caller.party):
        raise Forbidden(
            "proposal.readers",
            "this proposal is not for you",
            field="tender",
            rule="a proposal is read by its bidder, the department that tenders, its assessors and the regulator",
            remedy="none on this tender",
        )
    if envelope is None or envelope.proposal is None:
        raise NotFound(
            "proposal.unknown",
            f"no proposal of {code} is in",
            field="code",
            rule="bidders hand their proposals in between the opening and the award",
            remedy="come back later, or mark what is there",
        )
    return envelope.proposal


def other_file(found: str, sealed: str, rules: Rulebook) -> Unprocessable:
    """The problem of a file that is not the one whose digest was sealed. Pure."""
    return Unprocessable(
        "proposal.digest",
        f"the file hashes to {found}, sealed was {sealed}",
        field="proposal",
        rule="what comes after the deadline changes no bid: a proposal is the very file whose SHA-256 was sealed"
        f" ({rules.cite('proposal.digest')})",
        remedy="choose the file as it was when you sealed your bid; saved again it is another one",
    )


async def _tender(session: AsyncSession, tender: str) -> Tender:
    row = await session.get(Tender, tender)
    if row is None:
        raise NotFound(
            "tender.unknown", f"no tender {tender!r}", field="tender", remedy="check the identifier"
        )
    return row


async def _sealed(session: AsyncSession, caller: Caller, tender: str) -> Envelope:
    """The envelope of the caller's party that stands, with a proposal."""
    found = select(Envelope).where(
        col(Envelope.tender) == tender,
        col(Envelope.party) == caller.party,
        col(Envelope.state) == "standing",
        col(Envelope.proposal).is_not(None),
    )
    envelope = (await session.execute(found)).scalar_one_or_none()
    if envelope is None:
        raise NotFound(
            "proposal.none",
            "no envelope of yours with a proposal stands on this tender",
            field="tender",
            rule="whoever hands a proposal in sealed its SHA-256 before the deadline",
            remedy="none on this tender",
        )
    return envelope
