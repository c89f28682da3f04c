"""What a room is given to decide an act with, and what it gives back.

Two forms of room function exist. A *plain* one is a coroutine `decide(tx, act) -> Record` that reads and writes
through `tx` inside a savepoint: raising undoes that act alone. A *batched* one (`Batched`) states its reads
first, decides many acts in order without touching the database, and returns a few set-based writes; it serves
the hot path. Either way the gate alone commits, and one act is one log entry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

from exchange.errors import Conflict, ExchangeError, Forbidden, NotFound
from exchange.tables import Opening
from ledger.entries import canonical, commitment
from ledger.pipeline import Rows, Statement
from ledger.postings import AccountLimit, Failed, Transfer, transfer_to_json

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlmodel import SQLModel

    from ledger.book import Book

Chance = Callable[[int], bytes]
"""`chance(n)` gives n bytes: the system's random source, or the simulator's seeded one."""

Scope = Literal["read", "trade", "money", "register", "manage"]
"""What a key may be narrowed to: to look; to join lots, bid, buy, offer and fetch what was bought; to move money in and
out; to bring assets and have them registered; people, keys, states, rules."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts: a person for a party, with the roles of that party."""

    person: str
    party: str
    roles: frozenset[str]
    scopes: frozenset[str] | None = None
    """What the key that was used is narrowed to; None where it may do whatever the person may."""
    duty: str | None = None
    """Of a person of the venue's: the one duty that it holds once duties are divided (see `exchange.parties.duties`)."""
    channel: str | None = None
    """By what else than a key the person came in: web. The entry of a plain act names it."""

    def within(self, scope: Scope) -> None:
        """Refuse a caller whose key is narrowed to something else."""
        if self.scopes is not None and scope not in self.scopes:
            raise Forbidden(
                "caller.scope",
                f"this key is for {', '.join(sorted(self.scopes))}, the request is one to {scope}",
                field="Authorization",
                rule="a key that was narrowed does only what it was narrowed to",
                remedy=f"use a key with the scope {scope}",
            )

    def require(self, *roles: str, duties: Collection[str] = ()) -> None:
        """Refuse a caller who has none of `roles`, and an administrator whose duty is none of `duties`, where some are named."""
        if not self.roles.intersection(roles):
            raise Forbidden(
                "caller.role",
                f"this act is for {' or '.join(roles)}",
                rule="each role has its own acts",
                remedy="call with a key of a party that has the role",
            )
        if duties and "administrator" in self.roles and self.duty not in (None, *duties):
            raise Forbidden(
                "caller.duty",
                f"this act is for {' or '.join(duties)}, the caller's duty is {self.duty}",
                rule="system, security and audit are administered by three persons apart",
                remedy="let a person with that duty do it",
            )


CLOCK = Caller("clock", "clock", frozenset({"clock"}))
"""The market's own hand: closes what is due."""


class Act:
    """Base of everything a caller can ask for; a frozen dataclass of texts, integers and plain JSON.

    A member that is not compared (`field(compare=False)`) says how something was asked, not what: it may differ when
    the same request is sent again.
    """

    __slots__ = ()
    scope: ClassVar[Scope] = "manage"

    def digest(self) -> bytes:
        """Tell one request from another under the same identifier (SHA-256 of the canonical act)."""
        members = {f.name: plain(getattr(self, f.name)) for f in fields(self) if f.compare}  # type: ignore[arg-type]  # a dataclass by contract
        return hashlib.sha256(canonical({"act": type(self).__name__, "members": members})).digest()


def plain(value: Any) -> Any:
    """JSON for a body: every number becomes its decimal string, None stays null, bytes become hex."""
    match value:
        case bool() | None | str():
            return value
        case int():
            return str(value)
        case bytes():
            return value.hex()
        case Mapping():
            return {str(k): plain(v) for k, v in value.items()}
        case Sequence():
            return [plain(v) for v in value]
        case _ if hasattr(value, "__dataclass_fields__"):
            return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
        case _:
            raise TypeError(f"{type(value).__name__} has no place in a body")


@dataclass(frozen=True, slots=True)
class Signed:
    """A caller's own signature of a request, as it goes on the record: sealed, so that a bidder's code stays a code.

    `text` is what a stranger verifies it by (see `exchange.signing`); None where it was erased.
    """

    commitment: str
    salt: bytes | None
    text: str | None

    @classmethod
    def of(cls, text: str, salt: bytes) -> Signed:
        """Seal a signature."""
        return cls(commitment(salt, text), salt, text)


@dataclass(frozen=True, slots=True)
class Record:
    """The log entry of a plain act: its kind and what it says; a refusal that is recorded is one too.

    `act` is JSON without numbers (see `plain`); `act["state"]` is "refused" where the act was refused on the
    record, and then `act["reason"]` holds the problem's `code`, `detail`, `rule` and `remedy`.
    """

    kind: str
    act: Mapping[str, Any]
    code: str | None = None
    """A bidder's code that stands in the body for person and party, whose names then stay out of it."""
    readers: Collection[str] = ()
    """Parties that may see the body beside the one that acts; a regulator sees every body."""


def refusal(kind: str, act: Mapping[str, Any], problem: ExchangeError, *, code: str | None = None) -> Record:
    """Record that an act was refused, and why."""
    return Record(kind, {**act, "state": "refused", "reason": reason(problem)}, code)


def reason(problem: ExchangeError) -> dict[str, Any]:
    """The part of a problem that goes on the record."""
    return {k: plain(v) for k, v in problem.problem().items() if k not in ("type", "title", "status")}


@dataclass(slots=True)
class Transaction:
    """One plain act under the log head: reads here are the newest committed state.

    Guarantee: everything written through it takes effect together with the log entry `index`, or not at all.
    """

    now_us: int
    index: int
    caller: Caller
    key: str
    session: AsyncSession
    book: Book
    chance: Chance
    accounts: list[dict[str, str]] = field(default_factory=list)
    transfers: list[dict[str, Any]] = field(default_factory=list)
    signed: Signed | None = None
    rulebook: str | None = None
    """Digest of the rules that this act was decided under, once it has asked for them."""

    def identifier(self, prefix: str) -> str:
        """A fresh identifier, 64 bits of chance behind a prefix that says of what."""
        return f"{prefix}-{self.chance(8).hex()}"

    async def find(self, table: type[T], key: Any, what: str) -> T:
        """The row under `key`, or NotFound naming `what`."""
        row = await self.session.get(table, key)
        if row is None:
            raise NotFound(f"{what}.unknown", f"no {what} {key!r}", field=what, remedy="check the identifier")
        return row

    async def insert(self, *rows: SQLModel) -> None:
        """Insert rows with this act, in this order: what a row refers to comes before it."""
        for row in rows:
            self.session.add(row)
            await self.session.flush()

    def seal(self, value: str) -> str:
        """Put a name, document or other erasable text into the body as a salted commitment; keep its opening."""
        salt = self.chance(32)
        sealed = commitment(salt, value)
        self.session.add(Opening(commitment=sealed, log_index=self.index, salt=salt, value=value))
        return sealed

    def keep_signature(self, signed: Signed | None) -> None:
        """Put the caller's own signature of this request into the entry; nothing where it was not signed."""
        self.signed = signed
        if signed is not None:
            self.session.add(
                Opening(
                    commitment=signed.commitment, log_index=self.index, salt=signed.salt, value=signed.text
                )
            )

    async def open_account(self, code: str, *, overdraft: AccountLimit, ledger: str = "CNY") -> str:
        """Open a money account in this act and return its opaque identifier."""
        identifier = self.identifier("acc")
        await self.open_named_account(identifier, code, overdraft=overdraft, ledger=ledger)
        return identifier

    async def open_named_account(
        self, identifier: str, code: str, *, overdraft: AccountLimit, ledger: str = "CNY"
    ) -> None:
        """Open one of the venue's own accounts, whose name everyone may know."""
        account = await self.book.open_account(identifier, ledger=ledger, code=code, limit=overdraft)
        self.accounts.append(
            {"id": account.id, "ledger": account.ledger, "code": account.code, "limit": account.limit}
        )

    async def post(self, *transfers: Transfer) -> None:
        """Move money with this act: all of it, or Conflict naming the first transfer that failed and why."""
        outcomes = await self.book.post(transfers, log_index=self.index, time_us=self.now_us)
        for transfer, outcome in zip(transfers, outcomes, strict=True):
            if isinstance(outcome, Failed) and outcome.reason != "linked_event_failed":
                raise Conflict(
                    f"transfer.{outcome.reason}",
                    f"transfer {transfer.code} of {transfer.amount} failed: {outcome.reason}",
                    field="amount",
                    rule="an account is never overdrawn, a hold is resolved once",
                    remedy="top up the account, or ask for less",
                )
        self.transfers.extend(transfer_to_json(transfer) for transfer in transfers)

    def body(self, record: Record) -> bytes:
        """The canonical body of this act's log entry."""
        envelope: dict[str, Any] = {
            "act": record.act,
            "by": record.code or self.caller.person,
            "key": self.key,
            "kind": record.kind,
            "time": str(self.now_us),
        }
        if record.code is None:
            envelope["party"] = self.caller.party
        if self.caller.channel is not None:
            envelope["channel"] = self.caller.channel
        if self.accounts:
            envelope["accounts"] = self.accounts
        if self.transfers:
            envelope["transfers"] = self.transfers
        if self.rulebook is not None:
            envelope["rulebook"] = self.rulebook
        if self.signed is not None:
            envelope["signed"] = self.signed.commitment
        return canonical(envelope)


A = TypeVar("A", bound=Act)
T = TypeVar("T", bound="SQLModel")

Plain = Callable[[Transaction, A], Awaitable[Record]]


class Asked(NamedTuple):
    """One act of a batch: by whom and under which identifier."""

    act: Any
    caller: Caller
    key: str


class Ruling(NamedTuple):
    """What a batched room says of one act: its entry's body, or the error that drops it unrecorded.

    `outcome` is the body's `act` member as the caller gets it; both are canonical JSON.
    """

    body: bytes = b""
    outcome: bytes = b""
    refused: bool = False
    error: ExchangeError | None = None
    readers: Collection[str] = ()
    """As of a `Record`."""


@runtime_checkable
class Batched(Protocol):
    """A room function for the hot path: no I/O of its own, one round trip to read, one to write."""

    kind: str

    def reads(self, asked: Sequence[Asked]) -> Sequence[Statement]:
        """The queries whose rows `decide` needs; they run under the log head."""
        ...

    def decide(
        self,
        now_us: int,
        first_index: int,
        asked: Sequence[Asked],
        rows: Sequence[Rows],
    ) -> tuple[Sequence[Ruling], Sequence[Statement]]:
        """Decide in order. Entries take consecutive indices from `first_index`, skipping rulings with an error."""
        ...
