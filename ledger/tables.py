"""The rows of the book: what the log and the accounts look like in PostgreSQL.

Log rows are inserted, never updated (but for the one head row); a trigger and missing privileges refuse the
rest. Sizes, indices and amounts are `bigint`, text that is ordered is `COLLATE "C"`, and no column makes a
value by itself: time, chance and identifiers come from the caller.
"""

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, SmallInteger, Text, text
from sqlmodel import Field, SQLModel

APPEND_ONLY = {"info": {"append_only": True}}


def word(**options: Any) -> Any:
    """A text column that is ordered by its bytes, the same on every machine."""
    return Field(sa_type=Text(collation="C"), **options)


def whole(**options: Any) -> Any:
    """A 64-bit integer column."""
    return Field(sa_type=BigInteger, **options)


def octets(**options: Any) -> Any:
    """A column of bytes."""
    return Field(sa_type=LargeBinary, **options)


class LogHead(SQLModel, table=True):
    """The one row that every write locks first: the size of the log and the peaks of its tree."""

    __tablename__ = "log_head"
    __table_args__ = (CheckConstraint("id = 1", name="log_head_is_one_row"),)

    id: int = Field(primary_key=True, sa_type=SmallInteger, sa_column_kwargs={"autoincrement": False})
    origin: str = word()
    size: int = whole()
    time_us: int = whole()
    peaks: bytes = octets()


class LogChunk(SQLModel, table=True):
    """One batch of entries, with the tree after it: enough to sign its checkpoint again, bit for bit."""

    __tablename__ = "log_chunk"
    __table_args__ = (
        CheckConstraint("size > first", name="log_chunk_holds_entries"),
        Index("log_chunk_size", "size", unique=True),
        APPEND_ONLY,
    )

    first: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    size: int = whole()
    time_us: int = whole()
    peaks: bytes = octets()  # of the tree of `size` leaves
    leaves: bytes = octets()  # C2SP entry bundle: uint16 length and bytes, entry by entry
    salts: bytes = octets()  # 32 bytes an entry
    bodies: bytes = octets()  # uint16 length and bytes, entry by entry


class LogTile(SQLModel, table=True):
    """One full tile of 256 hashes (C2SP tlog-tiles); derived from chunks, written once."""

    __tablename__ = "log_tile"
    __table_args__ = (APPEND_ONLY,)

    level: int = Field(primary_key=True, sa_type=SmallInteger, sa_column_kwargs={"autoincrement": False})
    n: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    hashes: bytes = octets()


class AccountRow(SQLModel, table=True):
    """An account with its four balances, sealed by a MAC whose key the database does not hold."""

    __tablename__ = "account"
    __table_args__ = (
        CheckConstraint(
            "debits_pending >= 0 AND debits_posted >= 0 AND credits_pending >= 0 AND credits_posted >= 0",
            name="account_balances_are_not_negative",
        ),
        CheckConstraint(
            "overdraft <> 'debits_must_not_exceed_credits' OR debits_pending + debits_posted <= credits_posted",
            name="account_debits_within_credits",
        ),
        CheckConstraint(
            "overdraft <> 'credits_must_not_exceed_debits' OR credits_pending + credits_posted <= debits_posted",
            name="account_credits_within_debits",
        ),
    )

    id: str = word(primary_key=True)
    ledger: str = word()
    code: str = word()
    overdraft: str = word()  # ledger.postings.AccountLimit
    debits_pending: int = whole()
    debits_posted: int = whole()
    credits_pending: int = whole()
    credits_posted: int = whole()
    sequence: int = whole()
    closed: bool
    mac: bytes = octets()


class TransferRow(SQLModel, table=True):
    """A transfer that was posted; `sequence` has no gap, `log_index` is the entry that carried it.

    No foreign key leads to its accounts: the book has read both under the head, no account is ever deleted, and a
    key would ask for them again row by row, which costs more than the rest of a large call.
    """

    __tablename__ = "transfer"
    __table_args__ = (
        CheckConstraint(
            "amount > 0 OR amount = 0 AND (closes IS NOT NULL OR kind IN ('void_pending', 'expire_pending'))",
            name="transfer_moves_something",
        ),
        CheckConstraint("kind = 'pending' OR timeout_us = 0 AND closes IS NULL", name="transfer_kind_holds"),
        CheckConstraint("timeout_us >= 0", name="transfer_timeout_is_ahead"),
        CheckConstraint("closes IN ('debit', 'credit')", name="transfer_closes_a_side"),
        Index("transfer_by_debit", "debit", "sequence"),
        Index("transfer_by_credit", "credit", "sequence"),
        Index(
            "transfer_ends_a_hold_once", "pending", unique=True, postgresql_where=text("pending IS NOT NULL")
        ),
        APPEND_ONLY,
    )

    sequence: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    id: str = word(unique=True)
    log_index: int = whole()
    time_us: int = whole()
    kind: str = word()
    debit: str = word()
    credit: str = word()
    amount: int = whole()
    ledger: str = word()
    code: str = word()
    pending: str | None = word(default=None)
    linked: bool
    timeout_us: int = whole()
    closes: str | None = word(default=None)  # ledger.postings.Side


class HoldRow(SQLModel, table=True):
    """What became of a pending transfer: open, posted (whole or in part), voided or expired.

    `mac` seals the row together with the members of its transfer.
    """

    __tablename__ = "hold"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'posted', 'voided', 'expired')", name="hold_state_is_known"),
        Index(
            "hold_due", "expires_us", postgresql_where=text("state = 'pending' AND expires_us IS NOT NULL")
        ),
    )

    id: str = word(primary_key=True)
    state: str = word()
    expires_us: int | None = whole(default=None)
    mac: bytes = octets()


class BookHead(SQLModel, table=True):
    """The one row that says how far the transfers are numbered, sealed, so that a missing last one is noticed."""

    __tablename__ = "book_head"
    __table_args__ = (CheckConstraint("id = 1", name="book_head_is_one_row"),)

    id: int = Field(primary_key=True, sa_type=SmallInteger, sa_column_kwargs={"autoincrement": False})
    sequence: int = whole()
    mac: bytes = octets()


class FailedTransferRow(SQLModel, table=True):
    """A transfer that failed stays failed under its identifier."""

    __tablename__ = "failed_transfer"
    __table_args__ = (APPEND_ONLY,)

    id: str = word(primary_key=True)
    kind: str = word()
    debit: str = word()
    credit: str = word()
    amount: int = whole()
    ledger: str = word()
    code: str = word()
    pending: str | None = word(default=None)
    linked: bool
    timeout_us: int = whole()
    closes: str | None = word(default=None)
    reason: str = word()


class AnchorRow(SQLModel, table=True):
    """A checkpoint on its way to a chain; `tx` is the transaction in a block, or the newest that was signed for it."""

    __tablename__ = "anchor"
    __table_args__ = (
        CheckConstraint(
            "state IN ('pending', 'confirmed', 'final', 'refused')", name="anchor_state_is_known"
        ),
    )

    size: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    root: bytes = octets()
    chain_id: int = whole()
    contract: str = word()
    tx: str = word()
    block: int | None = whole(default=None)
    block_hash: str | None = word(default=None)
    gas_used: int | None = whole(default=None)
    state: str = word()
    signed_us: int = whole()
    offered_us: int = whole()
    reorganised: int = whole()


class AnchorTransactionRow(SQLModel, table=True):
    """A transaction signed for an anchor, kept before it is offered: a restart in between offers the same one again."""

    __tablename__ = "anchor_transaction"

    tx: str = word(primary_key=True)
    size: int = whole(foreign_key="anchor.size", index=True)
    position: int = whole()
    number: int = whole()
    gas: int = whole()
    gas_price_wei: int = whole()
    raw: bytes = octets()


class ChainWatchRow(SQLModel, table=True):
    """What was last seen of the chain."""

    __tablename__ = "chain_watch"
    __table_args__ = (CheckConstraint("id = 1", name="chain_watch_is_one_row"),)

    id: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    contract: str = word()
    looked_us: int = whole()
    size: int | None = whole(default=None)


class ChainTroubleRow(SQLModel, table=True):
    """Something that was amiss with the chain, and until when; at most one of them lasts."""

    __tablename__ = "chain_trouble"

    began_us: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    trouble: str = word(primary_key=True)
    detail: str = word()
    ended_us: int | None = whole(default=None)


class CosignatureRow(SQLModel, table=True):
    """A witness's signature line over the log's checkpoint of one size; `witness` is its verifier key."""

    __tablename__ = "cosignature"
    __table_args__ = (APPEND_ONLY,)

    size: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    witness: str = word(primary_key=True)
    line: str = word()
    time_s: int = whole()
