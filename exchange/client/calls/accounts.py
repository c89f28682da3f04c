"""Money in and out, accounts and statements."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from exchange.client.answers import Done
from exchange.client.calls.asking import Asking, asked, named, v1
from exchange.client.carriers import Found, Walk
from exchange.client.errors import Unproven
from exchange.client.wire import Steps
from exchange.messages.accounts import (
    AccountDetail,
    AccountPage,
    AccountView,
    BalancesView,
    LineView,
    StatementPage,
    TrialBalanceView,
)
from exchange.messages.bank import (
    AdjustmentMessage,
    AssignmentMessage,
    ResolutionMessage,
    ReturnMessage,
    ReturnReason,
    StatementMessage,
    StatementView,
    SuspenseView,
    TreasuryDecisionMessage,
    TreasuryMessage,
    TreasuryPayoutView,
    WithdrawalView,
)
from exchange.messages.market import TopUpMessage, WithdrawalMessage


class Accounts(Asking):
    """Money in and out, accounts and statements."""

    def top_up(
        self, party: str, amount_fen: int, bank_reference: str, *, identifier: str | None = None
    ) -> Steps[Done]:
        """Credit what the bank received for a party (bank). What names no party here waits in suspense: the outcome's
        `state` says so.

        The identifier is made of what is told, unless given: telling it twice books it once, and is answered alike.
        """
        message = TopUpMessage(party=party, amount_fen=amount_fen, bank_reference=bank_reference)
        about = {"amount_fen": str(amount_fen), "bank_reference": bank_reference}
        identifier = identifier or named("top-up", message)
        return self._write("/v1/top-ups", message, identifier, about)

    def withdraw(
        self, amount_fen: int, *, account: str | None = None, identifier: str | None = None
    ) -> Steps[Done]:
        """Order a payout of the party's free money, or of dividends on their `account`."""
        message = WithdrawalMessage(amount_fen=amount_fen, account=account)
        return self._write("/v1/withdrawals", message, identifier, {"amount_fen": str(amount_fen)})

    def withdrawals(
        self, state: Literal["ordered", "paid", "returned"] | None = None
    ) -> Steps[list[WithdrawalView]]:
        """Your party's payouts and what became of them, newest first (all of them for bank, regulator, administrator)."""
        return self._read_all("/v1/withdrawals", WithdrawalView, asked(state=state))

    def treasury_payouts(self) -> Steps[list[TreasuryPayoutView]]:
        """Payouts of your department's treasury money that were proposed, and what became of them, newest first."""
        return self._read_all("/v1/treasury-payouts", TreasuryPayoutView)

    def propose_treasury_payout(self, amount_fen: int, *, identifier: str | None = None) -> Steps[Done]:
        """Propose to pay out what the treasury account has; another person of the department decides."""
        message = TreasuryMessage(amount_fen=amount_fen)
        return self._write("/v1/treasury-payouts", message, identifier, {"amount_fen": str(amount_fen)})

    def decide_treasury_payout(
        self, proposal: str, decision: Literal["approve", "reject"], *, identifier: str | None = None
    ) -> Steps[Done]:
        """Order what another person proposed, or reject it."""
        message = TreasuryDecisionMessage(decision=decision)
        path = v1("treasury-payouts", proposal, "decision")
        return self._write(path, message, identifier, {"proposal": proposal})

    def return_payout(
        self,
        payout: str,
        reason: ReturnReason,
        bank_reference: str | None = None,
        *,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Send a payout back, which came in again under `bank_reference` or (None) never left (bank).

        As with `top_up`, telling it twice gives it back once.
        """
        message = ReturnMessage(reason=reason, bank_reference=bank_reference)
        about = {"payout": payout, "return_reason": reason}
        identifier = identifier or named(f"return {payout}", message)
        return self._write(v1("withdrawals", payout, "return"), message, identifier, about)

    def suspense(self) -> Steps[list[SuspenseView]]:
        """Money that waits for somebody to say whose it is, newest first (bank, regulator, administrator)."""
        return self._read_all("/v1/bank/suspense", SuspenseView)

    def assign_suspense(
        self, bank_reference: str, party: str, reason: str, *, identifier: str | None = None
    ) -> Steps[Done]:
        """Give money in suspense to the party that it was meant for (administrator)."""
        message = AssignmentMessage(party=party, reason=reason)
        about = {"bank_reference": bank_reference, "party": party}
        return self._write(v1("bank", "suspense", bank_reference, "assignment"), message, identifier, about)

    def import_statement(self, statement: StatementMessage, *, identifier: str | None = None) -> Steps[Done]:
        """Compare a statement of the bank with the book, line by line (bank, administrator).

        `outcome["state"]` is "agreed", or "alarm" with `outcome["findings"]`. `exchange.client.statement` reads a
        statement from CSV.
        """
        return self._write(
            "/v1/bank/statements", statement, identifier or named("statement", statement),
            {"statement": statement.statement, "closing_fen": str(statement.closing_fen)},
        )  # fmt: skip

    def statements(
        self, state: Literal["agreed", "alarm", "resolved"] | None = None
    ) -> Steps[list[StatementView]]:
        """The bank's statements and how they agreed with the book, newest first (bank, administrator, regulator)."""
        return self._read_all("/v1/bank/statements", StatementView, asked(state=state))

    def resolve_alarm(self, statement: str, reason: str, *, identifier: str | None = None) -> Steps[Done]:
        """Answer for what a statement did not agree in, as a second person (administrator, regulator)."""
        message = ResolutionMessage(reason=reason)
        path = v1("bank", "statements", statement, "resolution")
        return self._write(path, message, identifier, {"statement": statement})

    def adjust_book(self, bank_reference: str, reason: str, *, identifier: str | None = None) -> Steps[Done]:
        """Bring the book to what the bank's statements say of one reference (administrator)."""
        message = AdjustmentMessage(bank_reference=bank_reference, reason=reason)
        return self._write("/v1/bank/adjustments", message, identifier, {"bank_reference": bank_reference})

    def accounts(self) -> Walk[AccountView]:
        """The party's account (every account for a regulator), page by page as you read on."""
        params: dict[str, str] = {}
        while True:
            page = yield from self._read("/v1/accounts", AccountPage, params)
            yield from map(Found, page.accounts)
            if page.after is None:
                return
            params["after"] = page.after

    def account(self, account: str, *, at: int | None = None) -> Steps[AccountDetail]:
        """An account's balances and the holds that stand, now or right after the log's entry `at`."""
        return self._read(v1("accounts", account), AccountDetail, asked(at=at))

    def statement(
        self,
        account: str,
        *,
        start: int | None = None,
        stop: int | None = None,
        since_us: int | None = None,
        until_us: int | None = None,
    ) -> Walk[LineView]:
        """The transfers on an account in order, page by page as you read on, each with the balances after it.

        A period is of entries, from `start` to before `stop`, or of times, from `since_us` to before `until_us`.
        `receipt(line.index)` proves what a line says. Unproven where a line does not lead from the balances before
        it to those after it.
        """
        params = asked(start=start, stop=stop, since_us=since_us, until_us=until_us)
        before: BalancesView | None = None
        while True:
            page = yield from self._read(v1("accounts", account, "statement"), StatementPage, params)
            if before not in (None, page.opening):
                raise Unproven("a page does not open with what the last one closed with", field="opening")
            before = page.opening
            for line in page.lines:
                before = _led(before, line)
                yield Found(line)
            if before != page.closing:
                raise Unproven("a page does not close with its last line's balances", field="closing")
            if page.after is None:
                return
            params["after"] = str(page.after)

    def statement_sheet(
        self,
        account: str,
        path: Path,
        *,
        language: Literal["zh", "en"] = "zh",
        start: int | None = None,
        stop: int | None = None,
        since_us: int | None = None,
        until_us: int | None = None,
    ) -> Steps[None]:
        """The same as CSV for a spreadsheet, all of it, with the opening and the closing balances."""
        period = asked(start=start, stop=stop, since_us=since_us, until_us=until_us)
        return self._save(v1("accounts", account, "statement.csv"), {**period, "lang": language}, path)

    def trial_balance(self, *, at: int | None = None) -> Steps[TrialBalanceView]:
        """The sums of all accounts by ledger and code, now or right after the log's entry `at` (regulator)."""
        return self._read("/v1/trial-balance", TrialBalanceView, asked(at=at))

    def trial_balance_sheet(
        self, path: Path, *, language: Literal["zh", "en"] = "zh", at: int | None = None
    ) -> Steps[None]:
        """The same as CSV for a spreadsheet."""
        return self._save("/v1/trial-balance.csv", {**asked(at=at), "lang": language}, path)


def _led(before: BalancesView, line: LineView) -> BalancesView:
    """The balances after a line; Unproven where it does not lead to them."""
    for name in BalancesView.model_fields:
        if getattr(before, name) + getattr(line.change, name) != getattr(line.balances, name):
            raise Unproven(f"line {line.sequence} does not lead to its balances", field=name)
    return line.balances
