"""Room: products that are charged by use: subscribed to with a quota, metered record by record, settled statement by statement.

A quota is paid ahead, or its price is held until statements charge what was used. The seller's or operator's own gateway
meters, and records what it served in sums of its choosing; the quota bounds what it may charge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from sqlalchemy import or_, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange import revenue, rulebook
from exchange.acts import Act, Caller, Record, Scope, Signed, Transaction, plain, refusal
from exchange.contracting import standing
from exchange.controls import check_order
from exchange.delivery import check_term, require_signed
from exchange.discounts import said_of, unit_price
from exchange.errors import Conflict, Forbidden, NotFound, Unprocessable
from exchange.listings import (
    Offer,
    check_purpose,
    create_listing,
    free,
    refused_terms,
    require_fit,
    require_format,
    require_open,
    require_price,
)
from exchange.money import DEPOSITS, MONEY
from exchange.parties import account_of, require_active
from exchange.rulebook import Rulebook
from exchange.rulebook.days import DAY_US
from exchange.settlement import Shares, Split, chain, linked, settle, shares_of, split
from exchange.sheets import moment
from exchange.tables import (
    Asset,
    Contract,
    Licence,
    Listing,
    Party,
    Subscription,
    UsageRecord,
    UsageStatement,
)
from ledger.postings import Transfer
from pricing.errors import PricingError
from pricing.metering import ROUNDING, Meter, OverQuota, Unit, use
from pricing.money import format_fen, format_unit_price_micro

RECORDS_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class OfferMetered(Act):
    """Offer access to a registered asset for a price by use; `offer` counts subscriptions, and names no price."""

    scope: ClassVar[Scope] = "trade"
    asset: str
    offer: Offer
    unit: str
    unit_price_micro: int
    ceiling_micro: int | None = None


async def offer_metered(tx: Transaction, act: OfferMetered) -> Record:
    """List an asset by use under the market's rulebook; refuses a unit price above its ceiling by clause."""
    rules = await rulebook.in_force(tx)
    require_format("fixed", rules)  # the price of a unit is one for everybody
    meter = check_meter(act.unit, act.unit_price_micro, act.ceiling_micro, rules)
    if act.offer.grant != "licence" or act.offer.price_fen or act.offer.ceiling_fen is not None:
        raise Unprocessable(
            "listing.metered",
            "what is metered is a licence whose price is that of a unit",
            field="offer",
            rule="grant licence, price_fen 0 and no ceiling_fen: the meter has both",
            remedy="name price and ceiling of a unit",
        )
    listing, _ = await create_listing(tx, act.asset, act.offer, "metered", rules, meter)
    return Record(
        "listed",
        {
            "asset": listing.asset,
            "contract": standing(listing),
            "id": listing.id,
            "meter": plain(
                {
                    "ceiling_micro": act.ceiling_micro,
                    "unit": act.unit,
                    "unit_price_micro": act.unit_price_micro,
                }
            ),
            "mode": "metered",
            "offer": plain(act.offer),
            "rulebook": rules.reference(),
            "seller": listing.seller,
            "state": "open",
        },
    )


def check_meter(unit: str, unit_price_micro: int, ceiling_micro: int | None, rules: Rulebook) -> Meter:
    """The meter that these terms make; refuses an unknown unit, and a price above the ceiling by clause. Pure."""
    if unit not in set(Unit):
        raise Unprocessable(
            "listing.unit",
            unit,
            field="unit",
            rule=f"one of {', '.join(Unit)}",
            remedy="name what is counted",
        )
    above = ceiling_micro is not None and unit_price_micro > ceiling_micro
    if above and not rules.allows("price.above_ceiling_allowed"):
        raise Unprocessable(
            "listing.unit_ceiling",
            f"{unit_price_micro} micro-yuan is above the ceiling of {ceiling_micro}",
            field="unit_price_micro",
            rule=f"no price passes the ceiling ({rules.cite('listing.unit_ceiling')})",
            remedy="reappraise, or ask less for a unit",
        )
    try:
        return Meter(Unit(unit), unit_price_micro, None if above else ceiling_micro)
    except PricingError as refused:
        raise refused_terms(refused) from refused


@dataclass(frozen=True, slots=True)
class Subscribe(Act):
    """Subscribe to a metered product: how much at the most, paid ahead or (False) held until it is charged, and for what.

    The quota is counted in calls, days, rows, or bytes where the unit is the megabyte.
    """

    scope: ClassVar[Scope] = "trade"
    listing: str
    quota: int
    prepaid: bool = False
    purpose: str = ""
    signed: Signed | None = field(default=None, compare=False)
    discount: str | None = None
    """The published discount that the buyer counts on; whichever is best applies, named or not."""


async def subscribe(tx: Transaction, act: Subscribe) -> Record:
    """License access for the listing's term, and take or hold the price of the whole quota.

    Refused on the record, as a purchase is: money that does not cover it, who may not buy, none left.
    """
    tx.caller.require("buyer")
    tx.keep_signature(act.signed)
    buyer = await tx.find(Party, tx.caller.party, "party")
    require_active(buyer)
    listing = await tx.find(Listing, act.listing, "listing")
    if listing.mode != "metered" or listing.unit is None or listing.unit_price_micro is None:
        raise NotFound("listing.unknown", f"no metered listing {act.listing!r}", field="listing")
    rules = await rulebook.in_force(tx)
    check_purpose(act.purpose, rules)
    await require_open(tx, listing)
    asked: dict[str, Any] = {"listing": listing.id, "prepaid": act.prepaid, "purpose": act.purpose}
    if act.discount is not None:
        asked["counted_on"] = act.discount
    each_micro, applied = 0, None
    if not free(act.purpose, rules):
        try:
            each_micro, applied = await unit_price(
                tx, listing, listing.unit_price_micro, buyer, act.quota, act.purpose, act.discount
            )
        except Unprocessable as problem:
            return refusal("subscribed", {**asked, "quota": str(act.quota)}, problem)
    meter = Meter(Unit(listing.unit), each_micro)
    try:
        use(act.quota, 0, 1)
        most_fen = meter.charge_fen(act.quota)
    except PricingError as refused:
        raise refused_terms(refused) from refused
    said: dict[str, Any] = {
        **asked,
        "most_fen": str(most_fen),
        "quota": str(act.quota),
        "unit": meter.unit.value,
        "unit_price_micro": str(meter.unit_price_micro),
    }
    asset = await tx.find(Asset, listing.asset, "asset")
    name, hold, hold_fen = tx.identifier("sub"), None, 0
    try:
        await require_price(tx, asset.id, meter.unit_price_micro, rules, meter.unit)
        related = await require_fit(tx, asset, (buyer, tx.caller.person), act.purpose, rules)
        check_order(buyer, most_fen, signed=act.signed is not None)
        async with tx.session.begin_nested():
            if not act.prepaid and most_fen:
                # What could keep it from being settled is looked at first: a refusal leaves no hold, and seals nothing.
                await shares_of(tx, asset)
                hold_fen = to_hold_fen(most_fen, listing.term_days, rules)
                hold = tx.identifier("hold")
                account = await _account(tx, buyer, listing.seller)
                await tx.post(Transfer(hold, "pending", account, DEPOSITS, hold_fen, MONEY, "usage"))
            confirmation = await settle(
                tx,
                listing=listing,
                buyer=buyer,
                licences=1,
                price_fen=most_fen if act.prepaid else 0,
                rules=rules,
                purpose=act.purpose,
            )
    except (Conflict, Forbidden, Unprocessable) as problem:
        return refusal("subscribed", said, problem)
    if related is not None:  # allowed where it is disclosed: here
        said["related"] = related.way()
    if applied is not None:
        said["discount"] = said_of(applied)
    voucher = confirmation["voucher"]
    row = Subscription(
        id=name,
        listing=listing.id,
        asset=asset.id,
        seller=listing.seller,
        operator=asset.operator,
        buyer=buyer.id,
        licence=voucher["licence"],
        trade=voucher["trade"],
        purpose=act.purpose,
        unit=meter.unit.value,
        unit_price_micro=meter.unit_price_micro,
        quota=act.quota,
        used=0,
        settled=0,
        statements=0,
        prepaid=act.prepaid,
        hold=hold,
        hold_fen=hold_fen,
        since_us=tx.now_us,
        next_us=tx.now_us + rules.value("metering.statement_every_days") * DAY_US,
        ends_us=tx.now_us + listing.term_days * DAY_US,
        state="open",
        log_index=tx.index,
    )
    await tx.insert(row)
    return Record(
        "subscribed",
        {
            **said,
            "hold": hold,
            "hold_fen": str(hold_fen),
            "subscription": row.id,
            "voucher": voucher,
            "state": "open",
        },
        readers=[one for one in (listing.seller, asset.operator) if one is not None],
    )


async def _account(tx: Transaction, buyer: Party, seller: str) -> str:
    """The buyer's account; Conflict where it or the seller has none."""
    if buyer.account is None or (await tx.find(Party, seller, "party")).account is None:
        raise Conflict("party.no_account", "buyer or seller has no money account", field="party")
    return buyer.account


def to_hold_fen(most_fen: int, term_days: int, rules: Rulebook) -> int:
    """What is held of a buyer for a quota: its price, the fee on it, and a fen for each statement that may come: fees are
    rounded statement by statement. Pure.
    """
    statements = term_days // rules.value("metering.statement_every_days") + 1
    return most_fen + split(most_fen, rules, None).buyer_fee_fen + statements


async def rehearsed(
    session: AsyncSession, caller: Caller, outcome: Mapping[str, Any], now_us: int
) -> dict[str, Any]:
    """The whole cost of a rehearsed subscription that would stand, as `sales.rehearsed` tells that of a purchase.

    `total_fen` is paid now, or held at the most: the quota's price, the fee on it, and for what is held `rounding_fen`.
    """
    rules = await rulebook.at(session, now_us)
    parts = split(int(outcome["most_fen"]), rules, None)
    net_fen = parts.price_fen + parts.buyer_fee_fen
    total_fen = net_fen if outcome["prepaid"] else int(outcome["hold_fen"])
    return {
        "unit_price_micro": outcome["unit_price_micro"],
        "quota": outcome["quota"],
        "prepaid": outcome["prepaid"],
        "discount": outcome.get("discount"),
        "price_fen": str(parts.price_fen),
        "fee_fen": str(parts.buyer_fee_fen),
        "rounding_fen": str(total_fen - net_fen),
        "tax_fen": str(parts.tax_fen),
        "total_fen": str(total_fen),
        "available_fen": (await account_of(session, caller))["available_fen"],
    }


@dataclass(frozen=True, slots=True)
class RecordUsage(Act):
    """What was used of a subscription since the last record, as its gateway counted it."""

    scope: ClassVar[Scope] = "trade"
    subscription: str
    quantity: int


async def record_usage(tx: Transaction, act: RecordUsage) -> Record:
    """Count a use against the quota: by the seller, the operator of the data, or the market's own delivery.

    All of it or nothing: what passes the quota is refused on the record (`usage.over_quota`), with what is left. Conflict
    once the subscription or its licence has ended, and before both sides signed its contract; Forbidden while its buyer is suspended or has stopped itself.
    """
    row = await tx.session.get(Subscription, act.subscription)
    meters = row is not None and tx.caller.party in (row.seller, row.operator)
    if row is None or not (meters or "delivery" in tx.caller.roles):
        raise _unknown(act.subscription)
    licence = await tx.find(Licence, row.licence, "licence")
    _require_running(row)
    for party in (row.buyer, tx.caller.party) if meters else (row.buyer,):
        require_active(await tx.find(Party, party, "party"))
    check_term(licence.state, licence.starts_us, licence.ends_us, tx.now_us)
    require_signed((await tx.find(Contract, licence.trade, "contract")).state)
    try:
        used = use(row.quota, row.used, act.quantity)
    except PricingError as refused:
        raise refused_terms(refused) from refused
    said = {"quantity": str(act.quantity), "subscription": row.id}
    if isinstance(used, OverQuota):
        problem = Unprocessable(
            "usage.over_quota",
            f"{used.left} of {row.quota} are left, {act.quantity} were asked for",
            field="quantity",
            rule="a quota is what its buyer has paid, or had held; nothing is used beyond it",
            remedy="serve no more than is left; its buyer may subscribe anew",
        )
        refused_record = refusal("usage_recorded", {**said, "left": str(used.left)}, problem)
        return Record(refused_record.kind, refused_record.act, readers=_near(row))
    row.used = used
    await tx.insert(
        UsageRecord(log_index=tx.index, subscription=row.id, quantity=act.quantity, time_us=tx.now_us)
    )
    return Record(
        "usage_recorded",
        {**said, "left": str(row.quota - used), "state": "recorded", "used": str(used)},
        readers=_near(row),
    )


@dataclass(frozen=True, slots=True)
class SettleUsage(Act):
    """The clock's hand: a statement is due, each so many days and when the term is over."""

    subscription: str


@dataclass(frozen=True, slots=True)
class EndSubscription(Act):
    """The buyer ends its subscription: what was used is settled, what is held beyond it goes back, access ends."""

    scope: ClassVar[Scope] = "trade"
    subscription: str


async def settle_usage(tx: Transaction, act: SettleUsage) -> Record:
    """Charge what was used since the last statement, with the split of any sale; Conflict where none is due."""
    tx.caller.require("clock")
    row = await tx.find(Subscription, act.subscription, "subscription")
    _require_running(row)
    licence = await tx.find(Licence, row.licence, "licence")
    over = tx.now_us >= row.ends_us or licence.state != "active"
    if not over and tx.now_us < row.next_us:
        raise Conflict("usage.not_due", "no statement is due", field="subscription", rule="next_us <= now")
    return await _statement(tx, row, "ended" if over else "settled")


async def end_subscription(tx: Transaction, act: EndSubscription) -> Record:
    """The last statement, at the buyer's word; what was paid ahead and not used is not paid back."""
    row = await tx.session.get(Subscription, act.subscription)
    if row is None or row.buyer != tx.caller.party:
        raise _unknown(act.subscription)
    _require_running(row)
    licence = await tx.find(Licence, row.licence, "licence")
    licence.ends_us = min(licence.ends_us, tx.now_us)
    return await _statement(tx, row, "cancelled")


async def _statement(tx: Transaction, row: Subscription, state: str) -> Record:
    """Settle what was used since the last statement; where this is the last one, let go of what is still held."""
    rules = await rulebook.in_force(tx)
    quantity = row.used - row.settled
    buyer, seller = [await tx.find(Party, party, "party") for party in (row.buyer, row.seller)]
    asset = await tx.find(Asset, row.asset, "asset")
    assert buyer.account is not None
    assert seller.account is not None
    most_micro = await revenue.ceiling_micro(tx.session, row.asset, row.unit, tx.now_us)
    each_micro = charged_micro(row.unit_price_micro, most_micro, rules)
    price_fen = 0 if row.prepaid else Meter(Unit(row.unit), each_micro).charge_fen(quantity)
    began_us = (await tx.find(Licence, row.licence, "licence")).starts_us
    agreed = await rulebook.at(tx.session, began_us)
    parts = parts_of(price_fen, rules, agreed, await shares_of(tx, asset) if price_fen else None)
    number, last = row.statements + 1, state != "settled"
    statement = f"{row.id}-{number}"
    held_before = row.hold
    if row.hold is not None and (price_fen or last):
        left_fen = 0 if last else row.hold_fen - price_fen - parts.buyer_fee_fen
        transfers = transfers_of(
            statement,
            parts,
            (buyer.account, seller.account),
            (row.hold, row.hold_fen),
            (tx.identifier("void"), tx.identifier("hold"), left_fen),
        )
        await tx.post(*transfers)
        row.hold, row.hold_fen = (transfers[-1].id, left_fen) if left_fen else (None, 0)
    said = plain(
        {
            "from_us": row.since_us,
            "held_before": held_before,
            "hold": row.hold,
            "hold_fen": row.hold_fen,
            "number": number,
            "prepaid": row.prepaid,
            "price_fen": price_fen,
            "quantity": quantity,
            "rounding": ROUNDING.value,
            "rulebook": rules.reference(),
            "split": {
                "buyer_fee_fen": parts.buyer_fee_fen,
                "seller_fee_fen": parts.seller_fee_fen,
                "shares_fen": [fen for _, fen in parts.holders_fen],
                "tax_fen": parts.tax_fen,
            },
            "state": state,
            "subscription": row.id,
            "unit": row.unit,
            "unit_price_micro": each_micro,
            "until_us": tx.now_us,
        }
    )
    await tx.insert(
        UsageStatement(
            log_index=tx.index,
            subscription=row.id,
            number=number,
            asset=row.asset,
            price_fen=price_fen,
            time_us=tx.now_us,
            document=said,
        )
    )
    row.settled, row.statements, row.since_us = row.used, number, tx.now_us
    every_us = rules.value("metering.statement_every_days") * DAY_US
    row.next_us += every_us * max(0, (tx.now_us - row.next_us) // every_us + 1)
    if last:
        row.state = "ended"
    return Record("usage_settled", said, readers=_near(row))


def charged_micro(agreed_micro: int, most_micro: int | None, rules: Rulebook) -> int:
    """What a unit is charged at: as agreed, and never above a ceiling that came since. Pure."""
    if most_micro is None or rules.allows("price.above_ceiling_allowed"):
        return agreed_micro
    return min(agreed_micro, most_micro)


def parts_of(price_fen: int, rules: Rulebook, agreed: Rulebook, shares: Shares | None) -> Split:
    """A statement's price divided as that of any sale, but for the buyer's fee: it is never above what the buyer subscribed
    under, since no more was held for it. Pure.
    """
    parts = split(price_fen, rules, shares)
    most_fen = split(price_fen, agreed, None).buyer_fee_fen
    return replace(parts, buyer_fee_fen=min(parts.buyer_fee_fen, most_fen))


def transfers_of(
    statement: str,
    parts: Split,
    accounts: tuple[str, str],
    held: tuple[str, int],
    names: tuple[str, str, int],
) -> list[Transfer]:
    """The linked chain of a statement: the hold is let go, the parts of the price are paid, and the rest is held again. Pure.

    `accounts` are buyer's and seller's, `held` the hold and its amount, `names` the release's, the next hold's, and what the
    latter holds.
    """
    (buyer, seller), (hold, hold_fen), (void, again, left_fen) = accounts, held, names
    release = Transfer(void, "void_pending", buyer, DEPOSITS, hold_fen, MONEY, "usage", hold)
    steps = chain(statement, parts, buyer, seller, release)
    if left_fen:
        steps.append(Transfer(again, "pending", buyer, DEPOSITS, left_fen, MONEY, "usage"))
    return linked([replace(one, linked=False) for one in steps])


async def due(session: AsyncSession, now_us: int) -> list[str]:
    """The subscriptions of which a statement is due, at most a thousand."""
    rows = await session.execute(
        select(Subscription.id)
        .join(Licence, col(Licence.id) == col(Subscription.licence))
        .where(
            col(Subscription.state) == "open",
            or_(
                col(Subscription.next_us) <= now_us,
                col(Subscription.ends_us) <= now_us,
                col(Licence.state) != "active",
            ),
        )
        .order_by(col(Subscription.id))
        .limit(1000)
    )
    return list(rows.scalars())


async def subscriptions(
    session: AsyncSession, caller: Caller, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """The subscriptions that concern the caller's party (all, for a regulator), newest first, older than entry `before`."""
    query = select(Subscription).where(_concerns(caller))
    if before is not None:
        query = query.where(col(Subscription.log_index) < before)
    rows = await session.execute(query.order_by(col(Subscription.log_index).desc()).limit(limit))
    return [_shown(row) for row in rows.scalars()]


async def subscription(session: AsyncSession, caller: Caller, identifier: str) -> dict[str, Any]:
    """One of them; NotFound alike where there is none and where it is not the caller's to see."""
    return _shown(await _seen(session, caller, identifier))


async def statements(session: AsyncSession, caller: Caller, identifier: str) -> list[dict[str, Any]]:
    """The statements of a subscription, the first one first."""
    row = await _seen(session, caller, identifier)
    found = await session.execute(
        select(UsageStatement)
        .where(col(UsageStatement.subscription) == row.id)
        .order_by(col(UsageStatement.number))
    )
    return [_stated(one) for one in found.scalars()]


async def statement(session: AsyncSession, caller: Caller, identifier: str, number: int) -> dict[str, Any]:
    """One statement with the records that it sums up, in the order of the log."""
    row = await _seen(session, caller, identifier)
    found = await session.execute(
        select(UsageStatement).where(
            col(UsageStatement.subscription) == row.id,
            col(UsageStatement.number).in_((number - 1, number)),
        )
    )
    by_number = {one.number: one for one in found.scalars()}
    if number not in by_number:
        raise NotFound(
            "statement.unknown",
            f"no statement {number} of {identifier!r}",
            field="number",
            remedy="list the statements of the subscription",
        )
    after = by_number[number - 1].log_index if number - 1 in by_number else row.log_index
    records = await session.execute(
        select(UsageRecord)
        .where(
            col(UsageRecord.subscription) == row.id,
            col(UsageRecord.log_index) > after,
            col(UsageRecord.log_index) < by_number[number].log_index,
        )
        .order_by(col(UsageRecord.log_index))
    )
    told = [
        {"index": str(one.log_index), "quantity": str(one.quantity), "time_us": str(one.time_us)}
        for one in records.scalars()
    ]
    return {**_stated(by_number[number]), "records": told}


async def charged(session: AsyncSession, caller: Caller, limit: int) -> list[dict[str, Any]]:
    """What the caller's party has earned by use: the statements of what it sells that charged something, newest first."""
    found = await session.execute(
        select(UsageStatement)
        .join(Subscription, col(Subscription.id) == col(UsageStatement.subscription))
        .where(col(Subscription.seller) == caller.party, col(UsageStatement.price_fen) > 0)
        .order_by(col(UsageStatement.log_index).desc())
        .limit(limit)
    )
    return [{**_stated(one), "asset": one.asset, "time_us": str(one.time_us)} for one in found.scalars()]


def sheet(told: Mapping[str, Any]) -> list[list[str | int | None]]:
    """The rows of a statement as `statement` tells it; quantities above the total add up to it. Pure."""
    parts = told["split"]
    rows: list[list[str | int | None]] = [
        ["日志条目 entry", "时间 time", f"数量 quantity ({told['unit']})", "金额 yuan"]
    ]
    rows += [
        [one["index"], moment(int(one["time_us"])), int(one["quantity"]), None] for one in told["records"]
    ]
    price = format_unit_price_micro(int(told["unit_price_micro"]))
    rows += [
        [told["index"], f"合计 total x {price}", int(told["quantity"]), format_fen(int(told["price_fen"]))],
        [None, "其中税 tax contained", None, format_fen(int(parts["tax_fen"]))],
        [None, "买方佣金 buyer's fee", None, format_fen(int(parts["buyer_fee_fen"]))],
    ]
    return rows


def _concerns(caller: Caller) -> Any:
    if "regulator" in caller.roles:
        return true()
    return or_(
        col(Subscription.buyer) == caller.party,
        col(Subscription.seller) == caller.party,
        col(Subscription.operator) == caller.party,
    )


async def _seen(session: AsyncSession, caller: Caller, identifier: str) -> Subscription:
    query = select(Subscription).where(col(Subscription.id) == identifier, _concerns(caller))
    row = (await session.execute(query)).scalar_one_or_none()
    if row is None:
        raise _unknown(identifier)
    return row


def _shown(row: Subscription) -> dict[str, Any]:
    view: dict[str, Any] = plain(row.model_dump(exclude={"log_index", "since_us"}))
    return {**view, "index": str(row.log_index), "left": str(row.quota - row.used)}


def _stated(row: UsageStatement) -> dict[str, Any]:
    return {"index": str(row.log_index), **row.document}


def _near(row: Subscription) -> Sequence[str]:
    """Who reads of it: the buyer, the department, and who runs its data."""
    return [one for one in dict.fromkeys((row.buyer, row.seller, row.operator)) if one is not None]


def _unknown(identifier: str) -> NotFound:
    return NotFound(
        "subscription.unknown",
        f"no subscription {identifier!r}",
        field="subscription",
        remedy="check the identifier",
    )


def _require_running(row: Subscription) -> None:
    if row.state != "open":
        raise Conflict(
            "subscription.ended",
            f"this subscription is {row.state}",
            field="subscription",
            rule="what has ended is used no more, and its last statement is made",
            remedy="its buyer may subscribe anew",
        )
