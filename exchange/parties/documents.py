"""What an organisation shows of itself: documents by their digests, with kind and expiry, reviewed by another person.

The documents stay where they are: whoever holds one shows that it is this one by its SHA-256.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Transaction, plain
from exchange.errors import Conflict, Forbidden, NotFound, Unprocessable
from exchange.parties.forms import check_digest, check_name
from exchange.rulebook import in_force
from exchange.tables import Party, PartyDocument

STATES = {"accept": "accepted", "refuse": "rejected"}  # `refused` is an act that took no effect


@dataclass(frozen=True, slots=True)
class FileDocument(Act):
    """Show a document of a party: its SHA-256 as hex, of which kind it is, and when it is over (None: never)."""

    party: str
    kind: str
    document: str
    expires_us: int | None = None


async def file_document(tx: Transaction, act: FileDocument) -> Record:
    """Keep a document's digest until somebody else reviews it (the party itself, or an administrator at the counter)."""
    if act.party != tx.caller.party:
        tx.caller.require("administrator", duties=("business", "security"))
    party = await tx.find(Party, act.party, "party")
    check_digest("digest", bytes.fromhex(act.document))
    rules = await in_force(tx)
    kinds = rules.words("parties.document_kinds")
    if act.kind not in kinds:
        raise Unprocessable(
            "document.kind",
            act.kind,
            field="kind",
            rule=f"one of {', '.join(kinds)} ({rules.cite('document.kind')})",
            remedy="name what the document is",
        )
    if act.expires_us is not None and act.expires_us <= tx.now_us:
        raise Unprocessable(
            "document.expired",
            f"{act.expires_us} is over",
            field="expires_us",
            rule="a document that still holds, by the market's clock",
            remedy="file the one that came in its place",
        )
    if await tx.session.get(PartyDocument, (party.id, act.document)) is not None:
        raise Conflict("document.filed", "this document is filed", field="digest", remedy="await its review")
    await tx.insert(
        PartyDocument(
            party=party.id,
            digest=act.document,
            kind=act.kind,
            expires_us=act.expires_us,
            filer=tx.caller.person,
            state="filed",
            log_index=tx.index,
        )
    )
    return Record(
        "document_filed",
        {
            "digest": act.document,
            "expires_us": plain(act.expires_us),
            "kind": act.kind,
            "party": party.id,
            "state": "filed",
        },
        readers=(party.id,),
    )


@dataclass(frozen=True, slots=True)
class ReviewDocument(Act):
    """Say whether a document is what it is said to be; the reason stays sealed."""

    party: str
    document: str
    decision: str
    reason: str


async def review_document(tx: Transaction, act: ReviewDocument) -> Record:
    """Accept or refuse a document that somebody else filed, once (administrator, who does not review its own party's).

    The last document that an applicant had to show admits it.
    """
    tx.caller.require("administrator", duties=("business", "security"))
    row = await tx.session.get(PartyDocument, (act.party, act.document))
    if row is None:
        raise NotFound(
            "document.unknown",
            f"no document {act.document!r} of {act.party!r}",
            field="digest",
            remedy="check both",
        )
    if act.decision not in STATES:
        raise Unprocessable(
            "document.decision",
            act.decision,
            field="decision",
            rule="accept or refuse",
            remedy="name one of them",
        )
    check_name("reason", act.reason)
    if tx.caller.person == row.filer or tx.caller.party == row.party:
        raise Forbidden(
            "document.four_eyes",
            "you filed this document, or it is your own party's",
            field="digest",
            rule="another person reviews it, of another party",
            remedy="let another administrator review it",
        )
    if row.state != "filed":
        raise Conflict(
            "document.reviewed",
            f"it was {row.state}",
            field="digest",
            remedy="file the document that replaces it",
        )
    row.state, row.reviewer, row.reason = STATES[act.decision], tx.caller.person, act.reason
    party = await tx.find(Party, row.party, "party")
    admitted = party.state == "applicant" and await _complete(tx, party.id)
    if admitted:
        party.state = "active"
    return Record(
        "document_reviewed",
        {
            "admitted": admitted,
            "digest": row.digest,
            "party": row.party,
            "reason": tx.seal(act.reason),
            "state": row.state,
        },
        readers=(row.party,),
    )


async def _complete(tx: Transaction, party: str) -> bool:
    """Whether a document of each kind that an applicant shows is accepted, and holds."""
    await tx.session.flush()
    shown = await kinds_shown(tx.session, party, tx.now_us)
    return shown.issuperset((await in_force(tx)).words("parties.documents_required"))


async def kinds_shown(session: AsyncSession, party: str, now_us: int) -> frozenset[str]:
    """Of which kinds a party has documents that were accepted and are in force: what it counts as qualified by."""
    holds = col(PartyDocument.expires_us).is_(None) | (col(PartyDocument.expires_us) > now_us)
    kinds = select(PartyDocument.kind).where(
        col(PartyDocument.party) == party, col(PartyDocument.state) == "accepted", holds
    )
    return frozenset((await session.execute(kinds)).scalars())


async def documents(session: AsyncSession, caller: Caller, party: str, now_us: int) -> list[dict[str, Any]]:
    """The documents of a party, the newest first; for itself, administrators and regulators."""
    mine = party == caller.party or caller.roles.intersection(("administrator", "regulator"))
    if not mine or await session.get(Party, party) is None:
        raise NotFound("party.unknown", f"no party {party!r}", field="party", remedy="check the identifier")
    query = (
        select(PartyDocument)
        .where(col(PartyDocument.party) == party)
        .order_by(col(PartyDocument.log_index).desc())
    )
    return [
        plain(
            {
                "digest": row.digest,
                "expires_us": row.expires_us,
                "filer": row.filer,
                "kind": row.kind,
                "log_index": row.log_index,
                "reason": row.reason,
                "reviewer": row.reviewer,
                "state": "expired" if row.expires_us is not None and row.expires_us <= now_us else row.state,
            }
        )
        for row in (await session.execute(query)).scalars()
    ]
