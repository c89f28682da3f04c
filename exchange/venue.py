"""The venue itself: opens its market once, moves a sandbox's clock, names a successor of its log, records its drills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Caller, Record, Transaction, plain
from exchange.database import driver
from exchange.errors import Conflict, Forbidden, NotFound, Unprocessable
from exchange.money import BANK, DEPOSITS, FEES, TAX
from exchange.parties import admit, check_name, check_uscc, invite
from exchange.tables import Drill, Market
from ledger import log
from ledger.checkpoint import Verifier
from ledger.entries import WHOLE_LIMIT, parse_body
from ledger.succession import open_ended

if TYPE_CHECKING:
    from psycopg import AsyncConnection

SUCCESSION = Caller("succession", "succession", frozenset({"succession"}))
"""Whoever holds the log's key: ends a log and lets another go on from it."""

_LAST_SUCCESSION = "SELECT log_index FROM request WHERE party = 'succession' ORDER BY log_index DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class OpenMarket(Act):
    """The first entry of a log: what market this is, under which rules, and who administers it."""

    origin: str
    vkey: str
    sandbox: bool
    profile: str
    rulebook: Mapping[str, Any]
    """Digest and version of the rules, and their whole document."""
    uscc: str
    name: str
    person: str
    token_digest: bytes


async def open_market(tx: Transaction, act: OpenMarket) -> Record:
    """Open the venue's accounts and admit the first administrator, who gets a one-time link."""
    if tx.index:
        raise Conflict(
            "market.open",
            "this market is open already",
            remedy="use the data directory that it was opened in",
        )
    check_uscc(act.uscc)
    check_name("name", act.name)
    check_name("person", act.person)
    await tx.open_named_account(BANK, "bank", overdraft="credits_must_not_exceed_debits")
    await tx.open_named_account(DEPOSITS, "deposits", overdraft="none")
    await tx.open_named_account(FEES, "fees", overdraft="debits_must_not_exceed_credits")
    await tx.open_named_account(TAX, "tax", overdraft="debits_must_not_exceed_credits")
    party = await admit(tx, act.uscc, act.name, ("administrator",), None)
    person = await invite(tx, party.id, act.person, act.token_digest)
    await rulebook.begin(tx, act.rulebook)
    return Record(
        "market_opened",
        {
            "administrator": party.id,
            "name": tx.seal(act.name),
            "origin": act.origin,
            "person": person.id,
            "person_name": tx.seal(act.person),
            "profile": act.profile,
            "rulebook": dict(act.rulebook),
            "sandbox": act.sandbox,
            "state": "open",
            "token": act.token_digest.hex(),
            "uscc": tx.seal(act.uscc),
            "vkey": act.vkey,
        },
        readers=(party.id,),
    )


@dataclass(frozen=True, slots=True)
class SucceedLog(Act):
    """Go on as another log from where one ended: its note, and the key that signed it."""

    note: str
    vkey: str


async def succeed_log(tx: Transaction, act: SucceedLog) -> Record:
    """Take over the tree of a log that ended right here, and say of it all that its note says.

    Conflict where the log here is not the one that the note ends, or has gone on.
    """
    tx.caller.require("succession")
    ended = open_ended(act.note, [Verifier.parse(act.vkey)])
    connection = await driver(tx.session)
    head = await log.read_head(connection)
    if (head.origin, tx.index, head.edge.root()) != (ended.origin, ended.size, ended.root):
        raise Conflict(
            "succession.other_end",
            f"the note ends {ended.origin} at {ended.size} entries, the log here is {head.origin} with {tx.index}",
            field="note",
            rule="a successor goes on from the very tree with which its predecessor ended",
            remedy="stop whatever else writes to this log, and end it again",
        )
    await log.rename(connection, ended.origin, ended.successor_origin)
    return Record(
        "log_succeeded",
        plain(
            {
                "lost": {"from": ended.size, "root": ended.seen_root, "to": ended.seen_size - 1}
                if ended.lost
                else None,
                "note": act.note,
                "origin": ended.successor_origin,
                "predecessor": {
                    "origin": ended.origin,
                    "root": ended.root,
                    "size": ended.size,
                    "vkey": act.vkey,
                },
                "reason": ended.reason,
                "state": "succeeded",
                "vkey": ended.successor,
            }
        ),
    )


async def begun(connection: AsyncConnection[Any]) -> int:
    """The size with which the predecessor of this log ended, 0 where it has none: checkpoints up to it were another's."""
    row = await (await connection.execute(_LAST_SUCCESSION)).fetchone()
    return int(row[0]) if row else 0


async def last_note(connection: AsyncConnection[Any]) -> str | None:
    """The signed note with which the predecessor of this log ended; None where it has none."""
    index = await begun(connection)
    if not index:
        return None
    note: str = parse_body(await log.whole_body(connection, index), WHOLE_LIMIT)["act"]["note"]
    return note


async def predecessor(session: AsyncSession) -> str:
    """The same, for whoever asks; NotFound where there is none."""
    note = await last_note(await driver(session))
    if note is None:
        raise NotFound(
            "log.no_predecessor",
            "this log took over from no other",
            rule="a note is served by the log that goes on from an ended one",
            remedy="none needed: this log began with its first entry",
        )
    return note


@dataclass(frozen=True, slots=True)
class MoveClock(Act):
    """Let a sandbox's time pass."""

    by_us: int


async def move_clock(tx: Transaction, act: MoveClock) -> Record:
    """Move the sandbox's clock forward; a production market has no such act."""
    market = await tx.find(Market, 1, "market")
    if not market.sandbox:
        raise Forbidden(
            "clock.production",
            "only a sandbox's clock can be moved",
            rule="one clock per market, which nobody sets",
            remedy="use a sandbox",
        )
    tx.caller.require("administrator", duties=("system",))
    if act.by_us <= 0 or act.by_us > 366 * 86_400_000_000:
        raise Unprocessable(
            "clock.step",
            f"{act.by_us} µs",
            field="by_us",
            rule="forward, at most 366 days",
            remedy="move in smaller steps",
        )
    market.offset_us += act.by_us
    return Record("clock_moved", {"by_us": str(act.by_us), "state": "moved"})


@dataclass(frozen=True, slots=True)
class RecordDrill(Act):
    """Say that a drill was held on a scratch market: which, how it ended, and the digest of its report.

    `outage_ms` is the longest time from a fault to the next acknowledged act; `lost` and `ghosts` count acts.
    """

    case: str
    cause: str
    kept: bool
    began_us: int
    ended_us: int
    acknowledged: int
    lost: int
    ghosts: int
    outage_ms: int
    report: bytes


async def record_drill(tx: Transaction, act: RecordDrill) -> Record:
    """Put a held drill on the record, for whoever asks whether recovery is drilled or only promised."""
    tx.caller.require("administrator", duties=("system",))
    if act.kept and (act.lost or act.ghosts):
        raise Unprocessable(
            "drill.kept",
            "a drill that lost acts, or found some that nobody asked for, kept no promise",
            field="kept",
            rule="kept means nothing lost and no ghosts",
            remedy="record the drill as its report has it",
        )
    if act.ended_us < act.began_us or act.ended_us > tx.now_us + 60_000_000:
        raise Unprocessable(
            "drill.time",
            "it ended before it began, or is yet to end",
            field="ended_us",
            rule="a drill is recorded after it was held",
            remedy="take both times from the report",
        )
    tx.session.add(
        Drill(
            log_index=tx.index,
            case=act.case,
            cause=act.cause,
            kept=act.kept,
            began_us=act.began_us,
            ended_us=act.ended_us,
            acknowledged=act.acknowledged,
            lost=act.lost,
            ghosts=act.ghosts,
            outage_ms=act.outage_ms,
            report=act.report,
        )
    )
    return Record(
        "drill_held",
        {
            "acknowledged": str(act.acknowledged),
            "began_us": str(act.began_us),
            "case": act.case,
            "cause": act.cause,
            "ended_us": str(act.ended_us),
            "ghosts": str(act.ghosts),
            "kept": act.kept,
            "lost": str(act.lost),
            "outage_ms": str(act.outage_ms),
            "report": act.report.hex(),
            "state": "held",
        },
    )


async def drills(session: AsyncSession, before: int | None, limit: int) -> list[dict[str, Any]]:
    """The drills that were held, newest first, from before an index of the log on where one is given."""
    asked = select(Drill).order_by(col(Drill.log_index).desc()).limit(limit)
    rows = await session.execute(asked if before is None else asked.where(col(Drill.log_index) < before))
    return [
        {
            "acknowledged": str(one.acknowledged),
            "began_us": str(one.began_us),
            "case": one.case,
            "cause": one.cause,
            "ended_us": str(one.ended_us),
            "ghosts": str(one.ghosts),
            "index": str(one.log_index),
            "kept": one.kept,
            "lost": str(one.lost),
            "outage_ms": str(one.outage_ms),
            "report": one.report.hex(),
        }
        for one in rows.scalars()
    ]


async def about(session: AsyncSession) -> dict[str, Any]:
    """The market's profile and whether it is a sandbox."""
    row = await session.get(Market, 1)
    if row is None:
        raise NotFound("market.missing", "the database holds no market", remedy="run `exchange init`")
    return {"profile": row.profile, "sandbox": row.sandbox}
