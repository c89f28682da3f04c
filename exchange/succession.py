"""Ends a log whose lost entries nobody has, and lets a successor go on from its last tree, by one signed note.

A log that went on under its own name from before what a witness saw would be a fork, and nobody would believe it any
more. So the loss is said: the log's key signs where it ends, what of it was seen and is lost, and which log goes on.
The successor keeps leaves 0 to N - 1, logs the note as entry N, and signs under its own origin from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from exchange import venue
from exchange.acts import Asked
from exchange.database import Database, driver
from exchange.errors import Conflict, Unprocessable
from exchange.gate import Gate
from exchange.keys import Keys
from ledger import log
from ledger.checkpoint import Checkpoint, Signer, Verifier, open_note, sign
from ledger.entries import Entry
from ledger.errors import NoteError
from ledger.succession import Ended, open_ended, sign_ended


@dataclass(frozen=True, slots=True)
class Succeeded:
    """What a log ended with, and the first checkpoint of the one that goes on."""

    ended: Ended
    note: str
    checkpoint: str


async def succeed(
    app_url: str,
    keys: Keys,
    origin: str,
    successor: Signer,
    *,
    reason: str,
    held: Sequence[str],
    seen_size: int | None = None,
    clock: Callable[[], int],
) -> Succeeded:
    """End the log `origin`, whose key is in `keys`, and begin `successor`; both or neither, in one transaction.

    `held` are the log's signed checkpoints that others kept: those within have to lie on what is here, the largest
    beyond is what was seen and is lost; `seen_size` is how many entries were seen where no such note is at hand.
    `clock` gives microseconds. Conflict where the log here is another one, or of another history than a note;
    NoteError where a note is not this log's. Where this very step was done before, what it gave is given again.
    """
    old = keys.signer(origin)
    database = Database(app_url)
    gate = Gate(database, successor, keys.mac, clock)
    session = await database.writer_connection()
    try:
        await session.exec_driver_sql(
            "SET application_name = 'exchange succession'"
        )  # no gate that may not think long
        await session.commit()
        done = await _done(session, old, successor)
        if done is not None:
            return done
        head, offset_us = await _head(session, origin, successor.name)
        seen = await _seen(session, head, [_opened(note, old) for note in held], seen_size)
        now_us = max(head.time_us, clock() + offset_us)
        ended = Ended(
            origin, head.edge.size, head.edge.root(), successor.vkey, *seen, time_us=now_us, reason=reason
        )
        try:
            note = sign_ended(ended, old)
        except NoteError as error:
            raise Unprocessable(
                "succession.note", error.detail, field="reason", rule=error.rule, remedy="say it in one line"
            ) from error

        def append(_: log.Head, entries: Sequence[Sequence[Entry]]) -> log.Appended:
            return log.append(
                replace(head, origin=successor.name), [one for each in entries for one in each], now_us
            )

        act = venue.SucceedLog(note, old.vkey)
        asked = Asked(act, venue.SUCCESSION, f"succeed-{head.edge.size}")
        appended = await gate.decide_together(session, [(venue.succeed_log, asked)], now_us, append)
        return Succeeded(ended, note, sign(appended.head.checkpoint(), successor))
    finally:
        await session.close()
        await database.close()


async def _done(session: AsyncConnection, old: Signer, successor: Signer) -> Succeeded | None:
    """What was done before, where this log is already the successor; None where it is not."""
    async with session.begin():
        connection = await driver(session)
        head = await log.read_head(connection)
        note = None if head.origin != successor.name else await venue.last_note(connection)
    if note is None:
        return None
    ended = open_ended(note, [Verifier.parse(old.vkey)])
    if ended.successor != successor.vkey:
        raise Conflict(
            "succession.other_key",
            f"{old.name} was ended in favour of {ended.successor}, this key is {successor.vkey}",
            field="--new-key",
            rule="the note names the key of the log that goes on",
            remedy="repeat the command as it was given first",
        )
    return Succeeded(ended, note, sign(head.checkpoint(), successor))


async def _head(session: AsyncConnection, origin: str, successor: str) -> tuple[log.Head, int]:
    """The log that is there, and how far its market's clock was moved."""
    async with session.begin():
        connection = await driver(session)
        head = await log.read_head(connection)
        row = await (await connection.execute("SELECT offset_us FROM market WHERE id = 1")).fetchone()
    if head.origin != origin or origin == successor or not head.edge.size:
        raise Conflict(
            "succession.other_log",
            f"the database holds the log {head.origin} with {head.edge.size} entries; {successor} was to succeed {origin}",
            field="--origin",
            rule="a log is ended once, under the name that EXCHANGE_ORIGIN says, by one of another name",
            remedy=f"set EXCHANGE_ORIGIN to {head.origin}" if head.origin != origin else "name a new origin",
        )
    return head, int(row[0]) if row else 0


def _opened(note: str, old: Signer) -> Checkpoint:
    return open_note(note, [Verifier.parse(old.vkey)]).checkpoint


async def _seen(
    session: AsyncConnection, head: log.Head, notes: Sequence[Checkpoint], seen_size: int | None
) -> tuple[int, bytes | None]:
    """The largest size that was seen of this log, and its root where it is beyond what is here and known."""
    for one in notes:
        if one.size <= head.edge.size and await _root(session, one.size) != one.root:
            raise Conflict(
                "succession.other_history",
                f"the checkpoint of {one.size} entries does not lie on the log here",
                field="--held",
                rule="only the log that others have seen can be ended and succeeded",
                remedy="restore another backup, and audit this one",
            )
    newest = max((one for one in notes if one.size > head.edge.size), key=lambda one: one.size, default=None)
    if newest is not None and newest.size >= (seen_size or 0):
        return newest.size, newest.root
    return max(head.edge.size, seen_size or 0), None


async def _root(session: AsyncConnection, size: int) -> bytes | None:
    async with session.begin():
        return await log.root_at(await driver(session), size)
