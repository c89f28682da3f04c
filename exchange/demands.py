"""Room: the demand board: buyers say what they want, for which purpose and at what price, and suppliers answer with what they have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Record, Scope, Transaction
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.listings import check_purpose
from exchange.parties import require_active
from exchange.rulebook import Rulebook
from exchange.rulebook.days import DAY_US
from exchange.tables import Asset, Demand, DemandAnswer, Listing, Opening, Party

SUBJECT_CHARACTERS, WORDS_CHARACTERS = 500, 2000


@dataclass(frozen=True, slots=True)
class PostDemand(Act):
    """Say what data is wanted, for which purpose, for a price between two amounts, for how long; it stands for `open_days`."""

    scope: ClassVar[Scope] = "trade"
    subject: str
    purpose: str
    low_fen: int
    high_fen: int
    term_days: int
    open_days: int


async def post_demand(tx: Transaction, act: PostDemand) -> Record:
    """Put a want on the board, for everybody to see (buyer)."""
    tx.caller.require("buyer")
    rules = await rulebook.in_force(tx)
    require_active(await tx.find(Party, tx.caller.party, "party"))
    check_demand(act, rules)
    row = Demand(
        id=tx.identifier("dmd"),
        buyer=tx.caller.party,
        subject=tx.seal(act.subject),
        purpose=act.purpose,
        low_fen=act.low_fen,
        high_fen=act.high_fen,
        term_days=act.term_days,
        until_us=tx.now_us + act.open_days * DAY_US,
        withdrawn=False,
        time_us=tx.now_us,
        log_index=tx.index,
    )
    await tx.insert(row)
    return Record(
        "demand_posted",
        {
            "buyer": row.buyer,
            "high_fen": str(row.high_fen),
            "id": row.id,
            "low_fen": str(row.low_fen),
            "open_days": str(act.open_days),
            "purpose": row.purpose,
            "state": "open",
            "subject": row.subject,
            "term_days": str(row.term_days),
            "until_us": str(row.until_us),
        },
    )


def check_demand(act: PostDemand, rules: Rulebook) -> None:
    """Refuse a want that says nothing, a band that is none, and one that would stand too long. Pure."""
    _check_words("subject", act.subject, SUBJECT_CHARACTERS)
    check_purpose(act.purpose, rules)
    longest = rules.value("listing.licence_at_most_days")
    days = rules.value("demand.open_at_most_days")
    if not 0 <= act.low_fen <= act.high_fen <= 2**53:
        raise Unprocessable(
            "demand.budget",
            f"{act.low_fen} to {act.high_fen} fen",
            field="high_fen",
            rule="from 0 or more, up to as much or more, at most 2**53 fen",
            remedy="say between which amounts",
        )
    if not 1 <= act.term_days <= longest:
        raise Unprocessable(
            "demand.term",
            f"{act.term_days} days",
            field="term_days",
            rule=f"a licence lasts 1 to {longest} days ({rules.cite('demand.term')})",
            remedy="shorten the term",
        )
    if not 1 <= act.open_days <= days:
        raise Unprocessable(
            "demand.open",
            f"{act.open_days} days",
            field="open_days",
            rule=f"a want stands 1 to {days} days ({rules.cite('demand.open')})",
            remedy="post it again when they are over",
        )


def _check_words(field: str, text: str, most: int) -> None:
    if not text.strip() or len(text) > most:
        raise Unprocessable(
            "demand.words",
            f"{len(text)} characters",
            field=field,
            rule=f"1 to {most} characters",
            remedy="say it, in fewer words where there are too many",
        )


@dataclass(frozen=True, slots=True)
class WithdrawDemand(Act):
    """Take an own want off the board."""

    scope: ClassVar[Scope] = "trade"
    demand: str


async def withdraw_demand(tx: Transaction, act: WithdrawDemand) -> Record:
    """End a want before its time (its buyer); what was answered stays to be read."""
    row = await tx.session.get(Demand, act.demand)
    if row is None or row.buyer != tx.caller.party:
        raise NotFound(
            "demand.unknown",
            f"no demand {act.demand!r} of yours",
            field="demand",
            remedy="check the identifier",
        )
    _require_open(row, tx.now_us)
    row.withdrawn = True
    return Record("demand_withdrawn", {"demand": row.id, "state": "withdrawn"})


@dataclass(frozen=True, slots=True)
class AnswerDemand(Act):
    """Answer a want with an own asset or an own listing, and words for everybody."""

    scope: ClassVar[Scope] = "trade"
    demand: str
    asset: str
    words: str
    listing: str | None = None


async def answer_demand(tx: Transaction, act: AnswerDemand) -> Record:
    """Point to what the calling department has: a registered asset of its own, and where it is on offer its listing."""
    tx.caller.require("supplier")
    require_active(await tx.find(Party, tx.caller.party, "party"))
    row = await tx.find(Demand, act.demand, "demand")
    _require_open(row, tx.now_us)
    _check_words("words", act.words, WORDS_CHARACTERS)
    asset = await tx.session.get(Asset, act.asset)
    if asset is None or asset.supplier != tx.caller.party:
        raise NotFound(
            "asset.unknown", f"no asset {act.asset!r}", field="asset", remedy="check the identifier"
        )
    listing = None if act.listing is None else await tx.session.get(Listing, act.listing)
    if asset.state != "registered" or (
        act.listing is not None and (listing is None or listing.asset != asset.id or listing.state != "open")
    ):
        raise Conflict(
            "demand.nothing",
            f"the asset is {asset.state}" if asset.state != "registered" else "no such listing is open",
            field="listing" if asset.state == "registered" else "asset",
            rule="an answer names a registered asset, and an open listing of it where it is on offer",
            remedy="register it first, or leave the listing out",
        )
    known = select(DemandAnswer.log_index).where(
        col(DemandAnswer.demand) == row.id, col(DemandAnswer.asset) == asset.id
    )
    if (await tx.session.execute(known)).first() is not None:
        raise Conflict(
            "demand.answered",
            "this asset was named before",
            field="asset",
            rule="an asset answers a want once",
            remedy="none needed",
        )
    answer = DemandAnswer(
        log_index=tx.index,
        demand=row.id,
        supplier=tx.caller.party,
        asset=asset.id,
        listing=act.listing,
        words=tx.seal(act.words),
        time_us=tx.now_us,
    )
    await tx.insert(answer)
    return Record(
        "demand_answered",
        {
            "asset": asset.id,
            "demand": row.id,
            "listing": act.listing,
            "state": "answered",
            "supplier": answer.supplier,
            "words": answer.words,
        },
        readers=(row.buyer,),
    )


def _require_open(row: Demand, now_us: int) -> None:
    if state_of(row, now_us) != "open":
        raise Conflict(
            "demand.over",
            f"demand {row.id} is {state_of(row, now_us)}",
            field="demand",
            rule="a want stands until its time is over or its buyer takes it off",
            remedy="look for one that is open",
        )


def state_of(row: Demand, now_us: int) -> str:
    """Where a want stands: its end is a fact of the time."""
    if row.withdrawn:
        return "withdrawn"
    return "open" if now_us < row.until_us else "expired"


async def demands(
    session: AsyncSession,
    now_us: int,
    purpose: str | None = None,
    every: bool = False,
    after: int | None = None,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """The open wants, or with `every` all of them, newest first, of one purpose where one is named; or a page."""
    query = select(Demand).order_by(col(Demand.log_index).desc()).limit(limit)
    if not every:
        query = query.where(col(Demand.withdrawn).is_(False), col(Demand.until_us) > now_us)
    if purpose is not None:
        query = query.where(col(Demand.purpose) == purpose)
    if after is not None:
        query = query.where(col(Demand.log_index) < after)
    rows = list((await session.execute(query)).scalars())
    texts = await _texts(session, [row.subject for row in rows])
    return [_view(row, now_us, texts) for row in rows]


async def demand(session: AsyncSession, identifier: str, now_us: int) -> dict[str, Any]:
    """One want with its answers, the oldest first."""
    row = await session.get(Demand, identifier)
    if row is None:
        raise NotFound(
            "demand.unknown", f"no demand {identifier!r}", field="demand", remedy="check the identifier"
        )
    found = await session.execute(
        select(DemandAnswer, Asset.title)
        .join(Asset, col(Asset.id) == col(DemandAnswer.asset))
        .where(col(DemandAnswer.demand) == row.id)
        .order_by(col(DemandAnswer.log_index))
    )
    answers = list(found.all())
    texts = await _texts(session, [row.subject, *(one.words for one, _ in answers)])
    return {
        **_view(row, now_us, texts),
        "answers": [
            {
                "asset": one.asset,
                "asset_title": title,
                "index": str(one.log_index),
                "listing": one.listing,
                "supplier": one.supplier,
                "time_us": str(one.time_us),
                "words": texts.get(one.words),
            }
            for one, title in answers
        ],
    }


def _view(row: Demand, now_us: int, texts: dict[str, str | None]) -> dict[str, Any]:
    return {
        "buyer": row.buyer,
        "high_fen": str(row.high_fen),
        "id": row.id,
        "log_index": str(row.log_index),
        "low_fen": str(row.low_fen),
        "purpose": row.purpose,
        "state": state_of(row, now_us),
        "subject": texts.get(row.subject),
        "term_days": str(row.term_days),
        "time_us": str(row.time_us),
        "until_us": str(row.until_us),
    }


async def _texts(session: AsyncSession, commitments: list[str]) -> dict[str, str | None]:
    """What commitments hide; None where it was erased."""
    rows = await session.execute(
        select(Opening.commitment, Opening.value).where(col(Opening.commitment).in_(commitments))
    )
    return {row[0]: row[1] for row in rows}
