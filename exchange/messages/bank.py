"""Wire shapes of money at the bank: payouts and their return, money in suspense, statements and what did not agree."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from exchange.messages.shapes import Identifier, Message, Signed, Whole, Words

ReturnReason = Literal["account_closed", "account_unknown", "account_blocked", "payee_refused", "other"]

LINES_LIMIT = 5000


class ReturnMessage(Message):
    """A payout came back under `bank_reference`, or (null) never left."""

    reason: ReturnReason
    bank_reference: Identifier | None = None


class AssignmentMessage(Message):
    """Whose money it is that waits in suspense, and why."""

    party: Identifier
    reason: Words


class StatementLineMessage(Message):
    """One booking of the bank's: in above nothing, out below it. A payout's reference is its own identifier."""

    reference: Identifier
    amount_fen: Signed
    booked_us: Whole


class StatementMessage(Message):
    """All that the bank booked on the escrow account from `begins_us` to before `ends_us`."""

    statement: Identifier
    begins_us: Whole
    ends_us: Whole
    opening_fen: Signed
    closing_fen: Signed
    lines: list[StatementLineMessage] = Field(max_length=LINES_LIMIT)


class AdjustmentMessage(Message):
    """Bring the book to what the bank's statements say of one reference, and why."""

    bank_reference: Identifier
    reason: Words


class ResolutionMessage(Message):
    """Why what a statement did not agree in is answered for."""

    reason: Words


class TransferMessage(Message):
    """What a customer orders of the sandbox's bank: money for `payee`, told of `notices` times as `told_fen`."""

    payee: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    amount_fen: Whole
    after_us: Whole | None = None
    notices: Annotated[int, Field(ge=0, le=9)] = 1
    told_fen: Whole | None = None


class CustomerMessage(Message):
    """A party whose payouts the sandbox's bank sends back, and why."""

    party: Identifier
    reason: ReturnReason


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class FindingView(_Read):
    """What does not agree under a reference: what the bank's statements have, and what the book has.

    "missing_here": only the bank; "missing_there": only the book, for longer than a day; "amount_differs"; "opening_differs":
    the balance that a statement opens with is not the one that the statement before closed with.
    """

    what: Literal["missing_here", "missing_there", "amount_differs", "opening_differs"]
    reference: str
    bank_fen: Signed
    book_fen: Signed


class StatementView(_Read):
    """A statement and how it agreed with the book; an "alarm" stands until a second person resolves it."""

    statement: str
    index: Whole
    state: Literal["agreed", "alarm", "resolved"]
    begins_us: Whole
    ends_us: Whole
    opening_fen: Signed
    closing_fen: Signed
    lines: Whole
    matched: Whole
    in_transit_fen: Signed
    difference_fen: Signed
    findings: list[FindingView]
    importer: str
    resolver: str | None
    resolved_index: Whole | None
    resolution: str | None


class WithdrawalView(_Read):
    """A payout: "ordered", "paid" (a statement of the bank shows it) or "returned", with the entry that gave it back."""

    payout: str
    party: str
    account: str
    amount_fen: Whole
    state: Literal["ordered", "paid", "returned"]
    index: Whole
    time_us: Whole
    return_reason: ReturnReason | None
    returned_index: Whole | None


class TreasuryMessage(Message):
    """How much of what the treasury account has is to be paid out."""

    amount_fen: Whole


class TreasuryDecisionMessage(Message):
    """What another person decides of a proposal."""

    decision: Literal["approve", "reject"]


class TreasuryPayoutView(_Read):
    """A payout of treasury money that one person proposed, and what became of it."""

    proposal: str
    party: str
    amount_fen: Whole
    proposer: str
    state: Literal["proposed", "approved", "rejected"]
    index: Whole
    time_us: Whole


class SuspenseView(_Read):
    """Money that waits for somebody to say whose it is; `payee` as the payer named it."""

    bank_reference: str
    payee: Annotated[str, Field(examples=["Enterprize Ltd"])]
    amount_fen: Whole
    index: Whole
    time_us: Whole
