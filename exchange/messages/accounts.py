"""Wire shapes of accounts: balances, holds, statement lines and the trial balance; amounts in minor units."""

from __future__ import annotations

from typing import Literal

from exchange.messages.shapes import Message, Signed, Whole

Side = Literal["debit", "credit"]


class BalancesView(Message):
    """The four balances of an account, or of several."""

    debits_pending: Whole
    debits_posted: Whole
    credits_pending: Whole
    credits_posted: Whole


class ChangeView(Message):
    """What a transfer changed of the four balances."""

    debits_pending: Signed
    debits_posted: Signed
    credits_pending: Signed
    credits_posted: Signed


class AccountView(Message):
    """An account. `balance` is posted credits less posted debits, `available` that less what is held of it."""

    id: str
    ledger: str
    unit: str
    code: str
    limit: str
    closed: bool
    balances: BalancesView
    balance: Signed
    available: Signed


class AccountPage(Message):
    """Accounts by identifier, as they stand; `after` asks for the next page and is null on the last."""

    accounts: list[AccountView]
    after: str | None


class HoldView(Message):
    """A hold that stands: what it is for, the entry that made it, and when it runs out (null: never).

    `side` is the account's own, `other` the account on the other side.
    """

    transfer: str
    code: str
    side: Side
    amount: Whole
    other: str
    index: Whole
    time_us: Whole
    expires_us: Whole | None
    closes: Side | None


class AccountDetail(AccountView):
    """An account right after the entry `index`, and the newest 100 holds that stood then."""

    index: Whole
    holds: list[HoldView]


class LineView(Message):
    """One transfer on a statement: the entry that carried it, what it changed and the balances after it.

    `side` is the account's own, `other` the account on the other side; `hold` names the hold that it ends.
    """

    sequence: Whole
    index: Whole
    time_us: Whole
    transfer: str
    kind: str
    code: str
    side: Side
    other: str
    amount: Whole
    hold: str | None
    change: ChangeView
    balances: BalancesView
    balance: Signed


class StatementPage(Message):
    """A part of a statement, between the balances before its first line and after its last.

    `after` asks for the next page and is null on the last one.
    """

    account: str
    ledger: str
    unit: str
    code: str
    opening: BalancesView
    lines: list[LineView]
    closing: BalancesView
    after: Whole | None


class TrialLineView(Message):
    """All accounts of one code in one ledger."""

    ledger: str
    unit: str
    code: str
    balances: BalancesView
    balance: Signed


class TrialTotalView(Message):
    """All accounts of one ledger. Both differences, credits less debits of what is posted and debits less credits of
    what is held, are 0 in a book that is in order."""

    ledger: str
    unit: str
    balances: BalancesView
    difference: Signed
    held_difference: Signed


class TrialBalanceView(Message):
    """The sums of all accounts right after the entry `index`."""

    index: Whole
    lines: list[TrialLineView]
    totals: list[TrialTotalView]
