"""What a lot came to, in one canonical form: the book of bids under one root, the award under one digest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, Protocol, TypeVar

from pricing.canonical import Json, canonical
from pricing.errors import AuctionError, OutcomeError
from pricing.money import MAX_AMOUNT, Language, require_whole

EMPTY_BOOK = sha256(b"").hexdigest()

# Keys are ASCII, values text: here the standard encoder writes exactly RFC 8785, five times as fast
# as the general one (a test holds the two together).
_row_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


@dataclass(frozen=True, slots=True)
class Bid:
    """One bid as the market's log holds it.

    `code` stands for the bidder on this lot only, `bid_id` is the bidder's own identifier of the bid,
    `sequence` its place in the log (it orders bids; no clock does), `at_us` the time of its batch in
    microseconds since the epoch.
    """

    code: str
    bid_id: str
    price_fen: int
    sequence: int
    at_us: int

    def __post_init__(self) -> None:
        # Written out, not looped: every bid of a rush passes here.
        if (
            type(self.price_fen) is int
            and type(self.sequence) is int
            and type(self.at_us) is int
            and 0 < self.price_fen <= MAX_AMOUNT
            and 0 <= self.sequence <= MAX_AMOUNT
            and 0 <= self.at_us <= MAX_AMOUNT
            and self.code
            and self.bid_id
            and self.code.isprintable()
            and self.bid_id.isprintable()
        ):
            return
        require_whole(self.price_fen, "price_fen", least=1, error=AuctionError)
        require_whole(self.sequence, "sequence", error=AuctionError)
        require_whole(self.at_us, "at_us", error=AuctionError)
        blank = not self.code or not self.code.isprintable()
        raise AuctionError(
            field="code" if blank else "bid_id",
            rule="must be printable text, at least one character",
            remedy="name the bidder and the bid",
        )

    def row(self) -> bytes:
        """The bid's canonical bytes, a leaf of the book's tree."""
        return _row_text(
            {
                "at_us": str(self.at_us),
                "bid_id": self.bid_id,
                "code": self.code,
                "price_fen": str(self.price_fen),
                "sequence": str(self.sequence),
            }
        ).encode()


class InBook(Protocol):
    """What a book of bids holds: each by one code under one identifier, at one place in the log."""

    @property
    def code(self) -> str: ...
    @property
    def bid_id(self) -> str: ...
    @property
    def sequence(self) -> int: ...

    def row(self) -> bytes:
        """The bid's canonical bytes, a leaf of the book's tree."""
        ...


B = TypeVar("B", bound=InBook)


def in_sequence(bids: Iterable[B]) -> list[B]:
    """The book in log order, however its rows came; a sequence or an identifier that occurs twice is refused."""
    book = sorted(bids, key=lambda bid: bid.sequence)
    for name, distinct in (
        ("sequence", len({bid.sequence for bid in book})),
        ("bid_id", len({(bid.code, bid.bid_id) for bid in book})),
    ):
        if distinct != len(book):
            raise OutcomeError(
                field=name,
                rule=f"must be unique in the book; {len(book) - distinct} of {len(book)} repeat another",
                remedy="give each admitted bid once",
            )
    return book


def bids_root(book: Sequence[InBook]) -> str:
    """The Merkle root over the rows of a book in log order: SHA-256, leaves and nodes as in RFC 6962 §2.1.

    Leaf = SHA-256(0x00 ‖ row), node = SHA-256(0x01 ‖ left ‖ right), the left subtree being the largest full
    one; so one bidder can be shown the place of one bid without seeing the others.
    """
    level = [sha256(b"\x00" + bid.row()).digest() for bid in book]
    if not level:
        return EMPTY_BOOK
    # Pairing level by level and carrying an odd last node upward builds the tree of the RFC.
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [sha256(b"\x01" + left + right).digest() for left, right in pairs] + odd
    return level[0].hex()


@dataclass(frozen=True, slots=True)
class Allotment:
    """What one bidder gets and pays in all: `quantity` of the lot for `price_fen`, by the bid `bid_id`."""

    code: str
    quantity: int
    price_fen: int
    bid_id: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a lot, recomputable from its rules and its book of admitted bids.

    `rules_version` names the algorithm, `rules_digest` its parameters, `bids_root` the book; `seed` is the
    drawn randomness in hex where the format draws any. An empty `allocation` says that the lot failed.
    """

    rules_version: str
    rules_digest: str
    bids_root: str
    bids: int
    closed_at_us: int
    seed: str | None
    allocation: tuple[Allotment, ...]
    runner_up: Allotment | None
    """The best bid of another code than the winner's: what the lot would have fetched without the winner."""

    @property
    def seed_bytes(self) -> bytes | None:
        """The drawn randomness, or None; OutcomeError where it is no hex."""
        try:
            return None if self.seed is None else bytes.fromhex(self.seed)
        except ValueError as error:
            raise OutcomeError(
                field="seed", rule="must be hex", remedy="take the outcome as it was published"
            ) from error

    @property
    def failed(self) -> bool:
        return not self.allocation

    def to_json(self) -> dict[str, Json]:
        return {
            "allocation": [_allotment_json(allotment) for allotment in self.allocation],
            "bids": self.bids,
            "bids_root": self.bids_root,
            "closed_at_us": self.closed_at_us,
            "rules_digest": self.rules_digest,
            "rules_version": self.rules_version,
            "runner_up": None if self.runner_up is None else _allotment_json(self.runner_up),
            "seed": self.seed,
        }

    @property
    def canonical(self) -> bytes:
        return canonical(self.to_json())

    @property
    def digest(self) -> str:
        return sha256(self.canonical).hexdigest()


def _allotment_json(allotment: Allotment) -> dict[str, Json]:
    return {
        "bid_id": allotment.bid_id,
        "code": allotment.code,
        "price_fen": allotment.price_fen,
        "quantity": allotment.quantity,
        "sequence": allotment.sequence,
    }


def compare(claimed: Outcome, recomputed: Outcome) -> None:
    """Refuse a claimed outcome that differs from the recomputed one, naming the first member that differs."""
    ours, theirs = recomputed.to_json(), claimed.to_json()
    for name, value in ours.items():
        if theirs[name] != value:
            raise OutcomeError(
                field=name,
                rule=f"the rules and the book give {value!r}, the outcome claims {theirs[name]!r}",
                remedy="ask for the book and the rules of the lot, and recompute",
            )


@dataclass(frozen=True, slots=True)
class Explanation:
    """One bidder's own reading of an outcome; `result` for programs, the words for people."""

    result: Literal["won", "lost", "no_bid"]
    zh: str
    en: str

    def words(self, language: Language) -> str:
        return self.zh if language == "zh" else self.en
