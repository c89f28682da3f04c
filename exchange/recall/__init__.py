"""Tables made again from the log: what a lost database had acknowledged comes back from a witness's bundles.

Every missing entry is decided again by the very room that decided it, with time and chance as they were then, and its
leaf has to come out byte for byte the same, and each batch's root as it was signed, before anything is committed. So a
row that was recalled is proven right, or the recall stops at the first entry that differs.

What cannot come back: the request digest of an entry whose text was erased (its repetition is told that the identifier
was used), who asked for a refused admission that was erased, and the signed transaction of an anchor. Cosignatures are
asked for anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from exchange.acts import CLOCK, Asked, Batched, Caller, Plain, Record, Transaction
from exchange.crash import reach
from exchange.database import Database, driver
from exchange.delivery import DELIVERY
from exchange.erasure import ERASED
from exchange.errors import Conflict
from exchange.gate import Gate
from exchange.keys import Keys
from exchange.recall.again import UNREADABLE, Again, BatchedAgain, Script, differs
from exchange.recall.bundles import (
    Batch,
    Logged,
    Opened,
    Progress,
    anchors,
    batches,
    bundles_from,
    chained,
    end_of,
    judge,
    openings,
)
from exchange.recall.inverses import INVERSES, Told
from exchange.registration.objections import PUBLIC
from exchange.settings import Settings
from exchange.tables import Opening
from exchange.venue import SUCCESSION
from ledger import log
from ledger.anchors import take_back
from ledger.chunks import count_behind, join
from ledger.entries import WHOLE_LIMIT, Entry, parse_body, parse_leaf
from ledger.merkle import Edge

__all__ = ["INVERSES", "bundles_from", "recall"]

_SPECIAL = {caller.party: caller.roles for caller in (CLOCK, DELIVERY, PUBLIC, SUCCESSION)}


async def recall(
    app_url: str,
    keys: Keys,
    settings: Settings,
    bundles: Sequence[Path],
    say: Callable[[str], None],
    progress: Progress = lambda done, total: None,
) -> int:
    """Bring what the bundles have and the database has not into it, and give the log's size.

    The database is empty, or holds what a backup brought back, and nobody else writes to it. Killed at any moment, the
    next call goes on behind the last batch. Conflict names the first entry that does not come out as it was logged, or
    what is wrong with the bundles; what was recalled before it stays.
    """
    signer = keys.signer(settings.origin)
    database = Database(app_url)
    session = await database.writer_connection()
    try:
        await session.exec_driver_sql("SET transaction_timeout = 0")  # twice the work of the first time
        await session.exec_driver_sql(
            "SET application_name = 'exchange recall'"
        )  # may think as long as it needs
        await session.commit()
        edge = await _edge(session)
        chain = chained(bundles, edge.size)
        if chain:
            judge(chain, signer.vkey, say)
            script = Script()
            gate = Gate(database, signer, keys.mac, lambda: 0, chance=script)
            recalling = _Recalling(gate, session, script, openings(chain))
            total = end_of(chain) - edge.size
            say(f"taking {total} entries back, from entry {edge.size} on")
            for batch in batches(chain, edge):
                await recalling.batch(batch)
                progress(batch.size - edge.size, total)
        async with session.begin():
            connection = await driver(session)
            for anchor in anchors(chain):
                await take_back(connection, *anchor)
            await log.write_full_tiles(connection)
        return (await _edge(session)).size
    finally:
        await session.close()
        await database.close()


async def _edge(session: AsyncConnection) -> Edge:
    """The tree that is there; an empty one where there is no log."""
    async with session.begin():
        row = await (await (await driver(session)).execute(log.READ_HEAD)).fetchone()
    return Edge.empty() if row is None else log.Head.from_row(row).edge


@dataclass(slots=True)
class _Recalling:
    """A recall under way; who is who is remembered, because it never changes."""

    gate: Gate
    session: AsyncConnection
    script: Script
    openings: Mapping[str, Opened]
    roles: dict[str, frozenset[str]] = field(default_factory=dict)  # by party
    bidders: dict[tuple[str, str], str] = field(default_factory=dict)  # by lot and code: the party

    async def batch(self, batch: Batch) -> None:
        """Decide a batch again and commit it, or raise what tells at which entry it differs."""
        first = batch.entries[0]
        time_us = parse_leaf(first.leaf).time_us
        told = [(Told(part[0].index, _said(part), self.openings), part) for part in _parts(batch.entries)]
        if not first.index:
            await self._begin(told[0][0])
        acts: list[tuple[Any, Asked]] = []
        for room, run in groupby([await self._decided(*one) for one in told], key=lambda one: one[0]):
            decided = list(run)
            if isinstance(room, Batched):
                salts = [part[0].salt for _, _, _, part in decided]
                again = BatchedAgain(room, salts, self.script)
                acts += [(again, asked) for _, asked, _, _ in decided]
            else:
                acts += [
                    (Again(room, said, [entry.salt for entry in part], self.script), asked)
                    for _, asked, said, part in decided
                ]

        def append(head: log.Head, entries: Sequence[Sequence[Entry]]) -> log.Appended:
            if head.edge.size != first.index:
                raise _disturbed(head.edge.size, first.index)
            made = [entry for each in entries for entry in each]
            for entry, logged in zip(made, batch.entries, strict=True):
                if entry.leaf != logged.leaf:
                    raise differs(logged.index, _difference(entry.body, logged.body))
            appended = log.append(head, made, time_us)
            if appended.head.edge.root() != batch.root:
                raise differs(batch.size - 1, "the root is not the one that was signed")
            reach("recall.before_commit")
            return appended

        await self.gate.decide_together(self.session, acts, time_us, append)

    async def _begin(self, told: Told) -> None:
        """The head and the market's row, which stand before the first entry."""
        async with self.session.begin():
            connection = await driver(self.session)
            if await (await connection.execute(log.READ_HEAD)).fetchone() is None:
                await log.create(connection, told["origin"], 0)
                await connection.execute(
                    "INSERT INTO market (id, sandbox, profile, offset_us, keys_version) VALUES (1, %s, %s, 0, 0)",
                    (told["sandbox"], told["profile"]),
                )

    async def _decided(self, told: Told, part: list[Logged]) -> tuple[Any, Asked, Told, list[Logged]]:
        """Who decided an entry, and what was asked by whom."""
        inverse = INVERSES.get(told.kind)
        if inverse is None:
            raise differs(told.index, f"no room logs the kind {told.kind!r}")
        try:
            room, act = inverse(told)
            caller = await self._caller(told)
        except UNREADABLE as error:
            raise differs(told.index, repr(error)) from error
        if caller is None:
            room, caller = _taking(told), Caller("", f"{ERASED}{told['bidder'][:16]}", frozenset())
        return room, Asked(act, caller, told.body["key"]), told, part

    async def _caller(self, told: Told) -> Caller | None:
        """Who acted: as the body says, or behind a bidder's code; None where that was erased and left no other trace."""
        if told.kind in _CODED:
            what, query = _CODED[told.kind]
            name = (told[what], told["code"])
            if name not in self.bidders:
                self.bidders[name] = await self._one(query, *name)
            return Caller("", self.bidders[name], frozenset())
        if told.kind in ("bidder", "tenderer"):
            party = told.text(told["bidder"])
            if party.startswith(ERASED):
                if told["state"] == "refused":
                    return None
                debited = told.body["transfers"][0]["debit"]
                party = await self._one("SELECT id FROM party WHERE account = %s", debited)
            self.bidders[told["lot" if told.kind == "bidder" else "tender"], told["code"]] = party
            return Caller("", party, await self._roles(party), channel=told.body.get("channel"))
        if told.kind == "party_registered":
            self.roles[told["id"]] = frozenset(told["roles"])
        party = told.body["party"]
        return Caller(told.body["by"], party, await self._roles(party), channel=told.body.get("channel"))

    async def _roles(self, party: str) -> frozenset[str]:
        if party not in self.roles:
            found = await self._one("SELECT roles FROM party WHERE id = %s", party)
            self.roles[party] = _SPECIAL.get(party, frozenset(found or ()))
        return self.roles[party]

    async def _one(self, sql: str, *values: Any) -> Any:
        async with self.session.begin():
            row = await (await (await driver(self.session)).execute(sql.encode(), values)).fetchone()
        return None if row is None else row[0]


_BIDDER = "SELECT party FROM bidder WHERE lot = %s AND code = %s"
_TENDERER = "SELECT party FROM tenderer WHERE tender = %s AND code = %s"
_CODED = {
    "bid": ("lot", _BIDDER),
    "tender_envelope": ("tender", _TENDERER),
    "tender_withdrawn": ("tender", _TENDERER),
    "tender_proposal": ("tender", _TENDERER),
    "tender_protested": ("tender", _TENDERER),
}
"""Entries in which a code stands for the party: of what the code is, and how the party is found."""


def _taking(told: Told) -> Plain[Any]:
    """A room that takes a refused admission as it stands, where the bidder was erased: nothing rests on it."""

    async def take(tx: Transaction, act: Any) -> Record:
        await tx.insert(Opening(commitment=told["bidder"], log_index=tx.index))
        for sealed in told.act.get("facts", {}).values():
            salt, text = told.openings[sealed]
            await tx.insert(Opening(commitment=sealed, log_index=tx.index, salt=salt, value=text))
        tx.rulebook = told.body.get("rulebook")
        return Record(told.kind, told.act, code=told["code"])

    return take


def _parts(entries: Sequence[Logged]) -> Iterator[list[Logged]]:
    """Entry by entry, the chunks of a long body with its head."""
    at = 0
    while at < len(entries):
        upto = at + 1 + count_behind(entries[at].body)
        yield list(entries[at:upto])
        at = upto


def _said(part: list[Logged]) -> Mapping[str, Any]:
    whole = part[0].body if len(part) == 1 else join([entry.body for entry in part], part[0].index)
    return parse_body(whole, WHOLE_LIMIT)


def _difference(made: bytes, logged: bytes) -> str:
    """The first place at which two bodies differ."""
    at = next(
        (n for n, (a, b) in enumerate(zip(made, logged, strict=False)) if a != b), min(len(made), len(logged))
    )
    around = slice(max(0, at - 60), at + 60)
    return f"logged …{logged[around].decode('utf-8', 'replace')}…, now …{made[around].decode('utf-8', 'replace')}…"


def _disturbed(size: int, expected: int) -> Conflict:
    return Conflict(
        "recall.disturbed",
        f"the log has {size} entries where {expected} were expected",
        field="log_head",
        rule="nobody else writes while a log is recalled",
        remedy="stop whatever serves this database, and recall again",
    )
