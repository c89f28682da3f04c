"""Double entry as a pure rule: accounts, transfers, holds and linked chains, with TigerBeetle's semantics.

A transfer moves one amount from one account (debit) to another (credit), so debits and credits are equal by
construction. A *pending* transfer only holds the amount; `post_pending` takes all or part of it and releases
the rest, `void_pending` releases it whole. Transfers marked `linked` form a chain with the next one, up to the
first that is not marked: they take effect together or not at all. An identifier stands for one transfer for
ever: the same transfer again gets its first outcome, a transfer that failed stays failed.

Source: TigerBeetle's reference of `create_transfers`; identifiers here are text, amounts at most 2**63-1, and
a chain that is sent again whole gets its first outcomes instead of failing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, get_args

from ledger.errors import TransferError

AMOUNT_LIMIT = 2**63 - 1
"""The largest amount, and the largest sum of an account's pending and posted debits, or credits."""

AccountLimit = Literal["none", "debits_must_not_exceed_credits", "credits_must_not_exceed_debits"]
TransferKind = Literal["post", "pending", "post_pending", "void_pending"]
PendingState = Literal["pending", "posted", "voided"]

STATE_AT_FIRST: Mapping[TransferKind, PendingState] = {
    "post": "posted",
    "pending": "pending",
    "post_pending": "posted",
    "void_pending": "voided",
}
"""The state of a transfer's row when it is written; only a `pending` one changes later, to posted or voided."""


class Reason(StrEnum):
    """Why a transfer failed. Codes are stable."""

    ID_EMPTY = "id_must_not_be_empty"
    EXISTS_WITH_DIFFERENT_KIND = "exists_with_different_kind"
    EXISTS_WITH_DIFFERENT_DEBIT = "exists_with_different_debit"
    EXISTS_WITH_DIFFERENT_CREDIT = "exists_with_different_credit"
    EXISTS_WITH_DIFFERENT_AMOUNT = "exists_with_different_amount"
    EXISTS_WITH_DIFFERENT_LEDGER = "exists_with_different_ledger"
    EXISTS_WITH_DIFFERENT_CODE = "exists_with_different_code"
    EXISTS_WITH_DIFFERENT_PENDING = "exists_with_different_pending"
    EXISTS_WITH_DIFFERENT_LINKED = "exists_with_different_linked"
    ID_TWICE_IN_CHAIN = "id_twice_in_chain"
    CHAIN_OPEN = "linked_event_chain_open"
    """The last transfer of a call is marked linked: the chain has no end."""
    CHAIN_FAILED = "linked_event_failed"
    """Another transfer of the chain failed, or had its outcome before the chain was sent."""
    AMOUNT_OUT_OF_RANGE = "amount_out_of_range"
    """Not from 1 to 2**63-1."""
    CODE_EMPTY = "code_must_not_be_empty"
    SAME_ACCOUNT = "accounts_must_be_different"
    PENDING_MUST_BE_EMPTY = "pending_id_must_be_empty"
    """Only post_pending and void_pending name a pending transfer."""
    PENDING_MUST_NOT_BE_EMPTY = "pending_id_must_not_be_empty"
    DEBIT_NOT_FOUND = "debit_account_not_found"
    CREDIT_NOT_FOUND = "credit_account_not_found"
    ACCOUNTS_DIFFERENT_LEDGER = "accounts_must_have_the_same_ledger"
    TRANSFER_DIFFERENT_LEDGER = "transfer_must_have_the_same_ledger_as_accounts"
    PENDING_NOT_FOUND = "pending_transfer_not_found"
    PENDING_NOT_PENDING = "pending_transfer_not_pending"
    """The named transfer is not of kind pending, or it failed."""
    PENDING_DIFFERENT_DEBIT = "pending_transfer_has_different_debit"
    PENDING_DIFFERENT_CREDIT = "pending_transfer_has_different_credit"
    PENDING_DIFFERENT_LEDGER = "pending_transfer_has_different_ledger"
    PENDING_DIFFERENT_CODE = "pending_transfer_has_different_code"
    PENDING_EXCEEDED = "exceeds_pending_transfer_amount"
    PENDING_DIFFERENT_AMOUNT = "pending_transfer_has_different_amount"
    """A void names the whole amount held."""
    PENDING_ALREADY_POSTED = "pending_transfer_already_posted"
    PENDING_ALREADY_VOIDED = "pending_transfer_already_voided"
    DEBIT_CLOSED = "debit_account_closed"
    CREDIT_CLOSED = "credit_account_closed"
    OVERFLOWS_DEBITS = "overflows_debits"
    OVERFLOWS_CREDITS = "overflows_credits"
    EXCEEDS_CREDITS = "exceeds_credits"
    """The debited account's debits, held ones included, would exceed its posted credits: it is overdrawn."""
    EXCEEDS_DEBITS = "exceeds_debits"
    """The credited account's credits, held ones included, would exceed its posted debits."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account of one ledger (a currency, a quota …) with its four balances in minor units.

    `sequence` is that of the last transfer that touched it, 0 before any. A closed account takes no transfer
    but the void of a hold.
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
    """A request to move `amount` minor units from `debit` to `credit`; `id` is the client's own."""

    id: str
    kind: TransferKind
    debit: str
    credit: str
    amount: int
    ledger: str
    code: str
    pending: str | None = None
    linked: bool = False


@dataclass(frozen=True, slots=True)
class Pending:
    """A hold: the pending transfer and what became of it. `posted_amount` is what was taken of it."""

    id: str
    debit: str
    credit: str
    amount: int
    ledger: str
    code: str
    state: PendingState = "pending"
    posted_amount: int = 0


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

    def values(self) -> tuple[int, int, int, int, int]:
        return (
            self.debits_pending,
            self.debits_posted,
            self.credits_pending,
            self.credits_posted,
            self.sequence,
        )

    def restore(self, values: tuple[int, int, int, int, int]) -> None:
        (
            self.debits_pending,
            self.debits_posted,
            self.credits_pending,
            self.credits_posted,
            self.sequence,
        ) = values

    def settled(self) -> Account:
        was = self.account
        return Account(
            was.id,
            was.ledger,
            was.code,
            was.limit,
            self.debits_pending,
            self.debits_posted,
            self.credits_pending,
            self.credits_posted,
            self.sequence,
            was.closed,
        )


class _Book:
    """The state of a call: what it was given, below what it changed so far."""

    __slots__ = ("accounts", "balances", "given_known", "given_pendings", "known", "pendings", "sequence")

    def __init__(
        self,
        accounts: Mapping[str, Account],
        pendings: Mapping[str, Pending],
        known: Mapping[str, KnownTransfer],
        first_sequence: int,
    ) -> None:
        self.accounts = accounts
        self.given_pendings = pendings
        self.given_known = known
        self.balances: dict[str, _Balances] = {}
        self.pendings: dict[str, Pending] = {}
        self.known: dict[str, KnownTransfer] = {}
        self.sequence = first_sequence

    def apply(self, transfer: Transfer) -> Reason | None:
        """Let one transfer whose identifier is new take effect, or say why not and change nothing."""
        kind = transfer.kind
        amount = transfer.amount
        if not transfer.id:
            return Reason.ID_EMPTY
        if not 1 <= amount <= AMOUNT_LIMIT:
            return Reason.AMOUNT_OUT_OF_RANGE
        if not transfer.code:
            return Reason.CODE_EMPTY
        if transfer.debit == transfer.credit:
            return Reason.SAME_ACCOUNT
        resolves = kind in ("post_pending", "void_pending")
        if resolves and not transfer.pending:
            return Reason.PENDING_MUST_NOT_BE_EMPTY
        if not resolves and transfer.pending is not None:
            return Reason.PENDING_MUST_BE_EMPTY
        debit = self.balances.get(transfer.debit) or self._opened(transfer.debit)
        if debit is None:
            return Reason.DEBIT_NOT_FOUND
        credit = self.balances.get(transfer.credit) or self._opened(transfer.credit)
        if credit is None:
            return Reason.CREDIT_NOT_FOUND
        payer, payee = debit.account, credit.account
        if payer.ledger != payee.ledger:
            return Reason.ACCOUNTS_DIFFERENT_LEDGER
        if transfer.ledger != payer.ledger:
            return Reason.TRANSFER_DIFFERENT_LEDGER
        if resolves:
            return self._resolve(transfer, debit, credit)
        if payer.closed:
            return Reason.DEBIT_CLOSED
        if payee.closed:
            return Reason.CREDIT_CLOSED
        debits = debit.debits_pending + debit.debits_posted + amount
        credits = credit.credits_pending + credit.credits_posted + amount
        if debits > AMOUNT_LIMIT:
            return Reason.OVERFLOWS_DEBITS
        if credits > AMOUNT_LIMIT:
            return Reason.OVERFLOWS_CREDITS
        if payer.limit == "debits_must_not_exceed_credits" and debits > debit.credits_posted:
            return Reason.EXCEEDS_CREDITS
        if payee.limit == "credits_must_not_exceed_debits" and credits > credit.debits_posted:
            return Reason.EXCEEDS_DEBITS
        if kind == "post":
            debit.debits_posted += amount
            credit.credits_posted += amount
        else:
            debit.debits_pending += amount
            credit.credits_pending += amount
            self.pendings[transfer.id] = Pending(
                transfer.id, transfer.debit, transfer.credit, amount, transfer.ledger, transfer.code
            )
        self._take_effect(debit, credit)
        return None

    def _resolve(self, transfer: Transfer, debit: _Balances, credit: _Balances) -> Reason | None:
        name = transfer.pending or ""
        held = self.pendings.get(name) or self.given_pendings.get(name)
        if held is None:
            known = name in self.known or name in self.given_known
            return Reason.PENDING_NOT_PENDING if known else Reason.PENDING_NOT_FOUND
        if transfer.debit != held.debit:
            return Reason.PENDING_DIFFERENT_DEBIT
        if transfer.credit != held.credit:
            return Reason.PENDING_DIFFERENT_CREDIT
        if transfer.ledger != held.ledger:
            return Reason.PENDING_DIFFERENT_LEDGER
        if transfer.code != held.code:
            return Reason.PENDING_DIFFERENT_CODE
        posts = transfer.kind == "post_pending"
        if posts and transfer.amount > held.amount:
            return Reason.PENDING_EXCEEDED
        if not posts and transfer.amount != held.amount:
            return Reason.PENDING_DIFFERENT_AMOUNT
        if held.state == "posted":
            return Reason.PENDING_ALREADY_POSTED
        if held.state == "voided":
            return Reason.PENDING_ALREADY_VOIDED
        if posts and debit.account.closed:
            return Reason.DEBIT_CLOSED
        if posts and credit.account.closed:
            return Reason.CREDIT_CLOSED
        debit.debits_pending -= held.amount
        credit.credits_pending -= held.amount
        taken = transfer.amount if posts else 0
        debit.debits_posted += taken
        credit.credits_posted += taken
        self.pendings[name] = Pending(
            held.id,
            held.debit,
            held.credit,
            held.amount,
            held.ledger,
            held.code,
            "posted" if posts else "voided",
            taken,
        )
        self._take_effect(debit, credit)
        return None

    def _opened(self, name: str) -> _Balances | None:
        account = self.accounts.get(name)
        if account is None:
            return None
        balances = self.balances[name] = _Balances(account)
        return balances

    def _take_effect(self, debit: _Balances, credit: _Balances) -> None:
        debit.sequence = credit.sequence = self.sequence
        self.sequence += 1

    def lookup(self, name: str) -> KnownTransfer | None:
        return self.known.get(name) or self.given_known.get(name)

    def single(self, transfer: Transfer) -> Outcome:
        first = self.lookup(transfer.id)
        if first is not None:
            return again(first, transfer)
        at = self.sequence
        reason = self.apply(transfer)
        outcome: Outcome = Posted(at) if reason is None else Failed(reason)
        self._remember(transfer, outcome)
        return outcome

    def chain(self, transfers: Sequence[Transfer], has_end: bool) -> list[Outcome]:
        """Decide transfers that take effect together or not at all."""
        fault = self._chain_fault(transfers, has_end)
        outcomes: list[Outcome] = []
        if fault is None:
            first_sequence = self.sequence - len(transfers)
            for position, transfer in enumerate(transfers):
                outcome: Outcome = Posted(first_sequence + position)
                self._remember(transfer, outcome)
                outcomes.append(outcome)
            return outcomes
        for position, transfer in enumerate(transfers):
            first = self.lookup(transfer.id)
            if not transfer.id:
                outcome = Failed(Reason.ID_EMPTY)
            elif first is None:
                outcome = Failed(fault[1] if position == fault[0] else Reason.CHAIN_FAILED)
                self._remember(transfer, outcome)
            else:
                outcome = again(first, transfer)
            outcomes.append(outcome)
        return outcomes

    def _chain_fault(self, transfers: Sequence[Transfer], has_end: bool) -> tuple[int, Reason] | None:
        """Let the whole chain take effect, or change nothing and say which transfer stops it, and why."""
        positions: dict[str, int] = {}
        for position, transfer in enumerate(transfers):
            if self.lookup(transfer.id) is not None:
                return position, Reason.CHAIN_FAILED
            if positions.setdefault(transfer.id, position) != position:
                return positions[transfer.id], Reason.ID_TWICE_IN_CHAIN
        if not has_end:
            return len(transfers) - 1, Reason.CHAIN_OPEN
        first_sequence = self.sequence
        undo: list[tuple[_Balances, tuple[int, int, int, int, int]]] = []
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

    def _remember(self, transfer: Transfer, outcome: Outcome) -> None:
        if transfer.id:
            self.known[transfer.id] = KnownTransfer(transfer, outcome)


def decide(
    accounts: Mapping[str, Account],
    pendings: Mapping[str, Pending],
    known: Mapping[str, KnownTransfer],
    transfers: Sequence[Transfer],
    first_sequence: int,
) -> Decision:
    """Decide transfers in order and give what they change; nothing that was handed in is changed.

    `accounts` has every account, `pendings` every hold and `known` every earlier identifier that the
    transfers name; what is missing counts as not existing. Every failure is an outcome, never an exception.
    The transfers that took effect are numbered without a gap from `first_sequence`.
    """
    book = _Book(accounts, pendings, known, first_sequence)
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


_AMOUNT = re.compile("[1-9][0-9]{0,18}")


def account_to_json(account: Account) -> dict[str, Any]:
    """What a body's `accounts` says of an account that its act opened."""
    return {"id": account.id, "ledger": account.ledger, "code": account.code, "limit": account.limit}


def account_from_json(value: object) -> Account:
    """Read a fresh account from a body; TransferError names the member that is missing, unknown or misspelt."""
    members = _members(value, "accounts", ("id", "ledger", "code", "limit"))
    limit = members["limit"]
    if limit not in get_args(AccountLimit):
        raise _misread("limit", f"{limit!r}", f"one of {', '.join(get_args(AccountLimit))}")
    return Account(_name(members, "id"), _name(members, "ledger"), _name(members, "code"), limit)


def transfer_to_json(transfer: Transfer) -> dict[str, Any]:
    """What a body's `transfers` says of a transfer: every member, the amount in decimal."""
    return {
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


def transfer_from_json(value: object) -> Transfer:
    """Read a transfer from a body; TransferError names the member that is missing, unknown or misspelt.

    `pending` may be absent for null and `linked` for false.
    """
    members = _members(
        value,
        "transfers",
        ("id", "kind", "debit", "credit", "amount", "ledger", "code"),
        ("pending", "linked"),
    )
    kind, amount = members["kind"], members["amount"]
    if kind not in get_args(TransferKind):
        raise _misread("kind", f"{kind!r}", f"one of {', '.join(get_args(TransferKind))}")
    if not isinstance(amount, str) or not _AMOUNT.fullmatch(amount):
        raise _misread("amount", f"{amount!r}", "minor units in decimal, as a string, 1 or more")
    pending, linked = members.get("pending"), members.get("linked", False)
    if pending is not None and not isinstance(pending, str):
        raise _misread("pending", f"{pending!r}", "the identifier of a pending transfer, or null")
    if not isinstance(linked, bool):
        raise _misread("linked", f"{linked!r}", "true or false")
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
