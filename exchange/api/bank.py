"""Routes of money at the bank: payouts that come back, money in suspense, statements, adjustments and alarms."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from exchange import money, reconciliation
from exchange.api.doorway import (
    AfterIndex,
    CallerDep,
    GateDep,
    KeyDep,
    Limit,
    Named,
    PagesDep,
    SignedDep,
    perform,
)
from exchange.messages.bank import (
    AdjustmentMessage,
    AssignmentMessage,
    ResolutionMessage,
    ReturnMessage,
    StatementMessage,
    StatementView,
    SuspenseView,
    TreasuryDecisionMessage,
    TreasuryMessage,
    TreasuryPayoutView,
    WithdrawalView,
)
from exchange.messages.outcomes import (
    AlarmResolved,
    Answer,
    BookAdjusted,
    PayoutReturned,
    StatementReconciled,
    SuspenseAssigned,
    TreasuryPayoutProposed,
    TreasuryPayoutRejected,
    Withdrawn,
)
from exchange.treasury import DecideTreasuryPayout, ProposeTreasuryPayout, proposals
from exchange.treasury import decide_treasury_payout as decide
from exchange.treasury import propose_treasury_payout as propose

router = APIRouter(prefix="/v1", tags=["bank"])


@router.get("/withdrawals", response_model=list[WithdrawalView])
async def withdrawals(
    gate: GateDep,
    caller: CallerDep,
    pages: PagesDep,
    state: Annotated[Literal["ordered", "paid", "returned"] | None, Query(description="only these")] = None,
    after: AfterIndex = None,
    limit: Limit = 100,
) -> list[dict[str, Any]]:
    """Your party's payouts and what became of them, newest first; all of them for bank, regulator and administrator."""
    rows = await gate.read(money.withdrawals, caller, state, after, limit)
    pages.link(rows, limit, lambda row: row["index"])
    return rows


@router.post("/withdrawals/{payout}/return", status_code=201, response_model=Answer[PayoutReturned])
async def return_payout(
    payout: Named, body: ReturnMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Send a payout back: its party has the money again, by an entry of its own (bank)."""
    act = money.ReturnPayout(payout, body.reason, body.bank_reference)
    return await perform(gate, money.return_payout, act, caller, key)


@router.get("/treasury-payouts", response_model=list[TreasuryPayoutView])
async def treasury_payouts(
    gate: GateDep, caller: CallerDep, pages: PagesDep, after: AfterIndex = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """Payouts of your department's treasury money that were proposed, and what became of them; all for a regulator."""
    rows = await gate.read(proposals, caller, after, limit)
    pages.link(rows, limit, lambda row: row["index"])
    return rows


@router.post("/treasury-payouts", status_code=201, response_model=Answer[TreasuryPayoutProposed])
async def propose_treasury_payout(
    body: TreasuryMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Propose to pay out what your treasury account has, to the treasury's bank account; another person decides (supplier)."""
    act = ProposeTreasuryPayout(body.amount_fen)
    return await perform(gate, propose, act, caller, key)


@router.post(
    "/treasury-payouts/{treasury}/decision",
    status_code=201,
    response_model=Answer[Withdrawn | TreasuryPayoutRejected],
)
async def decide_treasury_payout(
    treasury: Named,
    body: TreasuryDecisionMessage,
    gate: GateDep,
    caller: CallerDep,
    key: KeyDep,
    signed: SignedDep,
) -> Response:
    """Order what another person of your department proposed, or reject it (supplier)."""
    act = DecideTreasuryPayout(treasury, body.decision, signed)
    return await perform(gate, decide, act, caller, key)


@router.get("/bank/suspense", response_model=list[SuspenseView])
async def suspense(
    gate: GateDep, caller: CallerDep, pages: PagesDep, after: AfterIndex = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """Money that waits for somebody to say whose it is, newest first (bank, regulator, administrator)."""
    rows = await gate.read(money.suspense, caller, after, limit)
    pages.link(rows, limit, lambda row: row["index"])
    return rows


@router.post(
    "/bank/suspense/{reference}/assignment", status_code=201, response_model=Answer[SuspenseAssigned]
)
async def assign_suspense(
    reference: Named, body: AssignmentMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Give money in suspense to the party that it was meant for (administrator)."""
    act = money.AssignSuspense(reference, body.party, body.reason)
    return await perform(gate, money.assign_suspense, act, caller, key)


@router.get("/bank/statements", response_model=list[StatementView])
async def statements(
    gate: GateDep,
    caller: CallerDep,
    pages: PagesDep,
    state: Annotated[Literal["agreed", "alarm", "resolved"] | None, Query(description="only these")] = None,
    after: AfterIndex = None,
    limit: Limit = 100,
) -> list[dict[str, Any]]:
    """The bank's statements and how they agreed with the book, newest first (bank, administrator, regulator)."""
    rows = await gate.read(reconciliation.statements, caller, state, after, limit)
    pages.link(rows, limit, lambda row: row["index"])
    return rows


@router.post("/bank/statements", status_code=201, response_model=Answer[StatementReconciled])
async def import_statement(body: StatementMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Compare a statement of the bank with the book, line by line (bank, administrator).

    What does not agree raises an alarm, which stands until a second person resolves it.
    """
    lines = tuple(reconciliation.Line(line.reference, line.amount_fen, line.booked_us) for line in body.lines)
    act = reconciliation.ImportStatement(
        body.statement, body.begins_us, body.ends_us, body.opening_fen, body.closing_fen, lines
    )
    return await perform(gate, reconciliation.import_statement, act, caller, key)


@router.post("/bank/statements/{statement}/resolution", status_code=201, response_model=Answer[AlarmResolved])
async def resolve_alarm(
    statement: Named, body: ResolutionMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Answer for what a statement did not agree in, as a second person (administrator, regulator)."""
    act = reconciliation.ResolveAlarm(statement, body.reason)
    return await perform(gate, reconciliation.resolve_alarm, act, caller, key)


@router.post("/bank/adjustments", status_code=201, response_model=Answer[BookAdjusted])
async def adjust_book(body: AdjustmentMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Bring the book to what the bank's statements say of one reference (administrator)."""
    act = reconciliation.AdjustBook(body.bank_reference, body.reason)
    return await perform(gate, reconciliation.adjust_book, act, caller, key)
