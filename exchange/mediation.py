"""Room: a mediator decides what becomes of a delivery that its buyer did not accept, and its award moves the money.

Both sides submit to the award by trading here, so it is the order under which a settled sale is undone in part or as a whole:
by reversing entries, once. What the price gives back, its tax, its commissions and the operator's shares give back in
proportion, as far as the rules say; a refund of the whole ends the licence. Where those who were paid do not have the money any
more, the refund is owed, is shown so, and is paid by the clock as soon as the money is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from sqlmodel import col, select

from exchange.acceptance import check_text, delivered, near, unknown
from exchange.acts import Act, Record, Scope, Transaction, plain, refusal
from exchange.database import driver
from exchange.deletion import end_early
from exchange.errors import Conflict, Unprocessable
from exchange.parties.relations import REMEDY, Conflicted, relations
from exchange.rulebook import Rulebook, in_force
from exchange.settlement import moved_by, refund
from exchange.tables import Acceptance, Asset, Licence, Party, Person, Trade
from ledger.book import balance
from ledger.postings import Account, Transfer, transfer_from_json, transfer_to_json

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

ORDER_CHARACTERS: Final = 200

Decision = Literal["accept", "reduce", "refund"]
STATES: Final[Mapping[Decision, str]] = {"accept": "accepted", "reduce": "reduced", "refund": "refunded"}
DECISIONS: Final[Mapping[str, Decision]] = {state: decision for decision, state in STATES.items()}


@dataclass(frozen=True, slots=True)
class NameMediator(Act):
    """Name the person of a service provider who mediates."""

    licence: str
    mediator: str


async def name_mediator(tx: Transaction, act: NameMediator) -> Record:
    """Name a mediator, or another in the place of one, who decides until `due_us` (administrator, regulator).

    One who is related to the buyer, the seller or the operator of the data is refused on the record.
    """
    tx.caller.require("administrator", "regulator")
    row = await tx.find(Acceptance, act.licence, "licence")
    rules = await in_force(tx)
    delivered(row).require(tx.now_us, "objected", "mediation")
    person = await tx.session.get(Person, act.mediator)
    party = None if person is None else await tx.session.get(Party, person.party)
    if (
        person is None
        or party is None
        or (person.state, party.state) != ("active", "active")
        or "service_provider" not in party.roles
    ):
        raise Unprocessable(
            "mediation.mediator",
            f"{act.mediator!r} is no active person of a service provider",
            field="mediator",
            rule="a mediator is a person of a party with the role service_provider",
            remedy="name one",
        )
    said = {"asset": row.asset, "licence": row.licence, "mediator": person.id, "trade": row.trade}
    if (problem := await _partial(tx, row, person, rules)) is not None:
        return refusal("mediator_named", said, problem)
    days = rules.value("acceptance.mediated_within_working_days")
    row.state, row.mediator, row.mediator_party = "mediation", person.id, party.id
    row.due_us = rules.calendar.deadline(tx.now_us, days).ends_us
    return Record(
        "mediator_named",
        plain({**said, "due_us": row.due_us, "state": "mediation"}),
        readers=near(row),
    )


async def _partial(tx: Transaction, row: Acceptance, person: Person, rules: Rulebook) -> Unprocessable | None:
    """Why a person does not mediate between these two."""
    if rules.allows("acceptance.related_may_mediate"):
        return None
    asset = await tx.find(Asset, row.asset, "asset")
    found = await relations(tx.session, tx.now_us, rules)
    for root, office in (
        (row.buyer, "the buyer"),
        (row.seller, "the seller"),
        (asset.operator, "the operator of the data"),
    ):
        for who in (person.party, person.id):
            way = None if root is None else found.path(root, who)
            if root is not None and way is not None:
                return Unprocessable(
                    "mediation.related",
                    Conflicted(root, office, way).why("mediate"),
                    field="mediator",
                    rule=f"who mediates is related to neither side ({rules.cite('mediation.related')})",
                    remedy=REMEDY,
                )
    return None


@dataclass(frozen=True, slots=True)
class Mediate(Act):
    """The mediator's award: accept the delivery, reduce the price by `refund_fen`, or give all of it back."""

    scope: ClassVar[Scope] = "trade"
    licence: str
    decision: Decision
    order: str
    reason: str
    refund_fen: int | None = None


async def mediate(tx: Transaction, act: Mediate) -> Record:
    """Decide as the named mediator, once; the award is `order`, its reason stays sealed. Late is still decided, and shows.

    Unprocessable where a reduction is not a part of the price.
    """
    row = await tx.session.get(Acceptance, act.licence)
    if row is None or row.mediator != tx.caller.person:
        raise unknown(act.licence)
    rules = await in_force(tx)
    delivered(row).require(tx.now_us, "mediation")
    trade = await tx.find(Trade, row.trade, "trade")
    refund_fen = awarded_fen(act.decision, act.refund_fen, trade.price_fen)
    check_text("reason", act.reason)
    if not act.order.strip() or len(act.order) > ORDER_CHARACTERS:
        raise Unprocessable(
            "mediation.order",
            f"{len(act.order)} characters",
            field="order",
            rule=f"a sale that is made is undone under an order, named in 1 to {ORDER_CHARACTERS} characters",
            remedy="name the award by its number",
        )
    late = row.due_us is not None and tx.now_us >= row.due_us
    row.state, row.silent, row.decided_us = STATES[act.decision], False, tx.now_us
    row.order_reference, row.reason, row.refund_fen = act.order, act.reason, refund_fen
    if act.decision == "refund":
        licences = await tx.session.execute(select(Licence).where(col(Licence.trade) == row.trade))
        licences.scalar_one().state = "revoked"
        await end_early(tx, row.licence)
    settled = await moved_by(tx.session, trade.log_index)
    back = refund(trade.id, settled, refund_fen, trade.price_fen, rules)
    if back and await _payable(tx.session, back):
        await tx.post(*back)
        row.refund_state, row.refund_index = "paid", tx.index
    elif back:
        row.refund_state, row.owed = "owed", [transfer_to_json(one) for one in back]
    return Record(
        "delivery_mediated",
        plain(
            {
                "asset": row.asset,
                "late": late,
                "licence": row.licence,
                "order": act.order,
                "owed": row.owed,
                "reason_given": tx.seal(act.reason),
                "refund": row.refund_state,
                "refund_fen": refund_fen,
                "state": row.state,
                "trade": row.trade,
            }
        ),
        readers=near(row),
    )


def awarded_fen(decision: Decision, refund_fen: int | None, price_fen: int) -> int:
    """How much of a price an award gives back: nothing, a part that it names, or all. Pure."""
    whole = {"accept": 0, "refund": price_fen}.get(decision)
    if whole is None:
        if refund_fen is None or not 0 < refund_fen < price_fen:
            raise Unprocessable(
                "mediation.refund",
                f"{refund_fen} of {price_fen} fen",
                field="refund_fen",
                rule="a reduction gives back a part of the price: more than nothing, less than all",
                remedy="name the part in fen, or decide to accept or to refund",
            )
        return refund_fen
    if refund_fen not in (None, whole):
        raise Unprocessable(
            "mediation.refund",
            f"{refund_fen} of {price_fen} fen",
            field="refund_fen",
            rule="only a reduction names an amount",
            remedy="leave it out",
        )
    return whole


@dataclass(frozen=True, slots=True)
class PayRefund(Act):
    """Pay a refund that is owed."""

    licence: str


async def pay_refund(tx: Transaction, act: PayRefund) -> Record:
    """Pay what is owed now that it is there; Conflict where nothing is owed, or the money is still missing."""
    tx.caller.require("clock")
    row = await tx.find(Acceptance, act.licence, "licence")
    if row.refund_state != "owed":
        raise Conflict(
            "refund.none", "no refund is owed", field="licence", rule="a refund is paid once", remedy="none"
        )
    await tx.post(*map(transfer_from_json, row.owed or ()))
    row.refund_state, row.refund_index, row.owed = "paid", tx.index, None
    return Record(
        "refund_paid",
        plain(
            {
                "asset": row.asset,
                "licence": row.licence,
                "refund_fen": row.refund_fen,
                "state": "paid",
                "trade": row.trade,
            }
        ),
        readers=near(row),
    )


def covered(chain: Sequence[Transfer], accounts: Mapping[str, Account]) -> bool:
    """Whether these accounts can make these transfers, one after the other, without being overdrawn. Pure."""
    left = {
        name: one.credits_posted - one.debits_posted - one.debits_pending
        for name, one in accounts.items()
        if one.limit == "debits_must_not_exceed_credits"
    }
    for one in chain:
        for name, fen in ((one.debit, -one.amount), (one.credit, one.amount)):
            if name in left:
                left[name] += fen
        if left.get(one.debit, 0) < 0:
            return False
    return True


async def payable(session: AsyncSession) -> list[str]:
    """The licences whose refunds are owed and could be paid now, the oldest first."""
    owed = (
        select(Acceptance).where(col(Acceptance.refund_state) == "owed").order_by(col(Acceptance.log_index))
    )
    rows = [
        (row.licence, list(map(transfer_from_json, row.owed or ())))
        for row in (await session.execute(owed)).scalars()
    ]
    return [licence for licence, chain in rows if await _payable(session, chain)]


async def _payable(session: AsyncSession, chain: Sequence[Transfer]) -> bool:
    """Asked before it is tried: the book remembers a transfer that failed, and an identifier has one outcome."""
    accounts = {}
    for name in {one.debit for one in chain} | {one.credit for one in chain}:
        account = await balance(await driver(session), name)
        assert account is not None
        accounts[name] = account
    return covered(chain, accounts)
