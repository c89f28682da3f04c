"""Double entry as a pure rule: accounts, transfers, holds and linked chains, with TigerBeetle's semantics.

A transfer moves one amount from one account (debit) to another (credit), so debits and credits are equal by
construction. A *pending* transfer only holds the amount; `post_pending` takes all or part of it and releases
the rest, `void_pending` releases it whole, and a hold with a time-out is released by `expire_pending` once its
time is over, so that every change of a balance is a transfer. A hold may close an account while it stands.
Accounts of different ledgers (currencies, unit kinds) never mix. Transfers marked `linked` form a chain with the
next one, up to the first that is not marked: they take effect together or not at all. An identifier stands for
one transfer for ever: the same transfer again gets its first outcome, a transfer that failed stays failed.

Source: TigerBeetle's reference of `create_transfers`. Here identifiers are text, amounts at most 2**63-1, a chain
that is sent again whole gets its first outcomes instead of failing, and a time-out gives the amount back by a
transfer of its own, so that every change of a balance is in the log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal, assert_never, get_args

from ledger.errors import TransferError

AMOUNT_LIMIT = 2**63 - 1
"""The largest amount, and the largest sum of an account's pending and posted debits, or credits."""

NAME_LIMIT = 128
"""The longest identifier or code, in characters."""

AccountLimit = Literal["none", "debits_must_not_exceed_credits", "credits_must_not_exceed_debits"]
TransferKind = Literal["post", "pending", "post_pending", "void_pending", "expire_pending"]
PendingState = Literal["pending", "posted", "voided", "expired"]
Side = Literal["debit", "credit"]

STATE_AT_FIRST: Mapping[TransferKind, PendingState] = {
    "post": "posted",
    "pending": "pending",
    "post_pending": "posted",
    "void_pending": "voided",
    "expire_pending": "expired",
}
"""The state of a transfer's row when it is written; only a `pending` one changes later, once."""


class Reason(StrEnum):
    """Why a transfer failed. Codes are stable."""

    ID_EMPTY = "id_must_not_be_empty"
    """Nothing could be looked up under it, so it is kept nowhere and fails each time."""
    ID_INVALID = "id_must_be_a_name"
    """Longer than 128 characters, or not printable; kept nowhere."""
    EXISTS_WITH_DIFFERENT_KIND = "exists_with_different_kind"
    """The identifier stands for another transfer: its kind differs, as first of all members."""
    EXISTS_WITH_DIFFERENT_DEBIT = "exists_with_different_debit"
    """The identifier stands for a transfer that debits another account."""
    EXISTS_WITH_DIFFERENT_CREDIT = "exists_with_different_credit"
    """The identifier stands for a transfer that credits another account."""
    EXISTS_WITH_DIFFERENT_AMOUNT = "exists_with_different_amount"
    """The identifier stands for a transfer of another amount."""
    EXISTS_WITH_DIFFERENT_LEDGER = "exists_with_different_ledger"
    """The identifier stands for a transfer in another ledger."""
    EXISTS_WITH_DIFFERENT_CODE = "exists_with_different_code"
    """The identifier stands for a transfer under another code."""
    EXISTS_WITH_DIFFERENT_PENDING = "exists_with_different_pending"
    """The identifier stands for a transfer that ends another hold, or none."""
    EXISTS_WITH_DIFFERENT_TIMEOUT = "exists_with_different_timeout"
    """The identifier stands for a hold of another duration."""
    EXISTS_WITH_DIFFERENT_CLOSES = "exists_with_different_closes"
    """The identifier stands for a hold that closes another side, or none."""
    EXISTS_WITH_DIFFERENT_LINKED = "exists_with_different_linked"
    """The identifier stands for the same transfer, linked to its next one or not."""
    ID_TWICE_IN_CHAIN = "id_twice_in_chain"
    """Two transfers of one chain have this identifier."""
    CHAIN_OPEN = "linked_event_chain_open"
    """The last transfer of a call is marked linked: the chain has no end."""
    CHAIN_FAILED = "linked_event_failed"
    """Another transfer of the chain failed, or had its outcome before the chain was sent."""
    AMOUNT_OUT_OF_RANGE = "amount_out_of_range"
    """Not an integer from 1 to 2**63-1; 0 is for a hold that closes an account, and for its end."""
    CODE_EMPTY = "code_must_not_be_empty"
    """Every transfer says what it is for."""
    CODE_INVALID = "code_must_be_a_name"
    """Longer than 128 characters, or not printable; kept nowhere."""
    SAME_ACCOUNT = "accounts_must_be_different"
    """Debit and credit name one account."""
    PENDING_MUST_BE_EMPTY = "pending_id_must_be_empty"
    """Only post_pending, void_pending and expire_pending name a pending transfer."""
    PENDING_MUST_NOT_BE_EMPTY = "pending_id_must_not_be_empty"
    """post_pending, void_pending and expire_pending name the hold they end."""
    TIMEOUT_RESERVED = "timeout_reserved_for_pending_transfer"
    """Only a pending transfer times out."""
    TIMEOUT_OUT_OF_RANGE = "timeout_out_of_range"
    """Negative, or its end lies past 2**63-1 microseconds."""
    CLOSES_RESERVED = "closing_transfer_must_be_pending"
    """Only a pending transfer closes an account: its end opens the account again."""
    DEBIT_NOT_FOUND = "debit_account_not_found"
    """No account has the name under `debit`."""
    CREDIT_NOT_FOUND = "credit_account_not_found"
    """No account has the name under `credit`."""
    ACCOUNTS_DIFFERENT_LEDGER = "accounts_must_have_the_same_ledger"
    """Debit and credit belong to different ledgers: units never mix."""
    TRANSFER_DIFFERENT_LEDGER = "transfer_must_have_the_same_ledger_as_accounts"
    """The transfer names another ledger than that of its accounts."""
    PENDING_NOT_FOUND = "pending_transfer_not_found"
    """No transfer has the identifier under `pending`."""
    PENDING_NOT_PENDING = "pending_transfer_not_pending"
    """The named transfer is not of kind pending, or it failed."""
    PENDING_DIFFERENT_DEBIT = "pending_transfer_has_different_debit"
    """The hold debits another account."""
    PENDING_DIFFERENT_CREDIT = "pending_transfer_has_different_credit"
    """The hold credits another account."""
    PENDING_DIFFERENT_LEDGER = "pending_transfer_has_different_ledger"
    """The hold belongs to another ledger; none such comes about, the rule stands against a broken table."""
    PENDING_DIFFERENT_CODE = "pending_transfer_has_different_code"
    """The hold was made under another code."""
    PENDING_EXCEEDED = "exceeds_pending_transfer_amount"
    """More is posted than is held."""
    PENDING_DIFFERENT_AMOUNT = "pending_transfer_has_different_amount"
    """A void or an expiry names the whole amount held."""
    PENDING_ALREADY_POSTED = "pending_transfer_already_posted"
    """The hold ended: it was posted, whole or in part."""
    PENDING_ALREADY_VOIDED = "pending_transfer_already_voided"
    """The hold ended: it was voided."""
    PENDING_EXPIRED = "pending_transfer_expired"
    """The hold ran out of time, whether or not its expiry is logged yet."""
    PENDING_NOT_EXPIRED = "pending_transfer_not_expired"
    """An expiry came before the hold's time, or the hold has none."""
    DEBIT_CLOSED = "debit_account_closed"
    """The debited account is closed: it takes nothing but the void or expiry of a hold."""
    CREDIT_CLOSED = "credit_account_closed"
    """The credited account is closed: it takes nothing but the void or expiry of a hold."""
    OVERFLOWS_DEBITS = "overflows_debits"
    """The debited account's debits would exceed 2**63-1."""
    OVERFLOWS_CREDITS = "overflows_credits"
    """The credited account's credits would exceed 2**63-1."""
    EXCEEDS_CREDITS = "exceeds_credits"
    """The debited account's debits, held ones included, would exceed its posted credits: it is overdrawn."""
    EXCEEDS_DEBITS = "exceeds_debits"
    """The credited account's credits, held ones included, would exceed its posted debits."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account of one ledger (a currency, a quota …) with its four balances in minor units.

    `sequence` is that of the last transfer that touched it, 0 before any. A closed account takes no transfer
    but the void or expiry of a hold.
    """

    id: str
    ledger: str
    code: str
    limit: AccountLimit
    debits_pending: int = 0
    debits_posted: int = 0
    credits_pending: int = 0
    credits_posted: int = 0
    sequence: int = 0
    closed: bool = False

    @property
    def balance(self) -> int:
        """Posted credits less posted debits, minor units."""
        return self.credits_posted - self.debits_posted

    @property
    def available(self) -> int:
        """What an account under `debits_must_not_exceed_credits` may still be debited, minor units."""
        return self.credits_posted - self.debits_posted - self.debits_pending


@dataclass(frozen=True, slots=True)
class Transfer:
    """A request to move `amount` minor units from `debit` to `credit`; `id` is the client's own.

    Only a pending one may have the last two: the hold runs out `timeout_us` microseconds after the time of its
    entry (0: never), and it closes the account on the side `closes` for as long as it stands.
    """

    id: str
    kind: TransferKind
    debit: str
    credit: str
    amount: int
    ledger: str
    code: str
    pending: str | None = None
    linked: bool = False
    timeout_us: int = 0
    closes: Side | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """A hold: the pending transfer and what became of it.

    `posted_amount` is what was taken of it; from `expires_us` on (microseconds, None: never) it can only expire;
    `closes` is the side whose account is closed while it stands.
    """

    id: str
    debit: str
    credit: str
    amount: int
    ledger: str
    code: str
    state: PendingState = "pending"
    posted_amount: int = 0
    expires_us: int | None = None
    closes: Side | None = None


@dataclass(frozen=True, slots=True)
class Posted:
    """The transfer took effect as number `sequence`; `exists`: it had done so before this call."""

    sequence: int
    exists: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """The transfer had no effect and never will; `exists`: its identifier had an outcome before this call."""

    reason: Reason
    exists: bool = False


Outcome = Posted | Failed


@dataclass(frozen=True, slots=True)
class KnownTransfer:
    """A transfer whose identifier has its outcome."""

    transfer: Transfer
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Decision:
    """What a call of `decide` changes, and one outcome for each of its transfers, in order.

    `accounts` and `pendings` hold the new values of all that changed, `known` every identifier that got its
    outcome in this call, the failed ones too. Sequences run from `first_sequence` to `next_sequence` - 1.
    """

    outcomes: list[Outcome]
    accounts: dict[str, Account]
    pendings: dict[str, Pending]
    known: dict[str, KnownTransfer]
    next_sequence: int


class _Balances:
    """An account while a call is decided."""

    __slots__ = (
        "account",
        "closed",
        "credits_pending",
        "credits_posted",
        "debits_pending",
        "debits_posted",
        "sequence",
    )

    def __init__(self, account: Account) -> None:
        self.account = account
        self.debits_pending = account.debits_pending
        self.debits_posted = account.debits_posted
        self.credits_pending = account.credits_pending
        self.credits_posted = account.credits_posted
        self.sequence = account.sequence
        self.closed = account.closed

    def values(self) -> tuple[int, int, int, int, int, bool]:
        return (
            self.debits_pending,
            self.debits_posted,
            self.credits_pending,
            self.credits_posted,
            self.sequence,
            self.closed,
        )

    def restore(self, values: tuple[int, int, int, int, int, bool]) -> None:
        (
            self.debits_pending,
            self.debits_posted,
            self.credits_pending,
            self.credits_posted,
            self.sequence,
            self.closed,
        ) = values

    def settled(self) -> Account:
        was = self.account
        return Account(was.id, was.ledger, was.code, was.limit, *self.values())


class _Book:
    """The state of a call: what it was given, below what it changed so far."""

    __slots__ = (
        "accounts",
        "balances",
        "given_known",
        "given_pendings",
        "known",
        "now_us",
        "pendings",
        "sequence",
    )

    def __init__(
        self,
        accounts: Mapping[str, Account],
        pendings: Mapping[str, Pending],
        known: Mapping[str, KnownTransfer],
        first_sequence: int,
        now_us: int,
    ) -> None:
        self.accounts = accounts
        self.given_pendings = pendings
        self.given_known = known
        self.balances: dict[str, _Balances] = {}
        self.pendings: dict[str, Pending] = {}
        self.known: dict[str, KnownTransfer] = {}
        self.sequence = first_sequence
        self.now_us = now_us

    def apply(self, transfer: Transfer) -> Reason | None:
        """Let one transfer whose identifier is new take effect, or say why not and change nothing."""
        kind = transfer.kind
        amount = transfer.amount
        moves = kind in ("post", "pending")
        if amount < 1 and (amount < 0 or not (transfer.closes or kind in ("void_pending", "expire_pending"))):
            return Reason.AMOUNT_OUT_OF_RANGE
        if not transfer.code:
            return Reason.CODE_EMPTY
        if transfer.debit == transfer.credit:
            return Reason.SAME_ACCOUNT
        if moves:
            if transfer.pending is not None:
                return Reason.PENDING_MUST_BE_EMPTY
        elif not transfer.pending:
            return Reason.PENDING_MUST_NOT_BE_EMPTY
        if kind != "pending":
            if transfer.timeout_us:
                return Reason.TIMEOUT_RESERVED
            if transfer.closes is not None:
                return Reason.CLOSES_RESERVED
        debit = self.balances.get(transfer.debit) or self._opened(transfer.debit)
        if debit is None:
            return Reason.DEBIT_NOT_FOUND
        credit = self.balances.get(transfer.credit) or self._opened(transfer.credit)
        if credit is None:
            return Reason.CREDIT_NOT_FOUND
        ledger = debit.account.ledger
        if ledger != credit.account.ledger:
            return Reason.ACCOUNTS_DIFFERENT_LEDGER
        if transfer.ledger != ledger:
            return Reason.TRANSFER_DIFFERENT_LEDGER
        reason = self._move(transfer, debit, credit) if moves else self._resolve(transfer, debit, credit)
        if reason is None:
            debit.sequence = credit.sequence = self.sequence
            self.sequence += 1
        return reason

    def _move(self, transfer: Transfer, debit: _Balances, credit: _Balances) -> Reason | None:
        """Post or hold."""
        amount = transfer.amount
        if debit.closed:
            return Reason.DEBIT_CLOSED
        if credit.closed:
            return Reason.CREDIT_CLOSED
        debits = debit.debits_pending + debit.debits_posted + amount
        credits = credit.credits_pending + credit.credits_posted + amount
        if debits > AMOUNT_LIMIT:
            return Reason.OVERFLOWS_DEBITS
        if credits > AMOUNT_LIMIT:
            return Reason.OVERFLOWS_CREDITS
        if debit.account.limit == "debits_must_not_exceed_credits" and debits > debit.credits_posted:
            return Reason.EXCEEDS_CREDITS
        if credit.account.limit == "credits_must_not_exceed_debits" and credits > credit.debits_posted:
            return Reason.EXCEEDS_DEBITS
        if transfer.kind == "post":
            debit.debits_posted += amount
            credit.credits_posted += amount
            return None
        expires_us = self.now_us + transfer.timeout_us
        if not self.now_us <= expires_us <= AMOUNT_LIMIT:
            return Reason.TIMEOUT_OUT_OF_RANGE
        debit.debits_pending += amount
        credit.credits_pending += amount
        self.pendings[transfer.id] = Pending(
            transfer.id,
            transfer.debit,
            transfer.credit,
            amount,
            transfer.ledger,
            transfer.code,
            expires_us=expires_us if transfer.timeout_us else None,
            closes=transfer.closes,
        )
        self._close(transfer.closes, debit, credit, closed=True)
        return None

    def _resolve(self, transfer: Transfer, debit: _Balances, credit: _Balances) -> Reason | None:
        """Post, void or expire a hold."""
        name = transfer.pending or ""
        held = self.pendings.get(name) or self.given_pendings.get(name)
        if held is None:
            known = name in self.known or name in self.given_known
            return Reason.PENDING_NOT_PENDING if known else Reason.PENDING_NOT_FOUND
        reason = _unlike(held, transfer) or self._over(held, expiry=transfer.kind == "expire_pending")
        if reason is not None:
            return reason
        taken = 0
        if transfer.kind == "post_pending":
            if debit.closed:
                return Reason.DEBIT_CLOSED
            if credit.closed:
                return Reason.CREDIT_CLOSED
            taken = transfer.amount
        else:
            self._close(held.closes, debit, credit, closed=False)
        debit.debits_pending -= held.amount
        credit.credits_pending -= held.amount
        debit.debits_posted += taken
        credit.credits_posted += taken
        self.pendings[name] = replace(held, state=STATE_AT_FIRST[transfer.kind], posted_amount=taken)
        return None

    def _over(self, held: Pending, *, expiry: bool) -> Reason | None:
        """Why this hold cannot be ended now, or by an expiry."""
        match held.state:
            case "posted":
                return Reason.PENDING_ALREADY_POSTED
            case "voided":
                return Reason.PENDING_ALREADY_VOIDED
            case "expired":
                return Reason.PENDING_EXPIRED
            case "pending":
                late = held.expires_us is not None and self.now_us >= held.expires_us
                if expiry:
                    return None if late else Reason.PENDING_NOT_EXPIRED
                return Reason.PENDING_EXPIRED if late else None
            case _:
                assert_never(held.state)

    @staticmethod
    def _close(side: Side | None, debit: _Balances, credit: _Balances, *, closed: bool) -> None:
        """Close the account of `side`, or open it again; while closed nothing else can close it."""
        match side:
            case "debit":
                debit.closed = closed
            case "credit":
                credit.closed = closed
            case None:
                pass
            case _:
                assert_never(side)

    def _opened(self, name: str) -> _Balances | None:
        account = self.accounts.get(name)
        if account is None:
            return None
        balances = self.balances[name] = _Balances(account)
        return balances

    def lookup(self, name: str) -> KnownTransfer | None:
        return self.known.get(name) or self.given_known.get(name)

    def single(self, transfer: Transfer) -> Outcome:
        reason = unwritable(transfer)
        if reason is not None:
            return Failed(reason)
        first = self.lookup(transfer.id)
        if first is not None:
            return again(first, transfer)
        at = self.sequence
        reason = self.apply(transfer)
        outcome: Outcome = Posted(at) if reason is None else Failed(reason)
        self.known[transfer.id] = KnownTransfer(transfer, outcome)
        return outcome

    def chain(self, transfers: Sequence[Transfer], has_end: bool) -> list[Outcome]:
        """Decide transfers that take effect together or not at all."""
        fault = self._chain_fault(transfers, has_end)
        outcomes: list[Outcome] = []
        if fault is None:
            first_sequence = self.sequence - len(transfers)
            for position, transfer in enumerate(transfers):
                outcome: Outcome = Posted(first_sequence + position)
                self.known[transfer.id] = KnownTransfer(transfer, outcome)
                outcomes.append(outcome)
            return outcomes
        for position, transfer in enumerate(transfers):
            first = self.lookup(transfer.id)
            if (reason := unwritable(transfer)) is not None:
                outcome = Failed(reason)
            elif first is not None:
                outcome = again(first, transfer)
            else:
                outcome = Failed(fault[1] if position == fault[0] else Reason.CHAIN_FAILED)
                self.known[transfer.id] = KnownTransfer(transfer, outcome)
            outcomes.append(outcome)
        return outcomes

    def _chain_fault(self, transfers: Sequence[Transfer], has_end: bool) -> tuple[int, Reason] | None:
        """Let the whole chain take effect, or change nothing and say which transfer stops it, and why."""
        positions: dict[str, int] = {}
        for position, transfer in enumerate(transfers):
            if unwritable(transfer) is not None or self.lookup(transfer.id) is not None:
                return position, Reason.CHAIN_FAILED
            if positions.setdefault(transfer.id, position) != position:
                return positions[transfer.id], Reason.ID_TWICE_IN_CHAIN
        if not has_end:
            return len(transfers) - 1, Reason.CHAIN_OPEN
        first_sequence = self.sequence
        undo: list[tuple[_Balances, tuple[int, int, int, int, int, bool]]] = []
        holds: list[tuple[str, Pending | None]] = []
        for position, transfer in enumerate(transfers):
            for name in (transfer.debit, transfer.credit):
                balances = self.balances.get(name) or self._opened(name)
                if balances is not None:
                    undo.append((balances, balances.values()))
            hold = transfer.pending or transfer.id
            holds.append((hold, self.pendings.get(hold)))
            reason = self.apply(transfer)
            if reason is not None:
                for balances, values in reversed(undo):
                    balances.restore(values)
                for hold, was in reversed(holds):
                    if was is None:
                        self.pendings.pop(hold, None)
                    else:
                        self.pendings[hold] = was
                self.sequence = first_sequence
                return position, reason
        return None


def decide(
    accounts: Mapping[str, Account],
    pendings: Mapping[str, Pending],
    known: Mapping[str, KnownTransfer],
    transfers: Sequence[Transfer],
    first_sequence: int,
    now_us: int,
) -> Decision:
    """Decide transfers in order and give what they change; nothing that was handed in is changed.

    `accounts` has every account, `pendings` every hold and `known` every earlier identifier that the
    transfers name; what is missing counts as not existing. Every failure is an outcome, never an exception.
    The transfers that took effect are numbered without a gap from `first_sequence`. `now_us` is the time of the
    entry that carries them, in microseconds.
    """
    book = _Book(accounts, pendings, known, first_sequence, now_us)
    outcomes: list[Outcome] = []
    chain: list[Transfer] = []
    for transfer in transfers:
        if transfer.linked:
            chain.append(transfer)
        elif chain:
            chain.append(transfer)
            outcomes += book.chain(chain, True)
            chain = []
        else:
            outcomes.append(book.single(transfer))
    if chain:
        outcomes += book.chain(chain, False)
    touched = {
        name: balances.settled()
        for name, balances in book.balances.items()
        if balances.sequence >= first_sequence
    }
    return Decision(outcomes, touched, book.pendings, book.known, book.sequence)


def is_name(text: str) -> bool:
    """Whether `text` can stand as an identifier or a code: 1 to 128 printable characters."""
    return 0 < len(text) <= NAME_LIMIT and text.isprintable()


def is_ledger(text: str) -> bool:
    """Whether `text` can name a ledger: a currency or a unit kind, such as CNY, USD or calls.api-7."""
    return _LEDGER.fullmatch(text) is not None


def unwritable(transfer: Transfer) -> Reason | None:
    """Why no row could hold this transfer. It fails so each time and is kept nowhere, as what cannot exist."""
    names = f"{transfer.id}{transfer.debit}{transfer.credit}{transfer.ledger}{transfer.code}{transfer.pending or ''}"
    if (
        len(names) <= NAME_LIMIT  # then each of them is short enough, and all are looked through at once
        and names.isprintable()
        and transfer.id
        and transfer.debit
        and transfer.credit
        and transfer.ledger
        and type(transfer.amount) is type(transfer.timeout_us) is int
        and -AMOUNT_LIMIT <= transfer.amount <= AMOUNT_LIMIT
        and 0 <= transfer.timeout_us <= AMOUNT_LIMIT
    ):
        return None
    if not is_name(transfer.id):
        return Reason.ID_INVALID if transfer.id else Reason.ID_EMPTY
    if type(transfer.amount) is not int or not -AMOUNT_LIMIT <= transfer.amount <= AMOUNT_LIMIT:
        return Reason.AMOUNT_OUT_OF_RANGE
    if type(transfer.timeout_us) is not int or not 0 <= transfer.timeout_us <= AMOUNT_LIMIT:
        return Reason.TIMEOUT_OUT_OF_RANGE
    if transfer.code and not is_name(transfer.code):
        return Reason.CODE_INVALID
    if not is_name(transfer.debit):
        return Reason.DEBIT_NOT_FOUND
    if not is_name(transfer.credit):
        return Reason.CREDIT_NOT_FOUND
    if not is_name(transfer.ledger):
        return Reason.TRANSFER_DIFFERENT_LEDGER
    if transfer.pending and not is_name(transfer.pending):
        return Reason.PENDING_NOT_FOUND
    return None


def _unlike(held: Pending, transfer: Transfer) -> Reason | None:
    """How a transfer that would end a hold does not fit it."""
    if transfer.debit != held.debit:
        return Reason.PENDING_DIFFERENT_DEBIT
    if transfer.credit != held.credit:
        return Reason.PENDING_DIFFERENT_CREDIT
    if transfer.ledger != held.ledger:
        return Reason.PENDING_DIFFERENT_LEDGER
    if transfer.code != held.code:
        return Reason.PENDING_DIFFERENT_CODE
    if transfer.kind == "post_pending":
        return Reason.PENDING_EXCEEDED if transfer.amount > held.amount else None
    return Reason.PENDING_DIFFERENT_AMOUNT if transfer.amount != held.amount else None


def again(known: KnownTransfer, transfer: Transfer) -> Outcome:
    """The outcome of a transfer whose identifier is known: the first one, or that it is another transfer."""
    reason = _different(known.transfer, transfer)
    if reason is not None:
        return Failed(reason, exists=True)
    if isinstance(known.outcome, Posted):
        return Posted(known.outcome.sequence, exists=True)
    return Failed(known.outcome.reason, exists=True)


def _different(first: Transfer, transfer: Transfer) -> Reason | None:
    if first == transfer:
        return None
    if first.kind != transfer.kind:
        return Reason.EXISTS_WITH_DIFFERENT_KIND
    if first.debit != transfer.debit:
        return Reason.EXISTS_WITH_DIFFERENT_DEBIT
    if first.credit != transfer.credit:
        return Reason.EXISTS_WITH_DIFFERENT_CREDIT
    if first.amount != transfer.amount:
        return Reason.EXISTS_WITH_DIFFERENT_AMOUNT
    if first.ledger != transfer.ledger:
        return Reason.EXISTS_WITH_DIFFERENT_LEDGER
    if first.code != transfer.code:
        return Reason.EXISTS_WITH_DIFFERENT_CODE
    if first.pending != transfer.pending:
        return Reason.EXISTS_WITH_DIFFERENT_PENDING
    if first.timeout_us != transfer.timeout_us:
        return Reason.EXISTS_WITH_DIFFERENT_TIMEOUT
    if first.closes != transfer.closes:
        return Reason.EXISTS_WITH_DIFFERENT_CLOSES
    return Reason.EXISTS_WITH_DIFFERENT_LINKED


def differences(accounts: Iterable[Account]) -> dict[str, tuple[int, int]]:
    """For each ledger: debits less credits, posted and pending. Double entry holds where all are zero."""
    sums: dict[str, tuple[int, int]] = {}
    for account in accounts:
        posted, pending = sums.get(account.ledger, (0, 0))
        sums[account.ledger] = (
            posted + account.debits_posted - account.credits_posted,
            pending + account.debits_pending - account.credits_pending,
        )
    return sums


LEDGER_RULE = "a letter, then up to 63 letters, digits, '.', '_' or '-'"
_AMOUNT = re.compile("0|[1-9][0-9]{0,18}")
_LEDGER = re.compile("[A-Za-z][A-Za-z0-9._-]{0,63}")


def account_to_json(account: Account) -> dict[str, Any]:
    """What a body's `accounts` says of an account that its act opened."""
    return {"id": account.id, "ledger": account.ledger, "code": account.code, "limit": account.limit}


def account_from_json(value: object) -> Account:
    """Read a fresh account from a body; TransferError names the member that is missing, unknown or misspelt."""
    members = _members(value, "accounts", ("id", "ledger", "code", "limit"))
    limit = members["limit"]
    if limit not in get_args(AccountLimit):
        raise _misread("limit", f"{limit!r}", f"one of {', '.join(get_args(AccountLimit))}")
    if not is_ledger(_name(members, "ledger")):
        raise _misread("ledger", f"{members['ledger']!r}", LEDGER_RULE)
    return Account(_name(members, "id"), _name(members, "ledger"), _name(members, "code"), limit)


def transfer_to_json(transfer: Transfer) -> dict[str, Any]:
    """What a body's `transfers` says of a transfer: every member, amount and timeout in decimal.

    `timeout` and `closes` are left out where there is none.
    """
    value = {
        "id": transfer.id,
        "kind": transfer.kind,
        "debit": transfer.debit,
        "credit": transfer.credit,
        "amount": str(transfer.amount),
        "ledger": transfer.ledger,
        "code": transfer.code,
        "pending": transfer.pending,
        "linked": transfer.linked,
    }
    if transfer.timeout_us:
        value["timeout"] = str(transfer.timeout_us)
    if transfer.closes is not None:
        value["closes"] = transfer.closes
    return value


def transfer_from_json(value: object) -> Transfer:
    """Read a transfer from a body; TransferError names the member that is missing, unknown or misspelt.

    `pending` may be absent for null and `linked` for false; `timeout` and `closes` are absent or say something.
    """
    members = _members(
        value,
        "transfers",
        ("id", "kind", "debit", "credit", "amount", "ledger", "code"),
        ("pending", "linked", "timeout", "closes"),
    )
    kind, amount = members["kind"], members["amount"]
    if kind not in get_args(TransferKind):
        raise _misread("kind", f"{kind!r}", f"one of {', '.join(get_args(TransferKind))}")
    if not isinstance(amount, str) or not _AMOUNT.fullmatch(amount):
        raise _misread("amount", f"{amount!r}", "minor units in decimal, as a string, 0 or more")
    pending, linked = members.get("pending"), members.get("linked", False)
    if pending is not None and not isinstance(pending, str):
        raise _misread("pending", f"{pending!r}", "the identifier of a pending transfer, or null")
    if not isinstance(linked, bool):
        raise _misread("linked", f"{linked!r}", "true or false")
    timeout, closes = members.get("timeout"), members.get("closes")
    if timeout is not None and not (
        isinstance(timeout, str) and timeout != "0" and _AMOUNT.fullmatch(timeout)
    ):
        raise _misread("timeout", f"{timeout!r}", "microseconds in decimal, as a string, 1 or more")
    if closes is not None and closes not in get_args(Side):
        raise _misread("closes", f"{closes!r}", f"one of {', '.join(get_args(Side))}")
    return Transfer(
        _name(members, "id"),
        kind,
        _name(members, "debit"),
        _name(members, "credit"),
        int(amount),
        _name(members, "ledger"),
        _name(members, "code"),
        pending,
        linked,
        int(timeout or 0),
        closes,
    )


def _members(
    value: object, field: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _misread(field, "not an object", "an array of objects")
    for name in required:
        if name not in value:
            raise _misread(name, "missing", f"members {', '.join(required)}")
    for name in value:
        if name not in required and name not in optional:
            raise _misread(str(name), "unknown", f"members {', '.join(required + optional)}")
    return value


def _name(members: Mapping[str, Any], name: str) -> str:
    value = members[name]
    if not isinstance(value, str) or not value:
        raise _misread(name, f"{value!r}", "a non-empty string")
    return value


def _misread(field: str, detail: str, rule: str) -> TransferError:
    return TransferError(
        detail, field=field, rule=rule, remedy="write it as account_to_json and transfer_to_json do"
    )
