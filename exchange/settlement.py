"""From award to money: price, fee, tax and the operator's shares as one linked chain, with the licence in it.

Delivery versus payment: the transfers, the trade, the licence and the voucher are one act, so none of them
exists without the others. Final once made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from sqlalchemy import or_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange import contracting, contributions, delivery
from exchange.acceptance import open_window
from exchange.acts import Caller, Transaction, plain
from exchange.database import driver
from exchange.deletion import end_early, oblige
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.money import FEES, MONEY, TAX
from exchange.parties.relations import holders_of
from exchange.rulebook import Rulebook
from exchange.tables import (
    Acceptance,
    Annulment,
    Asset,
    Contract,
    Licence,
    Listing,
    OperatingAgreement,
    Party,
    Trade,
)
from ledger.book import transfer_rows
from ledger.postings import Transfer
from pricing.contribution import dividends
from pricing.money import Rounding, divide, quotient, scale

REASON_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Shares:
    """Who holds the operator: accounts with their parts in millionths, summing to a million."""

    operator_ppm: int
    holders: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Split:
    """What one price becomes, in fen. The buyer pays `price_fen + buyer_fee_fen`; the rest is the seller's."""

    price_fen: int
    buyer_fee_fen: int
    seller_fee_fen: int
    tax_fen: int
    holders_fen: tuple[tuple[str, int], ...]
    departments_fen: tuple[tuple[str, int], ...] = ()


def split(
    price_fen: int, rules: Rulebook, shares: Shares | None, added: Mapping[str, Fraction] | None = None
) -> Split:
    """Divide a price by the rulebook; tax is contained in the price (价内), fees round half up, shares to the fen.

    The operator's part is taken of the price net of tax and divided by shareholding, largest remainder; it
    never passes what tax and fee leave of the price, so that no seller pays for having sold. What is left is the seller's, or
    is divided among departments by what each has `added` (`exchange.contributions`).
    """
    tax_ppm = rules.value("fees.value_added_tax_ppm")
    tax_fen = quotient(price_fen * tax_ppm, 1_000_000 + tax_ppm, Rounding.HALF_UP)
    seller_fee_fen = scale(price_fen, rules.value("fees.seller_commission_ppm"), Rounding.HALF_UP)
    holders: tuple[tuple[str, int], ...] = ()
    if shares is not None:
        agreed = scale(price_fen - tax_fen, shares.operator_ppm, Rounding.DOWN)
        pool = min(agreed, price_fen - tax_fen - seller_fee_fen)
        parts = divide(pool, [ppm for _, ppm in shares.holders])
        holders = tuple((account, part) for (account, _), part in zip(shares.holders, parts, strict=True))
    rest_fen = price_fen - tax_fen - seller_fee_fen - sum(fen for _, fen in holders)
    return Split(
        price_fen=price_fen,
        buyer_fee_fen=scale(price_fen, rules.value("fees.buyer_commission_ppm"), Rounding.HALF_UP),
        seller_fee_fen=seller_fee_fen,
        tax_fen=tax_fen,
        holders_fen=holders,
        departments_fen=tuple(dividends(rest_fen, added).items()) if added else (),
    )


def chain(
    trade: str,
    parts: Split,
    buyer: str,
    seller: str,
    hold: Transfer | None,
    departments: Mapping[str, str] | None = None,
) -> list[Transfer]:
    """The linked chain of a settlement: the deposit's hold is released, the price paid, the parts taken from it.

    `departments` has the account of each department that gets a part, the seller's own among them.
    """
    others = [
        (account, fen)
        for name, fen in parts.departments_fen
        if (account := (departments or {})[name]) != seller
    ]
    steps: list[tuple[str, str, str, int]] = [
        ("price", buyer, seller, parts.price_fen),
        ("buyer_fee", buyer, FEES, parts.buyer_fee_fen),
        ("seller_fee", seller, FEES, parts.seller_fee_fen),
        ("tax", seller, TAX, parts.tax_fen),
        *((f"share_{n}", seller, account, fen) for n, (account, fen) in enumerate(parts.holders_fen)),
        *((f"contribution_{n}", seller, account, fen) for n, (account, fen) in enumerate(others)),
    ]
    transfers = [] if hold is None else [hold]
    transfers += [
        Transfer(
            f"{trade}:{name}",
            "post",
            debit,
            credit,
            fen,
            MONEY,
            name.rstrip("0123456789").rstrip("_"),
        )
        for name, debit, credit, fen in steps
        if fen
    ]
    return linked(transfers)


def linked(transfers: Sequence[Transfer]) -> list[Transfer]:
    """The same transfers as one chain: all of them take effect, or none."""
    return [replace(one, linked=n < len(transfers) - 1) for n, one in enumerate(transfers)]


def reversal(trade: str, settled: Sequence[Transfer], refunded: Sequence[Transfer] = ()) -> list[Transfer]:
    """The chain that undoes a settlement, its last step first: nobody pays back before it was paid back itself.

    What an award gave back before stays given, and only the rest goes back now.
    """
    before = {one.id.removeprefix(f"{trade}:refund_"): one.amount for one in refunded}
    moved = ((one, one.amount - before.get(_step(one), 0)) for one in settled if one.kind == "post")
    return _back(trade, "back", "reversal", [(one, fen) for one, fen in moved if fen])


def refund(
    trade: str, settled: Sequence[Transfer], refund_fen: int, price_fen: int, rules: Rulebook
) -> list[Transfer]:
    """The chain that gives back a part of a price, or all of it: of each step of the settlement the same part, half up.

    Commissions and tax stay where they are as far as the rules do not return them. Nothing moves for a refund of nothing.
    """
    kept = {
        code
        for codes, rule in (
            (("buyer_fee", "seller_fee"), "acceptance.commission_returned"),
            (("tax",), "acceptance.tax_returned"),
        )
        for code in codes
        if not rules.allows(rule)
    }
    steps = [
        (one, quotient(one.amount * refund_fen, price_fen, Rounding.HALF_UP))
        for one in settled
        if one.kind == "post" and one.code not in kept
    ]
    return _back(trade, "refund", "refund", [(one, fen) for one, fen in steps if fen])


def _step(one: Transfer) -> str:
    return one.id.rpartition(":")[2]


def _back(trade: str, name: str, code: str, steps: Sequence[tuple[Transfer, int]]) -> list[Transfer]:
    return linked(
        [
            Transfer(f"{trade}:{name}_{_step(one)}", "post", one.credit, one.debit, fen, one.ledger, code)
            for one, fen in reversed(steps)
        ]
    )


@dataclass(frozen=True, slots=True)
class Forfeited:
    """What a forfeited deposit makes up for, in fen: at once the costs, and what is kept of it beside them."""

    costs_fen: int
    kept_fen: int


def forfeit(deposit_fen: int, price_fen: int, rules: Rulebook) -> Forfeited:
    """Take the costs from a deposit, as far as it goes; the rest is kept. Pure."""
    parts = split(price_fen, rules, None)
    costs_fen = min(deposit_fen, parts.buyer_fee_fen + parts.seller_fee_fen)
    return Forfeited(costs_fen, deposit_fen - costs_fen)


async def shares_of(tx: Transaction, asset: Asset) -> Shares | None:
    """The operator's part and its holders, as dated now; Conflict where the shares leave a rest undeclared."""
    if asset.operator is None:
        return None
    agreement = await tx.session.get(OperatingAgreement, (asset.supplier, asset.operator))
    if agreement is None:
        return None
    rows = await holders_of(tx.session, asset.operator, tx.now_us)
    holders = tuple((row.account, row.share_ppm) for row in rows)
    if sum(ppm for _, ppm in holders) != 1_000_000:
        raise Conflict(
            "operator.shares",
            "the operator's declared shares do not sum to 100 %",
            field="shareholders",
            rule="an undeclared rest blocks payout",
            remedy="declare the missing holders",
        )
    return Shares(agreement.share_ppm, holders)


async def settle(
    tx: Transaction,
    *,
    listing: Listing,
    buyer: Party,
    licences: int,
    price_fen: int,
    rules: Rulebook,
    purpose: str = "",
    lot: str | None = None,
    hold: Transfer | None = None,
) -> dict[str, Any]:
    """Settle one sale within `tx` and return the deal confirmation for the body.

    Conflict where the buyer's account does not cover price and fee: nothing of the sale happens then.
    """
    asset = await tx.find(Asset, listing.asset, "asset")
    seller = await tx.find(Party, listing.seller, "party")
    if buyer.account is None or seller.account is None:
        raise Conflict("party.no_account", "buyer or seller has no money account", field="party")
    shares = await shares_of(tx, asset)
    added = await contributions.agreed(tx.session, asset.id)
    parts = split(price_fen, rules, shares, added)
    trade = tx.identifier("trade")
    if price_fen or hold is not None:
        accounts = await contributions.accounts_of(tx.session, added)
        await tx.post(*chain(trade, parts, buyer.account, seller.account, hold, accounts))
    licence = delivery.grant_licence(
        tx,
        trade=trade,
        asset=asset.id,
        buyer=buyer.id,
        grant=listing.grant,
        licences=licences,
        term_days=listing.term_days,
    )
    buyer_name, seller_name = tx.seal(buyer.name), tx.seal(seller.name)
    contract = await contracting.draw_up(
        tx,
        listing=listing,
        asset=asset,
        licence=licence,
        rules=rules,
        price_fen=price_fen,
        purpose=purpose,
        buyer_name=buyer_name,
        seller_name=seller_name,
    )
    voucher = plain(
        {
            "asset": asset.id,
            "asset_code": asset.code,
            "buyer": buyer.id,
            "buyer_name": buyer_name,
            "contract": {
                "digest": contract.digest,
                "purposes": contract.values["purposes"],
                "seller_index": contract.seller_index,
                "template": contract.template,
            },
            "grant": listing.grant,
            "licence": licence.id,
            "licences": licences,
            "listing": listing.id,
            "lot": lot,
            "price_fen": price_fen,
            "rulebook": rules.reference(),
            "seller": seller.id,
            "seller_name": seller_name,
            "split": {
                "buyer_fee_fen": parts.buyer_fee_fen,
                "seller_fee_fen": parts.seller_fee_fen,
                "shares_fen": [fen for _, fen in parts.holders_fen],
                "tax_fen": parts.tax_fen,
                **({"departments_fen": dict(parts.departments_fen)} if added else {}),
            },
            "term_days": listing.term_days,
            "trade": trade,
        }
    )
    await tx.insert(
        Trade(
            id=trade,
            listing=listing.id,
            lot=lot,
            asset=asset.id,
            seller=seller.id,
            buyer=buyer.id,
            licences=licences,
            price_fen=price_fen,
            voucher=voucher,
            time_us=tx.now_us,
            log_index=tx.index,
        ),
        licence,
        contract,
    )
    await open_window(
        tx,
        licence=licence.id,
        trade=trade,
        asset=asset.id,
        buyer=buyer.id,
        seller=seller.id,
        rules=rules,
    )
    await oblige(
        tx,
        licence=licence.id,
        asset=asset.id,
        buyer=buyer.id,
        seller=seller.id,
        days=int(contract.values["deletion_days"]),
        ends_us=licence.ends_us,
        rules=rules,
    )
    listing.remaining -= licences
    if not listing.remaining:
        listing.state = "ended"
    return {"state": "settled", "voucher": voucher}


async def annul(tx: Transaction, row: Trade, ground: str, order: str) -> None:
    """Undo a settled trade within `tx`: the money goes back step by step, the licence ends, and so does its acceptance.

    Conflict, naming the step, where an account of those who were paid does not cover what goes back: nothing happens then.
    """
    window = (
        await tx.session.execute(select(Acceptance).where(col(Acceptance.trade) == row.id))
    ).scalar_one_or_none()
    refunded = None if window is None else window.refund_index
    back = reversal(
        row.id,
        await moved_by(tx.session, row.log_index),
        [] if refunded is None else await moved_by(tx.session, refunded),
    )
    if window is not None:
        window.state, window.owed = "void", None
        window.refund_state = "paid" if refunded is not None else None
    if back:
        try:
            await tx.post(*back)
        except Conflict as refused:
            raise Conflict(
                "annulment.uncovered",
                f"what was paid cannot go back: {refused.detail}",
                field="trade",
                rule="an annulled sale is undone as a whole, and an account is never overdrawn",
                remedy="have the party that was paid top its account up, and give the order again",
            ) from refused
    licences = await tx.session.execute(select(Licence).where(col(Licence.trade) == row.id))
    licence = licences.scalar_one()
    licence.state = "annulled"
    await end_early(tx, licence.id)
    if (contract := await tx.session.get(Contract, row.id)) is not None:
        contract.state = "ended"
    await tx.insert(
        Annulment(
            log_index=tx.index,
            lot=row.lot,
            trade=row.id,
            ground=ground,
            order_reference=order,
            time_us=tx.now_us,
        )
    )


async def moved_by(session: AsyncSession, index: int) -> list[Transfer]:
    """What an entry of the log moved."""
    rows = transfer_rows(await driver(session), index, index + 1)
    return [one async for one, _, _, _ in rows]


def check_annulment(ground: str, order: str, reason: str, rules: Rulebook) -> None:
    """Refuse to annul on no ground of the rulebook's, or without an order and a reason. Pure."""
    grounds = rules.words("listing.annulment_grounds")
    if ground not in grounds:
        raise Unprocessable(
            "annulment.ground",
            ground,
            field="ground",
            rule=f"a sale is annulled on one of {', '.join(grounds)} ({rules.cite('annulment.ground')})",
            remedy="name the ground of the order",
        )
    for field, said in (("order", order), ("reason", reason)):
        if not said.strip() or len(said) > REASON_CHARACTERS:
            raise Unprocessable(
                "annulment.order",
                f"{len(said)} characters",
                field=field,
                rule=f"a sale that is made is undone under an order with a reason, each 1 to {REASON_CHARACTERS} characters",
                remedy="name the order and its reason",
            )


async def trades(
    session: AsyncSession, caller: Caller, after: int | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """The trades that the caller's party made, or all for a regulator, newest first; or a page, older than entry `after`.

    A sale that was undone says under which order: its voucher stays as it was made.
    """
    query = _WITH_ANNULMENT.order_by(col(Trade.log_index).desc()).limit(limit)
    if after is not None:
        query = query.where(col(Trade.log_index) < after)
    if "regulator" not in caller.roles:
        query = query.where(or_(col(Trade.buyer) == caller.party, col(Trade.seller) == caller.party))
    return [_trade_view(row, annulled) for row, annulled in await session.execute(query)]


async def trade(session: AsyncSession, caller: Caller, identifier: str) -> dict[str, Any]:
    """One trade; NotFound alike where there is none and where it is not the caller's to see."""
    found = (await session.execute(_WITH_ANNULMENT.where(col(Trade.id) == identifier))).first()
    if found is None or not (
        "regulator" in caller.roles or caller.party in (found[0].buyer, found[0].seller)
    ):
        raise NotFound(
            "trade.unknown", f"no trade {identifier!r}", field="trade", remedy="check the identifier"
        )
    return _trade_view(*found)


async def entry_of(session: AsyncSession, identifier: str) -> int:
    """In which entry of the log a voucher stands, for whoever has its number: the entry is public, what it says is not."""
    index = (await session.scalars(select(col(Trade.log_index)).where(col(Trade.id) == identifier))).first()
    if index is None:
        raise NotFound(
            "trade.unknown",
            f"no trade {identifier!r}",
            field="number",
            remedy="check the number on the voucher",
        )
    return index


async def divided(session: AsyncSession, listing: str) -> dict[str, int] | None:
    """How the price of a lot that was settled is divided, as everybody can count it from that price and the rules: tax and
    commission; what of the rest an operator's holders had is the seller's affair. None where nothing was settled, or undone.
    """
    row = (await session.execute(_WITH_ANNULMENT.where(col(Trade.listing) == listing))).first()
    if row is None or row[1] is not None:
        return None
    split = row[0].voucher["split"]
    return {
        "price_fen": row[0].price_fen,
        **{name: int(split[name]) for name in ("buyer_fee_fen", "seller_fee_fen", "tax_fen")},
    }


_WITH_ANNULMENT = select(Trade, Annulment).outerjoin(Annulment, col(Annulment.trade) == col(Trade.id))


def _trade_view(row: Trade, annulled: Annulment | None) -> dict[str, Any]:
    return {
        "index": str(row.log_index),
        "time_us": str(row.time_us),
        "annulled": undone(annulled),
        **row.voucher,
    }


def undone(annulled: Annulment | None) -> dict[str, Any] | None:
    """Under which order a sale was undone, as the API says it."""
    if annulled is None:
        return None
    return {
        "ground": annulled.ground,
        "index": str(annulled.log_index),
        "order": annulled.order_reference,
        "time_us": str(annulled.time_us),
    }
