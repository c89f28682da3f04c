"""Decides an act a second time, with the chance of the first: the same room, the same rows, the same entry.

What chance gave stands in the body that the entry has: identifiers in the clear, salts behind their commitments. The
order in which a room draws is its own affair, so the act is decided once on trial, with marked draws, in a savepoint
that is undone; where a mark stands in the trial's body, there the true body has what was drawn then.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from exchange import erasure
from exchange.acts import Act, Asked, Batched, Chance, Plain, Record, Ruling, Transaction
from exchange.errors import Conflict, ExchangeError
from exchange.recall.bundles import Opened
from exchange.recall.inverses import Told
from exchange.tables import Opening
from ledger.entries import WHOLE_LIMIT, commitment, parse_body
from ledger.errors import LedgerError
from ledger.pipeline import Statement

UNREADABLE = (LookupError, TypeError, ValueError, AttributeError)
"""What a body that is no such room's can lead to."""


def differs(index: int, detail: str) -> Conflict:
    """An entry that is not decided now as it was logged."""
    return Conflict(
        "recall.differs",
        f"entry {index} does not come out as it was logged: {detail}"[:2000],
        field=f"entry {index}",
        rule="the room that decided an entry decides it the same again, byte for byte",
        remedy="recall with the version that wrote the log, under the keys of this market; audit what is there",
    )


class Script:
    """Chance as it fell: what is to be drawn next, in order."""

    def __init__(self) -> None:
        self._left: deque[bytes] = deque()

    def load(self, draws: Sequence[bytes]) -> None:
        """These come next."""
        self._left.extend(draws)

    def __call__(self, n: int) -> bytes:
        if not self._left or len(self._left[0]) != n:
            raise Conflict("recall.chance", f"a draw of {n} bytes that was not there the first time")
        return self._left.popleft()


class Marked:
    """Chance of a trial: every draw can be found again in what it went into."""

    def __init__(self) -> None:
        self.draws: list[bytes] = []

    def __call__(self, n: int) -> bytes:
        self.draws.append(secrets.token_bytes(n))
        return self.draws[-1]


class Trial(Transaction):
    """A transaction that is undone; what it seals is a mark alone."""

    def seal(self, value: str) -> str:
        """A mark in place of the commitment."""
        return self.chance(32).hex()


@dataclass(slots=True)
class Second(Transaction):
    """A transaction in which what is sealed is sealed as it was."""

    openings: Mapping[str, Opened] = field(default_factory=dict)

    def seal(self, value: str) -> str:
        """The commitment that stood there, its opening kept: Conflict where it hides another text than `value`."""
        sealed = self.chance(32).hex()
        salt, text = self.openings.get(sealed, (b"", None))
        if text is not None and salt is not None:
            agrees = text == value or value.startswith(erasure.ERASED)
            if not agrees or commitment(salt, text) != sealed:
                raise Conflict("recall.sealed", f"commitment {sealed} hides another text")
        elif salt is not None:
            raise Conflict("recall.sealed", f"the bundles do not open {sealed}")
        self.session.add(Opening(commitment=sealed, log_index=self.index, salt=salt, value=text))
        return sealed


@dataclass(frozen=True, slots=True, eq=False)
class Again:
    """A plain room's function that decides what `told` says as it was decided, with the entries' `salts`."""

    room: Plain[Any]
    told: Told
    salts: Sequence[bytes]
    script: Script

    async def __call__(self, tx: Transaction, act: Act) -> Record:
        """Decide on trial, then with what the trial taught; then forget what was erased since."""
        try:
            if self.told.kind == "opening_erased":
                await self._open_again(tx.session)
            self.script.load([*await self._rehearse(tx, act), *self.salts])
            second = _with(Second, tx, tx.session, tx.chance, tx, openings=self.told.openings)
            record = await self.room(second, act)
            tx.signed, tx.rulebook = second.signed, second.rulebook
            await tx.session.flush()
        except (ExchangeError, LedgerError, *UNREADABLE) as error:
            raise differs(tx.index, repr(error)) from error
        for erased in self.told.erased():
            await erasure.forget(tx.session, erased, record.kind, record.act, tx.index)
        return record

    async def _open_again(self, session: AsyncSession) -> None:
        """The room erases what is there: put something there, where the bundles knew of the erasure before it came."""
        opening = await session.get(Opening, self.told["commitment"])
        if opening is not None and opening.value is None:
            opening.salt, opening.value = b"", ""
            await session.flush()

    async def _rehearse(self, tx: Transaction, act: Act) -> list[bytes]:
        outer = await tx.session.connection()
        savepoint = await outer.begin_nested()
        session = AsyncSession(bind=outer, join_transaction_mode="rollback_only", expire_on_commit=False)
        marked = Marked()
        try:
            trial = _with(Trial, tx, session, marked, None)
            body = parse_body(trial.body(await self.room(trial, act)), WHOLE_LIMIT)
        finally:
            await session.close()
            await savepoint.rollback()
        return drawn(marked.draws, body, self.told.body)


def _with(
    form: Any, tx: Transaction, session: AsyncSession, chance: Chance, money: Transaction | None, **more: Any
) -> Any:
    """A transaction of another form over the same act; with `money` its accounts and transfers are that one's."""
    shared = {} if money is None else {"accounts": money.accounts, "transfers": money.transfers}
    return form(tx.now_us, tx.index, tx.caller, tx.key, session, tx.book, chance, **shared, **more)


def drawn(draws: Sequence[bytes], trial: Mapping[str, Any], true: Mapping[str, Any]) -> list[bytes]:
    """What was drawn the first time, in the order of the trial's draws.

    A draw that left nothing in the body left nothing in a row either (a test holds every room to that): any value
    stands for it. Where the bodies have another shape, the comparison of the leaves says so afterwards.
    """
    found: dict[int, bytes] = {}
    for marked, said in _pairs(trial, true):
        if len(marked) != len(said):
            continue
        for place, draw in enumerate(draws):
            at = -1 if place in found else marked.lower().find(draw.hex())
            if at >= 0:
                try:
                    found[place] = bytes.fromhex(said[at : at + 2 * len(draw)])
                except ValueError:
                    continue
    return [found.get(place, draw) for place, draw in enumerate(draws)]


def _pairs(one: Any, other: Any) -> Iterator[tuple[str, str]]:
    """The texts that stand at the same places of two values, where they differ."""
    match one, other:
        case str(), str() if one != other:
            yield one, other
        case dict(), dict():
            for name in one.keys() & other.keys():
                yield from _pairs(one[name], other[name])
        case list(), list():
            for a, b in zip(one, other, strict=False):
                yield from _pairs(a, b)


@dataclass(frozen=True, slots=True, eq=False)
class BatchedAgain:
    """A batched room with the `salts` of the entries of one run."""

    room: Batched
    salts: Sequence[bytes]
    script: Script

    @property
    def kind(self) -> str:
        """The room's."""
        return self.room.kind

    def reads(self, asked: Sequence[Asked]) -> Sequence[Statement]:
        """The room's."""
        return self.room.reads(asked)

    def decide(
        self,
        now_us: int,
        first_index: int,
        asked: Sequence[Asked],
        rows: Sequence[Sequence[tuple[Any, ...]]],
    ) -> tuple[Sequence[Ruling], Sequence[Statement]]:
        """As the room decides; nothing is drawn but the entries' salts, all at once."""
        self.script.load([b"".join(self.salts)])
        rulings, statements = self.room.decide(now_us, first_index, asked, rows)
        for index, ruling in enumerate(rulings, first_index):
            if ruling.error is not None:
                raise differs(index, repr(ruling.error))
        return rulings, statements
